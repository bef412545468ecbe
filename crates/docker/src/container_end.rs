//! Why a container ended: what the swarm's own word about a task leaves out.

use serde::Deserialize;

use crate::client::Docker;
use crate::error::DockerError;
use matou_base::text::clean_line;

/// Most characters of what a health check said.
const MOST_SAID: usize = 200;

/// How a container ended, as its engine keeps it
/// (<https://docs.docker.com/reference/api/engine/version/v1.41/#tag/Container/operation/ContainerInspect>).
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct ContainerEnd {
    /// The kernel killed a program of it because the container had used all the memory it may.
    pub out_of_memory: bool,
    /// The most memory that it may use, in bytes; `None` where nothing limits it.
    pub memory_limit: Option<u64>,
    /// Its health check had failed as often as it may.
    pub health: Option<FailedHealth>,
}

/// A health check that failed.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct FailedHealth {
    /// How often in a row.
    pub times: u64,
    /// The exit code of the last one; -1 where it took too long or could not be started.
    pub exit_code: i64,
    /// What the last one said, on one line; may be empty.
    pub said: String,
}

#[derive(Default, Deserialize)]
#[serde(rename_all = "PascalCase", default)]
struct RawContainer {
    state: RawState,
    host_config: RawLimits,
}

#[derive(Default, Deserialize)]
#[serde(rename_all = "PascalCase", default)]
struct RawState {
    #[serde(rename = "OOMKilled")]
    oom_killed: bool,
    health: Option<RawHealth>,
}

#[derive(Default, Deserialize)]
#[serde(rename_all = "PascalCase", default)]
struct RawLimits {
    memory: u64,
}

#[derive(Default, Deserialize)]
#[serde(rename_all = "PascalCase", default)]
struct RawHealth {
    status: String,
    failing_streak: u64,
    log: Option<Vec<RawProbe>>,
}

#[derive(Default, Deserialize)]
#[serde(rename_all = "PascalCase", default)]
struct RawProbe {
    exit_code: i64,
    output: String,
}

impl Docker {
    /// Asks the engine how a container ended.
    ///
    /// # Errors
    /// When the engine can't be asked, or has no such container any more.
    pub async fn query_container_end(&self, id: &str) -> Result<ContainerEnd, DockerError> {
        let id: String = form_urlencoded::byte_serialize(id.as_bytes()).collect();
        let body = self.read_raw(&format!("/containers/{id}/json")).await?;
        Ok(self
            .parse_answer(serde_json::from_slice::<RawContainer>(&body))?
            .into())
    }
}

impl From<RawContainer> for ContainerEnd {
    fn from(raw: RawContainer) -> Self {
        let failed = raw.state.health.filter(|h| h.status == "unhealthy");
        Self {
            out_of_memory: raw.state.oom_killed,
            memory_limit: Some(raw.host_config.memory).filter(|m| *m > 0),
            health: failed.map(|health| {
                let last = health.log.and_then(|mut log| log.pop()).unwrap_or_default();
                let said = last.output.split_whitespace().collect::<Vec<_>>().join(" ");
                FailedHealth {
                    times: health.failing_streak,
                    exit_code: last.exit_code,
                    said: clean_line(&said).chars().take(MOST_SAID).collect(),
                }
            }),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_end_is_read_as_engines_tell_it() {
        let of =
            |json: &str| ContainerEnd::from(serde_json::from_str::<RawContainer>(json).unwrap());
        // As Docker 20.10 told them.
        let sick = of(
            r#"{"State":{"Status":"exited","OOMKilled":false,"ExitCode":0,"Health":{"Status":"unhealthy","FailingStreak":3,"Log":[
            {"Start":"2026-11-29T20:00:00Z","End":"2026-11-29T20:00:01Z","ExitCode":0,"Output":""},
            {"Start":"2026-11-29T20:00:05Z","End":"2026-11-29T20:00:06Z","ExitCode":1,"Output":"wget: can't connect\n\u001b[31m404\r\n"}]}},
            "HostConfig":{"Memory":0}}"#,
        );
        let health = sick.health.expect("failed");
        assert_eq!((health.times, health.exit_code), (3, 1));
        assert!(health.said.starts_with("wget: can't connect") && !health.said.contains('\u{1b}'));
        assert!(!sick.out_of_memory && sick.memory_limit.is_none());
        let killed =
            of(r#"{"State":{"OOMKilled":true,"ExitCode":137},"HostConfig":{"Memory":67108864}}"#);
        assert_eq!(
            (killed.out_of_memory, killed.memory_limit),
            (true, Some(64 << 20))
        );
        let well = r#"{"State":{"Health":{"Status":"healthy","FailingStreak":0,"Log":null}}}"#;
        assert_eq!(of(well), ContainerEnd::default());
    }
}
