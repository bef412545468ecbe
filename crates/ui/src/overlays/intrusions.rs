//! Lists what Suricata saw on all nodes: who tried what, and who is banned.

use crossterm::event::{KeyCode, KeyEvent};
use jiff::Timestamp;
use matou_i18n::tr;
use ratatui::Frame;
use ratatui::layout::Rect;
use ratatui::text::{Line, Span};

use super::plan::reply_with_plan;
use super::{BansOverlay, draw_choices, draw_cut_lines, draw_window, move_by_key};
use crate::layout::ScrollLayout;
use crate::msg::{Effect, Ticket};
use crate::overlay::{Overlay, OverlayAnswer, OverlayReply};
use crate::panes::wrap_text;
use crate::state::App;
use crate::theme::Health;
use matou_base::text::{clean_line, fit_to_width, format_age};
use matou_model::{Ban, IntrusionGroup, NodeBans, NodeIntrusions, NodeProblem, group_intrusions};
use matou_ops::Request;

/// Rows that one key moves by at most.
const PAGE: usize = 10;

/// Columns of the text at most.
const MAX_COLUMNS_SHOWN: usize = 116;

pub(crate) struct IntrusionsOverlay {
    pub ticket: Ticket,
    /// `None` while the nodes are asked.
    found: Option<FoundIntrusions>,
    at: usize,
}

struct FoundIntrusions {
    /// The newest first.
    groups: Vec<IntrusionGroup>,
    /// Notes about nodes: the node's name, and one sentence.
    notes: Vec<(String, String)>,
    bans: Vec<NodeBans>,
}

impl FoundIntrusions {
    /// Returns the bans of a group's source address, with their nodes.
    fn bans_of_source<'a>(&'a self, group: &IntrusionGroup) -> Vec<(&'a NodeBans, &'a Ban)> {
        let source = group.source.to_string();
        let all = self
            .bans
            .iter()
            .flat_map(|n| n.bans.iter().map(move |b| (n, b)));
        all.filter(|(_, ban)| ban.address == source).collect()
    }
}

impl IntrusionsOverlay {
    /// Opens the list and asks the nodes.
    pub(crate) fn open(app: &mut App) -> (Self, Effect) {
        let ticket = app.issue_ticket();
        let view = Self {
            ticket,
            found: None,
            at: 0,
        };
        (view, Effect::Intrusions { ticket })
    }

    /// Takes what was read.
    pub(crate) fn take_intrusions(&mut self, found: &[NodeIntrusions], bans: Vec<NodeBans>) {
        let cut = tr!("older alerts are left out");
        let notes = found.iter().flat_map(|n| {
            let said = [
                n.problem.as_ref().map(NodeProblem::as_str),
                n.cut.then_some(cut),
            ];
            said.map(|text| text.map(|t| (n.node.clone(), t.to_owned())))
        });
        self.found = Some(FoundIntrusions {
            groups: group_intrusions(found, None),
            notes: notes.flatten().collect(),
            bans,
        });
        self.at = 0;
    }

    fn selected_group(&self) -> Option<(&FoundIntrusions, &IntrusionGroup)> {
        let found = self.found.as_ref()?;
        Some((found, found.groups.get(self.at)?))
    }
}

impl Overlay for IntrusionsOverlay {
    fn handle_key(&mut self, app: &mut App, key: KeyEvent) -> OverlayReply {
        let len = self.found.as_ref().map_or(0, |f| f.groups.len());
        match key.code {
            KeyCode::Esc | KeyCode::Char('q') => return OverlayReply::close(),
            KeyCode::Char('r') => {
                let (view, effect) = Self::open(app);
                *self = view;
                return OverlayReply::stay().with_effect(effect);
            }
            KeyCode::Char('f') => {
                let (view, effect) = BansOverlay::open(app);
                return OverlayReply::replace(view).with_effect(effect);
            }
            KeyCode::Char('u') => {
                let banned = self
                    .selected_group()
                    .filter(|(found, group)| !found.bans_of_source(group).is_empty());
                let Some((_, group)) = banned else {
                    return OverlayReply::stay();
                };
                let request = Request::Unban {
                    address: group.source.to_string(),
                    node: None,
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
        let columns = usize::from(screen.width)
            .saturating_sub(6)
            .min(MAX_COLUMNS_SHOWN);
        let mut lines: Vec<Line> = Vec::new();
        let mut below: Vec<Line> = Vec::new();
        if let Some(found) = &self.found {
            // Addresses of IPv6 are whole where there is room.
            let most = if columns < 100 { 24 } else { 39 };
            let sources = found.groups.iter().map(|g| g.source.to_string().len());
            let width = sources.max().unwrap_or(0).min(most);
            let banned = |g| !found.bans_of_source(g).is_empty();
            let all = found.groups.iter();
            lines.extend(all.map(|g| intrusion_line(app, g, width, banned(g))));
            if found.groups.is_empty() {
                lines.push(Line::styled(tr!("nothing was seen"), theme.dim()));
            }
            if let Some((found, group)) = self.selected_group() {
                below.extend(intrusion_detail_lines(
                    app,
                    group,
                    &found.bans_of_source(group),
                    columns,
                ));
            }
            for (node, text) in &found.notes {
                let text = theme.drawable_text(&clean_line(&format!("{node}: {text}")));
                below.extend(
                    wrap_text(&text, columns)
                        .into_iter()
                        .map(|l| Line::styled(l, theme.dim())),
                );
            }
        } else {
            lines.push(Line::styled(
                theme.drawable_text(tr!("asking the nodes …")),
                theme.dim(),
            ));
        }
        let gap = u16::from(!below.is_empty());
        let size = (columns as u16, (lines.len() + below.len()) as u16 + gap);
        let banned = self
            .selected_group()
            .is_some_and(|(f, g)| !f.bans_of_source(g).is_empty());
        let hint = match banned {
            true => tr!("u lets it in again · f bans · r reads again · Esc back"),
            false => tr!("f bans · r reads again · Esc back"),
        };
        let area = draw_window(app, frame, screen, tr!("Seen by Suricata"), hint, size);
        // The selected one is told in full below; the list keeps at least a third.
        let most = area.height.saturating_sub(area.height / 3 + gap);
        let room = area
            .height
            .saturating_sub((below.len() as u16).min(most) + gap);
        let list = Rect {
            height: room,
            ..area
        };
        let choices = draw_choices(app, frame, list, lines, self.at);
        let place = Rect {
            y: (area.y + room + gap).min(area.bottom()),
            height: area.height.saturating_sub(room + gap),
            ..area
        };
        draw_cut_lines(app, frame, place, &below);
        choices.into()
    }

    fn ticket(&self) -> Option<Ticket> {
        Some(self.ticket)
    }

    fn take_answer(&mut self, answer: OverlayAnswer) {
        if let OverlayAnswer::Intrusions { found, bans } = answer {
            self.take_intrusions(&found, bans);
        }
    }
}

/// Returns the health that shows a group's severity. Suricata's 1 is the worst.
fn intrusion_health(group: &IntrusionGroup) -> Health {
    match group.severity {
        ..=1 => Health::Bad,
        2 => Health::Partly,
        _ => Health::Ended,
    }
}

fn intrusion_line(app: &App, group: &IntrusionGroup, width: usize, banned: bool) -> Line<'static> {
    let theme = app.theme;
    let health = intrusion_health(group);
    let shown = |text: &str, columns| {
        fit_to_width(
            &theme.drawable_text(&clean_line(text)),
            columns,
            theme.ellipsis(),
        )
    };
    let mut spans = vec![
        Span::styled(theme.health_glyph(health), theme.health_style(health)),
        Span::raw(format!(" {} ", shown(&group.source.to_string(), width))),
        Span::styled(
            format!("{:>6} × ", group.count).replace('×', &theme.drawable_text("×")),
            theme.dim(),
        ),
        Span::styled(shown(&format_age(app.now, group.last), 7), theme.dim()),
    ];
    if banned {
        spans.push(Span::styled(
            tr!("banned "),
            theme.health_style(Health::Good),
        ));
    }
    spans.push(Span::raw(
        theme.drawable_text(&clean_line(&group.signature)),
    ));
    Line::from(spans)
}

/// Returns a group in full: rule, times, nodes and targets, details, bans.
fn intrusion_detail_lines(
    app: &App,
    group: &IntrusionGroup,
    bans: &[(&NodeBans, &Ban)],
    columns: usize,
) -> Vec<Line<'static>> {
    let theme = app.theme;
    let severity = match group.severity {
        ..=1 => tr!("severe"),
        2 => tr!("medium"),
        _ => tr!("mild"),
    };
    let stamp = |at: Timestamp| {
        let local = at.to_zoned_datetime(app.zone.clone());
        local.strftime("%Y-%m-%d %H:%M:%S %Z").to_string()
    };
    let mut texts = vec![
        tr!(
            "{}: {} ({severity}, rule {})",
            group.signature,
            group.category,
            group.rule
        ),
        tr!(
            "first {}, last {} · on {} · to {}",
            stamp(group.first),
            stamp(group.last),
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
        texts.push(tr!("shut out by fail2ban of {}", by.join(", ")));
    }
    let wrapped = texts
        .iter()
        .flat_map(|t| wrap_text(&theme.drawable_text(&clean_line(t)), columns));
    wrapped.map(Line::raw).collect()
}
