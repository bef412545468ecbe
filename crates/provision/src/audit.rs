//! What an audit of a node would ask, beside the plan: open ports, pending upgrades, log-ins,
//! disks. One round trip a node; what another node sees of its ports is a second.

use matou_i18n::tr;
use std::time::Duration;

use serde::Serialize;

use matou_base::text::SafeText;
use matou_config::Config;
use matou_docker::{NodeHandle, Nodes};
use matou_host::{Command, shell_script};

/// Prints `key TAB value` lines; a key may come often.
const AUDIT_SCRIPT: &str = shell_script(include_str!("../scripts/audit_node.sh"));

/// Says which of the ports `$2 …` of the address `$1` take a connection.
const TRY_PORTS_SCRIPT: &str = "ip=$1; shift; for p in \"$@\"; do timeout 2 bash -c 'exec 3<>\"/dev/tcp/$0/$1\"' \"$ip\" \"$p\" 2>/dev/null && echo \"$p\"; done; true";

/// Most ports that are tried from another node.
const MOST_PORTS: usize = 40;

/// What was found on one node.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize)]
pub struct NodeAudit {
    /// Packages with a newer version, and those of them that mend a security fault.
    pub upgrades: u32,
    /// Those of them that mend a security fault.
    pub security: u32,
    /// A new kernel or library waits for a reboot.
    pub reboot_required: bool,
    /// Log-ins that sshd refused in the last day.
    pub refused: u32,
    /// fail2ban's last ban within a week, as its log tells it.
    pub last_ban: Option<String>,
    /// `tcp 0.0.0.0:22`; loopback left out.
    pub listens: Vec<String>,
    /// TCP ports that another node could connect to, and its name.
    pub seen: Option<(String, Vec<u16>)>,
    /// `path size type file-system mount`, as lsblk prints them.
    pub devices: Vec<String>,
    /// Volume groups of LVM.
    pub groups: Vec<VolumeGroup>,
    /// File systems on disks.
    pub spaces: Vec<MountedFilesystem>,
}

/// A volume group of LVM; bytes.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize)]
pub struct VolumeGroup {
    /// The group's name.
    pub name: String,
    /// Of all its disks.
    pub size: u64,
    /// In no logical volume yet.
    pub free: u64,
}

/// A mounted file system; bytes.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize)]
pub struct MountedFilesystem {
    /// Where it is mounted.
    pub mount: String,
    /// Of the file system.
    pub size: u64,
    /// In use.
    pub used: u64,
    /// For everybody, as df prints it.
    pub free: u64,
}

impl MountedFilesystem {
    /// In use, percent, as df prints it.
    pub fn used_percent(&self) -> u64 {
        matou_model::df_percent(self.used, self.used.saturating_add(self.free)) as u64
    }
}

impl NodeAudit {
    fn parse(text: &str) -> Self {
        let mut audit = Self::default();
        for (key, value) in text.lines().filter_map(|l| l.split_once('\t')) {
            let value = matou_base::text::clean_line(value.trim()).into_owned();
            let number = || value.parse().unwrap_or(0);
            let words: Vec<&str> = value.split_whitespace().collect();
            match key {
                "upgrades" => audit.upgrades = number(),
                "security" => audit.security = number(),
                "reboot" => audit.reboot_required = true,
                "refused" => audit.refused = number(),
                "ban" => audit.last_ban = Some(value),
                "listens" if !is_loopback_listener(&value) => audit.listens.push(value),
                "device" => audit.devices.push(value),
                "group" => {
                    if let [name, size, free] = words[..] {
                        audit.groups.push(VolumeGroup {
                            name: name.into(),
                            size: size.parse().unwrap_or(0),
                            free: free.parse().unwrap_or(0),
                        });
                    }
                }
                "space" => {
                    if let [mount, size, used, free] = words[..] {
                        audit.spaces.push(MountedFilesystem {
                            mount: mount.into(),
                            size: size.parse().unwrap_or(0),
                            used: used.parse().unwrap_or(0),
                            free: free.parse().unwrap_or(0),
                        });
                    }
                }
                _ => {}
            }
        }
        audit.listens.sort();
        audit.listens.dedup();
        audit
    }

    /// TCP ports that something listens on for other machines.
    fn tcp_ports(&self) -> Vec<u16> {
        let mut ports: Vec<u16> = self
            .listens
            .iter()
            .filter_map(|l| l.strip_prefix("tcp ")?.rsplit(':').next()?.parse().ok())
            .collect();
        ports.sort_unstable();
        ports.dedup();
        ports.truncate(MOST_PORTS);
        ports
    }
}

fn is_loopback_listener(listens: &str) -> bool {
    let address = listens.split(' ').next_back().unwrap_or("");
    address.starts_with("127.") || address.starts_with("[::1]")
}

/// Audits every node, in parallel. Then each node tries the ports of another one. Returns the name
/// and the result of each node.
pub async fn audit_nodes(
    config: &Config,
    nodes: &Nodes,
) -> Vec<(String, Result<NodeAudit, SafeText>)> {
    let handles: Vec<&NodeHandle> = nodes.iter().collect();
    let looking = handles.iter().map(|handle| async move {
        let command = Command::sh_from_input(AUDIT_SCRIPT)
            .sudo()
            .timeout(Duration::from_secs(120))
            .label(tr!("audit"));
        let output = handle.host.run_ok(&command).await;
        output
            .map(|o| NodeAudit::parse(&o.stdout_text()))
            .map_err(SafeText::of)
    });
    let mut audits = futures_util::future::join_all(looking).await;
    let alone = handles.len() < 2;
    let neighbours = (0..handles.len()).map(|i| {
        let neighbour = handles[(i + 1) % handles.len()];
        let audit = audits[i].as_ref().ok().cloned();
        let address = reachable_node_address(config, handles[i]);
        async move {
            let (audit, address) = (audit?, address?);
            let ports = audit.tcp_ports();
            if alone || ports.is_empty() {
                return None;
            }
            let command = Command::sh(TRY_PORTS_SCRIPT)
                .arg(address)
                .args(ports.iter().map(u16::to_string))
                .timeout(Duration::from_secs(100))
                .label(tr!("try its neighbour's ports"));
            let output = neighbour.host.run_ok(&command).await.ok()?;
            let open = output
                .stdout_text()
                .lines()
                .filter_map(|l| l.parse().ok())
                .collect();
            Some((neighbour.config.name.clone(), open))
        }
    });
    let seen = futures_util::future::join_all(neighbours).await;
    for (audit, seen) in audits.iter_mut().zip(seen) {
        if let Ok(audit) = audit {
            audit.seen = seen;
        }
    }
    handles
        .iter()
        .map(|h| h.config.name.clone())
        .zip(audits)
        .collect()
}

/// The address under which other nodes reach it, as far as config.toml tells.
fn reachable_node_address(config: &Config, node: &NodeHandle) -> Option<String> {
    let configured = config.nodes.iter().find(|n| n.name == node.config.name)?;
    let advertised = configured.advertise.clone();
    advertised
        .filter(|a| a.parse::<std::net::IpAddr>().is_ok())
        .or_else(|| node.ssh_address().map(str::to_owned))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_the_script_prints_is_read() {
        let audit = NodeAudit::parse(
            "upgrades\t12\nsecurity\t3\nreboot\tyes\nrefused\t40\nban\t2026-11-23T10:00:00 n1 Ban 192.0.2.1\n\
             listens\ttcp 0.0.0.0:22\nlistens\ttcp 127.0.0.1:53\nlistens\ttcp [::]:22\nlistens\tudp 0.0.0.0:68\n\
             group\tmatou 2139095040 0\nspace\t/mnt/data 2000000 250001 1000000\ndevice\t/dev/vdb 1G disk LVM2_member \u{1b}[2J\n",
        );
        assert_eq!((audit.upgrades, audit.security, audit.refused), (12, 3, 40));
        assert!(audit.reboot_required);
        assert_eq!(
            audit.listens,
            ["tcp 0.0.0.0:22", "tcp [::]:22", "udp 0.0.0.0:68"]
        );
        assert_eq!(audit.tcp_ports(), [22]);
        assert_eq!(audit.groups[0].free, 0);
        assert_eq!(audit.spaces[0].free, 1_000_000);
        // As df: of what is used and available, upwards.
        assert_eq!(audit.spaces[0].used_percent(), 21);
        assert!(!audit.devices[0].contains('\u{1b}'));
    }
}
