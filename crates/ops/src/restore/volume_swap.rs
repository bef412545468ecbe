//! What a restore into place swaps: the folders, what is made beside them first, and the dumps that
//! are loaded after.

use matou_i18n::tr;
use std::collections::BTreeMap;
use std::path::{Path, PathBuf};
use std::time::Duration;

use super::database::DumpLocation;
use super::environment::ServerEnvironment;
use super::folder_users::{self, FolderUsers, SwappedFolders};
use super::new_volume::NewVolume;
use super::parts::{PartKind, RestorePart};
use super::services::{self, ServiceHandling};
use super::source::RestoreSource;
use super::swap_log::{ENGINE_RESTORES, SwapLog};
use crate::FleetContext;
use crate::deploy::{self, DeployOptions};
use crate::page::JobPage;
use matou_backup::{FolderSwap, RestorePhase, RestoreState};
use matou_docker::Nodes;
use matou_host::{ConfinedFolders, shell_script};
use matou_job::{Change, Check, StepContext, StepError};
use matou_stack::{AppFile, Dump};

/// Replaces whatever lies at `$2` by the dump `$1`, which gets owner and mode of the file there.
/// Removes SQLite's files beside it.
const REPLACE_FILE: &str = shell_script(include_str!("../../scripts/replace_database_file.sh"));

/// One restore into place: what is swapped, and what happens to the services.
#[derive(Clone)]
pub(crate) struct VolumeSwap {
    pub fleet: FleetContext,
    /// The application as it is called here.
    pub app: String,
    pub source: RestoreSource,
    pub parts: Vec<RestorePart>,
    /// Dumps that a shell line of the stack loads, after the services have started.
    pub hooks: Vec<Dump>,
    pub services: ServiceHandling,
    pub swap_log: SwapLog,
    /// Folder of everything that this restore writes and keeps.
    pub folder: PathBuf,
    /// Volumes that have to be made.
    pub volumes_to_create: Vec<NewVolume>,
    /// Notes for the operator; lines of the plan.
    pub notes: Vec<String>,
    /// When it was asked for. Identifies this restore.
    pub begun: jiff::Timestamp,
    /// A whole application is restored, with its kept secrets.
    pub whole_app: bool,
}

impl VolumeSwap {
    /// Returns the folders in which root follows no link during the restore.
    pub(super) fn confined_folders(&self) -> ConfinedFolders {
        self.swap_log.confined_folders([self.folder.as_path()])
    }

    /// Where the snapshot is written.
    pub(crate) fn staging_folder(&self) -> PathBuf {
        self.folder.join("staged")
    }

    /// Returns the swap log's work on the node that has a part.
    ///
    /// # Errors
    /// The node is not in config.toml.
    pub(super) fn log_of(&self, part: &RestorePart) -> Result<SwapLog, crate::OpsError> {
        self.log_on(part.node.as_deref())
    }

    fn log_on(&self, node: Option<&str>) -> Result<SwapLog, crate::OpsError> {
        let Some(name) = node else {
            return Ok(self.swap_log.clone());
        };
        let node = self.fleet.nodes.get(name);
        let node = node.ok_or_else(|| tr!("the node {name} is not in config.toml"))?;
        Ok(self.swap_log.on_host(&node.host))
    }

    /// Returns the folder of this restore on the node that has a part: beside the volumes of its engine.
    pub(super) fn folder_of(&self, part: &RestorePart) -> PathBuf {
        match (&part.node, part.folder.ancestors().nth(3)) {
            (Some(_), Some(root)) => root.join(ENGINE_RESTORES).join(&self.app),
            _ => self.folder.clone(),
        }
    }

    pub(super) fn staged_path(&self, path: &str) -> PathBuf {
        self.staging_folder().join(path.trim_start_matches('/'))
    }

    /// Returns where the restored data of a part lies before the swap.
    fn new_path(&self, at: usize, part: &RestorePart) -> PathBuf {
        match part.kind {
            PartKind::Files(_) if part.node.is_some() => self.sent_path(at, part),
            PartKind::Files(_) => self.staged_path(&part.from),
            PartKind::Database(_) => self.folder_of(part).join("fresh").join(at.to_string()),
        }
    }

    /// Where a part lies on another node when it was sent whole.
    fn sent_path(&self, at: usize, part: &RestorePart) -> PathBuf {
        self.folder_of(part).join("new").join(at.to_string())
    }

    pub(super) fn folder_swaps(&self) -> Vec<FolderSwap> {
        let swap = |(at, part): (usize, &RestorePart)| FolderSwap {
            node: part.node.clone(),
            live: part.live.clone(),
            new: self.new_path(at, part),
            old: self
                .folder_of(part)
                .join("old")
                .join(format!("{at}-{}", folder_label(&part.live))),
        };
        self.parts.iter().enumerate().map(swap).collect()
    }

    /// Returns the state as it is before anything is changed.
    pub(super) fn initial_state(&self, phase: RestorePhase) -> RestoreState {
        RestoreState {
            app: self.app.clone(),
            phase,
            begun: self.begun,
            snapshot: self.source.id.clone(),
            snapshot_at: self.source.at,
            folder: self.folder.clone(),
            swaps: self.folder_swaps(),
            volumes: self.parts.iter().map(|p| p.volume.clone()).collect(),
            replicas: Vec::new(),
            deployed: matches!(self.services, ServiceHandling::Deploy(_)),
            pins: Vec::new(),
        }
    }

    /// Looks at the live folder of every part.
    async fn inspect_live_folders(&self) -> Result<Vec<LiveFolder>, StepError> {
        let script = shell_script(include_str!("../../scripts/inspect_live_folders.sh"));
        let mut found = Vec::new();
        for some in self.parts.chunk_by(|a, b| a.node == b.node) {
            let log = self.log_of(&some[0])?;
            let folder = self.folder_of(&some[0]);
            let places = some.iter().flat_map(|p| [&p.live, &p.folder]);
            let look = log
                .confined_folders([folder.as_path()])
                .sh(script)
                .args(places.map(|p| p.display().to_string()))
                .timeout(Duration::from_secs(60))
                .label(tr!("what is there now"));
            let text = log.host.run_ok(&look).await?.stdout_text();
            found.extend(text.lines().map(|line| LiveFolder {
                mounted: line.starts_with('m'),
                linked: line.ends_with("linked"),
                there: !line.ends_with("none"),
                full: line.ends_with("full"),
            }));
        }
        Ok(found)
    }

    /// Who uses the folders now.
    async fn find_users(&self, manager: &StepContext) -> Result<FolderUsers, StepError> {
        let folders = SwappedFolders::of_state(&self.initial_state(RestorePhase::Staging));
        folder_users::find_folder_users(&self.fleet, manager, &folders).await
    }

    pub(super) fn deploy_options<'a>(
        &'a self,
        file: &'a AppFile,
        pins: &'a BTreeMap<String, Vec<String>>,
    ) -> DeployOptions<'a> {
        DeployOptions {
            kept_comes_back: self.source.matou_folder("secrets").is_some(),
            stack: Some(&file.stack),
            app: &self.app,
            variables: &file.variables,
            names: Default::default(),
            switches: file.edge.clone(),
            rotate: &[],
            images: &deploy::NO_NEW_IMAGES,
            place: None,
            budget: None,
            revision: None,
            pins,
            why: tr!("restore {}", self.app),
        }
    }

    /// The page that visitors see meanwhile: of an application that is stopped.
    pub(super) fn job_page(&self) -> Option<JobPage> {
        let stops = matches!(self.services, ServiceHandling::Stop);
        stops.then(|| JobPage::new(&self.app, format!("restore {}", self.app), &self.fleet))
    }

    pub(super) async fn plan_lines(&self, cx: &StepContext) -> Result<Vec<Change>, StepError> {
        let mut lines = self.plan_folder_lines().await?;
        lines.extend(self.notes.iter().map(Change::same));
        if let Some(page) = self.job_page() {
            lines.extend(page.plan_line(cx).await?);
        }
        let site = ServerEnvironment::connect(&self.fleet, cx, &self.swap_log).await?;
        let who = self.find_users(&site.manager).await?;
        lines.extend(self.plan_service_lines(&site.manager, &who).await?);
        if !matches!(self.services, ServiceHandling::KeepRunning) {
            lines.extend(who.containers.iter().map(|(name, node)| {
                Change::decide(tr!(
                    "the container {name} on {node} uses the same data and is no service, so it can't be stopped here: stop it first, or it goes on in what is set aside"
                ))
            }));
        }
        lines.extend(who.silent.iter().map(|node| {
            Change::same(tr!("{node} does not tell what runs there"))
                .with_warning(tr!("a container there that is no service and uses this data would go on in what is set aside"))
        }));
        if let ServiceHandling::Deploy(file) = &self.services {
            let manager = self.fleet.nodes.find_manager().await;
            let handle = manager?;
            let wanted = self.deploy_options(file, &deploy::NO_PINS);
            let steps = deploy::deploy_steps(&wanted, handle, &self.fleet).await;
            for step in steps? {
                match step.check(&site.manager).await? {
                    Check::Done(more) | Check::Change(more) => lines.extend(more),
                    Check::Unknown(_) => {}
                }
            }
        }
        Ok(lines)
    }

    /// Says what happens to each folder; what was written there since is set aside.
    async fn plan_folder_lines(&self) -> Result<Vec<Change>, StepError> {
        let mut lines = Vec::new();
        let old = tr!("as it was at {}", self.source.describe());
        for (part, found) in self.parts.iter().zip(self.inspect_live_folders().await?) {
            let live = match &part.node {
                Some(node) => format!("{node}:{}", part.live.display()),
                None => part.live.display().to_string(),
            };
            if found.linked {
                return Err(StepError::failed(tr!(
                    "a folder above {live} is a link now, which somebody in a container of {} made: nothing is written through it; remove the link, or restore into a folder",
                    self.app
                )));
            }
            if found.mounted {
                return Err(StepError::failed(tr!(
                    "{live} is a file system of its own: it can't be exchanged by a rename; restore into a folder and copy"
                )));
            }
            let what = match part.kind {
                PartKind::Files(_) => old.clone(),
                PartKind::Database(_) => tr!("made anew, its dump loaded, {old}"),
            };
            let line = match found.there {
                true => Change::modify(live.clone(), tr!("as it is now"), what),
                false => Change::add(format!("{live}: {what}")),
            };
            let beside =
                matches!(self.services, ServiceHandling::Deploy(_)) && self.app != self.source.app;
            if beside && found.full {
                lines.push(Change::decide(tr!(
                    "{live} holds data already: choose another name, or remove it"
                )));
                continue;
            }
            lines.push(match found.full {
                true => line.with_warning(tr!(
                    "what was written since is set aside, and kept until `matou restore forget {}`",
                    self.app
                )),
                false => line,
            });
        }
        Ok(lines)
    }

    /// Says which services are stopped meanwhile: its own, and those that use the same data.
    async fn plan_service_lines(
        &self,
        manager: &StepContext,
        who: &FolderUsers,
    ) -> Result<Vec<Change>, StepError> {
        let mut lines = Vec::new();
        let own = services::query_app_replicas(manager, &self.app).await?;
        let mut all = services::query_replicas_with(manager, &self.app, &who.services).await?;
        all.retain(|(name, _)| {
            let is_own = own.iter().any(|(own, _)| own == name);
            match &self.services {
                ServiceHandling::KeepRunning => false,
                ServiceHandling::Stop => true,
                ServiceHandling::Deploy(_) => !is_own,
            }
        });
        for (name, replicas) in all {
            let line = match services::can_be_stopped(replicas) {
                true => Change::modify(
                    tr!("service {name}"),
                    services::format_replicas(replicas),
                    tr!("stopped, then started again"),
                ),
                false => Change::modify(
                    tr!("service {name}"),
                    services::format_replicas(replicas),
                    tr!("not begun again; waited for where it runs"),
                ),
            };
            let is_own = own.iter().any(|(own, _)| *own == name);
            lines.push(match is_own {
                true => line.with_warning(tr!("it does not answer meanwhile")),
                false => line.with_warning(tr!(
                    "it is none of {}, and uses the same data: it does not answer meanwhile, and finds what is restored",
                    self.app
                )),
            });
        }
        Ok(lines)
    }

    /// Services of the application that are database servers whose dump is loaded.
    pub(super) fn database_services(&self) -> Vec<String> {
        let loads = self.parts.iter().flat_map(RestorePart::dump_loads);
        let mut names: Vec<String> = loads.map(|l| l.service.clone()).collect();
        names.sort();
        names.dedup();
        names
    }

    /// New data folders, consistent copies over the files of SQLite, new volumes, kept secrets.
    pub(super) async fn prepare_new_data(&self) -> Result<(), StepError> {
        let host = &self.swap_log.host;
        let confined = self.confined_folders();
        for (at, part) in self.parts.iter().enumerate() {
            match &part.kind {
                PartKind::Database(_) => {
                    let there = self.log_of(part)?;
                    let folder = self.folder_of(part);
                    let make = there
                        .confined_folders([folder.as_path()])
                        .sh(shell_script(include_str!(
                            "../../scripts/make_data_folder.sh"
                        )))
                        .arg(self.new_path(at, part).display().to_string())
                        .arg(part.live.display().to_string())
                        .arg(self.staged_path(&part.from).display().to_string())
                        .timeout(Duration::from_secs(30))
                        .label(tr!("new data folder"));
                    there.host.run_ok(&make).await?;
                }
                // What was sent had it before.
                PartKind::Files(_) if part.node.is_some() => {}
                PartKind::Files(_) => self.replace_databases(part).await?,
            }
        }
        for volume in &self.volumes_to_create {
            let there = self.log_on(volume.node.as_deref())?;
            let node = volume.node.as_deref().and_then(|n| self.fleet.nodes.get(n));
            let node = match node {
                Some(node) => node,
                None => self.fleet.find_storage_node()?,
            };
            let socket = &node.config.docker_socket;
            let make = volume.creation_command(&self.app, socket);
            let made = there.host.run_ok(&make).await?.stdout_text();
            if let Some(why) = volume.find_difference(&made) {
                return Err(StepError::failed(why));
            }
        }
        let secrets = self
            .source
            .matou_folder("secrets")
            .filter(|_| self.whole_app);
        let Some(secrets) = secrets else {
            return Ok(());
        };
        let to = matou_backup::matou_folder(&self.fleet.config)
            .join("secrets")
            .join(&self.app);
        // Values that are there already win: what runs was made with them.
        let copy = confined
            .sh(shell_script(include_str!("../../scripts/copy_secrets.sh")))
            .arg(self.staged_path(&secrets).display().to_string())
            .arg(to.display().to_string())
            // For an application that runs, secrets are copied only if none are kept: old values
            // beside newer ones would be of no use.
            .arg(if matches!(self.services, ServiceHandling::Deploy(_)) {
                ""
            } else {
                "lost"
            })
            .timeout(Duration::from_secs(30))
            .label(tr!("secrets of the snapshot"));
        host.run_ok(&copy).await?;
        Ok(())
    }

    /// Puts consistent copies over the files of SQLite, where the snapshot was written.
    pub(super) async fn replace_databases(&self, part: &RestorePart) -> Result<(), StepError> {
        let PartKind::Files(copies) = &part.kind else {
            return Ok(());
        };
        for (copy, replaced) in copies {
            let place = self
                .confined_folders()
                .sh(&format!(
                    "{}{REPLACE_FILE}",
                    super::database::CHECK_PLAIN_FILE
                ))
                .arg(self.staged_path(copy).display().to_string())
                .arg(self.staged_path(replaced).display().to_string())
                .timeout(Duration::from_secs(3600))
                .label(tr!("consistent copy of the database"));
            self.swap_log.host.run_ok(&place).await?;
        }
        Ok(())
    }

    /// Removes what was written beside and is not needed any more.
    pub(super) async fn remove_staging(&self) -> Result<(), StepError> {
        let rests = [self.staging_folder(), self.folder.join("fresh")];
        self.swap_log.remove_paths(&rests).await?;
        for part in self.parts.iter().filter(|p| p.node.is_some()) {
            let folder = self.folder_of(part);
            let rests = ["coming", "new", "fresh"].map(|rest| folder.join(rest));
            self.log_of(part)?.remove_paths(&rests).await?;
        }
        Ok(())
    }

    /// Loads every dump.
    pub(super) async fn load_dumps(
        &self,
        manager: &StepContext,
        nodes: &Nodes,
    ) -> Result<(), StepError> {
        for (at, part) in self.parts.iter().enumerate() {
            for load in part.dump_loads() {
                let service = format!("{}_{}", self.app, load.service);
                let inside = Path::new(&load.dump).strip_prefix(&part.from);
                let staged = match (&part.node, inside) {
                    (Some(_), Ok(rest)) => self.sent_path(at, part).join(rest),
                    _ => self.staged_path(&load.dump),
                };
                let there = self.log_of(part)?;
                let folder = self.folder_of(part);
                let confined = there.confined_folders([folder.as_path()]);
                let place = DumpLocation {
                    storage: &there.host,
                    confined: confined.with_folders([&part.folder]),
                    live: &part.live,
                    staged: &staged,
                };
                load.load_dump(manager, nodes, &service, place).await?;
            }
        }
        Ok(())
    }

    /// Runs the shell lines of the stack that load a dump.
    pub(super) async fn run_load_hooks(
        &self,
        manager: &StepContext,
        nodes: &Nodes,
    ) -> Result<(), StepError> {
        for dump in &self.hooks {
            let (Some(line), file) = (&dump.restore, &dump.file) else {
                continue;
            };
            let service = format!("{}_{}", self.app, dump.service);
            super::database::run_load_hook(manager, nodes, &service, line, file).await?;
        }
        Ok(())
    }
}

/// Returns a name made of the last part of a path that is not `_data`.
fn folder_label(path: &Path) -> String {
    let own = path.components().rev().find(|c| c.as_os_str() != "_data");
    own.map_or_else(String::new, |c| {
        let name = c.as_os_str().to_string_lossy();
        name.chars().filter(|c| !c.is_control()).take(80).collect()
    })
}

struct LiveFolder {
    mounted: bool,
    /// A folder between the volume's folder and this one is a link.
    linked: bool,
    there: bool,
    full: bool,
}
