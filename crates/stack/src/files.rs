//! Configs, secrets and `env_file` that a compose file takes from files. The engine's client would
//! look for the files on the manager, so matou sends their content with the deploy. Swarm can't
//! change a config or a secret, so their names hold a hash of the content.

use std::collections::BTreeMap;
use std::path::{Component, Path, PathBuf};

use include_dir::Dir;
use matou_i18n::tr;
use secrecy::{ExposeSecret, SecretString};
use serde_yaml::{Mapping, Value};
use sha2::{Digest, Sha256};

use matou_base::text::InvalidInput;
use matou_base::text::clean_line;

/// Swarm's limits, bytes.
const LARGEST_CONFIG: usize = 1_000 * 1024;
const LARGEST_SECRET: usize = 500 * 1024;

/// Where the files beside a stack file are.
#[derive(Debug, Clone)]
pub(super) enum StackFolder {
    BuiltIn(&'static Dir<'static>),
    Path(PathBuf),
}

impl StackFolder {
    pub(super) fn read_file(&self, name: &str) -> Result<Vec<u8>, InvalidInput> {
        let path = Path::new(name);
        match self {
            Self::BuiltIn(dir) => {
                let path: PathBuf = path
                    .components()
                    .filter(|c| *c != Component::CurDir)
                    .collect();
                let file = dir.get_file(&path);
                let file = file.ok_or_else(|| tr!("there is no file stacks/{name}"))?;
                Ok(file.contents().to_vec())
            }
            Self::Path(folder) => read_file_below(folder, path),
        }
    }
}

/// Reads a file that a stack file names, from the folder of the stack file only. A stack file may
/// come from the internet or from a repository: it must not get the operator's keys, or devices.
///
/// # Errors
/// One sentence.
fn read_file_below(folder: &Path, name: &Path) -> Result<Vec<u8>, InvalidInput> {
    use std::io::Read as _;
    // The folder of a bare `own.yml` is the empty path.
    let folder = match folder.as_os_str().is_empty() {
        true => Path::new("."),
        false => folder,
    };
    let path = folder.join(name);
    let failed = |e: std::io::Error| tr!("{} can't be read: {e}", path.display());
    let real = path.canonicalize().map_err(failed)?;
    if !real.starts_with(folder.canonicalize().map_err(failed)?) {
        return Err(InvalidInput::new(tr!(
            "{} is not in {}, where the stack file is: a stack gets files of its own folder alone; copy it there",
            clean_line(&name.display().to_string()),
            folder.display()
        )));
    }
    // Before it is opened: a pipe would be waited for.
    if !std::fs::metadata(&real).map_err(failed)?.is_file() {
        return Err(InvalidInput::new(tr!("{} is no file", path.display())));
    }
    let mut content = Vec::new();
    let file = std::fs::File::open(&real).map_err(failed)?;
    let most = LARGEST_CONFIG as u64 + 1;
    file.take(most).read_to_end(&mut content).map_err(failed)?;
    Ok(content)
}

/// A Swarm config that a stack needs.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct NeededConfig {
    /// As Swarm knows it: the file's own name, or one with a hash of the content.
    pub name: String,
    /// The content of the file, at most 1000 KiB.
    pub content: Vec<u8>,
    /// Labels that the stack file gives it.
    pub labels: BTreeMap<String, String>,
    /// What fills in templates in the content.
    pub template_driver: Option<String>,
    /// Hash of the content and of all else but labels, where the name does not hold it.
    pub content_hash: Option<String>,
}

/// A Swarm secret whose value stands in a file of the operator.
#[derive(Debug, Clone)]
pub struct FileSecret {
    /// As Swarm knows it: the file's own name, or one with a hash of the content.
    pub name: String,
    /// The content of the file.
    pub value: SecretString,
    /// Labels that the stack file gives it.
    pub labels: BTreeMap<String, String>,
    /// What fills in templates in the content.
    pub template_driver: Option<String>,
    /// Hash of the content and of all else but labels, where the name does not hold it.
    pub content_hash: Option<String>,
}

/// The configs and secrets of a stack that were read from files.
#[derive(Debug, Clone, Default)]
pub(super) struct ExternalizedFiles {
    pub configs: Vec<NeededConfig>,
    pub secrets: Vec<FileSecret>,
}

/// Turns configs and secrets with `file` or `content` into external ones, and returns them. Files
/// in `generated`, by path, replace those of the same paths.
///
/// # Errors
/// The section and name, and a sentence: a file that can't be read, or is too large.
pub(super) fn externalize_files(
    app: &str,
    compose: &mut Mapping,
    folder: &StackFolder,
    generated: &BTreeMap<String, SecretString>,
) -> Result<ExternalizedFiles, (String, String, String)> {
    let mut carried = ExternalizedFiles::default();
    for (kind, largest) in [("configs", LARGEST_CONFIG), ("secrets", LARGEST_SECRET)] {
        let Some(Value::Mapping(section)) = compose.get_mut(kind) else {
            continue;
        };
        for (key, value) in section {
            let key = key.as_str().unwrap_or_default().to_owned();
            let Value::Mapping(entry) = value else {
                continue;
            };
            let fail = |message: String| (kind.to_owned(), key.clone(), message);
            let content = match (entry.get("file"), entry.get("content")) {
                (Some(Value::String(file)), _) => {
                    match generated.get(file.trim_start_matches("./")) {
                        Some(text) => text.expose_secret().as_bytes().to_vec(),
                        None => folder.read_file(file).map_err(|e| fail(e.to_string()))?,
                    }
                }
                (None, Some(Value::String(text))) => text.clone().into_bytes(),
                // The engine's client would read such a file on the manager, as root.
                (Some(_), _) => return Err(fail(tr!("`file` is the path of a file").into())),
                (None, _) => continue,
            };
            if content.is_empty() || content.len() > largest {
                return Err(fail(tr!(
                    "{} bytes: Swarm takes 1 to {largest}",
                    content.len()
                )));
            }
            // Docker's own interpolation would remove these escapes.
            let plain = |text: &str| text.replace("$$", "$");
            let template_driver = entry.get("template_driver").and_then(Value::as_str);
            let template_driver = template_driver.map(plain);
            let hash = hash_content(&content, template_driver.as_deref());
            let own_name = entry.get("name").and_then(Value::as_str);
            let own_name = own_name.filter(|name| !name.is_empty()).map(plain);
            let content_hash = own_name.is_some().then(|| hash.clone());
            let name = own_name.unwrap_or_else(|| format!("{app}_{key}_{hash}"));
            let labels = super::labels::labels_from_value(entry.get("labels"));
            let labels = labels.iter().map(|(k, v)| (k.clone(), plain(v))).collect();
            for moved in ["file", "content", "labels", "template_driver"] {
                entry.remove(moved);
            }
            entry.insert("external".into(), true.into());
            let escaped = super::escape_dollars(&name);
            entry.insert("name".into(), escaped.into());
            if kind == "configs" {
                carried.configs.push(NeededConfig {
                    name,
                    content,
                    labels,
                    template_driver,
                    content_hash,
                });
            } else {
                let text = String::from_utf8(content)
                    .map_err(|_| fail(tr!("a secret from a file is text").into()))?;
                carried.secrets.push(FileSecret {
                    name,
                    value: text.into(),
                    labels,
                    template_driver,
                    content_hash,
                });
            }
        }
    }
    Ok(carried)
}

/// What of a config or a secret can't be changed, in eight digits.
fn hash_content(content: &[u8], template_driver: Option<&str>) -> String {
    let mut digest = Sha256::new();
    digest.update(content);
    if let Some(driver) = template_driver {
        digest.update([0]);
        digest.update(driver);
    }
    let digest = digest.finalize();
    digest[..4].iter().map(|b| format!("{b:02x}")).collect()
}
