//! Deploying a stack as an application: checks, what it needs made first, the stack itself, its
//! tasks, its file, its answer.

mod answers;
mod before;
mod definitions;
mod file;
mod folders;
mod generated;
mod network;
mod placed;
mod room;
pub(super) mod secrets;
pub(super) mod stack;
mod versions;

use std::collections::BTreeMap;
use std::sync::Arc;
use std::time::Duration;

use super::context::Context;
use super::request::Request;
use super::tasks::{TasksRun, Whose};
use crate::docker::NodeHandle;
use crate::job::{Change, ChangeKind, Check, Step};
use crate::stack::{AppFile, Rendered, Switches, Target};

pub(super) use before::resolve;

/// How long pulling images and starting tasks may take.
const PATIENCE: Duration = Duration::from_secs(900);

/// Images as they are.
pub(super) static SAME_IMAGES: BTreeMap<String, String> = BTreeMap::new();

/// What is asked for; what an application's file says already need not be said again.
pub(super) struct Wanted<'a> {
    pub stack: Option<&'a str>,
    pub app: &'a str,
    pub variables: &'a BTreeMap<String, String>,
    pub switches: Switches,
    /// Secrets that get a new value.
    pub rotate: &'a [String],
    /// New images, by service.
    pub images: &'a BTreeMap<String, String>,
    /// A new place; `Some(None)` takes away the one it has.
    pub place: Option<Option<String>>,
}

/// The steps of a request that deploys.
///
/// # Errors
/// One sentence: what is wrong with the request, the stack or the application's file.
pub(super) async fn of(
    request: &Request,
    manager: &NodeHandle,
    cx: &Context,
) -> Result<Vec<Box<dyn Step>>, String> {
    let (none, nothing) = (BTreeMap::new(), Vec::new());
    let mut wanted = Wanted {
        stack: None,
        app: "",
        variables: &none,
        switches: Switches::default(),
        rotate: &nothing,
        images: &SAME_IMAGES,
        place: None,
    };
    match request {
        Request::Deploy {
            stack,
            app,
            variables,
        } => {
            (wanted.stack, wanted.app) = (Some(stack.as_str()), app);
            wanted.variables = variables;
        }
        Request::Redeploy {
            app,
            variables,
            switches,
            rotate,
        } => {
            (wanted.app, wanted.variables) = (app, variables);
            (wanted.switches, wanted.rotate) = (switches.clone(), rotate);
        }
        Request::Update { app, images } => (wanted.app, wanted.images) = (app, images),
        Request::Place { app, to } => {
            wanted.app = app;
            wanted.place = Some(match to {
                Some(to) => Some(host_name(to, manager, cx).await?),
                None => None,
            });
        }
        _ => unreachable!("no other request deploys"),
    }
    steps(&wanted, manager, cx).await
}

/// The host name of a node that goes by its name in config.toml.
async fn host_name(place: &str, manager: &NodeHandle, cx: &Context) -> Result<String, String> {
    if place.contains('=') || cx.nodes.get(place).is_none() {
        return Ok(place.to_owned());
    }
    let swarm = manager.docker.swarm().await.map_err(|e| e.to_string())?;
    let mut nodes = swarm.nodes.iter();
    let found = nodes.find(|n| cx.nodes.name_of(&swarm, &n.id).as_deref() == Some(place));
    Ok(found.map_or_else(|| place.to_owned(), |n| n.hostname.clone()))
}

/// What an application's file and the request say together.
pub(super) fn app_file(wanted: &Wanted<'_>, cx: &Context) -> Result<AppFile, String> {
    let folder = cx.config.folder();
    let old = match &folder {
        Some(folder) => AppFile::load(folder, wanted.app).map_err(|e| e.to_string())?,
        None => None,
    };
    let mut file = match (old, wanted.stack) {
        (Some(old), None) => old,
        (Some(old), Some(stack)) if old.stack == stack => old,
        (_, Some(stack)) => AppFile {
            stack: stack.to_owned(),
            ..AppFile::default()
        },
        (None, None) => {
            return Err(format!(
                "{0} has no apps/{0}.toml beside config.toml, which would say what stack it is made from: `matou deploy STACK {0}` writes it",
                wanted.app
            ));
        }
    };
    file.variables.extend(wanted.variables.clone());
    for (service, image) in wanted.images {
        let variable = cx
            .catalogue
            .image_variable(&file.stack, service)
            .map_err(|e| e.to_string())?;
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
    let new = wanted.switches.clone();
    file.edge.headers = new.headers.or(file.edge.headers);
    file.edge.basic_auth = new.basic_auth.or(file.edge.basic_auth);
    file.edge.rate_limit = new.rate_limit.or(file.edge.rate_limit);
    Ok(file)
}

/// The stack as it will be deployed, with the versions of its secrets read from the fleet.
pub(super) async fn rendered(
    wanted: &Wanted<'_>,
    file: &AppFile,
    cx: &Context,
) -> Result<Rendered, String> {
    let extension = cx
        .catalogue
        .extension(&file.stack)
        .map_err(|e| e.to_string())?;
    let mut versions = BTreeMap::new();
    if !extension.secrets.is_empty() {
        versions = secrets::Store::of(cx, wanted.app)?.versions().await?;
    }
    for name in wanted.rotate {
        let spec = extension.secrets.iter().find(|s| s.name == *name);
        let spec = spec.ok_or_else(|| {
            let names: Vec<&str> = extension.secrets.iter().map(|s| s.name.as_str()).collect();
            format!(
                "{} makes no secret {name:?}: it has {}",
                file.stack,
                names.join(", ")
            )
        })?;
        if spec.keep {
            return Err(format!(
                "{name} is not rotated: what the application stored can't be read without it ({})",
                spec.help
            ));
        }
        *versions.entry(name.clone()).or_insert(1) += 1;
    }
    let mut target = Target {
        secrets: versions,
        switches: file.edge.clone(),
        images: file.images.clone(),
        place: file.place.clone(),
        ..Target::of(&cx.config)
    };
    let render = |target: &Target<'_>| {
        cx.catalogue
            .render(&file.stack, wanted.app, &file.variables, target)
            .map_err(|e| e.to_string())
    };
    let rendered = render(&target)?;
    if !extension.generated {
        return Ok(rendered);
    }
    target.files = generated::files(cx, wanted.app, &rendered).await?;
    render(&target)
}

/// The steps that deploy a stack and wait until it answers.
pub(super) async fn steps(
    wanted: &Wanted<'_>,
    manager: &NodeHandle,
    cx: &Context,
) -> Result<Vec<Box<dyn Step>>, String> {
    let file = app_file(wanted, cx)?;
    let rendered = Arc::new(rendered(wanted, &file, cx).await?);
    let app = wanted.app.to_owned();
    let mut steps: Vec<Box<dyn Step>> = vec![Box::new(before::Before {
        app: app.clone(),
        rendered: rendered.clone(),
        nodes: cx.nodes.clone(),
    })];
    if let Some(place) = &file.place {
        steps.push(Box::new(placed::Placed {
            app: app.clone(),
            place: place.clone(),
            rendered: rendered.clone(),
        }));
    }
    steps.extend(made_first(&app, &rendered, manager, cx)?);
    steps.push(Box::new(stack::DeployStack {
        app: app.clone(),
        rendered: rendered.clone(),
    }));
    steps.push(Box::new(TasksRun {
        whose: Whose::Stack(app.clone()),
        patience: PATIENCE,
    }));
    if let Some(folder) = cx.config.folder() {
        steps.push(Box::new(file::WriteFile {
            path: AppFile::path(&folder, &app),
            text: file.text(),
        }));
    }
    if cx.config.folder().is_some() && cx.config.backup.primary().is_some() {
        steps.push(Box::new(file::ForTheNight {
            app: app.clone(),
            cx: cx.clone(),
        }));
    }
    steps.extend(answers(&rendered, cx)?);
    Ok(steps)
}

/// The steps that deploy a stack with tasks of some of its services only (named without the
/// application's name); [`steps`] gives the others theirs.
pub(super) async fn some(
    wanted: &Wanted<'_>,
    manager: &NodeHandle,
    cx: &Context,
    services: &[String],
) -> Result<Vec<Box<dyn Step>>, String> {
    part(wanted, manager, cx, services, false).await
}

async fn part(
    wanted: &Wanted<'_>,
    manager: &NodeHandle,
    cx: &Context,
    services: &[String],
    shut: bool,
) -> Result<Vec<Box<dyn Step>>, String> {
    let file = app_file(wanted, cx)?;
    let mut rendered = rendered(wanted, &file, cx).await?;
    rendered.only(services).map_err(|e| e.to_string())?;
    if shut {
        rendered.shut().map_err(|e| e.to_string())?;
    }
    let app = wanted.app.to_owned();
    let rendered = Arc::new(rendered);
    let mut steps = made_first(&app, &rendered, manager, cx)?;
    steps.push(Box::new(stack::DeployStack {
        app: app.clone(),
        rendered,
    }));
    steps.push(Box::new(TasksRun {
        whose: Whose::Stack(app),
        patience: PATIENCE,
    }));
    Ok(steps)
}

/// The same, cut off from the outside: no ports, no labels.
pub(super) async fn shut(
    wanted: &Wanted<'_>,
    manager: &NodeHandle,
    cx: &Context,
    services: &[String],
) -> Result<Vec<Box<dyn Step>>, String> {
    part(wanted, manager, cx, services, true).await
}

/// The step that asks an application under its domains, when it has a check.
pub(super) fn answers(rendered: &Rendered, cx: &Context) -> Result<Option<Box<dyn Step>>, String> {
    let Some(check) = &rendered.check else {
        return Ok(None);
    };
    Ok(Some(Box::new(answers::Answers {
        domains: rendered.domains.clone(),
        check: check.clone(),
        edge: crate::edge::Edge::of(&cx.config, &cx.nodes)?,
    })))
}

/// Networks, folders and secrets of a stack.
fn made_first(
    app: &str,
    rendered: &Arc<Rendered>,
    manager: &NodeHandle,
    cx: &Context,
) -> Result<Vec<Box<dyn Step>>, String> {
    let mut steps: Vec<Box<dyn Step>> = Vec::new();
    if !rendered.networks.is_empty() {
        steps.push(Box::new(network::Networks {
            wanted: rendered.networks.clone(),
            edge: cx.config.edge.network.clone(),
        }));
    }
    let folders: Vec<_> = rendered
        .volumes
        .named
        .iter()
        .filter_map(|(_, folder)| folder.clone())
        .collect();
    if !folders.is_empty() {
        let storage = cx.nodes.get(&cx.config.storage.node).unwrap_or(manager);
        steps.push(Box::new(folders::Folders {
            host: storage.host.clone(),
            folders,
            optional: false,
        }));
    }
    for node in cx.nodes.iter().filter(|_| !rendered.binds.is_empty()) {
        steps.push(Box::new(folders::Folders {
            host: node.host.clone(),
            folders: rendered.binds.clone(),
            optional: true,
        }));
    }
    if !rendered.volumes.definitions.is_empty() {
        steps.push(Box::new(definitions::Definitions {
            app: app.to_owned(),
            rendered: rendered.clone(),
            nodes: cx.nodes.clone(),
        }));
    }
    let has_secrets = !(rendered.secrets.is_empty()
        && rendered.file_secrets.is_empty()
        && rendered.configs.is_empty());
    if has_secrets {
        steps.push(Box::new(secrets::Secrets {
            app: app.to_owned(),
            rendered: rendered.clone(),
            store: secrets::Store::of(cx, app)?,
        }));
    }
    Ok(steps)
}

/// A step's lines: done when none of them is a change.
fn changed(lines: Vec<Change>) -> Check {
    match lines.iter().all(|l| l.kind == ChangeKind::Same) {
        true => Check::Done(lines),
        false => Check::Change(lines),
    }
}
