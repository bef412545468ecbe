//! Values of labels as Traefik 1 reads them, and whether Traefik 3 takes them.
//!
//! A value that Traefik 3 can't parse makes it drop the whole service, so each one is checked.
//! Sources: `provider/label/label.go` and `templates/docker.tmpl` of Traefik 1.7.

use std::borrow::Cow;

use super::hidden_variables::has_hidden_variable;

/// What a value is.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum ValueKind {
    Text,
    /// Off unless it is switched on: `false` needs no label.
    Switch,
    /// `true` or `false`, where both say something.
    Truth,
    /// A whole number; 0 needs no label.
    Number,
    /// A Go duration, or seconds.
    Duration,
    /// Items between commas.
    List,
}

/// A value for Traefik 3.
#[derive(Debug, PartialEq, Eq)]
pub(super) enum CheckedValue {
    Value(String),
    /// It says what is so without it.
    Default,
    /// Traefik 1 ignored it, and Traefik 3 would drop the service.
    Invalid,
}

/// Checks a value. Variables of the compose file pass.
pub(super) fn check_value(kind: ValueKind, value: &str) -> CheckedValue {
    let kept = || CheckedValue::Value(value.to_owned());
    if has_hidden_variable(value) {
        return kept();
    }
    match kind {
        ValueKind::Text => kept(),
        ValueKind::Switch | ValueKind::Truth => match parse_go_bool(value) {
            None => CheckedValue::Invalid,
            Some(false) if kind == ValueKind::Switch => CheckedValue::Default,
            Some(on) => CheckedValue::Value(on.to_string()),
        },
        ValueKind::Number => match value.parse::<i64>() {
            Ok(0) => CheckedValue::Default,
            Ok(number) => CheckedValue::Value(number.to_string()),
            Err(_) => CheckedValue::Invalid,
        },
        ValueKind::Duration => match is_go_duration(value) {
            true => kept(),
            false => CheckedValue::Invalid,
        },
        ValueKind::List => match split_list(value).join(",") {
            list if list.is_empty() => CheckedValue::Default,
            list => CheckedValue::Value(list),
        },
    }
}

/// Parses what Go's `strconv.ParseBool` takes.
pub(super) fn parse_go_bool(text: &str) -> Option<bool> {
    match text {
        "1" | "t" | "T" | "true" | "TRUE" | "True" => Some(true),
        "0" | "f" | "F" | "false" | "FALSE" | "False" => Some(false),
        _ => None,
    }
}

/// Whether Traefik takes a text as a duration: `1m30s`, or a number of seconds.
fn is_go_duration(text: &str) -> bool {
    if text.parse::<i64>().is_ok() {
        return true;
    }
    let mut rest = text.trim_start_matches(['+', '-']);
    let mut parts = 0;
    while !rest.is_empty() {
        let unit = rest.trim_start_matches(|c: char| c.is_ascii_digit() || c == '.');
        let number = &rest[..rest.len() - unit.len()];
        let found = ["ns", "us", "µs", "ms", "s", "m", "h"]
            .into_iter()
            .filter(|u| unit.starts_with(u))
            .max_by_key(|u| u.len());
        let (Ok(_), Some(found)) = (number.parse::<f64>(), found) else {
            return false;
        };
        rest = &unit[found.len()..];
        parts += 1;
    }
    parts > 0
}

/// Splits at commas; empty items are left out.
pub(super) fn split_list(text: &str) -> Vec<&str> {
    let items = text.split(',').map(str::trim);
    items.filter(|item| !item.is_empty()).collect()
}

/// Splits `NAME:VALUE||NAME:VALUE`. Parts without a colon are left out, as Traefik 1 does.
pub(super) fn split_header_map(text: &str) -> Vec<(&str, &str)> {
    text.split("||")
        .filter_map(|part| part.split_once(':'))
        .map(|(name, value)| (name.trim(), value.trim()))
        .collect()
}

/// Undoes the escapes of a value. Traefik 1 puts values between the quotes of a TOML file, so that
/// a backslash is written twice. A value that TOML would refuse is meant as it stands.
pub(super) fn unescape_toml(value: &str) -> Cow<'_, str> {
    if !value.contains('\\') {
        return Cow::Borrowed(value);
    }
    let mut out = String::with_capacity(value.len());
    let mut chars = value.chars();
    while let Some(c) = chars.next() {
        if c != '\\' {
            out.push(c);
            continue;
        }
        match chars.next() {
            Some(same @ ('\\' | '"')) => out.push(same),
            Some('t') => out.push('\t'),
            _ => return Cow::Borrowed(value),
        }
    }
    Cow::Owned(out)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn values_of_every_kind() {
        use CheckedValue::{Default, Invalid, Value};
        for (kind, old, new) in [
            (ValueKind::Switch, "True", Value("true".into())),
            (ValueKind::Switch, "0", Default),
            (ValueKind::Switch, "yes", Invalid),
            (ValueKind::Truth, "f", Value("false".into())),
            (ValueKind::Number, "007", Value("7".into())),
            (ValueKind::Number, "0", Default),
            (ValueKind::Number, "80/tcp", Invalid),
            (ValueKind::Duration, "1m30s", Value("1m30s".into())),
            (ValueKind::Duration, "1.5h", Value("1.5h".into())),
            (ValueKind::Duration, "10", Value("10".into())),
            (ValueKind::Duration, "10 s", Invalid),
            (ValueKind::Duration, "s", Invalid),
            (ValueKind::Duration, "", Invalid),
            (ValueKind::List, " a , ,b", Value("a,b".into())),
            (ValueKind::List, ",", Default),
        ] {
            assert_eq!(check_value(kind, old), new, "{old}");
        }
    }

    #[test]
    fn backslashes_that_toml_halves() {
        assert_eq!(unescape_toml(r"^a\\.b"), r"^a\.b");
        assert_eq!(unescape_toml(r#"\"a\""#), r#""a""#);
        // Traefik 1 refused it; what was meant is clear.
        assert_eq!(unescape_toml(r"^a\.b\\c"), r"^a\.b\\c");
        assert_eq!(unescape_toml(r"a\"), r"a\");
    }
}
