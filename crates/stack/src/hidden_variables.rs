//! Hides the variables of a compose file while its values are rewritten, so that what is rewritten
//! sees neither their braces nor their defaults, and dollar signs are what they stand for.

use std::collections::HashMap;

use super::interpolate::escape_dollars;
use matou_base::text::InvalidInput;
use matou_i18n::tr;

/// Stands before and behind the number of a hidden variable. A noncharacter of Unicode, which no
/// text should hold.
const MARK: char = '\u{FDD0}';

/// Whether a value holds a hidden variable.
pub(super) fn has_hidden_variable(value: &str) -> bool {
    value.contains(MARK)
}

/// The variables that were hidden, as they are written.
#[derive(Debug, Default)]
pub(super) struct HiddenVariables {
    written: Vec<String>,
    numbers: HashMap<String, usize>,
}

impl HiddenVariables {
    /// Hides the variables of a value; `$$` becomes `$`.
    ///
    /// # Errors
    /// A variable has no end, or the text holds the character that marks them.
    pub(super) fn hide_variables(&mut self, text: &str) -> Result<String, InvalidInput> {
        let hidden = replace_variables(text, |variable| Some(self.number_of(variable)))?;
        Ok(hidden.unwrap_or_default())
    }

    /// Hides variables of a text whose variables were all hidden before.
    pub(super) fn hide_known_variables(&self, text: &str) -> Option<String> {
        replace_variables(text, |variable| self.numbers.get(variable).copied()).ok()?
    }

    /// The same variable always has the same number.
    fn number_of(&mut self, variable: &str) -> usize {
        if let Some(number) = self.numbers.get(variable) {
            return *number;
        }
        let number = self.written.len();
        self.written.push(variable.to_owned());
        self.numbers.insert(variable.to_owned(), number);
        number
    }

    /// Puts the variables back; other dollar signs are doubled.
    pub(super) fn show_variables(&self, text: &str) -> String {
        let mut out = String::with_capacity(text.len());
        for (index, part) in text.split(MARK).enumerate() {
            let variable = (index % 2 == 1).then(|| part.parse::<usize>().ok());
            match variable.flatten().and_then(|n| self.written.get(n)) {
                Some(variable) => out.push_str(variable),
                None => out.push_str(&escape_dollars(part)),
            }
        }
        out
    }
}

/// Replaces the variables of a text by marks around their numbers; `$$` becomes `$`. `None` when one has
/// no number.
fn replace_variables(
    text: &str,
    mut number_of: impl FnMut(&str) -> Option<usize>,
) -> Result<Option<String>, InvalidInput> {
    if has_hidden_variable(text) {
        return Err(InvalidInput::new(tr!("it holds the noncharacter U+FDD0")));
    }
    let mut out = String::with_capacity(text.len());
    let mut rest = text;
    while let Some(at) = rest.find('$') {
        out.push_str(&rest[..at]);
        rest = &rest[at..];
        if let Some(after) = rest.strip_prefix("$$") {
            out.push('$');
            rest = after;
            continue;
        }
        let Some(length) = variable_length(rest)? else {
            // The engine will refuse it, or knows better.
            out.push('$');
            rest = &rest[1..];
            continue;
        };
        let Some(number) = number_of(&rest[..length]) else {
            return Ok(None);
        };
        out.push(MARK);
        out.push_str(&number.to_string());
        out.push(MARK);
        rest = &rest[length..];
    }
    out.push_str(rest);
    Ok(Some(out))
}

/// Returns the length of the variable with which a text begins.
fn variable_length(text: &str) -> Result<Option<usize>, InvalidInput> {
    let after = &text[1..];
    if after.starts_with('{') {
        let mut depth = 0_usize;
        for (at, c) in text.char_indices() {
            match c {
                '{' => depth += 1,
                '}' if depth == 1 => return Ok(Some(at + 1)),
                '}' => depth -= 1,
                _ => {}
            }
        }
        return Err(InvalidInput::new(tr!(
            "`{text}` is no variable: write ${{NAME}}, or $$ for a dollar sign"
        )));
    }
    let name = after.trim_start_matches(|c: char| c.is_ascii_alphanumeric() || c == '_');
    let length = after.len() - name.len();
    let begins = after.starts_with(|c: char| c.is_ascii_alphabetic() || c == '_');
    Ok(begins.then_some(1 + length))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn variables_are_hidden_and_shown_again() {
        let mut hidden = HiddenVariables::default();
        let text = "a$$1 ${A:-{b},c} $B-c";
        let without = hidden.hide_variables(text).unwrap();
        assert!(has_hidden_variable(&without));
        assert!(!without.contains(['{', ',', 'B']), "{without}");
        assert!(without.starts_with("a$1 "), "{without}");
        assert_eq!(hidden.show_variables(&without), text);
        assert_eq!(hidden.show_variables("^a$"), "^a$$");
        assert!(hidden.hide_variables("${A").is_err());
        assert!(hidden.hide_variables("\u{FDD0}").is_err());
        assert_eq!(hidden.hide_variables("a$").unwrap(), "a$");
    }

    proptest::proptest! {
        #[test]
        fn what_is_hidden_comes_back(text in "[a${}:A-]{0,20}") {
            let mut hidden = HiddenVariables::default();
            if let Ok(without) = hidden.hide_variables(&text) {
                let shown = hidden.show_variables(&without);
                assert_eq!(hidden.hide_variables(&shown).map(|t| hidden.show_variables(&t)).unwrap(), shown);
            }
        }
    }
}
