//! The program's own log, which `MATOU_LOG` turns on: what connects, runs and answers, and how long it took.
//!
//! Only what matou says of itself is in it, never what the libraries below it would say: those know
//! headers, bodies and arguments, and so secrets. An event has names, counts, times and kinds of
//! results; no arguments, input, output, environment or query. Every event is one line, and holds
//! nothing that a terminal obeys.

use std::fs::File;
use std::io::{self, Write};
use std::os::unix::fs::{FileTypeExt, MetadataExt};
use std::path::{Path, PathBuf};
use std::str::FromStr;
use std::sync::{Arc, Mutex, PoisonError};

use tracing::level_filters::LevelFilter;
use tracing_subscriber::filter::Targets;
use tracing_subscriber::fmt::MakeWriter;
use tracing_subscriber::layer::SubscriberExt;
use tracing_subscriber::util::SubscriberInitExt;

use matou_base::text::{InvalidInput, clean_line, escape_line};

/// Says what is logged.
const FILTER_VARIABLE: &str = "MATOU_LOG";

/// Says where, instead of the usual place.
const FILE_VARIABLE: &str = "MATOU_LOG_FILE";

/// A file of this size is set aside, in the place of the one before.
const MAX_LOG_BYTES: u64 = 10 << 20;

const LEVELS: [&str; 6] = ["off", "error", "warn", "info", "debug", "trace"];

/// Layers that log something. A filter that names another would show nothing.
const PARTS: [&str; 7] = ["collect", "docker", "host", "job", "ops", "runtime", "ui"];

/// Text at the end of `matou --help`.
pub const HELP: &str = "\
Environment: MATOU_LOG turns a log on that is of use when something is reported: error, warn, info, debug or \
trace, for all of matou or for parts as matou_host=debug, several with commas. It goes to standard error, that \
of the console to $XDG_STATE_HOME/matou/log/matou.log, and either to the file that MATOU_LOG_FILE names. \
LC_ALL, LC_MESSAGES and LANG choose the language";

/// Why there is no log.
#[expect(missing_docs, reason = "its sentences say it")]
#[derive(Debug, thiserror::Error)]
pub enum LogError {
    #[error("MATOU_LOG: {0}")]
    Filter(InvalidInput),
    #[error(
        "the log {path} can't be written: {why}; name another file with MATOU_LOG_FILE, or unset MATOU_LOG"
    )]
    File { path: String, why: String },
}

/// Turns the log on when `MATOU_LOG` says so. That of the console, which has the screen to itself, goes
/// to a file, and holds warnings and panics even without `MATOU_LOG`. Otherwise nothing is opened, and
/// logging costs a comparison.
///
/// # Errors
/// When the filter is wrong, or the file that was asked for can't be written.
pub fn start_log(of_console: bool) -> Result<(), LogError> {
    let asked = std::env::var_os(FILTER_VARIABLE).filter(|filter| !filter.is_empty());
    let filter = match &asked {
        Some(filter) => filter.to_string_lossy(),
        // What goes wrong behind the screen would be told nowhere.
        None if of_console => "warn".into(),
        None => return Ok(()),
    };
    let filter: LogFilter = filter.parse().map_err(LogError::Filter)?;
    if filter.is_off() {
        return Ok(());
    }
    let named = std::env::var_os(FILE_VARIABLE).filter(|path| !path.is_empty());
    let opened = match named.map(PathBuf::from) {
        Some(path) => LogWriter::open(path),
        None if of_console => usual_log_path().and_then(LogWriter::open),
        None => Ok(LogWriter::StandardError),
    };
    let writer = match opened {
        Ok(writer) => writer,
        Err(e) if asked.is_some() => return Err(e),
        // The console opens without.
        Err(_) => return Ok(()),
    };
    let lines = tracing_subscriber::fmt::layer()
        .with_ansi(false)
        .with_writer(writer);
    tracing_subscriber::registry()
        .with(filter.targets)
        .with(lines)
        .init();
    Ok(())
}

fn usual_log_path() -> Result<PathBuf, LogError> {
    let found = matou_config::ensure_state_dir().map(|state| state.join("log/matou.log"));
    let path = found.map_err(|e| LogError::File {
        path: "of the console".into(),
        why: clean_line(&format!("{e:#}")).into_owned(),
    })?;
    if let Some(folder) = path.parent() {
        matou_base::files::make_folder(folder).map_err(|e| file_error(&path, &e))?;
    }
    Ok(path)
}

fn file_error(path: &Path, error: &io::Error) -> LogError {
    LogError::File {
        path: escape_line(&path.to_string_lossy()).into_owned(),
        why: error.to_string(),
    }
}

/// What is logged: levels for matou as a whole and for parts of it.
#[derive(Debug, Clone)]
struct LogFilter {
    targets: Targets,
    highest: LevelFilter,
}

impl LogFilter {
    fn is_off(&self) -> bool {
        self.highest == LevelFilter::OFF
    }
}

impl FromStr for LogFilter {
    type Err = InvalidInput;

    fn from_str(text: &str) -> Result<Self, InvalidInput> {
        let mut filter = Self {
            targets: Targets::new().with_default(LevelFilter::OFF),
            highest: LevelFilter::OFF,
        };
        for directive in text.split(',').map(str::trim).filter(|d| !d.is_empty()) {
            let (target, level) = match directive.split_once('=') {
                Some((target, level)) => (target.trim(), parse_level(level.trim())),
                None if directive.starts_with("matou") => (directive, Some(LevelFilter::TRACE)),
                None => ("matou", parse_level(directive)),
            };
            let Some(level) = level.filter(|_| is_part(target)) else {
                return Err(explain_directive(directive));
            };
            filter.targets = filter.targets.with_target(target, level);
            filter.highest = filter.highest.max(level);
        }
        Ok(filter)
    }
}

fn parse_level(text: &str) -> Option<LevelFilter> {
    let known = LEVELS.iter().any(|level| level.eq_ignore_ascii_case(text));
    known.then(|| text.parse().ok()).flatten()
}

/// Whether it is matou or a layer of it that logs.
fn is_part(target: &str) -> bool {
    let mut path = target.split("::");
    let first = path.next().unwrap_or_default();
    let is_layer = first
        .strip_prefix("matou_")
        .is_some_and(|part| PARTS.contains(&part));
    (first == "matou" || is_layer) && path.all(|module| !module.is_empty())
}

fn explain_directive(directive: &str) -> InvalidInput {
    InvalidInput::new(format_args!(
        "\"{}\" is no level and no part of matou with one: write {}, or as matou_host=debug a part of {}; several with commas",
        escape_line(directive),
        LEVELS.join(", "),
        PARTS.map(|part| format!("matou_{part}")).join(", "),
    ))
}

/// Where lines go. Cheap to clone.
#[derive(Clone)]
enum LogWriter {
    StandardError,
    File(Arc<Mutex<LogFile>>),
}

impl LogWriter {
    fn open(path: PathBuf) -> Result<Self, LogError> {
        // Opening a pipe that nobody reads would wait for ever.
        if std::fs::metadata(&path).is_ok_and(|meta| meta.file_type().is_fifo()) {
            return Err(file_error(
                &path,
                &io::Error::other("it is a pipe, no file"),
            ));
        }
        let opened = matou_base::files::open_append(&path);
        let file = opened.map_err(|e| file_error(&path, &e))?;
        let file = LogFile {
            path,
            file,
            most: MAX_LOG_BYTES,
        };
        Ok(Self::File(Arc::new(Mutex::new(file))))
    }
}

impl<'a> MakeWriter<'a> for LogWriter {
    type Writer = Self;

    fn make_writer(&'a self) -> Self {
        self.clone()
    }
}

impl Write for LogWriter {
    /// Takes one event.
    fn write(&mut self, event: &[u8]) -> io::Result<usize> {
        let text = String::from_utf8_lossy(event);
        let line = text.strip_suffix('\n').unwrap_or(&text);
        match self {
            Self::StandardError => matou_base::out::note_line(format_args!("{line}")),
            Self::File(file) => {
                let line = format!("{}\n", escape_line(line));
                let mut file = file.lock().unwrap_or_else(PoisonError::into_inner);
                file.write_line(line.as_bytes())?;
            }
        }
        Ok(event.len())
    }

    fn flush(&mut self) -> io::Result<()> {
        Ok(())
    }
}

/// A log that does not grow for ever. Several processes may write it.
struct LogFile {
    path: PathBuf,
    file: File,
    /// Bytes after which it is set aside.
    most: u64,
}

impl LogFile {
    fn write_line(&mut self, line: &[u8]) -> io::Result<()> {
        let here = self.file.metadata()?;
        // A pipe or a terminal has no size.
        if here.is_file() && here.len() > 0 && here.len() + line.len() as u64 > self.most {
            let named = std::fs::metadata(&self.path);
            // Unless another process has set it aside already.
            if named.is_ok_and(|n| (n.dev(), n.ino()) == (here.dev(), here.ino())) {
                let mut old = self.path.as_os_str().to_owned();
                old.push(".old");
                // Where it can't be set aside, it goes on growing: no line is lost for that.
                if std::fs::rename(&self.path, old).is_err() {
                    return self.file.write_all(line);
                }
            }
            self.file = matou_base::files::open_append(&self.path)?;
        }
        self.file.write_all(line)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn parse(text: &str) -> Result<LogFilter, String> {
        text.parse::<LogFilter>().map_err(|e| e.to_string())
    }

    #[test]
    fn a_pipe_is_no_file_for_a_log() {
        let dir = tempfile::tempdir().unwrap();
        let pipe = dir.path().join("pipe");
        nix::unistd::mkfifo(&pipe, nix::sys::stat::Mode::S_IRWXU).unwrap();
        let (told, answer) = std::sync::mpsc::channel();
        std::thread::spawn(move || {
            let refused = LogWriter::open(pipe).err().map(|e| e.to_string());
            let _ = told.send(refused);
        });
        let refused = answer.recv_timeout(std::time::Duration::from_secs(10));
        assert!(refused.unwrap().unwrap().contains("it is a pipe, no file"));
    }

    #[test]
    fn a_filter_lets_only_matou_speak() {
        use tracing::Level;
        let shows = |filter: &str, target: &str, level: Level| {
            parse(filter).unwrap().targets.would_enable(target, &level)
        };
        assert!(shows("debug", "matou_host::ssh", Level::DEBUG));
        assert!(!shows("debug", "matou_host::ssh", Level::TRACE));
        assert!(shows("INFO, matou_host=trace", "matou_host", Level::TRACE));
        assert!(shows("INFO, matou_host=trace", "matou_job", Level::INFO));
        assert!(!shows("INFO, matou_host=trace", "matou_job", Level::DEBUG));
        assert!(shows("matou_job", "matou_job::runner", Level::TRACE));
        assert!(!shows("matou_job", "matou_host", Level::ERROR));
        for filter in ["trace", "matou=trace", "matou"] {
            for target in ["hyper::client", "bollard::docker", "openssh", "rustls"] {
                assert!(!shows(filter, target, Level::ERROR), "{filter} {target}");
            }
        }
        for filter in ["", "off", " , ", "matou_host=off"] {
            assert!(parse(filter).unwrap().is_off(), "{filter}");
        }
    }

    #[test]
    fn a_wrong_filter_is_explained() {
        for filter in [
            "debgu",
            "1",
            "hyper=trace",
            "debug,hyper",
            "matou_hots=debug",
            "matou_host=",
            "matou_host::=debug",
            "matoux=debug",
            "=debug",
            "[span]=debug",
        ] {
            let why = parse(filter).unwrap_err();
            assert!(
                why.contains("off, error, warn, info, debug, trace"),
                "{why}"
            );
            assert!(why.contains("matou_host=debug"), "{why}");
        }
        let why = parse("a\x1b]0;x").unwrap_err();
        assert!(why.starts_with("\"a\\x1b]0;x\""), "{why}");
    }

    #[test]
    fn its_parts_are_the_crates_that_log() {
        let crates = Path::new(env!("CARGO_MANIFEST_DIR")).join("crates");
        let mut parts = std::collections::BTreeSet::new();
        let mut folders = vec![crates.clone()];
        while let Some(folder) = folders.pop() {
            for entry in folder.read_dir().unwrap().map(Result::unwrap) {
                let path = entry.path();
                if path.is_dir() {
                    folders.push(path);
                } else if path.extension().is_some_and(|e| e == "rs")
                    && std::fs::read_to_string(&path)
                        .unwrap()
                        .contains("tracing::")
                {
                    let part = path.strip_prefix(&crates).unwrap().iter().next().unwrap();
                    parts.insert(part.to_str().unwrap().to_owned());
                }
            }
        }
        assert_eq!(parts.into_iter().collect::<Vec<_>>(), PARTS);
    }

    #[test]
    fn an_event_is_one_safe_line() {
        use matou_base::payloads::{PAYLOADS, is_safe};
        let dir = tempfile::tempdir().unwrap();
        let path = dir.path().join("log");
        let writer = LogWriter::open(path.clone()).unwrap();
        let subscriber = tracing_subscriber::registry().with(
            tracing_subscriber::fmt::layer()
                .with_ansi(false)
                .with_writer(writer),
        );
        tracing::subscriber::with_default(subscriber, || {
            for payload in PAYLOADS {
                tracing::info_span!("span", field = %payload, debug = ?payload)
                    .in_scope(|| tracing::info!(text = payload, "said {payload}"));
            }
        });
        let text = std::fs::read_to_string(&path).unwrap();
        assert_eq!(text.lines().count(), PAYLOADS.len());
        assert!(is_safe(&text), "{text:?}");
    }

    #[test]
    fn it_does_not_grow_for_ever() {
        use std::os::unix::fs::PermissionsExt;
        let dir = tempfile::tempdir().unwrap();
        let path = dir.path().join("matou.log");
        // Two processes.
        let mut logs = [(); 2].map(|()| LogFile {
            path: path.clone(),
            file: matou_base::files::open_append(&path).unwrap(),
            most: 100,
        });
        for n in 0..20 {
            logs[n % 2]
                .write_line(format!("{n:0>29}\n").as_bytes())
                .unwrap();
        }
        let read = |path: &Path| std::fs::read_to_string(path).unwrap();
        let (old, new) = (read(&dir.path().join("matou.log.old")), read(&path));
        assert!(old.len() <= 100 && new.len() <= 100, "{old}{new}");
        let last: Vec<usize> = (old + &new).lines().map(|l| l.parse().unwrap()).collect();
        assert_eq!(last, (20 - last.len()..20).collect::<Vec<_>>());
        assert_eq!(dir.path().read_dir().unwrap().count(), 2);
        assert_eq!(path.metadata().unwrap().permissions().mode() & 0o777, 0o600);
    }
}
