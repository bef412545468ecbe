//! Making a swarm, joining it, and what a manager sets of its nodes.

use matou_i18n::tr;
use std::collections::BTreeMap;
use std::time::Duration;

use bollard::models::{SwarmInitRequest, SwarmJoinRequest};
use bollard::query_parameters::{DeleteNodeOptions, LeaveSwarmOptions};
use rustls::pki_types::CertificateDer;
use rustls::pki_types::pem::PemObject;
use secrecy::{ExposeSecret, SecretString};
use x509_parser::prelude::{FromDer, X509Certificate};

use super::raw::RawObjectKind;
use super::{Docker, DockerError, RawSpec};
use matou_host::Command;
use matou_model::{Availability, Reachability, Role};

/// How long a new manager may take until the swarm takes changes with it.
const ROLE_CHANGE_LIMIT: Duration = Duration::from_secs(180);

/// Where managers listen; 2377/tcp is Swarm's port.
const LISTEN_ADDRESS: &str = "0.0.0.0:2377";

/// The role that a node's certificate gives it.
fn parse_certificate_role(pem: &[u8]) -> Option<Role> {
    let leaf = CertificateDer::pem_slice_iter(pem).next()?.ok()?;
    let (_, parsed) = X509Certificate::from_der(&leaf).ok()?;
    let unit = parsed.subject().iter_organizational_unit().next()?;
    match unit.as_str().ok()? {
        "swarm-manager" => Some(Role::Manager),
        "swarm-worker" => Some(Role::Worker),
        _ => None,
    }
}

impl Docker {
    /// Makes this engine the first manager of a new swarm. `address` is the node's own, under which
    /// the others reach it; overlay networks are cut out of `pools` (the engine's default when
    /// empty), each of 256 addresses.
    ///
    /// # Errors
    /// What the engine refuses, in its words; that it gives no answer.
    pub async fn init_swarm(&self, address: &str, pools: Vec<String>) -> Result<(), DockerError> {
        let request = SwarmInitRequest {
            listen_addr: Some(LISTEN_ADDRESS.into()),
            advertise_addr: Some(address.into()),
            data_path_addr: Some(address.into()),
            subnet_size: (!pools.is_empty()).then_some(24),
            default_addr_pool: (!pools.is_empty()).then_some(pools),
            ..Default::default()
        };
        let client = self.bollard_client().await?;
        match client.init_swarm(request).await {
            Ok(_) => Ok(()),
            Err(e) => Err(self.error_of_client(e).await),
        }
    }

    /// The token with which a node joins the swarm of this manager in that role.
    ///
    /// # Errors
    /// What the engine refuses, in its words; that it gives no answer.
    pub async fn query_join_token(&self, role: Role) -> Result<SecretString, DockerError> {
        let client = self.bollard_client().await?;
        let swarm = match client.inspect_swarm().await {
            Ok(swarm) => swarm,
            Err(e) => return Err(self.error_of_client(e).await),
        };
        let tokens = swarm.join_tokens.unwrap_or_default();
        let token = match role {
            Role::Manager => tokens.manager,
            Role::Worker => tokens.worker,
        };
        token
            .map(SecretString::from)
            .ok_or_else(|| DockerError::Other {
                node: self.node_name(),
                reason: tr!("the manager gave no join token").into(),
            })
    }

    /// Joins the swarm of the managers at `managers` (`address:2377`). The token travels in the
    /// request's body.
    ///
    /// # Errors
    /// What the engine refuses, in its words; that it gives no answer. After a time-out the engine goes on trying: look at its state.
    pub async fn join_swarm(
        &self,
        address: &str,
        managers: Vec<String>,
        token: &SecretString,
    ) -> Result<(), DockerError> {
        let request = SwarmJoinRequest {
            listen_addr: Some(LISTEN_ADDRESS.into()),
            advertise_addr: Some(address.into()),
            data_path_addr: Some(address.into()),
            remote_addrs: Some(managers),
            join_token: Some(token.expose_secret().to_owned()),
        };
        let client = self.bollard_client().await?;
        match client.join_swarm(request).await {
            Ok(()) => Ok(()),
            Err(e) => Err(self.error_of_client(e).await),
        }
    }

    /// Sets labels of a node, found by its swarm id; those not named stay.
    ///
    /// # Errors
    /// What the engine refuses, in its words; that it gives no answer.
    pub async fn set_node_labels(
        &self,
        node: &str,
        labels: &BTreeMap<String, String>,
    ) -> Result<(), DockerError> {
        self.update_node(node, |spec| {
            let all = spec.map_mut(&["Labels"]);
            all.extend(labels.iter().map(|(k, v)| (k.clone(), v.as_str().into())));
        })
        .await
    }

    /// Sets the role of a node, found by its swarm id.
    ///
    /// # Errors
    /// What the engine refuses: it refuses to demote the last manager.
    pub async fn set_node_role(&self, node: &str, role: Role) -> Result<(), DockerError> {
        self.update_node(node, |spec| {
            *spec.value_mut(&["Role"]) = match role {
                Role::Manager => "manager".into(),
                Role::Worker => "worker".into(),
            };
        })
        .await
    }

    /// Waits until the swarm takes changes again after a node, found by its swarm id, took up a
    /// role. A new manager counts at once, but takes part only when its raft runs. Until then one
    /// of two managers is no majority, and every change waits. Proved by writing the node's
    /// description back unchanged, through this manager and through the new one's own engine.
    ///
    /// # Errors
    /// When it does not within three minutes, with what the engine said last.
    pub async fn wait_for_role(
        &self,
        node: &str,
        role: Role,
        own: &Self,
    ) -> Result<(), DockerError> {
        let mut last = tr!("no answer yet").to_owned();
        let settled = async {
            loop {
                match self.check_role_took_effect(node, role, own).await {
                    Ok(()) => return,
                    Err(why) => last = why.to_string(),
                }
                tokio::time::sleep(Duration::from_millis(500)).await;
            }
        };
        if tokio::time::timeout(ROLE_CHANGE_LIMIT, settled)
            .await
            .is_ok()
        {
            return Ok(());
        }
        Err(DockerError::Other {
            node: self.node_name(),
            reason: tr!(
                "the swarm takes no change {} s after the new role ({last}): is 2377/tcp open between the managers, and does `docker node ls` name each of them Reachable?",
                ROLE_CHANGE_LIMIT.as_secs()
            ),
        })
    }

    async fn check_role_took_effect(
        &self,
        node: &str,
        role: Role,
        own: &Self,
    ) -> Result<(), Box<dyn std::error::Error + Send + Sync>> {
        let is_manager = role == Role::Manager;
        let swarm = self.query_swarm().await?;
        let found = swarm.nodes.iter().find(|n| n.id == node);
        let found = found.ok_or(tr!("the managers do not list the node"))?;
        if (found.reachability == Reachability::Reachable) != is_manager {
            let why = match is_manager {
                true => tr!("{} is no reachable manager yet", found.hostname),
                false => tr!("{} still counts as a manager", found.hostname),
            };
            return Err(why.into());
        }
        self.update_node(node, |_| {}).await?;
        if is_manager {
            match own.update_node(node, |_| {}).await {
                // Nobody gets there from here: what the others say is what there is.
                Err(DockerError::Host(_)) | Ok(()) => {}
                Err(e) => return Err(e.into()),
            }
        }
        Ok(())
    }

    /// Reads the role in this engine's own certificate, with which it starts; `None` outside a
    /// swarm. A demoted manager keeps a manager's certificate for some seconds: when it restarts
    /// meanwhile, it comes back as a manager, and the others wait for its vote. Source: swarmkit,
    /// ca/certificates.go: the role is the subject's organizational unit.
    ///
    /// # Errors
    /// When the node can't be asked.
    pub async fn query_certified_role(&self) -> Result<Option<Role>, DockerError> {
        let client = self.bollard_client().await?;
        let info = match client.info().await {
            Ok(info) => info,
            Err(e) => return Err(self.error_of_client(e).await),
        };
        let root = info.docker_root_dir.unwrap_or_default();
        let read = Command::sh("cat -- \"$1/swarm/certificates/swarm-node.crt\" || :")
            .arg(root)
            .sudo()
            .timeout(Duration::from_secs(15))
            .label(tr!("ask for the role in its certificate"));
        Ok(parse_certificate_role(
            &self.host().run_ok(&read).await?.stdout,
        ))
    }

    /// Sets whether the scheduler may use a node, found by its swarm id or host name.
    ///
    /// # Errors
    /// What the engine refuses, in its words; that it gives no answer.
    pub async fn set_node_availability(
        &self,
        node: &str,
        to: Availability,
    ) -> Result<(), DockerError> {
        self.update_node(node, |spec| {
            *spec.value_mut(&["Availability"]) = to.as_str().into();
        })
        .await
    }

    /// Takes this engine out of its swarm. A manager must have been demoted before.
    ///
    /// # Errors
    /// What the engine refuses, in its words; that it gives no answer.
    pub async fn leave_swarm(&self) -> Result<(), DockerError> {
        let client = self.bollard_client().await?;
        match client.leave_swarm(None::<LeaveSwarmOptions>).await {
            Ok(()) => Ok(()),
            Err(e) => Err(self.error_of_client(e).await),
        }
    }

    /// Removes a node, found by its swarm id, from this manager's list.
    ///
    /// # Errors
    /// What the engine refuses, in its words; it refuses a node that is not down unless forced.
    pub async fn delete_node(&self, node: &str, force: bool) -> Result<(), DockerError> {
        let client = self.bollard_client().await?;
        let options = DeleteNodeOptions { force };
        match client.delete_node(node, Some(options)).await {
            Ok(()) => Ok(()),
            Err(e) => Err(self.error_of_client(e).await),
        }
    }

    /// Sets whether managers ask for a key after each restart (autolock), and how often nodes send
    /// a heartbeat.
    ///
    /// # Errors
    /// What the engine refuses, in its words; that it gives no answer.
    pub async fn configure_swarm(
        &self,
        autolock: bool,
        heartbeat: Duration,
    ) -> Result<(), DockerError> {
        // Nanoseconds: https://docs.docker.com/reference/api/engine/, SwarmSpec.
        let period = u64::try_from(heartbeat.as_nanos()).unwrap_or(u64::MAX);
        self.update_object(RawObjectKind::Swarm, "", "", |spec| {
            *spec.value_mut(&["EncryptionConfig", "AutoLockManagers"]) = autolock.into();
            *spec.value_mut(&["Dispatcher", "HeartbeatPeriod"]) = period.into();
            true
        })
        .await
    }

    /// Reads a node's description, lets `change` alter it, and writes it back; the rest stays as
    /// the engine said it. Tries again on a fresh description when somebody else changed it
    /// meanwhile, or the managers had no leader. The node is found by its swarm id or host name.
    ///
    /// # Errors
    /// What the engine refuses, in its words; that it gives no answer.
    pub async fn update_node(
        &self,
        node: &str,
        mut change: impl FnMut(&mut RawSpec),
    ) -> Result<(), DockerError> {
        let change = |spec: &mut RawSpec| {
            change(spec);
            true
        };
        self.update_object(RawObjectKind::Node, node, "", change)
            .await
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use matou_config::NodeConnection;
    use matou_host::{Host, HostOptions};
    use std::io::{BufRead, BufReader, Read, Write};
    use std::os::unix::net::{UnixListener, UnixStream};
    use std::path::Path;
    use std::sync::Arc;
    use std::sync::atomic::{AtomicUsize, Ordering};

    /// Answers as a manager's engine; the first `failing` changes are refused, as while a new manager is
    /// counted and does not take part.
    fn engine(socket: &Path, failing: usize) -> Arc<AtomicUsize> {
        let listener = UnixListener::bind(socket).unwrap();
        let asked = Arc::new(AtomicUsize::new(0));
        let counted = asked.clone();
        std::thread::spawn(move || {
            for stream in listener.incoming().flatten() {
                let counted = counted.clone();
                std::thread::spawn(move || serve(stream, failing, &counted));
            }
        });
        asked
    }

    fn serve(mut stream: UnixStream, failing: usize, asked: &AtomicUsize) -> Option<()> {
        let mut reader = BufReader::new(stream.try_clone().ok()?);
        loop {
            let mut first = String::new();
            reader.read_line(&mut first).ok().filter(|n| *n > 0)?;
            let mut length = 0;
            loop {
                let mut line = String::new();
                reader.read_line(&mut line).ok()?;
                if let Some((name, value)) = line.split_once(':')
                    && name.eq_ignore_ascii_case("content-length")
                {
                    length = value.trim().parse().ok()?;
                }
                if line.trim().is_empty() {
                    break;
                }
            }
            let mut body = vec![0; length];
            reader.read_exact(&mut body).ok()?;
            let node = r#"{"ID":"a","Version":{"Index":7},"Spec":{"New":1,"Role":"manager"},"Description":{"Hostname":"n2"},"Status":{"State":"ready"},"ManagerStatus":{"Reachability":"reachable"}}"#;
            let list = format!("[{node}]");
            let (status, said) = match first.split_whitespace().nth(1)? {
                p if p.ends_with("/version") => (200, r#"{"ApiVersion":"1.41","Version":"20.10"}"#),
                p if p.contains("/update") => {
                    assert_eq!(body, br#"{"New":1,"Role":"manager"}"#);
                    match asked.fetch_add(1, Ordering::SeqCst) < failing {
                        true => (500, r#"{"message":"rpc error: context deadline exceeded"}"#),
                        false => (200, ""),
                    }
                }
                p if p.ends_with("/nodes/a") => (200, node),
                p if p.ends_with("/nodes") => (200, &*list),
                _ => (200, "[]"),
            };
            let head = "Content-Type: application/json\r\nApi-Version: 1.41";
            write!(
                stream,
                "HTTP/1.1 {status} said\r\n{head}\r\nContent-Length: {}\r\n\r\n{said}",
                said.len()
            )
            .ok()?;
        }
    }

    #[tokio::test]
    async fn a_new_manager_is_waited_for_until_changes_pass() {
        let dir = tempfile::tempdir().unwrap();
        let docker = |name: &str| {
            let options = HostOptions {
                docker_socket: dir.path().join(name),
                runtime_dir: dir.path().to_owned(),
                recorder: None,
            };
            Docker::new(Host::new(name, &NodeConnection::Local, options))
        };
        let leader = engine(&dir.path().join("n1"), 2);
        let new = engine(&dir.path().join("n2"), 1);
        let (n1, n2) = (docker("n1"), docker("n2"));
        n1.wait_for_role("a", Role::Manager, &n2).await.unwrap();
        // Twice in vain, then one for each look at the new one, of which the first is in vain too.
        assert_eq!(leader.load(Ordering::SeqCst), 4);
        assert_eq!(new.load(Ordering::SeqCst), 2);
    }
}
