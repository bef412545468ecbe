//! From findings to alerts: what lasts becomes one, what is gone for a while is over.

use std::collections::BTreeMap;

use jiff::Timestamp;
use serde::Serialize;

use super::ledger::{Ledger, Seen, Silence};
use super::rules::{Finding, Kind, Severity};

/// How often a lasting alert is written down again, seconds.
const WRITE: i64 = 600;

/// Something that is not as it should be, and has been long enough to be told.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct Alert {
    /// Identity over readings and starts, as `node/worker-01/disk`.
    pub key: String,
    pub kind: Kind,
    pub severity: Severity,
    /// What is concerned: a node, an application, a service, a domain.
    pub what: String,
    /// The reason in one sentence.
    pub why: String,
    /// Since when; `None` where it was so before anything was read.
    pub since: Option<Timestamp>,
    /// Key of the row that shows more, as in the panes.
    #[serde(skip)]
    pub row: String,
    /// The action of the console that leads to the cure, as in `[keys]`.
    pub cure: &'static str,
    /// The operator does not want to be told.
    pub silence: Option<Silence>,
}

/// What changed with a look.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct News {
    /// Alerts that began and are not silenced.
    pub began: Vec<Alert>,
    /// Alerts that are over.
    pub ended: Vec<Alert>,
}

/// A finding over time.
#[derive(Debug, Clone)]
struct State {
    finding: Finding,
    first: Timestamp,
    last: Timestamp,
    fired: bool,
}

/// Remembers findings, and what the operator said about them.
#[derive(Debug, Clone, Default)]
pub struct Engine {
    states: BTreeMap<String, State>,
    ledger: Ledger,
    changed: bool,
    /// When findings were taken last.
    looked: Option<Timestamp>,
    /// Whether everything is believed at once, for a single look.
    once: bool,
}

impl Engine {
    /// With what was kept when the console was closed.
    pub fn new(ledger: Ledger) -> Self {
        Self {
            ledger,
            ..Self::default()
        }
    }

    /// For a single look, which can't wait: what is found is an alert.
    pub fn once(ledger: Ledger) -> Self {
        Self {
            once: true,
            ..Self::new(ledger)
        }
    }

    /// Takes what is wrong now.
    pub fn look(&mut self, findings: Vec<Finding>, now: Timestamp) -> News {
        let mut news = News::default();
        self.looked = Some(now);
        let silences = self.ledger.silences.len();
        self.ledger.prune(now);
        self.changed |= silences != self.ledger.silences.len();
        for finding in findings {
            self.take(finding, now);
        }
        for (key, state) in &mut self.states {
            if state.fired || state.last < now {
                continue;
            }
            let lasted = now.as_second() - state.first.as_second();
            if self.once || lasted >= state.finding.kind.hold() {
                state.fired = true;
                if self.ledger.silence(key, now).is_none() {
                    news.began.push(alert(state, &self.ledger, now));
                }
            }
        }
        let mut over = Vec::new();
        for (key, state) in &self.states {
            let gone = now.as_second() - state.last.as_second();
            if state.last < now && (!state.fired || gone >= state.finding.kind.release()) {
                over.push(key.clone());
            }
        }
        for key in over {
            if let Some(state) = self.states.remove(&key)
                && state.fired
            {
                news.ended.push(alert(&state, &self.ledger, now));
                self.forget(&key);
            }
        }
        self.note(now);
        news
    }

    fn take(&mut self, finding: Finding, now: Timestamp) {
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
            None if finding.near => {}
            None => {
                let kept = self.ledger.since(&finding.key, now);
                let first = finding.since.or(kept).unwrap_or(now);
                let state = State {
                    first,
                    last: now,
                    fired: false,
                    finding,
                };
                self.states.insert(state.finding.key.clone(), state);
            }
        }
    }

    /// An acknowledged alert that is over is told when it comes back.
    fn forget(&mut self, key: &str) {
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
    fn note(&mut self, now: Timestamp) {
        for (key, state) in self.states.iter().filter(|(_, s)| s.fired) {
            let seen = Seen {
                since: state.first,
                last: now,
            };
            let known = self.ledger.seen.get(key);
            let old = known.is_none_or(|k| {
                k.since != seen.since || now.as_second() - k.last.as_second() >= WRITE
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
        let mut alerts: Vec<Alert> = fired.map(|s| alert(s, &self.ledger, now)).collect();
        alerts.sort_by_key(|a| {
            (
                a.silence.is_some(),
                std::cmp::Reverse(a.severity),
                std::cmp::Reverse(a.since),
            )
        });
        alerts
    }

    /// Whether something waits to become an alert, or to be over: time alone may change the list.
    pub fn is_waiting(&self) -> bool {
        self.states
            .values()
            .any(|s| !s.fired || Some(s.last) < self.looked)
    }

    /// Silences an alert; `None` lets it be told again.
    pub fn silence(&mut self, key: &str, silence: Option<Silence>) {
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

    /// What is to be kept, when it changed since this was asked last.
    pub fn take_changes(&mut self) -> Option<Ledger> {
        std::mem::take(&mut self.changed).then(|| self.ledger.clone())
    }
}

fn alert(state: &State, ledger: &Ledger, now: Timestamp) -> Alert {
    let finding = &state.finding;
    Alert {
        key: finding.key.clone(),
        kind: finding.kind,
        severity: finding.severity,
        what: finding.what.clone(),
        why: finding.why.clone(),
        since: (state.first > Timestamp::UNIX_EPOCH).then_some(state.first),
        row: finding.row.clone(),
        cure: finding.cure,
        silence: ledger.silence(&finding.key, now),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn at(seconds: i64) -> Timestamp {
        Timestamp::from_second(1_000_000 + seconds).unwrap()
    }

    fn finding(kind: Kind, near: bool) -> Finding {
        Finding {
            key: "node/n1/x".into(),
            kind,
            severity: Severity::Warning,
            what: "n1".into(),
            why: "it is so".into(),
            since: None,
            row: String::new(),
            cure: "shell",
            near,
        }
    }

    fn high() -> Vec<Finding> {
        vec![finding(Kind::Cpu, false)]
    }

    fn near() -> Vec<Finding> {
        vec![finding(Kind::Cpu, true)]
    }

    #[test]
    fn one_bad_reading_is_no_alarm_and_a_lasting_one_is() {
        let mut engine = Engine::default();
        assert_eq!(engine.look(high(), at(0)), News::default());
        assert!(engine.is_waiting());
        engine.look(Vec::new(), at(60));
        // It began anew: the first reading does not count.
        assert!(engine.look(high(), at(119)).began.is_empty());
        assert!(engine.look(high(), at(238)).began.is_empty());
        let news = engine.look(high(), at(239));
        assert_eq!(news.began[0].since, Some(at(119)));
        // Told once.
        assert_eq!(engine.look(high(), at(250)), News::default());
        assert_eq!(engine.alerts(at(250)).len(), 1);
    }

    #[test]
    fn a_load_about_the_limit_neither_begins_nor_ends_an_alert() {
        let mut engine = Engine::default();
        engine.look(near(), at(0));
        assert!(engine.look(near(), at(500)).began.is_empty());
        engine.look(high(), at(600));
        assert_eq!(engine.look(high(), at(720)).began.len(), 1);
        engine.look(near(), at(1000));
        assert_eq!(engine.look(near(), at(2000)), News::default());
        // Gone, but not for long enough, then for good.
        engine.look(Vec::new(), at(2030));
        assert_eq!(engine.look(high(), at(2040)), News::default());
        engine.look(Vec::new(), at(2050));
        assert_eq!(engine.look(Vec::new(), at(2100)).ended.len(), 1);
        assert!(engine.alerts(at(2100)).is_empty());
    }

    #[test]
    fn what_began_before_it_was_read_is_told_at_once() {
        let mut engine = Engine::default();
        let mut down = finding(Kind::Unreachable, false);
        down.since = Some(at(-600));
        let news = engine.look(vec![down], at(0));
        assert_eq!(news.began[0].since, Some(at(-600)));
    }

    #[test]
    fn a_silence_ends_with_its_time_and_an_acknowledgement_with_the_alert() {
        let drift = || vec![finding(Kind::Drift, false)];
        let mut engine = Engine::default();
        assert_eq!(engine.look(drift(), at(0)).began.len(), 1);
        engine.silence(
            "node/n1/x",
            Some(Silence {
                until: Some(at(100)),
            }),
        );
        engine.look(drift(), at(50));
        assert!(engine.alerts(at(50))[0].silence.is_some());
        engine.look(drift(), at(101));
        assert!(engine.alerts(at(101))[0].silence.is_none());
        engine.silence("node/n1/x", Some(Silence { until: None }));
        engine.look(drift(), at(100_000));
        assert!(engine.alerts(at(100_000))[0].silence.is_some());
        engine.look(Vec::new(), at(100_010));
        let news = engine.look(drift(), at(100_020));
        assert_eq!(news.began.len(), 1);
        assert!(news.began[0].silence.is_none());
    }

    #[test]
    fn a_start_knows_what_was_seen_and_said_before() {
        let mut engine = Engine::default();
        engine.look(vec![finding(Kind::Drift, false)], at(0));
        engine.silence("node/n1/x", Some(Silence { until: None }));
        let kept = engine.take_changes().unwrap();
        assert_eq!(engine.take_changes(), None);
        let text = serde_json::to_string(&kept).unwrap();
        let kept: Ledger = serde_json::from_str(&text).unwrap();
        let mut again = Engine::new(kept.clone());
        let news = again.look(vec![finding(Kind::Drift, false)], at(1800));
        assert!(news.began.is_empty(), "it was acknowledged");
        assert_eq!(again.alerts(at(1800))[0].since, Some(at(0)));
        // After a night it is not known to be the same.
        let mut late = Engine::new(kept);
        late.look(vec![finding(Kind::Drift, false)], at(50_000));
        assert_eq!(late.alerts(at(50_000))[0].since, Some(at(50_000)));
    }

    #[test]
    fn a_single_look_believes_what_it_sees_but_not_what_is_near() {
        let mut engine = Engine::once(Ledger::default());
        assert_eq!(engine.look(high(), at(0)).began.len(), 1);
        let mut engine = Engine::once(Ledger::default());
        assert!(engine.look(near(), at(0)).began.is_empty());
    }
}
