//! Moving applications, or all of a fleet, to other servers: copied through the backup repository
//! while they run, then stopped, what changed since copied, and started there. The old servers keep
//! volumes and secrets.

mod app;
mod copy_pass;
mod cutover;
mod fleets;

use matou_i18n::tr;
use std::path::Path;
use std::sync::Arc;

use super::FleetContext;
use super::recover::{CheckAppsBack, RecoveryFindings};
use crate::OpsError;
use matou_base::text::InvalidInput;
use matou_config::Config;
use matou_job::{Confirm, Job, LockRequest, Stage, StagePhase, Track};
use matou_provision as provision;
use matou_stack::{AppFile, AppName, RenderTarget, RenderedStack};

use app::AppMove;
use fleets::MoveFleets;

/// Makes the job that moves applications to the fleet of another config.toml. When none is named,
/// it moves all, and provisions the servers of that fleet first.
///
/// # Errors
/// One sentence: the other file is wrong or of the same servers, the repository can't be reached from
/// there, an application has no file.
pub async fn build_move_job(
    cx: &FleetContext,
    apps: &[AppName],
    to: &Path,
    findings: &RecoveryFindings,
) -> Result<Job, OpsError> {
    let filed = cx.config.folder();
    let filed = filed.map_or_else(Vec::new, |f| AppFile::list_names(&f));
    if let Some(app) = apps.iter().find(|app| !filed.contains(app)) {
        let names = filed.iter().map(|name| name.as_str());
        return Err(matou_config::unknown_name(tr!("file in apps/ for"), app, names).into());
    }
    let mut config = Config::load(Some(to)).map_err(InvalidInput::new)?;
    if let Some(dns) = &mut config.dns {
        dns.predecessor = Some(cx.config.fleet.name.clone());
    }
    let new = FleetContext::open(config).map_err(|e| format!("{e:#}"))?;
    let fleets = pair_fleets(cx, new, findings)?;
    let folder = cx.config.folder();
    let folder = folder.ok_or(tr!("without config.toml there is no application to move"))?;
    let names = match apps {
        [] => AppFile::list_names(&folder)
            .into_iter()
            .filter(|app| {
                !AppFile::load(&folder, app).is_ok_and(|f| f.is_some_and(|f| f.removed.is_some()))
            })
            .collect(),
        some => some.to_vec(),
    };
    if names.is_empty() {
        return Err(OpsError::failed(tr!(
            "{} holds no application",
            folder.join("apps").display()
        )));
    }
    let mut moving = Vec::new();
    for name in names {
        let rendered = render_moved_app(cx, &folder, &name)?;
        // The old edge serves what is still there.
        let edge = rendered.ports.iter().any(|(port, _)| *port == 443);
        moving.push((edge, AppMove::new(&fleets, &name, edge), rendered));
    }
    moving.sort_by_key(|(edge, ..)| !edge);
    let domains: Vec<_> = moving
        .iter()
        .map(|(_, m, r)| (m.app.to_string(), r.domains.clone()))
        .collect();
    let moving: Vec<Arc<AppMove>> = moving.into_iter().map(|(_, m, _)| Arc::new(m)).collect();
    let confirm = match apps {
        [one] => Confirm::TypeName(one.to_string()),
        _ => Confirm::TypeName(cx.config.fleet.name.clone()),
    };
    let mut job = match apps {
        [] => provision::provision_job(
            &fleets.new.config,
            &fleets.new.nodes,
            &provision::ProvisionOptions::default(),
        )?,
        _ => Job::new("", confirm.clone(), Vec::new()),
    };
    job.title = crate::request::move_title(apps, to);
    job.confirm = confirm;
    // On both sides: neither may be deployed, removed or restored meanwhile.
    let apps = || moving.iter().map(|m| m.app.clone());
    job.holds = [&fleets.old_storage, &fleets.new_storage]
        .map(|storage| LockRequest::for_apps(&storage.host, apps()))
        .into();
    job.lock = true;
    job.lock_all = true;
    job.stages
        .extend(move_stages(&fleets, moving, domains, findings));
    Ok(job)
}

/// Makes the stages of the move itself: what is copied while the old fleet serves, the switch, and
/// whether everything answers.
fn move_stages(
    fleets: &MoveFleets,
    moving: Vec<Arc<AppMove>>,
    domains: Vec<(String, Vec<String>)>,
    findings: &RecoveryFindings,
) -> Vec<Stage> {
    let mut stages = Vec::new();
    let mut stage = |title: &str, phase, tracks| {
        stages.push(Stage {
            title: title.into(),
            phase,
            tracks,
        });
    };
    let first = copy_pass::CopyPass {
        apps: moving.clone(),
        fleets: fleets.clone(),
    };
    let old = Track {
        // Names of nodes may be the same in both fleets.
        node: tr!("{} of the old fleet", fleets.old_storage.config.name),
        ..Track::on_node(
            &fleets.old_storage,
            vec![Box::new(copy_pass::CheckOldFleet(fleets.clone()))],
        )
    };
    stage(tr!("old fleet"), StagePhase::FirstPass, vec![old]);
    stage(
        tr!("first pass"),
        StagePhase::FirstPass,
        vec![Track::on_node(&fleets.new_storage, vec![Box::new(first)])],
    );
    let switch = cutover::Cutover {
        apps: moving,
        fleets: fleets.clone(),
    };
    stage(
        tr!("switch"),
        StagePhase::Switch,
        vec![Track::on_node(&fleets.new_storage, vec![Box::new(switch)])],
    );
    let back = CheckAppsBack {
        apps: domains,
        fleet: fleets.new.clone(),
        findings: findings.clone(),
    };
    stage(
        tr!("checks"),
        StagePhase::Checks,
        vec![Track::on_node(&fleets.new_storage, vec![Box::new(back)])],
    );
    stages
}

fn pair_fleets(
    old: &FleetContext,
    new: FleetContext,
    findings: &RecoveryFindings,
) -> Result<MoveFleets, OpsError> {
    let addresses = |cx: &FleetContext| -> Vec<String> {
        let nodes = cx.nodes.iter();
        nodes
            .filter_map(|n| n.ssh_address().map(str::to_owned))
            .collect()
    };
    let ours = addresses(old);
    if let Some(both) = addresses(&new).into_iter().find(|a| ours.contains(a)) {
        return Err(OpsError::failed(tr!(
            "{both} is a server of both fleets: the other config.toml has to name other servers"
        )));
    }
    let storage = |cx: &FleetContext, which: &str| {
        let name = &cx.config.storage.node;
        let node = cx.nodes.get(name).cloned();
        node.ok_or_else(|| {
            tr!("[storage] node = {name:?} of the {which} fleet is not among its nodes")
        })
    };
    let repository = old.config.backup.primary_repository();
    let repository = repository.ok_or(tr!(
        "applications move through the backup repository: add [backup] to config.toml"
    ))?;
    if let Some(folder) = repository.local_folder() {
        return Err(OpsError::failed(tr!(
            "the repository {} lies on the old storage node, where the new servers can't reach it: an application moves through one on S3, SFTP, rclone or a REST server",
            folder.display()
        )));
    }
    Ok(MoveFleets {
        old_storage: storage(old, tr!("old"))?,
        new_storage: storage(&new, tr!("new"))?,
        repository: repository.clone(),
        old: old.clone(),
        new,
        findings: findings.clone(),
    })
}

fn render_moved_app(
    fleet: &FleetContext,
    folder: &Path,
    app: &str,
) -> Result<RenderedStack, OpsError> {
    let file = AppFile::load(folder, app)?;
    let file = file.ok_or_else(|| {
        tr!(
            "{app} has no apps/{app}.toml beside config.toml: nothing says what it is deployed from"
        )
    })?;
    let target = RenderTarget::for_app(&fleet.config, &file);
    let rendered = fleet
        .catalogue
        .render_stack(&file.stack, app, &file.variables, &target);
    Ok(rendered?)
}
