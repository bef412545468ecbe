//! Messages to the console, and the effects it asks for.

use std::collections::BTreeMap;
use std::path::PathBuf;

use crossterm::event::Event as TerminalEvent;
use jiff::Timestamp;
use secrecy::{ExposeSecret as _, SecretString};

use super::call::CommandCall;
use matou_base::text::SafeText;
use matou_collect::AccessNews;
use matou_config::NotifyMethod;
use matou_job::{JobEvent, JobId, PastJob, Plan};
use matou_model::{
    AppRoutes, FilePreview, LogLine, LogRecord, LogSearch, NodeBans, NodeIntrusions,
    SnapshotChanges, SnapshotListing, Update,
};
use matou_monitor::{AlertLedger, KeptHistory};
use matou_ops::{FoundVersions, Request, ShellTarget};
use matou_provision::audit::NodeAudit;
use matou_stack::AppLogin;

/// Number that ties an answer to its question: a plan to its request, log lines to their view.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub struct Ticket(pub u64);

/// Where log lines come from.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum LogSource {
    /// All tasks of services, over all nodes.
    Services {
        /// Swarm's ids of the services.
        ids: Vec<String>,
        /// What is followed, for titles and the name of a saved file: an application, or one service.
        name: String,
    },
    /// The journal of a node (`journalctl`), of one unit or of all.
    Journal {
        /// Name of the node.
        node: String,
        /// The unit of systemd; `None`: all of them.
        unit: Option<String>,
    },
}

/// A question about the snapshots of the repository.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum SnapshotQuery {
    /// One folder of a snapshot.
    Folder {
        /// Id of the snapshot.
        snapshot: String,
        /// The folder, from the root of the snapshot.
        path: String,
    },
    /// All files and folders of a snapshot whose path contains the text, in any case.
    Search {
        /// Id of the snapshot.
        snapshot: String,
        /// What paths are to contain.
        text: String,
    },
    /// The beginning of a file.
    File {
        /// Id of the snapshot.
        snapshot: String,
        /// The file, from the root of the snapshot.
        path: String,
    },
    /// How two snapshots differ.
    Changes {
        /// Id of the one that is compared with.
        older: String,
        /// Id of the one whose changes are asked for.
        newer: String,
    },
}

/// The answer to a [`SnapshotQuery`].
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum SnapshotAnswer {
    /// To [`SnapshotQuery::Folder`] and [`SnapshotQuery::Search`].
    Entries(SnapshotListing),
    /// To [`SnapshotQuery::File`].
    Head(FilePreview),
    /// To [`SnapshotQuery::Changes`].
    Changes(SnapshotChanges),
}

/// Everything that can change the screen.
#[derive(Debug)]
pub enum Msg {
    /// A key, a mouse event, a paste, a resize.
    Terminal(TerminalEvent),
    /// A collector read something.
    Fleet(Update),
    /// A plan that [`Effect::Plan`] asked for.
    Planned {
        /// That of the effect.
        ticket: Ticket,
        /// The plan, or why there is none.
        plan: Result<Plan, SafeText>,
    },
    /// Newer versions that [`Effect::FindNewerVersions`] asked for.
    NewerVersions {
        /// That of the effect.
        ticket: Ticket,
        /// One a service of the application, or why the registries can't be asked.
        found: Result<FoundVersions, SafeText>,
    },
    /// The bans that [`Effect::Bans`] asked for.
    Bans {
        /// That of the effect.
        ticket: Ticket,
        /// One a node that was asked.
        found: Vec<NodeBans>,
    },
    /// The alerts that [`Effect::Intrusions`] asked for, and the bans.
    Intrusions {
        /// That of the effect.
        ticket: Ticket,
        /// What Suricata saw; one a node that was asked.
        found: Vec<NodeIntrusions>,
        /// Whom fail2ban shuts out; one a node that was asked.
        bans: Vec<NodeBans>,
    },
    /// What [`Effect::SearchLogs`] found.
    LogsFound {
        /// That of the effect.
        ticket: Ticket,
        /// The lines, or why the store can't be searched.
        found: Result<Vec<LogRecord>, SafeText>,
    },
    /// The jobs that [`Effect::ReadPastJobs`] asked for.
    PastJobs {
        /// That of the effect.
        ticket: Ticket,
        /// The newest first, or why the journal can't be read.
        found: Result<Vec<PastJob>, SafeText>,
    },
    /// The nodes compared with config.toml: a plan of provisioning, and an audit of each node.
    Compared {
        /// What provisioning would change, or why that can't be told.
        plan: Result<Plan, SafeText>,
        /// By the node's name: its audit, or why there is none.
        audits: Vec<(String, Result<NodeAudit, SafeText>)>,
    },
    /// How the operator logs in to applications, by their names.
    Logins(BTreeMap<String, AppLogin>),
    /// A password that was asked for, to be copied.
    PasswordRead(Password),
    /// The history that was recorded before the console was opened.
    History(KeptHistory),
    /// A job that an earlier console began and that still runs.
    FoundRunning {
        /// What it does.
        request: Request,
    },
    /// A job that [`Effect::Run`] or [`Effect::WatchJob`] started.
    JobStarted {
        /// By which it is told of and cancelled.
        id: JobId,
        /// What it does.
        request: Request,
    },
    /// A command of the operator that [`Effect::RunCommand`] started beside the console; [`Msg::Job`] tells the rest.
    CommandStarted {
        /// By which it is told of and cancelled.
        id: JobId,
        /// What runs.
        call: CommandCall,
    },
    /// Something happened in a job.
    Job {
        /// Which job.
        id: JobId,
        /// What happened.
        event: JobEvent,
    },
    /// Lines of a log that [`Effect::FollowLogs`] opened, oldest first, in bursts.
    Log {
        /// That of the effect.
        ticket: Ticket,
        /// The lines that came since the burst before.
        lines: Vec<LogLine>,
    },
    /// What [`Effect::FollowAccess`] found; [`Msg::LogEnded`] ends it.
    Access {
        /// That of the effect.
        ticket: Ticket,
        /// Requests, or a sentence about reading them.
        news: AccessNews,
    },
    /// The log ended or can't be read.
    LogEnded {
        /// That of the effect that opened it.
        ticket: Ticket,
        /// Why, as the view shows it.
        reason: String,
    },
    /// The answer that [`Effect::ReadSnapshot`] asked for.
    SnapshotRead {
        /// That of the effect.
        ticket: Ticket,
        /// The answer, or why the snapshot can't be read.
        answer: Result<SnapshotAnswer, SafeText>,
    },
    /// An effect could not be carried out, or has something to say.
    Notice {
        /// The sentence.
        text: String,
        /// It tells of a failure.
        error: bool,
    },
    /// The console is back from a shell or a suspension.
    Resumed,
    /// Time passed. Sent only while something on screen depends on it.
    Tick,
    /// SIGTERM or SIGHUP.
    Terminate,
}

/// A password on its way to the clipboard: shown nowhere.
#[derive(Debug, Clone)]
pub struct Password(pub SecretString);

impl PartialEq for Password {
    fn eq(&self, other: &Self) -> bool {
        self.0.expose_secret() == other.0.expose_secret()
    }
}

impl Eq for Password {}

/// How an operator begins who has no config.toml.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Beginning {
    /// `matou init`, which asks for the servers.
    NameServers,
    /// `matou lab up`.
    PracticeFleet,
}

/// What `update` asks the runtime to do.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Effect {
    /// End the console.
    Quit,
    /// Ctrl-z.
    Suspend,
    /// Clear and draw everything again.
    Redraw,
    /// Wake the collectors before their next poll.
    Refresh,
    /// Measures how large volumes are, and keeps it.
    Measure,
    /// Compare the nodes with config.toml again; answered by [`Msg::Compared`].
    Compare,
    /// Ask the registries for newer versions of an application's images; answered by
    /// [`Msg::NewerVersions`].
    FindNewerVersions {
        /// Returned with the answer.
        ticket: Ticket,
        /// Name of the application.
        app: String,
    },
    /// Ask every node's fail2ban whom it shuts out; answered by [`Msg::Bans`].
    Bans {
        /// Returned with the answer.
        ticket: Ticket,
    },
    /// Ask every node's Suricata what it saw, and fail2ban whom it shuts out; answered by
    /// [`Msg::Intrusions`].
    Intrusions {
        /// Returned with the answer.
        ticket: Ticket,
    },
    /// Search the log store; answered by [`Msg::LogsFound`].
    SearchLogs {
        /// Returned with the answer.
        ticket: Ticket,
        /// What to look for, and in which time.
        search: LogSearch,
    },
    /// Read which jobs ran from this machine; answered by [`Msg::PastJobs`].
    ReadPastJobs {
        /// Returned with the answer.
        ticket: Ticket,
    },
    /// Let the operator begin in the terminal; when that went well, the console opens anew with what was written.
    Begin(Beginning),
    /// Make the plan of a request; answered by [`Msg::Planned`].
    Plan {
        /// Returned with the answer.
        ticket: Ticket,
        /// What is to be planned.
        request: Request,
    },
    /// Watch a job that runs already, until it ends.
    WatchJob {
        /// What the job does.
        request: Request,
    },
    /// Run a request whose plan was confirmed. The plan's hash must still hold; when it does not,
    /// the runtime answers with a new [`Msg::Planned`] for the same ticket.
    Run {
        /// That of the plan.
        ticket: Ticket,
        /// What is to be done.
        request: Request,
        /// Hash of the plan that was confirmed.
        plan_hash: String,
    },
    /// Cancel a running job; does nothing when it has ended.
    CancelJob(JobId),
    /// Follow a log; answered by [`Msg::Log`] until [`Effect::StopFollowing`].
    FollowLogs {
        /// Returned with each burst of lines.
        ticket: Ticket,
        /// Whose log.
        source: LogSource,
    },
    /// Follow an access log; answered by [`Msg::Access`] until [`Effect::StopFollowing`].
    FollowAccess {
        /// Returned with each piece of news.
        ticket: Ticket,
        /// The routers whose requests are wanted.
        routes: AppRoutes,
    },
    /// End what [`Effect::FollowLogs`] or [`Effect::FollowAccess`] opened with this ticket.
    StopFollowing(Ticket),
    /// Read something of a snapshot; answered by [`Msg::SnapshotRead`]. A newer query cancels the
    /// one before.
    ReadSnapshot {
        /// Returned with the answer.
        ticket: Ticket,
        /// What to read.
        query: SnapshotQuery,
    },
    /// Give the terminal to a shell; answered by [`Msg::Resumed`] when it ends.
    Shell(ShellTarget),
    /// Run a command of the operator: beside the console, told by [`Msg::CommandStarted`], or in its terminal,
    /// answered by [`Msg::Resumed`] or [`Msg::Notice`] when it ends.
    RunCommand(CommandCall),
    /// Ring the bell and show a desktop notification: an alert began.
    Alarm {
        /// What the notification says.
        text: String,
        /// Whether the bell rings.
        bell: bool,
        /// How the terminal is asked for the notification.
        notify: NotifyMethod,
    },
    /// Silence an alert in Alertmanager too.
    SilenceInAlertmanager {
        /// Names and values of all labels of the alert.
        labels: BTreeMap<String, String>,
        /// When it is told again.
        until: Timestamp,
    },
    /// Save what the console remembers of alerts.
    SaveLedger(AlertLedger),
    /// Copy to the clipboard, by OSC 52.
    Copy(String),
    /// Read a secret of an application; answered by [`Msg::PasswordRead`].
    ReadPassword {
        /// The application's name.
        app: String,
        /// The secret's, without the application's.
        secret: String,
    },
    /// Copy a password to the clipboard, by OSC 52.
    CopyPassword(Password),
    /// Write a file; answered by [`Msg::Notice`].
    Save {
        /// A new file: one that is there already stays as it is.
        path: PathBuf,
        /// All that is to be in it.
        text: String,
    },
}
