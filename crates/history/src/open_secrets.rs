//! Secrets that stand in a file in the open. Such a file is not put into the history, from which nothing
//! goes away.

use matou_i18n::tr;
use std::collections::BTreeSet;

use serde_yaml::Value;

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

/// Words at the end of a name by which its value is not the secret itself.
const REFERENCE_WORDS: [&str; 9] = [
    "FILE", "PATH", "NAME", "ID", "TYPE", "COMMAND", "ENABLED", "URL", "LENGTH",
];

/// Returns the names, in order, of what is a secret in the text of a file of the fleet folder: of
/// variables, or of what else was seen. The file's name tells how it is read.
pub fn find_open_secrets(name: &str, text: &str) -> Vec<String> {
    let mut found = BTreeSet::new();
    if text.contains("PRIVATE KEY-----") {
        found.insert(tr!("a private key").to_owned());
    }
    if text.split_whitespace().any(has_password_in_url) {
        found.insert(tr!("a password in an address").to_owned());
    }
    let extension = name.rsplit_once('.').map(|(_, e)| e);
    match extension {
        Some("yml" | "yaml") => {
            if let Ok(value) = serde_yaml::from_str::<Value>(text) {
                find_in_services(&value, &mut found);
            }
        }
        Some("toml") => {
            if let Ok(toml::Value::Table(table)) = toml::from_str::<toml::Value>(text) {
                find_in_variables(&table, &mut found);
            }
        }
        _ => {
            let pairs = text.lines().filter_map(|l| l.split_once(['=', ':']));
            for (key, value) in pairs {
                let key = key.trim().trim_start_matches("export ").trim();
                note_secret(key, value.trim(), &mut found);
            }
        }
    }
    found.into_iter().collect()
}

/// Looks at the environments of all services, in both of their forms.
fn find_in_services(file: &Value, found: &mut BTreeSet<String>) {
    let services = file.get("services").and_then(Value::as_mapping);
    for service in services.into_iter().flat_map(|all| all.values()) {
        match service.get("environment") {
            Some(Value::Mapping(pairs)) => {
                for (key, value) in pairs {
                    let value = match value {
                        Value::String(text) => text.clone(),
                        Value::Number(number) => number.to_string(),
                        _ => continue,
                    };
                    note_secret(key.as_str().unwrap_or_default(), &value, found);
                }
            }
            Some(Value::Sequence(pairs)) => {
                let pairs = pairs.iter().filter_map(Value::as_str);
                for (key, value) in pairs.filter_map(|p| p.split_once('=')) {
                    note_secret(key, value, found);
                }
            }
            _ => {}
        }
    }
}

/// Looks at the variables of an application's file.
fn find_in_variables(file: &toml::Table, found: &mut BTreeSet<String>) {
    let variables = file.get("variables").and_then(toml::Value::as_table);
    for (key, value) in variables.into_iter().flatten() {
        if let Some(value) = value.as_str() {
            note_secret(key, value, found);
        }
    }
}

fn note_secret(key: &str, value: &str, found: &mut BTreeSet<String>) {
    if is_secret_name(key) && is_literal(value) {
        found.insert(key.to_owned());
    }
}

/// Whether a variable of this name holds a secret: by its words, `dbPassword` being `DB_PASSWORD`.
fn is_secret_name(name: &str) -> bool {
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
    let refers = |word: &String| REFERENCE_WORDS.contains(&word.as_str());
    words.iter().any(|w| SECRET_WORDS.contains(&w.as_str())) && !words.last().is_some_and(refers)
}

/// Whether a value stands there itself: no path, no switch, no number of a few digits, and no variable
/// without a default.
fn is_literal(value: &str) -> bool {
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

/// Whether a value is a secret whatever its name: a private key, a password in an address, or the hash of
/// a password, by which it can be found out. Hashes are known by their prefixes in crypt(5) and htpasswd.
pub fn is_secret_value(value: &str) -> bool {
    const HASHES: [&str; 13] = [
        "$apr1$", "$1$", "$2a$", "$2b$", "$2x$", "$2y$", "$5$", "$6$", "$7$", "$y$", "$argon2",
        "{SHA}", "{SSHA}",
    ];
    // In a compose file each dollar is written twice.
    let value = value.replace("$$", "$");
    value.contains("PRIVATE KEY-----")
        || HASHES.iter().any(|prefix| value.contains(prefix))
        || value.split_whitespace().any(has_password_in_url)
}

/// Whether `SCHEME://USER:PASSWORD@HOST` stands in a word, with a password that stands there itself.
fn has_password_in_url(word: &str) -> bool {
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
    use super::{find_open_secrets, is_secret_value};

    #[test]
    fn what_looks_like_a_secret_is_one_whatever_its_name() {
        for value in [
            "ops:$apr1$xbMl7nUh$BnziBk4n3n/9p.tx/w3DQ/",
            "[\"ops:$$2y$$05$$abc\"]",
            "u:{SHA}5en6G6MezRroT3XKqkdPOmY/BfQ=",
            "mysql://shop:pw@db/shop",
            "-----BEGIN RSA PRIVATE KEY-----",
        ] {
            assert!(is_secret_value(value), "{value}");
        }
        for value in [
            "$5 a month",
            "a.example.org",
            "https://a.example/x",
            "$HOME",
            "1$",
        ] {
            assert!(!is_secret_value(value), "{value}");
        }
    }

    #[test]
    fn secrets_in_the_open_are_named() {
        let stack = "services:\n  db:\n    image: mysql:8.4\n    environment:\n      MYSQL_PASSWORD: hunter2\n      MYSQL_ROOT_PASSWORD_FILE: /run/secrets/db\n      API_KEY: ${API_KEY:-s3cret}\n      TOKEN: ${TOKEN:?}\n      OTHER_TOKEN: $TOKEN\n      PASSWORD_LENGTH: '12'\n      SECRET_MODE: 'on'\n  web:\n    environment:\n      - mailPassword=x1\n      - KEYCLOAK_HOST=sso\n      - DATABASE=postgres://shop:pw@db/shop\nsecrets:\n  db_password: {external: true}\n";
        assert_eq!(
            find_open_secrets("stacks/shop.yml", stack),
            [
                "API_KEY",
                "MYSQL_PASSWORD",
                "a password in an address",
                "mailPassword"
            ]
        );
        let app = "stack = \"ghost\"\n[variables]\nDOMAIN = \"a.example\"\nSMTP_PASSWORD = \"x\"\n";
        assert_eq!(find_open_secrets("apps/a.toml", app), ["SMTP_PASSWORD"]);
        let env = "# a comment: with a colon\nDB_HOST=db\nexport DB_PASSWORD='x y'\n";
        assert_eq!(find_open_secrets("stacks/shop.env", env), ["DB_PASSWORD"]);
        let key = "-----BEGIN OPENSSH PRIVATE KEY-----\n";
        assert_eq!(find_open_secrets("stacks/id", key), ["a private key"]);
        let config = "[backup]\nrepository = \"rest:https://u:p4ss@backup.example/\"\n";
        assert_eq!(
            find_open_secrets("config.toml", config),
            ["a password in an address"]
        );
    }

    #[test]
    fn what_only_names_a_secret_is_none() {
        let config = include_str!("../../../config.example.toml");
        assert!(find_open_secrets("config.toml", config).is_empty());
        let all = std::fs::read_dir(concat!(env!("CARGO_MANIFEST_DIR"), "/../../stacks")).unwrap();
        for path in all.map(|entry| entry.unwrap().path()) {
            if path.extension().is_some_and(|e| e == "yml") {
                let text = std::fs::read_to_string(&path).unwrap();
                let found = find_open_secrets("stacks/x.yml", &text);
                assert!(found.is_empty(), "{}: {found:?}", path.display());
            }
        }
    }
}
