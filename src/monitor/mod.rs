//! What is not as it should be: found in the picture of the fleet (`rules`), believed when it
//! lasts (`engine`), acknowledged or silenced (`ledger`), remembered for a week (`history`). What the monitoring
//! stack alerts of while no console is open is made from the same limits (`prometheus`).
//! Pure but for `store`, which keeps files in the state folder.

mod backups;
mod engine;
pub mod exposition;
mod history;
mod ledger;
mod prometheus;
mod rules;
mod store;
mod trend;

pub use backups::{BackupAge, ages, missed};
pub use engine::{Alert, Engine, News};
pub use history::{Hour, Load, Sample, Week};
pub use ledger::{Ledger, Silence};
pub use prometheus::{Email, Inputs, Receivers, Target as ProbeTarget, files as generate};
pub use rules::{Facts, Finding, Kind, Severity, TOLD, findings, place};
pub use store::{Recorder, Store};
pub use trend::{Trend, Trends};
