//! What keys do in the access log: following, filtering, showing what comes most often.

use crossterm::event::{KeyCode, KeyEvent, KeyModifiers};
use jiff::Timestamp;
use jiff::tz::TimeZone;
use tui_input::Input;
use tui_input::backend::crossterm::EventHandler;

use super::buffer::Requests;
use crate::model::{Access, AccessFilter};

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
    pub(super) requests: Requests,
    /// Number of the first visible request when not following.
    top: u64,
    follow: bool,
    query: Input,
    typing: bool,
    /// What comes most often is shown: beside the requests where there is room, else instead.
    pub(super) tops: Option<bool>,
    ended: Option<String>,
    pub(super) note: Option<String>,
    /// Requests visible when it was drawn last.
    pub(super) height: usize,
    pub(super) zone: TimeZone,
}

impl AccessView {
    /// Nothing has come yet; times are shown in the zone.
    pub fn new(zone: TimeZone) -> Self {
        Self {
            requests: Requests::default(),
            top: 0,
            follow: true,
            query: Input::default(),
            typing: false,
            tops: None,
            ended: None,
            note: None,
            height: 1,
            zone,
        }
    }

    /// Adds requests, oldest first.
    pub fn push(&mut self, requests: Vec<Access>) {
        for access in requests {
            self.requests.push(access);
        }
    }

    /// Something to know of what comes.
    pub fn note(&mut self, text: String) {
        self.note = Some(text);
    }

    /// Nothing more will come.
    pub fn end(&mut self, reason: String) {
        self.ended = Some(reason);
    }

    /// Why nothing more comes.
    pub(super) fn ended(&self) -> Option<&str> {
        self.ended.as_deref()
    }

    /// One line about the state.
    pub fn status(&self) -> String {
        let mut parts = vec![if self.follow { "following" } else { "paused" }.to_owned()];
        let (kept, all) = (self.requests.count(), self.requests.len());
        parts.push(match self.requests.is_filtered() {
            true => format!("{kept} of {all} requests"),
            false => format!("{all} requests"),
        });
        if self.requests.dropped() > 0 {
            parts.push(format!("{} older dropped", self.requests.dropped()));
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
    pub fn key(&mut self, key: KeyEvent) -> AccessOutcome {
        if self.typing {
            self.type_query(key);
            return AccessOutcome::Handled;
        }
        let control = key.modifiers.contains(KeyModifiers::CONTROL);
        let half = (self.height / 2).max(1) as isize;
        match key.code {
            KeyCode::Char('d') if control => self.scroll(half),
            KeyCode::Char('u') if control => self.scroll(-half),
            _ if control => return AccessOutcome::Ignored,
            KeyCode::Char('f') | KeyCode::Char('G') | KeyCode::End => self.follow = true,
            KeyCode::Char(' ') if self.follow => self.scroll(0),
            KeyCode::Char(' ') => self.follow = true,
            KeyCode::Char('t') => self.tops = Some(self.tops != Some(true)),
            KeyCode::Char('/') => self.typing = true,
            KeyCode::Char('y') => {
                return AccessOutcome::Copy(self.text(self.first_visible(), self.height));
            }
            KeyCode::Char('o') => return AccessOutcome::Save(self.text(0, usize::MAX)),
            KeyCode::Char('j') | KeyCode::Down => self.scroll(1),
            KeyCode::Char('k') | KeyCode::Up => self.scroll(-1),
            KeyCode::PageDown => self.scroll(half * 2),
            KeyCode::PageUp => self.scroll(-half * 2),
            KeyCode::Char('g') | KeyCode::Home => self.scroll(isize::MIN),
            KeyCode::Esc if !self.query.value().is_empty() => {
                self.query.reset();
                self.filter();
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
        self.filter();
    }

    fn filter(&mut self) {
        self.requests
            .filter(AccessFilter::parse(self.query.value()));
    }

    /// The place of the first visible request, among those that the filter keeps.
    pub(super) fn first_visible(&self) -> usize {
        let last = self.requests.count().saturating_sub(self.height);
        match self.follow {
            true => last,
            false => self.requests.place(self.top).min(last),
        }
    }

    /// Scrolls by lines, which ends following; at the end it starts again.
    pub fn scroll(&mut self, by: isize) {
        let last = self.requests.count().saturating_sub(self.height);
        let place = self.first_visible().saturating_add_signed(by).min(last);
        self.follow = by > 0 && place == last;
        self.top = self.requests.number(place).unwrap_or(0);
    }

    fn text(&self, from: usize, most: usize) -> String {
        let lines = self.requests.kept(from).take(most);
        lines.fold(String::new(), |text, a| text + &a.line() + "\n")
    }

    /// The time of day in the zone.
    pub(super) fn time(&self, at: Timestamp) -> String {
        let at = at.to_zoned_datetime(self.zone.clone());
        at.strftime("%H:%M:%S").to_string()
    }
}
