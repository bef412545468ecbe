//! Jobs of all consoles and of the command line, as the journal remembers them, and what they ran.

use crossterm::event::{Event, KeyCode, KeyEvent};
use matou_i18n::tr;
use ratatui::Frame;
use ratatui::layout::Rect;
use ratatui::text::{Line, Span};
use tui_input::Input;
use tui_input::backend::crossterm::EventHandler;

use super::{
    add_help_hint, draw_choices, draw_own_window, draw_scrolled, draw_window, format_scroll_hint,
    move_by_key,
};
use crate::layout::ScrollLayout;
use crate::msg::{Effect, Ticket};
use crate::overlay::{Overlay, OverlayAnswer, OverlayReply};
use crate::panes::{RowFilter, wrap_text};
use crate::state::App;
use crate::theme::Health;
use matou_base::text::{SafeText, clean_line, fit_to_width};
use matou_job::{JobOutcome, PastJob};

/// Rows that one key moves by at most.
const PAGE: usize = 10;

pub(crate) struct HistoryOverlay {
    ticket: Ticket,
    /// `None` while the journal is read. The newest come first.
    found: Option<Result<Vec<PastJob>, SafeText>>,
    /// Of those that the filter keeps.
    at: usize,
    filter: Input,
    /// It is being typed.
    filtering: bool,
    /// The selected job is shown with its commands.
    opened: bool,
    drawn: ScrollLayout,
}

impl HistoryOverlay {
    /// Opens the list and asks for the journal.
    pub(crate) fn open(app: &mut App) -> (Self, Effect) {
        let ticket = app.issue_ticket();
        let view = Self {
            ticket,
            found: None,
            at: 0,
            filter: Input::default(),
            filtering: false,
            opened: false,
            drawn: ScrollLayout::default(),
        };
        (view, Effect::ReadPastJobs { ticket })
    }

    fn kept(&self) -> Vec<&PastJob> {
        let mut words = RowFilter::by_words(self.filter.value());
        let all = self.found.iter().flatten().flatten();
        all.filter(|job| {
            let text = format!("{} {} {}", job.title, job.operator, state_word(job));
            words.score(&text).is_some()
        })
        .collect()
    }

    fn take_filter_key(&mut self, key: KeyEvent) {
        match key.code {
            KeyCode::Esc => {
                self.filtering = false;
                self.filter.reset();
            }
            KeyCode::Enter | KeyCode::Down | KeyCode::Up => self.filtering = false,
            _ => {
                self.filter.handle_event(&Event::Key(key));
            }
        }
        self.at = 0;
    }

    fn draw_list(&self, app: &App, frame: &mut Frame, screen: Rect) -> ScrollLayout {
        let theme = app.theme;
        let kept = self.kept();
        let said = match &self.found {
            None => Some(theme.drawable_text(tr!("reading the journal …"))),
            Some(Err(why)) => Some(why.to_string()),
            Some(Ok(all)) if all.is_empty() => {
                Some(tr!("No job was run from this machine yet.").into())
            }
            Some(Ok(_)) if kept.is_empty() => Some(tr!("nothing matches").into()),
            Some(Ok(_)) => None,
        };
        let typed = clean_line(self.filter.value());
        let is_empty = !matches!(&self.found, Some(Ok(all)) if !all.is_empty());
        let (title, hint) = match (self.filtering, typed.is_empty()) {
            _ if is_empty => (tr!("History").to_owned(), tr!("Esc back")),
            (true, _) => (
                tr!("History /{typed}_"),
                tr!("Enter keeps it · Esc ends the filter"),
            ),
            (false, true) => (
                tr!("History").to_owned(),
                tr!("Enter opens it · / filter · Esc back"),
            ),
            (false, false) => (
                tr!("History /{typed}"),
                tr!("Enter opens it · / filter · Esc shows all"),
            ),
        };
        let all = self.found.iter().flatten().map(Vec::len).sum::<usize>();
        let size = (92, all.max(3) as u16);
        let hint = add_help_hint(app, hint, self.filtering);
        let area = draw_own_window(app, frame, screen, &title, &hint, size);
        if let Some(said) = said {
            let lines = wrap_text(&theme.drawable_text(&said), usize::from(area.width));
            let lines: Vec<Line> = lines.into_iter().map(Line::raw).collect();
            draw_scrolled(app, frame, area, &lines, 0);
            return ScrollLayout::default();
        }
        let lines = kept.iter().map(|job| {
            let health = health(job);
            let shown = |text: &str, columns| {
                fit_to_width(
                    &theme.drawable_text(&clean_line(text)),
                    columns,
                    theme.ellipsis(),
                )
            };
            Line::from(vec![
                Span::styled(theme.health_glyph(health), theme.health_style(health)),
                Span::raw(format!(" {} ", format_time(app, job))),
                Span::styled(shown(state_word(job), 10), theme.health_style(health)),
                Span::styled(format!("{:>8} ", format_took(job)), theme.dim()),
                Span::styled(shown(&job.operator, 9), theme.dim()),
                Span::raw(format!(" {}", theme.drawable_text(&clean_line(&job.title)))),
            ])
        });
        draw_choices(app, frame, area, lines.collect(), self.at).into()
    }

    fn draw_job(&self, app: &App, job: &PastJob, frame: &mut Frame, screen: Rect) -> ScrollLayout {
        let theme = app.theme;
        let columns = usize::from(screen.width).saturating_sub(8).min(120);
        let mut lines: Vec<Line> = Vec::new();
        let mut push = |text: &str, style| {
            let text = theme.drawable_text(&clean_line(text));
            let wrapped = wrap_text(&text, columns).into_iter();
            lines.extend(wrapped.map(|l| Line::styled(l, style)));
        };
        let plain = ratatui::style::Style::new();
        let health = health(job);
        push(
            &tr!(
                "{} by {}: {}{}",
                format_time(app, job),
                job.operator,
                state_word(job),
                job.took
                    .map_or_else(String::new, |_| tr!(" after {}", format_took(job)))
            ),
            theme.health_style(health),
        );
        if let Some(JobOutcome::Failed { reason }) = &job.outcome {
            for line in reason.lines() {
                push(line, theme.removed());
            }
        }
        if !job.output.is_empty() {
            push("", plain);
            push(tr!("The end of its output"), theme.title());
        }
        for line in &job.output {
            push(line, plain);
        }
        push("", plain);
        let commands = match job.commands.len() {
            0 => tr!("No command ran on a node meanwhile").to_owned(),
            n => tr!("What ran on the nodes meanwhile ({n})"),
        };
        push(&commands, theme.title());
        for command in &job.commands {
            let at = command
                .at
                .to_zoned_datetime(app.zone.clone())
                .strftime("%H:%M:%S");
            let millis = command.took.as_millis();
            let (said, style) = match &command.result {
                Ok(0) => (String::new(), plain),
                Ok(code) => (tr!(", exit code {code}"), theme.changed()),
                Err(why) => (format!(", {why}"), theme.changed()),
            };
            let head = format!("{at} {} {millis} ms{said}", command.node);
            push(&head, theme.dim());
            push(&format!("  {}", command.command), style);
        }
        let height = usize::from(screen.height).saturating_sub(3);
        let hint = format_scroll_hint(
            lines.len(),
            (self.drawn.top, height),
            false,
            tr!("Esc back"),
        );
        let size = (columns as u16, (lines.len() as u16).max(6));
        let area = draw_window(app, frame, screen, &job.title, &hint, size);
        draw_scrolled(app, frame, area, &lines, self.drawn.top)
    }
}

impl Overlay for HistoryOverlay {
    fn handle_key(&mut self, _: &mut App, key: KeyEvent) -> OverlayReply {
        if self.filtering {
            self.take_filter_key(key);
            return OverlayReply::stay();
        }
        let kept = self.kept().len();
        match key.code {
            KeyCode::Esc | KeyCode::Char('q') | KeyCode::Left if self.opened => {
                self.opened = false;
            }
            KeyCode::Esc if !self.filter.value().is_empty() => self.filter.reset(),
            KeyCode::Esc | KeyCode::Char('q') | KeyCode::Left => return OverlayReply::close(),
            _ if self.opened => {
                let lines = (self.drawn.lines + 1).saturating_sub(self.drawn.height);
                move_by_key(key, &mut self.drawn.top, lines, self.drawn.height);
            }
            KeyCode::Char('/') => self.filtering = true,
            KeyCode::Enter | KeyCode::Right if kept > 0 => {
                self.opened = true;
                self.drawn = ScrollLayout::default();
            }
            _ => {
                move_by_key(key, &mut self.at, kept, PAGE);
            }
        }
        OverlayReply::stay()
    }

    fn draw(&self, app: &App, frame: &mut Frame, screen: Rect) -> ScrollLayout {
        match self.kept().get(self.at).filter(|_| self.opened) {
            Some(job) => self.draw_job(app, job, frame, screen),
            None => self.draw_list(app, frame, screen),
        }
    }

    fn take_layout(&mut self, drawn: ScrollLayout) {
        self.drawn = drawn;
    }

    fn takes_text(&self) -> bool {
        self.filtering
    }

    fn paste(&mut self, _: &App, text: &str) {
        if self.filtering {
            crate::text_input::insert_text(&mut self.filter, text);
            self.at = 0;
        }
    }

    fn ticket(&self) -> Option<Ticket> {
        Some(self.ticket)
    }

    fn take_answer(&mut self, answer: OverlayAnswer) {
        if let OverlayAnswer::PastJobs(found) = answer {
            self.found = Some(found);
            self.at = 0;
        }
    }
}

fn state_word(job: &PastJob) -> &'static str {
    match &job.outcome {
        None => tr!("no end"),
        Some(JobOutcome::Done { changed: 0 }) => tr!("unchanged"),
        Some(JobOutcome::Done { .. }) => tr!("done"),
        Some(JobOutcome::Failed { .. }) => tr!("failed"),
        Some(JobOutcome::Cancelled) => tr!("cancelled"),
    }
}

fn health(job: &PastJob) -> Health {
    match &job.outcome {
        Some(JobOutcome::Done { .. }) => Health::Good,
        Some(JobOutcome::Failed { .. }) => Health::Bad,
        None | Some(JobOutcome::Cancelled) => Health::Unknown,
    }
}

fn format_time(app: &App, job: &PastJob) -> String {
    let began = job.began.to_zoned_datetime(app.zone.clone());
    began.strftime(tr!("%b %d %H:%M")).to_string()
}

fn format_took(job: &PastJob) -> String {
    match job.took.map(|took| took.as_secs()) {
        None => String::new(),
        Some(seconds @ 0..120) => format!("{seconds} s"),
        Some(seconds) => format!("{} min", seconds / 60),
    }
}
