//! The repositories of config.toml: all, the ones that a request is about, and whether two
//! credentials lead to the same one.

use super::context::{BackupContext, backup_step_error};
use crate::repo_work::RepoWork;
use crate::{FleetContext, OpsError};
use matou_backup::{BackupError, Restic};
use matou_base::text::InvalidInput;
use matou_config::unknown_name;
use matou_i18n::tr;
use matou_job::StepError;

/// Every repository, the first one first; none when none is configured.
///
/// # Errors
/// A password can't be had.
pub(crate) async fn open_all_repositories(
    fleet: &FleetContext,
) -> Result<Vec<Restic>, BackupError> {
    match BackupContext::open(fleet).await {
        Ok(work) => Ok(std::iter::once(work.primary).chain(work.copies).collect()),
        Err(BackupError::NotConfigured) => Ok(Vec::new()),
        Err(e) => Err(e),
    }
}

/// Returns the repositories that a request is about: the named one. Without a name: all, for `copy`
/// all copies, for `unlock` the primary one.
pub(super) fn choose_repositories(
    work: &BackupContext,
    what: &RepoWork,
    name: &str,
) -> Result<Vec<Restic>, OpsError> {
    let all = || std::iter::once(&work.primary).chain(&work.copies);
    if name.is_empty() {
        let chosen: Vec<Restic> = match what {
            RepoWork::Copy => work.copies.clone(),
            RepoWork::Unlock { .. } => vec![work.primary.clone()],
            _ => all().cloned().collect(),
        };
        return match chosen.is_empty() {
            true => Err(tr!("there is no copy: add [[backup.copies]] to config.toml").into()),
            false => Ok(chosen),
        };
    }
    let found = all().find(|r| r.name() == name).cloned();
    let found =
        found.ok_or_else(|| unknown_name(tr!("repository"), name, all().map(Restic::name)))?;
    if *what == RepoWork::Copy && found.name() == work.primary.name() {
        return Err(tr!("the first repository is what is copied from").into());
    }
    Ok(vec![found])
}

/// A repository of config.toml by its name.
///
/// # Errors
/// There is none.
pub(super) fn find_configured_repository<'a>(
    work: &'a BackupContext,
    name: &str,
) -> Result<&'a matou_config::RepositoryConfig, OpsError> {
    let found = work.fleet.config.backup.find_repository(name);
    let found = found.ok_or_else(|| InvalidInput::new(tr!("there is no repository {name:?}")));
    Ok(found?)
}

/// Checks by its id that both credentials lead to the same repository.
///
/// # Errors
/// One of them can't be read, or they are two repositories.
pub(super) async fn check_same_repository(fleets: &Restic, here: &Restic) -> Result<(), StepError> {
    let (there, mine) = tokio::join!(read_repository_id(fleets), read_repository_id(here));
    let failed = backup_step_error;
    match there.map_err(failed)? == mine.map_err(failed)? {
        true => Ok(()),
        false => Err(StepError::failed(tr!(
            "{} is another repository than {}: correct RESTIC_REPOSITORY in the file",
            here.shown_location(),
            fleets.shown_location()
        ))),
    }
}

async fn read_repository_id(restic: &Restic) -> Result<String, BackupError> {
    #[derive(serde::Deserialize)]
    struct RawRepositoryConfig {
        id: String,
    }
    let out = restic.run(&["cat", "config", "--no-lock"]).await?;
    let config: RawRepositoryConfig = serde_json::from_slice(&out.stdout).map_err(|e| {
        BackupError::Wrong(tr!(
            "the repository {} can't be understood: {e}",
            restic.shown_location()
        ))
    })?;
    Ok(config.id)
}
