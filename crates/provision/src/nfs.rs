//! NFS: the storage node exports the data to exactly the fleet's nodes, version 4 only; every node
//! can mount it.
//!
//! Undo: remove /etc/exports.d/matou.exports, then `exportfs -ra`; `apt-get purge nfs-kernel-server`.

use async_trait::async_trait;

use super::Concern;
use super::desired::DesiredState;
use super::executor::NodeExecutor;
use super::facts::FactQuery;
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
const NFS3_SERVICES: [(&str, &str); 2] = [
    ("rpcbind.socket", "the port mapper"),
    ("rpc-statd.service", "the monitor of locks"),
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
        .map(|(_, what)| Change::remove(format!("{what}, which NFS 4 has no use for")))
}

/// Addresses of the storage node itself, which is a client, too.
const LOOPBACK_NETWORK: &str = "127.0.0.0/8";

/// The concern `nfs-server`: the exports of the storage node.
pub(crate) struct NfsServerConcern;

fn desired_nfs_server() -> DesiredState {
    DesiredState::default()
        .with_packages(["nfs-kernel-server"])
        .with_file("/etc/nfs.conf.d/matou.conf", 0o644, SETTINGS)
        .with_unit("nfs-server.service")
}

fn desired_nfs_exports(at: &NodeView<'_>) -> Result<DesiredState, ProvisionError> {
    let storage = &at.config().storage;
    let path = storage.path.to_string_lossy();
    // `mp`: the disk that should be there and is not mounted is not replaced by an empty folder.
    let mp = if storage.devices.is_empty() {
        ""
    } else {
        ",mp"
    };
    // Its own name leads to 127.0.1.1 on Debian: its containers come from there.
    let addresses = at.fleet.node_addresses()?.into_iter();
    let clients: String = addresses
        .map(|(_, ip)| ip.to_string())
        .chain([LOOPBACK_NETWORK.to_owned()])
        .map(|ip| format!(" {ip}(rw,sync,no_subtree_check,no_root_squash{mp})"))
        .collect();
    let text = format!(
        "# Kept by `matou provision`: the fleet's nodes and nobody else.\n{path}{clients}\n"
    );
    Ok(DesiredState::default()
        .with_file("/etc/exports.d/matou.exports", 0o644, text)
        .on_file_change("exportfs -ra"))
}

#[async_trait]
impl Concern for NfsServerConcern {
    fn name(&self) -> &'static str {
        "nfs-server"
    }

    fn applies_to(&self, node: &NodeConfig, config: &Config) -> bool {
        storage_uses_nfs(config) && config.storage.node == node.name
    }

    fn fact_query(&self, _: &NodeConfig, _: &Config) -> FactQuery {
        desired_nfs_server()
            .fact_query()
            .with_files(["/etc/exports.d/matou.exports"])
            .with_units(NFS3_SERVICES.map(|(unit, _)| unit))
            // The file that `exportfs -s` reads.
            .with_command("exported", "show /var/lib/nfs/etab")
    }

    fn required_packages(&self, _: &NodeConfig, _: &Config) -> Vec<String> {
        desired_nfs_server().package_names()
    }

    fn check(&self, at: &NodeView<'_>) -> Result<Check, ProvisionError> {
        if at.facts.is_container() {
            return Err(ProvisionError::failed(format_args!(
                "{} is a container, whose kernel exports nothing: use [storage] driver = \"shared\" or \"local\"",
                at.node.name
            )));
        }
        let mut lines = desired_nfs_server().compare(at.facts);
        lines.extend(desired_nfs_exports(at)?.compare(at.facts));
        lines.extend(nfs3_service_changes(at));
        let path = at.config().storage.path.to_string_lossy();
        let exported = |ip: &str| {
            at.facts.output("exported").lines().any(|l| {
                let mut words = l.split_whitespace();
                words.next() == Some(&path)
                    && words.next().and_then(|w| w.split('(').next()) == Some(ip)
            })
        };
        let addresses = at.fleet.node_addresses()?;
        let all = addresses.iter().map(|(name, ip)| (*name, ip.to_string()));
        let missing: Vec<&str> = all
            .chain([("itself", LOOPBACK_NETWORK.to_owned())])
            .filter(|(_, ip)| !exported(ip))
            .map(|(name, _)| name)
            .collect();
        lines.push(match missing.as_slice() {
            [] => Change::same(format!("{path} is exported to {} nodes", addresses.len())),
            names => Change::add(format!("export of {path} to {}", names.join(", "))),
        });
        Ok(Check::from_changes(lines))
    }

    async fn apply(&self, at: &NodeView<'_>, run: &NodeExecutor<'_>) -> Result<(), StepError> {
        desired_nfs_server().apply(at, run).await?;
        desired_nfs_exports(at)?.apply(at, run).await?;
        run.run_script("export", "exportfs -ra", [""; 0]).await?;
        run.run_script("remove what NFS 3 needs", REMOVE_NFS3_SCRIPT, [""; 0])
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
        run.run_script("remove what NFS 3 needs", REMOVE_NFS3_SCRIPT, [""; 0])
            .await
    }
}

#[cfg(test)]
mod tests {
    use super::super::facts::NodeFacts;
    use super::super::testing::{check_of, config, lines};
    use super::*;

    #[test]
    fn exports_name_the_fleets_nodes_only() {
        let config = config("[storage]\ndriver = \"nfs\"\ndevices = [\"/dev/vdb\"]");
        let facts = NodeFacts::of(&[(
            "exported",
            "/mnt/data  10.0.0.1(sync,wdelay)\n/mnt/data  10.0.0.2(sync,wdelay)",
        )])
        .with("container", "", 1)
        .with_file(
            "/etc/exports.d/matou.exports",
            0o644,
            "# Kept by `matou provision`: the fleet's nodes and nobody else.\n/mnt/data *(rw)\n",
        );
        let plan = lines(&check_of(&NfsServerConcern, &config, facts).unwrap()).join("\n");
        assert!(plan.contains("~ /etc/exports.d/matou.exports: \"/mnt/data *(rw)\" → \"/mnt/data 10.0.0.1(rw,sync,no_subtree_check,no_root_squash,mp) 10.0.0.2("), "{plan}");
        assert!(plan.contains("+ export of /mnt/data to n3"), "{plan}");
    }
}
