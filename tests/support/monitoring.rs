//! What the monitoring stack needs on a practice fleet: images of Debian's Prometheus, Alertmanager
//! and exporters, certificates without an authority that is asked, and somebody who is told.

use std::io::{BufRead, BufReader, Read, Write};
use std::net::TcpListener;
use std::path::Path;
use std::sync::{Arc, Mutex};
use std::time::Duration;

use serde_json::Value;

use super::Fleet;
use super::edge::{import, sh};

/// A root file system with the programs of this machine, the libraries they need, and busybox.
const ROOT: &str = r#"r=$1/root; mkdir -p $r/bin $r/usr/bin $r/etc $r/prometheus $r/alertmanager; install -d -m 1777 $r/tmp
cp "$(command -v busybox)" $r/bin/busybox
for a in sh wget ls cat; do ln -s busybox $r/bin/$a; done
for p in prometheus prometheus-alertmanager prometheus-node-exporter prometheus-blackbox-exporter; do
  f=$(command -v $p) || { echo "$p is missing: run scripts/setup.sh" >&2; exit 1; }
  cp "$f" $r/usr/bin/
  for l in $(ldd "$f" | grep -o '/[^ ]*'); do mkdir -p "$r$(dirname $l)"; cp -Ln "$l" "$r$l"; done
done
mkdir -p $r/usr/share/prometheus; cp -rL /usr/share/prometheus/alertmanager $r/usr/share/prometheus/
printf 'root:x:0:0:root:/:/bin/sh\n' >$r/etc/passwd
tar -C $r -cf $1/monitoring.tar ."#;

/// Gives a node `matou/prometheus:1`, `matou/alertmanager:1`, `matou/node-exporter:1`,
/// `matou/blackbox-exporter:1`, and a stand-in `matou/cadvisor:1`.
pub(crate) fn images(fleet: &Fleet, node: &str) {
    let dir = tempfile::tempdir().expect("a folder");
    sh(ROOT, &[&dir.path().to_string_lossy()]);
    let tar = dir.path().join("monitoring.tar");
    import(
        fleet,
        node,
        &tar,
        "matou/monitoring:1",
        "ENV PATH=/bin:/usr/bin",
    );
    for (image, program) in [
        ("prometheus", "prometheus"),
        ("alertmanager", "prometheus-alertmanager"),
        ("node-exporter", "prometheus-node-exporter"),
        ("blackbox-exporter", "prometheus-blackbox-exporter"),
    ] {
        let file = format!("FROM matou/monitoring:1\\nENTRYPOINT [\"/usr/bin/{program}\"]\\n");
        let build = format!("printf '{file}' | docker build -q -t matou/{image}:1 -");
        fleet.run(node, &build);
    }
    // cAdvisor can't be had; this one runs, is well, and has no metrics.
    let file = "FROM matou/hello:1.0\\nRUN touch /www/healthz\\nENTRYPOINT [\"/start\"]\\n";
    let build = format!("printf '{file}' | docker build -q -t matou/cadvisor:1 -");
    fleet.run(node, &build);
}

/// A certificate for `domains` of an authority of our own, as Traefik keeps it in acme.json: it
/// asks nobody for what is there. Answers with the authority's certificate and the store.
pub(crate) fn certificates(domains: &[&str]) -> (String, String) {
    let dir = tempfile::tempdir().expect("a folder");
    let names: Vec<String> = domains.iter().map(|d| format!("DNS:{d}")).collect();
    let script = "cd \"$1\"\n\
        openssl req -x509 -newkey rsa:2048 -nodes -days 90 -subj '/CN=practice authority' -keyout ca.key -out ca.pem 2>/dev/null\n\
        openssl req -newkey rsa:2048 -nodes -subj /CN=edge -keyout key.pem -out csr.pem 2>/dev/null\n\
        printf 'subjectAltName=%s\\n' \"$2\" >ext\n\
        openssl x509 -req -in csr.pem -CA ca.pem -CAkey ca.key -CAcreateserial -days 80 -extfile ext -out leaf.pem 2>/dev/null\n\
        printf '{\"le\":{\"Account\":null,\"Certificates\":[{\"domain\":%s,\"certificate\":\"%s\",\"key\":\"%s\",\"Store\":\"default\"}]}}' \
        \"$3\" \"$(base64 -w0 leaf.pem)\" \"$(base64 -w0 key.pem)\" >acme.json";
    let (main, sans) = domains.split_first().expect("a domain");
    let domain = serde_json::json!({"main": main, "sans": sans}).to_string();
    let path = dir.path().to_string_lossy();
    sh(script, &[&path, &names.join(","), &domain]);
    let read = |name: &str| std::fs::read_to_string(dir.path().join(name)).expect("made");
    (read("ca.pem"), read("acme.json"))
}

/// Writes a file on a node, readable for root alone.
pub(crate) fn put(fleet: &Fleet, node: &str, path: &str, text: &str) {
    let folder = Path::new(path).parent().expect("a folder").display();
    let script = format!("mkdir -p {folder}; umask 077; cat >{path} <<'END'\n{text}\nEND");
    fleet.run(node, &script);
}

/// Somebody who is told by webhook, and remembers.
pub(crate) struct Told {
    pub url: String,
    alerts: Arc<Mutex<Vec<Value>>>,
}

impl Told {
    /// Listens at this machine's address in the fleet's network.
    pub(crate) fn listen(address: &str) -> Self {
        let listener = TcpListener::bind((address, 0)).expect("a port");
        let url = format!("http://{}/", listener.local_addr().expect("an address"));
        let alerts: Arc<Mutex<Vec<Value>>> = Arc::default();
        let kept = alerts.clone();
        // Ends with the test's process.
        std::thread::spawn(move || {
            for stream in listener.incoming().flatten() {
                let _ = stream.set_read_timeout(Some(Duration::from_secs(5)));
                let mut reader = BufReader::new(stream);
                let mut length = 0;
                let mut line = String::new();
                while reader.read_line(&mut line).is_ok_and(|n| n > 2) {
                    if let Some((name, value)) = line.split_once(':')
                        && name.eq_ignore_ascii_case("content-length")
                    {
                        length = value.trim().parse().unwrap_or(0);
                    }
                    line.clear();
                }
                let mut body = vec![0; length];
                if reader.read_exact(&mut body).is_ok()
                    && let Ok(message) = serde_json::from_slice::<Value>(&body)
                {
                    let alerts = message["alerts"].as_array().cloned().unwrap_or_default();
                    kept.lock().expect("not poisoned").extend(alerts);
                }
                let answer = b"HTTP/1.1 200 OK\r\nContent-Length: 0\r\nConnection: close\r\n\r\n";
                let _ = reader.get_mut().write_all(answer);
            }
        });
        Self { url, alerts }
    }

    /// Whether an alert of that name and label was told of last as `status`.
    pub(crate) fn of(&self, name: &str, label: (&str, &str), status: &str) -> Result<(), String> {
        let alerts = self.alerts.lock().expect("not poisoned");
        let about =
            |a: &&Value| a["labels"]["alertname"] == name && a["labels"][label.0] == label.1;
        match alerts.iter().rfind(about) {
            Some(last) if last["status"] == status => Ok(()),
            Some(last) => Err(format!("{name} is {}", last["status"])),
            None => Err(format!("{name} was not told of; told was {alerts:?}")),
        }
    }
}
