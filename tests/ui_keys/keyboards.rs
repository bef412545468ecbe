//! Every key is reached without `AltGr` on French keyboards, as the tables of libxkbcommon say what those type.

use std::collections::{BTreeMap, BTreeSet};
use std::path::Path;

use crossterm::event::{KeyCode, KeyModifiers};
use matou::config::KeyboardLayout;
use matou::ui::KeyMap;
use matou::ui::fixture::{self, THEME};
use matou::ui::keymap::{Action, KEY_TABLE};
use regex::Regex;

use crate::Console;

/// What scripts/keyboards.py wrote of a layout.
struct Keyboard {
    name: &'static str,
    layout: KeyboardLayout,
    /// What each key types alone, with Shift and with `AltGr`, by its name.
    keys: BTreeMap<String, [String; 3]>,
}

impl Keyboard {
    /// Each that a French operator may have, and the layout that `[keys]` names for it.
    fn all() -> Vec<Self> {
        [
            ("azerty", KeyboardLayout::Azerty),
            ("azerty-latin9", KeyboardLayout::Azerty),
            ("bepo", KeyboardLayout::Bepo),
            ("bepo-afnor", KeyboardLayout::Bepo),
        ]
        .map(|(name, layout)| Self::read(name, layout))
        .into()
    }

    fn read(name: &'static str, layout: KeyboardLayout) -> Self {
        let folder = Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/files/keyboards");
        let text = std::fs::read_to_string(folder.join(format!("{name}.tsv"))).expect("a table");
        let keys = text.lines().map(|line| {
            let mut parts = line.split('\t').map(str::to_owned);
            let mut next = || parts.next().unwrap_or_default();
            (next(), [next(), next(), next()])
        });
        let keys: BTreeMap<_, _> = keys.collect();
        assert!(keys.len() > 45, "{name}: {} keys", keys.len());
        Self { name, layout, keys }
    }

    /// What is typed without `AltGr`.
    fn easy(&self) -> BTreeSet<char> {
        let levels = self.keys.values().flat_map(|levels| &levels[..2]);
        levels.flat_map(|text| text.chars()).collect()
    }

    fn keymap(&self) -> KeyMap {
        KeyMap::with_overrides(self.layout, &BTreeMap::new()).expect("a key map")
    }
}

/// Whether a key, as it is shown, is pressed without `AltGr`.
fn is_easy(shown: &str, easy: &BTreeSet<char>) -> bool {
    let key = shown.strip_prefix("Ctrl-").unwrap_or(shown);
    let mut chars = key.chars();
    match (chars.next(), chars.next()) {
        (Some(c), None) => easy.contains(&c),
        // A key with a name has no level.
        (first, _) => first.is_some(),
    }
}

#[test]
fn every_action_is_reached_without_altgr() {
    for keyboard in Keyboard::all() {
        let (keymap, easy) = (keyboard.keymap(), keyboard.easy());
        for binding in KEY_TABLE.iter().filter(|b| !b.keys.is_empty()) {
            let keys = keymap.format_keys(binding.action);
            assert!(
                keys.split(' ').any(|key| is_easy(key, &easy)),
                "{}: {} is {keys}",
                keyboard.name,
                binding.name
            );
        }
        // Actions without a key of their own are in the palette: its key, and the letters of their names.
        for name in KEY_TABLE.iter().map(|b| b.name) {
            let hard = name.chars().find(|c| !easy.contains(c));
            assert_eq!(hard, None, "{}: {name}", keyboard.name);
        }
    }
}

/// The first key of what is told in hints is one that the keyboard has.
#[test]
fn panes_are_the_keys_of_the_digits_without_shift() {
    let digits = [
        (Action::Dashboard, "AE10"),
        (Action::Pane1, "AE01"),
        (Action::Pane2, "AE02"),
        (Action::Pane3, "AE03"),
        (Action::Pane4, "AE04"),
        (Action::Pane5, "AE05"),
    ];
    for keyboard in Keyboard::all() {
        let keymap = keyboard.keymap();
        for (action, key) in digits {
            let [alone, shifted, _] = &keyboard.keys[key];
            let keys = keymap.format_keys(action);
            assert_eq!(keys, format!("{shifted} {alone}"), "{}", keyboard.name);
        }
    }
}

/// Views and questions have fixed keys: those that stand in the source.
#[test]
fn fixed_keys_of_views_need_no_altgr() {
    let arms = Regex::new(r"KeyCode::Char\(('.'(?: \| '.')*)\)").expect("a pattern");
    let one = Regex::new("'(.)'").expect("a pattern");
    let mut fixed = BTreeSet::new();
    let mut folders = vec![Path::new(env!("CARGO_MANIFEST_DIR")).join("crates/ui/src")];
    while let Some(folder) = folders.pop() {
        for entry in std::fs::read_dir(folder).expect("a folder") {
            let path = entry.expect("an entry").path();
            if path.is_dir() {
                folders.push(path);
                continue;
            }
            let source = std::fs::read_to_string(&path).expect("a source file");
            for arm in arms.captures_iter(&source) {
                let chars = one.captures_iter(&arm[1]);
                fixed.extend(chars.filter_map(|c| c[1].chars().next()));
            }
        }
    }
    assert!(fixed.len() > 20, "{fixed:?}");
    for keyboard in Keyboard::all() {
        let easy = keyboard.easy();
        let hard: Vec<_> = fixed.difference(&easy).collect();
        assert!(hard.is_empty(), "{}: {hard:?}", keyboard.name);
    }
}

#[test]
fn the_preset_of_bepo_goes_to_panes_and_tabs() {
    let keys = "[keys]\nlayout = \"bepo\"\n";
    let app = fixture::example_app_with_commands(fixture::example_fleet(), THEME, keys, false);
    let mut c = Console(app.expect("a console"));
    c.screen();
    c.press("«");
    c.shows("Labels");
    c.press("\"");
    c.shows("root@master.example.org");
    c.key(KeyCode::Right, KeyModifiers::CONTROL);
    c.shows("no tasks");
    c.press("*");
    c.shows("Lately");
    // What AZERTY types there is no pane's key.
    c.press("é");
    c.shows("Lately");
}
