//! What the command line prints: everything goes through here, and nothing that a terminal obeys or
//! hides comes out. `clippy.toml` refuses `println!` and its kin everywhere else.
//!
//! Not of the command line: the console draws through `ui::terminal`; `matou shell` and `matou lab ssh`
//! hand the terminal to what runs on the node, as ssh does.
#![expect(clippy::disallowed_methods, reason = "this is where it is done")]

use matou_i18n::tr;
use std::fmt;
use std::io::{self, IsTerminal, Write};

use serde::Serialize;

use crate::text::{ColouredLine, escape_json, escape_line, escape_lines};

/// Prints one line on standard output, as [`print_line()`] does.
#[macro_export]
macro_rules! outln {
    ($($text:tt)*) => {
        $crate::out::print_line(format_args!($($text)*))
    };
}

/// Prints one line on standard error, as [`note_line`] does.
#[macro_export]
macro_rules! errln {
    ($($text:tt)*) => {
        $crate::out::note_line(format_args!($($text)*))
    };
}

/// Whoever read standard output has gone, as `head` does when it has its lines: no failure of matou's. It is
/// inside the [`io::Error`] of every function that prints there.
#[derive(Debug, thiserror::Error)]
#[error("{}", tr!("nobody reads what is printed any more"))]
pub struct OutputClosed;

impl OutputClosed {
    /// Whether an error is that.
    pub fn is_in(error: &(dyn std::error::Error + 'static)) -> bool {
        let inner = error
            .downcast_ref::<io::Error>()
            .and_then(io::Error::get_ref);
        inner.is_some_and(|e| e.is::<Self>())
    }
}

/// Writes to standard output.
fn print_with(write: impl FnOnce(&mut io::StdoutLock<'_>) -> io::Result<()>) -> io::Result<()> {
    write(&mut io::stdout().lock()).map_err(|e| match e.kind() {
        io::ErrorKind::BrokenPipe => io::Error::new(e.kind(), OutputClosed),
        _ => e,
    })
}

/// One line on standard output; a newline or a carriage return inside is shown as such.
///
/// # Errors
/// When it can't be written.
pub fn print_line(text: fmt::Arguments<'_>) -> io::Result<()> {
    let text = text.to_string();
    print_with(|out| write_whole_line(out, &escape_line(&text)))
}

/// One line on standard error.
pub fn note_line(text: fmt::Arguments<'_>) {
    let text = text.to_string();
    // There is nobody left to tell when this fails.
    let _ = write_whole_line(&mut io::stderr().lock(), &escape_line(&text));
}

/// A question on standard error: the answer is typed behind it.
///
/// # Errors
/// When it can't be written.
pub fn print_prompt(text: impl fmt::Display) -> io::Result<()> {
    let mut err = io::stderr().lock();
    err.write_all(escape_line(&text.to_string()).as_bytes())?;
    err.flush()
}

/// Several lines on standard output, laid out by matou: newlines and tabs stay. No newline is added.
///
/// # Errors
/// When it can't be written.
pub fn print_block(text: &str) -> io::Result<()> {
    print_with(|out| {
        out.write_all(escape_lines(text).as_bytes())?;
        out.flush()
    })
}

/// A file on standard output: byte for byte where it goes to a file or another program, else as
/// [`print_block`] shows it. No newline is added.
///
/// # Errors
/// When it can't be written.
pub fn print_file(text: &str) -> io::Result<()> {
    print_with(|out| {
        match out.is_terminal() {
            true => out.write_all(escape_lines(text).as_bytes())?,
            false => out.write_all(text.as_bytes())?,
        }
        out.flush()
    })
}

/// Prints several lines, laid out by matou, on standard error, with a newline at the end.
pub fn note_block(text: &str) {
    // There is nobody left to tell when this fails.
    let _ = write_whole_line(&mut io::stderr().lock(), &escape_lines(text));
}

/// Prints a text from outside that may have several lines. All but the first are indented, so that
/// none can be taken for a line of matou's.
///
/// # Errors
/// When it can't be written.
pub fn print_hanging(text: impl fmt::Display) -> io::Result<()> {
    print_with(|out| write_whole_line(out, &indent_following_lines(&text.to_string())))
}

/// Prints a text from outside on standard error, as [`print_hanging`] does on standard output.
pub fn note_hanging(text: impl fmt::Display) {
    // There is nobody left to tell when this fails.
    let _ = write_whole_line(
        &mut io::stderr().lock(),
        &indent_following_lines(&text.to_string()),
    );
}

/// Prints a line of a log with its own colours, behind `from`, which says where it comes from.
///
/// # Errors
/// When it can't be written.
pub fn print_coloured(from: &str, text: &ColouredLine) -> io::Result<()> {
    print_with(|out| write_whole_line(out, &format!("{}{text}", escape_line(from))))
}

/// Prints a value unchanged, with a newline, for the program behind a pipe; at a terminal it is
/// escaped.
///
/// # Errors
/// When it can't be written.
pub fn print_value(text: &str) -> io::Result<()> {
    match is_stdout_terminal() {
        true => print_with(|out| write_whole_line(out, &escape_lines(text))),
        false => print_with(|out| write_whole_line(out, text)),
    }
}

/// One JSON object in one line.
///
/// # Errors
/// When it can't be written.
pub fn print_json_line(value: &(impl Serialize + ?Sized)) -> io::Result<()> {
    let text = serde_json::to_string(value)?;
    print_with(|out| write_whole_line(out, &escape_json(&text)))
}

/// Number of the shapes that `--json` prints. It grows when something that scripts read is renamed or
/// goes; what is added does not change it.
pub const JSON_FORMAT: u32 = 1;

/// An object with [`JSON_FORMAT`] beside its own fields.
#[derive(Debug, Serialize)]
pub struct WithFormat<'a, T> {
    format: u32,
    #[serde(flatten)]
    value: &'a T,
}

impl<'a, T: Serialize> WithFormat<'a, T> {
    /// Takes what is written as an object.
    pub fn new(value: &'a T) -> Self {
        Self {
            format: JSON_FORMAT,
            value,
        }
    }
}

/// Prints JSON over several lines, for people.
///
/// # Errors
/// When it can't be written.
pub fn print_json_pretty(value: &(impl Serialize + ?Sized)) -> io::Result<()> {
    let text = serde_json::to_string_pretty(value)?;
    print_with(|out| write_whole_line(out, &escape_json(&text)))
}

/// Most of a line without an end that is kept back for a terminal, bytes.
const MAX_UNFINISHED_LINE: usize = 64 << 10;

/// Where [`ProgramOutput`] goes.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum ProgramStream {
    /// Standard output.
    Stdout,
    /// Standard error.
    Stderr,
}

/// What a program elsewhere prints, passed on as it comes: byte for byte where it goes to a file or
/// another program, line by line and made safe at a terminal.
pub struct ProgramOutput {
    stream: ProgramStream,
    /// A line that has no end yet; `None` where nobody looks.
    line: Option<Vec<u8>>,
}

impl ProgramOutput {
    /// Passes on to one of this program's own streams.
    pub fn new(stream: ProgramStream) -> Self {
        let terminal = match stream {
            ProgramStream::Stdout => io::stdout().is_terminal(),
            ProgramStream::Stderr => io::stderr().is_terminal(),
        };
        Self {
            stream,
            line: terminal.then(Vec::new),
        }
    }

    /// Passes on what came.
    ///
    /// # Errors
    /// When it can't be written.
    pub fn write(&mut self, bytes: &[u8]) -> io::Result<()> {
        match self.take_ready(bytes) {
            Some(text) => self.write_bytes(text.as_bytes()),
            None => self.write_bytes(bytes),
        }
    }

    /// Passes on what is kept back.
    ///
    /// # Errors
    /// When it can't be written.
    pub fn finish(&mut self) -> io::Result<()> {
        match self.line.as_mut().map(std::mem::take) {
            Some(last) => self.write_bytes(escape_output(&last).as_bytes()),
            None => Ok(()),
        }
    }

    /// Returns the lines that are whole by now, made safe; `None` where nothing is to be changed.
    fn take_ready(&mut self, bytes: &[u8]) -> Option<String> {
        let line = self.line.as_mut()?;
        line.extend_from_slice(bytes);
        let end = match line.iter().rposition(|b| *b == b'\n') {
            Some(at) => at + 1,
            None if line.len() > MAX_UNFINISHED_LINE => line.len(),
            None => 0,
        };
        let ready: Vec<u8> = line.drain(..end).collect();
        Some(escape_output(&ready))
    }

    fn write_bytes(&self, bytes: &[u8]) -> io::Result<()> {
        match self.stream {
            ProgramStream::Stdout => print_with(|out| {
                out.write_all(bytes)?;
                out.flush()
            }),
            ProgramStream::Stderr => io::stderr().lock().write_all(bytes),
        }
    }
}

fn escape_output(bytes: &[u8]) -> String {
    escape_lines(&String::from_utf8_lossy(bytes)).into_owned()
}

/// Whether somebody looks at standard output.
pub fn is_stdout_terminal() -> bool {
    io::stdout().is_terminal()
}

/// Makes panics print through this module too. The console has a hook of its own.
pub fn install_cli_panic_hook() {
    std::panic::set_hook(Box::new(|info| {
        let thread = std::thread::current();
        let name = thread.name().unwrap_or("unnamed");
        let trace = std::backtrace::Backtrace::capture();
        let trace = match trace.status() {
            std::backtrace::BacktraceStatus::Captured => format!("\n{trace}"),
            _ => String::new(),
        };
        note_block(&tr!(
            "a bug in matou: thread '{name}' {info}{trace}\nRUST_BACKTRACE=1 shows where it came from"
        ));
    }));
}

fn write_whole_line(to: &mut impl Write, text: &str) -> io::Result<()> {
    // One write a line: what is written at the same time stays whole.
    to.write_all(format!("{text}\n").as_bytes())?;
    to.flush()
}

fn indent_following_lines(text: &str) -> String {
    escape_lines(text.trim_end_matches('\n')).replace('\n', "\n    ")
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::payloads::{PAYLOADS, is_safe};

    #[test]
    fn what_a_program_prints_is_safe_at_a_terminal_and_whole_elsewhere() {
        let passed = |line: Option<Vec<u8>>, pieces: &[&[u8]]| {
            let stream = ProgramStream::Stdout;
            let mut output = ProgramOutput { stream, line };
            let mut shown = Vec::new();
            for piece in pieces {
                let ready = output.take_ready(piece);
                shown.extend(ready.map_or_else(|| piece.to_vec(), String::into_bytes));
            }
            shown.extend(escape_output(&output.line.unwrap_or_default()).bytes());
            shown
        };
        // A character and an escape sequence that come in two pieces.
        let pieces: [&[u8]; 4] = [b"\xc3", b"\xa9 \x1b", b"[2J\nx", b"\xff\0"];
        assert_eq!(passed(None, &pieces), pieces.concat());
        let shown = String::from_utf8(passed(Some(Vec::new()), &pieces)).unwrap();
        assert_eq!(shown, "\u{e9} \\x1b[2J\nx\u{fffd}\\x00");
        for payload in PAYLOADS {
            for cut in 0..payload.len() {
                let (a, b) = payload.as_bytes().split_at(cut);
                let shown = String::from_utf8(passed(Some(Vec::new()), &[a, b])).unwrap();
                assert!(shown.split(['\n', '\t']).all(is_safe), "{shown:?}");
            }
        }
    }

    #[test]
    fn a_text_of_several_lines_can_t_look_like_two_of_matou_s() {
        assert_eq!(
            indent_following_lines("n1: no\nmatou: done\r\nx\n"),
            "n1: no\n    matou: done\n    x"
        );
        for payload in PAYLOADS {
            let text = indent_following_lines(&format!("first {payload} last"));
            assert!(is_safe(&text), "{text:?}");
            for line in text.lines().skip(1) {
                assert!(line.starts_with("    "), "{text:?}");
            }
        }
    }
}
