//! Names of applications in DNS, at real name servers: BIND and Knot.

mod fleet;
mod providers;
mod recorder;
mod servers;
#[path = "../support/mod.rs"]
mod support;

use matou::dns::{
    DnsError, NamePlan, Owner, PlanTarget, Provider, RecordVerdict, Zone, ZoneRecords, plan_name,
    plan_removal,
};
use servers::{Kind, Server};

/// The zone, and where its names are to lead.
struct World {
    server: Server,
    zone: Zone,
    runtime: tokio::runtime::Runtime,
}

impl World {
    fn new(kind: Kind) -> Self {
        Self {
            server: Server::start(kind),
            zone: Zone::new("example.org"),
            runtime: tokio::runtime::Runtime::new().expect("a runtime"),
        }
    }

    fn try_read(&self, name: &str) -> Result<ZoneRecords, DnsError> {
        let provider = self.server.provider(&self.server.key());
        let names = [name.to_owned()];
        let asked = provider.records(&self.zone, &names);
        self.runtime.block_on(asked)
    }

    fn plan(&self, name: &str, addresses: &[&str]) -> NamePlan {
        let records = self.try_read(name).expect("the zone is read");
        assert_eq!(records.whole, self.server.kind == Kind::Bind);
        let target = PlanTarget {
            fleet: "f".into(),
            predecessor: None,
            addresses: addresses.iter().map(|a| a.parse().unwrap()).collect(),
            ttl: 120,
        };
        plan_name(&self.zone, name, "shop", &records, &target)
    }

    fn plan_removal(&self, name: &str) -> NamePlan {
        plan_removal(name, &self.try_read(name).expect("it is read"), "f")
    }

    fn try_apply(&self, plan: &NamePlan) -> Result<(), DnsError> {
        let provider = self.server.provider(&self.server.key());
        let made = provider.apply(&self.zone, &plan.changes);
        self.runtime.block_on(made)
    }

    fn apply(&self, plan: &NamePlan) {
        assert!(!plan.changes.is_empty(), "there is nothing to do: {plan:?}");
        self.try_apply(plan).expect("the changes are made");
    }
}

#[test]
fn records_are_made_changed_and_removed_at_bind() {
    let world = World::new(Kind::Bind);
    own_records(&world);
    foreign_records(&world);
    interrupted(&world);
    somebody_is_quicker(&world);
    wrong_keys(&world);
}

#[test]
fn records_are_made_changed_and_removed_at_knot() {
    let world = World::new(Kind::Knot);
    own_records(&world);
    foreign_records(&world);
    interrupted(&world);
    somebody_is_quicker(&world);
    wrong_keys(&world);
}

const NAME: &str = "shop.example.org";
const OWNER: &str = "_matou.shop.example.org";

fn own_records(world: &World) {
    let server = &world.server;
    world.apply(&world.plan(NAME, &["192.0.2.1", "192.0.2.2", "2001:db8::1"]));
    let mut found = server.dig(NAME, "A");
    found.sort();
    assert_eq!(found, ["192.0.2.1", "192.0.2.2"]);
    assert_eq!(server.dig(NAME, "AAAA"), ["2001:db8::1"]);
    assert_eq!(
        server.dig(OWNER, "TXT"),
        ["\"heritage=matou,fleet=f,app=shop,types=A+AAAA\""]
    );
    // Twice changes nothing.
    let again = world.plan(NAME, &["192.0.2.2", "192.0.2.1", "2001:db8::1"]);
    assert!(again.changes.is_empty(), "{again:?}");
    // Another address, and none of the other family any more.
    world.apply(&world.plan(NAME, &["192.0.2.7"]));
    assert_eq!(server.dig(NAME, "A"), ["192.0.2.7"]);
    assert!(server.dig(NAME, "AAAA").is_empty());
    assert_eq!(
        server.dig(OWNER, "TXT"),
        ["\"heritage=matou,fleet=f,app=shop,types=A\""]
    );
    let other = world.plan(NAME, &["192.0.2.7"]);
    assert!(other.changes.is_empty(), "{other:?}");
    world.apply(&world.plan_removal(NAME));
    assert!(server.dig(NAME, "A").is_empty() && server.dig(OWNER, "TXT").is_empty());
    assert!(world.plan_removal(NAME).changes.is_empty());
    // The names of the zone itself, and of all below a name.
    for name in ["example.org", "*.apps.example.org"] {
        world.apply(&world.plan(name, &["192.0.2.1"]));
        assert_eq!(server.dig(name, "A"), ["192.0.2.1"]);
        world.apply(&world.plan_removal(name));
        assert!(server.dig(name, "A").is_empty());
    }
}

fn foreign_records(world: &World) {
    let server = &world.server;
    let manual = "manual.example.org";
    let plan = world.plan(manual, &["192.0.2.1"]);
    assert!(plan.changes.is_empty(), "{plan:?}");
    assert_eq!(plan.records[0].verdict, RecordVerdict::Foreign);
    assert_eq!(plan.records[0].owner, Owner::Stranger);
    assert!(plan.warnings[0].contains("for 24 h"), "{plan:?}");
    assert!(world.plan_removal(manual).changes.is_empty());
    // It leads here already: nothing is to do, and it is not matou's.
    let right = world.plan(manual, &["192.0.2.99"]);
    assert!(right.changes.is_empty() && right.records[0].verdict == RecordVerdict::Right);
    assert_eq!(server.dig(manual, "A"), ["192.0.2.99"]);
    let alias = world.plan("alias.example.org", &["192.0.2.1"]);
    assert!(alias.changes.is_empty(), "{alias:?}");
    assert_eq!(alias.records[0].verdict, RecordVerdict::Foreign);
    let closed = world.plan("www.closed.example.org", &["192.0.2.1"]);
    assert!(
        closed.warnings[0].starts_with("CAA of closed.example.org lets ca.example"),
        "{closed:?}"
    );
}

/// Killed between the record that says whose another is, and that one: on the way there, and back.
fn interrupted(world: &World) {
    let server = &world.server;
    let half = "half.example.org";
    let text = "\"heritage=matou,fleet=f,app=shop,types=A\"";
    server.by_hand(&format!("update add _matou.{half} 120 TXT {text}"));
    let plan = world.plan(half, &["192.0.2.1"]);
    assert_eq!(plan.changes.len(), 1, "{plan:?}");
    world.apply(&plan);
    assert_eq!(server.dig(half, "A"), ["192.0.2.1"]);
    server.by_hand(&format!("update delete {half} A"));
    let plan = world.plan_removal(half);
    assert_eq!(plan.changes.len(), 1, "{plan:?}");
    world.apply(&plan);
    assert!(server.dig(&format!("_matou.{half}"), "TXT").is_empty());
}

/// What was planned on another record is not made, not even in part.
fn somebody_is_quicker(world: &World) {
    let server = &world.server;
    let name = "raced.example.org";
    let plan = world.plan(name, &["192.0.2.1"]);
    server.by_hand(&format!("update add {name} 60 A 192.0.2.50"));
    let refused = world.try_apply(&plan).unwrap_err();
    assert!(matches!(refused, DnsError::Changed { .. }), "{refused}");
    assert_eq!(server.dig(name, "A"), ["192.0.2.50"]);
    assert!(server.dig(&format!("_matou.{name}"), "TXT").is_empty());
    server.by_hand(&format!("update delete {name} A"));
    world.apply(&plan);
    let plan = world.plan(name, &["192.0.2.2"]);
    server.by_hand(&format!(
        "update delete {name} A\nupdate add {name} 60 A 192.0.2.60"
    ));
    let refused = world.try_apply(&plan).unwrap_err();
    assert!(
        refused.to_string().contains("changed by somebody else"),
        "{refused}"
    );
    assert_eq!(server.dig(name, "A"), ["192.0.2.60"]);
}

/// A key that the server does not know, one of another content, one that may change nothing there, and none.
fn wrong_keys(world: &World) {
    use secrecy::SecretString;
    let server = &world.server;
    let names = [NAME.to_owned()];
    let mut other = server.key();
    other.secret = SecretString::from("d3Jvbmcgd3Jvbmcgd3Jvbmcgd3Jvbmcgd3Jvbmch");
    let mut unknown = server.key();
    unknown.name = "nobody".into();
    for (key, wanted) in [
        (other, "its key of this name is another one"),
        (unknown, "it has no key of this name and algorithm"),
    ] {
        let provider = server.provider(&key);
        let read = world
            .runtime
            .block_on(provider.records(&world.zone, &names));
        let said = read.map(|_| ()).unwrap_err().to_string();
        assert!(
            said.contains("does not take the key") && said.contains(wanted),
            "{said}"
        );
    }
    let provider = server.provider(&server.key());
    let elsewhere = Zone::new("example.net");
    let foreign = ["a.example.net".to_owned()];
    let read = provider.records(&elsewhere, &foreign);
    let said = world.runtime.block_on(read).map(|_| ()).unwrap_err();
    assert!(said.to_string().contains("example.net"), "{said}");
    let mut no_key = server.key();
    no_key.secret = SecretString::from("this is no base64");
    let said = matou::dns::NameServer::new(&server.place(), &no_key);
    let said = said.map(|_| ()).unwrap_err().to_string();
    assert!(said.contains("the key is no base64"), "{said}");
    assert!(!said.contains("this is no base64;"), "{said}");
    let nobody = matou::dns::NameServer::new("127.0.0.1:9", &server.key()).expect("a key");
    let read = world.runtime.block_on(nobody.records(&world.zone, &names));
    let said = read.map(|_| ()).unwrap_err();
    assert!(said.is_unreachable(), "{said}");
}
