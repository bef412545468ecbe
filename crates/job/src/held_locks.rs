//! The locks that a running job holds, and what is told of them.

use matou_i18n::{Text, both};
use std::sync::Arc;
use std::time::Duration;

use futures_util::future::join_all;
use tokio::sync::mpsc;

use super::event::{EventSink, JobEvent};
use super::lock::{JobLock, LockError, LockRequest, run_under_locks};
use super::redactor::Redactor;
use matou_base::text::SafeText;
use matou_host::OutputStream;

/// The step that lines about locks belong to.
const LOCK_STEP: Text = both!("lock");

/// Locks of one job; dropping gives them back.
pub struct HeldLocks {
    locks: Vec<Arc<JobLock>>,
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
                Ok(lock) => self.locks.push(Arc::new(lock)),
                Err(why) => failed.push((node, self.redactor.redact(&why.to_string()))),
            }
        }
        failed
    }

    /// The locks without which the job must not go on.
    pub fn fence(&self) -> LockFence {
        let binding = self.locks.iter().filter(|l| l.is_binding());
        LockFence {
            locks: binding.cloned().collect(),
            out: None,
        }
    }

    /// Takes locks again that were lost before the job began, if nobody else had them; sends that they are
    /// asked for.
    ///
    /// # Errors
    /// [`LockError::Lost`].
    pub(super) async fn ensure_held(
        &mut self,
        title: &str,
        events: &mpsc::Sender<JobEvent>,
    ) -> Result<(), LockError> {
        let fence = self.fence();
        let Some(lost) = fence.locks.iter().find(|l| l.is_lost()) else {
            return Ok(());
        };
        self.send_started(title, events).await;
        let (step, redactor) = (LOCK_STEP.to_string(), self.redactor.clone());
        let out = EventSink::new(lost.host_name(), &step, redactor, events.clone());
        fence.with_output(out).run_until_lost(async {}).await
    }

    /// Returns a sentence when such a lock is lost.
    pub(super) fn loss_reason(&self) -> Option<String> {
        let fence = self.fence();
        let lost = fence.locks.iter().find(|l| l.is_lost());
        lost.map(|lock| lock.loss_reason())
    }

    /// Gives all back, and waits until they are.
    pub async fn release(self) {
        join_all(self.locks.iter().map(|lock| lock.release())).await;
    }
}

/// What a job may work under: locks that must be held. Work that goes on when the job was dropped keeps them until
/// it has ended.
#[derive(Clone, Default)]
pub struct LockFence {
    locks: Vec<Arc<JobLock>>,
    /// Who is told when one was lost and is asked for again.
    out: Option<EventSink>,
}

impl LockFence {
    /// Has a step tell what becomes of the locks.
    pub(super) fn with_output(self, out: EventSink) -> Self {
        Self {
            out: Some(out),
            ..self
        }
    }

    /// Does work as [`JobLock::run_until_lost`] does, under all of them.
    ///
    /// # Errors
    /// [`LockError::Lost`].
    pub async fn run_until_lost<T>(&self, work: impl Future<Output = T>) -> Result<T, LockError> {
        let locks = self.locks.iter().map(Arc::as_ref);
        run_under_locks(locks, self.out.as_ref(), work).await
    }
}

#[cfg(test)]
impl LockFence {
    /// One of a single lock.
    pub(crate) fn of(lock: &Arc<JobLock>) -> Self {
        Self {
            locks: vec![lock.clone()],
            out: None,
        }
    }
}
