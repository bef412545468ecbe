//! Names that stand in the journal and in the log, also of fleets and applications that are no more: one machine
//! may have worked on several.

use std::collections::BTreeSet;
use std::path::Path;
use std::sync::LazyLock;

use serde_json::Value;

use super::scrub::Kind;
use super::tails::{read_journal, read_tail};
use matou_stack::Catalogue;

/// Words of the titles of jobs (`Request::title` and its kin) in English; [`french_title_words`] has the others.
/// What else stands in a title is a name.
const TITLE_WORDS: &[&str] = &[
    "a",
    "about",
    "activate",
    "address",
    "again",
    "all",
    "an",
    "and",
    "anew",
    "anywhere",
    "application",
    "applications",
    "as",
    "at",
    "attack",
    "away",
    "back",
    "backup",
    "backups",
    "before",
    "beside",
    "by",
    "catalogue",
    "certificate",
    "certificates",
    "check",
    "checks",
    "config",
    "copies",
    "copy",
    "data",
    "demote",
    "deploy",
    "drain",
    "drill",
    "edge",
    "erase",
    "every",
    "everything",
    "export",
    "file",
    "files",
    "fill",
    "fleet",
    "folder",
    "for",
    "forget",
    "from",
    "go",
    "good",
    "in",
    "init",
    "install",
    "into",
    "isolation",
    "it",
    "its",
    "itself",
    "keep",
    "leave",
    "let",
    "lost",
    "make",
    "manager",
    "move",
    "new",
    "newest",
    "no",
    "node",
    "nodes",
    "of",
    "off",
    "on",
    "only",
    "out",
    "pause",
    "place",
    "promote",
    "proof",
    "prove",
    "provider",
    "provision",
    "prune",
    "push",
    "reboot",
    "rebuild",
    "recover",
    "redeploy",
    "remove",
    "rename",
    "renew",
    "replaced",
    "repositories",
    "repository",
    "restart",
    "restorable",
    "restore",
    "roll",
    "rotate",
    "run",
    "scale",
    "secret",
    "server",
    "servers",
    "service",
    "set",
    "snapshot",
    "snapshots",
    "strike",
    "swarm",
    "switch",
    "take",
    "tasks",
    "test",
    "the",
    "to",
    "try",
    "unban",
    "undo",
    "unlock",
    "up",
    "update",
    "upgrade",
    "verify",
    "volume",
    "what",
    "worker",
];

/// Images that everybody has, beside those that are called as a stack of the catalogue.
const USUAL_IMAGES: [&str; 16] = [
    "alpine", "busybox", "caddy", "debian", "hello", "httpd", "mariadb", "mongo", "mysql", "nginx",
    "php", "postgres", "redis", "restic", "traefik", "whoami",
];

/// Lists names of the past, by the state folder and the program's own log.
pub(super) fn list_past_names(state: &Path, log: &Path) -> Vec<(Kind, String)> {
    let mut names = BTreeSet::new();
    for line in read_journal(state).unwrap_or_default().lines() {
        let Ok(record) = serde_json::from_str::<Value>(line) else {
            continue;
        };
        if let Some(node) = record["node"].as_str() {
            names.insert((Kind::Node, node.to_owned()));
        }
        if let Some(title) = record["title"].as_str() {
            names.extend(list_title_names(title));
        }
    }
    names.extend(list_field_names(&read_tail(log).unwrap_or_default()));
    let labs = state.join("lab").read_dir().ok();
    for lab in labs.into_iter().flatten().flatten() {
        let name = lab.file_name().to_string_lossy().into_owned();
        names.insert((Kind::Fleet, name));
    }
    names.into_iter().collect()
}

/// Returns the words of titles in French: those of the messages that have no other words than titles in English.
fn french_title_words() -> &'static BTreeSet<&'static str> {
    static WORDS: LazyLock<BTreeSet<&'static str>> = LazyLock::new(|| {
        let messages = [
            matou_i18n::messages!("crates/ops/po/fr.po"),
            matou_i18n::messages!("crates/provision/po/fr.po"),
        ];
        let is_title = |english: &str| {
            let mut words = split_words(english).filter(|word| !is_placeholder(word));
            words.all(|word| TITLE_WORDS.contains(&word))
        };
        let titles = messages.into_iter().flatten();
        let titles = titles.filter(|(english, _)| is_title(english));
        let words = titles.flat_map(|(_, french)| split_words(french));
        words.filter(|word| !is_placeholder(word)).collect()
    });
    &WORDS
}

/// The words of a title. In French an apostrophe parts them, and the space before a colon is no common one.
fn split_words(title: &str) -> impl Iterator<Item = &str> {
    let words = title.split([' ', ',', '(', ')', ';', '"', '\'', '\u{a0}']);
    let words = words.map(|word| word.trim_end_matches(':'));
    words.filter(|word| !word.is_empty())
}

fn is_placeholder(word: &str) -> bool {
    word.contains('{')
}

fn list_title_names(title: &str) -> Vec<(Kind, String)> {
    let known = |word: &str| {
        TITLE_WORDS.contains(&word)
            || french_title_words().contains(word)
            || matou_config::CONCERNS.contains(&word)
    };
    let mut names = Vec::new();
    for word in split_words(title) {
        let is_name = word.contains(|c: char| c.is_ascii_alphabetic());
        if word.contains([':', '/', '.']) {
            // An image; an address or a domain has a form of its own.
            names.extend(find_own_image(word).map(|image| (Kind::Image, image.to_owned())));
        } else if is_name && !known(word) {
            names.push((Kind::App, word.to_owned()));
        }
    }
    let stacks = Catalogue::list_names(None);
    names.retain(|(kind, name)| *kind == Kind::Image || !stacks.contains(name));
    names
}

/// The fields of the log that hold names: `node="n1"`.
fn list_field_names(log: &str) -> Vec<(Kind, String)> {
    let fields = [
        ("node=\"", Kind::Node),
        ("manager=\"", Kind::Node),
        ("title=\"", Kind::App),
    ];
    let mut names = Vec::new();
    for (field, kind) in fields {
        for found in log.split(field).skip(1) {
            let Some((name, _)) = found.split_once('"') else {
                continue;
            };
            match kind {
                Kind::App => names.extend(list_title_names(name)),
                kind => names.push((kind, name.to_owned())),
            }
        }
    }
    names
}

/// Returns an image without its tag when it is none that everybody has.
pub(super) fn find_own_image(image: &str) -> Option<&str> {
    let image = image.split('@').next().unwrap_or_default();
    let (folder, last) = image.rsplit_once('/').unwrap_or(("", image));
    let last = last.split(':').next().unwrap_or_default();
    let known = USUAL_IMAGES.contains(&last) || Catalogue::list_names(None).contains(last);
    let before = if folder.is_empty() {
        0
    } else {
        folder.len() + 1
    };
    let is_name = last.contains(|c: char| c.is_ascii_alphabetic()) && !last.contains('.');
    (is_name && !known).then(|| &image[..before + last.len()])
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn names_of_titles_are_found() {
        let names = |title: &str| {
            let names = list_title_names(title).into_iter();
            names.map(|(_, name)| name).collect::<Vec<_>>()
        };
        assert_eq!(names("back up copied, wiki2"), ["copied", "wiki2"]);
        assert_eq!(names("deploy ghost as journal-of-bob"), ["journal-of-bob"]);
        assert_eq!(
            names("update shop to r.example.org/bob/shop:1"),
            ["shop", "r.example.org/bob/shop"]
        );
        assert_eq!(names("scale blog_web to 3"), ["blog_web"]);
        assert_eq!(names("back everything up"), Vec::<String>::new());
        assert_eq!(names("update blog to ghost:6"), ["blog"]);
        // As they are written where French is spoken.
        assert_eq!(
            names("restaurer wiki2 depuis le snapshot le plus récent"),
            ["wiki2"]
        );
        assert_eq!(
            names("abandonner ce que la restauration de wiki2 a remplacé"),
            ["wiki2"]
        );
        assert_eq!(names("préparer n7, n8\u{a0}: docker, swarm"), ["n7", "n8"]);
        assert_eq!(names("tout restaurer"), Vec::<String>::new());
    }

    #[test]
    fn names_of_fields_are_found() {
        let log = "INFO job{title=\"remove wiki\"}: matou_host: up node=\"n7\" took=3";
        let names = list_field_names(log);
        assert_eq!(
            names,
            [(Kind::Node, "n7".into()), (Kind::App, "wiki".into())]
        );
    }
}
