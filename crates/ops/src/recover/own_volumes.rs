//! Whether what a snapshot holds of volumes that are a node's own is there. A swarm that comes back starts tasks
//! before matou looks, and the engine makes each an empty volume, or one with what its image has: so what is
//! there is measured by the names that the snapshot has.

use matou_i18n::tr;
use std::collections::BTreeSet;
use std::time::Duration;

use tokio_util::sync::CancellationToken;

use crate::restore::{RestoreSource, find_restore_parts};
use crate::{FleetContext, OpsError};
use matou_backup::{BackupError, Restic, ResticSnapshot, listing};
use matou_host::{Command, shell_script};

const CHECK_HELD: &str = shell_script(include_str!("../../scripts/check_held.sh"));

/// How many names of a volume are looked for.
const MAX_NAMES: usize = 200;

/// Returns whether every volume of `own` is there that the snapshot holds something of; `None` when it holds
/// nothing of any. They are looked for where a restore would put them. One of a node that does not answer counts as
/// there: nothing could be put back on it.
///
/// # Errors
/// The snapshot, or a node, can't be read.
pub(super) async fn find_own_volumes(
    fleet: &FleetContext,
    restic: &Restic,
    app: &str,
    own: &BTreeSet<String>,
    snapshot: &ResticSnapshot,
) -> Result<Option<bool>, OpsError> {
    let source = RestoreSource::of_snapshot(restic, app, snapshot).await?;
    let mut found = None;
    for part in find_restore_parts(fleet, &source).await? {
        if !own.contains(&part.volume) {
            continue;
        }
        let names = list_names(&source, &part.from).await?;
        if names.is_empty() {
            continue;
        }
        found = Some(true);
        let node = match part.node.as_ref().and_then(|name| fleet.nodes.get(name)) {
            Some(node) => node,
            None => fleet.find_storage_node()?,
        };
        let look = Command::sh(CHECK_HELD)
            .arg(part.live.display().to_string())
            .args(names)
            .sudo()
            .timeout(Duration::from_secs(60))
            .label(tr!("look for data"));
        if node.host.run_ok(&look).await?.stdout_text().trim() != "there" {
            return Ok(Some(false));
        }
    }
    Ok(found)
}

/// The names that a snapshot has in a folder.
async fn list_names(source: &RestoreSource, folder: &str) -> Result<Vec<String>, OpsError> {
    let never = CancellationToken::new();
    let listed = listing::list_snapshot_folder(&source.restic, &source.id, folder, &never).await;
    let listed = match listed {
        Err(BackupError::NothingThere(_)) => return Ok(Vec::new()),
        other => other?,
    };
    let names = listed.entries.iter().take(MAX_NAMES);
    let name = |path: &str| path.rsplit('/').next().unwrap_or_default().to_owned();
    Ok(names.map(|entry| name(&entry.path)).collect())
}
