//! Secrets among the words of a command, as a stack has it: each word by itself, or a whole script.

use matou_i18n::tr;
use std::collections::BTreeSet;

use serde_yaml::Value;

use super::secret_words::{ends_as_secret, has_password_hash, stands_open};

/// Stands between two commands of a script.
const BREAK: &str = ";";

/// First words of an option by which none follows that is its value.
const SWITCH_WORDS: [&str; 12] = [
    "allow", "ask", "disable", "enable", "generate", "no", "prompt", "random", "require", "skip",
    "use", "without",
];

/// An option of one letter, or one that says nothing, that a program takes a password by.
struct PasswordOption {
    programs: &'static [&'static str],
    option: &'static str,
    /// The password may be the next word; else it is the rest of the same one.
    is_apart: bool,
    /// A user stands before it, as `USER:PASSWORD`.
    has_user: bool,
}

const PASSWORD_OPTIONS: [PasswordOption; 6] = [
    PasswordOption {
        programs: &[
            "mysql",
            "mysqladmin",
            "mysqlcheck",
            "mysqldump",
            "mysqlshow",
            "mariadb",
            "mariadb-admin",
            "mariadb-check",
            "mariadb-dump",
            "mariadb-show",
        ],
        option: "-p",
        is_apart: false,
        has_user: false,
    },
    PasswordOption {
        programs: &["mongo", "mongosh", "mongodump", "mongorestore", "sshpass"],
        option: "-p",
        is_apart: true,
        has_user: false,
    },
    PasswordOption {
        programs: &["redis-cli", "valkey-cli"],
        option: "-a",
        is_apart: true,
        has_user: false,
    },
    PasswordOption {
        programs: &["ldapadd", "ldapmodify", "ldapsearch", "ldapwhoami"],
        option: "-w",
        is_apart: true,
        has_user: false,
    },
    PasswordOption {
        programs: &["curl"],
        option: "-u",
        is_apart: true,
        has_user: true,
    },
    PasswordOption {
        programs: &["curl"],
        option: "--user",
        is_apart: true,
        has_user: true,
    },
];

/// Looks at a command in both of its forms: one text, or a list of words, of which some may be scripts.
pub(super) fn find_in_command(command: Option<&Value>, found: &mut BTreeSet<String>) {
    let mut words = Vec::new();
    match command {
        Some(Value::String(text)) => split_script(text, &mut words),
        Some(Value::Sequence(items)) => {
            for item in items.iter().filter_map(Value::as_str) {
                split_script(item, &mut words);
            }
        }
        _ => return,
    }
    let mut program = "";
    for (at, word) in words.iter().copied().enumerate() {
        if word == BREAK {
            program = "";
            continue;
        }
        let next = words.get(at + 1).copied().filter(|next| *next != BREAK);
        if has_password_hash(word) {
            found.insert(tr!("the hash of a password").to_owned());
        }
        let name = word.rsplit(['/', '(']).next().unwrap_or_default();
        if PASSWORD_OPTIONS.iter().any(|o| o.programs.contains(&name)) {
            program = name;
        }
        let secret = match word.starts_with('-') {
            true => find_in_option(word, next).or_else(|| find_in_switch(program, word, next)),
            false => find_in_assignment(word),
        };
        let after = words.get(at + 2).copied();
        found.extend(secret.or_else(|| find_in_header(word, next, after)));
    }
}

/// Takes a script apart into words without the quotes around them; comments are left out.
fn split_script<'a>(script: &'a str, into: &mut Vec<&'a str>) {
    let lines = script.lines().filter(|l| !l.trim_start().starts_with('#'));
    let mut goes_on = true;
    for line in lines {
        if !goes_on {
            into.push(BREAK);
        }
        // One that the next line continues.
        let begun = line.trim_end().strip_suffix('\\');
        goes_on = begun.is_some();
        for word in begun.unwrap_or(line).split_whitespace() {
            let command = word.trim_end_matches([';', '|', '&']);
            let plain = command.trim_matches(['"', '\'']);
            if !plain.is_empty() {
                into.push(plain);
            }
            if command.len() < word.len() {
                into.push(BREAK);
            }
        }
    }
}

/// `--password=VALUE` or `--password VALUE`.
fn find_in_option(word: &str, next: Option<&str>) -> Option<String> {
    if let Some((option, value)) = word.split_once('=') {
        return (ends_as_secret(option) && stands_open(value)).then(|| option.to_owned());
    }
    let name = word.trim_start_matches('-').to_ascii_lowercase();
    let first = name.split('-').next().unwrap_or_default();
    let is_switch = SWITCH_WORDS.contains(&first);
    let has_value = next.is_some_and(|next| !next.starts_with('-') && stands_open(next));
    (has_value && !is_switch && ends_as_secret(word)).then(|| word.to_owned())
}

/// `-pVALUE` and its like, of the program that they belong to.
fn find_in_switch(program: &str, word: &str, next: Option<&str>) -> Option<String> {
    let mut known = PASSWORD_OPTIONS.iter();
    let option = known.find(|o| o.programs.contains(&program) && names_option(o, word))?;
    let attached = word.strip_prefix(option.option).unwrap_or_default();
    let value = match (attached, option.is_apart) {
        ("", true) => next?,
        (attached, _) => attached,
    };
    let value = match option.has_user {
        true => value.split_once(':')?.1,
        false => value,
    };
    stands_open(value).then(|| format!("{program} {}", option.option))
}

/// Whether a word is this option; one of a letter may have its value behind it.
fn names_option(option: &PasswordOption, word: &str) -> bool {
    match option.option.starts_with("--") {
        true => word == option.option,
        false => word.starts_with(option.option),
    }
}

/// `PGPASSWORD=VALUE` in a script; what calls a function is code.
fn find_in_assignment(word: &str) -> Option<String> {
    let (name, value) = word.split_once('=')?;
    let is_name = name.starts_with(|c: char| c.is_ascii_alphabetic() || c == '_')
        && name.chars().all(|c| c.is_ascii_alphanumeric() || c == '_');
    let is_code = value.contains(['(', '[']) || value.trim_end_matches([',', ')']) == name;
    (is_name && ends_as_secret(name) && !is_code && stands_open(value)).then(|| name.to_owned())
}

/// `Authorization: Bearer VALUE` or `X-Api-Key: VALUE`, also behind `--header=`.
fn find_in_header(word: &str, next: Option<&str>, after: Option<&str>) -> Option<String> {
    let name = word.rsplit(['=', '"', '\'']).next()?.strip_suffix(':')?;
    let next = next?;
    let lower = name.to_ascii_lowercase();
    let value = match ["authorization", "proxy-authorization"].contains(&lower.as_str()) {
        true => match ["bearer", "basic", "token"].contains(&next.to_ascii_lowercase().as_str()) {
            true => after?,
            false => next,
        },
        false if lower.starts_with("x-") && ends_as_secret(name) => next,
        false => return None,
    };
    stands_open(value).then(|| name.to_owned())
}

#[cfg(test)]
mod tests {
    use super::*;

    fn find_words(command: &str) -> Vec<String> {
        let mut found = BTreeSet::new();
        let value = serde_yaml::from_str::<Value>(command).unwrap();
        find_in_command(Some(&value), &mut found);
        found.into_iter().collect()
    }

    #[test]
    fn passwords_among_the_words_of_a_command_are_named() {
        for (command, secret) in [
            ("redis-server --requirepass hunter2", "--requirepass"),
            ("[redis-server, --requirepass, hunter2]", "--requirepass"),
            ("[server, '--db-password=hunter2']", "--db-password"),
            ("server --token='hunter2' --port=80", "--token"),
            (
                "java -Dspring.datasource.password=hunter2",
                "-Dspring.datasource.password",
            ),
            ("[CMD, mysqladmin, ping, -phunter2]", "mysqladmin -p"),
            (
                "[CMD-SHELL, 'mysqladmin ping -uroot -phunter2 || exit 1']",
                "mysqladmin -p",
            ),
            ("[sh, -c, 'PGPASSWORD=hunter2 psql']", "PGPASSWORD"),
            ("redis-cli -a hunter2 ping", "redis-cli -a"),
            (
                "[sh, -c, \"mysqldump -h db \\\\\\n  -phunter2\"]",
                "mysqldump -p",
            ),
            ("curl -fsS -u ops:hunter2 http://127.0.0.1/", "curl -u"),
            (
                "[curl, -H, 'Authorization: Bearer hunter2']",
                "Authorization",
            ),
            ("[curl, -H, 'X-Api-Key: hunter2']", "X-Api-Key"),
            ("server --users=ops:$$2y$$05$$abc", "the hash of a password"),
            ("server --password=${PASSWORD:-hunter2}", "--password"),
        ] {
            assert_eq!(find_words(command), [secret], "{command}");
        }
    }

    #[test]
    fn what_is_no_password_in_a_command_is_left() {
        for command in [
            "server --password=${PASSWORD:?}",
            "server --password ${PASSWORD}",
            "sh -c 'exec server --password=$$(cat /run/secrets/pw)'",
            "sh -c 'exec server --password \"$$PASSWORD\"'",
            "server --password-file=/run/secrets/pw --token-ttl 3600",
            "server --token /run/secrets/token",
            "server --no-password ops",
            "server --hostname={{.Node.Hostname}} --node-token={{.Node.ID}}",
            "server --tls-key key.pem --sort-key name",
            "mkdir -pv /data",
            "mysqladmin ping -p\"$$(cat /run/secrets/pw)\"",
            "find / -path x -print",
            "export DB_PASSWORD=$$(cat /run/secrets/pw)",
            "curl -u \"ops:$$(cat /run/secrets/pw)\" http://127.0.0.1/",
            "[curl, -H, 'X-Forwarded-Proto: https']",
            "[curl, -H, 'Authorization: Bearer $$TOKEN']",
            "python -c 'connect(password=read(), token=token)'",
            "{not: a command}",
        ] {
            assert!(
                find_words(command).is_empty(),
                "{command}: {:?}",
                find_words(command)
            );
        }
    }
}
