//! The level of a log line, guessed from the words that programs use.

/// How much a line matters.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum LogLevel {
    Error,
    Warning,
    Debug,
    Plain,
}

/// Words as they stand in syslog, JSON, logfmt and most programs' own formats.
const LEVEL_WORDS: [(&str, LogLevel); 12] = [
    ("error", LogLevel::Error),
    ("err", LogLevel::Error),
    ("fatal", LogLevel::Error),
    ("panic", LogLevel::Error),
    ("critical", LogLevel::Error),
    ("crit", LogLevel::Error),
    ("emerg", LogLevel::Error),
    ("alert", LogLevel::Error),
    ("warning", LogLevel::Warning),
    ("warn", LogLevel::Warning),
    ("debug", LogLevel::Debug),
    ("trace", LogLevel::Debug),
];

/// Guesses the level from the first 16 words: it stands near the front, and lines are long.
pub(super) fn guess_log_level(text: &str) -> LogLevel {
    text.split(|c: char| !c.is_ascii_alphabetic())
        .filter(|w| !w.is_empty())
        .take(16)
        .find_map(|word| {
            LEVEL_WORDS
                .iter()
                .find(|(name, _)| word.eq_ignore_ascii_case(name))
                .map(|(_, level)| *level)
        })
        .unwrap_or(LogLevel::Plain)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn levels_of_usual_formats() {
        for (line, level) in [
            ("2026-11-23 [error] 12#0: no such file", LogLevel::Error),
            (r#"{"level":"warn","msg":"slow"}"#, LogLevel::Warning),
            ("time=1 level=debug msg=x", LogLevel::Debug),
            ("ERROR: relation does not exist", LogLevel::Error),
            ("GET /errors.html 200", LogLevel::Plain),
            ("terror and forewarning", LogLevel::Plain),
        ] {
            assert_eq!(guess_log_level(line), level, "{line}");
        }
    }
}
