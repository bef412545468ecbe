//! Permissions of files that hold secrets or rule who may do what: never wider than needed.
//!
//! Undo: `chmod` back to what the journal shows as old.

use async_trait::async_trait;
use matou_i18n::tr;

use super::Concern;
use super::executor::NodeExecutor;
use super::facts::FactQuery;
use super::node_view::NodeView;
use crate::ProvisionError;
use matou_config::{Config, NodeConfig};
use matou_job::{Change, Check, StepError};

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

/// The concern `files`: permissions of files that hold secrets.
pub(crate) struct FilesConcern;

/// Finds files that allow more than [`RULES`]. Returns path, mode, and the most that is allowed.
fn find_wide_permissions(listing: &str) -> Vec<(&str, u32, u32)> {
    listing
        .lines()
        .filter_map(|line| {
            let (mode, path) = line.split_once(' ')?;
            let mode = u32::from_str_radix(mode, 8).ok()?;
            let most = RULES
                .iter()
                .find(|(pattern, ..)| matches_path_pattern(pattern, path))?
                .1;
            (mode & 0o777 & !most != 0).then_some((path, mode & 0o777, most))
        })
        .collect()
}

/// Whether a path is of a shell pattern with one star at most.
fn matches_path_pattern(pattern: &str, path: &str) -> bool {
    match pattern.split_once('*') {
        None => pattern == path,
        Some((before, after)) => path
            .strip_prefix(before)
            .is_some_and(|rest| rest.ends_with(after)),
    }
}

#[async_trait]
impl Concern for FilesConcern {
    fn name(&self) -> &'static str {
        "files"
    }

    fn fact_query(&self, _: &NodeConfig, _: &Config) -> FactQuery {
        // One process for all; what is not there is not printed.
        let patterns = RULES.map(|(pattern, ..)| pattern).join(" ");
        FactQuery::default().with_command(
            "permissions",
            format!("stat -L -c '%a %n' -- {patterns}; :"),
        )
    }

    fn check(&self, at: &NodeView<'_>) -> Result<Check, ProvisionError> {
        let listing = at.facts.output("permissions");
        let wide = find_wide_permissions(listing);
        if wide.is_empty() {
            let n = listing.lines().count();
            return Ok(Check::Done(vec![Change::same(tr!(
                "permissions of {n} files that hold secrets"
            ))]));
        }
        Ok(Check::from_changes(
            wide.into_iter()
                .map(|(path, mode, most)| {
                    Change::modify(
                        tr!("permissions of {path}"),
                        format!("{mode:o}"),
                        format!("{:o}", mode & most),
                    )
                })
                .collect(),
        ))
    }

    async fn apply(&self, at: &NodeView<'_>, run: &NodeExecutor<'_>) -> Result<(), StepError> {
        for (path, mode, most) in find_wide_permissions(at.facts.output("permissions")) {
            let mode = format!("{:o}", mode & most);
            run.run_script(
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
        let listing = "755 /root\n600 /etc/ssh/ssh_host_rsa_key\n400 /etc/sudoers.d/a b\n444 /etc/sudoers.d/c\n644 /etc/shadow";
        assert_eq!(
            find_wide_permissions(listing),
            [
                ("/root", 0o755, 0o700),
                ("/etc/sudoers.d/c", 0o444, 0o440),
                ("/etc/shadow", 0o644, 0o640)
            ]
        );
    }
}
