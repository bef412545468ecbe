//! What can be done with a repository, as plain data.

use matou_i18n::tr;
use serde::{Deserialize, Serialize};

/// What is done with a repository.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(tag = "work", rename_all = "snake_case")]
pub enum RepoWork {
    /// Makes it where there is none.
    Init,
    /// Checks its structure, and reads a part of its data.
    Check {
        /// What of the data is read.
        data: CheckData,
    },
    /// Removes stale locks; all of them when that is asked for.
    Unlock {
        /// Those that are held too.
        all: bool,
    },
    /// Forgets the snapshots that the policy does not keep.
    Forget,
    /// Removes data that no snapshot needs.
    Prune,
    /// Copies what it lacks from the first repository.
    Copy,
    /// Tries what a thief would who has what the fleet has.
    Attack,
}

/// What of the data is read by a check.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum CheckData {
    /// Nothing but indexes and trees.
    None,
    /// The `part`th of `of` parts.
    Part {
        /// From 1.
        part: u32,
        /// How many parts there are.
        of: u32,
    },
    /// Everything.
    All,
}

impl CheckData {
    /// Tonight's part.
    pub fn tonights_part(parts: u32) -> Self {
        let parts = parts.max(1);
        let day = jiff::Timestamp::now().as_second().div_euclid(86_400);
        let part = u32::try_from(day.rem_euclid(i64::from(parts))).unwrap_or(0) + 1;
        Self::Part { part, of: parts }
    }

    /// Returns the arguments of restic. In an append-only repository a check takes no lock: it
    /// needs none, and could not remove it.
    pub(crate) fn restic_args(self, append_only: bool) -> Vec<String> {
        let mut args = vec!["check".to_owned()];
        if append_only {
            args.push("--no-lock".into());
        }
        match self {
            Self::None => {}
            Self::Part { part, of } => args.push(format!("--read-data-subset={part}/{of}")),
            Self::All => args.push("--read-data".into()),
        }
        args
    }

    pub(crate) fn describe(self) -> String {
        match self {
            Self::None => tr!("indexes and trees").into(),
            Self::Part { part, of } => {
                tr!("indexes, trees and part {part} of {of} of the data")
            }
            Self::All => tr!("indexes, trees and all data").into(),
        }
    }
}

impl RepoWork {
    /// Returns the verb for titles.
    pub(crate) fn title_verb(&self) -> &'static str {
        match self {
            Self::Init => tr!("make"),
            Self::Check { .. } => tr!("check"),
            Self::Unlock { .. } => tr!("unlock"),
            Self::Forget => tr!("forget old snapshots in"),
            Self::Prune => tr!("prune"),
            Self::Copy => tr!("copy to"),
            Self::Attack => tr!("attack"),
        }
    }
}
