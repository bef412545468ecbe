//! Merges the fleet files of several operators on the storage node, application by application. A
//! deploy brings the files of its own application. Differences of other applications are reported
//! and left as they are. Only removing an application removes its file.

use matou_i18n::tr;
use std::collections::{BTreeMap, BTreeSet};
use std::path::{Path, PathBuf};
use std::time::Duration;

use secrecy::SecretBox;

use super::files::{self, PackedFile};
use crate::OpsError;
use matou_backup::{FLEET, matou_folder};
use matou_base::operator::operator_name;
use matou_config::Config;
use matou_config::unknown_name;
use matou_history::{FileChange, FleetFolder, Reason};
use matou_host::{Command, Host, shell_script};
use matou_stack::AppFile;

/// Merges the archive on standard input into the folder `$1`. Files below replace/ replace existing
/// ones; files below add/ are only added. Writes `$2` as the author note of the application `$3`,
/// unless that is empty. Each file is synced to the disk before it gets its name.
const MERGE_FILES: &str = shell_script(include_str!("../../scripts/merge_fleet_files.sh"));

/// Removes the application file of `$3` from the folder `$1`, and writes `$2` as its author note.
const REMOVE_APP: &str = shell_script(include_str!("../../scripts/remove_app_file.sh"));

/// Prints the operators' files of the folder `$1` as an archive; nothing where there are none.
const PRINT_FLEET_FILES: &str = shell_script(include_str!("../../scripts/print_fleet_files.sh"));

/// What an application is here and on the storage node.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum AppFilesState {
    /// In both, and the same.
    Same,
    /// In this folder alone.
    LocalOnly,
    /// On the storage node alone.
    StoredOnly,
    /// In both, and not the same.
    Differs,
    /// In this folder, and removed from the fleet.
    Removed,
}

/// One application's files compared.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct AppFilesComparison {
    pub app: String,
    pub state: AppFilesState,
    /// Who wrote or removed it on the storage node, and when, where that is known.
    pub author_note: Option<String>,
}

impl AppFilesComparison {
    /// A line for people.
    pub fn describe(&self) -> String {
        let app = &self.app;
        let word = self
            .author_note
            .as_deref()
            .map_or_else(String::new, |w| format!(" ({})", translate_author_note(w)));
        match self.state {
            AppFilesState::Same => tr!("{app} is the same here and on the storage node"),
            AppFilesState::LocalOnly => tr!(
                "{app} is in this folder alone: the next deploy of it, or `matou backup --all`, brings it"
            ),
            AppFilesState::StoredOnly => tr!(
                "{app} is on the storage node alone{word}, and stays there: `matou files --take {app}` brings it here"
            ),
            AppFilesState::Differs => tr!(
                "{app} is another one on the storage node{word}, and stays so: `matou files --take {app}` brings it here, a deploy of it brings this one there"
            ),
            AppFilesState::Removed => {
                tr!("{app} is in this folder, and was removed from the fleet{word}")
            }
        }
    }
}

/// The operators' files on the storage node.
#[derive(Debug, Default)]
pub struct StoredFleetFiles(BTreeMap<String, Vec<u8>>);

impl StoredFleetFiles {
    /// Reads them.
    ///
    /// # Errors
    /// One sentence.
    pub async fn load(config: &Config, storage: &Host) -> Result<Self, OpsError> {
        let from = matou_folder(config).join(FLEET);
        let read = Command::sh(PRINT_FLEET_FILES)
            .arg(from.display().to_string())
            .sudo()
            .timeout(Duration::from_secs(120))
            .label(tr!("read {}", from.display()));
        let out = storage.run_ok(&read).await?;
        Self::unpack_archive(&out.stdout)
            .map_err(|e| OpsError::failed(tr!("the fleet's files can't be read: {e}")))
    }

    fn unpack_archive(archive: &[u8]) -> std::io::Result<Self> {
        let mut found = BTreeMap::new();
        let mut archive = tar::Archive::new(archive);
        for entry in archive.entries()? {
            let mut entry = entry?;
            if !entry.header().entry_type().is_file() {
                continue;
            }
            let name = entry.path()?.to_string_lossy().into_owned();
            let mut content = Vec::new();
            std::io::Read::read_to_end(&mut entry, &mut content)?;
            found.insert(name, content);
        }
        Ok(Self(found))
    }

    fn list_apps(&self) -> BTreeSet<String> {
        let names = self.0.keys();
        let apps = names.filter_map(|n| n.strip_prefix("apps/")?.strip_suffix(".toml"));
        apps.filter(|a| matou_stack::is_app_name(a))
            .map(str::to_owned)
            .collect()
    }

    /// Whether an application has a file there.
    pub fn has_app(&self, app: &str) -> bool {
        self.0.contains_key(&format!("apps/{app}.toml"))
    }

    /// Lists the applications that have a file there.
    fn list_app_names(&self) -> Vec<&str> {
        let files = self.0.keys().filter_map(|path| path.strip_prefix("apps/"));
        files
            .filter_map(|name| name.strip_suffix(".toml"))
            .collect()
    }

    fn author_note(&self, app: &str) -> Option<String> {
        let word = self.0.get(&format!("written/{app}"))?;
        Some(matou_base::text::clean_bytes(word.trim_ascii()))
    }

    fn is_removed(&self, app: &str) -> bool {
        self.author_note(app)
            .is_some_and(|w| w.starts_with(REMOVED_BY))
            && !self.0.contains_key(&format!("apps/{app}.toml"))
    }

    /// The files of an application: its own, and its stack's.
    fn app_files(&self, app: &str) -> Vec<PackedFile> {
        let all: Vec<PackedFile> = self.0.clone().into_iter().collect();
        select_app_files(&all, app)
    }

    /// Compares all applications here and there, sorted by name.
    pub fn compare_with_local(&self, mine: &LocalFleetFiles) -> Vec<AppFilesComparison> {
        let there = self.list_apps();
        let all: BTreeSet<&String> = there.iter().chain(&mine.apps).collect();
        let compared = all.into_iter().map(|app| {
            let standing = match (mine.apps.contains(app), there.contains(app)) {
                (true, true) if select_app_files(&mine.files, app) == self.app_files(app) => {
                    AppFilesState::Same
                }
                (true, true) => AppFilesState::Differs,
                (false, _) => AppFilesState::StoredOnly,
                (true, false) if self.is_removed(app) => AppFilesState::Removed,
                (true, false) => AppFilesState::LocalOnly,
            };
            AppFilesComparison {
                app: app.clone(),
                state: standing,
                author_note: self.author_note(app),
            }
        });
        compared.collect()
    }

    /// Writes an application's files into the fleet folder. A file that differs is kept as
    /// `FILE.before`. Returns a line for each file that was written or kept.
    ///
    /// # Errors
    /// There is no such application, or a file can't be written.
    pub async fn take_app(&self, app: &str, folder: &FleetFolder) -> Result<Vec<String>, OpsError> {
        let files = self.app_files(app);
        if files.is_empty() {
            let names = self.list_app_names();
            return Err(unknown_name(tr!("file on the storage node for"), app, names).into());
        }
        let mut said = Vec::new();
        let own: Option<AppFile> = files
            .iter()
            .find(|(n, _)| n.starts_with("apps/"))
            .and_then(|(_, text)| toml::from_str(&String::from_utf8_lossy(text)).ok());
        if own.is_none_or(|f| files::is_compose_path(&f.stack)) {
            return Err(OpsError::failed(tr!(
                "apps/{app}.toml on the storage node names a file of another machine, or can't be read: nothing was taken"
            )));
        }
        let mut changes = Vec::new();
        for (name, content) in files {
            let path = folder.path().join(&name);
            let plain = Path::new(&name)
                .components()
                .all(|c| matches!(c, std::path::Component::Normal(_)));
            if !plain {
                return Err(OpsError::failed(tr!(
                    "{name:?} is no path in the fleet folder"
                )));
            }
            let failed = |e: std::io::Error| tr!("{} can't be written: {e}", path.display());
            match std::fs::read(&path) {
                Ok(old) if old == content => continue,
                // What was there is in the history.
                Ok(_) if folder.keeps_history() => {}
                Ok(_) => {
                    let before = PathBuf::from(format!("{}.before", path.display()));
                    std::fs::rename(&path, &before).map_err(failed)?;
                    said.push(tr!("{name} was another one: kept as {name}.before"));
                }
                Err(_) => {}
            }
            said.push(tr!("{name} is written"));
            changes.push(FileChange::Replace {
                name,
                content,
                mode: matou_base::files::READABLE_MODE,
            });
        }
        let reason = Reason {
            title: tr!("take {app} from the storage node"),
            lines: Vec::new(),
        };
        said.extend(folder.change(&changes, &reason).await?);
        Ok(said)
    }
}

/// How the author note of a removed application begins.
const REMOVED_BY: &str = "removed by";

/// The operator's files on this machine.
#[derive(Debug)]
pub struct LocalFleetFiles {
    apps: BTreeSet<String>,
    files: Vec<PackedFile>,
}

impl LocalFleetFiles {
    /// Reads them; nothing without config.toml.
    ///
    /// # Errors
    /// A file that can't be read.
    pub fn load(config: &Config) -> Result<Self, OpsError> {
        let names = match config.folder() {
            None => Vec::new(),
            Some(folder) => AppFile::read_names(&folder).map_err(OpsError::failed)?,
        };
        Ok(Self {
            apps: names.into_iter().map(String::from).collect(),
            files: files::collect_fleet_files(config)?,
        })
    }
}

/// The files of an application, of all files: its own, its stack, and what its stack names.
pub(crate) fn select_app_files(all: &[PackedFile], app: &str) -> Vec<PackedFile> {
    let own = format!("apps/{app}.toml");
    let Some((_, text)) = all.iter().find(|(n, _)| *n == own) else {
        return Vec::new();
    };
    let file: Option<AppFile> = toml::from_str(&String::from_utf8_lossy(text)).ok();
    let stack = file.map(|f| f.stack).unwrap_or_default();
    let is_stack =
        |n: &str| n == format!("stacks/{stack}.yml") || n == format!("stacks/{stack}.yaml");
    let texts: Vec<String> = all
        .iter()
        .filter(|(n, _)| is_stack(n))
        .map(|(_, c)| String::from_utf8_lossy(c).into_owned())
        .collect();
    let named = |n: &str| {
        let rest = n.strip_prefix("stacks/").filter(|r| !r.is_empty());
        rest.is_some_and(|r| texts.iter().any(|t| t.contains(r)))
    };
    let mut files: Vec<PackedFile> = all
        .iter()
        .filter(|(n, _)| *n == own || is_stack(n) || named(n))
        .cloned()
        .collect();
    files.sort();
    files
}

/// What one push brings.
struct FleetFilesPush {
    replace: Vec<PackedFile>,
    /// Only where nothing is.
    add: Vec<PackedFile>,
}

impl FleetFilesPush {
    /// Compares both sides for a deploy of `app`, or, if `None`, for a backup of everything.
    fn new(mine: &LocalFleetFiles, there: &StoredFleetFiles, app: Option<&str>) -> Self {
        let same = |(name, content): &&PackedFile| there.0.get(name) == Some(content);
        let mut replace: Vec<PackedFile> =
            app.map_or_else(Vec::new, |app| select_app_files(&mine.files, app));
        replace.extend(
            mine.files
                .iter()
                .filter(|(n, _)| n == "config.toml")
                .cloned(),
        );
        replace.retain(|file| !same(&file));
        let mut add: Vec<PackedFile> = Vec::new();
        let wanted = |name: &str| match name.strip_prefix("apps/") {
            None => true,
            // A deploy brings its own.
            Some(file) => {
                let name = file.trim_end_matches(".toml");
                app.is_none() && !there.is_removed(name)
            }
        };
        for file in &mine.files {
            if !there.0.contains_key(&file.0)
                && wanted(&file.0)
                && !replace.iter().any(|r| r.0 == file.0)
            {
                add.push(file.clone());
            }
        }
        Self { replace, add }
    }

    fn is_done(&self) -> bool {
        self.replace.is_empty() && self.add.is_empty()
    }
}

/// What a push would do, and what it leaves as it is.
pub struct FleetFilesPlan {
    pub is_done: bool,
    /// Applications that are on the storage node alone, or differ there; without the one that is
    /// deployed.
    pub untouched: Vec<AppFilesComparison>,
}

/// Plans a push without changing anything.
///
/// # Errors
/// One sentence.
pub(super) async fn plan_fleet_files_push(
    config: &Config,
    storage: &Host,
    app: Option<&str>,
) -> Result<FleetFilesPlan, OpsError> {
    let there = StoredFleetFiles::load(config, storage).await?;
    let mine = LocalFleetFiles::load(config)?;
    let left = there.compare_with_local(&mine).into_iter().filter(|c| {
        Some(c.app.as_str()) != app
            && !matches!(c.state, AppFilesState::Same | AppFilesState::LocalOnly)
    });
    Ok(FleetFilesPlan {
        is_done: FleetFilesPush::new(&mine, &there, app).is_done(),
        untouched: left.collect(),
    })
}

/// Sends config.toml and the files of `app`, or, if `None`, what is missing on the storage node of
/// all applications.
///
/// # Errors
/// One sentence; an archive that arrives incomplete changes nothing.
pub(super) async fn push_fleet_files(
    config: &Config,
    storage: &Host,
    app: Option<&str>,
) -> Result<(), OpsError> {
    let there = StoredFleetFiles::load(config, storage).await?;
    let push = FleetFilesPush::new(&LocalFleetFiles::load(config)?, &there, app);
    // The author note of a removal is replaced when the application is deployed again.
    if push.is_done()
        && !app.is_some_and(|a| {
            there
                .author_note(a)
                .is_none_or(|w| w.starts_with(REMOVED_BY))
        })
    {
        return Ok(());
    }
    let below = |name: &str, files: Vec<PackedFile>| -> Vec<PackedFile> {
        let files = files.into_iter();
        files.map(|(n, c)| (format!("{name}/{n}"), c)).collect()
    };
    let mut all = below("replace", push.replace);
    all.extend(below("add", push.add));
    let archive = files::pack_files(&all).map_err(|e| tr!("the files can't be packed: {e}"))?;
    let folder = matou_folder(config).join(FLEET);
    let command = Command::sh(MERGE_FILES)
        .arg(folder.display().to_string())
        .arg(format_author_note(WRITTEN_BY))
        .arg(app.unwrap_or_default())
        .secret_stdin(SecretBox::new(Box::new(archive)))
        .sudo()
        .timeout(Duration::from_secs(120))
        .label(tr!("write {}", folder.display()));
    storage.run_ok(&command).await?;
    Ok(())
}

/// Takes a removed application out of the fleet's files, and writes down who did.
///
/// # Errors
/// One sentence.
pub(super) async fn remove_from_fleet_files(
    config: &Config,
    storage: &Host,
    app: &str,
) -> Result<(), OpsError> {
    let folder = matou_folder(config).join(FLEET);
    let command = Command::sh(REMOVE_APP)
        .arg(folder.display().to_string())
        .arg(format_author_note(REMOVED_BY))
        .arg(app)
        .sudo()
        .timeout(Duration::from_secs(60))
        .label(tr!("take {app} out of {}", folder.display()));
    storage.run_ok(&command).await?;
    Ok(())
}

/// How the author note of an application begins that is there.
const WRITTEN_BY: &str = "written by";

/// Says an author note, which is kept in English, in the language of whoever looks.
fn translate_author_note(note: &str) -> String {
    let part = |head: &str| {
        note.strip_prefix(head)?
            .strip_prefix(' ')?
            .rsplit_once(" at ")
    };
    match (part(WRITTEN_BY), part(REMOVED_BY)) {
        (Some((who, when)), _) => tr!("written by {who} at {when}"),
        (_, Some((who, when))) => tr!("removed by {who} at {when}"),
        _ => note.to_owned(),
    }
}

fn format_author_note(what: &str) -> String {
    let now = jiff::Timestamp::now().strftime("%F %T UTC");
    format!("{what} {} at {now}", operator_name())
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::os::unix::fs::PermissionsExt;

    fn files(list: &[(&str, &str)]) -> Vec<PackedFile> {
        let list = list.iter();
        list.map(|(n, c)| ((*n).to_owned(), c.as_bytes().to_vec()))
            .collect()
    }

    fn there(list: &[(&str, &str)]) -> StoredFleetFiles {
        StoredFleetFiles(files(list).into_iter().collect())
    }

    fn mine(list: &[(&str, &str)]) -> LocalFleetFiles {
        let files = files(list);
        let apps = StoredFleetFiles(files.clone().into_iter().collect()).list_apps();
        LocalFleetFiles { apps, files }
    }

    #[test]
    fn a_deploy_brings_its_own_files_and_strikes_no_other_off() {
        let there = there(&[
            ("apps/new.toml", "stack = \"n\"\n"),
            ("apps/other.toml", "stack = \"theirs\"\n"),
            ("apps/shop.toml", "stack = \"old\"\n"),
            ("stacks/n.yml", "n"),
            ("stacks/shared.yml", "theirs"),
            ("written/new", "written by ana@x at T\n"),
            ("written/gone", "removed by ana@x at T\n"),
        ]);
        let here = mine(&[
            ("config.toml", "c"),
            ("apps/shop.toml", "stack = \"s\"\n"),
            ("apps/other.toml", "stack = \"mine\"\n"),
            ("apps/gone.toml", "stack = \"s\"\n"),
            ("apps/fresh.toml", "stack = \"s\"\n"),
            ("stacks/s.yml", "file: ./sub/nginx.conf"),
            ("stacks/sub/nginx.conf", "x"),
            ("stacks/shared.yml", "mine"),
            ("stacks/unused.yml", "u"),
        ]);
        let names = |files: &[PackedFile]| files.iter().map(|f| f.0.clone()).collect::<Vec<_>>();
        let push = FleetFilesPush::new(&here, &there, Some("shop"));
        let replaced = [
            "apps/shop.toml",
            "stacks/s.yml",
            "stacks/sub/nginx.conf",
            "config.toml",
        ];
        assert_eq!(names(&push.replace), replaced);
        assert_eq!(names(&push.add), ["stacks/unused.yml"]);
        let push = FleetFilesPush::new(&here, &there, None);
        assert_eq!(names(&push.replace), ["config.toml"]);
        let added = names(&push.add);
        assert!(added.contains(&"apps/fresh.toml".to_owned()), "{added:?}");
        assert!(!added.contains(&"apps/gone.toml".to_owned()), "{added:?}");
        let compared = there.compare_with_local(&here);
        let standing = |app: &str| compared.iter().find(|c| c.app == app).unwrap().state;
        assert_eq!(standing("new"), AppFilesState::StoredOnly);
        assert_eq!(standing("other"), AppFilesState::Differs);
        assert_eq!(standing("gone"), AppFilesState::Removed);
        assert_eq!(standing("fresh"), AppFilesState::LocalOnly);
        assert!(
            compared[2].describe().contains("written by ana@x at T"),
            "{compared:?}"
        );
    }

    #[tokio::test]
    async fn an_application_is_taken_and_what_differs_here_is_kept() {
        let dir = tempfile::tempdir().unwrap();
        let path = dir.path().join("config.toml");
        let node = "[[nodes]]\nname = \"n1\"\nrole = \"manager\"\naddress = \"192.0.2.1\"\n";
        std::fs::write(&path, node).unwrap();
        let config = Config::load(Some(&path)).unwrap();
        let folder = FleetFolder::of_config(&config).unwrap();
        let there = there(&[("apps/new.toml", "stack = \"n\"\n"), ("stacks/n.yml", "n")]);
        std::fs::create_dir(dir.path().join("stacks")).unwrap();
        std::fs::write(dir.path().join("stacks/n.yml"), "mine").unwrap();
        let said = there.take_app("new", &folder).await.unwrap();
        assert_eq!(said.len(), 3, "{said:?}");
        let read = |n: &str| std::fs::read_to_string(dir.path().join(n)).unwrap();
        assert_eq!(read("apps/new.toml"), "stack = \"n\"\n");
        assert_eq!(
            (
                read("stacks/n.yml").as_str(),
                read("stacks/n.yml.before").as_str()
            ),
            ("n", "mine")
        );
        let mode = |n: &str| {
            let found = std::fs::metadata(dir.path().join(n)).unwrap();
            found.permissions().mode() & 0o777
        };
        assert_eq!(
            (mode("apps/new.toml"), mode("stacks/n.yml")),
            (0o644, 0o644)
        );
        assert!(there.take_app("new", &folder).await.unwrap().is_empty());
        assert!(there.take_app("none", &folder).await.is_err());
    }

    #[tokio::test]
    async fn a_stack_with_a_secret_is_taken_for_nobody_else() {
        let dir = tempfile::tempdir().unwrap();
        let path = dir.path().join("config.toml");
        let node = "[[nodes]]\nname = \"n1\"\nrole = \"manager\"\naddress = \"192.0.2.1\"\n";
        std::fs::write(&path, node).unwrap();
        let folder = FleetFolder::of_config(&Config::load(Some(&path)).unwrap()).unwrap();
        let stack = "services: {web: {image: x, environment: {DB_PASSWORD: planted}}}\n";
        let there = there(&[
            ("apps/new.toml", "stack = \"n\"\n"),
            ("stacks/n.yml", stack),
        ]);
        there.take_app("new", &folder).await.unwrap();
        let found = std::fs::metadata(dir.path().join("stacks/n.yml")).unwrap();
        assert_eq!(found.permissions().mode() & 0o777, 0o600);
    }

    fn sh(script: &str, args: &[&str], input: &[u8]) -> std::process::Output {
        use std::io::Write;
        let mut child = std::process::Command::new("sh")
            .args(["-c", script, "sh"])
            .args(args)
            .stdin(std::process::Stdio::piped())
            .stdout(std::process::Stdio::piped())
            .stderr(std::process::Stdio::piped())
            .spawn()
            .unwrap();
        let _ = child.stdin.take().unwrap().write_all(input);
        child.wait_with_output().unwrap()
    }

    #[test]
    fn what_is_merged_and_struck_off_on_the_node() {
        let dir = tempfile::tempdir().unwrap();
        let folder = dir.path().join("fl eet");
        let d = folder.to_str().unwrap();
        let merge = |list: &[(&str, &str)], by: &str, app: &str| {
            let out = sh(
                MERGE_FILES,
                &[d, by, app],
                &files::pack_files(&files(list)).unwrap(),
            );
            assert!(out.status.success(), "{out:?}");
        };
        let read =
            || StoredFleetFiles::unpack_archive(&sh(PRINT_FLEET_FILES, &[d], b"").stdout).unwrap();
        merge(
            &[("replace/apps/a.toml", "1"), ("add/stacks/x/-y", "1")],
            "written by b",
            "a",
        );
        merge(
            &[("replace/apps/c.toml", "1"), ("add/stacks/x/-y", "2")],
            "written by c",
            "c",
        );
        let now = read();
        assert_eq!(now.list_apps().into_iter().collect::<Vec<_>>(), ["a", "c"]);
        assert_eq!(now.0["stacks/x/-y"], b"1");
        assert_eq!(now.author_note("a").as_deref(), Some("written by b"));
        // What did not arrive whole changes nothing.
        let whole = files::pack_files(&files(&[("replace/apps/a.toml", "2")])).unwrap();
        assert!(
            !sh(MERGE_FILES, &[d, "x", "a"], &whole[..600])
                .status
                .success()
        );
        assert_eq!(read().0["apps/a.toml"], b"1");
        assert!(
            sh(REMOVE_APP, &[d, "removed by b", "a"], b"")
                .status
                .success()
        );
        let now = read();
        assert!(now.is_removed("a") && !now.is_removed("c"));
        assert_eq!(now.list_apps().into_iter().collect::<Vec<_>>(), ["c"]);
        assert!(read().0.len() > 2 && !dir.path().join("fl eet.new").exists());
    }
}
