//! Applications behind a real Traefik with certificates of a real ACME authority, on a practice
//! fleet: deployed, answering, updated, rolled back.

mod support;

use std::path::PathBuf;
use std::process::Command;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicU32, Ordering};
use std::time::{Duration, Instant};

use matou::lab::Kind;
use support::edge::{Authority, images, import};
use support::{Fleet, matou, ok, said, until};

/// Asks the edge as a browser would that trusts the authority; headers and body.
fn ask(fleet: &Fleet, url: &str) -> Result<String, String> {
    let address = fleet.address("n1");
    let host = url.split('/').nth(2).expect("a host");
    let root = fleet.lab.config_path().with_file_name("root.pem");
    let out = Command::new("curl")
        .args(["-sS", "-i", "--max-time", "10", "--cacert"])
        .arg(root)
        .args(["--resolve", &format!("{host}:443:{address}")])
        .args(["--resolve", &format!("{host}:80:{address}"), url])
        .output()
        .expect("curl");
    match out.status.success() {
        true => Ok(String::from_utf8_lossy(&out.stdout).into_owned()),
        false => Err(said(&out)),
    }
}

#[test]
fn applications_answer_under_their_names_with_certificates() {
    let fleet = Fleet::new("edge");
    fleet.wait(
        fleet
            .lab
            .up(2, Kind::Swarm, &|phase| eprintln!("lab: {phase}")),
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
    two_applications(&fleet, &config);
    another(&fleet, &config);
    ghost_of_2019(&fleet, &config);
    switches(&fleet, &config);
    updates(&fleet, &config);
    bad_input(&fleet, &config);
    secrets(&fleet, &config);
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
    let run = |args: &[&str]| {
        let out = Command::new(env!("CARGO_BIN_EXE_matou"))
            .arg("--config")
            .arg(config)
            .args(args)
            .env("XDG_STATE_HOME", state.path())
            .output()
            .expect("matou starts");
        (out.status.success(), said(&out))
    };
    let file = file.to_string_lossy().into_owned();
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
        assert!(begun.elapsed() < Duration::from_secs(60), "{text}");
        // Where the name does not lead is told before anything is changed.
        assert!(
            text.contains(&format!("= domain {domain} (it does not resolve")),
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
    let answer = ask(fleet, "https://three.lab.test/").expect("it answers");
    assert!(answer.contains("hello 1.0"), "{answer}");
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
    let answer = ask(fleet, "https://old.lab.test/").expect("it answers");
    assert!(answer.contains("a ghost"), "{answer}");
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
    let answer = ask(fleet, "https://ops:secret@two.lab.test/");
    // The host is between the name and the path here.
    drop(answer);
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

/// A broken image is rolled back by the engine, told as a failure, and nobody notices.
fn updates(fleet: &Fleet, config: &PathBuf) {
    let (stop, asked, lost) = (
        Arc::new(AtomicBool::new(false)),
        Arc::new(AtomicU32::new(0)),
        Arc::new(AtomicU32::new(0)),
    );
    std::thread::scope(|scope| {
        let visitor = scope.spawn(|| {
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
        let out = matou(
            config,
            &["redeploy", "one", "IMAGE=matou/hello:broken", "--yes"],
        );
        let text = said(&out);
        stop.store(true, Ordering::Relaxed);
        visitor.join().expect("the visitor ends");
        assert_eq!(out.status.code(), Some(1), "{text}");
        assert!(text.contains("the engine rolled back one_web"), "{text}");
        assert!(text.contains("it may not be there to be pulled"), "{text}");
    });
    let asked = asked.load(Ordering::Relaxed);
    assert!(asked > 5, "{asked} requests are too few to tell");
    assert_eq!(lost.load(Ordering::Relaxed), 0);
    assert!(
        ask(fleet, "https://one.lab.test/")
            .expect("it answers")
            .contains("hello 1.0")
    );
    // A good one goes through, and back again by hand.
    ok(
        config,
        &["redeploy", "one", "IMAGE=matou/hello:1.1", "--yes"],
    );
    assert!(
        ask(fleet, "https://one.lab.test/")
            .expect("it answers")
            .contains("hello 1.1")
    );
    let text = ok(config, &["rollback", "one_web", "--yes"]);
    assert!(text.contains("matou/hello:1.1 → matou/hello:1.0"), "{text}");
    assert!(
        ask(fleet, "https://one.lab.test/")
            .expect("it answers")
            .contains("hello 1.0")
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
