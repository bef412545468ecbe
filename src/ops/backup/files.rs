//! The fleet's own files on the storage node: config.toml, apps/, stacks/, so that they are in a
//! backup and a manager knows at night what the operator's machine knew. Never a secret of a
//! repository.

use std::path::Path;
use std::time::Duration;

use secrecy::SecretBox;

use crate::backup::{FLEET, data};
use crate::config::Config;
use crate::host::{Command, Host};
use crate::stack::AppFile;

/// Replaces the folder `$1` by what comes as an archive, in one step; those who do it at the same
/// moment wait for each other.
const PUT: &str = r#"set -e; umask 077; d=$1 p=$(dirname -- "$1")
mkdir -p -m 700 -- "$p"
exec 9<"$p"; flock -w 60 9 || { echo "another one has written here for a minute" >&2; exit 1; }
rm -rf -- "$d.new"; mkdir -m 700 -- "$d.new"; trap 'rm -rf -- "$d.new"' EXIT
tar -x -C "$d.new" --no-same-owner -f -
[ -e "$d.new/.whole" ] || { echo "it arrived incomplete" >&2; exit 1; }; rm -f -- "$d.new/.whole"
rm -rf -- "$d.old"; [ ! -e "$d" ] || mv -T -- "$d" "$d.old"
mv -T -- "$d.new" "$d"; rm -rf -- "$d.old""#;

/// A relative path and what it holds.
pub(super) type File = (String, Vec<u8>);

/// Files that a manager's copy of config.toml begins with, by which it is known.
const MADE: &str = "# Made by `matou provision`";

/// Replaces a folder of the node by these files, in one step.
///
/// # Errors
/// One sentence; the old folder is untouched then.
pub(super) async fn put(host: &Host, folder: &Path, files: &[File]) -> Result<(), String> {
    let archive = archive(files).map_err(|e| format!("the files can't be packed: {e}"))?;
    let command = Command::sh(PUT)
        .arg(folder.display().to_string())
        .secret_stdin(SecretBox::new(Box::new(archive)))
        .sudo()
        .timeout(Duration::from_secs(120))
        .label(format!("write {}", folder.display()));
    host.run_ok(&command).await.map_err(|e| e.to_string())?;
    Ok(())
}

fn archive(files: &[File]) -> std::io::Result<Vec<u8>> {
    let mut tar = tar::Builder::new(Vec::new());
    let now = jiff::Timestamp::now().as_second();
    let end = (".whole".to_owned(), Vec::new());
    for (name, content) in files.iter().chain([&end]) {
        let mut header = tar::Header::new_gnu();
        header.set_size(content.len() as u64);
        header.set_mode(0o600);
        header.set_mtime(u64::try_from(now).unwrap_or_default());
        tar.append_data(&mut header, name, content.as_slice())?;
    }
    tar.into_inner()
}

/// Whether config.toml is the copy that provisioning wrote to a manager.
pub(super) fn is_managers(config: &Config) -> bool {
    let path = config.path.as_ref();
    let text = path.and_then(|p| std::fs::read_to_string(p).ok());
    text.is_some_and(|t| t.starts_with(MADE))
}

/// The operator's files: config.toml without passwords that stand in a location, apps/*.toml,
/// stacks/. An application made from a compose file elsewhere gets it as a stack of its own.
///
/// # Errors
/// A file that can't be read.
pub(super) fn collect(config: &Config) -> Result<Vec<File>, String> {
    let mut files = Vec::new();
    let (Some(path), Some(folder)) = (&config.path, config.folder()) else {
        return Ok(files);
    };
    let read = |path: &Path| {
        std::fs::read(path).map_err(|e| format!("{} can't be read: {e}", path.display()))
    };
    let mut text = String::from_utf8_lossy(&read(path)?).into_owned();
    for repository in &config.backup.repositories {
        text = text.replace(&repository.location, &repository.shown());
    }
    files.push(("config.toml".to_owned(), text.into_bytes()));
    for app in AppFile::list(&folder) {
        let loaded = AppFile::load(&folder, &app).map_err(|e| e.to_string())?;
        let Some(mut file) = loaded else { continue };
        if is_path(&file.stack) {
            let own = format!("app-{app}");
            files.push((format!("stacks/{own}.yml"), read(Path::new(&file.stack))?));
            file.stack = own;
        }
        files.push((format!("apps/{app}.toml"), file.text().into_bytes()));
    }
    add(&folder.join("stacks"), "stacks", &mut files, 0)?;
    Ok(files)
}

/// A compose file, not a name of the catalogue.
pub(super) fn is_path(stack: &str) -> bool {
    stack.contains('/') || stack.ends_with(".yml") || stack.ends_with(".yaml")
}

/// Deepest folder below stacks/ that is taken along.
const DEEPEST: usize = 8;

fn add(folder: &Path, name: &str, files: &mut Vec<File>, depth: usize) -> Result<(), String> {
    let Ok(entries) = std::fs::read_dir(folder) else {
        return Ok(());
    };
    for entry in entries.flatten() {
        let path = entry.path();
        let name = format!("{name}/{}", entry.file_name().to_string_lossy());
        if path.is_dir() && depth < DEEPEST {
            add(&path, &name, files, depth + 1)?;
        } else if path.is_file() {
            let content = std::fs::read(&path)
                .map_err(|e| format!("{} can't be read: {e}", path.display()))?;
            files.push((name, content));
        }
    }
    Ok(())
}

/// Brings the operator's files to the storage node; a manager's copy of config.toml stays away.
///
/// # Errors
/// One sentence.
pub(crate) async fn push(config: &Config, storage: &Host) -> Result<(), String> {
    if config.path.is_none() || is_managers(config) {
        return Ok(());
    }
    let files = collect(config)?;
    put(storage, &data(config).join(FLEET), &files).await
}

/// Whether the storage node has the operator's files as they are now.
///
/// # Errors
/// One sentence.
pub(super) async fn are_there(config: &Config, storage: &Host) -> Result<bool, String> {
    if config.path.is_none() || is_managers(config) {
        return Ok(true);
    }
    let mut wanted: Vec<String> = collect(config)?
        .iter()
        .map(|(name, content)| format!("{}  ./{name}", crate::text::sha256(content)))
        .collect();
    // What a backup adds beside them is not the operator's.
    let list = Command::sh(
        "cd -- \"$1\" 2>/dev/null || exit 0; find . -type f ! -name manifest.json ! -name acme.json -exec sha256sum {} +",
    )
    .arg(data(config).join(FLEET).display().to_string())
    .sudo()
    .timeout(Duration::from_secs(60))
    .label("compare the fleet's files");
    let out = storage.run_ok(&list).await.map_err(|e| e.to_string())?;
    let text = out.text();
    let mut there: Vec<&str> = text.lines().collect();
    wanted.sort();
    there.sort_unstable();
    Ok(wanted.iter().map(String::as_str).eq(there))
}

/// The other way round, on a manager: apps/ and stacks/ as the operator's machine left them on the
/// storage node.
///
/// # Errors
/// One sentence.
pub(super) async fn fetch(config: &Config, storage: &Host) -> Result<(), String> {
    let Some(folder) = config.folder() else {
        return Ok(());
    };
    let from = data(config).join(FLEET);
    let read = Command::sh(
        "cd -- \"$1\" 2>/dev/null || exit 0; set --; for d in apps stacks; do [ ! -d $d ] || set -- \"$@\" $d; done; \
         [ $# = 0 ] || tar -c -f - -- \"$@\"",
    )
    .arg(from.display().to_string())
    .sudo()
    .timeout(Duration::from_secs(120))
    .label(format!("read {}", from.display()));
    let out = storage.run_ok(&read).await.map_err(|e| e.to_string())?;
    if out.stdout.is_empty() {
        return Ok(());
    }
    let failed = |e: std::io::Error| format!("apps/ and stacks/ can't be written: {e}");
    let new = tempfile::tempdir_in(&folder).map_err(failed)?;
    tar::Archive::new(out.stdout.as_slice())
        .unpack(new.path())
        .map_err(failed)?;
    for name in ["apps", "stacks"] {
        let (from, to) = (new.path().join(name), folder.join(name));
        if to.exists() {
            std::fs::rename(&to, new.path().join(format!("{name}.old"))).map_err(failed)?;
        }
        if from.exists() {
            std::fs::rename(&from, &to).map_err(failed)?;
        }
    }
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_operators_files_are_taken_without_secrets() {
        let dir = tempfile::tempdir().unwrap();
        let at = |name: &str| dir.path().join(name);
        let config = "[[nodes]]\nname = \"n1\"\nrole = \"manager\"\n[backup]\nrepository = \"rest:https://u:hunter2@h/x\"\npassword_file = \"restic-password\"\n";
        std::fs::write(at("config.toml"), config).unwrap();
        std::fs::write(at("restic-password"), "hunter3").unwrap();
        std::fs::create_dir_all(at("stacks/sub")).unwrap();
        std::fs::create_dir_all(at("apps")).unwrap();
        std::fs::write(at("stacks/own.yml"), "services: {}\n").unwrap();
        std::fs::write(at("stacks/sub/nginx.conf"), "x").unwrap();
        let other = dir.path().join("other.yml");
        std::fs::write(&other, "services: {}\n").unwrap();
        let app = format!("stack = \"{}\"\n", other.display());
        std::fs::write(at("apps/blog.toml"), app).unwrap();
        let config = Config::read(&at("config.toml")).unwrap();
        let files = collect(&config).unwrap();
        let mut names: Vec<&str> = files.iter().map(|(n, _)| n.as_str()).collect();
        names.sort();
        assert_eq!(
            names,
            [
                "apps/blog.toml",
                "config.toml",
                "stacks/app-blog.yml",
                "stacks/own.yml",
                "stacks/sub/nginx.conf"
            ]
        );
        let all: Vec<u8> = files.into_iter().flat_map(|(_, c)| c).collect();
        let all = String::from_utf8(all).unwrap();
        assert!(
            !all.contains("hunter") && all.contains("stack = \"app-blog\""),
            "{all}"
        );
        assert!(!is_managers(&config));
    }
}
