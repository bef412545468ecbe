//! sshd lets in keys only, and not for long without one. Guarded: the node takes the change back by
//! itself unless a new connection works.
//!
//! Undo: remove /etc/ssh/sshd_config.d/00-matou.conf, then `systemctl reload ssh`.

use async_trait::async_trait;
use matou_i18n::tr;

use super::Concern;
use super::desired::{DesiredFile, compare_desired_file};
use super::executor::{GuardedChange, NodeExecutor};
use super::facts::{FactQuery, NodeFacts};
use super::node_view::NodeView;
use crate::ProvisionError;
use matou_config::{Config, NodeConfig, NodeConnection};
use matou_host::shell_script;
use matou_job::{Change, ChangeKind, Check, StepError};

/// The first file that names a keyword wins, cloud-init's 50-… included.
const PATH: &str = "/etc/ssh/sshd_config.d/00-matou.conf";

/// Keyword, value, why.
const SETTINGS: [(&str, &str, &str); 11] = [
    (
        "PasswordAuthentication",
        "no",
        "passwords are guessed all day long",
    ),
    (
        "KbdInteractiveAuthentication",
        "no",
        "the same by another door",
    ),
    (
        "PermitRootLogin",
        "prohibit-password",
        "root with a key, for matou",
    ),
    ("PermitEmptyPasswords", "no", "never"),
    (
        "MaxAuthTries",
        "4",
        "an agent with some keys gets in, a guesser does not",
    ),
    (
        "LoginGraceTime",
        "30",
        "seconds until who does not log in is thrown out",
    ),
    ("MaxSessions", "30", "matou works over one connection"),
    (
        "AllowAgentForwarding",
        "no",
        "a hijacked server can't use the operator's keys",
    ),
    (
        "AllowStreamLocalForwarding",
        "yes",
        "matou reaches the engine's socket",
    ),
    ("X11Forwarding", "no", "servers have no windows"),
    ("ClientAliveInterval", "60", "seconds; dead connections end"),
];

fn desired_sshd_file() -> DesiredFile {
    let lines: String = SETTINGS
        .iter()
        .map(|(key, value, why)| format!("# {why}\n{key} {value}\n"))
        .collect();
    DesiredFile {
        path: PATH.into(),
        content: format!("# Kept by `matou provision`.\n{lines}"),
        mode: 0o644,
    }
}

/// Returns the ports that sshd listens on; 22 when they are not known.
pub(super) fn sshd_ports(facts: &NodeFacts) -> Vec<u16> {
    let ports: Vec<u16> = facts
        .output("sshd")
        .lines()
        .filter_map(|l| l.strip_prefix("port ")?.trim().parse().ok())
        .collect();
    if ports.is_empty() { vec![22] } else { ports }
}

/// Returns the query for what `sshd -T` prints, which several concerns read.
pub(super) fn sshd_config_query() -> FactQuery {
    // Before its first start it wants this folder.
    FactQuery::default().with_command("sshd", "[ -d /run/sshd ] || mkdir -p /run/sshd; sshd -T")
}

const SCRIPTS: GuardedChange = GuardedChange {
    change: shell_script(include_str!("../scripts/change_sshd.sh")),
    restore: shell_script(include_str!("../scripts/restore_sshd.sh")),
    keep: shell_script(include_str!("../scripts/keep_sshd.sh")),
};

/// The concern `sshd`.
pub(crate) struct SshdConcern;

#[async_trait]
impl Concern for SshdConcern {
    fn name(&self) -> &'static str {
        "sshd"
    }

    fn fact_query(&self, node: &NodeConfig, _: &Config) -> FactQuery {
        let needs = sshd_config_query().with_files([PATH]).with_command(
            "sshd-include",
            "while read -r key value _; do case $key in [Ii]nclude) [ \"$value\" = '/etc/ssh/sshd_config.d/*.conf' ] && exit 0;; esac; done </etc/ssh/sshd_config; exit 1",
        );
        // Over SSH we came with a key.
        match node.reach {
            NodeConnection::Ssh(_) => needs,
            NodeConnection::Local => needs.with_command(
                "key-login",
                "journalctl --unit=ssh --since=-30d --output=cat --quiet --grep='^Accepted publickey' --lines=1",
            ),
        }
    }

    fn check(&self, at: &NodeView<'_>) -> Result<Check, ProvisionError> {
        let node = &at.node.name;
        if !at.facts.succeeded("sshd") {
            return Err(ProvisionError::failed(tr!(
                "sshd of {node} does not accept its configuration: run `sshd -t` there"
            )));
        }
        if !at.facts.succeeded("sshd-include") {
            return Ok(Check::Change(vec![Change::decide(tr!(
                "/etc/ssh/sshd_config of {node} reads no sshd_config.d: write `Include /etc/ssh/sshd_config.d/*.conf` into its first line"
            ))]));
        }
        let mut lines = vec![compare_desired_file(at.facts, &desired_sshd_file())];
        for (key, value, _) in SETTINGS {
            let key = key.to_ascii_lowercase();
            let found = at
                .facts
                .output("sshd")
                .lines()
                .find_map(|l| l.strip_prefix(&key)?.strip_prefix(' '))
                .map(str::trim);
            // sshd prints prohibit-password by its older name.
            let same = |found: &str| {
                found == value || (value == "prohibit-password" && found == "without-password")
            };
            if let Some(found) = found
                && !same(found)
            {
                lines.push(Change::modify(format!("sshd {key}"), found, value));
            }
        }
        let changes = lines.iter().any(|l| l.kind != ChangeKind::Same);
        // Over SSH we came with a key: passwords are never used. On this machine nobody has shown
        // yet that a key opens the door.
        if changes
            && at.node.reach == NodeConnection::Local
            && at.facts.output("key-login").is_empty()
            && !at.is_accepted("keys-only")
        {
            let question = at.accept_phrase("keys-only");
            lines.push(Change::ask_to_accept(
                tr!("nobody has logged in to {node} with a key for 30 days: log in with yours, or type {question}"),
                question,
            ).with_warning(tr!("without a working key you would be locked out")));
        }
        Ok(Check::from_changes(lines))
    }

    async fn apply(&self, _: &NodeView<'_>, run: &NodeExecutor<'_>) -> Result<(), StepError> {
        let file = desired_sshd_file();
        run.write_file(&format!("{PATH}.new"), &file.content, file.mode)
            .await?;
        run.run_guarded("sshd", &SCRIPTS, &[PATH.to_owned()]).await
    }
}

#[cfg(test)]
mod tests {
    use super::super::testing::{check_of, config, lines};
    use super::*;

    #[test]
    fn what_sshd_really_does_counts_beside_the_file() {
        let facts = NodeFacts::of(&[
            (
                "sshd",
                "port 2222\npasswordauthentication yes\npermitrootlogin without-password",
            ),
            ("sshd-include", ""),
        ])
        .with_file(PATH, 0o644, &desired_sshd_file().content);
        assert_eq!(sshd_ports(&facts), [2222]);
        let plan = check_of(&SshdConcern, &config(""), facts).unwrap();
        assert_eq!(
            lines(&plan),
            [
                "= /etc/ssh/sshd_config.d/00-matou.conf",
                "~ sshd passwordauthentication: yes → no"
            ]
        );
    }

    #[test]
    fn nobody_is_locked_out_of_a_machine_that_no_key_has_opened() {
        let local = Config::parse(
            "[[nodes]]\nname = \"n1\"\nrole = \"manager\"\n",
            std::path::Path::new("/f/config.toml"),
        )
        .unwrap();
        let facts = NodeFacts::of(&[("sshd", ""), ("sshd-include", "")]);
        let plan = check_of(&SshdConcern, &local, facts.clone()).unwrap();
        assert!(lines(&plan)[1].starts_with("! nobody has logged in"));
        let seen = facts.with("key-login", "Accepted publickey for root", 0);
        assert!(
            !lines(&check_of(&SshdConcern, &local, seen).unwrap())
                .join("")
                .contains('!')
        );
    }
}
