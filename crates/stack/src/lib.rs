//! Stack files: plain compose files for `docker stack deploy`, with an `x-matou` extension that
//! Docker ignores.

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

mod amounts;
mod app;
mod app_name;
mod catalogue;
mod edge_labels;
mod edge_settings;
mod error;
mod extension;
mod files;
mod image_facts;
mod interpolate;
mod labels;
mod line_index;
mod lint;
mod migrate;
mod plain_compose;
mod render;
mod requirements;
mod safety;
mod stack_file;
mod subset;
mod traefik1;
mod traefik1_rule;
mod traefik_check;
mod traefik_keys;
mod traefik_labels;
mod traefik_regexp;
mod traefik_rules;
mod volumes;

pub use app::AppFile;
pub use app_name::{AppName, is_app_name};
pub use catalogue::{Catalogue, CatalogueEntry};
pub use edge_settings::EdgeSettings;
pub use error::StackError;
pub use extension::{
    Alphabet, BackupSpec, Category, Dump, DumpEngine, Extension, HttpCheck, KnownTrouble,
    LoginRequest, SecretSpec, UpdateSpec, Variable, VariableKind,
};
pub use files::{FileSecret, NeededConfig};
pub use image_facts::{CodePlace, ImageFacts, KnownImages};
pub use interpolate::{InterpolationError, escape_dollars, interpolate};
pub use lint::{LintFinding, LintSeverity};
pub use migrate::migrate_file;
pub use plain_compose::{PlainComposeFile, render_plain_compose};
pub use render::{
    AppLogin, GUARD_SECRET, GUARD_USER, HASH_LABEL, NeededSecret, RenderTarget, RenderedService,
    RenderedStack,
};
pub use requirements::{ServiceRequirements, place_constraint};
pub use traefik1::{Labels, MigratedLabels, is_traefik1_label, migrate_labels};
pub use volumes::{StackVolumes, VolumeDefinition};
