//! A snapshot, or a part of one, written beside the data: by restic, in a unit that outlives the
//! connection, and counted afterwards.
//!
//! restic checks the hash of every blob that it reads; what it does not tell before 0.17 (a pattern
//! that matched nothing, a file that could not be written for want of room) is found by counting
//! files and bytes.

use std::path::{Path, PathBuf};
use std::time::Duration;

use async_trait::async_trait;
use tokio::sync::mpsc;
use tokio_util::sync::CancellationToken;

use super::source::Source;
use crate::backup::listing::{Size, literal};
use crate::backup::{Guard, Message, Version, read_message};
use crate::host::{Command, Confined, Stream};
use crate::job::{Change, Check, Cx, Step, StepError};
use crate::text::human_bytes;

/// How long the largest restore may take.
const PATIENCE: Duration = Duration::from_secs(24 * 3600);

/// Room that is left free, bytes.
const SPARE: u64 = 64 << 20;

/// Kinds of files that are told.
const KINDS: usize = 3;

/// Lines of restic that an error shows.
const LINES: usize = 20;

/// Arguments: id, folder, options of restic, number of paths, patterns, paths. Prints
/// `matou: written FILES BYTES` at the end, and, where restic does not tell how far it is, now and
/// then `matou: used BYTES`.
const BODY: &str = r#"id=$1; stage=$2; options=$3; n=$4; shift 4
mkdir -p -m 700 -- "$stage" || exit 1
used() { df -B1 --output=used -- "$stage" | tail -n 1 | tr -d ' '; }
before=$(used)
case $options in *--json*) ;; *)
    (exec </dev/null; trap - INT TERM; while sleep 2; do echo "matou: used $(($(used) - before))"; done) & ticks=$! ;;
esac
(
    i=0; while [ $i -lt $n ]; do p=$1; shift; set -- "$@" --include "$p"; i=$((i + 1)); done
    i=0; while [ $i -lt $n ]; do shift; i=$((i + 1)); done
    credentials; exec restic restore $options --target "$stage" "$id" "$@"
); rc=$?
[ -z "$ticks" ] || { kill "$ticks"; wait "$ticks"; } 2>/dev/null
[ $rc = 0 ] || exit $rc
i=0; while [ $i -lt $n ]; do shift; i=$((i + 1)); done
"#;

/// How a script ends that wrote the paths `$@` of a snapshot below `$stage`: it counts files and bytes,
/// and tells what of them is more than data, `matou: found HOW-MANY WHAT: NAMES`.
pub(super) const COUNT: &str = r#"for p; do
    [ -e "$stage$p" ] || [ -L "$stage$p" ] || { echo "restic did not write $p" >&2; exit 1; }
    find "$stage$p" -type f -printf '%s\n'
done | awk '/^[0-9]+$/ { f++; b += $1 } END { printf "matou: written %d %.0f\n", f, b }'
for p; do
    find "$stage$p" \( -type f -perm /6000 -o -type b -o -type c -o -type l -lname '/*' \
        -o -type l \( -lname .. -o -lname '../*' -o -lname '*/..' -o -lname '*/../*' \) \) -printf '%y %d %l\n%P\0'
done | tr '\n\0' '\001\n' | LC_ALL=C awk -F '\001' '
    # A link below N folders leads out when its target goes up more than N times.
    function out(depth, to, i, n, parts) {
        if (to ~ /^\//) return 1
        n = split(to, parts, "/")
        for (i = 1; i <= n; i++) {
            if (parts[i] == "..") depth--; else if (parts[i] != "" && parts[i] != ".") depth++
            if (depth < 0) return 1
        }
        return 0
    }
    {
        kind = substr($1, 1, 1); rest = substr($1, 3); at = index(rest, " ")
        if (kind == "f") what = "files that run as their owner or group (set-uid, set-gid)"
        else if (kind == "b" || kind == "c") what = "devices"
        else if (out(substr(rest, 1, at - 1) - 1, substr(rest, at + 1))) what = "links that lead out of what is restored"
        else next
        if (++found[what] <= 3) names[what] = names[what] (found[what] > 1 ? ", " : "") substr($NF == "" ? "the path itself" : $NF, 1, 120)
    }
    END { for (what in found) printf "matou: found %d %s: %s%s\n", found[what], what, names[what], (found[what] > 3 ? ", ..." : "") }'"#;

/// Something of a snapshot in a folder of the storage node.
pub(crate) struct Stage {
    pub source: Source,
    /// The unit's name.
    pub unit: String,
    /// Where root follows no link meanwhile.
    pub confined: Confined,
    /// Where it is written; the paths of the snapshot lie below it.
    pub folder: PathBuf,
    /// Paths of the snapshot.
    pub paths: Vec<String>,
    /// What lies at these paths.
    pub size: Size,
    /// restic reads everything again that it wrote.
    pub verify: bool,
}

/// Bytes that are free where a folder is, or will be.
pub(super) async fn free(host: &crate::host::Host, folder: &Path) -> Result<u64, StepError> {
    let script = r#"d=$1; while [ ! -d "$d" ]; do d=$(dirname "$d"); done
df -B1 --output=avail -- "$d" | tail -n 1"#;
    let ask = Command::sh(script)
        .arg(folder.display().to_string())
        .sudo()
        .timeout(Duration::from_secs(20))
        .label(format!("room for {}", folder.display()));
    let text = host.run_ok(&ask).await?.text();
    text.trim()
        .parse()
        .map_err(|_| StepError::failed(format!("df printed {text:?}")))
}

impl Stage {
    /// What it writes, and what is to be known of the snapshot: lines of a plan.
    pub(super) fn lines_into(&self, folder: &Path) -> Vec<Change> {
        let source = &self.source;
        let warned = source.warnings.iter().map(|warning| {
            Change::same(format!("the snapshot {}", source.short())).warn(warning.clone())
        });
        let line = Change::add(format!(
            "{} files, {}, from the snapshot {} into {}",
            self.size.files,
            human_bytes(self.size.bytes),
            source.shown(),
            folder.display()
        ));
        warned.chain([line]).collect()
    }

    /// Whether there is room for it.
    pub(super) async fn check_room(&self, cx: &Cx) -> Result<(), StepError> {
        let free = free(&cx.host, &self.folder).await?;
        let need = self.size.bytes + SPARE;
        match free < need {
            true => Err(StepError::failed(format!(
                "{} on {} has {} free, and {} are needed: make room first",
                self.folder.display(),
                cx.node,
                human_bytes(free),
                human_bytes(need)
            ))),
            false => Ok(()),
        }
    }

    /// Says how far it is; answers with what it wrote in the end. A full disk ends it by `full`:
    /// restic would go on with every other file.
    async fn watch(
        &self,
        cx: &Cx,
        mut arriving: mpsc::Receiver<(Stream, Vec<u8>)>,
        full: &CancellationToken,
    ) -> (Option<Size>, Vec<String>) {
        let mut written = None;
        let mut found = 0;
        let mut last: Vec<String> = Vec::new();
        let mut ignored = 0;
        let total = self.size.bytes.max(1);
        while let Some((stream, line)) = arriving.recv().await {
            if let Some(message) = read_message(&line) {
                match message {
                    Message::Status(s) => {
                        let done = s.bytes_restored.max(s.bytes_done);
                        cx.out.progress(done.min(total), total, "bytes").await;
                        continue;
                    }
                    // So restic tells it since 0.17.
                    Message::Error(e) => {
                        let text = e.text();
                        if is_full(&text) {
                            full.cancel();
                        }
                        ignored += 1;
                        if ignored <= LINES {
                            cx.out.line(Stream::Stderr, text.as_str()).await;
                            last.push(text);
                        }
                        continue;
                    }
                    Message::ExitError { message, .. } => last.push(message),
                    Message::Summary(_) | Message::MatouRead { .. } | Message::Other => {}
                }
                continue;
            }
            let text = crate::text::plain(&line);
            if is_full(&text) {
                full.cancel();
            }
            if text.starts_with("ignoring error") {
                ignored += 1;
                if ignored > LINES {
                    continue;
                }
            }
            if let Some(what) = text.strip_prefix("matou: found ") {
                // A name may hold anything but the end of a line.
                found += 1;
                if found <= KINDS {
                    cx.out.note(format!("what is restored holds {what}")).await;
                }
                continue;
            }
            let numbers: Vec<u64> = text
                .strip_prefix("matou: ")
                .map(|t| t.split(' ').filter_map(|n| n.parse().ok()).collect())
                .unwrap_or_default();
            match numbers[..] {
                [done] => cx.out.progress(done.min(total), total, "bytes").await,
                [files, bytes] => written = Some(Size { files, bytes }),
                _ => {
                    cx.out.line(stream, &text).await;
                    if last.len() == LINES {
                        last.remove(0);
                    }
                    last.push(text);
                }
            }
        }
        (written, last)
    }

    /// Options of `restic restore`, as its version knows them.
    pub(super) async fn options(&self) -> Result<String, StepError> {
        let version = self.source.restic.version().await;
        let version = version.map_err(|e| StepError::failed(e.to_string()))?;
        Ok(options(&version, self.verify))
    }

    async fn restore(&self, cx: &Cx) -> Result<(), StepError> {
        let mut args = vec![
            self.source.id.clone(),
            self.folder.display().to_string(),
            self.options().await?,
            self.paths.len().to_string(),
        ];
        args.extend(self.paths.iter().map(|p| literal(p)));
        args.extend(self.paths.iter().cloned());
        self.run(cx, &format!("{BODY}{COUNT}"), args).await
    }

    /// Runs a shell script that ends with [`COUNT`], and judges it.
    pub(super) async fn run(
        &self,
        cx: &Cx,
        body: &str,
        args: Vec<String>,
    ) -> Result<(), StepError> {
        let told = |e: crate::backup::BackupError| StepError::failed(e.to_string());
        let restic = &self.source.restic;
        let work = restic.lasting(&self.unit, Guard::Shared, body, args);
        let work = self.confined.unit(work);
        let (lines, arriving) = mpsc::channel(64);
        let full = cx.cancel.child_token();
        let (code, (written, last)) = tokio::join!(
            restic.host().last_as(&work, lines, &full),
            self.watch(cx, arriving, &full)
        );
        if cx.cancel.is_cancelled() {
            return Err(StepError::Cancelled);
        }
        if full.is_cancelled() {
            return Err(StepError::failed(format!(
                "no room is left in {} on {}: what was written is removed again, and nothing else was changed; make room, then run it again",
                self.folder.display(),
                cx.node
            )));
        }
        let code = code?;
        let said = last.join("\n");
        if code != 0 {
            return Err(told(restic.error(&["restore"], code, &said)));
        }
        match written {
            Some(written) if written == self.size => {
                cx.out
                    .note(format!(
                        "{} files, {}, as many as the snapshot holds",
                        written.files,
                        human_bytes(written.bytes)
                    ))
                    .await;
                Ok(())
            }
            written => {
                let written = written.unwrap_or_default();
                Err(StepError::failed(format!(
                    "restic said that it is done, and wrote {} files of {} and {} bytes of {}: nothing was changed; {}",
                    written.files,
                    self.size.files,
                    written.bytes,
                    self.size.bytes,
                    match said.is_empty() {
                        true =>
                            "`matou repo check` tells whether the repository is whole".to_owned(),
                        false => said,
                    }
                )))
            }
        }
    }
}

#[async_trait]
impl Step for Stage {
    fn name(&self) -> String {
        "snapshot".into()
    }

    fn timeout(&self) -> Duration {
        PATIENCE
    }

    async fn check(&self, cx: &Cx) -> Result<Check, StepError> {
        self.check_room(cx).await?;
        Ok(Check::Change(self.lines_into(&self.folder)))
    }

    async fn apply(&self, cx: &Cx) -> Result<(), StepError> {
        // What a failed or cancelled attempt wrote is of no use.
        let clean = self
            .confined
            .sh("rm -rf --one-file-system -- \"$1\"")
            .arg(self.folder.display().to_string())
            .timeout(Duration::from_secs(1800))
            .label(format!("remove {}", self.folder.display()));
        let result = self.restore(cx).await;
        if result.is_err() {
            cx.host.run_ok(&clean).await?;
        }
        result
    }

    /// It was counted already.
    async fn verify(&self, _: &Cx) -> Result<(), StepError> {
        Ok(())
    }
}

/// Options of `restic restore`, as a version knows them.
fn options(version: &Version, verify: bool) -> String {
    let mut options = Vec::new();
    // Before 0.16 it prints text only.
    if *version >= Version(0, 16, 0) {
        options.push("--json");
    }
    // Holes of files come back as holes; before 0.15 as zeros.
    if *version >= Version(0, 15, 0) {
        options.push("--sparse");
    }
    if verify {
        options.push("--verify");
    }
    options.join(" ")
}

/// Whether restic says that there is no room.
fn is_full(text: &str) -> bool {
    text.contains("no space left on device") || text.contains("disk quota exceeded")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_version_of_restic_is_asked_for_what_it_knows() {
        let of = |minor, verify| options(&Version(0, minor, 0), verify);
        assert_eq!(of(14, false), "");
        assert_eq!(of(14, true), "--verify");
        assert_eq!(of(15, false), "--sparse");
        assert_eq!(of(18, true), "--json --sparse --verify");
    }
}
