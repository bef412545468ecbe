//! What the palette leads to beside actions: applications, nodes, domains, volumes, stacks, snapshots.

use std::cmp::Reverse;
use std::collections::BTreeMap;

use matou_i18n::tr;

use crate::pane::Pane;
use crate::panes::{format_minute, node_state};
use crate::state::App;
use matou_model::Snapshot;

/// Snapshots that are listed at most, the newest.
const MOST_SNAPSHOTS: usize = 20;

/// From so many letters on snapshots are looked through.
const LEAST_LETTERS: usize = 2;

/// What choosing a place does.
pub(super) enum PlaceGoal {
    /// Goes to the row of a key; `below` is the key of the row that is opened for it.
    Row {
        pane: Pane,
        key: String,
        below: Option<String>,
    },
    /// Opens the form of the stack of this name.
    Stack(String),
}

/// Something that can be gone to.
pub(super) struct Place {
    /// The word for what it is.
    pub kind: &'static str,
    pub name: String,
    /// What tells it from others of its kind.
    pub about: String,
    pub goal: PlaceGoal,
}

impl Place {
    fn for_row(kind: &'static str, name: &str, about: String, (pane, key): (Pane, String)) -> Self {
        Self {
            kind,
            name: name.to_owned(),
            about,
            goal: PlaceGoal::Row {
                pane,
                key,
                below: None,
            },
        }
    }
}

/// Lists everything but snapshots, of which there may be very many.
pub(super) fn list_places(app: &App) -> Vec<Place> {
    let fleet = &app.fleet;
    let apps = fleet.list_apps().into_iter().map(|found| {
        let domain = found.services.iter().flat_map(|s| &s.domains).next();
        let domain = domain.map_or_else(String::new, |d| format!(" {d}"));
        let about = format!("{}{domain}", found.count_tasks());
        let row = (Pane::Services, format!("app/{}", found.name));
        Place::for_row(tr!("application"), found.name, about, row)
    });
    let mut places: Vec<Place> = apps.collect();
    places.extend(fleet.nodes.iter().map(|node| {
        let row = (Pane::Nodes, format!("node/{}", node.name));
        Place::for_row(tr!("node"), &node.name, node_state(fleet, node).1, row)
    }));
    places.extend(list_domain_places(app));
    for node in &fleet.nodes {
        let volumes = node.volumes.value().into_iter().flatten();
        places.extend(volumes.map(|volume| {
            let key = format!("volume/{}/{}", volume.name, node.name);
            let about = node.name.clone();
            Place::for_row(tr!("volume"), &volume.name, about, (Pane::Volumes, key))
        }));
    }
    places.extend(app.catalogue.iter().map(|entry| Place {
        kind: tr!("stack"),
        name: entry.name.clone(),
        about: format!("{}: {}", entry.title, entry.description),
        goal: PlaceGoal::Stack(entry.name.clone()),
    }));
    places
}

/// Lists the domains: each leads to its certificate, or to its application where none was read.
fn list_domain_places(app: &App) -> Vec<Place> {
    // Whose it is, and whether the pane of certificates has it.
    let mut domains: BTreeMap<&str, (Option<&str>, bool)> = BTreeMap::new();
    for service in app
        .fleet
        .swarm
        .value()
        .into_iter()
        .flat_map(|s| &s.services)
    {
        let owner = service.stack.as_deref().unwrap_or(&service.name);
        for domain in &service.domains {
            domains.entry(domain.as_str()).or_default().0 = Some(owner);
        }
    }
    for certificate in app.fleet.certificates.value().into_iter().flatten() {
        let domain = certificate.domain.as_str();
        domains.entry(domain).or_default().1 = true;
    }
    let places = domains
        .into_iter()
        .filter_map(|(domain, (owner, is_read))| {
            let row = match (is_read, owner) {
                (true, _) => (Pane::Certificates, format!("certificate/{domain}")),
                (false, Some(owner)) => (Pane::Services, format!("app/{owner}")),
                (false, None) => return None,
            };
            let about = owner.unwrap_or_default().to_owned();
            Some(Place::for_row(tr!("domain"), domain, about, row))
        });
    places.collect()
}

/// Snapshots that a text finds.
#[derive(Default)]
pub(super) struct FoundSnapshots {
    /// The newest of them.
    pub places: Vec<Place>,
    /// How many there are.
    pub count: usize,
}

/// Finds the snapshots of which each word is in the application's name, begins the id, or is in the date. Names
/// are compared once for each application, and times are written out for words that look like a date alone.
pub(super) fn search_snapshots(app: &App, typed: &str) -> FoundSnapshots {
    if typed.trim().chars().count() < LEAST_LETTERS {
        return FoundSnapshots::default();
    }
    let words: Vec<String> = typed.split_whitespace().map(str::to_lowercase).collect();
    let all = app.fleet.snapshots.value().map_or(&[][..], Vec::as_slice);
    let mut found: Vec<&Snapshot> = Vec::new();
    for group in all.chunk_by(Snapshot::is_same_group) {
        let title = group.first().map_or_else(String::new, Snapshot::title);
        let title = format!("{} {title}", tr!("snapshot")).to_lowercase();
        let left = words.iter().filter(|word| !title.contains(word.as_str()));
        let left: Vec<&String> = left.collect();
        let matching = |s: &&Snapshot| left.iter().all(|word| has_word(app, s, word));
        found.extend(group.iter().filter(matching));
    }
    let count = found.len();
    found.sort_by_key(|s| Reverse(s.at));
    found.truncate(MOST_SNAPSHOTS);
    let places = found.into_iter().map(|s| {
        let title = s.title();
        Place {
            kind: tr!("snapshot"),
            name: s.short_id().to_owned(),
            about: format!("{title} {}", format_minute(app, s.at)),
            goal: PlaceGoal::Row {
                pane: Pane::Backups,
                key: format!("snapshot/{}", s.id),
                below: Some(format!("saved/{title}")),
            },
        }
    });
    FoundSnapshots {
        places: places.collect(),
        count,
    }
}

fn has_word(app: &App, snapshot: &Snapshot, word: &str) -> bool {
    let is_date = |c: char| c.is_ascii_digit() || c == '-' || c == ':';
    snapshot.id.starts_with(word)
        || (word.chars().all(is_date) && format_minute(app, snapshot.at).contains(word))
}
