//! `matou restore` and `matou verify`.

use std::process::ExitCode;

use clap::{Args, Subcommand};
use color_eyre::eyre::Result;

use super::complete::{Names, complete};
use super::job;
use matou_ops::{FleetContext, Request, RestoreDestination, RestoreScope};
use matou_stack::AppName;

/// What is restored, from where, and where to.
#[derive(Debug, Args)]
#[command(args_conflicts_with_subcommands = true, subcommand_negates_reqs = true)]
pub(crate) struct RestoreArgs {
    #[command(subcommand)]
    after: Option<RestoreCommand>,
    /// The application
    #[arg(required_unless_present = "all", add = complete(Names::Apps))]
    app: Option<AppName>,
    /// With --as: variables of the new application, its domain above all
    #[arg(value_name = "NAME=VALUE", value_parser = super::variables::parse_variable, requires = "name")]
    variables: Vec<(String, String)>,
    /// Every application, each from its newest snapshot
    #[arg(long, conflicts_with_all = ["app", "snapshot", "path", "into", "name"])]
    all: bool,
    /// A snapshot of the application [default: the newest]
    #[arg(long, value_name = "ID", add = complete(Names::Snapshots))]
    snapshot: Option<String>,
    /// Only this file or folder, by its path on the storage node
    #[arg(long, value_name = "PATH", conflicts_with = "name")]
    path: Option<String>,
    /// Into a folder of the storage node; nothing in use is touched
    #[arg(long, value_name = "FOLDER", conflicts_with = "name")]
    into: Option<String>,
    /// As a new application of this name, beside the running one
    #[arg(long = "as", value_name = "NAME")]
    name: Option<AppName>,
    #[command(flatten)]
    options: job::JobOptions,
}

#[derive(Debug, Subcommand)]
enum RestoreCommand {
    /// Bring back what a restore replaced, or resolve one that was interrupted
    Undo {
        /// Name of the application
        #[arg(add = complete(Names::Apps))]
        app: AppName,
        #[command(flatten)]
        options: job::JobOptions,
    },
    /// Let go what a restore replaced, to free its room
    Forget {
        /// Name of the application
        #[arg(add = complete(Names::Apps))]
        app: AppName,
        #[command(flatten)]
        options: job::JobOptions,
    },
}

impl RestoreArgs {
    fn build_request(&self) -> Request {
        let Some(app) = &self.app else {
            return Request::RestoreAll;
        };
        Request::Restore {
            app: app.clone(),
            snapshot: self.snapshot.clone().filter(|s| s != "latest"),
            what: match &self.path {
                Some(path) => RestoreScope::Path { path: path.clone() },
                None => RestoreScope::App,
            },
            to: match (&self.name, &self.into) {
                (Some(name), _) => RestoreDestination::Beside {
                    app: name.clone(),
                    variables: self.variables.iter().cloned().collect(),
                },
                (None, Some(folder)) => RestoreDestination::Folder {
                    path: folder.clone(),
                },
                (None, None) => RestoreDestination::Place,
            },
        }
    }
}

/// Carries out `matou restore`.
pub(super) async fn run_restore_command(
    fleet: &FleetContext,
    args: &RestoreArgs,
) -> Result<ExitCode> {
    match &args.after {
        Some(RestoreCommand::Undo { app, options }) => {
            let app = app.clone();
            job::run_request(fleet, Request::RestoreUndo { app }, options).await
        }
        Some(RestoreCommand::Forget { app, options }) => {
            let app = app.clone();
            job::run_request(fleet, Request::RestoreForget { app }, options).await
        }
        None => job::run_request(fleet, args.build_request(), &args.options).await,
    }
}
