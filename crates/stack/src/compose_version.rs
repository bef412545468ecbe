//! The version of the Compose file format that a rendered file states.
//!
//! - A file that states 3.8 or later keeps its version, and one that states no version 3 too.
//! - One of 3.0 to 3.7 becomes 3.8: what is rendered has names of configs and secrets, which came with
//!   3.5. Nothing that an older version takes means something else in 3.8.
//! - One that states none, or only `3`, gets the oldest version that takes what it uses, from 3.8 on:
//!   clients before 23 refuse a file without a version, and know none after 3.9. Where a file uses
//!   more than 3.9 takes, no such client can deploy it; it gets no version, which later clients take
//!   for the newest that they know.
//!
//! Source: docker/cli, cli/compose/schema/schema.go and the schemas beside it.

use serde_yaml::{Mapping, Value};

use super::lint::section_entries;

/// What clients since 19.03 know.
const OLDEST_VERSION: &str = "3.8";

/// The newest version of clients before 23.
const NEWEST_OF_OLD_CLIENTS: &str = "3.9";

/// Keys of `build` in version 3.8. Swarm ignores it, and the client reads it all the same.
const BUILD_KEYS: [&str; 8] = [
    "context",
    "dockerfile",
    "args",
    "labels",
    "cache_from",
    "network",
    "target",
    "shm_size",
];

/// Gives a file that will be deployed its version.
pub(super) fn set_file_version(file: &mut Mapping) {
    let stated = match file.get("version") {
        None => "",
        Some(Value::String(stated)) => stated.as_str(),
        // The client says what is wrong with it.
        Some(_) => return,
    };
    let version = match stated {
        "" | "3" => match needed_version(file) {
            Some(version) => version,
            None => {
                file.remove("version");
                return;
            }
        },
        "3.0" | "3.1" | "3.2" | "3.3" | "3.4" | "3.5" | "3.6" | "3.7" => OLDEST_VERSION,
        _ => return,
    };
    file.insert("version".into(), version.into());
}

/// Returns the oldest version, from 3.8 on, that takes all that the file uses; `None` when that is one
/// after 3.9.
fn needed_version(file: &Mapping) -> Option<&'static str> {
    let mut needed = OLDEST_VERSION;
    for (_, volume) in section_entries(file, "volumes") {
        if volume.get("x-cluster-spec").is_some() {
            return None;
        }
    }
    for (_, service) in section_entries(file, "services") {
        let networks = service.get("networks").and_then(Value::as_mapping);
        let has_options = |n: &Value| n.get("driver_opts").is_some();
        let check = service.get("healthcheck");
        if networks.is_some_and(|all| all.values().any(has_options))
            || service.get("oom_score_adj").is_some()
            || check.is_some_and(|c| c.get("start_interval").is_some())
        {
            return None;
        }
        let build = service.get("build").and_then(Value::as_mapping);
        for key in build.into_iter().flat_map(Mapping::keys) {
            match key.as_str() {
                Some("extra_hosts") => needed = NEWEST_OF_OLD_CLIENTS,
                Some(key) if BUILD_KEYS.contains(&key) => {}
                _ => return None,
            }
        }
        let limits = service
            .get("deploy")
            .and_then(|d| d.get("resources")?.get("limits"));
        if limits.is_some_and(|l| l.get("pids").is_some()) || service.get("cgroupns_mode").is_some()
        {
            needed = NEWEST_OF_OLD_CLIENTS;
        }
    }
    Some(needed)
}
