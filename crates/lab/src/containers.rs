//! Nodes of a practice fleet: containers that boot systemd.

use matou_i18n::tr;
use std::time::Duration;

use color_eyre::eyre::{Result, WrapErr as _, bail};

use super::engine::LabEngine;
use super::limits::describe_used_up_watches;
use super::{LabNode, LabServer};
use matou_host::{Command, quote_args, shell_script};

/// Marks what belongs to a practice fleet, so that nothing else is ever removed.
const LABEL: &str = "org.matou.lab";

/// Seconds a node may take to boot.
const BOOT_SECONDS: u32 = 60;

/// A node that answers.
pub(super) struct StartedNode {
    pub server: LabServer,
    pub container: String,
}

/// A network of the fleet's own.
pub(super) struct LabNetwork {
    name: String,
    /// First three numbers of its addresses.
    prefix: String,
}

pub(super) fn lab_container_name(lab: &str, node: &str) -> String {
    format!("matou-{lab}-{node}")
}

/// Makes the network, with fixed addresses: a node that comes back has the one it had.
pub(super) async fn create_lab_network(engine: &LabEngine, lab: &str) -> Result<LabNetwork> {
    let name = format!("matou-{lab}");
    let format = "{{(index .IPAM.Config 0).Subnet}}";
    if let Ok(subnet) = engine
        .run_docker(&["network", "inspect", "--format", format, &name])
        .await
        && let Some((prefix, _)) = subnet.rsplit_once('.')
    {
        let prefix = prefix.to_owned();
        return Ok(LabNetwork { name, prefix });
    }
    // 10.213.0.0/16 is seldom used; what another of its networks has is refused by the engine.
    let first = lab
        .bytes()
        .fold(0u8, |a, b| a.wrapping_mul(31).wrapping_add(b));
    let mut refusal = None;
    let own = list_own_addresses(engine).await;
    for i in 0..16 {
        let prefix = format!("10.213.{}", first.wrapping_add(i));
        // An engine that was killed leaves its bridge behind, and the engine does not look.
        if own.lines().any(|l| l.contains(&format!(" {prefix}."))) {
            continue;
        }
        let subnet = format!("{prefix}.0/24");
        let label = format!("{LABEL}={lab}");
        let create = [
            "network", "create", "--subnet", &subnet, "--label", &label, &name,
        ];
        match engine.run_docker(&create).await {
            Ok(_) => return Ok(LabNetwork { name, prefix }),
            Err(e) => refusal = Some(e),
        }
    }
    Err(refusal.unwrap_or_else(|| color_eyre::eyre::eyre!("{}", tr!("no network can be made"))))
}

/// This machine's addresses, a line each; none where it does not tell.
async fn list_own_addresses(engine: &LabEngine) -> String {
    let ask = Command::new("ip").args(["-4", "-oneline", "address"]);
    let said = engine.host().run_ok(&ask).await;
    said.map(|out| out.stdout_text()).unwrap_or_default()
}

/// What all nodes of a fleet are made with.
pub(super) struct LabNodeSpec<'a> {
    pub lab: &'a str,
    pub network: &'a LabNetwork,
    pub image: &'a str,
    /// The volume that all nodes share, and where they have it: `NAME:PATH`.
    pub data: Option<&'a str>,
}

/// Makes the volume that all nodes share. Returns its name.
pub(super) async fn create_lab_volume(engine: &LabEngine, lab: &str) -> Result<String> {
    let name = format!("matou-{lab}-data");
    let label = format!("{LABEL}={lab}");
    let create = ["volume", "create", "--label", &label, &name];
    engine.run_docker(&create).await?;
    Ok(name)
}

/// Removes the volume that all nodes shared.
pub(super) async fn remove_lab_volume(engine: &LabEngine, lab: &str) -> Result<()> {
    let name = format!("matou-{lab}-data");
    engine
        .run_docker(&["volume", "rm", &name])
        .await
        .map(|_| ())
}

/// Makes and starts the container of a node.
async fn run_lab_container(
    engine: &LabEngine,
    made: &LabNodeSpec<'_>,
    node: &str,
    container: &str,
    address: &str,
) -> Result<()> {
    let LabNodeSpec {
        lab,
        network,
        image,
        data,
    } = *made;
    let label = format!("{LABEL}={lab}");
    let mut args = vec![
        "run",
        "-d",
        // One that reboots ends; one that was killed stays so.
        "--restart",
        "unless-stopped",
        "--name",
        container,
        "--hostname",
        node,
        "--label",
        &label,
        "--network",
        &network.name,
        "--ip",
        address,
        "--stop-signal",
        "SIGRTMIN+3",
        "--cgroupns=host",
        "-v",
        "/sys/fs/cgroup:/sys/fs/cgroup:rw",
        "--tmpfs",
        "/run",
        "--tmpfs",
        "/run/lock",
        "-v",
        "/var/lib/docker",
    ];
    if let Some(shared) = data {
        args.extend(["-v", shared]);
    }
    let capabilities = available_capabilities()?;
    match &capabilities {
        None => args.push("--privileged"),
        Some(list) => {
            args.extend([
                "--security-opt",
                "seccomp=unconfined",
                "--security-opt",
                "apparmor=unconfined",
                "--security-opt",
                "systempaths=unconfined",
                "--device-cgroup-rule",
                "a *:* rwm",
            ]);
            for capability in list {
                args.extend(["--cap-add", capability]);
            }
        }
    }
    if std::path::Path::new("/dev/fuse").exists() {
        args.extend(["--device", "/dev/fuse"]);
    }
    args.push(image);
    engine.run_docker(&args).await?;
    Ok(())
}

/// Starts a node and sets up its SSH; one that runs already is left as it is.
pub(super) async fn start_lab_node(
    engine: &LabEngine,
    made: &LabNodeSpec<'_>,
    node: &str,
    index: usize,
    key: &str,
) -> Result<StartedNode> {
    let (lab, network) = (made.lab, made.network);
    let container = lab_container_name(lab, node);
    let address = format!("{}.{}", network.prefix, 11 + index);
    let inspect = ["inspect", "--format", "{{.State.Status}}", &container];
    match engine.run_docker(&inspect).await.as_deref() {
        Ok("running") => {}
        Ok(_) => {
            engine.run_docker(&["start", &container]).await?;
        }
        Err(_) => run_lab_container(engine, made, node, &container, &address).await?,
    }
    let host_key = set_up_node_ssh(engine, &container, key).await?;
    Ok(StartedNode {
        server: LabServer {
            name: node.to_owned(),
            address,
            host_key,
        },
        container,
    })
}

/// Waits for systemd, makes host keys, lets the fleet's key in as root and as `ops`, who has sudo.
async fn set_up_node_ssh(engine: &LabEngine, container: &str, key: &str) -> Result<String> {
    let tries = (BOOT_SECONDS * 5).to_string();
    let script = shell_script(include_str!("../scripts/set_up_ssh.sh"));
    let set_up = engine
        .run_script_inside(container, script, &[&tries, key.trim()])
        .await;
    // It may have failed for what systemd itself does not say.
    match set_up.is_err().then(describe_used_up_watches).flatten() {
        Some(reason) => set_up.wrap_err(reason),
        None => set_up,
    }
}

/// Waits until the engine inside a node answers. Returns its version.
pub(super) async fn wait_for_lab_docker(engine: &LabEngine, node: &StartedNode) -> Result<String> {
    for _ in 0..BOOT_SECONDS * 4 {
        let ask = [
            "exec",
            &node.container,
            "docker",
            "version",
            "--format",
            "{{.Server.Version}}",
        ];
        if let Ok(version) = engine.run_docker(&ask).await {
            return Ok(version);
        }
        tokio::time::sleep(Duration::from_millis(250)).await;
    }
    let log = [
        "exec",
        &node.container,
        "journalctl",
        "-u",
        "docker",
        "-n",
        "5",
        "--no-pager",
        "-o",
        "cat",
    ];
    let said = engine.run_docker(&log).await.unwrap_or_default();
    bail!(
        "{}",
        tr!(
            "the Docker engine of {} does not answer:\n{said}",
            node.server.name
        )
    )
}

/// Makes the first node the manager of a swarm that the others join.
pub(super) async fn form_lab_swarm(engine: &LabEngine, nodes: &[StartedNode]) -> Result<()> {
    let Some((manager, workers)) = nodes.split_first() else {
        return Ok(());
    };
    let init = shell_script(include_str!("../scripts/init_swarm.sh"));
    let address = manager.server.address.as_str();
    let token = engine
        .run_script_inside(&manager.container, init, &[address])
        .await?;
    // By the script's input, not its arguments: the token belongs on no command line.
    let join = shell_script(include_str!("../scripts/join_swarm.sh"));
    let join = format!("token={}\n{join}", quote_args([token.trim()]));
    let joining = workers.iter().map(|worker| {
        let args = [worker.server.address.as_str(), address];
        let join = &join;
        async move {
            engine
                .run_script_inside(&worker.container, join, &args)
                .await
        }
    });
    futures_util::future::try_join_all(joining).await?;
    Ok(())
}

/// The fleet's nodes, in order.
pub(super) async fn list_lab_nodes(engine: &LabEngine, lab: &str) -> Result<Vec<LabNode>> {
    let filter = format!("label={LABEL}={lab}");
    let ids = engine
        .run_docker(&["ps", "-aq", "--filter", &filter])
        .await?;
    let mut args = vec![
        "inspect",
        "--format",
        "{{.Config.Hostname}} {{.State.Status}} {{range .NetworkSettings.Networks}}{{.IPAMConfig.IPv4Address}}{{end}}",
    ];
    args.extend(ids.lines());
    if ids.is_empty() {
        return Ok(Vec::new());
    }
    let mut nodes: Vec<LabNode> = engine
        .run_docker(&args)
        .await?
        .lines()
        .filter_map(|line| {
            let mut words = line.split(' ').map(str::to_owned);
            Some(LabNode {
                name: words.next()?,
                state: words.next()?,
                address: words.next()?,
            })
        })
        .collect();
    nodes.sort_by_key(|n| (n.name.len(), n.name.clone()));
    Ok(nodes)
}

/// Removes the nodes with their volumes, and what they share.
pub(super) async fn remove_lab_resources(engine: &LabEngine, lab: &str) -> Result<()> {
    let filter = format!("label={LABEL}={lab}");
    let kinds: [(&[&str], &[&str]); 3] = [
        (&["ps", "-aq"], &["rm", "--force", "--volumes"]),
        (&["network", "ls", "-q"], &["network", "rm"]),
        (&["volume", "ls", "-q"], &["volume", "rm"]),
    ];
    for (list, remove) in kinds {
        let ids = engine
            .run_docker(&[list, &["--filter", &filter]].concat())
            .await?;
        if !ids.is_empty() {
            let ids: Vec<&str> = ids.lines().collect();
            engine.run_docker(&[remove, &ids].concat()).await?;
        }
    }
    Ok(())
}

/// Returns the extra capabilities that this machine can give to a container. `None` when it has all
/// of them, and `--privileged` works.
fn available_capabilities() -> Result<Option<Vec<&'static str>>> {
    // Numbers of capabilities(7) that are not in Docker's default set and that engine 20.10 knows.
    const EXTRA: [(u32, &str); 24] = [
        (2, "dac_read_search"),
        (9, "linux_immutable"),
        (12, "net_admin"),
        (14, "ipc_lock"),
        (15, "ipc_owner"),
        (16, "sys_module"),
        (17, "sys_rawio"),
        (19, "sys_ptrace"),
        (20, "sys_pacct"),
        (21, "sys_admin"),
        (22, "sys_boot"),
        (23, "sys_nice"),
        (24, "sys_resource"),
        (25, "sys_time"),
        (26, "sys_tty_config"),
        (28, "lease"),
        (29, "audit_write"),
        (30, "audit_control"),
        (32, "mac_override"),
        (33, "mac_admin"),
        (34, "syslog"),
        (35, "wake_alarm"),
        (36, "block_suspend"),
        (37, "audit_read"),
    ];
    let status = std::fs::read_to_string("/proc/self/status")?;
    let bounds = status
        .lines()
        .find_map(|l| l.strip_prefix("CapBnd:"))
        .and_then(|b| u64::from_str_radix(b.trim(), 16).ok())
        .unwrap_or(0);
    let has = |number: u32| bounds & (1 << number) != 0;
    if (0..=37).all(has) {
        return Ok(None);
    }
    Ok(Some(
        EXTRA
            .iter()
            .filter(|(number, _)| has(*number))
            .map(|(_, name)| *name)
            .collect(),
    ))
}
