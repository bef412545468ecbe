//! The proof that an application can be restored: its newest snapshot is written to a scratch place,
//! every file that is unchanged since is compared by SHA-256, every dump is loaded into a throw-away
//! database of the same image.
//!
//! restic's `--verify` reads back all that it wrote and compares each blob's SHA-256 with its name:
//! that proves that the restored files are those that were backed up. The live data has gone on
//! since, so what is compared with it is every file whose size and time are still the same.

use matou_i18n::tr;
use std::collections::BTreeMap;
use std::path::{Path, PathBuf};
use std::time::Duration;

use async_trait::async_trait;
use jiff::Timestamp;

use super::database::{DumpLoad, DumpLocation};
use super::parts::{self, RestorePart};
use super::source::RestoreSource;
use super::staging::StageSnapshot;
use super::throw_away::{claim_throw_away_name, remove_throw_away_app};
use crate::FleetContext;
use crate::OpsError;
use crate::deploy::{self, DeployOptions};
use matou_backup as backup;
use matou_base::text::human_bytes;
use matou_docker::NodeHandle;
use matou_host::{ConfinedFolders, shell_script};
use matou_job::{Change, Check, Step, StepContext, StepError};
use matou_model::Proof;
use matou_stack::{AppFile, AppName};

/// End of the name of a throw-away application.
const PROOF_SUFFIX: &str = "-proof";

const PROOF_TIMEOUT: Duration = Duration::from_secs(24 * 3600);

/// `$1` a folder for lists, then pairs: restored, live. Prints files, bytes, unchanged ones,
/// changed ones, and up to three that differ though size and time say that they are the same.
const COMPARE_FILES: &str = shell_script(include_str!("../../scripts/compare_files.sh"));

/// Proves one application.
struct ProveApp {
    fleet: FleetContext,
    source: RestoreSource,
    /// Folders in which root follows no link.
    confined: ConfinedFolders,
    /// Live folders of the volumes.
    parts: Vec<RestorePart>,
    file: Option<AppFile>,
}

/// The steps that prove applications restorable; all that have snapshots when none is named.
pub(super) async fn proof_steps(
    cx: &FleetContext,
    apps: &[AppName],
) -> Result<Vec<Box<dyn Step>>, OpsError> {
    let named = match apps {
        [] => super::source::list_apps_with_snapshots(cx)
            .await?
            .into_iter()
            .collect(),
        apps => apps.to_vec(),
    };
    let running = cx.query_swarm().await?;
    let known = backup::list_app_names(&cx.config, &running);
    let mut steps: Vec<Box<dyn Step>> = Vec::new();
    for app in &named {
        // An application that is gone from the fleet has nothing to compare with.
        if apps.is_empty() && !known.contains(app) {
            continue;
        }
        let source = RestoreSource::load_whole(cx, app, None).await?;
        let layout =
            backup::AppStorage::load_everywhere(app, &cx.config, &cx.nodes, &cx.catalogue).await;
        let layout = layout?;
        let folders = layout.volumes.iter();
        let folders: BTreeMap<String, PathBuf> = folders
            .map(|v| (v.name.clone(), v.folder.clone()))
            .collect();
        let mounts = match &layout.file {
            Some(file) => super::parts::render_app_mounts(cx, app, file)?,
            None => BTreeMap::new(),
        };
        let (mut parts, _) =
            parts::plan_restore_parts(&source, &layout.spec.dumps, &mounts, &folders, |n| n.into());
        // Of a volume of another node there is a copy, for each node that has one.
        for part in &mut parts {
            let mut copies = layout.volumes.iter().filter(|v| v.elsewhere.is_some());
            if let Some(copy) = copies.find(|v| v.folder == Path::new(&part.from)) {
                part.live.clone_from(&copy.folder);
                part.folder.clone_from(&copy.folder);
            }
        }
        let size = source.count_at_paths(&source.paths).await?;
        let prove = ProveApp {
            fleet: cx.clone(),
            confined: backup::confined_data_folder(&cx.config)
                .with_folders(parts.iter().map(|p| &p.folder)),
            parts,
            file: layout.file,
            source: source.clone(),
        };
        steps.push(Box::new(StageSnapshot {
            confined: prove.confined.clone(),
            unit: format!("matou-verify-{app}"),
            folder: prove.restored_folder(),
            paths: source.paths.clone(),
            size,
            source,
            verify: true,
        }));
        steps.push(Box::new(prove));
    }
    match steps.is_empty() {
        true => Err(tr!("there is no application with a snapshot").into()),
        false => Ok(steps),
    }
}

impl ProveApp {
    fn scratch_folder(&self) -> PathBuf {
        let data = backup::matou_folder(&self.fleet.config);
        data.join("proofs")
            .join(format!("{}.scratch", self.source.app))
    }

    fn restored_folder(&self) -> PathBuf {
        self.scratch_folder().join("restored")
    }

    fn restored_path(&self, path: &str) -> PathBuf {
        self.restored_folder().join(path.trim_start_matches('/'))
    }

    async fn compare_files(&self, cx: &StepContext) -> Result<Proof, StepError> {
        let mut args = vec![self.scratch_folder().join("lists").display().to_string()];
        for part in &self.parts {
            args.push(self.restored_path(&part.from).display().to_string());
            args.push(part.live.display().to_string());
        }
        let compare = self
            .confined
            .sh(COMPARE_FILES)
            .args(args)
            .timeout(PROOF_TIMEOUT)
            .label(tr!("compare every file"));
        cx.out.note(tr!("comparing every file")).await;
        let text = cx.host.run_ok(&compare).await?.stdout_text();
        let mut lines = text.lines();
        let numbers: Vec<u64> = lines
            .next()
            .unwrap_or_default()
            .split(' ')
            .filter_map(|n| n.parse().ok())
            .collect();
        let [files, bytes, same, changed] = numbers[..] else {
            return Err(StepError::failed(tr!("the comparison printed {text:?}")));
        };
        let bad: Vec<String> = lines
            .map(|l| matou_base::text::clean_line(l).into_owned())
            .collect();
        Ok(Proof {
            app: self.source.app.clone(),
            at: Timestamp::now(),
            snapshot: self.source.id.clone(),
            files,
            bytes,
            same,
            changed,
            databases: BTreeMap::new(),
            problem: (!bad.is_empty()).then(|| {
                tr!(
                    "{} differ from the snapshot, though size and time are the same: the disk or the repository is damaged; `matou repo check` tells of the repository",
                    bad.join(", ")
                )
            }),
        })
    }

    /// Loads every dump into a throw-away database.
    async fn prove_databases(&self, cx: &StepContext, proof: &mut Proof) -> Result<(), StepError> {
        let loads: Vec<&DumpLoad> = self
            .parts
            .iter()
            .flat_map(RestorePart::dump_loads)
            .collect();
        let (Some(file), false) = (&self.file, loads.is_empty()) else {
            return Ok(());
        };
        let manager = self.fleet.nodes.find_manager().await;
        let handle = manager?.clone();
        let manager = cx.on_node(&handle);
        let app = format!("{}{PROOF_SUFFIX}", self.source.app);
        if let Some((service, volume)) = self.find_live_volume(&app, file, &loads)? {
            let note = tr!(
                "no dump is loaded: the volume {volume} of {service} has the same name under every application, and a second database would run on its data"
            );
            cx.out.note(note).await;
            return Ok(());
        }
        claim_throw_away_name(&self.fleet, &manager, &app).await?;
        let loaded = self
            .load_dumps(&manager, &handle, &app, file, &loads, proof)
            .await;
        let calm = manager.without_cancelling();
        let cleared = remove_throw_away_app(&self.fleet, &calm, &app).await;
        loaded?;
        cleared
    }

    /// Finds a service of the throw-away application `app` that would mount what the application itself has, and
    /// that volume.
    fn find_live_volume(
        &self,
        app: &str,
        file: &AppFile,
        loads: &[&DumpLoad],
    ) -> Result<Option<(String, String)>, OpsError> {
        let live = super::parts::render_app_mounts(&self.fleet, &self.source.app, file)?;
        let copy = super::parts::render_app_mounts(&self.fleet, app, file)?;
        let of_databases = copy
            .into_iter()
            .filter(|(service, _)| loads.iter().any(|load| load.service == *service));
        let mut mounts = of_databases.flat_map(|(service, mounts)| {
            let mounts = mounts.into_iter();
            mounts.map(move |(volume, _)| (service.clone(), volume))
        });
        let is_live = |volume: &String| live.values().flatten().any(|(name, _)| name == volume);
        Ok(mounts.find(|(_, volume)| is_live(volume)))
    }

    async fn load_dumps(
        &self,
        manager: &StepContext,
        handle: &NodeHandle,
        app: &str,
        file: &AppFile,
        loads: &[&DumpLoad],
        proof: &mut Proof,
    ) -> Result<(), StepError> {
        let mut names: Vec<String> = loads.iter().map(|l| l.service.clone()).collect();
        names.sort();
        names.dedup();
        // The secrets that the data was made with.
        if let Some(secrets) = self.source.matou_folder("secrets") {
            let to = backup::matou_folder(&self.fleet.config)
                .join("secrets")
                .join(app);
            let copy = self.confined.sh(
                "set -e; umask 077; mkdir -p -m 700 -- \"$2\"; find \"$1\" -maxdepth 1 -type f -exec cp -p -t \"$2\" -- {} +",
            )
            .arg(self.restored_path(&secrets).display().to_string())
            .arg(to.display().to_string())
            .timeout(Duration::from_secs(30))
            .label(tr!("secrets of the snapshot"));
            restore_storage_host(&self.fleet)?.run_ok(&copy).await?;
        }
        let wanted = DeployOptions {
            kept_comes_back: false,
            stack: Some(&file.stack),
            app,
            variables: &file.variables,
            names: Default::default(),
            switches: Default::default(),
            rotate: &[],
            images: &deploy::NO_NEW_IMAGES,
            place: None,
            budget: None,
            revision: None,
            pins: &deploy::NO_PINS,
            why: String::new(),
        };
        let steps =
            deploy::deploy_isolated_subset_steps(&wanted, handle, &self.fleet, &names).await;
        matou_job::run_steps(manager, &steps?).await?;
        for load in loads {
            let service = format!("{app}_{}", load.service);
            let part = self.parts.iter().find(|p| p.dump_loads().contains(load));
            let Some(part) = part else { continue };
            let live = self.scratch_volume(app, &part.volume).await?;
            let staged = self.restored_path(&load.dump);
            let host = restore_storage_host(&self.fleet)?;
            let place = DumpLocation {
                storage: &host,
                confined: self.confined.clone().with_folders([&live]),
                live: &live,
                staged: &staged,
            };
            let tables = load
                .load_dump(manager, &self.fleet.nodes, &service, place)
                .await?;
            let name = PathBuf::from(&load.dump);
            let name = name.file_name().unwrap_or_default().to_string_lossy();
            proof
                .databases
                .insert(format!("{} {name}", load.service), tables);
        }
        Ok(())
    }

    /// Where the throw-away application's volume is.
    async fn scratch_volume(&self, app: &str, volume: &str) -> Result<PathBuf, StepError> {
        let name = volume.strip_prefix(&format!("{}_", self.source.app));
        let name = format!("{app}_{}", name.unwrap_or(volume));
        let layout = backup::AppStorage::load(
            app,
            &self.fleet.config,
            &self.fleet.nodes,
            &self.fleet.catalogue,
        );
        if self.fleet.config.storage.driver != matou_config::StorageDriver::Local {
            return Ok(self.fleet.config.storage.path.join(name));
        }
        let layout = layout.await.map_err(|e| StepError::failed(e.to_string()))?;
        let found = layout.volumes.into_iter().find(|v| v.name == name);
        found
            .map(|v| v.folder)
            .ok_or_else(|| StepError::failed(tr!("the volume {name} is not on the storage node")))
    }

    async fn write_proof(&self, cx: &StepContext, proof: &Proof) -> Result<(), StepError> {
        let text = serde_json::to_vec_pretty(proof)
            .map_err(|e| StepError::failed(tr!("the proof can't be written: {e}")))?;
        let folder = self.scratch_folder();
        let path = folder.with_file_name(format!("{}.json", self.source.app));
        cx.host
            .upload_file(&path.display().to_string(), &text, 0o600)
            .await?;
        let remove = self
            .confined
            .sh("rm -rf --one-file-system -- \"$1\"")
            .arg(folder.display().to_string())
            .timeout(Duration::from_secs(1800))
            .label(tr!("remove {}", folder.display()));
        cx.host.run_ok(&remove).await?;
        Ok(())
    }
}

fn restore_storage_host(fleet: &FleetContext) -> Result<matou_host::Host, StepError> {
    Ok(fleet.find_storage_node()?.host.clone())
}

#[async_trait]
impl Step for ProveApp {
    fn name(&self) -> String {
        tr!("proof of {}", self.source.app)
    }

    fn timeout(&self) -> Duration {
        PROOF_TIMEOUT
    }

    fn clean_up_limit(&self) -> Duration {
        Duration::from_secs(600)
    }

    async fn check(&self, _: &StepContext) -> Result<Check, StepError> {
        let mut lines: Vec<Change> = self
            .parts
            .iter()
            .map(|p| Change::same(tr!("{}: compared, not changed", p.live.display())))
            .collect();
        for load in self.parts.iter().flat_map(RestorePart::dump_loads) {
            lines.push(Change::add(tr!(
                "a throw-away database of {}{PROOF_SUFFIX}, into which {} is loaded",
                self.source.app,
                load.dump
            )));
        }
        lines.push(Change::add(tr!(
            "the proof of {}, beside the data",
            self.source.app
        )));
        Ok(Check::Change(lines))
    }

    async fn apply(&self, cx: &StepContext) -> Result<(), StepError> {
        let mut proof = self.compare_files(cx).await?;
        match self.prove_databases(cx, &mut proof).await {
            Ok(()) => {}
            Err(StepError::Cancelled) => return Err(StepError::Cancelled),
            Err(why) => {
                let why = matou_base::text::clean_lines(&why.to_string());
                proof.problem.get_or_insert(why);
            }
        }
        self.write_proof(cx, &proof).await?;
        cx.out
            .note(tr!(
                "{} files, {}: {} unchanged and the same, {} changed since",
                proof.files,
                human_bytes(proof.bytes),
                proof.same,
                proof.changed
            ))
            .await;
        for (database, tables) in &proof.databases {
            cx.out
                .note(tr!("{database}: loaded, {tables} tables"))
                .await;
        }
        match proof.problem {
            None => Ok(()),
            Some(why) => Err(StepError::failed(why)),
        }
    }

    async fn verify(&self, _: &StepContext) -> Result<(), StepError> {
        Ok(())
    }
}
