//! A program in a pseudo-terminal whose screen is read.

use std::io::{Read, Write};
use std::sync::{Arc, Mutex};
use std::time::{Duration, Instant};

use portable_pty::{Child, CommandBuilder, MasterPty, PtySize, native_pty_system};

#[path = "load.rs"]
pub(crate) mod load;

use load::patience;

/// A program in a pseudo-terminal.
pub(crate) struct Pty {
    master: Box<dyn MasterPty + Send>,
    child: Box<dyn Child + Send + Sync>,
    writer: Box<dyn Write + Send>,
    seen: Arc<Mutex<Seen>>,
    modes_before: nix::sys::termios::Termios,
}

struct Seen {
    parser: vt100::Parser,
    bytes: u64,
    ended: bool,
}

impl Pty {
    /// Starts `program` with `args` on a screen of that size.
    pub(crate) fn start(
        program: &str,
        args: &[&str],
        env: &[(&str, &str)],
        columns: u16,
        rows: u16,
    ) -> Self {
        let size = PtySize {
            rows,
            cols: columns,
            pixel_width: 0,
            pixel_height: 0,
        };
        let pair = native_pty_system()
            .openpty(size)
            .expect("a pseudo-terminal");
        let modes_before = modes(pair.master.as_ref());
        // A path is this program's, whatever the other's folder is.
        let path = std::fs::canonicalize(program).unwrap_or_else(|_| program.into());
        let mut command = CommandBuilder::new(path);
        command.args(args);
        command.env("TERM", "xterm-256color");
        for (name, value) in env {
            command.env(name, value);
        }
        let child = pair
            .slave
            .spawn_command(command)
            .expect("the program starts");
        let mut reader = pair.master.try_clone_reader().expect("a reader");
        let seen = Arc::new(Mutex::new(Seen {
            parser: vt100::Parser::new(nonzero(rows), nonzero(columns), 0),
            bytes: 0,
            ended: false,
        }));
        let shared = seen.clone();
        // The slave stays open, so that the modes can be read after the program has ended.
        let slave = pair.slave;
        std::thread::spawn(move || {
            let mut buffer = [0; 65536];
            while let Ok(n) = reader.read(&mut buffer)
                && n > 0
            {
                let mut seen = shared.lock().expect("not poisoned");
                seen.parser.process(&buffer[..n]);
                seen.bytes += n as u64;
            }
            shared.lock().expect("not poisoned").ended = true;
            drop(slave);
        });
        Self {
            writer: pair.master.take_writer().expect("a writer"),
            master: pair.master,
            child,
            seen,
            modes_before,
        }
    }

    /// The screen as text.
    pub(crate) fn screen(&self) -> String {
        self.seen
            .lock()
            .expect("not poisoned")
            .parser
            .screen()
            .contents()
    }

    /// Bytes written to the terminal so far.
    pub(crate) fn bytes(&self) -> u64 {
        self.seen.lock().expect("not poisoned").bytes
    }

    /// What the terminal's parser knows, for colours and modes.
    pub(crate) fn with_screen<T>(&self, look: impl FnOnce(&vt100::Screen) -> T) -> T {
        look(self.seen.lock().expect("not poisoned").parser.screen())
    }

    /// Types.
    pub(crate) fn send(&mut self, keys: &str) {
        self.writer
            .write_all(keys.as_bytes())
            .expect("the terminal takes keys");
        self.writer.flush().expect("the terminal takes keys");
    }

    /// Leaves what shows `text` by Esc, and waits until it is gone: a key that came right behind Esc
    /// would be taken for Alt and that key, as in every terminal.
    pub(crate) fn escape(&mut self, text: &str, limit: Duration) {
        self.wait_for(text, limit);
        self.send("\x1b");
        self.wait_gone(text, limit);
    }

    /// Waits until the screen shows `text`.
    pub(crate) fn wait_for(&self, text: &str, limit: Duration) -> String {
        self.wait(limit, text, |screen| screen.contains(text))
    }

    /// Waits until the screen does not show `text`.
    pub(crate) fn wait_gone(&self, text: &str, limit: Duration) -> String {
        self.wait(limit, text, |screen| !screen.contains(text))
    }

    /// Waits until the screen fits; `text` says for what.
    pub(crate) fn wait(&self, limit: Duration, text: &str, fits: impl Fn(&str) -> bool) -> String {
        let begun = Instant::now();
        loop {
            let screen = self.screen();
            if fits(&screen) {
                return screen;
            }
            assert!(
                begun.elapsed() < limit * patience(),
                "waited {} s for {text:?} on this screen:\n{screen}",
                begun.elapsed().as_secs()
            );
            std::thread::sleep(Duration::from_millis(10));
        }
    }

    /// Changes the size of the terminal.
    pub(crate) fn resize(&self, columns: u16, rows: u16) {
        let size = PtySize {
            rows,
            cols: columns,
            pixel_width: 0,
            pixel_height: 0,
        };
        self.master.resize(size).expect("the terminal is resized");
        self.seen
            .lock()
            .expect("not poisoned")
            .parser
            .screen_mut()
            .set_size(nonzero(rows), nonzero(columns));
    }

    /// Sends a signal to the program.
    pub(crate) fn signal(&self, signal: nix::sys::signal::Signal) {
        let pid = self.child.process_id().expect("it runs");
        let pid = nix::unistd::Pid::from_raw(pid as i32);
        nix::sys::signal::kill(pid, signal).expect("the signal is sent");
    }

    pub(crate) fn pid(&self) -> u32 {
        self.child.process_id().expect("it runs")
    }

    /// Waits for the program's end; answers with its exit code.
    pub(crate) fn end(&mut self, limit: Duration) -> u32 {
        let begun = Instant::now();
        loop {
            if let Some(status) = self.child.try_wait().expect("its state can be read") {
                return status.exit_code();
            }
            if begun.elapsed() > limit * patience() {
                let screen = self.screen();
                self.child.kill().expect("it can be killed");
                let waited = begun.elapsed().as_secs();
                panic!("it did not end within {waited} s:\n{screen}");
            }
            std::thread::sleep(Duration::from_millis(10));
        }
    }

    /// Whether the terminal is as it was before the program: what it left on is named.
    pub(crate) fn left_on(&self) -> Vec<&'static str> {
        // The last bytes may still be on their way.
        let end = Instant::now() + Duration::from_secs(10);
        loop {
            let left = self.left_on_now();
            if left.is_empty() || Instant::now() > end {
                return left;
            }
            std::thread::sleep(Duration::from_millis(10));
        }
    }

    /// What is not as it was before the program, now.
    fn left_on_now(&self) -> Vec<&'static str> {
        use nix::sys::termios::LocalFlags;
        let mut left = Vec::new();
        let modes = modes(self.master.as_ref());
        for (flag, name) in [
            (LocalFlags::ECHO, "no echo"),
            (LocalFlags::ICANON, "raw mode"),
            (LocalFlags::ISIG, "no signals"),
        ] {
            if modes.local_flags.contains(flag) != self.modes_before.local_flags.contains(flag) {
                left.push(name);
            }
        }
        self.with_screen(|screen| {
            if screen.alternate_screen() {
                left.push("alternate screen");
            }
            if screen.hide_cursor() {
                left.push("hidden cursor");
            }
            if screen.bracketed_paste() {
                left.push("bracketed paste");
            }
            if screen.mouse_protocol_mode() != vt100::MouseProtocolMode::None {
                left.push("mouse");
            }
        });
        left
    }
}

impl Drop for Pty {
    fn drop(&mut self) {
        // It may have ended already.
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}

fn nonzero(n: u16) -> std::num::NonZeroU16 {
    std::num::NonZeroU16::new(n).expect("a screen has a size")
}

fn modes(master: &dyn MasterPty) -> nix::sys::termios::Termios {
    let fd = master.as_raw_fd().expect("a terminal on this machine");
    #[expect(unsafe_code, reason = "the master outlives this borrow")]
    let fd = unsafe { std::os::fd::BorrowedFd::borrow_raw(fd) };
    nix::sys::termios::tcgetattr(fd).expect("terminal modes")
}
