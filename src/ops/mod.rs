//! The operations: turns a [`Request`] into a [`crate::job::Job`]; one file an operation.

mod request;

pub use request::Request;
