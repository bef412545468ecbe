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
use super::msg::Effect;
use super::state::App;

pub(super) use alerts::Alerts;
pub(super) use bans::Bans;
pub(super) use catalogue::Catalogue;
pub(super) use form::Form;
pub(super) use help::Help;
pub(super) use intrusions::Intrusions;
pub(super) use jobs::JobsView;
pub(super) use menu::Menu;
pub(super) use message::Message;
pub(super) use palette::Palette;
pub(super) use plan::PlanView;
pub(super) use quit::Quit;
pub(super) use restore::Restore;
pub(super) use search::Search;
pub(super) use versions::Versions;

/// Something over the panes.
pub(super) enum Overlay {
    Help(Help),
    Palette(Palette),
    Catalogue(Catalogue),
    Form(Form),
    Plan(PlanView),
    Versions(Versions),
    Menu(Menu),
    Restore(Restore),
    Jobs(JobsView),
    Alerts(Alerts),
    Bans(Bans),
    Intrusions(Intrusions),
    Search(Search),
    Quit(Quit),
    Message(Message),
}

/// What an overlay answers to a key.
#[derive(Default)]
pub(super) struct Reply {
    /// The overlay is done.
    pub close: bool,
    /// Put over it, or in its place when it closes.
    pub open: Option<Overlay>,
    pub effects: Vec<Effect>,
    /// An action of the console, carried out after the overlay has closed.
    pub action: Option<Action>,
}

impl Reply {
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

    pub(super) fn with(mut self, effect: Effect) -> Self {
        self.effects.push(effect);
        self
    }
}

impl Overlay {
    pub(super) fn key(&mut self, app: &mut App, key: KeyEvent) -> Reply {
        match self {
            Self::Help(o) => o.key(app, key),
            Self::Palette(o) => o.key(app, key),
            Self::Catalogue(o) => o.key(app, key),
            Self::Form(o) => o.key(app, key),
            Self::Plan(o) => o.key(app, key),
            Self::Versions(o) => o.key(app, key),
            Self::Menu(o) => o.key(app, key),
            Self::Restore(o) => o.key(app, key),
            Self::Jobs(o) => o.key(app, key),
            Self::Alerts(o) => o.key(app, key),
            Self::Bans(o) => o.key(app, key),
            Self::Intrusions(o) => o.key(app, key),
            Self::Search(o) => o.key(app, key),
            Self::Quit(o) => o.key(app, key),
            Self::Message(o) => o.key(app, key),
        }
    }

    pub(super) fn draw(&mut self, app: &App, frame: &mut Frame, screen: Rect) {
        match self {
            Self::Help(o) => o.draw(app, frame, screen),
            Self::Palette(o) => o.draw(app, frame, screen),
            Self::Catalogue(o) => o.draw(app, frame, screen),
            Self::Form(o) => o.draw(app, frame, screen),
            Self::Plan(o) => o.draw(app, frame, screen),
            Self::Versions(o) => o.draw(app, frame, screen),
            Self::Menu(o) => o.draw(app, frame, screen),
            Self::Restore(o) => o.draw(app, frame, screen),
            Self::Jobs(o) => o.draw(app, frame, screen),
            Self::Alerts(o) => o.draw(app, frame, screen),
            Self::Bans(o) => o.draw(app, frame, screen),
            Self::Intrusions(o) => o.draw(app, frame, screen),
            Self::Search(o) => o.draw(app, frame, screen),
            Self::Quit(o) => o.draw(app, frame, screen),
            Self::Message(o) => o.draw(app, frame, screen),
        }
    }

    /// Turns the wheel over it.
    pub(super) fn wheel(&mut self, app: &mut App, by: isize) {
        let code = if by < 0 { KeyCode::Up } else { KeyCode::Down };
        for _ in 0..by.unsigned_abs() {
            self.key(app, KeyEvent::new(code, KeyModifiers::NONE));
        }
    }
}

/// Moves in a list or a text by the usual keys; false when the key is none of them.
fn moved(key: KeyEvent, at: &mut usize, len: usize, page: usize) -> bool {
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

/// A box in the middle of the screen; answers with the room inside it.
fn window(
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
    let title = theme.text(&crate::text::clean(title));
    let block = Block::bordered()
        .border_set(theme.border())
        .border_style(theme.focus())
        .title(Line::from(Span::styled(
            format!(" {title} "),
            theme.title(),
        )))
        .title_bottom(Line::from(theme.text(&format!(" {hint} "))).right_aligned());
    frame.render_widget(Clear, area);
    let inner = block.inner(area);
    frame.render_widget(block, area);
    inner.inner(Margin::new(1, 0))
}

/// Draws lines from `top` on; answers with the corrected top.
fn scrolled(frame: &mut Frame, area: Rect, lines: &[Line<'_>], top: usize) -> usize {
    let height = usize::from(area.height);
    let top = top.min(lines.len().saturating_sub(height));
    for (y, line) in (area.y..area.bottom()).zip(&lines[top..]) {
        frame.buffer_mut().set_line(area.x, y, line, area.width);
    }
    top
}

/// Draws a list of which line `at` is selected, scrolled so that it is seen.
fn choices(app: &App, frame: &mut Frame, area: Rect, lines: Vec<Line<'_>>, at: usize) {
    let height = usize::from(area.height).max(1);
    let top = (at + 1).saturating_sub(height);
    for (y, (i, line)) in (area.y..area.bottom()).zip(lines.into_iter().enumerate().skip(top)) {
        let marker = if i == at { app.theme.marker() } else { " " };
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

/// Text that is typed, with a cursor.
fn typed(app: &App, input: &tui_input::Input, focused: bool) -> Vec<Span<'static>> {
    let value = app.theme.text(&crate::text::clean(input.value()));
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
