//! Volumes of other nodes, brought to the storage node before the snapshot. What changed since the last time
//! is read where it is and put into a copy; restic reads the copy, so that no other node needs to know
//! the repository's password. The data goes through the machine on which matou runs.

use std::collections::BTreeSet;
use std::path::{Path, PathBuf};
use std::time::{Duration, Instant};

use tokio::sync::mpsc;
use tokio_util::sync::CancellationToken;

use super::context::BackupContext;
use crate::OpsError;
use matou_backup::{AppStorage, VolumeElsewhere, VolumeFolder, confined_data_folder};
use matou_base::text::human_bytes;
use matou_host::{Command, ConfinedFolders, Host, HostError, OutputStream, shell_script};
use matou_job::{StepContext, StepError};

/// How long one step with a volume may take: the first time it is all of it, over a slow line.
const COPY_TIMEOUT: Duration = Duration::from_secs(24 * 3600);

/// Shortest time between two progress events.
const PROGRESS_INTERVAL: Duration = Duration::from_millis(400);

/// What stays free on the storage node, in bytes.
const KEPT_FREE: u64 = 100 << 20;

/// How much of what a command says is kept, in bytes.
const KEPT_SAID: usize = 4096;

const LIST_VOLUME: &str = shell_script(include_str!("../../scripts/list_volume.sh"));
const RECEIVE_LIST: &str = shell_script(include_str!("../../scripts/receive_list.sh"));
const COMPARE_COPY: &str = shell_script(include_str!("../../scripts/compare_copy.sh"));
const PRINT_NAMES: &str = shell_script(include_str!("../../scripts/print_names.sh"));
const SEND_FILES: &str = shell_script(include_str!("../../scripts/send_files.sh"));
const STORE_FILES: &str = shell_script(include_str!("../../scripts/store_files.sh"));
const KEEP_LIST: &str = shell_script(include_str!("../../scripts/keep_list.sh"));

/// Returns ` (of n2, n3)`: the nodes that volumes are brought from; nothing when there are none.
pub(super) fn describe_places(layout: &AppStorage) -> String {
    let nodes: BTreeSet<&str> = layout
        .volumes
        .iter()
        .filter_map(|v| Some(v.elsewhere.as_ref()?.node.as_str()))
        .collect();
    match nodes.is_empty() {
        true => String::new(),
        false => {
            let nodes: Vec<&str> = nodes.into_iter().collect();
            format!(" (of {} too)", nodes.join(", "))
        }
    }
}

/// Makes the copies of all volumes of other nodes like these. One that can't be brought is left out of the
/// snapshot, which is noted in the layout.
///
/// # Errors
/// Cancelled; or nothing is left to back up.
pub(super) async fn bring_volumes(
    work: &BackupContext,
    layout: &mut AppStorage,
    cx: &StepContext,
) -> Result<(), StepError> {
    let had_any = !(layout.volumes.is_empty() && layout.left_out.is_empty());
    let mut brought = Vec::new();
    for volume in std::mem::take(&mut layout.volumes) {
        let Some(at) = &volume.elsewhere else {
            brought.push(volume);
            continue;
        };
        let one_file_system = layout.spec.one_file_system;
        let result = CopyOfVolume::new(work, &volume, at, cx, one_file_system);
        let result = match result {
            Ok(copy) => copy.bring().await,
            Err(e) => Err(e),
        };
        if cx.cancel.is_cancelled() {
            return Err(StepError::Cancelled);
        }
        match result {
            Ok(()) => brought.push(volume),
            Err(why) => {
                let why = format!("the volume {} on {}: {why}", volume.name, at.node);
                cx.out
                    .send_line(matou_job::OutputStream::Stderr, format!("WARNING: {why}"))
                    .await;
                layout.left_out.push(why);
            }
        }
    }
    layout.volumes = brought;
    match had_any && layout.volumes.is_empty() {
        true => Err(StepError::failed(format!(
            "no volume of it can be backed up: {}",
            layout.left_out.join("; ")
        ))),
        false => Ok(()),
    }
}

/// A volume of another node and its copy.
struct CopyOfVolume<'a> {
    cx: &'a StepContext,
    name: &'a str,
    node: &'a Host,
    /// Where the volume is on its node.
    from: &'a Path,
    storage: &'a Host,
    /// The copy's folder.
    copy: PathBuf,
    /// Where root follows no link on the storage node.
    confined: ConfinedFolders,
    one_file_system: bool,
}

/// What has to be sent.
#[derive(Debug, PartialEq, Eq)]
struct Missing {
    files: u64,
    /// As they lie on the volume's disk.
    bytes: u64,
    /// Bytes, on the storage node.
    free: u64,
    /// `None` where the file system has no end of them.
    free_inodes: Option<u64>,
}

impl Missing {
    fn parse(text: &str) -> Option<Self> {
        let mut words = text.split_whitespace();
        let mut number = || words.next()?.parse::<u64>().ok();
        let (files, bytes, free) = (number()?, number()?, number()?);
        let free_inodes = number().filter(|n| *n > 0);
        Some(Self {
            files,
            bytes,
            free,
            free_inodes,
        })
    }

    /// Why it does not fit.
    fn find_lack(&self) -> Option<String> {
        if self.files == 0 {
            return None;
        }
        if self.bytes.saturating_add(KEPT_FREE) > self.free {
            return Some(format!(
                "{} of it are to be brought, and {} are free",
                human_bytes(self.bytes),
                human_bytes(self.free)
            ));
        }
        let inodes = self.free_inodes.filter(|free| self.files >= *free)?;
        Some(format!(
            "{} files of it are to be brought, and there is room for {inodes}",
            self.files
        ))
    }

    /// What another node may send at most, so that a worker that was broken into can't fill the storage node.
    fn most(&self) -> u64 {
        let heads = self.files.saturating_mul(8192);
        let data = self.bytes.saturating_mul(2);
        data.saturating_add(heads).saturating_add(1 << 30)
    }
}

impl<'a> CopyOfVolume<'a> {
    fn new(
        work: &'a BackupContext,
        volume: &'a VolumeFolder,
        at: &'a VolumeElsewhere,
        cx: &'a StepContext,
        one_file_system: bool,
    ) -> Result<Self, OpsError> {
        let node = work.fleet.nodes.get(&at.node);
        let copy = volume.folder.parent().ok_or("it has no folder")?;
        Ok(Self {
            cx,
            name: &volume.name,
            node: &node.ok_or("that node is not in config.toml")?.host,
            from: &at.folder,
            storage: &work.storage.host,
            copy: copy.to_owned(),
            confined: confined_data_folder(&work.fleet.config),
            one_file_system,
        })
    }

    /// A script that reads the volume on its node.
    fn there(&self, script: &str, label: &str) -> Command {
        let command = ConfinedFolders::new(self.from).sh(script);
        self.finish(command.arg(self.from.display().to_string()), label)
    }

    /// A script that works with the copy.
    fn here(&self, script: &str, label: &str) -> Command {
        let command = self.confined.sh(script);
        self.finish(command.arg(self.copy.display().to_string()), label)
    }

    fn finish(&self, command: Command, label: &str) -> Command {
        let label = format!("{label} the volume {}", self.name);
        command.timeout(COPY_TIMEOUT).label(label)
    }

    /// Makes the copy like the volume.
    async fn bring(&self) -> Result<(), OpsError> {
        let begun = Instant::now();
        self.send_list().await?;
        let compare = self.here(COMPARE_COPY, "compare the copy of");
        let said = self.storage.run_ok(&compare).await?.stdout_text();
        let missing = Missing::parse(&said).ok_or("what is to be brought can't be told")?;
        if let Some(lack) = missing.find_lack() {
            return Err(OpsError::failed(format_args!(
                "{} has no room for its copy at {}: {lack}",
                self.storage.name(),
                self.copy.display()
            )));
        }
        let sent = match missing.files {
            0 => 0,
            _ => self.send_files(&missing).await?,
        };
        self.storage
            .run_ok(&self.here(KEEP_LIST, "note the copy of"))
            .await?;
        let text = format!(
            "volume {} of {}: {} brought in {:.0} s",
            self.name,
            self.node.name(),
            human_bytes(sent),
            begun.elapsed().as_secs_f64()
        );
        self.cx.out.note(text).await;
        Ok(())
    }

    /// Brings the list of the volume's files.
    async fn send_list(&self) -> Result<(), OpsError> {
        let (names, arriving) = mpsc::channel(16);
        let one = match self.one_file_system {
            true => "one",
            false => "all",
        };
        let end = self.cx.cancel.child_token();
        let list = self.there(LIST_VOLUME, "list").arg(one);
        let receive = self.here(RECEIVE_LIST, "keep the list of");
        let receive = receive.live_stdin(arriving);
        let (listed, kept) = tokio::join!(
            run_stage(self.node, &list, Some(names), &end),
            run_stage(self.storage, &receive, None, &end)
        );
        choose_error([listed, kept])
    }

    /// Brings the files that the copy lacks. Returns how many bytes that was.
    async fn send_files(&self, missing: &Missing) -> Result<u64, OpsError> {
        let (names, wanted) = mpsc::channel(16);
        let (files, mut arriving) = mpsc::channel::<Vec<u8>>(16);
        let (counted, stored) = mpsc::channel(16);
        let end = self.cx.cancel.child_token();
        let print = self.here(PRINT_NAMES, "read the list of");
        let send = self.there(SEND_FILES, "read").live_stdin(wanted);
        let store = self.here(STORE_FILES, "write the copy of");
        let store = store.live_stdin(stored);
        let (cx, name, most, total) = (self.cx, self.name, missing.most(), missing.bytes);
        let ending = end.clone();
        // What it holds goes with it: the others see that nobody reads or writes any more.
        let counting = async move {
            let (mut sent, mut told) = (0u64, Instant::now());
            while let Some(piece) = arriving.recv().await {
                sent = sent.saturating_add(piece.len() as u64);
                if sent > most {
                    ending.cancel();
                    let most = human_bytes(most);
                    return Err(OpsError::failed(format_args!(
                        "more than {most} came, which is far more than it has: look at that node"
                    )));
                }
                if counted.send(piece).await.is_err() {
                    break;
                }
                if told.elapsed() >= PROGRESS_INTERVAL {
                    told = Instant::now();
                    let total = total.max(sent);
                    cx.out
                        .send_detailed_progress(sent, total, "bytes", name)
                        .await;
                }
            }
            Ok(sent)
        };
        let (sent, printed, read, written) = tokio::join!(
            counting,
            run_stage(self.storage, &print, Some(names), &end),
            run_stage(self.node, &send, Some(files), &end),
            run_stage(self.storage, &store, None, &end)
        );
        let sent = sent?;
        choose_error([printed, read, written])?;
        Ok(sent)
    }
}

/// Runs a command to its end and passes on what it prints. When it fails, `end` ends the others.
async fn run_stage(
    host: &Host,
    command: &Command,
    to: Option<mpsc::Sender<Vec<u8>>>,
    end: &CancellationToken,
) -> Result<(), HostError> {
    let (pieces, mut arriving) = mpsc::channel::<(OutputStream, Vec<u8>)>(16);
    let unheard = end.child_token();
    let running = host.stream_bytes(command, pieces, &unheard);
    let passing = async {
        let mut said = Vec::new();
        while let Some((stream, bytes)) = arriving.recv().await {
            match (stream, &to) {
                (OutputStream::Stdout, Some(to)) => {
                    // Who does not read any more has failed, and says why itself.
                    let sent = unheard.run_until_cancelled(to.send(bytes)).await;
                    if !matches!(sent, Some(Ok(()))) {
                        unheard.cancel();
                        break;
                    }
                }
                _ => {
                    said.extend(bytes);
                    let over = said.len().saturating_sub(KEPT_SAID);
                    said.drain(..over);
                }
            }
        }
        // The next one sees the end of its input.
        drop(to);
        said
    };
    let (code, said) = tokio::join!(running, passing);
    let is_unheard = unheard.is_cancelled();
    let result = match code {
        Ok(0) => Ok(()),
        Ok(code) => Err(HostError::Failed {
            node: host.name().to_owned(),
            command: command.to_string(),
            code,
            last_lines: last_lines(&said),
        }),
        Err(e) => Err(e),
    };
    if result.is_err() && !is_unheard {
        end.cancel();
    }
    result
}

/// The last lines of what a command said.
fn last_lines(said: &[u8]) -> Vec<String> {
    let lines = said.split(|b| *b == b'\n').rev();
    let lines = lines.filter(|l| !l.trim_ascii().is_empty()).take(5);
    let mut last: Vec<String> = lines.map(matou_base::text::clean_bytes).collect();
    last.reverse();
    last
}

/// The error that says most: one that ended the others, not one that was ended.
fn choose_error<const N: usize>(results: [Result<(), HostError>; N]) -> Result<(), OpsError> {
    let mut errors: Vec<HostError> = results.into_iter().filter_map(Result::err).collect();
    errors.sort_by_key(|e| matches!(e, HostError::Cancelled { .. }));
    match errors.into_iter().next() {
        None => Ok(()),
        Some(e) => Err(e.into()),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn room_is_looked_for_before_anything_is_sent() {
        let lack = |text: &str| Missing::parse(text).unwrap().find_lack();
        assert_eq!(lack("3 4096 900000000 50"), None);
        assert!(
            lack("3 899000000 900000000 50")
                .unwrap()
                .contains("are free")
        );
        assert!(
            lack("60 4096 900000000 50")
                .unwrap()
                .contains("room for 50")
        );
        // btrfs has no end of inodes, and says 0.
        assert_eq!(lack("60 4096 900000000 0"), None);
        assert_eq!(lack("0 0 10 1"), None);
        assert_eq!(Missing::parse("3 4096"), None);
    }
}
