//! The nightly backup: a systemd timer on the first manager that runs `matou backup --all
//! --scheduled`, when a repository is configured. A cron line of before that runs restic is shown,
//! and commented out when the operator accepts it.
//!
//! Undo: take `repository` out of config.toml and provision again, or
//! `systemctl disable --now matou-backup.timer` and `off = ["backup"]`.

use async_trait::async_trait;
use matou_i18n::tr;

use super::Concern;
use super::desired::{DesiredState, HARDENED};
use super::executor::NodeExecutor;
use super::facts::FactQuery;
use super::node_view::NodeView;
use crate::ProvisionError;
use matou_config::{Config, NodeConfig};
use matou_host::shell_script;
use matou_job::{Change, Check, StepError};
use matou_model::Role;

const SERVICE: &str = "/etc/systemd/system/matou-backup.service";
const TIMER: &str = "/etc/systemd/system/matou-backup.timer";
const UNIT: &str = "matou-backup.timer";

/// Files of cron with a line that runs restic; a commented one does not count. Only names: a line
/// may hold a password.
const FIND_CRON_SCRIPT: &str = r"grep -lsE '^[^#]*\brestic\b' /etc/crontab /etc/cron.d/* /var/spool/cron/crontabs/* /etc/cron.daily/* /etc/cron.hourly/* /etc/cron.weekly/* || :";

/// Comments out the lines that run restic in the files given. The old files are kept below
/// /var/lib/matou, where cron does not look.
const COMMENT_OUT_SCRIPT: &str = shell_script(include_str!("../scripts/comment_out_restic.sh"));

/// Removes the timer `$1`, and its files `$2` and `$3`.
pub(super) const REMOVE_TIMER_SCRIPT: &str = r#"systemctl disable --now --quiet -- "$1" 2>/dev/null || :; rm -f -- "$2" "$3"; systemctl daemon-reload"#;

/// The concern `backup`: the timer of the nightly backup.
pub(crate) struct BackupConcern;

/// Returns whether a node is the first manager, which runs the fleet's timers.
pub(super) fn runs_fleet_timers(node: &NodeConfig, config: &Config) -> bool {
    let first = config.nodes.iter().find(|n| n.role == Role::Manager);
    first.is_some_and(|n| n.name == node.name)
}

fn desired_backup_timer(config: &Config) -> DesiredState {
    let backup = &config.backup;
    let service = format!(
        "# Kept by `matou provision`.\n[Unit]\nDescription=matou: nightly backup\n\
        After=network-online.target docker.service\nWants=network-online.target\n\n\
        [Service]\nType=oneshot\nEnvironment=HOME=/root\n\
        ExecStart=/usr/local/bin/matou --config /etc/matou/config.toml backup --all --scheduled\n\
        TimeoutStartSec=infinity\nTimeoutStopSec=90\nUMask=0077\n{HARDENED}"
    );
    let timer = format!(
        "# Kept by `matou provision`.\n[Unit]\nDescription=matou: nightly backup\n\n\
         [Timer]\nOnCalendar={}\nRandomizedDelaySec={}s\nAccuracySec=1s\nPersistent=true\n\n\
         [Install]\nWantedBy=timers.target\n",
        backup.schedule,
        backup.random_delay.as_secs()
    );
    DesiredState::default()
        .with_file(SERVICE, 0o644, service)
        .with_file(TIMER, 0o644, timer)
        .on_file_change("systemctl daemon-reload")
        .with_unit(UNIT)
}

/// Files of cron that run restic.
fn restic_cron_files<'a>(at: &'a NodeView<'_>) -> Vec<&'a str> {
    at.facts.output("cron-restic").lines().collect()
}

#[async_trait]
impl Concern for BackupConcern {
    fn name(&self) -> &'static str {
        "backup"
    }

    fn applies_to(&self, node: &NodeConfig, config: &Config) -> bool {
        // A line of cron may be on any of them.
        runs_fleet_timers(node, config) || config.backup.primary_repository().is_some()
    }

    fn fact_query(&self, node: &NodeConfig, config: &Config) -> FactQuery {
        let query = match runs_fleet_timers(node, config) {
            true => desired_backup_timer(config).fact_query(),
            false => FactQuery::default(),
        };
        query.with_command("cron-restic", FIND_CRON_SCRIPT)
    }

    fn check(&self, at: &NodeView<'_>) -> Result<Check, ProvisionError> {
        let config = at.config();
        if config.backup.primary_repository().is_none() {
            let there = at.facts.file(TIMER).is_some();
            return Ok(match there {
                true => Check::Change(vec![Change::remove(tr!(
                    "{UNIT}: no repository is configured"
                ))]),
                false => Check::Done(vec![Change::same(tr!(
                    "no nightly backup: no repository is configured"
                ))]),
            });
        }
        let mut lines = Vec::new();
        if runs_fleet_timers(at.node, config) {
            lines = desired_backup_timer(config).compare(at.facts);
        }
        for file in restic_cron_files(at) {
            lines.push(match at.is_accepted(file) {
                true => Change::modify(
                    tr!("lines of {file} that run restic"),
                    tr!("run"),
                    tr!("commented out"),
                ),
                false => Change::same(tr!("{file} runs restic too")).with_warning(tr!(
                    "the night backs up what applications have, and nothing else that these lines may: `--accept {}` comments them out, and keeps them in /var/lib/matou/cron",
                    at.accept_phrase(file)
                )),
            });
        }
        Ok(Check::from_changes(lines))
    }

    async fn apply(&self, at: &NodeView<'_>, run: &NodeExecutor<'_>) -> Result<(), StepError> {
        let config = at.config();
        if config.backup.primary_repository().is_none() {
            return run
                .run_script(
                    tr!("remove the timer"),
                    REMOVE_TIMER_SCRIPT,
                    [UNIT, SERVICE, TIMER],
                )
                .await;
        }
        if runs_fleet_timers(at.node, config) {
            desired_backup_timer(config).apply(at, run).await?;
        }
        let mut files = restic_cron_files(at);
        files.retain(|file| at.is_accepted(file));
        match files.is_empty() {
            true => Ok(()),
            false => {
                run.run_script(tr!("take cron's lines over"), COMMENT_OUT_SCRIPT, files)
                    .await
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::NodeFacts;
    use crate::testing::{check_accepting, check_of, config, lines};

    const REPOSITORY: &str =
        "[backup]\nrepository = \"/srv/restic\"\npassword_file = \"p\"\nschedule = \"02:30\"";

    #[test]
    fn the_timer_is_there_when_a_repository_is() {
        let none = check_of(&BackupConcern, &config(""), NodeFacts::of(&[])).unwrap();
        assert_eq!(
            lines(&none),
            ["= no nightly backup: no repository is configured"]
        );
        let there = NodeFacts::of(&[]).with_file(TIMER, 0o644, "x");
        let gone = check_of(&BackupConcern, &config(""), there).unwrap();
        assert!(lines(&gone)[0].starts_with("- matou-backup.timer"));
        let config = config(REPOSITORY);
        let new = check_of(&BackupConcern, &config, NodeFacts::of(&[])).unwrap();
        assert_eq!(
            lines(&new)[2],
            "+ matou-backup.timer runs",
            "{:?}",
            lines(&new)
        );
        assert!(BackupConcern.applies_to(&config.nodes[0], &config));
        // Another node may have a line of cron, and gets no timer.
        let query = BackupConcern.fact_query(&config.nodes[1], &config);
        let cron = FactQuery::default().with_command("cron-restic", FIND_CRON_SCRIPT);
        assert_eq!(query, cron);
    }

    #[test]
    fn a_cron_line_is_offered_to_be_taken_over() {
        let facts = || NodeFacts::of(&[("cron-restic", "/etc/cron.d/backup")]);
        let config = config(REPOSITORY);
        let told = lines(&check_of(&BackupConcern, &config, facts()).unwrap());
        assert!(
            told[3].contains("--accept n1:/etc/cron.d/backup"),
            "{told:?}"
        );
        let taken = check_accepting(&BackupConcern, &config, facts(), &["n1:/etc/cron.d/backup"]);
        let taken = lines(&taken.unwrap());
        assert!(
            taken[3].starts_with("~ lines of /etc/cron.d/backup"),
            "{taken:?}"
        );
    }

    /// Comments only what runs restic, and keeps what was there.
    #[test]
    fn lines_of_cron_are_found_and_commented_out() {
        let dir = tempfile::tempdir().unwrap();
        let file = dir.path().join("backup");
        let text =
            "# restic is run here\n0 3 * * * root restic backup /data\n0 4 * * * root true\n";
        std::fs::write(&file, text).unwrap();
        let name = file.display().to_string();
        let script =
            COMMENT_OUT_SCRIPT.replace("/var/lib/matou", &dir.path().display().to_string());
        let out = std::process::Command::new("sh")
            .args(["-c", &script, "sh", &name])
            .output()
            .unwrap();
        assert!(out.status.success(), "{out:?}");
        let now = std::fs::read_to_string(&file).unwrap();
        assert_eq!(
            now,
            "# restic is run here\n# taken over by matou: 0 3 * * * root restic backup /data\n0 4 * * * root true\n"
        );
        let find = FIND_CRON_SCRIPT.replace("/etc/crontab", &name);
        let out = std::process::Command::new("sh")
            .args(["-c", &find])
            .output()
            .unwrap();
        assert!(!String::from_utf8_lossy(&out.stdout).contains(&name));
    }
}
