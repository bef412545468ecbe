//! The first look of all: no config.toml, no engine.

use matou::ui::fixture::{self, THEME};
use matou::ui::msg::Beginning;
use matou::ui::{Effect, Msg};

use crate::Console;

fn first_console() -> Console {
    Console(fixture::example_app_without_config(
        fixture::example_fleet(),
        THEME,
    ))
}

#[test]
fn three_ways_lead_on() {
    let mut c = first_console();
    c.shows("Welcome to matou");
    assert_eq!(c.press("n"), [Effect::Begin(Beginning::NameServers)]);
    // It was not done: the other ways are still there.
    c.take(Msg::Resumed);
    assert_eq!(c.press("p"), [Effect::Begin(Beginning::PracticeFleet)]);
    assert!(c.press("x\n").is_empty());
    c.shows("Welcome to matou");
    c.press("\u{1b}");
    c.hides("Welcome to matou");
}
