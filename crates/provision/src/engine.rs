//! The engine's configuration: logs that don't fill the disk, address pools that don't collide
//! with the network, never live-restore, which a swarm refuses. What else stands in daemon.json
//! stays. A restart stops the node's tasks, so it is drained first, one node after the other.
//!
//! Undo: the file as it was is /etc/docker/daemon.json.before-matou.

use matou_i18n::{tr, trn};
use std::net::IpAddr;

use async_trait::async_trait;
use serde_json::{Map, Value, json};

use super::Concern;
use super::desired::{DesiredState, diff_as_change};
use super::drain::with_drained_node;
use super::executor::{NodeExecutor, TENTATIVE_FILE_FUNCTIONS};
use super::facts::FactQuery;
use super::node_view::NodeView;
use crate::ProvisionError;
use matou_config::{Config, NodeConfig};
use matou_host::shell_script;
use matou_job::{Change, Check, StepError};

const PATH: &str = "/etc/docker/daemon.json";

/// Networks of bridges when the engine's own choices collide with the fleet's network.
const OTHER_POOL: &str = "10.241.0.0/16";

/// Restarts the engine with the new file, and goes back to the old one when it does not start or
/// the job is cancelled. No boot reads the new file before the engine has started with it.
const RESTART_SCRIPT: &str = shell_script(include_str!("../scripts/restart_engine.sh"));

fn desired_engine_unit() -> DesiredState {
    DesiredState::default().with_steady_unit("docker.service")
}

/// The concern `engine`: the engine's configuration.
pub(crate) struct EngineConcern;

#[async_trait]
impl Concern for EngineConcern {
    fn name(&self) -> &'static str {
        "engine"
    }

    fn fact_query(&self, _: &NodeConfig, _: &Config) -> FactQuery {
        desired_engine_unit().fact_query().with_files([PATH])
    }

    fn check(&self, at: &NodeView<'_>) -> Result<Check, ProvisionError> {
        let (old, new) = compare_daemon_json(at)?;
        let mut lines = vec![match &new {
            None => Change::same(PATH),
            Some(new) => {
                let change = match old.is_empty() {
                    true => Change::add(tr!("{PATH} ({} lines)", new.lines().count())),
                    false => diff_as_change(PATH, &old, new),
                };
                match at.facts.engine() {
                    Some(engine) if engine.running_containers > 0 => change.with_warning(tr!(
                        "restarts the engine, and with it {}",
                        trn!(engine.running_containers, "{n} container", "{n} containers")
                    )),
                    _ => change,
                }
            }
        }];
        if at.facts.engine().is_none() && at.facts.unit("docker.service").load != "loaded" {
            return Ok(Check::Unknown(tr!("Docker is not installed yet").into()));
        }
        lines.extend(desired_engine_unit().compare(at.facts));
        Ok(Check::from_changes(lines))
    }

    async fn apply(&self, at: &NodeView<'_>, run: &NodeExecutor<'_>) -> Result<(), StepError> {
        desired_engine_unit().apply(at, run).await?;
        let (_, new) = compare_daemon_json(at)?;
        let Some(new) = new else { return Ok(()) };
        run.write_file(&format!("{PATH}.matou"), &new, 0o644)
            .await?;
        with_drained_node(at, run, async || {
            let script = format!("{TENTATIVE_FILE_FUNCTIONS}{RESTART_SCRIPT}");
            run.run_detached("engine", &script, &[]).await
        })
        .await
    }
}

/// Writes daemon.json before the engine is installed.
pub(super) async fn write_daemon_json(
    at: &NodeView<'_>,
    run: &NodeExecutor<'_>,
) -> Result<(), StepError> {
    match compare_daemon_json(at)? {
        (_, Some(new)) => run.write_file(PATH, &new, 0o644).await,
        _ => Ok(()),
    }
}

/// Returns daemon.json as it is, and as it should be when that differs.
fn compare_daemon_json(at: &NodeView<'_>) -> Result<(String, Option<String>), ProvisionError> {
    let old = at.facts.file(PATH).map_or_else(String::new, |f| f.content);
    let mut map: Map<String, Value> = match old.trim() {
        "" => Map::new(),
        text => serde_json::from_str(text).map_err(|e| {
            tr!(
                "{PATH} of {} is no JSON object ({e}): mend it first",
                at.node.name
            )
        })?,
    };
    let addresses = at.fleet.node_addresses()?;
    let before = map.clone();
    adjust_daemon_json(&mut map, addresses.iter().map(|(_, ip)| *ip));
    if map == before && !old.is_empty() {
        return Ok((old, None));
    }
    let text = serde_json::to_string_pretty(&map).map_err(ProvisionError::failed)?;
    Ok((old, Some(text + "\n")))
}

fn adjust_daemon_json(map: &mut Map<String, Value>, addresses: impl Iterator<Item = IpAddr>) {
    // Of the default driver only: another one has options of its own.
    let driver = map.get("log-driver").and_then(Value::as_str);
    if matches!(driver, None | Some("json-file")) {
        map.entry("log-driver")
            .or_insert_with(|| json!("json-file"));
        let options = map.entry("log-opts").or_insert_with(|| json!({}));
        if let Some(options) = options.as_object_mut() {
            options.entry("max-size").or_insert_with(|| json!("10m"));
            options.entry("max-file").or_insert_with(|| json!("3"));
        }
    }
    map.remove("live-restore");
    // The engine takes its bridges' networks from here by default.
    let taken = |ip: IpAddr| match ip {
        IpAddr::V4(ip) => {
            let [a, b, ..] = ip.octets();
            (a == 172 && (16..32).contains(&b)) || (a == 192 && b == 168)
        }
        IpAddr::V6(_) => false,
    };
    if addresses.into_iter().any(taken) {
        map.entry("default-address-pools")
            .or_insert_with(|| json!([{ "base": OTHER_POOL, "size": 24 }]));
    }
}

#[cfg(test)]
mod tests {
    use super::super::facts::NodeFacts;
    use super::super::testing::{check_of, config, lines};
    use super::*;

    fn adjusted(text: &str, ip: &str) -> Value {
        let mut map: Map<String, Value> = serde_json::from_str(text).unwrap();
        adjust_daemon_json(&mut map, std::iter::once(ip.parse().unwrap()));
        Value::Object(map)
    }

    #[test]
    fn what_others_wrote_stays_and_live_restore_goes() {
        assert_eq!(
            adjusted(
                r#"{"mtu":1400,"live-restore":true,"log-opts":{"max-size":"50m"}}"#,
                "10.0.0.1"
            ),
            json!({"mtu":1400,"log-driver":"json-file","log-opts":{"max-size":"50m","max-file":"3"}})
        );
        assert_eq!(
            adjusted(r#"{"log-driver":"journald"}"#, "10.0.0.1"),
            json!({"log-driver":"journald"})
        );
        assert_eq!(
            adjusted(r#"{"log-driver":"local"}"#, "192.168.1.4")["default-address-pools"][0]["base"],
            OTHER_POOL
        );
    }

    #[test]
    fn a_broken_file_is_not_overwritten() {
        let facts = NodeFacts::default().with_file(PATH, 0o644, "{ oops");
        let e = check_of(&EngineConcern, &config(""), facts).unwrap_err();
        assert!(
            e.to_string()
                .contains("daemon.json of n1 is no JSON object"),
            "{e}"
        );
    }

    #[test]
    fn the_plan_waits_for_docker() {
        let plan = check_of(&EngineConcern, &config(""), NodeFacts::default()).unwrap();
        assert_eq!(lines(&plan), ["… Docker is not installed yet"]);
    }
}
