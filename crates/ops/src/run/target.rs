//! Which container a command runs in.

use crate::{FleetContext, OpsError};
use matou_base::text::InvalidInput;
use matou_config::unknown_name;
use matou_i18n::tr;
use matou_model::{Service, Swarm};
use matou_stack::AppFile;

/// A running container of an application.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct RunTarget {
    /// The application.
    pub app: String,
    /// The service, with its application's name.
    pub service: String,
    /// The node that its task runs on.
    pub node: String,
    /// The container's id.
    pub container: String,
}

/// Finds a running container of a service of an application: of the one that is named, else of the one that
/// its stack names for it, else of the only one.
///
/// # Errors
/// There is no such application or service; several could be meant; no task of it runs; no manager answers.
pub async fn find_run_target(
    fleet: &FleetContext,
    app: &str,
    service: Option<&str>,
) -> Result<RunTarget, OpsError> {
    let swarm = fleet.query_swarm().await?;
    let service = match service {
        Some(_) => find_service(&swarm, app, service)?,
        None => find_service(&swarm, app, find_named_service(fleet, app)?.as_deref())?,
    };
    let name = &service.name;
    let task = swarm.find_enterable_task(&service.id).ok_or_else(|| {
        tr!("no task of {name} runs: start it (`matou scale {name} 1`), or look why with `matou logs {name}`")
    })?;
    let container = task
        .container_id
        .clone()
        .ok_or_else(|| tr!("the task of {name} has no container yet: try again in a moment"))?;
    let node = fleet
        .nodes
        .find_name(&swarm, &task.node_id)
        .ok_or_else(|| tr!("{name} runs on a node that is not in config.toml: add it"))?;
    Ok(RunTarget {
        app: app.to_owned(),
        service: name.clone(),
        node,
        container,
    })
}

/// The service that an application's stack names for commands; `None` without a file of the application.
fn find_named_service(fleet: &FleetContext, app: &str) -> Result<Option<String>, OpsError> {
    let Some(folder) = fleet.config.folder() else {
        return Ok(None);
    };
    match AppFile::load(&folder, app)? {
        Some(file) => Ok(fleet.catalogue.find_extension(&file.stack)?.run),
        None => Ok(None),
    }
}

fn app_name(service: &Service) -> &str {
    service.stack.as_deref().unwrap_or(&service.name)
}

/// A service's name as its stack has it.
fn short_name<'a>(service: &'a Service, app: &str) -> &'a str {
    let behind = service.name.strip_prefix(app);
    let short = behind.and_then(|n| n.strip_prefix('_'));
    short.unwrap_or(&service.name)
}

fn find_service<'a>(
    swarm: &'a Swarm,
    app: &str,
    wanted: Option<&str>,
) -> Result<&'a Service, InvalidInput> {
    let mut services: Vec<&Service> = swarm.services.iter().collect();
    services.retain(|s| app_name(s) == app);
    services.sort_by(|a, b| a.name.cmp(&b.name));
    if services.is_empty() {
        let known = swarm.services.iter().map(app_name);
        return Err(unknown_name(tr!("application"), app, known));
    }
    let names = || services.iter().map(|s| short_name(s, app));
    match (wanted, services.as_slice()) {
        (Some(wanted), _) => services
            .iter()
            .find(|s| short_name(s, app) == wanted || s.name == wanted)
            .copied()
            .ok_or_else(|| unknown_name(&tr!("service of {app}"), wanted, names())),
        (None, [only]) => Ok(only),
        (None, several) => Err(InvalidInput::new(tr!(
            "{app} has several services: name one, as in `matou run {app}/{} -- …`; there are {}",
            short_name(several[0], app),
            names().collect::<Vec<_>>().join(", ")
        ))),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn swarm(services: &[(&str, Option<&str>)]) -> Swarm {
        let service = |(name, stack): &(&str, Option<&str>)| Service {
            stack: stack.map(Into::into),
            ..crate::swarm_fixture::service(name, 1, 1)
        };
        Swarm {
            services: services.iter().map(service).collect(),
            ..Swarm::default()
        }
    }

    #[test]
    fn a_service_is_the_named_or_the_only_one() {
        let swarm = swarm(&[
            ("shop_web", Some("shop")),
            ("shop_db", Some("shop")),
            ("blog_web", Some("blog")),
            ("single", None),
        ]);
        let found = |app, service| {
            find_service(&swarm, app, service)
                .map(|s| s.name.clone())
                .map_err(|e| e.to_string())
        };
        assert_eq!(found("blog", None), Ok("blog_web".into()));
        assert_eq!(found("single", None), Ok("single".into()));
        assert_eq!(found("shop", Some("db")), Ok("shop_db".into()));
        assert_eq!(found("shop", Some("shop_web")), Ok("shop_web".into()));
        let several = found("shop", None).unwrap_err();
        assert!(several.ends_with("there are db, web"), "{several}");
        let wrong = found("shop", Some("wbe")).unwrap_err();
        assert_eq!(
            wrong,
            "there is no service of shop \"wbe\"; there are db, web"
        );
        let nobody = found("shp", None).unwrap_err();
        assert!(nobody.contains("did you mean \"shop\"?"), "{nobody}");
    }
}
