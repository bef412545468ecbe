//! config.toml → validated fleet, errors with file, line and column.

mod backup;
mod dirs;
mod error;
mod load;
mod provision;
mod raw;
mod receivers;
mod runtime;
mod types;

pub use dirs::{state_dir, state_path};
pub use error::{ConfigError, Place, nearest};
pub use runtime::{leave_runtime_dir, runtime_dir};
pub use types::*;
