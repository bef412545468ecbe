//! docs/reference.md: subcommands, exit codes, keys and concerns, from where the program has them.

use std::fmt::Write as _;

use clap::{Command, CommandFactory};
use matou::cli::{Cli, Exit};
use matou::ui::keymap::{ActionGroup, KEY_TABLE};

/// Returns the whole page.
pub fn render_page() -> String {
    let mut page = String::from(
        "# Reference\n\nMade by `cargo xtask reference` from the program itself. `matou COMMAND --help` says more.\n",
    );
    page += "\n## Subcommands\n\n| command | does |\n| --- | --- |\n";
    let mut cli = Cli::command();
    // Usage lines are there only when it is built.
    cli.build();
    append_commands(&mut page, &cli, "matou");
    page += "\n## Exit codes\n\n| code | means |\n| --- | --- |\n";
    for exit in Exit::ALL {
        let _ = writeln!(page, "| {} | {} |", exit as u8, exit.meaning());
    }
    page += "\n## Keys\n\nThe name is that of `[keys]` in config.toml, and of the palette. A console that `matou --read-only` opens shows all of it, and refuses\nwhat would plan or run a job, open a shell, write a file, or give a password out.\n";
    for group in ActionGroup::ALL {
        let _ = write!(
            page,
            "\n### {}\n\n| keys | name | does |\n| --- | --- | --- |\n",
            group.title()
        );
        for binding in KEY_TABLE.iter().filter(|b| b.group == group) {
            let keys: Vec<String> = binding
                .keys
                .iter()
                .map(|k| format!("`{}`", escape_cell(k)))
                .collect();
            let _ = writeln!(
                page,
                "| {} | `{}` | {} |",
                keys.join(", "),
                binding.name,
                escape_cell(binding.help.english())
            );
        }
    }
    page += "\n## Concerns\n\nOf `matou provision`, in the order in which they are worked through; [provisioning.md](provisioning.md)\nsays what each does: ";
    page += &matou::config::CONCERNS.map(|c| format!("`{c}`")).join(", ");
    page + ".\n"
}

/// Appends a row for each subcommand, those of subcommands among them. `before` is what is typed before them.
fn append_commands(page: &mut String, of: &Command, before: &str) {
    for command in of
        .get_subcommands()
        .filter(|c| !c.is_hide_set() && c.get_name() != "help")
    {
        // What the command itself must have stands before its subcommands.
        let mut typed = format!("{before} {}", command.get_name());
        let mut line = typed.clone();
        for argument in command.get_positionals() {
            let name = argument
                .get_value_names()
                .and_then(|n| n.first())
                .map_or_else(
                    || argument.get_id().as_str().to_uppercase(),
                    ToString::to_string,
                );
            let many = argument.get_num_args().is_some_and(|n| n.max_values() > 1);
            let dots = if many { "…" } else { "" };
            let dashes = if argument.is_last_set() { "-- " } else { "" };
            if argument.is_required_set() {
                let _ = write!(line, " {dashes}{name}{dots}");
                let _ = write!(typed, " {dashes}{name}{dots}");
            } else {
                let _ = write!(line, " [{dashes}{name}{dots}]");
            }
        }
        let about = command
            .get_about()
            .map(ToString::to_string)
            .unwrap_or_default();
        let _ = writeln!(
            page,
            "| `{}` | {} |",
            escape_cell(&line),
            escape_cell(&about)
        );
        append_commands(page, command, &typed);
    }
}

/// A bar would end the cell.
pub(crate) fn escape_cell(text: &str) -> String {
    text.replace('|', "\\|")
}
