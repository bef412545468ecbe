//! Where things stand in a YAML file, so that what is said of them names the line.

use std::collections::HashMap;

use saphyr_parser::{Event, Parser, ScanError};

/// Deepest nesting that is looked into.
const DEEPEST: usize = 64;

/// Lines of a YAML document's keys and items, counted from 1. Each is known by what it is in and its
/// own name: names may be long, and whole paths of all of them would be the square of the file.
#[derive(Debug, Clone, Default)]
pub(super) struct Places {
    lines: Vec<usize>,
    inside: HashMap<(usize, Box<str>), usize>,
}

impl Places {
    /// Reads a document; of one that is no YAML, as far as it goes.
    pub fn of(text: &str) -> Self {
        let mut places = Self::default();
        let mut events = Parser::new_from_str(text);
        while let Some(Ok((event, span))) = events.next() {
            if matches!(event, Event::StreamStart | Event::DocumentStart(_)) {
                continue;
            }
            if places.lines.is_empty() {
                places.lines.push(span.start.line());
            }
            if places.node(event, 0, &mut events, 0).is_err() {
                break;
            }
        }
        places
    }

    /// The line of a key or item, named by the keys and indices that lead to it; where it does not
    /// stand in the file itself (an alias, a merge), the line of what is nearest above it.
    pub fn line(&self, path: &[&str]) -> usize {
        let mut at = 0;
        for name in path {
            match self.inside.get(&(at, (*name).into())) {
                Some(inner) => at = *inner,
                None => break,
            }
        }
        self.lines.get(at).copied().unwrap_or(1)
    }

    /// The place of a name within another; the line of one that comes again is that of the last.
    fn within(&mut self, outer: usize, name: &str, line: usize) -> usize {
        let next = self.lines.len();
        let at = *self.inside.entry((outer, name.into())).or_insert(next);
        match self.lines.get_mut(at) {
            Some(known) => *known = line,
            None => self.lines.push(line),
        }
        at
    }

    fn node<'a>(
        &mut self,
        event: Event<'a>,
        at: usize,
        events: &mut Parser<'a, saphyr_parser::StrInput<'a>>,
        depth: usize,
    ) -> Result<(), Stop> {
        if depth > DEEPEST {
            return Err(Stop);
        }
        match event {
            Event::MappingStart(..) => loop {
                let (event, span) = events.next().ok_or(Stop)??;
                let line = span.start.line();
                let key = match event {
                    Event::MappingEnd => return Ok(()),
                    Event::Scalar(key, ..) => self.within(at, &key, line),
                    // A key that is no scalar has no name.
                    other => {
                        let key = self.within(at, "?", line);
                        self.node(other, key, events, depth + 1)?;
                        key
                    }
                };
                let (event, _) = events.next().ok_or(Stop)??;
                self.node(event, key, events, depth + 1)?;
            },
            Event::SequenceStart(..) => {
                for index in 0.. {
                    let (event, span) = events.next().ok_or(Stop)??;
                    if event == Event::SequenceEnd {
                        break;
                    }
                    let item = self.within(at, &index.to_string(), span.start.line());
                    self.node(event, item, events, depth + 1)?;
                }
                Ok(())
            }
            _ => Ok(()),
        }
    }
}

/// The document ended early, or is nested too deeply.
struct Stop;

impl From<ScanError> for Stop {
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
        let places = Places::of(text);
        for (path, line) in [
            (&["a"][..], 1),
            (&["a", "b"], 2),
            (&["a", "list", "1"], 5),
            (&["a", "list", "1", "k"], 5),
            (&["c", "e"], 11),
            (&["c", "b"], 6),
            (&["nothing"], 1),
        ] {
            assert_eq!(places.line(path), line, "{path:?}");
        }
    }

    proptest::proptest! {
        #[test]
        fn nothing_panics(text in "[ab:\\-\\[\\]{}&*<\"'|>\n ]{0,80}") {
            Places::of(&text);
        }
    }
}
