//! The digest: the message of a day or a week.

use std::collections::BTreeMap;

use matou_i18n::tr;

use super::look::Look;
use matou_base::errln;
use matou_config::DigestInterval;
use matou_model::{NightRehearsal, RehearsalReport};
use matou_monitor::{Digest, DigestInputs};
use matou_ops::{FleetContext, TellReceiver};

/// Sends a digest, and says whether it arrived.
pub(super) async fn send_digest(receiver: &TellReceiver, digest: &Digest) -> bool {
    let name = receiver.name();
    match receiver.tell_digest(digest).await {
        Ok(()) => {
            errln!("{}", tr!("{name} was sent the digest"));
            true
        }
        Err(why) => {
            errln!("{}", tr!("{name} was not sent the digest: {why}"));
            false
        }
    }
}

/// Makes the digest of what a look found.
pub(super) async fn build_digest(
    cx: &FleetContext,
    look: &Look,
    interval: DigestInterval,
) -> Digest {
    let by_hand = matou_ops::list_rehearsal_reports(cx).await.ok();
    let nights = look.fleet.backups.value().map(|b| b.rehearsals.as_slice());
    let rehearsals = join_rehearsals(by_hand, nights);
    Digest::new(&DigestInputs {
        fleet: &look.fleet,
        alerts: &look.alerts,
        loads: &look.loads,
        rehearsals: rehearsals.as_deref(),
        domains: look.fleet.domains.value().map_or(&[][..], Vec::as_slice),
        limits: &cx.config.alerts,
        has_repository: cx.config.backup.primary_repository().is_some(),
        days: interval.days(),
        now: look.now,
    })
}

/// Takes the newest report of each application, of those by hand and of the nights'; `None` where neither can be read.
fn join_rehearsals(
    by_hand: Option<Vec<RehearsalReport>>,
    nights: Option<&[NightRehearsal]>,
) -> Option<Vec<RehearsalReport>> {
    if by_hand.is_none() && nights.is_none() {
        return None;
    }
    // A night that could not rehearse has none.
    let of_nights = nights.into_iter().flatten();
    let of_nights = of_nights.filter_map(|night| night.report.clone());
    let mut newest: BTreeMap<String, RehearsalReport> = BTreeMap::new();
    for report in by_hand.into_iter().flatten().chain(of_nights) {
        let is_newer = newest.get(&report.app).is_none_or(|r| r.at < report.at);
        if is_newer {
            newest.insert(report.app.clone(), report);
        }
    }
    Some(newest.into_values().collect())
}

#[cfg(test)]
mod tests {
    use super::*;
    use jiff::Timestamp;

    fn report(app: &str, second: i64) -> RehearsalReport {
        RehearsalReport {
            app: app.into(),
            at: Timestamp::from_second(second).unwrap(),
            snapshot: String::new(),
            snapshot_at: Timestamp::UNIX_EPOCH,
            images: Vec::new(),
            parts: Vec::new(),
            log: Vec::new(),
            failure: None,
        }
    }

    fn night(app: &str, second: i64, has_report: bool) -> NightRehearsal {
        NightRehearsal {
            app: app.into(),
            at: Timestamp::from_second(second).unwrap(),
            images: Vec::new(),
            report: has_report.then(|| report(app, second)),
            untried: None,
        }
    }

    #[test]
    fn of_each_application_the_newest_rehearsal_counts_whoever_made_it() {
        let by_hand = vec![report("blog", 50), report("shop", 10), report("wiki", 30)];
        let nights = [
            night("blog", 40, true),
            night("forum", 60, true),
            night("shop", 20, true),
            night("wiki", 70, false),
        ];
        let joined = join_rehearsals(Some(by_hand), Some(&nights)).unwrap();
        let expected = [
            report("blog", 50),
            report("forum", 60),
            report("shop", 20),
            report("wiki", 30),
        ];
        assert_eq!(joined, expected);
        let alone = join_rehearsals(None, Some(&nights[1..2]));
        assert_eq!(alone, Some(vec![report("forum", 60)]));
        assert_eq!(join_rehearsals(Some(Vec::new()), None), Some(Vec::new()));
        assert_eq!(join_rehearsals(None, None), None);
    }
}
