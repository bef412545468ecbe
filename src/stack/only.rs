//! A part of a stack: some of its services, everything else as it is.

use serde_yaml::{Mapping, Value};

use super::{Rendered, StackError};

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
        for (_, service) in services.into_iter().flatten() {
            if let Value::Mapping(service) = service {
                service.remove("ports");
                service.remove("labels");
                if let Some(Value::Mapping(deploy)) = service.get_mut("deploy") {
                    deploy.remove("labels");
                }
            }
        }
        self.yaml = serde_yaml::to_string(&file).map_err(broken)?;
        self.ports.clear();
        self.domains.clear();
        self.check = None;
        for service in &mut self.services {
            service.labels.clear();
            service.hash.clear();
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
        assert!(!rendered.yaml.contains("org.matou.hash"));
    }
}
