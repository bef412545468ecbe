//! Asking a registry: tokens, pages.

use matou_i18n::tr;
use secrecy::{ExposeSecret, SecretString};
use serde::Deserialize;

use super::reference::is_image_tag;
use super::{ImageReference, PATIENCE, RegistryError, login};

/// Tags asked for at a time.
const PAGE: usize = 1000;

/// Pages that are read at most: a registry that never ends must not keep the operator waiting.
const PAGES: usize = 100;

/// Bytes that one answer may have.
const LARGEST: u64 = 16 << 20;

/// The media type of tags and tokens.
const JSON: &str = "application/json";

#[derive(Deserialize)]
struct TagsPage {
    tags: Option<Vec<String>>,
}

#[derive(Deserialize)]
struct TokenAnswer {
    token: Option<String>,
    access_token: Option<String>,
}

/// All tags of an image, in the registry's order.
///
/// # Errors
/// [`RegistryError`].
pub async fn list_image_tags(image: &str) -> Result<Vec<String>, RegistryError> {
    let reference = ImageReference::parse(image)?;
    let host = reference.host.clone();
    tokio::task::spawn_blocking(move || query_tag_pages(&reference))
        .await
        .map_err(|e| RegistryError::Answer {
            host,
            reason: e.to_string(),
        })?
}

/// What a registry answers.
pub(super) struct RegistryAnswer {
    status: u16,
    /// The `Link` header, which names the next page.
    link: Option<String>,
    challenge: Option<String>,
    pub(super) body: String,
}

/// Asks one registry for one image, with the token that it wants.
pub(super) struct RegistryClient<'a> {
    agent: ureq::Agent,
    image: &'a ImageReference,
    authorization: Option<SecretString>,
}

impl<'a> RegistryClient<'a> {
    pub(super) fn new(image: &'a ImageReference) -> Self {
        let agent = ureq::Agent::config_builder()
            .timeout_global(Some(PATIENCE))
            .http_status_as_error(false)
            .user_agent("matou")
            .build()
            .into();
        Self {
            agent,
            image,
            authorization: None,
        }
    }

    /// Returns what is at a URL of the registry; gets a token first where one is asked for.
    pub(super) fn query_url(
        &mut self,
        url: &str,
        accept: &str,
    ) -> Result<RegistryAnswer, RegistryError> {
        let image = self.image;
        let ask = |authorization: Option<&SecretString>| {
            send_registry_request(&self.agent, image, url, accept, authorization)
        };
        let mut answer = ask(self.authorization.as_ref())?;
        if answer.status == 401 && self.authorization.is_none() {
            let challenge = answer.challenge.as_deref().unwrap_or_default();
            let authorization = authorize_by_challenge(&self.agent, image, challenge)?;
            answer = ask(Some(&authorization))?;
            self.authorization = Some(authorization);
        }
        match answer.status {
            200 => Ok(answer),
            401 | 403 | 404 => Err(registry_refused(image)),
            429 => Err(RegistryError::TooMany {
                host: image.host.clone(),
            }),
            other => Err(registry_answer_error(image, tr!("status {other}"))),
        }
    }
}

fn query_tag_pages(image: &ImageReference) -> Result<Vec<String>, RegistryError> {
    let mut client = RegistryClient::new(image);
    let base = image.registry_url();
    let mut url = format!("{base}/v2/{}/tags/list?n={PAGE}", image.repository);
    let mut all = Vec::new();
    for _ in 0..PAGES {
        let answer = client.query_url(&url, JSON)?;
        let page: TagsPage = serde_json::from_str(&answer.body)
            .map_err(|e| registry_answer_error(image, e.to_string()))?;
        all.extend(page.tags.into_iter().flatten().filter(|t| is_image_tag(t)));
        match answer.link.as_deref().and_then(|l| next_page_url(&base, l)) {
            Some(next) => url = next,
            None => return Ok(all),
        }
    }
    Ok(all)
}

fn registry_refused(image: &ImageReference) -> RegistryError {
    RegistryError::Refused {
        host: image.host.clone(),
        repository: image.repository.clone(),
    }
}

pub(super) fn registry_answer_error(image: &ImageReference, reason: String) -> RegistryError {
    RegistryError::Answer {
        host: image.host.clone(),
        reason: matou_base::text::clean_line(&reason)
            .chars()
            .take(200)
            .collect(),
    }
}

fn send_registry_request(
    agent: &ureq::Agent,
    image: &ImageReference,
    url: &str,
    accept: &str,
    authorization: Option<&SecretString>,
) -> Result<RegistryAnswer, RegistryError> {
    let unreachable = |e: ureq::Error| RegistryError::Unreachable {
        host: image.host.clone(),
        reason: matou_base::text::clean_line(&e.to_string()).into_owned(),
    };
    let mut request = agent.get(url).header("Accept", accept);
    if let Some(value) = authorization {
        request = request.header("Authorization", value.expose_secret());
    }
    let mut answer = request.call().map_err(unreachable)?;
    let header = |name: &str| {
        let value = answer.headers().get(name)?;
        value.to_str().ok().map(str::to_owned)
    };
    let (link, challenge) = (header("link"), header("www-authenticate"));
    let status = answer.status().as_u16();
    let body = answer.body_mut().with_config().limit(LARGEST);
    Ok(RegistryAnswer {
        status,
        link,
        challenge,
        body: body.read_to_string().map_err(unreachable)?,
    })
}

/// Returns the `Authorization` header that a challenge asks for; fetches a token if need be.
fn authorize_by_challenge(
    agent: &ureq::Agent,
    image: &ImageReference,
    challenge: &str,
) -> Result<SecretString, RegistryError> {
    let login = login::read_stored_login(&image.host);
    let basic = login.map(|l| SecretString::from(format!("Basic {}", l.expose_secret())));
    let (kind, rest) = challenge.split_once(' ').unwrap_or((challenge, ""));
    if kind.eq_ignore_ascii_case("basic") {
        return basic.ok_or_else(|| registry_refused(image));
    }
    if !kind.eq_ignore_ascii_case("bearer") {
        return Err(registry_answer_error(image, tr!("it asks for {kind:?}")));
    }
    let parameters = parse_challenge_parameters(rest);
    let get = |name: &str| {
        let found = parameters
            .iter()
            .find(|(k, _)| k.eq_ignore_ascii_case(name));
        found.map(|(_, v)| v.as_str())
    };
    let realm = get("realm")
        .ok_or_else(|| registry_answer_error(image, tr!("a challenge without a realm").into()))?;
    // A stored login is sent only over TLS, or to this machine itself.
    let loopback = image.registry_url().starts_with("http://") && is_loopback_url(realm);
    if !realm.starts_with("https://") && !loopback {
        return Err(registry_answer_error(
            image,
            tr!("tokens come from {realm}, without TLS"),
        ));
    }
    let scope = format!("repository:{}:pull", image.repository);
    let mut url = format!("{realm}{}", if realm.contains('?') { '&' } else { '?' });
    url.push_str(&format!(
        "scope={}",
        encode_query_value(get("scope").unwrap_or(&scope))
    ));
    if let Some(service) = get("service") {
        url.push_str(&format!("&service={}", encode_query_value(service)));
    }
    let answer = send_registry_request(agent, image, &url, JSON, basic.as_ref())?;
    if answer.status != 200 {
        return Err(match answer.status {
            401 | 403 => registry_refused(image),
            other => registry_answer_error(image, tr!("status {other} instead of a token")),
        });
    }
    let token: TokenAnswer = serde_json::from_str(&answer.body)
        .map_err(|_| registry_answer_error(image, tr!("no token").into()))?;
    let token = token.token.or(token.access_token);
    let token = token.ok_or_else(|| registry_answer_error(image, tr!("no token").into()))?;
    Ok(SecretString::from(format!("Bearer {token}")))
}

fn is_loopback_url(url: &str) -> bool {
    ["http://127.", "http://localhost:", "http://localhost/"]
        .iter()
        .any(|start| url.starts_with(start))
}

/// Parses `a="x",b="y"` of a challenge; values in quotes may hold commas.
fn parse_challenge_parameters(text: &str) -> Vec<(String, String)> {
    let mut out = Vec::new();
    let mut rest = text;
    while let Some((name, after)) = rest.split_once('=') {
        let name = name.trim_matches([' ', ',']).to_owned();
        let (value, left) = match after.strip_prefix('"') {
            Some(quoted) => quoted.split_once('"').unwrap_or((quoted, "")),
            None => after.split_once(',').unwrap_or((after, "")),
        };
        out.push((name, value.to_owned()));
        rest = left;
    }
    out
}

/// Percent-encodes a value for a query (RFC 3986, section 2.3).
fn encode_query_value(text: &str) -> String {
    let mut out = String::new();
    for b in text.bytes() {
        if b.is_ascii_alphanumeric() || b"-._~".contains(&b) {
            out.push(char::from(b));
        } else {
            out.push_str(&format!("%{b:02X}"));
        }
    }
    out
}

/// Returns the URL in `</v2/…?last=…>; rel="next"` (RFC 8288), if it is on the same server.
fn next_page_url(base: &str, link: &str) -> Option<String> {
    let (target, kind) = link.trim().strip_prefix('<')?.split_once('>')?;
    if !kind.replace(['"', ' '], "").contains("rel=next") {
        return None;
    }
    match target {
        path if path.starts_with('/') => Some(format!("{base}{path}")),
        // A token must not go elsewhere.
        url if url.starts_with(&format!("{base}/")) => Some(url.to_owned()),
        _ => None,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn challenges_and_links_are_read_as_the_specification_writes_them() {
        let read = parse_challenge_parameters(
            r#"realm="https://auth.docker.io/token",service="registry.docker.io",scope="repository:samalba/my-app:pull,push""#,
        );
        assert_eq!(
            read[0],
            ("realm".into(), "https://auth.docker.io/token".into())
        );
        assert_eq!(read[2].1, "repository:samalba/my-app:pull,push");
        assert_eq!(
            encode_query_value("repository:a/b:pull"),
            "repository%3Aa%2Fb%3Apull"
        );
        let base = "https://r.example.org";
        for (link, wanted) in [
            (
                "</v2/x/tags/list?n=2&last=b>; rel=\"next\"",
                Some("https://r.example.org/v2/x/tags/list?n=2&last=b"),
            ),
            (
                "<https://r.example.org/v2/x?last=b>; rel=next",
                Some("https://r.example.org/v2/x?last=b"),
            ),
            ("<https://evil.example.org/v2/x>; rel=\"next\"", None),
            ("<https://r.example.org.evil.org/x>; rel=\"next\"", None),
            ("</v2/x>; rel=\"prev\"", None),
            ("", None),
        ] {
            assert_eq!(next_page_url(base, link).as_deref(), wanted, "{link}");
        }
    }

    proptest::proptest! {
        #[test]
        fn nothing_panics(text in "\\PC{0,80}") {
            let _ = parse_challenge_parameters(&text);
            let _ = next_page_url("https://r.example.org", &text);
        }
    }
}
