//! Data of an application is hostile: a container that was broken into is root in its own volume. It
//! puts links, pipes, devices and hard links where root of the storage node will look, and exchanges
//! them while it looks. Nothing outside of the volume changes, every job comes to an end, and what is
//! odd is told.

mod support;

use std::path::{Path, PathBuf};
use std::process::Output;
use std::time::{Duration, Instant};

use support::{Fleet, ok, private, said};

/// Of these tests alone; `scripts/test.sh` removes it too.
const FLEET: &str = "link";

/// The longest that any job may take.
const BOUND: Duration = Duration::from_secs(90);

const GITX: &str = r"x-matou:
  title: Git
  description: an SQLite file
  backup:
    dumps:
      - {service: web, engine: sqlite, database: /data/gitea/gitea.db, file: /data/copy.sqlite3}
services:
  web:
    image: matou/fake:1
    volumes: ['git:/data']
    stop_grace_period: 1s
volumes:
  git:
";

const DBX: &str = r"x-matou:
  title: Database
  description: what behaves like MariaDB
  backup:
    dumps:
      - {service: db, engine: mariadb, file: /var/lib/mysql/dumps/all.sql}
services:
  db:
    image: matou/fake:1
    volumes: ['db:/var/lib/mysql']
    stop_grace_period: 1s
volumes:
  db:
";

const SITE: &str = r"services:
  web:
    image: matou/hello:1.0
    volumes: ['files:/srv/files']
    stop_grace_period: 1s
volumes:
  files:
";

/// Programs that say what the real ones would. A dump is as long as the link that takes its place:
/// whoever looks at sizes alone sees no difference.
const FAKE: &str = r#"set -e; d=$(mktemp -d); cd "$d"
cat >sqlite3 <<'S'
#!/bin/sh
case "$*" in *quick_check*) echo ok; exit ;; esac
f=${*##*.backup \'}; f=${f%\'}; printf 'sqlite junk\nssh-ed25519 AAAA attacker\n' >"$f"
S
cat >mariadb-dump <<'S'
#!/bin/sh
for a; do case $a in --result-file=*) f=${a#*=} ;; esac; done
printf 'insert\n-- Dump completed\n' >"$f"
[ ! -x /evil ] || /evil >/dev/null 2>&1 </dev/null &
S
cat >mariadb <<'S'
#!/bin/sh
case "$*" in *COUNT*) echo 3 ;; *-e*) ;; *) cat >/dev/null ;; esac
S
chmod 755 *
c=$(docker create matou/hello:1.0); for p in *; do docker cp $p $c:/bin/$p; done
docker commit $c matou/fake:1; docker rm $c"#;

/// As long as a dump of [`FAKE`].
const SHADOW: &str = "/etc/../etc/../etc/shadow";

struct Practice {
    fleet: Fleet,
    config: PathBuf,
    begun: Instant,
}

impl Practice {
    fn new() -> Self {
        let begun = Instant::now();
        let fleet = Fleet::with_shared_data(FLEET, 1);
        fleet.run("n1", FAKE);
        let backup =
            "[backup]\nrepository = \"/srv/restic\"\npassword_file = \"restic-password\"\n";
        let config = fleet.config("links.toml", backup);
        let folder = config.parent().expect("a folder");
        private(&folder.join("restic-password"), "correct horse\n");
        std::fs::create_dir_all(folder.join("stacks")).expect("a folder");
        let p = Self {
            fleet,
            config,
            begun,
        };
        support::backup::repository(&p.fleet, &p.config);
        for (app, stack) in [
            ("gitx", GITX),
            ("dbx", DBX),
            ("shop", SITE),
            ("victim", SITE),
        ] {
            let path = p.folder().join(format!("stacks/{app}.yml"));
            std::fs::write(path, stack).expect("written");
            p.ok(&["deploy", app, app, "--yes"]);
        }
        p
    }

    fn folder(&self) -> &Path {
        self.config.parent().expect("a folder")
    }

    fn ok(&self, args: &[&str]) -> String {
        let text = ok(&self.config, args);
        self.told(&format!("matou {}", args.join(" ")));
        text
    }

    /// Runs it; how it ends is no matter, only that it ends.
    fn ends(&self, args: &[&str]) -> Output {
        let begun = Instant::now();
        let out = support::matou(&self.config, args);
        self.told(&format!("matou {} ({})", args.join(" "), out.status));
        assert!(begun.elapsed() < BOUND, "{args:?}: {:?}", begun.elapsed());
        out
    }

    /// The same; it must fail and say `why`.
    fn fails(&self, args: &[&str], why: &str) {
        let out = self.ends(args);
        let text = said(&out);
        assert!(!out.status.success() && text.contains(why), "{text}");
    }

    fn told(&self, what: &str) {
        eprintln!("{:6.1} s  {what}", self.begun.elapsed().as_secs_f32());
    }

    fn run(&self, line: &str) -> String {
        self.fleet.run("n1", line).trim().to_owned()
    }

    /// Runs a shell line in the container of a service, as its root.
    fn inside(&self, service: &str, line: &str) {
        let line = line.replace('\'', r"'\''");
        self.run(&format!(
            "c=$(docker ps -q --filter label=com.docker.swarm.service.name={service} | head -n 1); docker exec \"$c\" sh -c '{line}'"
        ));
    }

    /// Everything that no container may touch: names, kinds, modes, owners, contents.
    fn outside(&self) -> String {
        self.run(
            "for d in /etc /root/.ssh /srv/canary /mnt/data/victim_files /mnt/data/.matou/fleet; do \
             find $d -printf '%y %m %U:%G %n %p %l\\n' | sort; find $d -type f -print0 | sort -z | xargs -0 sha256sum; done",
        )
    }

    /// A snapshot of an application as it is at this moment, with what its newest one is known by: what
    /// a container exchanges after its dump was looked at, and before restic reads it.
    fn snapshot(&self, app: &str) {
        self.run(&format!(
            "export RESTIC_PASSWORD='correct horse' RESTIC_REPOSITORY=/srv/restic
             last=$(restic snapshots --json --tag app={app} | tr '{{' '\\n' | grep '\"paths\"' | tail -n 1)
             list() {{ printf %s \"$last\" | sed -n \"s/.*\\\"$1\\\":\\[\\([^]]*\\)\\].*/\\1/p\" | tr -d '\"' | tr , ' '; }}
             set --; for t in $(list tags); do set -- \"$@\" --tag $t; done
             restic backup -q --host {FLEET} \"$@\" $(list paths)"
        ));
    }

    /// Until nothing of a restore is open or kept.
    fn settle(&self, app: &str) {
        let state = format!("/mnt/data/.matou/restores/{app}.json");
        for _ in 0..5 {
            self.ends(&["restore", "undo", app, "--yes"]);
            self.ends(&["restore", "forget", app, "--yes"]);
            if self
                .fleet
                .try_run("n1", &format!("[ ! -e {state} ]"))
                .status
                .success()
            {
                return;
            }
        }
        panic!("{} stays: {}", state, self.run(&format!("cat {state}")));
    }
}

#[test]
fn what_a_container_made_leads_root_nowhere() {
    let all = std::env::var_os("MATOU_TEST_ALL").is_some();
    attack(if all { usize::MAX } else { 1 });
}

/// Tries so many of each list of things that a container can make.
fn attack(many: usize) {
    let p = Practice::new();
    p.run(
        "mkdir -p /root/.ssh /srv/canary; echo own >>/root/.ssh/authorized_keys; echo canary >/srv/canary/file; \
         echo 'of the other' >/mnt/data/victim_files/index.php; mkdir /mnt/data/victim_files/sub",
    );
    let before = p.outside();
    let same = |what: &str| {
        let now = p.outside();
        if now != before {
            let new: Vec<&str> = now.lines().filter(|l| !before.contains(l)).collect();
            panic!("{what}: {new:#?}");
        }
    };
    sqlite(&p, many, &same);
    dumps(&p, many, &same);
    paths(&p, many, &same);
    if many > 1 {
        race(&p, &same);
    }
    assert!(
        !p.run("mount; cat /proc/mounts").contains("nosymfollow"),
        "left behind"
    );
    for (what, seen) in [
        (
            "a container makes its database's file, a dump, a folder a link, a hard link, a pipe, a device",
            "told, and nothing outside of its volume is changed",
        ),
        (
            "a container exchanges a folder for a link in a loop while it is restored, verified, saved, exported",
            "the same",
        ),
    ]
    .into_iter()
    .take(many)
    {
        support::fault("links", what, seen);
    }
}

/// The file of SQLite is a link to the host's keys, with a dump that holds a key; then the dump itself
/// is anything but a file.
fn sqlite(p: &Practice, many: usize, same: &dyn Fn(&str)) {
    p.inside(
        "gitx_web",
        "mkdir -p /data/gitea /root/.ssh; echo x >/root/.ssh/authorized_keys; ln -s /root/.ssh/authorized_keys /data/gitea/gitea.db; \
         cp /bin/busybox /data/su; chmod 4755 /data/su; mknod /data/null c 1 3; ln -s ../../up /data/gitea/up; ln -s ../su /data/gitea/inner",
    );
    p.ok(&["backup", "gitx", "--yes"]);
    let text = p.ok(&["restore", "gitx", "--yes"]);
    same("an SQLite file that is a link");
    for told in [
        "1 files that run as their owner or group (set-uid, set-gid): su",
        "1 devices: null",
        "2 links that lead out of what is restored: gitea/",
    ] {
        assert!(text.contains(told), "{told}: {text}");
    }
    let kind = p.run("stat -c %F /mnt/data/gitx_git/gitea/gitea.db; grep -c attacker /mnt/data/gitx_git/gitea/gitea.db");
    assert_eq!(kind, "regular file\n1");
    p.ok(&["restore", "forget", "gitx", "--yes"]);
    for made in [
        "ln -s /root/.ssh/authorized_keys copy.sqlite3",
        "ln gitea/gitea.db copy.sqlite3",
        "mkfifo copy.sqlite3",
    ]
    .into_iter()
    .take(many)
    {
        p.inside(
            "gitx_web",
            &format!("cd /data; rm -rf copy.sqlite3; {made}"),
        );
        p.snapshot("gitx");
        p.fails(&["restore", "gitx", "--yes"], "no regular file of one name");
        same(made);
    }
    // A folder above the file leads elsewhere.
    p.inside(
        "gitx_web",
        "cd /data; rm -rf copy.sqlite3 gitea; cp su copy.sqlite3; ln -s /mnt/data/victim_files gitea",
    );
    p.snapshot("gitx");
    p.fails(&["restore", "gitx", "--yes"], "symbolic links");
    same("a folder above the SQLite file");
}

/// A database's dump is exchanged when it is made, and before it is loaded.
fn dumps(p: &Practice, many: usize, same: &dyn Fn(&str)) {
    p.inside("dbx_db", "mkdir /var/lib/mysql/dumps");
    p.ok(&["backup", "dbx", "--yes"]);
    let all = "/var/lib/mysql/dumps/all.sql";
    for made in [format!("ln -s {SHADOW} {all}"), format!("ln {all}.1 {all}")]
        .into_iter()
        .take(many)
    {
        let evil = format!(
            "rm -f {all}; printf %025d 0 >{all}.1; cp {all}.1 /etc/shadow; printf \"#!/bin/sh\\nuntil [ -f {all} ]; do :; done; rm -f {all}; {made}\\n\" >/evil; chmod 755 /evil"
        );
        p.inside("dbx_db", &evil);
        // What it is by then, or that it was gone for a moment.
        p.fails(&["backup", "dbx", "--yes"], "dbx is NOT backed up");
    }
    p.inside("dbx_db", &format!("rm -rf /evil {all}; mkdir {all}"));
    p.fails(&["backup", "dbx", "--yes"], "is a folder");
    p.inside("dbx_db", &format!("rm -rf {all}; mkfifo {all}"));
    p.ok(&["backup", "dbx", "--yes"]);
    let text = p.ok(&["verify", "dbx"]);
    assert!(text.contains("loaded, 3 tables"), "{text}");
    // It was a file when it was looked at.
    for made in [
        format!("ln -s {SHADOW} {all}"),
        format!("mknod {all} c 1 5"),
    ]
    .into_iter()
    .take(many)
    {
        p.inside("dbx_db", &format!("rm -rf {all}; {made}"));
        p.snapshot("dbx");
        p.fails(&["verify", "dbx"], "no regular file of one name");
        same("verify");
    }
    p.fails(&["restore", "dbx", "--yes"], "no regular file of one name");
    same("restore of a database");
    p.settle("dbx");
}

/// A file is restored whose folder is a link by now, or that is no file any more.
fn paths(p: &Practice, many: usize, same: &dyn Fn(&str)) {
    let inside = |line: &str| p.inside("shop_web", &format!("cd /srv/files; {line}"));
    inside("mkdir conf; echo evil >conf/index.php; echo evil >conf/config.toml; mkdir conf/sub");
    p.ok(&["backup", "shop", "--yes"]);
    let file = "/mnt/data/shop_files/conf/index.php";
    let restore = ["restore", "shop", "--path", file, "--yes"];
    for to in [
        "/mnt/data/victim_files",
        "/mnt/data/.matou/fleet",
        "../victim_files",
        "/etc",
    ]
    .into_iter()
    .take(many)
    {
        inside(&format!("rm -rf conf; ln -s {to} conf"));
        p.fails(&restore, "is a link now");
        same(to);
    }
    for made in ["ln -s /srv/canary/file", "mkfifo", "mkdir"]
        .into_iter()
        .take(many)
    {
        inside(&format!("rm -rf conf; mkdir conf; {made} conf/index.php"));
        p.ok(&restore);
        same(made);
        assert_eq!(p.run(&format!("cat {file}")), "evil");
        p.ok(&["restore", "undo", "shop", "--yes"]);
        p.ok(&["restore", "forget", "shop", "--yes"]);
        same(made);
    }
    // Into a folder that lies in a volume.
    inside("rm -rf conf; ln -s /srv/canary conf");
    let into = "/mnt/data/shop_files/conf/new";
    p.fails(
        &["restore", "shop", "--into", into, "--yes"],
        "symbolic links",
    );
    same("into a folder");
}

/// The container exchanges folder and link, file and pipe, all the time.
fn race(p: &Practice, same: &dyn Fn(&str)) {
    let inside = |line: &str| p.inside("shop_web", &format!("cd /srv/files; {line}"));
    inside(
        "rm -rf conf; mkdir conf; for i in 1 2 3 4 5 6 7 8; do echo evil >conf/$i; done; cp conf/1 conf/index.php; cp -r conf away",
    );
    p.ok(&["backup", "shop", "--yes"]);
    p.inside(
        "shop_web",
        "(cd /srv/files; while [ -d away ]; do for to in /mnt/data/victim_files /mnt/data/.matou/fleet /srv/canary; do \
         mv conf real; ln -s $to conf; usleep 2000; rm conf; mv real conf; usleep 2000; done; done) >/dev/null 2>&1 </dev/null &",
    );
    let file = "/mnt/data/shop_files/conf/index.php";
    for _ in 0..4 {
        p.ends(&["restore", "shop", "--path", file, "--yes"]);
        same("restore --path in a race");
        p.settle("shop");
        same("undo in a race");
    }
    p.ends(&["verify", "shop"]);
    same("verify in a race");
    p.ends(&["backup", "shop", "--yes"]);
    p.ends(&[
        "export",
        "shop",
        "--into",
        &p.folder().join("shop.tar").display().to_string(),
        "--yes",
    ]);
    same("backup and export in a race");
    // The snapshot holds nothing of what the links led to.
    let held = p.run("RESTIC_PASSWORD='correct horse' restic -q -r /srv/restic find --tag app=shop '*victim*' || :");
    assert!(!held.contains("victim_files/"), "{held}");
    p.run("rm -rf /mnt/data/shop_files/away");
    p.ok(&["restore", "shop", "--yes"]);
    same("the end");
}
