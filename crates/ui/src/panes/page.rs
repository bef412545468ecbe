//! The parts that lists and details are written with.

use matou_i18n::tr;
use ratatui::style::Style;
use ratatui::text::{Line, Span};

use super::table::Table;
use crate::state::App;
use crate::theme::{Health, Theme};
use matou_base::text::{clean_line, display_width, fit_to_width, format_age, format_seconds};

/// Columns of a field's name.
const LABEL_COLUMNS: usize = 14;

/// Lines of a detail view under construction.
pub(super) struct DetailPage {
    theme: Theme,
    pub(super) lines: Vec<Line<'static>>,
}

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

    /// The lines in so many columns. A text that is wider goes on in the next line, the value of a field below its
    /// beginning; what stands in columns is left as it is.
    pub(super) fn into_lines(self, columns: usize) -> Vec<Line<'static>> {
        let lines = self.lines.into_iter();
        lines.flat_map(|line| wrap_line(line, columns)).collect()
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
            age if age == format_seconds(0) => tr!("just now").to_owned(),
            age => tr!("{age} ago"),
        };
        self.wrapped_text(&tr!("last read {when}: {why}"), columns, style)
    }

    pub(super) fn table(mut self, table: Table, columns: usize) -> Self {
        self.lines.extend(table.into_lines(columns));
        self
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

/// Breaks a line that is one text, or a field.
fn wrap_line(line: Line<'static>, columns: usize) -> Vec<Line<'static>> {
    if line.width() <= columns {
        return vec![line];
    }
    let (name, value) = match line.spans.as_slice() {
        [text] => (None, text),
        [name, value] if name.width() == LABEL_COLUMNS => (Some(name), value),
        _ => return vec![line],
    };
    let indent = if name.is_some() { LABEL_COLUMNS } else { 0 };
    let wrapped = wrap_text(&value.content, columns.saturating_sub(indent));
    let wrapped = wrapped.into_iter().enumerate().map(|(at, text)| {
        let before = match (name, at) {
            (None, _) => None,
            (Some(name), 0) => Some(name.clone()),
            (Some(_), _) => Some(Span::raw(" ".repeat(LABEL_COLUMNS))),
        };
        let spans = before.into_iter().chain([Span::styled(text, value.style)]);
        Line::from(spans.collect::<Vec<_>>()).style(line.style)
    });
    wrapped.collect()
}

pub(super) fn format_since(app: &App, then: jiff::Timestamp) -> String {
    match format_age(app.now, then).as_str() {
        age if age == format_seconds(0) => tr!("just now").into(),
        age => tr!("{age} ago"),
    }
}

/// Breaks text at spaces; a word that is too long is broken anywhere.
pub(crate) fn wrap_text(text: &str, columns: usize) -> Vec<String> {
    use textwrap::{Options, WordSeparator, WordSplitter};
    // Only at spaces: `[backup]` and `docker.io` are found by whoever looks for them.
    let options = Options::new(columns.max(8))
        .word_separator(WordSeparator::AsciiSpace)
        .word_splitter(WordSplitter::NoHyphenation);
    let lines = textwrap::wrap(text, options).into_iter();
    lines.map(std::borrow::Cow::into_owned).collect()
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

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_value_that_is_too_wide_goes_on_below_its_beginning() {
        let page = DetailPage::new(crate::linear::linear_theme())
            .heading("one")
            .field("place", "two words and three more of them");
        let lines = page.into_lines(30);
        let lines: Vec<String> = lines.iter().map(ToString::to_string).collect();
        assert_eq!(
            lines,
            [
                "one",
                "place         two words and",
                "              three more of",
                "              them",
            ]
        );
    }
}
