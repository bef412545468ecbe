//! Work on a repository where the fleet's own credentials can't delete. restic runs on the
//! operator's machine, with a key that no server ever sees.

use matou_i18n::tr;
use std::path::Path;

use super::context::BackupContext;
use super::repo::RepositoryStep;
use super::repositories::{choose_repositories, find_configured_repository};
use crate::OpsError;
use crate::repo_work::RepoWork;
use matou_backup::{BackupError, Restic};
use matou_config::{NodeConnection, ensure_runtime_dir};
use matou_host::{Host, HostOptions};
use matou_job::{Confirm, Job, Stage, StagePhase, Track};

/// The job on one repository with the key in `file`.
///
/// # Errors
/// One sentence: the repository is not named, the file can't be used, restic is not installed here.
pub(super) async fn build_operator_key_job(
    work: &BackupContext,
    title: String,
    what: &RepoWork,
    name: &str,
    file: &Path,
    accept: &[String],
) -> Result<Job, OpsError> {
    if name.is_empty() {
        return Err(tr!("--with is about one repository: name it with --repository NAME").into());
    }
    let fleets = choose_repositories(work, what, name)?.remove(0);
    check_key_stays_here(work, file)?;
    let cx = &work.fleet;
    let options = HostOptions {
        docker_socket: work.storage.config.docker_socket.clone(),
        runtime_dir: ensure_runtime_dir().map_err(OpsError::failed)?,
        recorder: Some(std::sync::Arc::new(cx.journal.clone())),
    };
    let host = Host::new("this machine", &NodeConnection::Local, options);
    let repository = find_configured_repository(work, name)?;
    let restic = Restic::on_this_machine(&host, repository, file).await;
    let restic = restic?;
    for secret in restic.secrets() {
        cx.journal.redactor().add_secret(secret.clone());
    }
    restic.check_version().await.map_err(|e| match e {
        BackupError::Missing { .. } => tr!("restic is not installed on this machine: install it here (`apt install restic`); the key that may delete is given to no server").into(),
        other => other.to_string(),
    })?;
    let repo = RepositoryStep::new(work, &restic, what.clone())
        .with_accepted(accept)
        .with_fleet_access(fleets);
    let confirm = match what {
        RepoWork::Unlock { all: true } => Confirm::TypeName(name.to_owned()),
        _ => Confirm::Ask,
    };
    let stage = Stage {
        title: title.clone(),
        phase: StagePhase::default(),
        tracks: vec![Track {
            node: host.name().to_owned(),
            host,
            docker: work.storage.docker.clone(),
            steps: vec![Box::new(repo)],
        }],
    };
    Ok(Job::new(title, confirm, vec![stage]))
}

/// Checks that the file with the key is sent to no server, and that nobody else can read it.
fn check_key_stays_here(work: &BackupContext, file: &Path) -> Result<(), OpsError> {
    use std::os::unix::fs::PermissionsExt;
    let shown = file.display();
    let found = std::fs::canonicalize(file).and_then(|path| Ok((path.metadata()?, path)));
    let (metadata, path) = found.map_err(|e| tr!("{shown} can't be read: {e}"))?;
    if metadata.permissions().mode() & 0o077 != 0 {
        return Err(OpsError::failed(tr!(
            "{shown} holds a key that may delete and others can read it: run `chmod 600 {shown}`"
        )));
    }
    let config = &work.fleet.config;
    let files = config.backup.repositories.iter();
    let mut files = files.flat_map(|r| [&r.password_file, &r.environment_file]);
    let same = files.any(|f| {
        f.as_ref()
            .is_some_and(|f| f.canonicalize().ok().as_ref() == Some(&path))
    });
    let goes_along = config.folder().is_some_and(|folder| {
        let folder = folder.canonicalize().unwrap_or(folder);
        ["apps", "stacks"]
            .iter()
            .any(|f| path.starts_with(folder.join(f)))
    });
    match same || goes_along {
        true => Err(OpsError::failed(tr!(
            "{shown} goes to the fleet's servers, and the key that may delete must not: put it into a file of its own that config.toml does not name"
        ))),
        false => Ok(()),
    }
}
