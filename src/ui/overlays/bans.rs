//! What fail2ban of the nodes shuts out: choose an address to let it in again.

use crossterm::event::{KeyCode, KeyEvent};
use ratatui::Frame;
use ratatui::layout::Rect;
use ratatui::text::{Line, Span};

use super::{Overlay, PlanView, Reply, choices, moved, window};
use crate::model::{Ban, NodeBans};
use crate::ops::Request;
use crate::text::{age, clean, fit};
use crate::ui::msg::{Effect, Ticket};
use crate::ui::state::App;

/// Rows that one key moves by at most.
const PAGE: usize = 10;

pub(in crate::ui) struct Bans {
    pub ticket: Ticket,
    /// `None` while the nodes are asked.
    found: Option<Vec<NodeBans>>,
    at: usize,
}

/// A line of the list.
enum Choice<'a> {
    Node(&'a NodeBans),
    Said(String),
    Ban(&'a NodeBans, &'a Ban),
}

impl Bans {
    /// Opens the list and asks the nodes.
    pub(in crate::ui) fn ask(app: &mut App) -> (Self, Effect) {
        let ticket = app.ticket();
        let view = Self {
            ticket,
            found: None,
            at: 0,
        };
        (view, Effect::Bans { ticket })
    }

    /// Takes what was read; the first ban of the node `near` is selected, or the first of all.
    pub(in crate::ui) fn take(&mut self, found: Vec<NodeBans>, near: Option<&str>) {
        self.found = Some(found);
        let all = self.choices();
        let of = |node: Option<&str>| {
            all.iter().position(
                |c| matches!(c, Choice::Ban(n, _) if node.is_none_or(|node| n.node == node)),
            )
        };
        self.at = of(near).or_else(|| of(None)).unwrap_or(0);
    }

    fn choices(&self) -> Vec<Choice<'_>> {
        let mut out = Vec::new();
        for node in self.found.iter().flatten() {
            out.push(Choice::Node(node));
            match &node.problem {
                Some(problem) => out.push(Choice::Said(problem.clone())),
                None if node.bans.is_empty() => out.push(Choice::Said("nobody is banned".into())),
                None => out.extend(node.bans.iter().map(|ban| Choice::Ban(node, ban))),
            }
        }
        out
    }

    pub(super) fn key(&mut self, app: &mut App, key: KeyEvent) -> Reply {
        let len = self.choices().len();
        match key.code {
            KeyCode::Esc | KeyCode::Char('q') => return Reply::close(),
            KeyCode::Char('r') => {
                let (view, effect) = Self::ask(app);
                *self = view;
                return Reply::stay().with(effect);
            }
            KeyCode::Enter | KeyCode::Char('u') => {
                let request = match self.choices().get(self.at) {
                    Some(Choice::Ban(node, ban)) => Request::Unban {
                        address: ban.address.clone(),
                        node: Some(node.node.clone()),
                    },
                    _ => return Reply::stay(),
                };
                let (plan, effect) = PlanView::ask(app, request);
                return Reply::replace(Overlay::Plan(plan)).with(effect);
            }
            _ => {
                moved(key, &mut self.at, len, PAGE);
            }
        }
        Reply::stay()
    }

    pub(super) fn draw(&mut self, app: &App, frame: &mut Frame, screen: Rect) {
        let theme = app.theme;
        let shown = |text: &str| theme.text(&clean(text));
        let mut lines: Vec<Line> = self
            .choices()
            .iter()
            .map(|choice| match choice {
                Choice::Node(node) => Line::styled(shown(&node.node), theme.title()),
                Choice::Said(text) => Line::styled(format!("  {}", shown(text)), theme.dim()),
                Choice::Ban(_, ban) => {
                    let since = ban.since.map_or("?".to_owned(), |t| age(app.now, t));
                    let left = ban.until.map_or("for good".to_owned(), |t| {
                        format!("{} left", age(t, app.now))
                    });
                    Line::from(vec![
                        Span::raw(format!(
                            "  {}",
                            fit(&shown(&ban.address), 24, theme.ellipsis())
                        )),
                        Span::raw(format!(" {}", fit(&shown(&ban.jail), 14, theme.ellipsis()))),
                        Span::styled(format!(" since {since:<8} {left}"), theme.dim()),
                    ])
                }
            })
            .collect();
        if self.found.is_none() {
            lines.push(Line::styled(theme.text("asking the nodes …"), theme.dim()));
        }
        let size = (74, lines.len() as u16);
        let hint = "u lets it in again · r reads again · Esc back";
        let area = window(app, frame, screen, "Banned by fail2ban", hint, size);
        choices(app, frame, area, lines, self.at);
    }
}
