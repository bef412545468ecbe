//! First starts: an application that installs itself, one whose database is slow, one whose installer
//! is open.

use std::path::PathBuf;
use std::time::{Duration, Instant};

use super::support::{self, Fleet, ok, until};
use super::{ask, ask_with, wait_for_answer};

/// A server whose database comes up long after it has failed three times: it is waited for, and what it
/// waits for is told.
pub(crate) fn slow_database(fleet: &Fleet, config: &PathBuf) {
    support::wordpress::images(fleet, "n1");
    let file = fleet.lab.config_path().with_file_name("slow.yml");
    std::fs::write(
        &file,
        "services:\n  web:\n    image: matou/wordpress:6.1\n    entrypoint: [sh, -c, 'mariadb -h db -u slow -pslow slow -e \"SELECT 1\" || exit 1; exec sleep 9999']\n    networks: [internal]\n    healthcheck: {disable: true}\n    deploy: {placement: {constraints: [node.hostname == n1]}, restart_policy: {delay: 5s}}\n\
         \x20 db:\n    image: mariadb:11.4.13\n    entrypoint: [sh, -c, 'sleep 120; printf slow >/tmp/p; MARIADB_PASSWORD_FILE=/tmp/p exec docker-entrypoint.sh start-db']\n    environment: {MARIADB_DATABASE: slow, MARIADB_USER: slow}\n    networks: [internal]\n    healthcheck: {test: [CMD, healthcheck.sh], interval: 2s, timeout: 20s, start_period: 5m}\n    deploy: {endpoint_mode: dnsrr, placement: {constraints: [node.hostname == n1]}}\n\
         networks:\n  internal: {}\n",
    )
    .expect("written");
    let begun = Instant::now();
    let text = ok(
        config,
        &["deploy", &file.to_string_lossy(), "slow", "--yes"],
    );
    assert!(begun.elapsed() > Duration::from_secs(110), "{text}");
    assert!(
        text.contains("slow_web: it has failed; that does not count before slow_db runs"),
        "{text}"
    );
    ok(config, &["remove", "slow", "--yes"]);
}

/// A stack whose installer is open: strangers are asked for a password until the operator takes it away.
pub(crate) fn open_installer(fleet: &Fleet, config: &PathBuf) {
    let file = fleet.lab.config_path().with_file_name("gate.yml");
    std::fs::write(
        &file,
        "x-matou:\n  guard: true\n  check: {path: /health, lacks: [installer]}\n\
         services:\n  web:\n    image: matou/hello:1.0\n    networks: [traefik-net]\n    healthcheck: {disable: true}\n    deploy:\n      endpoint_mode: dnsrr\n      labels:\n        - traefik.enable=true\n        - traefik.swarm.network=traefik-net\n        - traefik.http.routers.${APP}.rule=Host(`${DOMAIN}`)\n        - traefik.http.routers.${APP}.entrypoints=websecure\n        - traefik.http.routers.${APP}.tls.certresolver=le\n        - traefik.http.services.${APP}.loadbalancer.server.port=8080\n\
         networks:\n  traefik-net:\n    external: true\n",
    )
    .expect("written");
    let file = file.to_string_lossy().into_owned();
    let text = ok(
        config,
        &["deploy", &file, "gate", "DOMAIN=gate.lab.test", "--yes"],
    );
    assert!(
        text.contains("matou secrets gate show guard_password") && !text.contains("$2b$"),
        "{text}"
    );
    let url = "https://gate.lab.test/";
    wait_for_answer(fleet, url, |a| a.starts_with("HTTP/2 401"));
    let password = ok(config, &["secrets", "gate", "show", "guard_password"]);
    let user = format!("operator:{}", password.trim());
    until(Duration::from_secs(60), || {
        let answer = ask_with(fleet, url, &["--user", &user])?;
        let is_in = answer.starts_with("HTTP/2 200");
        is_in.then_some(()).ok_or(answer)
    });
    // Killed between the stack and the application's file: the next deploy takes nothing away.
    let app_file = fleet.lab.config_path().with_file_name("apps/gate.toml");
    std::fs::remove_file(app_file).expect("a file");
    ok(
        config,
        &["deploy", &file, "gate", "DOMAIN=gate.lab.test", "--yes"],
    );
    until(Duration::from_secs(30), || {
        match ask_with(fleet, url, &["--user", &user]) {
            Ok(answer) if answer.starts_with("HTTP/2 200") => Ok(()),
            other => Err(format!("{other:?}")),
        }
    });
    wait_for_answer(fleet, url, |a| a.starts_with("HTTP/2 401"));
    let again = ok(config, &["redeploy", "gate", "--yes"]);
    assert!(again.contains("nothing to do"), "{again}");
    ok(config, &["switch", "gate", "--basic-auth", "off", "--yes"]);
    until(Duration::from_secs(30), || match ask(fleet, url) {
        Ok(answer) if answer.starts_with("HTTP/2 200") => Ok(()),
        other => Err(format!("{other:?}")),
    });
    // It is not put back by itself.
    let text = ok(config, &["redeploy", "gate", "--yes"]);
    assert!(!text.contains("guard_password"), "{text}");
    wait_for_answer(fleet, url, |a| a.starts_with("HTTP/2 200"));
    // What runs without a password, and has lost its file, is not shut away from its visitors.
    let kept = fleet.run("n1", "ls /mnt/data/.matou/secrets/gate");
    assert_eq!(kept.trim(), "guard_password.v1");
    fleet.run("n1", "rm /mnt/data/.matou/secrets/gate/guard_password.v1");
    let app_file = fleet.lab.config_path().with_file_name("apps/gate.toml");
    std::fs::remove_file(app_file).expect("a file");
    ok(
        config,
        &["deploy", &file, "gate", "DOMAIN=gate.lab.test", "--yes"],
    );
    wait_for_answer(fleet, url, |a| a.starts_with("HTTP/2 200"));
    ok(config, &["remove", "gate", "--yes"]);
}
