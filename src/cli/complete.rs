//! Completions of names on the command line: from config.toml, the fleet's folder, and what was read of the
//! fleet before (`NameCache`). No server is asked. What can't be read is not completed, and nothing is said
//! of it: a message in the middle of a line that is typed helps nobody.

use matou_i18n::tr;
use std::collections::BTreeSet;
use std::ffi::OsStr;
use std::path::{Path, PathBuf};

use clap::ValueHint;
use clap_complete::CompleteEnv;
use clap_complete::engine::{
    ArgValueCompleter, CompletionCandidate, PathCompleter, ValueCompleter,
};
use color_eyre::eyre::{Result, eyre};

use super::french::translate_own_help;
use matou_collect::{KnownNames, NameCache, is_plain_word};
use matou_config::{CONCERNS, Config};
use matou_stack::{AppFile, Catalogue};

/// The variable by which the script of a shell asks for completions. Set to a shell's name, it makes the
/// program print them and end.
const VARIABLE: &str = "MATOU_COMPLETE";

/// Candidates that a shell is given at most.
const MAX_CANDIDATES: usize = 1000;

/// Answers a shell that asks for completions of this command line, and ends the program then. Does nothing else.
pub fn answer_shell(command: fn() -> clap::Command) {
    if std::env::var_os(VARIABLE).is_none() {
        return;
    }
    let folder = std::env::current_dir().ok();
    let asked = CompleteEnv::with_factory(|| completable_command(translate_own_help(command())))
        .var(VARIABLE);
    // A shell that is not known, or does not listen any more, gets no completions.
    if asked
        .try_complete(std::env::args_os(), folder.as_deref())
        .unwrap_or(true)
    {
        std::process::exit(0);
    }
}

/// Returns the script that makes a shell ask `matou` of its search path for completions.
///
/// # Errors
/// The shell is not known.
pub(super) fn registration_script(shell: clap_complete::Shell) -> Result<String> {
    let shells = clap_complete::env::Shells::builtins();
    let name = shell.to_string();
    let completer = shells.completer(&name);
    let completer =
        completer.ok_or_else(|| eyre!("{}", tr!("matou has no completions for {name}")))?;
    let mut script = Vec::new();
    completer.write_registration(VARIABLE, "matou", "matou", "matou", &mut script)?;
    Ok(String::from_utf8(script)?)
}

/// The command line, with paths completed as names are: a file may have any name, and ends on a command line.
fn completable_command(command: clap::Command) -> clap::Command {
    fn complete_paths(command: clap::Command) -> clap::Command {
        command
            .mut_args(|arg| match arg.get_value_hint() {
                ValueHint::AnyPath | ValueHint::FilePath
                    if arg.get::<ArgValueCompleter>().is_none() =>
                {
                    arg.add(ArgValueCompleter::new(complete_path))
                }
                _ => arg,
            })
            .mut_subcommands(complete_paths)
    }
    let asks_for_options = std::env::args_os()
        .last()
        .is_some_and(|word| word.as_encoded_bytes().starts_with(b"-"));
    let command = match asks_for_options {
        true => command,
        false => hide_options(command),
    };
    complete_paths(command).mut_subcommand("lab", |lab| {
        lab.mut_subcommands(|command| {
            command.mut_args(|arg| match arg.get_id() == "name" {
                true => arg.add(complete(Names::Labs)),
                false => arg,
            })
        })
    })
}

/// Names come alone as long as there are any: hidden options are offered where nothing else is.
fn hide_options(command: clap::Command) -> clap::Command {
    command
        .disable_help_flag(true)
        .mut_args(|arg| match arg.is_positional() {
            true => arg,
            false => arg.hide(true),
        })
        .mut_subcommands(hide_options)
}

fn complete_path(typed: &OsStr) -> Vec<CompletionCandidate> {
    let mut found = PathCompleter::any().complete(typed);
    let typed = typed.to_string_lossy().into_owned();
    found.retain(|candidate| {
        let path = candidate.get_value().to_string_lossy();
        // What was typed already is not the file's.
        path.strip_prefix(&*typed)
            .is_some_and(|rest| rest.is_empty() || is_plain_word(&format!("x{rest}")))
    });
    found
}

/// What a value names.
#[derive(Debug, Clone, Copy)]
pub(super) enum Names {
    Apps,
    /// Of a command that takes both.
    AppsAndServices,
    Services,
    Nodes,
    NodesAndServices,
    /// A node, or anywhere.
    Places,
    Stacks,
    Snapshots,
    Secrets,
    Domains,
    Volumes,
    Concerns,
    Repositories,
    Labs,
}

/// Completes names of a kind.
pub(super) fn complete(names: Names) -> ArgValueCompleter {
    ArgValueCompleter::new(NameCompleter(names))
}

#[derive(Clone, Copy)]
struct NameCompleter(Names);

impl ValueCompleter for NameCompleter {
    fn complete(&self, typed: &OsStr) -> Vec<CompletionCandidate> {
        let typed = typed.to_string_lossy();
        let shell = ShellLine::read();
        let mut candidates: Vec<_> = shell
            .list(self.0)
            .into_iter()
            .filter(|(name, _)| name.starts_with(&*typed) && is_plain_word(name))
            .take(MAX_CANDIDATES)
            .map(|(name, help)| CompletionCandidate::new(name).help(help.map(Into::into)))
            .collect();
        // A compose file of one's own.
        if matches!(self.0, Names::Stacks) && (candidates.is_empty() || typed.contains('/')) {
            candidates.extend(complete_path(OsStr::new(&*typed)));
        }
        candidates
    }
}

/// The line that is completed, and what it is about.
struct ShellLine {
    words: Vec<String>,
    file: Option<PathBuf>,
    /// `None` where config.toml is wrong.
    config: Option<Config>,
}

impl ShellLine {
    fn read() -> Self {
        let words: Vec<String> = std::env::args_os()
            .skip_while(|word| word != "--")
            .skip(2)
            .map(|word| word.to_string_lossy().into_owned())
            .collect();
        let named = find_option(&words, &["--config", "-c"])
            .or_else(|| std::env::var("MATOU_CONFIG").ok())
            .map(|path| expand_home(&path));
        // A pipe would be waited for.
        let is_file = named.as_deref().is_none_or(Path::is_file);
        let config = is_file
            .then(|| Config::load(named.as_deref()).ok())
            .flatten();
        let file = config.as_ref().and_then(|config| config.path.clone());
        Self {
            words,
            file: file.or(named),
            config,
        }
    }

    fn folder(&self) -> Option<&Path> {
        self.file.as_deref().and_then(Path::parent)
    }

    fn known(&self) -> KnownNames {
        NameCache::of_file(self.file.as_deref()).load()
    }

    /// Lists names, with what a shell that can do so shows beside them.
    fn list(&self, names: Names) -> Vec<(String, Option<String>)> {
        let plain = |names: BTreeSet<String>| names.into_iter().map(|n| (n, None)).collect();
        match names {
            Names::Apps => plain(self.apps()),
            Names::AppsAndServices => plain(&self.apps() | &self.known().services),
            Names::Services => plain(self.known().services),
            Names::Nodes => plain(self.nodes()),
            Names::NodesAndServices => plain(&self.nodes() | &self.known().services),
            Names::Places => {
                let mut all = self.nodes();
                all.insert("anywhere".into());
                plain(all)
            }
            Names::Stacks => plain(Catalogue::list_names(self.folder())),
            Names::Snapshots => self.snapshots(),
            Names::Secrets => plain(self.secrets()),
            Names::Domains => plain(self.domains()),
            Names::Volumes => plain(self.known().volumes),
            Names::Concerns => CONCERNS.map(|c| (c.to_owned(), None)).to_vec(),
            Names::Repositories => plain(self.repositories()),
            Names::Labs => plain(list_labs()),
        }
    }

    fn apps(&self) -> BTreeSet<String> {
        let files = self.folder().map(AppFile::list_names).unwrap_or_default();
        let mut apps = self.known().apps;
        apps.extend(files.iter().map(|app| app.as_str().to_owned()));
        apps
    }

    fn nodes(&self) -> BTreeSet<String> {
        let nodes = self.config.iter().flat_map(|config| &config.nodes);
        nodes.map(|node| node.name.clone()).collect()
    }

    /// Domains that were served when they were read, and those of the applications' files.
    fn domains(&self) -> BTreeSet<String> {
        let mut domains = self.known().domains;
        let files = self.folder().into_iter().flat_map(|folder| {
            let apps = AppFile::list_names(folder).into_iter();
            apps.filter_map(move |app| AppFile::load(folder, &app).ok()?)
        });
        domains.extend(files.filter_map(|file| file.variables.get("DOMAIN").cloned()));
        domains
    }

    fn repositories(&self) -> BTreeSet<String> {
        let all = self.config.iter().flat_map(|c| &c.backup.repositories);
        all.map(|repository| repository.name.clone()).collect()
    }

    /// Snapshots, of the application that the line names; all where it names none that has any.
    fn snapshots(&self) -> Vec<(String, Option<String>)> {
        let all = self.known().snapshots;
        let named = |app: &str| self.words.iter().any(|word| word == app);
        let of_app = all.iter().any(|s| named(&s.app));
        let wanted = all.into_iter().filter(|s| !of_app || named(&s.app));
        wanted
            .map(|s| (s.id, Some(format!("{} of {}", s.app, s.at))))
            .collect()
    }

    /// Secrets of the application that stands behind `secrets`, by its stack.
    fn secrets(&self) -> BTreeSet<String> {
        let after = self.words.iter().skip_while(|word| *word != "secrets");
        let app = after.skip(1).find(|word| !word.starts_with('-'));
        let stack = app.and_then(|app| {
            let file = AppFile::load(self.folder()?, app).ok()??;
            Catalogue::read_one_extension(self.folder(), &file.stack)
        });
        let names = stack.into_iter().flat_map(|stack| stack.secrets);
        names.map(|secret| secret.name).collect()
    }
}

/// Returns the value of an option that the line has, in any of its spellings.
fn find_option(words: &[String], spellings: &[&str]) -> Option<String> {
    let mut words = words.iter();
    while let Some(word) = words.next() {
        for spelling in spellings {
            if word == spelling {
                return words.next().cloned();
            }
            if let Some(value) = word.strip_prefix(spelling)
                && let Some(value) = value.strip_prefix('=')
            {
                return Some(value.to_owned());
            }
        }
    }
    None
}

/// The shell has not done it yet.
fn expand_home(path: &str) -> PathBuf {
    match (path.strip_prefix("~/"), std::env::var_os("HOME")) {
        (Some(rest), Some(home)) => Path::new(&home).join(rest),
        _ => PathBuf::from(path),
    }
}

/// Practice fleets of this machine.
fn list_labs() -> BTreeSet<String> {
    let folder = matou_config::state_path().map(|state| state.join("lab"));
    let entries = folder.ok().and_then(|folder| folder.read_dir().ok());
    let entries = entries.into_iter().flatten().flatten();
    entries
        .filter_map(|entry| entry.file_name().into_string().ok())
        .collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_option_is_found_in_each_spelling() {
        let find = |line: &str| {
            let words: Vec<String> = line.split(' ').map(str::to_owned).collect();
            find_option(&words, &["--config", "-c"])
        };
        assert_eq!(find("status -c a.toml").as_deref(), Some("a.toml"));
        assert_eq!(find("--config=b.toml status").as_deref(), Some("b.toml"));
        assert_eq!(find("--config b.toml").as_deref(), Some("b.toml"));
        assert_eq!(find("status --confined -c"), None);
    }
}
