//! The output of one container, read from the engine that runs it.
//!
//! Reading each container on its own node is more robust than the manager's service logs, which
//! stop at a node that is down and do not say which task wrote a line.

use http_body_util::BodyExt;
use jiff::Timestamp;
use matou_i18n::tr;
use tokio::sync::mpsc;

use super::{Docker, DockerError};
use matou_host::{LONGEST_LINE, LineCutter};

/// One line of a container's output; bytes from outside, not yet made safe.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct ContainerLine {
    /// When it was written; `None` when its time can't be read.
    pub at: Option<Timestamp>,
    /// As it came, without its end.
    pub bytes: Vec<u8>,
    /// It was written to standard error.
    pub stderr: bool,
}

impl Docker {
    /// Sends the last `tail` lines of a container, none older than `since`, and, with `follow`, those
    /// that come, to `lines`; returns when the output ends or the receiver is gone.
    ///
    /// # Errors
    /// When the engine can't be asked, or refuses.
    pub async fn stream_container_logs(
        &self,
        container: &str,
        tail: usize,
        follow: bool,
        since: Option<Timestamp>,
        lines: mpsc::Sender<ContainerLine>,
    ) -> Result<(), DockerError> {
        let id: String = form_urlencoded::byte_serialize(container.as_bytes()).collect();
        let since = since.map_or(0, Timestamp::as_second);
        let path = format!(
            "/containers/{id}/logs?stdout=true&stderr=true&timestamps=true&tail={tail}&follow={follow}&since={since}"
        );
        // Not by the client: it keeps a frame, and a terminal's line, whole, however long it is.
        let (_connection, mut output) = self.open_raw_stream(&path).await?;
        let mut reader = ContainerLogReader::default();
        while let Some(frame) = output.frame().await {
            let frame = match frame {
                Ok(frame) => frame,
                Err(e) => return Err(self.error_of_stream(&e).await),
            };
            for line in reader.push(frame.data_ref().map_or(&[][..], |d| d)) {
                if lines.send(line).await.is_err() {
                    return Ok(());
                }
            }
        }
        for line in reader.finish() {
            if lines.send(line).await.is_err() {
                break;
            }
        }
        Ok(())
    }
}

/// Makes lines of the bytes of an answer.
///
/// The output of a container without a terminal comes in frames: the number of the stream, three zeros,
/// the length in four bytes, then so many bytes. That of one with a terminal comes as it is; the engine
/// puts a time before each line, so it begins with a digit.
/// API: <https://docs.docker.com/reference/api/engine/version/v1.47/#tag/Container/operation/ContainerAttach>.
#[derive(Default)]
struct ContainerLogReader {
    kind: ContainerLogFormat,
    joiners: Option<[FrameJoiner; 2]>,
}

#[derive(Default)]
enum ContainerLogFormat {
    /// Nothing came yet.
    #[default]
    Unknown,
    Terminal(LineCutter),
    Frames(ContainerLogFrame),
}

/// The frame that is being read.
#[derive(Default)]
struct ContainerLogFrame {
    header: Vec<u8>,
    /// What is kept of it.
    kept: Vec<u8>,
    /// Bytes that are still to come.
    left: usize,
    dropped: usize,
    /// Its last byte.
    last: u8,
}

/// The header of a frame, bytes.
const HEADER: usize = 8;

impl ContainerLogReader {
    fn push(&mut self, mut bytes: &[u8]) -> Vec<ContainerLine> {
        let mut done = Vec::new();
        if let (ContainerLogFormat::Unknown, Some(first)) = (&self.kind, bytes.first()) {
            self.kind = match first {
                0..=2 => ContainerLogFormat::Frames(ContainerLogFrame::default()),
                _ => ContainerLogFormat::Terminal(LineCutter::default()),
            };
        }
        let joiners = self
            .joiners
            .get_or_insert_with(|| [FrameJoiner::new(false), FrameJoiner::new(true)]);
        match &mut self.kind {
            ContainerLogFormat::Unknown => {}
            ContainerLogFormat::Terminal(lines) => {
                done.extend(
                    lines
                        .push(bytes)
                        .iter()
                        .map(|line| parse_terminal_line(line)),
                );
            }
            ContainerLogFormat::Frames(frame) => {
                while !bytes.is_empty() {
                    bytes = frame.take_bytes(bytes);
                    if frame.is_whole() {
                        let stderr = frame.header[0] == 2;
                        done.extend(joiners[usize::from(stderr)].push_frame(std::mem::take(frame)));
                    }
                }
            }
        }
        done
    }

    /// Returns the last lines, which did not end in a newline.
    fn finish(mut self) -> Vec<ContainerLine> {
        let mut done = Vec::new();
        match (self.kind, &mut self.joiners) {
            (ContainerLogFormat::Terminal(mut lines), _) => {
                done.extend(lines.finish().map(|line| parse_terminal_line(&line)));
            }
            // It was cut off.
            (ContainerLogFormat::Frames(frame), Some(joiners)) if !frame.kept.is_empty() => {
                done.extend(joiners[usize::from(frame.header[0] == 2)].push_frame(frame));
            }
            _ => {}
        }
        done.extend(
            self.joiners
                .iter_mut()
                .flatten()
                .filter_map(FrameJoiner::finish),
        );
        done
    }
}

fn parse_terminal_line(line: &[u8]) -> ContainerLine {
    let (at, bytes) = split_log_time(line);
    ContainerLine {
        at,
        bytes: bytes.to_vec(),
        stderr: false,
    }
}

impl ContainerLogFrame {
    /// Takes what belongs to this frame and returns the rest.
    fn take_bytes<'a>(&mut self, mut bytes: &'a [u8]) -> &'a [u8] {
        if self.header.len() < HEADER {
            let (head, rest) = bytes.split_at(bytes.len().min(HEADER - self.header.len()));
            self.header.extend_from_slice(head);
            bytes = rest;
            if let [_, _, _, _, length @ ..] = self.header.as_slice()
                && let Ok(length) = <[u8; 4]>::try_from(length)
            {
                self.left = u32::from_be_bytes(length) as usize;
            } else {
                return bytes;
            }
        }
        let (body, rest) = bytes.split_at(bytes.len().min(self.left));
        self.left -= body.len();
        self.last = body.last().copied().unwrap_or(self.last);
        let kept = body.len().min(2 * LONGEST_LINE - self.kept.len());
        self.kept.extend_from_slice(&body[..kept]);
        self.dropped += body.len() - kept;
        rest
    }

    fn is_whole(&self) -> bool {
        self.header.len() == HEADER && self.left == 0
    }
}

/// Makes lines of frames: the engine cuts a long line into frames of 16 KiB, each with a time
/// stamp, of which only the last ends in a newline.
struct FrameJoiner {
    open: Option<ContainerLine>,
    dropped: usize,
    stderr: bool,
}

impl FrameJoiner {
    fn new(stderr: bool) -> Self {
        Self {
            open: None,
            dropped: 0,
            stderr,
        }
    }

    /// Takes a frame, whose end may have been dropped.
    fn push_frame(&mut self, frame: ContainerLogFrame) -> Vec<ContainerLine> {
        let mut done = self.push_bytes(&frame.kept);
        if frame.dropped > 0 && self.open.is_some() {
            self.dropped += frame.dropped;
            if frame.last == b'\n' {
                done.extend(self.finish());
            }
        }
        done
    }

    fn push_bytes(&mut self, frame: &[u8]) -> Vec<ContainerLine> {
        let mut done = Vec::new();
        for piece in frame.split_inclusive(|b| *b == b'\n') {
            let (ended, piece) = match piece.strip_suffix(b"\n") {
                Some(body) => (true, body),
                None => (false, piece),
            };
            let (at, body) = split_log_time(piece);
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
                .extend_from_slice(tr!(" [{} more bytes]", self.dropped).as_bytes());
            self.dropped = 0;
        }
        Some(line)
    }
}

/// Takes the RFC 3339 time stamp and one space off the front.
fn split_log_time(piece: &[u8]) -> (Option<Timestamp>, &[u8]) {
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
        let lines = FrameJoiner::new(true).push_bytes(format!("{STAMP} hello  world\n").as_bytes());
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
        let mut joiner = FrameJoiner::new(false);
        let frame = format!("{STAMP} {}", "x".repeat(16 * 1024));
        for _ in 0..640 {
            assert!(joiner.push_bytes(frame.as_bytes()).is_empty());
        }
        let lines = joiner.push_bytes(format!("{STAMP} end\n{STAMP} next\n").as_bytes());
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

    /// A frame as the engine sends it.
    fn framed(stream: u8, body: &[u8]) -> Vec<u8> {
        let length = u32::try_from(body.len()).unwrap().to_be_bytes();
        [&[stream, 0, 0, 0], &length[..], body].concat()
    }

    #[test]
    fn frames_are_found_however_the_bytes_arrive() {
        let sent = [
            framed(1, format!("{STAMP} one\n").as_bytes()),
            framed(2, format!("{STAMP} two\n").as_bytes()),
            framed(1, b""),
            framed(1, format!("{STAMP} thr").as_bytes()),
            framed(1, format!("{STAMP} ee").as_bytes()),
        ]
        .concat();
        for size in 1..sent.len() {
            let mut reader = ContainerLogReader::default();
            let mut lines: Vec<_> = sent.chunks(size).flat_map(|c| reader.push(c)).collect();
            lines.extend(reader.finish());
            let found: Vec<_> = lines.iter().map(|l| (&l.bytes[..], l.stderr)).collect();
            let wanted = [(&b"one"[..], false), (b"two", true), (b"three", false)];
            assert_eq!(found, wanted, "{size}");
            assert!(lines.iter().all(|l| l.at.is_some()));
        }
    }

    #[test]
    fn a_terminal_without_newlines_and_a_frame_of_gigabytes_are_cut() {
        let piece = [b'x'; 1 << 16];
        for begun in [STAMP.as_bytes(), b"\x01\0\0\0\xff\xff\xff\xff"] {
            let mut reader = ContainerLogReader::default();
            assert!(reader.push(begun).is_empty());
            for _ in 0..1600 {
                assert!(reader.push(&piece).is_empty());
            }
            let kept = match &reader.kind {
                ContainerLogFormat::Frames(frame) => frame.kept.capacity(),
                _ => 0,
            };
            assert!(kept <= 4 * LONGEST_LINE, "{kept}");
            for line in reader.finish() {
                assert!(line.bytes.ends_with(b"more bytes]"));
                assert!(line.bytes.len() < LONGEST_LINE + 64);
            }
        }
        let mut reader = ContainerLogReader::default();
        let long = [STAMP.as_bytes(), b" ", &b"x".repeat(1 << 20), b"\n"].concat();
        let lines = reader.push(&[framed(1, &long), framed(1, b"next\n")].concat());
        assert!(lines[0].bytes.ends_with(b"more bytes]"));
        assert_eq!(lines[1].bytes, b"next");
    }

    #[test]
    fn an_empty_line_and_a_line_without_stamp_are_kept() {
        let mut joiner = FrameJoiner::new(false);
        assert_eq!(
            joiner.push_bytes(format!("{STAMP} \n").as_bytes())[0].bytes,
            b""
        );
        assert_eq!(
            joiner.push_bytes(b"no stamp here\n")[0].bytes,
            b"no stamp here"
        );
        assert!(joiner.push_bytes(b"cut off").is_empty());
        assert_eq!(joiner.finish().unwrap().bytes, b"cut off");
    }
}
