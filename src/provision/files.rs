//! Permissions of files that hold secrets or rule who may do what: never wider than needed.
//!
//! Undo: `chmod` back to what the journal shows as old.

use async_trait::async_trait;

use super::Concern;
use super::at::{At, check};
use super::facts::Needs;
use super::run::Run;
use crate::config::{Config, NodeConfig};
use crate::job::{Change, Check, StepError};

/// Shell patterns, the most that may be allowed, and why.
const RULES: [(&str, u32, &str); 8] = [
    ("/root", 0o700, "root's home holds keys"),
    ("/root/.ssh", 0o700, "who may log in as root"),
    ("/etc/ssh/ssh_host_*_key", 0o600, "the server's identity"),
    ("/etc/shadow", 0o640, "password hashes"),
    ("/etc/gshadow", 0o640, "password hashes of groups"),
    ("/etc/sudoers.d/*", 0o440, "who may become root"),
    ("/etc/crontab", 0o600, "what root runs, and when"),
    ("/etc/matou", 0o700, "the fleet's keys and configuration"),
];

/// See the module.
pub struct Files;

/// Path, mode now and the most that may be, of files that allow more.
fn too_wide(listing: &str) -> Vec<(&str, u32, u32)> {
    listing
        .lines()
        .filter_map(|line| {
            let mut words = line.splitn(3, ' ');
            let most = u32::from_str_radix(words.next()?, 8).ok()?;
            let mode = u32::from_str_radix(words.next()?, 8).ok()?;
            let path = words.next()?;
            (mode & 0o777 & !most != 0).then_some((path, mode & 0o777, most))
        })
        .collect()
}

#[async_trait]
impl Concern for Files {
    fn name(&self) -> &'static str {
        "files"
    }

    fn needs(&self, _: &NodeConfig, _: &Config) -> Needs {
        // One process for all of a mode; what is not there is not printed.
        let mut by_mode: std::collections::BTreeMap<u32, Vec<&str>> = Default::default();
        for (pattern, most, _) in RULES {
            by_mode.entry(most).or_default().push(pattern);
        }
        let script: String = by_mode
            .iter()
            .map(|(most, patterns)| {
                format!("stat -L -c '{most:o} %a %n' -- {}\n", patterns.join(" "))
            })
            .collect();
        Needs::default().command("permissions", script + "true")
    }

    fn check(&self, at: &At<'_>) -> Result<Check, String> {
        let listing = at.facts.out("permissions");
        let wide = too_wide(listing);
        if wide.is_empty() {
            let n = listing.lines().count();
            return Ok(Check::Done(vec![Change::same(format!(
                "permissions of {n} files that hold secrets"
            ))]));
        }
        Ok(check(
            wide.into_iter()
                .map(|(path, mode, most)| {
                    Change::modify(
                        format!("permissions of {path}"),
                        format!("{mode:o}"),
                        format!("{:o}", mode & most),
                    )
                })
                .collect(),
        ))
    }

    async fn apply(&self, at: &At<'_>, run: &Run<'_>) -> Result<(), StepError> {
        for (path, mode, most) in too_wide(at.facts.out("permissions")) {
            let mode = format!("{:o}", mode & most);
            run.sh(
                &format!("chmod {mode} {path}"),
                "chmod -- \"$1\" \"$2\"",
                [mode.as_str(), path],
            )
            .await?;
        }
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_files_that_allow_more_are_changed() {
        let listing =
            "700 755 /root\n600 600 /etc/ssh/key\n440 400 /etc/sudoers.d/a b\n640 644 /etc/shadow";
        assert_eq!(
            too_wide(listing),
            [("/root", 0o755, 0o700), ("/etc/shadow", 0o644, 0o640)]
        );
    }
}
