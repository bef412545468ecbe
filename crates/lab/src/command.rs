//! `matou lab …`

use matou_i18n::tr;
use std::path::PathBuf;
use std::process::ExitCode;

use clap::{Args, Subcommand};
use color_eyre::eyre::{Context as _, Result, ensure, eyre};

use super::{DebianRelease, EngineRelease, Lab, LabKind, VmOptions};
use matou_base::outln;

/// The practice fleet of that name.
#[derive(Debug, Args)]
pub struct LabName {
    /// Name of the practice fleet
    #[arg(long, default_value = "lab")]
    name: String,
}

/// The practice fleet of that name, said with or without the option.
#[derive(Debug, Args)]
pub struct LabFleet {
    /// Name of the practice fleet [default: lab]
    fleet: Option<String>,
    /// The same
    #[arg(long, conflicts_with = "fleet")]
    name: Option<String>,
}

impl LabFleet {
    fn lab(self) -> Result<Lab> {
        let name = self.fleet.or(self.name);
        Lab::new(name.as_deref().unwrap_or("lab"))
    }
}

/// Makes, shows and removes practice fleets.
#[derive(Debug, Subcommand)]
#[expect(missing_docs, reason = "what is said here is printed as help")]
pub enum LabCommand {
    /// Make a practice fleet, or what is missing of it
    Up {
        /// How many nodes
        #[arg(long, default_value_t = 3)]
        nodes: usize,
        /// Fresh servers: sshd and nothing else
        #[arg(long, conflicts_with = "docker")]
        blank: bool,
        /// Servers with Docker and no swarm
        #[arg(long)]
        docker: bool,
        /// Docker of the nodes [default: that of MATOU_LAB_ENGINE, or the newest]
        #[arg(long, value_enum, conflicts_with_all = ["blank", "vm"])]
        engine: Option<EngineRelease>,
        /// Volumes are folders of /mnt/data, which all nodes share
        #[arg(long, conflicts_with_all = ["blank", "docker", "vm"])]
        shared: bool,
        /// Virtual machines instead of containers: fresh servers with a kernel of their own
        #[arg(long, conflicts_with = "docker")]
        vm: bool,
        /// Distribution of virtual machines
        #[arg(long, value_enum, default_value_t, requires = "vm")]
        release: DebianRelease,
        /// Memory of a virtual machine, MiB
        #[arg(long, default_value_t = VmOptions::default().memory, requires = "vm")]
        memory: u32,
        /// Empty disks of the first virtual machine
        #[arg(long, default_value_t = 0, requires = "vm")]
        disks: usize,
        /// Packages that virtual machines come with
        #[arg(long, value_delimiter = ',', value_name = "PACKAGE", requires = "vm")]
        with: Vec<String>,
        #[command(flatten)]
        which: LabFleet,
    },
    /// Plug one more empty disk into a virtual machine
    Disk {
        /// Name of the node
        node: String,
        /// Its size
        #[arg(long, default_value = "1G")]
        size: String,
        #[command(flatten)]
        which: LabName,
    },
    /// Print its nodes and the path of its configuration
    Status {
        /// Print JSON
        #[arg(long)]
        json: bool,
        #[command(flatten)]
        which: LabFleet,
    },
    /// List the practice fleets of this machine
    List {
        /// Print JSON
        #[arg(long)]
        json: bool,
    },
    /// Open a shell on a node, or run a command there
    Ssh {
        /// Name of the node
        node: String,
        #[command(flatten)]
        which: LabName,
        /// The command and its arguments; a shell without one
        #[arg(last = true)]
        command: Vec<String>,
    },
    /// Load an image archive (`docker save`) on every node
    Load {
        /// The archive
        archive: PathBuf,
        #[command(flatten)]
        which: LabName,
    },
    /// Stop a node as a power cut does
    Kill {
        /// Name of the node
        node: String,
        #[command(flatten)]
        which: LabName,
    },
    /// Start a stopped node
    Start {
        /// Name of the node
        node: String,
        #[command(flatten)]
        which: LabName,
    },
    /// Remove it and everything that belongs to it
    Down {
        #[command(flatten)]
        which: LabFleet,
    },
}

impl LabCommand {
    /// Runs the subcommand.
    ///
    /// # Errors
    /// What can't be done here, with the command that mends it.
    pub async fn run(self) -> Result<ExitCode> {
        match self {
            Self::Up {
                nodes,
                blank,
                docker,
                engine,
                shared,
                vm,
                release,
                memory,
                disks,
                with,
                which,
            } => {
                let kind = match (blank, docker) {
                    (true, _) => LabKind::Blank,
                    (_, true) => LabKind::Docker,
                    _ => LabKind::Swarm,
                };
                let mut lab = which.lab()?;
                if let Some(engine) = engine {
                    lab = lab.with_engine(engine);
                }
                if shared {
                    lab = lab.with_shared_volumes();
                }
                let say = |phase: &str| {
                    matou_base::out::note_hanging(tr!("lab: {phase}"));
                };
                if vm {
                    let options = VmOptions {
                        release,
                        memory,
                        disks,
                        packages: with,
                        ..VmOptions::default()
                    };
                    lab.up_vms(nodes, &options, &say).await?;
                } else {
                    lab.up(nodes, kind, &say).await?;
                }
                print_lab_status(&lab, false).await?;
            }
            Self::Disk { node, size, which } => {
                let serial = Lab::new(&which.name)?.add_disk(&node, &size).await?;
                outln!(
                    "{}",
                    tr!("{node} has a new disk of {size}, serial number {serial}")
                )?;
            }
            Self::Status { json, which } => print_lab_status(&which.lab()?, json).await?,
            Self::List { json } => print_labs(json).await?,
            Self::Ssh {
                node,
                which,
                command,
            } => return run_lab_ssh(&Lab::new(&which.name)?, &node, &command).await,
            Self::Load { archive, which } => Lab::new(&which.name)?.load_images(&archive).await?,
            Self::Kill { node, which } => Lab::new(&which.name)?.kill_node(&node).await?,
            Self::Start { node, which } => Lab::new(&which.name)?.start_node(&node).await?,
            Self::Down { which } => which.lab()?.down().await?,
        }
        Ok(ExitCode::SUCCESS)
    }
}

/// What `matou lab status --json` prints.
#[derive(serde::Serialize)]
struct LabStatus<'a> {
    config: &'a std::path::Path,
    nodes: Vec<LabStatusNode<'a>>,
}

#[derive(serde::Serialize)]
struct LabStatusNode<'a> {
    name: &'a str,
    address: String,
    state: String,
}

async fn print_lab_status(lab: &Lab, json: bool) -> Result<()> {
    let nodes = lab.list_nodes().await?;
    ensure!(
        !nodes.is_empty(),
        "{}",
        tr!(
            "the practice fleet {name} is not up: run `matou lab up {name}`, or `matou lab list` for those that there are",
            name = lab.name
        )
    );
    if json {
        let config = lab.config_path();
        let nodes = nodes.iter().map(|n| LabStatusNode {
            name: &n.name,
            address: n.address.clone(),
            state: n.state.clone(),
        });
        let status = LabStatus {
            config: config.as_ref(),
            nodes: nodes.collect(),
        };
        matou_base::out::print_json_pretty(&matou_base::out::WithFormat::new(&status))?;
        return Ok(());
    }
    for node in nodes {
        outln!("{:<6} {:<16} {}", node.name, node.address, node.state)?;
    }
    outln!("config {}", lab.config_path().display())?;
    Ok(())
}

/// What `matou lab list --json` prints.
#[derive(serde::Serialize)]
struct LabList {
    fleets: Vec<LabLine>,
}

#[derive(serde::Serialize)]
struct LabLine {
    name: String,
    config: PathBuf,
    nodes: usize,
    running: usize,
}

async fn print_labs(json: bool) -> Result<()> {
    let mut fleets = Vec::new();
    for name in Lab::names()? {
        let lab = Lab::new(&name)?;
        let nodes = lab.list_nodes().await?;
        fleets.push(LabLine {
            name,
            config: lab.config_path(),
            nodes: nodes.len(),
            running: nodes.iter().filter(|n| n.state == "running").count(),
        });
    }
    if json {
        let list = LabList { fleets };
        matou_base::out::print_json_pretty(&matou_base::out::WithFormat::new(&list))?;
        return Ok(());
    }
    if fleets.is_empty() {
        outln!(
            "{}",
            tr!("no practice fleet on this machine: `matou lab up` makes one")
        )?;
    }
    for fleet in fleets {
        let (name, config) = (fleet.name, fleet.config.display());
        outln!(
            "{}",
            tr!(
                "{name:<20} {}/{} nodes run  {config}",
                fleet.running,
                fleet.nodes
            )
        )?;
    }
    Ok(())
}

async fn run_lab_ssh(lab: &Lab, node: &str, command: &[String]) -> Result<ExitCode> {
    let nodes = lab.list_nodes().await?;
    let found = nodes.iter().find(|n| n.name == node).ok_or_else(|| {
        let names: Vec<&str> = nodes.iter().map(|n| n.name.as_str()).collect();
        eyre!(
            "{}",
            tr!(
                "there is no node {node:?} in the practice fleet, only {}",
                names.join(", ")
            )
        )
    })?;
    let dir = &lab.dir;
    let mut ssh = tokio::process::Command::new("ssh");
    ssh.arg("-i")
        .arg(dir.join("id_ed25519"))
        .arg("-o")
        .arg(format!(
            "UserKnownHostsFile={}",
            dir.join("known_hosts").display()
        ))
        .args([
            "-o",
            "StrictHostKeyChecking=yes",
            "-o",
            "IdentitiesOnly=yes",
            "-l",
            "root",
        ])
        .arg("--")
        .arg(&found.address);
    if !command.is_empty() {
        ssh.arg(matou_host::quote_args(command.iter().map(String::as_str)));
    }
    let status = ssh.status().await.wrap_err(tr!("ssh can't be started"))?;
    let code = status.code().and_then(|c| u8::try_from(c).ok());
    Ok(ExitCode::from(code.unwrap_or(1)))
}
