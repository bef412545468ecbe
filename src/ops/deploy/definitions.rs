//! Volumes that nodes know with another driver or other options than the stack's: an engine keeps
//! the definition it has, without a word, until it is removed on every node. What is served from
//! elsewhere is only defined anew, its data stays where it is: so a fleet leaves the plugin netshare
//! for `driver = "nfs"` without copying.

use std::collections::BTreeMap;
use std::sync::Arc;
use std::time::Duration;

use async_trait::async_trait;
use futures_util::future::join_all;
use tokio::time::Instant;

use crate::docker::{NodeHandle, Nodes};
use crate::host::Command;
use crate::job::{Change, Check, Cx, Step, StepError};
use crate::model::{Mode, Volume};
use crate::ops::tasks::{docker_failed, read};
use crate::stack::{Definition, Rendered};

/// How long tasks may take to stop.
const PATIENCE: Duration = Duration::from_secs(180);

/// A node that takes longer to say which volumes it knows is not waited for.
const ANSWER: Duration = Duration::from_secs(5);

const POLL: Duration = Duration::from_millis(700);

/// Containers that have ended hold a volume as those that run do.
const REMOVE: &str = r#"i=0
until docker volume rm -- "$1" >/dev/null; do
    docker ps -aq --filter volume="$1" --filter status=exited --filter status=created --filter status=dead |
        xargs -r docker rm >/dev/null
    i=$((i+1)); [ $i -lt 20 ] || exit 1; sleep 1
done"#;

pub(super) struct Definitions {
    pub app: String,
    pub rendered: Arc<Rendered>,
    pub nodes: Nodes,
}

impl Definitions {
    /// What nodes know otherwise. A node that does not answer is none of this.
    async fn others(&self) -> Vec<(NodeHandle, Volume, &Definition)> {
        let asked = self.nodes.iter().map(|node| async move {
            let volumes = tokio::time::timeout(ANSWER, node.docker.volumes()).await;
            (
                node.clone(),
                volumes.unwrap_or(Ok(Vec::new())).unwrap_or_default(),
            )
        });
        let mut others = Vec::new();
        for (node, volumes) in join_all(asked).await {
            for volume in volumes {
                let wanted = self.rendered.volumes.definitions.iter();
                let mut wanted = wanted.filter(|d| d.name == volume.name);
                // A plugin need not say with which options a volume was made.
                let silent = volume.driver != "local" && volume.options.is_empty();
                if let Some(wanted) = wanted.next()
                    && (volume.driver != wanted.driver
                        || (volume.options != wanted.options && !silent))
                {
                    others.push((node.clone(), volume, wanted));
                }
            }
        }
        others
    }
}

/// The folder of a volume that is served from elsewhere; `None` for one that is on its node alone.
fn folder(driver: &str, options: &BTreeMap<String, String>) -> Option<String> {
    let share = options.get("share").or_else(|| options.get("device"))?;
    let path = share.split_once(':').map_or(share.as_str(), |(_, p)| p);
    let path = path.trim_end_matches('/');
    (driver == "nfs" || path.starts_with('/')).then(|| path.to_owned())
}

/// The plugin makes a folder of the volume's name in its share, when it is told to.
fn folder_of(volume: &Volume) -> Option<String> {
    let folder = folder(&volume.driver, &volume.options)?;
    let creates = volume.options.get("create").is_some_and(|c| c == "true");
    Some(match creates {
        true => format!("{folder}/{}", volume.name),
        false => folder,
    })
}

/// Whether its data is on its node and nowhere else.
fn is_alone(volume: &Volume) -> bool {
    volume.driver == "local" && folder_of(volume).is_none()
}

fn described(driver: &str, options: &BTreeMap<String, String>) -> String {
    let mut words = vec![driver.to_owned()];
    words.extend(options.iter().map(|(k, v)| format!("{k}={v}")));
    words.join(" ")
}

#[async_trait]
impl Step for Definitions {
    fn name(&self) -> String {
        "volumes".into()
    }

    fn timeout(&self) -> Duration {
        PATIENCE * 2
    }

    async fn check(&self, _: &Cx) -> Result<Check, StepError> {
        let others = self.others().await;
        if others.is_empty() {
            return Ok(Check::Done(Vec::new()));
        }
        let mut lines = Vec::new();
        for (node, volume, wanted) in others {
            let what = format!("volume {} of {}", volume.name, node.config.name);
            let (old, new) = (folder_of(&volume), folder(&wanted.driver, &wanted.options));
            if is_alone(&volume) {
                lines.push(Change::decide(format!(
                    "{what} is on that node alone, and the engine would go on with it instead of {}: copy what {} holds there, then `docker volume rm {}` on {}",
                    described(&wanted.driver, &wanted.options),
                    volume.mountpoint,
                    volume.name,
                    node.config.name
                )));
                continue;
            }
            let line = Change::modify(
                what,
                described(&volume.driver, &volume.options),
                described(&wanted.driver, &wanted.options),
            );
            lines.push(match (old, new) {
                (Some(old), Some(new)) if new == old => {
                    line.warn("its tasks stop meanwhile; the same folder, nothing is copied")
                }
                (old, new) => line.warn(format!(
                    "its data stays in {} and is not what the application finds{}: copy it first",
                    old.unwrap_or_else(|| "a folder that its driver does not name".into()),
                    new.map_or_else(String::new, |n| format!(" in {n}"))
                )),
            });
        }
        Ok(Check::Change(lines))
    }

    async fn apply(&self, cx: &Cx) -> Result<(), StepError> {
        let others = self.others().await;
        let names: Vec<&str> = others.iter().map(|(_, v, _)| v.name.as_str()).collect();
        let swarm = read(cx).await?;
        // Deploying the stack gives them their tasks back.
        let users = swarm
            .services
            .iter()
            .filter(|s| s.volumes.iter().any(|v| names.contains(&v.as_str())));
        let mut stopped = Vec::new();
        for service in users {
            if !matches!(service.mode, Mode::Replicated(_)) {
                return Err(StepError::failed(format!(
                    "{} runs on every node and holds the volume: remove it first (`matou remove`), its volumes stay",
                    service.name
                )));
            }
            if service.stack.as_deref() != Some(&self.app) {
                return Err(StepError::failed(format!(
                    "{} of another application uses the volume too: scale it to 0 first",
                    service.name
                )));
            }
            cx.out.note(format!("{} is stopped", service.name)).await;
            cx.docker
                .scale(&service.id, 0)
                .await
                .map_err(docker_failed)?;
            stopped.push(service.id.clone());
        }
        let begun = Instant::now();
        loop {
            let swarm = read(cx).await?;
            let mut tasks = swarm.tasks.iter();
            let live = tasks.any(|t| stopped.contains(&t.service_id) && t.state == "running");
            if !live {
                break;
            }
            if begun.elapsed() > PATIENCE {
                return Err(StepError::failed(format!(
                    "the tasks of {} did not stop within {} s",
                    self.app,
                    PATIENCE.as_secs()
                )));
            }
            tokio::time::sleep(POLL).await;
        }
        for (node, volume, _) in &others {
            // What is on that node alone is nobody's to remove here.
            if is_alone(volume) {
                continue;
            }
            let remove = Command::sh(REMOVE)
                .arg(&volume.name)
                .sudo()
                .timeout(Duration::from_secs(60))
                .label(format!("docker volume rm {}", volume.name));
            node.host.run_ok(&remove).await?;
            let name = &node.config.name;
            cx.out
                .note(format!("{name} forgets how {} was mounted", volume.name))
                .await;
        }
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn folders_of_drivers() {
        let options = |pairs: &[(&str, &str)]| -> BTreeMap<String, String> {
            let owned = pairs
                .iter()
                .map(|(k, v)| ((*k).to_owned(), (*v).to_owned()));
            owned.collect()
        };
        let nfs = options(&[
            ("type", "nfs"),
            ("o", "addr=m"),
            ("device", ":/mnt/data/a_db"),
        ]);
        assert_eq!(folder("local", &nfs).as_deref(), Some("/mnt/data/a_db"));
        let bind = options(&[("type", "none"), ("device", "/mnt/data/a_db")]);
        assert_eq!(folder("local", &bind).as_deref(), Some("/mnt/data/a_db"));
        assert_eq!(folder("local", &options(&[])), None);
        assert_eq!(
            folder("local", &options(&[("type", "tmpfs"), ("device", "tmpfs")])),
            None
        );
        let netshare = Volume {
            name: "a_db".into(),
            driver: "nfs".into(),
            mountpoint: String::new(),
            options: options(&[("share", "m:/mnt/data/"), ("create", "true")]),
            stack: None,
            users: Vec::new(),
            created_at: None,
        };
        assert_eq!(folder_of(&netshare).as_deref(), Some("/mnt/data/a_db"));
    }
}
