//! What a restore into place swaps: the folders, what is made beside them first, and the dumps that
//! are loaded after.

use std::path::{Path, PathBuf};
use std::time::Duration;

use super::database::DumpLocation;
use super::environment::ServerEnvironment;
use super::folder_users::{self, FolderUsers, SwappedFolders};
use super::parts::{PartKind, RestorePart};
use super::services::{self, ServiceHandling};
use super::source::RestoreSource;
use super::swap_log::SwapLog;
use crate::FleetContext;
use crate::deploy::{self, DeployOptions};
use crate::page::JobPage;
use matou_backup::{FolderSwap, RestorePhase, RestoreState};
use matou_docker::Nodes;
use matou_host::{Command, ConfinedFolders, shell_script};
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
    /// Volumes of the local driver that have to be made.
    pub volumes_to_create: Vec<String>,
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

    fn staged_path(&self, path: &str) -> PathBuf {
        self.staging_folder().join(path.trim_start_matches('/'))
    }

    /// Returns where the restored data of a part lies before the swap.
    fn new_path(&self, at: usize, part: &RestorePart) -> PathBuf {
        match part.kind {
            PartKind::Files(_) => self.staged_path(&part.from),
            PartKind::Database(_) => self.folder.join("fresh").join(at.to_string()),
        }
    }

    pub(super) fn folder_swaps(&self) -> Vec<FolderSwap> {
        let swap = |(at, part): (usize, &RestorePart)| FolderSwap {
            live: part.live.clone(),
            new: self.new_path(at, part),
            old: self
                .folder
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
        }
    }

    /// Looks at the live folder of every part.
    async fn inspect_live_folders(&self) -> Result<Vec<LiveFolder>, StepError> {
        let script = shell_script(include_str!("../../scripts/inspect_live_folders.sh"));
        let places = self.parts.iter().flat_map(|p| [&p.live, &p.folder]);
        let look = self
            .confined_folders()
            .sh(script)
            .args(places.map(|p| p.display().to_string()))
            .timeout(Duration::from_secs(60))
            .label("what is there now");
        let text = self.swap_log.host.run_ok(&look).await?.stdout_text();
        Ok(text
            .lines()
            .map(|line| LiveFolder {
                mounted: line.starts_with('m'),
                linked: line.ends_with("linked"),
                there: !line.ends_with("none"),
                full: line.ends_with("full"),
            })
            .collect())
    }

    /// Who uses the folders now.
    async fn find_users(&self, manager: &StepContext) -> Result<FolderUsers, StepError> {
        let folders = SwappedFolders {
            volumes: self.parts.iter().map(|p| p.volume.clone()).collect(),
            paths: self.parts.iter().map(|p| p.live.clone()).collect(),
        };
        folder_users::find_folder_users(&self.fleet, manager, &folders).await
    }

    pub(super) fn deploy_options<'a>(&'a self, file: &'a AppFile) -> DeployOptions<'a> {
        DeployOptions {
            stack: Some(&file.stack),
            app: &self.app,
            variables: &file.variables,
            names: Default::default(),
            switches: file.edge.clone(),
            rotate: &[],
            images: &deploy::NO_NEW_IMAGES,
            place: None,
            revision: None,
            why: format!("restore {}", self.app),
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
                Change::decide(format!(
                    "the container {name} on {node} uses the same data and is no service, so it can't be stopped here: stop it first, or it goes on in what is set aside"
                ))
            }));
        }
        lines.extend(who.silent.iter().map(|node| {
            Change::same(format!("{node} does not tell what runs there"))
                .with_warning("a container there that is no service and uses this data would go on in what is set aside")
        }));
        if let ServiceHandling::Deploy(file) = &self.services {
            let manager = self.fleet.nodes.find_manager().await;
            let handle = manager?;
            let steps = deploy::deploy_steps(&self.deploy_options(file), handle, &self.fleet).await;
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
        let old = format!("as it was at {}", self.source.describe());
        for (part, found) in self.parts.iter().zip(self.inspect_live_folders().await?) {
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
                matches!(self.services, ServiceHandling::Deploy(_)) && self.app != self.source.app;
            if beside && found.full {
                lines.push(Change::decide(format!(
                    "{live} holds data already: choose another name, or remove it"
                )));
                continue;
            }
            lines.push(match found.full {
                true => line.with_warning(format!(
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
                    format!("service {name}"),
                    services::format_replicas(replicas),
                    "stopped, then started again",
                ),
                false => Change::modify(
                    format!("service {name}"),
                    services::format_replicas(replicas),
                    "not begun again; waited for where it runs",
                ),
            };
            let is_own = own.iter().any(|(own, _)| *own == name);
            lines.push(match is_own {
                true => line.with_warning("it does not answer meanwhile"),
                false => line.with_warning(format!(
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

    /// New data folders, consistent copies over the files of SQLite, volumes of the local driver,
    /// kept secrets.
    pub(super) async fn prepare_new_data(&self) -> Result<(), StepError> {
        let host = &self.swap_log.host;
        let confined = self.confined_folders();
        for (at, part) in self.parts.iter().enumerate() {
            match &part.kind {
                PartKind::Database(_) => {
                    let make = confined
                        .sh(shell_script(include_str!(
                            "../../scripts/make_data_folder.sh"
                        )))
                        .arg(self.new_path(at, part).display().to_string())
                        .arg(part.live.display().to_string())
                        .arg(self.staged_path(&part.from).display().to_string())
                        .timeout(Duration::from_secs(30))
                        .label("new data folder");
                    host.run_ok(&make).await?;
                }
                PartKind::Files(copies) => {
                    for (copy, replaced) in copies {
                        let place = confined
                            .sh(&format!(
                                "{}{REPLACE_FILE}",
                                super::database::CHECK_PLAIN_FILE
                            ))
                            .arg(self.staged_path(copy).display().to_string())
                            .arg(self.staged_path(replaced).display().to_string())
                            .timeout(Duration::from_secs(3600))
                            .label("consistent copy of the database");
                        host.run_ok(&place).await?;
                    }
                }
            }
        }
        for volume in &self.volumes_to_create {
            let create = Command::new("docker")
                .args(["volume", "create", "--label"])
                .arg(format!("com.docker.stack.namespace={}", self.app))
                .arg(volume)
                .sudo()
                .timeout(Duration::from_secs(30));
            host.run_ok(&create).await?;
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
            .label("secrets of the snapshot");
        host.run_ok(&copy).await?;
        Ok(())
    }

    /// Loads every dump.
    pub(super) async fn load_dumps(
        &self,
        manager: &StepContext,
        nodes: &Nodes,
    ) -> Result<(), StepError> {
        for part in &self.parts {
            for load in part.dump_loads() {
                let service = format!("{}_{}", self.app, load.service);
                let staged = self.staged_path(&load.dump);
                let place = DumpLocation {
                    storage: &self.swap_log.host,
                    confined: self.confined_folders().with_folders([&part.folder]),
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
