//! The dashboard: opened, gone through, left for a pane and come back to.

use crossterm::event::{
    Event as TerminalEvent, KeyCode, KeyEvent, KeyModifiers, MouseButton, MouseEvent,
    MouseEventKind,
};
use matou::model::{Datum, Update};
use matou::ui::fixture::{self, NOW};
use matou::ui::{Effect, Msg};

use crate::{Console, asked};

#[test]
fn zero_opens_and_closes_it_on_both_keyboards_and_the_palette_has_it() {
    for key in ["0", "à", ":dashboard\n"] {
        let mut c = Console::new();
        c.hides("Lately");
        assert_eq!(c.press(key), []);
        c.shows("Lately");
        c.press("\u{1b}");
        c.hides("Lately");
        c.press("00");
        c.hides("Lately");
    }
    // Going back is no leaving.
    let mut c = Console::new();
    c.press("0");
    assert_eq!(c.press("q"), []);
    assert_eq!(c.press("q"), [Effect::Quit]);
}

#[test]
fn what_the_console_begins_with_is_left_for_the_panes_or_quit() {
    let home = || {
        let mut c = Console::new();
        c.0.begin_with_dashboard();
        c.shows("Lately");
        c
    };
    let mut c = home();
    assert_eq!(c.press("q"), [Effect::Quit]);
    // What lies behind it is none of that key's.
    let mut c = home();
    c.press("2l0");
    c.shows("Lately");
    assert_eq!(c.press("q"), [Effect::Quit]);
    let mut c = home();
    c.press("\u{1b}");
    c.hides("Lately");
    c.press("0q");
    c.hides("Lately");
    assert_eq!(c.press("q"), [Effect::Quit]);
    // From red to reason: the worst is selected, whatever was read first.
    let mut c = home();
    c.press("\n");
    c.shows("worker-02.example.org port 22 does not answer");
    c.press("\u{1b}");
    assert_eq!(c.press("q"), [Effect::Quit]);
}

#[test]
fn enter_goes_to_where_a_row_belongs_and_esc_comes_back() {
    // The first row of each part, problems first.
    for (parts, shown) in [
        ("", "worker-02.example.org port 22 does not answer"),
        ("\t", "root@worker-02.example.org"),
        ("\t\t", "╭ shop "),
        ("\t\t\t", "╭ main "),
        ("\t\t\t\t", "╭ shop.example.org "),
    ] {
        let mut c = Console::new();
        c.press("0");
        c.press(parts);
        c.press("\n");
        c.hides("Lately");
        c.shows(shown);
        c.press("\u{1b}");
        c.shows("Lately");
        // The selection is where it was.
        c.press("\n");
        c.shows(shown);
    }
}

#[test]
fn a_pane_that_was_gone_into_leads_back_step_by_step() {
    let mut c = Console::new();
    c.press("0\t\t\n");
    c.press("\n\n");
    c.hides("Lately");
    c.press("\u{1b}");
    c.hides("Lately");
    c.press("\u{1b}");
    c.shows("Lately");
    // A dashboard that was closed does not come back.
    c.press("\u{1b}\u{1b}\u{1b}");
    c.hides("Lately");
}

#[test]
fn no_job_is_asked_for_on_a_row_that_nobody_sees() {
    let mut c = Console::new();
    c.press("2j0");
    for key in ["x", "s", "S", "b", "r", "p", "m", "e", " "] {
        assert_eq!(c.press(key), [], "{key}");
        c.shows("not on the dashboard");
        c.shows("Lately");
    }
    c.press("\t\t\n");
    assert_eq!(
        asked(&c.press("x")).1,
        matou::ops::Request::remove(crate::app_name("shop"))
    );
}

#[test]
fn the_keys_of_a_view_behind_it_do_nothing() {
    let mut c = Console::new();
    c.press("2l0");
    assert_eq!(c.press("o"), [], "no log is saved");
    c.shows("Lately");
}

#[test]
fn a_click_selects_and_a_second_one_goes_there() {
    let mut c = Console::new();
    c.press("0");
    let screen = c.screen();
    let row = screen
        .lines()
        .position(|l| l.contains("● blog.example.org"));
    let row = row.expect("the certificate") as u16;
    let click = |c: &mut Console| {
        c.take(Msg::Terminal(TerminalEvent::Mouse(MouseEvent {
            kind: MouseEventKind::Down(MouseButton::Left),
            column: 70,
            row,
            modifiers: KeyModifiers::NONE,
        })));
        c.screen();
    };
    click(&mut c);
    c.shows("Lately");
    click(&mut c);
    c.shows("╭ blog.example.org ");
    c.hides("Lately");
}

#[test]
fn what_is_read_while_it_is_open_is_shown() {
    let mut c = Console::new();
    c.press("0");
    let mut swarm = fixture::example_fleet()
        .swarm
        .value()
        .expect("read")
        .clone();
    let mut new = swarm.services[0].clone();
    new.id = "s-wiki".into();
    new.name = "wiki_web".into();
    new.stack = Some("wiki".into());
    new.domains = vec!["wiki.example.org".into()];
    swarm.services.push(new);
    let datum = Datum::Swarm(Ok(swarm));
    c.take(Msg::Fleet(Update { at: NOW, datum }));
    c.shows("● wiki");
    // Nobody asked it yet: that is no zero.
    let line = c.screen();
    let line = line
        .lines()
        .find(|l| l.contains("● wiki"))
        .expect("its row");
    assert!(line.contains("no figures yet"), "{line}");
}

#[test]
fn charts_of_a_node_turn_from_an_hour_to_a_day_and_a_week() {
    let mut c = Console::new();
    c.press("1\n[");
    c.shows("an hour");
    c.press("t");
    c.shows("a day");
    c.shows("no figures yet");
    c.press("t");
    c.shows("a week");
    c.press("t");
    c.shows("an hour");
    let event = KeyEvent::new(KeyCode::Char('t'), KeyModifiers::NONE);
    c.take(Msg::Terminal(TerminalEvent::Key(event)));
    c.shows("a day");
}
