//! What is to be done so that a name leads where it should: only by records that matou made.

use matou_i18n::tr;
use std::collections::BTreeSet;
use std::net::IpAddr;

use serde::Serialize;

use super::caa::find_caa_warning;
use super::owner::{Ownership, owned_name, owner_name, plain_word};
use super::record::{RecordChange, RecordKind, RecordSet, Zone, ZoneRecords, plain_name};

/// A foreign record that others keep longer than this is told, seconds.
const LONG_TTL: u32 = 6 * 3600;

/// Where names are to lead, and by whom.
#[derive(Debug, Clone)]
pub struct PlanTarget {
    /// The fleet's name, by which it knows its records.
    pub fleet: String,
    /// A fleet that applications come from: its records of their names become this fleet's.
    pub predecessor: Option<String>,
    /// Addresses of the edge.
    pub addresses: BTreeSet<IpAddr>,
    /// How long others may keep a record, seconds.
    pub ttl: u32,
}

impl PlanTarget {
    /// Returns what is said of a name, with a record of the fleet before taken for this fleet's.
    fn take_over(&self, said: Ownership) -> Ownership {
        let before = self.predecessor.as_ref();
        match before.is_some_and(|fleet| said.is_of(fleet)) {
            true => Ownership {
                fleet: plain_word(&self.fleet),
                ..said
            },
            false => said,
        }
    }
}

/// Who made a record.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
#[serde(tag = "made_by", rename_all = "snake_case")]
pub enum Owner {
    /// There is none yet.
    Nobody,
    /// This fleet.
    Matou {
        /// The application that it was made for.
        app: String,
    },
    /// matou for another fleet.
    OtherFleet {
        /// Its name.
        fleet: String,
        /// The application there.
        app: String,
    },
    /// Somebody else.
    Stranger,
}

/// What becomes of a set of records.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize)]
#[serde(rename_all = "snake_case")]
pub enum RecordVerdict {
    /// Nothing: it is as it should be.
    Right,
    /// It is made.
    Make,
    /// It gets other values or another TTL.
    Change,
    /// It is removed.
    Remove,
    /// Nothing, though it is not as it should be: somebody else made it.
    Foreign,
    /// Nothing: the name goes, and somebody else made it.
    Left,
}

/// A set of records of a name.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct NameRecord {
    /// The type.
    pub kind: RecordKind,
    /// What is there.
    pub there: Option<RecordSet>,
    /// What is to be there.
    pub wanted: Option<RecordSet>,
    /// Who made what is there.
    #[serde(flatten)]
    pub owner: Owner,
    /// What becomes of it.
    pub verdict: RecordVerdict,
}

/// A name, its records, and what is changed about them.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct NamePlan {
    /// The name.
    pub name: String,
    /// Its records, and those to be made.
    pub records: Vec<NameRecord>,
    /// In this order: ownership is told before a record is made, and until it is gone.
    pub changes: Vec<RecordChange>,
    /// What else is not as it should be, each a sentence.
    pub warnings: Vec<String>,
}

/// Plans that a name of an application leads to the edge.
pub fn plan_name(
    zone: &Zone,
    name: &str,
    app: &str,
    records: &ZoneRecords,
    target: &PlanTarget,
) -> NamePlan {
    let name = plain_name(name);
    let known = Ownership::find(records, &name).map(|said| target.take_over(said));
    let mut found = Vec::new();
    for kind in [RecordKind::A, RecordKind::Aaaa] {
        found.extend(judge_record(&name, kind, records, known.as_ref(), target));
    }
    let keeps = |r: &NameRecord| {
        let is_made = r.verdict == RecordVerdict::Make;
        let is_ours = matches!(r.owner, Owner::Matou { .. }) && r.verdict != RecordVerdict::Remove;
        is_made || is_ours
    };
    let kinds: BTreeSet<RecordKind> = found.iter().filter(|r| keeps(r)).map(|r| r.kind).collect();
    let wanted = (!kinds.is_empty()).then(|| Ownership {
        fleet: target.fleet.clone(),
        // Two may share a name: it stays with the one that it was made for.
        app: known
            .as_ref()
            .filter(|o| o.is_of(&target.fleet))
            .map_or_else(|| app.to_owned(), |o| o.app.clone()),
        kinds,
    });
    let mut warnings = list_ttl_warnings(&found);
    warnings.extend(find_caa_warning(zone, &name, records));
    let ours = known.as_ref().is_none_or(|o| o.is_of(&target.fleet));
    let changes = match ours {
        true => list_changes(&name, &found, records, wanted, target.ttl),
        false => Vec::new(),
    };
    NamePlan {
        name,
        records: found,
        changes,
        warnings,
    }
}

/// Plans that what matou made of a name for this fleet goes.
pub fn plan_removal(name: &str, records: &ZoneRecords, fleet: &str) -> NamePlan {
    let name = plain_name(name);
    let known = Ownership::find(records, &name);
    let ours = known.as_ref().filter(|o| o.is_of(fleet));
    let mut found = Vec::new();
    for kind in [RecordKind::A, RecordKind::Aaaa] {
        if let Some(there) = records.find(&name, kind) {
            let (owner, _) = find_owner(kind, Some(there), known.as_ref(), fleet);
            let verdict = match &owner {
                Owner::Matou { .. } => RecordVerdict::Remove,
                _ => RecordVerdict::Left,
            };
            found.push(NameRecord {
                kind,
                there: Some(there.clone()),
                wanted: None,
                owner,
                verdict,
            });
        }
    }
    let changes = match ours {
        Some(_) => list_changes(&name, &found, records, None, 0),
        None => Vec::new(),
    };
    NamePlan {
        name,
        records: found,
        changes,
        warnings: Vec::new(),
    }
}

impl ZoneRecords {
    /// Lists the names that this fleet made records of, with the application that they were made for.
    pub fn list_owned(&self, fleet: &str) -> Vec<(String, String)> {
        let texts = self.sets.iter().filter(|set| set.kind == RecordKind::Txt);
        let owned = texts.filter_map(|set| {
            let name = owned_name(&set.name)?;
            let owner = Ownership::find(self, &name)?;
            owner.is_of(fleet).then_some((name, owner.app))
        });
        owned.collect()
    }

    /// Finds the records that answer for a name which has none: those of the nearest `*` above it. Only where all of
    /// the zone is known.
    fn find_wildcard(&self, name: &str, kind: RecordKind) -> Option<&RecordSet> {
        if !self.whole || name.starts_with("*.") || self.sets.iter().any(|s| s.name == name) {
            return None;
        }
        let mut left = name;
        while let Some((_, above)) = left.split_once('.') {
            if let Some(set) = self.find(&format!("*.{above}"), kind) {
                return Some(set);
            }
            if self.sets.iter().any(|set| set.name == above) {
                return None;
            }
            left = above;
        }
        None
    }
}

/// Returns who made a set of records, and whether that is this fleet.
fn find_owner(
    kind: RecordKind,
    there: Option<&RecordSet>,
    known: Option<&Ownership>,
    fleet: &str,
) -> (Owner, bool) {
    let said = known.filter(|o| o.kinds.contains(&kind));
    match (there, said) {
        (None, _) => (Owner::Nobody, false),
        (Some(_), Some(o)) if o.is_of(fleet) => (Owner::Matou { app: o.app.clone() }, true),
        (Some(_), Some(o)) => {
            let (fleet, app) = (o.fleet.clone(), o.app.clone());
            (Owner::OtherFleet { fleet, app }, false)
        }
        (Some(_), None) => (Owner::Stranger, false),
    }
}

/// Returns what becomes of the records of one type; `None` where none is there and none wanted.
fn judge_record(
    name: &str,
    kind: RecordKind,
    records: &ZoneRecords,
    known: Option<&Ownership>,
    target: &PlanTarget,
) -> Option<NameRecord> {
    let values: BTreeSet<String> = target
        .addresses
        .iter()
        .filter(|address| address.is_ipv4() == (kind == RecordKind::A))
        .map(ToString::to_string)
        .collect();
    let wanted =
        (!values.is_empty()).then(|| RecordSet::new(name, kind, target.ttl, values.clone()));
    let there = records.find(name, kind);
    let (owner, ours) = find_owner(kind, there, known, &target.fleet);
    let is_others = known.is_some_and(|o| !o.is_of(&target.fleet));
    let (there, owner, verdict) = match (there, &wanted) {
        (None, None) => return None,
        (None, Some(_)) => {
            if let Some(alias) = records.find(name, RecordKind::Cname) {
                (Some(alias), Owner::Stranger, RecordVerdict::Foreign)
            } else if let Some(o) = known.filter(|_| is_others) {
                let (fleet, app) = (o.fleet.clone(), o.app.clone());
                let owner = Owner::OtherFleet { fleet, app };
                (None, owner, RecordVerdict::Foreign)
            } else {
                match records.find_wildcard(name, kind) {
                    Some(any) if any.values == values => {
                        (Some(any), Owner::Stranger, RecordVerdict::Right)
                    }
                    _ => (None, owner, RecordVerdict::Make),
                }
            }
        }
        (Some(set), Some(wanted)) => {
            let same = set.values == wanted.values;
            let verdict = match (same, ours) {
                (true, true) if set.ttl != wanted.ttl => RecordVerdict::Change,
                (true, _) => RecordVerdict::Right,
                (false, true) => RecordVerdict::Change,
                (false, false) => RecordVerdict::Foreign,
            };
            (Some(set), owner, verdict)
        }
        (Some(set), None) => {
            let verdict = match ours {
                true => RecordVerdict::Remove,
                false => RecordVerdict::Foreign,
            };
            (Some(set), owner, verdict)
        }
    };
    Some(NameRecord {
        kind,
        there: there.cloned(),
        wanted,
        owner,
        verdict,
    })
}

/// Returns the changes of a name, in their order. Whoever is interrupted between two of them leaves the record that
/// says whose it is: the next run goes on.
fn list_changes(
    name: &str,
    found: &[NameRecord],
    records: &ZoneRecords,
    owner: Option<Ownership>,
    ttl: u32,
) -> Vec<RecordChange> {
    let change = |r: &NameRecord| RecordChange {
        name: name.to_owned(),
        kind: r.kind,
        before: r.there.clone(),
        after: r.wanted.clone(),
    };
    let of = |verdict: RecordVerdict| {
        let found = found.iter().filter(move |r| r.verdict == verdict);
        found.map(change).collect::<Vec<_>>()
    };
    let there = records.find(&owner_name(name), RecordKind::Txt);
    let earlier: Vec<Ownership> = there
        .into_iter()
        .flat_map(|set| &set.values)
        .filter_map(|text| Ownership::parse(text))
        .collect();
    let is_same = match &owner {
        Some(owner) => {
            let same = |said: &Ownership| said.kinds == owner.kinds && said.is_of(&owner.fleet);
            earlier.len() == 1 && earlier.iter().all(same)
        }
        None => earlier.is_empty(),
    };
    let told = (!is_same).then(|| {
        // Other texts of that name, if there are any, stay.
        let others = there.into_iter().flat_map(|set| &set.values);
        let others = others.filter(|text| Ownership::parse(text).is_none());
        let own = owner.as_ref().map(Ownership::render);
        let values: BTreeSet<String> = others.cloned().chain(own).collect();
        let name = owner_name(name);
        RecordChange {
            kind: RecordKind::Txt,
            before: there.cloned(),
            after: (!values.is_empty())
                .then(|| RecordSet::new(&name, RecordKind::Txt, ttl.max(60), values)),
            name,
        }
    });
    let grows = owner.is_some_and(|owner| {
        if earlier.iter().any(|said| !said.is_of(&owner.fleet)) {
            return true;
        }
        let known: BTreeSet<RecordKind> = earlier.into_iter().flat_map(|o| o.kinds).collect();
        !owner.kinds.is_subset(&known)
    });
    let (first, last) = match grows {
        true => (told, None),
        false => (None, told),
    };
    let mut all: Vec<RecordChange> = first.into_iter().collect();
    all.extend(of(RecordVerdict::Make));
    all.extend(of(RecordVerdict::Change));
    all.extend(of(RecordVerdict::Remove));
    all.extend(last);
    all
}

/// Warns of records that others keep for long, and that lead elsewhere now.
fn list_ttl_warnings(found: &[NameRecord]) -> Vec<String> {
    let long = found.iter().filter_map(|r| {
        let set = r.there.as_ref()?;
        let leads_elsewhere = match r.verdict {
            RecordVerdict::Change => r.wanted.as_ref().is_some_and(|w| w.values != set.values),
            RecordVerdict::Foreign | RecordVerdict::Remove => true,
            RecordVerdict::Right | RecordVerdict::Make | RecordVerdict::Left => false,
        };
        (leads_elsewhere && set.ttl > LONG_TTL).then(|| {
            tr!(
                "others may keep its {} record for {} h (TTL {} s): that long after a change they still ask {}",
                set.kind,
                set.ttl / 3600,
                set.ttl,
                set.shown_values()
            )
        })
    });
    long.collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    const NAME: &str = "shop.example.org";

    fn target(addresses: &[&str]) -> PlanTarget {
        PlanTarget {
            fleet: "f".into(),
            predecessor: None,
            addresses: addresses.iter().map(|a| a.parse().unwrap()).collect(),
            ttl: 300,
        }
    }

    fn records(list: &[(&str, RecordKind, u32, &str)]) -> ZoneRecords {
        let mut records = ZoneRecords::default();
        for (name, kind, ttl, value) in list {
            records.add(name, *kind, *ttl, (*value).to_owned());
        }
        records.whole = true;
        records
    }

    fn plan(list: &[(&str, RecordKind, u32, &str)], addresses: &[&str]) -> NamePlan {
        let zone = Zone::new("example.org");
        plan_name(&zone, NAME, "shop", &records(list), &target(addresses))
    }

    fn shown(plan: &NamePlan) -> Vec<String> {
        let changes = plan.changes.iter().map(|c| {
            let values = |set: &Option<RecordSet>| {
                set.as_ref()
                    .map(RecordSet::shown_values)
                    .unwrap_or_default()
            };
            let (before, after) = (values(&c.before), values(&c.after));
            format!("{} {}: {before} -> {after}", c.name, c.kind)
        });
        changes.collect()
    }

    const OURS: &str = "heritage=matou,fleet=f,app=shop,types=A";
    const OWNER: (&str, RecordKind, u32, &str) =
        ("_matou.shop.example.org", RecordKind::Txt, 300, OURS);

    #[test]
    fn a_new_name_gets_its_record_after_the_one_that_says_whose_it_is() {
        let made = plan(&[], &["192.0.2.1"]);
        let told = format!("_matou.{NAME} TXT:  -> {OURS}");
        assert_eq!(shown(&made), [told, format!("{NAME} A:  -> 192.0.2.1")]);
        // Killed between the two.
        assert_eq!(
            shown(&plan(&[OWNER], &["192.0.2.1"])),
            [format!("{NAME} A:  -> 192.0.2.1")]
        );
        let there = [OWNER, (NAME, RecordKind::A, 300, "192.0.2.1")];
        let done = plan(&there, &["192.0.2.1"]);
        assert!(done.changes.is_empty() && done.records[0].verdict == RecordVerdict::Right);
    }

    #[test]
    fn only_own_records_are_changed() {
        let old = (NAME, RecordKind::A, 300, "192.0.2.9");
        let moved = plan(&[OWNER, old], &["192.0.2.1"]);
        assert_eq!(shown(&moved), [format!("{NAME} A: 192.0.2.9 -> 192.0.2.1")]);
        let foreign = plan(&[old], &["192.0.2.1"]);
        assert!(foreign.changes.is_empty());
        assert_eq!(foreign.records[0].verdict, RecordVerdict::Foreign);
        assert_eq!(foreign.records[0].owner, Owner::Stranger);
        let right = plan(&[(NAME, RecordKind::A, 9, "192.0.2.1")], &["192.0.2.1"]);
        assert!(right.changes.is_empty());
        assert_eq!(right.records[0].verdict, RecordVerdict::Right);
        // Another fleet's, and an alias.
        let theirs = OURS.replace("fleet=f", "fleet=g");
        let theirs = ("_matou.shop.example.org", RecordKind::Txt, 300, &*theirs);
        for list in [
            &[theirs, old][..],
            &[theirs],
            &[(NAME, RecordKind::Cname, 300, "elsewhere.example.net")],
        ] {
            let other = plan(list, &["192.0.2.1", "2001:db8::1"]);
            assert!(other.changes.is_empty(), "{other:?}");
            assert!(
                other
                    .records
                    .iter()
                    .all(|r| r.verdict == RecordVerdict::Foreign),
                "{other:?}"
            );
        }
    }

    #[test]
    fn a_fleet_that_applications_move_to_takes_their_records_over() {
        let theirs = OURS.replace("fleet=f", "fleet=old");
        let there = records(&[
            ("_matou.shop.example.org", RecordKind::Txt, 300, &theirs),
            (NAME, RecordKind::A, 300, "192.0.2.9"),
        ]);
        let zone = Zone::new("example.org");
        let mut new = target(&["192.0.2.1"]);
        assert!(
            plan_name(&zone, NAME, "shop", &there, &new)
                .changes
                .is_empty()
        );
        new.predecessor = Some("old".into());
        assert_eq!(
            shown(&plan_name(&zone, NAME, "shop", &there, &new)),
            [
                format!("_matou.{NAME} TXT: {theirs} -> {OURS}"),
                format!("{NAME} A: 192.0.2.9 -> 192.0.2.1")
            ]
        );
        // Both lead to the same place: only whose it is changes.
        let same = target(&["192.0.2.9"]);
        let same = PlanTarget {
            predecessor: Some("old".into()),
            ..same
        };
        let plan = plan_name(&zone, NAME, "shop", &there, &same);
        assert_eq!(plan.changes.len(), 1, "{plan:?}");
    }

    #[test]
    fn a_foreign_record_of_another_type_stays() {
        let foreign = (NAME, RecordKind::Aaaa, 300, "2001:db8::9");
        let made = plan(&[foreign], &["192.0.2.1"]);
        assert_eq!(made.changes.len(), 2, "{made:?}");
        assert_eq!(made.records[1].verdict, RecordVerdict::Foreign);
        let there = [OWNER, (NAME, RecordKind::A, 300, "192.0.2.1"), foreign];
        let gone = plan_removal(NAME, &records(&there), "f");
        assert_eq!(
            shown(&gone),
            [
                format!("{NAME} A: 192.0.2.1 -> "),
                format!("_matou.{NAME} TXT: {OURS} -> ")
            ]
        );
        assert!(plan_removal(NAME, &records(&there), "g").changes.is_empty());
        // An address of the other family comes and goes, with what is said of it.
        let both = plan(&there[..2], &["192.0.2.1", "2001:db8::1"]);
        assert_eq!(both.changes.len(), 2, "{both:?}");
        assert_eq!(both.changes[0].kind, RecordKind::Txt);
    }

    #[test]
    fn a_wildcard_of_others_may_lead_here_already() {
        let any = ("*.example.org", RecordKind::A, 300, "192.0.2.1");
        assert!(plan(&[any], &["192.0.2.1"]).changes.is_empty());
        assert_eq!(plan(&[any], &["192.0.2.2"]).changes.len(), 2);
        // It does not answer for a name that has another record.
        let text = (NAME, RecordKind::Txt, 300, "x");
        assert_eq!(plan(&[any, text], &["192.0.2.1"]).changes.len(), 2);
    }

    #[test]
    fn what_others_keep_for_long_is_told() {
        let old = (NAME, RecordKind::A, 86400, "192.0.2.9");
        let said = plan(&[OWNER, old], &["192.0.2.1"]).warnings;
        assert!(said[0].contains("for 24 h (TTL 86400 s)"), "{said:?}");
        assert!(plan(&[OWNER, old], &["192.0.2.9"]).warnings.is_empty());
    }
}
