//! Secrets and configs of the swarm; certificates in Traefik's store.

use matou_i18n::tr;
use std::sync::Arc;
use std::time::Duration;

use async_trait::async_trait;

use super::context::EraseContext;
use matou_edge::AcmeFile;
use matou_host::{Command, shell_script};
use matou_job::{Change, Check, Step, StepContext, StepError};

/// Prints kind and name of the swarm's secrets and configs of an application `$1`.
const LIST_OBJECTS: &str = shell_script(include_str!("../../scripts/list_app_objects.sh"));

/// Removes the secret or config `$2` (`$1` is its kind). Tried again for a while: a task that has
/// just stopped may still hold it.
const REMOVE_OBJECT: &str = shell_script(include_str!("../../scripts/remove_object.sh"));

/// Secrets and configs of the swarm.
pub(super) struct RemoveSwarmObjects(pub Arc<EraseContext>);

impl RemoveSwarmObjects {
    async fn list_objects(&self, cx: &StepContext) -> Result<Vec<(String, String)>, StepError> {
        let list = Command::sh(LIST_OBJECTS)
            .arg(&self.0.app)
            .sudo()
            .timeout(Duration::from_secs(60))
            .label(tr!("secrets and configs of the swarm"));
        let text = cx.host.run_ok(&list).await?.stdout_text();
        let pair = |line: &str| {
            let (kind, name) = line.split_once(' ')?;
            Some((kind.to_owned(), name.to_owned()))
        };
        Ok(text.lines().filter_map(pair).collect())
    }
}

#[async_trait]
impl Step for RemoveSwarmObjects {
    fn name(&self) -> String {
        tr!("secrets and configs").into()
    }

    async fn check(&self, cx: &StepContext) -> Result<Check, StepError> {
        let found = self.list_objects(cx).await?;
        let line =
            |(kind, name): &(String, String)| Change::remove(tr!("{kind} {name} of the swarm"));
        Ok(match found.is_empty() {
            true => Check::Done(vec![Change::same(tr!("no secret or config of the swarm"))]),
            false => Check::Change(found.iter().map(line).collect()),
        })
    }

    async fn apply(&self, cx: &StepContext) -> Result<(), StepError> {
        let found = self.list_objects(cx).await?;
        let lines: Vec<String> = found
            .iter()
            .map(|(kind, name)| tr!("{kind} {name} of the swarm"))
            .collect();
        self.0.log_destroyed(&lines).await?;
        for (kind, name) in found {
            let remove = Command::sh(REMOVE_OBJECT)
                .args([&kind, &name])
                .sudo()
                .timeout(Duration::from_secs(60))
                .label(format!("docker {kind} rm {name}"));
            cx.host.run_ok(&remove).await?;
        }
        Ok(())
    }
}

/// Certificates of its domains, with their keys, in Traefik's store.
pub(super) struct ForgetCertificates(pub Arc<EraseContext>);

impl ForgetCertificates {
    /// Finds acme.json, and the domains that have a certificate in it for which no router of
    /// another application asks.
    async fn find_certificates(
        &self,
        cx: &StepContext,
    ) -> Result<Option<(AcmeFile, Vec<String>)>, StepError> {
        let work = &self.0;
        if work.inventory.domains.is_empty() {
            return Ok(None);
        }
        let swarm = cx.query_swarm().await?;
        if matou_edge::find_edge_service(&swarm).is_none() {
            return Ok(None);
        }
        let nodes = &work.fleet.nodes;
        let manager = nodes.get(&cx.node);
        let manager = manager.ok_or_else(|| StepError::failed(tr!("the manager is gone")))?;
        let storage = &work.fleet.config.storage;
        // An edge without a store has no certificates to forget.
        let Ok(file) = AcmeFile::find(nodes, storage, manager, &swarm).await else {
            return Ok(None);
        };
        let store = file.read().await?;
        let others = swarm
            .services
            .iter()
            .filter(|s| work.app != *s.stack.as_deref().unwrap_or(&s.name));
        let asked: Vec<&String> = others.flat_map(|s| &s.domains).collect();
        let domains = work.inventory.domains.iter();
        let stored = |d: &&String| store.certificates.iter().any(|c| c.names.contains(d));
        let domains: Vec<String> = domains
            .filter(stored)
            .filter(|d| !asked.contains(d))
            .cloned()
            .collect();
        Ok(Some((file, domains)))
    }
}

#[async_trait]
impl Step for ForgetCertificates {
    fn name(&self) -> String {
        tr!("certificates").into()
    }

    fn timeout(&self) -> Duration {
        Duration::from_secs(600)
    }

    async fn check(&self, cx: &StepContext) -> Result<Check, StepError> {
        let found = self.find_certificates(cx).await?;
        let (service, domains) = match &found {
            Some((file, domains)) if !domains.is_empty() => (&file.service, domains),
            _ => {
                return Ok(Check::Done(vec![Change::same(tr!(
                    "no certificate is stored"
                ))]));
            }
        };
        let mut lines: Vec<Change> = domains
            .iter()
            .map(|d| Change::remove(tr!("stored certificate of {d}, with its key")))
            .collect();
        lines.push(
            Change::modify(
                service,
                tr!("runs"),
                tr!("stopped for some seconds, then started"),
            )
            .with_warning(tr!("no site of the fleet answers meanwhile")),
        );
        Ok(Check::Change(lines))
    }

    async fn apply(&self, cx: &StepContext) -> Result<(), StepError> {
        let Some((file, domains)) = self.find_certificates(cx).await? else {
            return Ok(());
        };
        let lines: Vec<String> = domains
            .iter()
            .map(|d| tr!("stored certificate of {d}, with its key"))
            .collect();
        self.0.log_destroyed(&lines).await?;
        for domain in &domains {
            let steps = crate::renew::renewal_steps(domain, &self.0.fleet);
            for step in steps? {
                step.apply(cx).await?;
            }
        }
        // The copy of the store from before still holds the key.
        file.remove_previous().await.map_err(StepError::from)
    }
}
