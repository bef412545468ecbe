//! A practice fleet whose names are at a real name server: deploying, renaming and removing move them.

use std::path::PathBuf;
use std::process::{Command, Stdio};

use matou::lab::Lab;

use super::servers::{Kind, SECRET, Server};
use crate::support::registry::free_port;
use crate::support::s3::S3;
use crate::support::{Fleet, matou, ok, private, said};

const DEPLOY: [&str; 7] = [
    "deploy",
    "whoami",
    "shop",
    "DOMAIN=shop.example.org",
    "IMAGE=matou/hello:1.0",
    "PORT=8080",
    "--yes",
];

fn whoami<'a>(app: &'a str, domain: &'a str) -> Vec<&'a str> {
    let mut args = DEPLOY.to_vec();
    args[2] = app;
    args[3] = domain;
    args
}

#[test]
fn names_of_applications_are_made_moved_and_removed() {
    let fleet = Fleet::with_shared_data("dns", 2);
    fleet.practice_images();
    let server = Server::start(Kind::Bind);
    let table = server.table(&fleet.lab.config_path(), "\"192.0.2.1\"");
    let config = fleet.config("dns.toml", &table);
    deployed(&server, &config);
    told_and_mended(&fleet, &server, &config);
    renamed(&server, &config);
    foreign_names_stay(&server, &config);
    removed(&server, &config);
    drilled(&fleet, &server);
    without_its_server(&fleet, &config, server);
}

fn deployed(server: &Server, config: &PathBuf) {
    let alias = ["--alias", "too.example.org,other.example.net"];
    let deploy = [&DEPLOY[..], &alias].concat();
    let plan = ok(config, &[&deploy[..], &["--dry-run"]].concat());
    assert!(
        plan.contains("+ dns shop.example.org A 192.0.2.1 (120 s)"),
        "{plan}"
    );
    assert!(
        plan.contains("other.example.net is in no zone of [dns]"),
        "{plan}"
    );
    assert!(server.dig("shop.example.org", "A").is_empty());
    ok(config, &deploy);
    for name in ["shop.example.org", "too.example.org"] {
        assert_eq!(server.dig(name, "A"), ["192.0.2.1"], "{name}");
    }
    let again = ok(config, &deploy);
    assert!(again.contains("nothing to do"), "{again}");
    // A name that it loses.
    ok(
        config,
        &[
            "redeploy",
            "shop",
            "--drop-name",
            "too.example.org",
            "--yes",
        ],
    );
    assert!(server.dig("too.example.org", "A").is_empty());
    assert!(server.dig("_matou.too.example.org", "TXT").is_empty());
    assert_eq!(server.dig("shop.example.org", "A"), ["192.0.2.1"]);
}

/// What somebody changed, and what nobody has any more.
fn told_and_mended(fleet: &Fleet, server: &Server, config: &PathBuf) {
    let well = ok(config, &["dns"]);
    assert!(
        well.contains("192.0.2.1 (120 s), matou's") && well.contains("nothing to do"),
        "{well}"
    );
    server.by_hand(
        "update delete shop.example.org A\nupdate add shop.example.org 60 A 192.0.2.66\n\
         update add old.example.org 60 A 192.0.2.1\n\
         update add _matou.old.example.org 60 TXT \"heritage=matou,fleet=dns,app=gone,types=A\"\n\
         update add theirs.example.org 60 A 192.0.2.1\n\
         update add _matou.theirs.example.org 60 TXT \"heritage=matou,fleet=else,app=gone,types=A\"",
    );
    let out = matou(config, &["dns"]);
    let text = said(&out);
    assert_eq!(out.status.code(), Some(1), "{text}");
    assert!(
        text.contains("192.0.2.66 (60 s), matou's: to be 192.0.2.1"),
        "{text}"
    );
    assert!(text.contains("old.example.org"), "{text}");
    assert!(!text.contains("theirs.example.org"), "{text}");
    let checked = said(&matou(config, &["check"]));
    assert!(
        checked.contains("shop.example.org") && checked.contains("`matou dns --apply` mends it"),
        "{checked}"
    );
    let json = matou(config, &["dns", "--json"]);
    let read: serde_json::Value = serde_json::from_slice(&json.stdout).expect("JSON");
    let shop = read
        .as_array()
        .and_then(|all| all.iter().find(|n| n["name"] == "shop.example.org"));
    assert_eq!(
        shop.expect("it is there")["records"][0]["verdict"],
        "change"
    );
    let plan = ok(config, &["dns", "--apply", "--dry-run"]);
    assert!(
        plan.contains("~ dns shop.example.org A: 192.0.2.66 (60 s) → 192.0.2.1 (120 s)"),
        "{plan}"
    );
    assert!(plan.contains("- dns old.example.org A 192.0.2.1"), "{plan}");
    ok(config, &["dns", "--apply", "--yes"]);
    assert_eq!(server.dig("shop.example.org", "A"), ["192.0.2.1"]);
    assert!(server.dig("old.example.org", "A").is_empty());
    assert_eq!(server.dig("theirs.example.org", "A"), ["192.0.2.1"]);
    let again = ok(config, &["dns", "--apply", "--yes"]);
    assert!(again.contains("nothing to do"), "{again}");
    // Another address, by the name of a node.
    let table = server.table(&fleet.lab.config_path(), "\"n2\"");
    let moved = fleet.config("moved.toml", &table);
    ok(&moved, &["dns", "--apply", "--yes"]);
    assert_eq!(server.dig("shop.example.org", "A"), [fleet.address("n2")]);
    ok(config, &["dns", "--apply", "--yes"]);
    // Without addresses: those of practice nodes are not of the world.
    let inner = fleet.config("inner.toml", &server.table(config, ""));
    let out = matou(&inner, &["dns"]);
    let text = said(&out);
    assert!(
        !out.status.success() && text.contains("add addresses = "),
        "{text}"
    );
}

fn renamed(server: &Server, config: &PathBuf) {
    ok(config, &["rename", "shop", "new.example.org", "--yes"]);
    for name in ["new.example.org", "shop.example.org"] {
        assert_eq!(server.dig(name, "A"), ["192.0.2.1"], "{name}");
    }
    ok(
        config,
        &["rename", "shop", "last.example.org", "--forget", "--yes"],
    );
    assert_eq!(server.dig("last.example.org", "A"), ["192.0.2.1"]);
    assert!(server.dig("new.example.org", "A").is_empty());
    assert_eq!(server.dig("shop.example.org", "A"), ["192.0.2.1"]);
}

/// What matou did not make stays, also when its application goes.
fn foreign_names_stay(server: &Server, config: &PathBuf) {
    let deploy = whoami("hand", "DOMAIN=manual.example.org");
    let text = ok(config, &deploy);
    assert!(
        text.contains("manual.example.org points to 192.0.2.99 by a record that matou did not make: change it yourself or delete it"),
        "{text}"
    );
    let told = said(&matou(config, &["dns"]));
    assert!(told.contains("! manual.example.org points to"), "{told}");
    ok(config, &["remove", "hand", "--yes"]);
    assert_eq!(server.dig("manual.example.org", "A"), ["192.0.2.99"]);
}

fn removed(server: &Server, config: &PathBuf) {
    let plan = ok(config, &["remove", "shop", "--dry-run"]);
    assert!(
        plan.contains("- dns last.example.org A 192.0.2.1"),
        "{plan}"
    );
    ok(config, &["remove", "shop", "--yes"]);
    for name in ["last.example.org", "shop.example.org"] {
        assert!(server.dig(name, "A").is_empty(), "{name}");
        let owner = format!("_matou.{name}");
        assert!(server.dig(&owner, "TXT").is_empty(), "{name}");
    }
    let again = ok(config, &["remove", "shop", "--yes"]);
    assert!(again.contains("nothing to do"), "{again}");
}

/// A drill ends with names that lead to its own nodes; without settings for it, it touches none.
fn drilled(fleet: &Fleet, server: &Server) {
    let gateway = fleet.address("n1");
    let gateway = format!("{}.1", gateway.rsplit_once('.').expect("IPv4").0);
    let s3 = S3::start(&gateway, free_port());
    let beside = |name: &str| fleet.lab.config_path().with_file_name(name);
    private(&beside("restic-password"), "correct horse\n");
    private(
        &beside("restic.env"),
        "AWS_ACCESS_KEY_ID=operator\nAWS_SECRET_ACCESS_KEY=a-secret-key\n",
    );
    let table = server.table(&fleet.lab.config_path(), "\"192.0.2.1\"");
    let backup = format!(
        "[backup]\nrepository = \"{}\"\npassword_file = \"restic-password\"\nenvironment_file = \"restic.env\"\n",
        s3.repository("names")
    );
    let config = fleet.config("drill.toml", &format!("{table}{backup}"));
    ok(&config, &["repo", "init", "--yes"]);
    ok(&config, &whoami("back", "DOMAIN=back.example.org"));
    ok(&config, &["backup", "--all", "--yes"]);
    // The nodes of a drill have no registry.
    let images = beside("images.tar");
    let saved = Command::new(env!("CARGO_BIN_EXE_matou"))
        .args(["lab", "ssh", "--name", &fleet.name, "n1", "--"])
        .args(["docker", "save", "matou/hello:1.0"])
        .stdin(Stdio::null())
        .stdout(std::fs::File::create(&images).expect("a file"))
        .status()
        .expect("matou starts");
    assert!(saved.success());
    let images = images.display().to_string();
    let drill = ["drill", "--image", &images];
    let out = matou(&config, &drill);
    let text = said(&out);
    assert!(text.contains("1 of 1 are back"), "{text}");
    assert_eq!(server.dig("back.example.org", "A"), ["192.0.2.1"]);

    // Not by the server of the fleet's own names.
    let settings = beside("drill-settings.toml");
    let give = |server: &Server| {
        let key = beside("drill-key").display().to_string();
        private(&beside("drill-key"), &format!("{SECRET}\n"));
        let own = server.table(&fleet.lab.config_path(), "\"n1\", \"n2\"");
        std::fs::write(&settings, own.replace("dns-key", &key)).expect("written");
    };
    let path = settings.display().to_string();
    let drill = [&drill[..], &["--keep", "--settings", &path]].concat();
    give(server);
    let out = matou(&config, &drill);
    let text = said(&out);
    assert!(
        !out.status.success() && text.contains("visitors of example.org would be led"),
        "{text}"
    );
    let practice = Server::start(Kind::Knot);
    give(&practice);
    let out = matou(&config, &drill);
    let text = said(&out);
    assert!(text.contains("1 of 1 are back"), "{text}");
    assert!(!text.contains("DNS: let back.example.org"), "{text}");
    let lab = Lab::new("drill").expect("a state folder");
    let nodes = fleet.wait(lab.list_nodes());
    let mut wanted: Vec<String> = nodes.into_iter().map(|n| n.address).collect();
    fleet.wait(lab.down());
    wanted.sort();
    let mut found = practice.dig("back.example.org", "A");
    found.sort();
    assert_eq!(found, wanted, "{text}");
    assert_eq!(found.len(), 2, "{text}");
    assert_eq!(server.dig("back.example.org", "A"), ["192.0.2.1"]);
}

/// A name server that is away stops no deploy; a key that is wrong is told, too.
fn without_its_server(fleet: &Fleet, config: &PathBuf, server: Server) {
    let key = config.with_file_name("dns-key");
    private(&key, "d3Jvbmcgd3Jvbmcgd3Jvbmcgd3Jvbmcgd3Jvbmch\n");
    let out = matou(config, &["dns"]);
    let text = said(&out);
    assert!(
        !out.status.success() && text.contains("does not take the key matou"),
        "{text}"
    );
    drop(server);
    let text = ok(config, &whoami("late", "DOMAIN=late.example.org"));
    assert!(
        text.contains("can't be reached") && text.contains("`matou dns --apply` mends them later"),
        "{text}"
    );
    let running = fleet.run("n1", "docker service ls --format '{{.Name}}'");
    assert!(running.contains("late_"), "{running}");
    let out = matou(config, &["dns", "--apply", "--yes"]);
    assert!(!out.status.success(), "{}", said(&out));
}
