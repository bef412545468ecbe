//! An application as its file says it.

use crate::{FleetContext, OpsError};
use matou_i18n::tr;
use matou_stack::{AppFile, Extension, RenderTarget, RenderedStack};

/// An application as its file says it, for whoever only reads.
pub(crate) struct FiledApp {
    pub extension: Extension,
    pub rendered: RenderedStack,
}

impl FiledApp {
    /// Reads an application's file and renders its stack.
    ///
    /// # Errors
    /// One sentence: there is no file, or the file or the stack is wrong.
    pub(crate) fn load(fleet: &FleetContext, app: &str) -> Result<Self, OpsError> {
        let no_file = || OpsError::failed(tr!("{app} has no file in apps/"));
        let folder = fleet.config.folder().ok_or_else(no_file)?;
        let file = AppFile::load(&folder, app)?.ok_or_else(no_file)?;
        let target = RenderTarget::for_app(&fleet.config, &file);
        let catalogue = &fleet.catalogue;
        Ok(Self {
            extension: catalogue.find_extension(&file.stack)?,
            rendered: catalogue.render_stack(&file.stack, app, &file.variables, &target)?,
        })
    }
}
