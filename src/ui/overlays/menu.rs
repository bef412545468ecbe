//! What can be done with a node.

use crossterm::event::{KeyCode, KeyEvent};
use ratatui::Frame;
use ratatui::layout::Rect;
use ratatui::text::{Line, Span};

use super::{Overlay, PlanView, Reply, choices, moved, window};
use crate::model::Availability;
use crate::ops::Request;
use crate::ui::state::App;

/// Letter, what it does, and how the scheduler then treats the node.
const CHOICES: [(char, &str, Availability); 3] = [
    ('d', "drain: move every task away", Availability::Drain),
    ('a', "activate: take tasks again", Availability::Active),
    ('p', "pause: place no new tasks", Availability::Pause),
];

pub(in crate::ui) struct Menu {
    node: String,
    at: usize,
}

impl Menu {
    pub(in crate::ui) fn of(node: &str) -> Self {
        Self {
            node: node.to_owned(),
            at: 0,
        }
    }

    pub(super) fn key(&mut self, app: &mut App, key: KeyEvent) -> Reply {
        let chosen = match key.code {
            KeyCode::Esc | KeyCode::Char('q') => return Reply::close(),
            KeyCode::Enter => CHOICES.get(self.at),
            KeyCode::Char(c) => CHOICES.iter().find(|(letter, ..)| *letter == c),
            _ => None,
        };
        let Some((_, _, to)) = chosen else {
            moved(key, &mut self.at, CHOICES.len(), 4);
            return Reply::stay();
        };
        let request = Request::Availability {
            node: self.node.clone(),
            to: *to,
        };
        let (plan, effect) = PlanView::ask(app, request);
        Reply::replace(Overlay::Plan(plan)).with(effect)
    }

    pub(super) fn draw(&mut self, app: &App, frame: &mut Frame, screen: Rect) {
        let size = (36, CHOICES.len() as u16);
        let area = window(app, frame, screen, &self.node, "Esc back", size);
        let lines = CHOICES
            .iter()
            .map(|(letter, text, _)| {
                Line::from(vec![
                    Span::styled(format!("{letter}  "), app.theme.key()),
                    Span::raw(*text),
                ])
            })
            .collect();
        choices(app, frame, area, lines, self.at);
    }
}
