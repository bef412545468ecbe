//! Jobs of the swarm (`replicated-job`, `global-job`) on a practice fleet of one server, beside what the
//! engine's own client says of them; and what a deploy and a removal leave behind in the swarm.

mod support;

use std::path::PathBuf;
use std::process::Stdio;
use std::time::{Duration, Instant};

use matou::lab::LabKind;
use support::pty::Pty;
use support::{Fleet, matou, ok, said, until};

const FLEET: &str = "job";

const SOON: Duration = Duration::from_secs(60);

/// An application with a job that ends as its variable says.
const SITE: &str = r"
x-matou:
  title: Site
  variables:
    - {name: END, help: with what the job ends, default: '0'}
  secrets:
    - {name: key, help: of the site, length: 24}
services:
  web:
    image: matou/hello:1.0
    configs: [{source: motd, target: /etc/motd}]
    secrets: [key]
    networks: [default, NETWORK]
    stop_grace_period: 1s
    healthcheck: {disable: true}
  once:
    image: matou/hello:1.0
    command: [sh, -c, 'echo the end is ${END}; exit ${END}']
    deploy:
      mode: replicated-job
      replicas: 2
      restart_policy: {condition: none}
networks:
  NETWORK: {}
configs:
  motd: {file: ./motd}
secrets:
  key: {external: true}
";

struct Practice {
    fleet: Fleet,
    config: PathBuf,
    begun: Instant,
}

impl Practice {
    fn new() -> Self {
        let begun = Instant::now();
        let fleet = Fleet::new(FLEET);
        fleet.wait(fleet.lab.up(1, LabKind::Swarm, &|_| {}));
        let config = fleet.config("jobs.toml", "");
        let practice = Self {
            fleet,
            config,
            begun,
        };
        practice.write_stack("first", "inner");
        practice
    }

    /// Writes the stack with another file and another network.
    fn write_stack(&self, motd: &str, network: &str) {
        let folder = self.config.with_file_name("stacks");
        std::fs::create_dir_all(&folder).expect("a folder");
        let stack = SITE.replace("NETWORK", network);
        std::fs::write(folder.join("site.yml"), stack).expect("written");
        std::fs::write(folder.join("motd"), motd).expect("written");
    }

    fn part(&self, what: &str) {
        eprintln!("{:6.1} s  {what}", self.begun.elapsed().as_secs_f32());
    }

    fn ok(&self, args: &[&str]) -> String {
        ok(&self.config, args)
    }

    /// Runs what must fail.
    fn fails(&self, args: &[&str]) -> String {
        let out = matou(&self.config, args);
        assert_eq!(out.status.code(), Some(1), "{args:?}:\n{}", said(&out));
        said(&out)
    }

    fn n1(&self, line: &str) -> String {
        self.fleet.run("n1", line).trim().to_owned()
    }

    /// Makes a job as the engine's own client does.
    fn create(&self, name: &str, options: &str, line: &str) {
        self.n1(&format!(
            "docker service create --detach --name {name} {options} matou/hello:1.0 sh -c '{line}'"
        ));
    }

    /// Waits until `docker service ls` says that of a service.
    fn engine_says(&self, name: &str, wanted: &str) {
        until(SOON, || {
            let ask = "docker service ls --format '{{.Name}} {{.Replicas}}'";
            let text = self.n1(ask);
            let line = format!("{name} {wanted}");
            let found = text.lines().any(|l| l.trim() == line);
            found.then_some(()).ok_or(text)
        });
    }

    /// Number of the run of a job.
    fn iteration(&self, name: &str) -> u64 {
        let format = "{{.JobStatus.JobIteration.Index}}";
        let text = self.n1(&format!("docker service inspect -f '{format}' {name}"));
        text.parse().expect("a number")
    }

    /// The line of `matou status` about a service, and its first one below that.
    fn status(&self, name: &str) -> String {
        let text = self.ok(&["status"]);
        let mut lines = text.lines().skip_while(|l| !l.starts_with(name));
        let (first, next) = (lines.next(), lines.next());
        let next = next.filter(|l| l.starts_with("  ")).unwrap_or_default();
        format!("{} |{next}", first.unwrap_or_default())
    }

    /// The names of the swarm's objects of a kind that begin so.
    fn list(&self, kind: &str, beginning: &str) -> Vec<String> {
        let text = self.n1(&format!("docker {kind} ls --format '{{{{.Name}}}}'"));
        let mut names: Vec<String> = text.lines().map(str::to_owned).collect();
        names.retain(|n| n.starts_with(beginning));
        names.sort();
        names
    }

    /// Whether the server's own client knows jobs in a stack.
    fn client_knows_jobs(&self) -> bool {
        let version = self.n1("docker version --format '{{.Client.Version}}'");
        is_client_with_jobs(&version)
    }

    /// Gives the server this machine's client. Returns whether that one knows jobs.
    fn install_client(&self) -> bool {
        let ask = ["version", "--format", "{{.Client.Version}}"];
        let out = std::process::Command::new("docker").args(ask).output();
        let version = out.map(|o| String::from_utf8_lossy(&o.stdout).into_owned());
        if !version.is_ok_and(|v| is_client_with_jobs(&v)) {
            return false;
        }
        let which = std::process::Command::new("sh")
            .args(["-c", "readlink -f \"$(command -v docker)\""])
            .output()
            .expect("sh runs");
        let path = String::from_utf8_lossy(&which.stdout).trim().to_owned();
        let file = std::fs::File::open(path).expect("the client");
        let line = "cat >/usr/local/bin/docker && chmod 755 /usr/local/bin/docker";
        let put = std::process::Command::new(env!("CARGO_BIN_EXE_matou"))
            .args(["lab", "ssh", "--name", FLEET, "n1", "--", "sh", "-c", line])
            .stdin(Stdio::from(file))
            .status();
        assert!(put.expect("matou starts").success());
        true
    }

    fn jobs_are_seen_as_the_engine_sees_them(&self) {
        self.create(
            "done_once",
            "--mode replicated-job --replicas 3",
            "echo run",
        );
        self.create(
            "bad_once",
            "--mode replicated-job --restart-condition none",
            "echo no room; exit 3",
        );
        self.create("long_once", "--mode replicated-job", "sleep 3000");
        self.create("each_once", "--mode global-job", "echo run");
        self.engine_says("done_once", "0/3 (3/3 completed)");
        self.engine_says("long_once", "1/1 (0/1 completed)");
        self.engine_says("each_once", "0/0 (1/1 completed)");
        self.engine_says("bad_once", "0/1 (0/1 completed)");
        self.part("made");
        until(SOON, || {
            let bad = self.status("bad_once");
            let told = bad.contains(" 0/1 failed ")
                && bad.ends_with("|  0 of 1 done, failed with exit code 3");
            told.then_some(()).ok_or(bad)
        });
        for (name, line) in [
            ("done_once", " 3/3 done "),
            ("each_once", " 1/1 done "),
            ("long_once", " 0/1 done "),
        ] {
            let text = self.status(name);
            assert!(text.contains(line), "{text}");
        }
        assert!(
            self.status("long_once")
                .ends_with("|  0 of 1 done, 1 running")
        );

        let json: serde_json::Value =
            serde_json::from_str(&self.ok(&["status", "--json"])).expect("JSON");
        let services = json.pointer("/swarm/value/services").expect("services");
        let of = |name: &str| {
            let all = services.as_array().expect("a list");
            let found = all.iter().find(|s| s["name"] == name).expect(name);
            found["job"].clone()
        };
        assert_eq!(
            (&of("done_once")["state"], &of("done_once")["done"]),
            (&"done".into(), &3.into())
        );
        assert_eq!(of("long_once")["state"], "running");
        assert_eq!(of("bad_once")["failure"]["exit_code"], 3);

        // The failed one is told, and nothing of the others.
        let check = matou(&self.config, &["check"]);
        let text = said(&check);
        assert_eq!(check.status.code(), Some(1), "{text}");
        let line = "bad_once: 0 of 1 done, failed with exit code 3";
        assert!(text.contains(line) && text.contains("critical"), "{text}");
        for well in ["done_once", "long_once", "each_once"] {
            assert!(!text.contains(well), "{text}");
        }
        self.part("seen");
    }

    fn a_job_is_run_again_and_scaled(&self) {
        let before = self.iteration("done_once");
        let begun = Instant::now();
        let text = self.ok(&["restart", "done_once", "--yes"]);
        assert!(text.contains("3 of 3 done → runs again"), "{text}");
        assert!(begun.elapsed() < SOON, "{text}");
        assert_eq!(self.iteration("done_once"), before + 1);
        self.engine_says("done_once", "0/3 (3/3 completed)");
        let text = self.fails(&["restart", "bad_once", "--yes"]);
        assert!(text.contains("failed with exit code 3"), "{text}");
        assert!(text.contains("log of bad_once: no room"), "{text}");
        self.part("restarted");

        let text = self.ok(&["scale", "done_once", "5", "--yes"]);
        assert!(text.contains("done_once: 3 → 5"), "{text}");
        self.engine_says("done_once", "0/5 (5/5 completed)");
        let text = self.ok(&["scale", "done_once", "5", "--yes"]);
        assert!(text.contains("nothing to do"), "{text}");
        let text = self.fails(&["scale", "each_once", "2", "--yes"]);
        assert!(text.contains("once on every node that fits"), "{text}");
        let text = self.ok(&["rollback", "done_once", "--yes"]);
        assert!(text.contains("runs again from its beginning"), "{text}");
        self.engine_says("done_once", "0/3 (3/3 completed)");
        assert!(self.status("done_once").contains(" 3/3 done "));
        // What runs is ended with nothing left to do.
        self.ok(&["scale", "long_once", "0", "--yes"]);
        self.engine_says("long_once", "0/0 (0/0 completed)");
        self.part("scaled");
    }

    fn the_console_shows_and_scales_jobs(&self) {
        let config = self.config.to_string_lossy();
        let program = env!("CARGO_BIN_EXE_matou");
        let env = [("RUST_BACKTRACE", "0")];
        let mut pty = Pty::start(program, &["--config", &config], &env, 120, 40);
        pty.wait_for("1/1 nodes", SOON);
        pty.send("2/bad_once\r");
        pty.wait_for("0/1 failed", SOON);
        pty.wait_for("failed with exit code 3", SOON);
        pty.send("/\u{15}done_once\rl");
        pty.wait_for("3/3 done", SOON);
        pty.send("\x1b\x1b");
        pty.send("qq");
        assert_eq!(pty.end(SOON), 0);
        self.part("shown");
    }

    fn an_old_client_is_told_before_anything_is_made(&self) {
        let text = self.fails(&["deploy", "site", "site", "--yes"]);
        assert!(text.contains("docker-ce-cli"), "{text}");
        assert_eq!(self.list("secret", ""), [""; 0], "{text}");
        assert_eq!(self.list("config", ""), [""; 0], "{text}");
        // Which is what the client itself would have said, later.
        let line = "printf '{\"version\":\"3.8\",\"services\":{\"a\":{\"image\":\"a\",\"deploy\":{\"mode\":\"replicated-job\"}}}}' | docker stack deploy -c - a";
        let out = self.fleet.try_run("n1", line);
        assert!(said(&out).contains("Unknown mode"), "{}", said(&out));
        self.part("refused");
    }

    fn a_deploy_waits_for_its_jobs_and_clears_up(&self) {
        // Of nobody that matou knows.
        self.n1("echo x | docker config create site_motd_00000000 -");
        let text = self.ok(&["deploy", "site", "site", "--yes"]);
        assert!(text.contains("site_once"), "{text}");
        self.engine_says("site_once", "0/2 (2/2 completed)");
        let text = self.ok(&["deploy", "site", "site", "--yes"]);
        assert!(text.contains("nothing to do"), "{text}");
        let configs = || self.list("config", "site_motd_");
        let first = configs();
        assert_eq!(first.len(), 2, "{first:?}");
        assert_eq!(
            self.list("network", "site_"),
            ["site_default", "site_inner"]
        );
        self.part("deployed");

        // Another file and network: the ones before stay for a rollback.
        self.write_stack("second", "other");
        let before = self.iteration("site_once");
        let text = self.ok(&["deploy", "site", "site", "--yes"]);
        assert!(
            text.contains("job site_once: 2 of 2 done → runs again"),
            "{text}"
        );
        assert!(self.iteration("site_once") > before);
        let second = configs();
        assert_eq!(second.len(), 3, "{second:?}");
        assert!(first.iter().all(|c| second.contains(c)), "{second:?}");
        let all = ["site_default", "site_inner", "site_other"];
        assert_eq!(self.list("network", "site_"), all);
        let text = self.ok(&["rollback", "site_web", "--yes"]);
        assert!(text.contains("apps/site.toml stays as it is"), "{text}");
        let mounted = "docker exec $(docker ps -q -f name=site_web | head -1) cat /etc/motd";
        until(SOON, || {
            let text = said(&self.fleet.try_run("n1", mounted));
            text.contains("first").then_some(()).ok_or(text)
        });
        self.part("rolled back");

        // Once more: what only the version before the last one had is gone.
        self.write_stack("third", "other");
        self.ok(&["deploy", "site", "site", "--yes"]);
        let third = configs();
        assert_eq!(third.len(), 3, "{third:?}");
        self.write_stack("fourth", "other");
        let text = self.ok(&["deploy", "site", "site", "--yes"]);
        assert!(text.contains("which only a rollback needs"), "{text}");
        let fourth = configs();
        assert_eq!(fourth.len(), 3, "{fourth:?}");
        assert!(
            !fourth
                .iter()
                .any(|c| first.contains(c) && !c.ends_with("_00000000"))
        );
        assert_eq!(
            self.list("network", "site_"),
            ["site_default", "site_other"]
        );
        self.part("cleared up");

        // The engine may begin one task anew while the other one goes on, or not.
        let text = self.fails(&["deploy", "site", "site", "END=3", "--yes"]);
        assert!(text.contains("FAILED: the job site_once fail"), "{text}");
        assert!(text.contains("exit code 3"), "{text}");
        assert!(text.contains("log of site_once: the end is 3"), "{text}");
        let text = self.ok(&["deploy", "site", "site", "END=0", "--yes"]);
        assert!(text.contains("site_once"), "{text}");
        self.part("failed and mended");

        let text = self.ok(&["remove", "site", "--yes"]);
        assert!(text.contains("- config site_motd_"), "{text}");
        assert_eq!(configs(), ["site_motd_00000000"]);
        assert_eq!(self.list("network", "site_"), [""; 0]);
        assert!(
            self.ok(&["remove", "site", "--yes"])
                .contains("nothing to do")
        );
        self.part("removed");
    }
}

/// Docker's client deploys jobs since 23.
fn is_client_with_jobs(version: &str) -> bool {
    let major = version.split('.').next().and_then(|v| v.parse().ok());
    major.is_some_and(|n: u32| n >= 23)
}

#[test]
fn jobs_of_the_swarm_are_seen_run_again_scaled_deployed_and_removed() {
    let practice = Practice::new();
    practice.part("up");
    practice.jobs_are_seen_as_the_engine_sees_them();
    practice.the_console_shows_and_scales_jobs();
    practice.a_job_is_run_again_and_scaled();
    practice.ok(&["remove", "done_once", "--yes"]);
    // That of 20.10, which `make test-engines` asks for.
    if !practice.client_knows_jobs() {
        practice.an_old_client_is_told_before_anything_is_made();
        if !practice.install_client() {
            eprintln!("docker on this machine is older than 23: no stack with a job is deployed");
            return;
        }
    }
    practice.a_deploy_waits_for_its_jobs_and_clears_up();
}
