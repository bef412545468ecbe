//! What can be asked for: the data behind a key or a subcommand, before it becomes a job.

use matou_i18n::tr;
use std::collections::BTreeMap;
use std::path::Path;

use serde::{Deserialize, Serialize};

use matou_model::{Availability, Role};
use matou_stack::{AppFile, AppName, StackError};

/// An operation on the fleet, as plain data.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(tag = "request", rename_all = "snake_case")]
pub enum Request {
    /// Deploys a stack of the catalogue, or a compose file, as an application.
    Deploy {
        /// Name in the catalogue, or path of a compose file.
        stack: String,
        /// Name of the application.
        app: AppName,
        /// Variables of the stack, by name.
        variables: BTreeMap<String, String>,
        /// Names beside the main one.
        #[serde(default)]
        names: Box<matou_stack::NameChanges>,
    },
    /// Deploys an application again from its file, with other edge settings or new secrets.
    Redeploy {
        /// The application's name.
        app: AppName,
        /// Variables that change; the others stay as they are.
        #[serde(default)]
        variables: BTreeMap<String, String>,
        /// What changes at the edge.
        #[serde(default)]
        switches: matou_stack::EdgeSettings,
        /// What changes in its names beside the main one.
        #[serde(default)]
        names: Box<matou_stack::NameChanges>,
        /// Secrets that get a new value.
        #[serde(default)]
        rotate: Vec<String>,
    },
    /// Deploys an application as its files were at a revision of the fleet folder.
    Revert {
        /// The application's name.
        app: AppName,
        /// Of git, as the id of a commit.
        revision: String,
    },
    /// Deploys an application again with other images.
    Update {
        /// The application's name.
        app: AppName,
        /// By service, without the application's name.
        images: BTreeMap<String, String>,
    },
    /// Tries an update on a copy of the application out of its newest snapshot.
    Rehearse {
        /// The application's name.
        app: AppName,
        /// By service, without the application's name.
        images: BTreeMap<String, String>,
    },
    /// Lets an application update itself, where its stack says how.
    SelfUpdate {
        /// The application's name.
        app: AppName,
    },
    /// Moves an application to a node, or lets it run anywhere.
    Place {
        /// The application's name.
        app: AppName,
        /// Name of a node, or `LABEL=VALUE` of node labels.
        #[serde(default)]
        to: Option<String>,
    },
    /// Gives the volumes of an application a budget of disk, or takes it away.
    Budget {
        /// The application's name.
        app: AppName,
        /// What changes.
        change: BudgetChange,
    },
    /// Gives an application another main name, with what it changes itself.
    Rename {
        /// The application's name.
        app: AppName,
        /// The new main name, a host name.
        name: String,
        /// Whether the old name leads nowhere from then on, instead of to the new one.
        #[serde(default)]
        forget: bool,
    },
    /// Changes headers, password and limit of an application at the edge, while it runs.
    Switch {
        /// The application's name.
        app: AppName,
        /// What changes at the edge.
        switches: matou_stack::EdgeSettings,
    },
    /// Shows visitors a page instead of an application, or takes it away.
    Page {
        /// The application's name.
        app: AppName,
        /// Which page; `None` takes it away.
        #[serde(default)]
        kind: Option<matou_model::PageKind>,
        /// A file of this machine with the operator's own page.
        #[serde(default)]
        html: Option<std::path::PathBuf>,
        /// Addresses and networks that see the application, beside those of config.toml.
        #[serde(default)]
        allow: Vec<String>,
    },
    /// Writes files for applications that run without one, all when none is named.
    Adopt {
        /// Names of applications; empty: all.
        apps: Vec<AppName>,
        /// What becomes of their labels of Traefik.
        #[serde(default)]
        routes: matou_stack::RouteLabels,
    },
    /// Takes a certificate out of Traefik's store; when a router asks for it, it is issued anew.
    RenewCertificate {
        /// Domain that the certificate is for.
        domain: String,
    },
    /// Takes a service back to what it was before its last update.
    Rollback {
        /// The service's name.
        service: String,
    },
    /// Removes an application; its volumes stay, unless they are named.
    Remove {
        /// The application's name.
        app: AppName,
        /// Volumes that go too, with their data.
        #[serde(default)]
        volumes: Vec<String>,
    },
    /// Sets the number of tasks of a replicated service.
    Scale {
        /// The service's name.
        service: String,
        /// How many tasks are to run.
        replicas: u64,
    },
    /// Replaces every task of a service by a new one.
    Restart {
        /// The service's name.
        service: String,
    },
    /// Makes a snapshot of applications; of all, and of the fleet's own files, when none is named.
    Backup {
        /// Names of applications; empty: all.
        apps: Vec<AppName>,
    },
    /// Works on a repository, or on all it makes sense for when none is named.
    Repo {
        /// What is done.
        what: crate::RepoWork,
        /// Its name in config.toml; empty: all that it makes sense for.
        #[serde(default)]
        repository: String,
        /// A file of this machine with the credentials that may delete: restic runs here.
        #[serde(default, skip_serializing_if = "Option::is_none")]
        with: Option<std::path::PathBuf>,
        /// Decisions that were taken, as the plan's lines name them.
        #[serde(default, skip_serializing_if = "Vec::is_empty")]
        accept: Vec<String>,
    },
    /// Puts back what a snapshot holds.
    Restore {
        /// The application's name.
        app: AppName,
        /// Full or short id; the newest of the application when there is none.
        snapshot: Option<String>,
        /// How much of it.
        what: RestoreScope,
        /// Where it goes.
        to: RestoreDestination,
    },
    /// Restores every application in place, each from its newest snapshot.
    RestoreAll,
    /// Brings back what a restore replaced, or resolves one that was interrupted.
    RestoreUndo {
        /// The application's name.
        app: AppName,
    },
    /// Lets go what a restore replaced.
    RestoreForget {
        /// The application's name.
        app: AppName,
    },
    /// Writes an application into one archive that another host can use.
    Export {
        /// The application's name.
        app: AppName,
        /// `APP-DATE.tar` in the current folder when there is none.
        #[serde(default)]
        into: Option<String>,
        /// Made from this snapshot (`newest`, or an id) instead of what runs.
        #[serde(default)]
        snapshot: Option<String>,
        /// Files of database servers too, of which there are dumps.
        #[serde(default)]
        database_files: bool,
    },
    /// Destroys an application with all that is known of it, in backups too.
    Erase {
        /// The application's name.
        app: AppName,
    },
    /// Proves that applications can be restored; all when none is named.
    Verify {
        /// Names of applications; empty: all.
        apps: Vec<AppName>,
    },
    /// Makes servers what config.toml says.
    Provision {
        /// Which nodes and concerns, and what was decided.
        options: matou_provision::ProvisionOptions,
    },
    /// Rebuilds the fleet from its repository, or what was lost of it.
    Recover,
    /// Moves applications, all when none is named, to the servers of another config.toml.
    Move {
        /// Names of applications; empty: all.
        apps: Vec<AppName>,
        /// Path of the other config.toml.
        to: String,
    },
    /// Makes a node a manager, or a worker.
    Role {
        /// The node's name.
        node: String,
        /// What it is to be.
        to: Role,
    },
    /// Takes a node out of the swarm: emptied, then gone.
    Leave {
        /// The node's name.
        node: String,
    },
    /// Removes a node that is lost for good.
    RemoveNode {
        /// The node's name.
        node: String,
    },
    /// Reboots a node, drained.
    Reboot {
        /// The node's name.
        node: String,
    },
    /// Brings a node's packages up to date, drained where that stops containers.
    Upgrade {
        /// The node's name.
        node: String,
    },
    /// Lets an address in again that fail2ban shuts out.
    Unban {
        /// An IPv4 or IPv6 address.
        address: String,
        /// On this node alone; on all when there is none.
        #[serde(default)]
        node: Option<String>,
    },
    /// Removes from the disks of nodes, all when none is named, what nobody needs.
    Clean {
        /// Names of nodes; empty: all.
        nodes: Vec<String>,
        /// Volumes that go too, with their data, as NODE:NAME.
        #[serde(default)]
        volumes: Vec<String>,
    },
    /// Makes the records of all names, and removes those of names that nobody has any more.
    Dns,
    /// Drains, pauses or activates a node.
    Availability {
        /// The node's name.
        node: String,
        /// What the scheduler may do with it.
        to: Availability,
    },
}

/// What changes of an application's budget of disk.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct BudgetChange {
    /// As `5GB`; `None` takes the budget away.
    pub size: Option<String>,
    /// Whether the storage refuses more; `None`: as it is.
    #[serde(default)]
    pub enforce: Option<bool>,
}

impl BudgetChange {
    /// Writes it into the application's file.
    ///
    /// # Errors
    /// It is no size.
    pub(crate) fn apply(&self, file: &mut AppFile) -> Result<(), StackError> {
        file.budget.clone_from(&self.size);
        file.enforce = match self.size {
            Some(_) => self.enforce.unwrap_or(file.enforce),
            None => false,
        };
        file.disk_budget().map(|_| ())
    }
}

/// What of an application is restored.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(tag = "what", rename_all = "snake_case")]
pub enum RestoreScope {
    /// All its volumes and databases.
    App,
    /// A file or folder, by its path when it was backed up.
    Path {
        /// Whole path, as the snapshot holds it.
        path: String,
    },
}

/// Where a restore puts it.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(tag = "to", rename_all = "snake_case")]
pub enum RestoreDestination {
    /// Where it was; what is there is set aside.
    Place,
    /// A folder of the storage node.
    Folder {
        /// Whole path of a folder that is not there yet, or empty.
        path: String,
    },
    /// A new application.
    Beside {
        /// The new application's name.
        app: AppName,
        /// Variables that differ from those of the old one.
        variables: BTreeMap<String, String>,
    },
}

impl Request {
    /// Deploys an application again as its file says.
    pub fn redeploy(app: AppName) -> Self {
        Self::Redeploy {
            app,
            variables: BTreeMap::new(),
            switches: matou_stack::EdgeSettings::default(),
            names: Box::default(),
            rotate: Vec::new(),
        }
    }

    /// Writes the files of applications that run without one, with their routes as they are.
    pub fn adopt(apps: Vec<AppName>) -> Self {
        Self::Adopt {
            apps,
            routes: matou_stack::RouteLabels::Keep,
        }
    }

    /// Removes an application and keeps its volumes.
    pub fn remove(app: AppName) -> Self {
        Self::Remove {
            app,
            volumes: Vec::new(),
        }
    }

    /// Exports an application as it runs, into the current folder.
    pub fn export(app: AppName) -> Self {
        Self::Export {
            app,
            into: None,
            snapshot: None,
            database_files: false,
        }
    }

    /// Whether its work is done by units of a node, and goes on when the console is closed.
    pub fn outlives_console(&self) -> bool {
        matches!(self, Self::Backup { .. } | Self::Repo { .. })
    }

    /// Returns the title of its job, as the list of jobs shows it.
    pub fn title(&self) -> String {
        match self {
            Self::Deploy { stack, app, .. } => tr!("deploy {stack} as {app}"),
            Self::Redeploy { app, rotate, .. } => match rotate.as_slice() {
                [] => tr!("redeploy {app}"),
                names => tr!("rotate {} of {app}", names.join(", ")),
            },
            Self::Revert { app, revision } => tr!("deploy {app} as of {revision}"),
            Self::Update { app, images } => match images.values().next() {
                Some(image) if images.len() == 1 => tr!("update {app} to {image}"),
                _ => tr!("update {app}"),
            },
            Self::Rehearse { app, images } => match images.values().next() {
                Some(image) if images.len() == 1 => tr!("rehearse {app} with {image}"),
                _ => tr!("rehearse the update of {app}"),
            },
            Self::SelfUpdate { app } => tr!("let {app} update itself"),
            Self::Place { app, to } => match to {
                Some(to) => tr!("place {app} on {to}"),
                None => tr!("let {app} run anywhere"),
            },
            Self::Budget { app, change } => match &change.size {
                Some(size) => tr!("give {app} a budget of {size}"),
                None => tr!("take the budget of {app} away"),
            },
            Self::Rename { app, name, .. } => tr!("rename {app} to {name}"),
            Self::Switch { app, .. } => tr!("switch {app} at the edge"),
            Self::Page { app, kind, .. } => match kind {
                Some(kind) => tr!("show the page {} instead of {app}", kind.as_str()),
                None => tr!("take the page of {app} away"),
            },
            Self::Adopt { apps, .. } => match apps.as_slice() {
                [] => tr!("adopt what has no file").into(),
                apps => tr!("adopt {}", apps.join(", ")),
            },
            Self::Dns => tr!("mend the records of names").into(),
            Self::RenewCertificate { domain } => tr!("renew the certificate of {domain}"),
            Self::Rollback { service } => tr!("roll {service} back"),
            Self::Remove { app, .. } => tr!("remove {app}"),
            Self::Scale { service, replicas } => tr!("scale {service} to {replicas}"),
            Self::Restart { service } => tr!("restart {service}"),
            Self::Backup { apps } => match apps.as_slice() {
                [] => tr!("back everything up").into(),
                some => tr!("back up {}", some.join(", ")),
            },
            Self::Repo {
                what, repository, ..
            } => match repository.as_str() {
                "" => tr!("{} the repository", what.title_verb()),
                name => tr!("{} the repository {name}", what.title_verb()),
            },
            Self::Restore {
                app,
                snapshot,
                what,
                to,
            } => {
                let what = match what {
                    RestoreScope::App => app.as_str(),
                    RestoreScope::Path { path } => path,
                };
                let to = match to {
                    RestoreDestination::Place => String::new(),
                    RestoreDestination::Folder { path } if path.is_empty() => {
                        tr!(" into a folder").into()
                    }
                    RestoreDestination::Folder { path } => tr!(" into {path}"),
                    RestoreDestination::Beside { app, .. } => tr!(" as {app}"),
                };
                let from = match snapshot {
                    Some(id) => id.get(..8).unwrap_or(id),
                    None => tr!("the newest snapshot"),
                };
                tr!("restore {what}{to} from {from}")
            }
            Self::RestoreAll => tr!("restore everything").into(),
            Self::RestoreUndo { app } => tr!("undo the restore of {app}"),
            Self::RestoreForget { app } => tr!("let go what the restore of {app} replaced"),
            Self::Export { app, into, .. } => match into {
                Some(into) => tr!("export {app} into {into}"),
                None => tr!("export {app}"),
            },
            Self::Erase { app } => tr!("erase {app}"),
            Self::Verify { apps } => match apps.as_slice() {
                [] => tr!("test restore of every application").into(),
                apps => tr!("test restore of {}", apps.join(", ")),
            },
            Self::Provision { options } => matou_provision::provision_title(options),
            Self::Recover => tr!("recover the fleet").into(),
            Self::Move { apps, to } => move_title(apps, to.as_ref()),
            Self::Role { node, to } => match to {
                Role::Manager => tr!("promote {node}"),
                Role::Worker => tr!("demote {node}"),
            },
            Self::Leave { node } => tr!("take {node} out of the swarm"),
            Self::RemoveNode { node } => tr!("remove {node} for good"),
            Self::Reboot { node } => tr!("reboot {node}"),
            Self::Upgrade { node } => tr!("upgrade {node}"),
            Self::Unban { address, node } => match node {
                Some(node) => tr!("let {address} in again on {node}"),
                None => tr!("let {address} in again"),
            },
            Self::Clean { nodes, .. } => match nodes.as_slice() {
                [] => tr!("clean all nodes").into(),
                some => tr!("clean {}", some.join(", ")),
            },
            Self::Availability { node, to } => match to {
                Availability::Active => tr!("activate {node}"),
                Availability::Pause => tr!("pause {node}"),
                Availability::Drain => tr!("drain {node}"),
            },
        }
    }
}

/// Returns the title of the job, as the list of jobs shows it.
pub(crate) fn move_title(apps: &[AppName], to: &Path) -> String {
    let what = match apps {
        [] => tr!("the fleet").to_owned(),
        some => some.join(", "),
    };
    tr!("move {what} to the servers of {}", to.display())
}
