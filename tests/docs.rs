//! README and docs: what they point to is there.

use std::path::{Path, PathBuf};

fn list_pages() -> Vec<PathBuf> {
    let root = Path::new(env!("CARGO_MANIFEST_DIR"));
    let mut pages = Vec::new();
    for folder in [root.to_owned(), root.join("docs"), root.join(".github")] {
        let Ok(entries) = folder.read_dir() else {
            continue;
        };
        let paths = entries.map(|e| e.expect("an entry").path());
        pages.extend(paths.filter(|p| p.extension().is_some_and(|e| e == "md")));
    }
    pages.sort();
    pages
}

/// The heads of a page as the links to them are written.
fn list_anchors(text: &str) -> Vec<String> {
    let heads = text.lines().filter(|l| l.starts_with('#'));
    heads
        .map(|head| {
            let title = head.trim_start_matches('#').trim().to_lowercase();
            let kept = title
                .chars()
                .filter(|c| c.is_alphanumeric() || " -_".contains(*c));
            kept.map(|c| if c == ' ' { '-' } else { c }).collect()
        })
        .collect()
}

#[test]
fn every_link_and_picture_leads_somewhere() {
    let link = regex::Regex::new(r"\]\(([^)\s]+)\)").expect("a pattern");
    let (mut seen, mut broken) = (0, Vec::new());
    for page in list_pages() {
        let text = std::fs::read_to_string(&page).expect("text");
        for found in link.captures_iter(&text) {
            let target = &found[1];
            if target.contains("://") || target.starts_with("mailto:") {
                continue;
            }
            seen += 1;
            let (path, anchor) = target.split_once('#').unwrap_or((target, ""));
            let file = match path {
                "" => page.clone(),
                path => page.parent().expect("a folder").join(path),
            };
            let there = match anchor {
                "" => file.exists(),
                anchor => std::fs::read_to_string(&file)
                    .is_ok_and(|text| list_anchors(&text).iter().any(|a| a == anchor)),
            };
            if !there {
                broken.push(format!("{}: {target}", page.display()));
            }
        }
    }
    assert!(seen > 10, "{seen} links are too few to be all");
    assert_eq!(broken, Vec::<String>::new());
}

#[test]
fn the_reference_is_what_the_program_says() {
    let page = Path::new(env!("CARGO_MANIFEST_DIR")).join("docs/reference.md");
    let text = std::fs::read_to_string(page).unwrap_or_default();
    assert!(
        text == xtask::reference::render_page(),
        "docs/reference.md is not up to date: `cargo xtask reference` makes it"
    );
}

/// Every subcommand has a page, and mandoc finds nothing to say of any where it is installed.
#[test]
fn every_subcommand_has_a_page_of_the_manual() {
    fn count(command: &clap::Command) -> usize {
        let shown = command.get_subcommands().filter(|c| !c.is_hide_set());
        1 + shown.map(count).sum::<usize>()
    }
    let cli = <matou::cli::Cli as clap::CommandFactory>::command();
    let folder = tempfile::tempdir().expect("a folder");
    xtask::man::write_pages(folder.path()).expect("pages");
    let pages = xtask::man::render_pages().expect("pages");
    assert_eq!(pages.len(), count(&cli));
    let mut names: Vec<&str> = pages.iter().map(|(name, _)| name.as_str()).collect();
    names.sort_unstable();
    names.dedup();
    assert_eq!(names.len(), pages.len());
    for (name, text) in &pages {
        for section in [
            "NAME",
            "SYNOPSIS",
            "DESCRIPTION",
            "\"EXIT STATUS\"",
            "\"SEE ALSO\"",
        ] {
            assert!(
                text.contains(&format!("\n.SH {section}\n")),
                "{name} has no {section}"
            );
        }
    }
    let linted = std::process::Command::new("mandoc")
        .args(["-T", "lint", "-W", "warning"])
        .args(names.iter().map(|name| folder.path().join(name)))
        .output();
    if let Ok(linted) = linted {
        let said = String::from_utf8_lossy(&linted.stdout);
        assert!(linted.status.success() && said.is_empty(), "{said}");
    }
}

/// What the program reads of its environment stands on the page of the manual.
#[test]
fn the_manual_names_the_variables() {
    let pages = xtask::man::render_pages().expect("pages");
    let (_, page) = pages
        .iter()
        .find(|(name, _)| name == "matou.1")
        .expect("the program's");
    let variable = regex::Regex::new(r#""(MATOU_[A-Z_]+)""#).expect("a pattern");
    let root = Path::new(env!("CARGO_MANIFEST_DIR"));
    for file in [
        "src/own_log.rs",
        "src/cli/mod.rs",
        "src/cli/info.rs",
        "src/main.rs",
    ] {
        let text = std::fs::read_to_string(root.join(file)).expect("text");
        for found in variable.captures_iter(&text) {
            assert!(page.contains(&found[1]), "{file}: {}", &found[1]);
        }
    }
}

#[test]
fn the_catalogue_is_what_its_stacks_say() {
    let page = Path::new(env!("CARGO_MANIFEST_DIR")).join("docs/catalogue.md");
    let text = std::fs::read_to_string(page).unwrap_or_default();
    assert!(
        text == xtask::catalogue::render_page().expect("stacks with their claims"),
        "docs/catalogue.md is not up to date: `cargo xtask catalogue` makes it"
    );
}

/// stacks/proven.toml: whoever claims that a stack ran names a test in which it does.
#[test]
fn every_stack_has_one_claim_and_a_test_where_it_ran() {
    let root = Path::new(env!("CARGO_MANIFEST_DIR"));
    let catalogue = matou::stack::Catalogue::load(None).expect("the catalogue");
    let stacks: Vec<String> = catalogue
        .list_entries()
        .into_iter()
        .map(|entry| entry.name)
        .collect();
    let claims = xtask::claims::read_claims().expect("stacks/proven.toml");
    // A table of one name twice can't be read.
    let claimed: Vec<String> = claims.keys().cloned().collect();
    assert_eq!(claimed, stacks);
    for (name, claim) in &claims {
        let how = claim.how;
        assert_eq!(claim.by.is_some(), how.needs_test(), "{name}: {claim:?}");
        if how.needs_test() {
            assert!(!claim.what.is_empty(), "{name} does not say what ran");
        } else {
            let services = claim.stand_ins.len() + claim.not_run.len();
            assert_eq!(services, 0, "{name}: nothing of it ran in a test");
        }
        let Some(test) = &claim.by else {
            continue;
        };
        assert!(test.starts_with("tests/"), "{name}: {test}");
        let text = std::fs::read_to_string(root.join(test))
            .unwrap_or_else(|e| panic!("{name} is claimed by {test}: {e}"));
        // In an argument, or in a file that the test writes.
        let words = [format!("\"{name}\""), format!("\"{name}\\\"")];
        assert!(
            words.iter().any(|word| text.contains(word)),
            "{test} does not name the stack {name}"
        );
    }
}

#[test]
fn the_figures_about_the_code_are_within_their_limits() {
    let root = Path::new(env!("CARGO_MANIFEST_DIR"));
    let counts = xtask::counts::Counts::read(root).expect("sources");
    assert_eq!(
        counts.over_limit(),
        Vec::<&str>::new(),
        "`cargo xtask counts` says where"
    );
}

/// Parts that are modules of the program, and those of the crate `base`.
const NO_CRATES: [&str; 9] = [
    "main.rs", "cli", "version", "own_log", "fuzzed", "files", "units", "out", "text",
];

#[test]
fn a_layer_sees_only_those_below_it_in_the_table() {
    let root = Path::new(env!("CARGO_MANIFEST_DIR"));
    let text = std::fs::read_to_string(root.join("docs/architecture.md")).expect("text");
    let row = regex::Regex::new(r"(?m)^\| `([\w.-]+)/?` \|").expect("a pattern");
    let order: Vec<&str> = row
        .captures_iter(&text)
        .map(|found| found.get(1).expect("a name").as_str())
        .filter(|name| !NO_CRATES.contains(name))
        .collect();
    let mut crates: Vec<String> = root
        .join("crates")
        .read_dir()
        .expect("crates")
        .map(|entry| entry.expect("an entry").file_name().display().to_string())
        .filter(|name| name != "base")
        .collect();
    crates.sort();
    let mut listed = order.clone();
    listed.sort_unstable();
    assert_eq!(listed, crates);
    let needed = regex::Regex::new(r"(?m)^matou-([\w-]+)").expect("a pattern");
    for (at, name) in order.iter().enumerate() {
        let file = root.join("crates").join(name).join("Cargo.toml");
        let manifest = std::fs::read_to_string(file).expect("a manifest");
        for found in needed.captures_iter(&manifest) {
            let below = &found[1];
            assert!(
                below == "base" || order[at + 1..].contains(&below),
                "{name} stands below {below} and needs it"
            );
        }
    }
}

/// The commands of a page: lines between fences, without comments.
fn list_commands(text: &str) -> Vec<String> {
    let mut inside = false;
    let mut commands = Vec::new();
    for line in text.lines().map(str::trim) {
        if line.starts_with("```") {
            inside = !inside;
            continue;
        }
        let command = line.split(" #").next().unwrap_or_default().trim();
        if inside && !command.is_empty() && !command.starts_with('#') {
            commands.push(command.to_owned());
        }
    }
    commands
}

#[test]
fn a_translation_has_the_commands_of_the_original() {
    let read = |page: &str| {
        let path = Path::new(env!("CARGO_MANIFEST_DIR")).join(page);
        std::fs::read_to_string(path).expect("text")
    };
    let original = read("docs/recovery.md");
    let french = read("docs/recovery.fr.md");
    assert_eq!(list_commands(&original), list_commands(&french));
    let heads = |text: &str| text.lines().filter(|l| l.starts_with('#')).count();
    assert_eq!(heads(&original), heads(&french));
    let tables = |text: &str| text.lines().filter(|l| l.starts_with('|')).count();
    assert_eq!(tables(&original), tables(&french));
    // The README in French is the shorter one.
    let all = list_commands(&read("README.md"));
    let shown = list_commands(&read("README.fr.md"));
    assert!(shown.len() > 20, "{} commands", shown.len());
    for command in &shown {
        assert!(all.contains(command), "not in README.md: {command}");
    }
}
