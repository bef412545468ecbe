//! The command line: every job of the console as a subcommand.

mod access;
mod apps;
mod backup;
mod bans;
mod bundle;
mod catalogue;
mod certificates;
mod check;
mod commands;
mod complete;
mod deploy_target;
mod digest;
mod dns;
mod exit;
mod files;
mod french;
mod help;
mod history;
mod info;
mod init;
mod intrusions;
mod job;
mod jobs;
mod logs;
mod look;
mod mail;
mod moves;
mod recover;
mod request;
mod restore;
mod room;
mod run;
mod search;
mod shell;
mod status;
mod telling;
mod tryout;
mod updates;
mod variables;

use matou_i18n::tr;
use std::path::PathBuf;
use std::process::ExitCode;

use clap::{CommandFactory, FromArgMatches, Parser};
use color_eyre::eyre::Result;

use matou_base::outln;
use matou_ops::FleetContext;
use matou_runtime::ConsoleMode;
use matou_stack::NameChanges;

pub use complete::answer_shell;
pub use exit::Exit;
pub use french::{list_help_texts, speak_language};

use commands::CliCommand;

/// The operator console for independent web hosts.
///
/// Without a command it opens the console on the fleet of config.toml.
#[derive(Debug, Parser)]
#[command(version, long_version = crate::version::long_version(), after_help = program_help(), help_template = help::program_template::<CliCommand>())]
pub struct Cli {
    /// Configuration file [default: ./config.toml, then $XDG_CONFIG_HOME/matou/config.toml;
    /// without either, this machine alone is the fleet]
    #[arg(long, short, global = true, env = "MATOU_CONFIG", value_name = "FILE")]
    config: Option<PathBuf>,
    /// Open the console to look only: it starts no job, opens no shell and writes no file that a key asks
    /// for
    #[arg(long)]
    read_only: bool,
    /// Open the console as lines: what has the keys is told in numbered lines, for screen readers and scripts
    #[arg(long)]
    linear: bool,
    #[command(subcommand)]
    command: Option<CliCommand>,
}

fn program_help() -> String {
    format!("{}\n\n{}", exit::exit_help(), crate::own_log::HELP)
}

impl Cli {
    /// Reads the arguments of this process.
    ///
    /// # Errors
    /// Wrong usage, or the help that was asked for.
    pub fn parse_arguments() -> Result<Self, clap::Error> {
        let command = french::translate_help(<Self as CommandFactory>::command());
        let matches = command.try_get_matches()?;
        let cli = <Self as FromArgMatches>::from_arg_matches(&matches)?;
        if let Some(given) = &cli.command {
            let mut usage = <Self as CommandFactory>::command();
            let only = [(cli.read_only, "--read-only"), (cli.linear, "--linear")];
            if let Some((_, option)) = only.into_iter().find(|(given, _)| *given) {
                let text = tr!("{option} is for the console, which opens without a command");
                return Err(usage.error(clap::error::ErrorKind::ArgumentConflict, text));
            }
            given.check_arguments(&mut usage)?;
        }
        Ok(cli)
    }

    /// Whether the console is to be opened.
    pub fn is_console(&self) -> bool {
        self.command.is_none()
    }

    /// How the console is to be opened.
    pub fn console_mode(&self) -> ConsoleMode {
        ConsoleMode {
            read_only: self.read_only,
            linear: self.linear,
        }
    }

    /// Reads the configuration and opens the fleet.
    ///
    /// # Errors
    /// [`matou_config::ConfigError`], which names file, line and column.
    pub fn open_fleet(&self) -> Result<FleetContext> {
        FleetContext::open(french::load_config(self.config.as_deref())?)
    }

    /// Runs a subcommand to its end.
    ///
    /// # Errors
    /// What stopped it; [`Exit::of`] returns the exit code.
    pub async fn run(self) -> Result<ExitCode> {
        match self.command {
            Some(CliCommand::Run(_)) => run::end_with_own_failure(self.run_subcommand().await),
            _ => self.run_subcommand().await,
        }
    }

    async fn run_subcommand(self) -> Result<ExitCode> {
        let Some(command) = &self.command else {
            unreachable!("the console is opened by main");
        };
        match command {
            CliCommand::Lab(_) => {}
            CliCommand::Completions { shell } => {
                matou_base::out::print_file(&complete::registration_script(*shell)?)?;
                return Ok(ExitCode::SUCCESS);
            }
            CliCommand::Config => return self.print_config(),
            CliCommand::Init(args) => {
                return init::run_init_command(self.config.as_deref(), args).await;
            }
            // config.toml may be what is wrong.
            CliCommand::Info { json } => {
                return info::run_info_command(self.config.as_deref(), *json).await;
            }
            CliCommand::Bundle(args) => {
                return bundle::run_bundle_command(self.config.as_deref(), args).await;
            }
            // config.toml itself may have to be taken from the repository.
            CliCommand::Recover(options) => {
                return recover::run_recover_command(self.config.clone(), options).await;
            }
            _ => {
                let cx = self.open_fleet()?;
                for warning in &cx.config.warnings {
                    matou_base::out::note_hanging(tr!("warning: {warning}"));
                }
                let mut cx = cx;
                // The nightly run on a manager uses the apps/ and stacks/ that were pushed to the
                // storage node.
                if matches!(
                    command,
                    CliCommand::Backup {
                        scheduled: true,
                        ..
                    } | CliCommand::Room { night: true, .. }
                ) && matou_ops::take_over_fleet_files(&cx)
                    .await
                    .unwrap_or_else(|why| {
                        matou_base::out::note_hanging(tr!(
                            "warning: apps/ and stacks/ are as they were: {why}"
                        ));
                        false
                    })
                {
                    cx.nodes.close().await;
                    cx = self.open_fleet()?;
                }
                let result = self.run_on_fleet(&cx).await;
                cx.nodes.close().await;
                if let Some(why) = cx.journal.write_trouble() {
                    matou_base::errln!(
                        "{}",
                        tr!("warning: what was done is not remembered: {why}")
                    );
                }
                return match result {
                    Err(error) if command.reads_as_json() => job::end_with_json_error(&error),
                    result => result,
                };
            }
        }
        match self.command {
            Some(CliCommand::Lab(lab)) => lab.run().await,
            _ => Ok(ExitCode::SUCCESS),
        }
    }

    async fn run_on_fleet(&self, fleet: &FleetContext) -> Result<ExitCode> {
        let Some(command) = &self.command else {
            return Ok(ExitCode::SUCCESS);
        };
        if let Some((request, options)) = command.to_request() {
            return job::run_request(fleet, request, options).await;
        }
        match command {
            CliCommand::Status { json } => status::run_status_command(fleet, *json).await,
            CliCommand::Check {
                json,
                metrics,
                tell,
                unless_told_by,
                try_receivers,
                digest,
            } => {
                if *try_receivers {
                    return check::try_receivers(fleet).await;
                }
                if let Some(node) = telling::find_teller(fleet, unless_told_by).await? {
                    if *json {
                        let told_by = serde_json::json!({"format": 1, "teller": node});
                        matou_base::out::print_json_line(&told_by)?;
                    } else {
                        matou_base::outln!("{}", tr!("{node} tells"))?;
                    }
                    return Ok(Exit::Done.into());
                }
                let form = check::CheckFormat::of_flags(*json, *metrics);
                if *digest {
                    return check::run_digest_command(fleet, form, *tell).await;
                }
                check::run_check_command(fleet, form, *tell).await
            }
            CliCommand::Catalogue { stack, json, what } => {
                let stack = stack.as_deref();
                catalogue::run_catalogue_command(fleet, *json, stack, what.as_ref()).await
            }
            CliCommand::Render {
                stack,
                app,
                variables,
            } => print_rendered_stack(fleet, stack, app, variables),
            CliCommand::Clone {
                app,
                to,
                variables,
                options,
            } => {
                let request = apps::build_clone_request(fleet, app, to, variables)?;
                job::run_request(fleet, request, options).await
            }
            CliCommand::Update {
                app,
                to,
                service,
                rehearse,
                options,
                ..
            } => {
                let wish = apps::UpdateWish {
                    to: to.as_deref(),
                    service: service.as_deref(),
                    rehearse: *rehearse,
                };
                apps::run_update_command(fleet, app, &wish, options).await
            }
            CliCommand::Secrets { app, what } => {
                apps::run_secrets_command(fleet, app, what.as_ref()).await
            }
            CliCommand::Lint { stacks, json } => apps::run_lint_command(fleet, stacks, *json),
            CliCommand::Diff {
                target,
                app,
                variables,
            } => {
                let request = target.to_request(app.as_ref(), variables, NameChanges::default());
                job::run_request(fleet, request, &job::JobOptions::dry_run()).await
            }
            CliCommand::History { app, lines, json } => {
                history::run_history_command(fleet, app.as_ref(), *lines, *json).await
            }
            CliCommand::Migrate { file, write } => {
                apps::run_migrate_command(fleet, file, *write).await
            }
            CliCommand::Restore(args) => restore::run_restore_command(fleet, args).await,
            CliCommand::Backup {
                apps,
                scheduled,
                options,
                ..
            } => backup::run_backup_command(fleet, apps, *scheduled, options).await,
            CliCommand::Files { take } => files::run_files_command(fleet, take.as_ref()).await,
            CliCommand::Repo { what } => backup::run_repo_command(fleet, what).await,
            CliCommand::Snapshots { app, json } => {
                backup::run_snapshots_command(fleet, app.as_deref(), *json).await
            }
            CliCommand::Certificates { json, what } => {
                certificates::run_certificates_command(fleet, *json, what.as_ref()).await
            }
            CliCommand::Drill(args) => recover::run_drill_command(fleet, args).await,
            CliCommand::Move(args) => moves::run_move_command(fleet, args).await,
            _ => run_watching_command(command, fleet).await,
        }
    }

    fn print_config(&self) -> Result<ExitCode> {
        let config = french::load_config(self.config.as_deref())?;
        // The console would refuse to start with them.
        matou_ui::KeyMap::of_config(&config)?;
        match &config.path {
            Some(path) => outln!(
                "{}: {}",
                path.display(),
                matou_i18n::trn!(config.nodes.len(), "{n} node", "{n} nodes")
            )?,
            None => outln!("{}", tr!("no config.toml: this machine alone is the fleet"))?,
        }
        for warning in &config.warnings {
            matou_base::out::print_hanging(tr!("warning: {warning}"))?;
        }
        Ok(ExitCode::SUCCESS)
    }
}

/// Runs what prints logs, requests, bans and what fills disks, tries mail, opens a shell, or runs a command in a
/// container.
async fn run_watching_command(command: &CliCommand, fleet: &FleetContext) -> Result<ExitCode> {
    match command {
        CliCommand::Logs { service, options } => {
            logs::run_logs_command(fleet, service, options).await
        }
        CliCommand::Journal {
            node,
            unit,
            options,
        } => logs::run_journal_command(fleet, node, unit.as_deref(), options).await,
        CliCommand::Search { options } => search::run_search_command(fleet, options).await,
        CliCommand::Access { app, options } => {
            access::run_access_command(fleet, app, options).await
        }
        CliCommand::Updates { json } => updates::run_updates_command(fleet, *json).await,
        CliCommand::Room {
            night: true,
            unless_done,
            ..
        } => room::run_night(fleet, *unless_done).await,
        CliCommand::Room { nodes, json, .. } => room::run_room_command(fleet, nodes, *json).await,
        CliCommand::Bans { json } => bans::run_bans_command(fleet, *json).await,
        CliCommand::Mail { options } => mail::run_mail_command(fleet, options).await,
        CliCommand::Intrusions { options } => {
            intrusions::run_intrusions_command(fleet, options).await
        }
        CliCommand::Shell { target } => shell::run_shell_command(fleet, target).await,
        CliCommand::Run(args) => run::run_run_command(fleet, args).await,
        CliCommand::Jobs(args) => jobs::run_jobs_command(fleet, args).await,
        CliCommand::Dns { apply, options } => dns::run_dns_command(fleet, *apply, options).await,
        _ => unreachable!("is a request, or needs no fleet"),
    }
}

fn print_rendered_stack(
    fleet: &FleetContext,
    stack: &str,
    app: &str,
    variables: &[(String, String)],
) -> Result<ExitCode> {
    let variables = variables.iter().cloned().collect();
    let target = matou_stack::RenderTarget::for_fleet(&fleet.config);
    let rendered = fleet
        .catalogue
        .render_stack(stack, app, &variables, &target)?;
    matou_base::out::print_file(&rendered.yaml)?;
    Ok(ExitCode::SUCCESS)
}
