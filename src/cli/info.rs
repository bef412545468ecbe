//! `matou info`: what matou is, where its files are, and what the nodes run: what is asked first when
//! something is reported.

use matou_i18n::tr;
use std::path::{Path, PathBuf};
use std::process::{ExitCode, Stdio};
use std::time::Duration;

use color_eyre::eyre::Result;
use serde::Serialize;

use super::Exit;
use super::french::load_config;
use crate::version::ProgramVersion;
use matou_base::outln;
use matou_base::text::{SafeText, clean_line};
use matou_collect::{Platform, read_platform};
use matou_config::{Config, NodeConfig, cache_path, ensure_runtime_dir, state_path};
use matou_docker::{NodeHandle, Nodes};
use matou_host::HostOptions;
use matou_model::{EngineInfo, Role};

/// How long a node is waited for.
const NODE_TIMEOUT: Duration = Duration::from_secs(10);

/// How long a program of this machine is waited for, and the end of connections.
const PROGRAM_TIMEOUT: Duration = Duration::from_secs(3);

/// Programs of this machine that matou starts, with what makes them say their version.
const PROGRAMS: [(&str, &str); 4] = [
    ("ssh", "-V"),
    ("restic", "version"),
    ("docker", "--version"),
    ("git", "--version"),
];

/// All that is told. It holds no secret: paths and versions alone.
#[derive(Debug, Serialize)]
pub(super) struct InfoReport {
    /// matou itself.
    pub(super) program: ProgramVersion,
    /// Where its files are.
    pub(super) paths: Vec<PathInfo>,
    /// What config.toml is like.
    pub(super) configuration: ConfigurationInfo,
    /// Programs of this machine.
    pub(super) programs: Vec<ProgramInfo>,
    /// The terminal that it runs in.
    pub(super) terminal: TerminalInfo,
    /// In the order of config.toml.
    pub(super) nodes: Vec<NodeInfo>,
}

/// A file or folder.
#[derive(Debug, Serialize)]
pub(super) struct PathInfo {
    /// What it is for.
    pub(super) what: &'static str,
    /// Where it is, or would be.
    pub(super) path: PathBuf,
    /// Whether it is there.
    pub(super) exists: bool,
}

/// The configuration, as far as it can be read.
#[derive(Debug, Default, Serialize)]
pub(super) struct ConfigurationInfo {
    /// Why it can't be read; `None` when it can.
    pub(super) error: Option<SafeText>,
    /// The fleet's name.
    pub(super) fleet: Option<SafeText>,
    /// Nodes that it has.
    pub(super) nodes: usize,
    /// What is not wrong but should be known.
    pub(super) warnings: Vec<SafeText>,
}

/// A program of this machine.
#[derive(Debug, Serialize)]
pub(super) struct ProgramInfo {
    /// As it is started.
    pub(super) name: &'static str,
    /// The first line of what it says of itself; `None` when it is not there.
    pub(super) version: Option<SafeText>,
}

/// The terminal, by what it says of itself.
#[derive(Debug, Serialize)]
pub(super) struct TerminalInfo {
    /// TERM.
    pub(super) term: Option<SafeText>,
    /// COLORTERM.
    pub(super) colorterm: Option<SafeText>,
    /// Whether NO_COLOR is set.
    pub(super) no_color: bool,
    /// Columns and rows; `None` without a terminal.
    pub(super) size: Option<(u16, u16)>,
    /// The first of LC_ALL, LC_CTYPE, LANG that is set.
    pub(super) locale: Option<SafeText>,
}

/// A node, and what was read of it.
#[derive(Debug, Serialize)]
pub(super) struct NodeInfo {
    /// By config.toml.
    pub(super) name: String,
    /// `user@address:port`, or `this machine`.
    pub(super) address: String,
    /// By config.toml.
    pub(super) role: Role,
    /// What its engine says; `None` when it does not answer.
    pub(super) engine: Option<EngineInfo>,
    /// Why the engine does not answer.
    pub(super) engine_error: Option<SafeText>,
    /// System and programs; `None` when the node can't be reached.
    pub(super) platform: Option<Platform>,
    /// Why the node can't be reached.
    pub(super) error: Option<SafeText>,
}

/// Carries out `matou info`. It works with a configuration that is wrong, and with nodes that are dead.
pub(super) async fn run_info_command(file: Option<&Path>, json: bool) -> Result<ExitCode> {
    let report = read_info(file, load_config(file).as_ref()).await;
    match json {
        true => matou_base::out::print_json_pretty(&matou_base::out::WithFormat::new(&report))?,
        false => print_info(&report)?,
    }
    Ok(Exit::Done.into())
}

/// Reads all of it; `file` is what the command line named.
pub(super) async fn read_info(
    file: Option<&Path>,
    config: Result<&Config, &matou_config::ConfigError>,
) -> InfoReport {
    let nodes = async {
        match config {
            Ok(config) => read_nodes(&config.nodes).await,
            Err(_) => Vec::new(),
        }
    };
    let (nodes, programs) = tokio::join!(nodes, read_programs());
    let found = match config {
        Ok(config) => config.path.clone(),
        Err(error) => Some(error.path.clone()),
    };
    InfoReport {
        program: ProgramVersion::of_program(),
        paths: list_paths(found.as_deref().or(file)),
        configuration: match config {
            Ok(config) => ConfigurationInfo {
                error: None,
                fleet: Some(SafeText::from_line(&config.fleet.name)),
                nodes: config.nodes.len(),
                warnings: config.warnings.iter().map(SafeText::from_line).collect(),
            },
            Err(error) => ConfigurationInfo {
                error: Some(SafeText::from_line(&error.message)),
                ..ConfigurationInfo::default()
            },
        },
        programs,
        terminal: read_terminal(),
        nodes,
    }
}

fn list_paths(config: Option<&Path>) -> Vec<PathInfo> {
    let mut paths = Vec::new();
    let mut add = |what, path: PathBuf| {
        let exists = path.symlink_metadata().is_ok();
        paths.push(PathInfo { what, path, exists });
    };
    if let Some(config) = config {
        let config = std::path::absolute(config).unwrap_or_else(|_| config.to_owned());
        let folder = config.parent().map(Path::to_owned).unwrap_or_default();
        add("configuration", config);
        add("applications", folder.join("apps"));
        add(tr!("own stacks"), folder.join("stacks"));
    }
    if let Ok(state) = state_path() {
        add("journal", state.join("journal.jsonl"));
        add("log", state.join("log/matou.log"));
        add(tr!("state"), state);
    }
    if let Ok(cache) = cache_path() {
        add("cache", cache);
    }
    if let Ok(sockets) = ensure_runtime_dir() {
        add("sockets", sockets);
    }
    paths
}

async fn read_programs() -> Vec<ProgramInfo> {
    let reading = PROGRAMS.map(|(name, asked)| async move {
        ProgramInfo {
            name,
            version: ask_program(name, asked).await,
        }
    });
    let [ssh, restic, docker, git] = reading;
    let read = tokio::join!(ssh, restic, docker, git);
    vec![read.0, read.1, read.2, read.3]
}

/// Returns the first line that a program of this machine says of itself; `None` when it is not there, or
/// does not answer.
async fn ask_program(name: &str, asked: &str) -> Option<SafeText> {
    let mut command = tokio::process::Command::new(name);
    command.arg(asked).stdin(Stdio::null()).kill_on_drop(true);
    let ran = tokio::time::timeout(PROGRAM_TIMEOUT, command.output()).await;
    let ran = ran.ok()?.ok()?;
    // ssh says it on standard error.
    let said = [ran.stdout, ran.stderr].map(|said| String::from_utf8_lossy(&said).into_owned());
    let line = said.iter().flat_map(|said| said.lines()).next()?;
    Some(SafeText::from_line(line))
}

fn read_terminal() -> TerminalInfo {
    let variable = |name: &str| {
        let value = std::env::var(name).ok().filter(|value| !value.is_empty());
        value.map(SafeText::from_line)
    };
    TerminalInfo {
        term: variable("TERM"),
        colorterm: variable("COLORTERM"),
        no_color: variable("NO_COLOR").is_some(),
        size: matou_ui::terminal::read_terminal_size(),
        locale: ["LC_ALL", "LC_CTYPE", "LANG"]
            .into_iter()
            .find_map(variable),
    }
}

/// Reads all nodes at the same time. Nothing of it goes to the journal.
async fn read_nodes(configs: &[NodeConfig]) -> Vec<NodeInfo> {
    let sockets = match ensure_runtime_dir() {
        Ok(sockets) => sockets,
        Err(error) => {
            let none =
                |config| unread_node(config, String::new(), SafeText::of(format!("{error:#}")));
            return configs.iter().map(none).collect();
        }
    };
    let nodes = Nodes::new(configs, |node| HostOptions {
        docker_socket: node.docker_socket.clone(),
        runtime_dir: sockets.clone(),
        recorder: None,
    });
    let reading: Vec<_> = nodes
        .iter()
        .cloned()
        .map(|node| tokio::spawn(async move { read_node(&node).await }))
        .collect();
    let mut read = Vec::new();
    for (node, config) in reading.into_iter().zip(configs) {
        read.push(
            node.await
                .unwrap_or_else(|error| unread_node(config, String::new(), SafeText::of(error))),
        );
    }
    let _ = tokio::time::timeout(PROGRAM_TIMEOUT, nodes.close()).await;
    read
}

async fn read_node(node: &NodeHandle) -> NodeInfo {
    let both = async { tokio::join!(node.docker.query_engine(), read_platform(&node.host)) };
    let Ok((engine, platform)) = tokio::time::timeout(NODE_TIMEOUT, both).await else {
        let seconds = NODE_TIMEOUT.as_secs();
        let why = SafeText::of(format_args!("{}", tr!("gave no answer within {seconds} s")));
        return unread_node(&node.config, node.host.describe(), why);
    };
    let (engine, engine_error) = match engine {
        Ok(engine) => (Some(engine), None),
        Err(error) => (None, Some(SafeText::of(error))),
    };
    let (platform, error) = match platform {
        Ok(platform) => (Some(platform), None),
        Err(error) => (None, Some(SafeText::of(error))),
    };
    NodeInfo {
        engine,
        // The link's own reason says more.
        engine_error: engine_error.filter(|_| error.is_none()),
        platform,
        error,
        ..unread_node(&node.config, node.host.describe(), SafeText::default())
    }
}

fn unread_node(config: &NodeConfig, address: String, why: SafeText) -> NodeInfo {
    NodeInfo {
        name: config.name.clone(),
        address,
        role: config.role,
        engine: None,
        engine_error: None,
        platform: None,
        error: Some(why),
    }
}

fn print_info(report: &InfoReport) -> std::io::Result<()> {
    let program = &report.program;
    outln!(
        "{}",
        tr!("matou {} for {}", program.version, program.architecture)
    )?;
    if let Some(commit) = program.commit_line() {
        outln!("{commit}")?;
    }
    outln!("")?;
    for PathInfo { what, path, exists } in &report.paths {
        let path = path.to_string_lossy();
        let missing = if *exists { "" } else { tr!("  (not there)") };
        outln!("{what:<14} {}{missing}", clean_line(&path))?;
    }
    let configuration = &report.configuration;
    match (&configuration.error, &configuration.fleet) {
        (Some(error), _) => matou_base::out::print_hanging(tr!(
            "{:<14} can't be used: {}; `matou config` shows the place",
            tr!("fleet"),
            error.as_str()
        ))?,
        (None, Some(fleet)) => outln!(
            "{}",
            tr!(
                "{:<14} {}, {} nodes",
                tr!("fleet"),
                fleet.as_str(),
                configuration.nodes
            )
        )?,
        (None, None) => {}
    }
    for warning in &configuration.warnings {
        matou_base::out::print_hanging(format_args!(
            "{:<14} {}",
            tr!("warning"),
            warning.as_str()
        ))?;
    }
    outln!("")?;
    for ProgramInfo { name, version } in &report.programs {
        let version = version.as_ref().map_or(tr!("not there"), SafeText::as_str);
        outln!("{name:<14} {version}")?;
    }
    print_terminal(&report.terminal)?;
    for node in &report.nodes {
        outln!("")?;
        print_node(node)?;
    }
    Ok(())
}

fn print_terminal(terminal: &TerminalInfo) -> std::io::Result<()> {
    let mut said = vec![match &terminal.term {
        Some(term) => format!("TERM={}", term.as_str()),
        None => tr!("TERM is not set").to_owned(),
    }];
    if let Some(colours) = &terminal.colorterm {
        said.push(format!("COLORTERM={}", colours.as_str()));
    }
    if terminal.no_color {
        said.push("NO_COLOR".to_owned());
    }
    said.push(match terminal.size {
        Some((columns, rows)) => format!("{columns}×{rows}"),
        None => tr!("no terminal").to_owned(),
    });
    let locale = terminal
        .locale
        .as_ref()
        .map_or(tr!("none"), SafeText::as_str);
    said.push(format!("locale {locale}"));
    outln!("{:<14} {}", "terminal", said.join(", "))
}

fn print_node(node: &NodeInfo) -> std::io::Result<()> {
    let role = match node.role {
        Role::Manager => "manager",
        Role::Worker => "worker",
    };
    outln!(
        "{:<14} {role}, {}",
        clean_line(&node.name),
        clean_line(&node.address)
    )?;
    if let Some(error) = &node.error {
        return matou_base::out::print_hanging(tr!("  not read: {}", error.as_str()));
    }
    match (&node.engine, &node.engine_error) {
        (Some(engine), _) => outln!(
            "  {:<12} Docker {}, API {}",
            tr!("engine"),
            clean_line(&engine.version),
            clean_line(&engine.api)
        )?,
        (None, Some(error)) => {
            matou_base::out::print_hanging(format_args!(
                "  {:<12} {}",
                tr!("engine"),
                error.as_str()
            ))?;
        }
        (None, None) => {}
    }
    let Some(platform) = &node.platform else {
        return Ok(());
    };
    let lines = [
        (tr!("system"), &platform.os),
        (tr!("kernel"), &platform.kernel),
        ("architecture", &platform.architecture),
        ("restic", &platform.restic),
        ("sudo", &platform.sudo),
        ("coreutils", &platform.coreutils),
    ];
    for (what, said) in lines {
        let said = said.as_ref().map_or(tr!("not there"), SafeText::as_str);
        outln!("  {what:<12} {said}")?;
    }
    Ok(())
}
