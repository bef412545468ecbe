//! Messages to the console, and the effects it asks for.

use std::collections::BTreeMap;
use std::path::PathBuf;

use crossterm::event::Event as TerminalEvent;
use jiff::Timestamp;

use matou_base::text::SafeText;
use matou_collect::AccessNews;
use matou_config::NotifyMethod;
use matou_job::{JobEvent, JobId, Plan};
use matou_model::{
    AppRoutes, FilePreview, LogLine, LogRecord, LogSearch, NodeBans, NodeIntrusions,
    SnapshotChanges, SnapshotListing, Update,
};
use matou_monitor::{AlertLedger, AnswerHistory, DiskTrends};
use matou_ops::{Request, ServiceVersions, ShellTarget};
use matou_provision::audit::NodeAudit;

/// Number that ties an answer to its question: a plan to its request, log lines to their view.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub struct Ticket(pub u64);

/// Where log lines come from.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum LogSource {
    /// All tasks of services, over all nodes.
    Services { ids: Vec<String>, name: String },
    /// The journal of a node (`journalctl`), of one unit or of all.
    Journal { node: String, unit: Option<String> },
}

/// A question about the snapshots of the repository.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum SnapshotQuery {
    /// One folder of a snapshot.
    Folder { snapshot: String, path: String },
    /// All files and folders of a snapshot whose path contains the text, in any case.
    Search { snapshot: String, text: String },
    /// The beginning of a file.
    File { snapshot: String, path: String },
    /// How two snapshots differ.
    Changes { older: String, newer: String },
}

/// The answer to a [`SnapshotQuery`].
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum SnapshotAnswer {
    Entries(SnapshotListing),
    Head(FilePreview),
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
        ticket: Ticket,
        plan: Result<Plan, SafeText>,
    },
    /// Newer versions that [`Effect::FindNewerVersions`] asked for.
    NewerVersions {
        ticket: Ticket,
        found: Result<Vec<ServiceVersions>, SafeText>,
    },
    /// The bans that [`Effect::Bans`] asked for.
    Bans {
        ticket: Ticket,
        found: Vec<NodeBans>,
    },
    /// The alerts that [`Effect::Intrusions`] asked for, and the bans.
    Intrusions {
        ticket: Ticket,
        found: Vec<NodeIntrusions>,
        bans: Vec<NodeBans>,
    },
    /// What [`Effect::SearchLogs`] found.
    LogsFound {
        ticket: Ticket,
        found: Result<Vec<LogRecord>, SafeText>,
    },
    /// The nodes compared with config.toml: a plan of provisioning, and an audit of each node.
    Compared {
        plan: Result<Plan, SafeText>,
        audits: Vec<(String, Result<NodeAudit, SafeText>)>,
    },
    /// The history that was recorded before the console was opened.
    History {
        week: AnswerHistory,
        trends: DiskTrends,
    },
    /// A job that an earlier console began and that still runs.
    FoundRunning {
        request: Request,
    },
    /// A job that [`Effect::Run`] or [`Effect::WatchJob`] started.
    JobStarted {
        id: JobId,
        request: Request,
    },
    Job {
        id: JobId,
        event: JobEvent,
    },
    /// Lines of a log that [`Effect::FollowLogs`] opened, oldest first, in bursts.
    Log {
        ticket: Ticket,
        lines: Vec<LogLine>,
    },
    /// What [`Effect::FollowAccess`] found; [`Msg::LogEnded`] ends it.
    Access {
        ticket: Ticket,
        news: AccessNews,
    },
    /// The log ended or can't be read.
    LogEnded {
        ticket: Ticket,
        reason: String,
    },
    /// The answer that [`Effect::ReadSnapshot`] asked for.
    SnapshotRead {
        ticket: Ticket,
        answer: Result<SnapshotAnswer, SafeText>,
    },
    /// An effect could not be carried out, or has something to say.
    Notice {
        text: String,
        error: bool,
    },
    /// The console is back from a shell or a suspension.
    Resumed,
    /// Time passed. Sent only while something on screen depends on it.
    Tick,
    /// SIGTERM or SIGHUP.
    Terminate,
}

/// What `update` asks the runtime to do.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Effect {
    Quit,
    /// Ctrl-z.
    Suspend,
    /// Clear and draw everything again.
    Redraw,
    /// Wake the collectors before their next poll.
    Refresh,
    /// Compare the nodes with config.toml again; answered by [`Msg::Compared`].
    Compare,
    /// Ask the registries for newer versions of an application's images; answered by
    /// [`Msg::NewerVersions`].
    FindNewerVersions {
        ticket: Ticket,
        app: String,
    },
    /// Ask every node's fail2ban whom it shuts out; answered by [`Msg::Bans`].
    Bans {
        ticket: Ticket,
    },
    /// Ask every node's Suricata what it saw, and fail2ban whom it shuts out; answered by
    /// [`Msg::Intrusions`].
    Intrusions {
        ticket: Ticket,
    },
    /// Search the log store; answered by [`Msg::LogsFound`].
    SearchLogs {
        ticket: Ticket,
        search: LogSearch,
    },
    /// Make the plan of a request; answered by [`Msg::Planned`].
    Plan {
        ticket: Ticket,
        request: Request,
    },
    /// Watch a job that runs already, until it ends.
    WatchJob {
        request: Request,
    },
    /// Run a request whose plan was confirmed. The plan's hash must still hold; when it does not,
    /// the runtime answers with a new [`Msg::Planned`] for the same ticket.
    Run {
        ticket: Ticket,
        request: Request,
        plan_hash: String,
    },
    CancelJob(JobId),
    /// Follow a log; answered by [`Msg::Log`] until [`Effect::StopFollowing`].
    FollowLogs {
        ticket: Ticket,
        source: LogSource,
    },
    /// Follow an access log; answered by [`Msg::Access`] until [`Effect::StopFollowing`].
    FollowAccess {
        ticket: Ticket,
        routes: AppRoutes,
    },
    StopFollowing(Ticket),
    /// Read something of a snapshot; answered by [`Msg::SnapshotRead`]. A newer query cancels the
    /// one before.
    ReadSnapshot {
        ticket: Ticket,
        query: SnapshotQuery,
    },
    /// Give the terminal to a shell; answered by [`Msg::Resumed`] when it ends.
    Shell(ShellTarget),
    /// Ring the bell and show a desktop notification: an alert began.
    Alarm {
        text: String,
        bell: bool,
        notify: NotifyMethod,
    },
    /// Silence an alert in Alertmanager too.
    SilenceInAlertmanager {
        labels: BTreeMap<String, String>,
        until: Timestamp,
    },
    /// Save what the console remembers of alerts.
    SaveLedger(AlertLedger),
    /// Copy to the clipboard, by OSC 52.
    Copy(String),
    /// Write a file; answered by [`Msg::Notice`].
    Save {
        path: PathBuf,
        text: String,
    },
}
