//! What `cargo xtask` makes and counts; tests/docs.rs checks it.

mod circles;
pub mod counts;
pub mod reference;
