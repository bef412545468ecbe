//! Cuts a stream of bytes into lines of bounded length.

use matou_i18n::tr;

/// Longest line handed out, bytes; the rest of a longer one is dropped and counted.
pub const LONGEST_LINE: usize = 64 * 1024;

/// Bytes in, lines out.
#[derive(Default)]
pub struct LineCutter {
    open: Vec<u8>,
    dropped: usize,
}

impl LineCutter {
    /// Takes bytes and returns every line that they complete, without its newline.
    pub fn push(&mut self, mut bytes: &[u8]) -> Vec<Vec<u8>> {
        let mut lines = Vec::new();
        while let Some(end) = bytes.iter().position(|b| *b == b'\n') {
            self.keep_bytes(&bytes[..end]);
            lines.push(self.take_line());
            bytes = &bytes[end + 1..];
        }
        self.keep_bytes(bytes);
        lines
    }

    /// The last line, when the stream did not end in a newline.
    pub fn finish(&mut self) -> Option<Vec<u8>> {
        (!self.open.is_empty()).then(|| self.take_line())
    }

    fn keep_bytes(&mut self, bytes: &[u8]) {
        let room = (LONGEST_LINE - self.open.len()).min(bytes.len());
        self.open.extend_from_slice(&bytes[..room]);
        self.dropped += bytes.len() - room;
    }

    fn take_line(&mut self) -> Vec<u8> {
        let mut line = std::mem::take(&mut self.open);
        if self.dropped > 0 {
            line.extend_from_slice(tr!(" [{} more bytes]", self.dropped).as_bytes());
            self.dropped = 0;
        }
        line
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn lines_are_the_same_however_the_bytes_arrive() {
        let text = b"one\n\ntwo\xff\r\nthree";
        for size in 1..text.len() {
            let mut lines = LineCutter::default();
            let mut found: Vec<_> = text.chunks(size).flat_map(|c| lines.push(c)).collect();
            found.extend(lines.finish());
            assert_eq!(found, [&b"one"[..], b"", b"two\xff\r", b"three"]);
        }
    }

    #[test]
    fn a_line_of_ten_megabytes_is_cut_and_says_so() {
        let mut lines = LineCutter::default();
        for _ in 0..160 {
            assert!(lines.push(&[b'x'; 65536]).is_empty());
        }
        let line = lines.push(b"\nnext\n");
        assert!(line[0].len() < LONGEST_LINE + 64);
        assert!(line[0].ends_with(format!("[{} more bytes]", 159 * 65536).as_bytes()));
        assert_eq!(line[1], b"next");
    }
}
