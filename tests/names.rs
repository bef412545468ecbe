//! A name that nobody knows is answered by every command in one way, on a practice fleet of one server
//! with an application and a repository; and what scripts read as JSON has the shape that the docs say.

mod support;

use std::path::PathBuf;

use clap::CommandFactory as _;
use matou::lab::LabKind;
use support::{Fleet, matou, ok, private, said};

/// Each command that takes a name, with a wrong one, and what is answered.
const WRONG_NAMES: &[(&str, &str)] = &[
    (
        "access stie",
        "application or service \"stie\"; did you mean \"site\"?",
    ),
    ("activate n11 --yes", "node \"n11\"; did you mean \"n1\"?"),
    (
        "adopt stie --yes",
        "application \"stie\"; did you mean \"site\"?",
    ),
    (
        "backup stie --yes",
        "application \"stie\"; did you mean \"site\"?",
    ),
    (
        "catalogue hellp",
        "stack \"hellp\"; did you mean \"hello\"?",
    ),
    (
        "certificates show nosuch",
        "certificate for \"nosuch\"; there is none yet",
    ),
    ("clean n11 --yes", "node \"n11\"; did you mean \"n1\"?"),
    (
        "clone stie new --yes",
        "file in apps/ for \"stie\"; did you mean \"site\"?",
    ),
    (
        "check --tell --unless-told-by n11",
        "node \"n11\"; did you mean \"n1\"?",
    ),
    ("demote n11 --yes", "node \"n11\"; did you mean \"n1\"?"),
    (
        "deploy hellp new --yes",
        "stack \"hellp\"; did you mean \"hello\"?",
    ),
    (
        "diff hellp site",
        "stack \"hellp\"; did you mean \"hello\"?",
    ),
    ("drain n11 --yes", "node \"n11\"; did you mean \"n1\"?"),
    (
        "erase stie --yes",
        "application \"stie\"; did you mean \"site\"?",
    ),
    (
        "export stie --yes",
        "application \"stie\"; did you mean \"site\"?",
    ),
    (
        "files --take stie",
        "file on the storage node for \"stie\"; did you mean \"site\"?",
    ),
    ("jobs stie", "application \"stie\"; did you mean \"site\"?"),
    ("leave n11 --yes", "node \"n11\"; did you mean \"n1\"?"),
    ("lint hellp", "stack \"hellp\"; did you mean \"hello\"?"),
    (
        "move --to names.toml stie --yes",
        "file in apps/ for \"stie\"; did you mean \"site\"?",
    ),
    ("pause n11 --yes", "node \"n11\"; did you mean \"n1\"?"),
    (
        "place stie n1 --yes",
        "application \"stie\"; did you mean \"site\"?",
    ),
    (
        "budget stie 5GB --yes",
        "application \"stie\"; did you mean \"site\"?",
    ),
    ("place site n11 --yes", "node \"n11\"; did you mean \"n1\"?"),
    ("promote n11 --yes", "node \"n11\"; did you mean \"n1\"?"),
    (
        "rename stie new.example.org --yes",
        "application \"stie\"; did you mean \"site\"?",
    ),
    ("provision --node n11 --yes", "node \"n11\""),
    ("reboot n11 --yes", "node \"n11\"; did you mean \"n1\"?"),
    (
        "redeploy stie --yes",
        "application \"stie\"; did you mean \"site\"?",
    ),
    (
        "remove stie --yes",
        "application \"stie\"; did you mean \"site\"?",
    ),
    (
        "remove-node n11 --yes",
        "node \"n11\"; did you mean \"n1\"?",
    ),
    (
        "render hellp site",
        "stack \"hellp\"; did you mean \"hello\"?",
    ),
    (
        "repo check --repository nosuch --yes",
        "repository \"nosuch\"",
    ),
    ("room n11", "node \"n11\"; did you mean \"n1\"?"),
    (
        "restart site_wbe --yes",
        "service \"site_wbe\"; did you mean \"site_web\"?",
    ),
    (
        "restore stie --yes",
        "application \"stie\"; did you mean \"site\"?",
    ),
    (
        "restore undo stie --yes",
        "application \"stie\"; did you mean \"site\"?",
    ),
    (
        "restore forget stie --yes",
        "application \"stie\"; did you mean \"site\"?",
    ),
    (
        "rollback site_wbe --yes",
        "service \"site_wbe\"; did you mean \"site_web\"?",
    ),
    (
        "scale site_wbe 2 --yes",
        "service \"site_wbe\"; did you mean \"site_web\"?",
    ),
    (
        "secrets stie",
        "application \"stie\"; did you mean \"site\"?",
    ),
    (
        "secrets site show nosuch",
        "secret of site \"nosuch\"; there is none yet",
    ),
    ("shell n11", "node or service \"n11\"; did you mean \"n1\"?"),
    (
        "snapshots stie",
        "application \"stie\"; did you mean \"site\"?",
    ),
    (
        "page stie maintenance --yes",
        "application \"stie\"; did you mean \"site\"?",
    ),
    (
        "switch stie --headers on --yes",
        "application \"stie\"; did you mean \"site\"?",
    ),
    (
        "unban 203.0.113.7 --node n11 --yes",
        "node \"n11\"; did you mean \"n1\"?",
    ),
    (
        "update stie",
        "application \"stie\"; did you mean \"site\"?",
    ),
    ("upgrade n11 --yes", "node \"n11\"; did you mean \"n1\"?"),
    (
        "verify stie --yes",
        "application \"stie\"; did you mean \"site\"?",
    ),
];

/// They take no name of something that is there, or need more than this fleet has.
const WITHOUT_NAMES: [&str; 21] = [
    "bans",
    "bundle",
    "check",
    "completions",
    "config",
    "dns",
    "drill",
    "info",
    "init",
    "intrusions",
    "journal",
    "lab",
    "logs",
    "mail",
    "migrate",
    "recover",
    // Its exit codes are those of the command: tests/run.rs.
    "run",
    // A history is kept where git is switched on: tests/history.rs.
    "history",
    "search",
    "status",
    "updates",
];

fn run(config: &PathBuf, line: &str) -> std::process::Output {
    let words: Vec<&str> = line.split(' ').collect();
    matou(config, &words)
}

#[test]
fn names_are_answered_and_json_keeps_its_shape() {
    let fleet = Fleet::new("nam");
    fleet.wait(fleet.lab.up(1, LabKind::Swarm, &|_| {}));
    let backup = "[backup]\nrepository = \"/srv/names\"\npassword_file = \"names.password\"\n";
    let config = fleet.config("names.toml", backup);
    private(
        &config.with_file_name("names.password"),
        "a long pass phrase\n",
    );
    ok(&config, &["repo", "init", "--yes"]);
    ok(&config, &["deploy", "hello", "site", "REPLICAS=1", "--yes"]);

    let cli = matou::cli::Cli::command();
    for name in cli.get_subcommands().map(clap::Command::get_name) {
        let tried = WRONG_NAMES
            .iter()
            .any(|(l, _)| l.split(' ').next() == Some(name));
        assert!(
            tried || WITHOUT_NAMES.contains(&name),
            "{name} is in neither list"
        );
    }
    let mut wrong = Vec::new();
    for (line, answer) in WRONG_NAMES {
        let out = run(&config, line);
        let text = said(&out);
        if out.status.code() != Some(2) || !text.contains(&format!("there is no {answer}")) {
            wrong.push(format!("{line}: {}\n{text}", out.status));
        }
    }
    assert!(wrong.is_empty(), "{}", wrong.join("\n"));

    keeps_scaled_number(&config);
    has_shapes(&config);
    shell_ends_with_its_input(&config);
}

/// What is scaled stays so with the next deploy.
fn keeps_scaled_number(config: &PathBuf) {
    ok(config, &["scale", "site_web", "2", "--yes"]);
    let file = std::fs::read_to_string(config.with_file_name("apps/site.toml")).expect("a file");
    assert!(file.contains("REPLICAS = \"2\""), "{file}");
    let plan = ok(config, &["redeploy", "site", "--dry-run"]);
    assert!(!plan.contains("replicas"), "{plan}");
    let plan = ok(config, &["remove", "site", "--dry-run"]);
    assert!(
        plan.contains("apps/site.toml stays: `matou redeploy site`"),
        "{plan}"
    );
}

fn has_shapes(config: &PathBuf) {
    let read = |line: &str| -> serde_json::Value {
        let out = run(config, line);
        let text = String::from_utf8_lossy(&out.stdout).into_owned();
        let first = text.lines().next().unwrap_or_default();
        serde_json::from_str(&text)
            .or_else(|_| serde_json::from_str(first))
            .unwrap_or_else(|e| panic!("{line}: {e}: {}", said(&out)))
    };
    for line in [
        "status --json",
        "check --json",
        "lab status --name nam --json",
    ] {
        assert_eq!(read(line)["format"], 1, "{line}");
    }
    for line in [
        "lint hello --json",
        "catalogue --json",
        "snapshots --json",
        "certificates --json",
    ] {
        assert!(read(line).is_array(), "{line}");
    }
    let plan = read("scale site_web 3 --dry-run --json");
    assert_eq!(
        (&plan["format"], &plan["event"]),
        (&1.into(), &"planned".into())
    );
    let steps = plan.pointer("/plan/stages/0/nodes/0/steps").expect("steps");
    let scale = steps
        .as_array()
        .and_then(|all| all.iter().find(|s| s["step"] == "replicas"));
    let scale = scale.expect("the step that scales");
    assert_eq!(scale["state"], "change");
    assert_eq!(scale["changes"][0]["old"], "2");
    let entry = &read("catalogue --json")[0];
    assert!(
        entry["name"].is_string() && entry["variables"].is_array(),
        "{entry}"
    );
}

fn shell_ends_with_its_input(config: &PathBuf) {
    // `matou` of the support gives no input at all.
    for target in ["n1", "site_web"] {
        let out = run(config, &format!("shell {target}"));
        assert!(out.status.success(), "{target}: {}", said(&out));
    }
}
