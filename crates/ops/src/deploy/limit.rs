//! A budget of disk that is enforced: the folders of an application on the storage node are a project of the file
//! system, which refuses more than the project's quota (`man 5 projid`, ext4's `prjquota`, XFS's). Where the file
//! system has no such quotas, the plan says what is missing; nothing is mounted or changed on it.

use matou_i18n::tr;
use std::path::PathBuf;
use std::time::Duration;

use async_trait::async_trait;

use crate::{FleetContext, OpsError};
use matou_base::text::human_bytes;
use matou_config::StorageDriver;
use matou_host::{Command, ConfinedFolders, Host, shell_script};
use matou_job::{Change, Check, Step, StepContext, StepError};
use matou_stack::{AppFile, RenderedStack};

const READ: &str = shell_script(include_str!("../../scripts/read_folder_limit.sh"));
const LIMIT: &str = shell_script(include_str!("../../scripts/limit_project.sh"));
const MARK: &str = shell_script(include_str!("../../scripts/mark_folders.sh"));

/// How long it may take to go through all files.
const MARK_LIMIT: Duration = Duration::from_secs(3600);

/// Limits what the folders of an application take, or lets them take all again.
pub(super) struct LimitFolders {
    app: String,
    /// Bytes; `None`: no limit.
    limit: Option<u64>,
    /// The application has volumes that are in no folder of the storage node.
    elsewhere: bool,
    /// The other nodes write to the folders over NFS.
    over_nfs: bool,
    folders: Vec<PathBuf>,
    host: Host,
}

/// What is so now.
#[derive(Debug, Default, PartialEq, Eq)]
struct FoundLimit {
    /// Type, options, source, mount; `None` when no folder is there yet.
    file_system: Option<[String; 4]>,
    tools: bool,
    project: Option<u32>,
    kib: u64,
    /// Project, whether it is inherited, folder.
    folders: Vec<(u32, bool, String)>,
}

fn parse_found(text: &str) -> FoundLimit {
    let mut found = FoundLimit::default();
    for line in text.lines() {
        let (what, rest) = line.split_once(' ').unwrap_or((line, ""));
        match what {
            "fs" => {
                let words = rest.splitn(4, ' ').map(str::to_owned);
                found.file_system = words.collect::<Vec<_>>().try_into().ok();
            }
            "tools" => found.tools = true,
            "project" => found.project = rest.parse().ok(),
            "limit" => found.kib = rest.parse().unwrap_or_default(),
            "folder" => {
                let mut words = rest.splitn(3, ' ');
                if let (Some(project), Some(inherit), Some(folder)) = (
                    words.next().and_then(|p| p.parse().ok()),
                    words.next(),
                    words.next(),
                ) {
                    found
                        .folders
                        .push((project, inherit == "P", folder.to_owned()));
                }
            }
            _ => {}
        }
    }
    found
}

impl FoundLimit {
    /// The folders that are the application's project.
    fn own_folders(&self) -> impl Iterator<Item = &str> {
        let own = self.project;
        let ours = self.folders.iter().filter(move |f| own == Some(f.0));
        ours.map(|f| f.2.as_str())
    }

    /// Says what is missing for quotas of projects, and how to get it; `None` when nothing is.
    fn find_missing(&self, node: &str) -> Option<String> {
        let [kind, options, source, mount] = self.file_system.as_ref()?;
        let has = |option: &str| options.split(',').any(|o| o == option);
        let is_on = match kind.as_str() {
            "ext4" => has("prjquota"),
            "xfs" => has("prjquota") || has("pquota"),
            _ => {
                return Some(tr!(
                    "{mount} of {node} is {kind}, which has no quotas of projects: ext4 and XFS have them"
                ));
            }
        };
        if is_on && self.tools {
            return None;
        }
        Some(match (is_on, kind.as_str()) {
            (true, _) => tr!("setquota is missing on {node}: `apt install quota`"),
            (false, "ext4") => tr!(
                "{mount} of {node} has no quotas of projects. They come while nothing uses it: stop the applications, `umount {mount}`, `tune2fs -O project,quota -Q prjquota {source}`, add prjquota to its options in /etc/fstab, `mount {mount}`; and `apt install quota`"
            ),
            (false, _) => tr!(
                "{mount} of {node} has no quotas of projects. They come when it is mounted anew: stop the applications, `umount {mount}`, add prjquota to its options in /etc/fstab, `mount {mount}`; and `apt install quota`"
            ),
        })
    }
}

impl LimitFolders {
    /// Makes the step; `None` without folders on the storage node. It is there without a limit and without a budget
    /// too: the file may have had one, which the storage node keeps to until it is taken off there.
    pub(super) fn for_app(
        app: &str,
        file: &AppFile,
        rendered: &RenderedStack,
        fleet: &FleetContext,
    ) -> Result<Option<Box<dyn Step>>, OpsError> {
        let named = || rendered.volumes.named.iter();
        let folders: Vec<PathBuf> = named().filter_map(|(_, f)| f.clone()).collect();
        let limit = file.disk_budget()?.filter(|b| b.enforce).map(|b| b.bytes);
        let storage = &fleet.config.storage;
        let is_there = fleet.nodes.get(&storage.node).is_some();
        if limit.is_none() && (folders.is_empty() || !is_there) {
            return Ok(None);
        }
        Ok(Some(Box::new(Self {
            app: app.to_owned(),
            limit,
            elsewhere: named().any(|(_, folder)| folder.is_none())
                || !rendered.volumes.outside.is_empty(),
            over_nfs: matches!(storage.driver, StorageDriver::Nfs | StorageDriver::Netshare),
            folders,
            host: fleet.find_storage_node()?.host.clone(),
        })))
    }

    fn project_name(&self) -> String {
        format!("matou-{}", self.app)
    }

    fn wanted_kib(&self) -> u64 {
        self.limit.map_or(0, |bytes| bytes.div_ceil(1024))
    }

    fn folder_names(&self) -> impl Iterator<Item = String> {
        self.folders.iter().map(|f| f.display().to_string())
    }

    async fn read(&self) -> Result<FoundLimit, StepError> {
        let read = Command::sh(READ)
            .arg(self.project_name())
            .args(self.folder_names())
            .sudo()
            .timeout(Duration::from_secs(60))
            .label(tr!("the limit of folders"));
        Ok(parse_found(&self.host.run_ok(&read).await?.stdout_text()))
    }

    /// Whether folders and limit are as they should be. A limit is set after all is marked, so where it is there and
    /// the folders are the project's, all that is in them counts. A folder that a restore put in place is not.
    fn is_done(&self, found: &FoundLimit) -> bool {
        if self.limit.is_none() {
            return found.kib == 0 && found.own_folders().next().is_none();
        }
        found.kib == self.wanted_kib()
            && found.folders.len() == self.folders.len()
            && found.own_folders().count() == self.folders.len()
            && found.folders.iter().all(|(_, inherits, _)| *inherits)
    }

    /// Says who may not be held to a limit.
    fn find_doubt(&self, found: &FoundLimit) -> Option<String> {
        let kind = found.file_system.as_ref().map(|[kind, ..]| kind.as_str());
        (self.over_nfs && kind == Some("ext4")).then(|| {
            tr!(
                "what is root in a container on another node may not be held to it: over NFS root may pass the quotas of ext4"
            )
            .to_owned()
        })
    }

    fn describe(&self, found: &FoundLimit) -> Vec<Change> {
        let node = self.host.name();
        let mut lines = Vec::new();
        let told = || tr!("budget of {}: it is told, not enforced", self.app);
        match (self.limit, found.find_missing(node)) {
            (Some(_), Some(missing)) => {
                lines.push(Change::same(told()).with_warning(missing));
                return lines;
            }
            (Some(_), None) if self.folders.is_empty() => {
                let why = tr!("none of its volumes is a folder of the storage node");
                lines.push(Change::same(told()).with_warning(why));
                return lines;
            }
            (Some(bytes), None) => {
                let size = human_bytes(bytes);
                let what = tr!("limit of {size} for the folders of {} on {node}", self.app);
                let line = match self.is_done(found) {
                    true => Change::same(what),
                    false => Change::add(what),
                };
                lines.push(match self.find_doubt(found) {
                    Some(doubt) => line.with_warning(doubt),
                    None => line,
                });
            }
            (None, None) if !self.is_done(found) => {
                lines.push(Change::remove(tr!(
                    "limit of the folders of {} on {node}",
                    self.app
                )));
            }
            (None, _) => {}
        }
        if self.limit.is_some() && self.elsewhere {
            let what = tr!(
                "volumes of {} that nodes keep themselves: no limit",
                self.app
            );
            lines.push(Change::same(what));
        }
        lines
    }

    /// Sets what the project may take of the file system, in KiB (0: no limit). Returns the project's number.
    async fn set_quota(&self, kib: u64, mount: &str) -> Result<String, StepError> {
        let limit = Command::sh(LIMIT)
            .arg(self.project_name())
            .arg(kib.to_string())
            .arg(mount)
            .sudo()
            .timeout(Duration::from_secs(60))
            .label(tr!("limit a project"));
        let id = self.host.run_ok(&limit).await?.stdout_text();
        Ok(id.trim().to_owned())
    }

    /// Makes all that is in folders a project's.
    async fn mark(&self, id: &str, folders: &[String], cx: &StepContext) -> Result<(), StepError> {
        let Some((first, rest)) = folders.split_first() else {
            return Ok(());
        };
        let mark = ConfinedFolders::new(first)
            .with_folders(rest)
            .sh(MARK)
            .arg(id)
            .args(folders.iter().cloned())
            .timeout(MARK_LIMIT)
            .label(tr!("make folders a project's"));
        cx.stream_on(&self.host, &mark).await
    }
}

#[async_trait]
impl Step for LimitFolders {
    fn name(&self) -> String {
        tr!("limit").into()
    }

    fn timeout(&self) -> Duration {
        MARK_LIMIT + Duration::from_secs(120)
    }

    async fn check(&self, _: &StepContext) -> Result<Check, StepError> {
        Ok(Check::from_changes(self.describe(&self.read().await?)))
    }

    async fn apply(&self, cx: &StepContext) -> Result<(), StepError> {
        let found = self.read().await?;
        let Some([_, _, _, mount]) = &found.file_system else {
            return Ok(());
        };
        if found.find_missing(self.host.name()).is_some() || self.is_done(&found) {
            return Ok(());
        }
        // There is no limit while files are marked, and it comes last: of what was cut off none is left.
        let id = self.set_quota(0, mount).await?;
        if self.limit.is_none() {
            let own: Vec<String> = found.own_folders().map(str::to_owned).collect();
            return self.mark("0", &own, cx).await;
        }
        let folders: Vec<String> = self.folder_names().collect();
        self.mark(&id, &folders, cx).await?;
        self.set_quota(self.wanted_kib(), mount).await?;
        Ok(())
    }

    async fn verify(&self, _: &StepContext) -> Result<(), StepError> {
        let found = self.read().await?;
        let is_off = found.find_missing(self.host.name()).is_some();
        match is_off || self.folders.is_empty() || self.is_done(&found) {
            true => Ok(()),
            false => Err(StepError::failed(tr!(
                "the limit of the folders of {} is not what it should be: `repquota -P` on {} says what it is",
                self.app,
                self.host.name()
            ))),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use matou_config::NodeConnection;
    use matou_host::HostOptions;
    use std::path::Path;

    #[test]
    fn what_is_missing_is_named_with_the_way_to_it() {
        let missing = |fs: &str, tools: &str| {
            parse_found(&format!("fs {fs} /dev/vdb /mnt/data\n{tools}\n")).find_missing("n1")
        };
        assert_eq!(missing("ext4 rw,prjquota", "tools"), None);
        assert_eq!(missing("xfs rw,prjquota", "tools"), None);
        let none = missing("ext4 rw,relatime", "tools").unwrap();
        assert!(
            none.contains("tune2fs -O project,quota -Q prjquota /dev/vdb"),
            "{none}"
        );
        let none = missing("xfs rw", "tools").unwrap();
        assert!(
            none.contains("umount /mnt/data") && !none.contains("tune2fs"),
            "{none}"
        );
        let none = missing("ext4 rw,prjquota", "").unwrap();
        assert!(none.ends_with("`apt install quota`"), "{none}");
        let none = missing("overlay rw", "tools").unwrap();
        assert!(none.contains("is overlay, which has no quotas"), "{none}");
        // Nothing is there yet: it is seen when the folders are made.
        assert_eq!(parse_found("tools\n").find_missing("n1"), None);
    }

    #[test]
    fn what_was_printed_is_understood() {
        let found = parse_found(
            "fs ext4 rw,prjquota /dev/vdb /mnt/da ta\nfolder 770000001 P /mnt/data/a b\nfolder 0 - /mnt/data/c\nfolder x\ntools\nproject 770000001\nlimit 1024\n",
        );
        assert_eq!(found.kib, 1024);
        assert_eq!(found.project, Some(770_000_001));
        let folders = [
            (770_000_001, true, "/mnt/data/a b".to_owned()),
            (0, false, "/mnt/data/c".to_owned()),
        ];
        assert_eq!(found.folders, folders);
        assert_eq!(found.own_folders().collect::<Vec<_>>(), ["/mnt/data/a b"]);
        assert_eq!(found.file_system.unwrap()[3], "/mnt/da ta");
    }

    fn limiting(limit: Option<u64>, over_nfs: bool) -> LimitFolders {
        let options = HostOptions {
            docker_socket: "/nonexistent".into(),
            runtime_dir: "/nonexistent".into(),
            recorder: None,
        };
        LimitFolders {
            app: "blog".into(),
            limit,
            elsewhere: false,
            over_nfs,
            folders: vec!["/d/a".into(), "/d/b".into()],
            host: Host::new("n1", &NodeConnection::Local, options),
        }
    }

    /// What is found of two folders, of a file system with quotas.
    fn found(folders: [&str; 2], rest: &str) -> FoundLimit {
        let [a, b] = folders;
        parse_found(&format!(
            "fs ext4 rw,prjquota /dev/vdb /d\nfolder {a} /d/a\nfolder {b} /d/b\ntools\n{rest}"
        ))
    }

    fn lines(step: &LimitFolders, found: &FoundLimit) -> Vec<String> {
        let lines = step.describe(found);
        lines.iter().map(Change::to_string).collect()
    }

    #[test]
    fn a_limit_is_there_when_all_folders_are_marked_and_it_is_set() {
        let step = limiting(Some(1 << 20), false);
        let is_done = |folders, rest| step.is_done(&found(folders, rest));
        let (marked, set) = (["7 P"; 2], "project 7\nlimit 1024\n");
        assert!(is_done(marked, set));
        assert!(lines(&step, &found(marked, set))[0].starts_with("= limit of"));
        // Cut off while files were marked, or before that.
        assert!(!is_done(marked, "project 7\nlimit 0\n"));
        assert!(!is_done(["0 -"; 2], "project 7\nlimit 0\n"));
        assert!(!is_done(["0 -"; 2], ""));
        // One folder is from a backup, does not hand its project on, or is another project's.
        for other in ["0 -", "7 -", "8 P"] {
            assert!(!is_done(["7 P", other], set), "{other}");
            assert!(lines(&step, &found(["7 P", other], set))[0].starts_with("+ limit of"));
        }
        // Another size.
        assert!(!is_done(marked, "project 7\nlimit 2048\n"));
    }

    #[test]
    fn a_limit_goes_with_the_line_that_wanted_it() {
        let step = limiting(None, true);
        let gone = ["- limit of the folders of blog on n1"];
        // The last: cut off before all was taken from the project.
        for (folders, rest) in [
            (["7 P"; 2], "project 7\nlimit 9\n"),
            (["0 -"; 2], "project 7\nlimit 9\n"),
            (["0 -", "7 P"], "project 7\n"),
        ] {
            assert_eq!(lines(&step, &found(folders, rest)), gone, "{folders:?}");
        }
        let nothing: [&str; 0] = [];
        let silent = [
            found(["0 -"; 2], ""),
            found(["0 -"; 2], "project 7\nlimit 0\n"),
            // What another one made a project is its own.
            found(["8 P"; 2], "project 7\n"),
            // No file system with quotas, no programs for them, no folder.
            parse_found("fs overlay rw none /\ntools\n"),
            parse_found("fs ext4 rw /dev/vdb /\nfolder 7 P /d/a\ntools\nproject 7\n"),
            parse_found("fs ext4 rw,prjquota /dev/vdb /d\nfolder 0 - /d/a\n"),
            parse_found("tools\n"),
        ];
        for found in &silent {
            assert_eq!(lines(&step, found), nothing, "{found:?}");
        }
    }

    #[test]
    fn who_may_not_be_held_to_a_limit_is_told() {
        let all = found(["7 P"; 2], "project 7\nlimit 1024\n");
        let told = lines(&limiting(Some(1 << 20), true), &all);
        assert!(told[0].contains("may not be held to it"), "{told:?}");
        let told = lines(&limiting(Some(1 << 20), false), &all);
        assert!(!told[0].contains("may not be held to it"), "{told:?}");
    }

    /// Runs a script in a real shell, with programs of these names and texts.
    fn run(
        dir: &Path,
        programs: &[(&str, &str)],
        script: &str,
        args: &[&str],
    ) -> std::process::Output {
        let bin = dir.join("bin");
        std::fs::create_dir_all(&bin).unwrap();
        for (name, text) in programs {
            // By a shell: what another test starts would hold a file that this process writes, and it could not
            // be run then.
            let made = std::process::Command::new("sh")
                .args([
                    "-c",
                    "printf '%s\\n' '#!/bin/sh' \"$2\" >\"$1\" && chmod 755 \"$1\"",
                    "sh",
                ])
                .arg(bin.join(name))
                .arg(text)
                .status();
            assert!(made.unwrap().success(), "{name}");
        }
        let path = std::env::var("PATH").unwrap();
        std::process::Command::new("sh")
            .args(["-c", script, "sh"])
            .args(args)
            .env("PATH", format!("{}:{path}", bin.display()))
            .env("LOG", dir.join("log"))
            .output()
            .unwrap()
    }

    /// Says what it was asked to mark. A file `gone` is gone then; none of the name `bad` can be marked.
    const CHATTR: &str = r#"what=
while [ "$1" != -- ]; do what="$what$1 "; shift; done; shift
code=0
for entry; do
  case $entry in
  */gone) rm -f -- "$entry"; code=1 ;;
  */bad) code=1 ;;
  *) printf '%s%s\n' "$what" "$entry" >>"$LOG" ;;
  esac
done
exit $code"#;

    #[test]
    fn a_folder_is_marked_after_what_is_in_it() {
        let dir = tempfile::tempdir().unwrap();
        let top = dir.path().join("a b");
        let shown = top.display().to_string();
        std::fs::create_dir_all(top.join("deep/er")).unwrap();
        for name in ["gone", "deep/file"] {
            std::fs::write(top.join(name), "").unwrap();
        }
        let mark = |id: &str| {
            std::fs::write(dir.path().join("log"), "").unwrap();
            let absent = dir.path().join("absent").display().to_string();
            let args = [id, shown.as_str(), absent.as_str()];
            let out = run(dir.path(), &[("chattr", CHATTR)], MARK, &args);
            let log = std::fs::read_to_string(dir.path().join("log")).unwrap();
            let log = log.replace(&shown, "TOP");
            (out, log.lines().map(str::to_owned).collect::<Vec<_>>())
        };
        let (out, log) = mark("7");
        // What went away meanwhile is no failure.
        assert!(out.status.success() && out.stderr.is_empty(), "{out:?}");
        let once = [
            "-f -p 7 TOP/deep/file",
            "-f -p 7 +P TOP/deep/er",
            "-f -p 7 +P TOP/deep",
            "-f -p 7 +P TOP",
        ];
        assert_eq!(log[..4], once);
        // Then what was made meanwhile.
        assert_eq!(log.len(), 8, "{log:?}");
        let (out, log) = mark("0");
        assert!(out.status.success(), "{out:?}");
        let first = ["-f -p 0 -P TOP/deep/er", "-f -p 0 -P TOP/deep"];
        assert_eq!(log[..2], first);

        std::fs::write(top.join("deep/bad"), "").unwrap();
        let (out, _) = mark("7");
        assert_eq!(out.status.code(), Some(1), "{out:?}");
        let said = String::from_utf8_lossy(&out.stderr).replace(&shown, "TOP");
        assert_eq!(
            said,
            "not all that is in TOP could be made the project's: TOP/deep/bad could not be marked\n"
        );
    }

    #[test]
    fn a_mount_with_a_space_is_read_as_it_is() {
        let dir = tempfile::tempdir().unwrap();
        let folder = dir.path().join("a b").display().to_string();
        std::fs::create_dir_all(&folder).unwrap();
        // As findmnt answers: with -r it escapes.
        let programs = [
            (
                "findmnt",
                r"case $* in *r*TARGET*) echo '/mnt/da\x20ta' ;; *TARGET*) echo '/mnt/da ta' ;; *) echo 'ext4 rw,prjquota /dev/vdb' ;; esac",
            ),
            (
                "lsattr",
                r#"for last; do :; done; echo "    7 ---------P-- $last""#,
            ),
            ("setquota", ":"),
            ("repquota", ":"),
        ];
        let out = run(dir.path(), &programs, READ, &["matou-none", &folder]);
        assert!(out.status.success(), "{out:?}");
        let said = String::from_utf8_lossy(&out.stdout).into_owned();
        assert_eq!(
            said,
            format!("fs ext4 rw,prjquota /dev/vdb /mnt/da ta\nfolder 7 P {folder}\ntools\n")
        );
        assert_eq!(
            parse_found(&said).file_system.unwrap(),
            ["ext4", "rw,prjquota", "/dev/vdb", "/mnt/da ta"]
        );
    }
}
