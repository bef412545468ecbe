//! What every concern of provisioning does.

use async_trait::async_trait;

use super::executor::NodeExecutor;
use super::facts::FactQuery;
use super::{NodeView, ProvisionError};
#[cfg(doc)]
use matou_config::CONCERNS;
use matou_config::{Config, NodeConfig};
use matou_job::{Check, StepError};

/// One thing that should be so on a node.
#[async_trait]
pub trait Concern: Send + Sync {
    /// Returns its name in config.toml and `--only`; one of [`CONCERNS`].
    fn name(&self) -> &'static str;

    /// Returns whether the concern applies to a node. config.toml alone decides.
    fn applies_to(&self, node: &NodeConfig, config: &Config) -> bool {
        let _ = (node, config);
        true
    }

    /// The facts that `check` reads.
    fn fact_query(&self, node: &NodeConfig, config: &Config) -> FactQuery;

    /// Returns the distribution's packages that it needs on this node, as far as config.toml tells.
    /// The packages of all concerns are installed together.
    fn required_packages(&self, node: &NodeConfig, config: &Config) -> Vec<String> {
        let _ = (node, config);
        Vec::new()
    }

    /// Compares what should be with what is.
    ///
    /// # Errors
    /// Why the node can't be judged or can't be changed, and what to do about it.
    fn check(&self, at: &NodeView<'_>) -> Result<Check, ProvisionError>;

    /// Changes what differs. Called only when `check` found a difference. An earlier run may have
    /// been interrupted: each part may be done already.
    ///
    /// # Errors
    /// What failed.
    async fn apply(&self, at: &NodeView<'_>, run: &NodeExecutor<'_>) -> Result<(), StepError>;
}
