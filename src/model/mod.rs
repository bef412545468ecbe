//! Plain data of the fleet. No I/O, no tokio: everything here can be made by a test.

mod access;
mod ban;
mod certificate;
mod fleet;
mod intrusion;
mod log;
mod probe;
mod record;
mod route;
mod snapshot;
mod source;
mod told;
mod update;

pub use access::{Access, AccessFilter, MINUTES, Minute, Minutes, top};
pub use ban::{Ban, NodeBans, network};
pub use certificate::{
    Certificate, CertificateState, ChainLink, ServedCertificate, StoredCertificate,
};
pub use fleet::*;
pub use intrusion::{Intrusion, IntrusionGroup, NodeIntrusions, grouped};
pub use log::LogLine;
pub use probe::{Answered, Probe, hint};
pub use record::{LogRecord, LogSearch};
pub use route::{Routes, domains, hosts};
pub use snapshot::*;
pub use source::Source;
pub use told::Told;
pub use update::{Datum, Update};
