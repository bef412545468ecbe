//! What was done, one JSON object a line, with secrets removed. A journal that is large is set aside as
//! `journal.jsonl.old`, in the place of the one before, and begun anew.
//!
//! Every line is written under a lock of the file, and only when that is still the one of its name:
//! whoever waited while another process set it aside writes into the new one.

use matou_i18n::tr;
use std::fs::File;
use std::io::{self, Write};
use std::os::unix::fs::MetadataExt;
use std::path::{Path, PathBuf};
use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;

use nix::fcntl::{Flock, FlockArg};

use jiff::Timestamp;
use serde::Serialize;

use super::event::JobOutcome;
use super::redactor::Redactor;
use matou_host::{CommandRecorder, HostError};

/// A journal of this size is set aside.
const MAX_JOURNAL_BYTES: u64 = 5 << 20;

/// How often the file's lock is tried, and the pause between: a stopped process may hold it.
const LOCK_TRIES: usize = 100;
const LOCK_PAUSE: Duration = Duration::from_millis(10);

/// The file that remembers every job and every remote command. Cheap to clone.
#[derive(Clone)]
pub struct Journal {
    pages: Arc<Mutex<JournalFile>>,
    redactor: Redactor,
}

/// The file, as this process has it.
struct JournalFile {
    path: PathBuf,
    /// `None` while it can't be opened.
    file: Option<File>,
    large: u64,
    /// Why something could not be written, the first time.
    trouble: Option<String>,
}

impl JournalFile {
    fn write_line(&mut self, line: &[u8]) {
        if let Err(e) = self.try_write_line(line) {
            tracing::warn!("the journal can't be written: {e}");
            let path = self.path.display();
            self.trouble
                .get_or_insert_with(|| tr!("{path} can't be written: {e}"));
        }
    }

    fn try_write_line(&mut self, line: &[u8]) -> io::Result<()> {
        // Once more in the new file when it was set aside meanwhile, by this process or another.
        for _ in 0..4 {
            let file = match self.file.take() {
                Some(file) => file,
                None => matou_base::files::open_append(&self.path)?,
            };
            let mut file = match lock_journal_file(file) {
                Ok(held) => held,
                // Stopped while it held the lock: a line beside it is better than none.
                Err(mut file) => {
                    let written = file.write_all(line);
                    self.file = Some(file);
                    return written;
                }
            };
            let (here, named) = (file.metadata()?, std::fs::metadata(&self.path));
            let is_named = named.is_ok_and(|n| (n.dev(), n.ino()) == (here.dev(), here.ino()));
            if !is_named {
                continue;
            }
            if here.len() >= self.large {
                let old = old_journal_path(&self.path);
                match std::fs::rename(&self.path, &old) {
                    Ok(()) => continue,
                    Err(e) => tracing::warn!("the journal can't be set aside: {e}"),
                }
            }
            // One write a record. Nothing of a line that found no room stays.
            let written = file.write_all(line);
            if written.is_err() {
                let _ = file.set_len(here.len());
            }
            self.file = file.unlock().ok();
            return written;
        }
        Err(io::Error::other(tr!("it is set aside again and again")))
    }
}

/// Where a large journal goes.
pub(super) fn old_journal_path(path: &Path) -> PathBuf {
    let mut old = path.as_os_str().to_owned();
    old.push(".old");
    old.into()
}

/// Locks the file; returns it unlocked when another process does not give the lock.
fn lock_journal_file(mut file: File) -> Result<Flock<File>, File> {
    for _ in 0..LOCK_TRIES {
        match Flock::lock(file, FlockArg::LockExclusiveNonblock) {
            Ok(held) => return Ok(held),
            Err((back, nix::errno::Errno::EWOULDBLOCK)) => file = back,
            // Nothing can be locked there, as on some file systems of networks.
            Err((back, _)) => return Err(back),
        }
        std::thread::sleep(LOCK_PAUSE);
    }
    Err(file)
}

/// Who runs this program, by the name of the session, else by number.
fn name_operator() -> String {
    std::env::var("USER").unwrap_or_else(|_| nix::unistd::getuid().to_string())
}

#[derive(Serialize)]
#[serde(tag = "record", rename_all = "snake_case")]
enum JournalRecord<'a> {
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
        outcome: &'a JobOutcome,
    },
    /// Before the end of its job.
    JobOutput { title: &'a str, lines: &'a [String] },
    RunStarted {
        node: &'a str,
        service: &'a str,
        program: &'a str,
        operator: String,
    },
    RunFinished {
        node: &'a str,
        service: &'a str,
        program: &'a str,
        millis: u128,
        exit: Option<i64>,
        #[serde(skip_serializing_if = "Option::is_none")]
        error: Option<String>,
    },
}

#[derive(Serialize)]
struct JournalLine<'a> {
    time: Timestamp,
    #[serde(flatten)]
    record: JournalRecord<'a>,
}

impl Journal {
    /// Opens the file, made with mode 0600 when it is not there; records are appended.
    ///
    /// # Errors
    /// When it can't be written.
    pub fn open(path: &Path) -> io::Result<Self> {
        let journal = Self::open_lazily(path);
        journal.lock_file().file = Some(matou_base::files::open_append(path)?);
        Ok(journal)
    }

    /// Makes a journal that is opened when something is written: a full disk must stop neither a
    /// look nor a restore. [`Journal::write_trouble`] says what could not be written.
    pub fn open_lazily(path: &Path) -> Self {
        let pages = JournalFile {
            path: path.to_owned(),
            file: None,
            large: MAX_JOURNAL_BYTES,
            trouble: None,
        };
        Self {
            pages: Arc::new(Mutex::new(pages)),
            redactor: Redactor::default(),
        }
    }

    /// Why something was not remembered, a sentence; `None` when all was.
    pub fn write_trouble(&self) -> Option<String> {
        self.lock_file().trouble.clone()
    }

    fn lock_file(&self) -> std::sync::MutexGuard<'_, JournalFile> {
        self.pages.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Where it is written.
    pub fn path(&self) -> PathBuf {
        self.lock_file().path.clone()
    }

    /// The secrets that are removed from every record.
    pub fn redactor(&self) -> &Redactor {
        &self.redactor
    }

    /// Remembers that the operator runs a program in a container of a service. Its arguments may be
    /// secret, and are not remembered.
    pub fn record_run_started(&self, node: &str, service: &str, program: &str) {
        self.write_record(JournalRecord::RunStarted {
            node,
            service,
            program,
            operator: name_operator(),
        });
    }

    /// Remembers how that ended: the exit code, or why there is none.
    pub fn record_run_finished(
        &self,
        node: &str,
        service: &str,
        program: &str,
        took: Duration,
        exit: Option<i64>,
        error: Option<String>,
    ) {
        self.write_record(JournalRecord::RunFinished {
            node,
            service,
            program,
            millis: took.as_millis(),
            exit,
            error,
        });
    }

    pub(super) fn record_job_started(&self, title: &str, plan: &str) {
        let operator = name_operator();
        self.write_record(JournalRecord::JobStarted {
            title,
            operator,
            plan,
        });
    }

    /// Remembers the last lines of a job's output, when there is any.
    pub(super) fn record_job_output(&self, title: &str, lines: &[String]) {
        if !lines.is_empty() {
            self.write_record(JournalRecord::JobOutput { title, lines });
        }
    }

    pub(super) fn record_job_finished(&self, title: &str, took: Duration, outcome: &JobOutcome) {
        let millis = took.as_millis();
        self.write_record(JournalRecord::JobFinished {
            title,
            millis,
            outcome,
        });
    }

    fn write_record(&self, record: JournalRecord<'_>) {
        let time = Timestamp::now();
        let Ok(mut value) = serde_json::to_value(JournalLine { time, record }) else {
            return;
        };
        // Before it is written as JSON: that would escape quotes in a secret.
        if let Some(fields) = value.as_object_mut() {
            for field in fields.values_mut() {
                self.redact_value(field);
            }
        }
        let line = matou_base::text::escape_json(&value.to_string()).into_owned() + "\n";
        self.lock_file().write_line(line.as_bytes());
    }

    fn redact_value(&self, value: &mut serde_json::Value) {
        match value {
            serde_json::Value::String(text) => *text = self.redactor.redact(text),
            serde_json::Value::Array(values) => {
                for value in values {
                    self.redact_value(value);
                }
            }
            _ => {}
        }
    }
}

impl CommandRecorder for Journal {
    fn record(&self, node: &str, command: &str, took: Duration, result: Result<i32, &HostError>) {
        self.write_record(JournalRecord::Command {
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
    use secrecy::SecretString;

    #[test]
    fn records_are_json_lines_without_secrets_in_a_private_file() {
        use std::os::unix::fs::PermissionsExt;
        let dir = tempfile::tempdir().unwrap();
        let path = dir.path().join("journal.jsonl");
        let journal = Journal::open(&path).unwrap();
        journal
            .redactor()
            .add_secret(SecretString::from("hunter22"));
        journal.redactor().add_secret(SecretString::from("a\"b\\c"));
        journal.record(
            "n1",
            "echo hunter22 a\"b\\c",
            Duration::from_millis(7),
            Ok(3),
        );
        journal.record_job_output("deploy", &["n1: files: hunter22".into()]);
        journal.record_job_output("deploy", &[]);
        journal.record_job_finished(
            "deploy",
            Duration::from_secs(1),
            &JobOutcome::Failed {
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
        assert_eq!(lines[1]["lines"][0], "n1: files: •••");
        assert_eq!(lines[2]["outcome"], "failed");
        let mode = std::fs::metadata(&path).unwrap().permissions().mode();
        assert_eq!(mode & 0o777, 0o600);
    }

    fn lines(path: &Path) -> Vec<String> {
        let text = std::fs::read_to_string(path).unwrap_or_default();
        assert!(text.is_empty() || text.ends_with('\n'), "a torn line");
        text.lines().map(str::to_owned).collect()
    }

    /// Many that write at once, each with a file of its own as processes have, while one of them sets it
    /// aside: every line is in one of the two files.
    #[test]
    fn no_line_is_lost_while_it_is_set_aside() {
        const EACH: usize = 100;
        for _ in 0..10 {
            let dir = tempfile::tempdir().unwrap();
            let path = &dir.path().join("journal.jsonl");
            std::thread::scope(|all| {
                for who in 0..6 {
                    all.spawn(move || {
                        let journal = Journal::open_lazily(path);
                        // Once in all.
                        journal.lock_file().large = 15_000;
                        for n in 0..EACH {
                            let line = format!("{who} {n:0>40}\n");
                            journal.lock_file().write_line(line.as_bytes());
                        }
                        assert_eq!(journal.write_trouble(), None);
                    });
                }
            });
            let (old, new) = (lines(&old_journal_path(path)), lines(path));
            assert!(old.len() > 300 && !new.is_empty(), "{}", old.len());
            assert_eq!(old.len() + new.len(), 6 * EACH);
        }
    }

    #[test]
    fn what_can_not_be_written_is_told_once() {
        let dir = tempfile::tempdir().unwrap();
        let path = dir.path().join("none/journal.jsonl");
        assert!(Journal::open(&path).is_err());
        let journal = Journal::open_lazily(&path);
        assert_eq!(journal.write_trouble(), None);
        journal.record("n1", "true", Duration::ZERO, Ok(0));
        assert!(
            journal
                .write_trouble()
                .unwrap()
                .contains("can't be written")
        );
        // The folder comes: it is written from then on.
        std::fs::create_dir(dir.path().join("none")).unwrap();
        journal.record("n1", "false", Duration::ZERO, Ok(1));
        assert!(lines(&path)[0].contains("false"));
    }

    #[test]
    fn records_hold_nothing_that_a_terminal_obeys() {
        use matou_base::payloads::{PAYLOADS, is_safe};
        let dir = tempfile::tempdir().unwrap();
        let path = dir.path().join("journal.jsonl");
        let journal = Journal::open(&path).unwrap();
        for payload in PAYLOADS {
            journal.record(payload, payload, Duration::ZERO, Ok(0));
            journal.record_job_started(payload, payload);
        }
        let text = std::fs::read_to_string(&path).unwrap();
        assert!(is_safe(&text));
        assert_eq!(text.lines().count(), 2 * PAYLOADS.len());
        let first: serde_json::Value = serde_json::from_str(text.lines().next().unwrap()).unwrap();
        assert_eq!(first["command"], PAYLOADS[0]);
    }
}
