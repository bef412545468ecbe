//! Rewrites a stack file with labels of Traefik 1 for Traefik 3; everything else in it stays as it
//! is: comments, line endings, order.
//!
//! What would be written is parsed again, and compared with what was meant: other values are
//! those of the old file, the labels are the migrated ones. Else nothing is written.

use std::ops::Range;

use super::StackError;
use super::hidden_variables::HiddenVariables;
use super::labels;
use super::line_index::LineIndex;
use super::safety;
use super::traefik1::{self, Labels, MigratedLabels, is_traefik1_label};
use super::yaml_source::{SourceKind, SourceNode};
use matou_base::text::InvalidInput;
use matou_i18n::{Text, both, tr};
use serde_yaml::{Mapping, Value};

/// Returns the new text of a file, and notes for the operator. The text is unchanged when it has no
/// labels of Traefik 1. Variables stay variables.
///
/// # Errors
/// File and line of what is wrong.
pub fn migrate_file(
    file: &str,
    text: &str,
    app: &str,
    resolver: &str,
) -> Result<(String, Vec<String>), StackError> {
    let at_line = |line: usize, message: String| StackError::At {
        file: file.to_owned(),
        line,
        message,
    };
    safety::check_yaml_limits(text).map_err(|e| at_line(1, e.to_string()))?;
    let value = parse_merged(text)
        .map_err(|e| at_line(e.location().map_or(1, |l| l.line()), e.to_string()))?;
    let places = LineIndex::parse(text);
    let mut notes = Vec::new();
    let mut blocks = Vec::new();
    let mut hidden = HiddenVariables::default();
    let none = Mapping::new();
    let services = value.get("services").and_then(Value::as_mapping);
    let services = services.unwrap_or(&none);
    let backends = labels::backends_of_services(services, app);
    for (name, service) in services {
        let (Some(name), Some(service)) = (name.as_str(), service.as_mapping()) else {
            continue;
        };
        for place in [LabelPlace::Service, LabelPlace::Container] {
            let found = place.labels(service);
            let Some(written) = found.filter(|l| has_traefik1_labels(l)) else {
                continue;
            };
            let line = places.line_of(&place.path(name));
            let target = traefik1::RouterTarget {
                id: &format!("{app}-{name}"),
                resolver,
                backends: &backends,
            };
            let block =
                LabelBlock::migrate(name, place, written, target, &mut hidden).map_err(|e| {
                    let shown = hidden.show_variables(&e.to_string());
                    at_line(line, shown.replace("$$", "$"))
                })?;
            notes.extend(block.notes(&hidden).map(|n| format!("{file}:{line}: {n}")));
            blocks.push((line, block));
        }
    }
    let Some((first, _)) = blocks.first() else {
        return Ok((text.to_owned(), Vec::new()));
    };
    let unparsed = || {
        at_line(
            *first,
            tr!("it can't be looked through: it is nested too deeply").into(),
        )
    };
    let source = SourceNode::parse(text).ok_or_else(unparsed)?;
    let mut edits = Vec::new();
    for (line, block) in &blocks {
        let more = block
            .edit_labels(text, &source, &hidden)
            .map_err(|e| at_line(*line, e.to_string()))?;
        edits.extend(more);
    }
    let new = apply_edits(text, edits);
    for (line, block) in &blocks {
        if !block.stands_in(&new, &hidden) {
            return Err(at_line(
                *line,
                tr!("the labels of {} {CANT_BE_WRITTEN}", block.service),
            ));
        }
    }
    let only_labels: Vec<&LabelBlock> = blocks.iter().map(|(_, block)| block).collect();
    if !differs_only_in_labels(value.clone(), &new, &only_labels) {
        let message = tr!("the labels {CANT_BE_WRITTEN}");
        return Err(at_line(*first, message));
    }
    Ok((new, notes))
}

const CANT_BE_WRITTEN: Text = both!(
    "can't be rewritten where they are, and nothing was: write them below `deploy:` and `labels:`, on lines of their own"
);

fn parse_merged(text: &str) -> Result<Value, serde_yaml::Error> {
    let mut value: Value = serde_yaml::from_str(text)?;
    value.apply_merge()?;
    Ok(value)
}

fn has_traefik1_labels(labels: &Value) -> bool {
    labels::labels_from_value(Some(labels))
        .keys()
        .any(|label| is_traefik1_label(label))
}

/// Which labels of a service.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum LabelPlace {
    /// Those under `deploy`, which Traefik reads on a swarm.
    Service,
    /// Those of its containers, which Traefik reads on one host.
    Container,
}

impl LabelPlace {
    fn keys(self) -> &'static [&'static str] {
        match self {
            Self::Service => &["deploy", "labels"],
            Self::Container => &["labels"],
        }
    }

    fn path(self, service: &str) -> Vec<&str> {
        [&["services", service], self.keys()].concat()
    }

    fn labels(self, service: &Mapping) -> Option<&Value> {
        match self {
            Self::Service => service.get("deploy")?.get("labels"),
            Self::Container => service.get("labels"),
        }
    }
}

/// The labels of a service, old and new. Variables in both are hidden.
#[derive(Debug)]
struct LabelBlock {
    service: String,
    place: LabelPlace,
    list: bool,
    old: Labels,
    migrated: MigratedLabels,
}

impl LabelBlock {
    fn migrate(
        service: &str,
        place: LabelPlace,
        written: &Value,
        target: traefik1::RouterTarget<'_>,
        hidden: &mut HiddenVariables,
    ) -> Result<Self, InvalidInput> {
        let list = written.is_sequence();
        let mut old = Labels::new();
        for (label, value) in labels::labels_from_value(Some(written)) {
            // The engine looks for variables in values alone.
            let label = match list {
                true => hidden.hide_variables(&label)?,
                false => label,
            };
            old.insert(label, hidden.hide_variables(&value)?);
        }
        // Docker on one host is another provider of Traefik than a swarm.
        let network = "traefik.docker.network";
        let mut input = old.clone();
        let own_network = match place {
            LabelPlace::Service => None,
            LabelPlace::Container => input.remove(network),
        };
        let mut migrated = traefik1::migrate_labels(&input, target)?;
        if let Some(name) = own_network {
            migrated.labels.insert(network.to_owned(), name);
        }
        if place == LabelPlace::Container {
            migrated.add_note(tr!(
                "labels of {service} stand outside of `deploy:`, where a swarm's Traefik does not look: move them there"
            ));
        }
        if !list && migrated.sources.keys().any(|label| label.contains('$')) {
            return Err(InvalidInput::new(tr!(
                "the name of a label has a dollar sign: write the labels as a list"
            )));
        }
        Ok(Self {
            service: service.to_owned(),
            place,
            list,
            old,
            migrated,
        })
    }

    fn notes<'a>(&'a self, hidden: &'a HiddenVariables) -> impl Iterator<Item = String> + 'a {
        let notes = self.migrated.notes.iter();
        notes.map(|note| hidden.show_variables(note).replace("$$", "$"))
    }

    /// Returns a label as the file has it: name and value.
    fn written_label(&self, label: &str, hidden: &HiddenVariables) -> (String, String) {
        let name = match self.list {
            true => hidden.show_variables(label),
            false => label.to_owned(),
        };
        let value = self.migrated.labels.get(label).map_or("", String::as_str);
        (name, hidden.show_variables(value))
    }

    /// Returns a label as an entry of the list or mapping.
    fn render_entry(&self, label: &str, hidden: &HiddenVariables, flow: bool) -> String {
        let (name, value) = self.written_label(label, hidden);
        match self.list {
            true => quote_scalar(&format!("{name}={value}"), flow),
            false => {
                let (name, value) = (quote_scalar(&name, flow), quote_scalar(&value, flow));
                format!("{name}: {value}")
            }
        }
    }

    /// Returns all labels as entries.
    fn render_entries(&self, hidden: &HiddenVariables, flow: bool) -> Vec<String> {
        let labels = self.migrated.labels.keys();
        labels.map(|l| self.render_entry(l, hidden, flow)).collect()
    }

    /// Returns all labels, as what stands behind `labels:` on a line that is indented so far.
    fn render_labels(&self, hidden: &HiddenVariables, layout: &Layout<'_>) -> String {
        let entries = self.render_entries(hidden, layout.flow);
        if layout.flow {
            return match self.list {
                true => format!(" [{}]", entries.join(", ")),
                false => format!(" {{{}}}", entries.join(", ")),
            };
        }
        let dash = if self.list { "- " } else { "" };
        let lines = entries.iter().map(|entry| {
            let margin = " ".repeat(layout.indent + 2);
            format!("{}{margin}{dash}{entry}", layout.newline)
        });
        lines.collect()
    }

    /// Whether a file has these labels there.
    fn stands_in(&self, text: &str, hidden: &HiddenVariables) -> bool {
        let wanted: Labels = self
            .migrated
            .labels
            .keys()
            .map(|label| self.written_label(label, hidden))
            .collect();
        let written = || {
            let value = parse_merged(text).ok()?;
            let service = value.get("services")?.get(&self.service)?.as_mapping()?;
            Some(labels::labels_from_value(self.place.labels(service)))
        };
        written() == Some(wanted)
    }

    /// Returns what is to be changed in a file.
    fn edit_labels(
        &self,
        text: &str,
        source: &SourceNode,
        hidden: &HiddenVariables,
    ) -> Result<Vec<Edit>, InvalidInput> {
        let cant = || InvalidInput::new(tr!("the labels of {} {CANT_BE_WRITTEN}", self.service));
        let service = source.get("services").and_then(|s| s.get(&self.service));
        let mut node = service.ok_or_else(cant)?;
        for (depth, key) in self.place.keys().iter().enumerate() {
            match node.get(key) {
                Some(inner) => node = inner,
                None if depth + 1 == self.place.keys().len() => {
                    return self.add_labels(text, node, hidden).ok_or_else(cant);
                }
                None => return Err(cant()),
            }
        }
        if matches!(node.kind, SourceKind::Alias) {
            let layout = Layout::of_line(text, node.start);
            let labels = self.render_labels(hidden, &layout);
            let before = text[..node.start].trim_end_matches(' ').len();
            return Ok(vec![Edit::new(before..node.end, labels)]);
        }
        EntryEditor {
            block: self,
            text,
            hidden,
            flow: node.flow,
            entries: self.list_entries(text, node, hidden).ok_or_else(cant)?,
        }
        .edit_entries()
        .ok_or_else(cant)
    }

    /// Adds labels to a node that has none of its own: an alias, or a mapping with a merge.
    fn add_labels(
        &self,
        text: &str,
        node: &SourceNode,
        hidden: &HiddenVariables,
    ) -> Option<Vec<Edit>> {
        let mut layout = Layout::of_line(text, node.start);
        match &node.kind {
            SourceKind::Alias if !layout.flow => {
                layout.indent += 2;
                let margin = format!("{}{}", layout.newline, " ".repeat(layout.indent));
                let labels = self.render_labels(hidden, &layout);
                let alias = &text[node.start..node.end];
                let before = text[..node.start].trim_end_matches(' ').len();
                let new = format!("{margin}<<: {alias}{margin}labels:{labels}");
                Some(vec![Edit::new(before..node.end, new)])
            }
            SourceKind::Mapping(_) if node.flow => {
                layout.flow = true;
                let labels = self.render_labels(hidden, &layout);
                let at = node.start + 1;
                Some(vec![Edit::new(at..at, format!("labels:{labels}, "))])
            }
            SourceKind::Mapping(entries) => {
                let (first, _) = entries.first()?;
                let margin = format!("{}{}", layout.newline, " ".repeat(layout.indent));
                let labels = self.render_labels(hidden, &layout);
                let new = format!("labels:{labels}{margin}");
                Some(vec![Edit::new(first.start..first.start, new)])
            }
            _ => None,
        }
    }

    /// Lists the entries of the labels' own node.
    fn list_entries(
        &self,
        text: &str,
        node: &SourceNode,
        hidden: &HiddenVariables,
    ) -> Option<Vec<Entry>> {
        let trimmed = |start: usize, end: usize| start..start + text[start..end].trim_end().len();
        match &node.kind {
            SourceKind::Sequence(items) if self.list => items
                .iter()
                .map(|item| {
                    let SourceKind::Scalar(label) = &item.kind else {
                        return None;
                    };
                    let name = label
                        .split_once('=')
                        .map_or(label.as_str(), |(name, _)| name);
                    // The dash belongs to the item.
                    let start = match node.flow {
                        true => item.start,
                        false => text[..item.start]
                            .trim_end_matches([' ', '\t'])
                            .strip_suffix('-')?
                            .len(),
                    };
                    Some(Entry {
                        label: Some(hidden.hide_known_variables(name)?),
                        range: trimmed(start, item.end),
                    })
                })
                .collect(),
            SourceKind::Mapping(entries) if !self.list => entries
                .iter()
                .map(|(key, value)| {
                    let SourceKind::Scalar(label) = &key.kind else {
                        return None;
                    };
                    // A key without a value ends behind its colon.
                    let colon = text[key.end..]
                        .find(':')
                        .map_or(key.end, |at| key.end + at + 1);
                    Some(Entry {
                        label: (label != "<<").then(|| label.clone()),
                        range: trimmed(key.start, value.end.max(colon)),
                    })
                })
                .collect(),
            _ => None,
        }
    }
}

/// How the lines around a node are written.
struct Layout<'a> {
    indent: usize,
    newline: &'a str,
    flow: bool,
}

impl<'a> Layout<'a> {
    /// Returns the layout of the line in which a byte stands.
    fn of_line(text: &'a str, at: usize) -> Self {
        let start = line_start(text, at);
        let line = &text[start..at];
        Self {
            indent: line.len() - line.trim_start_matches(' ').len(),
            newline: usual_line_ending(text, at),
            flow: line.contains(['{', '[']),
        }
    }
}

/// An entry of a list or mapping of labels.
#[derive(Debug)]
struct Entry {
    /// Its label; none for a merge.
    label: Option<String>,
    range: Range<usize>,
}

/// Rewrites the entries of one list or mapping.
struct EntryEditor<'a> {
    block: &'a LabelBlock,
    text: &'a str,
    hidden: &'a HiddenVariables,
    flow: bool,
    entries: Vec<Entry>,
}

impl EntryEditor<'_> {
    fn edit_entries(&self) -> Option<Vec<Edit>> {
        let mut new: Vec<Option<Vec<String>>> = self.entries.iter().map(|_| None).collect();
        let home: std::collections::HashMap<&str, usize> = self
            .entries
            .iter()
            .enumerate()
            .filter_map(|(index, entry)| Some((entry.label.as_deref()?, index)))
            .collect();
        let merge = self.entries.iter().position(|entry| entry.label.is_none());
        let migrated = &self.block.migrated;
        let is_same = |label: &str| {
            !migrated.sources.contains_key(label) && migrated.labels.contains_key(label)
        };
        for (slot, entry) in new.iter_mut().zip(&self.entries) {
            let changed = entry.label.as_deref().is_some_and(|label| !is_same(label));
            *slot = changed.then(Vec::new);
        }
        // A merge stays where all that it brings stays.
        let mut inherited = self
            .block
            .old
            .keys()
            .filter(|l| !home.contains_key(l.as_str()));
        if let Some(merge) = merge
            && !inherited.clone().all(|label| is_same(label))
        {
            let kept = inherited.by_ref().filter(|label| is_same(label));
            new[merge] = Some(kept.map(|label| self.render(label)).collect());
        }
        let mut added = Vec::new();
        for (label, source) in &migrated.sources {
            let place = home
                .get(label.as_str())
                .or_else(|| home.get(source.as_str()));
            let from_merge = self.block.old.contains_key(source);
            let place = place.copied().or(merge.filter(|_| from_merge));
            match place.and_then(|at| new.get_mut(at)?.as_mut()) {
                Some(slot) => slot.push(self.render(label)),
                None => added.push(self.render(label)),
            }
        }
        let last = new.iter().rposition(Option::is_some)?;
        let mut edits = Vec::new();
        for (index, (entry, slot)) in self.entries.iter().zip(new).enumerate() {
            let Some(mut texts) = slot else {
                continue;
            };
            if index == last {
                texts.append(&mut added);
            }
            match self.flow {
                true => edits.push(self.edit_flow_entry(entry, &texts)),
                false => self.edit_line(entry, &texts, &mut edits),
            }
        }
        Some(edits)
    }

    fn render(&self, label: &str) -> String {
        let entry = self.block.render_entry(label, self.hidden, self.flow);
        match self.block.list && !self.flow {
            true => format!("- {entry}"),
            false => entry,
        }
    }

    fn edit_flow_entry(&self, entry: &Entry, texts: &[String]) -> Edit {
        let Range { start, mut end } = entry.range.clone();
        if texts.is_empty() {
            let rest = &self.text[end..];
            let comma = rest.len() - rest.trim_start().len();
            if rest[comma..].starts_with(',') {
                end += comma + 1;
                end += self.text[end..].len() - self.text[end..].trim_start_matches(' ').len();
            }
        }
        Edit::new(start..end, texts.join(", "))
    }

    /// The first new entry takes the place of the old one, and keeps the comment behind it.
    fn edit_line(&self, entry: &Entry, texts: &[String], edits: &mut Vec<Edit>) {
        let Range { start, end } = entry.range.clone();
        let line_end = end
            + self.text[end..]
                .find(['\r', '\n'])
                .unwrap_or(self.text.len() - end);
        let layout = Layout::of_line(self.text, start);
        let Some((first, others)) = texts.split_first() else {
            let comment = self.text[end..line_end].trim_start();
            edits.push(match comment.is_empty() {
                false => Edit::new(start..end, String::new()).eating_spaces(self.text),
                true => Edit::new(whole_line(self.text, start, line_end), String::new()),
            });
            return;
        };
        edits.push(Edit::new(start..end, first.clone()));
        let margin = " ".repeat(column(self.text, start));
        let more: String = others
            .iter()
            .map(|entry| format!("{}{margin}{entry}", layout.newline))
            .collect();
        if !more.is_empty() {
            edits.push(Edit::new(line_end..line_end, more));
        }
    }
}

/// A text that takes the place of another.
#[derive(Debug)]
struct Edit {
    range: Range<usize>,
    text: String,
}

impl Edit {
    fn new(range: Range<usize>, text: String) -> Self {
        Self { range, text }
    }

    /// Takes the spaces behind away, too.
    fn eating_spaces(mut self, text: &str) -> Self {
        let rest = &text[self.range.end..];
        self.range.end += rest.len() - rest.trim_start_matches([' ', '\t']).len();
        self
    }
}

/// Carries edits out. Of those that overlap the first counts; what comes of it is checked.
fn apply_edits(text: &str, mut edits: Vec<Edit>) -> String {
    edits.sort_by_key(|edit| (edit.range.start, edit.range.end));
    let mut out = String::with_capacity(text.len());
    let mut at = 0;
    for edit in edits {
        if edit.range.start < at {
            continue;
        }
        out.push_str(&text[at..edit.range.start]);
        out.push_str(&edit.text);
        at = edit.range.end;
    }
    out.push_str(&text[at..]);
    out
}

fn line_start(text: &str, at: usize) -> usize {
    text[..at]
        .rfind(['\r', '\n'])
        .map_or(0, |newline| newline + 1)
}

/// Characters between the beginning of a line and a byte in it.
fn column(text: &str, at: usize) -> usize {
    text[line_start(text, at)..at].chars().count()
}

/// Returns the characters that end the line of a byte, or in the last line the one before.
fn usual_line_ending(text: &str, at: usize) -> &str {
    let after = text[at..].find(['\r', '\n']).map(|end| at + end);
    let Some(end) = after.or_else(|| text[..at].find(['\r', '\n'])) else {
        return "\n";
    };
    match &text[end..] {
        rest if rest.starts_with("\r\n") => "\r\n",
        rest => &rest[..1],
    }
}

/// Returns a line with its ending. The last line takes the ending before it along, so that a file
/// without a newline at its end stays one.
fn whole_line(text: &str, start: usize, line_end: usize) -> Range<usize> {
    let start = line_start(text, start);
    let ending = match &text[line_end..] {
        rest if rest.starts_with("\r\n") => 2,
        "" => 0,
        _ => 1,
    };
    let mut begin = start;
    if ending == 0 {
        let before = &text[..start];
        begin = before
            .strip_suffix("\r\n")
            .or_else(|| before.strip_suffix(['\r', '\n']))
            .unwrap_or(before)
            .len();
    }
    begin..line_end + ending
}

/// Whether the new text differs from the old one only in the labels that were replaced.
fn differs_only_in_labels(mut old: Value, new: &str, blocks: &[&LabelBlock]) -> bool {
    let Ok(mut new) = parse_merged(new) else {
        return false;
    };
    let take = |file: &mut Value, block: &LabelBlock| {
        let service = file.get_mut("services")?.get_mut(&block.service)?;
        let holder = match block.place {
            LabelPlace::Service => service.get_mut("deploy")?,
            LabelPlace::Container => service,
        };
        holder.as_mapping_mut()?.remove("labels")
    };
    let taken =
        |block: &&LabelBlock| take(&mut old, block).is_some() && take(&mut new, block).is_some();
    blocks.iter().all(taken) && old == new
}

/// Words that YAML 1.1 takes for something else than a text.
const YAML_WORDS: [&str; 9] = ["y", "n", "yes", "no", "on", "off", "true", "false", "null"];

/// Writes a text as a scalar, quoted where it must be.
fn quote_scalar(text: &str, flow: bool) -> String {
    if text
        .chars()
        .any(|c| c.is_control() || matches!(c, '\u{85}' | '\u{2028}' | '\u{2029}' | '\u{feff}'))
    {
        return quote_with_escapes(text);
    }
    let begins = text.starts_with(|c: char| c.is_ascii_alphabetic() || c == '/');
    let plain = begins
        && !flow
        && !text.contains(": ")
        && !text.contains(" #")
        && !text.ends_with([':', ' '])
        && !YAML_WORDS.contains(&text.to_ascii_lowercase().as_str());
    match plain {
        true => text.to_owned(),
        false => format!("'{}'", text.replace('\'', "''")),
    }
}

/// Writes a text between double quotes, with the escapes of YAML.
fn quote_with_escapes(text: &str) -> String {
    let mut out = String::from("\"");
    for c in text.chars() {
        match c {
            '"' | '\\' => out.extend(['\\', c]),
            c if c.is_control() || !c.is_ascii() => {
                out.push_str(&format!("\\U{:08X}", u32::from(c)));
            }
            c => out.push(c),
        }
    }
    out.push('"');
    out
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_file_keeps_everything_but_its_labels() {
        let old = "# blog\nservices:\n  web:\n    image: ghost:2.4.0 # old\n    deploy:\n      labels:\n        traefik.port: 2368\n        traefik.frontend.rule: Host:${DOMAIN:?err}\n\n      # two\n      replicas: 1\nnetworks: {}\n";
        let (new, notes) = migrate_file("ghost.yml", old, "ghost", "le").unwrap();
        assert_eq!(
            new,
            "# blog\nservices:\n  web:\n    image: ghost:2.4.0 # old\n    deploy:\n      labels:\n        \
             traefik.http.services.ghost-web.loadbalancer.server.port: '2368'\n        \
             traefik.http.routers.ghost-web.rule: Host(`${DOMAIN:?err}`)\n        \
             traefik.enable: 'true'\n        \
             traefik.http.routers.ghost-web.entrypoints: websecure\n        \
             traefik.http.routers.ghost-web.service: ghost-web\n        \
             traefik.http.routers.ghost-web.tls.certresolver: le\n\n      # two\n      replicas: 1\nnetworks: {}\n"
        );
        assert_eq!(notes, [""; 0]);
        assert_eq!(
            migrate_file("ghost.yml", &new, "ghost", "le").unwrap().0,
            new
        );
    }

    #[test]
    fn endings_of_lines_stay_and_a_file_without_old_labels_does() {
        for same in ["services:\r\n  a: {}\r\n", "a: 1\r\r\n", "", "\n\n", "a: 1"] {
            assert_eq!(migrate_file("a.yml", same, "a", "le").unwrap().0, same);
        }
        let old = "services:\n  web:\n    deploy:\n      labels:\n        traefik.port: 80\n        traefik.frontend.rule: Host:a.org";
        let new = migrate_file("a.yml", old, "a", "le").unwrap().0;
        assert!(new.ends_with(".tls.certresolver: le"), "{new}");
        let (old, new) = (old.replace('\n', "\r\n"), new.replace('\n', "\r\n"));
        assert_eq!(migrate_file("a.yml", &old, "a", "le").unwrap().0, new);
    }

    #[test]
    fn labels_are_rewritten_however_they_are_written() {
        let labels = "{traefik.port: 80, traefik.frontend.rule: 'Host:a.org'}";
        let base = "services:\n  web:\n    image: a\n";
        for old in [
            format!("{base}    deploy: {{labels: {labels}, replicas: 2}}\n"),
            format!(
                "{base}    deploy: {{labels: [traefik.port=80, \"traefik.frontend.rule=Host:a.org\"]}}\n"
            ),
            format!("{base}    deploy:\n      labels: &l {labels}\n      replicas: 2\n"),
            format!("services: {{web: {{deploy: {{labels: {labels}}}}}}}\n"),
            format!("x-d: &d {{replicas: 2, labels: {labels}}}\n{base}    deploy: *d\n"),
            format!("x-l: &l {labels}\n{base}    deploy:\n      labels: *l\n"),
            format!(
                "x-l: &l {labels}\n{base}    deploy:\n      labels:\n        # all\n        <<: *l # same\n        other: 1\n"
            ),
            format!(
                "x-d: &d\n  replicas: 2\n  labels: {labels}\n{base}    deploy:\n      <<: *d\n      mode: global\n"
            ),
            format!(
                "x-d: &d\n  replicas: 2\n  labels: {labels}\n{base}    deploy: {{<<: *d, mode: global}}\n"
            ),
            format!(
                "{base}    labels:\n      traefik.port: >-\n        80\n      traefik.frontend.rule: |-\n        Host:a.org\n    x: 1\n"
            ),
            format!(
                "{base}    deploy:\n      labels:\n        - other=1\n        - 'traefik.port=80' # port\n        # rule\n\n        - \"traefik.frontend.rule=Host:a.org\"\n        - traefik.tags=a # tags\n        - traefik.weight\n        # end\n    x: 1\n"
            ),
        ] {
            let (new, _) =
                migrate_file("a.yml", &old, "a", "le").unwrap_or_else(|e| panic!("{old}: {e}"));
            assert!(new.contains("Host(`a.org`)"), "{new}");
            let comments = |text: &str| text.matches('#').count();
            assert_eq!(comments(&new), comments(&old), "{new}");
            // The second time there is nothing to do.
            assert_eq!(migrate_file("a.yml", &new, "a", "le").unwrap().0, new);
        }
    }

    #[test]
    fn nothing_is_written_where_other_values_would_change() {
        let labels = "{traefik.port: 80, traefik.frontend.rule: 'Host:a.org'}";
        for old in [
            // What has the alias would change with the labels.
            format!("services:\n  web:\n    deploy:\n      labels: &l {labels}\nx-l: *l\n"),
            format!("x-s: &s {{deploy: {{labels: {labels}}}}}\nservices:\n  web: *s\n"),
            format!("x-s: &s {{deploy: {{labels: {labels}}}}}\nservices:\n  web:\n    <<: *s\n"),
        ] {
            let error = migrate_file("a.yml", &old, "a", "le")
                .unwrap_err()
                .to_string();
            assert!(error.contains("can't be rewritten"), "{error}");
        }
    }

    #[test]
    fn dollar_signs_are_what_they_were() {
        let old = "services:\n  web:\n    deploy:\n      labels:\n        - traefik.port=$PORT\n        - traefik.frontend.rule=HostRegexp:{a:[a-z]+}.${DOMAIN:-a.org,{b}};ReplacePathRegex:^/(.*) /x/$$1\n        - traefik.frontend.auth.basic=u:$$apr1$$x\n";
        let (new, _) = migrate_file("a.yml", old, "a", "le").unwrap();
        for wanted in [
            "server.port=$PORT\n",
            "rule=HostRegexp(`^[a-z]+\\.${DOMAIN:-a.org,{b}}$$`)\n",
            "replacement=/x/$$1\n",
            "users=u:$$apr1$$x\n",
        ] {
            assert!(new.contains(wanted), "{wanted}: {new}");
        }
    }

    #[test]
    fn lists_stay_lists_and_errors_name_the_line() {
        let old = "services:\n  web:\n    image: a:1\n    deploy:\n      labels:\n      - traefik.port=80\n      - traefik.frontend.rule=Host:a.org\n      replicas: 2\n";
        let (new, _) = migrate_file("a.yml", old, "a", "le").unwrap();
        assert!(
            new.contains("\n      - traefik.http.routers.a-web.rule=Host(`a.org`)\n"),
            "{new}"
        );
        assert!(new.ends_with("      replicas: 2\n"), "{new}");
        let wrong = old.replace("Host:a.org", "Hots:a.org");
        let error = migrate_file("a.yml", &wrong, "a", "le").unwrap_err();
        assert!(error.to_string().starts_with("a.yml:5: "), "{error}");
    }
}
