//! Messages to a name server, one after another on a TCP connection, each signed with a key (TSIG, RFC 8945).

use matou_i18n::tr;
use std::time::{Duration, SystemTime, UNIX_EPOCH};

use hickory_proto::op::{Message, ResponseCode};
use hickory_proto::rr::rdata::tsig::{TsigAlgorithm, TsigError};
use hickory_proto::rr::{Name, TSigVerifier, TSigner};
use secrecy::{ExposeSecret, SecretString};
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::TcpStream;
use tokio::time::timeout;

use super::error::{DnsError, shorten};

/// How long a connection, or one answer, may take.
const PATIENCE: Duration = Duration::from_secs(10);

/// By how much the clocks may differ, seconds (RFC 8945, section 10).
const FUDGE: u16 = 300;

/// How messages are signed.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub enum KeyAlgorithm {
    /// HMAC with SHA-256.
    #[default]
    HmacSha256,
    /// HMAC with SHA-512.
    HmacSha512,
}

impl KeyAlgorithm {
    /// Returns its name, as name servers write it.
    pub fn as_str(self) -> &'static str {
        match self {
            Self::HmacSha256 => "hmac-sha256",
            Self::HmacSha512 => "hmac-sha512",
        }
    }
}

/// A key that name server and matou share.
#[derive(Clone)]
pub struct TransferKey {
    /// Its name, which the server knows it by.
    pub name: String,
    /// How it signs.
    pub algorithm: KeyAlgorithm,
    /// In base64, as `tsig-keygen` prints it.
    pub secret: SecretString,
}

impl TransferKey {
    /// Makes what signs with the key, for a server.
    pub(crate) fn to_signer(&self, server: &str) -> Result<TSigner, DnsError> {
        use base64::Engine as _;
        let wrong = |reason: &dyn std::fmt::Display| DnsError::Login {
            server: server.to_owned(),
            what: tr!("the key {}", self.name),
            reason: tr!(
                "{}; key_file of [dns] holds what `tsig-keygen` prints as secret",
                shorten(&reason.to_string())
            ),
        };
        let text = self.secret.expose_secret().trim();
        let bytes = base64::engine::general_purpose::STANDARD.decode(text);
        let bytes = bytes.map_err(|_| wrong(&tr!("the key is no base64")))?;
        if bytes.is_empty() {
            return Err(wrong(&tr!("the key is empty")));
        }
        let name = Name::from_ascii(&self.name).map_err(|e| wrong(&e))?;
        let algorithm = match self.algorithm {
            KeyAlgorithm::HmacSha256 => TsigAlgorithm::HmacSha256,
            KeyAlgorithm::HmacSha512 => TsigAlgorithm::HmacSha512,
        };
        TSigner::new(bytes, algorithm, name, FUDGE).map_err(|e| wrong(&e))
    }
}

/// A connection to a name server.
pub(crate) struct Connection<'a> {
    stream: TcpStream,
    server: &'a str,
    key: &'a str,
    signer: &'a TSigner,
}

impl<'a> Connection<'a> {
    /// Connects to `host:port`.
    pub(crate) async fn open(
        server: &'a str,
        key: &'a str,
        signer: &'a TSigner,
    ) -> Result<Self, DnsError> {
        let connecting = timeout(PATIENCE, TcpStream::connect(server)).await;
        let stream = match connecting {
            Ok(Ok(stream)) => stream,
            Ok(Err(e)) => return Err(DnsError::unreachable(server, e)),
            Err(_) => return Err(late(server)),
        };
        Ok(Self {
            stream,
            server,
            key,
            signer,
        })
    }

    /// Signs and sends a message. Returns what checks the answers.
    pub(crate) async fn send(&mut self, mut message: Message) -> Result<Verifier, DnsError> {
        let wrong = |e: hickory_proto::ProtoError| DnsError::answer(self.server, e);
        let now = SystemTime::now().duration_since(UNIX_EPOCH);
        let now = now.map_or(0, |since| since.as_secs());
        let (signature, tsig) = self.signer.sign_message(&message, now).map_err(wrong)?;
        message.set_signature(signature);
        let bytes = message.to_vec().map_err(wrong)?;
        let Ok(length) = u16::try_from(bytes.len()) else {
            return Err(DnsError::answer(
                self.server,
                tr!("the change is too large"),
            ));
        };
        let mut framed = length.to_be_bytes().to_vec();
        framed.extend(bytes);
        match timeout(PATIENCE, self.stream.write_all(&framed)).await {
            Ok(Ok(())) => {}
            Ok(Err(e)) => return Err(DnsError::unreachable(self.server, e)),
            Err(_) => return Err(late(self.server)),
        }
        let id = message.metadata.id;
        Ok(Verifier { id, tsig })
    }

    /// Receives one message of an answer, and checks who signed it. A refusal need not be signed.
    pub(crate) async fn receive(&mut self, verifier: &mut Verifier) -> Result<Message, DnsError> {
        let bytes = self.receive_bytes().await?;
        let message = Message::from_vec(&bytes).map_err(|e| DnsError::answer(self.server, e))?;
        if message.metadata.id != verifier.id {
            let reason = tr!("the answer to another question");
            return Err(DnsError::answer(self.server, reason));
        }
        if let Some(error) = message.signature().and_then(|tsig| tsig.data.error) {
            return Err(self.describe_key_error(error));
        }
        let is_refusal = message.metadata.response_code != ResponseCode::NoError
            && message.metadata.response_code != ResponseCode::NXDomain;
        if is_refusal && message.signature().is_none() {
            return Ok(message);
        }
        let Some(tsig) = &mut verifier.tsig else {
            return Ok(message);
        };
        let checked = tsig.verify(&bytes);
        checked.map_err(|e| DnsError::Login {
            server: self.server.to_owned(),
            what: tr!("the key {}", self.key),
            reason: shorten(&tr!("its answer is not signed with it ({e})")),
        })?;
        Ok(message)
    }

    async fn receive_bytes(&mut self) -> Result<Vec<u8>, DnsError> {
        let reading = async {
            let length = self.stream.read_u16().await?;
            let mut bytes = vec![0; usize::from(length)];
            self.stream.read_exact(&mut bytes).await?;
            Ok::<_, std::io::Error>(bytes)
        };
        match timeout(PATIENCE, reading).await {
            Ok(Ok(bytes)) => Ok(bytes),
            Ok(Err(e)) => Err(DnsError::unreachable(self.server, e)),
            Err(_) => Err(late(self.server)),
        }
    }

    fn describe_key_error(&self, error: TsigError) -> DnsError {
        let reason = match error {
            TsigError::BadKey => {
                tr!(
                    "it has no key of this name and algorithm: compare key_name and key_algorithm of [dns] with its configuration"
                )
            }
            TsigError::BadSig => {
                tr!(
                    "its key of this name is another one: compare key_file of [dns] with its configuration"
                )
            }
            TsigError::BadTime => {
                tr!(
                    "its clock and that of this machine differ by more than five minutes: set them right"
                )
            }
            _ => tr!("it says no more"),
        };
        DnsError::Login {
            server: self.server.to_owned(),
            what: tr!("the key {}", self.key),
            reason: reason.into(),
        }
    }
}

/// What checks the answers to one message.
pub(crate) struct Verifier {
    id: u16,
    tsig: Option<TSigVerifier>,
}

fn late(server: &str) -> DnsError {
    DnsError::unreachable(
        server,
        format_args!("{}", tr!("no answer within {} s", PATIENCE.as_secs())),
    )
}
