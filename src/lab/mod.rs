//! The practice fleet: containers that boot systemd, or virtual machines, as servers on this
//! machine.
//!
//! Containers are quick, and good for SSH, systemd, Docker Engine, Swarm over several hosts, overlay
//! networks and the loss of a node. Virtual machines are complete: LVM, kernel NFS, swap, reboot.

mod command;
mod engine;
mod image;
mod node;
mod vm;

use std::path::PathBuf;

use color_eyre::eyre::{Context as _, Result, bail, ensure, eyre};

use crate::config::{Reach, state_dir};
use crate::host::{Command, Host, HostOptions};

pub use command::LabCommand;
use engine::Engine;
use vm::Vms;
pub use vm::{Release, VmOptions};

/// The configuration of a fleet whose nodes share the folder of volumes.
const SHARED: &str = "\n[storage]\ndriver = \"shared\"\npath = \"/mnt/data\"\n";

/// Where nodes that share a folder have it.
const SHARED_AT: &str = "/mnt/data";

/// How long a container is waited for.
const CONTAINERS: &str = "connect_timeout = \"5 s\"\nkeep_alive = \"2 s\"\n";

/// The same of a machine that is emulated, perhaps: while it is busy it takes many seconds to let one
/// in.
const MACHINES: &str = "connect_timeout = \"30 s\"\nkeep_alive = \"10 s\"\n";

/// Most nodes a practice fleet has.
const MOST_NODES: usize = 20;

/// What the nodes come with.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Kind {
    /// A fresh server: sshd and nothing else.
    Blank,
    /// Docker installed, no swarm.
    Docker,
    /// One manager, the others workers, the practice images loaded.
    Swarm,
}

/// How a node is reached, for configuration and known_hosts.
#[derive(Debug, Clone)]
struct Server {
    name: String,
    address: String,
    /// Type and key, as known_hosts has them.
    host_key: String,
}

/// A practice fleet on this machine.
pub struct Lab {
    name: String,
    /// Configuration, SSH key, known_hosts.
    dir: PathBuf,
    /// Runs commands on this machine.
    here: Host,
    /// The configuration says that all nodes share one folder for volumes.
    shared: bool,
    /// Where they have it.
    shared_at: PathBuf,
}

/// A node of a practice fleet.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct LabNode {
    pub name: String,
    pub address: String,
    /// `running`, `exited`, …
    pub state: String,
}

impl Lab {
    /// The practice fleet of that name, whether it is up or not.
    ///
    /// # Errors
    /// When the name is no label of a host name, or there is no state folder.
    pub fn new(name: &str) -> Result<Self> {
        ensure!(
            (1..=20).contains(&name.len())
                && name
                    .chars()
                    .all(|c| c.is_ascii_lowercase() || c.is_ascii_digit()),
            "{name:?} is no name for a practice fleet: use up to 20 lower-case letters and digits"
        );
        let dir = state_dir()?.join("lab").join(name);
        Ok(Self {
            name: name.to_owned(),
            here: this_machine(),
            dir,
            shared: false,
            shared_at: SHARED_AT.into(),
        })
    }

    /// Volumes are folders of `/mnt/data`, which all nodes of a swarm of containers share.
    pub fn shared(mut self) -> Self {
        self.shared = true;
        self
    }

    /// All nodes share one folder, in this place, whatever they come with.
    pub fn sharing(mut self, path: &std::path::Path) -> Self {
        self.shared = true;
        self.shared_at = path.to_owned();
        self
    }

    /// The configuration with which the console is opened on this fleet.
    pub fn config_path(&self) -> PathBuf {
        self.dir.join("config.toml")
    }

    /// Makes the fleet, or what is missing of it. `say` is told each phase.
    ///
    /// # Errors
    /// What can't be done here, with the command that mends it.
    pub async fn up(&self, nodes: usize, kind: Kind, say: &dyn Fn(&str)) -> Result<()> {
        ensure!(
            (1..=MOST_NODES).contains(&nodes),
            "a practice fleet has 1 to {MOST_NODES} nodes"
        );
        check_machine(&NEEDED)?;
        ensure!(
            !self.vms().exist(),
            "the practice fleet {:?} is one of virtual machines: pass --vm, or another --name",
            self.name
        );
        let lock = Engine::lock(say).await?;
        let found = Engine::find(&self.here).await;
        let engine = match found {
            Some(engine) => engine,
            None => {
                say("no Docker engine answers: starting a private one");
                Engine::start(&self.here).await?
            }
        };
        let image = image::node(&engine, kind != Kind::Blank, say).await?;
        self.write_key().await?;
        let network = node::network(&engine, &self.name).await?;
        say(&format!("starting {nodes} nodes"));
        let names: Vec<String> = (1..=nodes).map(|i| format!("n{i}")).collect();
        let data = match kind == Kind::Swarm || self.shared {
            true => Some(format!(
                "{}:{}",
                node::data(&engine, &self.name).await?,
                self.shared_at.display()
            )),
            false => None,
        };
        let made = node::Made {
            lab: &self.name,
            network: &network,
            image: &image,
            data: data.as_deref(),
        };
        let key = std::fs::read_to_string(self.dir.join("id_ed25519.pub"))
            .wrap_err("the practice fleet's key is gone: run `matou lab down` first")?;
        let starting = names
            .iter()
            .enumerate()
            .map(|(i, name)| node::start(&engine, &made, name, i, &key));
        let started = futures_util::future::try_join_all(starting).await?;
        drop(lock);
        let servers: Vec<Server> = started.iter().map(|n| n.server.clone()).collect();
        self.write_config(&servers, CONTAINERS).await?;
        if kind != Kind::Blank {
            let ready = started.iter().map(|n| node::docker_ready(&engine, n));
            futures_util::future::try_join_all(ready).await?;
        }
        if kind == Kind::Swarm {
            say("joining them to a swarm");
            node::swarm(&engine, &started).await?;
            say("loading the practice images");
            image::hello(&engine, &started).await?;
        }
        Ok(())
    }

    /// Makes a fleet of virtual machines, or what is missing of it: fresh servers with sshd and
    /// nothing else. `say` is told each phase.
    ///
    /// # Errors
    /// What can't be done here, with the command that mends it.
    pub async fn up_vms(
        &self,
        nodes: usize,
        options: &VmOptions,
        say: &dyn Fn(&str),
    ) -> Result<()> {
        ensure!(
            (1..=MOST_NODES).contains(&nodes),
            "a practice fleet has 1 to {MOST_NODES} nodes"
        );
        check_machine(&vm::NEEDED)?;
        ensure!(
            self.vms().exist() || !self.config_path().exists(),
            "the practice fleet {:?} is one of containers: run `matou lab down`, or pass another --name",
            self.name
        );
        self.write_key().await?;
        let key = std::fs::read_to_string(self.dir.join("id_ed25519.pub"))
            .wrap_err("the practice fleet's key is gone: run `matou lab down` first")?;
        let servers = self.vms().up(nodes, options, &key, say).await?;
        self.write_config(&servers, MACHINES).await
    }

    /// Plugs one more empty disk, of a size as `1G`, into a virtual machine; answers with its
    /// serial number.
    ///
    /// # Errors
    /// When there is no such machine, or it has no free slot.
    pub async fn add_disk(&self, node: &str, size: &str) -> Result<String> {
        ensure!(
            self.vms().exist(),
            "only virtual machines have disks of their own: `matou lab up --vm`"
        );
        self.vms().add_disk(node, size).await
    }

    fn vms(&self) -> Vms<'_> {
        Vms::new(&self.here, &self.name, &self.dir)
    }

    /// Its nodes, in order; empty when it is not up.
    ///
    /// # Errors
    /// The engine's words.
    pub async fn nodes(&self) -> Result<Vec<LabNode>> {
        if self.vms().exist() {
            return self.vms().list();
        }
        match Engine::find(&self.here).await {
            Some(engine) => node::list(&engine, &self.name).await,
            None => Ok(Vec::new()),
        }
    }

    /// Stops a node as a power cut does.
    ///
    /// # Errors
    /// When there is no such node.
    pub async fn kill_node(&self, name: &str) -> Result<()> {
        match self.vms().exist() {
            true => self.vms().kill(name).await,
            false => self.act("kill", name).await,
        }
    }

    /// Starts a node that was stopped.
    ///
    /// # Errors
    /// When there is no such node.
    pub async fn start_node(&self, name: &str) -> Result<()> {
        match self.vms().exist() {
            true => self.vms().start(name).await,
            false => self.act("start", name).await,
        }
    }

    async fn act(&self, action: &str, name: &str) -> Result<()> {
        let engine = self.engine().await?;
        let container = node::container(&self.name, name);
        engine.run(&[action, &container]).await.map(|_| ())
    }

    /// Removes a node with all that it holds, as a provider who deletes the server; [`Lab::up`] or
    /// [`Lab::up_vms`] makes a fresh one in its place, with the same address.
    ///
    /// # Errors
    /// When there is no such node.
    pub async fn lose_node(&self, name: &str) -> Result<()> {
        if self.vms().exist() {
            return self.vms().lose(name).await;
        }
        let engine = self.engine().await?;
        let container = node::container(&self.name, name);
        let remove = ["rm", "--force", "--volumes", &container];
        engine.run(&remove).await.map(|_| ())
    }

    /// Removes the folder that the nodes shared, when none of them is left.
    ///
    /// # Errors
    /// When a node still has it.
    pub async fn lose_data(&self) -> Result<()> {
        let engine = self.engine().await?;
        node::lose_data(&engine, &self.name).await
    }

    /// Loads an image archive (`docker save`) on every node; they need a running Docker.
    ///
    /// # Errors
    /// The first node's refusal.
    pub async fn load(&self, archive: &std::path::Path) -> Result<()> {
        if self.vms().exist() {
            return self.vms().load(archive).await;
        }
        let engine = self.engine().await?;
        for lab_node in node::list(&engine, &self.name).await? {
            image::load(
                &engine,
                &node::container(&self.name, &lab_node.name),
                archive,
            )
            .await?;
        }
        Ok(())
    }

    async fn engine(&self) -> Result<Engine> {
        Engine::find(&self.here)
            .await
            .ok_or_else(|| eyre!("the practice fleet is not up: run `matou lab up`"))
    }

    /// Removes everything: nodes, network, volumes, configuration and key; the private engine with
    /// its data when no other practice fleet uses it. The cached node image stays.
    ///
    /// # Errors
    /// What could not be removed.
    pub async fn down(&self) -> Result<()> {
        if self.vms().exist() {
            self.vms().down().await?;
            std::fs::remove_dir_all(&self.dir)?;
            return Ok(());
        }
        let _lock = Engine::lock(&|_| {}).await?;
        let found = match Engine::find(&self.here).await {
            // It was killed: its containers would be there again when it is started.
            None if self.dir.exists() && Engine::has_data() => {
                Some(Engine::start(&self.here).await?)
            }
            found => found,
        };
        if let Some(engine) = found {
            node::remove_all(&engine, &self.name).await?;
            if self.dir.exists() {
                std::fs::remove_dir_all(&self.dir)?;
            }
            engine.stop_if_unused().await?;
        } else if self.dir.exists() {
            std::fs::remove_dir_all(&self.dir)?;
        }
        Ok(())
    }

    async fn write_key(&self) -> Result<()> {
        let key = self.dir.join("id_ed25519");
        if key.exists() {
            return Ok(());
        }
        std::fs::create_dir_all(&self.dir)
            .wrap_err_with(|| format!("{} can't be made", self.dir.display()))?;
        let keygen = Command::new("ssh-keygen")
            .args([
                "-q",
                "-t",
                "ed25519",
                "-N",
                "",
                "-C",
                "matou practice fleet",
                "-f",
            ])
            .arg(key.to_string_lossy());
        self.here.run_ok(&keygen).await?;
        Ok(())
    }

    async fn write_config(&self, nodes: &[Server], patience: &str) -> Result<()> {
        use std::fmt::Write as _;
        let mut known_hosts = String::new();
        let mut text = format!(
            "# Made by `matou lab up`; `matou lab down` removes it.\n\n[fleet]\nname = \"{}\"\n\n\
             [ssh]\nuser = \"root\"\nidentity = \"id_ed25519\"\nknown_hosts_file = \"known_hosts\"\n\
             {patience}",
            self.name
        );
        let before = std::fs::read_to_string(self.config_path()).unwrap_or_default();
        if self.shared || before.contains(SHARED) {
            text += SHARED;
        }
        for (i, node) in nodes.iter().enumerate() {
            writeln!(known_hosts, "{} {}", node.address, node.host_key)?;
            let role = if i == 0 { "manager" } else { "worker" };
            writeln!(
                text,
                "\n[[nodes]]\nname = \"{}\"\naddress = \"{}\"\nrole = \"{role}\"",
                node.name, node.address
            )?;
        }
        for (file, content) in [("config.toml", text), ("known_hosts", known_hosts)] {
            let path = self.dir.join(file);
            self.here
                .upload(&path.to_string_lossy(), content.as_bytes(), 0o600)
                .await?;
        }
        Ok(())
    }
}

fn this_machine() -> Host {
    Host::new(
        "this machine",
        &Reach::Local,
        HostOptions {
            docker_socket: PathBuf::new(),
            runtime_dir: PathBuf::new(),
            recorder: None,
        },
    )
}

/// Programs that the practice fleet needs, and the packages that hold them.
const NEEDED: [(&str, &str); 6] = [
    ("docker", "docker.io"),
    ("mmdebstrap", "mmdebstrap"),
    ("busybox", "busybox-static"),
    ("ssh-keygen", "openssh-client"),
    ("tar", "tar"),
    ("ip", "iproute2"),
];

/// Says in one sentence what this machine lacks.
fn check_machine(needed: &[(&str, &str)]) -> Result<()> {
    ensure!(
        nix::unistd::geteuid().is_root(),
        "a practice fleet needs root: run this with sudo"
    );
    ensure!(
        std::path::Path::new("/etc/debian_version").exists(),
        "practice fleets run on Debian and Ubuntu only"
    );
    let missing: Vec<&str> = needed
        .iter()
        .filter(|(program, _)| !in_path(program))
        .map(|(_, package)| *package)
        .collect();
    if !missing.is_empty() {
        bail!(
            "a practice fleet needs packages that are not installed: run `apt-get install -y {}`",
            missing.join(" ")
        );
    }
    Ok(())
}

fn in_path(program: &str) -> bool {
    let path = std::env::var_os("PATH").unwrap_or_default();
    std::env::split_paths(&path)
        .chain(["/usr/sbin".into(), "/sbin".into()])
        .any(|dir| dir.join(program).is_file())
}
