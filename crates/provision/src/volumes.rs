//! Volumes reach every node. Proven, not assumed: a volume is made, a container on this node writes
//! a file into it, the storage node sees the file, the volume is removed.
//!
//! Undo: nothing is left but /var/lib/matou/volumes, which remembers what was proven. For
//! `netshare`: `systemctl disable --now docker-volume-netshare`, remove its unit and program.

use matou_i18n::{Text, both, tr};
use std::net::IpAddr;

use async_trait::async_trait;

use super::Concern;
use super::desired::DesiredState;
use super::executor::NodeExecutor;
use super::facts::{FactQuery, random_fact_nonce};
use super::nfs_exports;
use super::node_view::NodeView;
use crate::ProvisionError;
use matou_config::{Config, Download, NodeConfig, StorageConfig, StorageDriver};
use matou_host::{Command, shell_script};
use matou_job::{Change, Check, StepError};

const PROOF_FILE: &str = "/var/lib/matou/volumes";
const PLUGIN: &str = "/usr/local/bin/docker-volume-netshare";

/// The plugin must be there before the engine starts containers. With `-a 1.44` it speaks to
/// engines from Docker 29 on, which refuse older versions of their API.
const PLUGIN_UNIT: &str = include_str!("../files/docker-volume-netshare.service");

/// The plugin's faults, by its source code.
const FAULTS: Text = both!(
    "it is not kept any more: a second container on a node gets the whole share, and what it mounts is forgotten when it restarts; \
    driver = \"nfs\" with the same folders needs no copying"
);

/// Tests a volume with an image made of this node's own shell, so that no registry is needed. `$1`
/// name of the volume, `$2` token, then the options of `docker volume create`.
const TEST_VOLUME_SCRIPT: &str = shell_script(include_str!("../scripts/test_volume.sh"));

/// Mounts the share `$1` by hand first, with a time limit: an engine that waits for a server that
/// does not answer says nothing.
const TEST_MOUNT_SCRIPT: &str = shell_script(include_str!("../scripts/test_mount.sh"));

/// Stores the download of `$1` as `$3` when its SHA-256 is `$2`.
pub(super) const FETCH_PROGRAM_SCRIPT: &str =
    shell_script(include_str!("../scripts/fetch_program.sh"));

/// The concern `volumes`: the proof that volumes reach the node.
pub(crate) struct VolumesConcern;

fn desired_netshare_plugin() -> DesiredState {
    DesiredState::default()
        .with_file(
            "/etc/systemd/system/docker-volume-netshare.service",
            0o644,
            PLUGIN_UNIT,
        )
        .with_unit("docker-volume-netshare.service")
}

fn netshare_download<'a>(at: &'a NodeView<'_>) -> Result<&'a Download, ProvisionError> {
    at.config().storage.netshare.as_ref().ok_or_else(|| {
        tr!("the driver netshare needs [storage] netshare_url and netshare_sha256; driver = \"nfs\" needs nothing and serves the same folders").into()
    })
}

/// Says where volumes come from, of a proof.
fn describe_proof(proof: &str) -> String {
    let proof = proof.trim();
    if let Some((driver, place)) = proof.split_once(" from ") {
        return tr!("{driver} from {place}");
    }
    match proof.strip_prefix("shared at ") {
        Some(path) => tr!("shared at {path}"),
        None => proof.to_owned(),
    }
}

/// Returns the content of the proof file when volumes are proven.
fn volume_proof(at: &NodeView<'_>) -> Result<String, ProvisionError> {
    let storage = &at.config().storage;
    let path = storage.path.display();
    let server = at
        .fleet
        .node_config(&storage.node)
        .ok_or(tr!("the storage node is gone from config.toml"))?;
    Ok(match storage.driver {
        StorageDriver::Nfs => format!("nfs from {}:{path}\n", at.fleet.node_address(server)?),
        StorageDriver::Netshare => {
            format!("netshare from {}:{path}\n", at.fleet.node_address(server)?)
        }
        StorageDriver::Shared => format!("shared at {path}\n"),
        StorageDriver::Local => String::new(),
    })
}

/// Options of `docker volume create` for the volume that is tried.
fn test_volume_options(storage: &StorageConfig, server: IpAddr, volume: &str) -> Vec<String> {
    let path = storage.path.display();
    match storage.driver {
        StorageDriver::Nfs => vec![
            "--driver=local".into(),
            "--opt=type=nfs".into(),
            format!("--opt=o=addr={server},rw,hard,nfsvers=4.2"),
            format!("--opt=device=:{path}/{volume}"),
        ],
        StorageDriver::Netshare => vec![
            "--driver=nfs".into(),
            format!("--opt=share={server}:{path}/{volume}"),
        ],
        StorageDriver::Shared | StorageDriver::Local => vec![
            "--driver=local".into(),
            "--opt=type=none".into(),
            "--opt=o=bind".into(),
            format!("--opt=device={path}/{volume}"),
        ],
    }
}

#[async_trait]
impl Concern for VolumesConcern {
    fn name(&self) -> &'static str {
        "volumes"
    }

    fn fact_query(&self, _: &NodeConfig, _: &Config) -> FactQuery {
        desired_netshare_plugin()
            .fact_query()
            .with_files([PROOF_FILE, "/var/lib/matou/docker-volume-netshare.sha256"])
            .with_command("netshare", format!("[ -x {PLUGIN} ]"))
    }

    fn check(&self, at: &NodeView<'_>) -> Result<Check, ProvisionError> {
        let storage = &at.config().storage;
        if storage.driver == StorageDriver::Local {
            let line = tr!("volumes stay on their node (driver local)");
            return Ok(Check::Done(vec![Change::same(line)]));
        }
        if at.facts.engine().is_none() {
            return Ok(Check::Unknown(tr!("no engine answers yet").into()));
        }
        let mut lines = Vec::new();
        if storage.driver == StorageDriver::Netshare {
            let download = netshare_download(at)?;
            let have = at
                .facts
                .file("/var/lib/matou/docker-volume-netshare.sha256")
                .is_some_and(|f| f.content.trim() == download.sha256);
            lines.push(match have && at.facts.succeeded("netshare") {
                true => Change::same(format!("{PLUGIN}: {FAULTS}")),
                false => Change::add(PLUGIN).with_warning(FAULTS),
            });
            lines.extend(desired_netshare_plugin().compare(at.facts));
        }
        let proof = volume_proof(at)?;
        let proven = at
            .facts
            .file(PROOF_FILE)
            .is_some_and(|f| f.content == proof);
        let driver = describe_proof(&proof);
        lines.push(match proven {
            true => Change::same(tr!("volumes, {driver}, proven")),
            false => Change::add(tr!(
                "volumes, {driver}: one is written here and read on {}",
                storage.node
            )),
        });
        Ok(Check::from_changes(lines))
    }

    async fn apply(&self, at: &NodeView<'_>, run: &NodeExecutor<'_>) -> Result<(), StepError> {
        let storage = &at.config().storage;
        if storage.driver == StorageDriver::Netshare {
            let download = netshare_download(at)?;
            run.run_script(
                tr!("fetch docker-volume-netshare"),
                FETCH_PROGRAM_SCRIPT,
                [download.url.as_str(), &download.sha256, PLUGIN],
            )
            .await?;
            desired_netshare_plugin().apply(at, run).await?;
        }
        let token = random_fact_nonce().trim_start_matches('@')[..12].to_owned();
        let volume = format!("matou-test-{token}");
        let folder = format!("{}/{volume}", storage.path.display());
        let server = at
            .fleet
            .node_config(&storage.node)
            .and_then(|n| at.fleet.node_address(n).ok())
            .ok_or_else(|| StepError::failed(tr!("the storage node has no address")))?;
        let options = test_volume_options(storage, server, &volume);
        let on_storage = |script: &str| {
            Command::sh(script.to_owned())
                .arg(&folder)
                .sudo()
                .timeout(std::time::Duration::from_secs(30))
        };
        let make = format!("set -e; mkdir -p -- \"$1\"; {}", nfs_exports::EXPORT_NOW);
        run.run_on_node(&storage.node, &on_storage(&make)).await?;
        let mut args = vec![volume.clone(), token.clone()];
        args.extend(options);
        let written = async {
            if storage.driver == StorageDriver::Nfs {
                let share = format!("{server}:{folder}");
                run.run_script(tr!("try the mount"), TEST_MOUNT_SCRIPT, [&share])
                    .await?;
            }
            run.run_script(tr!("write through a container"), TEST_VOLUME_SCRIPT, args)
                .await
        }
        .await;
        let seen = run
            .run_on_node(
                &storage.node,
                &on_storage("cat -- \"$1/token\" 2>/dev/null || :"),
            )
            .await;
        run.run_on_node(&storage.node, &on_storage("rm -rf -- \"$1\""))
            .await?;
        written?;
        if seen? != token {
            return Err(StepError::failed(tr!(
                "a container on {} wrote a file, and {} does not see it in {folder}: is {} the same everywhere?",
                at.node.name,
                storage.node,
                storage.path.display()
            )));
        }
        run.cx
            .out
            .note(tr!(
                "{} saw what a container on {} wrote",
                storage.node,
                at.node.name
            ))
            .await;
        let proof = volume_proof(at)?;
        run.write_file(PROOF_FILE, &proof, 0o644).await
    }
}
