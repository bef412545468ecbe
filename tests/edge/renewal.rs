//! A certificate issued anew, forgotten, and what becomes of the edge when that is cut off.

use std::path::PathBuf;
use std::process::Command;

use super::support::{self, Fleet, matou, ok, said};
use super::{ask, wait_for_answer};

/// A certificate is tried with the staging authority, issued by the real one, and forgotten when
/// nobody asks for it.
pub(crate) fn tried_and_renewed(fleet: &Fleet, config: &PathBuf) {
    let show = || said(&matou(config, &["certificates", "show", "try.lab.test"]));
    ok(
        config,
        &[
            "deploy",
            "whoami",
            "try",
            "DOMAIN=try.lab.test",
            "RESOLVER=staging",
            "IMAGE=matou/hello:1.0",
            "PORT=8080",
            "--yes",
        ],
    );
    let first = show();
    assert!(first.contains("stored by the resolver staging"), "{first}");
    ok(config, &["redeploy", "try", "RESOLVER=le", "--yes"]);
    let text = ok(config, &["certificates", "renew", "try.lab.test", "--yes"]);
    assert!(
        text.contains("- stored certificate of try.lab.test"),
        "{text}"
    );
    assert!(text.contains("issued by Pebble Intermediate"), "{text}");
    let second = show();
    assert!(second.contains("stored by the resolver le"), "{second}");
    assert!(!second.contains("staging"), "{second}");
    let serial = |text: &str| {
        let serial = text.split("serial ").nth(1);
        serial.and_then(|s| s.lines().next()).map(str::to_owned)
    };
    assert!(
        serial(&first).is_some() && serial(&first) != serial(&second),
        "{first}{second}"
    );
    let modes = fleet.run(
        "n1",
        "cd /var/lib/docker/volumes/edge_data/_data; stat -c '%a %U' acme.json acme.json.before",
    );
    assert_eq!(modes.trim(), "600 root\n600 root");
    let pem = ok(config, &["certificates", "pem", "try.lab.test"]);
    assert!(pem.starts_with("-----BEGIN CERTIFICATE-----"), "{pem}");
    // Others are served as before.
    let answer = ask(fleet, "https://one.lab.test/").expect("it answers");
    assert!(answer.starts_with("HTTP/2 200"), "{answer}");
    killed_while_the_edge_is_stopped(fleet, config);
    ok(config, &["remove", "try", "--yes"]);
    let listed = said(&matou(config, &["certificates"]));
    let orphan = listed.lines().find(|l| l.starts_with("try.lab.test"));
    assert!(
        orphan.is_some_and(|l| l.contains("no router asks for it")),
        "{listed}"
    );
    let text = ok(config, &["certificates", "renew", "try.lab.test", "--yes"]);
    assert!(text.contains("no router asks for try.lab.test"), "{text}");
    let listed = said(&matou(config, &["certificates"]));
    assert!(!listed.contains("try.lab.test"), "{listed}");
    let out = matou(
        config,
        &["certificates", "renew", "never.lab.test", "--yes"],
    );
    assert!(
        said(&out).contains("no certificate of never.lab.test is stored"),
        "{}",
        said(&out)
    );
}

/// Who is killed while Traefik is stopped leaves the manager to start it again by itself.
fn killed_while_the_edge_is_stopped(fleet: &Fleet, config: &PathBuf) {
    let wanted =
        "docker service inspect --format '{{.Spec.Mode.Replicated.Replicas}}' edge_traefik";
    let is_stopped = || fleet.run("n1", wanted).trim() == "0";
    let is_armed = || {
        let armed = "systemctl is-active matou-start-edge.timer";
        fleet.try_run("n1", armed).status.success()
    };
    assert!(!is_armed(), "what was called off is gone");
    // It is stopped for a second or two, which may pass between two looks.
    let killed = (0..5).any(|_| {
        let renewing = Command::new(env!("CARGO_BIN_EXE_matou"))
            .arg("--config")
            .arg(config)
            .args(["certificates", "renew", "try.lab.test", "--yes"])
            .stdout(std::process::Stdio::null())
            .stderr(std::process::Stdio::null())
            .spawn();
        let mut renewing = renewing.expect("matou starts");
        while !is_stopped() && renewing.try_wait().expect("it is a child").is_none() {}
        renewing.kill().expect("killed");
        renewing.wait().expect("it ends");
        is_stopped()
    });
    assert!(killed, "it was never seen to be stopped");
    assert!(is_armed(), "the manager starts it");
    // In the place of the minutes until then: what the timer runs.
    fleet.run("n1", "systemctl start matou-start-edge.service");
    wait_for_answer(fleet, "https://one.lab.test/", |answer| {
        answer.starts_with("HTTP/2 200")
    });
    assert!(!is_stopped());
    let text = ok(config, &["certificates", "renew", "try.lab.test", "--yes"]);
    assert!(text.contains("issued by Pebble Intermediate"), "{text}");
    assert!(!is_armed());
    support::fault(
        "edge",
        "matou is killed while Traefik is stopped for the renewal of a certificate",
        "a timer of the manager starts Traefik (run by hand here, not waited for)",
    );
}
