//! The engine's own JSON, for what is read, changed and written back. bollard's types leave out
//! what they do not know (`ContainerSpec.Healthcheck`, what newer engines have), and what is left
//! out would be lost when the rest is written.

use matou_i18n::tr;
use std::path::{Path, PathBuf};
use std::time::Duration;

use bytes::Bytes;
use form_urlencoded::byte_serialize;
use hyper::Method;
use hyper::body::Incoming;
use serde::Deserialize;
use serde_json::{Map, Value};
use tokio::time::timeout;

use super::connection::{
    EngineConnection, MAX_ANSWER_BYTES, REQUEST_TIMEOUT, RequestFailure, link_failure,
    parse_engine_refusal, read_answer_body, request_span,
};
use super::retry::wait_for_retry;
use super::{Docker, DockerError};

/// What the engine says a service, a node or the swarm should be, in its own JSON.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct RawSpec(Value);

impl RawSpec {
    /// A description as the engine would say it.
    #[cfg(test)]
    pub(super) fn from_text(text: &str) -> Self {
        Self(serde_json::from_str(text).unwrap())
    }

    /// The value at a place; `None` where there is none.
    pub fn get(&self, path: &[&str]) -> Option<&Value> {
        let found = path.iter().try_fold(&self.0, |value, key| value.get(*key));
        found.filter(|v| !v.is_null())
    }

    /// The value at a place, to be changed; what is missing on the way is made.
    pub fn value_mut(&mut self, path: &[&str]) -> &mut Value {
        path.iter().fold(&mut self.0, |value, key| {
            if !value.is_object() {
                *value = Value::Object(Map::new());
            }
            &mut value[*key]
        })
    }

    /// The map of texts at a place, to be changed: labels.
    pub fn map_mut(&mut self, path: &[&str]) -> &mut Map<String, Value> {
        let value = self.value_mut(path);
        if !value.is_object() {
            *value = Value::Object(Map::new());
        }
        match value {
            Value::Object(map) => map,
            _ => unreachable!("it was made one"),
        }
    }

    /// The list at a place, to be changed.
    pub fn list_mut(&mut self, path: &[&str]) -> &mut Vec<Value> {
        let value = self.value_mut(path);
        if !value.is_array() {
            *value = Value::Array(Vec::new());
        }
        match value {
            Value::Array(list) => list,
            _ => unreachable!("it was made one"),
        }
    }
}

/// What can be read, changed and written back.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum RawObjectKind {
    Service,
    Node,
    Swarm,
}

/// A service, a node or the swarm, as it was read.
#[derive(Debug, Deserialize)]
pub(super) struct RawObject {
    /// The swarm has an id as well, but it is no part of its path.
    #[serde(rename = "ID", default)]
    id: String,
    #[serde(rename = "Version", default)]
    version: RawObjectVersion,
    #[serde(rename = "Spec", default)]
    pub spec: Value,
    #[serde(rename = "PreviousSpec")]
    pub previous: Option<Value>,
}

#[derive(Debug, Default, Deserialize)]
struct RawObjectVersion {
    #[serde(rename = "Index", default)]
    index: u64,
}

impl RawObjectKind {
    /// The path to read it from.
    fn api_path(self, name: &str) -> String {
        let name: String = byte_serialize(name.as_bytes()).collect();
        match self {
            Self::Service => format!("/services/{name}"),
            Self::Node => format!("/nodes/{name}"),
            Self::Swarm => "/swarm".into(),
        }
    }

    /// The path to write back what was read.
    fn update_path(self, found: &RawObject, query: &str) -> String {
        let place = self.api_path(&found.id);
        format!("{place}/update?version={}{query}", found.version.index)
    }
}

/// What an engine says of itself.
#[derive(Debug, Deserialize)]
pub(super) struct EngineVersion {
    #[serde(rename = "Version", default)]
    pub version: String,
    #[serde(rename = "ApiVersion", default)]
    pub api: String,
}

fn answer_too_large(node: String) -> DockerError {
    let most = matou_base::text::human_bytes(MAX_ANSWER_BYTES as u64);
    let reason = tr!("an answer larger than {most}, which is not taken");
    DockerError::Other { node, reason }
}

impl Docker {
    /// Reads something of the API as the engine says it, bytes.
    pub(super) async fn read_raw(&self, path: &str) -> Result<Bytes, DockerError> {
        let path = format!("/v{}{path}", self.api_version().await?);
        let (connection, socket, body) = self.get_raw(&path).await?;
        self.idle.put(socket, connection);
        Ok(body)
    }

    /// Opens an answer that comes bit by bit, perhaps without an end. It ends when the connection
    /// is dropped.
    pub(super) async fn open_raw_stream(
        &self,
        path: &str,
    ) -> Result<(EngineConnection, Incoming), DockerError> {
        let path = format!("/v{}{path}", self.api_version().await?);
        let socket = self.host.docker_socket().await?;
        let asking = async {
            let mut connection = EngineConnection::open(self.host.name(), &socket).await?;
            let asked = connection.send_request(Method::GET, &path, None).await?;
            if !asked.status().is_success() {
                let status = asked.status().as_u16();
                return Err(RequestFailure::Api(
                    status,
                    parse_engine_refusal(&read_answer_body(asked.into_body()).await?),
                ));
            }
            Ok((connection, asked.into_body()))
        };
        let limit = Duration::from_secs(REQUEST_TIMEOUT);
        let span = request_span(self.host.name(), &Method::GET, &path);
        match timeout(limit, asking)
            .await
            .unwrap_or(Err(RequestFailure::Late))
        {
            Ok(open) => {
                span.in_scope(|| tracing::debug!(result = "streaming"));
                Ok(open)
            }
            Err(failed) => {
                span.in_scope(|| tracing::debug!(result = failed.kind()));
                Err(self.error_of_request(failed).await)
            }
        }
    }

    /// Asks what may take long, over a connection of its own; `path` without the version.
    pub(super) async fn request_slowly(
        &self,
        method: Method,
        path: &str,
        limit: Duration,
    ) -> Result<Bytes, DockerError> {
        let path = format!("/v{}{path}", self.api_version().await?);
        let socket = self.host.docker_socket().await?;
        let span = request_span(self.host.name(), &method, &path);
        let asking = async {
            let mut connection = EngineConnection::open(self.host.name(), &socket).await?;
            let asked = connection.send_request(method, &path, None).await?;
            let status = asked.status();
            let body = read_answer_body(asked.into_body()).await?;
            match status.is_success() {
                true => Ok(body),
                false => Err(RequestFailure::Api(
                    status.as_u16(),
                    parse_engine_refusal(&body),
                )),
            }
        };
        let Ok(answered) = timeout(limit, asking).await else {
            span.in_scope(|| tracing::debug!(result = "late"));
            return Err(DockerError::Other {
                node: self.node_name(),
                reason: tr!("no answer within {} s", limit.as_secs()),
            });
        };
        match answered {
            Ok(body) => {
                span.in_scope(|| tracing::debug!(result = "answered", bytes = body.len()));
                Ok(body)
            }
            Err(failed) => {
                span.in_scope(|| tracing::debug!(result = failed.kind()));
                Err(self.error_of_request(failed).await)
            }
        }
    }

    /// Makes the error of an answer that broke off.
    pub(super) async fn error_of_stream(&self, error: &hyper::Error) -> DockerError {
        self.error_of_request(link_failure(error)).await
    }

    /// What the engine says of itself, by the unversioned API.
    pub(super) async fn read_engine_version(&self) -> Result<EngineVersion, DockerError> {
        let (connection, socket, body) = self.get_raw_while_connecting("/version").await?;
        self.idle.put(socket, connection);
        self.parse_answer(serde_json::from_slice(&body))
    }

    /// Reads a path; returns the answer and its connection, which can be used again. The path
    /// should begin with the newest version the engine speaks: it leaves out what is newer than the
    /// version of a request.
    async fn get_raw(&self, path: &str) -> Result<(EngineConnection, PathBuf, Bytes), DockerError> {
        match self.try_get_raw(path).await? {
            Ok(answer) => Ok(answer),
            // That the connection stands was seen already.
            Err(RequestFailure::Link(reason)) => {
                self.forget_client().await;
                let node = self.node_name();
                Err(DockerError::NoEngine { node, reason })
            }
            Err(failed) => Err(self.error_of_request(failed).await),
        }
    }

    /// Reads a path while the client is being made. Unlike [`Docker::get_raw`] it forgets no client
    /// after a failure: that would wait for the lock that its caller holds.
    async fn get_raw_while_connecting(
        &self,
        path: &str,
    ) -> Result<(EngineConnection, PathBuf, Bytes), DockerError> {
        let node = self.node_name();
        Err(match self.try_get_raw(path).await? {
            Ok(answer) => return Ok(answer),
            Err(RequestFailure::Api(status, message)) => DockerError::Api {
                node,
                status,
                message: matou_base::text::clean_line(message.trim()).into_owned(),
            },
            Err(RequestFailure::Late) => DockerError::Other {
                node,
                reason: tr!("no answer within {REQUEST_TIMEOUT} s"),
            },
            Err(RequestFailure::Large) => answer_too_large(node),
            Err(RequestFailure::Link(reason)) => DockerError::NoEngine { node, reason },
        })
    }

    /// Reads a path; asks once more over a new connection when the question was lost with the
    /// connection to the node. Reading changes nothing, so it may be repeated.
    async fn try_get_raw(
        &self,
        path: &str,
    ) -> Result<Result<(EngineConnection, PathBuf, Bytes), RequestFailure>, DockerError> {
        let socket = self.host.docker_socket().await?;
        let answer = self.try_get_raw_once(&socket, path).await;
        let Err(RequestFailure::Link(reason)) = answer else {
            return Ok(answer);
        };
        match self.error_of_no_answer(&socket, reason.clone()).await {
            DockerError::NoEngine { .. } => Ok(Err(RequestFailure::Link(reason))),
            _ => {
                let socket = self.host.docker_socket().await?;
                match self.try_get_raw_once(&socket, path).await {
                    Err(RequestFailure::Link(reason)) => {
                        Err(self.error_of_no_answer(&socket, reason).await)
                    }
                    answer => Ok(answer),
                }
            }
        }
    }

    async fn try_get_raw_once(
        &self,
        socket: &Path,
        path: &str,
    ) -> Result<(EngineConnection, PathBuf, Bytes), RequestFailure> {
        if let Some(mut connection) = self.idle.take(socket) {
            match connection.request(Method::GET, path, None).await {
                Ok(body) => return Ok((connection, socket.to_owned(), body)),
                // It broke while it waited: a new one tells.
                Err(RequestFailure::Link(_)) => {}
                Err(failed) => return Err(failed),
            }
        }
        let mut connection = EngineConnection::open(self.host.name(), socket).await?;
        let body = connection.request(Method::GET, path, None).await?;
        Ok((connection, socket.to_owned(), body))
    }

    async fn error_of_request(&self, failed: RequestFailure) -> DockerError {
        let node = self.node_name();
        match failed {
            RequestFailure::Api(status, message) => DockerError::Api {
                node,
                status,
                message: matou_base::text::clean_line(message.trim()).into_owned(),
            },
            RequestFailure::Late => {
                self.error_of_client(bollard::errors::Error::RequestTimeoutError)
                    .await
            }
            RequestFailure::Large => answer_too_large(node),
            RequestFailure::Link(reason) => self.error_of_broken_client(reason).await,
        }
    }

    /// Reads a service, a node or the swarm.
    pub(super) async fn read_object(
        &self,
        what: RawObjectKind,
        name: &str,
    ) -> Result<RawObject, DockerError> {
        let body = self.read_raw(&what.api_path(name)).await?;
        self.parse_answer(serde_json::from_slice(&body))
    }

    /// Returns what an answer says, or the error that matou does not understand it.
    pub(super) fn parse_answer<T>(&self, read: serde_json::Result<T>) -> Result<T, DockerError> {
        read.map_err(|error| DockerError::Other {
            node: self.node_name(),
            reason: tr!("an answer that matou does not understand: {error}"),
        })
    }

    /// Reads what a service, a node or the swarm should be, lets `change` alter it, and writes it
    /// back; the rest stays as the engine said it. Tries again on a fresh description when somebody
    /// else changed it meanwhile, or the managers had no leader. `change` returns false for
    /// "nothing to do". `query` is added to the path that is written to.
    ///
    /// # Errors
    /// What the engine refuses, in its words; [`DockerError::is_not_found`] when there is no such thing.
    pub(super) async fn update_object(
        &self,
        what: RawObjectKind,
        name: &str,
        query: &str,
        mut change: impl FnMut(&mut RawSpec) -> bool,
    ) -> Result<(), DockerError> {
        let mut tries = 0;
        loop {
            let Err(error) = self
                .update_object_once(what, name, query, &mut change)
                .await
            else {
                return Ok(());
            };
            if !wait_for_retry(&error, &mut tries).await {
                return Err(error);
            }
        }
    }

    /// Does what [`Docker::update_object`] does, once, without another try.
    pub(super) async fn update_object_once(
        &self,
        what: RawObjectKind,
        name: &str,
        query: &str,
        change: &mut impl FnMut(&mut RawSpec) -> bool,
    ) -> Result<(), DockerError> {
        let prefix = format!("/v{}", self.api_version().await?);
        let path = prefix.clone() + &what.api_path(name);
        let (mut connection, socket, body) = self.get_raw(&path).await?;
        let found: RawObject = self.parse_answer(serde_json::from_slice(&body))?;
        let path = prefix + &what.update_path(&found, query);
        let mut spec = RawSpec(found.spec);
        if !change(&mut spec) {
            return Ok(());
        }
        let body = spec.0.to_string().into_bytes();
        match connection.request(Method::POST, &path, Some(body)).await {
            Ok(_) => {
                self.idle.put(socket, connection);
                Ok(())
            }
            Err(failed) => Err(self.error_of_request(failed).await),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_is_not_asked_for_is_written_as_it_was_read() {
        // Numbers beyond i64 and beyond what a float holds, names that matou does not know.
        let text = r#"{"Labels":{},"New":{"Of":[null,-1,9007199254740993,18446744073709551615]},"TaskTemplate":{"ContainerSpec":{"Healthcheck":{"Interval":10000000000}},"ForceUpdate":18446744073709551614}}"#;
        let mut spec = RawSpec(serde_json::from_str(text).unwrap());
        assert_eq!(spec.0.to_string(), text);
        spec.map_mut(&["Labels"]).insert("a".into(), "b".into());
        spec.list_mut(&["TaskTemplate", "Placement", "Constraints"])
            .push("x".into());
        *spec.value_mut(&["TaskTemplate", "ForceUpdate"]) = u64::MAX.into();
        let text = text
            .replace(r#""Labels":{}"#, r#""Labels":{"a":"b"}"#)
            .replace("614}}", r#"615,"Placement":{"Constraints":["x"]}}}"#);
        assert_eq!(spec.0.to_string(), text);
        assert_eq!(spec.get(&["TaskTemplate", "Placement", "None"]), None);
    }

    #[test]
    fn names_are_one_part_of_a_path() {
        let found: RawObject =
            serde_json::from_str(r#"{"ID":"s1","Version":{"Index":12},"Spec":{}}"#).unwrap();
        let query = "&rollback=previous";
        assert_eq!(
            RawObjectKind::Service.update_path(&found, query),
            "/services/s1/update?version=12&rollback=previous"
        );
        assert_eq!(
            RawObjectKind::Swarm.update_path(&found, ""),
            "/swarm/update?version=12"
        );
        assert_eq!(RawObjectKind::Node.api_path("a/b?c"), "/nodes/a%2Fb%3Fc");
    }
}
