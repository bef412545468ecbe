//! restic: the distribution's package, or an official release that config.toml names by address and
//! SHA-256.
//!
//! Undo: `apt-get purge restic`, or remove /usr/local/bin/restic.

use async_trait::async_trait;
use matou_i18n::tr;

use super::Concern;
use super::desired::DesiredState;
use super::executor::NodeExecutor;
use super::facts::FactQuery;
use super::node_view::NodeView;
use crate::ProvisionError;
use matou_config::{Config, NodeConfig};
use matou_job::{Change, Check, StepError};

const PROGRAM: &str = "/usr/local/bin/restic";
const HASH: &str = "/var/lib/matou/restic.sha256";

fn desired_restic_package() -> DesiredState {
    DesiredState::default().with_packages(["restic"])
}

/// The concern `restic`.
pub(crate) struct ResticConcern;

#[async_trait]
impl Concern for ResticConcern {
    fn name(&self) -> &'static str {
        "restic"
    }

    fn fact_query(&self, _: &NodeConfig, config: &Config) -> FactQuery {
        match config.provision.restic {
            None => FactQuery::default(),
            Some(_) => FactQuery::default()
                .with_files([HASH])
                .with_command("restic", format!("{PROGRAM} version")),
        }
    }

    fn required_packages(&self, _: &NodeConfig, config: &Config) -> Vec<String> {
        match config.provision.restic {
            None => desired_restic_package().package_names(),
            Some(_) => Vec::new(),
        }
    }

    fn check(&self, at: &NodeView<'_>) -> Result<Check, ProvisionError> {
        let Some(download) = &at.config().provision.restic else {
            return Ok(Check::from_changes(
                desired_restic_package().compare(at.facts),
            ));
        };
        let version = at.facts.output("restic");
        let version = version
            .split_whitespace()
            .take(2)
            .collect::<Vec<_>>()
            .join(" ");
        let have = at
            .facts
            .file(HASH)
            .is_some_and(|f| f.content.trim() == download.sha256);
        Ok(Check::from_changes(vec![match (version.as_str(), have) {
            ("", _) => Change::add(tr!("restic from {}", download.url)),
            (version, true) => Change::same(version),
            (version, false) => Change::modify("restic", version, &download.url),
        }]))
    }

    async fn apply(&self, at: &NodeView<'_>, run: &NodeExecutor<'_>) -> Result<(), StepError> {
        let Some(download) = &at.config().provision.restic else {
            return desired_restic_package().apply(at, run).await;
        };
        if download.url.ends_with(".bz2") && at.facts.package_version("bzip2").is_none() {
            run.install_packages(["bzip2"]).await?;
        }
        run.run_script(
            tr!("fetch restic"),
            super::volumes::FETCH_PROGRAM_SCRIPT,
            [download.url.as_str(), &download.sha256, PROGRAM],
        )
        .await
    }
}
