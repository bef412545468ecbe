//! Why restic did not do what it should, in one sentence with the way out.
//!
//! Exit codes: restic's manual, "Scripting", of 0.17 and later. Before that everything is 1, and its
//! words are what tells (cmd/restic and internal/repository of 0.14).

use matou_i18n::tr;
use std::time::Duration;

use matou_host::HostError;

/// Locks that are older are stale: restic refreshes its own every five minutes.
/// Source: restic, internal/restic/lock.go (`staleTimeout`).
const STALE: Duration = Duration::from_secs(30 * 60);

/// Lines of output that an error shows.
const LINES: usize = 6;

/// Who keeps a repository locked.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct ResticLock {
    /// As restic says it: `PID 7 on n1 by root`.
    pub who: String,
    /// Seconds since it was made.
    pub age: Option<Duration>,
}

impl ResticLock {
    /// Nobody refreshes it any more.
    pub fn is_stale(&self) -> bool {
        self.age.is_some_and(|age| age > STALE)
    }

    /// Parses the sentence with which restic refuses to lock.
    fn parse(said: &str) -> Self {
        let who = text_between(said, "locked exclusively by ", "\n")
            .or_else(|| text_between(said, "locked by ", "\n"))
            .map_or_else(
                || tr!("somebody").into(),
                |w| w.trim_end_matches(['.', ' ']).to_owned(),
            );
        let who = who.split(" (UID").next().unwrap_or(&who).to_owned();
        let age = text_between(said, "lock was created at", "ago)")
            .and_then(|t| t.rsplit('(').next().map(str::to_owned))
            .and_then(|t| parse_lock_age(t.trim()));
        Self { who, age }
    }
}

/// The text between `start` and `end`, or the end of the text.
fn text_between(text: &str, start: &str, end: &str) -> Option<String> {
    let rest = &text[text.find(start)? + start.len()..];
    Some(rest[..rest.find(end).unwrap_or(rest.len())].to_owned())
}

/// `1h2m3.4s`, as Go writes durations.
fn parse_lock_age(text: &str) -> Option<Duration> {
    let mut seconds = 0.0;
    let mut number = String::new();
    let mut rest = text.chars().peekable();
    while let Some(c) = rest.next() {
        match c {
            '0'..='9' | '.' => number.push(c),
            _ => {
                let value: f64 = std::mem::take(&mut number).parse().ok()?;
                seconds += value
                    * match c {
                        'h' => 3600.0,
                        'm' if rest.peek() == Some(&'s') => {
                            rest.next();
                            0.001
                        }
                        'm' => 60.0,
                        's' => 1.0,
                        _ => return None,
                    };
            }
        }
    }
    Duration::try_from_secs_f64(seconds).ok()
}

/// "Exit code" of a restic that was ended because it only tried again and again.
pub const GAVE_UP: i32 = -1;

/// Why restic did not do what it should.
#[expect(missing_docs, reason = "its sentences say it")]
#[derive(Debug, Clone, thiserror::Error)]
pub enum BackupError {
    #[error(
        "{}", tr!("no repository is configured: set repository and password_file under [backup] in config.toml"
    ))]
    NotConfigured,
    /// What the operator wrote is wrong.
    #[error(transparent)]
    Input(#[from] matou_base::text::InvalidInput),
    /// A password, a credential, a stack or a volume; a whole sentence.
    #[error("{0}")]
    Wrong(String),
    #[error(
        "{}", tr!("there is no repository at {repository} yet: `matou repo init` makes it; if there was one, its place or its disk is gone ({said})"
    ))]
    NoRepository { repository: String, said: String },
    #[error(
        "{}", tr!("the password of the repository {repository} is wrong: it is another than the one it was made with; correct password_file or password_command under [backup]"
    ))]
    WrongPassword { repository: String },
    #[error("{}", tr!("the repository {repository} is locked by {}", format_lock(lock)))]
    Locked {
        repository: String,
        lock: ResticLock,
    },
    #[error("{}", tr!("the repository {repository} can't be reached from {node}: {said}"))]
    Unreachable {
        repository: String,
        node: String,
        said: String,
    },
    #[error(
        "{}", tr!("no room is left: {said}; make room, then run it again (`matou repo prune` frees space in the repository)"
    ))]
    DiskFull { said: String },
    #[error(
        "{}", tr!("the repository {repository} is damaged: {said}; `matou repo check` tells how much, and a copy that is whole can be made the repository"
    ))]
    Damaged { repository: String, said: String },
    #[error("{}", tr!("restic is not installed on {node}: run `matou provision --only restic`"))]
    Missing { node: String },
    #[error(
        "{}", tr!("restic {version} on {node} is too old, {need} is needed: set restic_url and restic_sha256 under [provision], then run `matou provision --only restic`"
    ))]
    TooOld {
        node: String,
        version: String,
        need: String,
    },
    /// No snapshot, or no file in it; a whole sentence.
    #[error("{0}")]
    NothingThere(String),
    #[error("{}", tr!("cancelled"))]
    Cancelled,
    #[error(transparent)]
    Host(#[from] HostError),
    #[error("{}", tr!("`restic {command}` on {node} ended with exit code {code}{}", format_restic_tail(last_lines)))]
    Failed {
        node: String,
        command: String,
        code: i32,
        last_lines: Vec<String>,
    },
}

fn format_lock(lock: &ResticLock) -> String {
    let age = lock.age.map_or_else(String::new, |age| {
        tr!(
            ", since {}",
            matou_base::text::format_seconds(i64::try_from(age.as_secs()).unwrap_or(i64::MAX))
        )
    });
    let way = match lock.is_stale() {
        true => tr!("nobody has refreshed it for long: `matou repo unlock` removes it"),
        false => {
            tr!(
                "wait until it is done; if nothing runs there any more, `matou repo unlock` removes it"
            )
        }
    };
    format!("{}{age}: {way}", lock.who)
}

fn format_restic_tail(lines: &[String]) -> String {
    match lines {
        [] => String::new(),
        [one] => format!(": {one}"),
        many => format!(":\n  {}", many.join("\n  ")),
    }
}

/// The call that failed.
pub(super) struct ResticCall<'a> {
    pub node: &'a str,
    /// As shown, without a password.
    pub repository: &'a str,
    pub command: &'a str,
}

impl BackupError {
    /// Returns whether the node that has restic gave no answer. A repository that gives none is another
    /// matter: [`BackupError::Unreachable`].
    pub fn is_unreachable(&self) -> bool {
        matches!(self, Self::Host(e) if e.is_unreachable())
    }

    /// Makes an error of an exit code that is not 0, and of what was said on both streams, without
    /// secrets.
    pub(super) fn from_exit_code(call: &ResticCall<'_>, code: i32, said: &str) -> Self {
        let repository = call.repository.to_owned();
        let node = call.node.to_owned();
        let said = strip_go_stack(said);
        let said = said.as_str();
        let has = |words: &[&str]| words.iter().any(|w| said.contains(w));
        let line = |words: &[&str]| {
            let mut lines = said.lines().map(str::trim).filter(|l| !l.is_empty());
            let found = lines.clone().find(|l| words.iter().any(|w| l.contains(w)));
            let text = found.or_else(|| lines.next_back()).unwrap_or_default();
            clean_restic_line(text)
        };
        const FULL: [&str; 4] = [
            "no space left on device",
            "disk quota exceeded",
            "Disk quota exceeded",
            "QuotaExceeded",
        ];
        const NONE: [&str; 5] = [
            "bucket does not exist",
            "unable to open config file",
            "repository does not exist",
            "Is there a repository at the following location",
            "config: file does not exist",
        ];
        const AWAY: [&str; 16] = [
            "connection refused",
            "Connection refused",
            "no such host",
            "Could not resolve hostname",
            "i/o timeout",
            "timed out",
            "network is unreachable",
            "No route to host",
            "no route to host",
            "unable to start the sftp session",
            "Permission denied (",
            "Host key verification failed",
            "Access Denied",
            "InvalidAccessKeyId",
            "SignatureDoesNotMatch",
            "connection reset by peer",
        ];
        const BROKEN: [&str; 9] = [
            "ciphertext verification failed",
            "does not match id",
            "hash mismatch",
            "invalid data returned",
            "Pack ID does not match",
            "The repository contains damaged",
            "repository contains errors",
            "is not in the index",
            "not found in index",
        ];
        match code {
            127 if has(&["sudo: not found", "sudo: command not found"]) => {
                return Self::Wrong(tr!(
                    "{node} has no sudo, which matou needs there to work as root: `apt-get install sudo`, or `user = \"root\"` under [ssh]"
                ));
            }
            127 if has(&["restic: not found", "restic: No such file", "not found"]) => {
                return Self::Missing { node };
            }
            130 => return Self::Cancelled,
            _ => {}
        }
        if code == 12 || has(&["wrong password or no key found", "no key found"]) {
            return Self::WrongPassword { repository };
        }
        if code == 11 || has(&["already locked"]) {
            return Self::Locked {
                repository,
                lock: ResticLock::parse(said),
            };
        }
        if has(&FULL) {
            return Self::DiskFull { said: line(&FULL) };
        }
        if has(&AWAY) {
            return Self::Unreachable {
                repository,
                node,
                said: line(&AWAY),
            };
        }
        if has(&["unsupported repository version"]) {
            return Self::TooOld {
                node,
                version: tr!("there").into(),
                need: tr!("a newer one, as made the repository,").into(),
            };
        }
        if code == 10 || has(&NONE) {
            return Self::NoRepository {
                repository,
                said: line(&NONE),
            };
        }
        if has(&[
            "no matching ID found",
            "no snapshot found",
            "not found in snapshot",
        ]) {
            let what = line(&[
                "no matching ID found",
                "no snapshot found",
                "not found in snapshot",
            ]);
            return Self::NothingThere(tr!(
                "it is not in the repository: {what}; `matou snapshots` lists what is"
            ));
        }
        if has(&BROKEN) {
            return Self::Damaged {
                repository,
                said: line(&BROKEN),
            };
        }
        if code == GAVE_UP {
            return Self::Unreachable {
                repository,
                node,
                said: line(&["retrying after"]),
            };
        }
        let lines: Vec<String> = said
            .lines()
            .filter(|l| !l.trim().is_empty() && !l.contains("\"message_type\":\"status\""))
            .map(clean_restic_line)
            .collect();
        let last = lines.len().saturating_sub(LINES);
        Self::Failed {
            node,
            command: call.command.to_owned(),
            code,
            last_lines: lines[last..].to_vec(),
        }
    }
}

/// One line of restic, without its `Fatal: `, or the message of its JSON.
fn clean_restic_line(line: &str) -> String {
    let said = match serde_json::from_str::<serde_json::Value>(line) {
        Ok(value) => match value.get("message").and_then(|m| m.as_str()) {
            Some(message) => message.trim().to_owned(),
            None => line.to_owned(),
        },
        Err(_) => line.to_owned(),
    };
    let said = said.trim_start_matches("Fatal: ");
    matou_base::text::truncate_to_width(&matou_base::text::clean_line(said), 400, "…").into_owned()
}

/// Removes the stack trace that restic prints below an error which it did not expect: a function of
/// Go, then its file and line.
fn strip_go_stack(said: &str) -> String {
    let is_place = |line: &&str| {
        let place = line.trim().rsplit_once(':');
        place.is_some_and(|(file, number)| {
            (file.ends_with(".go") || file.ends_with(".s"))
                && !file.contains(' ')
                && number.bytes().all(|b| b.is_ascii_digit())
        })
    };
    let lines: Vec<&str> = said.lines().collect();
    let kept = lines
        .iter()
        .enumerate()
        .filter(|(at, line)| !is_place(line) && !lines.get(at + 1).is_some_and(is_place));
    kept.map(|(_, line)| *line).collect::<Vec<_>>().join("\n")
}

#[cfg(test)]
mod tests {
    use super::*;

    /// As restic 0.14 said it of a configuration that had become empty.
    #[test]
    fn the_stack_of_an_unexpected_error_does_not_hide_it() {
        let said = "config file has zero size, invalid repository?\nmain.open\n\tgithub.com/restic/restic/cmd/restic/global.go:760\nmain.OpenRepository\n\tgithub.com/restic/restic/cmd/restic/global.go:432\nruntime.goexit\n\truntime/asm_amd64.s:1594\n";
        let told = of(1, said).to_string();
        assert!(told.contains("config file has zero size"), "{told}");
        assert!(
            !told.contains("main.open") && !told.contains("asm_amd64"),
            "{told}"
        );
        let plain = "a: 1\nopen main.go: no such file\n";
        assert_eq!(strip_go_stack(plain), plain.trim_end());
    }

    fn of(code: i32, said: &str) -> BackupError {
        let call = ResticCall {
            node: "n1",
            repository: "/srv/restic",
            command: "snapshots",
        };
        BackupError::from_exit_code(&call, code, said)
    }

    /// Words of restic 0.14, as it said them; and the exit codes and JSON of later ones.
    #[test]
    fn each_failure_has_its_own_sentence() {
        let lock = "unable to create lock in backend: repository is already locked exclusively by PID 4711 on n1 by root (UID 0, GID 0)\nlock was created at 2026-11-24 12:00:00 (1h2m3.5s ago)\nstorage ID 123\nthe `unlock` command can be used to remove stale locks";
        for (code, said, part) in [
            (
                1,
                "Fatal: wrong password or no key found",
                "password of the repository",
            ),
            (
                12,
                "{\"message_type\":\"exit_error\",\"code\":12,\"message\":\"Fatal: x\"}",
                "password of the repository",
            ),
            (
                1,
                "Fatal: unable to open config file: stat /nope/config: no such file or directory\nIs there a repository at the following location?\n/nope",
                "matou repo init",
            ),
            (10, "Fatal: repository does not exist", "matou repo init"),
            (
                1,
                lock,
                "locked by PID 4711 on n1 by root, since 1 h: nobody has refreshed it",
            ),
            (11, "x", "locked by somebody: wait"),
            (
                1,
                "Fatal: unable to open config file: client.Head: Head \"http://h/x\": dial tcp 127.0.0.1:1: connect: connection refused\nIs there a repository at the following location?",
                "can't be reached from n1",
            ),
            (
                1,
                "subprocess ssh: ssh: connect to host b port 22: Connection refused\nFatal: unable to open repository at sftp:b:/x: unable to start the sftp session, error: EOF",
                "Connection refused",
            ),
            (
                GAVE_UP,
                "Load(<key/118c0accc4>, 0, 0) returned error, retrying after 552ms: read /srv/restic/keys/118c: input/output error",
                "can't be reached from n1: Load(<key/118c0accc4>",
            ),
            (
                1,
                "Fatal: write /srv/x: no space left on device",
                "no room is left",
            ),
            (
                1,
                "error for tree 1234:\n  ciphertext verification failed",
                "is damaged",
            ),
            (
                127,
                "sh: 1: exec: restic: not found",
                "matou provision --only restic",
            ),
            (130, "", "cancelled"),
            (
                1,
                "Ignoring \"deadbeef\": no matching ID found for prefix \"deadbeef\"",
                "matou snapshots",
            ),
            (
                1,
                "cannot dump file: path \"/nope\" not found in snapshot",
                "not in the repository",
            ),
            (
                3,
                "Fatal: something\u{1b}[2J else",
                "exit code 3: something",
            ),
        ] {
            let error = of(code, said).to_string();
            assert!(error.contains(part), "{said:?}: {error}");
            assert!(!error.contains('\u{1b}'), "{error:?}");
        }
    }

    #[test]
    fn a_lock_says_whose_it_is_and_how_old() {
        let fresh = ResticLock::parse(
            "repository is already locked by PID 7 on n2 by root (UID 0, GID 0)\nlock was created at 2026-11-24 12:00:00 (12.5s ago)",
        );
        assert_eq!(fresh.who, "PID 7 on n2 by root");
        assert_eq!(fresh.age, Some(Duration::from_secs_f64(12.5)));
        assert!(!fresh.is_stale());
        assert_eq!(parse_lock_age("850ms"), Some(Duration::from_millis(850)));
        assert_eq!(parse_lock_age("31m"), Some(Duration::from_secs(1860)));
    }
}
