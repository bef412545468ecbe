//! Regular expressions in Traefik's labels: what Go's engine refuses of them.
//!
//! Source: <https://github.com/google/re2/wiki/Syntax>.

use matou_i18n::tr;

/// Returns why Go refuses an expression, as the end of a sentence; `None` for all others.
pub(super) fn find_regexp_fault(expression: &str) -> Option<&'static str> {
    let mut open = 0_usize;
    // Whether something stands before that can be repeated, and whether it is repeated already.
    let (mut atom, mut repeated) = (false, false);
    let mut chars = expression.char_indices();
    while let Some((at, c)) = chars.next() {
        let rest = &expression[at..];
        match c {
            '\\' => {
                match chars.next() {
                    None => return Some(tr!("ends with a backslash")),
                    Some((_, '1'..='9')) => {
                        return Some(tr!("refers back to a group, which Go does not know"));
                    }
                    Some(_) => {}
                }
                (atom, repeated) = (true, false);
            }
            '[' => {
                let end = class_length(rest)?;
                for _ in 1..end.chars {
                    chars.next();
                }
                if !end.closed {
                    return Some(tr!("has a [ that is not closed"));
                }
                (atom, repeated) = (true, false);
            }
            '(' => {
                if ["(?=", "(?!", "(?<=", "(?<!", "(?>"]
                    .iter()
                    .any(|l| rest.starts_with(l))
                {
                    return Some(tr!("looks ahead or behind, which Go does not know"));
                }
                if rest.starts_with("(?") {
                    // Flags and names of groups.
                    let length = rest.find([':', ')', '>']).unwrap_or(0);
                    for _ in 0..rest[..length].chars().count().saturating_sub(1) {
                        chars.next();
                    }
                    if rest[length..].starts_with([':', '>']) {
                        chars.next();
                    }
                }
                open += 1;
                (atom, repeated) = (false, false);
            }
            ')' if open == 0 => return Some(tr!("has a ) that nothing opens")),
            ')' => {
                open -= 1;
                (atom, repeated) = (true, false);
            }
            '|' => (atom, repeated) = (false, false),
            '*' | '+' if repeated => return Some(tr!("repeats a repetition")),
            '*' | '+' | '?' if !atom => {
                return Some(tr!("has a repetition with nothing before it to repeat"));
            }
            '*' | '+' => repeated = true,
            '?' => {}
            _ => (atom, repeated) = (true, false),
        }
    }
    (open > 0).then_some(tr!("has a ( that is not closed"))
}

struct ClassEnd {
    chars: usize,
    closed: bool,
}

/// Measures a class of characters, which begins the text.
fn class_length(text: &str) -> Option<ClassEnd> {
    let mut chars = 1;
    let mut first = true;
    let mut rest = text.strip_prefix('[')?;
    if let Some(after) = rest.strip_prefix('^') {
        rest = after;
        chars += 1;
    }
    while let Some(c) = rest.chars().next() {
        if c == ']' && !first {
            chars += 1;
            return Some(ClassEnd {
                chars,
                closed: true,
            });
        }
        first = false;
        let length = match c {
            '\\' => 1 + rest[1..].chars().next().map_or(0, char::len_utf8),
            '[' if rest.starts_with("[:") => rest.find(":]").map_or(1, |end| end + 2),
            c => c.len_utf8(),
        };
        chars += rest[..length].chars().count();
        rest = &rest[length..];
    }
    Some(ClassEnd {
        chars,
        closed: false,
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_go_refuses() {
        for (expression, wanted) in [
            ("^/(a|b)/[0-9]{2,}$", None),
            ("{host:.+}", None),
            ("[]a(*]+.*?", None),
            ("(?i)^a(?:b|c)(?P<n>d)+$", None),
            ("[[:alpha:]]+\\(", None),
            ("*.a.org", Some("nothing before it")),
            ("(|*a)", Some("nothing before it")),
            ("a**", Some("repeats a repetition")),
            ("^(?!/api)", Some("looks ahead")),
            ("(a)\\1", Some("refers back")),
            ("(a", Some("( that is not closed")),
            ("a)", Some(") that nothing opens")),
            ("[a-", Some("[ that is not closed")),
        ] {
            let fault = find_regexp_fault(expression);
            match wanted {
                None => assert_eq!(fault, None, "{expression}"),
                Some(wanted) => assert!(
                    fault.is_some_and(|f| f.contains(wanted)),
                    "{expression}: {fault:?}"
                ),
            }
        }
    }

    proptest::proptest! {
        #[test]
        fn nothing_panics(expression in "[aé(){}\\[\\]?:<>!=*+|^\\\\$]{0,40}") {
            find_regexp_fault(&expression);
        }
    }
}
