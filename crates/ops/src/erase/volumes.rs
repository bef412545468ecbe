//! Volumes on every node, their folders on the storage node, and containers that are left.

use matou_i18n::tr;
use std::path::{Component, Path};
use std::sync::Arc;
use std::time::Duration;

use async_trait::async_trait;

use super::context::EraseContext;
use super::inventory::InventoryVolume;
use matou_backup::matou_folder;
use matou_docker::NodeHandle;
use matou_host::{Command, shell_script};
use matou_job::{Change, Check, Step, StepContext, StepError};

/// Removes the volume `$1`. Tried again for a while: a container that has just stopped may still
/// hold it.
const REMOVE_VOLUME: &str = shell_script(include_str!("../../scripts/erase_volume.sh"));

/// Containers of an application `$1` that have ended or whose swarm forgot them.
const LIST_CONTAINERS: &str = r#"docker ps -a -q --filter "label=com.docker.stack.namespace=$1""#;

/// Volumes with all that they hold.
pub(super) struct EraseVolumes(pub Arc<EraseContext>);

/// What is left of an application's volumes, and where.
#[derive(Default)]
struct VolumeScan {
    /// Node and name.
    volumes: Vec<(NodeHandle, String)>,
    /// On the storage node.
    folders: Vec<String>,
    /// Node and id.
    containers: Vec<(NodeHandle, String)>,
    /// Nodes that don't answer.
    silent: Vec<String>,
    /// Folders that may not be the application's alone: they stay.
    foreign: Vec<String>,
}

/// Whether a folder may be removed as a volume's: below the fleet's storage, or a folder that the
/// storage node's own engine mounts; never one that holds others.
fn is_erasable_folder(folder: &Path, storage: &Path, data: &Path, mounted: bool) -> bool {
    let plain = folder
        .components()
        .all(|c| matches!(c, Component::RootDir | Component::Normal(_)));
    let deep = folder.components().count() > 2;
    let below = folder.starts_with(storage) && folder != storage && !folder.starts_with(data);
    let holds = storage.starts_with(folder) || data.starts_with(folder);
    plain && deep && !holds && (below || (mounted && !folder.starts_with(data)))
}

impl EraseVolumes {
    async fn scan_nodes(&self) -> Result<VolumeScan, StepError> {
        let work = &self.0;
        let going: Vec<&InventoryVolume> = work.inventory.volumes_to_erase().collect();
        let mut found = VolumeScan::default();
        let mut mounted = Vec::new();
        for node in work.fleet.nodes.iter() {
            let ids = Command::sh(LIST_CONTAINERS)
                .arg(&work.app)
                .sudo()
                .timeout(Duration::from_secs(60))
                .label(tr!("containers of the application"));
            let (Ok(volumes), Ok(ids)) = (
                node.docker.list_volumes().await,
                node.host.run_ok(&ids).await,
            ) else {
                found.silent.push(node.config.name.clone());
                continue;
            };
            let ids = ids.stdout_text();
            let ids = ids.lines().map(|id| (node.clone(), id.to_owned()));
            found.containers.extend(ids);
            for volume in volumes {
                let network = volume
                    .options
                    .get("type")
                    .is_some_and(|t| t.starts_with("nfs"));
                if node.config.name == work.storage.config.name && !network {
                    mounted.extend(volume.options.get("device").cloned());
                }
                if going.iter().any(|v| v.name == volume.name) {
                    found.volumes.push((node.clone(), volume.name));
                }
            }
        }
        let (root, data) = (
            &work.fleet.config.storage.path,
            matou_folder(&work.fleet.config),
        );
        let (mut own, mut foreign) = (Vec::new(), Vec::new());
        for folder in going.iter().filter_map(|v| v.folder.as_ref()) {
            let text = folder.display().to_string();
            match is_erasable_folder(folder, root, &data, mounted.contains(&text)) {
                true => own.push(text),
                false => foreign.push(text),
            }
        }
        let look = |paths: Vec<String>| {
            Command::sh(r#"for d; do [ ! -d "$d" ] || printf '%s\n' "$d"; done"#)
                .args(paths)
                .sudo()
                .timeout(Duration::from_secs(60))
                .label(tr!("volume folders"))
        };
        let host = work.storage_host();
        found.folders = to_owned_lines(&host.run_ok(&look(own)).await?.stdout_text());
        found.foreign = to_owned_lines(&host.run_ok(&look(foreign)).await?.stdout_text());
        Ok(found)
    }
}

fn to_owned_lines(text: &str) -> Vec<String> {
    text.lines().map(str::to_owned).collect()
}

#[async_trait]
impl Step for EraseVolumes {
    fn name(&self) -> String {
        tr!("volumes").into()
    }

    fn timeout(&self) -> Duration {
        Duration::from_secs(12 * 3600)
    }

    async fn check(&self, _: &StepContext) -> Result<Check, StepError> {
        let found = self.scan_nodes().await?;
        let lost = tr!("all that it holds is lost");
        let storage = &self.0.storage.config.name;
        let mut lines: Vec<Change> = Vec::new();
        for (node, name) in &found.volumes {
            let line = tr!("volume {name} of {}", node.config.name);
            lines.push(Change::remove(line).with_warning(lost));
        }
        for folder in &found.folders {
            lines.push(Change::remove(tr!("folder {folder} of {storage}")).with_warning(lost));
        }
        let none = lines.is_empty() && found.containers.is_empty();
        for (volume, by) in &self.0.inventory.shared {
            lines.push(Change::same(tr!("volume {volume} stays: {by} has it too")));
        }
        for v in &self.0.inventory.outside {
            let line = Change::same(tr!("volume {v} stays, with its data"));
            lines.push(line.with_warning(tr!(
                "it is made outside of the stack, and nothing mounts it now: `docker volume rm {v}` on its node removes it"
            )));
        }
        for folder in &found.foreign {
            lines.push(
                Change::same(tr!("folder {folder} of {storage} stays"))
                    .with_warning(tr!("it is none of the fleet's storage: remove it by hand")),
            );
        }
        for node in &found.silent {
            lines.push(
                Change::same(tr!("{node} does not answer"))
                    .with_warning(tr!("volumes of it there stay, and are told in the record")),
            );
        }
        if none && lines.is_empty() {
            lines.push(Change::same(tr!("no volume")));
        }
        Ok(
            match none && found.silent.is_empty() && found.foreign.is_empty() {
                true => Check::Done(lines),
                false => Check::Change(lines),
            },
        )
    }

    async fn apply(&self, cx: &StepContext) -> Result<(), StepError> {
        let found = self.scan_nodes().await?;
        let storage = &self.0.storage.config.name;
        let mut told: Vec<String> = found
            .volumes
            .iter()
            .map(|(node, name)| tr!("volume {name} of {}", node.config.name))
            .collect();
        told.extend(found.folders.iter().map(|f| tr!("folder {f} of {storage}")));
        self.0.log_destroyed(&told).await?;
        for (node, id) in &found.containers {
            let remove = Command::new("docker")
                .args(["rm", "-f", "-v", "--", id])
                .sudo()
                .timeout(Duration::from_secs(60));
            // The swarm removes them too.
            let _ = node.host.run(&remove).await?;
        }
        for folder in &found.folders {
            let remove = Command::new("rm")
                .args(["-rf", "--one-file-system", "--", folder])
                .sudo()
                .timeout(Duration::from_secs(6 * 3600));
            self.0.storage_host().run_ok(&remove).await?;
            cx.out.note(tr!("{folder} is gone")).await;
        }
        for (node, name) in &found.volumes {
            let remove = Command::sh(REMOVE_VOLUME)
                .arg(name)
                .sudo()
                .timeout(Duration::from_secs(6 * 3600))
                .label(format!("docker volume rm {name}"));
            node.host.run_ok(&remove).await?;
            cx.out
                .note(tr!("{name} of {} is gone", node.config.name))
                .await;
        }
        for node in &found.silent {
            let what = tr!(
                "volumes of {}, perhaps, on {node}, which does not answer",
                self.0.app
            );
            self.0
                .note_leftover(cx, what, tr!("until this is run again while it answers"))
                .await;
        }
        for folder in &found.foreign {
            let what = tr!("folder {folder} of {storage}, which is none of the fleet's storage");
            self.0
                .note_leftover(cx, what, tr!("until it is removed by hand"))
                .await;
        }
        Ok(())
    }

    /// Checks that nothing is there again. The record names what could not be destroyed.
    async fn verify(&self, _: &StepContext) -> Result<(), StepError> {
        let found = self.scan_nodes().await?;
        match found.volumes.is_empty() && found.folders.is_empty() {
            true => Ok(()),
            false => Err(StepError::failed(tr!(
                "volumes are there again: something makes them; stop it, then run this again"
            ))),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_folders_of_volumes_are_removed() {
        let (storage, data) = (Path::new("/mnt/data"), Path::new("/mnt/data/.matou"));
        let may =
            |folder: &str, mounted| is_erasable_folder(Path::new(folder), storage, data, mounted);
        assert!(may("/mnt/data/shop_db", false) && may("/srv/shop", true));
        for folder in [
            "/",
            "/srv",
            "/mnt",
            "/mnt/data",
            "/mnt/data/.matou",
            "/mnt/data/.matou/x",
            "/mnt/data/a/../..",
            "/mnt/../etc",
            "relative",
        ] {
            assert!(!may(folder, false) && !may(folder, true), "{folder}");
        }
        assert!(!may("/srv/shop", false));
    }
}
