//! The lists on the left and what is shown of a selected row on the right; one file a pane.

mod backups;
mod certificates;
mod charts;
mod nodes;
mod server;
mod services;
mod tasks;
mod volumes;

pub(super) use charts::draw as charts;
pub(super) use nodes::state as node_state;

use nucleo_matcher::pattern::{CaseMatching, Normalization, Pattern};
use nucleo_matcher::{Config, Matcher, Utf32Str};
use ratatui::style::Style;
use ratatui::text::{Line, Span};

use super::state::{App, Pane, Tab};
use super::theme::{Health, Theme};
use crate::model::Fleet;
use crate::text::{clean, fit, width};

/// What a row stands for: places in the fleet's lists.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) enum RowKind {
    Node(usize),
    App {
        services: Vec<usize>,
    },
    Service(usize),
    Task {
        service: usize,
        task: usize,
    },
    Volume {
        node: usize,
        volume: usize,
    },
    Certificate(usize),
    Repository(usize),
    /// The snapshots of an application: the newest one's place, and how many.
    Saved {
        first: usize,
        count: usize,
    },
    Snapshot(usize),
}

/// A row of a list.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct Row {
    /// Identity, the same over refreshes.
    pub key: String,
    /// What is copied, and what jobs are about.
    pub name: String,
    pub kind: RowKind,
    pub depth: u16,
    /// Whether its children are shown; `None` when it can have none.
    pub open: Option<bool>,
}

/// Keeps what matches the filter as typed so far.
pub(super) struct Filter {
    pattern: Option<Pattern>,
    matcher: Matcher,
    buffer: Vec<char>,
}

impl Filter {
    fn new(text: &str) -> Self {
        Self {
            pattern: (!text.is_empty())
                .then(|| Pattern::parse(text, CaseMatching::Smart, Normalization::Smart)),
            matcher: Matcher::new(Config::DEFAULT),
            buffer: Vec::new(),
        }
    }

    /// How well the text matches; `None`: not at all.
    pub(super) fn score(&mut self, text: &str) -> Option<u32> {
        match &self.pattern {
            None => Some(0),
            Some(pattern) => {
                pattern.score(Utf32Str::new(text, &mut self.buffer), &mut self.matcher)
            }
        }
    }

    fn keeps(&mut self, text: &str) -> bool {
        self.score(text).is_some()
    }
}

/// A filter for other lists than the panes'.
pub(super) fn filter(text: &str) -> Filter {
    Filter::new(text)
}

/// The rows of a pane, and how many things it has without the filter.
pub(super) fn rows(
    pane: Pane,
    fleet: &Fleet,
    opened: &[String],
    filter: &str,
) -> (Vec<Row>, usize) {
    let mut filter = Filter::new(filter);
    match pane {
        Pane::Nodes => nodes::rows(fleet, &mut filter),
        Pane::Services => services::rows(fleet, opened, &mut filter),
        Pane::Volumes => volumes::rows(fleet, &mut filter),
        Pane::Certificates => certificates::rows(fleet, &mut filter),
        Pane::Backups => backups::rows(fleet, opened, &mut filter),
    }
}

/// A row as it is drawn in its list, `columns` wide.
pub(super) fn line(app: &App, row: &Row, columns: usize) -> Line<'static> {
    match &row.kind {
        RowKind::Node(node) => nodes::line(app, *node, columns),
        RowKind::App { services } => services::app_line(app, row, services, columns),
        RowKind::Service(service) => services::service_line(app, row, *service, columns),
        RowKind::Task { service, task } => services::task_line(app, *service, *task, columns),
        RowKind::Volume { node, volume } => volumes::line(app, *node, *volume, columns),
        RowKind::Certificate(at) => certificates::line(app, *at, columns),
        RowKind::Repository(at) => backups::repository_line(app, *at, columns),
        RowKind::Saved { first, count } => backups::saved_line(app, row, *first, *count, columns),
        RowKind::Snapshot(at) => backups::line(app, *at, columns),
    }
}

/// The servers that are not what config.toml says.
pub(super) fn drifted(app: &App) -> Vec<String> {
    let nodes = app.fleet.nodes.iter().filter(|n| n.configured);
    nodes
        .filter(|n| server::differs(app, &n.name))
        .map(|n| n.name.clone())
        .collect()
}

/// What an empty list says: what to press to get something.
pub(super) fn empty(app: &App, pane: Pane) -> String {
    if !app.lists[pane.index()].filter.value().is_empty() {
        return "nothing matches; Esc ends the filter".into();
    }
    match pane {
        Pane::Nodes => "no nodes".into(),
        Pane::Services => services::empty(app),
        Pane::Volumes => "no volumes yet: applications make them".into(),
        Pane::Certificates => "none read yet".into(),
        Pane::Backups => match app.fleet.snapshots.error() {
            Some(why) => why.to_owned(),
            None => "no snapshots read yet".into(),
        },
    }
}

/// What is shown of the selected row, `columns` wide.
pub(super) fn detail(app: &App, tab: Tab, columns: usize) -> Vec<Line<'static>> {
    let name = app.selected().map_or("", |r| &r.name);
    let page = match app.selected().map(|r| &r.kind) {
        Some(RowKind::Node(node)) => nodes::detail(app, *node, tab, columns),
        Some(RowKind::App { services }) => services::app_detail(app, services, tab, columns),
        Some(RowKind::Service(service)) => services::service_detail(app, *service, tab, columns),
        Some(RowKind::Task { service, task }) => tasks::detail(app, *service, *task),
        Some(RowKind::Volume { node, volume }) => volumes::detail(app, *node, *volume),
        Some(RowKind::Certificate(at)) => certificates::detail(app, *at, columns),
        Some(RowKind::Repository(at)) => backups::repository_detail(app, *at, columns),
        Some(RowKind::Saved { first, count }) => {
            backups::saved_detail(app, name, *first, *count, columns)
        }
        Some(RowKind::Snapshot(at)) => backups::detail(app, *at, tab, columns),
        None => match app.pane {
            Pane::Certificates => certificates::nothing(app),
            Pane::Backups => backups::nothing(app),
            pane => Page::new(app.theme).text(&empty(app, pane)),
        },
    };
    page.lines
}

/// Lines of a detail view under construction.
pub(super) struct Page {
    theme: Theme,
    lines: Vec<Line<'static>>,
}

/// Columns of a field's name.
const LABEL: usize = 14;

impl Page {
    pub(super) fn new(theme: Theme) -> Self {
        Self {
            theme,
            lines: Vec::new(),
        }
    }

    pub(super) fn line(mut self, spans: Vec<Span<'static>>) -> Self {
        self.lines.push(Line::from(spans));
        self
    }

    pub(super) fn blank(self) -> Self {
        self.line(Vec::new())
    }

    pub(super) fn heading(self, text: &str) -> Self {
        let style = self.theme.title();
        let text = self.theme.text(&clean(text));
        self.line(vec![Span::styled(text, style)])
    }

    pub(super) fn text(self, text: &str) -> Self {
        let text = self.theme.text(&clean(text));
        self.line(vec![Span::raw(text)])
    }

    /// A long text, wrapped by words.
    pub(super) fn wrapped(mut self, text: &str, columns: usize, style: Style) -> Self {
        for line in wrap(&self.theme.text(&clean(text)), columns) {
            self.lines.push(Line::styled(line, style));
        }
        self
    }

    /// `name  value`; left out when the value is empty.
    pub(super) fn field(self, name: &str, value: &str) -> Self {
        let style = Style::new();
        self.styled_field(name, value, style)
    }

    pub(super) fn styled_field(self, name: &str, value: &str, style: Style) -> Self {
        if value.is_empty() {
            return self;
        }
        let (dim, ellipsis) = (self.theme.dim(), self.theme.ellipsis());
        let value = self.theme.text(&clean(value));
        self.line(vec![
            Span::styled(fit(name, LABEL, ellipsis), dim),
            Span::styled(value, style),
        ])
    }

    /// How old what is shown is, and why.
    pub(super) fn stale(self, why: &str, age: &str, columns: usize) -> Self {
        let style = self.theme.changed();
        let when = match age {
            "now" => "just now".to_owned(),
            age => format!("{age} ago"),
        };
        self.wrapped(&format!("last read {when}: {why}"), columns, style)
    }

    /// Cells of fixed widths, the last one as wide as it is.
    pub(super) fn cells(self, cells: Vec<(String, usize, Style)>) -> Self {
        let ellipsis = self.theme.ellipsis();
        let theme = self.theme;
        let spans = cells
            .into_iter()
            .map(|(text, columns, style)| {
                let text = theme.text(&clean(&text));
                let text = if columns == 0 {
                    text
                } else {
                    fit(&text, columns, ellipsis) + " "
                };
                Span::styled(text, style)
            })
            .collect();
        self.line(spans)
    }
}

/// Breaks text at spaces; a word that is too long is broken anywhere.
pub(super) fn wrap(text: &str, columns: usize) -> Vec<String> {
    use unicode_segmentation::UnicodeSegmentation;
    let columns = columns.max(8);
    let mut lines = vec![String::new()];
    let mut used = 0;
    for word in text.split_word_bounds() {
        let room = columns - used.min(columns);
        if width(word) <= room {
            used += width(word);
            if let Some(line) = lines.last_mut() {
                line.push_str(word);
            }
            continue;
        }
        let word = word.trim_start();
        if word.is_empty() {
            continue;
        }
        lines.push(String::new());
        used = 0;
        for grapheme in word.graphemes(true) {
            if used + width(grapheme) > columns {
                lines.push(String::new());
                used = 0;
            }
            used += width(grapheme);
            if let Some(line) = lines.last_mut() {
                line.push_str(grapheme);
            }
        }
    }
    lines
}

/// A list's line: a state's glyph, then cells of which the first takes what room is left.
pub(super) fn list_line(
    app: &App,
    health: Health,
    indent: usize,
    name: &str,
    rest: &str,
    columns: usize,
    stale: bool,
) -> Line<'static> {
    let theme = app.theme;
    let rest = theme.text(&clean(rest));
    let head = indent + 2;
    let room = columns.saturating_sub(head + 1 + width(&rest));
    // A name is worth more than the rest: it keeps at least twelve columns.
    let room = room.max(12.min(columns.saturating_sub(head)));
    let name = fit(&theme.text(&clean(name)), room, theme.ellipsis());
    let left = columns.saturating_sub(head + room + 1);
    let rest = crate::text::truncate(&rest, left, theme.ellipsis()).into_owned();
    let style = if stale { theme.dim() } else { Style::new() };
    Line::from(vec![
        Span::raw(" ".repeat(indent)),
        Span::styled(theme.glyph(health), theme.health(health)),
        Span::raw(" "),
        Span::styled(name, style),
        Span::raw(" "),
        Span::styled(rest, style),
    ])
}
