//! Words in the volumes and databases of an application, which a restore has to bring back.

use matou_i18n::tr;
use std::collections::BTreeSet;
use std::fmt;
use std::io::Read as _;
use std::time::Duration;

use rand::RngExt as _;

use crate::filed_app::FiledApp;
use crate::restore::{DatabaseMark, database_mark_script};
use crate::running_container::{RunningContainer, find_running_container};
use crate::{FleetContext, OpsError};
use matou_host::Command;
use matou_stack::Dump;

/// Name of the file with a word, in the top folder of a volume.
const MARK_FILE: &str = "matou-try";

/// How long writing or reading one word may take.
const PATIENCE: Duration = Duration::from_secs(60);

/// A word in an application's data.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct TrialMark {
    place: MarkPlace,
    word: String,
}

#[derive(Debug, Clone, PartialEq, Eq)]
enum MarkPlace {
    /// A file in a volume.
    Volume {
        /// Without the application's name.
        service: String,
        volume: String,
        /// Where it is mounted.
        target: String,
    },
    /// A row in a database that is dumped.
    Database(Dump),
}

impl fmt::Display for TrialMark {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match &self.place {
            MarkPlace::Volume { volume, .. } => write!(f, "{}", tr!("a file in {volume}")),
            MarkPlace::Database(dump) => {
                write!(f, "{}", tr!("a row in the database of {}", dump.service))
            }
        }
    }
}

/// Writes a word into each volume of an application, and into each database that is dumped. A
/// database's own volumes are left to it, and those of an image without a running task are left out.
///
/// # Errors
/// The first place that takes none.
pub async fn write_trial_marks(
    fleet: &FleetContext,
    app: &str,
) -> Result<Vec<TrialMark>, OpsError> {
    let filed = FiledApp::load(fleet, app)?;
    let swarm = fleet.query_swarm().await?;
    let dumps = &filed.extension.backup.dumps;
    let mut marks = Vec::new();
    let mut seen = BTreeSet::new();
    for service in &filed.rendered.services {
        let is_database = dumps
            .iter()
            .any(|d| d.service == service.name && d.needs_service());
        let name = format!("{app}_{}", service.name);
        let runs = swarm.services.iter().find(|s| s.name == name);
        if is_database || runs.is_none_or(|s| swarm.find_enterable_task(&s.id).is_none()) {
            continue;
        }
        let container =
            find_running_container(&name, &swarm, &fleet.nodes, NOT_MARKED.get()).await?;
        for (volume, target) in &container.mounts {
            if container.read_only.contains(volume) || !seen.insert(volume.clone()) {
                continue;
            }
            let mark = TrialMark {
                place: MarkPlace::Volume {
                    service: service.name.clone(),
                    volume: volume.clone(),
                    target: target.clone(),
                },
                word: make_word(),
            };
            write_file(&container, target, &mark.word).await?;
            marks.push(mark);
        }
    }
    for dump in dumps.iter().filter(|d| d.loading_engine().is_some()) {
        let mark = TrialMark {
            place: MarkPlace::Database(dump.clone()),
            word: make_word(),
        };
        let name = format!("{app}_{}", dump.service);
        let container =
            find_running_container(&name, &swarm, &fleet.nodes, NOT_MARKED.get()).await?;
        if ask_database(&container, dump, DatabaseMark::Write, &mark.word)
            .await?
            .is_some()
        {
            marks.push(mark);
        }
    }
    Ok(marks)
}

const NOT_MARKED: matou_i18n::Text = matou_i18n::both!("nothing can be written there");

/// Looks for the words again, and returns those that are lost, a sentence each.
///
/// # Errors
/// When the application can't be asked.
pub async fn find_lost_marks(
    fleet: &FleetContext,
    app: &str,
    marks: &[TrialMark],
) -> Result<Vec<String>, OpsError> {
    let swarm = fleet.query_swarm().await?;
    let mut lost = Vec::new();
    for mark in marks {
        let service = match &mark.place {
            MarkPlace::Volume { service, .. } => service,
            MarkPlace::Database(dump) => &dump.service,
        };
        let name = format!("{app}_{service}");
        let container =
            find_running_container(&name, &swarm, &fleet.nodes, NOT_MARKED.get()).await?;
        let found = match &mark.place {
            MarkPlace::Volume { target, .. } => read_file(&container, target).await,
            MarkPlace::Database(dump) => {
                let read = ask_database(&container, dump, DatabaseMark::Read, &mark.word).await;
                read.map(Option::unwrap_or_default)
            }
        };
        match found {
            Ok(found) if found.trim() == mark.word => {}
            Ok(_) => lost.push(tr!("{mark} has another text")),
            Err(e) => lost.push(tr!("{mark} is lost: {e}")),
        }
    }
    Ok(lost)
}

fn make_word() -> String {
    format!("{:032x}", rand::rng().random::<u128>())
}

/// Writes by the engine: an image need not have a shell.
async fn write_file(
    container: &RunningContainer<'_>,
    target: &str,
    word: &str,
) -> Result<(), OpsError> {
    let mut header = tar::Header::new_gnu();
    header.set_size(word.len() as u64);
    header.set_mode(0o644);
    let mut archive = tar::Builder::new(Vec::new());
    let written = archive
        .append_data(&mut header, MARK_FILE, word.as_bytes())
        .and_then(|()| archive.into_inner());
    let bytes = written.map_err(|e| OpsError::failed(tr!("no archive: {e}")))?;
    let command = Command::new("docker")
        .args(["cp", "-"])
        .arg(format!("{}:{target}", container.id))
        .sudo()
        .stdin(bytes)
        .timeout(PATIENCE);
    container.node.host.run_ok(&command).await?;
    Ok(())
}

async fn read_file(container: &RunningContainer<'_>, target: &str) -> Result<String, OpsError> {
    let command = Command::new("docker")
        .arg("cp")
        .arg(format!("{}:{target}/{MARK_FILE}", container.id))
        .arg("-")
        .sudo()
        .timeout(PATIENCE);
    let out = container.node.host.run_ok(&command).await?;
    let unreadable = |e: std::io::Error| OpsError::failed(tr!("it can't be read: {e}"));
    let mut archive = tar::Archive::new(out.stdout.as_slice());
    let mut entries = archive.entries().map_err(unreadable)?;
    let first = entries
        .next()
        .ok_or_else(|| OpsError::from(tr!("the archive is empty")))?;
    let mut text = String::new();
    let entry = first.map_err(unreadable)?;
    entry
        .take(1024)
        .read_to_string(&mut text)
        .map_err(unreadable)?;
    Ok(text)
}

/// Writes a word into a database, or reads it; `None` for a kind of database that takes none.
async fn ask_database(
    container: &RunningContainer<'_>,
    dump: &Dump,
    what: DatabaseMark,
    word: &str,
) -> Result<Option<String>, OpsError> {
    let script = dump.loading_engine().and_then(database_mark_script);
    let Some(script) = script else {
        return Ok(None);
    };
    let text = |value: &Option<String>| value.clone().unwrap_or_default();
    let command = Command::new("docker")
        .args(["exec", &container.id, "sh", "-c", &script, "sh"])
        .arg(text(&dump.user))
        .arg(text(&dump.database))
        .arg(text(&dump.secret))
        .arg("")
        .arg(what.as_str())
        .arg(word)
        .sudo()
        .timeout(PATIENCE)
        .label(tr!("a word in the database of {}", dump.service));
    let out = container.node.host.run_ok(&command).await?;
    Ok(Some(out.stdout_text()))
}
