//! What a node is reached by before its firewall changes: ports that its engine publishes, and ports on
//! which its programs listen. Those that new rules drop are told in the plan; whether somebody needs them
//! the operator knows alone.
//!
//! Ports that containers publish are dropped as well: the rules look at the port that a packet came for
//! before it was redirected, and what docker's proxy takes comes through the chain `input`.

use std::collections::{BTreeMap, BTreeSet};
use std::fmt;
use std::net::IpAddr;
use std::ops::RangeInclusive;

use matou_i18n::tr;
use matou_job::Change;
use matou_model::SwarmState;
use serde::Deserialize;

use super::facts::{FactQuery, NodeFacts};
use super::node_view::NodeView;

/// Names of the facts.
const CONTAINERS: &str = "containers";
const SERVICES: &str = "services";
const LISTENERS: &str = "listeners";
const OTHER_RULES: &str = "other-rules";

/// UDP ports of answers that the rules take by the port they come from: DHCP of IPv4 and IPv6.
const ANSWERED_PORTS: [u16; 2] = [68, 546];

/// Most rules of others that are read.
const MOST_RULES: usize = 10_000;

/// Returns the query for what a node is reached by, and for rules of others. `$sock` is the engine's
/// socket; the facts' own script sets it.
pub(super) fn reached_ports_query() -> FactQuery {
    let ask = |path: &str| {
        format!(
            "[ -S \"$sock\" ] && curl -sS --max-time 5 --unix-socket \"$sock\" http://docker{path}"
        )
    };
    FactQuery::default()
        .with_command(CONTAINERS, ask("/containers/json"))
        // Only a manager answers it.
        .with_command(SERVICES, ask("/services"))
        .with_command(LISTENERS, "ss -Hltunp")
        // Both print what is there, and make no table.
        .with_command(
            OTHER_RULES,
            "iptables-save; ip6tables-save; nft list tables",
        )
}

/// A port of a node.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord)]
struct NodePort {
    /// `tcp` or `udp`
    protocol: String,
    number: u16,
}

impl fmt::Display for NodePort {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}/{}", self.number, self.protocol)
    }
}

/// Ports that rules take from everybody or from the fleet.
#[derive(Debug, Default, Clone, PartialEq, Eq)]
pub(super) struct AcceptedPorts(Vec<(String, RangeInclusive<u16>)>);

impl AcceptedPorts {
    /// Reads rules as matou writes them, or as `nft list` shows them.
    pub(super) fn parse(rules: &str) -> Self {
        let mut found = Vec::new();
        for line in rules.lines() {
            let words = line.split(|c: char| c.is_whitespace() || "{},".contains(c));
            let words: Vec<&str> = words.filter(|w| !w.is_empty()).collect();
            let [protocol @ ("tcp" | "udp"), "dport", ports @ .., "accept"] = words.as_slice()
            else {
                continue;
            };
            let ranges = ports.iter().filter_map(|port| parse_port_range(port));
            found.extend(ranges.map(|range| ((*protocol).to_owned(), range)));
        }
        Self(found)
    }

    fn contains(&self, port: &NodePort) -> bool {
        let mut all = self.0.iter();
        all.any(|(protocol, range)| *protocol == port.protocol && range.contains(&port.number))
    }
}

fn parse_port_range(text: &str) -> Option<RangeInclusive<u16>> {
    let (first, last) = text.split_once('-').unwrap_or((text, text));
    Some(first.parse().ok()?..=last.parse().ok()?)
}

/// Ports at which a node is reached from outside, with who answers there: nobody, where it is not known.
type ReachedPorts = BTreeMap<NodePort, BTreeSet<String>>;

#[derive(Deserialize)]
#[serde(rename_all = "PascalCase")]
struct RawContainer {
    names: Option<Vec<String>>,
    labels: Option<BTreeMap<String, String>>,
    ports: Option<Vec<RawContainerPort>>,
}

#[derive(Deserialize)]
#[serde(rename_all = "PascalCase")]
struct RawContainerPort {
    #[serde(rename = "IP", default)]
    ip: String,
    /// 0 for one that is not published.
    #[serde(default)]
    public_port: u16,
    #[serde(rename = "Type", default)]
    protocol: String,
}

#[derive(Deserialize)]
#[serde(rename_all = "PascalCase")]
struct RawService {
    spec: RawServiceSpec,
    #[serde(default)]
    endpoint: RawEndpoint,
}

#[derive(Deserialize)]
#[serde(rename_all = "PascalCase")]
struct RawServiceSpec {
    name: String,
}

#[derive(Default, Deserialize)]
#[serde(rename_all = "PascalCase", default)]
struct RawEndpoint {
    ports: Option<Vec<RawServicePort>>,
}

#[derive(Deserialize)]
#[serde(rename_all = "PascalCase")]
struct RawServicePort {
    #[serde(default)]
    protocol: String,
    #[serde(default)]
    published_port: u16,
    #[serde(default)]
    publish_mode: String,
}

/// Whether only the node itself reaches an address. `*` and nothing are all addresses.
fn is_own_address(address: &str) -> bool {
    let address = address.trim_matches(['[', ']']);
    let address = address.split('%').next().unwrap_or_default();
    let ip = address.parse::<IpAddr>();
    ip.is_ok_and(|ip| ip.to_canonical().is_loopback())
}

/// Lists what containers of a node publish there, with the names of those of the swarm's services.
fn list_container_ports(containers: &[RawContainer]) -> ReachedPorts {
    let mut found = ReachedPorts::new();
    for container in containers {
        let labels = container.labels.as_ref();
        let service = labels.and_then(|l| l.get("com.docker.swarm.service.name"));
        let name = container.names.iter().flatten().next();
        let name = name.map_or("?", |name| name.trim_start_matches('/'));
        let who = match service {
            Some(name) => tr!("service {name}"),
            None => tr!("container {name}"),
        };
        for port in container.ports.iter().flatten() {
            if port.public_port == 0 || is_own_address(&port.ip) {
                continue;
            }
            let key = NodePort {
                protocol: port.protocol.clone(),
                number: port.public_port,
            };
            found.entry(key).or_default().insert(who.clone());
        }
    }
    found
}

/// Lists what services publish on every node of their swarm.
fn list_service_ports(services: &[RawService]) -> ReachedPorts {
    let mut found = ReachedPorts::new();
    for service in services {
        let name = &service.spec.name;
        for port in service.endpoint.ports.iter().flatten() {
            // Those of the mode `host` are their containers'.
            if port.published_port == 0 || port.publish_mode == "host" {
                continue;
            }
            let key = NodePort {
                protocol: port.protocol.clone(),
                number: port.published_port,
            };
            let who = tr!("service {name}");
            found.entry(key).or_default().insert(who);
        }
    }
    found
}

/// Lists what `ss -Hltunp` printed, loopback addresses left out.
fn list_listening_ports(printed: &str) -> ReachedPorts {
    let mut found = ReachedPorts::new();
    for line in printed.lines() {
        // Protocol, state, two queues, own address, peer, programs.
        let words: Vec<&str> = line.split_whitespace().collect();
        let [protocol, _, _, _, own, ..] = words.as_slice() else {
            continue;
        };
        let Some((address, port)) = own.rsplit_once(':') else {
            continue;
        };
        let Ok(number) = port.parse::<u16>() else {
            continue;
        };
        let answers = *protocol == "udp" && ANSWERED_PORTS.contains(&number);
        if is_own_address(address) || address.ends_with("%lo") || answers {
            continue;
        }
        let key = NodePort {
            protocol: (*protocol).to_owned(),
            number,
        };
        let program = line.split("((\"").nth(1).and_then(|l| l.split('"').next());
        let who = found.entry(key).or_default();
        who.extend(program.map(str::to_owned));
    }
    found
}

/// Returns the services of the swarm that a node is in, as a manager of the fleet knows them.
fn list_swarm_services(at: &NodeView<'_>) -> Vec<RawService> {
    let Some(own) = at.facts.engine().map(|e| e.swarm) else {
        return Vec::new();
    };
    if own.local_node_state != SwarmState::Active {
        return Vec::new();
    }
    let knows_node = |facts: &&NodeFacts| {
        let engine = facts.engine();
        engine.is_some_and(|e| e.nodes.iter().any(|n| n.id == own.node_id))
    };
    let nodes = at.config().nodes.iter();
    let facts = nodes.filter_map(|n| at.fleet.node_facts(&n.name).ok());
    let mut managers = facts.filter(knows_node);
    let answer = managers.find_map(|m| m.parse_json::<Vec<RawService>>(SERVICES).ok());
    answer.unwrap_or_default()
}

/// Finds what a node is reached by. Where the engine says who answers, its proxy is not named too.
fn find_reached_ports(at: &NodeView<'_>) -> ReachedPorts {
    let containers: Vec<RawContainer> = at.facts.parse_json(CONTAINERS).unwrap_or_default();
    let mut found = list_container_ports(&containers);
    for (port, who) in list_service_ports(&list_swarm_services(at)) {
        found.entry(port).or_default().extend(who);
    }
    for (port, who) in list_listening_ports(at.facts.output(LISTENERS)) {
        found.entry(port).or_insert(who);
    }
    found
}

/// Returns a line of the plan for each port that is reached under the rules that the node has, if it has
/// any of matou's, and that `rules` drop.
pub(super) fn warn_of_dropped_ports(
    at: &NodeView<'_>,
    has: Option<&AcceptedPorts>,
    rules: &AcceptedPorts,
) -> Vec<Change> {
    describe_dropped_ports(&find_reached_ports(at), has, rules)
}

fn describe_dropped_ports(
    reached: &ReachedPorts,
    has: Option<&AcceptedPorts>,
    rules: &AcceptedPorts,
) -> Vec<Change> {
    // Those in a row of the same programs are one line: a container may publish ten thousand.
    let mut rows: Vec<(&NodePort, &NodePort, &BTreeSet<String>)> = Vec::new();
    for (port, who) in reached {
        let is_known = ["tcp", "udp"].contains(&port.protocol.as_str());
        let is_reached = has.is_none_or(|has| has.contains(port));
        if !is_known || !is_reached || rules.contains(port) {
            continue;
        }
        match rows.last_mut() {
            Some((_, last, same))
                if *same == who
                    && last.protocol == port.protocol
                    && last.number.checked_add(1) == Some(port.number) =>
            {
                *last = port;
            }
            _ => rows.push((port, port, who)),
        }
    }
    let lines = rows.into_iter().map(|(first, last, who)| {
        let what = match first == last {
            true => tr!("port {first}"),
            false => tr!("ports {first} to {last}"),
        };
        let mut words = vec![what];
        words.extend(who.iter().cloned());
        Change::same(words.join(", ")).with_warning(match first == last {
            true => tr!(
                "what comes in there today will be dropped: to keep it open, add \"{first}\" to open_ports of [provision] in config.toml"
            ),
            false => tr!(
                "what comes in there today will be dropped: to keep one open, add it as \"{first}\" to open_ports of [provision] in config.toml"
            ),
        })
    });
    lines.collect()
}

/// Returns a line that names rules of others, if there are any: a packet must please them and matou's.
pub(super) fn describe_other_rules(facts: &NodeFacts) -> Option<Change> {
    let found = list_other_rules(facts.output(OTHER_RULES));
    let found: Vec<String> = found
        .into_iter()
        .map(|(place, count)| match count {
            0 => place,
            count => format!("{place} ({count})"),
        })
        .collect();
    (!found.is_empty()).then(|| {
        Change::same(tr!(
            "rules of others stay: {}; matou's table stands beside them, and what one of both drops is dropped",
            found.join(", ")
        ))
    })
}

/// Lists what others than docker, fail2ban and matou have: chains with the number of their rules, tables
/// with none.
fn list_other_rules(printed: &str) -> BTreeMap<String, usize> {
    let mut found: BTreeMap<String, usize> = BTreeMap::new();
    let mut table = "";
    for line in printed.lines().take(MOST_RULES) {
        if let Some(name) = line.strip_prefix('*') {
            table = name.trim_end();
            continue;
        }
        let words: Vec<&str> = line.split_whitespace().collect();
        match words.as_slice() {
            ["table", family, name] if !is_known_table(family, name) => {
                found.insert(format!("table {family} {name}"), 0);
            }
            // That of FORWARD is docker's own.
            [":INPUT", "DROP", ..] if table == "filter" => {
                *found.entry("iptables INPUT".to_owned()).or_default() += 1;
            }
            ["-A", chain, rule @ ..] if is_rule_of_others(table, chain, rule) => {
                *found.entry(format!("iptables {chain}")).or_default() += 1;
            }
            _ => {}
        }
    }
    found
}

/// Whether a table of nftables is matou's, docker's, fail2ban's or one that iptables keeps.
fn is_known_table(family: &str, name: &str) -> bool {
    let of_iptables = ["filter", "nat", "mangle", "raw", "security"];
    (family, name) == ("inet", "matou")
        || name.starts_with("docker")
        || name.starts_with("f2b")
        || (["ip", "ip6"].contains(&family) && of_iptables.contains(&name))
}

/// Whether a rule decides on what comes in, and is neither docker's nor fail2ban's. Chains of others are
/// led to from these.
fn is_rule_of_others(table: &str, chain: &str, rule: &[&str]) -> bool {
    let decides = match table {
        "filter" => ["INPUT", "DOCKER-USER"].contains(&chain),
        "nat" => chain == "PREROUTING",
        _ => false,
    };
    // Encrypted networks of the swarm are on 4789.
    let of_docker =
        |word: &&str| word.starts_with("DOCKER") || word.starts_with("docker") || *word == "4789";
    let of_fail2ban = |word: &&str| word.starts_with("f2b-");
    decides && rule != ["-j", "RETURN"] && !rule.iter().any(|w| of_docker(w) || of_fail2ban(w))
}

#[cfg(test)]
mod tests {
    use super::super::firewall::FirewallConcern;
    use super::super::testing::{check_of, config, lines};
    use super::*;

    const PRINTED: &str =
        "udp UNCONN 0 0 127.0.0.53%lo:53 0.0.0.0:* users:((\"systemd-resolve\",pid=1,fd=13))
udp UNCONN 0 0 192.0.2.7%eth0:68 0.0.0.0:* users:((\"systemd-network\",pid=2,fd=18))
udp UNCONN 0 0 0.0.0.0:4789 0.0.0.0:*
udp UNCONN 0 0 *:51820 *:*
tcp LISTEN 0 128 0.0.0.0:22 0.0.0.0:* users:((\"sshd\",pid=3,fd=3))
tcp LISTEN 0 4096 *:2377 *:* users:((\"dockerd\",pid=4,fd=18))
tcp LISTEN 0 4096 0.0.0.0:8080 0.0.0.0:* users:((\"docker-proxy\",pid=5,fd=7))
tcp LISTEN 0 4096 *:8081 *:* users:((\"dockerd\",pid=4,fd=30))
tcp LISTEN 0 511 [::]:80 [::]:* users:((\"nginx\",pid=6,fd=6),(\"nginx\",pid=7,fd=6))
tcp LISTEN 0 80 172.17.0.1:3306 0.0.0.0:* users:((\"mariadbd\",pid=8,fd=20))
tcp LISTEN 0 128 [::1]:631 [::]:* users:((\"cupsd\",pid=9,fd=7))
";

    const CONTAINER_LIST: &str = r#"[
        {"Names": ["/old-shop"], "Labels": {}, "Ports": [
            {"IP": "0.0.0.0", "PrivatePort": 80, "PublicPort": 8080, "Type": "tcp"},
            {"IP": "::", "PrivatePort": 80, "PublicPort": 8080, "Type": "tcp"},
            {"IP": "127.0.0.1", "PrivatePort": 81, "PublicPort": 8085, "Type": "tcp"},
            {"PrivatePort": 9000, "Type": "tcp"}]},
        {"Names": ["/web_web.1.abc"], "Labels": {"com.docker.swarm.service.name": "web_web"}, "Ports": [
            {"IP": "0.0.0.0", "PrivatePort": 53, "PublicPort": 5353, "Type": "udp"}]},
        {"Names": ["/turn"], "Labels": null, "Ports": [
            {"IP": "0.0.0.0", "PrivatePort": 7000, "PublicPort": 7000, "Type": "udp"},
            {"IP": "0.0.0.0", "PrivatePort": 7001, "PublicPort": 7001, "Type": "udp"},
            {"IP": "0.0.0.0", "PrivatePort": 7002, "PublicPort": 7002, "Type": "udp"}]},
        {"Names": ["/none"], "Labels": {}, "Ports": null}]"#;

    const SERVICE_LIST: &str = r#"[
        {"Spec": {"Name": "mail_smtp"}, "Endpoint": {"Ports": [
            {"Protocol": "tcp", "TargetPort": 80, "PublishedPort": 8081, "PublishMode": "ingress"},
            {"Protocol": "tcp", "TargetPort": 25, "PublishedPort": 2525, "PublishMode": "host"}]}},
        {"Spec": {"Name": "edge_traefik"}, "Endpoint": {"Ports": [
            {"Protocol": "tcp", "TargetPort": 443, "PublishedPort": 443, "PublishMode": "ingress"}]}},
        {"Spec": {"Name": "db"}, "Endpoint": {"Spec": {}}}]"#;

    /// A manager that serves something already.
    fn used_manager() -> NodeFacts {
        NodeFacts::of(&[
            ("sshd", "port 22"),
            (LISTENERS, PRINTED),
            (CONTAINERS, CONTAINER_LIST),
            (SERVICES, SERVICE_LIST),
            (
                "docker-info",
                r#"{"ServerVersion": "28.1.2", "Swarm": {"NodeID": "abc", "LocalNodeState": "active", "ControlAvailable": true}}"#,
            ),
            (
                "docker-nodes",
                r#"[{"ID": "abc", "Spec": {"Role": "manager", "Availability": "active"}}]"#,
            ),
        ])
    }

    /// Lines about ports, up to what is to be done.
    fn told(facts: NodeFacts, more: &str) -> Vec<String> {
        let plan = check_of(&FirewallConcern, &config(more), facts).unwrap();
        let told = lines(&plan).into_iter().filter(|l| l.starts_with("! port"));
        told.map(|l| l.split(" (").next().unwrap_or_default().to_owned())
            .collect()
    }

    #[test]
    fn every_port_that_the_first_rules_close_is_told() {
        assert_eq!(
            told(used_manager(), ""),
            [
                "! port 3306/tcp, mariadbd",
                "! port 8080/tcp, container old-shop",
                "! port 8081/tcp, service mail_smtp",
                "! port 5353/udp, service web_web",
                "! ports 7000/udp to 7002/udp, container turn",
                "! port 51820/udp",
            ]
        );
        let more = "[provision]\nopen_ports = [\"8080/tcp\", \"51820/udp\", \"7001/udp\"]";
        assert_eq!(
            told(used_manager(), more),
            [
                "! port 3306/tcp, mariadbd",
                "! port 8081/tcp, service mail_smtp",
                "! port 5353/udp, service web_web",
                "! port 7000/udp, container turn",
                "! port 7002/udp, container turn",
            ]
        );
        let plan = check_of(&FirewallConcern, &config(""), used_manager()).unwrap();
        assert!(
            lines(&plan)
                .iter()
                .any(|l| l.contains("add \"8080/tcp\" to open_ports of [provision]"))
        );
    }

    /// As the kernel lists them: one element has no braces.
    #[test]
    fn changed_rules_close_what_the_old_ones_took() {
        let live = "table inet matou {\n\tchain input {\n\t\ttcp dport { 80, 443, 3306, 8080 } accept\n\t\tudp dport 443 accept\n\t}\n\tchain fleet {\n\t\ttcp dport { 22, 2377, 7946, 49152-60999 } accept\n\t}\n\tchain containers {\n\t\ttcp dport { 8081 } drop\n\t}\n}";
        let facts = used_manager().with("nft", live, 0);
        assert_eq!(
            told(facts, "[provision]\nopen_ports = [\"3306/tcp\"]"),
            ["! port 8080/tcp, container old-shop"]
        );
        let accepted = AcceptedPorts::parse(live);
        let has = |number, protocol: &str| {
            accepted.contains(&NodePort {
                protocol: protocol.to_owned(),
                number,
            })
        };
        assert!(has(443, "udp") && has(50_000, "tcp") && !has(8081, "tcp") && !has(80, "udp"));
    }

    #[test]
    fn ports_of_the_swarm_are_those_of_every_node_in_it() {
        let alone = used_manager().with(
            "docker-info",
            r#"{"ServerVersion": "28.1.2", "Swarm": {"LocalNodeState": "inactive"}}"#,
            0,
        );
        let told = told(alone.with(LISTENERS, "", 127), "");
        assert!(!told.iter().any(|l| l.contains("8081")), "{told:?}");
        assert!(told.iter().any(|l| l.contains("8080")), "{told:?}");
    }

    #[test]
    fn what_is_no_answer_tells_nothing() {
        let facts = NodeFacts::of(&[
            (CONTAINERS, "<html>"),
            (
                SERVICES,
                "{\"message\": \"This node is not a swarm manager.\"}",
            ),
            (LISTENERS, "tcp\nx y z 0 no\n\ntcp LISTEN 0 0 *:x *:*"),
            (OTHER_RULES, "*\n-A\ntable\n"),
        ]);
        assert_eq!(told(facts.clone(), ""), Vec::<String>::new());
        assert_eq!(describe_other_rules(&facts), None);
    }

    #[test]
    fn rules_of_others_are_named_and_those_of_docker_are_not() {
        let known = "# Generated by iptables-save
*filter
:INPUT ACCEPT [0:0]
:FORWARD DROP [0:0]
:DOCKER - [0:0]
-A INPUT -p tcp -m multiport --dports 22 -j f2b-sshd
-A INPUT -p udp -m policy --dir in --pol ipsec -m udp --dport 4789 -j ACCEPT
-A FORWARD -j DOCKER-USER
-A DOCKER ! -i docker0 -o docker0 -j DROP
-A DOCKER-USER -j RETURN
*nat
:PREROUTING ACCEPT [0:0]
-A PREROUTING -m addrtype --dst-type LOCAL -j DOCKER
-A POSTROUTING -s 172.17.0.0/16 ! -o docker0 -j MASQUERADE
table inet matou
table ip nat
table ip6 filter
table ip docker-bridges
table inet f2b-table
";
        let facts = |text: &str| NodeFacts::of(&[(OTHER_RULES, text)]);
        assert_eq!(describe_other_rules(&facts(known)), None);
        let more = "*filter
:INPUT DROP [0:0]
-A INPUT -s 198.51.100.0/24 -j ACCEPT
-A DOCKER-USER -s 198.51.100.9/32 -j DROP
*nat
-A PREROUTING -p tcp -m tcp --dport 8022 -j DNAT --to-destination 10.0.3.2:22
table inet filter
";
        let told = describe_other_rules(&facts(&format!("{known}{more}"))).unwrap();
        assert_eq!(
            told.to_string(),
            "= rules of others stay: iptables DOCKER-USER (1), iptables INPUT (2), iptables PREROUTING (1), table inet filter; matou's table stands beside them, and what one of both drops is dropped"
        );
    }
}
