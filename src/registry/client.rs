//! Asking a registry: tokens, pages.

use secrecy::{ExposeSecret, SecretString};
use serde::Deserialize;

use super::reference::is_tag;
use super::{PATIENCE, Reference, RegistryError, login};

/// Tags asked for at a time.
const PAGE: usize = 1000;

/// Pages that are read at most: a registry that never ends must not keep the operator waiting.
const PAGES: usize = 100;

/// Bytes that one answer may have.
const LARGEST: u64 = 16 << 20;

#[derive(Deserialize)]
struct Tags {
    tags: Option<Vec<String>>,
}

#[derive(Deserialize)]
struct Token {
    token: Option<String>,
    access_token: Option<String>,
}

/// All tags of an image, in the registry's order.
///
/// # Errors
/// [`RegistryError`].
pub async fn tags(image: &str) -> Result<Vec<String>, RegistryError> {
    let reference = Reference::parse(image)?;
    let host = reference.host.clone();
    tokio::task::spawn_blocking(move || list(&reference))
        .await
        .map_err(|e| RegistryError::Answer {
            host,
            reason: e.to_string(),
        })?
}

struct Asked {
    status: u16,
    /// Of the next page.
    link: Option<String>,
    challenge: Option<String>,
    body: String,
}

fn list(image: &Reference) -> Result<Vec<String>, RegistryError> {
    let agent: ureq::Agent = ureq::Agent::config_builder()
        .timeout_global(Some(PATIENCE))
        .http_status_as_error(false)
        .user_agent("matou")
        .build()
        .into();
    let base = image.base();
    let mut url = format!("{base}/v2/{}/tags/list?n={PAGE}", image.repository);
    let mut authorization: Option<SecretString> = None;
    let mut all = Vec::new();
    for _ in 0..PAGES {
        let mut answer = ask(&agent, image, &url, authorization.as_ref())?;
        if answer.status == 401 && authorization.is_none() {
            let challenge = answer.challenge.as_deref().unwrap_or_default();
            authorization = Some(authorize(&agent, image, challenge)?);
            answer = ask(&agent, image, &url, authorization.as_ref())?;
        }
        match answer.status {
            200 => {}
            401 | 403 | 404 => return Err(refused(image)),
            429 => {
                return Err(RegistryError::TooMany {
                    host: image.host.clone(),
                });
            }
            other => return Err(wrong(image, format!("status {other}"))),
        }
        let page: Tags =
            serde_json::from_str(&answer.body).map_err(|e| wrong(image, e.to_string()))?;
        all.extend(page.tags.into_iter().flatten().filter(|t| is_tag(t)));
        match answer.link.as_deref().and_then(|l| next(&base, l)) {
            Some(next) => url = next,
            None => return Ok(all),
        }
    }
    Ok(all)
}

fn refused(image: &Reference) -> RegistryError {
    RegistryError::Refused {
        host: image.host.clone(),
        repository: image.repository.clone(),
    }
}

fn wrong(image: &Reference, reason: String) -> RegistryError {
    RegistryError::Answer {
        host: image.host.clone(),
        reason: crate::text::clean(&reason).chars().take(200).collect(),
    }
}

fn ask(
    agent: &ureq::Agent,
    image: &Reference,
    url: &str,
    authorization: Option<&SecretString>,
) -> Result<Asked, RegistryError> {
    let unreachable = |e: ureq::Error| RegistryError::Unreachable {
        host: image.host.clone(),
        reason: crate::text::clean(&e.to_string()).into_owned(),
    };
    let mut request = agent.get(url).header("Accept", "application/json");
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
    Ok(Asked {
        status,
        link,
        challenge,
        body: body.read_to_string().map_err(unreachable)?,
    })
}

/// The value of the `Authorization` header that a challenge asks for.
fn authorize(
    agent: &ureq::Agent,
    image: &Reference,
    challenge: &str,
) -> Result<SecretString, RegistryError> {
    let login = login::stored(&image.host);
    let basic = login.map(|l| SecretString::from(format!("Basic {}", l.expose_secret())));
    let (kind, rest) = challenge.split_once(' ').unwrap_or((challenge, ""));
    if kind.eq_ignore_ascii_case("basic") {
        return basic.ok_or_else(|| refused(image));
    }
    if !kind.eq_ignore_ascii_case("bearer") {
        return Err(wrong(image, format!("it asks for {kind:?}")));
    }
    let parameters = parameters(rest);
    let get = |name: &str| {
        let found = parameters
            .iter()
            .find(|(k, _)| k.eq_ignore_ascii_case(name));
        found.map(|(_, v)| v.as_str())
    };
    let realm = get("realm").ok_or_else(|| wrong(image, "a challenge without a realm".into()))?;
    // What was stored for this registry goes to no server without TLS, but this machine itself.
    let loopback = image.base().starts_with("http://") && is_loopback(realm);
    if !realm.starts_with("https://") && !loopback {
        return Err(wrong(
            image,
            format!("tokens come from {realm}, without TLS"),
        ));
    }
    let scope = format!("repository:{}:pull", image.repository);
    let mut url = format!("{realm}{}", if realm.contains('?') { '&' } else { '?' });
    url.push_str(&format!("scope={}", coded(get("scope").unwrap_or(&scope))));
    if let Some(service) = get("service") {
        url.push_str(&format!("&service={}", coded(service)));
    }
    let answer = ask(agent, image, &url, basic.as_ref())?;
    if answer.status != 200 {
        return Err(match answer.status {
            401 | 403 => refused(image),
            other => wrong(image, format!("status {other} instead of a token")),
        });
    }
    let token: Token =
        serde_json::from_str(&answer.body).map_err(|_| wrong(image, "no token".into()))?;
    let token = token.token.or(token.access_token);
    let token = token.ok_or_else(|| wrong(image, "no token".into()))?;
    Ok(SecretString::from(format!("Bearer {token}")))
}

fn is_loopback(url: &str) -> bool {
    ["http://127.", "http://localhost:", "http://localhost/"]
        .iter()
        .any(|start| url.starts_with(start))
}

/// `a="x",b="y"` of a challenge; commas may stand between quotes.
fn parameters(text: &str) -> Vec<(String, String)> {
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

/// For a query: RFC 3986, section 2.3.
fn coded(text: &str) -> String {
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

/// The next page of `</v2/…?last=…>; rel="next"` (RFC 8288), on the same server.
fn next(base: &str, link: &str) -> Option<String> {
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
        let read = parameters(
            r#"realm="https://auth.docker.io/token",service="registry.docker.io",scope="repository:samalba/my-app:pull,push""#,
        );
        assert_eq!(
            read[0],
            ("realm".into(), "https://auth.docker.io/token".into())
        );
        assert_eq!(read[2].1, "repository:samalba/my-app:pull,push");
        assert_eq!(coded("repository:a/b:pull"), "repository%3Aa%2Fb%3Apull");
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
            assert_eq!(next(base, link).as_deref(), wanted, "{link}");
        }
    }

    proptest::proptest! {
        #[test]
        fn nothing_panics(text in "\\PC{0,80}") {
            let _ = parameters(&text);
            let _ = next("https://r.example.org", &text);
        }
    }
}
