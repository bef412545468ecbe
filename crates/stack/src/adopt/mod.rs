//! Writes the stack file of an application that runs without one, from what the engine says of its
//! services: the inverse of what `docker stack deploy` does, so that deploying the file changes
//! nothing. What a compose file can't say is told, and then nothing is written.
//!
//! Source: docker/cli, cli/compose/convert/service.go, volume.go and compose.go.

mod conversion;
mod facts;
mod fields;
mod objects;
mod service;
mod shared;
mod values;

pub use facts::is_database_image;

use std::collections::BTreeMap;

use matou_i18n::tr;
use serde_json::Value as Json;
use serde_yaml::{Mapping, Value};

use self::conversion::{Conversion, STACK_LABEL};
use self::shared::SharedObjects;
use self::values::{Written, escape_all};
use crate::compose_yaml::write_compose;
use crate::extension::RouteLabels;

/// An application that runs without a file.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct FoundApp {
    /// Name of its stack, or of its only service.
    pub name: String,
    /// Whether it is a service that was made without a stack.
    pub is_single: bool,
    /// Its services, as `GET /services` says them.
    pub services: Vec<Json>,
}

impl FoundApp {
    /// Sorts services into applications, as `GET /services` says them.
    pub fn sort(services: &[Json]) -> Vec<Self> {
        let mut found: BTreeMap<(String, bool), Vec<Json>> = BTreeMap::new();
        for service in services {
            let text = |path: &str| {
                let found = service.pointer(path).and_then(Json::as_str);
                found.unwrap_or_default().to_owned()
            };
            let stack = text(&format!("/Spec/Labels/{STACK_LABEL}"));
            let key = match stack.is_empty() {
                true => (text("/Spec/Name"), true),
                false => (stack, false),
            };
            found.entry(key).or_default().push(service.clone());
        }
        let found = found.into_iter();
        found
            .map(|((name, is_single), services)| Self {
                name,
                is_single,
                services,
            })
            .collect()
    }
}

/// The file of an application, on its way.
#[derive(Debug, Clone, Default)]
pub(super) struct Draft {
    /// `x-matou`, without what was found of the services.
    pub extension: Mapping,
    /// All else.
    pub file: Mapping,
    /// What stands in the file by reference only; a sentence each.
    pub notes: Vec<String>,
    /// What a compose file can't say, by service.
    pub faults: Vec<String>,
}

/// Writes down what runs. `networks` is what `GET /networks` answers.
pub(super) fn draft_stack(app: &FoundApp, networks: &[Json]) -> Draft {
    let mut shared = SharedObjects::new(networks);
    let mut draft = Draft::default();
    let mut services = BTreeMap::new();
    for found in &app.services {
        let none = Json::Null;
        let spec = found.get("Spec").unwrap_or(&none);
        let whole = spec.get("Name").and_then(Json::as_str).unwrap_or_default();
        let short = whole.strip_prefix(&format!("{}_", app.name));
        let short = short.filter(|s| !s.is_empty() && !app.is_single);
        if short.is_none() && !app.is_single {
            draft.faults.push(tr!(
                "{whole} says that it is of the stack {0}, and its name does not begin with {0}_",
                app.name
            ));
            continue;
        }
        let mut conversion = Conversion {
            app: &app.name,
            name: short.unwrap_or(whole).to_owned(),
            is_single: app.is_single,
            shared: &mut shared,
            faults: Vec::new(),
            rewritten: Vec::new(),
        };
        let written = conversion.convert(spec);
        let (faults, rewritten) = (conversion.faults, conversion.rewritten);
        let name = conversion.name;
        let faults = faults.iter().map(|fault| format!("{whole}: {fault}"));
        draft.faults.extend(faults);
        if !rewritten.is_empty() && !app.is_single {
            draft.notes.push(tr!(
                "the first change of the file replaces the tasks of {whole}: {}",
                rewritten.join("; ")
            ));
        }
        services.insert(name, written);
    }
    if app.is_single {
        draft.notes.push(tr!(
            "{0} is a service without a stack: the first change of the file wants it removed before, since a stack calls it {0}_{0}",
            app.name
        ));
    }
    draft.notes.append(&mut shared.notes);
    draft.extension = facts::describe_app(&app.name, &services, &mut draft.notes);
    let mut file = Written::default();
    let listed: Mapping = services
        .into_iter()
        .map(|(name, service)| (Value::from(name), Value::from(service)))
        .collect();
    file.set("services", Some(listed));
    for section in ["networks", "volumes", "secrets", "configs"] {
        file.set(section, shared.section(section));
    }
    let mut whole = Value::Mapping(file.0);
    escape_all(&mut whole);
    if let Value::Mapping(file) = whole {
        draft.file = file;
    }
    draft
}

impl Draft {
    /// Returns the text of the file. `hashes` are those of its services as it is rendered.
    pub(super) fn to_text(
        &self,
        app: &FoundApp,
        routes: RouteLabels,
        hashes: &BTreeMap<String, String>,
    ) -> String {
        let mut adopted = Written::default();
        adopted.set("routes", Some(routes.as_str()));
        adopted.set("single", app.is_single.then_some(true));
        let hashes = hashes.iter().map(|(k, v)| (k.clone(), v.clone()));
        adopted.set_map("services", hashes.collect());
        let mut extension = self.extension.clone();
        extension.insert("adopted".into(), adopted.0.into());
        let mut file = Written::default();
        file.set("x-matou", Some(extension));
        file.0.extend(self.file.clone());
        let mut text = tr!(
            "# {}, as it ran when matou adopted it. Deploying it unchanged changes nothing.\n",
            app.name
        );
        for note in &self.notes {
            let note = matou_base::text::clean_line(note);
            text += &format!("# - {note}\n");
        }
        text + &write_compose(&Value::Mapping(file.0))
    }
}
