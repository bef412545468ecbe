//! NFS: the storage node exports the data to exactly the fleet's nodes, version 4 only; every node
//! can mount it.
//!
//! Undo: remove /etc/exports.d/matou.exports, then `exportfs -ra`; `apt-get purge nfs-kernel-server`.

use async_trait::async_trait;

use super::Concern;
use super::at::{At, check};
use super::desired::Desired;
use super::facts::Needs;
use super::run::Run;
use crate::config::{Config, NodeConfig, StorageDriver};
use crate::job::{Change, Check, StepError};

/// Version 4 needs one port and no port mapper. A restarted server lets clients reclaim their locks
/// for as long as the lease: 90 s by default, in which every write waits.
const SETTINGS: &str = "# Kept by `matou provision`.\n[nfsd]\nvers2=n\nvers3=n\nvers4=y\nlease-time=30\ngrace-time=30\n";

/// What only versions 2 and 3 use, and what listens to everybody. The server wants the monitor of locks,
/// which fails at every start without the port mapper: a node would be "degraded" from its first reboot on.
const OLD: [(&str, &str); 2] = [
    ("rpcbind.socket", "the port mapper"),
    ("rpc-statd.service", "the monitor of locks"),
];

const NO_OLD: &str = "systemctl mask --quiet --now rpcbind.socket rpcbind.service rpc-statd.service\n\
    systemctl reset-failed rpc-statd.service 2>/dev/null || :";

fn uses_nfs(config: &Config) -> bool {
    matches!(
        config.storage.driver,
        StorageDriver::Nfs | StorageDriver::Netshare
    )
}

fn old_services<'a>(at: &'a At<'_>) -> impl Iterator<Item = Change> + 'a {
    OLD.iter()
        .filter(|(unit, _)| at.facts.unit(unit).load == "loaded")
        .map(|(_, what)| Change::remove(format!("{what}, which NFS 4 has no use for")))
}

/// The server as its own client.
const OWN: &str = "127.0.0.0/8";

/// The server's side.
pub struct Server;

fn settings() -> Desired {
    Desired::default()
        .packages(["nfs-kernel-server"])
        .file("/etc/nfs.conf.d/matou.conf", 0o644, SETTINGS)
        .unit("nfs-server.service")
}

fn exports(at: &At<'_>) -> Result<Desired, String> {
    let storage = &at.config().storage;
    let path = storage.path.to_string_lossy();
    // `mp`: the disk that should be there and is not mounted is not replaced by an empty folder.
    let mp = if storage.devices.is_empty() {
        ""
    } else {
        ",mp"
    };
    // Its own name leads to 127.0.1.1 on Debian: its containers come from there.
    let addresses = at.fleet.addresses()?.into_iter();
    let clients: String = addresses
        .map(|(_, ip)| ip.to_string())
        .chain([OWN.to_owned()])
        .map(|ip| format!(" {ip}(rw,sync,no_subtree_check,no_root_squash{mp})"))
        .collect();
    let text = format!(
        "# Kept by `matou provision`: the fleet's nodes and nobody else.\n{path}{clients}\n"
    );
    Ok(Desired::default()
        .file("/etc/exports.d/matou.exports", 0o644, text)
        .after("exportfs -ra"))
}

#[async_trait]
impl Concern for Server {
    fn name(&self) -> &'static str {
        "nfs-server"
    }

    fn applies(&self, node: &NodeConfig, config: &Config) -> bool {
        uses_nfs(config) && config.storage.node == node.name
    }

    fn needs(&self, _: &NodeConfig, _: &Config) -> Needs {
        settings()
            .needs()
            .files(["/etc/exports.d/matou.exports"])
            .units(OLD.map(|(unit, _)| unit))
            // As `exportfs -s` reads it.
            .command("exported", "show /var/lib/nfs/etab")
    }

    fn packages(&self, _: &NodeConfig, _: &Config) -> Vec<String> {
        settings().package_names()
    }

    fn check(&self, at: &At<'_>) -> Result<Check, String> {
        if at.facts.is_container() {
            return Err(format!(
                "{} is a container, whose kernel exports nothing: use [storage] driver = \"shared\" or \"local\"",
                at.node.name
            ));
        }
        let mut lines = settings().compare(at.facts);
        lines.extend(exports(at)?.compare(at.facts));
        lines.extend(old_services(at));
        let path = at.config().storage.path.to_string_lossy();
        let exported = |ip: &str| {
            at.facts.out("exported").lines().any(|l| {
                let mut words = l.split_whitespace();
                words.next() == Some(&path)
                    && words.next().and_then(|w| w.split('(').next()) == Some(ip)
            })
        };
        let addresses = at.fleet.addresses()?;
        let all = addresses.iter().map(|(name, ip)| (*name, ip.to_string()));
        let missing: Vec<&str> = all
            .chain([("itself", OWN.to_owned())])
            .filter(|(_, ip)| !exported(ip))
            .map(|(name, _)| name)
            .collect();
        lines.push(match missing.as_slice() {
            [] => Change::same(format!("{path} is exported to {} nodes", addresses.len())),
            names => Change::add(format!("export of {path} to {}", names.join(", "))),
        });
        Ok(check(lines))
    }

    async fn apply(&self, at: &At<'_>, run: &Run<'_>) -> Result<(), StepError> {
        settings().apply(at, run).await?;
        exports(at)
            .map_err(StepError::Failed)?
            .apply(at, run)
            .await?;
        run.sh("export", "exportfs -ra", [""; 0]).await?;
        run.sh("remove what NFS 3 needs", NO_OLD, [""; 0]).await
    }
}

/// The clients' side.
pub struct Client;

fn client() -> Desired {
    Desired::default().packages(["nfs-common"])
}

#[async_trait]
impl Concern for Client {
    fn name(&self) -> &'static str {
        "nfs-client"
    }

    fn applies(&self, _: &NodeConfig, config: &Config) -> bool {
        uses_nfs(config)
    }

    fn needs(&self, _: &NodeConfig, _: &Config) -> Needs {
        client().needs().units(OLD.map(|(unit, _)| unit))
    }

    fn packages(&self, _: &NodeConfig, _: &Config) -> Vec<String> {
        client().package_names()
    }

    fn check(&self, at: &At<'_>) -> Result<Check, String> {
        let mut lines = client().compare(at.facts);
        lines.extend(old_services(at));
        Ok(check(lines))
    }

    async fn apply(&self, at: &At<'_>, run: &Run<'_>) -> Result<(), StepError> {
        client().apply(at, run).await?;
        run.sh("remove what NFS 3 needs", NO_OLD, [""; 0]).await
    }
}

#[cfg(test)]
mod tests {
    use super::super::facts::Facts;
    use super::super::testing::{check_of, config, lines};
    use super::*;

    #[test]
    fn exports_name_the_fleets_nodes_only() {
        let config = config("[storage]\ndriver = \"nfs\"\ndevices = [\"/dev/vdb\"]");
        let facts = Facts::of(&[(
            "exported",
            "/mnt/data  10.0.0.1(sync,wdelay)\n/mnt/data  10.0.0.2(sync,wdelay)",
        )])
        .with("container", "", 1)
        .with_file(
            "/etc/exports.d/matou.exports",
            0o644,
            "# Kept by `matou provision`: the fleet's nodes and nobody else.\n/mnt/data *(rw)\n",
        );
        let plan = lines(&check_of(&Server, &config, facts).unwrap()).join("\n");
        assert!(plan.contains("~ /etc/exports.d/matou.exports: \"/mnt/data *(rw)\" → \"/mnt/data 10.0.0.1(rw,sync,no_subtree_check,no_root_squash,mp) 10.0.0.2("), "{plan}");
        assert!(plan.contains("+ export of /mnt/data to n3"), "{plan}");
    }
}
