//! Every subcommand that needs the fleet ends with exit code 4 where no node answers: nothing listens
//! on the port of the only one.

use std::fs::Permissions;
use std::os::unix::fs::PermissionsExt;
use std::path::Path;
use std::process::{Command, Output};

use clap::CommandFactory as _;

/// What needs no fleet, or makes its own, or is of use without one (tests/info.rs).
const WITHOUT_FLEET: [&str; 14] = [
    "bundle",
    "catalogue",
    "completions",
    "config",
    "drill",
    "help",
    "info",
    "init",
    "lab",
    "lint",
    "history",
    "migrate",
    "render",
    // Below: 4 may be the exit code of the command.
    "run",
];

/// Each subcommand with what it needs, in the words of the command line.
const WITH_FLEET: &[&str] = &[
    "access blog",
    "activate n1",
    "adopt --all --yes",
    "backup blog --yes",
    "backup --all --yes",
    "bans",
    "bans --json",
    "certificates",
    "certificates --json",
    "certificates show blog.example.org",
    "certificates renew blog.example.org --yes",
    "check",
    "check --json",
    "clean --yes",
    "clean n1 --dry-run --json",
    "clone blog shop DOMAIN=shop.example.org --yes",
    "demote n1 --yes",
    "deploy static blog DOMAIN=blog.example.org --yes",
    "deploy static blog DOMAIN=blog.example.org --yes --json",
    "diff blog",
    "diff static blog DOMAIN=blog.example.org",
    "dns",
    "dns --json",
    "dns --apply --yes",
    "drain n1 --yes",
    "drill --dry-run",
    "erase blog --yes",
    "export blog --yes",
    "files",
    "intrusions",
    "intrusions --json",
    "journal n1",
    "jobs",
    "jobs blog --json",
    "leave n1 --yes",
    "logs blog_web",
    "mail --to ops@example.org --dns 127.0.0.1:9",
    "mail --to ops@example.org --dns 127.0.0.1:9 --json",
    "move --to other.toml blog --yes",
    "pause n1 --yes",
    "page blog maintenance --yes",
    "place blog n1 --yes",
    "budget blog 5GB --yes",
    "rename blog new.example.org --yes",
    "promote n1 --yes",
    "provision --yes",
    "provision --yes --json",
    "provision --dry-run",
    "reboot n1 --yes",
    "recover --yes",
    "redeploy blog --yes",
    "remove blog --yes",
    "remove-node n1 --yes",
    "repo check --yes",
    "repo stats",
    "repo stats --json",
    "repo unlock --yes",
    "restart blog_web --yes",
    "restore blog --yes",
    "restore --all --yes",
    "restore forget blog --yes",
    "restore undo blog --yes",
    "rollback blog_web --yes",
    "room",
    "room n1 --json",
    "scale blog_web 2 --yes",
    "search error",
    "secrets blog",
    "shell n1",
    "shell blog_web",
    "snapshots",
    "snapshots blog --json",
    "status",
    "status --json",
    "switch blog --headers on --yes",
    "unban 203.0.113.7 --yes",
    "update blog",
    "update blog --to 2 --yes",
    "update blog --rehearse --to 2 --yes",
    "updates",
    "updates --json",
    "upgrade n1 --yes",
    "verify blog --yes",
];

const CONFIG: &str = r#"
[ssh]
user = "nobody"
known_hosts = "accept-new"
[[nodes]]
name = "n1"
address = "127.0.0.1"
port = 9
role = "manager"
[backup]
repository = "rest:http://127.0.0.1:9/"
password_file = "password"
[mail]
server = "127.0.0.1"
port = 9
security = "none"
sender = "hello@example.org"
"#;

const APP: &str = "stack = \"static\"\n[variables]\nDOMAIN = \"blog.example.org\"\n";

fn run(folder: &Path, line: &str) -> Output {
    Command::new(env!("CARGO_BIN_EXE_matou"))
        .args(line.split(' '))
        .current_dir(folder)
        .env("HOME", folder)
        .env("XDG_STATE_HOME", folder.join("state"))
        .env("XDG_RUNTIME_DIR", folder)
        .env_remove("MATOU_CONFIG")
        .output()
        .unwrap()
}

/// A folder of the operator: a fleet of one node that does not answer, and an application.
fn make_fleet_folder() -> tempfile::TempDir {
    let made = tempfile::tempdir().unwrap();
    let folder = made.path();
    std::fs::write(folder.join("config.toml"), CONFIG).unwrap();
    let other = CONFIG.replace("127.0.0.1", "127.0.0.2");
    std::fs::write(folder.join("other.toml"), other).unwrap();
    let password = folder.join("password");
    std::fs::write(&password, "secret\n").unwrap();
    std::fs::set_permissions(&password, Permissions::from_mode(0o600)).unwrap();
    std::fs::create_dir(folder.join("apps")).unwrap();
    std::fs::write(folder.join("apps/blog.toml"), APP).unwrap();
    made
}

#[test]
fn every_command_says_with_its_exit_code_that_no_node_answers() {
    let folder = make_fleet_folder();
    let folder = folder.path();

    let cli = matou::cli::Cli::command();
    for name in cli.get_subcommands().map(clap::Command::get_name) {
        let listed = WITH_FLEET.iter().any(|l| l.split(' ').next() == Some(name));
        assert!(
            listed || WITHOUT_FLEET.contains(&name),
            "{name} is in neither list"
        );
    }

    let mut wrong = Vec::new();
    for line in WITH_FLEET {
        let out = run(folder, line);
        let said = String::from_utf8_lossy(&out.stderr);
        let told = String::from_utf8_lossy(&out.stdout);
        if out.status.code() != Some(4) {
            wrong.push(format!("{line}: {}\n{told}{said}", out.status));
        } else if !format!("{told}{said}").contains("refuses the connection") {
            wrong.push(format!("{line} does not say why:\n{told}{said}"));
        }
    }
    assert!(wrong.is_empty(), "{}", wrong.join("\n"));
}

#[test]
fn a_command_that_is_not_run_ends_with_an_exit_code_of_its_own() {
    let folder = make_fleet_folder();
    for (line, why) in [
        ("run blog -- true", "refuses the connection"),
        ("run blog --env MATOU_NO_SUCH -- true", "export it first"),
        ("--config nosuch.toml run blog -- true", "nosuch.toml"),
    ] {
        let out = run(folder.path(), line);
        let said = String::from_utf8_lossy(&out.stderr);
        assert_eq!(out.status.code(), Some(125), "{line}: {said}");
        assert!(said.contains(why), "{line}: {said}");
    }
    for line in [
        "run blog true",
        "run blog",
        "run a/b/c -- true",
        "--read-only run blog -- true",
    ] {
        let out = run(folder.path(), line);
        let said = String::from_utf8_lossy(&out.stderr);
        assert_eq!(out.status.code(), Some(2), "{line}: {said}");
    }
}

/// Arguments that no fleet makes right.
const WRONG_ARGUMENTS: &[&str] = &[
    "access blog --status abc",
    "clean n1 --volume data --yes",
    "clean n1 --volume n2:data --yes",
    "clean nosuch --yes",
    "journal nosuch",
    "lab status --name ../x",
    "mail --to nobody",
    "move --to nofile.toml blog --yes",
    "provision --node nosuch --yes",
    "provision --only nosuch --yes",
    "provision --only nosuch --yes --json",
    "provision --skip nosuch --yes",
    "render static new",
    "render static new DOMAIN=new.example.org NO_SUCH=1",
    "repo check --repository nosuch --yes",
    "room nosuch",
    "room nosuch --json",
    "unban 203.0.113.7 --node nosuch --yes",
    "unban notanaddress --yes",
];

#[test]
fn a_wrong_argument_ends_with_the_exit_code_of_wrong_usage() {
    let folder = make_fleet_folder();
    let mut wrong = Vec::new();
    for line in WRONG_ARGUMENTS {
        let out = run(folder.path(), line);
        if out.status.code() != Some(2) {
            let said = String::from_utf8_lossy(&out.stderr);
            wrong.push(format!("{line}: {}\n{said}", out.status));
        }
    }
    assert!(wrong.is_empty(), "{}", wrong.join("\n"));
}

#[test]
fn what_is_asked_for_as_json_fails_as_json() {
    let folder = make_fleet_folder();
    for line in [
        "access blog --json",
        "certificates --json",
        "search error --json",
        "snapshots --json",
        "update blog --json",
    ] {
        let out = run(folder.path(), line);
        assert_eq!(out.status.code(), Some(4), "{line}");
        let told: serde_json::Value =
            serde_json::from_slice(&out.stdout).unwrap_or_else(|e| panic!("{line}: {e}"));
        assert!(told["error"].is_string(), "{line}: {told}");
    }
}
