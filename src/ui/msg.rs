//! What reaches the console, and what it asks for.

use std::collections::BTreeMap;
use std::path::PathBuf;

use crossterm::event::Event as TerminalEvent;
use jiff::Timestamp;

use crate::collect::AccessNews;
use crate::config::Notify;
use crate::job::{Event, JobId, Plan};
use crate::model::{
    Changes, Listing, LogLine, LogRecord, LogSearch, NodeBans, NodeIntrusions, Preview, Routes,
    Update,
};
use crate::monitor::{Ledger, Trends, Week};
use crate::ops::{Request, ServiceVersions, ShellTarget};
use crate::provision::audit::Audit;

/// Ties the answer to a question: a plan to its request, log lines to their view.
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

/// What is to be read from the repository.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Look {
    /// One folder of a snapshot.
    Folder { snapshot: String, path: String },
    /// Everything in a snapshot whose path holds the text, whatever the case.
    Search { snapshot: String, text: String },
    /// The beginning of a file.
    File { snapshot: String, path: String },
    /// How two snapshots differ.
    Changes { older: String, newer: String },
}

/// What was read.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Seen {
    Entries(Listing),
    Head(Preview),
    Changes(Changes),
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
        plan: Result<Plan, String>,
    },
    /// Newer versions that [`Effect::Newer`] asked for.
    Newer {
        ticket: Ticket,
        found: Result<Vec<ServiceVersions>, String>,
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
    /// What [`Effect::Search`] found.
    Found {
        ticket: Ticket,
        found: Result<Vec<LogRecord>, String>,
    },
    /// What provisioning would change, and what an audit finds; read from time to time.
    Checked {
        plan: Result<Plan, String>,
        audits: Vec<(String, Result<Audit, String>)>,
    },
    /// What was recorded before the console was opened.
    History {
        week: Week,
        trends: Trends,
    },
    /// Work that an earlier console began and that runs on.
    FoundRunning {
        request: Request,
    },
    /// A job that [`Effect::Run`] or [`Effect::Watch`] started.
    JobStarted {
        id: JobId,
        request: Request,
    },
    Job {
        id: JobId,
        event: Event,
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
    /// What [`Effect::Look`] asked for.
    Looked {
        ticket: Ticket,
        seen: Result<Seen, String>,
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
    /// Read now instead of at the next poll.
    Refresh,
    /// Compare the servers with config.toml again; answered by [`Msg::Checked`].
    Check,
    /// Ask the registries for newer versions of an application's images; answered by
    /// [`Msg::Newer`].
    Newer {
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
    /// Search the log store; answered by [`Msg::Found`].
    Search {
        ticket: Ticket,
        search: LogSearch,
    },
    /// Make the plan of a request; answered by [`Msg::Planned`].
    Plan {
        ticket: Ticket,
        request: Request,
    },
    /// Watch work to its end that runs already.
    Watch {
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
    /// Answered by [`Msg::Log`] until [`Effect::StopLogs`].
    FollowLogs {
        ticket: Ticket,
        source: LogSource,
    },
    /// Answered by [`Msg::Access`] until [`Effect::StopLogs`].
    FollowAccess {
        ticket: Ticket,
        routes: Routes,
    },
    StopLogs(Ticket),
    /// Read something of the repository; answered by [`Msg::Looked`]. A newer one ends an older
    /// one.
    Look {
        ticket: Ticket,
        look: Look,
    },
    /// The console steps aside and comes back; answered by [`Msg::Resumed`].
    Shell(ShellTarget),
    /// An alert began: ring, and show it on the desktop.
    Alarm {
        text: String,
        bell: bool,
        notify: Notify,
    },
    /// Silence an alert of Alertmanager there.
    SilenceThere {
        labels: BTreeMap<String, String>,
        until: Timestamp,
    },
    /// Keep what was said about alerts.
    Remember(Ledger),
    /// To the clipboard, by OSC 52.
    Copy(String),
    /// Write a file; answered by [`Msg::Notice`].
    Save {
        path: PathBuf,
        text: String,
    },
}
