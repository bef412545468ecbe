//! What belongs to an application: asked of its file, of what runs, of the nodes, of its snapshots,
//! and of what an interrupted run wrote down.

use matou_i18n::tr;
use std::collections::BTreeMap;
use std::path::{Path, PathBuf};
use std::time::Duration;

use serde::{Deserialize, Serialize};

use crate::FleetContext;
use crate::OpsError;
use matou_backup::{
    AppStorage, Restic, ResticSnapshot, SnapshotView, identity, list_app_names, matou_folder,
};
use matou_docker::NodeHandle;
use matou_host::Command;
use matou_model::Swarm;
use matou_stack::{AppFile, RenderTarget};

/// A volume, and the folder of the storage node that holds it where one does.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub(super) struct InventoryVolume {
    pub name: String,
    pub folder: Option<PathBuf>,
}

/// What belongs to an application.
#[derive(Debug, Clone, PartialEq, Eq, Default, Serialize, Deserialize)]
pub(super) struct EraseInventory {
    pub volumes: Vec<InventoryVolume>,
    pub domains: Vec<String>,
    /// Volumes that another application has too, and which one: they stay.
    #[serde(default)]
    pub shared: Vec<(String, String)>,
    /// Volumes that the stack mounts from outside and none of its services does now: they stay.
    #[serde(default)]
    pub outside: Vec<String>,
    /// An interrupted run wrote this down.
    #[serde(skip)]
    pub resumed: bool,
}

/// Whether a snapshot is of this fleet and of the application.
pub(super) fn is_app_snapshot(snapshot: &ResticSnapshot, view: &SnapshotView, app: &str) -> bool {
    view.is_ours(snapshot) && snapshot.app() == Some(app)
}

/// Whether a snapshot is of this fleet's own files.
pub(super) fn is_fleet_files_snapshot(snapshot: &ResticSnapshot, view: &SnapshotView) -> bool {
    view.is_ours(snapshot) && snapshot.tag_value("fleet").is_some()
}

impl EraseInventory {
    /// Gathers what belongs to an application from all that know something of it.
    ///
    /// # Errors
    /// One sentence: the swarm or the storage node can't be asked.
    pub(crate) async fn gather(
        fleet: &FleetContext,
        app: &str,
        manager: &NodeHandle,
        storage: &NodeHandle,
        repositories: &[Restic],
    ) -> Result<Self, OpsError> {
        let mut known = Self::read_interrupted(fleet, app, storage).await?;
        let swarm = manager.docker.query_swarm().await?;
        let folder = fleet.config.folder();
        let file = match &folder {
            // One that can't be read belongs to it all the same.
            Some(folder) => AppFile::load(folder, app).ok().flatten(),
            None => None,
        };
        if let Some(file) = &file {
            let target = RenderTarget::for_app(&fleet.config, file);
            let rendered = fleet
                .catalogue
                .render_stack(&file.stack, app, &file.variables, &target);
            // Without its stack, the services and the nodes still say what belongs to it.
            if let Ok(rendered) = rendered {
                for (name, folder) in rendered.volumes.named {
                    known.add_volume(name, folder);
                }
                known.outside.extend(rendered.volumes.outside);
                known.domains.extend(rendered.domains);
            }
        }
        let own = |s: &&matou_model::Service| s.stack.as_deref().unwrap_or(&s.name) == app;
        for service in swarm.services.iter().filter(own) {
            for volume in &service.volumes {
                known.add_volume(volume.clone(), None);
            }
            known.domains.extend(service.domains.iter().cloned());
        }
        for node in fleet.nodes.iter() {
            // One that does not answer is told by the step.
            let Ok(volumes) = node.docker.list_volumes().await else {
                continue;
            };
            for volume in volumes {
                let labelled = volume.stack.as_deref() == Some(app);
                let named = volume.stack.is_none() && volume.name.starts_with(&format!("{app}_"));
                if labelled || named {
                    known.add_volume(volume.name, None);
                }
            }
        }
        known.domains.sort();
        known.domains.dedup();
        known.set_folders(fleet, storage).await?;
        known.add_from_snapshots(fleet, app, repositories).await;
        known.set_shared(fleet, app, &swarm).await;
        known.outside.sort();
        known.outside.dedup();
        let volumes = &known.volumes;
        let goes = |name: &String| volumes.iter().any(|v| v.name == *name);
        known.outside.retain(|name| !goes(name));
        Ok(known)
    }

    /// Reads what an interrupted run wrote down; empty when there was none.
    async fn read_interrupted(
        fleet: &FleetContext,
        app: &str,
        storage: &NodeHandle,
    ) -> Result<Self, OpsError> {
        let path = matou_folder(&fleet.config)
            .join("erased")
            .join(format!("{app}.begun.json"));
        let read = Command::sh("cat -- \"$1\" 2>/dev/null || :")
            .arg(path.display().to_string())
            .sudo()
            .timeout(Duration::from_secs(30))
            .label(tr!("an interrupted erasing"));
        let out = storage.host.run_ok(&read).await?;
        Ok(match serde_json::from_slice::<Self>(&out.stdout) {
            Ok(known) => Self {
                resumed: true,
                shared: Vec::new(),
                ..known
            },
            Err(_) => Self::default(),
        })
    }

    fn add_volume(&mut self, name: String, folder: Option<PathBuf>) {
        match self.volumes.iter_mut().find(|v| v.name == name) {
            Some(known) => known.folder = known.folder.take().or(folder),
            None => self.volumes.push(InventoryVolume { name, folder }),
        }
    }

    /// Sets the folders that are not known yet: from the volume's definition on the storage node,
    /// else below the data folder.
    ///
    /// # Errors
    /// Its engine does not answer: where a volume's data is would be a guess.
    async fn set_folders(
        &mut self,
        fleet: &FleetContext,
        storage: &NodeHandle,
    ) -> Result<(), OpsError> {
        let of = storage.docker.list_volumes().await?;
        for volume in &mut self.volumes {
            if volume.folder.is_some() {
                continue;
            }
            let device = of.iter().find(|v| v.name == volume.name);
            let device = device.and_then(|v| v.options.get("device"));
            let device = device.and_then(|d| d.rsplit(':').next());
            volume.folder = match device.filter(|d| d.starts_with('/')) {
                Some(device) => Some(PathBuf::from(device)),
                // The step looks whether it is there.
                None => Some(fleet.config.storage.path.join(&volume.name)),
            };
        }
        self.volumes.sort_by(|a, b| a.name.cmp(&b.name));
        Ok(())
    }

    /// Adds volumes that only snapshots know of, for an application that was removed long ago.
    async fn add_from_snapshots(
        &mut self,
        fleet: &FleetContext,
        app: &str,
        repositories: &[Restic],
    ) {
        let Some(first) = repositories.first() else {
            return;
        };
        // One that does not answer is told by the step.
        let Ok(all) = first.list_snapshots(&[]).await else {
            return;
        };
        let Ok(view) = identity::load_snapshot_view(&fleet.config, &fleet.nodes, first, &all).await
        else {
            return;
        };
        for snapshot in all.iter().filter(|s| is_app_snapshot(s, &view, app)) {
            for path in &snapshot.paths {
                let folder = Path::new(path);
                let below = folder.parent() == Some(fleet.config.storage.path.as_path());
                let name = folder.file_name().unwrap_or_default().to_string_lossy();
                if below && name.starts_with(&format!("{app}_")) {
                    self.add_volume(name.into_owned(), Some(folder.to_owned()));
                }
            }
        }
        self.volumes.sort_by(|a, b| a.name.cmp(&b.name));
    }

    /// Notes which volumes stay because another application has them too.
    async fn set_shared(&mut self, fleet: &FleetContext, app: &str, swarm: &Swarm) {
        let mut others: BTreeMap<String, Vec<(String, Option<PathBuf>)>> = BTreeMap::new();
        let folder = fleet.config.folder();
        let mut unread = folder.is_some_and(|f| AppFile::read_names(&f).is_err());
        for other in list_app_names(&fleet.config, swarm) {
            if *other == *app {
                continue;
            }
            let layout =
                AppStorage::load(&other, &fleet.config, &fleet.nodes, &fleet.catalogue).await;
            match layout {
                Ok(layout) => {
                    let volumes = layout.volumes.into_iter();
                    let volumes = volumes.map(|v| (v.name, Some(v.folder)));
                    others.entry(other.into()).or_default().extend(volumes);
                }
                Err(_) => unread = true,
            }
        }
        for service in &swarm.services {
            let of = service.stack.as_deref().unwrap_or(&service.name);
            if of != app {
                let volumes = service.volumes.iter().map(|v| (v.clone(), None));
                others.entry(of.to_owned()).or_default().extend(volumes);
            }
        }
        for volume in &self.volumes {
            let meets = |(name, folder): &(String, Option<PathBuf>)| {
                let within = |a: &PathBuf, b: &PathBuf| a.starts_with(b) || b.starts_with(a);
                let folders = volume.folder.as_ref().zip(folder.as_ref());
                *name == volume.name || folders.is_some_and(|(a, b)| within(a, b))
            };
            let by = others.iter().find(|(_, v)| v.iter().any(meets));
            if let Some((other, _)) = by {
                self.shared.push((volume.name.clone(), other.clone()));
            } else if unread && !volume.name.starts_with(&format!("{app}_")) {
                let whose = tr!("an application whose volumes can't be told").to_owned();
                self.shared.push((volume.name.clone(), whose));
            }
        }
    }

    /// Returns the volumes that are erased.
    pub(crate) fn volumes_to_erase(&self) -> impl Iterator<Item = &InventoryVolume> {
        let stays = |v: &&InventoryVolume| !self.shared.iter().any(|(name, _)| *name == v.name);
        self.volumes.iter().filter(stays)
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use matou_backup::{ClockPair, FleetIdentity};

    #[test]
    fn snapshots_of_another_fleet_or_application_are_not_its_own() {
        let of = |host: &str, tags: &[&str]| -> ResticSnapshot {
            let json = serde_json::json!({"id": "a", "time": "2026-01-01T00:00:00Z", "hostname": host, "tags": tags});
            serde_json::from_value(json).unwrap()
        };
        let all = [
            of("era", &["app=shop", "matou"]),
            of("other", &["app=shop", "matou"]),
            of("era", &["app=shop2", "matou"]),
            of("era", &["fleet=era", "matou"]),
        ];
        let identity = FleetIdentity {
            name: "era".into(),
            id: None,
        };
        let now = jiff::Timestamp::now();
        let clocks = ClockPair {
            here: now,
            storage: now,
        };
        let view = SnapshotView::new(identity, &all, clocks);
        let own: Vec<bool> = all
            .iter()
            .map(|s| is_app_snapshot(s, &view, "shop"))
            .collect();
        assert_eq!(own, [true, false, false, false]);
        let fleets: Vec<bool> = all
            .iter()
            .map(|s| is_fleet_files_snapshot(s, &view))
            .collect();
        assert_eq!(fleets, [false, false, false, true]);
    }

    #[test]
    fn what_is_shared_does_not_go() {
        let known = EraseInventory {
            volumes: vec![
                InventoryVolume {
                    name: "shop_db".into(),
                    folder: None,
                },
                InventoryVolume {
                    name: "common".into(),
                    folder: None,
                },
            ],
            shared: vec![("common".into(), "other".into())],
            ..EraseInventory::default()
        };
        let going: Vec<&str> = known.volumes_to_erase().map(|v| v.name.as_str()).collect();
        assert_eq!(going, ["shop_db"]);
    }
}
