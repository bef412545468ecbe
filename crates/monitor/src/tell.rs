//! Whom was told what: the messages about alerts that begin, last and end, for one receiver, from one look after
//! another. Pure; [`super::ToldStore`] keeps it between the looks.

use matou_i18n::{tr, trn};
use std::collections::BTreeMap;

use jiff::Timestamp;
use serde::{Deserialize, Serialize};

use super::domains::KEY_PREFIX;
use super::{Alert, AlertKind, AlertSeverity, AlertTarget};
use matou_base::text::{clean_line, format_age};

/// An alert that lasts is told again so often, seconds.
const REPEAT: i64 = 12 * 3600;

/// An alert is over when it was not seen for this long, seconds: longer than a task takes to be replaced.
const RELEASE: i64 = 60;

/// What one receiver was told.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(default)]
pub struct ToldAlerts {
    /// By the alerts' keys.
    alerts: BTreeMap<String, ToldAlert>,
}

/// An alert that a receiver knows of.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
struct ToldAlert {
    severity: AlertSeverity,
    what: String,
    why: String,
    since: Option<Timestamp>,
    /// When it was told last.
    told: Timestamp,
    /// Since when it is not seen any more.
    gone: Option<Timestamp>,
    /// Since when it is less bad than it was told.
    #[serde(default)]
    eased: Option<Timestamp>,
    /// What it was read from.
    #[serde(default)]
    source: AlertSource,
}

/// What an alert is read from: when that could not be read, the alert is not over.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
pub enum AlertSource {
    /// The swarm, its applications' answers and certificates; for a node that is down, that it is not.
    #[default]
    Fleet,
    /// Repositories, snapshots and what nights did.
    Backups,
    /// What is kept of applications' scheduled jobs.
    Jobs,
    /// What is kept of the sizes of volumes.
    Sizes,
    /// The load of a node.
    Load(String),
    /// The engine of a node.
    Engine(String),
    /// What a domain's registry says.
    Domain(String),
}

impl AlertSource {
    /// Returns what an alert is read from whose key alone says it: those of domains, which earlier versions kept as
    /// the fleet's.
    pub fn of_key(key: &str) -> Option<Self> {
        let domain = key.strip_prefix(KEY_PREFIX)?;
        Some(Self::Domain(domain.to_owned()))
    }

    fn of(alert: &Alert) -> Self {
        if let Some(source) = Self::of_key(&alert.key) {
            return source;
        }
        match &alert.target {
            _ if matches!(alert.kind, AlertKind::Backup | AlertKind::Rehearsal) => Self::Backups,
            _ if alert.kind == AlertKind::AppJob => Self::Jobs,
            _ if matches!(alert.kind, AlertKind::Floor | AlertKind::Budget) => Self::Sizes,
            // Of the two that say a node can't be reached, this one is of the node itself.
            AlertTarget::Node(name) if alert.key.ends_with("/engine") => Self::Engine(name.clone()),
            AlertTarget::Node(name) if !alert.kind.is_seen_by_managers() => {
                Self::Load(name.clone())
            }
            _ => Self::Fleet,
        }
    }
}

/// Why an alert is in a message.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize)]
#[serde(rename_all = "lowercase")]
pub enum TellReason {
    /// It began.
    Begun,
    /// It lasts.
    Still,
    /// It is over.
    Over,
    /// It is none: the message shows whether messages arrive.
    Trial,
}

/// An alert in a message.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct TellLine {
    /// Why it is told.
    pub state: TellReason,
    /// Identity over looks, as `node/worker-01/disk`.
    pub key: String,
    /// How bad it is, or was.
    pub severity: AlertSeverity,
    /// What is concerned.
    pub what: String,
    /// The reason in one sentence.
    pub why: String,
    /// Since when, if that is known.
    pub since: Option<Timestamp>,
}

/// All that one receiver is to be told after one look: one message, however many alerts one cause has.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct TellMessage {
    /// Name of the fleet.
    pub fleet: String,
    /// When it was looked.
    pub at: Timestamp,
    /// What began first, the worst first; what is over last.
    pub alerts: Vec<TellLine>,
}

/// What was read in a look: an alert that can't have been seen is not over.
pub struct LookedAt<'a> {
    /// Whether it was read.
    pub read: &'a dyn Fn(&AlertSource) -> bool,
    /// Whether the operator sleeps: only what is critical is told, and that it is over.
    pub quiet: bool,
}

impl ToldAlerts {
    /// Takes a look's alerts. Returns what is to be told now, if anything, and what was told then: to be kept when
    /// the receiver has taken the message.
    pub fn take_look(
        &self,
        fleet: &str,
        alerts: &[Alert],
        looked: &LookedAt<'_>,
        now: Timestamp,
    ) -> (Option<TellMessage>, Self) {
        let mut next = self.clone();
        let mut lines = Vec::new();
        for alert in alerts {
            let state = match next.alerts.get_mut(&alert.key) {
                Some(told) => {
                    told.gone = None;
                    told.ease(alert.severity, now);
                    if looked.quiet && alert.severity < AlertSeverity::Critical {
                        continue;
                    }
                    let worse = alert.severity > told.severity;
                    // Told in what is the future now: the clock was wrong.
                    let due = (now.as_second() - told.told.as_second()).abs() >= REPEAT;
                    if alert.silence.is_some() || !(worse || due && !looked.quiet) {
                        continue;
                    }
                    match worse {
                        true => TellReason::Begun,
                        false => TellReason::Still,
                    }
                }
                None if alert.silence.is_some() || !has_lasted(alert, now) => continue,
                None if looked.quiet && alert.severity < AlertSeverity::Critical => continue,
                None => TellReason::Begun,
            };
            next.alerts
                .insert(alert.key.clone(), ToldAlert::of(alert, now));
            lines.push(TellLine {
                state,
                key: alert.key.clone(),
                severity: alert.severity,
                what: clean_line(&alert.what).into_owned(),
                why: clean_line(&alert.why).into_owned(),
                since: alert.since,
            });
        }
        lines.extend(next.end_missing(alerts, looked, now));
        let rank = |l: &TellLine| (l.state == TellReason::Over, std::cmp::Reverse(l.severity));
        lines.sort_by_key(rank);
        let message = (!lines.is_empty()).then(|| TellMessage {
            fleet: clean_line(fleet).into_owned(),
            at: now,
            alerts: lines,
        });
        (message, next)
    }

    /// Cleans what comes from another machine.
    pub(super) fn clean(&mut self) {
        for told in self.alerts.values_mut() {
            told.what = clean_line(&told.what).into_owned();
            told.why = clean_line(&told.why).into_owned();
        }
    }

    /// Takes out what was not seen for long enough, in looks that would have seen it.
    fn end_missing(
        &mut self,
        alerts: &[Alert],
        looked: &LookedAt<'_>,
        now: Timestamp,
    ) -> Vec<TellLine> {
        let mut over = Vec::new();
        self.alerts.retain(|key, told| {
            let by_key = AlertSource::of_key(key);
            let source = by_key.as_ref().unwrap_or(&told.source);
            if alerts.iter().any(|a| a.key == *key) || !(looked.read)(source) {
                return true;
            }
            // Never later than now: the clock may have been ahead.
            let gone = told.gone.map_or(now, |g| g.min(now));
            told.gone = Some(gone);
            let is_kept_back = looked.quiet && told.severity < AlertSeverity::Critical;
            if is_kept_back || now.as_second() - gone.as_second() < RELEASE {
                return true;
            }
            over.push(TellLine {
                state: TellReason::Over,
                key: key.clone(),
                severity: told.severity,
                what: told.what.clone(),
                why: told.why.clone(),
                since: told.since,
            });
            false
        });
        over
    }
}

impl ToldAlert {
    /// Takes an alert for less bad when it was so for long enough: worse again, it is told again.
    fn ease(&mut self, severity: AlertSeverity, now: Timestamp) {
        if severity >= self.severity {
            self.eased = None;
            return;
        }
        let eased = self.eased.map_or(now, |e| e.min(now));
        self.eased = Some(eased);
        if now.as_second() - eased.as_second() >= RELEASE {
            self.severity = severity;
        }
    }

    fn of(alert: &Alert, now: Timestamp) -> Self {
        Self {
            severity: alert.severity,
            what: clean_line(&alert.what).into_owned(),
            why: clean_line(&alert.why).into_owned(),
            since: alert.since,
            told: now,
            gone: None,
            eased: None,
            source: AlertSource::of(alert),
        }
    }
}

/// Whether it lasts as long as its kind must; one that was there before anything was read has, and one of a time that
/// is yet to come, which is a clock that was wrong.
fn has_lasted(alert: &Alert, now: Timestamp) -> bool {
    alert.since.is_none_or(|since| {
        since > now || now.as_second() - since.as_second() >= alert.kind.hold_seconds()
    })
}

impl TellMessage {
    /// A message that shows whether messages arrive.
    pub fn trial(fleet: &str, at: Timestamp) -> Self {
        Self {
            fleet: fleet.to_owned(),
            at,
            alerts: vec![TellLine {
                state: TellReason::Trial,
                key: "trial".into(),
                severity: AlertSeverity::Warning,
                what: tr!("trial").into(),
                why: tr!("this is how matou tells you when something is wrong; nothing is").into(),
                since: None,
            }],
        }
    }

    /// Whether somebody is not served, or was not: what wakes the operator.
    pub fn is_critical(&self) -> bool {
        self.alerts
            .iter()
            .any(|l| l.state != TellReason::Over && l.severity == AlertSeverity::Critical)
    }

    /// One line: what a telephone shows of it.
    pub fn title(&self) -> String {
        let of = |state: TellReason| self.alerts.iter().filter(move |l| l.state == state);
        let (begun, still, over) = (
            of(TellReason::Begun).count(),
            of(TellReason::Still).count(),
            of(TellReason::Over).count(),
        );
        // One alert is told by its name.
        let what = match self.alerts.as_slice() {
            [one] if one.state == TellReason::Over => tr!("over: {}: {}", one.what, one.why),
            [one] => tr!("{}: {}", one.what, one.why),
            all if begun + still > 0 => {
                trn!(
                    all.len() - 1,
                    "{what}: {why} (and one more)",
                    "{what}: {why} (and {n} more)",
                    what = all[0].what,
                    why = all[0].why
                )
            }
            _ => trn!(over, "{n} alert over", "{n} alerts over"),
        };
        tr!("{}: {what}", self.fleet)
    }

    /// The text: a line an alert.
    pub fn text(&self) -> String {
        let mut text = String::new();
        for line in &self.alerts {
            let is_new =
                |since: &Timestamp| (-600..60).contains(&(self.at.as_second() - since.as_second()));
            let since = line.since.filter(|since| !is_new(since));
            let age = since.map(|since| format_age(self.at, since));
            let word = match line.state {
                TellReason::Begun => match line.severity {
                    AlertSeverity::Critical => tr!("CRITICAL").to_owned(),
                    AlertSeverity::Warning => tr!("warning").to_owned(),
                },
                TellReason::Still => tr!("still").to_owned(),
                TellReason::Over => tr!("over").to_owned(),
                TellReason::Trial => tr!("no alert").to_owned(),
            };
            text.push_str(&tr!("{word}  {}: {}", line.what, line.why));
            match age.as_deref() {
                None => {}
                Some(age) if line.state == TellReason::Over => {
                    text.push_str(&tr!(" (it began {age} ago)"));
                }
                Some(age) => text.push_str(&tr!(" (for {age})")),
            }
            text.push('\n');
        }
        text
    }
}

#[cfg(test)]
mod tests {
    use super::super::{AlertKind, Remedy, Silence};
    use super::*;

    fn at(second: i64) -> Timestamp {
        Timestamp::from_second(1_800_000_000 + second).unwrap()
    }

    fn alert(key: &str, kind: AlertKind, since: Option<i64>) -> Alert {
        let node = key.strip_prefix("node/").and_then(|k| k.split('/').next());
        Alert {
            key: key.to_owned(),
            kind,
            severity: AlertSeverity::Warning,
            what: key.to_owned(),
            why: "is wrong".to_owned(),
            since: since.map(at),
            target: node.map_or(AlertTarget::Fleet, |n| AlertTarget::Node(n.to_owned())),
            remedy: Remedy::Shell,
            silence: None,
        }
    }

    const ALL: LookedAt<'static> = LookedAt {
        read: &|_| true,
        quiet: false,
    };

    /// The message of a look, as `state key` of each line; what was told is taken over.
    fn look(told: &mut ToldAlerts, alerts: &[Alert], looked: &LookedAt<'_>, now: i64) -> String {
        let (message, next) = told.take_look("f", alerts, looked, at(now));
        *told = next;
        let lines = message.into_iter().flat_map(|m| m.alerts);
        let lines: Vec<String> = lines.map(|l| format!("{:?} {}", l.state, l.key)).collect();
        lines.join(", ")
    }

    #[test]
    fn each_alert_is_told_when_it_begins_lasts_and_ends() {
        let mut told = ToldAlerts::default();
        let disk = alert("node/n1/disk", AlertKind::Disk, None);
        let all = [disk.clone()];
        assert_eq!(look(&mut told, &all, &ALL, 0), "Begun node/n1/disk");
        assert_eq!(look(&mut told, &all, &ALL, 120), "");
        assert_eq!(look(&mut told, &all, &ALL, REPEAT), "Still node/n1/disk");
        assert_eq!(look(&mut told, &all, &ALL, REPEAT + 120), "");
        let worse = [Alert {
            severity: AlertSeverity::Critical,
            ..disk
        }];
        assert_eq!(
            look(&mut told, &worse, &ALL, REPEAT + 240),
            "Begun node/n1/disk"
        );
        assert_eq!(look(&mut told, &[], &ALL, REPEAT + 360), "");
        assert_eq!(
            look(&mut told, &[], &ALL, REPEAT + 480),
            "Over node/n1/disk"
        );
        assert_eq!(look(&mut told, &[], &ALL, REPEAT + 600), "");
        assert_eq!(told, ToldAlerts::default());
    }

    #[test]
    fn at_night_only_what_is_critical_is_told_and_the_rest_in_the_morning() {
        let night = LookedAt { quiet: true, ..ALL };
        let mut told = ToldAlerts::default();
        let known = alert("node/n1/disk", AlertKind::Disk, None);
        assert_eq!(look(&mut told, &[known], &ALL, 0), "Begun node/n1/disk");

        let passes = alert("node/n2/disk", AlertKind::Disk, None);
        let stays = alert("backup/shop", AlertKind::Backup, None);
        let mut wakes = alert("http/shop", AlertKind::Http, None);
        wakes.severity = AlertSeverity::Critical;
        let all = [passes, stays.clone(), wakes];
        assert_eq!(look(&mut told, &all, &night, 100), "Begun http/shop");
        // Whoever was woken hears that it is over; that the disk is well can wait.
        let left = [stays.clone()];
        assert_eq!(look(&mut told, &left, &night, 200), "");
        assert_eq!(look(&mut told, &left, &night, 300), "Over http/shop");
        // What lasts is not said again at night, what is worse is.
        let worse = Alert {
            severity: AlertSeverity::Critical,
            ..stays.clone()
        };
        assert_eq!(
            look(&mut told, std::slice::from_ref(&worse), &night, 400),
            "Begun backup/shop"
        );
        assert_eq!(
            look(
                &mut told,
                std::slice::from_ref(&worse),
                &night,
                REPEAT + 400
            ),
            ""
        );
        assert_eq!(
            look(&mut told, &[worse], &ALL, REPEAT + 500),
            "Still backup/shop, Over node/n1/disk"
        );
    }

    /// Half of a service came back, and went again.
    #[test]
    fn what_got_better_and_worse_again_is_told_again() {
        let mut told = ToldAlerts::default();
        let warning = [alert("service/x", AlertKind::Replicas, None)];
        let critical = [Alert {
            severity: AlertSeverity::Critical,
            ..warning[0].clone()
        }];
        assert_eq!(look(&mut told, &critical, &ALL, 0), "Begun service/x");
        assert_eq!(look(&mut told, &warning, &ALL, 120), "");
        // For one look only: it flaps.
        assert_eq!(look(&mut told, &critical, &ALL, 240), "");
        assert_eq!(look(&mut told, &warning, &ALL, 360), "");
        assert_eq!(look(&mut told, &warning, &ALL, 480), "");
        assert_eq!(look(&mut told, &critical, &ALL, 600), "Begun service/x");
    }

    #[test]
    fn what_flaps_is_one_alert() {
        let mut told = ToldAlerts::default();
        let all = [alert("service/x", AlertKind::Replicas, None)];
        assert_eq!(look(&mut told, &all, &ALL, 0), "Begun service/x");
        for second in [30, 120, 240] {
            assert_eq!(look(&mut told, &[], &ALL, second), "", "{second}");
            assert_eq!(look(&mut told, &all, &ALL, second + 40), "", "{second}");
        }
    }

    #[test]
    fn what_passes_by_itself_is_not_told() {
        let mut told = ToldAlerts::default();
        let cpu = |since| [alert("node/n1/cpu", AlertKind::Cpu, Some(since))];
        assert_eq!(look(&mut told, &cpu(0), &ALL, 0), "");
        assert_eq!(look(&mut told, &[], &ALL, 120), "");
        assert_eq!(look(&mut told, &cpu(240), &ALL, 240), "");
        assert_eq!(look(&mut told, &cpu(240), &ALL, 360), "Begun node/n1/cpu");
    }

    /// A node that does not answer has not got well by that.
    #[test]
    fn what_was_not_looked_at_is_not_over() {
        let mut told = ToldAlerts::default();
        let all = [
            alert("node/n1/disk", AlertKind::Disk, None),
            alert("node/n2/disk", AlertKind::Disk, None),
            alert("http/shop", AlertKind::Http, None),
            alert("node/n2/down", AlertKind::NodeDown, None),
            alert("backup/shop", AlertKind::Backup, None),
            alert("node/n1/engine", AlertKind::Unreachable, None),
        ];
        look(&mut told, &all, &ALL, 0);
        let without_n2 = LookedAt {
            read: &|source| *source == AlertSource::Load("n1".into()),
            quiet: false,
        };
        assert_eq!(look(&mut told, &[], &without_n2, 100), "");
        assert_eq!(look(&mut told, &[], &without_n2, 300), "Over node/n1/disk");
        assert_eq!(look(&mut told, &[], &ALL, 400), "");
        assert_eq!(
            look(&mut told, &[], &ALL, 500),
            "Over backup/shop, Over http/shop, Over node/n1/engine, Over node/n2/disk, Over node/n2/down"
        );
    }

    /// A registry that nobody can ask says nothing of the domain that it told of before.
    #[test]
    fn a_domain_that_was_not_read_is_not_over() {
        let without = LookedAt {
            read: &|source| *source != AlertSource::Domain("example.org".into()),
            quiet: false,
        };
        let mut told = ToldAlerts::default();
        let all = [alert("domain/example.org", AlertKind::Dns, None)];
        assert_eq!(look(&mut told, &all, &ALL, 0), "Begun domain/example.org");
        let kept = serde_json::to_string(&told).unwrap();
        assert!(kept.contains(r#"{"Domain":"example.org"}"#), "{kept}");
        // Earlier versions kept it as the fleet's.
        let earlier = kept.replace(r#"{"Domain":"example.org"}"#, "\"Fleet\"");
        assert_ne!(kept, earlier);
        for kept in [kept, earlier] {
            let mut told: ToldAlerts = serde_json::from_str(&kept).unwrap();
            assert_eq!(look(&mut told, &[], &without, 100), "");
            assert_eq!(look(&mut told, &[], &without, 300), "");
            assert_eq!(look(&mut told, &[], &ALL, 400), "");
            assert_eq!(look(&mut told, &[], &ALL, 500), "Over domain/example.org");
        }
    }

    #[test]
    fn a_clock_that_was_ahead_keeps_nothing_back() {
        let mut told = ToldAlerts::default();
        let ahead = 400 * 86_400;
        let all = [alert("node/n1/disk", AlertKind::Disk, Some(ahead))];
        assert_eq!(
            look(&mut told, &all, &ALL, ahead + 100),
            "Begun node/n1/disk"
        );
        assert_eq!(look(&mut told, &[], &ALL, ahead + 200), "");
        // It is right again.
        assert_eq!(look(&mut told, &all, &ALL, 0), "Still node/n1/disk");
        assert_eq!(look(&mut told, &[], &ALL, 120), "");
        assert_eq!(look(&mut told, &[], &ALL, 240), "Over node/n1/disk");
        let cpu = [alert("node/n1/cpu", AlertKind::Cpu, Some(ahead))];
        assert_eq!(look(&mut told, &cpu, &ALL, 300), "Begun node/n1/cpu");
    }

    #[test]
    fn what_the_operator_ignores_is_not_told() {
        let mut told = ToldAlerts::default();
        let mut ignored = alert("node/n1/disk", AlertKind::Disk, None);
        ignored.silence = Some(Silence { until: None });
        assert_eq!(look(&mut told, &[ignored.clone()], &ALL, 0), "");
        let shown = alert("node/n1/disk", AlertKind::Disk, None);
        assert_eq!(look(&mut told, &[shown], &ALL, 120), "Begun node/n1/disk");
        assert_eq!(look(&mut told, &[ignored], &ALL, REPEAT * 2), "");
    }

    /// A message that was not taken is told in the next look, with what came meanwhile.
    #[test]
    fn what_did_not_arrive_is_told_again() {
        let told = ToldAlerts::default();
        let one = [alert("a", AlertKind::Http, None)];
        let (message, _) = told.take_look("f", &one, &ALL, at(0));
        assert_eq!(message.unwrap().title(), "f: a: is wrong");
        let mut two = one.to_vec();
        two.push(alert("b\u{1b}[2J", AlertKind::Edge, Some(-7200)));
        two[1].severity = AlertSeverity::Critical;
        let (message, next) = told.take_look("f", &two, &ALL, at(0));
        let message = message.unwrap();
        assert!(message.is_critical());
        assert_eq!(message.title(), "f: b: is wrong (and one more)");
        assert_eq!(
            message.text(),
            "CRITICAL  b: is wrong (for 2 h)\nwarning  a: is wrong\n"
        );
        let (_, next) = next.take_look("f", &[], &ALL, at(10));
        let (message, _) = next.take_look("f", &[], &ALL, at(100));
        assert_eq!(message.unwrap().title(), "f: 2 alerts over");
    }
}
