//! What is forgotten: by application, and never all of one.

use super::messages::{ForgetGroup, Snapshot};
use crate::config::Retention;

/// The arguments of a `restic forget` that only tells what it would remove: of this fleet's
/// snapshots alone, each application (its tags) for itself.
pub fn forget_args(fleet: &str, keep: &Retention) -> Vec<String> {
    let mut args: Vec<String> = [
        "forget",
        "--json",
        "--dry-run",
        "--no-lock",
        "--tag",
        "matou",
        "--group-by",
        "host,tags",
        "--host",
        fleet,
    ]
    .map(str::to_owned)
    .into();
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
pub struct Forgotten {
    /// `blog`, or `the fleet's own files`.
    pub of: String,
    pub remove: Vec<Snapshot>,
    pub kept: usize,
}

/// What restic would remove.
///
/// # Errors
/// One sentence: a group would keep nothing, or belongs to another fleet.
pub fn forgotten(fleet: &str, groups: Vec<ForgetGroup>) -> Result<Vec<Forgotten>, String> {
    let mut all = Vec::new();
    for group in groups {
        let app = group.tags.iter().find_map(|t| t.strip_prefix("app="));
        let of = app.map_or_else(|| "the fleet's own files".to_owned(), str::to_owned);
        if group.host != fleet || !group.tags.iter().any(|t| t == "matou") {
            return Err(format!(
                "snapshots of {} are not this fleet's: nothing is forgotten",
                group.host
            ));
        }
        if group.keep.is_empty() {
            return Err(format!(
                "no snapshot of {of} would be left: nothing is forgotten; correct keep_daily and its kin under [backup]"
            ));
        }
        if !group.remove.is_empty() {
            all.push(Forgotten {
                of,
                remove: group.remove,
                kept: group.keep.len(),
            });
        }
    }
    Ok(all)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn group(json: &str) -> Vec<ForgetGroup> {
        serde_json::from_str(json).unwrap()
    }

    #[test]
    fn a_group_keeps_something_or_nothing_is_forgotten() {
        let one = r#"{"time":"2026-11-24T12:29:49Z","id":"bf36"}"#;
        let all = group(&format!(
            r#"[{{"tags":["app=blog","matou"],"host":"f","keep":[{one}],"remove":[{one},{one}]}}]"#
        ));
        let found = forgotten("f", all.clone()).unwrap();
        assert_eq!(
            (found[0].of.as_str(), found[0].remove.len(), found[0].kept),
            ("blog", 2, 1)
        );
        assert!(
            forgotten("g", all)
                .unwrap_err()
                .contains("not this fleet's")
        );
        let none = group(&format!(
            r#"[{{"tags":["app=blog","matou"],"host":"f","keep":null,"remove":[{one}]}}]"#
        ));
        assert!(
            forgotten("f", none)
                .unwrap_err()
                .contains("no snapshot of blog")
        );
        let foreign = group(&format!(
            r#"[{{"tags":null,"host":"f","keep":[{one}],"remove":[{one}]}}]"#
        ));
        assert!(forgotten("f", foreign).is_err());
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
        let args = forget_args("f", &keep).join(" ");
        assert!(
            args.ends_with(
                "--host f --keep-daily 7 --keep-monthly 12 --keep-yearly 3 --keep-within 2d"
            ),
            "{args}"
        );
        assert!(args.contains("--dry-run") && args.contains("--tag matou"));
    }
}
