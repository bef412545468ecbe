//! What `x-matou` says of an adopted application: dumps of its databases, its check.

use std::collections::BTreeMap;

use matou_i18n::tr;
use serde_yaml::{Mapping, Value};

use super::values::Written;
use crate::labels::deploy_labels;

/// What answers that an application is there, when nobody said what it answers.
const WELL: [u16; 8] = [200, 301, 302, 303, 307, 308, 401, 403];

/// Databases by the last part of their images' names, with what a dump's file is called.
const ENGINES: [(&str, &str, &str); 13] = [
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
    ("timescaledb-ha", "postgresql", "matou-dump.sql"),
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

#[cfg(test)]
mod tests {
    use super::*;

    /// What is found of services of a stack file.
    fn describe_text(text: &str) -> (Value, Vec<String>) {
        let services: BTreeMap<String, Mapping> = serde_yaml::from_str(text).unwrap();
        let mut notes = Vec::new();
        let found = describe_app("shop", &services, &mut notes);
        (Value::from(found), notes)
    }

    #[test]
    fn databases_are_known_by_their_images() {
        for (image, wanted) in [
            ("mariadb", "mariadb"),
            ("mariadb:11", "mariadb"),
            ("mariadb@sha256:0123", "mariadb"),
            ("mariadb:11@sha256:0123", "mariadb"),
            ("linuxserver/mariadb:latest", "mariadb"),
            ("docker.io/library/mysql:8.4", "mysql"),
            ("mysql/mysql-server:8.0", "mysql"),
            ("percona:8", "mysql"),
            ("percona/percona-server:8.0@sha256:0123", "mysql"),
            ("registry.example.org:5000/postgres", "postgresql"),
            (
                "registry.example.org:5000/db/postgres:16-alpine@sha256:0123",
                "postgresql",
            ),
            ("ghcr.io/immich-app/postgres:14-vectorchord", "postgresql"),
            ("bitnami/postgresql:16", "postgresql"),
            ("postgis/postgis:16-3.4", "postgresql"),
            ("pgvector/pgvector:pg16", "postgresql"),
            ("timescale/timescaledb:2.17.2-pg16", "postgresql"),
            ("timescale/timescaledb-ha:pg16", "postgresql"),
            ("mongo:7@sha256:0123", "mongodb"),
            ("bitnami/mongodb:7.0", "mongodb"),
        ] {
            let text = format!(
                "db: {{image: '{image}', volumes: [{{type: volume, source: data, target: /data/}}]}}"
            );
            let (found, notes) = describe_text(&text);
            let dump = &found["backup"]["dumps"][0];
            assert_eq!(dump["service"], "db", "{image}");
            assert_eq!(dump["engine"], wanted, "{image}");
            let file = match wanted {
                "mongodb" => "/data/matou-dump.archive",
                _ => "/data/matou-dump.sql",
            };
            assert_eq!(dump["file"], file, "{image}");
            assert_eq!(notes.len(), 1, "{image}: {notes:?}");
            assert!(is_database_image(image), "{image}");
        }
        for image in [
            "",
            "mariadb/",
            "phpmyadmin:5",
            "mysql/mysql-router:8.0",
            "postgres.example.org/web:1",
            "prometheuscommunity/postgres-exporter:v0.15.0",
            "mongo-express:1",
        ] {
            assert!(!is_database_image(image), "{image}");
        }
    }

    #[test]
    fn a_dump_lies_in_a_volume_that_the_database_may_write_to() {
        let (found, _) = describe_text(
            "db:
  image: postgres:16
  volumes:
    - {type: bind, source: /srv/conf, target: /conf}
    - {type: volume, source: seed, target: /seed, read_only: true}
    - {type: volume, target: /nameless}
    - {type: volume, source: data, target: /var/lib/postgresql/data}
",
        );
        assert_eq!(
            found["backup"]["dumps"][0]["file"],
            "/var/lib/postgresql/data/matou-dump.sql"
        );
        let (found, notes) = describe_text("db: {image: 'postgres:16'}");
        assert!(found.get("backup").is_none(), "{found:?}");
        assert!(
            notes[0].contains("without a volume of its own"),
            "{notes:?}"
        );
    }

    #[test]
    fn an_application_with_domains_is_checked() {
        for labels in [
            "traefik.http.routers.a.rule: Host(`a.example`) && PathPrefix(`/x`)",
            "traefik.http.routers.a.rule: Host(`a.example`, `b.example`)",
            "traefik.frontend.rule: 'Host:a.example,b.example;PathPrefix:/x'",
            "traefik.shop.frontend.rule: 'Host:a.example'",
        ] {
            let labels: Value = serde_yaml::from_str(labels).unwrap();
            let mut deploy = Mapping::new();
            deploy.insert("labels".into(), labels.clone());
            let mut web = Mapping::new();
            web.insert("deploy".into(), deploy.into());
            let services = BTreeMap::from([("web".to_owned(), web)]);
            let mut notes = Vec::new();
            let found = Value::from(describe_app("shop", &services, &mut notes));
            assert_eq!(found["title"], "shop");
            assert_eq!(found["check"]["path"], "/", "{labels:?}");
            let status = found["check"]["status"].as_sequence().unwrap();
            assert!(status.contains(&200_u16.into()) && status.contains(&401_u16.into()));
            assert!(notes[0].contains("narrow it"), "{notes:?}");
        }
        let labels = "{traefik.http.routers.a.rule: 'HostRegexp(`.+`)'}";
        let (found, _) = describe_text(&format!("web: {{deploy: {{labels: {labels}}}}}"));
        assert!(found.get("check").is_none(), "{found:?}");
    }
}
