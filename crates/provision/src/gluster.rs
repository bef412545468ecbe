//! GlusterFS for the driver `shared`: a copy of the data on each of the named nodes, the same
//! folder mounted on all nodes. Three concerns of one name: the servers, the volume, the mount.
//!
//! Undo: `umount` the path on all nodes and remove its line in /etc/fstab; on one node
//! `gluster volume stop matou` and `gluster volume delete matou`; the data stays in
//! /var/lib/matou/brick of each.

use async_trait::async_trait;
use matou_i18n::tr;

use super::Concern;
use super::desired::DesiredState;
use super::executor::{NodeExecutor, TENTATIVE_FILE_FUNCTIONS};
use super::facts::FactQuery;
use super::node_view::NodeView;
use crate::ProvisionError;
use matou_config::{Config, NodeConfig};
use matou_host::shell_script;
use matou_job::{Change, Check, StepError};

const VOLUME: &str = "matou";
const BRICK: &str = "/var/lib/matou/brick";

/// Makes the pool of servers and the volume; `$1` is this node, then all nodes that hold a copy.
/// Each part may be there already.
const MAKE: &str = shell_script(include_str!("../scripts/make_store.sh"));

/// Mounts it, now and at boot; `$1` mount point, `$2` the line of fstab.
const MOUNT: &str = shell_script(include_str!("../scripts/mount_store.sh"));

/// The concern `gluster` on nodes that hold a copy: the server's package and unit.
pub(crate) struct GlusterServersConcern;

fn desired_gluster_server() -> DesiredState {
    DesiredState::default()
        .with_packages(["glusterfs-server"])
        .with_unit("glusterd.service")
}

#[async_trait]
impl Concern for GlusterServersConcern {
    fn name(&self) -> &'static str {
        "gluster"
    }

    fn applies_to(&self, node: &NodeConfig, config: &Config) -> bool {
        config.storage.gluster.contains(&node.name)
    }

    fn fact_query(&self, _: &NodeConfig, _: &Config) -> FactQuery {
        desired_gluster_server().fact_query()
    }

    fn required_packages(&self, _: &NodeConfig, _: &Config) -> Vec<String> {
        desired_gluster_server().package_names()
    }

    fn check(&self, at: &NodeView<'_>) -> Result<Check, ProvisionError> {
        Ok(Check::from_changes(
            desired_gluster_server().compare(at.facts),
        ))
    }

    async fn apply(&self, at: &NodeView<'_>, run: &NodeExecutor<'_>) -> Result<(), StepError> {
        desired_gluster_server().apply(at, run).await?;
        run.run_script(
            tr!("make the folder of the copy"),
            "mkdir -p -- \"$1\"",
            [BRICK],
        )
        .await
    }
}

/// The concern `gluster` on the first of the servers, which makes the volume.
pub(crate) struct GlusterVolumeConcern;

#[async_trait]
impl Concern for GlusterVolumeConcern {
    fn name(&self) -> &'static str {
        "gluster"
    }

    fn applies_to(&self, node: &NodeConfig, config: &Config) -> bool {
        config.storage.gluster.first() == Some(&node.name)
    }

    fn fact_query(&self, _: &NodeConfig, _: &Config) -> FactQuery {
        FactQuery::default().with_command("gluster", "gluster --mode=script volume info matou")
    }

    fn check(&self, at: &NodeView<'_>) -> Result<Check, ProvisionError> {
        let nodes = &at.config().storage.gluster;
        if at.facts.package_version("glusterfs-server").is_none() {
            return Ok(Check::Unknown(
                tr!("the servers of the store are not installed yet").into(),
            ));
        }
        let info = at.facts.output("gluster");
        let line = |text: &str| info.lines().any(|l| l.trim() == text);
        if info.is_empty() {
            let change = Change::add(tr!(
                "volume {VOLUME}, a copy on each of {}",
                nodes.join(", ")
            ));
            let change = match nodes.len() {
                2 => change.with_warning(tr!("two copies can't tell which of them is right after they lost each other: three are safer")),
                _ => change,
            };
            return Ok(Check::from_changes(vec![change]));
        }
        let missing: Vec<&str> = nodes
            .iter()
            .filter(|n| !info.contains(&format!("{n}:{BRICK}")))
            .map(String::as_str)
            .collect();
        if !missing.is_empty() {
            return Ok(Check::from_changes(vec![Change::decide(tr!(
                "the store has no copy on {}: run `gluster volume add-brick` by hand, so that nothing is copied by surprise",
                missing.join(", ")
            ))]));
        }
        Ok(Check::from_changes(vec![match line("Status: Started") {
            true => Change::same(tr!(
                "volume {VOLUME}, a copy on each of {}",
                nodes.join(", ")
            )),
            false => Change::modify(tr!("volume {VOLUME}"), tr!("stopped"), tr!("started")),
        }]))
    }

    async fn apply(&self, at: &NodeView<'_>, run: &NodeExecutor<'_>) -> Result<(), StepError> {
        let mut args = vec![at.node.name.clone()];
        args.extend(at.config().storage.gluster.iter().cloned());
        let made = run
            .run_script(tr!("make the distributed store"), MAKE, args)
            .await;
        run.forget_all();
        made
    }
}

/// The concern `gluster` on every node: the mount.
pub(crate) struct GlusterMountConcern;

#[async_trait]
impl Concern for GlusterMountConcern {
    fn name(&self) -> &'static str {
        "gluster"
    }

    fn applies_to(&self, _: &NodeConfig, config: &Config) -> bool {
        !config.storage.gluster.is_empty()
    }

    fn fact_query(&self, _: &NodeConfig, config: &Config) -> FactQuery {
        let mount = config.storage.path.to_string_lossy().into_owned();
        let mount = matou_host::quote_args([mount.as_str()]);
        FactQuery::default()
            .with_files(["/etc/fstab"])
            .with_command(
                "gluster-mounted",
                format!("findmnt --noheadings --output=FSTYPE --mountpoint {mount}"),
            )
    }

    fn required_packages(&self, _: &NodeConfig, _: &Config) -> Vec<String> {
        desired_gluster_client().package_names()
    }

    fn check(&self, at: &NodeView<'_>) -> Result<Check, ProvisionError> {
        let mount = at.config().storage.path.to_string_lossy();
        let mut lines = desired_gluster_client().compare(at.facts);
        lines.push(match at.facts.output("gluster-mounted") {
            "fuse.glusterfs" => Change::same(tr!("the store is mounted at {mount}")),
            "" => Change::add(tr!("mount of the store at {mount}")),
            other => {
                return Err(ProvisionError::failed(tr!("{other} is mounted at {mount} of {} already: unmount it, or choose another [storage] path",
                    at.node.name
                )));
            }
        });
        Ok(Check::from_changes(lines))
    }

    async fn apply(&self, at: &NodeView<'_>, run: &NodeExecutor<'_>) -> Result<(), StepError> {
        desired_gluster_client().apply(at, run).await?;
        let nodes = &at.config().storage.gluster;
        let mount = at.config().storage.path.to_string_lossy().into_owned();
        // A node that holds a copy asks itself first.
        let mut order: Vec<&String> = nodes.iter().collect();
        order.sort_by_key(|n| **n != at.node.name);
        let Some((first, rest)) = order.split_first() else {
            return Ok(());
        };
        let rest: Vec<&str> = rest.iter().map(|n| n.as_str()).collect();
        let line = format!(
            "{first}:/{VOLUME} {mount} glusterfs defaults,_netdev,nofail,backup-volfile-servers={} 0 0",
            rest.join(":")
        );
        let script = format!("{TENTATIVE_FILE_FUNCTIONS}{MOUNT}");
        run.run_script(tr!("mount the store"), &script, [mount, line])
            .await
    }
}

fn desired_gluster_client() -> DesiredState {
    DesiredState::default().with_packages(["glusterfs-client"])
}
