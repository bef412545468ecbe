//! What `docker login` stored on this machine.
//!
//! Source: <https://docs.docker.com/reference/cli/docker/login/>; credential helpers are not asked.

use std::path::PathBuf;

use base64::Engine as _;
use secrecy::{ExposeSecret, SecretString};
use serde::Deserialize;

#[derive(Deserialize)]
struct DockerCliConfig {
    #[serde(default)]
    auths: std::collections::HashMap<String, DockerCliLogin>,
}

#[derive(Deserialize)]
struct DockerCliLogin {
    auth: Option<String>,
}

/// Reads the login for a registry, if somebody logged in there: what follows `Basic` in the header
/// `Authorization`.
pub(super) fn read_stored_login(host: &str) -> Option<SecretString> {
    let folder = std::env::var_os("DOCKER_CONFIG")
        .map(PathBuf::from)
        .or_else(|| Some(PathBuf::from(std::env::var_os("HOME")?).join(".docker")))?;
    let text = SecretString::from(std::fs::read_to_string(folder.join("config.json")).ok()?);
    find_stored_login(text.expose_secret(), host)
}

fn find_stored_login(text: &str, host: &str) -> Option<SecretString> {
    let stored: DockerCliConfig = serde_json::from_str(text).ok()?;
    let hub = ["https://index.docker.io/v1/", "docker.io"];
    let mine = |key: &str| match host {
        "docker.io" => hub.contains(&key),
        host => {
            let key = key
                .trim_start_matches("https://")
                .trim_start_matches("http://");
            key.split('/').next() == Some(host)
        }
    };
    let (_, login) = stored.auths.into_iter().find(|(key, _)| mine(key))?;
    let auth = SecretString::from(login.auth?);
    // What is no base64 would spoil the header.
    base64::engine::general_purpose::STANDARD
        .decode(auth.expose_secret())
        .ok()
        .map(|_| auth)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_login_is_found_by_its_registry() {
        let text = r#"{"auths":{"https://index.docker.io/v1/":{"auth":"YTpi"},"ghcr.io":{"auth":"Yzpk"},"x.org":{}}}"#;
        let found =
            |host: &str| find_stored_login(text, host).map(|s| s.expose_secret().to_owned());
        assert_eq!(found("docker.io").as_deref(), Some("YTpi"));
        assert_eq!(found("ghcr.io").as_deref(), Some("Yzpk"));
        assert_eq!(found("x.org"), None);
        assert_eq!(found("other.org"), None);
        assert!(find_stored_login("{", "x.org").is_none());
    }
}
