//! The runner with small real steps: files in a temporary folder, made by commands on this machine.

#[path = "support/load.rs"]
mod load;

use std::path::{Path, PathBuf};
use std::time::{Duration, Instant};

use async_trait::async_trait;
use matou::config::NodeConnection;
use matou::docker::Docker;
use matou::host::{Command, Host, HostOptions, OutputStream};
use matou::job::{
    Change, Check, Confirm, Job, JobEvent, JobOutcome, Journal, Plan, RunError, Runner, Stage,
    Step, StepContext, StepError, Track,
};
use secrecy::SecretString;
use tempfile::TempDir;
use tokio::sync::mpsc;
use tokio_util::sync::CancellationToken;

/// Wants a file to exist.
struct File(PathBuf);

#[async_trait]
impl Step for File {
    fn name(&self) -> String {
        format!("file {}", self.0.file_name().unwrap().display())
    }
    async fn check(&self, cx: &StepContext) -> Result<Check, StepError> {
        let path = self.0.display().to_string();
        let there = cx
            .host
            .run(&Command::new("test").args(["-e", &path]))
            .await?;
        Ok(match there.code {
            0 => Check::Done(vec![Change::same("the file")]),
            _ => Check::Change(vec![Change::add("the file")]),
        })
    }
    async fn apply(&self, cx: &StepContext) -> Result<(), StepError> {
        cx.out.note("now it is made, password hunter22").await;
        cx.out
            .send_line(OutputStream::Stdout, "\u{1b}[2Jcleared")
            .await;
        cx.out.send_progress(1, 2, "files").await;
        let path = self.0.display().to_string();
        cx.host.run_ok(&Command::new("touch").arg(path)).await?;
        Ok(())
    }
}

/// Misbehaves in one way.
enum Bad {
    Panics,
    Hangs,
    /// Begins, which the file says, and fails when it is cancelled.
    Stays(PathBuf),
    Forgets,
    Decides,
    Sleeps(PathBuf),
    /// Takes back what it began when it is ended.
    IsLate(PathBuf),
    /// Takes a second, and is well then.
    IsSlow(PathBuf),
}

#[async_trait]
impl Step for Bad {
    fn name(&self) -> String {
        "bad".into()
    }
    fn timeout(&self) -> Duration {
        match self {
            Self::Hangs | Self::IsLate(_) => Duration::from_millis(300),
            _ => Duration::from_secs(60),
        }
    }
    fn clean_up_limit(&self) -> Duration {
        match self {
            Self::Hangs => Duration::from_millis(300),
            _ => Duration::from_secs(8),
        }
    }
    async fn check(&self, cx: &StepContext) -> Result<Check, StepError> {
        Ok(match self {
            // What waits for an earlier step; asked for only while the job runs.
            Self::Decides
                if cx
                    .host
                    .run(&Command::new("test").args(["-e", &marker(cx)]))
                    .await?
                    .code
                    == 0 =>
            {
                Check::Change(vec![Change::decide("which of two disks")])
            }
            Self::Decides => Check::Unknown("the file".into()),
            Self::IsSlow(file) if exists(file) => Check::Done(Vec::new()),
            _ => Check::Change(vec![Change::add("trouble")]),
        })
    }
    async fn apply(&self, cx: &StepContext) -> Result<(), StepError> {
        match self {
            Self::Panics => panic!("oh no"),
            Self::Hangs => std::future::pending().await,
            Self::Stays(begun) => {
                std::fs::write(begun, "").expect("written");
                cx.cancel.cancelled().await;
                Err(StepError::failed("it can't be taken back"))
            }
            Self::Decides => panic!("an open decision was applied"),
            Self::Forgets => Ok(()),
            Self::IsSlow(file) => tokio::select! {
                () = cx.cancel.cancelled() => Err(StepError::Cancelled),
                () = tokio::time::sleep(Duration::from_secs(1)) => {
                    std::fs::write(file, "").expect("written");
                    Ok(())
                }
            },
            Self::IsLate(taken_back) => {
                cx.cancel.cancelled().await;
                tokio::time::sleep(Duration::from_millis(500)).await;
                std::fs::write(taken_back, "").expect("written");
                Err(StepError::Cancelled)
            }
            Self::Sleeps(pid) => {
                let script =
                    Command::sh("echo $$ >\"$1\"; sleep 300").arg(pid.display().to_string());
                let (lines, mut arriving) = mpsc::channel(4);
                let drain = async { while arriving.recv().await.is_some() {} };
                tokio::join!(cx.host.stream_lines(&script, lines, &cx.cancel), drain).0?;
                Ok(())
            }
        }
    }
}

fn marker(cx: &StepContext) -> String {
    cx.docker.host().name().to_owned()
}

struct World {
    dir: TempDir,
    runner: Runner,
    journal: Journal,
}

impl World {
    fn new() -> Self {
        let dir = tempfile::tempdir().unwrap();
        let journal = Journal::open(&dir.path().join("journal.jsonl")).unwrap();
        journal
            .redactor()
            .add_secret(SecretString::from("hunter22"));
        Self {
            runner: Runner::new(journal.clone()),
            journal,
            dir,
        }
    }
    fn path(&self, name: &str) -> PathBuf {
        self.dir.path().join(name)
    }
    /// The node is called `name`; [`Bad::Decides`] looks for a file of that name.
    fn track(&self, name: &str, steps: Vec<Box<dyn Step>>) -> Track {
        let options = HostOptions {
            docker_socket: "/nonexistent".into(),
            runtime_dir: self.dir.path().into(),
            recorder: Some(std::sync::Arc::new(self.journal.clone())),
        };
        let host = Host::new(name, &NodeConnection::Local, options);
        let docker = Docker::new(host.clone());
        Track {
            node: name.into(),
            host,
            docker,
            steps,
        }
    }
    fn file(&self, name: &str) -> Box<dyn Step> {
        Box::new(File(self.path(name)))
    }
    fn journal(&self) -> String {
        std::fs::read_to_string(self.path("journal.jsonl")).unwrap()
    }
    async fn run(&self, job: &Job) -> (JobOutcome, Vec<JobEvent>) {
        let (events, mut arriving) = mpsc::channel(1000);
        let outcome = self.runner.run(job, None, events, CancellationToken::new());
        let outcome = tokio::time::timeout(Duration::from_secs(30), outcome)
            .await
            .unwrap()
            .unwrap();
        let mut seen = Vec::new();
        while let Some(event) = arriving.recv().await {
            seen.push(event);
        }
        complete(&seen);
        (outcome, seen)
    }
}

/// Every step that started ended once, and `Finished` comes once and last.
fn complete(events: &[JobEvent]) {
    let mut open = Vec::new();
    for (i, event) in events.iter().enumerate() {
        match event {
            JobEvent::StepStarted { node, step } => open.push((node, step)),
            JobEvent::StepDone { node, step, .. } | JobEvent::StepFailed { node, step, .. } => {
                let at = open
                    .iter()
                    .position(|o| *o == (node, step))
                    .expect("not started");
                open.remove(at);
            }
            JobEvent::Finished { .. } => assert_eq!(i, events.len() - 1),
            _ => {}
        }
    }
    assert!(open.is_empty(), "{open:?}");
    assert!(
        matches!(events.last(), Some(JobEvent::Finished { .. })),
        "{events:?}"
    );
}

fn job(stages: Vec<Vec<Track>>) -> Job {
    let stages = stages.into_iter().enumerate();
    let stages = stages
        .map(|(i, tracks)| Stage {
            title: format!("stage {i}"),
            phase: matou::job::StagePhase::default(),
            tracks,
        })
        .collect();
    Job::new("make files", Confirm::Ask, stages)
}

fn exists(path: &Path) -> bool {
    path.exists()
}

#[tokio::test(flavor = "multi_thread")]
async fn a_plan_changes_nothing_and_the_second_run_neither() {
    let w = World::new();
    let job = job(vec![vec![
        w.track("n1", vec![w.file("a"), w.file("b")]),
        w.track("n2", vec![w.file("c")]),
    ]]);
    let plan: Plan = w.runner.plan(&job).await;
    assert_eq!(plan.changes().count(), 3);
    assert!(!exists(&w.path("a")) && !plan.is_done());
    assert_eq!(plan.hash(), w.runner.plan(&job).await.hash());

    let (outcome, events) = w.run(&job).await;
    assert_eq!(outcome, JobOutcome::Done { changed: 3 });
    assert!(["a", "b", "c"].iter().all(|f| exists(&w.path(f))));
    let lines: Vec<&str> = events
        .iter()
        .filter_map(|e| match e {
            JobEvent::Line { text, .. } => Some(text.as_str()),
            _ => None,
        })
        .collect();
    assert!(lines.contains(&"now it is made, password •••"), "{lines:?}");
    assert!(lines.contains(&"cleared"), "{lines:?}");

    assert_eq!(w.run(&job).await.0, JobOutcome::Done { changed: 0 });
    assert!(w.runner.plan(&job).await.is_done());
    let journal = w.journal();
    assert!(!journal.contains("hunter22"));
    let records: Vec<serde_json::Value> = journal
        .lines()
        .map(|l| serde_json::from_str(l).unwrap())
        .collect();
    let count = |kind: &str| records.iter().filter(|r| r["record"] == kind).count();
    assert_eq!((count("job_started"), count("job_finished")), (2, 2));
    assert!(
        records
            .iter()
            .any(|r| r["node"] == "n2" && r["command"].as_str().unwrap().starts_with("touch "))
    );
}

#[tokio::test(flavor = "multi_thread")]
async fn a_plan_that_no_longer_holds_is_not_run() {
    let w = World::new();
    let job = job(vec![vec![w.track("n1", vec![w.file("a"), w.file("b")])]]);
    let confirmed = w.runner.plan(&job).await.hash();
    std::fs::write(w.path("a"), "").unwrap();
    let (events, mut arriving) = mpsc::channel(100);
    let result = w
        .runner
        .run(&job, Some(&confirmed), events, CancellationToken::new())
        .await;
    let RunError::PlanChanged(plan) = result.unwrap_err() else {
        panic!("another error");
    };
    assert!(arriving.recv().await.is_none());
    assert!(!exists(&w.path("b")));
    let (events, _keep) = mpsc::channel(100);
    let again = w
        .runner
        .run(&job, Some(&plan.hash()), events, CancellationToken::new())
        .await;
    assert_eq!(again.unwrap(), JobOutcome::Done { changed: 1 });
}

#[tokio::test(flavor = "multi_thread")]
async fn a_failure_ends_its_node_and_the_later_stages_only() {
    for (bad, why) in [
        (Bad::Panics, "oh no"),
        (Bad::Hangs, "not done after"),
        (Bad::Forgets, "not as it should be afterwards"),
    ] {
        let w = World::new();
        let job = job(vec![
            vec![
                w.track("n1", vec![Box::new(bad), w.file("never")]),
                w.track("n2", vec![w.file("a"), w.file("b")]),
            ],
            vec![w.track("n2", vec![w.file("later")])],
        ]);
        let (outcome, events) = w.run(&job).await;
        let JobOutcome::Failed { reason } = outcome else {
            panic!("{outcome:?}")
        };
        assert!(reason.contains(why), "{reason}");
        assert!(exists(&w.path("a")) && exists(&w.path("b")));
        assert!(!exists(&w.path("never")) && !exists(&w.path("later")));
        assert_eq!(
            events
                .iter()
                .filter(|e| matches!(e, JobEvent::StepFailed { .. }))
                .count(),
            1
        );
    }
}

/// As one that is cancelled; and it alone is ended.
#[tokio::test(flavor = "multi_thread")]
async fn a_step_that_takes_too_long_takes_back_what_it_began() {
    let w = World::new();
    let late = Bad::IsLate(w.path("taken-back"));
    let slow = Bad::IsSlow(w.path("slow"));
    let job = job(vec![vec![
        w.track("n1", vec![Box::new(late), w.file("never")]),
        w.track("n2", vec![w.file("a"), Box::new(slow), w.file("b")]),
    ]]);
    let (outcome, _) = w.run(&job).await;
    let JobOutcome::Failed { reason } = outcome else {
        panic!("{outcome:?}")
    };
    assert!(reason.contains("not done after"), "{reason}");
    assert!(exists(&w.path("taken-back")) && exists(&w.path("b")));
    assert!(!exists(&w.path("never")));
}

#[tokio::test(flavor = "multi_thread")]
async fn a_decision_that_shows_only_on_the_way_is_not_taken_for_granted() {
    let w = World::new();
    let node = w.path("made-first").display().to_string();
    let job =
        job(vec![vec![w.track(
            &node,
            vec![w.file("made-first"), Box::new(Bad::Decides)],
        )]]);
    assert_eq!(w.runner.plan(&job).await.blocked_reason(), None);
    let (outcome, _) = w.run(&job).await;
    let JobOutcome::Failed { reason } = outcome else {
        panic!("{outcome:?}")
    };
    assert!(reason.contains("which of two disks"), "{reason}");
}

/// What it began is not taken back: the outcome alone would not say so.
#[tokio::test(flavor = "multi_thread")]
async fn work_that_fails_after_its_job_was_cancelled_says_why() {
    let w = World::new();
    let begun = w.path("begun");
    let stays = Bad::Stays(begun.clone());
    let job = job(vec![vec![w.track("n1", vec![Box::new(stays)])]]);
    let cancel = CancellationToken::new();
    let (events, mut arriving) = mpsc::channel(100);
    let stopper = async {
        while !exists(&begun) {
            tokio::time::sleep(Duration::from_millis(20)).await;
        }
        cancel.cancel();
    };
    let running = async { tokio::join!(w.runner.run(&job, None, events, cancel.clone()), stopper) };
    let (outcome, ()) = tokio::time::timeout(Duration::from_secs(60), running)
        .await
        .unwrap();
    assert_eq!(outcome.unwrap(), JobOutcome::Cancelled);
    let mut told = String::new();
    while let Some(event) = arriving.recv().await {
        if let JobEvent::Line { text, .. } = event {
            told += &text;
        }
    }
    assert!(
        told.contains("after it was cancelled: it can't be taken back"),
        "{told}"
    );
}

#[tokio::test(flavor = "multi_thread")]
async fn cancelling_ends_the_step_and_what_it_started() {
    let w = World::new();
    let pid = w.path("pid");
    let job = job(vec![vec![w.track(
        "n1",
        vec![Box::new(Bad::Sleeps(pid.clone())), w.file("never")],
    )]]);
    let cancel = CancellationToken::new();
    let (events, mut arriving) = mpsc::channel(100);
    let stopper = async {
        while std::fs::read_to_string(&pid)
            .unwrap_or_default()
            .trim()
            .is_empty()
        {
            tokio::time::sleep(Duration::from_millis(20)).await;
        }
        cancel.cancel();
        Instant::now()
    };
    let running = async { tokio::join!(w.runner.run(&job, None, events, cancel.clone()), stopper) };
    let (outcome, asked) = tokio::time::timeout(Duration::from_secs(60), running)
        .await
        .unwrap();
    assert_eq!(outcome.unwrap(), JobOutcome::Cancelled);
    assert!(
        asked.elapsed() < Duration::from_secs(4) * load::patience(),
        "{:?}",
        asked.elapsed()
    );
    let mut seen = Vec::new();
    while let Some(event) = arriving.recv().await {
        seen.push(event);
    }
    complete(&seen);
    let pid = std::fs::read_to_string(&pid).unwrap();
    assert!(!Path::new(&format!("/proc/{}", pid.trim())).exists());
    assert!(!exists(&w.path("never")));
    assert!(w.journal().contains("\"outcome\":\"cancelled\""));
}

#[tokio::test(flavor = "multi_thread")]
#[cfg_attr(
    not(feature = "fleet-tests"),
    ignore = "as root, by --features fleet-tests"
)]
async fn a_lock_is_waited_for_a_little_and_had_by_one() {
    let outcome = async |w: &World, job: &Job| {
        let (events, _arriving) = mpsc::channel(1000);
        let run = w.runner.run(job, None, events, CancellationToken::new());
        run.await.unwrap()
    };
    let w = World::new();
    // Somebody who is gone, as a console that was killed, when the input ends.
    let holder = "set -e; umask 077; mkdir -p /run/matou/locks; cd /run/matou/locks; \
        printf 'ana@laptop\\nprovision\\nnow\\n' >job-test; exec 8<job-test; flock 8; ln -sfn job-test host; echo >\"$1\"; read -r end || :";
    let mut other = std::process::Command::new("sh")
        .args(["-c", holder, "sh"])
        .arg(w.path("held"))
        .stdin(std::process::Stdio::piped())
        .spawn()
        .unwrap();
    while !exists(&w.path("held")) {
        tokio::time::sleep(Duration::from_millis(20)).await;
    }
    let mut one = job(vec![vec![w.track("n1", vec![w.file("a")])]]);
    one.lock = true;
    let (events, mut arriving) = mpsc::channel(1000);
    let run = w.runner.run(&one, None, events, CancellationToken::new());
    tokio::pin!(run);
    let told = async {
        loop {
            match arriving.recv().await {
                Some(JobEvent::Line { text, .. }) if text.contains("is in use by ana@laptop") => {
                    break;
                }
                Some(_) => {}
                None => panic!("nobody waited"),
            }
        }
        // Less than it would wait, and it looks every second.
        tokio::time::sleep(Duration::from_secs(2)).await;
    };
    tokio::select! {
        ended = &mut run => panic!("nobody waited: {ended:?}"),
        () = told => {}
    }
    assert!(!exists(&w.path("a")));
    drop(other.stdin.take());
    let ended = run.await.unwrap();
    assert!(
        matches!(ended, JobOutcome::Done { changed: 1 }),
        "{ended:?}"
    );
    other.wait().unwrap();

    // Two nodes that are one machine, which is locked once.
    for (lock_all, made) in [(false, 1), (true, 0)] {
        let w = World::new();
        let mut two = job(vec![vec![
            w.track("n1", vec![w.file("a")]),
            w.track("n2", vec![w.file("b")]),
        ]]);
        (two.lock, two.keep_going, two.lock_all) = (true, true, lock_all);
        let JobOutcome::Failed { reason } = outcome(&w, &two).await else {
            panic!("both were locked")
        };
        assert!(reason.contains("another matou works on n"), "{reason}");
        let there = ["a", "b"].iter().filter(|f| exists(&w.path(f))).count();
        assert_eq!(there, made);
    }
}
