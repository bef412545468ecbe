//! Where the nodes of a YAML file stand, so that a few can be rewritten and the rest stays as it is.

use saphyr_parser::{Event, Parser, Span};

/// Deepest nesting that is looked into.
const MAX_DEPTH: usize = 64;

/// A node, with the bytes of the file where it stands, without its anchor and tag.
#[derive(Debug)]
pub(super) struct SourceNode {
    pub start: usize,
    pub end: usize,
    pub kind: SourceKind,
    /// Whether it is written between brackets.
    pub flow: bool,
}

/// What a node is.
#[derive(Debug)]
pub(super) enum SourceKind {
    Scalar(String),
    Alias,
    Mapping(Vec<(SourceNode, SourceNode)>),
    Sequence(Vec<SourceNode>),
}

impl SourceNode {
    /// Parses the first document of a file. Returns nothing for what is not valid or too deep.
    pub(super) fn parse(text: &str) -> Option<Self> {
        let mut reader = SourceReader {
            text,
            offsets: text.char_indices().map(|(at, _)| at).collect(),
            events: Parser::new_from_str(text),
        };
        loop {
            let (event, span) = reader.events.next()?.ok()?;
            if !matches!(event, Event::StreamStart | Event::DocumentStart(_)) {
                return reader.read_node(event, span, 0);
            }
        }
    }

    /// Returns the value of a key; the last one where it stands twice.
    pub(super) fn get(&self, key: &str) -> Option<&Self> {
        let SourceKind::Mapping(entries) = &self.kind else {
            return None;
        };
        entries
            .iter()
            .rev()
            .find(|(name, _)| matches!(&name.kind, SourceKind::Scalar(name) if name == key))
            .map(|(_, value)| value)
    }
}

struct SourceReader<'a> {
    text: &'a str,
    /// Bytes where characters begin.
    offsets: Vec<usize>,
    events: Parser<'a, saphyr_parser::StrInput<'a>>,
}

impl<'a> SourceReader<'a> {
    fn byte_of(&self, character: usize) -> usize {
        self.offsets
            .get(character)
            .copied()
            .unwrap_or(self.text.len())
    }

    fn read_node(&mut self, event: Event<'a>, span: Span, depth: usize) -> Option<SourceNode> {
        if depth > MAX_DEPTH {
            return None;
        }
        let start = self.byte_of(span.start.index());
        let mut end = self.byte_of(span.end.index());
        let start = start + properties_length(&self.text[start..]);
        let flow = self.text[start..].starts_with(['{', '[']);
        let kind = match event {
            Event::Scalar(text, ..) => {
                // The parser takes the comment behind the quotes for a part of it.
                end = quoted_length(&self.text[start..]).map_or(end, |length| start + length);
                SourceKind::Scalar(text.into_owned())
            }
            Event::Alias(_) => SourceKind::Alias,
            Event::MappingStart(..) => {
                let mut entries = Vec::new();
                loop {
                    let (event, span) = self.events.next()?.ok()?;
                    if event == Event::MappingEnd {
                        end = self.byte_of(span.end.index());
                        break;
                    }
                    let key = self.read_node(event, span, depth + 1)?;
                    let (event, span) = self.events.next()?.ok()?;
                    entries.push((key, self.read_node(event, span, depth + 1)?));
                }
                SourceKind::Mapping(entries)
            }
            Event::SequenceStart(..) => {
                let mut items = Vec::new();
                loop {
                    let (event, span) = self.events.next()?.ok()?;
                    if event == Event::SequenceEnd {
                        end = self.byte_of(span.end.index());
                        break;
                    }
                    items.push(self.read_node(event, span, depth + 1)?);
                }
                SourceKind::Sequence(items)
            }
            _ => return None,
        };
        Some(SourceNode {
            start,
            end: end.max(start),
            kind,
            flow,
        })
    }
}

/// Returns the length of a quoted scalar, with its quotes.
fn quoted_length(text: &str) -> Option<usize> {
    let quote = text.chars().next().filter(|c| ['\'', '"'].contains(c))?;
    let mut at = 1;
    loop {
        at += text[at..].find([quote, '\\'])?;
        let rest = &text[at..];
        if rest.starts_with('\\') && quote == '"' {
            at += 1 + rest.chars().nth(1)?.len_utf8();
        } else if rest.starts_with("''") && quote == '\'' {
            at += 2;
        } else if rest.starts_with(quote) {
            return Some(at + 1);
        } else {
            at += 1;
        }
    }
}

/// Returns the length of the anchor and tag with which a node may begin.
fn properties_length(text: &str) -> usize {
    let mut rest = text;
    while rest.starts_with(['&', '!']) {
        rest = rest.trim_start_matches(|c: char| !c.is_whitespace());
        rest = rest.trim_start_matches([' ', '\t']);
    }
    text.len() - rest.len()
}

#[cfg(test)]
mod tests {
    use super::*;

    fn list_nodes(text: &str, node: &SourceNode, out: &mut Vec<String>) {
        let flow = if node.flow { " flow" } else { "" };
        out.push(format!("{}{flow}", text[node.start..node.end].trim_end()));
        match &node.kind {
            SourceKind::Mapping(entries) => {
                for (key, value) in entries {
                    list_nodes(text, key, out);
                    list_nodes(text, value, out);
                }
            }
            SourceKind::Sequence(items) => items.iter().for_each(|i| list_nodes(text, i, out)),
            _ => {}
        }
    }

    #[test]
    fn nodes_stand_where_they_are_written() {
        for ending in ["\n", "\r\n"] {
            let text = "ä: # c\n  - &x a b # c\n  - \"é\" # d\n  - 'q''r' # d\n  -\nb: &y {c: [1, *x], d: }\ne: !t\n  'f': &z 1\n";
            let text = text.replace('\n', ending);
            let mut out = Vec::new();
            list_nodes(&text, &SourceNode::parse(&text).unwrap(), &mut out);
            let scalars: Vec<&str> = out
                .iter()
                .map(String::as_str)
                .filter(|node| !node.contains(['\n', '\r']))
                .collect();
            let wanted = [
                "ä",
                "a b",
                "\"é\"",
                "'q''r'",
                "",
                "b",
                "{c: [1, *x], d: } flow",
                "c",
                "[1, *x] flow",
                "1",
                "*x",
                "d",
                "",
                "e",
                "'f'",
                "1",
            ];
            assert_eq!(scalars, wanted);
        }
        assert!(SourceNode::parse("a: [").is_none());
        assert!(SourceNode::parse(&"[".repeat(100)).is_none());
    }
}
