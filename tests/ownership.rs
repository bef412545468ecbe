//! Whose a snapshot is, and which of them is the newest: two fleets in one repository, also of the same
//! name, and a night whose clock was wrong. A practice fleet of one server, a real restic.

mod support;

use std::path::PathBuf;
use std::sync::OnceLock;
use std::time::Duration;

use matou::lab::LabKind;
use support::{Fleet, matou, ok, private, said, until};

/// Of these tests alone; `scripts/test.sh` removes it.
const FLEET: &str = "own";

/// One service with one volume.
const STACK: &str = "services:\n  web:\n    image: matou/hello:1.0\n    volumes: ['files:/srv/files']\n    stop_grace_period: 1s\nvolumes:\n  files:\n";

struct Practice {
    fleet: Fleet,
    config: PathBuf,
}

/// The fleet, whose tests use applications of their own.
fn practice() -> &'static Practice {
    static PRACTICE: OnceLock<Practice> = OnceLock::new();
    PRACTICE.get_or_init(|| {
        let fleet = Fleet::new(FLEET);
        fleet.wait(fleet.lab.up(1, LabKind::Swarm, &|_| {}));
        support::backup::restic(&fleet);
        // No metrics, no timer, no packages: what recovers here is the data.
        let config = fleet.config(
            "own.toml",
            "[storage]\nnode = \"n1\"\ndriver = \"local\"\n[backup]\nrepository = \"/srv/restic\"\npassword_file = \"restic-password\"\nkeep_daily = 1\nkeep_weekly = 0\nkeep_monthly = 0\nkeep_yearly = 0\nkeep_within_days = 0\n[provision]\ndocker = \"distribution\"\noff = [\"base\", \"upgrades\", \"time\", \"files\", \"swap\", \"kernel\", \"sshd\", \"fail2ban\", \"firewall\", \"volumes\", \"matou\", \"backup\", \"metrics\", \"restic\", \"storage\"]\n",
        );
        let folder = config.parent().expect("a folder");
        private(&folder.join("restic-password"), "correct horse\n");
        std::fs::create_dir_all(folder.join("stacks")).expect("a folder");
        std::fs::write(folder.join("stacks/plain.yml"), STACK).expect("written");
        support::backup::repository(&fleet, &config);
        Practice { fleet, config }
    })
}

impl Practice {
    fn ok(&self, args: &[&str]) -> String {
        ok(&self.config, args)
    }

    fn run(&self, line: &str) -> String {
        self.fleet.run("n1", line)
    }

    /// Deploys an application; answers with its data folder.
    fn deploy(&self, app: &str) -> String {
        self.ok(&["deploy", "plain", app, "--yes"]);
        let line = format!("docker volume inspect --format '{{{{.Mountpoint}}}}' {app}_files");
        self.run(&line).trim().to_owned()
    }

    fn write(&self, data: &str, text: &str) {
        self.run(&format!("echo '{text}' >{data}/a.txt"));
    }

    fn read(&self, data: &str) -> String {
        self.run(&format!("cat {data}/a.txt")).trim().to_owned()
    }

    fn restic(&self, args: &str) -> String {
        self.run(&format!(
            "RESTIC_PASSWORD='correct horse' RESTIC_REPOSITORY=/srv/restic restic {args}"
        ))
    }

    /// A snapshot of a folder that holds `text` for this moment; answers with its id.
    fn snapshot(&self, data: &str, text: &str, args: &str) -> String {
        let now = self.read(data);
        self.write(data, text);
        let said = self.restic(&format!("backup --json {args} --tag matou {data}"));
        self.write(data, &now);
        let id = said.split("\"snapshot_id\":\"").nth(1);
        let id = id.and_then(|t| t.get(..8)).expect("an id");
        id.to_owned()
    }

    /// Ids of an application's snapshots, as restic lists them.
    fn ids(&self, app: &str) -> Vec<String> {
        let text = self.restic(&format!("snapshots --json --tag app={app}"));
        let start = text.find('[').expect("a list");
        let all: Vec<serde_json::Value> = serde_json::from_str(&text[start..]).expect("JSON");
        let id = |s: &serde_json::Value| s["short_id"].as_str().expect("an id").to_owned();
        all.iter().map(id).collect()
    }

    fn restore(&self, app: &str, more: &[&str]) -> String {
        let text = self.ok(&[&["restore", app, "--yes"], more].concat());
        self.ok(&["restore", "forget", app, "--yes"]);
        text
    }
}

/// A line of an output that says all of this.
fn line<'a>(text: &'a str, all: &[&str]) -> Option<&'a str> {
    text.lines().find(|l| all.iter().all(|w| l.contains(w)))
}

#[test]
#[ignore = "minutes on a fleet of its own: make test-long"]
fn another_fleets_snapshots_are_told_and_restored_only_when_named() {
    let _alone = support::alone();
    let p = practice();
    let data = p.deploy("shop");
    // Made before fleets had ids: this fleet's by its name.
    p.write(&data, "old");
    let legacy = p.snapshot(&data, "of before ids", "--tag app=shop --host own");
    p.write(&data, "ours");
    p.ok(&["backup", "shop"]);
    let theirs = p.snapshot(&data, "of fleet-b", "--tag app=shop --host fleet-b");
    let namesake = p.snapshot(
        &data,
        "of a namesake",
        "--tag app=shop --tag fleet-id=00000000deadbeef --host own2",
    );
    let list = p.ok(&["snapshots", "shop"]);
    assert!(line(&list, &[&theirs, "of fleet-b"]).is_some(), "{list}");
    assert!(line(&list, &[&namesake, "of own2"]).is_some(), "{list}");
    assert!(line(&list, &[&legacy, "of "]).is_none(), "{list}");

    p.write(&data, "later");
    p.restore("shop", &[]);
    assert_eq!(p.read(&data), "ours");
    let proof = p.ok(&["verify", "shop"]);
    assert!(
        !proof.contains(&theirs) && !proof.contains(&namesake),
        "{proof}"
    );

    let plan = p.ok(&["restore", "shop", "--snapshot", &theirs, "--dry-run"]);
    assert!(
        line(&plan, &["another fleet's", "fleet-b"]).is_some(),
        "{plan}"
    );
    p.restore("shop", &["--snapshot", &theirs]);
    assert_eq!(p.read(&data), "of fleet-b");

    // One policy over what is ours, of before and after ids; nothing of the others.
    let before = p.ids("shop");
    assert_eq!(before.len(), 4, "{before:?}");
    p.ok(&["repo", "forget", "--yes"]);
    let after = p.ids("shop");
    assert!(
        after.contains(&theirs) && after.contains(&namesake),
        "{after:?}"
    );
    assert!(!after.contains(&legacy) && after.len() == 3, "{after:?}");

    // Another fleet of this one's name: only the ids tell them apart.
    let same = p.snapshot(
        &data,
        "of the other own",
        "--tag app=shop --tag fleet-id=00000000deadbeef --host own",
    );
    let list = p.ok(&["snapshots", "shop"]);
    let told = line(&list, &[&same, "of own with the id 00000000deadbeef"]);
    assert!(told.is_some(), "{list}");
    p.restore("shop", &[]);
    assert_eq!(p.read(&data), "ours");
    p.ok(&["repo", "forget", "--yes"]);
    assert!(p.ids("shop").contains(&same));
    p.restic(&format!("forget {same}"));
    support::fault(
        "ownership",
        "two fleets in one repository, an application of one name",
        "each takes its own; the other's only by their id",
    );
}

#[test]
#[ignore = "minutes on a fleet of its own: make test-long"]
fn a_fleet_keeps_its_id_and_a_namesake_gets_another() {
    let _alone = support::alone();
    let p = practice();
    let data = p.deploy("blog");
    p.write(&data, "ours");
    p.ok(&["backup", "--all", "--yes"]);
    let file =
        p.run("find / -path /proc -prune -o -path '*/.matou/fleet/fleet.id' -print 2>/dev/null | head -n 1");
    let file = file.trim();
    let id = p.run(&format!("cat {file}")).trim().to_owned();
    assert_eq!(id.len(), 16, "{id}");
    assert!(
        p.restic("snapshots --json --tag app=blog")
            .contains(&format!("fleet-id={id}"))
    );
    assert!(
        p.restic("snapshots --json --tag fleet=own")
            .contains(&format!("fleet-id={id}"))
    );

    // The storage node's disk is gone: `recover` brings data and id back.
    p.run(&format!(
        "rm -f {file}; rm -rf {data}/*; docker service rm blog_web >/dev/null"
    ));
    // The engine removes the containers in its own time, and a volume not before.
    until(Duration::from_secs(60), || {
        let out = p.fleet.try_run("n1", "docker volume rm blog_files");
        match out.status.success() {
            true => Ok(()),
            false => Err(said(&out)),
        }
    });
    let out = matou(&p.config, &["recover", "--yes"]);
    assert!(
        p.run(&format!("cat {file}")).contains(&id),
        "{}",
        said(&out)
    );
    assert_eq!(p.read(&data), "ours", "{}", said(&out));

    // Lost again, and the next backup finds it: it is the same swarm.
    p.run(&format!("rm -f {file}"));
    p.ok(&["backup", "blog"]);
    assert_eq!(p.run(&format!("cat {file}")).trim(), id);
    support::fault(
        "ownership",
        "two fleets of one name",
        "they are told apart by an id",
    );
}

#[test]
#[ignore = "minutes on a fleet of its own: make test-long"]
fn a_snapshot_from_the_future_is_told_and_never_the_newest() {
    let _alone = support::alone();
    let p = practice();
    let data = p.deploy("victim");
    p.write(&data, "content of today");
    let wrong = p.snapshot(
        &data,
        "content of the wrong night",
        "--time '2031-01-01 00:00:00' --tag app=victim --host own",
    );
    // Nothing else: it is no backup of today.
    let out = matou(&p.config, &["restore", "victim", "--dry-run"]);
    assert!(!out.status.success(), "{}", said(&out));
    assert!(said(&out).contains("--snapshot"), "{}", said(&out));

    p.ok(&["backup", "victim"]);
    let list = p.ok(&["snapshots", "victim"]);
    assert!(line(&list, &[&wrong, "in the future"]).is_some(), "{list}");
    p.write(&data, "later");
    let plan = p.ok(&["restore", "victim", "--dry-run"]);
    assert!(
        plan.contains("less than an hour old") && !plan.contains(&wrong),
        "{plan}"
    );
    p.restore("victim", &[]);
    assert_eq!(p.read(&data), "content of today");

    let plan = p.ok(&["restore", "victim", "--snapshot", &wrong, "--dry-run"]);
    let warned = line(&plan, &["in the future"]).unwrap_or_else(|| panic!("{plan}"));
    assert!(!warned.contains("less than an hour"), "{warned}");

    // Dated today, and its manifest was written on another day: a clock was wrong then.
    let dumps = "/mnt/data/.matou/dumps/victim";
    p.run(&format!(
        "cp {dumps}/manifest.json /root/manifest; sed -i 's/\"time\": \"[^\"]*\"/\"time\": \"2020-01-01T03:00:00Z\"/' {dumps}/manifest.json"
    ));
    let args = format!(
        "--tag app=victim --host own --tag fleet-id=$(cat /mnt/data/.matou/fleet/fleet.id) {dumps}"
    );
    let lies = p.snapshot(&data, "of another day", &args);
    p.run(&format!("cp /root/manifest {dumps}/manifest.json"));
    let plan = p.ok(&["restore", "victim", "--dry-run"]);
    assert!(line(&plan, &["left out", &lies]).is_some(), "{plan}");
    assert!(
        !plan.contains(&format!("from the snapshot {lies}")),
        "{plan}"
    );

    let check = said(&matou(&p.config, &["check"]));
    assert!(
        line(&check, &["victim", "1 snapshot", "in the future"]).is_some(),
        "{check}"
    );
    // What other tests forget by age is not judged by it.
    p.restic(&format!("forget {wrong}"));
    support::fault(
        "ownership",
        "a clock was wrong: a snapshot of 2031, one that its manifest contradicts",
        "told, and never the newest",
    );
}
