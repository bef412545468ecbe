//! A command to run on a host. The one place where arguments are quoted for a remote shell.

use std::fmt;
use std::sync::PoisonError;
use std::time::Duration;

use secrecy::{ExposeSecret, SecretBox};
use tokio::sync::mpsc;

/// What a command gets on standard input.
#[derive(Default)]
pub(super) enum CommandInput {
    #[default]
    Nothing,
    Bytes(Vec<u8>),
    Secret(SecretBox<Vec<u8>>),
    /// What is sent while it runs; taken by the one who runs it.
    Live(std::sync::Mutex<Option<mpsc::Receiver<Vec<u8>>>>),
}

impl CommandInput {
    pub(super) fn bytes(&self) -> &[u8] {
        match self {
            Self::Nothing | Self::Live(_) => &[],
            Self::Bytes(bytes) => bytes,
            Self::Secret(bytes) => bytes.expose_secret(),
        }
    }

    /// What comes while the command runs, for the first who asks.
    pub(super) fn take_live(&self) -> Option<mpsc::Receiver<Vec<u8>>> {
        match self {
            Self::Live(live) => live.lock().unwrap_or_else(PoisonError::into_inner).take(),
            _ => None,
        }
    }
}

/// A program with its arguments. `Display` shows it as a shell line, without standard input.
///
/// Nothing secret belongs into an argument: every user of the node can read it in the process
/// list. Secrets go through [`Command::secret_stdin`].
pub struct Command {
    program: String,
    args: Vec<String>,
    sudo: bool,
    pub(super) stdin: CommandInput,
    pub(super) timeout: Option<Duration>,
    label: Option<String>,
}

impl Command {
    /// Runs `program`, found in the node's PATH.
    pub fn new(program: impl Into<String>) -> Self {
        Self {
            program: program.into(),
            args: Vec::new(),
            sudo: false,
            stdin: CommandInput::default(),
            timeout: None,
            label: None,
        }
    }

    /// Runs a POSIX shell script; what it needs from outside comes as `$1`, `$2`, … through
    /// [`Command::arg`], never pasted into its text.
    pub fn sh(script: impl Into<String>) -> Self {
        Self::new("sh").arg("-c").arg(script).arg("sh")
    }

    /// Runs a POSIX shell script that comes on standard input, as one does that is long. The shell reads
    /// all of it before it runs any of it: the script may put something else in the place of its input
    /// (`exec </dev/null`).
    pub fn sh_from_input(script: &str) -> Self {
        Self::new("sh")
            .arg("-s")
            .stdin(format!("{{\n{script}\n}}\n").into_bytes())
    }

    /// Adds an argument.
    pub fn arg(mut self, arg: impl Into<String>) -> Self {
        self.args.push(arg.into());
        self
    }

    /// Adds arguments.
    pub fn args<S: Into<String>>(mut self, args: impl IntoIterator<Item = S>) -> Self {
        self.args.extend(args.into_iter().map(Into::into));
        self
    }

    /// Runs it as root: by `sudo -n` when the user is not root already.
    pub fn sudo(mut self) -> Self {
        self.sudo = true;
        self
    }

    /// What the command reads; without, its input is empty.
    pub fn stdin(mut self, bytes: Vec<u8>) -> Self {
        self.stdin = CommandInput::Bytes(bytes);
        self
    }

    /// What the command reads, wiped from memory afterwards and shown nowhere.
    pub fn secret_stdin(mut self, bytes: SecretBox<Vec<u8>>) -> Self {
        self.stdin = CommandInput::Secret(bytes);
        self
    }

    /// What the command reads comes while it runs; its input ends when the sender is dropped. Such a
    /// command can be run once.
    pub fn live_stdin(mut self, input: mpsc::Receiver<Vec<u8>>) -> Self {
        self.stdin = CommandInput::Live(std::sync::Mutex::new(Some(input)));
        self
    }

    /// Ends the command when it takes longer.
    pub fn timeout(mut self, limit: Duration) -> Self {
        self.timeout = Some(limit);
        self
    }

    /// Shown instead of the command itself, for long scripts.
    pub fn label(mut self, label: impl Into<String>) -> Self {
        self.label = Some(label.into());
        self
    }

    /// Program and arguments, with sudo when asked for and needed.
    ///
    /// Messages of programs are read by matou: LC_ALL=C makes them the same everywhere.
    pub(super) fn argv(&self, is_root: bool) -> Vec<&str> {
        let mut argv = Vec::with_capacity(self.args.len() + 6);
        if self.sudo && !is_root {
            argv.extend(["sudo", "-n", "--"]);
        }
        argv.extend(["env", "LC_ALL=C"]);
        argv.push(&self.program);
        argv.extend(self.args.iter().map(String::as_str));
        argv
    }

    /// What is run, without arguments.
    pub(super) fn program_name(&self) -> &str {
        &self.program
    }

    pub(super) fn count_args(&self) -> usize {
        self.args.len()
    }

    /// Returns what the command reads on its standard input.
    pub fn input(&self) -> &[u8] {
        self.stdin.bytes()
    }

    pub(super) fn wants_sudo(&self) -> bool {
        self.sudo
    }
}

/// Quotes arguments for a POSIX shell. A NUL can't be part of an argument on any Unix: it is
/// dropped.
pub fn quote_args<'a>(args: impl IntoIterator<Item = &'a str>) -> String {
    let mut line = String::new();
    for arg in args {
        if !line.is_empty() {
            line.push(' ');
        }
        let clean: String;
        let arg = if arg.contains('\0') {
            clean = arg.replace('\0', "");
            &clean
        } else {
            arg
        };
        // Only a NUL makes quoting fail.
        line.push_str(&shlex::try_quote(arg).unwrap_or_default());
    }
    line
}

impl fmt::Display for Command {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        if let Some(label) = &self.label {
            return f.write_str(label);
        }
        let argv =
            std::iter::once(self.program.as_str()).chain(self.args.iter().map(String::as_str));
        f.write_str(&matou_base::text::clean_line(&quote_args(argv)))
    }
}

impl fmt::Debug for Command {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        fmt::Display::fmt(self, f)
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    fn through_a_shell(args: &[String]) -> Vec<String> {
        let line = quote_args(args.iter().map(String::as_str));
        let out = std::process::Command::new("sh")
            .arg("-c")
            .arg(format!("printf '%s\\0' {line}"))
            .output()
            .unwrap();
        assert!(
            out.status.success(),
            "{}",
            String::from_utf8_lossy(&out.stderr)
        );
        let text = String::from_utf8(out.stdout).unwrap();
        let mut found: Vec<String> = text.split('\0').map(str::to_owned).collect();
        assert_eq!(found.pop().as_deref(), Some(""));
        found
    }

    #[test]
    fn known_traps_pass_a_real_shell_unchanged() {
        let traps = [
            "",
            "-rf",
            "a b",
            "a\nb",
            "'",
            "\"",
            "$(id)",
            "`id`",
            "${HOME}",
            "!x",
            "*",
            "~",
            "\\",
            "é日本",
            "a;b",
            "a&b",
            "a|b",
            "#x",
            "\u{1b}[2J",
            "=x",
            "\t",
            "{a,b}",
            "a'\"b'",
            "%s",
            "\r",
        ]
        .map(str::to_owned);
        assert_eq!(through_a_shell(&traps), traps);
    }

    proptest! {
        #![proptest_config(ProptestConfig::with_cases(128))]
        #[test]
        fn any_argument_passes_a_real_shell_unchanged(args in prop::collection::vec("[^\0]{0,40}", 1..6)) {
            prop_assert_eq!(through_a_shell(&args), args);
        }
    }

    #[test]
    fn what_is_shown_has_no_input_and_no_escape_sequences() {
        let command = Command::new("docker")
            .args(["login", "\u{1b}]0;x\u{7}"])
            .secret_stdin(SecretBox::new(Box::new(b"hunter2".to_vec())));
        let shown = format!("{command} {command:?}");
        assert!(
            !shown.contains("hunter2") && !shown.contains('\u{1b}'),
            "{shown}"
        );
        assert_eq!(command.argv(false)[..2], ["env", "LC_ALL=C"]);
        assert_eq!(
            Command::new("id").sudo().argv(false)[..3],
            ["sudo", "-n", "--"]
        );
        assert_eq!(
            Command::new("id").sudo().argv(true)[..2],
            ["env", "LC_ALL=C"]
        );
    }
}
