//! Where acme.json is: named by Traefik's options, in one of its mounts, on some node.

use matou_i18n::tr;
use std::collections::HashMap;
use std::time::Duration;

use secrecy::{ExposeSecret, SecretBox, SecretString};

use super::AcmeStore;
use super::acme::LARGEST;
use super::options::{find_service_mount, list_static_options};
use crate::{AcmeError, EdgeError};
use matou_config::StorageConfig;
use matou_docker::{NodeHandle, Nodes, ServiceSpec};
use matou_host::{Command, ConfinedFolders, shell_script};
use matou_model::{Service, Swarm, TaskState};

const PATIENCE: Duration = Duration::from_secs(20);

/// The shell function `small FILE`: ends the script when the file is larger than the script's
/// argument `$2`.
const SMALL: &str = shell_script(include_str!("../scripts/lib_acme.sh"));

/// Traefik's store of certificates on its node.
#[derive(Clone)]
pub struct AcmeFile {
    /// Where Traefik runs, or ran last.
    pub node: NodeHandle,
    /// Absolute, on that node.
    pub path: String,
    /// The folder that Traefik mounts. Its container can write there: links in it are not followed.
    folder: String,
    /// Traefik's service.
    pub service: String,
    /// The swarm's own.
    pub service_id: String,
    /// How many tasks Traefik's service is to have.
    pub replicas: u64,
}

/// Finds the service that takes https for the fleet.
pub fn find_edge_service(swarm: &Swarm) -> Option<&Service> {
    swarm.find_edge_service()
}

/// Reads the end of the log of the service that takes https for the fleet.
pub async fn read_edge_log(manager: &NodeHandle, swarm: &Swarm) -> Option<String> {
    let service = find_edge_service(swarm)?;
    let log = Command::new("docker")
        .args([
            "service",
            "logs",
            "--raw",
            "--no-task-ids",
            "--tail",
            "500",
            "--",
        ])
        .arg(&service.id)
        .sudo()
        .timeout(Duration::from_secs(10));
    let out = manager.host.run_ok(&log).await.ok()?;
    let mut text = String::from_utf8_lossy(&out.stdout).into_owned();
    text.push_str(&String::from_utf8_lossy(&out.stderr));
    Some(text)
}

impl AcmeFile {
    /// Finds acme.json of the service that takes https for the fleet.
    ///
    /// # Errors
    /// One sentence: nothing takes https, or its options do not say where acme.json is.
    pub async fn find(
        nodes: &Nodes,
        storage: &StorageConfig,
        manager: &NodeHandle,
        swarm: &Swarm,
    ) -> Result<Self, EdgeError> {
        let service = find_edge_service(swarm).ok_or(tr!(
            "nothing takes https for the fleet: `matou deploy traefik edge` does"
        ))?;
        let name = &service.name;
        let spec = manager.docker.query_service_spec(&service.id).await;
        let spec = spec?;
        let path = find_acme_path(&spec).ok_or_else(|| {
            tr!("the options of {name} do not say where its acme.json is (certificatesresolvers.NAME.acme.storage): is it a Traefik?")
        })?;
        // The newest task says which node it is on, also when it has been stopped.
        let tasks = swarm.tasks.iter().filter(|t| t.service_id == service.id);
        let newest = tasks
            .filter(|t| !t.node_id.is_empty())
            .max_by_key(|t| (t.desired == TaskState::Running, t.since));
        let at = newest.and_then(|t| nodes.find_name(swarm, &t.node_id));
        let node = at.and_then(|n| nodes.get(&n)).ok_or_else(|| {
            tr!("{name} runs on no node of config.toml: its acme.json can't be reached")
        })?;
        let (source, volume, rest) = find_service_mount(&spec, &path).ok_or_else(|| {
            tr!("{path} of {name} is in no volume: its certificates are lost whenever it is replaced; mount one there")
        })?;
        let of = |node: &NodeHandle, folder: &str| Self {
            node: node.clone(),
            path: format!("{}{rest}", folder.trim_end_matches('/')),
            folder: match rest.is_empty() {
                // Mounted by itself: it is replaced in the operator's own folder.
                true => folder.rsplit_once('/').map_or("", |(f, _)| f).to_owned(),
                false => folder.to_owned(),
            },
            service: name.clone(),
            service_id: service.id.clone(),
            replicas: service.wanted.max(1),
        };
        if !volume {
            return Ok(of(node, &source));
        }
        let volumes = node.docker.list_volumes().await?;
        let found = volumes.iter().find(|v| v.name == source);
        let found = found.ok_or_else(|| {
            tr!(
                "the volume {source} of {name} is not on {}",
                node.config.name
            )
        })?;
        let option = |key: &str| found.options.get(key).map(String::as_str);
        let server = || {
            nodes
                .get(&storage.node)
                .ok_or_else(|| tr!("[storage] node {} is not there", storage.node))
        };
        Ok(match (option("type"), option("device"), option("share")) {
            // A volume of the network is mounted only while Traefik runs.
            (Some("nfs" | "nfs4"), Some(device), _) => {
                of(server()?, device.split_once(':').map_or(device, |(_, p)| p))
            }
            (_, _, Some(share)) if share.contains(':') => {
                of(server()?, share.split_once(':').map_or(share, |(_, p)| p))
            }
            (_, Some(device), _) if device.starts_with('/') => of(node, device),
            _ => of(node, &found.mountpoint),
        })
    }

    /// Reads the store without its private keys: those stay on the node.
    ///
    /// # Errors
    /// One sentence: it can't be read, or is no store.
    pub async fn read(&self) -> Result<AcmeStore, EdgeError> {
        let script = "[ -e \"$1\" ] || exit 0; small \"$1\"; sed -E 's/\"([Kk]ey|[Pp]rivate[Kk]ey)\"[[:space:]]*:[[:space:]]*\"[^\"]*\"/\"\\1\":\"\"/g' -- \"$1\"";
        let text = self.run_script(self.build_script(script)).await?;
        AcmeStore::parse(&text).map_err(|e| self.explain(&e))
    }

    fn explain(&self, error: &AcmeError) -> EdgeError {
        EdgeError::failed(tr!("{} of {}: {error}", self.path, self.node.config.name))
    }

    /// Removes the certificates of a name and returns their number. Only the file's owner can read
    /// it afterwards; what it held before is kept beside it in `acme.json.before`. Traefik must
    /// have been stopped: it overwrites what others write.
    ///
    /// # Errors
    /// One sentence: it can't be read or written, or is no store.
    pub async fn remove_certificates(&self, domain: &str) -> Result<usize, EdgeError> {
        let read = self.build_script("small \"$1\"; exec cat -- \"$1\"");
        let text = SecretString::from(self.run_script(read).await?);
        let store = AcmeStore::parse(text.expose_secret()).map_err(|e| self.explain(&e))?;
        let (new, gone) = store.render_without_name(domain);
        if gone == 0 {
            return Ok(0);
        }
        let script = shell_script(include_str!("../scripts/replace_acme.sh"));
        let write = self
            .build_script(script)
            .arg(new.len().to_string())
            .secret_stdin(SecretBox::new(Box::new(new.into_bytes())));
        self.run_script(write).await?;
        Ok(gone)
    }

    /// Removes `acme.json.before`, if it is there.
    ///
    /// # Errors
    /// One sentence: it could not be removed.
    pub async fn remove_previous(&self) -> Result<(), EdgeError> {
        self.run_script(self.build_script("rm -f -- \"$1.before\""))
            .await
            .map(drop)
    }

    /// Makes a command of a script: `$1` is the store's path, `small` is there, and no link in
    /// Traefik's folder is followed.
    fn build_script(&self, script: &str) -> Command {
        ConfinedFolders::new(&self.folder)
            .sh(&format!("{SMALL}{script}"))
            .arg(&self.path)
            .arg(LARGEST.to_string())
    }

    async fn run_script(&self, command: Command) -> Result<String, EdgeError> {
        let command = command.timeout(PATIENCE).label("acme.json");
        let out = self.node.host.run_ok_keeping(&command, LARGEST).await;
        out.map(|o| String::from_utf8_lossy(&o.stdout).into_owned())
            .map_err(EdgeError::from)
    }
}

/// The path of acme.json by Traefik's options, of version 1 or later.
fn find_acme_path(spec: &ServiceSpec) -> Option<String> {
    let of = |key: &str| {
        (key.starts_with("certificatesresolvers.") && key.ends_with(".acme.storage"))
            || matches!(key, "acme.storage" | "acme.storagefile")
    };
    let found = list_static_options(spec)
        .into_iter()
        .rfind(|(key, _)| of(key));
    found.map(|(_, value)| value).filter(|p| p.starts_with('/'))
}

/// Returns the certificates of a store by each name that they cover.
pub fn acme_certificates_by_name(store: &AcmeStore) -> HashMap<&str, Vec<&super::AcmeCertificate>> {
    let mut out: HashMap<&str, Vec<&super::AcmeCertificate>> = HashMap::new();
    for stored in &store.certificates {
        for name in &stored.names {
            out.entry(name).or_default().push(stored);
        }
    }
    out
}

#[cfg(test)]
mod tests {
    use super::*;
    use serde_json::json;

    fn spec(args: &[&str], env: &[&str]) -> ServiceSpec {
        serde_json::from_value(json!({"TaskTemplate": {"ContainerSpec": {
        "Args": args, "Env": env,
        "Mounts": [
            {"Type": "volume", "Source": "edge_data", "Target": "/data"},
            {"Type": "bind", "Source": "/srv/acme", "Target": "/data/acme"},
        ]}}}))
        .unwrap()
    }

    #[test]
    fn the_store_is_where_the_options_say() {
        let of = |args: &[&str], env: &[&str]| find_acme_path(&spec(args, env));
        let new = [
            "--api",
            "--certificatesResolvers.le.acme.storage=/data/acme.json",
        ];
        assert_eq!(of(&new, &[]).as_deref(), Some("/data/acme.json"));
        assert_eq!(
            of(&["--acme.storage", "/acme.json"], &[]).as_deref(),
            Some("/acme.json")
        );
        let variable = ["TRAEFIK_CERTIFICATESRESOLVERS_LE_ACME_STORAGE=/data/a.json"];
        assert_eq!(of(&[], &variable).as_deref(), Some("/data/a.json"));
        assert_eq!(of(&["--acme.email=x"], &[]), None);
        let spec = spec(&[], &[]);
        assert_eq!(
            find_service_mount(&spec, "/data/acme.json"),
            Some(("edge_data".into(), true, "/acme.json".into()))
        );
        assert_eq!(
            find_service_mount(&spec, "/data/acme/acme.json"),
            Some(("/srv/acme".into(), false, "/acme.json".into()))
        );
        assert_eq!(find_service_mount(&spec, "/database/acme.json"), None);
    }
}
