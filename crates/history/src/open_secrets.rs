//! Secrets that stand in a file in the open. Such a file is not put into the history, from which nothing
//! goes away.
//!
//! Of a stack these places are looked at: environments, labels of services and of their deploys, commands, entrypoints,
//! health checks and options of logs, for names that say secret, and for hashes of passwords. What only refers
//! to a secret is none: a variable without a default, a file, what another command prints. Of an application's file its
//! variables are looked at, by their names: hashes of passwords in `basic_auth` and in variables are let in.

use matou_i18n::tr;
use std::collections::BTreeSet;

use serde_yaml::Value;

use super::command_secrets::find_in_command;
use super::secret_words::{
    ends_as_secret, has_password_hash, has_password_in_url, is_literal, is_secret_name, stands_open,
};

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
            if let Ok(mut value) = serde_yaml::from_str::<Value>(text) {
                // What can't be merged stays as it is, and is looked at all the same.
                let _ = value.apply_merge();
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

/// Looks at all services of a stack.
fn find_in_services(file: &Value, found: &mut BTreeSet<String>) {
    let services = file.get("services").and_then(Value::as_mapping);
    for service in services.into_iter().flat_map(|all| all.values()) {
        for (key, value) in list_pairs(service.get("environment")) {
            note_secret(&key, &value, found);
            note_hash(&key, &value, found);
        }
        let deploy = service.get("deploy").and_then(|d| d.get("labels"));
        for labels in [service.get("labels"), deploy] {
            for (key, value) in list_pairs(labels) {
                note_label(&key, &value, found);
                note_hash(&key, &value, found);
            }
        }
        let test = service.get("healthcheck").and_then(|h| h.get("test"));
        for command in [service.get("command"), service.get("entrypoint"), test] {
            find_in_command(command, found);
        }
        let options = service.get("logging").and_then(|l| l.get("options"));
        for (key, value) in list_pairs(options) {
            if is_named_secret(&key) && stands_open(&value) {
                found.insert(key.clone());
            }
            note_hash(&key, &value, found);
        }
    }
}

/// Returns names and values, in both forms that a compose file has for them.
fn list_pairs(pairs: Option<&Value>) -> Vec<(String, String)> {
    match pairs {
        Some(Value::Mapping(pairs)) => {
            let texts = pairs.iter().filter_map(|(key, value)| {
                let value = match value {
                    Value::String(text) => text.clone(),
                    Value::Number(number) => number.to_string(),
                    _ => return None,
                };
                Some((key.as_str()?.to_owned(), value))
            });
            texts.collect()
        }
        Some(Value::Sequence(pairs)) => {
            let pairs = pairs.iter().filter_map(Value::as_str);
            let pairs = pairs.filter_map(|p| p.split_once('='));
            pairs.map(|(k, v)| (k.to_owned(), v.to_owned())).collect()
        }
        _ => Vec::new(),
    }
}

/// Notes a label: users of Traefik's with what tells their passwords, a header that lets in, or what is named as a
/// secret by the last part of the label's name.
fn note_label(key: &str, value: &str, found: &mut BTreeSet<String>) {
    let lower = key.to_ascii_lowercase();
    let last = key.rsplit('.').next().unwrap_or_default();
    let has_users = lower.ends_with("basicauth.users") || lower.ends_with("digestauth.users");
    let is_open = if has_users {
        let mut users = value.split(',').filter_map(|user| user.rsplit_once(':'));
        stands_open(value) && users.any(|(_, password)| stands_open(password))
    } else if lower.ends_with(".authorization") {
        // Behind `Bearer` or `Basic`.
        let word = value.split_whitespace().next_back();
        stands_open(value) && word.is_some_and(stands_open)
    } else {
        is_named_secret(last) && stands_open(value)
    };
    if is_open {
        found.insert(key.to_owned());
    }
}

/// Whether the name of an option or of a label's last part says secret; `key` alone does, too.
fn is_named_secret(name: &str) -> bool {
    ends_as_secret(name) || name.eq_ignore_ascii_case("key")
}

fn note_hash(key: &str, value: &str, found: &mut BTreeSet<String>) {
    if has_password_hash(value) {
        found.insert(key.to_owned());
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

/// Whether a value is a secret whatever its name: a private key, a password in an address, or the hash of
/// a password, by which it can be found out.
pub fn is_secret_value(value: &str) -> bool {
    let value = value.replace("$$", "$");
    value.contains("PRIVATE KEY-----")
        || has_password_hash(&value)
        || value.split_whitespace().any(has_password_in_url)
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

    /// A stack of one service, which has these lines.
    fn find_in_stack(lines: &str) -> Vec<String> {
        let text = format!("services:\n  web:\n    image: x\n    {lines}\n");
        assert!(serde_yaml::from_str::<serde_yaml::Value>(&text).is_ok());
        find_open_secrets("stacks/x.yml", &text)
    }

    #[test]
    fn secrets_in_all_places_of_a_service_are_named() {
        const USERS: &str = "traefik.http.middlewares.x.basicauth.users";
        const HASH: &str = "admin:$$apr1$$xbMl7nUh$$BnziBk4n3n/9p.tx/w3DQ/";
        for (lines, secret) in [
            (format!("labels: {{{USERS}: '{HASH}'}}"), USERS),
            (format!("labels: ['{USERS}={HASH}']"), USERS),
            (format!("deploy: {{labels: ['{USERS}={HASH}']}}"), USERS),
            (
                format!("deploy: {{labels: {{{USERS}: 'a:rl.3StKT.4T8M'}}}}"),
                USERS,
            ),
            (
                "labels: [homepage.widget.key=hunter2]".into(),
                "homepage.widget.key",
            ),
            (
                "labels: ['t.customrequestheaders.Authorization=Basic b3BzOnB3']".into(),
                "t.customrequestheaders.Authorization",
            ),
            (
                "command: [redis-server, --requirepass, hunter2]".into(),
                "--requirepass",
            ),
            ("command: server --password=hunter2".into(), "--password"),
            (
                "entrypoint: [server, '--api-token=hunter2']".into(),
                "--api-token",
            ),
            (
                "healthcheck: {test: [CMD, mariadb-admin, ping, -phunter2]}".into(),
                "mariadb-admin -p",
            ),
            (
                "healthcheck: {test: 'mysqladmin ping -phunter2'}".into(),
                "mysqladmin -p",
            ),
            (
                "logging: {driver: splunk, options: {splunk-token: hunter2}}".into(),
                "splunk-token",
            ),
            (
                "logging: {driver: awslogs, options: {awslogs-secret-key: hunter2}}".into(),
                "awslogs-secret-key",
            ),
            (
                "logging: {driver: gelf, options: {gelf-address: 'udp://u:hunter2@log'}}".into(),
                "a password in an address",
            ),
            ("environment: {ADMIN: 'x:$$2y$$05$$abc'}".into(), "ADMIN"),
            (
                "environment: {<<: {PGPASSWORD: hunter2}}".into(),
                "PGPASSWORD",
            ),
        ] {
            assert_eq!(find_in_stack(&lines), [secret], "{lines}");
        }
    }

    #[test]
    fn what_refers_to_a_secret_in_a_service_is_none() {
        for lines in [
            "labels: ['traefik.http.middlewares.x.basicauth.users=${USERS:?who, as htpasswd: prints}']",
            "labels: {traefik.http.middlewares.x.basicauth.users: 'ops:${HASH}'}",
            "labels: [traefik.http.middlewares.x.basicauth.usersfile=/run/secrets/users]",
            "labels: ['traefik.http.middlewares.auth.forwardauth.address=http://auth:9000/']",
            "labels: ['traefik.http.middlewares.auth.forwardauth.authResponseHeaders=X-User']",
            "labels: ['traefik.http.middlewares.x.redirectregex.replacement=https://a/$$1$$2']",
            "labels: ['t.customrequestheaders.Authorization=Bearer ${TOKEN}']",
            "labels: [traefik.http.routers.x.middlewares=auth]",
            "command: [server, '--password-file=/run/secrets/pw']",
            "command: [sh, -c, 'exec server --password=\"$$(cat /run/secrets/pw)\"']",
            "healthcheck: {test: 'mysqladmin ping -p$$PASSWORD'}",
            "logging: {options: {splunk-token: '${TOKEN:?}', awslogs-group: web, max-file: '3'}}",
            "logging: {options: {syslog-tls-key: /etc/ssl/key.pem, tag: '{{.Name}}'}}",
            "environment: {TOKEN_FILE: /run/secrets/token}",
        ] {
            let found = find_in_stack(lines);
            assert!(found.is_empty(), "{lines}: {found:?}");
        }
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
