//! What every layer stands on: text from outside made safe, units, files and what the command line prints.

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

pub mod files;
pub mod operator;
pub mod out;
#[doc(hidden)]
pub mod payloads;
pub mod text;
pub mod units;
