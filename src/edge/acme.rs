//! acme.json, where Traefik keeps its certificates, of version 1 and of 2 and 3.
//!
//! Source: traefik, pkg/provider/acme (`StoredData`, `CertAndStore`) and, of version 1,
//! provider/acme (`StoredData`). Names are compared without regard to case, as Go's decoder does.

use base64::Engine as _;
use jiff::Timestamp;
use rustls::pki_types::CertificateDer;
use rustls::pki_types::pem::PemObject;
use serde_json::{Map, Value};
use x509_parser::prelude::{FromDer, X509Certificate};

use crate::text::human_bytes;

/// Why a store can't be read.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum AcmeError {
    #[error("acme.json is no JSON: {0}")]
    Json(String),
    #[error("acme.json holds no certificates of Traefik: {0}")]
    Shape(&'static str),
    #[error("acme.json is larger than {}, which no store of certificates is", human_bytes(LARGEST as u64))]
    Large,
}

/// Largest store, bytes: a thousand certificates of several names take half of it.
pub(super) const LARGEST: usize = 16 << 20;

/// A certificate in the store.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Stored {
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
    pub certificates: Vec<Stored>,
    document: Map<String, Value>,
}

impl AcmeStore {
    /// Reads a store; one that is empty holds nothing.
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
            return Err(AcmeError::Shape("it is no object"));
        };
        let mut certificates = Vec::new();
        if is_old(&document) {
            read(&document, "", &mut certificates);
        } else {
            for (resolver, data) in &document {
                match data {
                    Value::Object(data) => read(data, resolver, &mut certificates),
                    Value::Null => {}
                    _ => return Err(AcmeError::Shape("a resolver is no object")),
                }
            }
        }
        Ok(Self {
            certificates,
            document,
        })
    }

    /// The store without the certificates of a name, and how many those were: Traefik asks for new
    /// ones when it starts.
    pub fn without(&self, name: &str) -> (String, usize) {
        let mut document = self.document.clone();
        let mut gone = 0;
        let mut strip = |data: &mut Map<String, Value>| {
            let key = data.keys().find(|k| k.eq_ignore_ascii_case("certificates"));
            let Some(key) = key.cloned() else { return };
            if let Some(Value::Array(list)) = data.get_mut(&key) {
                let before = list.len();
                list.retain(|c| !names(c).iter().any(|n| n == name));
                gone += before - list.len();
            }
        };
        if is_old(&document) {
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

fn is_old(document: &Map<String, Value>) -> bool {
    let has = |name: &str| document.keys().any(|k| k.eq_ignore_ascii_case(name));
    has("certificates") || has("account")
}

fn get<'a>(value: &'a Value, name: &str) -> Option<&'a Value> {
    let found = value
        .as_object()?
        .iter()
        .find(|(k, _)| k.eq_ignore_ascii_case(name));
    found.map(|(_, v)| v)
}

fn names(certificate: &Value) -> Vec<String> {
    let Some(domain) = get(certificate, "domain") else {
        return Vec::new();
    };
    let main = get(domain, "main").and_then(Value::as_str);
    let sans = get(domain, "sans").and_then(Value::as_array);
    main.into_iter()
        .chain(sans.into_iter().flatten().filter_map(Value::as_str))
        .map(str::to_ascii_lowercase)
        .collect()
}

fn read(data: &Map<String, Value>, resolver: &str, into: &mut Vec<Stored>) {
    let list = data
        .iter()
        .find(|(k, _)| k.eq_ignore_ascii_case("certificates"))
        .and_then(|(_, v)| v.as_array());
    for certificate in list.into_iter().flatten() {
        let not_after = get(certificate, "certificate")
            .and_then(Value::as_str)
            .and_then(end);
        into.push(Stored {
            resolver: resolver.to_owned(),
            names: names(certificate),
            not_after,
        });
    }
}

/// When the first certificate of a chain in base64 ends.
fn end(coded: &str) -> Option<Timestamp> {
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
        let (text, gone) = store.without("www.example.org");
        assert_eq!(gone, 1);
        let rest = AcmeStore::parse(&text).unwrap();
        assert_eq!(rest.certificates.len(), 1);
        assert!(text.contains("PrivateKey"));
        assert_eq!(store.without("none.example.org").1, 0);
        assert_eq!(
            AcmeStore::parse(OLD).unwrap().without("old.example.org").1,
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
