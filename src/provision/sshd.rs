//! sshd lets in keys only, and not for long without one. Guarded: the node takes the change back by
//! itself unless a new connection works.
//!
//! Undo: remove /etc/ssh/sshd_config.d/00-matou.conf, then `systemctl reload ssh`.

use async_trait::async_trait;

use super::Concern;
use super::at::{At, check};
use super::desired::{FileSpec, compare_file};
use super::facts::{Facts, Needs};
use super::run::{Guarded, Run};
use crate::config::{Config, NodeConfig, Reach};
use crate::job::{Change, ChangeKind, Check, StepError};

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

fn file() -> FileSpec {
    let lines: String = SETTINGS
        .iter()
        .map(|(key, value, why)| format!("# {why}\n{key} {value}\n"))
        .collect();
    FileSpec {
        path: PATH.into(),
        content: format!("# Kept by `matou provision`.\n{lines}"),
        mode: 0o644,
    }
}

/// Ports that sshd listens on.
pub(super) fn ports(facts: &Facts) -> Vec<u16> {
    let ports: Vec<u16> = facts
        .out("sshd")
        .lines()
        .filter_map(|l| l.strip_prefix("port ")?.trim().parse().ok())
        .collect();
    if ports.is_empty() { vec![22] } else { ports }
}

/// What `sshd -T` prints; needed by several concerns.
pub(super) fn needs() -> Needs {
    // Before its first start it wants this folder.
    Needs::default().command("sshd", "[ -d /run/sshd ] || mkdir -p /run/sshd; sshd -T")
}

const SCRIPTS: Guarded = Guarded {
    change: r#"set -e
for_now "$1.new" "$1" ''
sshd -t
systemctl try-reload-or-restart ssh.service
"#,
    restore: r#"as_before "$1"
[ -s "$1" ] || rm -f "$1"
systemctl try-reload-or-restart ssh.service
"#,
    keep: r#"set -e
for_good "$1.new" "$1"
rm -f "$1.before"
"#,
};

/// See the module.
pub struct Sshd;

#[async_trait]
impl Concern for Sshd {
    fn name(&self) -> &'static str {
        "sshd"
    }

    fn needs(&self, node: &NodeConfig, _: &Config) -> Needs {
        let needs = needs().files([PATH]).command(
            "sshd-include",
            "while read -r key value _; do case $key in [Ii]nclude) [ \"$value\" = '/etc/ssh/sshd_config.d/*.conf' ] && exit 0;; esac; done </etc/ssh/sshd_config; exit 1",
        );
        // Over SSH we came with a key.
        match node.reach {
            Reach::Ssh(_) => needs,
            Reach::Local => needs.command(
                "key-login",
                "journalctl --unit=ssh --since=-30d --output=cat --quiet --grep='^Accepted publickey' --lines=1",
            ),
        }
    }

    fn check(&self, at: &At<'_>) -> Result<Check, String> {
        let node = &at.node.name;
        if !at.facts.ok("sshd") {
            return Err(format!(
                "sshd of {node} does not accept its configuration: run `sshd -t` there"
            ));
        }
        if !at.facts.ok("sshd-include") {
            return Ok(Check::Change(vec![Change::decide(format!(
                "/etc/ssh/sshd_config of {node} reads no sshd_config.d: write `Include /etc/ssh/sshd_config.d/*.conf` into its first line"
            ))]));
        }
        let mut lines = vec![compare_file(at.facts, &file())];
        for (key, value, _) in SETTINGS {
            let key = key.to_ascii_lowercase();
            let found = at
                .facts
                .out("sshd")
                .lines()
                .find_map(|l| l.strip_prefix(&key)?.strip_prefix(' '))
                .map(str::trim);
            // Older name of the same.
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
            && at.node.reach == Reach::Local
            && at.facts.out("key-login").is_empty()
            && !at.accepted("keys-only")
        {
            let question = at.question("keys-only");
            lines.push(Change::ask(
                format!("nobody has logged in to {node} with a key for 30 days: log in with yours, or type {question}"),
                question,
            ).warn("without a working key you would be locked out"));
        }
        Ok(check(lines))
    }

    async fn apply(&self, _: &At<'_>, run: &Run<'_>) -> Result<(), StepError> {
        let file = file();
        run.write(&format!("{PATH}.new"), &file.content, file.mode)
            .await?;
        run.guarded("sshd", &SCRIPTS, &[PATH.to_owned()]).await
    }
}

#[cfg(test)]
mod tests {
    use super::super::testing::{check_of, config, lines};
    use super::*;

    #[test]
    fn what_sshd_really_does_counts_beside_the_file() {
        let facts = Facts::of(&[
            (
                "sshd",
                "port 2222\npasswordauthentication yes\npermitrootlogin without-password",
            ),
            ("sshd-include", ""),
        ])
        .with_file(PATH, 0o644, &file().content);
        assert_eq!(ports(&facts), [2222]);
        let plan = check_of(&Sshd, &config(""), facts).unwrap();
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
        let facts = Facts::of(&[("sshd", ""), ("sshd-include", "")]);
        let plan = check_of(&Sshd, &local, facts.clone()).unwrap();
        assert!(lines(&plan)[1].starts_with("! nobody has logged in"));
        let seen = facts.with("key-login", "Accepted publickey for root", 0);
        assert!(
            !lines(&check_of(&Sshd, &local, seen).unwrap())
                .join("")
                .contains('!')
        );
    }
}
