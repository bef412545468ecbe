//! Moving about: selection, filter, tabs, mouse, leaving, and any key at all.

use crossterm::event::{
    Event as TerminalEvent, KeyCode, KeyEvent, KeyModifiers, MouseButton, MouseEvent,
    MouseEventKind,
};
use matou::job::{Change, Check, Confirm, JobEvent, JobId, JobOutcome};
use matou::model::{Datum, Update};
use matou::ops::{Request, ShellTarget};
use matou::ui::fixture::{self, NOW};
use matou::ui::{Effect, Msg};
use proptest::prelude::*;

use crate::{Console, app_name, asked, plan};

#[test]
fn the_selection_stays_on_the_same_thing_when_rows_come_and_go() {
    let mut c = Console::new();
    c.press("2j");
    c.shows("● ▸ blog");
    let mut swarm = fixture::example_fleet()
        .swarm
        .value()
        .expect("read")
        .clone();
    let mut new = swarm.services[0].clone();
    new.id = "s-aaa".into();
    new.name = "aaa_web".into();
    new.stack = Some("aaa".into());
    swarm.services.insert(0, new);
    let datum = Datum::Swarm(Ok(swarm));
    c.take(Msg::Fleet(Update { at: NOW, datum }));
    assert_eq!(asked(&c.press("x")).1, Request::remove(app_name("blog")));
}

#[test]
fn a_filter_is_live_and_esc_ends_it() {
    let mut c = Console::new();
    c.press("2/shp");
    c.shows("1 of 2");
    c.hides("1/1 blog");
    c.press("\n");
    c.shows("1 of 2");
    c.press("\u{1b}");
    c.shows("1/1 blog");
}

/// The example's swarm, changed.
fn swarm_with(change: impl FnOnce(&mut matou::model::Swarm)) -> Msg {
    let fleet = fixture::example_fleet();
    let mut swarm = fleet.swarm.value().expect("read").clone();
    change(&mut swarm);
    let datum = Datum::Swarm(Ok(swarm));
    Msg::Fleet(Update { at: NOW, datum })
}

#[test]
fn what_contains_the_word_comes_before_what_has_its_letters() {
    let mut c = Console::new();
    c.take(swarm_with(|swarm| {
        let mut other = swarm.services[0].clone();
        other.id = "s-other".into();
        other.name = "super-hotel-open-plage_web".into();
        other.stack = Some("super-hotel-open-plage".into());
        swarm.services.insert(0, other);
    }));
    c.press("2/shop\n");
    c.shows("1 of 3");
    assert_eq!(asked(&c.press("x")).1, Request::remove(app_name("shop")));
    let mut c = Console::new();
    c.press(":undo");
    c.shows("▸ restore-undo");
    c.hides("upgrade");
}

#[test]
fn a_task_that_waits_to_be_tried_again_does_not_hide_the_one_that_failed() {
    use matou::model::TaskState;
    let mut c = Console::new();
    c.take(swarm_with(|swarm| {
        let of = swarm.services[0].id.clone();
        let at = swarm.tasks.iter().position(|t| t.service_id == of);
        let at = at.expect("a task of it");
        let failed = &mut swarm.tasks[at];
        (failed.state, failed.desired) = (TaskState::Failed, TaskState::Shutdown);
        failed.error = "task: non-zero exit (3)".into();
        let mut next = failed.clone();
        next.id = "t-next".into();
        (next.state, next.desired) = (TaskState::Ready, TaskState::Ready);
        next.error = String::new();
        swarm.tasks.insert(at, next);
    }));
    c.press("2j");
    c.shows("non-zero exit (3)");
}

#[test]
fn leaving_asks_while_a_job_runs() {
    let mut c = Console::new();
    assert_eq!(c.press("q"), [Effect::Quit]);
    let id = JobId(1);
    let request = Request::remove(app_name("x"));
    c.take(Msg::JobStarted { id, request });
    c.press("\u{1b}");
    assert_eq!(c.press("q"), []);
    c.shows("A job runs");
    assert_eq!(c.press("c"), [Effect::CancelJob(id)]);
    let took = std::time::Duration::ZERO;
    let finished = JobEvent::Finished {
        outcome: JobOutcome::Cancelled,
        took,
    };
    assert_eq!(
        c.take(Msg::Job {
            id,
            event: finished
        }),
        [Effect::Quit]
    );
}

#[test]
fn ctrl_c_closes_what_is_open_and_then_asks() {
    let mut c = Console::new();
    c.press("d");
    assert_eq!(c.control('c'), []);
    c.hides("Catalogue");
    assert_eq!(c.control('c'), []);
    c.shows("Leave?");
    assert_eq!(c.press("y"), [Effect::Quit]);
    assert_eq!(c.control('z'), [Effect::Suspend]);
    assert_eq!(c.control('l'), [Effect::Redraw]);
    assert_eq!(c.take(Msg::Terminate), [Effect::Quit]);
    assert_eq!(c.take(Msg::Resumed), [Effect::Redraw, Effect::Refresh]);
}

#[test]
fn a_failure_is_told_where_the_eye_is_and_opened_by_enter() {
    let mut c = Console::new();
    let text =
        "worker-02: `docker stack rm x` ended with exit code 1: permission denied ".repeat(3);
    c.take(Msg::Notice { text, error: true });
    c.shows("(Enter: more)");
    c.press("\n");
    c.shows("What happened");
    c.press("\u{1b}");
    c.hides("(Enter: more)");
}

#[test]
fn the_mouse_selects_rows_tabs_and_turns_lists() {
    let mut c = Console::new();
    let screen = c.screen();
    let row = screen
        .lines()
        .position(|l| l.contains("worker-02"))
        .expect("a row") as u16;
    let mouse = |kind, column, row| {
        let modifiers = KeyModifiers::NONE;
        Msg::Terminal(TerminalEvent::Mouse(MouseEvent {
            kind,
            column,
            row,
            modifiers,
        }))
    };
    c.take(mouse(MouseEventKind::Down(MouseButton::Left), 5, row));
    c.shows("worker-02.example.org port 22 does not answer");
    let top = c.screen();
    let top = top.lines().next().map_or(0, |_| 1);
    let line = c.screen().lines().nth(top).unwrap_or_default().to_owned();
    let tab = line
        .chars()
        .position(|ch| ch == 'T')
        .expect("the Tasks tab") as u16;
    // The test backend prints each line in quotes.
    c.take(mouse(MouseEventKind::Down(MouseButton::Left), tab - 1, 1));
    c.shows("task");
    c.take(mouse(MouseEventKind::ScrollUp, 5, row));
    c.screen();
    assert!(
        matches!(&c.press("e")[..], [Effect::Shell(ShellTarget::Node { node })] if node == "master")
    );
}

#[test]
fn a_reading_that_says_the_same_is_not_drawn() {
    let mut c = Console::new();
    c.0.take_dirty();
    let swarm = fixture::example_fleet()
        .swarm
        .value()
        .expect("read")
        .clone();
    let datum = Datum::Swarm(Ok(swarm.clone()));
    c.take(Msg::Fleet(Update { at: NOW, datum }));
    assert!(!c.0.take_dirty());
    let mut other = swarm;
    other.services[0].running = 0;
    let datum = Datum::Swarm(Ok(other));
    c.take(Msg::Fleet(Update { at: NOW, datum }));
    assert!(c.0.take_dirty());
}

#[test]
fn tabs_panes_zoom_and_jobs() {
    let mut c = Console::new();
    c.press("1]");
    c.shows("no tasks");
    c.press("2\t\t\t");
    c.shows("Repository main");
    c.press("z");
    c.shows("5 Backups");
    c.press("z2a\n");
    c.shows("unreachable");
    c.press("J");
    c.shows("No job was started");
}

fn any_key() -> impl Strategy<Value = TerminalEvent> {
    let code = prop_oneof![
        8 => prop::char::range(' ', '~').prop_map(KeyCode::Char),
        1 => Just(KeyCode::Enter),
        2 => Just(KeyCode::Esc),
        1 => Just(KeyCode::Tab),
        1 => Just(KeyCode::BackTab),
        1 => Just(KeyCode::Backspace),
        1 => Just(KeyCode::Up),
        1 => Just(KeyCode::Down),
        1 => Just(KeyCode::PageDown),
        1 => Just(KeyCode::End),
    ];
    let mouse = (0u16..220, 0u16..70, any::<bool>()).prop_map(|(column, row, click)| {
        let kind = match click {
            true => MouseEventKind::Down(MouseButton::Left),
            false => MouseEventKind::ScrollDown,
        };
        let modifiers = KeyModifiers::NONE;
        TerminalEvent::Mouse(MouseEvent {
            kind,
            column,
            row,
            modifiers,
        })
    });
    let control = prop::char::range('a', 'y')
        .prop_map(|c| TerminalEvent::Key(KeyEvent::new(KeyCode::Char(c), KeyModifiers::CONTROL)));
    prop_oneof![
        10 => code.prop_map(|c| TerminalEvent::Key(KeyEvent::new(c, KeyModifiers::NONE))),
        1 => control,
        2 => mouse,
        1 => Just(TerminalEvent::Paste("a\nb\u{1b}c".into())),
    ]
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(64))]
    #[test]
    fn no_keys_at_any_size_do_harm(
        events in prop::collection::vec(any_key(), 1..60),
        sizes in prop::collection::vec((1u16..210, 1u16..70), 1..4),
    ) {
        let mut c = Console::new();
        for (i, event) in events.into_iter().enumerate() {
            for effect in c.take(Msg::Terminal(event)) {
                if let Effect::Plan { ticket, .. } = effect {
                    let plan = Ok(plan(Confirm::TypeName("x".into()), "y"));
                    c.take(Msg::Planned { ticket, plan });
                }
            }
            let (width, height) = sizes[i % sizes.len()];
            c.screen_of(width, height);
        }
    }
}

/// How much of it is to be seen, how much it does, and its warnings stand beside the question.
#[test]
fn a_long_plan_hides_nothing_behind_its_question() {
    let mut c = Console::new();
    let (ticket, _) = asked(&c.press("1p"));
    let mut long = plan(Confirm::Ask, "package 0");
    let mut lines: Vec<Change> = (0..60)
        .map(|n| Change::add(format!("package {n}")))
        .collect();
    lines[50] = Change::modify("engine", "27", "28").with_warning("the engine restarts");
    long.stages[0].nodes[0].steps[0].check = Ok(Check::Change(lines));
    c.take(Msg::Planned {
        ticket,
        plan: Ok(long),
    });
    let first = c.screen_of(80, 24);
    for text in [
        "Go on? y / n",
        "1 node: 59 to add, 1 to change",
        "master: the engine restarts",
        "1-19 of 62, j k",
        "package 17",
    ] {
        assert!(first.contains(text), "{text:?} is not on\n{first}");
    }
    assert!(!first.contains("package 18"), "{first}");
    c.press("G");
    let last = c.screen_of(80, 24);
    assert!(
        last.contains("44-62 of 62") && last.contains("package 59"),
        "{last}"
    );
    assert!(last.contains("Go on? y / n"), "{last}");
}

#[test]
fn pasted_text_goes_where_text_is_typed() {
    let paste = |c: &mut Console, text: &str| {
        c.take(Msg::Terminal(TerminalEvent::Paste(text.into())));
        c.screen()
    };
    let mut c = Console::new();
    c.press(":");
    assert!(paste(&mut c, "re\u{1b}[2Jdeploy").contains(": redeploy"));
    let mut c = Console::new();
    c.press(":search\n");
    assert!(paste(&mut c, "error and sshd\n").contains("/ error and sshd"));
    let mut c = Console::new();
    c.press("2l/");
    assert!(paste(&mut c, "refused").contains("/refused_"));
    // Keys are not typed by pasting them, and no name of what is destroyed.
    let mut c = Console::new();
    let before = c.screen();
    assert_eq!(paste(&mut c, "x"), before);
    let (ticket, _) = asked(&c.press("2x"));
    let plan = plan(Confirm::TypeName("shop".into()), "gone");
    c.take(Msg::Planned {
        ticket,
        plan: Ok(plan),
    });
    paste(&mut c, "shop");
    assert_eq!(c.press("\n"), []);
}

/// Gives the plan that was asked for.
fn show_plan(
    c: &mut Console,
    effects: &[Effect],
    confirm: Confirm,
) -> (matou::ui::msg::Ticket, Request) {
    let (ticket, request) = asked(effects);
    let plan = Ok(plan(confirm, "gone"));
    c.take(Msg::Planned { ticket, plan });
    (ticket, request)
}

#[test]
fn a_job_that_starts_closes_what_led_to_it_and_nothing_else() {
    let mut c = Console::new();
    // A form, its plan, and then another form while the job has not begun yet.
    c.press("2j:place\n");
    let effects = c.press("worker-01\n");
    let (_, request) = show_plan(&mut c, &effects, Confirm::Ask);
    assert!(matches!(c.press("y")[..], [Effect::Run { .. }]));
    let id = JobId(1);
    c.take(Msg::JobStarted {
        id,
        request: request.clone(),
    });
    assert_eq!(c.press("c"), [Effect::CancelJob(id)], "its output is open");
    let mut c = Console::new();
    c.press("2j:place\n");
    let effects = c.press("worker-01\n");
    show_plan(&mut c, &effects, Confirm::Ask);
    c.press("y\u{1b}\u{1b}");
    c.press(":place\n");
    c.shows("Place blog");
    c.take(Msg::JobStarted { id, request });
    c.shows("began: J shows it");
    assert_eq!(c.press("c"), [], "it is typed into the form");
    c.shows("Place blog");
}

#[test]
fn a_job_that_was_confirmed_and_not_run_is_told_also_when_its_plan_is_closed() {
    let mut c = Console::new();
    let effects = c.press("2j:redeploy\n");
    let (ticket, _) = show_plan(&mut c, &effects, Confirm::Ask);
    c.press("y\u{1b}");
    assert_eq!(c.press("q"), [], "it is not left unasked meanwhile");
    c.press("\u{1b}");
    let plan = Err("no manager answers".into());
    c.take(Msg::Planned { ticket, plan });
    c.shows("was not run: no manager answers");
    assert_eq!(c.press("q"), [Effect::Quit]);
}

#[test]
fn a_letter_with_ctrl_is_not_the_letter() {
    let ctrl = |c: &mut Console, letter| c.key(KeyCode::Char(letter), KeyModifiers::CONTROL);
    let mut c = Console::new();
    c.press("1m");
    for letter in ['d', 'u', 'r', 'x'] {
        assert_eq!(ctrl(&mut c, letter), [], "ctrl-{letter}");
    }
    let mut c = Console::new();
    let effects = c.press("2j:redeploy\n");
    show_plan(&mut c, &effects, Confirm::Ask);
    assert_eq!(ctrl(&mut c, 'y'), []);
    assert!(matches!(c.press("y")[..], [Effect::Run { .. }]));
}

#[test]
fn leaving_when_the_job_has_just_ended_leaves() {
    let mut c = Console::new();
    let id = JobId(1);
    let request = Request::remove(app_name("x"));
    c.take(Msg::JobStarted { id, request });
    c.press("\u{1b}q");
    c.shows("A job runs");
    let event = JobEvent::Finished {
        outcome: JobOutcome::Done { changed: 1 },
        took: std::time::Duration::ZERO,
    };
    c.take(Msg::Job { id, event });
    assert_eq!(c.press("w"), [Effect::Quit]);
}

#[test]
fn another_job_that_begins_is_not_the_one_that_is_cancelled() {
    let mut c = Console::new();
    for n in 1..=2 {
        let request = Request::remove(app_name(&format!("x{n}")));
        c.take(Msg::JobStarted {
            id: JobId(n),
            request,
        });
        c.press("\u{1b}");
    }
    c.press("Jj");
    let request = Request::remove(app_name("x3"));
    c.take(Msg::JobStarted {
        id: JobId(3),
        request,
    });
    assert_eq!(c.press("c"), [Effect::CancelJob(JobId(1))]);
}

/// The first key line of the console, at the smallest size that is told as usable too.
#[test]
fn the_last_line_always_leads_on() {
    for keys in ["", "2", "2\n\n", "2l", "2A", "4", "5"] {
        for (width, height) in [(40, 12), (80, 24), (120, 40)] {
            let mut c = Console::new();
            c.press(keys);
            let screen = c.screen_of(width, height);
            let last = screen
                .trim_end()
                .lines()
                .last()
                .unwrap_or_default()
                .to_owned();
            for key in ["a ", "J ", ": ", "? "] {
                assert!(
                    last.contains(key),
                    "{keys:?} {width}: {key:?} is not in {last:?}"
                );
            }
            if keys == "2l" {
                assert!(last.contains("Esc"), "{last:?}");
            }
        }
    }
}

#[test]
fn an_overlay_says_its_own_keys_in_the_last_line() {
    let mut c = Console::new();
    c.press("a");
    let screen = c.screen_of(80, 24);
    let last = screen.trim_end().lines().last().unwrap_or_default();
    assert!(last.contains("i ignore"), "{last:?}");
    assert!(!last.contains("provision"), "{last:?}");
}

/// Without Shift the digits of a French keyboard are other characters, and brackets need AltGr.
#[test]
fn panes_and_tabs_are_reached_on_a_french_keyboard() {
    let mut c = Console::new();
    c.press("é");
    c.shows("Labels");
    for turn in ["]", ">"] {
        let mut c = Console::new();
        c.press("&");
        c.press(turn);
        c.shows("no tasks");
    }
    let mut c = Console::new();
    c.press("é\n\n");
    c.key(KeyCode::Right, KeyModifiers::NONE);
    c.shows("waiting for lines");
    c.key(KeyCode::Left, KeyModifiers::NONE);
    c.hides("waiting for lines");
    // From the first tab the arrow goes back to the list.
    c.key(KeyCode::Left, KeyModifiers::NONE);
    let screen = c.screen();
    assert!(
        !screen
            .trim_end()
            .lines()
            .last()
            .unwrap_or_default()
            .contains("Esc")
    );
}

#[test]
fn what_is_down_comes_first_and_problems_are_alone_with_their_key() {
    let mut fleet = fixture::example_fleet();
    let mut swarm = fleet.swarm.value().cloned().expect("a swarm");
    let web = swarm.services.iter_mut().find(|s| s.name == "shop_web");
    web.expect("shop_web").running = 0;
    let datum = Datum::Swarm(Ok(swarm));
    fleet.apply(Update { at: NOW, datum });
    let mut c = Console::on(fleet);
    let screen = c.screen();
    let (shop, blog) = (screen.find("▸ shop"), screen.find("▸ blog"));
    assert!(shop.is_some() && shop < blog, "{screen}");
    c.press("2!");
    c.shows(" 1 of 2 ");
    c.press("\u{1b}");
    c.hides(" 1 of 2 ");
}

#[test]
fn help_is_searched_by_words_and_esc_goes_back_step_by_step() {
    let mut c = Console::new();
    c.press("?");
    c.shows("Help");
    // Keys are text while it is typed: none of them closes the help or moves.
    c.press("/snapshot");
    c.shows("Help /snapshot_");
    c.shows("restore the selected application, snapshot, file or folder");
    c.hides("follow the log of the selected service");
    // The heading of what is found stays.
    c.shows("Jobs");
    c.hides("Looking");
    c.press(" q?");
    c.shows("nothing matches");
    c.press("\u{8}\u{8}\u{8}\n");
    c.shows("Help /snapshot ");
    // A key is found by its name too.
    c.press("/\u{1b}/ctrl-z\n");
    c.shows("suspend; `fg` comes back");
    c.hides("draw the screen anew");
    c.press("\u{1b}");
    c.shows("deploy an application from the catalogue");
    c.press("\u{1b}");
    c.hides("Help");
}

/// What stands in the help below its first heading, up to the next one.
fn keys_of_here(c: &mut Console) -> String {
    c.press("?");
    let screen = c.screen();
    let from = screen.find("│ Here ").expect("the first heading");
    let to = screen[from..].find("│ Jobs ").expect("the next heading");
    c.press("\u{1b}");
    screen[from..from + to].to_owned()
}

#[test]
fn help_begins_with_the_keys_of_where_one_is() {
    for (keys, has, has_not) in [
        ("1", "p                provision", "scale"),
        ("2", "s                scale", "provision"),
        ("5", "v                test restore", "provision"),
        ("2l", "w                wrap", "scale"),
        ("2A", "t                most frequent", "wrap"),
        (
            "1\n[",
            "t                an hour, a day, a week",
            "provision",
        ),
        ("0", "1-5              panes", "scale"),
    ] {
        let mut c = Console::new();
        c.press(keys);
        let here = keys_of_here(&mut c);
        assert!(here.contains(has), "{keys}: {here}");
        assert!(!here.contains(has_not), "{keys}: {here}");
    }
}

#[test]
fn the_help_opens_above_what_is_open_and_goes_back_to_it() {
    let mut c = Console::new();
    c.press("a?");
    c.shows(" Help ");
    c.press("?");
    c.hides(" Help ");
    c.shows("Enter goes there");
    // Asked for how long, one may look first: nothing is answered by that.
    c.press("i?\u{1b}");
    c.shows("ignored for how long?");
    c.press("\u{1b}\u{1b}");
    // Where text is typed it is a sign like others.
    c.press(":?");
    c.hides(" Help ");
    c.shows(": ?");
}

#[test]
fn what_is_typed_says_its_own_keys_and_keeps_the_cursor_in_sight() {
    let mut c = Console::new();
    c.press("2/sh");
    let screen = c.screen();
    let last = screen.trim_end().lines().last().unwrap_or_default();
    assert!(last.contains("Enter keeps it  Esc ends it"), "{last}");
    c.press("\n");
    c.shows("? help");
    c.press("d\n");
    c.press(&"x".repeat(80));
    c.press("END");
    c.shows("xxEND");
}

/// Clicks where the text begins that is in the row.
fn click(c: &mut Console, row: &str, text: &str) -> Vec<Effect> {
    let screen = c.screen();
    let lines: Vec<&str> = screen.lines().collect();
    let y = lines.iter().rposition(|l| l.contains(row)).expect("a row");
    let before = lines[y].split(text).next().expect("a text");
    // The test backend prints each line in quotes.
    let column = before.chars().count() - 1;
    let event = MouseEvent {
        kind: MouseEventKind::Down(MouseButton::Left),
        column: column as u16,
        row: y as u16,
        modifiers: KeyModifiers::NONE,
    };
    c.take(Msg::Terminal(TerminalEvent::Mouse(event)))
}

#[test]
fn the_mouse_presses_the_keys_that_are_on_the_screen() {
    let mut c = Console::new();
    c.screen();
    click(&mut c, "matou", "alert");
    c.shows("unreachable");
    click(&mut c, "Esc", "Esc");
    c.press("1");
    // A click on the word is one on its key.
    click(&mut c, "provision", "drain");
    c.shows("reboot, drained");
    // A line is selected first, then entered.
    click(&mut c, "pause: place", "pause");
    c.shows("pause: place");
    assert!(
        c.screen()
            .lines()
            .any(|l| l.contains("▸ p") || l.contains("> p")),
        "{}",
        c.screen()
    );
    let effects = click(&mut c, "pause: place", "pause");
    assert!(!effects.is_empty());
}
