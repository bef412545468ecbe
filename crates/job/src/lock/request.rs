//! Which locks are asked for, and the times that hold for all of them.

use std::time::Duration;

use super::name::LockName;
use matou_host::Host;

/// Root's own, and gone with a reboot.
pub(super) const FOLDER: &str = "/run/matou/locks";

/// How often a sign of life is sent.
pub(super) const BEAT_PERIOD: Duration = Duration::from_secs(10);

/// Without a sign of life for so long a lock is another's.
pub(super) const SILENCE_LIMIT: Duration = Duration::from_secs(45);

/// How often a holder looks at the clock.
pub(super) const LOOK_PERIOD: Duration = Duration::from_secs(1);

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

/// Why a lock is not held.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum LockError {
    /// Somebody else has it.
    #[error("{0}")]
    Busy(String),
    /// The host could not be asked, and why.
    #[error("{0}")]
    Failed(String),
    /// Somebody else may have it by now.
    #[error("{0}")]
    Lost(String),
}
