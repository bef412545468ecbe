//! What Suricata of the nodes saw: who tried what, and whether fail2ban shuts them out.

use crossterm::event::{KeyCode, KeyEvent};
use ratatui::Frame;
use ratatui::layout::Rect;
use ratatui::text::{Line, Span};

use super::{Bans, Overlay, PlanView, Reply, choices, moved, scrolled, window};
use crate::model::{Ban, IntrusionGroup, NodeBans, NodeIntrusions, grouped};
use crate::ops::Request;
use crate::text::{age, clean, fit};
use crate::ui::msg::{Effect, Ticket};
use crate::ui::panes::wrap;
use crate::ui::state::App;
use crate::ui::theme::Health;

/// Rows that one key moves by at most.
const PAGE: usize = 10;

/// Columns of the text at most.
const COLUMNS: usize = 116;

pub(in crate::ui) struct Intrusions {
    pub ticket: Ticket,
    /// `None` while the nodes are asked.
    found: Option<Found>,
    at: usize,
}

struct Found {
    /// The newest first.
    groups: Vec<IntrusionGroup>,
    /// What is to be known of a node: its name, one sentence.
    notes: Vec<(String, String)>,
    bans: Vec<NodeBans>,
}

impl Found {
    /// The bans of whom a group is about, with their nodes.
    fn bans<'a>(&'a self, group: &IntrusionGroup) -> Vec<(&'a NodeBans, &'a Ban)> {
        let source = group.source.to_string();
        let all = self
            .bans
            .iter()
            .flat_map(|n| n.bans.iter().map(move |b| (n, b)));
        all.filter(|(_, ban)| ban.address == source).collect()
    }
}

impl Intrusions {
    /// Opens the list and asks the nodes.
    pub(in crate::ui) fn ask(app: &mut App) -> (Self, Effect) {
        let ticket = app.ticket();
        let view = Self {
            ticket,
            found: None,
            at: 0,
        };
        (view, Effect::Intrusions { ticket })
    }

    /// Takes what was read.
    pub(in crate::ui) fn take(&mut self, found: &[NodeIntrusions], bans: Vec<NodeBans>) {
        let cut = "older alerts are left out";
        let notes = found.iter().flat_map(|n| {
            let said = [n.problem.as_deref(), n.cut.then_some(cut)];
            said.map(|text| text.map(|t| (n.node.clone(), t.to_owned())))
        });
        self.found = Some(Found {
            groups: grouped(found, None),
            notes: notes.flatten().collect(),
            bans,
        });
        self.at = 0;
    }

    fn selected(&self) -> Option<(&Found, &IntrusionGroup)> {
        let found = self.found.as_ref()?;
        Some((found, found.groups.get(self.at)?))
    }

    pub(super) fn key(&mut self, app: &mut App, key: KeyEvent) -> Reply {
        let len = self.found.as_ref().map_or(0, |f| f.groups.len());
        match key.code {
            KeyCode::Esc | KeyCode::Char('q') => return Reply::close(),
            KeyCode::Char('r') => {
                let (view, effect) = Self::ask(app);
                *self = view;
                return Reply::stay().with(effect);
            }
            KeyCode::Char('f') => {
                let (view, effect) = Bans::ask(app);
                return Reply::replace(Overlay::Bans(view)).with(effect);
            }
            KeyCode::Char('u') => {
                let banned = self
                    .selected()
                    .filter(|(found, group)| !found.bans(group).is_empty());
                let Some((_, group)) = banned else {
                    return Reply::stay();
                };
                let request = Request::Unban {
                    address: group.source.to_string(),
                    node: None,
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
        let columns = usize::from(screen.width).saturating_sub(6).min(COLUMNS);
        let mut lines: Vec<Line> = Vec::new();
        let mut below: Vec<Line> = Vec::new();
        if let Some(found) = &self.found {
            // Addresses of IPv6 are whole where there is room.
            let most = if columns < 100 { 24 } else { 39 };
            let sources = found.groups.iter().map(|g| g.source.to_string().len());
            let width = sources.max().unwrap_or(0).min(most);
            let banned = |g| !found.bans(g).is_empty();
            let all = found.groups.iter();
            lines.extend(all.map(|g| line(app, g, width, banned(g))));
            if found.groups.is_empty() {
                lines.push(Line::styled("nothing was seen", theme.dim()));
            }
            if let Some((found, group)) = self.selected() {
                below.extend(in_full(app, group, &found.bans(group), columns));
            }
            for (node, text) in &found.notes {
                let text = theme.text(&clean(&format!("{node}: {text}")));
                below.extend(
                    wrap(&text, columns)
                        .into_iter()
                        .map(|l| Line::styled(l, theme.dim())),
                );
            }
        } else {
            lines.push(Line::styled(theme.text("asking the nodes …"), theme.dim()));
        }
        let gap = u16::from(!below.is_empty());
        let size = (columns as u16, (lines.len() + below.len()) as u16 + gap);
        let banned = self.selected().is_some_and(|(f, g)| !f.bans(g).is_empty());
        let hint = match banned {
            true => "u lets it in again · f bans · r reads again · Esc back",
            false => "f bans · r reads again · Esc back",
        };
        let area = window(app, frame, screen, "Seen by Suricata", hint, size);
        // The selected one is told in full below; the list keeps at least a third.
        let most = area.height.saturating_sub(area.height / 3 + gap);
        let room = area
            .height
            .saturating_sub((below.len() as u16).min(most) + gap);
        let list = Rect {
            height: room,
            ..area
        };
        choices(app, frame, list, lines, self.at);
        let place = Rect {
            y: (area.y + room + gap).min(area.bottom()),
            height: area.height.saturating_sub(room + gap),
            ..area
        };
        scrolled(frame, place, &below, 0);
    }
}

/// Suricata's 1 is worst.
fn health(group: &IntrusionGroup) -> Health {
    match group.severity {
        ..=1 => Health::Bad,
        2 => Health::Partly,
        _ => Health::Ended,
    }
}

fn line(app: &App, group: &IntrusionGroup, width: usize, banned: bool) -> Line<'static> {
    let theme = app.theme;
    let health = health(group);
    let shown = |text: &str, columns| fit(&theme.text(&clean(text)), columns, theme.ellipsis());
    let mut spans = vec![
        Span::styled(theme.glyph(health), theme.health(health)),
        Span::raw(format!(" {} ", shown(&group.source.to_string(), width))),
        Span::styled(
            format!("{:>6} × ", group.count).replace('×', &theme.text("×")),
            theme.dim(),
        ),
        Span::styled(shown(&age(app.now, group.last), 7), theme.dim()),
    ];
    if banned {
        spans.push(Span::styled("banned ", theme.health(Health::Good)));
    }
    spans.push(Span::raw(theme.text(&clean(&group.signature))));
    Line::from(spans)
}

/// A group in full: rule, times, where, what, bans.
fn in_full(
    app: &App,
    group: &IntrusionGroup,
    bans: &[(&NodeBans, &Ban)],
    columns: usize,
) -> Vec<Line<'static>> {
    let theme = app.theme;
    let severity = match group.severity {
        ..=1 => "severe",
        2 => "medium",
        _ => "mild",
    };
    let mut texts = vec![
        format!(
            "{}: {} ({severity}, rule {})",
            group.signature, group.category, group.rule
        ),
        format!(
            "first {}, last {} · on {} · to {}",
            group.first.strftime("%Y-%m-%d %H:%M:%S"),
            group.last.strftime("%Y-%m-%d %H:%M:%S UTC"),
            group.nodes.join(", "),
            group.targets.join(", ")
        ),
    ];
    texts.extend(group.detail.clone());
    if !bans.is_empty() {
        let by: Vec<String> = bans
            .iter()
            .map(|(n, b)| format!("{} ({})", n.node, b.jail))
            .collect();
        texts.push(format!("shut out by fail2ban of {}", by.join(", ")));
    }
    let wrapped = texts
        .iter()
        .flat_map(|t| wrap(&theme.text(&clean(t)), columns));
    wrapped.map(Line::raw).collect()
}
