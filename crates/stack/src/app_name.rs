//! Names of applications: one grammar for all of matou.

use matou_base::text::InvalidInput;
/// Longest name of an application that matou deploys; services, networks and secrets add theirs.
const LONGEST: usize = 40;

/// Longest name of a swarm service, which the name of an application that runs is a part of.
const LONGEST_THERE: usize = 63;

/// Whether `app` is a valid name of an application that runs or has a file. It becomes a part of
/// paths, units and tags. Names that matou deploys are narrower (`check_new_app_name`).
///
/// Swarm allows these names for services; the label of a stack may hold any text.
pub fn is_app_name(app: &str) -> bool {
    app.len() <= LONGEST_THERE
        && app.starts_with(|c: char| c.is_ascii_alphanumeric())
        && app
            .bytes()
            .all(|b| b.is_ascii_alphanumeric() || matches!(b, b'-' | b'_'))
}

/// Checks a name with [`is_app_name`].
///
/// # Errors
/// A sentence: it is no name of an application.
pub fn check_app_name(app: &str) -> Result<(), InvalidInput> {
    match is_app_name(app) {
        true => Ok(()),
        false => Err(InvalidInput::new(format_args!(
            "{app:?} is no name of an application"
        ))),
    }
}

/// Checks that matou may deploy an application of this name.
///
/// # Errors
/// One sentence that says which names are allowed.
pub(super) fn check_new_app_name(app: &str) -> Result<(), InvalidInput> {
    let fine = app.len() <= LONGEST
        && app.starts_with(|c: char| c.is_ascii_lowercase())
        && !app.ends_with('-')
        && app
            .bytes()
            .all(|b| b.is_ascii_lowercase() || b.is_ascii_digit() || b == b'-');
    match fine {
        true => Ok(()),
        false => Err(InvalidInput::new(format_args!(
            "{app:?} is no name for an application: use lower-case letters, digits and dashes, a letter first, at most {LONGEST}"
        ))),
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
            assert!(
                check_new_app_name(name).is_ok() && is_app_name(name),
                "{name}"
            );
        }
        for name in ["Shop", "1a", "a_b", "a-", ""] {
            assert!(check_new_app_name(name).is_err(), "{name:?}");
        }
    }
}
