//! Connections to an engine, kept for a moment for the next question.

use std::path::{Path, PathBuf};
use std::sync::{Arc, Mutex, PoisonError};
use std::time::{Duration, Instant};

use bytes::Bytes;
use http_body_util::{BodyExt, Full, LengthLimitError, Limited};
use hyper::body::Incoming;
use hyper::client::conn::http1::{SendRequest, handshake};
use hyper::{Method, Request, Response, header};
use hyper_util::rt::TokioIo;
use serde::Deserialize;
use tokio::net::UnixStream;
use tokio::task::JoinHandle;
use tokio::time::timeout;
use tracing::Instrument as _;

use super::convert;

/// Seconds before a request that answers nothing is given up.
pub(super) const REQUEST_TIMEOUT: u64 = 20;

/// Most of an answer that is taken, bytes.
pub(super) const MAX_ANSWER_BYTES: usize = 256 << 20;

/// How many connections are kept for the next question, and for how long: over SSH a new one costs
/// a round trip, and without root a process on the node.
const MAX_IDLE: usize = 3;

const IDLE_LIMIT: Duration = Duration::from_secs(2);

/// One connection to an engine.
pub(super) struct EngineConnection {
    node: String,
    sender: SendRequest<Full<Bytes>>,
    task: JoinHandle<Result<(), hyper::Error>>,
}

impl Drop for EngineConnection {
    fn drop(&mut self) {
        self.task.abort();
    }
}

/// A connection that is kept, since when, and the socket it goes through.
struct IdleConnection {
    since: Instant,
    socket: PathBuf,
    connection: EngineConnection,
}

/// Connections that wait for the next question. Cheap to clone.
#[derive(Clone, Default)]
pub(super) struct IdleConnections(Arc<Mutex<Vec<IdleConnection>>>);

impl IdleConnections {
    fn lock_list(&self) -> std::sync::MutexGuard<'_, Vec<IdleConnection>> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Takes a connection through this socket that still stands.
    pub(super) fn take(&self, socket: &Path) -> Option<EngineConnection> {
        let mut all = self.lock_list();
        all.retain(|w| !w.connection.sender.is_closed() && w.socket == socket);
        all.pop().map(|w| w.connection)
    }

    pub(super) fn put(&self, socket: PathBuf, connection: EngineConnection) {
        let mut all = self.lock_list();
        if all.len() == MAX_IDLE || connection.sender.is_closed() {
            return;
        }
        let since = Instant::now();
        all.push(IdleConnection {
            since,
            socket,
            connection,
        });
        let waiting = Arc::downgrade(&self.0);
        tokio::spawn(async move {
            tokio::time::sleep(IDLE_LIMIT).await;
            if let Some(all) = waiting.upgrade() {
                let mut all = all.lock().unwrap_or_else(PoisonError::into_inner);
                all.retain(|w| w.since > since);
            }
        });
    }

    pub(super) fn clear(&self) {
        self.lock_list().clear();
    }
}

/// Why a request has no answer.
pub(super) enum RequestFailure {
    /// Nobody answers, or no longer.
    Link(String),
    Late,
    /// It says more than is taken.
    Large,
    /// The engine's own words.
    Api(u16, String),
}

impl RequestFailure {
    /// One word for the program's own log.
    pub(super) fn kind(&self) -> &'static str {
        match self {
            Self::Link(_) => "no answer",
            Self::Late => "late",
            Self::Large => "too large",
            Self::Api(..) => "refused",
        }
    }
}

/// A request in the program's own log. The query is left out: it may hold what was typed.
pub(super) fn request_span(node: &str, method: &Method, path: &str) -> tracing::Span {
    let path = path.split_once('?').map_or(path, |(path, _)| path);
    tracing::debug_span!("engine", ?node, %method, ?path)
}

pub(super) fn link_failure(error: &(dyn std::error::Error + 'static)) -> RequestFailure {
    RequestFailure::Link(convert::root_cause(error))
}

impl EngineConnection {
    pub(super) async fn open(node: &str, socket: &std::path::Path) -> Result<Self, RequestFailure> {
        let stream = UnixStream::connect(socket)
            .await
            .map_err(|e| link_failure(&e))?;
        let made = handshake(TokioIo::new(stream)).await;
        let (sender, connection) = made.map_err(|e| link_failure(&e))?;
        tracing::debug!(?node, "connected to the engine");
        Ok(Self {
            node: node.to_owned(),
            sender,
            task: tokio::spawn(connection),
        })
    }

    /// Sends one request and returns the body of the answer.
    pub(super) async fn request(
        &mut self,
        method: Method,
        path: &str,
        body: Option<Vec<u8>>,
    ) -> Result<Bytes, RequestFailure> {
        let begun = Instant::now();
        let span = request_span(&self.node, &method, path);
        let answered = async {
            let response = self.send_request(method, path, body).await?;
            let status = response.status();
            let body = read_answer_body(response.into_body()).await?;
            match status.is_success() {
                true => Ok(body),
                false => Err(RequestFailure::Api(
                    status.as_u16(),
                    parse_engine_refusal(&body),
                )),
            }
        };
        let limit = Duration::from_secs(REQUEST_TIMEOUT);
        let answered = timeout(limit, answered.instrument(span.clone())).await;
        let answer = answered.unwrap_or(Err(RequestFailure::Late));
        let ms = begun.elapsed().as_millis();
        span.in_scope(|| match &answer {
            Ok(body) => tracing::debug!(result = "answered", bytes = body.len(), ms),
            Err(RequestFailure::Api(status, _)) => {
                tracing::debug!(result = "refused", status, ms);
            }
            Err(failed) => tracing::debug!(result = failed.kind(), ms),
        });
        answer
    }

    pub(super) async fn send_request(
        &mut self,
        method: Method,
        path: &str,
        body: Option<Vec<u8>>,
    ) -> Result<Response<Incoming>, RequestFailure> {
        let request = Request::builder()
            .method(method)
            .uri(path)
            .header(header::HOST, "docker")
            .header(header::CONTENT_TYPE, "application/json")
            .body(Full::new(body.unwrap_or_default().into()))
            .map_err(|e| link_failure(&e))?;
        self.sender.ready().await.map_err(|e| link_failure(&e))?;
        let response = self.sender.send_request(request).await;
        response.map_err(|e| link_failure(&e))
    }
}

/// Reads the whole body of an answer, up to [`MAX_ANSWER_BYTES`].
pub(super) async fn read_answer_body(body: Incoming) -> Result<Bytes, RequestFailure> {
    let body = Limited::new(body, MAX_ANSWER_BYTES).collect().await;
    let body = body.map_err(|e| match e.is::<LengthLimitError>() {
        true => RequestFailure::Large,
        false => RequestFailure::Link(e.to_string()),
    })?;
    Ok(body.to_bytes())
}

/// Parses the engine's reason for a refusal.
pub(super) fn parse_engine_refusal(body: &[u8]) -> String {
    #[derive(Deserialize)]
    struct EngineRefusal {
        message: String,
    }
    let refused = serde_json::from_slice::<EngineRefusal>(body);
    refused.map_or_else(
        |_| matou_base::text::clean_bytes(body),
        |refused| refused.message,
    )
}
