//! Stack files: plain compose files for `docker stack deploy`, with an `x-matou` extension that
//! Docker ignores.

mod app;
mod catalogue;
mod compose;
mod error;
mod extension;
mod files;
mod interpolate;
mod labels;
mod lint;
mod migrate;
mod name;
mod needs;
mod only;
mod places;
mod reach;
mod render;
mod rule1;
mod switches;
mod traefik1;
mod volumes;

pub use app::AppFile;
pub use catalogue::{Catalogue, CatalogueEntry};
pub use compose::{PlainComposeFile, render_plain_compose};
pub use error::StackError;
pub use extension::{
    Alphabet, BackupSpec, Dump, DumpEngine, Extension, HttpCheck, SecretSpec, Variable,
    VariableKind,
};
pub use files::{FileSecret, NeededConfig};
pub use interpolate::{InterpolationError, escape_dollars, interpolate};
pub use lint::{LintFinding, LintSeverity};
pub use migrate::migrate_file;
pub use name::{check_app_name, is_app_name};
pub use needs::{ServiceRequirements, place_constraint};
pub use render::{HASH_LABEL, NeededSecret, RenderTarget, RenderedService, RenderedStack};
pub use switches::EdgeSettings;
pub use traefik1::{Labels, MigratedLabels, is_traefik1_label, migrate_labels};
pub use volumes::{StackVolumes, VolumeDefinition};
