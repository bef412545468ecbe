//! Sends restored volumes to the nodes that have them, while nothing in use is touched yet. A part that is whole
//! is compared with what was sent, and only then takes the name under which the exchange looks for it: what an
//! interruption leaves is never exchanged.

use matou_i18n::tr;
use std::path::Path;
use std::sync::Arc;
use std::time::{Duration, Instant};

use async_trait::async_trait;
use tokio::sync::mpsc;

use super::parts::{PartKind, RestorePart};
use super::staging;
use super::volume_swap::VolumeSwap;
use crate::OpsError;
use crate::piped::{choose_error, run_stage};
use matou_base::text::human_bytes;
use matou_host::{Command, shell_script};
use matou_job::{Change, Check, Step, StepContext, StepError};

/// How long the largest volume may take, over a slow line.
const SEND_TIMEOUT: Duration = Duration::from_secs(24 * 3600);

/// Shortest time between two progress events.
const PROGRESS_INTERVAL: Duration = Duration::from_millis(400);

/// Room that is left free on the other node, bytes.
const SPARE_BYTES: u64 = 64 << 20;

const SEND_RESTORED: &str = shell_script(include_str!("../../scripts/send_restored.sh"));
const RECEIVE_RESTORED: &str = shell_script(include_str!("../../scripts/receive_restored.sh"));
const DIGEST_TREE: &str = shell_script(include_str!("../../scripts/digest_tree.sh"));
const FINISH_RECEIVED: &str = shell_script(include_str!("../../scripts/finish_received.sh"));

/// The step that sends what other nodes get.
pub(crate) struct SendVolumes(pub Arc<VolumeSwap>);

impl SendVolumes {
    fn parts(&self) -> impl Iterator<Item = (usize, &RestorePart, &str)> {
        let all = self.0.parts.iter().enumerate();
        all.filter_map(|(at, part)| Some((at, part, part.node.as_deref()?)))
    }

    /// Sends one part, and gives it its place when it has come whole.
    async fn send(&self, at: usize, part: &RestorePart, cx: &StepContext) -> Result<(), OpsError> {
        let work = &self.0;
        let there = work.log_of(part)?;
        let folder = work.folder_of(part);
        let from = work.staged_path(&part.from);
        let (storage, node) = (&work.swap_log.host, &there.host);
        let finish = |command: Command, label: &str| {
            let label = tr!("{label} the volume {}", part.volume);
            command.timeout(SEND_TIMEOUT).label(label)
        };
        let here = work.confined_folders();
        let beyond = there.confined_folders([folder.as_path()]);
        let digest_here = here.sh(DIGEST_TREE).arg(from.display().to_string());
        let digest_there = beyond.sh(DIGEST_TREE).arg(
            folder
                .join("coming")
                .join(at.to_string())
                .display()
                .to_string(),
        );
        let place = |script: &str| {
            let command = beyond.sh(script).arg(folder.display().to_string());
            command.arg(at.to_string())
        };
        let begun = Instant::now();
        let send = finish(here.sh(SEND_RESTORED), tr!("read")).arg(from.display().to_string());
        let (printed, mut arriving) = mpsc::channel::<Vec<u8>>(16);
        let (counted, written) = mpsc::channel(16);
        let receive = finish(place(RECEIVE_RESTORED), tr!("write")).live_stdin(written);
        let total = part_size(work, part).await?;
        let counting = async move {
            let (mut sent, mut told) = (0u64, Instant::now());
            while let Some(piece) = arriving.recv().await {
                sent = sent.saturating_add(piece.len() as u64);
                if counted.send(piece).await.is_err() {
                    break;
                }
                if told.elapsed() >= PROGRESS_INTERVAL {
                    told = Instant::now();
                    cx.out
                        .send_detailed_progress(sent, total.max(sent), "bytes", &part.volume)
                        .await;
                }
            }
            sent
        };
        let end = cx.cancel.child_token();
        let (sent, read, stored) = tokio::join!(
            counting,
            run_stage(storage, &send, Some(printed), &end),
            run_stage(node, &receive, None, &end)
        );
        choose_error([read, stored])?;
        let (digest_here, digest_there) = (
            finish(digest_here, tr!("compare")),
            finish(digest_there, tr!("compare")),
        );
        let (was, is) = tokio::try_join!(storage.run_ok(&digest_here), node.run_ok(&digest_there))?;
        if was.stdout_text() != is.stdout_text() {
            return Err(OpsError::failed(tr!(
                "what came to {} is not what was sent: its file system may keep no owners or names as they are; nothing in use was changed",
                node.name()
            )));
        }
        node.run_ok(&finish(place(FINISH_RECEIVED), tr!("keep")))
            .await?;
        let text = tr!(
            "volume {} of {}: {} sent in {:.0} s",
            part.volume,
            node.name(),
            human_bytes(sent),
            begun.elapsed().as_secs_f64()
        );
        cx.out.note(text).await;
        Ok(())
    }
}

/// How much of the snapshot a part takes, bytes.
async fn part_size(work: &VolumeSwap, part: &RestorePart) -> Result<u64, OpsError> {
    Ok(work
        .source
        .count_at_paths(&part.snapshot_paths())
        .await?
        .bytes)
}

#[async_trait]
impl Step for SendVolumes {
    fn name(&self) -> String {
        tr!("send").into()
    }

    fn timeout(&self) -> Duration {
        SEND_TIMEOUT
    }

    async fn check(&self, _: &StepContext) -> Result<Check, StepError> {
        let mut lines = Vec::new();
        let mut needed: Vec<(&str, u64)> = Vec::new();
        for (_, part, node) in self.parts() {
            if let PartKind::Database(loads) = &part.kind
                && let Some(load) = loads
                    .iter()
                    .find(|l| !Path::new(&l.dump).starts_with(&part.from))
            {
                return Err(StepError::failed(tr!(
                    "the dump {} lies outside of the volume {} of {node}: restore into a folder, and load it there",
                    load.dump,
                    part.volume
                )));
            }
            let size = part_size(&self.0, part).await?;
            match needed.iter_mut().find(|(n, _)| *n == node) {
                Some((_, all)) => *all += size,
                None => needed.push((node, size)),
            }
            let free =
                staging::query_free_bytes(&self.0.log_of(part)?.host, &self.0.folder_of(part))
                    .await?;
            let need = needed
                .iter()
                .find(|(n, _)| *n == node)
                .map_or(0, |(_, n)| *n)
                + SPARE_BYTES;
            if free < need {
                return Err(StepError::failed(tr!(
                    "{} on {node} has {} free, and {} are needed: make room first",
                    self.0.folder_of(part).display(),
                    human_bytes(free),
                    human_bytes(need)
                )));
            }
            lines.push(Change::add(tr!(
                "{} of the volume {} to {node}, beside it",
                human_bytes(size),
                part.volume
            )));
        }
        Ok(Check::Change(lines))
    }

    async fn apply(&self, cx: &StepContext) -> Result<(), StepError> {
        for (at, part, node) in self.parts() {
            self.0.replace_databases(part).await?;
            let sent = self.send(at, part, cx).await;
            if cx.cancel.is_cancelled() {
                return Err(StepError::Cancelled);
            }
            sent.map_err(|why| {
                StepError::failed(tr!("the volume {} on {node}: {why}", part.volume))
            })?;
        }
        Ok(())
    }

    /// Each was compared when it had come.
    async fn verify(&self, _: &StepContext) -> Result<(), StepError> {
        Ok(())
    }
}
