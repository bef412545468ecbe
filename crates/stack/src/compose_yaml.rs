//! Reads YAML as the engine's client reads it, and writes it so that the client reads the same.
//!
//! The client's library is go-yaml v3, which takes numbers as YAML 1.1 writes them (`0440`, `1_000`),
//! booleans as YAML 1.2 does, and merges `<<`. Source: gopkg.in/yaml.v3, resolve.go and decode.go.

use std::borrow::Cow;
use std::collections::HashMap;

use matou_i18n::tr;
use saphyr_parser::{Event, Parser, ScalarStyle, ScanError, Span, StrInput, Tag};
use serde_yaml::{Mapping, Value};

/// Most that a file may expand to when its aliases are written out: values, and sixteenths of text.
pub(super) const MAX_EXPANSION: usize = 1 << 20;

/// Deepest nesting.
const DEEPEST: usize = 128;

/// Most problems that are told of one file.
const MAX_PROBLEMS: usize = 100;

/// Most lines of a file that are read as if they stood further to the right: it is read once more for
/// each.
const MOST_INDENTED: usize = 1_000;

/// Most text that is read for that, bytes.
const MOST_READ_AGAIN: usize = 32 << 20;

/// Longest key that is written in one line, bytes: the client's parser looks 1024 characters ahead.
const LONGEST_KEY: usize = 512;

/// What stands in the first document of a file.
#[derive(Debug, Clone, Default)]
pub(super) struct ComposeDocument {
    /// Aliases are written out, `<<` is merged, keys are texts.
    pub value: Value,
    /// What the engine's client refuses, with its line; the value holds what comes nearest.
    pub problems: Vec<ReadProblem>,
    /// Line of a second document, which the client leaves out.
    pub second_document: Option<usize>,
}

/// What the engine's client refuses in a file.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct ReadProblem {
    /// Counted from 1.
    pub line: usize,
    /// What is wrong, and what to write.
    pub message: String,
}

impl ReadProblem {
    fn new(span: Span, message: impl Into<String>) -> Self {
        Self {
            line: span.start.line(),
            message: message.into(),
        }
    }
}

impl From<ScanError> for ReadProblem {
    fn from(e: ScanError) -> Self {
        Self {
            line: e.marker().line(),
            message: tr!("this is no YAML: {}", e.info()),
        }
    }
}

/// Reads a file.
///
/// # Errors
/// What makes it unreadable: it is no YAML, its aliases lead nowhere, or make too much of it.
pub(super) fn read_compose(text: &str) -> Result<ComposeDocument, ReadProblem> {
    let text = text.strip_prefix('\u{feff}').unwrap_or(text);
    let mut reader = ComposeReader {
        events: Parser::new_from_str(text),
        anchors: HashMap::new(),
        room: MAX_EXPANSION,
        problems: Vec::new(),
    };
    let mut document = ComposeDocument::default();
    while let Some(next) = reader.events.next() {
        match next?.0 {
            Event::DocumentStart(_) => {
                let (event, span) = reader.next_event()?;
                document.value = reader.read_node(event, span, 0)?.value;
                break;
            }
            Event::StreamEnd => break,
            _ => {}
        }
    }
    // What follows may be anything: the client looks no further either.
    let mut rest = reader.events.by_ref().map_while(Result::ok);
    document.second_document = rest
        .find(|(event, _)| matches!(event, Event::DocumentStart(_)))
        .map(|(_, span)| span.start.line());
    document.problems = reader.problems;
    Ok(document)
}

/// Reads a file whose flow collections may end, or go on, no further to the right than they began: the
/// client takes those. Returns the text as it was read, line for line.
///
/// # Errors
/// As [`read_compose`].
pub(super) fn read_loose_compose(
    text: &str,
) -> Result<(ComposeDocument, Cow<'_, str>), ReadProblem> {
    let mut indented = Cow::Borrowed(text);
    let mut error = None;
    let most = MOST_INDENTED.min(MOST_READ_AGAIN / text.len().max(1));
    for _ in 0..=most {
        match read_compose(&indented) {
            Ok(document) => {
                // Another parser has to see the same in both.
                let same = || {
                    let read = |text: &str| serde_yaml::from_str::<Value>(text).ok();
                    read(text).is_some_and(|value| read(&indented) == Some(value))
                };
                match error {
                    Some(error) if !same() => return Err(error),
                    _ => return Ok((document, indented)),
                }
            }
            Err(problem) => {
                let indent = " ".repeat(DEEPEST);
                let mut line = problem.line;
                if problem.message.contains("quoted scalar") {
                    // Of a scalar, the line where it begins is told.
                    let mut after = indented.lines().enumerate().skip(line);
                    let next = after.find(|(_, text)| !text.starts_with(&indent));
                    line = next.map_or(usize::MAX, |(i, _)| i + 1);
                }
                let is_stuck = indented
                    .lines()
                    .nth(line.saturating_sub(1))
                    .is_none_or(|line| line.starts_with(&indent));
                let error = error.get_or_insert(problem);
                if is_stuck || !error.message.contains("indentation") {
                    return Err(error.clone());
                }
                let lines = indented.split_inclusive('\n').enumerate();
                let lines = lines.flat_map(|(i, text)| match i + 1 == line {
                    true => [indent.as_str(), text],
                    false => ["", text],
                });
                indented = Cow::Owned(lines.collect());
            }
        }
    }
    let message = tr!("too many lines stand too far to the left").to_owned();
    Err(error.unwrap_or(ReadProblem { line: 1, message }))
}

/// A value with what it counts for where it is written out.
#[derive(Debug, Clone)]
struct ReadNode {
    value: Value,
    size: usize,
    is_alias: bool,
    /// A plain `<<`.
    is_merge_key: bool,
}

struct ComposeReader<'a> {
    events: Parser<'a, StrInput<'a>>,
    anchors: HashMap<usize, ReadNode>,
    /// What the file may still expand to.
    room: usize,
    problems: Vec<ReadProblem>,
}

impl<'a> ComposeReader<'a> {
    fn next_event(&mut self) -> Result<(Event<'a>, Span), ReadProblem> {
        match self.events.next() {
            Some(next) => Ok(next?),
            None => Err(ReadProblem {
                line: 1,
                message: tr!("this is no YAML: it ends too early").into(),
            }),
        }
    }

    fn add_problem(&mut self, span: Span, message: String) {
        if self.problems.len() < MAX_PROBLEMS {
            self.problems.push(ReadProblem::new(span, message));
        }
    }

    fn use_room(&mut self, span: Span, size: usize) -> Result<(), ReadProblem> {
        let message = tr!("its aliases make more of it than can be kept");
        let left = self.room.checked_sub(size);
        self.room = left.ok_or_else(|| ReadProblem::new(span, message))?;
        Ok(())
    }

    fn read_node(
        &mut self,
        event: Event<'a>,
        span: Span,
        depth: usize,
    ) -> Result<ReadNode, ReadProblem> {
        if depth > DEEPEST {
            let message = tr!("it is nested more than {DEEPEST} deep");
            return Err(ReadProblem::new(span, message));
        }
        let (anchor, node) = match event {
            Event::Alias(anchor) => {
                let message =
                    tr!("an alias leads to an anchor that is not there, or that holds it");
                let known = self.anchors.get(&anchor).cloned();
                let known = known.ok_or_else(|| ReadProblem::new(span, message))?;
                self.use_room(span, known.size)?;
                let is_alias = true;
                return Ok(ReadNode { is_alias, ..known });
            }
            Event::Scalar(text, style, anchor, tag) => (
                anchor,
                self.read_scalar(&text, style, tag.as_deref(), span)?,
            ),
            Event::SequenceStart(anchor, _) => (anchor, self.read_sequence(depth)?),
            Event::MappingStart(anchor, _) => (anchor, self.read_mapping(span, depth)?),
            _ => {
                return Err(ReadProblem::new(
                    span,
                    tr!("this is no YAML: a value is missing"),
                ));
            }
        };
        if anchor > 0 {
            self.use_room(span, node.size)?;
            let is_merge_key = false;
            let kept = ReadNode {
                is_merge_key,
                ..node.clone()
            };
            self.anchors.insert(anchor, kept);
        }
        Ok(node)
    }

    fn read_scalar(
        &mut self,
        text: &str,
        style: ScalarStyle,
        tag: Option<&Tag>,
        span: Span,
    ) -> Result<ReadNode, ReadProblem> {
        let size = 1 + text.len() / 16;
        self.use_room(span, size)?;
        let core = tag.filter(|t| t.is_yaml_core_schema());
        let plain = style == ScalarStyle::Plain && tag.is_none();
        let value = match core.map(|t| t.suffix.as_str()) {
            Some("str") => text.into(),
            Some(kind @ ("null" | "bool" | "int" | "float")) => match typed_value(kind, text) {
                Some(value) => value,
                None => {
                    self.add_problem(span, tr!("`{text}` is no {kind}, as its tag says"));
                    text.into()
                }
            },
            Some("timestamp") => format_timestamp(text).map_or_else(|| text.into(), Value::from),
            Some("binary") => {
                let message = tr!("the tag !!binary is not known here: write the text itself");
                self.add_problem(span, message.into());
                text.into()
            }
            _ if plain => resolve_plain(text),
            _ => text.into(),
        };
        Ok(ReadNode {
            value,
            size,
            is_alias: false,
            is_merge_key: plain && text == "<<",
        })
    }

    fn read_sequence(&mut self, depth: usize) -> Result<ReadNode, ReadProblem> {
        let mut items = Vec::new();
        let mut size = 1;
        loop {
            let (event, span) = self.next_event()?;
            if event == Event::SequenceEnd {
                self.use_room(span, 1)?;
                break;
            }
            let item = self.read_node(event, span, depth + 1)?;
            size += item.size;
            items.push(item.value);
        }
        Ok(ReadNode {
            value: items.into(),
            size,
            is_alias: false,
            is_merge_key: false,
        })
    }

    fn read_mapping(&mut self, span: Span, depth: usize) -> Result<ReadNode, ReadProblem> {
        self.use_room(span, 1)?;
        let mut entries = Mapping::new();
        let mut merged: Option<(Span, MergedMappings)> = None;
        let mut size = 1;
        loop {
            let (event, span) = self.next_event()?;
            if event == Event::MappingEnd {
                break;
            }
            let key = self.read_node(event, span, depth + 1)?;
            let (event, value_span) = self.next_event()?;
            if key.is_merge_key {
                let (added, found) = self.read_merged(event, value_span, depth + 1)?;
                size += added;
                if merged.replace((span, found)).is_some() {
                    let message = tr!("`<<` stands twice here: write `<<: [*a, *b]`");
                    return Err(ReadProblem::new(span, message));
                }
                continue;
            }
            let value = self.read_node(event, value_span, depth + 1)?;
            size += key.size + value.size;
            let name = self.key_name(key.value, span)?;
            if entries.contains_key(name.as_str()) {
                self.add_problem(span, tr!("the key {name} stands here twice"));
            }
            entries.insert(name.into(), value.value);
        }
        // What stands in the mapping itself wins, then what is merged first.
        for mapping in merged.into_iter().flat_map(|(_, found)| found) {
            for (key, value) in mapping {
                entries.entry(key).or_insert(value);
            }
        }
        Ok(ReadNode {
            value: entries.into(),
            size,
            is_alias: false,
            is_merge_key: false,
        })
    }

    /// Returns a key as text. The client refuses keys of other kinds.
    fn key_name(&mut self, key: Value, span: Span) -> Result<String, ReadProblem> {
        match key {
            Value::String(text) => Ok(text),
            Value::Null | Value::Bool(_) | Value::Number(_) => {
                let text = engine_text(&key);
                let message = match key {
                    Value::Null => tr!("a key is missing before the colon").to_owned(),
                    _ => tr!("the key {text} is no text: write it in quotes"),
                };
                self.add_problem(span, message);
                Ok(text)
            }
            _ => Err(ReadProblem::new(
                span,
                tr!("a key is a text, no list or mapping"),
            )),
        }
    }

    /// Reads the value of `<<`: a mapping, or a list of mappings.
    fn read_merged(
        &mut self,
        event: Event<'a>,
        span: Span,
        depth: usize,
    ) -> Result<(usize, MergedMappings), ReadProblem> {
        let merged = self.read_node(event, span, depth)?;
        let size = merged.size;
        let all = match merged.value {
            Value::Mapping(one) => Some(vec![one]),
            Value::Sequence(items) if !merged.is_alias => items
                .into_iter()
                .map(|item| match item {
                    Value::Mapping(one) => Some(one),
                    _ => None,
                })
                .collect(),
            _ => None,
        };
        let message = tr!("`<<` merges a mapping (`*a`), or a list of them (`[*a, *b]`)");
        Ok((size, all.ok_or_else(|| ReadProblem::new(span, message))?))
    }
}

/// What one `<<` merges, in order.
type MergedMappings = Vec<Mapping>;

/// Returns what a plain scalar stands for.
pub(super) fn resolve_plain(text: &str) -> Value {
    match text {
        "" | "~" | "null" | "Null" | "NULL" => return Value::Null,
        "true" | "True" | "TRUE" => return true.into(),
        "false" | "False" | "FALSE" => return false.into(),
        ".nan" | ".NaN" | ".NAN" => return f64::NAN.into(),
        ".inf" | ".Inf" | ".INF" | "+.inf" | "+.Inf" | "+.INF" => return f64::INFINITY.into(),
        "-.inf" | "-.Inf" | "-.INF" => return f64::NEG_INFINITY.into(),
        _ => {}
    }
    match text.as_bytes().first() {
        Some(b'.') => resolve_dotted(text),
        Some(b'0'..=b'9' | b'+' | b'-') => match format_timestamp(text) {
            Some(time) => Some(time.into()),
            None => resolve_number(text),
        },
        _ => None,
    }
    .unwrap_or_else(|| text.into())
}

fn typed_value(kind: &str, text: &str) -> Option<Value> {
    let value = match format_timestamp(text) {
        Some(_) => return None,
        None => resolve_plain(text),
    };
    match (kind, &value) {
        ("null", Value::Null) | ("bool", Value::Bool(_)) => Some(value),
        ("int", Value::Number(n)) if !n.is_f64() => Some(value),
        ("float", Value::Number(n)) => n.as_f64().map(Value::from),
        _ => None,
    }
}

fn resolve_number(text: &str) -> Option<Value> {
    let plain = text.replace('_', "");
    let (negative, digits) = match plain.as_bytes().first() {
        Some(b'-') => (true, &plain[1..]),
        Some(b'+') => (false, &plain[1..]),
        _ => (false, plain.as_str()),
    };
    let (base, digits) = match digits.as_bytes() {
        [b'0', b'x' | b'X', _, ..] => (16, &digits[2..]),
        [b'0', b'b' | b'B', _, ..] => (2, &digits[2..]),
        [b'0', b'o' | b'O', _, ..] => (8, &digits[2..]),
        [b'0', _, ..] => (8, &digits[1..]),
        _ => (10, digits),
    };
    let signed = digits.starts_with(['+', '-']);
    if let Some(n) = u64::from_str_radix(digits, base).ok().filter(|_| !signed) {
        let small = i64::try_from(n).ok();
        match (negative, small) {
            (true, Some(n)) => return Some((-n).into()),
            (true, None) if n == i64::MIN.unsigned_abs() => return Some(i64::MIN.into()),
            (false, Some(n)) => return Some(n.into()),
            (false, None) if !plain.starts_with('+') => return Some(n.into()),
            _ => {}
        }
    }
    resolve_float(&plain)
}

/// Reads `.5` and `.5_0`: an underscore stands between digits there.
fn resolve_dotted(text: &str) -> Option<Value> {
    let digit = |at: Option<usize>| {
        let byte = at.and_then(|at| text.as_bytes().get(at));
        byte.is_some_and(u8::is_ascii_digit)
    };
    let mut underscores = text.match_indices('_');
    let good = underscores.all(|(at, _)| digit(at.checked_sub(1)) && digit(Some(at + 1)));
    let plain = text.replace('_', "");
    resolve_float(&plain).filter(|_| good)
}

/// Reads `1.5e3`, `.5`, `5.`; neither hexadecimal ones nor words.
fn resolve_float(text: &str) -> Option<Value> {
    let unsigned = text.strip_prefix(['+', '-']).unwrap_or(text);
    let (mantissa, exponent) = match unsigned.find(['e', 'E']) {
        Some(at) => (&unsigned[..at], Some(&unsigned[at + 1..])),
        None => (unsigned, None),
    };
    let digits = |s: &str| !s.is_empty() && s.bytes().all(|b| b.is_ascii_digit());
    let (whole, part) = mantissa.split_once('.').unwrap_or((mantissa, ""));
    let good = match whole.is_empty() {
        true => digits(part),
        false => digits(whole) && (part.is_empty() || digits(part)),
    };
    let exponent = exponent.map(|e| e.strip_prefix(['+', '-']).unwrap_or(e));
    if !good || !exponent.is_none_or(digits) {
        return None;
    }
    let number: f64 = text.parse().ok()?;
    number.is_finite().then(|| number.into())
}

/// Returns a date, or a date with a time, as the client writes it where it wants a text.
/// Source: Go's `time.Time.String`.
fn format_timestamp(text: &str) -> Option<String> {
    let year = text.get(..4)?;
    if !year.bytes().all(|b| b.is_ascii_digit()) || text.as_bytes().get(4) != Some(&b'-') {
        return None;
    }
    let (date, time) = match text.find(['T', 't', ' ']) {
        Some(at) => (&text[..at], Some((text.as_bytes()[at], &text[at + 1..]))),
        None => (text, None),
    };
    let number = |s: &str, most: usize| {
        let good = !s.is_empty() && s.len() <= most && s.bytes().all(|b| b.is_ascii_digit());
        s.parse::<i8>().ok().filter(|_| good)
    };
    let (month, day) = date.get(5..)?.split_once('-')?;
    let date = jiff::civil::Date::new(year.parse().ok()?, number(month, 2)?, number(day, 2)?);
    let date = date.ok()?;
    let Some((separator, time)) = time else {
        return Some(format!("{date} 00:00:00 +0000 UTC"));
    };
    let (time, zone) = match separator {
        b' ' => (time, "+0000 UTC".to_owned()),
        _ => match time.strip_suffix('Z') {
            Some(time) => (time, "+0000 UTC".to_owned()),
            None => {
                let at = time.len().checked_sub(6)?;
                let (time, zone) = (time.get(..at)?, time.get(at..)?);
                let (sign, hours) = (zone.get(..1)?, zone.get(1..3)?);
                let minutes = zone.get(4..)?;
                if !["+", "-"].contains(&sign) || zone.as_bytes()[3] != b':' {
                    return None;
                }
                if number(hours, 2)? > 24 || number(minutes, 2)? > 60 {
                    return None;
                }
                let offset = format!("{sign}{hours}{minutes}");
                let zone = match hours == "00" && minutes == "00" {
                    true => "+0000 UTC".to_owned(),
                    false => format!("{offset} {offset}"),
                };
                (time, zone)
            }
        },
    };
    let (time, part) = time.split_once('.').unwrap_or((time, ""));
    let mut fields = time.split(':').map(|f| number(f, 2));
    let (hour, minute, second) = (fields.next()??, fields.next()??, fields.next()??);
    let whole = fields.next().is_none() && hour < 24 && minute < 60 && second < 60;
    if !whole || !part.bytes().all(|b| b.is_ascii_digit()) {
        return None;
    }
    let part = part.get(..9).unwrap_or(part).trim_end_matches('0');
    let dot = if part.is_empty() { "" } else { "." };
    Some(format!(
        "{date} {hour:02}:{minute:02}:{second:02}{dot}{part} {zone}"
    ))
}

/// Returns a scalar as the text that the client takes it for. Source: Go's `fmt.Sprint`.
pub(super) fn engine_text(value: &Value) -> String {
    match value {
        Value::String(s) => s.clone(),
        Value::Null => String::new(),
        Value::Number(n) => match n.as_f64().filter(|_| n.is_f64()) {
            Some(float) => format_float(float),
            None => n.to_string(),
        },
        other => serde_yaml::to_string(other)
            .unwrap_or_default()
            .trim_end()
            .to_owned(),
    }
}

/// Writes a float as Go does: the shortest digits, with an exponent below 0.0001 and from a million on.
fn format_float(float: f64) -> String {
    if !float.is_finite() {
        return match float.is_nan() {
            true => "NaN".into(),
            false if float > 0.0 => "+Inf".into(),
            false => "-Inf".into(),
        };
    }
    let shortest = format!("{float:e}");
    let Some((mantissa, exponent)) = shortest.split_once('e') else {
        return shortest;
    };
    let exponent: i32 = exponent.parse().unwrap_or_default();
    if (-4..6).contains(&exponent) {
        return format!("{float}");
    }
    let sign = if exponent < 0 { '-' } else { '+' };
    format!("{mantissa}e{sign}{:02}", exponent.abs())
}

/// Writes a value in block style. Texts that the client would take for numbers, dates or booleans
/// are in quotes.
pub(super) fn write_compose(value: &Value) -> String {
    let mut out = String::new();
    write_node(value, 0, false, &mut out);
    out
}

/// Writes a value after its key or dash, with the end of its line.
fn write_node(value: &Value, indent: usize, after_key: bool, out: &mut String) {
    match value {
        Value::Mapping(map) if !map.is_empty() => {
            if after_key {
                out.push('\n');
            }
            for (i, (key, value)) in map.iter().enumerate() {
                if i > 0 || after_key {
                    out.extend(std::iter::repeat_n(' ', indent));
                }
                write_key(&engine_text(key), indent, out);
                let deeper = match value {
                    Value::Sequence(_) => indent,
                    _ => indent + 2,
                };
                write_node(value, deeper, true, out);
            }
        }
        Value::Sequence(items) if !items.is_empty() => {
            if after_key {
                out.push('\n');
            }
            for (i, item) in items.iter().enumerate() {
                if i > 0 || after_key {
                    out.extend(std::iter::repeat_n(' ', indent));
                }
                out.push('-');
                if !matches!(item, Value::Mapping(m) if !m.is_empty())
                    && !matches!(item, Value::Sequence(s) if !s.is_empty())
                {
                    write_node(item, indent + 2, true, out);
                } else {
                    out.push(' ');
                    write_node(item, indent + 2, false, out);
                }
            }
        }
        Value::Tagged(tagged) => write_node(&tagged.value, indent, after_key, out),
        scalar => {
            if after_key {
                out.push(' ');
            }
            out.push_str(&match scalar {
                Value::Mapping(_) => "{}".to_owned(),
                Value::Sequence(_) => "[]".to_owned(),
                Value::String(text) => write_text(text, indent.saturating_sub(2)),
                other => serde_yaml::to_string(other)
                    .unwrap_or_default()
                    .trim_end()
                    .to_owned(),
            });
            out.push('\n');
        }
    }
}

fn write_key(key: &str, indent: usize, out: &mut String) {
    let key = match key.contains('\n') {
        true => quote_twice(key),
        false => write_text(key, indent),
    };
    if key.len() > LONGEST_KEY {
        out.push_str("? ");
        out.push_str(&key);
        out.push('\n');
        out.extend(std::iter::repeat_n(' ', indent));
    } else {
        out.push_str(&key);
    }
    out.push(':');
}

/// Writes a text, quoted where it needs that. Its lines stand below what `indent` belongs to.
fn write_text(text: &str, indent: usize) -> String {
    let simple = |b: u8| b.is_ascii_alphanumeric() || b"_./-".contains(&b);
    let first = text.as_bytes().first();
    let word = first.is_some_and(|b| b.is_ascii_alphabetic() || *b == b'/');
    let is_long_word = word && text.len() > 5 && text.bytes().all(simple);
    if is_long_word {
        return text.to_owned();
    }
    if text.contains(needs_escape) {
        return quote_twice(text);
    }
    let written = serde_yaml::to_string(text).unwrap_or_default();
    let written = written.strip_suffix('\n').unwrap_or(&written);
    let block = written
        .strip_prefix("|-\n")
        .or_else(|| written.strip_prefix("|\n"));
    if let Some(block) = block {
        // With an explicit end, or lines of spaces alone, the quoted form is the plain one.
        if text.ends_with("\n\n") || text.contains(" \n") {
            return quote_twice(text);
        }
        let mut out = written[..written.len() - block.len()].trim_end().to_owned();
        for line in block.split('\n') {
            out.push('\n');
            if !line.is_empty() {
                out.extend(std::iter::repeat_n(' ', indent));
                out.push_str(line);
            }
        }
        return out;
    }
    if written == text {
        return match resolve_plain(text) {
            Value::String(read) if read == text && text != "<<" && text != "=" => text.to_owned(),
            _ => format!("'{text}'"),
        };
    }
    match written.starts_with(['\'', '"']) && !written.contains('\n') {
        true => written.to_owned(),
        false => quote_twice(text),
    }
}

/// Whether a character is written as an escape: controls, and line ends of YAML 1.1 alone.
fn needs_escape(c: char) -> bool {
    c != '\n' && c.is_control() || matches!(c, '\u{2028}' | '\u{2029}' | '\u{feff}')
}

/// Writes a text in double quotes, in one line.
fn quote_twice(text: &str) -> String {
    let mut out = String::from("\"");
    for c in text.chars() {
        match c {
            '"' | '\\' => out.extend(['\\', c]),
            '\n' => out.push_str("\\n"),
            '\t' => out.push_str("\\t"),
            '\r' => out.push_str("\\r"),
            c if needs_escape(c) => {
                out.push_str(&format!("\\u{:04x}", u32::from(c)));
            }
            c => out.push(c),
        }
    }
    out.push('"');
    out
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;
    use proptest::strategy::ValueTree as _;
    use proptest::test_runner::TestRunner;

    use super::*;
    use crate::engine_client::ask_client;

    /// Texts that a pattern makes, the same each time.
    fn texts_of(pattern: &str, count: usize) -> Vec<String> {
        let texts = proptest::string::string_regex(pattern).unwrap();
        let mut runner = TestRunner::deterministic();
        let one = |_| texts.new_tree(&mut runner).unwrap().current();
        (0..count).map(one).collect()
    }

    /// Asks the client for the variables of a service whose file is made by `write`.
    fn client_environment(file: &str) -> Option<Mapping> {
        let read = ask_client(file, std::path::Path::new("."), &[])?.unwrap();
        Some(
            read["services"]["w"]["environment"]
                .as_mapping()
                .unwrap()
                .clone(),
        )
    }

    /// As the client writes it: booleans can't stand in `environment`.
    fn is_told_by_client(value: &Value) -> bool {
        match value {
            Value::Bool(_) => false,
            Value::Number(n) => n.as_f64().is_none_or(f64::is_finite),
            _ => true,
        }
    }

    #[test]
    fn plain_scalars_are_what_they_are_to_the_client() {
        let mut plain: Vec<String> = "0440 0o440 0O17 0b11 0B11 0x10 0X1F 1_000 +5 -0x10 -0o7 089 22:22 \
            1:30:00 1e3 1.5e3 .5 5. 1_0.5 yes Yes no on off y n tRue ~ null Null NULL 2001-01-01 \
            2001-1-1 2001-01-01T10:00:00Z 2001-02-30 2001-13-01 2001-01-01t1:2:3.50Z = \
            2001-01-01T10:00:00+02:00 2001-01-01T10:00:00-00:30 2001-01-01T24:00:00Z 2001-1-1T1:1:1 \
            18446744073709551615 18446744073709551616 9223372036854775808 -9223372036854775808 \
            -9223372036854775809 +18446744073709551615 1__0 _1 0_7 0x_1F 1.10 1e20 1e21 1e-7 0.0001 \
            0.00001 123456789.0 100000.0 1000000.0 999999.5 1e400 1e-400 0o8 0b2 -0 +0x1F +.5 -1_0 \
            0. 0e0 00 08 1. 1.e5 .e5 +-5 0x 0b 0o 0x-1 12e 12e+ 1-2 --5 +.inf1 .5_0 -.5e1 1.2.3 \
            0x1p4 1e5_0 infinity nan .Inf1 0b1111 0o7_7 077.5 0_ 1_ 2001-01-01_ a_1 9999999999.25"
            .split_whitespace()
            .map(str::to_owned)
            .collect();
        plain.push("2001-01-01 10:00:00".into());
        plain.push("2001-01-01 10:00:00.123456789 ".trim_end().into());
        plain.push("2001-01-01 10:00:00 +02:00".into());
        plain.extend(texts_of("[-+]?[0-9][0-9_.xobe+]{0,6}[0-9]?", 400));
        plain.extend(texts_of("[.0-9~nNtTfFyYoO][a-zA-Z0-9_]{0,4}", 200));
        plain.extend(texts_of("20[0-9]{2}-[0-9]{1,2}-[0-9]{1,2}([Tt ][0-9]{1,2}:[0-9]{1,2}:[0-9]{1,2}(\\.[0-9]{1,4})?Z?)?", 200));
        plain.retain(|text| is_told_by_client(&resolve_plain(text)));
        let mut file = String::from("services:\n  w:\n    image: i\n    environment:\n");
        for (i, text) in plain.iter().enumerate() {
            file += &format!("      K{i}: {text}\n");
        }
        let Some(theirs) = client_environment(&file) else {
            return;
        };
        let read = read_compose(&file).unwrap();
        assert_eq!(read.problems, []);
        let ours = &read.value["services"]["w"]["environment"];
        for (i, text) in plain.iter().enumerate() {
            let key = format!("K{i}");
            let theirs = theirs[key.as_str()].as_str();
            let ours = &ours[key.as_str()];
            let ours = (!ours.is_null()).then(|| engine_text(ours));
            assert_eq!(ours.as_deref(), theirs, "{text}");
        }
    }

    #[test]
    fn what_is_written_is_what_the_client_reads() {
        let mut texts: Vec<String> = [
            "",
            " ",
            "a",
            "yes",
            "on",
            "0440",
            "1_000",
            "2001-01-01",
            "22:22",
            "<<",
            "=",
            "~",
            "null",
            "1e3",
            ".5",
            "- a",
            "? a",
            ": a",
            "a: b",
            "a #b",
            "#a",
            "a\nb",
            "a\nb\n",
            "a\n\n",
            "\n",
            "\na",
            " a\nb",
            "a\n b\n",
            "a \nb",
            "a\tb",
            "\ta",
            "a\r\nb",
            "'",
            "\"",
            "a'b\"c",
            "%a",
            "@a",
            "`a`",
            "!a",
            "&a",
            "*a",
            "[a",
            "{a}",
            "]",
            ",",
            "a,b",
            "---",
            "...",
            "--- a",
            "|",
            ">",
            "\u{feff}a",
            "\u{7}",
            "\u{85}x",
            "\u{2028}x",
            "é",
            "日本",
            "😀",
            "a\\b",
            "true",
            "0x1F",
            "-",
            "-1",
            "+1",
            "0o17",
            "2001-01-01 10:00:00",
            "a:",
            ":a",
            "a\n\nb\n",
            "#!/bin/sh\nset -e\n\n  if x; then\n\ty\n  fi\n",
            "\n\n",
            "x\n#y\n",
            "a\n---\nb",
        ]
        .map(str::to_owned)
        .into();
        texts.push("long ".repeat(400));
        texts.extend(texts_of("[ -~\n\t]{0,12}", 400));
        texts.extend(texts_of("[ab:# \n-]{0,10}", 400));
        texts.extend(texts_of("[-+.0-9_eExobTZ: ]{1,12}", 400));
        texts.extend(texts_of("\\PC{0,8}", 200));
        // What the client prints of these, no parser reads as it was.
        texts
            .retain(|text| !(text.starts_with('\n') || text.contains('\n') && text.contains('\t')));
        let environment: Mapping = texts
            .iter()
            .enumerate()
            .map(|(i, text)| (format!("K{i}").into(), crate::escape_dollars(text).into()))
            .collect();
        let command: Vec<Value> = texts
            .iter()
            .map(|text| crate::escape_dollars(text).into())
            .collect();
        let file = |service: Mapping| {
            let services = Mapping::from_iter([("w".into(), Value::Mapping(service))]);
            Value::Mapping(Mapping::from_iter([("services".into(), services.into())]))
        };
        let file = file(Mapping::from_iter([
            ("image".into(), "i".into()),
            ("environment".into(), environment.into()),
            ("command".into(), command.into()),
        ]));
        let written = write_compose(&file);
        let read = read_compose(&written).unwrap();
        for (i, text) in texts.iter().enumerate() {
            let text = crate::escape_dollars(text);
            let service = &read.value["services"]["w"];
            assert_eq!(service["environment"][format!("K{i}")], text, "K{i}");
            assert_eq!(service["command"][i], text, "{i}");
        }
        assert_eq!((read.value, read.problems), (file, Vec::new()));
        let Some(theirs) = ask_client(&written, std::path::Path::new("."), &[]) else {
            return;
        };
        let service = &theirs.unwrap()["services"]["w"];
        for (i, text) in texts.iter().enumerate() {
            let is = service["environment"][format!("K{i}")].as_str();
            assert_eq!(is, Some(text.as_str()), "K{i}");
            assert_eq!(service["command"][i].as_str(), Some(text.as_str()), "{i}");
        }
    }

    #[test]
    fn keys_of_all_kinds_are_written_so_that_they_are_read() {
        let keys = texts_of("[ -~]{0,8}", 300);
        let mut map = Mapping::new();
        for key in keys
            .iter()
            .map(String::as_str)
            .chain(["a\nb", "80", "yes", "<<"])
        {
            map.insert(key.into(), 1.into());
        }
        map.insert(
            "k".repeat(2_000).into(),
            vec![Value::from(map.clone())].into(),
        );
        let map = Value::Mapping(map);
        let read = read_compose(&write_compose(&map)).unwrap();
        assert_eq!((read.value, read.problems), (map, Vec::new()));
    }

    #[test]
    fn merges_are_those_of_the_client() {
        let read = |text: &str| read_compose(text).map(|d| d.value);
        let wanted = |text: &str| serde_yaml::from_str::<Value>(text).unwrap();
        for (text, value) in [
            (
                "a: &a {x: 1}\nb: &b {<<: *a, y: 2}\nc: {<<: *b, x: 3}",
                "{x: 3, y: 2}",
            ),
            (
                "a: &a {x: 1}\nb: &b {x: 2, y: 2}\nc: {<<: [*a, *b]}",
                "{x: 1, y: 2}",
            ),
            ("c: {x: null, <<: {x: 1}}", "{x: null}"),
            ("a: &a {x: 1}\nc: [{<<: *a}, *a]", "[{x: 1}, {x: 1}]"),
            ("c: {'<<': {x: 1}}", "{'<<': {x: 1}}"),
            ("a: &a {x: 1}\na2: &a {x: 2}\nc: {<<: *a}", "{x: 2}"),
        ] {
            assert_eq!(read(text).unwrap()["c"], wanted(value), "{text}");
        }
        for wrong in [
            "a: &a [{x: 1}]\nc: {<<: *a}",
            "c: {<<: null}",
            "c: {<<: {}, <<: {}}",
            "c: *a",
            "c: &a {x: *a}",
            "c: {[a]: b}",
            "c: [",
        ] {
            assert!(read(wrong).is_err(), "{wrong}");
        }
    }

    #[test]
    fn keys_that_are_no_texts_and_stand_twice_are_told() {
        let text = "a: 1\nb:\n  80: x\n  true: y\na: 2\n---\nx: [\n";
        let read = read_compose(text).unwrap();
        let lines: Vec<usize> = read.problems.iter().map(|p| p.line).collect();
        assert_eq!(lines, [3, 4, 5], "{:?}", read.problems);
        assert_eq!(read.value["b"]["80"], "x");
        assert_eq!(read.second_document, Some(6));
    }

    #[test]
    fn lists_may_end_below_their_key() {
        let text = "a:\n  b: [\n  x,\n  0440\n  ]\n  c: {\n}\n  d: |\n    }\n";
        let (read, used) = read_loose_compose(text).unwrap();
        let wanted: Value = serde_yaml::from_str("{b: [x, 288], c: {}, d: \"}\\n\"}").unwrap();
        assert_eq!(read.value["a"], wanted);
        assert_eq!(used.lines().count(), text.lines().count());
        if let Some(theirs) = ask_client(
            &format!("x-{text}services: {{}}\n"),
            std::path::Path::new("."),
            &[],
        ) {
            assert_eq!(theirs.unwrap()["x-a"], wanted);
        }
        for wrong in ["a:\n    b: 1\n  c: 2\n", "a: [\n", "a: x\n b: y\n"] {
            assert!(read_loose_compose(wrong).is_err(), "{wrong}");
        }
    }

    #[test]
    fn aliases_and_depth_are_bounded() {
        let mut bomb = String::from("a0: &a0 [x, x, x, x, x, x, x, x, x, x]\n");
        for i in 1..20 {
            let before = i - 1;
            let all = vec![format!("*a{before}"); 10].join(", ");
            bomb += &format!("a{i}: &a{i} [{all}]\n");
        }
        let said = read_compose(&bomb).unwrap_err().message;
        assert!(said.contains("aliases"), "{said}");
        let mut merged = String::from("a0: &a0 {k: v}\n");
        for i in 1..40 {
            let before = i - 1;
            merged += &format!("a{i}: &a{i} {{<<: [*a{before}, *a{before}], k{i}: *a{before}}}\n");
        }
        assert!(read_compose(&merged).is_err());
        for deep in [
            "[".repeat(100_000),
            "- ".repeat(100_000),
            "{a: ".repeat(10_000),
        ] {
            assert!(read_compose(&deep).is_err());
        }
    }

    proptest! {
        #[test]
        fn nothing_panics(text in "[ab:\\-\\[\\]{}&*<\"'|>!0\n ]{0,80}") {
            if let Ok(read) = read_compose(&text) {
                let again = read_compose(&write_compose(&read.value)).unwrap();
                prop_assert_eq!(again.value, read.value);
            }
        }
    }
}
