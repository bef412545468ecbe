//! Erasing an application: everything that is known of it is destroyed, in every repository too, and
//! a dated record says what was, what could not be, and until when that stays.
//!
//! What belongs to it is written down on the storage node before anything is destroyed
//! (`.matou/erased/APP.begun.json`), so that the same command goes on after an interruption at any
//! moment: its services, its file and its snapshots may be gone by then.

mod known;
mod matou;
mod objects;
mod record;
mod repository;
mod volumes;

use std::path::PathBuf;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use super::remove::Remove;
use super::{Context, Request, backup, on};
use crate::backup::{Restic, data};
use crate::docker::NodeHandle;
use crate::host::{Command, Host};
use crate::job::{Confirm, Cx, Job, Step, StepError};

use known::Known;

/// What could not be destroyed.
#[derive(Debug, Clone, PartialEq, Eq)]
struct Left {
    what: String,
    /// How long it stays, or what ends it.
    until: String,
}

/// What all steps share.
struct Work {
    cx: Context,
    app: String,
    storage: NodeHandle,
    known: Known,
    repositories: Vec<Restic>,
    /// Of this run.
    left: Mutex<Vec<Left>>,
}

impl Work {
    fn left(&self) -> MutexGuard<'_, Vec<Left>> {
        self.left.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Tells that something stays, and notes it for the record.
    async fn leaves(&self, cx: &Cx, what: impl Into<String>, until: impl Into<String>) {
        let left = Left {
            what: what.into(),
            until: until.into(),
        };
        let line = format!("NOT destroyed: {}; {}", left.what, left.until);
        cx.out.line(crate::job::Stream::Stderr, line).await;
        let mut all = self.left();
        if !all.contains(&left) {
            all.push(left);
        }
    }

    fn storage(&self) -> &Host {
        &self.storage.host
    }

    /// Where records are, and what an interrupted run left.
    fn folder(&self) -> PathBuf {
        data(&self.cx.config).join("erased")
    }

    fn begun(&self) -> PathBuf {
        self.folder().join(format!("{}.begun.json", self.app))
    }

    /// Lines of what was destroyed so far, by all runs.
    fn gone(&self) -> PathBuf {
        self.folder().join(format!("{}.gone", self.app))
    }

    /// Writes down what is destroyed now: before it is, so that a record never lacks it.
    async fn destroys(&self, lines: &[String]) -> Result<(), StepError> {
        if lines.is_empty() {
            return Ok(());
        }
        let text = lines
            .iter()
            .map(|l| crate::text::clean(l).into_owned() + "\n")
            .collect::<String>();
        let append = Command::sh("set -e; umask 077; mkdir -p -m 700 -- \"$(dirname -- \"$1\")\"; cat >>\"$1\"; sync -- \"$1\"")
            .arg(self.gone().display().to_string())
            .stdin(text.into_bytes())
            .sudo()
            .timeout(std::time::Duration::from_secs(30))
            .label("write down what is destroyed");
        self.storage().run_ok(&append).await?;
        Ok(())
    }

    /// The lines of [`Work::destroys`], each once.
    async fn destroyed(&self) -> Result<Vec<String>, StepError> {
        let read = Command::sh("cat -- \"$1\" 2>/dev/null || :")
            .arg(self.gone().display().to_string())
            .sudo()
            .timeout(std::time::Duration::from_secs(30))
            .label("what was destroyed");
        let text = self.storage().run_ok(&read).await?.text();
        let mut lines: Vec<String> = Vec::new();
        for line in text.lines() {
            if !lines.iter().any(|l| l == line) {
                lines.push(line.to_owned());
            }
        }
        Ok(lines)
    }
}

/// Makes the job of [`Request::Erase`].
///
/// # Errors
/// One sentence: no manager answers, the storage node can't be asked, or something of the
/// application is just being backed up or restored.
pub(super) async fn build(app: &str, cx: &Context) -> Result<Job, String> {
    crate::stack::check_app_name(app)?;
    let storage = cx.nodes.get(&cx.config.storage.node).cloned();
    let storage = storage.ok_or("the storage node is not among the nodes of config.toml")?;
    let busy = storage.host.lasting("matou-").await;
    let busy = busy.map_err(|e| e.to_string())?;
    let own = [
        format!("{}{app}", backup::UNIT),
        format!("matou-restore-{app}"),
        format!("matou-verify-{app}"),
    ];
    if let Some(unit) = busy.iter().find(|u| own.contains(u)) {
        return Err(format!(
            "{unit} works on {app} now: wait until it has ended, or stop it"
        ));
    }
    let manager = cx.nodes.manager().await.map_err(|e| e.to_string())?;
    let repositories = backup::every_repository(cx).await;
    let repositories = repositories.map_err(|e| e.to_string())?;
    let known = Known::of(cx, app, manager, &storage, &repositories).await?;
    let work = Arc::new(Work {
        cx: cx.clone(),
        app: app.to_owned(),
        storage,
        known,
        repositories,
        left: Mutex::default(),
    });
    let gone = work.known.volumes.iter().map(|v| v.name.clone()).collect();
    let mut steps: Vec<Box<dyn Step>> = vec![
        Box::new(record::Begin(work.clone())),
        Box::new(Remove {
            app: app.to_owned(),
            gone,
        }),
        Box::new(objects::Objects(work.clone())),
        Box::new(objects::Certificates(work.clone())),
        Box::new(matou::Files(work.clone())),
        Box::new(matou::Kept(work.clone())),
        Box::new(volumes::Volumes(work.clone())),
    ];
    for nth in 0..work.repositories.len() {
        steps.push(Box::new(repository::Snapshots::new(work.clone(), nth)));
    }
    steps.push(Box::new(record::Record(work.clone())));
    let request = Request::Erase {
        app: app.to_owned(),
    };
    let confirm = Confirm::TypeName(app.to_owned());
    Ok(on(manager, &request, confirm, steps))
}
