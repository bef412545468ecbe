//! Images of a practice fleet: the nodes' own, and the small web site that runs on them. Nothing
//! is pulled from a registry: both are made of Debian packages.

use std::path::{Path, PathBuf};

use color_eyre::eyre::{Context as _, Result, eyre};

use super::containers::StartedNode;
use super::engine::LabEngine;
use matou_host::{Command, shell_script};

/// Changes whenever the content of the node image does.
const VERSION: u32 = 2;

const PACKAGES: &str = "systemd,systemd-sysv,dbus,openssh-server,iproute2,iptables,nftables,\
ca-certificates,procps,curl,sudo,udev,kmod,gnupg,less";

/// Makes the nodes' image if it is missing. Returns its name. The archive is kept in the cache
/// folder, so that only the first fleet takes long.
pub(super) async fn prepare_node_image(
    engine: &LabEngine,
    docker: bool,
    say: &dyn Fn(&str),
) -> Result<String> {
    let kind = if docker { "docker" } else { "blank" };
    let name = format!("matou/node-{kind}:{VERSION}");
    if engine
        .run_docker(&["image", "inspect", "--format", "{{.Id}}", &name])
        .await
        .is_ok()
    {
        return Ok(name);
    }
    let archive = lab_cache_dir()?.join(format!("node-{kind}-{VERSION}.tar"));
    if !archive.exists() {
        say("making the nodes' image from Debian packages (once, about a minute)");
        let part = archive.with_extension("part");
        let packages = match docker {
            true => format!("{PACKAGES},docker.io,restic"),
            false => PACKAGES.to_owned(),
        };
        // No service starts inside; host keys are made anew for each node.
        let build = Command::new("mmdebstrap")
            .args(["--quiet", "--variant=minbase", "--format=tar"])
            .arg(format!("--include={packages}"))
            .arg("--customize-hook=rm -f \"$1\"/etc/ssh/ssh_host_*")
            .arg("--customize-hook=install -d -m 1777 \"$1\"/tmp")
            .arg("bookworm")
            .arg(part.to_string_lossy());
        engine.host().run_ok(&build).await?;
        std::fs::rename(&part, &archive)?;
    }
    say("importing the nodes' image");
    let archive = archive.to_string_lossy().into_owned();
    engine
        .run_docker(&["import", "-c", "CMD [\"/sbin/init\"]", &archive, &name])
        .await?;
    Ok(name)
}

/// Returns the cache folder, which keeps what takes long to make.
pub(super) fn lab_cache_dir() -> Result<PathBuf> {
    let dirs = directories::BaseDirs::new()
        .ok_or_else(|| eyre!("no home folder: set HOME or XDG_CACHE_HOME"))?;
    let dir = dirs.cache_dir().join("matou");
    std::fs::create_dir_all(&dir).wrap_err_with(|| format!("{} can't be made", dir.display()))?;
    Ok(dir)
}

/// Serves a page and says so: each request, and a sign of life every ten seconds. Ends at once when
/// asked to.
const HELLO: &str = include_str!("../scripts/serve_hello.sh");

/// Makes `matou/hello:1.0` and `:1.1` and loads them on every node that lacks them.
pub(super) async fn load_hello_images(engine: &LabEngine, nodes: &[StartedNode]) -> Result<()> {
    let dir = tempfile::tempdir()?;
    let archive = dir.path().join("hello.tar");
    let names = ["matou/hello:1.0", "matou/hello:1.1"];
    for name in names {
        let version = name.rsplit(':').next().unwrap_or_default();
        let script = shell_script(include_str!("../scripts/build_hello.sh"));
        let build = Command::sh(script)
            .arg(dir.path().to_string_lossy())
            .arg(version)
            .stdin(HELLO.as_bytes().to_vec())
            .label(format!("build {name}"));
        engine.host().run_ok(&build).await?;
        let tar = dir.path().join(format!("{version}.tar"));
        engine
            .run_docker(&[
                "import",
                "-c",
                "CMD [\"/start\"]",
                "-c",
                "ENV PATH=/bin",
                &tar.to_string_lossy(),
                name,
            ])
            .await?;
    }
    let path = archive.to_string_lossy().into_owned();
    engine
        .run_docker(&["save", "-o", &path, names[0], names[1]])
        .await?;
    let loading = nodes
        .iter()
        .map(|n| load_image_archive(engine, &n.container, &archive));
    futures_util::future::try_join_all(loading).await?;
    Ok(())
}

/// Loads an image archive into the engine inside a container.
pub(super) async fn load_image_archive(
    engine: &LabEngine,
    container: &str,
    archive: &Path,
) -> Result<()> {
    let bytes = tokio::fs::read(archive)
        .await
        .wrap_err_with(|| format!("{} can't be read", archive.display()))?;
    let load = engine
        .docker_command()
        .args(["exec", "-i", container, "docker", "load", "--quiet"])
        .stdin(bytes);
    engine.host().run_ok(&load).await?;
    Ok(())
}
