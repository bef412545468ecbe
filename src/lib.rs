//! matou: the operator console for independent web hosts.
//!
//! Modules depend only downwards in this list; `docs/architecture.md` says what lives where.

#![forbid(unsafe_code)]
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

pub mod backup;
pub mod cli;
pub mod collect;
pub mod config;
pub mod docker;
pub mod edge;
pub mod files;
#[doc(hidden)]
pub mod fuzzed;
pub mod host;
pub mod job;
pub mod lab;
pub mod model;
pub mod monitor;
pub mod ops;
pub mod out;
pub mod own_log;
pub mod provision;
pub mod recover;
pub mod registry;
pub mod runtime;
pub mod stack;
pub mod text;
pub mod ui;
pub mod units;
