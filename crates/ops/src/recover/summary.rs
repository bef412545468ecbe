//! The end of a recovery: what is not back, and what is left to do by hand.

use matou_i18n::tr;
use std::collections::BTreeSet;
use std::net::IpAddr;

use async_trait::async_trait;
use futures_util::future::join_all;

use super::findings::{RecoveryFindings, StuckAt};
use crate::FleetContext;
use crate::deploy::resolve_host_name;
use crate::dns::{find_wrong_names, find_zone};
use matou_job::{Change, Check, Step, StepContext, StepError};
use matou_model::Role;

/// Checks that every application is back, and reports domains that do not lead to the fleet.
pub(crate) struct CheckAppsBack {
    /// Applications with their domains.
    pub apps: Vec<(String, Vec<String>)>,
    pub fleet: FleetContext,
    pub findings: RecoveryFindings,
}

impl CheckAppsBack {
    /// Finds domains whose DNS records do not lead to a node of the fleet; a sentence each.
    async fn find_wrong_dns_records(&self) -> Vec<String> {
        let addresses = async |managers_only: bool| -> BTreeSet<IpAddr> {
            let nodes = self.fleet.nodes.iter();
            let nodes = nodes.filter(|n| !managers_only || n.config.role == Role::Manager);
            let found =
                join_all(nodes.filter_map(|n| n.ssh_address()).map(resolve_host_name)).await;
            found.into_iter().flatten().flatten().collect()
        };
        let ours = addresses(false).await;
        // The edge takes its ports on a manager.
        let wanted = addresses(true)
            .await
            .iter()
            .map(ToString::to_string)
            .collect::<Vec<_>>()
            .join(tr!(" or "));
        let domains = self.apps.iter().flat_map(|(_, domains)| domains);
        // Of those that matou makes records of, their server is asked: others may still keep what was before.
        let (made, domains): (Vec<&String>, Vec<&String>) =
            domains.partition(|domain| find_zone(&self.fleet.config, domain).is_some());
        let mut wrong = find_wrong_names(&self.fleet, &made).await;
        let looked_up = domains.into_iter().map(|domain| {
            let (ours, wanted) = (&ours, &wanted);
            async move {
                let now = match resolve_host_name(domain).await {
                    Ok(found) if found.iter().any(|ip| ours.contains(ip)) => return None,
                    Ok(found) => {
                        let found: Vec<String> = found.iter().map(ToString::to_string).collect();
                        tr!("it leads to {}", found.join(", "))
                    }
                    Err(_) => tr!("it does not resolve").into(),
                };
                Some(tr!("DNS: let {domain} lead to {wanted} ({now})"))
            }
        });
        wrong.extend(join_all(looked_up).await.into_iter().flatten());
        wrong
    }
}

#[async_trait]
impl Step for CheckAppsBack {
    fn name(&self) -> String {
        tr!("checks").into()
    }

    async fn check(&self, cx: &StepContext) -> Result<Check, StepError> {
        if cx.docker.ping_manager().await.is_err() {
            return Ok(Check::Unknown(tr!("asked when everything is there").into()));
        }
        let records = self.find_wrong_dns_records().await;
        let mut lines: Vec<Change> = records
            .iter()
            .map(|r| Change::same(tr!("by hand")).with_warning(r))
            .collect();
        self.findings.set_by_hand(records);
        let results = self.findings.apps();
        let mut failed = false;
        for (app, result) in &results {
            if let Some((stuck, reason)) = &result.failure {
                failed = true;
                let what = match stuck {
                    StuckAt::Restore => tr!("data of {app}"),
                    StuckAt::Deploy => tr!("services of {app}"),
                };
                lines.push(Change::modify(what, reason, tr!("back")));
            }
        }
        Ok(match failed {
            true => Check::Change(lines),
            false => {
                lines.insert(
                    0,
                    Change::same(tr!("{} applications are back", self.apps.len())),
                );
                Check::Done(lines)
            }
        })
    }

    async fn apply(&self, cx: &StepContext) -> Result<(), StepError> {
        for record in self.findings.by_hand() {
            cx.out.note(record).await;
        }
        let failed: Vec<String> = self
            .findings
            .apps()
            .into_iter()
            .filter_map(|(app, result)| {
                let (_, reason) = result.failure?;
                Some(format!("{app}: {reason}"))
            })
            .collect();
        match failed.as_slice() {
            [] => Ok(()),
            some => Err(StepError::failed(tr!(
                "{} of {} applications are not back: {}. Mend what is named and run it again: what is back is left as it is",
                some.len(),
                self.apps.len(),
                some.join("; ")
            ))),
        }
    }
}
