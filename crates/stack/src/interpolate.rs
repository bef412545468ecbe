//! Variables in compose files, as the engine's client reads them, with what the Compose
//! specification adds.
//!
//! `$V ${V} ${V:-d} ${V-d} ${V:?e} ${V?e} $$` mean what they mean to the client, and so do their
//! corners: what follows an operator is taken as it stands, `$$` and `$2y$10$…` too, up to the first
//! brace; `$V-d` has a default as `${V-d}` has.
//! Source: docker/cli, cli/compose/template/template.go.
//!
//! Beyond the client goes what it refuses or cuts in two: `${V:+a}`, `${V+a}`, and a `${…}` in what
//! follows an operator, which is filled in as the specification says:
//! <https://github.com/compose-spec/compose-spec/blob/main/12-interpolation.md>.
//! Stricter than the client are three places where it loses its own errors: a stray dollar sign and a
//! missing required variable are told though a good variable follows, and a second operator, as the dash
//! in the message of `${V:?no-one}`, is part of what follows the first.

use matou_i18n::tr;

/// Why a value can't be interpolated.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[expect(missing_docs, reason = "its sentences say it")]
pub enum InterpolationError {
    #[error("{}", describe_required(name, message))]
    Required { name: String, message: String },
    #[error("{}", tr!("`{_0}` is no variable: write ${{NAME}}, or $$ for a dollar sign"))]
    Invalid(String),
    #[error("{}", tr!("its variables make it longer than {} KiB", LONGEST >> 10))]
    TooLong,
    #[error("{}", tr!("its variables are nested more than {DEEPEST} deep"))]
    TooDeep,
}

/// Says that a variable is required, and what it is for where the message says it.
pub(super) fn describe_required(name: &str, message: &str) -> String {
    match message {
        "" => tr!("the variable {name} is required"),
        message => tr!("the variable {name} is required: {message}"),
    }
}

/// Longest text that a value may become, bytes: a long default may be used many times.
pub(super) const LONGEST: usize = 1 << 20;

/// Deepest nesting of variables.
const DEEPEST: usize = 32;

/// Replaces the variables in one value.
///
/// # Errors
/// A required variable is missing, what follows a dollar sign is no variable, or the text gets too
/// long or too deep.
pub fn interpolate(
    text: &str,
    lookup: &dyn Fn(&str) -> Option<String>,
) -> Result<String, InterpolationError> {
    interpolate_within(text, lookup, DEEPEST)
}

fn interpolate_within(
    text: &str,
    lookup: &dyn Fn(&str) -> Option<String>,
    deeper: usize,
) -> Result<String, InterpolationError> {
    let mut out = String::with_capacity(text.len());
    let mut rest = text;
    // In what follows an operator, a dollar sign that begins no variable is one.
    let is_argument = deeper < DEEPEST;
    while let Some(at) = rest.find('$') {
        out.push_str(&rest[..at]);
        rest = &rest[at + 1..];
        if let Some(after) = rest.strip_prefix('$') {
            out.push('$');
            rest = after;
        } else if let Some(after) = rest.strip_prefix('{') {
            let end = find_closing_brace(after);
            let stray = || invalid_variable(&format!("${rest}"));
            let Some((variable, end)) =
                end.and_then(|end| Some((VariableUse::parse(&after[..end.at], end)?, end.at + 1)))
            else {
                match is_argument {
                    true => out.push('$'),
                    false => return Err(stray()),
                }
                continue;
            };
            let deeper = deeper.checked_sub(1).ok_or(InterpolationError::TooDeep)?;
            out.push_str(&variable.substitute(lookup, deeper)?);
            rest = &after[end..];
        } else {
            let name = leading_name(rest);
            if name.is_empty() {
                if is_argument {
                    out.push('$');
                    continue;
                }
                let next = rest.chars().next().unwrap_or(' ');
                return Err(invalid_variable(&format!("${next}")));
            }
            let used = bare_variable_length(rest, name);
            let variable = &rest[..used];
            let end = ClosingBrace {
                at: used,
                is_nested: false,
            };
            let deeper = deeper.checked_sub(1).ok_or(InterpolationError::TooDeep)?;
            match VariableUse::parse(variable, end) {
                Some(variable) => out.push_str(&variable.substitute(lookup, deeper)?),
                None => return Err(invalid_variable(&format!("${variable}"))),
            }
            rest = &rest[used..];
        }
        if out.len() > LONGEST {
            return Err(InterpolationError::TooLong);
        }
    }
    out.push_str(rest);
    match out.len() > LONGEST {
        true => Err(InterpolationError::TooLong),
        false => Ok(out),
    }
}

/// Doubles every dollar sign, so that Docker's own interpolation leaves the text alone.
pub fn escape_dollars(text: &str) -> String {
    text.replace('$', "$$")
}

fn invalid_variable(what: &str) -> InterpolationError {
    InterpolationError::Invalid(what.chars().take(40).collect())
}

/// The brace that ends a variable.
#[derive(Debug, Clone, Copy)]
struct ClosingBrace {
    at: usize,
    /// There are variables in braces before it.
    is_nested: bool,
}

/// Where the brace that was opened before `text` closes; braces of nested variables are skipped.
fn find_closing_brace(text: &str) -> Option<ClosingBrace> {
    let (mut depth, mut is_nested) = (0, false);
    let bytes = text.as_bytes();
    let mut i = 0;
    while i < bytes.len() {
        match bytes[i] {
            b'$' if bytes.get(i + 1) == Some(&b'$') => i += 1,
            b'$' if bytes.get(i + 1) == Some(&b'{') => {
                depth += 1;
                is_nested = true;
                i += 1;
            }
            b'}' if depth == 0 => return Some(ClosingBrace { at: i, is_nested }),
            b'}' => depth -= 1,
            _ => {}
        }
        i += 1;
    }
    None
}

/// Returns how much of a text is `NAME`, or `NAME-default` without braces: the default goes to the
/// next brace. One with a variable in braces, which the client would cut in two, is none.
fn bare_variable_length(text: &str, name: &str) -> usize {
    let rest = &text[name.len()..];
    let operator = rest.strip_prefix(':').unwrap_or(rest);
    if !operator.starts_with(['-', '?']) {
        return name.len();
    }
    let end = text.find('}').unwrap_or(text.len());
    match text[..end].contains("${") {
        true => name.len(),
        false => end,
    }
}

/// The client's pattern takes both cases of Unicode, where `ſ` is an `s` and `K` (Kelvin) a `k`.
fn leading_name(text: &str) -> &str {
    let letter = |c: char| c.is_ascii_alphabetic() || matches!(c, '_' | '\u{17f}' | '\u{212a}');
    let end = text
        .char_indices()
        .find(|(i, c)| !(letter(*c) || *i > 0 && c.is_ascii_digit()))
        .map_or(text.len(), |(i, _)| i);
    &text[..end]
}

/// What is done with a variable.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Operator {
    Value,
    Default,
    Required,
    Instead,
}

/// What stands inside `${…}`.
#[derive(Debug, Clone, Copy)]
struct VariableUse<'a> {
    name: &'a str,
    operator: Operator,
    /// With a colon, an empty value counts as a missing one.
    is_empty_missing: bool,
    argument: &'a str,
    /// The argument holds variables.
    is_nested: bool,
}

impl<'a> VariableUse<'a> {
    fn parse(inside: &'a str, end: ClosingBrace) -> Option<Self> {
        let name = leading_name(inside);
        let rest = &inside[name.len()..];
        let operator = rest.strip_prefix(':').unwrap_or(rest);
        let is_empty_missing = operator.len() < rest.len();
        let (kind, argument) = match operator.as_bytes().first() {
            None if !is_empty_missing => (Operator::Value, ""),
            Some(b'-') => (Operator::Default, &operator[1..]),
            Some(b'?') => (Operator::Required, &operator[1..]),
            Some(b'+') => (Operator::Instead, &operator[1..]),
            _ => return None,
        };
        (!name.is_empty()).then_some(Self {
            name,
            operator: kind,
            is_empty_missing,
            argument,
            is_nested: end.is_nested,
        })
    }

    fn substitute(
        &self,
        lookup: &dyn Fn(&str) -> Option<String>,
        deeper: usize,
    ) -> Result<String, InterpolationError> {
        let argument = || match self.is_nested {
            true => interpolate_within(self.argument, lookup, deeper),
            // As the client leaves it.
            false => Ok(self.argument.to_owned()),
        };
        let value = lookup(self.name).filter(|v| !(self.is_empty_missing && v.is_empty()));
        match (self.operator, value) {
            (Operator::Instead, Some(_)) => argument(),
            (Operator::Instead, None) => Ok(String::new()),
            (_, Some(value)) => Ok(value),
            (Operator::Value, None) => Ok(String::new()),
            (Operator::Default, None) => argument(),
            (Operator::Required, None) => Err(InterpolationError::Required {
                name: self.name.to_owned(),
                message: argument()?,
            }),
        }
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    fn with_a_set(text: &str) -> Result<String, InterpolationError> {
        interpolate(text, &|name| match name {
            "A" => Some("a".into()),
            "EMPTY" => Some(String::new()),
            "D" => Some("$A".into()),
            _ => None,
        })
    }

    #[test]
    fn every_form_of_the_specification() {
        for (text, wanted) in [
            ("$A-${A}", "a-a"),
            ("$A-x} y", "a} y"),
            ("$X-x} y $X:-$A", "x} y $A"),
            ("$A $X- $A", "a  $A"),
            ("${X:-d} ${X-d} ${EMPTY:-d} ${EMPTY-d}|", "d d d |"),
            ("${A:?e} ${A?e} ${EMPTY?e}|", "a a |"),
            ("${A:+x} ${A+x} ${EMPTY:+x} ${EMPTY+x} ${X+x}|", "x x  x |"),
            ("$$A $${A} $$$A", "$A ${A} $a"),
            ("${X:-${Y:-${A}}}", "a"),
            ("${X:-a}b}", "ab}"),
            ("${X:-$$}", "$$"),
            ("${X:-$2y$10$A.b}", "$2y$10$A.b"),
            ("${X:-$2y${A}$}", "$2ya$"),
            ("${A:?non-empty}", "a"),
            ("$A$A_ $X.", "a ."),
            ("${D}", "$A"),
            ("Host(`${A}`)", "Host(`a`)"),
            ("{\"x\": \"${X:-{}}\"}", "{\"x\": \"{}\"}"),
        ] {
            assert_eq!(with_a_set(text).as_deref(), Ok(wanted), "{text}");
        }
    }

    #[test]
    fn a_missing_variable_and_a_stray_dollar_are_named() {
        let required = with_a_set("${X:?give a domain}").unwrap_err();
        assert_eq!(
            required.to_string(),
            "the variable X is required: give a domain"
        );
        assert!(with_a_set("${EMPTY:?e}").is_err());
        for wrong in [
            "$", "$1", "${}", "${A", "${A:}", "${A!}", "$-", "$5 $A", "$$$", "${ A}",
        ] {
            assert!(
                matches!(with_a_set(wrong), Err(InterpolationError::Invalid(_))),
                "{wrong}"
            );
        }
    }

    #[test]
    fn what_variables_make_is_bounded() {
        let deep = |n: usize| format!("{}{}", "${X:-]".repeat(n), "}".repeat(n));
        assert_eq!(with_a_set(&deep(DEEPEST)).unwrap().len(), DEEPEST);
        assert_eq!(with_a_set(&deep(100_000)), Err(InterpolationError::TooDeep));
        let long = "x".repeat(10_000);
        let lookup = |_: &str| Some(long.clone());
        let many = "$A".repeat(100_000);
        assert_eq!(
            interpolate(&many, &lookup),
            Err(InterpolationError::TooLong)
        );
    }

    /// What the client makes of each text, with the variables of [`with_a_set`].
    fn ask_for_all(texts: &[String]) -> Option<Result<Vec<String>, String>> {
        let mut command = serde_yaml::Mapping::new();
        command.insert("image".into(), "i".into());
        command.insert("command".into(), texts.to_vec().into());
        let file = serde_yaml::Mapping::from_iter([("w".into(), command.into())]);
        let file = serde_yaml::Mapping::from_iter([("services".into(), file.into())]);
        let file = crate::compose_yaml::write_compose(&file.into());
        let set = [("A", "a"), ("EMPTY", ""), ("D", "$A")];
        let set = set.map(|(k, v)| (k.to_owned(), v.to_owned()));
        let read = crate::engine_client::ask_client(&file, std::path::Path::new("."), &set)?;
        Some(read.map(|read| {
            let list = read["services"]["w"]["command"]
                .as_sequence()
                .unwrap()
                .clone();
            let text = |v: &serde_yaml::Value| v.as_str().unwrap().to_owned();
            list.iter().map(text).collect()
        }))
    }

    /// What matou takes beyond the client, or reads by the specification: see the head of the file.
    fn beyond_client() -> regex::Regex {
        let variable = r"\$\{?[A-Za-z_]\w*";
        let nested = format!(r"{variable}:?[-?][^}}]*\$\{{");
        let second = format!(r"{variable}(-[^}}]*:-|:\?[^}}]*-|\?[^}}]*(-|:\?))");
        regex::Regex::new(&format!(r"\+|{nested}|{second}")).unwrap()
    }

    #[test]
    fn what_the_client_takes_means_the_same() {
        use proptest::strategy::ValueTree as _;
        let mut texts: Vec<String> = [
            "$A-x",
            "$A-x} y",
            "$X-x",
            "$X:-x y",
            "$A:",
            "$A:x",
            "${X:-$2y$10$abc}",
            "${X:-$$}",
            "${X:-$$A}",
            "${X:-$A}",
            "${X:-}",
            "${X-}|",
            "${X:-a}b}",
            "$A$A_ $X.",
            "$a",
            "${a}",
            "$\u{17f}",
            "$\u{212a}",
            "${X:-a\nb}",
            "$A.b",
            "$A-",
            "$$",
            "$$A",
            "$$$A",
            "$${A}",
            "{$A}",
            "${X:--}",
            "${X--}",
            "${EMPTY:-d}${EMPTY-d}|",
            "${EMPTY?e}|",
            "${D}",
            "$_",
            "${_X:-u}",
            "${A1}",
            "$A1",
            "${X:-{}}",
            "${X:-{a}",
            "é$A",
            "$A?b}c",
            "${X-$2y}",
            "$A\n-x",
            "${X:-\\$}",
            "$X-$Y",
            "$A-$A",
            "$X-$A",
            "$A$A-$A",
            "${A:?e}",
            "${A?}",
        ]
        .map(str::to_owned)
        .into();
        for pattern in [
            "[$ {}AX:?a_-]{0,12}",
            "(\\$\\{?[AX](:?[-?][a$A2]{0,3})?\\}?){1,3}",
        ] {
            let made = proptest::string::string_regex(pattern).unwrap();
            let mut runner = proptest::test_runner::TestRunner::deterministic();
            let one = |_| made.new_tree(&mut runner).unwrap().current();
            texts.extend((0..2_000).map(one));
        }
        let beyond = beyond_client();
        texts.retain(|text| !beyond.is_match(text));
        let (good, bad): (Vec<_>, Vec<_>) = texts
            .into_iter()
            .map(|text| (with_a_set(&text), text))
            .partition(|(made, _)| made.is_ok());
        assert!(
            good.len() > 1_000 && bad.len() > 500,
            "{} {}",
            good.len(),
            bad.len()
        );
        let asked: Vec<String> = good.iter().map(|(_, text)| text.clone()).collect();
        let Some(theirs) = ask_for_all(&asked) else {
            return;
        };
        for ((ours, text), theirs) in good.iter().zip(theirs.unwrap()) {
            assert_eq!(ours.as_ref(), Ok(&theirs), "{text}");
        }
        // The client forgets an error when a good variable follows.
        let alone = |text: &&(_, String)| text.1.matches('$').count() == 1;
        for (ours, text) in bad.iter().filter(alone).take(40) {
            let theirs = ask_for_all(std::slice::from_ref(text)).unwrap();
            assert!(theirs.is_err(), "{text}: {ours:?} {theirs:?}");
        }
    }

    proptest! {
        #[test]
        fn an_escaped_text_comes_back_unchanged(text in "\\PC{0,60}") {
            prop_assert_eq!(with_a_set(&escape_dollars(&text)), Ok(text));
        }

        #[test]
        fn nothing_panics(text in "[${}:?+A-C-]{0,30}") {
            let _ = with_a_set(&text);
        }
    }
}
