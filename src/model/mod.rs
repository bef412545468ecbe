//! Plain data of the fleet. No I/O, no tokio: everything here can be made by a test.

mod fleet;
mod log;
mod source;
mod update;

pub use fleet::*;
pub use log::LogLine;
pub use source::Source;
pub use update::{Datum, Update};
