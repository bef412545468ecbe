//! The log view: a buffer of bounded memory, and what is seen of it.

mod buffer;
mod level;
mod view;

pub use buffer::LogBuffer;
pub use view::{LogStyle, LogView};
