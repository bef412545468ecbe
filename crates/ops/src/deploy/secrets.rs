//! Secrets of an application: made at random, given to Swarm, and kept on the storage node, because
//! Swarm can't give them back; in a backup they are encrypted.

use matou_i18n::tr;
use std::collections::BTreeMap;
use std::sync::Arc;
use std::time::Duration;

use async_trait::async_trait;
use base64::Engine as _;
use rand::RngExt as _;
use secrecy::{ExposeSecret, SecretBox, SecretString};

use crate::FleetContext;
use crate::OpsError;
use matou_config::unknown_name;
use matou_host::{Command, Host, shell_script};
use matou_job::{Change, Check, Step, StepContext, StepError};
use matou_stack::{Alphabet, Labels, RenderedStack, SecretSpec};

/// Where the values of one application's secrets are: files `NAME.vN` of the storage node, mode
/// 0600, in a folder of mode 0700 beside the data.
#[derive(Clone)]
pub(crate) struct SecretStore {
    host: Host,
    folder: String,
}

impl SecretStore {
    /// # Errors
    /// When the storage node is not among the nodes.
    pub(crate) fn open(fleet: &FleetContext, app: &str) -> Result<Self, OpsError> {
        let storage = &fleet.config.storage;
        let node = fleet.nodes.get(&storage.node).ok_or_else(|| {
            tr!(
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

    /// Lists what is kept: name and version, and whether the file is not empty. An empty file, as a
    /// power cut may leave it, is no value.
    async fn list_kept(&self) -> Result<BTreeMap<(String, u32), bool>, OpsError> {
        let files = self.list_files().await?;
        let entry = |(file, is_filled): (String, bool)| {
            let (name, version) = file.rsplit_once(".v")?;
            Some(((name.to_owned(), version.parse().ok()?), is_filled))
        };
        Ok(files.into_iter().filter_map(entry).collect())
    }

    /// Lists the files that are kept, and whether each is not empty.
    pub(super) async fn list_files(&self) -> Result<BTreeMap<String, bool>, OpsError> {
        let list = Command::sh(LIST_FILES)
            .arg(&self.folder)
            .sudo()
            .timeout(Duration::from_secs(20))
            .label(tr!("list secrets"));
        let out = self.host.run_ok(&list).await?;
        let entry = |line: &str| {
            let (size, file) = line.split_once(' ')?;
            Some((file.to_owned(), size != "0"))
        };
        Ok(out.stdout_text().lines().filter_map(entry).collect())
    }

    /// The content of a file that is kept.
    ///
    /// # Errors
    /// When it is not there, or can't be read.
    pub(super) async fn read_file(&self, file: &str) -> Result<SecretBox<Vec<u8>>, OpsError> {
        let read = Command::new("cat")
            .arg("--")
            .arg(format!("{}/{file}", self.folder))
            .sudo()
            .timeout(Duration::from_secs(20))
            .label(tr!("read {file}"));
        let out = self.host.run_ok(&read).await?;
        Ok(SecretBox::new(Box::new(out.stdout)))
    }

    /// Keeps a file, in the place of one that holds something else.
    ///
    /// # Errors
    /// When it can't be written.
    pub(super) async fn keep_file(
        &self,
        file: &str,
        content: SecretBox<Vec<u8>>,
    ) -> Result<(), OpsError> {
        let keep = Command::sh(KEEP_FILE)
            .arg(&self.folder)
            .arg(format!("{}/{file}", self.folder))
            .arg(content.expose_secret().len().to_string())
            .secret_stdin(content)
            .sudo()
            .timeout(Duration::from_secs(60))
            .label(tr!("keep {file}"));
        self.host.run_ok(&keep).await?;
        Ok(())
    }

    /// The newest version of each secret.
    pub(crate) async fn newest_versions(&self) -> Result<BTreeMap<String, u32>, OpsError> {
        let mut newest = BTreeMap::new();
        for (name, version) in self.list_kept().await?.into_keys() {
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
    pub(crate) async fn read_value(
        &self,
        name: &str,
        version: u32,
    ) -> Result<SecretString, OpsError> {
        let read = Command::new("cat")
            .arg("--")
            .arg(self.path(name, version))
            .sudo()
            .timeout(Duration::from_secs(20))
            .label(tr!("read the secret {name}"));
        let out = self.host.run_ok(&read).await?;
        String::from_utf8(out.stdout)
            .map(SecretString::from)
            .map_err(|_| OpsError::failed(tr!("the secret {name} is no text")))
    }

    /// Keeps a value unless one is kept already. Returns the value that is kept: of two callers at
    /// the same time both get that of the first.
    pub(super) async fn keep_value(
        &self,
        name: &str,
        version: u32,
        value: &SecretString,
    ) -> Result<SecretString, StepError> {
        let keep = Command::sh(KEEP_VALUE)
            .arg(&self.folder)
            .arg(self.path(name, version))
            .arg(value.expose_secret().len().to_string())
            .secret_stdin(secret_to_bytes(value))
            .sudo()
            .timeout(Duration::from_secs(30))
            .label(tr!("keep the secret {name}"));
        self.host.run_ok(&keep).await?;
        self.read_value(name, version)
            .await
            .map_err(StepError::from)
    }

    /// Returns the digest of each kept value with the given salt, as [`SecretMark::salted_digest`]
    /// makes it; an empty one for a value that can't be read.
    async fn compute_digests(
        &self,
        wanted: &[(String, u32, String)],
    ) -> Result<BTreeMap<(String, u32), String>, OpsError> {
        if wanted.is_empty() {
            return Ok(BTreeMap::new());
        }
        let args = wanted
            .iter()
            .flat_map(|(name, version, salt)| [salt.clone(), self.path(name, *version)]);
        let ask = Command::sh(PRINT_DIGESTS)
            .args(args)
            .sudo()
            .timeout(Duration::from_secs(30))
            .label(tr!("compare secrets"));
        let out = self.host.run_ok(&ask).await?;
        let text = out.stdout_text();
        let lines = text.lines().map(str::to_owned);
        let keys = wanted.iter().map(|(name, v, _)| (name.clone(), *v));
        Ok(keys.zip(lines).collect())
    }
}

/// Prints size and name of each file of the folder `$1`, which may not be there.
const LIST_FILES: &str =
    r#"[ ! -d "$1" ] || find "$1" -mindepth 1 -maxdepth 1 -type f -printf '%s %f\n'"#;

/// Keeps what comes, of `$3` bytes, as the file `$2` of the folder `$1`, where none is kept: root's own
/// folder first, then the file, on the disk, then its name. An empty file was never a value.
const KEEP_VALUE: &str = shell_script(include_str!("../../scripts/keep_secret.sh"));

/// Keeps what comes, of `$3` bytes, as the file `$2` of the folder `$1`, whatever is kept there.
const KEEP_FILE: &str = shell_script(include_str!("../../scripts/keep_external.sh"));

/// Prints a digest for each salt and file.
const PRINT_DIGESTS: &str = shell_script(include_str!("../../scripts/print_secret_digests.sh"));

/// Label of a secret of the swarm, whose value can't be read back. It tells whether a kept value is
/// the same one.
pub(crate) const MARK_LABEL: &str = "org.matou.value";

/// Label of secrets and configs of the swarm: the application that they were made for.
pub(crate) const APP_LABEL: &str = "org.matou.app";

/// Shortest value whose digest may be shown: shorter ones could be guessed by it.
const MIN_MARKED_LENGTH: usize = 16;

/// A salt, and the beginning of a digest.
struct SecretMark;

impl SecretMark {
    /// Makes the label for a value, with a new salt; `None` for a value that is too short for it.
    fn new_label(value: &SecretString) -> Option<String> {
        let salt: u64 = rand::rng().random();
        let salt = format!("{salt:016x}");
        let digest = Self::salted_digest(&salt, value)?;
        Some(format!("{salt}:{digest}"))
    }

    fn salted_digest(salt: &str, value: &SecretString) -> Option<String> {
        let value = value.expose_secret();
        if value.len() < MIN_MARKED_LENGTH {
            return None;
        }
        let salted = SecretString::from(format!("{salt}:{value}"));
        Some(matou_base::text::sha256_hex(salted.expose_secret())[..16].to_owned())
    }

    /// Whether a label was made for this value.
    fn label_matches(label: &str, value: &SecretString) -> bool {
        let parts = label.split_once(':');
        parts.is_some_and(|(salt, is)| Self::salted_digest(salt, value).as_deref() == Some(is))
    }
}

/// Whether a secret has the same value in the swarm as the one that is kept.
enum SecretMatch {
    Same,
    Other,
    /// It was made before they could be compared.
    Unknown,
}

fn secret_to_bytes(value: &SecretString) -> SecretBox<Vec<u8>> {
    SecretBox::new(Box::new(value.expose_secret().as_bytes().to_vec()))
}

/// A new value.
fn generate_secret(spec: &SecretSpec) -> SecretString {
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

/// Makes the secrets and configs of a stack that the swarm does not have.
pub(super) struct EnsureSecrets {
    pub app: String,
    pub rendered: Arc<RenderedStack>,
    pub store: SecretStore,
}

/// A secret or config that is made of a file.
struct FileObject<'a> {
    /// `secret` or `config`.
    kind: &'a str,
    name: &'a str,
    content: SecretBox<Vec<u8>>,
    labels: &'a BTreeMap<String, String>,
    template_driver: Option<&'a str>,
    content_hash: Option<&'a str>,
}

/// Label of what is made of a file under a name of the file's own, with the hash of its content.
pub(crate) const CONTENT_LABEL: &str = "org.matou.content";

impl<'a> FileObject<'a> {
    fn list_secrets(rendered: &'a RenderedStack) -> Vec<Self> {
        let secrets = rendered.file_secrets.iter();
        secrets
            .map(|needed| Self {
                kind: "secret",
                name: &needed.name,
                content: secret_to_bytes(&needed.value),
                labels: &needed.labels,
                template_driver: needed.template_driver.as_deref(),
                content_hash: needed.content_hash.as_deref(),
            })
            .collect()
    }

    fn list_configs(rendered: &'a RenderedStack) -> Vec<Self> {
        let configs = rendered.configs.iter();
        configs
            .map(|needed| Self {
                kind: "config",
                name: &needed.name,
                content: SecretBox::new(Box::new(needed.content.clone())),
                labels: &needed.labels,
                template_driver: needed.template_driver.as_deref(),
                content_hash: needed.content_hash.as_deref(),
            })
            .collect()
    }

    /// Compares it with those of the swarm. Under a name of the file's own, the content may be another.
    ///
    /// # Errors
    /// Swarm has other content under this name, which it can't change.
    fn check_against(&self, swarm: &BTreeMap<String, Labels>) -> Result<Change, StepError> {
        let what = format!("{} {}", self.kind, self.name);
        let Some(labels) = swarm.get(self.name) else {
            return Ok(Change::add(what));
        };
        match (self.content_hash, labels.get(CONTENT_LABEL)) {
            (None, _) => Ok(Change::same(what)),
            (Some(wanted), Some(is)) if wanted == is => Ok(Change::same(what)),
            (Some(_), Some(_)) => Err(StepError::failed(tr!(
                "the {what} has other content, or another template driver, and Swarm can't change it: give it another `name:` in the stack file, or none"
            ))),
            (Some(_), None) => Ok(Change::same(what).with_warning(
                tr!("it was not made by a deploy of this kind: its content may be another than the file's"),
            )),
        }
    }

    /// The command that makes it, without its name.
    fn new_create_command(&self, app: &str) -> Command {
        let mut create = new_create_command(self.kind, app);
        for (key, value) in self.labels {
            create = create.arg("--label").arg(format!("{key}={value}"));
        }
        if let Some(hash) = self.content_hash {
            create = create.arg("--label").arg(format!("{CONTENT_LABEL}={hash}"));
        }
        if let Some(driver) = self.template_driver {
            create = create.arg("--template-driver").arg(driver);
        }
        create
    }
}

fn new_create_command(kind: &str, app: &str) -> Command {
    Command::new("docker")
        .args([kind, "create", "--label"])
        .arg(format!("{APP_LABEL}={app}"))
}

/// Makes a secret or config, whose content goes by standard input.
pub(super) async fn create_object(
    cx: &StepContext,
    create: Command,
    name: &str,
    content: SecretBox<Vec<u8>>,
) -> Result<(), StepError> {
    let create = create
        .args(["--", name, "-"])
        .secret_stdin(content)
        .sudo()
        .timeout(Duration::from_secs(30));
    cx.host.run_ok(&create).await?;
    Ok(())
}

impl EnsureSecrets {
    /// Lists what is kept, as [`SecretStore::list_kept`]; asks nothing for a stack without secrets.
    async fn list_kept_versions(&self) -> Result<BTreeMap<(String, u32), bool>, StepError> {
        match self.rendered.secrets.is_empty() {
            true => Ok(BTreeMap::new()),
            false => self.store.list_kept().await.map_err(StepError::from),
        }
    }

    /// Compares the secrets that are both in the swarm and kept, by their name in the swarm.
    async fn compare_with_kept(
        &self,
        swarm: &BTreeMap<String, Labels>,
        kept: &BTreeMap<(String, u32), bool>,
    ) -> Result<BTreeMap<String, SecretMatch>, StepError> {
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
            match labels.get(MARK_LABEL).and_then(|m| m.split_once(':')) {
                Some((salt, digest)) => {
                    wanted.push((key.0, key.1, salt.to_owned()));
                    found.insert(needed.swarm_name.clone(), (digest.to_owned(), wanted.len()));
                }
                None => {
                    found.insert(needed.swarm_name.clone(), (String::new(), 0));
                }
            }
        }
        let digests = self.store.compute_digests(&wanted).await;
        let digests = digests?;
        let compared = found.into_iter().map(|(name, (digest, at))| {
            let Some((of, version, _)) = at.checked_sub(1).and_then(|i| wanted.get(i)) else {
                return (name, SecretMatch::Unknown);
            };
            let is = digests.get(&(of.clone(), *version));
            match is.is_some_and(|is| *is == digest) {
                true => (name, SecretMatch::Same),
                false => (name, SecretMatch::Other),
            }
        });
        Ok(compared.collect())
    }
}

#[async_trait]
impl Step for EnsureSecrets {
    fn name(&self) -> String {
        tr!("secrets").into()
    }

    async fn check(&self, cx: &StepContext) -> Result<Check, StepError> {
        let swarm = cx.docker.list_secrets().await?;
        let mut lines = Vec::new();
        let kept = self.list_kept_versions().await?;
        let compared = self.compare_with_kept(&swarm, &kept).await?;
        for needed in &self.rendered.secrets {
            let name = &needed.swarm_name;
            let stored = kept.get(&(needed.spec.name.clone(), needed.version));
            lines.push(match (swarm.contains_key(name), stored) {
                (true, Some(true)) => match compared.get(name) {
                    Some(SecretMatch::Same) => Change::same(tr!("secret {name}")),
                    Some(SecretMatch::Other) => Change::same(tr!("secret {name} is in use")).with_warning(
                        match needed.spec.keep {
                            true => tr!("ANOTHER VALUE IS KEPT for the backup: what the one in use encrypts is lost with the swarm; read it in a container of the application (/run/secrets) and keep it yourself"),
                            false => tr!("ANOTHER VALUE IS KEPT for the backup than the one in use: `matou secrets` rotates it"),
                        },
                    ),
                    _ => Change::same(tr!(
                        "secret {name}, there before values could be compared with those that are kept"
                    )),
                },
                (true, _) => Change::same(tr!("secret {name}")).with_warning(
                    tr!("its value is kept nowhere else: it is lost when the swarm is; `matou secrets` rotates it"),
                ),
                (false, Some(true)) => {
                    Change::add(tr!("secret {name}, with the value that is kept"))
                }
                (false, Some(false)) => Change::add(tr!("secret {name}, made at random")).with_warning(
                    tr!("an empty file is kept in its place, as a power cut leaves it: if it was in use, restore the application from a snapshot instead"),
                ),
                (false, None) => Change::add(tr!("secret {name}, made at random")),
            });
        }
        for needed in FileObject::list_secrets(&self.rendered) {
            lines.push(needed.check_against(&swarm)?);
        }
        if !self.rendered.configs.is_empty() {
            let configs = cx.docker.list_configs().await?;
            for needed in FileObject::list_configs(&self.rendered) {
                lines.push(needed.check_against(&configs)?);
            }
        }
        Ok(Check::from_changes(lines))
    }

    async fn apply(&self, cx: &StepContext) -> Result<(), StepError> {
        let swarm = cx.docker.list_secrets().await?;
        let kept = self.list_kept_versions().await?;
        for needed in &self.rendered.secrets {
            if swarm.contains_key(&needed.swarm_name) {
                continue;
            }
            let (name, version) = (&needed.spec.name, needed.version);
            let value = if kept.get(&(name.clone(), version)) == Some(&true) {
                let value = self.store.read_value(name, version).await;
                value?
            } else {
                // Kept before it is used: a value that only Swarm knows can't be restored.
                let value = generate_secret(&needed.spec);
                self.store.keep_value(name, version, &value).await?
            };
            if value.expose_secret().is_empty() {
                return Err(StepError::failed(tr!(
                    "what is kept of the secret {name} is empty: remove {} on the storage node, or restore it",
                    self.store.path(name, version)
                )));
            }
            let mark = SecretMark::new_label(&value);
            let mut create = new_create_command("secret", &self.app);
            if let Some(mark) = mark {
                create = create.arg("--label").arg(format!("{MARK_LABEL}={mark}"));
            }
            let made = create_object(cx, create, &needed.swarm_name, secret_to_bytes(&value));
            if let Err(why) = made.await {
                // Somebody else made it first: no failure if it has the value that is kept.
                let now = cx.docker.list_secrets().await?;
                let label = now.get(&needed.swarm_name).and_then(|l| l.get(MARK_LABEL));
                if !label.is_some_and(|label| SecretMark::label_matches(label, &value)) {
                    return Err(why);
                }
            }
        }
        let mut made_of_files = FileObject::list_secrets(&self.rendered);
        made_of_files.retain(|needed| !swarm.contains_key(needed.name));
        if !self.rendered.configs.is_empty() {
            let configs = cx.docker.list_configs().await?;
            let needed = FileObject::list_configs(&self.rendered).into_iter();
            made_of_files.extend(needed.filter(|needed| !configs.contains_key(needed.name)));
        }
        for needed in made_of_files {
            let create = needed.new_create_command(&self.app);
            create_object(cx, create, needed.name, needed.content).await?;
        }
        Ok(())
    }
}

/// The newest version of each secret that is kept for an application.
///
/// # Errors
/// One sentence, when the storage node can't be asked.
pub async fn read_secret_versions(
    fleet: &FleetContext,
    app: &str,
) -> Result<BTreeMap<String, u32>, OpsError> {
    SecretStore::open(fleet, app)?.newest_versions().await
}

/// The value of a secret of an application.
///
/// # Errors
/// One sentence: there is none of that name, or the storage node can't be asked.
pub async fn read_secret(
    fleet: &FleetContext,
    app: &str,
    name: &str,
) -> Result<secrecy::SecretString, OpsError> {
    let store = SecretStore::open(fleet, app)?;
    let versions = store.newest_versions().await?;
    let version = versions.get(name).ok_or_else(|| {
        let names = versions.keys().map(String::as_str);
        unknown_name(&tr!("secret of {app}"), name, names)
    })?;
    store.read_value(name, *version).await
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_name_of_the_files_own_stands_for_one_content() {
        let labels = BTreeMap::from([("kept".to_owned(), "yes".to_owned())]);
        let object = |content_hash| FileObject {
            kind: "config",
            name: "my_c_v1",
            content: SecretBox::new(Box::new(b"x".to_vec())),
            labels: &labels,
            template_driver: Some("golang"),
            content_hash,
        };
        let in_swarm = |hash: Option<&str>| {
            let label = hash.map(|hash| (CONTENT_LABEL.to_owned(), hash.to_owned()));
            let labels: Labels = label.into_iter().collect();
            BTreeMap::from([("my_c_v1".to_owned(), labels)])
        };
        let own = object(Some("0a"));
        assert!(own.check_against(&BTreeMap::new()).is_ok());
        assert!(own.check_against(&in_swarm(Some("0a"))).is_ok());
        let unknown = own.check_against(&in_swarm(None)).unwrap();
        assert!(unknown.warning.is_some());
        let other = own.check_against(&in_swarm(Some("0b"))).unwrap_err();
        assert!(
            other.to_string().contains("give it another `name:`"),
            "{other}"
        );
        // A name with a hash in it says what is in it.
        let hashed = object(None).check_against(&in_swarm(None)).unwrap();
        assert!(hashed.warning.is_none());
        let command = format!("{:?}", own.new_create_command("shop"));
        for part in [
            "config create",
            "org.matou.app=shop",
            "kept=yes",
            "org.matou.content=0a",
            "--template-driver golang",
        ] {
            assert!(command.contains(part), "{part}: {command}");
        }
    }

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
                scope.spawn(move || sh(KEEP_VALUE, &[d, f, "6"], format!("value{i}").as_bytes()));
            }
        });
        let first = kept();
        assert!(first.starts_with("value"), "{first}");
        sh(KEEP_VALUE, &[d, f, "6"], b"value9");
        assert_eq!(kept(), first);
        assert_eq!(sh(LIST_FILES, &[d], b""), "6 key.v1\n");
        std::fs::write(&file, "").unwrap();
        assert_eq!(sh(LIST_FILES, &[d], b""), "0 key.v1\n");
        sh(KEEP_VALUE, &[d, f, "6"], b"value9");
        assert_eq!(kept(), "value9");
        assert_eq!(sh(LIST_FILES, &["/nowhere"], b""), "");
    }

    #[test]
    fn what_others_made_is_kept_as_it_is_now() {
        let dir = tempfile::tempdir().unwrap();
        let folder = dir.path().join("sh op");
        let (d, file) = (
            folder.to_str().unwrap(),
            folder.join("x.v1.external-secret"),
        );
        let f = file.to_str().unwrap();
        for content in [b"a\nb\0", b"a\nb\0", b"c\nd\xff"] {
            sh(KEEP_FILE, &[d, f, "4"], content);
            assert_eq!(std::fs::read(&file).unwrap(), content);
            assert_eq!(sh(LIST_FILES, &[d], b""), "4 x.v1.external-secret\n");
        }
    }

    #[test]
    fn a_kept_value_is_known_by_its_mark() {
        let value = SecretString::from("0123456789abcdef-x".to_owned());
        let mark = SecretMark::new_label(&value).unwrap();
        assert!(SecretMark::label_matches(&mark, &value) && !mark.contains("0123456789abcdef"));
        assert!(!SecretMark::label_matches(
            &mark,
            &"another-value-of-it".to_owned().into()
        ));
        assert_ne!(mark, SecretMark::new_label(&value).unwrap());
        assert!(SecretMark::new_label(&"short".to_owned().into()).is_none());
        // The node makes the same of it.
        let dir = tempfile::tempdir().unwrap();
        let file = dir.path().join("key.v1");
        std::fs::write(&file, value.expose_secret()).unwrap();
        let (salt, digest) = mark.split_once(':').unwrap();
        let args = ["s", "/nowhere", salt, file.to_str().unwrap()];
        assert_eq!(sh(PRINT_DIGESTS, &args, b""), format!("\n{digest}\n"));
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
        let plain = generate_secret(&spec(Alphabet::Alphanumeric, ""));
        assert_eq!(plain.expose_secret().len(), 32);
        let hex = generate_secret(&spec(Alphabet::Hex, ""));
        assert!(hex.expose_secret().bytes().all(|b| b.is_ascii_hexdigit()));
        let coded = generate_secret(&spec(Alphabet::Base64, "base64:"));
        let raw = coded.expose_secret().strip_prefix("base64:").unwrap();
        let raw = base64::engine::general_purpose::STANDARD.decode(raw);
        assert_eq!(raw.unwrap().len(), 32);
        assert_ne!(
            plain.expose_secret(),
            generate_secret(&spec(Alphabet::Alphanumeric, "")).expose_secret()
        );
    }
}
