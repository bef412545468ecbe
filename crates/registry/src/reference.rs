//! References to images, as `ghcr.io/owner/name:1.2.3`.
//!
//! Grammar: <https://github.com/distribution/reference>; what is left out means Docker Hub.

use matou_i18n::tr;
use std::fmt;

/// The registry of images that name none.
const HUB: &str = "docker.io";

/// An image without its digest.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct ImageReference {
    /// As written, without tag and digest: what a new tag is put behind.
    pub name: String,
    /// Host and port.
    pub host: String,
    /// Path in the registry; official images of Docker Hub are in `library/`.
    pub repository: String,
    /// `latest` where none is written.
    pub tag: String,
}

/// Why a text is no image.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("{}", tr!("{_0:?} is no name of an image, as ghost:6.0.4-alpine or ghcr.io/owner/name:1.2"))]
pub struct ImageReferenceError(pub String);

impl ImageReference {
    /// Reads a reference; without a tag it is `latest`.
    ///
    /// # Errors
    /// When the text is no reference.
    pub fn parse(text: &str) -> Result<Self, ImageReferenceError> {
        let wrong = || {
            ImageReferenceError(
                matou_base::text::clean_line(text)
                    .chars()
                    .take(80)
                    .collect(),
            )
        };
        let without_digest = text.split('@').next().unwrap_or_default();
        let last = without_digest.rfind('/').map_or(0, |i| i + 1);
        let (name, tag) = match without_digest[last..].split_once(':') {
            Some((short, tag)) => (&without_digest[..last + short.len()], tag),
            None => (without_digest, "latest"),
        };
        let (host, path) = match name.split_once('/') {
            // A first part is a host when it looks like one.
            Some((first, rest)) if first.contains(['.', ':']) || first == "localhost" => {
                (first, rest)
            }
            _ => (HUB, name),
        };
        let repository = match host {
            HUB if !path.contains('/') => format!("library/{path}"),
            _ => path.to_owned(),
        };
        let alphanumeric = |b: u8| b.is_ascii_lowercase() || b.is_ascii_digit();
        let component = |c: &str| {
            c.bytes().next().is_some_and(alphanumeric)
                && c.bytes().next_back().is_some_and(alphanumeric)
                && c.bytes().all(|b| alphanumeric(b) || b"._-".contains(&b))
        };
        let fine_host = |h: &str| {
            h.bytes()
                .all(|b| b.is_ascii_alphanumeric() || b".:-".contains(&b))
        };
        let fine = repository.split('/').all(component)
            && fine_host(host)
            && is_image_tag(tag)
            && repository.len() <= 255;
        if !fine {
            return Err(wrong());
        }
        Ok(Self {
            name: name.to_owned(),
            host: host.to_owned(),
            repository,
            tag: tag.to_owned(),
        })
    }

    /// Returns the image's name with another tag.
    pub fn with_tag(&self, tag: &str) -> String {
        format!("{}:{tag}", self.name)
    }

    /// Returns the base URL of the image's registry. As in Docker, loopback addresses are asked
    /// without TLS.
    pub(super) fn registry_url(&self) -> String {
        let name = self.host.split(':').next().unwrap_or_default();
        match name {
            HUB | "index.docker.io" => "https://registry-1.docker.io".to_owned(),
            "localhost" => format!("http://{}", self.host),
            address if address.starts_with("127.") => format!("http://{}", self.host),
            _ => format!("https://{}", self.host),
        }
    }
}

/// Whether a text can be a tag.
pub(super) fn is_image_tag(text: &str) -> bool {
    (1..=128).contains(&text.len())
        && !text.starts_with(['.', '-'])
        && text
            .bytes()
            .all(|b| b.is_ascii_alphanumeric() || b"._-".contains(&b))
}

impl fmt::Display for ImageReference {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}:{}", self.name, self.tag)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn references_of_every_form() {
        for (text, host, repository, tag) in [
            ("ghost", "docker.io", "library/ghost", "latest"),
            (
                "ghost:6.0.4-alpine",
                "docker.io",
                "library/ghost",
                "6.0.4-alpine",
            ),
            (
                "prestashop/prestashop:9.0",
                "docker.io",
                "prestashop/prestashop",
                "9.0",
            ),
            ("ghcr.io/a/b/c:v1", "ghcr.io", "a/b/c", "v1"),
            ("localhost:5000/x:1@sha256:00", "localhost:5000", "x", "1"),
            ("127.0.0.1:5000/x", "127.0.0.1:5000", "x", "latest"),
        ] {
            let read = ImageReference::parse(text).unwrap();
            assert_eq!(
                (
                    read.host.as_str(),
                    read.repository.as_str(),
                    read.tag.as_str()
                ),
                (host, repository, tag),
                "{text}"
            );
        }
        let read = ImageReference::parse("localhost:5000/x:1").unwrap();
        assert_eq!(read.with_tag("2"), "localhost:5000/x:2");
        assert_eq!(read.registry_url(), "http://localhost:5000");
        assert_eq!(
            ImageReference::parse("ghost").unwrap().registry_url(),
            "https://registry-1.docker.io"
        );
        for wrong in [
            "",
            "Ghost:1",
            "a b",
            "x:",
            "x:-1",
            "evil.org/../x:1",
            "h.org/x?y=1:1",
        ] {
            assert!(ImageReference::parse(wrong).is_err(), "{wrong}");
        }
    }

    proptest::proptest! {
        #[test]
        fn nothing_panics(text in "\\PC{0,60}") {
            let _ = ImageReference::parse(&text);
        }
    }
}
