//! Lets an address in again that fail2ban shuts out, on one node or on all.

use std::time::Duration;

use async_trait::async_trait;

use super::{Context, Request};
use crate::collect::read_bans;
use crate::host::Command;
use crate::job::{Change, Check, Confirm, Cx, Job, Stage, Step, StepError, Track};
use crate::model::{Ban, network};

/// Makes the job: a track a node. One that can't be asked does not keep the others from it.
///
/// # Errors
/// One sentence: that is no address, or there is no such node.
pub(super) fn build(
    request: &Request,
    address: &str,
    node: Option<&str>,
    cx: &Context,
) -> Result<Job, String> {
    let address = network(address)?;
    let tracks: Vec<Track> = cx
        .nodes
        .iter()
        .filter(|n| node.is_none_or(|node| n.config.name == node))
        .map(|n| Track {
            node: n.config.name.clone(),
            host: n.host.clone(),
            docker: n.docker.clone(),
            steps: vec![Box::new(Unban {
                address: address.clone(),
                named: node.is_some(),
            })],
        })
        .collect();
    if tracks.is_empty() {
        let names: Vec<&str> = cx.nodes.iter().map(|n| n.config.name.as_str()).collect();
        return Err(format!(
            "no node is named {:?}, only {}",
            node.unwrap_or_default(),
            names.join(", ")
        ));
    }
    let stage = Stage {
        title: request.title(),
        tracks,
    };
    let mut job = Job::new(request.title(), Confirm::Ask, vec![stage]);
    job.keep_going = true;
    Ok(job)
}

struct Unban {
    address: String,
    /// The node was named: one without fail2ban is a mistake then.
    named: bool,
}

impl Unban {
    /// The bans of the address on the node.
    async fn bans(&self, cx: &Cx) -> Result<Vec<Ban>, StepError> {
        let all = read_bans(&cx.host).await.map_err(StepError::Failed)?;
        let ours = all.into_iter().filter(|b| b.address == self.address);
        Ok(ours.collect())
    }
}

fn described(ban: &Ban) -> String {
    let until = ban.until.map_or("for good".to_owned(), |t| {
        format!("until {}", t.strftime("%Y-%m-%d %H:%M UTC"))
    });
    format!("ban of {} by {} ({until})", ban.address, ban.jail)
}

#[async_trait]
impl Step for Unban {
    fn name(&self) -> String {
        "unban".into()
    }

    fn timeout(&self) -> Duration {
        Duration::from_secs(60)
    }

    async fn check(&self, cx: &Cx) -> Result<Check, StepError> {
        let bans = match self.bans(cx).await {
            Err(StepError::Failed(why)) if !self.named && why.starts_with("has no fail2ban") => {
                return Ok(Check::Done(vec![Change::same(why)]));
            }
            other => other?,
        };
        Ok(match bans.is_empty() {
            true => Check::Done(vec![Change::same(format!(
                "{} is not banned",
                self.address
            ))]),
            false => Check::Change(bans.iter().map(|b| Change::remove(described(b))).collect()),
        })
    }

    async fn apply(&self, cx: &Cx) -> Result<(), StepError> {
        for ban in self.bans(cx).await? {
            let command = Command::new("fail2ban-client")
                .args(["set", &ban.jail, "unbanip", &ban.address])
                .sudo()
                .timeout(Duration::from_secs(30));
            cx.host.run_ok(&command).await?;
        }
        Ok(())
    }
}
