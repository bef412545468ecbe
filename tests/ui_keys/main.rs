//! Keys, and what they ask for.

mod alerts;
mod applications;
mod backups;
mod commands;
mod dashboard;
mod history;
mod keyboards;
mod linear;
mod logs;
mod marks;
mod names;
mod nodes;
mod palette;
mod read_only;
mod reason;
mod screen;
mod sorting;
mod welcome;

use crossterm::event::{Event as TerminalEvent, KeyCode, KeyEvent, KeyModifiers};
use matou::job::{Change, Check, Confirm, NodePlan, Plan, StagePlan, StepPlan};
use matou::model::Fleet;
use matou::ops::Request;
use matou::stack::AppName;
use matou::ui::fixture::{self, NOW, THEME};
use matou::ui::msg::Ticket;
use matou::ui::{App, Effect, Msg, update, view};
use ratatui::Terminal;
use ratatui::backend::TestBackend;

fn app_name(app: &str) -> AppName {
    app.parse().expect("a name of an application")
}

struct Console(App);

impl Console {
    fn new() -> Self {
        Self::on(fixture::example_fleet())
    }

    fn on(fleet: Fleet) -> Self {
        let mut console = Self(fixture::example_app(fleet, THEME));
        // The mouse needs to know where things are.
        console.screen();
        console
    }

    fn key(&mut self, code: KeyCode, modifiers: KeyModifiers) -> Vec<Effect> {
        let event = TerminalEvent::Key(KeyEvent::new(code, modifiers));
        self.take(Msg::Terminal(event))
    }

    fn take(&mut self, msg: Msg) -> Vec<Effect> {
        update(&mut self.0, msg, NOW)
    }

    /// Types; `\n` is Enter, `\u{1b}` Esc, `\u{8}` Backspace, `\t` Tab.
    fn press(&mut self, keys: &str) -> Vec<Effect> {
        keys.chars()
            .flat_map(|c| {
                let code = match c {
                    '\n' => KeyCode::Enter,
                    '\u{1b}' => KeyCode::Esc,
                    '\u{8}' => KeyCode::Backspace,
                    '\t' => KeyCode::Tab,
                    c => KeyCode::Char(c),
                };
                self.key(code, KeyModifiers::NONE)
            })
            .collect()
    }

    fn control(&mut self, c: char) -> Vec<Effect> {
        self.key(KeyCode::Char(c), KeyModifiers::CONTROL)
    }

    fn screen(&mut self) -> String {
        self.screen_of(120, 40)
    }

    fn screen_of(&mut self, width: u16, height: u16) -> String {
        let mut terminal = Terminal::new(TestBackend::new(width, height)).expect("a backend");
        let mut layout = None;
        terminal
            .draw(|f| layout = Some(view(&self.0, f)))
            .expect("drawn");
        self.0.take_layout(layout.expect("a layout"));
        terminal.backend().to_string()
    }

    #[track_caller]
    fn shows(&mut self, text: &str) {
        let screen = self.screen();
        assert!(screen.contains(text), "{text:?} is not on\n{screen}");
    }

    #[track_caller]
    fn hides(&mut self, text: &str) {
        let screen = self.screen();
        assert!(!screen.contains(text), "{text:?} is on\n{screen}");
    }
}

#[track_caller]
fn asked(effects: &[Effect]) -> (Ticket, Request) {
    match effects {
        [Effect::Plan { ticket, request }] => (*ticket, request.clone()),
        other => panic!("no plan was asked for: {other:?}"),
    }
}

fn plan(confirm: Confirm, what: &str) -> Plan {
    Plan {
        keep_going: false,
        title: "a job".into(),
        confirm,
        stages: vec![StagePlan {
            title: "a job".into(),
            phase: matou::job::StagePhase::default(),
            nodes: vec![NodePlan {
                node: "master".into(),
                steps: vec![StepPlan {
                    step: "step".into(),
                    check: Ok(Check::Change(vec![Change::add(what)])),
                    unreachable: false,
                }],
            }],
        }],
    }
}
