//! Charts of a node's load: over the last hour here, CPU, memory, disk and network; `load_span` has longer times.

use matou_i18n::tr;
use ratatui::Frame;
use ratatui::layout::{Constraint, Layout, Rect};
use ratatui::style::Style;
use ratatui::symbols::Marker;
use ratatui::text::{Line, Span};
use ratatui::widgets::{Axis, Block, Chart, Dataset, GraphType};

use super::load_span::draw_load_span;
use crate::cut::{draw_line, draw_text, row_at};
use crate::pane::LoadSpan;
use crate::state::App;
use matou_base::text::{human_bytes, truncate_to_width};
use matou_model::{Metrics, Node};

/// Seconds between two samples.
const SAMPLE_SECONDS: f64 = 3.0;

/// The smallest width and height of a chart with axes; with less room fewer charts are drawn.
const SMALLEST_CHART: (u16, u16) = (36, 7);

/// One chart: its name, its series, and the top of its axis; `None`: the highest value.
struct LoadPlot {
    name: &'static str,
    series: Vec<(&'static str, Vec<(f64, f64)>)>,
    top: Option<f64>,
}

/// Draws the charts of a node. The last ones are dropped when there is no room.
pub(crate) fn draw_load_charts(app: &App, node: &Node, frame: &mut Frame, area: Rect) {
    let theme = app.theme;
    if app.load_span != LoadSpan::Hour {
        return draw_load_span(app, node, app.load_span, frame, area);
    }
    if node.history.len() < 2 {
        let line =
            Line::raw(theme.drawable_text(tr!("no samples yet: they come every few seconds")));
        draw_line(frame.buffer_mut(), area, &line, theme);
        return;
    }
    let plots = load_plots(node);
    if theme.ascii {
        // The lines are drawn in Braille, which is not ASCII.
        return draw_ascii_bars(app, &plots, frame, area);
    }
    let columns = match area.width / 2 >= SMALLEST_CHART.0 {
        true => 2,
        false => 1,
    };
    let rows = (plots.len() as u16).div_ceil(columns);
    let rows = rows.min((area.height / SMALLEST_CHART.1).max(1));
    let minutes = node.history.len() as f64 * SAMPLE_SECONDS / 60.0;
    let lines = Layout::vertical(vec![Constraint::Fill(1); rows.into()]).split(area);
    let mut plots = plots.into_iter();
    for line in lines.iter() {
        let places = Layout::horizontal(vec![Constraint::Fill(1); columns.into()]).split(*line);
        for place in places.iter() {
            if let Some(plot) = plots.next() {
                draw_chart(app, &plot, minutes, frame, *place);
            }
        }
    }
}

fn load_plots(node: &Node) -> Vec<LoadPlot> {
    let last = node.history.len() as f64 - 1.0;
    let points = |value: &dyn Fn(&Metrics) -> f64| -> Vec<(f64, f64)> {
        let values = node.history.iter().map(value).enumerate();
        values
            .map(|(i, v)| ((i as f64 - last) * SAMPLE_SECONDS / 60.0, v))
            .collect()
    };
    let percent = |name, value: fn(&Metrics) -> f32| LoadPlot {
        name,
        series: vec![(name, points(&|m| f64::from(value(m))))],
        top: Some(100.0),
    };
    vec![
        percent(tr!("CPU"), |m| m.cpu),
        percent(tr!("memory"), Metrics::memory_percent),
        percent(tr!("disk"), Metrics::disk_percent),
        LoadPlot {
            name: tr!("network"),
            series: vec![
                (tr!("received"), points(&|m| f64::from(m.received))),
                (tr!("sent"), points(&|m| f64::from(m.sent))),
            ],
            top: None,
        },
    ]
}

impl LoadPlot {
    /// Returns the top of the axis, at least 1, so that the axis has a height.
    fn axis_top(&self) -> f64 {
        let values = self.series.iter().flat_map(|(_, points)| points);
        let most = values.map(|(_, v)| *v).fold(1.0, f64::max);
        self.top.unwrap_or(most)
    }

    /// A value as the axis and the title show it.
    fn format_value(&self, value: f64) -> String {
        match self.top {
            Some(_) => format!("{value:.0} %"),
            None => format!("{}/s", human_bytes(value as u64)),
        }
    }

    /// `CPU 12 %`, `network 3 KiB/s received, 1 KiB/s sent`.
    fn title(&self) -> String {
        let last =
            |points: &[(f64, f64)]| self.format_value(points.last().map_or(0.0, |(_, v)| *v));
        match self.series.as_slice() {
            [(_, points)] => format!("{} {}", self.name, last(points)),
            several => {
                let each = several
                    .iter()
                    .map(|(name, points)| format!("{} {name}", last(points)));
                format!("{} {}", self.name, each.collect::<Vec<_>>().join(", "))
            }
        }
    }
}

fn draw_chart(app: &App, plot: &LoadPlot, minutes: f64, frame: &mut Frame, area: Rect) {
    let theme = app.theme;
    let styles = [theme.key(), theme.changed()];
    let sets = plot.series.iter().zip(styles).map(|((_, points), style)| {
        Dataset::default()
            .marker(Marker::Braille)
            .graph_type(GraphType::Line)
            .style(style)
            .data(points)
    });
    let top = plot.axis_top();
    let time = |minutes: f64| match minutes {
        m if m < 2.0 => format!("-{:.0} s", m * 60.0),
        m => format!("-{m:.0} min"),
    };
    // Leaves a column free between two charts.
    let place = Rect {
        width: area.width.saturating_sub(1),
        ..area
    };
    let title = plot.title();
    let title = truncate_to_width(&title, place.width.into(), theme.ellipsis()).into_owned();
    let chart = Chart::new(sets.collect())
        .block(Block::new().title(Span::styled(title, theme.title())))
        .legend_position(None)
        .x_axis(
            Axis::default()
                .style(theme.dim())
                .bounds([-minutes, 0.0])
                .labels([time(minutes), time(minutes / 2.0), tr!("now").to_owned()]),
        )
        .y_axis(
            Axis::default()
                .style(theme.dim())
                .bounds([0.0, top])
                .labels([
                    plot.format_value(0.0),
                    plot.format_value(top / 2.0),
                    plot.format_value(top),
                ]),
        );
    frame.render_widget(chart, place);
}

/// Draws each series as one line of bars, for terminals that show ASCII only.
fn draw_ascii_bars(app: &App, plots: &[LoadPlot], frame: &mut Frame, area: Rect) {
    let heights = app.theme.bar_heights();
    let mut y = area.y;
    for plot in plots {
        for (name, points) in &plot.series {
            if y + 1 >= area.bottom() {
                return;
            }
            let room = usize::from(area.width);
            let skip = points.len().saturating_sub(room);
            let bars: String = points[skip..]
                .iter()
                .map(|(_, v)| heights[((v / plot.axis_top() * 8.0) as usize).min(7)])
                .collect();
            let last = points.last().map_or(0.0, |(_, v)| *v);
            let title = match plot.series.len() {
                1 => plot.title(),
                _ => format!("{} {name} {}", plot.name, plot.format_value(last)),
            };
            let buffer = frame.buffer_mut();
            draw_text(
                buffer,
                row_at(area, y),
                &title,
                app.theme.title(),
                app.theme,
            );
            buffer.set_stringn(area.x, y + 1, bars, room, Style::new());
            y += 3;
        }
    }
}
