//! Subcommands about stack files and applications that are no jobs of their own.

use matou_i18n::tr;
use std::collections::BTreeMap;
use std::path::Path;
use std::process::ExitCode;

use clap::{Args, Subcommand};
use color_eyre::eyre::{Result, WrapErr, eyre};

use super::complete::{Names, complete};
use super::{Exit, job};
use matou_base::errln;
use matou_base::outln;
use matou_base::text::InvalidInput;
use matou_base::text::clean_line;
use matou_ops::{FleetContext, Request, ServiceVersions};
use matou_registry::VersionStep;
use matou_stack::{
    AppFile, AppName, EdgeSettings, LintSeverity, NameChanges, RenderTarget, RouteLabels, WwwName,
    migrate_file,
};

/// Below the help of `matou erase`.
pub(super) const ERASE_HELP: &str = "Nothing of it can be brought back: `matou export APP` first, when its owner wants the data.
Running it again goes on where it was interrupted. The record is erased/APP-DATE.txt beside config.toml.";

/// Below the help of `matou adopt`.
pub(super) const ADOPT_HELP: &str = "Deploying such a file unchanged changes nothing: `matou diff APP APP` says so. Secrets, configs, and networks and volumes from outside the stack stay where they are, and the file names them. What `docker stack deploy` can't say is told, and then nothing is written; docs/adopt.md lists it.";

pub(super) fn parse_routes(text: &str) -> Result<RouteLabels, InvalidInput> {
    match text {
        "keep" => Ok(RouteLabels::Keep),
        "migrate" => Ok(RouteLabels::Migrate),
        _ => Err(tr!("expected keep or migrate").into()),
    }
}

/// What can be switched for an application at the edge.
#[derive(Debug, Args)]
pub(crate) struct EdgeSettingsOptions {
    /// Security headers: HSTS and the like
    #[arg(long, value_name = "on|off", value_parser = parse_on_off)]
    headers: Option<bool>,
    /// Ask for a password: lines of htpasswd, `NAME:HASH`; `off` for none
    #[arg(long, value_name = "NAME:HASH", value_delimiter = ',')]
    basic_auth: Option<Vec<String>>,
    /// Requests a second that one address may make; 0 for no limit
    #[arg(long, value_name = "N")]
    rate_limit: Option<u32>,
}

/// Names that an application gets beside its main one, or loses.
#[derive(Debug, Args)]
pub(crate) struct NameOptions {
    /// Names under which it answers, too
    #[arg(long, value_name = "NAME", value_delimiter = ',')]
    alias: Vec<String>,
    /// Names that lead to its main one, with path and query
    #[arg(long, value_name = "NAME", value_delimiter = ',')]
    redirect: Vec<String>,
    /// What becomes of www. before its main name (or of that without www.)
    #[arg(long, value_name = "redirect|answer|none")]
    www: Option<WwwName>,
}

impl NameOptions {
    pub(super) fn to_changes(&self, dropped: &[String]) -> NameChanges {
        NameChanges {
            aliases: self.alias.clone(),
            redirects: self.redirect.clone(),
            dropped: dropped.to_vec(),
            www: self.www,
            ..NameChanges::default()
        }
    }

    /// Whether nothing was given.
    pub(super) fn is_empty(&self) -> bool {
        self.to_changes(&[]) == NameChanges::default()
    }
}

fn parse_on_off(text: &str) -> Result<bool, InvalidInput> {
    match text {
        "on" => Ok(true),
        "off" => Ok(false),
        _ => Err(tr!("expected on or off").into()),
    }
}

impl EdgeSettingsOptions {
    pub(super) fn to_edge_settings(&self) -> EdgeSettings {
        let off = |users: &Vec<String>| users.iter().all(|u| u == "off");
        EdgeSettings {
            headers: self.headers,
            basic_auth: self.basic_auth.clone().map(|users| match off(&users) {
                true => Vec::new(),
                false => users,
            }),
            rate_limit: self.rate_limit,
        }
    }
}

#[derive(Debug, Subcommand)]
pub(crate) enum SecretCommand {
    /// List them (the default)
    List,
    /// Print the value of one
    Show {
        /// Name of the secret
        #[arg(add = complete(Names::Secrets))]
        name: String,
    },
    /// Give one a new value, and deploy with it
    Rotate {
        /// Name of the secret
        #[arg(add = complete(Names::Secrets))]
        name: String,
        #[command(flatten)]
        options: job::JobOptions,
    },
}

pub(super) async fn run_secrets_command(
    fleet: &FleetContext,
    app: &AppName,
    what: Option<&SecretCommand>,
) -> Result<ExitCode> {
    match what {
        None | Some(SecretCommand::List) => {
            let kept = matou_ops::read_secret_versions(fleet, app).await;
            let kept = kept?;
            if kept.is_empty() {
                matou_ops::check_app_is_known(fleet, app).await?;
                errln!("{}", tr!("no secret of {app} is kept"));
            }
            for (name, version) in kept {
                outln!("{name} version {version}")?;
            }
            Ok(Exit::Done.into())
        }
        Some(SecretCommand::Show { name }) => {
            let value = matou_ops::read_secret(fleet, app, name).await;
            let value = value?;
            matou_base::out::print_value(secrecy::ExposeSecret::expose_secret(&value))?;
            Ok(Exit::Done.into())
        }
        Some(SecretCommand::Rotate { name, options }) => {
            let request = Request::Redeploy {
                app: app.clone(),
                variables: Default::default(),
                switches: EdgeSettings::default(),
                names: Default::default(),
                rotate: vec![name.clone()],
            };
            job::run_request(fleet, request, options).await
        }
    }
}

/// Builds the request that deploys `to` like `app`, with some variables changed.
pub(super) fn build_clone_request(
    fleet: &FleetContext,
    app: &AppName,
    to: &AppName,
    variables: &[(String, String)],
) -> Result<Request> {
    let folder = fleet.config.folder();
    let folder =
        folder.ok_or_else(|| eyre!("{}", tr!("without config.toml no application has a file")))?;
    let file = AppFile::load(&folder, app)?.ok_or_else(|| {
        let known = AppFile::list_names(&folder);
        let known = known.iter().map(|name| name.as_str());
        matou_config::unknown_name(tr!("file in apps/ for"), app, known)
    })?;
    if AppFile::load(&folder, to)?.is_some() {
        return Err(eyre!(
            "{}",
            tr!("{to} has a file in apps/ already: `matou redeploy {to}` goes by it")
        ));
    }
    let mut all = file.variables;
    all.extend(variables.iter().cloned());
    Ok(Request::Deploy {
        stack: file.stack,
        app: to.clone(),
        variables: all,
        names: Default::default(),
    })
}

/// Carries out `matou lint`: prints the findings. Errors make it fail, warnings do not.
pub(super) fn run_lint_command(
    fleet: &FleetContext,
    stacks: &[String],
    json: bool,
) -> Result<ExitCode> {
    let all: Vec<String> = match stacks {
        [] => fleet
            .catalogue
            .list_entries()
            .into_iter()
            .map(|e| e.name)
            .collect(),
        some => some.to_vec(),
    };
    let target = RenderTarget::for_fleet(&fleet.config);
    let mut findings = Vec::new();
    for stack in &all {
        let found = fleet.catalogue.lint_stack(stack, &target)?;
        if !json {
            for finding in &found {
                matou_base::out::print_hanging(format_args!("{finding}"))?;
            }
        }
        findings.extend(found);
    }
    if json {
        matou_base::out::print_json_pretty(&findings)?;
    }
    let failed = findings.iter().any(|f| f.severity == LintSeverity::Error);
    Ok(match failed {
        true => Exit::Failed.into(),
        false => Exit::Done.into(),
    })
}

pub(super) async fn run_migrate_command(
    fleet: &FleetContext,
    file: &Path,
    write: bool,
) -> Result<ExitCode> {
    let text = matou_base::files::read_text(file, matou_base::files::MAX_CONFIG_BYTES)
        .wrap_err_with(|| tr!("{} can't be read", file.display()))?;
    let name = file.file_stem().unwrap_or_default().to_string_lossy();
    let shown = file.display().to_string();
    let (new, notes) = migrate_file(&shown, &text, &name, &fleet.config.edge.resolver)?;
    for note in notes {
        matou_base::out::note_hanging(format_args!("{note}"));
    }
    match (write, new == text) {
        (true, true) => errln!("{}", tr!("{shown}: nothing to do")),
        (true, false) => {
            use std::os::unix::fs::PermissionsExt;
            let mode = file.metadata()?.permissions().mode() & 0o777;
            write_migrated(fleet, file, new, mode)
                .await
                .wrap_err_with(|| tr!("{shown} can't be written"))?;
            errln!(
                "{}",
                tr!("{shown}: labels of Traefik 1 rewritten for Traefik 3")
            );
        }
        (false, _) => matou_base::out::print_file(&new)?,
    }
    Ok(Exit::Done.into())
}

/// Writes a file again; one of the fleet folder with a commit, where its history is kept.
async fn write_migrated(fleet: &FleetContext, file: &Path, text: String, mode: u32) -> Result<()> {
    let whole = file.canonicalize()?;
    let folder = fleet.folder();
    let inside = folder.and_then(|folder| {
        let root = folder.path().canonicalize().ok()?;
        let name = whole.strip_prefix(root).ok()?;
        Some((name.to_str()?.to_owned(), folder))
    });
    let Some((name, folder)) = inside else {
        return Ok(matou_base::files::write_atomically(
            file,
            text.as_bytes(),
            mode,
        )?);
    };
    let reason = matou_history::Reason {
        title: tr!("labels of Traefik 1 in {name} rewritten for Traefik 3"),
        lines: Vec::new(),
    };
    let change = matou_history::FileChange::Write {
        name,
        content: text.into_bytes(),
        mode,
    };
    for note in folder.change(&[change], &reason).await? {
        matou_base::out::note_hanging(format_args!("{note}"));
    }
    Ok(())
}

/// Shown under `matou update --help`.
pub(super) const UPDATE_HELP: &str = "Without --to it lists: the newest of each minor version, and the next major version; and the version that the application names itself, where its stack says how it is asked.\nRegistries are asked by this machine, with what `docker login` stored here.\n--rehearse restores the newest snapshot beside the application, in a network that leads nowhere, updates that copy, asks it, reads its log and removes it. Exit code 1: the update would fail.";

/// What is asked for of the images of an application.
pub(super) struct UpdateWish<'a> {
    /// A tag, or `newest`.
    pub to: Option<&'a str>,
    pub service: Option<&'a str>,
    /// It is tried on a copy.
    pub rehearse: bool,
}

/// Carries out `matou update`: lists newer versions, deploys one, or rehearses that.
pub(super) async fn run_update_command(
    fleet: &FleetContext,
    app: &AppName,
    wish: &UpdateWish<'_>,
    options: &job::JobOptions,
) -> Result<ExitCode> {
    let service = wish.service;
    let to = wish.to.or(wish.rehearse.then_some("newest"));
    let mut all = matou_ops::query_newer_versions(fleet, app).await?;
    if let Some(service) = service {
        let names: Vec<String> = all.iter().map(|s| s.service.clone()).collect();
        all.retain(|s| s.service == service);
        if all.is_empty() {
            let names = names.iter().map(String::as_str);
            let kind = tr!("service of {app}");
            return Err(matou_config::unknown_name(&kind, service, names).into());
        }
    }
    let Some(to) = to else {
        if options.wants_json() {
            let own = matou_ops::query_own_version(fleet, app).await;
            return print_versions_as_json(&all, own.ok().flatten());
        }
        print_own_version(fleet, app).await?;
        return print_newer_versions(app, &all, options);
    };
    let mut images = BTreeMap::new();
    for found in &all {
        let tag = match &found.newer {
            // The newest of the same major version.
            Ok(newer) if to == "newest" => {
                let newest = newer.iter().find(|n| n.step != VersionStep::Major);
                newest.map(|n| n.tag.as_str())
            }
            Ok(newer) => newer.iter().map(|n| n.tag.as_str()).find(|t| *t == to),
            Err(_) => None,
        };
        // With `--service`, the tag need not be listed: the registry may be out of reach.
        let tag = tag.or((service.is_some() && to != "newest").then_some(to));
        if let Some(image) = tag.and_then(|t| found.image_with_tag(t)) {
            images.insert(found.service.clone(), image);
        }
    }
    if images.is_empty() {
        if to == "newest" && all.iter().all(|s| s.newer.is_ok()) {
            outln!("{}", tr!("{app} has the newest of its major versions"))?;
            return Ok(Exit::Done.into());
        }
        print_newer_versions(app, &all, options)?;
        return Err(eyre!(
            "{}",
            tr!(
                "no image of {app} can go to {to}: choose one that is listed, or name the service with --service"
            )
        ));
    }
    if to != "newest" && images.len() > 1 {
        let names: Vec<&str> = images.keys().map(String::as_str).collect();
        return Err(eyre!(
            "{}",
            tr!(
                "{to} may be meant for {}: say which with --service",
                names.join(tr!(" or "))
            )
        ));
    }
    let app = app.clone();
    match wish.rehearse {
        true => run_rehearsal(fleet, app, images, options).await,
        false => job::run_request(fleet, Request::Update { app, images }, options).await,
    }
}

/// Rehearses an update; with `--json` the report is the last line.
async fn run_rehearsal(
    fleet: &FleetContext,
    app: AppName,
    images: BTreeMap<String, String>,
    options: &job::JobOptions,
) -> Result<ExitCode> {
    let begun = jiff::Timestamp::now();
    let request = Request::Rehearse {
        app: app.clone(),
        images,
    };
    let code = job::run_request_at_once(fleet, request, options).await?;
    if options.wants_json()
        && let Some(report) = matou_ops::read_rehearsal_report(fleet, &app).await?
        && report.at >= begun
    {
        matou_base::out::print_json_line(&serde_json::json!({ "rehearsal": report }))?;
    }
    Ok(code)
}

/// A service with its newer versions, and what its application says of itself.
#[derive(serde::Serialize)]
struct WrittenVersions<'a> {
    #[serde(flatten)]
    service: &'a ServiceVersions,
    /// The version that the application names itself; absent where it was not asked.
    #[serde(skip_serializing_if = "Option::is_none")]
    own_version: Option<&'a str>,
}

fn print_versions_as_json(
    all: &[ServiceVersions],
    own: Option<matou_ops::OwnVersion>,
) -> Result<ExitCode> {
    let own = own.as_ref().map(|own| own.version.as_str());
    let written = all.iter().map(|service| WrittenVersions {
        service,
        own_version: own,
    });
    matou_base::out::print_json_line(&written.collect::<Vec<_>>())?;
    Ok(exit_of_versions(all).into())
}

/// Returns the exit code of a list of newer versions: it failed where of an image nothing could be found out.
fn exit_of_versions(all: &[ServiceVersions]) -> Exit {
    match all.iter().all(|found| found.newer.is_ok()) {
        true => Exit::Done,
        false => Exit::Failed,
    }
}

/// Prints the version that an application names itself, and how it is updated where a newer image does
/// not do that.
async fn print_own_version(fleet: &FleetContext, app: &AppName) -> Result<()> {
    match matou_ops::query_own_version(fleet, app).await {
        Ok(Some(own)) => {
            outln!("{}", tr!("{app} says itself that it is {}", own.version))?;
            if own.updates_itself {
                outln!("{}", tr!("  {}: `matou update {app} --itself`", own.how))?;
            }
        }
        Ok(None) => {}
        Err(e) => matou_base::out::note_hanging(tr!("warning: {e}")),
    }
    Ok(())
}

fn print_newer_versions(
    app: &str,
    all: &[ServiceVersions],
    options: &job::JobOptions,
) -> Result<ExitCode> {
    if options.wants_json() {
        matou_base::out::print_json_line(all)?;
        return Ok(exit_of_versions(all).into());
    }
    for found in all {
        outln!(
            "{app}_{}  {}",
            clean_line(&found.service),
            clean_line(&found.image)
        )?;
        let line = matou_stack::find_release_line(&found.image, jiff::Timestamp::now());
        if let Some(line) = line.filter(|line| line.is_over) {
            outln!("  ! {}", line.describe())?;
        }
        match &found.newer {
            Err(reason) => {
                matou_base::out::print_hanging(format_args!("  ? {reason}"))?;
            }
            Ok(newer) if newer.is_empty() => outln!("{}", tr!("  = nothing newer of this kind"))?,
            Ok(newer) => {
                for version in newer {
                    let warning = match version.step {
                        VersionStep::Major => tr!("  (read its release notes, back up first)"),
                        _ => "",
                    };
                    outln!("  + {:<24} {}{warning}", version.tag, version.step.label())?;
                }
            }
        }
    }
    Ok(exit_of_versions(all).into())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_image_of_which_nothing_is_known_is_a_failure() {
        let found = |newer| ServiceVersions {
            service: "web".into(),
            image: "x:1".into(),
            newer,
        };
        let known = found(Ok(Vec::new()));
        assert_eq!(exit_of_versions(std::slice::from_ref(&known)), Exit::Done);
        let silent = found(Err("its registry does not answer".into()));
        assert_eq!(exit_of_versions(&[known, silent]), Exit::Failed);
    }
}
