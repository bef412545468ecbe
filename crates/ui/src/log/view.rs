//! What is seen of a log: following, wrapping, searching.

use matou_i18n::{tr, trn};
use std::sync::Arc;

use ansi_to_tui::IntoText;
use crossterm::event::{KeyCode, KeyEvent, KeyModifiers};
use jiff::tz::TimeZone;
use ratatui::buffer::Buffer;
use ratatui::layout::Rect;
use ratatui::style::Style;
use unicode_segmentation::UnicodeSegmentation;

use super::buffer::{LogBuffer, LogEntry};
use super::level::{self, LogLevel};
use crate::follow::{Following, NumberedLines, Query, QueryOutcome, ViewOutcome};
use crate::layout::LogLayout;
use matou_base::text;
use matou_model::LogLine;

/// How it is drawn.
#[derive(Debug, Clone, Copy)]
pub struct LogStyle {
    /// Lines that tell of an error.
    pub error: Style,
    /// Lines that warn.
    pub warning: Style,
    /// What stands before a line, lines for debugging, and a view without lines.
    pub dim: Style,
    /// What stands before a line, where lines of several tasks are mixed.
    pub sources: [Style; 6],
    /// What the search matches.
    pub found: Style,
    /// Whether colours that lines bring along are shown.
    pub colour: bool,
    /// Whether only ASCII is drawn.
    pub ascii: bool,
}

/// A log on the screen.
pub struct LogView {
    buffer: LogBuffer,
    following: Following,
    wrap: bool,
    stamps: bool,
    /// Of the times of day that lines are stamped with.
    zone: TimeZone,
    query: Query,
    /// Whether only lines that the search matches are shown.
    only_hits: bool,
    /// Where lines came from, in the order in which they came first.
    sources: Vec<Arc<str>>,
    /// Number of the hit that was jumped to.
    current: Option<u64>,
    ended: Option<String>,
    /// What was visible when it was drawn last.
    drawn: LogLayout,
}

impl LogView {
    /// Keeps at most `limit` bytes of lines; their times are shown in `zone`.
    pub fn new(limit: usize, zone: TimeZone) -> Self {
        Self {
            buffer: LogBuffer::new(limit),
            following: Following::default(),
            wrap: false,
            stamps: false,
            zone,
            query: Query::default(),
            only_hits: false,
            sources: Vec::new(),
            current: None,
            ended: None,
            drawn: LogLayout {
                height: 1,
                visible: (0, 0),
            },
        }
    }

    /// Adds lines, oldest first.
    pub fn push(&mut self, lines: Vec<LogLine>) {
        for line in lines {
            if !self.sources.contains(&line.from) {
                self.sources.push(Arc::clone(&line.from));
            }
            self.buffer.push(line);
        }
    }

    /// Notes why no more lines will come.
    pub fn mark_ended(&mut self, reason: String) {
        self.ended = Some(reason);
    }

    /// Formats one line about the state: following or paused, lines, hits.
    pub fn status_line(&self) -> String {
        let mut parts = vec![self.following.word().to_owned()];
        parts.push(trn!(self.buffer.len(), "{n} line", "{n} lines"));
        if self.buffer.first_number() > 0 {
            parts.push(tr!("{} older dropped", self.buffer.first_number()));
        }
        if let Some(query) = self.query.status() {
            let at = self
                .current
                .and_then(|n| self.buffer.hits().binary_search(&n).ok());
            let at = at.map_or_else(String::new, |i| tr!("{} of ", i + 1));
            let alone = if self.only_hits { tr!(" alone") } else { "" };
            let hits = self.buffer.hits().len();
            parts.push(tr!("{query}  {at}{hits} hits{alone}"));
        }
        if let Some(reason) = &self.ended {
            parts.push(reason.clone());
        }
        parts.join(", ")
    }

    /// Takes a key.
    pub(crate) fn handle_key(&mut self, key: KeyEvent) -> ViewOutcome {
        if !self.query.is_typing() && key.code == KeyCode::Char('/') {
            // Another search begins.
            self.query.clear();
            self.apply_query();
        }
        match self.query.handle_key(key) {
            QueryOutcome::Ignored => {}
            outcome => {
                match outcome {
                    QueryOutcome::Changed => self.apply_query(),
                    QueryOutcome::Entered => self.jump_to_hit(false),
                    _ => {}
                }
                return ViewOutcome::Handled;
            }
        }
        let top = self.first_visible();
        if self.following.handle_key(
            &shown_lines(&self.buffer, self.only_hits),
            top,
            self.drawn.height,
            key,
        ) {
            return ViewOutcome::Handled;
        }
        match key.code {
            _ if key.modifiers.contains(KeyModifiers::CONTROL) => return ViewOutcome::Ignored,
            KeyCode::Char('w') => self.wrap = !self.wrap,
            KeyCode::Char('t') => self.stamps = !self.stamps,
            KeyCode::Char('m') if self.buffer.pattern().is_some() => {
                self.only_hits = !self.only_hits;
                self.fill_the_page();
            }
            KeyCode::Char('n') => self.jump_to_hit(true),
            KeyCode::Char('N') => self.jump_to_hit(false),
            KeyCode::Char('y') => return ViewOutcome::Copy(self.format_lines(self.drawn.visible)),
            KeyCode::Char('o') => {
                let all = (self.buffer.first_number(), self.buffer.next_number());
                return ViewOutcome::Save(self.format_lines(all));
            }
            _ => return ViewOutcome::Ignored,
        }
        ViewOutcome::Handled
    }

    /// Takes pasted text into the search that is typed.
    pub(crate) fn paste(&mut self, text: &str) {
        if self.query.paste(text) {
            self.apply_query();
        }
    }

    fn apply_query(&mut self) {
        self.buffer.search(self.query.text());
        self.current = None;
        self.only_hits &= self.buffer.pattern().is_some();
    }

    /// Whether a search is typed.
    pub(crate) fn is_typing(&self) -> bool {
        self.query.is_typing()
    }

    /// What `m` does; `None` while nothing is searched for.
    pub(crate) fn matches_hint(&self) -> Option<&'static str> {
        self.buffer.pattern()?;
        Some(match self.only_hits {
            true => tr!("all lines"),
            false => tr!("only hits"),
        })
    }

    /// The lines that are shown, all or those that match.
    fn shown(&self) -> ShownLines<'_> {
        shown_lines(&self.buffer, self.only_hits)
    }

    /// Scrolls by lines; at the end following starts again.
    pub(crate) fn scroll_by(&mut self, by: isize) {
        let top = self.first_visible();
        self.following.scroll_by(
            &shown_lines(&self.buffer, self.only_hits),
            top,
            self.drawn.height,
            by,
        );
    }

    /// Returns the place of the first visible line. Where the end is followed, that is as it was drawn:
    /// of wrapped lines fewer than the height are visible.
    fn first_visible(&self) -> usize {
        match self.following.is_paused() {
            true => self.following.top(&self.shown(), self.drawn.height),
            false => self.shown().place_of(self.drawn.visible.0),
        }
    }

    /// Where it is paused near the end, as many lines are shown as there is room for.
    fn fill_the_page(&mut self) {
        if self.following.is_paused() {
            let (shown, height) = (self.shown(), self.drawn.height);
            let last = shown.count().saturating_sub(height);
            let top = shown.number_at(self.following.top(&shown, height).min(last));
            self.following.pause_at(top);
        }
    }

    /// Jumps to the next or previous hit; goes on at the other end.
    fn jump_to_hit(&mut self, forward: bool) {
        let hits = self.buffer.hits();
        let from = self.current.unwrap_or(self.drawn.visible.1);
        let next = if forward {
            hits.iter().find(|n| **n > from).or_else(|| hits.front())
        } else {
            hits.iter()
                .rev()
                .find(|n| **n < from)
                .or_else(|| hits.back())
        };
        if let Some(&number) = next {
            self.current = Some(number);
            let (shown, height) = (self.shown(), self.drawn.height);
            let mut top = shown.place_of(number).saturating_sub(height / 2);
            // Wrapped lines take more rows, how many is not known here.
            if !self.wrap {
                top = top.min(shown.count().saturating_sub(height));
            }
            let top = shown.number_at(top);
            self.following.pause_at(top);
        }
    }

    fn format_lines(&self, (from, to): (u64, u64)) -> String {
        let mut text = String::new();
        let shown = self.shown();
        let places = shown.place_of(from)..shown.place_of(to);
        let numbers = places.map(|place| shown.number_at(place));
        for entry in numbers.filter_map(|n| self.buffer.get(n)) {
            if let Some(at) = entry.at {
                text += &format!("{at:.3} ");
            }
            text += &format!(
                "{} | {}\n",
                text::clean_line(&entry.from),
                entry.plain_text()
            );
        }
        text
    }

    /// Whether no line has come yet.
    pub(crate) fn is_empty(&self) -> bool {
        self.buffer.is_empty()
    }

    /// Takes what was visible of it.
    pub(crate) fn take_layout(&mut self, drawn: LogLayout) {
        self.drawn = drawn;
    }

    /// Draws it. Returns what was visible.
    pub fn draw(&self, area: Rect, buf: &mut Buffer, style: &LogStyle) -> LogLayout {
        if area.is_empty() {
            return self.drawn;
        }
        let height = usize::from(area.height);
        let width = usize::from(area.width);
        let shown = self.shown();
        let mut place = self.following.top(&shown, height);
        let start = shown.number_at(place);
        let follow = !self.following.is_paused();
        let mut rows: Vec<(u64, Vec<(String, Style)>)> = Vec::new();
        let mut next = start;
        while let Some(entry) = self.buffer.get(next) {
            if rows.len() >= height && !(self.wrap && follow) {
                break;
            }
            let wrapped = self.wrap_entry(next, entry, (width, height), style);
            rows.extend(wrapped.into_iter().map(|row| (next, row)));
            place += 1;
            next = shown.number_at(place);
        }
        if rows.len() > height {
            if follow {
                // Wrapped lines take more rows: the newest are those at the bottom.
                rows.drain(..rows.len() - height);
            } else {
                rows.truncate(height);
            }
        }
        for (y, (_, row)) in (area.y..area.bottom()).zip(&rows) {
            let mut x = area.x;
            for (piece, style) in row {
                let (after, _) = buf.set_stringn(x, y, piece, (area.right() - x).into(), *style);
                x = after;
            }
        }
        if shown.count() == 0 {
            let text = if self.only_hits {
                tr!("no line matches")
            } else if self.ended.is_some() {
                tr!("no lines")
            } else {
                tr!("waiting for lines")
            };
            buf.set_stringn(area.x, area.y, text, width, style.dim);
        }
        LogLayout {
            height,
            visible: (rows.first().map_or(start, |(number, _)| *number), next),
        }
    }

    /// Returns an entry as rows of styled pieces. Unless lines are wrapped it is one row, cut.
    fn wrap_entry(
        &self,
        number: u64,
        entry: &LogEntry,
        (width, height): (usize, usize),
        style: &LogStyle,
    ) -> Vec<Vec<(String, Style)>> {
        let mut head = String::new();
        if self.stamps {
            match entry.at {
                Some(at) => {
                    let local = at.to_zoned_datetime(self.zone.clone());
                    head += &local.strftime("%m-%d %H:%M:%S ").to_string();
                }
                None => head += "               ",
            }
        }
        head += &text::clean_line(&entry.from);
        head.push(' ');
        let source = self.sources.iter().position(|s| *s == entry.from);
        let head_style = match source {
            Some(at) if self.sources.len() > 1 => style.sources[at % style.sources.len()],
            _ => style.dim,
        };
        let mut row = vec![(self.drawable_text(&head, style), head_style)];
        let mut used = text::display_width(&head);
        let room = if self.wrap { width * height } else { width };
        let mut rows = Vec::new();
        let mut taken = 0;
        for (piece, piece_style) in self.styled_pieces(number, entry, style, room) {
            for grapheme in piece.graphemes(true) {
                let columns = text::display_width(grapheme);
                if used + columns > width {
                    if !self.wrap || rows.len() + 1 >= height {
                        end_with_ellipsis(&mut row, width, style);
                        rows.push(row);
                        return rows;
                    }
                    rows.push(std::mem::take(&mut row));
                    row.push(("  ".into(), head_style));
                    used = 2;
                }
                used += columns;
                taken += columns;
                let shown = self.drawable_text(grapheme, style);
                match row.last_mut() {
                    Some((text, last)) if *last == piece_style => text.push_str(&shown),
                    _ => row.push((shown, piece_style)),
                }
            }
            if taken > room {
                break;
            }
        }
        rows.push(row);
        rows
    }

    fn drawable_text(&self, text: &str, style: &LogStyle) -> String {
        if style.ascii && !text.is_ascii() {
            "?".repeat(text::display_width(text).max(1))
        } else {
            text.to_owned()
        }
    }

    /// Returns the start of an entry's text with its styles: its own colours, else its level's.
    /// Hits are marked.
    fn styled_pieces(
        &self,
        number: u64,
        entry: &LogEntry,
        style: &LogStyle,
        room: usize,
    ) -> Vec<(String, Style)> {
        // A byte takes at most one column: what lies further right can't be seen.
        let end = entry.text.floor_char_boundary((room * 8).max(256));
        let shown = &entry.text[..end];
        let own_colours = shown.contains('\x1b');
        let pieces: Vec<(String, Style)> = if own_colours && style.colour {
            shown
                .into_text()
                .map(|text| {
                    text.lines
                        .into_iter()
                        .flat_map(|l| l.spans)
                        .map(|s| (text::clean_line(&s.content).into_owned(), s.style))
                        .collect()
                })
                .unwrap_or_else(|_| vec![(text::clean_line(shown).into_owned(), Style::new())])
        } else {
            let plain = text::clean_line(shown).into_owned();
            let base = match level::guess_log_level(&plain) {
                LogLevel::Error => style.error,
                LogLevel::Warning => style.warning,
                LogLevel::Debug => style.dim,
                LogLevel::Plain => Style::new(),
            };
            vec![(plain, base)]
        };
        match self.buffer.pattern() {
            Some(pattern) => {
                let mut found = style.found;
                if self.current == Some(number) {
                    found = found.add_modifier(ratatui::style::Modifier::UNDERLINED);
                }
                mark_matches(pieces, pattern, found)
            }
            None => pieces,
        }
    }
}

/// Lines of a buffer, all or those that the search matches.
struct ShownLines<'a> {
    buffer: &'a LogBuffer,
    only_hits: bool,
}

fn shown_lines(buffer: &LogBuffer, only_hits: bool) -> ShownLines<'_> {
    ShownLines { buffer, only_hits }
}

impl NumberedLines for ShownLines<'_> {
    fn count(&self) -> usize {
        match self.only_hits {
            true => self.buffer.hits().len(),
            false => self.buffer.count(),
        }
    }

    fn number_at(&self, place: usize) -> u64 {
        match self.only_hits {
            true => {
                let hit = self.buffer.hits().get(place).copied();
                hit.unwrap_or(self.buffer.next_number())
            }
            false => self.buffer.number_at(place),
        }
    }

    fn place_of(&self, number: u64) -> usize {
        match self.only_hits {
            true => self.buffer.hits().partition_point(|n| *n < number),
            false => self.buffer.place_of(number),
        }
    }
}

/// Ends a row that goes on with an ellipsis, in the last of its columns.
fn end_with_ellipsis(row: &mut Vec<(String, Style)>, width: usize, style: &LogStyle) {
    let mut room = width.saturating_sub(1);
    let mut kept: Vec<(String, Style)> = Vec::new();
    for (piece, piece_style) in row.drain(..) {
        let cut = text::truncate_to_width(&piece, room, "").into_owned();
        room = room.saturating_sub(text::display_width(&cut));
        let goes_on = cut.len() == piece.len();
        kept.push((cut, piece_style));
        if !goes_on {
            break;
        }
    }
    if let Some((last, _)) = kept.last_mut() {
        // Half of a wide letter is a blank.
        last.extend(std::iter::repeat_n(' ', room));
        last.push(if style.ascii { '~' } else { '…' });
    }
    *row = kept;
}

/// Gives every match the style `found`, also a match that spans several pieces.
fn mark_matches(
    pieces: Vec<(String, Style)>,
    pattern: &regex::Regex,
    found: Style,
) -> Vec<(String, Style)> {
    let whole: String = pieces.iter().map(|(t, _)| t.as_str()).collect();
    let hits: Vec<_> = pattern.find_iter(&whole).map(|m| m.range()).collect();
    let mut marked = Vec::new();
    let mut start = 0;
    for (text, style) in pieces {
        let end = start + text.len();
        let mut at = start;
        for hit in hits.iter().filter(|h| h.start < end && h.end > start) {
            let (from, to) = (hit.start.max(start), hit.end.min(end));
            if from > at {
                marked.push((whole[at..from].to_owned(), style));
            }
            marked.push((whole[from..to].to_owned(), found));
            at = to;
        }
        if at < end {
            marked.push((whole[at..end].to_owned(), style));
        }
        start = end;
    }
    marked
}

#[cfg(test)]
mod tests {
    use super::*;

    const STYLE: LogStyle = LogStyle {
        error: Style::new(),
        warning: Style::new(),
        dim: Style::new(),
        sources: [Style::new(); 6],
        found: Style::new().add_modifier(ratatui::style::Modifier::REVERSED),
        colour: true,
        ascii: false,
    };

    fn view(lines: usize) -> LogView {
        let mut view = LogView::new(1 << 20, TimeZone::UTC);
        view.push((0..lines).map(line).collect());
        view
    }

    fn line(i: usize) -> LogLine {
        LogLine {
            at: "2026-11-23T14:00:33Z".parse().ok(),
            from: "web.1@n1".into(),
            bytes: format!("line {i}").into_bytes(),
            stderr: false,
        }
    }

    /// Wrapped lines take more rows than are there: the newest stay where they are.
    #[test]
    fn a_wrapped_log_that_is_paused_stays_where_it_is() {
        let mut view = LogView::new(1 << 20, TimeZone::UTC);
        let long = |i| LogLine {
            bytes: format!("{i} {}", "x".repeat(24)).into_bytes(),
            ..line(i)
        };
        view.push((0..20).map(long).collect());
        view.handle_key(KeyEvent::from(KeyCode::Char('w')));
        let following = screen(&mut view, 30, 6);
        view.handle_key(KeyEvent::from(KeyCode::Char(' ')));
        assert_eq!(screen(&mut view, 30, 6), following);
    }

    fn screen(view: &mut LogView, width: u16, height: u16) -> Vec<String> {
        let area = Rect::new(0, 0, width, height);
        let mut buffer = Buffer::empty(area);
        let drawn = view.draw(area, &mut buffer, &STYLE);
        view.take_layout(drawn);
        (0..height)
            .map(|y| {
                let row: String = (0..width).map(|x| buffer[(x, y)].symbol()).collect();
                row.trim_end().to_owned()
            })
            .collect()
    }

    fn press(view: &mut LogView, keys: &str) {
        for c in keys.chars() {
            let code = if c == '\n' {
                KeyCode::Enter
            } else {
                KeyCode::Char(c)
            };
            view.handle_key(KeyEvent::new(code, KeyModifiers::NONE));
        }
    }

    #[test]
    fn following_ends_when_scrolled_up_and_begins_again_at_the_end() {
        let mut view = view(100);
        assert_eq!(screen(&mut view, 40, 3)[2], "web.1@n1 line 99");
        press(&mut view, "k");
        assert_eq!(screen(&mut view, 40, 3)[2], "web.1@n1 line 98");
        view.push(vec![line(100)]);
        assert_eq!(screen(&mut view, 40, 3)[2], "web.1@n1 line 98");
        assert!(view.status_line().starts_with("paused"));
        press(&mut view, "jj");
        assert_eq!(screen(&mut view, 40, 3)[2], "web.1@n1 line 100");
        assert!(view.status_line().starts_with("following"));
        press(&mut view, "g");
        assert_eq!(screen(&mut view, 40, 3)[0], "web.1@n1 line 0");
    }

    #[test]
    fn stamps_are_in_the_zone_of_the_screen() {
        let mut view = LogView::new(1 << 20, TimeZone::fixed(jiff::tz::offset(-9)));
        view.push(vec![line(0)]);
        press(&mut view, "t");
        let expected = "11-23 05:00:33 web.1@n1 line 0";
        assert_eq!(screen(&mut view, 40, 3)[0], expected);
    }

    #[test]
    fn what_is_read_does_not_move_when_old_lines_go() {
        let mut view = LogView::new(32 * 1024, TimeZone::UTC);
        view.push((0..100).map(line).collect());
        screen(&mut view, 40, 3);
        press(&mut view, " ");
        let before = screen(&mut view, 40, 3);
        view.push((100..200).map(line).collect());
        assert_eq!(screen(&mut view, 40, 3), before);
        view.push((200..5000).map(line).collect());
        // Its lines are gone: the oldest that are left are shown.
        assert_ne!(screen(&mut view, 40, 3), before);
        assert!(view.status_line().contains("older dropped"));
    }

    #[test]
    fn a_search_counts_jumps_and_ends() {
        let mut view = view(100);
        screen(&mut view, 40, 5);
        press(&mut view, "/line 5\n");
        assert!(
            view.status_line().contains("11 of 11 hits"),
            "{}",
            view.status_line()
        );
        press(&mut view, "N");
        assert!(
            view.status_line().contains("10 of 11 hits"),
            "{}",
            view.status_line()
        );
        press(&mut view, "nn");
        assert!(
            view.status_line().contains("1 of 11 hits"),
            "{}",
            view.status_line()
        );
        assert!(screen(&mut view, 40, 5).contains(&"web.1@n1 line 5".to_owned()));
        view.handle_key(KeyEvent::new(KeyCode::Esc, KeyModifiers::NONE));
        assert!(!view.status_line().contains("hits"));
    }

    #[test]
    fn only_what_matches_is_shown_and_a_hit_leaves_no_blank_rows() {
        let mut view = view(100);
        screen(&mut view, 30, 10);
        // The last hit is near the end.
        press(&mut view, "/line 9\n");
        let rows = screen(&mut view, 30, 10);
        assert!(rows.iter().all(|row| !row.trim().is_empty()), "{rows:?}");
        press(&mut view, "m");
        let rows = screen(&mut view, 30, 10);
        assert!(rows.iter().all(|row| row.contains("line 9")), "{rows:?}");
        press(&mut view, "g");
        let rows = screen(&mut view, 30, 10);
        assert!(rows.iter().all(|row| row.contains("line 9")), "{rows:?}");
        assert!(
            view.status_line().contains("alone"),
            "{}",
            view.status_line()
        );
        // What comes and does not match is not shown.
        view.push(vec![line(7), line(912)]);
        press(&mut view, "G");
        let rows = screen(&mut view, 30, 10);
        assert!(rows.last().unwrap().contains("line 912"), "{rows:?}");
        assert!(rows.iter().all(|row| row.contains("line 9")), "{rows:?}");
        view.handle_key(KeyCode::Esc.into());
        assert!(!view.status_line().contains("alone"));
    }

    #[test]
    fn a_long_line_is_cut_or_wrapped_whole() {
        let mut view = LogView::new(1 << 20, TimeZone::UTC);
        let mut long = line(0);
        long.bytes = "abcdefghij".repeat(3).into_bytes();
        view.push(vec![long]);
        assert_eq!(screen(&mut view, 19, 4)[0], "web.1@n1 abcdefghi…");
        press(&mut view, "w");
        let rows = screen(&mut view, 19, 4);
        assert_eq!(rows[0], "web.1@n1 abcdefghij");
        assert_eq!(rows[1], "  abcdefghijabcdefg");
        assert_eq!(rows[2], "  hij");
    }

    #[test]
    fn copy_is_what_is_seen_and_save_is_all() {
        let mut view = view(10);
        screen(&mut view, 40, 2);
        let key = |c| KeyEvent::new(KeyCode::Char(c), KeyModifiers::NONE);
        let ViewOutcome::Copy(text) = view.handle_key(key('y')) else {
            panic!("not copied");
        };
        assert_eq!(text.lines().count(), 2);
        assert!(text.ends_with("web.1@n1 | line 9\n"), "{text}");
        let ViewOutcome::Save(text) = view.handle_key(key('o')) else {
            panic!("not saved");
        };
        assert_eq!(text.lines().count(), 10);
    }
}
