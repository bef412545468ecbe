//! Plain data of the fleet. No I/O, no tokio: everything here can be made by a test.

mod certificate;
mod fleet;
mod log;
mod route;
mod source;
mod update;

pub use certificate::{
    Certificate, CertificateState, ChainLink, ServedCertificate, StoredCertificate,
};
pub use fleet::*;
pub use log::LogLine;
pub use route::{domains, hosts};
pub use source::Source;
pub use update::{Datum, Update};
