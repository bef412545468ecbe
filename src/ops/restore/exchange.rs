//! The heart of a restore: services stopped, folders exchanged by renames, databases loaded,
//! services started, the answer checked. What goes wrong is taken back: the folders first, then the
//! replicas.

use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::time::Duration;

use async_trait::async_trait;

use super::database::Place;
use super::journal::Journal;
use super::machine::{self, TakenBack};
use super::parts::{Part, PartKind};
use super::rise::Rising;
use super::services;
use super::site::Site;
use super::source::Source;
use super::users::{self, Folders, Users};
use crate::backup::{Phase, RestoreState, Swap};
use crate::docker::Nodes;
use crate::host::{Command, Confined};
use crate::job::{Change, Check, Cx, Step, StepError};
use crate::ops::Context;
use crate::ops::deploy::{self, Wanted};
use crate::stack::{AppFile, Dump};

/// How long everything may take, loading a large dump above all.
const PATIENCE: Duration = Duration::from_secs(12 * 3600);

/// How long taking back may take after the job was cancelled.
const TAKING_BACK: Duration = Duration::from_secs(300);

/// Puts the dump `$1` in the place of the file `$2`, whose owner and mode it gets, and whatever else
/// lies there goes.
const COPY: &str = r#"set -e; plain "$1"
if [ -f "$2" ] && [ ! -L "$2" ]; then chown --reference="$2" -- "$1"; chmod --reference="$2" -- "$1"; fi
rm -f -- "$2-wal" "$2-shm" "$2-journal"; cp -pP --remove-destination -T -- "$1" "$2""#;

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
    /// When it was asked for: tells it from every other.
    pub begun: jiff::Timestamp,
    /// It is all of an application: the secrets that are kept for it are a part of it.
    pub whole: bool,
}

impl Exchange {
    /// Where root follows no link while it exchanges and writes.
    pub(super) fn confined(&self) -> Confined {
        self.journal.confined([self.folder.as_path()])
    }

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
            old: self
                .folder
                .join("old")
                .join(format!("{at}-{}", name_of(&part.live))),
        };
        self.parts.iter().enumerate().map(swap).collect()
    }

    /// The state before anything was changed.
    pub(super) fn state(&self, phase: Phase) -> RestoreState {
        RestoreState {
            app: self.app.clone(),
            phase,
            begun: self.begun,
            snapshot: self.source.id.clone(),
            snapshot_at: self.source.at,
            folder: self.folder.clone(),
            swaps: self.swaps(),
            volumes: self.parts.iter().map(|p| p.volume.clone()).collect(),
            replicas: Vec::new(),
            deployed: matches!(self.services, Services::Deploy(_)),
        }
    }

    /// What is there now, in use or in the way.
    async fn found(&self) -> Result<Vec<Found>, StepError> {
        let script = r#"while [ $# -ge 2 ]; do p=$1 above=$1 folder=$2 link=; shift 2
while [ "$above" != "$folder" ] && above=$(dirname -- "$above") && [ "$above" != "$folder" ]; do
    [ ! -L "$above" ] || link=1
done
if [ "$link" ]; then echo '- linked'
elif [ -d "$p" ]; then
    mountpoint -q -- "$p" && m=m || m=-
    [ -n "$(ls -A -- "$p" | head -n 1)" ] && e=full || e=empty
    echo "$m $e"
elif [ -e "$p" ] || [ -L "$p" ]; then echo '- full'; else echo '- none'; fi; done"#;
        let places = self.parts.iter().flat_map(|p| [&p.live, &p.folder]);
        let look = self
            .confined()
            .sh(script)
            .args(places.map(|p| p.display().to_string()))
            .timeout(Duration::from_secs(60))
            .label("what is there now");
        let text = self.journal.host.run_ok(&look).await?.text();
        Ok(text
            .lines()
            .map(|line| Found {
                mounted: line.starts_with('m'),
                linked: line.ends_with("linked"),
                there: !line.ends_with("none"),
                full: line.ends_with("full"),
            })
            .collect())
    }

    /// Who uses the folders now.
    async fn users(&self, manager: &Cx) -> Result<Users, StepError> {
        let folders = Folders {
            volumes: self.parts.iter().map(|p| p.volume.clone()).collect(),
            paths: self.parts.iter().map(|p| p.live.clone()).collect(),
        };
        users::find(&self.cx, manager, &folders).await
    }

    pub(super) fn wanted<'a>(&'a self, file: &'a AppFile) -> Wanted<'a> {
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
            if found.linked {
                return Err(StepError::failed(format!(
                    "a folder above {live} is a link now, which somebody in a container of {} made: nothing is written through it; remove the link, or restore into a folder",
                    self.app
                )));
            }
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
        let site = Site::of(&self.cx, cx, &self.journal).await?;
        let who = self.users(&site.manager).await?;
        let own = services::replicas(&site.manager, &self.app).await?;
        let mut all = services::replicas_with(&site.manager, &self.app, &who.services).await?;
        all.retain(|(name, _)| {
            let is_own = own.iter().any(|(own, _)| own == name);
            match &self.services {
                Services::GoOn => false,
                Services::Stop => true,
                Services::Deploy(_) => !is_own,
            }
        });
        for (name, replicas) in all {
            let line = match services::is_stopped(replicas) {
                true => Change::modify(
                    format!("service {name}"),
                    services::shown(replicas),
                    "stopped, then started again",
                ),
                false => Change::modify(
                    format!("service {name}"),
                    services::shown(replicas),
                    "its tasks are waited for",
                ),
            };
            let is_own = own.iter().any(|(own, _)| *own == name);
            lines.push(match is_own {
                true => line.warn("it does not answer meanwhile"),
                false => line.warn(format!(
                    "it is none of {}, and uses the same data: it does not answer meanwhile, and finds what is restored",
                    self.app
                )),
            });
        }
        if !matches!(self.services, Services::GoOn) {
            lines.extend(who.containers.iter().map(|(name, node)| {
                Change::decide(format!(
                    "the container {name} on {node} uses the same data and is no service, so it can't be stopped here: stop it first, or it goes on in what is set aside"
                ))
            }));
        }
        lines.extend(who.silent.iter().map(|node| {
            Change::same(format!("{node} does not tell what runs there"))
                .warn("a container there that is no service and uses this data would go on in what is set aside")
        }));
        if let Services::Deploy(file) = &self.services {
            let manager = self.cx.nodes.manager().await;
            let handle = manager.map_err(|e| StepError::failed(e.to_string()))?;
            let steps = deploy::steps(&self.wanted(file), handle, &self.cx).await;
            for step in steps.map_err(StepError::failed)? {
                match step.check(&site.manager).await? {
                    Check::Done(more) | Check::Change(more) => lines.extend(more),
                    Check::Unknown(_) => {}
                }
            }
        }
        Ok(lines)
    }

    /// Everything, and back again when it goes wrong.
    pub(super) async fn run(&self, cx: &Cx) -> Result<(), StepError> {
        let rising = Rising::of(self, cx).await?;
        let mut state = self.state(Phase::Restoring);
        // Taking back is not cancelled with the job.
        let mut calm = rising.site.clone();
        calm.manager.cancel = tokio_util::sync::CancellationToken::new();
        let written = || self.journal.read();
        let done = machine::attempt(&rising, &calm, &mut state, written).await;
        let app = &self.app;
        let Err(TakenBack { why, kept, in_use }) = done else {
            if state.phase == Phase::Restored {
                cx.out
                    .note(format!(
                        "what was there before is kept: `matou restore undo {app}` brings it back, `matou restore forget {app}` lets it go"
                    ))
                    .await;
            }
            return Ok(());
        };
        if in_use {
            return Err(StepError::failed(format!(
                "{app} runs on the restored data, but that it is done could not be written down ({why}). When that is mended, `matou restore forget {app}` ends it, and lets go what was there before; `matou restore undo {app}` takes it back"
            )));
        }
        if matches!(kept, Ok(true)) {
            cx.out
                .note(format!(
                    "services ran on what was restored, so it is kept, with what they wrote: `matou restore forget {app}` lets it go"
                ))
                .await;
        }
        match kept {
            Ok(_) if matches!(why, StepError::Cancelled) => Err(why),
            Ok(_) => Err(StepError::failed(format!(
                "{why}; it was taken back: {app} is as it was"
            ))),
            Err(worse) => Err(StepError::failed(format!(
                "{why}; and it could not be taken back: {worse}. When that is mended, `matou restore undo {app}` does it"
            ))),
        }
    }

    /// Services of the application that are database servers whose dump is loaded.
    pub(super) fn databases(&self) -> Vec<String> {
        let loads = self.parts.iter().flat_map(Part::loads);
        let mut names: Vec<String> = loads.map(|l| l.service.clone()).collect();
        names.sort();
        names.dedup();
        names
    }

    /// New data folders, consistent copies over the files of SQLite, volumes of the local driver,
    /// kept secrets.
    pub(super) async fn make_ready(&self) -> Result<(), StepError> {
        let host = &self.journal.host;
        let confined = self.confined();
        for (at, part) in self.parts.iter().enumerate() {
            match &part.kind {
                PartKind::Database(_) => {
                    let make = confined.sh(
                        "set -e; rm -rf -- \"$1\"; mkdir -p -m 700 -- \"$(dirname \"$1\")\"; mkdir -m 755 -- \"$1\"; \
                         for r in \"$2\" \"$3\"; do [ -d \"$r\" ] || continue; chown --reference=\"$r\" -- \"$1\"; chmod --reference=\"$r\" -- \"$1\"; break; done",
                    )
                    .arg(self.new_of(at, part).display().to_string())
                    .arg(part.live.display().to_string())
                    .arg(self.staged_at(&part.from).display().to_string())
                    .timeout(Duration::from_secs(30))
                    .label("new data folder");
                    host.run_ok(&make).await?;
                }
                PartKind::Files(copies) => {
                    for (copy, replaced) in copies {
                        let place = confined
                            .sh(&format!("{}{COPY}", super::database::PLAIN))
                            .arg(self.staged_at(copy).display().to_string())
                            .arg(self.staged_at(replaced).display().to_string())
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
        let copy = confined
            .sh(
                "set -e; umask 077; [ -d \"$1\" ] || exit 0; mkdir -p -m 700 -- \"$2\"; \
             [ -z \"$3\" ] || [ -z \"$(ls -A -- \"$2\")\" ] || exit 0; \
             find \"$1\" -maxdepth 1 -type f -exec cp -pn -t \"$2\" -- {} +",
            )
            .arg(self.staged_at(&secrets).display().to_string())
            .arg(to.display().to_string())
            // Of what runs, older values are of no use beside newer ones.
            .arg(if matches!(self.services, Services::Deploy(_)) {
                ""
            } else {
                "lost"
            })
            .timeout(Duration::from_secs(30))
            .label("secrets of the snapshot");
        host.run_ok(&copy).await?;
        Ok(())
    }

    /// Loads every dump.
    pub(super) async fn load(&self, manager: &Cx, nodes: &Nodes) -> Result<(), StepError> {
        for part in &self.parts {
            for load in part.loads() {
                let service = format!("{}_{}", self.app, load.service);
                let staged = self.staged_at(&load.dump);
                let place = Place {
                    storage: &self.journal.host,
                    confined: self.confined().and([&part.folder]),
                    live: &part.live,
                    staged: &staged,
                };
                load.run(manager, nodes, &service, place).await?;
            }
        }
        Ok(())
    }

    /// Runs the shell lines of the stack that load a dump.
    pub(super) async fn hooks(&self, manager: &Cx, nodes: &Nodes) -> Result<(), StepError> {
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

/// The last part of a path, for a name of matou's own.
fn name_of(path: &Path) -> String {
    let own = path.components().rev().find(|c| c.as_os_str() != "_data");
    own.map_or_else(String::new, |c| {
        let name = c.as_os_str().to_string_lossy();
        name.chars().filter(|c| !c.is_control()).take(80).collect()
    })
}

struct Found {
    mounted: bool,
    /// A folder above it, in its volume, is a link.
    linked: bool,
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
        let kept = |state: &RestoreState| {
            Change::decide(format!(
                "the data that a restore {} set aside is still kept: `matou restore undo {app}` brings it back, `matou restore forget {app}` lets it go; then restore again",
                state.begun.strftime("at %Y-%m-%d %H:%M UTC")
            ))
        };
        Ok(match self.0.journal.read().await? {
            None => Check::Change(Vec::new()),
            Some(state) => Check::Change(vec![match state.phase {
                Phase::Restored => kept(&state),
                Phase::Undone => Change::modify(
                    format!("what a restore of {app} had put in place, and was undone"),
                    "kept",
                    format!("kept beside, until `matou restore forget {app}`"),
                ),
                Phase::Loading | Phase::Started => Change::modify(
                    format!(
                        "the restore of {app} that was interrupted when its services ran on it"
                    ),
                    "half done",
                    format!(
                        "taken back first; what they wrote is kept beside, until `matou restore forget {app}`"
                    ),
                ),
                _ => Change::modify(
                    format!("the restore of {app} that was interrupted"),
                    "half done",
                    "taken back first",
                ),
            }]),
        })
    }

    async fn apply(&self, cx: &Cx) -> Result<(), StepError> {
        let work = &self.0;
        let site = Site::of(&work.cx, cx, &work.journal).await?;
        let earlier = work.journal.read().await?;
        machine::begin(&site, earlier, &work.state(Phase::Staging)).await
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
