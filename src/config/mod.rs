//! config.toml → validated fleet.

mod types;

pub use types::*;
