//! Configs and secrets from outside a stack that the swarm does not have any more: made again as they were kept.

use std::collections::BTreeMap;

use async_trait::async_trait;
use matou_i18n::tr;

use super::external_record::{External, KeptExternal};
use super::secrets::{SecretStore, create_object};
use matou_docker::SwarmObjectKind;
use matou_job::{Change, Check, Step, StepContext, StepError};
use matou_stack::Labels;

/// Makes the configs and secrets from outside a stack that are missing. What is there stays as it is.
pub(super) struct MakeExternals {
    pub app: String,
    /// Configs and secrets.
    pub wanted: Vec<External>,
    /// They come out of a snapshot before this is applied.
    pub kept_comes_back: bool,
    pub store: SecretStore,
}

/// What the swarm has of each kind, by name.
struct SwarmNames {
    configs: BTreeMap<String, Labels>,
    secrets: BTreeMap<String, Labels>,
}

impl SwarmNames {
    async fn query(cx: &StepContext) -> Result<Self, StepError> {
        Ok(Self {
            configs: cx.docker.list_configs().await?,
            secrets: cx.docker.list_secrets().await?,
        })
    }

    fn has(&self, external: &External) -> bool {
        let names = match external.kind {
            SwarmObjectKind::Config => &self.configs,
            _ => &self.secrets,
        };
        names.contains_key(&external.name)
    }
}

impl MakeExternals {
    /// Returns what is kept of those that the swarm does not have.
    async fn find_missing(
        &self,
        cx: &StepContext,
    ) -> Result<Vec<(&External, Option<KeptExternal>)>, StepError> {
        let swarm = SwarmNames::query(cx).await?;
        let missing: Vec<&External> = self.wanted.iter().filter(|e| !swarm.has(e)).collect();
        let mut found = Vec::new();
        if !missing.is_empty() {
            let files = self.store.list_files().await?;
            for external in missing {
                let kept = external.read_kept(&self.store, &files).await?;
                found.push((external, kept));
            }
        }
        Ok(found)
    }
}

/// What is said of one that nothing is kept of.
fn lost_external(external: &External) -> StepError {
    let kind = external.kind.as_str();
    StepError::failed(tr!(
        "the stack uses the {external}, which is not there, and no backup kept it: `docker {kind} create {} FILE` makes it",
        external.name
    ))
}

#[async_trait]
impl Step for MakeExternals {
    fn name(&self) -> String {
        tr!("configs and secrets from outside").into()
    }

    async fn check(&self, cx: &StepContext) -> Result<Check, StepError> {
        let missing = self.find_missing(cx).await?;
        let mut lines = Vec::new();
        for external in &self.wanted {
            let found = missing.iter().find(|(missing, _)| *missing == external);
            lines.push(match found {
                None => Change::same(external.to_string()),
                Some((_, None)) if !self.kept_comes_back => return Err(lost_external(external)),
                Some(_) => Change::add(tr!("{external}, as it was kept")),
            });
        }
        Ok(Check::from_changes(lines))
    }

    async fn apply(&self, cx: &StepContext) -> Result<(), StepError> {
        for (external, kept) in self.find_missing(cx).await? {
            let kept = kept.ok_or_else(|| lost_external(external))?;
            let create = kept.head.file_command(external.kind, &self.app);
            let made = create_object(cx, create, &external.name, kept.content).await;
            // Another application uses it, too, and was faster.
            if let Err(why) = made
                && (why.is_cancelled() || !SwarmNames::query(cx).await?.has(external))
            {
                return Err(why);
            }
        }
        Ok(())
    }
}
