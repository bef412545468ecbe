//! Logs followed live: a service's over all its tasks and nodes, or a node's journal.

use matou_i18n::tr;
use std::collections::{HashMap, HashSet};
use std::sync::Arc;
use std::time::Duration;

use jiff::Timestamp;
use tokio::sync::mpsc;
use tokio::task::JoinSet;
use tokio_util::sync::CancellationToken;

use crate::CollectError;
use matou_config::unknown_name;
use matou_docker::{ContainerLine, NodeHandle, Nodes};
use matou_host::{Command, HostError};
use matou_model::{LogLine, Swarm, Task, TaskState};

/// Lines that are sent together, so that a burst is one message to the console.
pub type LogBatch = Vec<LogLine>;

/// Largest batch, in lines and in bytes; its last line may exceed the bytes.
const BATCH: usize = 4096;
const BATCH_BYTES: usize = 1 << 20;

/// How long one is gathered.
const GATHER: Duration = Duration::from_millis(20);

/// Lines that wait to be gathered; each may be long.
const WAITING: usize = 256;

/// New tasks of the service are looked for this often.
const POLL: Duration = Duration::from_secs(2);

/// Ended tasks of a slot whose output is still shown.
const PAST_TASKS: usize = 2;

/// What to read of a log.
#[derive(Debug, Clone, Copy)]
pub struct LogWindow {
    /// Lines of the past, for each task.
    pub tail: usize,
    /// Go on with what comes.
    pub follow: bool,
    /// Nothing older than this.
    pub since: Option<Timestamp>,
}

/// Sends the log of all tasks of a service to `out`; returns when everything was read, or, when
/// following, when nobody listens any more.
///
/// # Errors
/// When no manager answers at the start, or the service does not exist.
pub async fn follow_service(
    nodes: &Nodes,
    service: &str,
    window: LogWindow,
    out: mpsc::Sender<LogBatch>,
) -> Result<(), CollectError> {
    let (lines, arriving) = mpsc::channel::<LogLine>(WAITING);
    let batching = tokio::spawn(send_log_batches(arriving, out.clone()));
    let mut readers: JoinSet<()> = JoinSet::new();
    let mut known: HashSet<String> = HashSet::new();
    let mut first = true;
    loop {
        match query_manager_swarm(nodes).await {
            Ok(swarm) => {
                let found = swarm
                    .services
                    .iter()
                    .find(|s| s.id == service || s.name == service);
                let Some(found) = found else {
                    let names = swarm.services.iter().map(|s| s.name.as_str());
                    return Err(unknown_name(tr!("service"), service, names).into());
                };
                for task in select_logged_tasks(&swarm.tasks, &found.id) {
                    if known.insert(task.id.clone()) {
                        let name = nodes.find_name(&swarm, &task.node_id);
                        let reader = read_task_log(nodes, name, &found.name, task, window, &lines);
                        readers.spawn(reader);
                    }
                }
            }
            Err(reason) if first => return Err(reason),
            // The manager may come back; what is being read goes on.
            Err(_) => {}
        }
        first = false;
        if !window.follow {
            break;
        }
        tokio::select! {
            () = tokio::time::sleep(POLL) => {}
            () = out.closed() => return Ok(()),
        }
    }
    while readers.join_next().await.is_some() {}
    drop(lines);
    // A panic in there is the only way this fails, and then there is nothing more to send.
    let _ = batching.await;
    Ok(())
}

/// Says why there is no log of a service: no container of it ever started. `None` when there is one.
///
/// # Errors
/// When no manager answers.
pub async fn explain_missing_log(
    nodes: &Nodes,
    service: &str,
) -> Result<Option<String>, CollectError> {
    let swarm = query_manager_swarm(nodes).await?;
    let mut services = swarm.services.iter();
    let found = services.find(|s| s.id == service || s.name == service);
    Ok(found.and_then(|s| {
        let why = swarm.explain_no_container(std::slice::from_ref(&s.id), Timestamp::now())?;
        Some(format!("{}: {why}", s.name))
    }))
}

pub(super) async fn query_manager_swarm(nodes: &Nodes) -> Result<Swarm, CollectError> {
    let manager = nodes.find_manager().await?;
    manager
        .docker
        .query_swarm()
        .await
        .map_err(CollectError::from)
}

/// Selects the tasks whose output is read: of each slot those that run and the newest that ended.
fn select_logged_tasks<'a>(tasks: &'a [Task], service_id: &str) -> Vec<&'a Task> {
    let mut past: HashMap<(Option<u64>, &str), usize> = HashMap::new();
    tasks
        .iter()
        .filter(|t| t.service_id == service_id && t.container_id.is_some())
        .filter(|t| {
            // A global service has no slots: its node stands for one.
            let place = if t.slot.is_some() { "" } else { &t.node_id };
            let seen = past.entry((t.slot, place)).or_default();
            *seen += 1;
            t.state == TaskState::Running || *seen <= PAST_TASKS
        })
        .collect()
}

/// Reads the output of one task on its own node.
fn read_task_log(
    nodes: &Nodes,
    node: Option<String>,
    service: &str,
    task: &Task,
    window: LogWindow,
    lines: &mpsc::Sender<LogLine>,
) -> impl Future<Output = ()> + Send + use<> {
    let slot = task.slot.map_or_else(String::new, |s| format!(".{s}"));
    let place = node.as_deref().unwrap_or(&task.node_id);
    let from: Arc<str> = format!("{service}{slot}@{place}").into();
    let handle = node.and_then(|name| nodes.get(&name)).cloned();
    let lines = lines.clone();
    let id = task.container_id.clone().unwrap_or_default();
    async move {
        let read = match handle {
            Some(handle) => read_container_log(&handle, &id, &from, window, &lines).await,
            None => Err(tr!("its node is not in config.toml: add it to read its logs").into()),
        };
        if let Err(reason) = read {
            send_note_line(&lines, &from, reason.to_string()).await;
        }
    }
}

async fn read_container_log(
    handle: &NodeHandle,
    id: &str,
    from: &Arc<str>,
    window: LogWindow,
    lines: &mpsc::Sender<LogLine>,
) -> Result<(), CollectError> {
    let (raw, mut arriving) = mpsc::channel::<ContainerLine>(256);
    let reading =
        handle
            .docker
            .stream_container_logs(id, window.tail, window.follow, window.since, raw);
    let forwarding = async {
        while let Some(line) = arriving.recv().await {
            let line = LogLine {
                at: line.at,
                from: from.clone(),
                bytes: line.bytes,
                stderr: line.stderr,
            };
            if lines.send(line).await.is_err() {
                return;
            }
        }
    };
    let (result, ()) = tokio::join!(reading, forwarding);
    match result {
        // The container was removed together with its log.
        Err(e) if e.is_not_found() => Ok(()),
        other => other.map_err(CollectError::from),
    }
}

/// Sends a line of matou's own into the log.
async fn send_note_line(lines: &mpsc::Sender<LogLine>, from: &Arc<str>, text: String) {
    let line = LogLine {
        at: Some(Timestamp::now()),
        from: from.clone(),
        bytes: format!("-- {text}").into_bytes(),
        stderr: true,
    };
    // When the receiver is gone, nobody misses the line.
    let _ = lines.send(line).await;
}

/// Gathers lines that wait and hands them over together, in the order of their times.
async fn send_log_batches(mut arriving: mpsc::Receiver<LogLine>, out: mpsc::Sender<LogBatch>) {
    while let Some(first) = arriving.recv().await {
        let mut bytes = first.bytes.len();
        let mut lines = vec![first];
        // Tasks are read side by side: their lines of one moment arrive in any order.
        let end = tokio::time::Instant::now() + GATHER;
        while lines.len() < BATCH && bytes < BATCH_BYTES {
            let next = match arriving.try_recv() {
                Ok(line) => Some(line),
                Err(_) => tokio::time::timeout_at(end, arriving.recv())
                    .await
                    .unwrap_or_default(),
            };
            let Some(line) = next else { break };
            bytes += line.bytes.len();
            lines.push(line);
        }
        lines.sort_by_key(|l| l.at);
        if out.send(lines).await.is_err() {
            return;
        }
    }
}

/// Sends a node's journal to `out`, of one unit or of all (`journalctl -o short-iso`).
///
/// # Errors
/// The node's reason, or what journalctl said.
pub async fn follow_journal(
    node: &NodeHandle,
    unit: Option<&str>,
    window: LogWindow,
    out: mpsc::Sender<LogBatch>,
    cancel: &CancellationToken,
) -> Result<(), HostError> {
    let mut command = Command::new("journalctl")
        .args(["--no-pager", "--quiet", "--output=short-iso", "--lines"])
        .arg(window.tail.to_string())
        .sudo()
        .label(tr!("read the journal"));
    if let Some(unit) = unit {
        command = command.arg("--unit").arg(unit);
    }
    if let Some(since) = window.since {
        command = command.arg(format!("--since=@{}", since.as_second()));
    }
    if window.follow {
        command = command.arg("--follow");
    }
    let from: Arc<str> = node.config.name.as_str().into();
    let (raw, mut bytes) = mpsc::channel(256);
    let (lines, arriving) = mpsc::channel::<LogLine>(WAITING);
    let batching = tokio::spawn(send_log_batches(arriving, out));
    let parsing = async {
        while let Some((stream, line)) = bytes.recv().await {
            let line =
                parse_journalctl_line(&from, line, stream == matou_job::OutputStream::Stderr);
            if lines.send(line).await.is_err() {
                return;
            }
        }
    };
    let (ended, ()) = tokio::join!(node.host.stream_lines(&command, raw, cancel), parsing);
    drop(lines);
    let _ = batching.await;
    match ended? {
        0 => Ok(()),
        // What it said has been sent as lines.
        code => Err(HostError::Failed {
            node: node.config.name.clone(),
            command: tr!("read the journal").into(),
            code,
            last_lines: Vec::new(),
        }),
    }
}

/// Parses `2026-11-23T14:00:33+0100 host unit[1]: text`; the host is dropped, it is known.
fn parse_journalctl_line(from: &Arc<str>, line: Vec<u8>, stderr: bool) -> LogLine {
    let stamp = line
        .iter()
        .position(|b| *b == b' ')
        .and_then(|end| Some((std::str::from_utf8(&line[..end]).ok()?, end)))
        .and_then(|(text, end)| {
            let at = jiff::fmt::strtime::parse("%Y-%m-%dT%H:%M:%S%z", text)
                .and_then(|t| t.to_timestamp())
                .ok()?;
            Some((at, end))
        });
    let (at, bytes) = match stamp {
        Some((at, end)) => {
            let rest = &line[end + 1..];
            let after_host = rest.iter().position(|b| *b == b' ').map_or(0, |p| p + 1);
            (Some(at), rest[after_host..].to_vec())
        }
        None => (None, line),
    };
    LogLine {
        at,
        from: from.clone(),
        bytes,
        stderr,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_journal_line_loses_its_time_and_host() {
        let from: Arc<str> = "n1".into();
        let line = b"2026-11-23T15:00:33+0100 n1 sshd[12]: Accepted key".to_vec();
        let line = parse_journalctl_line(&from, line, false);
        assert_eq!(line.bytes, b"sshd[12]: Accepted key");
        assert_eq!(line.at, "2026-11-23T14:00:33Z".parse().ok());
        let odd = parse_journalctl_line(&from, b"-- Boot --".to_vec(), false);
        assert_eq!((odd.at, odd.bytes), (None, b"-- Boot --".to_vec()));
    }

    #[test]
    fn of_each_slot_the_running_and_the_newest_ended_tasks_are_read() {
        let task = |id: &str, slot, state: &str| Task {
            id: id.into(),
            service_id: "s".into(),
            slot,
            node_id: format!("node-{id}"),
            state: state.to_owned().into(),
            desired: String::new().into(),
            message: String::new(),
            error: String::new(),
            container_id: Some(id.into()),
            image: String::new(),
            outdated: false,
            exit_code: None,
            ended_unasked: false,
            iteration: None,
            since: None,
        };
        let tasks = [
            task("a", Some(1), "running"),
            task("b", Some(1), "failed"),
            task("c", Some(1), "failed"),
            task("g", None, "failed"),
            task("h", None, "failed"),
        ];
        let ids: Vec<&str> = select_logged_tasks(&tasks, "s")
            .iter()
            .map(|t| t.id.as_str())
            .collect();
        assert_eq!(ids, ["a", "b", "g", "h"]);
    }
}
