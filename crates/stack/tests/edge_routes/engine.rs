//! What Traefik's swarm provider asks of the engine, answered from rendered stacks. Traefik reads labels,
//! networks and tasks, and no more than that is asked of it here, so no container has to run.

use std::io::{BufRead, BufReader, Write};
use std::net::{TcpListener, TcpStream};
use std::sync::{Arc, Mutex};

use serde_json::{Value, json};

/// The network that the edge shares with applications; of others it reaches nothing.
const EDGE_NETWORK: &str = "traefik-net";

/// A service as the engine would know it.
#[derive(Debug, Clone)]
pub(crate) struct EngineService {
    /// With the stack's name before it.
    pub name: String,
    pub labels: Vec<(String, String)>,
    /// As Swarm knows them.
    pub networks: Vec<String>,
}

/// An engine that serves what it is given.
pub(crate) struct Engine {
    pub port: u16,
    services: Arc<Mutex<Vec<EngineService>>>,
}

impl Engine {
    pub(crate) fn start() -> Self {
        let listener = TcpListener::bind(("127.0.0.1", 0)).expect("a port");
        let port = listener.local_addr().expect("an address").port();
        let services = Arc::new(Mutex::new(Vec::new()));
        let shared = Arc::clone(&services);
        std::thread::spawn(move || {
            for stream in listener.incoming().flatten() {
                let shared = Arc::clone(&shared);
                std::thread::spawn(move || answer(&stream, &shared));
            }
        });
        Self { port, services }
    }

    pub(crate) fn set_services(&self, services: Vec<EngineService>) {
        *self.services.lock().expect("unlocked") = services;
    }
}

fn answer(stream: &TcpStream, services: &Mutex<Vec<EngineService>>) {
    let mut reader = BufReader::new(stream);
    let mut first = String::new();
    let Ok(1..) = reader.read_line(&mut first) else {
        return;
    };
    loop {
        let mut line = String::new();
        match reader.read_line(&mut line) {
            Ok(n) if n > 2 => {}
            _ => break,
        }
    }
    let path = first.split(' ').nth(1).unwrap_or_default().to_owned();
    let services = services.lock().expect("unlocked").clone();
    let body = if path.contains("/version") {
        json!({"Version": "28.2.2", "ApiVersion": "1.50", "MinAPIVersion": "1.24", "Os": "linux", "Arch": "amd64"})
    } else if path.contains("/services") {
        services
            .iter()
            .enumerate()
            .map(|(i, s)| service_json(i, s))
            .collect()
    } else if path.contains("/tasks") {
        let asked = services
            .iter()
            .enumerate()
            .filter(|(i, _)| path.contains(&service_id(*i)));
        asked.map(|(i, s)| task_json(i, s)).collect()
    } else if path.contains("/networks") {
        let mut names: Vec<&String> = services.iter().flat_map(|s| &s.networks).collect();
        names.sort();
        names.dedup();
        let network = |name: &&String| json!({"Name": name, "Id": name, "Scope": "swarm", "Driver": "overlay"});
        names.iter().map(network).collect()
    } else {
        json!({})
    };
    let body = body.to_string();
    let mut stream = stream;
    let head = "HTTP/1.1 200 OK\r\nApi-Version: 1.50\r\nContent-Type: application/json\r\nConnection: close";
    let _ = write!(
        stream,
        "{head}\r\nContent-Length: {}\r\n\r\n{body}",
        body.len()
    );
}

fn service_id(at: usize) -> String {
    format!("service{at:05}x")
}

/// Nothing listens there. Addresses in the edge's network differ from all others.
pub(crate) fn address(network: &str, at: usize) -> String {
    let edge = if network == EDGE_NETWORK { 66 } else { 67 };
    format!("127.{edge}.{}.{}", at / 200, at % 200 + 1)
}

fn service_json(at: usize, service: &EngineService) -> Value {
    let labels: serde_json::Map<String, Value> = service
        .labels
        .iter()
        .map(|(k, v)| (k.clone(), v.as_str().into()))
        .collect();
    let address =
        |name: &String| json!({"NetworkID": name, "Addr": format!("{}/16", address(name, at))});
    json!({
        "ID": service_id(at),
        "Version": {"Index": 1},
        "Spec": {
            "Name": service.name, "Labels": labels, "TaskTemplate": {},
            "Mode": {"Replicated": {"Replicas": 1}}, "EndpointSpec": {"Mode": "vip"},
        },
        "Endpoint": {"VirtualIPs": service.networks.iter().map(address).collect::<Vec<_>>()},
    })
}

fn task_json(at: usize, service: &EngineService) -> Value {
    let attachment = |name: &String| json!({"Network": {"ID": name}, "Addresses": [format!("{}/16", address(name, at))]});
    json!({
        "ID": format!("task{at:05}"), "ServiceID": service_id(at), "Slot": 1,
        "Status": {"State": "running"}, "DesiredState": "running",
        "NetworksAttachments": service.networks.iter().map(attachment).collect::<Vec<_>>(),
    })
}
