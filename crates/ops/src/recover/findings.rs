//! What a recovery found and did, application by application: its report is made of this.

use std::collections::BTreeMap;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use jiff::Timestamp;
use serde::{Deserialize, Serialize};

/// Where an application got stuck.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum StuckAt {
    /// Its data could not be put back.
    Restore,
    /// It could not be deployed, or does not answer.
    Deploy,
}

/// What became of one application.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct AppResult {
    /// Full id of the snapshot its data is from; `None` when its data was there, or it has none.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub snapshot: Option<String>,
    /// When that snapshot was made.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub data_of: Option<Timestamp>,
    /// Bytes that were put back.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub bytes: Option<u64>,
    /// What its domains answered; a sentence each.
    #[serde(default)]
    pub answers: Vec<String>,
    /// It runs and answers.
    #[serde(default)]
    pub up: bool,
    /// Where it got stuck, and why; `None` when it did not.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub failure: Option<(StuckAt, String)>,
}

/// Shared by the steps of one recovery. Cheap to clone.
#[derive(Clone, Default)]
pub struct RecoveryFindings(Arc<Mutex<RecoveryFindingsInner>>);

#[derive(Default)]
struct RecoveryFindingsInner {
    apps: BTreeMap<String, AppResult>,
    by_hand: Vec<String>,
}

impl RecoveryFindings {
    fn lock_inner(&self) -> MutexGuard<'_, RecoveryFindingsInner> {
        // A panic while it was held can't have broken it.
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Changes the result of an application, which begins as an empty one.
    pub(crate) fn update_app(&self, app: &str, change: impl FnOnce(&mut AppResult)) {
        change(self.lock_inner().apps.entry(app.to_owned()).or_default());
    }

    pub(crate) fn fail_app(&self, app: &str, stuck: StuckAt, reason: impl Into<String>) {
        self.update_app(app, |a| {
            a.up = false;
            a.failure = Some((stuck, reason.into()));
        });
    }

    /// Why the application got stuck, if it did.
    pub(crate) fn failure_reason(&self, app: &str) -> Option<String> {
        let inner = self.lock_inner();
        let (_, reason) = inner.apps.get(app)?.failure.as_ref()?;
        Some(reason.clone())
    }

    pub(crate) fn set_by_hand(&self, lines: Vec<String>) {
        self.lock_inner().by_hand = lines;
    }

    /// Applications by name.
    pub fn apps(&self) -> BTreeMap<String, AppResult> {
        self.lock_inner().apps.clone()
    }

    /// What the operator still has to do; a sentence each.
    pub fn by_hand(&self) -> Vec<String> {
        self.lock_inner().by_hand.clone()
    }
}
