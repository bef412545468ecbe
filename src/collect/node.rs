//! One node: its link, engine, volumes and load.

use std::sync::Arc;
use std::time::Duration;

use futures_util::StreamExt;
use tokio::sync::{mpsc, watch};
use tokio_util::sync::CancellationToken;

use super::metrics::{INTERVAL, LocalSampler, REMOTE_SAMPLER, Sampler};
use super::{Reports, Wake};
use crate::config::Reach;
use crate::docker::NodeHandle;
use crate::host::Command;
use crate::model::{Datum, Link};

/// Engine facts and volumes are read this often when nothing happens.
const SLOW_POLL: Duration = Duration::from_secs(30);

/// Before the event stream or the metrics channel is opened again.
const RETRY: Duration = Duration::from_secs(5);

/// Events come in bursts: one reading serves all of a burst.
const DEBOUNCE: Duration = Duration::from_millis(300);

pub(super) async fn watch(node: NodeHandle, reports: Reports, wake: Arc<Wake>) {
    tokio::join!(
        links(&node, &reports),
        inventory(&node, &reports, &wake),
        events(&node, &wake),
        load(&node, &reports),
    );
}

/// Reports every change of the connection.
async fn links(node: &NodeHandle, reports: &Reports) {
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
async fn connected(link: &mut watch::Receiver<Link>) {
    // An error means that the host was dropped: then nothing waits for us either.
    let _ = link.wait_for(|l| matches!(l, Link::Up)).await;
}

/// Reads engine and volumes when the node connects, on request, and now and then.
async fn inventory(node: &NodeHandle, reports: &Reports, wake: &Wake) {
    let mut link = node.host.watch_link();
    loop {
        connected(&mut link).await;
        let name = &node.config.name;
        let engine = node.docker.engine().await.map_err(|e| e.to_string());
        let volumes = match &engine {
            Ok(_) => node.docker.volumes().await.map_err(|e| e.to_string()),
            Err(e) => Err(e.clone()),
        };
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
            // While the link is down its reason is the better one, and already told.
            if matches!(*link.borrow(), Link::Up) && !reports.send(datum).await {
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

/// Turns the engine's events into readings.
async fn events(node: &NodeHandle, wake: &Wake) {
    let mut link = node.host.watch_link();
    loop {
        connected(&mut link).await;
        if let Ok(events) = node.docker.events().await {
            let mut events = std::pin::pin!(events);
            while events.next().await.is_some() {
                wake.swarm.notify_one();
                wake.nodes.notify_waiters();
            }
        }
        // Polling goes on meanwhile.
        tokio::time::sleep(RETRY).await;
    }
}

/// Reports the load, over one channel for as long as it holds.
async fn load(node: &NodeHandle, reports: &Reports) {
    match node.config.reach {
        Reach::Local => local_load(&node.config.name, reports).await,
        Reach::Ssh(_) => remote_load(node, reports).await,
    }
}

async fn local_load(name: &str, reports: &Reports) {
    let mut sampler = LocalSampler::new().map_err(|e| e.to_string());
    loop {
        tokio::time::sleep(INTERVAL).await;
        let reading = match &mut sampler {
            Ok(sampler) => sampler.sample().map_err(|e| e.to_string()),
            Err(reason) => Err(reason.clone()),
        };
        let node = name.to_owned();
        if let Ok(disks) = LocalSampler::disks() {
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

async fn remote_load(node: &NodeHandle, reports: &Reports) {
    let mut link = node.host.watch_link();
    let name = &node.config.name;
    loop {
        connected(&mut link).await;
        let (lines, mut arriving) = mpsc::channel(16);
        let command = Command::sh(REMOTE_SAMPLER).label("sample the load");
        // Dropped with this future, so that the remote loop ends with the collector.
        let stop = CancellationToken::new();
        let _guard = stop.clone().drop_guard();
        let running = node.host.stream(&command, lines, &stop);
        let reading = async {
            let mut sampler = Sampler::default();
            while let Some((_, line)) = arriving.recv().await {
                if let Some(metrics) = sampler.line(&String::from_utf8_lossy(&line)) {
                    let datum = Datum::Metrics {
                        node: name.clone(),
                        reading: Ok(metrics),
                    };
                    let disks = Datum::Disks {
                        node: name.clone(),
                        disks: sampler.disks().to_vec(),
                    };
                    // First, so that they are known when the load is looked at.
                    if !(reports.send(disks).await && reports.send(datum).await) {
                        return;
                    }
                }
            }
        };
        let (ended, ()) = tokio::join!(running, reading);
        if matches!(*link.borrow(), Link::Up) {
            let reason = match ended {
                Ok(code) => format!("the load sampler ended with exit code {code}"),
                Err(e) => e.to_string(),
            };
            let datum = Datum::Metrics {
                node: name.clone(),
                reading: Err(reason),
            };
            if !reports.send(datum).await {
                return;
            }
        }
        tokio::time::sleep(RETRY).await;
    }
}
