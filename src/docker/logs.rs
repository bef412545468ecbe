//! The output of one container, read from the engine that runs it.
//!
//! Reading each container on its own node is more robust than the manager's service logs, which
//! stop at a node that is down and do not say which task wrote a line.

use bollard::container::LogOutput;
use bollard::query_parameters::LogsOptions;
use futures_util::StreamExt;
use jiff::Timestamp;
use tokio::sync::mpsc;

use super::{Docker, DockerError};

/// Longest line handed out, bytes; the rest of a longer one is dropped and marked.
const LONGEST_LINE: usize = 64 * 1024;

/// One line of a container's output; bytes from outside, not yet made safe.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct ContainerLine {
    pub at: Option<Timestamp>,
    pub bytes: Vec<u8>,
    pub stderr: bool,
}

impl Docker {
    /// Sends the last `tail` lines of a container and, with `follow`, those that come, to
    /// `lines`; returns when the output ends or the receiver is gone.
    pub async fn container_logs(
        &self,
        container: &str,
        tail: usize,
        follow: bool,
        lines: mpsc::Sender<ContainerLine>,
    ) -> Result<(), DockerError> {
        let client = self.client().await?;
        let options = LogsOptions {
            follow,
            stdout: true,
            stderr: true,
            timestamps: true,
            tail: tail.to_string(),
            ..Default::default()
        };
        let mut output = std::pin::pin!(client.logs(container, Some(options)));
        let mut joiner = [Joiner::new(false), Joiner::new(true)];
        while let Some(frame) = output.next().await {
            let frame = match frame {
                Ok(frame) => frame,
                Err(e) => return Err(self.failed(e).await),
            };
            let stderr = matches!(frame, LogOutput::StdErr { .. });
            for line in joiner[usize::from(stderr)].push(&frame.into_bytes()) {
                if lines.send(line).await.is_err() {
                    return Ok(());
                }
            }
        }
        for line in joiner.iter_mut().filter_map(Joiner::finish) {
            if lines.send(line).await.is_err() {
                break;
            }
        }
        Ok(())
    }
}

/// Makes lines of frames: the engine cuts a long line into frames of 16 KiB, each with a time
/// stamp, of which only the last ends in a newline.
struct Joiner {
    open: Option<ContainerLine>,
    dropped: usize,
    stderr: bool,
}

impl Joiner {
    fn new(stderr: bool) -> Self {
        Self {
            open: None,
            dropped: 0,
            stderr,
        }
    }

    fn push(&mut self, frame: &[u8]) -> Vec<ContainerLine> {
        let mut done = Vec::new();
        for piece in frame.split_inclusive(|b| *b == b'\n') {
            let (ended, piece) = match piece.strip_suffix(b"\n") {
                Some(body) => (true, body),
                None => (false, piece),
            };
            let (at, body) = split_stamp(piece);
            let open = self.open.get_or_insert_with(|| ContainerLine {
                at,
                bytes: Vec::new(),
                stderr: self.stderr,
            });
            let room = LONGEST_LINE
                .saturating_sub(open.bytes.len())
                .min(body.len());
            open.bytes.extend_from_slice(&body[..room]);
            self.dropped += body.len() - room;
            if ended {
                done.extend(self.finish());
            }
        }
        done
    }

    fn finish(&mut self) -> Option<ContainerLine> {
        let mut line = self.open.take()?;
        if self.dropped > 0 {
            line.bytes
                .extend_from_slice(format!(" [{} more bytes]", self.dropped).as_bytes());
            self.dropped = 0;
        }
        Some(line)
    }
}

/// Takes the RFC 3339 time stamp and one space off the front.
fn split_stamp(piece: &[u8]) -> (Option<Timestamp>, &[u8]) {
    let end = piece.iter().take(40).position(|b| *b == b' ');
    let stamp = end
        .and_then(|end| std::str::from_utf8(&piece[..end]).ok())
        .and_then(|s| s.parse::<Timestamp>().ok());
    match (stamp, end) {
        (Some(at), Some(end)) => (Some(at), &piece[end + 1..]),
        // A line without any text is handed out as the stamp alone.
        _ => match std::str::from_utf8(piece).ok().and_then(|s| s.parse().ok()) {
            Some(at) => (Some(at), &[]),
            None => (None, piece),
        },
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const STAMP: &str = "2026-11-23T14:00:33.123456789Z";

    #[test]
    fn a_frame_is_a_line_with_its_time() {
        let lines = Joiner::new(true).push(format!("{STAMP} hello  world\n").as_bytes());
        assert_eq!(
            lines,
            vec![ContainerLine {
                at: STAMP.parse().ok(),
                bytes: b"hello  world".to_vec(),
                stderr: true
            }]
        );
    }

    #[test]
    fn frames_of_a_long_line_are_joined_and_bounded() {
        let mut joiner = Joiner::new(false);
        let frame = format!("{STAMP} {}", "x".repeat(16 * 1024));
        for _ in 0..640 {
            assert!(joiner.push(frame.as_bytes()).is_empty());
        }
        let lines = joiner.push(format!("{STAMP} end\n{STAMP} next\n").as_bytes());
        assert_eq!(lines.len(), 2);
        let first = String::from_utf8(lines[0].bytes.clone()).unwrap();
        assert!(first.len() < LONGEST_LINE + 40);
        assert!(
            first.ends_with("more bytes]"),
            "{}",
            &first[first.len() - 40..]
        );
        assert_eq!(lines[1].bytes, b"next");
    }

    #[test]
    fn an_empty_line_and_a_line_without_stamp_are_kept() {
        let mut joiner = Joiner::new(false);
        assert_eq!(joiner.push(format!("{STAMP} \n").as_bytes())[0].bytes, b"");
        assert_eq!(joiner.push(b"no stamp here\n")[0].bytes, b"no stamp here");
        assert!(joiner.push(b"cut off").is_empty());
        assert_eq!(joiner.finish().unwrap().bytes, b"cut off");
    }
}
