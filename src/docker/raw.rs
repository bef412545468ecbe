//! The engine's own JSON. What is read to be written back goes this way: bollard's types leave out what
//! they do not know (`ContainerSpec.Healthcheck`, what newer engines have), and what is left out is
//! lost when the rest is written.

use std::path::{Path, PathBuf};
use std::sync::{Arc, Mutex, PoisonError};
use std::time::{Duration, Instant};

use bytes::Bytes;
use form_urlencoded::byte_serialize;
use http_body_util::{BodyExt, Full, LengthLimitError, Limited};
use hyper::body::Incoming;
use hyper::client::conn::http1::{SendRequest, handshake};
use hyper::{Method, Request, Response, header};
use hyper_util::rt::TokioIo;
use serde::Deserialize;
use serde_json::{Map, Value};
use tokio::net::UnixStream;
use tokio::task::JoinHandle;
use tokio::time::timeout;

use super::swarm::again;
use super::{Docker, DockerError, REQUEST_TIMEOUT, convert};

/// Most of an answer that is taken, bytes.
const MOST: usize = 256 << 20;

/// Connections that are kept for the next question, at most, and for how long: over SSH each new one
/// costs a round trip, and without root a process on the node.
const IDLE: usize = 3;
const IDLE_FOR: Duration = Duration::from_secs(2);

/// What the engine says a service, a node or the swarm should be, in its own JSON.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Spec(Value);

impl Spec {
    /// The value at a place; `None` where there is none.
    pub fn get(&self, path: &[&str]) -> Option<&Value> {
        let found = path.iter().try_fold(&self.0, |value, key| value.get(*key));
        found.filter(|v| !v.is_null())
    }

    /// The value at a place, to be changed; what is missing on the way is made.
    pub fn at(&mut self, path: &[&str]) -> &mut Value {
        path.iter().fold(&mut self.0, |value, key| {
            if !value.is_object() {
                *value = Value::Object(Map::new());
            }
            &mut value[*key]
        })
    }

    /// The map of texts at a place, to be changed: labels.
    pub fn texts(&mut self, path: &[&str]) -> &mut Map<String, Value> {
        let value = self.at(path);
        if !value.is_object() {
            *value = Value::Object(Map::new());
        }
        match value {
            Value::Object(map) => map,
            _ => unreachable!("it was made one"),
        }
    }

    /// The list at a place, to be changed.
    pub fn list(&mut self, path: &[&str]) -> &mut Vec<Value> {
        let value = self.at(path);
        if !value.is_array() {
            *value = Value::Array(Vec::new());
        }
        match value {
            Value::Array(list) => list,
            _ => unreachable!("it was made one"),
        }
    }
}

/// Something that is read, changed and written back.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Thing {
    Service,
    Node,
    Swarm,
}

/// One that was read.
#[derive(Debug, Deserialize)]
pub(super) struct Found {
    /// Of the swarm's own there is one, but its address does not have it.
    #[serde(rename = "ID", default)]
    id: String,
    #[serde(rename = "Version", default)]
    version: Version,
    #[serde(rename = "Spec", default)]
    spec: Value,
    #[serde(rename = "PreviousSpec")]
    pub previous: Option<Value>,
}

#[derive(Debug, Default, Deserialize)]
struct Version {
    #[serde(rename = "Index", default)]
    index: u64,
}

impl Thing {
    /// Where it is read.
    fn place(self, name: &str) -> String {
        let name: String = byte_serialize(name.as_bytes()).collect();
        match self {
            Self::Service => format!("/services/{name}"),
            Self::Node => format!("/nodes/{name}"),
            Self::Swarm => "/swarm".into(),
        }
    }

    /// Where what was read is written.
    fn written(self, found: &Found, query: &str) -> String {
        let place = self.place(&found.id);
        format!("{place}/update?version={}{query}", found.version.index)
    }
}

/// One connection to an engine.
pub(super) struct Connection {
    sender: SendRequest<Full<Bytes>>,
    task: JoinHandle<Result<(), hyper::Error>>,
}

impl Drop for Connection {
    fn drop(&mut self) {
        self.task.abort();
    }
}

/// One that waits since then, and the socket that it leads through.
struct Waiting {
    since: Instant,
    socket: PathBuf,
    connection: Connection,
}

/// Connections that wait for the next question. Cheap to clone.
#[derive(Clone, Default)]
pub(super) struct Idle(Arc<Mutex<Vec<Waiting>>>);

impl Idle {
    fn all(&self) -> std::sync::MutexGuard<'_, Vec<Waiting>> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// One that stands through this socket.
    fn take(&self, socket: &Path) -> Option<Connection> {
        let mut all = self.all();
        all.retain(|w| !w.connection.sender.is_closed() && w.socket == socket);
        all.pop().map(|w| w.connection)
    }

    fn put(&self, socket: PathBuf, connection: Connection) {
        let mut all = self.all();
        if all.len() == IDLE || connection.sender.is_closed() {
            return;
        }
        let since = Instant::now();
        all.push(Waiting {
            since,
            socket,
            connection,
        });
        let waiting = Arc::downgrade(&self.0);
        tokio::spawn(async move {
            tokio::time::sleep(IDLE_FOR).await;
            if let Some(all) = waiting.upgrade() {
                let mut all = all.lock().unwrap_or_else(PoisonError::into_inner);
                all.retain(|w| w.since > since);
            }
        });
    }

    pub(super) fn clear(&self) {
        self.all().clear();
    }
}

/// Why a request has no answer.
enum Failed {
    /// Nobody answers, or no longer.
    Link(String),
    Late,
    /// It says more than is taken.
    Large,
    /// The engine's own words.
    Api(u16, String),
}

fn link(error: &(dyn std::error::Error + 'static)) -> Failed {
    Failed::Link(convert::root_cause(error))
}

impl Connection {
    async fn open(socket: &std::path::Path) -> Result<Self, Failed> {
        let stream = UnixStream::connect(socket).await.map_err(|e| link(&e))?;
        let made = handshake(TokioIo::new(stream)).await;
        let (sender, connection) = made.map_err(|e| link(&e))?;
        Ok(Self {
            sender,
            task: tokio::spawn(connection),
        })
    }

    /// Sends one request; answers with the body of what the engine says.
    async fn ask(
        &mut self,
        method: Method,
        path: &str,
        body: Option<Vec<u8>>,
    ) -> Result<Bytes, Failed> {
        let answered = async {
            let response = self.send(method, path, body).await?;
            let status = response.status();
            let body = all(response.into_body()).await?;
            match status.is_success() {
                true => Ok(body),
                false => Err(Failed::Api(status.as_u16(), words(&body))),
            }
        };
        let limit = Duration::from_secs(REQUEST_TIMEOUT);
        timeout(limit, answered).await.unwrap_or(Err(Failed::Late))
    }

    async fn send(
        &mut self,
        method: Method,
        path: &str,
        body: Option<Vec<u8>>,
    ) -> Result<Response<Incoming>, Failed> {
        let request = Request::builder()
            .method(method)
            .uri(path)
            .header(header::HOST, "docker")
            .header(header::CONTENT_TYPE, "application/json")
            .body(Full::new(body.unwrap_or_default().into()))
            .map_err(|e| link(&e))?;
        self.sender.ready().await.map_err(|e| link(&e))?;
        let response = self.sender.send_request(request).await;
        response.map_err(|e| link(&e))
    }
}

/// The whole body of an answer, as far as it is taken.
async fn all(body: Incoming) -> Result<Bytes, Failed> {
    let body = Limited::new(body, MOST).collect().await;
    let body = body.map_err(|e| match e.is::<LengthLimitError>() {
        true => Failed::Large,
        false => Failed::Link(e.to_string()),
    })?;
    Ok(body.to_bytes())
}

/// What an engine says of itself.
#[derive(Debug, Deserialize)]
pub(super) struct EngineVersion {
    #[serde(rename = "Version", default)]
    pub version: String,
    #[serde(rename = "ApiVersion", default)]
    pub api: String,
}

fn large(node: String) -> DockerError {
    let most = crate::text::human_bytes(MOST as u64);
    let reason = format!("an answer larger than {most}, which is not taken");
    DockerError::Other { node, reason }
}

/// What the engine says when it refuses.
fn words(body: &[u8]) -> String {
    #[derive(Deserialize)]
    struct Refused {
        message: String,
    }
    let refused = serde_json::from_slice::<Refused>(body);
    refused.map_or_else(|_| crate::text::plain(body), |refused| refused.message)
}

impl Docker {
    /// Reads something of the API as the engine says it, bytes.
    pub(super) async fn read_raw(&self, path: &str) -> Result<Bytes, DockerError> {
        let path = format!("/v{}{path}", self.api().await?);
        let (connection, socket, body) = self.get(&path).await?;
        self.idle.put(socket, connection);
        Ok(body)
    }

    /// Asks for something that comes bit by bit, perhaps without an end; it ends with the connection.
    pub(super) async fn open_raw(&self, path: &str) -> Result<(Connection, Incoming), DockerError> {
        let path = format!("/v{}{path}", self.api().await?);
        let socket = self.host.docker_socket().await?;
        let asking = async {
            let mut connection = Connection::open(&socket).await?;
            let asked = connection.send(Method::GET, &path, None).await?;
            if !asked.status().is_success() {
                let status = asked.status().as_u16();
                return Err(Failed::Api(status, words(&all(asked.into_body()).await?)));
            }
            Ok((connection, asked.into_body()))
        };
        let limit = Duration::from_secs(REQUEST_TIMEOUT);
        match timeout(limit, asking).await.unwrap_or(Err(Failed::Late)) {
            Ok(open) => Ok(open),
            Err(failed) => Err(self.failed_raw(failed).await),
        }
    }

    /// What came bit by bit broke off.
    pub(super) async fn broken(&self, error: &hyper::Error) -> DockerError {
        self.failed_raw(link(error)).await
    }

    /// What the engine says of itself, by the unversioned API.
    pub(super) async fn read_version(&self) -> Result<EngineVersion, DockerError> {
        let (connection, socket, body) = self.get_before("/version").await?;
        self.idle.put(socket, connection);
        self.understood(serde_json::from_slice(&body))
    }

    /// Asks for something; answers with the connection, which stands. The engine's own newest version
    /// is to be asked for: it leaves out what is newer than the version of a request.
    async fn get(&self, path: &str) -> Result<(Connection, PathBuf, Bytes), DockerError> {
        match self.try_get(path).await? {
            Ok(answer) => Ok(answer),
            Err(failed) => Err(self.failed_raw(failed).await),
        }
    }

    /// The same while the client is made, which nobody may wait for.
    async fn get_before(&self, path: &str) -> Result<(Connection, PathBuf, Bytes), DockerError> {
        let node = self.node();
        Err(match self.try_get(path).await? {
            Ok(answer) => return Ok(answer),
            Err(Failed::Api(status, message)) => DockerError::Api {
                node,
                status,
                message: crate::text::clean(message.trim()).into_owned(),
            },
            Err(Failed::Late) => DockerError::Other {
                node,
                reason: format!("no answer within {REQUEST_TIMEOUT} s"),
            },
            Err(Failed::Large) => large(node),
            Err(Failed::Link(reason)) => self.no_engine(reason).await,
        })
    }

    /// A question that was lost with the connection to the node is asked once more, by the next one: it
    /// changes nothing.
    async fn try_get(
        &self,
        path: &str,
    ) -> Result<Result<(Connection, PathBuf, Bytes), Failed>, DockerError> {
        let answer = self.try_get_once(path).await?;
        match answer {
            Err(Failed::Link(_)) if self.host.check_connection().await.is_err() => {
                self.try_get_once(path).await
            }
            answer => Ok(answer),
        }
    }

    async fn try_get_once(
        &self,
        path: &str,
    ) -> Result<Result<(Connection, PathBuf, Bytes), Failed>, DockerError> {
        let socket = self.host.docker_socket().await?;
        if let Some(mut connection) = self.idle.take(&socket) {
            match connection.ask(Method::GET, path, None).await {
                Ok(body) => return Ok(Ok((connection, socket, body))),
                // It broke while it waited: a new one tells.
                Err(Failed::Link(_)) => {}
                Err(failed) => return Ok(Err(failed)),
            }
        }
        let asking = async {
            let mut connection = Connection::open(&socket).await?;
            let body = connection.ask(Method::GET, path, None).await?;
            Ok((connection, body))
        };
        let asked: Result<(Connection, Bytes), Failed> = asking.await;
        Ok(asked.map(|(connection, body)| (connection, socket, body)))
    }

    async fn failed_raw(&self, failed: Failed) -> DockerError {
        let node = self.node();
        match failed {
            Failed::Api(status, message) => DockerError::Api {
                node,
                status,
                message: crate::text::clean(message.trim()).into_owned(),
            },
            Failed::Late => {
                self.failed(bollard::errors::Error::RequestTimeoutError)
                    .await
            }
            Failed::Large => large(node),
            Failed::Link(reason) => {
                self.forget().await;
                self.no_engine(reason).await
            }
        }
    }

    /// Reads a service, a node or the swarm.
    pub(super) async fn find_raw(&self, what: Thing, name: &str) -> Result<Found, DockerError> {
        let body = self.read_raw(&what.place(name)).await?;
        self.understood(serde_json::from_slice(&body))
    }

    /// What an answer says.
    pub(super) fn understood<T>(&self, read: serde_json::Result<T>) -> Result<T, DockerError> {
        read.map_err(|error| DockerError::Other {
            node: self.node(),
            reason: format!("an answer that matou does not understand: {error}"),
        })
    }

    /// Reads what a service, a node or the swarm should be, lets `change` alter it, and writes it back,
    /// everything else as the engine said it; once more on a fresh one when somebody else changed it
    /// meanwhile, or the managers had no leader. `change` answers false for "nothing to do". `query` goes
    /// with what is written.
    ///
    /// # Errors
    /// The engine's words; [`DockerError::is_not_found`] when there is no such thing.
    pub(super) async fn update_raw(
        &self,
        what: Thing,
        name: &str,
        query: &str,
        mut change: impl FnMut(&mut Spec) -> bool,
    ) -> Result<(), DockerError> {
        let mut tries = 0;
        loop {
            let Err(error) = self.update_once(what, name, query, &mut change).await else {
                return Ok(());
            };
            if !again(&error, &mut tries).await {
                return Err(error);
            }
        }
    }

    /// The same, once.
    pub(super) async fn update_once(
        &self,
        what: Thing,
        name: &str,
        query: &str,
        change: &mut impl FnMut(&mut Spec) -> bool,
    ) -> Result<(), DockerError> {
        let prefix = format!("/v{}", self.api().await?);
        let path = prefix.clone() + &what.place(name);
        let (mut connection, socket, body) = self.get(&path).await?;
        let found: Found = self.understood(serde_json::from_slice(&body))?;
        let path = prefix + &what.written(&found, query);
        let mut spec = Spec(found.spec);
        if !change(&mut spec) {
            return Ok(());
        }
        let body = spec.0.to_string().into_bytes();
        match connection.ask(Method::POST, &path, Some(body)).await {
            Ok(_) => {
                self.idle.put(socket, connection);
                Ok(())
            }
            Err(failed) => Err(self.failed_raw(failed).await),
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
        let mut spec = Spec(serde_json::from_str(text).unwrap());
        assert_eq!(spec.0.to_string(), text);
        spec.texts(&["Labels"]).insert("a".into(), "b".into());
        spec.list(&["TaskTemplate", "Placement", "Constraints"])
            .push("x".into());
        *spec.at(&["TaskTemplate", "ForceUpdate"]) = u64::MAX.into();
        let text = text
            .replace(r#""Labels":{}"#, r#""Labels":{"a":"b"}"#)
            .replace("614}}", r#"615,"Placement":{"Constraints":["x"]}}}"#);
        assert_eq!(spec.0.to_string(), text);
        assert_eq!(spec.get(&["TaskTemplate", "Placement", "None"]), None);
    }

    #[test]
    fn names_are_one_part_of_a_path() {
        let found: Found =
            serde_json::from_str(r#"{"ID":"s1","Version":{"Index":12},"Spec":{}}"#).unwrap();
        let query = "&rollback=previous";
        assert_eq!(
            Thing::Service.written(&found, query),
            "/services/s1/update?version=12&rollback=previous"
        );
        assert_eq!(Thing::Swarm.written(&found, ""), "/swarm/update?version=12");
        assert_eq!(Thing::Node.place("a/b?c"), "/nodes/a%2Fb%3Fc");
    }
}
