//! What others could see of a fleet's secrets while it is worked on, and who may read what matou writes.

use std::collections::{BTreeMap, HashMap, HashSet};
use std::os::unix::fs::{MetadataExt, PermissionsExt};
use std::path::{Path, PathBuf};
use std::process::Stdio;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicU32, Ordering};
use std::thread::JoinHandle;
use std::time::{Duration, Instant};

use super::{Fleet, said};

/// Programs that take a secret from their environment, which root alone may read.
const BY_ENVIRONMENT: [&str; 10] = [
    "restic",
    "rclone",
    "pg_dump",
    "pg_dumpall",
    "pg_restore",
    "psql",
    "mariadb",
    "mariadb-dump",
    "mysql",
    "mysqldump",
];

/// The table of docs/security.md: which files are made, and what may be allowed for them at most.
const SECURITY: &str = include_str!("../../docs/security.md");

/// Looks all the time at every process, those of the practice nodes too, which are this machine's.
pub(crate) struct Watch {
    secrets: Vec<String>,
    stop: Arc<AtomicBool>,
    /// Looks at all processes that have begun.
    rounds: Arc<AtomicU32>,
    looking: JoinHandle<Vec<Seen>>,
}

/// A command line, or the environment of a program that should have no secret in it.
struct Seen {
    /// What is told of it.
    what: String,
    text: String,
}

impl Watch {
    pub(crate) fn begin(secrets: &[&str]) -> Self {
        let stop = Arc::new(AtomicBool::new(false));
        let rounds = Arc::new(AtomicU32::new(0));
        let looking = std::thread::spawn({
            let (stop, rounds) = (stop.clone(), rounds.clone());
            move || look(&stop, &rounds)
        });
        let mut watch = Self {
            secrets: Vec::new(),
            stop,
            rounds,
            looking,
        };
        for secret in secrets {
            watch.also(secret);
        }
        watch
    }

    /// One more that must not be seen, nor have been since the watch began: a value that was made at
    /// random is known only afterwards.
    pub(crate) fn also(&mut self, secret: &str) {
        let secret = secret.trim().to_owned();
        assert!(secret.len() > 7, "too short to be told");
        self.secrets.push(secret);
    }

    /// Nobody has seen any of them: on no command line, in no environment, journal, log, or file in a
    /// folder for files that pass, of these nodes and of this machine.
    pub(crate) fn end(self, fleet: &Fleet, nodes: &[&str]) {
        let secrets = self.secrets;
        // That it sees anything is seen by one that is shown on purpose.
        // It lives until all processes were looked at from the first to the last: on a busy machine that takes
        // seconds.
        let decoy = format!("read -r _; : decoy {}", secrets[0]);
        let mut shown = std::process::Command::new("sh");
        let shown = shown.args(["-c", &decoy]).stdin(Stdio::piped());
        let mut shown = shown.spawn().expect("a shell");
        let limit = Instant::now() + Duration::from_secs(120);
        let begun = self.rounds.load(Ordering::Relaxed);
        while self.rounds.load(Ordering::Relaxed) < begun + 3 {
            assert!(Instant::now() < limit, "the watch looks at nothing");
            std::thread::sleep(Duration::from_millis(50));
        }
        shown.kill().expect("it lives");
        shown.wait().expect("a child");
        self.stop.store(true, Ordering::Relaxed);
        let seen = self.looking.join().expect("no panic");
        let holds = |seen: &Seen| secrets.iter().any(|s| seen.text.contains(s.as_str()));
        let seen = seen.into_iter().filter(holds).map(|seen| seen.what);
        let (decoy, seen): (Vec<String>, Vec<String>) = seen.partition(|s| s.contains(": decoy "));
        assert!(!decoy.is_empty(), "the watch sees nothing");
        assert!(seen.is_empty(), "secrets were seen: {seen:#?}");

        let list = secrets.join("\n") + "\n";
        let mut left = Vec::new();
        for node in nodes {
            let script = "t=$(mktemp /dev/shm/XXXXXX); trap 'rm -f \"$t\"' EXIT; cat >\"$t\" <<'END'\n@LIST@END\n\
                journalctl --no-pager --output=cat | grep -F -f \"$t\" | sed 's/^/journal: /'\n\
                find /tmp /var/tmp /run /dev/shm /var/log /var/lib/matou /var/lib/systemd /var/crash -xdev -type f ! -path \"$t\" \
                ! -path '/run/secrets/*' ! -path '*/docker/*' ! -path '*/containerd/*' -size -64M -exec grep -lF -f \"$t\" -- {} + 2>/dev/null\n\
                systemctl show 'matou-*' | grep -F -f \"$t\"; :";
            let out = said(&fleet.try_run(node, &script.replace("@LIST@", &list)));
            left.extend(out.lines().map(|l| format!("{node}: {l}")));
        }
        for file in files_of(&own_folder()) {
            let text = std::fs::read(&file).unwrap_or_default();
            let text = String::from_utf8_lossy(&text);
            if secrets.iter().any(|s| text.contains(s)) {
                left.push(file.display().to_string());
            }
        }
        assert!(left.is_empty(), "secrets were left: {left:#?}");
    }
}

/// Where matou's state is on this machine.
fn own_folder() -> PathBuf {
    let state = std::env::var_os("XDG_STATE_HOME").map_or_else(
        || PathBuf::from(std::env::var_os("HOME").expect("a home")).join(".local/state"),
        PathBuf::from,
    );
    state.join("matou")
}

/// Files of matou's state: journal, log, what is remembered.
fn files_of(folder: &Path) -> Vec<PathBuf> {
    let entries = std::fs::read_dir(folder).into_iter().flatten().flatten();
    let paths = entries.map(|e| e.path());
    paths.filter(|p| p.is_file()).collect()
}

/// What a process is known by: another may get its number.
type Process = (String, String);

fn look(stop: &AtomicBool, rounds: &AtomicU32) -> Vec<Seen> {
    let mut found = Vec::new();
    let mut known = HashSet::new();
    // How often each was looked at: a young one may yet become another program.
    let mut looked: HashMap<Process, u32> = HashMap::new();
    let own = std::process::id().to_string();
    let mut round = 0u32;
    while !stop.load(Ordering::Relaxed) {
        round += 1;
        rounds.store(round, Ordering::Relaxed);
        for process in std::fs::read_dir("/proc").expect("/proc").flatten() {
            let pid = process.file_name().to_string_lossy().into_owned();
            if pid == own || !pid.bytes().all(|b| b.is_ascii_digit()) {
                continue;
            }
            let read = |what: &str| {
                let bytes = std::fs::read(process.path().join(what)).unwrap_or_default();
                String::from_utf8_lossy(&bytes).replace('\0', " ")
            };
            let stat = read("stat");
            let Some((name, rest)) = stat.split_once('(').and_then(|(_, s)| s.rsplit_once(')'))
            else {
                continue;
            };
            let began = rest.split_whitespace().nth(19).unwrap_or_default();
            let times = looked.entry((pid, began.to_owned())).or_default();
            *times += 1;
            if *times > 40 && !round.is_multiple_of(20) {
                continue;
            }
            let line = read("cmdline");
            if known.insert(line.clone()) {
                found.push(Seen {
                    what: line.clone(),
                    text: line,
                });
            }
            if BY_ENVIRONMENT.contains(&name) {
                continue;
            }
            let environment = read("environ");
            // Its name once more: between two looks a shell may have become its program.
            if !BY_ENVIRONMENT.contains(&read("comm").trim()) && known.insert(environment.clone()) {
                found.push(Seen {
                    what: format!("environment of {name}"),
                    text: environment,
                });
            }
        }
        if round.is_multiple_of(200) {
            looked.retain(|(pid, _), _| Path::new("/proc").join(pid).exists());
        }
        std::thread::sleep(Duration::from_millis(30));
    }
    found
}

/// The rows of the table: a pattern of paths, and most that their modes may allow; `None` for files that
/// are not matou's own.
fn table() -> Vec<(String, Option<u32>)> {
    let begin = SECURITY.split("| path | mode | what it is |").nth(1);
    let rows = begin.expect("a table").lines().skip(2);
    let rows = rows.take_while(|l| l.starts_with('|'));
    rows.map(|row| {
        let mut cells = row.split('|').map(|c| c.trim().trim_matches('`')).skip(1);
        let path = cells.next().expect("a path");
        let mode = cells.next().expect("a mode");
        let most = match mode {
            "as they were" => None,
            mode => Some(u32::from_str_radix(mode, 8).expect("a mode")),
        };
        (path.to_owned(), most)
    })
    .collect()
}

/// Whether a path is of a pattern: `*` stands for a part of a name, `**` for all below.
fn fits(pattern: &str, path: &str) -> bool {
    match pattern.split_once('*') {
        None => pattern == path,
        Some((before, "*")) => path.starts_with(before),
        Some((before, after)) => path.strip_prefix(before).is_some_and(|rest| {
            let end = rest.find('/').unwrap_or(rest.len());
            (0..=end).any(|n| rest.is_char_boundary(n) && fits(after, &rest[n..]))
        }),
    }
}

/// Everything that matou made on these nodes is in the table, belongs to root and allows no more.
pub(crate) fn modes(fleet: &Fleet, nodes: &[&str]) {
    const FIND: &str = "find / -xdev \\( -path /proc -o -path /sys -o -path /var/lib/docker -o -path /usr/share -o -path /var/lib/dpkg -o -path /var/cache \\) -prune \
        -o -path '*/systemd-private-*/tmp' -prune -o \\( -path '*matou*' -o -path /etc/hosts -o -path /etc/fstab -o -path /etc/docker/daemon.json \\) -printf '%m %u:%g %y %p\\n' 2>/dev/null; \
        find /run/matou /mnt/data/.matou -printf '%m %u:%g %y %p\\n' 2>/dev/null; :";
    let table = table();
    let mut wrong = BTreeMap::new();
    for node in nodes {
        for line in fleet.run(node, FIND).lines() {
            let mut words = line.splitn(4, ' ');
            let (Some(mode), Some(owner), Some(kind), Some(path)) =
                (words.next(), words.next(), words.next(), words.next())
            else {
                continue;
            };
            let Ok(mode) = u32::from_str_radix(mode, 8) else {
                continue;
            };
            let row = table.iter().find(|(pattern, _)| fits(pattern, path));
            let is_right = match row {
                None => false,
                Some(_) if kind == "l" => true,
                Some((_, None)) => true,
                Some((_, Some(most))) => {
                    // Who may look into a folder may enter it.
                    let most = if kind == "d" {
                        most | (most >> 2 & 0o111)
                    } else {
                        *most
                    };
                    owner == "root:root" && mode & !most == 0
                }
            };
            if !is_right {
                wrong.insert(format!("{node}: {line}"), row.map(|(p, _)| p.clone()));
            }
        }
    }
    assert!(wrong.is_empty(), "not as in docs/security.md: {wrong:#?}");
}

/// The same of the operator's files.
pub(crate) fn own_modes() {
    own_modes_in(&own_folder());
}

/// What is in a folder of matou's state is its owner's alone.
pub(crate) fn own_modes_in(folder: &Path) {
    let own = nix::unistd::getuid().as_raw();
    let files = files_of(folder);
    assert!(!files.is_empty(), "nothing in {}", folder.display());
    for file in files.iter().map(PathBuf::as_path).chain([folder]) {
        // Others work in it too: a file that is written anew goes while it is looked at.
        let found = match std::fs::metadata(file) {
            Err(e) if e.kind() == std::io::ErrorKind::NotFound && file != folder => continue,
            found => found.expect("it is there"),
        };
        assert_eq!(found.permissions().mode() & 0o077, 0, "{}", file.display());
        assert_eq!(found.uid(), own, "{}", file.display());
    }
}
