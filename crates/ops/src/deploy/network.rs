//! External networks of a stack: the one of the edge is made, others must be there.

use async_trait::async_trait;
use matou_i18n::tr;

use matou_host::Command;
use matou_job::{Change, Check, Step, StepContext, StepError};

pub(super) struct EnsureNetworks {
    pub wanted: Vec<String>,
    /// The network between Traefik and the applications.
    pub edge: String,
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
            lines.push(match found.iter().any(|n| n == name) {
                true => Change::same(tr!("network {name}")),
                false if *name == self.edge => Change::add(tr!("network {name}")),
                false => {
                    return Err(StepError::failed(tr!(
                        "the stack uses the network {name}, which is not there: `docker network create --driver overlay {name}` makes it, and networks of applications exist while they are deployed"
                    )));
                }
            });
        }
        Ok(Check::from_changes(lines))
    }

    async fn apply(&self, cx: &StepContext) -> Result<(), StepError> {
        let create = Command::new("docker")
            .args(["network", "create", "--driver", "overlay", "--attachable"])
            .arg(&self.edge)
            .sudo();
        let made = cx.stream(&create).await;
        // Another application needs it, too, and was faster: a recovery deploys several at a time.
        let is_there = |names: Vec<String>| names.contains(&self.edge);
        match made {
            Err(e) if !e.is_cancelled() && cx.docker.list_networks().await.is_ok_and(is_there) => {
                let note = tr!("{} was made by somebody else meanwhile", self.edge);
                cx.out.note(note).await;
                Ok(())
            }
            other => other,
        }
    }
}
