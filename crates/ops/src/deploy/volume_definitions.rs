//! Redefines volumes that nodes know with another driver or other options than the stack's. An
//! engine silently keeps an old definition until the volume is removed on every node. A volume that
//! is served from elsewhere can be removed and defined anew, and its data stays where it is: so a
//! fleet changes from the plugin netshare to `driver = "nfs"` without copying.

use matou_i18n::tr;
use std::collections::BTreeMap;
use std::sync::Arc;
use std::time::Duration;

use async_trait::async_trait;
use futures_util::future::join_all;

use matou_docker::{NodeHandle, Nodes};
use matou_host::{Command, shell_script};
use matou_job::{Change, Check, Step, StepContext, StepError};
use matou_model::{ServiceMode, TaskState, Volume};
use matou_stack::{RenderedStack, VolumeDefinition};

/// How long tasks may take to stop.
const PATIENCE: Duration = Duration::from_secs(180);

/// How long a node may take to list its volumes. A slower one is left out.
const NODE_ANSWER_WAIT: Duration = Duration::from_secs(5);

const POLL: Duration = Duration::from_millis(700);

/// Removes the volume `$1`, and before it the containers that have ended and still hold it.
const REMOVE_VOLUME: &str = shell_script(include_str!("../../scripts/remove_volume_definition.sh"));

pub(super) struct RedefineVolumes {
    pub app: String,
    pub rendered: Arc<RenderedStack>,
    pub nodes: Nodes,
}

impl RedefineVolumes {
    /// Finds volumes that a node knows with another driver or other options than the stack's. A
    /// node that does not answer is left out.
    async fn find_differing_volumes(&self) -> Vec<(NodeHandle, Volume, &VolumeDefinition)> {
        let asked = self.nodes.iter().map(|node| async move {
            let volumes = tokio::time::timeout(NODE_ANSWER_WAIT, node.docker.list_volumes()).await;
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

/// Returns the folder from which a volume is served; `None` for one that is on its node alone.
fn served_folder(driver: &str, options: &BTreeMap<String, String>) -> Option<String> {
    let share = options.get("share").or_else(|| options.get("device"))?;
    let path = share.split_once(':').map_or(share.as_str(), |(_, p)| p);
    let path = path.trim_end_matches('/');
    (driver == "nfs" || path.starts_with('/')).then(|| path.to_owned())
}

/// Returns the folder from which a volume is served, with the subfolder of the volume's name that
/// the plugin makes when `create` is `true`.
fn served_volume_folder(volume: &Volume) -> Option<String> {
    let folder = served_folder(&volume.driver, &volume.options)?;
    let creates = volume.options.get("create").is_some_and(|c| c == "true");
    Some(match creates {
        true => format!("{folder}/{}", volume.name),
        false => folder,
    })
}

/// Whether its data is on its node and nowhere else.
fn is_node_local_volume(volume: &Volume) -> bool {
    volume.driver == "local" && served_volume_folder(volume).is_none()
}

fn describe_volume_driver(driver: &str, options: &BTreeMap<String, String>) -> String {
    let mut words = vec![driver.to_owned()];
    words.extend(options.iter().map(|(k, v)| format!("{k}={v}")));
    words.join(" ")
}

#[async_trait]
impl Step for RedefineVolumes {
    fn name(&self) -> String {
        tr!("volumes").into()
    }

    fn timeout(&self) -> Duration {
        PATIENCE * 2
    }

    async fn check(&self, _: &StepContext) -> Result<Check, StepError> {
        let others = self.find_differing_volumes().await;
        if others.is_empty() {
            return Ok(Check::Done(Vec::new()));
        }
        let mut lines = Vec::new();
        for (node, volume, wanted) in others {
            let what = tr!("volume {} of {}", volume.name, node.config.name);
            let (old, new) = (
                served_volume_folder(&volume),
                served_folder(&wanted.driver, &wanted.options),
            );
            if is_node_local_volume(&volume) {
                lines.push(Change::decide(tr!(
                    "{what} is on that node alone, and the engine would go on with it instead of {}: copy what {} holds there, then `docker volume rm {}` on {}",
                    describe_volume_driver(&wanted.driver, &wanted.options),
                    volume.mountpoint,
                    volume.name,
                    node.config.name
                )));
                continue;
            }
            let line = Change::modify(
                what,
                describe_volume_driver(&volume.driver, &volume.options),
                describe_volume_driver(&wanted.driver, &wanted.options),
            );
            lines.push(match (old, new) {
                (Some(old), Some(new)) if new == old => line.with_warning(tr!(
                    "its tasks stop meanwhile; the same folder, nothing is copied"
                )),
                (old, new) => line.with_warning(tr!(
                    "its data stays in {} and is not what the application finds{}: copy it first",
                    old.unwrap_or_else(|| tr!("a folder that its driver does not name").into()),
                    new.map_or_else(String::new, |n| tr!(" in {n}"))
                )),
            });
        }
        Ok(Check::Change(lines))
    }

    async fn apply(&self, cx: &StepContext) -> Result<(), StepError> {
        let others = self.find_differing_volumes().await;
        let names: Vec<&str> = others.iter().map(|(_, v, _)| v.name.as_str()).collect();
        let swarm = cx.query_swarm().await?;
        // Deploying the stack gives them their tasks back.
        let users = swarm
            .services
            .iter()
            .filter(|s| s.volumes.iter().any(|v| names.contains(&v.as_str())));
        let users: Vec<_> = users.collect();
        // All are looked at before the first is stopped.
        for service in &users {
            if service.mode.is_job() {
                return Err(StepError::failed(tr!(
                    "{0} is a job and holds the volume: remove it first (`docker service rm {0}`), deploying runs it again",
                    service.name
                )));
            }
            if !matches!(service.mode, ServiceMode::Replicated(_)) {
                return Err(StepError::failed(tr!(
                    "{} runs on every node and holds the volume: remove it first (`matou remove`), its volumes stay",
                    service.name
                )));
            }
            if service.stack.as_deref() != Some(&self.app) {
                return Err(StepError::failed(tr!(
                    "{} of another application uses the volume too: scale it to 0 first",
                    service.name
                )));
            }
        }
        let mut stopped = Vec::new();
        for service in users {
            cx.out.note(tr!("{} is stopped", service.name)).await;
            cx.docker.scale_service(&service.id, 0).await?;
            stopped.push(service.id.clone());
        }
        let wait = cx.wait_at_most(PATIENCE, POLL);
        loop {
            let swarm = cx.query_swarm().await?;
            let mut tasks = swarm.tasks.iter();
            let live =
                tasks.any(|t| stopped.contains(&t.service_id) && t.state == TaskState::Running);
            if !live {
                break;
            }
            let late = || {
                tr!(
                    "the tasks of {} did not stop within {} s",
                    self.app,
                    PATIENCE.as_secs()
                )
            };
            wait.pause(late).await?;
        }
        for (node, volume, _) in &others {
            // The data of this one is on its node alone and would be lost.
            if is_node_local_volume(volume) {
                continue;
            }
            let remove = Command::sh(REMOVE_VOLUME)
                .arg(&volume.name)
                .sudo()
                .timeout(Duration::from_secs(60))
                .label(format!("docker volume rm {}", volume.name));
            node.host.run_ok(&remove).await?;
            let name = &node.config.name;
            cx.out
                .note(tr!("{name} forgets how {} was mounted", volume.name))
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
        assert_eq!(
            served_folder("local", &nfs).as_deref(),
            Some("/mnt/data/a_db")
        );
        let bind = options(&[("type", "none"), ("device", "/mnt/data/a_db")]);
        assert_eq!(
            served_folder("local", &bind).as_deref(),
            Some("/mnt/data/a_db")
        );
        assert_eq!(served_folder("local", &options(&[])), None);
        assert_eq!(
            served_folder("local", &options(&[("type", "tmpfs"), ("device", "tmpfs")])),
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
        assert_eq!(
            served_volume_folder(&netshare).as_deref(),
            Some("/mnt/data/a_db")
        );
    }
}
