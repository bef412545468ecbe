//! Plain data of the fleet. No I/O, no tokio: everything here can be made by a test.

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

mod access;
mod app_job;
mod app_page;
mod ban;
mod calendar;
mod certificate;
mod disk_use;
mod domain;
mod external_alert;
mod fleet;
mod intrusion;
mod job_progress;
mod log;
mod log_record;
mod node_problem;
mod probe;
mod reading;
mod rehearsal;
mod route;
mod snapshot;
mod swarm_state;
mod update;
mod volume_sizes;

pub use access::{
    AccessFilter, AccessRecord, COUNTED_MINUTES, MinuteCount, RecentMinutes, count_most_frequent,
};
pub use app_job::{AppJob, AppJobRun, AppJobRuns, JOB_LABEL, JobLabel, JobRunState, is_job_name};
pub use app_page::{
    AppPage, PAGE_CONTENT_LABEL, PAGE_HEADER, PAGE_JOB_LABEL, PAGE_KIND_LABEL, PAGE_SINCE_LABEL,
    PAGE_STACK_PREFIX, PAGE_WAY_IN_LABEL, PageKind, take_pages,
};
pub use ban::{Ban, NodeBans, normalize_network};
pub use calendar::Calendar;
pub use certificate::{
    Certificate, CertificateState, ChainLink, ServedCertificate, StoredCertificate,
};
pub use disk_use::{
    BuildCacheEntry, DiskUse, DiskUseKind, EngineContainer, EngineDisk, EngineImage, FileSystemUse,
    NodeDiskUse,
};
pub use domain::{DomainExpiry, RegisteredDomain};
pub use external_alert::ExternalAlert;
pub use fleet::*;
pub use intrusion::{Intrusion, IntrusionGroup, NodeIntrusions, group_intrusions};
pub use job_progress::{JobFailure, JobProgress, JobState};
pub use log::LogLine;
pub use log_record::{LogRecord, LogSearch};
pub use node_problem::{NodeProblem, NodeProblemKind};
pub use probe::{ExpectedAnswer, Probe, ProbeAnswer, status_hint};
pub use reading::{Reading, write_node_outcomes, write_outcome};
pub use rehearsal::{
    NightRehearsal, RehearsalReport, RehearsedImage, RehearsedPart, UPDATE_PART, format_took,
};
pub use route::{
    ALIASES_LABEL, AppRoutes, MAIN_NAME_LABEL, REDIRECTS_LABEL, domains_from_labels,
    extra_names_from_labels, parse_rule_hosts, redirects_from_labels,
};
pub use snapshot::*;
pub use swarm_state::{NodeState, Reachability, SwarmState, TaskState, UpdateState};
pub use update::{Datum, Update};
pub use volume_sizes::{
    AppRoom, BUDGET_LABEL, DiskBudget, FileSystemSize, NightClean, NodeSizes, SizeSample,
    VolumeRoom, VolumeSize, VolumeSizes,
};
