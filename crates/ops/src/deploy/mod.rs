//! Deploying a stack as an application: checks, what it needs made first, the stack itself, its
//! tasks, its file, its answer.

mod answers;
mod engine_verdict;
pub(super) mod external_keep;
mod external_make;
pub(super) mod external_record;
mod file;
mod folders;
mod guard;
mod limit;
mod monitoring_files;
mod names;
mod network;
mod placement;
mod preflight;
mod revision;
mod room;
pub(super) mod secrets;
pub(super) mod stack;
mod versions;
mod volume_definitions;

use matou_i18n::tr;
use matou_stack::translate_stack_text;
pub(crate) use monitoring_files::read_alert_receivers;
use std::collections::BTreeMap;
use std::sync::Arc;
use std::time::Duration;

use super::backup::keeps_fleet_files;
use super::context::FleetContext;
use super::dns::{DropNames, SetNames, list_file_names};
use super::job_on_node::build_job_on_node;
use super::leftovers::{LeftoverScope, RemoveLeftovers};
use super::request::{BudgetChange, Request};
use super::tasks::{AwaitedServices, WaitForTasks};
use crate::OpsError;
use matou_docker::NodeHandle;
use matou_job::{Confirm, Job, Step};
use matou_stack::{
    AppFile, EdgeSettings, NameChanges, REHEARSAL_LABEL, RenderTarget, RenderedStack,
};
use secrecy::SecretString;

pub(super) use file::{EarlierFiles, PushFleetFiles, WriteAppFiles, file_change};
pub(super) use preflight::resolve_host_name;
use revision::RevisionFiles;

/// For [`DeployOptions::images`]: all images stay as they are.
pub(super) static NO_NEW_IMAGES: BTreeMap<String, String> = BTreeMap::new();

/// For [`DeployOptions::pins`]: tasks run wherever the file lets them.
pub(super) static NO_PINS: BTreeMap<String, Vec<String>> = BTreeMap::new();

/// What to deploy, and how. What is missing here is taken from the application's file.
pub(super) struct DeployOptions<'a> {
    /// What a backup kept of what others made for it comes back before this is applied.
    pub kept_comes_back: bool,
    pub stack: Option<&'a str>,
    pub app: &'a str,
    pub variables: &'a BTreeMap<String, String>,
    pub switches: EdgeSettings,
    /// What changes in its names beside the main one.
    pub names: NameChanges,
    /// Secrets that get a new value.
    pub rotate: &'a [String],
    /// New images, by service.
    pub images: &'a BTreeMap<String, String>,
    /// A new place; `Some(None)` takes away the one it has.
    pub place: Option<Option<String>>,
    /// A new budget of disk.
    pub budget: Option<BudgetChange>,
    /// What it was, in place of what it is.
    pub revision: Option<&'a RevisionFiles>,
    /// Constraints that services have for a while beside those of the file, by service.
    pub pins: &'a BTreeMap<String, Vec<String>>,
    /// For the history of the fleet folder.
    pub why: String,
}

/// Makes the job of a request that deploys or redeploys an application.
///
/// # Errors
/// No manager answers, and those of [`deploy_request_steps`].
pub(super) async fn build_deploy_job(
    request: &Request,
    fleet: &FleetContext,
) -> Result<Job, OpsError> {
    let manager = fleet.nodes.find_manager().await?;
    let steps = deploy_request_steps(request, manager, fleet).await?;
    Ok(build_job_on_node(manager, request, Confirm::Ask, steps))
}

/// Returns the steps of a request that deploys, redeploys, updates or places an application.
///
/// # Errors
/// One sentence: what is wrong with the request, the stack or the application's file.
pub(super) async fn deploy_request_steps(
    request: &Request,
    manager: &NodeHandle,
    fleet: &FleetContext,
) -> Result<Vec<Box<dyn Step>>, OpsError> {
    let (none, nothing) = (BTreeMap::new(), Vec::new());
    let mut wanted = DeployOptions {
        kept_comes_back: false,
        stack: None,
        app: "",
        variables: &none,
        switches: EdgeSettings::default(),
        names: NameChanges::default(),
        rotate: &nothing,
        images: &NO_NEW_IMAGES,
        place: None,
        budget: None,
        revision: None,
        pins: &NO_PINS,
        why: request.title(),
    };
    let earlier;
    let mut fleet = fleet;
    let as_it_was;
    match request {
        Request::Deploy {
            stack,
            app,
            variables,
            names,
        } => {
            (wanted.stack, wanted.app) = (Some(stack.as_str()), app);
            wanted.names = names.as_ref().clone();
            wanted.variables = variables;
        }
        Request::Redeploy {
            app,
            variables,
            switches,
            names,
            rotate,
        } => {
            wanted.names = names.as_ref().clone();
            (wanted.app, wanted.variables) = (app, variables);
            (wanted.switches, wanted.rotate) = (switches.clone(), rotate);
        }
        Request::Update { app, images } => (wanted.app, wanted.images) = (app, images),
        Request::Revert { app, revision } => {
            wanted.app = app;
            earlier = RevisionFiles::load(app, revision, fleet).await?;
            as_it_was = fleet.with_catalogue(earlier.catalogue.clone());
            fleet = &as_it_was;
            wanted.revision = Some(&earlier);
        }
        Request::Budget { app, change } => {
            wanted.app = app;
            wanted.budget = Some(change.clone());
        }
        Request::Place { app, to } => {
            wanted.app = app;
            wanted.place = Some(match to {
                Some(to) => Some(resolve_place(to, manager, fleet).await?),
                None => None,
            });
        }
        _ => unreachable!("no other request deploys"),
    }
    deploy_steps(&wanted, manager, fleet).await
}

/// Returns the host name of a node that is named as in config.toml. A label, or any other name, is
/// returned as it is.
pub(super) async fn resolve_place(
    place: &str,
    manager: &NodeHandle,
    fleet: &FleetContext,
) -> Result<String, OpsError> {
    if place.contains('=') || fleet.nodes.get(place).is_none() {
        return Ok(place.to_owned());
    }
    let swarm = manager.docker.query_swarm().await?;
    let mut nodes = swarm.nodes.iter();
    let found = nodes.find(|n| fleet.nodes.find_name(&swarm, &n.id).as_deref() == Some(place));
    Ok(found.map_or_else(|| place.to_owned(), |n| n.hostname.clone()))
}

/// Returns the application's file (a new one if there is none) with what is asked for merged in.
pub(super) fn merge_app_file(
    wanted: &DeployOptions<'_>,
    fleet: &FleetContext,
) -> Result<AppFile, OpsError> {
    let folder = fleet.config.folder();
    let old = match (wanted.revision, &folder) {
        (Some(revision), _) => Some(revision.app_file.clone()),
        (None, Some(folder)) => AppFile::load(folder, wanted.app)?,
        (None, None) => None,
    };
    let mut file = match (old, wanted.stack) {
        (Some(old), None) => old,
        (Some(old), Some(stack)) if old.stack == stack => old,
        (_, Some(stack)) => AppFile {
            stack: stack.to_owned(),
            ..AppFile::default()
        },
        (None, None) => {
            return Err(OpsError::failed(tr!(
                "{0} has no apps/{0}.toml beside config.toml, which would say what stack it is made from: `matou deploy STACK {0}` writes it",
                wanted.app
            )));
        }
    };
    file.variables.extend(wanted.variables.clone());
    for (service, image) in wanted.images {
        let variable = fleet.catalogue.find_image_variable(&file.stack, service)?;
        match variable {
            Some(variable) => {
                file.images.remove(service);
                file.variables.insert(variable, image.clone())
            }
            None => file.images.insert(service.clone(), image.clone()),
        };
    }
    if let Some(place) = &wanted.place {
        file.place.clone_from(place);
    }
    if let Some(change) = &wanted.budget {
        change.apply(&mut file)?;
    }
    let new = wanted.switches.clone();
    file.edge.headers = new.headers.or(file.edge.headers);
    file.edge.basic_auth = new.basic_auth.or(file.edge.basic_auth);
    file.edge.rate_limit = new.rate_limit.or(file.edge.rate_limit);
    file.removed = None;
    wanted.names.apply(&mut file.domains)?;
    Ok(file)
}

/// Reads the password of `[mail]`, which is one line. `None` where the server wants none.
///
/// # Errors
/// The file can't be read, or holds no password.
pub fn read_mail_password(fleet: &FleetContext) -> Result<Option<SecretString>, OpsError> {
    let mail = fleet.config.mail.as_ref();
    let Some(path) = mail.and_then(|m| m.password_file.as_ref()) else {
        return Ok(None);
    };
    let shown = path.display();
    let text = matou_base::files::read_text(path, matou_base::files::MAX_CONFIG_BYTES);
    let text = text.map_err(|e| tr!("{shown}, password_file of [mail], can't be read: {e}"))?;
    match text.lines().next().filter(|line| !line.is_empty()) {
        // Without an end of line: some applications take what they read as it is.
        Some(line) => Ok(Some(line.into())),
        None => Err(OpsError::failed(tr!(
            "{shown}, password_file of [mail], holds no password in its first line"
        ))),
    }
}

/// The stack as it will be deployed, with the versions of its secrets read from the fleet.
pub(super) async fn render_app_stack(
    wanted: &DeployOptions<'_>,
    file: &AppFile,
    fleet: &FleetContext,
) -> Result<RenderedStack, OpsError> {
    let extension = fleet.catalogue.find_extension(&file.stack)?;
    let mut versions = BTreeMap::new();
    if !extension.secrets.is_empty() {
        versions = secrets::SecretStore::open(fleet, wanted.app)?
            .newest_versions()
            .await?;
    }
    for name in wanted.rotate {
        let spec = extension.secrets.iter().find(|s| s.name == *name);
        let spec = spec.ok_or_else(|| {
            let names: Vec<&str> = extension.secrets.iter().map(|s| s.name.as_str()).collect();
            tr!(
                "{} makes no secret {name:?}: it has {}",
                file.stack,
                names.join(", ")
            )
        })?;
        if spec.keep {
            return Err(OpsError::failed(tr!(
                "{name} is not rotated: what the application stored can't be read without it ({})",
                translate_stack_text(&spec.help)
            )));
        }
        *versions.entry(name.clone()).or_insert(1) += 1;
    }
    let mail_password = match extension.mail {
        true => read_mail_password(fleet)?,
        false => None,
    };
    let mut target = RenderTarget {
        mail_password,
        secrets: versions,
        edge_settings: file.edge.clone(),
        domains: file.domains.clone(),
        images: file.images.clone(),
        place: file.place.clone(),
        budget: file.disk_budget()?,
        ..RenderTarget::for_fleet(&fleet.config)
    };
    let render = |target: &RenderTarget<'_>| {
        fleet
            .catalogue
            .render_stack(&file.stack, wanted.app, &file.variables, target)
            .map_err(OpsError::from)
    };
    let mut rendered = render(&target)?;
    if extension.generated {
        target.files =
            monitoring_files::build_monitoring_files(fleet, wanted.app, &rendered).await?;
        rendered = render(&target)?;
    }
    rendered.pin_services(wanted.pins)?;
    Ok(rendered)
}

/// The steps that deploy a stack and wait until it answers.
pub(super) async fn deploy_steps(
    wanted: &DeployOptions<'_>,
    manager: &NodeHandle,
    fleet: &FleetContext,
) -> Result<Vec<Box<dyn Step>>, OpsError> {
    deploy_steps_with(wanted, manager, fleet, Vec::new()).await
}

/// The same, with other steps when its tasks run, before it is asked whether it answers.
pub(super) async fn deploy_steps_with(
    wanted: &DeployOptions<'_>,
    manager: &NodeHandle,
    fleet: &FleetContext,
    when_it_runs: Vec<Box<dyn Step>>,
) -> Result<Vec<Box<dyn Step>>, OpsError> {
    let mut file = merge_app_file(wanted, fleet)?;
    let app = wanted.app.to_owned();
    let folder = fleet.config.folder();
    let is_new = !folder.is_some_and(|f| AppFile::path(&f, &app).exists());
    let mut guard = None;
    if is_new
        && file.edge.basic_auth.is_none()
        && fleet.catalogue.find_extension(&file.stack)?.guard
    {
        guard = guard::guard_app(&app, &mut file, manager, fleet).await?;
    }
    let rendered = Arc::new(render_app_stack(wanted, &file, fleet).await?);
    if let Some(folder) = fleet.config.folder() {
        names::check_names_of_files(&app, &rendered, &folder)?;
    }
    let mut steps: Vec<Box<dyn Step>> = vec![Box::new(preflight::PreflightChecks {
        app: app.clone(),
        rendered: rendered.clone(),
        nodes: fleet.nodes.clone(),
        open_ports: fleet.config.provision.open_ports.clone(),
        dns: preflight::OwnDns::of_config(&fleet.config),
    })];
    steps.push(Box::new(engine_verdict::EngineVerdict {
        stack: file.stack.clone(),
        rendered: rendered.clone(),
        fleet: fleet.clone(),
    }));
    if let Some(place) = &file.place {
        steps.push(Box::new(placement::CheckPlacement {
            app: app.clone(),
            place: place.clone(),
            rendered: rendered.clone(),
        }));
    }
    let comes_back = wanted.kept_comes_back;
    steps.extend(prerequisite_steps(
        &app, &rendered, manager, fleet, comes_back,
    )?);
    steps.extend(limit::LimitFolders::for_app(&app, &file, &rendered, fleet)?);
    if let Some(guard) = guard {
        steps.push(Box::new(guard));
    }
    // Before the edge asks for certificates of its names.
    if let Some(names) = SetNames::new(&app, &rendered.domains, fleet) {
        steps.push(Box::new(names));
    }
    let dropped = find_dropped_names(&app, &rendered, fleet).await?;
    steps.push(Box::new(stack::DeployStack {
        app: app.clone(),
        rendered: rendered.clone(),
    }));
    // Before its tasks: what comes up late is what the file says all the same.
    let earlier = push_file_steps(wanted, &file, fleet, &mut steps);
    steps.push(Box::new(file::WaitForStack {
        tasks: WaitForTasks {
            awaited: AwaitedServices::Stack(app.clone()),
            patience: start_patience(&rendered),
            nodes: Some(fleet.nodes.clone()),
        },
        troubles: rendered.troubles.clone(),
        app: app.clone(),
        earlier,
    }));
    steps.extend(when_it_runs);
    steps.extend(answer_step(&rendered, fleet)?);
    if let Some(dropped) = dropped {
        steps.push(Box::new(dropped));
    }
    steps.push(Box::new(RemoveLeftovers {
        app,
        scope: LeftoverScope::Replaced,
    }));
    Ok(steps)
}

/// Returns the step after which names that the application loses lead nowhere; `None` without `[dns]`.
async fn find_dropped_names(
    app: &str,
    rendered: &RenderedStack,
    fleet: &FleetContext,
) -> Result<Option<DropNames>, OpsError> {
    let file = match fleet.config.folder() {
        Some(folder) => AppFile::load(&folder, app)?,
        None => None,
    };
    let before = file.as_ref().map(list_file_names).unwrap_or_default();
    Ok(DropNames::new(app, &rendered.domains, before, fleet).await)
}

/// Adds the steps that write the application's files, here and on the storage node. Returns those that are there.
fn push_file_steps(
    wanted: &DeployOptions<'_>,
    file: &AppFile,
    fleet: &FleetContext,
    steps: &mut Vec<Box<dyn Step>>,
) -> Option<EarlierFiles> {
    let folder = fleet.folder()?;
    let changes = match wanted.revision {
        Some(revision) => revision.changes.clone(),
        None => vec![file::file_change(wanted.app, file)],
    };
    let earlier = EarlierFiles::read(wanted.app, &changes, fleet);
    steps.push(Box::new(file::WriteAppFiles {
        folder,
        changes,
        notes: wanted.revision.map(|r| r.notes.clone()).unwrap_or_default(),
        why: wanted.why.clone(),
    }));
    if keeps_fleet_files(&fleet.config) {
        steps.push(Box::new(file::PushFleetFiles {
            app: wanted.app.to_owned(),
            fleet: fleet.clone(),
        }));
    }
    earlier
}

/// Returns the step that deploys the services of an application as its file says them. What they need is
/// there already.
///
/// # Errors
/// One sentence: the file or the stack is wrong.
pub(super) async fn build_stack_step(
    app: &str,
    fleet: &FleetContext,
) -> Result<Box<dyn Step>, OpsError> {
    let none = BTreeMap::new();
    let wanted = DeployOptions {
        kept_comes_back: false,
        stack: None,
        app,
        variables: &none,
        switches: EdgeSettings::default(),
        names: NameChanges::default(),
        rotate: &[],
        images: &NO_NEW_IMAGES,
        place: None,
        budget: None,
        revision: None,
        pins: &NO_PINS,
        why: String::new(),
    };
    let file = merge_app_file(&wanted, fleet)?;
    Ok(Box::new(stack::DeployStack {
        app: app.to_owned(),
        rendered: Arc::new(render_app_stack(&wanted, &file, fleet).await?),
    }))
}

/// Returns the steps that deploy a stack with tasks for some of its services only (named without
/// the application's name). [`deploy_steps`] starts the other services later.
pub(super) async fn deploy_subset_steps(
    wanted: &DeployOptions<'_>,
    manager: &NodeHandle,
    fleet: &FleetContext,
    services: &[String],
) -> Result<Vec<Box<dyn Step>>, OpsError> {
    build_subset_steps(wanted, manager, fleet, services, false).await
}

async fn build_subset_steps(
    wanted: &DeployOptions<'_>,
    manager: &NodeHandle,
    fleet: &FleetContext,
    services: &[String],
    shut: bool,
) -> Result<Vec<Box<dyn Step>>, OpsError> {
    let file = merge_app_file(wanted, fleet)?;
    let mut rendered = render_app_stack(wanted, &file, fleet).await?;
    rendered.keep_services(services)?;
    if shut {
        rendered.isolate_services()?;
    }
    steps_of_rendered(wanted.app, rendered, manager, fleet)
}

/// The steps that deploy what was rendered, and wait for its tasks.
fn steps_of_rendered(
    app: &str,
    rendered: RenderedStack,
    manager: &NodeHandle,
    fleet: &FleetContext,
) -> Result<Vec<Box<dyn Step>>, OpsError> {
    let app = app.to_owned();
    let rendered = Arc::new(rendered);
    let mut steps = prerequisite_steps(&app, &rendered, manager, fleet, false)?;
    steps.push(Box::new(stack::DeployStack {
        app: app.clone(),
        rendered: rendered.clone(),
    }));
    steps.push(Box::new(WaitForTasks {
        awaited: AwaitedServices::Stack(app),
        patience: start_patience(&rendered),
        nodes: Some(fleet.nodes.clone()),
    }));
    Ok(steps)
}

/// How long the tasks of a stack may take: to pull their images, and to start as long as their health
/// checks allow.
fn start_patience(rendered: &RenderedStack) -> Duration {
    let start = rendered.services.iter().map(|s| s.requirements.start_limit);
    stack::DEPLOY_TIMEOUT + start.max().unwrap_or_default()
}

/// Returns the steps of [`deploy_subset_steps`] for a stack that nothing reaches from outside:
/// without published ports and without labels.
pub(super) async fn deploy_isolated_subset_steps(
    wanted: &DeployOptions<'_>,
    manager: &NodeHandle,
    fleet: &FleetContext,
    services: &[String],
) -> Result<Vec<Box<dyn Step>>, OpsError> {
    build_subset_steps(wanted, manager, fleet, services, true).await
}

/// Returns the steps that deploy a stack, or some of its services, closed as a rehearsal of `app` is:
/// nothing reaches it, and nothing of it gets out.
///
/// # Errors
/// One sentence: the stack can't be rendered.
pub(super) async fn deploy_rehearsal_steps(
    wanted: &DeployOptions<'_>,
    manager: &NodeHandle,
    fleet: &FleetContext,
    services: Option<&[String]>,
    app: &str,
) -> Result<Vec<Box<dyn Step>>, OpsError> {
    let file = merge_app_file(wanted, fleet)?;
    let mut rendered = render_app_stack(wanted, &file, fleet).await?;
    if let Some(services) = services {
        rendered.keep_services(services)?;
    }
    rendered.close_for_rehearsal(app)?;
    for service in &mut rendered.services {
        let label = (REHEARSAL_LABEL.to_owned(), app.to_owned());
        service.labels.extend([label]);
    }
    // They are about the edge, and stand in the plan of a deploy.
    rendered.notes.clear();
    steps_of_rendered(wanted.app, rendered, manager, fleet)
}

/// Returns the step that waits until an application answers under its domains; `None` when it has
/// no check.
pub(super) fn answer_step(
    rendered: &RenderedStack,
    fleet: &FleetContext,
) -> Result<Option<Box<dyn Step>>, OpsError> {
    let Some(check) = &rendered.check else {
        return Ok(None);
    };
    Ok(Some(Box::new(answers::WaitForAnswers {
        domains: rendered.domains.clone(),
        redirects: (rendered.domains.iter())
            .filter_map(|d| Some((d.clone(), rendered.redirect_of(d)?.clone())))
            .collect(),
        check: check.clone(),
        edge: matou_edge::EdgeEndpoints::load(&fleet.config, &fleet.nodes)?,
    })))
}

/// Returns the steps for what must be there before a stack: networks, folders, volumes, secrets.
fn prerequisite_steps(
    app: &str,
    rendered: &Arc<RenderedStack>,
    manager: &NodeHandle,
    fleet: &FleetContext,
    kept_comes_back: bool,
) -> Result<Vec<Box<dyn Step>>, OpsError> {
    let mut steps: Vec<Box<dyn Step>> = Vec::new();
    if !rendered.networks.is_empty() {
        steps.push(Box::new(network::EnsureNetworks {
            app: app.to_owned(),
            wanted: rendered.networks.clone(),
            edge: fleet.config.edge.network.clone(),
            kept_comes_back,
            store: secrets::SecretStore::open(fleet, app).ok(),
        }));
    }
    let folders: Vec<_> = rendered
        .volumes
        .named
        .iter()
        .filter_map(|(_, folder)| folder.clone())
        .collect();
    if !folders.is_empty() {
        let storage = fleet
            .nodes
            .get(&fleet.config.storage.node)
            .unwrap_or(manager);
        steps.push(Box::new(folders::EnsureVolumeFolders {
            host: storage.host.clone(),
            folders,
            optional: false,
        }));
    }
    for node in fleet.nodes.iter().filter(|_| !rendered.binds.is_empty()) {
        steps.push(Box::new(folders::EnsureVolumeFolders {
            host: node.host.clone(),
            folders: rendered.binds.clone(),
            optional: true,
        }));
    }
    if !rendered.volumes.definitions.is_empty() {
        steps.push(Box::new(volume_definitions::RedefineVolumes {
            app: app.to_owned(),
            rendered: rendered.clone(),
            nodes: fleet.nodes.clone(),
        }));
    }
    let has_secrets = !(rendered.secrets.is_empty()
        && rendered.file_secrets.is_empty()
        && rendered.configs.is_empty());
    let of_others = external_record::External::list_files(rendered);
    if !of_others.is_empty() {
        steps.push(Box::new(external_make::MakeExternals {
            app: app.to_owned(),
            wanted: of_others,
            kept_comes_back,
            store: secrets::SecretStore::open(fleet, app)?,
        }));
    }
    if has_secrets {
        steps.push(Box::new(secrets::EnsureSecrets {
            app: app.to_owned(),
            rendered: rendered.clone(),
            store: secrets::SecretStore::open(fleet, app)?,
        }));
    }
    Ok(steps)
}
