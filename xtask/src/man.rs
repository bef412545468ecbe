//! Pages of the manual, one of the program and one of each subcommand, from the command line's own
//! definitions.

use std::path::Path;

use clap::{Command, CommandFactory};
use clap_mangen::Man;
use clap_mangen::roff::{Roff, bold, italic, roman};
use color_eyre::eyre::{Result, WrapErr};
use matou::cli::{Cli, Exit};
use matou::version::ProgramVersion;

/// Files of the program, and what they are for.
const FILES: [(&str, &str); 10] = [
    (
        "./config.toml",
        "The configuration of the fleet, where it is in the current folder.",
    ),
    (
        "$XDG_CONFIG_HOME/matou/config.toml",
        "The configuration, where there is none in the current folder.",
    ),
    (
        "apps/NAME.toml",
        "Beside config.toml: from which stack an application is made, and with what.",
    ),
    (
        "stacks/NAME.yml",
        "Beside config.toml: stacks that add to those of the catalogue, or replace them.",
    ),
    (
        "$XDG_STATE_HOME/matou/journal.jsonl",
        "What was done: jobs and commands, without secrets.",
    ),
    (
        "$XDG_STATE_HOME/matou/log/matou.log",
        "The console's own log.",
    ),
    (
        "$XDG_CACHE_HOME/matou/names/",
        "Names that shells complete. The folder above it may be removed at any time.",
    ),
    (
        "$XDG_RUNTIME_DIR/matou/",
        "Sockets of connections, as long as matou runs.",
    ),
    (
        "/usr/local/bin/matou",
        "On managers: the program, as `matou provision` puts it there.",
    ),
    (
        "/etc/matou/",
        "On managers: the configuration and the keys of what runs at night.",
    ),
];

/// Variables that the program reads, and what they do.
const ENVIRONMENT: [(&str, &str); 7] = [
    ("MATOU_CONFIG", "The configuration file, as --config."),
    (
        "MATOU_LOG",
        "Turns a log on: error, warn, info, debug or trace, for all of matou or for parts as matou_host=debug, several with commas.",
    ),
    (
        "MATOU_LOG_FILE",
        "Where the log goes: else to standard error, that of the console to matou.log.",
    ),
    (
        "DOCKER_HOST",
        "The socket of this machine's engine, as unix:///PATH, where config.toml names none.",
    ),
    (
        "NO_COLOR",
        "Draw without colours, unless config.toml says otherwise.",
    ),
    (
        "XDG_CONFIG_HOME, XDG_STATE_HOME, XDG_CACHE_HOME, XDG_RUNTIME_DIR",
        "Where files are, see FILES.",
    ),
    (
        "LC_ALL, LC_CTYPE, LANG",
        "Whether the terminal shows more than ASCII.",
    ),
];

/// Returns the pages with the names of their files, those of subcommands of subcommands among them.
///
/// # Errors
/// Never, unless memory can't be written.
pub fn render_pages() -> Result<Vec<(String, String)>> {
    let mut cli = Cli::command().disable_help_subcommand(true);
    cli.build();
    let mut pages = Vec::new();
    append_pages(&mut pages, &cli, None)?;
    Ok(pages)
}

/// Writes the pages into a folder, which is made.
///
/// # Errors
/// The folder or a file can't be written.
pub fn write_pages(folder: &Path) -> Result<()> {
    std::fs::create_dir_all(folder)
        .wrap_err_with(|| format!("{} can't be made", folder.display()))?;
    for (name, text) in render_pages()? {
        let path = folder.join(name);
        std::fs::write(&path, text)
            .wrap_err_with(|| format!("{} can't be written", path.display()))?;
    }
    Ok(())
}

fn append_pages(
    pages: &mut Vec<(String, String)>,
    of: &Command,
    above: Option<&str>,
) -> Result<()> {
    let name = match above {
        Some(above) => format!("{above}-{}", of.get_name()),
        None => of.get_name().to_owned(),
    };
    pages.push((format!("{name}.1"), render_page(of, &name, above)?));
    for command in of.get_subcommands().filter(|c| !c.is_hide_set()) {
        append_pages(pages, command, Some(&name))?;
    }
    Ok(())
}

fn render_page(command: &Command, name: &str, above: Option<&str>) -> Result<String> {
    let program = ProgramVersion::of_program();
    // The page of a subcommand has the options of all commands in that of the program.
    let shown = match above {
        None => command.clone(),
        Some(_) => command.clone().mut_args(|arg| match arg.is_global_set() {
            true => arg.hide(true),
            false => arg,
        }),
    };
    let has_options = shown.get_arguments().any(|arg| !arg.is_hide_set());
    let man = Man::new(shown.display_name(name.to_owned()))
        .title(name.to_uppercase())
        .date(program.date.unwrap_or_default())
        .source(format!("matou {}", program.version))
        .manual("matou");
    let mut page = Vec::new();
    man.render_title(&mut page)?;
    man.render_name_section(&mut page)?;
    man.render_synopsis_section(&mut page)?;
    man.render_description_section(&mut page)?;
    if has_options {
        man.render_options_section(&mut page)?;
    }
    let mut rest = Roff::new();
    append_commands(&mut rest, command, name);
    if above.is_none() {
        append_list(&mut rest, "FILES", &FILES);
        append_list(&mut rest, "ENVIRONMENT", &ENVIRONMENT);
    } else if let Some(notes) = command.get_after_help() {
        rest.control("SH", ["NOTES"]);
        for (at, line) in notes.to_string().lines().enumerate() {
            if at > 0 {
                rest.control("br", []);
            }
            // Examples stand in from the edge in the program's own help.
            rest.text([roman(line.trim_start())]);
        }
    }
    rest.control("SH", ["EXIT STATUS"]);
    for exit in Exit::ALL {
        rest.control("TP", [])
            .text([bold((exit as u8).to_string())]);
        rest.text([roman(exit.meaning())]);
    }
    append_see_also(&mut rest, above);
    rest.to_writer(&mut page)?;
    Ok(drop_needless_breaks(&String::from_utf8(page)?))
}

/// Leaves out the breaks beside empty lines, which break a line themselves: mandoc warns of them.
fn drop_needless_breaks(page: &str) -> String {
    let lines: Vec<&str> = page.lines().collect();
    let is_empty = |at: Option<usize>| {
        at.and_then(|at| lines.get(at))
            .is_some_and(|l| l.is_empty())
    };
    let kept = lines.iter().enumerate().filter(|(at, line)| {
        **line != ".br" || !(is_empty(at.checked_sub(1)) || is_empty(at.checked_add(1)))
    });
    kept.map(|(_, line)| format!("{line}\n")).collect()
}

fn append_commands(page: &mut Roff, command: &Command, name: &str) {
    let commands: Vec<_> = command
        .get_subcommands()
        .filter(|c| !c.is_hide_set())
        .collect();
    if commands.is_empty() {
        return;
    }
    page.control("SH", ["COMMANDS"]);
    for command in commands {
        page.control("TP", []);
        page.text([bold(format!("{name}-{}", command.get_name())), roman("(1)")]);
        let about = command.get_about().map(ToString::to_string);
        page.text([roman(about.unwrap_or_default())]);
    }
}

fn append_list(page: &mut Roff, title: &str, entries: &[(&str, &str)]) {
    page.control("SH", [title]);
    for (name, about) in entries {
        page.control("TP", []).text([italic(*name)]);
        page.text([roman(*about)]);
    }
}

fn append_see_also(page: &mut Roff, above: Option<&str>) {
    page.control("SH", ["SEE ALSO"]);
    match above {
        Some(above) => page.text([bold(above), roman("(1)")]),
        None => page.text([
            bold("docker"),
            roman("(1), "),
            bold("ssh"),
            roman("(1), "),
            bold("restic"),
            roman("(1)"),
        ]),
    };
}
