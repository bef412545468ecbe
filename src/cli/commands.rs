//! The subcommands with their arguments, as they are read and as `--help` shows them.

use std::path::PathBuf;

use clap::Subcommand;

use super::complete::{Names, complete};
use super::deploy_target::DeployTarget;
use super::{
    access, apps, backup, bundle, catalogue, certificates, dns, help, history, init, intrusions,
    job, jobs, logs, mail, moves, recover, restore, room, run, search, updates, variables,
};
use matou_lab::LabCommand;
use matou_stack::AppName;

#[derive(Debug, Subcommand)]
pub(super) enum CliCommand {
    /// Print nodes, applications and what is wrong
    #[command(after_help = help::STATUS)]
    Status {
        /// Print JSON
        #[arg(long)]
        json: bool,
    },
    /// Look at everything once and say what is wrong: 0 nothing, 1 something, 4 no manager answers
    #[command(after_help = help::CHECK)]
    Check {
        /// Print JSON
        #[arg(long)]
        json: bool,
        /// Print figures for Prometheus, as the node exporter's textfile collector reads them
        #[arg(long, conflicts_with = "json")]
        metrics: bool,
        /// Tell those whom config.toml names as receivers what began, lasts and is over since the last time: for a timer
        #[arg(long)]
        tell: bool,
        /// Tell nobody while this manager has told within ten minutes; may be given several times
        #[arg(long, value_name = "NODE", requires = "tell", add = complete(Names::Nodes))]
        unless_told_by: Vec<String>,
        /// Look at nothing; send those whom config.toml names as receivers a message, and say whether they took it
        #[arg(long, conflicts_with_all = ["json", "metrics", "tell"])]
        try_receivers: bool,
        /// Print the digest of the day or the week, as receivers get it; with --tell send it to them now
        #[arg(long, conflicts_with_all = ["metrics", "try_receivers", "unless_told_by"])]
        digest: bool,
    },
    /// Deploy a stack as an application, or update it
    #[command(after_help = help::DEPLOY)]
    Deploy {
        /// A stack of the catalogue, or the path of a compose file; or an application as it was (`matou history`)
        #[arg(value_name = "STACK|APP@REVISION", add = complete(Names::Stacks))]
        target: DeployTarget,
        /// Name of the application
        #[arg(add = complete(Names::Apps))]
        app: Option<AppName>,
        /// Variables of the stack
        #[arg(value_name = "NAME=VALUE", value_parser = variables::parse_variable)]
        variables: Vec<(String, String)>,
        #[command(flatten)]
        names: apps::NameOptions,
        #[command(flatten)]
        options: job::JobOptions,
    },
    /// List the stacks that can be deployed, show one, or what is known of their images
    #[command(args_conflicts_with_subcommands = true)]
    Catalogue {
        /// Show this stack of the catalogue: what it is, what it needs, how one logs in to it
        #[arg(add = complete(Names::Stacks))]
        stack: Option<String>,
        /// Print JSON
        #[arg(long)]
        json: bool,
        #[command(subcommand)]
        what: Option<catalogue::CatalogueCommand>,
    },
    /// Deploy an application again from its file in apps/, with other variables or switches
    #[command(after_help = help::REDEPLOY)]
    Redeploy {
        /// Name of the application
        #[arg(add = complete(Names::Apps))]
        app: AppName,
        /// Variables of the stack
        #[arg(value_name = "NAME=VALUE", value_parser = variables::parse_variable)]
        variables: Vec<(String, String)>,
        #[command(flatten)]
        switches: apps::EdgeSettingsOptions,
        #[command(flatten)]
        names: apps::NameOptions,
        /// Names that it loses, be they aliases or redirects
        #[arg(long, value_name = "NAME", value_delimiter = ',')]
        drop_name: Vec<String>,
        #[command(flatten)]
        options: job::JobOptions,
    },
    /// Deploy another application like one that has a file in apps/; data is not copied
    Clone {
        /// Name of the application
        #[arg(add = complete(Names::Apps))]
        app: AppName,
        /// Name of the new one
        to: AppName,
        /// What differs, its domain above all
        #[arg(value_name = "NAME=VALUE", value_parser = variables::parse_variable)]
        variables: Vec<(String, String)>,
        #[command(flatten)]
        options: job::JobOptions,
    },
    /// List newer versions of an application's images, or go to one
    #[command(after_help = apps::UPDATE_HELP)]
    Update {
        /// Name of the application
        #[arg(add = complete(Names::Apps))]
        app: AppName,
        /// The tag to go to, or the word newest: the newest of the same major version
        #[arg(long, value_name = "TAG|newest")]
        to: Option<String>,
        /// The service whose image it is, where the application has several that can be meant
        #[arg(long, value_name = "SERVICE", add = complete(Names::Services))]
        service: Option<String>,
        /// Let the application update itself, where its code is in a volume: backed up before, put back
        /// when it fails
        #[arg(long, conflicts_with_all = ["to", "service"])]
        itself: bool,
        /// Try it on a copy of the application out of its newest snapshot, closed off and removed
        /// afterwards, and say whether it would succeed; without --to the newest of the same major version
        #[arg(long, conflicts_with = "itself")]
        rehearse: bool,
        #[command(flatten)]
        options: job::JobOptions,
    },
    /// Move an application to a node, or to the nodes that have a label
    Place {
        /// Name of the application
        #[arg(add = complete(Names::Apps))]
        app: AppName,
        /// Name of a node, LABEL=VALUE, or the word anywhere
        #[arg(add = complete(Names::Places))]
        to: String,
        #[command(flatten)]
        options: job::JobOptions,
    },
    /// Give the volumes of an application a budget of disk: told at 80 % of it, enforced on wish
    #[command(after_help = help::BUDGET)]
    Budget {
        /// Name of the application
        #[arg(add = complete(Names::Apps))]
        app: AppName,
        /// A size as 5GB or 20GiB, or the word none
        size: String,
        /// Have the storage refuse more, where its file system has project quotas
        #[arg(long, conflicts_with = "no_enforce")]
        enforce: bool,
        /// Only tell of it
        #[arg(long)]
        no_enforce: bool,
        #[command(flatten)]
        options: job::JobOptions,
    },
    /// Give an application another domain, with what it changes itself; the old one leads to the new one
    #[command(after_help = help::RENAME)]
    Rename {
        /// Name of the application
        #[arg(add = complete(Names::Apps))]
        app: AppName,
        /// Its new domain
        #[arg(value_name = "DOMAIN")]
        to: String,
        /// Let the old domain lead nowhere
        #[arg(long)]
        forget: bool,
        #[command(flatten)]
        options: job::JobOptions,
    },
    /// Switch headers, password and limit of an application at the edge, without replacing its tasks
    Switch {
        /// Name of the application
        #[arg(add = complete(Names::Apps))]
        app: AppName,
        #[command(flatten)]
        switches: apps::EdgeSettingsOptions,
        #[command(flatten)]
        options: job::JobOptions,
    },
    /// Show visitors a page instead of an application, or take it away
    Page {
        /// Name of the application
        #[arg(add = complete(Names::Apps))]
        app: AppName,
        /// maintenance: back soon (503); suspended: closed (403); off: the application again
        #[arg(value_parser = ["maintenance", "suspended", "off"])]
        to: String,
        /// Your own page, a file of this machine with HTML, instead of the one in French and English
        #[arg(long, value_name = "FILE")]
        html: Option<PathBuf>,
        /// An address or a network that sees the application, beside those of config.toml; several times
        #[arg(long, value_name = "ADDRESS")]
        allow: Vec<String>,
        #[command(flatten)]
        options: job::JobOptions,
    },
    /// Take a service back to what it was before its last update
    Rollback {
        /// Name of the service, as `matou status` lists it
        #[arg(add = complete(Names::Services))]
        service: String,
        #[command(flatten)]
        options: job::JobOptions,
    },
    /// Show, print or rotate the secrets of an application
    Secrets {
        /// Name of the application
        #[arg(add = complete(Names::Apps))]
        app: AppName,
        #[command(subcommand)]
        what: Option<apps::SecretCommand>,
    },
    /// Say what is wrong, or not as it should be, with stacks; all of the catalogue without names
    Lint {
        /// Stacks of the catalogue, or paths of compose files
        #[arg(add = complete(Names::Stacks))]
        stacks: Vec<String>,
        /// Print JSON
        #[arg(long)]
        json: bool,
    },
    /// Show what deploying a stack would change on what runs
    Diff {
        /// A stack of the catalogue, or the path of a compose file; or an application, as its file says or
        /// as it was (`matou history`)
        #[arg(value_name = "STACK|APP[@REVISION]", add = complete(Names::Stacks))]
        target: DeployTarget,
        /// Name of the application, behind a stack
        #[arg(add = complete(Names::Apps))]
        app: Option<AppName>,
        /// Variables of the stack
        #[arg(value_name = "NAME=VALUE", value_parser = variables::parse_variable)]
        variables: Vec<(String, String)>,
    },
    /// List who changed an application's files, when and why; those of all without a name
    #[command(after_help = history::HISTORY_HELP)]
    History {
        /// Name of an application
        #[arg(add = complete(Names::Apps))]
        app: Option<AppName>,
        /// Revisions that are listed at most
        #[arg(short = 'n', long, value_name = "NUMBER", default_value_t = 50)]
        lines: usize,
        /// Print JSON
        #[arg(long)]
        json: bool,
    },
    /// Write the files of applications that run without one; what runs stays as it is
    #[command(after_help = apps::ADOPT_HELP)]
    Adopt {
        /// Names of applications
        #[arg(required_unless_present = "all", conflicts_with = "all")]
        apps: Vec<AppName>,
        /// All that have no file
        #[arg(long)]
        all: bool,
        /// What becomes of labels of Traefik: kept as they are, or deployed as matou's edge takes them
        #[arg(long, value_name = "keep|migrate", default_value = "keep", value_parser = apps::parse_routes)]
        traefik: matou_stack::RouteLabels,
        #[command(flatten)]
        options: job::JobOptions,
    },
    /// Rewrite the labels of Traefik 1 in a stack file for Traefik 3
    Migrate {
        /// The compose file
        file: PathBuf,
        /// Write the file in place instead of printing it
        #[arg(long)]
        write: bool,
    },
    /// Print the compose file of a stack as it would be deployed
    Render {
        /// A stack of the catalogue, or the path of a compose file
        #[arg(add = complete(Names::Stacks))]
        stack: String,
        /// Name of the application
        #[arg(add = complete(Names::Apps))]
        app: AppName,
        /// Variables of the stack
        #[arg(value_name = "NAME=VALUE", value_parser = variables::parse_variable)]
        variables: Vec<(String, String)>,
    },
    /// Remove an application; its file in apps/ stays, and its volumes unless they are named
    #[command(after_help = help::REMOVE)]
    Remove {
        /// Name of the application
        #[arg(add = complete(Names::Apps))]
        app: AppName,
        /// A volume that goes too, with all that it holds
        #[arg(long = "volume", value_name = "VOLUME", add = complete(Names::Volumes))]
        volumes: Vec<String>,
        #[command(flatten)]
        options: job::JobOptions,
    },
    /// Write an application into one archive that another host can use: files, plain dumps, compose file
    Export {
        /// Name of the application
        #[arg(add = complete(Names::Apps))]
        app: AppName,
        /// The archive [default: APP-DATE.tar in the current folder]
        #[arg(long, value_name = "FILE")]
        into: Option<String>,
        /// From this snapshot instead of what runs: an id, or the word newest
        #[arg(long, value_name = "ID|newest", add = complete(Names::Snapshots))]
        snapshot: Option<String>,
        /// Also the files of database servers whose dumps are in it
        #[arg(long)]
        database_files: bool,
        #[command(flatten)]
        options: job::JobOptions,
    },
    /// Destroy an application: services, volumes, secrets, every snapshot in every repository; keep a record
    #[command(after_help = apps::ERASE_HELP)]
    Erase {
        /// Name of the application
        #[arg(add = complete(Names::Apps))]
        app: AppName,
        #[command(flatten)]
        options: job::JobOptions,
    },
    /// Restore an application, or a part of it, from a snapshot; undo that, or let the old data go
    Restore(restore::RestoreArgs),
    /// Prove that applications can be restored; all that have snapshots without names
    Verify {
        /// Names of applications; all that have snapshots without any
        #[arg(add = complete(Names::Apps))]
        apps: Vec<AppName>,
        #[command(flatten)]
        options: job::JobOptions,
    },
    /// Set how many tasks a service runs
    #[command(after_help = help::SCALE)]
    Scale {
        /// Name of the service, as `matou status` lists it
        #[arg(add = complete(Names::Services))]
        service: String,
        /// How many tasks are to run
        replicas: u64,
        #[command(flatten)]
        options: job::JobOptions,
    },
    /// Replace the tasks of a service by new ones
    Restart {
        /// Name of the service, as `matou status` lists it
        #[arg(add = complete(Names::Services))]
        service: String,
        #[command(flatten)]
        options: job::JobOptions,
    },
    /// Make servers what config.toml says: Docker, swarm, storage, firewall, …
    #[command(after_help = provision_help())]
    Provision {
        /// Only these concerns
        #[arg(long, value_delimiter = ',', value_name = "CONCERN", add = complete(Names::Concerns))]
        only: Vec<String>,
        /// Not these concerns
        #[arg(long, value_delimiter = ',', value_name = "CONCERN", add = complete(Names::Concerns))]
        skip: Vec<String>,
        /// Only these nodes
        #[arg(long = "node", value_delimiter = ',', value_name = "NODE", add = complete(Names::Nodes))]
        nodes: Vec<String>,
        /// Take a decision that the plan asks for, as `n1:/dev/sdb`
        #[arg(long, value_name = "NODE:WHAT")]
        accept: Vec<String>,
        #[command(flatten)]
        options: job::JobOptions,
    },
    /// Make a snapshot of applications, with dumps of their databases
    #[command(after_help = help::BACKUP)]
    Backup {
        /// Names of applications
        #[arg(required_unless_present = "all", conflicts_with = "all", add = complete(Names::Apps))]
        apps: Vec<AppName>,
        /// All applications, and the fleet's own files
        #[arg(long)]
        all: bool,
        /// As the timer runs it: forget, check, prune and copy too, and write the report
        #[arg(long, requires = "all")]
        scheduled: bool,
        #[command(flatten)]
        options: job::JobOptions,
    },
    /// Compare apps/ and stacks/ with the storage node's, which the nightly backup goes by
    Files {
        /// Bring this application's files here; what differs here is kept as FILE.before
        #[arg(long, value_name = "APP", add = complete(Names::Apps))]
        take: Option<AppName>,
    },
    /// Make, check, unlock, prune and copy repositories of backups
    Repo {
        #[command(subcommand)]
        what: backup::RepoCommand,
    },
    /// List the snapshots of an application, or all
    Snapshots {
        /// Only those of this application
        #[arg(add = complete(Names::Apps))]
        app: Option<String>,
        /// Print JSON
        #[arg(long)]
        json: bool,
    },
    /// Rebuild the fleet from its backups, or what was lost of it, on new servers
    Recover(recover::RecoverOptions),
    /// Rebuild the fleet from its backups on a practice fleet of this machine, to prove them
    Drill(recover::DrillArgs),
    /// Move applications, or all of the fleet, to the servers of another config.toml
    #[command(name = "move")]
    Move(moves::MoveArgs),
    /// Move every task away from a node and keep it empty
    Drain {
        /// Name of the node
        #[arg(add = complete(Names::Nodes))]
        node: String,
        #[command(flatten)]
        options: job::JobOptions,
    },
    /// Let a node take tasks again
    Activate {
        /// Name of the node
        #[arg(add = complete(Names::Nodes))]
        node: String,
        #[command(flatten)]
        options: job::JobOptions,
    },
    /// Make a node a manager of the swarm
    Promote {
        /// Name of the node
        #[arg(add = complete(Names::Nodes))]
        node: String,
        #[command(flatten)]
        options: job::JobOptions,
    },
    /// Make a manager a worker
    Demote {
        /// Name of the node
        #[arg(add = complete(Names::Nodes))]
        node: String,
        #[command(flatten)]
        options: job::JobOptions,
    },
    /// Take a node out of the swarm: its tasks go elsewhere, then it leaves
    Leave {
        /// Name of the node
        #[arg(add = complete(Names::Nodes))]
        node: String,
        #[command(flatten)]
        options: job::JobOptions,
    },
    /// Remove a node from the swarm that is lost for good
    RemoveNode {
        /// Name of the node
        #[arg(add = complete(Names::Nodes))]
        node: String,
        #[command(flatten)]
        options: job::JobOptions,
    },
    /// Reboot a node: its tasks go elsewhere meanwhile
    #[command(after_help = help::REBOOT)]
    Reboot {
        /// Name of the node
        #[arg(add = complete(Names::Nodes))]
        node: String,
        #[command(flatten)]
        options: job::JobOptions,
    },
    /// Bring a node's packages up to date; drains it where that stops containers
    Upgrade {
        /// Name of the node
        #[arg(add = complete(Names::Nodes))]
        node: String,
        #[command(flatten)]
        options: job::JobOptions,
    },
    /// Place no new tasks on a node, keep those that run
    Pause {
        /// Name of the node
        #[arg(add = complete(Names::Nodes))]
        node: String,
        #[command(flatten)]
        options: job::JobOptions,
    },
    /// Print what fills the disks of the nodes, by kind and application
    #[command(after_help = room::HELP)]
    Room {
        /// Names of nodes; all when none is given
        #[arg(add = complete(Names::Nodes))]
        nodes: Vec<String>,
        /// Print JSON
        #[arg(long)]
        json: bool,
        /// Clean the nodes that are below the floor of config.toml, too: for a timer
        #[arg(long, conflicts_with_all = ["nodes", "json"])]
        night: bool,
        /// Leave out nodes that another manager was done with within twelve hours
        #[arg(long, requires = "night")]
        unless_done: bool,
    },
    /// Print newer versions of all images that run, and what each step is: patch, minor or major
    #[command(after_help = updates::HELP)]
    Updates {
        /// Print JSON
        #[arg(long)]
        json: bool,
    },
    /// Remove ended containers, images that nothing needs and build caches; images of a rollback stay
    #[command(after_help = help::CLEAN)]
    Clean {
        /// Names of nodes; all when none is given
        #[arg(add = complete(Names::Nodes))]
        nodes: Vec<String>,
        /// A volume that nothing mounts and that goes too, with all that it holds
        #[arg(long = "volume", value_name = "NODE:NAME")]
        volumes: Vec<String>,
        #[command(flatten)]
        options: job::JobOptions,
    },
    /// Print the addresses that fail2ban of each node shuts out
    Bans {
        /// Print JSON
        #[arg(long)]
        json: bool,
    },
    /// Print what Suricata of each node saw, by rule and address, the newest first
    Intrusions {
        #[command(flatten)]
        options: intrusions::IntrusionOptions,
    },
    /// Search the logs of all nodes in the log store (stack logs)
    Search {
        #[command(flatten)]
        options: search::SearchOptions,
    },
    /// Let an address in again that fail2ban shuts out
    Unban {
        /// An address, or a network as it was banned
        address: String,
        /// On this node alone
        #[arg(long, add = complete(Names::Nodes))]
        node: Option<String>,
        #[command(flatten)]
        options: job::JobOptions,
    },
    /// Print the records of all names in DNS, or mend those that matou makes
    #[command(after_help = dns::HELP)]
    Dns {
        /// Make, change and remove records so that all names lead to the fleet; shown before
        #[arg(long)]
        apply: bool,
        #[command(flatten)]
        options: job::JobOptions,
    },
    /// Print what is served for every domain of the applications; show, print or renew one
    Certificates {
        /// Print JSON
        #[arg(long)]
        json: bool,
        #[command(subcommand)]
        what: Option<certificates::CertificateCommand>,
    },
    /// Print the log of a service, of all its tasks over all nodes
    #[command(after_help = help::LOGS)]
    Logs {
        /// Name of the service, as `matou status` lists it
        #[arg(add = complete(Names::Services))]
        service: String,
        #[command(flatten)]
        options: logs::LogOptions,
    },
    /// Try the mail server of config.toml: send a mail, ask DNS about the sender, ask nodes whether they reach it
    #[command(after_help = mail::HELP)]
    Mail {
        #[command(flatten)]
        options: mail::MailOptions,
    },
    /// Print the requests to an application, as the edge logs them
    #[command(after_help = access::HELP)]
    Access {
        /// Name of an application or a service; of the edge itself: all requests
        #[arg(add = complete(Names::AppsAndServices))]
        app: String,
        #[command(flatten)]
        options: access::AccessOptions,
    },
    /// Print the journal of a node
    Journal {
        /// Name of the node
        #[arg(add = complete(Names::Nodes))]
        node: String,
        /// Only this systemd unit
        unit: Option<String>,
        #[command(flatten)]
        options: logs::LogOptions,
    },
    /// Open a shell on a node, or in a running container of a service
    #[command(after_help = help::SHELL)]
    Shell {
        /// Name of a node, or of a service
        #[arg(add = complete(Names::NodesAndServices))]
        target: String,
    },
    /// Run a command in a running container of an application, without a terminal
    #[command(after_help = run::HELP)]
    Run(run::RunArgs),
    /// List the scheduled jobs of applications, when they run and how they ended
    #[command(after_help = jobs::HELP)]
    Jobs(jobs::JobsArgs),
    /// Write a first config.toml, of servers that are logged in to and looked at
    #[command(after_help = init::HELP)]
    Init(init::InitArgs),
    /// Make, show and remove a practice fleet of containers on this machine
    #[command(subcommand)]
    Lab(LabCommand),
    /// Print where the configuration is and what is wrong with it
    Config,
    /// Print versions and paths of matou, and what nodes run: for whoever helps
    Info {
        /// Print JSON
        #[arg(long)]
        json: bool,
    },
    /// Write an archive for whoever helps: versions, configuration, states, log; without secrets
    #[command(after_help = bundle::HELP)]
    Bundle(bundle::BundleArgs),
    /// Print what makes a shell complete commands, and names of the fleet
    #[command(after_help = COMPLETIONS_HELP)]
    Completions {
        /// The shell
        shell: clap_complete::Shell,
    },
}

/// Shown under `matou completions --help`.
const COMPLETIONS_HELP: &str = "bash: source <(matou completions bash), in ~/.bashrc\n\
zsh:  source <(matou completions zsh), in ~/.zshrc behind compinit\n\
fish: matou completions fish | source, in ~/.config/fish/config.fish\n\
Names of what runs are those that a command or the console read last: no server is asked.";

fn provision_help() -> String {
    format!(
        "Concerns, in their order: {}.\nA second run changes nothing; docs/provisioning.md says what each does and how to undo it.",
        matou_config::CONCERNS.join(", ")
    )
}

impl CliCommand {
    /// Whether it is one that only reads, and was asked for JSON: an error of it is JSON too.
    pub(super) fn reads_as_json(&self) -> bool {
        match self {
            Self::Access { options, .. } => options.wants_json(),
            Self::Search { options } => options.wants_json(),
            Self::Mail { options } => options.wants_json(),
            Self::Update { options, .. } => options.wants_json(),
            Self::Intrusions { options } => options.wants_json(),
            Self::Jobs(args) => args.json,
            Self::Dns { apply, options } => !apply && options.wants_json(),
            Self::Bans { json }
            | Self::Catalogue { json, .. }
            | Self::Certificates { json, .. }
            | Self::Check { json, .. }
            | Self::History { json, .. }
            | Self::Lint { json, .. }
            | Self::Room { json, .. }
            | Self::Updates { json }
            | Self::Snapshots { json, .. }
            | Self::Status { json } => *json,
            _ => false,
        }
    }
}
