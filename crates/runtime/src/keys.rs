//! Where keys come from: the terminal, or lines.

use std::io::BufRead as _;

use crossterm::event::{Event, EventStream};
use futures_util::StreamExt as _;
use tokio::sync::mpsc;

/// Lines that may wait to be taken.
const QUEUE_CAPACITY: usize = 16;

/// Longest line, bytes.
const MAX_LINE_BYTES: usize = 64 * 1024;

/// What the operator gives.
pub(super) enum Given {
    Event(Event),
    Line(String),
}

/// Where it comes from.
pub(super) enum Keys {
    Terminal(EventStream),
    Lines(mpsc::Receiver<String>),
}

impl Keys {
    /// Those of the terminal, one by one.
    pub(super) fn of_terminal() -> Self {
        Self::Terminal(EventStream::new())
    }

    /// Lines of standard input.
    pub(super) fn of_lines() -> Self {
        let (lines, arriving) = mpsc::channel(QUEUE_CAPACITY);
        // A thread of its own: it may wait for a line when everything else has ended.
        std::thread::spawn(move || {
            let mut input = std::io::stdin().lock();
            loop {
                let mut line = Vec::new();
                let mut limited = std::io::Read::take(&mut input, MAX_LINE_BYTES as u64);
                match limited.read_until(b'\n', &mut line) {
                    Ok(1..) => {}
                    Ok(0) | Err(_) => return,
                }
                let line = matou_base::text::clean_bytes(line.trim_ascii());
                if lines.blocking_send(line).is_err() {
                    return;
                }
            }
        });
        Self::Lines(arriving)
    }

    /// What comes next; `None` when nothing does any more.
    pub(super) async fn next(&mut self) -> Option<Given> {
        match self {
            Self::Terminal(events) => events.next().await?.ok().map(Given::Event),
            Self::Lines(lines) => lines.recv().await.map(Given::Line),
        }
    }

    /// Reads no more from the terminal before it is asked again: what is typed meanwhile is somebody else's.
    /// Returns false where that can't be.
    pub(super) fn step_back(&mut self) -> bool {
        match self {
            Self::Terminal(events) => {
                *events = EventStream::new();
                true
            }
            Self::Lines(_) => false,
        }
    }
}
