//! How the files of an application came to be what they are.

use crate::backup::{collect_fleet_files, select_app_files};
use crate::{FleetContext, OpsError};
use matou_config::unknown_name;
use matou_history::{FleetFolder, Revision};
use matou_i18n::tr;
use matou_stack::{AppFile, AppName};

/// Returns the fleet folder, without which there is no history.
pub(crate) fn find_fleet_folder(fleet: &FleetContext) -> Result<FleetFolder, OpsError> {
    let folder = fleet.folder();
    folder.ok_or_else(|| tr!("without config.toml there is no fleet folder").into())
}

/// How an application's files, or all of the fleet folder, came to be what they are.
#[derive(Debug, serde::Serialize)]
pub struct AppHistory {
    /// Files that have edits which are in no commit.
    pub edited: Vec<String>,
    /// The newest first.
    pub revisions: Vec<Revision>,
}

/// Reads the history of an application's files, as they are now, or of the whole folder: at most so many
/// revisions. What was cut off before its commit is committed first.
///
/// # Errors
/// No history is kept, there is none of such an application, or git's.
pub async fn load_history(
    app: Option<&AppName>,
    most: usize,
    fleet: &FleetContext,
) -> Result<AppHistory, OpsError> {
    let folder = find_fleet_folder(fleet)?;
    folder.finish_interrupted().await?;
    let names = match app {
        Some(app) => list_app_names(app, fleet),
        None => vec!["config.toml".into(), "apps".into(), "stacks".into()],
    };
    let names: Vec<&str> = names.iter().map(String::as_str).collect();
    let history = AppHistory {
        edited: folder.list_edited(&names).await?,
        revisions: folder.list_revisions(&names, most).await?,
    };
    match app {
        Some(app) if history.edited.is_empty() && history.revisions.is_empty() => {
            let known = AppFile::list_names(folder.path());
            // It has a file of before, which no job of matou's changed since.
            if known.contains(app) {
                return Ok(history);
            }
            let known = known.iter().map(AppName::as_str);
            Err(unknown_name(tr!("application with a history"), app, known).into())
        }
        _ => Ok(history),
    }
}

/// Lists the names of an application's files: its own, which may be gone, and its stack's.
fn list_app_names(app: &AppName, fleet: &FleetContext) -> Vec<String> {
    // Where a file is wrong, its history is what is looked for.
    let all = collect_fleet_files(&fleet.config).unwrap_or_default();
    let files = select_app_files(&all, app);
    let mut names: Vec<String> = files.into_iter().map(|(name, _)| name).collect();
    if names.is_empty() {
        names.push(AppFile::name(app));
    }
    names
}
