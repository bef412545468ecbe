//! NFS: the storage node exports volumes to exactly the fleet's nodes, version 4 only; every node can
//! mount them.
//!
//! Undo: `systemctl disable --now matou-exports.path`, remove /etc/exports.d/matou.exports, then `exportfs -ra`; `apt-get purge nfs-kernel-server`.

use async_trait::async_trait;
use matou_i18n::{Text, both, tr};

use super::Concern;
use super::desired::DesiredState;
use super::executor::NodeExecutor;
use super::facts::FactQuery;
use super::nfs_exports;
use super::node_view::NodeView;
use crate::ProvisionError;
use matou_config::{Config, NodeConfig, StorageDriver};
use matou_job::{Change, Check, StepError};

/// Version 4 needs one port and no port mapper. A restarted server lets clients reclaim their locks
/// for as long as the lease: 90 s by default, in which every write waits.
const SETTINGS: &str = include_str!("../files/nfs.conf");

/// Services that only versions 2 and 3 use, and that listen to everybody. Both go: the server
/// starts rpc-statd, which fails without the port mapper, and the node would be "degraded" after a
/// reboot.
const NFS3_SERVICES: [(&str, Text); 2] = [
    ("rpcbind.socket", both!("the port mapper")),
    ("rpc-statd.service", both!("the monitor of locks")),
];

const REMOVE_NFS3_SCRIPT: &str = "systemctl mask --quiet --now rpcbind.socket rpcbind.service rpc-statd.service\n\
    systemctl reset-failed rpc-statd.service 2>/dev/null || :";

fn storage_uses_nfs(config: &Config) -> bool {
    matches!(
        config.storage.driver,
        StorageDriver::Nfs | StorageDriver::Netshare
    )
}

fn nfs3_service_changes<'a>(at: &'a NodeView<'_>) -> impl Iterator<Item = Change> + 'a {
    NFS3_SERVICES
        .iter()
        .filter(|(unit, _)| at.facts.unit(unit).load == "loaded")
        .map(|(_, what)| Change::remove(tr!("{what}, which NFS 4 has no use for")))
}

/// The concern `nfs-server`: the exports of the storage node.
pub(crate) struct NfsServerConcern;

fn desired_nfs_server() -> DesiredState {
    DesiredState::default()
        .with_packages(["nfs-kernel-server"])
        .with_file("/etc/nfs.conf.d/matou.conf", 0o644, SETTINGS)
        .with_unit("nfs-server.service")
}

#[async_trait]
impl Concern for NfsServerConcern {
    fn name(&self) -> &'static str {
        "nfs-server"
    }

    fn applies_to(&self, node: &NodeConfig, config: &Config) -> bool {
        storage_uses_nfs(config) && config.storage.node == node.name
    }

    fn fact_query(&self, _: &NodeConfig, config: &Config) -> FactQuery {
        desired_nfs_server()
            .fact_query()
            .merge(nfs_exports::fact_query(config))
            .with_units(NFS3_SERVICES.map(|(unit, _)| unit))
    }

    fn required_packages(&self, _: &NodeConfig, _: &Config) -> Vec<String> {
        desired_nfs_server().package_names()
    }

    fn check(&self, at: &NodeView<'_>) -> Result<Check, ProvisionError> {
        if at.facts.is_container() {
            return Err(ProvisionError::failed(tr!(
                "{} is a container, whose kernel exports nothing: use [storage] driver = \"shared\" or \"local\"",
                at.node.name
            )));
        }
        let mut lines = desired_nfs_server().compare(at.facts);
        lines.extend(nfs_exports::desired_exports(at)?.compare(at.facts));
        lines.extend(nfs3_service_changes(at));
        lines.extend(nfs_exports::compare_exports(at)?);
        Ok(Check::from_changes(lines))
    }

    async fn apply(&self, at: &NodeView<'_>, run: &NodeExecutor<'_>) -> Result<(), StepError> {
        desired_nfs_server().apply(at, run).await?;
        run.run_script(
            tr!("make /etc/matou"),
            "install -d -m 700 /etc/matou",
            [""; 0],
        )
        .await?;
        nfs_exports::desired_exports(at)?.apply(at, run).await?;
        run.run_script(tr!("export"), nfs_exports::EXPORT_NOW, [""; 0])
            .await?;
        run.run_script(tr!("remove what NFS 3 needs"), REMOVE_NFS3_SCRIPT, [""; 0])
            .await
    }
}

/// The concern `nfs-client`: what a node needs to mount the data.
pub(crate) struct NfsClientConcern;

fn desired_nfs_client() -> DesiredState {
    DesiredState::default().with_packages(["nfs-common"])
}

#[async_trait]
impl Concern for NfsClientConcern {
    fn name(&self) -> &'static str {
        "nfs-client"
    }

    fn applies_to(&self, _: &NodeConfig, config: &Config) -> bool {
        storage_uses_nfs(config)
    }

    fn fact_query(&self, _: &NodeConfig, _: &Config) -> FactQuery {
        desired_nfs_client()
            .fact_query()
            .with_units(NFS3_SERVICES.map(|(unit, _)| unit))
            .merge(nfs_exports::mounts_query())
    }

    fn required_packages(&self, _: &NodeConfig, _: &Config) -> Vec<String> {
        desired_nfs_client().package_names()
    }

    fn check(&self, at: &NodeView<'_>) -> Result<Check, ProvisionError> {
        let mut lines = desired_nfs_client().compare(at.facts);
        lines.extend(nfs3_service_changes(at));
        Ok(Check::from_changes(lines))
    }

    async fn apply(&self, at: &NodeView<'_>, run: &NodeExecutor<'_>) -> Result<(), StepError> {
        desired_nfs_client().apply(at, run).await?;
        run.run_script(tr!("remove what NFS 3 needs"), REMOVE_NFS3_SCRIPT, [""; 0])
            .await
    }
}

#[cfg(test)]
mod tests {
    use super::super::fact_cache::FleetFacts;
    use super::super::facts::NodeFacts;
    use super::super::testing::{config, lines};
    use super::*;

    /// Facts of a storage node that exports `etab` and has two volumes.
    fn facts(etab: &str) -> NodeFacts {
        NodeFacts::of(&[
            ("exported", etab),
            ("volume-folders", "/mnt/data/blog\n/mnt/data/shop"),
        ])
        .with("container", "", 1)
    }

    fn plan(etab: &str, mounts: Option<&str>) -> String {
        let config = config("[storage]\ndriver = \"nfs\"\ndevices = [\"/dev/vdb\"]");
        let client = match mounts {
            Some(mounts) => NodeFacts::of(&[]).with("nfs-mounts", mounts, 0),
            None => NodeFacts::of(&[]),
        };
        let facts = facts(etab).with("nfs-mounts", "", 0);
        let none = Default::default();
        let all = [
            ("n1", facts.clone()),
            ("n2", client.clone()),
            ("n3", client),
        ];
        let picture = FleetFacts::from_facts(&config, &none, all);
        let check = NfsServerConcern.check(&NodeView {
            node: &config.nodes[0],
            facts: &facts,
            fleet: &picture,
            packages: &[],
        });
        lines(&check.expect("a plan")).join("\n")
    }

    const VOLUMES: &str = "/mnt/data/blog 10.0.0.1(rw)\n/mnt/data/blog 10.0.0.2(rw)\n/mnt/data/blog 10.0.0.3(rw)\n/mnt/data/blog 127.0.0.0/8(rw)\n\
        /mnt/data/shop 10.0.0.1(rw)\n/mnt/data/shop 10.0.0.2(rw)\n/mnt/data/shop 127.0.0.0/8(rw)\n";

    #[test]
    fn each_volume_is_exported_to_each_node() {
        let plan = plan(VOLUMES, Some(""));
        assert!(
            plan.contains("+ export of 2 volumes to n3")
                && plan.contains("+ /etc/matou/export_volumes.sh")
                && !plan.contains("as a whole"),
            "{plan}"
        );
        let all = format!("{VOLUMES}/mnt/data/shop 10.0.0.3(rw)");
        let plan = self::plan(&all, Some(""));
        assert!(plan.contains("= 2 volumes exported to 3 nodes"), "{plan}");
    }

    #[test]
    fn the_whole_stays_for_as_long_as_a_mount_of_before_is_there() {
        let whole = format!("{VOLUMES}/mnt/data 10.0.0.2(rw)");
        let mount = |what: &str| format!("What=proc\nType=proc\n\nWhat={what}\nType=nfs4\n");
        for (mounts, stays) in [
            (Some(String::new()), None),
            (Some(mount("other:/mnt/database")), None),
            (
                Some(mount(":/mnt/data/shop")),
                Some("n2 has a volume mounted by it: `matou drain n2`"),
            ),
            (
                Some(mount("n1:/mnt/data")),
                Some("n2 has a volume mounted by it"),
            ),
            (None, Some("n2 does not say what it mounts")),
        ] {
            let plan = plan(&whole, mounts.as_deref());
            match stays {
                None => assert!(
                    plan.contains(
                        "- export of /mnt/data as a whole, with what is no volume, to 10.0.0.2"
                    ),
                    "{mounts:?}: {plan}"
                ),
                Some(why) => assert!(
                    plan.contains("! /mnt/data exported as a whole to 10.0.0.2")
                        && plan.contains(why),
                    "{mounts:?}: {plan}"
                ),
            }
        }
        // To the others it is not exported: what they have mounted is of volumes.
        let plan = plan(VOLUMES, Some(&mount(":/mnt/data/shop")));
        assert!(!plan.contains("as a whole"), "{plan}");
    }
}
