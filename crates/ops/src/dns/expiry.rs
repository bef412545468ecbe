//! When the registrations of the applications' domains end, as their registries say.

use std::collections::BTreeMap;

use jiff::Timestamp;
use matou_i18n::tr;

use super::names::list_all_names;
use crate::{FleetContext, OpsError};
use matou_config::{RdapConfig, state_path};
use matou_dns::{DomainRegistry, RdapSource};
use matou_model::{RegisteredDomain, Swarm};

/// Who knows it; `None` when nobody is to be asked.
fn open_registry(fleet: &FleetContext) -> Result<Option<DomainRegistry>, OpsError> {
    let source = match &fleet.config.rdap {
        RdapConfig::Off => return Ok(None),
        RdapConfig::Registries => RdapSource::Registries,
        RdapConfig::Server(url) => RdapSource::Server(url.clone()),
    };
    let state = state_path().map_err(OpsError::failed)?;
    Ok(Some(DomainRegistry::new(state.join("rdap.json"), source)))
}

/// Lists the domains of all names with what is known of their end; asks the registries for what is not
/// known, or older than a day. That nobody can be asked is in the log alone: what was known stays.
///
/// # Errors
/// A file in apps/ can't be read.
pub async fn read_registered_domains(
    fleet: &FleetContext,
    swarm: &Swarm,
) -> Result<Vec<RegisteredDomain>, OpsError> {
    if let Err(e) = ask_registries(fleet, swarm).await {
        tracing::warn!("{e}");
    }
    list_registered_domains(fleet, swarm)
}

/// Asks the registries for what is not known of the domains, or older than a day.
///
/// # Errors
/// A file in apps/ can't be read, or what they answer can't be kept: nobody is asked then.
async fn ask_registries(fleet: &FleetContext, swarm: &Swarm) -> Result<(), OpsError> {
    let Some(registry) = open_registry(fleet)? else {
        return Ok(());
    };
    let names = list_all_names(fleet, swarm, None)?;
    let ask = move || registry.refresh(&names, Timestamp::now());
    let asked = tokio::task::spawn_blocking(ask).await;
    asked.map_err(OpsError::failed)?.map_err(|e| {
        OpsError::failed(tr!(
            "when domains end can't be kept, so nobody is asked: {e}"
        ))
    })
}

/// Lists the domains of all names with what is known of their end. Nobody is asked.
///
/// # Errors
/// A file in apps/ can't be read.
fn list_registered_domains(
    fleet: &FleetContext,
    swarm: &Swarm,
) -> Result<Vec<RegisteredDomain>, OpsError> {
    let Some(registry) = open_registry(fleet)? else {
        return Ok(Vec::new());
    };
    let names: BTreeMap<String, String> = list_all_names(fleet, swarm, None)?;
    Ok(registry.list_domains(&names))
}
