//! Registries of images: which tags an image has, which of them are newer versions of the same kind,
//! and for which platforms an image is built and how it is started.
//!
//! Protocol: <https://distribution.github.io/distribution/spec/api/> (listing tags, pagination) and
//! <https://distribution.github.io/distribution/spec/auth/token/> (tokens).

// Stricter than Cargo.toml is with tests, benches and examples.
#![cfg_attr(
    not(test),
    deny(
        clippy::disallowed_macros,
        clippy::disallowed_methods,
        clippy::expect_used,
        clippy::print_stderr,
        clippy::print_stdout,
        clippy::unwrap_used
    )
)]

matou_i18n::catalogue!();

mod client;
mod description;
mod login;
mod reference;
mod version;

use matou_i18n::tr;
use std::time::Duration;

pub use client::list_image_tags;
pub use description::{ImageConfig, ImageDescription, describe_image};
pub use reference::{ImageReference, ImageReferenceError};
pub use version::{
    NewerVersion, VersionStep, VersionTag, list_majors_between, list_newer_versions,
};

/// How long one answer of a registry may take.
const PATIENCE: Duration = Duration::from_secs(15);

/// Why a registry can't be asked.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[expect(missing_docs, reason = "its sentences say it")]
pub enum RegistryError {
    #[error(transparent)]
    Reference(#[from] ImageReferenceError),
    /// No connection, or no answer in time.
    #[error("{}", tr!("the registry {host} can't be reached: {reason}"))]
    Unreachable { host: String, reason: String },
    #[error(
        "{}", tr!("the registry {host} has no repository {repository}, or shows it only to those who are logged in: `docker login {host}` on this machine"
    ))]
    Refused { host: String, repository: String },
    #[error("{}", tr!("the registry {host} wants fewer questions: try again later"))]
    TooMany { host: String },
    #[error("{}", tr!("the registry {host} gave an answer that matou does not understand: {reason}"))]
    Answer { host: String, reason: String },
}
