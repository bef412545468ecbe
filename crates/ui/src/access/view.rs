//! What keys do in the access log: following, filtering, showing what comes most often.

use crossterm::event::{KeyCode, KeyEvent, KeyModifiers};
use jiff::Timestamp;
use jiff::tz::TimeZone;
use tui_input::Input;
use tui_input::backend::crossterm::EventHandler;

use super::buffer::RequestBuffer;
use matou_model::{AccessFilter, AccessRecord};

/// What a key did.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum AccessOutcome {
    Handled,
    Copy(String),
    /// All that the filter keeps, to be saved.
    Save(String),
    /// Not a key of this view.
    Ignored,
}

/// An access log on the screen.
pub struct AccessView {
    pub(super) requests: RequestBuffer,
    /// Number of the first visible request when not following.
    top: u64,
    follow: bool,
    query: Input,
    typing: bool,
    /// Whether the most frequent paths and addresses are shown: beside the requests where there is
    /// room, else instead of them. `None`: only beside them.
    pub(super) show_most_frequent: Option<bool>,
    ended: Option<String>,
    pub(super) note: Option<String>,
    /// Requests visible when it was drawn last.
    pub(crate) height: usize,
    pub(super) zone: TimeZone,
}

impl AccessView {
    /// Nothing has come yet; times are shown in the zone.
    pub fn new(zone: TimeZone) -> Self {
        Self {
            requests: RequestBuffer::default(),
            top: 0,
            follow: true,
            query: Input::default(),
            typing: false,
            show_most_frequent: None,
            ended: None,
            note: None,
            height: 1,
            zone,
        }
    }

    /// Adds requests, oldest first.
    pub fn push(&mut self, requests: Vec<AccessRecord>) {
        for access in requests {
            self.requests.push(access);
        }
    }

    /// Shows a remark about the log in the status line.
    pub fn set_note(&mut self, text: String) {
        self.note = Some(text);
    }

    /// Notes why no more requests will come.
    pub fn mark_ended(&mut self, reason: String) {
        self.ended = Some(reason);
    }

    /// Why nothing more comes.
    pub(super) fn end_reason(&self) -> Option<&str> {
        self.ended.as_deref()
    }

    /// Formats one line about the state: following or paused, requests, filter.
    pub fn status_line(&self) -> String {
        let mut parts = vec![if self.follow { "following" } else { "paused" }.to_owned()];
        let (kept, all) = (self.requests.count_kept(), self.requests.len());
        parts.push(match self.requests.is_filtered() {
            true => format!("{kept} of {all} requests"),
            false => format!("{all} requests"),
        });
        if self.requests.count_dropped() > 0 {
            parts.push(format!("{} older dropped", self.requests.count_dropped()));
        }
        if self.typing || !self.query.value().is_empty() {
            let caret = if self.typing { "_" } else { "" };
            parts.push(format!("/{}{caret}", self.query.value()));
        }
        parts.extend(self.note.clone());
        parts.extend(self.ended.clone().filter(|_| !self.requests.is_empty()));
        parts.join(", ")
    }

    /// Takes a key.
    pub fn handle_key(&mut self, key: KeyEvent) -> AccessOutcome {
        if self.typing {
            self.type_query(key);
            return AccessOutcome::Handled;
        }
        let control = key.modifiers.contains(KeyModifiers::CONTROL);
        let half = (self.height / 2).max(1) as isize;
        match key.code {
            KeyCode::Char('d') if control => self.scroll_by(half),
            KeyCode::Char('u') if control => self.scroll_by(-half),
            _ if control => return AccessOutcome::Ignored,
            KeyCode::Char('f' | 'G') | KeyCode::End => self.follow = true,
            KeyCode::Char(' ') if self.follow => self.scroll_by(0),
            KeyCode::Char(' ') => self.follow = true,
            KeyCode::Char('t') => {
                self.show_most_frequent = Some(self.show_most_frequent != Some(true));
            }
            KeyCode::Char('/') => self.typing = true,
            KeyCode::Char('y') => {
                return AccessOutcome::Copy(
                    self.format_requests(self.first_visible(self.height), self.height),
                );
            }
            KeyCode::Char('o') => return AccessOutcome::Save(self.format_requests(0, usize::MAX)),
            KeyCode::Char('j') | KeyCode::Down => self.scroll_by(1),
            KeyCode::Char('k') | KeyCode::Up => self.scroll_by(-1),
            KeyCode::PageDown => self.scroll_by(half * 2),
            KeyCode::PageUp => self.scroll_by(-half * 2),
            KeyCode::Char('g') | KeyCode::Home => self.scroll_by(isize::MIN),
            KeyCode::Esc if !self.query.value().is_empty() => {
                self.query.reset();
                self.apply_filter();
            }
            _ => return AccessOutcome::Ignored,
        }
        AccessOutcome::Handled
    }

    fn type_query(&mut self, key: KeyEvent) {
        match key.code {
            KeyCode::Enter => self.typing = false,
            KeyCode::Esc => {
                self.typing = false;
                self.query.reset();
            }
            _ => {
                let event = crossterm::event::Event::Key(key);
                self.query.handle_event(&event);
            }
        }
        self.apply_filter();
    }

    fn apply_filter(&mut self) {
        self.requests
            .set_filter(AccessFilter::parse(self.query.value()));
    }

    /// Returns the index of the first of `height` visible requests among those that the filter keeps.
    pub(super) fn first_visible(&self, height: usize) -> usize {
        let last = self.requests.count_kept().saturating_sub(height);
        match self.follow {
            true => last,
            false => self.requests.place_of_number(self.top).min(last),
        }
    }

    /// Scrolls by lines, which ends following; at the end it starts again.
    pub fn scroll_by(&mut self, by: isize) {
        let last = self.requests.count_kept().saturating_sub(self.height);
        let place = self
            .first_visible(self.height)
            .saturating_add_signed(by)
            .min(last);
        self.follow = by > 0 && place == last;
        self.top = self.requests.number_at(place).unwrap_or(0);
    }

    fn format_requests(&self, from: usize, most: usize) -> String {
        let lines = self.requests.kept_from(from).take(most);
        lines.fold(String::new(), |text, a| text + &a.to_line() + "\n")
    }

    /// The time of day in the zone.
    pub(super) fn format_time(&self, at: Timestamp) -> String {
        let at = at.to_zoned_datetime(self.zone.clone());
        at.strftime("%H:%M:%S").to_string()
    }
}
