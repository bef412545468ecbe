//! The stack itself, through `docker stack deploy` on a manager.
//!
//! The engine's own client is the reference for what a compose file means; the rendered file
//! travels on its standard input. Each service carries a label with the hash of what was
//! deployed, so that deploying the same again changes nothing.

use matou_i18n::tr;
use std::sync::Arc;
use std::time::Duration;

use async_trait::async_trait;

use matou_host::Command;
use matou_job::{Change, Check, Step, StepContext, StepError};
use matou_model::{Service, ServiceMode, Swarm};
use matou_stack::{HASH_LABEL, Labels, RenderedService, RenderedStack};

/// How long deploying, and pulling images and starting tasks may take, each.
pub(super) const DEPLOY_TIMEOUT: Duration = Duration::from_secs(900);

/// How long a network of a stack that was removed may be in the way, and how often that is looked at.
const NETWORK_WAIT: Duration = Duration::from_secs(30);
const NETWORK_POLL: Duration = Duration::from_secs(2);

pub(super) struct DeployStack {
    pub app: String,
    pub rendered: Arc<RenderedStack>,
}

impl DeployStack {
    /// The service of an application that was adopted as one without a stack, as long as it is there.
    fn find_single<'a>(&self, swarm: &'a Swarm) -> Option<&'a Service> {
        let adopted = self.rendered.adopted.as_ref();
        adopted.filter(|a| a.single)?;
        let mut services = swarm.services.iter();
        services.find(|s| s.stack.is_none() && s.name == self.app)
    }
}

#[async_trait]
impl Step for DeployStack {
    fn name(&self) -> String {
        tr!("stack").into()
    }

    fn timeout(&self) -> Duration {
        DEPLOY_TIMEOUT
    }

    async fn check(&self, cx: &StepContext) -> Result<Check, StepError> {
        let swarm = cx.query_swarm().await?;
        let single = self.find_single(&swarm);
        let running: Vec<&Service> = swarm
            .services
            .iter()
            .filter(|s| s.stack.as_deref() == Some(&self.app))
            .chain(single)
            .collect();
        let notes = self.rendered.notes.iter().map(Change::same);
        let mut same: Vec<Change> = notes.collect();
        let (mut changes, mut jobs) = (Vec::new(), Vec::new());
        for wanted in &self.rendered.services {
            let name = match single {
                Some(single) => single.name.clone(),
                None => format!("{}_{}", self.app, wanted.name),
            };
            match running.iter().find(|s| s.name == name) {
                None => {
                    let tasks = match (wanted.replicas, wanted.job) {
                        (None | Some(1), _) | (_, true) => String::new(),
                        (Some(n), false) => tr!(", {n} tasks"),
                    };
                    let line = tr!("service {name} ({}){tasks}", wanted.image);
                    changes.push(Change::add(line));
                }
                Some(found) => {
                    if let Some(why) = describe_mode_change(found, wanted, &name) {
                        return Err(StepError::failed(why));
                    }
                    let differences = diff_service(found, wanted, &name);
                    if differences.is_empty() {
                        same.push(Change::same(tr!("service {name} ({})", wanted.image)));
                    }
                    if let Some(job) = &found.job {
                        jobs.push(Change::modify(
                            tr!("job {name}"),
                            job.format_for_plan(),
                            tr!("runs again from its beginning"),
                        ));
                    }
                    changes.extend(differences);
                }
            }
        }
        for found in &running {
            let short = match single {
                Some(single) => Some(single.name.as_str()),
                None => found.name.strip_prefix(&format!("{}_", self.app)),
            };
            if !self
                .rendered
                .services
                .iter()
                .any(|s| Some(s.name.as_str()) == short)
            {
                changes.push(
                    Change::remove(tr!("service {}", found.name))
                        .with_warning(tr!("the stack file has it no more; its volumes stay")),
                );
            }
        }
        Ok(if changes.is_empty() {
            Check::Done(same)
        } else if let Some(single) = single {
            let lines: Vec<String> = changes.iter().map(Change::to_string).collect();
            return Err(StepError::failed(tr!(
                "{0} was made without a stack, and the engine renames no service: remove it first (`docker service rm {0}`), its volumes stay; a deploy makes {0}_{0} then. What changes: {1}",
                single.name,
                lines.join("; ")
            )));
        } else {
            same.extend(changes);
            // `docker stack deploy` updates every service, and an update runs a job again.
            same.extend(jobs);
            Check::Change(same)
        })
    }

    async fn apply(&self, cx: &StepContext) -> Result<(), StepError> {
        // Of an adopted stack, images that the file names as before stay those that run: its tags
        // may have moved on long ago.
        let resolve = match self.rendered.adopted {
            Some(_) => "changed",
            None => "always",
        };
        let command = Command::new("docker")
            .args(["stack", "deploy", "--prune", "--with-registry-auth"])
            .args(["--resolve-image", resolve])
            .args(["--compose-file", "-", "--"])
            .arg(&self.app)
            .stdin(self.rendered.yaml.clone().into_bytes())
            .sudo();
        let wait = cx.wait_at_most(NETWORK_WAIT, NETWORK_POLL);
        loop {
            let failed = match cx.stream(&command).await {
                Err(e) if is_network_going(&e) => e,
                ended => return ended,
            };
            cx.out
                .note(tr!(
                    "a network of that name is still being removed: tried again"
                ))
                .await;
            wait.pause(|| failed.to_string()).await?;
        }
    }
}

/// Returns whether the client took a network that the engine is removing for one that it can use: right after the
/// removal of a stack Docker 28 lists its networks for a moment more.
fn is_network_going(error: &StepError) -> bool {
    let said = error.to_string();
    said.split(" / ")
        .any(|line| line.contains(": network ") && line.trim_end().ends_with(" not found"))
}

/// Returns why a service can't become what the stack file says: the engine keeps the mode of a service
/// ("service mode change is not allowed", swarmkit's `errModeChangeNotAllowed`).
fn describe_mode_change(found: &Service, wanted: &RenderedService, name: &str) -> Option<String> {
    let word = |job: bool, everywhere: bool| match (job, everywhere) {
        (false, false) => "replicated",
        (false, true) => "global",
        (true, false) => "replicated-job",
        (true, true) => "global-job",
    };
    let everywhere = matches!(found.mode, ServiceMode::Global | ServiceMode::GlobalJob);
    let was = word(found.mode.is_job(), everywhere);
    let is = word(wanted.job, wanted.replicas.is_none());
    (was != is).then(|| {
        tr!(
            "{name} is a service with `mode: {was}`, and the engine makes no `{is}` of it: remove it first (`docker service rm {name}`), its volumes stay"
        )
    })
}

/// What deploying would change on a running service.
fn diff_service(found: &Service, wanted: &RenderedService, name: &str) -> Vec<Change> {
    let mut changes = Vec::new();
    let is_latest = wanted.as_adopted && found.image == format!("{}:latest", wanted.image);
    let is_pinned = wanted.as_adopted
        && wanted.image.split_once('@').map(|(name, _)| name) == Some(&found.image);
    if found.image != wanted.image && !is_latest && !is_pinned {
        changes.push(Change::modify(
            tr!("image of {name}"),
            &found.image,
            &wanted.image,
        ));
    }
    if let (ServiceMode::Replicated(now) | ServiceMode::ReplicatedJob(now), Some(wanted)) =
        (found.mode, wanted.replicas)
        && now != wanted
    {
        let what = match found.mode.is_job() {
            true => tr!("completions"),
            false => tr!("replicas"),
        };
        changes.push(Change::modify(
            tr!("{what} of {name}"),
            now.to_string(),
            wanted.to_string(),
        ));
    }
    // What Docker and matou add is not the file's.
    let ours = |labels: &Labels| -> Labels {
        let kept = labels
            .iter()
            .filter(|(k, _)| !k.starts_with("com.docker.stack.") && *k != HASH_LABEL);
        kept.map(|(k, v)| (k.clone(), v.clone())).collect()
    };
    append_entry_changes(
        &tr!("label of {name}"),
        &ours(&found.labels),
        &wanted.labels,
        &mut changes,
    );
    append_entry_changes(
        &tr!("environment of {name}"),
        &found.environment,
        &wanted.environment,
        &mut changes,
    );
    let stamped = (!wanted.as_adopted).then_some(&wanted.hash);
    if changes.is_empty() && found.labels.get(HASH_LABEL) != stamped {
        changes.push(Change::modify(
            tr!("configuration of {name}"),
            tr!("another version"),
            tr!("the stack file's"),
        ));
    }
    changes
}

/// Appends a change for each difference between two sets of labels or variables.
pub(crate) fn append_entry_changes(
    what: &str,
    found: &Labels,
    wanted: &Labels,
    changes: &mut Vec<Change>,
) {
    for (key, value) in wanted {
        match found.get(key) {
            Some(old) if old == value => {}
            Some(old) => changes.push(Change::modify(
                format!("{what} {key}"),
                mask_secret_entry(key, old),
                mask_secret_entry(key, value),
            )),
            None => changes.push(Change::add(format!(
                "{what} {key}={}",
                mask_secret_entry(key, value)
            ))),
        }
    }
    for (key, old) in found {
        if !wanted.contains_key(key) {
            changes.push(Change::remove(format!(
                "{what} {key}={}",
                mask_secret_entry(key, old)
            )));
        }
    }
}

/// Returns a value as the plan and the history show it: `(hidden)` when its key says that it is a
/// secret, or when it looks like one itself: a hash of a password, a password in an address.
pub(super) fn mask_secret_entry(key: &str, value: &str) -> String {
    let key = key.to_ascii_uppercase();
    let is_secret_key = [
        "PASS",
        "SECRET",
        "TOKEN",
        "KEY",
        "USERS",
        "CREDENTIAL",
        "BASIC_AUTH",
    ]
    .iter()
    .any(|word| key.contains(word))
        && !key.ends_with("_FILE");
    match is_secret_key || matou_history::is_secret_value(value) {
        true => tr!("(hidden)").to_owned(),
        false => value.to_owned(),
    }
}
