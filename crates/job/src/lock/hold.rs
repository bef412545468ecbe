//! The process on a host that holds locks, and the signs of life that are sent to it.

use std::collections::VecDeque;
use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;

use matou_i18n::tr;
use nix::time::{ClockId, clock_gettime};
use tokio::sync::{mpsc, oneshot};
use tokio_util::sync::CancellationToken;

use super::message::{
    LockHolder, LockMessage, format_lock_in_use, format_lock_refused, format_lock_taken_over,
};
use super::name::LockName;
use super::request::{BEAT_PERIOD, FOLDER, LOOK_PERIOD, LockError, LockRequest, SILENCE_LIMIT};
use matou_host::{Command, Host, HostError, OutputStream, shell_script};

/// Exit code of the script when somebody else holds one of the locks.
const BUSY: i32 = 75;

/// Exit code of the script when somebody else had a lock since it was lost.
const TAKEN: i32 = 76;

const SCRIPT: &str = shell_script(include_str!("../../scripts/hold_locks.sh"));

/// A holder gives itself up earlier: what it does may take a moment to stop.
pub(super) const GIVE_UP_LIMIT: Duration = Duration::from_secs(38);

/// Seconds that pass also while the machine sleeps.
pub(super) fn boot_clock() -> Duration {
    clock_gettime(ClockId::CLOCK_BOOTTIME).map_or_else(
        |_| Duration::from_secs(u64::try_from(jiff::Timestamp::now().as_second()).unwrap_or(0)),
        Duration::from,
    )
}

/// The process on the host that holds the locks, as it is seen from here.
pub(super) struct LockHold {
    /// Which one it is.
    pub(super) token: String,
    /// Cancelled when it ended by itself.
    pub(super) lost: CancellationToken,
    /// When the last sign of life was sent that was answered.
    pub(super) heard: Arc<Mutex<Duration>>,
    pub(super) release: CancellationToken,
    /// Told when the process is gone.
    pub(super) ended: Option<oneshot::Receiver<()>>,
}

impl LockHold {
    /// Whether somebody else holds them by now, or may hold them.
    pub(super) fn is_lost(&self) -> bool {
        let heard = *self.heard.lock().unwrap_or_else(PoisonError::into_inner);
        self.lost.is_cancelled() || boot_clock().saturating_sub(heard) > GIVE_UP_LIMIT
    }
}

impl Drop for LockHold {
    fn drop(&mut self) {
        self.release.cancel();
    }
}

/// Has a process take and hold the locks on their host. With `earlier`, the token of a hold that was lost, only
/// if nobody had them since.
pub(super) async fn open_hold(
    request: &LockRequest,
    title: &str,
    wait: Duration,
    told: &mpsc::Sender<String>,
    earlier: Option<&str>,
) -> Result<LockHold, LockError> {
    let host = &request.host;
    let token = random_lock_token();
    let (input, live) = mpsc::channel::<Vec<u8>>(4);
    let command = Command::sh(SCRIPT)
        .arg(FOLDER)
        .arg(&token)
        .arg(wait.as_secs().to_string())
        .arg(SILENCE_LIMIT.as_secs().to_string())
        .arg(lock_file_content(title))
        .arg(earlier.unwrap_or("-"))
        .args(request.names.iter().map(LockName::file_name))
        .live_stdin(live)
        .sudo()
        .label(tr!("hold the lock"));
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
    let heard = match wait_until_held(&mut arriving, host, wait, told).await {
        Ok(heard) => heard,
        Err(refused) => {
            let exit = exited.await.ok();
            return Err(refused.explain(exit, host));
        }
    };
    stopping.disarm();
    let hold = LockHold {
        token,
        lost: CancellationToken::new(),
        heard: Arc::new(Mutex::new(heard)),
        release: CancellationToken::new(),
        ended: Some(ended),
    };
    tokio::spawn(keep_lock_alive(
        input,
        arriving,
        stop,
        hold.lost.clone(),
        hold.heard.clone(),
        hold.release.clone(),
    ));
    Ok(hold)
}

/// What was said before the process on the host ended without holding anything.
#[derive(Default)]
struct NotHeld {
    busy: Option<(LockName, LockHolder)>,
    said: String,
}

impl NotHeld {
    fn explain(self, exit: Option<Result<i32, HostError>>, host: &Host) -> LockError {
        let why = match (exit, self.busy) {
            (Some(Ok(BUSY)), Some((name, holder))) => {
                return LockError::Busy(format_lock_refused(&name, &holder, host.name()));
            }
            // Told by who asked for them again.
            (Some(Ok(TAKEN)), _) => return LockError::Lost(String::new()),
            (Some(Err(e)), _) => e.to_string(),
            _ if self.said.is_empty() => tr!(
                "no lock can be taken on {}: is util-linux installed there?",
                host.name()
            ),
            _ => tr!(
                "no lock can be taken on {}: {said}",
                host.name(),
                said = self.said
            ),
        };
        LockError::Failed(why)
    }
}

/// Waits until the process on the host holds the locks; tells whom it waits for. Returns when it was heard last.
async fn wait_until_held(
    arriving: &mut mpsc::Receiver<(OutputStream, Vec<u8>)>,
    host: &Host,
    wait: Duration,
    told: &mpsc::Sender<String>,
) -> Result<Duration, NotHeld> {
    // What came last is older than the lock: it may have been taken while this machine slept.
    let mut heard = boot_clock();
    let mut end = NotHeld::default();
    let mut waiting = Vec::new();
    loop {
        let Some((_, line)) = arriving.recv().await else {
            return Err(end);
        };
        let said_now = LockMessage::parse(&line);
        if said_now != LockMessage::Held {
            heard = boot_clock();
        }
        match said_now {
            LockMessage::Held => return Ok(heard),
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
                end.busy = Some((name, holder));
            }
            LockMessage::Taken(name, holder) => {
                let _ = told
                    .send(format_lock_taken_over(&name, &holder, host.name()))
                    .await;
            }
            LockMessage::Other(text) => end.said = text,
        }
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
    // Those that were not answered yet: an answer is to the oldest.
    let mut unanswered = VecDeque::new();
    loop {
        tokio::select! {
            biased;
            line = arriving.recv() => match line {
                Some((_, line)) if line == b"held" => {
                    if let Some(answered) = unanswered.pop_front() {
                        *heard.lock().unwrap_or_else(PoisonError::into_inner) = answered;
                    }
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
                    unanswered.push_back(sent);
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

#[cfg(test)]
mod tests {
    use std::io::{BufRead, BufReader, Read, Write};
    use std::path::Path;
    use std::process::{Child, ChildStdout, Stdio};

    use super::*;

    struct Holder(Child, BufReader<ChildStdout>);

    impl Holder {
        fn new(folder: &Path, token: &str, earlier: &str, names: &[&str]) -> Self {
            let mut child = std::process::Command::new("sh")
                .args(["-c", SCRIPT, "sh"])
                .arg(folder)
                .args([token, "0", "45", "ana\njob\nnow", earlier])
                .args(names)
                .stdin(Stdio::piped())
                .stdout(Stdio::piped())
                .spawn()
                .unwrap();
            let out = BufReader::new(child.stdout.take().unwrap());
            Self(child, out)
        }

        /// The next line; empty at the end.
        fn line(&mut self) -> String {
            let mut line = String::new();
            self.1.read_line(&mut line).unwrap();
            line.trim_end().to_owned()
        }

        /// What it says until it ends, and its exit code.
        fn end(mut self) -> (String, Option<i32>) {
            drop(self.0.stdin.take());
            let mut said = String::new();
            self.1.read_to_string(&mut said).unwrap();
            (said, self.0.wait().unwrap().code())
        }

        fn give_back(mut self) {
            self.0.stdin.as_mut().unwrap().write_all(b"q").unwrap();
            assert_eq!(self.line(), "released");
            self.0.wait().unwrap();
        }
    }

    #[test]
    fn a_lost_lock_is_had_again_only_if_nobody_had_it_since() {
        let dir = tempfile::tempdir().unwrap();
        let links = || {
            let mut found: Vec<(String, String)> = std::fs::read_dir(dir.path())
                .unwrap()
                .flatten()
                .filter_map(|e| Some((e.file_name(), std::fs::read_link(e.path()).ok()?)))
                .map(|(name, to)| (name.display().to_string(), to.display().to_string()))
                .collect();
            found.sort();
            found
        };
        let of = |name: &str, token: &str| (name.to_owned(), format!("job-{token}"));
        let both = ["app-a", "app-b"];
        let hold = |token, earlier, names: &[&str]| Holder::new(dir.path(), token, earlier, names);
        let mut first = hold("1", "-", &both);
        assert_eq!(first.line(), "held");
        // Its line is dead, and the process has not noticed: it is taken from it, silently.
        let mut again = hold("2", "1", &both);
        assert_eq!(again.line(), "held");
        assert_eq!(links(), [of("app-a", "2"), of("app-b", "2")]);
        // The first says its next word, and has lost it; nothing of the second goes with it.
        first.0.stdin.as_mut().unwrap().write_all(b"b").unwrap();
        assert_eq!(first.end(), (String::new(), Some(76)));
        assert_eq!(links(), [of("app-a", "2"), of("app-b", "2")]);
        // The process is gone too.
        assert_eq!(again.end(), (String::new(), Some(77)));
        let mut third = hold("3", "2", &both);
        assert_eq!(third.line(), "held");
        third.end();
        // Another has one of them, or had it and gave it back.
        let mut other = hold("4", "-", &["app-b"]);
        assert!(other.line().starts_with("taken\tapp-b\t"));
        assert_eq!(other.line(), "held");
        assert_eq!(hold("5", "3", &both).end(), (String::new(), Some(76)));
        assert_eq!(links(), [of("app-a", "3"), of("app-b", "4")]);
        other.give_back();
        assert_eq!(hold("6", "3", &both).end(), (String::new(), Some(76)));
        assert_eq!(links(), [of("app-a", "3")]);
        // Of those nothing else is left either.
        assert!(!dir.path().join("job-5").exists() && !dir.path().join("job-6").exists());
    }
    #[test]
    fn a_clock_that_is_set_makes_no_holder_a_silent_one() {
        let dir = tempfile::tempdir().unwrap();
        let hold = |token| Holder::new(dir.path(), token, "-", &["app-a"]);
        let mut first = hold("1");
        assert_eq!(first.line(), "held");
        // What a clock that was put forward by an hour makes of it.
        let job = std::fs::File::options()
            .write(true)
            .open(dir.path().join("job-1"));
        let hour_ago = std::time::SystemTime::now() - Duration::from_secs(3600);
        job.unwrap().set_modified(hour_ago).unwrap();
        let (said, code) = hold("2").end();
        assert_eq!(code, Some(75), "{said}");
        assert!(said.starts_with("busy\tapp-a\t"), "{said}");
        assert!(!dir.path().join("alive-2").exists());
        // One that is really not heard any more.
        let alive = dir.path().join("alive-1");
        let heard: u64 = std::fs::read_to_string(&alive)
            .unwrap()
            .trim()
            .parse()
            .unwrap();
        // The machine may have been up for less.
        let silent = Duration::from_secs(46);
        if heard > silent.as_secs() {
            std::fs::write(&alive, format!("{}\n", heard - silent.as_secs())).unwrap();
            let mut third = hold("3");
            let taken = third.line();
            assert!(taken.starts_with("taken\tapp-a\t4"), "{taken}");
            assert_eq!(third.line(), "held");
            third.give_back();
        }
        drop(first);
    }
}
