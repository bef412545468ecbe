//! What an application may be called: one grammar for all of matou.

/// Longest name of an application that matou deploys; services, networks and secrets add theirs.
const LONGEST: usize = 40;

/// Longest name of a swarm service, so of a stack that has one.
const LONGEST_THERE: usize = 63;

/// Whether `app` may be the name of an application that runs or has a file: it becomes a part of
/// paths, units and tags. What matou itself deploys is narrower ([`check_new`]).
///
/// Swarm names services in this way; a stack's label may hold anything.
pub fn is_app_name(app: &str) -> bool {
    app.len() <= LONGEST_THERE
        && app.starts_with(|c: char| c.is_ascii_alphanumeric())
        && app
            .bytes()
            .all(|b| b.is_ascii_alphanumeric() || matches!(b, b'-' | b'_'))
}

/// [`is_app_name`], with a sentence.
///
/// # Errors
/// The name is none.
pub fn check_app_name(app: &str) -> Result<(), String> {
    match is_app_name(app) {
        true => Ok(()),
        false => Err(format!("{app:?} is no name of an application")),
    }
}

/// Whether matou may deploy something as `app`.
///
/// # Errors
/// One sentence that says how it may be called.
pub(super) fn check_new(app: &str) -> Result<(), String> {
    let fine = app.len() <= LONGEST
        && app.starts_with(|c: char| c.is_ascii_lowercase())
        && !app.ends_with('-')
        && app
            .bytes()
            .all(|b| b.is_ascii_lowercase() || b.is_ascii_digit() || b == b'-');
    match fine {
        true => Ok(()),
        false => Err(format!(
            "{app:?} is no name for an application: use lower-case letters, digits and dashes, a letter first, at most {LONGEST}"
        )),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_name_is_a_part_of_paths_units_and_tags() {
        for name in ["shop", "Shop_2", "9lives", "a", "a-b"] {
            assert_eq!(check_app_name(name), Ok(()), "{name}");
        }
        let long = "a".repeat(LONGEST_THERE + 1);
        for name in [
            "",
            "._shop",
            "shop copy",
            "-rf",
            "a/b",
            "..",
            "a.b",
            "é",
            "a\n",
            &long,
        ] {
            assert!(check_app_name(name).is_err(), "{name:?}");
        }
    }

    #[test]
    fn what_is_deployed_can_be_named() {
        for name in ["shop", "a-b", "a1"] {
            assert!(check_new(name).is_ok() && is_app_name(name), "{name}");
        }
        for name in ["Shop", "1a", "a_b", "a-", ""] {
            assert!(check_new(name).is_err(), "{name:?}");
        }
    }
}
