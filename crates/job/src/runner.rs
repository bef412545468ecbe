//! Plans and runs jobs: stages one after another, nodes in parallel, steps in order.

use matou_i18n::tr;
use std::collections::BTreeMap;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use std::time::{Duration, Instant};

use futures_util::future::join_all;
use tokio::sync::mpsc;
use tokio_util::sync::CancellationToken;
use tracing::Instrument as _;

use super::check::{Check, StepError};
use super::context::StepContext;
use super::event::{EventSink, JobEvent, JobOutcome, send_job_event};
use super::held_locks::{HeldLocks, LockFence};
use super::journal::Journal;
use super::lock::{DEFAULT_LOCK_WAIT, LockName, LockRequest};
use super::output_tail::OutputTail;
use super::plan::{Confirm, NodePlan, Plan, StagePhase, StagePlan, StepPlan};
use super::step::Step;
use super::step_run::{run_bounded, run_step};
use matou_base::text::SafeText;
use matou_docker::{Docker, NodeHandle};
use matou_host::Host;

/// Something to do on the fleet.
pub struct Job {
    /// What it is, in a few words.
    pub title: String,
    /// What is asked before it runs.
    pub confirm: Confirm,
    /// Run one after another; a failure in one keeps the next from starting.
    pub stages: Vec<Stage>,
    /// A failure, or an open decision, stops its node only: the others go on through all stages.
    pub keep_going: bool,
    /// Locks of applications that are held from before the plan is compared to the end; nothing is
    /// done without them.
    pub holds: Vec<LockRequest>,
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

    /// Makes it a part of another job, which holds all the locks that this one would take.
    pub fn into_part(mut self) -> Self {
        self.lock = false;
        self.holds.clear();
        self
    }

    /// Returns the hosts to lock, by node; none when the job needs no lock.
    fn hosts_to_lock(&self) -> BTreeMap<&str, &Host> {
        let tracks = self.stages.iter().flat_map(|s| &s.tracks);
        tracks
            .filter(|_| self.lock)
            .map(|t| (t.node.as_str(), &t.host))
            .collect()
    }
}

/// Nodes that are worked on in parallel.
pub struct Stage {
    /// What the stage's steps do together.
    pub title: String,
    /// The part of a recovery or a move that it belongs to.
    pub phase: StagePhase,
    /// Worked on at the same time.
    pub tracks: Vec<Track>,
}

impl Stage {
    /// Makes a stage of one node's steps, with no phase of its own.
    pub fn on_node(title: impl Into<String>, node: &NodeHandle, steps: Vec<Box<dyn Step>>) -> Self {
        Self {
            title: title.into(),
            phase: StagePhase::default(),
            tracks: vec![Track::on_node(node, steps)],
        }
    }
}

/// The steps of one node, in order; a failure ends this track only.
pub struct Track {
    /// The node's name.
    pub node: String,
    /// Runs commands on the node.
    pub host: Host,
    /// The node's engine.
    pub docker: Docker,
    /// In the order in which they run.
    pub steps: Vec<Box<dyn Step>>,
}

impl Track {
    /// Makes the track of a node of the fleet.
    pub fn on_node(node: &NodeHandle, steps: Vec<Box<dyn Step>>) -> Self {
        Self {
            node: node.config.name.clone(),
            host: node.host.clone(),
            docker: node.docker.clone(),
            steps,
        }
    }
}

/// Why a job was not run.
#[derive(Debug, thiserror::Error)]
pub enum RunError {
    /// The facts are no longer those the confirmed plan was made from.
    #[error("{}", tr!("the fleet changed since the plan was made"))]
    PlanChanged(Box<Plan>),
    /// A lock could not be taken: nothing was done. All events were sent, the last one too.
    #[error("{0:?}")]
    NotLocked(JobOutcome),
    /// The job can't be built any more, and why.
    #[error("{0}")]
    NotBuilt(Box<dyn std::error::Error + Send + Sync>),
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
    /// Makes a runner that writes to a journal.
    pub fn new(journal: Journal) -> Self {
        Self {
            journal,
            wait: Arc::new(AtomicU64::new(DEFAULT_LOCK_WAIT.as_secs())),
            unlocked: Arc::default(),
        }
    }

    /// Returns how long a lock is waited for that somebody else holds.
    pub fn lock_wait(&self) -> Duration {
        Duration::from_secs(self.wait.load(Ordering::Relaxed))
    }

    /// Sets [`Runner::lock_wait`] for this runner and its clones.
    pub fn set_lock_wait(&self, wait: Duration) {
        self.wait.store(wait.as_secs(), Ordering::Relaxed);
    }

    /// Takes no lock of an application from now on: the node that keeps them can't be reached.
    pub fn go_without_locks(&self) {
        self.unlocked.store(true, Ordering::Relaxed);
    }

    /// Whether [`Runner::go_without_locks`] was called.
    pub fn goes_without_locks(&self) -> bool {
        self.unlocked.load(Ordering::Relaxed)
    }

    /// What the job would do. Changes nothing.
    pub async fn plan(&self, job: &Job) -> Plan {
        // Nobody listens to the lines of a check.
        let (events, _) = mpsc::channel(1);
        self.plan_with_events(job, &events, &CancellationToken::new())
            .await
    }

    /// A job in the program's own log.
    fn job_span(&self, job: &Job) -> tracing::Span {
        tracing::info_span!(
            "job",
            title = ?self.journal.redactor().redact(&job.title),
            holds = ?job.holds.iter().flat_map(|h| &h.names).collect::<Vec<_>>(),
        )
    }

    /// A step in the program's own log.
    fn step_span(&self, track: &Track, index: usize, name: &str) -> tracing::Span {
        let redactor = self.journal.redactor();
        tracing::info_span!("step", node = ?track.node, index, name = ?redactor.redact(name))
    }

    /// Plans the job, and logs what was found.
    async fn plan_with_events(
        &self,
        job: &Job,
        events: &mpsc::Sender<JobEvent>,
        cancel: &CancellationToken,
    ) -> Plan {
        let begun = Instant::now();
        let span = self.job_span(job);
        let planning = self.check_steps(job, events, cancel);
        let plan = planning.instrument(span.clone()).await;
        span.in_scope(|| {
            tracing::info!(
                steps = plan.steps().count(),
                changes = plan.changes().count(),
                blocked = plan.blocked_reason().is_some(),
                ms = begun.elapsed().as_millis(),
                "planned"
            );
        });
        plan
    }

    async fn check_steps(
        &self,
        job: &Job,
        events: &mpsc::Sender<JobEvent>,
        cancel: &CancellationToken,
    ) -> Plan {
        if let Some(forget) = &job.forget {
            forget();
        }
        let mut stages = Vec::with_capacity(job.stages.len());
        for stage in &job.stages {
            let nodes = stage.tracks.iter().map(|track| async {
                let mut steps = Vec::with_capacity(track.steps.len());
                for (index, step) in track.steps.iter().enumerate() {
                    let cx = self.step_context(track, step.as_ref(), events, cancel);
                    let cx = cx.until_step_ends();
                    let check = run_bounded(step.as_ref(), &cx.cancel, step.check(&cx))
                        .instrument(self.step_span(track, index, &step.name()))
                        .await;
                    steps.push(StepPlan {
                        step: step.name(),
                        unreachable: check.as_ref().is_err_and(StepError::is_unreachable),
                        check: check
                            .map(make_check_safe)
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
                phase: stage.phase,
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

    /// Runs the job. What happens is sent to `events`, [`JobEvent::Finished`] last.
    ///
    /// # Errors
    /// [`RunError::PlanChanged`] when `confirmed` is the hash of a plan that would be another now:
    /// nothing was changed. No event was sent, unless there was a lock to wait for.
    pub async fn run(
        &self,
        job: &Job,
        confirmed: Option<&str>,
        events: mpsc::Sender<JobEvent>,
        cancel: CancellationToken,
    ) -> Result<JobOutcome, RunError> {
        let held = self
            .take_locks(&job.holds, &job.title, &events, &cancel)
            .await;
        let held = match held {
            Ok(held) => held,
            Err(RunError::NotLocked(outcome)) => return Ok(outcome),
            Err(e) => return Err(e),
        };
        self.run_with_locks(job, held, confirmed, events, cancel)
            .await
    }

    /// Takes the locks that a job needs, before its final plan: what the job was built from may
    /// change until they are held. Sends events when there is somebody to wait for.
    ///
    /// # Errors
    /// [`RunError::NotLocked`], with the end of the job.
    pub async fn take_locks(
        &self,
        holds: &[LockRequest],
        title: &str,
        events: &mpsc::Sender<JobEvent>,
        cancel: &CancellationToken,
    ) -> Result<HeldLocks, RunError> {
        let begun = Instant::now();
        let mut held = HeldLocks::new(self.journal.redactor().clone());
        let unlocked = self.goes_without_locks();
        let wanted = |h: &&LockRequest| !unlocked && !h.names.is_empty();
        for hold in holds.iter().filter(wanted) {
            let taking = held.take_locks(hold, title, self.lock_wait(), events);
            let why = match cancel.run_until_cancelled(taking).await {
                Some(None) => continue,
                Some(Some(why)) => Some(why),
                None => None,
            };
            held.send_started(title, events).await;
            let outcome = match why {
                Some(reason) => {
                    held.send_refused(hold.host.name(), &reason, events).await;
                    JobOutcome::Failed {
                        reason: reason.into(),
                    }
                }
                None => JobOutcome::Cancelled,
            };
            held.release().await;
            self.journal.record_job_started(title, "");
            self.finish_job(title, begun, &outcome, events).await;
            return Err(RunError::NotLocked(outcome));
        }
        Ok(held)
    }

    /// Runs a job as [`Runner::run`] does, with locks that are held already. They are given back at
    /// the end.
    ///
    /// # Errors
    /// Those of [`Runner::run`].
    pub async fn run_with_locks(
        &self,
        job: &Job,
        mut held: HeldLocks,
        confirmed: Option<&str>,
        events: mpsc::Sender<JobEvent>,
        cancel: CancellationToken,
    ) -> Result<JobOutcome, RunError> {
        let begun = Instant::now();
        let mut failed = BTreeMap::new();
        for (node, why) in self.lock_hosts(job, &mut held, &events, &cancel).await {
            failed.insert(node, why);
        }
        let plan = self.plan_with_events(job, &events, &cancel).await;
        let hash = plan.hash();
        // A machine that slept until now would take what another did meanwhile for its own beginning.
        if let Err(loss) = held.ensure_held(&job.title, &events).await {
            let reason = loss.to_string().into();
            let outcome = JobOutcome::Failed { reason };
            self.journal.record_job_started(&job.title, &hash);
            held.send_started(&job.title, &events).await;
            held.release().await;
            self.finish_job(&job.title, begun, &outcome, &events).await;
            return Ok(outcome);
        }
        if confirmed.is_some_and(|confirmed| confirmed != hash) && !cancel.is_cancelled() {
            if held.has_sent_events() {
                let outcome = JobOutcome::Failed {
                    reason: tr!(
                        "the fleet changed meanwhile: nothing was done, and there is a new plan"
                    )
                    .into(),
                };
                self.finish_job(&job.title, begun, &outcome, &events).await;
            }
            held.release().await;
            return Err(RunError::PlanChanged(Box::new(plan)));
        }
        self.journal.record_job_started(&job.title, &hash);
        held.send_started(&job.title, &events).await;
        for (node, why) in &failed {
            held.send_refused(node, why, &events).await;
        }
        let mut output = Vec::new();
        let outcome = match plan.blocked_reason() {
            _ if cancel.is_cancelled() => JobOutcome::Cancelled,
            Some(reason) => JobOutcome::Failed {
                reason: reason.into(),
            },
            None => {
                let (sender, tail) = OutputTail::tee(events.clone());
                let outcome = self
                    .run_stages(job, failed, &held, &sender, &cancel)
                    .instrument(self.job_span(job))
                    .await;
                output = tail.end().await;
                outcome
            }
        };
        held.release().await;
        self.journal.record_job_output(&job.title, &output);
        self.finish_job(&job.title, begun, &outcome, &events).await;
        Ok(outcome)
    }

    /// Gives back the locks of a job that can't be built any more.
    ///
    /// # Errors
    /// Always [`RunError::NotBuilt`], with the reason. If a start was sent, an end is sent too.
    pub async fn abandon_job(
        &self,
        held: HeldLocks,
        title: &str,
        reason: impl Into<Box<dyn std::error::Error + Send + Sync>>,
        events: &mpsc::Sender<JobEvent>,
    ) -> Result<JobOutcome, RunError> {
        // On a machine that slept it is the reason of the other one.
        let reason = held.loss_reason().map_or_else(|| reason.into(), Into::into);
        if held.has_sent_events() {
            let outcome = JobOutcome::Failed {
                reason: reason.to_string().into(),
            };
            self.finish_job(title, Instant::now(), &outcome, events)
                .await;
        }
        held.release().await;
        Err(RunError::NotBuilt(reason))
    }

    async fn finish_job(
        &self,
        title: &str,
        begun: Instant,
        outcome: &JobOutcome,
        events: &mpsc::Sender<JobEvent>,
    ) {
        let took = begun.elapsed();
        tracing::info!(
            title = ?self.journal.redactor().redact(title),
            result = match outcome {
                JobOutcome::Done { .. } => "done",
                JobOutcome::Failed { .. } => "failed",
                JobOutcome::Cancelled => "cancelled",
            },
            ms = took.as_millis(),
            "job ended"
        );
        self.journal.record_job_finished(title, took, outcome);
        let finished = JobEvent::Finished {
            outcome: outcome.clone(),
            took,
        };
        send_job_event(events, finished).await;
    }

    async fn run_stages(
        &self,
        job: &Job,
        mut failed: BTreeMap<String, String>,
        held: &HeldLocks,
        events: &mpsc::Sender<JobEvent>,
        cancel: &CancellationToken,
    ) -> JobOutcome {
        let locked = failed.is_empty() || (job.keep_going && !job.lock_all);
        let changed = match locked {
            true => {
                self.run_locked_stages(job, held, events, cancel, &mut failed)
                    .await
            }
            false => 0,
        };
        if cancel.is_cancelled() {
            return JobOutcome::Cancelled;
        }
        if let Some(reason) = held.loss_reason().filter(|_| !failed.is_empty()) {
            return JobOutcome::Failed {
                reason: reason.into(),
            };
        }
        if failed.is_empty() {
            return JobOutcome::Done { changed };
        }
        let reasons: Vec<String> = match job.keep_going {
            true => failed
                .iter()
                .map(|(n, why)| format!("{n}: {why}"))
                .collect(),
            false => failed.into_values().collect(),
        };
        let reason = reasons.join("; ").into();
        JobOutcome::Failed { reason }
    }

    /// Locks every node of a job that wants it. Returns the nodes that can't be locked, and why.
    async fn lock_hosts(
        &self,
        job: &Job,
        held: &mut HeldLocks,
        events: &mpsc::Sender<JobEvent>,
        cancel: &CancellationToken,
    ) -> Vec<(String, String)> {
        let holds = job.hosts_to_lock().into_iter().map(|(node, host)| {
            let hold = LockRequest {
                host: host.clone(),
                names: vec![LockName::Host],
            };
            (node.to_owned(), hold)
        });
        let taking =
            held.take_locks_of_hosts(holds.collect(), &job.title, self.lock_wait(), events);
        cancel.run_until_cancelled(taking).await.unwrap_or_default()
    }

    /// Runs the stages, under locks. Returns how many steps changed something; failures go to
    /// `failed`, by node.
    async fn run_locked_stages(
        &self,
        job: &Job,
        held: &HeldLocks,
        events: &mpsc::Sender<JobEvent>,
        cancel: &CancellationToken,
        failed: &mut BTreeMap<String, String>,
    ) -> usize {
        let mut changed = 0;
        let tracks = job.stages.iter().flat_map(|stage| &stage.tracks);
        let count = tracks.map(|track| track.steps.len()).sum();
        send_job_event(events, JobEvent::Steps { count }).await;
        for stage in &job.stages {
            let tracks: Vec<&Track> = stage
                .tracks
                .iter()
                .filter(|t| !failed.contains_key(&t.node))
                .collect();
            let running = tracks
                .iter()
                .map(|track| self.run_track(track, held, events, cancel));
            for (track, result) in tracks.iter().zip(join_all(running).await) {
                match result {
                    Ok(n) => changed += n,
                    Err(reason) => {
                        failed.insert(track.node.clone(), reason.into());
                    }
                }
            }
            if cancel.is_cancelled() || (!failed.is_empty() && !job.keep_going) {
                break;
            }
        }
        changed
    }

    /// Runs a node's steps, one after another. Returns how many changed something.
    async fn run_track(
        &self,
        track: &Track,
        held: &HeldLocks,
        events: &mpsc::Sender<JobEvent>,
        cancel: &CancellationToken,
    ) -> Result<usize, SafeText> {
        let mut changed = 0;
        let mut failures = Vec::new();
        for (index, step) in track.steps.iter().enumerate() {
            let (node, name) = (track.node.clone(), step.name());
            send_job_event(
                events,
                JobEvent::StepStarted {
                    node: node.clone(),
                    step: name.clone(),
                },
            )
            .await;
            let mut cx = self.step_context(track, step.as_ref(), events, cancel);
            cx.fence = held.fence().with_output(cx.out.clone());
            let begun = Instant::now();
            let span = self.step_span(track, index, &name);
            let ran = run_step(step.as_ref(), &cx);
            let ran = ran.instrument(span.clone()).await;
            let ms = begun.elapsed().as_millis();
            span.in_scope(|| match &ran {
                Ok(changed) => tracing::info!(result = "done", changed, ms, "ended"),
                Err(StepError::Cancelled) => tracing::info!(result = "cancelled", ms, "ended"),
                Err(_) => tracing::info!(result = "failed", ms, "ended"),
            });
            match ran {
                Ok(did) => {
                    changed += usize::from(did);
                    send_job_event(
                        events,
                        JobEvent::StepDone {
                            node,
                            step: name,
                            changed: did,
                            took: begun.elapsed(),
                        },
                    )
                    .await;
                }
                Err(e) => {
                    let error = matou_base::text::clean_lines(&e.to_string());
                    let error = self.journal.redactor().redact(&error);
                    let reason = format!("{name}: {error}");
                    send_job_event(
                        events,
                        JobEvent::StepFailed {
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
            false => Err(SafeText::from(failures.join("; "))),
        }
    }

    fn step_context(
        &self,
        track: &Track,
        step: &dyn Step,
        events: &mpsc::Sender<JobEvent>,
        cancel: &CancellationToken,
    ) -> StepContext {
        let redactor = self.journal.redactor().clone();
        StepContext {
            node: track.node.clone(),
            host: track.host.clone(),
            docker: track.docker.clone(),
            out: EventSink::new(&track.node, &step.name(), redactor, events.clone()),
            cancel: cancel.clone(),
            fence: LockFence::default(),
        }
    }
}

/// Makes safe what an unknown check says it waits for; the lines of others are safe already.
fn make_check_safe(check: Check) -> Check {
    match check {
        Check::Unknown(why) => Check::Unknown(matou_base::text::SafeText::from(why).into()),
        found => found,
    }
}
