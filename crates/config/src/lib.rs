//! config.toml → validated fleet, errors with file, line and column.

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

mod backup;
mod commands;
mod digest;
mod dirs;
mod dns;
mod error;
mod load;
mod mail;
mod provision;
mod quiet;
mod raw;
mod receivers;
mod runtime;
mod types;

pub use commands::{
    ArgumentPart, CommandConfig, CommandPlace, CommandRun, Placeholder, split_argument,
};
pub use digest::{DigestInterval, DigestSchedule};
pub use dirs::{cache_path, ensure_state_dir, state_path};
pub use error::{ConfigError, FilePosition, find_nearest_name, unknown_name};
pub use load::user_config_path;
pub use quiet::QuietHours;
pub use runtime::{ensure_runtime_dir, remove_runtime_dir};
pub use types::*;
