//! Named locks on a host, so that two consoles don't change one application, or one server, at the
//! same time: who holds one, for what and since when is there for all of them to read.
//!
//! A process on the host holds them, and ends with the connection: a console that was killed leaves
//! no lock behind. A console that sleeps, or whose line is dead, sends no sign of life: after
//! 45 s somebody else may take its lock. When it wakes it goes on if nobody did; else its job ends
//! where it is, as one that was killed: what it would take back is another's by now.

mod busy;
mod hold;
mod message;
mod name;
mod request;

use matou_i18n::tr;
use std::pin::pin;
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Mutex, MutexGuard, PoisonError};
use std::task::Poll;
use std::time::Duration;

use tokio::sync::mpsc;

use crate::event::EventSink;
use hold::{GIVE_UP_LIMIT, LockHold, boot_clock, open_hold};
use request::LOOK_PERIOD;

pub use busy::list_busy_apps;
pub use name::LockName;
pub use request::{DEFAULT_LOCK_WAIT, LockError, LockRequest};

/// How long a host is asked again for a lock that was lost.
const REGAIN_LIMIT: Duration = Duration::from_secs(30);

/// Held locks of one host; dropping gives them back.
pub struct JobLock {
    request: LockRequest,
    title: String,
    /// For people.
    what: String,
    /// The job must not go on without it. A server's lock does not bind: changing sshd or a
    /// firewall may cost the connection, and the steps see to that.
    binds: bool,
    hold: Mutex<LockHold>,
    /// Held while it is asked for again.
    regaining: tokio::sync::Mutex<()>,
    /// Somebody else may have had it: it is not asked for any more.
    gone: AtomicBool,
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
        let mut request = hold.clone();
        request.names.sort();
        request.names.dedup();
        let name = request.host.name();
        let what = match request.names.as_slice() {
            [one] => one.display_name(name),
            some => tr!("{} and others", some[0].display_name(name)),
        };
        let hold = open_hold(&request, title, wait, told, None).await?;
        Ok(Self {
            binds: request.names.iter().any(|n| *n != LockName::Host),
            request,
            title: title.to_owned(),
            what,
            hold: Mutex::new(hold),
            regaining: tokio::sync::Mutex::new(()),
            gone: AtomicBool::new(false),
        })
    }

    fn hold(&self) -> MutexGuard<'_, LockHold> {
        self.hold.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// The host that it is held on.
    pub(super) fn host_name(&self) -> &str {
        self.request.host.name()
    }

    /// Whether a job stops when it is lost.
    pub(super) fn is_binding(&self) -> bool {
        self.binds
    }

    /// Whether somebody else holds it by now, or may hold it.
    pub fn is_lost(&self) -> bool {
        self.hold().is_lost()
    }

    /// Does work as long as the lock is held. A machine that wakes does not do the next piece of it before it has
    /// found that nobody took the lock meanwhile, who would have it undone.
    ///
    /// # Errors
    /// [`LockError::Lost`]; the work was dropped where it was, as if matou had been killed.
    pub async fn run_until_lost<T>(&self, work: impl Future<Output = T>) -> Result<T, LockError> {
        run_under_locks([self], None, work).await
    }

    /// Takes it again when it was lost and nobody had it since; waits at most [`REGAIN_LIMIT`] for the host.
    ///
    /// # Errors
    /// [`LockError::Lost`]: somebody had it, or the host does not answer.
    pub(super) async fn regain(&self) -> Result<(), LockError> {
        let _alone = self.regaining.lock().await;
        let token = {
            let hold = self.hold();
            if !hold.is_lost() {
                return Ok(());
            }
            hold.token.clone()
        };
        let begun = boot_clock();
        while !self.gone.load(Ordering::Acquire) {
            let (told, _) = mpsc::channel(1);
            let opening = open_hold(
                &self.request,
                &self.title,
                Duration::ZERO,
                &told,
                Some(&token),
            );
            match tokio::time::timeout(REGAIN_LIMIT, opening).await {
                Ok(Ok(hold)) => {
                    *self.hold() = hold;
                    return Ok(());
                }
                Ok(Err(LockError::Failed(why))) => {
                    tracing::info!(lock = ?self.what, why = ?why, "not taken again");
                }
                Ok(Err(LockError::Busy(_) | LockError::Lost(_))) | Err(_) => break,
            }
            if boot_clock().saturating_sub(begun) > REGAIN_LIMIT {
                break;
            }
            tokio::time::sleep(LOOK_PERIOD).await;
        }
        self.gone.store(true, Ordering::Release);
        Err(LockError::Lost(self.loss_reason()))
    }

    /// A sentence for a job that is stopped because of it.
    pub fn loss_reason(&self) -> String {
        tr!(
            "the lock of {} was lost: this machine slept, or its line to the server was dead, and somebody else may work there now; look at what is there, then run it again",
            self.what
        )
    }

    /// Gives the locks back and waits until they are.
    pub async fn release(&self) {
        let ended = {
            let mut hold = self.hold();
            hold.release.cancel();
            hold.ended.take()
        };
        if let Some(ended) = ended {
            let _ = ended.await;
        }
    }
}

/// Does work as long as some locks are held; asks for them again when they are lost, and tells `out` so.
pub(super) async fn run_under_locks<'a, T>(
    locks: impl IntoIterator<Item = &'a JobLock>,
    out: Option<&EventSink>,
    work: impl Future<Output = T>,
) -> Result<T, LockError> {
    let locks: Vec<&JobLock> = locks.into_iter().collect();
    let mut work = pin!(work);
    loop {
        let tokens: Vec<_> = locks.iter().map(|l| l.hold().lost.clone()).collect();
        let told = tokens.iter().map(|t| Box::pin(t.cancelled()));
        let mut told = told.collect::<Vec<_>>();
        let done = std::future::poll_fn(|cx| {
            for told in &mut told {
                // Its turn wakes this; the clock knows it even before.
                if told.as_mut().poll(cx).is_ready() {
                    return Poll::Ready(None);
                }
            }
            match locks.iter().any(|lock| lock.is_lost()) {
                true => Poll::Ready(None),
                false => work.as_mut().poll(cx).map(Some),
            }
        });
        match done.await {
            Some(done) => return Ok(done),
            None => regain_locks(&locks, out).await?,
        }
    }
}

/// Takes locks again that were lost and that nobody had since.
async fn regain_locks(locks: &[&JobLock], out: Option<&EventSink>) -> Result<(), LockError> {
    for lock in locks.iter().filter(|lock| lock.is_lost()) {
        if let Some(out) = out {
            out.note(tr!(
                "no sign of life went through for {} s: whether somebody else took the lock of {} is asked, for at most {} s",
                GIVE_UP_LIMIT.as_secs(),
                lock.what,
                REGAIN_LIMIT.as_secs()
            ))
            .await;
        }
        lock.regain().await?;
        if let Some(out) = out {
            out.note(tr!("nobody did: it goes on")).await;
        }
    }
    Ok(())
}

#[cfg(test)]
pub(crate) mod tests {
    use std::sync::Arc;

    use matou_config::NodeConnection;
    use matou_host::{Host, HostOptions};
    use tokio_util::sync::CancellationToken;

    use super::*;

    /// A host that nothing is run on.
    pub(crate) fn host() -> Host {
        let options = HostOptions {
            docker_socket: "/nonexistent".into(),
            runtime_dir: "/nonexistent".into(),
            recorder: None,
        };
        Host::new("n1", &NodeConnection::Local, options)
    }

    impl JobLock {
        /// As if the machine had slept for longer than the lock is kept.
        pub(crate) fn sleep_long(&self) {
            let awake = boot_clock().saturating_sub(GIVE_UP_LIMIT + LOOK_PERIOD);
            *self.hold().heard.lock().expect("a clock") = awake;
        }
    }

    /// A lock that can't be had again once it is lost.
    pub(crate) fn lock() -> JobLock {
        JobLock {
            request: LockRequest::for_apps(&host(), ["shop"]),
            title: "a job".into(),
            what: "shop".into(),
            binds: true,
            hold: Mutex::new(LockHold {
                token: "1".into(),
                lost: CancellationToken::new(),
                heard: Arc::new(Mutex::new(boot_clock())),
                release: CancellationToken::new(),
                ended: None,
            }),
            regaining: tokio::sync::Mutex::new(()),
            gone: AtomicBool::new(true),
        }
    }

    #[tokio::test]
    async fn who_wakes_when_another_has_the_lock_does_nothing_more() {
        let lock = lock();
        let lost = Err(LockError::Lost(lock.loss_reason()));
        assert_eq!(lock.run_until_lost(async { 1 }).await, Ok(1));
        let mut done = Vec::new();
        let work = async {
            done.push("before it slept");
            // The clock has gone on, and nobody has noticed yet.
            lock.sleep_long();
            tokio::task::yield_now().await;
            done.push("after it woke");
        };
        assert_eq!(lock.run_until_lost(work).await, lost.clone().map(|_| ()));
        assert_eq!(done, ["before it slept"]);
        // Told by the one who watches it, while the work waits.
        *lock.hold().heard.lock().expect("a clock") = boot_clock();
        let watch = lock.hold().lost.clone();
        let waiting = lock.run_until_lost(std::future::pending::<i32>());
        let (waited, ()) = tokio::join!(waiting, async { watch.cancel() });
        assert_eq!(waited, lost);
    }
}
