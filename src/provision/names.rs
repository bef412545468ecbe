//! Host name, and the names of all nodes in /etc/hosts: private addresses change when a provider
//! moves a server, names stay.
//!
//! Undo: remove the block between the two matou lines of /etc/hosts.

use async_trait::async_trait;

use super::Concern;
use super::at::{At, check};
use super::desired::{FileSpec, compare_file, diff};
use super::facts::Needs;
use super::run::{Run, TENTATIVE};
use crate::config::{Config, NodeConfig};
use crate::job::{Change, ChangeKind, Check, StepError};

const HOSTS: &str = "/etc/hosts";
const BEGIN: &str = "# matou: the fleet's nodes, kept by `matou provision`";
const END: &str = "# matou: end";

/// Where cloud-init would write both files anew at each boot.
const CLOUD: &str = "/etc/cloud/cloud.cfg";

fn cloud_file() -> FileSpec {
    FileSpec {
        path: "/etc/cloud/cloud.cfg.d/99-matou.cfg".into(),
        content: "# matou keeps host name and /etc/hosts\npreserve_hostname: true\nmanage_etc_hosts: false\n".into(),
        mode: 0o644,
    }
}

/// See the module.
pub struct Names;

#[async_trait]
impl Concern for Names {
    fn name(&self) -> &'static str {
        "names"
    }

    fn needs(&self, _: &NodeConfig, _: &Config) -> Needs {
        Needs::default()
            .files([HOSTS, "/etc/hostname", CLOUD])
            .files([cloud_file().path])
            .command("hostname", "show /proc/sys/kernel/hostname")
    }

    fn check(&self, at: &At<'_>) -> Result<Check, String> {
        let mut lines = Vec::new();
        let name = &at.node.name;
        let now = at.facts.out("hostname");
        let stored = at.facts.file("/etc/hostname").map(|f| f.content);
        let stored = stored.as_deref().unwrap_or("").trim();
        lines.push(if now == name && stored == name {
            Change::same(format!("host name {name}"))
        } else {
            let old = if now == name { stored } else { now };
            Change::modify("host name", old, name)
        });
        let (old, new) = hosts(at)?;
        lines.push(if old == new {
            Change::same(HOSTS)
        } else {
            diff(HOSTS, &old, &new)
        });
        if at.facts.file(CLOUD).is_some() {
            lines.push(compare_file(at.facts, &cloud_file()));
        }
        Ok(check(lines))
    }

    async fn apply(&self, at: &At<'_>, run: &Run<'_>) -> Result<(), StepError> {
        let cloud = cloud_file();
        if at.facts.file(CLOUD).is_some() && compare_file(at.facts, &cloud).kind != ChangeKind::Same
        {
            run.write(&cloud.path, &cloud.content, cloud.mode).await?;
        }
        let (old, new) = hosts(at).map_err(StepError::Failed)?;
        if old != new {
            run.sh("write /etc/hosts", &replace(), [HOSTS, &new])
                .await?;
        }
        let name = &at.node.name;
        let script = format!("{}hostname -- \"$2\"\n", replace());
        if at.facts.out("hostname") != name
            || at
                .facts
                .file("/etc/hostname")
                .is_none_or(|f| f.content.trim() != name)
        {
            run.sh("set the host name", &script, ["/etc/hostname", name])
                .await?;
        }
        Ok(())
    }
}

/// Gives a file new lines, `$2`, in one step; in place only where it is a mount of its own, as a
/// container's is.
fn replace() -> String {
    format!(
        "{TENTATIVE}{}",
        r#"set -e
if [ -e "$1" ]; then cp -p "$1" "$1.matou"; else : >"$1.matou"; chmod 644 "$1.matou"; fi
printf '%s\n' "${2%
}" >"$1.matou"
if is_mounted "$1"; then cat "$1.matou" >"$1"; rm "$1.matou"; else place "$1.matou" "$1"; fi
"#
    )
}

/// /etc/hosts as it is, and as it should be.
fn hosts(at: &At<'_>) -> Result<(String, String), String> {
    let old = at.facts.file(HOSTS).map_or_else(
        || "127.0.0.1 localhost\n::1 localhost ip6-localhost ip6-loopback\n".to_owned(),
        |f| f.content,
    );
    let entries: Vec<(String, String)> = at
        .fleet
        .addresses()?
        .into_iter()
        .map(|(name, ip)| (name.to_owned(), ip.to_string()))
        .collect();
    let new = with_block(&old, &entries);
    Ok((old, new))
}

/// The text with our block at its end; what others wrote stays.
fn with_block(old: &str, entries: &[(String, String)]) -> String {
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
        let first = with_block("127.0.0.1 localhost\n", &entries("10.0.0.1"));
        assert_eq!(
            first,
            format!("127.0.0.1 localhost\n{BEGIN}\n10.0.0.1 n1\n{END}\n")
        );
        assert_eq!(with_block(&first, &entries("10.0.0.1")), first);
        let moved = with_block(&format!("{first}10.9.9.9 printer\n"), &entries("10.0.0.2"));
        assert_eq!(
            moved,
            format!("127.0.0.1 localhost\n10.9.9.9 printer\n{BEGIN}\n10.0.0.2 n1\n{END}\n")
        );
    }
}
