//! Kernel parameters: what containers need, and hardening that does not break them; and that the
//! kernel accounts the memory of containers, without which limits do nothing.
//!
//! Undo: remove /etc/sysctl.d/99-zz-matou.conf, then `sysctl --system` or reboot.

use async_trait::async_trait;
use matou_i18n::tr;

use super::Concern;
use super::desired::DesiredState;
use super::executor::NodeExecutor;
use super::facts::FactQuery;
use super::node_view::NodeView;
use crate::ProvisionError;
use matou_config::{Config, NodeConfig};
use matou_host::shell_script;
use matou_job::{Change, Check, StepError};

const PATH: &str = "/etc/sysctl.d/99-zz-matou.conf";

/// Where GRUB reads the boot flag from.
const GRUB: &str = "/etc/default/grub.d/90-matou.cfg";

/// Parameter, value, why. Left out on purpose: net.ipv4.ip_forward=0 and accept_ra=0 of hardening
/// guides, which break containers and IPv6 of many providers.
const PARAMETERS: [(&str, &str, &str); 18] = [
    (
        "net.ipv4.ip_forward",
        "1",
        "containers reach the network through the node",
    ),
    (
        "fs.inotify.max_user_instances",
        "1024",
        "many containers watch files",
    ),
    ("fs.inotify.max_user_watches", "524288", "the same"),
    (
        "net.core.somaxconn",
        "4096",
        "bursts of visitors wait instead of being refused",
    ),
    (
        "vm.overcommit_memory",
        "1",
        "Redis can save itself while memory is short",
    ),
    (
        "vm.max_map_count",
        "1048576",
        "Elasticsearch maps many files, and starts with no less",
    ),
    (
        "kernel.panic",
        "10",
        "a panicked kernel boots again after 10 s",
    ),
    (
        "kernel.kptr_restrict",
        "2",
        "kernel addresses help attackers only",
    ),
    ("kernel.dmesg_restrict", "1", "the kernel's log is root's"),
    (
        "kernel.unprivileged_bpf_disabled",
        "1",
        "a frequent way from a user to the kernel",
    ),
    (
        "kernel.yama.ptrace_scope",
        "1",
        "a process may not read its neighbour's memory",
    ),
    (
        "fs.protected_hardlinks",
        "1",
        "links to files of others, as in old attacks on /tmp",
    ),
    ("fs.protected_symlinks", "1", "the same"),
    (
        "fs.suid_dumpable",
        "0",
        "no core files of privileged programs",
    ),
    (
        "net.ipv4.tcp_syncookies",
        "1",
        "goes on serving under a flood of SYNs",
    ),
    (
        "net.ipv4.conf.all.accept_redirects",
        "0",
        "nobody changes routes from outside",
    ),
    ("net.ipv6.conf.all.accept_redirects", "0", "the same"),
    (
        "net.ipv4.conf.all.send_redirects",
        "0",
        "the node routes for its own containers only",
    ),
];

fn kernel_parameters(config: &Config) -> Vec<(&'static str, String, &'static str)> {
    let swappiness = config.provision.swappiness.to_string();
    std::iter::once(("vm.swappiness", swappiness, "databases stay in memory"))
        .chain(
            PARAMETERS
                .iter()
                .map(|(k, v, why)| (*k, (*v).to_owned(), *why)),
        )
        .collect()
}

fn desired_parameter_file(config: &Config) -> DesiredState {
    let text: String = kernel_parameters(config)
        .iter()
        .map(|(key, value, why)| format!("# {why}\n{key} = {value}\n"))
        .collect();
    DesiredState::default()
        .with_file(PATH, 0o644, format!("# Kept by `matou provision`.\n{text}"))
        // Some parameters depend on modules that are not there.
        .on_file_change("sysctl --quiet --ignore --system")
}

/// The concern `kernel`: parameters, and the boot flag for the accounting of memory.
pub(crate) struct KernelConcern;

impl KernelConcern {
    fn compare_parameters(at: &NodeView<'_>) -> Vec<Change> {
        let mut lines = desired_parameter_file(at.config()).compare(at.facts);
        for (key, value, _) in kernel_parameters(at.config()) {
            let found = at
                .facts
                .output("sysctl")
                .lines()
                .find_map(|l| l.strip_prefix(key)?.trim_start().strip_prefix('='))
                .map(str::trim);
            // This one can't be lowered again before a reboot; 2 is stricter still.
            let stricter = key == "kernel.unprivileged_bpf_disabled" && found == Some("2");
            if let Some(found) = found
                && found != value
                && !stricter
            {
                lines.push(Change::modify(key, found, value));
            }
        }
        lines
    }
}

#[async_trait]
impl Concern for KernelConcern {
    fn name(&self) -> &'static str {
        "kernel"
    }

    fn fact_query(&self, _: &NodeConfig, config: &Config) -> FactQuery {
        let keys: Vec<&str> = kernel_parameters(config).iter().map(|(k, ..)| *k).collect();
        desired_parameter_file(config)
            .fact_query()
            .with_files([GRUB])
            .with_command("sysctl", format!("sysctl --ignore {}", keys.join(" ")))
            .with_command(
                "memory",
                shell_script(include_str!("../scripts/read_memory_accounting.sh")),
            )
    }

    fn check(&self, at: &NodeView<'_>) -> Result<Check, ProvisionError> {
        if at.facts.is_container() {
            let line = tr!("the kernel is the host's of this container");
            return Ok(Check::Done(vec![Change::same(line)]));
        }
        let mut lines = Self::compare_parameters(at);
        lines.push(match at.facts.output("memory") {
            "v2" => Change::same(tr!("memory is accounted (cgroup v2)")),
            "v1" => Change::same(tr!("memory is accounted (cgroup v1)")),
            _ => {
                let flag = tr!("boot flag cgroup_enable=memory");
                let change = match at.facts.file(GRUB) {
                    Some(_) => Change::same(flag),
                    None => Change::add(flag),
                };
                change.with_warning(tr!(
                    "works after the next reboot: `matou reboot {}` drains the node first",
                    at.node.name
                ))
            }
        });
        Ok(Check::from_changes(lines))
    }

    async fn apply(&self, at: &NodeView<'_>, run: &NodeExecutor<'_>) -> Result<(), StepError> {
        desired_parameter_file(at.config()).apply(at, run).await?;
        if at.facts.output("memory").is_empty() && at.facts.file(GRUB).is_none() {
            let script = shell_script(include_str!("../scripts/set_boot_flag.sh"));
            run.run_script(tr!("set the boot flag"), script, [GRUB])
                .await?;
        }
        // Parameters that something else changed since the file was written.
        let script = "sysctl --quiet --ignore --load \"$1\"";
        run.run_script(tr!("set the parameters"), script, [PATH])
            .await
    }
}
