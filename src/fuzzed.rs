//! What comes from outside, and what must hold of it whatever it is: the bodies of the fuzz targets in
//! fuzz/, which tests/hostile/ runs too. Each panics when a promise is broken.

use std::collections::BTreeMap;
use std::path::Path;
use std::sync::LazyLock;

use unicode_width::UnicodeWidthChar;

use matou_backup::{LsNode, ResticMessage, ResticSnapshot, parse_restic_message};
use matou_base::text;
use matou_config::{Config, NodeConnection};
use matou_edge::{AcmeStore, parse_access};
use matou_job::Check;
use matou_model::Role;
use matou_provision::fuzzed as provision;
use matou_stack::{
    AppFile, Catalogue, RenderTarget, RenderedStack, migrate_file, render_plain_compose,
};

/// A target: its name, which is also its folder in fuzz/corpus, and the function that takes bytes.
pub type FuzzTarget = (&'static str, fn(&[u8]));

/// All targets.
pub const TARGETS: [FuzzTarget; 13] = [
    ("access", fuzz_access),
    ("acme", fuzz_acme),
    ("app", fuzz_app),
    ("compose", fuzz_compose),
    ("config", fuzz_config),
    ("escapes", fuzz_escapes),
    ("extension", fuzz_extension),
    ("facts", fuzz_facts),
    ("lsblk", fuzz_lsblk),
    ("lvm", fuzz_lvm),
    ("nft", fuzz_nft),
    ("restic", fuzz_restic),
    ("sshd", fuzz_sshd),
];

const FLEET: &str = "[[nodes]]\nname = \"n1\"\naddress = \"10.0.0.1\"\nrole = \"manager\"\n\
    [storage]\ndriver = \"nfs\"\ndevices = [\"/dev/vdb\", \"/dev/vdc\"]\n";

#[expect(clippy::expect_used, reason = "a text of this file")]
static CONFIG: LazyLock<Config> = LazyLock::new(|| {
    let mut config = Config::parse(FLEET, Path::new("/fleet/config.toml")).expect("a fleet");
    // Nothing is read from the disk.
    config.path = None;
    config
});

#[expect(clippy::expect_used, reason = "a test reads the built-in stacks")]
static BUILT_IN: LazyLock<Catalogue> =
    LazyLock::new(|| Catalogue::load(None).expect("the built-in stacks"));

fn parse_utf8(data: &[u8]) -> Option<&str> {
    std::str::from_utf8(data).ok()
}

/// Whether a terminal obeys nothing in it, and hides and reorders nothing. Judged by the rules of
/// docs/security.md, not by those of [`text`]. `kept` are control characters that may be there.
fn is_safe_on_terminal(shown: &str, kept: &[char]) -> bool {
    let mut marks = 0;
    shown.chars().all(|c| {
        marks = match c {
            '\u{200c}' | '\u{200d}' | '\u{fe0e}' | '\u{fe0f}' => marks,
            c if !c.is_control() && UnicodeWidthChar::width(c) == Some(0) => marks + 1,
            _ => 0,
        };
        let reorders = matches!(c, '\u{200e}' | '\u{200f}' | '\u{061c}'
            | '\u{202a}'..='\u{202e}' | '\u{2066}'..='\u{2069}');
        let hides = matches!(
            c,
            '\u{ad}' | '\u{200b}' | '\u{2060}' | '\u{feff}' | '\u{3164}' | '\u{e0000}'
                ..='\u{e007f}'
        );
        (!c.is_control() || kept.contains(&c)) && !reorders && !hides && marks <= 6
    })
}

/// The escape filter: what it lets through is safe, and stays as it is when it is filtered again.
pub fn fuzz_escapes(data: &[u8]) {
    let lossy = String::from_utf8_lossy(data);
    /// A filter's name, what it made of the input, and the filter itself, to be applied once more.
    type NamedFilter = (&'static str, String, fn(&str) -> String);
    let again: [NamedFilter; 5] = [
        ("clean", text::clean_line(&lossy).into(), |t| {
            text::clean_line(t).into()
        }),
        ("visible", text::escape_line(&lossy).into(), |t| {
            text::escape_line(t).into()
        }),
        ("plain", text::clean_bytes(data), |t| {
            text::clean_bytes(t.as_bytes())
        }),
        ("log_line", text::clean_log_line(data), |t| {
            text::clean_log_line(t.as_bytes())
        }),
        ("lines", text::escape_lines(&lossy).into(), |t| {
            text::escape_lines(t).into()
        }),
    ];
    for (name, once, filter) in again {
        let kept: &[char] = if name == "lines" { &['\n', '\t'] } else { &[] };
        assert!(is_safe_on_terminal(&once, kept), "{name}: {once:?}");
        assert_eq!(filter(&once), once, "{name} once more");
    }
    assert!(is_safe_on_terminal(&text::clean_lines(&lossy), &['\n']));
    check_coloured_line(&text::keep_sgr(data));
    // A reader of JSON gets what there was, a terminal nothing that it obeys.
    if let Ok(json) = serde_json::to_string(&*lossy) {
        let escaped = text::escape_json(&json);
        assert!(is_safe_on_terminal(&escaped, &[]), "{escaped:?}");
        let back: Option<String> = serde_json::from_str(&escaped).ok();
        assert_eq!(back.as_deref(), Some(&*lossy));
    }
    for columns in [0, 1, 7, 40] {
        let cut = text::truncate_to_width(&lossy, columns, "…");
        assert!(text::display_width(&cut) <= columns, "{cut:?} in {columns}");
    }
}

/// A line of a log with its colours, and nothing else.
fn check_coloured_line(line: &str) {
    assert_eq!(text::keep_sgr(line.as_bytes()), line, "coloured once more");
    let mut rest = line;
    while let Some((before, after)) = rest.split_once('\x1b') {
        assert!(is_safe_on_terminal(before, &[]), "{line:?}");
        let numbers = after.strip_prefix('[').and_then(|a| a.split_once('m'));
        let Some((numbers, after)) = numbers else {
            panic!("no colour: {line:?}");
        };
        let number = |c: char| c.is_ascii_digit() || matches!(c, ';' | ':');
        assert!(numbers.chars().all(number), "{line:?}");
        rest = after;
    }
    assert!(is_safe_on_terminal(rest, &[]), "{line:?}");
}

/// Stack files: what is rendered is YAML, in its place; what was migrated is not migrated again.
pub fn fuzz_compose(data: &[u8]) {
    let Some(file) = parse_utf8(data) else { return };
    if let Ok((new, _)) = migrate_file("own.yml", file, "own", "le")
        && let Ok((again, _)) = migrate_file("own.yml", &new, "own", "le")
    {
        assert_eq!(again, new, "migrated once more");
    }
    let Ok(catalogue) = BUILT_IN.clone().with_stack("own", file) else {
        return;
    };
    let target = RenderTarget {
        place: Some("n1".into()),
        images: [("web".to_owned(), "z:2".to_owned())].into(),
        ..RenderTarget::for_fleet(&CONFIG)
    };
    let _ = catalogue.lint_stack("own", &target);
    let _ = catalogue.find_image_variable("own", "web");
    let given: BTreeMap<String, String> = [("D".to_owned(), "a.org".to_owned())].into();
    for given in [given, BTreeMap::new()] {
        if let Ok(rendered) = catalogue.render_stack("own", "app", &given, &target) {
            check_rendered_stack(&rendered);
        }
    }
}

fn check_rendered_stack(rendered: &RenderedStack) {
    let yaml = |text: &str| -> serde_yaml::Value {
        serde_yaml::from_str(text).unwrap_or_else(|e| panic!("rendered to no YAML: {e}\n{text}"))
    };
    assert!(yaml(&rendered.yaml).get("x-matou").is_none());
    for service in &rendered.services {
        let hosts = service.requirements.constraints.iter();
        let hosts = hosts.filter(|c| *c == "node.hostname == n1").count();
        assert_eq!(hosts, 1, "{}", rendered.yaml);
    }
    if let Ok(plain) = render_plain_compose("app", rendered) {
        yaml(&plain.yaml);
        for (file, _) in plain.secrets.iter().chain(&plain.configs) {
            assert!(!file.contains('/') && !file.starts_with('.'), "{file}");
        }
    }
}

/// What stands under `x-matou`.
pub fn fuzz_extension(data: &[u8]) {
    let Some(text) = parse_utf8(data) else { return };
    let indented: String = text.lines().map(|l| format!("  {l}\n")).collect();
    let file = format!("x-matou:\n{indented}services:\n  web: {{image: 'x:1'}}\n");
    if let Ok(catalogue) = BUILT_IN.clone().with_stack("own", &file) {
        let _ = catalogue.find_extension("own");
        let _ = catalogue.list_entries();
        fuzz_compose(file.as_bytes());
    }
}

/// Traefik's store of certificates: what is taken out is gone, and the rest is there.
pub fn fuzz_acme(data: &[u8]) {
    let Some(store) = parse_utf8(data).and_then(|text| AcmeStore::parse(text).ok()) else {
        return;
    };
    let names: Vec<&String> = store.certificates.iter().flat_map(|c| &c.names).collect();
    for name in names.into_iter().take(20) {
        let (text, gone) = store.render_without_name(name);
        let has = |c: &&matou_edge::AcmeCertificate| c.names.contains(name);
        assert_eq!(gone, store.certificates.iter().filter(has).count());
        let rest = match AcmeStore::parse(&text) {
            Ok(rest) => rest,
            Err(e) => panic!("the rest is no store: {e}"),
        };
        let wanted: Vec<_> = store.certificates.iter().filter(|c| !has(c)).collect();
        assert_eq!(rest.certificates.iter().collect::<Vec<_>>(), wanted);
    }
}

/// config.toml: errors are short, and a manager's copy is one of the same fleet.
pub fn fuzz_config(data: &[u8]) {
    let Some(text) = parse_utf8(data) else { return };
    let path = Path::new("/fleet/config.toml");
    let read = match Config::parse(text, path) {
        Ok(read) => read,
        Err(error) => {
            let said = error.to_string();
            assert!(said.len() < 8 << 10, "{} bytes", said.len());
            return;
        }
    };
    if let Ok(copy) = provision::render_first_manager_config(&read, text) {
        let copied = match Config::parse(&copy, path) {
            Ok(copied) => copied,
            Err(e) => panic!("a manager's copy can't be read: {e}"),
        };
        let names = |c: &Config| -> Vec<_> {
            let of = |n: &matou_config::NodeConfig| (n.name.clone(), n.role, n.labels.clone());
            c.nodes.iter().map(of).collect()
        };
        assert_eq!(names(&copied), names(&read));
        let mut managers = copied.nodes.iter().filter(|n| n.role == Role::Manager);
        let first = managers.next().map(|n| &n.reach);
        assert_eq!(first, Some(&NodeConnection::Local));
        assert_eq!(copied.storage, read.storage);
        assert_eq!(copied.edge, read.edge);
        assert_eq!(copied.provision, read.provision);
        let copies = |c: &Config| c.backup.repositories.len();
        assert_eq!(copies(&copied), copies(&read));
    }
    check_recovered_config(text);
}

/// A configuration out of a repository is cut to what is taken from it; cut once more, it stays so.
fn check_recovered_config(text: &str) {
    let Some((taken, _)) = matou_recover::filter_untrusted_config(text) else {
        return;
    };
    let again = matou_recover::filter_untrusted_config(&taken);
    assert_eq!(again, Some((taken, Vec::new())));
}

/// apps/NAME.toml: what is written is what was read.
pub fn fuzz_app(data: &[u8]) {
    let Some(text) = parse_utf8(data) else { return };
    match AppFile::parse("apps/a.toml", text) {
        Ok(read) => assert_eq!(AppFile::parse("apps/a.toml", &read.to_toml()), Ok(read)),
        Err(e) => assert!(e.to_string().len() < 8 << 10),
    }
}

/// restic's messages and lists: what is shown of them is safe, and no longer than what came.
pub fn fuzz_restic(data: &[u8]) {
    for line in data.split(|b| *b == b'\n') {
        match parse_restic_message(line) {
            Some(ResticMessage::Error(error)) => {
                let said = error.to_sentence();
                assert!(is_safe_on_terminal(&said, &[]), "{said:?}");
                assert!(said.len() <= 3 * line.len() + 200, "{said}");
            }
            Some(ResticMessage::Status(status)) => {
                let told = matou_ops::format_restic_progress(&status);
                assert!(told.len() < 200, "{told}");
            }
            _ => {}
        }
        let _ = serde_json::from_slice::<LsNode>(line);
        if let Ok(snapshots) = serde_json::from_slice::<Vec<ResticSnapshot>>(line) {
            for snapshot in &snapshots {
                let _ = snapshot.app();
                let back = serde_json::to_vec(snapshot).unwrap_or_default();
                let back = serde_json::from_slice::<ResticSnapshot>(&back).ok();
                assert_eq!(back.as_ref(), Some(snapshot));
            }
        }
    }
}

/// Traefik's access log: what is kept of a line is safe and bounded.
pub fn fuzz_access(data: &[u8]) {
    for line in data.split(|b| *b == b'\n') {
        let Some(read) = parse_access(line) else {
            continue;
        };
        for kept in [
            &read.method,
            &read.host,
            &read.path,
            &read.client,
            &read.user,
            &read.router,
        ] {
            assert!(is_safe_on_terminal(kept, &[]), "{kept:?}");
            assert!(kept.len() <= 1024, "{} bytes", kept.len());
        }
        assert!(
            is_safe_on_terminal(&read.to_line(), &[]),
            "{}",
            read.to_line()
        );
    }
}

/// Checks concerns against what a node printed: each line of their plans is safe to show.
fn check_plan_lines(printed: &str, wanted: impl Fn(&str) -> bool) {
    for said in provision::check_printed_facts(&CONFIG, printed, wanted) {
        match said {
            Ok(Check::Done(lines) | Check::Change(lines)) => {
                for line in lines.iter().map(ToString::to_string) {
                    assert!(is_safe_on_terminal(&line, &['\n', '\t']), "{line:?}");
                }
            }
            Ok(Check::Unknown(_)) => {}
            Err(e) => assert!(e.to_string().len() <= 16 * printed.len() + 4096, "{e}"),
        }
    }
}

/// All that a node prints when its facts are gathered, with `@@` for the mark between its parts.
pub fn fuzz_facts(data: &[u8]) {
    check_plan_lines(&String::from_utf8_lossy(data), |_| true);
}

/// `sshd -T`.
pub fn fuzz_sshd(data: &[u8]) {
    let printed = String::from_utf8_lossy(data);
    assert!(!provision::parse_printed_ports(&printed).is_empty());
    let wanted = |name: &str| matches!(name, "sshd" | "firewall" | "fail2ban");
    check_plan_lines(&provision::print_fact_part("sshd", &printed), wanted);
}

/// `lsblk --json`.
pub fn fuzz_lsblk(data: &[u8]) {
    let printed = String::from_utf8_lossy(data);
    let devices = provision::print_fact_part("devices", "/dev/vdb\n/dev/vdc");
    let printed =
        provision::print_fact_part("lsblk", &printed) + &devices + "\n@@ 1 container\n@@ 1 =\n";
    check_plan_lines(&printed, |name| name == "storage");
}

const DISKS: &str = r#"{"blockdevices":[{"path":"/dev/vdb","size":1073741824,"type":"disk"},{"path":"/dev/vdc","size":1073741824,"type":"disk"}]}"#;

/// `lvm fullreport`.
pub fn fuzz_lvm(data: &[u8]) {
    let printed = provision::print_fact_part("lvm", &String::from_utf8_lossy(data));
    let devices = provision::print_fact_part("devices", "/dev/vdb\n/dev/vdc");
    let disks = provision::print_fact_part("lsblk", DISKS);
    check_plan_lines(&(printed + &devices + &disks), |name| name == "storage");
}

/// `nft list table`.
pub fn fuzz_nft(data: &[u8]) {
    let printed = provision::print_fact_part("nft", &String::from_utf8_lossy(data));
    check_plan_lines(&printed, |name| name == "firewall");
}
