//! What NFS exports: each volume's folder by itself, as it comes and goes, so that a node whose root is an
//! intruder reaches volumes and nothing else of the disk: not what matou keeps beside them.

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

/// Who may mount: the nodes' addresses, and the storage node itself.
fn clients(at: &NodeView<'_>) -> Result<Vec<(String, String)>, ProvisionError> {
    let addresses = at.fleet.node_addresses()?.into_iter();
    Ok(addresses
        .map(|(name, ip)| (name.to_owned(), ip.to_string()))
        // Its own name leads to 127.0.1.1 on Debian: its containers come from there.
        .chain([("itself".to_owned(), LOOPBACK_NETWORK.to_owned())])
        .collect())
}

/// Why the data as a whole is still exported, if it is and must be: mounts of before hold handles of that
/// export, and whatever is behind them would fail in the moment in which it goes.
fn reason_for_whole(at: &NodeView<'_>) -> Option<String> {
    let path = at.config().storage.path.to_string_lossy();
    let is_exported = |text: &str| {
        text.lines()
            .any(|l| l.split_whitespace().next() == Some(&path))
    };
    let file = at.facts.file(EXPORTS);
    if !is_exported(at.facts.output("exported")) && !file.is_some_and(|f| is_exported(&f.content)) {
        return None;
    }
    let age: u64 = at.facts.output("exports-age").trim().parse().unwrap_or(0);
    let older: Vec<String> = at
        .config()
        .nodes
        .iter()
        .filter_map(|node| match at.fleet.node_facts(&node.name) {
            Err(_) => Some(format!("{} does not answer", node.name)),
            Ok(facts) if !facts.succeeded("nfs-mounts") => {
                Some(format!("{} does not say what it mounts", node.name))
            }
            Ok(facts) => match count_mounts(facts.output("nfs-mounts"), &path, age) {
                0 => None,
                1 => Some(format!("{} has mounted one volume since before", node.name)),
                n => Some(format!(
                    "{} has mounted {n} volumes since before",
                    node.name
                )),
            },
        })
        .collect();
    (!older.is_empty()).then(|| older.join(", "))
}

/// Counts the NFS mounts below `path` that are `age` seconds old or older, in what `systemctl show` prints of mounts
/// after the seconds since the node's start.
fn count_mounts(output: &str, path: &str, age: u64) -> usize {
    /// What lies between the two moments in which two nodes are asked.
    const TOLERANCE: u64 = 60;
    let (uptime, mounts) = output.split_once('\n').unwrap_or_default();
    let uptime = uptime.split('.').next().and_then(|u| u.parse::<u64>().ok());
    let value = |mount: &str, name: &str| {
        mount
            .lines()
            .find_map(|l| l.strip_prefix(name))
            .map(str::to_owned)
    };
    mounts
        .split("\n\n")
        .filter(|m| value(m, "Type=").is_some_and(|t| t.starts_with("nfs")))
        .filter(|m| {
            value(m, "What=").is_some_and(|w| {
                w.split_once(':')
                    .is_some_and(|(_, p)| Path::new(p).starts_with(path))
            })
        })
        .filter(|m| {
            let since =
                value(m, "ActiveEnterTimestampMonotonic=").and_then(|t| t.parse::<u64>().ok());
            match (uptime, since) {
                (Some(now), Some(since)) => {
                    now.saturating_sub(since / 1_000_000) + TOLERANCE >= age
                }
                // A mount of which nothing is known is one of before.
                _ => true,
            }
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
    let clients: Vec<String> = clients(at)?.into_iter().map(|(_, ip)| ip).collect();
    // Without the look at where a file lies, a node's root gets at all of the disk with a handle that it makes
    // up: tests/files/provision/nfs_reach.py does.
    let options = format!("rw,sync,subtree_check,no_root_squash{mp}");
    // The handles of these mounts don't say where files lie.
    let whole = match reason_for_whole(at) {
        Some(_) => format!("rw,sync,no_subtree_check,no_root_squash{mp}"),
        None => String::new(),
    };
    let settings = [
        ("data", path.as_ref()),
        ("clients", &clients.join(" ")),
        ("options", &options),
        ("whole", &whole),
    ];
    let settings: String = settings
        .iter()
        .map(|(name, value)| format!("{name}={}\n", quote_args([*value])))
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
    let exported: Vec<(&str, &str)> = at
        .facts
        .output("exported")
        .lines()
        .filter_map(|l| {
            let mut words = l.split_whitespace();
            Some((words.next()?, words.next()?.split('(').next()?))
        })
        .collect();
    let folders: Vec<&str> = at.facts.output("volume-folders").lines().collect();
    let clients = clients(at)?;
    let mut lines = Vec::new();
    let missing: Vec<&str> = clients
        .iter()
        .filter(|(_, ip)| folders.iter().any(|f| !exported.contains(&(*f, ip))))
        .map(|(name, _)| name.as_str())
        .collect();
    let what = match folders.len() {
        1 => "one volume".to_owned(),
        n => format!("{n} volumes"),
    };
    lines.push(match missing.as_slice() {
        [] => Change::same(format!("{what} exported to {} nodes", clients.len() - 1)),
        names => Change::add(format!("export of {what} to {}", names.join(", "))),
    });
    if exported.iter().any(|(p, _)| *p == path) {
        lines.push(match reason_for_whole(at) {
            Some(why) => {
                Change::same(format!("{path} exported as a whole, too")).with_warning(format!(
                    "{why}: it ends with the provisioning after their applications were restarted"
                ))
            }
            None => Change::remove(format!(
                "export of {path} as a whole, with what is no volume"
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
            "exports-age",
            format!("made=$(stat -c %Y {SCRIPT}) && echo $(($(date +%s) - made))"),
        )
        .with_command(
            "volume-folders",
            format!(
                "{LIST_FOLDERS}list_volume_folders {}",
                quote_args([data.as_ref()])
            ),
        )
}

/// The facts of each client that this file reads: how long ago what was mounted.
pub(super) fn mounts_query() -> FactQuery {
    FactQuery::default().with_command(
        "nfs-mounts",
        "show /proc/uptime && systemctl show --property=What,Type,ActiveEnterTimestampMonotonic '*.mount'",
    )
}
