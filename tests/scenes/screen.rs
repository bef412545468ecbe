//! What holds of every screen: whole boxes, nothing cut without a sign of it, a line of keys that leads on.

use matou::ui::fixture::THEME;
use matou::ui::linear::take_line;
use ratatui::buffer::Buffer;

use super::{DASHBOARD_SCENES, SCENES, SIZES, Scene, buffer};

/// What boxes are drawn with.
const CORNERS_AND_SIDES: [char; 5] = ['╭', '╮', '╰', '╯', '│'];

/// By how many columns a screen is wider on which a text is looked for whole: the same screen with a little more
/// room, and one with much more.
const WIDER: [u16; 2] = [2, 40];

/// Texts that are shorter are found anywhere.
const LEAST_TEXT: usize = 4;

/// A box: its border's first and last columns and rows.
#[derive(Debug, Clone, Copy)]
struct Outline {
    left: usize,
    top: usize,
    right: usize,
    bottom: usize,
}

impl Outline {
    fn holds(&self, other: &Self) -> bool {
        self.left <= other.left
            && self.top <= other.top
            && self.right >= other.right
            && self.bottom >= other.bottom
    }

    fn covers(&self, (x, y): (usize, usize)) -> bool {
        (self.left..=self.right).contains(&x) && (self.top..=self.bottom).contains(&y)
    }
}

/// The cells of a screen.
struct Screen(Vec<Vec<String>>);

impl Screen {
    fn of(buffer: &Buffer) -> Self {
        let width = usize::from(buffer.area.width);
        let rows = buffer.content.chunks(width);
        let rows = rows.map(|row| row.iter().map(|cell| cell.symbol().to_owned()).collect());
        Self(rows.collect())
    }

    fn at(&self, x: usize, y: usize) -> &str {
        &self.0[y][x]
    }

    fn rows(&self) -> Vec<String> {
        self.0.iter().map(|row| row.concat()).collect()
    }

    /// The boxes that have two upper corners, and the columns and rows of those that lack the right one.
    fn outlines(&self) -> (Vec<Outline>, Vec<(usize, usize)>) {
        let mut found = Vec::new();
        let mut alone = Vec::new();
        for (top, row) in self.0.iter().enumerate() {
            let mut open = Vec::new();
            for (x, symbol) in row.iter().enumerate() {
                if symbol == "╭" {
                    open.push(x);
                } else if symbol == "╮"
                    && let Some(left) = open.pop()
                {
                    let mut below = self.0.iter().enumerate().skip(top + 1);
                    let end = below.find(|(_, row)| row[left] != "│");
                    let bottom = end.map_or(self.0.len(), |(y, _)| y);
                    // A folded one is a title alone.
                    if bottom > top + 1 {
                        found.push(Outline {
                            left,
                            top,
                            right: x,
                            bottom,
                        });
                    }
                }
            }
            alone.extend(open.into_iter().map(|x| (x, top)));
        }
        (found, alone)
    }

    /// Where a box is not whole.
    fn gap(&self, of: &Outline) -> Option<(usize, usize)> {
        let mut sides = of.top + 1..of.bottom;
        if let Some(y) = sides.find(|y| self.at(of.right, *y) != "│") {
            return Some((of.right, y));
        }
        let corner = |x: usize, corner: &str| {
            let row = self.0.get(of.bottom);
            row.is_none_or(|row| row[x] != corner)
        };
        match (corner(of.left, "╰"), corner(of.right, "╯")) {
            (true, _) => Some((of.left, of.bottom)),
            (_, true) => Some((of.right, of.bottom)),
            _ => None,
        }
    }

    /// The boxes that lie above all others, and what is wrong with the others beside what those cover.
    fn whole_boxes(&self) -> (Vec<Outline>, Vec<String>) {
        let (all, alone) = self.outlines();
        let (mut whole, mut broken) = (Vec::new(), Vec::new());
        for outline in all {
            match self.gap(&outline) {
                None => whole.push(outline),
                Some(gap) => broken.push((outline, gap)),
            }
        }
        // The line of keys may lie over the last row of a box that is below another one.
        let last = self.0.len() - 1;
        let keys_over = |(outline, gap): &(Outline, (usize, usize))| {
            gap.1 == last && whole.iter().any(|above| outline.holds(above))
        };
        let covering: Vec<Outline> = whole
            .iter()
            .chain(broken.iter().filter(|b| keys_over(b)).map(|(o, _)| o))
            .copied()
            .collect();
        let mut problems = Vec::new();
        for (outline, gap) in broken.iter().filter(|b| !keys_over(b)) {
            let is_covered = covering.iter().filter(|c| !c.holds(outline)).any(|c| {
                let crosses = (c.top..=c.bottom).contains(&outline.top)
                    && c.left <= outline.right
                    && c.right >= outline.left;
                c.covers(*gap) || crosses
            });
            if !is_covered {
                problems.push(format!("{outline:?} has a gap at {gap:?}"));
            }
        }
        for (x, y) in alone {
            let is_covered = covering
                .iter()
                .any(|c| (c.top..=c.bottom).contains(&y) && c.right > x);
            if !is_covered {
                problems.push(format!("no corner on the right of {:?}", (x, y)));
            }
        }
        // What stands in a border has a blank, or a piece of it, on both sides.
        for outline in &whole {
            for y in [outline.top, outline.bottom] {
                for x in [outline.left + 1, outline.right - 1] {
                    let mut others = covering.iter().filter(|c| !c.holds(outline));
                    let covered = others.any(|c| c.covers((x, y)));
                    if !covered && ![" ", "─", "…"].contains(&self.at(x, y)) {
                        let text = self.0[y][outline.left..=outline.right].concat();
                        problems.push(format!("text at a corner: {text}"));
                    }
                }
            }
        }
        (whole, problems)
    }

    /// What may be cut: the lines of boxes, and those outside of any, each with what stands before it and the
    /// line below.
    fn lines(&self, whole: &[Outline]) -> Vec<(String, &'static str, String)> {
        let text = |y: usize, of: &Outline| self.0[y][of.left + 1..of.right].concat();
        let mut lines = Vec::new();
        for of in whole {
            for y in of.top + 1..of.bottom {
                let below = match y + 1 < of.bottom {
                    true => text(y + 1, of),
                    false => String::new(),
                };
                lines.push((text(y, of), "│", below));
            }
        }
        lines.extend(self.rows().into_iter().map(|row| (row, "", String::new())));
        lines.retain(|(line, ..)| !line.contains(CORNERS_AND_SIDES));
        lines
    }
}

/// Finds a line that ends at its box's end, and goes on where there is more room. One that was wrapped goes on in
/// the line below.
fn find_cut((line, before, below): &(String, &str, String), wider: &[String]) -> Option<String> {
    // Within a border there may be a blank.
    let line = line.strip_suffix(' ').unwrap_or(line);
    let last = line.chars().last()?;
    // Curves and rules are as wide as there is room.
    let is_drawn = ('\u{2500}'..='\u{28ff}').contains(&last);
    if last == ' ' || last == '…' || is_drawn || line.trim().chars().count() < LEAST_TEXT {
        return None;
    }
    let looked_for = format!("{before}{line}");
    wider.iter().find_map(|row| {
        let at = match before.is_empty() {
            true => row.starts_with(&looked_for).then_some(0),
            false => row.find(&looked_for),
        };
        let rest = &row[at? + looked_for.len()..];
        // Behind the last line of a box there may be the next words, which are not in sight.
        if rest.starts_with(' ') && below.is_empty() && !before.is_empty() {
            return None;
        }
        let rest = rest.strip_prefix(' ').unwrap_or(rest);
        let ends = |c: char| c == ' ' || c == '…' || c == '─' || CORNERS_AND_SIDES.contains(&c);
        let word = rest.split(ends).next().unwrap_or("");
        let beginning: String = word.chars().take(2).collect();
        let wrapped = below.trim_start().starts_with(&beginning);
        (!word.is_empty() && !wrapped).then(|| format!("{looked_for:?} goes on: {word:?}"))
    })
}

fn list_problems(scene: &Scene, size: (u16, u16)) -> Vec<String> {
    let (_, make) = scene;
    let mut app = make(THEME);
    let screen = Screen::of(&buffer(&mut app, size));
    let (whole, mut problems) = screen.whole_boxes();
    let lines = screen.lines(&whole);
    for more in WIDER {
        let wider = buffer(&mut make(THEME), (size.0 + more, size.1));
        let wider = Screen::of(&wider).rows();
        problems.extend(lines.iter().filter_map(|line| find_cut(line, &wider)));
    }
    let last = screen.rows().pop().unwrap_or_default();
    let has_help = last.split([' ', '╰', '╯', '─']).any(|word| word == "?");
    // What is typed is text, a `?` too.
    let typing = take_line(&app, "=x").is_ok();
    if has_help == typing {
        problems.push(format!("typing: {typing}, the last line is {last:?}"));
    }
    problems
}

/// Lists what is wrong with the screens of all scenes at all sizes, in the language that is spoken.
pub(crate) fn list_screen_problems() -> Vec<String> {
    let mut problems = Vec::new();
    for scene in SCENES.iter().chain(DASHBOARD_SCENES) {
        for size in SIZES {
            let found = list_problems(scene, size).into_iter();
            problems.extend(found.map(|why| format!("{} {}x{}: {why}", scene.0, size.0, size.1)));
        }
    }
    problems
}
