//! One request to an application, through the edge node that is asked: DNS plays no part in it.

use matou_i18n::tr;
use std::sync::Arc;
use std::time::{Duration, Instant};

use bytes::Bytes;
use http_body_util::{BodyExt as _, Full};
use hyper::Request;
use hyper_util::rt::TokioIo;
use rustls::client::Resumption;
use rustls::{ClientConfig, RootCertStore};
use secrecy::{ExposeSecret as _, SecretString};
use tokio::net::TcpStream;
use tokio::time::timeout;
use tokio_rustls::client::TlsStream;

use super::probe::{FULL_HANDSHAKE, build_tls_config, connect_tls, judge_chain};
use super::{PATIENCE, PresentedCertificate};
use crate::EdgeError;
use matou_model::{ExpectedAnswer, PAGE_HEADER};

/// What an application answered.
#[derive(Debug, Clone)]
pub struct HttpsAnswer {
    /// HTTP status code.
    pub status: u16,
    /// From the connection to the head of the answer.
    pub took: Duration,
    /// Where a redirect leads.
    pub location: Option<String>,
    /// Why its text is not that of a finished application, as the end of a sentence.
    pub fault: Option<String>,
    /// Which page was there instead of the application; `None` where none was.
    pub page: Option<String>,
}

impl HttpsAnswer {
    /// Returns whether the text is as `wanted`, and the status one of those wanted, or the answer a
    /// redirect within the site of `domain`: many applications redirect from their first page.
    pub fn is_well(&self, domain: &str, wanted: &ExpectedAnswer) -> bool {
        let to = self.location.as_deref();
        if wanted.redirect_to.is_some() {
            return self.fault.is_none() && wanted.status.contains(&self.status);
        }
        let redirects =
            (300..400).contains(&self.status) && to.is_some_and(|to| leads_within(to, domain));
        self.fault.is_none() && (redirects || wanted.status.contains(&self.status))
    }
}

/// Whether a redirect stays on the host of `domain`, as browsers read it: a tab in it counts for
/// nothing, `//host` and `/\\host` lead elsewhere.
fn leads_within(to: &str, domain: &str) -> bool {
    let to = to.replace('\t', "");
    if let Some(path) = to.strip_prefix('/') {
        return !path.starts_with(['/', '\\']);
    }
    let Some((scheme, rest)) = to.split_once("://") else {
        return false;
    };
    let authority = rest.split(['/', '\\', '?', '#']).next().unwrap_or_default();
    let host = match authority.rsplit_once(':') {
        Some((host, port)) if port.bytes().all(|b| b.is_ascii_digit()) => host,
        _ => authority,
    };
    scheme.eq_ignore_ascii_case("https") && host.eq_ignore_ascii_case(domain)
}

/// Asks the server at `address` under a name, by https, for what is `wanted`. Returns the answer, and
/// the certificate that the server showed. Redirects are not followed.
///
/// # Errors
/// One sentence: no connection, no TLS, no answer in time.
pub async fn get_with_certificate(
    address: &str,
    port: u16,
    name: &str,
    wanted: &ExpectedAnswer,
    roots: &Arc<RootCertStore>,
) -> Result<(HttpsAnswer, PresentedCertificate), EdgeError> {
    let begun = Instant::now();
    let stream = connect_tls(address, port, name, &FULL_HANDSHAKE).await?;
    let chain = stream.get_ref().1.peer_certificates().unwrap_or_default();
    let served = judge_chain(chain, name, roots)?;
    let answer = send_get_request(stream, begun, name, wanted).await?;
    Ok((answer, served))
}

/// Domains whose TLS session is kept.
const SESSIONS: usize = 1024;

/// Sessions that rustls makes room for, for each server it remembers
/// (`MAX_TLS13_TICKETS_PER_SERVER` of its handy.rs).
const TICKETS: usize = 8;

/// Asks the same servers again and again. TLS sessions are resumed (RFC 8446, 2.2), which spares
/// both sides most of a handshake; the server does not show its certificate again then.
#[derive(Debug, Clone)]
pub struct HttpsClient(Arc<ClientConfig>);

impl Default for HttpsClient {
    fn default() -> Self {
        let kept = Resumption::in_memory_sessions(SESSIONS * TICKETS);
        Self(Arc::new(build_tls_config(kept)))
    }
}

impl HttpsClient {
    /// Asks the server at `address` under a name for what is `wanted`. Redirects are not followed.
    ///
    /// # Errors
    /// One sentence: no connection, no TLS, no answer in time.
    pub async fn get(
        &self,
        address: &str,
        port: u16,
        name: &str,
        wanted: &ExpectedAnswer,
    ) -> Result<HttpsAnswer, EdgeError> {
        let begun = Instant::now();
        let stream = connect_tls(address, port, name, &self.0).await?;
        send_get_request(stream, begun, name, wanted).await
    }
}

/// What is sent to an application to log in.
#[derive(Debug)]
pub struct LoginMessage {
    /// Headers; values may be secret.
    pub headers: Vec<(String, SecretString)>,
    /// What is posted; without, it is a GET.
    pub body: Option<SecretString>,
}

/// Sends a log-in to the server at `address` under a name, by https; `wanted` says to which path, and
/// what is expected. The server's certificate is not judged. Redirects are not followed.
///
/// # Errors
/// One sentence: no connection, no TLS, no answer in time.
pub async fn send_login(
    address: &str,
    port: u16,
    name: &str,
    message: &LoginMessage,
    wanted: &ExpectedAnswer,
) -> Result<HttpsAnswer, EdgeError> {
    let begun = Instant::now();
    let stream = connect_tls(address, port, name, &FULL_HANDSHAKE).await?;
    send_request(stream, begun, name, message, wanted).await
}

async fn send_get_request(
    stream: TlsStream<TcpStream>,
    begun: Instant,
    name: &str,
    wanted: &ExpectedAnswer,
) -> Result<HttpsAnswer, EdgeError> {
    let message = LoginMessage {
        headers: Vec::new(),
        body: None,
    };
    send_request(stream, begun, name, &message, wanted).await
}

async fn send_request(
    stream: TlsStream<TcpStream>,
    begun: Instant,
    name: &str,
    message: &LoginMessage,
    wanted: &ExpectedAnswer,
) -> Result<HttpsAnswer, EdgeError> {
    let failed = |e: &dyn std::fmt::Display| EdgeError::failed(tr!("{name} gave no answer: {e}"));
    let (mut sender, connection) = hyper::client::conn::http1::handshake(TokioIo::new(stream))
        .await
        .map_err(|e| failed(&e))?;
    let connection = BoundTask(tokio::spawn(async move {
        let _ = connection.await;
    }));
    let mut request = match message.body {
        Some(_) => Request::post(&wanted.path),
        None => Request::get(&wanted.path),
    };
    request = request
        .header(hyper::header::HOST, name)
        .header(hyper::header::USER_AGENT, "matou")
        .header(hyper::header::ACCEPT, "*/*");
    if let Some(way_in) = &wanted.way_in {
        request = request.header(PAGE_HEADER, way_in);
    }
    for (header, value) in &message.headers {
        request = request.header(header, value.expose_secret());
    }
    let body = message.body.as_ref().map(|b| b.expose_secret().to_owned());
    let request = request
        .body(Full::new(Bytes::from(body.unwrap_or_default())))
        .map_err(|e| failed(&e))?;
    let answered = timeout(PATIENCE * 2, sender.send_request(request)).await;
    let took = begun.elapsed();
    let response = match answered {
        Ok(Ok(response)) => response,
        Ok(Err(e)) => return Err(failed(&e)),
        Err(_) => {
            return Err(EdgeError::failed(tr!(
                "{name} did not answer within {} s",
                PATIENCE.as_secs() * 2
            )));
        }
    };
    let status = response.status().as_u16();
    let location = response.headers().get(hyper::header::LOCATION);
    let location = location.and_then(|l| l.to_str().ok()).map(str::to_owned);
    let page = response.headers().get(PAGE_HEADER);
    let page = page.and_then(|p| p.to_str().ok()).map(str::to_owned);
    // Who does not know the password sees nothing of the application.
    let is_looked_at = location.is_some() || status != 401 && wanted.status.contains(&status);
    let leads_to = |main: &String| {
        let to = location.as_deref().unwrap_or_default();
        !to.starts_with('/') && leads_within(to, main)
    };
    let fault = match is_looked_at && wanted.needs_text() {
        _ if wanted.redirect_to.as_ref().is_some_and(|m| !leads_to(m)) => {
            let main = wanted.redirect_to.as_deref().unwrap_or_default();
            Some(tr!(", and does not lead to https://{main}"))
        }
        true => {
            let text = timeout(PATIENCE, read_beginning(response.into_body())).await;
            let text = text.unwrap_or_default() + location.as_deref().unwrap_or_default();
            wanted.find_fault(&text)
        }
        false => None,
    };
    drop(connection);
    Ok(HttpsAnswer {
        status,
        took,
        location,
        fault,
        page,
    })
}

/// Most of an answer that is looked through, bytes.
const MAX_TEXT: usize = 256 << 10;

/// Reads the first part of an answer, as far as it comes.
async fn read_beginning(mut body: hyper::body::Incoming) -> String {
    let mut read = Vec::new();
    while read.len() < MAX_TEXT
        && let Some(Ok(frame)) = body.frame().await
    {
        if let Some(data) = frame.data_ref() {
            read.extend_from_slice(&data[..data.len().min(MAX_TEXT - read.len())]);
        }
    }
    String::from_utf8_lossy(&read).into_owned()
}

/// A task that ends with this value.
struct BoundTask(tokio::task::JoinHandle<()>);

impl Drop for BoundTask {
    fn drop(&mut self) {
        self.0.abort();
    }
}

#[cfg(test)]
mod tests {
    use rustls::pki_types::pem::PemObject;
    use rustls::pki_types::{CertificateDer, PrivateKeyDer};
    use rustls::{HandshakeKind, ServerConfig};
    use tokio::io::{AsyncReadExt, AsyncWriteExt};
    use tokio::net::TcpListener;
    use tokio_rustls::TlsAcceptor;

    use super::*;

    fn page(path: &str) -> ExpectedAnswer {
        ExpectedAnswer {
            path: path.into(),
            status: vec![200],
            ..ExpectedAnswer::default()
        }
    }

    /// A server that answers every request with 204; its port on loopback.
    async fn server() -> u16 {
        server_of(b"HTTP/1.1 204 No Content\r\n\r\n", b"").await
    }

    /// A server that answers every request so, and then with the rest again and again, until nobody
    /// listens.
    async fn server_of(begin: &'static [u8], rest: &'static [u8]) -> u16 {
        let folder = tempfile::tempdir().unwrap();
        let made = std::process::Command::new("openssl")
            .args("req -x509 -newkey ec -pkeyopt ec_paramgen_curve:P-256 -nodes -days 2 -subj /CN=a.test -keyout k -out c".split(' '))
            .current_dir(folder.path())
            .output()
            .unwrap();
        assert!(made.status.success(), "{made:?}");
        let certificate = CertificateDer::from_pem_file(folder.path().join("c")).unwrap();
        let key = PrivateKeyDer::from_pem_file(folder.path().join("k")).unwrap();
        let provider = Arc::new(rustls::crypto::ring::default_provider());
        let config = ServerConfig::builder_with_provider(provider)
            .with_safe_default_protocol_versions()
            .unwrap()
            .with_no_client_auth()
            .with_single_cert(vec![certificate], key)
            .unwrap();
        let acceptor = TlsAcceptor::from(Arc::new(config));
        let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
        let port = listener.local_addr().unwrap().port();
        tokio::spawn(async move {
            while let Ok((tcp, _)) = listener.accept().await {
                let Ok(mut tls) = acceptor.accept(tcp).await else {
                    continue;
                };
                // Who only shakes hands asks nothing.
                if tls.read(&mut [0; 4096]).await.is_ok_and(|n| n > 0) {
                    tls.write_all(begin).await.unwrap();
                    let again = rest.repeat(1000);
                    while !again.is_empty() && tls.write_all(&again).await.is_ok() {}
                    let _ = tls.shutdown().await;
                }
            }
        });
        port
    }

    #[test]
    fn a_redirect_is_within_the_site_when_its_host_is_the_same() {
        let well = |to: &str| {
            let answer = HttpsAnswer {
                status: 302,
                took: Duration::ZERO,
                location: Some(to.to_owned()),
                fault: None,
                page: None,
            };
            answer.is_well("shop.org", &page("/"))
        };
        for to in [
            "/",
            "/login?to=https://evil.org",
            "https://shop.org",
            "https://shop.org/login",
            "HTTPS://Shop.ORG:443/",
            "https://shop.org?a",
        ] {
            assert!(well(to), "{to}");
        }
        for to in [
            "https://shop.org.evil.org",
            "https://shop.org.evil.org/",
            "https://shop.organic/",
            "https://shop.org@evil.org/",
            "https://shop.org:443@evil.org/",
            "https://evil.org/https://shop.org",
            "http://shop.org/",
            "//evil.org/",
            "/\\evil.org",
            "/\t/evil.org",
            "javascript:0",
            "",
        ] {
            assert!(!well(to), "{to}");
        }
    }

    /// What this process uses, MiB.
    fn memory() -> usize {
        let status = std::fs::read_to_string("/proc/self/status").unwrap();
        let peak = status
            .lines()
            .find_map(|l| l.strip_prefix("VmHWM:"))
            .unwrap();
        let kib: usize = peak.trim().trim_end_matches(" kB").parse().unwrap();
        kib >> 10
    }

    #[tokio::test]
    async fn an_answer_without_an_end_is_not_listened_to() {
        let ask = async |begin, rest| {
            let port = server_of(begin, rest).await;
            let (begun, before) = (Instant::now(), memory());
            let visitor = HttpsClient::default();
            let answer = visitor.get("127.0.0.1", port, "a.test", &page("/")).await;
            assert!(begun.elapsed() < PATIENCE * 4, "{:?}", begun.elapsed());
            assert!(memory() < before + 500, "{} MiB", memory() - before);
            answer.map(|a| a.status)
        };
        // A body is not read at all.
        let chunked = b"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n";
        assert_eq!(ask(chunked, b"4\r\nbody\r\n").await.unwrap(), 200);
        let long = b"HTTP/1.1 200 OK\r\nContent-Length: 9223372036854775807\r\n\r\n";
        assert_eq!(ask(long, b"body").await.unwrap(), 200);
        let headers = ask(b"HTTP/1.1 200 OK\r\n", b"a: b\r\n").await.unwrap_err();
        assert!(
            headers.to_string().starts_with("a.test gave no answer: "),
            "{headers}"
        );
        let header = ask(b"HTTP/1.1 200 OK\r\na: ", b"bbbbbbbb")
            .await
            .unwrap_err();
        assert!(
            header.to_string().starts_with("a.test gave no answer: "),
            "{header}"
        );
        let status = ask(b"HTTP/1.1 200 ", b"OK ").await.unwrap_err();
        assert!(
            status.to_string().starts_with("a.test gave no answer: "),
            "{status}"
        );
        let soon = ask(b"", b"HTTP/1.1 102 Processing\r\n\r\n")
            .await
            .unwrap_err();
        assert_eq!(soon.to_string(), "a.test did not answer within 10 s");
    }

    #[tokio::test]
    async fn an_installer_is_told_from_the_application() {
        let finished = ExpectedAnswer {
            contains: vec![r#""installed":true"#.into()],
            lacks: vec!["/install".into()],
            ..page("/")
        };
        let ask = async |answer, wanted: &ExpectedAnswer| {
            let port = server_of(answer, b"").await;
            let client = HttpsClient::default();
            let answer = client
                .get("127.0.0.1", port, "a.test", wanted)
                .await
                .unwrap();
            (answer.is_well("a.test", wanted), answer.fault)
        };
        let good = b"HTTP/1.1 200 OK\r\n\r\n{\"installed\":true}";
        assert_eq!(ask(good, &finished).await, (true, None));
        let open = b"HTTP/1.1 200 OK\r\n\r\n{\"installed\":false}";
        let (well, fault) = ask(open, &finished).await;
        assert!(!well && fault.unwrap().starts_with(" without `\"installed\":true`"));
        let lacks = ExpectedAnswer {
            contains: Vec::new(),
            ..finished.clone()
        };
        let leads = b"HTTP/1.1 302 Found\r\nLocation: /install/1\r\n\r\n";
        let (well, fault) = ask(leads, &lacks).await;
        assert!(!well && fault.unwrap().contains("its installer has"));
        let login = b"HTTP/1.1 302 Found\r\nLocation: /login\r\n\r\n";
        assert_eq!(ask(login, &lacks).await, (true, None));
        // A password stands before it.
        let mut shut = finished.clone();
        shut.status.push(401);
        let asks = b"HTTP/1.1 401 Unauthorized\r\n\r\n";
        assert_eq!(ask(asks, &shut).await, (true, None));
    }

    #[tokio::test]
    async fn an_endless_text_is_read_to_its_limit() {
        let wanted = ExpectedAnswer {
            contains: vec!["never".into()],
            ..page("/")
        };
        let port = server_of(
            b"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n",
            b"4\r\nbody\r\n",
        )
        .await;
        let (begun, client) = (Instant::now(), HttpsClient::default());
        let answer = client
            .get("127.0.0.1", port, "a.test", &wanted)
            .await
            .unwrap();
        assert!(answer.fault.is_some() && begun.elapsed() < PATIENCE * 2);
    }

    #[tokio::test]
    async fn who_asks_again_takes_the_session_up_and_who_looks_at_certificates_does_not() {
        let port = server().await;
        let kind = async |tls: &Arc<ClientConfig>| {
            let stream = connect_tls("127.0.0.1", port, "a.test", tls).await.unwrap();
            stream.get_ref().1.handshake_kind()
        };
        let visitor = HttpsClient::default();
        assert_eq!(kind(&visitor.0).await, Some(HandshakeKind::Full));
        let answer = visitor.get("127.0.0.1", port, "a.test", &page("/")).await;
        assert_eq!(answer.unwrap().status, 204);
        assert_eq!(kind(&visitor.0).await, Some(HandshakeKind::Resumed));

        let roots = Arc::new(RootCertStore::empty());
        let (answer, served) =
            get_with_certificate("127.0.0.1", port, "a.test", &page("/"), &roots)
                .await
                .unwrap();
        assert_eq!(answer.status, 204);
        assert_eq!(served.issuer, "a.test");
        assert_eq!(kind(&FULL_HANDSHAKE).await, Some(HandshakeKind::Full));
    }
}
