//! A real registry on this machine: Debian's docker-registry, which is CNCF Distribution.

use std::net::{TcpListener, TcpStream};
use std::path::Path;
use std::process::{Child, Command};
use std::time::Duration;

use super::until;

/// A registry that keeps what it gets in a folder.
pub(crate) struct Registry {
    process: Child,
    pub port: u16,
}

/// A port that nobody listens on now.
pub(crate) fn free_port() -> u16 {
    let listener = TcpListener::bind("127.0.0.1:0").expect("a port");
    listener.local_addr().expect("an address").port()
}

impl Registry {
    /// Starts one; `more` is added to its configuration.
    pub(crate) fn start(folder: &Path, port: u16, more: &str) -> Self {
        let file = folder.join("registry.yml");
        let data = folder.join("data");
        let text = format!(
            "version: 0.1\nlog: {{level: error, accesslog: {{disabled: true}}}}\nstorage: {{filesystem: {{rootdirectory: {}}}}}\nhttp: {{addr: 127.0.0.1:{port}}}\n{more}",
            data.display()
        );
        std::fs::write(&file, text).expect("written");
        let process = super::server("docker-registry")
            .arg("serve")
            .arg(&file)
            .spawn()
            .unwrap_or_else(|e| panic!("docker-registry (Debian's package) does not start: {e}"));
        let registry = Self { process, port };
        until(Duration::from_secs(20), || {
            TcpStream::connect(("127.0.0.1", port))
                .map(drop)
                .map_err(|e| e.to_string())
        });
        registry
    }

    /// Gives a repository tags of an image without layers.
    pub(crate) fn push(&self, repository: &str, tags: &[&str]) {
        let base = format!("http://127.0.0.1:{}/v2/{repository}", self.port);
        let script = r#"
            config='{"architecture":"amd64","os":"linux","rootfs":{"type":"layers","diff_ids":[]},"config":{}}'
            digest=sha256:$(printf '%s' "$config" | sha256sum | cut -d' ' -f1)
            place=$(curl -fsS -i -X POST "$1/blobs/uploads/" | tr -d '\r' | sed -n 's/^[Ll]ocation: //p')
            curl -fsS -X PUT --data-binary "$config" -H 'Content-Type: application/octet-stream' "$place&digest=$digest"
            kind=application/vnd.docker.distribution.manifest.v2+json
            manifest='{"schemaVersion":2,"mediaType":"'$kind'","config":{"mediaType":"application/vnd.docker.container.image.v1+json","size":'${#config}',"digest":"'$digest'"},"layers":[]}'
            base=$1; shift
            for tag; do curl -fsS -X PUT -H "Content-Type: $kind" --data-binary "$manifest" "$base/manifests/$tag"; done"#;
        let out = Command::new("sh")
            .args(["-ec", script, "sh", &base])
            .args(tags)
            .output()
            .expect("a shell");
        assert!(out.status.success(), "{}", super::said(&out));
    }
}

impl Drop for Registry {
    fn drop(&mut self) {
        let _ = self.process.kill();
        let _ = self.process.wait();
    }
}
