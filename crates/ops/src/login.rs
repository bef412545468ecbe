//! How the operator logs in to applications.

use std::collections::BTreeMap;

use crate::{FleetContext, OpsError};
use matou_stack::{AppFile, AppLogin, RenderTarget};

/// Returns how the operator logs in to an application, as its file and its stack say; `None` where the
/// stack says nothing of it, or the application has no file.
///
/// # Errors
/// What is wrong with the application's file or its stack.
pub fn find_app_login(fleet: &FleetContext, app: &str) -> Result<Option<AppLogin>, OpsError> {
    let Some(folder) = fleet.config.folder() else {
        return Ok(None);
    };
    let Some(file) = AppFile::load(&folder, app)? else {
        return Ok(None);
    };
    let target = RenderTarget::for_app(&fleet.config, &file);
    let catalogue = &fleet.catalogue;
    let rendered = catalogue.render_stack(&file.stack, app, &file.variables, &target)?;
    Ok(rendered.login)
}

/// Returns the log-ins of all applications that have files, by name. One whose file or stack is wrong is
/// left out: what works on it says why.
pub fn list_app_logins(fleet: &FleetContext) -> BTreeMap<String, AppLogin> {
    let folder = fleet.config.folder();
    let names = folder.map(|f| AppFile::list_names(&f)).unwrap_or_default();
    let found = names.into_iter().filter_map(|app| {
        let login = find_app_login(fleet, &app).ok()??;
        Some((app.to_string(), login))
    });
    found.collect()
}
