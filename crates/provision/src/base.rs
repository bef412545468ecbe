//! Packages that everything else needs, on a distribution that matou knows.
//!
//! Undo: `apt-get remove` what is not wanted; nothing else depends on it being there.

use async_trait::async_trait;
use matou_i18n::{Text, both, tr};

use super::Concern;
use super::desired::DesiredState;
use super::executor::NodeExecutor;
use super::facts::{FactQuery, OsRelease};
use super::node_view::NodeView;
use crate::ProvisionError;
use matou_config::{Config, NodeConfig};
use matou_job::{Change, Check, StepError};

/// Free bytes that installing all packages needs, with a margin.
const LEAST_FREE: u64 = 1 << 30;

const PACKAGES: [&str; 7] = [
    "ca-certificates",
    "curl",
    "gnupg",
    "iproute2",
    "kmod",
    "procps",
    "util-linux",
];

/// Releases that the concerns were written for, and those of them that tests provision from blank machines
/// (tests/provision_vm.rs).
const WRITTEN_FOR: Text = both!("Debian 12 and 13, Ubuntu 22.04, 24.04 and 26.04");
const TESTED_ON: Text = both!("Debian 12 and 13");

/// The concern `base`: a known distribution, and packages that everything else needs.
pub(crate) struct BaseConcern;

fn desired_base_packages(config: &Config) -> DesiredState {
    DesiredState::default()
        .with_packages(PACKAGES)
        .with_packages(config.provision.packages.iter().cloned())
}

#[async_trait]
impl Concern for BaseConcern {
    fn name(&self) -> &'static str {
        "base"
    }

    fn fact_query(&self, _: &NodeConfig, config: &Config) -> FactQuery {
        desired_base_packages(config).fact_query().with_command(
            "free",
            "df --block-size=1 --output=avail,target / /var /var/lib",
        )
    }

    fn required_packages(&self, _: &NodeConfig, config: &Config) -> Vec<String> {
        desired_base_packages(config).package_names()
    }

    fn check(&self, at: &NodeView<'_>) -> Result<Check, ProvisionError> {
        let os = at.facts.os_release();
        if !has_known_packages(&os) {
            let name = if os.name.is_empty() {
                tr!("an unknown system")
            } else {
                &os.name
            };
            return Err(ProvisionError::failed(tr!(
                "{} runs {name}: matou provisions {WRITTEN_FOR}",
                at.node.name
            )));
        }
        let mut lines = vec![describe_release(&os)];
        let broken = at.facts.broken_packages();
        if !broken.is_empty() {
            lines.push(Change::modify(
                tr!("packages {}", broken.join(", ")),
                tr!("interrupted"),
                tr!("installed"),
            ));
        }
        lines.extend(desired_base_packages(at.config()).compare(at.facts));
        let own = desired_base_packages(at.config()).package_names();
        let more = missing_node_packages(at)
            .into_iter()
            .filter(|p| !own.contains(p))
            .count();
        if more > 0 {
            lines.push(Change::add(tr!(
                "{more} packages of the later steps, in one go"
            )));
        }
        let missing = lines.iter().any(|l| l.kind != matou_job::ChangeKind::Same);
        if let Some((free, place)) = find_fullest_filesystem(at.facts.output("free"))
            && free < LEAST_FREE
            && (missing || at.facts.engine().is_none())
        {
            return Err(ProvisionError::failed(tr!(
                "the disk of {} is full: {place} has {} free, and installing needs {}",
                at.node.name,
                matou_base::text::human_bytes(free),
                matou_base::text::human_bytes(LEAST_FREE)
            )));
        }
        Ok(Check::from_changes(lines))
    }

    async fn apply(&self, at: &NodeView<'_>, run: &NodeExecutor<'_>) -> Result<(), StepError> {
        if !at.facts.broken_packages().is_empty() {
            run.install_packages([""; 0]).await?;
        }
        // With the packages of the later steps: each start of the package manager takes long.
        let missing = missing_node_packages(at);
        if !missing.is_empty() {
            run.install_packages(missing).await?;
        }
        Ok(())
    }
}

/// Returns the packages that the node's concerns need and that are not installed.
fn missing_node_packages<'a>(at: &NodeView<'a>) -> Vec<&'a String> {
    at.packages
        .iter()
        .filter(|p| at.facts.package_version(p).is_none())
        .collect()
}

/// Whether packages have the names, and units and files the places, that the concerns know. Other
/// distributions differ in all of it, Debian's and Ubuntu's releases in little.
fn has_known_packages(os: &OsRelease) -> bool {
    matches!(os.id.as_str(), "debian" | "ubuntu")
}

/// Names the release, with a warning where it is none of those that the concerns were written for. What
/// really fails there is found out by each concern.
fn describe_release(os: &OsRelease) -> Change {
    let known = match os.id.as_str() {
        "debian" => ["12", "13"].as_slice(),
        _ => ["22.04", "24.04", "26.04"].as_slice(),
    };
    let name = match os.name.as_str() {
        "" => format!("{} {}", os.id, os.version),
        name => name.to_owned(),
    };
    let line = Change::same(name);
    match known.contains(&os.version.as_str()) {
        true => line,
        false => line.with_warning(tr!(
            "it is none of {WRITTEN_FOR}; whole runs were tested on {TESTED_ON} alone: read the plan with care"
        )),
    }
}

/// Finds the file system with the least room, of those that packages are installed to. Returns its
/// free bytes and its mount point.
fn find_fullest_filesystem(df: &str) -> Option<(u64, &str)> {
    df.lines()
        .filter_map(|l| {
            let (free, place) = l.trim().split_once(char::is_whitespace)?;
            Some((free.parse().ok()?, place.trim()))
        })
        .min()
}

#[cfg(test)]
mod tests {
    use super::super::facts::NodeFacts;
    use super::super::testing::{check_of, config};
    use super::*;

    const DEBIAN: &str =
        "PRETTY_NAME=\"Debian GNU/Linux 12 (bookworm)\"\nID=debian\nVERSION_ID=\"12\"";

    #[test]
    fn a_full_disk_and_a_strange_system_are_named() {
        let config = config("");
        let full = NodeFacts::of(&[
            ("os", DEBIAN),
            ("free", "Avail Mounted\n5000000 /var\n99000000000 /"),
        ]);
        let e = check_of(&BaseConcern, &config, full).unwrap_err();
        assert!(e.to_string().contains("/var has 4.8 MiB free"), "{e}");
        let strange =
            NodeFacts::of(&[("os", "ID=alpine\nPRETTY_NAME=\"Alpine 3\"\nVERSION_ID=3.20")]);
        let e = check_of(&BaseConcern, &config, strange).unwrap_err();
        assert!(
            e.to_string()
                .contains("runs Alpine 3: matou provisions Debian"),
            "{e}"
        );
    }

    #[test]
    fn a_release_that_is_not_known_is_a_warning() {
        let warning = |id: &str, version: &str| {
            let os = OsRelease {
                id: id.into(),
                version: version.into(),
                codename: String::new(),
                name: String::new(),
            };
            describe_release(&os).warning.map(String::from)
        };
        for (id, version) in [("debian", "12"), ("ubuntu", "24.04"), ("ubuntu", "26.04")] {
            assert_eq!(warning(id, version), None, "{id} {version}");
        }
        for (id, version) in [
            ("debian", "11"),
            ("debian", "14"),
            ("ubuntu", "25.10"),
            ("debian", ""),
        ] {
            let warning = warning(id, version).unwrap();
            assert!(warning.contains("tested on Debian 12 and 13"), "{warning}");
        }
    }

    #[test]
    fn interrupted_packages_are_mended() {
        let facts = NodeFacts::of(&[
            ("os", DEBIAN),
            ("free", "Avail Mounted\n99000000000 /"),
            ("packages", "curl iF 1"),
        ]);
        let Ok(Check::Change(lines)) = check_of(&BaseConcern, &config(""), facts) else {
            panic!("something is to be done");
        };
        assert_eq!(
            lines[1].to_string(),
            "~ packages curl: interrupted → installed"
        );
    }
}
