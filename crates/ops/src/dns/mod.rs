//! Names of applications in DNS: `[dns]` says in which zones matou makes their records, and at whom. Nothing that it
//! did not make is changed.

mod addresses;
mod expiry;
mod lines;
mod listing;
mod names;
mod steps;

use matou_i18n::tr;
use std::collections::{BTreeMap, BTreeSet};
use std::path::Path;
use std::sync::Arc;

use futures_util::future::{join_all, try_join_all};
use secrecy::SecretString;

use crate::{FleetContext, OpsError};
use matou_base::text::clean_line;
use matou_config::{Config, DnsKeyAlgorithm, DnsProviderConfig};
use matou_dns::{
    DnsError, GANDI_ENDPOINT, GandiProvider, KeyAlgorithm, NamePlan, NameServer, OVH_ENDPOINT,
    OvhKeys, OvhProvider, PlanTarget, Provider, RecordChange, SCALEWAY_ENDPOINT, ScalewayProvider,
    TransferKey, Zone, ZoneRecords, plan_name, plan_removal,
};

pub use expiry::read_registered_domains;
pub(crate) use listing::find_wrong_names;
pub use listing::{NameInDns, list_names_in_dns};
pub(crate) use names::list_file_names;
pub(crate) use steps::{DropNames, MendNames, SetNames};

/// The zones of a fleet, and who has them.
pub(crate) struct FleetDns {
    provider: Arc<dyn Provider>,
    zones: Vec<Zone>,
    target: PlanTarget,
}

/// Names that are to lead to the edge, and names whose records go.
#[derive(Debug, Default)]
pub(crate) struct WantedNames {
    /// Each with its application.
    pub lead_here: BTreeMap<String, String>,
    /// Those that are not wanted any more.
    pub gone: BTreeSet<String>,
    /// Other names whose records matou made go too, where they can be listed.
    pub orphans: OrphanScope,
    /// Of the orphans these stay, as somebody has them.
    pub kept: BTreeSet<String>,
    /// The zones of these are read for orphans, too.
    pub beside: BTreeSet<String>,
}

/// Which records go that matou made for names that nobody has any more.
#[derive(Debug, Default, Clone, PartialEq, Eq)]
pub(crate) enum OrphanScope {
    /// None.
    #[default]
    None,
    /// Those made for an application, in the zones of its names.
    App(String),
    /// All of the fleet, in all zones.
    All,
}

/// What is to be done in a zone, or why it is not known.
pub(crate) struct ZonePlan {
    pub zone: Zone,
    pub names: Result<Vec<NamePlan>, DnsError>,
}

impl ZonePlan {
    /// Returns all changes, in their order.
    fn changes(&self) -> Vec<RecordChange> {
        let names = self.names.iter().flatten();
        names.flat_map(|name| name.changes.clone()).collect()
    }
}

/// Returns the zone of `[dns]` that a name lies in.
pub(crate) fn find_zone(config: &Config, name: &str) -> Option<Zone> {
    let zones: Vec<Zone> = list_zones(config);
    Zone::find_for(&zones, name).cloned()
}

fn list_zones(config: &Config) -> Vec<Zone> {
    let zones = config.dns.iter().flat_map(|dns| &dns.zones);
    zones.map(|zone| Zone::new(zone)).collect()
}

impl FleetDns {
    /// Takes what `[dns]` says; `None` where there is none. Nothing is asked yet.
    ///
    /// # Errors
    /// A file with a secret can't be read, or it is not known what names are to lead to.
    pub(crate) async fn open(fleet: &FleetContext) -> Result<Option<Self>, OpsError> {
        let Some(dns) = &fleet.config.dns else {
            return Ok(None);
        };
        let provider = connect_provider(&dns.provider, fleet)?;
        Ok(Some(Self {
            zones: list_zones(&fleet.config),
            target: PlanTarget {
                fleet: fleet.config.fleet.name.clone(),
                predecessor: dns.predecessor.clone(),
                addresses: addresses::find_edge_addresses(dns, fleet).await?,
                ttl: dns.ttl.max(provider.min_ttl()),
            },
            provider,
        }))
    }

    /// Reads the zones of names and plans what is to be done in each. Nothing is changed.
    pub(crate) async fn plan(&self, wanted: &WantedNames) -> Vec<ZonePlan> {
        let asked = wanted.lead_here.keys().chain(&wanted.gone);
        let mut by_zone: BTreeMap<&Zone, Vec<String>> = BTreeMap::new();
        if wanted.orphans == OrphanScope::All {
            by_zone.extend(self.zones.iter().map(|zone| (zone, Vec::new())));
        }
        let beside = wanted.beside.iter();
        let beside = beside.filter_map(|name| Zone::find_for(&self.zones, name));
        by_zone.extend(beside.map(|zone| (zone, Vec::new())));
        for name in asked {
            if let Some(zone) = Zone::find_for(&self.zones, name) {
                by_zone.entry(zone).or_default().push(name.clone());
            }
        }
        let planned = by_zone.into_iter().map(|(zone, names)| async move {
            let records = self.read_zone(zone, &names).await;
            ZonePlan {
                zone: zone.clone(),
                names: records.map(|records| self.plan_zone(zone, &names, &records, wanted)),
            }
        });
        join_all(planned).await
    }

    /// Reads records. Of a zone that is not there, the error tells which are.
    async fn read_zone(&self, zone: &Zone, names: &[String]) -> Result<ZoneRecords, DnsError> {
        let read = self.provider.records(zone, names).await;
        let Err(DnsError::NoZone { server, zone, .. }) = read else {
            return read;
        };
        let listed = self.provider.zones().await.ok().flatten();
        let known = listed.into_iter().flatten();
        let known = known.map(|zone| clean_line(zone.name()).into_owned());
        Err(DnsError::NoZone {
            server,
            zone,
            known: known.collect(),
        })
    }

    fn plan_zone(
        &self,
        zone: &Zone,
        names: &[String],
        records: &ZoneRecords,
        wanted: &WantedNames,
    ) -> Vec<NamePlan> {
        let mut plans: Vec<NamePlan> = names
            .iter()
            .map(|name| match wanted.lead_here.get(name) {
                Some(app) => plan_name(zone, name, app, records, &self.target),
                None => plan_removal(name, records, &self.target.fleet),
            })
            .collect();
        let owned = records.list_owned(&self.target.fleet).into_iter();
        let orphans = owned.filter(|(name, app)| {
            let is_meant = match &wanted.orphans {
                OrphanScope::None => false,
                OrphanScope::App(of) => app == of,
                OrphanScope::All => true,
            };
            is_meant
                && !names.contains(name)
                && !wanted.kept.contains(name)
                // Of a smaller zone, whose own server is asked.
                && Zone::find_for(&self.zones, name) == Some(zone)
        });
        plans.extend(orphans.map(|(name, _)| plan_removal(&name, records, &self.target.fleet)));
        plans
    }

    /// Makes the changes of all zones. A change that nobody confirmed is not made: a record that is no more what it
    /// was when it was read is left, and that is an error.
    pub(crate) async fn apply(&self, plans: &[ZonePlan]) -> Result<(), OpsError> {
        let changed = plans.iter().map(|plan| async move {
            if let Err(e) = &plan.names {
                return Err(e.clone());
            }
            self.provider.apply(&plan.zone, &plan.changes()).await
        });
        try_join_all(changed).await?;
        Ok(())
    }
}

fn connect_provider(
    config: &DnsProviderConfig,
    fleet: &FleetContext,
) -> Result<Arc<dyn Provider>, OpsError> {
    let secret = |path: &Path, key: &str| -> Result<SecretString, OpsError> {
        let secret = read_secret_file(path, key)?;
        fleet.journal.redactor().add_secret(secret.clone());
        Ok(secret)
    };
    let address = |endpoint: &Option<String>, usual: &str| {
        endpoint.clone().unwrap_or_else(|| usual.to_owned())
    };
    Ok(match config {
        DnsProviderConfig::NameServer {
            server,
            key_name,
            key_algorithm,
            key_file,
        } => {
            let key = TransferKey {
                name: key_name.clone(),
                algorithm: match key_algorithm {
                    DnsKeyAlgorithm::HmacSha256 => KeyAlgorithm::HmacSha256,
                    DnsKeyAlgorithm::HmacSha512 => KeyAlgorithm::HmacSha512,
                },
                secret: secret(key_file, "key_file")?,
            };
            Arc::new(NameServer::new(server, &key)?)
        }
        DnsProviderConfig::Gandi {
            token_file,
            endpoint,
        } => {
            let token = secret(token_file, "token_file")?;
            Arc::new(GandiProvider::new(
                &address(endpoint, GANDI_ENDPOINT),
                token,
            ))
        }
        DnsProviderConfig::Scaleway {
            token_file,
            endpoint,
        } => {
            let token = secret(token_file, "token_file")?;
            let endpoint = address(endpoint, SCALEWAY_ENDPOINT);
            Arc::new(ScalewayProvider::new(&endpoint, token))
        }
        DnsProviderConfig::Ovh {
            application_key,
            application_secret_file,
            consumer_key_file,
            endpoint,
        } => {
            let keys = OvhKeys {
                application: application_key.clone(),
                secret: secret(application_secret_file, "application_secret_file")?,
                consumer: secret(consumer_key_file, "consumer_key_file")?,
            };
            Arc::new(OvhProvider::new(&address(endpoint, OVH_ENDPOINT), keys))
        }
    })
}

/// Reads the first line of a file with a secret.
fn read_secret_file(path: &Path, key: &str) -> Result<SecretString, OpsError> {
    let shown = path.display();
    let text = matou_base::files::read_text(path, matou_base::files::MAX_CONFIG_BYTES);
    let text = text.map_err(|e| tr!("{shown}, {key} of [dns], can't be read: {e}"))?;
    let text = SecretString::from(text);
    let line = secrecy::ExposeSecret::expose_secret(&text).lines().next();
    match line.map(str::trim).filter(|line| !line.is_empty()) {
        Some(line) => Ok(line.into()),
        None => Err(OpsError::failed(tr!(
            "{shown}, {key} of [dns], holds nothing in its first line"
        ))),
    }
}
