//! Reads from the journal which jobs ran: of this console, of others, of the command line.

use std::fs::File;
use std::io::{self, Read as _, Seek as _, SeekFrom};
use std::path::Path;
use std::time::Duration;

use jiff::{SignedDuration, Timestamp};
use serde::Deserialize as _;
use serde_json::Value;

use super::event::JobOutcome;
use super::journal::old_journal_path;
use super::past_job::{PastCommand, PastJob};
use matou_base::text::SafeText;

/// Bytes that are read of the end of a journal; it is set aside before it is larger.
const MAX_BYTES: u64 = 6 << 20;

/// Jobs that are kept, the newest.
const MAX_JOBS: usize = 300;

/// Commands that are kept of a job, the newest.
const MAX_COMMANDS: usize = 500;

/// After so long a job without an end is one of a program that was killed: commands are none of its any more.
const MAX_JOB_TIME: SignedDuration = SignedDuration::from_hours(12);

/// Reads the jobs of a journal and of the one that was set aside before it, the newest first.
///
/// # Errors
/// When the journal is there and can't be read.
pub fn read_past_jobs(path: &Path) -> io::Result<Vec<PastJob>> {
    let before = read_end(&old_journal_path(path)).unwrap_or_default();
    Ok(parse_past_jobs(&(before + &read_end(path)?)))
}

/// Reads the end of a file; nothing of one that is not there.
fn read_end(path: &Path) -> io::Result<String> {
    let mut file = match File::open(path) {
        Ok(file) => file,
        Err(e) if e.kind() == io::ErrorKind::NotFound => return Ok(String::new()),
        Err(e) => return Err(e),
    };
    let length = file.metadata()?.len();
    file.seek(SeekFrom::Start(length.saturating_sub(MAX_BYTES)))?;
    let mut bytes = Vec::new();
    file.take(MAX_BYTES).read_to_end(&mut bytes)?;
    Ok(String::from_utf8_lossy(&bytes).into_owned())
}

/// Finds the jobs of a journal's lines, the newest first. A command belongs to every job that ran at its time.
/// What is no record, as the rest of a cut line, is passed over.
fn parse_past_jobs(text: &str) -> Vec<PastJob> {
    let mut jobs: Vec<PastJob> = Vec::new();
    for line in text.lines() {
        let Ok(record) = serde_json::from_str::<Value>(line) else {
            continue;
        };
        let word = |name: &str| SafeText::from(record[name].as_str().unwrap_or_default());
        let Ok(time) = word("time").parse::<Timestamp>() else {
            continue;
        };
        let took = Duration::from_millis(record["millis"].as_u64().unwrap_or(0));
        match record["record"].as_str() {
            Some("job_started") => {
                if jobs.len() == MAX_JOBS {
                    jobs.remove(0);
                }
                jobs.push(PastJob {
                    title: word("title"),
                    operator: word("operator"),
                    began: time,
                    took: None,
                    outcome: None,
                    output: Vec::new(),
                    commands: Vec::new(),
                });
            }
            Some("job_output") => {
                let lines = record["lines"].as_array().into_iter().flatten();
                if let Some(job) = find_open_job(&mut jobs, &word("title")) {
                    job.output = lines
                        .filter_map(Value::as_str)
                        .map(SafeText::from)
                        .collect();
                }
            }
            Some("job_finished") => {
                let ended = find_open_job(&mut jobs, &word("title"));
                if let (Some(job), Ok(outcome)) = (ended, JobOutcome::deserialize(&record)) {
                    job.took = Some(took);
                    job.outcome = Some(outcome);
                }
            }
            Some("command") => {
                let exit = record["exit"].as_i64().and_then(|c| i32::try_from(c).ok());
                let command = PastCommand {
                    at: time,
                    node: word("node"),
                    command: word("command"),
                    took,
                    result: exit.ok_or_else(|| word("error")),
                };
                let runs = |job: &&mut PastJob| {
                    job.outcome.is_none() && time.duration_since(job.began) < MAX_JOB_TIME
                };
                for job in jobs.iter_mut().filter(runs) {
                    if job.commands.len() == MAX_COMMANDS {
                        job.commands.remove(0);
                    }
                    job.commands.push(command.clone());
                }
            }
            _ => {}
        }
    }
    jobs.reverse();
    jobs
}

/// Finds the job of that title that began last, of those without an end.
fn find_open_job<'a>(jobs: &'a mut [PastJob], title: &SafeText) -> Option<&'a mut PastJob> {
    let open = |job: &&mut PastJob| job.title == *title && job.outcome.is_none();
    jobs.iter_mut().rev().find(open)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn jobs_are_found_with_who_when_how_long_and_what_ran() {
        let text = r#"9}
{"time":"2026-11-01T10:00:00Z","record":"command","node":"n1","command":"before","millis":1,"exit":0}
{"time":"2026-11-01T10:00:01Z","record":"job_started","title":"deploy ghost","operator":"ann","plan":"p"}
{"time":"2026-11-01T10:00:02Z","record":"command","node":"n1","command":"docker stack deploy","millis":700,"exit":1}
{"time":"2026-11-01T10:00:03Z","record":"job_started","title":"back up","operator":"bob","plan":"p"}
{"time":"2026-11-01T10:00:04Z","record":"command","node":"n2","command":"restic","millis":5,"exit":null,"error":"lost"}
{"time":"2026-11-01T10:00:05Z","record":"job_output","title":"deploy ghost","lines":["n1: files: no such image",7]}
{"time":"2026-11-01T10:00:05Z","record":"job_finished","title":"deploy ghost","millis":4000,"outcome":"failed","reason":"no image"}
{"time":"2026-11-01T10:00:06Z","record":"command","node":"n2","command":"later","millis":5,"exit":0}
"#;
        let jobs = parse_past_jobs(text);
        let titles: Vec<&str> = jobs.iter().map(|j| &*j.title).collect();
        assert_eq!(titles, ["back up", "deploy ghost"]);
        assert_eq!((jobs[0].took, &jobs[0].outcome), (None, &None));
        assert_eq!(jobs[1].operator, "ann");
        assert_eq!(jobs[1].output, ["n1: files: no such image"]);
        assert_eq!(jobs[1].took, Some(Duration::from_secs(4)));
        let reason = "no image".into();
        assert_eq!(jobs[1].outcome, Some(JobOutcome::Failed { reason }));
        let ran = |job: &PastJob| -> Vec<String> {
            job.commands.iter().map(|c| c.command.to_string()).collect()
        };
        assert_eq!(ran(&jobs[1]), ["docker stack deploy", "restic"]);
        assert_eq!(ran(&jobs[0]), ["restic", "later"]);
        assert_eq!(jobs[1].commands[0].result, Ok(1));
        assert_eq!(jobs[1].commands[1].result, Err("lost".into()));
    }

    #[test]
    fn a_real_journal_is_read_and_none_is_no_error() {
        let dir = tempfile::tempdir().unwrap();
        let path = dir.path().join("journal.jsonl");
        assert_eq!(read_past_jobs(&path).unwrap(), []);
        std::fs::write(&path, "\u{fffd}{}\nnull\n[1]\n").unwrap();
        assert_eq!(read_past_jobs(&path).unwrap(), []);
    }
}
