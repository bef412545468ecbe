//! Lists the bans of fail2ban on all nodes. An address that is chosen is let in again.

use crossterm::event::{KeyCode, KeyEvent};
use matou_i18n::tr;
use ratatui::Frame;
use ratatui::layout::Rect;
use ratatui::text::{Line, Span};

use super::plan::reply_with_plan;
use super::{draw_choices, draw_window, move_by_key};
use crate::layout::ScrollLayout;
use crate::msg::{Effect, Ticket};
use crate::overlay::{Overlay, OverlayAnswer, OverlayReply};
use crate::state::App;
use matou_base::text::{clean_line, fit_to_width, format_age};
use matou_model::{Ban, NodeBans};
use matou_ops::Request;

/// Rows that one key moves by at most.
const PAGE: usize = 10;

pub(crate) struct BansOverlay {
    pub ticket: Ticket,
    /// `None` while the nodes are asked.
    found: Option<Vec<NodeBans>>,
    at: usize,
}

/// A line of the list.
enum BanRow<'a> {
    Node(&'a NodeBans),
    Note(String),
    Ban(&'a NodeBans, &'a Ban),
}

impl BansOverlay {
    /// Opens the list and asks the nodes.
    pub(crate) fn open(app: &mut App) -> (Self, Effect) {
        let ticket = app.issue_ticket();
        let view = Self {
            ticket,
            found: None,
            at: 0,
        };
        (view, Effect::Bans { ticket })
    }

    /// Takes the bans that were read. Selects the first of the node `near`, else the first of all.
    pub(crate) fn take_bans(&mut self, found: Vec<NodeBans>, near: Option<&str>) {
        self.found = Some(found);
        let all = self.list_rows();
        let of = |node: Option<&str>| {
            all.iter().position(
                |c| matches!(c, BanRow::Ban(n, _) if node.is_none_or(|node| n.node == node)),
            )
        };
        self.at = of(near).or_else(|| of(None)).unwrap_or(0);
    }

    fn list_rows(&self) -> Vec<BanRow<'_>> {
        let mut out = Vec::new();
        for node in self.found.iter().flatten() {
            out.push(BanRow::Node(node));
            match &node.problem {
                Some(problem) => out.push(BanRow::Note(problem.to_string())),
                None if node.bans.is_empty() => {
                    out.push(BanRow::Note(tr!("nobody is banned").into()));
                }
                None => out.extend(node.bans.iter().map(|ban| BanRow::Ban(node, ban))),
            }
        }
        out
    }
}

impl Overlay for BansOverlay {
    fn handle_key(&mut self, app: &mut App, key: KeyEvent) -> OverlayReply {
        let len = self.list_rows().len();
        match key.code {
            KeyCode::Esc | KeyCode::Char('q') => return OverlayReply::close(),
            KeyCode::Char('r') => {
                let (view, effect) = Self::open(app);
                *self = view;
                return OverlayReply::stay().with_effect(effect);
            }
            KeyCode::Enter | KeyCode::Char('u') => {
                let request = match self.list_rows().get(self.at) {
                    Some(BanRow::Ban(node, ban)) => Request::Unban {
                        address: ban.address.clone(),
                        node: Some(node.node.clone()),
                    },
                    _ => return OverlayReply::stay(),
                };
                return reply_with_plan(app, request);
            }
            _ => {
                move_by_key(key, &mut self.at, len, PAGE);
            }
        }
        OverlayReply::stay()
    }

    fn draw(&self, app: &App, frame: &mut Frame, screen: Rect) -> ScrollLayout {
        let theme = app.theme;
        let shown = |text: &str| theme.drawable_text(&clean_line(text));
        let mut lines: Vec<Line> = self
            .list_rows()
            .iter()
            .map(|choice| match choice {
                BanRow::Node(node) => Line::styled(shown(&node.node), theme.title()),
                BanRow::Note(text) => Line::styled(format!("  {}", shown(text)), theme.dim()),
                BanRow::Ban(_, ban) => {
                    let since = ban.since.map_or("?".to_owned(), |t| format_age(app.now, t));
                    let left = ban.until.map_or(tr!("for good").to_owned(), |t| {
                        tr!("{} left", format_age(t, app.now))
                    });
                    Line::from(vec![
                        Span::raw(format!(
                            "  {}",
                            fit_to_width(&shown(&ban.address), 24, theme.ellipsis())
                        )),
                        Span::raw(format!(
                            " {}",
                            fit_to_width(&shown(&ban.jail), 14, theme.ellipsis())
                        )),
                        Span::styled(tr!(" since {since:<8} {left}"), theme.dim()),
                    ])
                }
            })
            .collect();
        if self.found.is_none() {
            lines.push(Line::styled(
                theme.drawable_text(tr!("asking the nodes …")),
                theme.dim(),
            ));
        }
        let size = (74, lines.len() as u16);
        let hint = tr!("u lets it in again · r reads again · Esc back");
        let area = draw_window(app, frame, screen, tr!("Banned by fail2ban"), hint, size);
        draw_choices(app, frame, area, lines, self.at).into()
    }

    fn ticket(&self) -> Option<Ticket> {
        Some(self.ticket)
    }

    fn take_answer(&mut self, answer: OverlayAnswer) {
        if let OverlayAnswer::Bans { found, near } = answer {
            self.take_bans(found, near.as_deref());
        }
    }
}
