//! The machines' base image: a fresh Debian server made of its packages, never of a download of
//! somebody's image. Kernel and initial RAM disk are handed to QEMU, so there is no boot loader.

use std::path::PathBuf;

use color_eyre::eyre::{Result, bail};
use sha2::{Digest, Sha256};

use crate::host::{Command, Host};

/// Changes whenever the content of the image does.
const VERSION: u32 = 2;

/// Size of a machine's root disk; the image grows into it sparsely.
const SIZE: &str = "8G";

/// A fresh server has sshd and little else: what it lacks is for provisioning to install.
const PACKAGES: &str = "systemd,systemd-sysv,dbus,udev,kmod,openssh-server,sudo,curl,ca-certificates,\
iproute2,procps,linux-image-cloud-amd64,initramfs-tools";

/// The distribution of a machine.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default, clap::ValueEnum)]
pub enum DebianRelease {
    /// Debian 12
    #[default]
    Bookworm,
    /// Debian 13
    Trixie,
}

impl DebianRelease {
    fn codename(self) -> &'static str {
        match self {
            Self::Bookworm => "bookworm",
            Self::Trixie => "trixie",
        }
    }
}

/// A base image in the cache folder.
#[derive(Debug, Clone)]
pub(super) struct VmImage {
    /// Holds `root.img`, `kernel` and `initrd`.
    pub folder: PathBuf,
}

impl VmImage {
    pub(super) fn file_path(&self, name: &str) -> String {
        self.folder.join(name).to_string_lossy().into_owned()
    }
}

/// What differs between machines comes from QEMU's firmware configuration, once, at the first boot.
const FIRST_BOOT: &str = "[Unit]\nDescription=Set up by the practice fleet\nDefaultDependencies=no\n\
    ConditionPathExists=!/etc/matou-lab\nAfter=local-fs.target systemd-remount-fs.service\n\
    Before=systemd-networkd.service ssh.service sysinit.target\n\n\
    [Service]\nType=oneshot\nExecStart=/bin/sh -c 'modprobe qemu_fw_cfg; sh /sys/firmware/qemu_fw_cfg/by_name/opt/matou/setup/raw && touch /etc/matou-lab'\n\n\
    [Install]\nWantedBy=sysinit.target\n";

/// Makes the root file system. `$1` target folder, `$2` release.
const BUILD: &str = r#"set -e
d=$1; release=$2
# Only the drivers of these machines: the RAM disk is unpacked at each boot, and never made anew,
# because it is handed to QEMU from outside. Documentation is left out: emulated disks are slow.
mmdebstrap --quiet --variant=minbase --format=directory --include="$3" \
    --essential-hook='mkdir -p "$1/etc/initramfs-tools/conf.d"; printf "MODULES=list\nCOMPRESS=gzip\n" >"$1/etc/initramfs-tools/conf.d/matou"' \
    --essential-hook='printf "virtio_pci\nvirtio_blk\next4\n" >"$1/etc/initramfs-tools/modules"' \
    --customize-hook='echo update_initramfs=no >"$1/etc/initramfs-tools/update-initramfs.conf"' \
    --customize-hook='echo "Acquire::Languages \"none\";" >"$1/etc/apt/apt.conf.d/10matou-lab"' \
    --customize-hook='printf "path-exclude=/usr/share/doc/*\npath-exclude=/usr/share/man/*\npath-exclude=/usr/share/locale/*\n" >"$1/etc/dpkg/dpkg.cfg.d/matou-lab"' \
    --customize-hook='rm -f "$1"/etc/ssh/ssh_host_* "$1"/etc/hostname' \
    --customize-hook='echo "/dev/vda / ext4 defaults,noatime 0 1" >"$1/etc/fstab"' \
    --customize-hook='echo "nameserver 10.0.2.3" >"$1/etc/resolv.conf"' \
    --customize-hook='upload "'"$d"'/first-boot.service" /etc/systemd/system/matou-lab.service' \
    --customize-hook='chroot "$1" systemctl enable --quiet matou-lab.service systemd-networkd.service' \
    --customize-hook='chroot "$1" systemctl mask --quiet systemd-networkd-wait-online.service getty@tty1.service serial-getty@ttyS0.service apt-daily.timer apt-daily-upgrade.timer e2scrub_reap.service' \
    "$release" "$d/root"
# Masked only for the image's own boot: a server's timers run.
rm -f "$d/root/etc/systemd/system/apt-daily.timer" "$d/root/etc/systemd/system/apt-daily-upgrade.timer"
cp "$d"/root/boot/vmlinuz-* "$d/kernel"
cp "$d"/root/boot/initrd.img-* "$d/initrd"
mke2fs -q -t ext4 -O ^metadata_csum_seed -L root -d "$d/root" "$d/root.img" "$4"
rm -rf "$d/root"
"#;

/// Makes the base image if it is not there.
pub(super) async fn prepare_vm_image(
    here: &Host,
    release: DebianRelease,
    more: &[String],
    say: &dyn Fn(&str),
) -> Result<VmImage> {
    let mut name = format!("vm-{}-{VERSION}", release.codename());
    let mut packages = PACKAGES.to_owned();
    if !more.is_empty() {
        packages = format!("{packages},{}", more.join(","));
        let hash = Sha256::digest(packages.as_bytes());
        name += &format!("-{:02x}{:02x}{:02x}", hash[0], hash[1], hash[2]);
    }
    let folder = super::super::image::lab_cache_dir()?.join(&name);
    let image = VmImage { folder };
    if image.folder.join("root.img").exists() {
        return Ok(image);
    }
    say("making the machines' image from Debian packages (once, about a minute)");
    let part = image.folder.with_extension("part");
    if part.exists() {
        std::fs::remove_dir_all(&part)?;
    }
    std::fs::create_dir_all(&part)?;
    std::fs::write(part.join("first-boot.service"), FIRST_BOOT)?;
    let build = Command::sh(BUILD)
        .arg(part.to_string_lossy())
        .arg(release.codename())
        .arg(packages)
        .arg(SIZE)
        .label("make the machines' image");
    here.run_ok(&build).await?;
    for file in ["kernel", "initrd", "root.img"] {
        if !part.join(file).exists() {
            bail!("making the machines' image left no {file}");
        }
    }
    std::fs::rename(&part, &image.folder)?;
    Ok(image)
}
