//! Forgetting where the fleet's own credentials can't delete: restic runs on the operator's machine,
//! with a key that no server ever sees.

use std::path::Path;

use super::repo::{Repo, RepoWork};
use super::work::Work;
use super::{chosen, located};
use crate::backup::{BackupError, Restic};
use crate::config::{Reach, runtime_dir};
use crate::host::{Host, HostOptions};
use crate::job::{Confirm, Job, Stage, StepError, Track};

/// The job on one repository with the key in `file`.
///
/// # Errors
/// One sentence: the repository is not named, the file can't be used, restic is not installed here.
pub(super) async fn job(
    work: &Work,
    title: String,
    what: &RepoWork,
    name: &str,
    file: &Path,
    accept: &[String],
) -> Result<Job, String> {
    if name.is_empty() {
        return Err("--with is about one repository: name it with --repository NAME".into());
    }
    let fleets = chosen(work, what, name)?.remove(0);
    is_kept_here(work, file)?;
    let cx = &work.cx;
    let options = HostOptions {
        docker_socket: work.storage.config.docker_socket.clone(),
        runtime_dir: runtime_dir().map_err(|e| e.to_string())?,
        recorder: Some(std::sync::Arc::new(cx.journal.clone())),
    };
    let host = Host::new("this machine", &Reach::Local, options);
    let repository = located(work, name)?;
    let restic = Restic::here(&host, repository, file).await;
    let restic = restic.map_err(|e| e.to_string())?;
    for secret in restic.secrets() {
        cx.journal.redactor().add(secret.clone());
    }
    restic.version().await.map_err(|e| match e {
        BackupError::Missing { .. } => "restic is not installed on this machine: install it here (`apt install restic`); the key that may delete is given to no server".into(),
        other => other.to_string(),
    })?;
    let repo = Repo::new(work, &restic, what.clone())
        .accepting(accept)
        .with_fleets(fleets);
    let confirm = match what {
        RepoWork::Unlock { all: true } => Confirm::TypeName(name.to_owned()),
        _ => Confirm::Ask,
    };
    let stage = Stage {
        title: title.clone(),
        tracks: vec![Track {
            node: host.name().to_owned(),
            host,
            docker: work.storage.docker.clone(),
            steps: vec![Box::new(repo)],
        }],
    };
    Ok(Job::new(title, confirm, vec![stage]))
}

/// A key that is not to be on the fleet lies in no file that goes there, and nobody else reads it.
fn is_kept_here(work: &Work, file: &Path) -> Result<(), String> {
    use std::os::unix::fs::PermissionsExt;
    let shown = file.display();
    let found = std::fs::canonicalize(file).and_then(|path| Ok((path.metadata()?, path)));
    let (metadata, path) = found.map_err(|e| format!("{shown} can't be read: {e}"))?;
    if metadata.permissions().mode() & 0o077 != 0 {
        return Err(format!(
            "{shown} holds a key that may delete and others can read it: run `chmod 600 {shown}`"
        ));
    }
    let config = &work.cx.config;
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
        true => Err(format!(
            "{shown} goes to the fleet's servers, and the key that may delete must not: put it into a file of its own that config.toml does not name"
        )),
        false => Ok(()),
    }
}

/// That both ways lead to the same repository: its id is in it.
///
/// # Errors
/// One of them can't be read, or they are two.
pub(super) async fn is_the_same(fleets: &Restic, here: &Restic) -> Result<(), StepError> {
    let (there, mine) = tokio::join!(id(fleets), id(here));
    let failed = super::work::failed;
    match there.map_err(failed)? == mine.map_err(failed)? {
        true => Ok(()),
        false => Err(StepError::failed(format!(
            "{} is another repository than {}: correct RESTIC_REPOSITORY in the file",
            here.shown(),
            fleets.shown()
        ))),
    }
}

async fn id(restic: &Restic) -> Result<String, BackupError> {
    #[derive(serde::Deserialize)]
    struct Config {
        id: String,
    }
    let out = restic.run(&["cat", "config", "--no-lock"]).await?;
    let config: Config = serde_json::from_slice(&out.stdout).map_err(|e| {
        BackupError::Wrong(format!(
            "the repository {} can't be understood: {e}",
            restic.shown()
        ))
    })?;
    Ok(config.id)
}
