//! Lines of a box: one that is wider than it says so.

use ratatui::buffer::Buffer;
use ratatui::layout::Rect;
use ratatui::style::Style;
use ratatui::text::Line;

use crate::theme::Theme;
use matou_base::text::display_width;

/// Draws a line into the first row of `area`. One that is wider ends with an ellipsis, in the last column.
pub(crate) fn draw_line(buffer: &mut Buffer, area: Rect, line: &Line<'_>, theme: Theme) {
    if area.is_empty() {
        return;
    }
    let width = usize::from(area.width);
    if line.width() <= width || ends_in_blanks(line, width) {
        buffer.set_line(area.x, area.y, line, area.width);
        return;
    }
    let kept = area.width - 1;
    let end = area.x + kept;
    buffer.set_line(area.x, area.y, line, kept);
    let style = match kept {
        0 => line.style,
        _ => buffer[(end - 1, area.y)].style(),
    };
    buffer.set_string(end, area.y, theme.ellipsis(), style);
}

/// Draws a text as [`draw_line`] draws a line.
pub(crate) fn draw_text(buffer: &mut Buffer, area: Rect, text: &str, style: Style, theme: Theme) {
    draw_line(buffer, area, &Line::styled(text, style), theme);
}

/// Row `y` of an area.
pub(crate) fn row_at(area: Rect, y: u16) -> Rect {
    Rect::new(area.x, y, area.width, 1)
}

/// Whether a line has nothing but blanks behind `width`.
fn ends_in_blanks(line: &Line<'_>, width: usize) -> bool {
    let spans = line.spans.iter();
    let text: String = spans.map(|span| span.content.as_ref()).collect();
    display_width(text.trim_end()) <= width
}

#[cfg(test)]
mod tests {
    use super::*;
    use ratatui::text::Span;

    fn drawn(spans: Vec<Span<'_>>, width: u16) -> String {
        let area = Rect::new(0, 0, 12, 1);
        let mut buffer = Buffer::empty(area);
        let place = Rect { width, ..area };
        let theme = crate::linear::linear_theme();
        draw_line(&mut buffer, place, &Line::from(spans), theme);
        let cells = buffer.content.iter();
        cells.map(ratatui::buffer::Cell::symbol).collect()
    }

    #[test]
    fn only_what_is_wider_ends_with_an_ellipsis() {
        let line = || vec![Span::raw("one "), Span::raw("two  ")];
        assert_eq!(drawn(line(), 12), "one two     ");
        assert_eq!(drawn(line(), 7), "one two     ");
        assert_eq!(drawn(line(), 6), "one t~      ");
        assert_eq!(drawn(line(), 1), "~           ");
        assert_eq!(drawn(line(), 0), "            ");
        // Half of a wide letter is a blank.
        assert_eq!(drawn(vec![Span::raw("a日本")], 3).trim_end(), "a ~");
    }
}
