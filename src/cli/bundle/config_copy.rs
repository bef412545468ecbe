//! config.toml as it may be given away: the values of the keys below, and of the others that they are there.
//! Comments may hold anything, and are left out.

use toml_edit::{Array, ArrayOfTables, DocumentMut, Item, Table, TableLike, Value};

/// Stands for a value that is not in the copy.
pub(super) const LEFT_OUT: &str = "(left out)";

/// Keys whose values may be seen. Files of secrets are named, not read; `*` is any name. What is not here is
/// left out, and a key that comes to be later with it.
pub(super) const SHOWN_KEYS: &[&str] = &[
    "fleet.name",
    "fleet.domain",
    "fleet.git",
    "ssh.user",
    "ssh.port",
    "ssh.identity",
    "ssh.jump",
    "ssh.known_hosts",
    "ssh.known_hosts_file",
    "ssh.config_file",
    "ssh.connect_timeout",
    "ssh.keep_alive",
    "nodes.name",
    "nodes.address",
    "nodes.role",
    "nodes.user",
    "nodes.port",
    "nodes.identity",
    "nodes.jump",
    "nodes.docker_socket",
    "nodes.advertise",
    "nodes.availability",
    "storage.driver",
    "storage.node",
    "storage.path",
    "storage.devices",
    "storage.filesystem",
    "storage.gluster",
    "provision.off",
    "provision.packages",
    "provision.apt_wait",
    "provision.docker",
    "provision.docker_major",
    "provision.address_pools",
    "provision.autolock",
    "provision.heartbeat",
    "provision.swap",
    "provision.swappiness",
    "provision.ssh_from",
    "provision.open_ports",
    "provision.suricata",
    "backup.password_file",
    "backup.environment_file",
    "backup.append_only",
    "backup.schedule",
    "backup.random_delay",
    "backup.upload_limit",
    "backup.cpu_limit",
    "backup.check_parts",
    "backup.ping_file",
    "backup.keep_within_days",
    "backup.keep_daily",
    "backup.keep_weekly",
    "backup.keep_monthly",
    "backup.keep_yearly",
    "backup.copies.name",
    "backup.copies.password_file",
    "backup.copies.environment_file",
    "backup.copies.append_only",
    "edge.email",
    "edge.network",
    "edge.resolver",
    "edge.ca_file",
    "scaleway.zone",
    "scaleway.token_file",
    "alerts.*",
    "receivers.smtp",
    "receivers.smtp_password_file",
    "receivers.webhook_file",
    "receivers.telegram_token_file",
    "receivers.matrix_file",
    "receivers.ntfy_token_file",
    "receivers.deadman_file",
    "mail.server",
    "mail.port",
    "mail.security",
    "mail.password_file",
    "mail.sender",
    "logs.memory",
    "keys.*",
    "theme.*",
];

/// Keys of repositories: only where they lie is seen, not whose they are.
const REPOSITORY_KEYS: [&str; 2] = ["backup.repository", "backup.copies.repository"];

/// Copies what may be seen of the text of a config.toml, each value as `clean` leaves it. Returns the copy and
/// the keys whose values are not in it.
///
/// # Errors
/// It is no TOML.
pub(super) fn copy_config(
    text: &str,
    clean: &mut dyn FnMut(&str) -> String,
) -> Result<(String, Vec<String>), toml_edit::TomlError> {
    let read: DocumentMut = text.parse()?;
    let mut copier = ConfigCopier {
        clean,
        left_out: Vec::new(),
    };
    let mut copy = DocumentMut::new();
    *copy.as_table_mut() = copier.copy_table("", read.as_table());
    let mut left_out = copier.left_out;
    left_out.sort();
    left_out.dedup();
    Ok((copy.to_string(), left_out))
}

struct ConfigCopier<'a> {
    clean: &'a mut dyn FnMut(&str) -> String,
    left_out: Vec<String>,
}

impl ConfigCopier<'_> {
    fn copy_table(&mut self, path: &str, table: &dyn TableLike) -> Table {
        let mut copy = Table::new();
        for (key, item) in table.iter() {
            let path = match path {
                "" => key.to_owned(),
                path => format!("{path}.{key}"),
            };
            let item = self.copy_item(&path, item);
            copy.insert(&(self.clean)(key), item);
        }
        copy
    }

    fn copy_item(&mut self, path: &str, item: &Item) -> Item {
        if let Some(tables) = item.as_array_of_tables() {
            let copies = tables.iter().map(|table| self.copy_table(path, table));
            let mut all = ArrayOfTables::new();
            all.extend(copies);
            return Item::ArrayOfTables(all);
        }
        if let Some(table) = item.as_table_like() {
            return Item::Table(self.copy_table(path, table));
        }
        match item.as_value() {
            Some(value) => Item::Value(self.copy_value(path, value)),
            None => Item::None,
        }
    }

    fn copy_value(&mut self, path: &str, value: &Value) -> Value {
        if REPOSITORY_KEYS.contains(&path) {
            let kind = value.as_str().and_then(|location| location.split_once(':'));
            self.left_out.push(path.to_owned());
            return match kind {
                Some((kind, _)) if kind.bytes().all(|b| b.is_ascii_alphanumeric()) => {
                    format!("{kind}: {LEFT_OUT}").into()
                }
                _ => LEFT_OUT.into(),
            };
        }
        if !is_shown(path) {
            self.left_out.push(path.to_owned());
            return LEFT_OUT.into();
        }
        match value {
            Value::String(text) => (self.clean)(text.value()).into(),
            Value::Array(items) => {
                let copies = items.iter().map(|item| self.copy_value(path, item));
                Value::Array(copies.collect::<Array>())
            }
            Value::Integer(number) => (*number.value()).into(),
            Value::Float(number) => (*number.value()).into(),
            Value::Boolean(switch) => (*switch.value()).into(),
            Value::Datetime(_) | Value::InlineTable(_) => LEFT_OUT.into(),
        }
    }
}

fn is_shown(path: &str) -> bool {
    SHOWN_KEYS
        .iter()
        .any(|shown| match shown.strip_suffix('*') {
            Some(before) => path.starts_with(before),
            None => *shown == path,
        })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_what_is_listed_is_copied() {
        let text = "# hunter22\n[fleet]\nname = \"chaton\" # hunter22\n[backup]\nrepository = \"rest:https://u:hunter22@h/\"\n\
            password_command = [\"echo\", \"hunter22\"]\nkeep_daily = 7\n[[nodes]]\nname = \"n1\"\nlabels = { disk = \"hunter22\" }\n\
            [receivers]\nntfy = \"https://ntfy.sh/hunter22\"\n[later]\nkey = \"hunter22\"\n[theme]\nmouse = false\n";
        let (copy, left_out) = copy_config(text, &mut str::to_owned).unwrap();
        assert!(!copy.contains("hunter22"), "{copy}");
        for line in [
            "name = \"chaton\"",
            "repository = \"rest: (left out)\"",
            "keep_daily = 7",
            "disk = \"(left out)\"",
            "mouse = false",
        ] {
            assert!(copy.contains(line), "{line}: {copy}");
        }
        assert_eq!(
            left_out,
            [
                "backup.password_command",
                "backup.repository",
                "later.key",
                "nodes.labels.disk",
                "receivers.ntfy"
            ]
        );
        copy.parse::<DocumentMut>().unwrap();
    }

    /// Every key of the example is either shown or left out on purpose.
    #[test]
    fn the_keys_that_are_shown_are_keys() {
        let example = include_str!("../../../config.example.toml");
        for key in SHOWN_KEYS.iter().filter(|key| !key.ends_with('*')) {
            let name = key.rsplit('.').next().unwrap();
            let written = regex::Regex::new(&format!(r"(?m)^(# ?)?{name} = ")).unwrap();
            assert!(written.is_match(example), "{key}");
        }
    }
}
