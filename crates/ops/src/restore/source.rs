//! A snapshot of an application and what it says of itself: volumes, dumps, the application's file.

use matou_i18n::tr;
use std::collections::{BTreeMap, BTreeSet};
use std::path::Path;

use jiff::Timestamp;
use tokio_util::sync::CancellationToken;

use crate::FleetContext;
use crate::OpsError;
use matou_backup::identity::StorageIdentity;
use matou_backup::listing::{self, FileTotals};
use matou_backup::{
    AppStorage, BackupError, MANIFEST, Manifest, Restic, ResticSnapshot, SnapshotView,
    contradicts_manifest,
};
use matou_base::text::InvalidInput;
use matou_stack::{AppFile, AppName};

/// How many snapshots are tried when the newest contradict their own manifest.
const MAX_CANDIDATES: usize = 5;

/// Where something is restored from.
#[derive(Clone)]
pub(crate) struct RestoreSource {
    /// The application that was backed up.
    pub app: String,
    pub restic: Restic,
    /// Full id.
    pub id: String,
    pub at: Timestamp,
    /// What was backed up, absolute.
    pub paths: Vec<String>,
    pub manifest: Option<Manifest>,
    /// What the operator must know before it is restored: that it is another fleet's, that a clock was
    /// wrong.
    pub warnings: Vec<String>,
    /// Somebody chose it by its id.
    named: bool,
    /// What was counted already, by path.
    sizes: BTreeMap<String, FileTotals>,
}

impl RestoreSource {
    /// Loads the snapshot of an application whose id begins with `id`, of any fleet. If `None`, the
    /// newest one of this fleet.
    ///
    /// # Errors
    /// One sentence: no repository, no such snapshot, or none that may be taken unnamed.
    pub(crate) async fn load(
        fleet: &FleetContext,
        app: &str,
        id: Option<&str>,
    ) -> Result<Self, OpsError> {
        Self::load_first_sound(fleet, open_restore_repository(fleet).await?, app, id, false).await
    }

    /// Reads what a snapshot of an application says of itself.
    ///
    /// # Errors
    /// One sentence: its manifest can't be read.
    pub(crate) async fn of_snapshot(
        restic: &Restic,
        app: &str,
        snapshot: &ResticSnapshot,
    ) -> Result<Self, OpsError> {
        let mut source = Self {
            app: app.to_owned(),
            restic: restic.clone(),
            id: snapshot.id.clone(),
            at: snapshot.time,
            paths: snapshot.paths.clone(),
            manifest: None,
            warnings: Vec::new(),
            named: true,
            sizes: BTreeMap::new(),
        };
        source.manifest = source.read_manifest().await?;
        Ok(source)
    }

    /// Loads a snapshot of which everything is restored. Counts its files while the manifest is
    /// read: each call of restic needs half a second to derive the key.
    ///
    /// # Errors
    /// Those of [`RestoreSource::load`].
    pub(crate) async fn load_whole(
        fleet: &FleetContext,
        app: &str,
        id: Option<&str>,
    ) -> Result<Self, OpsError> {
        Self::load_whole_from(fleet, open_restore_repository(fleet).await?, app, id).await
    }

    /// Does [`RestoreSource::load_whole`] with the given restic. `cx` is the fleet that made the
    /// snapshot.
    ///
    /// # Errors
    /// Those of [`RestoreSource::load`].
    pub(crate) async fn load_whole_from(
        fleet: &FleetContext,
        restic: Restic,
        app: &str,
        id: Option<&str>,
    ) -> Result<Self, OpsError> {
        Self::load_first_sound(fleet, restic, app, id, true).await
    }

    /// Loads the first candidate whose manifest does not contradict its date.
    async fn load_first_sound(
        fleet: &FleetContext,
        restic: Restic,
        app: &str,
        id: Option<&str>,
        whole: bool,
    ) -> Result<Self, OpsError> {
        let mut refused = Vec::new();
        for mut source in Self::find_candidates(fleet, restic, app, id, whole).await? {
            source.manifest = match whole {
                true => {
                    let read = tokio::try_join!(source.read_manifest(), source.count_files());
                    let (manifest, sizes) = read?;
                    source.sizes = sizes;
                    manifest
                }
                false => source.read_manifest().await?,
            };
            let lacks = source.manifest.iter().flat_map(|m| &m.left_out);
            let lacks: Vec<String> = lacks
                .map(|l| tr!("it lacks {}", matou_base::text::clean_line(l)))
                .collect();
            source.warnings.extend(lacks);
            let Some(why) = source.find_contradiction() else {
                source.warnings.append(&mut refused);
                return Ok(source);
            };
            if source.named {
                source.warnings.push(why);
                return Ok(source);
            }
            refused.push(tr!("a newer one is left out: {why}"));
        }
        Err(OpsError::failed(tr!(
            "a clock was wrong when the newest snapshots of {app} were made, so which is the newest can't be told: name one with --snapshot; `matou snapshots {app}` lists them"
        )))
    }

    /// Why its date is not to be believed.
    fn find_contradiction(&self) -> Option<String> {
        let manifest = self.manifest.as_ref()?.time;
        contradicts_manifest(self.at, manifest).then(|| {
            tr!(
                "the snapshot {} is dated {} and says that it was made {}: a clock was wrong",
                self.short_id(),
                self.at.strftime("%F %R UTC"),
                manifest.strftime("%F %R UTC"),
            )
        })
    }

    /// Lists the candidates without reading their manifests: the named snapshot, or the newest
    /// ones.
    async fn find_candidates(
        fleet: &FleetContext,
        restic: Restic,
        app: &str,
        id: Option<&str>,
        whole: bool,
    ) -> Result<Vec<Self>, OpsError> {
        let (all, here) = tokio::join!(
            restic.list_snapshots(&[]),
            StorageIdentity::load(&fleet.config, &fleet.nodes)
        );
        let (all, here) = (all?, here?);
        let view = here
            .into_snapshot_view(&fleet.config, &fleet.nodes, &restic, &all)
            .await;
        let view = view?;
        let found = match id {
            None => view
                .candidates(app, &all)
                .map_err(|refused| refused.sentence(app, restic.shown_location()))?,
            Some(id) => {
                let foreign = |s: &ResticSnapshot| !whole && s.is_foreign();
                let fitting = |s: &&ResticSnapshot| {
                    s.id.starts_with(id) && (s.app() == Some(app) || foreign(s))
                };
                let fitting: Vec<&ResticSnapshot> = all.iter().filter(fitting).collect();
                match fitting.len() {
                    0 if all.iter().any(|s| s.is_foreign() && s.id.starts_with(id)) => {
                        return Err(OpsError::failed(tr!(
                            "matou did not make the snapshot {id}, so what of it is {app}'s is not said in it: name it with --path, as the folder of a volume"
                        )));
                    }
                    0 => {
                        let wrong = InvalidInput::new(tr!(
                            "{app} has no snapshot {id:?}: `matou snapshots {app}` lists them"
                        ));
                        return Err(wrong.into());
                    }
                    1 => fitting,
                    _ => {
                        return Err(OpsError::failed(tr!(
                            "several snapshots of {app} begin with {id}: give more of its digits"
                        )));
                    }
                }
            }
        };
        let mut own_folders = Vec::new();
        if found.iter().any(|s| s.is_foreign()) {
            own_folders = list_volume_folders(fleet, app).await?;
        }
        let source = |s: &ResticSnapshot| Self {
            app: app.to_owned(),
            restic: restic.clone(),
            id: s.id.clone(),
            at: s.time,
            paths: match s.is_foreign() {
                true => select_held_folders(&own_folders, &s.paths),
                false => s.paths.clone(),
            },
            manifest: None,
            warnings: snapshot_warnings(&view, s),
            named: id.is_some(),
            sizes: BTreeMap::new(),
        };
        Ok(found.into_iter().take(MAX_CANDIDATES).map(source).collect())
    }

    /// The manifest, when it has one.
    async fn read_manifest(&self) -> Result<Option<Manifest>, BackupError> {
        let Some(dumps) = self.matou_folder("dumps") else {
            return Ok(None);
        };
        let path = format!("{dumps}/{MANIFEST}");
        let Some(text) = listing::read_small_file(&self.restic, &self.id, &path).await? else {
            return Ok(None);
        };
        serde_json::from_slice(&text).map(Some).map_err(|e| {
            BackupError::Wrong(tr!(
                "the manifest of the snapshot {} can't be understood: {e}",
                self.short_id()
            ))
        })
    }

    /// Counts files and bytes at each of its paths. Empty if one path lies in another.
    async fn count_files(&self) -> Result<BTreeMap<String, FileTotals>, BackupError> {
        let within = |a: &String| {
            let mut others = self.paths.iter().filter(|b| *b != a);
            others.any(|b| Path::new(a).starts_with(b))
        };
        if self.paths.iter().any(within) {
            return Ok(BTreeMap::new());
        }
        let never = CancellationToken::new();
        listing::count_files_by_path(&self.restic, &self.id, &self.paths, &never).await
    }

    /// The application's file as it was, when the snapshot holds one.
    ///
    /// # Errors
    /// One sentence: it can't be read.
    pub(crate) async fn read_app_file(&self) -> Result<Option<AppFile>, OpsError> {
        let Some(dumps) = self.matou_folder("dumps") else {
            return Ok(None);
        };
        let path = format!("{dumps}/{}.toml", self.app);
        let read = listing::read_small_file(&self.restic, &self.id, &path).await;
        let Some(text) = read? else {
            return Ok(None);
        };
        toml::from_str(&String::from_utf8_lossy(&text))
            .map(Some)
            .map_err(|e| OpsError::failed(tr!("{path} of the snapshot can't be understood: {e}")))
    }

    /// A small file of its dumps' folder, when the snapshot holds it.
    ///
    /// # Errors
    /// One sentence: it can't be read.
    pub(crate) async fn read_file_beside_dumps(
        &self,
        name: &str,
    ) -> Result<Option<Vec<u8>>, OpsError> {
        let Some(dumps) = self.matou_folder("dumps") else {
            return Ok(None);
        };
        let path = format!("{dumps}/{name}");
        let read = listing::read_small_file(&self.restic, &self.id, &path).await;
        Ok(read?)
    }

    /// Its secrets as an archive of files; nothing when the snapshot holds none.
    ///
    /// # Errors
    /// One sentence: they can't be read.
    pub(crate) async fn read_secrets(&self) -> Result<Vec<u8>, OpsError> {
        let Some(secrets) = self.matou_folder("secrets") else {
            return Ok(Vec::new());
        };
        let args = ["dump", "--no-lock", "--archive", "tar", &self.id, &secrets];
        Ok(self.restic.run(&args).await?.stdout)
    }

    /// matou's folder `dumps` or `secrets` of the application in the snapshot.
    pub(crate) fn matou_folder(&self, kind: &str) -> Option<String> {
        let end = format!("/.matou/{kind}/{}", self.app);
        self.paths.iter().find(|p| p.ends_with(&end)).cloned()
    }

    /// Volumes and their folders in the snapshot.
    pub(crate) fn volume_folders(&self) -> Vec<(String, String)> {
        if let Some(manifest) = &self.manifest {
            let volumes = manifest.volumes.iter();
            return volumes
                .map(|v| (v.name.clone(), v.folder.display().to_string()))
                .filter(|(_, folder)| self.paths.contains(folder))
                .collect();
        }
        let named = |path: &String| {
            let plain = path.strip_suffix("/_data").unwrap_or(path);
            let name = plain.rsplit('/').next().unwrap_or(plain);
            (name.to_owned(), path.clone())
        };
        let own = |p: &&String| !p.contains("/.matou/");
        self.paths.iter().filter(own).map(named).collect()
    }

    /// Files and folders that are no volumes: services mounted them by their paths.
    pub(crate) fn bound_paths(&self) -> Vec<String> {
        if self.manifest.is_none() {
            return Vec::new();
        }
        let volumes = self.volume_folders();
        let is_bound = |path: &&String| {
            !path.contains("/.matou/") && !volumes.iter().any(|(_, folder)| folder == *path)
        };
        self.paths.iter().filter(is_bound).cloned().collect()
    }

    /// The first eight digits of its id.
    pub(crate) fn short_id(&self) -> &str {
        self.id.get(..8).unwrap_or(&self.id)
    }

    /// Returns `abcd1234 of 2026-11-23 03:00 UTC (33 h old)`. The age is coarse, so that a plan
    /// made a moment later is the same.
    pub(crate) fn describe(&self) -> String {
        let age = matou_base::text::format_how_old(Timestamp::now(), self.at);
        tr!(
            "{} of {} ({age})",
            self.short_id(),
            self.at.strftime("%Y-%m-%d %H:%M UTC")
        )
    }

    /// How much lies at these paths.
    ///
    /// # Errors
    /// One sentence; also when one of them is not in the snapshot.
    pub(crate) async fn count_at_paths(&self, paths: &[String]) -> Result<FileTotals, OpsError> {
        let counted: Option<Vec<FileTotals>> =
            paths.iter().map(|p| self.sizes.get(p).copied()).collect();
        if let Some(counted) = counted {
            return Ok(counted.into_iter().sum());
        }
        let paths: Vec<&str> = paths.iter().map(String::as_str).collect();
        let never = CancellationToken::new();
        let counted = listing::count_files_at(&self.restic, &self.id, &paths, &never).await;
        Ok(counted?)
    }
}

/// Lists the folders of an application's volumes on the storage node.
async fn list_volume_folders(fleet: &FleetContext, app: &str) -> Result<Vec<String>, OpsError> {
    let storage = AppStorage::load(app, &fleet.config, &fleet.nodes, &fleet.catalogue).await?;
    let folders = storage.volumes.into_iter();
    Ok(folders.map(|v| v.folder.display().to_string()).collect())
}

/// Selects the folders that are in a snapshot of `paths`: they or a folder above them were backed up.
fn select_held_folders(folders: &[String], paths: &[String]) -> Vec<String> {
    let held = |folder: &&String| paths.iter().any(|p| Path::new(folder).starts_with(p));
    folders.iter().filter(held).cloned().collect()
}

/// Returns the warnings about a snapshot: not made by matou, of another fleet, dated in the future.
fn snapshot_warnings(view: &SnapshotView, snapshot: &ResticSnapshot) -> Vec<String> {
    let mut warnings = Vec::new();
    if snapshot.is_foreign() {
        let host = matou_base::text::clean_line(&snapshot.hostname);
        warnings.push(tr!(
            "matou did not make it, somebody's restic on {host} did: databases in it were copied while they ran"
        ));
    } else if let Some(other) = view.owner(snapshot).other_fleet() {
        let other = matou_base::text::clean_line(other);
        warnings.push(tr!("it is another fleet's: of {other}"));
    }
    if view.is_ahead(snapshot) {
        warnings
            .push(tr!("it is dated in the future: a clock was wrong when it was made").to_owned());
    }
    warnings
}

/// The repository that is restored from.
async fn open_restore_repository(fleet: &FleetContext) -> Result<Restic, OpsError> {
    let restic = matou_collect::primary_repository(&fleet.config, &fleet.nodes).await;
    restic.map_err(OpsError::from)
}

/// Names of the applications that have snapshots of this fleet, made when the clock was right.
pub(crate) async fn list_apps_with_snapshots(
    fleet: &FleetContext,
) -> Result<BTreeSet<AppName>, OpsError> {
    let all = matou_collect::read_snapshots(&fleet.config, &fleet.nodes).await?;
    let sound = all.into_iter().filter(|s| s.can_be_newest());
    Ok(sound.filter_map(|s| AppName::new(s.app?).ok()).collect())
}
