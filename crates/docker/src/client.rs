//! One node's engine: connecting to it, and what is asked of it with bollard.

use matou_i18n::tr;
use std::path::{Path, PathBuf};
use std::sync::Arc;

use bollard::ClientVersion;
use bollard::query_parameters::{EventsOptions, ListContainersOptions, ListVolumesOptions};
use futures_util::{Stream, StreamExt};
use tokio::sync::Mutex;

use matou_host::{Host, HostError};
use matou_model::{EngineInfo, Volume};

use super::connection::{IdleConnections, REQUEST_TIMEOUT};
use super::{DockerError, convert};

/// The oldest API matou works with: Docker 20.10.
pub const OLDEST_API: (usize, usize) = (1, 41);

/// The newest API matou asks for; the engine's own is negotiated down from it.
const NEWEST_API: ClientVersion = ClientVersion {
    major_version: 1,
    minor_version: 53,
};

/// Kinds of objects whose events change what is shown.
const EVENT_TYPES: [&str; 5] = ["container", "service", "node", "volume", "daemon"];

/// Events that change what is shown. The three that every health check of every container makes
/// (`exec_…`) are not asked for.
const EVENTS: [&str; 18] = [
    "create",
    "destroy",
    "die",
    "health_status",
    "kill",
    "mount",
    "oom",
    "pause",
    "prune",
    "reload",
    "remove",
    "rename",
    "restart",
    "start",
    "stop",
    "unmount",
    "unpause",
    "update",
];

/// One node's engine. Cheap to clone; connects when first used and again after the link was lost.
#[derive(Clone)]
pub struct Docker {
    pub(super) host: Host,
    client: Arc<Mutex<Option<EngineClient>>>,
    pub(super) idle: IdleConnections,
}

/// A client, the socket that it talks through, and the newest version of the API that its engine speaks.
#[derive(Clone)]
pub(super) struct EngineClient {
    client: bollard::Docker,
    socket: PathBuf,
    api: String,
}

impl Docker {
    /// The engine of `host`; nothing is connected yet.
    pub fn new(host: Host) -> Self {
        Self {
            host,
            client: Arc::default(),
            idle: IdleConnections::default(),
        }
    }

    /// The host the engine runs on.
    pub fn host(&self) -> &Host {
        &self.host
    }

    pub(super) fn node_name(&self) -> String {
        self.host.name().to_owned()
    }

    /// A client that speaks the engine's API version.
    pub(super) async fn bollard_client(&self) -> Result<bollard::Docker, DockerError> {
        Ok(self.connect().await?.client)
    }

    /// The newest version of the API that the engine speaks.
    pub(super) async fn api_version(&self) -> Result<String, DockerError> {
        Ok(self.connect().await?.api)
    }

    pub(super) async fn connect(&self) -> Result<EngineClient, DockerError> {
        let socket = self.host.docker_socket().await?;
        let mut slot = self.client.lock().await;
        // Each connection has a socket of its own: through that of a lost one nobody answers.
        if let Some(client) = slot.as_ref().filter(|c| c.socket == socket) {
            return Ok(client.clone());
        }
        // Once a connection: the engine's own version, of which paths begin.
        let own = self.read_engine_version().await?;
        let speaks = |text: &str| {
            let (major, minor) = text.split_once('.')?;
            Some((major.parse().ok()?, minor.parse().ok()?))
        };
        let newest: (usize, usize) = (NEWEST_API.major_version, NEWEST_API.minor_version);
        let spoken = speaks(&own.api).unwrap_or(newest).min(newest);
        if spoken < OLDEST_API {
            return Err(DockerError::TooOld {
                node: self.node_name(),
                version: own.version,
                api: own.api,
            });
        }
        let version = ClientVersion {
            major_version: spoken.0,
            minor_version: spoken.1,
        };
        let path = socket.to_string_lossy();
        let client = match bollard::Docker::connect_with_unix(&path, REQUEST_TIMEOUT, &version) {
            Ok(client) => client,
            Err(e) => {
                let reason = convert::root_cause(&e);
                return Err(self.error_of_no_answer(&socket, reason).await);
            }
        };
        tracing::debug!(node = ?self.host.name(), engine = ?own.version, api = ?own.api, "engine connected");
        let node = self.node_name();
        let client = client.with_request_modifier(move |request| {
            tracing::debug!(?node, method = %request.method(), path = ?request.uri().path(), "asks the engine");
            request
        });
        let api = match own.api.is_empty() {
            true => format!("{}.{}", spoken.0, spoken.1),
            false => own.api,
        };
        let client = EngineClient {
            client,
            socket,
            api,
        };
        *slot = Some(client.clone());
        Ok(client)
    }

    /// Makes the error of a question that went through the socket `asked`, and that nobody answered.
    /// When the connection of that socket was lost, the question was lost with it, also when the node
    /// has another connection by now; otherwise it is the engine that does not answer.
    pub(super) async fn error_of_no_answer(&self, asked: &Path, reason: String) -> DockerError {
        let lost = match self.host.check_connection().await {
            Ok(()) => match self.host.docker_socket().await {
                Ok(now) if now == asked => {
                    return DockerError::NoEngine {
                        node: self.node_name(),
                        reason,
                    };
                }
                Ok(_) => HostError::Unreachable {
                    node: self.node_name(),
                    reason: tr!("the connection was lost").into(),
                },
                Err(lost) => lost,
            },
            Err(lost) => lost,
        };
        lost.into()
    }

    /// Makes the error of a question that went through the client, and that nobody answered. The client
    /// is forgotten.
    pub(super) async fn error_of_broken_client(&self, reason: String) -> DockerError {
        let asked = self.client.lock().await.take();
        self.close_idle_connections();
        match asked {
            Some(client) => self.error_of_no_answer(&client.socket, reason).await,
            // Another question was lost with it, and forgot it.
            None => match self.host.docker_socket().await {
                Ok(now) => self.error_of_no_answer(&now, reason).await,
                Err(lost) => lost.into(),
            },
        }
    }

    /// Forgets the client: its connection is broken.
    pub(super) async fn forget_client(&self) {
        *self.client.lock().await = None;
        self.close_idle_connections();
    }

    /// Closes the connections that are kept for the next question.
    pub(crate) fn close_idle_connections(&self) {
        self.idle.clear();
    }

    /// Names the node in an error, and forgets a client whose connection is broken.
    pub(super) async fn error_of_client(&self, error: bollard::errors::Error) -> DockerError {
        use bollard::errors::Error;
        let node = self.host.name();
        match &error {
            Error::DockerResponseServerError { status_code, .. } => {
                tracing::debug!(?node, status = status_code, "the engine refuses");
            }
            Error::RequestTimeoutError => tracing::debug!(?node, "the engine is late"),
            _ => tracing::debug!(?node, "the engine does not answer"),
        }
        match error {
            Error::DockerResponseServerError {
                status_code,
                message,
            } => DockerError::Api {
                node: self.node_name(),
                status: status_code,
                message: matou_base::text::clean_line(message.trim()).into_owned(),
            },
            Error::JsonDataError { .. } | Error::JsonSerdeError { .. } => DockerError::Other {
                node: self.node_name(),
                reason: tr!("an answer that matou does not understand: {error}"),
            },
            Error::RequestTimeoutError => {
                self.forget_client().await;
                DockerError::Other {
                    node: self.node_name(),
                    reason: tr!("no answer within {REQUEST_TIMEOUT} s"),
                }
            }
            other => {
                self.error_of_broken_client(convert::root_cause(&other))
                    .await
            }
        }
    }

    /// What the engine says of itself and its machine.
    ///
    /// # Errors
    /// When the engine can't be asked, or refuses.
    pub async fn query_engine(&self) -> Result<EngineInfo, DockerError> {
        let client = self.bollard_client().await?;
        let (info, version) = match tokio::try_join!(client.info(), client.version()) {
            Ok(both) => both,
            Err(e) => return Err(self.error_of_client(e).await),
        };
        Ok(convert::convert_engine(info, version))
    }

    /// The volumes the engine knows, with the containers that mount them.
    ///
    /// # Errors
    /// When the engine can't be asked, or refuses.
    pub async fn list_volumes(&self) -> Result<Vec<Volume>, DockerError> {
        let client = self.bollard_client().await?;
        let running = ListContainersOptions {
            all: true,
            ..Default::default()
        };
        let read = tokio::try_join!(
            client.list_volumes(None::<ListVolumesOptions>),
            client.list_containers(Some(running)),
        );
        match read {
            Ok((volumes, containers)) => Ok(convert::convert_volumes(volumes, &containers)),
            Err(e) => Err(self.error_of_client(e).await),
        }
    }

    /// One item whenever something happened on this engine; ends when the connection is lost.
    ///
    /// # Errors
    /// When the engine can't be asked, or refuses.
    pub async fn watch_events(&self) -> Result<impl Stream<Item = ()> + Send + use<>, DockerError> {
        let client = self.bollard_client().await?;
        let filter = |key: &str, wanted: &[&str]| {
            let wanted = wanted.iter().map(|w| (*w).to_owned());
            (key.to_owned(), wanted.collect())
        };
        let options = EventsOptions {
            filters: Some([filter("type", &EVENT_TYPES), filter("event", &EVENTS)].into()),
            ..Default::default()
        };
        Ok(client
            .events(Some(options))
            .take_while(|e| std::future::ready(e.is_ok()))
            .map(|_| ()))
    }
}
