//! What every name server and provider does.

use async_trait::async_trait;

use super::error::DnsError;
use super::record::{RecordChange, Zone, ZoneRecords};

/// A name server or a provider that records can be read from and changed at.
#[async_trait]
pub trait Provider: Send + Sync {
    /// Returns how it is called in sentences.
    fn name(&self) -> &str;

    /// Returns the shortest time that others may be let keep a record, seconds.
    fn min_ttl(&self) -> u32 {
        1
    }

    /// Lists those of its zones that the key or token can reach; `None` where it can't list them.
    async fn zones(&self) -> Result<Option<Vec<Zone>>, DnsError>;

    /// Reads the records of names, what is said of who made them, and what stands above them in the zone. Where all
    /// of the zone can be had, that is returned.
    async fn records(&self, zone: &Zone, names: &[String]) -> Result<ZoneRecords, DnsError>;

    /// Makes changes in their order. None is made where a record is not what the change says it was before; whether
    /// all are made together depends on the provider.
    async fn apply(&self, zone: &Zone, changes: &[RecordChange]) -> Result<(), DnsError>;
}
