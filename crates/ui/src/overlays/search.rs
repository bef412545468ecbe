//! Searches the log store: the query is typed, hits are listed, one record is shown whole.

use crossterm::event::{Event, KeyCode, KeyEvent};
use matou_i18n::tr;
use ratatui::Frame;
use ratatui::layout::Rect;
use ratatui::text::{Line, Span};
use tui_input::Input;
use tui_input::backend::crossterm::EventHandler;

use super::{
    add_help_hint, draw_choices, draw_own_window, draw_scrolled, input_spans, move_by_key,
};
use crate::cut::draw_line;
use crate::layout::ScrollLayout;
use crate::msg::{Effect, Ticket};
use crate::overlay::{Overlay, OverlayAnswer, OverlayReply};
use crate::panes::wrap_text;
use crate::state::App;
use matou_base::text::SafeText;
use matou_base::text::{clean_line, fit_to_width};
use matou_model::{LogRecord, LogSearch};

/// Records that are asked for.
const MAX_RECORDS: usize = 500;

/// Rows that one key moves by at most.
const PAGE: usize = 20;

pub(crate) struct LogSearchOverlay {
    /// Of the search that was asked for last; `None` before the first.
    pub ticket: Option<Ticket>,
    input: Input,
    /// The keys go to the query.
    typing: bool,
    /// The application that was selected, and whether the search is limited to it.
    app: Option<String>,
    only_app: bool,
    found: LogSearchState,
    at: usize,
    /// The selected record is shown whole, from this line on.
    open: Option<usize>,
}

enum LogSearchState {
    /// Nothing was asked yet.
    Nothing,
    Asking,
    /// Oldest first.
    Records(Vec<LogRecord>),
    Refused(SafeText),
}

impl LogSearchOverlay {
    /// Opens the search for a query to be typed, of the selected application if there is one.
    pub(crate) fn for_app(app: Option<String>) -> Self {
        Self {
            ticket: None,
            input: Input::default(),
            typing: true,
            only_app: app.is_some(),
            app,
            found: LogSearchState::Nothing,
            at: 0,
            open: None,
        }
    }

    fn start_search(&mut self, app: &mut App) -> OverlayReply {
        let ticket = app.issue_ticket();
        self.ticket = Some(ticket);
        self.typing = false;
        self.open = None;
        self.found = LogSearchState::Asking;
        let search = LogSearch {
            query: self.input.value().to_owned(),
            app: self.app.clone().filter(|_| self.only_app),
            since: None,
            limit: MAX_RECORDS,
        };
        OverlayReply::stay().with_effect(Effect::SearchLogs { ticket, search })
    }

    /// Takes what was found; the newest is selected.
    pub(crate) fn take_records(&mut self, found: Result<Vec<LogRecord>, SafeText>) {
        self.found = match found {
            Ok(records) => LogSearchState::Records(records),
            Err(reason) => LogSearchState::Refused(reason),
        };
        self.at = self.records().len().saturating_sub(1);
    }

    fn records(&self) -> &[LogRecord] {
        match &self.found {
            LogSearchState::Records(records) => records,
            _ => &[],
        }
    }
}

impl Overlay for LogSearchOverlay {
    fn handle_key(&mut self, app: &mut App, key: KeyEvent) -> OverlayReply {
        if key.code == KeyCode::Tab && self.app.is_some() {
            self.only_app = !self.only_app;
            return match self.typing {
                true => OverlayReply::stay(),
                false => self.start_search(app),
            };
        }
        if self.typing {
            match key.code {
                KeyCode::Enter => return self.start_search(app),
                KeyCode::Esc if self.records().is_empty() => return OverlayReply::close(),
                KeyCode::Esc => self.typing = false,
                _ => {
                    self.input.handle_event(&Event::Key(key));
                }
            }
            return OverlayReply::stay();
        }
        if let Some(top) = &mut self.open {
            match key.code {
                KeyCode::Esc | KeyCode::Enter | KeyCode::Left | KeyCode::Char('q') => {
                    self.open = None;
                }
                _ => {
                    // Scrolls without limit; drawing corrects it.
                    move_by_key(key, top, usize::MAX / 2, PAGE);
                }
            }
            return OverlayReply::stay();
        }
        match key.code {
            KeyCode::Esc | KeyCode::Char('q') => return OverlayReply::close(),
            KeyCode::Char('/') => self.typing = true,
            KeyCode::Char('r') => return self.start_search(app),
            KeyCode::Enter | KeyCode::Right if !self.records().is_empty() => self.open = Some(0),
            _ => {
                let len = self.records().len();
                move_by_key(key, &mut self.at, len, PAGE);
            }
        }
        OverlayReply::stay()
    }

    fn draw(&self, app: &App, frame: &mut Frame, screen: Rect) -> ScrollLayout {
        let theme = app.theme;
        let size = (
            screen.width.saturating_sub(6),
            screen.height.saturating_sub(4),
        );
        let title = match self.app.as_deref().filter(|_| self.only_app) {
            Some(app) => tr!("Search the logs of {app}"),
            None => tr!("Search all logs").to_owned(),
        };
        let tab = match self.app {
            Some(_) => tr!(" · Tab all or its own"),
            None => "",
        };
        let hint = match (self.typing, self.open) {
            (true, _) => tr!("Enter searches{tab} · Esc back"),
            (_, Some(_)) => tr!("Esc back").to_owned(),
            (false, None) => tr!("Enter whole · / query · r again{tab} · Esc back"),
        };
        let hint = add_help_hint(app, &hint, self.typing);
        let area = draw_own_window(app, frame, screen, &title, &hint, size);
        let mut query = vec![Span::styled("/ ", theme.key())];
        let room = usize::from(area.width).saturating_sub(2);
        query.extend(input_spans(app, &self.input, self.typing, room));
        draw_line(frame.buffer_mut(), area, &Line::from(query), theme);
        let list = Rect {
            y: (area.y + 2).min(area.bottom()),
            height: area.height.saturating_sub(2),
            ..area
        };
        let columns = usize::from(area.width);
        if let (Some(top), Some(record)) = (self.open, self.records().get(self.at)) {
            let lines = log_record_lines(app, record, columns);
            return draw_scrolled(app, frame, list, &lines, top);
        }
        let said = match &self.found {
            LogSearchState::Records(records) if !records.is_empty() => {
                let lines = records.iter().map(|r| log_record_line(app, r)).collect();
                return draw_choices(app, frame, list, lines, self.at).into();
            }
            LogSearchState::Records(_) => tr!("nothing was found"),
            LogSearchState::Nothing => {
                tr!(
                    "LogsQL: words, \"a phrase\", node:n1, source:access, error and not sshd, _time:1h, … Nothing: the newest."
                )
            }
            LogSearchState::Asking => tr!("asking the log store …"),
            LogSearchState::Refused(reason) => reason,
        };
        let lines: Vec<Line> = wrap_text(&theme.drawable_text(&clean_line(said)), columns)
            .into_iter()
            .map(|l| Line::styled(l, theme.dim()))
            .collect();
        draw_scrolled(app, frame, list, &lines, 0)
    }

    /// Takes what was visible of the record that is shown whole.
    fn take_layout(&mut self, drawn: ScrollLayout) {
        if let Some(top) = &mut self.open {
            *top = drawn.top;
        }
    }

    fn ticket(&self) -> Option<Ticket> {
        self.ticket
    }

    fn take_answer(&mut self, answer: OverlayAnswer) {
        if let OverlayAnswer::Records(found) = answer {
            self.take_records(found);
        }
    }

    fn takes_text(&self) -> bool {
        self.typing
    }

    fn paste(&mut self, _: &App, text: &str) {
        if self.typing {
            crate::text_input::insert_text(&mut self.input, text);
        }
    }
}

fn log_record_line(app: &App, record: &LogRecord) -> Line<'static> {
    let theme = app.theme;
    let shown = |text: &str, columns| {
        fit_to_width(
            &theme.drawable_text(&clean_line(text)),
            columns,
            theme.ellipsis(),
        )
    };
    // In the zone of the screen, as the stamps of a log.
    let at = record.at.map_or_else(String::new, |t| {
        let local = t.to_zoned_datetime(app.zone.clone());
        local.strftime("%m-%d %H:%M:%S").to_string()
    });
    Line::from(vec![
        Span::styled(format!("{at:<14} "), theme.dim()),
        Span::raw(shown(&record.node, 10)),
        Span::styled(format!(" {} ", shown(&record.app, 14)), theme.title()),
        Span::raw(theme.drawable_text(&clean_line(&record.line))),
    ])
}

/// A record whole: its line, then every field.
fn log_record_lines(app: &App, record: &LogRecord, columns: usize) -> Vec<Line<'static>> {
    let theme = app.theme;
    let shown =
        |text: &str| wrap_text(&theme.drawable_text(&clean_line(text)), columns).into_iter();
    let mut lines: Vec<Line> = shown(&record.line).map(Line::raw).collect();
    lines.push(Line::raw(""));
    let at = record.at.map_or_else(String::new, |t| {
        let local = t.to_zoned_datetime(app.zone.clone());
        local.strftime("%Y-%m-%d %H:%M:%S%.f %Z").to_string()
    });
    let own = [
        (tr!("time"), &at),
        (tr!("node"), &record.node),
        (tr!("of"), &record.app),
    ];
    let fields = record.fields.iter().map(|(name, value)| (&**name, value));
    for (name, value) in own.into_iter().chain(fields) {
        lines.extend(shown(&tr!("{name}: {value}")).map(Line::raw));
    }
    lines
}
