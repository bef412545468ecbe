//! Host name, and the names of all nodes in /etc/hosts: private addresses change when a provider
//! moves a server, names stay.
//!
//! Undo: remove the block between the two matou lines of /etc/hosts.

use async_trait::async_trait;
use matou_i18n::tr;

use super::Concern;
use super::desired::{DesiredFile, compare_desired_file, diff_as_change};
use super::executor::{NodeExecutor, TENTATIVE_FILE_FUNCTIONS};
use super::facts::FactQuery;
use super::node_view::NodeView;
use crate::ProvisionError;
use matou_config::{Config, NodeConfig};
use matou_host::shell_script;
use matou_job::{Change, ChangeKind, Check, StepError};

const HOSTS: &str = "/etc/hosts";
const BEGIN: &str = "# matou: the fleet's nodes, kept by `matou provision`";
const END: &str = "# matou: end";

/// Where cloud-init would write both files anew at each boot.
const CLOUD_INIT_CONFIG: &str = "/etc/cloud/cloud.cfg";

fn desired_cloud_init_file() -> DesiredFile {
    DesiredFile {
        path: "/etc/cloud/cloud.cfg.d/99-matou.cfg".into(),
        content: "# matou keeps host name and /etc/hosts\npreserve_hostname: true\nmanage_etc_hosts: false\n".into(),
        mode: 0o644,
    }
}

/// The concern `names`: host name and /etc/hosts.
pub(crate) struct NamesConcern;

#[async_trait]
impl Concern for NamesConcern {
    fn name(&self) -> &'static str {
        "names"
    }

    fn fact_query(&self, _: &NodeConfig, _: &Config) -> FactQuery {
        FactQuery::default()
            .with_files([HOSTS, "/etc/hostname", CLOUD_INIT_CONFIG])
            .with_files([desired_cloud_init_file().path])
            .with_command("hostname", "show /proc/sys/kernel/hostname")
    }

    fn check(&self, at: &NodeView<'_>) -> Result<Check, ProvisionError> {
        let mut lines = Vec::new();
        let name = &at.node.name;
        let now = at.facts.output("hostname");
        let stored = at.facts.file("/etc/hostname").map(|f| f.content);
        let stored = stored.as_deref().unwrap_or("").trim();
        lines.push(if now == name && stored == name {
            Change::same(tr!("host name {name}"))
        } else {
            let old = if now == name { stored } else { now };
            Change::modify(tr!("host name"), old, name)
        });
        let (old, new) = compare_hosts_file(at)?;
        lines.push(if old == new {
            Change::same(HOSTS)
        } else {
            diff_as_change(HOSTS, &old, &new)
        });
        if at.facts.file(CLOUD_INIT_CONFIG).is_some() {
            lines.push(compare_desired_file(at.facts, &desired_cloud_init_file()));
        }
        Ok(Check::from_changes(lines))
    }

    async fn apply(&self, at: &NodeView<'_>, run: &NodeExecutor<'_>) -> Result<(), StepError> {
        let cloud = desired_cloud_init_file();
        if at.facts.file(CLOUD_INIT_CONFIG).is_some()
            && compare_desired_file(at.facts, &cloud).kind != ChangeKind::Same
        {
            run.write_file(&cloud.path, &cloud.content, cloud.mode)
                .await?;
        }
        let (old, new) = compare_hosts_file(at)?;
        if old != new {
            run.run_script(
                tr!("write /etc/hosts"),
                &replace_file_script(),
                [HOSTS, &new],
            )
            .await?;
        }
        let name = &at.node.name;
        let script = format!("{}hostname -- \"$2\"\n", replace_file_script());
        if at.facts.output("hostname") != name
            || at
                .facts
                .file("/etc/hostname")
                .is_none_or(|f| f.content.trim() != name)
        {
            run.run_script(tr!("set the host name"), &script, ["/etc/hostname", name])
                .await?;
        }
        Ok(())
    }
}

/// Returns the script that replaces the content of the file `$1` by `$2`, in one step. A file that
/// is a mount, as in a container, is written in place.
fn replace_file_script() -> String {
    format!(
        "{TENTATIVE_FILE_FUNCTIONS}{}",
        shell_script(include_str!("../scripts/replace_file.sh"))
    )
}

/// /etc/hosts as it is, and as it should be.
fn compare_hosts_file(at: &NodeView<'_>) -> Result<(String, String), ProvisionError> {
    let old = at.facts.file(HOSTS).map_or_else(
        || "127.0.0.1 localhost\n::1 localhost ip6-localhost ip6-loopback\n".to_owned(),
        |f| f.content,
    );
    let entries: Vec<(String, String)> = at
        .fleet
        .node_addresses()?
        .into_iter()
        .map(|(name, ip)| (name.to_owned(), ip.to_string()))
        .collect();
    let new = with_hosts_block(&old, &entries);
    Ok((old, new))
}

/// The text with our block at its end; what others wrote stays.
fn with_hosts_block(old: &str, entries: &[(String, String)]) -> String {
    let mut text = String::new();
    let mut inside = false;
    for line in old.lines() {
        match line {
            BEGIN => inside = true,
            END => inside = false,
            _ if inside => {}
            _ => {
                text.push_str(line);
                text.push('\n');
            }
        }
    }
    text.push_str(BEGIN);
    text.push('\n');
    for (name, ip) in entries {
        text.push_str(&format!("{ip} {name}\n"));
    }
    text.push_str(END);
    text.push('\n');
    text
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_block_is_replaced_and_the_rest_stays() {
        let entries = |ip: &str| vec![("n1".to_owned(), ip.to_owned())];
        let first = with_hosts_block("127.0.0.1 localhost\n", &entries("10.0.0.1"));
        assert_eq!(
            first,
            format!("127.0.0.1 localhost\n{BEGIN}\n10.0.0.1 n1\n{END}\n")
        );
        assert_eq!(with_hosts_block(&first, &entries("10.0.0.1")), first);
        let moved = with_hosts_block(&format!("{first}10.9.9.9 printer\n"), &entries("10.0.0.2"));
        assert_eq!(
            moved,
            format!("127.0.0.1 localhost\n10.9.9.9 printer\n{BEGIN}\n10.0.0.2 n1\n{END}\n")
        );
    }
}
