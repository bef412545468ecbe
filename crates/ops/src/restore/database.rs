//! Loading a dump into a database that has just made its data folder anew.
//!
//! The dump lies in the database's own volume meanwhile, so that its container reads it on whichever
//! node it runs; the password stays in the container, where its secret is.

use matou_i18n::tr;
use std::path::Path;
use std::time::Duration;

use crate::OpsError;
use matou_docker::Nodes;
use matou_host::{Command, ConfinedFolders, Host, shell_script};
use matou_job::{StepContext, StepError};
use matou_stack::DumpEngine;

/// How long a database may take until it answers.
const DATABASE_WAIT: Duration = Duration::from_secs(600);

const POLL_INTERVAL: Duration = Duration::from_secs(1);

/// Name of the dump in the volume while it is loaded.
const DUMP_NAME: &str = ".matou-restore";

/// Refuses a dump that is not a regular file with one name: a container wrote it, and could have
/// put anything there.
pub(super) const CHECK_PLAIN_FILE: &str =
    shell_script(include_str!("../../scripts/lib_check_plain_file.sh"));

/// Puts the dump `$1` into the volume as `$2`. Links it if both are on one file system, else copies
/// it.
const LINK_INTO_VOLUME: &str = shell_script(include_str!("../../scripts/link_dump.sh"));

/// Where a dump is loaded from.
pub(super) struct DumpLocation<'a> {
    pub storage: &'a Host,
    /// Folders in which root follows no link.
    pub confined: ConfinedFolders,
    /// The volume's folder.
    pub live: &'a Path,
    /// The dump in the staging folder.
    pub staged: &'a Path,
}

/// A dump, and the database it belongs to.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct DumpLoad {
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

/// Scripts for one engine. `$1` user, `$2` database, `$3` secret, `$4` dump. They connect over TCP:
/// while an image initializes its data folder, its server listens on a socket only.
struct DatabaseScripts {
    ready: String,
    load: String,
    /// Prints how many tables there are.
    count: String,
}

/// Defines how the password is read: from the secret's file, else from the environment of the
/// container, as official images do.
const SCRIPT_HEAD: &str = shell_script(include_str!("../../scripts/lib_database_values.sh"));

const MYSQL: &str = shell_script(include_str!("../../scripts/lib_ask_mysql.sh"));

const POSTGRESQL: &str = shell_script(include_str!("../../scripts/lib_ask_postgresql.sh"));

const MONGODB: &str = shell_script(include_str!("../../scripts/lib_ask_mongodb.sh"));

/// Returns the scripts of an engine; `None` for SQLite, which has no server. They use the clients
/// of MariaDB and MySQL, `psql` and `pg_restore` (for dumps in the custom format, which begin with
/// `PGDMP`), and `mongorestore`.
fn database_scripts(engine: DumpEngine) -> Option<DatabaseScripts> {
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
            shell_script(include_str!("../../scripts/load_postgresql.sh")),
            r#"ask -Atc "SELECT count(*) FROM information_schema.tables WHERE table_schema NOT IN ('pg_catalog','information_schema')""#,
        ),
        DumpEngine::Mongodb => (
            MONGODB,
            "ask 'if (db.runCommand({ping: 1}).ok != 1) quit(1)'",
            shell_script(include_str!("../../scripts/load_mongodb.sh")),
            shell_script(include_str!("../../scripts/count_mongodb.sh")),
        ),
        DumpEngine::Sqlite => return None,
    };
    let script = |end: &str| format!("{SCRIPT_HEAD}{common}{end}\n");
    Some(DatabaseScripts {
        ready: script(ready),
        load: script(load),
        count: script(count),
    })
}

/// Where the data of a database server is in its container.
pub(crate) fn database_data_folder(engine: DumpEngine) -> Option<&'static str> {
    match engine {
        DumpEngine::Mariadb | DumpEngine::Mysql => Some("/var/lib/mysql"),
        DumpEngine::Postgresql => Some("/var/lib/postgresql"),
        DumpEngine::Mongodb => Some("/data/db"),
        DumpEngine::Sqlite => None,
    }
}

/// Returns how a dump is loaded without matou: the name of the engine, a script that succeeds when
/// the database answers, and one that loads a dump from standard input. `$1` is the user, `$2` the
/// database, `$3` the secret.
pub(crate) fn portable_load_scripts(engine: DumpEngine) -> Option<(&'static str, String, String)> {
    let ready = database_scripts(engine)?.ready;
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
            shell_script(include_str!("../../scripts/load_mongodb_from_input.sh")),
        ),
        DumpEngine::Sqlite => return None,
    };
    let common = format!("{SCRIPT_HEAD}{common}").replace(" dump=$4", "");
    Some((
        name,
        ready.replace(" dump=$4", ""),
        format!("{common}{load}\n"),
    ))
}

/// What is done with the word of a trial.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum DatabaseMark {
    Write,
    Read,
}

impl DatabaseMark {
    /// Returns the word that the scripts take.
    pub(crate) fn as_str(self) -> &'static str {
        match self {
            Self::Write => "write",
            Self::Read => "read",
        }
    }
}

/// Returns the script that writes a word into a database, or reads it: `$1` user, `$2` database, `$3`
/// secret, `$5` what [`DatabaseMark::as_str`] returns, `$6` the word, hexadecimal; `None` for SQLite.
pub(crate) fn database_mark_script(engine: DumpEngine) -> Option<String> {
    let (common, mark) = match engine {
        DumpEngine::Mariadb | DumpEngine::Mysql => (
            MYSQL,
            shell_script(include_str!("../../scripts/mark_mysql.sh")),
        ),
        DumpEngine::Postgresql => (
            POSTGRESQL,
            shell_script(include_str!("../../scripts/mark_postgresql.sh")),
        ),
        DumpEngine::Mongodb => (
            MONGODB,
            shell_script(include_str!("../../scripts/mark_mongodb.sh")),
        ),
        DumpEngine::Sqlite => return None,
    };
    Some(format!("{SCRIPT_HEAD}{common}{mark}"))
}

/// The node and the container that run a service now.
async fn find_database_container(
    cx: &StepContext,
    nodes: &Nodes,
    service: &str,
) -> Result<(Host, String), OpsError> {
    let swarm = cx.query_swarm().await?;
    let found = swarm.services.iter().find(|s| s.name == service);
    let found = found.ok_or_else(|| tr!("there is no service {service}"))?;
    let task = swarm
        .find_running_task(&found.id)
        .ok_or_else(|| tr!("no task of {service} runs"))?;
    let id = task.container_id.clone().unwrap_or_default();
    let node = nodes.find_name(&swarm, &task.node_id);
    let node = node.and_then(|n| nodes.get(&n).cloned());
    let node = node.ok_or_else(|| tr!("the node that runs {service} is not in config.toml"))?;
    Ok((node.host, id))
}

impl DumpLoad {
    fn exec_command(&self, container: &str, script: &str, file: &str) -> Command {
        let text = |o: &Option<String>| o.clone().unwrap_or_default();
        Command::new("docker")
            .args(["exec", container, "sh", "-c"])
            .arg(script)
            .arg("sh")
            .args([text(&self.user), text(&self.database), text(&self.secret)])
            .arg(file)
            .sudo()
    }

    /// Waits for the database, then loads the dump. Returns how many tables there are afterwards.
    /// `service` is the name in the swarm; `cx` is on a manager.
    pub(super) async fn load_dump(
        &self,
        cx: &StepContext,
        nodes: &Nodes,
        service: &str,
        place: DumpLocation<'_>,
    ) -> Result<u64, StepError> {
        let Some(scripts) = database_scripts(self.engine) else {
            return Ok(0);
        };
        let (host, id) = self.wait_for_database(cx, nodes, service, &scripts).await?;
        let inside = place.live.join(DUMP_NAME);
        let link = place
            .confined
            .sh(&format!("{CHECK_PLAIN_FILE}{LINK_INTO_VOLUME}"))
            .arg(place.staged.display().to_string())
            .arg(inside.display().to_string())
            .timeout(Duration::from_secs(3600))
            .label(tr!("dump into the volume"));
        place.storage.run_ok(&link).await?;
        cx.out
            .note(tr!("loading the dump {} into {service}", self.dump))
            .await;
        let file = format!("{}/{DUMP_NAME}", self.target.trim_end_matches('/'));
        let load = self
            .exec_command(&id, &scripts.load, &file)
            .label(tr!("load {} into {service}", self.dump));
        let loaded = cx.stream_on(&host, &load).await;
        let remove = place
            .confined
            .sh("rm -f -- \"$1\"")
            .arg(inside.display().to_string())
            .timeout(Duration::from_secs(20))
            .label(tr!("dump out of the volume"));
        let removed = place.storage.run_ok(&remove).await;
        loaded?;
        removed?;
        let count = self
            .exec_command(&id, &scripts.count, "")
            .timeout(Duration::from_secs(60))
            .label(tr!("tables of {service}"));
        let text = host.run_ok(&count).await?.stdout_text();
        let tables = text
            .trim()
            .parse()
            .map_err(|_| StepError::failed(tr!("{service} does not tell its tables: {text:?}")))?;
        cx.out.note(tr!("{service} has {tables} tables now")).await;
        Ok(tables)
    }

    /// Waits until the database answers a question.
    async fn wait_for_database(
        &self,
        cx: &StepContext,
        nodes: &Nodes,
        service: &str,
        scripts: &DatabaseScripts,
    ) -> Result<(Host, String), StepError> {
        cx.out.note(tr!("waiting until {service} answers")).await;
        let wait = cx.wait_at_most(DATABASE_WAIT, POLL_INTERVAL);
        loop {
            let reason = match find_database_container(cx, nodes, service).await {
                Ok((host, id)) => {
                    let ask = self
                        .exec_command(&id, &scripts.ready, "")
                        .timeout(Duration::from_secs(20))
                        .label(tr!("does {service} answer"));
                    match host.run_ok(&ask).await {
                        Ok(_) => return Ok((host, id)),
                        Err(e) => e.to_string(),
                    }
                }
                Err(e) => e.to_string(),
            };
            let late = || {
                tr!(
                    "{service} did not come up with a new data folder within {} s: {reason}",
                    DATABASE_WAIT.as_secs()
                )
            };
            wait.pause(late).await?;
        }
    }
}

/// Runs a stack's own shell line in a service's container, with the dump on its standard input.
pub(super) async fn run_load_hook(
    cx: &StepContext,
    nodes: &Nodes,
    service: &str,
    line: &str,
    file: &str,
) -> Result<(), StepError> {
    let (host, id) = find_database_container(cx, nodes, service).await?;
    cx.out.note(format!("{service}: {line} <{file}")).await;
    let run = Command::new("docker")
        .args(["exec", &id, "sh", "-c", "exec <\"$1\"; eval \"$2\"", "sh"])
        .args([file, line])
        .sudo()
        .label(tr!("restore line of {service}"));
    cx.stream_on(&host, &run).await
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
            let scripts = database_scripts(engine).unwrap();
            let (_, ready, load) = portable_load_scripts(engine).unwrap();
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
