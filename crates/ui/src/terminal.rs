//! The terminal: takes and releases it, draws without needless bytes, suspends the program.
#![expect(
    clippy::disallowed_methods,
    reason = "the console draws cells, which hold no control characters; the command line prints through `out`"
)]

use matou_i18n::tr;
use std::io::{self, BufWriter, IsTerminal, Stdout, Write};
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::Duration;

use color_eyre::eyre::{Result, ensure};
use crossterm::clipboard::CopyToClipboard;
use crossterm::event::{
    DisableBracketedPaste, DisableMouseCapture, EnableBracketedPaste, EnableMouseCapture,
};
use crossterm::terminal::{
    BeginSynchronizedUpdate, EndSynchronizedUpdate, EnterAlternateScreen, LeaveAlternateScreen,
    disable_raw_mode, enable_raw_mode,
};
use crossterm::{cursor, execute, queue};
use ratatui::Terminal;
use ratatui::backend::{Backend, ClearType, CrosstermBackend, WindowSize};
use ratatui::buffer::Cell;
use ratatui::layout::{Position, Size};
use terminal_colorsaurus::{QueryOptions, ThemeMode, theme_mode};
use tokio::signal::unix::{SignalKind, signal};
use tokio::sync::mpsc;

use crate::layout::Layout;
use crate::linear::LinearScreen;
use crate::state::App;
use crate::theme::Theme;
use crate::view::view;
use matou_base::outln;
use matou_config::{NotifyMethod, ThemeConfig};

/// Longest text in bytes that is copied; many terminals take no more.
const MAX_COPY_BYTES: usize = 74_000;

/// Whether the console holds the terminal: a panic must release it.
static ENTERED: AtomicBool = AtomicBool::new(false);

/// Returns the terminal's columns and rows; `None` where there is none.
pub fn read_terminal_size() -> Option<(u16, u16)> {
    let is_there = io::stdout().is_terminal() || io::stderr().is_terminal();
    is_there.then(|| crossterm::terminal::size().ok())?
}

/// # Errors
/// When there is no terminal: a sentence with what to use instead.
pub fn check_terminal() -> Result<()> {
    ensure!(
        io::stdin().is_terminal() && io::stdout().is_terminal(),
        "{}",
        tr!(
            "the console needs a terminal; `matou status` prints the fleet without one, and `matou --help` lists the other commands"
        )
    );
    Ok(())
}

/// Installs a hook that releases the terminal before a panic is reported.
///
/// Panics of other threads belong to jobs and collectors, which catch or report them; they must
/// not write over the screen.
///
/// # Errors
/// When a hook is installed already.
pub fn install_panic_hook() -> Result<()> {
    // Without colours: what is told may be text from outside, and is cleaned as a whole.
    let hooks = color_eyre::config::HookBuilder::default().theme(color_eyre::config::Theme::new());
    let (panic, report) = hooks.into_hooks();
    report.install()?;
    let panic = move |info: &std::panic::PanicHookInfo<'_>| {
        matou_base::out::note_block(&panic.panic_report(info).to_string());
    };
    std::panic::set_hook(Box::new(move |info| {
        if std::thread::current().name() == Some("main") {
            release_terminal();
            panic(info);
        } else if ENTERED.load(Ordering::Relaxed) {
            tracing::error!("{info}");
        } else {
            panic(info);
        }
    }));
    Ok(())
}

/// Releases the terminal; does nothing when that is done.
fn release_terminal() {
    if ENTERED.swap(false, Ordering::Relaxed) {
        // There is nobody left to tell when this fails.
        let _ = execute!(
            io::stdout(),
            EndSynchronizedUpdate,
            DisableMouseCapture,
            DisableBracketedPaste,
            LeaveAlternateScreen,
            cursor::Show
        );
        let _ = disable_raw_mode();
    }
}

/// What a signal asks of the console.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum ConsoleSignal {
    /// SIGTERM, or SIGHUP when the link is lost.
    Terminate,
    /// SIGUSR1, in debug builds only: proves that a panic gives the terminal back.
    #[cfg(debug_assertions)]
    Panic,
}

/// How long a terminal of this machine may take to say its background.
const BACKGROUND_WAIT: Duration = Duration::from_millis(400);

/// Makes the theme: the configured one, for the background that the terminal says it has (OSC 11), unless
/// that is configured or nothing is coloured. A terminal at the other end of ssh is not asked: the first picture
/// would wait for it, and an answer that is late would be taken for keys. To be called before the terminal is
/// taken.
pub fn read_theme(config: &ThemeConfig) -> Theme {
    let dark = Theme::from_config(config, false);
    let is_set = |name: &str| std::env::var_os(name).is_some_and(|v| !v.is_empty());
    let is_remote = ["SSH_TTY", "SSH_CONNECTION"].into_iter().any(is_set);
    if config.light.is_some() || !dark.colour || is_remote {
        return dark;
    }
    let mut options = QueryOptions::default();
    options.timeout = BACKGROUND_WAIT;
    let light = matches!(theme_mode(options), Ok(ThemeMode::Light));
    Theme::from_config(config, light)
}

/// Watches signals. Returns the channel on which they arrive.
///
/// # Errors
/// When they can't be watched.
pub fn watch_signals() -> Result<mpsc::Receiver<ConsoleSignal>> {
    let (told, listening) = mpsc::channel(1);
    let watched = [
        (SignalKind::terminate(), ConsoleSignal::Terminate),
        (SignalKind::hangup(), ConsoleSignal::Terminate),
        #[cfg(debug_assertions)]
        (SignalKind::user_defined1(), ConsoleSignal::Panic),
    ];
    for (kind, meaning) in watched {
        let mut coming = signal(kind)?;
        let told = told.clone();
        tokio::spawn(async move {
            while coming.recv().await.is_some() {
                if told.send(meaning).await.is_err() {
                    return;
                }
            }
        });
    }
    Ok(listening)
}

/// What the console is shown on.
pub enum Screen {
    /// The whole terminal, for as long as the console has it.
    #[doc(hidden)]
    Full(Box<FullScreen>),
    /// Lines on standard output.
    #[doc(hidden)]
    Linear(LinearScreen),
}

impl Screen {
    /// Takes the terminal.
    ///
    /// # Errors
    /// When it can't be switched.
    pub fn enter(theme: &ThemeConfig) -> Result<Self> {
        Ok(Self::Full(Box::new(FullScreen::enter(theme)?)))
    }

    /// Shows lines, and leaves the terminal as it is.
    #[must_use]
    pub fn linear() -> Self {
        Self::Linear(LinearScreen::default())
    }

    /// Draws a frame; only what changed is written.
    ///
    /// # Errors
    /// When the terminal is gone.
    pub fn draw(&mut self, app: &mut App) -> Result<()> {
        match self {
            Self::Full(screen) => screen.draw(app),
            Self::Linear(screen) => Ok(screen.tell(app)?),
        }
    }

    /// The next frame is drawn whole.
    ///
    /// # Errors
    /// When the terminal is gone.
    pub fn clear(&mut self) -> Result<()> {
        match self {
            Self::Full(screen) => screen.clear(),
            Self::Linear(screen) => {
                screen.ask();
                Ok(())
            }
        }
    }

    /// Gives the terminal back.
    ///
    /// # Errors
    /// When what was drawn last can't be written.
    pub fn leave(&mut self) -> Result<()> {
        match self {
            Self::Full(screen) => screen.leave(),
            Self::Linear(_) => Ok(()),
        }
    }

    /// Takes the terminal again after [`Screen::leave`].
    ///
    /// # Errors
    /// When it can't be switched.
    pub fn enter_again(&mut self) -> Result<()> {
        match self {
            Self::Full(screen) => screen.enter_again(),
            Self::Linear(_) => Ok(()),
        }
    }

    /// Stops the program, as Ctrl-z does; returns when it is continued.
    ///
    /// # Errors
    /// When the terminal can't be switched.
    pub fn suspend(&mut self) -> Result<()> {
        self.leave()?;
        nix::sys::signal::kill(
            nix::unistd::Pid::from_raw(0),
            nix::sys::signal::Signal::SIGTSTP,
        )?;
        self.enter_again()
    }

    /// Puts text on the clipboard of the terminal that shows us, by OSC 52.
    ///
    /// # Errors
    /// When it is too long, or the terminal is gone.
    pub fn copy_text(&mut self, text: &str) -> Result<()> {
        ensure!(
            text.len() <= MAX_COPY_BYTES,
            "{}",
            tr!("too long for the terminal's clipboard, save it instead")
        );
        match self {
            Self::Full(screen) => screen.copy_text(text),
            Self::Linear(_) => {
                ensure!(
                    io::stdout().is_terminal(),
                    "{}",
                    tr!("there is no terminal")
                );
                execute!(io::stdout(), CopyToClipboard::to_clipboard_from(text))?;
                Ok(())
            }
        }
    }

    /// Rings the terminal's bell, and asks it to show `text` on the desktop. Terminals that know
    /// neither sequence ignore it.
    ///
    /// # Errors
    /// When the terminal is gone.
    pub fn ring_alarm(&mut self, text: &str, bell: bool, notify: NotifyMethod) -> Result<()> {
        match self {
            Self::Full(screen) => screen.ring_alarm(text, bell, notify),
            Self::Linear(_) => {
                outln!("{}", tr!("alert: {}", matou_base::text::clean_line(text)))?;
                Ok(())
            }
        }
    }
}

/// The whole terminal.
#[doc(hidden)]
pub struct FullScreen {
    terminal: Terminal<QuietBackend<BufWriter<Stdout>>>,
    mouse: bool,
}

impl FullScreen {
    /// Takes the terminal.
    fn enter(theme: &ThemeConfig) -> Result<Self> {
        acquire_terminal(theme.mouse)?;
        let backend = QuietBackend::new(BufWriter::with_capacity(64 * 1024, io::stdout()));
        Ok(Self {
            terminal: Terminal::new(backend)?,
            mouse: theme.mouse,
        })
    }

    /// Draws a frame; only cells that changed are written.
    fn draw(&mut self, app: &mut App) -> Result<()> {
        let mut layout = Layout::default();
        self.terminal.draw(|frame| layout = view(app, frame))?;
        app.take_layout(layout);
        Ok(())
    }

    /// The next frame is drawn whole.
    fn clear(&mut self) -> Result<()> {
        self.terminal.clear()?;
        Ok(())
    }

    /// Gives the terminal back.
    fn leave(&mut self) -> Result<()> {
        // Not ratatui's own `flush`, which draws: that would come after the shell's screen is back.
        Write::flush(self.terminal.backend_mut())?;
        release_terminal();
        Ok(())
    }

    /// Takes the terminal again after [`Screen::leave`].
    fn enter_again(&mut self) -> Result<()> {
        acquire_terminal(self.mouse)?;
        self.terminal.backend_mut().cursor_hidden = false;
        self.clear()
    }

    /// Puts text on the clipboard of the terminal that shows us, by OSC 52.
    fn copy_text(&mut self, text: &str) -> Result<()> {
        let out = self.terminal.backend_mut();
        execute!(out, CopyToClipboard::to_clipboard_from(text))?;
        Ok(())
    }
}

impl FullScreen {
    /// Rings the terminal's bell, and asks it to show `text` on the desktop. Terminals that know
    /// neither sequence ignore it.
    fn ring_alarm(&mut self, text: &str, bell: bool, notify: NotifyMethod) -> Result<()> {
        let out = self.terminal.backend_mut();
        out.write_all(alarm_sequence(text, bell, notify).as_bytes())?;
        Write::flush(&mut out.inner)?;
        Ok(())
    }
}

/// OSC 9 (iTerm2) or OSC 777 (rxvt-unicode), closed with ST; the text can't close it earlier.
fn alarm_sequence(text: &str, bell: bool, notify: NotifyMethod) -> String {
    let text = matou_base::text::clean_line(text);
    let mut sequence = match notify {
        NotifyMethod::Off => String::new(),
        NotifyMethod::Osc9 => format!("\x1b]9;{text}\x1b\\"),
        NotifyMethod::Osc777 => format!("\x1b]777;notify;matou;{}\x1b\\", text.replace(';', ",")),
    };
    if bell {
        sequence.push('\x07');
    }
    sequence
}

impl Drop for FullScreen {
    fn drop(&mut self) {
        release_terminal();
    }
}

fn acquire_terminal(mouse: bool) -> Result<()> {
    enable_raw_mode()?;
    ENTERED.store(true, Ordering::Relaxed);
    execute!(io::stdout(), EnterAlternateScreen, EnableBracketedPaste)?;
    if mouse {
        execute!(io::stdout(), EnableMouseCapture)?;
    }
    Ok(())
}

/// ratatui's backend, silent when nothing changed: it writes a frame's bytes inside a synchronized
/// update, and none at all for a frame without changed cells.
struct QuietBackend<W: Write> {
    inner: CrosstermBackend<W>,
    cursor_hidden: bool,
    writing: bool,
}

impl<W: Write> QuietBackend<W> {
    fn new(writer: W) -> Self {
        Self {
            inner: CrosstermBackend::new(writer),
            cursor_hidden: false,
            writing: false,
        }
    }

    fn begin_update(&mut self) -> io::Result<()> {
        if !std::mem::replace(&mut self.writing, true) {
            queue!(self.inner, BeginSynchronizedUpdate)?;
        }
        Ok(())
    }
}

impl<W: Write> Write for QuietBackend<W> {
    fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
        self.inner.write(bytes)
    }

    fn flush(&mut self) -> io::Result<()> {
        Write::flush(&mut self.inner)
    }
}

impl<W: Write> Backend for QuietBackend<W> {
    type Error = io::Error;

    fn draw<'a, I>(&mut self, content: I) -> io::Result<()>
    where
        I: Iterator<Item = (u16, u16, &'a Cell)>,
    {
        let mut content = content.peekable();
        if content.peek().is_none() {
            return Ok(());
        }
        self.begin_update()?;
        self.inner.draw(content)
    }

    fn hide_cursor(&mut self) -> io::Result<()> {
        if std::mem::replace(&mut self.cursor_hidden, true) {
            return Ok(());
        }
        self.begin_update()?;
        self.inner.hide_cursor()
    }

    fn show_cursor(&mut self) -> io::Result<()> {
        self.cursor_hidden = false;
        self.inner.show_cursor()
    }

    /// Returns the origin without asking the terminal. Its answer would be taken by the key reader,
    /// and slow on a slow link. Nothing is drawn relative to the cursor.
    fn get_cursor_position(&mut self) -> io::Result<Position> {
        Ok(Position::ORIGIN)
    }

    fn set_cursor_position<P: Into<Position>>(&mut self, position: P) -> io::Result<()> {
        self.begin_update()?;
        self.inner.set_cursor_position(position)
    }

    fn clear(&mut self) -> io::Result<()> {
        self.begin_update()?;
        self.inner.clear()
    }

    fn clear_region(&mut self, kind: ClearType) -> io::Result<()> {
        self.begin_update()?;
        self.inner.clear_region(kind)
    }

    fn size(&self) -> io::Result<Size> {
        self.inner.size()
    }

    fn window_size(&mut self) -> io::Result<WindowSize> {
        self.inner.window_size()
    }

    fn flush(&mut self) -> io::Result<()> {
        if std::mem::take(&mut self.writing) {
            queue!(self.inner, EndSynchronizedUpdate)?;
            return Write::flush(&mut self.inner);
        }
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use ratatui::{TerminalOptions, Viewport, layout::Rect};

    use super::*;

    #[test]
    fn a_notification_is_one_sequence_whatever_its_text() {
        let text = "blog: \x1b\\\x07 down;x";
        assert_eq!(alarm_sequence(text, false, NotifyMethod::Off), "");
        let osc9 = alarm_sequence(text, true, NotifyMethod::Osc9);
        assert!(osc9.starts_with("\x1b]9;blog: ") && osc9.ends_with("down;x\x1b\\\x07"));
        assert_eq!(osc9.matches('\x1b').count(), 2);
        let osc777 = alarm_sequence(text, false, NotifyMethod::Osc777);
        assert!(osc777.starts_with("\x1b]777;notify;matou;blog: "));
        assert_eq!(
            (osc777.matches('\x1b').count(), osc777.matches(';').count()),
            (2, 3)
        );
    }

    #[test]
    fn a_frame_without_changes_writes_no_byte() {
        let options = TerminalOptions {
            viewport: Viewport::Fixed(Rect::new(0, 0, 20, 3)),
        };
        let mut bytes = Vec::new();
        {
            let backend = QuietBackend::new(&mut bytes);
            let mut terminal = Terminal::with_options(backend, options).unwrap();
            terminal.draw(|f| f.render_widget("one", f.area())).unwrap();
        }
        let first = bytes.len();
        assert!(first > 0);
        let text = String::from_utf8_lossy(&bytes).into_owned();
        assert!(
            text.starts_with("\x1b[?2026h") && text.ends_with("\x1b[?2026l\x1b[?25h"),
            "{text:?}"
        );
        let options = TerminalOptions {
            viewport: Viewport::Fixed(Rect::new(0, 0, 20, 3)),
        };
        let mut bytes = Vec::new();
        let backend = QuietBackend::new(&mut bytes);
        let mut terminal = Terminal::with_options(backend, options).unwrap();
        for _ in 0..10 {
            terminal.draw(|f| f.render_widget("one", f.area())).unwrap();
        }
        drop(terminal);
        assert_eq!(bytes.len(), first, "later frames wrote bytes");
    }
}
