//! The machines' base image: a fresh Debian server made of its packages, never of a download of
//! somebody's image. Kernel and initial RAM disk are handed to QEMU, so there is no boot loader.

use matou_i18n::tr;
use std::path::PathBuf;

use color_eyre::eyre::{Result, bail};
use sha2::{Digest, Sha256};

use matou_host::{Command, Host, shell_script};

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
const FIRST_BOOT: &str = include_str!("../../files/first-boot.service");

/// Makes the root file system. `$1` target folder, `$2` release.
const BUILD: &str = shell_script(include_str!("../../scripts/build_image.sh"));

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
    say(tr!(
        "making the machines' image from Debian packages (once, about a minute)"
    ));
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
        .label(tr!("make the machines' image"));
    here.run_ok(&build).await?;
    for file in ["kernel", "initrd", "root.img"] {
        if !part.join(file).exists() {
            bail!("{}", tr!("making the machines' image left no {file}"));
        }
    }
    std::fs::rename(&part, &image.folder)?;
    Ok(image)
}
