//! The Docker API of one node, over its host's connection: one client a node, typed views of
//! what matou uses. API: <https://docs.docker.com/reference/api/engine/>.

// Stricter than Cargo.toml is with tests, benches and examples.
#![cfg_attr(
    not(test),
    deny(
        clippy::disallowed_macros,
        clippy::disallowed_methods,
        clippy::expect_used,
        clippy::print_stderr,
        clippy::print_stdout,
        clippy::unwrap_used
    )
)]

matou_i18n::catalogue!();

mod client;
mod connection;
mod container_end;
mod convert;
mod disk;
mod error;
mod exec;
mod logs;
mod membership;
mod nodes;
mod objects;
mod outdated;
mod raw;
mod references;
mod retry;
mod room;
mod swarm;
mod swarm_files;

pub use client::{Docker, OLDEST_API};
pub use container_end::{ContainerEnd, FailedHealth};
pub use error::DockerError;
pub use exec::{ContainerCommand, ExecOutput, ExecState, StartedExec};
pub use logs::ContainerLine;
pub use nodes::{NodeHandle, Nodes};
pub use objects::RawServices;

pub use raw::RawSpec;
pub use references::{ObjectReferences, SwarmObject, SwarmObjectKind};
pub use room::{NetworkRoom, NodeRoom, SwarmRoom};
pub use swarm::ServiceSpec;
pub use swarm_files::SwarmFile;
