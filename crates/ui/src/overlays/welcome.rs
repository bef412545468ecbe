//! What one can begin with where there is no config.toml, and no Docker engine on this machine either.

use crossterm::event::{KeyCode, KeyEvent};
use matou_i18n::{Text, both, tr};
use ratatui::Frame;
use ratatui::layout::Rect;
use ratatui::style::Style;
use ratatui::text::{Line, Span};

use super::{draw_scrolled, draw_window};
use crate::layout::ScrollLayout;
use crate::msg::{Beginning, Effect};
use crate::overlay::{Overlay, OverlayReply};
use crate::panes::wrap_text;
use crate::state::App;
use matou_base::text::display_width;

pub(crate) struct WelcomeOverlay;

/// The ways to begin: a key, what it does, and what that means.
const WAYS: [(Text, Text, Text); 3] = [
    (
        Text::new("n", "n"),
        both!("name your servers"),
        both!(
            "You type them as ssh names them; each is logged in to and looked at, nothing is changed there, and config.toml is written: `matou init`."
        ),
    ),
    (
        Text::new("p", "p"),
        both!("try a practice fleet"),
        both!(
            "Three servers of containers on this machine, to try everything without fear. It needs root and a gigabyte of disk; `matou lab down --name practice` removes it."
        ),
    ),
    (
        both!("Esc"),
        both!("this machine"),
        both!("The console of this machine's own Docker engine, which does not answer yet."),
    ),
];

impl Overlay for WelcomeOverlay {
    fn handle_key(&mut self, _: &mut App, key: KeyEvent) -> OverlayReply {
        let beginning = match key.code {
            KeyCode::Char('n') => Beginning::NameServers,
            KeyCode::Char('p') => Beginning::PracticeFleet,
            KeyCode::Esc | KeyCode::Char('q') => return OverlayReply::close(),
            _ => return OverlayReply::stay(),
        };
        OverlayReply::stay().with_effect(Effect::Begin(beginning))
    }

    fn draw(&self, app: &App, frame: &mut Frame, screen: Rect) -> ScrollLayout {
        let theme = app.theme;
        let columns = usize::from(screen.width).saturating_sub(8).min(72);
        let text = |text: &str, indent: usize, style: Style| {
            let lines = wrap_text(&theme.drawable_text(text), columns - indent);
            let lines = lines
                .into_iter()
                .map(move |line| Line::from(Span::styled(format!("{:indent$}{line}", ""), style)));
            lines.collect::<Vec<_>>()
        };
        let mut lines = text(
            tr!("There is no config.toml yet. Begin with:"),
            0,
            Style::new(),
        );
        let keys = WAYS.iter().map(|(key, ..)| display_width(key));
        let indent = keys.max().unwrap_or(0) + 1;
        let meanings = WAYS.map(|(.., meaning)| text(&meaning, indent, theme.dim()));
        let needed = lines.len() + meanings.iter().map(|m| m.len() + 2).sum::<usize>();
        // On a low screen the keys are worth more than what they mean.
        let has_room = needed + 2 <= usize::from(screen.height);
        for ((key, what, _), meaning) in WAYS.into_iter().zip(meanings) {
            lines.push(Line::default());
            lines.push(Line::from(vec![
                Span::styled(format!("{key:<indent$}"), theme.key()),
                Span::styled(what.get(), theme.title()),
            ]));
            if has_room {
                lines.extend(meaning);
            }
        }
        let size = (columns as u16, lines.len() as u16);
        let hint = tr!("n name servers · p practice fleet · Esc this machine");
        let area = draw_window(app, frame, screen, tr!("Welcome to matou"), hint, size);
        draw_scrolled(app, frame, area, &lines, 0)
    }
}
