//! The ends of files that grow.

use matou_i18n::tr;
use std::fs::File;
use std::io::{Read, Seek, SeekFrom};
use std::path::Path;

/// Bytes that are read of the end of a file.
const TAIL_BYTES: u64 = 6 << 20;

/// Reads the end of a file, from the beginning of a line.
pub(super) fn read_tail(path: &Path) -> std::io::Result<String> {
    // A pipe would be waited for.
    if !std::fs::metadata(path)?.is_file() {
        return Err(std::io::Error::other(tr!("it is no file")));
    }
    let mut file = File::open(path)?;
    let length = file.metadata()?.len();
    let skipped = length.saturating_sub(TAIL_BYTES);
    file.seek(SeekFrom::Start(skipped))?;
    let mut bytes = Vec::new();
    file.take(TAIL_BYTES).read_to_end(&mut bytes)?;
    let text = String::from_utf8_lossy(&bytes).into_owned();
    Ok(match (skipped, text.split_once('\n')) {
        (0, _) | (_, None) => text,
        (_, Some((_, whole))) => whole.to_owned(),
    })
}

/// Reads the end of the journal in the state folder, and of the one before it; `None` where there is none.
pub(super) fn read_journal(state: &Path) -> Option<String> {
    let path = state.join("journal.jsonl");
    let new = read_tail(&path).ok()?;
    Some(read_tail(&path.with_extension("jsonl.old")).unwrap_or_default() + &new)
}
