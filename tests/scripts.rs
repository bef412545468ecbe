//! Shell scripts are files, and those that touch disks, swap and the firewall do what they should,
//! whatever they find: they run in the real shell, with programs that only say what they were asked.

use std::collections::BTreeMap;
use std::path::{Path, PathBuf};
use std::process::Command;

use regex::Regex;

// ---------------------------------------------------------------- no shell in string literals

/// What shell may be in a literal, by how it begins, and why.
const EXCEPTIONS: [(&str, &str, &str); 2] = [
    (
        "crates/backup/src/restic.rs",
        "credentials() {",
        "its body is made of secrets, whose number differs",
    ),
    (
        "crates/host/src/confined.rs",
        "(set -- {folders}",
        "puts a script file before any other script",
    ),
];

fn list_sources(folder: &Path, found: &mut Vec<PathBuf>) {
    for entry in folder.read_dir().expect("a folder") {
        let path = entry.expect("an entry").path();
        if path.is_dir() {
            list_sources(&path, found);
        } else if path.extension().is_some_and(|e| e == "rs") {
            found.push(path);
        }
    }
}

/// A string literal: the byte that it begins at, and its text.
type Literal = (usize, String);

/// Returns the string literals of a source.
fn list_literals(source: &str) -> Vec<Literal> {
    let bytes = source.as_bytes();
    let (mut at, mut found) = (0, Vec::new());
    let raw = Regex::new(r#"\Ar(#*)""#).expect("a pattern");
    let continued = Regex::new(r"\\\n\s*").expect("a pattern");
    let character = Regex::new(r"\A'(?:\\[^']+|\\'|[^'\\])'").expect("a pattern");
    while at < bytes.len() {
        let next = bytes.get(at + 1).copied().unwrap_or_default();
        match (bytes[at], next) {
            (b'/', b'/') => at += source[at..].find('\n').unwrap_or(1),
            (b'/', b'*') => at += source[at..].find("*/").unwrap_or(1),
            // Not `r#type`, nor the end of a word.
            (b'r', b'"' | b'#') => match raw.captures(&source[at..]) {
                Some(open) => {
                    let begin = at + open[0].len();
                    let close = format!("\"{}", &open[1]);
                    let length = source[begin..].find(&close).expect("an end");
                    found.push((at, source[begin..begin + length].to_owned()));
                    at = begin + length + close.len();
                }
                None => at += 1,
            },
            (b'"', _) => {
                let mut end = at + 1;
                while bytes[end] != b'"' {
                    end += if bytes[end] == b'\\' { 2 } else { 1 };
                }
                found.push((at, unescape(&source[at + 1..end], &continued)));
                at = end + 1;
            }
            (b'\'', _) => at += character.find(&source[at..]).map_or(1, |c| c.end()),
            _ => at += 1,
        }
    }
    found
}

fn unescape(text: &str, continued: &Regex) -> String {
    let joined = continued.replace_all(text, "");
    let mut out = String::new();
    let mut chars = joined.chars();
    while let Some(c) = chars.next() {
        if c != '\\' {
            out.push(c);
            continue;
        }
        match chars.next() {
            Some('n') => out.push('\n'),
            Some('t') => out.push('\t'),
            Some(other) => out.push(other),
            None => {}
        }
    }
    out
}

/// What only shell has.
fn shell_pattern() -> Regex {
    Regex::new(
        r"(?mx)
        ^\s*set\ -e | (?-u:\b)for\ \w+(\ in\ [^;\n]*)?;\ do(?-u:\b) | (^|[\s;])(if|while|until)\ (\[|!\ |.*;\ (then|do)(?-u:\b))
        | ^\s*case\ .*\ in(?-u:\b) | (^|[\s;])(fi|done|esac)\s*($|[;|<>&)]) | \|\|\ (exit|return|\{\ )
        | (^|[\s\x22=/])\$[1-9@\#*]",
    )
    .expect("a pattern")
}

/// More than two lines, or one that should be several.
fn is_long(text: &str) -> bool {
    text.trim().lines().count() > 2 || (text.len() > 160 && text.matches(';').count() >= 3)
}

#[test]
fn no_shell_script_is_in_a_string_literal() {
    let root = Path::new(env!("CARGO_MANIFEST_DIR"));
    let mut sources = Vec::new();
    list_sources(&root.join("src"), &mut sources);
    list_sources(&root.join("crates"), &mut sources);
    let tests = Regex::new(r"#\[cfg\(test\)\]\s*(?:pub(?:\([^)]*\))?\s+)?mod (\w+)\s*([;{])")
        .expect("a pattern");
    let texts: Vec<(PathBuf, String)> = sources
        .into_iter()
        .map(|p| (p.clone(), std::fs::read_to_string(p).expect("text")))
        .collect();
    // Files that are compiled for tests alone.
    let mut only_tests = Vec::new();
    for (path, text) in &texts {
        for found in tests.captures_iter(text).filter(|f| &f[2] == ";") {
            let folder = path.parent().expect("a folder");
            only_tests.push(folder.join(format!("{}.rs", &found[1])));
        }
    }
    let shell = shell_pattern();
    let (mut seen, mut used, mut bad) = (0, Vec::new(), Vec::new());
    for (path, text) in &texts {
        if only_tests.contains(path) {
            continue;
        }
        let end = tests.captures_iter(text).find(|f| &f[2] == "{");
        let end = end.map_or(text.len(), |f| f.get(0).expect("all").start());
        let place = path
            .strip_prefix(root)
            .expect("below it")
            .display()
            .to_string();
        for (at, literal) in list_literals(text) {
            seen += 1;
            if at > end || !is_long(&literal) || !shell.is_match(&literal) {
                continue;
            }
            let known = |(file, begin, _): &&(&str, &str, &str)| {
                *file == place && literal.replace("{{", "{").starts_with(begin)
            };
            match EXCEPTIONS.iter().find(known) {
                Some(exception) => used.push(*exception),
                None => {
                    let line = text[..at].matches('\n').count() + 1;
                    let begin: String = literal.chars().take(60).collect();
                    bad.push(format!("{place}:{line}: {begin:?}"));
                }
            }
        }
    }
    assert!(seen > 5000, "{seen} literals are too few to be all");
    assert_eq!(
        bad,
        Vec::<String>::new(),
        "belongs into crates/LAYER/scripts/"
    );
    used.sort_unstable();
    assert_eq!(
        used, EXCEPTIONS,
        "exceptions are there as long as they are needed"
    );
}

#[test]
fn every_script_says_what_it_is_and_is_used() {
    let root = Path::new(env!("CARGO_MANIFEST_DIR"));
    let mut sources = Vec::new();
    list_sources(&root.join("src"), &mut sources);
    list_sources(&root.join("crates"), &mut sources);
    let rust: String = sources
        .iter()
        .map(|p| std::fs::read_to_string(p).expect("text"))
        .collect();
    let mut seen = 0;
    for layer in root.join("crates").read_dir().expect("a folder") {
        let Ok(scripts) = layer.expect("an entry").path().join("scripts").read_dir() else {
            continue;
        };
        for script in scripts {
            let path = script.expect("an entry").path();
            let name = path
                .file_name()
                .expect("a name")
                .to_string_lossy()
                .into_owned();
            let text = std::fs::read_to_string(&path).expect("text");
            let mut lines = text.lines();
            let first = lines.next().unwrap_or_default();
            assert!(
                [
                    "# shellcheck shell=sh",
                    "# shellcheck shell=bash",
                    "#!/bin/sh"
                ]
                .contains(&first),
                "{name}: {first}"
            );
            assert!(
                lines.next().is_some_and(|l| l.starts_with("# ")),
                "{name} says nothing"
            );
            assert!(
                rust.contains(&format!("scripts/{name}\"")),
                "{name} is used nowhere"
            );
            seen += 1;
        }
    }
    assert!(seen > 100, "{seen} scripts are too few to be all");
}

// ---------------------------------------------------------------- what scripts do

/// Programs that a script gets as they are; the rest are [`RECORDED`], or not there.
const REAL: [&str; 17] = [
    "sh",
    "cat",
    "grep",
    "sed",
    "tr",
    "awk",
    "cp",
    "mv",
    "rm",
    "stat",
    "head",
    "tail",
    "cut",
    "mkdir",
    "chmod",
    "sha256sum",
    "truncate",
];

/// Programs that only say what they were asked: `tests/files/scripts/program.sh`.
const RECORDED: [&str; 34] = [
    "lsblk",
    "wipefs",
    "pvs",
    "pvcreate",
    "pvresize",
    "vgs",
    "vgcreate",
    "vgextend",
    "lvs",
    "lvcreate",
    "lvchange",
    "lvextend",
    "blkid",
    "mkfs.ext4",
    "mkfs.xfs",
    "findmnt",
    "mountpoint",
    "mount",
    "umount",
    "systemctl",
    "df",
    "swapon",
    "swapoff",
    "fallocate",
    "mkswap",
    "nft",
    "iptables",
    "ip",
    "dd",
    "mke2fs",
    "sync",
    "docker",
    "curl",
    "sleep",
];

/// Places outside its arguments that a script writes to: in the test they are below its folder.
const PLACES: [&str; 3] = ["/etc/fstab", "/swapfile", "/run/matou"];

/// A server, of which there are only files.
struct Server {
    dir: tempfile::TempDir,
}

struct Ran {
    code: i32,
    changes: Vec<String>,
    said: String,
}

impl Server {
    /// What is there: files and what they hold, in which `@` is its folder. Names without `/` are the
    /// state of the programs.
    fn with(files: &[(&str, &str)]) -> Self {
        let dir = tempfile::tempdir().expect("a folder");
        for folder in ["bin", "state", "etc/matou", "run/matou", "srv", "var"] {
            std::fs::create_dir_all(dir.path().join(folder)).expect("a folder");
        }
        let program = Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/files/scripts/program.sh");
        let link = |to: &Path, name: &str| {
            std::os::unix::fs::symlink(to, dir.path().join("bin").join(name)).expect("a link");
        };
        for name in RECORDED {
            link(&program, name);
        }
        let search = std::env::var("PATH").expect("a PATH");
        for name in REAL {
            let mut places =
                std::env::split_paths(&search).chain(["/usr/bin".into(), "/bin".into()]);
            let found = places.find(|p| p.join(name).exists()).expect(name);
            link(&found.join(name), name);
        }
        let server = Self { dir };
        server.write(&[
            ("fails", ""),
            ("changes", ""),
            ("/etc/fstab", "UUID=1 / ext4 defaults 0 1\n"),
        ]);
        server.write(files);
        server
    }

    fn path(&self, name: &str) -> PathBuf {
        match name.strip_prefix('/') {
            Some(place) => self.dir.path().join(place),
            None => self.dir.path().join("state").join(name),
        }
    }

    fn write(&self, files: &[(&str, &str)]) {
        for (name, content) in files {
            let content = content.replace('@', &self.dir.path().display().to_string());
            std::fs::write(self.path(name), content).expect(name);
        }
    }

    /// Runs script files, one after the other, as one script. Arguments and what it says have its
    /// folder left out.
    fn run(&self, scripts: &[&str], args: &[&str]) -> Ran {
        let sources = Path::new(env!("CARGO_MANIFEST_DIR")).join("crates");
        let here = self.dir.path().display().to_string();
        let mut text = String::new();
        for script in scripts {
            text += &std::fs::read_to_string(sources.join(script)).expect(script);
        }
        for place in PLACES {
            text = text.replace(place, &format!("{here}{place}"));
        }
        std::fs::write(self.path("changes"), "").expect("a file");
        let args = args.iter().map(|arg| {
            match arg
                .strip_prefix("/srv")
                .or(arg.strip_prefix("/var"))
                .or(arg.strip_prefix("/etc"))
            {
                Some(_) => format!("{here}{arg}"),
                None => (*arg).to_owned(),
            }
        });
        let out = Command::new(self.dir.path().join("bin/sh"))
            .args(["-c", &text, "sh"])
            .args(args)
            .env_clear()
            .env("PATH", self.dir.path().join("bin"))
            .env("STATE", self.dir.path().join("state"))
            .env("FSTAB", self.path("/etc/fstab"))
            .output()
            .expect("a shell");
        let said = [out.stdout, out.stderr].concat();
        let said = String::from_utf8_lossy(&said).replace(&here, "");
        let changes = std::fs::read_to_string(self.path("changes")).expect("text");
        assert!(!said.contains("not found"), "{said}");
        Ran {
            code: out.status.code().expect("an exit code"),
            changes: changes
                .replace(&here, "")
                .lines()
                .map(str::to_owned)
                .collect(),
            said,
        }
    }

    /// All that is there, but for what was asked.
    fn snapshot(&self) -> BTreeMap<String, String> {
        let mut all = BTreeMap::new();
        let mut folders = vec![self.dir.path().to_owned()];
        while let Some(folder) = folders.pop() {
            for entry in folder.read_dir().expect("a folder") {
                let path = entry.expect("an entry").path();
                let name = path
                    .strip_prefix(self.dir.path())
                    .expect("below it")
                    .display()
                    .to_string();
                if path.is_dir() && name != "bin" {
                    folders.push(path);
                } else if path.is_file() && name != "state/changes" {
                    let length = path.metadata().expect("a file").len();
                    let content = match length {
                        0..10_000 => {
                            let content = std::fs::read(&path).expect("a file");
                            let here = self.dir.path().display().to_string();
                            String::from_utf8_lossy(&content).replace(&here, "")
                        }
                        long => format!("{long} bytes"),
                    };
                    all.insert(name, content);
                }
            }
        }
        all
    }
}

/// A situation: what is there, the arguments, then what has to come of it.
struct Case<'a> {
    name: &'a str,
    there: &'a [(&'a str, &'a str)],
    args: &'a [&'a str],
    code: i32,
    changes: &'a [&'a str],
    said: &'a str,
}

impl Case<'_> {
    fn check(&self, scripts: &[&str]) -> Server {
        let server = Server::with(self.there);
        let ran = server.run(scripts, self.args);
        assert_eq!(ran.changes, self.changes, "{}: {}", self.name, ran.said);
        assert_eq!(ran.code, self.code, "{}: {}", self.name, ran.said);
        assert!(ran.said.contains(self.said), "{}: {}", self.name, ran.said);
        server
    }

    /// Once more, with the same arguments: nothing is any different, and nothing is done but what
    /// does nothing then.
    fn check_again(&self, scripts: &[&str], harmless: &[&str]) {
        let server = self.check(scripts);
        if self.code != 0 {
            return;
        }
        let before = server.snapshot();
        let ran = server.run(scripts, self.args);
        assert_eq!(ran.code, 0, "{} again: {}", self.name, ran.said);
        let done = ran
            .changes
            .iter()
            .filter(|c| !harmless.iter().any(|h| c.starts_with(h)));
        assert_eq!(
            done.collect::<Vec<_>>(),
            Vec::<&String>::new(),
            "{} again",
            self.name
        );
        assert_eq!(server.snapshot(), before, "{} again", self.name);
    }
}

const LIB: &str = "provision/scripts/lib_tentative_files.sh";

/// A volume that is in use: its group has the disk sdb.
const GROWN: &[(&str, &str)] = &[
    ("sdb", ""),
    ("sdb.pv", "matou\n"),
    ("sdb.mounted", "/srv/data\n"),
    ("group.free", "0\n"),
    ("volume", ""),
    ("volume.type", "ext4\n"),
    ("mounted", ""),
];

#[test]
fn storage_grows_and_a_foreign_disk_is_never_formatted() {
    let scripts = [LIB, "provision/scripts/grow_storage.sh"];
    let there = |more: &[(&'static str, &'static str)]| [GROWN, more].concat();
    let both = there(&[("sdc", "")]);
    let grown = there(&[("sdb.grown", "")]);
    let stopped = [("sdb", ""), ("sdb.pv", "matou\n"), ("group.free", "100\n")];
    let unformatted = [
        ("sdb", ""),
        ("sdb.pv", "matou\n"),
        ("group.free", "0\n"),
        ("volume", ""),
    ];
    let filled = there(&[("volume.type", "xfs\n")]);
    let unknown = |more: &'static str| [&unformatted[..], &[("fails", more)]].concat();
    let (ambivalent, unread) = (unknown("8 blkid*\n"), unknown("1 wipefs*/dev/matou/data\n"));
    let partitioned = [&unformatted[..], &[("volume.signature", "0x1fe gpt\n")]].concat();
    let foreign_group = there(&[
        ("sdc", ""),
        ("sdc.pv", "other\n"),
        ("sdc.signature", "LVM2_member\n"),
    ]);
    let alike_group = there(&[("sdc", ""), ("sdc.pv", "matou-old\n")]);
    let blank_and_foreign = [("sdb", ""), ("sdc", ""), ("sdc.signature", "ext4\n")];
    let first = [
        "pvcreate --quiet --yes /dev/sdb",
        "vgcreate --quiet matou /dev/sdb",
        "pvresize --quiet /dev/sdb",
        "lvcreate --quiet --yes --wipesignatures y --name data --extents 100%FREE matou",
        "lvchange --quiet --activate y matou/data",
        "mkfs.ext4 -q -m 1 -L matou /dev/matou/data",
        "mount -t ext4 -o noatime UUID=1234 /srv/data",
        "systemctl daemon-reload",
    ];
    let first_xfs: Vec<&str> = first
        .iter()
        .map(|c| match *c {
            "mkfs.ext4 -q -m 1 -L matou /dev/matou/data" => "mkfs.xfs -q -L matou /dev/matou/data",
            "mount -t ext4 -o noatime UUID=1234 /srv/data" => {
                "mount -t xfs -o noatime UUID=1234 /srv/data"
            }
            other => other,
        })
        .collect();
    let wiped = [&["wipefs --all --quiet /dev/sdb"][..], &first].concat();
    let nothing = [
        "pvresize --quiet /dev/sdb",
        "lvchange --quiet --activate y matou/data",
    ];
    let mounted_again = [
        &nothing[..],
        &[
            "mount -t ext4 -o noatime UUID=1234 /srv/data",
            "systemctl daemon-reload",
        ],
    ]
    .concat();
    let fstab_again = [&nothing[..], &["systemctl daemon-reload"]].concat();
    let from_file_system = [&nothing[..], &first[5..]].concat();
    let from_volume = &first[2..];
    let second = [
        "pvcreate --quiet --yes /dev/sdc",
        "vgextend --quiet matou /dev/sdc",
        "pvresize --quiet /dev/sdb",
        "pvresize --quiet /dev/sdc",
        "lvchange --quiet --activate y matou/data",
        "systemctl daemon-reload",
        "lvextend --quiet --extents +100%FREE --resizefs matou/data",
    ];
    let grows = [
        &fstab_again[..],
        &["lvextend --quiet --extents +100%FREE --resizefs matou/data"],
    ]
    .concat();
    let (ext4, add_b, wipe_b, add_c) = (
        &["/srv/data", "ext4"][..],
        &["/srv/data", "ext4", "add", "/dev/sdb"][..],
        &["/srv/data", "ext4", "wipe", "/dev/sdb"][..],
        &["/srv/data", "ext4", "add", "/dev/sdc"][..],
    );
    let xfs_b = ["/srv/data", "xfs", "add", "/dev/sdb"];
    let two = ["/srv/data", "ext4", "add", "/dev/sdb", "add", "/dev/sdc"];
    let unmounted: Vec<_> = GROWN
        .iter()
        .copied()
        .filter(|(n, _)| !n.ends_with("mounted"))
        .collect();
    let invalid = [&unmounted[..], &[("fails", "1 findmnt --verify*\n")]].concat();
    let case = |name, there, args, code, changes, said| Case {
        name,
        there,
        args,
        code,
        changes,
        said,
    };
    #[rustfmt::skip]
    let cases = [
        case("a blank disk", &[("sdb", "")][..], add_b, 0, &first[..], "making the file system"),
        case("the other file system", &[("sdb", "")], &xfs_b, 0, &first_xfs, ""),
        case("a disk to be wiped", &[("sdb", ""), ("sdb.signature", "ntfs\n")], wipe_b, 0, &wiped, "wiping /dev/sdb"),
        case("all but the line of fstab", GROWN, ext4, 0, &fstab_again, ""),
        case("all is there, and is asked for again", GROWN, add_b, 0, &fstab_again, ""),
        case("what is the group's is not wiped", GROWN, wipe_b, 0, &fstab_again, ""),
        case("interrupted after the group", &stopped, wipe_b, 0, from_volume, ""),
        case("interrupted after the volume", &unformatted, add_b, 0, &from_file_system, ""),
        case("interrupted after the file system", &unmounted, ext4, 0, &mounted_again, ""),
        case("one more disk", &both, add_c, 0, &second, "growing"),
        case("one of two is there", &both, &two, 0, &second, "growing"),
        case("a disk has grown", &grown, ext4, 0, &grows, "growing"),
        case("another file system is there", &filled, ext4, 0, &fstab_again, ""),
        // Foreign, or not to be told.
        case("a foreign disk", &[("sdb", ""), ("sdb.signature", "ntfs\n")], add_b, 1, &[], "holds something now"),
        case("a blank disk and a foreign one", &blank_and_foreign, &two, 1, &first[..2], "/dev/sdc holds something now"),
        case("a mounted disk", &[("sdb", ""), ("sdb.mounted", "\n/boot\n")], add_b, 1, &[], "is mounted"),
        case("a mounted disk to be wiped", &[("sdb", ""), ("sdb.mounted", "/boot\n")], wipe_b, 1, &[], "is mounted"),
        case("no such disk", &[], add_b, 32, &[], ""),
        case("a disk that can't be read", &[("sdb", ""), ("fails", "1 wipefs*\n")], add_b, 1, &[], ""),
        case("a disk that lsblk does not tell", &[("sdb", ""), ("fails", "1 lsblk*\n")], wipe_b, 1, &[], ""),
        case("wiping fails", &[("sdb", ""), ("fails", "1 wipefs --all*\n")], wipe_b, 1, &["wipefs --all --quiet /dev/sdb"], ""),
        case("a disk of another group", &foreign_group, add_c, 5, &["vgextend --quiet matou /dev/sdc"], ""),
        case("a group with a similar name", &alike_group, add_c, 5, &["vgextend --quiet matou /dev/sdc"], ""),
        case("two file systems on the volume", &ambivalent, ext4, 1, &nothing, "it is not formatted"),
        case("partitions on the volume", &partitioned, ext4, 1, &nothing, "it is not formatted"),
        case("a volume that can't be read", &unread, ext4, 1, &nothing, ""),
        case("no room", &[("sdb", ""), ("sdb.pv", "matou\n"), ("group.free", "0\n")], ext4, 5, &first[2..4], ""),
        case("an invalid fstab", &invalid, ext4, 1, &mounted_again[..3], "is not valid"),
    ];
    for case in &cases {
        case.check_again(&scripts, &["pvresize ", "lvchange "]);
        let server = case.check(&scripts);
        let there: BTreeMap<_, _> = case.there.iter().copied().collect();
        for (name, content) in there {
            let wanted = case.args.contains(&"wipe");
            if (name.ends_with(".signature") || name == "volume.type" || name.ends_with(".pv"))
                && !wanted
            {
                let now = std::fs::read_to_string(server.path(name)).expect(name);
                assert_eq!(now, content, "{}: {name}", case.name);
            }
        }
        let fstab = std::fs::read_to_string(server.path("/etc/fstab")).expect("text");
        let lines = fstab.lines().filter(|l| l.contains("/srv/data ")).count();
        assert_eq!(lines, usize::from(case.code == 0), "{}: {fstab}", case.name);
    }
}

#[test]
fn storage_of_an_earlier_version_waits_longer_for_its_disk() {
    let scripts = [LIB, "provision/scripts/grow_storage.sh"];
    let server = Server::with(GROWN);
    let args = ["/srv/data", "ext4"];
    server.run(&scripts, &args);
    let fstab = std::fs::read_to_string(server.path("/etc/fstab")).expect("text");
    assert!(
        fstab.contains("ext4 defaults,noatime,nofail,x-systemd.device-timeout=15min 0 2\n"),
        "{fstab}"
    );
    let old = fstab.replace("15min", "30s");
    server.write(&[("/etc/fstab", &old)]);
    let ran = server.run(&scripts, &args);
    assert!(ran.changes.contains(&"systemctl daemon-reload".to_owned()));
    assert_eq!(
        std::fs::read_to_string(server.path("/etc/fstab")).expect("text"),
        fstab
    );
}

const FILE: (&str, &str) = ("/swapfile", "8 bytes.");
const HEADER: (&str, &str) = ("swap.header", "");
const IN_USE: (&str, &str) = ("swap.on", "@/swapfile\n");
const GIB: &str = "1073741824";
const FREE: (&str, &str) = ("disk.free", "4294967296\n");
const OWN_FSTAB: (&str, &str) = (
    "/etc/fstab",
    "UUID=1 / ext4 defaults 0 1\n@/swapfile none swap sw 0 0\n",
);

#[test]
fn a_swap_file_is_made_once_and_never_fills_the_disk() {
    let scripts = [LIB, "provision/scripts/make_swap.sh"];
    let make = [
        "fallocate -l 1073741824 /swapfile",
        "mkswap /swapfile",
        "swapon /swapfile",
    ];
    let resize = [&["swapoff /swapfile"][..], &make].concat();
    let grows = [FREE, FILE, HEADER, IN_USE, OWN_FSTAB];
    let case = |name, there, arg, code, changes, said| Case {
        name,
        there,
        args: arg,
        code,
        changes,
        said,
    };
    let (gib, small) = (&[GIB][..], &["8"][..]);
    #[rustfmt::skip]
    let cases = [
        case("nothing is there", &[FREE][..], gib, 0, &make[..], ""),
        case("another size", &grows, gib, 0, &resize, ""),
        case("all is there", &grows, small, 0, &[], ""),
        case("interrupted after the file", &[FREE, FILE], small, 0, &make[1..], ""),
        case("interrupted after its header", &[FREE, FILE, HEADER], small, 0, &make[2..], ""),
        case("interrupted before fstab", &[FREE, FILE, HEADER, IN_USE], small, 0, &[], ""),
        case("no room", &[("disk.free", "1610612736\n")], gib, 1, &[], "would fill the disk"),
        case("no room for a larger one", &[("disk.free", "536870912\n"), FILE, HEADER, IN_USE, OWN_FSTAB], gib, 1, &[], "would fill the disk"),
        case("it can't be switched off", &[FREE, FILE, HEADER, IN_USE, OWN_FSTAB, ("fails", "1 swapoff*\n")], gib, 1, &resize[..1], ""),
        case("it can't be allocated", &[FREE, ("fails", "1 fallocate*\n")], gib, 1, &make[..1], ""),
    ];
    for case in &cases {
        case.check_again(&scripts, &[]);
        let server = case.check(&scripts);
        let fstab = std::fs::read_to_string(server.path("/etc/fstab")).expect("text");
        let lines = fstab
            .lines()
            .filter(|l| l.contains("/swapfile none swap sw 0 0"))
            .count();
        let before = usize::from(case.there.contains(&OWN_FSTAB));
        assert_eq!(
            lines,
            if case.code == 0 { 1 } else { before },
            "{}: {fstab}",
            case.name
        );
    }
}

#[test]
fn a_swap_file_is_removed_wherever_that_was_interrupted() {
    let scripts = [LIB, "provision/scripts/remove_swap.sh"];
    let off = ["swapoff /swapfile"];
    let case = |name, there, code, changes| Case {
        name,
        there,
        args: &[],
        code,
        changes,
        said: "",
    };
    #[rustfmt::skip]
    let cases = [
        case("all is there", &[FILE, IN_USE, OWN_FSTAB][..], 0, &off[..]),
        case("it is off", &[FILE, OWN_FSTAB], 0, &[]),
        case("only the file is left", &[FILE], 0, &[]),
        case("nothing is there", &[], 0, &[]),
        case("somebody else's is in use", &[("swap.on", "/dev/sda2\n")], 0, &[]),
        case("it can't be switched off", &[FILE, IN_USE, OWN_FSTAB, ("fails", "1 swapoff*\n")], 1, &off),
    ];
    for case in cases {
        case.check_again(&scripts, &[]);
        let server = case.check(&scripts);
        let fstab = std::fs::read_to_string(server.path("/etc/fstab")).expect("text");
        let gone = case.code == 0;
        assert_eq!(
            (
                server.path("/swapfile").exists(),
                fstab.contains("/swapfile ")
            ),
            (!gone, !gone),
            "{}",
            case.name
        );
        assert!(fstab.contains("UUID=1 / ext4"), "{}: {fstab}", case.name);
    }
}

const RULES: (&str, &str) = ("/etc/matou/firewall.nft", "old\n");
const NEW_RULES: (&str, &str) = ("/etc/matou/firewall.nft.new", "new\n");
const RULES_ARGS: &[&str] = &["/etc/matou/firewall.nft", "/var/lib/matou/firewall.sha256"];
const WRONG: (&str, &str) = ("/etc/matou/firewall.nft.new", "wrong\n");
const LIVE: (&str, &str) = ("rules", "live\n");
const HAD: (&str, &str) = (WAS, "rules\n");
const NONE: (&str, &str) = (WAS, "none\n");
const WAS: &str = "/run/matou/firewall.was";

#[test]
fn rules_of_the_firewall_are_tried_taken_back_and_kept() {
    let (change, restore, keep) = (
        [LIB, "provision/scripts/change_firewall.sh"],
        [LIB, "provision/scripts/restore_firewall.sh"],
        [LIB, "provision/scripts/keep_firewall.sh"],
    );
    let load_new = ["nft -f /etc/matou/firewall.nft.new"];
    let load_old = ["nft -f /etc/matou/firewall.nft"];
    let flush = ["nft -f -"];
    let both = ["nft -f /etc/matou/firewall.nft", "nft -f -"];
    let kept = [
        "systemctl daemon-reload",
        "systemctl enable --quiet matou-firewall.service",
        "systemctl start matou-firewall.service",
    ];
    let case = |name, there, code, changes| Case {
        name,
        there,
        args: RULES_ARGS,
        code,
        changes,
        said: "",
    };
    // The situation, then the rules that are in force afterwards, and what is remembered.
    #[rustfmt::skip]
    let cases = [
        (&change, case("the first rules", &[NEW_RULES][..], 0, &load_new[..]), Some("new\n"), Some("none\n")),
        (&change, case("other rules", &[NEW_RULES, RULES, LIVE], 0, &load_new), Some("new\n"), Some("rules\n")),
        (&change, case("rules that are not valid", &[WRONG, RULES, LIVE], 1, &[]), Some("live\n"), None),
        (&change, case("rules that can't be loaded", &[NEW_RULES, RULES, LIVE, ("fails", "1 nft -f *\n")], 1, &load_new), Some("live\n"), Some("rules\n")),
        (&restore, case("nothing to take back", &[RULES, LIVE], 0, &[]), Some("live\n"), None),
        (&restore, case("back to the old rules", &[RULES, LIVE, HAD], 0, &load_old), Some("old\n"), None),
        (&restore, case("back to none", &[LIVE, NONE], 0, &flush), None, None),
        (&restore, case("the old rules are gone", &[LIVE, HAD], 0, &flush), None, None),
        (&restore, case("the old rules are not valid any more", &[("/etc/matou/firewall.nft", "wrong\n"), LIVE, HAD], 0, &both), None, None),
        (&restore, case("nothing can be loaded", &[RULES, LIVE, HAD, ("fails", "1 nft -f *\n")], 1, &both), Some("live\n"), Some("rules\n")),
        (&keep, case("kept", &[NEW_RULES, RULES, LIVE, HAD], 0, &kept), Some("live\n"), None),
        (&keep, case("the unit does not start", &[NEW_RULES, RULES, LIVE, HAD, ("fails", "1 systemctl start*\n")], 0, &kept), Some("live\n"), None),
        (&keep, case("the unit can't be enabled", &[NEW_RULES, RULES, LIVE, HAD, ("fails", "1 systemctl enable*\n")], 1, &kept[..2]), Some("live\n"), Some("rules\n")),
    ];
    for (scripts, case, rules, was) in cases {
        let server = case.check(scripts);
        let text = |name: &str| std::fs::read_to_string(server.path(name)).ok();
        assert_eq!(text("rules").as_deref(), rules, "{}", case.name);
        assert_eq!(text(WAS).as_deref(), was, "{}", case.name);
        let file = text(RULES.0);
        match scripts == &keep && case.code == 0 {
            true => {
                assert_eq!(file.as_deref(), Some("new\n"), "{}", case.name);
                let hash = text("/var/lib/matou/firewall.sha256").expect("a hash");
                let expected = <sha2::Sha256 as sha2::Digest>::digest(b"live\n");
                let expected: String = expected.iter().map(|b| format!("{b:02x}")).collect();
                assert_eq!(hash.trim(), expected, "{}", case.name);
                assert_eq!(text(NEW_RULES.0), None, "{}", case.name);
            }
            false => {
                let before = case.there.iter().find(|(n, _)| *n == RULES.0);
                assert_eq!(file.as_deref(), before.map(|(_, c)| *c), "{}", case.name);
            }
        }
    }
    // Taken back twice: the second time there is nothing to do.
    for there in [&[RULES, LIVE, HAD][..], &[LIVE, NONE], &[LIVE, HAD]] {
        let case = case(
            "twice",
            there,
            0,
            if there.len() == 3 {
                &load_old[..]
            } else {
                &flush
            },
        );
        case.check_again(&restore, &[]);
    }
}

const ROUTE: (&str, &str) = ("route", "default via 10.0.0.1 dev eth0 proto dhcp\n");
const CLOSED: (&str, &str) = (
    "chain",
    "DOCKER-USER -o eth0 -m conntrack --ctstate NEW -j DROP\n",
);

#[test]
fn a_node_is_isolated_once() {
    let scripts = ["ops/scripts/isolate_node.sh"];
    let rule = "DOCKER-USER -o eth0 -m conntrack --ctstate NEW -j DROP";
    let insert = format!("iptables -I {rule}");
    let add = ["iptables -N DOCKER-USER", &insert];
    let case = |name, there, args, code, changes, said| Case {
        name,
        there,
        args,
        code,
        changes,
        said,
    };
    let close = &["close"][..];
    #[rustfmt::skip]
    let cases = [
        case("open, and looked at", &[ROUTE][..], &["look"][..], 0, &[][..], "open\n"),
        case("without Docker's chain", &[ROUTE], close, 0, &add, "closed\n"),
        case("with Docker's chain", &[ROUTE, ("chain", "")], close, 0, &add, "closed\n"),
        case("closed already", &[ROUTE, CLOSED], close, 0, &[], "closed\n"),
        case("closed, and looked at", &[ROUTE, CLOSED], &["look"], 0, &[], "closed\n"),
        case("no way out", &[("route", "")], close, 0, &[], "nothing gets out"),
        case("the rule is refused", &[ROUTE, ("fails", "4 iptables -I*\n")], close, 4, &add, ""),
    ];
    for case in cases {
        case.check_again(&scripts, &[]);
    }
}

#[test]
fn a_join_of_the_swarm_that_the_engine_goes_on_with_is_waited_for() {
    const SLOW: (&str, &str) = ("refused", "Timeout was reached before node joined.\n");
    let scripts = ["lab/scripts/join_swarm.sh"];
    let ask = [
        "curl -sS --fail-with-body --unix-socket /var/run/docker.sock \
         -H Content-Type: application/json --data @- http://docker/swarm/join",
    ];
    let leave = "docker swarm leave --force";
    let again = [ask[0], leave, ask[0]];
    let never = [ask[0], leave, ask[0], leave, ask[0]];
    let refused = [ask[0]; 3];
    let args = &["10.0.0.2", "10.0.0.1"][..];
    let case = |name, there, code, changes, said| Case {
        name,
        there,
        args,
        code,
        changes,
        said,
    };
    #[rustfmt::skip]
    let cases = [
        case("in it", &[("swarm", "active\n")][..], 0, &[][..], ""),
        case("joins", &[("swarm", "inactive\nactive\n")], 0, &ask, ""),
        case("takes its time", &[("swarm", "inactive\npending\npending\nactive\n"), SLOW], 0, &ask, ""),
        case("fails, and joins anew", &[("swarm", "inactive\nerror\nactive\n"), SLOW], 0, &again, "attempt 1"),
        case("never comes", &[("swarm", "inactive\npending\n"), SLOW], 1, &never, "Timeout was reached"),
        case("is refused", &[("swarm", "inactive\n"), ("refused", "wrong token\n")], 1, &refused, "wrong token"),
    ];
    for case in cases {
        case.check_again(&scripts, &[]);
    }
}
