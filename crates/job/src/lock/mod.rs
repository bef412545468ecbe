//! Named locks on a host, so that two consoles don't change one application, or one server, at the
//! same time: who holds one, for what and since when is there for all of them to read.
//!
//! A process on the host holds them, and ends with the connection: a console that was killed leaves
//! no lock behind. A console that sleeps, or whose line is dead, sends no sign of life: after
//! [`SILENCE_LIMIT`] somebody else may take its lock, and it stops its job when it wakes.

mod name;

use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;

use nix::time::{ClockId, clock_gettime};
use tokio::sync::{mpsc, oneshot};
use tokio_util::sync::CancellationToken;

use matou_host::{Command, Host, OutputStream, shell_script};

pub use name::LockName;

/// Root's own, and gone with a reboot.
const FOLDER: &str = "/run/matou/locks";

/// Exit code of the script when somebody else holds one of the locks.
const BUSY: i32 = 75;

const SCRIPT: &str = shell_script(include_str!("../../scripts/hold_locks.sh"));

/// How often a sign of life is sent.
const BEAT_PERIOD: Duration = Duration::from_secs(10);

/// Without a sign of life for so long a lock is another's.
const SILENCE_LIMIT: Duration = Duration::from_secs(45);

/// A holder gives itself up earlier: what it does may take a moment to stop.
const GIVE_UP_LIMIT: Duration = Duration::from_secs(38);

/// How often a holder looks at the clock.
const LOOK_PERIOD: Duration = Duration::from_secs(1);

/// How long a lock is waited for when nobody says otherwise.
pub const DEFAULT_LOCK_WAIT: Duration = Duration::from_secs(8);

/// The locks that are wanted on one host.
#[derive(Clone)]
pub struct LockRequest {
    /// The host that they are held on.
    pub host: Host,
    /// Taken all or none, so that two jobs never wait for each other.
    pub names: Vec<LockName>,
}

impl LockRequest {
    /// The locks of some applications.
    pub fn for_apps(host: &Host, apps: impl IntoIterator<Item = impl Into<String>>) -> Self {
        let apps = apps.into_iter().map(Into::into);
        let mut names: Vec<LockName> = apps.map(LockName::App).collect();
        names.sort();
        names.dedup();
        Self {
            host: host.clone(),
            names,
        }
    }
}

/// Who holds a lock, as others see it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct LockHolder {
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
enum LockMessage {
    Busy(LockName, LockHolder),
    Taken(LockName, LockHolder),
    Held,
    Other(String),
}

impl LockMessage {
    fn parse(line: &[u8]) -> Self {
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

/// Why a lock is not held.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum LockError {
    /// Somebody else has it.
    #[error("{0}")]
    Busy(String),
    /// The host could not be asked, and why.
    #[error("{0}")]
    Failed(String),
}

/// Seconds that pass also while the machine sleeps.
fn boot_clock() -> Duration {
    clock_gettime(ClockId::CLOCK_BOOTTIME).map_or_else(
        |_| Duration::from_secs(u64::try_from(jiff::Timestamp::now().as_second()).unwrap_or(0)),
        Duration::from,
    )
}

/// Held locks of one host; dropping gives them back.
pub struct JobLock {
    /// For people.
    what: String,
    /// The job must not go on without it. A server's lock does not bind: changing sshd or a
    /// firewall may cost the connection, and the steps see to that.
    binds: bool,
    lost: CancellationToken,
    /// When the last sign of life was sent that was answered.
    heard: Arc<Mutex<Duration>>,
    release: CancellationToken,
    ended: Option<oneshot::Receiver<()>>,
}

impl JobLock {
    /// Takes the locks, and waits at most `wait` for others. `told` gets a sentence when there is
    /// something to wait for, or when the lock of a holder that fell silent was taken over.
    ///
    /// # Errors
    /// Who holds one, for what and since when; or why the host can't be asked.
    pub async fn take(
        hold: &LockRequest,
        title: &str,
        wait: Duration,
        told: &mpsc::Sender<String>,
    ) -> Result<Self, LockError> {
        let host = &hold.host;
        let mut names = hold.names.clone();
        names.sort();
        names.dedup();
        let (input, live) = mpsc::channel::<Vec<u8>>(4);
        let command = Command::sh(SCRIPT)
            .arg(FOLDER)
            .arg(random_lock_token())
            .arg(wait.as_secs().to_string())
            .arg(SILENCE_LIMIT.as_secs().to_string())
            .arg(lock_file_content(title))
            .args(names.iter().map(LockName::file_name))
            .live_stdin(live)
            .sudo()
            .label("hold the lock");
        let stop = CancellationToken::new();
        // Also when this is dropped while it waits.
        let stopping = stop.clone().drop_guard();
        let (lines, mut arriving) = mpsc::channel::<(OutputStream, Vec<u8>)>(8);
        let (done, ended) = oneshot::channel();
        let (exit, exited) = oneshot::channel();
        tokio::spawn({
            let (host, stop) = (host.clone(), stop.clone());
            async move {
                let result = host.stream_lines(&command, lines, &stop).await;
                let _ = exit.send(result);
                let _ = done.send(());
            }
        });
        // What came last is older than the lock: it may have been taken while this machine slept.
        let mut heard = boot_clock();
        let (mut busy, mut said) = (None, String::new());
        let mut waiting = Vec::new();
        loop {
            let Some((_, line)) = arriving.recv().await else {
                let why = match (exited.await, busy) {
                    (Ok(Ok(BUSY)), Some((name, holder))) => {
                        return Err(LockError::Busy(format_lock_refused(
                            &name,
                            &holder,
                            host.name(),
                        )));
                    }
                    (Ok(Err(e)), _) => e.to_string(),
                    _ if said.is_empty() => format!(
                        "no lock can be taken on {}: is util-linux installed there?",
                        host.name()
                    ),
                    _ => format!("no lock can be taken on {}: {said}", host.name()),
                };
                return Err(LockError::Failed(why));
            };
            let said_now = LockMessage::parse(&line);
            if said_now != LockMessage::Held {
                heard = boot_clock();
            }
            match said_now {
                LockMessage::Held => break,
                LockMessage::Busy(name, holder) => {
                    // Again when it is another one, or is not heard any more.
                    let mark = (
                        name.clone(),
                        holder.since.clone(),
                        holder.silent >= BEAT_PERIOD.as_secs() * 2,
                    );
                    if !waiting.contains(&mark) {
                        waiting.push(mark);
                        let _ = told
                            .send(format_lock_in_use(&name, &holder, host.name(), wait))
                            .await;
                    }
                    busy = Some((name, holder));
                }
                LockMessage::Taken(name, holder) => {
                    let _ = told
                        .send(format_lock_taken_over(&name, &holder, host.name()))
                        .await;
                }
                LockMessage::Other(text) => said = text,
            }
        }
        stopping.disarm();
        let what = match names.as_slice() {
            [one] => one.display_name(host.name()),
            some => format!("{} and others", some[0].display_name(host.name())),
        };
        let lock = Self {
            what,
            binds: names.iter().any(|n| *n != LockName::Host),
            lost: CancellationToken::new(),
            heard: Arc::new(Mutex::new(heard)),
            release: CancellationToken::new(),
            ended: Some(ended),
        };
        tokio::spawn(keep_lock_alive(
            input,
            arriving,
            stop,
            lock.lost.clone(),
            lock.heard.clone(),
            lock.release.clone(),
        ));
        Ok(lock)
    }

    /// Whether a job stops when it is lost.
    pub(super) fn is_binding(&self) -> bool {
        self.binds
    }

    /// Whether somebody else holds it by now, or may hold it.
    pub fn is_lost(&self) -> bool {
        let heard = *self.heard.lock().unwrap_or_else(PoisonError::into_inner);
        self.lost.is_cancelled() || boot_clock().saturating_sub(heard) > GIVE_UP_LIMIT
    }

    /// Cancelled when it is lost.
    pub fn lost_token(&self) -> &CancellationToken {
        &self.lost
    }

    /// A sentence for a job that is stopped because of it.
    pub fn loss_reason(&self) -> String {
        format!(
            "the lock of {} was lost: this machine slept, or its line to the server was dead, and somebody else may work there now; look at what is there, then run it again",
            self.what
        )
    }

    /// Gives the locks back and waits until they are.
    pub async fn release(mut self) {
        self.release.cancel();
        if let Some(ended) = self.ended.take() {
            let _ = ended.await;
        }
    }
}

impl Drop for JobLock {
    fn drop(&mut self) {
        self.release.cancel();
    }
}

/// Sends signs of life until the lock is given back or lost.
async fn keep_lock_alive(
    input: mpsc::Sender<Vec<u8>>,
    mut arriving: mpsc::Receiver<(OutputStream, Vec<u8>)>,
    stop: CancellationToken,
    lost: CancellationToken,
    heard: Arc<Mutex<Duration>>,
    release: CancellationToken,
) {
    let mut look = tokio::time::interval(LOOK_PERIOD);
    let mut sent = boot_clock().saturating_sub(BEAT_PERIOD);
    loop {
        tokio::select! {
            biased;
            line = arriving.recv() => match line {
                Some((_, line)) if line == b"held" => {
                    *heard.lock().unwrap_or_else(PoisonError::into_inner) = sent;
                }
                Some(_) => {}
                None => {
                    lost.cancel();
                    break;
                }
            },
            () = release.cancelled() => {
                let _ = input.send(b"q".to_vec()).await;
                // It says so and ends; a line that is dead is not waited for.
                let end = async { while arriving.recv().await.is_some() {} };
                let _ = tokio::time::timeout(Duration::from_secs(5), end).await;
                break;
            }
            _ = look.tick() => {
                let heard = *heard.lock().unwrap_or_else(PoisonError::into_inner);
                if boot_clock().saturating_sub(heard) > GIVE_UP_LIMIT {
                    lost.cancel();
                    break;
                }
                if boot_clock().saturating_sub(sent) >= BEAT_PERIOD && input.try_send(b"b".to_vec()).is_ok() {
                    sent = boot_clock();
                }
            }
        }
    }
    stop.cancel();
}

/// Makes a token that no other lock has.
fn random_lock_token() -> String {
    use rand::RngExt as _;
    let number: u64 = rand::rng().random();
    format!("{number:016x}")
}

fn lock_file_content(title: &str) -> String {
    let since = jiff::Timestamp::now().strftime("%F %T UTC");
    let title = matou_base::text::clean_bytes(title.as_bytes()).replace(['\t', '\n'], " ");
    let who = matou_base::operator::operator_name();
    format!("{who}\n{title}\n{since}")
}

fn format_lock_holder(holder: &LockHolder) -> String {
    format!("{} ({}, since {})", holder.who, holder.what, holder.since)
}

fn format_lock_in_use(name: &LockName, holder: &LockHolder, host: &str, wait: Duration) -> String {
    let silent = match holder.silent {
        s if s >= BEAT_PERIOD.as_secs() * 2 => format!(", silent for {s} s"),
        _ => String::new(),
    };
    let limit = match wait.as_secs() {
        s if s < 120 => format!("{s} s"),
        s if s < 7200 => format!("{} min", s / 60),
        _ => "until it is done".into(),
    };
    format!(
        "{} is in use by {}{silent}: waiting, at most {limit}",
        name.display_name(host),
        format_lock_holder(holder)
    )
    .replace("at most until", "until")
}

fn format_lock_refused(name: &LockName, holder: &LockHolder, host: &str) -> String {
    format!(
        "another matou works on {}: {}; nothing was done: wait until it is done, or run it with --wait",
        name.display_name(host),
        format_lock_holder(holder)
    )
}

fn format_lock_taken_over(name: &LockName, holder: &LockHolder, host: &str) -> String {
    format!(
        "the lock of {} (held by {}) has been silent for {} s: it is taken; that job did not end as it should",
        name.display_name(host),
        format_lock_holder(holder),
        holder.silent
    )
}

#[cfg(test)]
mod tests {
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
