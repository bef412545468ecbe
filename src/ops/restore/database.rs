//! Loading a dump into a database that has just made its data folder anew.
//!
//! The dump lies in the database's own volume meanwhile, so that its container reads it on whichever
//! node it runs; the password stays in the container, where its secret is.

use std::path::Path;
use std::time::Duration;

use tokio::time::Instant;

use crate::docker::Nodes;
use crate::host::{Command, Confined, Host};
use crate::job::{Cx, StepError};
use crate::ops::tasks::read;
use crate::stack::DumpEngine;

/// How long a database may take until it answers.
const PATIENCE: Duration = Duration::from_secs(600);

const POLL: Duration = Duration::from_secs(1);

/// Name of the dump in the volume while it is loaded.
const NAME: &str = ".matou-restore";

/// A dump is a regular file of one name, or nothing is done with it: a container wrote it, and it may
/// be anything.
pub(super) const PLAIN: &str = r#"plain() {
    [ -f "$1" ] && [ ! -L "$1" ] && [ "$(stat -c %h -- "$1")" = 1 ] && return
    echo "the dump $1 is no regular file of one name: somebody in the container put it there; take an older snapshot, or restore into a folder" >&2; exit 1
}
"#;

/// Puts the dump `$1` into the volume as `$2`. The link is to a file in a folder of matou's own.
const INTO: &str = r#"set -e; rm -f -- "$2"; plain "$1"; chmod 644 -- "$1"
ln -T -- "$1" "$2" 2>/dev/null || cp -P --remove-destination -T -- "$1" "$2""#;

/// Where a dump is loaded from.
pub(super) struct Place<'a> {
    pub storage: &'a Host,
    /// Where root follows no link there.
    pub confined: Confined,
    /// The volume's folder.
    pub live: &'a Path,
    /// The dump.
    pub staged: &'a Path,
}

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
    ready: String,
    load: String,
    /// Prints how many tables there are.
    count: String,
}

/// The password: the secret's file, else the container's own environment, as official images have it.
const BEGIN: &str = r#"user=$1 database=$2 secret=$3 dump=$4
value() { eval "v=\${$1:-} f=\${$1_FILE:-}"; [ -n "$v" ] || [ -z "$f" ] || v=$(cat "$f"); printf %s "$v"; }
first() { for n; do v=$(value "$n"); [ -z "$v" ] || { printf %s "$v"; return; }; done; }
password() { if [ -n "$secret" ] && [ -r "/run/secrets/$secret" ]; then cat "/run/secrets/$secret"; else first "$@"; fi; }
"#;

const MYSQL: &str = r#"client=$(command -v mariadb || command -v mysql) || { echo 'the container has no client' >&2; exit 127; }
[ -n "$user" ] || user=root
case $user in
root) secret=$(password MARIADB_ROOT_PASSWORD MYSQL_ROOT_PASSWORD);;
*) secret=$(password MARIADB_PASSWORD MYSQL_PASSWORD);;
esac
ask() { MYSQL_PWD=$secret "$client" --protocol=tcp -h 127.0.0.1 -u "$user" -N -B "$@"; }
"#;

const POSTGRESQL: &str = r#"[ -n "$user" ] || user=$(first POSTGRES_USER); [ -n "$user" ] || user=postgres
secret=$(password POSTGRES_PASSWORD)
with() { if [ -n "$secret" ]; then PGPASSWORD=$secret "$@"; else "$@"; fi; }
ask() { with psql -h 127.0.0.1 -U "$user" -d "${database:-postgres}" -X -q "$@"; }
"#;

const MONGODB: &str = r#"client=$(command -v mongosh || command -v mongo) || { echo 'the container has no client' >&2; exit 127; }
[ -n "$user" ] || user=$(first MONGO_INITDB_ROOT_USERNAME)
umask 077; config=$(mktemp); script=$(mktemp); trap 'rm -f "$config" "$script"' EXIT
quoted=$(password MONGO_INITDB_ROOT_PASSWORD | sed 's/[\\"]/\\&/g'); login=
if [ -n "$user" ] && [ -n "$quoted" ]; then
    printf 'password: "%s"\n' "$quoted" >"$config"
    login="db.getSiblingDB('admin').auth(\"$user\", \"$quoted\");"
fi
ask() { printf '%s %s\n' "$login" "$1" >"$script"; "$client" --quiet "$script"; }
"#;

/// Sources: MariaDB's and MySQL's `mysql`, PostgreSQL's `psql` and `pg_restore` (`PGDMP` begins its
/// custom format), MongoDB's `mongorestore`.
fn scripts(engine: DumpEngine) -> Option<Scripts> {
    let (common, ready, load, count) = match engine {
        DumpEngine::Mariadb | DumpEngine::Mysql => (
            MYSQL,
            r#"ask ${database:+"$database"} -e 'SELECT 1'"#,
            r#"ask ${database:+"$database"} <"$dump""#,
            r#"ask -e "SELECT COUNT(*) FROM information_schema.tables WHERE table_schema NOT IN ('mysql','information_schema','performance_schema','sys')""#,
        ),
        DumpEngine::Postgresql => (
            POSTGRESQL,
            "ask -Atc 'SELECT 1'",
            r#"if [ "$(head -c 5 "$dump")" = PGDMP ]; then
    with pg_restore -h 127.0.0.1 -U "$user" -d "${database:-postgres}" --clean --if-exists --no-owner --exit-on-error "$dump"
    exit
fi
ask ${database:+-v ON_ERROR_STOP=1} -o /dev/null -f "$dump""#,
            r#"ask -Atc "SELECT count(*) FROM information_schema.tables WHERE table_schema NOT IN ('pg_catalog','information_schema')""#,
        ),
        DumpEngine::Mongodb => (
            MONGODB,
            "ask 'if (db.runCommand({ping: 1}).ok != 1) quit(1)'",
            r#"set -- --quiet --drop --archive="$dump"
[ -z "$login" ] || set -- "$@" --config="$config" --username="$user" --authenticationDatabase=admin
mongorestore "$@""#,
            r#"ask 'let n = 0; db.adminCommand({listDatabases: 1}).databases.forEach(d => { if (!["admin", "config", "local"].includes(d.name)) n += db.getSiblingDB(d.name).getCollectionNames().length }); print(n)'"#,
        ),
        DumpEngine::Sqlite => return None,
    };
    let script = |end: &str| format!("{BEGIN}{common}{end}\n");
    Some(Scripts {
        ready: script(ready),
        load: script(load),
        count: script(count),
    })
}

/// Where the data of a database server is in its container.
pub(in crate::ops) fn data_folder(engine: DumpEngine) -> Option<&'static str> {
    match engine {
        DumpEngine::Mariadb | DumpEngine::Mysql => Some("/var/lib/mysql"),
        DumpEngine::Postgresql => Some("/var/lib/postgresql"),
        DumpEngine::Mongodb => Some("/data/db"),
        DumpEngine::Sqlite => None,
    }
}

/// How a dump is loaded where there is no matou: a name, a script that succeeds when the database
/// answers, and one that reads the dump from its standard input; `$1` is the user, `$2` the
/// database, `$3` the secret.
pub(in crate::ops) fn shell(engine: DumpEngine) -> Option<(&'static str, String, String)> {
    let ready = scripts(engine)?.ready;
    let (name, common, load) = match engine {
        DumpEngine::Mariadb | DumpEngine::Mysql => {
            ("mariadb", MYSQL, r#"ask ${database:+"$database"}"#)
        }
        DumpEngine::Postgresql => (
            "postgresql",
            POSTGRESQL,
            "ask ${database:+-v ON_ERROR_STOP=1} -o /dev/null -f -",
        ),
        DumpEngine::Mongodb => (
            "mongodb",
            MONGODB,
            r#"set -- --quiet --drop --archive
[ -z "$login" ] || set -- "$@" --config="$config" --username="$user" --authenticationDatabase=admin
mongorestore "$@""#,
        ),
        DumpEngine::Sqlite => return None,
    };
    let common = format!("{BEGIN}{common}").replace(" dump=$4", "");
    Some((
        name,
        ready.replace(" dump=$4", ""),
        format!("{common}{load}\n"),
    ))
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
    /// `service` is its name in the swarm; `cx` is of a manager.
    pub(super) async fn run(
        &self,
        cx: &Cx,
        nodes: &Nodes,
        service: &str,
        place: Place<'_>,
    ) -> Result<u64, StepError> {
        let Some(scripts) = scripts(self.engine) else {
            return Ok(0);
        };
        let (host, id) = self.wait(cx, nodes, service, &scripts).await?;
        let inside = place.live.join(NAME);
        let link = place
            .confined
            .sh(&format!("{PLAIN}{INTO}"))
            .arg(place.staged.display().to_string())
            .arg(inside.display().to_string())
            .timeout(Duration::from_secs(3600))
            .label("dump into the volume");
        place.storage.run_ok(&link).await?;
        cx.out
            .note(format!("loading the dump {} into {service}", self.dump))
            .await;
        let file = format!("{}/{NAME}", self.target.trim_end_matches('/'));
        let load = self
            .command(&id, &scripts.load, &file)
            .label(format!("load {} into {service}", self.dump));
        let loaded = super::streamed(cx, &host, &load).await;
        let remove = place
            .confined
            .sh("rm -f -- \"$1\"")
            .arg(inside.display().to_string())
            .timeout(Duration::from_secs(20))
            .label("dump out of the volume");
        let removed = place.storage.run_ok(&remove).await;
        loaded?;
        removed?;
        let count = self
            .command(&id, &scripts.count, "")
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
                        .command(&id, &scripts.ready, "")
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
            let (_, ready, load) = shell(engine).unwrap();
            for script in [&scripts.ready, &scripts.load, &scripts.count, &ready, &load] {
                let status = std::process::Command::new("sh")
                    .args(["-n", "-c", script])
                    .status()
                    .unwrap();
                assert!(status.success(), "{engine:?}: {script}");
            }
        }
    }
}
