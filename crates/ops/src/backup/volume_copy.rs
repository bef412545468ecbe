//! Volumes of other nodes, brought to the storage node before the snapshot. What changed since the last time
//! is read where it is and put into a copy; restic reads the copy, so that no other node needs to know
//! the repository's password. The data goes through the machine on which matou runs.

use matou_i18n::tr;
use std::collections::BTreeSet;
use std::path::{Path, PathBuf};
use std::time::{Duration, Instant};

use tokio::sync::mpsc;

use super::context::BackupContext;
use crate::OpsError;
use crate::piped::{choose_error, run_stage};
use matou_backup::{
    AppStorage, UnreachedVolume, VolumeElsewhere, VolumeFolder, confined_data_folder,
};
use matou_base::text::human_bytes;
use matou_host::{Command, ConfinedFolders, Host, shell_script};
use matou_job::{StepContext, StepError};

/// How long one step with a volume may take: the first time it is all of it, over a slow line.
const COPY_TIMEOUT: Duration = Duration::from_secs(24 * 3600);

/// Shortest time between two progress events.
const PROGRESS_INTERVAL: Duration = Duration::from_millis(400);

/// What stays free on the storage node, in bytes.
const KEPT_FREE: u64 = 100 << 20;

const LIST_VOLUME: &str = shell_script(include_str!("../../scripts/list_volume.sh"));
const RECEIVE_LIST: &str = shell_script(include_str!("../../scripts/receive_list.sh"));
const COMPARE_COPY: &str = shell_script(include_str!("../../scripts/compare_copy.sh"));
const PRINT_NAMES: &str = shell_script(include_str!("../../scripts/print_names.sh"));
const SEND_FILES: &str = shell_script(include_str!("../../scripts/send_files.sh"));
/// Stands before those that work with what changes meanwhile.
const JUDGE: &str = shell_script(include_str!("../../scripts/lib_judge.sh"));
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
            tr!(" (of {} too)", nodes.join(", "))
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
                let why = tr!("the volume {} on {}: {why}", volume.name, at.node);
                cx.out
                    .send_line(matou_job::OutputStream::Stderr, tr!("WARNING: {why}"))
                    .await;
                layout.left_out.push(UnreachedVolume {
                    volume: volume.name.clone(),
                    why,
                });
            }
        }
    }
    layout.volumes = brought;
    match had_any && layout.volumes.is_empty() {
        true => Err(StepError::failed(tr!(
            "no volume of it can be backed up: {}",
            UnreachedVolume::describe_all(&layout.left_out)
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
            return Some(tr!(
                "{} of it are to be brought, and {} are free",
                human_bytes(self.bytes),
                human_bytes(self.free)
            ));
        }
        let inodes = self.free_inodes.filter(|free| self.files >= *free)?;
        Some(tr!(
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
        let copy = volume.folder.parent().ok_or(tr!("it has no folder"))?;
        Ok(Self {
            cx,
            name: &volume.name,
            node: &node.ok_or(tr!("that node is not in config.toml"))?.host,
            from: &at.folder,
            storage: &work.storage.host,
            copy: copy.to_owned(),
            confined: confined_data_folder(&work.fleet.config),
            one_file_system,
        })
    }

    /// A script that reads the volume on its node.
    fn there(&self, script: &str, label: String) -> Command {
        let command = ConfinedFolders::new(self.from).sh(script);
        Self::finish(command.arg(self.from.display().to_string()), label)
    }

    /// A script that works with the copy.
    fn here(&self, script: &str, label: String) -> Command {
        let command = self.confined.sh(script);
        Self::finish(command.arg(self.copy.display().to_string()), label)
    }

    fn finish(command: Command, label: String) -> Command {
        command.timeout(COPY_TIMEOUT).label(label)
    }

    /// Makes the copy like the volume.
    async fn bring(&self) -> Result<(), OpsError> {
        let begun = Instant::now();
        self.send_list().await?;
        let compare = self.here(
            COMPARE_COPY,
            tr!("compare the copy of the volume {}", self.name),
        );
        let said = self.storage.run_ok(&compare).await?.stdout_text();
        let missing = Missing::parse(&said).ok_or(tr!("what is to be brought can't be told"))?;
        if let Some(lack) = missing.find_lack() {
            return Err(OpsError::failed(tr!(
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
            .run_ok(&self.here(KEEP_LIST, tr!("note the copy of the volume {}", self.name)))
            .await?;
        let text = tr!(
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
        let list = self
            .there(&judged(LIST_VOLUME), tr!("list the volume {}", self.name))
            .arg(one);
        let receive = self.here(
            RECEIVE_LIST,
            tr!("keep the list of the volume {}", self.name),
        );
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
        let print = self.here(
            PRINT_NAMES,
            tr!("read the list of the volume {}", self.name),
        );
        let send = self
            .there(&judged(SEND_FILES), tr!("read the volume {}", self.name))
            .live_stdin(wanted);
        let store = self.here(
            &judged(STORE_FILES),
            tr!("write the copy of the volume {}", self.name),
        );
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
                    return Err(OpsError::failed(tr!(
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

fn judged(script: &str) -> String {
    format!("{JUDGE}{script}")
}

#[cfg(test)]
mod tests {
    use super::*;

    /// Puts an archive of the folder `sent` into the copy; returns the exit code and what was said.
    fn store(dir: &std::path::Path) -> (Option<i32>, String) {
        let script = format!(
            "cd {}; tar -c -f a.tar --format=posix -C sent . && exec sh -c \"$0\" sh copy <a.tar",
            dir.display()
        );
        say("sh", &["-c", &script, &judged(STORE_FILES)])
    }

    fn say(program: &str, arguments: &[&str]) -> (Option<i32>, String) {
        let mut command = std::process::Command::new(program);
        let output = command.args(arguments).env("LC_ALL", "C").output().unwrap();
        let said = String::from_utf8(output.stderr).unwrap();
        (output.status.code(), said)
    }

    #[test]
    fn what_became_of_another_type_meanwhile_is_left_for_the_next_list() {
        let dir = tempfile::tempdir().unwrap();
        let (sent, copy) = (dir.path().join("sent"), dir.path().join("copy/data"));
        for folder in ["link", "file", "same"] {
            std::fs::create_dir_all(copy.join(folder)).unwrap();
            std::fs::write(copy.join(folder).join("inside"), "of before").unwrap();
        }
        std::fs::write(copy.join("other"), "of before").unwrap();
        std::fs::create_dir_all(sent.join("same")).unwrap();
        std::fs::create_dir(sent.join("other")).unwrap();
        std::os::unix::fs::symlink("/etc", sent.join("link")).unwrap();
        for (file, content) in [("file", "new"), ("same/inside", "new"), ("z", "last")] {
            std::fs::write(sent.join(file), content).unwrap();
        }
        // A cache dates its files by when they are too old.
        let later = std::time::SystemTime::now() + std::time::Duration::from_secs(9_999_999);
        let z = std::fs::File::open(sent.join("z")).unwrap();
        z.set_modified(later).unwrap();
        assert_eq!(store(dir.path()), (Some(0), String::new()));
        let read = |file: &str| std::fs::read_to_string(copy.join(file)).unwrap();
        assert_eq!([read("link/inside"), read("file/inside")], ["of before"; 2]);
        assert_eq!([read("same/inside"), read("z")], ["new", "last"]);
        assert!(copy.join("other").is_dir());
        // An archive that ends in the middle is told beside it.
        std::fs::write(sent.join("z"), vec![b'z'; 1 << 20]).unwrap();
        let cut = format!(
            "cd {}; tar -c -f - --format=posix -C sent . | head -c 90000 | sh -c \"$0\" sh copy",
            dir.path().display()
        );
        let (code, said) = say("sh", &["-c", &cut, &judged(STORE_FILES)]);
        assert_eq!(code, Some(1), "{said}");
        let told = said.contains("Unexpected EOF") && !said.contains("exists");
        assert!(told, "{said}");
    }

    /// As root, which may mount.
    #[test]
    #[cfg_attr(
        not(feature = "fleet-tests"),
        ignore = "as root, by --features fleet-tests"
    )]
    fn a_disk_that_is_full_is_no_change_of_a_file() {
        let dir = tempfile::tempdir().unwrap();
        let at = dir.path().display().to_string();
        let full = "cd \"$1\"; mkdir -p copy sent; head -c 300000 /dev/zero | tr '\\0' z >sent/z; tar -c -f a.tar -C sent .
            mount -t tmpfs -o size=100k none copy; mkdir copy/data; exec sh -c \"$0\" sh copy <a.tar";
        let mount = ["--mount", "--propagation", "private", "sh", "-c", full];
        let store = judged(STORE_FILES);
        let (code, said) = say("unshare", &[&mount[..], &[&store, &at]].concat());
        assert_eq!(code, Some(1), "{said}");
        let told = said.contains("z: Wrote only") || said.contains("No space");
        assert!(told, "{said}");
    }

    #[test]
    fn what_went_while_it_was_listed_is_no_failure_and_all_else_is() {
        let dir = tempfile::tempdir().unwrap();
        let at = dir.path().display().to_string();
        let list = |why: &str| {
            let broken = format!(
                "cd \"$1\"; mkdir -p bin; printf '#!/bin/sh\\necho \"find: ./x: {why}\" >&2; exit 1\\n' >bin/find; chmod 755 bin/find
                PATH=$PWD/bin:$PATH exec sh -c \"$0\" sh . one"
            );
            say("sh", &["-c", &broken, &judged(LIST_VOLUME), &at])
        };
        assert_eq!(list("No such file or directory"), (Some(0), String::new()));
        let (code, said) = list("Input/output error");
        assert_eq!(code, Some(1));
        assert!(said.contains("find: ./x: Input/output error"), "{said}");
    }

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
