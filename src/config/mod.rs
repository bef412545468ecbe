//! config.toml → validated fleet, errors with file, line and column.

mod backup;
mod dirs;
mod error;
mod load;
mod provision;
mod raw;
mod receivers;
mod types;

pub use dirs::{runtime_dir, state_dir};
pub use error::{ConfigError, Place, nearest};
pub use types::*;
