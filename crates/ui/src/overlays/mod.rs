//! What lies over the panes: one file an overlay. The topmost gets the keys.

mod alerts;
mod bans;
mod catalogue;
mod form;
mod help;
mod intrusions;
mod jobs;
mod menu;
mod message;
mod palette;
mod plan;
mod quit;
mod restore;
mod search;
mod versions;

use crossterm::event::{KeyCode, KeyEvent, KeyModifiers};
use ratatui::Frame;
use ratatui::layout::{Margin, Rect};
use ratatui::text::{Line, Span};
use ratatui::widgets::{Block, Clear};

use super::keymap::Action;
use super::layout::ScrollLayout;
use super::msg::{Effect, Ticket};
use super::state::App;
use matou_base::text::SafeText;
use matou_job::Plan;
use matou_model::{LogRecord, NodeBans, NodeIntrusions};
use matou_ops::ServiceVersions;

pub(super) use alerts::AlertsOverlay;
pub(super) use bans::BansOverlay;
pub(super) use catalogue::CatalogueOverlay;
pub(super) use form::FormOverlay;
pub(super) use help::HelpOverlay;
pub(super) use intrusions::IntrusionsOverlay;
pub(super) use jobs::JobsOverlay;
pub(super) use menu::NodeMenuOverlay;
pub(super) use message::MessageOverlay;
pub(super) use palette::PaletteOverlay;
pub(super) use plan::PlanOverlay;
pub(super) use quit::QuitOverlay;
pub(super) use restore::RestoreOverlay;
pub(super) use search::LogSearchOverlay;
pub(super) use versions::VersionsOverlay;

/// Something over the panes.
pub(super) enum Overlay {
    Help(HelpOverlay),
    Palette(PaletteOverlay),
    Catalogue(CatalogueOverlay),
    Form(FormOverlay),
    Plan(PlanOverlay),
    Versions(VersionsOverlay),
    Menu(NodeMenuOverlay),
    Restore(RestoreOverlay),
    Jobs(JobsOverlay),
    Alerts(AlertsOverlay),
    Bans(BansOverlay),
    Intrusions(IntrusionsOverlay),
    Search(LogSearchOverlay),
    Quit(QuitOverlay),
    Message(MessageOverlay),
}

/// The answer to what an overlay asked for by an effect.
pub(super) enum OverlayAnswer {
    Plan(Result<Plan, SafeText>),
    Versions(Result<Vec<ServiceVersions>, SafeText>),
    Bans {
        found: Vec<NodeBans>,
        /// The selected node, whose bans come first.
        near: Option<String>,
    },
    Intrusions {
        found: Vec<NodeIntrusions>,
        bans: Vec<NodeBans>,
    },
    Records(Result<Vec<LogRecord>, SafeText>),
}

/// What an overlay returns for a key.
#[derive(Default)]
pub(super) struct OverlayReply {
    /// The overlay is to be closed.
    pub close: bool,
    /// An overlay to open: above this one, or in its place when it closes.
    pub open: Option<Overlay>,
    pub effects: Vec<Effect>,
    /// An action of the console, carried out after the overlay has closed.
    pub action: Option<Action>,
}

impl OverlayReply {
    pub(super) fn stay() -> Self {
        Self::default()
    }

    pub(super) fn close() -> Self {
        Self {
            close: true,
            ..Self::default()
        }
    }

    pub(super) fn replace(overlay: Overlay) -> Self {
        Self {
            close: true,
            open: Some(overlay),
            ..Self::default()
        }
    }

    pub(super) fn with_effect(mut self, effect: Effect) -> Self {
        self.effects.push(effect);
        self
    }
}

impl Overlay {
    pub(super) fn handle_key(&mut self, app: &mut App, key: KeyEvent) -> OverlayReply {
        match self {
            Self::Help(o) => o.handle_key(app, key),
            Self::Palette(o) => o.handle_key(app, key),
            Self::Catalogue(o) => o.handle_key(app, key),
            Self::Form(o) => o.handle_key(app, key),
            Self::Plan(o) => o.handle_key(app, key),
            Self::Versions(o) => o.handle_key(app, key),
            Self::Menu(o) => o.handle_key(app, key),
            Self::Restore(o) => o.handle_key(app, key),
            Self::Jobs(o) => o.handle_key(app, key),
            Self::Alerts(o) => o.handle_key(app, key),
            Self::Bans(o) => o.handle_key(app, key),
            Self::Intrusions(o) => o.handle_key(app, key),
            Self::Search(o) => o.handle_key(app, key),
            Self::Quit(o) => o.handle_key(app, key),
            Self::Message(o) => o.handle_key(app, key),
        }
    }

    /// Draws it. Returns what is visible, of those that scroll.
    pub(super) fn draw(&self, app: &App, frame: &mut Frame, screen: Rect) -> ScrollLayout {
        match self {
            Self::Help(o) => return o.draw(app, frame, screen),
            Self::Plan(o) => return o.draw(app, frame, screen),
            Self::Jobs(o) => return o.draw(app, frame, screen),
            Self::Alerts(o) => return o.draw(app, frame, screen),
            Self::Search(o) => return o.draw(app, frame, screen),
            Self::Message(o) => return o.draw(app, frame, screen),
            Self::Palette(o) => o.draw(app, frame, screen),
            Self::Catalogue(o) => o.draw(app, frame, screen),
            Self::Form(o) => o.draw(app, frame, screen),
            Self::Versions(o) => o.draw(app, frame, screen),
            Self::Menu(o) => o.draw(app, frame, screen),
            Self::Restore(o) => o.draw(app, frame, screen),
            Self::Bans(o) => o.draw(app, frame, screen),
            Self::Intrusions(o) => o.draw(app, frame, screen),
            Self::Quit(o) => o.draw(app, frame, screen),
        }
        ScrollLayout::default()
    }

    /// Takes what was visible of it.
    pub(super) fn take_layout(&mut self, drawn: ScrollLayout) {
        match self {
            Self::Help(o) => o.drawn = drawn,
            Self::Plan(o) => o.drawn = drawn,
            Self::Jobs(o) => o.take_layout(drawn),
            Self::Message(o) => o.drawn = drawn,
            Self::Alerts(o) => o.at = drawn.top,
            Self::Search(o) => o.take_layout(drawn),
            _ => {}
        }
    }

    /// Returns the ticket of what it asked for; `None` when it asks for nothing.
    pub(super) fn ticket(&self) -> Option<Ticket> {
        match self {
            Self::Plan(o) => Some(o.ticket),
            Self::Versions(o) => Some(o.ticket),
            Self::Bans(o) => Some(o.ticket),
            Self::Intrusions(o) => Some(o.ticket),
            Self::Search(o) => o.ticket,
            _ => None,
        }
    }

    /// Takes the answer to its ticket.
    pub(super) fn take_answer(&mut self, answer: OverlayAnswer) {
        match (self, answer) {
            (Self::Plan(o), OverlayAnswer::Plan(plan)) => o.take_plan(plan),
            (Self::Versions(o), OverlayAnswer::Versions(found)) => o.take_versions(found),
            (Self::Bans(o), OverlayAnswer::Bans { found, near }) => {
                o.take_bans(found, near.as_deref());
            }
            (Self::Intrusions(o), OverlayAnswer::Intrusions { found, bans }) => {
                o.take_intrusions(&found, bans);
            }
            (Self::Search(o), OverlayAnswer::Records(found)) => o.take_records(found),
            // A ticket has one question.
            _ => {}
        }
    }

    /// Scrolls the overlay by turns of the wheel.
    pub(super) fn turn_wheel(&mut self, app: &mut App, by: isize) {
        let code = if by < 0 { KeyCode::Up } else { KeyCode::Down };
        for _ in 0..by.unsigned_abs() {
            self.handle_key(app, KeyEvent::new(code, KeyModifiers::NONE));
        }
    }
}

/// Moves in a list or a text by the usual keys. Returns false when the key is none of them.
fn move_by_key(key: KeyEvent, at: &mut usize, len: usize, page: usize) -> bool {
    let last = len.saturating_sub(1);
    let half = (page / 2).max(1);
    let control = key.modifiers.contains(KeyModifiers::CONTROL);
    *at = match key.code {
        KeyCode::Char('d') if control => *at + half,
        KeyCode::Char('u') if control => at.saturating_sub(half),
        _ if control => return false,
        KeyCode::Down | KeyCode::Char('j') => *at + 1,
        KeyCode::Up | KeyCode::Char('k') => at.saturating_sub(1),
        KeyCode::PageDown => *at + half * 2,
        KeyCode::PageUp => at.saturating_sub(half * 2),
        KeyCode::Home | KeyCode::Char('g') => 0,
        KeyCode::End | KeyCode::Char('G') => last,
        _ => return false,
    };
    *at = (*at).min(last);
    true
}

/// Draws a box in the middle of the screen. Returns the area inside it.
fn draw_window(
    app: &App,
    frame: &mut Frame,
    screen: Rect,
    title: &str,
    hint: &str,
    size: (u16, u16),
) -> Rect {
    let width = size.0.saturating_add(4).min(screen.width);
    let height = size.1.saturating_add(2).min(screen.height);
    let area = Rect {
        x: screen.x + (screen.width - width) / 2,
        y: screen.y + (screen.height - height) / 2,
        width,
        height,
    };
    let theme = app.theme;
    let title = theme.drawable_text(&matou_base::text::clean_line(title));
    let block = Block::bordered()
        .border_set(theme.border())
        .border_style(theme.focus())
        .title(Line::from(Span::styled(
            format!(" {title} "),
            theme.title(),
        )))
        .title_bottom(Line::from(theme.drawable_text(&format!(" {hint} "))).right_aligned());
    frame.render_widget(Clear, area);
    let inner = block.inner(area);
    frame.render_widget(block, area);
    inner.inner(Margin::new(1, 0))
}

/// Draws lines from `top` on, limited so that the last page is full.
fn draw_scrolled(frame: &mut Frame, area: Rect, lines: &[Line<'_>], top: usize) -> ScrollLayout {
    let height = usize::from(area.height);
    let top = top.min(lines.len().saturating_sub(height));
    for (y, line) in (area.y..area.bottom()).zip(&lines[top..]) {
        frame.buffer_mut().set_line(area.x, y, line, area.width);
    }
    ScrollLayout {
        lines: lines.len(),
        height,
        top,
    }
}

/// Draws a list with line `at` selected, scrolled so that it is visible.
fn draw_choices(app: &App, frame: &mut Frame, area: Rect, lines: Vec<Line<'_>>, at: usize) {
    let height = usize::from(area.height).max(1);
    let top = (at + 1).saturating_sub(height);
    for (y, (i, line)) in (area.y..area.bottom()).zip(lines.into_iter().enumerate().skip(top)) {
        let marker = if i == at {
            app.theme.cursor_glyph()
        } else {
            " "
        };
        let mut spans = vec![Span::raw(format!("{marker} "))];
        spans.extend(line.spans);
        frame
            .buffer_mut()
            .set_line(area.x, y, &Line::from(spans), area.width);
        if i == at {
            let row = Rect::new(area.x, y, area.width, 1);
            frame.buffer_mut().set_style(row, app.theme.selected());
        }
    }
}

/// Returns the text of an input, with a cursor when it has the focus.
fn input_spans(app: &App, input: &tui_input::Input, focused: bool) -> Vec<Span<'static>> {
    let value = app
        .theme
        .drawable_text(&matou_base::text::clean_line(input.value()));
    if !focused {
        return vec![Span::raw(value)];
    }
    let at = value
        .char_indices()
        .nth(input.cursor())
        .map_or(value.len(), |(i, _)| i);
    let (before, after) = value.split_at(at);
    let under = after.chars().next().map_or(" ".into(), |c| c.to_string());
    let rest = after.get(under.len()..).unwrap_or("").to_owned();
    vec![
        Span::raw(before.to_owned()),
        Span::styled(under, app.theme.selected()),
        Span::raw(rest),
    ]
}
