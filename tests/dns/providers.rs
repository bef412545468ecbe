//! What is sent to providers, compared with what dns-lexicon (PyPI) sends for the same.

use std::collections::BTreeSet;
use std::path::PathBuf;
use std::process::Command;
use std::sync::OnceLock;

use matou::dns::{
    DnsError, GandiProvider, NamePlan, OvhKeys, OvhProvider, PlanTarget, Provider, RecordVerdict,
    ScalewayProvider, Zone, ZoneRecords, plan_name, plan_removal,
};
use secrecy::SecretString;
use serde_json::Value;

use crate::recorder::{Asked, GANDI_TOKEN, OVH_KEYS, Recorder, SCALEWAY_TOKEN};
use crate::support::said;

const NAME: &str = "shop.example.org";

/// dns-lexicon's Python, installed once.
fn lexicon() -> &'static PathBuf {
    static PYTHON: OnceLock<PathBuf> = OnceLock::new();
    PYTHON.get_or_init(|| {
        let home = std::env::var_os("HOME").expect("a home folder");
        let venv = PathBuf::from(home).join(".cache/matou/lexicon-venv");
        let python = venv.join("bin/python");
        let is_there = Command::new(&python)
            .args(["-c", "import lexicon.config"])
            .output()
            .is_ok_and(|out| out.status.success());
        if !is_there {
            let out = Command::new("sh")
                .args([
                    "-ec",
                    "python3 -m venv \"$1\"; \"$1\"/bin/pip install --quiet 'dns-lexicon>=3.25,<4'",
                    "sh",
                ])
                .arg(&venv)
                .output()
                .expect("a shell");
            assert!(out.status.success(), "{}", said(&out));
        }
        python
    })
}

/// What dns-lexicon changes the zone by.
fn changes_of_lexicon(provider: &str, recorder: &Recorder) -> Vec<Asked> {
    let script = concat!(env!("CARGO_MANIFEST_DIR"), "/tests/dns/ask_lexicon.py");
    let out = Command::new("timeout")
        .arg("60")
        .arg(lexicon())
        .args([script, provider, &recorder.url()])
        .env("NO_PROXY", "*")
        .output()
        .expect("timeout");
    assert!(out.status.success(), "{}", said(&out));
    recorder.take_changes()
}

/// A provider whose zone the recorder plays.
struct World {
    recorder: Recorder,
    provider: Box<dyn Provider>,
    zone: Zone,
    runtime: tokio::runtime::Runtime,
}

impl World {
    fn new(name: &'static str) -> Self {
        let recorder = Recorder::start(name);
        Self {
            provider: connect(name, &recorder.url(), None),
            recorder,
            zone: Zone::new("example.org"),
            runtime: tokio::runtime::Runtime::new().expect("a runtime"),
        }
    }

    fn read(&self, provider: &dyn Provider, zone: &Zone) -> Result<ZoneRecords, DnsError> {
        let names = [format!("shop.{}", zone.name())];
        self.runtime.block_on(provider.records(zone, &names))
    }

    fn plan(&self, address: &str) -> NamePlan {
        let records = self.read(&*self.provider, &self.zone);
        let records = records.expect("the zone is read");
        let target = PlanTarget {
            fleet: "f".into(),
            predecessor: None,
            addresses: [address.parse().expect("an address")].into(),
            ttl: 300,
        };
        plan_name(&self.zone, NAME, "shop", &records, &target)
    }

    fn plan_removal(&self) -> NamePlan {
        let records = self.read(&*self.provider, &self.zone);
        let records = records.expect("the zone is read");
        plan_removal(NAME, &records, "f")
    }

    fn apply(&self, plan: &NamePlan) -> Result<(), DnsError> {
        let made = self.provider.apply(&self.zone, &plan.changes);
        self.runtime.block_on(made)
    }

    /// What matou changes the zone by: made, changed, removed, each again without anything to do.
    fn own_changes(&self) -> Vec<Asked> {
        for address in ["192.0.2.1", "192.0.2.2"] {
            self.apply(&self.plan(address)).expect("it is made");
            assert_eq!(self.recorder.values("shop"), [address]);
            let again = self.plan(address);
            assert!(again.changes.is_empty(), "{again:?}");
        }
        self.apply(&self.plan_removal()).expect("it is removed");
        assert!(self.plan_removal().changes.is_empty());
        self.recorder.take_changes()
    }
}

fn connect(name: &str, url: &str, token: Option<&str>) -> Box<dyn Provider> {
    let secret = |usual: &str| SecretString::from(token.unwrap_or(usual));
    match name {
        "gandi" => Box::new(GandiProvider::new(
            &format!("{url}/v5"),
            secret(GANDI_TOKEN),
        )),
        "scaleway" => Box::new(ScalewayProvider::new(url, secret(SCALEWAY_TOKEN))),
        _ => Box::new(OvhProvider::new(
            &format!("{url}/1.0"),
            OvhKeys {
                application: OVH_KEYS[0].to_owned(),
                secret: secret(OVH_KEYS[1]),
                consumer: SecretString::from(OVH_KEYS[2]),
            },
        )),
    }
}

/// Compares two bodies: what both say is the same, and one says nothing that matters less than the other.
fn assert_alike(ours: &Value, theirs: &Value, must_have: &[&str]) {
    for key in must_have {
        assert_eq!(ours[key], theirs[key], "{key}: {ours} and {theirs}");
        assert!(!ours[key].is_null(), "{key} of {ours}");
    }
    for (key, value) in theirs.as_object().into_iter().flatten() {
        if let Some(own) = ours.get(key) {
            assert_eq!(own, value, "{key}: {ours} and {theirs}");
        }
    }
}

#[test]
fn gandi_is_sent_what_lexicon_sends() {
    let world = World::new("gandi");
    let ours = world.own_changes();
    let theirs = changes_of_lexicon("gandi", &world.recorder);
    assert_eq!(ours.len(), 5, "{ours:?}");
    let line = |a: &Asked| format!("{} {}", a.method, a.path);
    assert_eq!(
        ours.iter().map(line).collect::<Vec<_>>(),
        theirs.iter().map(line).collect::<Vec<_>>()
    );
    for (own, their) in ours.iter().zip(&theirs).take(3) {
        assert_alike(&own.json(), &their.json(), &["rrset_values"]);
    }
    interrupted(&world);
    foreign_and_refused(&world, "gandi");
}

#[test]
fn scaleway_is_sent_what_lexicon_sends() {
    let world = World::new("scaleway");
    let ours = world.own_changes();
    let theirs = changes_of_lexicon("scaleway", &world.recorder);
    let line = |a: &Asked| format!("{} {}", a.method, a.path);
    let lines = |all: &[Asked]| all.iter().map(line).collect::<BTreeSet<_>>();
    assert_eq!(lines(&ours), lines(&theirs));
    // One request for what belongs together, in place of two.
    assert_eq!((ours.len(), theirs.len()), (3, 5), "{ours:?}");
    let changes = |all: &[Asked]| -> Vec<Value> {
        let all = all.iter().map(Asked::json);
        all.flat_map(|b| b["changes"].as_array().expect("changes").clone())
            .collect()
    };
    assert_eq!(changes(&ours), changes(&theirs));
    foreign_and_refused(&world, "scaleway");
}

#[test]
fn ovh_is_sent_what_lexicon_sends() {
    let world = World::new("ovh");
    let ours = world.own_changes();
    let theirs = changes_of_lexicon("ovh", &world.recorder);
    let is_refresh = |a: &Asked| a.path.ends_with("/refresh");
    assert!(is_refresh(ours.last().expect("changes")), "{ours:?}");
    assert_eq!(ours.iter().filter(|a| is_refresh(a)).count(), 3);
    let records =
        |all: &[Asked]| -> Vec<Asked> { all.iter().filter(|a| !is_refresh(a)).cloned().collect() };
    let (ours, theirs) = (records(&ours), records(&theirs));
    let line = |a: &Asked| format!("{} {}", a.method, a.path);
    assert_eq!(
        ours.iter().map(line).collect::<Vec<_>>(),
        theirs.iter().map(line).collect::<Vec<_>>()
    );
    for (own, their) in ours.iter().zip(&theirs).take(3) {
        assert_alike(&own.json(), &their.json(), &["target", "subDomain"]);
    }
    assert_alike(&ours[0].json(), &theirs[0].json(), &["fieldType", "ttl"]);
    interrupted(&world);
    foreign_and_refused(&world, "ovh");
}

/// Interrupted between the record that says whose another is, and that one: the next run goes on, there and back.
fn interrupted(world: &World) {
    world.recorder.break_after(Some(1));
    let broken = world.apply(&world.plan("192.0.2.1")).unwrap_err();
    assert!(broken.to_string().contains("out of order"), "{broken}");
    assert_eq!(world.recorder.values("_matou.shop").len(), 1);
    assert!(world.recorder.values("shop").is_empty());
    world.recorder.break_after(None);
    let plan = world.plan("192.0.2.1");
    assert_eq!(plan.changes.len(), 1, "{plan:?}");
    world.apply(&plan).expect("it is made");
    assert_eq!(world.recorder.values("shop"), ["192.0.2.1"]);
    world.recorder.break_after(Some(1));
    world.apply(&world.plan_removal()).unwrap_err();
    assert!(world.recorder.values("shop").is_empty());
    world.recorder.break_after(None);
    let plan = world.plan_removal();
    assert_eq!(plan.changes.len(), 1, "{plan:?}");
    world.apply(&plan).expect("it is removed");
    world.recorder.take_changes();
}

/// What somebody else made stays; a token that is not known is told in a sentence without it.
fn foreign_and_refused(world: &World, name: &str) {
    world.recorder.by_hand("shop", "198.51.100.7");
    let plan = world.plan("192.0.2.1");
    assert!(plan.changes.is_empty(), "{plan:?}");
    assert_eq!(plan.records[0].verdict, RecordVerdict::Foreign);
    assert!(world.plan_removal().changes.is_empty());
    world.recorder.forget("shop");
    // Somebody is quicker.
    let plan = world.plan("192.0.2.1");
    world.recorder.by_hand("shop", "198.51.100.8");
    let refused = world.apply(&plan).unwrap_err();
    assert!(matches!(refused, DnsError::Changed { .. }), "{refused}");
    assert_eq!(world.recorder.values("shop"), ["198.51.100.8"]);
    world.recorder.forget("shop");
    assert!(world.recorder.take_changes().is_empty());
    let wrong = connect(name, &world.recorder.url(), Some("s3cr3t-t0ken"));
    let said = world.read(&*wrong, &world.zone).map(|_| ()).unwrap_err();
    assert!(matches!(said, DnsError::Login { .. }), "{said}");
    assert!(!said.to_string().contains("s3cr3t"), "{said}");
    let elsewhere = Zone::new("example.net");
    let said = world.read(&*world.provider, &elsewhere);
    let said = said.map(|_| ()).unwrap_err();
    assert!(matches!(said, DnsError::NoZone { .. }), "{said}");
    let zones = world.runtime.block_on(world.provider.zones());
    assert_eq!(
        zones.expect("they are listed"),
        Some(vec![world.zone.clone()])
    );
}
