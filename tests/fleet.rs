//! The whole way, on a real three-node Swarm of the practice fleet, through the command line.

mod support;

use std::io::BufRead as _;
use std::time::Duration;

use matou::config::Config;
use matou::host::{Command, DetachedUnit, Host, HostOptions, OutputStream};
use support::{alone, fleet, matou, ok, said, until};

/// Removes what a test deployed, whatever happened.
struct Deployed<'a>(&'a std::path::PathBuf, &'a str);

impl Drop for Deployed<'_> {
    fn drop(&mut self) {
        matou(self.0, &["remove", self.1, "--yes"]);
    }
}

#[test]
fn an_application_lives_from_deploy_to_removal() {
    let _alone = alone();
    let (_, config) = fleet();
    let _clean = Deployed(&config, "life");
    // An application's file outlives its removal: an earlier run's says what that run asked for.
    let _ = std::fs::remove_file(config.with_file_name("apps").join("life.toml"));

    // A dry run shows the plan and changes nothing.
    let plan = ok(&config, &["deploy", "hello", "life", "--dry-run"]);
    assert!(
        plan.contains("+ service life_web (matou/hello:1.0)"),
        "{plan}"
    );
    assert!(!ok(&config, &["status"]).contains("life_web"));

    // Without a terminal and without --yes nothing happens, and the exit code says so.
    let refused = matou(&config, &["deploy", "hello", "life"]);
    assert_eq!(refused.status.code(), Some(3), "{}", said(&refused));
    assert!(!ok(&config, &["status"]).contains("life_web"));

    let deployed = ok(&config, &["deploy", "hello", "life", "--yes"]);
    assert!(deployed.contains("life_web.1 running on n"), "{deployed}");
    assert!(deployed.contains("life_web.2 running on n"), "{deployed}");

    // The second time there is nothing to do.
    let again = ok(&config, &["deploy", "hello", "life", "--yes"]);
    assert!(again.contains("nothing to do"), "{again}");

    // Another image is an update, told as old and new.
    let image = "IMAGE=matou/hello:1.1";
    let plan = ok(&config, &["deploy", "hello", "life", image, "--dry-run"]);
    assert!(plan.contains("matou/hello:1.0 → matou/hello:1.1"), "{plan}");
    ok(&config, &["deploy", "hello", "life", image, "--yes"]);

    // Logs of all tasks over all nodes, each line with where it came from.
    until(Duration::from_secs(20), || {
        let logs = ok(&config, &["logs", "life_web", "-n", "50"]);
        let both = logs.contains("life_web.1@n") && logs.contains("life_web.2@n");
        let new = logs.contains("hello 1.1 on");
        if both && new { Ok(()) } else { Err(logs) }
    });
    // Of all tasks in the order in which they were written, and from a time on.
    let timed = |since: &str| {
        ok(
            &config,
            &["logs", "life_web", "--timestamps", "--since", since],
        )
    };
    let all = timed("1h");
    let times: Vec<&str> = all.lines().filter_map(|l| l.split(' ').next()).collect();
    assert!(times.len() > 3 && times.is_sorted(), "{all}");
    let (middle, last) = (times[times.len() / 2], times[times.len() - 1]);
    let late = timed(middle);
    let seconds = |time: &str| time.split('.').next().unwrap_or_default().to_owned();
    assert!(
        late.lines().all(|l| seconds(l) >= seconds(middle)) && late.contains(last),
        "{middle}: {late}"
    );
    assert_eq!(timed("2099-01-01"), "");

    // Scaling; scaling to what is there changes nothing.
    let scaled = ok(&config, &["scale", "life_web", "3", "--yes"]);
    assert!(scaled.contains("replicas of life_web: 2 → 3"), "{scaled}");
    let status = ok(&config, &["status"]);
    assert!(status.contains("3/3"), "{status}\n{scaled}");
    assert!(ok(&config, &["scale", "life_web", "3", "--yes"]).contains("nothing to do"));

    let restarted = ok(&config, &["restart", "life_web", "--yes"]);
    assert!(restarted.contains("done in"), "{restarted}");

    let removed = ok(&config, &["remove", "life", "--yes"]);
    assert!(removed.contains("- service life_web"), "{removed}");
    assert!(!ok(&config, &["status"]).contains("life_web"));
    assert!(ok(&config, &["remove", "life", "--yes"]).contains("nothing to do"));
}

#[test]
fn a_task_that_can_not_run_fails_the_job_with_its_own_error() {
    let _alone = alone();
    let (_, config) = fleet();
    let _clean = Deployed(&config, "nosuch");
    let out = matou(
        &config,
        &[
            "deploy",
            "hello",
            "nosuch",
            "IMAGE=matou/nosuch:1",
            "--yes",
            "--json",
        ],
    );
    assert_eq!(out.status.code(), Some(1), "{}", said(&out));
    // Every line of --json is an object, and the last tells the end.
    let events: Vec<serde_json::Value> = String::from_utf8_lossy(&out.stdout)
        .lines()
        .map(|l| serde_json::from_str(l).unwrap_or_else(|e| panic!("{e}: {l}")))
        .collect();
    let last = events.last().expect("events");
    assert_eq!(last["event"], "finished");
    assert_eq!(last["outcome"], "failed");
    let reason = last["reason"].as_str().unwrap_or_default();
    assert!(reason.contains("No such image: matou/nosuch:1"), "{reason}");
    support::fault(
        "fleet",
        "a task can not run",
        "the job fails with the task's own error",
    );
}

/// Each of them finds that the edge's network is not there, and makes it.
#[test]
fn applications_that_are_deployed_at_the_same_time_share_the_edges_network() {
    let _alone = alone();
    let (_, config) = fleet();
    let names = ["same1", "same2", "same3", "same4"];
    let _clean = names.map(|name| Deployed(&config, name));
    let stack = config.with_file_name("same.yml");
    let text = "services:\n  web:\n    image: matou/hello:1.0\n    networks: [edge]\n\
                networks:\n  edge: {external: true, name: traefik-net}\n";
    std::fs::write(&stack, text).expect("written");
    // What another test left, or an earlier round; it may never have been there.
    let without_network = || {
        let line = "docker network rm traefik-net; ! docker network inspect traefik-net";
        let args = ["lab", "ssh", "--name", support::FLEET, "n1", "--"];
        until(Duration::from_secs(60), || {
            let out = matou(&config, &[&args[..], &["sh", "-c", line]].concat());
            out.status.success().then_some(()).ok_or_else(|| said(&out))
        });
    };
    let deploy = |name: &str| {
        std::process::Command::new(env!("CARGO_BIN_EXE_matou"))
            .arg("--config")
            .arg(&config)
            .arg("deploy")
            .arg(&stack)
            .args([name, "--yes"])
            .stdout(std::process::Stdio::piped())
            .stderr(std::process::Stdio::piped())
            .spawn()
            .expect("matou starts")
    };
    let mut made = 0;
    // One that plans late finds what another one has made.
    for _ in 0..5 {
        without_network();
        made = 0;
        for deploy in names.map(deploy) {
            let out = deploy.wait_with_output().expect("it ends");
            let text = said(&out);
            assert!(out.status.success(), "{text}");
            made += usize::from(text.contains("+ network traefik-net"));
        }
        if made > 1 {
            break;
        }
        for name in names {
            ok(&config, &["remove", name, "--yes"]);
        }
    }
    assert!(made > 1, "they did not begin at the same time");
}

/// What only the engine of the task's node knows, and the swarm calls complete, or 137.
#[test]
fn why_a_container_ended_is_told() {
    let _alone = alone();
    let (_, config) = fleet();
    let sick = (
        "'trap \"exit 0\" TERM; while :; do sleep 1; done'",
        "stop_grace_period: 3s\n    healthcheck: {test: 'echo no page at /health; exit 1', interval: 1s, retries: 2, start_period: 1s}",
        "its health check failed",
        "the last one with exit code 1: no page at /health",
    );
    let large = (
        "'x=a; while :; do x=$$x$$x; done'",
        "healthcheck: {disable: true}\n    deploy: {resources: {limits: {memory: 24M}}}",
        "non-zero exit (137)",
        "it had used all of the 24 MiB of memory that it may",
    );
    let short = (
        "'sleep 0'",
        "healthcheck: {disable: true}",
        "its container ended with exit code 0",
        "its program came to its end",
    );
    for (program, more, seen, why) in [sick, large, short] {
        let _clean = Deployed(&config, "ended");
        let stack = config.with_file_name("ended.yml");
        let text = format!(
            "services:\n  web:\n    image: matou/hello:1.0\n    entrypoint: [sh, -c, {program}]\n    {more}\n"
        );
        std::fs::write(&stack, text).expect("written");
        let out = matou(
            &config,
            &["deploy", &stack.to_string_lossy(), "ended", "--yes"],
        );
        let text = said(&out);
        assert_eq!(out.status.code(), Some(1), "{text}");
        let last = text.lines().last().unwrap_or_default();
        assert!(last.contains(seen) && last.contains(why), "{text}");
    }
}

/// A paused node keeps the tasks of a global service as they are: the change is known and not begun,
/// as it is for a moment after every change.
#[test]
fn tasks_that_run_as_before_a_change_are_not_taken_for_new_ones() {
    let _alone = alone();
    let (_, config) = fleet();
    let _clean = Deployed(&config, "still");
    let on = |node: &str, line: &str| {
        let args = ["lab", "ssh", "--name", support::FLEET, node, "--"];
        ok(&config, &[&args[..], &["sh", "-c", line]].concat())
    };
    on(
        "n1",
        r#"printf '{"version": "3.8", "services": {"web": {"image": "matou/hello:1.0", "deploy": {"mode": "global",
        "placement": {"constraints": ["node.hostname==n3"]}}}}}' | docker stack deploy -c - still"#,
    );
    let container = || on("n3", "docker ps -q -f name=still_web");
    until(Duration::from_secs(60), || match container() {
        id if id.is_empty() => Err("no task yet".into()),
        _ => Ok(()),
    });
    let before = container();
    ok(&config, &["pause", "n3", "--yes"]);
    let restarted = matou(&config, &["restart", "still_web", "--yes"]);
    let unchanged = container();
    ok(&config, &["activate", "n3", "--yes"]);
    let text = said(&restarted);
    assert_eq!(restarted.status.code(), Some(1), "{text}");
    assert!(text.contains("waiting for the engine to begin"), "{text}");
    assert!(text.contains("runs as it was before the change"), "{text}");
    assert!(text.contains("`matou activate n3`"), "{text}");
    assert_eq!(unchanged, before);
    ok(&config, &["restart", "still_web", "--yes"]);
    assert_ne!(container(), before);
}

#[test]
fn what_can_not_be_asked_for_is_told_with_what_can() {
    let _alone = alone();
    let (_, config) = fleet();
    for (args, code, expected) in [
        (
            &["deploy", "helo", "x", "--yes"][..],
            2,
            "did you mean \"hello\"?",
        ),
        (
            &["deploy", "hello", "Bad_Name", "--yes"],
            2,
            "lower-case letters",
        ),
        (
            &["deploy", "hello", "x", "REPLICA=2", "--yes"],
            2,
            "did you mean REPLICAS?",
        ),
        (
            &["scale", "nothing_web", "2", "--yes"],
            2,
            "there is no service",
        ),
        (&["drain", "n9", "--yes"], 2, "there is no node \"n9\""),
        (&["logs", "nothing_wbe"], 2, "there is no service"),
        (
            &["shell", "nothing"],
            2,
            "there is no node or service \"nothing\"",
        ),
    ] {
        let out = matou(&config, args);
        let text = said(&out);
        assert_eq!(out.status.code(), Some(code), "{args:?}: {text}");
        assert!(text.contains(expected), "{args:?}: {text}");
    }
    // These are wrong on every fleet.
    let out = matou(&config, &["deploy", "hello", "Bad Name", "--yes"]);
    assert_eq!(out.status.code(), Some(2), "{}", said(&out));
    assert!(said(&out).contains("letters, digits"), "{}", said(&out));
    let out = matou(&config, &["journal", "n9"]);
    assert_eq!(out.status.code(), Some(2), "{}", said(&out));
    assert!(said(&out).contains("only n1, n2, n3"), "{}", said(&out));
}

#[test]
fn a_drained_node_is_empty_and_takes_tasks_again() {
    let _alone = alone();
    let (_, config) = fleet();
    let _clean = Deployed(&config, "moving");
    ok(
        &config,
        &["deploy", "hello", "moving", "REPLICAS=3", "--yes"],
    );
    let drained = ok(&config, &["drain", "n2", "--yes"]);
    assert!(
        drained.contains("availability of n2: active → drain"),
        "{drained}"
    );
    let status = ok(&config, &["status", "--json"]);
    let fleet: serde_json::Value = serde_json::from_str(&status).expect("JSON");
    let swarm = &fleet["swarm"]["value"];
    let node = swarm["nodes"]
        .as_array()
        .and_then(|n| n.iter().find(|n| n["hostname"] == "n2"))
        .expect("n2");
    assert_eq!(node["availability"], "drain");
    let left = swarm["tasks"]
        .as_array()
        .expect("tasks")
        .iter()
        .filter(|t| t["node_id"] == node["id"] && t["state"] == "running")
        .count();
    assert_eq!(left, 0);
    ok(&config, &["activate", "n2", "--yes"]);
    assert!(ok(&config, &["activate", "n2", "--yes"]).contains("nothing to do"));
}

#[test]
fn a_lost_node_is_told_and_found_again_while_the_others_answer() {
    let _alone = alone();
    let (lab, config) = fleet();
    let runtime = tokio::runtime::Runtime::new().expect("a runtime");
    runtime
        .block_on(lab.kill_node("n3"))
        .expect("n3 is stopped");
    let begun = std::time::Instant::now();
    let status = ok(&config, &["status"]);
    assert!(
        begun.elapsed() < Duration::from_secs(16) * support::patience(),
        "{:?}",
        begun.elapsed()
    );
    let row = |status: &str, node: &str| {
        let line = status.lines().find(|l| l.starts_with(node));
        line.unwrap_or_default().to_owned()
    };
    assert!(row(&status, "n3").contains("unreachable"), "{status}");
    assert!(row(&status, "n1").contains("ready"), "{status}");
    assert!(row(&status, "n2").contains("ready"), "{status}");
    runtime
        .block_on(lab.start_node("n3"))
        .expect("n3 is started");
    until(Duration::from_secs(60), || {
        let status = ok(&config, &["status"]);
        let row = row(&status, "n3");
        let back = row.contains("ready") && row.contains("Docker");
        if back { Ok(()) } else { Err(status) }
    });
    support::fault("fleet", "a node is lost", "told; the others answer");
}

#[test]
fn a_user_who_is_not_root_works_through_sudo() {
    let _alone = alone();
    let (_, config) = fleet();
    let _clean = Deployed(&config, "sudo");
    let text = std::fs::read_to_string(&config).expect("the fleet's configuration");
    let text = text.replace("user = \"root\"", "user = \"ops\"");
    let own = config.with_file_name("ops.toml");
    std::fs::write(&own, text).expect("written");
    ok(&own, &["deploy", "hello", "sudo", "REPLICAS=1", "--yes"]);
    let status = ok(&own, &["status"]);
    assert!(status.contains("sudo_web"), "{status}");
    // The journal of a system unit needs root.
    let journal = ok(&own, &["journal", "n1", "docker.service", "-n", "3"]);
    assert!(journal.contains("dockerd"), "{journal}");

    // Who stops following it waits for no further line, and leaves nothing behind.
    let mut following = std::process::Command::new(env!("CARGO_BIN_EXE_matou"))
        .arg("--config")
        .arg(&own)
        .args(["journal", "n1", "docker.service", "--follow"])
        .stdout(std::process::Stdio::null())
        .spawn()
        .expect("matou starts");
    let args = ["lab", "ssh", "--name", support::FLEET, "n1", "--"];
    let readers = || {
        matou(
            &config,
            &[&args[..], &["pgrep", "-x", "journalctl"]].concat(),
        )
    };
    until(Duration::from_secs(20), || {
        match readers().status.success() {
            true => Ok(()),
            false => Err("nothing reads the journal".into()),
        }
    });
    let pid = nix::unistd::Pid::from_raw(following.id().try_into().expect("a process"));
    nix::sys::signal::kill(pid, nix::sys::signal::Signal::SIGINT).expect("told to end");
    until(Duration::from_secs(10), || match following.try_wait() {
        Ok(Some(_)) => Ok(()),
        other => Err(format!("{other:?}")),
    });
    assert_eq!(following.wait().expect("it ended").code(), Some(130));
    until(Duration::from_secs(20), || {
        let left = readers();
        match left.status.success() {
            true => Err(said(&left)),
            false => Ok(()),
        }
    });
}

/// A job's unit is not started a second time, and not taken for running when it was stopped.
#[test]
fn a_unit_that_ends_is_waited_for_and_one_that_ended_is_told() {
    let _alone = alone();
    let (_, config) = fleet();
    let config = Config::load(Some(&config)).expect("the fleet's configuration");
    let folder = tempfile::tempdir().expect("a folder");
    let reach = &config.nodes[0].reach;
    let options = HostOptions {
        docker_socket: "/var/run/docker.sock".into(),
        runtime_dir: folder.path().to_owned(),
        recorder: None,
    };
    let runtime = tokio::runtime::Runtime::new().expect("a runtime");
    runtime.block_on(async {
        let host = Host::new("n1", reach, options);
        let host = &host;
        let work = |script: &str, begun| DetachedUnit {
            unit: "matou-ends".into(),
            script: script.to_owned().into(),
            args: Vec::new(),
            properties: vec!["KillSignal=SIGINT".into(), "TimeoutStopSec=60".into()],
            begun,
        };
        let sh = async |line: &str| {
            host.run_ok(&Command::sh(line))
                .await
                .map(|o| o.stdout_text())
        };
        let last = async |work: DetachedUnit| {
            let (lines, mut arriving) = tokio::sync::mpsc::channel::<(OutputStream, Vec<u8>)>(64);
            let reading = async {
                let mut text = String::new();
                while let Some((_, line)) = arriving.recv().await {
                    let line = String::from_utf8_lossy(&line);
                    // The second one has looked: the first may end.
                    if line.contains("still ends") {
                        sh(": >/run/goodbye").await.expect("written");
                    }
                    text += &format!("{line}\n");
                }
                text
            };
            let cancel = tokio_util::sync::CancellationToken::new();
            let (code, text) = tokio::join!(host.run_detached_unit(&work, lines, &cancel), reading);
            (code.expect("it can be run"), text)
        };

        // Stopped, it says goodbye for as long as the test likes.
        let slow = "trap 'until [ -e /run/goodbye ]; do sleep 0.1; done; exit 7' INT; \
                    : >/run/begun; while :; do sleep 0.1; done";
        sh("rm -f /run/goodbye /run/begun").await.expect("removed");
        let first = last(work(slow, false));
        let others = async {
            let begun = "until [ -e /run/begun ]; do sleep 0.1; done; systemctl stop --no-block matou-ends; \
                         until [ \"$(systemctl is-active matou-ends)\" = deactivating ]; do sleep 0.1; done";
            sh(begun).await.expect("told to end");
            let running = host.list_detached_units("matou-ends").await.expect("asked");
            assert_eq!(running, Vec::<String>::new());
            last(work("echo second; exit 3", false)).await
        };
        let ((code, _), (second, text)) = tokio::join!(first, others);
        assert_eq!(code, 7);
        assert_eq!(
            (second, &*text),
            (
                3,
                "matou-ends was stopped before: waiting, it still ends\nsecond\n"
            )
        );

        // Seen to run and ended since: its result, and no other run.
        let (code, text) = last(work("echo third", true)).await;
        assert_eq!((code, &*text), (3, "second\n"));
        sh("rm -f /run/goodbye /run/begun /run/matou/matou-ends.*")
            .await
            .expect("removed");
    });
}

/// Docker refuses to remove a network that a task still has, with the services gone already.
#[test]
fn a_network_in_use_is_removed_when_it_is_free() {
    let _alone = alone();
    let (_, config) = fleet();
    let _clean = Deployed(&config, "held");
    let on_n1 = |line: &str| {
        let args = ["lab", "ssh", "--name", support::FLEET, "n1", "--"];
        ok(&config, &[&args[..], &["sh", "-c", line]].concat())
    };
    on_n1(
        r#"printf '{"version": "3.8", "services": {"web": {"image": "matou/hello:1.0", "networks": ["inner"]}},
        "networks": {"inner": {"driver": "overlay", "attachable": true}}}' | docker stack deploy -c - held"#,
    );
    let hold = "docker run -d --rm --name holder --network held_inner matou/hello:1.0";
    on_n1(hold);

    let removed = matou(&config, &["remove", "held", "--yes"]);
    let freed = on_n1("docker rm -f holder");
    let text = said(&removed) + &freed;
    assert!(!removed.status.success(), "{text}");
    assert!(text.contains("is in use by task"), "{text}");
    assert!(
        text.contains("end what uses it, then remove again"),
        "{text}"
    );

    // Its services are gone; what is left is told, and removed when the run again finds it free.
    let plan = ok(&config, &["remove", "held", "--dry-run"]);
    assert!(plan.contains("- network held_inner"), "{plan}");
    on_n1(hold);
    let mut removing = std::process::Command::new(env!("CARGO_BIN_EXE_matou"))
        .arg("--config")
        .arg(&config)
        .args(["remove", "held", "--yes"])
        .stdout(std::process::Stdio::piped())
        .stderr(std::process::Stdio::piped())
        .spawn()
        .expect("matou starts");
    let told = removing.stdout.take().expect("its output");
    let mut removed = String::new();
    let mut freed = false;
    for line in std::io::BufReader::new(told).lines() {
        removed += &format!("{}\n", line.expect("a line"));
        if !freed && removed.contains("is in use by task") {
            on_n1("docker rm -f holder");
            freed = true;
        }
    }
    let ended = removing.wait_with_output().expect("it ends");
    removed += &said(&ended);
    assert!(ended.status.success(), "{removed}");
    assert!(freed, "{removed}");
    let left = on_n1("docker network ls -q -f name=held_inner");
    assert_eq!(left, "");
    let again = ok(&config, &["remove", "held", "--yes"]);
    assert!(again.contains("nothing to do"), "{again}");
}

/// Right after a removal by docker's client, the engine lists networks that it is about to remove.
#[test]
fn what_docker_removes_is_deployed_again_at_once() {
    let _alone = alone();
    let (_, config) = fleet();
    let _clean = Deployed(&config, "again");
    ok(&config, &["deploy", "hello", "again", "--yes"]);
    for _ in 0..3 {
        let removal = ["docker", "stack", "rm", "again"];
        let args = ["lab", "ssh", "--name", support::FLEET, "n1", "--"];
        ok(&config, &[&args[..], &removal].concat());
        ok(&config, &["deploy", "hello", "again", "--yes"]);
    }
}

/// What can't be remembered does not keep anybody from looking; and nothing is left behind of a run, nor
/// of one that died.
#[test]
fn looking_needs_no_room_and_leaves_nothing() {
    let _alone = alone();
    let (_, config) = fleet();
    let dir = tempfile::tempdir().expect("a folder");
    let place = dir.path().display().to_string();
    let sh = |line: &str| {
        let out = std::process::Command::new("sh")
            .args(["-c", line, "sh", &place])
            .output();
        out.expect("a shell").status.success()
    };
    assert!(sh("mount -t tmpfs -o size=64k none \"$1\""));
    let run = |args: &[&str], home: &str| {
        let mut command = std::process::Command::new(env!("CARGO_BIN_EXE_matou"));
        let to = match home {
            "HOME" => &place,
            _ => &format!("{place}/state"),
        };
        command.arg("--config").arg(&config).args(args);
        command.env_remove("XDG_STATE_HOME").env(home, to);
        command.output().expect("matou starts")
    };
    let looks = |how: &str, home: &str| {
        let check = run(&["check", "--json"], home);
        let json: serde_json::Value = serde_json::from_slice(&check.stdout).expect("JSON");
        let code = i32::from(json["well"] != true);
        assert_eq!(check.status.code(), Some(code), "{how}: {}", said(&check));
        let text = said(&run(&["check", "--metrics"], home));
        assert!(text.contains("\n# EOF\n"), "{how}: {text}");
        let journal = run(&["journal", "n1", "docker.service", "-n", "1"], home);
        let text = said(&journal);
        assert!(
            journal.status.success() && text.contains("n1 |"),
            "{how}: {text}"
        );
        assert!(
            text.contains("warning: what was done is not remembered"),
            "{how}: {text}"
        );
        for args in [
            &["status"][..],
            &["catalogue"],
            &["certificates"],
            &["bans"],
        ] {
            let out = run(args, home);
            assert!(out.status.success(), "{how}, {args:?}: {}", said(&out));
        }
    };
    let tried = std::panic::catch_unwind(|| {
        assert!(sh(
            "mkdir \"$1/state\"; ! head -c 1M /dev/zero >\"$1/fill\""
        ));
        looks("full", "XDG_STATE_HOME");
        assert!(sh("rm -rf \"$1\"/*; mount -o remount,ro \"$1\""));
        looks("read-only", "XDG_STATE_HOME");
        looks("a home that is read-only", "HOME");
        assert!(sh("mount -o remount,rw \"$1\"; mkdir -m 700 \"$1/run\""));
        let runs = || {
            let mut command = std::process::Command::new(env!("CARGO_BIN_EXE_matou"));
            command
                .arg("--config")
                .arg(&config)
                .env("XDG_RUNTIME_DIR", format!("{place}/run"));
            command.stdout(std::process::Stdio::null());
            command
        };
        let left = || std::fs::read_dir(dir.path().join("run/matou")).map_or(0, Iterator::count);
        assert!(
            runs()
                .arg("status")
                .status()
                .expect("matou starts")
                .success()
        );
        assert_eq!(left(), 0);
        let mut dead = runs()
            .args(["journal", "n1", "--follow"])
            .spawn()
            .expect("matou starts");
        until(Duration::from_secs(20), || {
            sh("ls \"$1\"/run/matou/*/.ssh-connection*/master")
                .then_some(())
                .ok_or("no connection".into())
        });
        dead.kill().expect("killed");
        dead.wait().expect("it ended");
        assert_eq!(left(), 1);
        // It may be about to begin, for all that is known; later it is not.
        runs().arg("status").status().expect("matou starts");
        assert_eq!(left(), 1);
        assert!(sh("touch -d '1 hour ago' \"$1\"/run/matou/*"));
        runs().arg("status").status().expect("matou starts");
        assert_eq!(left(), 0);
    });
    assert!(sh("umount -l \"$1\""));
    tried.expect("all of it");
}

#[test]
fn a_dead_engine_is_told_with_what_to_do() {
    let _alone = alone();
    let (_, config) = fleet();
    let text = std::fs::read_to_string(&config).expect("the fleet's configuration");
    let text = text.replace(
        "name = \"n2\"",
        "name = \"n2\"\ndocker_socket = \"/run/no-docker.sock\"",
    );
    let own = config.with_file_name("dead.toml");
    std::fs::write(&own, text).expect("written");
    let status = ok(&own, &["status"]);
    assert!(status.contains("systemctl status docker"), "{status}");
    assert!(
        status.contains("n1") && status.contains("leader"),
        "{status}"
    );
    support::fault("fleet", "an engine is dead", "told, with what to do");
}
