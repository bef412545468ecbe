//! The operations: turns a [`Request`] into a [`matou_job::Job`]; one file an operation.

// Stricter than Cargo.toml is with tests, benches and examples.
#![cfg_attr(
    not(test),
    deny(
        clippy::disallowed_macros,
        clippy::disallowed_methods,
        clippy::expect_used,
        clippy::print_stderr,
        clippy::print_stdout,
        clippy::unwrap_used
    )
)]

matou_i18n::catalogue!();

mod adopt;
mod app_history;
mod app_jobs;
mod availability;
mod backup;
mod clean;
mod context;
mod data_before_update;
mod deploy;
mod dispatch;
mod dns;
mod edge_settings;
mod erase;
mod error;
mod export;
mod filed_app;
mod first_config;
mod holds;
mod image_check;
mod image_update;
mod job_on_node;
mod known_names;
mod leftovers;
mod login;
mod membership;
mod node;
mod page;
mod piped;
mod place;
mod reboot;
pub mod recover;
mod rehearsal;
pub mod relocate;
mod remove;
mod rename;
mod renew;
mod repo_work;
mod request;
pub(crate) mod restore;
mod rollback;
mod room;
mod run;
mod running_container;
mod self_update;
mod service;
mod shell;
#[cfg(test)]
mod swarm_fixture;
mod task_ends;
mod tasks;
mod tell;
mod told_sharing;
mod trial;
mod unban;
mod update_mark;
mod versions;

pub use app_history::{AppHistory, load_history};
pub use app_jobs::{KnownJob, read_known_jobs, run_due_jobs, run_job_now};
pub use backup::format_restic_progress;
pub use backup::{
    APP_UNIT_PREFIX as BACKUP_UNIT, AppFilesState, ListedSnapshot, LockFile, RepositoryState,
    list_primary_snapshots, list_running_backups, load_fleet_files, plan_app_files_push,
    push_app_files, query_repository_states, remove_app_files, run_nightly_backup,
    take_over_fleet_files,
};
pub use clean::read_disk_use;
pub use context::FleetContext;
pub use deploy::read_mail_password;
pub use deploy::secrets::{read_secret, read_secret_versions};
pub use dispatch::{build_job, build_job_at_once};
pub use dns::{NameInDns, list_names_in_dns, read_registered_domains};
pub use error::OpsError;
pub use first_config::{
    FirstConfigError, FirstSettings, NamedServer, ServerLook, look_at_servers, render_first_config,
};
pub use image_check::{FactDifference, ImageCheck, ImageCheckOutcome, check_image_facts};
pub use known_names::{check_app_is_known, check_app_was_known};
pub use login::{find_app_login, list_app_logins};
pub use matou_docker::ContainerCommand;
pub use matou_host::ShellInput;
pub use rehearsal::{
    list_rehearsal_reports, read_rehearsal_report, rehearsal_lines, remove_left_rehearsals,
    run_nightly_rehearsals,
};
pub use repo_work::{CheckData, RepoWork};
pub use request::{BudgetChange, Request, RestoreDestination, RestoreScope};
pub use room::{LowNode, MeasuredRoom, RoomNight, begin_room_night, end_room_night, measure_room};
pub use run::{RunEnd, RunRequest, RunTarget, find_run_target, hold_app_for_run, run_in_container};
pub use self_update::{OwnVersion, query_own_version};
pub use shell::{ShellTarget, build_shell_command, find_shell_target};
pub use tell::{TellReceiver, list_tell_receivers};
pub use told_sharing::{read_told_memories, write_told_memory};
pub use trial::{
    LoginTrial, TrialMark, find_lost_marks, find_missing_programs, try_login, write_trial_marks,
};
pub use versions::{
    FoundVersions, OutdatedService, ServiceVersions, query_app_versions, query_fleet_versions,
    query_newer_versions,
};
