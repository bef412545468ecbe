//! Keys as data: bindings, help, palette and hints are made from one table.

use std::collections::BTreeMap;
use std::fmt;

use crossterm::event::{KeyCode, KeyEvent, KeyModifiers};

use matou_base::text::InvalidInput;
use matou_config::{CommandConfig, Config, ConfigError, find_nearest_name};

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
    pub help: &'static str,
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
            Self::Jobs => "Jobs",
            Self::Look => "Looking",
            Self::Move => "Moving",
            Self::Console => "The console",
        }
    }
}

const fn bind_action(
    action: Action,
    name: &'static str,
    keys: &'static [&'static str],
    group: ActionGroup,
    help: &'static str,
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
        "deploy an application from the catalogue",
    ),
    bind_action(
        Action::Scale,
        "scale",
        &["s"],
        ActionGroup::Jobs,
        "set how many tasks the selected service runs",
    ),
    bind_action(
        Action::Restart,
        "restart",
        &["S"],
        ActionGroup::Jobs,
        "replace the tasks of the selected service",
    ),
    bind_action(
        Action::Update,
        "update",
        &["u"],
        ActionGroup::Jobs,
        "newer versions of the selected application",
    ),
    bind_action(
        Action::Redeploy,
        "redeploy",
        &[],
        ActionGroup::Jobs,
        "deploy the selected application again, from its file",
    ),
    bind_action(
        Action::Adopt,
        "adopt",
        &["t"],
        ActionGroup::Jobs,
        "take the selected application over, which runs without a file",
    ),
    bind_action(
        Action::Place,
        "place",
        &[],
        ActionGroup::Jobs,
        "move the selected application to another node",
    ),
    bind_action(
        Action::Switch,
        "switch",
        &[],
        ActionGroup::Jobs,
        "security headers and a limit before the selected application",
    ),
    bind_action(
        Action::Page,
        "page",
        &[],
        ActionGroup::Jobs,
        "show visitors a page instead of the selected application, or take it away",
    ),
    bind_action(
        Action::RenewCertificate,
        "renew",
        &[],
        ActionGroup::Jobs,
        "have the selected certificate issued anew",
    ),
    bind_action(
        Action::Rollback,
        "rollback",
        &["U"],
        ActionGroup::Jobs,
        "take the selected service back to what it was",
    ),
    bind_action(
        Action::Remove,
        "remove",
        &["x"],
        ActionGroup::Jobs,
        "remove the selected application; volumes stay",
    ),
    bind_action(
        Action::Export,
        "export",
        &[],
        ActionGroup::Jobs,
        "write the selected application into an archive for another host",
    ),
    bind_action(
        Action::Erase,
        "erase",
        &[],
        ActionGroup::Jobs,
        "destroy the selected application, its data and its snapshots",
    ),
    bind_action(
        Action::Backup,
        "backup",
        &["b"],
        ActionGroup::Jobs,
        "back up the selected application",
    ),
    bind_action(
        Action::BackupAll,
        "backup-all",
        &["B"],
        ActionGroup::Jobs,
        "back up every application and the fleet's own files",
    ),
    bind_action(
        Action::Restore,
        "restore",
        &["r"],
        ActionGroup::Jobs,
        "restore the selected application, snapshot, file or folder",
    ),
    bind_action(
        Action::RestoreUndo,
        "restore-undo",
        &[],
        ActionGroup::Jobs,
        "bring back what a restore of the selected application replaced",
    ),
    bind_action(
        Action::RestoreForget,
        "restore-forget",
        &[],
        ActionGroup::Jobs,
        "let go what a restore of the selected application replaced",
    ),
    bind_action(
        Action::Verify,
        "verify",
        &["v"],
        ActionGroup::Jobs,
        "test the restore of the selected application",
    ),
    bind_action(
        Action::Recover,
        "recover",
        &[],
        ActionGroup::Jobs,
        "rebuild the fleet out of its repository, or what was lost of it",
    ),
    bind_action(
        Action::Move,
        "move",
        &[],
        ActionGroup::Jobs,
        "move the selected application to the servers of another config.toml",
    ),
    bind_action(
        Action::MoveAll,
        "move-all",
        &[],
        ActionGroup::Jobs,
        "move all of the fleet to the servers of another config.toml",
    ),
    bind_action(
        Action::Provision,
        "provision",
        &["p"],
        ActionGroup::Jobs,
        "make the selected node, or all, what config.toml says",
    ),
    bind_action(
        Action::ProvisionAll,
        "provision-all",
        &["P"],
        ActionGroup::Jobs,
        "make all nodes what config.toml says",
    ),
    bind_action(
        Action::NodeMenu,
        "node-menu",
        &["m"],
        ActionGroup::Jobs,
        "drain, promote, reboot, upgrade the selected node",
    ),
    bind_action(
        Action::Promote,
        "promote",
        &[],
        ActionGroup::Jobs,
        "make the selected node a manager",
    ),
    bind_action(
        Action::Demote,
        "demote",
        &[],
        ActionGroup::Jobs,
        "make the selected manager a worker",
    ),
    bind_action(
        Action::Reboot,
        "reboot",
        &[],
        ActionGroup::Jobs,
        "reboot the selected node, drained",
    ),
    bind_action(
        Action::Upgrade,
        "upgrade",
        &[],
        ActionGroup::Jobs,
        "bring the selected node's packages up to date",
    ),
    bind_action(
        Action::Leave,
        "leave",
        &[],
        ActionGroup::Jobs,
        "take the selected node out of the swarm",
    ),
    bind_action(
        Action::RemoveNode,
        "remove-node",
        &[],
        ActionGroup::Jobs,
        "remove the selected node for good, which is lost",
    ),
    bind_action(
        Action::Drain,
        "drain",
        &[],
        ActionGroup::Jobs,
        "move every task away from the selected node",
    ),
    bind_action(
        Action::Activate,
        "activate",
        &[],
        ActionGroup::Jobs,
        "let the selected node take tasks again",
    ),
    bind_action(
        Action::Pause,
        "pause",
        &[],
        ActionGroup::Jobs,
        "place no new tasks on the selected node",
    ),
    bind_action(
        Action::Jobs,
        "jobs",
        &["J"],
        ActionGroup::Jobs,
        "running and past jobs with their output",
    ),
    bind_action(
        Action::History,
        "history",
        &["H"],
        ActionGroup::Look,
        "jobs of all consoles, with their output and commands",
    ),
    bind_action(
        Action::Logs,
        "logs",
        &["l"],
        ActionGroup::Look,
        "follow the log of the selected service or node",
    ),
    bind_action(
        Action::Access,
        "access",
        &["A"],
        ActionGroup::Look,
        "requests to the selected application, live",
    ),
    bind_action(
        Action::Search,
        "search",
        &["L"],
        ActionGroup::Look,
        "search the log store, of the selected application or all",
    ),
    bind_action(
        Action::Shell,
        "shell",
        &["e"],
        ActionGroup::Look,
        "open a shell in the container or on the node",
    ),
    bind_action(
        Action::Alerts,
        "alerts",
        &["a"],
        ActionGroup::Look,
        "what is not as it should be",
    ),
    bind_action(
        Action::Bans,
        "bans",
        &["f"],
        ActionGroup::Look,
        "addresses that fail2ban shuts out; lets them in again",
    ),
    bind_action(
        Action::Intrusions,
        "intrusions",
        &["I"],
        ActionGroup::Look,
        "who tried to get in, as Suricata saw it",
    ),
    bind_action(
        Action::Filter,
        "filter",
        &["/"],
        ActionGroup::Look,
        "show only what matches",
    ),
    bind_action(
        Action::Problems,
        "problems",
        &["!"],
        ActionGroup::Look,
        "show only what is wrong",
    ),
    bind_action(
        Action::Mark,
        "mark",
        &["space"],
        ActionGroup::Look,
        "mark lines that one action is about; Esc unmarks them",
    ),
    bind_action(
        Action::Sort,
        "sort",
        &["o"],
        ActionGroup::Look,
        "sort the list by its next column; at last problems first",
    ),
    bind_action(
        Action::SortReverse,
        "sort-reverse",
        &["O"],
        ActionGroup::Look,
        "sort the list the other way round",
    ),
    bind_action(
        Action::Copy,
        "copy",
        &["y"],
        ActionGroup::Look,
        "copy the selected name to the clipboard",
    ),
    bind_action(
        Action::CopyPassword,
        "copy-password",
        &["Y"],
        ActionGroup::Look,
        "copy the password that the application's stack made",
    ),
    bind_action(
        Action::Refresh,
        "refresh",
        &["ctrl-r"],
        ActionGroup::Look,
        "read the fleet again now",
    ),
    bind_action(
        Action::Zoom,
        "zoom",
        &["z"],
        ActionGroup::Look,
        "give the focused pane the whole screen",
    ),
    bind_action(Action::Up, "up", &["k", "up"], ActionGroup::Move, "up"),
    bind_action(
        Action::Down,
        "down",
        &["j", "down"],
        ActionGroup::Move,
        "down",
    ),
    bind_action(
        Action::Top,
        "top",
        &["g", "home"],
        ActionGroup::Move,
        "to the first line",
    ),
    bind_action(
        Action::Bottom,
        "bottom",
        &["G", "end"],
        ActionGroup::Move,
        "to the last line",
    ),
    bind_action(
        Action::HalfPageUp,
        "half-page-up",
        &["ctrl-u", "pageup"],
        ActionGroup::Move,
        "half a page up",
    ),
    bind_action(
        Action::HalfPageDown,
        "half-page-down",
        &["ctrl-d", "pagedown"],
        ActionGroup::Move,
        "half a page down",
    ),
    bind_action(
        Action::Open,
        "open",
        &["enter", "right"],
        ActionGroup::Move,
        "open the selected line, go in",
    ),
    bind_action(
        Action::Back,
        "back",
        &["esc", "left"],
        ActionGroup::Move,
        "go back",
    ),
    bind_action(
        Action::NextPane,
        "next-pane",
        &["tab"],
        ActionGroup::Move,
        "next pane",
    ),
    bind_action(
        Action::PreviousPane,
        "previous-pane",
        &["shift-tab"],
        ActionGroup::Move,
        "previous pane",
    ),
    bind_action(
        Action::NextTab,
        "next-tab",
        &["]", "ctrl-right", ">"],
        ActionGroup::Move,
        "next tab on the right",
    ),
    bind_action(
        Action::PreviousTab,
        "previous-tab",
        &["[", "ctrl-left", "<"],
        ActionGroup::Move,
        "previous tab on the right",
    ),
    bind_action(
        Action::Dashboard,
        "dashboard",
        &["0", "à"],
        ActionGroup::Move,
        "the dashboard: nodes, applications, nights, what happened; Esc closes it",
    ),
    // The second key of each pane is the one of its digit on a French keyboard, without Shift.
    bind_action(
        Action::Pane1,
        "nodes",
        &["1", "&"],
        ActionGroup::Move,
        "nodes",
    ),
    bind_action(
        Action::Pane2,
        "services",
        &["2", "é"],
        ActionGroup::Move,
        "services",
    ),
    bind_action(
        Action::Pane3,
        "volumes",
        &["3", "\""],
        ActionGroup::Move,
        "volumes",
    ),
    bind_action(
        Action::Pane4,
        "certificates",
        &["4", "'"],
        ActionGroup::Move,
        "certificates",
    ),
    bind_action(
        Action::Pane5,
        "backups",
        &["5", "("],
        ActionGroup::Move,
        "backups",
    ),
    bind_action(
        Action::Help,
        "help",
        &["?", "f1"],
        ActionGroup::Console,
        "this help",
    ),
    bind_action(
        Action::Palette,
        "palette",
        &[":", "ctrl-p"],
        ActionGroup::Console,
        "every action by name",
    ),
    bind_action(
        Action::Suspend,
        "suspend",
        &["ctrl-z"],
        ActionGroup::Console,
        "suspend; `fg` comes back",
    ),
    bind_action(
        Action::Redraw,
        "redraw",
        &["ctrl-l"],
        ActionGroup::Console,
        "draw the screen anew",
    ),
    bind_action(
        Action::Interrupt,
        "interrupt",
        &["ctrl-c"],
        ActionGroup::Console,
        "cancel what is open, else ask to quit",
    ),
    bind_action(
        Action::Quit,
        "quit",
        &["q"],
        ActionGroup::Console,
        "go back, then quit",
    ),
];

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

/// Names of keys that are no characters.
const KEY_NAMES: [(&str, KeyCode); 15] = [
    ("enter", KeyCode::Enter),
    ("esc", KeyCode::Esc),
    ("tab", KeyCode::Tab),
    ("space", KeyCode::Char(' ')),
    ("backspace", KeyCode::Backspace),
    ("delete", KeyCode::Delete),
    ("insert", KeyCode::Insert),
    ("up", KeyCode::Up),
    ("down", KeyCode::Down),
    ("left", KeyCode::Left),
    ("right", KeyCode::Right),
    ("home", KeyCode::Home),
    ("end", KeyCode::End),
    ("pageup", KeyCode::PageUp),
    ("pagedown", KeyCode::PageDown),
];

/// Parses a key as it is written in `[keys]`: `d`, `G`, `?`, `f5`, `ctrl-d`, `shift-tab`, `alt-x`.
///
/// # Errors
/// A sentence that lists what is allowed.
pub fn parse_key(text: &str) -> Result<KeyChord, InvalidInput> {
    let allowed = || {
        format!(
            "{text:?} is no key: write a character, or one of {}, f1 to f12, with ctrl-, alt- or shift- before it",
            KEY_NAMES.map(|(name, _)| name).join(", ")
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
            .find(|(name, _)| *name == rest)
            .map(|(_, code)| *code)
            .or_else(|| {
                let n: u8 = rest.strip_prefix('f')?.parse().ok()?;
                (1..=12).contains(&n).then_some(KeyCode::F(n))
            })
            .ok_or_else(allowed)?,
    };
    if modifiers.contains(KeyModifiers::SHIFT) && matches!(code, KeyCode::Char(_)) {
        return Err(InvalidInput::new(format_args!(
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

impl fmt::Display for KeyChord {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        if self.modifiers.contains(KeyModifiers::CONTROL) {
            f.write_str("Ctrl-")?;
        }
        if self.modifiers.contains(KeyModifiers::ALT) {
            f.write_str("Alt-")?;
        }
        if self.modifiers.contains(KeyModifiers::SHIFT) {
            f.write_str("Shift-")?;
        }
        match self.code {
            KeyCode::Char(' ') => f.write_str("Space"),
            KeyCode::Char(c) => write!(f, "{c}"),
            KeyCode::BackTab => f.write_str("Shift-Tab"),
            KeyCode::F(n) => write!(f, "F{n}"),
            code => {
                let name = KEY_NAMES
                    .iter()
                    .find(|(_, c)| *c == code)
                    .map_or("?", |(n, _)| n);
                let mut chars = name.chars();
                let first = chars.next().map(|c| c.to_ascii_uppercase());
                write!(f, "{}{}", first.unwrap_or('?'), chars.as_str())
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
        Self::with_overrides(&BTreeMap::new()).unwrap_or(Self {
            bindings: Vec::new(),
            commands: Vec::new(),
        })
    }
}

impl KeyMap {
    /// Makes the key map: the keys of `[keys]` for actions named there, the table's for all others.
    ///
    /// # Errors
    /// The action's name and one sentence: there is no such action, with the nearest that exists; a
    /// key can't be parsed; two actions want the same key.
    pub fn with_overrides(
        overrides: &BTreeMap<String, Vec<String>>,
    ) -> Result<Self, (String, String)> {
        for name in overrides.keys() {
            if !KEY_TABLE.iter().any(|b| b.name == name) {
                let near = find_nearest_name(name, KEY_TABLE.iter().map(|b| b.name));
                let hint = near.map_or_else(String::new, |n| format!("; did you mean {n:?}?"));
                return Err((name.clone(), format!("there is no action {name:?}{hint}")));
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
                let defaults = || binding.keys.iter().map(|k| (*k).to_owned()).collect();
                for text in chosen.cloned().unwrap_or_else(defaults) {
                    let named = |e| (binding.name.to_owned(), e);
                    let key = parse_key(&text).map_err(|e| named(e.to_string()))?;
                    match bindings.iter().find(|(k, _)| *k == key) {
                        Some((_, other)) if own => {
                            let other = action_name(*other);
                            let both = format!("{text:?} is the key of {other:?} too");
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
        let map = Self::with_overrides(&config.keys);
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
                let (name, help) = found.map_or(("", ""), |b| (b.name, b.help));
                return Err((
                    at,
                    format!(
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
                    format!("{text:?} is the key of the command {both:?} already"),
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

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_default_key_is_read_and_belongs_to_one_action() {
        let map = KeyMap::with_overrides(&BTreeMap::new()).unwrap();
        let written: usize = KEY_TABLE.iter().map(|b| b.keys.len()).sum();
        assert_eq!(map.bindings.len(), written, "a default key stands twice");
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
            KeyMap::with_overrides(
                &pairs
                    .map(|(a, k)| ((*a).to_owned(), vec![(*k).to_owned()]))
                    .collect(),
            )
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
