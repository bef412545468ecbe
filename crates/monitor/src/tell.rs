//! Whom was told what: the messages about alerts that begin, last and end, for one receiver, from one look after
//! another. What follows from a lost node is told with that node, and by itself when it outlasts it. Pure;
//! [`super::ToldStore`] keeps it between the looks.

use matou_i18n::{tr, trn};
use std::collections::{BTreeMap, BTreeSet};

use jiff::Timestamp;
use serde::{Deserialize, Serialize};

use super::domains::KEY_PREFIX;
use super::lost_nodes::LostNode;
use super::{Alert, AlertKind, AlertSeverity, AlertTarget};
use matou_base::text::{clean_line, format_age};

/// An alert that lasts is told again so often, seconds.
const REPEAT: i64 = 12 * 3600;

/// An alert is over when it was not seen for this long, seconds: longer than a task takes to be replaced.
const RELEASE: i64 = 60;

/// So many applications of a lost node are named in a text.
const NAMED: usize = 18;

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
    /// Where it says that a node is lost: the applications that its messages counted.
    #[serde(default, skip_serializing_if = "BTreeSet::is_empty")]
    counted: BTreeSet<String>,
    /// Keys of the alerts that follow from it, and were not told.
    #[serde(default, skip_serializing_if = "BTreeSet::is_empty")]
    followers: BTreeSet<String>,
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
    /// Applications that are not well because this node is lost: nobody is told of each.
    #[serde(skip_serializing_if = "Vec::is_empty")]
    pub apps: Vec<String>,
}

/// All that one receiver is to be told after one look: one message, however many alerts there are.
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
    /// Nodes that are lost: what follows from that is told with them.
    pub lost: &'a [LostNode],
}

impl LookedAt<'_> {
    /// Whether nobody wants to hear of an alert now.
    fn is_kept_back(&self, alert: &Alert) -> bool {
        alert.silence.is_some() || self.quiet && alert.severity < AlertSeverity::Critical
    }
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
        let mut lines = next.end_missing(alerts, looked, now);
        for node in looked.lost {
            lines.extend(next.tell_loss(node, alerts, looked, now));
        }
        for alert in alerts {
            if next.take_follower(alert, looked, now) {
                continue;
            }
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
                None if looked.is_kept_back(alert) || !has_lasted(alert, now) => continue,
                None => TellReason::Begun,
            };
            lines.push(next.tell_alert(alert, state, looked, now));
        }
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

    /// Remembers that an alert is told. Returns its line.
    fn tell_alert(
        &mut self,
        alert: &Alert,
        state: TellReason,
        looked: &LookedAt<'_>,
        now: Timestamp,
    ) -> TellLine {
        let mut told = ToldAlert::of(alert, now);
        let mut why = told.why.clone();
        let mut apps = Vec::new();
        if let Some(node) = looked.lost.iter().find(|n| n.is_told_by(alert)) {
            if node.had_edge() {
                why = tr!("{why}; no node takes https without it");
            }
            apps.extend(node.apps().iter().map(|a| clean_line(a).into_owned()));
            told.counted.clone_from(node.apps());
        }
        let line = TellLine {
            state,
            key: alert.key.clone(),
            severity: alert.severity,
            what: told.what.clone(),
            why,
            since: alert.since,
            apps,
        };
        if let Some(before) = self.alerts.remove(&alert.key) {
            told.counted.extend(before.counted);
            told.followers = before.followers;
        }
        self.alerts.insert(alert.key.clone(), told);
        line
    }

    /// Tells that a node is lost as soon as that, or anything that follows from it, is to be told. Of its alerts one is
    /// told: the managers' word rather than that of a link, which may be broken alone.
    fn tell_loss(
        &mut self,
        node: &LostNode,
        alerts: &[Alert],
        looked: &LookedAt<'_>,
        now: Timestamp,
    ) -> Option<TellLine> {
        if self.find_loss(node).is_some() {
            return None;
        }
        let is_wanted = |a: &&Alert| !looked.is_kept_back(a);
        let own = alerts.iter().filter(is_wanted);
        let first = own
            .filter(|a| node.is_told_by(a))
            .max_by_key(|a| a.kind == AlertKind::NodeDown)?;
        let is_due = alerts.iter().filter(is_wanted).any(|a| {
            let is_of_it = node.is_told_by(a) || node.find_app_of(a).is_some();
            is_of_it && !self.alerts.contains_key(&a.key) && has_lasted(a, now)
        });
        is_due.then(|| self.tell_alert(first, TellReason::Begun, looked, now))
    }

    /// Returns the key of the alert by which the loss of a node was told.
    fn find_loss(&self, node: &LostNode) -> Option<String> {
        let mut keys = node.list_keys().into_iter();
        keys.find(|key| self.alerts.contains_key(key))
    }

    /// Whether an alert that was not told follows from a node whose loss was; remembers that then.
    fn take_follower(&mut self, alert: &Alert, looked: &LookedAt<'_>, now: Timestamp) -> bool {
        if self.alerts.contains_key(&alert.key) {
            return false;
        }
        let mut lost = looked.lost.iter();
        let cause = lost.find_map(|node| self.find_cause(alert, node));
        let cause = cause.or_else(|| self.find_cause_that_ends(alert, now));
        let Some(told) = cause.and_then(|key| self.alerts.get_mut(&key)) else {
            return false;
        };
        told.followers.insert(alert.key.clone());
        true
    }

    /// Returns the key of the told loss of a node from which an alert follows. One that is critical follows from none
    /// that was told without its application.
    fn find_cause(&self, alert: &Alert, node: &LostNode) -> Option<String> {
        let key = self.find_loss(node)?;
        let counted = &self.alerts.get(&key)?.counted;
        let is_known =
            |app: &str| alert.severity < AlertSeverity::Critical || counted.contains(app);
        let follows = node.is_told_by(alert) || node.find_app_of(alert).is_some_and(is_known);
        follows.then_some(key)
    }

    /// Returns the key of the loss from which an alert followed until now, while that is about to be over: what comes
    /// back has as long to come back too.
    fn find_cause_that_ends(&self, alert: &Alert, now: Timestamp) -> Option<String> {
        let is_ending =
            |gone: Timestamp| (0..RELEASE).contains(&(now.as_second() - gone.as_second()));
        let mut all = self.alerts.iter();
        let found = all.find(|(_, told)| {
            told.followers.contains(&alert.key) && told.gone.is_some_and(is_ending)
        });
        found.map(|(key, _)| key.clone())
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
                apps: Vec::new(),
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
            counted: BTreeSet::new(),
            followers: BTreeSet::new(),
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

impl TellLine {
    /// The reason, and how many applications are concerned.
    fn summary(&self) -> String {
        match self.apps.len() {
            0 => self.why.clone(),
            count => trn!(
                count,
                "{why}; {n} application is affected",
                "{why}; {n} applications are affected",
                why = self.why
            ),
        }
    }

    /// The same, with the names of the first of them.
    fn details(&self) -> String {
        let summary = self.summary();
        if self.apps.is_empty() {
            return summary;
        }
        let (named, others) = self.apps.split_at(self.apps.len().min(NAMED));
        let names = named.join(", ");
        match others.len() {
            0 => tr!("{summary}: {names}"),
            count => trn!(
                count,
                "{summary}: {names} and {n} other",
                "{summary}: {names} and {n} others"
            ),
        }
    }
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
                apps: Vec::new(),
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
            [one] => tr!("{}: {}", one.what, one.summary()),
            all if begun + still > 0 => {
                trn!(
                    all.len() - 1,
                    "{what}: {why} (and one more)",
                    "{what}: {why} (and {n} more)",
                    what = all[0].what,
                    why = all[0].summary()
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
            text.push_str(&tr!("{word}  {}: {}", line.what, line.details()));
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
    use super::super::{
        AlertEngine, AlertInputs, AlertLedger, DiskTrends, Remedy, Silence, evaluate_rules,
        find_lost_nodes,
    };
    use super::*;
    use matou_config::Config;
    use matou_model::{
        Datum, Fleet, Node, NodeLink, NodeState, Probe, Service, Swarm, SwarmNode, Task, TaskState,
        Update,
    };

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
        lost: &[],
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
            ..ALL
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
            ..ALL
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

    /// What is wrong in a look at thirty applications on n2, and one on n3.
    #[derive(Clone, Copy)]
    struct Scene<'a> {
        /// Since when n2 can't be connected to.
        link: Option<i64>,
        /// Since when the managers do not see n2.
        down: Option<i64>,
        /// Applications whose task failed, though its node is there.
        broken: &'a [&'a str],
        /// Applications that do not answer; `all` are those of n2.
        silent: &'a [&'a str],
    }

    const WELL: Scene<'static> = Scene {
        link: None,
        down: None,
        broken: &[],
        silent: &[],
    };

    fn task(app: &str, node: &str, state: TaskState, desired: TaskState, since: i64) -> Task {
        Task {
            id: format!("{app}-{since}"),
            service_id: format!("id-{app}"),
            slot: Some(1),
            node_id: node.to_owned(),
            state,
            desired,
            message: String::new(),
            error: String::new(),
            container_id: None,
            exit_code: None,
            ended_unasked: false,
            iteration: None,
            image: "x:1".into(),
            outdated: false,
            since: Some(at(since)),
        }
    }

    impl Scene<'_> {
        /// The tasks of an application, and how many of them count.
        fn tasks_of(&self, app: &str, node: &str) -> (Vec<Task>, u64) {
            use matou_model::TaskState::{Failed, Pending, Running, Shutdown};
            let waiting = |since| Task {
                error: "no suitable node (scheduling constraints not satisfied on 3 nodes)".into(),
                ..task(app, "", Pending, Running, since)
            };
            match self.down.filter(|_| node == "id-n2") {
                Some(down) => {
                    let cut = task(app, node, Running, Shutdown, -9000);
                    (vec![waiting(down), cut], 0)
                }
                None if self.broken.contains(&app) => {
                    let failed = task(app, node, Failed, Shutdown, -5000);
                    (vec![waiting(-4999), failed], 0)
                }
                None => (vec![task(app, node, Running, Running, -9000)], 1),
            }
        }

        fn fleet(&self, now: i64) -> Fleet {
            let link = |name: &str| match self.link.filter(|_| name == "n2") {
                Some(since) => NodeLink::Down {
                    reason: "no route".into(),
                    since: at(since),
                },
                None => NodeLink::Up,
            };
            let names = ["n1", "n2", "n3"];
            let nodes = names.map(|name| Node {
                name: name.into(),
                configured: true,
                link: link(name),
                ..Node::default()
            });
            let mut swarm = Swarm {
                nodes: names
                    .map(|name| SwarmNode {
                        id: format!("id-{name}"),
                        hostname: name.into(),
                        state: match self.down.filter(|_| name == "n2") {
                            Some(_) => NodeState::Down,
                            None => NodeState::Ready,
                        },
                        ..SwarmNode::default()
                    })
                    .into(),
                ..Swarm::default()
            };
            let mut probes = Vec::new();
            let on_n2 = (0..30).map(|i| (format!("app{i:02}"), "id-n2"));
            for (app, node) in on_n2.chain([("other".to_owned(), "id-n3")]) {
                let (tasks, running) = self.tasks_of(&app, node);
                swarm.tasks.extend(tasks);
                swarm.services.push(Service {
                    id: format!("id-{app}"),
                    name: format!("{app}_web"),
                    stack: Some(app.clone()),
                    wanted: 1,
                    running,
                    ..Service::default()
                });
                let of_node = self.silent.contains(&"all") && node == "id-n2";
                if of_node || self.silent.contains(&app.as_str()) {
                    probes.push(Probe {
                        app: app.clone(),
                        service: format!("{app}_web"),
                        domain: format!("{app}.example"),
                        path: "/".into(),
                        outcome: Err("it did not answer within 5 s".into()),
                    });
                }
            }
            let mut fleet = Fleet::new("f", nodes.into());
            for datum in [Datum::Swarm(Ok(swarm)), Datum::Probes(Ok(probes))] {
                fleet.apply(Update { at: at(now), datum });
            }
            fleet
        }
    }

    /// Looks after each other, as the managers' timer takes them.
    #[derive(Default)]
    struct Looks {
        ledger: AlertLedger,
        told: ToldAlerts,
    }

    impl Looks {
        fn message(&mut self, scene: Scene<'_>, now: i64) -> Option<TellMessage> {
            let fleet = scene.fleet(now);
            let mut engine = AlertEngine::for_single_look(self.ledger.clone());
            let findings = evaluate_rules(AlertInputs {
                fleet: &fleet,
                limits: &Config::this_machine().alerts,
                trends: &DiskTrends::default(),
                drift: &[],
                backups: &[],
                now: at(now),
            });
            engine.take_findings(findings, at(now));
            engine.end_unseen(at(now), |_| true);
            if let Some(ledger) = engine.take_changes() {
                self.ledger = ledger;
            }
            let alerts = engine.alerts(at(now));
            let looked = LookedAt {
                lost: &find_lost_nodes(&fleet, &alerts, at(now)),
                ..ALL
            };
            // As it is kept between two looks.
            let kept = serde_json::to_string(&self.told).unwrap();
            let told: ToldAlerts = serde_json::from_str(&kept).unwrap();
            let (message, next) = told.take_look("f", &alerts, &looked, at(now));
            self.told = next;
            message
        }

        /// The lines of a message as `state key`, sorted.
        fn take(&mut self, scene: Scene<'_>, now: i64) -> Vec<String> {
            let lines = self.message(scene, now).into_iter().flat_map(|m| m.alerts);
            let mut lines: Vec<String> =
                lines.map(|l| format!("{:?} {}", l.state, l.key)).collect();
            lines.sort();
            lines
        }
    }

    const NOTHING: [&str; 0] = [];

    #[test]
    fn a_node_that_dies_is_one_message_and_what_stays_wrong_is_told_after_it() {
        let mut looks = Looks::default();
        assert_eq!(looks.take(WELL, 0), NOTHING);
        // Its link first, which may come back at once.
        let cut_off = Scene {
            link: Some(100),
            ..WELL
        };
        assert_eq!(looks.take(cut_off, 100), NOTHING);
        let message = looks.message(cut_off, 130).unwrap();
        let names: Vec<String> = (0..18).map(|i| format!("app{i:02}")).collect();
        assert_eq!(
            message.text(),
            format!(
                "CRITICAL  n2: no route; 30 applications are affected: {} and 12 others\n",
                names.join(", ")
            )
        );
        assert_eq!(
            message.title(),
            "f: n2: no route; 30 applications are affected"
        );
        assert_eq!(message.alerts[0].apps.len(), 30);
        // Then the managers miss it, and with it the tasks of all; then nobody answers.
        let down = Scene {
            down: Some(150),
            ..cut_off
        };
        assert_eq!(looks.take(down, 160), NOTHING);
        let silent = Scene {
            silent: &["all", "other"],
            ..down
        };
        // One of another node fails meanwhile.
        assert_eq!(
            looks.take(silent, 190),
            ["Begun app/other/http/other.example"]
        );
        assert_eq!(looks.take(silent, 310), NOTHING);
        // It is back; two of its applications are not.
        let back = Scene {
            broken: &["app08"],
            silent: &["app07"],
            ..WELL
        };
        assert_eq!(looks.take(back, 430), NOTHING);
        assert_eq!(
            looks.take(back, 550),
            [
                "Begun app/app07/http/app07.example",
                "Begun service/app08_web/tasks",
                "Over app/other/http/other.example",
                "Over node/n2/link",
            ]
        );
        assert_eq!(looks.take(WELL, 670), NOTHING);
        assert_eq!(
            looks.take(WELL, 790),
            [
                "Over app/app07/http/app07.example",
                "Over service/app08_web/tasks"
            ]
        );
        assert_eq!(looks.told, ToldAlerts::default());
    }

    #[test]
    fn a_node_is_told_before_its_own_time_when_what_follows_from_it_is_due() {
        let mut looks = Looks::default();
        let silent = Scene {
            link: Some(10),
            silent: &["all"],
            ..WELL
        };
        assert_eq!(looks.take(silent, 10), ["Begun node/n2/link"]);
        assert_eq!(looks.take(silent, 40), NOTHING);
        // The managers still see it: what does not answer has another reason.
        let told = looks.take(silent, 130);
        assert_eq!(told.len(), 30, "{told:?}");
        assert!(told[0].starts_with("Begun app/app00/http/"), "{told:?}");
    }

    #[test]
    fn the_managers_word_of_a_node_goes_before_that_of_its_link() {
        let mut looks = Looks::default();
        let lost = Scene {
            link: Some(90),
            down: Some(95),
            silent: &["all"],
            ..WELL
        };
        assert_eq!(looks.take(lost, 120), ["Begun node/n2/swarm"]);
        assert_eq!(looks.take(lost, 240), NOTHING);
        // The managers see it, and it can't be connected to: that is another thing.
        let unreachable = Scene {
            link: Some(90),
            ..WELL
        };
        assert_eq!(looks.take(unreachable, 360), NOTHING);
        assert_eq!(
            looks.take(unreachable, 480),
            ["Begun node/n2/link", "Over node/n2/swarm"]
        );
    }

    #[test]
    fn what_was_told_before_the_node_was_lost_remains_its_own() {
        let mut looks = Looks::default();
        let broken = Scene {
            broken: &["app08"],
            ..WELL
        };
        assert_eq!(looks.take(broken, 0), ["Begun service/app08_web/tasks"]);
        let lost = Scene {
            link: Some(110),
            down: Some(110),
            ..broken
        };
        assert_eq!(looks.take(lost, 120), ["Begun node/n2/swarm"]);
        assert_eq!(looks.take(WELL, 240), NOTHING);
        assert_eq!(
            looks.take(WELL, 360),
            ["Over node/n2/swarm", "Over service/app08_web/tasks"]
        );
    }

    /// Earlier versions told of a node without its applications: of those that is told.
    #[test]
    fn a_critical_alert_follows_from_no_message_that_did_not_count_it() {
        let mut looks = Looks::default();
        let lost = Scene {
            link: Some(100),
            down: Some(110),
            ..WELL
        };
        assert_eq!(looks.take(lost, 120), ["Begun node/n2/swarm"]);
        let mut kept = serde_json::to_value(&looks.told).unwrap();
        let node = kept["alerts"]["node/n2/swarm"].as_object_mut().unwrap();
        assert!(node.remove("counted").is_some() && node.remove("followers").is_some());
        looks.told = serde_json::from_value(kept).unwrap();
        let told = looks.take(lost, 240);
        assert_eq!(told.len(), 30, "{told:?}");
    }
}
