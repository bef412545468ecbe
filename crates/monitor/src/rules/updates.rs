//! Applications whose software gets no fixes any more, and updates that would fail.

use std::collections::BTreeMap;

use jiff::civil::{Date, Time};
use jiff::tz::TimeZone;

use super::{AlertInputs, AlertKind, AlertSeverity, AlertTarget, Finding, Remedy};
use matou_stack::{REHEARSAL_LABEL, ReleaseLine, find_release_line};

/// Finds release lines that are past their end, one finding an application.
pub(super) fn add_end_findings(inputs: AlertInputs<'_>, found: &mut Vec<Finding>) {
    let Some(swarm) = inputs.fleet.swarm.value() else {
        return;
    };
    let mut ended: BTreeMap<&str, Vec<ReleaseLine>> = BTreeMap::new();
    // A copy that is thrown away is not updated.
    let kept = swarm.services.iter();
    for service in kept.filter(|s| !s.labels.contains_key(REHEARSAL_LABEL)) {
        let line = find_release_line(&service.image, inputs.now).filter(|line| line.is_over);
        if let Some(line) = line {
            let app = service.stack.as_deref().unwrap_or(&service.name);
            ended.entry(app).or_default().push(line);
        }
    }
    found.extend(ended.into_iter().map(|(app, lines)| find_end(app, lines)));
}

fn find_end(app: &str, lines: Vec<ReleaseLine>) -> Finding {
    let first = lines.iter().map(|line| line.ends).min();
    let mut said: Vec<String> = lines.iter().map(ReleaseLine::describe).collect();
    said.sort();
    said.dedup();
    Finding {
        key: format!("app/{app}/end-of-life"),
        kind: AlertKind::EndOfLife,
        severity: AlertSeverity::Warning,
        what: app.to_owned(),
        why: said.join("; "),
        since: first.and_then(midnight),
        target: AlertTarget::App(app.to_owned()),
        remedy: Remedy::Services,
        near: false,
    }
}

fn midnight(date: Date) -> Option<jiff::Timestamp> {
    let midnight = date.to_datetime(Time::midnight());
    TimeZone::UTC.to_timestamp(midnight).ok()
}

/// Finds updates that a night found out would fail, of what runs now.
pub(super) fn add_rehearsal_findings(inputs: AlertInputs<'_>, found: &mut Vec<Finding>) {
    let (Some(swarm), Some(backups)) = (inputs.fleet.swarm.value(), inputs.fleet.backups.value())
    else {
        return;
    };
    let nights = backups.rehearsals.iter();
    let failed = nights.filter(|night| night.failure().is_some() && night.is_current(swarm));
    found.extend(failed.map(|night| Finding {
        key: format!("app/{}/rehearsal", night.app),
        kind: AlertKind::Rehearsal,
        severity: AlertSeverity::Warning,
        what: night.app.clone(),
        why: night.describe(inputs.now),
        since: Some(night.at),
        target: AlertTarget::App(night.app.clone()),
        remedy: Remedy::Services,
        near: false,
    }));
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::trend::DiskTrends;
    use matou_config::Config;
    use matou_model::{
        Backups, Datum, Fleet, NightRehearsal, RehearsalReport, RehearsedImage, Service, Swarm,
        Update,
    };

    fn fleet(images: &[(&str, &str, &str)], rehearsals: Vec<NightRehearsal>) -> Fleet {
        let services = images.iter().map(|(app, service, image)| Service {
            id: format!("id-{app}-{service}"),
            name: format!("{app}_{service}"),
            stack: Some((*app).to_owned()),
            image: (*image).to_owned(),
            wanted: 1,
            running: 1,
            ..Service::default()
        });
        let swarm = Swarm {
            services: services.collect(),
            ..Swarm::default()
        };
        let backups = Backups {
            rehearsals,
            ..Backups::default()
        };
        let at = "2026-11-30T09:00:00Z".parse().unwrap();
        let mut fleet = Fleet::new("f", Vec::new());
        for datum in [Datum::Swarm(Ok(swarm)), Datum::Backups(Ok(backups))] {
            fleet.apply(Update { at, datum });
        }
        fleet
    }

    fn found(fleet: &Fleet, now: &str) -> Vec<Finding> {
        let inputs = AlertInputs {
            fleet,
            limits: &Config::this_machine().alerts,
            trends: &DiskTrends::default(),
            drift: &[],
            backups: &[],
            now: now.parse().unwrap(),
        };
        let mut found = Vec::new();
        add_end_findings(inputs, &mut found);
        add_rehearsal_findings(inputs, &mut found);
        found
    }

    #[test]
    fn software_without_fixes_is_told_once_an_application() {
        let fleet = fleet(
            &[
                ("shop", "db", "mariadb:10.6.18"),
                ("shop", "again", "mariadb:10.6.18"),
                ("shop", "web", "wordpress:6.4.3-apache"),
                ("blog", "db", "postgres:17.2"),
                ("wiki", "db", "example/other:1.0"),
            ],
            Vec::new(),
        );
        let told = found(&fleet, "2026-11-30T09:00:00Z");
        assert_eq!(told.len(), 1, "{told:?}");
        assert_eq!(told[0].key, "app/shop/end-of-life");
        assert_eq!(
            told[0].why,
            "MariaDB 10.6 gets no fixes since 2026-07-06; WordPress 6.4 gets no fixes since 2024-04-02"
        );
        assert_eq!(told[0].since, Some("2024-04-02T00:00:00Z".parse().unwrap()));
        assert!(found(&fleet, "2024-04-01T23:59:59Z").is_empty());
    }

    #[test]
    fn an_update_that_would_fail_is_told_while_the_same_images_run() {
        let at = "2026-11-30T03:00:00Z".parse().unwrap();
        let images = vec![RehearsedImage {
            service: "db".into(),
            from: "example/db:1.0.0".into(),
            to: "example/db:1.0.1".into(),
            step: Some("patch".into()),
        }];
        let night = |failure: Option<&str>| NightRehearsal {
            app: "shop".into(),
            at,
            images: images.clone(),
            report: Some(RehearsalReport {
                app: "shop".into(),
                at,
                snapshot: String::new(),
                snapshot_at: at,
                images: images.clone(),
                parts: Vec::new(),
                log: Vec::new(),
                failure: failure.map(str::to_owned),
            }),
            untried: None,
        };
        let told = |image: &str, failure| {
            let fleet = fleet(&[("shop", "db", image)], vec![night(failure)]);
            found(&fleet, "2026-11-30T09:00:00Z")
        };
        let failed = told("example/db:1.0.0", Some("db: no such table"));
        assert_eq!(failed.len(), 1, "{failed:?}");
        assert!(
            failed[0].why.contains("would fail: db: no such table"),
            "{failed:?}"
        );
        assert!(told("example/db:1.0.1", Some("db: no such table")).is_empty());
        assert!(told("example/db:1.0.0", None).is_empty());
    }
}
