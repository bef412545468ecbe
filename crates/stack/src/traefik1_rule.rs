//! Translates rules of Traefik 1, `Host:a.org;PathPrefix:/x`, to Traefik 3.
//!
//! Source: <https://doc.traefik.io/traefik/v1.7/basics/#matchers>.

use matou_base::text::InvalidInput;
/// A rule of Traefik 3, and the options of the middlewares that it needs.
#[derive(Debug, Default, PartialEq, Eq)]
pub(super) struct MigratedRule {
    pub rule: String,
    /// Name, option and value.
    pub middlewares: Vec<(&'static str, &'static str, String)>,
}

/// Translates a rule such as `Host:a,b;PathPrefixStrip:/x`. Fails with a sentence.
pub(super) fn migrate_rule(old: &str) -> Result<MigratedRule, InvalidInput> {
    let mut out = MigratedRule::default();
    let mut parts = Vec::new();
    for part in split_outside_braces(old, ';') {
        let part = part.trim();
        if part.is_empty() {
            continue;
        }
        let (name, values) = part
            .split_once(':')
            .ok_or_else(|| format!("`{part}` is no rule of Traefik 1: write MATCHER:VALUE"))?;
        let values: Vec<&str> = split_outside_braces(values, ',')
            .into_iter()
            .map(str::trim)
            .collect();
        let either = |matcher: &str, of: &dyn Fn(&str) -> String| {
            let all: Vec<String> = values
                .iter()
                .map(|v| format!("{matcher}(`{}`)", of(v)))
                .collect();
            match all.as_slice() {
                [one] => one.clone(),
                _ => format!("({})", all.join(" || ")),
            }
        };
        let same = |v: &str| v.to_owned();
        let pattern = values.iter().any(|v| v.contains('{'));
        let joined = || values.join(",");
        match (name.trim().to_ascii_lowercase().as_str(), pattern) {
            ("host", _) => parts.push(either("Host", &|v| v.to_lowercase_host())),
            ("hostregexp", _) => parts.push(either("HostRegexp", &|v| {
                template_to_regex(v, "[^.]+", true)
            })),
            ("path", false) => parts.push(either("Path", &same)),
            ("path", true) => parts.push(either("PathRegexp", &|v| {
                template_to_regex(v, "[^/]+", true)
            })),
            ("pathprefix", false) => parts.push(either("PathPrefix", &same)),
            ("pathprefix", true) => {
                parts.push(either("PathRegexp", &|v| {
                    template_to_regex(v, "[^/]+", false)
                }));
            }
            ("pathstrip", _) => {
                parts.push(either("Path", &same));
                out.middlewares
                    .push(("strip", "stripprefix.prefixes", joined()));
            }
            ("pathprefixstrip", _) => {
                parts.push(either("PathPrefix", &same));
                out.middlewares
                    .push(("strip", "stripprefix.prefixes", joined()));
            }
            (strip @ ("pathstripregex" | "pathprefixstripregex"), _) => {
                let whole = strip == "pathstripregex";
                parts.push(either("PathRegexp", &|v| {
                    template_to_regex(v, "[^/]+", whole)
                }));
                let patterns: Vec<String> = values
                    .iter()
                    .map(|v| template_to_regex(v, "[^/]+", false))
                    .collect();
                out.middlewares
                    .push(("strip", "stripprefixregex.regex", patterns.join(",")));
            }
            ("method", _) => parts.push(either("Method", &|v| v.to_ascii_uppercase())),
            (headers @ ("headers" | "headersregexp"), _) => {
                let [key, value] = values.as_slice() else {
                    return Err(InvalidInput::new(format_args!(
                        "`{part}` names no header and value"
                    )));
                };
                let matcher = match headers {
                    "headers" => "Header",
                    _ => "HeaderRegexp",
                };
                parts.push(format!("{matcher}(`{key}`, `{value}`)"));
            }
            ("query", _) => {
                let all: Result<Vec<String>, InvalidInput> = values
                    .iter()
                    .map(|v| {
                        let (k, v) = v
                            .split_once('=')
                            .ok_or_else(|| format!("`{part}` is no NAME=VALUE"))?;
                        Ok(format!("Query(`{k}`, `{v}`)"))
                    })
                    .collect();
                parts.push(all?.join(" && "));
            }
            ("addprefix", _) => out
                .middlewares
                .push(("prefix", "addprefix.prefix", joined())),
            ("replacepath", _) => out
                .middlewares
                .push(("replace", "replacepath.path", joined())),
            ("replacepathregex", _) => {
                let text = joined();
                let (from, to) = text
                    .split_once(' ')
                    .ok_or_else(|| format!("`{part}` is no PATTERN REPLACEMENT"))?;
                let (from, to) = (from.to_owned(), to.to_owned());
                out.middlewares
                    .push(("replace", "replacepathregex.regex", from));
                out.middlewares
                    .push(("replace", "replacepathregex.replacement", to));
            }
            (other, _) => {
                return Err(InvalidInput::new(format_args!(
                    "`{other}` is no matcher of Traefik 1"
                )));
            }
        }
    }
    out.rule = parts.join(" && ");
    Ok(out)
}

trait LowercaseHost {
    fn to_lowercase_host(&self) -> String;
}

impl LowercaseHost for str {
    /// Returns a host name in lower case. One with `${VARIABLES}` is unchanged.
    fn to_lowercase_host(&self) -> String {
        match self.contains('$') {
            true => self.to_owned(),
            false => self.to_ascii_lowercase(),
        }
    }
}

/// Splits outside of braces, since patterns may hold the separator.
fn split_outside_braces(text: &str, at: char) -> Vec<&str> {
    let (mut parts, mut depth, mut start) = (Vec::new(), 0_usize, 0);
    for (i, c) in text.char_indices() {
        match c {
            '{' => depth += 1,
            '}' => depth = depth.saturating_sub(1),
            c if c == at && depth == 0 => {
                parts.push(&text[start..i]);
                start = i + c.len_utf8();
            }
            _ => {}
        }
    }
    parts.push(&text[start..]);
    parts
}

/// Turns `/x/{id:[0-9]+}` into a regular expression of Go. `{id}` without a pattern becomes `any`.
fn template_to_regex(template: &str, any: &str, whole: bool) -> String {
    let mut out = String::from("^");
    let mut rest = template;
    while let Some(at) = rest.find('{') {
        // A variable of the compose file is no pattern.
        if rest[..at].ends_with('$') {
            let end = rest[at..].find('}').map_or(rest.len(), |e| at + e + 1);
            out.push_str(&regex::escape(&rest[..at - 1]));
            out.push_str(&rest[at - 1..end]);
            rest = &rest[end..];
            continue;
        }
        out.push_str(&regex::escape(&rest[..at]));
        let end = find_pattern_end(&rest[at..]).map_or(rest.len(), |e| at + e);
        let inside = rest.get(at + 1..end).unwrap_or_default();
        match inside.split_once(':') {
            Some((_, pattern)) if pattern.contains('|') => {
                out.push_str(&format!("(?:{pattern})"));
            }
            Some((_, pattern)) => out.push_str(pattern),
            None => out.push_str(any),
        }
        rest = rest.get(end + 1..).unwrap_or_default();
    }
    out.push_str(&regex::escape(rest));
    if whole {
        out.push('$');
    }
    // `-` is not special to Go outside a class, and is easier to read without the backslash.
    out.replace("\\-", "-")
}

/// Finds the brace that closes the first one of `text`. A pattern may hold `{2,3}`.
fn find_pattern_end(text: &str) -> Option<usize> {
    let mut depth = 0;
    for (i, c) in text.char_indices() {
        match c {
            '{' => depth += 1,
            '}' if depth == 1 => return Some(i),
            '}' => depth -= 1,
            _ => {}
        }
    }
    None
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn rules_of_every_matcher() {
        for (old, new) in [
            ("Host:A.org,b.org", "(Host(`a.org`) || Host(`b.org`))"),
            (
                "Host:a.org;PathPrefix:/p",
                "Host(`a.org`) && PathPrefix(`/p`)",
            ),
            ("Host: ${DOMAIN:?err}", "Host(`${DOMAIN:?err}`)"),
            (
                "HostRegexp:{sub:[a-z]+}.a.org",
                "HostRegexp(`^[a-z]+\\.a\\.org$`)",
            ),
            (
                "HostRegexp:{sub}.a-b.org",
                "HostRegexp(`^[^.]+\\.a-b\\.org$`)",
            ),
            (
                "HostRegexp:{sub:a|b}.${DOMAIN}",
                "HostRegexp(`^(?:a|b)\\.${DOMAIN}$`)",
            ),
            ("Path:/a,/b", "(Path(`/a`) || Path(`/b`))"),
            (
                "Path:/a/{id:[0-9]{1,3}}/x",
                "PathRegexp(`^/a/[0-9]{1,3}/x$`)",
            ),
            ("PathPrefix:/a/{id}", "PathRegexp(`^/a/[^/]+`)"),
            ("Method:get,POST", "(Method(`GET`) || Method(`POST`))"),
            ("Headers:X-A,b", "Header(`X-A`, `b`)"),
            ("HeadersRegexp:X-A,b.*", "HeaderRegexp(`X-A`, `b.*`)"),
            ("Query:a=b", "Query(`a`, `b`)"),
        ] {
            assert_eq!(migrate_rule(old).unwrap().rule, new, "{old}");
        }
        let strip = migrate_rule("Host:a.org;PathPrefixStrip:/x,/y").unwrap();
        assert_eq!(
            strip.rule,
            "Host(`a.org`) && (PathPrefix(`/x`) || PathPrefix(`/y`))"
        );
        assert_eq!(
            strip.middlewares,
            [("strip", "stripprefix.prefixes", "/x,/y".to_owned())]
        );
        let strip = migrate_rule("PathPrefixStripRegex:/{v:v[0-9]}/").unwrap();
        assert_eq!(strip.middlewares[0].2, "^/v[0-9]/");
        let replace = migrate_rule("Host:a;ReplacePathRegex:^/a/(.*) /$1").unwrap();
        assert_eq!(replace.middlewares[0].2, "^/a/(.*)");
        assert_eq!(
            migrate_rule("Hots:a").unwrap_err().to_string(),
            "`hots` is no matcher of Traefik 1"
        );
        assert!(
            migrate_rule("a.org")
                .unwrap_err()
                .to_string()
                .contains("MATCHER:VALUE")
        );
    }

    proptest::proptest! {
        #[test]
        fn hosts_are_kept(hosts in proptest::collection::vec("[a-z]{1,8}\\.[a-z]{2,3}", 1..4)) {
            let new = migrate_rule(&format!("Host:{}", hosts.join(","))).unwrap().rule;
            for host in hosts {
                assert!(new.contains(&format!("Host(`{host}`)")));
            }
        }
    }
}
