//! Draws the dashboard: sections below each other, from some width on in columns.

use matou_i18n::tr;
use ratatui::Frame;
use ratatui::layout::Rect;
use ratatui::style::{Modifier, Style};
use ratatui::text::{Line, Span};
use ratatui::widgets::Block;

use super::board::{BoardRow, Cell, CellContent, DrawnSection, Section, SectionRows};
use crate::cut::draw_line;
use crate::state::App;
use crate::theme::{Health, Theme};
use matou_base::text::{clean_line, display_width, fit_to_width, truncate_to_width};

/// Columns of a screen with room for two columns of sections, and for three.
const TWO_COLUMNS: u16 = 110;
const THREE_COLUMNS: u16 = 160;

/// The widest that a name is drawn.
const NAME_COLUMNS: usize = 28;

/// Widths that a sparkline of 24 hours is drawn with, the widest first.
const SPARKLINE_COLUMNS: [usize; 4] = [24, 12, 8, 6];

/// The least columns in which a text that is cut still says something.
const LEAST_REST: usize = 8;

/// Draws the dashboard. Returns what is where.
pub(crate) fn draw_dashboard(app: &App, frame: &mut Frame, area: Rect) -> Vec<DrawnSection> {
    use Section::{Apps, Certificates, Lately, Nights, Nodes, Problems};
    let columns: &[&[Section]] = match area.width {
        ..TWO_COLUMNS => &[&Section::ALL],
        TWO_COLUMNS..THREE_COLUMNS => &[&[Problems, Nodes, Apps], &[Nights, Certificates, Lately]],
        THREE_COLUMNS.. => &[&[Problems, Nodes], &[Apps, Nights], &[Certificates, Lately]],
    };
    let mut drawn = Vec::new();
    let count = columns.len() as u16;
    let mut x = area.x;
    for (i, sections) in columns.iter().enumerate() {
        let width = match i as u16 + 1 == count {
            true => area.right() - x,
            false => area.width / count,
        };
        let place = Rect { x, width, ..area };
        draw_column(app, sections, frame, place, &mut drawn);
        x += width;
    }
    drawn
}

fn draw_column(
    app: &App,
    sections: &[Section],
    frame: &mut Frame,
    area: Rect,
    drawn: &mut Vec<DrawnSection>,
) {
    let heights = section_heights(app, sections, area.height);
    let mut y = area.y;
    for (section, height) in sections.iter().zip(heights) {
        let height = height.min(area.bottom().saturating_sub(y));
        let place = Rect { y, height, ..area };
        if height > 0 {
            drawn.push(draw_section(app, *section, frame, place));
        }
        y += height;
    }
}

/// Returns the heights of sections below each other. A folded one has one line; the selected one gets what it
/// needs first, and what is left at last goes to the lowest that is open.
fn section_heights(app: &App, sections: &[Section], height: u16) -> Vec<u16> {
    let count = sections.len() as u16;
    let mut heights = vec![1u16; sections.len()];
    let mut left = height.saturating_sub(count);
    let needs = |section: &Section| {
        let rows = app.board.sections[*section as usize].rows.len();
        u16::try_from(rows.max(1) + 1).unwrap_or(u16::MAX)
    };
    let selected = sections
        .iter()
        .position(|s| *s as usize == app.board.at.0)
        .into_iter();
    let others = (0..sections.len()).filter(|i| sections[*i] as usize != app.board.at.0);
    let order: Vec<usize> = selected.chain(others).collect();
    let share = (height / count.max(1)).max(4);
    // First a share each, then what the first ones still need.
    for most in [share, u16::MAX] {
        for i in &order {
            let has = heights[*i] - 1;
            let more = needs(&sections[*i]).min(most).saturating_sub(has).min(left);
            // A section is opened for a title, one row and the lower border at least.
            if has + more >= 2 {
                heights[*i] += more;
                left -= more;
            }
        }
    }
    let lowest = heights.iter().rposition(|h| *h > 1).unwrap_or(0);
    heights[lowest] += left;
    heights
}

fn draw_section(app: &App, section: Section, frame: &mut Frame, area: Rect) -> DrawnSection {
    let theme = app.theme;
    let rows = &app.board.sections[section as usize];
    let focused = app.board.at.0 == section as usize && app.board.selected_row().is_some();
    let style = match focused {
        true => theme.focus(),
        false => theme.dim(),
    };
    let mut drawn = DrawnSection {
        section,
        area,
        inner: Rect::default(),
        top: 0,
    };
    if area.height < 3 {
        draw_folded(theme, section, rows, style, frame, area);
        return drawn;
    }
    let mut title = vec![Span::styled(format!(" {} ", section.title()), style)];
    title.extend(problem_marks(theme, &rows.rows));
    let block = Block::bordered()
        .border_set(theme.border())
        .border_style(style)
        .title(Line::from(title));
    let inner = block.inner(area);
    frame.render_widget(block, area);
    drawn.inner = inner;
    if rows.rows.is_empty() {
        draw_note(&rows.note, theme, frame, inner);
        return drawn;
    }
    let height = usize::from(inner.height);
    let top = visible_top(app, section, rows, height);
    drawn.top = top;
    let widths = RowWidths::of(&rows.rows, inner.width.into());
    for (y, (i, row)) in (inner.y..inner.bottom()).zip(rows.rows.iter().enumerate().skip(top)) {
        let line = row_line(theme, row, widths, inner.width.into());
        let place = Rect::new(inner.x, y, inner.width, 1);
        draw_line(frame.buffer_mut(), place, &line, theme);
        if focused && app.board.at.1 == i {
            frame.buffer_mut().set_style(place, theme.selected());
        }
    }
    let hidden = rows.rows.len().saturating_sub(top + height);
    if hidden > 0 {
        let more = tr!(" {hidden} more ");
        let x = inner
            .right()
            .saturating_sub(display_width(&more) as u16)
            .max(inner.x);
        let buffer = frame.buffer_mut();
        buffer.set_stringn(x, inner.bottom(), more, inner.width.into(), style);
    }
    drawn
}

fn visible_top(app: &App, section: Section, rows: &SectionRows, height: usize) -> usize {
    let mut top = rows.top;
    if let (selected, at) = app.board.at
        && selected == section as usize
    {
        top = match at {
            at if at < top => at,
            at if height > 0 && at >= top + height => at + 1 - height,
            _ => top,
        };
    }
    top.min(rows.rows.len().saturating_sub(height))
}

/// How many rows are bad, and how many are partly so: `2 ○ 1 ◐`.
fn problem_marks(theme: Theme, rows: &[BoardRow]) -> Vec<Span<'static>> {
    let mut spans = Vec::new();
    for health in [Health::Bad, Health::Partly] {
        let count = rows.iter().filter(|r| r.health == health).count();
        if count > 0 {
            let text = format!("{count} {} ", theme.health_glyph(health));
            // The border's dimness is not for it.
            let style = theme.health_style(health).remove_modifier(Modifier::DIM);
            spans.push(Span::styled(text, style));
        }
    }
    spans
}

/// Draws the title of a section that has no room for more, with what matters of it.
fn draw_folded(
    theme: Theme,
    section: Section,
    rows: &SectionRows,
    style: Style,
    frame: &mut Frame,
    area: Rect,
) {
    let border = theme.border();
    let width = usize::from(area.width);
    let title = format!(" {} ", section.title());
    let marks = problem_marks(theme, &rows.rows);
    let used = 2 + display_width(&title) + marks.iter().map(Span::width).sum::<usize>();
    let room = width.saturating_sub(used + 4);
    let summary = theme.drawable_text(&clean_line(&rows.summary));
    let summary = match room {
        ..LEAST_REST => String::new(),
        _ => format!(" {} ", truncate_to_width(&summary, room, theme.ellipsis())),
    };
    let rule = width.saturating_sub(used + display_width(&summary));
    let mut spans = vec![
        Span::styled(border.top_left, style),
        Span::styled(title, style),
    ];
    spans.extend(marks);
    spans.push(Span::styled(border.horizontal_top.repeat(rule), style));
    spans.push(Span::raw(summary));
    spans.push(Span::styled(border.top_right, style));
    let line = Line::from(spans);
    frame
        .buffer_mut()
        .set_line(area.x, area.y, &line, area.width);
}

/// Draws why a section has no rows. What does not fit ends with an ellipsis.
fn draw_note(note: &str, theme: Theme, frame: &mut Frame, area: Rect) {
    let columns = usize::from(area.width);
    let mut lines = crate::panes::wrap_text(&theme.drawable_text(&clean_line(note)), columns);
    let room = usize::from(area.height);
    if lines.len() > room {
        lines.truncate(room);
        if let Some(last) = lines.last_mut() {
            let kept = columns.saturating_sub(1);
            *last = truncate_to_width(last, kept, "").into_owned() + theme.ellipsis();
        }
    }
    for (y, line) in (area.y..area.bottom()).zip(lines) {
        let buffer = frame.buffer_mut();
        buffer.set_stringn(area.x, y, line, columns, theme.dim());
    }
}

/// Widths that all rows of a section share.
#[derive(Clone, Copy)]
struct RowWidths {
    name: usize,
    /// 0: there is no room for any.
    sparkline: usize,
}

impl RowWidths {
    fn of(rows: &[BoardRow], columns: usize) -> Self {
        let names = rows.iter().map(|r| display_width(&clean_line(&r.name)));
        let name = names.max().unwrap_or(0);
        let most = (columns / 3).clamp(10, NAME_COLUMNS);
        let name = name.min(most).min(columns.saturating_sub(2));
        let room = columns.saturating_sub(2 + name);
        // The row with the most decides: that whole rows have room, or what comes up to the last sparkline.
        let is_sparkline = |c: &Cell| matches!(c.content, CellContent::Sparkline(_));
        let fits = |width: usize, whole: bool| {
            rows.iter().all(|row| {
                let last = row.cells.iter().rposition(is_sparkline);
                let kept = match (last, whole) {
                    (None, _) => 0,
                    (Some(_), true) => row.cells.len(),
                    (Some(at), false) => at + 1,
                };
                let used = row.cells[..kept].iter().map(|cell| match &cell.content {
                    CellContent::Sparkline(_) => width + 1,
                    _ if cell.columns == 0 => 0,
                    _ => cell.columns + 1,
                });
                used.sum::<usize>() <= room
            })
        };
        let mut widths = SPARKLINE_COLUMNS.into_iter();
        let sparkline = widths
            .clone()
            .find(|width| fits(*width, true))
            .or_else(|| widths.find(|width| fits(*width, false)));
        Self {
            name,
            sparkline: sparkline.unwrap_or(0),
        }
    }
}

/// A row: the glyph of its health, its name, and of its cells those that have room.
fn row_line(theme: Theme, row: &BoardRow, widths: RowWidths, columns: usize) -> Line<'static> {
    let name = theme.drawable_text(&clean_line(&row.name));
    let mut spans = vec![
        Span::styled(
            theme.health_glyph(row.health),
            theme.health_style(row.health),
        ),
        Span::raw(" "),
        Span::raw(fit_to_width(&name, widths.name, theme.ellipsis())),
    ];
    let mut left = columns.saturating_sub(2 + widths.name);
    for cell in &row.cells {
        let Some((parts, style)) = cell_text(theme, cell, widths, left.saturating_sub(1)) else {
            match cell.content {
                CellContent::Sparkline(_) => continue,
                _ => break,
            }
        };
        spans.push(Span::raw(" "));
        left = left.saturating_sub(1);
        for (text, own) in parts {
            left = left.saturating_sub(display_width(&text));
            spans.push(Span::styled(text, own.unwrap_or(style)));
        }
    }
    Line::from(spans)
}

/// Parts of a text, each with a style of its own where it has one.
type StyledParts = Vec<(String, Option<Style>)>;

/// What is drawn of a cell in at most `room` columns; `None` where that is not enough for it.
fn cell_text(
    theme: Theme,
    cell: &Cell,
    widths: RowWidths,
    room: usize,
) -> Option<(StyledParts, Style)> {
    let style = cell
        .health
        .map_or(Style::new(), |health| theme.health_style(health));
    match &cell.content {
        CellContent::Text(text) => {
            let text = theme.drawable_text(&clean_line(text));
            let text = match cell.columns {
                0 if room < LEAST_REST.min(display_width(&text)) => return None,
                0 => truncate_to_width(&text, room, theme.ellipsis()).into_owned(),
                // The first that has no room is left out, and what comes after it.
                _ if display_width(text.trim_end()) > room => return None,
                wide => fit_to_width(&text, wide.min(room), theme.ellipsis()),
            };
            Some((vec![(text, None)], style))
        }
        CellContent::Sparkline(values) => {
            if widths.sparkline == 0 || widths.sparkline > room {
                return None;
            }
            let text = sparkline(theme, values, widths.sparkline);
            Some((vec![(text, None)], theme.key()))
        }
        CellContent::Marks(marks) => {
            let shown = marks.len().min(room);
            let parts = marks[marks.len() - shown..].iter().map(|mark| match mark {
                Some(health) => (
                    theme.health_glyph(*health).to_owned(),
                    Some(theme.health_style(*health)),
                ),
                None => (
                    theme.health_glyph(Health::Ended).to_owned(),
                    Some(theme.dim()),
                ),
            });
            Some((parts.collect(), style))
        }
    }
}

/// A bar for each share of the values, their average; a dot where nothing is known.
fn sparkline(theme: Theme, values: &[Option<f32>], columns: usize) -> String {
    let heights = theme.bar_heights();
    let each = values.len().div_ceil(columns.max(1)).max(1);
    values
        .chunks(each)
        .map(|share| {
            let known: Vec<f32> = share.iter().flatten().copied().collect();
            if known.is_empty() {
                return if theme.ascii { " " } else { "·" };
            }
            let mean = known.iter().sum::<f32>() / known.len() as f32;
            heights[((mean / 100.0 * 8.0) as usize).min(7)]
        })
        .collect()
}
