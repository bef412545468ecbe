//! The Docker API of one node, over its host's connection.

use crate::host::Host;

/// One node's engine.
#[derive(Clone)]
pub struct Docker {
    host: Host,
}

impl Docker {
    /// The engine of `host`; nothing is connected yet.
    pub fn new(host: Host) -> Self {
        Self { host }
    }

    /// The host the engine runs on.
    pub fn host(&self) -> &Host {
        &self.host
    }
}
