//! Translates rules of Traefik 1, `Host:a.org;PathPrefix:/x`, to Traefik 3.
//!
//! Sources: <https://doc.traefik.io/traefik/v1.7/basics/#matchers>, and `rules/rules.go` and
//! `server/server_configuration.go` (buildMatcherMiddlewares) of Traefik 1.7.

use super::hidden_variables::has_hidden_variable;
use matou_base::text::InvalidInput;
use matou_i18n::tr;

/// Where a middleware stands, the outermost first.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub(super) enum Stage {
    StripRegex,
    Strip,
    AddPrefix,
    ReplacePathRegex,
    ReplacePath,
    Errors,
    AllowList,
    Redirect,
    Headers,
    SecureRedirect,
    ClientCertificate,
    Auth,
    CircuitBreaker,
    Buffering,
    Connections,
    RateLimit,
}

/// A rule of Traefik 3, and the options of the middlewares that it needs.
#[derive(Debug, Default, PartialEq, Eq)]
pub(super) struct MigratedRule {
    pub rule: String,
    pub middlewares: Vec<RuleMiddleware>,
    /// Hosts that it names, in lower case.
    pub hosts: Vec<String>,
    /// What means something else in Traefik 3; a sentence each.
    pub notes: Vec<String>,
}

/// An option of a middleware that changes the path.
#[derive(Debug, PartialEq, Eq)]
pub(super) struct RuleMiddleware {
    pub stage: Stage,
    pub name: &'static str,
    pub option: &'static str,
    pub value: String,
}

/// A part of a rule: `MATCHER:VALUE,VALUE`.
struct RulePart<'a> {
    text: &'a str,
    values: Vec<&'a str>,
    /// All values, for what is not a list.
    joined: String,
}

/// Translates a rule such as `Host:a,b;PathPrefixStrip:/x`. Fails with a sentence.
pub(super) fn migrate_rule(old: &str) -> Result<MigratedRule, InvalidInput> {
    let mut out = MigratedRule::default();
    let mut parts = Vec::new();
    for text in split_outside_braces(old, ';') {
        let text = text.trim();
        if text.is_empty() {
            continue;
        }
        if let Some(matcher) = out.migrate_part(text)? {
            parts.push(matcher);
        }
    }
    out.rule = match parts.as_slice() {
        [] if out.middlewares.is_empty() => {
            return Err(InvalidInput::new(tr!("the rule is empty")));
        }
        // Traefik 1 takes a rule of modifiers alone for every request.
        [] => "PathPrefix(`/`)".to_owned(),
        parts => parts.join(" && "),
    };
    Ok(out)
}

impl MigratedRule {
    /// Translates one part, and returns its matcher.
    fn migrate_part(&mut self, text: &str) -> Result<Option<String>, InvalidInput> {
        let Some((name, values)) = text.split_once(':') else {
            return Err(InvalidInput::new(match has_hidden_variable(text) {
                true => {
                    tr!("`{text}` is a variable, which only a deploy knows: write the rule here")
                }
                false => tr!("`{text}` is no rule of Traefik 1: write MATCHER:VALUE"),
            }));
        };
        let part = RulePart {
            text,
            values: split_outside_braces(values, ',')
                .into_iter()
                .map(str::trim)
                .filter(|v| !v.is_empty())
                .collect(),
            joined: values.trim().to_owned(),
        };
        if part.values.is_empty() {
            return Err(InvalidInput::new(tr!("`{text}` has no value")));
        }
        let name = name.trim().to_ascii_lowercase();
        Ok(match name.as_str() {
            "host" => Some(self.migrate_hosts(&part)),
            "hostregexp" => {
                Some(part.match_either("HostRegexp", |v| template_to_regex(v, "[^.]+", true)))
            }
            "path" => Some(part.match_path(true)?),
            "pathprefix" => Some(part.match_path(false)?),
            "pathstrip" => Some(self.strip_path(&part, true)?),
            "pathprefixstrip" => Some(self.strip_path(&part, false)?),
            "pathstripregex" => Some(self.strip_pattern(&part, true)?),
            "pathprefixstripregex" => Some(self.strip_pattern(&part, false)?),
            "method" => Some(part.match_either("Method", str::to_ascii_uppercase)),
            "headers" => Some(part.match_headers("Header")?),
            "headersregexp" => Some(part.match_headers("HeaderRegexp")?),
            "query" => Some(part.match_query()?),
            "addprefix" => {
                self.add_modifier(Stage::AddPrefix, "prefix", "addprefix.prefix", &part);
                None
            }
            "replacepath" => {
                self.add_modifier(Stage::ReplacePath, "replace", "replacepath.path", &part);
                None
            }
            "replacepathregex" => {
                self.replace_pattern(&part)?;
                None
            }
            other => {
                return Err(InvalidInput::new(tr!(
                    "`{other}` is no matcher of Traefik 1"
                )));
            }
        })
    }

    fn migrate_hosts(&mut self, part: &RulePart<'_>) -> String {
        for host in part.values.iter().filter(|host| host.contains('*')) {
            self.notes.push(tr!(
                "Traefik 1 found no request for the host `{host}`, Traefik 3 takes it for all names: write the one that is meant"
            ));
        }
        let hosts = part.values.iter().map(|v| v.to_ascii_lowercase());
        self.hosts.extend(hosts);
        part.match_either("Host", str::to_ascii_lowercase)
    }

    /// Sets an option of a middleware. What a rule says twice counts once: the later one.
    fn set_option(
        &mut self,
        stage: Stage,
        name: &'static str,
        option: &'static str,
        value: String,
    ) {
        self.middlewares.retain(|m| m.option != option);
        self.middlewares.push(RuleMiddleware {
            stage,
            name,
            option,
            value,
        });
    }

    /// Sets an option to the last value, which is the one that counts.
    fn add_modifier(
        &mut self,
        stage: Stage,
        name: &'static str,
        option: &'static str,
        part: &RulePart<'_>,
    ) {
        let value = part.values.last().copied().unwrap_or_default();
        self.set_option(stage, name, option, value.to_owned());
    }

    fn strip_path(&mut self, part: &RulePart<'_>, whole: bool) -> Result<String, InvalidInput> {
        // Traefik 1 strips no pattern here, and answers 404.
        if part.has_pattern() {
            return self.strip_pattern(part, whole);
        }
        let prefixes = part.longest_first().join(",");
        self.set_option(Stage::Strip, "strip", "stripprefix.prefixes", prefixes);
        part.match_path(whole)
    }

    fn strip_pattern(&mut self, part: &RulePart<'_>, whole: bool) -> Result<String, InvalidInput> {
        let patterns: Vec<String> = part
            .longest_first()
            .into_iter()
            .map(|v| template_to_regex(v, "[^/]+", false))
            .collect();
        if patterns.iter().any(|p| p.contains(',')) {
            return Err(InvalidInput::new(tr!(
                "`{}`: a pattern with a comma can't stand in a label",
                part.text
            )));
        }
        self.set_option(
            Stage::StripRegex,
            "strip-regex",
            "stripprefixregex.regex",
            patterns.join(","),
        );
        part.require_slashes()?;
        Ok(part.match_either("PathRegexp", |v| template_to_regex(v, "[^/]+", whole)))
    }

    fn replace_pattern(&mut self, part: &RulePart<'_>) -> Result<(), InvalidInput> {
        let words: Vec<&str> = part.joined.split(' ').collect();
        let [from, to] = words.as_slice() else {
            return Err(InvalidInput::new(tr!(
                "`{}` is no PATTERN REPLACEMENT",
                part.text
            )));
        };
        let (stage, name) = (Stage::ReplacePathRegex, "replace-regex");
        self.set_option(stage, name, "replacepathregex.regex", (*from).to_owned());
        self.set_option(
            stage,
            name,
            "replacepathregex.replacement",
            (*to).to_owned(),
        );
        Ok(())
    }
}

impl RulePart<'_> {
    fn has_pattern(&self) -> bool {
        self.values.iter().any(|v| v.contains('{'))
    }

    /// Traefik 1 compares in this order.
    fn longest_first(&self) -> Vec<&str> {
        let mut values = self.values.clone();
        values.sort_by_key(|v| std::cmp::Reverse(v.len()));
        values
    }

    /// Returns a matcher that takes any of the values.
    fn match_either(&self, matcher: &str, value: impl Fn(&str) -> String) -> String {
        self.match_each(|v| format!("{matcher}({})", quote_argument(&value(v))))
    }

    /// Joins a matcher for each value.
    fn match_each(&self, matcher: impl Fn(&str) -> String) -> String {
        let all: Vec<String> = self.values.iter().map(|v| matcher(v)).collect();
        match all.as_slice() {
            [one] => one.clone(),
            _ => format!("({})", all.join(" || ")),
        }
    }

    fn match_path(&self, whole: bool) -> Result<String, InvalidInput> {
        self.require_slashes()?;
        Ok(self.match_each(|path| {
            let (matcher, argument) = match (path.contains('{'), whole) {
                (true, _) => ("PathRegexp", template_to_regex(path, "[^/]+", whole)),
                (false, true) => ("Path", path.to_owned()),
                (false, false) => ("PathPrefix", path.to_owned()),
            };
            format!("{matcher}({})", quote_argument(&argument))
        }))
    }

    fn require_slashes(&self) -> Result<(), InvalidInput> {
        let wrong = |v: &&&str| !v.starts_with('/') && !has_hidden_variable(v);
        match self.values.iter().find(wrong) {
            Some(value) => Err(InvalidInput::new(tr!(
                "`{}` matches no request: a path begins with a slash, write /{value}",
                self.text
            ))),
            None => Ok(()),
        }
    }

    /// Pairs of names and values, all of which a request must have.
    fn match_headers(&self, matcher: &str) -> Result<String, InvalidInput> {
        if !self.values.len().is_multiple_of(2) {
            return Err(InvalidInput::new(tr!(
                "`{}` names no header and value",
                self.text
            )));
        }
        let pairs = self.values.chunks_exact(2).map(|pair| {
            let (key, value) = (quote_argument(pair[0]), quote_argument(pair[1]));
            format!("{matcher}({key}, {value})")
        });
        Ok(pairs.collect::<Vec<_>>().join(" && "))
    }

    fn match_query(&self) -> Result<String, InvalidInput> {
        let all: Result<Vec<String>, InvalidInput> = self
            .values
            .iter()
            .map(|v| {
                let (k, v) = v
                    .split_once('=')
                    .ok_or_else(|| tr!("`{}` is no NAME=VALUE", self.text))?;
                let k = quote_argument(k);
                // Without a value any will do.
                Ok(match v {
                    "" => format!("QueryRegexp({k}, `.*`)"),
                    v if v.contains('{') => {
                        let pattern = template_to_regex(v, ".*", true);
                        format!("QueryRegexp({k}, {})", quote_argument(&pattern))
                    }
                    v => format!("Query({k}, {})", quote_argument(v)),
                })
            })
            .collect();
        Ok(all?.join(" && "))
    }
}

/// Quotes an argument of a matcher as Go does: between backticks where it can.
fn quote_argument(text: &str) -> String {
    match text.contains('`') {
        false => format!("`{text}`"),
        true => format!("\"{}\"", text.replace('\\', "\\\\").replace('"', "\\\"")),
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
            ("Host: a.org, ,", "Host(`a.org`)"),
            ("Host:a.org:443;", "Host(`a.org:443`)"),
            (
                "HostRegexp:{sub:[a-z]+}.a.org",
                "HostRegexp(`^[a-z]+\\.a\\.org$`)",
            ),
            (
                "HostRegexp:{sub}.a-b.org",
                "HostRegexp(`^[^.]+\\.a-b\\.org$`)",
            ),
            (
                "HostRegexp:{sub:a|b}.a.org,a.org",
                "(HostRegexp(`^(?:a|b)\\.a\\.org$`) || HostRegexp(`^a\\.org$`))",
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
            (
                "Headers:X-A,b,X-C,d",
                "Header(`X-A`, `b`) && Header(`X-C`, `d`)",
            ),
            ("Headers:X-A,`", "Header(`X-A`, \"`\")"),
            ("Query:a=b", "Query(`a`, `b`)"),
            (
                "Query:a=,b={n:[0-9]+}",
                "QueryRegexp(`a`, `.*`) && QueryRegexp(`b`, `^[0-9]+$`)",
            ),
            ("AddPrefix:/x", "PathPrefix(`/`)"),
            (
                "PathPrefixStrip:/a,/{v:v[0-9]}",
                "(PathRegexp(`^/a`) || PathRegexp(`^/v[0-9]`))",
            ),
        ] {
            assert_eq!(migrate_rule(old).unwrap().rule, new, "{old}");
        }
    }

    #[test]
    fn modifiers_come_in_the_order_of_traefik_1() {
        let values = |rule: &str| {
            let mut found = migrate_rule(rule).unwrap().middlewares;
            found.sort_by_key(|m| m.stage);
            let shown = found.into_iter();
            shown
                .map(|m| format!("{} {}={}", m.name, m.option, m.value))
                .collect::<Vec<_>>()
        };
        assert_eq!(
            values(
                "AddPrefix:/b,/api;ReplacePath:/r;PathPrefixStripRegex:/{v:v[0-9]}/;PathPrefixStrip:/x,/long;ReplacePathRegex:^/a/(.*) /$1"
            ),
            [
                "strip-regex stripprefixregex.regex=^/v[0-9]/",
                "strip stripprefix.prefixes=/long,/x",
                "prefix addprefix.prefix=/api",
                "replace-regex replacepathregex.regex=^/a/(.*)",
                "replace-regex replacepathregex.replacement=/$1",
                "replace replacepath.path=/r",
            ]
        );
        assert_eq!(
            values("PathStrip:/a;PathPrefixStrip:/b"),
            ["strip stripprefix.prefixes=/b"]
        );
    }

    #[test]
    fn what_is_no_rule_is_told_with_what_to_do() {
        for (rule, part) in [
            ("Hots:a", "`hots` is no matcher of Traefik 1"),
            ("a.org", "write MATCHER:VALUE"),
            ("Host:", "`Host:` has no value"),
            ("Host:a;PathPrefix:api", "write /api"),
            ("PathStripRegex:{a:b}", "a path begins with a slash"),
            ("Headers:a", "no header and value"),
            ("Query:a", "no NAME=VALUE"),
            ("ReplacePathRegex:/a", "no PATTERN REPLACEMENT"),
            (";", "the rule is empty"),
            (
                "PathPrefixStripRegex:/{a:[0-9]{1,2}}",
                "a comma can't stand in a label",
            ),
        ] {
            let error = migrate_rule(rule).unwrap_err().to_string();
            assert!(error.contains(part), "{rule}: {error}");
        }
        assert_eq!(migrate_rule("Host:*.a.org").unwrap().notes.len(), 1);
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
