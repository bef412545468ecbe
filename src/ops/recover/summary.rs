//! The end of a recovery: what is not back, and what is left to do by hand.

use std::collections::BTreeSet;
use std::net::IpAddr;

use async_trait::async_trait;
use futures_util::future::join_all;

use super::findings::{Findings, Stuck};
use crate::docker::Nodes;
use crate::job::{Change, Check, Cx, Step, StepError};
use crate::model::Role;
use crate::ops::deploy::resolve;

/// Every application is back, and its names lead here.
pub(in crate::ops) struct Back {
    /// Applications with their domains.
    pub apps: Vec<(String, Vec<String>)>,
    pub nodes: Nodes,
    pub findings: Findings,
}

impl Back {
    /// DNS records that do not lead to a node of the fleet.
    async fn records(&self) -> Vec<String> {
        let addresses = async |managers_only: bool| -> BTreeSet<IpAddr> {
            let nodes = self.nodes.iter();
            let nodes = nodes.filter(|n| !managers_only || n.config.role == Role::Manager);
            let found = join_all(nodes.filter_map(|n| n.address()).map(resolve)).await;
            found.into_iter().flatten().flatten().collect()
        };
        let ours = addresses(false).await;
        // The edge takes its ports on a manager.
        let wanted = addresses(true)
            .await
            .iter()
            .map(ToString::to_string)
            .collect::<Vec<_>>()
            .join(" or ");
        let domains = self.apps.iter().flat_map(|(_, domains)| domains);
        let looked_up = domains.map(|domain| {
            let (ours, wanted) = (&ours, &wanted);
            async move {
                let now = match resolve(domain).await {
                    Ok(found) if found.iter().any(|ip| ours.contains(ip)) => return None,
                    Ok(found) => {
                        let found: Vec<String> = found.iter().map(ToString::to_string).collect();
                        format!("it leads to {}", found.join(", "))
                    }
                    Err(_) => "it does not resolve".into(),
                };
                Some(format!("DNS: let {domain} lead to {wanted} ({now})"))
            }
        });
        join_all(looked_up).await.into_iter().flatten().collect()
    }
}

#[async_trait]
impl Step for Back {
    fn name(&self) -> String {
        "checks".into()
    }

    async fn check(&self, cx: &Cx) -> Result<Check, StepError> {
        if cx.docker.ping_manager().await.is_err() {
            return Ok(Check::Unknown("asked when everything is there".into()));
        }
        let records = self.records().await;
        let mut lines: Vec<Change> = records
            .iter()
            .map(|r| Change::same("by hand").warn(r))
            .collect();
        self.findings.set_by_hand(records);
        let results = self.findings.apps();
        let mut failed = false;
        for (app, result) in &results {
            if let Some((stuck, reason)) = &result.failure {
                failed = true;
                let what = match stuck {
                    Stuck::Restore => "data",
                    Stuck::Deploy => "services",
                };
                lines.push(Change::modify(format!("{what} of {app}"), reason, "back"));
            }
        }
        Ok(match failed {
            true => Check::Change(lines),
            false => {
                lines.insert(
                    0,
                    Change::same(format!("{} applications are back", self.apps.len())),
                );
                Check::Done(lines)
            }
        })
    }

    async fn apply(&self, cx: &Cx) -> Result<(), StepError> {
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
            some => Err(StepError::failed(format!(
                "{} of {} applications are not back: {}. Mend what is named and run it again: what is back is left as it is",
                some.len(),
                self.apps.len(),
                some.join("; ")
            ))),
        }
    }
}
