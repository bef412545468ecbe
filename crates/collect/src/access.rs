//! Traefik's access log followed live, on every node that an edge runs on.

use matou_i18n::tr;
use std::collections::HashMap;
use std::time::Duration;

use jiff::Timestamp;
use tokio::sync::mpsc;
use tokio::task::JoinSet;
use tokio_util::sync::CancellationToken;

use super::logs::{LogBatch, LogWindow, follow_service, query_manager_swarm};
use crate::CollectError;
use matou_docker::{NodeHandle, Nodes, ServiceSpec};
use matou_edge::{AccessLog, find_access_log, find_edge_service, parse_access};
use matou_host::{ConfinedFolders, shell_script};
use matou_job::OutputStream;
use matou_model::{AccessRecord, AppRoutes, Swarm, TaskState};

/// How often the edge's nodes are looked up, and logs that broke off are opened again.
const POLL: Duration = Duration::from_secs(5);

/// Largest batch, and how long one is gathered.
const BATCH: usize = 1024;
const GATHER: Duration = Duration::from_millis(50);

/// Bytes at the end of each node's log in which past requests are searched.
const MAX_PAST_BYTES: u32 = 128 << 20;

/// Prints the log up to its present end, then follows it. Only lines that hold one of the given
/// texts leave the node, without the fields that matou does not use. `tail -F` goes on when the
/// file is truncated or replaced (logrotate). An empty line every 30 s fails when the connection is
/// gone and ends the script: a console that was killed leaves no process behind.
const SCRIPT: &str = shell_script(include_str!("../scripts/follow_access_log.sh"));

/// What arrives of an access log.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum AccessNews {
    /// Requests, in the order of their times within a batch.
    Requests(Vec<AccessRecord>),
    /// Why some may be missing.
    Note(String),
}

/// Sends the requests that belong to `routes` to `out`, of the past `window.tail` from each node.
/// Returns when all was read; when following, when `out` is closed.
///
/// # Errors
/// Nothing takes https, it writes no access log that can be read, or no node can be asked.
pub async fn follow_access_log(
    nodes: &Nodes,
    routes: &AppRoutes,
    window: LogWindow,
    out: mpsc::Sender<AccessNews>,
    cancel: &CancellationToken,
) -> Result<(), CollectError> {
    let fleet = query_manager_swarm(nodes).await?;
    let edge = find_edge_service(&fleet).ok_or(tr!(
        "nothing takes https for the fleet: `matou deploy traefik edge` does"
    ))?;
    if edge.running == 0 {
        let id = std::slice::from_ref(&edge.id);
        let name = &edge.name;
        if let Some(why) = fleet.explain_no_container(id, Timestamp::now()) {
            let text = tr!("the edge, {name}, runs nowhere: {why}");
            return Err(CollectError::failed(text));
        }
        let text = tr!("the edge, {name}, runs nowhere: no requests come in");
        // When the receiver is gone, nobody misses the note.
        let _ = out.send(AccessNews::Note(text)).await;
    }
    let manager = nodes.find_manager().await?;
    let spec = manager.docker.query_service_spec(&edge.id).await;
    let spec: ServiceSpec = spec?;
    match find_access_log(&spec, &edge.name)? {
        AccessLog::Output => follow_edge_output(nodes, &edge.id, routes, window, out).await,
        file => follow_access_files(nodes, &edge.id, &file, routes, window, out, cancel).await,
    }
}

/// Reads requests from the output of the edge's service.
async fn follow_edge_output(
    nodes: &Nodes,
    service: &str,
    routes: &AppRoutes,
    window: LogWindow,
    out: mpsc::Sender<AccessNews>,
) -> Result<(), CollectError> {
    let (lines, mut arriving) = mpsc::channel::<LogBatch>(8);
    let reading = follow_service(nodes, service, window, lines);
    let parsing = async {
        loop {
            let batch = tokio::select! {
                batch = arriving.recv() => batch,
                () = out.closed() => None,
            };
            let Some(batch) = batch else { return };
            let requests = batch.iter().filter_map(|l| parse_access(&l.bytes));
            let requests: Vec<_> = requests.filter(|a| routes.owns_record(a)).collect();
            if !requests.is_empty() && out.send(AccessNews::Requests(requests)).await.is_err() {
                return;
            }
        }
    };
    tokio::join!(reading, parsing).0
}

/// Reads requests from a file on each node that the edge runs on.
async fn follow_access_files(
    nodes: &Nodes,
    service: &str,
    file: &AccessLog,
    routes: &AppRoutes,
    window: LogWindow,
    out: mpsc::Sender<AccessNews>,
    cancel: &CancellationToken,
) -> Result<(), CollectError> {
    let mut readers = AccessReaders::new();
    let stop = cancel.child_token();
    // Nodes, and whether each is being read.
    let mut known: HashMap<String, bool> = HashMap::new();
    let mut first = true;
    loop {
        let swarm = tokio::select! {
            swarm = query_manager_swarm(nodes) => swarm,
            () = out.closed() => return stop_access_readers(&stop, readers).await,
        };
        match swarm {
            Ok(swarm) => {
                for name in list_edge_nodes(nodes, &swarm, service) {
                    let again = known.get(&name).copied();
                    if again == Some(true) {
                        continue;
                    }
                    let Some(handle) = nodes.get(&name).cloned() else {
                        continue;
                    };
                    // When a log is opened again, its past was sent already.
                    let tail = if again.is_some() { 0 } else { window.tail };
                    let window = LogWindow { tail, ..window };
                    known.insert(name.clone(), true);
                    let (file, routes) = (file.clone(), routes.clone());
                    let (out, stop) = (out.clone(), stop.clone());
                    readers.spawn(async move {
                        let read =
                            read_access_file(&handle, &file, &routes, window, out, &stop).await;
                        (name, read)
                    });
                }
            }
            Err(reason) if first => return Err(reason),
            Err(_) => {}
        }
        if first && known.is_empty() {
            return Err(tr!(
                "the edge runs on no node of config.toml: its access log can't be read"
            )
            .into());
        }
        first = false;
        if !window.follow {
            break;
        }
        tokio::select! {
            () = tokio::time::sleep(POLL) => {}
            () = out.closed() => return stop_access_readers(&stop, readers).await,
        }
        while let Some(ended) = readers.try_join_next() {
            let Ok((name, ended)) = ended else { continue };
            let why = ended.err().unwrap_or_else(|| tr!("it ended").into());
            let note = tr!("{name}: {why}; opened again, requests of meanwhile are missing");
            known.insert(name, false);
            if out.send(AccessNews::Note(note)).await.is_err() {
                return stop_access_readers(&stop, readers).await;
            }
        }
    }
    let mut outcome = Ok(());
    while let Some(ended) = readers.join_next().await {
        if let Ok((name, Err(reason))) = ended {
            outcome = Err(reason.with_sentence(format_args!("{name}: {reason}")));
        }
    }
    outcome
}

/// One reading task a node. Each returns the node's name and how it ended.
type AccessReaders = JoinSet<(String, Result<(), CollectError>)>;

/// Stops all reading tasks, and waits until nothing is left behind on the nodes.
async fn stop_access_readers(
    stop: &CancellationToken,
    mut readers: AccessReaders,
) -> Result<(), CollectError> {
    stop.cancel();
    while readers.join_next().await.is_some() {}
    Ok(())
}

/// Returns the names of the nodes that the edge runs on; when it does not run, of the last one.
fn list_edge_nodes(nodes: &Nodes, swarm: &Swarm, service: &str) -> Vec<String> {
    let tasks = || {
        swarm
            .tasks
            .iter()
            .filter(|t| t.service_id == service && !t.node_id.is_empty())
    };
    let running: Vec<_> = tasks().filter(|t| t.state == TaskState::Running).collect();
    let chosen = match running.is_empty() {
        true => tasks().max_by_key(|t| t.since).into_iter().collect(),
        false => running,
    };
    let mut names: Vec<_> = chosen
        .into_iter()
        .filter_map(|t| nodes.find_name(swarm, &t.node_id))
        .collect();
    names.sort();
    names.dedup();
    names
}

async fn read_access_file(
    node: &NodeHandle,
    file: &AccessLog,
    routes: &AppRoutes,
    window: LogWindow,
    out: mpsc::Sender<AccessNews>,
    cancel: &CancellationToken,
) -> Result<(), CollectError> {
    let (folder, path) = tokio::select! {
        path = locate_access_file(node, file) => path?,
        () = cancel.cancelled() => return Ok(()),
    };
    // The edge's container can write into this folder: no link in it is followed.
    let mut command = ConfinedFolders::new(folder)
        .sh(SCRIPT)
        .arg(&path)
        .arg(window.tail.to_string())
        .arg(MAX_PAST_BYTES.to_string())
        .arg(u8::from(window.follow).to_string())
        .label(tr!("read the access log"));
    for mark in routes.log_markers() {
        command = command.arg("-e").arg(mark);
    }
    let (raw, mut lines) = mpsc::channel::<(OutputStream, Vec<u8>)>(256);
    let parsing = async {
        let (mut requests, mut said) = (Vec::new(), String::new());
        while let Some((stream, line)) = lines.recv().await {
            let mut next = Some((stream, line));
            let end = tokio::time::Instant::now() + GATHER;
            while let Some((stream, line)) = next.take() {
                match stream {
                    OutputStream::Stderr => said = matou_base::text::clean_bytes(&line),
                    _ => requests.extend(parse_access(&line).filter(|a| routes.owns_record(a))),
                }
                if requests.len() < BATCH {
                    next = tokio::time::timeout_at(end, lines.recv())
                        .await
                        .ok()
                        .flatten();
                }
            }
            if requests.is_empty() {
                continue;
            }
            requests.sort_by_key(|a: &AccessRecord| a.at);
            let news = AccessNews::Requests(std::mem::take(&mut requests));
            if out.send(news).await.is_err() {
                break;
            }
        }
        said
    };
    let (ended, said) = tokio::join!(node.host.stream_lines(&command, raw, cancel), parsing);
    match ended {
        Ok(0) => Ok(()),
        Ok(_) => Err(CollectError::failed(tr!("{path} can't be read: {said}"))),
        Err(e) => Err(e.into()),
    }
}

/// Returns the folder that the edge mounts and the path of the log, both on the node.
async fn locate_access_file(
    node: &NodeHandle,
    file: &AccessLog,
) -> Result<(String, String), CollectError> {
    match file {
        AccessLog::File {
            source,
            volume: false,
            rest,
        } => Ok((source.clone(), format!("{source}{rest}"))),
        AccessLog::File { source, rest, .. } => {
            let volumes = node.docker.list_volumes().await?;
            let found = volumes.into_iter().find(|v| v.name == *source);
            let found = found.ok_or_else(|| tr!("the volume {source} is not there"))?;
            let path = format!("{}{rest}", found.mountpoint.trim_end_matches('/'));
            Ok((found.mountpoint, path))
        }
        AccessLog::Output => Err(tr!("it is in the edge's output").into()),
    }
}
