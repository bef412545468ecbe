//! Applications behind a real Traefik with certificates of a real ACME authority, on a practice
//! fleet: deployed, answering, updated, rolled back.

mod first_starts;
mod renewal;
#[path = "../support/mod.rs"]
mod support;

use std::io::BufRead;
use std::path::PathBuf;
use std::process::Command;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicU32, Ordering};
use std::time::{Duration, Instant};

use first_starts::{open_installer, slow_database};
use matou::lab::LabKind;
use renewal::tried_and_renewed;
use support::edge::{Authority, images, import};
use support::exposure::{Watch, own_modes_in};
use support::registry::{Registry, free_port};
use support::{Fleet, matou, ok, said, until};

/// Asks the edge as a browser would that trusts the authority; headers and body.
fn ask(fleet: &Fleet, url: &str) -> Result<String, String> {
    ask_with(fleet, url, &[])
}

/// Waits until the answer is as wanted: Traefik looks at the swarm now and then.
fn wait_for_answer(fleet: &Fleet, url: &str, wanted: impl Fn(&str) -> bool) {
    until(Duration::from_secs(60), || {
        let answer = ask(fleet, url)?;
        if wanted(&answer) { Ok(()) } else { Err(answer) }
    });
}

/// The same with more options of curl.
fn ask_with(fleet: &Fleet, url: &str, options: &[&str]) -> Result<String, String> {
    let address = fleet.address("n1");
    let host = url.split('/').nth(2).expect("a host");
    let root = fleet.lab.config_path().with_file_name("root.pem");
    let out = Command::new("curl")
        .args(["-sS", "-i", "--max-time", "20", "--cacert"])
        .arg(root)
        .args(options)
        .args(["--resolve", &format!("{host}:443:{address}")])
        .args(["--resolve", &format!("{host}:80:{address}"), url])
        .output()
        .expect("curl");
    match out.status.success() {
        true => Ok(String::from_utf8_lossy(&out.stdout).into_owned()),
        false => Err(said(&out)),
    }
}

/// One of the things that are shown, on the fleet with that configuration.
type Part = fn(&Fleet, &PathBuf);

#[test]
fn applications_answer_under_their_names_with_certificates() {
    let fleet = Fleet::new("edge");
    fleet.wait(
        fleet
            .lab
            .up(2, LabKind::Swarm, &|phase| eprintln!("lab: {phase}")),
    );
    images(&fleet, "n1");
    let address = fleet.address("n1");
    let gateway = format!("{}.1", address.rsplit_once('.').expect("IPv4").0);
    let authority = Authority::start(&gateway, &address);
    let root = fleet.lab.config_path().with_file_name("root.pem");
    std::fs::write(root, authority.root_pem()).expect("written");
    let config = fleet.config(
        "edge.toml",
        "[storage]\ndriver = \"local\"\n[edge]\nemail = \"ops@example.org\"\nca_file = \"root.pem\"\n",
    );
    traefik(&fleet, &config, &authority);
    let parts: [(&str, Part); 14] = [
        ("two applications", two_applications),
        ("another", another),
        ("ghost of 2019", ghost_of_2019),
        ("switches", switches),
        ("access log", access_log),
        ("updates", updates),
        ("switched while it runs", switched_while_it_runs),
        ("newer versions and places", newer_versions),
        ("mounted otherwise", mounted_otherwise),
        ("slow database", slow_database),
        ("open installer", open_installer),
        ("tried and renewed", tried_and_renewed),
        ("bad input", bad_input),
        ("secrets", secrets),
    ];
    for (name, part) in parts {
        let begun = Instant::now();
        part(&fleet, &config);
        eprintln!("edge: {name} took {} s", begun.elapsed().as_secs());
    }
    no_name(&fleet, &config, &authority);
}

/// Made at random, kept for root alone, given to the application, shown only when asked for.
fn secrets(fleet: &Fleet, config: &PathBuf) {
    let file = fleet.lab.config_path().with_file_name("vault.yml");
    std::fs::write(
        &file,
        "x-matou:\n  secrets:\n    - name: token\n      length: 40\n    - name: master\n      keep: true\n      help: opens the data\n\
         services:\n  web:\n    image: matou/hello:1.0\n    secrets: [token, master]\n    volumes: ['data:/data']\n    healthcheck: {disable: true}\n    deploy:\n      endpoint_mode: dnsrr\n      placement: {constraints: [node.hostname == n1]}\n\
         volumes:\n  data: {}\nsecrets:\n  token:\n    external: true\n  master:\n    external: true\n",
    )
    .expect("written");
    let state = tempfile::tempdir().expect("a folder");
    // Whatever the operator's shell would let others do.
    let run = |args: &[&str]| {
        let out = Command::new("sh")
            .args(["-c", "umask 000; ulimit -c unlimited; exec \"$@\"", "sh"])
            .arg(env!("CARGO_BIN_EXE_matou"))
            .arg("--config")
            .arg(config)
            .args(args)
            .env("XDG_STATE_HOME", state.path())
            .output()
            .expect("matou starts");
        (out.status.success(), said(&out))
    };
    let file = file.to_string_lossy().into_owned();
    let mut watch = Watch::begin(&[]);
    let (fine, deployed) = run(&["deploy", &file, "vault", "--yes"]);
    assert!(
        fine && deployed.contains("+ secret vault_token_v1, made at random"),
        "{deployed}"
    );
    let inside = || {
        fleet
            .run(
                "n1",
                "docker exec $(docker ps -q -f name=vault_web) cat /run/secrets/token",
            )
            .trim()
            .to_owned()
    };
    let first = inside();
    assert_eq!(first.len(), 40);
    let (_, shown) = run(&["secrets", "vault", "show", "token"]);
    assert_eq!(shown.trim(), first);
    let kept = fleet.run(
        "n1",
        "stat -c '%a %U' /mnt/data/.matou/secrets/vault /mnt/data/.matou/secrets/vault/token.v1",
    );
    assert_eq!(kept.trim(), "700 root\n600 root");
    let (fine, rotated) = run(&["secrets", "vault", "rotate", "token", "--yes"]);
    assert!(fine, "{rotated}");
    let second = inside();
    assert_ne!(first, second);
    let (fine, updated) = run(&["redeploy", "vault", "--headers", "off", "--yes"]);
    assert!(fine, "{updated}");
    let (fine, scaled) = run(&["scale", "vault_web", "2", "--yes"]);
    assert!(fine, "{scaled}");
    for value in [&first, &second] {
        watch.also(value);
    }
    watch.end(fleet, &["n1", "n2"]);
    own_modes_in(&state.path().join("matou"));
    let (_, list) = run(&["secrets", "vault"]);
    assert_eq!(list.trim(), "master version 1\ntoken version 2");
    let (fine, refused) = run(&["secrets", "vault", "rotate", "master", "--yes"]);
    assert!(
        !fine && refused.contains("can't be read without it (opens the data)"),
        "{refused}"
    );
    // Nothing that was printed or journalled holds a value.
    let journal =
        std::fs::read_to_string(state.path().join("matou/journal.jsonl")).expect("a journal");
    for value in [&first, &second] {
        for place in [&deployed, &rotated, &journal] {
            assert!(!place.contains(value.as_str()), "{place}");
        }
    }
    // Its data goes only when it is named.
    let (fine, text) = run(&["remove", "vault", "--volume", "shop_data", "--yes"]);
    assert!(
        !fine && text.contains("shop_data is no volume of vault"),
        "{text}"
    );
    let (fine, text) = run(&["remove", "vault", "--volume", "vault_data", "--yes"]);
    assert!(
        fine && text.contains("- volume vault_data of n1 (all that it holds is lost)"),
        "{text}"
    );
    assert!(
        !fleet
            .run("n1", "docker volume ls -q")
            .contains("vault_data")
    );
}

fn traefik(fleet: &Fleet, config: &PathBuf, authority: &Authority) {
    // Traefik trusts this authority by a file in its volume.
    fleet.run("n1", "docker volume create edge_data");
    let pem = authority.own_pem();
    fleet.run(
        "n1",
        &format!("echo '{pem}' >/var/lib/docker/volumes/edge_data/_data/ca.pem"),
    );
    let server = format!("ACME_SERVER=https://{}:14000/dir", authority.address);
    let text = ok(
        config,
        &[
            "deploy",
            "traefik",
            "edge",
            &server,
            &server.replace("SERVER", "STAGING"),
            "IMAGE=matou/traefik:3.7",
            "PROXY_IMAGE=matou/proxy:1",
            "ACME_CA=/data/ca.pem",
            "--yes",
        ],
    );
    assert!(text.contains("+ network traefik-net"), "{text}");
    assert!(text.contains("edge_traefik.1 running"), "{text}");
    // The proxy lets nothing be changed.
    let made = fleet.run(
        "n1",
        "docker exec $(docker ps -q -f name=edge_traefik) wget -q -O - --post-data x http://proxy:2375/services/create || echo refused",
    );
    assert!(made.contains("refused"), "{made}");
}

fn two_applications(fleet: &Fleet, config: &PathBuf) {
    for app in ["one", "two"] {
        let domain = format!("{app}.lab.test");
        let begun = Instant::now();
        let text = ok(
            config,
            &[
                "deploy",
                "whoami",
                app,
                &format!("DOMAIN={domain}"),
                "IMAGE=matou/hello:1.0",
                "PORT=8080",
                "--yes",
            ],
        );
        let limit = Duration::from_secs(60) * support::patience();
        assert!(begun.elapsed() < limit, "{text}");
        // Where the name does not lead is told before anything is changed.
        assert!(
            text.contains(&format!("! domain {domain} (it does not resolve")),
            "{text}"
        );
        // Waited for, or there already when it was asked for first.
        let waited = text.contains(&format!("https://{domain} answers 200"))
            && text.contains("certificate of Pebble Intermediate");
        assert!(waited || text.contains("n1: answer ok"), "{text}");
        let answer = ask(fleet, &format!("https://{domain}/")).expect("it answers");
        assert!(answer.contains("<h1>hello 1.0</h1>"), "{answer}");
        let headers = answer.to_ascii_lowercase();
        for header in [
            "strict-transport-security: max-age=31536000",
            "x-content-type-options: nosniff",
            "referrer-policy: strict-origin-when-cross-origin",
            "x-frame-options: sameorigin",
        ] {
            assert!(headers.contains(header), "{answer}");
        }
        let answer = ask(fleet, &format!("http://{domain}/x")).expect("it redirects");
        assert!(answer.starts_with("HTTP/1.1 30"), "{answer}");
        assert!(answer.contains(&format!("https://{domain}/x")), "{answer}");
    }
    let listed = ok(config, &["certificates"]);
    assert_eq!(listed.matches("Pebble Intermediate").count(), 2, "{listed}");
    // A second time nothing is to be done.
    let again = [
        "deploy",
        "whoami",
        "one",
        "DOMAIN=one.lab.test",
        "IMAGE=matou/hello:1.0",
        "PORT=8080",
        "--yes",
    ];
    assert!(ok(config, &again).contains("nothing to do"));
    assert!(ok(config, &["redeploy", "one", "--yes"]).contains("nothing to do"));
}

/// Another one like it needs another name and domain alone.
fn another(fleet: &Fleet, config: &PathBuf) {
    let out = matou(config, &["clone", "one", "three", "--yes"]);
    let text = said(&out);
    assert!(
        text.contains("one_web answers for Host(`one.lab.test`) already"),
        "{text}"
    );
    ok(
        config,
        &["clone", "one", "three", "DOMAIN=three.lab.test", "--yes"],
    );
    wait_for_answer(fleet, "https://three.lab.test/", |a| {
        a.contains("hello 1.0")
    });
    ok_removed(config, "three");
}

/// The seed's own file, unchanged, with an image of the same name.
fn ghost_of_2019(fleet: &Fleet, config: &PathBuf) {
    let dir = tempfile::tempdir().expect("a folder");
    let script = "set -e; r=$1/root; mkdir -p $r/bin $r/www $r/tmp $r/var/lib/ghost/content; cp \"$(command -v busybox)\" $r/bin/httpd; echo 'a ghost' >$r/www/index.html; tar -C $r -cf $1/ghost.tar .";
    let made = Command::new("sh")
        .args(["-c", script, "sh"])
        .arg(dir.path())
        .status()
        .expect("a shell");
    assert!(made.success());
    for node in ["n1", "n2"] {
        let change = "CMD [\"/bin/httpd\", \"-f\", \"-p\", \"2368\", \"-h\", \"/www\"]";
        import(
            fleet,
            node,
            &dir.path().join("ghost.tar"),
            "ghost:2.4.0",
            change,
        );
    }
    let file = concat!(env!("CARGO_MANIFEST_DIR"), "/tests/files/ghost-2019.yml");
    let text = ok(
        config,
        &["deploy", file, "old", "DOMAIN=old.lab.test", "--yes"],
    );
    assert!(
        text.contains("are deployed as those of Traefik 3"),
        "{text}"
    );
    assert!(text.contains("leaves the plugin netshare"), "{text}");
    wait_for_answer(fleet, "https://old.lab.test/", |a| a.contains("a ghost"));
    ok_removed(config, "old");
}

fn ok_removed(config: &PathBuf, app: &str) {
    let text = ok(config, &["remove", app, "--yes"]);
    assert!(text.contains(&format!("- service {app}_web")), "{text}");
}

fn switches(fleet: &Fleet, config: &PathBuf) {
    // "secret", by the apr1 hash of htpasswd.
    let hash = Command::new("openssl")
        .args(["passwd", "-apr1", "secret"])
        .output()
        .expect("openssl");
    let user = format!("ops:{}", String::from_utf8_lossy(&hash.stdout).trim());
    let text = ok(
        config,
        &[
            "redeploy",
            "two",
            "--basic-auth",
            &user,
            "--headers",
            "off",
            "--yes",
        ],
    );
    assert!(!text.contains("$apr1$"), "a hash is shown: {text}");
    until(Duration::from_secs(30), || {
        match ask(fleet, "https://two.lab.test/") {
            Ok(answer) if answer.starts_with("HTTP/2 401") => Ok(()),
            other => Err(format!("{other:?}")),
        }
    });
    let answer = ask_with(fleet, "https://two.lab.test/", &["--user", "ops:secret"]);
    assert!(answer.expect("it answers").starts_with("HTTP/2 200"));
    let answer = ask_with(fleet, "https://two.lab.test/", &["--user", "ops:wrong"]);
    assert!(answer.expect("it answers").starts_with("HTTP/2 401"));
    // fail2ban finds it where `matou provision` lets it look, in the order that its filter wants.
    until(Duration::from_secs(30), || {
        let line = r#"grep -E '"ClientHost":"[0-9.]+".*"ClientUsername":"ops".*"DownstreamStatus":401,' /var/log/traefik/access.log"#;
        let out = fleet.try_run("n1", line);
        match out.status.success() {
            true => Ok(()),
            false => Err(said(&out)),
        }
    });
    ok(
        config,
        &[
            "redeploy",
            "two",
            "--basic-auth",
            "off",
            "--headers",
            "on",
            "--yes",
        ],
    );
    until(Duration::from_secs(30), || {
        match ask(fleet, "https://two.lab.test/") {
            Ok(answer) if answer.starts_with("HTTP/2 200") => Ok(()),
            other => Err(format!("{other:?}")),
        }
    });
}

/// What visitors asked for is told of the application they asked, filtered, counted and followed.
fn access_log(fleet: &Fleet, config: &PathBuf) {
    for path in ["/", "/gone/one?token=x", "/gone/two"] {
        ask(fleet, &format!("https://one.lab.test{path}")).expect("it answers");
    }
    until(Duration::from_secs(20), || {
        let text = ok(config, &["access", "one", "--path", "GONE"]);
        match text.lines().count() {
            2 => Ok(()),
            _ => Err(text),
        }
    });
    let access = |args: &[&str]| ok(config, &[&["access"], args].concat());
    let gone = access(&[
        "one", "--status", "404", "--path", "/gone", "--since", "10m",
    ]);
    let lines: Vec<_> = gone.lines().collect();
    assert!(
        lines[0].contains(" 404 GET one.lab.test/gone/one?token=x "),
        "{gone}"
    );
    assert!(
        lines[1].contains(" 404 GET one.lab.test/gone/two "),
        "{gone}"
    );
    assert_eq!(access(&["one", "--status", "5xx", "--path", "/gone"]), "");
    assert_eq!(access(&["one", "--slow", "30s"]), "");
    // Refused passwords of the other application are its own, with the name that was given.
    let refused = access(&["two", "--status", "401", "--json"]);
    let refused: Vec<serde_json::Value> = refused
        .lines()
        .map(|l| serde_json::from_str(l).expect("JSON"))
        .collect();
    assert!(refused.iter().any(|r| r["user"] == "ops"), "{refused:?}");
    assert!(
        refused.iter().all(|r| r["router"] == "two@swarm"),
        "{refused:?}"
    );
    // The edge's own are all.
    let counted = access(&["edge", "--status", "4xx", "--top", "--json"]);
    let counted: serde_json::Value = serde_json::from_str(&counted).expect("JSON");
    let of = |path: &str| {
        let mut all = counted["paths"].as_array().expect("paths").iter();
        all.find(|p| p["name"] == path)
            .map(|p| p["requests"].clone())
    };
    assert_eq!(of("/gone/one"), Some(1.into()), "{counted}");
    assert!(counted["answers"]["4xx"].as_u64() >= Some(4), "{counted}");
    // Followed over a rotation of the log, as logrotate's copytruncate does it.
    let tail = "pgrep -fx 'tail -c .* /var/log/traefik/access.log'";
    let follow = || {
        let following = Command::new(env!("CARGO_BIN_EXE_matou"))
            .arg("--config")
            .arg(config)
            .args(["access", "one", "--follow", "--path", "/now"])
            .stdout(std::process::Stdio::piped())
            .spawn()
            .expect("matou starts");
        until(Duration::from_secs(20), || {
            match fleet.try_run("n1", tail).status.success() {
                true => Ok(()),
                false => Err("nothing follows".into()),
            }
        });
        following
    };
    // Whoever is interrupted leaves nothing behind, in whatever moment.
    let interrupt = |mut following: std::process::Child| {
        let pid = i32::try_from(following.id()).expect("a pid");
        nix::sys::signal::kill(
            nix::unistd::Pid::from_raw(pid),
            nix::sys::signal::Signal::SIGINT,
        )
        .expect("interrupted");
        assert_eq!(following.wait().expect("it ends").code(), Some(130));
        until(Duration::from_secs(2), || {
            match fleet.try_run("n1", tail).status.success() {
                true => Err("it is left behind".into()),
                false => Ok(()),
            }
        });
    };
    let mut following = follow();
    let mut lines = std::io::BufReader::new(following.stdout.take().expect("a pipe")).lines();
    for path in ["/now/1", "/now/2"] {
        ask(fleet, &format!("https://one.lab.test{path}")).expect("it answers");
        let line = lines.next().expect("it goes on").expect("text");
        assert!(
            line.contains(&format!("404 GET one.lab.test{path} ")),
            "{line}"
        );
        let log = "/var/log/traefik/access.log";
        fleet.run("n1", &format!("cp {log} {log}.1; : >{log}; sleep 2"));
    }
    interrupt(following);
    for _ in 0..4 {
        interrupt(follow());
    }
    for (app, why) in [
        ("nobody", "there is no application or service \"nobody\""),
        ("edge_proxy", "no router of the edge leads to edge_proxy"),
    ] {
        let out = matou(config, &["access", app]);
        assert!(
            !out.status.success() && said(&out).contains(why),
            "{}",
            said(&out)
        );
    }
}

/// An image that can't be had is rolled back by the engine, told as a failure, and nobody notices. So is one that
/// ends at once; but without a health check the engine takes it for well at first, and visitors wait.
fn updates(fleet: &Fleet, config: &PathBuf) {
    let (stop, asked, lost) = (
        Arc::new(AtomicBool::new(false)),
        Arc::new(AtomicU32::new(0)),
        Arc::new(AtomicU32::new(0)),
    );
    // One that starts and ends at once, beside one that can't be pulled.
    for node in ["n1", "n2"] {
        fleet.run(
            node,
            "id=$(docker create matou/hello:1.0); docker commit -c 'CMD [\"/bin/false\"]' $id matou/hello:crash; docker rm $id",
        );
    }
    std::thread::scope(|scope| {
        for _ in 0..4 {
            scope.spawn(|| {
                while !stop.load(Ordering::Relaxed) {
                    asked.fetch_add(1, Ordering::Relaxed);
                    match ask(fleet, "https://one.lab.test/health") {
                        Ok(answer) if answer.starts_with("HTTP/2 200") => {}
                        other => {
                            eprintln!("a visitor saw {other:?}");
                            lost.fetch_add(1, Ordering::Relaxed);
                        }
                    }
                    std::thread::sleep(Duration::from_millis(100));
                }
            });
        }
        let redeployed = |image: &str| matou(config, &["redeploy", "one", image, "--yes"]);
        let broken = redeployed("IMAGE=matou/hello:broken");
        stop.store(true, Ordering::Relaxed);
        let outs = [broken, redeployed("IMAGE=matou/hello:crash")];
        // The file is written before the tasks run, and put back with the update.
        let file = fleet.lab.config_path().with_file_name("apps/one.toml");
        let file = std::fs::read_to_string(file).expect("a file");
        assert!(!file.contains("matou/hello:crash"), "{file}");
        for (out, why) in outs
            .iter()
            .zip(["it may not be there to be pulled", "one_web."])
        {
            let text = said(out);
            assert_eq!(out.status.code(), Some(1), "{text}");
            assert!(text.contains("the engine rolled back one_web"), "{text}");
            assert!(text.contains(why), "{text}");
            assert!(text.contains("is what it was before, too"), "{text}");
        }
    });
    let asked = asked.load(Ordering::Relaxed);
    assert!(asked > 20, "{asked} requests are too few to tell");
    let tasks = "docker service ls --filter name=one_web --format '{{.Replicas}}'";
    until(Duration::from_secs(60), || {
        let tasks = fleet.run("n1", tasks);
        (tasks.trim() == "2/2").then_some(()).ok_or(tasks)
    });
    assert_eq!(lost.load(Ordering::Relaxed), 0);
    wait_for_answer(fleet, "https://one.lab.test/", |a| a.contains("hello 1.0"));
    // A good one goes through, and back again by hand.
    ok(
        config,
        &["redeploy", "one", "IMAGE=matou/hello:1.1", "--yes"],
    );
    wait_for_answer(fleet, "https://one.lab.test/", |a| a.contains("hello 1.1"));
    let text = ok(config, &["rollback", "one_web", "--yes"]);
    assert!(text.contains("matou/hello:1.1 → matou/hello:1.0"), "{text}");
    wait_for_answer(fleet, "https://one.lab.test/", |a| a.contains("hello 1.0"));
}

/// A service that nobody deployed through matou gets its switches by label, while somebody else
/// changes it all the time; no task of it is replaced.
fn switched_while_it_runs(fleet: &Fleet, config: &PathBuf) {
    fleet.run(
        "n1",
        "docker service create --detach --name foreign --network traefik-net --endpoint-mode dnsrr --constraint node.hostname==n1 \
         --label traefik.enable=true --label 'traefik.http.routers.foreign.rule=Host(`foreign.lab.test`)' \
         --label traefik.http.routers.foreign.entrypoints=websecure --label traefik.http.routers.foreign.tls.certresolver=le \
         --label traefik.http.services.foreign.loadbalancer.server.port=8080 matou/hello:1.0",
    );
    let container = || fleet.run("n1", "docker ps -q -f name=^foreign");
    until(Duration::from_secs(60), || match container().is_empty() {
        true => Err("no task runs".into()),
        false => Ok(()),
    });
    let before = container();
    fleet.run(
        "n1",
        "touch /race; (i=0; while [ -e /race ]; do i=$((i+1)); docker service update --detach --label-add race=$i foreign; done) >/race.log 2>&1 &",
    );
    for limit in ["50", "60", "70"] {
        let args = [
            "switch",
            "foreign",
            "--headers",
            "on",
            "--rate-limit",
            limit,
            "--yes",
        ];
        let text = ok(config, &args);
        assert!(text.contains("foreign is switched"), "{text}");
    }
    fleet.run("n1", "rm /race");
    let labels = fleet.run(
        "n1",
        "docker service inspect --format '{{json .Spec.Labels}}' foreign",
    );
    for wanted in [
        "\"race\":",
        "\"traefik.http.middlewares.foreign-limit.ratelimit.average\":\"70\"",
        "\"traefik.http.routers.foreign.middlewares\":\"foreign-headers,foreign-limit\"",
    ] {
        assert!(labels.contains(wanted), "{wanted}: {labels}");
    }
    assert_eq!(container(), before);
    until(Duration::from_secs(60), || {
        let answer = ask(fleet, "https://foreign.lab.test/")?.to_ascii_lowercase();
        match answer.contains("strict-transport-security") {
            true => Ok(()),
            false => Err(answer),
        }
    });
    ok(config, &["remove", "foreign", "--yes"]);
}

/// Newer versions come from the image's own registry, one major at a time.
fn newer_versions(fleet: &Fleet, config: &PathBuf) {
    let dir = tempfile::tempdir().expect("a folder");
    let registry = Registry::start(dir.path(), free_port(), "");
    registry.push(
        "matou/hello",
        &["latest", "1.0", "1.1", "2.0", "3.0", "1.1-alpine"],
    );
    let image = format!("127.0.0.1:{}/matou/hello", registry.port);
    for node in ["n1", "n2"] {
        fleet.run(
            node,
            &format!("docker tag matou/hello:1.0 {image}:1.0; docker tag matou/hello:1.1 {image}:1.1; docker tag matou/hello:1.1 {image}:2.0"),
        );
    }
    let file = fleet.lab.config_path().with_file_name("ver.yml");
    std::fs::write(
        &file,
        format!("services:\n  web:\n    image: {image}:1.0\n    healthcheck: {{disable: true}}\n    volumes: ['data:/data']\n    deploy: {{endpoint_mode: dnsrr, placement: {{constraints: [node.hostname == n1]}}}}\nvolumes:\n  data: {{}}\n"),
    )
    .expect("written");
    ok(config, &["deploy", &file.to_string_lossy(), "ver", "--yes"]);
    let listed = ok(config, &["update", "ver"]);
    let offered: Vec<&str> = listed.lines().skip(1).map(str::trim).collect();
    assert_eq!(offered.len(), 2, "{listed}");
    assert!(
        offered[0].starts_with("+ 2.0") && offered[0].contains("major"),
        "{listed}"
    );
    assert!(
        offered[1].starts_with("+ 1.1") && offered[1].ends_with("minor"),
        "{listed}"
    );
    let text = ok(config, &["update", "ver", "--to", "newest", "--yes"]);
    assert!(
        text.contains(&format!("{image}:1.0 → {image}:1.1")),
        "{text}"
    );
    let kept = fleet
        .lab
        .config_path()
        .with_file_name("apps")
        .join("ver.toml");
    let kept = std::fs::read_to_string(kept).expect("its file");
    assert!(kept.contains(&format!("web = \"{image}:1.1\"")), "{kept}");
    let text = ok(config, &["update", "ver", "--to", "newest", "--yes"]);
    assert!(
        text.contains("has the newest of its major version"),
        "{text}"
    );
    let out = matou(
        config,
        &["update", "ver", "--service", "web", "--to", "3.0", "--yes"],
    );
    let text = said(&out);
    assert!(
        !out.status.success() && text.contains("would skip the major version 2"),
        "{text}"
    );
    let text = ok(config, &["update", "ver", "--to", "2.0", "--yes"]);
    assert!(
        text.contains("a new major version: read its release notes"),
        "{text}"
    );
    drop(registry);
    let out = matou(config, &["update", "ver"]);
    let text = said(&out);
    assert!(
        !out.status.success() && text.contains("can't be reached"),
        "{text}"
    );
    places(fleet, config);
}

/// An application goes to another node; what stays behind is told.
fn places(fleet: &Fleet, config: &PathBuf) {
    let text = ok(config, &["place", "ver", "n2", "--yes"]);
    assert!(text.contains("tasks of ver_web: on n1 → on n2"), "{text}");
    assert!(
        text.contains("volume ver_data (it is local to n1 and stays there"),
        "{text}"
    );
    assert!(
        fleet
            .run("n2", "docker ps -f name=ver_web -q")
            .lines()
            .count()
            == 1
    );
    let again = ok(config, &["place", "ver", "n2", "--yes"]);
    assert!(
        again.contains("= ver runs on n2") && again.contains("nothing to do"),
        "{again}"
    );
    let out = matou(config, &["place", "ver", "n9", "--yes"]);
    let text = said(&out);
    assert!(
        !out.status.success() && text.contains("there is no node \"n9\"; there are n1, n2"),
        "{text}"
    );
    let out = matou(config, &["place", "edge", "n2", "--yes"]);
    let text = said(&out);
    assert!(
        !out.status.success() && text.contains("runs on managers alone"),
        "{text}"
    );
    let file = fleet
        .lab
        .config_path()
        .with_file_name("apps")
        .join("ver.toml");
    let read = || std::fs::read_to_string(&file).expect("its file");
    assert!(read().contains("place = \"n2\""), "{}", read());
    ok(config, &["place", "ver", "anywhere", "--yes"]);
    assert!(!read().contains("place"), "{}", read());
    ok(config, &["remove", "ver", "--yes"]);
}

/// Engines keep the definition of a volume that they have: it is made anew, the data stays.
fn mounted_otherwise(fleet: &Fleet, config: &PathBuf) {
    let file = fleet.lab.config_path().with_file_name("vol.yml");
    let write = |options: &str| {
        let text = format!(
            "services:\n  web:\n    image: matou/hello:1.0\n    healthcheck: {{disable: true}}\n    volumes: ['data:/data']\n    deploy: {{endpoint_mode: dnsrr, placement: {{constraints: [node.hostname == n1]}}}}\nvolumes:\n  data:\n    driver_opts: {{type: none, o: {options}, device: /srv/vol}}\n"
        );
        std::fs::write(&file, text).expect("written");
    };
    let path = file.to_string_lossy().into_owned();
    let deploy = ["deploy", path.as_str(), "vol", "--yes"];
    write("bind");
    ok(config, &deploy);
    fleet.run(
        "n1",
        "docker exec $(docker ps -q -f name=vol_web) sh -c 'echo kept >/data/x'",
    );
    write("rbind");
    let text = ok(config, &deploy);
    assert!(
        text.contains("the same folder, nothing is copied"),
        "{text}"
    );
    let read = "docker volume inspect -f '{{.Options.o}}' vol_data; docker exec $(docker ps -q -f name=vol_web) cat /data/x";
    assert_eq!(fleet.run("n1", read).trim(), "rbind\nkept");
    assert!(ok(config, &deploy).contains("nothing to do"));
    ok(config, &["remove", "vol", "--yes"]);
    // One that is on its node alone is never taken away.
    fleet.run("n1", "docker volume create vol2_data");
    let deploy = ["deploy", path.as_str(), "vol2", "--yes"];
    let out = matou(config, &deploy);
    let text = said(&out);
    assert!(
        !out.status.success() && text.contains("is on that node alone"),
        "{text}"
    );
}

fn bad_input(fleet: &Fleet, config: &PathBuf) {
    let refused = |args: &[&str], wanted: &str| {
        let out = matou(config, args);
        let text = said(&out);
        assert!(!out.status.success(), "{text}");
        assert!(text.contains(wanted), "{wanted}: {text}");
    };
    refused(
        &["deploy", "whoami", "x", "--yes"],
        "the variable DOMAIN is required",
    );
    refused(
        &["deploy", "whoami", "x", "DOMAIN=one.lab.test", "--yes"],
        "one_web answers for Host(`one.lab.test`) already",
    );
    refused(
        &["deploy", "traefik", "x", "--yes"],
        "port 80/tcp is published by edge_traefik already",
    );
    let dir = tempfile::tempdir().expect("a folder");
    let file = dir.path().join("own.yml");
    std::fs::write(&file, "services:\n  web: [\n").expect("written");
    refused(
        &["deploy", &file.to_string_lossy(), "x", "--yes"],
        "own.yml:",
    );
    std::fs::write(
        &file,
        "services:\n  web:\n    image: matou/hello:1.0\n    networks: [gone]\nnetworks:\n  gone:\n    external: true\n",
    )
    .expect("written");
    refused(
        &["deploy", &file.to_string_lossy(), "x", "--yes"],
        "the stack uses the network gone, which is not there",
    );
    // A folder of a volume that can't be made.
    fleet.run("n1", "touch /blocked");
    let text = std::fs::read_to_string(config).expect("it is there");
    let blocked = fleet.lab.config_path().with_file_name("blocked.toml");
    std::fs::write(
        &blocked,
        text.replace(
            "driver = \"local\"",
            "driver = \"shared\"\npath = \"/blocked/data\"",
        ),
    )
    .expect("written");
    let out = matou(
        &blocked,
        &["deploy", "static", "x", "DOMAIN=x.lab.test", "--yes"],
    );
    let text = said(&out);
    assert!(
        text.contains("/blocked/data/x_html can't be made"),
        "{text}"
    );
}

/// A name that leads nowhere gets no certificate, and why is shown.
fn no_name(fleet: &Fleet, config: &PathBuf, authority: &Authority) {
    authority.forget("gone.lab.test");
    let file = fleet.lab.config_path().with_file_name("gone.yml");
    std::fs::write(
        &file,
        "services:\n  web:\n    image: matou/hello:1.0\n    networks: [traefik-net]\n    healthcheck: {disable: true}\n    deploy:\n      labels:\n        traefik.enable: 'true'\n        traefik.http.routers.gone.rule: Host(`gone.lab.test`)\n        traefik.http.routers.gone.entrypoints: websecure\n        traefik.http.routers.gone.tls.certresolver: le\n        traefik.http.services.gone.loadbalancer.server.port: '8080'\nnetworks:\n  traefik-net:\n    external: true\n",
    )
    .expect("written");
    // It runs, so it is deployed; that its certificate is not good is said.
    let text = ok(
        config,
        &["deploy", &file.to_string_lossy(), "gone", "--yes"],
    );
    assert!(text.contains("Traefik shows its own certificate"), "{text}");
    let out = matou(config, &["certificates"]);
    let text = said(&out);
    assert_eq!(out.status.code(), Some(1), "{text}");
    let line = text
        .lines()
        .find(|l| l.starts_with("gone.lab.test"))
        .expect("it is listed");
    assert!(line.contains("Traefik shows its own certificate"), "{line}");
    assert!(line.contains("DNS"), "{line}");
}
