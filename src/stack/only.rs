//! A part of a stack: some of its services, everything else as it is.

use serde_yaml::{Mapping, Value};

use super::{HASH_LABEL, Rendered, StackError, labels};

impl Rendered {
    /// Leaves only services of these names; networks, volumes and secrets stay declared, and the
    /// engine makes of them what is used.
    ///
    /// # Errors
    /// When what was rendered is no compose file.
    pub fn only(&mut self, names: &[String]) -> Result<(), StackError> {
        let broken = |e: serde_yaml::Error| StackError::Other(e.to_string());
        let mut file: Mapping = serde_yaml::from_str(&self.yaml).map_err(broken)?;
        if let Some(Value::Mapping(services)) = file.get_mut("services") {
            services.retain(|name, _| {
                let name = name.as_str().unwrap_or_default();
                names.iter().any(|n| n == name)
            });
        }
        self.yaml = serde_yaml::to_string(&file).map_err(broken)?;
        self.services.retain(|s| names.contains(&s.name));
        Ok(())
    }

    /// Takes away what reaches in from outside: published ports and labels.
    ///
    /// # Errors
    /// As [`Rendered::only`].
    pub fn shut(&mut self) -> Result<(), StackError> {
        let broken = |e: serde_yaml::Error| StackError::Other(e.to_string());
        let mut file: Mapping = serde_yaml::from_str(&self.yaml).map_err(broken)?;
        let services = file.get_mut("services").and_then(Value::as_mapping_mut);
        for (name, service) in services.into_iter().flatten() {
            let name = name.as_str().unwrap_or_default();
            let known = self.services.iter().find(|s| s.name == name);
            if let (Value::Mapping(service), Some(known)) = (service, known) {
                service.remove("ports");
                service.remove("labels");
                // By its hash it is known again.
                let only = [(HASH_LABEL.to_owned(), known.hash.clone())].into();
                labels::set(service, &only);
            }
        }
        self.yaml = serde_yaml::to_string(&file).map_err(broken)?;
        self.ports.clear();
        self.domains.clear();
        self.check = None;
        for service in &mut self.services {
            service.labels.clear();
        }
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use crate::config::Config;
    use crate::stack::{Catalogue, Target};

    #[test]
    fn the_database_of_a_stack_alone() {
        let catalogue = Catalogue::load(None).unwrap();
        let config = Config::this_machine();
        let variables = [("DOMAIN".to_owned(), "b.example.org".to_owned())].into();
        let mut rendered = catalogue
            .render("ghost", "blog", &variables, &Target::of(&config))
            .unwrap();
        rendered.only(&["db".to_owned()]).unwrap();
        assert!(rendered.yaml.contains("db:") && !rendered.yaml.contains("traefik.enable"));
        assert_eq!(rendered.services.len(), 1);
        rendered.shut().unwrap();
        assert!(!rendered.yaml.contains("traefik.enable") && !rendered.yaml.contains("ports"));
        assert!(rendered.yaml.contains(&rendered.services[0].hash));
    }
}
