//! The end of what a job printed, for the journal: whoever asks tomorrow why it failed finds its last lines.

use std::collections::VecDeque;

use tokio::sync::mpsc;
use tokio::task::JoinHandle;
use tokio_util::sync::CancellationToken;

use super::event::{JobEvent, send_job_event};

/// Lines that are kept, the last.
const MAX_LINES: usize = 100;

/// Bytes that are kept of a line.
const MAX_LINE_BYTES: usize = 300;

/// Events that wait for whoever looks, as in the channels of those who look.
const WAITING_EVENTS: usize = 64;

/// Passes a job's events on, and keeps the last lines of its output.
pub(super) struct OutputTail {
    ended: CancellationToken,
    passing: JoinHandle<VecDeque<String>>,
}

impl OutputTail {
    /// Returns where events are sent from now on; they come out at `events`, in their order.
    pub(super) fn tee(events: mpsc::Sender<JobEvent>) -> (mpsc::Sender<JobEvent>, Self) {
        let (sender, receiver) = mpsc::channel(WAITING_EVENTS);
        let ended = CancellationToken::new();
        let passing = tokio::spawn(pass_on(receiver, events, ended.clone()));
        (sender, Self { ended, passing })
    }

    /// Passes on what was sent until now, and nothing that comes later: a task that was left behind may hold a
    /// sender for ever. Returns the lines, the oldest first.
    pub(super) async fn end(self) -> Vec<String> {
        self.ended.cancel();
        self.passing.await.unwrap_or_default().into()
    }
}

async fn pass_on(
    mut receiver: mpsc::Receiver<JobEvent>,
    events: mpsc::Sender<JobEvent>,
    ended: CancellationToken,
) -> VecDeque<String> {
    let mut kept = VecDeque::new();
    loop {
        let event = tokio::select! {
            event = receiver.recv() => event,
            () = ended.cancelled(), if !receiver.is_closed() => {
                receiver.close();
                continue;
            }
        };
        let Some(event) = event else {
            return kept;
        };
        if let Some(line) = format_line(&event) {
            if kept.len() == MAX_LINES {
                kept.pop_front();
            }
            kept.push_back(line);
        }
        send_job_event(&events, event).await;
    }
}

/// What an event says in the journal: lines of output, and steps that failed.
fn format_line(event: &JobEvent) -> Option<String> {
    let (node, step, text) = match event {
        JobEvent::Line {
            node, step, text, ..
        } => (node, step, text),
        JobEvent::StepFailed {
            node, step, error, ..
        } => (node, step, error),
        _ => return None,
    };
    let mut line = format!("{node}: {step}: {text}");
    line.truncate(line.floor_char_boundary(MAX_LINE_BYTES));
    Some(line)
}

#[cfg(test)]
mod tests {
    use super::*;
    use matou_host::OutputStream;

    fn line(text: &str) -> JobEvent {
        JobEvent::Line {
            node: "n1".into(),
            step: "docker".into(),
            stream: OutputStream::Stdout,
            text: text.into(),
        }
    }

    /// All events come out, in their order; the last lines are kept, of a long one its beginning; a sender that
    /// somebody still holds keeps nobody waiting.
    #[tokio::test]
    async fn the_last_lines_are_kept_and_all_are_passed_on() {
        let (events, mut seen) = mpsc::channel(1000);
        let (sender, tail) = OutputTail::tee(events);
        let held = sender.clone();
        let long = "é".repeat(MAX_LINE_BYTES);
        for n in 0..300 {
            sender.send(line(&format!("line {n}"))).await.unwrap();
        }
        sender.send(line(&long)).await.unwrap();
        let kept = tail.end().await;
        assert_eq!(kept.len(), MAX_LINES);
        assert_eq!(kept[0], "n1: docker: line 201");
        assert!(kept[99].starts_with("n1: docker: éé") && kept[99].len() <= MAX_LINE_BYTES);
        assert!(held.send(line("too late")).await.is_err());
        for n in 0..300 {
            assert_eq!(seen.recv().await, Some(line(&format!("line {n}"))));
        }
        assert_eq!(seen.recv().await, Some(line(&long)));
        assert_eq!(seen.recv().await, None);
    }
}
