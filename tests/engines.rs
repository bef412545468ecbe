//! What differs between the engines that matou works with, on a practice fleet of each.

mod support;

use std::path::{Path, PathBuf};

use matou::lab::{EngineRelease, Lab, LabKind};
use support::{Fleet, matou, ok, said};

const FLEET: &str = "eng";

/// Takes a key that Docker's client knows since 27.
const STACK: &str = r#"version: "3.13"
services:
  web:
    image: matou/hello:1.0
    oom_score_adj: 150
    healthcheck: {test: [CMD, "true"]}
    deploy:
      resources: {limits: {memory: 64M, cpus: "0.5"}}
"#;

/// A fleet of one with that engine; the configuration beside which the stack is.
fn make_fleet(fleet: &mut Fleet, engine: EngineRelease) -> PathBuf {
    fleet.wait(fleet.lab.down());
    fleet.lab = Lab::new(FLEET).expect("a state folder").with_engine(engine);
    fleet.wait(fleet.lab.up(1, LabKind::Swarm, &|_| {}));
    let config = fleet.lab.config_path();
    let folder = config.with_file_name("stacks");
    std::fs::create_dir_all(&folder).expect("a folder");
    std::fs::write(folder.join("score.yml"), STACK).expect("written");
    config
}

fn deploy(config: &PathBuf, more: &[&str]) -> (Option<i32>, String) {
    let out = matou(config, &[&["deploy", "score", "score"], more].concat());
    (out.status.code(), said(&out))
}

fn line_of(config: &Path, key: &str) -> String {
    let line = STACK.lines().position(|l| l.trim_start().starts_with(key));
    let file = config.with_file_name("stacks").join("score.yml");
    format!("{}:{}: ", file.display(), line.expect("it is there") + 1)
}

#[test]
fn what_only_an_older_engine_refuses_is_in_the_plan_with_its_line() {
    let mut fleet = Fleet::new(FLEET);
    let config = make_fleet(&mut fleet, EngineRelease::V26);
    // matou itself has nothing against it.
    let lint = ok(&config, &["lint", "score"]);
    assert!(!lint.contains("error"), "{lint}");
    for more in ["--dry-run", "--yes"] {
        let (code, text) = deploy(&config, &[more]);
        assert_eq!(code, Some(1), "{text}");
        assert!(text.contains("docker refuses this stack: "), "{text}");
        assert!(text.contains(&line_of(&config, "version:")), "{text}");
    }
    let services = fleet.run("n1", "docker service ls -q");
    assert_eq!(services.trim(), "", "nothing was made");

    let config = make_fleet(&mut fleet, EngineRelease::V28);
    let (code, text) = deploy(&config, &["--yes"]);
    assert_eq!(code, Some(0), "{text}");
    assert!(ok(&config, &["status"]).contains("1/1"), "{text}");
    // And is not passed on, of which matou warns.
    assert!(
        lint.contains("Docker Swarm ignores `oom_score_adj`"),
        "{lint}"
    );
    let format = "{{.Spec.TaskTemplate.ContainerSpec.OomScoreAdj}}";
    let line = format!("docker service inspect -f '{format}' score_web");
    assert_eq!(fleet.run("n1", &line).trim(), "0");
}
