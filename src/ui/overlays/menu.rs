//! What can be done with a node.

use crossterm::event::{KeyCode, KeyEvent};
use ratatui::Frame;
use ratatui::layout::Rect;
use ratatui::text::{Line, Span};

use super::{Overlay, PlanView, Reply, choices, moved, window};
use crate::model::{Availability, Role};
use crate::ops::Request;
use crate::ui::state::App;

/// Letter, what it does, and the request for a node.
type Choice = (char, &'static str, fn(String) -> Request);

const CHOICES: [Choice; 9] = [
    ('d', "drain: move every task away", |node| {
        availability(node, Availability::Drain)
    }),
    ('a', "activate: take tasks again", |node| {
        availability(node, Availability::Active)
    }),
    ('p', "pause: place no new tasks", |node| {
        availability(node, Availability::Pause)
    }),
    ('r', "reboot, drained", |node| Request::Reboot { node }),
    ('u', "upgrade its packages", |node| Request::Upgrade {
        node,
    }),
    ('m', "promote: make it a manager", |node| {
        role(node, Role::Manager)
    }),
    ('w', "demote: make it a worker", |node| {
        role(node, Role::Worker)
    }),
    ('l', "leave the swarm", |node| Request::Leave { node }),
    ('x', "strike it off: it is lost", |node| {
        Request::RemoveNode { node }
    }),
];

fn availability(node: String, to: Availability) -> Request {
    Request::Availability { node, to }
}

fn role(node: String, to: Role) -> Request {
    Request::Role { node, to }
}

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
        let Some((_, _, request)) = chosen else {
            moved(key, &mut self.at, CHOICES.len(), 4);
            return Reply::stay();
        };
        let (plan, effect) = PlanView::ask(app, request(self.node.clone()));
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
