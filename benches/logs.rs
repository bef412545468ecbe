//! How fast log lines are taken in, drawn and searched.

use criterion::{Criterion, Throughput, criterion_group, criterion_main};
use matou::model::LogLine;
use matou::ui::{LogBuffer, LogStyle, LogView};
use ratatui::buffer::Buffer;
use ratatui::layout::Rect;
use ratatui::style::Style;

fn lines(n: usize) -> Vec<LogLine> {
    let line = |i| LogLine {
        at: None,
        from: "site_web.1@worker-01".into(),
        bytes: format!("10.0.0.7 - - \"GET /page/{i} HTTP/1.1\" \x1b[32m200\x1b[0m 5124").into(),
        stderr: false,
    };
    (0..n).map(line).collect()
}

fn logs(c: &mut Criterion) {
    let mut group = c.benchmark_group("logs");
    group
        .sample_size(20)
        .throughput(Throughput::Elements(100_000));
    group.bench_function("take in 100,000 lines", |b| {
        b.iter_batched(
            || lines(100_000),
            |lines| {
                let mut buffer = LogBuffer::new(64 << 20);
                for line in lines {
                    buffer.push(line);
                }
                buffer.len()
            },
            criterion::BatchSize::LargeInput,
        );
    });
    group.bench_function("search 100,000 lines", |b| {
        let mut buffer = LogBuffer::new(64 << 20);
        for line in lines(100_000) {
            buffer.push(line);
        }
        b.iter(|| {
            buffer.search("page/99999");
            buffer.hits().len()
        });
    });
    group.finish();

    let mut view = LogView::new(64 << 20, jiff::tz::TimeZone::UTC);
    view.push(lines(100_000));
    let area = Rect::new(0, 0, 200, 60);
    let mut buffer = Buffer::empty(area);
    let style = LogStyle {
        error: Style::new(),
        warning: Style::new(),
        dim: Style::new(),
        sources: [Style::new(); 6],
        found: Style::new(),
        colour: true,
        ascii: false,
    };
    c.bench_function("draw a log of 100,000 lines, 200x60", |b| {
        b.iter(|| view.draw(area, &mut buffer, &style));
    });
}

criterion_group!(benches, logs);
criterion_main!(benches);
