//! Password hashes that Docker's interpolation cuts: `$apr1$salt$hash` is three variables to it.

use std::sync::LazyLock;

use matou_i18n::tr;
use regex::Regex;
use saphyr_parser::{Event, Parser};

use super::lint::{LintFinding, LintSeverity};

/// How a hash begins whose parts are names of variables, with the character before it.
static CUT_HASH: LazyLock<Option<Regex>> = LazyLock::new(|| {
    Regex::new(r"(?:^|[^$])(\$(?:apr1|argon2(?:id|i|d)|y|gy|scrypt|sha1|bcrypt)\$)").ok()
});

/// Finds the password hashes whose dollar signs are not doubled.
pub(super) fn find_cut_hashes(file: &str, text: &str) -> Vec<LintFinding> {
    let mut found = Vec::new();
    let Some(pattern) = CUT_HASH.as_ref().filter(|_| text.contains('$')) else {
        return found;
    };
    let mut events = Parser::new_from_str(text);
    while let Some(Ok((event, span))) = events.next() {
        let Event::Scalar(value, ..) = event else {
            continue;
        };
        // A folded text begins a line after its key: what stands in it is where it says.
        for (i, line) in value.lines().enumerate() {
            let Some(hash) = pattern.captures(line).and_then(|c| c.get(1)) else {
                continue;
            };
            found.push(LintFinding {
                severity: LintSeverity::Warning,
                file: file.to_owned(),
                line: span.start.line() + i,
                message: tr!(
                    "a password hash begins with `{}`: Docker takes it for variables and cuts it out; write `$$` for each `$`",
                    hash.as_str()
                ),
            });
        }
    }
    found
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn hashes_with_single_dollars_are_found_where_they_stand() {
        let text = "a:\n  - users=bob:$apr1$abc$def\n  - users=bob:$$apr1$$abc$$def\n  # $apr1$x\n  - $2y$05$abc\nb: \"$argon2id$v=19$x\"\nc: $y$j9T$x\nd: ${apr1}$apr1.\n";
        let lines: Vec<usize> = find_cut_hashes("f", text).iter().map(|f| f.line).collect();
        assert_eq!(lines, [2, 6, 7]);
    }
}
