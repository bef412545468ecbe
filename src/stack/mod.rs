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
pub use compose::{Plain, plain};
pub use error::StackError;
pub use extension::{
    Alphabet, BackupSpec, Dump, DumpEngine, Extension, HttpCheck, SecretSpec, Variable,
    VariableKind,
};
pub use files::{FileSecret, NeededConfig};
pub use interpolate::{InterpolationError, escape, interpolate};
pub use lint::{Finding, Severity};
pub use migrate::migrate_file;
pub use name::{check_app_name, is_app_name};
pub use needs::{Needs, place_constraint};
pub use render::{HASH_LABEL, NeededSecret, Rendered, RenderedService, Target};
pub use switches::Switches;
pub use traefik1::{Labels, Migrated, is_old, migrate};
pub use volumes::{Definition, Volumes};
