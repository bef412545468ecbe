//! What is written down on the storage node while an application is restored, so that a restore can
//! be resolved wherever it was interrupted: `PATH/.matou/restores/APP.json`.
//!
//! Where each folder is tells how far the exchange came; the file tells what should be.

use std::collections::BTreeMap;
use std::path::{Path, PathBuf};

use jiff::Timestamp;
use serde::{Deserialize, Serialize};

/// How far a restore is.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum RestorePhase {
    /// The snapshot is written beside the data; nothing in use was touched.
    Staging,
    /// Services are stopped, folders exchanged. Nothing has run on what was restored: it is in the
    /// repository as it is here.
    Restoring,
    /// Services run on what was restored, and not all of it is loaded yet. From here on nothing that
    /// was restored is removed unless the operator lets it go: something may have been written to it.
    Loading,
    /// Everything is loaded; the services are started and asked.
    Started,
    /// Done: the data from before is kept.
    Restored,
    /// The data from before is being brought back.
    Undoing,
    /// Brought back: what had been restored is kept.
    Undone,
    /// Taken back, or ended with nothing to keep: nothing is left to do but to remove what was
    /// written beside. No folder is exchanged any more.
    Clearing,
    /// The operator let it go: nothing is left to do but to remove all that is kept.
    Forgetting,
}

/// A file or folder that is exchanged.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct FolderSwap {
    /// The node that has it, as config.toml names it; `None` is the storage node.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub node: Option<String>,
    /// Where the application finds it.
    pub live: PathBuf,
    /// Where the restored one waits.
    pub new: PathBuf,
    /// Where the one from before is kept.
    pub old: PathBuf,
}

/// The state of one application's restore.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct RestoreState {
    /// The application's name.
    pub app: String,
    /// How far it has come.
    pub phase: RestorePhase,
    /// When it began.
    pub begun: Timestamp,
    /// Full id.
    pub snapshot: String,
    /// The snapshot's date.
    pub snapshot_at: Timestamp,
    /// Folder of everything that this restore wrote and keeps.
    pub folder: PathBuf,
    /// Folders that are exchanged.
    pub swaps: Vec<FolderSwap>,
    /// Volumes that are exchanged: services of other applications may use them too.
    #[serde(default)]
    pub volumes: Vec<String>,
    /// Replicas that services had, to be given back; none when they went on.
    pub replicas: Vec<(String, u64)>,
    /// The application did not run before: what was deployed of it goes when the restore is taken
    /// back.
    #[serde(default)]
    pub deployed: bool,
    /// Constraints that services have from their stop until they run again, so that they come up where their
    /// volumes are. Only those that were not there before.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub pins: Vec<(String, Vec<String>)>,
}

impl FolderSwap {
    /// The folder of the restore on the node that has this one.
    pub fn folder(&self) -> Option<&Path> {
        self.old.parent()?.parent()
    }
}

impl RestoreState {
    /// Whether the application is neither as it was nor restored, or leftovers of an attempt
    /// remain. That is so while a restore runs, too.
    pub fn is_interrupted(&self) -> bool {
        !matches!(self.phase, RestorePhase::Restored | RestorePhase::Undone)
    }

    /// Returns where it wrote and keeps things: node and folder; `None` is the storage node, which comes last.
    pub fn places(&self) -> Vec<(Option<&str>, &Path)> {
        let away = self.swaps.iter();
        let away = away.filter_map(|s| Some((s.node.as_deref()?, s.folder()?)));
        let away: BTreeMap<&str, &Path> = away.collect();
        let away = away.into_iter().map(|(node, folder)| (Some(node), folder));
        away.chain([(None, self.folder.as_path())]).collect()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_state_file_comes_back_as_it_was() {
        let state = RestoreState {
            app: "shop".into(),
            phase: RestorePhase::Restoring,
            begun: Timestamp::from_second(1_700_000_000).unwrap(),
            snapshot: "ab".into(),
            snapshot_at: Timestamp::from_second(1_600_000_000).unwrap(),
            folder: "/mnt/data/.matou/restores/shop".into(),
            swaps: vec![FolderSwap {
                node: None,
                live: "/mnt/data/shop_db".into(),
                new: "/mnt/data/.matou/restores/shop/new/0".into(),
                old: "/mnt/data/.matou/restores/shop/old/0".into(),
            }],
            volumes: vec!["shop_db".into()],
            replicas: vec![("shop_db".into(), 1)],
            deployed: false,
            pins: Vec::new(),
        };
        let text = serde_json::to_string(&state).unwrap();
        assert!(text.contains("\"restoring\""), "{text}");
        assert_eq!(serde_json::from_str::<RestoreState>(&text).unwrap(), state);
        assert!(state.is_interrupted());
    }
}
