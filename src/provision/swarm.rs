//! Membership of the swarm: the first manager makes it, the others join by address, in the role,
//! with the labels and the availability that config.toml says. Join tokens travel in request
//! bodies only.
//!
//! Undo: `matou leave NODE`.

use std::collections::BTreeMap;
use std::net::{IpAddr, SocketAddr};
use std::time::Duration;

use async_trait::async_trait;
use secrecy::SecretString;

use super::Concern;
use super::at::{At, check};
use super::drain::manager;
use super::engine_facts::{Engine, Swarm, SwarmNode};
use super::facts::{Facts, Needs};
use super::run::Run;
use crate::config::{Config, NodeConfig};
use crate::docker::DockerError;
use crate::host::Command;
use crate::job::{Change, Check, StepError};
use crate::model::{Availability, Role};

/// Networks that overlay networks may be cut out of, the first that no node has an address in.
/// The engine's own choice, 10.0.0.0/8, collides with most providers' private networks.
const POOLS: [&str; 4] = [
    "10.240.0.0/16",
    "10.96.0.0/16",
    "172.28.0.0/14",
    "192.168.128.0/17",
];

/// How long a joining node may take to become active.
const JOIN: Duration = Duration::from_secs(90);

/// How long an engine that is of a swarm may take until it takes part in it.
const TAKES_PART: Duration = Duration::from_secs(20);

/// See the module.
pub struct Membership;

/// What stands in the way, or is to be done, for one node.
#[derive(Debug, PartialEq, Eq)]
enum State {
    /// No engine yet.
    NoEngine,
    /// It makes the swarm.
    Init,
    /// It joins the swarm of these managers.
    Join,
    /// There is no swarm to join yet.
    Waits,
    Member(SwarmNode),
    /// A manager does not answer that may have a swarm.
    Unknown,
    /// It belongs to a swarm of others.
    Foreign,
    Locked,
    /// Joined, and can't take part.
    Failing(String),
}

fn state(at: &At<'_>) -> State {
    let Some(engine) = at.facts.engine() else {
        return State::NoEngine;
    };
    let ours = managers(at);
    match engine.swarm.local_node_state.as_str() {
        "active" => {
            let id = &engine.swarm.node_id;
            let nodes = ours.first().map(|(_, e)| e.nodes.as_slice());
            match nodes.unwrap_or_default().iter().find(|n| n.id == *id) {
                Some(node) => State::Member(node.clone()),
                None if ours.is_empty() && silent_manager(at) => State::Unknown,
                None => State::Foreign,
            }
        }
        "locked" => State::Locked,
        "pending" | "error" => beside_a_swarm(at, &engine.swarm, &ours),
        _ if !ours.is_empty() => State::Join,
        // A second swarm beside one that is only out of reach would be worse than none.
        _ if silent_manager(at) => State::Unknown,
        _ if is_first_manager(at) => State::Init,
        _ => State::Waits,
    }
}

/// A node that is of a swarm and does not reach it: of one that is lost, when no manager of the
/// fleet's knows it. A manager is never taken for one of those: it may be about to be elected.
fn beside_a_swarm(at: &At<'_>, swarm: &Swarm, ours: &[(&NodeConfig, Engine)]) -> State {
    let failing = State::Failing(swarm.error.clone());
    if at.node.role == Role::Manager || swarm.node_id.is_empty() {
        return failing;
    }
    match ours.first() {
        Some((_, manager)) if manager.nodes.iter().any(|n| n.id == swarm.node_id) => failing,
        None if silent_manager(at) => State::Unknown,
        _ => State::Foreign,
    }
}

/// The fleet's swarm, by its managers and their engines: of several, the one of most nodes, since a
/// swarm that somebody made by mistake has but one.
fn managers<'a>(at: &'a At<'_>) -> Vec<(&'a NodeConfig, Engine)> {
    let mut managers: Vec<_> = at
        .config()
        .nodes
        .iter()
        .filter_map(|n| Some((n, at.fleet.facts(&n.name).ok()?.engine()?)))
        .filter(|(_, e)| e.is_manager())
        .collect();
    managers.sort_by_key(|(_, e)| std::cmp::Reverse(e.nodes.len()));
    let known: Vec<String> = managers
        .first()
        .map(|(_, e)| e.nodes.iter().map(|n| n.id.clone()).collect())
        .unwrap_or_default();
    managers.retain(|(_, e)| known.contains(&e.swarm.node_id));
    managers
}

/// A manager of config.toml does not answer, or does not take part yet: it may be of the swarm that
/// this node is in.
fn silent_manager(at: &At<'_>) -> bool {
    let mut managers = at.config().nodes.iter().filter(|n| n.role == Role::Manager);
    managers.any(|n| match at.fleet.facts(&n.name) {
        Err(_) => true,
        Ok(facts) => facts.engine().is_some_and(|e| {
            matches!(
                e.swarm.local_node_state.as_str(),
                "pending" | "error" | "locked"
            )
        }),
    })
}

fn is_first_manager(at: &At<'_>) -> bool {
    let first = at.config().nodes.iter().find(|n| n.role == Role::Manager);
    first.is_some_and(|n| n.name == at.node.name)
}

fn role(node: &NodeConfig) -> &'static str {
    match node.role {
        Role::Manager => "manager",
        Role::Worker => "worker",
    }
}

fn pools(at: &At<'_>) -> Vec<String> {
    let configured = &at.config().provision.address_pools;
    if !configured.is_empty() {
        return configured.clone();
    }
    let taken: Vec<IpAddr> = at
        .config()
        .nodes
        .iter()
        .filter_map(|n| at.fleet.facts(&n.name).ok())
        .flat_map(Facts::addresses)
        .map(|a| a.ip)
        .collect();
    let free = POOLS
        .into_iter()
        .find(|pool| !taken.iter().any(|ip| contains(pool, *ip)));
    free.map(str::to_owned).into_iter().collect()
}

/// Whether an IPv4 network, as `10.0.0.0/8`, holds an address.
fn contains(network: &str, ip: IpAddr) -> bool {
    let Some((base, bits)) = network.split_once('/') else {
        return false;
    };
    let (Ok(base), Ok(bits), IpAddr::V4(ip)) =
        (base.parse::<std::net::Ipv4Addr>(), bits.parse::<u32>(), ip)
    else {
        return false;
    };
    let mask = u32::MAX.checked_shl(32 - bits).unwrap_or(0);
    u32::from(base) & mask == u32::from(ip) & mask
}

#[async_trait]
impl Concern for Membership {
    fn name(&self) -> &'static str {
        "swarm"
    }

    /// Every node is asked about its swarm.
    fn needs(&self, _: &NodeConfig, _: &Config) -> Needs {
        Needs::default()
    }

    fn check(&self, at: &At<'_>) -> Result<Check, String> {
        let node = at.node;
        let lines = match state(at) {
            State::NoEngine => return Ok(Check::Unknown("no engine answers yet".into())),
            State::Waits => return Ok(Check::Unknown("the swarm is not made yet".into())),
            State::Unknown => {
                return Ok(Check::Unknown(
                    "no manager answers that could tell its nodes".into(),
                ));
            }
            State::Init => {
                let address = at.fleet.address(node)?;
                let pools = match pools(at).as_slice() {
                    [] => "the engine's own".to_owned(),
                    pools => pools.join(", "),
                };
                vec![Change::add(format!(
                    "swarm, with {} as its first manager at {address}, overlay networks out of {pools}",
                    node.name
                ))]
            }
            State::Join => {
                let address = at.fleet.address(node)?;
                vec![Change::add(format!(
                    "{} of the swarm, at {address}",
                    role(node)
                ))]
            }
            State::Member(found) => member(at, &found)?,
            State::Foreign => {
                let question = at.question("leave-swarm");
                let line = Change::ask(
                    format!(
                        "{} belongs to another swarm: type {question} to take it out of that one",
                        node.name
                    ),
                    question,
                );
                let line = line.warn("what runs on it there is lost to that swarm");
                match at.accepted("leave-swarm") {
                    true => vec![
                        Change::remove(format!("{} from the other swarm", node.name)),
                        Change::add(format!("{} of the swarm", role(node))),
                    ],
                    false => vec![line],
                }
            }
            State::Locked => vec![Change::decide(format!(
                "the swarm of {} is locked: run `docker swarm unlock` there with its key",
                node.name
            ))],
            State::Failing(why) => vec![Change::modify(
                format!("{} in the swarm", node.name),
                match why.is_empty() {
                    true => "joining".to_owned(),
                    false => crate::text::clean(&why).into_owned(),
                },
                "active",
            )],
        };
        Ok(check(lines))
    }

    async fn apply(&self, at: &At<'_>, run: &Run<'_>) -> Result<(), StepError> {
        let applied = apply(at, run).await;
        // The managers' lists changed as well.
        run.forget_all();
        applied
    }
}

/// What differs on a member.
fn member(at: &At<'_>, found: &SwarmNode) -> Result<Vec<Change>, String> {
    let node = at.node;
    let mut lines = Vec::new();
    lines.push(if found.role == role(node) {
        Change::same(format!("{} of the swarm", found.role))
    } else {
        let change = Change::modify(format!("role of {}", node.name), &found.role, role(node));
        quorum(at, found, change)?
    });
    for (key, value) in &node.labels {
        let label = format!("label {key}");
        lines.push(match found.labels.get(key) {
            Some(now) if now == value => Change::same(format!("{label} = {value}")),
            Some(now) => Change::modify(label, now, value),
            None => Change::add(format!("{label} = {value}")),
        });
    }
    if let Some(wanted) = node.availability {
        let what = format!("availability of {}", node.name);
        lines.push(if found.availability == wanted.as_str() {
            Change::same(format!("{what}: {}", wanted.as_str()))
        } else {
            Change::modify(what, &found.availability, wanted.as_str())
        });
    }
    if is_first_manager(at) {
        let wanted = at.config().provision.autolock;
        let now = autolock(at.facts);
        if now != wanted {
            let say = |on| if on { "on" } else { "off" };
            lines.push(Change::modify("autolock", say(now), say(wanted)));
        }
        let wanted = at.config().provision.heartbeat;
        if let Some(now) = heartbeat(at.facts)
            && now != wanted
        {
            let say = |period: Duration| format!("{} s", period.as_secs_f64());
            lines.push(Change::modify("heartbeat", say(now), say(wanted)));
        }
    }
    Ok(lines)
}

/// Adds what a change of role means for the managers' majority.
fn quorum(at: &At<'_>, found: &SwarmNode, change: Change) -> Result<Change, String> {
    let lists = managers(at);
    let nodes: &[SwarmNode] = lists.first().map_or(&[], |(_, e)| &e.nodes);
    let count = nodes.iter().filter(|n| n.role == "manager").count();
    let reachable = nodes.iter().filter(|n| n.reachable).count();
    if found.role == "worker" {
        let after = count + 1;
        return Ok(match after % 2 {
            0 => change.warn(format!(
                "{after} managers bear the loss of no more than {} do: take an odd number",
                after - 1
            )),
            _ => change,
        });
    }
    let after = count.saturating_sub(1);
    let left = reachable.saturating_sub(usize::from(found.reachable));
    if after == 0 || left <= after / 2 {
        return Err(format!(
            "{} can't become a worker: of the {after} managers that would be left {left} answer, and the swarm needs more than half of them",
            at.node.name
        ));
    }
    Ok(change)
}

fn autolock(facts: &Facts) -> bool {
    facts
        .json::<serde_json::Value>("swarm-spec")
        .ok()
        .and_then(|v| v["Spec"]["EncryptionConfig"]["AutoLockManagers"].as_bool())
        .unwrap_or(false)
}

/// `None` where there was no swarm when it was asked.
fn heartbeat(facts: &Facts) -> Option<Duration> {
    let swarm: serde_json::Value = facts.json("swarm-spec").ok()?;
    let period = swarm["Spec"]["Dispatcher"]["HeartbeatPeriod"].as_u64()?;
    Some(Duration::from_nanos(period))
}

async fn apply(at: &At<'_>, run: &Run<'_>) -> Result<(), StepError> {
    let failed = |e: DockerError| StepError::failed(e.to_string());
    let docker = &run.cx.docker;
    let mut now = state(at);
    if now == State::Foreign {
        // Its own container list stays; only the membership ends.
        leave(run).await?;
        now = match managers(at).iter().any(|(n, _)| n.name != at.node.name) {
            true => State::Join,
            false if is_first_manager(at) => State::Init,
            false => State::Waits,
        };
    }
    if let State::Failing(why) = &now {
        // A join that was given up goes on in the engine; a manager may be about to be elected.
        match became_active(run).await {
            true => {}
            false if at.node.role == Role::Manager => {
                return Err(StepError::failed(format!(
                    "{} is of a swarm that it can't reach ({}): look at `docker info` and `journalctl -u docker` there",
                    at.node.name,
                    crate::text::clean(why)
                )));
            }
            false => {
                leave(run).await?;
                now = State::Join;
            }
        }
    }
    match now {
        State::Init => {
            let address = at.fleet.address(at.node).map_err(StepError::Failed)?;
            docker
                .init_swarm(&address.to_string(), pools(at))
                .await
                .map_err(failed)?;
            run.cx.out.note("the swarm is made").await;
            set(at, run).await
        }
        State::Join => {
            join(at, run).await?;
            set(at, run).await
        }
        State::Member(_) | State::Failing(_) => set(at, run).await,
        State::NoEngine => Err(StepError::failed(format!(
            "no engine answers on {}: look at `systemctl status docker` there",
            at.node.name
        ))),
        State::Waits => Err(StepError::failed(
            "there is no swarm to join: the first manager of config.toml makes it, and was not provisioned",
        )),
        State::Unknown => Err(StepError::failed("no manager answers")),
        State::Foreign | State::Locked => Err(StepError::failed("a decision is open")),
    }
}

async fn leave(run: &Run<'_>) -> Result<(), StepError> {
    let leave = Command::new("docker")
        .args(["swarm", "leave", "--force"])
        .sudo();
    run.streamed(&run.cx.host, &leave).await
}

/// Waits until the engine takes part in its swarm; false when that does not come.
async fn became_active(run: &Run<'_>) -> bool {
    let active = async {
        while !run
            .cx
            .docker
            .engine()
            .await
            .is_ok_and(|e| e.swarm_state == "active")
        {
            tokio::time::sleep(Duration::from_millis(500)).await;
        }
    };
    tokio::time::timeout(TAKES_PART, active).await.is_ok()
}

async fn join(at: &At<'_>, run: &Run<'_>) -> Result<(), StepError> {
    let failed = |e: DockerError| StepError::failed(e.to_string());
    let name = manager(at).ok_or_else(|| StepError::failed("no manager answers"))?;
    let handle = run
        .survey
        .handle(&name)
        .ok_or_else(|| StepError::failed(format!("no node is named {name}")))?;
    let token: SecretString = handle
        .docker
        .join_token(at.node.role)
        .await
        .map_err(failed)?;
    let address = at.fleet.address(at.node).map_err(StepError::Failed)?;
    let mut addresses = Vec::new();
    for (node, _) in managers(at) {
        if node.name != at.node.name {
            let ip = at.fleet.address(node).map_err(StepError::Failed)?;
            addresses.push(SocketAddr::new(ip, 2377).to_string());
        }
    }
    let reach = format!("join the swarm through {}", addresses.join(", "));
    run.cx.out.note(reach).await;
    let joined = run
        .cx
        .docker
        .join_swarm(&address.to_string(), addresses.clone(), &token)
        .await;
    // A request that was given up goes on in the engine: what it says of itself counts.
    let active = async {
        loop {
            if let Ok(engine) = run.cx.docker.engine().await
                && !engine.swarm_node_id.is_empty()
                && handle.docker.swarm().await.is_ok_and(|s| {
                    s.nodes
                        .iter()
                        .any(|n| n.id == engine.swarm_node_id && n.state == "ready")
                })
            {
                return;
            }
            tokio::time::sleep(Duration::from_millis(500)).await;
        }
    };
    let patience = match &joined {
        Ok(()) => JOIN,
        // Refused at once, or still trying?
        Err(DockerError::Api {
            status: 500..,
            message,
            ..
        }) if !message.contains("imeout") => Duration::from_secs(1),
        Err(_) => JOIN,
    };
    if tokio::time::timeout(patience, active).await.is_ok() {
        if at.node.role == Role::Worker {
            return Ok(());
        }
        let id = run.cx.docker.engine().await.map_err(failed)?.swarm_node_id;
        let settled = handle.docker.settled(&id, Role::Manager, &run.cx.docker);
        return settled.await.map_err(failed);
    }
    let why = match joined {
        Err(e) => e.to_string(),
        Ok(()) => format!("it is not ready after {} s", JOIN.as_secs()),
    };
    Err(StepError::failed(format!(
        "{} does not join the swarm ({why}): is 2377/tcp of {} open to {address}? `matou provision` without --node opens it",
        at.node.name,
        addresses.join(", ")
    )))
}

/// Role, labels, availability, autolock, as a manager sets them.
async fn set(at: &At<'_>, run: &Run<'_>) -> Result<(), StepError> {
    let failed = |e: DockerError| StepError::failed(e.to_string());
    let name = match manager(at) {
        Some(name) => name,
        // It has just made the swarm.
        None if is_first_manager(at) => at.node.name.clone(),
        None => return Err(StepError::failed("no manager answers")),
    };
    let docker = run
        .survey
        .handle(&name)
        .map(|h| h.docker.clone())
        .ok_or_else(|| StepError::failed(format!("no node is named {name}")))?;
    let id = run.cx.docker.engine().await.map_err(failed)?.swarm_node_id;
    let swarm = docker.swarm().await.map_err(failed)?;
    let found = swarm
        .nodes
        .iter()
        .find(|n| n.id == id)
        .ok_or_else(|| StepError::failed(format!("{name} does not know {}", at.node.name)))?;
    let labels: &BTreeMap<String, String> = &at.node.labels;
    if !labels.is_empty() {
        docker.set_labels(&id, labels).await.map_err(failed)?;
    }
    if found.role != at.node.role {
        docker.set_role(&id, at.node.role).await.map_err(failed)?;
        let says_so = async {
            // Only a manager answers what the swarm is.
            while run.cx.docker.swarm().await.is_ok() != (at.node.role == Role::Manager)
                || run.cx.docker.certified_role().await.ok().flatten() != Some(at.node.role)
            {
                tokio::time::sleep(Duration::from_millis(500)).await;
            }
        };
        tokio::time::timeout(JOIN, says_so)
            .await
            .map_err(|_| StepError::failed("the new role is not taken up"))?;
        let settled = docker.settled(&id, at.node.role, &run.cx.docker);
        settled.await.map_err(failed)?;
    }
    if let Some(wanted) = at.node.availability
        && found.availability != wanted
    {
        let to: Availability = wanted;
        docker.set_availability(&id, to).await.map_err(failed)?;
    }
    if is_first_manager(at) {
        let config = &at.config().provision;
        let lock = autolock(at.facts) != config.autolock;
        if lock || heartbeat(at.facts) != Some(config.heartbeat) {
            let set = docker.set_swarm(config.autolock, config.heartbeat);
            set.await.map_err(failed)?;
            if lock && config.autolock {
                run.cx
                    .out
                    .note("keep the key that `docker swarm unlock-key` prints on a manager outside of the fleet: without it no manager starts again")
                    .await;
            }
        }
    }
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::super::testing::{check_accepting, check_of, config, lines};
    use super::*;

    fn engine(swarm: &str, nodes: &str) -> Facts {
        engine_with(swarm, nodes, "")
    }

    fn engine_with(swarm: &str, nodes: &str, spec: &str) -> Facts {
        Facts::of(&[
            ("swarm-spec", spec),
            (
                "docker-info",
                &format!(r#"{{"ServerVersion":"28.1.0","Swarm":{swarm}}}"#),
            ),
            ("docker-nodes", nodes),
            (
                "addresses",
                r#"[{"ifname":"eth0","addr_info":[{"local":"10.240.0.9","prefixlen":24,"scope":"global"}]}]"#,
            ),
        ])
    }

    const ACTIVE: &str = r#"{"NodeID":"a","LocalNodeState":"active","ControlAvailable":true}"#;

    fn node(id: &str, role: &str) -> String {
        format!(
            r#"{{"ID":"{id}","Spec":{{"Role":"{role}","Availability":"active","Labels":{{"disk":"hdd"}}}},"Description":{{"Hostname":"{id}"}},"Status":{{"State":"ready"}},"ManagerStatus":{{"Reachability":"reachable"}}}}"#
        )
    }

    #[test]
    fn the_first_manager_makes_the_swarm_beside_the_nodes_networks() {
        let plan = check_of(
            &Membership,
            &config(""),
            engine(r#"{"LocalNodeState":"inactive"}"#, ""),
        )
        .unwrap();
        assert_eq!(
            lines(&plan),
            [
                "+ swarm, with n1 as its first manager at 10.0.0.1, overlay networks out of 10.96.0.0/16"
            ]
        );
    }

    #[test]
    fn a_member_is_compared_and_a_foreign_swarm_is_a_decision() {
        let plan = check_of(
            &Membership,
            &config(""),
            engine(ACTIVE, &format!("[{}]", node("a", "manager"))),
        )
        .unwrap();
        assert_eq!(lines(&plan), ["= manager of the swarm"]);
        // A worker of a swarm that none of our managers knows.
        let foreign = engine(r#"{"NodeID":"x","LocalNodeState":"active"}"#, "");
        let plan = check_of(&Membership, &config(""), foreign.clone()).unwrap();
        assert!(lines(&plan)[0].starts_with("! n1 belongs to another swarm: type n1:leave-swarm"));
        let plan = check_accepting(&Membership, &config(""), foreign, &["n1:leave-swarm"]).unwrap();
        assert_eq!(
            lines(&plan),
            ["- n1 from the other swarm", "+ manager of the swarm"]
        );
    }

    #[test]
    fn a_role_that_is_none_is_no_reason_to_break_down() {
        let odd = engine(ACTIVE, &format!("[{}]", node("a", "neither")));
        let said = check_of(&Membership, &config(""), odd).unwrap_err();
        assert!(said.contains("of the 0 managers"), "{said}");
    }

    #[test]
    fn the_swarm_is_compared_on_its_first_manager() {
        let nodes = format!("[{}]", node("a", "manager"));
        let told = |config: &str| {
            let spec = r#"{"Spec":{"Dispatcher":{"HeartbeatPeriod":5000000000},"EncryptionConfig":{"AutoLockManagers":false}}}"#;
            let facts = engine_with(ACTIVE, &nodes, spec);
            lines(&check_of(&Membership, &self::config(config), facts).unwrap())
        };
        let same = "= manager of the swarm";
        assert_eq!(told("[provision]\nheartbeat = \"5 s\""), [same]);
        assert_eq!(told(""), [same, "~ heartbeat: 5 s → 15 s"]);
        assert_eq!(
            told("[provision]\nautolock = true\nheartbeat = \"5 s\""),
            [same, "~ autolock: off → on"]
        );
    }

    #[test]
    fn a_worker_that_waits_for_a_lost_manager_is_of_another_swarm() {
        let (n1, n2) = (&config("").nodes[0].clone(), &config("").nodes[1].clone());
        let pending = |id: &str| {
            engine(
                &format!(r#"{{"NodeID":"{id}","LocalNodeState":"pending"}}"#),
                "",
            )
        };
        let list = format!("[{},{}]", node("a", "manager"), node("b", "worker"));
        let no_swarm = engine(r#"{"LocalNodeState":"inactive"}"#, "");
        let of = |node: &NodeConfig, of_n1: &Facts, of_n2: &Facts| {
            let config = config("");
            let facts = [("n1", of_n1.clone()), ("n2", of_n2.clone())];
            let accepted = std::collections::BTreeSet::new();
            let picture = super::super::survey::Picture::of(&config, &accepted, facts);
            let own = if node.name == "n1" { of_n1 } else { of_n2 };
            state(&At {
                node,
                facts: own,
                fleet: &picture,
                packages: &[],
            })
        };
        let failing = State::Failing(String::new());
        // Its manager is a new server, or has made a new swarm.
        assert_eq!(of(n2, &no_swarm, &pending("x")), State::Foreign);
        assert_eq!(
            of(n2, &engine(ACTIVE, &list), &pending("x")),
            State::Foreign
        );
        assert_eq!(of(n2, &engine(ACTIVE, &list), &pending("b")), failing);
        // A join that goes on has no id yet.
        assert_eq!(of(n2, &engine(ACTIVE, &list), &pending("")), failing);
        // A manager that starts again is waited for.
        assert_eq!(of(n2, &pending("a"), &pending("x")), State::Unknown);
        assert_eq!(of(n1, &pending("a"), &pending("x")), failing);
    }

    #[test]
    fn networks_hold_their_addresses() {
        let ip = |text: &str| text.parse::<IpAddr>().unwrap();
        assert!(contains("10.240.0.0/16", ip("10.240.255.1")));
        assert!(!contains("10.240.0.0/16", ip("10.241.0.1")));
        assert!(contains("172.28.0.0/14", ip("172.31.1.1")));
        assert!(contains("0.0.0.0/0", ip("1.2.3.4")));
        assert!(!contains("nonsense", ip("1.2.3.4")));
    }
}
