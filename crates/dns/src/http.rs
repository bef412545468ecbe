//! Requests to providers: JSON over https.

use matou_i18n::tr;
use std::time::Duration;

use super::error::{DnsError, shorten};

/// How long a provider may take for one answer.
const PATIENCE: Duration = Duration::from_secs(20);

/// Bytes that one answer may have.
const LARGEST: u64 = 16 << 20;

/// Asks one provider.
#[derive(Clone)]
pub(crate) struct JsonClient {
    agent: ureq::Agent,
    /// As it is called in sentences.
    pub(crate) provider: String,
}

/// What a provider answered.
pub(crate) struct JsonAnswer {
    pub(crate) status: u16,
    pub(crate) body: String,
}

impl JsonClient {
    pub(crate) fn new(provider: &str) -> Self {
        let agent = ureq::Agent::config_builder()
            .timeout_global(Some(PATIENCE))
            .http_status_as_error(false)
            // A token goes nowhere else.
            .max_redirects(0)
            .user_agent("matou")
            .build()
            .into();
        Self {
            agent,
            provider: provider.to_owned(),
        }
    }

    /// Sends a request, with a body if there is one.
    pub(crate) fn send(
        &self,
        method: &str,
        url: &str,
        headers: &[(&str, &str)],
        body: Option<&str>,
    ) -> Result<JsonAnswer, DnsError> {
        let unreachable = |e: ureq::Error| DnsError::unreachable(&self.provider, e);
        let mut request = ureq::http::Request::builder()
            .method(method)
            .uri(url)
            .header("Accept", "application/json");
        for (name, value) in headers {
            request = request.header(*name, *value);
        }
        let wrong = |e: ureq::http::Error| DnsError::answer(&self.provider, e);
        let answer = match body {
            Some(body) => {
                let request = request.header("Content-Type", "application/json");
                self.agent
                    .run(request.body(body.to_owned()).map_err(wrong)?)
            }
            None => self.agent.run(request.body(()).map_err(wrong)?),
        };
        let mut answer = answer.map_err(unreachable)?;
        let status = answer.status().as_u16();
        let read = answer.body_mut().with_config().limit(LARGEST);
        Ok(JsonAnswer {
            status,
            body: read.read_to_string().map_err(unreachable)?,
        })
    }

    /// Returns the body of an answer that says yes.
    pub(crate) fn expect_success(
        &self,
        answer: JsonAnswer,
        what: &str,
        zone: &str,
    ) -> Result<String, DnsError> {
        let server = self.provider.clone();
        let reason = || find_message(&answer.body);
        match answer.status {
            200..=299 => Ok(answer.body),
            401 | 403 => Err(DnsError::Login {
                server,
                what: what.to_owned(),
                reason: reason(),
            }),
            404 => Err(DnsError::NoZone {
                server,
                zone: zone.to_owned(),
                known: Vec::new(),
            }),
            429 => Err(DnsError::refused(
                &server,
                tr!("it wants fewer requests; try again later"),
            )),
            status => Err(DnsError::refused(
                &server,
                format_args!("{}", tr!("status {status}: {}", reason())),
            )),
        }
    }

    /// Parses an answer.
    pub(crate) fn parse<T: serde::de::DeserializeOwned>(&self, body: &str) -> Result<T, DnsError> {
        serde_json::from_str(body).map_err(|e| DnsError::answer(&self.provider, e))
    }
}

/// Runs what waits for a provider beside everything else.
pub(crate) async fn run_blocking<T: Send + 'static>(
    provider: &str,
    ask: impl FnOnce() -> Result<T, DnsError> + Send + 'static,
) -> Result<T, DnsError> {
    let ended = tokio::task::spawn_blocking(ask).await;
    ended.map_err(|e| DnsError::answer(provider, e))?
}

/// Returns what an answer says went wrong.
fn find_message(body: &str) -> String {
    let said: Option<serde_json::Value> = serde_json::from_str(body).ok();
    let message = said.as_ref().and_then(|said| {
        ["message", "cause", "error"]
            .iter()
            .find_map(|key| said.get(key)?.as_str())
    });
    match message {
        Some(message) => shorten(message),
        None if body.trim().is_empty() => tr!("it says nothing of why").into(),
        None => shorten(body),
    }
}

/// Returns a TXT value as providers write it, in quotes.
pub(crate) fn quote_text(text: &str) -> String {
    format!("\"{}\"", text.replace('\\', "\\\\").replace('"', "\\\""))
}

/// Returns the text of a TXT value that may be in quotes, or in several of them.
pub(crate) fn unquote_text(value: &str) -> String {
    let inner = value.trim().strip_prefix('"');
    let Some(inner) = inner.and_then(|rest| rest.strip_suffix('"')) else {
        return value.to_owned();
    };
    let joined = inner.replace("\" \"", "");
    joined.replace("\\\"", "\"").replace("\\\\", "\\")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn texts_come_back_from_quotes() {
        for text in ["heritage=matou,app=a", "a \"b\" c", ""] {
            assert_eq!(unquote_text(&quote_text(text)), text);
        }
        assert_eq!(unquote_text("\"one \" \"two\""), "one two");
        assert_eq!(unquote_text("plain"), "plain");
    }

    #[test]
    fn what_went_wrong_is_one_short_line() {
        assert_eq!(
            find_message("{\"message\": \"The zone\\nis locked\"}"),
            "The zone is locked"
        );
        assert_eq!(find_message(""), "it says nothing of why");
        assert_eq!(find_message(&"x".repeat(5000)).len(), 200);
    }
}
