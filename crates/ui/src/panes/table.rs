//! Tables of a detail: each column is as wide as what stands in it.

use ratatui::style::Style;
use ratatui::text::{Line, Span};

use super::page::wrap_text;
use crate::theme::Theme;
use matou_base::text::{clean_line, display_width, truncate_middle};

/// Columns that every column keeps, where there is too little room for all.
const LEAST_COLUMNS: usize = 6;

/// A table under construction.
pub(super) struct Table {
    theme: Theme,
    rows: Vec<Row>,
}

enum Row {
    Cells(Vec<(String, Style)>),
    /// What is told of the row above, over all columns.
    Note(String, Style),
}

impl Table {
    pub(super) fn new(theme: Theme) -> Self {
        let rows = Vec::new();
        Self { theme, rows }
    }

    pub(super) fn heads(self, heads: &[&str]) -> Self {
        let dim = self.theme.dim();
        self.row(heads.iter().map(|h| ((*h).to_owned(), dim)).collect())
    }

    pub(super) fn row(mut self, cells: Vec<(String, Style)>) -> Self {
        let clean = |(text, style): (String, Style)| {
            let text = self.theme.drawable_text(&clean_line(&text));
            (text, style)
        };
        let cells = cells.into_iter().map(clean).collect();
        self.rows.push(Row::Cells(cells));
        self
    }

    pub(super) fn note(mut self, text: &str, style: Style) -> Self {
        let text = self.theme.drawable_text(&clean_line(text));
        self.rows.push(Row::Note(text, style));
        self
    }

    /// The lines, none of them wider than `columns` where there is any room; what is too long is cut in its middle, for names differ
    /// at their ends.
    pub(super) fn into_lines(self, columns: usize) -> Vec<Line<'static>> {
        let widths = self.measure_columns(columns);
        let ellipsis = self.theme.ellipsis();
        let mut lines = Vec::new();
        for row in self.rows {
            let cells = match row {
                Row::Cells(cells) => cells,
                Row::Note(text, style) => {
                    let wrapped = wrap_text(&text, columns);
                    lines.extend(wrapped.into_iter().map(|l| Line::styled(l, style)));
                    continue;
                }
            };
            let last = cells.len().saturating_sub(1);
            let spans = cells.into_iter().zip(&widths).enumerate();
            let spans = spans.map(|(at, ((text, style), width))| {
                let mut text = truncate_middle(&text, *width, ellipsis).into_owned();
                if at < last {
                    let gap = width + 2 - display_width(&text).min(*width);
                    text.extend(std::iter::repeat_n(' ', gap));
                }
                Span::styled(text, style)
            });
            lines.push(spans.collect());
        }
        lines
    }

    /// How wide each column is. While all are too wide for the room, the widest gives up.
    fn measure_columns(&self, columns: usize) -> Vec<usize> {
        let mut widths: Vec<usize> = Vec::new();
        for row in &self.rows {
            let Row::Cells(cells) = row else { continue };
            widths.resize(widths.len().max(cells.len()), 0);
            for (width, (text, _)) in widths.iter_mut().zip(cells) {
                *width = (*width).max(display_width(text));
            }
        }
        let gaps = 2 * widths.len().saturating_sub(1);
        while widths.iter().sum::<usize>() + gaps > columns {
            match widths.iter_mut().max() {
                Some(widest) if *widest > LEAST_COLUMNS => *widest -= 1,
                _ => break,
            }
        }
        widths
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn drawn(cells: [[&str; 3]; 2], columns: usize) -> Vec<String> {
        let rows = cells.map(|row| row.map(|c| (c.to_owned(), Style::new())).to_vec());
        let table = rows
            .into_iter()
            .fold(Table::new(crate::linear::linear_theme()), Table::row);
        let lines = table.into_lines(columns);
        lines.iter().map(ToString::to_string).collect()
    }

    #[test]
    fn columns_are_as_wide_as_what_they_hold() {
        let cells = [
            ["task", "node", "since"],
            ["boulangerie-dupont_web.12", "n1", "8 min"],
        ];
        assert_eq!(
            drawn(cells, 60),
            [
                "task                       node  since",
                "boulangerie-dupont_web.12  n1    8 min",
            ]
        );
        // The task's number stays.
        assert_eq!(
            drawn(cells, 30),
            [
                "task               node  since",
                "boula~pont_web.12  n1    8 min",
            ]
        );
    }
}
