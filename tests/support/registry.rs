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
        self.push_image(repository, tags, "amd64", &serde_json::json!({}));
    }

    /// The same of one that is built for some architectures, and is started as `config` says. One that
    /// is built for several has a list of them.
    pub(crate) fn push_image(
        &self,
        repository: &str,
        tags: &[&str],
        architectures: &str,
        config: &serde_json::Value,
    ) {
        let base = format!("http://127.0.0.1:{}/v2/{repository}", self.port);
        let script = r#"
            base=$1 config=$2 architectures=$3; shift 3
            digest() { printf 'sha256:'; printf '%s' "$1" | sha256sum | cut -d' ' -f1; }
            put() { curl -fsS -X PUT -H "Content-Type: $1" --data-binary "$2" "$base/manifests/$3"; }
            one=application/vnd.oci.image.manifest.v1+json
            entries=
            for architecture in $architectures; do
                text='{"architecture":"'$architecture'","os":"linux","rootfs":{"type":"layers","diff_ids":[]},"config":'$config'}'
                sum=$(digest "$text")
                place=$(curl -fsS -i -X POST "$base/blobs/uploads/" | tr -d '\r' | sed -n 's/^[Ll]ocation: //p')
                curl -fsS -X PUT --data-binary "$text" -H 'Content-Type: application/octet-stream' "$place&digest=$sum"
                manifest='{"schemaVersion":2,"mediaType":"'$one'","config":{"mediaType":"application/vnd.oci.image.config.v1+json","size":'${#text}',"digest":"'$sum'"},"layers":[]}'
                sum=$(digest "$manifest")
                put "$one" "$manifest" "$sum"
                entries=$entries${entries:+,}'{"mediaType":"'$one'","size":'${#manifest}',"digest":"'$sum'","platform":{"architecture":"'$architecture'","os":"linux"}}'
            done
            case $architectures in
            *' '*) one=application/vnd.oci.image.index.v1+json
                vouches='{"mediaType":"application/vnd.oci.image.manifest.v1+json","size":'${#manifest}',"digest":"'$sum'","platform":{"architecture":"unknown","os":"unknown"}}'
                manifest='{"schemaVersion":2,"mediaType":"'$one'","manifests":['$entries,$vouches']}' ;;
            esac
            for tag; do put "$one" "$manifest" "$tag"; done"#;
        let out = Command::new("sh")
            .args([
                "-ec",
                script,
                "sh",
                &base,
                &config.to_string(),
                architectures,
            ])
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
