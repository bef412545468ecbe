//! How far a stack file reaches: names that would become paths, folders of the nodes, matou's own
//! files. A stack file may be anybody's, from the internet; what gives a container the node is told, and
//! what it has no business with is refused.

use std::path::{Component, Path, PathBuf};

use serde_yaml::{Mapping, Value};

use super::extension::Extension;
use super::lint::section;
use crate::config::StorageConfig;
use crate::text::clean;

/// Largest stack file, bytes.
pub(super) const LARGEST: u64 = 1 << 20;

/// Deepest nesting of brackets; the parser's time grows with its square.
const DEEPEST: i64 = 1_000;

/// Longest name, as of a volume.
const LONGEST: usize = 128;

/// Folders of a node that are matou's, beside the one beside the data.
const OURS: [&str; 3] = ["/etc/matou", "/run/matou", "/var/lib/matou"];

/// Capabilities with which a container is not confined any more.
/// Source: capabilities(7).
const POWERS: [&str; 9] = [
    "ALL",
    "SYS_ADMIN",
    "SYS_MODULE",
    "SYS_PTRACE",
    "SYS_RAWIO",
    "DAC_READ_SEARCH",
    "NET_ADMIN",
    "BPF",
    "MKNOD",
];

/// Where something is in the file, and a sentence.
pub(super) type Said = (Vec<String>, String);

/// Whether text is small and flat enough to be parsed.
///
/// # Errors
/// One sentence.
pub(super) fn bounded(text: &str) -> Result<(), String> {
    if text.len() as u64 > LARGEST {
        return Err(format!("it is larger than {} KiB", LARGEST >> 10));
    }
    let mut depth = 0_i64;
    for byte in text.bytes() {
        match byte {
            b'[' | b'{' => depth += 1,
            b']' | b'}' => depth = (depth - 1).max(0),
            _ => continue,
        }
        if depth > DEEPEST {
            return Err(format!("its brackets are nested more than {DEEPEST} deep"));
        }
    }
    Ok(())
}

/// Refuses names that would leave their folder, and what is matou's own.
///
/// # Errors
/// The place of the first, and a sentence.
pub(super) fn check(
    extension: &Extension,
    file: &Mapping,
    storage: &StorageConfig,
) -> Result<(), Said> {
    let at = |path: &[&str], message: String| {
        Err((path.iter().map(|p| (*p).to_owned()).collect(), message))
    };
    for kind in ["services", "volumes", "networks", "secrets", "configs"] {
        for (key, entry) in section(file, kind) {
            let named = entry.get("name").and_then(Value::as_str);
            for name in [Some(key), named].into_iter().flatten() {
                if !is_name(name) {
                    return at(&[kind, key], no_name(name));
                }
            }
        }
    }
    for spec in &extension.secrets {
        if !is_name(&spec.name) {
            return at(&["x-matou", "secrets"], no_name(&spec.name));
        }
    }
    for dump in &extension.backup.dumps {
        let path = Path::new(&dump.file);
        let plain = path
            .components()
            .all(|c| matches!(c, Component::RootDir | Component::Normal(_)));
        if !path.is_absolute() || !plain || dump.file.contains(char::is_control) {
            let message = format!(
                "{} is no path of a dump: an absolute one in the container, without `..`",
                clean(&dump.file)
            );
            return at(&["x-matou", "backup", "dumps"], message);
        }
    }
    for (place, source, _) in mounted(file) {
        if is_ours(&source, storage) {
            let message = format!(
                "{} is matou's own on the node: no container gets it",
                clean(&source.display().to_string())
            );
            return Err((place, message));
        }
    }
    Ok(())
}

/// What gives a container more than its own data.
pub(super) fn told(file: &Mapping, storage: &StorageConfig) -> Vec<Said> {
    let mut told = Vec::new();
    for (place, source, read_only) in mounted(file) {
        let how = if read_only { "to read" } else { "to write" };
        let shown = clean(&source.display().to_string()).into_owned();
        let inside = |folder: &Path| folder.starts_with(&source);
        let more = if source.ends_with("docker.sock") {
            ": who is in it commands the engine, and has the node"
        } else if source == Path::new("/") || inside(&storage.path) {
            ": the data of all applications, and matou's secrets, are in it"
        } else {
            ""
        };
        told.push((
            place,
            format!("it gets the node's own {shown}, {how}{more}"),
        ));
    }
    for (name, service) in section(file, "services") {
        let at = |key: &str| vec!["services".to_owned(), name.to_owned(), key.to_owned()];
        let added = service.get("cap_add").and_then(Value::as_sequence);
        for capability in added.into_iter().flatten().filter_map(Value::as_str) {
            let short = capability.trim_start_matches("CAP_");
            if POWERS.contains(&short) {
                told.push((
                    at("cap_add"),
                    format!("{name} gets {short}: it is not confined to its container"),
                ));
            }
        }
        let is_host = |network: &str| {
            let declared = file.get("networks").and_then(|n| n.get(network));
            let named = declared.and_then(|n| n.get("name")?.as_str());
            named.unwrap_or(network) == "host"
        };
        let networks = super::lint::uses(service.get("networks"));
        if networks.iter().any(|(network, _)| is_host(network)) {
            told.push((
                at("networks"),
                format!("{name} is in the node's own network: no firewall stands before it"),
            ));
        }
    }
    told
}

/// Folders of nodes that services mount, with their places, and whether they can only read them.
fn mounted(file: &Mapping) -> Vec<(Vec<String>, PathBuf, bool)> {
    let place = |parts: &[&str]| parts.iter().map(|p| (*p).to_owned()).collect::<Vec<_>>();
    let mut found = Vec::new();
    for (name, service) in section(file, "services") {
        let volumes = service.get("volumes").and_then(Value::as_sequence);
        for (index, volume) in volumes.into_iter().flatten().enumerate() {
            let (source, read_only) = match volume {
                Value::String(short) => {
                    let mut parts = short.split(':');
                    let source = parts.next();
                    let options = parts.nth(1).unwrap_or_default();
                    (
                        source.filter(|_| short.contains(':')),
                        options.split(',').any(|o| o == "ro"),
                    )
                }
                long if long.get("type").and_then(Value::as_str) == Some("bind") => (
                    long.get("source").and_then(Value::as_str),
                    long.get("read_only").and_then(Value::as_bool) == Some(true),
                ),
                _ => (None, false),
            };
            if let Some(source) = source.filter(|s| s.starts_with('/')) {
                let index = index.to_string();
                let at = place(&["services", name, "volumes", &index]);
                found.push((at, plain(Path::new(source)), read_only));
            }
        }
    }
    for (name, volume) in section(file, "volumes") {
        let options = volume.get("driver_opts");
        let bound = options
            .and_then(|o| o.get("o"))
            .and_then(Value::as_str)
            .is_some_and(|o| o.split(',').any(|o| matches!(o, "bind" | "rbind")));
        let device = options
            .and_then(|o| o.get("device"))
            .and_then(Value::as_str);
        if let Some(device) = device.filter(|d| bound && d.starts_with('/')) {
            let at = place(&["volumes", name, "driver_opts", "device"]);
            found.push((at, plain(Path::new(device)), false));
        }
    }
    found
}

/// The path without `.` and `..`, as the kernel goes where no links are.
fn plain(path: &Path) -> PathBuf {
    let mut out = PathBuf::new();
    for component in path.components() {
        match component {
            Component::ParentDir => {
                out.pop();
            }
            Component::CurDir => {}
            other => out.push(other),
        }
    }
    out
}

fn is_ours(path: &Path, storage: &StorageConfig) -> bool {
    path.starts_with(storage.path.join(".matou")) || OURS.iter().any(|o| path.starts_with(o))
}

/// What the engine takes as a name of a volume.
/// Source: moby, daemon/names `RestrictedNameChars`.
fn is_name(name: &str) -> bool {
    // The engine puts the task's number there.
    let is_template = name.contains("{{") && !name.contains(['/', '\\']);
    let name = if is_template { "template" } else { name };
    name.len() <= LONGEST
        && name.starts_with(|c: char| c.is_ascii_alphanumeric() || c == '_')
        && name
            .bytes()
            .all(|b| b.is_ascii_alphanumeric() || matches!(b, b'_' | b'.' | b'-'))
}

fn no_name(name: &str) -> String {
    format!(
        "{:?} is no name: use letters, digits, `_`, `.` and `-`, a letter or digit first, at most {LONGEST}",
        clean(name)
    )
}

#[cfg(test)]
mod tests {
    use super::*;

    fn judged(text: &str) -> (Result<(), String>, Vec<String>) {
        let file: Mapping = serde_yaml::from_str(text).unwrap();
        let extension = file
            .get("x-matou")
            .map(|x| serde_yaml::from_value(x.clone()).unwrap())
            .unwrap_or_default();
        let text = "[[nodes]]\nname = \"n1\"\nrole = \"manager\"\n";
        let storage = crate::config::Config::parse(text, Path::new("config.toml"))
            .unwrap()
            .storage;
        assert_eq!(storage.path, Path::new("/mnt/data"));
        let said = |(place, text): Said| format!("{}: {text}", place.join("."));
        (
            check(&extension, &file, &storage).map_err(said),
            told(&file, &storage).into_iter().map(said).collect(),
        )
    }

    #[test]
    fn names_are_no_paths() {
        for bad in [
            "volumes: {\"../x\": {}}",
            "volumes: {x: {name: ../../etc}}",
            "volumes: {x: {name: a/b}}",
            "secrets: {x: {name: \"..\"}}",
            "configs: {\"a b\": {}}",
            "volumes: {x: {name: \"../{{.Task.Slot}}\"}}",
            "x-matou: {secrets: [{name: ../../../../tmp/x}]}",
            "x-matou: {secrets: [{name: \"\"}]}",
            "x-matou: {backup: {dumps: [{service: a, file: /data/../../etc/cron.d/x}]}}",
            "x-matou: {backup: {dumps: [{service: a, file: data/x}]}}",
        ] {
            assert!(judged(bad).0.is_err(), "{bad}");
        }
        let good = "volumes: {a_b-c.d: {name: shop_files}, s: {name: \"s-{{.Task.Slot}}\"}}\nx-matou: {secrets: [{name: db_password}], backup: {dumps: [{service: a, file: /data/x.sql}]}}";
        assert_eq!(judged(good), (Ok(()), Vec::new()));
    }

    #[test]
    fn what_is_matous_own_is_refused_and_what_is_the_nodes_told() {
        for bad in [
            "services: {a: {volumes: [\"/mnt/data/.matou:/x\"]}}",
            "services: {a: {volumes: [\"/mnt/data/blog/../.matou/secrets:/x:ro\"]}}",
            "services: {a: {volumes: [{type: bind, source: /etc/matou, target: /x}]}}",
            "volumes: {a: {driver_opts: {type: none, o: \"rw,bind\", device: /mnt/data/.matou/fleet}}}",
        ] {
            let (checked, _) = judged(bad);
            assert!(checked.unwrap_err().contains("matou's own"), "{bad}");
        }
        let told = [
            (
                "services: {a: {volumes: [\"/:/host:ro\"]}}",
                "own /, to read: the data of all",
            ),
            (
                "services: {a: {volumes: [\"/mnt:/host\"]}}",
                "own /mnt, to write: the data of all",
            ),
            (
                "services: {a: {volumes: [\"/run/docker.sock:/s\"]}}",
                "has the node",
            ),
            (
                "services: {a: {volumes: [\"/srv/x:/s\"]}}",
                "own /srv/x, to write",
            ),
            (
                "services: {a: {cap_add: [CAP_SYS_ADMIN]}}",
                "a gets SYS_ADMIN",
            ),
            (
                "services: {a: {networks: [h]}}\nnetworks: {h: {external: true, name: host}}",
                "node's own network",
            ),
        ];
        for (text, expected) in told {
            let (checked, told) = judged(text);
            assert_eq!(checked, Ok(()), "{text}");
            assert!(told.len() == 1 && told[0].contains(expected), "{told:?}");
        }
    }

    #[test]
    fn depth_and_size_are_bounded() {
        assert!(bounded("services: {a: {image: x}}\n").is_ok());
        assert!(bounded(&"[".repeat(100_000)).is_err());
        assert!(bounded(&"a: 1\n".repeat(300_000)).is_err());
    }
}
