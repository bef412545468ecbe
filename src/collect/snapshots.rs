//! Snapshots, the repository's state, proofs and restores, read on the storage node.

use std::collections::BTreeMap;
use std::sync::Arc;
use std::time::Duration;

use jiff::Timestamp;

use super::{Reports, Wake};
use crate::backup::{self, BackupError, Restic, View};
use crate::config::Config;
use crate::docker::Nodes;
use crate::host::Command;
use crate::model::{
    Backups, Datum, Drill, Proof, Repository, RepositoryLock, Schedule, Snapshot, Unfinished,
};

/// How often the repository is asked. It costs a second of the storage node's time.
const POLL: Duration = Duration::from_secs(300);

/// The first look comes when the first frames are drawn and the nodes are connected.
const FIRST: Duration = Duration::from_secs(1);

/// Locks that are looked at.
const LOCKS: usize = 8;

/// A lock that restic did not refresh for so long is left behind by something that died. Source:
/// restic, internal/restic/lock.go.
const STALE: i64 = 30 * 60;

pub(super) async fn watch(config: Arc<Config>, nodes: Nodes, reports: Reports, wake: Arc<Wake>) {
    tokio::time::sleep(FIRST).await;
    loop {
        let (snapshots, backups) = tokio::join!(read(&config, &nodes), read_state(&config, &nodes));
        if !reports.send(Datum::Snapshots(snapshots)).await
            || !reports.send(Datum::Backups(backups)).await
        {
            return;
        }
        let _ = tokio::time::timeout(POLL, wake.snapshots.notified()).await;
    }
}

/// restic for the first repository, on the storage node.
///
/// # Errors
/// One sentence: nothing is configured, or its secrets can't be read.
pub async fn primary(config: &Config, nodes: &Nodes) -> Result<Restic, BackupError> {
    let repository = config.backup.primary().ok_or(BackupError::NotConfigured)?;
    let node = nodes.get(&config.storage.node).ok_or_else(|| {
        BackupError::Wrong(format!(
            "[storage] node = {:?} is not among the nodes of config.toml",
            config.storage.node
        ))
    })?;
    Restic::of(&node.host, repository).await
}

/// All snapshots of the first repository: one call of restic, and one of the storage node.
///
/// # Errors
/// One sentence that says what to do.
pub async fn read(config: &Config, nodes: &Nodes) -> Result<Vec<Snapshot>, String> {
    let restic = primary(config, nodes).await.map_err(|e| e.to_string())?;
    let (read, here) = tokio::join!(
        restic.snapshots(&[]),
        backup::identity::Here::read(config, nodes)
    );
    let told = |e: BackupError| e.to_string();
    let (read, here) = (read.map_err(told)?, here.map_err(told)?);
    let view = here.view(config, nodes, &restic, &read).await;
    let view = view.map_err(told)?;
    // 10,000 of them are a moment's work, but not one of a thread that others wait for.
    let models = move || read.into_iter().map(|s| model(&view, s)).collect();
    tokio::task::spawn_blocking(models)
        .await
        .map_err(|e| e.to_string())
}

/// As the picture of the fleet has it.
fn model(view: &View, snapshot: backup::Snapshot) -> Snapshot {
    let summary = snapshot.summary.as_ref();
    let other = view.owner(&snapshot);
    Snapshot {
        app: snapshot.app().map(str::to_owned),
        other_fleet: other.other().map(|o| crate::text::clean(o).into_owned()),
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

/// What is known beside the snapshots.
///
/// # Errors
/// One sentence, when the storage node can't be asked.
pub async fn read_state(config: &Config, nodes: &Nodes) -> Result<Backups, String> {
    let Some(node) = nodes.get(&config.storage.node) else {
        return Err(format!("{} is not among the nodes", config.storage.node));
    };
    let (proofs, restores) = files(config, &node.host).await?;
    let mut repositories = Vec::new();
    for repository in &config.backup.repositories {
        let mut out = Repository {
            name: repository.name.clone(),
            location: crate::text::clean(&repository.shown()).into_owned(),
            ..Repository::default()
        };
        let state = async {
            let restic = Restic::of(&node.host, repository).await?;
            out.restic = restic.version().await?.to_string();
            out.locks = locks(&restic).await?;
            Ok::<_, BackupError>(())
        };
        if let Err(e) = state.await {
            out.problem = Some(e.to_string());
        }
        repositories.push(out);
    }
    let schedule = match nodes.manager().await {
        Ok(manager) => night(&manager.host, &mut repositories).await,
        // The swarm's own error is shown where it belongs.
        Err(_) => None,
    };
    Ok(Backups {
        repositories,
        schedule,
        proofs,
        restores,
        drill: last_drill(&config.fleet.name),
    })
}

/// The newest report of a drill that was made on this machine. One that can't be read is none.
fn last_drill(fleet: &str) -> Option<Drill> {
    #[derive(serde::Deserialize)]
    struct App {
        up: bool,
    }
    #[derive(serde::Deserialize)]
    struct Report {
        fleet: String,
        began: Timestamp,
        millis: u64,
        apps: BTreeMap<String, App>,
        failure: Option<String>,
    }
    let folder = crate::config::state_path().ok()?.join("drills");
    let reports = std::fs::read_dir(folder).ok()?.flatten();
    let newest = reports
        .map(|e| e.path())
        .filter(|p| p.extension().is_some_and(|x| x == "json"))
        .filter_map(|p| serde_json::from_slice::<Report>(&std::fs::read(p).ok()?).ok())
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

/// Reports that the plot of a repository's growth and the last check are taken from.
const NIGHTS: usize = 90;

/// The schedule; and what the reports tell of the repositories.
async fn night(manager: &crate::host::Host, repositories: &mut [Repository]) -> Option<Schedule> {
    let schedule = backup::Schedule::read(manager).await.ok()?;
    let reports = backup::reports(manager, NIGHTS).await.unwrap_or_default();
    if let Some(main) = repositories.first_mut() {
        let sizes = reports.iter().rev();
        main.growth = sizes.filter_map(|r| Some((r.ended, r.size?))).collect();
    }
    for repository in repositories {
        // `3/12 of main`, or why the check failed.
        let end = format!(" of {}", repository.name);
        let checked = reports.iter().find_map(|r| {
            let parts = r.checked.iter();
            let part = parts.filter_map(|c| c.strip_suffix(&end)).next()?;
            Some((r.ended, Ok(format!("{part} of its data read"))))
        });
        repository.check = checked;
    }
    if !schedule.active && schedule.last.is_none() {
        return None;
    }
    let last = schedule.last.as_ref();
    let failed = last.filter(|r| r.result == backup::Ending::Failed);
    Some(Schedule {
        last: last.map(|r| r.ended),
        failed: failed.map(backup::Report::line),
        next: schedule.next,
        missed: schedule
            .missed
            .then(|| schedule.triggered.or(last.map(|r| r.started)))
            .flatten(),
    })
}

/// Proofs and states of restores: small files beside the data, each printed on one line.
async fn files(
    config: &Config,
    host: &crate::host::Host,
) -> Result<(BTreeMap<String, Proof>, Vec<Unfinished>), String> {
    let script = "for f in \"$1\"/proofs/*.json \"$1\"/restores/*.json; do \
        [ -f \"$f\" ] && head -c 65536 \"$f\" | tr -d '\\n' && echo; done; :";
    let list = Command::sh(script)
        .arg(backup::data(config).display().to_string())
        .sudo()
        .timeout(Duration::from_secs(30))
        .label("proofs and restores");
    let text = host.run_ok(&list).await.map_err(|e| e.to_string())?.text();
    let (mut proofs, mut restores) = (BTreeMap::new(), Vec::new());
    for line in text.lines() {
        if let Ok(proof) = serde_json::from_str::<Proof>(line) {
            proofs.insert(proof.app.clone(), proof);
        } else if let Ok(state) = serde_json::from_str::<backup::RestoreState>(line) {
            restores.push(Unfinished {
                interrupted: state.is_interrupted(),
                app: state.app,
                at: state.begun,
                kept: None,
            });
        }
    }
    Ok((proofs, restores))
}

/// `cat lock`, as restic stores it.
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

async fn locks(restic: &Restic) -> Result<Vec<RepositoryLock>, BackupError> {
    let list = restic.run(&["list", "locks", "--no-lock"]).await?;
    let ids = list.text();
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
            who: crate::text::clean(&who).into_owned(),
            since: lock.time,
            exclusive: lock.exclusive,
            stale: (Timestamp::now() - lock.time).as_secs() > STALE,
        });
    }
    Ok(locks)
}
