//! Writes a snapshot, or a part of it, to a staging folder. restic does it in a unit that outlives
//! the connection; then files and bytes are counted.
//!
//! restic checks the hash of every blob that it reads. Before 0.17 it is silent about a pattern
//! that matched nothing, and about a file that it could not write for lack of room: counting finds
//! both.

use matou_i18n::tr;
use std::path::{Path, PathBuf};
use std::time::Duration;

use async_trait::async_trait;
use tokio::sync::mpsc;
use tokio_util::sync::CancellationToken;

use super::source::RestoreSource;
use matou_backup::listing::{FileTotals, escape_include_pattern};
use matou_backup::{RepositoryAccess, ResticMessage, ResticVersion, parse_restic_message};
use matou_base::text::human_bytes;
use matou_host::{Command, ConfinedFolders, OutputStream, shell_script};
use matou_job::{Change, Check, LastLines, Step, StepContext, StepError};

/// The name of the unit that writes an application's snapshot.
pub(super) fn restore_unit_name(app: &str) -> String {
    format!("matou-restore-{app}")
}

/// How long the largest restore may take.
const STAGING_TIMEOUT: Duration = Duration::from_secs(24 * 3600);

/// Room that is left free, bytes.
const SPARE_BYTES: u64 = 64 << 20;

/// How many kinds of suspicious files are reported.
const MAX_KINDS: usize = 3;

/// Lines of restic that an error shows.
const MAX_ERROR_LINES: usize = 20;

/// Arguments: id, folder, options of restic, number of paths, patterns, paths. Prints
/// `matou: written FILES BYTES` at the end, and, where restic does not tell how far it is, now and
/// then `matou: used BYTES`.
const RESTORE_SCRIPT: &str = shell_script(include_str!("../../scripts/restore_snapshot.sh"));

/// Ends a script that wrote the paths `$@` of a snapshot below `$stage`. Counts files and bytes,
/// and prints `matou: found COUNT KIND: NAMES` for set-uid files, devices, and links that lead out.
pub(super) const COUNT_SCRIPT: &str = shell_script(include_str!("../../scripts/count_restored.sh"));

/// Writes paths of a snapshot to a folder of the storage node.
pub(crate) struct StageSnapshot {
    pub source: RestoreSource,
    /// The unit's name.
    pub unit: String,
    /// Folders in which root follows no link meanwhile.
    pub confined: ConfinedFolders,
    /// Where it is written; the paths of the snapshot lie below it.
    pub folder: PathBuf,
    /// Paths of the snapshot.
    pub paths: Vec<String>,
    /// What lies at these paths.
    pub size: FileTotals,
    /// restic reads everything again that it wrote.
    pub verify: bool,
}

/// Bytes that are free where a folder is, or will be.
pub(super) async fn query_free_bytes(
    host: &matou_host::Host,
    folder: &Path,
) -> Result<u64, StepError> {
    let script = r#"d=$1; while [ ! -d "$d" ]; do d=$(dirname "$d"); done
df -B1 --output=avail -- "$d" | tail -n 1"#;
    let ask = Command::sh(script)
        .arg(folder.display().to_string())
        .sudo()
        .timeout(Duration::from_secs(20))
        .label(tr!("room for {}", folder.display()));
    let text = host.run_ok(&ask).await?.stdout_text();
    text.trim()
        .parse()
        .map_err(|_| StepError::failed(tr!("df printed {text:?}")))
}

impl StageSnapshot {
    /// Returns the lines of the plan: warnings about the snapshot, and what is written.
    pub(super) fn plan_lines_into(&self, folder: &Path) -> Vec<Change> {
        let source = &self.source;
        let warned = source.warnings.iter().map(|warning| {
            Change::same(tr!("the snapshot {}", source.short_id())).with_warning(warning.clone())
        });
        let line = Change::add(tr!(
            "{} files, {}, from the snapshot {} into {}",
            self.size.files,
            human_bytes(self.size.bytes),
            source.describe(),
            folder.display()
        ));
        warned.chain([line]).collect()
    }

    /// Whether there is room for it.
    pub(super) async fn check_room(&self, cx: &StepContext) -> Result<(), StepError> {
        let free = query_free_bytes(&cx.host, &self.folder).await?;
        let need = self.size.bytes + SPARE_BYTES;
        match free < need {
            true => Err(StepError::failed(tr!(
                "{} on {} has {} free, and {} are needed: make room first",
                self.folder.display(),
                cx.node,
                human_bytes(free),
                human_bytes(need)
            ))),
            false => Ok(()),
        }
    }

    /// Sends the progress of restic. Returns what it wrote, and its last lines. Cancels `full` when
    /// the disk is full, as restic would go on with every other file.
    async fn watch_restore(
        &self,
        cx: &StepContext,
        mut arriving: mpsc::Receiver<(OutputStream, Vec<u8>)>,
        full: &CancellationToken,
    ) -> (Option<FileTotals>, LastLines) {
        let mut written = None;
        let mut found = 0;
        let mut last = LastLines::new(MAX_ERROR_LINES);
        let mut ignored = 0;
        let total = self.size.bytes.max(1);
        while let Some((stream, line)) = arriving.recv().await {
            if let Some(message) = parse_restic_message(&line) {
                match message {
                    ResticMessage::Status(s) => {
                        let done = s.bytes_restored.max(s.bytes_done);
                        cx.out.send_progress(done.min(total), total, "bytes").await;
                        continue;
                    }
                    // So restic tells it since 0.17.
                    ResticMessage::Error(e) => {
                        let text = e.to_sentence();
                        if is_disk_full(&text) {
                            full.cancel();
                        }
                        ignored += 1;
                        if ignored <= MAX_ERROR_LINES {
                            cx.out.send_line(OutputStream::Stderr, text.as_str()).await;
                            last.push(text);
                        }
                        continue;
                    }
                    ResticMessage::ExitError { message, .. } => last.push(message),
                    ResticMessage::Summary(_)
                    | ResticMessage::MatouRead { .. }
                    | ResticMessage::Other => {}
                }
                continue;
            }
            let text = matou_base::text::clean_bytes(&line);
            if is_disk_full(&text) {
                full.cancel();
            }
            if text.starts_with("ignoring error") {
                ignored += 1;
                if ignored > MAX_ERROR_LINES {
                    continue;
                }
            }
            if let Some(what) = text.strip_prefix("matou: found ") {
                // A name may hold anything but the end of a line.
                found += 1;
                if found <= MAX_KINDS {
                    cx.out.note(tr!("what is restored holds {what}")).await;
                }
                continue;
            }
            let numbers: Vec<u64> = text
                .strip_prefix("matou: ")
                .map(|t| t.split(' ').filter_map(|n| n.parse().ok()).collect())
                .unwrap_or_default();
            match numbers[..] {
                [done] => cx.out.send_progress(done.min(total), total, "bytes").await,
                [files, bytes] => written = Some(FileTotals { files, bytes }),
                _ => {
                    cx.out.send_line(stream, &text).await;
                    last.push(text);
                }
            }
        }
        (written, last)
    }

    /// Options of `restic restore`, as its version knows them.
    pub(super) async fn restore_options(&self) -> Result<String, StepError> {
        let version = self.source.restic.check_version().await;
        let version = version.map_err(crate::OpsError::from)?;
        Ok(restic_restore_options(&version, self.verify))
    }

    async fn restore_snapshot(&self, cx: &StepContext) -> Result<(), StepError> {
        let mut args = vec![
            self.source.id.clone(),
            self.folder.display().to_string(),
            self.restore_options().await?,
            self.paths.len().to_string(),
        ];
        args.extend(self.paths.iter().map(|p| escape_include_pattern(p)));
        args.extend(self.paths.iter().cloned());
        self.run_counted_script(cx, &format!("{RESTORE_SCRIPT}{COUNT_SCRIPT}"), args)
            .await
    }

    /// Runs a shell script that ends with [`COUNT_SCRIPT`], and checks its count.
    pub(super) async fn run_counted_script(
        &self,
        cx: &StepContext,
        body: &str,
        args: Vec<String>,
    ) -> Result<(), StepError> {
        let told = |e: matou_backup::BackupError| StepError::failed(e.to_string());
        let restic = &self.source.restic;
        let work = restic.detached_unit(&self.unit, RepositoryAccess::Shared, body, args);
        let work = self.confined.confine_unit(work);
        let (lines, arriving) = mpsc::channel(64);
        let full = cx.cancel.child_token();
        let (code, (written, last)) = tokio::join!(
            restic.host().run_detached_unit(&work, lines, &full),
            self.watch_restore(cx, arriving, &full)
        );
        if cx.cancel.is_cancelled() {
            return Err(StepError::Cancelled);
        }
        if full.is_cancelled() {
            return Err(StepError::failed(tr!(
                "no room is left in {} on {}: what was written is removed again, and nothing else was changed; make room, then run it again",
                self.folder.display(),
                cx.node
            )));
        }
        let code = code?;
        let said = last.join("\n");
        if code != 0 {
            return Err(told(restic.error_of_exit(&["restore"], code, &said)));
        }
        match written {
            Some(written) if written == self.size => {
                cx.out
                    .note(tr!(
                        "{} files, {}, as many as the snapshot holds",
                        written.files,
                        human_bytes(written.bytes)
                    ))
                    .await;
                Ok(())
            }
            written => {
                let written = written.unwrap_or_default();
                Err(StepError::failed(tr!(
                    "restic said that it is done, and wrote {} files of {} and {} bytes of {}: nothing was changed; {}",
                    written.files,
                    self.size.files,
                    written.bytes,
                    self.size.bytes,
                    match said.is_empty() {
                        true => tr!("`matou repo check` tells whether the repository is whole")
                            .to_owned(),
                        false => said,
                    }
                )))
            }
        }
    }
}

#[async_trait]
impl Step for StageSnapshot {
    fn name(&self) -> String {
        tr!("snapshot").into()
    }

    fn timeout(&self) -> Duration {
        STAGING_TIMEOUT
    }

    async fn check(&self, cx: &StepContext) -> Result<Check, StepError> {
        self.check_room(cx).await?;
        Ok(Check::Change(self.plan_lines_into(&self.folder)))
    }

    async fn apply(&self, cx: &StepContext) -> Result<(), StepError> {
        // What a failed or cancelled attempt wrote is of no use.
        let clean = self
            .confined
            .sh("rm -rf --one-file-system -- \"$1\"")
            .arg(self.folder.display().to_string())
            .timeout(Duration::from_secs(1800))
            .label(tr!("remove {}", self.folder.display()));
        let result = self.restore_snapshot(cx).await;
        if result.is_err() {
            cx.host.run_ok(&clean).await?;
        }
        result
    }

    /// It was counted already.
    async fn verify(&self, _: &StepContext) -> Result<(), StepError> {
        Ok(())
    }
}

/// Options of `restic restore`, as a version knows them.
fn restic_restore_options(version: &ResticVersion, verify: bool) -> String {
    let mut options = Vec::new();
    // Before 0.16 it prints text only.
    if *version >= ResticVersion(0, 16, 0) {
        options.push("--json");
    }
    // Holes of files come back as holes; before 0.15 as zeros.
    if *version >= ResticVersion(0, 15, 0) {
        options.push("--sparse");
    }
    if verify {
        options.push("--verify");
    }
    options.join(" ")
}

/// Whether restic says that there is no room.
fn is_disk_full(text: &str) -> bool {
    text.contains("no space left on device") || text.contains("disk quota exceeded")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_version_of_restic_is_asked_for_what_it_knows() {
        let of = |minor, verify| restic_restore_options(&ResticVersion(0, minor, 0), verify);
        assert_eq!(of(14, false), "");
        assert_eq!(of(14, true), "--verify");
        assert_eq!(of(15, false), "--sparse");
        assert_eq!(of(18, true), "--json --sparse --verify");
    }
}
