//! What `x-matou` says of an adopted application: dumps of its databases, its check.

use std::collections::BTreeMap;

use matou_i18n::tr;
use serde_yaml::{Mapping, Value};

use super::values::Written;
use crate::labels::deploy_labels;

/// What answers that an application is there, when nobody said what it answers.
const WELL: [u16; 8] = [200, 301, 302, 303, 307, 308, 401, 403];

/// Databases by the last part of their images' names, with what a dump's file is called.
const ENGINES: [(&str, &str, &str); 12] = [
    ("mariadb", "mariadb", "matou-dump.sql"),
    ("mysql", "mysql", "matou-dump.sql"),
    ("mysql-server", "mysql", "matou-dump.sql"),
    ("percona", "mysql", "matou-dump.sql"),
    ("percona-server", "mysql", "matou-dump.sql"),
    ("postgres", "postgresql", "matou-dump.sql"),
    ("postgresql", "postgresql", "matou-dump.sql"),
    ("postgis", "postgresql", "matou-dump.sql"),
    ("pgvector", "postgresql", "matou-dump.sql"),
    ("timescaledb", "postgresql", "matou-dump.sql"),
    ("mongo", "mongodb", "matou-dump.archive"),
    ("mongodb", "mongodb", "matou-dump.archive"),
];

/// Describes an application by its services.
pub(super) fn describe_app(
    app: &str,
    services: &BTreeMap<String, Mapping>,
    notes: &mut Vec<String>,
) -> Mapping {
    let mut extension = Written::default();
    extension.set("title", Some(app));
    let (mut dumps, mut domains) = (Vec::new(), Vec::new());
    for (name, service) in services {
        domains.extend(matou_model::domains_from_labels(&deploy_labels(service)));
        let image = service.get("image").and_then(Value::as_str);
        let Some((_, engine, file)) = image.and_then(find_engine) else {
            continue;
        };
        let Some(folder) = first_volume(service) else {
            notes.push(tr!(
                "{name} is {engine} without a volume of its own: it gets no dump"
            ));
            continue;
        };
        let mut dump = Written::default();
        dump.set("service", Some(name.as_str()));
        dump.set("engine", Some(engine));
        dump.set(
            "file",
            Some(format!("{}/{file}", folder.trim_end_matches('/'))),
        );
        notes.push(tr!(
            "{name} is {engine}, by its image: each backup dumps all its databases first, with the password of its own environment"
        ));
        dumps.push(Value::from(dump.0));
    }
    if !dumps.is_empty() {
        let mut backup = Written::default();
        backup.set("dumps", Some(dumps));
        extension.set("backup", Some(backup.0));
    }
    if !domains.is_empty() {
        let mut check = Written::default();
        check.set("path", Some("/"));
        let well: Vec<Value> = WELL.iter().map(|s| (*s).into()).collect();
        check.set("status", Some(well));
        extension.set("check", Some(check.0));
        notes.push(
            tr!("its check takes any of the usual answers: narrow it to what it answers").into(),
        );
    }
    extension.0
}

/// Returns whether an image is a database's, by its name: its services wait for no other of their stack.
pub fn is_database_image(image: &str) -> bool {
    find_engine(image).is_some()
}

fn find_engine(image: &str) -> Option<(&'static str, &'static str, &'static str)> {
    let name = image.rsplit('/').next()?.split([':', '@']).next()?;
    ENGINES.iter().find(|(known, ..)| *known == name).copied()
}

/// Where the first volume that the service may write to is mounted.
fn first_volume(service: &Mapping) -> Option<String> {
    let mounts = service.get("volumes")?.as_sequence()?;
    let is_data = |m: &&Value| {
        let of = |key: &str| m.get(key);
        of("type").and_then(Value::as_str) == Some("volume")
            && of("source").is_some()
            && of("read_only").is_none()
    };
    let found = mounts.iter().find(is_data)?;
    Some(found.get("target")?.as_str()?.to_owned())
}
