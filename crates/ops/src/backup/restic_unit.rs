//! A unit of restic on the storage node, watched: progress, what it says, how it ended.

use matou_i18n::tr;
use std::time::{Duration, Instant};

use tokio::sync::mpsc;

use matou_backup::{
    BackupError, GAVE_UP, RepositoryAccess, Restic, ResticMessage, ResticStatus, ResticSummary,
    RetryWatch, parse_restic_message,
};
use matou_base::text::{format_seconds, human_bytes};
use matou_host::DetachedUnit;
use matou_job::{LastLines, OutputStream, StepContext};

/// Lines and files' errors that are kept for telling.
const MAX_KEPT_LINES: usize = 60;

/// Shortest time between two progress events.
const PROGRESS_INTERVAL: Duration = Duration::from_millis(400);

/// How a unit ended.
#[derive(Debug, Default)]
pub(crate) struct ResticOutcome {
    pub code: i32,
    pub summary: Option<ResticSummary>,
    /// The snapshot whose manifest was read again from the repository.
    pub reread_snapshot: Option<String>,
    /// Files that could not be read, the first of them.
    pub errors: Vec<String>,
    /// How many there were.
    pub failed_files: usize,
    /// Folders that were missing; restic 0.14 skips them and still succeeds.
    pub skipped: Vec<String>,
    /// The last lines that were no progress.
    pub said: String,
}

/// Runs work of restic as a unit of its node, or watches the one of that name that runs.
///
/// # Errors
/// When it could not be run, was cancelled, or the connection broke.
pub(crate) async fn run_restic_unit(
    cx: &StepContext,
    restic: &Restic,
    work: &DetachedUnit,
) -> Result<ResticOutcome, BackupError> {
    watch_restic(cx, restic, WatchedRestic::Unit(work), None).await
}

/// What is watched: a unit of the node, or a call on the operator's machine.
enum WatchedRestic<'a> {
    Unit(&'a DetachedUnit),
    Here(&'a [&'a str]),
}

/// Runs a backup as a unit. Gives up early if the repository can't be opened, which restic would
/// retry for 15 minutes. Later failures are retried as long as restic does.
///
/// # Errors
/// Those of [`run_restic_unit`].
pub(super) async fn run_backup_unit(
    cx: &StepContext,
    restic: &Restic,
    work: &DetachedUnit,
) -> Result<ResticOutcome, BackupError> {
    watch_restic(
        cx,
        restic,
        WatchedRestic::Unit(work),
        Some(RetryWatch::default()),
    )
    .await
}

async fn watch_restic(
    cx: &StepContext,
    restic: &Restic,
    work: WatchedRestic<'_>,
    mut opening: Option<RetryWatch>,
) -> Result<ResticOutcome, BackupError> {
    let (lines, mut arriving) = mpsc::channel::<(OutputStream, Vec<u8>)>(256);
    let end = cx.cancel.child_token();
    let running = async {
        match work {
            WatchedRestic::Unit(work) => {
                Ok(restic.host().run_detached_unit(work, lines, &end).await?)
            }
            WatchedRestic::Here(args) => restic.stream_lines(args, lines, &end).await,
        }
    };
    let reading = async {
        let mut ended = ResticOutcome::default();
        let mut said = LastLines::new(MAX_KEPT_LINES);
        let mut told: Option<Instant> = None;
        while let Some((_, line)) = arriving.recv().await {
            match parse_restic_message(&line) {
                Some(ResticMessage::Status(status)) => {
                    opening = None;
                    if told.is_none_or(|t| t.elapsed() >= PROGRESS_INTERVAL) {
                        told = Some(Instant::now());
                        send_restic_progress(cx, &status).await;
                    }
                    continue;
                }
                Some(ResticMessage::Summary(summary)) => {
                    ended.summary = Some(summary);
                    continue;
                }
                Some(ResticMessage::MatouRead { snapshot_id }) => {
                    ended.reread_snapshot = Some(snapshot_id);
                    continue;
                }
                Some(ResticMessage::Error(error)) => {
                    let text = restic.without_secrets(&error.to_sentence());
                    ended.failed_files += 1;
                    if ended.errors.len() < MAX_KEPT_LINES {
                        cx.out.send_line(OutputStream::Stderr, &text).await;
                        ended.errors.push(text);
                    }
                    continue;
                }
                Some(ResticMessage::Other) => continue,
                Some(ResticMessage::ExitError { .. }) | None => {}
            }
            let raw = matou_base::text::clean_bytes(&line);
            let text = restic.without_secrets(&raw);
            if text.contains("does not exist, skipping") {
                ended.skipped.push(text.clone());
            }
            if let Some(trying) = &mut opening
                && trying.has_given_up(text.as_bytes())
            {
                end.cancel();
            }
            if !text.trim().is_empty() {
                cx.out.send_line(OutputStream::Stdout, &text).await;
                said.push(text);
            }
        }
        ended.said = said.join("\n");
        ended
    };
    let (code, mut ended) = tokio::join!(running, reading);
    ended.code = match code {
        Err(_) if end.is_cancelled() && !cx.cancel.is_cancelled() => GAVE_UP,
        code => code?,
    };
    Ok(ended)
}

async fn send_restic_progress(cx: &StepContext, status: &ResticStatus) {
    let detail = format_restic_progress(status);
    cx.out
        .send_detailed_progress(status.bytes_done, status.total_bytes, "bytes", &detail)
        .await;
}

/// Formats what the progress bar does not show, as `12 of 34 files, 40 MiB/s, 2 min left`.
pub fn format_restic_progress(status: &ResticStatus) -> String {
    let mut detail = match status.total_files {
        0 => String::new(),
        total => tr!("{} of {total} files", status.files_done),
    };
    if status.seconds_elapsed > 0 && status.bytes_done > 0 {
        let speed = status.bytes_done / status.seconds_elapsed;
        detail += &format!(", {}/s", human_bytes(speed));
    }
    if let Some(left) = status.seconds_remaining.filter(|l| *l > 0) {
        let left = i64::try_from(left).unwrap_or(i64::MAX);
        detail += &tr!(", {} left", format_seconds(left));
    }
    detail
}

/// Runs a restic command that needs an exclusive lock. If the repository is locked, removes stale
/// locks once, says so, and tries again.
///
/// # Errors
/// [`BackupError`] for every exit code but 0.
pub(crate) async fn run_restic_exclusively(
    cx: &StepContext,
    restic: &Restic,
    name: &str,
    args: &[String],
) -> Result<ResticOutcome, BackupError> {
    let unit = format!("matou-{name}-{}", restic.name());
    let body = "restic \"$@\"";
    let mut unlocked = false;
    loop {
        let words: Vec<&str> = args.iter().map(String::as_str).collect();
        let ended = match restic.is_local() {
            true => watch_restic(cx, restic, WatchedRestic::Here(&words), None).await?,
            false => {
                let work =
                    restic.detached_unit(&unit, RepositoryAccess::Exclusive, body, args.to_vec());
                run_restic_unit(cx, restic, &work).await?
            }
        };
        if ended.code == 0 {
            return Ok(ended);
        }
        let mut error = restic.error_of_exit(&words, ended.code, &ended.said);
        if let Some(check) = ended.summary.as_ref().and_then(|s| s.check.as_ref()) {
            error = error.with_check(check, &ended.errors);
        }
        match &error {
            // An append-only repository refuses to remove a lock too.
            BackupError::Locked { lock, .. }
                if !restic.is_append_only() && !std::mem::replace(&mut unlocked, true) =>
            {
                cx.out
                    .note(tr!(
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
