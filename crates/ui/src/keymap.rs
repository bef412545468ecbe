//! Keys as data: bindings, help, palette and hints are made from one table.

use matou_i18n::{Text, both, tr};
use std::collections::BTreeMap;
use std::fmt;

use crossterm::event::{KeyCode, KeyEvent, KeyModifiers};

use matou_base::text::InvalidInput;
use matou_config::{CommandConfig, Config, ConfigError, KeyboardLayout, find_nearest_name};

/// What a key can ask for.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord)]
#[expect(missing_docs, reason = "KEY_TABLE says what each does")]
pub enum Action {
    Dashboard,
    Pane1,
    Pane2,
    Pane3,
    Pane4,
    Pane5,
    NextPane,
    PreviousPane,
    NextTab,
    PreviousTab,
    Open,
    Back,
    Up,
    Down,
    Top,
    Bottom,
    HalfPageUp,
    HalfPageDown,
    Filter,
    Problems,
    Mark,
    Sort,
    SortReverse,
    Palette,
    Help,
    Deploy,
    Scale,
    Restart,
    Update,
    Redeploy,
    Adopt,
    Place,
    Switch,
    Page,
    Names,
    RenewCertificate,
    Rollback,
    Remove,
    Export,
    Erase,
    Backup,
    BackupAll,
    Restore,
    RestoreUndo,
    RestoreForget,
    Verify,
    Recover,
    Move,
    MoveAll,
    Logs,
    Access,
    Shell,
    Provision,
    ProvisionAll,
    NodeMenu,
    Promote,
    Demote,
    Leave,
    RemoveNode,
    Reboot,
    Upgrade,
    Drain,
    Activate,
    Pause,
    Jobs,
    History,
    Alerts,
    Bans,
    Intrusions,
    Search,
    Zoom,
    Copy,
    CopyPassword,
    Refresh,
    Measure,
    Suspend,
    Redraw,
    Quit,
    Interrupt,
}

impl Action {
    /// Whether it leads to a job or a shell: a read-only console offers no such key.
    pub(super) fn changes_something(self) -> bool {
        let found = KEY_TABLE.iter().find(|b| b.action == self);
        let looks = matches!(self, Self::Jobs | Self::Update);
        self == Self::Shell || found.is_some_and(|b| b.group == ActionGroup::Jobs && !looks)
    }
}

/// An action with its name, its default keys and its help.
pub struct KeyBinding {
    /// What the keys ask for.
    pub action: Action,
    /// Its name in `[keys]` and the palette.
    pub name: &'static str,
    /// Its default keys, as `[keys]` writes them; none: the palette alone has it.
    pub keys: &'static [&'static str],
    /// What it does, in a few words.
    pub help: Text,
    /// Heading in the help.
    pub group: ActionGroup,
}

/// Headings under which help lists the actions.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum ActionGroup {
    /// What changes something on the servers.
    Jobs,
    /// What shows something.
    Look,
    /// What moves the selection or the focus.
    Move,
    /// What is about the console itself.
    Console,
}

impl ActionGroup {
    /// In the order in which help shows them.
    pub const ALL: [Self; 4] = [Self::Jobs, Self::Look, Self::Move, Self::Console];

    /// Returns the heading.
    pub fn title(self) -> &'static str {
        match self {
            Self::Jobs => tr!("Jobs"),
            Self::Look => tr!("Looking"),
            Self::Move => tr!("Moving"),
            Self::Console => tr!("The console"),
        }
    }
}

const fn bind_action(
    action: Action,
    name: &'static str,
    keys: &'static [&'static str],
    group: ActionGroup,
    help: Text,
) -> KeyBinding {
    KeyBinding {
        action,
        name,
        keys,
        help,
        group,
    }
}

/// Every action, in the order in which help shows it.
pub const KEY_TABLE: &[KeyBinding] = &[
    bind_action(
        Action::Deploy,
        "deploy",
        &["d"],
        ActionGroup::Jobs,
        both!("deploy an application from the catalogue"),
    ),
    bind_action(
        Action::Scale,
        "scale",
        &["s"],
        ActionGroup::Jobs,
        both!("set how many tasks the selected service runs"),
    ),
    bind_action(
        Action::Restart,
        "restart",
        &["S"],
        ActionGroup::Jobs,
        both!("replace the tasks of the selected service"),
    ),
    bind_action(
        Action::Update,
        "update",
        &["u"],
        ActionGroup::Jobs,
        both!("newer versions of the selected application"),
    ),
    bind_action(
        Action::Redeploy,
        "redeploy",
        &[],
        ActionGroup::Jobs,
        both!("deploy the selected application again, from its file"),
    ),
    bind_action(
        Action::Adopt,
        "adopt",
        &["t"],
        ActionGroup::Jobs,
        both!("take the selected application over, which runs without a file"),
    ),
    bind_action(
        Action::Place,
        "place",
        &[],
        ActionGroup::Jobs,
        both!("move the selected application to another node"),
    ),
    bind_action(
        Action::Switch,
        "switch",
        &[],
        ActionGroup::Jobs,
        both!("security headers and a limit before the selected application"),
    ),
    bind_action(
        Action::Page,
        "page",
        &[],
        ActionGroup::Jobs,
        both!("show visitors a page instead of the selected application, or take it away"),
    ),
    bind_action(
        Action::Names,
        "names",
        &["n"],
        ActionGroup::Jobs,
        both!("change the names of the selected application: main one, aliases, redirects, www"),
    ),
    bind_action(
        Action::RenewCertificate,
        "renew",
        &[],
        ActionGroup::Jobs,
        both!("have the selected certificate issued anew"),
    ),
    bind_action(
        Action::Rollback,
        "rollback",
        &["U"],
        ActionGroup::Jobs,
        both!("take the selected service back to what it was"),
    ),
    bind_action(
        Action::Remove,
        "remove",
        &["x"],
        ActionGroup::Jobs,
        both!("remove the selected application; volumes stay"),
    ),
    bind_action(
        Action::Export,
        "export",
        &[],
        ActionGroup::Jobs,
        both!("write the selected application into an archive for another host"),
    ),
    bind_action(
        Action::Erase,
        "erase",
        &[],
        ActionGroup::Jobs,
        both!("destroy the selected application, its data and its snapshots"),
    ),
    bind_action(
        Action::Backup,
        "backup",
        &["b"],
        ActionGroup::Jobs,
        both!("back up the selected application"),
    ),
    bind_action(
        Action::BackupAll,
        "backup-all",
        &["B"],
        ActionGroup::Jobs,
        both!("back up every application and the fleet's own files"),
    ),
    bind_action(
        Action::Restore,
        "restore",
        &["r"],
        ActionGroup::Jobs,
        both!("restore the selected application, snapshot, file or folder"),
    ),
    bind_action(
        Action::RestoreUndo,
        "restore-undo",
        &[],
        ActionGroup::Jobs,
        both!("bring back what a restore of the selected application replaced"),
    ),
    bind_action(
        Action::RestoreForget,
        "restore-forget",
        &[],
        ActionGroup::Jobs,
        both!("let go what a restore of the selected application replaced"),
    ),
    bind_action(
        Action::Verify,
        "verify",
        &["v"],
        ActionGroup::Jobs,
        both!("test the restore of the selected application"),
    ),
    bind_action(
        Action::Recover,
        "recover",
        &[],
        ActionGroup::Jobs,
        both!("rebuild the fleet out of its repository, or what was lost of it"),
    ),
    bind_action(
        Action::Move,
        "move",
        &[],
        ActionGroup::Jobs,
        both!("move the selected application to the servers of another config.toml"),
    ),
    bind_action(
        Action::MoveAll,
        "move-all",
        &[],
        ActionGroup::Jobs,
        both!("move all of the fleet to the servers of another config.toml"),
    ),
    bind_action(
        Action::Provision,
        "provision",
        &["p"],
        ActionGroup::Jobs,
        both!("make the selected node, or all, what config.toml says"),
    ),
    bind_action(
        Action::ProvisionAll,
        "provision-all",
        &["P"],
        ActionGroup::Jobs,
        both!("make all nodes what config.toml says"),
    ),
    bind_action(
        Action::NodeMenu,
        "node-menu",
        &["m"],
        ActionGroup::Jobs,
        both!("drain, promote, reboot, upgrade the selected node"),
    ),
    bind_action(
        Action::Promote,
        "promote",
        &[],
        ActionGroup::Jobs,
        both!("make the selected node a manager"),
    ),
    bind_action(
        Action::Demote,
        "demote",
        &[],
        ActionGroup::Jobs,
        both!("make the selected manager a worker"),
    ),
    bind_action(
        Action::Reboot,
        "reboot",
        &[],
        ActionGroup::Jobs,
        both!("reboot the selected node, drained"),
    ),
    bind_action(
        Action::Upgrade,
        "upgrade",
        &[],
        ActionGroup::Jobs,
        both!("bring the selected node's packages up to date"),
    ),
    bind_action(
        Action::Leave,
        "leave",
        &[],
        ActionGroup::Jobs,
        both!("take the selected node out of the swarm"),
    ),
    bind_action(
        Action::RemoveNode,
        "remove-node",
        &[],
        ActionGroup::Jobs,
        both!("remove the selected node for good, which is lost"),
    ),
    bind_action(
        Action::Drain,
        "drain",
        &[],
        ActionGroup::Jobs,
        both!("move every task away from the selected node"),
    ),
    bind_action(
        Action::Activate,
        "activate",
        &[],
        ActionGroup::Jobs,
        both!("let the selected node take tasks again"),
    ),
    bind_action(
        Action::Pause,
        "pause",
        &[],
        ActionGroup::Jobs,
        both!("place no new tasks on the selected node"),
    ),
    bind_action(
        Action::Jobs,
        "jobs",
        &["J"],
        ActionGroup::Jobs,
        both!("running and past jobs with their output"),
    ),
    bind_action(
        Action::History,
        "history",
        &["H"],
        ActionGroup::Look,
        both!("jobs of all consoles, with their output and commands"),
    ),
    bind_action(
        Action::Logs,
        "logs",
        &["l"],
        ActionGroup::Look,
        both!("follow the log of the selected service or node"),
    ),
    bind_action(
        Action::Access,
        "access",
        &["A"],
        ActionGroup::Look,
        both!("requests to the selected application, live"),
    ),
    bind_action(
        Action::Search,
        "search",
        &["L"],
        ActionGroup::Look,
        both!("search the log store, of the selected application or all"),
    ),
    bind_action(
        Action::Shell,
        "shell",
        &["e"],
        ActionGroup::Look,
        both!("open a shell in the container or on the node"),
    ),
    bind_action(
        Action::Alerts,
        "alerts",
        &["a"],
        ActionGroup::Look,
        both!("what is not as it should be"),
    ),
    bind_action(
        Action::Bans,
        "bans",
        &["f"],
        ActionGroup::Look,
        both!("addresses that fail2ban shuts out; lets them in again"),
    ),
    bind_action(
        Action::Intrusions,
        "intrusions",
        &["I"],
        ActionGroup::Look,
        both!("who tried to get in, as Suricata saw it"),
    ),
    bind_action(
        Action::Filter,
        "filter",
        &["/"],
        ActionGroup::Look,
        both!("show only what matches"),
    ),
    bind_action(
        Action::Problems,
        "problems",
        &["!"],
        ActionGroup::Look,
        both!("show only what is wrong"),
    ),
    bind_action(
        Action::Mark,
        "mark",
        &["space"],
        ActionGroup::Look,
        both!("mark lines that one action is about; Esc unmarks them"),
    ),
    bind_action(
        Action::Sort,
        "sort",
        &["o"],
        ActionGroup::Look,
        both!("sort the list by its next column; at last problems first"),
    ),
    bind_action(
        Action::SortReverse,
        "sort-reverse",
        &["O"],
        ActionGroup::Look,
        both!("sort the list the other way round"),
    ),
    bind_action(
        Action::Copy,
        "copy",
        &["y"],
        ActionGroup::Look,
        both!("copy the selected name to the clipboard"),
    ),
    bind_action(
        Action::CopyPassword,
        "copy-password",
        &["Y"],
        ActionGroup::Look,
        both!("copy the password that the application's stack made"),
    ),
    bind_action(
        Action::Refresh,
        "refresh",
        &["ctrl-r"],
        ActionGroup::Look,
        both!("read the fleet again now"),
    ),
    bind_action(
        Action::Measure,
        "measure",
        &["w"],
        ActionGroup::Look,
        both!("measure how large volumes are, on all nodes, and keep it"),
    ),
    bind_action(
        Action::Zoom,
        "zoom",
        &["z"],
        ActionGroup::Look,
        both!("give the focused pane the whole screen"),
    ),
    bind_action(
        Action::Up,
        "up",
        &["k", "up"],
        ActionGroup::Move,
        both!("up"),
    ),
    bind_action(
        Action::Down,
        "down",
        &["j", "down"],
        ActionGroup::Move,
        Text::new("down", "vers le bas"),
    ),
    bind_action(
        Action::Top,
        "top",
        &["g", "home"],
        ActionGroup::Move,
        both!("to the first line"),
    ),
    bind_action(
        Action::Bottom,
        "bottom",
        &["G", "end"],
        ActionGroup::Move,
        both!("to the last line"),
    ),
    bind_action(
        Action::HalfPageUp,
        "half-page-up",
        &["ctrl-u", "pageup"],
        ActionGroup::Move,
        both!("half a page up"),
    ),
    bind_action(
        Action::HalfPageDown,
        "half-page-down",
        &["ctrl-d", "pagedown"],
        ActionGroup::Move,
        both!("half a page down"),
    ),
    bind_action(
        Action::Open,
        "open",
        &["enter", "right"],
        ActionGroup::Move,
        both!("open the selected line, go in"),
    ),
    bind_action(
        Action::Back,
        "back",
        &["esc", "left"],
        ActionGroup::Move,
        both!("go back"),
    ),
    bind_action(
        Action::NextPane,
        "next-pane",
        &["tab"],
        ActionGroup::Move,
        both!("next pane"),
    ),
    bind_action(
        Action::PreviousPane,
        "previous-pane",
        &["shift-tab"],
        ActionGroup::Move,
        both!("previous pane"),
    ),
    bind_action(
        Action::NextTab,
        "next-tab",
        &["]", "ctrl-right", ">"],
        ActionGroup::Move,
        both!("next tab on the right"),
    ),
    bind_action(
        Action::PreviousTab,
        "previous-tab",
        &["[", "ctrl-left", "<"],
        ActionGroup::Move,
        both!("previous tab on the right"),
    ),
    bind_action(
        Action::Dashboard,
        "dashboard",
        &["0", "à"],
        ActionGroup::Move,
        both!("the dashboard: nodes, applications, nights, what happened; Esc closes it"),
    ),
    // The second key of each pane is the one of its digit on a French keyboard, without Shift.
    bind_action(
        Action::Pane1,
        "nodes",
        &["1", "&"],
        ActionGroup::Move,
        both!("nodes"),
    ),
    bind_action(
        Action::Pane2,
        "services",
        &["2", "é"],
        ActionGroup::Move,
        both!("services"),
    ),
    bind_action(
        Action::Pane3,
        "volumes",
        &["3", "\""],
        ActionGroup::Move,
        both!("volumes"),
    ),
    bind_action(
        Action::Pane4,
        "certificates",
        &["4", "'"],
        ActionGroup::Move,
        both!("certificates"),
    ),
    bind_action(
        Action::Pane5,
        "backups",
        &["5", "("],
        ActionGroup::Move,
        both!("backups"),
    ),
    bind_action(
        Action::Help,
        "help",
        &["?", "f1"],
        ActionGroup::Console,
        both!("this help"),
    ),
    bind_action(
        Action::Palette,
        "palette",
        &[":", "ctrl-p"],
        ActionGroup::Console,
        both!("every action, application, node, domain, volume, snapshot and stack by name"),
    ),
    bind_action(
        Action::Suspend,
        "suspend",
        &["ctrl-z"],
        ActionGroup::Console,
        both!("suspend; `fg` comes back"),
    ),
    bind_action(
        Action::Redraw,
        "redraw",
        &["ctrl-l"],
        ActionGroup::Console,
        both!("draw the screen anew"),
    ),
    bind_action(
        Action::Interrupt,
        "interrupt",
        &["ctrl-c"],
        ActionGroup::Console,
        both!("cancel what is open, else ask to quit"),
    ),
    bind_action(
        Action::Quit,
        "quit",
        &["q"],
        ActionGroup::Console,
        both!("go back, then quit"),
    ),
];

/// Default keys on BÉPO, where they are not those of the table: the digits without Shift are other characters there,
/// and brackets and angles need `AltGr`.
const BEPO_KEYS: [(Action, &[&str]); 8] = [
    (Action::Dashboard, &["0", "*"]),
    (Action::Pane1, &["1", "\""]),
    (Action::Pane2, &["2", "«"]),
    (Action::Pane3, &["3", "»"]),
    (Action::Pane4, &["4", "("]),
    (Action::Pane5, &["5", ")"]),
    (Action::NextTab, &["ctrl-right", "]", ">"]),
    (Action::PreviousTab, &["ctrl-left", "[", "<"]),
];

impl KeyBinding {
    /// Its default keys on a keyboard, as `[keys]` writes them.
    fn keys_on(&self, layout: KeyboardLayout) -> &'static [&'static str] {
        let own = BEPO_KEYS.iter().find(|(action, _)| *action == self.action);
        match (layout, own) {
            (KeyboardLayout::Bepo, Some((_, keys))) => keys,
            _ => self.keys,
        }
    }
}

/// A key with its modifiers.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub struct KeyChord {
    code: KeyCode,
    modifiers: KeyModifiers,
}

impl From<KeyEvent> for KeyChord {
    fn from(event: KeyEvent) -> Self {
        let mut modifiers = event.modifiers & (KeyModifiers::CONTROL | KeyModifiers::ALT);
        let code = match event.code {
            // A letter's case tells already whether shift was held.
            KeyCode::Char(c) if event.modifiers.contains(KeyModifiers::CONTROL) => {
                KeyCode::Char(c.to_ascii_lowercase())
            }
            KeyCode::Char(c) => KeyCode::Char(c),
            KeyCode::BackTab => KeyCode::BackTab,
            other => {
                modifiers |= event.modifiers & KeyModifiers::SHIFT;
                other
            }
        };
        Self { code, modifiers }
    }
}

/// Names of keys that are no characters, as they are written in `[keys]`, and as they are shown.
const KEY_NAMES: [(&str, Text, KeyCode); 15] = [
    ("enter", both!("Enter"), KeyCode::Enter),
    ("esc", both!("Esc"), KeyCode::Esc),
    ("tab", both!("Tab"), KeyCode::Tab),
    ("space", both!("Space"), KeyCode::Char(' ')),
    ("backspace", both!("Backspace"), KeyCode::Backspace),
    ("delete", both!("Delete"), KeyCode::Delete),
    ("insert", both!("Insert"), KeyCode::Insert),
    ("up", both!("Up"), KeyCode::Up),
    ("down", both!("Down"), KeyCode::Down),
    ("left", both!("Left"), KeyCode::Left),
    ("right", both!("Right"), KeyCode::Right),
    ("home", both!("Home"), KeyCode::Home),
    ("end", both!("End"), KeyCode::End),
    ("pageup", both!("Pageup"), KeyCode::PageUp),
    ("pagedown", both!("Pagedown"), KeyCode::PageDown),
];

/// Parses a key as it is written in `[keys]`: `d`, `G`, `?`, `f5`, `ctrl-d`, `shift-tab`, `alt-x`.
///
/// # Errors
/// A sentence that lists what is allowed.
pub fn parse_key(text: &str) -> Result<KeyChord, InvalidInput> {
    let allowed = || {
        tr!(
            "{text:?} is no key: write a character, or one of {}, f1 to f12, with ctrl-, alt- or shift- before it",
            KEY_NAMES.map(|(name, ..)| name).join(", ")
        )
    };
    let mut modifiers = KeyModifiers::NONE;
    let mut rest = text;
    loop {
        let (prefix, modifier) = match rest {
            r if r.len() > 5 && r.starts_with("ctrl-") => ("ctrl-", KeyModifiers::CONTROL),
            r if r.len() > 6 && r.starts_with("shift-") => ("shift-", KeyModifiers::SHIFT),
            r if r.len() > 4 && r.starts_with("alt-") => ("alt-", KeyModifiers::ALT),
            _ => break,
        };
        modifiers |= modifier;
        rest = &rest[prefix.len()..];
    }
    let mut chars = rest.chars();
    let code = match (chars.next(), chars.next()) {
        (Some(c), None) if !c.is_control() => KeyCode::Char(c),
        _ => KEY_NAMES
            .iter()
            .find(|(name, ..)| *name == rest)
            .map(|(.., code)| *code)
            .or_else(|| {
                let n: u8 = rest.strip_prefix('f')?.parse().ok()?;
                (1..=12).contains(&n).then_some(KeyCode::F(n))
            })
            .ok_or_else(allowed)?,
    };
    if modifiers.contains(KeyModifiers::SHIFT) && matches!(code, KeyCode::Char(_)) {
        return Err(InvalidInput::new(tr!(
            "{text:?}: write the shifted character itself"
        )));
    }
    if code == KeyCode::Tab && modifiers == KeyModifiers::SHIFT {
        return Ok(KeyChord {
            code: KeyCode::BackTab,
            modifiers: KeyModifiers::NONE,
        });
    }
    Ok(KeyChord { code, modifiers })
}

/// Returns how `[keys]` writes a key that is shown as this word, in small letters: `entrée` is `enter`.
pub(super) fn written_key(shown: &str) -> String {
    let (before, key) = match shown.rfind('-') {
        Some(at) if at + 1 < shown.len() => shown.split_at(at + 1),
        _ => ("", shown),
    };
    let found = KEY_NAMES
        .iter()
        .find(|(_, name, _)| name.to_lowercase() == key);
    let key = found.map_or(key, |(name, ..)| name);
    let shift = tr!("Shift-").to_lowercase();
    format!("{}{key}", before.replace(&shift, "shift-"))
}

impl From<KeyChord> for KeyEvent {
    fn from(chord: KeyChord) -> Self {
        Self::new(chord.code, chord.modifiers)
    }
}

impl fmt::Display for KeyChord {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        if self.modifiers.contains(KeyModifiers::CONTROL) {
            f.write_str("Ctrl-")?;
        }
        if self.modifiers.contains(KeyModifiers::ALT) {
            f.write_str("Alt-")?;
        }
        if self.modifiers.contains(KeyModifiers::SHIFT) {
            f.write_str(tr!("Shift-"))?;
        }
        match self.code {
            KeyCode::Char(' ') => f.write_str(tr!("Space")),
            KeyCode::Char(c) => write!(f, "{c}"),
            KeyCode::BackTab => f.write_str(tr!("Shift-Tab")),
            KeyCode::F(n) => write!(f, "F{n}"),
            code => {
                let found = KEY_NAMES.iter().find(|(.., c)| *c == code);
                f.write_str(found.map_or("?", |(_, shown, _)| shown.get()))
            }
        }
    }
}

/// The keys in force.
#[derive(Debug, Clone)]
pub struct KeyMap {
    bindings: Vec<(KeyChord, Action)>,
    /// Keys of the operator's own commands, by their place in the list.
    commands: Vec<(KeyChord, usize)>,
}

impl Default for KeyMap {
    fn default() -> Self {
        // The table is checked by a test.
        Self::with_overrides(KeyboardLayout::default(), &BTreeMap::new()).unwrap_or(Self {
            bindings: Vec::new(),
            commands: Vec::new(),
        })
    }
}

impl KeyMap {
    /// Makes the key map: the keys of `[keys]` for actions named there, the keyboard's for all others.
    ///
    /// # Errors
    /// The action's name and one sentence: there is no such action, with the nearest that exists; a
    /// key can't be parsed; two actions want the same key.
    pub fn with_overrides(
        layout: KeyboardLayout,
        overrides: &BTreeMap<String, Vec<String>>,
    ) -> Result<Self, (String, String)> {
        for name in overrides.keys() {
            if !KEY_TABLE.iter().any(|b| b.name == name) {
                let near = find_nearest_name(name, KEY_TABLE.iter().map(|b| b.name));
                let hint = near.map_or_else(String::new, |n| tr!("; did you mean {n:?}?"));
                return Err((name.clone(), tr!("there is no action {name:?}{hint}")));
            }
        }
        let mut bindings: Vec<(KeyChord, Action)> = Vec::new();
        // Own keys first: they win over another action's default.
        for own in [true, false] {
            for binding in KEY_TABLE {
                let chosen = overrides.get(binding.name);
                if chosen.is_some() != own {
                    continue;
                }
                let defaults = || {
                    let keys = binding.keys_on(layout).iter();
                    keys.map(|k| (*k).to_owned()).collect()
                };
                for text in chosen.cloned().unwrap_or_else(defaults) {
                    let named = |e| (binding.name.to_owned(), e);
                    let key = parse_key(&text).map_err(|e| named(e.to_string()))?;
                    match bindings.iter().find(|(k, _)| *k == key) {
                        Some((_, other)) if own => {
                            let other = action_name(*other);
                            let both = tr!("{text:?} is the key of {other:?} too");
                            return Err(named(both));
                        }
                        Some(_) => {}
                        None => bindings.push((key, binding.action)),
                    }
                }
            }
        }
        Ok(Self {
            bindings,
            commands: Vec::new(),
        })
    }

    /// Makes the key map of a configuration: `[keys]`, and the keys of `[[commands]]`.
    ///
    /// # Errors
    /// What is wrong with its keys, with file, line and column.
    pub fn of_config(config: &Config) -> Result<Self, ConfigError> {
        let map = Self::with_overrides(config.keyboard, &config.keys);
        let mut map = map.map_err(|(action, why)| config.key_error(&action, why))?;
        map.add_commands(&config.commands)
            .map_err(|(at, why)| config.command_error(&config.commands[at], why))?;
        Ok(map)
    }

    /// Adds the keys of the operator's own commands. None takes a key that does something already.
    fn add_commands(&mut self, commands: &[CommandConfig]) -> Result<(), (usize, String)> {
        for (at, command) in commands.iter().enumerate() {
            let Some(text) = &command.key else { continue };
            let key = parse_key(text).map_err(|e| (at, e.to_string()))?;
            let built_in = self.bindings.iter().find(|(k, _)| *k == key);
            if let Some((_, action)) = built_in {
                let found = KEY_TABLE.iter().find(|b| b.action == *action);
                let (name, help) = found.map_or(("", ""), |b| (b.name, b.help.get()));
                return Err((
                    at,
                    tr!(
                        "{text:?} is the key of {name:?} already: {help}; take another one, or give {name:?} another in [keys]"
                    ),
                ));
            }
            let same = self.commands.iter().filter(|(k, _)| *k == key);
            let other = same.map(|(_, other)| &commands[*other]).find(|other| {
                let shared = other.places.iter().any(|p| command.places.contains(p));
                shared || other.places.is_empty() || command.places.is_empty()
            });
            if let Some(other) = other {
                let both = &other.description;
                return Err((
                    at,
                    tr!("{text:?} is the key of the command {both:?} already"),
                ));
            }
            self.commands.push((key, at));
        }
        Ok(())
    }

    /// Finds the commands of a key, by their places in the list.
    pub(super) fn find_commands(&self, event: KeyEvent) -> Vec<usize> {
        let key = KeyChord::from(event);
        let found = self.commands.iter().filter(|(k, _)| *k == key);
        found.map(|(_, at)| *at).collect()
    }

    /// Finds the action of a key.
    pub fn find_action(&self, event: KeyEvent) -> Option<Action> {
        let key = KeyChord::from(event);
        self.bindings
            .iter()
            .find(|(k, _)| *k == key)
            .map(|(_, a)| *a)
    }

    /// Formats all keys of an action, with spaces between them.
    pub fn format_keys(&self, action: Action) -> String {
        let keys: Vec<String> = self
            .bindings
            .iter()
            .filter(|(_, a)| *a == action)
            .map(|(k, _)| k.to_string())
            .collect();
        keys.join(" ")
    }

    /// Returns the first key of an action, formatted.
    pub fn first_key(&self, action: Action) -> Option<String> {
        self.bindings
            .iter()
            .find(|(_, a)| *a == action)
            .map(|(k, _)| k.to_string())
    }
}

fn action_name(action: Action) -> &'static str {
    KEY_TABLE
        .iter()
        .find(|b| b.action == action)
        .map_or("", |b| b.name)
}

/// Whether a key says yes to a question: `y`, in French `o` too.
pub(crate) fn is_yes(code: KeyCode) -> bool {
    code == KeyCode::Char('y') || (code == KeyCode::Char('o') && matou_i18n::is_french())
}

/// The key that says yes, as it is shown.
pub(crate) fn yes_key() -> &'static str {
    matou_i18n::choose("y", "o")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_default_key_is_read_and_belongs_to_one_action() {
        for layout in [KeyboardLayout::Azerty, KeyboardLayout::Bepo] {
            let map = KeyMap::with_overrides(layout, &BTreeMap::new()).unwrap();
            let written: usize = KEY_TABLE.iter().map(|b| b.keys_on(layout).len()).sum();
            assert_eq!(map.bindings.len(), written, "a default key stands twice");
        }
        let mut names: Vec<_> = KEY_TABLE.iter().map(|b| b.name).collect();
        names.sort_unstable();
        names.dedup();
        assert_eq!(names.len(), KEY_TABLE.len(), "a name stands twice");
    }

    #[test]
    fn keys_are_read_and_shown() {
        for (text, shown) in [
            ("d", "d"),
            ("G", "G"),
            ("ctrl-d", "Ctrl-d"),
            ("shift-tab", "Shift-Tab"),
            ("f5", "F5"),
            ("alt-x", "Alt-x"),
            ("space", "Space"),
            ("-", "-"),
            ("pageup", "Pageup"),
        ] {
            assert_eq!(parse_key(text).unwrap().to_string(), shown);
        }
        for wrong in ["", "ctrl-", "f13", "foo", "shift-a", "dd"] {
            assert!(parse_key(wrong).is_err(), "{wrong}");
        }
    }

    #[test]
    fn own_keys_replace_defaults_and_conflicts_are_named() {
        let own = |pairs: &[(&str, &str)]| {
            let pairs = pairs.iter();
            let overrides = pairs.map(|(a, k)| ((*a).to_owned(), vec![(*k).to_owned()]));
            KeyMap::with_overrides(KeyboardLayout::default(), &overrides.collect())
        };
        let map = own(&[("deploy", "n")]).unwrap();
        assert_eq!(map.format_keys(Action::Deploy), "n");
        let event = |c| KeyEvent::new(KeyCode::Char(c), KeyModifiers::NONE);
        assert_eq!(map.find_action(event('n')), Some(Action::Deploy));
        assert_eq!(map.find_action(event('d')), None);
        // A default gives way to an own key.
        let map = own(&[("deploy", "s")]).unwrap();
        assert_eq!(map.find_action(event('s')), Some(Action::Deploy));
        let (action, message) = own(&[("deplyo", "n")]).unwrap_err();
        assert_eq!(action, "deplyo");
        assert!(message.contains("did you mean \"deploy\""), "{message}");
        assert!(own(&[("deploy", "n"), ("scale", "n")]).is_err());
        assert!(own(&[("deploy", "hyper-n")]).is_err());
    }
}
