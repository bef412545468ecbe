//! The practice fleet's virtual machines: servers with a kernel of their own, for what containers
//! can't show: LVM, kernel NFS, swap, IPVS, kernel parameters, reboot.

mod image;
mod machine;
mod network;
mod qmp;

use matou_i18n::tr;
use std::path::{Path, PathBuf};
use std::time::Duration;

use color_eyre::eyre::{Context as _, Result, bail, ensure};

use super::{LabNode, LabServer};
use matou_host::{Command, Host, shell_script};

pub use image::DebianRelease;
use machine::VirtualMachine;
use network::VmNetwork;

/// Programs that virtual machines need beside those of every practice fleet, and their packages.
pub(super) const VM_PROGRAMS: [(&str, &str); 5] = [
    ("qemu-system-x86_64", "qemu-system-x86"),
    ("qemu-img", "qemu-utils"),
    ("mmdebstrap", "mmdebstrap"),
    ("mke2fs", "e2fsprogs"),
    ("ip", "iproute2"),
];

/// How long a machine may take to boot, without hardware virtualisation and several at once.
const BOOT_TIMEOUT: Duration = Duration::from_secs(420);

/// What virtual machines are made like.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct VmOptions {
    /// What they boot.
    pub release: DebianRelease,
    /// MiB.
    pub memory: u32,
    /// Empty disks of the first machine.
    pub disks: usize,
    /// Of each of these disks, as `1G`.
    pub disk_size: String,
    /// Packages that the machines come with, beside those of a fresh server: installing them in an
    /// emulated machine takes long.
    pub packages: Vec<String>,
}

impl Default for VmOptions {
    fn default() -> Self {
        Self {
            release: DebianRelease::Bookworm,
            memory: 1536,
            disks: 0,
            disk_size: "1G".into(),
            packages: Vec::new(),
        }
    }
}

/// The machines of one practice fleet.
pub(super) struct VmFleet<'a> {
    here: &'a Host,
    lab: &'a str,
    /// The fleet's folder.
    dir: &'a Path,
}

impl<'a> VmFleet<'a> {
    pub(super) fn new(here: &'a Host, lab: &'a str, dir: &'a Path) -> Self {
        Self { here, lab, dir }
    }

    fn folder(&self) -> PathBuf {
        self.dir.join("vm")
    }

    /// Whether this fleet is one of virtual machines.
    pub(super) fn exists(&self) -> bool {
        self.folder().is_dir()
    }

    /// Makes and starts what is missing. Returns all machines, in order.
    pub(super) async fn up(
        &self,
        nodes: usize,
        options: &VmOptions,
        key: &str,
        say: &dyn Fn(&str),
    ) -> Result<Vec<LabServer>> {
        ensure!(
            std::env::consts::ARCH == "x86_64",
            "{}",
            tr!("virtual machines are made on x86_64 only")
        );
        let image =
            image::prepare_vm_image(self.here, options.release, &options.packages, say).await?;
        let accelerator = machine::detect_accelerator(self.here, &image, say).await?;
        std::fs::create_dir_all(self.folder())?;
        let network = VmNetwork::create(self.here, self.lab, &self.folder()).await?;
        say(&tr!("starting {nodes} machines ({accelerator})"));
        let mut servers = Vec::new();
        for i in 0..nodes {
            let machine = self.machine(&format!("n{}", i + 1));
            machine
                .create(&image, &network.machine_address(i), options.memory, key)
                .await?;
            if i == 0 {
                for _ in machine.list_disks()?.len()..options.disks {
                    machine.create_disk(&options.disk_size).await?;
                }
            }
            if !machine.is_running() {
                let tap = network.create_tap(self.here, i).await?;
                machine.start(&image, &tap, i, accelerator).await?;
            }
            servers.push(machine.read_server()?);
        }
        let booting = servers.iter().map(|s| wait_for_sshd(s, BOOT_TIMEOUT));
        futures_util::future::try_join_all(booting).await?;
        let booted = servers.iter().map(|s| self.wait_for_boot(s));
        futures_util::future::try_join_all(booted).await?;
        Ok(servers)
    }

    /// Waits until a machine accepts log-ins and its boot is complete. Until then it is too busy to
    /// answer in time.
    async fn wait_for_boot(&self, server: &LabServer) -> Result<()> {
        let wait = Command::sh(shell_script(include_str!("../../scripts/wait_for_boot.sh")))
            .arg(self.dir.join("id_ed25519").display().to_string())
            .arg(&server.address)
            .timeout(BOOT_TIMEOUT)
            .label(tr!("wait until {} has booted", server.name));
        self.here.run_ok(&wait).await?;
        Ok(())
    }

    fn machine(&self, name: &str) -> VirtualMachine<'_> {
        VirtualMachine::new(self.here, self.folder().join(name), name)
    }

    /// The machine of that name.
    fn find_machine(&self, name: &str) -> Result<VirtualMachine<'_>> {
        let names: Vec<String> = self.list_nodes()?.into_iter().map(|n| n.name).collect();
        if !names.iter().any(|n| n == name) {
            bail!(
                "{}",
                tr!(
                    "there is no machine {name:?} in the practice fleet, only {}",
                    names.join(", ")
                )
            );
        }
        Ok(self.machine(name))
    }

    pub(super) fn list_nodes(&self) -> Result<Vec<LabNode>> {
        let mut nodes = Vec::new();
        let folder = self.folder();
        for entry in std::fs::read_dir(&folder)
            .wrap_err_with(|| tr!("{} can't be read", folder.display()))?
        {
            let path = entry?.path();
            let Some(name) = path.file_name().and_then(|n| n.to_str()) else {
                continue;
            };
            let machine = self.machine(name);
            if let Ok(server) = machine.read_server() {
                let state = if machine.is_running() {
                    "running"
                } else {
                    "exited"
                };
                nodes.push(LabNode {
                    name: server.name,
                    address: server.address,
                    state: state.into(),
                });
            }
        }
        nodes.sort_by_key(|n| (n.name.len(), n.name.clone()));
        Ok(nodes)
    }

    /// Ends a machine as a power cut does.
    pub(super) async fn kill_machine(&self, name: &str) -> Result<()> {
        self.find_machine(name)?.kill().await
    }

    /// Boots a machine that was killed, and waits until it answers.
    pub(super) async fn start_machine(&self, name: &str) -> Result<()> {
        let machine = self.find_machine(name)?;
        if !machine.is_running() {
            let image = machine.read_image()?;
            let accelerator = machine::detect_accelerator(self.here, &image, &|_| {}).await?;
            let network = VmNetwork::create(self.here, self.lab, &self.folder()).await?;
            let index = machine.index()?;
            let tap = network.create_tap(self.here, index).await?;
            machine.start(&image, &tap, index, accelerator).await?;
        }
        wait_for_sshd(&machine.read_server()?, BOOT_TIMEOUT).await
    }

    /// Plugs one more empty disk into a machine, running or not. Returns its serial number.
    pub(super) async fn add_disk(&self, name: &str, size: &str) -> Result<String> {
        let machine = self.find_machine(name)?;
        let disk = machine.create_disk(size).await?;
        if machine.is_running() {
            machine.plug_disk(&disk).await?;
        }
        Ok(disk.serial)
    }

    /// Removes a machine with its disks.
    pub(super) async fn delete_machine(&self, name: &str) -> Result<()> {
        self.machine(name).kill().await?;
        let folder = self.folder().join(name);
        std::fs::remove_dir_all(&folder)
            .wrap_err_with(|| tr!("{} can't be removed", folder.display()))
    }

    /// Loads an image archive on every machine.
    pub(super) async fn load_images(&self, archive: &Path) -> Result<()> {
        let beside = |name: &str| self.dir.join(name).display().to_string();
        for node in self.list_nodes()? {
            let load = Command::sh(
                "exec ssh -i \"$1\" -o UserKnownHostsFile=\"$2\" -o BatchMode=yes \"root@$3\" docker load --quiet <\"$4\"",
            )
            .args([beside("id_ed25519"), beside("known_hosts"), node.address])
            .arg(archive.display().to_string())
            .timeout(Duration::from_secs(1800))
            .label(tr!("load {} on {}", archive.display(), node.name));
            self.here.run_ok(&load).await?;
        }
        Ok(())
    }

    pub(super) async fn down(&self) -> Result<()> {
        for node in self.list_nodes()? {
            self.machine(&node.name).kill().await?;
        }
        VmNetwork::remove(self.here, &self.folder()).await
    }
}

/// Waits until sshd sends its banner.
async fn wait_for_sshd(server: &LabServer, limit: Duration) -> Result<()> {
    use tokio::io::AsyncReadExt;
    let asking = async {
        loop {
            let ask = async {
                let mut stream =
                    tokio::net::TcpStream::connect((server.address.as_str(), 22)).await?;
                let mut banner = [0; 4];
                stream.read_exact(&mut banner).await?;
                Ok::<_, std::io::Error>(banner == *b"SSH-")
            };
            let asked = tokio::time::timeout(Duration::from_secs(10), ask).await;
            if matches!(asked, Ok(Ok(true))) {
                return;
            }
            tokio::time::sleep(Duration::from_millis(500)).await;
        }
    };
    if tokio::time::timeout(limit, asking).await.is_err() {
        bail!(
            "{}",
            tr!(
                "{} did not answer within {} s: its console is in the folder vm/{0} of the practice fleet",
                server.name,
                limit.as_secs()
            )
        );
    }
    Ok(())
}
