//! matou: the operator console for independent web hosts.
//!
//! Here is its command line. The layers below it are the crates of `crates/`, named again for tests, benches
//! and fuzz targets; `docs/architecture.md` says what lives where.

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

pub mod cli;
#[doc(hidden)]
pub mod fuzzed;
pub mod own_log;
pub mod version;

pub use matou_backup as backup;
pub use matou_base::{errln, files, out, outln, text, units};
pub use matou_collect as collect;
pub use matou_config as config;
pub use matou_dns as dns;
pub use matou_docker as docker;
pub use matou_edge as edge;
pub use matou_host as host;
pub use matou_job as job;
pub use matou_lab as lab;
pub use matou_model as model;
pub use matou_monitor as monitor;
pub use matou_ops as ops;
pub use matou_provision as provision;
pub use matou_recover as recover;
pub use matou_registry as registry;
pub use matou_runtime as runtime;
pub use matou_stack as stack;
pub use matou_ui as ui;
