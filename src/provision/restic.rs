//! restic: the distribution's package, or an official release that config.toml names by address and
//! SHA-256.
//!
//! Undo: `apt-get purge restic`, or remove /usr/local/bin/restic.

use async_trait::async_trait;

use super::Concern;
use super::at::{At, check};
use super::desired::Desired;
use super::facts::Needs;
use super::run::Run;
use crate::config::{Config, NodeConfig};
use crate::job::{Change, Check, StepError};

const PROGRAM: &str = "/usr/local/bin/restic";
const HASH: &str = "/var/lib/matou/restic.sha256";

fn distribution() -> Desired {
    Desired::default().packages(["restic"])
}

/// See the module.
pub struct Restic;

#[async_trait]
impl Concern for Restic {
    fn name(&self) -> &'static str {
        "restic"
    }

    fn needs(&self, _: &NodeConfig, config: &Config) -> Needs {
        match config.provision.restic {
            None => Needs::default(),
            Some(_) => Needs::default()
                .files([HASH])
                .command("restic", format!("{PROGRAM} version")),
        }
    }

    fn packages(&self, _: &NodeConfig, config: &Config) -> Vec<String> {
        match config.provision.restic {
            None => distribution().package_names(),
            Some(_) => Vec::new(),
        }
    }

    fn check(&self, at: &At<'_>) -> Result<Check, String> {
        let Some(download) = &at.config().provision.restic else {
            return Ok(check(distribution().compare(at.facts)));
        };
        let version = at.facts.out("restic");
        let version = version
            .split_whitespace()
            .take(2)
            .collect::<Vec<_>>()
            .join(" ");
        let have = at
            .facts
            .file(HASH)
            .is_some_and(|f| f.content.trim() == download.sha256);
        Ok(check(vec![match (version.as_str(), have) {
            ("", _) => Change::add(format!("restic from {}", download.url)),
            (version, true) => Change::same(version),
            (version, false) => Change::modify("restic", version, &download.url),
        }]))
    }

    async fn apply(&self, at: &At<'_>, run: &Run<'_>) -> Result<(), StepError> {
        let Some(download) = &at.config().provision.restic else {
            return distribution().apply(at, run).await;
        };
        if download.url.ends_with(".bz2") && at.facts.package("bzip2").is_none() {
            run.install(["bzip2"]).await?;
        }
        run.sh(
            "fetch restic",
            super::volumes::FETCH,
            [download.url.as_str(), &download.sha256, PROGRAM],
        )
        .await
    }
}
