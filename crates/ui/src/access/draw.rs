//! How the access log is drawn: the last half hour above, requests below, what comes most often
//! beside them.

use jiff::Timestamp;
use matou_i18n::tr;
use ratatui::buffer::Buffer;
use ratatui::layout::Rect;
use ratatui::style::Style;
use ratatui::text::{Line, Span};

use super::view::AccessView;
use crate::cut::{draw_line, draw_text, row_at};
use crate::follow::NumberedLines as _;
use crate::theme::Theme;
use matou_base::text::{clean_line, display_width, fit_to_width, format_tenths};
use matou_base::units::format_short_duration;
use matou_model::{AccessRecord, COUNTED_MINUTES, MinuteCount, count_most_frequent};

/// Columns of the side panel, and the least columns for showing it beside the requests.
const SIDE_COLUMNS: u16 = 38;
const MIN_COLUMNS_FOR_BOTH: u16 = 110;

/// Columns of time, status, method and duration.
const TIME: usize = 8;
const STATUS: usize = 6;
const METHOD: usize = 7;
const TOOK: usize = 7;

/// Columns of a request's parts that depend on the room; 0 for those that have none.
#[derive(Clone, Copy)]
struct RequestColumns {
    /// With the blank behind it.
    method: usize,
    path: usize,
    client: usize,
}

impl RequestColumns {
    /// A path has room first, then the method, then the address: a whole one of IPv6 where the screen is wide.
    fn of(columns: usize) -> Self {
        let method = match columns {
            ..40 => 0,
            _ => METHOD + 1,
        };
        let client = match columns {
            ..56 => 0,
            56..90 => 15,
            90..130 => 24,
            _ => 39,
        };
        let rest = TIME + STATUS + method + TOOK + client + usize::from(client > 0) + 3;
        Self {
            method,
            path: columns.saturating_sub(rest).max(8),
            client,
        }
    }
}

impl AccessView {
    /// Draws it. Returns how many requests there is room for.
    pub(crate) fn draw(&self, area: Rect, buf: &mut Buffer, theme: Theme, now: Timestamp) -> usize {
        if area.height < 4 {
            return self.height;
        }
        self.draw_curves(area, buf, theme, now);
        let below = Rect {
            y: area.y + 3,
            height: area.height - 3,
            ..area
        };
        let beside = area.width >= MIN_COLUMNS_FOR_BOTH;
        match (self.show_most_frequent, beside) {
            (None | Some(true), true) => {
                let left = area.width - SIDE_COLUMNS - 2;
                let side = Rect {
                    x: area.x + left + 2,
                    width: SIDE_COLUMNS,
                    ..below
                };
                self.draw_most_frequent(side, buf, theme);
                let requests = Rect {
                    width: left,
                    ..below
                };
                self.draw_requests(requests, buf, theme)
            }
            (Some(true), false) => {
                self.draw_most_frequent(below, buf, theme);
                self.height
            }
            _ => self.draw_requests(below, buf, theme),
        }
    }

    /// Requests a minute, and the share of those that failed.
    fn draw_curves(&self, area: Rect, buf: &mut Buffer, theme: Theme, now: Timestamp) {
        let minutes = self.requests.minutes().counts_until(now);
        let heights = theme.bar_heights();
        let most = minutes
            .iter()
            .flatten()
            .map(|m| m.requests)
            .max()
            .unwrap_or(0);
        let curve = |value: &dyn Fn(&MinuteCount) -> f64| -> String {
            let bar = |m: &Option<MinuteCount>| match m {
                None => " ",
                // A value above zero is visible, however small.
                Some(m) => heights[(value(m) * 7.0).ceil().clamp(0.0, 7.0) as usize],
            };
            minutes.iter().map(bar).collect()
        };
        let share = |part: u32, all: u32| f64::from(part) / f64::from(all.max(1));
        let sum = |value: fn(&MinuteCount) -> u32| minutes.iter().flatten().map(value).sum::<u32>();
        let (requests, failed) = (sum(|m| m.requests), sum(|m| m.failed));
        // The current minute is not over: the one before is shown.
        let last = minutes[COUNTED_MINUTES - 2].map_or(0, |m| m.requests);
        let rows = [
            (
                tr!("requests"),
                curve(&|m| share(m.requests, most)),
                tr!("{last}/min, at most {most}, {requests} in {COUNTED_MINUTES} min"),
                theme.key(),
            ),
            (
                tr!("errors"),
                curve(&|m| share(m.failed, m.requests)),
                tr!(
                    "{failed} of 5xx, {} %",
                    format_tenths(100.0 * share(failed, requests))
                ),
                if failed > 0 {
                    theme.removed()
                } else {
                    theme.dim()
                },
            ),
        ];
        for (y, (name, curve, text, style)) in (area.y..).zip(rows) {
            let line = Line::from(vec![
                Span::styled(fit_to_width(name, 9, ""), theme.dim()),
                Span::styled(curve, style),
                Span::raw(format!(" {text}")),
            ]);
            draw_line(buf, row_at(area, y), &line, theme);
        }
    }

    /// Returns how many there is room for.
    fn draw_requests(&self, area: Rect, buf: &mut Buffer, theme: Theme) -> usize {
        let columns = usize::from(area.width);
        let widths = RequestColumns::of(columns);
        let mut head = vec![
            fit_to_width(tr!("time"), TIME, ""),
            fit_to_width(tr!("status"), STATUS, ""),
        ];
        if widths.method > 0 {
            head.push(fit_to_width(tr!("method"), METHOD, ""));
        }
        head.push(fit_to_width(tr!("path"), widths.path, ""));
        head.push(format!("{:>TOOK$}", tr!("took")));
        if widths.client > 0 {
            head.push(tr!("address").to_owned());
        }
        draw_text(buf, area, &head.join(" "), theme.dim(), theme);
        let height = usize::from(area.height - 1);
        let rows = area.y + 1..area.bottom();
        if self.requests.count() == 0 {
            let text = match (self.requests.is_empty(), self.end_reason()) {
                (false, _) => tr!("nothing matches; Esc ends the filter"),
                (true, None) => tr!("waiting for requests"),
                (true, Some(reason)) => reason,
            };
            let text = theme.drawable_text(&clean_line(text));
            for (y, line) in rows.zip(crate::panes::wrap_text(&text, columns)) {
                draw_text(buf, row_at(area, y), &line, theme.dim(), theme);
            }
            return height;
        }
        for (y, a) in rows.zip(self.requests.kept_from(self.first_visible(height))) {
            let line = self.request_line(a, widths, theme);
            draw_line(buf, row_at(area, y), &line, theme);
        }
        height
    }

    fn request_line(
        &self,
        a: &AccessRecord,
        widths: RequestColumns,
        theme: Theme,
    ) -> Line<'static> {
        let cell = |text: &str, columns| {
            fit_to_width(&theme.drawable_text(text), columns, theme.ellipsis()) + " "
        };
        let took = format_short_duration(a.duration);
        let slow = a.duration.as_secs() >= 1;
        let mut spans = vec![
            Span::styled(cell(&self.format_time(a.at), TIME), theme.dim()),
            Span::styled(
                cell(&a.status.to_string(), STATUS),
                http_status_style(theme, a.status),
            ),
        ];
        if widths.method > 0 {
            spans.push(Span::raw(cell(&a.method, METHOD)));
        }
        spans.push(Span::raw(cell(&a.path, widths.path)));
        spans.push(Span::styled(
            format!("{took:>TOOK$} "),
            if slow { theme.changed() } else { Style::new() },
        ));
        if widths.client > 0 {
            spans.push(Span::styled(cell(&a.client, widths.client), theme.dim()));
        }
        Line::from(spans)
    }

    /// Paths and addresses of what the filter keeps, the most frequent first.
    fn draw_most_frequent(&self, area: Rect, buf: &mut Buffer, theme: Theme) {
        let columns = usize::from(area.width);
        let half = area.height / 2;
        type Of = fn(&AccessRecord) -> &str;
        let of_paths: Of = AccessRecord::path_without_query;
        let of_addresses: Of = |a| &a.client;
        let lists = [
            (tr!("paths"), of_paths, area.y),
            (tr!("addresses"), of_addresses, area.y + half),
        ];
        for (name, of, y) in lists {
            let rows = usize::from(half.saturating_sub(2));
            let head = tr!("most frequent {name}");
            draw_text(buf, row_at(area, y), &head, theme.dim(), theme);
            let most = count_most_frequent(self.requests.kept_from(0).map(of), rows);
            let digits = most
                .first()
                .map_or(1, |(_, n)| display_width(&n.to_string()));
            for (y, (text, n)) in (y + 1..).zip(most) {
                let room = columns.saturating_sub(digits + 1);
                let text = match text {
                    "" => tr!("(none)"),
                    text => text,
                };
                let line = Line::from(vec![
                    Span::styled(format!("{n:>digits$} "), theme.title()),
                    Span::raw(
                        matou_base::text::truncate_to_width(
                            &theme.drawable_text(text),
                            room,
                            theme.ellipsis(),
                        )
                        .into_owned(),
                    ),
                ]);
                draw_line(buf, row_at(area, y), &line, theme);
            }
        }
    }
}

fn http_status_style(theme: Theme, status: u16) -> Style {
    match status {
        200..300 => theme.added(),
        300..400 => theme.key(),
        400..500 => theme.changed(),
        500.. => theme.removed(),
        _ => theme.dim(),
    }
}
