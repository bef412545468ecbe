//! A swap file: a server of little memory rather gets slow than kills a database.
//!
//! Undo: `swapoff /swapfile`, remove it and its line in /etc/fstab.

use async_trait::async_trait;
use matou_i18n::tr;

use super::Concern;
use super::executor::{NodeExecutor, TENTATIVE_FILE_FUNCTIONS};
use super::facts::FactQuery;
use super::node_view::NodeView;
use crate::ProvisionError;
use matou_base::text::human_bytes;
use matou_config::{Config, NodeConfig};
use matou_host::shell_script;
use matou_job::{Change, Check, StepError};

const PATH: &str = "/swapfile";

/// Makes or resizes the file: size in bytes. Each part may be there already.
const MAKE: &str = shell_script(include_str!("../scripts/make_swap.sh"));

const REMOVE: &str = shell_script(include_str!("../scripts/remove_swap.sh"));

/// The concern `swap`: the swap file.
pub(crate) struct SwapConcern;

#[async_trait]
impl Concern for SwapConcern {
    fn name(&self) -> &'static str {
        "swap"
    }

    fn fact_query(&self, _: &NodeConfig, _: &Config) -> FactQuery {
        FactQuery::default()
            .with_command(
                "swap",
                "while read -r name _ size _; do case $name in /*) echo \"$name $((size * 1024))\";; esac; done </proc/swaps",
            )
            // One that is in use has its header beside what the kernel counts.
            .with_command(
                "swapfile",
                "while read -r name _ size _; do [ \"$name\" != /swapfile ] || { echo $((size * 1024 + 4096)); exit; }; done </proc/swaps\n\
                 [ -e /swapfile ] && stat -c %s /swapfile",
            )
            .with_files(["/etc/fstab"])
    }

    fn check(&self, at: &NodeView<'_>) -> Result<Check, ProvisionError> {
        if at.facts.is_container() {
            let line = tr!("swap is the host's of this container");
            return Ok(Check::Done(vec![Change::same(line)]));
        }
        let wanted = at.config().provision.swap;
        let active: Vec<(&str, u64)> = at
            .facts
            .output("swap")
            .lines()
            .filter_map(|l| {
                let (name, size) = l.trim().split_once(char::is_whitespace)?;
                Some((name, size.trim().parse().ok()?))
            })
            .collect();
        let ours = active.iter().find(|(name, _)| *name == PATH);
        let others: u64 = active
            .iter()
            .filter(|(name, _)| *name != PATH)
            .map(|(_, size)| size)
            .sum();
        let in_fstab = at.facts.file("/etc/fstab").is_some_and(|f| {
            f.content
                .lines()
                .any(|l| l.split_whitespace().next() == Some(PATH))
        });
        let file: u64 = at.facts.output("swapfile").parse().unwrap_or(0);
        if wanted == 0 {
            let left = ours.is_some() || in_fstab || file > 0;
            return Ok(Check::from_changes(vec![if left {
                Change::remove(tr!("swap file {PATH}"))
            } else {
                Change::same(tr!("no swap file"))
            }]));
        }
        if ours.is_none() && others >= wanted {
            let size = human_bytes(others);
            return Ok(Check::Done(vec![Change::same(tr!("swap of {size}"))]));
        }
        let size = human_bytes(wanted);
        // The kernel's figure is one page less: its header.
        let line = match ours {
            Some(_) if file == wanted && in_fstab => Change::same(tr!("swap file of {size}")),
            Some(_) if file == wanted => Change::add(tr!("{PATH} in /etc/fstab")),
            Some(_) => Change::modify(tr!("size of the swap file"), human_bytes(file), size),
            None => Change::add(tr!("swap file of {size}")),
        };
        Ok(Check::from_changes(vec![line]))
    }

    async fn apply(&self, at: &NodeView<'_>, run: &NodeExecutor<'_>) -> Result<(), StepError> {
        match at.config().provision.swap {
            0 => {
                let script = format!("{TENTATIVE_FILE_FUNCTIONS}{REMOVE}");
                run.run_script(tr!("remove the swap file"), &script, [""; 0])
                    .await
            }
            size => {
                let script = format!("{TENTATIVE_FILE_FUNCTIONS}{MAKE}");
                run.run_detached("swap", &script, &[size.to_string()]).await
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::super::facts::NodeFacts;
    use super::super::testing::{check_of, config, lines};
    use super::*;

    fn plan(more: &str, swap: &str, file: &str, fstab: &str) -> String {
        let facts = NodeFacts::of(&[("swap", swap), ("swapfile", file)])
            .with("container", "", 1)
            .with_file("/etc/fstab", 0o644, fstab);
        lines(&check_of(&SwapConcern, &config(more), facts).unwrap()).join("\n")
    }

    #[test]
    fn each_state_leads_to_the_wanted_one() {
        let one = "[provision]\nswap = \"1 GiB\"";
        let entry = "/swapfile none swap sw 0 0\n";
        let g = "1073741824";
        assert_eq!(plan(one, "", "", ""), "+ swap file of 1.0 GiB");
        assert_eq!(
            plan(one, "/swapfile 1073737728", g, entry),
            "= swap file of 1.0 GiB"
        );
        assert_eq!(
            plan(one, "/swapfile 1073737728", g, ""),
            "+ /swapfile in /etc/fstab"
        );
        assert_eq!(
            plan(one, "/swapfile 524283904", "524288000", entry),
            "~ size of the swap file: 500 MiB → 1.0 GiB"
        );
        assert_eq!(
            plan(one, "/dev/vda2 2147479552", "", ""),
            "= swap of 2.0 GiB"
        );
        let none = "[provision]\nswap = \"0\"";
        assert_eq!(plan(none, "", "", ""), "= no swap file");
        assert_eq!(
            plan(none, "/swapfile 1073737728", g, entry),
            "- swap file /swapfile"
        );
    }
}
