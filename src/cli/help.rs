//! What the help says beside what stands at each argument: groups of subcommands, and examples.

use std::fmt::Write as _;

use clap::builder::Styles;
use clap::{Command, Subcommand};
use matou_i18n::{Text, both, tr};

use super::french::translate_help_text;

/// The subcommands in the order in which they are listed.
const GROUPS: &[(Text, &[&str])] = &[
    (
        both!("Look"),
        &[
            "status",
            "check",
            "logs",
            "journal",
            "access",
            "search",
            "certificates",
            "dns",
            "bans",
            "intrusions",
            "room",
            "updates",
        ],
    ),
    (
        both!("Applications"),
        &[
            "catalogue",
            "deploy",
            "redeploy",
            "update",
            "switch",
            "page",
            "place",
            "budget",
            "rename",
            "clone",
            "secrets",
            "scale",
            "restart",
            "rollback",
            "run",
            "jobs",
            "adopt",
            "remove",
            "export",
            "erase",
        ],
    ),
    (
        both!("Backups"),
        &[
            "backup",
            "snapshots",
            "restore",
            "verify",
            "repo",
            "files",
            "recover",
            "drill",
            "move",
        ],
    ),
    (
        both!("Servers"),
        &[
            "provision",
            "upgrade",
            "reboot",
            "drain",
            "pause",
            "activate",
            "promote",
            "demote",
            "leave",
            "remove-node",
            "unban",
            "clean",
            "mail",
            "shell",
        ],
    ),
    (
        both!("Stack files"),
        &["lint", "diff", "history", "render", "migrate"],
    ),
    (
        both!("matou itself"),
        &["init", "config", "info", "bundle", "lab", "completions"],
    ),
];

/// Returns the template of `matou --help`: as clap's own, with the subcommands in groups.
pub(super) fn program_template<Subcommands: Subcommand>() -> String {
    let listed = Subcommands::augment_subcommands(Command::new("matou"));
    let widest = listed.get_subcommands().map(|c| c.get_name().len()).max();
    let columns = widest.unwrap_or_default();
    let styles = Styles::styled();
    let (header, literal) = (styles.get_header(), styles.get_literal());
    let mut groups = String::new();
    for (title, names) in GROUPS {
        let _ = writeln!(groups, "{header}{title}:{header:#}");
        for name in *names {
            let found = listed.find_subcommand(name).and_then(Command::get_about);
            let about = found.map(ToString::to_string).unwrap_or_default();
            let about = translate_help_text(&about);
            let _ = writeln!(groups, "  {literal}{name:<columns$}{literal:#}  {about}");
        }
        groups.push('\n');
    }
    format!(
        "{{before-help}}{{about-with-newline}}\n{{usage-heading}} {{usage}}\n\n{groups}{header}{}:{header:#}\n{{options}}{{after-help}}",
        tr!("Options")
    )
}

pub(super) const STATUS: &str = "Examples:
  matou status
  matou status --json | jq -r '.nodes[].name'";

pub(super) const CHECK: &str = "Examples:
  matou check || mail -s 'something is wrong' ops@example.org </dev/null
  matou check --json | jq -r '.alerts[].why'
  matou check --tell         # mails, ntfy, … of [receivers]: what is new and what is over
  matou check --digest       # the message of the day or the week; --tell sends it, whether it is due or not";

pub(super) const DEPLOY: &str = "Examples:
  matou deploy ghost blog DOMAIN=blog.example.org
  matou deploy ./shop.yml shop DOMAIN=shop.example.org --dry-run";

pub(super) const REDEPLOY: &str = "Examples:
  matou redeploy blog
  matou redeploy blog DOMAIN=news.example.org --yes
  matou redeploy blog --alias blog.example.net --redirect old.example.org --www redirect
  matou redeploy blog --drop-name old.example.org";

pub(super) const RENAME: &str = "A snapshot is made before, where config.toml has a repository. A command of the stack (`rename` of x-matou) changes what the application keeps of its name. When it is interrupted, running it again goes on where it was.

Examples:
  matou rename blog news.example.org --dry-run
  matou rename blog news.example.org --forget";

pub(super) const BUDGET: &str = "It is kept in apps/APP.toml (`budget`, `enforce`) and told by an alert: from 80 % on as a warning, from 100 % on as critical, by what was measured last (`matou room`; a timer does every night). No task is replaced. With --enforce the folders of its volumes on the storage node become a project of the file system, which refuses more; the plan says what is missing where it has no quotas of projects. Volumes that nodes keep themselves are told of only.

Examples:
  matou budget blog 5GB
  matou budget blog 20GiB --enforce --dry-run
  matou budget blog none";

pub(super) const REMOVE: &str = "apps/APP.toml stays beside config.toml: `matou redeploy APP` deploys it again, with the volumes that are there.

Examples:
  matou remove blog
  matou remove blog --volume blog_data";

pub(super) const SCALE: &str = "Where the stack has a variable for the number, as `replicas: ${REPLICAS:-2}`, apps/APP.toml keeps it; else the next deploy goes back to what the stack says, and the plan says so.

Examples:
  matou scale blog_web 3
  matou scale blog_web 0 --yes";

pub(super) const BACKUP: &str = "Examples:
  matou backup blog
  matou backup --all --yes";

pub(super) const LOGS: &str = "Examples:
  matou logs blog_web
  matou logs blog_web --since 10m
  matou logs blog_web --follow --timestamps";

pub(super) const SHELL: &str =
    "Without a terminal the shell reads its standard input, and ends with it.

Examples:
  matou shell n1
  matou shell blog_web
  echo 'df -h /' | matou shell n1";

pub(super) const CLEAN: &str = "What a service, a rollback, a file in apps/ or a restore that can be undone needs stays, and the plan says so. What comes into use before its turn stays too: nothing is removed by force. Volumes that nothing mounts are only told.

Examples:
  matou clean --dry-run
  matou clean n2 --yes
  matou clean --volume n2:old_data";

pub(super) const REBOOT: &str = "A node that was drained for it stays so when the job is cancelled or fails: `matou activate NODE` lets it take tasks again.

Examples:
  matou reboot n2";

#[cfg(test)]
mod tests {
    use clap::CommandFactory as _;

    use super::*;
    use crate::cli::Cli;

    #[test]
    fn every_subcommand_stands_in_one_group() {
        let mut listed: Vec<&str> = GROUPS
            .iter()
            .flat_map(|(_, names)| *names)
            .copied()
            .collect();
        listed.sort_unstable();
        let cli = Cli::command();
        let mut there: Vec<&str> = cli.get_subcommands().map(Command::get_name).collect();
        there.sort_unstable();
        assert_eq!(listed, there);
        let help = Cli::command().render_help().to_string();
        for name in there {
            assert!(help.contains(&format!("\n  {name} ")), "{name}");
        }
    }

    #[test]
    fn every_argument_has_a_word_of_help() {
        fn look(command: &Command, path: &str, silent: &mut Vec<String>) {
            let path = format!("{path} {}", command.get_name());
            for argument in command.get_arguments() {
                if argument.get_help().is_none() {
                    silent.push(format!("{path}: {}", argument.get_id()));
                }
            }
            command
                .get_subcommands()
                .for_each(|c| look(c, &path, silent));
        }
        let mut silent = Vec::new();
        look(&Cli::command(), "", &mut silent);
        assert!(silent.is_empty(), "{}", silent.join("\n"));
    }
}
