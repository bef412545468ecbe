//! `matou init` on real servers: logged in to, looked at, written down, and the file is one that matou works with.

use std::os::unix::fs::PermissionsExt as _;
use std::path::Path;
use std::process::{Command, Output, Stdio};

mod support;

use matou::lab::LabKind;
use support::{Fleet, ok, said};

fn init(fleet: &Fleet, home: &Path, more: &[&str]) -> Output {
    let keys = fleet.lab.config_path();
    let key = keys.with_file_name("id_ed25519");
    Command::new(env!("CARGO_BIN_EXE_matou"))
        .args(["init", "--fleet", "chaton", "--identity"])
        .arg(key)
        .arg("--known-hosts")
        .arg(home.join("known_hosts"))
        .args(more)
        .env("HOME", home)
        .env("XDG_CONFIG_HOME", home.join("config"))
        .env("XDG_STATE_HOME", home.join("state"))
        .env_remove("MATOU_CONFIG")
        .current_dir(home)
        .stdin(Stdio::null())
        .output()
        .expect("matou starts")
}

#[test]
fn servers_become_a_configuration() {
    let fleet = Fleet::new("first");
    fleet.wait(fleet.lab.up(2, LabKind::Swarm, &|_| {}));
    let home = tempfile::tempdir().expect("a folder");
    let written = home.path().join("config/matou/config.toml");
    let (n1, n2) = (fleet.address("n1"), fleet.address("n2"));
    let (first, second) = (format!("n1=root@{n1}"), format!("root@{n2}:22"));

    // Nothing is written of a server that is not known, that is not there, that lets nobody in, or has no name.
    let nobody = format!("nobody@{n1}");
    for (more, why) in [
        (vec![&*first], "--accept-new"),
        (vec![&first, "root@127.0.0.1:1", "--accept-new"], "node-2: "),
        (vec![&nobody, "--accept-new"], "refuses the key"),
        (vec![], "name the servers"),
        (vec!["a b"], "expected [NAME=][USER@]ADDRESS[:PORT]"),
        (vec!["x=root@a", "x=root@b"], "x"),
    ] {
        let out = init(&fleet, home.path(), &more);
        let text = said(&out);
        assert!(
            !out.status.success() && text.contains(why),
            "{more:?}: {text}"
        );
        assert!(!written.exists(), "{text}");
    }

    let out = init(&fleet, home.path(), &[&first, &second, "--accept-new"]);
    let text = said(&out);
    assert!(out.status.success(), "{text}");
    assert!(
        text.contains("n1: Debian GNU/Linux 12 (bookworm), Docker "),
        "{text}"
    );
    assert!(
        text.contains(", manager of a swarm") && text.contains("adopt --all"),
        "{text}"
    );
    assert!(!text.contains("has more nodes"), "{text}");
    let file = std::fs::read_to_string(&written).expect("it is there");
    let mode = written
        .metadata()
        .expect("it is there")
        .permissions()
        .mode();
    assert_eq!(mode & 0o777, 0o600);
    assert!(file.contains("role = \"worker\""), "{file}");
    // What it says is how it is: the fleet answers by it, both nodes as they are in their swarm.
    let status = ok(&written, &["status", "--json"]);
    let status: serde_json::Value = serde_json::from_str(&status).expect("JSON");
    let nodes = status["nodes"].as_array().expect("nodes");
    let names: Vec<&str> = nodes.iter().filter_map(|n| n["name"].as_str()).collect();
    assert_eq!(names, ["n1", "n2"], "{status}");
    // A busy machine is no fault of the file.
    let check = said(&support::matou(&written, &["check"]));
    let is_well = |line: &str| line.contains("all is as it should be") || line.contains(": CPU at");
    assert!(check.lines().all(is_well), "{check}");

    // A file that is there is not touched, whatever is asked for.
    let out = init(
        &fleet,
        home.path(),
        &[&first, "--accept-new", "--unchecked"],
    );
    assert_eq!(out.status.code(), Some(1), "{}", said(&out));
    assert!(said(&out).contains("is there already"), "{}", said(&out));
    assert_eq!(std::fs::read_to_string(&written).expect("there"), file);

    // Nodes of the swarm that were not named are told of; what can't be reached is written when asked for.
    let other = home.path().join("other.toml");
    let other_path = other.display().to_string();
    let more = [&first, "--accept-new", "--config", &other_path];
    let text = said(&init(&fleet, home.path(), &more));
    assert!(
        text.contains("has more nodes, which are not in the file: n2"),
        "{text}"
    );
    std::fs::remove_file(&other).expect("it was written");
    let more = ["root@127.0.0.1:1", "--unchecked", "--config", &other_path];
    let out = init(&fleet, home.path(), &more);
    assert!(out.status.success(), "{}", said(&out));
    ok(&other, &["config"]);
}
