//! Runs the console: feeds messages to `update`, draws when something changed, and carries out
//! the effects on tokio.

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

mod console;
mod domains;
mod effects;
mod keys;
mod own_command;

pub use console::{ConsoleMode, run_console};
