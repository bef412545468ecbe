//! One node: its link, engine, volumes and load.

use matou_i18n::tr;
use std::sync::Arc;
use std::time::Duration;

use futures_util::StreamExt;
use tokio::sync::{mpsc, watch};
use tokio_util::sync::CancellationToken;

use super::metrics::{INTERVAL, LocalSampler, REMOTE_SAMPLER, RemoteSampler};
use super::signals::{CollectorSignals, UpdateSender, log_reading};
use matou_base::text::SafeText;
use matou_config::NodeConnection;
use matou_docker::NodeHandle;
use matou_host::Command;
use matou_model::{Datum, NodeLink};

/// Engine facts and volumes are read this often when nothing happens.
const SLOW_POLL: Duration = Duration::from_secs(30);

/// Pause before the event stream or the metrics channel is opened again.
const RETRY: Duration = Duration::from_secs(5);

/// Events come in bursts: one reading serves all of a burst.
const DEBOUNCE: Duration = Duration::from_millis(300);

/// An engine that did not answer is asked once more after this long, before it is told of.
const SECOND_LOOK: Duration = Duration::from_secs(1);

pub(super) async fn watch_node(
    node: NodeHandle,
    reports: UpdateSender,
    wake: Arc<CollectorSignals>,
) {
    tokio::join!(
        report_links(&node, &reports),
        report_inventory(&node, &reports, &wake),
        watch_engine_events(&node, &wake),
        report_load(&node, &reports),
    );
}

/// Reports every change of the connection.
async fn report_links(node: &NodeHandle, reports: &UpdateSender) {
    let mut link = node.host.watch_link();
    loop {
        let now = link.borrow_and_update().clone();
        let name = node.config.name.clone();
        if !reports
            .send(Datum::Link {
                node: name,
                link: now,
            })
            .await
            || link.changed().await.is_err()
        {
            return;
        }
    }
}

/// Waits until the node is connected.
async fn wait_for_link(link: &mut watch::Receiver<NodeLink>) {
    // An error means that the host was dropped: then nothing waits for us either.
    let _ = link.wait_for(|l| matches!(l, NodeLink::Up)).await;
}

/// Reads engine and volumes when the node connects, on request, and now and then.
async fn report_inventory(node: &NodeHandle, reports: &UpdateSender, wake: &CollectorSignals) {
    let mut link = node.host.watch_link();
    loop {
        wait_for_link(&mut link).await;
        let name = &node.config.name;
        let ask = || log_reading("engine", Some(name), node.docker.query_engine());
        let mut engine = ask().await;
        if engine.is_err() && !link.has_changed().unwrap_or(false) {
            // A connection that breaks may look whole for a moment longer, and its engine lost.
            tokio::time::sleep(SECOND_LOOK).await;
            if !link.has_changed().unwrap_or(false) {
                engine = ask().await;
            }
        }
        let engine = engine.map_err(SafeText::of);
        let volumes = match &engine {
            Ok(_) => log_reading("volumes", Some(name), node.docker.list_volumes())
                .await
                .map_err(SafeText::of),
            Err(e) => Err(e.clone()),
        };
        // What failed on a connection that is gone tells nothing of the engine: the new one is asked.
        let failed = engine.is_err() || volumes.is_err();
        if failed && link.has_changed().unwrap_or(false) {
            continue;
        }
        let both = [
            Datum::Engine {
                node: name.clone(),
                reading: engine,
            },
            Datum::Volumes {
                node: name.clone(),
                reading: volumes,
            },
        ];
        for datum in both {
            // While the link is down, its own reason says more, and was sent already.
            if matches!(*link.borrow(), NodeLink::Up) && !reports.send(datum).await {
                return;
            }
        }
        tokio::select! {
            () = tokio::time::sleep(SLOW_POLL) => {}
            () = wake.nodes.notified() => tokio::time::sleep(DEBOUNCE).await,
            _ = link.changed() => {}
        }
    }
}

/// Wakes the collectors of the swarm and of the nodes at every event of the engine.
async fn watch_engine_events(node: &NodeHandle, wake: &CollectorSignals) {
    let mut link = node.host.watch_link();
    loop {
        wait_for_link(&mut link).await;
        if let Ok(events) = node.docker.watch_events().await {
            let mut events = std::pin::pin!(events);
            while events.next().await.is_some() {
                wake.swarm.notify_one();
                wake.nodes.notify_waiters();
            }
        }
        tracing::debug!(node = ?node.config.name, "no events of the engine: tries again");
        // Polling goes on meanwhile.
        tokio::time::sleep(RETRY).await;
    }
}

/// Reports the load again and again; a remote node's over one channel for as long as that holds.
async fn report_load(node: &NodeHandle, reports: &UpdateSender) {
    match node.config.reach {
        NodeConnection::Local => report_local_load(&node.config.name, reports).await,
        NodeConnection::Ssh(_) => report_remote_load(node, reports).await,
    }
}

async fn report_local_load(name: &str, reports: &UpdateSender) {
    let mut sampler = LocalSampler::new().map_err(SafeText::of);
    loop {
        tokio::time::sleep(INTERVAL).await;
        let reading = match &mut sampler {
            Ok(sampler) => sampler.take_sample().map_err(SafeText::of),
            Err(reason) => Err(reason.clone()),
        };
        let node = name.to_owned();
        if let Ok(disks) = LocalSampler::read_disks() {
            let node = node.clone();
            if !reports.send(Datum::Disks { node, disks }).await {
                return;
            }
        }
        if !reports.send(Datum::Metrics { node, reading }).await {
            return;
        }
    }
}

async fn report_remote_load(node: &NodeHandle, reports: &UpdateSender) {
    let mut link = node.host.watch_link();
    let name = &node.config.name;
    loop {
        wait_for_link(&mut link).await;
        let (lines, mut arriving) = mpsc::channel(16);
        let command = Command::sh(REMOTE_SAMPLER).label(tr!("sample the load"));
        // Dropped with this future, so that the remote loop ends with the collector.
        let stop = CancellationToken::new();
        let _guard = stop.clone().drop_guard();
        let running = node.host.stream_lines(&command, lines, &stop);
        let reading = async {
            let mut sampler = RemoteSampler::default();
            while let Some((_, line)) = arriving.recv().await {
                if let Some(metrics) = sampler.take_line(&String::from_utf8_lossy(&line)) {
                    let datum = Datum::Metrics {
                        node: name.clone(),
                        reading: Ok(metrics),
                    };
                    let disks = Datum::Disks {
                        node: name.clone(),
                        disks: sampler.disks().to_vec(),
                    };
                    // Disks first: the rules need them when they judge the load.
                    if !(reports.send(disks).await && reports.send(datum).await) {
                        return;
                    }
                }
            }
        };
        let (ended, ()) = tokio::join!(running, reading);
        tracing::debug!(node = ?name, "the load sampler ended: tries again");
        if matches!(*link.borrow(), NodeLink::Up) {
            let reason = match ended {
                Ok(code) => tr!("the load sampler ended with exit code {code}"),
                Err(e) => e.to_string(),
            };
            let datum = Datum::Metrics {
                node: name.clone(),
                reading: Err(reason.into()),
            };
            if !reports.send(datum).await {
                return;
            }
        }
        tokio::time::sleep(RETRY).await;
    }
}
