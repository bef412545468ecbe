//! A server that answers Traefik as an engine with a swarm would. Only what Traefik asks for its
//! labels is there: a service each, with one running task on one network. No part of matou asks it.

#![cfg(test)]

use std::collections::BTreeMap;
use std::io::{BufRead as _, BufReader, Write as _};
use std::net::{TcpListener, TcpStream};
use std::sync::Arc;

use serde_json::{Value, json};

/// A service as the engine knows it: its name and labels.
pub(crate) type Services = BTreeMap<String, BTreeMap<String, String>>;

/// Serves until the test ends, and returns the port.
pub(crate) fn spawn_engine(services: Services) -> u16 {
    let listener = TcpListener::bind("127.0.0.1:0").unwrap();
    let port = listener.local_addr().unwrap().port();
    let services = Arc::new(services);
    std::thread::spawn(move || {
        for stream in listener.incoming().flatten() {
            let services = Arc::clone(&services);
            std::thread::spawn(move || answer_requests(stream, &services));
        }
    });
    port
}

fn answer_requests(mut stream: TcpStream, services: &Services) -> Option<()> {
    let mut reader = BufReader::new(stream.try_clone().ok()?);
    loop {
        let mut request = String::new();
        if reader.read_line(&mut request).ok()? == 0 {
            return None;
        }
        let mut header = String::new();
        while reader.read_line(&mut header).ok()? > 2 {
            header.clear();
        }
        let body = engine_answer(request.split(' ').nth(1)?, services).to_string();
        // In one piece: two small ones wait for each other.
        let answer = format!(
            "HTTP/1.1 200 OK\r\nContent-Type: application/json\r\nApi-Version: 1.47\r\nOstype: linux\r\nContent-Length: {}\r\n\r\n{body}",
            body.len()
        );
        stream.write_all(answer.as_bytes()).ok()?;
    }
}

fn engine_answer(target: &str, services: &Services) -> Value {
    let (path, query) = target.split_once('?').unwrap_or((target, ""));
    let kind = path.split('/').find(|word| {
        [
            "_ping", "version", "services", "networks", "tasks", "nodes", "info",
        ]
        .contains(word)
    });
    match kind {
        Some("version") => json!({
            "Version": "28.2.2", "ApiVersion": "1.47", "MinAPIVersion": "1.24", "Os": "linux", "Arch": "amd64",
        }),
        Some("services") => services
            .iter()
            .enumerate()
            .map(|(index, (name, labels))| service_json(index, name, labels))
            .collect(),
        Some("networks") => json!([{
            "Name": "net", "Id": "net0", "Driver": "overlay", "Scope": "swarm",
        }]),
        Some("tasks") => (0..services.len())
            .filter(|index| {
                query.contains(&format!("service{index}%")) || !query.contains("service")
            })
            .map(task_json)
            .collect(),
        Some("nodes") => json!({"ID": "node0", "Status": {"Addr": "127.0.0.1", "State": "ready"}}),
        _ => json!("OK"),
    }
}

fn service_json(index: usize, name: &str, labels: &BTreeMap<String, String>) -> Value {
    json!({
        "ID": format!("service{index}"),
        "Spec": {
            "Name": name,
            "Labels": labels,
            "Mode": {"Replicated": {"Replicas": 1}},
            "EndpointSpec": {"Mode": "vip"},
        },
        "Endpoint": {
            "Spec": {"Mode": "vip"},
            "VirtualIPs": [{"NetworkID": "net0", "Addr": address_of(index, 0)}],
        },
    })
}

fn task_json(index: usize) -> Value {
    json!({
        "ID": format!("task{index}"),
        "ServiceID": format!("service{index}"),
        "NodeID": "node0",
        "Slot": 1,
        "Status": {"State": "running"},
        "DesiredState": "running",
        "NetworksAttachments": [{
            "Network": {"ID": "net0", "Spec": {"Name": "net"}},
            "Addresses": [address_of(index, 1)],
        }],
    })
}

/// Addresses for documentation would be too few; nobody connects to these.
fn address_of(index: usize, kind: usize) -> String {
    format!("10.{kind}.{}.{}/8", index / 250, 1 + index % 250)
}
