//! The heart of a restore: services stopped, folders exchanged by renames, databases loaded,
//! services started, the answer checked. What goes wrong is taken back: the folders first, then the
//! replicas.

use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::time::Duration;

use async_trait::async_trait;

use super::journal::Journal;
use super::parts::{Part, PartKind};
use super::services;
use super::source::Source;
use crate::backup::{Phase, RestoreState, Swap};
use crate::docker::{NodeHandle, Nodes};
use crate::host::Command;
use crate::job::{Change, Check, Cx, Step, StepError};
use crate::ops::Context;
use crate::ops::deploy::{self, Wanted};
use crate::stack::{AppFile, Dump};

/// How long everything may take, loading a large dump above all.
const PATIENCE: Duration = Duration::from_secs(12 * 3600);

/// How long taking back may take after the job was cancelled.
const TAKING_BACK: Duration = Duration::from_secs(300);

/// What becomes of the application's services.
#[derive(Clone)]
pub(crate) enum Services {
    /// They go on: a file is exchanged under them.
    GoOn,
    /// They are stopped, and started again.
    Stop,
    /// There are none yet: the application is deployed from this file.
    Deploy(AppFile),
}

/// What is exchanged, and how.
#[derive(Clone)]
pub(crate) struct Exchange {
    pub cx: Context,
    /// The application as it is called here.
    pub app: String,
    pub source: Source,
    pub parts: Vec<Part>,
    /// Dumps that a shell line of the stack loads, after the services have started.
    pub hooks: Vec<Dump>,
    pub services: Services,
    pub journal: Journal,
    /// Folder of everything that this restore writes and keeps.
    pub folder: PathBuf,
    /// Volumes of the local driver that have to be made.
    pub create: Vec<String>,
    /// What is to be known; lines of the plan.
    pub notes: Vec<String>,
    /// It is all of an application: the secrets that are kept for it are a part of it.
    pub whole: bool,
}

impl Exchange {
    /// Where the snapshot is written.
    pub fn staged(&self) -> PathBuf {
        self.folder.join("staged")
    }

    fn staged_at(&self, path: &str) -> PathBuf {
        self.staged().join(path.trim_start_matches('/'))
    }

    /// Where the restored one of a part waits.
    fn new_of(&self, at: usize, part: &Part) -> PathBuf {
        match part.kind {
            PartKind::Files(_) => self.staged_at(&part.from),
            PartKind::Database(_) => self.folder.join("fresh").join(at.to_string()),
        }
    }

    fn swaps(&self) -> Vec<Swap> {
        let swap = |(at, part): (usize, &Part)| Swap {
            live: part.live.clone(),
            new: self.new_of(at, part),
            old: self.folder.join("old").join(at.to_string()),
        };
        self.parts.iter().enumerate().map(swap).collect()
    }

    /// The state before anything was changed.
    pub(super) fn state(&self, phase: Phase, replicas: Vec<(String, u64)>) -> RestoreState {
        RestoreState {
            app: self.app.clone(),
            phase,
            begun: jiff::Timestamp::now(),
            snapshot: self.source.id.clone(),
            snapshot_at: self.source.at,
            folder: self.folder.clone(),
            swaps: self.swaps(),
            replicas,
            deployed: matches!(self.services, Services::Deploy(_)),
        }
    }

    async fn manager(&self, cx: &Cx) -> Result<(Cx, NodeHandle), StepError> {
        let manager = self.cx.nodes.manager().await;
        let manager = manager.map_err(|e| StepError::failed(e.to_string()))?;
        Ok((services::on_manager(cx, manager), manager.clone()))
    }

    /// What is there now, in use or in the way: size of each live path; `None` where there is none.
    async fn found(&self) -> Result<Vec<Found>, StepError> {
        let script = r#"for p; do
if [ -d "$p" ]; then
    mountpoint -q -- "$p" && m=m || m=-
    [ -n "$(ls -A -- "$p" | head -n 1)" ] && e=full || e=empty
    echo "$m $e"
elif [ -e "$p" ] || [ -L "$p" ]; then echo '- full'; else echo '- none'; fi; done"#;
        let look = Command::sh(script)
            .args(self.parts.iter().map(|p| p.live.display().to_string()))
            .sudo()
            .timeout(Duration::from_secs(60))
            .label("what is there now");
        let text = self.journal.host.run_ok(&look).await?.text();
        Ok(text
            .lines()
            .map(|line| Found {
                mounted: line.starts_with('m'),
                there: !line.ends_with("none"),
                full: line.ends_with("full"),
            })
            .collect())
    }

    fn wanted<'a>(&'a self, file: &'a AppFile) -> Wanted<'a> {
        Wanted {
            stack: Some(&file.stack),
            app: &self.app,
            variables: &file.variables,
            switches: file.edge.clone(),
            rotate: &[],
            images: &deploy::SAME_IMAGES,
            place: None,
        }
    }

    async fn lines(&self, cx: &Cx) -> Result<Vec<Change>, StepError> {
        let mut lines = Vec::new();
        let old = format!("as it was at {}", self.source.shown());
        for (part, found) in self.parts.iter().zip(self.found().await?) {
            let live = part.live.display();
            if found.mounted {
                return Err(StepError::failed(format!(
                    "{live} is a file system of its own: it can't be exchanged by a rename; restore into a folder and copy"
                )));
            }
            let what = match part.kind {
                PartKind::Files(_) => old.clone(),
                PartKind::Database(_) => format!("made anew, its dump loaded, {old}"),
            };
            let line = match found.there {
                true => Change::modify(live.to_string(), "as it is now", what),
                false => Change::add(format!("{live}: {what}")),
            };
            let beside =
                matches!(self.services, Services::Deploy(_)) && self.app != self.source.app;
            if beside && found.full {
                lines.push(Change::decide(format!(
                    "{live} holds data already: choose another name, or remove it"
                )));
                continue;
            }
            lines.push(match found.full {
                true => line.warn(format!(
                    "what was written since is set aside, and kept until `matou restore forget {}`",
                    self.app
                )),
                false => line,
            });
        }
        lines.extend(self.notes.iter().map(Change::same));
        let (manager, handle) = self.manager(cx).await?;
        match &self.services {
            Services::GoOn => {}
            Services::Stop => {
                for (name, replicas) in services::replicas(&manager, &self.app).await? {
                    lines.push(
                        Change::modify(
                            format!("service {name}"),
                            format!("{replicas} running"),
                            "stopped, then started again",
                        )
                        .warn("it does not answer meanwhile"),
                    );
                }
            }
            Services::Deploy(file) => {
                let steps = deploy::steps(&self.wanted(file), &handle, &self.cx).await;
                for step in steps.map_err(StepError::failed)? {
                    match step.check(&manager).await? {
                        Check::Done(more) | Check::Change(more) => lines.extend(more),
                        Check::Unknown(_) => {}
                    }
                }
            }
        }
        Ok(lines)
    }

    /// Everything, and back again when it goes wrong.
    pub(super) async fn run(&self, cx: &Cx) -> Result<(), StepError> {
        let (manager, handle) = self.manager(cx).await?;
        let replicas = match self.services {
            Services::Stop => services::replicas(&manager, &self.app).await?,
            _ => Vec::new(),
        };
        let mut state = self.state(Phase::Restoring, replicas);
        self.journal.write(&state).await?;
        match self.forward(&manager, &handle, &state).await {
            Ok(()) => {
                state.phase = Phase::Restored;
                self.journal.write(&state).await?;
                if !self.sets_aside().await? {
                    // Nothing was there before: there is nothing to go back to.
                    return self.journal.clear(&state).await;
                }
                let rests = [self.staged(), self.folder.join("fresh")];
                self.journal.remove(&rests).await?;
                cx.out
                    .note(format!(
                        "what was there before is kept: `matou restore undo {0}` brings it back, `matou restore forget {0}` lets it go",
                        self.app
                    ))
                    .await;
                Ok(())
            }
            Err(why) => {
                cx.out.note(format!("{why}: it is taken back")).await;
                // Taking back is not cancelled with the job.
                let calm = Cx {
                    cancel: tokio_util::sync::CancellationToken::new(),
                    ..manager
                };
                match take_back(&calm, &self.journal, &state).await {
                    Ok(()) if matches!(why, StepError::Cancelled) => Err(why),
                    Ok(()) => Err(StepError::failed(format!(
                        "{why}; it was taken back: {} is as it was",
                        self.app
                    ))),
                    Err(worse) => Err(StepError::failed(format!(
                        "{why}; and it could not be taken back: {worse}. When that is mended, `matou restore undo {}` does it",
                        self.app
                    ))),
                }
            }
        }
    }

    async fn forward(
        &self,
        manager: &Cx,
        handle: &NodeHandle,
        state: &RestoreState,
    ) -> Result<(), StepError> {
        let nodes = &self.cx.nodes;
        let check = services::Answer::of(self, handle).await?;
        let answered = check.now(manager).await;
        if matches!(self.services, Services::Stop) {
            services::stop(manager, &self.app).await?;
        }
        self.make_ready().await?;
        self.journal.forward(&state.swaps).await?;
        manager
            .out
            .note("the restored folders are in place".to_owned())
            .await;
        let databases = self.databases();
        match &self.services {
            Services::GoOn => return Ok(()),
            Services::Stop => {
                let named = |(name, _): &(String, u64)| {
                    let mut all = databases.iter();
                    all.any(|short| *name == format!("{}_{short}", self.app))
                };
                let (first, then): (Vec<_>, Vec<_>) =
                    state.replicas.iter().cloned().partition(named);
                services::start(manager, &first).await?;
                self.load(manager, nodes).await?;
                services::start(manager, &then).await?;
            }
            Services::Deploy(file) => {
                let wanted = self.wanted(file);
                if !databases.is_empty() {
                    let steps = deploy::some(&wanted, handle, &self.cx, &databases).await;
                    run_steps(manager, steps.map_err(StepError::failed)?).await?;
                    self.load(manager, nodes).await?;
                }
                let steps = deploy::steps(&wanted, handle, &self.cx).await;
                run_steps(manager, steps.map_err(StepError::failed)?).await?;
            }
        }
        self.hooks(manager, nodes).await?;
        check.after(manager, answered).await
    }

    /// Whether something of before is kept.
    async fn sets_aside(&self) -> Result<bool, StepError> {
        let look = Command::sh("ls -A -- \"$1\" 2>/dev/null | head -n 1")
            .arg(self.folder.join("old").display().to_string())
            .sudo()
            .timeout(Duration::from_secs(20))
            .label("what is set aside");
        Ok(!self.journal.host.run_ok(&look).await?.text().is_empty())
    }

    /// Services of the application that are database servers whose dump is loaded.
    fn databases(&self) -> Vec<String> {
        let loads = self.parts.iter().flat_map(Part::loads);
        let mut names: Vec<String> = loads.map(|l| l.service.clone()).collect();
        names.sort();
        names.dedup();
        names
    }

    /// New data folders, consistent copies over the files of SQLite, volumes of the local driver,
    /// kept secrets.
    async fn make_ready(&self) -> Result<(), StepError> {
        let host = &self.journal.host;
        for (at, part) in self.parts.iter().enumerate() {
            match &part.kind {
                PartKind::Database(_) => {
                    let make = Command::sh(
                        "set -e; rm -rf -- \"$1\"; mkdir -p -m 700 -- \"$(dirname \"$1\")\"; mkdir -m 755 -- \"$1\"; \
                         for r in \"$2\" \"$3\"; do [ -d \"$r\" ] || continue; chown --reference=\"$r\" -- \"$1\"; chmod --reference=\"$r\" -- \"$1\"; break; done",
                    )
                    .arg(self.new_of(at, part).display().to_string())
                    .arg(part.live.display().to_string())
                    .arg(self.staged_at(&part.from).display().to_string())
                    .sudo()
                    .timeout(Duration::from_secs(30))
                    .label("new data folder");
                    host.run_ok(&make).await?;
                }
                PartKind::Files(copies) => {
                    for (copy, replaced) in copies {
                        // Owner and mode stay those of the file that is replaced.
                        let place = Command::sh(
                            "set -e; [ ! -e \"$2\" ] || { chown --reference=\"$2\" -- \"$1\"; chmod --reference=\"$2\" -- \"$1\"; }; \
                             rm -f -- \"$2-wal\" \"$2-shm\" \"$2-journal\"; cp -pf -- \"$1\" \"$2\"",
                        )
                        .arg(self.staged_at(copy).display().to_string())
                        .arg(self.staged_at(replaced).display().to_string())
                        .sudo()
                        .timeout(Duration::from_secs(3600))
                        .label("consistent copy of the database");
                        host.run_ok(&place).await?;
                    }
                }
            }
        }
        for volume in &self.create {
            let create = Command::new("docker")
                .args(["volume", "create", "--label"])
                .arg(format!("com.docker.stack.namespace={}", self.app))
                .arg(volume)
                .sudo()
                .timeout(Duration::from_secs(30));
            host.run_ok(&create).await?;
        }
        let secrets = self.source.own("secrets").filter(|_| self.whole);
        let Some(secrets) = secrets else {
            return Ok(());
        };
        let to = crate::backup::data(&self.cx.config)
            .join("secrets")
            .join(&self.app);
        // Values that are there already win: what runs was made with them.
        let copy = Command::sh(
            "set -e; umask 077; [ -d \"$1\" ] || exit 0; mkdir -p -m 700 -- \"$2\"; \
             [ -z \"$3\" ] || [ -z \"$(ls -A -- \"$2\")\" ] || exit 0; cp -pn -- \"$1\"/* \"$2\"/",
        )
        .arg(self.staged_at(&secrets).display().to_string())
        .arg(to.display().to_string())
        // Of what runs, older values are of no use beside newer ones.
        .arg(if matches!(self.services, Services::Deploy(_)) {
            ""
        } else {
            "lost"
        })
        .sudo()
        .timeout(Duration::from_secs(30))
        .label("secrets of the snapshot");
        host.run_ok(&copy).await?;
        Ok(())
    }

    /// Loads every dump.
    async fn load(&self, manager: &Cx, nodes: &Nodes) -> Result<(), StepError> {
        for part in &self.parts {
            for load in part.loads() {
                let service = format!("{}_{}", self.app, load.service);
                let staged = self.staged_at(&load.dump);
                let places = (&self.journal.host, part.live.as_path(), staged.as_path());
                load.run(manager, nodes, &service, places).await?;
            }
        }
        Ok(())
    }

    /// Runs the shell lines of the stack that load a dump.
    async fn hooks(&self, manager: &Cx, nodes: &Nodes) -> Result<(), StepError> {
        for dump in &self.hooks {
            let (Some(line), file) = (&dump.restore, &dump.file) else {
                continue;
            };
            let service = format!("{}_{}", self.app, dump.service);
            super::database::hook(manager, nodes, &service, line, file).await?;
        }
        Ok(())
    }
}

struct Found {
    mounted: bool,
    there: bool,
    full: bool,
}

/// Checks, applies and verifies steps one after another, as a job does.
pub(super) async fn run_steps(cx: &Cx, steps: Vec<Box<dyn Step>>) -> Result<(), StepError> {
    for step in steps {
        match step.check(cx).await? {
            Check::Done(_) => continue,
            Check::Change(_) | Check::Unknown(_) => {}
        }
        step.apply(cx).await?;
        step.verify(cx).await?;
    }
    Ok(())
}

/// Takes a restore back, wherever it stopped: services stopped, folders exchanged back, replicas
/// given back, what it wrote removed. `cx` is of a manager.
pub(super) async fn take_back(
    cx: &Cx,
    journal: &Journal,
    state: &RestoreState,
) -> Result<(), StepError> {
    if state.deployed {
        services::remove(cx, &state.app).await?;
    } else if !state.replicas.is_empty() {
        services::stop(cx, &state.app).await?;
    }
    journal.back(&state.swaps).await?;
    services::give_back(cx, &state.replicas).await?;
    journal.clear(state).await
}

/// The step of a job.
pub(crate) struct ExchangeStep(pub Arc<Exchange>);

#[async_trait]
impl Step for ExchangeStep {
    fn name(&self) -> String {
        "exchange".into()
    }

    fn timeout(&self) -> Duration {
        PATIENCE
    }

    fn clean_up(&self) -> Duration {
        TAKING_BACK
    }

    async fn check(&self, cx: &Cx) -> Result<Check, StepError> {
        Ok(Check::Change(self.0.lines(cx).await?))
    }

    async fn apply(&self, cx: &Cx) -> Result<(), StepError> {
        let (work, cx) = (self.0.clone(), cx.clone());
        // Goes on when the job's future is dropped.
        let running = tokio::spawn(async move { work.run(&cx).await });
        running
            .await
            .map_err(|e| StepError::failed(format!("a bug in matou: {e}")))?
    }

    async fn verify(&self, _: &Cx) -> Result<(), StepError> {
        match self.0.journal.read().await? {
            Some(state) if state.is_interrupted() => {
                Err(StepError::failed("the restore did not come to its end"))
            }
            _ => Ok(()),
        }
    }
}

/// Writes down that the snapshot is being written, before it is.
pub(crate) struct Begin(pub Arc<Exchange>);

#[async_trait]
impl Step for Begin {
    fn name(&self) -> String {
        "begin".into()
    }

    /// What an earlier restore left is looked at first.
    async fn check(&self, _: &Cx) -> Result<Check, StepError> {
        let app = &self.0.app;
        Ok(match self.0.journal.read().await? {
            None => Check::Change(Vec::new()),
            Some(state) if state.is_interrupted() => Check::Change(vec![Change::modify(
                format!("the restore of {app} that was interrupted"),
                "half done",
                "taken back first",
            )]),
            Some(state) => Check::Change(vec![Change::decide(format!(
                "the data that a restore {} set aside is still kept: `matou restore undo {app}` brings it back, `matou restore forget {app}` lets it go; then restore again",
                state.begun.strftime("at %Y-%m-%d %H:%M UTC")
            ))]),
        })
    }

    async fn apply(&self, cx: &Cx) -> Result<(), StepError> {
        let work = &self.0;
        if let Some(state) = work.journal.read().await? {
            let (manager, _) = work.manager(cx).await?;
            super::undo::resolve(&manager, &work.journal, &state).await?;
        }
        if work.sets_aside().await? {
            return Err(StepError::failed(format!(
                "{} holds data that an earlier restore set aside, and nothing tells of which: look at it, then remove it",
                work.folder.join("old").display()
            )));
        }
        work.journal
            .remove(std::slice::from_ref(&work.folder))
            .await?;
        let state = work.state(Phase::Staging, Vec::new());
        work.journal.write(&state).await
    }

    async fn verify(&self, _: &Cx) -> Result<(), StepError> {
        Ok(())
    }
}

/// The name of the unit that writes an application's snapshot.
pub(super) fn unit(app: &str) -> String {
    format!("matou-restore-{app}")
}

/// Whether a path lies in a folder.
pub(super) fn within(path: &Path, folder: &Path) -> bool {
    path.starts_with(folder)
}
