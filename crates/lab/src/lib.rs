//! The practice fleet: containers that boot systemd, or virtual machines, as servers on this
//! machine.
//!
//! Containers are quick, and good for SSH, systemd, Docker Engine, Swarm over several hosts, overlay
//! networks and the loss of a node. Virtual machines are complete: LVM, kernel NFS, swap, reboot.

// Stricter than Cargo.toml is with tests, benches and examples.
#![cfg_attr(
    not(test),
    deny(
        clippy::disallowed_macros,
        clippy::disallowed_methods,
        clippy::expect_used,
        clippy::print_stderr,
        clippy::print_stdout,
        clippy::unwrap_used
    )
)]

matou_i18n::catalogue!();

mod command;
mod containers;
mod engine;
mod image;
mod limits;
mod node;
mod release;
mod vm;

use matou_i18n::tr;
use std::path::PathBuf;

use color_eyre::eyre::{Context as _, Result, bail, ensure, eyre};

use matou_base::text::InvalidInput;
use matou_config::{NodeConnection, ensure_state_dir};
use matou_host::{Command, Host, HostOptions};

pub use command::LabCommand;
use engine::LabEngine;
pub use node::LabNode;
use node::LabServer;
pub use release::EngineRelease;
use vm::VmFleet;
pub use vm::{DebianRelease, VmOptions};

/// The configuration of a fleet whose nodes share the folder of volumes.
const SHARED_STORAGE_CONFIG: &str = "\n[storage]\ndriver = \"shared\"\npath = \"/mnt/data\"\n";

/// Where nodes that share a folder have it.
const SHARED_AT: &str = "/mnt/data";

/// Time limits of connections to containers.
const CONTAINER_TIMEOUTS: &str = "connect_timeout = \"5 s\"\nkeep_alive = \"2 s\"\n";

/// Time limits of connections to virtual machines. One that is emulated may take many seconds to
/// accept a connection while it is busy.
const VM_TIMEOUTS: &str = "connect_timeout = \"30 s\"\nkeep_alive = \"10 s\"\n";

/// Most nodes a practice fleet has.
const MOST_NODES: usize = 20;

/// What the nodes come with.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum LabKind {
    /// A fresh server: sshd and nothing else.
    Blank,
    /// Docker installed, no swarm.
    Docker,
    /// One manager, the others workers, the practice images loaded.
    Swarm,
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
    /// Docker of its nodes, where that was asked for.
    engine: Option<EngineRelease>,
}

impl Lab {
    /// The practice fleet of that name, whether it is up or not.
    ///
    /// # Errors
    /// When the name is no label of a host name, or there is no state folder.
    pub fn new(name: &str) -> Result<Self> {
        let is_plain = |c: char| c.is_ascii_lowercase() || c.is_ascii_digit();
        if !(1..=20).contains(&name.len()) || !name.chars().all(is_plain) {
            return Err(InvalidInput::new(tr!("{name:?} is no name for a practice fleet: use up to 20 lower-case letters and digits"
            ))
            .into());
        }
        let dir = ensure_state_dir()?.join("lab").join(name);
        Ok(Self {
            name: name.to_owned(),
            here: this_machine(),
            dir,
            shared: false,
            shared_at: SHARED_AT.into(),
            engine: None,
        })
    }

    /// Names of the practice fleets of this machine, up or not, in order.
    ///
    /// # Errors
    /// When there is no state folder, or it can't be read.
    pub fn names() -> Result<Vec<String>> {
        let folder = ensure_state_dir()?.join("lab");
        let mut names = Vec::new();
        let entries = match std::fs::read_dir(&folder) {
            Ok(entries) => entries,
            Err(e) if e.kind() == std::io::ErrorKind::NotFound => return Ok(names),
            Err(e) => return Err(e).wrap_err_with(|| folder.display().to_string()),
        };
        for entry in entries {
            let name = entry?.file_name();
            // What else may lie there has no name of a fleet.
            names.extend(
                name.to_str()
                    .filter(|n| Self::new(n).is_ok())
                    .map(str::to_owned),
            );
        }
        names.sort();
        Ok(names)
    }

    /// Volumes are folders of `/mnt/data`, which all nodes of a swarm of containers share.
    pub fn with_shared_volumes(mut self) -> Self {
        self.shared = true;
        self
    }

    /// All nodes share one folder at this path, with every [`LabKind`].
    pub fn with_shared_folder(mut self, path: &std::path::Path) -> Self {
        self.shared = true;
        self.shared_at = path.to_owned();
        self
    }

    /// Its nodes have this Docker, not that of `MATOU_LAB_ENGINE` or the newest.
    pub fn with_engine(mut self, engine: EngineRelease) -> Self {
        self.engine = Some(engine);
        self
    }

    /// The configuration with which the console is opened on this fleet.
    pub fn config_path(&self) -> PathBuf {
        self.dir.join("config.toml")
    }

    /// Makes the fleet, or what is missing of it. Calls `say` with each phase.
    ///
    /// # Errors
    /// What can't be done here, with the command that mends it.
    pub async fn up(&self, nodes: usize, kind: LabKind, say: &dyn Fn(&str)) -> Result<()> {
        ensure!(
            (1..=MOST_NODES).contains(&nodes),
            "{}",
            tr!("a practice fleet has 1 to {MOST_NODES} nodes")
        );
        check_lab_requirements(&LAB_PROGRAMS)?;
        ensure!(
            !self.vms().exists(),
            "{}",
            tr!(
                "the practice fleet {:?} is one of virtual machines: pass --vm, or another --name",
                self.name
            )
        );
        let lock = LabEngine::lock_engine(say).await?;
        let found = LabEngine::find_running(&self.here).await;
        let engine = match found {
            Some(engine) => engine,
            None => {
                say(tr!("no Docker engine answers: starting a private one"));
                LabEngine::start_private(&self.here).await?
            }
        };
        let release = match kind {
            LabKind::Blank => None,
            _ => Some(self.choose_engine()?),
        };
        let image = image::prepare_node_image(&engine, release, say).await?;
        self.write_key().await?;
        if let Some(release) = release {
            std::fs::write(self.engine_file(), release.name())?;
        }
        let network = containers::create_lab_network(&engine, &self.name).await?;
        limits::make_room_for_watches(nodes, say);
        say(&tr!("starting {nodes} nodes"));
        let names: Vec<String> = (1..=nodes).map(|i| format!("n{i}")).collect();
        let data = match kind == LabKind::Swarm || self.shared {
            true => Some(format!(
                "{}:{}",
                containers::create_lab_volume(&engine, &self.name).await?,
                self.shared_at.display()
            )),
            false => None,
        };
        let made = containers::LabNodeSpec {
            lab: &self.name,
            network: &network,
            image: &image,
            data: data.as_deref(),
        };
        let key = std::fs::read_to_string(self.dir.join("id_ed25519.pub")).wrap_err(tr!(
            "the practice fleet's key is gone: run `matou lab down` with its name first"
        ))?;
        let starting = names
            .iter()
            .enumerate()
            .map(|(i, name)| containers::start_lab_node(&engine, &made, name, i, &key));
        let started = futures_util::future::try_join_all(starting).await?;
        drop(lock);
        let servers: Vec<LabServer> = started.iter().map(|n| n.server.clone()).collect();
        self.write_config(&servers, CONTAINER_TIMEOUTS).await?;
        if kind != LabKind::Blank {
            let ready = started
                .iter()
                .map(|n| containers::wait_for_lab_docker(&engine, n));
            let versions = futures_util::future::try_join_all(ready).await?;
            let other = release.zip(versions.first());
            if let Some(other) = other.and_then(|(release, v)| release.describe_other(v)) {
                say(&other);
            }
        }
        if kind == LabKind::Swarm {
            say(tr!("joining them to a swarm"));
            containers::form_lab_swarm(&engine, &started).await?;
            say(tr!("loading the practice images"));
            image::load_hello_images(&engine, &started).await?;
        }
        Ok(())
    }

    /// Which Docker its nodes get: that of the fleet, where it has nodes already.
    fn choose_engine(&self) -> Result<EngineRelease> {
        let has = match std::fs::read_to_string(self.engine_file()) {
            Ok(name) => Some(EngineRelease::parse(&name)?),
            Err(_) => None,
        };
        match (has, self.engine) {
            (Some(has), Some(wanted)) if has != wanted => Err(InvalidInput::new(tr!("the practice fleet {:?} has Docker {}: run `matou lab down {}` first, or pass another name",
                self.name,
                has.name(),
                self.name
            ))
            .into()),
            (Some(release), _) | (None, Some(release)) => Ok(release),
            (None, None) => EngineRelease::from_environment(),
        }
    }

    fn engine_file(&self) -> PathBuf {
        self.dir.join("engine")
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
            "{}",
            tr!("a practice fleet has 1 to {MOST_NODES} nodes")
        );
        check_lab_requirements(&vm::VM_PROGRAMS)?;
        ensure!(
            self.vms().exists() || !self.config_path().exists(),
            "{}",
            tr!(
                "the practice fleet {:?} is one of containers: run `matou lab down` with its name, or pass another",
                self.name
            )
        );
        self.write_key().await?;
        let key = std::fs::read_to_string(self.dir.join("id_ed25519.pub")).wrap_err(tr!(
            "the practice fleet's key is gone: run `matou lab down` with its name first"
        ))?;
        let servers = self.vms().up(nodes, options, &key, say).await?;
        self.write_config(&servers, VM_TIMEOUTS).await
    }

    /// Plugs one more empty disk, of a size as `1G`, into a virtual machine. Returns its serial
    /// number.
    ///
    /// # Errors
    /// When there is no such machine, or it has no free slot.
    pub async fn add_disk(&self, node: &str, size: &str) -> Result<String> {
        ensure!(
            self.vms().exists(),
            "{}",
            tr!("only virtual machines have disks of their own: `matou lab up --vm`")
        );
        self.vms().add_disk(node, size).await
    }

    fn vms(&self) -> VmFleet<'_> {
        VmFleet::new(&self.here, &self.name, &self.dir)
    }

    /// Its nodes, in order; empty when it is not up.
    ///
    /// # Errors
    /// What the engine refuses, in its words; that it gives no answer.
    pub async fn list_nodes(&self) -> Result<Vec<LabNode>> {
        if self.vms().exists() {
            return self.vms().list_nodes();
        }
        match LabEngine::find_running(&self.here).await {
            Some(engine) => containers::list_lab_nodes(&engine, &self.name).await,
            None => Ok(Vec::new()),
        }
    }

    /// Returns the beginning of a line that runs a program as root in a node, in a fifth of the time that a
    /// connection takes; the program follows. `None` for virtual machines, which have no other way in.
    ///
    /// # Errors
    /// The practice fleet is not up.
    pub async fn exec_line(&self, node: &str) -> Result<Option<Vec<String>>> {
        if self.vms().exists() {
            return Ok(None);
        }
        let container = containers::lab_container_name(&self.name, node);
        Ok(Some(self.find_engine().await?.exec_line(&container)))
    }

    /// Stops a node as a power cut does.
    ///
    /// # Errors
    /// When there is no such node.
    pub async fn kill_node(&self, name: &str) -> Result<()> {
        match self.vms().exists() {
            true => self.vms().kill_machine(name).await,
            false => self.run_node_action("kill", name).await,
        }
    }

    /// Starts a node that was stopped.
    ///
    /// # Errors
    /// When there is no such node.
    pub async fn start_node(&self, name: &str) -> Result<()> {
        match self.vms().exists() {
            true => self.vms().start_machine(name).await,
            false => self.run_node_action("start", name).await,
        }
    }

    async fn run_node_action(&self, action: &str, name: &str) -> Result<()> {
        let engine = self.find_engine().await?;
        let container = containers::lab_container_name(&self.name, name);
        engine.run_docker(&[action, &container]).await.map(|_| ())
    }

    /// Removes a node with all that it holds, as a provider who deletes the server; [`Lab::up`] or
    /// [`Lab::up_vms`] makes a fresh one in its place, with the same address.
    ///
    /// # Errors
    /// When there is no such node.
    pub async fn delete_node(&self, name: &str) -> Result<()> {
        if self.vms().exists() {
            return self.vms().delete_machine(name).await;
        }
        let engine = self.find_engine().await?;
        let container = containers::lab_container_name(&self.name, name);
        let remove = ["rm", "--force", "--volumes", &container];
        engine.run_docker(&remove).await.map(|_| ())
    }

    /// Removes the folder that the nodes shared, when none of them is left.
    ///
    /// # Errors
    /// When a node still has it.
    pub async fn delete_shared_data(&self) -> Result<()> {
        let engine = self.find_engine().await?;
        containers::remove_lab_volume(&engine, &self.name).await
    }

    /// Loads an image archive (`docker save`) on every node; they need a running Docker.
    ///
    /// # Errors
    /// The first node's refusal.
    pub async fn load_images(&self, archive: &std::path::Path) -> Result<()> {
        if self.vms().exists() {
            return self.vms().load_images(archive).await;
        }
        let engine = self.find_engine().await?;
        for lab_node in containers::list_lab_nodes(&engine, &self.name).await? {
            image::load_image_archive(
                &engine,
                &containers::lab_container_name(&self.name, &lab_node.name),
                archive,
            )
            .await?;
        }
        Ok(())
    }

    async fn find_engine(&self) -> Result<LabEngine> {
        LabEngine::find_running(&self.here).await.ok_or_else(|| {
            eyre!(
                "{}",
                tr!("the practice fleet is not up: run `matou lab up`")
            )
        })
    }

    /// Removes everything: nodes, network, volumes, configuration and key; the private engine with
    /// its data when no other practice fleet uses it. The cached node image stays.
    ///
    /// # Errors
    /// What could not be removed.
    pub async fn down(&self) -> Result<()> {
        if self.vms().exists() {
            self.vms().down().await?;
            std::fs::remove_dir_all(&self.dir)?;
            return Ok(());
        }
        let _lock = LabEngine::lock_engine(&|_| {}).await?;
        let found = match LabEngine::find_running(&self.here).await {
            // It was killed: its containers would be there again when it is started.
            None if self.dir.exists() && LabEngine::has_data() => {
                Some(LabEngine::start_private(&self.here).await?)
            }
            found => found,
        };
        if let Some(engine) = found {
            containers::remove_lab_resources(&engine, &self.name).await?;
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
            .wrap_err_with(|| tr!("{} can't be made", self.dir.display()))?;
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

    async fn write_config(&self, nodes: &[LabServer], patience: &str) -> Result<()> {
        use std::fmt::Write as _;
        let mut known_hosts = String::new();
        let mut text = format!(
            "# Made by `matou lab up`; `matou lab down` removes it.\n\n[fleet]\nname = \"{}\"\n\n\
             [ssh]\nuser = \"root\"\nidentity = \"id_ed25519\"\nknown_hosts_file = \"known_hosts\"\n\
             {patience}",
            self.name
        );
        let before = std::fs::read_to_string(self.config_path()).unwrap_or_default();
        if self.shared || before.contains(SHARED_STORAGE_CONFIG) {
            text += SHARED_STORAGE_CONFIG;
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
                .upload_file(&path.to_string_lossy(), content.as_bytes(), 0o600)
                .await?;
        }
        Ok(())
    }
}

fn this_machine() -> Host {
    Host::new(
        tr!("this machine"),
        &NodeConnection::Local,
        HostOptions {
            docker_socket: PathBuf::new(),
            runtime_dir: PathBuf::new(),
            recorder: None,
        },
    )
}

/// Programs that the practice fleet needs, and the packages that hold them.
const LAB_PROGRAMS: [(&str, &str); 6] = [
    ("docker", "docker.io"),
    ("mmdebstrap", "mmdebstrap"),
    ("busybox", "busybox-static"),
    ("ssh-keygen", "openssh-client"),
    ("tar", "tar"),
    ("ip", "iproute2"),
];

/// Checks that this machine can run a practice fleet. Fails with one sentence that says what it
/// lacks.
fn check_lab_requirements(needed: &[(&str, &str)]) -> Result<()> {
    ensure!(
        nix::unistd::geteuid().is_root(),
        "{}",
        tr!("a practice fleet needs root: run this with sudo")
    );
    ensure!(
        std::path::Path::new("/etc/debian_version").exists(),
        "{}",
        tr!("practice fleets run on Debian and Ubuntu only")
    );
    let missing: Vec<&str> = needed
        .iter()
        .filter(|(program, _)| !is_in_path(program))
        .map(|(_, package)| *package)
        .collect();
    if !missing.is_empty() {
        bail!(
            "{}",
            tr!(
                "a practice fleet needs packages that are not installed: run `apt-get install -y {}`",
                missing.join(" ")
            )
        );
    }
    Ok(())
}

fn is_in_path(program: &str) -> bool {
    let path = std::env::var_os("PATH").unwrap_or_default();
    std::env::split_paths(&path)
        .chain(["/usr/sbin".into(), "/sbin".into()])
        .any(|dir| dir.join(program).is_file())
}
