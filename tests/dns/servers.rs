//! Real name servers on loopback, each with a zone that a key may change: BIND, which gives the key the whole zone,
//! and Knot, which does not.

use std::net::TcpStream;
use std::path::{Path, PathBuf};
use std::process::{Child, Command};
use std::time::Duration;

use matou::dns::{KeyAlgorithm, NameServer, TransferKey};
use secrecy::SecretString;

use crate::support::registry::free_port;
use crate::support::{said, server, until};

/// Which one it is.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Kind {
    Bind,
    Knot,
}

/// A name server with the zone example.org.
pub(crate) struct Server {
    process: Child,
    folder: tempfile::TempDir,
    pub kind: Kind,
    pub port: u16,
}

/// The key that the server knows, in base64.
pub(crate) const SECRET: &str = "bWF0b3UgbWFrZXMgbmFtZXMgb2YgYXBwbGljYXRpb25zIQ==";

const ZONE: &str = "$TTL 3600
@ IN SOA ns1.example.org. ops.example.org. 1 3600 600 86400 60
@ IN NS ns1
ns1 IN A 127.0.0.1
; Made by hand.
manual 86400 IN A 192.0.2.99
alias IN CNAME elsewhere.example.net.
closed IN CAA 0 issue \"ca.example\"
";

impl Drop for Server {
    fn drop(&mut self) {
        let _ = self.process.kill();
        let _ = self.process.wait();
    }
}

impl Server {
    pub(crate) fn start(kind: Kind) -> Self {
        let folder = tempfile::tempdir().expect("a folder");
        let port = free_port();
        let at = folder.path().display().to_string();
        std::fs::write(folder.path().join("example.org.zone"), ZONE).expect("written");
        let algorithm = algorithm(kind).as_str();
        let (program, args, config) = match kind {
            Kind::Bind => (
                "named",
                vec!["-f", "-c"],
                format!(
                    "options {{ directory \"{at}\"; listen-on port {port} {{ 127.0.0.1; }}; listen-on-v6 {{ none; }};
  pid-file \"{at}/pid\"; session-keyfile \"{at}/session\"; managed-keys-directory \"{at}\"; recursion no;
  dnssec-validation no; allow-transfer {{ key matou; }}; }};
controls {{ }};
key \"matou\" {{ algorithm {algorithm}; secret \"{SECRET}\"; }};
zone \"example.org\" {{ type master; file \"{at}/example.org.zone\"; allow-update {{ key matou; }}; }};
"
                ),
            ),
            Kind::Knot => (
                "knotd",
                vec!["-c"],
                format!(
                    "server:
    rundir: {at}
    listen: 127.0.0.1@{port}
database:
    storage: {at}
key:
  - id: matou
    algorithm: {algorithm}
    secret: {SECRET}
acl:
  - id: matou
    key: matou
    action: update
zone:
  - domain: example.org
    storage: {at}
    file: example.org.zone
    acl: matou
"
                ),
            ),
        };
        let path = folder.path().join("config");
        std::fs::write(&path, config).expect("written");
        let process = server(program)
            .args(args)
            .arg(&path)
            .spawn()
            .unwrap_or_else(|e| {
                panic!("{program} (Debian's packages bind9 and knot) does not start: {e}")
            });
        let started = Self {
            process,
            folder,
            kind,
            port,
        };
        until(Duration::from_secs(30), || {
            TcpStream::connect(("127.0.0.1", port)).map_err(|e| e.to_string())?;
            match started.dig("ns1.example.org", "A") {
                found if found == ["127.0.0.1"] => Ok(()),
                found => Err(format!("{found:?}")),
            }
        });
        started
    }

    pub(crate) fn place(&self) -> String {
        format!("127.0.0.1:{}", self.port)
    }

    /// What the server answers, a record a line.
    pub(crate) fn dig(&self, name: &str, kind: &str) -> Vec<String> {
        let port = self.port.to_string();
        let out = Command::new("dig")
            .args(["+short", "+tcp", "+time=5", "+tries=1", "-p", &port])
            .args(["@127.0.0.1", name, kind])
            .output()
            .expect("dig (Debian's package bind9-dnsutils)");
        let text = String::from_utf8_lossy(&out.stdout).into_owned();
        text.lines().map(str::to_owned).collect()
    }

    /// Changes records as somebody else with the same key would.
    pub(crate) fn by_hand(&self, lines: &str) {
        let key = self.folder.path().join("hand.key");
        let algorithm = algorithm(self.kind).as_str();
        let text = format!("key \"matou\" {{ algorithm {algorithm}; secret \"{SECRET}\"; }};\n");
        std::fs::write(&key, text).expect("written");
        let script = self.folder.path().join("hand");
        let text = format!(
            "server 127.0.0.1 {}\nzone example.org\n{lines}\nsend\n",
            self.port
        );
        std::fs::write(&script, text).expect("written");
        let out = Command::new("nsupdate")
            .arg("-k")
            .args([&key, &script])
            .output()
            .expect("nsupdate (Debian's package bind9-dnsutils)");
        assert!(out.status.success(), "{lines}: {}", said(&out));
    }

    pub(crate) fn key(&self) -> TransferKey {
        TransferKey {
            name: "matou".into(),
            algorithm: algorithm(self.kind),
            secret: SecretString::from(SECRET),
        }
    }

    pub(crate) fn provider(&self, key: &TransferKey) -> NameServer {
        NameServer::new(&self.place(), key).expect("a key")
    }

    /// The table of config.toml, and the file of the key beside it.
    pub(crate) fn table(&self, config: &Path, addresses: &str) -> String {
        let file: PathBuf = config.with_file_name("dns-key");
        crate::support::private(&file, &format!("{SECRET}\n"));
        format!(
            "[dns]\nprovider = \"rfc2136\"\nzones = [\"example.org\"]\naddresses = [{addresses}]\nttl = 120\n\
             server = \"{}\"\nkey_name = \"matou\"\nkey_algorithm = \"{}\"\nkey_file = \"dns-key\"\n",
            self.place(),
            algorithm(self.kind).as_str()
        )
    }
}

fn algorithm(kind: Kind) -> KeyAlgorithm {
    match kind {
        Kind::Bind => KeyAlgorithm::HmacSha256,
        Kind::Knot => KeyAlgorithm::HmacSha512,
    }
}
