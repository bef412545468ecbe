//! The edge: what Traefik really serves, and what its store of certificates holds.

// Stricter than Cargo.toml is with tests, benches and examples.
#![cfg_attr(
    not(test),
    deny(
        clippy::disallowed_macros,
        clippy::disallowed_methods,
        clippy::expect_used,
        clippy::print_stderr,
        clippy::print_stdout,
        clippy::unwrap_used
    )
)]

matou_i18n::catalogue!();

mod access;
mod acme;
mod acme_file;
mod error;
mod options;
mod probe;
mod reasons;
mod request;

use matou_i18n::tr;
use std::sync::Arc;
use std::time::Duration;

use rustls::RootCertStore;
use rustls::pki_types::CertificateDer;
use rustls::pki_types::pem::PemObject;

use matou_config::{Config, StorageConfig};
use matou_docker::Nodes;

pub use access::{AccessLog, find_access_log, parse_access_record as parse_access};
pub use acme::{AcmeCertificate, AcmeError, AcmeStore};
pub use acme_file::{AcmeFile, acme_certificates_by_name, find_edge_service, read_edge_log};
pub use error::EdgeError;
pub use probe::{PresentedCertificate, parse_certificate_chain, query_certificate};
pub use reasons::find_acme_failure;
pub use request::{HttpsAnswer, HttpsClient, LoginMessage, get_with_certificate, send_login};

/// How long a connection, a handshake or an answer may take.
pub const PATIENCE: Duration = Duration::from_secs(5);

/// Where the fleet takes https, and the authorities that its certificates may come from.
#[derive(Debug, Clone)]
pub struct EdgeEndpoints {
    /// Nodes with the addresses they are reached by.
    pub nodes: Vec<(String, String)>,
    /// Authorities that are trusted: the public ones, and that of config.toml.
    pub roots: Arc<RootCertStore>,
    /// 443; another port only where something stands before the fleet.
    pub port: u16,
    /// Where volumes are: Traefik's store is in one.
    pub storage: StorageConfig,
}

impl EdgeEndpoints {
    /// Takes a fleet's nodes, the authorities that browsers know, and those of `[edge] ca_file`.
    ///
    /// # Errors
    /// When `ca_file` can't be read.
    pub fn load(config: &Config, nodes: &Nodes) -> Result<Self, EdgeError> {
        let mut roots = RootCertStore {
            roots: webpki_roots::TLS_SERVER_ROOTS.to_vec(),
        };
        if let Some(path) = &config.edge.ca_file {
            let wrong = |e: &dyn std::fmt::Display| {
                tr!("[edge] ca_file {} can't be read: {e}", path.display())
            };
            let pem = std::fs::read(path).map_err(|e| wrong(&e))?;
            for certificate in CertificateDer::pem_slice_iter(&pem) {
                let certificate = certificate.map_err(|e| wrong(&e))?;
                roots.add(certificate).map_err(|e| wrong(&e))?;
            }
        }
        let nodes = nodes.iter().map(|n| {
            let address = n.ssh_address().unwrap_or("127.0.0.1");
            (n.config.name.clone(), address.to_owned())
        });
        Ok(Self {
            nodes: nodes.collect(),
            roots: Arc::new(roots),
            port: 443,
            storage: config.storage.clone(),
        })
    }
}
