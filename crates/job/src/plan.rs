//! A plan: what every step found, and a hash that tells whether the facts are still the same.

use matou_i18n::{tr, trn};
use std::fmt;

use serde::{Deserialize, Serialize};
use sha2::{Digest, Sha256};

use super::check::{Change, ChangeKind, Check};
use matou_base::text::SafeText;

/// More lines than this, and a plan is long: it ends with its sums and its warnings.
const LONG_PLAN_LINES: usize = 24;

/// What the operator must do before a plan is applied.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Confirm {
    /// Harmless: run at once.
    None,
    /// Show the plan, ask yes or no.
    Ask,
    /// Show the plan and what will be lost, ask for this name to be typed.
    TypeName(String),
}

/// What one step found on one node.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(from = "WrittenStepPlan", into = "WrittenStepPlan")]
pub struct StepPlan {
    /// The step's name.
    pub step: String,
    /// The check's result, or why it could not be made.
    pub check: Result<Check, SafeText>,
    /// The check could not be made because a node or its engine gave no answer.
    pub unreachable: bool,
}

/// A [`StepPlan`] as it stands in JSON: scripts read it.
#[derive(Serialize, Deserialize)]
struct WrittenStepPlan {
    step: String,
    #[serde(flatten)]
    found: WrittenCheck,
}

#[derive(Serialize, Deserialize)]
#[serde(tag = "state", rename_all = "lowercase")]
enum WrittenCheck {
    Done { changes: Vec<Change> },
    Change { changes: Vec<Change> },
    Unknown { why: String },
    Failed { why: SafeText },
}

impl From<StepPlan> for WrittenStepPlan {
    fn from(plan: StepPlan) -> Self {
        let found = match plan.check {
            Ok(Check::Done(changes)) => WrittenCheck::Done { changes },
            Ok(Check::Change(changes)) => WrittenCheck::Change { changes },
            Ok(Check::Unknown(why)) => WrittenCheck::Unknown { why },
            Err(why) => WrittenCheck::Failed { why },
        };
        Self {
            step: plan.step,
            found,
        }
    }
}

impl From<WrittenStepPlan> for StepPlan {
    fn from(written: WrittenStepPlan) -> Self {
        Self {
            step: written.step,
            check: match written.found {
                WrittenCheck::Done { changes } => Ok(Check::Done(changes)),
                WrittenCheck::Change { changes } => Ok(Check::Change(changes)),
                WrittenCheck::Unknown { why } => Ok(Check::Unknown(why)),
                WrittenCheck::Failed { why } => Err(why),
            },
            unreachable: false,
        }
    }
}

/// The steps of one node, in order.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct NodePlan {
    /// The node's name.
    pub node: String,
    /// In the order in which they run.
    pub steps: Vec<StepPlan>,
}

/// The part of a recovery or a move that a stage belongs to. A report says how long each took.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Default)]
pub enum StagePhase {
    /// The servers themselves. Stages of other jobs have it too, where nobody asks for it.
    #[default]
    Provision,
    /// Joining the servers to one swarm.
    Swarm,
    /// File systems and their exports.
    Storage,
    /// What matou keeps on the nodes: its files, its access, its timers.
    ConsoleAndTimers,
    /// Data out of the repository.
    Restore,
    /// Keeping a drill from the world.
    Isolation,
    /// Traefik, and what it needs.
    Edge,
    /// Deploying the applications.
    Applications,
    /// Asking whether they answer.
    Checks,
    /// What a move copies while the old fleet still serves.
    FirstPass,
    /// From the last copy of a move until the new fleet serves.
    Switch,
}

impl StagePhase {
    /// The name in a report.
    pub fn name(self) -> &'static str {
        match self {
            Self::Provision => tr!("provision"),
            Self::Swarm => tr!("swarm"),
            Self::Storage => tr!("storage"),
            Self::ConsoleAndTimers => tr!("console and timers"),
            Self::Restore => tr!("restore"),
            Self::Isolation => tr!("isolation"),
            Self::Edge => tr!("edge"),
            Self::Applications => tr!("applications"),
            Self::Checks => tr!("checks"),
            Self::FirstPass => tr!("first pass"),
            Self::Switch => tr!("switch"),
        }
    }
}

/// Nodes that are worked on in parallel.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct StagePlan {
    /// What the stage's steps do together.
    pub title: String,
    /// Not a part of what is confirmed: a plan that was read back has the default.
    #[serde(skip)]
    pub phase: StagePhase,
    /// Worked on at the same time.
    pub nodes: Vec<NodePlan>,
}

/// What a job would do.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Plan {
    /// What the job is, in a few words.
    pub title: String,
    /// What is asked before it runs.
    pub confirm: Confirm,
    /// Stages run one after another.
    pub stages: Vec<StagePlan>,
    /// What is not clear on one node does not keep the others from being worked on.
    #[serde(default)]
    pub keep_going: bool,
}

/// How much a plan does.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub struct PlanSummary {
    /// Nodes on which something is to be done, or is not clear.
    pub nodes: usize,
    /// Lines with `+`.
    pub adds: usize,
    /// Lines with `~`.
    pub changes: usize,
    /// Lines with `-`.
    pub removes: usize,
    /// Lines with `!`.
    pub decisions: usize,
    /// Steps that could not be looked at, or not yet.
    pub unclear: usize,
}

impl fmt::Display for PlanSummary {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let counted = [
            (self.adds, tr!("to add")),
            (self.changes, tr!("to change")),
            (self.removes, tr!("to remove")),
            (self.decisions, tr!("to decide")),
            (self.unclear, tr!("not known yet")),
        ];
        let parts = counted.into_iter().filter(|(n, _)| *n > 0);
        let parts: Vec<String> = parts.map(|(n, what)| format!("{n} {what}")).collect();
        let nodes = trn!(self.nodes, "{n} node", "{n} nodes");
        write!(f, "{}", tr!("{nodes}: {}", parts.join(", ")))
    }
}

impl Plan {
    /// Whether the plan has so many lines that its sums and warnings are worth being said at its end.
    pub fn is_long(&self) -> bool {
        self.changes().count() > LONG_PLAN_LINES
    }

    /// Returns how much the plan does.
    pub fn summary(&self) -> PlanSummary {
        let mut sum = PlanSummary::default();
        for (_, steps) in self.steps_by_node() {
            let before = sum;
            for step in steps {
                match &step.check {
                    Ok(Check::Done(lines) | Check::Change(lines)) => {
                        for line in lines {
                            match line.kind {
                                ChangeKind::Same => {}
                                ChangeKind::Add => sum.adds += 1,
                                ChangeKind::Modify => sum.changes += 1,
                                ChangeKind::Remove => sum.removes += 1,
                                ChangeKind::Decide => sum.decisions += 1,
                            }
                        }
                    }
                    Ok(Check::Unknown(_)) | Err(_) => sum.unclear += 1,
                }
            }
            sum.nodes += usize::from(sum != before);
        }
        sum
    }

    /// Returns the warnings of all lines, each once, with the first node that has it.
    pub fn warnings(&self) -> Vec<(&str, &SafeText)> {
        let mut found: Vec<(&str, &SafeText)> = Vec::new();
        for (node, steps) in self.steps_by_node() {
            let lines = steps.into_iter().flat_map(|s| match &s.check {
                Ok(Check::Done(lines) | Check::Change(lines)) => lines.as_slice(),
                _ => &[],
            });
            for warning in lines.filter_map(|line| line.warning.as_ref()) {
                if !found.iter().any(|(_, known)| *known == warning) {
                    found.push((node, warning));
                }
            }
        }
        found
    }

    /// Every step's result.
    pub fn steps(&self) -> impl Iterator<Item = &StepPlan> {
        self.stages
            .iter()
            .flat_map(|s| &s.nodes)
            .flat_map(|n| &n.steps)
    }

    /// The steps of each node over all stages, nodes in the order of their first step.
    pub fn steps_by_node(&self) -> Vec<(&str, Vec<&StepPlan>)> {
        let mut nodes: Vec<(&str, Vec<&StepPlan>)> = Vec::new();
        for node in self.stages.iter().flat_map(|s| &s.nodes) {
            match nodes.iter_mut().find(|(name, _)| *name == node.node) {
                Some((_, steps)) => steps.extend(&node.steps),
                None => nodes.push((&node.node, node.steps.iter().collect())),
            }
        }
        nodes
    }

    /// All lines of all steps.
    pub fn changes(&self) -> impl Iterator<Item = &Change> {
        self.steps().flat_map(|s| match &s.check {
            Ok(Check::Done(lines) | Check::Change(lines)) => lines.as_slice(),
            _ => &[],
        })
    }

    /// Nothing would change.
    pub fn is_done(&self) -> bool {
        self.steps().all(|s| matches!(s.check, Ok(Check::Done(_))))
    }

    /// Why the plan can't be applied, if it can't: a check failed, or a decision is open; with
    /// [`Plan::keep_going`] only when that is so on every node.
    pub fn blocked_reason(&self) -> Option<String> {
        let held = |node: &NodePlan| {
            node.steps.iter().any(|s| match &s.check {
                Err(_) => true,
                Ok(Check::Done(lines) | Check::Change(lines)) => {
                    lines.iter().any(|c| c.kind == ChangeKind::Decide)
                }
                Ok(Check::Unknown(_)) => false,
            })
        };
        let nodes = || self.stages.iter().flat_map(|s| &s.nodes);
        let free = |name: &str| nodes().filter(|n| n.node == name).all(|n| !held(n));
        if self.keep_going && nodes().any(|n| free(&n.node)) {
            return None;
        }
        self.steps()
            .find_map(|s| s.check.as_ref().err().map(|e| tr!("{}: {e}", s.step)))
            .or_else(|| {
                self.changes()
                    .find(|c| c.kind == ChangeKind::Decide)
                    .map(Change::to_string)
            })
    }

    /// Whether a check failed because a node or its engine gave no answer.
    pub fn is_unreachable(&self) -> bool {
        self.steps().any(|s| s.unreachable)
    }

    /// Decisions that the operator can take by typing a name: node and line.
    pub fn open_questions(&self) -> impl Iterator<Item = (&str, &Change)> {
        self.stages
            .iter()
            .flat_map(|s| &s.nodes)
            .flat_map(|n| n.steps.iter().map(move |s| (n.node.as_str(), s)))
            .flat_map(|(node, s)| {
                match &s.check {
                    Ok(Check::Done(lines) | Check::Change(lines)) => lines.as_slice(),
                    _ => &[],
                }
                .iter()
                .map(move |c| (node, c))
            })
            .filter(|(_, c)| c.kind == ChangeKind::Decide && c.accept.is_some())
    }

    /// Hash of the facts the plan was made from; a plan made again from the same facts has the same.
    pub fn hash(&self) -> String {
        #[expect(
            clippy::expect_used,
            reason = "only maps with odd keys can't be written"
        )]
        let bytes = serde_json::to_vec(self).expect("a plan is plain data");
        let digest = Sha256::digest(bytes);
        digest[..8].iter().map(|b| format!("{b:02x}")).collect()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn scripts_read_plans_without_words_of_rust() {
        let step = |step: &str, check| StepPlan {
            step: step.into(),
            check,
            unreachable: false,
        };
        let steps = vec![
            step("network", Ok(Check::Done(vec![Change::same("edge")]))),
            step(
                "replicas",
                Ok(Check::Change(vec![Change::modify("web", "1", "2")])),
            ),
            step("tasks", Ok(Check::Unknown("after the stack".into()))),
            step("answer", Err("nobody is there".into())),
        ];
        let written = serde_json::to_string(&steps).unwrap();
        assert_eq!(
            written,
            r#"[{"step":"network","state":"done","changes":[{"kind":"same","what":"edge"}]},{"step":"replicas","state":"change","changes":[{"kind":"modify","what":"web","old":"1","new":"2"}]},{"step":"tasks","state":"unknown","why":"after the stack"},{"step":"answer","state":"failed","why":"nobody is there"}]"#
        );
        let read: Vec<StepPlan> = serde_json::from_str(&written).unwrap();
        assert_eq!(read, steps);
    }
}
