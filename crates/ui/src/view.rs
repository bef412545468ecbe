//! Draws the state.

use matou_i18n::{tr, trn};
use ratatui::Frame;
use ratatui::buffer::Buffer;
use ratatui::layout::{Margin, Rect};
use ratatui::style::{Modifier, Style};
use ratatui::text::{Line, Span};
use ratatui::widgets::{Block, Clear};

use super::cut::{draw_line, draw_text, row_at};
use super::dashboard::draw_dashboard;
use super::jobs::JobView;
use super::keymap::Action;
use super::layout::{LastLine, Layout};
use super::log::LogStyle;
use super::msg::LogSource;
use super::overlays::help_key;
use super::pane::{Focus, Pane, Tab};
use super::panes::{self, RowKind};
use super::state::{App, FollowedLog, PaneList};
use super::theme::{Health, Theme};
use matou_base::text::{clean_line, display_width, fit_to_width, format_ago, truncate_to_width};
use matou_model::TaskCount;

/// The smallest screen with room for a pane.
const SMALLEST_SCREEN: (u16, u16) = (40, 10);

/// Columns of a screen with room for both sides.
const WIDE_SCREEN: u16 = 100;

/// Columns of the left side, when both sides are shown: what lists need, and a third of a wide screen.
fn left_columns(width: u16) -> u16 {
    let third = u32::from(width) * 35 / 100;
    u16::try_from(third).unwrap_or(u16::MAX).clamp(42, 70)
}

/// Draws everything. Returns what is where.
pub fn view(app: &App, frame: &mut Frame) -> Layout {
    let area = frame.area();
    let mut layout = Layout {
        detail_top: app.detail_top,
        ..Layout::default()
    };
    for pane in Pane::ALL {
        layout.lists[pane.index()].top = app.lists[pane.index()].top;
    }
    if area.width < SMALLEST_SCREEN.0 || area.height < SMALLEST_SCREEN.1 {
        let text = tr!("matou needs {}x{}", SMALLEST_SCREEN.0, SMALLEST_SCREEN.1);
        let line = Line::raw(truncate_to_width(&text, area.width.into(), "").into_owned());
        frame
            .buffer_mut()
            .set_line(area.x, area.y, &line, area.width);
        return layout;
    }
    let job = app.jobs.newest_running().is_some();
    let footer = 1 + u16::from(job);
    layout.alerts = draw_header(app, frame, Rect { height: 1, ..area });
    let body = Rect {
        y: area.y + 1,
        height: area.height - 1 - footer,
        ..area
    };
    draw_body(app, &mut layout, frame, body);
    if let Some(current) = app.jobs.newest_running() {
        let line = Rect {
            y: area.bottom() - 2,
            height: 1,
            ..area
        };
        draw_job_line(app, current, frame, line);
    }
    let last = Rect {
        y: area.bottom() - 1,
        height: 1,
        ..area
    };
    draw_last_line(app, frame, last);
    for overlay in &app.overlays {
        layout.overlays.push(overlay.draw(app, frame, area));
    }
    layout.last_line = LastLine {
        area: last,
        text: read_cells(frame.buffer_mut(), last),
    };
    layout
}

/// Reads what was drawn in a row. A place of the text is a column of the screen.
pub(super) fn read_cells(buffer: &Buffer, row: Rect) -> String {
    let cells = (row.x..row.right()).map(|x| buffer[(x, row.y)].symbol());
    cells.collect()
}

/// What the line at the top says of the fleet, the most important first.
fn list_header_parts(app: &App) -> Vec<String> {
    let fleet = &app.fleet;
    let answering = fleet
        .nodes
        .iter()
        .filter(|n| matches!(panes::node_state(fleet, n).0, Health::Good | Health::Partly))
        .count();
    let mut parts = vec![tr!("{answering}/{} nodes", fleet.nodes.len())];
    if let Some(swarm) = fleet.swarm.value() {
        let count = TaskCount::of(&swarm.services);
        let (running, wanted) = (count.running, count.wanted);
        let apps = app.lists[Pane::Services.index()].total;
        parts.push(trn!(
            apps,
            "{n} app {running}/{wanted} tasks",
            "{n} apps {running}/{wanted} tasks",
            running = running,
            wanted = wanted
        ));
        if let (true, Some(at)) = (fleet.swarm.is_stale(), fleet.swarm.read_at()) {
            parts.push(tr!("read {}", format_ago(app.now, at)));
        }
    }
    if let Some(certificates) = fleet.certificates.value() {
        parts.push(trn!(certificates.len(), "{n} cert", "{n} certs"));
    }
    if let Some(newest) = fleet
        .snapshots
        .value()
        .and_then(|s| s.iter().filter(|s| s.can_be_newest()).map(|s| s.at).max())
    {
        parts.push(tr!("backup {}", format_ago(app.now, newest)));
    }
    parts
}

/// What the line at the top begins with.
const OWN_NAME: &str = " matou ";

/// Fewer columns say nothing of the fleet.
const LEAST_HEADER_PART: usize = 8;

/// Draws the line at the top. Returns where it counts the alerts.
fn draw_header(app: &App, frame: &mut Frame, area: Rect) -> Rect {
    let theme = app.theme;
    let fleet = &app.fleet;
    let mut parts = list_header_parts(app);
    let told = || app.alerts.iter().filter(|a| a.silence.is_none());
    let alerts = match told().count() {
        0 if fleet.swarm.read_at().is_none() => theme.drawable_text(tr!(" reading … ")),
        0 => tr!(" all well ").to_owned(),
        n => format!(
            " {} {} ",
            theme.alert_glyph(),
            trn!(n, "{n} alert", "{n} alerts")
        ),
    };
    let worst = told().next().map_or(Health::Good, |a| a.severity.into());
    let name = theme.drawable_text(&clean_line(&fleet.name));
    let read_only = match app.read_only {
        true => tr!(" read-only "),
        false => "",
    };
    let width = usize::from(area.width);
    // Two blanks around the name, and a rule.
    let fixed = 3 + display_width(&alerts) + display_width(read_only);
    // What the program is called has room last.
    let own = match fixed + OWN_NAME.len() + display_width(&name) <= width {
        true => OWN_NAME,
        false => "",
    };
    let room = width.saturating_sub(fixed + own.len());
    let name = truncate_to_width(&name, room, theme.ellipsis());
    let room = room.saturating_sub(display_width(&name));
    let mut spans = vec![
        Span::styled(own, theme.focus()),
        Span::styled(format!(" {name} "), theme.title()),
        Span::styled(read_only, theme.changed()),
        Span::styled(theme.rule(), theme.dim()),
    ];
    // What does not fit is left out whole, the least important first.
    while parts.len() > 1 && display_width(&parts.join(theme.separator())) + 2 > room {
        parts.pop();
    }
    let text = match room {
        ..LEAST_HEADER_PART => String::new(),
        _ => format!(" {} ", parts.join(theme.separator())),
    };
    let text = truncate_to_width(&text, room, theme.ellipsis()).into_owned();
    let rule = theme
        .rule()
        .repeat(room.saturating_sub(display_width(&text)));
    spans.push(Span::raw(text));
    spans.push(Span::styled(rule, theme.dim()));
    let columns = u16::try_from(display_width(&alerts)).unwrap_or(area.width);
    spans.push(Span::styled(alerts, theme.health_style(worst)));
    draw_line(frame.buffer_mut(), area, &Line::from(spans), theme);
    let width = columns.min(area.width);
    Rect {
        x: area.right() - width,
        width,
        ..area
    }
}

fn draw_body(app: &App, layout: &mut Layout, frame: &mut Frame, area: Rect) {
    if app.board.is_open() {
        layout.board = draw_dashboard(app, frame, area);
        return;
    }
    // Both sides are shown beside each other.
    if area.width >= WIDE_SCREEN && !app.zoom {
        let left = Rect {
            width: left_columns(area.width),
            ..area
        };
        let right = Rect {
            x: area.x + left.width,
            width: area.width - left.width,
            ..area
        };
        draw_panes(app, layout, frame, left);
        draw_detail(app, layout, frame, right);
    } else if app.focus == Focus::Detail {
        draw_detail(app, layout, frame, area);
    } else if app.zoom {
        draw_pane(app, app.pane, layout, frame, area);
    } else {
        draw_panes(app, layout, frame, area);
    }
}

/// Returns the heights of the five panes. A folded pane has one line; the focused one gets what it
/// needs first.
fn pane_heights(app: &App, height: u16) -> [u16; 5] {
    let mut heights = [1u16; 5];
    let mut left = height.saturating_sub(5);
    let needs = |pane: Pane| {
        u16::try_from(app.lists[pane.index()].rows.len().max(1) + 1).unwrap_or(u16::MAX)
    };
    let order = std::iter::once(app.pane).chain(Pane::ALL.into_iter().filter(|p| *p != app.pane));
    for (i, pane) in order.enumerate() {
        // A pane that has not the focus leaves room for those below it.
        let most = if i == 0 {
            u16::MAX
        } else {
            (height / 4).max(4)
        };
        let more = needs(pane).min(most).min(left);
        // A pane is opened for a title, one row and the lower border at least.
        if more >= 2 {
            heights[pane.index()] += more;
            left -= more;
        }
    }
    heights[app.pane.index()] += left;
    heights
}

fn draw_panes(app: &App, layout: &mut Layout, frame: &mut Frame, area: Rect) {
    let mut y = area.y;
    let heights = pane_heights(app, area.height);
    for (pane, height) in Pane::ALL.into_iter().zip(heights) {
        let height = height.min(area.bottom().saturating_sub(y));
        let place = Rect { y, height, ..area };
        if height > 0 {
            draw_pane(app, pane, layout, frame, place);
        }
        y += height;
    }
}

fn draw_pane(app: &App, pane: Pane, layout: &mut Layout, frame: &mut Frame, area: Rect) {
    let theme = app.theme;
    let at = pane.index();
    let focused = app.pane == pane && app.focus == Focus::List;
    let style = if focused { theme.focus() } else { theme.dim() };
    let shown = &app.lists[at];
    let filter = shown.filter.value();
    let mut title = format!(" {} {} ", at + 1, pane.title());
    if app.filtering && focused {
        title += &format!("/{}_ ", clean_line(filter));
    } else if !filter.is_empty() {
        title += &format!("/{} ", clean_line(filter));
    }
    if shown.only_problems {
        title += tr!("! problems ");
    }
    if let Some(order) = shown.order {
        let sign = theme.order_glyph(order.descending);
        title += &format!("{sign}{} ", order.column.title());
    }
    if !shown.marked.is_empty() {
        title += &trn!(shown.marked.len(), "{n} marked ", "{n} marked ");
    }
    let count = match filter.is_empty() && !shown.only_problems {
        true => format!(" {} ", shown.total),
        false => tr!(" {} of {} ", shown.healths_from(0).count(), shown.total),
    };
    let border = theme.border();
    layout.lists[at].area = area;
    if area.height < 3 {
        let marks = health_marks(theme, shown);
        return draw_folded_pane(theme, (&title, marks), &count, style, frame, area);
    }
    let room = usize::from(area.width).saturating_sub(2 + display_width(&count));
    let title = theme.drawable_text(&title);
    let title = truncate_to_width(&title, room, theme.ellipsis()).into_owned();
    let block = Block::bordered()
        .border_set(border)
        .border_style(style)
        .title(title)
        .title(Line::from(count).right_aligned());
    let inner = block.inner(area);
    frame.render_widget(block, area);
    let height = usize::from(inner.height);
    let top = shown.visible_top(height);
    layout.lists[at].top = top;
    if shown.rows.is_empty() {
        let text = theme.drawable_text(&clean_line(&panes::empty_pane_text(app, pane)));
        draw_cut_text(&text, theme.dim(), theme, frame, inner);
        return;
    }
    for (y, (i, shown_row)) in
        (inner.y..inner.bottom()).zip(shown.rows.iter().enumerate().skip(top))
    {
        let line = panes::row_line(app, shown_row, inner.width.into());
        draw_line(frame.buffer_mut(), row_at(inner, y), &line, theme);
        if shown.marked.contains(&shown_row.key) {
            // Between the glyph of its health and its name.
            let x = inner.x + shown_row.depth * 2 + 1;
            let sign = theme.mark_glyph();
            frame.buffer_mut().set_stringn(x, y, sign, 1, theme.key());
            let place = Rect::new(inner.x, y, inner.width, 1);
            frame.buffer_mut().set_style(place, theme.key());
        }
        if i == shown.at && app.pane == pane {
            let place = Rect::new(inner.x, y, inner.width, 1);
            let style = if focused {
                theme.selected()
            } else {
                theme.marked()
            };
            frame.buffer_mut().set_style(place, style);
        }
    }
    draw_hidden_rows(theme, shown, top + height, style, frame, inner);
}

/// Draws a text in the lines that there are. One that needs more ends with an ellipsis.
fn draw_cut_text(text: &str, style: Style, theme: Theme, frame: &mut Frame, area: Rect) {
    let columns = usize::from(area.width);
    let mut lines = panes::wrap_text(text, columns);
    let room = usize::from(area.height);
    if lines.len() > room {
        lines.truncate(room);
        if let Some(last) = lines.last_mut() {
            let kept = columns.saturating_sub(display_width(theme.ellipsis()));
            *last = truncate_to_width(last, kept, "").into_owned() + theme.ellipsis();
        }
    }
    for (y, line) in (area.y..area.bottom()).zip(lines) {
        draw_text(frame.buffer_mut(), row_at(area, y), &line, style, theme);
    }
}

/// Draws the title of a pane that has no room for more.
fn draw_folded_pane(
    theme: Theme,
    (title, mut marks): (&str, Vec<Span<'static>>),
    count: &str,
    style: Style,
    frame: &mut Frame,
    area: Rect,
) {
    let border = theme.border();
    let used = marks.iter().map(Span::width).sum::<usize>();
    let room = usize::from(area.width).saturating_sub(2 + display_width(count) + used);
    let title = truncate_to_width(&theme.drawable_text(title), room, theme.ellipsis()).into_owned();
    let rule = border
        .horizontal_top
        .repeat(room.saturating_sub(display_width(&title)));
    let mut spans = vec![
        Span::styled(border.top_left, style),
        Span::styled(title, style),
    ];
    spans.append(&mut marks);
    spans.push(Span::styled(rule, style));
    spans.push(Span::styled(count.to_owned(), style));
    spans.push(Span::styled(border.top_right, style));
    draw_line(frame.buffer_mut(), area, &Line::from(spans), theme);
}

/// How many things of a folded list are shown one by one.
const MARKS_SHOWN: usize = 6;

/// How the things of a list are, for its title: a glyph for each, of many how many are not well.
fn health_marks(theme: Theme, list: &PaneList) -> Vec<Span<'static>> {
    let count = list.healths_from(0).count();
    let mut spans: Vec<Span> = match count {
        0 => return Vec::new(),
        1..=MARKS_SHOWN => list
            .healths_from(0)
            .map(|h| Span::styled(theme.health_glyph(h), theme.health_style(h)))
            .collect(),
        _ => problem_counts(theme, list, 0),
    };
    if !spans.is_empty() {
        spans.push(Span::raw(" "));
    }
    spans
}

/// How many things of a list are bad, and how many are partly so, from row `from` on: `2 ○ 1 ◐`.
fn problem_counts(theme: Theme, list: &PaneList, from: usize) -> Vec<Span<'static>> {
    let mut spans = Vec::new();
    for health in [Health::Bad, Health::Partly] {
        let count = list.healths_from(from).filter(|h| *h == health).count();
        if count > 0 {
            let space = if spans.is_empty() { "" } else { " " };
            let text = format!("{space}{count} {}", theme.health_glyph(health));
            spans.push(Span::styled(text, theme.health_style(health)));
        }
    }
    spans
}

/// Writes into the border below `inner` how many rows of a list are hidden there, and how many of them are
/// not well.
fn draw_hidden_rows(
    theme: Theme,
    list: &PaneList,
    from: usize,
    style: Style,
    frame: &mut Frame,
    inner: Rect,
) {
    let hidden = list.rows.len().saturating_sub(from);
    if hidden == 0 {
        return;
    }
    let mut spans = vec![Span::styled(tr!(" {hidden} more "), style)];
    let problems = problem_counts(theme, list, from);
    if !problems.is_empty() {
        let separator = theme.separator().trim_start();
        spans.push(Span::styled(separator.to_owned(), style));
        spans.extend(problems);
        spans.push(Span::raw(" "));
    }
    let line = Line::from(spans);
    let x = inner.right().saturating_sub(line.width() as u16);
    let x = x.max(inner.x);
    let place = Rect::new(x, inner.bottom(), inner.right() - x, 1);
    draw_line(frame.buffer_mut(), place, &line, theme);
}

/// Writes into the border below `inner` how many lines are hidden there.
fn draw_hidden_count(hidden: usize, style: Style, frame: &mut Frame, inner: Rect) {
    if hidden == 0 {
        return;
    }
    let more = tr!(" {hidden} more ");
    let x = inner.right().saturating_sub(display_width(&more) as u16);
    let x = x.max(inner.x);
    frame
        .buffer_mut()
        .set_stringn(x, inner.bottom(), more, inner.width.into(), style);
}

/// Which tabs are in sight in so many columns: the shown one, and of those around it as many as there is room for,
/// those before it first. Where some are not, an ellipsis stands for them.
fn tabs_in_sight(tabs: &[Tab], shown: Tab, room: usize) -> std::ops::Range<usize> {
    let width = |sight: &std::ops::Range<usize>| {
        // A rule before each, blanks around it.
        let columns = tabs[sight.clone()].iter();
        let columns: usize = columns.map(|tab| display_width(tab.title()) + 3).sum();
        columns + usize::from(sight.start > 0) + usize::from(sight.end < tabs.len())
    };
    let at = tabs.iter().position(|tab| *tab == shown).unwrap_or(0);
    let mut sight = at..(at + 1).min(tabs.len());
    loop {
        let before = sight.start.saturating_sub(1)..sight.end;
        let after = sight.start..(sight.end + 1).min(tabs.len());
        let mut wider = [before, after].into_iter();
        let found = wider.find(|wider| *wider != sight && width(wider) <= room);
        let Some(wider) = found else {
            return sight;
        };
        sight = wider;
    }
}

/// Draws the border of the right side: what is selected, its tabs, what is said of a log. Returns the
/// area inside.
fn draw_detail_frame(
    app: &App,
    layout: &mut Layout,
    style: Style,
    frame: &mut Frame,
    area: Rect,
) -> Rect {
    let theme = app.theme;
    let name = app.selected_row().map_or_else(
        || app.pane.title().to_owned(),
        |r| match r.kind {
            // Of a snapshot's id the first digits are shown.
            RowKind::Snapshot(_) => r.name.chars().take(8).collect(),
            _ => r.name.clone(),
        },
    );
    let shown = app.shown_tab();
    // Beside it the shown tab has room, with what stands for those around it.
    let room = usize::from(area.width).saturating_sub(display_width(shown.title()) + 9);
    let name = truncate_to_width(
        &theme.drawable_text(&clean_line(&name)),
        room.min(24),
        theme.ellipsis(),
    )
    .into_owned();
    let mut spans = vec![Span::styled(format!(" {name} "), theme.title())];
    let mut x = area.x + 1 + display_width(&name) as u16 + 2;
    let tabs = app.tabs();
    let room = usize::from(area.right().saturating_sub(x + 1));
    let sight = tabs_in_sight(tabs, shown, room);
    let hidden = (sight.start > 0, sight.end < tabs.len());
    if hidden.0 {
        spans.push(Span::styled(theme.ellipsis(), style));
        x += 1;
    }
    for tab in &tabs[sight] {
        let text = format!(" {} ", tab.title());
        let place = Rect::new(x + 1, area.y, display_width(&text) as u16, 1);
        layout.tabs.push((place, *tab));
        x += 1 + display_width(&text) as u16;
        spans.push(Span::styled(theme.rule(), style));
        let tab_style = if *tab == shown {
            // The border's dimness is not for it.
            theme.selected().remove_modifier(Modifier::DIM)
        } else {
            Style::new()
        };
        spans.push(Span::styled(text, tab_style));
    }
    if hidden.1 {
        spans.push(Span::styled(theme.ellipsis(), style));
    }
    let mut block = Block::bordered()
        .border_set(theme.border())
        .border_style(style)
        .title(Line::from(spans));
    let status = match (&app.log, &app.access) {
        (Some(log), _) if shown == Tab::Logs => Some(log.view.status_line()),
        (_, Some(access)) if shown == Tab::Access => Some(access.view.status_line()),
        _ if shown == Tab::Load => Some(match app.focus {
            Focus::Detail => tr!("{}; t: another time", app.load_span.word()),
            Focus::List => app.load_span.word().to_owned(),
        }),
        _ => None,
    };
    if let Some(status) = status {
        let status = theme.drawable_text(&clean_line(&status));
        let room = usize::from(area.width).saturating_sub(6);
        let status = format!(" {} ", truncate_to_width(&status, room, theme.ellipsis()));
        block = block.title_bottom(Line::from(status).right_aligned());
    }
    let inner = block.inner(area).inner(Margin::new(1, 0));
    frame.render_widget(block, area);
    inner
}

fn draw_detail(app: &App, layout: &mut Layout, frame: &mut Frame, area: Rect) {
    let theme = app.theme;
    let focused = app.focus == Focus::Detail;
    let style = if focused { theme.focus() } else { theme.dim() };
    let inner = draw_detail_frame(app, layout, style, frame, area);
    layout.detail = inner;
    let shown = app.shown_tab();
    if shown == Tab::Logs {
        let style = LogStyle {
            error: theme.removed(),
            warning: theme.changed(),
            dim: theme.dim(),
            sources: theme.sources(),
            found: theme.match_style(),
            colour: theme.colour,
            ascii: theme.ascii,
        };
        if let Some(log) = &app.log {
            layout.log = Some(log.view.draw(inner, frame.buffer_mut(), &style));
            draw_missing_log(app, log, frame, inner);
        }
        return;
    }
    if shown == Tab::Access {
        let now = app.now;
        match &app.access {
            Some(access) => {
                let height = access.view.draw(inner, frame.buffer_mut(), theme, now);
                layout.access_height = Some(height);
            }
            None => {
                let text = match app.focused_list().selected_row() {
                    Some(_) => tr!("no router of the edge leads here: it has no domain"),
                    None => tr!("no application is selected"),
                };
                draw_cut_text(text, theme.dim(), theme, frame, inner);
            }
        }
        return;
    }
    if shown == Tab::Files {
        layout.browser = super::browser::draw_browser(app, frame, inner);
        return;
    }
    if shown == Tab::Load {
        if let Some(RowKind::Node(at)) = app.selected_row().map(|r| &r.kind)
            && let Some(node) = app.fleet.nodes.get(*at)
        {
            panes::charts(app, node, frame, inner);
        }
        return;
    }
    let lines = panes::selected_detail(app, shown, inner.width.into());
    layout.detail_lines = lines.len();
    let height = usize::from(inner.height);
    let top = app.detail_top.min(lines.len().saturating_sub(height));
    layout.detail_top = top;
    for (y, line) in (inner.y..inner.bottom()).zip(&lines[top..]) {
        draw_line(frame.buffer_mut(), row_at(inner, y), line, theme);
    }
    draw_hidden_count(
        lines.len().saturating_sub(top + height),
        style,
        frame,
        inner,
    );
}

/// Says in place of a log that is empty why it is, when no container of it ever started.
fn draw_missing_log(app: &App, log: &FollowedLog, frame: &mut Frame, area: Rect) {
    let (LogSource::Services { ids, .. }, Some(swarm)) = (&log.source, app.fleet.swarm.value())
    else {
        return;
    };
    if !log.view.is_empty() {
        return;
    }
    if let Some(why) = swarm.explain_no_container(ids, app.now) {
        let theme = app.theme;
        let text = theme.drawable_text(&clean_line(&why));
        frame.render_widget(Clear, area);
        draw_cut_text(&text, theme.removed(), theme, frame, area);
    }
}

/// Says what a job does now in so many columns. Where they don't hold all, the bar goes first, then the words around
/// the step's number, then the figures; of title and step the title is cut before the step.
fn job_text(app: &App, job: &JobView, room: usize) -> String {
    let theme = app.theme;
    let shown = |text: &str| theme.drawable_text(&clean_line(text));
    let step = shown(job.steps.last().map_or("", |s| &s.step));
    let title = shown(&job.title());
    let head = format!(" {} ", theme.spinner_glyph(app.ticks));
    let seconds = format!("  {} s", job.elapsed_seconds(app.now));
    let texts = display_width(&title) + display_width(&step);
    let mut rest = (String::new(), String::new());
    let mut left = 0;
    for (place, figures) in job_text_details(app, job) {
        let used: usize = [&head, &place, &figures, &seconds]
            .into_iter()
            .map(|text| display_width(text))
            .sum();
        left = room.saturating_sub(used + 2);
        rest = (place, figures);
        if texts <= left {
            break;
        }
    }
    let (place, figures) = rest;
    let of_title = display_width(&title).min(LEAST_TITLE).min(left / 2);
    let of_step = display_width(&step).min(left - of_title);
    let title = truncate_to_width(&title, left - of_step, theme.ellipsis());
    let step = truncate_to_width(&step, of_step, theme.ellipsis());
    format!("{head}{title}  {place}{step}{figures}{seconds}")
}

/// Columns that a job's title keeps beside a long step.
const LEAST_TITLE: usize = 12;

/// What is said before and behind a job's step, the longest form first.
fn job_text_details(app: &App, job: &JobView) -> Vec<(String, String)> {
    let long = match job.step_text() {
        Some(where_it_is) => tr!("{where_it_is}: "),
        None => String::new(),
    };
    let short = match job.step_place() {
        Some((at, count)) => format!("{at}/{count} "),
        None => String::new(),
    };
    let none = String::new;
    let Some((done, total, said)) = &job.progress else {
        return vec![(long, none()), (short, none())];
    };
    let (full, empty) = app.theme.bar_glyphs();
    let filled = (done * 10 / (*total).max(1)).min(10) as usize;
    let bar = full.repeat(filled) + &empty.repeat(10 - filled);
    let said = clean_line(said);
    vec![
        (long.clone(), format!("  {bar} {said}")),
        (long, format!("  {said}")),
        (short.clone(), format!("  {said}")),
        (short, none()),
    ]
}

fn draw_job_line(app: &App, job: &JobView, frame: &mut Frame, area: Rect) {
    let theme = app.theme;
    let key = app.keymap.first_key(Action::Jobs).unwrap_or_default();
    let waiting = match app.jobs.queued.len() {
        0 => String::new(),
        n => tr!(", {n} waiting"),
    };
    // What is cut before it does not run into its key.
    let right = tr!("{key} jobs: {} running{waiting} ", app.jobs.count_running());
    let right = format!(" {right}");
    let room = usize::from(area.width).saturating_sub(display_width(&right));
    let text = job_text(app, job, room);
    let line = Line::from(vec![
        Span::styled(fit_to_width(&text, room, theme.ellipsis()), theme.focus()),
        Span::styled(right, theme.dim()),
    ]);
    draw_line(frame.buffer_mut(), area, &line, theme);
}

/// Draws a notice, or the keys that matter for the selected row.
fn draw_last_line(app: &App, frame: &mut Frame, area: Rect) {
    let theme = app.theme;
    let width = usize::from(area.width);
    if let Some(notice) = &app.notice {
        let style = if notice.error {
            theme.removed()
        } else {
            theme.added()
        };
        // An overlay has Enter for itself.
        let hint = if notice.error && app.overlays.is_empty() {
            tr!("  (Enter: more)")
        } else {
            ""
        };
        let help = help_key(app).filter(|_| !app.takes_text());
        let help = help.map_or_else(String::new, |key| format!("  {key} "));
        let used = 1 + display_width(hint) + display_width(&help);
        let room = width.saturating_sub(used);
        let text = theme.drawable_text(&notice.text);
        let text = truncate_to_width(&text, room, theme.ellipsis()).into_owned();
        let gap = room.saturating_sub(display_width(&text));
        let line = Line::from(vec![
            Span::styled(format!(" {text}"), style),
            Span::styled(hint, theme.dim()),
            Span::raw(" ".repeat(gap)),
            Span::styled(help, theme.key()),
        ]);
        draw_line(frame.buffer_mut(), area, &line, theme);
        return;
    }
    // An overlay writes its own keys here.
    if !app.overlays.is_empty() {
        return;
    }
    let typed = app.takes_text().then(|| typed_hints(app));
    let fixed = match typed {
        Some(_) => Vec::new(),
        None => fixed_hints(app, width),
    };
    let room = width.saturating_sub(fixed.iter().map(Span::width).sum());
    let mut spans = vec![Span::raw(" ")];
    let mut used = 1;
    for (key, text) in typed.unwrap_or_else(|| key_hints(app)) {
        let columns = display_width(&key) + display_width(text) + 3;
        if used + columns > room {
            break;
        }
        used += columns;
        spans.push(Span::styled(key, theme.key()));
        spans.push(Span::raw(format!(" {text}  ")));
    }
    spans.push(Span::raw(" ".repeat(room.saturating_sub(used))));
    spans.extend(fixed);
    draw_line(frame.buffer_mut(), area, &Line::from(spans), theme);
}

/// The keys that are none of the text that is typed, those that end it: the only ones that work meanwhile.
fn typed_hints(app: &App) -> Vec<(String, &'static str)> {
    let searches = !app.filtering && app.shown_tab() == Tab::Files;
    let enter = match searches {
        true => tr!("searches the whole snapshot"),
        false => tr!("keeps it"),
    };
    vec![
        (tr!("Enter").to_owned(), enter),
        (tr!("Esc").to_owned(), tr!("ends it")),
    ]
}

/// From so many columns on the keys that are always shown have their words.
const WORDED_HINTS: usize = 100;

/// The keys that are always shown, at the right end: the way back first.
fn fixed_hints(app: &App, width: usize) -> Vec<Span<'static>> {
    let theme = app.theme;
    let actions = [
        (Action::Back, tr!("back")),
        (Action::Alerts, tr!("alerts")),
        (Action::Jobs, tr!("jobs")),
        (Action::Palette, tr!("all")),
        (Action::Help, tr!("help")),
    ];
    let leads_back = app.focus == Focus::Detail || app.board.is_open() || app.board.is_left();
    let shown = actions.into_iter().skip(usize::from(!leads_back));
    let mut spans = Vec::new();
    for (action, word) in shown {
        let Some(key) = app.keymap.first_key(action) else {
            continue;
        };
        spans.push(Span::styled(key, theme.key()));
        spans.push(Span::raw(match width < WORDED_HINTS {
            true => " ".to_owned(),
            false => format!(" {word}  "),
        }));
    }
    spans
}

/// The keys that matter where the focus is, the most important first, with a word for each.
pub(super) fn key_hints(app: &App) -> Vec<(String, &'static str)> {
    if app.board.is_open() {
        let shown = [
            (Action::Open, tr!("go there")),
            (Action::NextPane, tr!("next part")),
            (Action::Deploy, tr!("deploy")),
            (Action::Refresh, tr!("read again")),
        ];
        let shown = shown.into_iter();
        let shown = shown.filter(|(action, _)| !(app.read_only && action.changes_something()));
        let shown = shown.filter_map(|(action, text)| Some((app.keymap.first_key(action)?, text)));
        let mut shown: Vec<(String, &'static str)> = shown.collect();
        let ends = [Action::Pane1, Action::Pane5].map(|pane| app.keymap.first_key(pane));
        // With other keys it is no range.
        if let [Some("1"), Some("5")] = ends.each_ref().map(Option::as_deref) {
            shown.insert(1, ("1-5".to_owned(), tr!("panes")));
        }
        return shown;
    }
    if app.focus == Focus::Detail && app.shown_tab() == Tab::Logs {
        let matches = app.log.as_ref().and_then(|log| log.view.matches_hint());
        let fixed = [
            ("f", tr!("follow")),
            (tr!("Space"), tr!("pause")),
            ("w", tr!("wrap")),
            matches.map_or(("t", tr!("times")), |hint| ("m", hint)),
            ("/", tr!("search")),
            ("y", tr!("copy")),
            ("o", tr!("save")),
        ];
        return fixed.map(|(k, t)| (k.to_owned(), t)).into();
    }
    if app.focus == Focus::Detail && app.shown_tab() == Tab::Access {
        let fixed = [
            ("f", tr!("follow")),
            (tr!("Space"), tr!("pause")),
            ("/", tr!("filter: 5xx /path >500ms")),
            ("t", tr!("most frequent")),
            ("y", tr!("copy")),
            ("o", tr!("save")),
        ];
        return fixed.map(|(k, t)| (k.to_owned(), t)).into();
    }
    if app.focus == Focus::Detail && app.shown_tab() == Tab::Files {
        let fixed = [
            (tr!("Enter"), tr!("open")),
            ("/", tr!("search")),
            ("r", tr!("restore")),
            ("y", tr!("copy the path")),
        ];
        let shown = fixed.iter().filter(|(k, _)| !app.read_only || *k != "r");
        return shown.map(|(k, t)| ((*k).to_owned(), *t)).collect();
    }
    if app.focus == Focus::Detail && app.shown_tab() == Tab::Load {
        let next = app.keymap.first_key(Action::NextTab).unwrap_or_default();
        return vec![
            ("t".to_owned(), tr!("an hour, a day, a week")),
            (next, tr!("next tab")),
        ];
    }
    let selected = app.selected_row().map(|r| &r.kind);
    let about: Vec<(Action, &str)> = match selected {
        Some(RowKind::Node(_)) => vec![
            (Action::Provision, tr!("provision")),
            (Action::NodeMenu, tr!("drain, reboot")),
            (Action::Logs, tr!("journal")),
            (Action::Bans, tr!("bans")),
            (Action::Shell, tr!("shell")),
        ],
        Some(RowKind::App { .. } | RowKind::Service(_) | RowKind::Task { .. }) => vec![
            (Action::Deploy, tr!("deploy")),
            (Action::Logs, tr!("logs")),
            (Action::Access, tr!("requests")),
            (Action::Scale, tr!("scale")),
            (Action::Restart, tr!("restart")),
            (Action::Update, tr!("update")),
            (Action::Backup, tr!("back up")),
            (Action::Restore, tr!("restore")),
            (Action::Shell, tr!("shell")),
            (Action::Remove, tr!("remove")),
        ],
        Some(RowKind::Repository(_) | RowKind::SnapshotGroup { .. } | RowKind::Snapshot(_)) => {
            vec![
                (Action::Restore, tr!("restore")),
                (Action::Backup, tr!("back up")),
                (Action::BackupAll, tr!("back up all")),
                (Action::Verify, tr!("test restore")),
            ]
        }
        Some(RowKind::Volume { .. }) => vec![
            (Action::Deploy, tr!("deploy")),
            (Action::Measure, tr!("measure")),
        ],
        _ => vec![(Action::Deploy, tr!("deploy"))],
    };
    let always = [
        (Action::Filter, tr!("filter")),
        (Action::Mark, tr!("mark")),
        (Action::Sort, tr!("sort")),
        (Action::Problems, tr!("problems")),
        (Action::Quit, tr!("quit")),
    ];
    about
        .iter()
        .chain(&always)
        .filter(|(action, _)| !(app.read_only && action.changes_something()))
        .filter_map(|(action, text)| Some((app.keymap.first_key(*action)?, *text)))
        .collect()
}
