//! One request to an application, through the edge node that is asked: DNS plays no part in it.

use std::sync::Arc;
use std::time::{Duration, Instant};

use bytes::Bytes;
use http_body_util::Empty;
use hyper::Request;
use hyper_util::rt::TokioIo;
use rustls::RootCertStore;
use tokio::time::timeout;

use super::probe::{connect, judge};
use super::{PATIENCE, Served};

/// What an application answered.
#[derive(Debug, Clone)]
pub struct Answer {
    pub status: u16,
    pub took: Duration,
    /// Where a redirect leads.
    pub location: Option<String>,
    /// The certificate it came with.
    pub served: Served,
}

impl Answer {
    /// Whether the answer is one of `wanted`, or a redirect within the site of `domain`, which is
    /// how many applications greet.
    pub fn is_well(&self, domain: &str, wanted: &[u16]) -> bool {
        let within = |to: &str| to.starts_with('/') || to.starts_with(&format!("https://{domain}"));
        wanted.contains(&self.status)
            || ((300..400).contains(&self.status) && self.location.as_deref().is_some_and(within))
    }
}

/// Asks `https://NAME/PATH` of the server at `address`. Redirects are not followed.
///
/// # Errors
/// One sentence: no connection, no TLS, no answer in time.
pub async fn get(
    address: &str,
    port: u16,
    name: &str,
    path: &str,
    roots: &Arc<RootCertStore>,
) -> Result<Answer, String> {
    let begun = Instant::now();
    let stream = connect(address, port, name).await?;
    let chain = stream.get_ref().1.peer_certificates().unwrap_or_default();
    let served = judge(chain, name, roots)?;
    let failed = |e: &dyn std::fmt::Display| format!("{name} gave no answer: {e}");
    let (mut sender, connection) = hyper::client::conn::http1::handshake(TokioIo::new(stream))
        .await
        .map_err(|e| failed(&e))?;
    let connection = tokio::spawn(connection);
    let request = Request::get(path)
        .header(hyper::header::HOST, name)
        .header(hyper::header::USER_AGENT, "matou")
        .header(hyper::header::ACCEPT, "*/*")
        .body(Empty::<Bytes>::new())
        .map_err(|e| failed(&e))?;
    let answered = timeout(PATIENCE * 2, sender.send_request(request)).await;
    connection.abort();
    let response = match answered {
        Ok(Ok(response)) => response,
        Ok(Err(e)) => return Err(failed(&e)),
        Err(_) => {
            return Err(format!(
                "{name} did not answer within {} s",
                PATIENCE.as_secs() * 2
            ));
        }
    };
    let location = response.headers().get(hyper::header::LOCATION);
    Ok(Answer {
        status: response.status().as_u16(),
        took: begun.elapsed(),
        location: location.and_then(|l| l.to_str().ok()).map(str::to_owned),
        served,
    })
}
