//! What `cargo xtask` makes and counts; tests/docs.rs checks it.

pub mod counts;
pub mod reference;
