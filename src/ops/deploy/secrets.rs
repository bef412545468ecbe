//! Secrets of an application: made at random, given to Swarm, and kept on the storage node, because
//! Swarm can't give them back; in a backup they are encrypted.

use std::collections::BTreeMap;
use std::sync::Arc;
use std::time::Duration;

use async_trait::async_trait;
use base64::Engine as _;
use rand::RngExt as _;
use secrecy::{ExposeSecret, SecretBox, SecretString};

use crate::host::{Command, Host};
use crate::job::{Change, Check, Cx, Step, StepError};
use crate::ops::Context;
use crate::ops::tasks::docker_failed;
use crate::stack::{Alphabet, Labels, Rendered, SecretSpec};

/// Where the values of one application's secrets are: files `NAME.vN` of the storage node, mode
/// 0600, in a folder of mode 0700 beside the data.
#[derive(Clone)]
pub(in crate::ops) struct Store {
    host: Host,
    folder: String,
}

impl Store {
    /// # Errors
    /// When the storage node is not among the nodes.
    pub fn of(cx: &Context, app: &str) -> Result<Self, String> {
        let storage = &cx.config.storage;
        let node = cx.nodes.get(&storage.node).ok_or_else(|| {
            format!(
                "[storage] node = {:?} is not among the nodes of config.toml",
                storage.node
            )
        })?;
        let folder = storage.path.join(".matou/secrets").join(app);
        Ok(Self {
            host: node.host.clone(),
            folder: folder.display().to_string(),
        })
    }

    /// Names and versions of what is there, and whether there is anything in it: a power cut may have
    /// left an empty file, which is no value.
    async fn list(&self) -> Result<BTreeMap<(String, u32), bool>, String> {
        let list = Command::sh(LIST)
            .arg(&self.folder)
            .sudo()
            .timeout(Duration::from_secs(20))
            .label("list secrets");
        let out = self.host.run_ok(&list).await.map_err(|e| e.to_string())?;
        let entry = |line: &str| {
            let (size, file) = line.split_once(' ')?;
            let (name, version) = file.rsplit_once(".v")?;
            Some(((name.to_owned(), version.parse().ok()?), size != "0"))
        };
        Ok(out.text().lines().filter_map(entry).collect())
    }

    /// The newest version of each secret.
    pub async fn versions(&self) -> Result<BTreeMap<String, u32>, String> {
        let mut newest = BTreeMap::new();
        for (name, version) in self.list().await?.into_keys() {
            let at = newest.entry(name).or_insert(version);
            *at = version.max(*at);
        }
        Ok(newest)
    }

    fn path(&self, name: &str, version: u32) -> String {
        format!("{}/{name}.v{version}", self.folder)
    }

    /// The value of a secret.
    ///
    /// # Errors
    /// When it is not there, or can't be read.
    pub async fn read(&self, name: &str, version: u32) -> Result<SecretString, String> {
        let read = Command::new("cat")
            .arg("--")
            .arg(self.path(name, version))
            .sudo()
            .timeout(Duration::from_secs(20))
            .label(format!("read the secret {name}"));
        let out = self.host.run_ok(&read).await.map_err(|e| e.to_string())?;
        String::from_utf8(out.stdout)
            .map(SecretString::from)
            .map_err(|_| format!("the secret {name} is no text"))
    }

    /// Keeps a value, unless one is kept already; answers with the one that is kept: of two who do
    /// this at once both have the first one's.
    async fn keep(
        &self,
        name: &str,
        version: u32,
        value: &SecretString,
    ) -> Result<SecretString, StepError> {
        let keep = Command::sh(KEEP)
            .arg(&self.folder)
            .arg(self.path(name, version))
            .arg(value.expose_secret().len().to_string())
            .secret_stdin(bytes(value))
            .sudo()
            .timeout(Duration::from_secs(30))
            .label(format!("keep the secret {name}"));
        self.host.run_ok(&keep).await?;
        self.read(name, version).await.map_err(StepError::failed)
    }

    /// What [`Mark::of`] the kept values with these salts is, by secret; nothing for one that can't
    /// be read.
    async fn digests(
        &self,
        wanted: &[(String, u32, String)],
    ) -> Result<BTreeMap<(String, u32), String>, String> {
        if wanted.is_empty() {
            return Ok(BTreeMap::new());
        }
        let args = wanted
            .iter()
            .flat_map(|(name, version, salt)| [salt.clone(), self.path(name, *version)]);
        let ask = Command::sh(DIGESTS)
            .args(args)
            .sudo()
            .timeout(Duration::from_secs(30))
            .label("compare secrets");
        let out = self.host.run_ok(&ask).await.map_err(|e| e.to_string())?;
        let text = out.text();
        let lines = text.lines().map(str::to_owned);
        let keys = wanted.iter().map(|(name, v, _)| (name.clone(), *v));
        Ok(keys.zip(lines).collect())
    }
}

/// Prints size and name of each file of the folder `$1`, which may not be there.
const LIST: &str =
    r#"[ ! -d "$1" ] || find "$1" -mindepth 1 -maxdepth 1 -type f -printf '%s %f\n'"#;

/// Keeps what comes, of `$3` bytes, as the file `$2` of the folder `$1`, where none is kept: root's own
/// folder first, then the file, on the disk, then its name. An empty file was never a value.
const KEEP: &str = r#"set -e; umask 077
mkdir -p -- "$1"; chmod 700 -- "$1"
exec 9<"$1"; flock -w 20 9 || { echo "another one keeps secrets here for 20 s" >&2; exit 1; }
[ ! -s "$2" ] || { cat >/dev/null; exit 0; }
new=$(mktemp "$1/.tmp-XXXXXX"); trap 'rm -f -- "$new"' EXIT
cat >"$new"
[ "$(wc -c <"$new")" -eq "$3" ] || { echo "it arrived incomplete" >&2; exit 1; }
sync -- "$new"; mv -f -T -- "$new" "$2"; sync -- "$1""#;

/// Prints a digest for each salt and file.
const DIGESTS: &str = r#"while [ $# -gt 1 ]; do
    if [ -s "$2" ]; then d=$({ printf '%s:' "$1"; cat -- "$2"; } | sha256sum | cut -c1-16); else d=; fi
    printf '%s\n' "$d"; shift 2
done"#;

/// Label of a secret of the swarm, which can't be read again: tells whether a value that is kept is the
/// one in it.
const MARK: &str = "org.matou.value";

/// Shortest value whose digest may be shown: shorter ones could be guessed by it.
const LONG_ENOUGH: usize = 16;

/// A salt, and the beginning of a digest.
struct Mark;

impl Mark {
    /// For a value that is random and long; `None` for another.
    fn of(value: &SecretString) -> Option<String> {
        let salt: u64 = rand::rng().random();
        let salt = format!("{salt:016x}");
        let digest = Self::digest(&salt, value)?;
        Some(format!("{salt}:{digest}"))
    }

    fn digest(salt: &str, value: &SecretString) -> Option<String> {
        let value = value.expose_secret();
        if value.len() < LONG_ENOUGH {
            return None;
        }
        let salted = SecretString::from(format!("{salt}:{value}"));
        Some(crate::text::sha256(salted.expose_secret())[..16].to_owned())
    }

    /// Whether a label is that of a value.
    fn fits(label: &str, value: &SecretString) -> bool {
        let parts = label.split_once(':');
        parts.is_some_and(|(salt, is)| Self::digest(salt, value).as_deref() == Some(is))
    }
}

/// How the value of a secret in the swarm stands to the one that is kept.
enum Kept {
    Same,
    Other,
    /// It was made before they could be compared.
    Unknown,
}

fn bytes(value: &SecretString) -> SecretBox<Vec<u8>> {
    SecretBox::new(Box::new(value.expose_secret().as_bytes().to_vec()))
}

/// A new value.
fn generate(spec: &SecretSpec) -> SecretString {
    let mut random = rand::rng();
    let mut some = |alphabet: &[u8]| -> String {
        (0..spec.length)
            .map(|_| char::from(alphabet[random.random_range(0..alphabet.len())]))
            .collect()
    };
    let value = match spec.alphabet {
        Alphabet::Alphanumeric => {
            some(b"ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789")
        }
        Alphabet::Hex => some(b"0123456789abcdef"),
        Alphabet::Base64 => {
            let raw: Vec<u8> = (0..spec.length).map(|_| random.random()).collect();
            base64::engine::general_purpose::STANDARD.encode(raw)
        }
    };
    format!("{}{value}", spec.prefix).into()
}

/// The secrets and configs of a stack are there.
pub(super) struct Secrets {
    pub app: String,
    pub rendered: Arc<Rendered>,
    pub store: Store,
}

impl Secrets {
    async fn create(
        &self,
        cx: &Cx,
        kind: &str,
        name: &str,
        value: SecretBox<Vec<u8>>,
        mark: Option<String>,
    ) -> Result<(), StepError> {
        let mut create = Command::new("docker")
            .args([kind, "create", "--label"])
            .arg(format!("org.matou.app={}", self.app));
        if let Some(mark) = mark {
            create = create.arg("--label").arg(format!("{MARK}={mark}"));
        }
        let create = create
            .args([name, "-"])
            .secret_stdin(value)
            .sudo()
            .timeout(Duration::from_secs(30));
        cx.host.run_ok(&create).await?;
        Ok(())
    }
}

impl Secrets {
    /// What is kept, by name and version; whether there is anything in the file.
    async fn kept(&self) -> Result<BTreeMap<(String, u32), bool>, StepError> {
        match self.rendered.secrets.is_empty() {
            true => Ok(BTreeMap::new()),
            false => self.store.list().await.map_err(StepError::failed),
        }
    }

    /// How those that are in the swarm and are kept stand to each other, by name in the swarm.
    async fn compare(
        &self,
        swarm: &BTreeMap<String, Labels>,
        kept: &BTreeMap<(String, u32), bool>,
    ) -> Result<BTreeMap<String, Kept>, StepError> {
        let mut found = BTreeMap::new();
        let mut wanted = Vec::new();
        for needed in &self.rendered.secrets {
            let key = (needed.spec.name.clone(), needed.version);
            let Some(labels) = swarm.get(&needed.swarm_name) else {
                continue;
            };
            if kept.get(&key) != Some(&true) {
                continue;
            }
            match labels.get(MARK).and_then(|m| m.split_once(':')) {
                Some((salt, digest)) => {
                    wanted.push((key.0, key.1, salt.to_owned()));
                    found.insert(needed.swarm_name.clone(), (digest.to_owned(), wanted.len()));
                }
                None => {
                    found.insert(needed.swarm_name.clone(), (String::new(), 0));
                }
            }
        }
        let digests = self.store.digests(&wanted).await;
        let digests = digests.map_err(StepError::failed)?;
        let compared = found.into_iter().map(|(name, (digest, at))| {
            let Some((of, version, _)) = at.checked_sub(1).and_then(|i| wanted.get(i)) else {
                return (name, Kept::Unknown);
            };
            let is = digests.get(&(of.clone(), *version));
            match is.is_some_and(|is| *is == digest) {
                true => (name, Kept::Same),
                false => (name, Kept::Other),
            }
        });
        Ok(compared.collect())
    }
}

#[async_trait]
impl Step for Secrets {
    fn name(&self) -> String {
        "secrets".into()
    }

    async fn check(&self, cx: &Cx) -> Result<Check, StepError> {
        let swarm = cx.docker.secrets().await.map_err(docker_failed)?;
        let mut lines = Vec::new();
        let kept = self.kept().await?;
        let compared = self.compare(&swarm, &kept).await?;
        for needed in &self.rendered.secrets {
            let name = &needed.swarm_name;
            let stored = kept.get(&(needed.spec.name.clone(), needed.version));
            lines.push(match (swarm.contains_key(name), stored) {
                (true, Some(true)) => match compared.get(name) {
                    Some(Kept::Same) => Change::same(format!("secret {name}")),
                    Some(Kept::Other) => Change::same(format!("secret {name} is in use")).warn(
                        match needed.spec.keep {
                            true => "ANOTHER VALUE IS KEPT for the backup: what the one in use encrypts is lost with the swarm; read it in a container of the application (/run/secrets) and keep it yourself",
                            false => "ANOTHER VALUE IS KEPT for the backup than the one in use: `matou secrets` rotates it",
                        },
                    ),
                    _ => Change::same(format!(
                        "secret {name}, there before values could be compared with those that are kept"
                    )),
                },
                (true, _) => Change::same(format!("secret {name}")).warn(
                    "its value is kept nowhere else: it is lost when the swarm is; `matou secrets` rotates it",
                ),
                (false, Some(true)) => {
                    Change::add(format!("secret {name}, with the value that is kept"))
                }
                (false, Some(false)) => Change::add(format!("secret {name}, made at random")).warn(
                    "an empty file is kept in its place, as a power cut leaves it: if it was in use, restore the application from a snapshot instead",
                ),
                (false, None) => Change::add(format!("secret {name}, made at random")),
            });
        }
        for needed in &self.rendered.file_secrets {
            lines.push(match swarm.contains_key(&needed.name) {
                true => Change::same(format!("secret {}", needed.name)),
                false => Change::add(format!("secret {}", needed.name)),
            });
        }
        if !self.rendered.configs.is_empty() {
            let configs = cx.docker.configs().await.map_err(docker_failed)?;
            for needed in &self.rendered.configs {
                lines.push(match configs.contains(&needed.name) {
                    true => Change::same(format!("config {}", needed.name)),
                    false => Change::add(format!("config {}", needed.name)),
                });
            }
        }
        Ok(super::changed(lines))
    }

    async fn apply(&self, cx: &Cx) -> Result<(), StepError> {
        let swarm = cx.docker.secrets().await.map_err(docker_failed)?;
        let kept = self.kept().await?;
        for needed in &self.rendered.secrets {
            if swarm.contains_key(&needed.swarm_name) {
                continue;
            }
            let (name, version) = (&needed.spec.name, needed.version);
            let value = if kept.get(&(name.clone(), version)) == Some(&true) {
                let value = self.store.read(name, version).await;
                value.map_err(StepError::failed)?
            } else {
                // Kept before it is used: a value that only Swarm knows can't be restored.
                let value = generate(&needed.spec);
                self.store.keep(name, version, &value).await?
            };
            if value.expose_secret().is_empty() {
                return Err(StepError::failed(format!(
                    "what is kept of the secret {name} is empty: remove {} on the storage node, or restore it",
                    self.store.path(name, version)
                )));
            }
            let mark = Mark::of(&value);
            let made = self.create(cx, "secret", &needed.swarm_name, bytes(&value), mark);
            if let Err(why) = made.await {
                // Another one was quicker: with the value that is kept, or not.
                let now = cx.docker.secrets().await.map_err(docker_failed)?;
                let label = now.get(&needed.swarm_name).and_then(|l| l.get(MARK));
                if !label.is_some_and(|label| Mark::fits(label, &value)) {
                    return Err(why);
                }
            }
        }
        for needed in &self.rendered.file_secrets {
            if !swarm.contains_key(&needed.name) {
                self.create(cx, "secret", &needed.name, bytes(&needed.value), None)
                    .await?;
            }
        }
        if !self.rendered.configs.is_empty() {
            let configs = cx.docker.configs().await.map_err(docker_failed)?;
            for needed in &self.rendered.configs {
                if !configs.contains(&needed.name) {
                    let content = SecretBox::new(Box::new(needed.content.clone()));
                    self.create(cx, "config", &needed.name, content, None)
                        .await?;
                }
            }
        }
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn sh(script: &str, args: &[&str], input: &[u8]) -> String {
        use std::io::Write;
        let mut child = std::process::Command::new("sh")
            .args(["-c", script, "sh"])
            .args(args)
            .stdin(std::process::Stdio::piped())
            .stdout(std::process::Stdio::piped())
            .spawn()
            .unwrap();
        let _ = child.stdin.take().unwrap().write_all(input);
        let out = child.wait_with_output().unwrap();
        assert!(out.status.success(), "{out:?}");
        String::from_utf8(out.stdout).unwrap()
    }

    #[test]
    fn the_first_value_is_kept_and_an_empty_one_never_believed() {
        let dir = tempfile::tempdir().unwrap();
        let folder = dir.path().join("sh op");
        let (d, file) = (folder.to_str().unwrap(), folder.join("key.v1"));
        let f = file.to_str().unwrap();
        let kept = || std::fs::read_to_string(&file).unwrap();
        std::thread::scope(|scope| {
            for i in 0..8 {
                scope.spawn(move || sh(KEEP, &[d, f, "6"], format!("value{i}").as_bytes()));
            }
        });
        let first = kept();
        assert!(first.starts_with("value"), "{first}");
        sh(KEEP, &[d, f, "6"], b"value9");
        assert_eq!(kept(), first);
        assert_eq!(sh(LIST, &[d], b""), "6 key.v1\n");
        std::fs::write(&file, "").unwrap();
        assert_eq!(sh(LIST, &[d], b""), "0 key.v1\n");
        sh(KEEP, &[d, f, "6"], b"value9");
        assert_eq!(kept(), "value9");
        assert_eq!(sh(LIST, &["/nowhere"], b""), "");
    }

    #[test]
    fn a_kept_value_is_known_by_its_mark() {
        let value = SecretString::from("0123456789abcdef-x".to_owned());
        let mark = Mark::of(&value).unwrap();
        assert!(Mark::fits(&mark, &value) && !mark.contains("0123456789abcdef"));
        assert!(!Mark::fits(&mark, &"another-value-of-it".to_owned().into()));
        assert_ne!(mark, Mark::of(&value).unwrap());
        assert!(Mark::of(&"short".to_owned().into()).is_none());
        // The node makes the same of it.
        let dir = tempfile::tempdir().unwrap();
        let file = dir.path().join("key.v1");
        std::fs::write(&file, value.expose_secret()).unwrap();
        let (salt, digest) = mark.split_once(':').unwrap();
        let args = ["s", "/nowhere", salt, file.to_str().unwrap()];
        assert_eq!(sh(DIGESTS, &args, b""), format!("\n{digest}\n"));
    }

    #[test]
    fn values_are_of_their_alphabet_and_never_twice_the_same() {
        let spec = |alphabet, prefix: &str| SecretSpec {
            name: "x".into(),
            help: String::new(),
            length: 32,
            alphabet,
            prefix: prefix.into(),
            keep: false,
        };
        let plain = generate(&spec(Alphabet::Alphanumeric, ""));
        assert_eq!(plain.expose_secret().len(), 32);
        let hex = generate(&spec(Alphabet::Hex, ""));
        assert!(hex.expose_secret().bytes().all(|b| b.is_ascii_hexdigit()));
        let coded = generate(&spec(Alphabet::Base64, "base64:"));
        let raw = coded.expose_secret().strip_prefix("base64:").unwrap();
        let raw = base64::engine::general_purpose::STANDARD.decode(raw);
        assert_eq!(raw.unwrap().len(), 32);
        assert_ne!(
            plain.expose_secret(),
            generate(&spec(Alphabet::Alphanumeric, "")).expose_secret()
        );
    }
}
