//! Lines of the keys and items of a YAML file, so that findings can name them.

use std::collections::HashMap;

use saphyr_parser::{Event, Parser, ScanError};

/// Deepest nesting that is looked into.
const MAX_DEPTH: usize = 64;

/// Lines of a YAML document's keys and items, counted from 1. Each is stored under its parent and
/// its own name: with whole paths, memory would grow with the square of the file.
#[derive(Debug, Clone, Default)]
pub(super) struct LineIndex {
    lines: Vec<usize>,
    inside: HashMap<(usize, Box<str>), usize>,
}

impl LineIndex {
    /// Indexes a document. One that is not valid YAML is indexed up to the error.
    pub(super) fn parse(text: &str) -> Self {
        let mut places = Self::default();
        let mut events = Parser::new_from_str(text);
        while let Some(Ok((event, span))) = events.next() {
            if matches!(event, Event::StreamStart | Event::DocumentStart(_)) {
                continue;
            }
            if places.lines.is_empty() {
                places.lines.push(span.start.line());
            }
            if places.index_node(event, 0, &mut events, 0).is_err() {
                break;
            }
        }
        places
    }

    /// Returns the line of a key or item, by the keys and indices that lead to it. For what is not
    /// in the file itself (an alias, a merge), it returns the line of the nearest parent.
    pub(super) fn line_of(&self, path: &[&str]) -> usize {
        let mut at = 0;
        for name in path {
            match self.inside.get(&(at, (*name).into())) {
                Some(inner) => at = *inner,
                None => break,
            }
        }
        self.lines.get(at).copied().unwrap_or(1)
    }

    /// Returns the index of a name under its parent. A name that occurs again gets the later line.
    fn index_entry(&mut self, outer: usize, name: &str, line: usize) -> usize {
        let next = self.lines.len();
        let at = *self.inside.entry((outer, name.into())).or_insert(next);
        match self.lines.get_mut(at) {
            Some(known) => *known = line,
            None => self.lines.push(line),
        }
        at
    }

    fn index_node<'a>(
        &mut self,
        event: Event<'a>,
        at: usize,
        events: &mut Parser<'a, saphyr_parser::StrInput<'a>>,
        depth: usize,
    ) -> Result<(), IndexingStopped> {
        if depth > MAX_DEPTH {
            return Err(IndexingStopped);
        }
        match event {
            Event::MappingStart(..) => loop {
                let (event, span) = events.next().ok_or(IndexingStopped)??;
                let line = span.start.line();
                let key = match event {
                    Event::MappingEnd => return Ok(()),
                    Event::Scalar(key, ..) => self.index_entry(at, &key, line),
                    // A key that is no scalar has no name.
                    other => {
                        let key = self.index_entry(at, "?", line);
                        self.index_node(other, key, events, depth + 1)?;
                        key
                    }
                };
                let (event, _) = events.next().ok_or(IndexingStopped)??;
                self.index_node(event, key, events, depth + 1)?;
            },
            Event::SequenceStart(..) => {
                for index in 0.. {
                    let (event, span) = events.next().ok_or(IndexingStopped)??;
                    if event == Event::SequenceEnd {
                        break;
                    }
                    let item = self.index_entry(at, &index.to_string(), span.start.line());
                    self.index_node(event, item, events, depth + 1)?;
                }
                Ok(())
            }
            _ => Ok(()),
        }
    }
}

/// The document ended early, or is nested too deeply.
struct IndexingStopped;

impl From<ScanError> for IndexingStopped {
    fn from(_: ScanError) -> Self {
        Self
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn keys_items_and_what_is_merged_have_lines() {
        let text = "a: &x\n  b: 1\n  list:\n    - one\n    - {k: two}\nc:\n  <<: *x\n  d: |\n    long\n    text\n  e: 5\n";
        let places = LineIndex::parse(text);
        for (path, line) in [
            (&["a"][..], 1),
            (&["a", "b"], 2),
            (&["a", "list", "1"], 5),
            (&["a", "list", "1", "k"], 5),
            (&["c", "e"], 11),
            (&["c", "b"], 6),
            (&["nothing"], 1),
        ] {
            assert_eq!(places.line_of(path), line, "{path:?}");
        }
    }

    proptest::proptest! {
        #[test]
        fn nothing_panics(text in "[ab:\\-\\[\\]{}&*<\"'|>\n ]{0,80}") {
            LineIndex::parse(&text);
        }
    }
}
