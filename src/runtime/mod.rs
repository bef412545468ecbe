//! Runs the console: feeds messages to `update`, draws when something changed, and carries out
//! the effects on tokio.

mod console;
mod effects;

pub use console::run_console;
