//! Images of a practice fleet: the nodes' own, and the small web site that runs on them. Nothing
//! is pulled from a registry: both are made of Debian packages.

use matou_i18n::tr;
use std::path::{Path, PathBuf};

use color_eyre::eyre::{Context as _, Result, eyre};

use super::containers::StartedNode;
use super::engine::LabEngine;
use super::release::EngineRelease;
use matou_host::{Command, shell_script};

/// Changes whenever the content of the node image does.
const VERSION: u32 = 2;

const PACKAGES: &str = "systemd,systemd-sysv,dbus,openssh-server,iproute2,iptables,nftables,\
ca-certificates,procps,curl,sudo,udev,kmod,gnupg,less";

/// Makes the root file system. `$1` archive, `$2` packages, `$3` newer suite, `$4` its packages.
const BUILD_NODE: &str = shell_script(include_str!("../scripts/build_node.sh"));

/// Makes the nodes' image if it is missing: with that Docker, or a fresh server with none. Returns its
/// name. The archive is kept in the cache folder, so that only the first fleet takes long.
pub(super) async fn prepare_node_image(
    engine: &LabEngine,
    docker: Option<EngineRelease>,
    say: &dyn Fn(&str),
) -> Result<String> {
    let kind = match docker {
        Some(release) => format!("docker-{}", release.name()),
        None => "blank".to_owned(),
    };
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
        say(tr!(
            "making the nodes' image from Debian packages (once, one to three minutes)"
        ));
        let part = archive.with_extension("part");
        build_node_archive(engine, docker, &part).await?;
        std::fs::rename(&part, &archive)?;
    }
    say(tr!("importing the nodes' image"));
    let archive = archive.to_string_lossy().into_owned();
    engine
        .run_docker(&["import", "-c", "CMD [\"/sbin/init\"]", &archive, &name])
        .await?;
    Ok(name)
}

async fn build_node_archive(
    engine: &LabEngine,
    docker: Option<EngineRelease>,
    archive: &Path,
) -> Result<()> {
    let newer = docker.and_then(EngineRelease::newer_suite);
    let packages = match (docker, &newer) {
        (None, _) => PACKAGES.to_owned(),
        (Some(_), None) => format!("{PACKAGES},docker.io,restic"),
        // The client is a package of its own since Debian 13.
        (Some(_), Some(_)) => format!("{PACKAGES},docker.io,docker-cli,restic"),
    };
    let (suite, newer) = newer.map_or(("", ""), |n| (n.suite, n.packages));
    let build = Command::sh(BUILD_NODE)
        .arg(archive.to_string_lossy())
        .arg(packages)
        .arg(suite)
        .arg(newer)
        .label(tr!("make the nodes' image"));
    engine.host().run_ok(&build).await?;
    Ok(())
}

/// Returns the cache folder, which keeps what takes long to make.
pub(super) fn lab_cache_dir() -> Result<PathBuf> {
    let dirs = directories::BaseDirs::new()
        .ok_or_else(|| eyre!("{}", tr!("no home folder: set HOME or XDG_CACHE_HOME")))?;
    let dir = dirs.cache_dir().join("matou");
    std::fs::create_dir_all(&dir).wrap_err_with(|| tr!("{} can't be made", dir.display()))?;
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
            .label(tr!("build {name}"));
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
        .wrap_err_with(|| tr!("{} can't be read", archive.display()))?;
    let load = engine
        .docker_command()
        .args(["exec", "-i", container, "docker", "load", "--quiet"])
        .stdin(bytes);
    engine.host().run_ok(&load).await?;
    Ok(())
}
