//! Which names say that a value is a secret, and which values stand there themselves: not by reference to a
//! variable, a file or a Docker secret.

/// Words of a name that say that its value is a secret.
const SECRET_WORDS: [&str; 14] = [
    "PASS",
    "PASSWORD",
    "PASSWD",
    "PASSPHRASE",
    "PWD",
    "SECRET",
    "SECRETS",
    "TOKEN",
    "KEY",
    "APIKEY",
    "CREDENTIAL",
    "CREDENTIALS",
    "AUTH",
    "DSN",
];

/// Ends of a word that say the same, as in `PGPASSWORD` and `requirepass`.
const SECRET_ENDS: [&str; 9] = [
    "PASSWORD",
    "PASSWD",
    "PASSPHRASE",
    "SECRET",
    "TOKEN",
    "APIKEY",
    "DBPASS",
    "REQUIREPASS",
    "MASTERAUTH",
];

/// Words at the end of a name by which its value is not the secret itself.
const REFERENCE_WORDS: [&str; 9] = [
    "FILE", "PATH", "NAME", "ID", "TYPE", "COMMAND", "ENABLED", "URL", "LENGTH",
];

/// Words before `KEY` by which it is a secret, and none to sort or to look up by.
const KEY_WORDS: [&str; 12] = [
    "ACCESS",
    "ACCOUNT",
    "API",
    "APP",
    "AUTH",
    "ENCRYPTION",
    "LICENSE",
    "MASTER",
    "PRIVATE",
    "SECRET",
    "SHARED",
    "SIGNING",
];

/// Ends of a value that is the name of a file.
const FILE_ENDS: [&str; 12] = [
    ".pem", ".key", ".crt", ".cer", ".pub", ".p12", ".jks", ".txt", ".json", ".yml", ".yaml",
    ".conf",
];

/// Hashes of passwords by their prefixes in crypt(5), htpasswd and argon2.
const HASHES: [&str; 8] = [
    "$apr1$",
    "$2a$",
    "$2b$",
    "$2x$",
    "$2y$",
    "$argon2i$",
    "$argon2d$",
    "$argon2id$",
];

/// Prefixes that may be something else as well, as `$1$2` for what an expression found.
const SHORT_HASHES: [&str; 5] = ["$1$", "$5$", "$6$", "$7$", "$y$"];

/// Prefixes of hashes in base64.
const BASE64_HASHES: [&str; 2] = ["{SHA}", "{SSHA}"];

/// Fewest characters of a hash behind one of those prefixes.
const MIN_HASH_LENGTH: usize = 22;

/// Takes a name apart into words in capitals, `dbPassword` being `DB_PASSWORD`.
fn split_name(name: &str) -> Vec<String> {
    let mut words = vec![String::new()];
    let mut was_lower = false;
    for c in name.chars() {
        let is_break = !c.is_ascii_alphanumeric() || (was_lower && c.is_ascii_uppercase());
        if is_break {
            words.push(String::new());
        }
        if let (true, Some(word)) = (c.is_ascii_alphanumeric(), words.last_mut()) {
            word.push(c.to_ascii_uppercase());
        }
        was_lower = c.is_ascii_lowercase() || c.is_ascii_digit();
    }
    words.retain(|word| !word.is_empty());
    words
}

fn is_secret_word(word: &str) -> bool {
    SECRET_WORDS.contains(&word) || SECRET_ENDS.iter().any(|end| word.ends_with(end))
}

/// Whether a variable of this name holds a secret, by its words.
pub(super) fn is_secret_name(name: &str) -> bool {
    let words = split_name(name);
    let refers = |word: &String| REFERENCE_WORDS.contains(&word.as_str());
    words.iter().any(|w| is_secret_word(w)) && !words.last().is_some_and(refers)
}

/// Whether the last word of an option, a label or a header says that its value is a secret. They are more
/// freely named than variables: `authResponseHeaders`, `--sort-key` and `--token-ttl` are none.
pub(super) fn ends_as_secret(name: &str) -> bool {
    let words = split_name(name);
    let Some((last, before)) = words.split_last() else {
        return false;
    };
    match last.as_str() {
        "AUTH" | "PWD" | "DSN" => false,
        "KEY" => before
            .last()
            .is_some_and(|word| KEY_WORDS.contains(&word.as_str())),
        last => is_secret_word(last),
    }
}

/// Whether a value stands there itself: no path, no switch, no number of a few digits, and no variable
/// without a default.
pub(super) fn is_literal(value: &str) -> bool {
    let value = value.trim_matches(['"', '\'']);
    let is_variable = value
        .strip_prefix("${")
        .and_then(|rest| rest.strip_suffix('}'))
        .is_some_and(|inner| {
            let (_, default) = inner.split_once('-').unwrap_or_default();
            !inner.contains('}') && (inner.contains('?') || default.is_empty())
        });
    let is_plain_variable = value
        .strip_prefix('$')
        .is_some_and(|name| name.chars().all(|c| c.is_ascii_alphanumeric() || c == '_'));
    let is_switch = [
        "", "true", "false", "yes", "no", "on", "off", "none", "null",
    ]
    .contains(&value.to_ascii_lowercase().as_str());
    let is_number = value.len() <= 4 && value.bytes().all(|b| b.is_ascii_digit());
    let is_path = value.starts_with('/') || value.starts_with("./") || value.starts_with("file:");
    !(is_variable || is_plain_variable || is_switch || is_number || is_path)
}

/// Whether a value of a label or a word of a command is a literal of which no part comes from elsewhere: from
/// a variable, another command, a Docker secret or the engine's `{{…}}`.
pub(super) fn stands_open(value: &str) -> bool {
    // In a compose file each dollar is written twice.
    let value = value.replace("$$", "$");
    let value = value.trim().trim_matches(['"', '\'']);
    let marks = ["$(", "`", "{{", "<(", "/run/secrets/"];
    let is_made = marks.iter().any(|mark| value.contains(mark));
    let is_named = value
        .strip_prefix('$')
        .is_some_and(|rest| rest.starts_with(|c: char| c.is_ascii_alphabetic() || c == '_'));
    let is_file = FILE_ENDS.iter().any(|end| value.ends_with(end));
    let says_something = value.contains(char::is_alphanumeric);
    says_something && !(is_made || is_named || is_file || has_variable(value)) && is_literal(value)
}

/// Whether a `${VARIABLE}` without a default is in a value.
fn has_variable(value: &str) -> bool {
    value.match_indices("${").any(|(at, _)| {
        let inner = value[at + 2..].split('}').next().unwrap_or_default();
        let (_, default) = inner.split_once('-').unwrap_or_default();
        inner.contains('?') || default.is_empty()
    })
}

/// Whether the hash of a password stands in a text, by which it can be found out.
pub(super) fn has_password_hash(text: &str) -> bool {
    let text = text.replace("$$", "$");
    HASHES.iter().any(|prefix| text.contains(prefix))
        || has_hash_behind(&text, &SHORT_HASHES, is_crypt_body)
        || has_hash_behind(&text, &BASE64_HASHES, is_base64_body)
}

/// Whether one of the prefixes is in a text, and behind it what a hash looks like.
fn has_hash_behind(text: &str, prefixes: &[&str], is_body: fn(&str) -> bool) -> bool {
    prefixes.iter().any(|prefix| {
        let mut places = text.match_indices(*prefix);
        places.any(|(at, _)| is_body(&text[at + prefix.len()..]))
    })
}

/// Whether a text begins as `SALT$HASH` does.
fn is_crypt_body(rest: &str) -> bool {
    let is_part = |c: char| c.is_ascii_alphanumeric() || "./$=,+-".contains(c);
    let body = rest.split(|c: char| !is_part(c)).next();
    let mut parts = body.unwrap_or_default().split('$').skip(1);
    parts.any(|part| part.len() >= MIN_HASH_LENGTH)
}

fn is_base64_body(rest: &str) -> bool {
    let is_part = |c: char| c.is_ascii_alphanumeric() || "+/=".contains(c);
    rest.chars().take_while(|c| is_part(*c)).count() >= MIN_HASH_LENGTH
}

/// Whether `SCHEME://USER:PASSWORD@HOST` stands in a word, with a password that stands there itself.
pub(super) fn has_password_in_url(word: &str) -> bool {
    word.match_indices("://").any(|(at, _)| {
        let rest = &word[at + 3..];
        let authority = rest.split(['/', '"', '\'']).next().unwrap_or_default();
        let user = authority.rsplit_once('@').map(|(user, _)| user);
        let password = user.and_then(|user| user.split_once(':')).map(|(_, p)| p);
        password.is_some_and(is_literal)
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_comes_from_elsewhere_stands_not_in_the_open() {
        for value in ["hunter2", "'x y'", "pa$$word", "${PW:-hunter2}", "12345"] {
            assert!(stands_open(value), "{value}");
        }
        for value in [
            "",
            "...",
            "true",
            "${PW}",
            "${PW:?give one}",
            "${A:-}${B}",
            "$$PW",
            "\"$${PW}\"",
            "$$(cat /run/secrets/pw)",
            "`cat pw`",
            "/run/secrets/pw",
            "{{.Node.Hostname}}",
            "key.pem",
        ] {
            assert!(!stands_open(value), "{value}");
        }
    }

    #[test]
    fn hashes_are_told_from_what_an_expression_found() {
        for text in [
            "ops:$$apr1$$xbMl7nUh$$BnziBk4n3n/9p.tx/w3DQ/",
            "$1$xbMl7nUh$BnziBk4n3n/9p.tx/w3DQ/",
            "u:$5$rounds=5000$saltsalt$3xv.VbSCBX41eDL9b2zr2bXgd3cGbpPRjBVwuNRYCx2",
            "{SHA}5en6G6MezRroT3XKqkdPOmY/BfQ=",
        ] {
            assert!(has_password_hash(text), "{text}");
        }
        for text in [
            "https://a.example/$$1$$2",
            "$5 a month",
            "v{SHA}",
            "$$x$$y$$z",
        ] {
            assert!(!has_password_hash(text), "{text}");
        }
    }

    #[test]
    fn the_last_word_of_an_option_decides() {
        for name in [
            "db-password",
            "requirepass",
            "splunk-token",
            "apiKey",
            "X-Auth-Token",
        ] {
            assert!(ends_as_secret(name), "{name}");
        }
        for name in [
            "authResponseHeaders",
            "sort-key",
            "token-ttl",
            "password-file",
            "auth",
            "",
        ] {
            assert!(!ends_as_secret(name), "{name}");
        }
    }
}
