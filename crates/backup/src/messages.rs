//! What restic says with `--json`, of 0.14 to 0.19.
//!
//! Source: restic's manual, "Scripting", and, for 0.14, what it printed: fields that are zero are
//! left out, lists that are empty are `null`, an error is Go's structure without its text.

#![expect(
    missing_docs,
    reason = "fields have the names that the manual of restic explains"
)]

use jiff::Timestamp;
use matou_i18n::tr;
use serde::{Deserialize, Deserializer, Serialize};
use serde_json::Value;

use super::check::CheckSummary;

/// One line of a command that runs.
#[derive(Debug, Clone, PartialEq, Deserialize)]
#[serde(tag = "message_type", rename_all = "snake_case")]
pub enum ResticMessage {
    /// A backup in the middle, or from 0.16 on a restore.
    Status(ResticStatus),
    /// A file that could not be read or restored.
    Error(ResticErrorLine),
    Summary(ResticSummary),
    ExitError {
        #[serde(default)]
        code: i32,
        #[serde(default)]
        message: String,
    },
    /// Not restic's: the unit of a backup has read the snapshot's manifest again from the repository.
    MatouRead {
        /// As in [`ResticSummary::snapshot_id`].
        snapshot_id: String,
    },
    #[serde(other)]
    Other,
}

/// Reads one line; `None` when it is no message.
pub fn parse_restic_message(line: &[u8]) -> Option<ResticMessage> {
    if line.first() != Some(&b'{') {
        return None;
    }
    serde_json::from_slice(line).ok()
}

/// How far a backup is, or, from 0.16 on, a restore.
#[derive(Debug, Clone, Default, PartialEq, Deserialize)]
#[serde(default)]
pub struct ResticStatus {
    pub seconds_elapsed: u64,
    pub seconds_remaining: Option<u64>,
    /// 0 to 1.
    pub percent_done: f64,
    pub total_files: u64,
    pub files_done: u64,
    /// Bytes; grows while the tree is still looked through.
    pub total_bytes: u64,
    pub bytes_done: u64,
    pub error_count: u64,
    #[serde(deserialize_with = "null_as_empty")]
    pub current_files: Vec<String>,
    /// Of a restore.
    pub files_restored: u64,
    pub bytes_restored: u64,
}

/// How far a restore is (0.16 and later).
pub type RestoreStatus = ResticStatus;

/// A file that could not be read or restored.
#[derive(Debug, Clone, Default, PartialEq, Deserialize)]
#[serde(default)]
pub struct ResticErrorLine {
    error: Value,
    /// Instead of all others, of a check (0.18 and later).
    message: String,
    /// `archival`, `scan`, `restore`.
    pub during: String,
    /// The path.
    pub item: String,
}

impl ResticErrorLine {
    /// One sentence, safe to show.
    pub fn to_sentence(&self) -> String {
        if self.item.is_empty() && !self.message.is_empty() {
            let words: Vec<&str> = self.message.split_whitespace().collect();
            return matou_base::text::clean_line(&words.join(" ")).into_owned();
        }
        let reason = match &self.error {
            Value::String(text) => text.clone(),
            other => match (other.get("message"), other.get("Err")) {
                (Some(Value::String(text)), _) => text.clone(),
                // 0.14 tells only the number.
                (_, Some(Value::Number(n))) => n
                    .as_i64()
                    .and_then(|n| i32::try_from(n).ok())
                    .map_or_else(String::new, |n| {
                        nix::errno::Errno::from_raw(n).desc().to_owned()
                    }),
                _ => String::new(),
            },
        };
        let reason = match reason.as_str() {
            "" => tr!("it could not be read"),
            some => some,
        };
        matou_base::text::clean_line(&format!("{}: {reason}", self.item)).into_owned()
    }
}

/// The end of a backup; of a restore from 0.16 on, of a check from 0.18 on.
#[derive(Debug, Clone, Default, PartialEq, Serialize, Deserialize)]
#[serde(default)]
pub struct ResticSummary {
    pub files_new: u64,
    pub files_changed: u64,
    pub files_unmodified: u64,
    pub dirs_new: u64,
    pub dirs_changed: u64,
    pub dirs_unmodified: u64,
    /// Bytes before compression.
    pub data_added: u64,
    /// Bytes as stored (0.17).
    pub data_added_packed: Option<u64>,
    pub total_files_processed: u64,
    pub total_bytes_processed: u64,
    /// Seconds.
    pub total_duration: f64,
    /// Eight digits before 0.15.
    pub snapshot_id: String,
    /// Of a restore.
    pub total_files: u64,
    pub files_restored: u64,
    pub total_bytes: u64,
    pub bytes_restored: u64,
    /// Of a check.
    #[serde(flatten)]
    pub check: Option<CheckSummary>,
}

/// The end of a restore (0.16 and later).
pub type RestoreSummary = ResticSummary;

/// A line of `snapshots --json`.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct ResticSnapshot {
    pub id: String,
    #[serde(default)]
    pub short_id: String,
    pub time: Timestamp,
    #[serde(default)]
    pub parent: Option<String>,
    #[serde(default)]
    pub tree: String,
    #[serde(default, deserialize_with = "null_as_empty")]
    pub paths: Vec<String>,
    #[serde(default)]
    pub hostname: String,
    #[serde(default)]
    pub username: String,
    #[serde(default, deserialize_with = "null_as_empty")]
    pub tags: Vec<String>,
    /// From 0.17 on.
    #[serde(default)]
    pub summary: Option<SnapshotSummary>,
}

/// Tag of a snapshot that lacks volumes of its application.
pub const PARTIAL_TAG: &str = "partial";

impl ResticSnapshot {
    /// Whether volumes of its application are not in it, as its maker has noted.
    pub fn is_partial(&self) -> bool {
        self.tags.iter().any(|t| t == PARTIAL_TAG)
    }

    /// The value of a tag `NAME=VALUE`.
    pub fn tag_value(&self, name: &str) -> Option<&str> {
        self.tags
            .iter()
            .find_map(|t| t.strip_prefix(name)?.strip_prefix('='))
    }

    /// The application it is of.
    pub fn app(&self) -> Option<&str> {
        self.tag_value("app")
    }

    /// Whether it says nothing of matou: restic was called by something else, as a line of cron.
    pub fn is_foreign(&self) -> bool {
        self.app().is_none() && !self.tags.iter().any(|t| t == "matou")
    }
}

/// What a snapshot says of itself (0.17 and later).
#[derive(Debug, Clone, Default, PartialEq, Serialize, Deserialize)]
#[serde(default)]
pub struct SnapshotSummary {
    pub files_new: u64,
    pub files_changed: u64,
    pub files_unmodified: u64,
    pub data_added: u64,
    pub data_added_packed: Option<u64>,
    pub total_files_processed: u64,
    pub total_bytes_processed: u64,
}

/// A line of `ls --json` after its first.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct LsNode {
    pub name: String,
    /// `file`, `dir`, `symlink`, `dev`, `chardev`, `fifo`, `socket`.
    #[serde(rename = "type")]
    pub kind: String,
    pub path: String,
    #[serde(default)]
    pub uid: u32,
    #[serde(default)]
    pub gid: u32,
    /// Bytes.
    #[serde(default)]
    pub size: u64,
    /// As Go's `os.FileMode` counts: the low nine bits are the permissions.
    #[serde(default)]
    pub mode: u32,
    #[serde(default)]
    pub mtime: Option<Timestamp>,
}

/// `stats --json`.
#[derive(Debug, Clone, Default, PartialEq, Serialize, Deserialize)]
#[serde(default)]
pub struct RepositoryStats {
    /// Bytes; of the repository's data with `--mode raw-data`, of a restore with `restore-size`.
    pub total_size: u64,
    pub total_file_count: u64,
    pub total_blob_count: u64,
    pub snapshots_count: u64,
    pub total_uncompressed_size: Option<u64>,
    pub compression_ratio: Option<f64>,
}

/// A line of `diff --json`: a path that differs.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct DiffChange {
    pub path: String,
    /// `+` added, `-` removed, `M` content, `U` metadata, `T` type.
    pub modifier: String,
}

/// The last line of `diff --json`.
#[derive(Debug, Clone, Default, PartialEq, Serialize, Deserialize)]
#[serde(default)]
pub struct DiffStatistics {
    pub source_snapshot: String,
    pub target_snapshot: String,
    pub changed_files: u64,
    pub added: DiffSide,
    pub removed: DiffSide,
}

/// What one side of a `diff` has more.
#[derive(Debug, Clone, Default, PartialEq, Serialize, Deserialize)]
#[serde(default)]
pub struct DiffSide {
    pub files: u64,
    pub dirs: u64,
    pub others: u64,
    pub data_blobs: u64,
    pub tree_blobs: u64,
    pub bytes: u64,
}

/// A group of `forget --json`.
#[derive(Debug, Clone, PartialEq, Deserialize)]
pub struct ForgetGroup {
    #[serde(default, deserialize_with = "null_as_empty")]
    pub tags: Vec<String>,
    #[serde(default)]
    pub host: String,
    #[serde(default, deserialize_with = "null_as_empty")]
    pub keep: Vec<ResticSnapshot>,
    #[serde(default, deserialize_with = "null_as_empty")]
    pub remove: Vec<ResticSnapshot>,
}

/// Reads a list that may be `null`.
fn null_as_empty<'de, D: Deserializer<'de>, T: Deserialize<'de>>(d: D) -> Result<Vec<T>, D::Error> {
    Ok(Option::<Vec<T>>::deserialize(d)?.unwrap_or_default())
}

#[cfg(test)]
mod tests {
    use super::*;

    /// Lines of 0.14 as it printed them, then of later ones as their manual has them.
    #[test]
    fn messages_of_old_and_new_versions_are_read() {
        let status = br#"{"message_type":"status","percent_done":0.35,"total_files":201,"files_done":200,"total_bytes":62915252,"bytes_done":22283404,"current_files":["/src/a.bin"]}"#;
        let Some(ResticMessage::Status(status)) = parse_restic_message(status) else {
            panic!("no status");
        };
        assert_eq!((status.files_done, status.bytes_done), (200, 22283404));
        let summary = br#"{"message_type":"summary","files_new":2,"dirs_new":4,"data_added":3090,"total_files_processed":2,"total_bytes_processed":1002,"total_duration":0.2,"snapshot_id":"bf360684"}"#;
        let Some(ResticMessage::Summary(summary)) = parse_restic_message(summary) else {
            panic!("no summary");
        };
        assert_eq!(summary.snapshot_id, "bf360684");
        for (line, wanted) in [
            (
                &br#"{"message_type":"error","error":{"Op":"open","Path":"src/s\u001b[2J","Err":13},"during":"archival","item":"/src/s\u001b[2J"}"#[..],
                "/src/s: Permission denied",
            ),
            (
                br#"{"message_type":"error","error":{"message":"open /x: denied"},"during":"archival","item":"/x"}"#,
                "/x: open /x: denied",
            ),
        ] {
            let Some(ResticMessage::Error(error)) = parse_restic_message(line) else {
                panic!("no error");
            };
            assert_eq!(error.to_sentence(), wanted);
        }
        assert_eq!(
            parse_restic_message(br#"{"message_type":"verbose_status","action":"new"}"#),
            Some(ResticMessage::Other)
        );
        assert!(parse_restic_message(b"Fatal: x").is_none());
        assert!(parse_restic_message(b"{\"a\":").is_none());
    }

    #[test]
    fn snapshots_and_groups_with_null_lists_are_read() {
        let text = r#"[{"tags":null,"host":"f","paths":null,"keep":[{"time":"2026-11-24T12:29:49.904011066Z","tree":"34","paths":["/a"],"hostname":"f","username":"root","tags":["app=x","matou"],"id":"bf360684765fef","short_id":"bf360684"}],"remove":null,"reasons":[]}]"#;
        let groups: Vec<ForgetGroup> = serde_json::from_str(text).unwrap();
        assert_eq!(groups[0].keep[0].app(), Some("x"));
        assert!(groups[0].remove.is_empty());
        let new = r#"{"time":"2026-11-24T13:29:49.9+01:00","tree":"x","paths":["/a"],"hostname":"f","id":"b","program_version":"restic 0.18.0","summary":{"backup_start":"x","total_bytes_processed":7}}"#;
        let new: ResticSnapshot = serde_json::from_str(new).unwrap();
        assert_eq!(new.summary.unwrap().total_bytes_processed, 7);
        assert!(new.tags.is_empty());
        let node = r#"{"name":"a","type":"file","path":"/s/a","uid":0,"gid":0,"size":2,"mode":420,"mtime":"2026-11-24T12:29:49.89079905Z","struct_type":"node"}"#;
        let node: LsNode = serde_json::from_str(node).unwrap();
        assert_eq!((node.size, node.mode), (2, 0o644));
    }
}
