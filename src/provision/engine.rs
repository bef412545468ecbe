//! The engine's configuration: logs that don't fill the disk, address pools that don't collide
//! with the network, never live-restore, which a swarm refuses. What else stands in daemon.json
//! stays. A restart stops the node's tasks, so it is drained first, one node after the other.
//!
//! Undo: the file as it was is /etc/docker/daemon.json.before-matou.

use std::net::IpAddr;

use async_trait::async_trait;
use serde_json::{Map, Value, json};

use super::Concern;
use super::at::{At, check};
use super::desired::{Desired, diff};
use super::drain::drained;
use super::facts::Needs;
use super::run::{Run, TENTATIVE};
use crate::config::{Config, NodeConfig};
use crate::job::{Change, Check, StepError};

const PATH: &str = "/etc/docker/daemon.json";

/// Networks of bridges when the engine's own choices collide with the fleet's network.
const OTHER_POOL: &str = "10.241.0.0/16";

/// Takes up the new file, and goes back to the old one when the engine does not start with it. Until
/// it has, no boot reads it; cancelled, it goes back too: the new file would look as if it had been taken up.
const TAKE_UP: &str = r#"set -e
trap : INT TERM
f=/etc/docker/daemon.json
if dockerd --help 2>/dev/null | grep -q -- '--validate'; then dockerd --validate --config-file "$f.matou"; fi
as_before "$f"
[ ! -e "$f" ] || cp -p "$f" "$f.before-matou"
for_now "$f.matou" "$f" '{}'
# Started often in a short time, it would be held back.
systemctl reset-failed docker.service 2>/dev/null || :
if systemctl restart docker.service && docker version --format ok >/dev/null 2>&1; then
    for_good "$f.matou" "$f"
    exit 0
fi
why=$(journalctl --unit=docker.service --lines=3 --no-pager --output=cat)
as_before "$f"
[ "$(cat "$f")" != '{}' ] || rm -f "$f"
systemctl reset-failed docker.service 2>/dev/null || :
systemctl restart docker.service || :
echo "the engine does not start with the new $f, the old one is back: $why" >&2
exit 1
"#;

fn desired() -> Desired {
    Desired::default().steady_unit("docker.service")
}

/// See the module.
pub struct EngineConfig;

#[async_trait]
impl Concern for EngineConfig {
    fn name(&self) -> &'static str {
        "engine"
    }

    fn needs(&self, _: &NodeConfig, _: &Config) -> Needs {
        desired().needs().files([PATH])
    }

    fn check(&self, at: &At<'_>) -> Result<Check, String> {
        let (old, new) = daemon_json(at)?;
        let mut lines = vec![match &new {
            None => Change::same(PATH),
            Some(new) => {
                let change = match old.is_empty() {
                    true => Change::add(format!("{PATH} ({} lines)", new.lines().count())),
                    false => diff(PATH, &old, new),
                };
                match at.facts.engine() {
                    Some(engine) if engine.running_containers > 0 => change.warn(format!(
                        "restarts the engine, and with it {}",
                        crate::text::plural(engine.running_containers as usize, "container")
                    )),
                    _ => change,
                }
            }
        }];
        if at.facts.engine().is_none() && at.facts.unit("docker.service").load != "loaded" {
            return Ok(Check::Unknown("Docker is not installed yet".into()));
        }
        lines.extend(desired().compare(at.facts));
        Ok(check(lines))
    }

    async fn apply(&self, at: &At<'_>, run: &Run<'_>) -> Result<(), StepError> {
        desired().apply(at, run).await?;
        let (_, new) = daemon_json(at).map_err(StepError::Failed)?;
        let Some(new) = new else { return Ok(()) };
        run.write(&format!("{PATH}.matou"), &new, 0o644).await?;
        drained(at, run, async || {
            let script = format!("{TENTATIVE}{TAKE_UP}");
            run.lasting("engine", &script, &[]).await
        })
        .await
    }
}

/// Writes daemon.json before the engine is installed.
pub(super) async fn write_first(at: &At<'_>, run: &Run<'_>) -> Result<(), StepError> {
    match daemon_json(at).map_err(StepError::Failed)? {
        (_, Some(new)) => run.write(PATH, &new, 0o644).await,
        _ => Ok(()),
    }
}

/// The file as it is, and as it should be when that differs.
fn daemon_json(at: &At<'_>) -> Result<(String, Option<String>), String> {
    let old = at.facts.file(PATH).map_or_else(String::new, |f| f.content);
    let mut map: Map<String, Value> = match old.trim() {
        "" => Map::new(),
        text => serde_json::from_str(text).map_err(|e| {
            format!(
                "{PATH} of {} is no JSON object ({e}): mend it first",
                at.node.name
            )
        })?,
    };
    let addresses = at.fleet.addresses()?;
    let before = map.clone();
    adjust(&mut map, addresses.iter().map(|(_, ip)| *ip));
    if map == before && !old.is_empty() {
        return Ok((old, None));
    }
    let text = serde_json::to_string_pretty(&map).map_err(|e| e.to_string())?;
    Ok((old, Some(text + "\n")))
}

fn adjust(map: &mut Map<String, Value>, addresses: impl Iterator<Item = IpAddr>) {
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
    use super::super::facts::Facts;
    use super::super::testing::{check_of, config, lines};
    use super::*;

    fn adjusted(text: &str, ip: &str) -> Value {
        let mut map: Map<String, Value> = serde_json::from_str(text).unwrap();
        adjust(&mut map, std::iter::once(ip.parse().unwrap()));
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
        let facts = Facts::default().with_file(PATH, 0o644, "{ oops");
        let e = check_of(&EngineConfig, &config(""), facts).unwrap_err();
        assert!(e.contains("daemon.json of n1 is no JSON object"), "{e}");
    }

    #[test]
    fn the_plan_waits_for_docker() {
        let plan = check_of(&EngineConfig, &config(""), Facts::default()).unwrap();
        assert_eq!(lines(&plan), ["… Docker is not installed yet"]);
    }
}
