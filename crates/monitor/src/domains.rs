//! Registrations of domains that end, or are gone: who forgets one loses its names and its mail.

use jiff::Timestamp;
use matou_i18n::{tr, trn};

use super::rules::{AlertKind, AlertSeverity, AlertTarget, Finding, Remedy};
use matou_model::{Certificate, DomainExpiry, RegisteredDomain};

/// Told when fewer are left, days.
const WARNING_DAYS: i64 = 30;

/// Critical when fewer are left, days.
const CRITICAL_DAYS: i64 = 7;

/// What the keys of these findings begin with, before the domain.
pub(super) const KEY_PREFIX: &str = "domain/";

/// Finds domains whose registration ends soon, or that their registries know no more. Of what nobody says nothing is
/// found. A finding leads to the certificate of a name under the domain, beside which its registration is shown.
pub(super) fn find_expiring_domains(
    domains: &[RegisteredDomain],
    certificates: &[Certificate],
    now: Timestamp,
) -> Vec<Finding> {
    let target = |domain: &RegisteredDomain| {
        let is_of = |c: &&Certificate| {
            RegisteredDomain::find_of_name(domains, &c.domain).is_some_and(|d| d == domain)
        };
        match (certificates.iter().find(is_of), domain.apps.first()) {
            (Some(certificate), _) => AlertTarget::Certificate(certificate.domain.clone()),
            (None, Some(app)) => AlertTarget::App(app.clone()),
            (None, None) => AlertTarget::Fleet,
        }
    };
    let finding = |domain: &RegisteredDomain| {
        let expiry = domain.expiry.as_ref().ok()?;
        let (severity, why) = describe_expiry(expiry, now)?;
        Some(Finding {
            key: format!("{KEY_PREFIX}{}", domain.name),
            kind: AlertKind::Dns,
            severity,
            what: domain.name.clone(),
            why,
            since: None,
            target: target(domain),
            remedy: Remedy::Certificates,
            near: false,
        })
    };
    domains.iter().filter_map(finding).collect()
}

/// Returns how bad it is that a registration ends then; `None` where there is time.
pub fn rate_domain_expiry(expiry: &DomainExpiry, now: Timestamp) -> Option<AlertSeverity> {
    describe_expiry(expiry, now).map(|(severity, _)| severity)
}

/// Says how bad it is, and why; `None` where there is time.
fn describe_expiry(expiry: &DomainExpiry, now: Timestamp) -> Option<(AlertSeverity, String)> {
    let left = expiry.days_left(now);
    let day = expiry.at.strftime("%F");
    let why = match left {
        _ if expiry.gone => {
            tr!("its registry does not know it any more: it was given up, and anybody may register it, or its registry is mistaken; look at its registrar at once").to_owned()
        }
        _ if expiry.lapsing => {
            tr!("it was not renewed, and its registry is about to give it up: its registrar says whether it can be had back").to_owned()
        }
        ..0 => tr!("its registration ended on {day}: renew it at its registrar at once"),
        0 => tr!("its registration ends today, {day}: renew it at its registrar at once"),
        _ => trn!(
            left,
            "its registration ends in {n} day, {day}: renew it at its registrar",
            "its registration ends in {n} days, {day}: renew it at its registrar"
        ),
    };
    let severity = match left {
        left if left < CRITICAL_DAYS || expiry.lapsing || expiry.gone => AlertSeverity::Critical,
        left if left < WARNING_DAYS => AlertSeverity::Warning,
        _ => return None,
    };
    Some((severity, why))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn found(days: i64, lapsing: bool) -> Vec<Finding> {
        found_of(days, lapsing, false)
    }

    fn found_of(days: i64, lapsing: bool, gone: bool) -> Vec<Finding> {
        let now = Timestamp::from_second(1_800_000_000).unwrap();
        let domain = RegisteredDomain {
            name: "example.org".into(),
            apps: vec!["shop".into()],
            expiry: Ok(DomainExpiry {
                at: Timestamp::from_second(1_800_000_000 + days * 86_400 + 60).unwrap(),
                lapsing,
                gone,
                read: now,
            }),
        };
        let unknown = RegisteredDomain {
            name: "example.net".into(),
            apps: Vec::new(),
            expiry: Err("its registry does not say".into()),
        };
        find_expiring_domains(&[domain, unknown], &[], now)
    }

    #[test]
    fn it_leads_to_a_certificate_of_the_domain_where_there_is_one() {
        let now = Timestamp::from_second(1_800_000_000).unwrap();
        let domain = |name: &str| RegisteredDomain {
            name: name.into(),
            apps: vec!["shop".into()],
            expiry: Ok(DomainExpiry {
                at: now,
                lapsing: false,
                gone: false,
                read: now,
            }),
        };
        let certificate = |domain: &str| Certificate {
            domain: domain.into(),
            service: "shop_web".into(),
            nodes: Vec::new(),
            stored: None,
            orphan: false,
        };
        let domains = [domain("org"), domain("example.org"), domain("example.net")];
        let certificates = ["www.example.org", "other.org"].map(certificate);
        let found = find_expiring_domains(&domains, &certificates, now);
        let targets: Vec<&AlertTarget> = found.iter().map(|f| &f.target).collect();
        let to = |domain: &str| AlertTarget::Certificate(domain.into());
        let expected = [
            &to("other.org"),
            &to("www.example.org"),
            &AlertTarget::App("shop".into()),
        ];
        assert_eq!(targets, expected);
    }

    #[test]
    fn a_domain_is_told_a_month_before_it_ends_and_critical_in_the_last_week() {
        assert_eq!(found(30, false), []);
        for (days, lapsing, severity, word) in [
            (29, false, AlertSeverity::Warning, "in 29 days, 2027-02-13"),
            (7, false, AlertSeverity::Warning, "in 7 days"),
            (6, false, AlertSeverity::Critical, "in 6 days"),
            (1, false, AlertSeverity::Critical, "in 1 day,"),
            (0, false, AlertSeverity::Critical, "ends today"),
            (-1, false, AlertSeverity::Critical, "ended on 2027-01-14"),
            // Registries add a year before they give a domain up.
            (380, true, AlertSeverity::Critical, "not renewed"),
        ] {
            let found = found(days, lapsing);
            assert_eq!(found.len(), 1, "{days}");
            assert_eq!(found[0].severity, severity, "{days}");
            assert!(found[0].why.contains(word), "{}", found[0].why);
            assert_eq!(found[0].target, AlertTarget::App("shop".into()));
        }
    }

    #[test]
    fn a_domain_that_its_registry_knows_no_more_is_critical_whatever_it_said_last() {
        for (days, lapsing) in [(300, false), (380, true), (-40, false)] {
            let found = found_of(days, lapsing, true);
            assert_eq!(found.len(), 1, "{days}");
            assert_eq!(found[0].severity, AlertSeverity::Critical, "{days}");
            let why = &found[0].why;
            assert!(why.starts_with("its registry does not know it"), "{why}");
            // The alert that it lapses goes on.
            assert_eq!(found[0].key, "domain/example.org");
        }
    }
}
