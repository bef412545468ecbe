//! What is forgotten: by application, and never all of one, nor anything of another fleet.

use matou_i18n::tr;
use std::collections::{BTreeMap, BTreeSet};

use jiff::Timestamp;

use super::error::BackupError;
use super::messages::{ForgetGroup, ResticSnapshot};
use super::ownership::SnapshotView;
use matou_config::Retention;

/// A `restic forget` that only says what it would remove (`--dry-run`): one policy over all
/// snapshots of one application, whatever tags they bear.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct ForgetQuery {
    /// `blog`, or `the fleet's own files`.
    pub of: String,
    /// restic's options that choose exactly the snapshots of it.
    filter: Vec<String>,
}

/// What a snapshot is of, and the tag that says so.
fn snapshot_subject(s: &ResticSnapshot) -> Option<(String, String)> {
    match (s.app(), s.tag_value("fleet")) {
        (Some(app), _) => Some((app.to_owned(), format!("app={app}"))),
        (None, Some(fleet)) => Some((
            tr!("the fleet's own files").to_owned(),
            format!("fleet={fleet}"),
        )),
        (None, None) => None,
    }
}

/// Makes the dry runs for a repository: one for each application that this fleet has snapshots of.
/// Snapshots from before fleets had ids and those with the id are judged together. Judged alone,
/// the older ones would be kept for ever, as no younger ones replace them.
pub fn forget_queries(view: &SnapshotView, all: &[ResticSnapshot]) -> Vec<ForgetQuery> {
    // Of each tag: whether all of it that is ours bears the id.
    let mut subjects: BTreeMap<String, (String, bool)> = BTreeMap::new();
    let ours = |s: &&ResticSnapshot| s.tags.iter().any(|t| t == "matou") && view.is_ours(s);
    for snapshot in all.iter().filter(ours) {
        let Some((of, tag)) = snapshot_subject(snapshot) else {
            continue;
        };
        let known = subjects.entry(tag).or_insert((of, true));
        known.1 &= super::FleetId::from_snapshot(snapshot).is_some();
    }
    let identity = view.identity();
    let option = |name: &str, value: &str| [name.to_owned(), value.to_owned()];
    let question = |(tag, (of, with_id)): (String, (String, bool))| {
        let filter = match (&identity.id, with_id) {
            (Some(id), true) => option("--tag", &format!("matou,{tag},{}", id.tag())).into(),
            // Without an id they are ours only while no other fleet has the name.
            _ => [
                option("--tag", &format!("matou,{tag}")),
                option("--host", &identity.name),
            ]
            .concat(),
        };
        ForgetQuery { of, filter }
    };
    subjects.into_iter().map(question).collect()
}

/// Returns the arguments of a dry run.
pub fn forget_args(question: &ForgetQuery, keep: &Retention) -> Vec<String> {
    let mut args: Vec<String> = [
        "forget",
        "--json",
        "--dry-run",
        "--no-lock",
        "--group-by",
        "",
    ]
    .map(str::to_owned)
    .into();
    args.extend(question.filter.iter().cloned());
    let kept = [
        ("--keep-daily", keep.daily),
        ("--keep-weekly", keep.weekly),
        ("--keep-monthly", keep.monthly),
        ("--keep-yearly", keep.yearly),
    ];
    for (option, n) in kept {
        if n > 0 {
            args.extend([option.to_owned(), n.to_string()]);
        }
    }
    if keep.within_days > 0 {
        args.extend(["--keep-within".into(), format!("{}d", keep.within_days)]);
    }
    args
}

/// Snapshots of one application that go, and how many stay.
#[derive(Debug, Clone, PartialEq)]
pub struct ForgottenSnapshots {
    /// `blog`, or `the fleet's own files`.
    pub of: String,
    /// Those that go.
    pub remove: Vec<ResticSnapshot>,
    /// How many stay.
    pub kept: usize,
}

/// Collects what restic would remove of one application; returns `None` when it keeps all.
///
/// # Errors
/// One sentence: nothing would be kept, or something of it belongs to another fleet.
pub fn collect_forgotten(
    view: &SnapshotView,
    of: &str,
    groups: Vec<ForgetGroup>,
) -> Result<Option<ForgottenSnapshots>, BackupError> {
    let mut all = ForgottenSnapshots {
        of: of.to_owned(),
        remove: Vec::new(),
        kept: 0,
    };
    for group in groups {
        let both = || group.keep.iter().chain(&group.remove);
        let foreign =
            |s: &&ResticSnapshot| !view.is_ours(s) || !s.tags.iter().any(|t| t == "matou");
        if let Some(other) = both().find(foreign) {
            return Err(BackupError::Wrong(tr!(
                "snapshots of {} are not this fleet's: nothing is forgotten",
                matou_base::text::clean_line(&other.hostname)
            )));
        }
        let stand_ins = find_stand_ins(&group);
        let (more, remove): (Vec<_>, Vec<_>) =
            (group.remove.into_iter()).partition(|s| stand_ins.contains(&(s.id.clone(), s.time)));
        all.kept += group.keep.len() + more.len();
        all.remove.extend(remove);
    }
    if all.kept == 0 && !all.remove.is_empty() {
        return Err(BackupError::Wrong(tr!(
            "no snapshot of {of} would be left: nothing is forgotten; correct keep_daily and the like under [backup]"
        )));
    }
    Ok((!all.remove.is_empty()).then_some(all))
}

/// Finds the snapshots that stay although the policy lets them go: a partial one that is kept is no whole one,
/// so the newest whole one before it is kept too.
fn find_stand_ins(group: &ForgetGroup) -> BTreeSet<(String, Timestamp)> {
    let partial = group.keep.iter().filter(|s| s.is_partial());
    let newest_whole = |before: &ResticSnapshot| {
        let all = group.keep.iter().chain(&group.remove);
        let whole = all.filter(|s| !s.is_partial() && s.time < before.time);
        whole.max_by_key(|s| s.time)
    };
    let found = partial.filter_map(newest_whole);
    found.map(|s| (s.id.clone(), s.time)).collect()
}

#[cfg(test)]
mod tests {

    use super::*;
    use crate::{ClockPair, FleetId, FleetIdentity};

    const ID: &str = "00000000000000aa";

    fn snapshot(app: &str, host: &str, id: Option<&str>) -> ResticSnapshot {
        let mut tags = vec![format!("app={app}"), "matou".to_owned()];
        tags.extend(id.map(|id| format!("fleet-id={id}")));
        serde_json::from_value(serde_json::json!({
            "id": "bf36", "hostname": host, "tags": tags, "time": "2026-11-24T12:29:49Z",
        }))
        .unwrap()
    }

    fn view(all: &[ResticSnapshot]) -> SnapshotView {
        let identity = FleetIdentity {
            name: "f".into(),
            id: FleetId::parse(ID),
        };
        let now = Timestamp::now();
        SnapshotView::new(
            identity,
            all,
            ClockPair {
                here: now,
                storage: now,
            },
        )
    }

    fn group(keep: &[ResticSnapshot], remove: &[ResticSnapshot]) -> Vec<ForgetGroup> {
        let json = serde_json::json!([{"tags": null, "host": "", "keep": keep, "remove": remove}]);
        serde_json::from_value(json).unwrap()
    }

    #[test]
    fn one_policy_is_over_all_of_an_application_and_nothing_of_others() {
        let mixed = [
            snapshot("blog", "f", None),
            snapshot("blog", "f", Some(ID)),
            snapshot("shop", "f", Some(ID)),
            snapshot("theirs", "g", None),
            snapshot("theirs", "g", Some("00000000000000bb")),
        ];
        let asked = |all: &[ResticSnapshot]| -> Vec<String> {
            let questions = forget_queries(&view(all), all);
            questions
                .iter()
                .map(|q| format!("{}: {}", q.of, q.filter.join(" ")))
                .collect()
        };
        assert_eq!(
            asked(&mixed),
            [
                "blog: --tag matou,app=blog --host f",
                "shop: --tag matou,app=shop,fleet-id=00000000000000aa"
            ]
        );
        // A namesake: what has no id is nobody's, and not asked for.
        let mut shared = mixed.to_vec();
        shared.push(snapshot("blog", "f", Some("00000000000000bb")));
        assert_eq!(
            asked(&shared),
            [
                "blog: --tag matou,app=blog,fleet-id=00000000000000aa",
                "shop: --tag matou,app=shop,fleet-id=00000000000000aa"
            ]
        );
    }

    #[test]
    fn an_application_keeps_something_or_nothing_is_forgotten() {
        let (one, old) = (snapshot("blog", "f", Some(ID)), snapshot("blog", "f", None));
        let view = view(&[one.clone(), old.clone()]);
        let ask = |groups| collect_forgotten(&view, "blog", groups);
        let found = ask(group(
            std::slice::from_ref(&one),
            &[old.clone(), old.clone()],
        ))
        .unwrap();
        let found = found.unwrap();
        assert_eq!((found.remove.len(), found.kept), (2, 1));
        assert_eq!(ask(group(std::slice::from_ref(&one), &[])).unwrap(), None);
        let none = ask(group(&[], std::slice::from_ref(&old))).unwrap_err();
        assert!(none.to_string().contains("no snapshot of blog"), "{none}");
        for foreign in [
            snapshot("blog", "g", None),
            snapshot("blog", "f", Some("00000000000000bb")),
        ] {
            for groups in [
                group(std::slice::from_ref(&one), std::slice::from_ref(&foreign)),
                group(std::slice::from_ref(&foreign), std::slice::from_ref(&old)),
            ] {
                assert!(
                    ask(groups)
                        .unwrap_err()
                        .to_string()
                        .contains("not this fleet's")
                );
            }
        }
        let mut untagged = old.clone();
        untagged.tags = vec!["app=blog".into()];
        assert!(ask(group(&[one], &[untagged])).is_err());
    }

    #[test]
    fn a_partial_snapshot_takes_the_place_of_no_whole_one() {
        let at = |day: i64, partial: bool| {
            let mut one = snapshot("blog", "f", Some(ID));
            one.id = format!("{day}");
            one.time = Timestamp::from_second(1_800_000_000 + day * 86_400).unwrap();
            one.tags
                .extend(partial.then(|| super::super::messages::PARTIAL_TAG.to_owned()));
            one
        };
        let view = view(&[]);
        // Three days are kept, and on two of them a node was down.
        let keep = [at(5, true), at(4, true), at(1, false)];
        let remove = [at(3, false), at(2, false), at(0, true)];
        let found = collect_forgotten(&view, "blog", group(&keep, &remove));
        let found = found.unwrap().unwrap();
        let ids: Vec<&str> = found.remove.iter().map(|s| s.id.as_str()).collect();
        assert_eq!((ids.as_slice(), found.kept), (&["2", "0"][..], 4));
    }

    #[test]
    fn the_policy_stands_in_the_arguments() {
        let keep = Retention {
            daily: 7,
            weekly: 0,
            monthly: 12,
            yearly: 3,
            within_days: 2,
        };
        let all = [snapshot("blog", "f", None)];
        let args = forget_args(&forget_queries(&view(&all), &all)[0], &keep).join(" ");
        assert!(
            args.ends_with(
                "--host f --keep-daily 7 --keep-monthly 12 --keep-yearly 3 --keep-within 2d"
            ),
            "{args}"
        );
        assert!(
            args.contains("--dry-run") && args.contains("--tag matou,app=blog"),
            "{args}"
        );
    }
}
