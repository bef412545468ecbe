//! Keys as data: one table from which bindings, help, palette and hints are made.

use std::collections::BTreeMap;
use std::fmt;

use crossterm::event::{KeyCode, KeyEvent, KeyModifiers};

use crate::config::nearest;

/// What a key can ask for.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub enum Action {
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
    Palette,
    Help,
    Deploy,
    Scale,
    Restart,
    Update,
    Redeploy,
    Place,
    Switch,
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
    Alerts,
    Bans,
    Intrusions,
    Search,
    Zoom,
    Copy,
    Refresh,
    Suspend,
    Redraw,
    Quit,
    Interrupt,
}

/// One line of the table.
pub struct Binding {
    pub action: Action,
    /// As in `[keys]` and the palette.
    pub name: &'static str,
    pub keys: &'static [&'static str],
    pub help: &'static str,
    /// Heading in the help.
    pub group: Group,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Group {
    Jobs,
    Look,
    Move,
    Console,
}

impl Group {
    pub const ALL: [Self; 4] = [Self::Jobs, Self::Look, Self::Move, Self::Console];

    pub fn title(self) -> &'static str {
        match self {
            Self::Jobs => "Jobs",
            Self::Look => "Looking",
            Self::Move => "Moving",
            Self::Console => "The console",
        }
    }
}

const fn b(
    action: Action,
    name: &'static str,
    keys: &'static [&'static str],
    group: Group,
    help: &'static str,
) -> Binding {
    Binding {
        action,
        name,
        keys,
        help,
        group,
    }
}

/// Every action, in the order in which help shows it.
pub const TABLE: &[Binding] = &[
    b(
        Action::Deploy,
        "deploy",
        &["d"],
        Group::Jobs,
        "deploy an application from the catalogue",
    ),
    b(
        Action::Scale,
        "scale",
        &["s"],
        Group::Jobs,
        "set how many tasks the selected service runs",
    ),
    b(
        Action::Restart,
        "restart",
        &["S"],
        Group::Jobs,
        "replace the tasks of the selected service",
    ),
    b(
        Action::Update,
        "update",
        &["u"],
        Group::Jobs,
        "newer versions of the selected application",
    ),
    b(
        Action::Redeploy,
        "redeploy",
        &[],
        Group::Jobs,
        "deploy the selected application again, from its file",
    ),
    b(
        Action::Place,
        "place",
        &[],
        Group::Jobs,
        "move the selected application to another node",
    ),
    b(
        Action::Switch,
        "switch",
        &[],
        Group::Jobs,
        "security headers and a limit before the selected application",
    ),
    b(
        Action::RenewCertificate,
        "renew",
        &[],
        Group::Jobs,
        "have the selected certificate issued anew",
    ),
    b(
        Action::Rollback,
        "rollback",
        &["U"],
        Group::Jobs,
        "take the selected service back to what it was",
    ),
    b(
        Action::Remove,
        "remove",
        &["x"],
        Group::Jobs,
        "remove the selected application; volumes stay",
    ),
    b(
        Action::Export,
        "export",
        &[],
        Group::Jobs,
        "write the selected application into an archive for another host",
    ),
    b(
        Action::Erase,
        "erase",
        &[],
        Group::Jobs,
        "destroy the selected application, its data and its snapshots",
    ),
    b(
        Action::Backup,
        "backup",
        &["b"],
        Group::Jobs,
        "back up the selected application",
    ),
    b(
        Action::BackupAll,
        "backup-all",
        &["B"],
        Group::Jobs,
        "back up every application and the fleet's own files",
    ),
    b(
        Action::Restore,
        "restore",
        &["r"],
        Group::Jobs,
        "restore the selected application, snapshot, file or folder",
    ),
    b(
        Action::RestoreUndo,
        "restore-undo",
        &[],
        Group::Jobs,
        "bring back what a restore of the selected application replaced",
    ),
    b(
        Action::RestoreForget,
        "restore-forget",
        &[],
        Group::Jobs,
        "let go what a restore of the selected application replaced",
    ),
    b(
        Action::Verify,
        "verify",
        &["v"],
        Group::Jobs,
        "prove that the selected application can be restored",
    ),
    b(
        Action::Recover,
        "recover",
        &[],
        Group::Jobs,
        "rebuild the fleet out of its repository, or what was lost of it",
    ),
    b(
        Action::Move,
        "move",
        &[],
        Group::Jobs,
        "move the selected application to the servers of another config.toml",
    ),
    b(
        Action::MoveAll,
        "move-all",
        &[],
        Group::Jobs,
        "move all of the fleet to the servers of another config.toml",
    ),
    b(
        Action::Provision,
        "provision",
        &["p"],
        Group::Jobs,
        "make the selected node, or all, what config.toml says",
    ),
    b(
        Action::ProvisionAll,
        "provision-all",
        &["P"],
        Group::Jobs,
        "make all nodes what config.toml says",
    ),
    b(
        Action::NodeMenu,
        "node-menu",
        &["m"],
        Group::Jobs,
        "drain, promote, reboot, upgrade the selected node",
    ),
    b(
        Action::Promote,
        "promote",
        &[],
        Group::Jobs,
        "make the selected node a manager",
    ),
    b(
        Action::Demote,
        "demote",
        &[],
        Group::Jobs,
        "make the selected manager a worker",
    ),
    b(
        Action::Reboot,
        "reboot",
        &[],
        Group::Jobs,
        "reboot the selected node, drained",
    ),
    b(
        Action::Upgrade,
        "upgrade",
        &[],
        Group::Jobs,
        "bring the selected node's packages up to date",
    ),
    b(
        Action::Leave,
        "leave",
        &[],
        Group::Jobs,
        "take the selected node out of the swarm",
    ),
    b(
        Action::RemoveNode,
        "remove-node",
        &[],
        Group::Jobs,
        "strike the selected node off, which is lost",
    ),
    b(
        Action::Drain,
        "drain",
        &[],
        Group::Jobs,
        "move every task away from the selected node",
    ),
    b(
        Action::Activate,
        "activate",
        &[],
        Group::Jobs,
        "let the selected node take tasks again",
    ),
    b(
        Action::Pause,
        "pause",
        &[],
        Group::Jobs,
        "place no new tasks on the selected node",
    ),
    b(
        Action::Jobs,
        "jobs",
        &["J"],
        Group::Jobs,
        "running and past jobs with their output",
    ),
    b(
        Action::Logs,
        "logs",
        &["l"],
        Group::Look,
        "follow the log of the selected service or node",
    ),
    b(
        Action::Access,
        "access",
        &["A"],
        Group::Look,
        "requests to the selected application, live",
    ),
    b(
        Action::Search,
        "search",
        &["L"],
        Group::Look,
        "search the log store, of the selected application or all",
    ),
    b(
        Action::Shell,
        "shell",
        &["e"],
        Group::Look,
        "open a shell in the container or on the node",
    ),
    b(
        Action::Alerts,
        "alerts",
        &["a"],
        Group::Look,
        "what is not as it should be",
    ),
    b(
        Action::Bans,
        "bans",
        &["f"],
        Group::Look,
        "addresses that fail2ban shuts out; lets them in again",
    ),
    b(
        Action::Intrusions,
        "intrusions",
        &["I"],
        Group::Look,
        "who tried to get in, as Suricata saw it",
    ),
    b(
        Action::Filter,
        "filter",
        &["/"],
        Group::Look,
        "show only what matches",
    ),
    b(
        Action::Copy,
        "copy",
        &["y"],
        Group::Look,
        "copy the selected name to the clipboard",
    ),
    b(
        Action::Refresh,
        "refresh",
        &["ctrl-r"],
        Group::Look,
        "read the fleet again now",
    ),
    b(
        Action::Zoom,
        "zoom",
        &["z"],
        Group::Look,
        "give the focused pane the whole screen",
    ),
    b(Action::Up, "up", &["k", "up"], Group::Move, "up"),
    b(Action::Down, "down", &["j", "down"], Group::Move, "down"),
    b(
        Action::Top,
        "top",
        &["g", "home"],
        Group::Move,
        "to the first line",
    ),
    b(
        Action::Bottom,
        "bottom",
        &["G", "end"],
        Group::Move,
        "to the last line",
    ),
    b(
        Action::HalfPageUp,
        "half-page-up",
        &["ctrl-u", "pageup"],
        Group::Move,
        "half a page up",
    ),
    b(
        Action::HalfPageDown,
        "half-page-down",
        &["ctrl-d", "pagedown"],
        Group::Move,
        "half a page down",
    ),
    b(
        Action::Open,
        "open",
        &["enter", "right"],
        Group::Move,
        "open the selected line, go in",
    ),
    b(
        Action::Back,
        "back",
        &["esc", "left"],
        Group::Move,
        "go back",
    ),
    b(
        Action::NextPane,
        "next-pane",
        &["tab"],
        Group::Move,
        "next pane",
    ),
    b(
        Action::PreviousPane,
        "previous-pane",
        &["shift-tab"],
        Group::Move,
        "previous pane",
    ),
    b(
        Action::NextTab,
        "next-tab",
        &["]"],
        Group::Move,
        "next tab on the right",
    ),
    b(
        Action::PreviousTab,
        "previous-tab",
        &["["],
        Group::Move,
        "previous tab on the right",
    ),
    b(Action::Pane1, "nodes", &["1"], Group::Move, "nodes"),
    b(Action::Pane2, "services", &["2"], Group::Move, "services"),
    b(Action::Pane3, "volumes", &["3"], Group::Move, "volumes"),
    b(
        Action::Pane4,
        "certificates",
        &["4"],
        Group::Move,
        "certificates",
    ),
    b(Action::Pane5, "backups", &["5"], Group::Move, "backups"),
    b(
        Action::Help,
        "help",
        &["?", "f1"],
        Group::Console,
        "this help",
    ),
    b(
        Action::Palette,
        "palette",
        &[":", "ctrl-p"],
        Group::Console,
        "every action by name",
    ),
    b(
        Action::Suspend,
        "suspend",
        &["ctrl-z"],
        Group::Console,
        "suspend; `fg` comes back",
    ),
    b(
        Action::Redraw,
        "redraw",
        &["ctrl-l"],
        Group::Console,
        "draw the screen anew",
    ),
    b(
        Action::Interrupt,
        "interrupt",
        &["ctrl-c"],
        Group::Console,
        "cancel what is open, else ask to quit",
    ),
    b(
        Action::Quit,
        "quit",
        &["q"],
        Group::Console,
        "go back, then quit",
    ),
];

/// The action of a name, as in `[keys]`.
pub(super) fn named(name: &str) -> Option<Action> {
    TABLE.iter().find(|b| b.name == name).map(|b| b.action)
}

/// A key with its modifiers, comparable.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub struct Key {
    code: KeyCode,
    modifiers: KeyModifiers,
}

impl From<KeyEvent> for Key {
    fn from(event: KeyEvent) -> Self {
        let mut modifiers = event.modifiers & (KeyModifiers::CONTROL | KeyModifiers::ALT);
        let code = match event.code {
            // The letter says already whether shift was held.
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

/// Named keys.
const NAMES: [(&str, KeyCode); 15] = [
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

/// Reads a key as it is written in `[keys]`: `d`, `G`, `?`, `f5`, `ctrl-d`, `shift-tab`, `alt-x`.
///
/// # Errors
/// What is allowed.
pub fn parse_key(text: &str) -> Result<Key, String> {
    let allowed = || {
        format!(
            "{text:?} is no key: write a character, or one of {}, f1 to f12, with ctrl-, alt- or shift- before it",
            NAMES.map(|(name, _)| name).join(", ")
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
        _ => NAMES
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
        return Err(format!("{text:?}: write the shifted character itself"));
    }
    if code == KeyCode::Tab && modifiers == KeyModifiers::SHIFT {
        return Ok(Key {
            code: KeyCode::BackTab,
            modifiers: KeyModifiers::NONE,
        });
    }
    Ok(Key { code, modifiers })
}

impl fmt::Display for Key {
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
                let name = NAMES
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
    bindings: Vec<(Key, Action)>,
}

impl Default for KeyMap {
    fn default() -> Self {
        // The table is checked by a test.
        Self::with(&BTreeMap::new()).unwrap_or(Self {
            bindings: Vec::new(),
        })
    }
}

impl KeyMap {
    /// The table's keys, with those of `[keys]` instead where it names an action.
    ///
    /// # Errors
    /// One sentence that names the action: an unknown one, with the nearest that exists; a key
    /// that can't be read; a key that two actions want.
    pub fn with(overrides: &BTreeMap<String, Vec<String>>) -> Result<Self, (String, String)> {
        for name in overrides.keys() {
            if !TABLE.iter().any(|b| b.name == name) {
                let near = nearest(name, TABLE.iter().map(|b| b.name));
                let hint = near.map_or_else(String::new, |n| format!("; did you mean {n:?}?"));
                return Err((name.clone(), format!("there is no action {name:?}{hint}")));
            }
        }
        let mut bindings: Vec<(Key, Action)> = Vec::new();
        // Own keys first: they win over another action's default.
        for own in [true, false] {
            for binding in TABLE {
                let chosen = overrides.get(binding.name);
                if chosen.is_some() != own {
                    continue;
                }
                let defaults = || binding.keys.iter().map(|k| (*k).to_owned()).collect();
                for text in chosen.cloned().unwrap_or_else(defaults) {
                    let named = |e| (binding.name.to_owned(), e);
                    let key = parse_key(&text).map_err(named)?;
                    match bindings.iter().find(|(k, _)| *k == key) {
                        Some((_, other)) if own => {
                            let other = name_of(*other);
                            let both = format!("{text:?} is the key of {other:?} too");
                            return Err(named(both));
                        }
                        Some(_) => {}
                        None => bindings.push((key, binding.action)),
                    }
                }
            }
        }
        Ok(Self { bindings })
    }

    /// What the key asks for.
    pub fn action(&self, event: KeyEvent) -> Option<Action> {
        let key = Key::from(event);
        self.bindings
            .iter()
            .find(|(k, _)| *k == key)
            .map(|(_, a)| *a)
    }

    /// The keys of an action, for people.
    pub fn keys(&self, action: Action) -> String {
        let keys: Vec<String> = self
            .bindings
            .iter()
            .filter(|(_, a)| *a == action)
            .map(|(k, _)| k.to_string())
            .collect();
        keys.join(" ")
    }

    /// The first key of an action.
    pub fn key(&self, action: Action) -> Option<String> {
        self.bindings
            .iter()
            .find(|(_, a)| *a == action)
            .map(|(k, _)| k.to_string())
    }
}

fn name_of(action: Action) -> &'static str {
    TABLE
        .iter()
        .find(|b| b.action == action)
        .map_or("", |b| b.name)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_default_key_is_read_and_belongs_to_one_action() {
        let map = KeyMap::with(&BTreeMap::new()).unwrap();
        let written: usize = TABLE.iter().map(|b| b.keys.len()).sum();
        assert_eq!(map.bindings.len(), written, "a default key stands twice");
        let mut names: Vec<_> = TABLE.iter().map(|b| b.name).collect();
        names.sort_unstable();
        names.dedup();
        assert_eq!(names.len(), TABLE.len(), "a name stands twice");
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
            KeyMap::with(
                &pairs
                    .map(|(a, k)| ((*a).to_owned(), vec![(*k).to_owned()]))
                    .collect(),
            )
        };
        let map = own(&[("deploy", "n")]).unwrap();
        assert_eq!(map.keys(Action::Deploy), "n");
        let event = |c| KeyEvent::new(KeyCode::Char(c), KeyModifiers::NONE);
        assert_eq!(map.action(event('n')), Some(Action::Deploy));
        assert_eq!(map.action(event('d')), None);
        // A default gives way to an own key.
        let map = own(&[("deploy", "s")]).unwrap();
        assert_eq!(map.action(event('s')), Some(Action::Deploy));
        let (action, message) = own(&[("deplyo", "n")]).unwrap_err();
        assert_eq!(action, "deplyo");
        assert!(message.contains("did you mean \"deploy\""), "{message}");
        assert!(own(&[("deploy", "n"), ("scale", "n")]).is_err());
        assert!(own(&[("deploy", "hyper-n")]).is_err());
    }
}
