//! What `restic check` found, of versions that say it as JSON; of older ones the lines are shown, and the exit
//! code tells.
//!
//! Source: restic's manual, "Scripting", "check", and what 0.18 and 0.19 printed. They say nothing of how far a
//! check is while they say it as JSON.

use matou_i18n::{tr, trn};
use serde::{Deserialize, Deserializer, Serialize};

use super::error::BackupError;

/// Packs that a sentence names.
const NAMED_PACKS: usize = 3;

/// The end of a check (0.18 and later).
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct CheckSummary {
    /// How many errors were found; 1 when it could not begin.
    pub num_errors: u64,
    /// Packs whose data is not what it was: their ids.
    #[serde(default, deserialize_with = "null_as_empty")]
    pub broken_packs: Vec<String>,
    /// The index can be made better.
    #[serde(default)]
    pub suggest_repair_index: bool,
    /// There are packs that no index names.
    #[serde(default)]
    pub suggest_prune: bool,
}

fn null_as_empty<'de, D: Deserializer<'de>>(d: D) -> Result<Vec<String>, D::Error> {
    Ok(Option::<Vec<String>>::deserialize(d)?.unwrap_or_default())
}

impl CheckSummary {
    /// Says what was found by a check that ended well, a sentence each.
    pub fn describe_sound(&self) -> Vec<String> {
        let mut said = vec![tr!("no errors were found").to_owned()];
        if self.suggest_prune {
            said.push(
                tr!("there are packs that no index names: `matou repo prune` removes them").into(),
            );
        }
        if self.suggest_repair_index {
            said.push(
                tr!("the index is larger than it need be: `restic repair index` makes it anew")
                    .into(),
            );
        }
        said
    }

    /// Tells how many errors, which packs, and the first of `errors`, the sentences that restic said.
    fn describe_damage(&self, errors: &[String]) -> String {
        let mut said = trn!(self.num_errors, "{n} error", "{n} errors");
        let short = |id: &String| -> String { id.chars().take(10).collect() };
        let named: Vec<String> = self
            .broken_packs
            .iter()
            .take(NAMED_PACKS)
            .map(short)
            .collect();
        if !named.is_empty() {
            said += &tr!(", broken packs: {}", named.join(", "));
        }
        match self.broken_packs.len().saturating_sub(NAMED_PACKS) {
            0 => {}
            more => said += &tr!(" and {more} more"),
        }
        if let Some(first) = errors.first() {
            said += &format!("; {first}");
        }
        matou_base::text::truncate_to_width(&matou_base::text::clean_line(&said), 400, "…")
            .into_owned()
    }
}

impl BackupError {
    /// Returns the error of a check with what the check counted: damage is told as restic counted it.
    /// A check that could not begin counts an error too, which is none of the data.
    pub fn with_check(self, check: &CheckSummary, errors: &[String]) -> Self {
        match self {
            Self::Damaged { repository, .. } if check.num_errors > 0 => Self::Damaged {
                repository,
                said: check.describe_damage(errors),
            },
            other => other,
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::messages::{ResticMessage, parse_restic_message};

    fn parse(line: &str) -> CheckSummary {
        let Some(ResticMessage::Summary(summary)) = parse_restic_message(line.as_bytes()) else {
            panic!("no summary: {line}");
        };
        summary.check.expect("of a check")
    }

    /// Lines of 0.18 and 0.19 as they printed them.
    #[test]
    fn what_a_check_counted_is_told() {
        let sound = parse(
            r#"{"message_type":"summary","num_errors":0,"broken_packs":null,"suggest_repair_index":false,"suggest_prune":true}"#,
        );
        assert_eq!(sound.describe_sound().len(), 2);
        let broken = parse(
            r#"{"message_type":"summary","num_errors":2,"broken_packs":["4e1056ed62890b46","a2","a3","a4\u001b[2J","a5"],"suggest_repair_index":false,"suggest_prune":false}"#,
        );
        let Some(ResticMessage::Error(line)) = parse_restic_message(
            br#"{"message_type":"error","message":"pack 4e10 contains 2 errors: [blob 50f9: decrypting \u003cdata\u003e failed\n x]\n"}"#,
        ) else {
            panic!("no error");
        };
        let damaged = |said: &str| BackupError::Damaged {
            repository: "main".into(),
            said: said.into(),
        };
        let told = damaged("repository contains errors").with_check(&broken, &[line.to_sentence()]);
        let told = told.to_string();
        assert!(
            told.contains("is damaged: 2 errors, broken packs: 4e1056ed62, a2, a3 and 2 more; pack 4e10 contains 2 errors: [blob 50f9: decrypting <data> failed x]"),
            "{told}"
        );
        // It could not begin: what is told is why.
        let locked = BackupError::Wrong("locked".into()).with_check(&broken, &[]);
        assert_eq!(locked.to_string(), "locked");
        // The end of a backup is none of a check.
        let backup = br#"{"message_type":"summary","files_new":2,"snapshot_id":"bf360684"}"#;
        let Some(ResticMessage::Summary(backup)) = parse_restic_message(backup) else {
            panic!("no summary");
        };
        assert_eq!(backup.check, None);
        assert!(
            !serde_json::to_string(&backup)
                .unwrap()
                .contains("num_errors")
        );
    }
}
