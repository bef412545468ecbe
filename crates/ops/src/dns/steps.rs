//! Steps that make and remove records: before an application is deployed, when it loses a name, when it goes.

use matou_i18n::tr;
use std::collections::{BTreeMap, BTreeSet};
use std::time::Duration;

use async_trait::async_trait;

use super::lines::describe_plans;
use super::names::{list_all_names, list_running_names};
use super::{FleetDns, OrphanScope, WantedNames, ZonePlan, find_zone};
use crate::{FleetContext, OpsError};
use matou_job::{Change, Check, Step, StepContext, StepError};

/// How long reading and changing all zones may take.
const PATIENCE: Duration = Duration::from_secs(180);

/// Plans what is wanted. The lines say it, or why it is not known.
async fn plan_wanted(
    fleet: &FleetContext,
    wanted: &WantedNames,
) -> Result<(FleetDns, Vec<ZonePlan>), OpsError> {
    let opened = FleetDns::open(fleet).await?;
    let dns = opened.ok_or(tr!(
        "config.toml has no [dns]: its keys are in config.example.toml"
    ))?;
    let plans = dns.plan(wanted).await;
    Ok((dns, plans))
}

/// Checks what is wanted. What can't be known stops nothing: an application is deployed and removed while its
/// provider of DNS is away, too.
async fn check_wanted(what: &str, fleet: &FleetContext, wanted: &WantedNames) -> Check {
    match plan_wanted(fleet, wanted).await {
        Ok((_, plans)) => Check::from_changes(describe_plans(&plans)),
        Err(e) => leave_records(what, &e),
    }
}

/// Says why nothing is changed.
fn leave_records(what: &str, why: &OpsError) -> Check {
    let line = Change::same(format!("dns {what}"));
    let why = tr!("{why}; records stay as they are: `matou dns --apply` mends them later");
    Check::Done(vec![line.with_warning(why)])
}

/// Plans again and makes the changes. Zones that can't be read are left.
async fn apply_wanted(fleet: &FleetContext, wanted: &WantedNames) -> Result<(), StepError> {
    let (dns, mut plans) = plan_wanted(fleet, wanted).await?;
    plans.retain(|plan| plan.names.is_ok());
    dns.apply(&plans).await.map_err(StepError::from)
}

/// The names of an application lead to the edge.
pub(crate) struct SetNames {
    pub app: String,
    /// All of them, as its stack says.
    pub names: Vec<String>,
    pub fleet: FleetContext,
}

impl SetNames {
    /// Returns the step; `None` where there is nothing for it to do: no `[dns]`, or no name.
    pub(crate) fn new(app: &str, names: &[String], fleet: &FleetContext) -> Option<Self> {
        (fleet.config.dns.is_some() && !names.is_empty()).then(|| Self {
            app: app.to_owned(),
            names: names.to_vec(),
            fleet: fleet.clone(),
        })
    }

    fn wanted(&self) -> WantedNames {
        let names = self.names.iter().map(|name| name.to_ascii_lowercase());
        WantedNames {
            lead_here: names.map(|name| (name, self.app.clone())).collect(),
            ..WantedNames::default()
        }
    }
}

#[async_trait]
impl Step for SetNames {
    fn name(&self) -> String {
        tr!("dns").into()
    }

    fn timeout(&self) -> Duration {
        PATIENCE
    }

    async fn check(&self, _: &StepContext) -> Result<Check, StepError> {
        let check = check_wanted(&tr!("of {}", self.app), &self.fleet, &self.wanted()).await;
        let others = self.names.iter();
        let others = others.filter(|name| find_zone(&self.fleet.config, name).is_none());
        let others = others.map(|name| {
            Change::same(tr!(
                "dns {name} is in no zone of [dns]: its records are yours"
            ))
        });
        Ok(match check {
            Check::Done(mut lines) => {
                lines.extend(others);
                Check::Done(lines)
            }
            Check::Change(mut lines) => {
                lines.extend(others);
                Check::Change(lines)
            }
            unknown => unknown,
        })
    }

    async fn apply(&self, _: &StepContext) -> Result<(), StepError> {
        apply_wanted(&self.fleet, &self.wanted()).await
    }
}

/// Names that an application loses lead nowhere any more, unless another one has them.
pub(crate) struct DropNames {
    app: String,
    /// Those that it has had.
    had: BTreeSet<String>,
    /// Those that it keeps.
    keeps: BTreeSet<String>,
    fleet: FleetContext,
}

impl DropNames {
    /// Returns the step for an application that keeps these names, which had those of its file and runs with others
    /// perhaps; `None` without `[dns]`.
    pub(crate) async fn new(
        app: &str,
        keeps: &[String],
        of_file: Vec<String>,
        fleet: &FleetContext,
    ) -> Option<Self> {
        fleet.config.dns.as_ref()?;
        // Without a manager the job fails by itself.
        let swarm = fleet.query_swarm().await.unwrap_or_default();
        let keeps: BTreeSet<String> = keeps.iter().map(|n| n.to_ascii_lowercase()).collect();
        let mut had: BTreeSet<String> = of_file.into_iter().collect();
        had.extend(list_running_names(&swarm, app));
        Some(Self {
            app: app.to_owned(),
            had,
            keeps,
            fleet: fleet.clone(),
        })
    }

    /// # Errors
    /// It is not known which names others have.
    async fn wanted(&self, cx: &StepContext) -> Result<WantedNames, OpsError> {
        let swarm = cx.query_swarm().await?;
        let others = list_all_names(&self.fleet, &swarm, Some(&self.app))?;
        let mut kept: BTreeSet<String> = others.into_keys().collect();
        kept.extend(self.keeps.iter().cloned());
        Ok(WantedNames {
            lead_here: BTreeMap::new(),
            gone: self.had.difference(&kept).cloned().collect(),
            orphans: OrphanScope::App(self.app.clone()),
            kept,
            beside: self.keeps.clone(),
        })
    }
}

#[async_trait]
impl Step for DropNames {
    fn name(&self) -> String {
        tr!("names that go").into()
    }

    fn timeout(&self) -> Duration {
        PATIENCE
    }

    async fn check(&self, cx: &StepContext) -> Result<Check, StepError> {
        let what = tr!("of {}", self.app);
        Ok(match self.wanted(cx).await {
            Ok(wanted) => check_wanted(&what, &self.fleet, &wanted).await,
            Err(e) => leave_records(&what, &e),
        })
    }

    async fn apply(&self, cx: &StepContext) -> Result<(), StepError> {
        apply_wanted(&self.fleet, &self.wanted(cx).await?).await
    }
}

/// All names of the fleet lead to the edge, and records of names that nobody has any more go.
pub(crate) struct MendNames {
    pub fleet: FleetContext,
}

impl MendNames {
    async fn wanted(&self, cx: &StepContext) -> Result<WantedNames, OpsError> {
        let swarm = cx.query_swarm().await?;
        Ok(WantedNames {
            lead_here: list_all_names(&self.fleet, &swarm, None)?,
            orphans: OrphanScope::All,
            ..WantedNames::default()
        })
    }
}

#[async_trait]
impl Step for MendNames {
    fn name(&self) -> String {
        "dns".into()
    }

    fn timeout(&self) -> Duration {
        PATIENCE
    }

    /// What can't be known is an error here: nothing else is asked for.
    async fn check(&self, cx: &StepContext) -> Result<Check, StepError> {
        let (_, plans) = plan_wanted(&self.fleet, &self.wanted(cx).await?).await?;
        if let Some(e) = plans.iter().find_map(|plan| plan.names.as_ref().err()) {
            return Err(OpsError::from(e.clone()).into());
        }
        Ok(Check::from_changes(describe_plans(&plans)))
    }

    async fn apply(&self, cx: &StepContext) -> Result<(), StepError> {
        let (dns, plans) = plan_wanted(&self.fleet, &self.wanted(cx).await?).await?;
        dns.apply(&plans).await.map_err(StepError::from)
    }
}
