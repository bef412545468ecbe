//! What matou itself wrote last into files of the fleet folder. Where that is in no commit, it is nobody's edit all
//! the same.

use std::collections::BTreeMap;
use std::path::{Path, PathBuf};

use sha2::{Digest, Sha256};

use matou_base::files;

/// Where it is noted, in the repository's own folder.
const OWN_WRITES: &str = "matou-written.json";

/// SHA-256 of what matou wrote last, by the path of the file.
pub(super) struct OwnWrites {
    path: PathBuf,
    folder: PathBuf,
    hashes: BTreeMap<String, String>,
}

impl OwnWrites {
    /// Reads what was noted of a fleet folder; `None` where it is in no repository. Git is not asked: it is
    /// wanted most where git fails.
    pub(super) fn load_noted(folder: &Path) -> Option<Self> {
        let folder = folder.canonicalize().ok()?;
        let path = find_git_folder(&folder)?.join(OWN_WRITES);
        let text = files::read_text(&path, files::MAX_CONFIG_BYTES).ok();
        let hashes = text.and_then(|text| serde_json::from_str(&text).ok());
        Some(Self {
            path,
            folder,
            hashes: hashes.unwrap_or_default(),
        })
    }

    fn file_key(&self, name: &str) -> String {
        self.folder.join(name).to_string_lossy().into_owned()
    }

    /// Whether a file's content is what matou wrote into it.
    pub(super) fn was_written(&self, name: &str, content: &[u8]) -> bool {
        self.hashes.get(&self.file_key(name)) == Some(&hash_bytes(content))
    }

    /// Notes what was written into a file; nothing of one that is gone.
    pub(super) fn note_write(&mut self, name: &str, content: Option<&[u8]>) {
        let key = self.file_key(name);
        match content {
            Some(content) => self.hashes.insert(key, hash_bytes(content)),
            None => self.hashes.remove(&key),
        };
    }

    /// Writes it down.
    ///
    /// # Errors
    /// The disk's.
    pub(super) fn write_down(&self) -> std::io::Result<()> {
        let text = serde_json::to_vec(&self.hashes)?;
        files::write_atomically(&self.path, &text, files::PRIVATE_MODE)
    }
}

/// Returns the own folder of the repository that a folder is in: `.git`, or what a file of that name leads to.
fn find_git_folder(folder: &Path) -> Option<PathBuf> {
    let mut above = folder.ancestors();
    let (root, git) = above.find_map(|root| {
        let git = root.join(".git");
        git.exists().then_some((root, git))
    })?;
    if git.is_dir() {
        return Some(git);
    }
    let text = files::read_text(&git, files::MAX_CONFIG_BYTES).ok()?;
    Some(root.join(text.strip_prefix("gitdir:")?.trim()))
}

/// Returns the SHA-256 of a content, in hexadecimal.
pub(super) fn hash_bytes(content: &[u8]) -> String {
    let digest = Sha256::digest(content);
    digest.iter().map(|byte| format!("{byte:02x}")).collect()
}
