//! One lock a host, so that two operators don't change one server at the same time.
//!
//! It is held by a process on the host that ends with the connection: a console that was killed
//! leaves no lock behind.

use tokio::sync::{mpsc, oneshot};
use tokio_util::sync::CancellationToken;

use crate::host::{Command, Host, Stream};

const PATH: &str = "/run/lock/matou";

/// Exit code of the script when somebody else holds the lock.
const BUSY: i32 = 75;

/// Takes the lock and says so, then a sign of life from time to time: when nobody reads it any more
/// the loop ends, and with it the lock. It is waited for a little longer than that takes.
const SCRIPT: &str = "exec 9>>\"$1\" || exit 1\n\
    if ! flock -w 8 9; then cat \"$1\"; exit 75; fi\n\
    printf '%s\\n' \"$2\" >\"$1\"\n\
    while echo held; do sleep 5; done\n";

/// A held lock; dropping it gives it back.
pub struct HostLock {
    release: CancellationToken,
    ended: Option<oneshot::Receiver<()>>,
}

impl HostLock {
    /// Takes the lock of a host.
    ///
    /// # Errors
    /// Who holds it and since when, or why the host can't be asked.
    pub async fn take(host: &Host) -> Result<Self, String> {
        let who = nix::unistd::User::from_uid(nix::unistd::getuid());
        let who = who
            .ok()
            .flatten()
            .map_or_else(|| "somebody".into(), |u| u.name);
        let here = nix::unistd::gethostname().unwrap_or_default();
        let since = jiff::Timestamp::now().strftime("%F %T UTC");
        let holder = format!("{who}@{}, since {since}", here.to_string_lossy());
        let command = Command::sh(SCRIPT)
            .arg(PATH)
            .arg(holder)
            .sudo()
            .label("hold the lock");
        let release = CancellationToken::new();
        let (lines, mut arriving) = mpsc::channel::<(Stream, Vec<u8>)>(8);
        let (done, ended) = oneshot::channel();
        let (exit, exited) = oneshot::channel();
        tokio::spawn({
            let (host, release) = (host.clone(), release.clone());
            async move {
                let result = host.stream(&command, lines, &release).await;
                let _ = exit.send(result);
                let _ = done.send(());
            }
        });
        let Some((_, first)) = arriving.recv().await else {
            let name = host.name();
            return Err(match exited.await {
                Ok(Err(e)) => e.to_string(),
                _ => format!("the lock of {name} can't be taken: is util-linux installed there?"),
            });
        };
        if first == b"held" {
            // The signs of life are of no interest.
            tokio::spawn(async move { while arriving.recv().await.is_some() {} });
            return Ok(Self {
                release,
                ended: Some(ended),
            });
        }
        let said = crate::text::plain(&first);
        while arriving.recv().await.is_some() {}
        Err(match exited.await {
            Ok(Ok(BUSY)) => format!(
                "another matou works on {} ({said}): wait until it is done",
                host.name()
            ),
            _ => format!("the lock of {} can't be taken: {said}", host.name()),
        })
    }

    /// Gives the lock back and waits until it is.
    pub async fn release(mut self) {
        self.release.cancel();
        if let Some(ended) = self.ended.take() {
            let _ = ended.await;
        }
    }
}

impl Drop for HostLock {
    fn drop(&mut self) {
        self.release.cancel();
    }
}
