//! The fleet files on the storage node: config.toml, apps/, stacks/. There they are backed up, and
//! a manager finds them for the nightly backup. They never hold a secret of a repository.

use matou_i18n::tr;
use std::path::Path;
use std::time::Duration;

use secrecy::SecretBox;

use crate::OpsError;
use matou_backup::{FLEET, matou_folder};
use matou_config::Config;
use matou_host::{Command, Host, shell_script};
use matou_stack::AppFile;

/// Makes the folder `$1` hold what the archive on standard input holds. The files named in the
/// other arguments stay. Each file is replaced in one step, so a reader finds the old one or the
/// new one. Writers, and readers that compare, wait for each other.
const REPLACE_FOLDER: &str = shell_script(include_str!("../../scripts/replace_folder.sh"));

/// Prints apps/ and stacks/ of the folder `$1` as an archive; nothing where there are none.
const PRINT_APPS_AND_STACKS: &str =
    shell_script(include_str!("../../scripts/print_apps_and_stacks.sh"));

/// Writes standard input as the manifest of the fleet folder `$1`. Copies the certificate store
/// beside it: the last one of the other arguments that exists.
pub(super) const GATHER_FLEET_FILES: &str =
    shell_script(include_str!("../../scripts/gather_fleet_files.sh"));

/// A relative path and what it holds.
pub(crate) type PackedFile = (String, Vec<u8>);

/// How a manager's copy of config.toml begins, by which it is recognized.
const PROVISIONED_MARK: &str = "# Made by `matou provision`";

/// Makes a folder of the node hold these files and, of those it held, the ones named in `stay`.
///
/// # Errors
/// One sentence; an archive that did not arrive whole changes nothing.
pub(super) async fn replace_folder_files(
    host: &Host,
    folder: &Path,
    files: &[PackedFile],
    stay: &[&str],
) -> Result<(), OpsError> {
    let archive = pack_files(files).map_err(|e| tr!("the files can't be packed: {e}"))?;
    let command = Command::sh(REPLACE_FOLDER)
        .arg(folder.display().to_string())
        .args(stay.iter().map(|name| (*name).to_owned()))
        .secret_stdin(SecretBox::new(Box::new(archive)))
        .sudo()
        .timeout(Duration::from_secs(120))
        .label(tr!("write {}", folder.display()));
    host.run_ok(&command).await?;
    Ok(())
}

pub(super) fn pack_files(files: &[PackedFile]) -> std::io::Result<Vec<u8>> {
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
pub(crate) fn is_manager_copy(config: &Config) -> bool {
    let path = config.path.as_ref();
    let text = path.and_then(|p| std::fs::read_to_string(p).ok());
    text.is_some_and(|t| t.starts_with(PROVISIONED_MARK))
}

/// The operator's files: config.toml without passwords that stand in a location, apps/*.toml,
/// stacks/. An application made from a compose file elsewhere gets it as a stack of its own.
///
/// # Errors
/// A file that can't be read.
pub(crate) fn collect_fleet_files(config: &Config) -> Result<Vec<PackedFile>, OpsError> {
    let mut files = Vec::new();
    let (Some(path), Some(folder)) = (&config.path, config.folder()) else {
        return Ok(files);
    };
    let read =
        |path: &Path| std::fs::read(path).map_err(|e| tr!("{} can't be read: {e}", path.display()));
    let mut text = String::from_utf8_lossy(&read(path)?).into_owned();
    for repository in &config.backup.repositories {
        text = text.replace(&repository.location, &repository.shown_location());
    }
    files.push(("config.toml".to_owned(), text.into_bytes()));
    // Less than there is must not go for all that there is.
    for app in AppFile::read_names(&folder).map_err(OpsError::failed)? {
        let loaded = AppFile::load(&folder, &app)?;
        let Some(mut file) = loaded else { continue };
        if is_compose_path(&file.stack) {
            let own = format!("app-{app}");
            let content = read(Path::new(&file.stack))?;
            // apps/ may come from somebody else's git repository: it must not make matou send a
            // private key.
            if !is_compose_file(&content) {
                return Err(OpsError::failed(tr!(
                    "{} is no compose file: correct `stack` in {}",
                    file.stack,
                    AppFile::path(&folder, &app).display()
                )));
            }
            files.push((format!("stacks/{own}.yml"), content));
            file.stack = own;
        }
        files.push((format!("apps/{app}.toml"), file.to_toml().into_bytes()));
    }
    // Passwords and keys lie beside stacks/: links to them are not followed.
    let stacks = folder.join("stacks");
    if let Ok(root) = stacks.canonicalize() {
        collect_folder_files(&stacks, "stacks", &root, &mut files, 0)?;
    }
    Ok(files)
}

/// Whether a file has services.
fn is_compose_file(content: &[u8]) -> bool {
    let yaml: Result<serde_yaml::Value, _> = serde_yaml::from_slice(content);
    yaml.is_ok_and(|v| v.get("services").is_some_and(serde_yaml::Value::is_mapping))
}

/// A compose file, not a name of the catalogue.
pub(super) fn is_compose_path(stack: &str) -> bool {
    stack.contains('/') || stack.ends_with(".yml") || stack.ends_with(".yaml")
}

/// Deepest folder below stacks/ that is taken along.
const MAX_DEPTH: usize = 8;

/// Takes the files of a folder; what is reached by a link that leads out of `root` stays where it is.
fn collect_folder_files(
    folder: &Path,
    name: &str,
    root: &Path,
    files: &mut Vec<PackedFile>,
    depth: usize,
) -> Result<(), OpsError> {
    let Ok(entries) = std::fs::read_dir(folder) else {
        return Ok(());
    };
    for entry in entries.flatten() {
        let path = entry.path();
        let name = format!("{name}/{}", entry.file_name().to_string_lossy());
        if !path.canonicalize().is_ok_and(|real| real.starts_with(root)) {
            continue;
        }
        if path.is_dir() && depth < MAX_DEPTH {
            collect_folder_files(&path, &name, root, files, depth + 1)?;
        } else if path.is_file() {
            let content =
                std::fs::read(&path).map_err(|e| tr!("{} can't be read: {e}", path.display()))?;
            files.push((name, content));
        }
    }
    Ok(())
}

/// Copies apps/ and stacks/ from the storage node to a manager's fleet folder.
///
/// # Errors
/// One sentence.
pub(super) async fn fetch_apps_and_stacks(config: &Config, storage: &Host) -> Result<(), OpsError> {
    let Some(folder) = config.folder() else {
        return Ok(());
    };
    let from = matou_folder(config).join(FLEET);
    let read = Command::sh(PRINT_APPS_AND_STACKS)
        .arg(from.display().to_string())
        .sudo()
        .timeout(Duration::from_secs(120))
        .label(tr!("read {}", from.display()));
    let out = storage.run_ok(&read).await?;
    if out.stdout.is_empty() {
        return Ok(());
    }
    let failed = |e: std::io::Error| tr!("apps/ and stacks/ can't be written: {e}");
    let new = tempfile::tempdir_in(&folder).map_err(failed)?;
    let mut archive = tar::Archive::new(out.stdout.as_slice());
    // Group and others may not write to the unpacked files, whatever their mode there is.
    archive.set_mask(0o022);
    archive.unpack(new.path()).map_err(failed)?;
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
    use matou_backup::MANIFEST;

    /// What a backup adds beside the operator's files.
    const ADDED: [&str; 2] = [MANIFEST, "acme.json"];

    /// Prints the names of the operator's files in the folder `$1`, while nobody writes there.
    const LIST: &str = r#"cd -- "$1"; exec 9<.; flock -s -w 30 9
find . -type f ! -name manifest.json ! -name acme.json"#;

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
        // A fleet folder may come from elsewhere: what its links lead to stays here.
        let key = tempfile::NamedTempFile::new().unwrap();
        std::os::unix::fs::symlink(key.path(), at("stacks/key")).unwrap();
        std::os::unix::fs::symlink("/etc", at("stacks/etc")).unwrap();
        std::os::unix::fs::symlink("../restic-password", at("stacks/notes")).unwrap();
        std::os::unix::fs::symlink("own.yml", at("stacks/same.yml")).unwrap();
        let other = dir.path().join("other.yml");
        std::fs::write(&other, "services: {}\n").unwrap();
        let app = format!("stack = \"{}\"\n", other.display());
        std::fs::write(at("apps/blog.toml"), app).unwrap();
        let config = Config::read_file(&at("config.toml")).unwrap();
        let files = collect_fleet_files(&config).unwrap();
        let mut names: Vec<&str> = files.iter().map(|(n, _)| n.as_str()).collect();
        names.sort_unstable();
        assert_eq!(
            names,
            [
                "apps/blog.toml",
                "config.toml",
                "stacks/app-blog.yml",
                "stacks/own.yml",
                "stacks/same.yml",
                "stacks/sub/nginx.conf"
            ]
        );
        let app = format!("stack = {:?}\n", key.path().with_extension("yml"));
        std::fs::write(key.path().with_extension("yml"), "-----BEGIN KEY-----").unwrap();
        std::fs::write(at("apps/evil.toml"), app).unwrap();
        let refused = collect_fleet_files(&config).unwrap_err();
        assert!(
            refused.to_string().contains("is no compose file"),
            "{refused}"
        );
        std::fs::remove_file(key.path().with_extension("yml")).unwrap();
        let all: Vec<u8> = files.into_iter().flat_map(|(_, c)| c).collect();
        let all = String::from_utf8(all).unwrap();
        assert!(
            !all.contains("hunter") && all.contains("stack = \"app-blog\""),
            "{all}"
        );
        assert!(!is_manager_copy(&config));
    }

    /// Runs a script as a node's shell does, with an archive as its input.
    fn run(script: &str, args: &[&str], input: &[u8]) -> std::process::Output {
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

    fn done(script: &str, args: &[&str], input: &[u8]) -> String {
        let out = run(script, args, input);
        let said = String::from_utf8_lossy(&out.stderr);
        assert!(out.status.success() && said.is_empty(), "{said}");
        String::from_utf8(out.stdout).unwrap()
    }

    fn files(names: &[&str]) -> Vec<u8> {
        let files: Vec<PackedFile> = names
            .iter()
            .map(|n| ((*n).to_owned(), n.as_bytes().to_vec()))
            .collect();
        pack_files(&files).unwrap()
    }

    #[test]
    fn a_folder_becomes_what_is_sent_and_keeps_what_a_backup_added() {
        let dir = tempfile::tempdir().unwrap();
        let folder = dir.path().join("fl eet");
        let d = folder.to_str().unwrap();
        let names = || {
            let list = done("cd \"$1\"; find . -type f | sort", &[d], b"");
            list.lines().map(str::to_owned).collect::<Vec<_>>()
        };
        let put = [d, ADDED[0], ADDED[1]];
        done(
            REPLACE_FOLDER,
            &put,
            &files(&["apps/a.toml", "stacks/x/-y", "-z q"]),
        );
        assert_eq!(names(), ["./-z q", "./apps/a.toml", "./stacks/x/-y"]);
        let store = dir.path().join("store");
        std::fs::write(&store, "certificates").unwrap();
        done(
            GATHER_FLEET_FILES,
            &[d, "/nowhere", store.to_str().unwrap()],
            b"{}",
        );
        assert_eq!(done(LIST, &[d], b"").lines().count(), 3);
        // A folder where a file was and the other way round.
        done(
            REPLACE_FOLDER,
            &put,
            &files(&["apps", "stacks/x", "-z q/1"]),
        );
        let now = [
            "./-z q/1",
            "./acme.json",
            "./apps",
            "./manifest.json",
            "./stacks/x",
        ];
        assert_eq!(names(), now);
        // What did not arrive whole changes nothing.
        let whole = files(&["apps/b.toml"]);
        assert!(!run(REPLACE_FOLDER, &put, &whole[..600]).status.success());
        assert!(!run(REPLACE_FOLDER, &put, b"").status.success());
        assert_eq!(names(), now);
        done(REPLACE_FOLDER, &[d], &files(&[MANIFEST]));
        assert_eq!(names(), ["./manifest.json"]);
        assert!(!dir.path().join("fl eet.new").exists());
    }

    /// A deploy brings the fleet's files while another one compares them and a backup reads them.
    #[test]
    fn who_reads_while_the_files_are_replaced_finds_them_all() {
        let dir = tempfile::tempdir().unwrap();
        let folder = dir.path().join("fleet");
        let d = folder.to_str().unwrap();
        let put = [d, ADDED[0], ADDED[1]];
        let sent = files(&["apps/a.toml", "apps/b.toml", "config.toml"]);
        done(REPLACE_FOLDER, &put, &sent);
        done(GATHER_FLEET_FILES, &[d], b"{}");
        let read = |name: &str| std::fs::read(folder.join(name)).is_ok();
        std::thread::scope(|scope| {
            let writer = scope.spawn(|| {
                for _ in 0..50 {
                    done(REPLACE_FOLDER, &put, &sent);
                }
            });
            let reader = scope.spawn(move || {
                while !writer.is_finished() {
                    for name in ["apps/a.toml", "config.toml", MANIFEST] {
                        assert!(read(name), "{name}");
                    }
                }
            });
            while !reader.is_finished() {
                assert_eq!(done(LIST, &[d], b"").lines().count(), 3);
            }
        });
    }
}
