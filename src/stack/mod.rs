//! Stack files: plain compose files for `docker stack deploy`, with an `x-matou` extension that
//! Docker ignores.

mod catalogue;
mod error;
mod interpolate;
mod render;

pub use catalogue::{Catalogue, CatalogueEntry, Variable};
pub use error::StackError;
pub use interpolate::{InterpolationError, escape, interpolate};
pub use render::{HASH_LABEL, Rendered, RenderedService};
