//! The locks that a running job holds, and what is told of them.

use std::future::pending;
use std::time::Duration;

use futures_util::future::{join_all, select_all};
use tokio::sync::mpsc;

use super::event::Event;
use super::journal::Redactor;
use super::lock::{Hold, Lock};
use crate::host::Stream;
use crate::text::Shown;

/// The step that lines about locks belong to.
const STEP: &str = "lock";

/// Locks of one job; dropping gives them back.
pub struct Held {
    locks: Vec<Lock>,
    redactor: Redactor,
    /// The job's first event was sent.
    told: bool,
}

impl Held {
    pub(super) fn new(redactor: Redactor) -> Self {
        Self {
            locks: Vec::new(),
            redactor,
            told: false,
        }
    }

    /// Whether anything is held: what the job was built from may have changed until it was.
    pub fn is_any(&self) -> bool {
        !self.locks.is_empty()
    }

    /// Whether events were sent: somebody had to be waited for.
    pub fn has_told(&self) -> bool {
        self.told
    }

    /// Tells once that the job has started.
    pub(super) async fn started(&mut self, title: &str, events: &mpsc::Sender<Event>) {
        if !std::mem::replace(&mut self.told, true) {
            let title = title.into();
            let _ = events.send(Event::Started { title }).await;
        }
    }

    /// Tells that a lock was not had.
    pub(super) async fn refused(&self, node: &str, why: &str, events: &mpsc::Sender<Event>) {
        let event = Event::StepFailed {
            node: node.to_owned(),
            step: STEP.into(),
            error: self.redactor.redact(why).into(),
            took: Duration::ZERO,
        };
        let _ = events.send(event).await;
    }

    /// Takes locks of one host, and tells when they are waited for.
    pub(super) async fn take(
        &mut self,
        hold: &Hold,
        title: &str,
        wait: Duration,
        events: &mpsc::Sender<Event>,
    ) -> Result<(), String> {
        let node = hold.host.name().to_owned();
        let holds = vec![(node, hold.clone())];
        match self.take_each(holds, title, wait, events).await.pop() {
            None => Ok(()),
            Some((_, why)) => Err(why),
        }
    }

    /// The same for several hosts, at once; answers with those that can't be locked, and why.
    pub(super) async fn take_each(
        &mut self,
        holds: Vec<(String, Hold)>,
        title: &str,
        wait: Duration,
        events: &mpsc::Sender<Event>,
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
                let taking = async move { Lock::take(&hold, title, wait, &told).await };
                let (lock, ()) = tokio::join!(taking, forward);
                (node, lock)
            }
        });
        let taking = join_all(taking.collect::<Vec<_>>());
        drop(said);
        let telling = async {
            while let Some((node, line)) = arriving.recv().await {
                self.started(title, events).await;
                let event = Event::Line {
                    node,
                    step: STEP.into(),
                    stream: Stream::Note,
                    text: Shown::line(self.redactor.redact(&line)),
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

    fn binding(&self) -> impl Iterator<Item = &Lock> {
        self.locks.iter().filter(|l| l.binds())
    }

    /// Ends when a lock is lost that the job does not go on without.
    pub(super) async fn lost(&self) {
        let lost: Vec<_> = self
            .binding()
            .map(|l| Box::pin(l.lost().cancelled()))
            .collect();
        match lost.is_empty() {
            true => pending().await,
            false => {
                select_all(lost).await;
            }
        }
    }

    /// What to tell when such a lock is lost.
    pub(super) fn loss(&self) -> Option<String> {
        self.binding().find(|l| l.is_lost()).map(Lock::loss)
    }

    /// Gives all back, and waits until they are.
    pub async fn release(mut self) {
        join_all(self.locks.drain(..).map(Lock::release)).await;
    }
}
