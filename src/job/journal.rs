//! What was done, one JSON object a line, with secrets removed.

use std::fs::{File, OpenOptions};
use std::io::Write;
use std::os::unix::fs::OpenOptionsExt;
use std::path::Path;
use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;

use jiff::Timestamp;
use secrecy::{ExposeSecret, SecretString};
use serde::Serialize;

use super::event::Outcome;
use crate::host::{HostError, Recorder};

/// Shown instead of a secret.
const REMOVED: &str = "•••";

/// Removes known secrets from text. Cheap to clone; clones share the secrets.
#[derive(Clone, Default)]
pub struct Redactor(Arc<Mutex<Vec<SecretString>>>);

impl Redactor {
    /// From now on `secret` is removed. Very short ones are not: they would blank ordinary words.
    pub fn add(&self, secret: SecretString) {
        let text = secret.expose_secret();
        let mut secrets = self.secrets();
        // Output is cut into lines before it is redacted.
        if text.contains('\n') {
            let lines = text.lines().map(str::trim).filter(|l| l.len() >= 8);
            secrets.extend(lines.map(SecretString::from));
        }
        if text.len() >= 4 {
            secrets.push(secret);
        }
        // One secret may be a part of another.
        secrets.sort_by_key(|s| std::cmp::Reverse(s.expose_secret().len()));
    }

    /// The text without any known secret.
    pub fn redact(&self, text: &str) -> String {
        let mut text = text.to_owned();
        for secret in self.secrets().iter() {
            if text.contains(secret.expose_secret()) {
                text = text.replace(secret.expose_secret(), REMOVED);
            }
        }
        text
    }

    fn secrets(&self) -> std::sync::MutexGuard<'_, Vec<SecretString>> {
        // A panic while the list was held can't have broken it.
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

/// The file that remembers every job and every remote command. Cheap to clone.
#[derive(Clone)]
pub struct Journal {
    file: Arc<Mutex<File>>,
    redactor: Redactor,
}

#[derive(Serialize)]
#[serde(tag = "record", rename_all = "snake_case")]
enum Record<'a> {
    Command {
        node: &'a str,
        command: String,
        millis: u128,
        exit: Option<i32>,
        #[serde(skip_serializing_if = "Option::is_none")]
        error: Option<String>,
    },
    JobStarted {
        title: &'a str,
        operator: String,
        plan: &'a str,
    },
    JobFinished {
        title: &'a str,
        millis: u128,
        #[serde(flatten)]
        outcome: &'a Outcome,
    },
}

#[derive(Serialize)]
struct Line<'a> {
    time: Timestamp,
    #[serde(flatten)]
    record: Record<'a>,
}

impl Journal {
    /// Opens the file, made with mode 0600 when it is not there; records are appended.
    ///
    /// # Errors
    /// When it can't be written.
    pub fn open(path: &Path) -> std::io::Result<Self> {
        let file = OpenOptions::new()
            .create(true)
            .append(true)
            .mode(0o600)
            .open(path)?;
        Ok(Self {
            file: Arc::new(Mutex::new(file)),
            redactor: Redactor::default(),
        })
    }

    /// The secrets that are removed from every record.
    pub fn redactor(&self) -> &Redactor {
        &self.redactor
    }

    pub(super) fn job_started(&self, title: &str, plan: &str) {
        let operator = std::env::var("USER").unwrap_or_else(|_| nix::unistd::getuid().to_string());
        self.write(Record::JobStarted {
            title,
            operator,
            plan,
        });
    }

    pub(super) fn job_finished(&self, title: &str, took: Duration, outcome: &Outcome) {
        let millis = took.as_millis();
        self.write(Record::JobFinished {
            title,
            millis,
            outcome,
        });
    }

    fn write(&self, record: Record<'_>) {
        let time = Timestamp::now();
        let Ok(mut value) = serde_json::to_value(Line { time, record }) else {
            return;
        };
        // Before it is written as JSON: that would escape quotes in a secret.
        if let Some(fields) = value.as_object_mut() {
            for field in fields.values_mut() {
                if let serde_json::Value::String(text) = field {
                    *text = self.redactor.redact(text);
                }
            }
        }
        let line = crate::text::escape_json(&value.to_string()).into_owned() + "\n";
        let mut file = self.file.lock().unwrap_or_else(PoisonError::into_inner);
        // One write a record: two consoles append whole lines. A full disk must not stop a restore.
        if let Err(e) = file.write_all(line.as_bytes()) {
            tracing::warn!("the journal can't be written: {e}");
        }
    }
}

impl Recorder for Journal {
    fn record(&self, node: &str, command: &str, took: Duration, result: Result<i32, &HostError>) {
        self.write(Record::Command {
            node,
            command: command.to_owned(),
            millis: took.as_millis(),
            exit: result.as_ref().ok().copied(),
            error: result.err().map(ToString::to_string),
        });
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn records_are_json_lines_without_secrets_in_a_private_file() {
        use std::os::unix::fs::PermissionsExt;
        let dir = tempfile::tempdir().unwrap();
        let path = dir.path().join("journal.jsonl");
        let journal = Journal::open(&path).unwrap();
        journal.redactor().add(SecretString::from("hunter22"));
        journal.redactor().add(SecretString::from("a\"b\\c"));
        journal.record(
            "n1",
            "echo hunter22 a\"b\\c",
            Duration::from_millis(7),
            Ok(3),
        );
        journal.job_finished(
            "deploy",
            Duration::from_secs(1),
            &Outcome::Failed {
                reason: "password hunter22 refused".into(),
            },
        );
        let text = std::fs::read_to_string(&path).unwrap();
        assert!(!text.contains("hunter22"), "{text}");
        let lines: Vec<serde_json::Value> = text
            .lines()
            .map(|l| serde_json::from_str(l).unwrap())
            .collect();
        assert_eq!(lines[0]["command"], "echo ••• •••");
        assert_eq!(lines[0]["exit"], 3);
        assert_eq!(lines[0]["millis"], 7);
        assert_eq!(lines[1]["outcome"], "failed");
        let mode = std::fs::metadata(&path).unwrap().permissions().mode();
        assert_eq!(mode & 0o777, 0o600);
    }

    #[test]
    fn records_hold_nothing_that_a_terminal_obeys() {
        use crate::text::tests::{PAYLOADS, is_safe};
        let dir = tempfile::tempdir().unwrap();
        let path = dir.path().join("journal.jsonl");
        let journal = Journal::open(&path).unwrap();
        for payload in PAYLOADS {
            journal.record(payload, payload, Duration::ZERO, Ok(0));
            journal.job_started(payload, payload);
        }
        let text = std::fs::read_to_string(&path).unwrap();
        assert!(is_safe(&text));
        assert_eq!(text.lines().count(), 2 * PAYLOADS.len());
        let first: serde_json::Value = serde_json::from_str(text.lines().next().unwrap()).unwrap();
        assert_eq!(first["command"], PAYLOADS[0]);
    }
}
