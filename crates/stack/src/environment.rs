//! The variables of containers: `environment`, and `env_file`, which is read as the engine's client
//! reads it. Where that takes a value out of its own environment, the stack's variable of the name is
//! taken: on a fleet there is no other.
//!
//! Source: docker/cli, pkg/kvfile/kvfile.go and cli/compose/loader/loader.go (`resolveEnvironment`).

use std::collections::BTreeMap;

use matou_i18n::tr;
use serde_yaml::{Mapping, Value};

use super::compose_yaml::engine_text;
use super::files::StackFolder;
use super::traefik1::Labels;
use matou_base::text::InvalidInput;

/// Longest line of an `env_file`, bytes: the client refuses longer ones.
const LONGEST_LINE: usize = 64 << 10;

/// Variables that the shell has in which the client runs on the manager, which must not reach an
/// application.
const SHELL_VARIABLES: [&str; 9] = [
    "HOME", "LANG", "LOGNAME", "MAIL", "PATH", "PWD", "SHELL", "TERM", "USER",
];

/// Where the values of variables come from.
pub(super) struct StackVariables<'a> {
    /// Given ones, defaults of the stack, and those that all stacks have.
    pub any: &'a dyn Fn(&str) -> Option<String>,
    /// Those that were given.
    pub given: &'a dyn Fn(&str) -> Option<String>,
}

impl StackVariables<'_> {
    /// Resolves `env_file` and the variables without a value in `environment`, whose own values win.
    /// Returns what was done, a sentence each.
    ///
    /// # Errors
    /// One sentence: a file that can't be read, or a line that the client refuses.
    pub(super) fn resolve_service(
        &self,
        name: &str,
        service: &mut Mapping,
        folder: &StackFolder,
    ) -> Result<Vec<String>, InvalidInput> {
        let files = list_env_files(service)?;
        let stated = read_environment(service.get("environment"));
        let mut notes = Vec::new();
        let mut all = BTreeMap::new();
        for file in &files {
            let bytes = folder.read_file(file)?;
            for (key, value) in parse_env_file(file, &bytes)? {
                let value = value.map(|v| super::escape_dollars(&v));
                match value.or_else(|| self.find_escaped(&key)) {
                    Some(value) => {
                        all.insert(key, Some(value));
                    }
                    None => notes.push(tr!(
                        "{key} of {name} has no value in {file}, and is left out: give the variable {key}"
                    )),
                }
            }
        }
        for (key, value) in &stated {
            if let Some(value) = self.resolve_value(name, key, value.as_deref(), &mut notes) {
                all.insert(key.clone(), value);
            } else {
                all.remove(key);
            }
        }
        // The client looks an empty value of a file up, too.
        for (key, value) in &mut all {
            if value.as_deref() == Some("")
                && let Some(given) = (self.given)(key)
            {
                *value = Some(super::escape_dollars(&given));
            }
        }
        // Of a list with a variable that has no value.
        all.remove("");
        if files.is_empty() && all == stated {
            return Ok(notes);
        }
        let entry = |(key, value): (String, Option<String>)| {
            (key.into(), value.map_or(Value::Null, Value::from))
        };
        let map: Mapping = all.into_iter().map(entry).collect();
        service.insert("environment".into(), map.into());
        Ok(notes)
    }

    /// Returns the value of a variable of `environment`; within, `None` for one that is taken away from
    /// those of the image, and without, for one that is left out.
    #[expect(clippy::option_option, reason = "the file has three states, too")]
    fn resolve_value(
        &self,
        service: &str,
        key: &str,
        value: Option<&str>,
        notes: &mut Vec<String>,
    ) -> Option<Option<String>> {
        if let Some(value) = value {
            return Some(Some(value.to_owned()));
        }
        if let Some(value) = self.find_escaped(key) {
            return Some(Some(value));
        }
        notes.push(tr!(
            "{key} of {service} has no value, and is not set: give the variable {key}"
        ));
        (!SHELL_VARIABLES.contains(&key)).then_some(None)
    }

    fn find_escaped(&self, key: &str) -> Option<String> {
        (self.any)(key).map(|value| super::escape_dollars(&value))
    }
}

/// Returns the variables of a service that have a value.
pub(super) fn set_variables(service: &Mapping) -> Labels {
    read_environment(service.get("environment"))
        .into_iter()
        .filter_map(|(key, value)| Some((key, value?)))
        .collect()
}

/// Whether a service takes a variable from who deploys: its name stands alone, or before an empty value, in
/// `environment` or in a file of `env_file`. Files that can't be read are told elsewhere.
pub(super) fn asks_for_variable(file: &Value, folder: &StackFolder, name: &str) -> bool {
    let services = file.get("services").and_then(Value::as_mapping);
    let mut services = services.into_iter().flat_map(Mapping::values);
    services.any(|service| {
        let stated = read_environment(service.get("environment"));
        let in_files = || {
            let mut service = service.as_mapping().cloned().unwrap_or_default();
            let files = list_env_files(&mut service).unwrap_or_default();
            files.iter().any(|file| {
                let bytes = folder.read_file(file).unwrap_or_default();
                let read = parse_env_file(file, &bytes).unwrap_or_default();
                read.iter().any(|(key, value)| {
                    key == name && value.as_deref().unwrap_or_default().is_empty()
                })
            })
        };
        let alone = stated
            .get(name)
            .map(|v| v.as_deref().unwrap_or_default().is_empty());
        alone.unwrap_or_else(in_files)
    })
}

/// Reads `environment` in either form; what has no value is `None`.
fn read_environment(value: Option<&Value>) -> BTreeMap<String, Option<String>> {
    match value {
        Some(Value::Mapping(map)) => map
            .iter()
            .filter_map(|(key, value)| {
                let value = (!value.is_null()).then(|| engine_text(value));
                Some((key.as_str()?.to_owned(), value))
            })
            .collect(),
        Some(Value::Sequence(list)) => list
            .iter()
            .filter_map(Value::as_str)
            .map(|item| match item.split_once('=') {
                Some((key, value)) => (key.to_owned(), Some(value.to_owned())),
                None => (item.to_owned(), None),
            })
            .collect(),
        _ => BTreeMap::new(),
    }
}

/// Takes the paths of `env_file` out of a service.
fn list_env_files(service: &mut Mapping) -> Result<Vec<String>, InvalidInput> {
    match service.remove("env_file") {
        None | Some(Value::Null) => Ok(Vec::new()),
        Some(Value::String(file)) => Ok(vec![file]),
        Some(Value::Sequence(files)) => Ok(files
            .iter()
            .filter_map(|f| f.as_str().or_else(|| f.get("path")?.as_str()))
            .map(str::to_owned)
            .collect()),
        Some(_) => Err(tr!("`env_file` is a path or a list of paths").into()),
    }
}

/// Parses an `env_file`: names, with their values where they have one.
///
/// # Errors
/// One sentence with the line: what the client refuses.
fn parse_env_file(file: &str, bytes: &[u8]) -> Result<Vec<(String, Option<String>)>, InvalidInput> {
    let bytes = bytes.strip_prefix(b"\xef\xbb\xbf").unwrap_or(bytes);
    let mut found = Vec::new();
    for (i, line) in bytes.split(|b| *b == b'\n').enumerate() {
        let at = |what: &str| InvalidInput::new(format_args!("{file}:{}: {what}", i + 1));
        if line.len() >= LONGEST_LINE {
            return Err(at(tr!("a line is shorter than 64 KiB")));
        }
        let line = line.strip_suffix(b"\r").unwrap_or(line);
        let line = str::from_utf8(line).map_err(|_| at(tr!("this is no UTF-8")))?;
        // What stands before the name goes; what follows the value is part of it.
        let line = line.trim_start();
        if line.is_empty() || line.starts_with('#') {
            continue;
        }
        let (name, value) = match line.split_once('=') {
            Some((name, value)) => (name, Some(value)),
            None => (line, None),
        };
        if name.is_empty() {
            return Err(at(tr!("a line is NAME=VALUE")));
        }
        if name.starts_with("export ") {
            return Err(at(tr!("a line is NAME=VALUE, without `export`")));
        }
        if name.contains([' ', '\t']) {
            return Err(at(tr!("a name has no spaces: a line is NAME=VALUE")));
        }
        found.push((name.to_owned(), value.map(str::to_owned)));
    }
    Ok(found)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn lines_of_an_env_file() {
        let text = "\u{feff}A=1\r\n  # words\n\t B= x \nC=\"q\" # no comment\nD\nE==\n#\n\n";
        let read = parse_env_file("x.env", text.as_bytes()).unwrap();
        let read: Vec<_> = read
            .iter()
            .map(|(k, v)| (k.as_str(), v.as_deref()))
            .collect();
        assert_eq!(
            read,
            [
                ("A", Some("1")),
                ("B", Some(" x ")),
                ("C", Some("\"q\" # no comment")),
                ("D", None),
                ("E", Some("=")),
            ]
        );
        for (wrong, said) in [
            (
                "A=1\nexport B=1",
                "x.env:2: a line is NAME=VALUE, without `export`",
            ),
            ("N =x", "x.env:1: a name has no spaces"),
            ("=x", "x.env:1: a line is NAME=VALUE"),
            ("K ", "x.env:1: a name has no spaces"),
        ] {
            let error = parse_env_file("x.env", wrong.as_bytes()).unwrap_err();
            assert!(error.to_string().starts_with(said), "{error}");
        }
        assert!(parse_env_file("x.env", b"A=\xff").is_err());
    }
}
