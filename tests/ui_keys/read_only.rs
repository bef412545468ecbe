//! A read-only console: every key and every action, and none that asks for a change.

use crossterm::event::{KeyCode, KeyModifiers};
use matou::job::{JobId, JobOutcome};
use matou::model::{Ban, NodeBans};
use matou::ops::Request;
use matou::ui::fixture::{self, THEME};
use matou::ui::keymap::KEY_TABLE;
use matou::ui::{Effect, Msg};

use crate::{Console, app_name};

/// What may leave a read-only console, and nothing else.
#[track_caller]
fn only_look(effects: &[Effect], after: &str) {
    for effect in effects {
        let looks = matches!(
            effect,
            Effect::Quit
                | Effect::Suspend
                | Effect::Redraw
                | Effect::Refresh
                | Effect::Compare
                | Effect::FindNewerVersions { .. }
                | Effect::Bans { .. }
                | Effect::Intrusions { .. }
                | Effect::ReadPastJobs { .. }
                | Effect::SearchLogs { .. }
                | Effect::FollowLogs { .. }
                | Effect::FollowAccess { .. }
                | Effect::StopFollowing(_)
                | Effect::ReadSnapshot { .. }
                | Effect::Alarm { .. }
                | Effect::Copy(_)
        );
        assert!(looks, "{after}: {effect:?} left a read-only console");
    }
}

fn read_only() -> Console {
    let app = fixture::example_app_read_only(fixture::example_fleet(), THEME);
    let mut console = Console(app);
    console.screen();
    console
}

/// Answers what overlays asked, so that they have rows to choose from.
fn answer(c: &mut Console, effects: &[Effect]) {
    for effect in effects {
        if let Effect::Bans { ticket } = effect {
            let ban = Ban {
                address: "192.0.2.7".into(),
                jail: "sshd".into(),
                since: None,
                until: None,
            };
            let found = vec![NodeBans {
                node: "master".into(),
                bans: vec![ban],
                problem: None,
            }];
            c.take(Msg::Bans {
                ticket: *ticket,
                found,
            });
        }
    }
}

/// Goes to a row of a pane, on its right side to a tab when one is given.
fn go_to(c: &mut Console, pane: char, row: usize, tab: Option<usize>) {
    c.press(&"\u{1b}".repeat(8));
    c.press(&format!("{pane}g{}", "j".repeat(row)));
    if let Some(tab) = tab {
        // What has children shows them first.
        c.press(&format!("l{}", "]".repeat(tab)));
    }
}

/// Keys that confirm or choose in whatever was opened.
const CHOOSING: &str = "\nyuRrEcs1dx\n\ny";

#[test]
fn no_action_of_a_read_only_console_asks_for_a_change() {
    let mut c = read_only();
    for pane in ['1', '2', '3', '4', '5'] {
        for row in 0..5 {
            for binding in KEY_TABLE {
                for choosing in [true, false] {
                    go_to(&mut c, pane, row, None);
                    let after = format!("{} in pane {pane}", binding.name);
                    let effects = c.press(&format!(":{}\n", binding.name));
                    only_look(&effects, &after);
                    answer(&mut c, &effects);
                    if choosing {
                        for key in CHOOSING.chars() {
                            let effects = c.press(&key.to_string());
                            only_look(&effects, &format!("{after}, then {key:?}"));
                        }
                    }
                }
            }
        }
    }
}

#[test]
fn no_key_of_a_read_only_console_asks_for_a_change() {
    let mut c = read_only();
    let id = JobId(1);
    let apps = vec![app_name("blog")];
    let request = Request::Backup { apps };
    only_look(
        &c.take(Msg::FoundRunning {
            request: request.clone(),
        }),
        "a backup that runs",
    );
    c.take(Msg::JobStarted { id, request });
    let named = [KeyCode::Enter, KeyCode::Delete, KeyCode::Insert];
    let letters = (' '..='~').map(KeyCode::Char);
    let keys: Vec<_> = letters.chain(named).collect();
    for pane in ['1', '2', '3', '4', '5'] {
        for row in 0..4 {
            for tab in [None, Some(0), Some(1), Some(2), Some(3), Some(6)] {
                for code in &keys {
                    for modifiers in [KeyModifiers::NONE, KeyModifiers::CONTROL] {
                        go_to(&mut c, pane, row, tab);
                        let effects = c.key(*code, modifiers);
                        only_look(&effects, &format!("{code:?} in pane {pane}"));
                        answer(&mut c, &effects);
                        for then in ['\n', 'y', 'c', 'u'] {
                            let effects = c.press(&then.to_string());
                            only_look(&effects, &format!("{code:?}, {then:?} in pane {pane}"));
                        }
                    }
                }
            }
        }
    }
}

#[test]
fn a_read_only_console_says_what_it_is_and_refuses_in_one_sentence() {
    let mut c = read_only();
    c.shows(" read-only ");
    // No key is offered that would be refused.
    c.press("2j");
    c.hides("d deploy");
    c.shows("l logs");
    for key in ["d", "x", "b", "B", "s", "S", "r", "v"] {
        assert_eq!(c.press(key), [], "{key}");
        c.shows("this console is read-only: no job is planned or run");
        c.hides("reading what is there");
    }
    assert_eq!(c.press("e"), []);
    c.shows("this console is read-only: no shell is opened");
    // A log is followed as ever, and not saved.
    let followed = c.press("l");
    assert!(matches!(followed[..], [Effect::FollowLogs { .. }]));
    assert_eq!(c.press("o"), []);
    c.shows("this console is read-only: no file is written");
    // A snapshot is read.
    c.press("\u{1b}\u{1b}5");
    let mut c = Console::new();
    c.hides("read-only");
}

#[test]
fn a_job_that_ends_elsewhere_is_no_refusal() {
    let mut c = read_only();
    let id = JobId(1);
    let request = Request::RestoreAll;
    c.take(Msg::JobStarted { id, request });
    c.press("\u{1b}");
    let outcome = JobOutcome::Done { changed: 1 };
    let took = std::time::Duration::from_secs(1);
    let event = matou::job::JobEvent::Finished { outcome, took };
    c.take(Msg::Job { id, event });
    c.hides("this console is read-only");
}
