//! Real Traefik programs, asked by their API.

#![cfg(test)]

use std::collections::BTreeSet;
use std::io::{Read as _, Write as _};
use std::net::{TcpListener, TcpStream};
use std::process::{Child, Command, Stdio};
use std::time::{Duration, Instant};

use serde_json::Value;

use super::engine::{Services, spawn_engine};

/// A running program, ended with its value.
pub(crate) struct RunningTraefik {
    child: Child,
    api: u16,
    folder: tempfile::TempDir,
}

impl Drop for RunningTraefik {
    fn drop(&mut self) {
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}

fn free_port() -> u16 {
    let listener = TcpListener::bind("127.0.0.1:0").unwrap();
    listener.local_addr().unwrap().port()
}

impl RunningTraefik {
    fn spawn(program: &str, api: u16, options: &[String]) -> Self {
        let folder = tempfile::tempdir().unwrap();
        let log = std::fs::File::create(folder.path().join("log")).unwrap();
        let child = Command::new(program)
            .args(options)
            .current_dir(folder.path())
            .env_clear()
            .stdin(Stdio::null())
            .stdout(log.try_clone().unwrap())
            .stderr(log)
            .spawn()
            .unwrap_or_else(|e| panic!("{program}: {e}"));
        Self { child, api, folder }
    }

    /// Starts a Traefik 3 with the entry points and the resolver of the stack `traefik`, and some
    /// more. Its
    /// authority is a closed port of this machine.
    pub(crate) fn spawn_v3(program: &str, more: &BTreeSet<String>, services: Services) -> Self {
        let engine = spawn_engine(services);
        let (api, web, websecure) = (free_port(), free_port(), free_port());
        let more = more.iter().map(|name| (name.clone(), free_port()));
        let more =
            more.map(|(name, port)| format!("--entrypoints.{name}.address=127.0.0.1:{port}"));
        let mut options: Vec<String> = more.collect();
        options.extend([
            format!("--entrypoints.traefik.address=127.0.0.1:{api}"),
            format!("--entrypoints.web.address=127.0.0.1:{web}"),
            format!("--entrypoints.websecure.address=127.0.0.1:{websecure}"),
            format!("--providers.swarm.endpoint=tcp://127.0.0.1:{engine}"),
            "--providers.swarm.exposedbydefault=false".to_owned(),
            "--providers.swarm.network=net".to_owned(),
            "--providers.swarm.watch=false".to_owned(),
            "--certificatesresolvers.le.acme.caserver=http://127.0.0.1:1/".to_owned(),
            "--certificatesresolvers.le.acme.storage=acme.json".to_owned(),
            "--certificatesresolvers.le.acme.tlschallenge=true".to_owned(),
            "--api.insecure=true".to_owned(),
            "--global.checknewversion=false".to_owned(),
            "--global.sendanonymoususage=false".to_owned(),
            "--log.level=ERROR".to_owned(),
        ]);
        Self::spawn(program, api, &options)
    }

    /// Starts a Traefik 1.7 that redirects nothing of itself.
    pub(crate) fn spawn_v1(program: &str, services: Services) -> Self {
        let engine = spawn_engine(services);
        let (api, http, https) = (free_port(), free_port(), free_port());
        let options = [
            format!("--entryPoints=Name:traefik Address:127.0.0.1:{api}"),
            format!("--entryPoints=Name:http Address:127.0.0.1:{http}"),
            format!("--entryPoints=Name:https Address:127.0.0.1:{https} TLS"),
            "--defaultEntryPoints=http,https".to_owned(),
            "--docker".to_owned(),
            "--docker.swarmMode".to_owned(),
            "--docker.watch=false".to_owned(),
            format!("--docker.endpoint=tcp://127.0.0.1:{engine}"),
            "--api".to_owned(),
            "--api.entryPoint=traefik".to_owned(),
            "--checkNewVersion=false".to_owned(),
            "--sendAnonymousUsage=false".to_owned(),
        ];
        Self::spawn(program, api, &options)
    }

    /// Asks until an answer is as wanted, at most half a minute. Returns the last answer.
    pub(crate) fn ask_until(&self, path: &str, wanted: impl Fn(&Value) -> bool) -> Value {
        let end = Instant::now() + Duration::from_secs(30);
        loop {
            let answer = self.ask(path).unwrap_or_default();
            if wanted(&answer) || Instant::now() > end {
                return answer;
            }
            std::thread::sleep(Duration::from_millis(50));
        }
    }

    fn ask(&self, path: &str) -> Option<Value> {
        let mut stream = TcpStream::connect(("127.0.0.1", self.api)).ok()?;
        stream
            .set_read_timeout(Some(Duration::from_secs(10)))
            .ok()?;
        write!(stream, "GET {path} HTTP/1.0\r\nHost: traefik\r\n\r\n").ok()?;
        let mut answer = Vec::new();
        stream.read_to_end(&mut answer).ok()?;
        let body = answer.windows(4).position(|w| w == b"\r\n\r\n")? + 4;
        serde_json::from_slice(&answer[body..]).ok()
    }

    /// What the program wrote.
    pub(crate) fn log(&self) -> String {
        std::fs::read_to_string(self.folder.path().join("log")).unwrap_or_default()
    }
}
