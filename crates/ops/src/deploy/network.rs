//! External networks of a stack: the one of the edge is made, one that a backup kept is made again, others
//! must be there.

use async_trait::async_trait;
use matou_i18n::tr;

use super::external_record::{External, ExternalHead};
use super::secrets::SecretStore;
use matou_host::Command;
use matou_job::{Change, Check, Step, StepContext, StepError};

pub(super) struct EnsureNetworks {
    pub app: String,
    pub wanted: Vec<String>,
    /// The network between Traefik and the applications.
    pub edge: String,
    /// How others were made comes out of a snapshot before this is applied.
    pub kept_comes_back: bool,
    /// Where it is kept how others were made; `None` without a storage node.
    pub store: Option<SecretStore>,
}

impl EnsureNetworks {
    /// Returns how a network was made; `None` where nothing is kept of it.
    async fn find_kept(&self, name: &str) -> Result<Option<ExternalHead>, StepError> {
        let Some(store) = &self.store else {
            return Ok(None);
        };
        let files = store.list_files().await?;
        let kept = External::network(name).read_kept(store, &files).await?;
        Ok(kept.map(|kept| kept.head))
    }

    /// Runs a command that makes a network.
    async fn make_network(
        &self,
        name: &str,
        create: &Command,
        cx: &StepContext,
    ) -> Result<(), StepError> {
        let made = cx.stream(create).await;
        // Another application needs it, too, and was faster: a recovery deploys several at a time.
        let is_there = |names: Vec<String>| names.iter().any(|n| n == name);
        match made {
            Err(e) if !e.is_cancelled() && cx.docker.list_networks().await.is_ok_and(is_there) => {
                let note = tr!("{name} was made by somebody else meanwhile");
                cx.out.note(note).await;
                Ok(())
            }
            other => other,
        }
    }

    /// Makes a network as it was; with addresses that the engine chooses where its own can't be had.
    async fn make_again(
        &self,
        name: &str,
        kept: &ExternalHead,
        cx: &StepContext,
    ) -> Result<(), StepError> {
        let lost = || lost_network(name);
        let create = kept.network_command(name, &self.app, true);
        let made = self.make_network(name, &create.ok_or_else(lost)?, cx).await;
        match made {
            Err(why) if !why.is_cancelled() => {
                let note = tr!("the network {name} gets other addresses than it had: {why}");
                cx.out.note(note).await;
                let create = kept.network_command(name, &self.app, false);
                self.make_network(name, &create.ok_or_else(lost)?, cx).await
            }
            other => other,
        }
    }
}

/// What is said of one that is not there.
fn lost_network(name: &str) -> StepError {
    StepError::failed(tr!(
        "the stack uses the network {name}, which is not there: `docker network create --driver overlay {name}` makes it, and networks of applications exist while they are deployed"
    ))
}

#[async_trait]
impl Step for EnsureNetworks {
    fn name(&self) -> String {
        tr!("networks").into()
    }

    async fn check(&self, cx: &StepContext) -> Result<Check, StepError> {
        let found = cx.docker.list_networks().await?;
        let mut lines = Vec::new();
        for name in &self.wanted {
            lines.push(if found.contains(name) {
                Change::same(tr!("network {name}"))
            } else if *name == self.edge {
                Change::add(tr!("network {name}"))
            } else if self.kept_comes_back || self.find_kept(name).await?.is_some() {
                Change::add(tr!("network {name}, as it was kept"))
            } else {
                return Err(lost_network(name));
            });
        }
        Ok(Check::from_changes(lines))
    }

    async fn apply(&self, cx: &StepContext) -> Result<(), StepError> {
        let found = cx.docker.list_networks().await?;
        for name in self.wanted.iter().filter(|name| !found.contains(name)) {
            if *name == self.edge {
                let create = Command::new("docker")
                    .args(["network", "create", "--driver", "overlay", "--attachable"])
                    .arg(name)
                    .sudo();
                self.make_network(name, &create, cx).await?;
            } else {
                let kept = self.find_kept(name).await?;
                let kept = kept.ok_or_else(|| lost_network(name))?;
                self.make_again(name, &kept, cx).await?;
            }
        }
        Ok(())
    }
}
