//! Membership of the swarm: the first manager makes it, the others join by address, in the role,
//! with the labels and the availability that config.toml says. Join tokens travel in request
//! bodies only.
//!
//! Undo: `matou leave NODE`.

use matou_i18n::tr;
use std::collections::BTreeMap;
use std::net::{IpAddr, SocketAddr};
use std::time::Duration;

use async_trait::async_trait;
use secrecy::SecretString;

use super::Concern;
use super::drain::find_answering_manager;
use super::engine_facts::{EngineFacts, EngineSwarmFacts, SwarmNodeFacts};
use super::executor::NodeExecutor;
use super::facts::{FactQuery, NodeFacts};
use super::node_view::NodeView;
use crate::ProvisionError;
use matou_config::{Config, NodeConfig};
use matou_docker::{Docker, DockerError};
use matou_host::Command;
use matou_job::{Change, Check, StepError};
use matou_model::{Availability, NodeState, Role, SwarmState};

/// Networks that overlay networks may be cut out of, the first that no node has an address in.
/// The engine's own choice, 10.0.0.0/8, collides with most providers' private networks.
const POOLS: [&str; 4] = [
    "10.240.0.0/16",
    "10.96.0.0/16",
    "172.28.0.0/14",
    "192.168.128.0/17",
];

/// How long a joining node may take to become active.
const JOIN_TIMEOUT: Duration = Duration::from_secs(90);

/// How long an engine may take to become active in its swarm.
const MEMBERSHIP_TIMEOUT: Duration = Duration::from_secs(20);

/// How often an engine is asked while it joins or takes up a role.
const POLL: Duration = Duration::from_millis(500);

/// The concern `swarm`: membership, role, labels and availability of a node.
pub(crate) struct SwarmConcern;

/// How a node stands to the fleet's swarm, which decides what is to be done.
#[derive(Debug, PartialEq, Eq)]
enum MembershipState {
    /// No engine yet.
    NoEngine,
    /// It makes the swarm.
    Init,
    /// It joins the swarm of these managers.
    Join,
    /// There is no swarm to join yet.
    Waits,
    Member(SwarmNodeFacts),
    /// A manager that may have a swarm does not answer.
    Unknown,
    /// It belongs to a swarm of others.
    Foreign,
    Locked,
    /// Joined, and can't take part.
    Failing(String),
}

fn membership_state(at: &NodeView<'_>) -> MembershipState {
    let Some(engine) = at.facts.engine() else {
        return MembershipState::NoEngine;
    };
    let ours = fleet_swarm_managers(at);
    match engine.swarm.local_node_state {
        SwarmState::Active => {
            let id = &engine.swarm.node_id;
            let nodes = ours.first().map(|(_, e)| e.nodes.as_slice());
            match nodes.unwrap_or_default().iter().find(|n| n.id == *id) {
                Some(node) => MembershipState::Member(node.clone()),
                None if ours.is_empty() && has_silent_manager(at) => MembershipState::Unknown,
                None => MembershipState::Foreign,
            }
        }
        SwarmState::Locked => MembershipState::Locked,
        SwarmState::Pending | SwarmState::Error => unconnected_state(at, &engine.swarm, &ours),
        _ if !ours.is_empty() => MembershipState::Join,
        // A second swarm beside one that is only out of reach would be worse than none.
        _ if has_silent_manager(at) => MembershipState::Unknown,
        _ if is_first_manager(at) => MembershipState::Init,
        _ => MembershipState::Waits,
    }
}

/// Returns the state of a node that has a swarm and does not reach it. The swarm is a foreign or
/// lost one when no manager of the fleet knows the node; not so on a manager, which may be about to
/// be elected.
fn unconnected_state(
    at: &NodeView<'_>,
    swarm: &EngineSwarmFacts,
    ours: &[(&NodeConfig, EngineFacts)],
) -> MembershipState {
    let failing = MembershipState::Failing(swarm.error.clone());
    if at.node.role == Role::Manager || swarm.node_id.is_empty() {
        return failing;
    }
    match ours.first() {
        Some((_, manager)) if manager.nodes.iter().any(|n| n.id == swarm.node_id) => failing,
        None if has_silent_manager(at) => MembershipState::Unknown,
        _ => MembershipState::Foreign,
    }
}

/// Returns the managers of the fleet's swarm, and their engines. Of several swarms it is the one
/// with most nodes: one that somebody made by mistake has only one.
fn fleet_swarm_managers<'a>(at: &'a NodeView<'_>) -> Vec<(&'a NodeConfig, EngineFacts)> {
    let mut managers: Vec<_> = at
        .config()
        .nodes
        .iter()
        .filter_map(|n| Some((n, at.fleet.node_facts(&n.name).ok()?.engine()?)))
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

/// Returns whether a manager of config.toml does not answer, or is not active yet: it may be in the
/// swarm that this node is in.
fn has_silent_manager(at: &NodeView<'_>) -> bool {
    let mut managers = at.config().nodes.iter().filter(|n| n.role == Role::Manager);
    managers.any(|n| match at.fleet.node_facts(&n.name) {
        Err(_) => true,
        Ok(facts) => facts.engine().is_some_and(|e| {
            matches!(
                e.swarm.local_node_state,
                SwarmState::Pending | SwarmState::Error | SwarmState::Locked
            )
        }),
    })
}

fn is_first_manager(at: &NodeView<'_>) -> bool {
    let first = at.config().nodes.iter().find(|n| n.role == Role::Manager);
    first.is_some_and(|n| n.name == at.node.name)
}

fn wanted_role_name(node: &NodeConfig) -> &'static str {
    match node.role {
        Role::Manager => "manager",
        Role::Worker => "worker",
    }
}

fn overlay_address_pools(at: &NodeView<'_>) -> Vec<String> {
    let configured = &at.config().provision.address_pools;
    if !configured.is_empty() {
        return configured.clone();
    }
    let taken: Vec<IpAddr> = at
        .config()
        .nodes
        .iter()
        .filter_map(|n| at.fleet.node_facts(&n.name).ok())
        .flat_map(NodeFacts::addresses)
        .map(|a| a.ip)
        .collect();
    let free = POOLS
        .into_iter()
        .find(|pool| !taken.iter().any(|ip| ipv4_network_contains(pool, *ip)));
    free.map(str::to_owned).into_iter().collect()
}

/// Whether an IPv4 network, as `10.0.0.0/8`, holds an address.
fn ipv4_network_contains(network: &str, ip: IpAddr) -> bool {
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
impl Concern for SwarmConcern {
    fn name(&self) -> &'static str {
        "swarm"
    }

    /// Asks for nothing more: every node is asked about its engine and swarm.
    fn fact_query(&self, _: &NodeConfig, _: &Config) -> FactQuery {
        FactQuery::default()
    }

    fn check(&self, at: &NodeView<'_>) -> Result<Check, ProvisionError> {
        let node = at.node;
        let lines = match membership_state(at) {
            MembershipState::NoEngine => {
                return Ok(Check::Unknown(tr!("no engine answers yet").into()));
            }
            MembershipState::Waits => {
                return Ok(Check::Unknown(tr!("the swarm is not made yet").into()));
            }
            MembershipState::Unknown => {
                return Ok(Check::Unknown(
                    tr!("no manager answers that could tell its nodes").into(),
                ));
            }
            MembershipState::Init => {
                let address = at.fleet.node_address(node)?;
                let pools = match overlay_address_pools(at).as_slice() {
                    [] => tr!("the engine's own").to_owned(),
                    pools => pools.join(", "),
                };
                vec![Change::add(tr!(
                    "swarm, with {} as its first manager at {address}, overlay networks out of {pools}",
                    node.name
                ))]
            }
            MembershipState::Join => {
                let address = at.fleet.node_address(node)?;
                vec![Change::add(tr!(
                    "{} of the swarm, at {address}",
                    wanted_role_name(node)
                ))]
            }
            MembershipState::Member(found) => compare_member(at, &found)?,
            MembershipState::Foreign => {
                let question = at.accept_phrase("leave-swarm");
                let line = Change::ask_to_accept(
                    tr!(
                        "{} belongs to another swarm: type {question} to take it out of that one",
                        node.name
                    ),
                    question,
                );
                let line = line.with_warning(tr!("what runs on it there is lost to that swarm"));
                match at.is_accepted("leave-swarm") {
                    true => vec![
                        Change::remove(tr!("{} from the other swarm", node.name)),
                        Change::add(tr!("{} of the swarm", wanted_role_name(node))),
                    ],
                    false => vec![line],
                }
            }
            MembershipState::Locked => vec![Change::decide(tr!(
                "the swarm of {} is locked: run `docker swarm unlock` there with its key",
                node.name
            ))],
            MembershipState::Failing(why) => vec![Change::modify(
                tr!("{} in the swarm", node.name),
                match why.is_empty() {
                    true => tr!("joining").to_owned(),
                    false => matou_base::text::clean_line(&why).into_owned(),
                },
                tr!("active"),
            )],
        };
        Ok(Check::from_changes(lines))
    }

    async fn apply(&self, at: &NodeView<'_>, run: &NodeExecutor<'_>) -> Result<(), StepError> {
        let applied = apply_membership(at, run).await;
        // The managers' lists changed as well.
        run.forget_all();
        applied
    }
}

/// Compares a member's role, labels and availability, and on the first manager the settings of the
/// swarm.
fn compare_member(
    at: &NodeView<'_>,
    found: &SwarmNodeFacts,
) -> Result<Vec<Change>, ProvisionError> {
    let node = at.node;
    let mut lines = Vec::new();
    lines.push(if found.role == wanted_role_name(node) {
        Change::same(tr!("{} of the swarm", found.role))
    } else {
        let change = Change::modify(
            tr!("role of {}", node.name),
            &found.role,
            wanted_role_name(node),
        );
        check_role_quorum(at, found, change)?
    });
    for (key, value) in &node.labels {
        let label = tr!("label {key}");
        lines.push(match found.labels.get(key) {
            Some(now) if now == value => Change::same(format!("{label} = {value}")),
            Some(now) => Change::modify(label, now, value),
            None => Change::add(format!("{label} = {value}")),
        });
    }
    if let Some(wanted) = node.availability {
        let what = tr!("availability of {}", node.name);
        lines.push(if found.availability == wanted.as_str() {
            Change::same(format!("{what}: {}", wanted.as_str()))
        } else {
            Change::modify(what, &found.availability, wanted.as_str())
        });
    }
    if is_first_manager(at) {
        let wanted = at.config().provision.autolock;
        let now = reported_autolock(at.facts);
        if now != wanted {
            let say = |on| if on { tr!("on") } else { tr!("off") };
            lines.push(Change::modify(tr!("autolock"), say(now), say(wanted)));
        }
        let wanted = at.config().provision.heartbeat;
        if let Some(now) = reported_heartbeat(at.facts)
            && now != wanted
        {
            let say = |period: Duration| format!("{} s", period.as_secs_f64());
            lines.push(Change::modify(tr!("heartbeat"), say(now), say(wanted)));
        }
    }
    Ok(lines)
}

/// Adds a warning to a change of role that makes the number of managers even.
///
/// # Errors
/// When the managers that are left would have no majority.
fn check_role_quorum(
    at: &NodeView<'_>,
    found: &SwarmNodeFacts,
    change: Change,
) -> Result<Change, ProvisionError> {
    let lists = fleet_swarm_managers(at);
    let nodes: &[SwarmNodeFacts] = lists.first().map_or(&[], |(_, e)| &e.nodes);
    let count = nodes.iter().filter(|n| n.role == "manager").count();
    let reachable = nodes.iter().filter(|n| n.reachable).count();
    if found.role == "worker" {
        let after = count + 1;
        return Ok(match after % 2 {
            0 => change.with_warning(tr!(
                "{after} managers bear the loss of no more than {} do: take an odd number",
                after - 1
            )),
            _ => change,
        });
    }
    let after = count.saturating_sub(1);
    let left = reachable.saturating_sub(usize::from(found.reachable));
    if after == 0 || left <= after / 2 {
        return Err(ProvisionError::failed(tr!(
            "{} can't become a worker: of the {after} managers that would be left {left} answer, and the swarm needs more than half of them",
            at.node.name
        )));
    }
    Ok(change)
}

fn reported_autolock(facts: &NodeFacts) -> bool {
    facts
        .parse_json::<serde_json::Value>("swarm-spec")
        .ok()
        .and_then(|v| v["Spec"]["EncryptionConfig"]["AutoLockManagers"].as_bool())
        .unwrap_or(false)
}

/// Returns the swarm's heartbeat; `None` when there was no swarm as facts were gathered.
fn reported_heartbeat(facts: &NodeFacts) -> Option<Duration> {
    let swarm: serde_json::Value = facts.parse_json("swarm-spec").ok()?;
    let period = swarm["Spec"]["Dispatcher"]["HeartbeatPeriod"].as_u64()?;
    Some(Duration::from_nanos(period))
}

async fn apply_membership(at: &NodeView<'_>, run: &NodeExecutor<'_>) -> Result<(), StepError> {
    let docker = &run.cx.docker;
    let mut now = membership_state(at);
    if now == MembershipState::Foreign {
        // Its containers stay; only the membership ends.
        force_leave_swarm(run).await?;
        now = match fleet_swarm_managers(at)
            .iter()
            .any(|(n, _)| n.name != at.node.name)
        {
            true => MembershipState::Join,
            false if is_first_manager(at) => MembershipState::Init,
            false => MembershipState::Waits,
        };
    }
    if let MembershipState::Failing(why) = &now {
        // A join that was given up goes on in the engine; a manager may be about to be elected.
        match wait_for_membership(run).await? {
            true => {}
            false if at.node.role == Role::Manager => {
                return Err(StepError::failed(tr!(
                    "{} is of a swarm that it can't reach ({}): look at `docker info` and `journalctl -u docker` there",
                    at.node.name,
                    matou_base::text::clean_line(why)
                )));
            }
            false => {
                force_leave_swarm(run).await?;
                now = MembershipState::Join;
            }
        }
    }
    match now {
        MembershipState::Init => {
            let address = at.fleet.node_address(at.node)?;
            docker
                .init_swarm(&address.to_string(), overlay_address_pools(at))
                .await?;
            run.cx.out.note(tr!("the swarm is made")).await;
            set_member_settings(at, run).await
        }
        MembershipState::Join => {
            join_fleet_swarm(at, run).await?;
            set_member_settings(at, run).await
        }
        MembershipState::Member(_) | MembershipState::Failing(_) => {
            set_member_settings(at, run).await
        }
        MembershipState::NoEngine => Err(StepError::failed(tr!(
            "no engine answers on {}: look at `systemctl status docker` there",
            at.node.name
        ))),
        MembershipState::Waits => Err(StepError::failed(tr!(
            "there is no swarm to join: the first manager of config.toml makes it, and was not provisioned"
        ))),
        MembershipState::Unknown => Err(StepError::failed(tr!("no manager answers"))),
        MembershipState::Foreign | MembershipState::Locked => {
            Err(StepError::failed(tr!("a decision is open")))
        }
    }
}

async fn force_leave_swarm(run: &NodeExecutor<'_>) -> Result<(), StepError> {
    let leave = Command::new("docker")
        .args(["swarm", "leave", "--force"])
        .sudo();
    run.cx.stream(&leave).await
}

/// Waits until the engine is active in its swarm. Returns false when that takes too long.
async fn wait_for_membership(run: &NodeExecutor<'_>) -> Result<bool, StepError> {
    let wait = run.cx.wait_at_most(MEMBERSHIP_TIMEOUT, POLL);
    loop {
        let engine = run.cx.docker.query_engine().await;
        if engine.is_ok_and(|e| e.swarm_state == SwarmState::Active) {
            return Ok(true);
        }
        if wait.is_over() {
            return Ok(false);
        }
        wait.pause(String::new).await?;
    }
}

/// Waits until the engine is in the manager's swarm, and ready there. Returns false when that takes
/// longer than `limit`.
async fn wait_for_join(
    run: &NodeExecutor<'_>,
    manager: &Docker,
    limit: Duration,
) -> Result<bool, StepError> {
    let wait = run.cx.wait_at_most(limit, POLL);
    loop {
        if let Ok(engine) = run.cx.docker.query_engine().await
            && !engine.swarm_node_id.is_empty()
            && let Ok(swarm) = manager.query_swarm().await
            && swarm
                .nodes
                .iter()
                .any(|n| n.id == engine.swarm_node_id && n.state == NodeState::Ready)
        {
            return Ok(true);
        }
        if wait.is_over() {
            return Ok(false);
        }
        wait.pause(String::new).await?;
    }
}

async fn join_fleet_swarm(at: &NodeView<'_>, run: &NodeExecutor<'_>) -> Result<(), StepError> {
    let name =
        find_answering_manager(at).ok_or_else(|| StepError::failed(tr!("no manager answers")))?;
    let handle = run
        .survey
        .node_handle(&name)
        .ok_or_else(|| StepError::failed(tr!("no node is named {name}")))?;
    let token: SecretString = handle.docker.query_join_token(at.node.role).await?;
    let address = at.fleet.node_address(at.node)?;
    let mut addresses = Vec::new();
    for (node, _) in fleet_swarm_managers(at) {
        if node.name != at.node.name {
            let ip = at.fleet.node_address(node)?;
            addresses.push(SocketAddr::new(ip, 2377).to_string());
        }
    }
    let reach = tr!("join the swarm through {}", addresses.join(", "));
    run.cx.out.note(reach).await;
    let joined = run
        .cx
        .docker
        .join_swarm(&address.to_string(), addresses.clone(), &token)
        .await;
    let patience = match &joined {
        Ok(()) => JOIN_TIMEOUT,
        // Refused at once, or still trying?
        Err(DockerError::Api {
            status: 500..,
            message,
            ..
        }) if !message.contains("imeout") => Duration::from_secs(1),
        Err(_) => JOIN_TIMEOUT,
    };
    // The engine goes on with a request that timed out: only its own state tells.
    if wait_for_join(run, &handle.docker, patience).await? {
        if at.node.role == Role::Worker {
            return Ok(());
        }
        let id = run.cx.docker.query_engine().await?.swarm_node_id;
        let settled = handle
            .docker
            .wait_for_role(&id, Role::Manager, &run.cx.docker);
        return settled.await.map_err(StepError::from);
    }
    let why = match joined {
        Err(e) => e.to_string(),
        Ok(()) => tr!("it is not ready after {} s", JOIN_TIMEOUT.as_secs()),
    };
    Err(StepError::failed(tr!(
        "{} does not join the swarm ({why}): is 2377/tcp of {} open to {address}? `matou provision` without --node opens it",
        at.node.name,
        addresses.join(", ")
    )))
}

/// Sets role, labels and availability through a manager; on the first manager also autolock and
/// heartbeat of the swarm.
async fn set_member_settings(at: &NodeView<'_>, run: &NodeExecutor<'_>) -> Result<(), StepError> {
    let name = match find_answering_manager(at) {
        Some(name) => name,
        // It has just made the swarm.
        None if is_first_manager(at) => at.node.name.clone(),
        None => return Err(StepError::failed(tr!("no manager answers"))),
    };
    let docker = run
        .survey
        .node_handle(&name)
        .map(|h| h.docker.clone())
        .ok_or_else(|| StepError::failed(tr!("no node is named {name}")))?;
    let id = run.cx.docker.query_engine().await?.swarm_node_id;
    let swarm = docker.query_swarm().await?;
    let found = swarm
        .nodes
        .iter()
        .find(|n| n.id == id)
        .ok_or_else(|| StepError::failed(tr!("{name} does not know {}", at.node.name)))?;
    let labels: &BTreeMap<String, String> = &at.node.labels;
    if !labels.is_empty() {
        docker.set_node_labels(&id, labels).await?;
    }
    if found.role != at.node.role {
        docker.set_node_role(&id, at.node.role).await?;
        let (own, wait) = (&run.cx.docker, run.cx.wait_at_most(JOIN_TIMEOUT, POLL));
        // Only a manager answers what the swarm is.
        while own.query_swarm().await.is_ok() != (at.node.role == Role::Manager)
            || own.query_certified_role().await.ok().flatten() != Some(at.node.role)
        {
            wait.pause(|| tr!("the new role is not taken up").into())
                .await?;
        }
        let settled = docker.wait_for_role(&id, at.node.role, &run.cx.docker);
        settled.await?;
    }
    if let Some(wanted) = at.node.availability
        && found.availability != wanted
    {
        let to: Availability = wanted;
        docker.set_node_availability(&id, to).await?;
    }
    if is_first_manager(at) {
        let config = &at.config().provision;
        let lock = reported_autolock(at.facts) != config.autolock;
        if lock || reported_heartbeat(at.facts) != Some(config.heartbeat) {
            let set = docker.configure_swarm(config.autolock, config.heartbeat);
            set.await?;
            if lock && config.autolock {
                run.cx
                    .out
                    .note(tr!("keep the key that `docker swarm unlock-key` prints on a manager outside of the fleet: without it no manager starts again"))
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

    fn engine(swarm: &str, nodes: &str) -> NodeFacts {
        engine_with(swarm, nodes, "")
    }

    fn engine_with(swarm: &str, nodes: &str, spec: &str) -> NodeFacts {
        NodeFacts::of(&[
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
            &SwarmConcern,
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
            &SwarmConcern,
            &config(""),
            engine(ACTIVE, &format!("[{}]", node("a", "manager"))),
        )
        .unwrap();
        assert_eq!(lines(&plan), ["= manager of the swarm"]);
        // A worker of a swarm that none of our managers knows.
        let foreign = engine(r#"{"NodeID":"x","LocalNodeState":"active"}"#, "");
        let plan = check_of(&SwarmConcern, &config(""), foreign.clone()).unwrap();
        assert!(lines(&plan)[0].starts_with("! n1 belongs to another swarm: type n1:leave-swarm"));
        let plan =
            check_accepting(&SwarmConcern, &config(""), foreign, &["n1:leave-swarm"]).unwrap();
        assert_eq!(
            lines(&plan),
            ["- n1 from the other swarm", "+ manager of the swarm"]
        );
    }

    #[test]
    fn a_role_that_is_none_is_no_reason_to_break_down() {
        let odd = engine(ACTIVE, &format!("[{}]", node("a", "neither")));
        let said = check_of(&SwarmConcern, &config(""), odd).unwrap_err();
        assert!(said.to_string().contains("of the 0 managers"), "{said}");
    }

    #[test]
    fn the_swarm_is_compared_on_its_first_manager() {
        let nodes = format!("[{}]", node("a", "manager"));
        let told = |config: &str| {
            let spec = r#"{"Spec":{"Dispatcher":{"HeartbeatPeriod":5000000000},"EncryptionConfig":{"AutoLockManagers":false}}}"#;
            let facts = engine_with(ACTIVE, &nodes, spec);
            lines(&check_of(&SwarmConcern, &self::config(config), facts).unwrap())
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
        let of = |node: &NodeConfig, of_n1: &NodeFacts, of_n2: &NodeFacts| {
            let config = config("");
            let facts = [("n1", of_n1.clone()), ("n2", of_n2.clone())];
            let accepted = std::collections::BTreeSet::new();
            let picture =
                super::super::fact_cache::FleetFacts::from_facts(&config, &accepted, facts);
            let own = if node.name == "n1" { of_n1 } else { of_n2 };
            membership_state(&NodeView {
                node,
                facts: own,
                fleet: &picture,
                packages: &[],
            })
        };
        let failing = MembershipState::Failing(String::new());
        // Its manager is a new server, or has made a new swarm.
        assert_eq!(of(n2, &no_swarm, &pending("x")), MembershipState::Foreign);
        assert_eq!(
            of(n2, &engine(ACTIVE, &list), &pending("x")),
            MembershipState::Foreign
        );
        assert_eq!(of(n2, &engine(ACTIVE, &list), &pending("b")), failing);
        // A join that goes on has no id yet.
        assert_eq!(of(n2, &engine(ACTIVE, &list), &pending("")), failing);
        // A manager that starts again is waited for.
        assert_eq!(
            of(n2, &pending("a"), &pending("x")),
            MembershipState::Unknown
        );
        assert_eq!(of(n1, &pending("a"), &pending("x")), failing);
    }

    #[test]
    fn networks_hold_their_addresses() {
        let ip = |text: &str| text.parse::<IpAddr>().unwrap();
        assert!(ipv4_network_contains("10.240.0.0/16", ip("10.240.255.1")));
        assert!(!ipv4_network_contains("10.240.0.0/16", ip("10.241.0.1")));
        assert!(ipv4_network_contains("172.28.0.0/14", ip("172.31.1.1")));
        assert!(ipv4_network_contains("0.0.0.0/0", ip("1.2.3.4")));
        assert!(!ipv4_network_contains("nonsense", ip("1.2.3.4")));
    }
}
