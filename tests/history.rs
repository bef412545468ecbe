//! The history of the fleet folder on a practice fleet of one server: what git says of it, and that going
//! back makes the services what they were, by the engine's own word.

mod support;

use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};
use std::time::{Duration, Instant};

use matou::lab::LabKind;
use support::{Fleet, matou, ok, said};

const FLEET: &str = "hist";

const SITE: &str = r"
x-matou:
  title: Site
  variables:
    - {name: WORD, help: what it says, default: one}
  secrets:
    - {name: key, help: of the site, length: 24}
services:
  web:
    image: matou/hello:1.0
    environment: {WORD: '${WORD}'}
    secrets: [key]
    configs: [{source: motd, target: /etc/motd}]
    stop_grace_period: 1s
    healthcheck: {disable: true}
configs:
  motd: {file: ./motd}
secrets:
  key: {external: true}
";

struct Practice {
    fleet: Fleet,
    config: PathBuf,
}

impl Practice {
    fn new() -> Self {
        let fleet = Fleet::new(FLEET);
        fleet.wait(fleet.lab.up(1, LabKind::Swarm, &|_| {}));
        let config = fleet.lab.config_path();
        let text = std::fs::read_to_string(&config).unwrap();
        let with_git = text.replacen("[fleet]\n", "[fleet]\ngit = true\n", 1);
        assert_ne!(text, with_git);
        std::fs::write(&config, with_git).unwrap();
        let practice = Self { fleet, config };
        for (name, text) in [("stacks/site.yml", SITE), ("stacks/motd", "first\n")] {
            practice.write(name, text);
        }
        practice
    }

    fn folder(&self) -> &Path {
        self.config.parent().unwrap()
    }

    fn write(&self, name: &str, text: &str) {
        let path = self.folder().join(name);
        std::fs::create_dir_all(path.parent().unwrap()).unwrap();
        std::fs::write(path, text).unwrap();
    }

    fn read(&self, name: &str) -> String {
        std::fs::read_to_string(self.folder().join(name)).unwrap()
    }

    /// As the operator calls it.
    fn git(&self, arguments: &[&str]) -> String {
        let out = Command::new("git")
            .args([
                "-c",
                "user.name=ana",
                "-c",
                "user.email=ana@example.org",
                "-C",
            ])
            .arg(self.folder())
            .args(arguments)
            .output()
            .unwrap();
        assert!(out.status.success(), "git {arguments:?}: {}", said(&out));
        String::from_utf8_lossy(&out.stdout).into_owned()
    }

    /// What the engine has of the service, without the ids that a redeploy may give its config, by content.
    fn spec(&self) -> String {
        let format = "{{json .Spec.TaskTemplate.ContainerSpec.Env}} {{json .Spec.TaskTemplate.ContainerSpec.Configs}} {{json .Spec.TaskTemplate.ContainerSpec.Image}} {{json .Spec.Mode}} {{json .Spec.Labels}}";
        let line = format!("docker service inspect --format '{format}' web_web");
        self.fleet.run("n1", &line)
    }
}

#[test]
fn going_back_makes_services_and_files_what_they_were() {
    let practice = Practice::new();
    let config = &practice.config;
    ok(config, &["deploy", "site", "web", "--yes"]);
    let first = (practice.spec(), practice.git(&["rev-parse", "HEAD"]));
    assert_eq!(
        practice.git(&["log", "--format=%s"]),
        "deploy site as web\nThe fleet's files as they are\n"
    );
    assert_eq!(practice.git(&["status", "--porcelain"]), "");
    let objects = practice.git(&["ls-tree", "-r", "--name-only", "HEAD"]);
    assert_eq!(
        objects,
        ".gitignore\napps/web.toml\nconfig.toml\nstacks/motd\nstacks/site.yml\n"
    );

    ok(config, &["redeploy", "web", "WORD=two", "--yes"]);
    assert_eq!(
        practice.git(&["log", "-1", "--format=%s%n%b"]).trim(),
        "redeploy web\n+ variables.WORD: \"two\""
    );
    // An edit that the operator has not committed is deployed, told, and left to him.
    practice.write("stacks/motd", "second\n");
    let told = ok(config, &["redeploy", "web", "WORD=three", "--yes"]);
    assert!(told.contains("apps/web.toml"), "{told}");
    assert_eq!(practice.git(&["status", "--porcelain"]), " M stacks/motd\n");
    let history = ok(config, &["history", "web"]);
    let lines: Vec<&str> = history.lines().collect();
    assert_eq!(lines[0], "stacks/motd has edits that are in no commit");
    assert_eq!(lines.len(), 5, "{history}");
    assert!(lines[1].contains("redeploy web") && lines[3].contains("deploy site as web"));

    // What going back changes is shown, and nothing is done.
    let back = format!("web@{}", &first.1[..10]);
    let before = practice.spec();
    let plan = ok(config, &["diff", &back]);
    assert!(
        plan.contains("WORD") && plan.contains("stacks/motd"),
        "{plan}"
    );
    assert!(
        plan.contains("edits of stacks/motd that are in no commit get one of their own"),
        "{plan}"
    );
    assert_eq!(practice.spec(), before);
    assert_eq!(practice.read("stacks/motd"), "second\n");

    ok(config, &["deploy", &back, "--yes"]);
    assert_eq!(practice.spec(), first.0);
    assert_eq!(practice.read("stacks/motd"), "first\n");
    assert_eq!(
        practice.git(&["diff", first.1.trim(), "--", "apps", "stacks"]),
        ""
    );
    assert_eq!(practice.git(&["status", "--porcelain"]), "");
    assert_eq!(practice.git(&["show", "HEAD~1:stacks/motd"]), "second\n");
    let again = ok(config, &["deploy", &back, "--yes"]);
    assert!(again.contains("nothing to do"), "{again}");

    killed_anywhere_the_next_command_ends_it(&practice);
    what_is_wrong_is_told(&practice);
    an_erased_application_leaves_its_history_which_is_told(&practice);
}

/// Forth and back, killed at any moment, and the next command too.
fn killed_anywhere_the_next_command_ends_it(practice: &Practice) {
    let config = &practice.config;
    let one = practice.spec();
    practice.write("stacks/motd", "other\n");
    ok(config, &["redeploy", "web", "WORD=other", "--yes"]);
    practice.git(&["commit", "--quiet", "--all", "--message", "other"]);
    let other = practice.spec();
    let ends = [("HEAD~2", &one), ("HEAD", &other)].map(|(name, spec)| {
        let id = practice.git(&["rev-parse", name]);
        (id.trim().to_owned(), spec)
    });
    for (n, (id, spec)) in ends.iter().cycle().take(4).enumerate() {
        let target = format!("web@{id}");
        for wait in [n as u64 * 700, 200 + n as u64 * 900] {
            let mut child = Command::new(env!("CARGO_BIN_EXE_matou"))
                .arg("--config")
                .arg(config)
                .args(["deploy", &target, "--yes"])
                .stdout(Stdio::null())
                .stderr(Stdio::null())
                .spawn()
                .unwrap();
            std::thread::sleep(Duration::from_millis(wait));
            let _ = child.kill();
            child.wait().unwrap();
        }
        ok(config, &["deploy", &target, "--yes"]);
        assert_eq!(practice.spec(), **spec, "{n}");
        assert_eq!(
            practice.git(&["diff", id, "--", "apps", "stacks"]),
            "",
            "{n}"
        );
        assert_eq!(practice.git(&["status", "--porcelain"]), "", "{n}");
    }
}

fn what_is_wrong_is_told(practice: &Practice) {
    let config = &practice.config;
    for (arguments, code, sentence) in [
        (&["deploy", "web@nope", "--yes"][..], 1, "is no revision of"),
        (
            &["deploy", "blog@HEAD", "--yes"],
            1,
            "has no apps/blog.toml",
        ),
        (
            &["deploy", "web@HEAD", "other", "--yes"],
            2,
            "nothing else can be given",
        ),
        (
            &["deploy", "site", "--yes"],
            2,
            "the name of the application is missing",
        ),
        (&["diff", "no name"], 2, "no name"),
        (
            &["history", "wbe"],
            2,
            "there is no application with a history \"wbe\"; there is web",
        ),
    ] {
        let out = matou(config, arguments);
        let text = said(&out);
        assert_eq!(out.status.code(), Some(code), "{arguments:?}: {text}");
        assert!(text.contains(sentence), "{arguments:?}: {text}");
    }
    let begun = Instant::now();
    let json = ok(config, &["history", "--json"]);
    assert!(
        begun.elapsed() < Duration::from_secs(1) * support::patience(),
        "{:?}",
        begun.elapsed()
    );
    let json: serde_json::Value = serde_json::from_str(&json).unwrap();
    assert!(json["revisions"].as_array().unwrap().len() > 5);
    let same = ok(config, &["diff", "web"]);
    assert!(same.contains("nothing to do"), "{same}");
}

fn an_erased_application_leaves_its_history_which_is_told(practice: &Practice) {
    let out = matou(&practice.config, &["erase", "web", "--yes"]);
    let text = said(&out);
    // Told, and no failure: nothing that is run again could destroy it.
    assert!(
        out.status.success()
            && text.contains("NOT destroyed: apps/web.toml in the history of the fleet folder"),
        "{text}"
    );
    assert_eq!(practice.git(&["log", "-1", "--format=%s"]), "erase web\n");
    assert!(!practice.folder().join("apps/web.toml").exists());
}
