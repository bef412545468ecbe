//! What a rehearsed update came to.

use jiff::Timestamp;
use serde::{Deserialize, Serialize};

/// What `matou update --rehearse` found of an application. It is kept in a file beside the data.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct RehearsalReport {
    /// Whose update it was.
    pub app: String,
    /// When it ended.
    pub at: Timestamp,
    /// Full id of the snapshot whose data was updated.
    pub snapshot: String,
    /// When that was made.
    pub snapshot_at: Timestamp,
    /// Images that change.
    pub images: Vec<RehearsedImage>,
    /// What was done, in its order; the last one is what failed, when something did.
    pub parts: Vec<RehearsedPart>,
    /// Lines of the new containers' logs that tell of errors, and that the old ones had not. Of what
    /// failed, the last lines.
    #[serde(default)]
    pub log: Vec<String>,
    /// Why the update would fail; `None` when it would succeed.
    #[serde(default)]
    pub failure: Option<String>,
}

/// An image that an update changes.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct RehearsedImage {
    /// Without the application's name.
    pub service: String,
    /// As it runs.
    pub from: String,
    /// As it would run.
    pub to: String,
    /// `patch`, `minor` or `major`; absent where the tags do not tell.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub step: Option<String>,
}

/// A part of a rehearsal.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct RehearsedPart {
    /// What was done.
    pub name: String,
    /// How long it took.
    pub seconds: u64,
    /// What was seen, where there is more to say than that it went well.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub seen: Option<String>,
}

impl RehearsalReport {
    /// Whether the update would succeed.
    pub fn is_success(&self) -> bool {
        self.failure.is_none()
    }

    /// Returns how long a part took in all, in seconds.
    pub fn total_seconds(&self) -> u64 {
        self.parts.iter().map(|p| p.seconds).sum()
    }

    /// Whether it rehearsed an update to just these images, by service.
    pub fn is_of<'a>(&self, images: impl IntoIterator<Item = (&'a str, &'a str)>) -> bool {
        let mut wanted: Vec<(&str, &str)> = images.into_iter().collect();
        let mut had: Vec<(&str, &str)> = self.images.iter().map(image_pair).collect();
        wanted.sort_unstable();
        had.sort_unstable();
        wanted == had
    }
}

fn image_pair(image: &RehearsedImage) -> (&str, &str) {
    (&image.service, &image.to)
}
