//! Variables in compose files, by the Compose specification:
//! <https://github.com/compose-spec/compose-spec/blob/main/12-interpolation.md>.
//!
//! `$V ${V} ${V:-d} ${V-d} ${V:?e} ${V?e} ${V:+a} ${V+a} $$`; what follows an operator may itself
//! hold variables.

/// Why a value can't be interpolated.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[expect(missing_docs, reason = "its sentences say it")]
pub enum InterpolationError {
    #[error("the variable {name} is required{}", if .message.is_empty() { String::new() } else { format!(": {}", .message) })]
    Required { name: String, message: String },
    #[error("`{0}` is no variable: write ${{NAME}}, or $$ for a dollar sign")]
    Invalid(String),
    #[error("its variables make it longer than {} KiB", LONGEST >> 10)]
    TooLong,
    #[error("its variables are nested more than {DEEPEST} deep")]
    TooDeep,
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
    while let Some(at) = rest.find('$') {
        out.push_str(&rest[..at]);
        rest = &rest[at + 1..];
        if let Some(after) = rest.strip_prefix('$') {
            out.push('$');
            rest = after;
        } else if let Some(after) = rest.strip_prefix('{') {
            let end =
                find_closing_brace(after).ok_or_else(|| invalid_variable(&format!("${rest}")))?;
            let deeper = deeper.checked_sub(1).ok_or(InterpolationError::TooDeep)?;
            out.push_str(&interpolate_braced(&after[..end], lookup, deeper)?);
            rest = &after[end + 1..];
        } else {
            let name = leading_name(rest);
            if name.is_empty() {
                return Err(invalid_variable(&format!(
                    "${}",
                    rest.chars().next().unwrap_or(' ')
                )));
            }
            out.push_str(&lookup(name).unwrap_or_default());
            rest = &rest[name.len()..];
        }
        if out.len() > LONGEST {
            return Err(InterpolationError::TooLong);
        }
    }
    out.push_str(rest);
    Ok(out)
}

/// Doubles every dollar sign, so that Docker's own interpolation leaves the text alone.
pub fn escape_dollars(text: &str) -> String {
    text.replace('$', "$$")
}

fn invalid_variable(what: &str) -> InterpolationError {
    InterpolationError::Invalid(what.chars().take(40).collect())
}

/// Where the brace that was opened before `text` closes; braces of nested variables are skipped.
fn find_closing_brace(text: &str) -> Option<usize> {
    let mut depth = 0;
    let bytes = text.as_bytes();
    let mut i = 0;
    while i < bytes.len() {
        match bytes[i] {
            b'$' if bytes.get(i + 1) == Some(&b'$') => i += 1,
            b'$' if bytes.get(i + 1) == Some(&b'{') => {
                depth += 1;
                i += 1;
            }
            b'}' if depth == 0 => return Some(i),
            b'}' => depth -= 1,
            _ => {}
        }
        i += 1;
    }
    None
}

fn leading_name(text: &str) -> &str {
    let end = text
        .char_indices()
        .find(|(i, c)| !(c.is_ascii_alphanumeric() && (*i > 0 || !c.is_ascii_digit()) || *c == '_'))
        .map_or(text.len(), |(i, _)| i);
    &text[..end]
}

/// Interpolates what stands inside `${…}`.
fn interpolate_braced(
    inside: &str,
    lookup: &dyn Fn(&str) -> Option<String>,
    deeper: usize,
) -> Result<String, InterpolationError> {
    let name = leading_name(inside);
    let operator = &inside[name.len()..];
    if name.is_empty() {
        return Err(invalid_variable(&format!("${{{inside}}}")));
    }
    let value = lookup(name);
    // With a colon, an empty value counts as a missing one.
    let (present, operator) = match operator.strip_prefix(':') {
        Some(operator) => (value.as_ref().is_some_and(|v| !v.is_empty()), operator),
        None => (value.is_some(), operator),
    };
    let value = value.unwrap_or_default();
    let mut chars = operator.chars();
    let kind = chars.next();
    let argument = chars.as_str();
    match kind {
        // A colon without an operator is an error.
        None if inside.ends_with(':') => Err(invalid_variable(&format!("${{{inside}}}"))),
        None => Ok(value),
        Some('-') if present => Ok(value),
        Some('-') => interpolate_within(argument, lookup, deeper),
        Some('?') if present => Ok(value),
        Some('?') => Err(InterpolationError::Required {
            name: name.to_owned(),
            message: interpolate_within(argument, lookup, deeper)?,
        }),
        Some('+') if present => interpolate_within(argument, lookup, deeper),
        Some('+') => Ok(String::new()),
        Some(_) => Err(invalid_variable(&format!("${{{inside}}}"))),
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
            ("${X:-d} ${X-d} ${EMPTY:-d} ${EMPTY-d}|", "d d d |"),
            ("${A:?e} ${A?e} ${EMPTY?e}|", "a a |"),
            ("${A:+x} ${A+x} ${EMPTY:+x} ${EMPTY+x} ${X+x}|", "x x  x |"),
            ("$$A $${A} $$$A", "$A ${A} $a"),
            ("${X:-${Y:-${A}}}", "a"),
            ("${X:-a}b}", "ab}"),
            ("${X:-$$}", "$"),
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
        for wrong in ["$", "$1", "${}", "${A", "${A:}", "${A!}", "$-"] {
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
