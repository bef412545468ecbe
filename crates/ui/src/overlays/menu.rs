//! What can be done with a node.

use crossterm::event::{KeyCode, KeyEvent};
use matou_i18n::{Text, both, tr};
use ratatui::Frame;
use ratatui::layout::Rect;
use ratatui::text::{Line, Span};

use super::batch::{BatchWish, open_wishes};
use super::plan::reply_with_plan;
use super::{draw_choices, draw_window, move_by_key};
use crate::layout::ScrollLayout;
use crate::overlay::{Overlay, OverlayReply};
use crate::state::App;
use matou_model::{Availability, Role};
use matou_ops::Request;

/// Letter, what it does, and the request for a node.
type NodeMenuChoice = (char, Text, fn(String) -> Request);

const NODE_MENU_CHOICES: [NodeMenuChoice; 9] = [
    ('d', both!("drain: move every task away"), |node| {
        availability_request(node, Availability::Drain)
    }),
    ('a', both!("activate: take tasks again"), |node| {
        availability_request(node, Availability::Active)
    }),
    ('p', both!("pause: place no new tasks"), |node| {
        availability_request(node, Availability::Pause)
    }),
    ('r', both!("reboot, drained"), |node| Request::Reboot {
        node,
    }),
    ('u', both!("upgrade its packages"), |node| {
        Request::Upgrade { node }
    }),
    ('m', both!("promote: make it a manager"), |node| {
        role_request(node, Role::Manager)
    }),
    ('w', both!("demote: make it a worker"), |node| {
        role_request(node, Role::Worker)
    }),
    ('l', both!("leave the swarm"), |node| Request::Leave {
        node,
    }),
    ('x', both!("remove it for good: it is lost"), |node| {
        Request::RemoveNode { node }
    }),
];

fn availability_request(node: String, to: Availability) -> Request {
    Request::Availability { node, to }
}

fn role_request(node: String, to: Role) -> Request {
    Request::Role { node, to }
}

pub(crate) struct NodeMenuOverlay {
    nodes: Vec<String>,
    at: usize,
}

impl NodeMenuOverlay {
    /// Of one node, or of several that are marked.
    pub(crate) fn for_nodes(nodes: Vec<String>) -> Self {
        Self { nodes, at: 0 }
    }
}

impl Overlay for NodeMenuOverlay {
    fn handle_key(&mut self, app: &mut App, key: KeyEvent) -> OverlayReply {
        let chosen = match key.code {
            KeyCode::Esc | KeyCode::Char('q') => return OverlayReply::close(),
            KeyCode::Enter => NODE_MENU_CHOICES.get(self.at),
            KeyCode::Char(c) => NODE_MENU_CHOICES.iter().find(|(letter, ..)| *letter == c),
            _ => None,
        };
        let Some((_, text, request)) = chosen else {
            move_by_key(key, &mut self.at, NODE_MENU_CHOICES.len(), 4);
            return OverlayReply::stay();
        };
        if let [node] = self.nodes.as_slice() {
            return reply_with_plan(app, request(node.clone()));
        }
        let text = text.get();
        let verb = text
            .split([' ', '\u{a0}', '\u{202f}', ':', ','])
            .next()
            .unwrap_or(text);
        let wishes = self.nodes.iter().cloned().map(request);
        let wishes = wishes.map(BatchWish::Request).collect();
        let mut reply = OverlayReply::close();
        reply.effects = open_wishes(app, verb, wishes);
        reply
    }

    fn draw(&self, app: &App, frame: &mut Frame, screen: Rect) -> ScrollLayout {
        let size = (36, NODE_MENU_CHOICES.len() as u16);
        let title = self.nodes.join(", ");
        let area = draw_window(app, frame, screen, &title, tr!("Esc back"), size);
        let lines = NODE_MENU_CHOICES
            .iter()
            .map(|(letter, text, _)| {
                Line::from(vec![
                    Span::styled(format!("{letter}  "), app.theme.key()),
                    Span::raw(*text),
                ])
            })
            .collect();
        draw_choices(app, frame, area, lines, self.at).into()
    }

    fn leads_to_plan(&self) -> bool {
        true
    }
}
