//! The digest: one calm message by day or week of what went well and what is to be expected. Pure: its figures come
//! from what was read and what is kept; what is not known is said to be so, or left out.

use matou_i18n::{tr, trn};

use jiff::{SignedDuration, Timestamp};
use serde::Serialize;

use super::trend::days_until_full;
use super::{Alert, AlertSeverity, LoadHistory};
use matou_base::text::{clean_line, fit_to_width, format_ago, format_seconds};
use matou_config::AlertsConfig;
use matou_model::{
    Certificate, CertificateState, DomainExpiry, Fleet, NightOutcome, RegisteredDomain,
    RehearsalReport,
};

/// Things of one kind that are named; the rest is counted.
const MOST_NAMED: usize = 5;

/// Disks that are full later than that are not worth a word, days.
const FAR: f64 = 365.0;

/// Domains that end later than that are not named, days.
const DOMAIN_DAYS: i64 = 60;

/// Columns of the word before a line.
const LABEL: usize = 14;

/// What a digest is made of.
pub struct DigestInputs<'a> {
    /// The fleet as it was read just now.
    pub fleet: &'a Fleet,
    /// What is wrong now.
    pub alerts: &'a [Alert],
    /// Loads of the last week.
    pub loads: &'a LoadHistory,
    /// The last rehearsal of each application; `None` where they can't be read.
    pub rehearsals: Option<&'a [RehearsalReport]>,
    /// Registered domains; none where nobody is asked.
    pub domains: &'a [RegisteredDomain],
    /// `[alerts]`.
    pub limits: &'a AlertsConfig,
    /// Whether config.toml names a repository.
    pub has_repository: bool,
    /// The days that it tells of.
    pub days: u32,
    /// When they end.
    pub now: Timestamp,
}

/// What a line of a digest is about.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize)]
#[serde(rename_all = "lowercase")]
pub enum DigestSubject {
    /// What is wrong now.
    Alerts,
    /// Nights that were backed up.
    Nights,
    /// How disks fill.
    Disks,
    /// Certificates renewed and due.
    Certificates,
    /// Registrations that end.
    Domains,
    /// The last drill.
    Drill,
    /// The last rehearsal of an update.
    Rehearsal,
    /// Updates that were rehearsed and not made.
    Updates,
}

impl DigestSubject {
    fn label(self) -> &'static str {
        match self {
            Self::Alerts => tr!("alerts"),
            Self::Nights => tr!("nights"),
            Self::Disks => tr!("disks"),
            Self::Certificates => tr!("certificates"),
            Self::Domains => tr!("domains"),
            Self::Drill => tr!("last drill"),
            Self::Rehearsal => tr!("rehearsal"),
            Self::Updates => tr!("updates"),
        }
    }
}

/// A line of a digest.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct DigestLine {
    /// What it is about.
    pub about: DigestSubject,
    /// What is to be said of it, in one line.
    pub text: String,
}

/// One message about a day or a week.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct Digest {
    /// Name of the fleet.
    pub fleet: String,
    /// One line: what a telephone shows of it.
    pub title: String,
    /// When it was made.
    pub at: Timestamp,
    /// The days that it tells of.
    pub days: u32,
    /// What matters most first.
    pub lines: Vec<DigestLine>,
}

impl Digest {
    /// Makes the digest of the days that end now.
    pub fn new(inputs: &DigestInputs<'_>) -> Self {
        let (alerts, all_alerts) = describe_alerts(inputs.alerts);
        let (nights, all_nights) = describe_nights(inputs);
        let fleet = clean_line(&inputs.fleet.name).into_owned();
        let title = match inputs.days {
            1 => tr!("{fleet}: the day: {nights}, {alerts}"),
            _ => tr!("{fleet}: the week: {nights}, {alerts}"),
        };
        let parts = [
            (DigestSubject::Alerts, Some(all_alerts)),
            (DigestSubject::Nights, Some(all_nights)),
            (DigestSubject::Disks, describe_disks(inputs)),
            (DigestSubject::Certificates, describe_certificates(inputs)),
            (DigestSubject::Domains, describe_domains(inputs)),
            (DigestSubject::Drill, describe_drill(inputs)),
            (DigestSubject::Rehearsal, describe_rehearsal(inputs)),
            (DigestSubject::Updates, describe_updates(inputs)),
        ];
        let lines = parts.into_iter().filter_map(|(about, text)| {
            let text = clean_line(&text?).into_owned();
            Some(DigestLine { about, text })
        });
        Self {
            title: clean_line(&title).into_owned(),
            fleet,
            at: inputs.now,
            days: inputs.days,
            lines: lines.collect(),
        }
    }

    /// The text: a line each.
    pub fn text(&self) -> String {
        let line = |l: &DigestLine| {
            let label = fit_to_width(l.about.label(), LABEL, "…");
            format!("{label}{}\n", l.text)
        };
        self.lines.iter().map(line).collect()
    }
}

/// Names the first few, and counts the rest.
fn join_some(all: &[String]) -> String {
    let named = all[..all.len().min(MOST_NAMED)].join("; ");
    match all.len().saturating_sub(MOST_NAMED) {
        0 => named,
        more => trn!(more, "{named}; and one more", "{named}; and {n} more"),
    }
}

fn format_days(days: i64) -> String {
    trn!(days, "{n} day", "{n} days")
}

/// What is wrong: how much, and what.
fn describe_alerts(alerts: &[Alert]) -> (String, String) {
    let mut open: Vec<&Alert> = alerts.iter().filter(|a| a.silence.is_none()).collect();
    if open.is_empty() {
        return (tr!("no alert").to_owned(), tr!("none").to_owned());
    }
    open.sort_by_key(|a| std::cmp::Reverse(a.severity));
    let critical = open
        .iter()
        .filter(|a| a.severity == AlertSeverity::Critical)
        .count();
    let said: Vec<String> = open.iter().map(|a| tr!("{}: {}", a.what, a.why)).collect();
    let count = trn!(open.len(), "{n} alert", "{n} alerts");
    let named = join_some(&said);
    let all = match critical {
        0 => tr!("{count}: {named}"),
        _ => tr!("{count}, {critical} critical: {named}"),
    };
    (count, all)
}

/// How the nights of a time went.
#[derive(Debug, Default, PartialEq, Eq)]
struct NightCount {
    due: usize,
    saved: usize,
    partly: usize,
    failed: usize,
}

/// Counts the nights: of each 24 hours the best report. Those before the first report were not due.
fn count_nights(inputs: &DigestInputs<'_>, nights: &[(Timestamp, NightOutcome)]) -> NightCount {
    let mut count = NightCount::default();
    let Some(first) = nights.iter().map(|(at, _)| *at).min() else {
        return count;
    };
    for day in 0..i64::from(inputs.days) {
        let end = inputs.now - SignedDuration::from_hours(24 * day);
        let begin = end - SignedDuration::from_hours(24);
        if first > end {
            break;
        }
        count.due += 1;
        let of_day = nights.iter().filter(|(at, _)| (begin..end).contains(at));
        match of_day.map(|(_, outcome)| *outcome).min() {
            Some(NightOutcome::Done) => count.saved += 1,
            Some(NightOutcome::Warning) => {
                count.saved += 1;
                count.partly += 1;
            }
            Some(NightOutcome::Failed) => count.failed += 1,
            None => {}
        }
    }
    count
}

/// How the nights went: how many were saved, and all that is to be said of them.
fn describe_nights(inputs: &DigestInputs<'_>) -> (String, String) {
    let none = |why: &str| (tr!("no night saved").to_owned(), tr!("none saved: {why}"));
    let unknown = |why: &str| (tr!("nights not known").to_owned(), tr!("not known: {why}"));
    if !inputs.has_repository {
        return none(tr!("[backup] names no repository"));
    }
    let backups = &inputs.fleet.backups;
    let schedule = match (backups.value(), backups.error()) {
        (Some(read), None) => read.schedule.as_ref(),
        (_, Some(why)) => return unknown(why),
        (None, None) => return unknown(tr!("they were not read")),
    };
    let all = schedule.map_or(&[][..], |s| &s.nights);
    let nights: Vec<_> = all.iter().map(|n| (n.at, n.outcome)).collect();
    let count = count_nights(inputs, &nights);
    if count.due == 0 {
        return none(tr!("no backup has been made yet"));
    }
    let NightCount { due, saved, .. } = count;
    let short = trn!(
        due,
        "{saved} night of {n} saved",
        "{saved} nights of {n} saved"
    );
    let mut said = vec![tr!("{saved} of {due} saved")];
    if count.partly > 0 {
        said.push(trn!(count.partly, "{n} in part", "{n} in part"));
    }
    if count.failed > 0 {
        said.push(trn!(count.failed, "{n} failed", "{n} failed"));
    }
    let silent = due - saved - count.failed;
    if silent > 0 {
        said.push(trn!(
            silent,
            "of {n} nothing is known",
            "of {n} nothing is known"
        ));
    }
    if schedule.is_none_or(|s| s.next.is_none()) {
        said.push(tr!("the timer is off").to_owned());
    }
    (short, said.join(", "))
}

fn describe_disks(inputs: &DigestInputs<'_>) -> Option<String> {
    let nodes = inputs.fleet.nodes.iter().filter(|n| n.configured);
    let mut said = Vec::new();
    let mut filling: Vec<(f64, &str)> = Vec::new();
    let mut fullest: Option<(f32, &str)> = None;
    let mut is_known = false;
    for node in nodes {
        if let Some(read) = node.metrics.value() {
            let percent = read.disk_percent();
            if fullest.is_none_or(|(most, _)| percent > most) {
                fullest = Some((percent, &node.name));
            }
        }
        let trend = days_until_full(inputs.loads, &node.name, inputs.now);
        is_known |= trend.is_some();
        match trend.flatten() {
            Some(days) if days < FAR => filling.push((days, &node.name)),
            _ => {}
        }
    }
    filling.sort_by(|a, b| a.0.total_cmp(&b.0));
    let full: Vec<String> = filling
        .iter()
        .map(|(days, node)| tr!("{node} full in {}", format_days(days.floor() as i64)))
        .collect();
    match (full.is_empty(), is_known) {
        (false, _) => said.push(join_some(&full)),
        (true, true) => said.push(tr!("none fills steadily").to_owned()),
        (true, false) => {}
    }
    if let Some((percent, node)) = fullest {
        said.push(tr!("the fullest is that of {node}, {percent:.0} %"));
    }
    if !is_known {
        said.push(tr!("when they are full is not known before two days of figures").to_owned());
    }
    fullest.is_some().then(|| said.join(", "))
}

fn describe_certificates(inputs: &DigestInputs<'_>) -> Option<String> {
    let certificates = &inputs.fleet.certificates;
    if let Some(why) = certificates.error() {
        return Some(tr!("not known: {why}"));
    }
    let used: Vec<&Certificate> = certificates.value()?.iter().filter(|c| !c.orphan).collect();
    if used.is_empty() {
        return None;
    }
    let most = inputs.limits.certificate_days;
    let begin = inputs.now - SignedDuration::from_hours(24 * i64::from(inputs.days));
    let is_renewed = |c: &&&Certificate| {
        let mut served = c.nodes.iter().filter_map(|(_, s)| s.as_ref().ok());
        served.any(|s| s.not_before > begin && s.not_before <= inputs.now)
    };
    let renewed = used.iter().filter(is_renewed).count();
    let due: Vec<String> = used
        .iter()
        .filter(|c| c.state_at(inputs.now, most) != CertificateState::Good)
        .map(|c| match c.worst_served(inputs.now, most) {
            Some(served) => {
                let left = format_days(served.days_left(inputs.now).max(0));
                tr!("{}: {left} left", c.domain)
            }
            None => tr!("{}: none is served", c.domain),
        })
        .collect();
    let count = trn!(used.len(), "{n} served", "{n} served");
    let renewed = trn!(renewed, "{n} new", "{n} new");
    Some(match due.is_empty() {
        true => tr!("{count}, {renewed}, none due"),
        false => tr!("{count}, {renewed}, due: {}", join_some(&due)),
    })
}

fn describe_domains(inputs: &DigestInputs<'_>) -> Option<String> {
    let known: Vec<(&str, &DomainExpiry)> = inputs
        .domains
        .iter()
        .filter_map(|d| Some((d.name.as_str(), d.expiry.as_ref().ok()?)))
        .collect();
    if known.is_empty() {
        return None;
    }
    // Registries add a year before they give a domain up: what is lost, or nearly so, comes first whatever it has left.
    let rank = |expiry: &DomainExpiry| match (expiry.gone, expiry.lapsing) {
        (true, _) => 0,
        (false, true) => 1,
        (false, false) => 2,
    };
    let left = |expiry: &DomainExpiry| expiry.days_left(inputs.now);
    let is_ending = |d: &&(&str, &DomainExpiry)| rank(d.1) < 2 || left(d.1) < DOMAIN_DAYS;
    let mut ending: Vec<&(&str, &DomainExpiry)> = known.iter().filter(is_ending).collect();
    ending.sort_by_key(|d| (rank(d.1), left(d.1)));
    let said: Vec<String> = ending
        .iter()
        .map(|(name, expiry)| match left(expiry) {
            _ if expiry.gone => tr!("{name} is not known to its registry any more"),
            _ if expiry.lapsing => tr!("{name} was not renewed and is about to be given up"),
            ..0 => tr!("{name} has expired"),
            left => tr!("{name} expires in {}", format_days(left)),
        })
        .collect();
    let mut text = match said.is_empty() {
        true => tr!("none expires within {DOMAIN_DAYS} days"),
        false => join_some(&said),
    };
    let unknown = inputs.domains.len() - known.len();
    if unknown > 0 {
        text.push_str(&trn!(unknown, ", {n} not known", ", {n} not known"));
    }
    Some(text)
}

/// A drill is known on the machine that made it.
fn describe_drill(inputs: &DigestInputs<'_>) -> Option<String> {
    let drill = inputs.fleet.backups.value()?.drill.as_ref()?;
    Some(drill.summary_line(inputs.now))
}

fn describe_rehearsal(inputs: &DigestInputs<'_>) -> Option<String> {
    let newest = inputs.rehearsals?.iter().max_by_key(|r| r.at)?;
    let took = format_seconds(i64::try_from(newest.total_seconds()).unwrap_or(i64::MAX));
    let (app, ago) = (&newest.app, format_ago(inputs.now, newest.at));
    Some(match newest.is_success() {
        true => tr!("{app}, {took}, the update would succeed, {ago}"),
        false => tr!("{app}, {took}, the update would fail, {ago}"),
    })
}

/// Names updates that were rehearsed well, and whose services run their old images still.
fn describe_updates(inputs: &DigestInputs<'_>) -> Option<String> {
    let services = &inputs.fleet.swarm.value()?.services;
    let runs = |app: &str, service: &str, image: &str| {
        let full = format!("{app}_{service}");
        let found = services.iter().find(|s| s.name == full);
        found.is_some_and(|s| s.image == image)
    };
    let waiting: Vec<String> = inputs
        .rehearsals?
        .iter()
        .filter(|r| r.is_success())
        .filter_map(|r| {
            let waits = |i: &&matou_model::RehearsedImage| runs(&r.app, &i.service, &i.from);
            let image = r.images.iter().find(waits)?;
            Some(format!("{}: {} → {}", r.app, image.from, image.to))
        })
        .collect();
    (!waiting.is_empty()).then(|| tr!("rehearsed and not made yet: {}", join_some(&waiting)))
}

#[cfg(test)]
mod tests {
    use super::super::load_history::LoadHistory;
    use super::super::{AlertKind, AlertTarget, Remedy};
    use super::*;
    use matou_model::{
        BackupNight, BackupSchedule, Backups, Drill, Metrics, Reading, RehearsedImage,
        RehearsedPart, ServedCertificate,
    };

    const NOW: i64 = 1_800_000_000;

    fn hours_ago(hours: i64) -> Timestamp {
        Timestamp::from_second(NOW - hours * 3600).unwrap()
    }

    fn record<T>(reading: &mut Reading<T>, value: T) {
        reading.record(Ok(value), hours_ago(0));
    }

    fn alert(what: &str, why: &str, severity: AlertSeverity) -> Alert {
        Alert {
            key: what.to_owned(),
            kind: AlertKind::Disk,
            severity,
            what: what.to_owned(),
            why: why.to_owned(),
            since: None,
            target: AlertTarget::Fleet,
            remedy: Remedy::Shell,
            silence: None,
        }
    }

    fn fleet_with_nights(nights: &[(i64, NightOutcome)]) -> Fleet {
        let mut fleet = Fleet::new("chaton", Vec::new());
        let night = |(hours, outcome): &(i64, NightOutcome)| BackupNight {
            at: hours_ago(*hours),
            outcome: *outcome,
        };
        let backups = Backups {
            schedule: Some(BackupSchedule {
                next: Some(hours_ago(-19)),
                nights: nights.iter().map(night).collect(),
                ..BackupSchedule::default()
            }),
            ..Backups::default()
        };
        record(&mut fleet.backups, backups);
        fleet
    }

    fn inputs<'a>(
        fleet: &'a Fleet,
        loads: &'a LoadHistory,
        limits: &'a AlertsConfig,
    ) -> DigestInputs<'a> {
        DigestInputs {
            fleet,
            alerts: &[],
            loads,
            rehearsals: Some(&[]),
            domains: &[],
            limits,
            has_repository: true,
            days: 7,
            now: hours_ago(0),
        }
    }

    fn limits() -> AlertsConfig {
        let text = "[[nodes]]\nname = \"n1\"\nrole = \"manager\"\n";
        let read = matou_config::Config::parse(text, std::path::Path::new("config.toml"));
        read.unwrap().alerts
    }

    #[test]
    fn nights_are_counted_by_day_and_what_is_not_known_is_said() {
        use NightOutcome::{Done, Failed, Warning};
        let (loads, limits) = (LoadHistory::default(), limits());
        let said = |nights: &[(i64, NightOutcome)]| {
            describe_nights(&inputs(&fleet_with_nights(nights), &loads, &limits)).1
        };
        let week: Vec<_> = (0..10).map(|day| (day * 24 + 5, Done)).collect();
        assert_eq!(said(&week), "7 of 7 saved");
        let mut mixed = week.clone();
        mixed[1].1 = Failed;
        mixed[2].1 = Warning;
        mixed.remove(4);
        // A second try of the night that failed.
        mixed.push((30, Failed));
        assert_eq!(
            said(&mixed),
            "5 of 7 saved, 1 in part, 1 failed, of 1 nothing is known"
        );
        mixed.push((28, Done));
        assert!(said(&mixed).starts_with("6 of 7 saved, 1 in part, of 1"));
        // A fleet of two nights has not missed five.
        assert_eq!(said(&[(29, Done), (5, Done)]), "2 of 2 saved");
        assert_eq!(said(&[]), "none saved: no backup has been made yet");

        let mut fleet = fleet_with_nights(&week);
        let failed: Result<Backups, _> = Err("the storage node is away".into());
        fleet.backups.record(failed, hours_ago(0));
        assert_eq!(
            describe_nights(&inputs(&fleet, &loads, &limits)).1,
            "not known: the storage node is away"
        );
        let none = DigestInputs {
            has_repository: false,
            ..inputs(&fleet, &loads, &limits)
        };
        assert_eq!(
            describe_nights(&none).1,
            "none saved: [backup] names no repository"
        );
    }

    #[test]
    fn a_disk_is_full_in_so_many_days_by_the_line_of_its_week() {
        let mut loads = LoadHistory::default();
        let percent = |hours: i64, per_day: f32, name: &str, loads: &mut LoadHistory| {
            for hour in (0..hours).rev() {
                let used = 60.0 - per_day * hour as f32 / 24.0;
                let metrics = Metrics {
                    disk_used: (used * 1e9) as u64,
                    disk_total: 100_000_000_000,
                    ..Metrics::default()
                };
                loads.add_reading(name, hours_ago(hour), &metrics);
            }
        };
        percent(160, 1.0, "n1", &mut loads);
        percent(160, 0.0, "n2", &mut loads);
        percent(40, 5.0, "n3", &mut loads);
        let days = |node: &str| days_until_full(&loads, node, hours_ago(0));
        let n1 = days("n1").unwrap().unwrap();
        assert!((39.0..=41.0).contains(&n1), "{n1}");
        assert_eq!(days("n2"), Some(None));
        assert_eq!(days("n3"), None, "less than two days");
        assert_eq!(days("n4"), None);
    }

    fn certificate(domain: &str, age_days: i64, left_days: i64) -> Certificate {
        let served = ServedCertificate {
            issuer: "R10".into(),
            names: vec![domain.to_owned()],
            not_before: hours_ago(age_days * 24 - 1),
            not_after: hours_ago(-left_days * 24 - 1),
            problem: None,
            pem: String::new(),
            chain: Vec::new(),
        };
        Certificate {
            domain: domain.into(),
            service: "shop_web".into(),
            nodes: vec![("n1".into(), Ok(served))],
            stored: None,
            orphan: false,
        }
    }

    #[test]
    fn domains_that_are_lost_come_before_those_that_end() {
        let domain = |name: &str, days: i64, lapsing: bool, gone: bool| RegisteredDomain {
            name: name.into(),
            apps: Vec::new(),
            expiry: Ok(DomainExpiry {
                at: hours_ago(-days * 24 - 1),
                lapsing,
                gone,
                read: hours_ago(3),
            }),
        };
        let unknown = RegisteredDomain {
            name: "e.org".into(),
            apps: Vec::new(),
            expiry: Err("its registry does not answer".into()),
        };
        let all = [
            domain("a.org", 20, false, false),
            domain("b.org", 300, false, false),
            domain("c.org", 380, true, false),
            domain("d.org", 340, true, true),
            unknown,
        ];
        let (fleet, loads, limits) = (fleet_with_nights(&[]), LoadHistory::default(), limits());
        let said = |domains: &[RegisteredDomain]| {
            describe_domains(&DigestInputs {
                domains,
                ..inputs(&fleet, &loads, &limits)
            })
        };
        assert_eq!(
            said(&all).as_deref(),
            Some(
                "d.org is not known to its registry any more; \
                 c.org was not renewed and is about to be given up; \
                 a.org expires in 20 days, 1 not known"
            )
        );
        let well = said(&all[1..2]);
        assert_eq!(well.as_deref(), Some("none expires within 60 days"));
        assert_eq!(said(&all[4..]), None);
    }

    /// The whole message, as it is sent.
    #[test]
    fn a_digest_is_one_calm_message() {
        let week: Vec<_> = (0..28).map(|d| (d * 24 + 5, NightOutcome::Done)).collect();
        let mut fleet = fleet_with_nights(&week);
        let mut backups = fleet.backups.value().unwrap().clone();
        backups.drill = Some(Drill {
            at: hours_ago(145),
            took: std::time::Duration::from_secs(725),
            up: 11,
            all: 11,
            problem: None,
        });
        record(&mut fleet.backups, backups);
        let certificates = vec![
            certificate("shop.example.org", 3, 87),
            certificate("blog.example.org", 85, 5),
            certificate("old.example.org", 40, 50),
        ];
        record(&mut fleet.certificates, certificates);
        let rehearsal = RehearsalReport {
            app: "shop".into(),
            at: hours_ago(50),
            snapshot: String::new(),
            snapshot_at: hours_ago(60),
            images: vec![RehearsedImage {
                service: "web".into(),
                from: "shop:1.2.3".into(),
                to: "shop:1.2.4".into(),
                step: None,
            }],
            parts: vec![RehearsedPart {
                name: "update".into(),
                seconds: 245,
                seen: None,
            }],
            log: Vec::new(),
            failure: None,
        };
        let domain = |name: &str, days: i64| RegisteredDomain {
            name: name.into(),
            apps: Vec::new(),
            expiry: Ok(DomainExpiry {
                at: hours_ago(-days * 24 - 1),
                lapsing: false,
                gone: false,
                read: hours_ago(3),
            }),
        };
        let alerts = [
            alert("n1", "the disk is at 96 %", AlertSeverity::Warning),
            alert(
                "blog\u{1b}[2J",
                "it does not answer",
                AlertSeverity::Critical,
            ),
        ];
        let (loads, limits) = (LoadHistory::default(), limits());
        let digest = Digest::new(&DigestInputs {
            alerts: &alerts,
            rehearsals: Some(&[rehearsal]),
            domains: &[domain("example.org", 20), domain("example.net", 300)],
            ..inputs(&fleet, &loads, &limits)
        });
        assert_eq!(
            digest.title,
            "chaton: the week: 7 nights of 7 saved, 2 alerts"
        );
        assert_eq!(
            digest.text(),
            "alerts        2 alerts, 1 critical: blog: it does not answer; n1: the disk is at 96 %\n\
             nights        7 of 7 saved\n\
             certificates  3 served, 1 new, due: blog.example.org: 5 days left\n\
             domains       example.org expires in 20 days\n\
             last drill    12 min, all 11 applications answered, 6 d ago\n\
             rehearsal     shop, 4 min, the update would succeed, 2 d ago\n"
        );
        let quiet = Digest::new(&DigestInputs {
            days: 1,
            ..inputs(&fleet, &loads, &limits)
        });
        assert_eq!(quiet.title, "chaton: the day: 1 night of 1 saved, no alert");
    }
}
