//! What NFS exports: each volume's folder by itself, as it comes and goes, so that a node whose root is an
//! intruder reaches volumes and nothing else of the disk: not what matou keeps beside them.

use matou_i18n::tr;
use std::path::Path;

use super::desired::{DesiredState, HARDENED};
use super::facts::FactQuery;
use super::node_view::NodeView;
use crate::ProvisionError;
use matou_config::Config;
use matou_host::quote_args;
use matou_job::Change;

/// Addresses of the storage node itself, which is a client, too.
const LOOPBACK_NETWORK: &str = "127.0.0.0/8";

const SCRIPT: &str = "/etc/matou/export_volumes.sh";

/// What a folder of the data needs before the first mount of it: nothing where NFS serves none.
pub(super) const EXPORT_NOW: &str =
    "[ ! -e /etc/matou/export_volumes.sh ] || sh /etc/matou/export_volumes.sh";

const EXPORT_SCRIPT: &str = include_str!("../files/export_volumes.sh");
const EXPORT_UNIT: &str = include_str!("../files/matou-exports.service");
const LIST_FOLDERS: &str = include_str!("../scripts/lib_list_volume_folders.sh");

/// The file that the exports are written to.
const EXPORTS: &str = "/etc/exports.d/matou.exports";

/// A client: the node, and what exports name it by.
struct NfsClient<'a> {
    node: &'a str,
    address: String,
}

/// Who may mount: the nodes by their addresses, and the storage node by its own name, too.
fn clients<'a>(at: &'a NodeView<'_>) -> Result<Vec<NfsClient<'a>>, ProvisionError> {
    let client = |node, address| NfsClient { node, address };
    let addresses = at.fleet.node_addresses()?.into_iter();
    Ok(addresses
        .map(|(name, ip)| client(name, ip.to_string()))
        // Its own name leads to 127.0.1.1 on Debian: its containers come from there.
        .chain([client(
            at.config().storage.node.as_str(),
            LOOPBACK_NETWORK.to_owned(),
        )])
        .collect())
}

/// Paths and clients in a list of exports: of /var/lib/nfs/etab, or of exports(5).
fn parse_exports(text: &str) -> Vec<(&str, &str)> {
    let lines = text.lines().filter(|l| !l.starts_with('#'));
    lines
        .flat_map(|line| {
            let mut words = line.split_whitespace();
            let path = words.next().unwrap_or_default();
            words.filter_map(move |w| Some((path, w.split('(').next()?)))
        })
        .collect()
}

/// Why the data as a whole is still exported to a node, if it is and must be: mounts of before hold handles of that
/// export, and what is behind them would fail in the moment in which it goes. For as long as it is there, new
/// mounts are of that kind, too: the kernel's server does not go over from one export into another one of the same disk.
fn reason_for_whole(client: &NfsClient<'_>, at: &NodeView<'_>) -> Option<String> {
    let path = at.config().storage.path.to_string_lossy();
    let file = at.facts.file(EXPORTS).map(|f| f.content);
    let is_whole = |text: &str| parse_exports(text).contains(&(&path, &client.address));
    if !is_whole(at.facts.output("exported")) && !is_whole(file.as_deref().unwrap_or_default()) {
        return None;
    }
    let node = client.node;
    match at.fleet.node_facts(node) {
        Err(_) => Some(tr!("{node} does not answer")),
        Ok(facts) if !facts.succeeded("nfs-mounts") => {
            Some(tr!("{node} does not say what it mounts"))
        }
        Ok(facts) => match count_mounts(facts.output("nfs-mounts"), &path) {
            0 => None,
            1 => Some(tr!("{node} has a volume mounted by it")),
            n => Some(tr!("{node} has {n} volumes mounted by it")),
        },
    }
}

/// Counts the NFS mounts below `path` in what `systemctl show` prints of mounts.
fn count_mounts(output: &str, path: &str) -> usize {
    let value = |mount: &str, name: &str| {
        let mut lines = mount.lines();
        lines.find_map(|l| l.strip_prefix(name).map(str::to_owned))
    };
    output
        .split("\n\n")
        .filter(|m| value(m, "Type=").is_some_and(|t| t.starts_with("nfs")))
        .filter_map(|m| value(m, "What="))
        .filter(|what| {
            what.split_once(':')
                .is_some_and(|(_, p)| Path::new(p).starts_with(path))
        })
        .count()
}

/// The script that exports, and the units that run it when a folder comes or goes.
///
/// # Errors
/// When the address of a node is not known.
pub(super) fn desired_exports(at: &NodeView<'_>) -> Result<DesiredState, ProvisionError> {
    let storage = &at.config().storage;
    let path = storage.path.to_string_lossy();
    // `mp`: the disk that should be there and is not mounted is not replaced by an empty folder.
    let mp = match storage.devices.is_empty() {
        true => String::new(),
        false => format!(",mp={path}"),
    };
    let clients = clients(at)?;
    let addresses = |keep: &dyn Fn(&NfsClient<'_>) -> bool| {
        let kept = clients.iter().filter(|c| keep(c));
        let kept: Vec<&str> = kept.map(|c| c.address.as_str()).collect();
        kept.join(" ")
    };
    // Without the look at where a file lies, a node's root gets at all of the disk with a handle that it makes
    // up: tests/files/provision/nfs_reach.py does.
    let options = format!("rw,sync,subtree_check,no_root_squash{mp}");
    // The handles of these mounts don't say where files lie.
    let whole_options = format!("rw,sync,no_subtree_check,no_root_squash{mp}");
    let settings = [
        ("data", path.to_string()),
        ("clients", addresses(&|_| true)),
        ("options", options),
        (
            "whole",
            addresses(&|client| reason_for_whole(client, at).is_some()),
        ),
        ("whole_options", whole_options),
    ];
    let settings: String = settings
        .iter()
        .map(|(name, value)| format!("{name}={}\n", quote_args([value.as_str()])))
        .collect();
    let units = "/etc/systemd/system/";
    Ok(DesiredState::default()
        .with_file(
            SCRIPT,
            0o600,
            format!("# Kept by `matou provision`.\n{settings}{LIST_FOLDERS}{EXPORT_SCRIPT}"),
        )
        .with_file(
            &format!("{units}matou-exports.service"),
            0o644,
            // It tells the kernel's server through /proc/fs.
            format!("{EXPORT_UNIT}{HARDENED}ProtectKernelTunables=no\n"),
        )
        .with_file(
            &format!("{units}matou-exports.path"),
            0o644,
            format!(
                "# Kept by `matou provision`.\n[Unit]\nDescription=matou: volumes that come and go\n\n\
                 [Path]\nPathChanged={path}\n\n[Install]\nWantedBy=multi-user.target\n"
            ),
        )
        .on_file_change("systemctl daemon-reload")
        .with_unit("matou-exports.path"))
}

/// The lines of the plan about what is exported, beside the files that say so.
///
/// # Errors
/// When the address of a node is not known.
pub(super) fn compare_exports(at: &NodeView<'_>) -> Result<Vec<Change>, ProvisionError> {
    let path = at.config().storage.path.to_string_lossy();
    let exported = parse_exports(at.facts.output("exported"));
    let folders: Vec<&str> = at.facts.output("volume-folders").lines().collect();
    let clients = clients(at)?;
    let mut lines = Vec::new();
    let mut missing: Vec<&str> = clients
        .iter()
        .filter(|c| {
            folders
                .iter()
                .any(|f| !exported.contains(&(*f, &c.address)))
        })
        .map(|c| c.node)
        .collect();
    missing.dedup();
    let what = match folders.len() {
        1 => tr!("one volume").to_owned(),
        n => tr!("{n} volumes"),
    };
    lines.push(match missing.as_slice() {
        [] => Change::same(tr!("{what} exported to {} nodes", clients.len() - 1)),
        names => Change::add(tr!("export of {what} to {}", names.join(", "))),
    });
    for client in &clients {
        if !exported.contains(&(&path, &client.address)) {
            continue;
        }
        let node = client.node;
        lines.push(match reason_for_whole(client, at) {
            Some(why) => Change::same(tr!("{path} exported as a whole to {}", client.address))
                .with_warning(tr!(
                    "{why}: `matou drain {node}`, provision again, `matou activate {node}` ends it"
                )),
            None => Change::remove(tr!(
                "export of {path} as a whole, with what is no volume, to {}",
                client.address
            )),
        });
    }
    Ok(lines)
}

/// The facts of the storage node that this file reads.
pub(super) fn fact_query(config: &Config) -> FactQuery {
    let data = config.storage.path.to_string_lossy();
    FactQuery::default()
        .with_files([
            EXPORTS,
            SCRIPT,
            "/etc/systemd/system/matou-exports.service",
            "/etc/systemd/system/matou-exports.path",
        ])
        .with_units(["matou-exports.path"])
        // The file that `exportfs -s` reads.
        .with_command("exported", "show /var/lib/nfs/etab")
        .with_command(
            "volume-folders",
            format!(
                "{LIST_FOLDERS}list_volume_folders {}",
                quote_args([data.as_ref()])
            ),
        )
}

/// The facts of each client that this file reads: what is mounted.
pub(super) fn mounts_query() -> FactQuery {
    FactQuery::default().with_command(
        "nfs-mounts",
        "systemctl show --property=What,Type '*.mount'",
    )
}
