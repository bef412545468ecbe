//! Colours and glyphs. No state is shown by colour alone: each has a glyph, and a word beside it.

use matou_i18n::is_french;
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

impl Health {
    /// Whether somebody should look at it.
    pub fn is_problem(self) -> bool {
        matches!(self, Self::Partly | Self::Bad)
    }
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
    /// Whether colours are those for a light background.
    pub light: bool,
    /// Whether the terminal has 256 colours, with shades for what is filled.
    pub shades: bool,
}

/// Whether the terminal has 256 colours, by its own name and what it says of colours.
fn has_shades(variable: impl Fn(&str) -> Option<String>) -> bool {
    let truecolor = variable("COLORTERM").is_some_and(|v| v == "truecolor" || v == "24bit");
    truecolor || variable("TERM").is_some_and(|t| t.contains("256color") || t.contains("direct"))
}

/// Whether the terminal shows more than ASCII, by its own name and the locale (`LC_ALL` before `LC_CTYPE`
/// before `LANG`, POSIX 8.2). A locale that is not set leaves it open: it is often lost on the way of ssh.
fn shows_only_ascii(variable: impl Fn(&str) -> Option<String>) -> bool {
    let set = |name: &str| variable(name).filter(|v| !v.is_empty());
    // The console of Linux has a font of 256 or 512 characters.
    if set("TERM").is_some_and(|t| t == "linux" || t == "dumb") {
        return true;
    }
    let locale = ["LC_ALL", "LC_CTYPE", "LANG"].into_iter().find_map(set);
    locale.is_some_and(|l| {
        let l = l.to_ascii_lowercase();
        !l.contains("utf-8") && !l.contains("utf8")
    })
}

/// Whether a character is a letter or mark of French beyond ASCII.
fn is_french_char(c: char) -> bool {
    matches!(c, 'À'..='Ö' | 'Ø'..='ö' | 'ø'..='ÿ' | 'Œ' | 'œ' | 'Ÿ' | '«' | '»')
}

impl Theme {
    /// The configured theme; `NO_COLOR`, a dumb terminal and the locale are honoured. `light` is what the
    /// terminal said of its background.
    pub fn from_config(config: &ThemeConfig, light: bool) -> Self {
        let plain = std::env::var_os("NO_COLOR").is_some_and(|v| !v.is_empty())
            || std::env::var("TERM").is_ok_and(|t| t == "dumb");
        Self {
            ascii: config
                .ascii
                .unwrap_or_else(|| shows_only_ascii(|name| std::env::var(name).ok())),
            light: config.light.unwrap_or(light),
            shades: has_shades(|name| std::env::var(name).ok()),
            colour: match config.colours {
                Colours::Auto => !plain,
                Colours::Always => true,
                Colours::Never => false,
            },
        }
    }

    // On a dark background the terminal's own colours are taken, on a light one those of the 256 whose values
    // are the same everywhere: most palettes are too bright for white.

    fn green(self) -> Color {
        match self.light {
            true => Color::Indexed(22),
            false => Color::Green,
        }
    }

    fn yellow(self) -> Color {
        match self.light {
            true => Color::Indexed(94),
            false => Color::Yellow,
        }
    }

    fn red(self) -> Color {
        match self.light {
            true => Color::Indexed(124),
            false => Color::LightRed,
        }
    }

    fn cyan(self) -> Color {
        match self.light {
            true => Color::Indexed(25),
            false => Color::Cyan,
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
            Health::Good => self.foreground(self.green()),
            Health::Partly => self.foreground(self.yellow()),
            Health::Bad => self.foreground(self.red()).add_modifier(Modifier::BOLD),
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
        self.foreground(self.cyan()).add_modifier(Modifier::BOLD)
    }

    /// Names of keys, and prompts.
    pub fn key(self) -> Style {
        self.foreground(self.cyan())
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
        self.foreground(self.green())
    }

    /// What becomes different, or is to be noticed.
    pub fn changed(self) -> Style {
        self.foreground(self.yellow())
    }

    /// What goes away, or failed.
    pub fn removed(self) -> Style {
        self.foreground(self.red())
    }

    /// What tells the sources of mixed lines apart; one style for all where there are few colours.
    pub fn sources(self) -> [Style; 6] {
        let shades = match self.light {
            true => [25, 90, 22, 94, 124, 23],
            false => [75, 177, 114, 180, 209, 80],
        };
        match self.shades {
            true => shades.map(|n| self.foreground(Color::Indexed(n))),
            false => [self.dim(); 6],
        }
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
        if self.ascii { "L" } else { "★" }
    }

    /// Stands before the number of alerts.
    pub fn alert_glyph(self) -> &'static str {
        if self.ascii { "!" } else { "▲" }
    }

    /// Marks the selected line of a list.
    pub fn cursor_glyph(self) -> &'static str {
        if self.ascii { ">" } else { "▸" }
    }

    /// Marks a line that an action on several is about.
    pub fn mark_glyph(self) -> &'static str {
        if self.ascii { "+" } else { "✓" }
    }

    /// Stands before what a list is sorted by: upwards, or with the largest first.
    pub fn order_glyph(self, descending: bool) -> &'static str {
        match (descending, self.ascii) {
            (true, false) => "↓",
            (false, false) => "↑",
            (true, true) => "v",
            (false, true) => "^",
        }
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

    /// One column of the line that marks a limit in a chart.
    pub fn limit_rule(self) -> &'static str {
        if self.ascii { "-" } else { "┄" }
    }

    /// Returns the style of what is below the line of a chart; `None` where nothing is filled.
    pub fn fill(self) -> Option<Style> {
        let shade = match self.light {
            true => Color::Indexed(153),
            false => Color::Indexed(24),
        };
        (self.colour && self.shades).then(|| Style::new().fg(shade))
    }

    /// One column of what is below the line of a chart.
    pub fn fill_glyph(self) -> &'static str {
        if self.ascii { ":" } else { "█" }
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
                    // What has no more than ASCII's signs has letters: French is spoken only in UTF-8.
                    '\u{a0}' | '\u{202f}' if is_french() => ' ',
                    c if is_french() && is_french_char(c) => c,
                    _ => '?',
                })
                .collect()
        } else {
            text.to_owned()
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// The relative luminance of sRGB, WCAG 2.1.
    fn luminance(rgb: [u8; 3]) -> f64 {
        let [r, g, b] = rgb.map(|c| {
            let c = f64::from(c) / 255.0;
            match c <= 0.03928 {
                true => c / 12.92,
                false => ((c + 0.055) / 1.055).powf(2.4),
            }
        });
        0.2126 * r + 0.7152 * g + 0.0722 * b
    }

    fn contrast(one: [u8; 3], other: [u8; 3]) -> f64 {
        let (a, b) = (luminance(one), luminance(other));
        (a.max(b) + 0.05) / (a.min(b) + 0.05)
    }

    /// The values of xterm: its own for the first sixteen, the cube for the others.
    fn xterm(colour: Color) -> [u8; 3] {
        let step = |n: u8| if n == 0 { 0 } else { 55 + 40 * n };
        match colour {
            Color::Green => [0, 205, 0],
            Color::Yellow => [205, 205, 0],
            Color::LightRed => [255, 0, 0],
            Color::Cyan => [0, 205, 205],
            Color::Indexed(n @ 16..=231) => {
                let n = n - 16;
                [step(n / 36), step(n / 6 % 6), step(n % 6)]
            }
            other => panic!("{other:?} is no colour of a role"),
        }
    }

    #[test]
    fn every_role_can_be_read_on_dark_and_on_light() {
        for (light, background) in [(false, [0; 3]), (true, [255; 3])] {
            let theme = Theme {
                ascii: false,
                colour: true,
                light,
                shades: true,
            };
            let roles = [
                theme.focus(),
                theme.key(),
                theme.added(),
                theme.changed(),
                theme.removed(),
                theme.health_style(Health::Good),
                theme.health_style(Health::Partly),
                theme.health_style(Health::Bad),
            ];
            for role in roles.into_iter().chain(theme.sources()) {
                let colour = role.fg.expect("a role with a colour");
                let found = contrast(xterm(colour), background);
                assert!(found >= 4.5, "{colour:?}, light {light}: {found:.1}");
            }
        }
    }

    #[test]
    fn shades_are_drawn_where_there_are_256_colours() {
        let fills = |set: (&str, &str), colour| {
            let shades = has_shades(|name| (name == set.0).then(|| set.1.to_owned()));
            let theme = Theme {
                ascii: false,
                colour,
                light: false,
                shades,
            };
            theme.fill().is_some()
        };
        assert!(fills(("TERM", "xterm-256color"), true));
        assert!(fills(("COLORTERM", "truecolor"), true));
        assert!(!fills(("TERM", "xterm"), true));
        assert!(!fills(("TERM", "linux"), true));
        // NO_COLOR.
        assert!(!fills(("TERM", "xterm-256color"), false));
    }

    #[test]
    fn ascii_is_drawn_where_nothing_else_is_shown() {
        let ascii = |set: &[(&str, &str)]| {
            shows_only_ascii(|name| {
                let found = set.iter().find(|(n, _)| *n == name);
                found.map(|(_, v)| (*v).to_owned())
            })
        };
        assert!(!ascii(&[]));
        assert!(!ascii(&[
            ("LANG", "fr_FR.UTF-8"),
            ("TERM", "xterm-256color")
        ]));
        assert!(!ascii(&[("LC_ALL", ""), ("LANG", "C.utf8")]));
        assert!(ascii(&[("LANG", "C")]));
        assert!(ascii(&[("LC_ALL", "C"), ("LANG", "fr_FR.UTF-8")]));
        assert!(ascii(&[("LC_CTYPE", "POSIX"), ("LANG", "fr_FR.UTF-8")]));
        assert!(ascii(&[("TERM", "linux"), ("LANG", "fr_FR.UTF-8")]));
        assert!(ascii(&[("TERM", "dumb")]));
    }
}
