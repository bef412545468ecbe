//! Which matou this is: its version, and the commit it was built from.

use matou_i18n::tr;
use std::sync::LazyLock;

use jiff::Timestamp;
use serde::Serialize;

/// What is printed by `matou -V`, after the program's name.
pub const VERSION: &str = env!("CARGO_PKG_VERSION");

/// The commit as build.rs found it, and its time in seconds since 1970; empty where it is not known.
const COMMIT: &str = env!("MATOU_BUILD_COMMIT");
const TIME: &str = env!("MATOU_BUILD_TIME");

/// Version, commit and its date.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct ProgramVersion {
    /// As `0.1.0`.
    pub version: &'static str,
    /// 40 hexadecimal digits, `-modified` behind them when the sources differed; `None` where a build
    /// had neither a checkout nor `MATOU_COMMIT`.
    pub commit: Option<&'static str>,
    /// The day of the commit in UTC, as `2026-11-28`.
    pub date: Option<String>,
    /// Of the machine it was built for, as `x86_64`.
    pub architecture: &'static str,
}

impl ProgramVersion {
    /// Returns that of the running program.
    pub fn of_program() -> Self {
        let time = TIME.parse().ok().map(Timestamp::from_second);
        Self {
            version: VERSION,
            commit: Some(COMMIT).filter(|commit| !commit.is_empty()),
            date: time.and_then(|time| Some(time.ok()?.strftime("%F").to_string())),
            architecture: std::env::consts::ARCH,
        }
    }

    /// Returns the second line of `matou --version`: `commit 32dcb91… of 2026-11-28`; `None` where the
    /// commit is not known.
    pub fn commit_line(&self) -> Option<String> {
        let commit = self.commit?;
        Some(match &self.date {
            Some(date) => tr!("commit {commit} of {date}"),
            None => format!("commit {commit}"),
        })
    }
}

/// Returns what `matou --version` prints after the program's name. The first line is the version alone.
pub fn long_version() -> &'static str {
    static LONG: LazyLock<String> =
        LazyLock::new(|| match ProgramVersion::of_program().commit_line() {
            Some(commit) => format!("{VERSION}\n{commit}"),
            None => VERSION.to_owned(),
        });
    &LONG
}
