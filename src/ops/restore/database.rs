//! Loading a dump into a database that has just made its data folder anew.
//!
//! The dump lies in the database's own volume meanwhile, so that its container reads it on whichever
//! node it runs; the password stays in the container, where its secret is.

use std::path::Path;
use std::time::Duration;

use tokio::time::Instant;

use crate::docker::Nodes;
use crate::host::{Command, Host};
use crate::job::{Cx, StepError};
use crate::ops::tasks::read;
use crate::stack::DumpEngine;

/// How long a database may take until it answers.
const PATIENCE: Duration = Duration::from_secs(600);

const POLL: Duration = Duration::from_secs(1);

/// Name of the dump in the volume while it is loaded.
const NAME: &str = ".matou-restore";

/// A dump, and the database it belongs to.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Load {
    /// The service, without the application's name.
    pub service: String,
    pub engine: DumpEngine,
    /// All databases when there is none.
    pub database: Option<String>,
    pub user: Option<String>,
    /// Secret with its password: a file below /run/secrets.
    pub secret: Option<String>,
    /// Path of the dump in the snapshot.
    pub dump: String,
    /// Where the volume is mounted in the container.
    pub target: String,
}

/// `$1` user, `$2` database, `$3` secret, `$4` dump. Over TCP: while an image makes its data folder,
/// the server listens on a socket only.
struct Scripts {
    ready: &'static str,
    load: &'static str,
    /// Prints how many tables there are.
    count: &'static str,
}

/// Sources: MariaDB's and MySQL's `mysql`, PostgreSQL's `psql` and `pg_restore` (`PGDMP` begins its
/// custom format), MongoDB's `mongorestore`.
fn scripts(engine: DumpEngine) -> Option<Scripts> {
    macro_rules! mysql {
        ($rest:literal) => {
            concat!(
                r#"s=/run/secrets/$3; if [ -n "$3" ] && [ -r "$s" ]; then MYSQL_PWD=$(cat "$s"); export MYSQL_PWD; fi
c=$(command -v mariadb || command -v mysql) || { echo 'the container has no client' >&2; exit 127; }
set -- "$c" "${1:-root}" "$2" "$4"; q() { "$1" --protocol=tcp -h 127.0.0.1 -u "$2" -N -B "#,
                $rest
            )
        };
    }
    macro_rules! postgresql {
        ($rest:literal) => {
            concat!(
                r#"s=/run/secrets/$3; if [ -n "$3" ] && [ -r "$s" ]; then PGPASSWORD=$(cat "$s"); export PGPASSWORD; fi
u=${1:-postgres}; d=${2:-postgres}; "#,
                $rest
            )
        };
    }
    macro_rules! mongodb {
        ($rest:literal) => {
            concat!(
                r#"s=/run/secrets/$3; p=; if [ -n "$3" ] && [ -r "$s" ]; then p=$(cat "$s"); fi
m=$(command -v mongosh || command -v mongo) || { echo 'the container has no client' >&2; exit 127; }
"#,
                $rest
            )
        };
    }
    Some(match engine {
        DumpEngine::Mariadb | DumpEngine::Mysql => Scripts {
            ready: mysql!(r#"${3:+"$3"} -e 'SELECT 1'; }; q "$@""#),
            load: mysql!(r#"${3:+"$3"} <"$4"; }; q "$@""#),
            count: mysql!(
                r#"-e "SELECT COUNT(*) FROM information_schema.tables WHERE table_schema NOT IN ('mysql','information_schema','performance_schema','sys')"; }; q "$@""#
            ),
        },
        DumpEngine::Postgresql => Scripts {
            ready: postgresql!(r#"exec psql -h 127.0.0.1 -U "$u" -d "$d" -X -qAtc 'SELECT 1'"#),
            load: postgresql!(
                r#"if [ "$(head -c 5 "$4")" = PGDMP ]; then exec pg_restore -h 127.0.0.1 -U "$u" -d "$d" --clean --if-exists --no-owner --exit-on-error "$4"; fi
exec psql -h 127.0.0.1 -U "$u" -d "$d" -X -q ${2:+-v ON_ERROR_STOP=1} -o /dev/null -f "$4""#
            ),
            count: postgresql!(
                r#"exec psql -h 127.0.0.1 -U "$u" -d "$d" -X -qAtc "SELECT count(*) FROM information_schema.tables WHERE table_schema NOT IN ('pg_catalog','information_schema')""#
            ),
        },
        DumpEngine::Mongodb => Scripts {
            ready: mongodb!(r#"exec "$m" --quiet --eval 'db.runCommand({ping: 1}).ok'"#),
            load: mongodb!(r#"exec mongorestore --quiet --drop --archive="$4""#),
            count: mongodb!(
                r#"exec "$m" --quiet --eval 'let n = 0; db.adminCommand({listDatabases: 1}).databases.forEach(d => { if (!["admin", "config", "local"].includes(d.name)) n += db.getSiblingDB(d.name).getCollectionNames().length }); print(n)'"#
            ),
        },
        DumpEngine::Sqlite => return None,
    })
}

/// Where the data of a database server is in its container.
pub(super) fn data_folder(engine: DumpEngine) -> Option<&'static str> {
    match engine {
        DumpEngine::Mariadb | DumpEngine::Mysql => Some("/var/lib/mysql"),
        DumpEngine::Postgresql => Some("/var/lib/postgresql"),
        DumpEngine::Mongodb => Some("/data/db"),
        DumpEngine::Sqlite => None,
    }
}

/// The node and the container that run a service now.
async fn container(cx: &Cx, nodes: &Nodes, service: &str) -> Result<(Host, String), String> {
    let swarm = read(cx).await.map_err(|e| e.to_string())?;
    let found = swarm.services.iter().find(|s| s.name == service);
    let found = found.ok_or_else(|| format!("there is no service {service}"))?;
    let task = swarm
        .tasks
        .iter()
        .find(|t| t.service_id == found.id && t.state == "running" && t.desired == "running")
        .ok_or_else(|| format!("no task of {service} runs"))?;
    let id = task.container_id.clone();
    let id = id.ok_or_else(|| format!("{service} has no container yet"))?;
    let node = nodes.name_of(&swarm, &task.node_id);
    let node = node.and_then(|n| nodes.get(&n).cloned());
    let node = node.ok_or_else(|| format!("the node that runs {service} is not in config.toml"))?;
    Ok((node.host, id))
}

impl Load {
    fn command(&self, container: &str, script: &str, file: &str) -> Command {
        let text = |o: &Option<String>| o.clone().unwrap_or_default();
        Command::new("docker")
            .args(["exec", container, "sh", "-c"])
            .arg(script)
            .arg("sh")
            .args([text(&self.user), text(&self.database), text(&self.secret)])
            .arg(file)
            .sudo()
    }

    /// Waits for the database, then loads the dump; answers with how many tables it has then.
    /// `service` is its name in the swarm, `live` the volume's folder on the storage node, `staged`
    /// the dump there; `cx` is of a manager.
    pub async fn run(
        &self,
        cx: &Cx,
        nodes: &Nodes,
        service: &str,
        (storage, live, staged): (&Host, &Path, &Path),
    ) -> Result<u64, StepError> {
        let Some(scripts) = scripts(self.engine) else {
            return Ok(0);
        };
        let (host, id) = self.wait(cx, nodes, service, &scripts).await?;
        let inside = live.join(NAME);
        let link = Command::sh(
            "rm -f -- \"$2\"; ln -- \"$1\" \"$2\" 2>/dev/null || cp -- \"$1\" \"$2\"; chmod 644 -- \"$2\"",
        )
        .arg(staged.display().to_string())
        .arg(inside.display().to_string())
        .sudo()
        .timeout(Duration::from_secs(3600))
        .label("dump into the volume");
        storage.run_ok(&link).await?;
        cx.out
            .note(format!("loading the dump {} into {service}", self.dump))
            .await;
        let file = format!("{}/{NAME}", self.target.trim_end_matches('/'));
        let load = self
            .command(&id, scripts.load, &file)
            .label(format!("load {} into {service}", self.dump));
        let loaded = super::streamed(cx, &host, &load).await;
        let remove = Command::new("rm")
            .args(["-f", "--"])
            .arg(inside.display().to_string())
            .sudo()
            .timeout(Duration::from_secs(20));
        let removed = storage.run_ok(&remove).await;
        loaded?;
        removed?;
        let count = self
            .command(&id, scripts.count, "")
            .timeout(Duration::from_secs(60))
            .label(format!("tables of {service}"));
        let text = host.run_ok(&count).await?.text();
        let tables = text.trim().parse().map_err(|_| {
            StepError::failed(format!("{service} does not tell its tables: {text:?}"))
        })?;
        cx.out
            .note(format!("{service} has {tables} tables now"))
            .await;
        Ok(tables)
    }

    /// Waits until the database answers a question.
    async fn wait(
        &self,
        cx: &Cx,
        nodes: &Nodes,
        service: &str,
        scripts: &Scripts,
    ) -> Result<(Host, String), StepError> {
        let begun = Instant::now();
        cx.out
            .note(format!("waiting until {service} answers"))
            .await;
        loop {
            let reason = match container(cx, nodes, service).await {
                Ok((host, id)) => {
                    let ask = self
                        .command(&id, scripts.ready, "")
                        .timeout(Duration::from_secs(20))
                        .label(format!("does {service} answer"));
                    match host.run_ok(&ask).await {
                        Ok(_) => return Ok((host, id)),
                        Err(e) => e.to_string(),
                    }
                }
                Err(reason) => reason,
            };
            if begun.elapsed() > PATIENCE {
                return Err(StepError::failed(format!(
                    "{service} did not come up with a new data folder within {} s: {reason}",
                    PATIENCE.as_secs()
                )));
            }
            tokio::select! {
                () = tokio::time::sleep(POLL) => {}
                () = cx.cancel.cancelled() => return Err(StepError::Cancelled),
            }
        }
    }
}

/// Runs a stack's own shell line in a service's container, with the dump on its standard input.
pub(super) async fn hook(
    cx: &Cx,
    nodes: &Nodes,
    service: &str,
    line: &str,
    file: &str,
) -> Result<(), StepError> {
    let (host, id) = container(cx, nodes, service)
        .await
        .map_err(StepError::failed)?;
    cx.out.note(format!("{service}: {line} <{file}")).await;
    let run = Command::new("docker")
        .args(["exec", &id, "sh", "-c", "exec <\"$1\"; eval \"$2\"", "sh"])
        .args([file, line])
        .sudo()
        .label(format!("restore line of {service}"));
    super::streamed(cx, &host, &run).await
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_script_is_one_that_a_shell_reads() {
        for engine in [
            DumpEngine::Mariadb,
            DumpEngine::Mysql,
            DumpEngine::Postgresql,
            DumpEngine::Mongodb,
        ] {
            let scripts = scripts(engine).unwrap();
            for script in [scripts.ready, scripts.load, scripts.count] {
                let status = std::process::Command::new("sh")
                    .args(["-n", "-c", script])
                    .status()
                    .unwrap();
                assert!(status.success(), "{engine:?}: {script}");
            }
        }
    }
}
