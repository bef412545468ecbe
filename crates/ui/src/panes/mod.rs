//! The lists on the left and what is shown of a selected row on the right; one file a pane.

mod backups;
mod certificates;
mod charts;
mod node_checks;
mod nodes;
mod services;
mod tasks;
mod volumes;

pub(super) use charts::draw_load_charts as charts;
pub(super) use nodes::node_state;

use nucleo_matcher::pattern::{CaseMatching, Normalization, Pattern};
use nucleo_matcher::{Config, Matcher, Utf32Str};
use ratatui::style::Style;
use ratatui::text::{Line, Span};

use super::state::{App, Pane, Tab};
use super::theme::{Health, Theme};
use matou_base::text::{clean_line, display_width, fit_to_width};
use matou_model::Fleet;

/// What a row stands for, as indices into the lists of the fleet.
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
    /// The snapshots of an application: the index of the newest, and how many.
    SnapshotGroup {
        first: usize,
        count: usize,
    },
    Snapshot(usize),
}

/// A row of a list.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct PaneRow {
    /// Identifies the row; stays the same when the list is refreshed.
    pub key: String,
    /// The name that is copied, and that jobs get.
    pub name: String,
    pub kind: RowKind,
    pub depth: u16,
    /// Whether its children are shown; `None` when it can have none.
    pub open: Option<bool>,
}

/// The filter of a list, by fuzzy matching.
pub(super) struct RowFilter {
    pattern: Option<Pattern>,
    matcher: Matcher,
    buffer: Vec<char>,
}

impl RowFilter {
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

    fn matches(&mut self, text: &str) -> bool {
        self.score(text).is_some()
    }
}

/// Returns a filter for a list that is not in a pane.
pub(super) fn new_row_filter(text: &str) -> RowFilter {
    RowFilter::new(text)
}

/// Returns the rows of a pane that match the filter, and how many things there are without it.
pub(super) fn pane_rows(
    pane: Pane,
    fleet: &Fleet,
    opened: &[String],
    filter: &str,
) -> (Vec<PaneRow>, usize) {
    let mut filter = RowFilter::new(filter);
    match pane {
        Pane::Nodes => nodes::node_rows(fleet, &mut filter),
        Pane::Services => services::app_rows(fleet, opened, &mut filter),
        Pane::Volumes => volumes::volume_rows(fleet, &mut filter),
        Pane::Certificates => certificates::certificate_rows(fleet, &mut filter),
        Pane::Backups => backups::backup_rows(fleet, opened, &mut filter),
    }
}

/// Formats a row for its list, `columns` wide.
pub(super) fn row_line(app: &App, row: &PaneRow, columns: usize) -> Line<'static> {
    match &row.kind {
        RowKind::Node(node) => nodes::node_line(app, *node, columns),
        RowKind::App { services } => services::app_line(app, row, services, columns),
        RowKind::Service(service) => services::service_line(app, row, *service, columns),
        RowKind::Task { service, task } => services::task_line(app, *service, *task, columns),
        RowKind::Volume { node, volume } => volumes::volume_line(app, *node, *volume, columns),
        RowKind::Certificate(at) => certificates::certificate_line(app, *at, columns),
        RowKind::Repository(at) => backups::repository_line(app, *at, columns),
        RowKind::SnapshotGroup { first, count } => {
            backups::snapshot_group_line(app, row, *first, *count, columns)
        }
        RowKind::Snapshot(at) => backups::snapshot_line(app, *at, columns),
    }
}

/// Returns the names of the nodes that differ from config.toml.
pub(super) fn drifted_nodes(app: &App) -> Vec<String> {
    let nodes = app.fleet.nodes.iter().filter(|n| n.configured);
    nodes
        .filter(|n| node_checks::differs_from_config(app, &n.name))
        .map(|n| n.name.clone())
        .collect()
}

/// Says why a list is empty, or which key fills it.
pub(super) fn empty_pane_text(app: &App, pane: Pane) -> String {
    if !app.lists[pane.index()].filter.value().is_empty() {
        return "nothing matches; Esc ends the filter".into();
    }
    match pane {
        Pane::Nodes => "no nodes".into(),
        Pane::Services => services::empty_services_text(app),
        Pane::Volumes => "no volumes yet: applications make them".into(),
        Pane::Certificates => "none read yet".into(),
        Pane::Backups => match app.fleet.snapshots.error() {
            Some(why) => why.to_owned(),
            None => "no snapshots read yet".into(),
        },
    }
}

/// Returns the lines about the selected row, `columns` wide.
pub(super) fn selected_detail(app: &App, tab: Tab, columns: usize) -> Vec<Line<'static>> {
    let name = app.selected_row().map_or("", |r| &r.name);
    let page = match app.selected_row().map(|r| &r.kind) {
        Some(RowKind::Node(node)) => nodes::node_detail(app, *node, tab, columns),
        Some(RowKind::App { services }) => services::app_detail(app, services, tab, columns),
        Some(RowKind::Service(service)) => services::service_detail(app, *service, tab, columns),
        Some(RowKind::Task { service, task }) => tasks::task_detail(app, *service, *task),
        Some(RowKind::Volume { node, volume }) => volumes::volume_detail(app, *node, *volume),
        Some(RowKind::Certificate(at)) => certificates::certificate_detail(app, *at, columns),
        Some(RowKind::Repository(at)) => backups::repository_detail(app, *at, columns),
        Some(RowKind::SnapshotGroup { first, count }) => {
            backups::snapshot_group_detail(app, name, *first, *count, columns)
        }
        Some(RowKind::Snapshot(at)) => backups::snapshot_detail(app, *at, tab, columns),
        None => match app.pane {
            Pane::Certificates => certificates::empty_certificates_detail(app),
            Pane::Backups => backups::empty_backups_detail(app),
            pane => DetailPage::new(app.theme).text(&empty_pane_text(app, pane)),
        },
    };
    page.lines
}

/// Lines of a detail view under construction.
pub(super) struct DetailPage {
    theme: Theme,
    lines: Vec<Line<'static>>,
}

/// Columns of a field's name.
const LABEL_COLUMNS: usize = 14;

impl DetailPage {
    pub(super) fn new(theme: Theme) -> Self {
        Self {
            theme,
            lines: Vec::new(),
        }
    }

    pub(super) fn push_spans(mut self, spans: Vec<Span<'static>>) -> Self {
        self.lines.push(Line::from(spans));
        self
    }

    pub(super) fn blank_line(self) -> Self {
        self.push_spans(Vec::new())
    }

    pub(super) fn heading(self, text: &str) -> Self {
        let style = self.theme.title();
        let text = self.theme.drawable_text(&clean_line(text));
        self.push_spans(vec![Span::styled(text, style)])
    }

    pub(super) fn text(self, text: &str) -> Self {
        let text = self.theme.drawable_text(&clean_line(text));
        self.push_spans(vec![Span::raw(text)])
    }

    /// A long text, wrapped by words.
    pub(super) fn wrapped_text(mut self, text: &str, columns: usize, style: Style) -> Self {
        for line in wrap_text(&self.theme.drawable_text(&clean_line(text)), columns) {
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
        let value = self.theme.drawable_text(&clean_line(value));
        self.push_spans(vec![
            Span::styled(fit_to_width(name, LABEL_COLUMNS, ellipsis), dim),
            Span::styled(value, style),
        ])
    }

    /// Says how old the reading is, and why there is no newer one.
    pub(super) fn stale_note(self, why: &str, age: &str, columns: usize) -> Self {
        let style = self.theme.changed();
        let when = match age {
            "now" => "just now".to_owned(),
            age => format!("{age} ago"),
        };
        self.wrapped_text(&format!("last read {when}: {why}"), columns, style)
    }

    /// Cells of fixed widths, the last one as wide as it is.
    pub(super) fn cell_row(self, cells: Vec<(String, usize, Style)>) -> Self {
        let ellipsis = self.theme.ellipsis();
        let theme = self.theme;
        let spans = cells
            .into_iter()
            .map(|(text, columns, style)| {
                let text = theme.drawable_text(&clean_line(&text));
                let text = if columns == 0 {
                    text
                } else {
                    fit_to_width(&text, columns, ellipsis) + " "
                };
                Span::styled(text, style)
            })
            .collect();
        self.push_spans(spans)
    }
}

/// Breaks text at spaces; a word that is too long is broken anywhere.
pub(super) fn wrap_text(text: &str, columns: usize) -> Vec<String> {
    use unicode_segmentation::UnicodeSegmentation;
    let columns = columns.max(8);
    let mut lines = vec![String::new()];
    let mut used = 0;
    for word in text.split_word_bounds() {
        let room = columns - used.min(columns);
        if display_width(word) <= room {
            used += display_width(word);
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
            if used + display_width(grapheme) > columns {
                lines.push(String::new());
                used = 0;
            }
            used += display_width(grapheme);
            if let Some(line) = lines.last_mut() {
                line.push_str(grapheme);
            }
        }
    }
    lines
}

/// Formats a list's line: the health's glyph, the name in the room that is left, the rest.
pub(super) fn format_list_line(
    app: &App,
    health: Health,
    indent: usize,
    name: &str,
    rest: &str,
    columns: usize,
    stale: bool,
) -> Line<'static> {
    let theme = app.theme;
    let rest = theme.drawable_text(&clean_line(rest));
    let head = indent + 2;
    let room = columns.saturating_sub(head + 1 + display_width(&rest));
    // A name is worth more than the rest: it keeps at least twelve columns.
    let room = room.max(12.min(columns.saturating_sub(head)));
    let name = fit_to_width(
        &theme.drawable_text(&clean_line(name)),
        room,
        theme.ellipsis(),
    );
    let left = columns.saturating_sub(head + room + 1);
    let rest = matou_base::text::truncate_to_width(&rest, left, theme.ellipsis()).into_owned();
    let style = if stale { theme.dim() } else { Style::new() };
    Line::from(vec![
        Span::raw(" ".repeat(indent)),
        Span::styled(theme.health_glyph(health), theme.health_style(health)),
        Span::raw(" "),
        Span::styled(name, style),
        Span::raw(" "),
        Span::styled(rest, style),
    ])
}
