//! stacks/proven.toml: how each stack of the catalogue was proven.

use std::collections::BTreeMap;

use color_eyre::eyre::{Result, WrapErr};
use serde::Deserialize;

/// How a stack was proven.
#[derive(Debug, Clone, PartialEq, Eq, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Claim {
    /// The kind of it, that of the stack's main service.
    pub how: ClaimKind,
    /// The test that shows it, as a path from the repository's root.
    #[serde(default)]
    pub by: Option<String>,
    /// What ran, and what was seen of it, in a few words.
    #[serde(default)]
    pub what: String,
    /// Services in whose place a practice image ran, where the others are real.
    #[serde(default)]
    pub stand_ins: Vec<String>,
    /// Services that did not run at all.
    #[serde(default)]
    pub not_run: Vec<String>,
}

/// A kind of claim.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum ClaimKind {
    /// The real program ran in a test, in an image made of packages.
    Run,
    /// A practice image stood in for the program in a test.
    StandIn,
    /// Facts were read in the image's sources.
    Read,
    /// It was tried with the published image.
    Registry,
}

impl ClaimKind {
    /// All of them, the strongest first.
    pub const ALL: [Self; 4] = [Self::Registry, Self::Run, Self::StandIn, Self::Read];

    /// Returns the word that stands in stacks/proven.toml.
    pub fn as_str(self) -> &'static str {
        match self {
            Self::Run => "run",
            Self::StandIn => "stand-in",
            Self::Read => "read",
            Self::Registry => "registry",
        }
    }

    /// Returns what it means, in one sentence without a stop.
    pub fn meaning(self) -> &'static str {
        match self {
            Self::Run => {
                "the real program ran end to end in a test of this repository, in an image made of packages, not in the published one; what differs is said"
            }
            Self::StandIn => {
                "a practice image stood in for the program in a test: it shows what matou makes of the stack, and nothing of the program"
            }
            Self::Read => {
                "facts were read in the sources of the images (`stacks/images.toml`), and `matou lint` holds the stack against them; it never ran with the images"
            }
            Self::Registry => {
                "the stack was tried with the published images, by `matou catalogue try`"
            }
        }
    }

    /// Whether a test shows it.
    pub fn needs_test(self) -> bool {
        matches!(self, Self::Run | Self::StandIn)
    }
}

/// Reads the claims, by the names of the stacks.
///
/// # Errors
/// Place and reason, where stacks/proven.toml is not as it should be.
pub fn read_claims() -> Result<BTreeMap<String, Claim>> {
    toml::from_str(include_str!("../../stacks/proven.toml"))
        .wrap_err("stacks/proven.toml can't be read")
}
