//! How long a frame takes on a large fleet: 500 services, 2,000 tasks, 10,000 snapshots.

use criterion::{Criterion, criterion_group, criterion_main};
use matou::ui::{fixture, update, view};
use ratatui::Terminal;
use ratatui::backend::TestBackend;

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
