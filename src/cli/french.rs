//! Which language is spoken, and the help of the command line in French: its English stands as doc comments at each argument, where no
//! macro reaches it, so it is looked up when it is shown. clap's own words in errors of usage stay English.

use std::path::Path;

use clap::builder::StyledStr;
use clap::{Arg, Command};
use matou_config::{Config, ConfigError};
use matou_i18n::Language;

/// The texts of the help and their French, sorted.
const HELP: &[(&str, &str)] = matou_i18n::messages!("po/help.fr.po");

/// Speaks the language that the environment asks for; what programs read (`--json`, `--metrics`) is always in English.
pub fn speak_language() {
    if !is_for_programs() {
        matou_i18n::speak(Language::of_environment());
    }
}

/// Reads the configuration, and speaks the language that `[theme] language` names from then on.
///
/// # Errors
/// Those of [`Config::load`].
pub(super) fn load_config(file: Option<&Path>) -> Result<Config, ConfigError> {
    let config = Config::load(file)?;
    if let Some(language) = config.theme.language
        && !is_for_programs()
    {
        matou_i18n::speak(language);
    }
    Ok(config)
}

/// Whether the output was asked for as programs read it; what follows `--` is another program's.
fn is_for_programs() -> bool {
    std::env::args_os()
        .take_while(|arg| arg != "--")
        .any(|arg| arg == "--json" || arg == "--metrics")
}

/// Returns a text of the help in the language that is spoken.
pub(super) fn translate_help_text(english: &str) -> &str {
    let found = HELP.binary_search_by_key(&english, |(english, _)| english);
    match found {
        Ok(at) if matou_i18n::is_french() => HELP[at].1,
        _ => english,
    }
}

/// Says all help of a command and its subcommands in the language that is spoken, clap's own options too.
pub(super) fn translate_help(mut command: Command) -> Command {
    if matou_i18n::is_french() {
        command.build();
    }
    translate_own_help(command)
}

/// Says the help of a command and its subcommands in the language that is spoken.
pub(super) fn translate_own_help(command: Command) -> Command {
    match matou_i18n::is_french() {
        true => translate_command(command),
        false => command,
    }
}

fn translate_command(mut command: Command) -> Command {
    let texts = [
        command.get_about().cloned(),
        command.get_long_about().cloned(),
        command.get_before_help().cloned(),
        command.get_after_help().cloned(),
        command.get_after_long_help().cloned(),
    ];
    let [about, long_about, before, after, after_long] = texts.map(|t| t.map(translate_styled));
    if let Some(text) = about {
        command = command.about(text);
    }
    if let Some(text) = long_about {
        command = command.long_about(text);
    }
    if let Some(text) = before {
        command = command.before_help(text);
    }
    if let Some(text) = after {
        command = command.after_help(text);
    }
    if let Some(text) = after_long {
        command = command.after_long_help(text);
    }
    command
        .mut_args(translate_arg)
        .mut_subcommands(translate_command)
}

fn translate_arg(mut arg: Arg) -> Arg {
    if let Some(text) = arg.get_help().cloned() {
        arg = arg.help(translate_styled(text));
    }
    if let Some(text) = arg.get_long_help().cloned() {
        arg = arg.long_help(translate_styled(text));
    }
    arg
}

fn translate_styled(text: StyledStr) -> StyledStr {
    let english = text.to_string();
    translate_help_text(&english).to_owned().into()
}

/// Lists the texts of the help of a command and its subcommands, each once.
pub fn list_help_texts(command: &Command) -> Vec<String> {
    let mut command = command.clone();
    command.build();
    let mut texts = Vec::new();
    collect_help_texts(&command, &mut texts);
    texts
}

fn collect_help_texts(command: &Command, texts: &mut Vec<String>) {
    let of_command = [
        command.get_about(),
        command.get_long_about(),
        command.get_before_help(),
        command.get_after_help(),
        command.get_after_long_help(),
    ];
    let of_args = command
        .get_arguments()
        .flat_map(|arg| [arg.get_help(), arg.get_long_help()]);
    for text in of_command.into_iter().chain(of_args).flatten() {
        let text = text.to_string();
        if !text.is_empty() && !texts.contains(&text) {
            texts.push(text);
        }
    }
    for subcommand in command.get_subcommands() {
        collect_help_texts(subcommand, texts);
    }
}
