//! Snapshots, the repository's state, proofs and restores, read on the storage node.

use matou_i18n::tr;
use std::collections::BTreeMap;
use std::sync::Arc;
use std::time::Duration;

use jiff::Timestamp;

use super::signals::{CollectorSignals, UpdateSender, log_reading};
use crate::CollectError;
use matou_backup as backup;
use matou_backup::{BackupError, Restic, SnapshotView};
use matou_base::text::SafeText;
use matou_config::Config;
use matou_docker::Nodes;
use matou_host::Command;
use matou_model::{
    BackupNight, BackupSchedule, Backups, Datum, Drill, NightOutcome, NightRehearsal, Proof,
    Repository, RepositoryLock, RestoreStanding, Snapshot, UnfinishedRestore,
};

/// How often the repository is asked. It costs a second of the storage node's time.
const POLL: Duration = Duration::from_secs(300);

/// The first look comes when the first frames are drawn and the nodes are connected.
const FIRST: Duration = Duration::from_secs(1);

/// Most locks that are read of a repository.
const LOCKS: usize = 8;

/// Seconds after which a lock that restic did not refresh counts as left behind. Source: restic,
/// internal/restic/lock.go.
const STALE: i64 = 30 * 60;

pub(super) async fn watch_snapshots(
    config: Arc<Config>,
    nodes: Nodes,
    reports: UpdateSender,
    wake: Arc<CollectorSignals>,
) {
    tokio::time::sleep(FIRST).await;
    loop {
        let (snapshots, backups) = tokio::join!(
            log_reading("snapshots", None, read_snapshots(&config, &nodes)),
            log_reading("backups", None, read_backups(&config, &nodes))
        );
        let (snapshots, backups) = (
            snapshots.map_err(SafeText::of),
            backups.map_err(SafeText::of),
        );
        if !reports.send(Datum::Snapshots(snapshots)).await
            || !reports.send(Datum::Backups(backups)).await
        {
            return;
        }
        let _ = tokio::time::timeout(POLL, wake.snapshots.notified()).await;
    }
}

/// Opens restic for the first repository, on the storage node.
///
/// # Errors
/// One sentence: nothing is configured, or its secrets can't be read.
pub async fn open_primary_repository(
    config: &Config,
    nodes: &Nodes,
) -> Result<Restic, BackupError> {
    let repository = config
        .backup
        .primary_repository()
        .ok_or(BackupError::NotConfigured)?;
    let node = nodes.get(&config.storage.node).ok_or_else(|| {
        BackupError::Wrong(tr!(
            "[storage] node = {:?} is not among the nodes of config.toml",
            config.storage.node
        ))
    })?;
    Restic::for_repository(&node.host, repository).await
}

/// Reads all snapshots of the first repository: one call of restic, one of the storage node.
///
/// # Errors
/// One sentence that says what to do.
pub async fn read_snapshots(config: &Config, nodes: &Nodes) -> Result<Vec<Snapshot>, CollectError> {
    let restic = open_primary_repository(config, nodes).await?;
    let (read, here) = tokio::join!(
        restic.list_snapshots(&[]),
        backup::identity::StorageIdentity::load(config, nodes)
    );
    let (read, here) = (read?, here?);
    let view = here.into_snapshot_view(config, nodes, &restic, &read).await;
    let view = view?;
    // Converting 10,000 snapshots takes long enough to hold up other tasks on this thread.
    let models = move || {
        read.into_iter()
            .map(|s| model_of_snapshot(&view, s))
            .collect()
    };
    tokio::task::spawn_blocking(models)
        .await
        .map_err(CollectError::failed)
}

/// Converts a snapshot of restic into one of the picture of the fleet.
fn model_of_snapshot(view: &SnapshotView, snapshot: backup::ResticSnapshot) -> Snapshot {
    let summary = snapshot.summary.as_ref();
    let other = view.owner(&snapshot);
    Snapshot {
        app: snapshot.app().map(str::to_owned),
        other_fleet: other
            .other_fleet()
            .map(|o| matou_base::text::clean_line(o).into_owned()),
        ahead: view.is_ahead(&snapshot),
        size: summary.map(|s| s.total_bytes_processed),
        files: summary.map(|s| s.total_files_processed),
        added: summary.map(|s| s.data_added_packed.unwrap_or(s.data_added)),
        id: snapshot.id,
        at: snapshot.time,
        host: snapshot.hostname,
        paths: snapshot.paths,
    }
}

/// Reads what belongs to backups beside snapshots: repositories, schedule, proofs, restores, drill.
///
/// # Errors
/// One sentence, when the storage node can't be asked.
pub async fn read_backups(config: &Config, nodes: &Nodes) -> Result<Backups, CollectError> {
    let Some(node) = nodes.get(&config.storage.node) else {
        return Err(CollectError::failed(tr!(
            "{} is not among the nodes",
            config.storage.node
        )));
    };
    let (proofs, restores) = read_proofs(config, &node.host).await?;
    let rehearsals = read_night_rehearsals(config, &node.host).await?;
    let mut repositories = Vec::new();
    for repository in &config.backup.repositories {
        let mut out = Repository {
            name: repository.name.clone(),
            location: matou_base::text::clean_line(&repository.shown_location()).into_owned(),
            ..Repository::default()
        };
        let state = async {
            let restic = Restic::for_repository(&node.host, repository).await?;
            out.restic = restic.check_version().await?.to_string();
            out.locks = read_repository_locks(&restic).await?;
            Ok::<_, BackupError>(())
        };
        if let Err(e) = state.await {
            out.problem = Some(e.to_string());
        }
        repositories.push(out);
    }
    let schedule = match nodes.find_manager().await {
        Ok(manager) => read_backup_schedule(&manager.host, &mut repositories).await,
        // Why no manager answers is shown with the swarm.
        Err(_) => None,
    };
    Ok(Backups {
        repositories,
        schedule,
        proofs,
        restores,
        drill: read_last_drill(&config.fleet.name),
        rehearsals,
    })
}

/// Reads the newest report of a drill on this machine. Reports that can't be read are passed over.
fn read_last_drill(fleet: &str) -> Option<Drill> {
    #[derive(serde::Deserialize)]
    struct StoredDrillApp {
        up: bool,
    }
    #[derive(serde::Deserialize)]
    struct StoredDrill {
        fleet: String,
        began: Timestamp,
        millis: u64,
        apps: BTreeMap<String, StoredDrillApp>,
        failure: Option<String>,
    }
    let folder = matou_config::state_path().ok()?.join("drills");
    let reports = std::fs::read_dir(folder).ok()?.flatten();
    let newest = reports
        .map(|e| e.path())
        .filter(|p| p.extension().is_some_and(|x| x == "json"))
        .filter_map(|p| serde_json::from_slice::<StoredDrill>(&std::fs::read(p).ok()?).ok())
        .filter(|r| r.fleet == fleet)
        .max_by_key(|r| r.began)?;
    Some(Drill {
        at: newest.began,
        took: Duration::from_millis(newest.millis),
        up: newest.apps.values().filter(|a| a.up).count(),
        all: newest.apps.len(),
        problem: newest.failure,
    })
}

/// Nightly reports that are read for a repository's growth and its last check.
const NIGHTS: usize = 90;

/// Reads the backup schedule, and adds growth and last check to `repositories`. Returns `None`
/// where nothing is scheduled and nothing ever ran.
async fn read_backup_schedule(
    manager: &matou_host::Host,
    repositories: &mut [Repository],
) -> Option<BackupSchedule> {
    let schedule = backup::NightlyBackup::load(manager).await.ok()?;
    let reports = backup::read_backup_reports(manager, NIGHTS)
        .await
        .unwrap_or_default();
    if let Some(main) = repositories.first_mut() {
        let sizes = reports.iter().rev();
        main.growth = sizes.filter_map(|r| Some((r.ended, r.size?))).collect();
    }
    let nights = reports.iter().rev().map(night_of_report).collect();
    for repository in repositories {
        // `3/12 of main`, or why the check failed.
        let end = format!(" of {}", repository.name);
        let checked = reports.iter().find_map(|r| {
            let part = r.checked.iter().find_map(|c| c.strip_suffix(&end))?;
            Some((r.ended, Ok(tr!("{part} of its data read").into())))
        });
        repository.check = checked;
    }
    if !schedule.active && schedule.last.is_none() {
        return None;
    }
    let last = schedule.last.as_ref();
    let failed = last.filter(|r| r.result == backup::BackupResult::Failed);
    Some(BackupSchedule {
        last: last.map(|r| r.ended),
        failed: failed.map(backup::BackupReport::summary_line),
        next: schedule.next,
        missed: schedule
            .missed
            .then(|| schedule.triggered.or(last.map(|r| r.started)))
            .flatten(),
        nights,
    })
}

fn night_of_report(report: &backup::BackupReport) -> BackupNight {
    BackupNight {
        at: report.started,
        outcome: match report.result {
            backup::BackupResult::Done => NightOutcome::Done,
            backup::BackupResult::Warning => NightOutcome::Warning,
            backup::BackupResult::Failed => NightOutcome::Failed,
        },
    }
}

/// Reads proofs, and what is true of restores.
async fn read_proofs(
    config: &Config,
    host: &matou_host::Host,
) -> Result<(BTreeMap<String, Proof>, Vec<UnfinishedRestore>), CollectError> {
    let (proofs, states) = read_proofs_and_states(config, host).await?;
    let unfinished = |states: &[backup::RestoreState]| {
        let apps = states.iter().filter(|s| s.is_interrupted());
        apps.map(|s| s.app.clone()).collect::<Vec<_>>()
    };
    let apps = unfinished(&states);
    if apps.is_empty() {
        let kept = states.into_iter().map(|s| (s, RestoreStanding::Kept));
        return Ok((proofs, kept.map(list_restore).collect()));
    }
    let busy = matou_job::list_busy_apps(host, &apps).await?;
    // Whoever worked on it may have come to the end before the locks were read.
    let (proofs, states) = read_proofs_and_states(config, host).await?;
    let restores = states.into_iter().map(|state| {
        let standing = match state.is_interrupted() {
            false => RestoreStanding::Kept,
            // One that was not there a moment ago has just begun.
            true if busy.contains(&state.app) || !apps.contains(&state.app) => {
                RestoreStanding::Running
            }
            true => RestoreStanding::Interrupted,
        };
        list_restore((state, standing))
    });
    Ok((proofs, restores.collect()))
}

fn list_restore((state, standing): (backup::RestoreState, RestoreStanding)) -> UnfinishedRestore {
    UnfinishedRestore {
        standing,
        app: state.app,
        at: state.begun,
        kept: None,
    }
}

/// Reads proofs and the states of restores, small JSON files beside the data.
async fn read_proofs_and_states(
    config: &Config,
    host: &matou_host::Host,
) -> Result<(BTreeMap<String, Proof>, Vec<backup::RestoreState>), CollectError> {
    let script = "for f in \"$1\"/proofs/*.json \"$1\"/restores/*.json; do \
        [ -f \"$f\" ] && head -c 65536 \"$f\" | tr -d '\\n' && echo; done; :";
    let list = Command::sh(script)
        .arg(backup::matou_folder(config).display().to_string())
        .sudo()
        .timeout(Duration::from_secs(30))
        .label(tr!("proofs and restores"));
    let text = host.run_ok(&list).await?.stdout_text();
    let (mut proofs, mut restores) = (BTreeMap::new(), Vec::new());
    for line in text.lines() {
        if let Ok(proof) = serde_json::from_str::<Proof>(line) {
            proofs.insert(proof.app.clone(), proof);
        } else if let Ok(state) = serde_json::from_str::<backup::RestoreState>(line) {
            restores.push(state);
        }
    }
    Ok((proofs, restores))
}

/// Reads what nights found out about patch releases, small JSON files beside the data.
///
/// # Errors
/// The storage node can't be asked.
pub async fn read_night_rehearsals(
    config: &Config,
    storage: &matou_host::Host,
) -> Result<Vec<NightRehearsal>, CollectError> {
    let script = "for f in \"$1\"/*.json; do \
        [ -f \"$f\" ] && head -c 131072 \"$f\" | tr -d '\\n' && echo; done; :";
    let folder = backup::matou_folder(config).join("rehearsals/nights");
    let list = Command::sh(script)
        .arg(folder.display().to_string())
        .sudo()
        .timeout(Duration::from_secs(30))
        .label(tr!("rehearsals"));
    let text = storage.run_ok(&list).await?.stdout_text();
    Ok(parse_night_rehearsals(&text))
}

fn parse_night_rehearsals(text: &str) -> Vec<NightRehearsal> {
    let read = text.lines().filter_map(|l| serde_json::from_str(l).ok());
    let mut all: Vec<NightRehearsal> = read.collect();
    all.sort_by(|a, b| a.app.cmp(&b.app));
    all
}

/// A lock, as `restic cat lock` prints it.
#[derive(serde::Deserialize)]
struct StoredLock {
    time: Timestamp,
    #[serde(default)]
    exclusive: bool,
    #[serde(default)]
    hostname: String,
    #[serde(default)]
    username: String,
}

async fn read_repository_locks(restic: &Restic) -> Result<Vec<RepositoryLock>, BackupError> {
    let list = restic.run(&["list", "locks", "--no-lock"]).await?;
    let ids = list.stdout_text();
    let mut locks = Vec::new();
    for id in ids.lines().take(LOCKS) {
        // A lock may be gone by now.
        let Ok(out) = restic.run(&["cat", "lock", id, "--no-lock"]).await else {
            continue;
        };
        let Ok(lock) = serde_json::from_slice::<StoredLock>(&out.stdout) else {
            continue;
        };
        let who = format!("{}@{}", lock.username, lock.hostname);
        locks.push(RepositoryLock {
            who: matou_base::text::clean_line(&who).into_owned(),
            since: lock.time,
            exclusive: lock.exclusive,
            stale: (Timestamp::now() - lock.time).as_secs() > STALE,
        });
    }
    Ok(locks)
}
