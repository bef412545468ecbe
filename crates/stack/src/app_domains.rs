//! Names of an application beside its main one, `[domains]` of its file: those it answers under too, and
//! those that lead to the main one.

use std::collections::BTreeSet;

use matou_base::text::InvalidInput;
use matou_i18n::tr;
use matou_model::parse_rule_hosts;
use serde::{Deserialize, Serialize};

use super::extension::is_domain;

/// Most names of an application beside its main one: the edge asks a certificate for each.
const MOST_NAMES: usize = 100;

/// What is done with `www.` before the main name, or with the main name without it.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum WwwName {
    /// Nothing.
    #[default]
    None,
    /// The application answers under it, too.
    Answer,
    /// It leads to the main name.
    Redirect,
}

impl std::str::FromStr for WwwName {
    type Err = InvalidInput;

    fn from_str(text: &str) -> Result<Self, InvalidInput> {
        match text {
            "none" => Ok(Self::None),
            "answer" => Ok(Self::Answer),
            "redirect" => Ok(Self::Redirect),
            _ => Err(tr!("expected redirect, answer or none").into()),
        }
    }
}

/// Names of an application beside its main one.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields, default)]
pub struct AppDomains {
    /// The name that the others go with; without it that of the variable DOMAIN, or the only one that the
    /// stack's labels have.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub main: Option<String>,
    /// Names under which the application answers, too.
    #[serde(skip_serializing_if = "Vec::is_empty")]
    pub aliases: Vec<String>,
    /// Names that lead to the main one.
    #[serde(skip_serializing_if = "Vec::is_empty")]
    pub redirects: Vec<String>,
    /// What is done with `www.`.
    #[serde(skip_serializing_if = "is_default")]
    pub www: WwwName,
    /// The main name of before, while the application's own change to the new one is not done:
    /// `matou rename` writes it, and takes it away.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub renamed_from: Option<String>,
}

pub(super) fn is_default<T: Default + PartialEq>(value: &T) -> bool {
    *value == T::default()
}

/// What changes in the names of an application.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields, default)]
pub struct NameChanges {
    /// Names under which it is to answer, too.
    pub aliases: Vec<String>,
    /// Names that are to lead to the main one.
    pub redirects: Vec<String>,
    /// Names that it loses.
    pub dropped: Vec<String>,
    /// What is to be done with `www.`.
    pub www: Option<WwwName>,
    /// The main name changes: which becomes which.
    #[serde(skip)]
    pub rename: Option<(String, String)>,
}

impl NameChanges {
    /// Changes the names of an application's file.
    ///
    /// # Errors
    /// One is no host name, or is dropped and is not there.
    pub fn apply(&self, domains: &mut AppDomains) -> Result<(), InvalidInput> {
        let remove = |list: &mut Vec<String>, name: &str| {
            let before = list.len();
            list.retain(|n| !n.eq_ignore_ascii_case(name));
            list.len() < before
        };
        for name in &self.dropped {
            let removed = [
                remove(&mut domains.aliases, name),
                remove(&mut domains.redirects, name),
            ];
            if removed == [false, false] {
                return Err(InvalidInput::new(tr!(
                    "{name:?} is neither an alias nor a redirect of [domains]: there is nothing to take away"
                )));
            }
        }
        let mut add = |name: &str, as_redirect: bool| {
            let name = check_name(name)?;
            let (to, from) = match as_redirect {
                true => (&mut domains.redirects, &mut domains.aliases),
                false => (&mut domains.aliases, &mut domains.redirects),
            };
            remove(from, &name);
            if !to.iter().any(|n| n.eq_ignore_ascii_case(&name)) {
                to.push(name);
            }
            Ok::<_, InvalidInput>(())
        };
        for name in &self.aliases {
            add(name, false)?;
        }
        for name in &self.redirects {
            add(name, true)?;
        }
        domains.www = self.www.unwrap_or(domains.www);
        if let Some((old, new)) = &self.rename {
            let new = check_name(new)?;
            remove(&mut domains.aliases, &new);
            remove(&mut domains.redirects, &new);
            if domains.main.is_some() {
                domains.main = Some(new);
            }
            domains.renamed_from = Some(old.clone());
        }
        Ok(())
    }
}

/// Returns a name in lower case.
///
/// # Errors
/// It is no host name.
fn check_name(name: &str) -> Result<String, InvalidInput> {
    if name.starts_with("*.") {
        return Err(InvalidInput::new(tr!(
            "{name:?} stands for many names: [domains] takes whole names, each with a certificate of its own"
        )));
    }
    match is_domain(name) && !name.bytes().all(|b| b.is_ascii_digit() || b == b'.') {
        true => Ok(name.to_ascii_lowercase()),
        false => Err(InvalidInput::new(tr!(
            "{name:?} is no host name: write it as shop.example.org (one with other letters in its xn-- form)"
        ))),
    }
}

impl AppDomains {
    /// Returns what the other form of a name is: with `www.` or without it.
    pub fn other_form(name: &str) -> String {
        match name.strip_prefix("www.") {
            Some(bare) => bare.to_owned(),
            None => format!("www.{name}"),
        }
    }

    /// Whether there is no name beside the main one.
    pub fn is_empty(&self) -> bool {
        self.aliases.is_empty() && self.redirects.is_empty() && self.www == WwwName::None
    }

    /// Finds the main name, and what the others are. `variable` is the value of the variable DOMAIN, `hosts` are
    /// the names of the stack's routers. `None` when there are no others.
    pub(super) fn resolve(
        &self,
        variable: Option<&str>,
        hosts: &BTreeSet<String>,
    ) -> Result<Option<ExtraNames>, InvalidInput> {
        if self.is_empty() {
            return Ok(None);
        }
        let main = self.find_main(variable, hosts)?;
        let mut names = ExtraNames {
            main,
            aliases: BTreeSet::new(),
            redirects: BTreeSet::new(),
        };
        for (list, as_redirect) in [(&self.aliases, false), (&self.redirects, true)] {
            for name in list {
                let name = check_name(name)?;
                if hosts.contains(&name) {
                    return Err(InvalidInput::new(tr!(
                        "{name} of [domains] is one that the stack's own labels answer for: take it out there"
                    )));
                }
                if names.holds(&name) {
                    return Err(InvalidInput::new(tr!(
                        "{name} stands in [domains] twice: it answers or it redirects, once"
                    )));
                }
                match as_redirect {
                    true => names.redirects.insert(name),
                    false => names.aliases.insert(name),
                };
            }
        }
        let other = Self::other_form(&names.main);
        if !hosts.contains(&other) && !names.holds(&other) && is_domain(&other) {
            match self.www {
                WwwName::Answer => names.aliases.insert(other),
                WwwName::Redirect => names.redirects.insert(other),
                WwwName::None => false,
            };
        }
        match names.list().count() > MOST_NAMES {
            true => Err(InvalidInput::new(tr!(
                "[domains] holds more than {MOST_NAMES} names"
            ))),
            false => Ok(Some(names)),
        }
    }

    fn find_main(
        &self,
        variable: Option<&str>,
        hosts: &BTreeSet<String>,
    ) -> Result<String, InvalidInput> {
        if let Some(main) = &self.main {
            let main = check_name(main)?;
            return match hosts.contains(&main) {
                true => Ok(main),
                false => Err(InvalidInput::new(tr!(
                    "no router of the stack answers for {main}, the main name of [domains]"
                ))),
            };
        }
        let variable = variable.map(str::to_ascii_lowercase);
        if let Some(main) = variable.filter(|name| hosts.contains(name)) {
            return Ok(main);
        }
        let mut each = hosts.iter();
        match (each.next(), each.next()) {
            (Some(only), None) => Ok(only.clone()),
            (None, _) => Err(InvalidInput::new(tr!(
                "no router of the stack answers for a name: those of [domains] have nothing to go with"
            ))),
            _ => Err(InvalidInput::new(tr!(
                "the stack's labels answer for several names: say with `main = \"NAME\"` in [domains] which one the others go with"
            ))),
        }
    }
}

/// The names of an application beside its main one, found and checked.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct ExtraNames {
    /// The main name.
    pub main: String,
    /// Names under which it answers, too.
    pub aliases: BTreeSet<String>,
    /// Names that lead to the main one.
    pub redirects: BTreeSet<String>,
}

impl ExtraNames {
    /// Iterates over all names but the main one.
    pub fn list(&self) -> impl Iterator<Item = &String> {
        self.aliases.iter().chain(&self.redirects)
    }

    fn holds(&self, name: &str) -> bool {
        self.aliases.contains(name) || self.redirects.contains(name)
    }
}

/// Writes a rule for another name. `None` when that can't be done without understanding it.
pub(super) fn rule_for_name(rule: &str, main: &str, name: &str) -> Option<String> {
    let hosts = parse_rule_hosts(rule);
    if hosts.iter().any(|h| h != main) {
        // Several names and nothing else: one of them stands for the rule.
        return is_plain_union(rule).then(|| format!("Host(`{name}`)"));
    }
    let mut out = String::with_capacity(rule.len());
    let mut rest = rule;
    while let Some(open) = rest.find(['`', '"', '\'']) {
        let quote = &rest[open..=open];
        let inside = &rest[open + 1..];
        let close = inside.find(quote)?;
        let text = &inside[..close];
        let text = match text.trim().eq_ignore_ascii_case(main) {
            true => name,
            false => text,
        };
        out.push_str(&rest[..=open]);
        out.push_str(text);
        out.push_str(quote);
        rest = &inside[close + 1..];
    }
    out.push_str(rest);
    Some(out)
}

/// Whether a rule is nothing but names, any of which is taken.
fn is_plain_union(rule: &str) -> bool {
    let mut left = String::new();
    let mut quoted = false;
    for c in rule.chars() {
        match c {
            '`' | '"' | '\'' => quoted = !quoted,
            c if !quoted && !c.is_whitespace() => left.push(c),
            _ => {}
        }
    }
    !quoted
        && left
            .replace("Host", "")
            .bytes()
            .all(|b| b"()|,".contains(&b))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn domains(text: &str) -> AppDomains {
        toml::from_str(text).unwrap()
    }

    fn hosts(names: &[&str]) -> BTreeSet<String> {
        names.iter().map(|n| (*n).to_owned()).collect()
    }

    #[test]
    fn names_are_found_and_bad_ones_are_refused_with_a_sentence() {
        let of = |text: &str| domains(text).resolve(Some("Shop.org"), &hosts(&["shop.org"]));
        let names = of("aliases = ['B.org']\nredirects = ['c.org']\nwww = 'redirect'");
        let names = names.unwrap().unwrap();
        assert_eq!(names.main, "shop.org");
        assert_eq!(names.aliases, hosts(&["b.org"]));
        assert_eq!(names.redirects, hosts(&["c.org", "www.shop.org"]));
        let www = of("aliases = ['www.shop.org']\nwww = 'redirect'")
            .unwrap()
            .unwrap();
        assert!(www.redirects.is_empty());
        assert_eq!(of(""), Ok(None));
        for (text, wanted) in [
            ("aliases = ['a.org`) || Host(`b.org']", "is no host name"),
            ("redirects = ['a.org${1}']", "is no host name"),
            ("aliases = ['192.0.2.1']", "is no host name"),
            ("aliases = ['*.a.org']", "stands for many names"),
            ("aliases = ['shop.org']", "own labels answer for"),
            (
                "aliases = ['a.org']\nredirects = ['A.org']",
                "stands in [domains] twice",
            ),
            (
                "main = 'b.org'\naliases = ['a.org']",
                "no router of the stack answers for b.org",
            ),
        ] {
            let error = of(text).unwrap_err().to_string();
            assert!(error.contains(wanted), "{text}: {error}");
        }
        let bare = domains("www = 'answer'").resolve(None, &hosts(&["www.a.org"]));
        assert_eq!(bare.unwrap().unwrap().aliases, hosts(&["a.org"]));
        let several = domains("www = 'answer'").resolve(None, &hosts(&["a.org", "b.org"]));
        assert!(
            several
                .unwrap_err()
                .to_string()
                .contains("several names: say with `main")
        );
        let many: Vec<String> = (0..=MOST_NAMES).map(|n| format!("'a{n}.org'")).collect();
        let error = of(&format!("aliases = [{}]", many.join(","))).unwrap_err();
        assert!(error.to_string().contains("more than 100 names"), "{error}");
    }

    #[test]
    fn rules_for_another_name() {
        for (rule, wanted) in [
            ("Host(`a.org`)", Some("Host(`b.org`)")),
            (
                "Host(\"A.org\") && PathPrefix(`/x`)",
                Some("Host(\"b.org\") && PathPrefix(`/x`)"),
            ),
            ("Host(`a.org`) || Host(`www.a.org`)", Some("Host(`b.org`)")),
            ("Host(`a.org`, `www.a.org`)", Some("Host(`b.org`)")),
            ("(Host(`a.org`) || Host(`c.org`)) && Path(`/x`)", None),
            ("Host(`a.org", None),
        ] {
            let now = rule_for_name(rule, "a.org", "b.org");
            assert_eq!(now.as_deref(), wanted, "{rule}");
        }
    }

    #[test]
    fn changes_move_names_and_take_them_away() {
        let mut now = domains("aliases = ['a.org', 'b.org']");
        let change = NameChanges {
            redirects: vec!["A.org".into()],
            dropped: vec!["b.org".into()],
            www: Some(WwwName::Redirect),
            ..NameChanges::default()
        };
        change.apply(&mut now).unwrap();
        assert_eq!(now, domains("redirects = ['a.org']\nwww = 'redirect'"));
        let gone = change.apply(&mut now).unwrap_err().to_string();
        assert!(gone.contains("nothing to take away"), "{gone}");
        let rename = NameChanges {
            redirects: vec!["old.org".into()],
            rename: Some(("old.org".into(), "a.org".into())),
            ..NameChanges::default()
        };
        rename.apply(&mut now).unwrap();
        let wanted = "redirects = ['old.org']\nwww = 'redirect'\nrenamed_from = 'old.org'";
        assert_eq!(now, domains(wanted));
        let bad = NameChanges {
            aliases: vec!["a b".into()],
            ..NameChanges::default()
        };
        assert!(bad.apply(&mut now).is_err());
    }
}
