//! From findings to alerts: what lasts becomes one, what is gone for a while is over.

use std::collections::BTreeMap;

use jiff::Timestamp;
use serde::Serialize;

use super::ledger::{AlertLedger, SeenAlert, Silence};
use super::rules::{AlertKind, AlertSeverity, AlertTarget, Finding, Remedy};

/// How often a lasting alert is written down again, seconds.
const REWRITE_SECONDS: i64 = 600;

/// A finding that has lasted long enough to be shown.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct Alert {
    /// Identity over readings and starts, as `node/worker-01/disk`.
    pub key: String,
    /// The rule that found it.
    pub kind: AlertKind,
    /// How bad it is.
    pub severity: AlertSeverity,
    /// What is concerned: a node, an application, a service, a domain.
    pub what: String,
    /// The reason in one sentence.
    pub why: String,
    /// Since when; `None` where it was so before anything was read.
    pub since: Option<Timestamp>,
    /// What it is about.
    #[serde(skip)]
    pub target: AlertTarget,
    /// What leads to the cure.
    #[serde(rename = "cure")]
    pub remedy: Remedy,
    /// Set while the operator ignores the alert.
    pub silence: Option<Silence>,
}

/// Which alerts began and ended when findings were taken.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct AlertChanges {
    /// Alerts that began and are not silenced.
    pub began: Vec<Alert>,
    /// Alerts that are over.
    pub ended: Vec<Alert>,
}

/// A finding over time.
#[derive(Debug, Clone)]
struct FindingState {
    finding: Finding,
    first: Timestamp,
    last: Timestamp,
    fired: bool,
}

/// Remembers findings, and what the operator said about them.
#[derive(Debug, Clone, Default)]
pub struct AlertEngine {
    states: BTreeMap<String, FindingState>,
    ledger: AlertLedger,
    changed: bool,
    /// When findings were taken last.
    looked: Option<Timestamp>,
    /// Whether every finding is an alert at once, without waiting whether it lasts.
    once: bool,
}

impl AlertEngine {
    /// Starts with what was kept when the console was closed last.
    pub fn new(ledger: AlertLedger) -> Self {
        Self {
            ledger,
            ..Self::default()
        }
    }

    /// Makes an engine for a single look, which can't wait: every finding is an alert at once.
    pub fn for_single_look(ledger: AlertLedger) -> Self {
        Self {
            once: true,
            ..Self::new(ledger)
        }
    }

    /// Takes all that is wrong now. Returns the alerts that began and ended by it.
    pub fn take_findings(&mut self, findings: Vec<Finding>, now: Timestamp) -> AlertChanges {
        let mut news = AlertChanges::default();
        self.looked = Some(now);
        let silences = self.ledger.silences.len();
        self.ledger.drop_old_entries(now);
        self.changed |= silences != self.ledger.silences.len();
        for finding in findings {
            self.track_finding(finding, now);
        }
        for (key, state) in &mut self.states {
            if state.fired || state.last < now {
                continue;
            }
            let lasted = now.as_second() - state.first.as_second();
            if self.once || lasted >= state.finding.kind.hold_seconds() {
                state.fired = true;
                if self.ledger.active_silence(key, now).is_none() {
                    news.began.push(alert_from_state(state, &self.ledger, now));
                }
            }
        }
        let mut over = Vec::new();
        for (key, state) in &self.states {
            let gone = now.as_second() - state.last.as_second();
            if state.last < now && (!state.fired || gone >= state.finding.kind.release_seconds()) {
                over.push(key.clone());
            }
        }
        for key in over {
            if let Some(state) = self.states.remove(&key)
                && state.fired
            {
                news.ended.push(alert_from_state(&state, &self.ledger, now));
                self.forget_ended(&key);
            }
        }
        self.note_seen(now);
        news
    }

    fn track_finding(&mut self, finding: Finding, now: Timestamp) {
        match self.states.get_mut(&finding.key) {
            // Not high enough to begin: as if it were gone.
            Some(state) if finding.near && !state.fired => {
                self.states.remove(&finding.key);
            }
            Some(state) => {
                state.last = now;
                if let Some(since) = finding.since {
                    state.first = state.first.min(since);
                }
                state.finding = finding;
            }
            // A single look knows of the last one by the ledger.
            None if finding.near
                && !(self.once && self.ledger.was_just_seen(&finding.key, now)) => {}
            None => {
                let kept = self.ledger.seen_since(&finding.key, now);
                // What the finding says may be no older than this program.
                let first = finding.since.into_iter().chain(kept).min().unwrap_or(now);
                let state = FindingState {
                    first,
                    last: now,
                    fired: false,
                    finding,
                };
                self.states.insert(state.finding.key.clone(), state);
            }
        }
    }

    /// Ends what a single look that saw everything did not see, when the looks before did not either; of what it could
    /// not have seen `is_read` says so, by the key. What the operator ignored until it is over is told when it comes
    /// back.
    pub fn end_unseen(&mut self, now: Timestamp, is_read: impl Fn(&str) -> bool) {
        let keys: Vec<String> = self.ledger.seen.keys().cloned().collect();
        for key in keys {
            let is_seen = self.states.contains_key(&key) || self.ledger.was_just_seen(&key, now);
            if !is_seen && is_read(&key) {
                self.forget_ended(&key);
            }
        }
    }

    /// Forgets an alert that is over, and its acknowledgement: it is shown when it comes back.
    fn forget_ended(&mut self, key: &str) {
        self.changed |= self.ledger.seen.remove(key).is_some();
        if self
            .ledger
            .silences
            .get(key)
            .is_some_and(|s| s.until.is_none())
        {
            self.ledger.silences.remove(key);
            self.changed = true;
        }
    }

    /// Writes down which alerts are seen.
    fn note_seen(&mut self, now: Timestamp) {
        for (key, state) in self.states.iter().filter(|(_, s)| s.fired) {
            let seen = SeenAlert {
                since: state.first,
                last: now,
            };
            let known = self.ledger.seen.get(key);
            let old = known.is_none_or(|k| {
                k.since != seen.since || now.as_second() - k.last.as_second() >= REWRITE_SECONDS
            });
            if old {
                self.ledger.seen.insert(key.clone(), seen);
                self.changed = true;
            }
        }
    }

    /// All alerts: those that are not silenced first, then the worst, then the newest.
    pub fn alerts(&self, now: Timestamp) -> Vec<Alert> {
        let fired = self.states.values().filter(|s| s.fired);
        let mut alerts: Vec<Alert> = fired
            .map(|s| alert_from_state(s, &self.ledger, now))
            .collect();
        alerts.sort_by_key(|a| {
            (
                a.silence.is_some(),
                std::cmp::Reverse(a.severity),
                std::cmp::Reverse(a.since),
            )
        });
        alerts
    }

    /// Returns whether a finding waits to become an alert, or to be over: then time alone changes
    /// the list.
    pub fn is_waiting(&self) -> bool {
        self.states
            .values()
            .any(|s| !s.fired || Some(s.last) < self.looked)
    }

    /// Silences an alert; `None` ends its silence.
    pub fn set_silence(&mut self, key: &str, silence: Option<Silence>) {
        match silence {
            Some(silence) => {
                self.ledger.silences.insert(key.to_owned(), silence);
            }
            None => {
                self.ledger.silences.remove(key);
            }
        }
        self.changed = true;
    }

    /// Returns the ledger, to be saved, if it changed since the last call.
    pub fn take_changes(&mut self) -> Option<AlertLedger> {
        std::mem::take(&mut self.changed).then(|| self.ledger.clone())
    }
}

fn alert_from_state(state: &FindingState, ledger: &AlertLedger, now: Timestamp) -> Alert {
    let finding = &state.finding;
    Alert {
        key: finding.key.clone(),
        kind: finding.kind,
        severity: finding.severity,
        what: finding.what.clone(),
        why: finding.why.clone(),
        since: (state.first > Timestamp::UNIX_EPOCH).then_some(state.first),
        target: finding.target.clone(),
        remedy: finding.remedy,
        silence: ledger.active_silence(&finding.key, now),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn at(seconds: i64) -> Timestamp {
        Timestamp::from_second(1_000_000 + seconds).unwrap()
    }

    fn finding(kind: AlertKind, near: bool) -> Finding {
        Finding {
            key: "node/n1/x".into(),
            kind,
            severity: AlertSeverity::Warning,
            what: "n1".into(),
            why: "it is so".into(),
            since: None,
            target: AlertTarget::Fleet,
            remedy: Remedy::Shell,
            near,
        }
    }

    fn high() -> Vec<Finding> {
        vec![finding(AlertKind::Cpu, false)]
    }

    fn near() -> Vec<Finding> {
        vec![finding(AlertKind::Cpu, true)]
    }

    /// One program a look, as a timer starts them: what they know of each other is in the ledger.
    #[test]
    fn single_looks_agree_since_when_what_hovers_and_what_is_over() {
        let mut ledger = AlertLedger::default();
        let mut look = |findings: Vec<Finding>, second: i64, ignored: bool| {
            let mut engine = AlertEngine::for_single_look(ledger.clone());
            engine.take_findings(findings, at(second));
            engine.end_unseen(at(second), |_| true);
            if ignored {
                engine.set_silence("node/n1/x", Some(Silence { until: None }));
            }
            ledger = engine.take_changes().unwrap_or(ledger.clone());
            let alerts = engine.alerts(at(second));
            let alert = alerts.first().map(|a| (a.since, a.silence.is_some()));
            alert.map(|(since, ignored)| (since.map_or(0, |s| s.as_second() - 1_000_000), ignored))
        };
        // Each program finds by itself that a node does not answer.
        let down = |since: i64| {
            vec![Finding {
                since: Some(at(since)),
                ..finding(AlertKind::Unreachable, false)
            }]
        };
        assert_eq!(look(down(0), 1, false), Some((0, false)));
        assert_eq!(look(down(120), 121, false), Some((0, false)));
        // A little below the limit it is neither over nor begun.
        assert_eq!(look(near(), 240, true), Some((0, true)));
        assert_eq!(look(near(), 360, false), Some((0, true)));
        // Over, and ignored until then.
        assert_eq!(look(Vec::new(), 480, false), None);
        assert_eq!(look(Vec::new(), 1400, false), None);
        assert_eq!(look(near(), 1500, false), None);
        assert_eq!(look(high(), 1600, false), Some((1600, false)));
    }

    /// What is ignored until it is over stays so while nobody can say whether it is.
    #[test]
    fn what_a_single_look_could_not_see_is_not_over() {
        let mut ledger = AlertLedger::default();
        let mut look = |findings: Vec<Finding>, second: i64, is_read: bool| {
            let mut engine = AlertEngine::for_single_look(ledger.clone());
            engine.take_findings(findings, at(second));
            engine.end_unseen(at(second), |key| is_read || key != "node/n1/x");
            if second == 0 {
                engine.set_silence("node/n1/x", Some(Silence { until: None }));
            }
            ledger = engine.take_changes().unwrap_or(ledger.clone());
            engine
                .alerts(at(second))
                .first()
                .map(|a| a.silence.is_some())
        };
        assert_eq!(look(high(), 0, true), Some(true));
        assert_eq!(look(Vec::new(), 1000, false), None);
        assert_eq!(look(high(), 1100, true), Some(true));
        assert_eq!(look(Vec::new(), 2200, true), None);
        assert_eq!(look(high(), 2300, true), Some(false));
    }

    #[test]
    fn one_bad_reading_is_no_alarm_and_a_lasting_one_is() {
        let mut engine = AlertEngine::default();
        assert_eq!(engine.take_findings(high(), at(0)), AlertChanges::default());
        assert!(engine.is_waiting());
        engine.take_findings(Vec::new(), at(60));
        // It began anew: the first reading does not count.
        assert!(engine.take_findings(high(), at(119)).began.is_empty());
        assert!(engine.take_findings(high(), at(238)).began.is_empty());
        let news = engine.take_findings(high(), at(239));
        assert_eq!(news.began[0].since, Some(at(119)));
        // Told once.
        assert_eq!(
            engine.take_findings(high(), at(250)),
            AlertChanges::default()
        );
        assert_eq!(engine.alerts(at(250)).len(), 1);
    }

    #[test]
    fn a_load_about_the_limit_neither_begins_nor_ends_an_alert() {
        let mut engine = AlertEngine::default();
        engine.take_findings(near(), at(0));
        assert!(engine.take_findings(near(), at(500)).began.is_empty());
        engine.take_findings(high(), at(600));
        assert_eq!(engine.take_findings(high(), at(720)).began.len(), 1);
        engine.take_findings(near(), at(1000));
        assert_eq!(
            engine.take_findings(near(), at(2000)),
            AlertChanges::default()
        );
        // Gone, but not for long enough, then for good.
        engine.take_findings(Vec::new(), at(2030));
        assert_eq!(
            engine.take_findings(high(), at(2040)),
            AlertChanges::default()
        );
        engine.take_findings(Vec::new(), at(2050));
        assert_eq!(engine.take_findings(Vec::new(), at(2100)).ended.len(), 1);
        assert!(engine.alerts(at(2100)).is_empty());
    }

    #[test]
    fn what_began_before_it_was_read_is_told_at_once() {
        let mut engine = AlertEngine::default();
        let mut down = finding(AlertKind::Unreachable, false);
        down.since = Some(at(-600));
        let news = engine.take_findings(vec![down], at(0));
        assert_eq!(news.began[0].since, Some(at(-600)));
    }

    #[test]
    fn a_silence_ends_with_its_time_and_an_acknowledgement_with_the_alert() {
        let drift = || vec![finding(AlertKind::Drift, false)];
        let mut engine = AlertEngine::default();
        assert_eq!(engine.take_findings(drift(), at(0)).began.len(), 1);
        engine.set_silence(
            "node/n1/x",
            Some(Silence {
                until: Some(at(100)),
            }),
        );
        engine.take_findings(drift(), at(50));
        assert!(engine.alerts(at(50))[0].silence.is_some());
        engine.take_findings(drift(), at(101));
        assert!(engine.alerts(at(101))[0].silence.is_none());
        engine.set_silence("node/n1/x", Some(Silence { until: None }));
        engine.take_findings(drift(), at(100_000));
        assert!(engine.alerts(at(100_000))[0].silence.is_some());
        engine.take_findings(Vec::new(), at(100_010));
        let news = engine.take_findings(drift(), at(100_020));
        assert_eq!(news.began.len(), 1);
        assert!(news.began[0].silence.is_none());
    }

    #[test]
    fn a_start_knows_what_was_seen_and_said_before() {
        let mut engine = AlertEngine::default();
        engine.take_findings(vec![finding(AlertKind::Drift, false)], at(0));
        engine.set_silence("node/n1/x", Some(Silence { until: None }));
        let kept = engine.take_changes().unwrap();
        assert_eq!(engine.take_changes(), None);
        let text = serde_json::to_string(&kept).unwrap();
        let kept: AlertLedger = serde_json::from_str(&text).unwrap();
        let mut again = AlertEngine::new(kept.clone());
        let news = again.take_findings(vec![finding(AlertKind::Drift, false)], at(1800));
        assert!(news.began.is_empty(), "it was acknowledged");
        assert_eq!(again.alerts(at(1800))[0].since, Some(at(0)));
        // After a night it is not known to be the same.
        let mut late = AlertEngine::new(kept);
        late.take_findings(vec![finding(AlertKind::Drift, false)], at(50_000));
        assert_eq!(late.alerts(at(50_000))[0].since, Some(at(50_000)));
    }

    #[test]
    fn a_single_look_believes_what_it_sees_but_not_what_is_near() {
        let mut engine = AlertEngine::for_single_look(AlertLedger::default());
        assert_eq!(engine.take_findings(high(), at(0)).began.len(), 1);
        let mut engine = AlertEngine::for_single_look(AlertLedger::default());
        assert!(engine.take_findings(near(), at(0)).began.is_empty());
    }
}
