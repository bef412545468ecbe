//! A fleet that is lost and comes back out of its repository: all of it, one server, with the console
//! killed on the way; then all of it moves to other servers; and, when asked for, the drill that proves
//! it, on a repository that is whole and on one that is damaged.

mod support;

use std::collections::BTreeMap;
use std::io::{BufRead, BufReader};
use std::ops::RangeInclusive;
use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};
use std::time::{Duration, Instant};

use matou::lab::{Lab, LabKind};
use support::hosting::{FILES_STACK, NOTES_STACK, World};
use support::{Fleet, exposure, matou, ok, said, until};

/// What is left to do for provisioning on containers that have their packages.
const SETTINGS: &str = r#"
[provision]
docker = "distribution"
off = ["base", "upgrades", "time", "files", "swap", "kernel", "sshd", "fail2ban", "firewall", "volumes", "matou", "restic"]
"#;

/// Three servers that share a folder, as containers.
fn world() -> World {
    let mut fleet = Fleet::new("reco");
    fleet.lab = Lab::new("reco")
        .expect("a state folder")
        .with_shared_volumes();
    fleet.wait(
        fleet
            .lab
            .up(3, LabKind::Swarm, &|phase| eprintln!("lab: {phase}")),
    );
    World::new(fleet, SETTINGS)
}

/// The provider deletes servers; fresh ones come in their place.
fn lose(world: &World, nodes: &[&str], data: bool) {
    let fleet = &world.fleet;
    if data && nodes.len() < 3 {
        // The folder that all nodes share is the storage node's.
        fleet.run("n2", "rm -rf /mnt/data/* /mnt/data/.matou");
    }
    for node in nodes {
        fleet.wait(fleet.lab.delete_node(node));
    }
    if data && nodes.len() == 3 {
        fleet.wait(fleet.lab.delete_shared_data());
    }
    fleet.wait(fleet.lab.up(3, LabKind::Docker, &|_| {}));
    fleet.wait(fleet.lab.load_images(&world.registry));
}

#[test]
fn a_fleet_comes_back_out_of_its_repository() {
    let world = world();
    let watch = exposure::Watch::begin(&["correct horse battery staple", "s3cr3t-key"]);
    let config = world.deploy();
    let before = world.picture(&config);
    let load = world.load();
    let least = world.rows();
    ok(&config, &["backup", "--all", "--yes"]);
    let most = world.rows();
    drop(load);

    let config = everything_is_lost(&world, &before, least..=most);
    a_worker_is_lost(&world, &config, &before);
    watch.end(&world.fleet, &["n1", "n2", "n3"]);
    exposure::modes(&world.fleet, &["n1", "n2", "n3"]);
    the_fleet_moves(&world, &config);
}

/// Run it with `cargo test --test recover -- --ignored`: ten minutes.
#[test]
#[ignore = "long"]
fn the_manager_or_the_storage_node_is_lost() {
    let world = world();
    let config = world.deploy();
    let before = world.picture(&config);
    let load = world.load();
    ok(&config, &["backup", "--all", "--yes"]);
    drop(load);
    the_manager_is_lost_and_the_console_killed(&world, &config, &before);
    the_storage_node_is_lost(&world, &config, &before);
}

/// Run it with `cargo test --test recover -- --ignored`: ten minutes.
#[test]
#[ignore = "long"]
fn a_drill_proves_the_repository_and_tells_what_is_wrong_with_it() {
    let world = world();
    let config = world.deploy();
    let load = world.load();
    ok(&config, &["backup", "--all", "--yes"]);
    drop(load);
    drills(&world, &config);
}

fn everything_is_lost(
    world: &World,
    before: &BTreeMap<String, String>,
    rows_then: RangeInclusive<u64>,
) -> PathBuf {
    lose(world, &["n1", "n2", "n3"], true);
    let folder = world.keys.path().join("rebuilt");
    let begun = Instant::now();
    let out = world
        .recover_from_nothing(&folder)
        .output()
        .expect("matou starts");
    let text = said(&out);
    let took = begun.elapsed();
    assert!(out.status.success(), "{text}");
    eprintln!("{}", &text[text.find("# Recovery").unwrap_or(0)..]);
    let limit = Duration::from_secs(180) * support::patience().min(2);
    assert!(took < limit, "it took {took:?}:\n{text}");
    assert!(text.contains("- applications: 5 of 5 are back"), "{text}");
    assert!(text.contains("DNS: let files.lab.test lead to"), "{text}");
    assert!(
        !text.contains("s3cr3t-key") && !text.contains("battery"),
        "{text}"
    );
    let config = folder.join("config.toml");
    own_alone(&folder);
    assert_eq!(&world.picture(&config), before);
    // What the dump saw: a moment of the backup.
    let rows = world.rows();
    assert!(rows_then.contains(&rows), "{rows} rows, not {rows_then:?}");
    // Nothing is left to do.
    let again = ok(&config, &["recover", "--yes"]);
    assert!(again.contains("nothing to do"), "{again}");
    support::fault(
        "recover",
        "every server is lost",
        "all is back out of the repository within three minutes, six where other tests run beside it",
    );
    config
}

/// Nobody else writes what was made, though the umask let all do so; the repository's location, which may
/// hold a password, is read by its owner alone.
fn own_alone(folder: &std::path::Path) {
    use std::os::unix::fs::PermissionsExt;
    let mode = |p: &std::path::Path| p.metadata().expect("there").permissions().mode() & 0o777;
    assert_eq!(mode(&folder.join("config.toml")), 0o600);
    let mut folders = vec![folder.to_owned()];
    while let Some(folder) = folders.pop() {
        assert_eq!(mode(&folder), 0o700, "{}", folder.display());
        for entry in std::fs::read_dir(&folder).expect("read").flatten() {
            match entry.path().is_dir() {
                true => folders.push(entry.path()),
                false => assert_eq!(mode(&entry.path()) & 0o022, 0, "{}", entry.path().display()),
            }
        }
    }
}

fn a_worker_is_lost(world: &World, config: &PathBuf, before: &BTreeMap<String, String>) {
    lose(world, &["n3"], false);
    let text = ok(config, &["recover", "--yes"]);
    assert!(text.contains("the lost n3 from the swarm's list"), "{text}");
    assert!(!text.contains("+ data of"), "{text}");
    let nodes = world
        .fleet
        .run("n1", "docker node ls --format '{{.Hostname}} {{.Status}}'");
    assert_eq!(nodes.matches("Ready").count(), 3, "{nodes}");
    assert!(!nodes.contains("Down"), "{nodes}");
    assert_eq!(&world.picture(config), before);
    support::fault(
        "recover",
        "a worker is lost",
        "recover takes it out of the list; all applications run",
    );
}

/// Its data lives, the swarm does not; every attempt but the last is killed in another phase.
fn the_manager_is_lost_and_the_console_killed(
    world: &World,
    config: &PathBuf,
    before: &BTreeMap<String, String>,
) {
    lose(world, &["n1"], false);
    for phase in [
        "n1: swarm changed",
        "n2: swarm changed",
        "n1: edge …",
        "files: ",
    ] {
        killed_at(config, &["recover", "--yes"], phase, || ());
    }
    at_last(config, &["recover", "--yes"]);
    assert_eq!(&world.picture(config), before);
    support::fault(
        "recover",
        "the manager is lost, and recovery is killed in four phases",
        "the fifth run ends with all applications as they were",
    );
}

fn the_storage_node_is_lost(world: &World, config: &PathBuf, before: &BTreeMap<String, String>) {
    lose(world, &[], true);
    for phase in ["n1: restore …", "files: its data of"] {
        killed_at(config, &["recover", "--yes"], phase, || ());
    }
    at_last(config, &["recover", "--yes"]);
    assert_eq!(&world.picture(config), before);
    support::fault(
        "recover",
        "the storage node is lost, and recovery is killed in two phases",
        "the third run ends with all applications as they were",
    );
}

/// All applications move to two other servers. What changes on the way comes along; killed when the
/// first application is stopped, it goes on when it is run again.
fn the_fleet_moves(world: &World, config: &PathBuf) {
    let mut other = Fleet::new("moved");
    other.lab = Lab::new("moved")
        .expect("a state folder")
        .with_shared_volumes();
    let up = other.lab.up(2, LabKind::Docker, &|_| {});
    other.wait(up);
    other.wait(other.lab.load_images(&world.registry));
    let to = other.config("moved.toml", &world.settings());
    let stacks = to.with_file_name("stacks");
    std::fs::create_dir_all(&stacks).expect("a folder");
    std::fs::write(stacks.join("files.yml"), FILES_STACK).expect("written");
    std::fs::write(stacks.join("notes.yml"), NOTES_STACK).expect("written");

    let rows = world.rows();
    let serials = world.picture(config);
    let target = to.display().to_string();
    let args = ["move", "--to", &target, "--yes"];
    let change = "cd /mnt/data/files_data && rm -r 7/3 && mkdir \"it's [new]*\" && echo new >\"it's [new]*/1\" && \
                  echo changed >8/8 && chmod 600 9/9 && chmod 711 10";
    let changed = || {
        world.fleet.run("n1", change);
    };
    killed_at(config, &args, "files: a copy is there", changed);
    // It is stopped then, and the copy was brought up to date before.
    killed_at(config, &args, "files: 0 files and folders changed", || ());
    let text = at_last(config, &args);
    eprintln!("{}", &text[text.find("# Move").unwrap_or(0)..]);
    assert!(
        text.contains("files: runs on the new fleet; nothing answered for"),
        "{text}"
    );
    assert!(text.contains("DNS: let files.lab.test lead to"), "{text}");
    assert!(
        !text.contains("s3cr3t-key") && !text.contains("battery"),
        "{text}"
    );

    let mut now = world.picture_on(&other, &to);
    let look = "cd /mnt/data/files_data && find . -printf '%p %y %m %U %G %T@\\n' | grep -v ' d ' | sort | sha256sum; \
                find . -type d -printf '%p %m %U\\n' | sort | sha256sum; find . -type f -print0 | sort -z | xargs -0 sha256sum | sha256sum";
    assert_eq!(other.run("n1", look), world.fleet.run("n1", look));
    now.remove("files");
    let mut then = serials;
    then.remove("files");
    assert_eq!(now, then);
    let count = world.ask_on(&other, "SELECT count(*) FROM notes");
    assert_eq!(count, Ok(rows.to_string()));

    // On the old servers the edge and all data stay, and a page for who is still led there.
    let left = world
        .fleet
        .run("n1", "docker stack ls --format '{{.Name}}'");
    assert_eq!(
        left.trim(),
        "edge\nmatou-page-files\nmatou-page-pages\nmatou-page-photos"
    );
    let again = ok(config, &args);
    assert!(again.contains("nothing to do"), "{again}");
    let night = ok(config, &["backup", "--all", "--yes"]);
    assert!(!night.contains("snapshot of files"), "{night}");
    support::fault(
        "recover",
        "a move to other servers is killed twice, data changes meanwhile",
        "the third run ends with the changed data there",
    );
}

/// Runs a job to its end, when the servers have noticed that the one before is gone.
fn at_last(config: &PathBuf, args: &[&str]) -> String {
    let mut text = String::new();
    until(Duration::from_secs(90), || {
        let out = matou(config, args);
        text = said(&out);
        match text.contains("another matou works on") {
            true => Err(text.clone()),
            false => {
                assert!(out.status.success(), "{text}");
                Ok(())
            }
        }
    });
    text
}

/// Runs a job until it says something; then something else happens, and it is killed.
fn killed_at(config: &Path, args: &[&str], phase: &str, and: impl Fn()) {
    until(Duration::from_secs(60), || {
        let mut running = Command::new("sh")
            .args(["-c", "exec \"$@\" 2>&1", "sh", env!("CARGO_BIN_EXE_matou")])
            .args(["--config", &config.display().to_string()])
            .args(args)
            .stdin(Stdio::null())
            .stdout(Stdio::piped())
            .spawn()
            .expect("matou starts");
        let output = running.stdout.take().expect("its output");
        let mut seen = String::new();
        let mut reached = false;
        for line in BufReader::new(output).lines() {
            seen += &(line.expect("text") + "\n");
            reached = seen.contains(phase);
            if reached {
                break;
            }
        }
        if reached {
            and();
        }
        // It has ended when it never got there.
        let _ = running.kill();
        running.wait().expect("it has ended");
        match reached {
            true => Ok(()),
            // The servers notice after some seconds that the one before is gone.
            false if seen.contains("another matou works on") => Err(seen),
            false => panic!("{phase:?} was never said:\n{seen}"),
        }
    });
}

fn drills(world: &World, config: &PathBuf) {
    let drill = |more: &[&str]| {
        let registry = world.registry.display().to_string();
        let args = ["drill", "--image", &registry];
        matou(config, &[&args[..], more].concat())
    };
    let plan = ok(config, &["drill", "--dry-run"]);
    assert!(plan.contains("+ notes: its snapshot "), "{plan}");
    let out = drill(&[]);
    let text = said(&out);
    assert!(out.status.success(), "{text}");
    assert!(text.contains("- applications: 5 of 5 are back"), "{text}");
    let lab = Lab::new("drill").expect("a state folder");
    assert!(
        world.fleet.wait(lab.list_nodes()).is_empty(),
        "it was left behind"
    );
    let history = ok(config, &["drill", "--history"]);
    assert!(history.contains("all 5 applications answered"), "{history}");

    // An application whose image is gone, a dump that is missing, a damaged pack.
    let folder = config.parent().expect("a folder");
    std::fs::write(
        folder.join("apps/gone.toml"),
        "stack = \"hello\"\n\n[variables]\nIMAGE = \"matou/gone:1\"\n",
    )
    .expect("written");
    ok(config, &["backup", "--all", "--yes"]);
    world.fleet.run(
        "n1",
        &format!(
            "export RESTIC_PASSWORD='correct horse battery staple' AWS_ACCESS_KEY_ID=operator AWS_SECRET_ACCESS_KEY=s3cr3t-key; \
             restic -q -r {} backup --host reco --tag app=notes --tag matou --exclude matou-dump.sql \
             /mnt/data/.matou/dumps/notes /mnt/data/.matou/secrets/notes /mnt/data/notes_db",
            world.s3.repository("reco")
        ),
    );
    world.s3.damage("reco");
    let out = drill(&[]);
    let text = said(&out);
    assert_eq!(out.status.code(), Some(1), "{text}");
    assert!(text.contains("- applications: 3 of 6 are back"), "{text}");
    for (app, why) in [
        ("gone", "matou/gone:1"),
        ("notes", "dump"),
        ("photos", "damaged"),
    ] {
        let line = text
            .lines()
            .find(|l| l.starts_with(&format!("| {app} | no: ")));
        let line = line.unwrap_or_else(|| panic!("{app} is not named:\n{text}"));
        assert!(line.contains(why), "{line}");
    }
}
