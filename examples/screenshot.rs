//! Draws the console's real screens as SVGs, dark and light, in English and French:
//! `screenshot MATOU CONFIG FOLDER`.

#[path = "../tests/support/pty.rs"]
#[allow(dead_code, reason = "it uses a part of it")]
mod pty;

use std::fmt::Write as _;
use std::path::Path;
use std::time::Duration;

use color_eyre::eyre::{Result, bail};
use pty::Pty;

const SIZE: (u16, u16) = (120, 36);
const SOON: Duration = Duration::from_secs(60);

/// Width and height of a character, pixels.
const CELL: (f32, f32) = (8.4, 17.0);

/// What a terminal's own colours look like.
struct Palette {
    name: &'static str,
    background: &'static str,
    foreground: &'static str,
    named: [&'static str; 16],
}

const DARK: Palette = Palette {
    name: "dark",
    background: "#16181d",
    foreground: "#d7dae0",
    named: [
        "#3b4048", "#e06c75", "#98c379", "#e5c07b", "#61afef", "#c678dd", "#56b6c2", "#d7dae0",
        "#5c6370", "#e06c75", "#98c379", "#e5c07b", "#61afef", "#c678dd", "#56b6c2", "#ffffff",
    ],
};

const LIGHT: Palette = Palette {
    name: "light",
    background: "#ffffff",
    foreground: "#24292f",
    named: [
        "#24292f", "#cf222e", "#116329", "#4d2d00", "#0969da", "#8250df", "#1b7c83", "#6e7781",
        "#57606a", "#a40e26", "#1a7f37", "#633c01", "#218bff", "#a475f9", "#3192aa", "#8c959f",
    ],
};

/// A language: what files of it end in, and what the plan of the screens says in it.
struct Language {
    word: &'static str,
    ending: &'static str,
    plan: &'static str,
}

const LANGUAGES: [Language; 2] = [
    Language {
        word: "en",
        ending: "",
        plan: "Go on?",
    },
    Language {
        word: "fr",
        ending: ".fr",
        plan: "Continuer",
    },
];

fn main() -> Result<()> {
    let arguments: Vec<String> = std::env::args().skip(1).collect();
    let [matou, config, folder] = arguments.as_slice() else {
        bail!("usage: screenshot MATOU CONFIG FOLDER");
    };
    let (config, folder) = (Path::new(config), Path::new(folder));
    let deploys = [
        ("blog", "REPLICAS=2"),
        ("shop", "REPLICAS=3"),
        ("wiki", "IMAGE=matou/wiki:1"),
    ];
    for (app, variable) in deploys {
        std::process::Command::new(matou)
            .arg("--config")
            .arg(config)
            .args(["deploy", "hello", app, variable, "--yes"])
            .output()?;
    }
    // The pseudo-terminal starts elsewhere.
    let matou = std::path::absolute(matou)?;
    for palette in [&DARK, &LIGHT] {
        for language in &LANGUAGES {
            draw_screens(&matou, config, folder, palette, language)?;
        }
    }
    Ok(())
}

/// Writes a picture of each main screen.
fn draw_screens(
    matou: &Path,
    config: &Path,
    folder: &Path,
    palette: &Palette,
    language: &Language,
) -> Result<()> {
    let text = std::fs::read_to_string(config)?;
    let (light, word) = (palette.name == "light", language.word);
    let own = config.with_file_name("screenshot.toml");
    std::fs::write(
        &own,
        format!("{text}\n[theme]\nlight = {light}\nlanguage = \"{word}\"\n"),
    )?;
    let program = matou.to_string_lossy();
    let args = ["--config", &own.to_string_lossy()];
    let mut pty = Pty::start(&program, &args, &[], SIZE.0, SIZE.1);
    let write = |pty: &Pty, screen: &str| {
        let file = folder.join(format!("{screen}-{}{}.svg", palette.name, language.ending));
        std::fs::write(&file, pty.with_screen(|screen| svg(screen, palette)))?;
        println!("{}", file.display());
        Ok::<_, std::io::Error>(())
    };
    pty.wait_for("3/3 ", SOON);
    // Some figures of load, and the first answers.
    std::thread::sleep(Duration::from_secs(6));
    write(&pty, "dashboard")?;
    pty.send("2/shop\r");
    std::thread::sleep(Duration::from_secs(2));
    write(&pty, "application")?;
    pty.send("s");
    std::thread::sleep(Duration::from_millis(500));
    pty.send("\x7f5\r");
    pty.wait_for(language.plan, SOON);
    write(&pty, "plan")?;
    pty.send("n");
    std::thread::sleep(Duration::from_millis(500));
    pty.send("\x03");
    drop(pty);
    Ok(std::fs::remove_file(own)?)
}

fn svg(screen: &vt100::Screen, palette: &Palette) -> String {
    let (width, height) = (
        f32::from(SIZE.0) * CELL.0 + 24.0,
        f32::from(SIZE.1) * CELL.1 + 24.0,
    );
    let mut svg = format!(
        "<svg xmlns=\"http://www.w3.org/2000/svg\" viewBox=\"0 0 {width:.0} {height:.0}\" font-family=\"'DejaVu Sans Mono','Menlo','Consolas',monospace\" font-size=\"14\">\n\
         <rect width=\"100%\" height=\"100%\" rx=\"8\" fill=\"{}\"/>\n",
        palette.background
    );
    for row in 0..SIZE.1 {
        let mut column = 0;
        while column < SIZE.0 {
            let Some(cell) = screen.cell(row, column) else {
                break;
            };
            let style = style(cell, palette);
            let start = column;
            let mut text = String::new();
            while column < SIZE.0
                && let Some(next) = screen.cell(row, column)
                && self::style(next, palette) == style
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

fn style(cell: &vt100::Cell, palette: &Palette) -> Style {
    let mut foreground =
        colour(cell.fgcolor(), palette).unwrap_or_else(|| palette.foreground.into());
    let mut background = colour(cell.bgcolor(), palette);
    if cell.inverse() {
        let back = background.unwrap_or_else(|| palette.background.into());
        background = Some(std::mem::replace(&mut foreground, back));
    }
    Style {
        foreground,
        background,
        bold: cell.bold(),
        dim: cell.dim(),
    }
}

fn colour(colour: vt100::Color, palette: &Palette) -> Option<String> {
    match colour {
        vt100::Color::Default => None,
        vt100::Color::Idx(i @ 0..16) => Some(palette.named[usize::from(i)].to_owned()),
        // A cube of six steps, then greys.
        vt100::Color::Idx(i @ 16..232) => {
            let step = |by: u8| match (i - 16) / by % 6 {
                0 => 0,
                n => 55 + 40 * n,
            };
            Some(format!("#{:02x}{:02x}{:02x}", step(36), step(6), step(1)))
        }
        vt100::Color::Idx(i) => {
            let grey = 8 + 10 * (i - 232);
            Some(format!("#{grey:02x}{grey:02x}{grey:02x}"))
        }
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
