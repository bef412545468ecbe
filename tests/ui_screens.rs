//! Every pane and overlay, drawn at four sizes and compared with the snapshots.

mod scenes;

use matou::model::{Datum, Update};
use matou::text::SafeText;
use matou::ui::fixture::{self, NOW, THEME};
use matou::ui::{Msg, Theme, update, view};
use ratatui::Terminal;
use ratatui::backend::TestBackend;
use ratatui::buffer::Buffer;
use ratatui::style::Color;
use scenes::{
    DASHBOARD_SCENES, SCENES, SIZES, buffer, dashboard, list_screen_problems, on, press, with_load,
};

#[test]
fn every_scene_at_every_size() {
    for (name, scene) in SCENES.iter().chain(DASHBOARD_SCENES) {
        for size in SIZES {
            let mut app = scene(THEME);
            let (width, height) = size;
            let mut terminal = Terminal::new(TestBackend::new(width, height)).expect("a backend");
            let mut layout = None;
            terminal
                .draw(|f| layout = Some(view(&app, f)))
                .expect("drawn");
            app.take_layout(layout.expect("a layout"));
            insta::assert_snapshot!(format!("{name}_{width}x{height}"), terminal.backend());
        }
    }
}

#[test]
fn what_is_selected_on_the_dashboard_is_to_be_seen_on_the_smallest_screen() {
    for (name, scene) in DASHBOARD_SCENES {
        let mut app = scene(THEME);
        // What is selected is to be seen, wherever it is.
        for _ in 0..30 {
            let drawn = buffer(&mut app, (40, 12));
            let selected = |cell: &ratatui::buffer::Cell| {
                cell.modifier.contains(ratatui::style::Modifier::REVERSED)
            };
            assert!(drawn.content.iter().any(selected), "{name}");
            press(&mut app, "j");
        }
    }
}

/// Finds the boxes of a screen by their corners. Folded ones have a title alone.
fn boxes(buffer: &Buffer) -> Vec<ratatui::layout::Rect> {
    let (width, height) = (buffer.area.width, buffer.area.height);
    let at = |x: u16, y: u16| buffer[(x, y)].symbol();
    let mut found = Vec::new();
    for y in 0..height {
        for x in (0..width).filter(|x| at(*x, y) == "╭") {
            let right = (x..width).find(|r| at(*r, y) == "╮").expect("a corner");
            let bottom = (y + 1..height).find(|b| at(x, *b) != "│");
            let bottom = bottom.expect("an end");
            if bottom > y + 1 {
                found.push(ratatui::layout::Rect::new(
                    x,
                    y,
                    right + 1 - x,
                    bottom + 1 - y,
                ));
            }
        }
    }
    found
}

#[test]
fn no_text_of_the_dashboard_crosses_a_border_and_none_is_cut_without_an_ellipsis() {
    let evil = "日本語\u{202e}evil\u{1b}[2J name".repeat(20);
    let scene = |keys: &str| {
        let mut app = dashboard(THEME, "");
        let mut swarm = fixture::example_fleet()
            .swarm
            .value()
            .expect("read")
            .clone();
        for service in &mut swarm.services {
            service.name = format!("{}{evil}", service.name);
            service.stack = service.stack.as_ref().map(|s| format!("{s}{evil}"));
        }
        for task in &mut swarm.tasks {
            task.error.clone_from(&evil);
        }
        let datum = Datum::Swarm(Ok(swarm));
        update(&mut app, Msg::Fleet(Update { at: NOW, datum }), NOW);
        let datum = Datum::Backups(Err(SafeText::from_line(&evil)));
        update(&mut app, Msg::Fleet(Update { at: NOW, datum }), NOW);
        press(&mut app, keys);
        app
    };
    for keys in ["", "\t", "\t\t", "\t\t\t", "G"] {
        for size in [
            (40, 12),
            (40, 24),
            (80, 24),
            (109, 30),
            (120, 40),
            (160, 48),
            (200, 60),
        ] {
            let drawn = buffer(&mut scene(keys), size);
            let found = boxes(&drawn);
            assert!(!found.is_empty(), "{keys:?} {size:?}");
            for area in found {
                let (right, bottom) = (area.right() - 1, area.bottom() - 1);
                for y in area.y + 1..bottom {
                    assert_eq!(drawn[(right, y)].symbol(), "│", "{keys:?} {size:?} {area}");
                    let line: String = (area.x + 1..right)
                        .map(|x| drawn[(x, y)].symbol())
                        .collect();
                    // A name that has no room says that it goes on.
                    if line.contains("日本") {
                        assert!(line.contains('…'), "{keys:?} {size:?}: {line}");
                    }
                }
                assert_eq!(drawn[(area.x, bottom)].symbol(), "╰", "{keys:?} {size:?}");
                assert_eq!(drawn[(right, bottom)].symbol(), "╯", "{keys:?} {size:?}");
            }
        }
    }
}

#[test]
fn ascii_scenes_hold_nothing_outside_ascii() {
    let theme = Theme {
        ascii: true,
        colour: true,
        light: false,
        shades: true,
    };
    for (name, scene) in SCENES.iter().chain(DASHBOARD_SCENES) {
        for size in SIZES {
            let buffer = buffer(&mut scene(theme), size);
            for cell in &buffer.content {
                assert!(cell.symbol().is_ascii(), "{name}: {:?}", cell.symbol());
            }
        }
    }
}

#[test]
fn colourless_scenes_hold_no_colour() {
    let theme = Theme {
        ascii: false,
        colour: false,
        light: false,
        shades: true,
    };
    for (name, scene) in SCENES.iter().chain(DASHBOARD_SCENES) {
        let buffer = buffer(&mut scene(theme), SIZES[2]);
        for cell in &buffer.content {
            let plain = cell.fg == Color::Reset && cell.bg == Color::Reset;
            assert!(plain, "{name}: {cell:?}");
        }
    }
}

#[test]
fn hostile_names_neither_reach_the_terminal_nor_break_columns() {
    let evil = "\u{1b}[2J\u{1b}]0;x\u{7}evil\n\u{202e}日本語\u{9b}31m".repeat(200);
    let mut fleet = fixture::example_fleet();
    let mut swarm = fleet.swarm.value().expect("read").clone();
    for service in &mut swarm.services {
        service.name.clone_from(&evil);
        service.stack = Some(evil.clone());
        service.image.clone_from(&evil);
        service.domains = vec![evil.clone()];
    }
    for task in &mut swarm.tasks {
        task.error.clone_from(&evil);
        task.state = evil.clone().into();
    }
    for node in &mut swarm.nodes {
        node.hostname = format!("{}{evil}", node.hostname);
        node.message.clone_from(&evil);
        node.state = evil.clone().into();
    }
    let datum = Datum::Swarm(Ok(swarm));
    fleet.apply(Update { at: NOW, datum });
    for keys in [
        "2",
        "2\nj\nj\nj",
        "1jjj",
        "1j]",
        "2]]",
        "a",
        "3",
        "2x",
        "2s",
    ] {
        for size in SIZES {
            let mut app = fixture::example_app(fleet.clone(), THEME);
            press(&mut app, keys);
            let buffer = buffer(&mut app, size);
            for cell in &buffer.content {
                let text = cell.symbol();
                assert!(!text.chars().any(char::is_control), "{keys}: {text:?}");
                assert!(!text.contains('\u{202e}'), "{keys}: {text:?}");
            }
            // The frame's right border stands where it should.
            let right = buffer[(size.0 - 1, 2)].symbol();
            assert!(
                "│╮╯".contains(right) || keys == "a",
                "{keys} {size:?}: {right:?}"
            );
        }
    }
}

#[test]
fn charts_are_filled_where_there_are_shades_and_plain_elsewhere() {
    let drawn = |colour, shades, ascii| {
        let theme = Theme {
            ascii,
            colour,
            light: false,
            shades,
        };
        buffer(&mut with_load(theme, "t"), (120, 40))
    };
    let filled = |b: &Buffer| b.content.iter().any(|c| c.fg == Color::Indexed(24));
    let shows = |b: &Buffer, text: &str| {
        let rows = b.content.chunks(usize::from(b.area.width));
        rows.map(|r| {
            r.iter()
                .map(ratatui::buffer::Cell::symbol)
                .collect::<String>()
        })
        .any(|line| line.contains(text))
    };
    assert!(filled(&drawn(true, true, false)));
    for (colour, shades, ascii) in [
        (true, false, false),
        (false, true, false),
        (false, false, true),
    ] {
        let plain = drawn(colour, shades, ascii);
        assert!(!filled(&plain), "{colour} {shades} {ascii}");
        for text in ["100 %", "  0 %", "12:00", "limit 95 %", "63 % now"] {
            assert!(shows(&plain, text), "{text} {colour} {shades} {ascii}");
        }
        let limit = if ascii {
            "----------"
        } else {
            "┄┄┄┄┄┄┄┄┄┄"
        };
        assert!(shows(&plain, limit), "{colour} {shades} {ascii}");
    }
}

#[test]
fn a_screen_that_is_too_small_says_so() {
    for size in [(20, 5), (39, 24), (80, 9), (1, 1)] {
        let buffer = buffer(&mut on(THEME, ""), size);
        let first: String = (0..size.0).map(|x| buffer[(x, 0)].symbol()).collect();
        assert!(
            "matou needs 40x10".starts_with(first.trim_end()),
            "{first:?}"
        );
    }
}

/// No text lies over a border, nothing is cut without an ellipsis, and no line of keys lacks the help but where
/// text is typed.
#[test]
fn every_screen_is_whole_and_leads_on() {
    let problems = list_screen_problems();
    assert!(problems.is_empty(), "{}", problems.join("\n"));
}
