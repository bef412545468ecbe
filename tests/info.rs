//! What is asked for when something is reported: `matou --version`, `info`, `bundle`. They work with a fleet
//! that is dead, and with a configuration that is wrong.

use std::io::Read as _;
use std::os::unix::fs::PermissionsExt;
use std::path::{Path, PathBuf};
use std::process::{Command, Output};
use std::time::{Duration, Instant};

use serde_json::Value;

/// In no archive, wherever it was planted.
const SECRET: &str = "Tr0ub4dor-hunter22";

const CONFIG: &str = r#"
# Tr0ub4dor-hunter22
[fleet]
name = "chatons-of-alice"
domain = "customers.example.org"
[ssh]
user = "alice"
known_hosts = "accept-new"
connect_timeout = "2 s"
[[nodes]]
name = "larch"
address = "127.0.0.1"
port = 9
role = "manager"
labels = { note = "Tr0ub4dor-hunter22" }
[[nodes]]
name = "birch"
address = "birch.customers.example.org"
jump = "alice@127.0.0.1:9"
[backup]
repository = "rest:http://alice:Tr0ub4dor-hunter22@127.0.0.1:9/"
password_file = "password"
environment_file = "environment"
[receivers]
ntfy = "https://ntfy.example.org/Tr0ub4dor-hunter22"
"#;

/// A log as it should not be: with secrets, names and addresses.
const LOG: &str = "\
2026-11-28T02:00:00Z  INFO matou_host: larch is up, alice logged in from 198.51.100.7 and 2001:db8::7
2026-11-28T02:00:01Z  WARN matou_ops: password Tr0ub4dor-hunter22 refused by blog.customers.example.org
2026-11-28T02:00:02Z  WARN matou_ops: DB_PASSWORD=abcd1234efgh; blog_web on larch, ops@customers.example.org
2026-11-28T02:00:03Z  WARN matou_ops: the token is quiteSecret99 \x1b[2J https://u:quiteSecret99@larch/ 02:42:ac:11:00:02
2026-11-28T02:00:04Z DEBUG matou_host: oldnode was up node=\"thirdnode\"
";

const JOURNAL: &str = r#"{"time":"2026-11-28T02:00:00Z","record":"command","node":"larch","command":"echo Tr0ub4dor-hunter22","millis":7,"exit":0}
{"time":"2026-11-27T02:00:01Z","record":"job_finished","title":"remove goneapp","millis":1,"outcome":"done"}
{"time":"2026-11-27T02:00:02Z","record":"command","node":"oldnode","command":"true","millis":7,"exit":0}
{"time":"2026-11-28T02:00:01Z","record":"job_started","title":"deploy blog","operator":"alice","plan":"Tr0ub4dor-hunter22"}
{"time":"2026-11-28T02:00:09Z","record":"job_finished","title":"deploy blog","millis":8000,"outcome":"failed","reason":"secret quiteSecret99 refused on larch"}
"#;

fn make_fleet() -> tempfile::TempDir {
    let made = tempfile::tempdir().unwrap();
    let write = |name: &str, text: &str| {
        let path = made.path().join(name);
        std::fs::create_dir_all(path.parent().unwrap()).unwrap();
        std::fs::write(&path, text).unwrap();
        std::fs::set_permissions(&path, std::fs::Permissions::from_mode(0o600)).unwrap();
    };
    write("config.toml", CONFIG);
    write("password", "abcd1234efgh\n");
    write("environment", "AWS_SECRET_ACCESS_KEY=quiteSecret99\n");
    write(
        "apps/blog.toml",
        "stack = \"static\"\n[variables]\nDOMAIN = \"blog.customers.example.org\"\n",
    );
    write(
        "stacks/alicestack.yml",
        "services:\n  web:\n    image: nginx:1\n",
    );
    write("state/matou/log/matou.log", LOG);
    write("state/matou/journal.jsonl", JOURNAL);
    made
}

fn run(folder: &Path, line: &[&str]) -> Output {
    Command::new(env!("CARGO_BIN_EXE_matou"))
        .args(line)
        .current_dir(folder)
        .env("HOME", folder)
        .env("USER", "alice")
        .env("XDG_STATE_HOME", folder.join("state"))
        .env("XDG_CACHE_HOME", folder.join("cache"))
        .env("XDG_RUNTIME_DIR", folder)
        .env_remove("MATOU_CONFIG")
        .env_remove("MATOU_LOG_FILE")
        .output()
        .unwrap()
}

fn text(bytes: &[u8]) -> String {
    String::from_utf8(bytes.to_vec()).unwrap()
}

#[test]
fn the_version_names_the_commit() {
    let root = Path::new(env!("CARGO_MANIFEST_DIR"));
    let short = text(&run(root, &["-V"]).stdout);
    assert_eq!(short, format!("matou {}\n", env!("CARGO_PKG_VERSION")));
    let long = text(&run(root, &["--version"]).stdout);
    assert_eq!(long.lines().next(), Some(short.trim()));
    let git = Command::new("git")
        .args(["show", "--no-patch", "--format=%H", "HEAD"])
        .current_dir(root)
        .output();
    let Some(git) = git.ok().filter(|git| git.status.success()) else {
        return;
    };
    let commit = text(&git.stdout);
    let line = long.lines().nth(1).expect("a commit");
    assert!(
        line.starts_with(&format!("commit {}", commit.trim())),
        "{line}"
    );
    assert!(line[line.len() - 14..].starts_with(" of 20"), "{line}");
}

#[test]
fn info_tells_of_dead_nodes_and_of_a_wrong_configuration() {
    let folder = make_fleet();
    let folder = folder.path();
    let begun = Instant::now();
    let ran = run(folder, &["info", "--json"]);
    assert!(ran.status.success(), "{ran:?}");
    assert!(
        begun.elapsed() < Duration::from_secs(40),
        "{:?}",
        begun.elapsed()
    );
    let told: Value = serde_json::from_slice(&ran.stdout).unwrap();
    assert_eq!(told["program"]["version"], env!("CARGO_PKG_VERSION"));
    assert_eq!(told["configuration"]["fleet"], "chatons-of-alice");
    let nodes = told["nodes"].as_array().unwrap();
    assert_eq!(nodes.len(), 2);
    let why = nodes[0]["error"].as_str().unwrap();
    assert!(why.contains("refuses the connection"), "{why}");
    let ssh = &told["programs"][0];
    assert_eq!(ssh["name"], "ssh");
    assert!(
        ssh["version"].as_str().unwrap().contains("OpenSSH"),
        "{ssh}"
    );
    let paths = told["paths"].as_array().unwrap();
    let log = paths.iter().find(|path| path["what"] == "log").unwrap();
    assert_eq!(log["exists"], true);
    assert!(!text(&ran.stdout).contains(SECRET));

    let ran = run(folder, &["info"]);
    let said = text(&ran.stdout);
    assert!(
        ran.status.success() && said.contains("not read: "),
        "{said}"
    );
    assert!(said.starts_with(&format!("matou {}", env!("CARGO_PKG_VERSION"))));

    std::fs::write(folder.join("config.toml"), "[fleet\n").unwrap();
    let ran = run(folder, &["info"]);
    let said = text(&ran.stdout);
    assert!(
        ran.status.success() && said.contains("can't be used"),
        "{said}"
    );
}

/// The files of an archive by name.
fn unpack(archive: &Path) -> Vec<(String, String)> {
    let file = std::fs::File::open(archive).unwrap();
    let mut archive = tar::Archive::new(flate2::read::GzDecoder::new(file));
    let mut files = Vec::new();
    for entry in archive.entries().unwrap() {
        let mut entry = entry.unwrap();
        let name = entry.path().unwrap().display().to_string();
        let mut content = String::new();
        entry.read_to_string(&mut content).unwrap();
        files.push((name, content));
    }
    files
}

fn find<'a>(files: &'a [(String, String)], name: &str) -> &'a str {
    let name = format!("matou-bundle/{name}");
    let found = files.iter().find(|(path, _)| *path == name);
    &found.unwrap_or_else(|| panic!("no {name}")).1
}

#[test]
fn a_bundle_holds_no_secret() {
    let folder = make_fleet();
    let folder = folder.path();
    let archive: PathBuf = folder.join("out.tar.gz");
    let ran = run(folder, &["bundle", "--output", "out.tar.gz"]);
    let said = text(&ran.stdout);
    assert!(ran.status.success(), "{ran:?}");
    assert!(said.contains("Nothing was sent"), "{said}");
    assert_eq!(
        archive.metadata().unwrap().permissions().mode() & 0o777,
        0o600
    );
    let files = unpack(&archive);
    for (name, content) in &files {
        for secret in [SECRET, "abcd1234efgh", "quiteSecret99", "hunter22"] {
            assert!(!content.contains(secret), "{name}: {content}");
        }
        assert!(!content.contains('\u{1b}'), "{name}");
    }
    // Without --anonymous names are of use.
    assert!(find(&files, "log.txt").contains("larch is up, alice logged in from 198.51.100.7"));
    assert!(find(&files, "config.toml").contains("name = \"larch\""));
    let jobs = find(&files, "jobs.jsonl");
    assert_eq!(jobs.lines().count(), 3, "{jobs}");
    let states: Value = serde_json::from_str(find(&files, "states.json")).unwrap();
    assert_eq!(states["nodes"][0]["name"], "larch");
    let stacks: Value = serde_json::from_str(find(&files, "stacks.json")).unwrap();
    assert_eq!(stacks["applications"][0]["name"], "blog");
    let manifest = find(&files, "MANIFEST.txt");
    for (name, _) in &files {
        let name = name.strip_prefix("matou-bundle/").unwrap();
        assert!(name == "MANIFEST.txt" || manifest.contains(name), "{name}");
    }
    assert!(manifest.contains("config.toml: comments"), "{manifest}");

    let again = run(folder, &["bundle", "--output", "out.tar.gz"]);
    assert_eq!(again.status.code(), Some(1));
    assert!(text(&again.stderr).contains("--output"), "{again:?}");
}

#[test]
fn an_anonymous_bundle_replaces_names_the_same_way_everywhere() {
    let folder = make_fleet();
    let folder = folder.path();
    let ran = run(folder, &["bundle", "--anonymous", "--output", "out.tar.gz"]);
    assert!(ran.status.success(), "{ran:?}");
    let files = unpack(&folder.join("out.tar.gz"));
    let folder_name = folder.file_name().unwrap().to_str().unwrap();
    let hidden = [
        "larch",
        "birch",
        "alice",
        "blog",
        "goneapp",
        "oldnode",
        "thirdnode",
        "customers",
        "example.org",
        "chatons",
        "198.51.100.7",
        "2001:db8",
        "02:42:ac",
        folder_name,
        SECRET,
        "abcd1234efgh",
        "quiteSecret99",
    ];
    for (name, content) in &files {
        for word in hidden {
            assert!(
                !content.to_lowercase().contains(&word.to_lowercase()),
                "{word} is in {name}: {content}"
            );
        }
    }
    // One node, one word.
    let info: Value = serde_json::from_str(find(&files, "info.json")).unwrap();
    let larch = info["nodes"][0]["name"].as_str().unwrap();
    assert!(larch.starts_with("node-"), "{larch}");
    let states: Value = serde_json::from_str(find(&files, "states.json")).unwrap();
    assert_eq!(states["nodes"][0]["name"], larch);
    for name in ["log.txt", "config.toml", "jobs.jsonl"] {
        assert!(
            find(&files, name).contains(larch),
            "{name}: {}",
            find(&files, name)
        );
    }
    let stacks: Value = serde_json::from_str(find(&files, "stacks.json")).unwrap();
    let blog = stacks["applications"][0]["name"].as_str().unwrap();
    for name in ["log.txt", "jobs.jsonl"] {
        assert!(find(&files, name).contains(blog), "{name}");
    }
}

#[test]
fn a_bundle_is_made_with_a_wrong_configuration_too() {
    let folder = make_fleet();
    let folder = folder.path();
    std::fs::write(
        folder.join("config.toml"),
        format!("[fleet\npassword = \"{SECRET}\"\n"),
    )
    .unwrap();
    let ran = run(folder, &["bundle", "-o", "out.tar.gz"]);
    assert!(ran.status.success(), "{ran:?}");
    let files = unpack(&folder.join("out.tar.gz"));
    assert!(files.iter().all(|(_, content)| !content.contains(SECRET)));
    let manifest = find(&files, "MANIFEST.txt");
    assert!(manifest.contains("it is no TOML"), "{manifest}");
}
