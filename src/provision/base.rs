//! Packages that everything else needs, on a distribution that matou knows.
//!
//! Undo: `apt-get remove` what is not wanted; nothing else depends on it being there.

use async_trait::async_trait;

use super::Concern;
use super::at::{At, check};
use super::desired::Desired;
use super::facts::{Needs, Os};
use super::run::Run;
use crate::config::{Config, NodeConfig};
use crate::job::{Change, Check, StepError};

/// Bytes that installing Docker and the rest takes, with some to spare.
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

/// See the module.
pub struct Base;

fn desired(config: &Config) -> Desired {
    Desired::default()
        .packages(PACKAGES)
        .packages(config.provision.packages.iter().cloned())
}

#[async_trait]
impl Concern for Base {
    fn name(&self) -> &'static str {
        "base"
    }

    fn needs(&self, _: &NodeConfig, config: &Config) -> Needs {
        desired(config).needs().command(
            "free",
            "df --block-size=1 --output=avail,target / /var /var/lib",
        )
    }

    fn packages(&self, _: &NodeConfig, config: &Config) -> Vec<String> {
        desired(config).package_names()
    }

    fn check(&self, at: &At<'_>) -> Result<Check, String> {
        let os = at.facts.os();
        if !is_known(&os) {
            let name = if os.name.is_empty() {
                "an unknown system"
            } else {
                &os.name
            };
            return Err(format!(
                "{} runs {name}: matou provisions Debian 12 and 13, Ubuntu 22.04 and 24.04",
                at.node.name
            ));
        }
        let mut lines = vec![Change::same(os.name)];
        let broken = at.facts.broken_packages();
        if !broken.is_empty() {
            lines.push(Change::modify(
                format!("packages {}", broken.join(", ")),
                "interrupted",
                "installed",
            ));
        }
        lines.extend(desired(at.config()).compare(at.facts));
        let own = desired(at.config()).package_names();
        let more = later(at).into_iter().filter(|p| !own.contains(p)).count();
        if more > 0 {
            lines.push(Change::add(format!(
                "{more} packages of the later steps, in one go"
            )));
        }
        let missing = lines.iter().any(|l| l.kind != crate::job::ChangeKind::Same);
        if let Some((free, place)) = least_free(at.facts.out("free"))
            && free < LEAST_FREE
            && (missing || at.facts.engine().is_none())
        {
            return Err(format!(
                "the disk of {} is full: {place} has {} free, and installing needs {}",
                at.node.name,
                crate::text::human_bytes(free),
                crate::text::human_bytes(LEAST_FREE)
            ));
        }
        Ok(check(lines))
    }

    async fn apply(&self, at: &At<'_>, run: &Run<'_>) -> Result<(), StepError> {
        if !at.facts.broken_packages().is_empty() {
            run.install([""; 0]).await?;
        }
        // Those of the later steps in the same go: each start of the package manager takes long.
        let missing = later(at);
        if !missing.is_empty() {
            run.install(missing).await?;
        }
        Ok(())
    }
}

/// Packages that any of the node's concerns needs and that are not there.
fn later<'a>(at: &At<'a>) -> Vec<&'a String> {
    at.packages
        .iter()
        .filter(|p| at.facts.package(p).is_none())
        .collect()
}

fn is_known(os: &Os) -> bool {
    let version: f32 = os.version.parse().unwrap_or(0.0);
    match os.id.as_str() {
        "debian" => version >= 12.0,
        "ubuntu" => version >= 22.04,
        _ => false,
    }
}

/// The fullest of the file systems that packages go to.
fn least_free(df: &str) -> Option<(u64, &str)> {
    df.lines()
        .filter_map(|l| {
            let (free, place) = l.trim().split_once(char::is_whitespace)?;
            Some((free.parse().ok()?, place.trim()))
        })
        .min()
}

#[cfg(test)]
mod tests {
    use super::super::facts::Facts;
    use super::super::testing::{check_of, config};
    use super::*;

    const DEBIAN: &str =
        "PRETTY_NAME=\"Debian GNU/Linux 12 (bookworm)\"\nID=debian\nVERSION_ID=\"12\"";

    #[test]
    fn a_full_disk_and_a_strange_system_are_named() {
        let config = config("");
        let full = Facts::of(&[
            ("os", DEBIAN),
            ("free", "Avail Mounted\n5000000 /var\n99000000000 /"),
        ]);
        let e = check_of(&Base, &config, full).unwrap_err();
        assert!(e.contains("/var has 4.8 MiB free"), "{e}");
        let strange = Facts::of(&[("os", "ID=alpine\nPRETTY_NAME=\"Alpine 3\"\nVERSION_ID=3.20")]);
        let e = check_of(&Base, &config, strange).unwrap_err();
        assert!(e.contains("runs Alpine 3: matou provisions Debian"), "{e}");
    }

    #[test]
    fn interrupted_packages_are_mended() {
        let facts = Facts::of(&[
            ("os", DEBIAN),
            ("free", "Avail Mounted\n99000000000 /"),
            ("packages", "curl iF 1"),
        ]);
        let Ok(Check::Change(lines)) = check_of(&Base, &config(""), facts) else {
            panic!("something is to be done");
        };
        assert_eq!(
            lines[1].to_string(),
            "~ packages curl: interrupted → installed"
        );
    }
}
