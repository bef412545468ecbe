//! A rendered stack made into one that can be tried beside the application it is of: nothing reaches it,
//! and nothing of it gets out.

use serde_yaml::{Mapping, Value};

use super::compose_yaml::write_compose;
use super::labels::{deploy_labels, set_deploy_labels};
use super::lint::list_references;
use super::subset::read_rendered;
use super::{RenderedStack, StackError};

/// Label of the services of a rehearsal: the application that is rehearsed.
pub const REHEARSAL_LABEL: &str = "org.matou.rehearsal";

/// Answers no question. A container that has a name server of its own is given no other, so the engine
/// asks none in its place.
const NO_NAME_SERVER: &str = "127.0.0.1";

/// What only makes sense in the network that was.
const ADDRESSES: [&str; 3] = ["ipv4_address", "ipv6_address", "link_local_ips"];

impl RenderedStack {
    /// Lists what of its nodes the stack may write to beside its volumes, by path: a copy of it would
    /// write there too. The engine's socket is as good as all of the node, also when it is mounted to be
    /// read.
    ///
    /// # Errors
    /// The rendered text is no compose file.
    pub fn list_writable_binds(&self) -> Result<Vec<String>, StackError> {
        let file = read_rendered(&self.yaml)?;
        let services = file.get("services").and_then(Value::as_mapping);
        let mut found = Vec::new();
        for (_, service) in services.into_iter().flatten() {
            let volumes = service.get("volumes").and_then(Value::as_sequence);
            found.extend(volumes.into_iter().flatten().filter_map(writable_bind));
        }
        found.sort();
        found.dedup();
        Ok(found)
    }

    /// Closes the stack: no published ports, no labels of the edge, and in the place of each of its
    /// networks an internal one of its own, which leads nowhere. Its updates stop where they fail, so
    /// that what failed can be looked at. `app` is the application that it is a copy of.
    ///
    /// # Errors
    /// The rendered text is no compose file.
    pub fn close_for_rehearsal(&mut self, app: &str) -> Result<(), StackError> {
        self.isolate_services()?;
        let mut file = read_rendered(&self.yaml)?;
        let mut needs_default = false;
        let services = file.get_mut("services").and_then(Value::as_mapping_mut);
        for (_, service) in services.into_iter().flatten() {
            if let Value::Mapping(service) = service {
                needs_default |= list_references(service.get("networks")).is_empty();
                close_service(service, app);
            }
        }
        let mut networks = Mapping::new();
        let declared = file.get("networks").and_then(Value::as_mapping);
        for (key, _) in declared.into_iter().flatten() {
            networks.insert(key.clone(), closed_network());
        }
        if needs_default {
            networks.insert("default".into(), closed_network());
        }
        self.own_networks = networks.len();
        file.insert("networks".into(), networks.into());
        self.yaml = write_compose(&Value::Mapping(file));
        self.networks.clear();
        for service in &mut self.services {
            service.requirements.networks.clear();
        }
        Ok(())
    }
}

fn closed_network() -> Value {
    let mut network = Mapping::new();
    network.insert("driver".into(), "overlay".into());
    network.insert("internal".into(), true.into());
    network.into()
}

fn close_service(service: &mut Mapping, app: &str) {
    service.remove("network_mode");
    service.remove("dns_search");
    let nobody: Value = vec![Value::from(NO_NAME_SERVER)].into();
    service.insert("dns".into(), nobody);
    if let Some(Value::Mapping(networks)) = service.get_mut("networks") {
        for (_, network) in networks.iter_mut() {
            if let Value::Mapping(network) = network {
                for key in ADDRESSES {
                    network.remove(key);
                }
            }
        }
    }
    let mut labels = deploy_labels(service);
    labels.insert(REHEARSAL_LABEL.to_owned(), app.to_owned());
    set_deploy_labels(service, &labels);
    let Some(Value::Mapping(deploy)) = service.get_mut("deploy") else {
        return;
    };
    // The live one has what is reserved.
    if let Some(Value::Mapping(resources)) = deploy.get_mut("resources") {
        resources.remove("reservations");
    }
    if let Some(Value::Mapping(update)) = deploy.get_mut("update_config")
        && update.get("failure_action").and_then(Value::as_str) == Some("rollback")
    {
        update.insert("failure_action".into(), "pause".into());
    }
}

/// The source of a bind mount that may be written to.
fn writable_bind(mount: &Value) -> Option<String> {
    let (source, read_only) = match mount {
        Value::String(text) => {
            let mut parts = text.split(':');
            let source = parts.next()?.to_owned();
            let options = parts.nth(1).unwrap_or_default();
            (source, options.split(',').any(|o| o == "ro"))
        }
        other => {
            let source = other.get("source")?.as_str()?.to_owned();
            let read_only = other.get("read_only").and_then(Value::as_bool);
            (source, read_only == Some(true))
        }
    };
    let is_path = source.starts_with(['/', '.', '~']);
    (is_path && (!read_only || source.ends_with(".sock"))).then_some(source)
}

#[cfg(test)]
mod tests {
    use crate::{Catalogue, RenderTarget};
    use matou_config::Config;

    fn rendered(stack: &str) -> crate::RenderedStack {
        let catalogue = Catalogue::load(None).unwrap();
        let config = Config::this_machine();
        let variables = [("DOMAIN".to_owned(), "b.example.org".to_owned())].into();
        let target = RenderTarget::for_fleet(&config);
        let rendered = catalogue.render_stack(stack, "blog-rehearsal", &variables, &target);
        rendered.unwrap()
    }

    #[test]
    fn a_rehearsal_has_only_networks_that_lead_nowhere() {
        let mut stack = rendered("ghost");
        assert!(!stack.networks.is_empty() && stack.yaml.contains("traefik.enable"));
        stack.close_for_rehearsal("blog").unwrap();
        let file: serde_yaml::Value = serde_yaml::from_str(&stack.yaml).unwrap();
        let networks = file["networks"].as_mapping().unwrap();
        assert!(!networks.is_empty());
        for (_, network) in networks {
            assert_eq!(network["internal"], serde_yaml::Value::Bool(true));
            assert!(network.get("external").is_none() && network.get("name").is_none());
        }
        for (_, service) in file["services"].as_mapping().unwrap() {
            assert_eq!(service["dns"][0], "127.0.0.1");
            assert_eq!(service["deploy"]["labels"]["org.matou.rehearsal"], "blog");
            assert_ne!(
                service["deploy"]["update_config"]["failure_action"],
                "rollback"
            );
            assert!(service.get("ports").is_none());
        }
        // No label of the edge; a network may still be called after it, as its own.
        assert!(!stack.yaml.contains("traefik."), "{}", stack.yaml);
        assert!(stack.networks.is_empty() && stack.ports.is_empty());
    }

    #[test]
    fn what_a_copy_would_write_to_is_known() {
        assert!(rendered("ghost").list_writable_binds().unwrap().is_empty());
        let mut stack = rendered("ghost");
        stack.yaml = "services:\n  a:\n    volumes: ['/srv/a:/a', '/etc/x:/x:ro', 'named:/n', '/run/docker.sock:/s:ro']\n  b:\n    volumes:\n      - {type: bind, source: /srv/b, target: /b}\n      - {type: bind, source: /srv/c, target: /c, read_only: true}\n".into();
        assert_eq!(
            stack.list_writable_binds().unwrap(),
            ["/run/docker.sock", "/srv/a", "/srv/b"]
        );
    }
}
