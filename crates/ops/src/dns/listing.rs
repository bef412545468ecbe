//! The records of all names: what is there, what should be, who made it.

use matou_i18n::tr;
use serde::Serialize;

use super::lines::describe_foreign;
use super::names::list_all_names;
use super::{FleetDns, OrphanScope, WantedNames, find_zone};
use crate::{FleetContext, OpsError};
use matou_dns::{NameRecord, RecordVerdict};

/// A name of an application, or one that matou made records of, and what DNS says of it.
#[derive(Debug, Clone, Serialize)]
pub struct NameInDns {
    /// The name.
    pub name: String,
    /// The application that has it; `None` when none has it any more.
    pub app: Option<String>,
    /// The zone of `[dns]` that it lies in; `None`: its records are the operator's.
    pub zone: Option<String>,
    /// Its addresses.
    pub records: Vec<NameRecord>,
    /// What is not as it should be and is not changed, a sentence each.
    pub warnings: Vec<String>,
}

impl NameInDns {
    /// Returns whether nothing is to be done about it, by matou or by the operator.
    pub fn is_right(&self) -> bool {
        let right =
            |r: &NameRecord| matches!(r.verdict, RecordVerdict::Right | RecordVerdict::Left);
        self.warnings.is_empty() && self.records.iter().all(right)
    }
}

/// Reads what DNS says of all names of the fleet. Nothing is changed.
///
/// # Errors
/// There is no `[dns]`, no manager answers, or a zone can't be read.
pub async fn list_names_in_dns(fleet: &FleetContext) -> Result<Vec<NameInDns>, OpsError> {
    let swarm = fleet.query_swarm().await?;
    let opened = FleetDns::open(fleet).await?;
    let dns = opened.ok_or_else(|| {
        OpsError::from(
            tr!("config.toml has no [dns], which says where the records of names are: its keys are in config.example.toml"),
        )
    })?;
    let wanted = WantedNames {
        lead_here: list_all_names(fleet, &swarm, None)?,
        orphans: OrphanScope::All,
        ..WantedNames::default()
    };
    let mut all = Vec::new();
    for (name, app) in &wanted.lead_here {
        if find_zone(&fleet.config, name).is_none() {
            all.push(NameInDns {
                name: name.clone(),
                app: Some(app.clone()),
                zone: None,
                records: Vec::new(),
                warnings: Vec::new(),
            });
        }
    }
    for plan in dns.plan(&wanted).await {
        for name in plan.names? {
            let app = wanted.lead_here.get(&name.name).cloned();
            let foreign = name
                .records
                .iter()
                .filter(|r| app.is_some() && r.verdict == RecordVerdict::Foreign);
            let mut warnings: Vec<String> =
                foreign.map(|r| describe_foreign(&name.name, r)).collect();
            warnings.extend(name.warnings);
            all.push(NameInDns {
                app,
                zone: Some(plan.zone.name().to_owned()),
                records: name.records,
                warnings,
                name: name.name,
            });
        }
    }
    all.sort_by(|a, b| a.name.cmp(&b.name));
    Ok(all)
}

/// Finds names whose records are not as they should be at their server; a sentence each.
pub(crate) async fn find_wrong_names(fleet: &FleetContext, names: &[&String]) -> Vec<String> {
    if names.is_empty() {
        return Vec::new();
    }
    let dns = match FleetDns::open(fleet).await {
        Ok(Some(dns)) => dns,
        Ok(None) => return Vec::new(),
        Err(e) => return vec![tr!("DNS: {e}")],
    };
    let lead_here = names
        .iter()
        .map(|name| (name.to_ascii_lowercase(), String::new()));
    let wanted = WantedNames {
        lead_here: lead_here.collect(),
        ..WantedNames::default()
    };
    let mut wrong = Vec::new();
    for plan in dns.plan(&wanted).await {
        match plan.names {
            Err(e) => wrong.push(tr!("DNS: {e}")),
            Ok(names) => wrong.extend(names.iter().flat_map(|name| {
                let records = name.records.iter();
                records.filter_map(move |record| match record.verdict {
                    RecordVerdict::Right | RecordVerdict::Left => None,
                    RecordVerdict::Foreign => {
                        Some(tr!("DNS: {}", describe_foreign(&name.name, record)))
                    }
                    _ => Some(tr!(
                        "DNS: the {} record of {} is not made yet: `matou dns --apply`",
                        record.kind,
                        name.name
                    )),
                })
            })),
        }
    }
    wrong
}
