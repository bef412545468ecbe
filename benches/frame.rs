//! How long a frame takes on a large fleet: 500 services, 2,000 tasks, 10,000 snapshots.

use criterion::{Criterion, criterion_group, criterion_main};
use crossterm::event::{Event, KeyCode, KeyEvent, KeyModifiers};
use matou::ui::Msg;
use matou::ui::{fixture, update, view};
use ratatui::Terminal;
use ratatui::backend::TestBackend;

/// The large fleet with its dashboard open.
fn dashboard_of_large_fleet() -> matou::ui::App {
    let mut app = fixture::large_example_app();
    let key = KeyEvent::new(KeyCode::Char('0'), KeyModifiers::NONE);
    update(&mut app, Msg::Terminal(Event::Key(key)), fixture::NOW);
    app
}

fn frame(c: &mut Criterion) {
    for (width, height) in [(80, 24), (160, 48), (300, 100)] {
        let app = fixture::large_example_app();
        let mut terminal = Terminal::new(TestBackend::new(width, height)).expect("a test backend");
        c.bench_function(&format!("frame {width}x{height}"), |b| {
            b.iter(|| {
                terminal
                    .draw(|f| {
                        view(&app, f);
                    })
                    .map(|_| ())
            });
        });
    }
    for (width, height) in [(80, 24), (160, 48), (300, 100)] {
        let mut app = dashboard_of_large_fleet();
        let mut terminal = Terminal::new(TestBackend::new(width, height)).expect("a test backend");
        c.bench_function(&format!("dashboard {width}x{height}"), |b| {
            b.iter(|| {
                terminal
                    .draw(|f| {
                        view(&app, f);
                    })
                    .map(|_| ())
            });
        });
        let reading = || fixture::large_example_swarm();
        if width == 160 {
            c.bench_function("a reading of the swarm below the dashboard", |b| {
                b.iter_batched(
                    reading,
                    |message| update(&mut app, message, fixture::NOW),
                    criterion::BatchSize::LargeInput,
                );
            });
        }
    }
    let mut app = fixture::large_example_app();
    c.bench_function("a reading of the swarm", |b| {
        b.iter_batched(
            fixture::large_example_swarm,
            |message| update(&mut app, message, fixture::NOW),
            criterion::BatchSize::LargeInput,
        );
    });
}

criterion_group!(benches, frame);
criterion_main!(benches);
