//! Where things stand in a YAML file, so that what is said of them names the line.

use std::collections::HashMap;

use saphyr_parser::{Event, Parser, ScanError, Span};

/// Lines of a YAML document's keys and items, counted from 1.
#[derive(Debug, Clone, Default)]
pub(super) struct Places {
    lines: HashMap<String, usize>,
}

impl Places {
    /// Reads a document; of one that is no YAML, as far as it goes.
    pub fn of(text: &str) -> Self {
        let mut places = Self::default();
        let mut events = Parser::new_from_str(text);
        while let Some(Ok((event, span))) = events.next() {
            let begun = !matches!(event, Event::StreamStart | Event::DocumentStart(_));
            if begun && places.node(event, span, "", &mut events, 0).is_err() {
                break;
            }
        }
        places
    }

    /// The line of a key or item, named by the keys and indices that lead to it; where it does not
    /// stand in the file itself (an alias, a merge), the line of what is nearest above it.
    pub fn line(&self, path: &[&str]) -> usize {
        (0..=path.len())
            .rev()
            .find_map(|n| self.lines.get(&path[..n].join("\u{1f}")))
            .copied()
            .unwrap_or(1)
    }

    fn node<'a>(
        &mut self,
        event: Event<'a>,
        span: Span,
        path: &str,
        events: &mut Parser<'a, saphyr_parser::StrInput<'a>>,
        depth: usize,
    ) -> Result<(), Stop> {
        if depth > 64 {
            return Err(Stop);
        }
        self.lines
            .entry(path.to_owned())
            .or_insert_with(|| span.start.line());
        let below = |key: &str| match path {
            "" => key.to_owned(),
            _ => format!("{path}\u{1f}{key}"),
        };
        match event {
            Event::MappingStart(..) => loop {
                let (event, span) = events.next().ok_or(Stop)??;
                let key = match event {
                    Event::MappingEnd => return Ok(()),
                    Event::Scalar(key, ..) => below(&key),
                    // A key that is no scalar has no name.
                    other => {
                        self.node(other, span, &below("?"), events, depth + 1)?;
                        below("?")
                    }
                };
                self.lines.insert(key.clone(), span.start.line());
                let (event, span) = events.next().ok_or(Stop)??;
                self.node(event, span, &key, events, depth + 1)?;
            },
            Event::SequenceStart(..) => {
                for index in 0.. {
                    let (event, span) = events.next().ok_or(Stop)??;
                    if event == Event::SequenceEnd {
                        break;
                    }
                    self.node(event, span, &below(&index.to_string()), events, depth + 1)?;
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
