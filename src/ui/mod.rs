//! The console: `update` and `view` are pure.

pub mod msg;
