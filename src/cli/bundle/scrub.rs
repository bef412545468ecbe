//! Takes secrets out of what goes into an archive, and, where it is asked for, names and addresses: each is
//! replaced by the same word everywhere.
//!
//! Two ways together: values that are known to be secret, wherever they stand, and what looks like one. Too
//! much is taken out rather than too little.

use matou_i18n::tr;
use std::collections::BTreeMap;
use std::net::{Ipv4Addr, Ipv6Addr};

use regex::{Captures, Regex};
use secrecy::SecretString;
use serde_json::Value;

use matou_job::Redactor;

/// Stands where a secret stood.
pub(super) const REMOVED: &str = "•••";

/// What looks like a secret, and what stands for it.
const SECRET_PATTERNS: [(&str, &str); 9] = [
    // Keys and certificates, also where their newlines are written out.
    (
        r"(?s)-----BEGIN [A-Z ]*-----.*?(?:-----END [A-Z ]*-----|\z)",
        REMOVED,
    ),
    // A user and a password before a host.
    (r#"(://)[^\s"'<>@/]*(?::[^\s"'<>]*)?@"#, "${1}•••@"),
    // Headers, options and sentences: `Bearer x`, `--password x`, `password x`.
    (
        r"(?i)((?:bearer|basic|digest|password|passphrase|passwd|secret|token)(?:\s+is)?\s+)[^\s•]+",
        "${1}•••",
    ),
    // NAME=VALUE and name: value.
    (
        r#"(?i)([a-z0-9_.-]*(?:pass|secret|token|key|credential|auth|cookie|session|signature)[a-z0-9_.-]*\\?["']?\s*[=:]\s*)(\\?"[^"]*"|'[^']*'|[^\s,;&]+)"#,
        "${1}•••",
    ),
    // Hashes of passwords, as crypt(3) writes them.
    (
        r"\$(?:2[abxy]|apr1|1|5|6|7|y|gy|argon2[a-z]*|scrypt)\$\S+",
        REMOVED,
    ),
    (r"eyJ[A-Za-z0-9_-]{5,}\.[A-Za-z0-9_.-]+", REMOVED),
    (r"SWM(?:TKN|KEY)-\S+", REMOVED),
    (
        r"(?:gh[opsu]_|github_pat_|glpat-|xox[abp]-|sk_live_|AKIA)\S+",
        REMOVED,
    ),
    // An address that holds its secret, as of a webhook or a heartbeat.
    (r#"(\?)[^\s"'<>]+=[^\s"'<>]+"#, "${1}•••"),
];

/// A long word of letters and digits may be a key. Digests of images are none.
const LONG_WORD: &str = r"(sha256:)?[A-Za-z0-9+_]{24,}={0,2}";

/// Domains of what everybody uses: images, packages, certificates.
const PUBLIC_DOMAINS: [&str; 14] = [
    "alpinelinux.org",
    "debian.org",
    "docker.com",
    "docker.io",
    "gcr.io",
    "ghcr.io",
    "github.com",
    "kernel.org",
    "letsencrypt.org",
    "lscr.io",
    "mcr.microsoft.com",
    "quay.io",
    "ubuntu.com",
    "codeberg.org",
];

/// What a name with a dot ends in that is a file, a unit or a part of the program, and no domain.
const NO_DOMAINS: [&str; 28] = [
    "acme", "bin", "cache", "conf", "db", "env", "gz", "js", "json", "jsonl", "lock", "log", "md",
    "old", "pem", "pid", "py", "rs", "service", "sh", "sock", "socket", "tar", "timer", "toml",
    "txt", "yaml", "yml",
];

/// The kind of a name, which is the word that stands for it.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub(super) enum Kind {
    Address,
    App,
    Fleet,
    Folder,
    Host,
    Image,
    Mac,
    Mail,
    Node,
    Stack,
    User,
    Volume,
}

impl Kind {
    fn alias(self, number: usize) -> String {
        match self {
            Self::Address => format!("address-{number}"),
            Self::App => format!("app-{number}"),
            Self::Fleet => format!("fleet-{number}"),
            Self::Folder => format!("folder-{number}"),
            Self::Host => format!("host-{number}.example"),
            Self::Image => format!("image-{number}"),
            Self::Mac => format!("mac-{number}"),
            Self::Mail => format!("mail-{number}@host.example"),
            Self::Node => format!("node-{number}"),
            Self::Stack => format!("stack-{number}"),
            Self::User => format!("user-{number}"),
            Self::Volume => format!("volume-{number}"),
        }
    }
}

/// Cleans texts. The same name becomes the same word in all that one of them cleans.
pub(super) struct Scrubber {
    known: Redactor,
    patterns: Vec<(Regex, &'static str)>,
    long_word: Regex,
    /// `None` where names stay.
    aliases: Option<Aliases>,
}

impl Scrubber {
    /// Makes one. With `anonymous`, names and addresses are replaced too.
    ///
    /// # Errors
    /// Never, unless a pattern above is wrong.
    pub(super) fn new(anonymous: bool) -> Result<Self, regex::Error> {
        let mut patterns = Vec::new();
        for (pattern, instead) in SECRET_PATTERNS {
            patterns.push((compile(pattern)?, instead));
        }
        Ok(Self {
            known: Redactor::default(),
            patterns,
            long_word: compile(LONG_WORD)?,
            aliases: match anonymous {
                true => Some(Aliases::new()?),
                false => None,
            },
        })
    }

    /// From now on this value is taken out wherever it stands.
    pub(super) fn add_secret(&mut self, secret: &str) {
        let secret = secret.trim();
        self.known.add_secret(SecretString::from(secret));
        // As it stands in JSON.
        let escaped = Value::from(secret).to_string();
        let escaped = escaped.trim_matches('"');
        if escaped != secret {
            self.known.add_secret(SecretString::from(escaped));
        }
    }

    /// From now on this name is replaced, where names are.
    ///
    /// # Errors
    /// Never, unless there are too many names for one pattern.
    pub(super) fn add_names(
        &mut self,
        names: impl IntoIterator<Item = (Kind, String)>,
    ) -> Result<(), regex::Error> {
        match &mut self.aliases {
            Some(aliases) => aliases.add_names(names),
            None => Ok(()),
        }
    }

    /// Cleans a text of one line or several.
    pub(super) fn clean_text(&mut self, text: &str) -> String {
        let mut text = self.known.redact(text);
        for (pattern, instead) in &self.patterns {
            text = pattern.replace_all(&text, *instead).into_owned();
        }
        let long = |found: &Captures<'_>| {
            let word = &found[0];
            let has = |kind: fn(&u8) -> bool| word.bytes().any(|b| kind(&b));
            let is_key =
                found.get(1).is_none() && has(u8::is_ascii_digit) && has(u8::is_ascii_alphabetic);
            if is_key {
                REMOVED.to_owned()
            } else {
                word.to_owned()
            }
        };
        text = self.long_word.replace_all(&text, long).into_owned();
        match &mut self.aliases {
            Some(aliases) => aliases.replace_names(&text),
            None => text,
        }
    }

    /// Cleans the texts of a value; its keys are matou's own.
    pub(super) fn clean_json(&mut self, value: &mut Value) {
        match value {
            Value::String(text) => *text = self.clean_text(text),
            Value::Array(items) => items.iter_mut().for_each(|item| self.clean_json(item)),
            Value::Object(fields) => fields.values_mut().for_each(|field| self.clean_json(field)),
            Value::Null | Value::Bool(_) | Value::Number(_) => {}
        }
    }
}

fn compile(pattern: &str) -> Result<Regex, regex::Error> {
    regex::RegexBuilder::new(pattern).unicode(true).build()
}

/// Words that stand for names.
struct Aliases {
    given: BTreeMap<(Kind, String), String>,
    numbers: BTreeMap<Kind, usize>,
    /// Names that are known, with their kinds, in lower case.
    known: BTreeMap<String, Kind>,
    /// All known names; `None` when there are none.
    names: Option<Regex>,
    /// What has the form of an address or a domain.
    forms: Regex,
}

impl Aliases {
    fn new() -> Result<Self, regex::Error> {
        let forms = [
            r"(?P<mail>[a-z0-9._%+-]+@[a-z0-9-]+(?:\.[a-z0-9-]+)+)",
            r"(?P<mac>(?:[0-9a-f]{2}[:-]){5}[0-9a-f]{2})",
            r"(?P<v6>(?:[0-9a-f]{0,4}:){2,7}(?:(?:[0-9]{1,3}\.){3}[0-9]{1,3}|[0-9a-f]{0,4}))",
            r"(?P<v4>(?:[0-9]{1,3}\.){3}[0-9]{1,3})",
            r"(?P<host>[a-z0-9_](?:[a-z0-9_-]*[a-z0-9_])?(?:\.[a-z0-9_](?:[a-z0-9_-]*[a-z0-9_])?)*\.(?:xn--[a-z0-9-]+|[a-z]{2,24}))",
        ];
        Ok(Self {
            given: BTreeMap::new(),
            numbers: BTreeMap::new(),
            known: BTreeMap::new(),
            names: None,
            forms: compile(&format!("(?i){}", forms.join("|")))?,
        })
    }

    fn add_names(
        &mut self,
        names: impl IntoIterator<Item = (Kind, String)>,
    ) -> Result<(), regex::Error> {
        for (kind, name) in names {
            let name = name.to_lowercase();
            if name.is_empty() || self.known.contains_key(&name) {
                continue;
            }
            self.alias(kind, &name);
            self.known.insert(name, kind);
        }
        // The longest first: one name may begin with another.
        let mut all: Vec<&String> = self.known.keys().collect();
        all.sort_by_key(|name| std::cmp::Reverse(name.len()));
        let all: Vec<String> = all.into_iter().map(|name| regex::escape(name)).collect();
        self.names = match all.is_empty() {
            true => None,
            false => Some(
                regex::RegexBuilder::new(&all.join("|"))
                    .case_insensitive(true)
                    .size_limit(64 << 20)
                    .build()?,
            ),
        };
        Ok(())
    }

    fn alias(&mut self, kind: Kind, name: &str) -> String {
        let key = (kind, name.to_lowercase());
        if let Some(alias) = self.given.get(&key) {
            return alias.clone();
        }
        let number = self.numbers.entry(kind).or_default();
        *number += 1;
        let alias = kind.alias(*number);
        self.given.insert(key, alias.clone());
        alias
    }

    /// Replaces all in one pass: a word that stands for a name is not looked at again.
    fn replace_names(&mut self, text: &str) -> String {
        let mut out = String::with_capacity(text.len());
        let mut at = 0;
        while at < text.len() {
            let named = self.find_name(text, at);
            let formed = self.find_form(text, at);
            let (start, end, kind) = match (named, formed) {
                (Some(named), Some(formed)) if named.0 < formed.0 => named,
                (_, Some(formed)) => formed,
                (Some(named), None) => named,
                (None, None) => break,
            };
            out.push_str(&text[at..start]);
            out.push_str(&self.alias(kind, &text[start..end]));
            at = end;
        }
        out.push_str(&text[at..]);
        out
    }

    /// Finds a known name that stands alone: no letter or digit touches it.
    fn find_name(&self, text: &str, from: usize) -> Option<(usize, usize, Kind)> {
        let names = self.names.as_ref()?;
        let mut at = from;
        loop {
            let found = names.find_at(text, at)?;
            if stands_alone(text, found.start(), found.end()) {
                let kind = self.known.get(&found.as_str().to_lowercase())?;
                return Some((found.start(), found.end(), *kind));
            }
            at = next_char(text, found.start());
        }
    }

    fn find_form(&self, text: &str, from: usize) -> Option<(usize, usize, Kind)> {
        let mut at = from;
        while at <= text.len() {
            let found = self.forms.captures_at(text, at)?;
            let whole = found.get(0)?;
            let (start, end, word) = (whole.start(), whole.end(), whole.as_str());
            let has = |name| found.name(name).is_some();
            let kind = if has(tr!("mail")) {
                Some(Kind::Mail)
            } else if has("mac") {
                stands_alone(text, start, end).then_some(Kind::Mac)
            } else if has("v6") {
                let address = word.parse::<Ipv6Addr>().ok();
                address
                    .filter(|a| !a.is_loopback() && !a.is_unspecified())
                    .map(|_| Kind::Address)
            } else if has("v4") {
                let address = word.parse::<Ipv4Addr>().ok();
                address
                    .filter(|a| !a.is_loopback() && !a.is_unspecified())
                    .filter(|_| stands_alone(text, start, end))
                    .map(|_| Kind::Address)
            } else {
                is_private_domain(word).then_some(Kind::Host)
            };
            match kind {
                Some(kind) => return Some((start, end, kind)),
                // Behind all of a domain that may stay, a letter further else: `::` may hide an address.
                None if has("host") => at = end,
                None => at = next_char(text, start),
            }
        }
        None
    }
}

fn next_char(text: &str, at: usize) -> usize {
    at + text[at..].chars().next().map_or(1, char::len_utf8)
}

fn stands_alone(text: &str, start: usize, end: usize) -> bool {
    let before = text[..start].chars().next_back();
    let after = text[end..].chars().next();
    !before.is_some_and(char::is_alphanumeric) && !after.is_some_and(char::is_alphanumeric)
}

fn is_private_domain(name: &str) -> bool {
    let name = name.to_lowercase();
    let last = name.rsplit('.').next().unwrap_or_default();
    let is_public = PUBLIC_DOMAINS.iter().any(|public| {
        let before = name.strip_suffix(public);
        before.is_some_and(|before| before.is_empty() || before.ends_with('.'))
    });
    // What an error says of config.toml: `provision.off`.
    let is_key = super::config_copy::SHOWN_KEYS.contains(&name.as_str());
    !is_public && !is_key && !NO_DOMAINS.contains(&last)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_looks_like_a_secret_goes() {
        let mut scrub = Scrubber::new(false).unwrap();
        scrub.add_secret("correct horse\n");
        for (text, rest) in [
            (
                "rest:https://bob:hunter22@backup.example.org/repo",
                "rest:https://•••@backup.example.org/repo",
            ),
            ("password hunter22 refused", "password ••• refused"),
            ("DB_PASSWORD=hunter22 next", "DB_PASSWORD=••• next"),
            (
                r#"{"api_key": "hunter22", "n": 1}"#,
                r#"{"api_key": •••, "n": 1}"#,
            ),
            ("Authorization: Bearer hunter22.x", "Authorization: ••• •••"),
            ("x $2y$05$hunter22hunter22 y", "x ••• y"),
            (
                "-----BEGIN PRIVATE KEY-----\nhunter22\n-----END PRIVATE KEY-----",
                "•••",
            ),
            (
                "docker swarm join SWMTKN-1-hunter22",
                "docker swarm join •••",
            ),
            ("id 0a1b2c3d4e5f6g7h8i9j0k1l2m3n", "id •••"),
            ("it is correct horse.", "it is •••."),
            (
                "https://hooks.example.org/x?t=hunter22",
                "https://hooks.example.org/x?•••",
            ),
        ] {
            assert_eq!(scrub.clean_text(text), rest);
        }
        let digest =
            "traefik@sha256:0123456789abcdef0123456789abcdef0123456789abcdef0123456789abcdef";
        assert_eq!(scrub.clean_text(digest), digest);
    }

    #[test]
    fn a_name_becomes_the_same_word_everywhere() {
        let mut scrub = Scrubber::new(true).unwrap();
        let names = [
            (Kind::Node, "n1"),
            (Kind::App, "blog"),
            (Kind::App, "app"),
            (Kind::User, "alice"),
        ];
        scrub
            .add_names(names.map(|(kind, name)| (kind, name.to_owned())))
            .unwrap();
        for (text, rest) in [
            ("n1: blog_web on N1", "node-1: app-1_web on node-1"),
            ("blogger and n10", "blogger and n10"),
            ("app of /home/alice/x", "app-2 of /home/user-1/x"),
            (
                "blog.example.org and BLOG.example.org",
                "host-1.example and host-1.example",
            ),
            (
                "ops@example.org at 192.0.2.7 and 2001:db8::7",
                "mail-1@host.example at address-1 and address-2",
            ),
            (
                "127.0.0.1 ::1 12:30:45 192.0.2.7:22",
                "127.0.0.1 ::1 12:30:45 address-1:22",
            ),
            ("02:42:ac:11:00:02", "mac-1"),
            (
                "config.toml ghcr.io/x Docker 20.10.24",
                "config.toml ghcr.io/x Docker 20.10.24",
            ),
            (
                "config.toml:7: provision.off is no list; nodes.open",
                "config.toml:7: provision.off is no list; host-2.example",
            ),
            ("matou_host::ssh: n1 is up", "matou_host::ssh: node-1 is up"),
        ] {
            assert_eq!(scrub.clean_text(text), rest);
        }
        let mut value = serde_json::json!({ "blog": ["n1", 7, { "x": "shop.example.net" }] });
        scrub.clean_json(&mut value);
        assert_eq!(
            value,
            serde_json::json!({ "blog": ["node-1", 7, { "x": "host-3.example" }] })
        );
    }
}
