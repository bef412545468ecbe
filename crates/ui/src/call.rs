//! A command of the operator that is about to run, and what the palette carries out.

use super::keymap::Action;
use matou_config::CommandRun;

/// A command of the operator with everything filled in.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct CommandCall {
    /// What it does, in a few words.
    pub description: String,
    /// The program and its arguments, as the program gets them.
    pub argv: Vec<String>,
    /// Where it runs.
    pub run: CommandRun,
}

impl CommandCall {
    /// Returns the command as one would type it, for the screen.
    pub fn shown_line(&self) -> String {
        let plain = |c: char| c.is_ascii_alphanumeric() || "-_./:=@%+,".contains(c);
        let quoted = self.argv.iter().map(|argument| {
            match !argument.is_empty() && argument.chars().all(plain) {
                true => argument.clone(),
                false => format!("'{}'", argument.replace('\'', "'\\''")),
            }
        });
        quoted.collect::<Vec<_>>().join(" ")
    }
}

/// What a key of the palette does.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Choice {
    /// An action of the console.
    Action(Action),
    /// A command of the operator, by its place in the list.
    Command(usize),
}
