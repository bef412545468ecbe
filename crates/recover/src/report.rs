//! What a recovery or a drill took and brought back: kept as JSON, and as Markdown for people.

use matou_i18n::tr;
use std::collections::BTreeMap;
use std::path::PathBuf;
use std::time::Duration;

use color_eyre::eyre::{Context as _, Result};
use jiff::Timestamp;
use serde::{Deserialize, Serialize};

use matou_base::text::{format_age, format_tenths, human_bytes};
use matou_config::{ensure_state_dir, state_path};
use matou_job::{JobEvent, JobOutcome, Plan, StagePhase};
use matou_model::Drill;
use matou_ops::recover::{AppResult, RecoveryFindings};

/// What a report is of.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum RecoveryKind {
    /// A fleet was rebuilt.
    Recovery,
    /// A recovery was tried on other servers.
    Drill,
    /// Applications moved to other servers.
    Move,
}

impl RecoveryKind {
    fn folder_name(self) -> &'static str {
        match self {
            Self::Recovery => "recoveries",
            Self::Drill => "drills",
            Self::Move => "moves",
        }
    }
}

/// A part of a recovery, and how long it took.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct RecoveryPhase {
    /// As the phase of a stage is named.
    pub name: String,
    /// From the start of its first step to the end of its last.
    pub millis: u64,
}

/// The report of a recovery, a drill or a move.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct RecoveryReport {
    /// What it is of.
    pub kind: RecoveryKind,
    /// The fleet's name.
    pub fleet: String,
    /// When the first step began.
    pub began: Timestamp,
    /// Recovery time: from the start to the last answer.
    pub millis: u64,
    /// In the order in which they began.
    pub phases: Vec<RecoveryPhase>,
    /// What became of each application.
    pub apps: BTreeMap<String, AppResult>,
    /// What the operator has to do.
    pub by_hand: Vec<String>,
    /// Why it failed; `None` when everything is back.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub failure: Option<String>,
}

/// Listens to the events of a job and tells its phases apart.
pub struct Timeline {
    began: std::time::Instant,
    /// Phase of each step, by node and step.
    stages: BTreeMap<(String, String), StagePhase>,
    running: BTreeMap<(String, String), Duration>,
    /// Start and end of each phase.
    phases: Vec<(StagePhase, Duration, Duration)>,
    outcome: Option<JobOutcome>,
}

impl Timeline {
    /// A timeline that begins now.
    pub fn new(plan: &Plan) -> Self {
        let mut stages = BTreeMap::new();
        for stage in &plan.stages {
            for node in &stage.nodes {
                for step in &node.steps {
                    let key = (node.node.clone(), step.step.clone());
                    stages.entry(key).or_insert(stage.phase);
                }
            }
        }
        Self {
            began: std::time::Instant::now(),
            stages,
            running: BTreeMap::new(),
            phases: Vec::new(),
            outcome: None,
        }
    }

    /// Takes note of an event.
    pub fn record_event(&mut self, event: &JobEvent) {
        let now = self.began.elapsed();
        match event {
            JobEvent::StepStarted { node, step } => {
                self.running.insert((node.clone(), step.clone()), now);
            }
            JobEvent::StepDone { node, step, .. } | JobEvent::StepFailed { node, step, .. } => {
                let key = (node.clone(), step.clone());
                let from = self.running.remove(&key).unwrap_or(now);
                let phase = self.stages.get(&key).copied();
                let phase = phase.unwrap_or(StagePhase::Checks);
                match self.phases.iter_mut().find(|(p, ..)| *p == phase) {
                    Some((_, begin, end)) => {
                        *begin = from.min(*begin);
                        *end = now.max(*end);
                    }
                    None => self.phases.push((phase, from, now)),
                }
            }
            JobEvent::Finished { outcome, .. } => self.outcome = Some(outcome.clone()),
            _ => {}
        }
    }

    /// Makes the report of the events so far.
    pub fn build_report(
        &self,
        kind: RecoveryKind,
        fleet: &str,
        findings: &RecoveryFindings,
    ) -> RecoveryReport {
        let took = self.began.elapsed();
        let failure = match &self.outcome {
            Some(JobOutcome::Done { .. }) => None,
            Some(JobOutcome::Failed { reason }) => Some(reason.to_string()),
            Some(JobOutcome::Cancelled) => Some(tr!("cancelled").into()),
            None => Some(tr!("it did not end").into()),
        };
        RecoveryReport {
            kind,
            fleet: fleet.to_owned(),
            began: Timestamp::now() - took,
            millis: took.as_millis() as u64,
            phases: self
                .phases
                .iter()
                .map(|(phase, from, to)| RecoveryPhase {
                    name: phase.name().to_owned(),
                    millis: to.saturating_sub(*from).as_millis() as u64,
                })
                .collect(),
            apps: findings.apps(),
            by_hand: findings.by_hand(),
            failure,
        }
    }
}

impl RecoveryReport {
    /// How many applications are back, and how many there are.
    pub fn count_apps(&self) -> (usize, usize) {
        let up = self.apps.values().filter(|a| a.up).count();
        (up, self.apps.len())
    }

    /// Returns the result in short, as the console shows it.
    pub fn summarize_drill(&self) -> Drill {
        let (up, all) = self.count_apps();
        Drill {
            at: self.began,
            took: Duration::from_millis(self.millis),
            up,
            all,
            problem: self.failure.clone(),
        }
    }

    /// Renders the report as Markdown, for people.
    pub fn render_markdown(&self) -> String {
        use std::fmt::Write as _;
        let mut text = String::new();
        let title = match self.kind {
            RecoveryKind::Recovery => tr!("Recovery"),
            RecoveryKind::Drill => tr!("Drill"),
            RecoveryKind::Move => tr!("Move"),
        };
        let (up, all) = self.count_apps();
        // Writing into a string does not fail.
        let _ = writeln!(text, "{}", tr!("# {title} of {}\n", self.fleet));
        let _ = writeln!(
            text,
            "{}",
            tr!(
                "- began: {}\n- took: {}\n- applications: {up} of {all} are back",
                self.began.strftime("%F %T UTC"),
                format_report_seconds(self.millis)
            )
        );
        let worst = self.apps.values().filter_map(|a| a.data_of).min();
        if let Some(oldest) = worst {
            let _ = writeln!(
                text,
                "{}",
                tr!(
                    "- oldest data: {} before the start ({})",
                    format_age(self.began, oldest),
                    oldest.strftime("%F %T UTC")
                )
            );
        }
        if let Some(reason) = &self.failure {
            let _ = writeln!(text, "{}", tr!("- **failed**: {reason}"));
        }
        let _ = writeln!(text, "{}", tr!("\n| phase | took |\n| --- | --- |"));
        for phase in &self.phases {
            let _ = writeln!(
                text,
                "| {} | {} |",
                phase.name,
                format_report_seconds(phase.millis)
            );
        }
        let _ = writeln!(
            text,
            "{}",
            tr!(
                "\n| application | is back | data of | size | snapshot |\n| --- | --- | --- | --- | --- |"
            )
        );
        for (name, app) in &self.apps {
            let back = match &app.failure {
                Some((_, reason)) => tr!("no: {}", reason.replace(['|', '\n'], " ")),
                None if app.up => tr!("yes").into(),
                None => tr!("no").into(),
            };
            let data = app
                .data_of
                .map_or_else(|| "–".into(), |t| t.strftime("%F %T UTC").to_string());
            let size = app.bytes.map_or_else(|| "–".into(), human_bytes);
            let id = app.snapshot.as_deref().unwrap_or("–");
            let id = id.get(..8).unwrap_or(id);
            let _ = writeln!(text, "| {name} | {back} | {data} | {size} | {id} |");
        }
        if !self.by_hand.is_empty() {
            let _ = writeln!(text, "{}", tr!("\nStill to do by hand:\n"));
            for line in &self.by_hand {
                let _ = writeln!(text, "- {line}");
            }
        }
        text
    }

    /// Saves the report in the state folder, as JSON and as Markdown. Returns the path of the
    /// Markdown.
    ///
    /// # Errors
    /// When it can't be written.
    pub fn save(&self) -> Result<PathBuf> {
        let dir = ensure_state_dir()?.join(self.kind.folder_name());
        // The name may come out of a repository.
        let plain = |c: char| {
            if c.is_ascii_alphanumeric() || "-_".contains(c) {
                c
            } else {
                '-'
            }
        };
        let fleet: String = self.fleet.chars().map(plain).collect();
        let name = format!("{fleet}-{}", self.began.strftime("%Y%m%dT%H%M%SZ"));
        let write = |extension: &str, text: String| {
            let path = dir.join(format!("{name}.{extension}"));
            matou_base::files::write_atomically(
                &path,
                text.as_bytes(),
                matou_base::files::PRIVATE_MODE,
            )
            .wrap_err_with(|| tr!("the report {} can't be written", path.display()))?;
            Ok::<_, color_eyre::Report>(path)
        };
        write("json", serde_json::to_string_pretty(self)? + "\n")?;
        write("md", self.render_markdown())
    }
}

fn format_report_seconds(millis: u64) -> String {
    format!("{} s", format_tenths(millis as f64 / 1000.0))
}

/// Lists the saved reports of a fleet, the newest first. One that can't be read is left out.
pub fn list_recovery_reports(kind: RecoveryKind, fleet: &str) -> Vec<RecoveryReport> {
    let Ok(state) = state_path() else {
        return Vec::new();
    };
    let entries = std::fs::read_dir(state.join(kind.folder_name()));
    let mut reports: Vec<RecoveryReport> = entries
        .into_iter()
        .flatten()
        .flatten()
        .filter(|e| e.path().extension().is_some_and(|x| x == "json"))
        .filter_map(|e| serde_json::from_slice(&std::fs::read(e.path()).ok()?).ok())
        .filter(|r: &RecoveryReport| r.fleet == fleet)
        .collect();
    reports.sort_by_key(|r| std::cmp::Reverse(r.began));
    reports
}

#[cfg(test)]
mod tests {
    use super::*;
    use matou_job::{Check, Confirm, NodePlan, StagePlan, StepPlan};

    fn report() -> RecoveryReport {
        let began = Timestamp::from_second(1_795_442_400).unwrap();
        let back = AppResult {
            snapshot: Some("0123456789abcdef".into()),
            data_of: Some(began - jiff::SignedDuration::from_hours(6)),
            bytes: Some(3 << 20),
            up: true,
            ..AppResult::default()
        };
        let lost = AppResult {
            failure: Some((
                matou_ops::recover::StuckAt::Restore,
                "no snapshot | holds it".into(),
            )),
            ..AppResult::default()
        };
        RecoveryReport {
            kind: RecoveryKind::Drill,
            fleet: "chaton".into(),
            began,
            millis: 722_000,
            phases: vec![RecoveryPhase {
                name: "restore".into(),
                millis: 61_500,
            }],
            apps: [("blog".to_owned(), back), ("shop".to_owned(), lost)].into(),
            by_hand: vec!["DNS: let blog.example.org lead to 203.0.113.7".into()],
            failure: Some("1 of 2 applications are not back".into()),
        }
    }

    #[test]
    fn a_report_says_what_took_how_long_and_what_is_missing() {
        let report = report();
        let text = report.render_markdown();
        for expected in [
            "# Drill of chaton",
            "- applications: 1 of 2 are back",
            "- oldest data: 6 h before the start",
            "| restore | 61.5 s |",
            "| blog | yes | 2026-11-23 08:00:00 UTC | 3.0 MiB | 01234567 |",
            "| shop | no: no snapshot   holds it |",
            "- DNS: let blog.example.org lead to 203.0.113.7",
        ] {
            assert!(text.contains(expected), "{expected:?} in\n{text}");
        }
        let now = report.began + jiff::SignedDuration::from_hours(145);
        assert_eq!(
            report.summarize_drill().summary_line(now),
            "12 min, 1 of 2 applications answered, 6 d ago"
        );
        let json = serde_json::to_string(&report).unwrap();
        assert_eq!(
            serde_json::from_str::<RecoveryReport>(&json).unwrap(),
            report
        );
    }

    #[test]
    fn steps_that_run_at_the_same_time_are_one_phase() {
        let node = |node: &str, step: &str| NodePlan {
            node: node.into(),
            steps: vec![StepPlan {
                step: step.into(),
                check: Ok(Check::Done(Vec::new())),
                unreachable: false,
            }],
        };
        let stage = |title: &str, phase, nodes| StagePlan {
            title: title.into(),
            phase,
            nodes,
        };
        let plan = Plan {
            title: "recover".into(),
            confirm: Confirm::Ask,
            stages: vec![
                stage(
                    "servers",
                    StagePhase::Provision,
                    vec![node("n1", "base"), node("n2", "base")],
                ),
                stage("data", StagePhase::Restore, vec![node("n1", "restore")]),
            ],
            keep_going: true,
        };
        let mut timeline = Timeline::new(&plan);
        let started = |node: &str, step: &str| JobEvent::StepStarted {
            node: node.into(),
            step: step.into(),
        };
        let done = |node: &str, step: &str| JobEvent::StepDone {
            node: node.into(),
            step: step.into(),
            changed: true,
            took: Duration::ZERO,
        };
        for event in [
            started("n1", "base"),
            started("n2", "base"),
            done("n2", "base"),
            done("n1", "base"),
            started("n1", "restore"),
            done("n1", "restore"),
        ] {
            timeline.record_event(&event);
        }
        let report =
            timeline.build_report(RecoveryKind::Recovery, "f", &RecoveryFindings::default());
        let names: Vec<&str> = report.phases.iter().map(|p| p.name.as_str()).collect();
        assert_eq!(names, ["provision", "restore"]);
        assert_eq!(report.failure.as_deref(), Some("it did not end"));
    }
}
