//! What `cargo xtask` makes and counts; tests/docs.rs checks it.

pub mod catalogue;
mod circles;
pub mod claims;
pub mod counts;
pub mod man;
pub mod reference;
pub mod translate;
