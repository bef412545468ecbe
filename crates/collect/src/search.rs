//! Searches the log store of the stack logs: VictoriaLogs, asked inside its own container.
//! API: <https://docs.victoriametrics.com/victorialogs/querying/#http-api>.

use matou_i18n::tr;
use std::collections::{BTreeMap, HashSet};
use std::time::Duration;

use form_urlencoded::Serializer;
use jiff::{SignedDuration, Timestamp};
use tokio::sync::mpsc;

use super::in_container::{ContainerEndpoint, exec_at_endpoint, find_container_endpoint};
use crate::CollectError;
use matou_base::text::clean_line;
use matou_docker::DockerError;
use matou_docker::Nodes;
use matou_model::{LogRecord, LogSearch, Swarm};

/// The label of a service that is a VictoriaLogs: its address inside its container.
const LABEL: &str = "org.matou.victorialogs";

/// How often a search that is followed asks for new records.
const EVERY: Duration = Duration::from_secs(2);
/// How long after its time a record may arrive and still be seen.
const LATE: SignedDuration = SignedDuration::from_secs(15);

/// Smallest limit of a search that is followed.
const FOLLOWED: usize = 1000;

/// Fields that are kept of a record, and characters of each.
const FIELDS: usize = 64;
const KEPT: usize = 4000;

/// Digits of a container's id that tell it from all others.
const ID: usize = 12;

/// The fleet's log store, and which container belongs to which service.
pub struct LogStore {
    nodes: Nodes,
    place: ContainerEndpoint,
    containers: BTreeMap<String, String>,
    /// LogsQL filter for one application's containers and routers; `None` searches everything.
    only: Option<String>,
}

impl LogStore {
    /// Finds the log store of the fleet.
    ///
    /// # Errors
    /// One sentence: there is none, no manager answers, or there is no such application.
    pub async fn find(nodes: &Nodes, app: Option<&str>) -> Result<Self, CollectError> {
        let manager = nodes.find_manager().await?;
        let swarm = manager.docker.query_swarm().await?;
        let place = find_container_endpoint(&swarm, nodes, LABEL).ok_or(tr!(
            "no log store runs: `matou deploy logs logs DOMAIN=… USERS=…` makes one of VictoriaLogs"
        ))?;
        Ok(Self {
            nodes: nodes.clone(),
            place,
            only: app.map(|app| render_app_filter(&swarm, app)).transpose()?,
            containers: service_names_by_container(&swarm, |_| true),
        })
    }

    /// Renders a search as a form body.
    fn render_form(&self, search: &LogSearch) -> String {
        let query = match search.query.trim() {
            "" => "*",
            query => query,
        };
        let mut body = Serializer::new(String::new());
        body.append_pair("query", query)
            .append_pair("limit", &search.limit.to_string());
        if let Some(since) = search.since {
            body.append_pair("start", &since.to_string());
        }
        if let Some(only) = &self.only {
            body.append_pair("extra_filters", only);
        }
        body.finish()
    }

    /// The newest records that fit, oldest first.
    ///
    /// # Errors
    /// One sentence: the query is not understood, or VictoriaLogs does not answer.
    pub async fn search(&self, search: &LogSearch) -> Result<Vec<LogRecord>, CollectError> {
        let body = self.render_form(search);
        let url = format!("{}/select/logsql/query", self.place.address);
        let argv = ["wget", "-q", "-O", "-", "--post-data", &body, &url];
        let answer = exec_at_endpoint(&self.nodes, &self.place, "VictoriaLogs", &argv).await;
        let bytes = answer.map_err(|e| match e {
            // The words of wget, which says the status only so.
            CollectError::Docker(DockerError::ExecFailed { said, .. }) if said.contains(" 400 ") => {
                CollectError::failed(tr!("VictoriaLogs does not understand {:?}: https://docs.victoriametrics.com/victorialogs/logsql/ tells how to ask", clean_line(&search.query)))
            }
            CollectError::Docker(DockerError::ExecTooMuch { .. }) => {
                tr!("that is more than 8 MiB: ask for fewer, or for less").into()
            }
            other => other,
        })?;
        let mut records: Vec<LogRecord> = bytes
            .split(|b| *b == b'\n')
            .filter_map(|line| parse_log_record(line, &self.containers))
            .collect();
        records.sort_by_key(|r| r.at);
        Ok(records)
    }

    /// Sends what is found, then what is new, until `out` is closed.
    ///
    /// # Errors
    /// Those of [`LogStore::search`].
    pub async fn follow(
        &self,
        mut search: LogSearch,
        out: mpsc::Sender<Vec<LogRecord>>,
    ) -> Result<(), CollectError> {
        let mut seen: HashSet<LogRecord> = HashSet::new();
        loop {
            let found = self.search(&search).await?;
            let from = Timestamp::now().checked_sub(LATE).unwrap_or(Timestamp::MIN);
            let news: Vec<LogRecord> = found
                .iter()
                .filter(|r| !seen.contains(*r))
                .cloned()
                .collect();
            seen = found.into_iter().filter(|r| r.at >= Some(from)).collect();
            if !news.is_empty() && out.send(news).await.is_err() {
                return Ok(());
            }
            if search.limit >= FOLLOWED && seen.len() >= search.limit {
                let more = LogRecord {
                    at: None,
                    node: String::new(),
                    app: String::new(),
                    line: tr!("more came than could be read").into(),
                    fields: Vec::new(),
                };
                if out.send(vec![more]).await.is_err() {
                    return Ok(());
                }
            }
            search.since = Some(from);
            search.limit = search.limit.max(FOLLOWED);
            tokio::select! {
                () = tokio::time::sleep(EVERY) => {}
                () = out.closed() => return Ok(()),
            }
        }
    }
}

/// Maps the first digits of each container's id to the name of its service.
fn service_names_by_container(
    swarm: &Swarm,
    wanted: impl Fn(&str) -> bool,
) -> BTreeMap<String, String> {
    let names: BTreeMap<&str, &str> = swarm.services.iter().map(|s| (&*s.id, &*s.name)).collect();
    let of = |t: &matou_model::Task| {
        let name = *names.get(&*t.service_id)?;
        let id = t.container_id.as_ref()?.get(..ID)?;
        wanted(&t.service_id).then(|| (id.to_owned(), name.to_owned()))
    };
    swarm.tasks.iter().filter_map(of).collect()
}

/// Renders the filter for an application or a service: the output of its containers that the swarm
/// still knows, and requests to its routers.
fn render_app_filter(swarm: &Swarm, app: &str) -> Result<String, CollectError> {
    let is = |s: &&matou_model::Service| s.stack.as_deref() == Some(app) || s.name == app;
    let services: Vec<&str> = swarm.services.iter().filter(is).map(|s| &*s.id).collect();
    if services.is_empty() {
        let running = swarm.services.iter();
        let running = running.map(|s| s.stack.as_deref().unwrap_or(&s.name));
        return Err(matou_config::unknown_name(tr!("application"), app, running).into());
    }
    let ids: Vec<String> = service_names_by_container(swarm, |id| services.contains(&id))
        .into_keys()
        .collect();
    let name: String = app
        .chars()
        .filter(|c| c.is_ascii_alphanumeric() || "-_".contains(*c))
        .collect();
    let router = format!("RouterName:~\"^{name}[-_@]\"");
    Ok(match ids.is_empty() {
        true => router,
        false => format!("file:~\"{}\" or {router}", ids.join("|")),
    })
}

/// Parses a line of the answer, a JSON object of strings.
fn parse_log_record(line: &[u8], containers: &BTreeMap<String, String>) -> Option<LogRecord> {
    let fields: BTreeMap<String, serde_json::Value> = serde_json::from_slice(line).ok()?;
    let text = |value: &serde_json::Value| {
        let text = match value {
            serde_json::Value::String(text) => text.clone(),
            other => other.to_string(),
        };
        let some: String = text.chars().take(KEPT).collect();
        clean_line(some.trim_end()).into_owned()
    };
    let first = |names: &[&str]| {
        let found = names.iter().find_map(|n| fields.get(*n));
        found.map(text).unwrap_or_default()
    };
    let container = fields.get("file").and_then(|f| {
        let file = f.as_str()?;
        // …/containers/ID/ID-json.log
        let id = file.rsplit('/').next()?.get(..ID)?;
        containers.get(id).cloned()
    });
    let router = |name: String| name.split('@').next().unwrap_or_default().to_owned();
    let app = container.unwrap_or_else(|| match first(&["RouterName"]) {
        name if name.is_empty() => first(&["SYSLOG_IDENTIFIER", "app_name", "_COMM", "source"]),
        name => router(name),
    });
    let at = first(&["_time"]).parse().ok();
    let line = match first(&["_msg"]) {
        // Answers of `uniq` and `stats` have no message: their fields are the line.
        line if line.is_empty() => {
            let pairs = fields.iter().filter(|(name, _)| *name != "_time");
            let pairs: Vec<String> = pairs.map(|(n, v)| format!("{n}={}", text(v))).collect();
            clean_line(&pairs.join(" ")).into_owned()
        }
        line => line,
    };
    Some(LogRecord {
        at,
        node: first(&["node", "_HOSTNAME", "hostname"]),
        app,
        line,
        fields: fields
            .iter()
            .filter(|(name, _)| !matches!(&***name, "_time" | "_msg" | "_stream" | "_stream_id"))
            .take(FIELDS)
            .map(|(name, value)| (clean_line(name).chars().take(80).collect(), text(value)))
            .collect(),
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn records_are_read_and_cleaned() {
        let containers = BTreeMap::from([("0123456789ab".to_owned(), "blog_web".to_owned())]);
        // As VictoriaLogs 1.26 answered, but for the hostile line.
        let read = |text: &str| parse_log_record(text.as_bytes(), &containers).unwrap();
        let one = read(
            r#"{"_time":"2026-11-24T20:50:34Z","_stream_id":"00","_stream":"{node=\"n1\"}","_msg":"a\u001b[2Jb\n","file":"/var/lib/docker/containers/0123456789abcdef/0123456789abcdef-json.log","node":"n1"}"#,
        );
        assert_eq!(
            (&*one.node, &*one.app, &*one.line),
            ("n1", "blog_web", "ab")
        );
        assert_eq!(one.at, "2026-11-24T20:50:34Z".parse().ok());
        let access = read(r#"{"_msg":"/","RouterName":"blog-tls@swarm","node":"n2"}"#);
        assert_eq!((&*access.app, access.at), ("blog-tls", None));
        let journal = read(r#"{"_msg":"x","_HOSTNAME":"n3","SYSLOG_IDENTIFIER":"sshd"}"#);
        assert_eq!((&*journal.node, &*journal.app), ("n3", "sshd"));
        let counted = read(r#"{"hits":"7","node":"n1"}"#);
        assert_eq!(counted.line, "hits=7 node=n1");
        assert!(parse_log_record(b"", &containers).is_none());
        assert!(parse_log_record(b"<html>", &containers).is_none());
    }
}
