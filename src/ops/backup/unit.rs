//! A unit of restic on the storage node, watched: progress, what it says, how it ended.

use std::time::{Duration, Instant};

use tokio::sync::mpsc;

use crate::backup::{
    BackupError, Guard, IN_VAIN, Message, Restic, Status, Summary, Trying, read_message,
};
use crate::host::Lasting;
use crate::job::{Cx, Stream};
use crate::text::{coarse, human_bytes};

/// Lines and files' errors that are kept for telling.
const KEPT: usize = 60;

/// Shortest time between two progress events.
const OFTEN: Duration = Duration::from_millis(400);

/// How a unit ended.
#[derive(Debug, Default)]
pub(in crate::ops) struct Ended {
    pub code: i32,
    pub summary: Option<Summary>,
    /// The snapshot whose manifest was read again from the repository.
    pub read: Option<String>,
    /// Files that could not be read, the first of them.
    pub errors: Vec<String>,
    /// How many there were.
    pub failed_files: usize,
    /// Sources that were not there: 0.14 says so and ends well.
    pub skipped: Vec<String>,
    /// The last lines that were no progress.
    pub said: String,
}

/// Runs work of restic as a unit of its node, or watches the one of that name that runs.
///
/// # Errors
/// When it could not be run, was cancelled, or the connection broke.
pub(in crate::ops) async fn run(
    cx: &Cx,
    restic: &Restic,
    work: &Lasting,
) -> Result<Ended, BackupError> {
    watch(cx, restic, Running::Unit(work), None).await
}

/// What is watched: a unit of the node, or a call on the operator's machine.
enum Running<'a> {
    Unit(&'a Lasting),
    Here(&'a [&'a str]),
}

/// The same for a backup: a repository that can't even be opened is not tried for a quarter of an
/// hour. What fails later is tried as long as restic likes.
///
/// # Errors
/// As [`run`].
pub(super) async fn back_up(
    cx: &Cx,
    restic: &Restic,
    work: &Lasting,
) -> Result<Ended, BackupError> {
    watch(cx, restic, Running::Unit(work), Some(Trying::default())).await
}

async fn watch(
    cx: &Cx,
    restic: &Restic,
    work: Running<'_>,
    mut opening: Option<Trying>,
) -> Result<Ended, BackupError> {
    let (lines, mut arriving) = mpsc::channel::<(Stream, Vec<u8>)>(256);
    let end = cx.cancel.child_token();
    let running = async {
        match work {
            Running::Unit(work) => Ok(restic.host().last_as(work, lines, &end).await?),
            Running::Here(args) => restic.stream(args, lines, &end).await,
        }
    };
    let reading = async {
        let mut ended = Ended::default();
        let mut said: Vec<String> = Vec::new();
        let mut told: Option<Instant> = None;
        while let Some((_, line)) = arriving.recv().await {
            match read_message(&line) {
                Some(Message::Status(status)) => {
                    opening = None;
                    if told.is_none_or(|t| t.elapsed() >= OFTEN) {
                        told = Some(Instant::now());
                        progress(cx, &status).await;
                    }
                    continue;
                }
                Some(Message::Summary(summary)) => {
                    ended.summary = Some(summary);
                    continue;
                }
                Some(Message::MatouRead { snapshot_id }) => {
                    ended.read = Some(snapshot_id);
                    continue;
                }
                Some(Message::Error(error)) => {
                    let text = restic.without_secrets(&error.text());
                    ended.failed_files += 1;
                    if ended.errors.len() < KEPT {
                        cx.out.line(Stream::Stderr, &text).await;
                        ended.errors.push(text);
                    }
                    continue;
                }
                Some(Message::Other) => continue,
                Some(Message::ExitError { .. }) | None => {}
            }
            let raw = crate::text::plain(&line);
            let text = restic.without_secrets(&raw);
            if text.contains("does not exist, skipping") {
                ended.skipped.push(text.clone());
            }
            if let Some(trying) = &mut opening
                && trying.is_in_vain(text.as_bytes())
            {
                end.cancel();
            }
            if !text.trim().is_empty() {
                cx.out.line(Stream::Stdout, &text).await;
                if said.len() == KEPT {
                    said.remove(0);
                }
                said.push(text);
            }
        }
        ended.said = said.join("\n");
        ended
    };
    let (code, mut ended) = tokio::join!(running, reading);
    ended.code = match code {
        Err(_) if end.is_cancelled() && !cx.cancel.is_cancelled() => IN_VAIN,
        code => code?,
    };
    Ok(ended)
}

async fn progress(cx: &Cx, status: &Status) {
    let detail = told(status);
    cx.out
        .progress_with(status.bytes_done, status.total_bytes, "bytes", &detail)
        .await;
}

/// More than its numbers say, as `12 of 34 files, 40 MiB/s, 2 min left`.
pub(crate) fn told(status: &Status) -> String {
    let mut detail = match status.total_files {
        0 => String::new(),
        total => format!("{} of {total} files", status.files_done),
    };
    if status.seconds_elapsed > 0 && status.bytes_done > 0 {
        let speed = status.bytes_done / status.seconds_elapsed;
        detail += &format!(", {}/s", human_bytes(speed));
    }
    if let Some(left) = status.seconds_remaining.filter(|l| *l > 0) {
        let left = i64::try_from(left).unwrap_or(i64::MAX);
        detail += &format!(", {} left", coarse(left));
    }
    detail
}

/// Runs a command of restic that needs the repository alone. A lock that a killed run left behind
/// is removed once when restic knows it to be stale; that is told.
///
/// # Errors
/// [`BackupError`] of every exit code but 0.
pub(in crate::ops) async fn alone(
    cx: &Cx,
    restic: &Restic,
    name: &str,
    args: &[String],
) -> Result<Ended, BackupError> {
    let unit = format!("matou-{name}-{}", restic.name());
    let body = "restic \"$@\"";
    let mut unlocked = false;
    loop {
        let words: Vec<&str> = args.iter().map(String::as_str).collect();
        let ended = match restic.is_here() {
            true => watch(cx, restic, Running::Here(&words), None).await?,
            false => {
                let work = restic.lasting(&unit, Guard::Exclusive, body, args.to_vec());
                run(cx, restic, &work).await?
            }
        };
        if ended.code == 0 {
            return Ok(ended);
        }
        let error = restic.error(&words, ended.code, &ended.said);
        match &error {
            // Where nothing is deleted, no lock is either.
            BackupError::Locked { lock, .. }
                if !restic.is_append_only() && !std::mem::replace(&mut unlocked, true) =>
            {
                cx.out
                    .note(format!(
                        "the repository is locked by {}: removing locks that are stale",
                        lock.who
                    ))
                    .await;
                restic.run(&["unlock"]).await?;
            }
            _ => return Err(error),
        }
    }
}
