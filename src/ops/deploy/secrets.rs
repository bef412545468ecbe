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
use crate::stack::{Alphabet, Rendered, SecretSpec};

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

    /// Names and versions of what is there.
    async fn list(&self) -> Result<Vec<(String, u32)>, String> {
        let list = Command::sh("ls -1A -- \"$1\" 2>/dev/null || :")
            .arg(&self.folder)
            .sudo()
            .timeout(Duration::from_secs(20))
            .label("list secrets");
        let out = self.host.run_ok(&list).await.map_err(|e| e.to_string())?;
        let entry = |line: &str| {
            let (name, version) = line.rsplit_once(".v")?;
            Some((name.to_owned(), version.parse().ok()?))
        };
        Ok(out.text().lines().filter_map(entry).collect())
    }

    /// The newest version of each secret.
    pub async fn versions(&self) -> Result<BTreeMap<String, u32>, String> {
        let mut newest = BTreeMap::new();
        for (name, version) in self.list().await? {
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

    async fn write(&self, name: &str, version: u32, value: &SecretString) -> Result<(), StepError> {
        // Root's own folder first, then the file in it, then its name.
        let write = Command::sh(
            "set -e; umask 077; mkdir -p -- \"$1\"; chmod 700 -- \"$1\"; cat >\"$2.new\"; mv -f -- \"$2.new\" \"$2\"",
        )
        .arg(&self.folder)
        .arg(self.path(name, version))
        .secret_stdin(bytes(value))
        .sudo()
        .timeout(Duration::from_secs(20))
        .label(format!("keep the secret {name}"));
        self.host.run_ok(&write).await?;
        Ok(())
    }
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
    ) -> Result<(), StepError> {
        let create = Command::new("docker")
            .args([kind, "create", "--label"])
            .arg(format!("org.matou.app={}", self.app))
            .args([name, "-"])
            .secret_stdin(value)
            .sudo()
            .timeout(Duration::from_secs(30));
        cx.host.run_ok(&create).await?;
        Ok(())
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
        let kept = match self.rendered.secrets.is_empty() {
            true => Vec::new(),
            false => self.store.list().await.map_err(StepError::failed)?,
        };
        for needed in &self.rendered.secrets {
            let name = &needed.swarm_name;
            let stored = kept.contains(&(needed.spec.name.clone(), needed.version));
            lines.push(match (swarm.contains(name), stored) {
                (true, true) => Change::same(format!("secret {name}")),
                (true, false) => Change::same(format!("secret {name}")).warn(
                    "its value is kept nowhere else: it is lost when the swarm is; `matou secrets` rotates it",
                ),
                (false, true) => Change::add(format!("secret {name}, with the value that is kept")),
                (false, false) => Change::add(format!("secret {name}, made at random")),
            });
        }
        for needed in &self.rendered.file_secrets {
            lines.push(match swarm.contains(&needed.name) {
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
        let kept = match self.rendered.secrets.is_empty() {
            true => Vec::new(),
            false => self.store.list().await.map_err(StepError::failed)?,
        };
        for needed in &self.rendered.secrets {
            if swarm.contains(&needed.swarm_name) {
                continue;
            }
            let (name, version) = (&needed.spec.name, needed.version);
            let value = if kept.contains(&(name.clone(), version)) {
                let value = self.store.read(name, version).await;
                value.map_err(StepError::failed)?
            } else {
                // Kept before it is used: a value that only Swarm knows can't be restored.
                let value = generate(&needed.spec);
                self.store.write(name, version, &value).await?;
                value
            };
            self.create(cx, "secret", &needed.swarm_name, bytes(&value))
                .await?;
        }
        for needed in &self.rendered.file_secrets {
            if !swarm.contains(&needed.name) {
                self.create(cx, "secret", &needed.name, bytes(&needed.value))
                    .await?;
            }
        }
        if !self.rendered.configs.is_empty() {
            let configs = cx.docker.configs().await.map_err(docker_failed)?;
            for needed in &self.rendered.configs {
                if !configs.contains(&needed.name) {
                    let content = SecretBox::new(Box::new(needed.content.clone()));
                    self.create(cx, "config", &needed.name, content).await?;
                }
            }
        }
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

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
