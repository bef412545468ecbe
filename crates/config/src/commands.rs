//! The operator's own commands, `[[commands]]`: programs of this machine that the console starts about what is
//! selected. Names of applications, domains and volumes come from servers: each becomes one argument, or a part of
//! one, and never a line of a shell.
//!
//! This file, `load`, `raw` and `types` need each other: the checks of all tables are methods of one checker, and
//! what a table may say is written once.

use std::fmt;
use std::ops::Range;

use matou_i18n::tr;

use super::error::find_nearest_name;
use super::load::ConfigChecker;
use super::{ConfigError, raw};

/// A command of the operator.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct CommandConfig {
    /// The key, as written; `None`: palette and help alone have it. The console's key map reads it.
    pub key: Option<String>,
    /// What it does, in a few words.
    pub description: String,
    /// What must be selected for it; empty: anything, or nothing.
    pub places: Vec<CommandPlace>,
    /// The program and its arguments, with placeholders in them.
    pub argv: Vec<String>,
    /// Where it runs.
    pub run: CommandRun,
    /// It is shown, and asked for, before it runs.
    pub confirm: bool,
    /// Bytes of the key in config.toml, or of the description; for errors.
    pub span: Range<usize>,
}

/// What a command is about.
#[derive(Debug, Clone, Copy, PartialEq, Eq, serde::Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum CommandPlace {
    /// An application.
    Applications,
    /// A service, or one of its tasks.
    Services,
    /// A server.
    Nodes,
    /// A volume.
    Volumes,
    /// A certificate.
    Certificates,
    /// A snapshot, or the newest one of an application.
    Snapshots,
}

impl CommandPlace {
    /// Returns the word of config.toml.
    pub fn as_str(self) -> &'static str {
        match self {
            Self::Applications => "applications",
            Self::Services => "services",
            Self::Nodes => "nodes",
            Self::Volumes => "volumes",
            Self::Certificates => "certificates",
            Self::Snapshots => "snapshots",
        }
    }
}

/// Where a command of the operator runs.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default, serde::Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum CommandRun {
    /// Beside the console; its output is among that of the jobs.
    #[default]
    Background,
    /// In the terminal, which the console gives away meanwhile.
    Terminal,
}

/// What stands for something selected in an argument.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Placeholder {
    /// The application.
    App,
    /// The node.
    Node,
    /// The service.
    Service,
    /// The volume.
    Volume,
    /// Id of the snapshot.
    Snapshot,
    /// The first domain.
    Domain,
    /// Path of config.toml.
    Config,
}

impl Placeholder {
    /// Every one, in the order in which they are listed.
    pub const ALL: [Self; 7] = [
        Self::App,
        Self::Node,
        Self::Service,
        Self::Volume,
        Self::Snapshot,
        Self::Domain,
        Self::Config,
    ];

    /// Returns its name, without the braces.
    pub fn name(self) -> &'static str {
        match self {
            Self::App => "app",
            Self::Node => "node",
            Self::Service => "service",
            Self::Volume => "volume",
            Self::Snapshot => "snapshot",
            Self::Domain => "domain",
            Self::Config => "config",
        }
    }
}

impl fmt::Display for Placeholder {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{{{}}}", self.name())
    }
}

/// A part of an argument.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum ArgumentPart<'a> {
    /// As it is written.
    Text(&'a str),
    /// To be filled in.
    Placeholder(Placeholder),
}

/// Splits an argument into text and placeholders. What is in braces and no word of small letters, as `{{.Names}}`,
/// is text.
///
/// # Errors
/// A word in braces that is no placeholder.
pub fn split_argument(argument: &str) -> Result<Vec<ArgumentPart<'_>>, &str> {
    let mut parts = Vec::new();
    let mut rest = argument;
    let mut from = 0;
    while let Some(open) = rest[from..].find('{').map(|at| from + at) {
        let word = rest[open + 1..].split(['{', '}']).next().unwrap_or("");
        let end = open + 1 + word.len();
        let is_word = !word.is_empty() && word.bytes().all(|b| b.is_ascii_lowercase());
        if !is_word || !rest[end..].starts_with('}') {
            from = open + 1;
            continue;
        }
        let found = Placeholder::ALL.into_iter().find(|p| p.name() == word);
        let placeholder = found.ok_or(word)?;
        if open > 0 {
            parts.push(ArgumentPart::Text(&rest[..open]));
        }
        parts.push(ArgumentPart::Placeholder(placeholder));
        rest = &rest[end + 1..];
        from = 0;
    }
    if !rest.is_empty() || parts.is_empty() {
        parts.push(ArgumentPart::Text(rest));
    }
    Ok(parts)
}

/// Programs that run a text after `-c` or `-e`.
const INTERPRETERS: [&str; 14] = [
    "sh", "ash", "bash", "busybox", "dash", "fish", "ksh", "lua", "node", "perl", "php", "python",
    "ruby", "zsh",
];

/// Whether an argument names a program that runs a text: `/bin/sh`, `python3`.
fn is_interpreter(argument: &str) -> bool {
    let name = argument.rsplit('/').next().unwrap_or(argument);
    let name = name.trim_end_matches(|c: char| c.is_ascii_digit() || c == '.');
    INTERPRETERS.contains(&name) || name == "su"
}

/// Returns where in a command a text lies that an interpreter runs.
fn find_script(argv: &[String]) -> Option<usize> {
    let program = argv.iter().position(|a| is_interpreter(a))?;
    let after = |at: usize| argv[at..].iter().enumerate().map(move |(i, a)| (at + i, a));
    let short =
        |a: &str| a.starts_with('-') && !a.starts_with("--") && a.ends_with(['c', 'e', 'r']);
    let asked = |a: &str| short(a) || ["--command", "--eval", "--execute"].contains(&a);
    let (flag, _) = after(program + 1).find(|(_, a)| asked(a))?;
    after(flag + 1)
        .find(|(_, a)| !a.starts_with('-'))
        .map(|(at, _)| at)
}

impl ConfigChecker<'_> {
    pub(super) fn check_commands(
        &self,
        commands: Vec<raw::RawCommandConfig>,
    ) -> Result<Vec<CommandConfig>, ConfigError> {
        commands
            .into_iter()
            .map(|command| self.check_command(command))
            .collect()
    }

    fn check_command(&self, raw: raw::RawCommandConfig) -> Result<CommandConfig, ConfigError> {
        let description = raw.description.get_ref().trim().to_owned();
        if description.is_empty() || description.contains(char::is_control) {
            let text =
                tr!("a command needs a description of one line, which help and palette show");
            return Err(self.error_at(raw.description.span(), text));
        }
        let span = raw.command.span();
        let argv = raw.command.into_inner();
        if argv.first().is_none_or(String::is_empty) {
            let text = tr!(
                "a command is a list of a program and its arguments, as [\"dig\", \"{{domain}}\"]"
            );
            return Err(self.error_at(span, &text));
        }
        let script = find_script(&argv);
        for (at, argument) in argv.iter().enumerate() {
            let parts = split_argument(argument).map_err(|word| {
                let near = find_nearest_name(word, Placeholder::ALL.map(Placeholder::name));
                let hint = near.map_or_else(
                    || {
                        tr!(
                            "there are {}",
                            Placeholder::ALL.map(|p| p.to_string()).join(" ")
                        )
                    },
                    |near| tr!("did you mean {{{near}}}?"),
                );
                self.error_at(
                    span.clone(),
                    &tr!("there is no placeholder {{{word}}}; {hint}"),
                )
            })?;
            let filled = parts.iter().find_map(|part| match part {
                ArgumentPart::Placeholder(p) => Some(p),
                ArgumentPart::Text(_) => None,
            });
            let Some(placeholder) = filled else { continue };
            if at == 0 {
                let text = tr!("{placeholder} comes from a server: it can't name the program");
                return Err(self.error_at(span, &text));
            }
            if script.is_some_and(|script| at <= script) {
                let text = tr!(
                    "{placeholder} comes from a server, and {} would run it: write \"$1\" there, and after it \"-\", \"{placeholder}\" as arguments of their own",
                    argv[0]
                );
                return Err(self.error_at(span, &text));
            }
        }
        Ok(CommandConfig {
            span: raw
                .key
                .as_ref()
                .map_or(raw.description.span(), toml::Spanned::span),
            key: raw.key.map(toml::Spanned::into_inner),
            description,
            places: raw.panes,
            argv,
            run: raw.run,
            confirm: raw.confirm,
        })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_argument_is_text_and_placeholders() {
        use ArgumentPart::{Placeholder as P, Text as T};
        let parts = |a| split_argument(a).unwrap();
        assert_eq!(parts(""), [T("")]);
        assert_eq!(parts("{app}"), [P(Placeholder::App)]);
        assert_eq!(
            parts("https://{domain}/x{node}"),
            [
                T("https://"),
                P(Placeholder::Domain),
                T("/x"),
                P(Placeholder::Node)
            ]
        );
        // Braces of others.
        for text in ["{{.Names}}", "${HOME}", "{}", "{ a }", "{app", "é{"] {
            assert_eq!(parts(text), [T(text)], "{text}");
        }
        assert_eq!(parts("{{app}}"), [T("{"), P(Placeholder::App), T("}")]);
        assert_eq!(split_argument("a {apps}"), Err("apps"));
    }

    #[test]
    fn the_text_that_an_interpreter_runs_is_found() {
        let script = |line: &[&str]| {
            let argv: Vec<String> = line.iter().map(|a| (*a).to_owned()).collect();
            find_script(&argv)
        };
        assert_eq!(script(&["sh", "-c", "x", "-", "{app}"]), Some(2));
        assert_eq!(script(&["sudo", "/bin/bash", "-ec", "-x", "x"]), Some(4));
        assert_eq!(script(&["python3.12", "-c", "x"]), Some(2));
        assert_eq!(script(&["sh", "script.sh", "{app}"]), None);
        assert_eq!(script(&["matou", "-c", "{config}"]), None);
    }
}
