//! Issuing a certificate anew, or forgetting one that no router asks for: Traefik is stopped, the
//! certificate is taken out of its store, Traefik is started and asks for what it lacks.

use matou_i18n::tr;
use std::time::Duration;

use async_trait::async_trait;

use super::FleetContext;
use crate::OpsError;
use matou_config::StorageConfig;
use matou_docker::{NodeHandle, Nodes};
use matou_edge as edge;
use matou_edge::{AcmeCertificate, AcmeFile, EdgeEndpoints, PresentedCertificate};
use matou_host::{Command, Host, shell_script};
use matou_job::{Change, Check, Step, StepContext, StepError};
use matou_model::{Swarm, TaskState};

/// How often the swarm and the edge are asked while waiting.
const POLL: Duration = Duration::from_millis(700);

/// How long Traefik may take to stop or to start.
const RESTART_WAIT: Duration = Duration::from_secs(120);

/// Arms the manager to start the edge again by itself, or calls that off.
const ARM_START: &str = shell_script(include_str!("../scripts/arm_service_start.sh"));

const ARM_LIMIT: Duration = Duration::from_secs(30);

/// The unit that starts the edge again.
const START_UNIT: &str = "matou-start-edge";

/// When the manager starts the edge by itself, if this program does not.
const START_BY_ITSELF: Duration = Duration::from_secs(RESTART_WAIT.as_secs() + 60);

/// How long an authority may take to issue.
const ISSUE_WAIT: Duration = Duration::from_secs(120);

/// Returns the step that renews the certificate of a domain.
pub(super) fn renewal_steps(
    domain: &str,
    fleet: &FleetContext,
) -> Result<Vec<Box<dyn Step>>, OpsError> {
    Ok(vec![Box::new(RenewCertificate {
        domain: domain.to_ascii_lowercase(),
        nodes: fleet.nodes.clone(),
        storage: fleet.config.storage.clone(),
        edge: EdgeEndpoints::load(&fleet.config, &fleet.nodes)?,
    })])
}

struct RenewCertificate {
    domain: String,
    nodes: Nodes,
    storage: StorageConfig,
    edge: EdgeEndpoints,
}

impl RenewCertificate {
    fn find_manager(&self, cx: &StepContext) -> Result<&NodeHandle, StepError> {
        let manager = self.nodes.get(&cx.node);
        manager.ok_or_else(|| StepError::failed(tr!("the manager is gone")))
    }

    async fn find_acme_file(&self, cx: &StepContext, swarm: &Swarm) -> Result<AcmeFile, StepError> {
        AcmeFile::find(&self.nodes, &self.storage, self.find_manager(cx)?, swarm)
            .await
            .map_err(StepError::from)
    }

    /// The service whose router asks for the domain.
    fn find_asking_service<'a>(&self, swarm: &'a Swarm) -> Option<&'a str> {
        let services = swarm.services.iter();
        let mut asking = services.filter(|s| s.domains.contains(&self.domain));
        asking.next().map(|s| s.name.as_str())
    }

    /// Returns the certificate that the first node that answers serves for the domain now.
    async fn query_served(&self) -> Option<PresentedCertificate> {
        for (_, address) in &self.edge.nodes {
            let probed =
                edge::query_certificate(address, self.edge.port, &self.domain, &self.edge.roots);
            if let Ok(served) = probed.await {
                return Some(served);
            }
        }
        None
    }

    /// Has the manager start Traefik by itself after a time: this program may be killed while no site of the
    /// fleet answers.
    async fn arm_start(&self, manager: &Host, file: &AcmeFile) -> Result<(), StepError> {
        let arm = Command::sh(ARM_START)
            .args([START_UNIT, &START_BY_ITSELF.as_secs().to_string()])
            .args([&file.service_id, &file.replicas.to_string()])
            .label(tr!("see to it that {} is started again", file.service));
        manager.run_ok(&arm.sudo().timeout(ARM_LIMIT)).await?;
        Ok(())
    }

    /// Calls off what [`Self::arm_start`] armed. That it can't be is told and no failure: it starts Traefik only
    /// where it has no tasks.
    async fn call_off_start(&self, cx: &StepContext, manager: &Host) {
        let off = Command::sh(ARM_START)
            .args([START_UNIT, "off"])
            .sudo()
            .timeout(ARM_LIMIT);
        if let Err(e) = manager.run_ok(&off).await {
            cx.out.note(e.to_string()).await;
        }
    }

    /// Waits until Traefik has so many tasks.
    async fn wait_for_tasks(
        &self,
        cx: &StepContext,
        file: &AcmeFile,
        to: u64,
    ) -> Result<(), StepError> {
        let wait = cx.wait_at_most(RESTART_WAIT, POLL);
        loop {
            let swarm = cx.query_swarm().await?;
            // A task that is to stop still writes until it has stopped.
            let live = |state: &TaskState| {
                matches!(
                    state,
                    TaskState::Running | TaskState::Starting | TaskState::Preparing
                )
            };
            let tasks = swarm
                .tasks
                .iter()
                .filter(|t| t.service_id == file.service_id);
            let (alive, running) = tasks.fold((0, 0), |(alive, running), t| {
                let up = t.desired == TaskState::Running && t.state == TaskState::Running;
                (alive + u64::from(live(&t.state)), running + u64::from(up))
            });
            if (to == 0 && alive == 0) || (to > 0 && running >= to) {
                return Ok(());
            }
            let late = || {
                tr!(
                    "{} did not get {to} tasks within {} s; `matou logs {}` may say why",
                    file.service,
                    RESTART_WAIT.as_secs(),
                    file.service
                )
            };
            wait.pause(late).await?;
        }
    }

    /// Waits until another certificate than the old one is served.
    async fn wait_for_issue(
        &self,
        cx: &StepContext,
        before: Option<&PresentedCertificate>,
    ) -> Result<(), StepError> {
        let wait = cx.wait_at_most(ISSUE_WAIT, POLL * 2);
        let reason = loop {
            let reason = match self.query_served().await {
                Some(served) if served.is_default() => tr!("Traefik has none yet"),
                Some(served) if before.is_some_and(|b| b.pem == served.pem) => {
                    tr!("the old one is served still")
                }
                Some(served) => {
                    let names = served.names.join(", ");
                    let doubt = served
                        .problem
                        .map_or_else(String::new, |p| format!("; {p}"));
                    cx.out
                        .note(tr!("issued by {} for {names}{doubt}", served.issuer))
                        .await;
                    return Ok(());
                }
                None => tr!("nothing takes https yet"),
            };
            if wait.is_over() {
                break reason.to_owned();
            }
            wait.pause(|| reason.to_owned()).await?;
        };
        let swarm = cx.query_swarm().await?;
        let log = match self.nodes.get(&cx.node) {
            Some(manager) => edge::read_edge_log(manager, &swarm)
                .await
                .unwrap_or_default(),
            None => String::new(),
        };
        let why = edge::find_acme_failure(&log, &self.domain).unwrap_or(reason);
        Err(StepError::failed(tr!(
            "{} has no new certificate after {} s: {why}. The old one is in acme.json.before beside the store",
            self.domain,
            ISSUE_WAIT.as_secs()
        )))
    }
}

fn describe_stored_certificate(stored: &AcmeCertificate) -> String {
    let end = stored.not_after.map_or_else(
        || tr!("it can't be read").to_owned(),
        |end| tr!("ends {}", end.strftime("%Y-%m-%d")),
    );
    let resolver = match stored.resolver.as_str() {
        "" => String::new(),
        resolver => tr!(", resolver {resolver}"),
    };
    tr!(
        "stored certificate of {} ({end}{resolver})",
        stored.names.join(", ")
    )
}

#[async_trait]
impl Step for RenewCertificate {
    fn name(&self) -> String {
        tr!("certificate").into()
    }

    fn timeout(&self) -> Duration {
        RESTART_WAIT * 2 + ISSUE_WAIT + ARM_LIMIT * 2 + Duration::from_secs(60)
    }

    async fn check(&self, cx: &StepContext) -> Result<Check, StepError> {
        let swarm = cx.query_swarm().await?;
        let file = self.find_acme_file(cx, &swarm).await?;
        let store = file.read().await?;
        let stored: Vec<&AcmeCertificate> = store
            .certificates
            .iter()
            .filter(|s| s.names.contains(&self.domain))
            .collect();
        let asked = self.find_asking_service(&swarm);
        if stored.is_empty() && asked.is_none() {
            return Err(StepError::failed(tr!(
                "no certificate of {} is stored, and no router asks for one; `matou certificates` lists the domains",
                self.domain
            )));
        }
        let mut lines = vec![
            Change::modify(
                &file.service,
                tr!("runs"),
                tr!("stopped for some seconds, then started"),
            )
            .with_warning(tr!("no site of the fleet answers meanwhile")),
        ];
        lines.extend(
            stored
                .into_iter()
                .map(|s| Change::remove(describe_stored_certificate(s))),
        );
        lines.push(match asked {
            Some(service) => Change::add(tr!(
                "certificate of {}, asked for anew by {service}",
                self.domain
            ))
            .with_warning(tr!("Let's Encrypt issues five a week for the same names, and takes five failures an hour; RESOLVER=staging tries without counting")),
            None => Change::same(tr!(
                "no router asks for {}: it is not issued again",
                self.domain
            )),
        });
        Ok(Check::Change(lines))
    }

    async fn apply(&self, cx: &StepContext) -> Result<(), StepError> {
        let swarm = cx.query_swarm().await?;
        let file = self.find_acme_file(cx, &swarm).await?;
        let before = self.query_served().await;
        let manager = &self.find_manager(cx)?.host;
        self.arm_start(manager, &file).await?;
        cx.out.note(tr!("{} is stopped", file.service)).await;
        let stopped = match cx.docker.scale_service(&file.service_id, 0).await {
            Ok(()) => self.wait_for_tasks(cx, &file, 0).await,
            Err(e) => Err(e.into()),
        };
        let forgotten = match &stopped {
            Ok(()) => file
                .remove_certificates(&self.domain)
                .await
                .map_err(StepError::from),
            Err(_) => Ok(0),
        };
        // Whatever went wrong, the edge comes back.
        cx.out.note(tr!("{} is started", file.service)).await;
        cx.docker
            .scale_service(&file.service_id, file.replicas)
            .await?;
        self.call_off_start(cx, manager).await;
        self.wait_for_tasks(cx, &file, file.replicas).await?;
        stopped?;
        forgotten?;
        match self.find_asking_service(&swarm) {
            Some(_) => self.wait_for_issue(cx, before.as_ref()).await,
            None => Ok(()),
        }
    }

    /// Has nothing to check: `apply` saw the new certificate, and checking again would want a third
    /// one.
    async fn verify(&self, _: &StepContext) -> Result<(), StepError> {
        Ok(())
    }
}
