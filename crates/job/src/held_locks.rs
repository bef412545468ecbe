//! The locks that a running job holds, and what is told of them.

use std::future::pending;
use std::time::Duration;

use futures_util::future::{join_all, select_all};
use tokio::sync::mpsc;

use super::event::JobEvent;
use super::lock::{JobLock, LockRequest};
use super::redactor::Redactor;
use matou_base::text::SafeText;
use matou_host::OutputStream;

/// The step that lines about locks belong to.
const LOCK_STEP: &str = "lock";

/// Locks of one job; dropping gives them back.
pub struct HeldLocks {
    locks: Vec<JobLock>,
    redactor: Redactor,
    /// The job's first event was sent.
    told: bool,
}

impl HeldLocks {
    pub(super) fn new(redactor: Redactor) -> Self {
        Self {
            locks: Vec::new(),
            redactor,
            told: false,
        }
    }

    /// Whether any lock is held. If so, what the job was built from may have changed before it was
    /// taken.
    pub fn holds_any(&self) -> bool {
        !self.locks.is_empty()
    }

    /// Whether events were sent already, because somebody had to be waited for.
    pub fn has_sent_events(&self) -> bool {
        self.told
    }

    /// Sends that the job has started, once.
    pub(super) async fn send_started(&mut self, title: &str, events: &mpsc::Sender<JobEvent>) {
        if !std::mem::replace(&mut self.told, true) {
            let title = title.into();
            let _ = events.send(JobEvent::Started { title }).await;
        }
    }

    /// Sends that a lock could not be taken.
    pub(super) async fn send_refused(
        &self,
        node: &str,
        why: &str,
        events: &mpsc::Sender<JobEvent>,
    ) {
        let event = JobEvent::StepFailed {
            node: node.to_owned(),
            step: LOCK_STEP.into(),
            error: self.redactor.redact(why).into(),
            took: Duration::ZERO,
        };
        let _ = events.send(event).await;
    }

    /// Takes locks of one host; sends a line when they have to be waited for. Returns why they could
    /// not be taken.
    pub(super) async fn take_locks(
        &mut self,
        hold: &LockRequest,
        title: &str,
        wait: Duration,
        events: &mpsc::Sender<JobEvent>,
    ) -> Option<String> {
        let node = hold.host.name().to_owned();
        let holds = vec![(node, hold.clone())];
        let mut failed = self.take_locks_of_hosts(holds, title, wait, events).await;
        failed.pop().map(|(_, why)| why)
    }

    /// Takes locks of several hosts at once. Returns the nodes that can't be locked, and why.
    pub(super) async fn take_locks_of_hosts(
        &mut self,
        holds: Vec<(String, LockRequest)>,
        title: &str,
        wait: Duration,
        events: &mpsc::Sender<JobEvent>,
    ) -> Vec<(String, String)> {
        let (said, mut arriving) = mpsc::channel::<(String, String)>(8);
        let taking = holds.into_iter().map(|(node, hold)| {
            let said = said.clone();
            async move {
                let (told, mut lines) = mpsc::channel::<String>(4);
                let forward = async {
                    while let Some(line) = lines.recv().await {
                        let _ = said.send((node.clone(), line)).await;
                    }
                };
                let taking = async move { JobLock::take(&hold, title, wait, &told).await };
                let (lock, ()) = tokio::join!(taking, forward);
                (node, lock)
            }
        });
        let taking = join_all(taking.collect::<Vec<_>>());
        drop(said);
        let telling = async {
            while let Some((node, line)) = arriving.recv().await {
                self.send_started(title, events).await;
                let event = JobEvent::Line {
                    node,
                    step: LOCK_STEP.into(),
                    stream: OutputStream::Note,
                    text: SafeText::from_line(self.redactor.redact(&line)),
                };
                let _ = events.send(event).await;
            }
        };
        let (taken, ()) = tokio::join!(taking, telling);
        let mut failed = Vec::new();
        for (node, lock) in taken {
            match lock {
                Ok(lock) => self.locks.push(lock),
                Err(why) => failed.push((node, self.redactor.redact(&why.to_string()))),
            }
        }
        failed
    }

    fn binding_locks(&self) -> impl Iterator<Item = &JobLock> {
        self.locks.iter().filter(|l| l.is_binding())
    }

    /// Waits until a lock is lost without which the job must not go on; for ever when there is
    /// none.
    pub(super) async fn wait_for_loss(&self) {
        let lost: Vec<_> = self
            .binding_locks()
            .map(|l| Box::pin(l.lost_token().cancelled()))
            .collect();
        match lost.is_empty() {
            true => pending().await,
            false => {
                select_all(lost).await;
            }
        }
    }

    /// Returns a sentence when such a lock is lost.
    pub(super) fn loss_reason(&self) -> Option<String> {
        self.binding_locks()
            .find(|l| l.is_lost())
            .map(JobLock::loss_reason)
    }

    /// Gives all back, and waits until they are.
    pub async fn release(mut self) {
        join_all(self.locks.drain(..).map(JobLock::release)).await;
    }
}
