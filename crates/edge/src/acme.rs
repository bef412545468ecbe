//! acme.json, where Traefik keeps its certificates, of version 1 and of 2 and 3.
//!
//! Source: traefik, pkg/provider/acme (`StoredData`, `CertAndStore`) and, of version 1,
//! provider/acme (`StoredData`). Names are compared without regard to case, as Go's decoder does.

use base64::Engine as _;
use jiff::Timestamp;
use matou_i18n::tr;
use rustls::pki_types::CertificateDer;
use rustls::pki_types::pem::PemObject;
use serde_json::{Map, Value};
use x509_parser::prelude::{FromDer, X509Certificate};

use matou_base::text::human_bytes;

/// Why a store can't be read.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[expect(missing_docs, reason = "its sentences say it")]
pub enum AcmeError {
    #[error("{}", tr!("acme.json is no JSON: {_0}"))]
    Json(String),
    #[error("{}", tr!("acme.json holds no certificates of Traefik: {_0}"))]
    Shape(&'static str),
    #[error("{}", tr!("acme.json is larger than {}, which no store of certificates is", human_bytes(LARGEST as u64)))]
    Large,
}

/// Largest store, bytes: a thousand certificates of several names take half of it.
pub(super) const LARGEST: usize = 16 << 20;

/// A certificate in the store.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct AcmeCertificate {
    /// Empty for a store of version 1.
    pub resolver: String,
    /// The main name first.
    pub names: Vec<String>,
    /// `None` when the certificate can't be read.
    pub not_after: Option<Timestamp>,
}

/// A whole store.
#[derive(Debug, Clone, PartialEq)]
pub struct AcmeStore {
    /// In the order of the file.
    pub certificates: Vec<AcmeCertificate>,
    document: Map<String, Value>,
}

impl AcmeStore {
    /// Parses a store. An empty text is a store without certificates.
    ///
    /// # Errors
    /// [`AcmeError`].
    pub fn parse(text: &str) -> Result<Self, AcmeError> {
        if text.len() > LARGEST {
            return Err(AcmeError::Large);
        }
        if text.trim().is_empty() {
            return Ok(Self {
                certificates: Vec::new(),
                document: Map::new(),
            });
        }
        let value: Value =
            serde_json::from_str(text).map_err(|e| AcmeError::Json(e.to_string()))?;
        let Value::Object(document) = value else {
            return Err(AcmeError::Shape(tr!("it is no object")));
        };
        let mut certificates = Vec::new();
        if is_version_1_store(&document) {
            append_acme_certificates(&document, "", &mut certificates);
        } else {
            for (resolver, data) in &document {
                match data {
                    Value::Object(data) => {
                        append_acme_certificates(data, resolver, &mut certificates);
                    }
                    Value::Null => {}
                    _ => return Err(AcmeError::Shape(tr!("a resolver is no object"))),
                }
            }
        }
        Ok(Self {
            certificates,
            document,
        })
    }

    /// Renders the store without the certificates of a name, for which Traefik asks anew when it
    /// starts. Returns the text, and how many certificates were left out.
    pub fn render_without_name(&self, name: &str) -> (String, usize) {
        let mut document = self.document.clone();
        let mut gone = 0;
        let mut strip = |data: &mut Map<String, Value>| {
            let key = data.keys().find(|k| k.eq_ignore_ascii_case("certificates"));
            let Some(key) = key.cloned() else { return };
            if let Some(Value::Array(list)) = data.get_mut(&key) {
                let before = list.len();
                list.retain(|c| !acme_certificate_names(c).iter().any(|n| n == name));
                gone += before - list.len();
            }
        };
        if is_version_1_store(&document) {
            strip(&mut document);
        } else {
            for data in document.values_mut() {
                if let Value::Object(data) = data {
                    strip(data);
                }
            }
        }
        let text = serde_json::to_string_pretty(&document).unwrap_or_default();
        (text, gone)
    }
}

fn is_version_1_store(document: &Map<String, Value>) -> bool {
    let has = |name: &str| document.keys().any(|k| k.eq_ignore_ascii_case(name));
    has("certificates") || has("account")
}

fn get_ignoring_case<'a>(value: &'a Value, name: &str) -> Option<&'a Value> {
    let found = value
        .as_object()?
        .iter()
        .find(|(k, _)| k.eq_ignore_ascii_case(name));
    found.map(|(_, v)| v)
}

fn acme_certificate_names(certificate: &Value) -> Vec<String> {
    let Some(domain) = get_ignoring_case(certificate, "domain") else {
        return Vec::new();
    };
    let main = get_ignoring_case(domain, "main").and_then(Value::as_str);
    let sans = get_ignoring_case(domain, "sans").and_then(Value::as_array);
    main.into_iter()
        .chain(sans.into_iter().flatten().filter_map(Value::as_str))
        .map(str::to_ascii_lowercase)
        .collect()
}

fn append_acme_certificates(
    data: &Map<String, Value>,
    resolver: &str,
    into: &mut Vec<AcmeCertificate>,
) {
    let list = data
        .iter()
        .find(|(k, _)| k.eq_ignore_ascii_case("certificates"))
        .and_then(|(_, v)| v.as_array());
    for certificate in list.into_iter().flatten() {
        let not_after = get_ignoring_case(certificate, "certificate")
            .and_then(Value::as_str)
            .and_then(parse_expiry);
        into.push(AcmeCertificate {
            resolver: resolver.to_owned(),
            names: acme_certificate_names(certificate),
            not_after,
        });
    }
}

/// Returns when the first certificate of a chain, PEM in base64, ends.
fn parse_expiry(coded: &str) -> Option<Timestamp> {
    let pem = base64::engine::general_purpose::STANDARD
        .decode(coded)
        .ok()?;
    let leaf = CertificateDer::pem_slice_iter(&pem).next()?.ok()?;
    let (_, parsed) = X509Certificate::from_der(&leaf).ok()?;
    Timestamp::from_second(parsed.validity().not_after.timestamp()).ok()
}

#[cfg(test)]
mod tests {
    use super::*;

    const NEW: &str = r#"{"le":{"Account":{"Email":"ops@example.org","PrivateKey":"x"},"Certificates":[
        {"domain":{"main":"Blog.example.org","sans":["www.example.org"]},"certificate":"bm8=","key":"eA==","Store":"default"},
        {"domain":{"main":"shop.example.org"},"certificate":"","key":"","Store":"default"}]},"other":{"Certificates":null},"empty":null}"#;
    const OLD: &str = r#"{"Account":{"Email":"a@b.c"},"Certificates":[
        {"Domain":{"Main":"old.example.org","SANs":null},"Certificate":"","Key":""}],"HTTPChallenges":{}}"#;

    #[test]
    fn stores_of_all_versions_are_read() {
        let store = AcmeStore::parse(NEW).unwrap();
        assert_eq!(store.certificates.len(), 2);
        assert_eq!(store.certificates[0].resolver, "le");
        assert_eq!(
            store.certificates[0].names,
            ["blog.example.org", "www.example.org"]
        );
        let old = AcmeStore::parse(OLD).unwrap();
        assert_eq!(old.certificates[0].names, ["old.example.org"]);
        assert_eq!(AcmeStore::parse(" \n").unwrap().certificates, []);
        assert!(matches!(AcmeStore::parse("{"), Err(AcmeError::Json(_))));
        assert!(matches!(AcmeStore::parse("[]"), Err(AcmeError::Shape(_))));
        assert!(matches!(
            AcmeStore::parse("{\"le\":1}"),
            Err(AcmeError::Shape(_))
        ));
    }

    #[test]
    fn one_name_is_taken_out_and_the_rest_stays() {
        let store = AcmeStore::parse(NEW).unwrap();
        let (text, gone) = store.render_without_name("www.example.org");
        assert_eq!(gone, 1);
        let rest = AcmeStore::parse(&text).unwrap();
        assert_eq!(rest.certificates.len(), 1);
        assert!(text.contains("PrivateKey"));
        assert_eq!(store.render_without_name("none.example.org").1, 0);
        assert_eq!(
            AcmeStore::parse(OLD)
                .unwrap()
                .render_without_name("old.example.org")
                .1,
            1
        );
    }

    proptest::proptest! {
        #[test]
        fn nothing_panics(text in "[\\[\\]{}:,\"a-zA-Z0-9 ]{0,200}") {
            let _ = AcmeStore::parse(&text);
        }
    }
}
