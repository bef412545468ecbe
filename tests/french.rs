//! What matou says in French: every message has its French, and the screens are whole with it.

mod scenes;

use std::collections::BTreeSet;
use std::path::Path;
use std::process::Command;

use matou::ui::fixture::THEME;
use matou_i18n::Language;
use ratatui::buffer::Buffer;
use scenes::{DASHBOARD_SCENES, SCENES, SIZES, buffer, list_screen_problems};

/// `cargo xtask translate` adds new messages to the catalogues, and removes those that nobody says.
#[test]
fn every_message_has_its_french_and_nothing_else_is_translated() {
    let root = Path::new(env!("CARGO_MANIFEST_DIR"));
    let all = xtask::translate::Translations::read_all(root).expect("catalogues are read");
    let problems: Vec<String> = all.iter().flat_map(|t| t.problems()).collect();
    assert!(problems.is_empty(), "{}", problems.join("\n"));
}

fn lines(buffer: &Buffer) -> Vec<String> {
    let width = usize::from(buffer.area.width);
    let rows = buffer.content.chunks(width);
    rows.map(|row| row.iter().map(ratatui::buffer::Cell::symbol).collect())
        .collect()
}

#[test]
fn every_scene_at_every_size() {
    matou_i18n::speak(Language::French);
    for (name, scene) in SCENES.iter().chain(DASHBOARD_SCENES) {
        let drawn: Vec<String> = SIZES
            .iter()
            .map(|size| {
                let lines = lines(&buffer(&mut scene(THEME), *size));
                let lines: Vec<&str> = lines.iter().map(|l| l.trim_end()).collect();
                format!("{}x{}\n{}", size.0, size.1, lines.join("\n"))
            })
            .collect();
        insta::assert_snapshot!(*name, drawn.join("\n\n"));
    }
}

/// No text lies over a border, nothing is cut without an ellipsis, and no line of keys lacks the help but where
/// text is typed.
#[test]
fn every_screen_is_whole_and_leads_on() {
    matou_i18n::speak(Language::French);
    let problems = list_screen_problems();
    assert!(problems.is_empty(), "{}", problems.join("\n"));
}

/// Words of English sentences that are no words of French ones.
const ENGLISH: &[&str] = &[
    "the", "is", "are", "was", "were", "with", "which", "from", "of", "and", "nothing", "has",
    "have", "been", "this", "that", "its", "what", "where", "when", "who", "will", "can", "can't",
    "not", "to", "by", "for", "into", "no", "ago", "every", "each", "all", "there",
];

/// What stands in the fixture itself: what applications, engines and operators wrote, answers of other layers.
const FIXTURE: &[&str] = &[
    "the access log of edge_traefik is not JSON",
    "port 22 does no",
    "the repository s3:",
    "it reachable from master?",
    "has no fail2ban",
    "its services are not of matou",
    "image of shop_web",
    "`docker stack rm` ended with exit code 1",
    "the connection was lost",
    "could not be created",
    "has no Suricata",
    "SSH: many connections from one address",
    "shop_web does not come up",
    "is in no swarm yet: make one",
    "did not answer within 10 s",
    "nft does not answer",
    "the services are not there yet",
    "no Docker engine answers",
    "all that it holds is lost",
    "port 8080 is closed",
    "the engine restarts",
    "connect() failed (111",
    "Failed password for root",
    "no log store runs",
    "error and not sshd",
    "the tag latest holds no version",
    "Web Application Attack",
];

#[test]
fn no_screen_says_an_english_sentence() {
    matou_i18n::speak(Language::French);
    let mut found = BTreeSet::new();
    for (name, scene) in SCENES.iter().chain(DASHBOARD_SCENES) {
        for line in lines(&buffer(&mut scene(THEME), (200, 60))) {
            let said = line.split(['│', '║', '┃']);
            for part in said.filter(|part| !FIXTURE.iter().any(|own| part.contains(own))) {
                let words = part.split(|c: char| !c.is_alphabetic() && c != '\'');
                if words.filter(|word| ENGLISH.contains(word)).count() > 0 {
                    found.insert(format!("{name}: {}", part.trim()));
                }
            }
        }
    }
    let found: Vec<_> = found.into_iter().collect();
    assert!(found.is_empty(), "{}", found.join("\n"));
}

/// Runs the program in the language of a locale.
fn matou(locale: &str, args: &[&str]) -> String {
    let out = Command::new(env!("CARGO_BIN_EXE_matou"))
        .args(args)
        .env_clear()
        .env("HOME", "/nonexistent")
        .env("PATH", "/usr/bin:/bin")
        .env("LANG", locale)
        .env("COLUMNS", "200")
        .output()
        .expect("matou runs");
    String::from_utf8_lossy(&out.stdout).into_owned() + &String::from_utf8_lossy(&out.stderr)
}

#[test]
fn the_command_line_speaks_the_language_of_the_environment() {
    for (args, english, french) in [
        (
            &["--help"][..],
            "Rebuild the fleet from its backups",
            "Reconstruire le parc depuis ses sauvegardes",
        ),
        (
            &["deploy", "--help"],
            "Show the plan and change nothing",
            "Montrer le plan et ne rien changer",
        ),
        (
            &["lint", "./nowhere.yml"],
            "can't be read",
            "ne peut pas être lu",
        ),
    ] {
        let said = matou("fr_FR.UTF-8", args);
        assert!(said.contains(french), "{args:?}: {said}");
        for other in ["C", "en_GB.UTF-8", "de_DE.UTF-8", "fr_FR.ISO-8859-1"] {
            let said = matou(other, args);
            assert!(said.contains(english), "{other} {args:?}: {said}");
        }
    }
}

/// What programs read is the same in every language.
#[test]
fn json_is_in_no_language() {
    for args in [
        &["catalogue", "--json"][..],
        &["lint", "--json"],
        &[
            "deploy",
            "hello",
            "site",
            "DOMAIN=a.example",
            "--dry-run",
            "--json",
        ],
    ] {
        assert_eq!(matou("fr_FR.UTF-8", args), matou("C", args), "{args:?}");
    }
}
