//! Alerts: `rules` finds what is wrong in the picture of the fleet, `engine` makes an alert of what
//! lasts, `ledger` keeps what the operator silenced, `history` a week of answers and loads.
//! `prometheus` makes the monitoring stack's files from the same limits, for the time when no
//! console is open. Pure but for `store`, which keeps files in the state folder.

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

mod backups;
mod digest;
mod domains;
mod engine;
pub mod exposition;
mod history;
mod ledger;
mod load_history;
mod lost_nodes;
mod prometheus;
mod rules;
mod store;
mod tell;
mod told_store;
mod trend;

pub use backups::{BackupAge, backup_ages, find_missed_backups};
pub use digest::{Digest, DigestInputs, DigestLine, DigestSubject};
pub use domains::rate_domain_expiry;
pub use engine::{Alert, AlertChanges, AlertEngine};
pub use history::{AnswerHistory, AnswerHour, AnswerSample, LoadSample};
pub use ledger::{AlertLedger, Silence};
pub use load_history::{LoadHistory, MeanLoad};
pub use lost_nodes::{LostNode, find_lost_nodes};
pub use prometheus::{
    AlertReceivers, EmailReceiver, MonitoringInputs, ProbeTarget,
    render_monitoring_files as generate,
};
pub use rules::{
    ALERTMANAGER_KEY_PREFIX, AlertInputs, AlertKind, AlertSeverity, AlertTarget, Finding,
    NodeDrift, Remedy, disk_trend_key, evaluate_rules,
};
pub use store::{HistoryRecorder, KeptHistory, MonitorStore};
pub use tell::{AlertSource, LookedAt, TellLine, TellMessage, TellReason, ToldAlerts};
pub use told_store::{TOLD_MARK, ToldMemory, ToldStore};
pub use trend::{DiskTrend, DiskTrends};
