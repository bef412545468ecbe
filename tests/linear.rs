//! The console as lines, on a real fleet: a file of lines restores a file out of a backup.

mod support;

use std::io::Write as _;
use std::process::{Command, Stdio};

use support::{Fleet, ok, private};

const SHOP: &str = "version: \"3.8\"
x-matou: {title: Shop}
services:
  web:
    image: matou/hello:1.0
    volumes: ['files:/data']
    stop_grace_period: 1s
    deploy: {endpoint_mode: dnsrr}
volumes: {files: {}}
";

/// What somebody types who sees nothing; `until` waits for what is told.
const LINES: &str = "help
.5
until closed, shop
2
enter
until open, shop
3
enter
>
until shop_files
2
enter
until note.txt
1
r
until where to?
1
until Type shop to go on
shop
enter
until notice: restore
esc
.1
nonsense
quit
";

#[test]
fn a_script_of_lines_restores_a_file() {
    let fleet = Fleet::with_shared_data("lines", 1);
    let config = fleet.config(
        "linear.toml",
        "[backup]\nrepository = \"/srv/restic\"\npassword_file = \"restic-password\"\n",
    );
    let folder = config.parent().expect("a folder");
    private(&folder.join("restic-password"), "correct horse\n");
    std::fs::create_dir_all(folder.join("stacks")).expect("a folder");
    std::fs::write(folder.join("stacks/shop.yml"), SHOP).expect("written");
    ok(&config, &["repo", "init", "--yes"]);
    ok(&config, &["deploy", "shop", "shop", "--yes"]);
    let note = "/mnt/data/shop_files/note.txt";
    fleet.run("n1", &format!("echo kept >{note}"));
    ok(&config, &["backup", "shop", "--yes"]);
    fleet.run("n1", &format!("echo spoilt >{note}"));

    let mut console = Command::new("timeout")
        .args(["600", env!("CARGO_BIN_EXE_matou"), "--config"])
        .arg(&config)
        .arg("--linear")
        .stdin(Stdio::piped())
        .stdout(Stdio::piped())
        .stderr(Stdio::piped())
        .spawn()
        .expect("matou starts");
    let mut input = console.stdin.take().expect("its input");
    input.write_all(LINES.as_bytes()).expect("written");
    let out = console.wait_with_output().expect("it ends");
    let told = support::said(&out);
    assert!(out.status.success(), "{told}");
    assert!(told.contains("A number selects the line"), "{told}");
    assert!(told.contains("snapshot "), "{told}");
    assert!(
        told.contains("what was written since is set aside"),
        "{told}"
    );
    assert!(told.contains("notice: restore"), "{told}");
    assert!(told.contains("error: \"nonsense\" is no key"), "{told}");
    // No escape sequence, no screen that is taken.
    assert!(!told.contains('\x1b'), "{told:?}");
    assert_eq!(
        fleet.run("n1", &format!("cat {note}")).trim(),
        "kept",
        "{told}"
    );
}
