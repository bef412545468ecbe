//! What a server really serves for a name: the handshake is the truth, whatever a store says.

use matou_i18n::tr;
use std::sync::{Arc, LazyLock};

use crate::EdgeError;
use jiff::Timestamp;
use rustls::client::danger::{HandshakeSignatureValid, ServerCertVerified, ServerCertVerifier};
use rustls::client::{Resumption, WebPkiServerVerifier};
use rustls::crypto::CryptoProvider;
use rustls::pki_types::pem::PemObject;
use rustls::pki_types::{CertificateDer, ServerName, UnixTime};
use rustls::{
    CertificateError, ClientConfig, DigitallySignedStruct, Error, RootCertStore, SignatureScheme,
};
use tokio::net::TcpStream;
use tokio::time::timeout;
use tokio_rustls::TlsConnector;
use tokio_rustls::client::TlsStream;
use x509_parser::prelude::{FromDer, GeneralName, X509Certificate};
use x509_parser::public_key::PublicKey;

use super::PATIENCE;
use matou_model::ChainLink;

/// A certificate as a server showed it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct PresentedCertificate {
    /// Common name of the authority that issued it.
    pub issuer: String,
    /// DNS names it covers.
    pub names: Vec<String>,
    /// Its first second.
    pub not_before: Timestamp,
    /// Its last second.
    pub not_after: Timestamp,
    /// Why a browser would refuse it; `None` when it would not.
    pub problem: Option<String>,
    /// The chain as PEM, the leaf first.
    pub pem: String,
}

impl PresentedCertificate {
    /// Whether it is Traefik's own, shown while it has none for a name.
    pub fn is_default(&self) -> bool {
        self.issuer == TRAEFIK_DEFAULT
    }
}

/// The name that Traefik's own certificate has, which it shows while it has none for a name.
const TRAEFIK_DEFAULT: &str = "TRAEFIK DEFAULT CERT";

/// Asks `address` for the certificate of `name`.
///
/// # Errors
/// One sentence: nothing listens, no answer in time, no TLS.
pub async fn query_certificate(
    address: &str,
    port: u16,
    name: &str,
    roots: &Arc<RootCertStore>,
) -> Result<PresentedCertificate, EdgeError> {
    let stream = connect_tls(address, port, name, &FULL_HANDSHAKE).await?;
    let chain = stream.get_ref().1.peer_certificates().unwrap_or_default();
    judge_chain(chain, name, roots)
}

/// TLS without resumption: in every handshake the server shows its current certificate.
pub(super) static FULL_HANDSHAKE: LazyLock<Arc<ClientConfig>> =
    LazyLock::new(|| Arc::new(build_tls_config(Resumption::disabled())));

/// Makes a TLS configuration that accepts every certificate.
#[expect(
    clippy::expect_used,
    reason = "the suites and the versions are both built in"
)]
pub(super) fn build_tls_config(resumption: Resumption) -> ClientConfig {
    let provider = Arc::new(rustls::crypto::ring::default_provider());
    let mut config = ClientConfig::builder_with_provider(provider.clone())
        .with_safe_default_protocol_versions()
        .expect("ring has suites for the default versions")
        .dangerous()
        .with_custom_certificate_verifier(Arc::new(AcceptAnyCertificate(provider)))
        .with_no_client_auth();
    config.resumption = resumption;
    config
}

/// Connects by TLS and accepts every certificate; callers judge it with [`judge_chain`].
pub(super) async fn connect_tls(
    address: &str,
    port: u16,
    name: &str,
    tls: &Arc<ClientConfig>,
) -> Result<TlsStream<TcpStream>, EdgeError> {
    let server_name = ServerName::try_from(name.to_owned())
        .map_err(|_| tr!("{} is no host name", matou_base::text::escape_line(name)))?;
    let tcp = match timeout(PATIENCE, TcpStream::connect((address, port))).await {
        Ok(Ok(tcp)) => tcp,
        Ok(Err(e)) if e.kind() == std::io::ErrorKind::ConnectionRefused => {
            return Err(EdgeError::failed(tr!(
                "nothing listens on port {port} of {address}"
            )));
        }
        Ok(Err(e)) => return Err(EdgeError::failed(format_args!("{address}:{port}: {e}"))),
        Err(_) => {
            return Err(EdgeError::failed(tr!(
                "{address}:{port} did not answer within {} s",
                PATIENCE.as_secs()
            )));
        }
    };
    let connector = TlsConnector::from(tls.clone());
    match timeout(PATIENCE, connector.connect(server_name, tcp)).await {
        Ok(Ok(stream)) => Ok(stream),
        Ok(Err(e)) => Err(EdgeError::failed(tr!(
            "{address}:{port} speaks no TLS for {name}: {e}"
        ))),
        Err(_) => Err(EdgeError::failed(tr!(
            "{address}:{port} did not finish the handshake within {} s",
            PATIENCE.as_secs()
        ))),
    }
}

/// Reads the first certificate of a chain, and finds out why a browser would refuse it.
pub(super) fn judge_chain(
    chain: &[CertificateDer<'_>],
    name: &str,
    roots: &Arc<RootCertStore>,
) -> Result<PresentedCertificate, EdgeError> {
    let leaf = chain
        .first()
        .ok_or(tr!("the server showed no certificate"))?;
    let (_, parsed) =
        X509Certificate::from_der(leaf).map_err(|e| tr!("the certificate can't be read: {e}"))?;
    let time = |t: x509_parser::time::ASN1Time| {
        Timestamp::from_second(t.timestamp()).unwrap_or(Timestamp::UNIX_EPOCH)
    };
    let mut names: Vec<String> = parsed
        .subject_alternative_name()
        .ok()
        .flatten()
        .map(|san| {
            let dns = san.value.general_names.iter().filter_map(|n| match n {
                GeneralName::DNSName(name) => Some((*name).to_owned()),
                _ => None,
            });
            dns.collect()
        })
        .unwrap_or_default();
    let common = |of: &x509_parser::x509::X509Name<'_>| {
        let name = of.iter_common_name().next().and_then(|n| n.as_str().ok());
        let name = name.map(str::to_owned);
        matou_base::text::clean_line(&name.unwrap_or_else(|| of.to_string())).into_owned()
    };
    let subject = common(parsed.subject());
    names = names
        .iter()
        .map(|n| matou_base::text::clean_line(n).into_owned())
        .collect();
    let problem = match subject.as_str() {
        TRAEFIK_DEFAULT => {
            Some(tr!("Traefik shows its own certificate: it has none for this name").into())
        }
        _ => explain_browser_refusal(chain, name, roots),
    };
    let pem = chain
        .iter()
        .map(|c| pem::encode(&pem::Pem::new("CERTIFICATE", c.to_vec())))
        .collect();
    Ok(PresentedCertificate {
        issuer: common(parsed.issuer()),
        names,
        not_before: time(parsed.validity().not_before),
        not_after: time(parsed.validity().not_after),
        problem,
        pem,
    })
}

/// Parses a PEM chain, the leaf first. Certificates that can't be read are left out.
pub fn parse_certificate_chain(pem: &str) -> Vec<ChainLink> {
    let common = |of: &x509_parser::x509::X509Name<'_>| {
        let name = of.iter_common_name().next().and_then(|n| n.as_str().ok());
        let name = name.map_or_else(|| of.to_string(), str::to_owned);
        matou_base::text::clean_line(&name).into_owned()
    };
    let certificates = CertificateDer::pem_slice_iter(pem.as_bytes()).flatten();
    certificates
        .filter_map(|der| {
            let (_, parsed) = X509Certificate::from_der(&der).ok()?;
            let key = match parsed.public_key().parsed() {
                Ok(PublicKey::RSA(key)) => format!("RSA {}", key.key_size()),
                Ok(PublicKey::EC(point)) => format!("EC {}", point.key_size()),
                _ => tr!("key of another kind").to_owned(),
            };
            let end = parsed.validity().not_after.timestamp();
            Some(ChainLink {
                subject: common(parsed.subject()),
                issuer: common(parsed.issuer()),
                not_after: Timestamp::from_second(end).ok()?,
                serial: parsed.raw_serial_as_string(),
                key,
            })
        })
        .collect()
}

/// Why a browser would refuse a chain, in plain words.
fn explain_browser_refusal(
    chain: &[CertificateDer<'_>],
    name: &str,
    roots: &Arc<RootCertStore>,
) -> Option<String> {
    let (leaf, rest) = chain.split_first()?;
    let provider = Arc::new(rustls::crypto::ring::default_provider());
    let verifier = WebPkiServerVerifier::builder_with_provider(roots.clone(), provider)
        .build()
        .ok()?;
    let server_name = ServerName::try_from(name).ok()?;
    let error = verifier
        .verify_server_cert(leaf, rest, &server_name, &[], UnixTime::now())
        .err()?;
    Some(match error {
        Error::InvalidCertificate(reason) => match reason {
            CertificateError::Expired | CertificateError::ExpiredContext { .. } => {
                tr!("it has expired").into()
            }
            CertificateError::NotValidYet | CertificateError::NotValidYetContext { .. } => {
                tr!("it is not valid yet: is the clock right?").into()
            }
            CertificateError::NotValidForName | CertificateError::NotValidForNameContext { .. } => {
                tr!("it is for other names").into()
            }
            CertificateError::UnknownIssuer => tr!(
                "browsers do not know its authority (a staging one, or a chain that is not whole)"
            )
            .into(),
            other => tr!("it is refused: {other:?}"),
        },
        other => tr!("it is refused: {other}"),
    })
}

/// Accepts every certificate, for looking at it; signatures are checked all the same.
#[derive(Debug)]
struct AcceptAnyCertificate(Arc<CryptoProvider>);

impl ServerCertVerifier for AcceptAnyCertificate {
    fn verify_server_cert(
        &self,
        _: &CertificateDer<'_>,
        _: &[CertificateDer<'_>],
        _: &ServerName<'_>,
        _: &[u8],
        _: UnixTime,
    ) -> Result<ServerCertVerified, Error> {
        Ok(ServerCertVerified::assertion())
    }

    fn verify_tls12_signature(
        &self,
        message: &[u8],
        certificate: &CertificateDer<'_>,
        signature: &DigitallySignedStruct,
    ) -> Result<HandshakeSignatureValid, Error> {
        let algorithms = &self.0.signature_verification_algorithms;
        rustls::crypto::verify_tls12_signature(message, certificate, signature, algorithms)
    }

    fn verify_tls13_signature(
        &self,
        message: &[u8],
        certificate: &CertificateDer<'_>,
        signature: &DigitallySignedStruct,
    ) -> Result<HandshakeSignatureValid, Error> {
        let algorithms = &self.0.signature_verification_algorithms;
        rustls::crypto::verify_tls13_signature(message, certificate, signature, algorithms)
    }

    fn supported_verify_schemes(&self) -> Vec<SignatureScheme> {
        self.0.signature_verification_algorithms.supported_schemes()
    }
}
