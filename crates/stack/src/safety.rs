//! Limits on what a stack file may do: names that become paths, folders of the nodes, matou's own
//! files. A stack file may come from anybody on the internet. What gives a container access to the
//! node is reported; what no application needs is refused.

use std::fmt;
use std::path::{Component, Path, PathBuf};

use matou_i18n::tr;
use saphyr_parser::{Event, Parser};
use serde::Deserializer;
use serde::de::{self, DeserializeSeed, EnumAccess, MapAccess, SeqAccess, VariantAccess, Visitor};
use serde_yaml::{Mapping, Value};

use super::compose_yaml::MAX_EXPANSION;
use super::extension::Extension;
use super::lint::section_entries;
use matou_base::text::InvalidInput;
use matou_base::text::escape_line;
use matou_config::StorageConfig;

/// Largest stack file, bytes.
pub(super) const MAX_STACK_BYTES: u64 = 1 << 20;

/// Up to so many brackets, nesting is not checked.
const FEW_BRACKETS: usize = 1_000;

/// Deepest nesting of a file with more brackets. The parser's time grows with the square of the
/// depth, and it refuses deeper files anyway.
const DEEPEST: usize = 128;

/// Longest time that an application has to answer after a deploy, seconds.
const LONGEST_WAIT: u64 = 24 * 3600;

/// Longest secret that is made, characters.
const LONGEST_SECRET: usize = 64 << 10;

/// Longest name, as of a volume.
const LONGEST: usize = 128;

/// matou's own folders on a node, beside the one in the data folder.
const MATOU_FOLDERS: [&str; 3] = ["/etc/matou", "/run/matou", "/var/lib/matou"];

/// Capabilities with which a container is no longer confined.
/// Source: capabilities(7).
const BROAD_CAPABILITIES: [&str; 9] = [
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

/// Templates that may stand in the name of a volume. Others can be made to say anything.
/// Source: swarmkit, template/context.go.
const NAME_TEMPLATES: [&str; 5] = [
    "{{.Node.Hostname}}",
    "{{.Node.ID}}",
    "{{.Service.Name}}",
    "{{.Task.Name}}",
    "{{.Task.Slot}}",
];

/// Keys that lead to a place in the file, and a sentence about it.
pub(super) type LocatedMessage = (Vec<String>, String);

/// Checks that a text is small and flat enough to parse, and its expansion small enough to keep.
///
/// # Errors
/// One sentence.
pub(super) fn check_yaml_limits(text: &str) -> Result<(), InvalidInput> {
    if text.len() as u64 > MAX_STACK_BYTES {
        return Err(InvalidInput::new(tr!(
            "it is larger than {} KiB",
            MAX_STACK_BYTES >> 10
        )));
    }
    let opened = text.bytes().filter(|b| matches!(b, b'[' | b'{')).count();
    if opened > FEW_BRACKETS && is_nested_too_deeply(text) {
        return Err(InvalidInput::new(tr!(
            "it is nested more than {DEEPEST} deep"
        )));
    }
    let mut left = MAX_EXPANSION;
    let read = ExpansionCounter(&mut left).deserialize(serde_yaml::Deserializer::from_str(text));
    // Other errors are reported, with their line, where the file is parsed.
    let repeats = |e: serde_yaml::Error| e.to_string().contains("repetition limit");
    match left == 0 || read.err().is_some_and(repeats) {
        true => Err(tr!("its aliases make more of it than can be kept").into()),
        false => Ok(()),
    }
}

/// Whether brackets are nested too deeply, as the YAML parser sees them. After a syntax error,
/// brackets in plain text can't be told from others: there, many count as too many.
fn is_nested_too_deeply(text: &str) -> bool {
    let mut depth = 0_usize;
    let mut read = 0;
    for event in Parser::new_from_str(text) {
        match event {
            Ok((Event::SequenceStart(..) | Event::MappingStart(..), span)) => {
                depth += 1;
                read = span.start.index();
            }
            Ok((Event::SequenceEnd | Event::MappingEnd, _)) => depth = depth.saturating_sub(1),
            Ok(_) => {}
            Err(_) => {
                let rest = text.chars().skip(read);
                return rest.filter(|c| matches!(c, '[' | '{')).count() > FEW_BRACKETS;
            }
        }
        if depth > DEEPEST {
            return true;
        }
    }
    false
}

/// Counts what YAML expands to, without keeping it, and stops at the limit.
struct ExpansionCounter<'a>(&'a mut usize);

impl ExpansionCounter<'_> {
    fn use_room<E: de::Error>(&mut self, text: usize) -> Result<(), E> {
        *self.0 = self.0.saturating_sub(1 + text / 16);
        match *self.0 {
            0 => Err(E::custom("too much")),
            _ => Ok(()),
        }
    }
}

impl<'de> DeserializeSeed<'de> for ExpansionCounter<'_> {
    type Value = ();

    fn deserialize<D: Deserializer<'de>>(self, from: D) -> Result<(), D::Error> {
        from.deserialize_any(self)
    }
}

impl<'de> Visitor<'de> for ExpansionCounter<'_> {
    type Value = ();

    fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("anything")
    }

    fn visit_unit<E: de::Error>(mut self) -> Result<(), E> {
        self.use_room(0)
    }

    fn visit_bool<E: de::Error>(mut self, _: bool) -> Result<(), E> {
        self.use_room(0)
    }

    fn visit_i64<E: de::Error>(mut self, _: i64) -> Result<(), E> {
        self.use_room(0)
    }

    fn visit_u64<E: de::Error>(mut self, _: u64) -> Result<(), E> {
        self.use_room(0)
    }

    fn visit_f64<E: de::Error>(mut self, _: f64) -> Result<(), E> {
        self.use_room(0)
    }

    fn visit_str<E: de::Error>(mut self, text: &str) -> Result<(), E> {
        self.use_room(text.len())
    }

    fn visit_seq<A: SeqAccess<'de>>(mut self, mut all: A) -> Result<(), A::Error> {
        self.use_room(0)?;
        while all.next_element_seed(ExpansionCounter(self.0))?.is_some() {}
        Ok(())
    }

    fn visit_map<A: MapAccess<'de>>(mut self, mut all: A) -> Result<(), A::Error> {
        self.use_room(0)?;
        while all.next_key_seed(ExpansionCounter(self.0))?.is_some() {
            all.next_value_seed(ExpansionCounter(self.0))?;
        }
        Ok(())
    }

    /// A value with a tag.
    fn visit_enum<A: EnumAccess<'de>>(self, tagged: A) -> Result<(), A::Error> {
        let ((), inner) = tagged.variant_seed(ExpansionCounter(self.0))?;
        inner.newtype_variant_seed(ExpansionCounter(self.0))
    }
}

/// Refuses names that would leave their folder, and mounts of matou's own folders.
///
/// # Errors
/// The place of the first that is refused, and a sentence.
pub(super) fn check_names_and_mounts(
    extension: &Extension,
    file: &Mapping,
    storage: &StorageConfig,
) -> Result<(), LocatedMessage> {
    let at = |path: &[&str], message: String| {
        Err((path.iter().map(|p| (*p).to_owned()).collect(), message))
    };
    for kind in ["services", "volumes", "networks", "secrets", "configs"] {
        for (key, entry) in section_entries(file, kind) {
            let named = entry.get("name").and_then(Value::as_str);
            for name in [Some(key), named].into_iter().flatten() {
                if !is_object_name(name) {
                    return at(&[kind, key], invalid_name_message(name));
                }
            }
        }
    }
    for spec in &extension.secrets {
        if !is_object_name(&spec.name) {
            return at(&["x-matou", "secrets"], invalid_name_message(&spec.name));
        }
        if spec.length > LONGEST_SECRET {
            let message = tr!("a secret has {LONGEST_SECRET} characters at most");
            return at(&["x-matou", "secrets"], message);
        }
    }
    if extension
        .check
        .as_ref()
        .is_some_and(|c| c.within > LONGEST_WAIT)
    {
        let message = tr!("an application is waited for {LONGEST_WAIT} s at most");
        return at(&["x-matou", "check", "within"], message);
    }
    for dump in &extension.backup.dumps {
        let path = Path::new(&dump.file);
        let plain = path
            .components()
            .all(|c| matches!(c, Component::RootDir | Component::Normal(_)));
        if !path.is_absolute() || !plain || dump.file.contains(char::is_control) {
            let message = tr!(
                "{} is no path of a dump: an absolute one in the container, without `..`",
                escape_line(&dump.file)
            );
            return at(&["x-matou", "backup", "dumps"], message);
        }
    }
    if let Some((place, source)) = find_unclear_source(file) {
        let message = tr!(
            "{} does not say where it leads: write a whole path, which begins with /, without templates",
            escape_line(&source)
        );
        return Err((place, message));
    }
    for (place, source, _) in list_mounted_folders(file) {
        if is_matou_folder(&source, storage) {
            let message = tr!(
                "{} is matou's own on the node: no container gets it",
                escape_line(&source.display().to_string())
            );
            return Err((place, message));
        }
    }
    Ok(())
}

/// Whether the place is that of a volume to which the plugin netshare gives a folder of its own.
fn is_own_share(file: &Mapping, place: &[String]) -> bool {
    let [section, key, _] = place else {
        return false;
    };
    let volume = file.get(section.as_str()).and_then(|v| v.get(key.as_str()));
    let Some(Value::Mapping(volume)) = volume.filter(|_| section == "volumes") else {
        return false;
    };
    let is_true = |v: &Value| v.as_bool() == Some(true) || v.as_str() == Some("true");
    let options = volume.get("driver_opts");
    let creates = options.and_then(|o| o.get("create")).is_some_and(is_true);
    creates
        && volume.get("driver").and_then(Value::as_str) == Some("nfs")
        && options.is_some_and(|o| o.get("device").is_none())
}

/// Lists what gives a container access to its node, beyond its own data.
pub(super) fn list_node_access(file: &Mapping, storage: &StorageConfig) -> Vec<LocatedMessage> {
    let mut told = Vec::new();
    for (place, source, read_only) in list_mounted_folders(file) {
        if is_own_share(file, &place) {
            continue;
        }
        let how = if read_only {
            tr!("to read")
        } else {
            tr!("to write")
        };
        let shown = escape_line(&source.display().to_string()).into_owned();
        let inside = |folder: &Path| folder.starts_with(&source);
        let more = if source.ends_with("docker.sock") {
            tr!(": who is in it commands the engine, and has the node")
        } else if source == Path::new("/") || inside(&storage.path) {
            tr!(": the data of all applications, and matou's secrets, are in it")
        } else {
            ""
        };
        // The service's or the volume's.
        let name = place.get(1).map_or("", String::as_str).to_owned();
        told.push((
            place,
            tr!("{name} gets the node's own {shown}, {how}{more}"),
        ));
    }
    for (name, service) in section_entries(file, "services") {
        let at = |key: &str| vec!["services".to_owned(), name.to_owned(), key.to_owned()];
        let added = service.get("cap_add").and_then(Value::as_sequence);
        for capability in added.into_iter().flatten().filter_map(Value::as_str) {
            let upper = capability.trim().to_ascii_uppercase();
            let short = upper.trim_start_matches("CAP_");
            if BROAD_CAPABILITIES.contains(&short) {
                told.push((
                    at("cap_add"),
                    tr!("{name} gets {short}: it is not confined to its container"),
                ));
            }
        }
        let is_host = |network: &str| {
            let declared = file.get("networks").and_then(|n| n.get(network));
            let named = declared.and_then(|n| {
                let older = || n.get("external")?.get("name");
                n.get("name").or_else(older)?.as_str()
            });
            named.unwrap_or(network) == "host"
        };
        let networks = super::lint::list_references(service.get("networks"));
        if networks.iter().any(|(network, _)| is_host(network)) {
            told.push((
                at("networks"),
                tr!("{name} is in the node's own network: no firewall stands before it"),
            ));
        }
    }
    told
}

/// A bind mount of a service: its place in the file, the source, and whether it is read-only.
struct BindMount<'a> {
    place: Vec<String>,
    source: &'a str,
    read_only: bool,
}

/// Lists all mounts of services whose source is no named volume.
fn list_bind_mounts(file: &Mapping) -> Vec<BindMount<'_>> {
    let mut found = Vec::new();
    for (name, service) in section_entries(file, "services") {
        let volumes = service.get("volumes").and_then(Value::as_sequence);
        for (index, volume) in volumes.into_iter().flatten().enumerate() {
            let (source, read_only) = match volume {
                Value::String(short) => {
                    let mut parts = short.split(':');
                    let source = parts.next().filter(|_| short.contains(':'));
                    let options = parts.nth(1).unwrap_or_default();
                    // What begins otherwise is the name of a volume.
                    let is_path = |s: &&str| s.starts_with(['/', '.', '~']) || s.contains("{{");
                    let read_only = options.split(',').any(|o| o == "ro");
                    (source.filter(is_path), read_only)
                }
                long if long.get("type").and_then(Value::as_str) == Some("bind") => (
                    long.get("source").and_then(Value::as_str),
                    long.get("read_only").and_then(Value::as_bool) == Some(true),
                ),
                _ => (None, false),
            };
            if let Some(source) = source {
                let index = index.to_string();
                let place = ["services", name, "volumes", &index].map(str::to_owned);
                found.push(BindMount {
                    place: place.into(),
                    source,
                    read_only,
                });
            }
        }
    }
    found
}

/// Iterates over the driver options of volumes, with their places in the file.
fn volume_driver_options(file: &Mapping) -> impl Iterator<Item = (Vec<String>, &Mapping)> {
    section_entries(file, "volumes").filter_map(|(name, volume)| {
        let options = volume.get("driver_opts")?.as_mapping()?;
        let place = ["volumes", name, "driver_opts"].map(str::to_owned);
        Some((place.into(), options))
    })
}

/// Finds the first source whose target is not clear: a relative one begins in a folder of the
/// manager, and a template is filled in by the engine on the node.
fn find_unclear_source(file: &Mapping) -> Option<(Vec<String>, String)> {
    let bind = list_bind_mounts(file)
        .into_iter()
        .find(|m| !m.source.starts_with('/') || m.source.contains("{{"))
        .map(|m| (m.place, m.source.to_owned()));
    bind.or_else(|| {
        volume_driver_options(file).find_map(|(place, options)| {
            let values = options.values().filter_map(Value::as_str);
            let template = values.into_iter().find(|v| v.contains("{{"))?;
            Some((place, template.to_owned()))
        })
    })
}

/// Lists the folders of nodes that are mounted, with their places, and whether they are read-only.
fn list_mounted_folders(file: &Mapping) -> Vec<(Vec<String>, PathBuf, bool)> {
    let mut found: Vec<_> = list_bind_mounts(file)
        .into_iter()
        .map(|m| (m.place, normalize_path(Path::new(m.source)), m.read_only))
        .collect();
    for (place, options) in volume_driver_options(file) {
        let text = |key: &str| options.get(key).and_then(Value::as_str).unwrap_or_default();
        if text("type") == "tmpfs" {
            continue;
        }
        let layers = text("o").split(',').filter_map(|o| o.split_once('='));
        let layers = layers
            .filter(|(key, _)| matches!(*key, "lowerdir" | "upperdir" | "workdir"))
            .flat_map(|(_, folders)| folders.split(':'));
        // `:/folder` and `host:/folder` are NFS. A relative path begins in the engine's folder,
        // `/`.
        let sources = [text("device"), text("share")].map(|s| s.rsplit(':').next().unwrap_or(s));
        for source in sources.into_iter().chain(layers).filter(|s| !s.is_empty()) {
            let path = normalize_path(&Path::new("/").join(source));
            found.push((place.clone(), path, false));
        }
    }
    found
}

/// Removes `.` and `..` from a path, without following links.
fn normalize_path(path: &Path) -> PathBuf {
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

fn is_matou_folder(path: &Path, storage: &StorageConfig) -> bool {
    path.starts_with(storage.path.join(".matou"))
        || MATOU_FOLDERS.iter().any(|o| path.starts_with(o))
}

/// Whether the engine accepts it as the name of a volume.
/// Source: moby, daemon/names `RestrictedNameChars`.
fn is_object_name(name: &str) -> bool {
    // The engine fills these in, with what is a name itself.
    let mut name = name.to_owned();
    for field in NAME_TEMPLATES {
        name = name.replace(field, "x");
    }
    name.len() <= LONGEST
        && name.starts_with(|c: char| c.is_ascii_alphanumeric() || c == '_')
        && name
            .bytes()
            .all(|b| b.is_ascii_alphanumeric() || matches!(b, b'_' | b'.' | b'-'))
}

fn invalid_name_message(name: &str) -> String {
    tr!(
        "{:?} is no name: use letters, digits, `_`, `.` and `-`, a letter or digit first, at most {LONGEST}",
        escape_line(name)
    )
}

#[cfg(test)]
mod tests {
    use super::*;

    fn judged(text: &str) -> (Result<(), String>, Vec<String>) {
        let file = crate::compose_yaml::read_compose(text).unwrap().value;
        let Value::Mapping(file) = file else {
            panic!("{text}")
        };
        let extension = file
            .get("x-matou")
            .map(|x| serde_yaml::from_value(x.clone()).unwrap())
            .unwrap_or_default();
        let text = "[[nodes]]\nname = \"n1\"\nrole = \"manager\"\n";
        let storage = matou_config::Config::parse(text, Path::new("config.toml"))
            .unwrap()
            .storage;
        assert_eq!(storage.path, Path::new("/mnt/data"));
        let said = |(place, text): LocatedMessage| format!("{}: {text}", place.join("."));
        (
            check_names_and_mounts(&extension, &file, &storage).map_err(said),
            list_node_access(&file, &storage)
                .into_iter()
                .map(said)
                .collect(),
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
            "volumes: {x: {name: \"s-{{index .Service.Labels 0}}\"}}",
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
            "volumes: {a: {driver_opts: {type: none, o: bind, device: mnt/data/.matou}}}",
            "volumes: {a: {driver_opts: {type: nfs, o: \"addr=store,rw\", device: \":/mnt/data/.matou\"}}}",
            "volumes: {a: {driver: nfs, driver_opts: {share: \"store:/mnt/data/.matou\"}}}",
            "volumes: {a: {driver_opts: {type: overlay, device: overlay, o: \"lowerdir=/mnt/data/.matou:/x\"}}}",
            "services: {a: {volumes: [!x \"/mnt/data/.matou:/x\"]}}",
            "services: {a: !x {volumes: !y [!z {type: bind, source: !w /mnt/data/.matou, target: /x}]}}",
        ] {
            let (checked, _) = judged(bad);
            assert!(checked.unwrap_err().contains("matou's own"), "{bad}");
        }
        let told = [
            (
                "services: {a: {volumes: [\"/:/host:ro\"]}}",
                "a gets the node's own /, to read: the data of all",
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
    fn a_folder_of_its_own_in_a_share_is_not_told_as_the_nodes() {
        let volume = |create: &str| {
            format!(
                "volumes: {{a: {{driver: nfs, driver_opts: {{share: \"n1:/mnt/data\"{create}}}}}}}"
            )
        };
        assert_eq!(judged(&volume(", create: \"true\"")), (Ok(()), Vec::new()));
        let (_, told) = judged(&volume(""));
        assert!(told[0].contains("the data of all"), "{told:?}");
    }

    #[test]
    fn depth_and_size_are_bounded() {
        assert!(check_yaml_limits("services: {a: {image: x}}\n").is_ok());
        assert!(check_yaml_limits(&"[".repeat(100_000)).is_err());
        assert!(check_yaml_limits(&"a: 1\n".repeat(300_000)).is_err());
        // Brackets in quotes close nothing.
        assert!(check_yaml_limits(&"[\"]\",\n".repeat(100_000)).is_err());
        // Many that are flat are fine, also in text that only looks like brackets.
        assert!(check_yaml_limits(&"- {a: [1]}\n".repeat(50_000)).is_ok());
        assert!(check_yaml_limits(&format!("a: |\n{}", "  [[[[\n".repeat(10_000))).is_ok());
    }

    #[test]
    fn what_aliases_stand_for_is_bounded() {
        let few = "x: &a {image: y:1}\nservices: {a: *a, b: *a, c: {<<: *a}}\n";
        assert!(check_yaml_limits(few).is_ok());
        let list = format!("a: &a [{}]\n", "1,".repeat(10_000));
        let many = format!("{list}b: [{}]\n", "*a,".repeat(10_000));
        assert!(
            check_yaml_limits(&many)
                .unwrap_err()
                .to_string()
                .contains("aliases")
        );
        let text = format!(
            "a: &a {}\nb: [{}]\n",
            "x".repeat(500_000),
            "*a,".repeat(10_000)
        );
        assert!(
            check_yaml_limits(&text)
                .unwrap_err()
                .to_string()
                .contains("aliases")
        );
        let laugh = |i: u32| format!("a{i}: &a{i} [{}]\n", format!("*a{},", i - 1).repeat(9));
        let laughs: String = (1..20).map(laugh).collect();
        let laughs = check_yaml_limits(&format!("a0: &a0 lol\n{laughs}"));
        assert!(laughs.unwrap_err().to_string().contains("aliases"));
    }
}
