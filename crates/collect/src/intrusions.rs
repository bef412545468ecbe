//! Reads the alerts of each node's Suricata.

use matou_i18n::tr;
use std::net::{IpAddr, SocketAddr};
use std::time::Duration;

use jiff::Timestamp;
use serde::Deserialize;

use crate::CollectError;
use matou_base::text::{clean_line, truncate_to_width};
use matou_docker::Nodes;
use matou_host::{Command, Host, shell_script};
use matou_model::{Intrusion, NodeIntrusions, NodeProblem, NodeProblemKind};

const PATIENCE: Duration = Duration::from_secs(30);

/// Bytes that are read from the end of each log: of the present one and of the one before it.
const MAX_LOG_BYTES: u64 = 32 << 20;
/// Most alerts, and bytes of alerts, that are read of a node: long paths make long lines.
const MAX_ALERTS: usize = 2000;
const MAX_ALERT_BYTES: usize = 2 << 20;

/// Columns that are kept of each text from outside.
const MAX_COLUMNS: usize = 200;

/// Prints `absent`, `down` and a state, or `cut` where that is so, then the alerts of the logs.
const SCRIPT: &str = shell_script(include_str!("../scripts/list_intrusions.sh"));

/// An alert as Suricata writes it into eve.json.
/// Source: <https://docs.suricata.io/en/suricata-7.0.10/output/eve/eve-json-format.html>.
#[derive(Deserialize)]
struct EveEvent {
    timestamp: String,
    src_ip: IpAddr,
    dest_ip: IpAddr,
    dest_port: Option<u16>,
    alert: EveAlert,
    http: Option<EveHttp>,
    tls: Option<EveTls>,
    ssh: Option<EveSsh>,
}

#[derive(Deserialize)]
struct EveAlert {
    #[serde(default)]
    gid: u32,
    signature_id: u32,
    #[serde(default)]
    signature: String,
    #[serde(default)]
    category: String,
    severity: u8,
}

#[derive(Deserialize)]
struct EveHttp {
    hostname: Option<String>,
    url: Option<String>,
    http_user_agent: Option<String>,
    http_method: Option<String>,
    status: Option<u16>,
}

#[derive(Deserialize)]
struct EveTls {
    sni: Option<String>,
}

#[derive(Deserialize)]
struct EveSsh {
    client: Option<EveSshSide>,
}

#[derive(Deserialize)]
struct EveSshSide {
    software_version: Option<String>,
}

/// The alerts of every node, in the order of config.toml.
pub async fn read_intrusions(nodes: &Nodes) -> Vec<NodeIntrusions> {
    let reading = nodes
        .iter()
        .map(|node| async move { read_node_intrusions(&node.host, &node.config.name).await });
    futures_util::future::join_all(reading).await
}

async fn read_node_intrusions(host: &Host, node: &str) -> NodeIntrusions {
    let command = Command::sh(SCRIPT)
        .args([
            MAX_LOG_BYTES.to_string(),
            MAX_ALERTS.to_string(),
            MAX_ALERT_BYTES.to_string(),
        ])
        .sudo()
        .timeout(PATIENCE)
        .label(tr!("list Suricata's alerts"));
    let mut read = match host.run_ok(&command).await {
        Ok(output) => parse_intrusions(&output.stdout),
        Err(e) => NodeIntrusions {
            problem: Some(CollectError::Host(e).into()),
            ..parse_intrusions(b"")
        },
    };
    node.clone_into(&mut read.node);
    read
}

fn parse_intrusions(output: &[u8]) -> NodeIntrusions {
    let mut read = NodeIntrusions {
        node: String::new(),
        intrusions: Vec::new(),
        cut: output.len() >= MAX_ALERT_BYTES,
        problem: None,
    };
    for line in output.split(|b| *b == b'\n') {
        match line {
            b"absent" => {
                read.problem = Some(NodeProblem::new(
                    NodeProblemKind::Absent,
                    tr!(
                        "has no Suricata: write suricata = \"builtin\" into [provision] of config.toml, then `matou provision --only suricata`"
                    ),
                ));
            }
            b"cut" => read.cut = true,
            _ if line.starts_with(b"down\t") => {
                let state = matou_base::text::clean_bytes(&line[5..]);
                read.problem = Some(NodeProblem::new(
                    NodeProblemKind::Failed,
                    format_args!(
                        "{}",
                        tr!(
                            "Suricata does not run ({}): `matou provision --only suricata` starts it",
                            state.trim()
                        )
                    ),
                ));
            }
            // The first line may have lost its beginning.
            _ => read.intrusions.extend(
                serde_json::from_slice::<EveEvent>(line)
                    .ok()
                    .and_then(intrusion_from_event),
            ),
        }
    }
    read.cut |= read.intrusions.len() >= MAX_ALERTS;
    read
}

fn clean_and_truncate(text: &str) -> String {
    // Combining marks take no column, so characters are limited too.
    let some: String = text.chars().take(4 * MAX_COLUMNS).collect();
    truncate_to_width(&clean_line(&some), MAX_COLUMNS, "…").into_owned()
}

fn intrusion_from_event(event: EveEvent) -> Option<Intrusion> {
    let at: Timestamp = jiff::fmt::strtime::parse("%Y-%m-%dT%H:%M:%S%.f%z", &event.timestamp)
        .and_then(|t| t.to_timestamp())
        .ok()?;
    Some(Intrusion {
        at,
        signature: clean_and_truncate(&event.alert.signature),
        rule: format!("{}:{}", event.alert.gid, event.alert.signature_id),
        category: clean_and_truncate(&event.alert.category),
        severity: event.alert.severity,
        source: event.src_ip,
        target: match event.dest_port {
            Some(port) => SocketAddr::new(event.dest_ip, port).to_string(),
            None => event.dest_ip.to_string(),
        },
        detail: describe_eve_event(&event).map(|text| clean_and_truncate(&text)),
    })
}

/// Describes the request: its line and user agent for HTTP, the name for TLS, the client for SSH.
fn describe_eve_event(event: &EveEvent) -> Option<String> {
    if let Some(http) = &event.http {
        let of = |text: &Option<String>| text.clone().unwrap_or_default();
        let status = http.status.map_or_else(String::new, |s| format!(" {s}"));
        let agent = match &http.http_user_agent {
            Some(agent) => format!(
                " ({})",
                truncate_to_width(&clean_line(agent), MAX_COLUMNS / 4, "…")
            ),
            None => String::new(),
        };
        let what = format!(
            "{} {}{}",
            of(&http.http_method),
            of(&http.hostname),
            of(&http.url)
        );
        // A long path must not push out the status and the user agent.
        let what =
            truncate_to_width(clean_line(what.trim()).as_ref(), MAX_COLUMNS / 2, "…").into_owned();
        return Some(format!("{what}{status}{agent}"));
    }
    let tls = event.tls.as_ref().and_then(|t| t.sni.clone());
    let ssh = event.ssh.as_ref().and_then(|s| s.client.as_ref());
    tls.or_else(|| ssh.and_then(|s| s.software_version.clone()))
}

#[cfg(test)]
mod tests {
    use super::*;

    /// As Suricata 7.0.10 of Debian wrote it.
    const LINE: &str = r#"{"timestamp":"2026-11-24T20:28:29.465574+0100","flow_id":1684541740930779,"in_iface":"eth0","event_type":"alert","src_ip":"10.213.80.12","src_port":45804,"dest_ip":"10.213.80.11","dest_port":80,"proto":"TCP","pkt_src":"wire/pcap","tx_id":0,"alert":{"action":"allowed","gid":1,"signature_id":1866010,"rev":1,"signature":"HTTP: path traversal","category":"Web Application Attack","severity":1},"http":{"hostname":"10.213.80.11","url":"/../../etc/passwd","http_user_agent":"curl/7.88.1","http_content_type":"text/html","http_method":"GET","protocol":"HTTP/1.1","status":404,"length":0},"app_proto":"http","direction":"to_server"}"#;

    #[test]
    fn an_alert_is_read() {
        let read = parse_intrusions(format!("half a line\"}}\n{LINE}\n").as_bytes());
        let [one] = &read.intrusions[..] else {
            panic!("{read:?}");
        };
        assert_eq!(one.at, "2026-11-24T19:28:29.465574Z".parse().unwrap());
        assert_eq!((&*one.rule, one.severity), ("1:1866010", 1));
        assert_eq!(one.target, "10.213.80.11:80");
        assert_eq!(
            one.detail.as_deref(),
            Some("GET 10.213.80.11/../../etc/passwd 404 (curl/7.88.1)")
        );
        assert!(!read.cut && read.problem.is_none());
    }

    #[test]
    fn what_is_hostile_is_cleaned_and_short() {
        let url = format!("/\\u001b[2J\\u202e{}", "x".repeat(10_000));
        let line = LINE.replace("/../../etc/passwd", &url);
        let line = line.replace("curl/7.88.1", "\\u001b]0;title\\u0007a\\nb");
        let read = parse_intrusions(line.as_bytes());
        let detail = read.intrusions[0].detail.clone().unwrap();
        assert!(detail.starts_with("GET 10.213.80.11/xxx"), "{detail}");
        assert!(detail.ends_with("404 (a b)"), "{detail}");
        assert!(
            detail.len() <= MAX_COLUMNS && !detail.contains('\u{1b}'),
            "{detail}"
        );
    }

    #[test]
    fn a_node_without_it_and_one_where_it_is_down_say_so() {
        let absent = parse_intrusions(b"absent\n").problem.unwrap().to_string();
        assert!(absent.starts_with("has no Suricata"), "{absent}");
        let down = parse_intrusions(format!("down\tfailed\ncut\n{LINE}").as_bytes());
        assert!(down.problem.unwrap().as_str().contains("(failed)"));
        assert!(down.cut && down.intrusions.len() == 1);
    }
}
