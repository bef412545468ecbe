//! matou is killed (SIGKILL) at each point of each operation on an application: after each
//! command that it has run on the server and after each change that the engine made, of its own
//! requests and of those of the docker clients that it runs there. Then the same command again, which
//! is killed too, and then once more: that one ends where an undisturbed one does.
//!
//! What counts the points is on the node, in files/kills: a second sshd with a forced command, and a
//! socket before the engine's. matou knows nothing of it.

mod support;

use std::path::PathBuf;
use std::process::{Child, Command, Stdio};
use std::time::{Duration, Instant};

use matou::lab::LabKind;
use serde_json::Value;
use support::{Fleet, ok, private, said};

const FLEET: &str = "kil";

/// As many at once as keep two processors busy.
const LANES: usize = 3;

const VAULT: &str = r#"
version: "3.8"
x-matou:
  title: An application with secrets
  secrets:
    - name: app_key
      help: encrypts what is stored
      length: 40
      keep: true
    - name: db_password
      help: of the database
      length: 24
  variables:
    - name: GREETING
      help: what it says
      default: one
services:
  web:
    image: matou/hello:1.0
    environment:
      GREETING: ${GREETING}
    secrets: [app_key, db_password]
    configs:
      - source: page
        target: /page.conf
    volumes:
      - files:/data
    networks: [inner]
    deploy:
      endpoint_mode: dnsrr
  db:
    image: matou/hello:1.0
    secrets: [db_password]
    volumes:
      - rows:/data
    networks: [inner]
    deploy:
      endpoint_mode: dnsrr
networks:
  inner: {}
configs:
  page:
    file: ./page.conf
secrets:
  app_key: {}
  db_password: {}
volumes:
  files: {}
  rows: {}
"#;

/// What all is there of the application `A`.
const WORLD: &str = r#"
for s in $(docker service ls -q -f "label=com.docker.stack.namespace=$A"); do
    docker service inspect -f '{{json .Spec}}' "$s"
done
for kind in secret config network volume; do docker $kind ls --format "$kind {{.Name}}" | grep "^$kind ${A}_"; done
cd /mnt/data && find . \( -path "./${A}_*" -o -path "*/$A" -o -path "*/$A/*" -o -name "$A.*" \) -printf '%y %m %u %p\n' | sort
cat ".matou/fleet/apps/$A.toml" 2>/dev/null
for s in web db; do
    c=$(docker ps -q -f "label=com.docker.swarm.service.name=${A}_$s")
    echo "$s has $(echo $c | wc -w)"
    for c in $c; do for secret in app_key db_password; do
        used=$(docker exec "$c" cat "/run/secrets/$secret" 2>/dev/null) || continue
        kept=$(cat "$(ls .matou/secrets/$A/$secret.v* | sort -V | tail -n 1)")
        [ "$used" = "$kept" ] && echo "$s has the $secret that is kept" || echo "$s has ANOTHER $secret"
    done; done
done
find /run/matou/locks -lname '*' -printf 'LOCK %f\n' | grep "app-$A\$"
ls /mnt/data/.matou/fleet.new 2>/dev/null
:"#;

/// One lane: a way to the node on which the points are counted, and an operator who takes it.
struct Lane<'a> {
    fleet: &'a Fleet,
    number: usize,
    config: PathBuf,
}

impl<'a> Lane<'a> {
    fn open(fleet: &'a Fleet, number: usize) -> Self {
        let lane = Self {
            fleet,
            number,
            config: PathBuf::new(),
        };
        let folder = lane.folder();
        for (name, text) in [
            ("point", include_str!("files/kills/point")),
            ("engine", include_str!("files/kills/engine")),
            ("command", include_str!("files/kills/command")),
        ] {
            fleet.run(
                "n1",
                &format!(
                    "mkdir -p {folder}; cat >{folder}/{name} <<'END'\n{text}END\nchmod 755 {folder}/{name}"
                ),
            );
        }
        let port = lane.port();
        fleet.run(
            "n1",
            &format!(
                "cd {folder}; echo 0 >at; : >log; mkfifo hit; \
                 /usr/sbin/sshd -p {port} -o ForceCommand={folder}/command -o PidFile=none; \
                 setsid ./engine >engine.log 2>&1 </dev/null & until [ -S {folder}/docker.sock ]; do sleep 0.1; done"
            ),
        );
        let lab = fleet.lab.config_path();
        let lab = lab.parent().expect("a folder");
        let own = lab.join(format!("lane{number}"));
        std::fs::create_dir_all(own.join("stacks")).expect("made");
        let known = std::fs::read_to_string(lab.join("known_hosts")).expect("known hosts");
        let known = known.lines().map(|line| match line.split_once(' ') {
            Some((host, key)) => format!("[{host}]:{port} {key}\n"),
            None => String::new(),
        });
        std::fs::write(own.join("known_hosts"), known.collect::<String>()).expect("written");
        std::fs::copy(lab.join("id_ed25519"), own.join("id_ed25519")).expect("copied");
        std::fs::write(own.join("stacks/vault.yml"), VAULT).expect("written");
        std::fs::write(own.join("stacks/page.conf"), "a page\n").expect("written");
        private(&own.join("restic-password"), "practice-pass-1f0c");
        let text = std::fs::read_to_string(lab.join("config.toml")).expect("its configuration");
        let text = text.replace(
            "address = ",
            &format!("port = {port}\ndocker_socket = \"{folder}/docker.sock\"\naddress = "),
        );
        let text = text
            + "\n[backup]\nrepository = \"/srv/restic\"\npassword_file = \"restic-password\"\n";
        std::fs::write(own.join("config.toml"), text).expect("written");
        Self {
            config: own.join("config.toml"),
            ..lane
        }
    }

    fn folder(&self) -> String {
        format!("/srv/kills{}", self.number)
    }

    fn port(&self) -> usize {
        2200 + self.number
    }

    fn n1(&self, line: &str) -> String {
        self.fleet.run("n1", line).trim().to_owned()
    }

    /// The points of a command that nobody disturbs.
    fn points(&self, args: &[String]) -> Vec<String> {
        let folder = self.folder();
        self.n1(&format!("cd {folder}; echo 0 >at; : >log"));
        ok_all(self, args);
        let log = self.n1(&format!("cat {folder}/log"));
        log.lines().map(str::to_owned).collect()
    }

    /// Kills a command at a point. Answers with what it had printed when it ended before that.
    fn killed(&self, args: &[String], at: usize) -> Option<String> {
        let folder = self.folder();
        self.n1(&format!(
            "cd {folder}; rm -f go hit; mkfifo hit; : >log; echo {at} >at"
        ));
        let mut hit = Command::new(env!("CARGO_BIN_EXE_matou"))
            .args(["lab", "ssh", "--name", &self.fleet.name, "n1", "--"])
            .args(["cat", &format!("{folder}/hit")])
            .stdin(Stdio::null())
            .stdout(Stdio::null())
            .spawn()
            .expect("matou starts");
        let mut job = self.begin(args);
        let begun = Instant::now();
        let was_hit = loop {
            if hit.try_wait().expect("waited").is_some() {
                break true;
            }
            if job.try_wait().expect("waited").is_some() {
                break false;
            }
            assert!(
                begun.elapsed() < Duration::from_secs(120) * support::patience(),
                "{args:?}: hangs"
            );
            std::thread::sleep(Duration::from_millis(20));
        };
        // SIGKILL.
        let _ = job.kill();
        let out = job.wait_with_output().expect("it ends");
        // What it had begun on the node notices, and is not counted with the next one's.
        let done = self.n1(&format!(
            "cd {folder}; touch go; echo 0 >at; [ {was_hit} = true ] || timeout 5 sh -c 'echo none >hit'; \
             for i in $(seq 600); do pgrep -f '^/bin/sh {folder}/command' >/dev/null || break; sleep 0.1; done; \
             ! pgrep -af '^/bin/sh {folder}/command'"
        ));
        let _ = hit.wait();
        assert_eq!(done, "");
        (!was_hit).then(|| said(&out))
    }

    /// Runs a command that may have nothing to do, or be refused.
    fn runs(&self, args: &[String]) {
        let out = self.begin(args).wait_with_output().expect("it ends");
        let text = said(&out);
        assert!(!text.contains("panicked"), "{text}");
    }

    fn begin(&self, args: &[String]) -> Child {
        Command::new(env!("CARGO_BIN_EXE_matou"))
            .arg("--config")
            .arg(&self.config)
            .args(args)
            .stdout(Stdio::piped())
            .stderr(Stdio::piped())
            .spawn()
            .expect("matou starts")
    }

    /// What is there of an application, the same for two that are in the same state.
    fn world(&self, app: &str) -> String {
        let mut lines: Vec<String> = Vec::new();
        for line in self.n1(&format!("A={app}; {WORLD}")).lines() {
            let line = match serde_json::from_str::<Value>(line) {
                Ok(mut spec) if spec.is_object() => {
                    masked(&mut spec);
                    serde_json::to_string_pretty(&spec).expect("JSON")
                }
                _ => line.to_owned(),
            };
            lines.push(line);
        }
        let here = self.config.with_file_name(format!("apps/{app}.toml"));
        lines.push("here:".into());
        lines.push(std::fs::read_to_string(here).unwrap_or_default());
        // One that was rotated twice has another number, and one more that is kept.
        let version = regex::Regex::new("([._])v[0-9]+").expect("a pattern");
        let text = lines.join("\n").replace(app, "APP");
        let text = version.replace_all(&text, "${1}vN").into_owned();
        let mut lines: Vec<&str> = Vec::new();
        for line in text.lines() {
            if !(line.contains("vN") && lines.contains(&line)) {
                lines.push(line);
            }
        }
        lines.join("\n")
    }
}

/// Takes out what the engine makes anew for each: identities.
fn masked(value: &mut Value) {
    match value {
        Value::Object(map) => {
            for (key, value) in map {
                match key.as_str() {
                    // The hash is that of all, names too; a restart that was cut off counts.
                    "SecretID" | "ConfigID" | "org.matou.hash" | "ForceUpdate" => {
                        *value = "*".into();
                    }
                    "Networks" => {
                        for network in value.as_array_mut().into_iter().flatten() {
                            network["Target"] = "*".into();
                        }
                    }
                    _ => masked(value),
                }
            }
        }
        Value::Array(list) => list.iter_mut().for_each(masked),
        _ => {}
    }
}

/// The points after which something may be different from what it was before them: number and words.
fn that_change(points: &[String]) -> Vec<(usize, String)> {
    const READ: &[&str] = &[
        "[ ! -d \"$1\" ] || find",
        "[ ! -e \"$1\" ] || {",
        "while [ $# -gt 1 ]; do if [ -s",
        " cat -- ",
        "flock -s -w 30 9",
    ];
    let change = |line: &String| {
        let (number, what) = line.split_once('\t')?;
        let (when, command) = what.split_once(' ')?;
        // What comes before a command came after the last one, but for what is done on this machine.
        let here = when == "before" && command.contains("$d.new/replace");
        let other = when != "before" && !READ.iter().any(|r| command.contains(r));
        (here || other).then(|| Some((number.parse().ok()?, words(when, command))))?
    };
    points.iter().filter_map(change).collect()
}

/// What a point is called.
fn words(when: &str, command: &str) -> String {
    const SCRIPTS: &[(&str, &str)] = &[
        ("mkdir -p -- \"$1\"; chmod 700", "a secret is kept"),
        ("$d.new/replace", "the files for the night are written"),
        ("written/$3.new", "it is struck off the night's list"),
        ("d=$1 t=$2 wait=$3", "the lock is given back"),
        ("docker stack rm", "`docker stack rm`"),
    ];
    if when == "engine" {
        let id = regex::Regex::new("/v[0-9.]+/|/[a-z0-9]{25}|[?].*").expect("a pattern");
        return format!("after the engine's {}", id.replace_all(command, "/"));
    }
    if let Some((_, words)) = SCRIPTS.iter().find(|(part, _)| command.contains(part)) {
        return format!("{when} {words}");
    }
    let command = command.split("'LC_ALL=C' ").last().unwrap_or(command);
    let command: Vec<&str> = command.split(' ').take(3).collect();
    format!("{when} `{}`", command.join(" "))
}

/// An operation, what it makes of an application, and where it can be killed.
struct Operation {
    line: &'static str,
    /// Number and words.
    points: Vec<(usize, String)>,
    world: String,
}

impl Operation {
    fn args(&self, app: &str) -> Vec<String> {
        self.line
            .split(' ')
            .map(|w| w.replace("APP", app))
            .collect()
    }
}

/// One after the other, on one application.
const OPERATIONS: &[&str] = &[
    "deploy vault APP --yes",
    "scale APP_web 2 --yes",
    "redeploy APP GREETING=two --yes",
    "update APP --to 1.1 --service web --yes",
    "place APP n1 --yes",
    "restart APP_web --yes",
    "secrets APP rotate db_password --yes",
    "backup APP --yes",
    "remove APP --yes",
];

/// Each of them done once without disturbance.
fn undisturbed(lane: &Lane<'_>) -> Vec<Operation> {
    let done = |line: &&'static str| {
        let mut operation = Operation {
            line,
            points: Vec::new(),
            world: String::new(),
        };
        let points = lane.points(&operation.args("reference"));
        operation.points = that_change(&points);
        operation.world = lane.world("reference");
        operation
    };
    OPERATIONS.iter().map(done).collect()
}

/// An application whose operations are all killed, each at its point `turn` and then at another one.
fn disturbed(lane: &Lane<'_>, operations: &[Operation], turn: usize) {
    let app = format!("k{turn:02}");
    for (nth, operation) in operations.iter().enumerate() {
        let args = operation.args(&app);
        let Some((at, what)) = operation.points.get(turn) else {
            ok_all(lane, &args);
            continue;
        };
        let early = lane.killed(&args, *at);
        if let Some(said) = early {
            panic!("{args:?} was not killed at {at} ({what}):\n{said}");
        }
        // The next command need not be the same one.
        let other = match (turn % 3, operation.line.starts_with("remove")) {
            (2, false) => "remove APP --yes",
            (2, true) => "deploy vault APP --yes",
            _ => "",
        };
        if !other.is_empty() {
            let other: Vec<String> = other.split(' ').map(|w| w.replace("APP", &app)).collect();
            lane.runs(&other);
            if !operation.line.starts_with("remove") {
                for earlier in &operations[..nth] {
                    ok_all(lane, &earlier.args(&app));
                }
            }
        }
        let (again, _) = &operation.points[(turn * 5 + 3) % operation.points.len()];
        let ended = lane.killed(&args, *again);
        ok_all(lane, &args);
        // A task that goes takes a moment to stop; nothing else is waited for.
        let begun = Instant::now();
        let (more, less) = loop {
            let world = lane.world(&app);
            let (more, less) = (
                only(&world, &operation.world),
                only(&operation.world, &world),
            );
            let is_same = more.is_empty() && less.is_empty();
            if is_same || begun.elapsed() > Duration::from_secs(30) * support::patience() {
                break (more, less);
            }
            std::thread::sleep(Duration::from_secs(1));
        };
        assert!(
            more.is_empty() && less.is_empty(),
            "{args:?}, killed at {at} ({what}), then at {again} ({ended:?}): \
             here only\n{more}\nundisturbed only\n{less}",
        );
        // And there is nothing left to do, but that each lane brings its own config.toml.
        if operation.line.starts_with("deploy") {
            let text = ok_all(lane, &args);
            let change = |l: &&str| {
                ["+", "-", "~"]
                    .iter()
                    .any(|c| l.starts_with(&format!("  n1: {c}")))
            };
            let mut changes = text.lines().filter(change);
            let left = changes.find(|l| !l.contains("for the nightly backup"));
            assert!(left.is_none(), "{text}");
        }
        let then = match other.split(' ').next().unwrap_or_default() {
            "" => String::new(),
            other => format!("{other}, "),
        };
        let last = if ended.is_some() {
            ""
        } else {
            "killed again, "
        };
        support::fault(
            "kills",
            &format!("`matou {}` is killed: {what}", operation.line),
            &format!("{then}{last}once more: as if undisturbed"),
        );
    }
}

/// Lines of the one that the other has not, or has less often: in what order things are listed is no
/// state.
fn only(one: &str, other: &str) -> String {
    let mut left: Vec<&str> = other.lines().collect();
    let lines = one.lines().filter(|line| {
        let known = left.iter().position(|l| l == line);
        known.map(|at| left.swap_remove(at)).is_none()
    });
    lines.collect::<Vec<_>>().join("\n")
}

fn ok_all(lane: &Lane<'_>, args: &[String]) -> String {
    let args: Vec<&str> = args.iter().map(String::as_str).collect();
    ok(&lane.config, &args)
}

/// Kills at the points of which `chosen` is true.
fn kills(chosen: impl Fn(usize) -> bool) {
    let begun = Instant::now();
    let fleet = Fleet::new(FLEET);
    fleet.wait(fleet.lab.up(1, LabKind::Swarm, &|_| {}));
    support::backup::restic(&fleet);
    let lanes: Vec<Lane<'_>> = (0..LANES).map(|n| Lane::open(&fleet, n)).collect();
    support::backup::repository(&fleet, &lanes[0].config);
    fleet.run("n1", "docker tag matou/hello:1.0 matou/hello:1.1");
    let operations = undisturbed(&lanes[0]);
    for o in &operations {
        eprintln!("{}: {} points", o.line, o.points.len());
        for (n, what) in &o.points {
            eprintln!("    {n:>3} {what}");
        }
    }
    let most = operations.iter().map(|o| o.points.len()).max().unwrap_or(0);
    assert!(most > 10, "{most} points");
    let turns: Vec<usize> = (0..most).filter(|t| chosen(*t)).collect();
    std::thread::scope(|scope| {
        for (n, lane) in lanes.iter().enumerate() {
            let (turns, operations) = (&turns, &operations);
            scope.spawn(move || {
                for turn in turns.iter().skip(n).step_by(LANES) {
                    disturbed(lane, operations, *turn);
                    eprintln!("{:>5.0} s  turn {turn}", begun.elapsed().as_secs_f32());
                }
            });
        }
    });
    let left = fleet.run(
        "n1",
        "find /mnt/data/.matou -name '*.new'; find /run/matou/locks -lname '*'",
    );
    assert_eq!(left.trim(), "", "something is left");
}

#[test]
fn killed_at_any_point_the_next_one_ends_as_if_undisturbed() {
    let all = std::env::var_os("MATOU_TEST_ALL").is_some();
    kills(|turn| all || turn % 8 == 2);
}
