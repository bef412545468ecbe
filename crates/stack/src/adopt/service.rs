//! One service as the engine holds it, as a service of a compose file: the inverse of what the
//! engine's own client does. Source: docker/cli, cli/compose/convert/service.go and volume.go.

use matou_i18n::tr;
use serde_json::Value as Json;
use serde_yaml::{Mapping, Value};

use super::conversion::{Conversion, IMAGE_LABEL, STACK_LABEL};
use super::fields::Fields;
use super::values::{Written, cpus, duration, memory};
use crate::render::HASH_LABEL;

impl Conversion<'_> {
    /// Converts the `Spec` of a service.
    pub(super) fn convert(&mut self, spec: &Json) -> Mapping {
        let mut spec = Fields::new("Spec", spec);
        spec.ignore("Name");
        let mut labels = spec.map("Labels");
        let stack_image = labels.iter().find(|(k, _)| k == IMAGE_LABEL).cloned();
        labels.retain(|(k, _)| {
            ![STACK_LABEL, IMAGE_LABEL, HASH_LABEL].contains(&k.as_str())
                && !k.starts_with(matou_model::JOB_LABEL)
        });
        let mut service = Written::default();
        let mut deploy = Written::default();
        self.convert_mode(&mut spec, &mut deploy);
        deploy.set_map("labels", labels);
        let mut task = spec.object("TaskTemplate").unwrap_or_default();
        if let Some(container) = task.object("ContainerSpec") {
            self.convert_container(container, stack_image.map(|(_, v)| v), &mut service);
        }
        self.convert_task(&mut task, &mut service, &mut deploy);
        task.finish(&mut self.faults);
        for (key, written) in [
            ("UpdateConfig", "update_config"),
            ("RollbackConfig", "rollback_config"),
        ] {
            if let Some(config) = spec.object(key) {
                deploy.set(written, Some(self.convert_update(config)));
            }
        }
        if let Some(endpoint) = spec.object("EndpointSpec") {
            self.convert_endpoint(endpoint, &mut service, &mut deploy);
        }
        spec.finish(&mut self.faults);
        service.set_some("deploy", deploy);
        service.0
    }

    fn convert_mode(&mut self, spec: &mut Fields, deploy: &mut Written) {
        let mut mode = spec.object("Mode").unwrap_or_default();
        if let Some(mut replicated) = mode.object("Replicated") {
            deploy.set("replicas", replicated.whole("Replicas"));
            replicated.finish(&mut self.faults);
        } else if let Some(global) = mode.object("Global") {
            deploy.set("mode", Some("global"));
            global.finish(&mut self.faults);
        } else if let Some(mut job) = mode.object("ReplicatedJob") {
            deploy.set("mode", Some("replicated-job"));
            let (at_once, total) = (job.whole("MaxConcurrent"), job.whole("TotalCompletions"));
            deploy.set("replicas", total.or(at_once));
            if let (Some(at_once), Some(total)) = (at_once, total)
                && at_once != total
            {
                self.faults.push(tr!(
                    "Mode.ReplicatedJob: {at_once} at once of {total}; a compose file has one number for both"
                ));
            }
            job.finish(&mut self.faults);
        } else if let Some(job) = mode.object("GlobalJob") {
            deploy.set("mode", Some("global-job"));
            job.finish(&mut self.faults);
        }
        mode.finish(&mut self.faults);
    }

    fn convert_container(
        &mut self,
        mut container: Fields,
        stack_image: Option<String>,
        service: &mut Written,
    ) {
        let image = container.text("Image").unwrap_or_default();
        service.set("image", Some(self.choose_image(&image, stack_image)));
        service.set_list("entrypoint", container.texts("Command"));
        service.set_list("command", container.texts("Args"));
        service.set("hostname", container.text("Hostname"));
        service.set("working_dir", container.text("Dir"));
        service.set("user", container.text("User"));
        let environment = container.texts("Env");
        self.convert_environment(environment, service);
        let mut labels = container.map("Labels");
        labels.retain(|(k, v)| k != STACK_LABEL || v != self.app);
        service.set_map("labels", labels);
        for (field, key) in [
            ("TTY", "tty"),
            ("OpenStdin", "stdin_open"),
            ("ReadOnly", "read_only"),
        ] {
            service.set(key, container.flag(field).filter(|on| *on));
        }
        // Unlike the others, `false` is not the same as nothing: the daemon may start one by itself.
        service.set("init", container.flag("Init"));
        service.set("stop_signal", container.text("StopSignal"));
        let grace = container.whole("StopGracePeriod").map(duration);
        service.set("stop_grace_period", grace);
        let isolation = container.text("Isolation");
        service.set("isolation", isolation.filter(|i| i != "default"));
        let score = container.whole("OomScoreAdj").filter(|s| *s != 0);
        service.set("oom_score_adj", score);
        self.convert_hosts(&mut container, service);
        self.convert_health(&mut container, service);
        service.set_map("sysctls", container.map("Sysctls"));
        service.set_list("cap_add", container.texts("CapabilityAdd"));
        service.set_list("cap_drop", container.texts("CapabilityDrop"));
        let limits = container.list("Ulimits");
        let mut ulimits = Written::default();
        for limit in &limits {
            let mut limit = Fields::new("ContainerSpec.Ulimits", limit);
            let name = limit.text("Name").unwrap_or_default();
            let mut both = Written::default();
            both.set("soft", Some(limit.whole("Soft").unwrap_or(0)));
            both.set("hard", Some(limit.whole("Hard").unwrap_or(0)));
            ulimits.set(&name, Some(both.0));
            limit.finish(&mut self.faults);
        }
        service.set_some("ulimits", ulimits);
        let configs = container.list("Configs");
        let runtime = self.convert_files("configs", &configs, service);
        let secrets = container.list("Secrets");
        self.convert_files("secrets", &secrets, service);
        self.convert_privileges(&mut container, &runtime, service);
        let mounts = container.list("Mounts");
        let mounts: Vec<Value> = mounts.iter().map(|m| self.convert_mount(m)).collect();
        service.set("volumes", (!mounts.is_empty()).then_some(mounts));
        container.finish(&mut self.faults);
    }

    /// Returns the image for the file: as the stack file named it, where it still is the one that runs.
    fn choose_image(&mut self, running: &str, stack_image: Option<String>) -> String {
        let plain = running.split_once('@').map_or(running, |(name, _)| name);
        let Some(named) = stack_image else {
            return plain.to_owned();
        };
        if named == running || same_image(&named, plain) {
            return named;
        }
        self.rewritten.push(tr!(
            "it runs {plain}, and its stack file named {named}: the file names what runs"
        ));
        plain.to_owned()
    }

    fn convert_environment(&mut self, lines: Vec<String>, service: &mut Written) {
        let mut sorted = lines.clone();
        sorted.sort();
        if sorted != lines {
            self.rewritten.push(tr!("its variables are sorted").into());
        }
        let mut variables = Written::default();
        for line in lines {
            match line.split_once('=') {
                Some((name, value)) => {
                    if variables.0.contains_key(name) {
                        self.faults.push(tr!(
                            "ContainerSpec.Env has {name} twice; a compose file has it once"
                        ));
                    }
                    variables.set(name, Some(value));
                }
                None => self.faults.push(tr!(
                    "ContainerSpec.Env has {line} without a value, which takes the variable of the image away"
                )),
            }
        }
        service.set_some("environment", variables);
    }

    fn convert_hosts(&mut self, container: &mut Fields, service: &mut Written) {
        let mut extra = Vec::new();
        for host in container.texts("Hosts") {
            match host.split_once(' ') {
                Some((address, name)) if !name.contains([' ', ':']) => {
                    extra.push(format!("{name}:{address}"));
                }
                _ => self.faults.push(format!("ContainerSpec.Hosts = {host}")),
            }
        }
        service.set_list("extra_hosts", extra);
        if let Some(mut dns) = container.object("DNSConfig") {
            service.set_list("dns", dns.texts("Nameservers"));
            service.set_list("dns_search", dns.texts("Search"));
            // `--dns-option`: Compose's `dns_opt`, which `docker stack deploy` does not take.
            dns.finish(&mut self.faults);
        }
    }

    fn convert_health(&mut self, container: &mut Fields, service: &mut Written) {
        let Some(mut health) = container.object("Healthcheck") else {
            return;
        };
        let test = health.texts("Test");
        let mut check = Written::default();
        if test.first().is_some_and(|word| word == "NONE") {
            check.set("disable", Some(true));
        } else {
            check.set_list("test", test);
            for (field, key) in [
                ("Interval", "interval"),
                ("Timeout", "timeout"),
                ("StartPeriod", "start_period"),
                ("StartInterval", "start_interval"),
            ] {
                let nanos = health.whole(field).filter(|n| *n != 0);
                check.set(key, nanos.map(duration));
            }
            check.set("retries", health.whole("Retries").filter(|n| *n != 0));
        }
        health.finish(&mut self.faults);
        service.set("healthcheck", Some(check.0));
    }

    /// What the container may do beyond others. `runtime` are configs that it has, by their ids.
    fn convert_privileges(
        &mut self,
        container: &mut Fields,
        runtime: &[(String, String)],
        service: &mut Written,
    ) {
        let Some(mut privileges) = container.object("Privileges") else {
            return;
        };
        if let Some(mut credentials) = privileges.object("CredentialSpec") {
            let mut spec = Written::default();
            if let Some(id) = credentials.text("Config") {
                match runtime.iter().find(|(known, _)| *known == id) {
                    Some((_, name)) => spec.set("config", Some(name.as_str())),
                    None => self
                        .faults
                        .push(format!("Privileges.CredentialSpec.Config = {id}")),
                }
            }
            spec.set("file", credentials.text("File"));
            spec.set("registry", credentials.text("Registry"));
            credentials.finish(&mut self.faults);
            service.set_some("credential_spec", spec);
        }
        privileges.finish(&mut self.faults);
    }

    fn convert_task(&mut self, task: &mut Fields, service: &mut Written, deploy: &mut Written) {
        // The engine's client keeps it when it deploys.
        task.ignore("ForceUpdate");
        if let Some(runtime) = task.text("Runtime").filter(|r| r != "container") {
            self.faults
                .push(format!("TaskTemplate.Runtime = {runtime}"));
        }
        if let Some(mut driver) = task.object("LogDriver") {
            let mut logging = Written::default();
            logging.set("driver", driver.text("Name"));
            logging.set_map("options", driver.map("Options"));
            driver.finish(&mut self.faults);
            service.set("logging", Some(logging.0));
        }
        if let Some(resources) = task.object("Resources") {
            self.convert_resources(resources, deploy);
        }
        if let Some(mut policy) = task.object("RestartPolicy") {
            let mut restart = Written::default();
            restart.set("condition", policy.text("Condition"));
            restart.set("delay", policy.whole("Delay").map(duration));
            restart.set("max_attempts", policy.whole("MaxAttempts"));
            restart.set("window", policy.whole("Window").map(duration));
            policy.finish(&mut self.faults);
            deploy.set("restart_policy", Some(restart.0));
        }
        if let Some(mut placement) = task.object("Placement") {
            let mut place = Written::default();
            place.set_list("constraints", placement.texts("Constraints"));
            let mut preferences = Vec::new();
            for preference in placement.list("Preferences") {
                let mut preference = Fields::new("Placement.Preferences", &preference);
                let mut spread = preference.object("Spread").unwrap_or_default();
                let mut one = Written::default();
                one.set("spread", spread.text("SpreadDescriptor"));
                spread.finish(&mut self.faults);
                preference.finish(&mut self.faults);
                preferences.push(Value::from(one.0));
            }
            place.set(
                "preferences",
                (!preferences.is_empty()).then_some(preferences),
            );
            let most = placement.whole("MaxReplicas").filter(|n| *n != 0);
            place.set("max_replicas_per_node", most);
            // Of the image, as its registry told the engine.
            placement.ignore("Platforms");
            placement.finish(&mut self.faults);
            deploy.set_some("placement", place);
        }
        let attachments = task.list("Networks");
        self.convert_networks(&attachments, service);
    }

    fn convert_resources(&mut self, mut resources: Fields, deploy: &mut Written) {
        let mut out = Written::default();
        for (field, key) in [("Limits", "limits"), ("Reservations", "reservations")] {
            let Some(mut amounts) = resources.object(field) else {
                continue;
            };
            let mut written = Written::default();
            let nano = amounts.whole("NanoCPUs").filter(|n| *n != 0);
            written.set("cpus", nano.map(cpus));
            let bytes = amounts.whole("MemoryBytes").filter(|n| *n != 0);
            written.set("memory", bytes.map(memory));
            if field == "Limits" {
                written.set("pids", amounts.whole("Pids").filter(|n| *n != 0));
            } else {
                let generic = self.convert_generic(&mut amounts);
                written.set(
                    "generic_resources",
                    (!generic.is_empty()).then_some(generic),
                );
            }
            amounts.finish(&mut self.faults);
            // An empty one is not the same as none, to the engine.
            out.set(key, Some(written.0));
        }
        resources.finish(&mut self.faults);
        deploy.set_some("resources", out);
    }

    fn convert_generic(&mut self, amounts: &mut Fields) -> Vec<Value> {
        let mut out = Vec::new();
        for resource in amounts.list("GenericResources") {
            let mut resource = Fields::new("Resources.GenericResources", &resource);
            if let Some(mut spec) = resource.object("DiscreteResourceSpec") {
                let mut inner = Written::default();
                inner.set("kind", spec.text("Kind"));
                inner.set("value", spec.whole("Value"));
                spec.finish(&mut self.faults);
                let mut one = Written::default();
                one.set("discrete_resource_spec", Some(inner.0));
                out.push(one.0.into());
            }
            resource.finish(&mut self.faults);
        }
        out
    }

    fn convert_update(&mut self, mut config: Fields) -> Mapping {
        let mut out = Written::default();
        out.set(
            "parallelism",
            Some(config.whole("Parallelism").unwrap_or(0)),
        );
        let nanos = |n: Option<i64>| n.filter(|n| *n != 0).map(duration);
        out.set("delay", nanos(config.whole("Delay")));
        out.set("failure_action", config.text("FailureAction"));
        out.set("monitor", nanos(config.whole("Monitor")));
        let ratio = config.ratio("MaxFailureRatio").filter(|r| *r != 0.0);
        out.set("max_failure_ratio", ratio);
        out.set("order", config.text("Order"));
        config.finish(&mut self.faults);
        out.0
    }

    fn convert_endpoint(
        &mut self,
        mut endpoint: Fields,
        service: &mut Written,
        deploy: &mut Written,
    ) {
        deploy.set("endpoint_mode", endpoint.text("Mode"));
        let mut ports = Vec::new();
        for port in endpoint.list("Ports") {
            let mut port = Fields::new("EndpointSpec.Ports", &port);
            let mut out = Written::default();
            out.set("target", port.whole("TargetPort"));
            out.set("published", port.whole("PublishedPort").filter(|n| *n != 0));
            out.set("protocol", port.text("Protocol"));
            out.set("mode", port.text("PublishMode"));
            port.finish(&mut self.faults);
            ports.push(Value::from(out.0));
        }
        service.set("ports", (!ports.is_empty()).then_some(ports));
        endpoint.finish(&mut self.faults);
    }
}

/// Whether two references are the same image: one without a tag is that of `latest`.
fn same_image(a: &str, b: &str) -> bool {
    let full = |name: &str| {
        let last = name.rsplit('/').next().unwrap_or_default();
        match last.contains(':') {
            true => name.to_owned(),
            false => format!("{name}:latest"),
        }
    };
    full(a) == full(b)
}
