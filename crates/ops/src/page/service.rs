//! The service that serves a page: what it is made of, made, and taken away.

use matou_i18n::tr;
use std::collections::BTreeMap;
use std::time::Duration;

use rand::RngExt as _;
use serde_json::json;
use sha2::{Digest as _, Sha256};

use super::content::page_files;
use crate::restore::services::list_app_services;
use crate::{FleetContext, OpsError};
use matou_base::text::clean_line;
use matou_host::{Command, shell_script};
use matou_job::{StepContext, StepError};
use matou_model::{
    AppPage, PAGE_CONTENT_LABEL, PAGE_HEADER, PAGE_JOB_LABEL, PAGE_KIND_LABEL, PAGE_SINCE_LABEL,
    PAGE_STACK_PREFIX, PAGE_WAY_IN_LABEL, PageKind, Swarm, domains_from_labels,
};
use matou_stack::{PageExceptions, escape_dollars, page_labels};

/// HAProxy, where the edge of the fleet has none beside it: what the catalogue's edge uses.
const SERVER_IMAGE: &str = "tecnativa/docker-socket-proxy:v0.4.2";

/// The longest name of an application whose page's service has a name that the engine takes: 63 in all.
const MAX_APP_NAME: usize = 63 - PAGE_STACK_PREFIX.len() - "_page".len();

const STACK_LABEL: &str = "com.docker.stack.namespace";
const DEPLOY_LIMIT: Duration = Duration::from_secs(60);
const REMOVE: &str = shell_script(include_str!("../../scripts/remove_stack.sh"));

/// A page that somebody or a job wants.
#[derive(Debug, Clone)]
pub(super) struct WantedPage {
    pub app: String,
    pub kind: PageKind,
    /// Title of the job that it is for.
    pub job: Option<String>,
    /// The operator's own page.
    pub html: Option<String>,
    /// Addresses and networks that see the application.
    pub allow: Vec<String>,
}

/// A page's service as it is deployed.
pub(super) struct PageStack {
    pub stack: String,
    /// Configs of the swarm: name and content.
    configs: Vec<(String, String)>,
    yaml: String,
    pub content: String,
    pub domains: Vec<String>,
    pub image: String,
}

/// The stack of an application's page.
pub(super) fn stack_of_page(app: &str) -> String {
    format!("{PAGE_STACK_PREFIX}{app}")
}

fn hash(text: &str) -> String {
    let digest = Sha256::digest(text.as_bytes());
    digest.iter().take(8).map(|b| format!("{b:02x}")).collect()
}

/// Finds the image of the HAProxy that runs beside the fleet's edge, with its digest: it is on that
/// node, and no registry is asked for it.
pub(super) async fn find_server_image(cx: &StepContext, swarm: &Swarm) -> String {
    let found = async {
        let edge = swarm.find_edge_service()?;
        let stack = edge.stack.as_ref()?;
        let mut beside = swarm
            .services
            .iter()
            .filter(|s| s.stack.as_ref() == Some(stack) && s.id != edge.id);
        let proxy = beside.find(|s| {
            s.image.contains("docker-socket-proxy") || s.name == format!("{stack}_proxy")
        })?;
        let spec = cx.docker.query_service_spec(&proxy.id).await.ok()?;
        spec.task_template?.container_spec?.image
    };
    found.await.unwrap_or_else(|| SERVER_IMAGE.to_owned())
}

/// Makes the stack of a page out of the labels that the application's services have now. `None` when
/// none of them has a router of http.
///
/// # Errors
/// There is no such application, or its name is too long.
pub(super) fn page_stack(
    wanted: &WantedPage,
    swarm: &Swarm,
    image: &str,
    fleet: &FleetContext,
) -> Result<Option<PageStack>, OpsError> {
    let app = &wanted.app;
    if app.len() > MAX_APP_NAME {
        return Err(OpsError::failed(tr!(
            "{app} has a name of more than {MAX_APP_NAME} characters: the engine takes no service that is called after it"
        )));
    }
    let services = list_app_services(swarm, app);
    if services.is_empty() {
        return Err(OpsError::failed(tr!(
            "there is no application {app}; `matou status` lists them"
        )));
    }
    refuse_foreign_stack(swarm, app)?;
    let before = swarm.find_page(app);
    let way_in = match before {
        Some(page) if !page.way_in.is_empty() => page.way_in.clone(),
        _ => format!("{:032x}", rand::rng().random::<u128>()),
    };
    let network = &fleet.config.edge.network;
    let except = PageExceptions {
        header: (PAGE_HEADER, &way_in),
        networks: &wanted.allow,
    };
    let Some(mut labels) = page_labels(app, services.iter().map(|s| &s.labels), network, except)
    else {
        return Ok(None);
    };
    let domains = domains_from_labels(&labels);
    labels.insert(PAGE_KIND_LABEL.into(), wanted.kind.as_str().into());
    labels.insert(PAGE_WAY_IN_LABEL.into(), way_in.clone());
    if let Some(job) = &wanted.job {
        labels.insert(PAGE_JOB_LABEL.into(), job.clone());
    }
    let stack = stack_of_page(app);
    let configs: Vec<(&str, String, String)> = page_files(wanted.kind, wanted.html.as_deref())
        .into_iter()
        .map(|(file, text)| {
            (
                file,
                format!("matou-page-{}", hash(&format!("{app} {file} {text}"))),
                text,
            )
        })
        .collect();
    let content = hash(&format!("{labels:?} {image} {configs:?}"));
    let since = before
        .filter(|page| page.kind == wanted.kind && page.job == wanted.job)
        .and_then(|page| page.since);
    let since = since
        .unwrap_or_else(jiff::Timestamp::now)
        .strftime("%Y-%m-%dT%H:%M:%SZ");
    labels.insert(PAGE_SINCE_LABEL.into(), since.to_string());
    labels.insert(PAGE_CONTENT_LABEL.into(), content.clone());
    let yaml = stack_yaml(&labels, &configs, image, network);
    Ok(Some(PageStack {
        stack,
        configs: configs
            .into_iter()
            .map(|(_, name, text)| (name, text))
            .collect(),
        yaml,
        content,
        domains,
        image: image.to_owned(),
    }))
}

/// Refuses to deploy over, and to remove, a stack of the page's name that is no page.
///
/// # Errors
/// One sentence: there is one.
fn refuse_foreign_stack(swarm: &Swarm, app: &str) -> Result<(), OpsError> {
    let stack = stack_of_page(app);
    // Services that are pages are not among those of the swarm.
    let mut others = swarm.services.iter();
    match others.find(|s| s.stack.as_ref() == Some(&stack)) {
        None => Ok(()),
        Some(other) => Err(OpsError::failed(tr!(
            "{} of the stack {stack} is no page of matou, and a page of {app} would take its place: give that stack another name",
            clean_line(&other.name)
        ))),
    }
}

/// The compose file of a page. JSON is YAML.
fn stack_yaml(
    labels: &BTreeMap<String, String>,
    configs: &[(&str, String, String)],
    image: &str,
    network: &str,
) -> String {
    // The client reads `$` as a variable.
    let labels: BTreeMap<&str, String> = labels
        .iter()
        .map(|(k, v)| (k.as_str(), escape_dollars(v)))
        .collect();
    let mounted: Vec<_> = configs
        .iter()
        .map(|(file, name, _)| json!({"source": name, "target": format!("/page/{file}")}))
        .collect();
    let external: BTreeMap<&str, _> = configs
        .iter()
        .map(|(_, name, _)| (name.as_str(), json!({"external": true, "name": name})))
        .collect();
    json!({
        "version": "3.8",
        "services": {"page": {
            "image": image,
            "entrypoint": ["haproxy", "-db", "-f", "/page/haproxy.cfg"],
            "user": "65534:65534",
            "read_only": true,
            "cap_drop": ["ALL"],
            "networks": ["edge"],
            "configs": mounted,
            "stop_grace_period": "2s",
            "healthcheck": {"disable": true},
            "deploy": {
                // On every manager: a page stays while one of them is lost.
                "mode": "global",
                "endpoint_mode": "dnsrr",
                "labels": labels,
                "placement": {"constraints": ["node.role == manager"]},
                "update_config": {"order": "start-first"},
                "restart_policy": {"condition": "any", "delay": "2s"},
                "resources": {"limits": {"cpus": "0.5", "memory": "96M"}},
            },
        }},
        "networks": {"edge": {"external": true, "name": network}},
        "configs": external,
    })
    .to_string()
}

impl PageStack {
    /// Makes it, or makes it what it should be. `cx` is on a manager.
    pub(super) async fn deploy(&self, cx: &StepContext) -> Result<(), StepError> {
        let there = cx.docker.list_configs().await?;
        for (name, text) in &self.configs {
            if there.contains_key(name) {
                continue;
            }
            let create = Command::new("docker")
                .args(["config", "create", "--label"])
                .arg(format!("{STACK_LABEL}={}", self.stack))
                .args(["--", name, "-"])
                .stdin(text.clone().into_bytes())
                .sudo()
                .timeout(DEPLOY_LIMIT);
            cx.host.run_ok(&create).await?;
        }
        let deploy = Command::new("docker")
            .args(["stack", "deploy", "--with-registry-auth"])
            // The image is there; a registry that does not answer must not keep the page away.
            .args(["--resolve-image", "never"])
            .args(["--compose-file", "-", "--"])
            .arg(&self.stack)
            .stdin(self.yaml.clone().into_bytes())
            .sudo()
            .timeout(DEPLOY_LIMIT)
            .label(tr!("make the page"));
        cx.host.run_ok(&deploy).await?;
        Ok(())
    }
}

/// Tells the edge to show the page no more. Its tasks go on: who was sent to it is answered.
pub(super) async fn hide_page(cx: &StepContext, page: &AppPage) -> Result<(), StepError> {
    let hide = |spec: &mut matou_docker::RawSpec| {
        let labels = spec.map_mut(&["Labels"]);
        labels.insert("traefik.enable".into(), "false".into()) != Some("false".into())
    };
    match cx.docker.update_service(&page.service, hide).await {
        Err(e) if e.is_not_found() => Ok(()),
        other => Ok(other?),
    }
}

/// Lets a page stay when the job that it was for has ended: it is as one that somebody asked for.
pub(super) async fn keep_page(cx: &StepContext, page: &AppPage) -> Result<(), StepError> {
    let keep = |spec: &mut matou_docker::RawSpec| {
        let labels = spec.map_mut(&["Labels"]);
        labels.remove(PAGE_JOB_LABEL).is_some()
    };
    Ok(cx.docker.update_service(&page.service, keep).await?)
}

/// Removes the service of a page, and its files.
pub(super) async fn remove_page(cx: &StepContext, app: &str) -> Result<(), StepError> {
    let remove = Command::sh(REMOVE)
        .arg(stack_of_page(app))
        .sudo()
        .timeout(Duration::from_secs(120))
        .label(tr!("remove the page"));
    cx.host.run_ok(&remove).await?;
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::swarm_fixture::{service, swarm};

    #[test]
    fn a_stack_of_somebody_that_has_the_name_of_a_page_is_left_alone() {
        let of = |stack: &str| {
            let mut found = service("matou-page-shop_web", 1, 1);
            found.stack = Some(stack.into());
            swarm([], [found])
        };
        let refused = refuse_foreign_stack(&of("matou-page-shop"), "shop").unwrap_err();
        assert!(
            refused.to_string().contains("no page of matou"),
            "{refused}"
        );
        assert!(refuse_foreign_stack(&of("matou-page-shop"), "blog").is_ok());
        assert!(refuse_foreign_stack(&of("shop"), "shop").is_ok());
    }

    #[test]
    fn the_server_is_the_one_that_the_catalogue_pulls() {
        let edge = include_str!("../../../../stacks/traefik.yml");
        assert!(edge.contains(&format!("default: {SERVER_IMAGE}\n")));
    }

    #[test]
    fn a_page_has_no_right_and_its_labels_come_as_they_are() {
        let labels = BTreeMap::from([("rule".to_owned(), "HostRegexp(`^a$`)".to_owned())]);
        let configs = [("en.html", "matou-page-1".to_owned(), "<p>".to_owned())];
        let yaml = stack_yaml(&labels, &configs, "proxy:1", "traefik-net");
        let read: serde_yaml::Value = serde_yaml::from_str(&yaml).unwrap();
        let page = &read["services"]["page"];
        assert_eq!(page["deploy"]["labels"]["rule"], "HostRegexp(`^a$$`)");
        assert_eq!(page["configs"][0]["target"], "/page/en.html");
        assert_eq!(page["read_only"], true);
        assert_eq!(page["cap_drop"][0], "ALL");
        assert!(page.get("ports").is_none() && page.get("volumes").is_none());
    }
}
