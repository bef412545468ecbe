//! Packages, files and units that should be so: what most concerns are made of.

use matou_i18n::{tr, trn};
use similar::{ChangeTag, TextDiff};

use super::NodeView;
use super::executor::NodeExecutor;
use super::facts::{FactQuery, NodeFacts};
use matou_job::{Change, StepError};

/// Lines of `[Service]` for all units of matou: no access to modules, clock and settings of the
/// kernel, no rights by set-uid programs, no kinds of sockets and system calls that none of them needs.
/// ProtectClock is left out: it would deny access to disks, too; so are limits of mounts and
/// namespaces, in which a backup shuts itself. Names are those of systemd.exec(5) of version 247.
pub(super) const HARDENED: &str = "NoNewPrivileges=yes\nProtectHostname=yes\nProtectKernelLogs=yes\n\
    ProtectKernelModules=yes\nProtectKernelTunables=yes\nProtectControlGroups=yes\nRestrictRealtime=yes\n\
    LockPersonality=yes\nSystemCallArchitectures=native\nLimitCORE=0\n\
    CapabilityBoundingSet=~CAP_SYS_TIME CAP_SYS_BOOT CAP_SYS_PACCT CAP_SYS_MODULE CAP_SYS_RAWIO CAP_SYS_TTY_CONFIG CAP_WAKE_ALARM CAP_BLOCK_SUSPEND CAP_MAC_ADMIN CAP_MAC_OVERRIDE CAP_AUDIT_CONTROL CAP_AUDIT_READ CAP_LEASE\n\
    RestrictAddressFamilies=AF_UNIX AF_INET AF_INET6 AF_NETLINK\n\
    SystemCallFilter=~@clock @cpu-emulation @debug @module @obsolete @raw-io @reboot @swap\n\
    SystemCallErrorNumber=EPERM\n";

/// More lines of `[Service]`, for a unit that writes only below /var, /run and its home.
pub(super) const READ_ONLY_SYSTEM: &str =
    "ProtectSystem=full\nPrivateTmp=yes\nRestrictSUIDSGID=yes\n";

/// A file that belongs to matou as a whole.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct DesiredFile {
    pub path: String,
    pub content: String,
    pub mode: u32,
}

/// A systemd unit that runs and starts at boot.
#[derive(Debug, Clone, PartialEq, Eq)]
struct DesiredUnit {
    name: String,
    /// Whether it is restarted when a file changed.
    restart: bool,
}

/// What should be on a node.
#[derive(Debug, Default, Clone, PartialEq, Eq)]
pub(crate) struct DesiredState {
    packages: Vec<String>,
    files: Vec<DesiredFile>,
    units: Vec<DesiredUnit>,
    /// Run after a file changed, before units are restarted.
    on_file_change: Option<&'static str>,
}

impl DesiredState {
    pub(crate) fn with_packages<S: Into<String>>(
        mut self,
        names: impl IntoIterator<Item = S>,
    ) -> Self {
        self.packages.extend(names.into_iter().map(Into::into));
        self
    }

    pub(crate) fn with_file(mut self, path: &str, mode: u32, content: impl Into<String>) -> Self {
        self.files.push(DesiredFile {
            path: path.to_owned(),
            content: content.into(),
            mode,
        });
        self
    }

    /// Adds a unit that runs, starts at boot and is restarted when a file changed.
    pub(crate) fn with_unit(mut self, name: &str) -> Self {
        self.units.push(DesiredUnit {
            name: name.to_owned(),
            restart: true,
        });
        self
    }

    /// Adds a unit that runs, starts at boot and is not restarted when a file changed: it notices
    /// that itself, or by the script of [`DesiredState::on_file_change`].
    pub(crate) fn with_steady_unit(mut self, name: &str) -> Self {
        self.units.push(DesiredUnit {
            name: name.to_owned(),
            restart: false,
        });
        self
    }

    /// A shell script that runs after a file changed.
    pub(crate) fn on_file_change(mut self, script: &'static str) -> Self {
        self.on_file_change = Some(script);
        self
    }

    /// The packages that are wanted.
    pub(crate) fn package_names(&self) -> Vec<String> {
        self.packages.clone()
    }

    /// Returns the facts that [`DesiredState::compare`] reads.
    pub(crate) fn fact_query(&self) -> FactQuery {
        FactQuery::default()
            .with_files(self.files.iter().map(|f| f.path.clone()))
            .with_units(self.units.iter().map(|u| u.name.clone()))
    }

    /// Returns the lines of the plan, one for each package, file and unit.
    pub(crate) fn compare(&self, facts: &NodeFacts) -> Vec<Change> {
        let mut lines = Vec::new();
        for name in &self.packages {
            lines.push(match facts.package_version(name) {
                Some(version) => Change::same(tr!("package {name} {version}")),
                None => Change::add(tr!("package {name}")),
            });
        }
        lines.extend(self.files.iter().map(|f| compare_desired_file(facts, f)));
        for unit in &self.units {
            let found = facts.unit(&unit.name);
            let name = &unit.name;
            lines.push(match (found.active.as_str(), found.starts_at_boot()) {
                ("active", true) => Change::same(tr!("{name} runs")),
                ("active", false) => {
                    Change::modify(tr!("{name} at boot"), tr!("not started"), tr!("started"))
                }
                ("failed", _) => Change::modify(name, tr!("failed"), tr!("running")),
                _ if found.load != "loaded" => Change::add(tr!("{name} runs")),
                (now, _) => Change::modify(name, now, tr!("running")),
            });
        }
        lines
    }

    /// Changes what differs: packages, then files, then the script that follows them, then units.
    ///
    /// # Errors
    /// The first that failed.
    pub(crate) async fn apply(
        &self,
        at: &NodeView<'_>,
        run: &NodeExecutor<'_>,
    ) -> Result<(), StepError> {
        let missing: Vec<&str> = self
            .packages
            .iter()
            .map(String::as_str)
            .filter(|p| at.facts.package_version(p).is_none())
            .collect();
        if !missing.is_empty() {
            run.install_packages(missing).await?;
        }
        let mut changed = false;
        for file in &self.files {
            if compare_desired_file(at.facts, file).kind != matou_job::ChangeKind::Same {
                run.write_file(&file.path, &file.content, file.mode).await?;
                changed = true;
            }
        }
        if changed && let Some(script) = self.on_file_change {
            run.run_script(tr!("take up the changed files"), script, [""; 0])
                .await?;
        }
        for unit in &self.units {
            let found = at.facts.unit(&unit.name);
            let script = "set -e; systemctl daemon-reload; systemctl enable --quiet -- \"$1\"; systemctl \"$2\" -- \"$1\"";
            let runs = found.active == "active";
            let verb = match (changed && unit.restart, runs) {
                (true, _) => "restart",
                (false, false) => "start",
                (false, true) if !found.starts_at_boot() => "start",
                (false, true) => continue,
            };
            run.run_script(&format!("{verb} {}", unit.name), script, [&unit.name, verb])
                .await?;
        }
        Ok(())
    }
}

/// Compares a file with the node's: content, mode and owner.
pub(crate) fn compare_desired_file(facts: &NodeFacts, file: &DesiredFile) -> Change {
    let path = &file.path;
    let Some(found) = facts.file(path) else {
        let lines = file.content.lines().count();
        return Change::add(trn!(
            lines,
            "{path} ({lines} line)",
            "{path} ({lines} lines)"
        ));
    };
    if found.content != file.content {
        return diff_as_change(path, &found.content, &file.content);
    }
    if found.mode != file.mode || found.owner != "root:root" {
        return Change::modify(
            tr!("permissions of {path}"),
            format!("{:o} {}", found.mode, found.owner),
            format!("{:o} root:root", file.mode),
        );
    }
    Change::same(path)
}

/// A changed text: its first changed lines, and how many more there are.
pub(crate) fn diff_as_change(what: &str, old: &str, new: &str) -> Change {
    let (mut removed, mut added) = (Vec::new(), Vec::new());
    for change in TextDiff::from_lines(old, new).iter_all_changes() {
        match change.tag() {
            ChangeTag::Delete => removed.push(change.value().trim()),
            ChangeTag::Insert => added.push(change.value().trim()),
            ChangeTag::Equal => {}
        }
    }
    let show = |lines: &[&str]| match lines {
        [] => tr!("nothing").to_owned(),
        [one] => format!("{one:?}"),
        [first, rest @ ..] => tr!("{first:?} and {} more lines", rest.len()),
    };
    Change::modify(what, show(&removed), show(&added))
}

#[cfg(test)]
mod tests {
    use super::*;
    use matou_job::ChangeKind;

    #[test]
    fn each_line_says_what_differs() {
        let wanted = DesiredState::default()
            .with_packages(["curl", "gnupg"])
            .with_file("/etc/a", 0o644, "one\ntwo\n")
            .with_file("/etc/b", 0o600, "x\n")
            .with_file("/etc/c", 0o644, "1\n")
            .with_unit("a.service")
            .with_unit("b.service");
        let facts = NodeFacts::of(&[("packages", "curl ii 8.0")])
            .with_file("/etc/a", 0o644, "one\n2\n")
            .with_file("/etc/b", 0o644, "x\n")
            .with_unit("a.service", "active", "enabled")
            .with_unit("b.service", "failed", "enabled");
        let lines: Vec<String> = wanted
            .compare(&facts)
            .iter()
            .map(Change::to_string)
            .collect();
        assert_eq!(
            lines,
            [
                "= package curl 8.0",
                "+ package gnupg",
                "~ /etc/a: \"2\" → \"two\"",
                "~ permissions of /etc/b: 644 root:root → 600 root:root",
                "+ /etc/c (1 line)",
                "= a.service runs",
                "~ b.service: failed → running",
            ]
        );
        assert_eq!(wanted.compare(&facts)[0].kind, ChangeKind::Same);
    }
}
