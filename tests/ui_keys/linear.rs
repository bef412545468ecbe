//! The console as lines.

use matou::ui::linear::{linear_page, linear_theme, take_line};

use super::*;

struct Lines(App);

impl Lines {
    fn new() -> Self {
        let mut app = fixture::example_app(fixture::example_fleet(), linear_theme());
        linear_page(&mut app);
        Self(app)
    }

    /// Gives a line. Returns what it asks for.
    fn give(&mut self, line: &str) -> Vec<Effect> {
        let events = take_line(&self.0, line).unwrap_or_else(|why| panic!("{line}: {why}"));
        let effects = events
            .into_iter()
            .flat_map(|event| update(&mut self.0, Msg::Terminal(event), NOW))
            .collect();
        linear_page(&mut self.0);
        effects
    }

    fn page(&mut self) -> String {
        linear_page(&mut self.0).join("\n")
    }

    fn tells(&mut self, text: &str) {
        let page = self.page();
        assert!(page.contains(text), "{text:?} is not in\n{page}");
    }
}

#[test]
fn lists_have_numbers_and_words_for_signs() {
    let mut c = Lines::new();
    c.give(".1");
    c.tells("Nodes:");
    c.tells("1 selected: well, master");
    c.tells("3 down, worker-02, unreachable");
    c.give("3");
    c.tells("3 selected: down, worker-02");
    c.give("enter");
    c.tells("worker-02, Overview:");
    c.tells("port 22 does not answer");
    c.give("esc");
    assert!(take_line(&c.0, "9").is_err());
    assert!(take_line(&c.0, "yes").is_err());
    assert!(take_line(&c.0, "=text").is_err());
}

#[test]
fn what_is_typed_and_what_is_chosen_goes_by_lines() {
    let mut c = Lines::new();
    c.give(".1");
    c.give("m");
    c.tells("1 selected: d, drain: move every task away");
    // The third of the menu: it leads to a plan.
    assert!(matches!(&c.give("3")[..], [Effect::Plan { .. }]));
    c.give("esc");
    c.give("esc");
    c.give(":");
    c.give("back up every");
    c.tells("back up every");
    c.give("esc");
    c.give(".2");
    c.give("/");
    c.give("sho");
    c.give("enter");
    let page = c.page();
    assert!(
        page.contains("shop") && !page.contains("blog, 1/1"),
        "{page}"
    );
}

#[test]
fn no_line_has_a_sign_that_a_voice_stumbles_over() {
    let mut c = Lines::new();
    for keys in [
        ".1", ".2", ".3", ".4", ".5", ".0", "?", "esc", "a", "esc", ":", "esc", "J",
    ] {
        c.give(keys);
        for line in c.page().lines() {
            assert!(line.is_ascii(), "{keys}: {line}");
            assert!(
                !line.contains("---") && !line.starts_with('|'),
                "{keys}: {line}"
            );
        }
    }
}
