//! The log store: a query is typed, what is found is listed, one record is shown whole.

use crossterm::event::{Event, KeyCode, KeyEvent};
use ratatui::Frame;
use ratatui::layout::Rect;
use ratatui::text::{Line, Span};
use tui_input::Input;
use tui_input::backend::crossterm::EventHandler;

use super::{Reply, choices, moved, scrolled, typed, window};
use crate::model::{LogRecord, LogSearch};
use crate::text::{clean, fit};
use crate::ui::msg::{Effect, Ticket};
use crate::ui::panes::wrap;
use crate::ui::state::App;

/// Records that are asked for.
const MOST: usize = 500;

/// Rows that one key moves by at most.
const PAGE: usize = 20;

pub(in crate::ui) struct Search {
    pub ticket: Ticket,
    input: Input,
    /// The keys go to the query.
    typing: bool,
    /// The application that was selected, and whether only it is searched.
    app: Option<String>,
    only: bool,
    found: Found,
    at: usize,
    /// The selected record is shown whole, from this line on.
    open: Option<usize>,
}

enum Found {
    /// Nothing was asked yet.
    Nothing,
    Asking,
    /// Oldest first.
    Records(Vec<LogRecord>),
    Refused(String),
}

impl Search {
    /// A query is to be typed; of an application when one is selected.
    pub(in crate::ui) fn of(app: Option<String>) -> Self {
        Self {
            ticket: Ticket(0),
            input: Input::default(),
            typing: true,
            only: app.is_some(),
            app,
            found: Found::Nothing,
            at: 0,
            open: None,
        }
    }

    fn ask(&mut self, app: &mut App) -> Reply {
        self.ticket = app.ticket();
        self.typing = false;
        self.open = None;
        self.found = Found::Asking;
        let search = LogSearch {
            query: self.input.value().to_owned(),
            app: self.app.clone().filter(|_| self.only),
            since: None,
            limit: MOST,
        };
        Reply::stay().with(Effect::Search {
            ticket: self.ticket,
            search,
        })
    }

    /// Takes what was found; the newest is selected.
    pub(in crate::ui) fn take(&mut self, found: Result<Vec<LogRecord>, String>) {
        self.found = match found {
            Ok(records) => Found::Records(records),
            Err(reason) => Found::Refused(reason),
        };
        self.at = self.records().len().saturating_sub(1);
    }

    fn records(&self) -> &[LogRecord] {
        match &self.found {
            Found::Records(records) => records,
            _ => &[],
        }
    }

    pub(super) fn key(&mut self, app: &mut App, key: KeyEvent) -> Reply {
        if key.code == KeyCode::Tab && self.app.is_some() {
            self.only = !self.only;
            return match self.typing {
                true => Reply::stay(),
                false => self.ask(app),
            };
        }
        if self.typing {
            match key.code {
                KeyCode::Enter => return self.ask(app),
                KeyCode::Esc if self.records().is_empty() => return Reply::close(),
                KeyCode::Esc => self.typing = false,
                _ => {
                    self.input.handle_event(&Event::Key(key));
                }
            }
            return Reply::stay();
        }
        if let Some(top) = &mut self.open {
            match key.code {
                KeyCode::Esc | KeyCode::Enter | KeyCode::Left | KeyCode::Char('q') => {
                    self.open = None;
                }
                _ => {
                    // As far as its lines go; drawing corrects it.
                    moved(key, top, usize::MAX / 2, PAGE);
                }
            }
            return Reply::stay();
        }
        match key.code {
            KeyCode::Esc | KeyCode::Char('q') => return Reply::close(),
            KeyCode::Char('/') => self.typing = true,
            KeyCode::Char('r') => return self.ask(app),
            KeyCode::Enter | KeyCode::Right if !self.records().is_empty() => self.open = Some(0),
            _ => {
                let len = self.records().len();
                moved(key, &mut self.at, len, PAGE);
            }
        }
        Reply::stay()
    }

    pub(super) fn draw(&mut self, app: &App, frame: &mut Frame, screen: Rect) {
        let theme = app.theme;
        let size = (
            screen.width.saturating_sub(6),
            screen.height.saturating_sub(4),
        );
        let title = match self.app.as_deref().filter(|_| self.only) {
            Some(app) => format!("Search the logs of {app}"),
            None => "Search all logs".to_owned(),
        };
        let tab = match self.app {
            Some(_) => " · Tab all or its own",
            None => "",
        };
        let hint = match (self.typing, self.open) {
            (true, _) => format!("Enter searches{tab} · Esc back"),
            (_, Some(_)) => "Esc back".to_owned(),
            (false, None) => format!("Enter whole · / query · r again{tab} · Esc back"),
        };
        let area = window(app, frame, screen, &title, &hint, size);
        let mut query = vec![Span::styled("/ ", theme.key())];
        query.extend(typed(app, &self.input, self.typing));
        frame
            .buffer_mut()
            .set_line(area.x, area.y, &Line::from(query), area.width);
        let list = Rect {
            y: (area.y + 2).min(area.bottom()),
            height: area.height.saturating_sub(2),
            ..area
        };
        let columns = usize::from(area.width);
        if let (Some(top), Some(record)) = (self.open, self.records().get(self.at)) {
            let lines = in_full(app, record, columns);
            self.open = Some(scrolled(frame, list, &lines, top));
            return;
        }
        let said = match &self.found {
            Found::Records(records) if !records.is_empty() => {
                let lines = records.iter().map(|r| line(app, r)).collect();
                return choices(app, frame, list, lines, self.at);
            }
            Found::Records(_) => "nothing was found",
            Found::Nothing => {
                "LogsQL: words, \"a phrase\", node:n1, source:access, error and not sshd, _time:1h, … Nothing: the newest."
            }
            Found::Asking => "asking the log store …",
            Found::Refused(reason) => reason,
        };
        let lines: Vec<Line> = wrap(&theme.text(&clean(said)), columns)
            .into_iter()
            .map(|l| Line::styled(l, theme.dim()))
            .collect();
        scrolled(frame, list, &lines, 0);
    }
}

fn line(app: &App, record: &LogRecord) -> Line<'static> {
    let theme = app.theme;
    let shown = |text: &str, columns| fit(&theme.text(&clean(text)), columns, theme.ellipsis());
    let at = record
        .at
        .map_or_else(String::new, |t| t.strftime("%m-%d %H:%M:%S").to_string());
    Line::from(vec![
        Span::styled(format!("{at:<14} "), theme.dim()),
        Span::raw(shown(&record.node, 10)),
        Span::styled(format!(" {} ", shown(&record.app, 14)), theme.title()),
        Span::raw(theme.text(&clean(&record.line))),
    ])
}

/// A record whole: its line, then every field.
fn in_full(app: &App, record: &LogRecord, columns: usize) -> Vec<Line<'static>> {
    let theme = app.theme;
    let shown = |text: &str| wrap(&theme.text(&clean(text)), columns).into_iter();
    let mut lines: Vec<Line> = shown(&record.line).map(Line::raw).collect();
    lines.push(Line::raw(""));
    let at = record.at.map_or_else(String::new, |t| t.to_string());
    let own = [("time", &at), ("node", &record.node), ("of", &record.app)];
    let fields = record.fields.iter().map(|(name, value)| (&**name, value));
    for (name, value) in own.into_iter().chain(fields) {
        lines.extend(shown(&format!("{name}: {value}")).map(Line::raw));
    }
    lines
}
