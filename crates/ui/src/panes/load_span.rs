//! A node's load over a day or a week, from the history on disk: CPU, memory and disk, each with its limit.

use jiff::{SignedDuration, Timestamp};
use matou_i18n::tr;
use ratatui::Frame;
use ratatui::buffer::Buffer;
use ratatui::layout::Rect;
use ratatui::style::Style;

use crate::pane::LoadSpan;
use crate::state::App;
use crate::theme::Theme;
use matou_base::text::{display_width, truncate_to_width};
use matou_model::{Metrics, Node};
use matou_monitor::MeanLoad;

/// The smallest width and height of a chart; with less room fewer charts are drawn.
const SMALLEST_CHART: (u16, u16) = (34, 6);

/// Columns of the labels at the left: `100 % `.
const LABEL_COLUMNS: u16 = 6;

/// The shortest time that a column stands for, seconds: that of the history.
const LEAST_SECONDS: i64 = 300;

/// One chart.
struct SpanPlot<'a> {
    name: &'a str,
    now: Option<f32>,
    /// Percent; one a column, `None` where nothing is known.
    values: Vec<Option<f32>>,
    limit: u8,
}

/// Draws the charts of a node over a span. The last ones are dropped when there is no room.
pub(super) fn draw_load_span(
    app: &App,
    node: &Node,
    span: LoadSpan,
    frame: &mut Frame,
    area: Rect,
) {
    let side_by_side = area.width / 2 > SMALLEST_CHART.0 && area.height < SMALLEST_CHART.1 * 3;
    let (across, down): (u16, u16) = match side_by_side {
        true => (2, 2),
        false => (1, 3),
    };
    let down = down.min((area.height / SMALLEST_CHART.1).max(1));
    let (width, height) = (area.width / across, area.height / down);
    // A column is free between two charts.
    let columns = width.saturating_sub(LABEL_COLUMNS + 1);
    let most = span.seconds() / LEAST_SECONDS;
    let columns = i64::from(columns).min(most).max(1);
    let each = span.seconds() / columns;
    let loads = app
        .loads
        .series(&node.name, app.now, each, columns as usize);
    let buffer = frame.buffer_mut();
    if loads.iter().all(Option::is_none) {
        let text = tr!("no figures yet: they are kept while a console is open");
        let text = truncate_to_width(text, area.width.into(), app.theme.ellipsis()).into_owned();
        buffer.set_string(area.x, area.y, text, app.theme.dim());
        return;
    }
    let read = node.metrics.value();
    let plot = |name, value: fn(&MeanLoad) -> f32, now: fn(&Metrics) -> f32, limit| SpanPlot {
        name,
        now: read.map(now),
        values: loads.iter().map(|l| l.as_ref().map(value)).collect(),
        limit,
    };
    let limits = &app.thresholds;
    let plots = [
        plot(tr!("CPU"), |l| l.cpu, |m| m.cpu, limits.cpu),
        plot(
            tr!("memory"),
            |l| l.memory,
            Metrics::memory_percent,
            limits.memory,
        ),
        plot(tr!("disk"), |l| l.disk, Metrics::disk_percent, limits.disk),
    ];
    let times = time_labels(app, span, columns);
    for (i, plot) in plots.iter().enumerate().take(usize::from(across * down)) {
        let i = i as u16;
        let place = Rect {
            x: area.x + i % across * width,
            y: area.y + i / across * height,
            width: width.saturating_sub(1),
            height,
        };
        draw_plot(app.theme, plot, &times, buffer, place);
    }
}

/// Clock times below a day, days of the week below a week, with the columns that they stand at.
fn time_labels(app: &App, span: LoadSpan, columns: i64) -> Vec<(i64, String)> {
    let begin = app.now - SignedDuration::from_secs(span.seconds());
    let column_of =
        |at: Timestamp| (at.as_second() - begin.as_second()) * columns / span.seconds().max(1);
    let mut labels = Vec::new();
    // Whole hours of here, of a week midnights.
    let first = begin.as_second().div_euclid(900) * 900 + 900;
    for quarter in 0..span.seconds() / 900 {
        let Ok(at) = Timestamp::from_second(first + quarter * 900) else {
            continue;
        };
        let local = at.to_zoned_datetime(app.zone.clone());
        let wanted = local.minute() == 0 && local.hour() % span.label_hours() == 0;
        if wanted {
            let text = span.label(&local);
            labels.push((column_of(at), text));
        }
    }
    labels
}

fn draw_plot(
    theme: Theme,
    plot: &SpanPlot,
    times: &[(i64, String)],
    buffer: &mut Buffer,
    area: Rect,
) {
    let known = plot.values.iter().flatten();
    let most = known.copied().chain(plot.now).fold(0.0, f32::max);
    let now = match plot.now {
        Some(now) => tr!("{now:.0} % now"),
        None => tr!("no figure now").to_owned(),
    };
    let title = tr!(
        "{} {now}{sep}at most {most:.0} %{sep}limit {} %",
        plot.name,
        plot.limit,
        sep = theme.separator()
    );
    let width = usize::from(area.width);
    let title = truncate_to_width(&title, width, theme.ellipsis()).into_owned();
    buffer.set_string(area.x, area.y, title, theme.title());
    // Where there is room, a line is free between two charts.
    let rows = match area.height {
        height @ ..9 => height.saturating_sub(2),
        height => height - 3,
    };
    let field = Rect {
        x: area.x + LABEL_COLUMNS,
        y: area.y + 1,
        width: area.width.saturating_sub(LABEL_COLUMNS),
        height: rows,
    };
    if rows == 0 || field.width == 0 {
        return;
    }
    for (percent, y) in [
        (100, field.y),
        (50, field.y + rows / 2),
        (0, field.bottom() - 1),
    ] {
        let text = format!("{percent:>3} %");
        buffer.set_stringn(area.x, y, text, LABEL_COLUMNS.into(), theme.dim());
    }
    let over = (f32::from(plot.limit) / 100.0 * f32::from(rows)).ceil() as u16;
    let limit_row = field.bottom() - over.clamp(1, rows);
    let rule = theme.limit_rule().repeat(field.width.into());
    buffer.set_string(field.x, limit_row, rule, theme.removed());
    for (x, value) in (field.x..field.right()).zip(&plot.values) {
        if let Some(value) = value {
            let style = match *value >= f32::from(plot.limit) {
                true => theme.removed(),
                false => theme.key(),
            };
            draw_column(
                theme,
                *value,
                style,
                buffer,
                Rect {
                    x,
                    width: 1,
                    ..field
                },
            );
        }
    }
    let mut free = field.x;
    for (column, text) in times {
        let x = field.x + u16::try_from(*column).unwrap_or(0);
        let columns = display_width(text) as u16;
        if x >= free && x + columns <= field.right() {
            buffer.set_string(x, field.bottom(), text, theme.dim());
            free = x + columns + 1;
        }
    }
}

/// Draws a value as a column: its top, and below it a fill where the terminal has shades for it.
fn draw_column(theme: Theme, value: f32, style: Style, buffer: &mut Buffer, place: Rect) {
    let heights = theme.bar_heights();
    let all = usize::from(place.height) * 8;
    let eighths = ((value / 100.0 * all as f32).round() as usize).clamp(1, all);
    let (full, top) = ((eighths - 1) / 8, (eighths - 1) % 8);
    let y = place.bottom() - 1 - full as u16;
    buffer.set_string(place.x, y, heights[top], style);
    if let Some(fill) = theme.fill() {
        for y in y + 1..place.bottom() {
            buffer.set_string(place.x, y, theme.fill_glyph(), fill);
        }
    }
}
