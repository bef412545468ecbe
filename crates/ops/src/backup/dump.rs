//! Dumps of databases, made in the container of the service, on the node it runs on, into a volume
//! of it. A password is read there, from the container's secret file or its own environment; it is
//! on no command line.

use matou_i18n::tr;
use std::path::Path;
use std::time::Duration;

use tokio::sync::mpsc;

use crate::OpsError;
use crate::running_container::find_running_container;
use matou_backup::{AppStorage, ManifestDump};
use matou_config::Config;
use matou_docker::Nodes;
use matou_host::{Command, shell_script};
use matou_job::{LastLines, OutputStream, StepContext};
use matou_model::Swarm;
use matou_stack::{Dump, DumpEngine};

/// How long one dump may take.
const DUMP_TIMEOUT: Duration = Duration::from_secs(6 * 3600);

/// What every dump begins with: `$1` is the file, `$2` database, `$3` user, `$4` secret, `$5` the
/// stack's own line. What is not whole never gets the file's name.
const SCRIPT_HEAD: &str = shell_script(include_str!("../../scripts/lib_dump.sh"));

/// How every dump script ends: checks that the dump is not empty, syncs it to the disk, gives it
/// its name, and prints its size in bytes.
const SCRIPT_TAIL: &str = shell_script(include_str!("../../scripts/finish_dump.sh"));

/// mysqldump ends every whole dump with a comment. The password is in its own environment alone.
const MYSQL: &str = shell_script(include_str!("../../scripts/dump_mysql.sh"));

/// pg_dump ends every whole dump with a comment. The password is in its own environment alone.
const POSTGRESQL: &str = shell_script(include_str!("../../scripts/dump_postgresql.sh"));

/// The password goes in a file that only the container's root reads.
const MONGODB: &str = shell_script(include_str!("../../scripts/dump_mongodb.sh"));

/// SQLite's own backup sees one state while others write; then the copy is checked.
const SQLITE: &str = shell_script(include_str!("../../scripts/dump_sqlite.sh"));

const COMMAND: &str = shell_script(include_str!("../../scripts/dump_command.sh"));

/// The engine's name in the manifest.
fn dump_engine_name(dump: &Dump) -> &'static str {
    match (dump.engine, &dump.command) {
        (_, Some(_)) | (None, None) => "command",
        (Some(DumpEngine::Mariadb), _) => "mariadb",
        (Some(DumpEngine::Mysql), _) => "mysql",
        (Some(DumpEngine::Postgresql), _) => "postgresql",
        (Some(DumpEngine::Mongodb), _) => "mongodb",
        (Some(DumpEngine::Sqlite), _) => "sqlite",
    }
}

fn dump_script(dump: &Dump) -> Result<String, OpsError> {
    let body = match (dump_engine_name(dump), &dump.command) {
        ("mariadb" | "mysql", _) => MYSQL,
        ("postgresql", _) => POSTGRESQL,
        ("mongodb", _) => MONGODB,
        ("sqlite", _) if dump.database.is_none() => {
            return Err(tr!("a dump of sqlite needs `database`, the path of its file").into());
        }
        ("sqlite", _) => SQLITE,
        (_, Some(_)) => COMMAND,
        _ => return Err(tr!("a dump needs an engine or a command").into()),
    };
    Ok(format!("{SCRIPT_HEAD}{body}{SCRIPT_TAIL}"))
}

/// Makes one dump; afterwards the storage node sees it whole, or it lies in a volume that is brought there.
///
/// # Errors
/// One sentence: why there is no whole dump.
pub(crate) async fn make_dump(
    dump: &Dump,
    layout: &AppStorage,
    swarm: &Swarm,
    config: &Config,
    nodes: &Nodes,
    cx: &StepContext,
) -> Result<ManifestDump, OpsError> {
    let script = dump_script(dump)?;
    let service = format!("{}_{}", layout.app, dump.service);
    let container =
        find_running_container(&service, swarm, nodes, tr!("it can't be dumped")).await?;
    let path = layout
        .path_on_storage(&container.mounts, &container.node.config.name, &dump.file)
        .ok_or_else(|| {
            tr!(
                "the dump's file {} is in no volume of {service}, so no backup would hold it: name a path within one",
                dump.file
            )
        })?;
    let text = |value: &Option<String>| value.clone().unwrap_or_default();
    let command = Command::new("docker")
        .args(["exec", &container.id, "sh", "-c", &script, "sh"])
        .arg(&dump.file)
        .arg(text(&dump.database))
        .arg(text(&dump.user))
        .arg(text(&dump.secret))
        .arg(text(&dump.command))
        .sudo()
        .timeout(DUMP_TIMEOUT)
        .label(tr!("dump of {service}"));
    cx.out
        .note(tr!(
            "dump of {service} ({}) on {}",
            dump_engine_name(dump),
            container.node.config.name
        ))
        .await;
    let (lines, mut arriving) = mpsc::channel::<(OutputStream, Vec<u8>)>(64);
    let running = container
        .node
        .host
        .stream_lines(&command, lines, &cx.cancel);
    let reading = async {
        let (mut size, mut last) = (None, LastLines::new(4));
        while let Some((stream, line)) = arriving.recv().await {
            let text = matou_base::text::clean_bytes(&line);
            if stream == OutputStream::Stdout {
                size = text.trim().parse::<u64>().ok();
                continue;
            }
            cx.out.send_line(stream, &text).await;
            last.push(text);
        }
        (size, last)
    };
    let (code, (size, last)) = tokio::join!(running, reading);
    let code = code.map_err(|e| tr!("the dump of {service} was not made: {e}"))?;
    let size = size.filter(|_| code == 0).ok_or_else(|| {
        tr!(
            "the dump of {service} failed with exit code {code}: {}",
            last.join(" / ")
        )
    })?;
    if !is_brought(layout, &path) {
        check_dump_on_storage(layout, config, &path, size, nodes).await?;
    }
    Ok(ManifestDump {
        service: dump.service.clone(),
        engine: dump_engine_name(dump).to_owned(),
        database: dump.database.clone(),
        file: dump.file.clone(),
        path,
        size,
    })
}

/// Whether a path of the storage node lies in its copy of another node's volume.
fn is_brought(layout: &AppStorage, path: &Path) -> bool {
    let mut volumes = layout.volumes.iter();
    volumes.any(|v| v.elsewhere.is_some() && path.starts_with(&v.folder))
}

/// Checks that the dumps which other nodes' volumes hold are whole in the copies of these.
///
/// # Errors
/// Those of a dump that the storage node does not see.
pub(super) async fn check_brought_dumps(
    layout: &AppStorage,
    config: &Config,
    dumps: &[ManifestDump],
    nodes: &Nodes,
) -> Result<(), OpsError> {
    for dump in dumps.iter().filter(|d| is_brought(layout, &d.path)) {
        check_dump_on_storage(layout, config, &dump.path, dump.size, nodes).await?;
    }
    Ok(())
}

/// Checks that the storage node sees the complete dump. The volume could be another one there, so
/// the backup would lack the dump. Anything but a regular file with one name was put there by
/// somebody in the container.
async fn check_dump_on_storage(
    layout: &AppStorage,
    config: &Config,
    path: &Path,
    size: u64,
    nodes: &Nodes,
) -> Result<(), OpsError> {
    let storage = nodes
        .get(&layout.node)
        .ok_or(tr!("the storage node is gone"))?;
    let stat = layout
        .confined_folders(config)
        .sh("exec stat -c '%h %s %F' -- \"$1\"")
        .arg(path.display().to_string())
        .timeout(Duration::from_secs(30))
        .label(tr!("look at {}", path.display()));
    let found = storage.host.run(&stat).await?;
    let text = found.stdout_text();
    let mut words = text.trim().splitn(3, ' ');
    let (links, there) = (
        words.next(),
        words.next().and_then(|n| n.parse::<u64>().ok()),
    );
    let kind = words.next().unwrap_or_default();
    match there {
        Some(_) if !kind.starts_with("regular") || links != Some("1") => {
            Err(OpsError::failed(tr!(
                "the dump {} is no regular file of one name on {} ({kind}, {} names): somebody in the container put it there; look there, and remove it",
                path.display(),
                layout.node,
                links.unwrap_or_default()
            )))
        }
        Some(there) if there == size => Ok(()),
        Some(there) => Err(OpsError::failed(tr!(
            "the dump {} has {there} bytes on {} instead of {size}: the volume is not the same there",
            path.display(),
            layout.node
        ))),
        None => Err(OpsError::failed(tr!(
            "{} does not see the dump {}: the volume is not the same there, or a folder above the dump is a link; does the fleet's storage reach every node? {}",
            layout.node,
            path.display(),
            matou_base::text::clean_bytes(&found.stderr)
        ))),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn dump(engine: Option<DumpEngine>, command: Option<&str>, file: &Path) -> Dump {
        Dump {
            service: "db".into(),
            engine,
            database: None,
            user: None,
            secret: None,
            command: command.map(str::to_owned),
            restore: None,
            file: file.display().to_string(),
        }
    }

    /// The script as a container's shell would run it.
    fn run(dump: &Dump) -> std::process::Output {
        let text = |v: &Option<String>| v.clone().unwrap_or_default();
        std::process::Command::new("sh")
            .args(["-c", &dump_script(dump).unwrap(), "sh", &dump.file])
            .args([text(&dump.database), text(&dump.user), text(&dump.secret)])
            .arg(text(&dump.command))
            .output()
            .unwrap()
    }

    #[test]
    fn a_dump_is_whole_or_the_old_one_stays() {
        let dir = tempfile::tempdir().unwrap();
        let file = dir.path().join("dump");
        let out = run(&dump(None, Some("echo one; echo two"), &file));
        assert!(out.status.success(), "{out:?}");
        assert_eq!(String::from_utf8_lossy(&out.stdout).trim(), "8");
        for line in ["echo half; exit 3", ":", "printf ''"] {
            let out = run(&dump(None, Some(line), &file));
            assert!(!out.status.success(), "{line}");
        }
        assert_eq!(std::fs::read_to_string(&file).unwrap(), "one\ntwo\n");
        assert_eq!(std::fs::read_dir(dir.path()).unwrap().count(), 1);
    }

    #[test]
    fn every_engine_has_a_script_that_shells_take() {
        let file = Path::new("/tmp/x");
        for engine in [
            DumpEngine::Mariadb,
            DumpEngine::Mysql,
            DumpEngine::Postgresql,
            DumpEngine::Mongodb,
        ] {
            let text = dump_script(&dump(Some(engine), None, file)).unwrap();
            let out = std::process::Command::new("sh")
                .args(["-n", "-c", &text])
                .output()
                .unwrap();
            assert!(out.status.success(), "{engine:?}: {out:?}");
        }
        assert!(dump_script(&dump(Some(DumpEngine::Sqlite), None, file)).is_err());
        assert!(dump_script(&dump(None, None, file)).is_err());
        let missing = Dump {
            secret: Some("no_such".into()),
            ..dump(Some(DumpEngine::Postgresql), None, file)
        };
        let out = run(&missing);
        assert!(!out.status.success());
    }
}
