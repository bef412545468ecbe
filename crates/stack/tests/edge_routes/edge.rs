//! A real Traefik with the edge's own static configuration (stacks/traefik.yml), on loopback.

use std::collections::BTreeMap;
use std::io::{Read, Write};
use std::net::{TcpListener, TcpStream};
use std::process::{Child, Command, Stdio};
use std::time::{Duration, Instant};

use matou_config::Config;
use matou_stack::{Catalogue, RenderTarget};
use serde_json::Value;

use super::engine::{Engine, EngineService};

/// What Traefik made of the labels.
#[derive(Debug, Default)]
pub(crate) struct Seen {
    /// Routers of all protocols that came from the swarm.
    pub routers: Vec<SeenObject>,
    /// Services and middlewares with an error.
    pub broken: Vec<SeenObject>,
    /// Addresses of all servers, by the service's name.
    pub servers: BTreeMap<String, Vec<String>>,
    /// What Traefik logged as an error, each once.
    pub errors: Vec<String>,
}

impl Seen {
    /// Everything that Traefik says is wrong.
    pub(crate) fn complaints(&self) -> Vec<String> {
        let routers = self.routers.iter().filter(|r| r.status != "enabled");
        let objects = routers.chain(&self.broken);
        let said = objects.map(|o| format!("{}: {} {}", o.name, o.status, o.error));
        said.chain(self.errors.iter().cloned()).collect()
    }
}

#[derive(Debug)]
pub(crate) struct SeenObject {
    pub name: String,
    pub status: String,
    pub error: String,
    pub rule: String,
    pub protocol: &'static str,
}

pub(crate) struct Edge {
    child: Child,
    engine: Engine,
    folder: tempfile::TempDir,
    api: u16,
    pub https: u16,
    round: usize,
}

impl Drop for Edge {
    fn drop(&mut self) {
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}

impl Edge {
    /// Starts the Traefik that `MATOU_TRAEFIK` names; `None` where it names none.
    pub(crate) fn start(config: &Config) -> Option<Self> {
        let program = crate::traefik_program::find_traefik("MATOU_TRAEFIK")?;
        let engine = Engine::start();
        let folder = tempfile::tempdir().expect("a folder");
        let [http, https, api] = free_ports();
        let log = std::fs::File::create(folder.path().join("log")).expect("a log");
        let child = Command::new(program)
            .args(static_configuration(
                config,
                &engine,
                &folder,
                [http, https, api],
            ))
            .current_dir(folder.path())
            .stdin(Stdio::null())
            .stdout(log.try_clone().expect("a log"))
            .stderr(log)
            .spawn()
            .expect("Traefik starts");
        let mut edge = Self {
            child,
            engine,
            folder,
            api,
            https,
            round: 0,
        };
        edge.show(Vec::new());
        Some(edge)
    }

    /// Lets Traefik read these services, and returns what it made of them.
    pub(crate) fn show(&mut self, services: Vec<EngineService>) -> Seen {
        self.settle(Vec::new());
        let before = self.log().len();
        self.settle(services);
        let mut seen = Seen::default();
        for protocol in ["http", "tcp", "udp"] {
            self.read_objects(protocol, &mut seen);
        }
        // What is done after the API knows the routers is told with the next reading at the latest.
        for line in self.log()[before..].lines() {
            let Ok(entry) = serde_json::from_str::<Value>(line) else {
                continue;
            };
            let text = format!(
                "{} {}",
                entry["message"].as_str().unwrap_or_default(),
                entry["error"].as_str().unwrap_or_default()
            );
            let of_authority = ["ACME", "acme", "ertificate resolver"];
            let is_error = entry["level"] == "error" || text.contains("nonexistent certificate");
            let own = entry["routerName"]
                .as_str()
                .is_some_and(|r| r.starts_with("seen-"));
            if is_error
                && !own
                && (!of_authority.iter().any(|w| text.contains(w)) || text.contains("nonexistent"))
            {
                let text = format!(
                    "{text} [{}]",
                    entry["routerName"]
                        .as_str()
                        .or(entry["container"].as_str())
                        .unwrap_or_default()
                );
                if !seen.errors.contains(&text) {
                    seen.errors.push(text);
                }
            }
        }
        seen
    }

    /// Waits until Traefik has taken over these services.
    fn settle(&mut self, mut services: Vec<EngineService>) {
        self.round += 1;
        let marker = format!("seen-{}", self.round);
        let label = |key: &str, value: &str| (key.to_owned(), value.to_owned());
        services.push(EngineService {
            name: marker.clone(),
            labels: vec![
                label("traefik.enable", "true"),
                label("traefik.http.routers.seen-api.rule", "PathPrefix(`/api`)"),
                label("traefik.http.routers.seen-api.entrypoints", "metrics"),
                label("traefik.http.routers.seen-api.service", "api@internal"),
                label(
                    &format!("traefik.http.routers.{marker}.rule"),
                    "Host(`seen.test`)",
                ),
                label(
                    &format!("traefik.http.routers.{marker}.entrypoints"),
                    "metrics",
                ),
                label(
                    &format!("traefik.http.routers.{marker}.service"),
                    "noop@internal",
                ),
                label(
                    &format!("traefik.http.services.{marker}.loadbalancer.server.port"),
                    "1",
                ),
            ],
            networks: vec!["traefik-net".to_owned()],
        });
        self.engine.set_services(services);
        let end = Instant::now() + Duration::from_secs(30);
        loop {
            let routers = self.ask_api("/api/http/routers?per_page=100000");
            let wanted = format!("{marker}@swarm");
            let routers = routers.as_ref().and_then(Value::as_array);
            if routers.is_some_and(|all| all.iter().any(|r| r["name"] == wanted.as_str())) {
                return;
            }
            assert!(
                Instant::now() < end,
                "Traefik reads nothing:\n{}",
                self.log()
            );
            std::thread::sleep(Duration::from_millis(20));
        }
    }

    fn read_objects(&self, protocol: &'static str, seen: &mut Seen) {
        for kind in ["routers", "services", "middlewares"] {
            let path = format!("/api/{protocol}/{kind}?per_page=100000");
            let Some(Value::Array(all)) = self.ask_api(&path) else {
                assert!(
                    protocol == "udp" || kind == "middlewares",
                    "no answer to {path}"
                );
                continue;
            };
            for object in all {
                let text = |key: &str| object[key].as_str().unwrap_or_default().to_owned();
                let name = text("name");
                if !name.ends_with("@swarm") || name.starts_with("seen-") {
                    continue;
                }
                let servers = object["loadBalancer"]["servers"].as_array();
                for server in servers.into_iter().flatten() {
                    let url = server["url"].as_str().or(server["address"].as_str());
                    seen.servers
                        .entry(name.clone())
                        .or_default()
                        .push(url.unwrap_or_default().to_owned());
                }
                let found = SeenObject {
                    name,
                    status: text("status"),
                    error: texts(&object["error"]).join("; "),
                    rule: text("rule"),
                    protocol,
                };
                match kind {
                    "routers" => seen.routers.push(found),
                    _ if !found.status.is_empty() && found.status != "enabled" => {
                        seen.broken.push(found);
                    }
                    _ => {}
                }
            }
        }
    }

    fn ask_api(&self, path: &str) -> Option<Value> {
        let mut stream = TcpStream::connect(("127.0.0.1", self.api)).ok()?;
        // A server of HTTP/1.0 sends its answer in one piece.
        write!(stream, "GET {path} HTTP/1.0\r\nHost: seen.test\r\n\r\n").ok()?;
        let mut answer = String::new();
        stream.read_to_string(&mut answer).ok()?;
        let (_, body) = answer.split_once("\r\n\r\n")?;
        serde_json::from_str(body).ok()
    }

    fn log(&self) -> String {
        std::fs::read_to_string(self.folder.path().join("log")).unwrap_or_default()
    }

    /// Asks on https with the name of a host, as a browser does. Returns status and body.
    pub(crate) fn ask_https(&self, host: &str, path: &str) -> String {
        let resolve = format!("{host}:{}:127.0.0.1", self.https);
        let url = format!("https://{host}:{}{path}", self.https);
        let out = Command::new("curl")
            .args([
                "-sk",
                "--max-time",
                "10",
                "--interface",
                "127.0.0.2",
                "-w",
                "\n%{http_code}",
                "--resolve",
                &resolve,
                &url,
            ])
            .output()
            .expect("curl");
        String::from_utf8_lossy(&out.stdout).into_owned()
    }
}

/// Returns the texts of a list.
fn texts(value: &Value) -> Vec<&str> {
    let list = value.as_array().into_iter().flatten();
    list.filter_map(Value::as_str).collect()
}

fn free_ports() -> [u16; 3] {
    let listeners = [(); 3].map(|()| TcpListener::bind(("127.0.0.1", 0)).expect("a port"));
    listeners.map(|l| l.local_addr().expect("an address").port())
}

/// The command line of the catalogue's edge, with other addresses, another engine, and its API.
fn static_configuration(
    config: &Config,
    engine: &Engine,
    folder: &tempfile::TempDir,
    [http, https, api]: [u16; 3],
) -> Vec<String> {
    let given = [
        ("ACME_EMAIL", "ops@example.org"),
        // No authority is there, and none is asked.
        ("ACME_SERVER", "https://127.0.0.1:9/directory"),
        ("ACME_STAGING", "https://127.0.0.1:9/directory"),
    ];
    let given = given.map(|(k, v)| (k.to_owned(), v.to_owned())).into();
    let target = RenderTarget::for_fleet(config);
    let catalogue = Catalogue::load(None).expect("the catalogue");
    let edge = catalogue
        .render_stack("traefik", "edge", &given, &target)
        .expect("the edge");
    let file: serde_yaml::Value = serde_yaml::from_str(&edge.yaml).expect("YAML");
    let command = file["services"]["traefik"]["command"]
        .as_sequence()
        .expect("a command");
    let folder = folder.path().display();
    let mut arguments: Vec<String> = Vec::new();
    for argument in command.iter().filter_map(serde_yaml::Value::as_str) {
        let (key, value) = argument.split_once('=').expect("an option with a value");
        let value = match key {
            "--providers.swarm.endpoint" => format!("tcp://127.0.0.1:{}", engine.port),
            "--providers.swarm.refreshseconds" => "100ms".to_owned(),
            "--entrypoints.web.address" => format!("127.0.0.1:{http}"),
            "--entrypoints.websecure.address" => format!("127.0.0.1:{https}"),
            "--entrypoints.metrics.address" => format!("127.0.0.1:{api}"),
            "--log.level" => "WARN".to_owned(),
            "--accesslog.filepath" => format!("{folder}/access.log"),
            key if key.ends_with(".acme.storage") => format!("{folder}/acme.json"),
            _ => value.to_owned(),
        };
        arguments.push(format!("{key}={value}"));
    }
    for more in [
        "--api=true",
        "--log.format=json",
        "--providers.providersthrottleduration=10ms",
    ] {
        arguments.push(more.to_owned());
    }
    arguments
}
