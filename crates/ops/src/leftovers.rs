//! What an application leaves behind in the swarm: configs and secrets of files that were changed
//! since, networks that its stack file has no more.
//!
//! Swarm can't change a config, so each version of a file is one of its own; `docker stack deploy`
//! takes neither those nor networks away.

use matou_i18n::tr;
use std::time::Duration;

use async_trait::async_trait;

use matou_docker::{ObjectReferences, SwarmObject, SwarmObjectKind};
use matou_host::{Command, shell_script};
use matou_job::{Change, Check, Step, StepContext, StepError};

use crate::deploy::secrets::{APP_LABEL, CONTENT_LABEL, MARK_LABEL};

/// Removes the object `$2` (`$1` is its kind). Tried again for a while: a task that has just stopped
/// may still hold it.
const REMOVE_OBJECT: &str = shell_script(include_str!("../scripts/remove_object.sh"));

/// How long one removal may take.
const REMOVAL_LIMIT: Duration = Duration::from_secs(60);

/// When the application's leftovers are looked for.
#[derive(Clone, Copy, PartialEq, Eq)]
pub(super) enum LeftoverScope {
    /// After a deploy: what its services refer to stays, and what a rollback needs.
    Replaced,
    /// After its removal: its own services do not count, they go.
    Removed,
}

/// Removes what no service refers to any more, of objects that are provably the application's.
pub(super) struct RemoveLeftovers {
    pub app: String,
    pub scope: LeftoverScope,
}

/// What is found of an application.
#[derive(Debug, Default, PartialEq, Eq)]
struct Leftovers {
    /// Nothing refers to them.
    unused: Vec<SwarmObject>,
    /// Only what a service was before its last update refers to them: a rollback needs them.
    for_rollback: Vec<SwarmObject>,
}

impl RemoveLeftovers {
    async fn find_leftovers(&self, cx: &StepContext) -> Result<Leftovers, StepError> {
        let objects = cx.docker.list_swarm_objects().await?;
        let references = cx.docker.list_object_references().await?;
        Ok(self.sort_objects(objects, &references))
    }

    fn sort_objects(&self, objects: Vec<SwarmObject>, references: &ObjectReferences) -> Leftovers {
        let without = match self.scope {
            LeftoverScope::Replaced => None,
            LeftoverScope::Removed => Some(self.app.as_str()),
        };
        let mut found = Leftovers::default();
        for object in objects {
            if !is_object_of_app(&object, &self.app)
                || references.is_referred_to_now(&object, without)
            {
                continue;
            }
            match references.was_referred_to_before(&object, without) {
                true => found.for_rollback.push(object),
                false => found.unused.push(object),
            }
        }
        found
    }
}

/// Whether an object is a config or secret that matou made of a file of the application
/// (`NAME_KEY_HASH`, with its label), or a network that `docker stack deploy` made for it. Secrets that
/// were made at random are none: their values are kept.
fn is_object_of_app(object: &SwarmObject, app: &str) -> bool {
    if object.kind == SwarmObjectKind::Network {
        return object.stack() == Some(app);
    }
    let is_hash = |text: &str| {
        text.len() == 8 && text.bytes().all(|b| matches!(b, b'0'..=b'9' | b'a'..=b'f'))
    };
    let key = object.name.strip_prefix(app);
    let key = key.and_then(|rest| rest.strip_prefix('_'));
    let of_file = key
        .and_then(|rest| rest.rsplit_once('_'))
        .is_some_and(|(key, hash)| !key.is_empty() && is_hash(hash));
    let label = object.labels.get(APP_LABEL);
    // What has a name of the file's own keeps it: another stack may name it, too.
    let of_file = of_file && !object.labels.contains_key(CONTENT_LABEL);
    of_file && label.is_some_and(|of| of == app) && !object.labels.contains_key(MARK_LABEL)
}

#[async_trait]
impl Step for RemoveLeftovers {
    fn name(&self) -> String {
        tr!("leftovers").into()
    }

    async fn check(&self, cx: &StepContext) -> Result<Check, StepError> {
        let found = match (self.find_leftovers(cx).await, self.scope) {
            (Ok(found), _) => found,
            // A deploy that went well is not undone for it.
            (Err(why), LeftoverScope::Replaced) => {
                let line = Change::same(tr!("what it left behind"));
                let line = line.with_warning(tr!("it is not looked for now: {why}"));
                return Ok(Check::Done(vec![line]));
            }
            (Err(why), LeftoverScope::Removed) => return Err(why),
        };
        let mut lines: Vec<Change> = found
            .for_rollback
            .iter()
            .map(|object| {
                Change::same(tr!(
                    "{object}, which only a rollback needs, until its service is updated"
                ))
            })
            .collect();
        lines.extend(found.unused.iter().map(|object| match self.scope {
            LeftoverScope::Replaced => Change::remove(tr!("{object}, which no service refers to")),
            LeftoverScope::Removed => Change::remove(object.to_string()),
        }));
        Ok(Check::from_changes(lines))
    }

    async fn apply(&self, cx: &StepContext) -> Result<(), StepError> {
        let found = match (self.find_leftovers(cx).await, self.scope) {
            (Err(why), LeftoverScope::Removed) => return Err(why),
            (found, _) => found.unwrap_or_default(),
        };
        for object in found.unused {
            let remove = Command::sh(REMOVE_OBJECT)
                .arg(object.kind.as_str())
                .arg(&object.id)
                .sudo()
                .timeout(REMOVAL_LIMIT)
                .label(format!(
                    "docker {} rm {}",
                    object.kind.as_str(),
                    object.name
                ));
            match cx.host.run_ok(&remove).await {
                Ok(_) => cx.out.note(tr!("{object} is removed")).await,
                // The engine knows better what is in use. The application runs all the same.
                Err(why) => cx.out.note(tr!("{object} stays: {why}")).await,
            }
        }
        Ok(())
    }

    /// What the engine keeps takes [`REMOVAL_LIMIT`] each.
    fn timeout(&self) -> Duration {
        Duration::from_secs(3600)
    }

    /// What the engine keeps stays, and is no failure.
    async fn verify(&self, _: &StepContext) -> Result<(), StepError> {
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn object(kind: SwarmObjectKind, name: &str, label: (&str, &str)) -> SwarmObject {
        SwarmObject {
            kind,
            id: format!("id-{name}"),
            name: name.into(),
            labels: [(label.0.to_owned(), label.1.to_owned())].into(),
        }
    }

    #[test]
    fn only_what_is_provably_the_applications_is_one_of_its_objects() {
        let of_blog =
            |kind, name: &str, label| is_object_of_app(&object(kind, name, label), "blog");
        let (config, secret) = (SwarmObjectKind::Config, SwarmObjectKind::Secret);
        let ours = (APP_LABEL, "blog");
        assert!(of_blog(config, "blog_nginx_conf_0a1b2c3d", ours));
        assert!(of_blog(secret, "blog_tls_0a1b2c3d", ours));
        // A secret made at random, what somebody else made, another application's.
        assert!(!of_blog(secret, "blog_db_v1", ours));
        assert!(!of_blog(config, "blog_nginx_conf_0a1b2c3d", ("a", "b")));
        assert!(!of_blog(
            config,
            "blog_x_nginx_0a1b2c3d",
            (APP_LABEL, "blog_x")
        ));
        assert!(!of_blog(config, "blog_nginx", ours));
        assert!(!of_blog(config, "blog_0a1b2c3d", ours));
        assert!(!of_blog(config, "other_nginx_0a1b2c3d", ours));
        let network = SwarmObjectKind::Network;
        let stack = "com.docker.stack.namespace";
        assert!(of_blog(network, "blog_default", (stack, "blog")));
        assert!(!of_blog(network, "blog_default", (stack, "blog_x")));
        assert!(!of_blog(network, "blog_default", ("a", "b")));
    }

    #[test]
    fn what_a_rollback_needs_stays_until_the_next_update() {
        let config = |name: &str| object(SwarmObjectKind::Config, name, (APP_LABEL, "blog"));
        let net = |name: &str| {
            let stack = ("com.docker.stack.namespace", "blog");
            object(SwarmObjectKind::Network, name, stack)
        };
        let refers = |c: &str, n: &str| {
            format!(
                r#"{{"Name":"blog_web","Labels":{{"com.docker.stack.namespace":"blog"}},"TaskTemplate":{{
                "Networks":[{{"Target":"id-{n}"}}],"ContainerSpec":{{"Configs":[{{"ConfigID":"id-{c}","ConfigName":"{c}"}}]}}}}}}"#
            )
        };
        let references = ObjectReferences::from_services(
            format!(
                r#"[{{"Spec":{},"PreviousSpec":{}}}]"#,
                refers("blog_a_00000003", "blog_new"),
                refers("blog_a_00000002", "blog_old")
            )
            .as_bytes(),
        )
        .unwrap();
        let objects = || {
            let configs = ["blog_a_00000001", "blog_a_00000002", "blog_a_00000003"];
            let mut all: Vec<SwarmObject> = configs.map(config).into();
            all.extend(["blog_new", "blog_old", "blog_older"].map(net));
            all
        };
        let sort = |scope| {
            let app = "blog".to_owned();
            let found = RemoveLeftovers { app, scope }.sort_objects(objects(), &references);
            let names = |all: Vec<SwarmObject>| -> Vec<String> {
                all.into_iter().map(|o| o.name).collect()
            };
            (names(found.unused), names(found.for_rollback))
        };
        let (unused, for_rollback) = sort(LeftoverScope::Replaced);
        assert_eq!(unused, ["blog_a_00000001", "blog_older"]);
        assert_eq!(for_rollback, ["blog_a_00000002", "blog_old"]);
        // When the application goes, so does all of it.
        assert_eq!(sort(LeftoverScope::Removed).0.len(), 6);
    }
}
