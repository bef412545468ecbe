//! Which part of a snapshot goes where. Files are put in place as they are. Of a database server
//! only the dump is used: the files of a running server are not consistent.

use matou_i18n::tr;
use std::collections::BTreeMap;
use std::path::{Path, PathBuf};

use serde_yaml::Value;

use super::database::{DumpLoad, database_data_folder};
use super::source::RestoreSource;
use crate::{FleetContext, OpsError};
use matou_stack::{AppFile, Dump, DumpEngine, RenderTarget, external_volume_name};

/// A volume, or a file or folder in one.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct RestorePart {
    /// The volume's name, as the engine of this fleet will know it.
    pub volume: String,
    /// The node that has it, when that is another one than the storage node.
    pub node: Option<String>,
    /// Path in the snapshot.
    pub from: String,
    /// Where it belongs on its node.
    pub live: PathBuf,
    /// The volume's folder on its node. Containers may have made anything below it.
    pub folder: PathBuf,
    pub kind: PartKind,
}

#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) enum PartKind {
    /// Files as they were backed up. Each pair is a consistent copy of an SQLite database and the
    /// file that it replaces, both as paths in the snapshot.
    Files(Vec<(String, String)>),
    /// A new data folder into which the dumps are loaded.
    Database(Vec<DumpLoad>),
}

impl RestorePart {
    /// What is needed of the snapshot.
    pub(crate) fn snapshot_paths(&self) -> Vec<String> {
        match &self.kind {
            PartKind::Files(copies) => {
                // A copy that lies elsewhere is wanted too.
                let outside = copies.iter().map(|(copy, _)| copy.clone());
                let outside = outside.filter(|c| !Path::new(c).starts_with(&self.from));
                std::iter::once(self.from.clone()).chain(outside).collect()
            }
            PartKind::Database(loads) => loads.iter().map(|l| l.dump.clone()).collect(),
        }
    }

    pub(crate) fn dump_loads(&self) -> &[DumpLoad] {
        match &self.kind {
            PartKind::Database(loads) => loads,
            PartKind::Files(_) => &[],
        }
    }
}

/// Parses the volumes that each service of a rendered stack mounts. Returns, for each service,
/// pairs of the volume's name in Docker and its path in the container.
pub(crate) fn parse_stack_mounts(app: &str, yaml: &str) -> BTreeMap<String, Vec<(String, String)>> {
    let compose: Value = serde_yaml::from_str(yaml).unwrap_or_default();
    let name = |key: &str| {
        let volume = compose.get("volumes").and_then(|v| v.get(key));
        let external = volume.and_then(|v| external_volume_name(key, v));
        let named = || volume.and_then(|v| v.get("name")?.as_str().map(str::to_owned));
        let name = external.or_else(named);
        name.unwrap_or_else(|| format!("{app}_{key}"))
    };
    let mount = |entry: &Value| -> Option<(String, String)> {
        let (source, target) = match entry {
            Value::String(text) => {
                let mut parts = text.split(':');
                (parts.next()?.to_owned(), parts.next()?.to_owned())
            }
            other => {
                let text = |key: &str| Some(other.get(key)?.as_str()?.to_owned());
                (text("source")?, text("target")?)
            }
        };
        let named = !source.is_empty() && !source.starts_with(['/', '.', '~']);
        named.then(|| (name(&source), target))
    };
    let services = compose.get("services").and_then(Value::as_mapping);
    services
        .into_iter()
        .flatten()
        .map(|(service, spec)| {
            let volumes = spec.get("volumes").and_then(Value::as_sequence);
            let mounts = volumes.into_iter().flatten().filter_map(mount).collect();
            (service.as_str().unwrap_or_default().to_owned(), mounts)
        })
        .collect()
}

/// Returns where each service of an application mounts its volumes, as its stack says.
pub(super) fn render_app_mounts(
    fleet: &FleetContext,
    app: &str,
    file: &AppFile,
) -> Result<BTreeMap<String, Vec<(String, String)>>, OpsError> {
    let target = RenderTarget::for_app(&fleet.config, file);
    let rendered = fleet
        .catalogue
        .render_stack(&file.stack, app, &file.variables, &target)?;
    Ok(parse_stack_mounts(app, &rendered.yaml))
}

/// The volume that holds a path of a container, and the rest of the path.
pub(crate) fn find_holding_volume<'a>(
    mounts: &'a [(String, String)],
    path: &str,
) -> Option<(&'a str, PathBuf)> {
    mounts
        .iter()
        .filter_map(|(volume, at)| {
            let rest = Path::new(path).strip_prefix(at).ok()?;
            Some((volume.as_str(), rest.to_owned()))
        })
        .min_by_key(|(_, rest)| rest.components().count())
}

/// Plans what each volume of an application is restored from.
///
/// `folders` are the volumes on this fleet and where they lie; `renamed` turns a volume's name in
/// the snapshot into the one here. Returns the parts, and notes for the operator.
pub(super) fn plan_restore_parts(
    source: &RestoreSource,
    dumps: &[Dump],
    mounts: &BTreeMap<String, Vec<(String, String)>>,
    folders: &BTreeMap<String, PathBuf>,
    renamed: impl Fn(&str) -> String,
) -> (Vec<RestorePart>, Vec<String>) {
    let mut notes = Vec::new();
    let mut parts: Vec<RestorePart> = Vec::new();
    for (name, from) in source.volume_folders() {
        let volume = renamed(&name);
        let Some(live) = folders.get(&volume) else {
            notes.push(tr!(
                "the snapshot's volume {name} is none of the application any more: it is left out"
            ));
            continue;
        };
        parts.push(RestorePart {
            volume,
            node: None,
            from,
            live: live.clone(),
            folder: live.clone(),
            kind: PartKind::Files(Vec::new()),
        });
    }
    for path in source.bound_paths() {
        let app = &source.app;
        notes.push(tr!(
            "{path}, which a service mounts by its path, stays as it is: `matou restore {app} --path {path} --into FOLDER` takes it out of the snapshot"
        ));
    }
    for name in folders.keys() {
        if !parts.iter().any(|p| p.volume == *name) {
            notes.push(tr!(
                "the snapshot does not hold the volume {name}: it stays as it is"
            ));
        }
    }
    let in_snapshot = |service: &str, file: &str| {
        let manifest = source.manifest.as_ref()?;
        let dumps = manifest.dumps.iter();
        let mut dumps = dumps.filter(|d| d.service == service && d.file == file);
        Some(dumps.next()?.path.display().to_string())
    };
    for dump in dumps {
        let Some(path) = in_snapshot(&dump.service, &dump.file) else {
            notes.push(tr!(
                "the snapshot holds no dump of {}: its files are taken as they were copied while it ran",
                dump.service
            ));
            continue;
        };
        let mounted = mounts.get(&dump.service).map_or(&[][..], Vec::as_slice);
        if let Some(note) = assign_dump(&mut parts, dump, path, mounted) {
            notes.push(note);
        }
    }
    (parts, notes)
}

/// The part of a volume that a dump belongs to. Of several nodes that have one of that name, it is the one that
/// holds the dump.
fn find_part<'a>(
    parts: &'a mut [RestorePart],
    volume: &str,
    dump: &str,
) -> Option<&'a mut RestorePart> {
    let holds = |p: &RestorePart| p.volume == volume && Path::new(dump).starts_with(&p.from);
    let at = parts.iter().position(holds);
    let at = at.or_else(|| parts.iter().position(|p| p.volume == volume))?;
    parts.get_mut(at)
}

/// Assigns a dump to the part whose data it is. Returns a note for the operator if it is not
/// loaded.
fn assign_dump(
    parts: &mut [RestorePart],
    dump: &Dump,
    path: String,
    mounted: &[(String, String)],
) -> Option<String> {
    let service = &dump.service;
    match dump.loading_engine() {
        Some(DumpEngine::Sqlite) => {
            let database = dump.database.as_deref()?;
            let (volume, rest) = find_holding_volume(mounted, database)?;
            let part = find_part(parts, volume, &path)?;
            let replaced = Path::new(&part.from).join(rest).display().to_string();
            if let PartKind::Files(copies) = &mut part.kind {
                copies.push((path, replaced));
            }
            None
        }
        Some(engine) => {
            let data = database_data_folder(engine)?;
            let at = mounted
                .iter()
                .find(|(_, at)| Path::new(at).starts_with(data));
            let part = at.and_then(|(v, _)| find_part(parts, v, &path));
            let (Some((_, target)), Some(part)) = (at, part) else {
                return Some(tr!(
                    "{service} has no volume at {data}: its dump is not loaded"
                ));
            };
            let load = DumpLoad {
                service: service.clone(),
                engine,
                database: dump.database.clone(),
                user: dump.user.clone(),
                secret: dump.secret.clone(),
                dump: path,
                target: target.clone(),
            };
            match &mut part.kind {
                PartKind::Database(loads) => loads.push(load),
                kind => *kind = PartKind::Database(vec![load]),
            }
            None
        }
        None => Some(match &dump.restore {
            Some(restore) => tr!(
                "the dump of {service} is restored as a file: `{restore}` in its container loads it"
            ),
            None => tr!("the dump of {service} is restored as a file"),
        }),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const STACK: &str = "services:\n  web:\n    volumes: ['files:/srv/files', {type: volume, source: own, target: /own}, 'theirs:/theirs', '/etc:/etc:ro']\n  db:\n    volumes: ['db:/var/lib/mysql']\n  git:\n    volumes: ['git:/data']\nvolumes:\n  files:\n  db:\n  git:\n  own: {name: fixed}\n  theirs: {external: true}\n";

    #[test]
    fn volumes_are_found_where_services_mount_them() {
        let found = parse_stack_mounts("shop", STACK);
        assert_eq!(
            found["web"],
            [
                ("shop_files".to_owned(), "/srv/files".to_owned()),
                ("fixed".to_owned(), "/own".to_owned()),
                ("theirs".to_owned(), "/theirs".to_owned())
            ]
        );
        let (volume, rest) = find_holding_volume(&found["git"], "/data/gitea/gitea.db").unwrap();
        assert_eq!(
            (volume, rest.to_str()),
            ("shop_git", Some("gitea/gitea.db"))
        );
        assert!(find_holding_volume(&found["git"], "/var/x").is_none());
    }

    #[test]
    fn a_servers_dump_wins_over_its_files_and_a_copy_over_the_live_sqlite_file() {
        let part = |volume: &str| RestorePart {
            volume: volume.into(),
            node: None,
            from: format!("/mnt/data/{volume}"),
            live: format!("/srv/{volume}").into(),
            folder: format!("/srv/{volume}").into(),
            kind: PartKind::Files(Vec::new()),
        };
        let mut parts = [part("shop_db"), part("shop_git")];
        let found = parse_stack_mounts("shop", STACK);
        let dump = |service: &str, engine, database: &str| Dump {
            service: service.into(),
            engine: Some(engine),
            database: Some(database.into()),
            user: None,
            secret: None,
            command: None,
            restore: None,
            file: String::new(),
        };
        let mysql = dump("db", DumpEngine::Mysql, "shop");
        let path = "/mnt/data/shop_db/matou-dump.sql".to_owned();
        assert_eq!(
            assign_dump(&mut parts, &mysql, path.clone(), &found["db"]),
            None
        );
        assert_eq!(parts[0].snapshot_paths(), [path]);
        assert_eq!(parts[0].dump_loads()[0].target, "/var/lib/mysql");
        let sqlite = dump("git", DumpEngine::Sqlite, "/data/gitea/gitea.db");
        let path = "/mnt/data/shop_git/copy.sqlite3".to_owned();
        assert_eq!(
            assign_dump(&mut parts, &sqlite, path.clone(), &found["git"]),
            None
        );
        assert_eq!(parts[1].snapshot_paths(), ["/mnt/data/shop_git"]);
        let copy = (path, "/mnt/data/shop_git/gitea/gitea.db".to_owned());
        assert_eq!(parts[1].kind, PartKind::Files(vec![copy]));
    }
}
