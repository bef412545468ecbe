//! What the process on a host says of the locks that it was asked for, and how that is told.

use std::time::Duration;

use matou_i18n::tr;

use super::name::LockName;
use super::request::BEAT_PERIOD;

/// Who holds a lock, as others see it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct LockHolder {
    /// `ana@laptop`
    pub who: String,
    /// Title of its job.
    pub what: String,
    pub since: String,
    /// Seconds since its last sign of life.
    pub silent: u64,
}

impl LockHolder {
    /// The fields of a line of the script after the lock's name.
    fn from_fields(fields: &[&str]) -> Self {
        let field = |i: usize| fields.get(i).copied().unwrap_or_default().to_owned();
        Self {
            silent: field(0).parse().unwrap_or_default(),
            who: field(1),
            what: field(2),
            since: field(3),
        }
    }
}

/// What the script says while a lock is taken, and holds.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) enum LockMessage {
    Busy(LockName, LockHolder),
    Taken(LockName, LockHolder),
    Held,
    Other(String),
}

impl LockMessage {
    pub(super) fn parse(line: &[u8]) -> Self {
        let text = String::from_utf8_lossy(line);
        let fields: Vec<&str> = text.split('\t').collect();
        let clean = |s: &str| matou_base::text::clean_bytes(s.as_bytes());
        let fields: Vec<String> = fields.into_iter().map(clean).collect();
        let fields: Vec<&str> = fields.iter().map(String::as_str).collect();
        match fields.as_slice() {
            ["held"] => Self::Held,
            ["busy", name, rest @ ..] => Self::Busy(
                LockName::from_file_name(name),
                LockHolder::from_fields(rest),
            ),
            ["taken", name, rest @ ..] => Self::Taken(
                LockName::from_file_name(name),
                LockHolder::from_fields(rest),
            ),
            _ => Self::Other(fields.join(" ")),
        }
    }
}

fn format_lock_holder(holder: &LockHolder) -> String {
    tr!("{} ({}, since {})", holder.who, holder.what, holder.since)
}

pub(super) fn format_lock_in_use(
    name: &LockName,
    holder: &LockHolder,
    host: &str,
    wait: Duration,
) -> String {
    let silent = match holder.silent {
        s if s >= BEAT_PERIOD.as_secs() * 2 => tr!(", silent for {s} s"),
        _ => String::new(),
    };
    let (name, holder) = (name.display_name(host), format_lock_holder(holder));
    let limit = match wait.as_secs() {
        s if s < 120 => format!("{s} s"),
        s if s < 7200 => format!("{} min", s / 60),
        _ => return tr!("{name} is in use by {holder}{silent}: waiting, until it is done"),
    };
    tr!("{name} is in use by {holder}{silent}: waiting, at most {limit}")
}

pub(super) fn format_lock_refused(name: &LockName, holder: &LockHolder, host: &str) -> String {
    tr!(
        "another matou works on {}: {}; nothing was done: wait until it is done, or run it with --wait",
        name.display_name(host),
        format_lock_holder(holder)
    )
}

pub(super) fn format_lock_taken_over(name: &LockName, holder: &LockHolder, host: &str) -> String {
    tr!(
        "the lock of {} (held by {}) has been silent for {} s: it is taken; that job did not end as it should",
        name.display_name(host),
        format_lock_holder(holder),
        holder.silent
    )
}

#[cfg(test)]
mod tests {
    use super::super::request::DEFAULT_LOCK_WAIT;
    use super::*;

    #[test]
    fn what_the_script_says_is_read_and_made_safe() {
        let line = b"busy\tapp-shop\t3\tana@x\tdeploy shop\x1b[2J\t2026-01-02 03:04:05 UTC\t";
        let LockMessage::Busy(name, holder) = LockMessage::parse(line) else {
            panic!("not read");
        };
        assert_eq!(name, LockName::App("shop".into()));
        assert!(!holder.what.contains('\x1b'), "{holder:?}");
        let said = format_lock_in_use(&name, &holder, "n1", DEFAULT_LOCK_WAIT);
        assert!(
            said.starts_with("shop is in use by ana@x (deploy shop"),
            "{said}"
        );
        assert!(said.ends_with("waiting, at most 8 s"), "{said}");
        assert_eq!(LockMessage::parse(b"held"), LockMessage::Held);
        let other = LockMessage::parse(b"mkdir: no");
        assert_eq!(other, LockMessage::Other("mkdir: no".into()));
    }
}
