//! Plans the renames of a swap and of an undo. They are planned from what exists, so a swap that
//! stopped anywhere is completed, or taken back, by planning again.
//!
//! Nothing is guessed. A folder that was live lies in `old` as soon as it is out of use. If there
//! was none, a mark is written before the restored one takes its place. So the restored folder is
//! in use if, and only if, `old` or the mark exists and `new` does not.

use matou_i18n::tr;
use std::collections::BTreeSet;
use std::path::{Path, PathBuf};

use crate::OpsError;
use matou_backup::FolderSwap;

/// What exists of a swap.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub(super) struct SwapState {
    pub live: bool,
    pub new: bool,
    pub old: bool,
    /// The mark that nothing was in use before.
    pub mark: bool,
}

/// One change of the file system.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) enum FolderRename {
    /// Takes a folder out of use, into the folder of the restore.
    SetAside {
        from: PathBuf,
        to: PathBuf,
    },
    /// Puts a folder into use.
    Place {
        from: PathBuf,
        to: PathBuf,
    },
    /// Writes the mark which says that nothing was live before.
    Mark(PathBuf),
    Unmark(PathBuf),
}

/// The mark of a swap.
pub(super) fn mark_path(swap: &FolderSwap) -> PathBuf {
    let mut path = swap.old.clone().into_os_string();
    path.push(".none");
    PathBuf::from(path)
}

/// Splits swaps, and what exists of them, by the node that has them. The storage node, `None`, comes first.
pub(super) fn split_by_node<'a>(
    swaps: &'a [FolderSwap],
    seen: &[SwapState],
) -> Vec<(Option<&'a str>, Vec<FolderSwap>, Vec<SwapState>)> {
    let nodes: BTreeSet<Option<&str>> = swaps.iter().map(|s| s.node.as_deref()).collect();
    let of = |node: Option<&'a str>| {
        let pairs = swaps.iter().zip(seen);
        let own = pairs.filter(|(s, _)| s.node.as_deref() == node);
        let (swaps, seen) = own.map(|(s, seen)| (s.clone(), *seen)).unzip();
        (node, swaps, seen)
    };
    nodes.into_iter().map(of).collect()
}

/// The renames, in their order, that put everything restored in place.
///
/// # Errors
/// One sentence: what was restored is not there, or the place where the folder of before is kept is
/// taken.
pub(super) fn plan_swap_renames(
    swaps: &[FolderSwap],
    seen: &[SwapState],
) -> Result<Vec<FolderRename>, OpsError> {
    let mut renames = Vec::new();
    for (swap, seen) in swaps.iter().zip(seen) {
        if !seen.new {
            if seen.old || seen.mark {
                // It has taken its place.
                continue;
            }
            return Err(OpsError::failed(tr!(
                "{} is not there: what was restored is not whole",
                swap.new.display()
            )));
        }
        if seen.live {
            if seen.old {
                return Err(OpsError::failed(tr!(
                    "{} is there already, and {} too: is another restore under way?",
                    swap.old.display(),
                    swap.live.display()
                )));
            }
            renames.push(FolderRename::SetAside {
                from: swap.live.clone(),
                to: swap.old.clone(),
            });
        } else if !seen.old && !seen.mark {
            renames.push(FolderRename::Mark(mark_path(swap)));
        }
        renames.push(FolderRename::Place {
            from: swap.new.clone(),
            to: swap.live.clone(),
        });
    }
    Ok(renames)
}

/// Plans the renames that bring the set-aside folders back into use, in their order. What is in use
/// instead moves to where the restored folder waited. `aside` ends the name of an unexpected
/// folder.
pub(super) fn plan_undo_renames(
    swaps: &[FolderSwap],
    seen: &[SwapState],
    aside: &str,
) -> Vec<FolderRename> {
    let mut renames = Vec::new();
    for (swap, seen) in swaps.iter().zip(seen) {
        if !seen.old && !seen.mark {
            // It was not exchanged, or is brought back already.
            continue;
        }
        if seen.live && !seen.new {
            renames.push(FolderRename::SetAside {
                from: swap.live.clone(),
                to: swap.new.clone(),
            });
        } else if seen.live && seen.old {
            // The restored one still waits: somebody else made the one that is in use.
            renames.push(FolderRename::SetAside {
                from: swap.live.clone(),
                to: unexpected_folder_path(&swap.old, aside),
            });
        }
        if seen.old {
            renames.push(FolderRename::Place {
                from: swap.old.clone(),
                to: swap.live.clone(),
            });
        }
        if seen.mark {
            renames.push(FolderRename::Unmark(mark_path(swap)));
        }
    }
    renames
}

/// Returns a path for an unexpected folder, beside the set-aside ones.
fn unexpected_folder_path(old: &Path, aside: &str) -> PathBuf {
    let name = old.file_name().unwrap_or_default().to_string_lossy();
    let folder = old.parent().and_then(Path::parent).unwrap_or(old);
    folder.join("found").join(format!("{name}.{aside}"))
}
