//! First starts: an application that installs itself, one whose database is slow, one whose installer
//! is open.

use std::path::PathBuf;
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, Mutex};
use std::time::{Duration, Instant};

use super::support::{self, Fleet, matou, ok, said, until};
use super::{ask, ask_with};

/// Real software with a real database, from the catalogue's stack, by its file alone.
pub(crate) fn wordpress(fleet: &Fleet, config: &PathBuf) {
    support::wordpress::images(fleet, "n1");
    let apps = fleet.lab.config_path().with_file_name("apps");
    std::fs::write(
        apps.join("press.toml"),
        "stack = \"wordpress\"\nplace = \"n1\"\n[variables]\nDOMAIN = \"press.lab.test\"\nTITLE = \"Chatons\"\nADMIN_LOGIN = \"ops\"\nIMAGE = \"matou/wordpress:6.1\"\n",
    )
    .expect("written");
    // A stranger who reads the log of certificates, five times a second from the beginning.
    let seen = Arc::new(Mutex::new(Vec::new()));
    let ends = Arc::new(AtomicBool::new(false));
    let text = std::thread::scope(|scope| {
        let (seen, until) = (seen.clone(), ends.clone());
        scope.spawn(move || {
            while !until.load(Ordering::Relaxed) {
                for path in ["/", "/wp-admin/install.php"] {
                    let url = format!("https://press.lab.test{path}");
                    // Before there is a certificate, too.
                    if let Ok(answer) = ask_with(fleet, &url, &["--insecure"]) {
                        seen.lock().expect("a lock").push(answer);
                    }
                }
                std::thread::sleep(Duration::from_millis(200));
            }
        });
        let text = said(&matou(config, &["redeploy", "press", "--yes"]));
        ends.store(true, Ordering::Relaxed);
        text
    });
    assert!(
        text.contains("+ secret press_db_password_v1, made at random"),
        "{text}"
    );
    // It answers when its tasks run, or is waited for.
    let answers = ["https://press.lab.test answers 200 in", "n1: answer ok"];
    assert!(answers.iter().any(|a| text.contains(a)), "{text}");
    assert!(
        text.contains("log in at https://press.lab.test/wp-admin/ as ops\n")
            && text.contains(
                "the password that its stack made: `matou secrets press show admin_password`"
            ),
        "{text}"
    );
    let seen = seen.lock().expect("a lock");
    assert!(seen.len() > 20, "{}", seen.len());
    for answer in seen.iter() {
        let is_open = answer.contains("id=\"setup\"") || answer.contains("language-chooser");
        let leads = answer.to_ascii_lowercase().contains("location: ")
            && answer.contains("/wp-admin/install.php");
        assert!(!is_open && !leads, "{answer}");
    }
    // The operator logs in as he was told.
    let password = ok(config, &["secrets", "press", "show", "admin_password"]);
    let form = [
        "log=ops".to_owned(),
        format!("pwd={}", password.trim()),
        "testcookie=1".to_owned(),
    ];
    let mut options = vec!["-b", "wordpress_test_cookie=WP%20Cookie%20check"];
    for field in &form {
        options.extend(["--data-urlencode", field]);
    }
    let answer =
        ask_with(fleet, "https://press.lab.test/wp-login.php", &options).expect("a log-in");
    assert!(
        answer.starts_with("HTTP/2 302") && answer.contains("wordpress_logged_in_"),
        "{answer}"
    );
    let page = ask(fleet, "https://press.lab.test/").expect("it answers");
    assert!(
        page.starts_with("HTTP/2 200") && page.contains("<title>Chatons</title>"),
        "{page}"
    );
    assert!(page.contains("https://press.lab.test/"), "{page}");
    // It is in the database, which is opened with the secret that was made.
    let row = fleet.run(
        "n1",
        "docker exec $(docker ps -q -f name=press_db) sh -c 'mariadb -N -h 127.0.0.1 -u wordpress -p\"$(cat /run/secrets/db_password)\" wordpress -e \"SELECT option_value FROM wp_options WHERE option_name = 0x626c6f676e616d65\"'",
    );
    assert_eq!(row.trim(), "Chatons");
    assert!(ok(config, &["redeploy", "press", "--yes"]).contains("nothing to do"));
    let volumes = ["--volume", "press_db", "--volume", "press_html"];
    let mut args = vec!["remove", "press", "--yes"];
    args.extend(volumes);
    ok(config, &args);
}

/// A server whose database comes up long after it has failed three times: it is waited for, and what it
/// waits for is told.
pub(crate) fn slow_database(fleet: &Fleet, config: &PathBuf) {
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
    let answer = ask(fleet, url).expect("it answers");
    assert!(answer.starts_with("HTTP/2 401"), "{answer}");
    let password = ok(config, &["secrets", "gate", "show", "guard_password"]);
    let user = format!("operator:{}", password.trim());
    let answer = ask_with(fleet, url, &["--user", &user]).expect("it answers");
    assert!(answer.starts_with("HTTP/2 200"), "{answer}");
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
    let answer = ask(fleet, url).expect("it answers");
    assert!(answer.starts_with("HTTP/2 401"), "{answer}");
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
    let answer = ask(fleet, url).expect("it answers");
    assert!(answer.starts_with("HTTP/2 200"), "{answer}");
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
    let answer = ask(fleet, url).expect("it answers");
    assert!(answer.starts_with("HTTP/2 200"), "{answer}");
    ok(config, &["remove", "gate", "--yes"]);
}
