//! One virtual machine: a folder with its disks, and a QEMU process.

use matou_i18n::tr;
use std::path::{Path, PathBuf};
use std::time::Duration;

use color_eyre::eyre::{Context as _, Result, bail, eyre};
use serde_json::json;

use super::super::LabServer;
use super::image::VmImage;
use super::network::TapDevice;
use super::qmp;
use matou_host::{Command, Host, shell_script};

/// Free slots into which disks can be plugged while the machine runs.
const SLOTS: usize = 4;

/// Done once, at the first boot. The user-mode network is the machine's way out; the fleet's own
/// network is where it is reached.
const SETUP: &str = shell_script(include_str!("../../scripts/set_up_machine.sh"));

/// What never changes of a machine; written when it is made.
#[derive(serde::Serialize, serde::Deserialize)]
struct VmRecord {
    address: String,
    host_key: String,
    memory: u32,
    image: PathBuf,
}

/// An extra disk.
pub(super) struct VmDisk {
    pub serial: String,
    path: PathBuf,
}

pub(super) struct VirtualMachine<'a> {
    here: &'a Host,
    folder: PathBuf,
    name: String,
}

impl<'a> VirtualMachine<'a> {
    pub(super) fn new(here: &'a Host, folder: PathBuf, name: &str) -> Self {
        Self {
            here,
            folder,
            name: name.to_owned(),
        }
    }

    fn file_path(&self, name: &str) -> String {
        self.folder.join(name).to_string_lossy().into_owned()
    }

    fn read_record(&self) -> Result<VmRecord> {
        let text = std::fs::read(self.folder.join("machine.json"))
            .wrap_err_with(|| tr!("{} is half made: run `matou lab down` first", self.name))?;
        Ok(serde_json::from_slice(&text)?)
    }

    /// Reads how the machine is reached.
    pub(super) fn read_server(&self) -> Result<LabServer> {
        let record = self.read_record()?;
        Ok(LabServer {
            name: self.name.clone(),
            address: record.address,
            host_key: record.host_key,
        })
    }

    pub(super) fn read_image(&self) -> Result<VmImage> {
        let folder = self.read_record()?.image;
        Ok(VmImage { folder })
    }

    /// Its number, from 0.
    pub(super) fn index(&self) -> Result<usize> {
        let number: usize = self.name.trim_start_matches('n').parse()?;
        number
            .checked_sub(1)
            .ok_or_else(|| eyre!("{}", tr!("{} is no name of a machine", self.name)))
    }

    /// Makes its folder, host key and root disk, unless the machine is complete.
    pub(super) async fn create(
        &self,
        image: &VmImage,
        address: &str,
        memory: u32,
        key: &str,
    ) -> Result<()> {
        if self.folder.join("machine.json").exists() {
            return Ok(());
        }
        if self.folder.exists() {
            std::fs::remove_dir_all(&self.folder)?;
        }
        std::fs::create_dir_all(&self.folder)?;
        let keygen = Command::new("ssh-keygen")
            .args(["-q", "-t", "ed25519", "-N", "", "-C", &self.name, "-f"])
            .arg(self.file_path("host_key"));
        self.here.run_ok(&keygen).await?;
        let private = std::fs::read_to_string(self.folder.join("host_key"))?;
        let public = std::fs::read_to_string(self.folder.join("host_key.pub"))?;
        let host_key = public.split(' ').take(2).collect::<Vec<_>>().join(" ");
        let setup = SETUP
            .replace("HOSTKEY", private.trim())
            .replace("NAME", &self.name)
            .replace("ADDRESS", address)
            .replace("'KEY'", &format!("'{}'", key.trim()));
        std::fs::write(self.folder.join("setup"), setup)?;
        let overlay = Command::new("qemu-img")
            .args(["create", "-q", "-f", "qcow2", "-F", "raw", "-b"])
            .arg(image.file_path("root.img"))
            .arg(self.file_path("root.qcow2"));
        self.here.run_ok(&overlay).await?;
        let record = VmRecord {
            address: address.to_owned(),
            host_key,
            memory,
            image: image.folder.clone(),
        };
        // Last: with it the machine is whole.
        std::fs::write(
            self.folder.join("machine.json"),
            serde_json::to_vec(&record)?,
        )?;
        Ok(())
    }

    /// Its extra disks, in order.
    pub(super) fn list_disks(&self) -> Result<Vec<VmDisk>> {
        let mut disks = Vec::new();
        for number in 1.. {
            let path = self.folder.join(format!("data{number}.img"));
            if !path.exists() {
                break;
            }
            disks.push(VmDisk {
                serial: format!("{}-data{number}", self.name),
                path,
            });
        }
        Ok(disks)
    }

    /// Makes one more empty disk.
    pub(super) async fn create_disk(&self, size: &str) -> Result<VmDisk> {
        let number = self.list_disks()?.len() + 1;
        if number > SLOTS {
            bail!("{}", tr!("a machine has at most {SLOTS} extra disks"));
        }
        let path = self.folder.join(format!("data{number}.img"));
        let create = Command::new("qemu-img")
            .args(["create", "-q", "-f", "raw"])
            .arg(path.to_string_lossy())
            .arg(size);
        self.here.run_ok(&create).await?;
        Ok(VmDisk {
            serial: format!("{}-data{number}", self.name),
            path,
        })
    }

    fn read_pid(&self) -> Option<i32> {
        let text = std::fs::read_to_string(self.folder.join("pid")).ok()?;
        text.trim().parse().ok()
    }

    /// Returns whether its QEMU process runs. The command line is looked at, since the process
    /// number could be somebody else's by now.
    pub(super) fn is_running(&self) -> bool {
        self.read_pid().is_some_and(|pid| {
            let cmdline = std::fs::read(format!("/proc/{pid}/cmdline")).unwrap_or_default();
            let folder = self.folder.as_os_str().as_encoded_bytes();
            cmdline.windows(folder.len()).any(|w| w == folder)
        })
    }

    pub(super) async fn start(
        &self,
        image: &VmImage,
        tap: &TapDevice,
        index: usize,
        accelerator: &str,
    ) -> Result<()> {
        let record = self.read_record()?;
        let drive = |id: &str, path: &str, format: &str| {
            // A killed process loses nothing that the kernel has; only the machine's own
            // power cut would, and that is not what is practised.
            format!("file={path},if=none,id={id},format={format},cache=unsafe,discard=unmap")
        };
        // Emulated processors that wait for each other on the few of this machine cost more than they do.
        let processors = if accelerator == EMULATED { "1" } else { "2" };
        let mut qemu = Command::new("qemu-system-x86_64")
            .args(["-name", &self.name, "-machine", "q35", "-smp", processors])
            .args(["-m", &record.memory.to_string(), "-display", "none"])
            .args(["-accel", accelerator, "-cpu", "max"])
            .args(["-kernel", &image.file_path("kernel"), "-initrd"])
            .arg(image.file_path("initrd"))
            .arg("-append")
            .arg("root=/dev/vda rw console=ttyS0 net.ifnames=0 mitigations=off quiet")
            .arg("-serial")
            .arg(format!("file:{}", self.file_path("console")))
            .arg("-qmp")
            .arg(format!("unix:{},server=on,wait=off", self.file_path("qmp")))
            .args([
                "-fw_cfg",
                &format!("name=opt/matou/setup,file={}", self.file_path("setup")),
            ])
            .args(["-device", "virtio-rng-pci"])
            .args([
                "-drive",
                &drive("root", &self.file_path("root.qcow2"), "qcow2"),
            ])
            .args(["-device", "virtio-blk-pci,drive=root,serial=root"])
            .args(["-netdev", "user,id=wan,ipv6=off", "-device"])
            .arg(format!(
                "virtio-net-pci,netdev=wan,mac=52:54:00:01:00:{:02x}",
                index + 1
            ))
            .arg("-netdev")
            .arg(format!(
                "tap,id=fleet,ifname={},script=no,downscript=no",
                tap.name
            ))
            .args([
                "-device",
                &format!("virtio-net-pci,netdev=fleet,mac={}", tap.mac),
            ]);
        let disks = self.list_disks()?;
        for slot in 1..=SLOTS {
            let port = format!("pcie-root-port,id=slot{slot},chassis={slot},slot={slot}");
            qemu = qemu.args(["-device", &port]);
            if let Some(disk) = disks.get(slot - 1) {
                let id = format!("data{slot}");
                qemu = qemu
                    .args(["-drive", &drive(&id, &disk.path.to_string_lossy(), "raw")])
                    .arg("-device")
                    .arg(format!(
                        "virtio-blk-pci,drive={id},bus=slot{slot},serial={}",
                        disk.serial
                    ));
            }
        }
        let qemu = qemu
            .args(["-daemonize", "-pidfile"])
            .arg(self.file_path("pid"))
            .label(tr!("start {}", self.name));
        self.here.run_ok(&qemu).await?;
        Ok(())
    }

    /// Plugs a new disk into the running machine.
    pub(super) async fn plug_disk(&self, disk: &VmDisk) -> Result<()> {
        let number = self.list_disks()?.len();
        let node = format!("data{number}");
        let file = disk.path.to_string_lossy();
        let add = json!({ "driver": "raw", "node-name": node, "discard": "unmap",
            "file": { "driver": "file", "filename": file } });
        let plug = json!({ "driver": "virtio-blk-pci", "drive": node, "id": node,
            "bus": format!("slot{number}"), "serial": disk.serial });
        qmp::run_qmp_commands(
            &self.folder.join("qmp"),
            &[("blockdev-add", add), ("device_add", plug)],
        )
        .await
    }

    /// Ends its process at once.
    pub(super) async fn kill(&self) -> Result<()> {
        use nix::sys::signal::{Signal, kill};
        let Some(pid) = self.read_pid().filter(|_| self.is_running()) else {
            return Ok(());
        };
        kill(nix::unistd::Pid::from_raw(pid), Signal::SIGKILL)?;
        for _ in 0..100 {
            if !self.is_running() {
                return Ok(());
            }
            tokio::time::sleep(Duration::from_millis(50)).await;
        }
        bail!("{}", tr!("the process of {} does not end", self.name))
    }
}

/// QEMU's accelerator where there is no hardware virtualisation.
const EMULATED: &str = "tcg,thread=multi";

/// Returns `kvm` where a kernel really boots with it, else [`EMULATED`]. That /dev/kvm exists is no
/// proof: a kernel may hang early. The result is remembered until this machine boots anew.
pub(super) async fn detect_accelerator(
    here: &Host,
    image: &VmImage,
    say: &dyn Fn(&str),
) -> Result<&'static str> {
    if !Path::new("/dev/kvm").exists() {
        return Ok(EMULATED);
    }
    let boot = std::fs::read_to_string("/proc/sys/kernel/random/boot_id").unwrap_or_default();
    let memo = super::super::image::lab_cache_dir()?.join("kvm");
    let known = std::fs::read_to_string(&memo).unwrap_or_default();
    let answer = |works: bool| if works { "kvm" } else { EMULATED };
    if let Some(works) = known.strip_prefix(boot.as_str()) {
        return Ok(answer(works == "works"));
    }
    say(tr!("trying hardware virtualisation"));
    // Without a program to start, the kernel panics and the machine ends: it has booted.
    let probe = Command::new("timeout")
        .args(["--signal=KILL", "20", "qemu-system-x86_64"])
        .args([
            "-machine", "q35", "-accel", "kvm", "-cpu", "max", "-m", "512",
        ])
        .args(["-display", "none", "-no-reboot", "-kernel"])
        .arg(image.file_path("kernel"))
        .arg("-append")
        .arg("console=ttyS0 panic=-1 rdinit=/none root=/dev/none")
        .label(tr!("try hardware virtualisation"));
    let works = here.run(&probe).await.is_ok_and(|o| o.code == 0);
    std::fs::write(
        &memo,
        format!("{boot}{}", if works { "works" } else { "fails" }),
    )?;
    Ok(answer(works))
}
