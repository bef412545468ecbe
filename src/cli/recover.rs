//! `matou recover` and `matou drill`.

use matou_i18n::{tr, trn};
use std::collections::BTreeMap;
use std::path::{Path, PathBuf};
use std::process::ExitCode;

use clap::Args;
use color_eyre::eyre::{Result, WrapErr, bail, eyre};

use super::french::load_config;
use super::{Exit, job};
use matou_backup::FleetId;
use matou_base::errln;
use matou_base::outln;
use matou_config::RepositoryConfig;
use matou_job::Job;
use matou_ops::{FleetContext, OpsError, Request, list_primary_snapshots, recover};
use matou_recover::{
    BootstrapOptions, DrillOptions, NewServer, RecoveryKind, RecoveryReport, Timeline,
    bootstrap_fleet_folder, check_drill, list_recovery_reports, run_drill,
};
use matou_stack::AppFile;

/// What `matou recover` needs when there is no config.toml: it is in the repository.
#[derive(Debug, Args)]
pub(crate) struct RecoverOptions {
    /// The repository, as restic names it: config.toml and apps/ are taken out of it
    #[arg(long, value_name = "REPOSITORY", requires = "password_file")]
    repository: Option<String>,
    /// File with the repository's password, mode 0600
    #[arg(long, value_name = "FILE", requires = "repository")]
    password_file: Option<PathBuf>,
    /// NAME=VALUE lines with the repository's credentials
    #[arg(long, value_name = "FILE", requires = "repository")]
    environment_file: Option<PathBuf>,
    /// The new servers: ADDRESS, or NODE=ADDRESS
    #[arg(
        long,
        value_name = "SERVER",
        value_delimiter = ',',
        requires = "repository"
    )]
    nodes: Vec<NewServer>,
    /// Which fleet, when the repository holds several: its name, or its id
    #[arg(long, value_name = "FLEET", requires = "repository")]
    fleet: Option<String>,
    /// Empty folder that config.toml and apps/ are written to [default: .]
    #[arg(long, value_name = "FOLDER", requires = "repository")]
    into: Option<PathBuf>,
    /// User of the new servers
    #[arg(long, requires = "repository")]
    user: Option<String>,
    /// SSH key of the new servers
    #[arg(long, value_name = "FILE", requires = "repository")]
    identity: Option<PathBuf>,
    /// Known host keys of the new servers
    #[arg(long, value_name = "FILE", requires = "repository")]
    known_hosts: Option<PathBuf>,
    /// Store the host keys of the new servers without comparing them with anything
    #[arg(long, requires = "repository", conflicts_with = "known_hosts")]
    accept_new_host_keys: bool,
    #[allow(
        rustdoc::broken_intra_doc_links,
        reason = "a help text, where a backslash would be shown"
    )]
    /// Your own settings, as in config.toml: those that are not taken from a repository ([ssh]
    /// config_file, copies, receivers, …); they go over what is taken
    #[arg(long, value_name = "FILE", requires = "repository")]
    settings: Option<PathBuf>,
    #[command(flatten)]
    job: job::JobOptions,
}

impl RecoverOptions {
    /// Whether config.toml is taken from the repository.
    pub(super) fn is_from_repository(&self) -> bool {
        self.repository.is_some()
    }

    /// Takes config.toml and apps/ from the repository. Returns the path of config.toml and the id
    /// of the fleet.
    async fn take_config_from_repository(&self) -> Result<(PathBuf, Option<FleetId>)> {
        let absolute = |path: &PathBuf| {
            std::path::absolute(path).wrap_err_with(|| format!("{}", path.display()))
        };
        let folder = absolute(&self.into.clone().unwrap_or_else(|| ".".into()))?;
        let mut ssh = Vec::new();
        let mut set = |key, value: Option<String>| {
            if let Some(value) = value {
                ssh.push((key, value));
            }
        };
        let path = |p: &Option<PathBuf>| -> Result<Option<String>> {
            let path = p.as_ref().map(absolute).transpose()?;
            Ok(path.map(|p| p.display().to_string()))
        };
        set(tr!("user"), self.user.clone());
        set("identity", path(&self.identity)?);
        set("known_hosts_file", path(&self.known_hosts)?);
        if self.accept_new_host_keys {
            set("known_hosts", Some("accept-new".into()));
        }
        let repository = RepositoryConfig {
            location: self.repository.clone().unwrap_or_default(),
            password_file: self.password_file.as_ref().map(absolute).transpose()?,
            environment_file: self.environment_file.as_ref().map(absolute).transpose()?,
            ..RepositoryConfig::default()
        };
        let wanted = BootstrapOptions {
            fleet: self.fleet.clone(),
            id: None,
            servers: self.nodes.clone(),
            repository,
            ssh,
            settings: read_settings(self.settings.as_deref())?,
        };
        if wanted.servers.is_empty() {
            bail!(
                "{}",
                tr!("name the new servers with --nodes ADDRESS,ADDRESS,…")
            );
        }
        // A closed pipe does not stop the recovery.
        let say = |said: &str| drop(matou_base::out::print_hanging(format_args!("{said}")));
        let (config, snapshot) = bootstrap_fleet_folder(&wanted, &folder, None, &say).await?;
        outln!(
            "{}",
            tr!(
                "{} is of {} (snapshot {})",
                config.display(),
                snapshot.time.strftime("%F %T UTC"),
                snapshot.short_id
            )
        )?;
        Ok((config, FleetId::from_snapshot(&snapshot)))
    }
}

/// Reads a file of settings; empty without one.
fn read_settings(file: Option<&Path>) -> Result<String> {
    let Some(file) = file else {
        return Ok(String::new());
    };
    matou_base::files::read_text(file, matou_base::files::MAX_CONFIG_BYTES)
        .wrap_err_with(|| tr!("{} can't be read", file.display()))
}

/// Carries out `matou recover`: rebuilds the fleet, or what is lost of it.
pub(super) async fn run_recover_command(
    config: Option<PathBuf>,
    options: &RecoverOptions,
) -> Result<ExitCode> {
    let (path, id) = match options.is_from_repository() {
        true => {
            let (path, id) = options.take_config_from_repository().await?;
            (Some(path), id)
        }
        false => (config, None),
    };
    let cx = FleetContext::open(load_config(path.as_deref())?)?;
    for warning in &cx.config.warnings {
        matou_base::out::note_hanging(tr!("warning: {warning}"));
    }
    let findings = recover::RecoveryFindings::default();
    let how = recover::RebuildOptions {
        id,
        ..recover::RebuildOptions::default()
    };
    let build = async |_: &Request| recover::build_recovery_job(&cx, &how, &findings).await;
    let options = &options.job;
    let ended = run_reported_job(
        &cx,
        RecoveryKind::Recovery,
        Request::Recover,
        build,
        &findings,
        options,
    )
    .await;
    cx.nodes.close().await;
    ended
}

/// Runs a job, and keeps and prints its report.
pub(super) async fn run_reported_job(
    cx: &FleetContext,
    kind: RecoveryKind,
    request: Request,
    build: impl AsyncFn(&Request) -> Result<Job, OpsError>,
    findings: &recover::RecoveryFindings,
    options: &job::JobOptions,
) -> Result<ExitCode> {
    let mut timeline = None;
    let mut watch = |watched: job::JobNotice<'_>| match watched {
        job::JobNotice::Confirmed(plan) => timeline = Some(Timeline::new(plan)),
        job::JobNotice::Event(event) => {
            if let Some(timeline) = &mut timeline {
                timeline.record_event(event);
            }
        }
    };
    let ended = job::run_watched_job(cx, request, build, options, &mut watch).await;
    if let Some(timeline) = timeline {
        let report = timeline.build_report(kind, &cx.config.fleet.name, findings);
        print_recovery_report(&report, options)?;
    }
    ended
}

fn print_recovery_report(report: &RecoveryReport, options: &job::JobOptions) -> Result<()> {
    match options.wants_json() {
        true => matou_base::out::print_json_line(report)?,
        false => matou_base::out::print_block(&format!("\n{}\n", report.render_markdown()))?,
    }
    keep_recovery_report(report, options.wants_json())
}

/// Keeps a report. A failure to write it is only a warning.
fn keep_recovery_report(report: &RecoveryReport, json: bool) -> Result<()> {
    match report.save() {
        Ok(_) if json => {}
        Ok(path) => outln!("{}", tr!("kept in {}", path.display()))?,
        Err(e) => errln!("{}", tr!("warning: the report is not kept: {e:#}")),
    }
    Ok(())
}

/// Options of a drill.
#[derive(Debug, Args)]
pub(crate) struct DrillArgs {
    /// Show the plan and change nothing
    #[arg(long, short = 'n', conflicts_with_all = ["history", "json"])]
    dry_run: bool,
    /// Virtual machines instead of containers
    #[arg(long)]
    vm: bool,
    /// Image archives (`docker save`) that the practice fleet gets, where it can't pull
    #[arg(long = "image", value_name = "ARCHIVE")]
    images: Vec<PathBuf>,
    /// Your own settings for the practice fleet, as in config.toml with whole paths: with a table `dns`, names lead to its nodes
    #[arg(long, value_name = "FILE")]
    settings: Option<PathBuf>,
    /// Leave the practice fleet there, to look at: `matou lab down --name drill` removes it
    #[arg(long)]
    keep: bool,
    /// List the drills that were made
    #[arg(long, conflicts_with_all = ["vm", "images", "settings", "keep"])]
    history: bool,
    /// Print the report, or the history, as JSON
    #[arg(long)]
    json: bool,
}

/// Prints what a drill would do with the snapshots that are there now. Nothing is made, and nothing removed.
async fn print_drill_plan(cx: &FleetContext, options: &DrillOptions) -> Result<ExitCode> {
    let repository = check_drill(&cx.config, options)?;
    let all = list_primary_snapshots(cx, None).await?;
    // The oldest come first.
    let own = all.iter().filter(|l| l.other_fleet.is_none() && !l.ahead);
    let newest: BTreeMap<&str, _> = own
        .filter_map(|l| Some((l.snapshot.app()?, &l.snapshot)))
        .collect();
    let nodes = trn!(cx.config.nodes.len(), "{n} node", "{n} nodes");
    match options.vm {
        true => outln!(
            "{}",
            tr!("+ practice fleet drill: {nodes}, as virtual machines of this machine")
        )?,
        false => outln!(
            "{}",
            tr!("+ practice fleet drill: {nodes}, as containers of this machine")
        )?,
    }
    outln!(
        "{}",
        tr!(
            "+ config.toml, apps/ and stacks/ out of {}",
            repository.shown_location()
        )
    )?;
    let folder = cx.config.folder().unwrap_or_default();
    for app in AppFile::list_names(&folder) {
        // What was removed stays so. A file that is wrong is told when it is deployed.
        let file = AppFile::load(&folder, &app).ok().flatten();
        if file.is_some_and(|file| file.removed.is_some()) {
            continue;
        }
        match newest.get(app.as_str()) {
            Some(snapshot) => outln!(
                "{}",
                tr!(
                    "+ {app}: its snapshot {} of {}",
                    snapshot.short_id,
                    snapshot.time.strftime("%F %R UTC")
                )
            )?,
            None => outln!(
                "{}",
                tr!("+ {app}: from its file alone, there is no snapshot")
            )?,
        }
    }
    match options.keep {
        true => outln!(
            "{}",
            tr!("the practice fleet stays: `matou lab down --name drill` removes it")
        )?,
        false => outln!(
            "{}",
            tr!("- practice fleet drill, when the report is written")
        )?,
    }
    Ok(Exit::Done.into())
}

/// Carries out `matou drill`: rebuilds the fleet on a practice fleet of this machine, and prints a
/// report.
pub(super) async fn run_drill_command(cx: &FleetContext, args: &DrillArgs) -> Result<ExitCode> {
    let fleet = &cx.config.fleet.name;
    if args.history {
        let reports = list_recovery_reports(RecoveryKind::Drill, fleet);
        if args.json {
            matou_base::out::print_json_line(&reports)?;
        } else if reports.is_empty() {
            outln!("{}", tr!("no drill was made yet"))?;
        }
        let now = jiff::Timestamp::now();
        for report in reports.iter().filter(|_| !args.json) {
            outln!(
                "{}  {}",
                report.began.strftime("%F %T UTC"),
                report.summarize_drill().summary_line(now)
            )?;
        }
        return Ok(Exit::Done.into());
    }
    let options = DrillOptions {
        vm: args.vm,
        images: args.images.clone(),
        keep: args.keep,
        settings: read_settings(args.settings.as_deref())?,
    };
    if args.dry_run {
        return print_drill_plan(cx, &options).await;
    }
    let json = args.json;
    let report = run_drill(&cx.config, &options, &|said| {
        if !json {
            drop(matou_base::out::print_hanging(format_args!("{said}")));
        }
    })
    .await?;
    match json {
        true => matou_base::out::print_json_line(&report)?,
        false => matou_base::out::print_block(&format!("\n{}\n", report.render_markdown()))?,
    }
    keep_recovery_report(&report, json)?;
    match &report.failure {
        None => Ok(Exit::Done.into()),
        Some(_) if json => Ok(Exit::Failed.into()),
        Some(reason) => Err(eyre!("{}", tr!("the drill failed: {reason}"))),
    }
}
