//! What an export says of itself, and the script that loads its dumps.

use matou_i18n::tr;
use std::fmt::Write as _;

use super::dump::ExportDump;
use matou_stack::PlainComposeFile;

/// Loads the dumps on the other host. Nothing of an application is pasted into it: names and shell
/// lines come from the files beside it.
pub(super) const LOAD_SCRIPT: &str = include_str!("../../scripts/load_dumps.sh");

/// What the README says.
pub(super) struct ReadmeFacts<'a> {
    pub app: &'a str,
    /// Where it comes from: what runs, or a snapshot.
    pub of: String,
    pub plain: Option<&'a PlainComposeFile>,
    pub dumps: &'a [ExportDump],
    /// Volumes whose files are not in the archive.
    pub left_out: &'a [String],
    pub notes: &'a [String],
}

/// The README of an export.
pub(super) fn render_export_readme(facts: &ReadmeFacts<'_>) -> String {
    let app = facts.app;
    let mut text = tr!(
        "# {app}\n\n{app}, {}. Everything that it is made of is in this folder; another host runs it \
with Docker and Docker Compose.\n\n**It holds passwords and keys in plain text** (`secrets/`, \
perhaps `matou/`): keep it as you keep passwords, and delete it when it is not needed any more.\n\n",
        facts.of
    );
    text += tr!(
        "## Starting it\n\nUnpack it as root, so that files keep their owners, and check it:\n\n```sh\n"
    );
    let _ = write!(
        text,
        "sudo tar -xpf {app}-DATE.tar --numeric-owner\ncd {app}\nsudo sha256sum --quiet -c SHA256SUMS\n"
    );
    match (
        facts.plain,
        facts.dumps.iter().any(|d| d.is_loaded_by_script()),
    ) {
        (Some(_), true) => {
            text += tr!(
                "sudo sh load.sh          # once: starts the databases, loads their dumps, starts the rest\n\
sudo docker compose up -d    # from then on\n```\n"
            );
        }
        (Some(_), false) => text += "sudo docker compose up -d\n```\n",
        (None, _) => {
            text += tr!(
                "```\n\nThere is no compose file: it was not deployed by matou. `services.json` says \
what ran (`docker service inspect`).\n"
            );
        }
    }
    if let Some(plain) = facts.plain {
        for (service, port, inside) in &plain.answers {
            let _ = write!(
                text,
                "{}",
                tr!(
                    "\n`{service}` answers at http://127.0.0.1:{port} of the new host (port {inside} in its \
container; `HTTP_PORT` in the environment names another port)."
                )
            );
        }
        if !plain.answers.is_empty() {
            text += tr!(
                " Put the host's own web server with a certificate before it. The labels at the \
end of compose.yml say which domains it had.\n"
            );
        }
    }
    text += tr!("\n## What is here\n\n| file | is |\n| --- | --- |\n");
    if facts.plain.is_some() {
        text += tr!(
            "| `compose.yml` | the services, for one host; placement, updates, replicas and CPU limits of the swarm are left out |\n"
        );
    }
    text += tr!("| `volumes/NAME/` | the files of each volume, with owners and modes |\n");
    for dump in facts.dumps {
        let _ = writeln!(
            text,
            "| `{}` | {} |",
            dump.archive_path,
            dump.describe_dump()
        );
    }
    text += tr!(
        "| `secrets/NAME` | what services find in /run/secrets; the folder is root's alone, and the files in it are for those who get one mounted |\n\
| `configs/NAME` | configuration files that are mounted |\n\
| `matou/` | from what matou made it: `apps/NAME.toml` and the stack file |\n\
| `SHA256SUMS` | a checksum for each file |\n"
    );
    for volume in facts.left_out {
        let _ = write!(
            text,
            "{}",
            tr!(
                "\nThe files of the volume {volume} are left out: its database server makes new ones, and the dump has the data.\n"
            )
        );
    }
    let all = facts.plain.map_or(&[][..], |p| p.notes.as_slice()).iter();
    let all: Vec<&String> = all.chain(facts.notes).collect();
    if !all.is_empty() {
        text += tr!("\n## To be known\n\n");
        for note in all {
            let _ = writeln!(text, "- {note}");
        }
    }
    text
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_script_is_one_that_shells_take() {
        let out = std::process::Command::new("sh")
            .args(["-n", "-c", LOAD_SCRIPT])
            .output()
            .unwrap();
        assert!(out.status.success(), "{out:?}");
    }

    #[test]
    fn the_readme_says_how_it_is_started() {
        let plain = PlainComposeFile {
            answers: vec![("web".into(), 8080, "80".into())],
            ..PlainComposeFile::default()
        };
        let facts = ReadmeFacts {
            app: "shop",
            of: "as it ran on 2026-11-26".into(),
            plain: Some(&plain),
            dumps: &[],
            left_out: &["shop_db".into()],
            notes: &[],
        };
        let text = render_export_readme(&facts);
        for words in [
            "docker compose up -d",
            "http://127.0.0.1:8080",
            "shop_db are left out",
        ] {
            assert!(text.contains(words), "{text}");
        }
        assert!(!text.contains("load.sh"), "{text}");
        let none = ReadmeFacts {
            plain: None,
            ..facts
        };
        assert!(render_export_readme(&none).contains("services.json"));
    }
}
