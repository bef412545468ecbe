//! Fills the variables of a whole compose file in, and remembers what could not be.

use std::collections::BTreeSet;

use matou_i18n::tr;
use serde_yaml::{Mapping, Value};

use super::error::MissingVariable;
use super::interpolate::{InterpolationError, escape_dollars, interpolate};
use super::line_index::LineIndex;

/// Most text in all values together, bytes.
const MOST_TEXT: usize = 8 << 20;

/// Most missing variables of a file, and most other problems: each is told.
const MOST_PROBLEMS: usize = 100;

/// What the text of a variable is turned into.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Cast {
    Int,
    Float,
    Bool,
}

/// Values that are numbers or booleans, also when they come from a variable, which is text: `*` is
/// any key, `[]` any item. Source: docker/cli, cli/compose/loader/interpolate.go. The last three are
/// beyond the client.
const TYPED_VALUES: [(&str, Cast); 31] = [
    ("services.*.configs.[].mode", Cast::Int),
    ("services.*.secrets.[].mode", Cast::Int),
    ("services.*.healthcheck.retries", Cast::Int),
    ("services.*.healthcheck.disable", Cast::Bool),
    ("services.*.deploy.replicas", Cast::Int),
    ("services.*.deploy.update_config.parallelism", Cast::Int),
    (
        "services.*.deploy.update_config.max_failure_ratio",
        Cast::Float,
    ),
    ("services.*.deploy.rollback_config.parallelism", Cast::Int),
    (
        "services.*.deploy.rollback_config.max_failure_ratio",
        Cast::Float,
    ),
    ("services.*.deploy.restart_policy.max_attempts", Cast::Int),
    (
        "services.*.deploy.placement.max_replicas_per_node",
        Cast::Int,
    ),
    ("services.*.ports.[].target", Cast::Int),
    ("services.*.ports.[].published", Cast::Int),
    ("services.*.ulimits.*", Cast::Int),
    ("services.*.ulimits.*.hard", Cast::Int),
    ("services.*.ulimits.*.soft", Cast::Int),
    ("services.*.privileged", Cast::Bool),
    ("services.*.read_only", Cast::Bool),
    ("services.*.stdin_open", Cast::Bool),
    ("services.*.tty", Cast::Bool),
    ("services.*.volumes.[].read_only", Cast::Bool),
    ("services.*.volumes.[].volume.nocopy", Cast::Bool),
    ("networks.*.external", Cast::Bool),
    ("networks.*.internal", Cast::Bool),
    ("networks.*.attachable", Cast::Bool),
    ("volumes.*.external", Cast::Bool),
    ("secrets.*.external", Cast::Bool),
    ("configs.*.external", Cast::Bool),
    ("services.*.init", Cast::Bool),
    ("services.*.volumes.[].tmpfs.size", Cast::Int),
    ("services.*.deploy.resources.limits.pids", Cast::Int),
];

/// Reads a text as the client's casts do.
fn cast_text(text: &str, cast: Cast) -> Option<Value> {
    let unsigned = text.strip_prefix(['+', '-']).unwrap_or(text);
    match cast {
        Cast::Int => {
            let good = !unsigned.is_empty() && unsigned.bytes().all(|b| b.is_ascii_digit());
            let number = text.parse::<i64>().ok().filter(|_| good);
            number.map(Value::from)
        }
        Cast::Float => {
            let good = unsigned.starts_with(|c: char| c.is_ascii_digit() || c == '.');
            let number = text.parse::<f64>().ok().filter(|f| good && f.is_finite());
            number.map(Value::from)
        }
        Cast::Bool => match text.to_lowercase().as_str() {
            "y" | "yes" | "true" | "on" => Some(true.into()),
            "n" | "no" | "false" | "off" => Some(false.into()),
            _ => None,
        },
    }
}

/// A step on the way to a value.
#[derive(Debug, Clone, PartialEq, Eq)]
enum PathPart {
    Key(String),
    Item(usize),
}

/// What became of the variables of a file.
#[derive(Debug, Default)]
pub(super) struct FilledVariables {
    /// Required variables without a value, by their first place in the file.
    pub missing: Vec<MissingVariable>,
    /// Lines, and what is wrong there.
    pub problems: Vec<(usize, String)>,
    /// Lines of published ports that hold variables without a value, with the variables.
    pub unset_ports: Vec<(usize, Vec<String>)>,
}

/// Fills the variables of all values in but the version. Keys stay as they are, as the client leaves
/// them. A required variable that is missing stands for something that fits its place, so that the
/// rest can be looked at.
///
/// # Errors
/// The line, and what is wrong: the variables make too much text.
pub(super) fn fill_variables(
    file: &mut Mapping,
    places: &LineIndex,
    lookup: &dyn Fn(&str) -> Option<String>,
) -> Result<FilledVariables, (usize, String)> {
    let mut filler = VariableFiller {
        places,
        lookup,
        room: MOST_TEXT,
        path: Vec::new(),
        missing: BTreeSet::new(),
        filled: FilledVariables::default(),
    };
    for (key, value) in file {
        let key = key.as_str().unwrap_or_default();
        if key != "version" {
            filler.fill_below(PathPart::Key(key.to_owned()), value)?;
        }
    }
    Ok(filler.filled)
}

struct VariableFiller<'a> {
    places: &'a LineIndex,
    lookup: &'a dyn Fn(&str) -> Option<String>,
    /// What all values may still grow to.
    room: usize,
    path: Vec<PathPart>,
    missing: BTreeSet<String>,
    filled: FilledVariables,
}

impl VariableFiller<'_> {
    fn fill_below(&mut self, part: PathPart, value: &mut Value) -> Result<(), (usize, String)> {
        self.path.push(part);
        let filled = self.fill_value(value);
        self.path.pop();
        filled
    }

    fn fill_value(&mut self, value: &mut Value) -> Result<(), (usize, String)> {
        match value {
            Value::String(text) => {
                if let Some(new) = self.fill_text(text)? {
                    *value = new;
                }
            }
            Value::Sequence(items) => {
                for (i, item) in items.iter_mut().enumerate() {
                    self.fill_below(PathPart::Item(i), item)?;
                }
            }
            Value::Mapping(map) => {
                for (key, value) in map {
                    let key = key.as_str().unwrap_or_default().to_owned();
                    self.fill_below(PathPart::Key(key), value)?;
                }
            }
            _ => {}
        }
        Ok(())
    }

    /// Returns what stands in the place of a text; `None` for one without a dollar sign.
    fn fill_text(&mut self, text: &str) -> Result<Option<Value>, (usize, String)> {
        let new = match text.contains('$') {
            true => self.fill_all(text)?,
            false => text.to_owned(),
        };
        let left = self.room.checked_sub(new.len());
        self.room =
            left.ok_or_else(|| (self.current_line(), InterpolationError::TooLong.to_string()))?;
        if new == text {
            // Docker interpolates the rendered file once more.
            return Ok(text.contains('$').then(|| escape_dollars(text).into()));
        }
        let Some(cast) = self.find_cast() else {
            return Ok(Some(escape_dollars(&new).into()));
        };
        let value = cast_text(&new, cast);
        if value.is_none() {
            let kind = match cast {
                Cast::Int => tr!("a whole number"),
                Cast::Float => tr!("a number"),
                Cast::Bool => tr!("true or false"),
            };
            let shown: String = new.chars().take(40).collect();
            self.add_problem(tr!(
                "`{}` is {kind}, and its variable makes it `{shown}`",
                self.last_key()
            ));
        }
        Ok(Some(value.unwrap_or_else(|| escape_dollars(&new).into())))
    }

    /// Fills one text in; each required variable that is missing is remembered once.
    fn fill_all(&mut self, text: &str) -> Result<String, (usize, String)> {
        let placeholder = self.placeholder();
        let unset = std::cell::RefCell::new(Vec::new());
        let is_port = self.is_short_port();
        loop {
            unset.borrow_mut().clear();
            let lookup = |name: &str| {
                let value = (self.lookup)(name).filter(|v| !v.is_empty());
                if value.is_none() && self.missing.contains(name) {
                    return Some(placeholder.to_owned());
                }
                if value.is_none() && is_port {
                    unset.borrow_mut().push(name.to_owned());
                }
                value.or_else(|| (self.lookup)(name))
            };
            let error = match interpolate(text, &lookup) {
                Ok(new) => {
                    let mut unset = unset.into_inner();
                    // A default takes the place of what is not set.
                    unset.retain(|name| {
                        text.contains(&format!("${name}")) || text.contains(&format!("${{{name}}}"))
                    });
                    if !unset.is_empty() && self.filled.unset_ports.len() < MOST_PROBLEMS {
                        let line = self.current_line();
                        self.filled.unset_ports.push((line, unset));
                    }
                    return Ok(new);
                }
                Err(error) => error,
            };
            match error {
                InterpolationError::Required { name, message }
                    if self.missing.len() < MOST_PROBLEMS =>
                {
                    let line = Some(self.current_line());
                    self.missing.insert(name.clone());
                    self.filled.missing.push(MissingVariable {
                        name,
                        message,
                        line,
                    });
                }
                InterpolationError::TooLong => {
                    return Err((self.current_line(), error.to_string()));
                }
                other => {
                    self.add_problem(other.to_string());
                    return Ok(text.to_owned());
                }
            }
        }
    }

    fn add_problem(&mut self, message: String) {
        if self.filled.problems.len() < MOST_PROBLEMS {
            let line = self.current_line();
            self.filled.problems.push((line, message));
        }
    }

    /// What stands in the place of a missing variable.
    fn placeholder(&self) -> &'static str {
        match self.find_cast() {
            Some(Cast::Int | Cast::Float) => return "0",
            Some(Cast::Bool) => return "false",
            None => {}
        }
        let key = self.last_key();
        match self.path.get(2) {
            Some(PathPart::Key(k)) if k == "ports" => "0",
            Some(PathPart::Key(k)) if k == "image" => "example.org:1",
            Some(PathPart::Key(k)) if k == "healthcheck" && key != "test" => "1s",
            Some(PathPart::Key(k)) if k == "deploy" => match key {
                "memory" | "cpus" => "1",
                "delay" | "window" | "monitor" => "1s",
                _ => "example.org",
            },
            _ => "example.org",
        }
    }

    fn is_short_port(&self) -> bool {
        let at = |i: usize| match self.path.get(i) {
            Some(PathPart::Key(key)) => key.as_str(),
            _ => "",
        };
        self.path.len() == 4 && at(0) == "services" && at(2) == "ports"
    }

    fn last_key(&self) -> &str {
        let keys = self.path.iter().rev().filter_map(|part| match part {
            PathPart::Key(key) => Some(key.as_str()),
            PathPart::Item(_) => None,
        });
        keys.take(1).next().unwrap_or_default()
    }

    fn find_cast(&self) -> Option<Cast> {
        let fits = |pattern: &str| {
            let mut parts = pattern.split('.');
            let all = self.path.iter().all(|part| match (parts.next(), part) {
                (Some("*"), _) | (Some("[]"), PathPart::Item(_)) => true,
                (Some(wanted), PathPart::Key(key)) => key == wanted,
                _ => false,
            });
            all && parts.next().is_none()
        };
        let found = TYPED_VALUES.iter().find(|(pattern, _)| fits(pattern));
        found.map(|(_, cast)| *cast)
    }

    /// The line of the value that is being filled in.
    fn current_line(&self) -> usize {
        let path: Vec<String> = self
            .path
            .iter()
            .map(|part| match part {
                PathPart::Key(key) => key.clone(),
                PathPart::Item(i) => i.to_string(),
            })
            .collect();
        let path: Vec<&str> = path.iter().map(String::as_str).collect();
        self.places.line_of(&path)
    }
}
