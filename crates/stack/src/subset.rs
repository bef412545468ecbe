//! Parts of a rendered stack: some of its services, or all without access from outside.

use std::collections::BTreeMap;

use matou_i18n::tr;
use serde_yaml::{Mapping, Value};

use super::compose_yaml::{read_compose, write_compose};
use super::networks::list_external_files;
use super::{HASH_LABEL, RenderedStack, StackError, labels, requirements};

/// Reads what was rendered.
///
/// # Errors
/// When it is no compose file.
pub(super) fn read_rendered(yaml: &str) -> Result<Mapping, StackError> {
    match read_compose(yaml).map(|document| document.value) {
        Ok(Value::Mapping(file)) => Ok(file),
        Ok(_) => Err(StackError::Other(
            tr!("what was rendered is no mapping").into(),
        )),
        Err(e) => Err(StackError::Other(e.message)),
    }
}

impl RenderedStack {
    /// Keeps only the services of these names. Networks, volumes and secrets stay declared; the
    /// engine makes only those that are used.
    ///
    /// # Errors
    /// When what was rendered is no compose file.
    pub fn keep_services(&mut self, names: &[String]) -> Result<(), StackError> {
        let mut file = read_rendered(&self.yaml)?;
        if let Some(Value::Mapping(services)) = file.get_mut("services") {
            services.retain(|name, _| {
                let name = name.as_str().unwrap_or_default();
                names.iter().any(|n| n == name)
            });
        }
        for (section, of_others) in [
            ("configs", &mut self.external_configs),
            ("secrets", &mut self.external_secrets),
        ] {
            let used = list_external_files(&file, section);
            of_others.retain(|name| used.contains(name));
        }
        self.yaml = write_compose(&Value::Mapping(file));
        self.services.retain(|s| names.contains(&s.name));
        Ok(())
    }

    /// Gives services more constraints, by name. They are no part of what the file says, so hashes stay.
    ///
    /// # Errors
    /// When what was rendered is no compose file.
    pub fn pin_services(&mut self, pins: &BTreeMap<String, Vec<String>>) -> Result<(), StackError> {
        if pins.is_empty() {
            return Ok(());
        }
        let mut file = read_rendered(&self.yaml)?;
        let services = file.get_mut("services").and_then(Value::as_mapping_mut);
        for (name, service) in services.into_iter().flatten() {
            let pins = name.as_str().and_then(|name| pins.get(name));
            if let (Value::Mapping(service), Some(pins)) = (service, pins) {
                requirements::add_constraints(service, pins);
            }
        }
        self.yaml = write_compose(&Value::Mapping(file));
        Ok(())
    }

    /// Removes what makes the services reachable from outside: published ports and labels.
    ///
    /// # Errors
    /// The rendered text is no compose file.
    pub fn isolate_services(&mut self) -> Result<(), StackError> {
        let mut file = read_rendered(&self.yaml)?;
        let services = file.get_mut("services").and_then(Value::as_mapping_mut);
        for (name, service) in services.into_iter().flatten() {
            let name = name.as_str().unwrap_or_default();
            let known = self.services.iter().find(|s| s.name == name);
            if let (Value::Mapping(service), Some(known)) = (service, known) {
                service.remove("ports");
                service.remove("labels");
                // The hash stays, so that a later deploy can compare it.
                let only = [(HASH_LABEL.to_owned(), known.hash.clone())].into();
                labels::set_deploy_labels(service, &only);
            }
        }
        self.yaml = write_compose(&Value::Mapping(file));
        self.ports.clear();
        self.domains.clear();
        self.extra_names = None;
        self.check = None;
        for service in &mut self.services {
            service.labels.clear();
        }
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use crate::{Catalogue, RenderTarget};
    use matou_config::Config;

    #[test]
    fn the_database_of_a_stack_alone() {
        let catalogue = Catalogue::load(None).unwrap();
        let config = Config::this_machine();
        let variables = [("DOMAIN".to_owned(), "b.example.org".to_owned())].into();
        let mut rendered = catalogue
            .render_stack(
                "ghost",
                "blog",
                &variables,
                &RenderTarget::for_fleet(&config),
            )
            .unwrap();
        rendered.keep_services(&["db".to_owned()]).unwrap();
        assert!(rendered.yaml.contains("db:") && !rendered.yaml.contains("traefik.enable"));
        assert_eq!(rendered.services.len(), 1);
        rendered.isolate_services().unwrap();
        assert!(!rendered.yaml.contains("traefik.enable") && !rendered.yaml.contains("ports"));
        assert!(rendered.yaml.contains(&rendered.services[0].hash));
    }
}
