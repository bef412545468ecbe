//! How a node's load went: CPU, memory, disk and network over the last hour, with axes.

use ratatui::Frame;
use ratatui::layout::{Constraint, Layout, Rect};
use ratatui::style::Style;
use ratatui::symbols::Marker;
use ratatui::text::{Line, Span};
use ratatui::widgets::{Axis, Block, Chart, Dataset, GraphType};

use crate::model::{Metrics, Node};
use crate::text::human_bytes;
use crate::ui::state::App;

/// Seconds between two samples.
const STEP: f64 = 3.0;

/// The smallest room that a chart with axes is drawn in; with less, there are fewer of them.
const LEAST: (u16, u16) = (36, 7);

/// One chart: its name, what is drawn, and the top of its axis; `None`: as high as the data.
struct Plot {
    name: &'static str,
    series: Vec<(&'static str, Vec<(f64, f64)>)>,
    top: Option<f64>,
}

/// Draws the charts of a node; in what order they are dropped when there is no room is theirs.
pub(in crate::ui) fn draw(app: &App, node: &Node, frame: &mut Frame, area: Rect) {
    let theme = app.theme;
    if node.history.len() < 2 {
        let line = Line::raw(theme.text("no samples yet: they come every few seconds"));
        frame
            .buffer_mut()
            .set_line(area.x, area.y, &line, area.width);
        return;
    }
    let plots = plots(node);
    if theme.ascii {
        // Braille is none of the characters that may be drawn.
        return bars(app, &plots, frame, area);
    }
    let columns = match area.width / 2 >= LEAST.0 {
        true => 2,
        false => 1,
    };
    let rows = (plots.len() as u16).div_ceil(columns);
    let rows = rows.min((area.height / LEAST.1).max(1));
    let minutes = node.history.len() as f64 * STEP / 60.0;
    let lines = Layout::vertical(vec![Constraint::Fill(1); rows.into()]).split(area);
    let mut plots = plots.into_iter();
    for line in lines.iter() {
        let places = Layout::horizontal(vec![Constraint::Fill(1); columns.into()]).split(*line);
        for place in places.iter() {
            if let Some(plot) = plots.next() {
                chart(app, &plot, minutes, frame, *place);
            }
        }
    }
}

fn plots(node: &Node) -> Vec<Plot> {
    let last = node.history.len() as f64 - 1.0;
    let points = |value: &dyn Fn(&Metrics) -> f64| -> Vec<(f64, f64)> {
        let values = node.history.iter().map(value).enumerate();
        values
            .map(|(i, v)| ((i as f64 - last) * STEP / 60.0, v))
            .collect()
    };
    let percent = |name, value: fn(&Metrics) -> f32| Plot {
        name,
        series: vec![(name, points(&|m| f64::from(value(m))))],
        top: Some(100.0),
    };
    vec![
        percent("CPU", |m| m.cpu),
        percent("memory", Metrics::memory_percent),
        percent("disk", Metrics::disk_percent),
        Plot {
            name: "network",
            series: vec![
                ("received", points(&|m| f64::from(m.received))),
                ("sent", points(&|m| f64::from(m.sent))),
            ],
            top: None,
        },
    ]
}

impl Plot {
    /// The top of the axis: at least one, so that it is none without height.
    fn top(&self) -> f64 {
        let values = self.series.iter().flat_map(|(_, points)| points);
        let most = values.map(|(_, v)| *v).fold(1.0, f64::max);
        self.top.unwrap_or(most)
    }

    /// A value as the axis and the title show it.
    fn text(&self, value: f64) -> String {
        match self.top {
            Some(_) => format!("{value:.0} %"),
            None => format!("{}/s", human_bytes(value as u64)),
        }
    }

    /// `CPU 12 %`, `network 3 KiB/s received, 1 KiB/s sent`.
    fn title(&self) -> String {
        let last = |points: &[(f64, f64)]| self.text(points.last().map_or(0.0, |(_, v)| *v));
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

fn chart(app: &App, plot: &Plot, minutes: f64, frame: &mut Frame, area: Rect) {
    let theme = app.theme;
    let styles = [theme.key(), theme.changed()];
    let sets = plot.series.iter().zip(styles).map(|((_, points), style)| {
        Dataset::default()
            .marker(Marker::Braille)
            .graph_type(GraphType::Line)
            .style(style)
            .data(points)
    });
    let top = plot.top();
    let time = |minutes: f64| match minutes {
        m if m < 2.0 => format!("-{:.0} s", m * 60.0),
        m => format!("-{m:.0} min"),
    };
    let chart = Chart::new(sets.collect())
        .block(Block::new().title(Span::styled(plot.title(), theme.title())))
        .legend_position(None)
        .x_axis(
            Axis::default()
                .style(theme.dim())
                .bounds([-minutes, 0.0])
                .labels([time(minutes), time(minutes / 2.0), "now".to_owned()]),
        )
        .y_axis(
            Axis::default()
                .style(theme.dim())
                .bounds([0.0, top])
                .labels([plot.text(0.0), plot.text(top / 2.0), plot.text(top)]),
        );
    // A column between two.
    let place = Rect {
        width: area.width.saturating_sub(1),
        ..area
    };
    frame.render_widget(chart, place);
}

/// One line of heights a series, for terminals that show ASCII alone.
fn bars(app: &App, plots: &[Plot], frame: &mut Frame, area: Rect) {
    let heights = app.theme.heights();
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
                .map(|(_, v)| heights[((v / plot.top() * 8.0) as usize).min(7)])
                .collect();
            let last = points.last().map_or(0.0, |(_, v)| *v);
            let title = match plot.series.len() {
                1 => plot.title(),
                _ => format!("{} {name} {}", plot.name, plot.text(last)),
            };
            let buffer = frame.buffer_mut();
            buffer.set_stringn(area.x, y, title, room, app.theme.title());
            buffer.set_stringn(area.x, y + 1, bars, room, Style::new());
            y += 3;
        }
    }
}
