//! What keys do in the access log: following, filtering, showing what comes most often.

use crossterm::event::{KeyCode, KeyEvent, KeyModifiers};
use jiff::Timestamp;
use jiff::tz::TimeZone;
use matou_i18n::{tr, trn};

use super::buffer::RequestBuffer;
use crate::follow::{Following, NumberedLines as _, Query, QueryOutcome, ViewOutcome};
use matou_model::{AccessFilter, AccessRecord, COUNTED_MINUTES, MinuteCount};

/// An access log on the screen.
pub(crate) struct AccessView {
    pub(super) requests: RequestBuffer,
    following: Following,
    query: Query,
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
    pub(crate) fn new(zone: TimeZone) -> Self {
        Self {
            requests: RequestBuffer::default(),
            following: Following::default(),
            query: Query::default(),
            show_most_frequent: None,
            ended: None,
            note: None,
            height: 1,
            zone,
        }
    }

    /// Adds requests, oldest first.
    pub(crate) fn push(&mut self, requests: Vec<AccessRecord>) {
        for access in requests {
            self.requests.push(access);
        }
    }

    /// Shows a remark about the log in the status line.
    pub(crate) fn set_note(&mut self, text: String) {
        self.note = Some(text);
    }

    /// Notes why no more requests will come.
    pub(crate) fn mark_ended(&mut self, reason: String) {
        self.ended = Some(reason);
    }

    /// Why nothing more comes.
    pub(super) fn end_reason(&self) -> Option<&str> {
        self.ended.as_deref()
    }

    /// The counts of the last minutes, of all requests, the oldest first.
    pub(crate) fn minutes_until(&self, now: Timestamp) -> [Option<MinuteCount>; COUNTED_MINUTES] {
        self.requests.minutes().counts_until(now)
    }

    /// Formats one line about the state: following or paused, requests, filter.
    pub(crate) fn status_line(&self) -> String {
        let mut parts = vec![self.following.word().to_owned()];
        let (kept, all) = (self.requests.count(), self.requests.len());
        parts.push(match self.requests.is_filtered() {
            true => tr!("{kept} of {all} requests"),
            false => trn!(all, "{n} request", "{n} requests"),
        });
        if self.requests.count_dropped() > 0 {
            parts.push(tr!("{} older dropped", self.requests.count_dropped()));
        }
        parts.extend(self.query.status());
        parts.extend(self.note.clone());
        parts.extend(self.ended.clone().filter(|_| !self.requests.is_empty()));
        parts.join(", ")
    }

    /// Takes a key.
    pub(crate) fn handle_key(&mut self, key: KeyEvent) -> ViewOutcome {
        match self.query.handle_key(key) {
            QueryOutcome::Ignored => {}
            outcome => {
                if outcome == QueryOutcome::Changed {
                    self.apply_filter();
                }
                return ViewOutcome::Handled;
            }
        }
        let top = self.first_visible(self.height);
        if self
            .following
            .handle_key(&self.requests, top, self.height, key)
        {
            return ViewOutcome::Handled;
        }
        match key.code {
            _ if key.modifiers.contains(KeyModifiers::CONTROL) => return ViewOutcome::Ignored,
            KeyCode::Char('t') => {
                self.show_most_frequent = Some(self.show_most_frequent != Some(true));
            }
            KeyCode::Char('y') => {
                return ViewOutcome::Copy(self.format_requests(top, self.height));
            }
            KeyCode::Char('o') => return ViewOutcome::Save(self.format_requests(0, usize::MAX)),
            _ => return ViewOutcome::Ignored,
        }
        ViewOutcome::Handled
    }

    /// Whether a filter is typed.
    pub(crate) fn is_typing(&self) -> bool {
        self.query.is_typing()
    }

    /// Takes pasted text into the filter that is typed.
    pub(crate) fn paste(&mut self, text: &str) {
        if self.query.paste(text) {
            self.apply_filter();
        }
    }

    fn apply_filter(&mut self) {
        self.requests
            .set_filter(AccessFilter::parse(self.query.text()));
    }

    /// Returns the index of the first of `height` visible requests among those that the filter keeps.
    pub(super) fn first_visible(&self, height: usize) -> usize {
        let last = self.requests.count().saturating_sub(height);
        self.following.top(&self.requests, height).min(last)
    }

    /// Scrolls by lines, which ends following; at the end it starts again.
    pub(crate) fn scroll_by(&mut self, by: isize) {
        let top = self.first_visible(self.height);
        self.following
            .scroll_by(&self.requests, top, self.height, by);
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

#[cfg(test)]
mod tests {
    use super::*;
    use std::time::Duration;

    /// Requests of which the first ten failed.
    fn view() -> AccessView {
        let mut view = AccessView::new(TimeZone::UTC);
        let access = |i: u16| AccessRecord {
            at: Timestamp::constant(1_795_442_400 + i64::from(i), 0),
            status: if i < 10 { 500 } else { 200 },
            method: "GET".into(),
            host: "a.org".into(),
            path: format!("/{i}").into(),
            duration: Duration::from_millis(1),
            client: "192.0.2.7".into(),
            user: "".into(),
            router: "a@swarm".into(),
        };
        view.push((0..30).map(access).collect());
        view.height = 5;
        view
    }

    fn press(view: &mut AccessView, keys: &str) {
        for c in keys.chars() {
            let code = match c {
                '\n' => KeyCode::Enter,
                c => KeyCode::Char(c),
            };
            assert_eq!(
                view.handle_key(KeyEvent::from(code)),
                ViewOutcome::Handled,
                "{c:?}"
            );
        }
    }

    #[test]
    fn a_filter_that_leaves_fewer_than_were_passed_over_can_be_scrolled_at_once() {
        let mut view = view();
        press(&mut view, "k");
        assert_eq!(view.first_visible(5), 24);
        press(&mut view, "/5xx\n");
        assert_eq!(view.first_visible(5), 5);
        press(&mut view, "k");
        assert_eq!(view.first_visible(5), 4);
        press(&mut view, "j");
        assert!(view.status_line().starts_with("following, 10 of 30"));
    }
}
