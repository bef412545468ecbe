//! Names of applications: one grammar for all of matou.

use std::borrow::Borrow;
use std::fmt;
use std::ops::Deref;
use std::path::Path;
use std::str::FromStr;

use matou_i18n::tr;
use serde::{Deserialize, Serialize};

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

/// The name of an application, which may be a part of paths, units and tags ([`is_app_name`]).
#[derive(Debug, Clone, PartialEq, Eq, Hash, PartialOrd, Ord, Serialize, Deserialize)]
#[serde(try_from = "String", into = "String")]
pub struct AppName(String);

impl AppName {
    /// Makes a name of a text.
    ///
    /// # Errors
    /// A sentence: it is no name of an application.
    pub fn new(app: impl Into<String>) -> Result<Self, InvalidInput> {
        let app = app.into();
        match is_app_name(&app) {
            true => Ok(Self(app)),
            false => Err(InvalidInput::new(tr!(
                "{app:?} is no name of an application: it has letters, digits, dashes and underscores, a letter or digit first"
            ))),
        }
    }

    /// The name as text.
    pub fn as_str(&self) -> &str {
        &self.0
    }
}

impl Deref for AppName {
    type Target = str;

    fn deref(&self) -> &str {
        &self.0
    }
}

impl Borrow<str> for AppName {
    fn borrow(&self) -> &str {
        &self.0
    }
}

impl PartialEq<str> for AppName {
    fn eq(&self, other: &str) -> bool {
        self.0 == other
    }
}

impl PartialEq<String> for AppName {
    fn eq(&self, other: &String) -> bool {
        self.0 == *other
    }
}

impl AsRef<str> for AppName {
    fn as_ref(&self) -> &str {
        &self.0
    }
}

/// A part of a path: it has no `/`, and is not `..`.
impl AsRef<Path> for AppName {
    fn as_ref(&self) -> &Path {
        Path::new(&self.0)
    }
}

impl fmt::Display for AppName {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.pad(&self.0)
    }
}

impl FromStr for AppName {
    type Err = InvalidInput;

    fn from_str(app: &str) -> Result<Self, InvalidInput> {
        Self::new(app)
    }
}

impl TryFrom<String> for AppName {
    type Error = InvalidInput;

    fn try_from(app: String) -> Result<Self, InvalidInput> {
        Self::new(app)
    }
}

impl From<&AppName> for String {
    fn from(app: &AppName) -> Self {
        app.0.clone()
    }
}

impl From<AppName> for String {
    fn from(app: AppName) -> Self {
        app.0
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
        false => Err(InvalidInput::new(tr!(
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
            assert_eq!(AppName::new(name).unwrap().as_str(), name);
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
            assert!(AppName::new(name).is_err(), "{name:?}");
            let json = serde_json::to_string(name).unwrap();
            assert!(serde_json::from_str::<AppName>(&json).is_err(), "{name:?}");
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
