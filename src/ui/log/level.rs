//! The level of a log line, guessed from the words that programs use.

/// How much a line matters.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Level {
    Error,
    Warning,
    Debug,
    Plain,
}

/// Words as they stand in syslog, JSON, logfmt and most programs' own formats.
const WORDS: [(&str, Level); 12] = [
    ("error", Level::Error),
    ("err", Level::Error),
    ("fatal", Level::Error),
    ("panic", Level::Error),
    ("critical", Level::Error),
    ("crit", Level::Error),
    ("emerg", Level::Error),
    ("alert", Level::Error),
    ("warning", Level::Warning),
    ("warn", Level::Warning),
    ("debug", Level::Debug),
    ("trace", Level::Debug),
];

/// Looks at the first words only: a level stands near the front, and lines are long.
pub(super) fn of(text: &str) -> Level {
    text.split(|c: char| !c.is_ascii_alphabetic())
        .filter(|w| !w.is_empty())
        .take(16)
        .find_map(|word| {
            WORDS
                .iter()
                .find(|(name, _)| word.eq_ignore_ascii_case(name))
                .map(|(_, level)| *level)
        })
        .unwrap_or(Level::Plain)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn levels_of_usual_formats() {
        for (line, level) in [
            ("2026-11-23 [error] 12#0: no such file", Level::Error),
            (r#"{"level":"warn","msg":"slow"}"#, Level::Warning),
            ("time=1 level=debug msg=x", Level::Debug),
            ("ERROR: relation does not exist", Level::Error),
            ("GET /errors.html 200", Level::Plain),
            ("terror and forewarning", Level::Plain),
        ] {
            assert_eq!(of(line), level, "{line}");
        }
    }
}
