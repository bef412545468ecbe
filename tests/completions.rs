//! Completions as shells get them: the script that `matou completions` prints, sourced in a real shell, and the
//! program asked by it. No server is there that could answer.

use std::path::{Path, PathBuf};
use std::process::{Command, Output};
use std::time::{Duration, Instant};

const CONFIG: &str = r#"
[[nodes]]
name = "alpha"
address = "192.0.2.1"
role = "manager"
[[nodes]]
name = "beta"
address = "192.0.2.2"
[backup]
repository = "rest:http://192.0.2.3/"
password_file = "password"
[[backup.copies]]
name = "far"
repository = "/mnt/far"
password_file = "password"
"#;

/// Longest that a completion may take. A program that is optimised takes a fiftieth of it; one that asked
/// 192.0.2.1 would wait for ten seconds.
const LONGEST: Duration = Duration::from_secs(3);

struct Fleet {
    made: tempfile::TempDir,
}

impl Fleet {
    fn make() -> Self {
        let made = tempfile::tempdir().unwrap();
        let folder = made.path();
        std::fs::write(folder.join("config.toml"), CONFIG).unwrap();
        std::fs::create_dir(folder.join("apps")).unwrap();
        std::fs::create_dir(folder.join("stacks")).unwrap();
        let app = |name: &str, stack: &str| {
            let text =
                format!("stack = \"{stack}\"\n[variables]\nDOMAIN = \"{name}.example.org\"\n");
            std::fs::write(folder.join(format!("apps/{name}.toml")), text).unwrap();
        };
        app("blog", "ghost");
        app("shop", "prestashop");
        std::fs::write(folder.join("stacks/own.yml"), "services: {}\n").unwrap();
        Self { made }
    }

    fn path(&self) -> &Path {
        self.made.path()
    }

    /// What the program answers for the names file's place, by writing a name into it.
    fn keep_names(&self, names: &str) {
        use sha2::Digest as _;
        let config = self.path().join("config.toml").canonicalize().unwrap();
        let hash = sha2::Sha256::digest(config.to_str().unwrap());
        let hash: String = hash.iter().map(|b| format!("{b:02x}")).collect();
        let folder = self.path().join("cache/matou/names");
        std::fs::create_dir_all(&folder).unwrap();
        std::fs::write(folder.join(format!("{}.json", &hash[..16])), names).unwrap();
    }

    fn command(&self, program: &str) -> Command {
        let programs = PathBuf::from(env!("CARGO_BIN_EXE_matou"));
        let path = format!(
            "{}:{}",
            programs.parent().unwrap().display(),
            std::env::var("PATH").unwrap()
        );
        let mut command = Command::new(program);
        command
            .current_dir(self.path())
            .env("PATH", path)
            .env("HOME", self.path())
            .env("XDG_CACHE_HOME", self.path().join("cache"))
            .env("XDG_STATE_HOME", self.path().join("state"))
            .env_remove("MATOU_CONFIG");
        command
    }

    /// Has bash complete the last word of a line.
    fn complete(&self, line: &str) -> Vec<String> {
        let begun = Instant::now();
        let ran = self.run_bash(line);
        assert!(
            ran.status.success() && ran.stderr.is_empty(),
            "{line}: {ran:?}"
        );
        assert!(
            begun.elapsed() < LONGEST,
            "{line} took {:?}",
            begun.elapsed()
        );
        let answer = String::from_utf8(ran.stdout).unwrap();
        // Options are offered where there is no name.
        answer
            .lines()
            .filter(|l| !l.is_empty() && (l.contains('=') || !l.starts_with("--")))
            .map(str::to_owned)
            .collect()
    }

    fn run_bash(&self, line: &str) -> Output {
        let script = "source <(matou completions bash) || exit 9\n\
            COMP_WORDS=(\"$@\"); COMP_CWORD=$(($# - 1)); COMP_TYPE=9\n\
            _clap_complete_matou matou \"${COMP_WORDS[COMP_CWORD]}\" x\n\
            printf '%s\\n' \"${COMPREPLY[@]}\"";
        let mut words = vec!["--norc", "-c", script, "bash"];
        words.extend(line.split(' '));
        self.command("bash").args(words).output().unwrap()
    }
}

#[test]
fn names_of_the_fleet_are_completed_without_a_server() {
    let fleet = Fleet::make();
    fleet.keep_names(
        r#"{"apps": ["blog", "wiki"], "services": ["blog_web", "wiki_web"], "domains": ["wiki.example.org"],
        "volumes": ["blog_data"], "snapshots": [{"id": "0a1b2c3d", "app": "blog", "at": "2026-11-28 02:00 UTC"},
        {"id": "4e5f6a7b", "app": "wiki", "at": "2026-11-28 02:01 UTC"}]}"#,
    );
    for (line, names) in [
        ("matou stat", ["status"].as_slice()),
        ("matou drain ", &["alpha", "beta"]),
        ("matou drain b", &["beta"]),
        ("matou remove ", &["blog", "shop", "wiki"]),
        ("matou remove blog --volume ", &["blog_data"]),
        ("matou redeploy s", &["shop"]),
        ("matou deploy own", &["own", "owncloud"]),
        ("matou lint prestas", &["prestashop"]),
        ("matou scale w", &["wiki_web"]),
        ("matou place blog ", &["alpha", "anywhere", "beta"]),
        ("matou restore blog --snapshot ", &["0a1b2c3d"]),
        ("matou restore wiki --snapshot=", &["--snapshot=4e5f6a7b"]),
        (
            "matou certificates show ",
            &["blog.example.org", "shop.example.org", "wiki.example.org"],
        ),
        ("matou provision --only sshd,fire", &["sshd,firewall"]),
        ("matou provision --node alpha,b", &["alpha,beta"]),
        ("matou repo check --repository ", &["far", "main"]),
        ("matou --config config.toml drain a", &["alpha"]),
    ] {
        assert_eq!(fleet.complete(line), names, "{line}");
    }
    let secrets = fleet.complete("matou secrets shop show ");
    assert!(
        !secrets.is_empty() && secrets.iter().all(|s| !s.starts_with('-')),
        "{secrets:?}"
    );
    // A configuration elsewhere is another fleet.
    let other = Fleet::make();
    let line = format!("matou -c {}/config.toml scale w", other.path().display());
    assert_eq!(fleet.complete(&line), Vec::<String>::new());
}

#[test]
fn what_a_shell_would_expand_is_never_offered() {
    let fleet = Fleet::make();
    fleet.keep_names(
        r#"{"apps": ["$(touch hit)", "`touch hit`", "a b", "x;touch hit", "*", "w\u001b[2J", "well"],
        "services": ["-rf", "~root", "well_web"]}"#,
    );
    std::fs::write(fleet.path().join("apps/$(touch hit).toml"), "").unwrap();
    std::fs::write(fleet.path().join("stacks/$(touch hit).yml"), "").unwrap();
    std::fs::write(fleet.path().join("$(touch hit)"), "").unwrap();
    std::fs::write(fleet.path().join("plain.yml"), "").unwrap();
    assert_eq!(fleet.complete("matou remove "), ["blog", "shop", "well"]);
    assert_eq!(fleet.complete("matou scale "), ["well_web"]);
    let stacks = fleet.complete("matou deploy ");
    assert!(stacks.contains(&"ghost".to_owned()) && !stacks.iter().any(|s| s.contains('$')));
    let files = fleet.complete("matou migrate ");
    assert!(files.contains(&"plain.yml".to_owned()), "{files:?}");
    assert!(!files.iter().any(|f| f.contains('$')), "{files:?}");
    assert!(!fleet.path().join("hit").exists());
}

#[test]
fn a_broken_configuration_is_no_completion_and_no_message() {
    let fleet = Fleet::make();
    std::fs::write(fleet.path().join("config.toml"), "[fleet\n").unwrap();
    assert_eq!(fleet.complete("matou drain "), Vec::<String>::new());
    fleet.keep_names("not JSON");
    assert_eq!(fleet.complete("matou scale "), Vec::<String>::new());
    assert_eq!(fleet.complete("matou stat"), ["status"]);
    let asked = fleet
        .command("matou")
        .env("MATOU_COMPLETE", "nosuchshell")
        .args(["--", "matou", ""])
        .output()
        .unwrap();
    assert!(asked.status.success() && asked.stdout.is_empty() && asked.stderr.is_empty());
}

#[test]
fn every_shell_has_a_script() {
    let fleet = Fleet::make();
    for shell in ["bash", "elvish", "fish", "powershell", "zsh"] {
        let ran = fleet
            .command("matou")
            .args(["completions", shell])
            .output()
            .unwrap();
        let script = String::from_utf8(ran.stdout).unwrap();
        assert!(
            ran.status.success() && script.contains("MATOU_COMPLETE"),
            "{shell}: {script}"
        );
    }
}
