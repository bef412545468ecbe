//! Edge settings of an application. One that has a file in apps/ is deployed again with them; on
//! others they are set on the running services, as `docker service update --label-add` would: no
//! task is replaced by it.

use async_trait::async_trait;
use matou_i18n::tr;

use super::deploy::{self, stack::append_entry_changes};
use super::{FleetContext, Request};
use crate::OpsError;
use matou_docker::NodeHandle;
use matou_job::{Change, Check, Step, StepContext, StepError};
use matou_model::{Service, Swarm};
use matou_stack::{AppFile, AppName, EdgeSettings, Labels, has_http_router};

pub(super) async fn edge_settings_steps(
    app: &AppName,
    switches: &EdgeSettings,
    manager: &NodeHandle,
    fleet: &FleetContext,
) -> Result<Vec<Box<dyn Step>>, OpsError> {
    let folder = fleet.config.folder();
    let file = match &folder {
        Some(folder) => AppFile::load(folder, app)?,
        None => None,
    };
    if file.is_some() {
        let again = Request::Redeploy {
            app: app.clone(),
            variables: Default::default(),
            switches: switches.clone(),
            names: Default::default(),
            rotate: Vec::new(),
        };
        return deploy::deploy_request_steps(&again, manager, fleet).await;
    }
    Ok(vec![Box::new(ApplyEdgeSettings {
        app: app.to_string(),
        switches: switches.clone(),
    })])
}

struct ApplyEdgeSettings {
    app: String,
    switches: EdgeSettings,
}

impl ApplyEdgeSettings {
    /// Services of the application that have a router.
    fn routed_services<'a>(&self, swarm: &'a Swarm) -> Result<Vec<&'a Service>, StepError> {
        let mine = |s: &&Service| s.stack.as_deref().unwrap_or(&s.name) == self.app;
        let all: Vec<&Service> = swarm.services.iter().filter(mine).collect();
        if all.is_empty() {
            return Err(StepError::failed(tr!(
                "there is no application {}; `matou status` lists them",
                self.app
            )));
        }
        let routed: Vec<&Service> = all
            .into_iter()
            .filter(|s| !s.domains.is_empty() || has_http_router(&s.labels))
            .collect();
        if routed.is_empty() {
            return Err(StepError::failed(tr!(
                "{} has no router of Traefik 3: there is nothing to switch; `matou migrate FILE` rewrites labels of Traefik 1",
                self.app
            )));
        }
        Ok(routed)
    }

    /// Compares it with one reading of the swarm.
    fn check_swarm(&self, swarm: &Swarm) -> Result<Check, StepError> {
        let (mut changes, mut same) = (Vec::new(), Vec::new());
        for service in self.routed_services(swarm)? {
            let mut wanted = service.labels.clone();
            self.switches.apply_to_labels(&self.app, &mut wanted);
            let what = tr!("label of {}", service.name);
            append_entry_changes(&what, &service.labels, &wanted, &mut changes);
            same.push(Change::same(tr!("labels of {}", service.name)));
        }
        Ok(match changes.is_empty() {
            true => Check::Done(same),
            false => Check::Change(changes),
        })
    }
}

#[async_trait]
impl Step for ApplyEdgeSettings {
    fn name(&self) -> String {
        tr!("labels").into()
    }

    async fn check(&self, cx: &StepContext) -> Result<Check, StepError> {
        self.check_swarm(&cx.query_swarm().await?)
    }

    async fn apply(&self, cx: &StepContext) -> Result<(), StepError> {
        let swarm = cx.query_swarm().await?;
        for service in self.routed_services(&swarm)? {
            // On the labels as they are then: somebody else may have changed them meanwhile.
            let change = |spec: &mut matou_docker::RawSpec| {
                let labels = spec.map_mut(&["Labels"]);
                let text = |v: &serde_json::Value| v.as_str().unwrap_or_default().to_owned();
                let before: Labels = labels.iter().map(|(k, v)| (k.clone(), text(v))).collect();
                let mut after = before.clone();
                self.switches.apply_to_labels(&self.app, &mut after);
                let changed = before != after;
                *labels = after.into_iter().map(|(k, v)| (k, v.into())).collect();
                changed
            };
            cx.docker.update_service(&service.id, change).await?;
            cx.out.note(tr!("{} is switched", service.name)).await;
        }
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::swarm_fixture::{changes, fails, service, swarm};

    #[test]
    fn only_services_with_a_router_are_switched_and_nothing_twice() {
        let mut web = service("blog_web", 1, 1);
        let rule = "traefik.http.routers.blog.rule".to_owned();
        web.labels.insert(rule, "Host(`blog.org`)".into());
        let mut swarm = swarm([], [web, service("blog_db", 1, 1)]);
        let step = |app: &str| ApplyEdgeSettings {
            app: app.into(),
            switches: EdgeSettings {
                headers: Some(true),
                ..EdgeSettings::default()
            },
        };
        let lines = changes(step("blog").check_swarm(&swarm));
        assert!(
            !lines.is_empty() && lines.iter().all(|l| l.contains("blog_web")),
            "{lines:?}"
        );
        step("blog")
            .switches
            .apply_to_labels("blog", &mut swarm.services[0].labels);
        assert_eq!(
            changes(step("blog").check_swarm(&swarm)),
            ["= labels of blog_web"]
        );
        assert!(fails(step("shop").check_swarm(&swarm)).contains("no application shop"));
        swarm.services.remove(0);
        assert!(fails(step("blog").check_swarm(&swarm)).contains("has no router"));
    }
}
