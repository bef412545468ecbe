//! Runs the console: feeds messages to `update`, draws when something changed, and carries out
//! the effects on tokio.

mod effects;
mod console;

pub use console::run;
