//! What root does in folders that containers write into. A container that was broken into is root in
//! its own volume: whatever lies there may be a link, and may become one at any moment. So such work
//! has a mount namespace of its own, in which the kernel follows no link below these folders
//! (`nosymfollow`), opens no device and runs nothing. What is looked up by a path that a container has
//! made ends in an error, never elsewhere.

use std::path::{Path, PathBuf};

use super::{Command, DetachedUnit, quote_args, shell_script};

/// Closes the folders that are its arguments, in a mount namespace that is there already.
const CLOSE: &str = shell_script(include_str!("../scripts/confine_folders.sh"));

/// Folders below which root follows no link. Folders that are exchanged by renames have to be in one
/// of them together: each is a mount of its own.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct ConfinedFolders(Vec<PathBuf>);

impl ConfinedFolders {
    /// Confines work to `folder`, if it exists. A link that leads to the folder itself is the
    /// operator's, and is followed.
    pub fn new(folder: impl AsRef<Path>) -> Self {
        Self(vec![folder.as_ref().to_owned()])
    }

    /// Adds folders, unless they lie in one that is confined already.
    #[must_use]
    pub fn with_folders<P: AsRef<Path>>(mut self, folders: impl IntoIterator<Item = P>) -> Self {
        for folder in folders {
            let folder = folder.as_ref();
            if !self.contains(folder) {
                self.0.retain(|f| !f.starts_with(folder));
                self.0.push(folder.to_owned());
            }
        }
        self
    }

    /// Whether a path lies in one of them, judged by its name alone.
    pub fn contains(&self, path: &Path) -> bool {
        self.0.iter().any(|f| path.starts_with(f))
    }

    /// Makes a shell script, as [`Command::sh`] does, that runs as root and is confined to these
    /// folders.
    pub fn sh(&self, script: &str) -> Command {
        Command::new("unshare")
            .args(["--mount", "--propagation", "private", "--", "sh", "-c"])
            .arg(self.confined_script(script))
            .arg("sh")
            .sudo()
    }

    /// Returns the unit with its script confined to these folders.
    #[must_use]
    pub fn confine_unit(&self, work: DetachedUnit) -> DetachedUnit {
        use secrecy::ExposeSecret;
        let mut properties = work.properties;
        properties.push("PrivateMounts=yes".to_owned());
        DetachedUnit {
            script: self.confined_script(work.script.expose_secret()).into(),
            properties,
            ..work
        }
    }

    fn confined_script(&self, script: &str) -> String {
        let folders: Vec<String> = self.0.iter().map(|f| f.display().to_string()).collect();
        let folders = quote_args(folders.iter().map(String::as_str));
        format!("(set -- {folders}\n{CLOSE}) </dev/null || exit 1\n{script}")
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_folder_is_closed_once() {
        let all =
            ConfinedFolders::new("/d").with_folders(["/d/shop", "/srv/a/b", "/srv/a", "/data"]);
        assert_eq!(all.0, ["/d", "/srv/a", "/data"].map(PathBuf::from));
        assert!(all.contains(Path::new("/srv/a/x")) && !all.contains(Path::new("/srv")));
    }

    /// Runs what [`ConfinedFolders::sh`] runs, with its arguments.
    fn run(at: &Path, script: &str, args: &[&str]) -> std::process::Output {
        std::process::Command::new("unshare")
            .args(["--mount", "--propagation", "private", "--", "sh", "-c"])
            .arg(ConfinedFolders::new(at).confined_script(script))
            .arg("sh")
            .args(args)
            .output()
            .unwrap()
    }

    /// As root on a kernel that can do it, as servers are.
    #[test]
    #[cfg_attr(
        not(feature = "fleet-tests"),
        ignore = "as root, by --features fleet-tests"
    )]
    fn no_link_below_is_followed_and_the_operators_own_is() {
        let dir = tempfile::tempdir().unwrap();
        let (real, out) = (dir.path().join("re al"), dir.path().join("out"));
        std::fs::create_dir_all(real.join("shop/conf")).unwrap();
        std::fs::create_dir_all(&out).unwrap();
        std::fs::write(out.join("canary"), "as it was").unwrap();
        let at = dir.path().join("data");
        for (to, link) in [
            (&real, at.clone()),
            (&out, real.join("shop/folder")),
            (&out.join("canary"), real.join("shop/file")),
        ] {
            std::os::unix::fs::symlink(to, link).unwrap();
        }
        let script = r#"cd "$1/shop" || exit
echo x >conf/new && mv -T conf/new conf/file && echo renamed
echo x >file; chmod 777 file; cat file; ln -T conf/file folder/canary2; mkdir -p folder/x; mv -T conf/file folder/canary
cp -T conf/file file; [ ! -e file ] && echo closed"#;
        let output = run(&at, script, &[&at.display().to_string()]);
        let said = String::from_utf8_lossy(&output.stdout);
        assert_eq!(said, "renamed\nclosed\n", "{output:?}");
        assert_eq!(std::fs::read_dir(&out).unwrap().count(), 1);
        let canary = std::fs::read_to_string(out.join("canary")).unwrap();
        assert_eq!(canary, "as it was");
        assert!(real.join("shop/conf/file").exists());
    }

    #[test]
    fn nothing_is_done_where_the_namespace_is_everybodys() {
        let closing = ConfinedFolders::new("/nowhere").confined_script("echo done");
        let text = closing.replace("/proc/1/ns/mnt", "/proc/self/ns/mnt");
        let out = std::process::Command::new("sh")
            .args(["-c", &text])
            .output()
            .unwrap();
        assert!(!out.status.success() && out.stdout.is_empty(), "{out:?}");
    }
}
