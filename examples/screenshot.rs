//! Draws the console's real screen as an SVG: `screenshot MATOU CONFIG OUT`.

#[path = "../tests/support/pty.rs"]
#[allow(dead_code, reason = "it uses a part of it")]
mod pty;

use std::fmt::Write as _;
use std::time::Duration;

use color_eyre::eyre::{Result, bail};
use pty::Pty;

const SIZE: (u16, u16) = (120, 36);
const SOON: Duration = Duration::from_secs(60);

/// Width and height of a character, pixels.
const CELL: (f32, f32) = (8.4, 17.0);
const BACKGROUND: &str = "#16181d";
const FOREGROUND: &str = "#d7dae0";

fn main() -> Result<()> {
    let arguments: Vec<String> = std::env::args().skip(1).collect();
    let [matou, config, out] = arguments.as_slice() else {
        bail!("usage: screenshot MATOU CONFIG OUT");
    };
    for (app, variable) in [("blog", "REPLICAS=2"), ("shop", "REPLICAS=3")] {
        std::process::Command::new(matou)
            .args([
                "--config", config, "deploy", "hello", app, variable, "--yes",
            ])
            .output()?;
    }
    // The pseudo-terminal starts elsewhere.
    let matou = std::path::absolute(matou)?;
    let mut pty = Pty::start(
        &matou.to_string_lossy(),
        &["--config", config],
        &[],
        SIZE.0,
        SIZE.1,
    );
    pty.wait_for("3/3 nodes", SOON);
    // Open an application and one of its services, and let some load be drawn.
    pty.send("2\r");
    std::thread::sleep(Duration::from_secs(4));
    pty.send("j\r");
    std::thread::sleep(Duration::from_secs(1));
    let picture = pty.with_screen(svg);
    pty.send("q");
    std::fs::write(out, picture)?;
    println!("{out}");
    Ok(())
}

fn svg(screen: &vt100::Screen) -> String {
    let (width, height) = (
        f32::from(SIZE.0) * CELL.0 + 24.0,
        f32::from(SIZE.1) * CELL.1 + 24.0,
    );
    let mut svg = format!(
        "<svg xmlns=\"http://www.w3.org/2000/svg\" viewBox=\"0 0 {width:.0} {height:.0}\" font-family=\"'DejaVu Sans Mono','Menlo','Consolas',monospace\" font-size=\"14\">\n\
         <rect width=\"100%\" height=\"100%\" rx=\"8\" fill=\"{BACKGROUND}\"/>\n"
    );
    for row in 0..SIZE.1 {
        let mut column = 0;
        while column < SIZE.0 {
            let Some(cell) = screen.cell(row, column) else {
                break;
            };
            let style = style(cell);
            let start = column;
            let mut text = String::new();
            while column < SIZE.0
                && let Some(next) = screen.cell(row, column)
                && self::style(next) == style
            {
                text.push_str(if next.has_contents() {
                    next.contents()
                } else {
                    " "
                });
                column += 1;
            }
            run(&mut svg, row, start, &text, &style);
        }
    }
    svg.push_str("</svg>\n");
    svg
}

#[derive(PartialEq)]
struct Style {
    foreground: String,
    background: Option<String>,
    bold: bool,
    dim: bool,
}

fn style(cell: &vt100::Cell) -> Style {
    let mut foreground = colour(cell.fgcolor()).unwrap_or_else(|| FOREGROUND.into());
    let mut background = colour(cell.bgcolor());
    if cell.inverse() {
        let back = background.unwrap_or_else(|| BACKGROUND.into());
        background = Some(std::mem::replace(&mut foreground, back));
    }
    Style {
        foreground,
        background,
        bold: cell.bold(),
        dim: cell.dim(),
    }
}

fn colour(colour: vt100::Color) -> Option<String> {
    const NAMED: [&str; 16] = [
        "#3b4048", "#e06c75", "#98c379", "#e5c07b", "#61afef", "#c678dd", "#56b6c2", "#d7dae0",
        "#5c6370", "#e06c75", "#98c379", "#e5c07b", "#61afef", "#c678dd", "#56b6c2", "#ffffff",
    ];
    match colour {
        vt100::Color::Default => None,
        vt100::Color::Idx(i) => NAMED.get(usize::from(i)).map(|c| (*c).to_owned()),
        vt100::Color::Rgb(r, g, b) => Some(format!("#{r:02x}{g:02x}{b:02x}")),
    }
}

fn run(svg: &mut String, row: u16, column: u16, text: &str, style: &Style) {
    let (x, y) = (
        f32::from(column) * CELL.0 + 12.0,
        f32::from(row) * CELL.1 + 12.0,
    );
    let width = text.chars().count() as f32 * CELL.0;
    // Writing to a String can't fail.
    if let Some(background) = &style.background {
        let _ = writeln!(
            svg,
            "<rect x=\"{x:.1}\" y=\"{y:.1}\" width=\"{width:.1}\" height=\"{:.1}\" fill=\"{background}\"/>",
            CELL.1
        );
    }
    if text.trim().is_empty() {
        return;
    }
    let escaped = text
        .replace('&', "&amp;")
        .replace('<', "&lt;")
        .replace('>', "&gt;");
    let weight = if style.bold {
        " font-weight=\"bold\""
    } else {
        ""
    };
    let opacity = if style.dim { " opacity=\"0.6\"" } else { "" };
    let _ = writeln!(
        svg,
        "<text x=\"{x:.1}\" y=\"{:.1}\" fill=\"{}\" textLength=\"{width:.1}\" xml:space=\"preserve\"{weight}{opacity}>{escaped}</text>",
        y + 13.0,
        style.foreground
    );
}
