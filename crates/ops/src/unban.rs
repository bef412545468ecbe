//! Lets an address in again that fail2ban shuts out, on one node or on all.

use matou_i18n::tr;
use std::time::Duration;

use async_trait::async_trait;

use super::known_names;
use super::{FleetContext, Request};
use crate::OpsError;
use matou_collect::{CollectError, read_bans};
use matou_host::Command;
use matou_job::{
    Change, Check, Confirm, Job, Stage, StagePhase, Step, StepContext, StepError, Track,
};
use matou_model::{Ban, normalize_network};

/// Makes the job, with a track for each node. A node that can't be asked does not stop the others.
///
/// # Errors
/// One sentence: that is no address, or there is no such node.
pub(super) fn build_unban_job(
    request: &Request,
    address: &str,
    node: Option<&str>,
    fleet: &FleetContext,
) -> Result<Job, OpsError> {
    let address = normalize_network(address)?;
    let tracks: Vec<Track> = fleet
        .nodes
        .iter()
        .filter(|n| node.is_none_or(|node| n.config.name == node))
        .map(|n| {
            let step = UnbanAddress {
                address: address.clone(),
                named: node.is_some(),
            };
            Track::on_node(n, vec![Box::new(step)])
        })
        .collect();
    if tracks.is_empty() {
        let wrong = known_names::unknown_node(node.unwrap_or_default(), fleet, None);
        return Err(wrong.into());
    }
    let stage = Stage {
        title: request.title(),
        phase: StagePhase::default(),
        tracks,
    };
    let mut job = Job::new(request.title(), Confirm::Ask, vec![stage]);
    job.keep_going = true;
    Ok(job)
}

struct UnbanAddress {
    address: String,
    /// The node was named: one without fail2ban is a mistake then.
    named: bool,
}

impl UnbanAddress {
    /// The bans of the address on the node.
    async fn read_address_bans(&self, cx: &StepContext) -> Result<Vec<Ban>, CollectError> {
        let all = read_bans(&cx.host).await?;
        let ours = all.into_iter().filter(|b| b.address == self.address);
        Ok(ours.collect())
    }
}

fn describe_lifted_ban(ban: &Ban) -> String {
    let until = ban.until.map_or(tr!("for good").to_owned(), |t| {
        tr!("until {}", t.strftime("%Y-%m-%d %H:%M UTC"))
    });
    tr!("ban of {} by {} ({until})", ban.address, ban.jail)
}

#[async_trait]
impl Step for UnbanAddress {
    fn name(&self) -> String {
        tr!("unban").into()
    }

    fn timeout(&self) -> Duration {
        Duration::from_secs(60)
    }

    async fn check(&self, cx: &StepContext) -> Result<Check, StepError> {
        let bans = match self.read_address_bans(cx).await {
            Err(e @ CollectError::Absent(_)) if !self.named => {
                return Ok(Check::Done(vec![Change::same(e.to_string())]));
            }
            other => other?,
        };
        Ok(match bans.is_empty() {
            true => Check::Done(vec![Change::same(tr!("{} is not banned", self.address))]),
            false => Check::Change(
                bans.iter()
                    .map(|b| Change::remove(describe_lifted_ban(b)))
                    .collect(),
            ),
        })
    }

    async fn apply(&self, cx: &StepContext) -> Result<(), StepError> {
        for ban in self.read_address_bans(cx).await? {
            let command = Command::new("fail2ban-client")
                .args(["set", &ban.jail, "unbanip", &ban.address])
                .sudo()
                .timeout(Duration::from_secs(30));
            cx.host.run_ok(&command).await?;
        }
        Ok(())
    }
}
