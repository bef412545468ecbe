//! Which renames put restored folders in place, and which bring back those of before: decided from
//! what is there, so that an exchange that stopped anywhere is ended, or taken back, by deciding again.
//!
//! Nothing is guessed. The folder of before lies in `old` as soon as it is not in use any more; where
//! there was none, a mark says so before the restored one takes its place. So what is in use is the
//! restored one when, and only when, `old` or the mark is there and the restored one waits no more.

use std::path::{Path, PathBuf};

use crate::backup::Swap;

/// What of a swap is there.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub(super) struct Seen {
    pub live: bool,
    pub new: bool,
    pub old: bool,
    /// The mark that nothing was in use before.
    pub mark: bool,
}

/// One change of the file system.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) enum Rename {
    /// Out of use, into the restore's own folder.
    Keep {
        from: PathBuf,
        to: PathBuf,
    },
    /// Into use.
    Place {
        from: PathBuf,
        to: PathBuf,
    },
    /// Nothing was in use before.
    Mark(PathBuf),
    Unmark(PathBuf),
}

/// The mark of a swap.
pub(super) fn mark(swap: &Swap) -> PathBuf {
    let mut path = swap.old.clone().into_os_string();
    path.push(".none");
    PathBuf::from(path)
}

/// The renames, in their order, that put everything restored in place.
///
/// # Errors
/// One sentence: what was restored is not there, or the place where the folder of before is kept is
/// taken.
pub(super) fn forward(swaps: &[Swap], seen: &[Seen]) -> Result<Vec<Rename>, String> {
    let mut renames = Vec::new();
    for (swap, seen) in swaps.iter().zip(seen) {
        if !seen.new {
            if seen.old || seen.mark {
                // It has taken its place.
                continue;
            }
            return Err(format!(
                "{} is not there: what was restored is not whole",
                swap.new.display()
            ));
        }
        if seen.live {
            if seen.old {
                return Err(format!(
                    "{} is there already, and {} too: is another restore under way?",
                    swap.old.display(),
                    swap.live.display()
                ));
            }
            renames.push(Rename::Keep {
                from: swap.live.clone(),
                to: swap.old.clone(),
            });
        } else if !seen.old && !seen.mark {
            renames.push(Rename::Mark(mark(swap)));
        }
        renames.push(Rename::Place {
            from: swap.new.clone(),
            to: swap.live.clone(),
        });
    }
    Ok(renames)
}

/// The renames, in their order, that bring everything from before back into use; what is in use
/// instead is kept where the restored one waited. `aside` ends the name of what nobody expected.
pub(super) fn back(swaps: &[Swap], seen: &[Seen], aside: &str) -> Vec<Rename> {
    let mut renames = Vec::new();
    for (swap, seen) in swaps.iter().zip(seen) {
        if !seen.old && !seen.mark {
            // It was not exchanged, or is brought back already.
            continue;
        }
        if seen.live && !seen.new {
            renames.push(Rename::Keep {
                from: swap.live.clone(),
                to: swap.new.clone(),
            });
        } else if seen.live && seen.old {
            // The restored one still waits: somebody else made the one that is in use.
            renames.push(Rename::Keep {
                from: swap.live.clone(),
                to: beside(&swap.old, aside),
            });
        }
        if seen.old {
            renames.push(Rename::Place {
                from: swap.old.clone(),
                to: swap.live.clone(),
            });
        }
        if seen.mark {
            renames.push(Rename::Unmark(mark(swap)));
        }
    }
    renames
}

/// A path beside the one where the folder of before is kept.
fn beside(old: &Path, aside: &str) -> PathBuf {
    let name = old.file_name().unwrap_or_default().to_string_lossy();
    let folder = old.parent().and_then(Path::parent).unwrap_or(old);
    folder.join("found").join(format!("{name}.{aside}"))
}
