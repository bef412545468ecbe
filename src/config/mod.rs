//! config.toml → validated fleet, errors with file, line and column.

mod error;
mod load;
mod raw;
mod types;
mod units;

pub use error::{ConfigError, Place, nearest};
pub use types::*;
