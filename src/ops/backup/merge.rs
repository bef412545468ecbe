//! The fleet's files on the storage node are merged by application: what one operator deploys is
//! brought there, what another has there is left as it is and told. Only removing an application
//! takes its file away.

use std::collections::{BTreeMap, BTreeSet};
use std::path::{Path, PathBuf};
use std::time::Duration;

use secrecy::SecretBox;

use super::files::{self, File};
use crate::backup::{FLEET, data};
use crate::config::Config;
use crate::host::{Command, Host};
use crate::job::myself;
use crate::stack::AppFile;

/// Merges what comes as an archive into the folder `$1`: what is below replace/ takes the place of
/// what is there, what is below add/ only comes where nothing is. `$2` is written down as the word on
/// the application `$3`, where that is not empty. Each file is on the disk before it has its name.
const MERGE: &str = r#"set -e; umask 077; d=$1
mkdir -p -m 700 -- "$d"
exec 9<"$d"; flock -w 30 9 || { echo "another one has written here for half a minute" >&2; exit 1; }
rm -rf -- "$d.new"; mkdir -m 700 -- "$d.new"; trap 'rm -rf -- "$d.new"' EXIT
tar -x -C "$d.new" --no-same-owner -f -
[ -e "$d.new/.whole" ] || { echo "it arrived incomplete" >&2; exit 1; }
if [ -n "$3" ]; then mkdir -p -- "$d.new/replace/written"; printf '%s\n' "$2" >"$d.new/replace/written/$3"; fi
find "$d.new" -type f -exec sync -- {} +
for how in replace add; do
    [ -d "$d.new/$how" ] || continue
    cd -- "$d.new/$how"
    find . -type f -exec sh -c 'to=$0; how=$1; shift
        for p; do
            [ "$how" = replace ] || [ ! -e "$to/$p" ] || continue
            mkdir -p -- "$to/${p%/*}" && mv -f -T -- "$p" "$to/$p" || exit 1
        done' "$d" "$how" {} +
done
cd -- "$d"; find . -type d -exec sync -- {} +"#;

/// Takes the application `$3` out of the folder `$1`, with the word `$2` on it.
const STRIKE: &str = r#"set -e; umask 077; cd -- "$1" 2>/dev/null || exit 0
exec 9<.; flock -w 30 9 || { echo "another one has written here for half a minute" >&2; exit 1; }
mkdir -p -- written; printf '%s\n' "$2" >"written/$3.new"; sync -- "written/$3.new"; mv -f -T -- "written/$3.new" "written/$3"
rm -f -- "apps/$3.toml"; [ ! -d apps ] || sync -- apps"#;

/// Prints the operators' files of the folder `$1` as an archive; nothing where there are none.
const READ: &str = r#"cd -- "$1" 2>/dev/null || exit 0; exec 9<.
flock -s -w 30 9 || { echo "another one has written here for half a minute" >&2; exit 1; }
set --; for d in config.toml apps stacks written; do [ ! -e $d ] || set -- "$@" $d; done
[ $# = 0 ] || tar -c -f - -- "$@""#;

/// What an application is here and on the storage node.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Standing {
    Same,
    /// In this folder alone.
    Here,
    /// On the storage node alone.
    There,
    /// In both, and not the same.
    Differs,
    /// In this folder, and removed from the fleet.
    Removed,
}

/// One application's files compared.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Compared {
    pub app: String,
    pub standing: Standing,
    /// Who wrote or removed it on the storage node, and when, where that is known.
    pub word: Option<String>,
}

impl Compared {
    /// A line for people.
    pub fn line(&self) -> String {
        let app = &self.app;
        let word = self
            .word
            .as_deref()
            .map_or_else(String::new, |w| format!(" ({w})"));
        match self.standing {
            Standing::Same => format!("{app} is the same here and on the storage node"),
            Standing::Here => format!(
                "{app} is in this folder alone: the next deploy of it, or `matou backup --all`, brings it"
            ),
            Standing::There => format!(
                "{app} is on the storage node alone{word}, and stays there: `matou files --take {app}` brings it here"
            ),
            Standing::Differs => format!(
                "{app} is another one on the storage node{word}, and stays so: `matou files --take {app}` brings it here, a deploy of it brings this one there"
            ),
            Standing::Removed => {
                format!("{app} is in this folder, and was removed from the fleet{word}")
            }
        }
    }
}

/// The operators' files on the storage node.
#[derive(Debug, Default)]
pub struct There(BTreeMap<String, Vec<u8>>);

impl There {
    /// Reads them.
    ///
    /// # Errors
    /// One sentence.
    pub async fn read(config: &Config, storage: &Host) -> Result<Self, String> {
        let from = data(config).join(FLEET);
        let read = Command::sh(READ)
            .arg(from.display().to_string())
            .sudo()
            .timeout(Duration::from_secs(120))
            .label(format!("read {}", from.display()));
        let out = storage.run_ok(&read).await.map_err(|e| e.to_string())?;
        Self::unpack(&out.stdout).map_err(|e| format!("the fleet's files can't be read: {e}"))
    }

    fn unpack(archive: &[u8]) -> std::io::Result<Self> {
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

    fn apps(&self) -> BTreeSet<String> {
        let names = self.0.keys();
        let apps = names.filter_map(|n| n.strip_prefix("apps/")?.strip_suffix(".toml"));
        apps.filter(|a| crate::stack::is_app_name(a))
            .map(str::to_owned)
            .collect()
    }

    /// Whether an application has a file there.
    pub fn has(&self, app: &str) -> bool {
        self.0.contains_key(&format!("apps/{app}.toml"))
    }

    fn word(&self, app: &str) -> Option<String> {
        let word = self.0.get(&format!("written/{app}"))?;
        Some(crate::text::plain(word.trim_ascii()))
    }

    fn is_removed(&self, app: &str) -> bool {
        self.word(app).is_some_and(|w| w.starts_with(REMOVED))
            && !self.0.contains_key(&format!("apps/{app}.toml"))
    }

    /// The files of an application: its own, and its stack's.
    fn of(&self, app: &str) -> Vec<File> {
        let all: Vec<File> = self.0.clone().into_iter().collect();
        part(&all, app)
    }

    /// How the applications here and there stand to each other, by name.
    pub fn compare(&self, mine: &Mine) -> Vec<Compared> {
        let there = self.apps();
        let all: BTreeSet<&String> = there.iter().chain(&mine.apps).collect();
        let compared = all.into_iter().map(|app| {
            let standing = match (mine.apps.contains(app), there.contains(app)) {
                (true, true) if part(&mine.files, app) == self.of(app) => Standing::Same,
                (true, true) => Standing::Differs,
                (false, _) => Standing::There,
                (true, false) if self.is_removed(app) => Standing::Removed,
                (true, false) => Standing::Here,
            };
            Compared {
                app: app.clone(),
                standing,
                word: self.word(app),
            }
        });
        compared.collect()
    }

    /// Writes an application's files into the fleet folder. What differs here is kept beside, as
    /// `FILE.before`; answers with what was written and what was kept.
    ///
    /// # Errors
    /// There is no such application, or a file can't be written.
    pub fn take(&self, app: &str, folder: &Path) -> Result<Vec<String>, String> {
        let files = self.of(app);
        if files.is_empty() {
            return Err(format!("the storage node has no file of {app}"));
        }
        let mut said = Vec::new();
        let own: Option<AppFile> = files
            .iter()
            .find(|(n, _)| n.starts_with("apps/"))
            .and_then(|(_, text)| toml::from_str(&String::from_utf8_lossy(text)).ok());
        if own.is_none_or(|f| files::is_path(&f.stack)) {
            return Err(format!(
                "apps/{app}.toml on the storage node names a file of another machine, or can't be read: nothing was taken"
            ));
        }
        for (name, content) in files {
            let path = folder.join(&name);
            let plain = Path::new(&name)
                .components()
                .all(|c| matches!(c, std::path::Component::Normal(_)));
            if !plain {
                return Err(format!("{name:?} is no path in the fleet folder"));
            }
            let failed = |e: std::io::Error| format!("{} can't be written: {e}", path.display());
            match std::fs::read(&path) {
                Ok(old) if old == content => continue,
                Ok(_) => {
                    let before = PathBuf::from(format!("{}.before", path.display()));
                    std::fs::rename(&path, &before).map_err(failed)?;
                    said.push(format!("{name} was another one: kept as {name}.before"));
                }
                Err(_) => {}
            }
            AppFile::write_whole(&path, &content).map_err(failed)?;
            said.push(format!("{name} is written"));
        }
        Ok(said)
    }
}

/// What the word on a removed application begins with.
const REMOVED: &str = "removed by";

/// The operator's files on this machine.
#[derive(Debug)]
pub struct Mine {
    apps: BTreeSet<String>,
    files: Vec<File>,
}

impl Mine {
    /// Reads them; nothing without config.toml.
    ///
    /// # Errors
    /// A file that can't be read.
    pub fn read(config: &Config) -> Result<Self, String> {
        let folder = config.folder();
        Ok(Self {
            apps: folder.map_or_else(BTreeSet::new, |f| AppFile::list(&f).into_iter().collect()),
            files: files::collect(config)?,
        })
    }
}

/// The files of an application, of all files: its own, its stack, and what its stack names.
fn part(all: &[File], app: &str) -> Vec<File> {
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
    let mut files: Vec<File> = all
        .iter()
        .filter(|(n, _)| *n == own || is_stack(n) || named(n))
        .cloned()
        .collect();
    files.sort();
    files
}

/// What one push brings.
struct Push {
    replace: Vec<File>,
    /// Only where nothing is.
    add: Vec<File>,
}

impl Push {
    /// For a deploy of `app`, or, without, for a backup of everything.
    fn of(mine: &Mine, there: &There, app: Option<&str>) -> Self {
        let same = |(name, content): &&File| there.0.get(name) == Some(content);
        let mut replace: Vec<File> = app.map_or_else(Vec::new, |app| part(&mine.files, app));
        replace.extend(
            mine.files
                .iter()
                .filter(|(n, _)| n == "config.toml")
                .cloned(),
        );
        replace.retain(|file| !same(&file));
        let mut add: Vec<File> = Vec::new();
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
pub struct Planned {
    pub is_done: bool,
    /// Applications that are there alone, or are other ones there; what is deployed is none of them.
    pub left: Vec<Compared>,
}

/// Compares.
///
/// # Errors
/// One sentence.
pub(super) async fn plan(
    config: &Config,
    storage: &Host,
    app: Option<&str>,
) -> Result<Planned, String> {
    let there = There::read(config, storage).await?;
    let mine = Mine::read(config)?;
    let left = there.compare(&mine).into_iter().filter(|c| {
        Some(c.app.as_str()) != app && !matches!(c.standing, Standing::Same | Standing::Here)
    });
    Ok(Planned {
        is_done: Push::of(&mine, &there, app).is_done(),
        left: left.collect(),
    })
}

/// Brings the files of an application, or what is missing there of all, and config.toml.
///
/// # Errors
/// One sentence; what did not arrive whole changes nothing.
pub(super) async fn push(config: &Config, storage: &Host, app: Option<&str>) -> Result<(), String> {
    let there = There::read(config, storage).await?;
    let push = Push::of(&Mine::read(config)?, &there, app);
    // A word that tells of a removal is no longer true when it is deployed again.
    if push.is_done() && !app.is_some_and(|a| there.word(a).is_none_or(|w| w.starts_with(REMOVED)))
    {
        return Ok(());
    }
    let below = |name: &str, files: Vec<File>| -> Vec<File> {
        let files = files.into_iter();
        files.map(|(n, c)| (format!("{name}/{n}"), c)).collect()
    };
    let mut all = below("replace", push.replace);
    all.extend(below("add", push.add));
    let archive = files::archive(&all).map_err(|e| format!("the files can't be packed: {e}"))?;
    let folder = data(config).join(FLEET);
    let command = Command::sh(MERGE)
        .arg(folder.display().to_string())
        .arg(word("written by"))
        .arg(app.unwrap_or_default())
        .secret_stdin(SecretBox::new(Box::new(archive)))
        .sudo()
        .timeout(Duration::from_secs(120))
        .label(format!("write {}", folder.display()));
    storage.run_ok(&command).await.map_err(|e| e.to_string())?;
    Ok(())
}

/// Takes a removed application out of the fleet's files, and writes down who did.
///
/// # Errors
/// One sentence.
pub(super) async fn strike(config: &Config, storage: &Host, app: &str) -> Result<(), String> {
    let folder = data(config).join(FLEET);
    let command = Command::sh(STRIKE)
        .arg(folder.display().to_string())
        .arg(word(REMOVED))
        .arg(app)
        .sudo()
        .timeout(Duration::from_secs(60))
        .label(format!("take {app} out of {}", folder.display()));
    storage.run_ok(&command).await.map_err(|e| e.to_string())?;
    Ok(())
}

fn word(what: &str) -> String {
    let now = jiff::Timestamp::now().strftime("%F %T UTC");
    format!("{what} {} at {now}", myself())
}

#[cfg(test)]
mod tests {
    use super::*;

    fn files(list: &[(&str, &str)]) -> Vec<File> {
        let list = list.iter();
        list.map(|(n, c)| ((*n).to_owned(), c.as_bytes().to_vec()))
            .collect()
    }

    fn there(list: &[(&str, &str)]) -> There {
        There(files(list).into_iter().collect())
    }

    fn mine(list: &[(&str, &str)]) -> Mine {
        let files = files(list);
        let apps = There(files.clone().into_iter().collect()).apps();
        Mine { apps, files }
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
        let names = |files: &[File]| files.iter().map(|f| f.0.clone()).collect::<Vec<_>>();
        let push = Push::of(&here, &there, Some("shop"));
        let replaced = [
            "apps/shop.toml",
            "stacks/s.yml",
            "stacks/sub/nginx.conf",
            "config.toml",
        ];
        assert_eq!(names(&push.replace), replaced);
        assert_eq!(names(&push.add), ["stacks/unused.yml"]);
        let push = Push::of(&here, &there, None);
        assert_eq!(names(&push.replace), ["config.toml"]);
        let added = names(&push.add);
        assert!(added.contains(&"apps/fresh.toml".to_owned()), "{added:?}");
        assert!(!added.contains(&"apps/gone.toml".to_owned()), "{added:?}");
        let compared = there.compare(&here);
        let standing = |app: &str| compared.iter().find(|c| c.app == app).unwrap().standing;
        assert_eq!(standing("new"), Standing::There);
        assert_eq!(standing("other"), Standing::Differs);
        assert_eq!(standing("gone"), Standing::Removed);
        assert_eq!(standing("fresh"), Standing::Here);
        assert!(
            compared[2].line().contains("written by ana@x at T"),
            "{compared:?}"
        );
    }

    #[test]
    fn an_application_is_taken_and_what_differs_here_is_kept() {
        let dir = tempfile::tempdir().unwrap();
        let there = there(&[("apps/new.toml", "stack = \"n\"\n"), ("stacks/n.yml", "n")]);
        std::fs::create_dir(dir.path().join("stacks")).unwrap();
        std::fs::write(dir.path().join("stacks/n.yml"), "mine").unwrap();
        let said = there.take("new", dir.path()).unwrap();
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
        assert!(there.take("new", dir.path()).unwrap().is_empty());
        assert!(there.take("none", dir.path()).is_err());
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
            let out = sh(MERGE, &[d, by, app], &files::archive(&files(list)).unwrap());
            assert!(out.status.success(), "{out:?}");
        };
        let read = || There::unpack(&sh(READ, &[d], b"").stdout).unwrap();
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
        assert_eq!(now.apps().into_iter().collect::<Vec<_>>(), ["a", "c"]);
        assert_eq!(now.0["stacks/x/-y"], b"1");
        assert_eq!(now.word("a").as_deref(), Some("written by b"));
        // What did not arrive whole changes nothing.
        let whole = files::archive(&files(&[("replace/apps/a.toml", "2")])).unwrap();
        assert!(!sh(MERGE, &[d, "x", "a"], &whole[..600]).status.success());
        assert_eq!(read().0["apps/a.toml"], b"1");
        assert!(sh(STRIKE, &[d, "removed by b", "a"], b"").status.success());
        let now = read();
        assert!(now.is_removed("a") && !now.is_removed("c"));
        assert_eq!(now.apps().into_iter().collect::<Vec<_>>(), ["c"]);
        assert!(read().0.len() > 2 && !dir.path().join("fl eet.new").exists());
    }
}
