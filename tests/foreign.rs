//! A repository that an intruder wrote: what is in it runs nothing on this machine, reads nothing of it,
//! and is told. Real restic, no fleet: its only server does not exist.

mod support;

use std::path::Path;
use std::process::{Command, Stdio};

use support::said;

/// `HERE` is a folder of this machine.
const CONFIG: &str = r#"
[fleet]
name = "sec"

[ssh]
user = "root"
config_file = "stacks/ssh.conf"
connect_timeout = "2 s"

[[nodes]]
name = "n1"
address = "192.0.2.1"
role = "manager"
jump = "evil.example"

[backup]
repository = "x"
password_command = ["sh", "-c", "id >HERE/pwned-by-password-command; echo x"]
ping_file = "HERE/key"

[[backup.copies]]
name = "away"
repository = "HERE/evilcopy"
password_command = ["sh", "-c", "id >HERE/pwned-by-copy; echo x"]

[[backup.copies]]
name = "loot"
repository = "HERE/evilcopy2"
password_file = "HERE/key"
"#;

const SSH: &str = "Host *\n  ProxyCommand sh -c \"id >HERE/pwned-by-ssh; exec false\"\n";

fn restic(folder: &Path, args: &[&str]) {
    let out = Command::new("restic")
        .args(args)
        .env("RESTIC_PASSWORD", "a-practice-password")
        .env("RESTIC_REPOSITORY", folder.join("repository"))
        .stdin(Stdio::null())
        .output()
        .expect("restic starts");
    assert!(out.status.success(), "restic {args:?}:\n{}", said(&out));
}

#[test]
fn a_repository_that_an_intruder_wrote_runs_nothing_here() {
    if Command::new("restic").arg("version").output().is_err() {
        eprintln!("skipped: it needs restic");
        return;
    }
    let dir = tempfile::tempdir().expect("a folder");
    let here = dir.path();
    let write = |name: &str, text: &str| {
        let path = here.join(name);
        std::fs::create_dir_all(path.parent().expect("a folder")).expect("made");
        let text = text.replace("HERE", &here.display().to_string());
        std::fs::write(&path, text).expect("written");
        path
    };
    let key = write("key", "PRIVATE KEY OF THE OPERATOR\n");
    let fleet = "ef/.matou/fleet";
    write(&format!("{fleet}/config.toml"), CONFIG);
    write(&format!("{fleet}/stacks/ssh.conf"), SSH);
    write(&format!("{fleet}/apps/site.toml"), "stack = \"hello\"\n");
    write(&format!("{fleet}/apps/loot.toml"), "stack = \"HERE/key\"\n");
    let password = write("password", "a-practice-password");
    use std::os::unix::fs::PermissionsExt;
    std::fs::set_permissions(&password, std::fs::Permissions::from_mode(0o600)).expect("set");
    restic(here, &["init", "-q"]);
    let inside = here.join(fleet).display().to_string();
    restic(
        here,
        &[
            "backup",
            "-q",
            "--tag",
            "fleet=sec",
            "--tag",
            "matou",
            "--host",
            "sec",
            &inside,
        ],
    );

    let into = here.join("new");
    let matou = |args: &[&str]| {
        let mut command = Command::new(env!("CARGO_BIN_EXE_matou"));
        command
            .args(args)
            .stdin(Stdio::null())
            .env("XDG_STATE_HOME", here.join("state"))
            .env("XDG_RUNTIME_DIR", here);
        said(&command.output().expect("matou starts"))
    };
    let of = |path: &Path| path.display().to_string();
    let told = matou(&[
        "recover",
        "--yes",
        "--repository",
        &of(&here.join("repository")),
        "--password-file",
        &of(&password),
        // Nobody answers there: a port of this machine that nobody listens on.
        "--nodes",
        "127.0.0.1",
        "--user",
        "nobody-here",
        "--known-hosts",
        &of(&write("known_hosts", "")),
        "--into",
        &of(&into),
    ]);
    for line in [
        "ssh.config_file = \"stacks/ssh.conf\"",
        "backup.ping_file",
        "[[backup.copies]] away",
        "[[backup.copies]] loot",
        "apps/loot.toml: its stack is the file",
    ] {
        assert!(told.contains(line), "{line} in\n{told}");
    }
    let config = std::fs::read_to_string(into.join("config.toml")).expect("a config.toml");
    let taken: String = config
        .lines()
        .filter(|l| !l.starts_with('#'))
        .collect::<Vec<_>>()
        .join("\n");
    for evil in ["config_file", "evil", "copies", "sh", "ping_file"] {
        let found = taken.split(|c: char| !c.is_alphanumeric() && c != '_');
        assert!(!found.into_iter().any(|w| w == evil), "{evil} in\n{taken}");
    }
    assert!(into.join("apps/site.toml").exists() && !into.join("apps/loot.toml").exists());
    let new = of(&into.join("config.toml"));
    for args in [["repo", "stats"], ["status", "--json"], ["backup", "site"]] {
        matou(&["--config", &new, args[0], args[1]]);
    }
    for entry in std::fs::read_dir(here).expect("a folder").flatten() {
        let name = entry.file_name().to_string_lossy().into_owned();
        assert!(!name.starts_with("pwned"), "{name}\n{told}");
    }
    let mode = std::fs::metadata(into.join("config.toml"))
        .expect("there")
        .permissions();
    assert_eq!(mode.mode() & 0o777, 0o600);
    assert_eq!(std::fs::read_to_string(key).expect("there").len(), 28);
    support::fault(
        "foreign",
        "a repository that an intruder wrote: ssh's configuration, password commands, files of this machine",
        "nothing of it is taken, all is told; nothing ran",
    );
}
