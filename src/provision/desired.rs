//! Packages, files and units that should be so: what most concerns are made of.

use similar::{ChangeTag, TextDiff};

use super::At;
use super::facts::{Facts, Needs};
use super::run::Run;
use crate::job::{Change, StepError};

/// What no unit of matou's needs, as lines of `[Service]`: modules and settings of the kernel, more rights
/// by a set-uid program. Without ProtectClock, which would take disks away too.
pub(super) const HARDENED: &str = "NoNewPrivileges=yes\nProtectHostname=yes\nProtectKernelLogs=yes\n\
    ProtectKernelModules=yes\nProtectKernelTunables=yes\nProtectControlGroups=yes\nRestrictRealtime=yes\n\
    LockPersonality=yes\nSystemCallArchitectures=native\nLimitCORE=0\n";

/// The same for a unit that writes below /var, /run and its home alone.
pub(super) const LOOKING: &str = "ProtectSystem=full\nPrivateTmp=yes\nRestrictSUIDSGID=yes\n";

/// A file that belongs to matou as a whole.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct FileSpec {
    pub path: String,
    pub content: String,
    pub mode: u32,
}

/// A systemd unit that runs and starts at boot.
#[derive(Debug, Clone, PartialEq, Eq)]
struct UnitSpec {
    name: String,
    /// Restarted when a file changed; else it is told to reload.
    restart: bool,
}

/// What should be on a node.
#[derive(Debug, Default, Clone, PartialEq, Eq)]
pub struct Desired {
    packages: Vec<String>,
    files: Vec<FileSpec>,
    units: Vec<UnitSpec>,
    /// Run after a file changed, before units are restarted.
    after: Option<&'static str>,
}

impl Desired {
    pub fn packages<S: Into<String>>(mut self, names: impl IntoIterator<Item = S>) -> Self {
        self.packages.extend(names.into_iter().map(Into::into));
        self
    }

    pub fn file(mut self, path: &str, mode: u32, content: impl Into<String>) -> Self {
        self.files.push(FileSpec {
            path: path.to_owned(),
            content: content.into(),
            mode,
        });
        self
    }

    /// A unit that runs and starts at boot, restarted when a file changed.
    pub fn unit(mut self, name: &str) -> Self {
        self.units.push(UnitSpec {
            name: name.to_owned(),
            restart: true,
        });
        self
    }

    /// A unit that runs and starts at boot; it notices changed files itself, or by `after`.
    pub fn steady_unit(mut self, name: &str) -> Self {
        self.units.push(UnitSpec {
            name: name.to_owned(),
            restart: false,
        });
        self
    }

    /// A shell script that runs after a file changed.
    pub fn after(mut self, script: &'static str) -> Self {
        self.after = Some(script);
        self
    }

    /// The packages that are wanted.
    pub fn package_names(&self) -> Vec<String> {
        self.packages.clone()
    }

    /// The facts that [`Desired::compare`] reads.
    pub fn needs(&self) -> Needs {
        Needs::default()
            .files(self.files.iter().map(|f| f.path.clone()))
            .units(self.units.iter().map(|u| u.name.clone()))
    }

    /// The plan's lines, one a package, file and unit.
    pub fn compare(&self, facts: &Facts) -> Vec<Change> {
        let mut lines = Vec::new();
        for name in &self.packages {
            lines.push(match facts.package(name) {
                Some(version) => Change::same(format!("package {name} {version}")),
                None => Change::add(format!("package {name}")),
            });
        }
        lines.extend(self.files.iter().map(|f| compare_file(facts, f)));
        for unit in &self.units {
            let found = facts.unit(&unit.name);
            let name = &unit.name;
            lines.push(match (found.active.as_str(), found.starts()) {
                ("active", true) => Change::same(format!("{name} runs")),
                ("active", false) => {
                    Change::modify(format!("{name} at boot"), "not started", "started")
                }
                ("failed", _) => Change::modify(name, "failed", "running"),
                _ if found.load != "loaded" => Change::add(format!("{name} runs")),
                (now, _) => Change::modify(name, now, "running"),
            });
        }
        lines
    }

    /// Makes it so: packages, then files, then what must run after them, then units.
    ///
    /// # Errors
    /// The first that failed.
    pub async fn apply(&self, at: &At<'_>, run: &Run<'_>) -> Result<(), StepError> {
        let missing: Vec<&str> = self
            .packages
            .iter()
            .map(String::as_str)
            .filter(|p| at.facts.package(p).is_none())
            .collect();
        if !missing.is_empty() {
            run.install(missing).await?;
        }
        let mut changed = false;
        for file in &self.files {
            if compare_file(at.facts, file).kind != crate::job::ChangeKind::Same {
                run.write(&file.path, &file.content, file.mode).await?;
                changed = true;
            }
        }
        if changed && let Some(script) = self.after {
            run.sh("take up the changed files", script, [""; 0]).await?;
        }
        for unit in &self.units {
            let found = at.facts.unit(&unit.name);
            let script = "set -e; systemctl daemon-reload; systemctl enable --quiet -- \"$1\"; systemctl \"$2\" -- \"$1\"";
            let runs = found.active == "active";
            let verb = match (changed && unit.restart, runs) {
                (true, _) => "restart",
                (false, false) => "start",
                (false, true) if !found.starts() => "start",
                (false, true) => continue,
            };
            run.sh(&format!("{verb} {}", unit.name), script, [&unit.name, verb])
                .await?;
        }
        Ok(())
    }
}

/// How a file compares with what is there.
pub fn compare_file(facts: &Facts, file: &FileSpec) -> Change {
    let path = &file.path;
    let Some(found) = facts.file(path) else {
        let lines = file.content.lines().count();
        let unit = if lines == 1 { "line" } else { "lines" };
        return Change::add(format!("{path} ({lines} {unit})"));
    };
    if found.content != file.content {
        return diff(path, &found.content, &file.content);
    }
    if found.mode != file.mode || found.owner != "root:root" {
        return Change::modify(
            format!("permissions of {path}"),
            format!("{:o} {}", found.mode, found.owner),
            format!("{:o} root:root", file.mode),
        );
    }
    Change::same(path)
}

/// A changed text: its first changed lines, and how many more there are.
pub fn diff(what: &str, old: &str, new: &str) -> Change {
    let (mut removed, mut added) = (Vec::new(), Vec::new());
    for change in TextDiff::from_lines(old, new).iter_all_changes() {
        match change.tag() {
            ChangeTag::Delete => removed.push(change.value().trim()),
            ChangeTag::Insert => added.push(change.value().trim()),
            ChangeTag::Equal => {}
        }
    }
    let show = |lines: &[&str]| match lines {
        [] => "nothing".to_owned(),
        [one] => format!("{one:?}"),
        [first, rest @ ..] => format!("{first:?} and {} more lines", rest.len()),
    };
    Change::modify(what, show(&removed), show(&added))
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::job::ChangeKind;

    #[test]
    fn each_line_says_what_differs() {
        let wanted = Desired::default()
            .packages(["curl", "gnupg"])
            .file("/etc/a", 0o644, "one\ntwo\n")
            .file("/etc/b", 0o600, "x\n")
            .file("/etc/c", 0o644, "1\n")
            .unit("a.service")
            .unit("b.service");
        let facts = Facts::of(&[("packages", "curl ii 8.0")])
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
