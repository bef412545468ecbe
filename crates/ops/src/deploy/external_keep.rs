//! What a stack uses and matou did not make, kept at each backup: contents of configs, as the engine says them; values
//! of secrets, as the engine holds them for a container that runs; how networks are made.

use std::collections::{BTreeMap, BTreeSet};
use std::time::Duration;

use base64::Engine as _;
use matou_i18n::tr;
use serde_json::Value as Json;

use super::external_record::{External, ExternalHead, KeptExternal, STACK_LABEL};
use super::secrets::{APP_LABEL, SecretStore};
use crate::{FleetContext, OpsError};
use matou_docker::{SwarmFile, SwarmObjectKind};
use matou_host::{Command, Host, shell_script};
use matou_job::Change;
use matou_model::Swarm;
use matou_stack::{AppFile, Labels, RenderTarget};

/// Swarm's limit for a secret, bytes.
const LARGEST_SECRET: usize = 500 * 1024;

/// Prints the secret `$2` of the container `$1`, at most `$3` bytes.
const READ_CONTAINER_SECRET: &str =
    shell_script(include_str!("../../scripts/read_container_secret.sh"));

/// A container that has a secret.
struct SecretHolder {
    host: Host,
    container: String,
}

/// How something gets into the backup.
enum Keeping {
    /// It is kept already, as it is.
    Kept,
    /// It was read.
    Read(Box<KeptExternal>),
    /// Containers have it.
    Held(Box<ExternalHead>, Vec<SecretHolder>),
    /// Why it is not kept, and what to do.
    NotKept(String),
}

/// What an application uses and matou did not make, on its way into a backup.
pub(crate) struct ExternalKeeping {
    store: SecretStore,
    found: Vec<(External, Keeping)>,
}

/// What the swarm says.
struct SwarmFacts<'a> {
    app: &'a str,
    fleet: &'a FleetContext,
    services: Vec<Json>,
    networks: Vec<Json>,
    configs: BTreeMap<String, SwarmFile>,
    secrets: BTreeMap<String, SwarmFile>,
    swarm: Swarm,
}

impl ExternalKeeping {
    /// Finds what an application's stack uses and matou did not make, but what other stacks that run made.
    ///
    /// # Errors
    /// The stack can't be rendered, or a manager or the storage node does not answer.
    pub(crate) async fn find_all(
        app: &str,
        file: &AppFile,
        fleet: &FleetContext,
    ) -> Result<Self, OpsError> {
        let target = RenderTarget::for_app(&fleet.config, file);
        let catalogue = &fleet.catalogue;
        let rendered = catalogue.render_stack(&file.stack, app, &file.variables, &target)?;
        let store = SecretStore::open(fleet, app)?;
        let all = External::list_all(&rendered, &fleet.config.edge.network);
        let mut found = Vec::new();
        if !all.is_empty() {
            let facts = SwarmFacts::query(app, fleet).await?;
            let files = store.list_files().await?;
            for external in all {
                let kept = external.read_kept(&store, &files).await?;
                let kept = kept.map(|kept| kept.head.id);
                if let Some(keeping) = facts.plan_keeping(&external, kept.as_deref()) {
                    found.push((external, keeping));
                }
            }
        }
        Ok(Self { store, found })
    }

    /// Returns the lines of a plan.
    pub(crate) fn plan_lines(&self) -> Vec<Change> {
        let (mut kept, mut lines) = (Vec::new(), Vec::new());
        for (external, keeping) in &self.found {
            match keeping {
                Keeping::NotKept(why) => {
                    let line = Change::same(tr!("{external} is NOT kept"));
                    lines.push(line.with_warning(why));
                }
                _ => kept.push(external.to_string()),
            }
        }
        if !kept.is_empty() {
            let line = Change::same(tr!("kept with it: {}", kept.join(", ")));
            lines.insert(0, line);
        }
        lines
    }

    /// Keeps it beside the application's own secrets. Returns a sentence about each that is not kept.
    pub(crate) async fn keep_all(self) -> Vec<String> {
        let mut not_kept = Vec::new();
        for (external, keeping) in self.found {
            let read = match keeping {
                Keeping::Kept => continue,
                Keeping::Read(read) => Ok(*read),
                Keeping::Held(head, holders) => read_held_secret(&external, *head, &holders).await,
                Keeping::NotKept(why) => Err(OpsError::failed(why)),
            };
            let kept = match read {
                Ok(read) => keep_external(&self.store, &external, &read).await,
                Err(why) => Err(why),
            };
            if let Err(why) = kept {
                not_kept.push(tr!("{external} is NOT kept: {why}"));
            }
        }
        not_kept
    }
}

async fn keep_external(
    store: &SecretStore,
    external: &External,
    read: &KeptExternal,
) -> Result<(), OpsError> {
    let file = external.file_name();
    let file = file.ok_or(tr!("its name is none that a file can have"))?;
    store.keep_file(&file, read.to_bytes()).await
}

/// Reads a secret where a container has it.
async fn read_held_secret(
    external: &External,
    head: ExternalHead,
    holders: &[SecretHolder],
) -> Result<KeptExternal, OpsError> {
    let name = &external.name;
    let mut last: Option<OpsError> = None;
    for holder in holders {
        let read = Command::sh(READ_CONTAINER_SECRET)
            .arg(&holder.container)
            .arg(&head.id)
            .arg((LARGEST_SECRET + 1).to_string())
            .sudo()
            .timeout(Duration::from_secs(30))
            .label(tr!("read the secret {name}"));
        match holder.host.run(&read).await {
            Ok(out) if out.code == 0 && (1..=LARGEST_SECRET).contains(&out.stdout.len()) => {
                return Ok(KeptExternal::new(head, out.stdout));
            }
            // Nothing of what was printed is told: it may be a part of the value.
            Ok(out) => {
                let (node, code) = (holder.host.name(), out.code);
                last = Some(tr!("{node} does not give it (exit code {code})").into());
            }
            Err(why) => last = Some(OpsError::from(why)),
        }
    }
    Err(last.unwrap_or_else(|| tr!("no container has it").into()))
}

impl<'a> SwarmFacts<'a> {
    async fn query(app: &'a str, fleet: &'a FleetContext) -> Result<Self, OpsError> {
        let docker = &fleet.nodes.find_manager().await?.docker;
        let (raw, configs, secrets, swarm) = tokio::try_join!(
            docker.list_raw_services(),
            docker.read_configs(),
            docker.read_secrets(),
            docker.query_swarm(),
        )?;
        Ok(Self {
            app,
            fleet,
            services: raw.services,
            networks: raw.networks,
            configs,
            secrets,
            swarm,
        })
    }

    /// Says how something gets into the backup; `None` for what is another stack's. `kept` is the id of what is kept
    /// of it.
    fn plan_keeping(&self, external: &External, kept: Option<&str>) -> Option<Keeping> {
        let name = &external.name;
        if external.file_name().is_none() {
            let why = tr!("its name is none that a file can have");
            return Some(Keeping::NotKept(why.to_owned()));
        }
        let head = match external.kind {
            SwarmObjectKind::Network => {
                let named = |n: &&Json| n["Name"].as_str() == Some(name.as_str());
                let found = self.networks.iter().find(named)?;
                // One of a node is not the swarm's.
                ExternalHead::of_network(self.app, found)?
            }
            kind => {
                let files = match kind {
                    SwarmObjectKind::Config => &self.configs,
                    _ => &self.secrets,
                };
                match (files.get(name), kept) {
                    (Some(found), _) => ExternalHead::of_file(self.app, found),
                    // It is made again out of that.
                    (None, Some(_)) => return Some(Keeping::Kept),
                    (None, None) => {
                        let why = tr!("it is not in the swarm");
                        return Some(Keeping::NotKept(why.to_owned()));
                    }
                }
            }
        };
        if self.is_of_another(&head.labels) {
            return None;
        }
        if kept == Some(head.id.as_str()) {
            return Some(Keeping::Kept);
        }
        Some(match external.kind {
            SwarmObjectKind::Network => {
                Keeping::Read(Box::new(KeptExternal::new(head, Vec::new())))
            }
            SwarmObjectKind::Config => self.plan_config(name, head),
            SwarmObjectKind::Secret => self.plan_secret(name, head),
        })
    }

    /// Whether another stack that runs made it: with that one it comes back.
    fn is_of_another(&self, labels: &Labels) -> bool {
        let stacks = self.swarm.services.iter();
        let others: BTreeSet<&str> = stacks
            .filter_map(|s| s.stack.as_deref())
            .filter(|stack| *stack != self.app)
            .collect();
        [STACK_LABEL, APP_LABEL].iter().any(|label| {
            let of = labels.get(*label).map(String::as_str);
            of.is_some_and(|of| others.contains(of))
        })
    }

    fn plan_config(&self, name: &str, head: ExternalHead) -> Keeping {
        let data = self.configs.get(name).and_then(|c| c.data.as_deref());
        let base64 = base64::engine::general_purpose::STANDARD;
        match data.and_then(|data| base64.decode(data).ok()) {
            Some(content) => Keeping::Read(Box::new(KeptExternal::new(head, content))),
            None => Keeping::NotKept(tr!("the engine does not say its content").to_owned()),
        }
    }

    fn plan_secret(&self, name: &str, head: ExternalHead) -> Keeping {
        if self.secrets.get(name).is_some_and(|s| s.is_of_plugin) {
            let why = tr!("a plugin of the engine has its value: keep it there");
            return Keeping::NotKept(why.to_owned());
        }
        if head.template_driver.is_some() {
            let why = tr!(
                "it is a template, of which containers have only what came of it: keep it yourself"
            );
            return Keeping::NotKept(why.to_owned());
        }
        let holders = self.list_holders(&head.id);
        match holders.is_empty() {
            true => Keeping::NotKept(tr!(
                "the engine gives its value to containers alone, and none that has it runs: start its service (`matou scale SERVICE 1`), or keep it yourself"
            ).to_owned()),
            false => Keeping::Held(Box::new(head), holders),
        }
    }

    /// Lists the containers that have a secret, on nodes of config.toml.
    fn list_holders(&self, secret: &str) -> Vec<SecretHolder> {
        let with_it: BTreeSet<&str> = list_services_with_secret(&self.services, secret).collect();
        let tasks = self.swarm.tasks.iter();
        let tasks = tasks.filter(|t| t.is_enterable() && with_it.contains(t.service_id.as_str()));
        let nodes = &self.fleet.nodes;
        tasks
            .filter_map(|task| {
                let node = nodes.get(&nodes.find_name(&self.swarm, &task.node_id)?)?;
                Some(SecretHolder {
                    host: node.host.clone(),
                    container: task.container_id.clone()?,
                })
            })
            .collect()
    }
}

/// Lists the ids of the services whose containers have a secret as a file.
fn list_services_with_secret<'a>(
    services: &'a [Json],
    secret: &'a str,
) -> impl Iterator<Item = &'a str> {
    let has_it = move |service: &&Json| {
        let list = service.pointer("/Spec/TaskTemplate/ContainerSpec/Secrets");
        let list = list.and_then(Json::as_array).into_iter().flatten();
        let mut files = list.filter(|reference| reference["File"].is_object());
        files.any(|reference| reference["SecretID"].as_str() == Some(secret))
    };
    let found = services.iter().filter(has_it);
    found.filter_map(|service| service["ID"].as_str())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_secret_is_looked_for_where_containers_have_it_as_a_file() {
        let services: Vec<Json> = serde_json::from_str(
            r#"[{"ID":"a","Spec":{"TaskTemplate":{"ContainerSpec":{"Secrets":[
                {"SecretID":"s1","SecretName":"x","File":{"Name":"x"}}]}}}},
              {"ID":"b","Spec":{"TaskTemplate":{"ContainerSpec":{"Secrets":[{"SecretID":"s1","SecretName":"x"}]}}}},
              {"ID":"c","Spec":{"TaskTemplate":{"ContainerSpec":{}}}}]"#,
        )
        .unwrap();
        let found: Vec<&str> = list_services_with_secret(&services, "s1").collect();
        assert_eq!(found, ["a"]);
        assert_eq!(list_services_with_secret(&services, "s2").count(), 0);
    }

    /// The engine is one that says where its folder is.
    fn read_secret(args: [&str; 2]) -> (Option<i32>, String) {
        let dir = tempfile::tempdir().unwrap();
        let at = dir.path().display().to_string();
        let script = format!(
            "cd '{at}'; mkdir -p bin containers/abc/mounts/secrets; printf secret >containers/abc/mounts/secrets/s1
            ln -s s1 containers/abc/mounts/secrets/s2; printf other >containers/abc/other
            printf '#!/bin/sh\necho {at}\n' >bin/docker; chmod 755 bin/docker
            PATH=$PWD/bin:$PATH; exec sh -c \"$0\" sh \"$1\" \"$2\" 4"
        );
        let out = std::process::Command::new("sh")
            .args(["-c", &script, READ_CONTAINER_SECRET])
            .args(args)
            .output()
            .unwrap();
        (out.status.code(), String::from_utf8(out.stdout).unwrap())
    }

    #[test]
    fn a_secret_is_read_from_the_engines_own_folder_alone() {
        assert_eq!(read_secret(["abc", "s1"]), (Some(0), "secr".to_owned()));
        for args in [
            ["abc", "s2"],
            ["abc", "s3"],
            ["abc", "../../other"],
            ["../abc", "s1"],
            ["", "s1"],
        ] {
            assert_eq!(read_secret(args), (Some(3), String::new()), "{args:?}");
        }
    }
}
