//! Backups that were missed, from the age of the newest snapshot of each application.

use matou_i18n::{tr, trn};
use std::collections::BTreeMap;

use jiff::Timestamp;

use super::rules::{AlertKind, AlertSeverity, AlertTarget, Finding, Remedy};
use matou_base::text::format_seconds;
use matou_model::{Backups, Fleet, RestoreStanding, Snapshot, UnfinishedRestore};

/// When an application was backed up last.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct BackupAge {
    /// The application's name.
    pub app: String,
    /// Its newest snapshot of this fleet that is not dated in the future; `None` when there is none.
    pub newest: Option<Timestamp>,
    /// How many snapshots bear its name and don't count: of another fleet, or dated in the future.
    pub left_out: usize,
    /// When its first service was made: a new application has missed no backup yet.
    pub deployed: Option<Timestamp>,
}

/// Returns the age of the newest snapshot of every application that has volumes; nothing while
/// snapshots were not read.
pub fn backup_ages(fleet: &Fleet) -> Vec<BackupAge> {
    let Some(snapshots) = fleet.snapshots.value() else {
        return Vec::new();
    };
    let with_data =
        |app: &matou_model::AppServices<'_>| app.services.iter().any(|s| !s.volumes.is_empty());
    fleet
        .list_apps()
        .iter()
        .filter(|app| with_data(app))
        .map(|app| BackupAge {
            app: app.name.to_owned(),
            newest: snapshots
                .iter()
                .filter(|s| s.app.as_deref() == Some(app.name) && s.can_be_newest())
                .map(|s| s.at)
                .max(),
            left_out: snapshots
                .iter()
                .filter(|s| s.app.as_deref() == Some(app.name) && !s.can_be_newest())
                .count(),
            deployed: app.services.iter().filter_map(|s| s.created_at).min(),
        })
        .collect()
}

/// Finds applications whose newest snapshot is older than `hours`, or that have none.
pub fn find_missed_backups(ages: &[BackupAge], hours: u32, now: Timestamp) -> Vec<Finding> {
    let limit = i64::from(hours) * 3600;
    let old = |t: Timestamp| now.as_second() - t.as_second();
    ages.iter()
        .filter_map(|age| {
            let (severity, why) = match age.newest {
                Some(at) if old(at) <= limit => return None,
                Some(at) => (
                    AlertSeverity::Warning,
                    tr!(
                        "the newest snapshot is {} old; {hours} h are allowed",
                        format_seconds(old(at))
                    ),
                ),
                None if age.deployed.is_none_or(|t| old(t) <= limit) => return None,
                None => (
                    AlertSeverity::Critical,
                    match age.left_out {
                        0 => tr!("NOT BACKED UP: no snapshot holds it"),
                        _ => tr!(
                            "NOT BACKED UP: its snapshots are another fleet's, or dated in the future"
                        ),
                    }
                    .to_owned(),
                ),
            };
            Some(Finding {
                key: format!("app/{}/backup", age.app),
                kind: AlertKind::Backup,
                severity,
                what: age.app.clone(),
                why,
                since: None,
                target: AlertTarget::App(age.app.clone()),
                remedy: Remedy::Backups,
                near: false,
            })
        })
        .collect()
}

/// Finds snapshots of this fleet that are dated in the future: a clock is or was wrong.
pub(super) fn find_future_snapshots(fleet: &Fleet) -> Vec<Finding> {
    let all = fleet.snapshots.value().map_or(&[][..], Vec::as_slice);
    let mut of: BTreeMap<&str, Vec<&Snapshot>> = BTreeMap::new();
    for snapshot in all.iter().filter(|s| s.ahead && s.other_fleet.is_none()) {
        of.entry(snapshot.group_name()).or_default().push(snapshot);
    }
    let finding = |(name, snapshots): (&str, Vec<&Snapshot>)| {
        let latest = snapshots.iter().max_by_key(|s| s.at)?;
        Some(Finding {
            key: format!("backup/{name}/ahead"),
            kind: AlertKind::Backup,
            severity: AlertSeverity::Warning,
            what: name.to_owned(),
            why: trn!(
                snapshots.len(),
                "1 snapshot is dated in the future, the last {}: the storage node's clock was wrong. Look at its clock (`date`), back up again; a restore leaves them out, unless one is named (`--snapshot {}`)",
                "{n} snapshots are dated in the future, the last {}: the storage node's clock was wrong. Look at its clock (`date`), back up again; a restore leaves them out, unless one is named (`--snapshot {}`)",
                latest.at.strftime("%F"),
                latest.short_id(),
            ),
            since: None,
            target: AlertTarget::Snapshots(name.to_owned()),
            remedy: Remedy::Backups,
            near: false,
        })
    };
    of.into_iter().filter_map(finding).collect()
}

/// Makes a finding about backups.
fn backup_finding(
    key: String,
    what: &str,
    why: String,
    since: Option<Timestamp>,
    target: AlertTarget,
    remedy: Remedy,
) -> Finding {
    Finding {
        key: format!("backup/{key}"),
        kind: AlertKind::Backup,
        severity: AlertSeverity::Critical,
        what: what.to_owned(),
        why,
        since,
        target,
        remedy,
        near: false,
    }
}

/// Finds nightly runs that were missed or failed.
fn find_schedule_problems(backups: &Backups) -> Vec<Finding> {
    let mut found = Vec::new();
    if let Some(schedule) = &backups.schedule {
        let first = backups
            .repositories
            .first()
            .map_or("main", |r| r.name.as_str());
        let target = AlertTarget::Repository(first.to_owned());
        if let Some(at) = schedule.missed {
            let why = tr!("the nightly run was missed").to_owned();
            let key = "schedule/missed".to_owned();
            found.push(backup_finding(
                key,
                tr!("backup"),
                why,
                Some(at),
                target.clone(),
                Remedy::BackupAll,
            ));
        }
        if let Some(why) = &schedule.failed {
            let key = "schedule/failed".to_owned();
            found.push(backup_finding(
                key,
                tr!("backup"),
                why.clone(),
                schedule.last,
                target,
                Remedy::BackupAll,
            ));
        }
    }
    found
}

/// Finds repositories that can't be used, restores that were interrupted, proofs that failed, and
/// nightly runs that were missed or failed.
pub(super) fn find_backup_problems(backups: &Backups) -> Vec<Finding> {
    let mut found = Vec::new();
    for repository in &backups.repositories {
        let name = &repository.name;
        let what = tr!("repository {name}");
        let target = AlertTarget::Repository(name.clone());
        if let Some(problem) = &repository.problem {
            let key = format!("{name}/problem");
            found.push(backup_finding(
                key,
                &what,
                problem.clone(),
                None,
                target.clone(),
                Remedy::Backups,
            ));
        }
        if let Some((at, Err(why))) = &repository.check {
            let key = format!("{name}/check");
            found.push(backup_finding(
                key,
                &what,
                why.to_string(),
                Some(*at),
                target,
                Remedy::Backups,
            ));
        }
    }
    let interrupted = |r: &&UnfinishedRestore| r.standing == RestoreStanding::Interrupted;
    for restore in backups.restores.iter().filter(interrupted) {
        let app = &restore.app;
        let why = tr!("a restore was interrupted: `matou restore undo {app}` resolves it");
        let key = format!("{app}/restore");
        let target = AlertTarget::Snapshots(app.clone());
        found.push(backup_finding(
            key,
            app,
            why,
            Some(restore.at),
            target,
            Remedy::RestoreUndo,
        ));
    }
    for proof in backups.proofs.values() {
        if let Some(problem) = &proof.problem {
            let why = tr!("its snapshot is no proof: {problem}");
            let key = format!("{}/proof", proof.app);
            let target = AlertTarget::Snapshots(proof.app.clone());
            found.push(backup_finding(
                key,
                &proof.app,
                why,
                Some(proof.at),
                target,
                Remedy::Verify,
            ));
        }
    }
    found.extend(find_schedule_problems(backups));
    found
}

#[cfg(test)]
mod tests {
    use super::*;
    use matou_model::{Datum, Service, Swarm, Update};

    /// Backups stopped long ago; what other fleets made, and what a wrong clock dated, hides nothing.
    #[test]
    fn a_snapshot_from_the_future_or_of_another_fleet_is_no_backup_of_today() {
        let at = |hours: i64| Timestamp::from_second(hours * 3600).unwrap();
        let snapshot = |hours, other: Option<&str>, ahead| Snapshot {
            id: "0123456789".into(),
            at: at(hours),
            app: Some("shop".into()),
            host: "f".into(),
            other_fleet: other.map(str::to_owned),
            ahead,
            size: None,
            files: None,
            added: None,
            paths: Vec::new(),
        };
        let mut fleet = Fleet::new("f", Vec::new());
        let mut apply = |datum| fleet.apply(Update { at: at(100), datum });
        apply(Datum::Swarm(Ok(Swarm {
            services: vec![Service {
                id: "s1".into(),
                name: "shop_web".into(),
                stack: Some("shop".into()),
                image: "x:1".into(),
                wanted: 1,
                running: 1,
                volumes: vec!["shop_files".into()],
                ..Service::default()
            }],
            ..Swarm::default()
        })));
        apply(Datum::Snapshots(Ok(vec![
            snapshot(10, None, false),
            snapshot(99, Some("fleet-b"), false),
            snapshot(900, None, true),
            snapshot(901, None, true),
            snapshot(902, Some("fleet-b"), true),
        ])));
        let ages = backup_ages(&fleet);
        assert_eq!(ages[0].newest, Some(at(10)));
        let late = find_missed_backups(&ages, 36, at(100));
        assert_eq!(
            late[0].why,
            "the newest snapshot is 3 d old; 36 h are allowed"
        );
        // Without the one of this fleet: there are snapshots, and none that counts.
        assert_eq!(ages[0].left_out, 4);
        let never = BackupAge {
            newest: None,
            deployed: Some(at(0)),
            ..ages[0].clone()
        };
        assert_eq!(
            find_missed_backups(&[never], 36, at(100))[0].why,
            "NOT BACKED UP: its snapshots are another fleet's, or dated in the future"
        );
        let wrong = find_future_snapshots(&fleet);
        assert_eq!((wrong.len(), wrong[0].what.as_str()), (1, "shop"));
        assert!(
            wrong[0]
                .why
                .starts_with("2 snapshots are dated in the future, the last 1970-02-07"),
            "{}",
            wrong[0].why
        );
    }

    #[test]
    fn an_old_snapshot_and_none_at_all_are_missed_backups() {
        let at = |hours: i64| Some(Timestamp::from_second(hours * 3600).unwrap());
        let now = at(100).unwrap();
        let age = |app: &str, newest, deployed| BackupAge {
            app: app.into(),
            newest,
            left_out: 0,
            deployed,
        };
        let ages = [
            age("fresh", at(90), at(0)),
            age("on-the-limit", at(64), at(0)),
            age("old", at(63), at(0)),
            age("never", None, at(0)),
            age("new", None, at(90)),
        ];
        let found = find_missed_backups(&ages, 36, now);
        let seen: Vec<(&str, AlertSeverity)> = found
            .iter()
            .map(|f| (f.what.as_str(), f.severity))
            .collect();
        assert_eq!(
            seen,
            [
                ("old", AlertSeverity::Warning),
                ("never", AlertSeverity::Critical)
            ]
        );
        assert_eq!(
            found[0].why,
            "the newest snapshot is 37 h old; 36 h are allowed"
        );
    }
}
