//! What services use of what they share: networks, volumes, configs and secrets.

use matou_i18n::tr;
use serde_json::Value as Json;
use serde_yaml::{Mapping, Value};

use super::conversion::{Conversion, STACK_LABEL};
use super::fields::Fields;
use super::values::{Written, text_map};

/// Networks of the engine that hold no aliases. Source: moby, `container.NetworkMode.IsUserDefined`.
const PREDEFINED: [&str; 4] = ["bridge", "host", "none", "default"];

/// Options that the engine gives a network itself.
const OWN_OPTION: &str = "com.docker.network.driver.overlay.vxlanid_list";

fn external(name: &str) -> Mapping {
    let mut out = Written::default();
    out.set("external", Some(true));
    out.set("name", Some(name));
    out.0
}

impl Conversion<'_> {
    /// Returns the key of something that the stack made, and whether its name follows from it.
    fn own_key(&self, name: &str) -> (String, bool) {
        match name.strip_prefix(&format!("{}_", self.app)) {
            Some(key) if !key.is_empty() => (key.to_owned(), true),
            _ => (name.to_owned(), false),
        }
    }

    /// Attaches the service to its networks, and declares them.
    pub(super) fn convert_networks(&mut self, attachments: &[Json], service: &mut Written) {
        let mut joined = Written::default();
        let mut names = Vec::new();
        for attachment in attachments {
            let mut attachment = Fields::new("TaskTemplate.Networks", attachment);
            let target = attachment.text("Target").unwrap_or_default();
            let Some(network) = self.shared.networks.get(&target).cloned() else {
                self.faults
                    .push(tr!("TaskTemplate.Networks: no network has the id {target}"));
                continue;
            };
            let network = Fields::new("Network", &network);
            let (key, name) = self.declare_network(network);
            let mut aliases = attachment.texts("Aliases");
            if !PREDEFINED.contains(&name.as_str()) && !self.is_single {
                match aliases.last() == Some(&self.name) {
                    true => drop(aliases.pop()),
                    false => self.rewritten.push(tr!(
                        "in the network {name} it gets its own name as an alias"
                    )),
                }
            }
            let mut options = Written::default();
            options.set_list("aliases", aliases);
            options.set_map("driver_opts", attachment.map("DriverOpts"));
            attachment.finish(&mut self.faults);
            joined.set(&key, Some(options.0));
            names.push(name);
        }
        if !names.is_sorted() {
            self.rewritten.push(tr!("its networks are sorted").into());
        }
        service.set_some("networks", joined);
    }

    /// Declares a network; returns its key and its name.
    fn declare_network(&mut self, mut network: Fields) -> (String, String) {
        let name = network.text("Name").unwrap_or_default();
        let mut labels = network.map("Labels");
        let is_own = labels
            .iter()
            .any(|(k, v)| k == STACK_LABEL && v == self.app);
        if !is_own || self.is_single {
            // `default` is the key of the stack's own.
            let key = match name.as_str() {
                "default" => "default-of-engine",
                name => name,
            };
            let key = self.shared.declare("networks", key, &name, external(&name));
            return (key, name);
        }
        labels.retain(|(k, _)| k != STACK_LABEL);
        let (key, is_named_by_key) = self.own_key(&name);
        let mut out = Written::default();
        out.set("name", (!is_named_by_key).then_some(name.as_str()));
        let driver = network.text("Driver").filter(|d| d != "overlay");
        out.set("driver", driver);
        let mut options = network.map("Options");
        options.retain(|(k, _)| k != OWN_OPTION);
        out.set_map("driver_opts", options);
        out.set("internal", network.flag("Internal").filter(|on| *on));
        out.set("attachable", network.flag("Attachable").filter(|on| *on));
        out.set_map("labels", labels);
        let key = self.shared.declare("networks", &key, &name, out.0);
        let mut ipam = network.object("IPAM").unwrap_or_default();
        let pools = ipam.list("Config");
        let subnets = pools.iter().filter_map(|p| p.get("Subnet")?.as_str());
        let subnets: Vec<&str> = subnets.collect();
        if !subnets.is_empty() {
            self.shared.note(tr!(
                "the network {name} has {}: the file leaves it to the engine, which may have chosen it",
                subnets.join(", ")
            ));
        }
        (key, name)
    }

    /// Lists configs or secrets of the service, and declares them as there already. Returns those
    /// that are no files of the container, by id.
    pub(super) fn convert_files(
        &mut self,
        kind: &'static str,
        references: &[Json],
        service: &mut Written,
    ) -> Vec<(String, String)> {
        let (label, what) = match kind {
            "configs" => ("Config", tr!("content of the config")),
            _ => ("Secret", tr!("value of the secret")),
        };
        let (mut list, mut runtime, mut names) = (Vec::new(), Vec::new(), Vec::new());
        for reference in references {
            let mut reference = Fields::new(&format!("ContainerSpec.{kind}"), reference);
            let id = reference.text(&format!("{label}ID")).unwrap_or_default();
            let name = reference.text(&format!("{label}Name")).unwrap_or_default();
            self.shared.declare(kind, &name, &name, external(&name));
            self.shared
                .note(tr!("the {what} {name} stays with the swarm"));
            names.push(name.clone());
            if let Some(empty) = reference.object("Runtime") {
                empty.finish(&mut self.faults);
                runtime.push((id, name));
                reference.finish(&mut self.faults);
                continue;
            }
            let mut out = Written::default();
            out.set("source", Some(name.as_str()));
            match reference.object("File") {
                Some(mut file) => {
                    out.set("target", file.text("Name"));
                    out.set("uid", file.text("UID"));
                    out.set("gid", file.text("GID"));
                    out.set("mode", file.whole("Mode"));
                    file.finish(&mut self.faults);
                }
                None => self
                    .faults
                    .push(tr!("ContainerSpec.{kind}: {name} is no file")),
            }
            reference.finish(&mut self.faults);
            list.push(Value::from(out.0));
        }
        if !names.is_sorted() {
            self.rewritten.push(tr!("its {kind} are sorted"));
        }
        service.set(kind, (!list.is_empty()).then_some(list));
        runtime
    }

    /// Converts a mount, and declares its volume.
    pub(super) fn convert_mount(&mut self, mount: &Json) -> Value {
        let mut mount = Fields::new("ContainerSpec.Mounts", mount);
        let kind = mount.text("Type").unwrap_or_default();
        let source = mount.text("Source");
        let mut out = Written::default();
        out.set("type", Some(kind.as_str()));
        match (kind.as_str(), source) {
            ("volume", Some(name)) => self.convert_volume(&name, &mut mount, &mut out),
            ("bind", Some(path)) => {
                out.set("source", Some(path));
                if let Some(mut options) = mount.object("BindOptions") {
                    let mut bind = Written::default();
                    bind.set("propagation", options.text("Propagation"));
                    options.finish(&mut self.faults);
                    out.set("bind", Some(bind.0));
                }
            }
            ("tmpfs", None) => {
                if let Some(mut options) = mount.object("TmpfsOptions") {
                    let mut tmpfs = Written::default();
                    tmpfs.set("size", options.whole("SizeBytes").filter(|n| *n != 0));
                    options.finish(&mut self.faults);
                    out.set("tmpfs", Some(tmpfs.0));
                }
            }
            ("volume", None) => {}
            (_, source) => self.faults.push(tr!(
                "ContainerSpec.Mounts: one of type {kind} ({})",
                source.unwrap_or_default()
            )),
        }
        out.set("target", mount.text("Target"));
        out.set("read_only", mount.flag("ReadOnly").filter(|on| *on));
        let consistency = mount.text("Consistency").filter(|c| c != "default");
        out.set("consistency", consistency);
        mount.finish(&mut self.faults);
        Value::from(out.0)
    }

    fn convert_volume(&mut self, name: &str, mount: &mut Fields, out: &mut Written) {
        let mut options = mount.object("VolumeOptions").unwrap_or_default();
        let mut labels = options.map("Labels");
        let is_own = labels
            .iter()
            .any(|(k, v)| k == STACK_LABEL && v == self.app);
        labels.retain(|(k, _)| k != STACK_LABEL);
        let mut driver = options.object("DriverConfig");
        // A single service's mount makes its volume too, with a driver and labels.
        let is_made = driver.as_ref().is_some_and(|d| !d.is_empty()) || !labels.is_empty();
        let key = if is_own || (self.is_single && is_made) {
            let (own, is_named_by_key) = self.own_key(name);
            let mut volume = Written::default();
            let is_named_by_key = is_named_by_key && !self.is_single;
            volume.set("name", (!is_named_by_key).then_some(name));
            if let Some(mut driver) = driver.take() {
                volume.set("driver", driver.text("Name"));
                let options = driver.map("Options");
                volume.set(
                    "driver_opts",
                    (!options.is_empty()).then(|| text_map(options)),
                );
                driver.finish(&mut self.faults);
            }
            volume.set_map("labels", labels);
            if self.shared.contradicts_volume(self.app, name, &volume.0) {
                self.faults.push(tr!(
                    "ContainerSpec.Mounts: the volume {name} is mounted with different options"
                ));
            }
            self.shared.declare("volumes", &own, name, volume.0)
        } else {
            if let Some(driver) = driver.take() {
                driver.finish(&mut self.faults);
            }
            for (label, _) in labels {
                self.faults.push(tr!(
                    "VolumeOptions.Labels: {label} of a volume outside the stack"
                ));
            }
            self.shared.declare("volumes", name, name, external(name))
        };
        out.set("source", Some(key));
        if options.flag("NoCopy") == Some(true) {
            let mut volume = Written::default();
            volume.set("nocopy", Some(true));
            out.set("volume", Some(volume.0));
        }
        options.finish(&mut self.faults);
    }
}
