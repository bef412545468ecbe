//! Records of names: read, planned and changed at a name server (RFC 2136) or by the interface of a provider.
//!
//! Only what matou made is changed or removed. That it made a record is known by a TXT record beside it.

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

mod caa;
mod error;
mod gandi;
mod http;
mod ovh;
mod owner;
mod plan;
mod provider;
mod rdap;
mod record;
mod registered;
mod rfc2136;
mod scaleway;
mod wire;

pub use error::DnsError;
pub use gandi::{GANDI_ENDPOINT, GandiProvider};
pub use ovh::{OVH_ENDPOINT, OvhKeys, OvhProvider};
pub use owner::{Ownership, owner_name};
pub use plan::{NamePlan, NameRecord, Owner, PlanTarget, RecordVerdict, plan_name, plan_removal};
pub use provider::Provider;
pub use record::{RecordChange, RecordKind, RecordSet, Zone, ZoneRecords};
pub use registered::{DomainRegistry, RdapSource};
pub use rfc2136::NameServer;
pub use scaleway::{SCALEWAY_ENDPOINT, ScalewayProvider};
pub use wire::{KeyAlgorithm, TransferKey};
