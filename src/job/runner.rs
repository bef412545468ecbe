//! Plans and runs jobs: stages one after another, nodes in parallel, steps in order.

use std::collections::BTreeMap;
use std::panic::AssertUnwindSafe;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use std::time::{Duration, Instant};

use futures_util::FutureExt;
use futures_util::future::join_all;
use tokio::sync::mpsc;
use tokio_util::sync::CancellationToken;

use super::event::{Event, EventSink, Outcome};
use super::held::Held;
use super::journal::Journal;
use super::lock::{Hold, LockName, PATIENCE};
use super::plan::{Confirm, NodePlan, Plan, StagePlan, StepPlan};
use super::step::{Change, ChangeKind, Check, Cx, Step, StepError};
use crate::docker::Docker;
use crate::host::Host;

/// Something to do on the fleet.
pub struct Job {
    pub title: String,
    pub confirm: Confirm,
    /// Run one after another; a failure in one keeps the next from starting.
    pub stages: Vec<Stage>,
    /// A failure, or an open decision, stops its node only: the others go on through all stages.
    pub keep_going: bool,
    /// Locks of applications that are held from before the plan is compared to the end; nothing is
    /// done without them.
    pub holds: Vec<Hold>,
    /// Holds a lock on every node while it runs, so that two operators don't work on one.
    pub lock: bool,
    /// Nothing is done unless every node could be locked: steps work on other nodes than their own.
    pub lock_all: bool,
    /// Called before every plan: facts that were kept from an older one are of no use.
    pub forget: Option<Box<dyn Fn() + Send + Sync>>,
}

impl Job {
    /// A job that stops at the first failure and needs no lock.
    pub fn new(title: impl Into<String>, confirm: Confirm, stages: Vec<Stage>) -> Self {
        Self {
            title: title.into(),
            confirm,
            stages,
            keep_going: false,
            holds: Vec::new(),
            lock: false,
            lock_all: false,
            forget: None,
        }
    }

    /// Makes it a part of another job, which holds all locks that this one would take.
    pub fn inside(mut self) -> Self {
        self.lock = false;
        self.holds.clear();
        self
    }

    /// A lock for each node, for those that are wanted.
    fn hosts(&self) -> BTreeMap<&str, &Host> {
        let tracks = self.stages.iter().flat_map(|s| &s.tracks);
        tracks
            .filter(|_| self.lock)
            .map(|t| (t.node.as_str(), &t.host))
            .collect()
    }
}

/// Nodes that are worked on in parallel.
pub struct Stage {
    pub title: String,
    pub tracks: Vec<Track>,
}

/// The steps of one node, in order; a failure ends this track only.
pub struct Track {
    pub node: String,
    pub host: Host,
    pub docker: Docker,
    pub steps: Vec<Box<dyn Step>>,
}

/// Why a job was not run.
#[derive(Debug, thiserror::Error)]
pub enum RunError {
    /// The facts are no longer those the confirmed plan was made from.
    #[error("the fleet changed since the plan was made")]
    PlanChanged(Box<Plan>),
    /// A lock was not had: nothing was done. The events told it, the last one as well.
    #[error("{0:?}")]
    NotLocked(Outcome),
    /// It can't be made any more, and why.
    #[error("{0}")]
    NotBuilt(String),
}

/// Plans and runs jobs, and remembers them in the journal. Cheap to clone.
#[derive(Clone)]
pub struct Runner {
    journal: Journal,
    /// Seconds.
    wait: Arc<AtomicU64>,
    unlocked: Arc<AtomicBool>,
}

impl Runner {
    pub fn new(journal: Journal) -> Self {
        Self {
            journal,
            wait: Arc::new(AtomicU64::new(PATIENCE.as_secs())),
            unlocked: Arc::default(),
        }
    }

    /// How long a lock is waited for that somebody else holds.
    pub fn wait(&self) -> Duration {
        Duration::from_secs(self.wait.load(Ordering::Relaxed))
    }

    /// Sets [`Runner::wait`] for this one and its clones.
    pub fn set_wait(&self, wait: Duration) {
        self.wait.store(wait.as_secs(), Ordering::Relaxed);
    }

    /// From now on no lock of an application is taken: where they are can't be reached.
    pub fn go_without_locks(&self) {
        self.unlocked.store(true, Ordering::Relaxed);
    }

    /// Whether [`Runner::go_without_locks`] was said.
    pub fn goes_without_locks(&self) -> bool {
        self.unlocked.load(Ordering::Relaxed)
    }

    /// What the job would do. Changes nothing.
    pub async fn plan(&self, job: &Job) -> Plan {
        // Nobody listens to the lines of a check.
        let (events, _) = mpsc::channel(1);
        self.plan_with(job, &events, &CancellationToken::new())
            .await
    }

    async fn plan_with(
        &self,
        job: &Job,
        events: &mpsc::Sender<Event>,
        cancel: &CancellationToken,
    ) -> Plan {
        if let Some(forget) = &job.forget {
            forget();
        }
        let mut stages = Vec::with_capacity(job.stages.len());
        for stage in &job.stages {
            let nodes = stage.tracks.iter().map(|track| async {
                let mut steps = Vec::with_capacity(track.steps.len());
                for step in &track.steps {
                    let cx = self.cx(track, step.as_ref(), events, cancel);
                    let check = guarded(step.as_ref(), cancel, step.check(&cx)).await;
                    steps.push(StepPlan {
                        step: step.name(),
                        check: check
                            .map(shown)
                            .map_err(|e| self.journal.redactor().redact(&e.to_string()).into()),
                    });
                }
                NodePlan {
                    node: track.node.clone(),
                    steps,
                }
            });
            stages.push(StagePlan {
                title: stage.title.clone(),
                nodes: join_all(nodes).await,
            });
        }
        Plan {
            title: job.title.clone(),
            confirm: job.confirm.clone(),
            stages,
            keep_going: job.keep_going,
        }
    }

    /// Runs the job. What happens is told to `events`, [`Event::Finished`] last.
    ///
    /// # Errors
    /// [`RunError::PlanChanged`] when `confirmed` is the hash of a plan that would be another now;
    /// nothing was changed. No event was sent, unless there was a lock to wait for.
    pub async fn run(
        &self,
        job: &Job,
        confirmed: Option<&str>,
        events: mpsc::Sender<Event>,
        cancel: CancellationToken,
    ) -> Result<Outcome, RunError> {
        let held = self.hold(&job.holds, &job.title, &events, &cancel).await;
        let held = match held {
            Ok(held) => held,
            Err(RunError::NotLocked(outcome)) => return Ok(outcome),
            Err(e) => return Err(e),
        };
        self.run_held(job, held, confirmed, events, cancel).await
    }

    /// Takes the locks that a job needs, before it is planned for good: what it was built from may
    /// change until they are held. When there is something to wait for, that is told to `events`.
    ///
    /// # Errors
    /// [`RunError::NotLocked`], with the end of the job.
    pub async fn hold(
        &self,
        holds: &[Hold],
        title: &str,
        events: &mpsc::Sender<Event>,
        cancel: &CancellationToken,
    ) -> Result<Held, RunError> {
        let begun = Instant::now();
        let mut held = Held::new(self.journal.redactor().clone());
        let unlocked = self.goes_without_locks();
        let wanted = |h: &&Hold| !unlocked && !h.names.is_empty();
        for hold in holds.iter().filter(wanted) {
            let taking = held.take(hold, title, self.wait(), events);
            let why = match cancel.run_until_cancelled(taking).await {
                Some(Ok(())) => continue,
                Some(Err(why)) => Some(why),
                None => None,
            };
            held.started(title, events).await;
            let outcome = match why {
                Some(reason) => {
                    held.refused(hold.host.name(), &reason, events).await;
                    Outcome::Failed {
                        reason: reason.into(),
                    }
                }
                None => Outcome::Cancelled,
            };
            held.release().await;
            self.journal.job_started(title, "");
            self.finish(title, begun, &outcome, events).await;
            return Err(RunError::NotLocked(outcome));
        }
        Ok(held)
    }

    /// [`Runner::run`] with locks that are held already; they are given back in the end.
    ///
    /// # Errors
    /// As [`Runner::run`].
    pub async fn run_held(
        &self,
        job: &Job,
        mut held: Held,
        confirmed: Option<&str>,
        events: mpsc::Sender<Event>,
        cancel: CancellationToken,
    ) -> Result<Outcome, RunError> {
        let begun = Instant::now();
        let mut failed = BTreeMap::new();
        for (node, why) in self.lock_hosts(job, &mut held, &events, &cancel).await {
            failed.insert(node, why);
        }
        let plan = self.plan_with(job, &events, &cancel).await;
        let hash = plan.hash();
        // A machine that slept until now would take what another did meanwhile for its own beginning.
        if let Some(reason) = held.loss() {
            let reason = reason.into();
            let outcome = Outcome::Failed { reason };
            self.journal.job_started(&job.title, &hash);
            held.started(&job.title, &events).await;
            held.release().await;
            self.finish(&job.title, begun, &outcome, &events).await;
            return Ok(outcome);
        }
        if confirmed.is_some_and(|confirmed| confirmed != hash) && !cancel.is_cancelled() {
            if held.has_told() {
                let outcome = Outcome::Failed {
                    reason:
                        "the fleet changed meanwhile: nothing was done, and there is a new plan"
                            .into(),
                };
                self.finish(&job.title, begun, &outcome, &events).await;
            }
            held.release().await;
            return Err(RunError::PlanChanged(Box::new(plan)));
        }
        self.journal.job_started(&job.title, &hash);
        held.started(&job.title, &events).await;
        for (node, why) in &failed {
            held.refused(node, why, &events).await;
        }
        let outcome = match plan.blocked() {
            _ if cancel.is_cancelled() => Outcome::Cancelled,
            Some(reason) => Outcome::Failed {
                reason: reason.into(),
            },
            None => self.stages(job, failed, &held, &events, &cancel).await,
        };
        held.release().await;
        self.finish(&job.title, begun, &outcome, &events).await;
        Ok(outcome)
    }

    /// Gives locks back that a job does not need after all.
    ///
    /// # Errors
    /// Always [`RunError::NotBuilt`], with the reason; a job that was told to have started has ended.
    pub async fn give_up(
        &self,
        held: Held,
        title: &str,
        reason: String,
        events: &mpsc::Sender<Event>,
    ) -> Result<Outcome, RunError> {
        // On a machine that slept it is the reason of the other one.
        let reason = held.loss().unwrap_or(reason);
        if held.has_told() {
            let outcome = Outcome::Failed {
                reason: reason.clone().into(),
            };
            self.finish(title, Instant::now(), &outcome, events).await;
        }
        held.release().await;
        Err(RunError::NotBuilt(reason))
    }

    async fn finish(
        &self,
        title: &str,
        begun: Instant,
        outcome: &Outcome,
        events: &mpsc::Sender<Event>,
    ) {
        let took = begun.elapsed();
        self.journal.job_finished(title, took, outcome);
        let finished = Event::Finished {
            outcome: outcome.clone(),
            took,
        };
        send(events, finished).await;
    }

    async fn stages(
        &self,
        job: &Job,
        mut failed: BTreeMap<String, String>,
        held: &Held,
        events: &mpsc::Sender<Event>,
        cancel: &CancellationToken,
    ) -> Outcome {
        let locked = failed.is_empty() || (job.keep_going && !job.lock_all);
        // What is done without the lock may undo what somebody else does now.
        let going = cancel.child_token();
        let changed = match locked {
            true => {
                let work = self.stages_locked(job, held, events, &going, &mut failed);
                tokio::pin!(work);
                tokio::select! {
                    changed = &mut work => changed,
                    () = held.lost() => {
                        going.cancel();
                        work.await
                    }
                }
            }
            false => 0,
        };
        if cancel.is_cancelled() {
            return Outcome::Cancelled;
        }
        if let Some(reason) = held.loss() {
            return Outcome::Failed {
                reason: reason.into(),
            };
        }
        if failed.is_empty() {
            return Outcome::Done { changed };
        }
        let reasons: Vec<String> = match job.keep_going {
            true => failed
                .iter()
                .map(|(n, why)| format!("{n}: {why}"))
                .collect(),
            false => failed.into_values().collect(),
        };
        let reason = reasons.join("; ").into();
        Outcome::Failed { reason }
    }

    /// Locks every node of a job that wants it; answers with those that can't be locked.
    async fn lock_hosts(
        &self,
        job: &Job,
        held: &mut Held,
        events: &mpsc::Sender<Event>,
        cancel: &CancellationToken,
    ) -> Vec<(String, String)> {
        let holds = job.hosts().into_iter().map(|(node, host)| {
            let hold = Hold {
                host: host.clone(),
                names: vec![LockName::Host],
            };
            (node.to_owned(), hold)
        });
        let taking = held.take_each(holds.collect(), &job.title, self.wait(), events);
        cancel.run_until_cancelled(taking).await.unwrap_or_default()
    }

    /// Answers how many steps changed something; what failed is in `failed`, by node.
    async fn stages_locked(
        &self,
        job: &Job,
        held: &Held,
        events: &mpsc::Sender<Event>,
        cancel: &CancellationToken,
        failed: &mut BTreeMap<String, String>,
    ) -> usize {
        let mut changed = 0;
        for stage in &job.stages {
            let tracks: Vec<&Track> = stage
                .tracks
                .iter()
                .filter(|t| !failed.contains_key(&t.node))
                .collect();
            let running = tracks
                .iter()
                .map(|track| self.track(track, held, events, cancel));
            for (track, result) in tracks.iter().zip(join_all(running).await) {
                match result {
                    Ok(n) => changed += n,
                    Err(reason) => {
                        failed.insert(track.node.clone(), reason);
                    }
                }
            }
            if cancel.is_cancelled() || (!failed.is_empty() && !job.keep_going) {
                break;
            }
        }
        changed
    }

    /// Runs a node's steps; answers how many changed something.
    async fn track(
        &self,
        track: &Track,
        held: &Held,
        events: &mpsc::Sender<Event>,
        cancel: &CancellationToken,
    ) -> Result<usize, String> {
        let mut changed = 0;
        let mut failures = Vec::new();
        for step in &track.steps {
            if let Some(loss) = held.loss() {
                failures.push(loss);
                break;
            }
            let (node, name) = (track.node.clone(), step.name());
            send(
                events,
                Event::StepStarted {
                    node: node.clone(),
                    step: name.clone(),
                },
            )
            .await;
            let cx = self.cx(track, step.as_ref(), events, cancel);
            let begun = Instant::now();
            match one(step.as_ref(), &cx, held).await {
                Ok(did) => {
                    changed += usize::from(did);
                    send(
                        events,
                        Event::StepDone {
                            node,
                            step: name,
                            changed: did,
                            took: begun.elapsed(),
                        },
                    )
                    .await;
                }
                Err(e) => {
                    let error = crate::text::clean_lines(&e.to_string());
                    let error = self.journal.redactor().redact(&error);
                    let reason = format!("{name}: {error}");
                    send(
                        events,
                        Event::StepFailed {
                            node,
                            step: name,
                            error: error.into(),
                            took: begun.elapsed(),
                        },
                    )
                    .await;
                    failures.push(reason);
                    if !step.is_independent() || cx.cancel.is_cancelled() {
                        break;
                    }
                }
            }
        }
        match failures.is_empty() {
            true => Ok(changed),
            false => Err(failures.join("; ")),
        }
    }

    fn cx(
        &self,
        track: &Track,
        step: &dyn Step,
        events: &mpsc::Sender<Event>,
        cancel: &CancellationToken,
    ) -> Cx {
        let redactor = self.journal.redactor().clone();
        Cx {
            node: track.node.clone(),
            host: track.host.clone(),
            docker: track.docker.clone(),
            out: EventSink::new(&track.node, &step.name(), redactor, events.clone()),
            cancel: cancel.clone(),
        }
    }
}

/// What a step waits for is shown as well as what it found.
fn shown(check: Check) -> Check {
    match check {
        Check::Unknown(why) => Check::Unknown(crate::text::Shown::from(why).into()),
        found => found,
    }
}

fn decision(lines: &[Change]) -> Option<&Change> {
    lines.iter().find(|c| c.kind == ChangeKind::Decide)
}

/// Check, apply if needed, verify. Answers whether something was changed.
async fn one(step: &dyn Step, cx: &Cx, held: &Held) -> Result<bool, StepError> {
    match guarded(step, &cx.cancel, step.check(cx)).await? {
        Check::Done(_) => return Ok(false),
        // Found only now that the earlier steps have run: the plan could not ask for it.
        Check::Change(lines) => {
            if let Some(open) = decision(&lines) {
                return Err(StepError::failed(format!(
                    "{open}: decide, then run it again"
                )));
            }
        }
        Check::Unknown(_) => {}
    }
    // A machine that slept wakes here as well as anywhere.
    if let Some(loss) = held.loss() {
        return Err(StepError::failed(loss));
    }
    guarded(step, &cx.cancel, step.apply(cx)).await?;
    guarded(step, &cx.cancel, step.verify(cx)).await?;
    Ok(true)
}

/// Bounds a step's work in time, ends it when the job is cancelled, and makes an error of a panic.
///
/// A cancelled step is given time to end what it started on the node before it is dropped.
async fn guarded<T>(
    step: &dyn Step,
    cancel: &CancellationToken,
    work: impl Future<Output = Result<T, StepError>>,
) -> Result<T, StepError> {
    let (limit, clean_up) = (step.timeout(), step.clean_up());
    let work = AssertUnwindSafe(work).catch_unwind();
    tokio::pin!(work);
    let out_of_patience = async {
        cancel.cancelled().await;
        tokio::time::sleep(clean_up).await;
    };
    tokio::select! {
        done = &mut work => match done {
            Ok(result) if !cancel.is_cancelled() => result,
            Ok(_) => Err(StepError::Cancelled),
            Err(panic) => {
                let what = panic
                    .downcast_ref::<&str>()
                    .map(|s| (*s).to_owned())
                    .or_else(|| panic.downcast_ref::<String>().cloned())
                    .unwrap_or_default();
                Err(StepError::failed(format!("a bug in matou: {what}")))
            }
        },
        () = tokio::time::sleep(limit) => Err(StepError::failed(format!(
            "not done after {} s",
            limit.as_secs()
        ))),
        () = out_of_patience => Err(StepError::Cancelled),
    }
}

async fn send(events: &mpsc::Sender<Event>, event: Event) {
    // A job goes on when nobody looks any more.
    let _ = events.send(event).await;
}
