//! Colours and glyphs. No state is shown by colour alone: each has a glyph, and a word beside it.

use ratatui::style::{Color, Modifier, Style};
use ratatui::symbols::border;

use matou_config::{Colours, ThemeConfig};
use matou_monitor::AlertSeverity;

/// How well something is, as its colour and glyph show it.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub enum Health {
    Good,
    /// Over, or not in use; nothing is wrong.
    Ended,
    Unknown,
    Partly,
    Bad,
}

impl From<AlertSeverity> for Health {
    fn from(severity: AlertSeverity) -> Self {
        match severity {
            AlertSeverity::Warning => Self::Partly,
            AlertSeverity::Critical => Self::Bad,
        }
    }
}

/// What the console is drawn with.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Theme {
    /// Whether only ASCII is drawn.
    pub ascii: bool,
    /// Whether colours are used; without them attributes like bold and reverse remain.
    pub colour: bool,
}

impl Theme {
    /// The configured theme; `NO_COLOR` and a dumb terminal are honoured.
    pub fn from_config(config: &ThemeConfig) -> Self {
        let plain = std::env::var_os("NO_COLOR").is_some_and(|v| !v.is_empty())
            || std::env::var("TERM").is_ok_and(|t| t == "dumb");
        Self {
            ascii: config.ascii,
            colour: match config.colours {
                Colours::Auto => !plain,
                Colours::Always => true,
                Colours::Never => false,
            },
        }
    }

    fn foreground(self, colour: Color) -> Style {
        if self.colour {
            Style::new().fg(colour)
        } else {
            Style::new()
        }
    }

    /// Returns the style of a glyph or word that tells a health.
    pub fn health_style(self, health: Health) -> Style {
        match health {
            Health::Good => self.foreground(Color::Green),
            Health::Partly => self.foreground(Color::Yellow),
            Health::Bad => self.foreground(Color::Red).add_modifier(Modifier::BOLD),
            Health::Unknown | Health::Ended => self.dim(),
        }
    }

    /// Returns the glyph of a health, one column wide.
    pub fn health_glyph(self, health: Health) -> &'static str {
        match (health, self.ascii) {
            (Health::Good, false) => "●",
            (Health::Partly, false) => "◐",
            (Health::Bad, false) => "○",
            (Health::Unknown, _) => "?",
            (Health::Ended, false) => "·",
            (Health::Ended, true) => "-",
            (Health::Good, true) => "*",
            (Health::Partly, true) => "~",
            (Health::Bad, true) => "x",
        }
    }

    /// Headings and names of what is shown.
    pub fn title(self) -> Style {
        Style::new().add_modifier(Modifier::BOLD)
    }

    /// What has the focus.
    pub fn focus(self) -> Style {
        self.foreground(Color::Cyan).add_modifier(Modifier::BOLD)
    }

    /// Names of keys, and prompts.
    pub fn key(self) -> Style {
        self.foreground(Color::Cyan)
    }

    /// What is old, or of less weight.
    pub fn dim(self) -> Style {
        Style::new().add_modifier(Modifier::DIM)
    }

    /// The selected line of what has the focus, and the cursor in an input.
    pub fn selected(self) -> Style {
        Style::new().add_modifier(Modifier::REVERSED)
    }

    /// The selected line of a list that has not the focus.
    pub fn marked(self) -> Style {
        Style::new().add_modifier(Modifier::BOLD)
    }

    /// What comes anew, or went well.
    pub fn added(self) -> Style {
        self.foreground(Color::Green)
    }

    /// What becomes different, or is to be noticed.
    pub fn changed(self) -> Style {
        self.foreground(Color::Yellow)
    }

    /// What goes away, or failed.
    pub fn removed(self) -> Style {
        self.foreground(Color::Red)
    }

    /// What a search found in a text.
    pub fn match_style(self) -> Style {
        if self.colour {
            Style::new().fg(Color::Black).bg(Color::Yellow)
        } else {
            Style::new().add_modifier(Modifier::REVERSED)
        }
    }

    /// Stands where text was cut; one column.
    pub fn ellipsis(self) -> &'static str {
        if self.ascii { "~" } else { "…" }
    }

    /// Stands between facts on one line.
    pub fn separator(self) -> &'static str {
        if self.ascii { " - " } else { " · " }
    }

    /// One column of a horizontal line.
    pub fn rule(self) -> &'static str {
        if self.ascii { "-" } else { "─" }
    }

    /// Marks the manager that leads the swarm.
    pub fn leader_glyph(self) -> &'static str {
        if self.ascii { "!" } else { "★" }
    }

    /// Stands before the number of alerts.
    pub fn alert_glyph(self) -> &'static str {
        if self.ascii { "!" } else { "▲" }
    }

    /// Marks the selected line of a list.
    pub fn cursor_glyph(self) -> &'static str {
        if self.ascii { ">" } else { "▸" }
    }

    /// Stands between an old value and its new one.
    pub fn arrow(self) -> &'static str {
        if self.ascii { "->" } else { "→" }
    }

    /// Returns the mark before a row that has others below it.
    pub fn fold_glyph(self, open: bool) -> &'static str {
        match (open, self.ascii) {
            (true, false) => "▾",
            (false, false) => "▸",
            (true, true) => "v",
            (false, true) => ">",
        }
    }

    /// Filled and empty part of a progress bar.
    pub fn bar_glyphs(self) -> (&'static str, &'static str) {
        if self.ascii {
            ("#", ".")
        } else {
            ("▓", "░")
        }
    }

    /// Returns what turns beside a running job; `frame` counts the ticks.
    pub fn spinner_glyph(self, frame: u64) -> &'static str {
        let frames = if self.ascii {
            ["|", "/", "-", "\\"]
        } else {
            ["◜", "◝", "◞", "◟"]
        };
        frames[(frame % 4) as usize]
    }

    /// Eight heights of a sparkline.
    pub fn bar_heights(self) -> [&'static str; 8] {
        if self.ascii {
            ["_", ".", ".", "-", "-", "=", "=", "#"]
        } else {
            ["▁", "▂", "▃", "▄", "▅", "▆", "▇", "█"]
        }
    }

    /// The lines around panes and overlays.
    pub fn border(self) -> border::Set<'static> {
        if self.ascii {
            border::Set {
                top_left: "+",
                top_right: "+",
                bottom_left: "+",
                bottom_right: "+",
                vertical_left: "|",
                vertical_right: "|",
                horizontal_top: "-",
                horizontal_bottom: "-",
            }
        } else {
            border::ROUNDED
        }
    }

    /// Returns text in the characters that may be drawn: ASCII only where the theme says so.
    pub fn drawable_text(self, text: &str) -> String {
        if self.ascii {
            text.chars()
                .map(|c| match c {
                    '…' => '~',
                    '·' | '─' | '–' => '-',
                    '→' => '>',
                    '•' => '*',
                    c if c.is_ascii() => c,
                    _ => '?',
                })
                .collect()
        } else {
            text.to_owned()
        }
    }
}
