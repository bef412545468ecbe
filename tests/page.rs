//! A page instead of an error, behind a real Traefik with certificates: shown by hand, and by itself while a
//! restore, an update and a move stop the application, under fifty requests a second; left by a matou that was
//! killed, and taken away by the next; and of an application that has left.

mod support;

use std::path::PathBuf;
use std::process::{Command, Stdio};
use std::time::{Duration, Instant};

use support::edge::{Authority, deploy_traefik};
use support::s3::S3;
use support::visitors::Visitors;
use support::{Fleet, matou, ok, private, said, until};

const HOST: &str = "shop.lab.test";

/// One task that keeps what it shows in a volume: the old one stops before the new one starts.
const SHOP: &str = r#"x-matou:
  title: Shop
  description: a page out of a volume
UPDATE  variables:
    - {name: DOMAIN, help: its name, type: domain, required: true}
    - {name: IMAGE, help: its image, default: 'matou/hello:1.0'}
services:
  web:
    image: ${IMAGE:-matou/hello:1.0}
    entrypoint: [sh, -ec, 'cd /www/data; [ $$(cat /version) = 1.0 ] || [ ! -e fails ] || { echo half >index.html; exit 3; }; exec /start']
    volumes: ['html:/www/data']
    networks: [traefik-net]
    stop_grace_period: 2s
    healthcheck:
      test: ["CMD", "wget", "-q", "-O", "/dev/null", "http://127.0.0.1:8080/health"]
      interval: 2s
      start_period: 2s
    deploy:
      endpoint_mode: dnsrr
      update_config: {order: stop-first, failure_action: rollback, monitor: 5s}
      labels:
        - traefik.enable=true
        - traefik.http.routers.${APP:-shop}.rule=Host(`${DOMAIN}`)
        - traefik.http.routers.${APP:-shop}.entrypoints=websecure
        - traefik.http.routers.${APP:-shop}.tls.certresolver=${RESOLVER:-le}
        - traefik.http.services.${APP:-shop}.loadbalancer.server.port=8080
networks:
  traefik-net: {external: true}
volumes:
  html: {}
"#;

/// What says that a newer image changes the data: it is saved before an update, and put back when that fails.
const UPDATE: &str = "  update: {how: a newer image writes its code into the volume, service: web, version: cat /version}\n";

/// Of the S3 server, in the fleet's network.
const S3_PORT: u16 = 15_902;

/// What config.toml says beside the servers. The repository can be reached from the servers of another fleet.
fn settings(s3: &S3) -> String {
    format!(
        "[edge]\nemail = \"ops@example.org\"\nca_file = \"root.pem\"\n[backup]\nrepository = \"{}\"\npassword_file = \"restic-password\"\nenvironment_file = \"restic.env\"\n",
        s3.repository("page")
    )
}

struct Shop {
    fleet: Fleet,
    config: PathBuf,
    authority: Authority,
    /// Where its repository is. Ends with the test.
    s3: S3,
}

impl Shop {
    fn open() -> Self {
        let fleet = Fleet::with_shared_data("page", 2);
        support::edge::images(&fleet, "n1");
        // Its managers serve pages.
        support::edge::images(&fleet, "n2");
        let address = fleet.address("n1");
        let gateway = format!("{}.1", address.rsplit_once('.').expect("IPv4").0);
        let authority = Authority::start(&gateway, &address);
        let beside = |name: &str| fleet.lab.config_path().with_file_name(name);
        std::fs::write(beside("root.pem"), authority.root_pem()).expect("written");
        private(&beside("restic-password"), "correct horse\n");
        private(
            &beside("restic.env"),
            "AWS_ACCESS_KEY_ID=operator\nAWS_SECRET_ACCESS_KEY=s3cr3t-key\n",
        );
        let s3 = S3::start(&gateway, S3_PORT);
        std::fs::create_dir_all(beside("stacks")).expect("made");
        std::fs::write(beside("stacks/shop.yml"), SHOP.replace("UPDATE", "")).expect("written");
        let config = fleet.config("page.toml", &settings(&s3));
        deploy_traefik(&fleet, &config, &authority);
        ok(
            &config,
            &["deploy", "shop", "shop", &format!("DOMAIN={HOST}"), "--yes"],
        );
        let shop = Self {
            fleet,
            config,
            authority,
            s3,
        };
        shop.write("edition one");
        until(Duration::from_secs(60), || shop.shows("edition one"));
        shop
    }

    /// Writes what the application shows, and what belongs to it.
    fn write(&self, edition: &str) {
        self.fleet.run(
            "n1",
            &format!(
                "for f in index other; do echo '{edition}' >/mnt/data/shop_html/$f.html; done"
            ),
        );
    }

    /// Asks as a visitor; headers and body.
    fn ask(&self, path: &str, language: &str) -> Result<String, String> {
        let out = Command::new("curl")
            .args(["-sS", "-i", "--max-time", "20", "--cacert"])
            .arg(self.config.with_file_name("root.pem"))
            .args(["-H", &format!("Accept-Language: {language}")])
            .args([
                "--resolve",
                &format!("{HOST}:443:{}", self.fleet.address("n1")),
            ])
            .arg(format!("https://{HOST}{path}"))
            .output()
            .expect("curl");
        match out.status.success() {
            true => Ok(String::from_utf8_lossy(&out.stdout).into_owned()),
            false => Err(said(&out)),
        }
    }

    fn shows(&self, text: &str) -> Result<(), String> {
        let answer = self.ask("/data/index.html", "en")?;
        match answer.starts_with("HTTP/2 200") && answer.contains(text) {
            true => Ok(()),
            false => Err(answer),
        }
    }

    fn visitors(&self) -> Visitors {
        Visitors::come(
            &self.fleet.address("n1"),
            HOST,
            &self.config.with_file_name("root.pem"),
            &["/data/index.html", "/data/other.html", "/"],
        )
    }

    fn run(&self, args: &[&str]) -> String {
        ok(&self.config, args)
    }

    /// The application's own service as the managers have it.
    fn spec(&self) -> String {
        self.fleet
            .run("n1", "docker service inspect -f '{{json .Spec}}' shop_web")
    }

    /// What is there of pages: services, and the files of their server.
    fn pages(&self) -> String {
        self.fleet.run(
            "n1",
            "docker service ls --format '{{.Name}}' | grep matou-page || :; docker config ls --format '{{.Name}}' | grep matou-page || :",
        )
    }
}

#[test]
fn visitors_see_the_page_or_the_application() {
    let begun = Instant::now();
    let took = |what: &str| eprintln!("{what}: {} s from the beginning", begun.elapsed().as_secs());
    let shop = Shop::open();
    took("open");
    by_hand(&shop);
    took("by hand");
    shop.run(&["repo", "init", "--yes"]);
    shop.run(&["backup", "shop", "--yes"]);
    around_a_restore(&shop);
    took("restore");
    around_an_update_that_fails(&shop);
    took("update that fails");
    around_an_update(&shop);
    took("update");
    left_by_one_that_was_killed(&shop);
    took("killed");
    around_a_move_to_another_node(&shop);
    took("move to another node");
    of_an_application_that_is_removed(&shop);
    took("removed");
    around_a_move_to_other_servers(&shop);
    took("move to other servers");
}

/// Both pages, in both languages, with and without those who are let in.
fn by_hand(shop: &Shop) {
    let spec = shop.spec();
    let plan = said(&matou(
        &shop.config,
        &["page", "shop", "maintenance", "--dry-run"],
    ));
    assert!(
        plan.contains(&format!("+ page maintenance (503) instead of {HOST}")),
        "{plan}"
    );
    let visitors = shop.visitors();
    let text = shop.run(&["page", "shop", "maintenance", "--yes"]);
    assert!(
        text.contains(&format!("{HOST}: visitors see the page maintenance (503)")),
        "{text}"
    );
    for (language, lang, words) in [
        (
            "fr-FR,fr;q=0.9,en;q=0.5",
            "fr",
            "De retour dans quelques minutes",
        ),
        ("en-GB,en;q=0.9,fr;q=0.5", "en", "Back in a few minutes"),
        ("de", "en", "Back in a few minutes"),
    ] {
        let answer = shop.ask("/any/path?x=1", language).expect("an answer");
        assert!(answer.starts_with("HTTP/2 503"), "{answer}");
        assert!(
            answer.contains(&format!("<html lang=\"{lang}\">")),
            "{answer}"
        );
        assert!(answer.contains(words), "{answer}");
        let headers = answer.to_ascii_lowercase();
        assert!(headers.contains("retry-after: 120"), "{answer}");
        assert!(headers.contains("cache-control: no-store"), "{answer}");
    }
    // Told where one looks; the application is as it was, and runs.
    let status = shop.run(&["status"]);
    assert!(
        status.contains("shop: visitors see the page maintenance since "),
        "{status}"
    );
    assert!(!status.contains("matou-page"), "{status}");
    assert_eq!(shop.spec(), spec);
    let again = shop.run(&["page", "shop", "maintenance", "--yes"]);
    assert!(again.contains("nothing to do"), "{again}");
    shop.run(&["page", "shop", "off", "--yes"]);
    let seen = visitors.leave();
    seen.only_good("by hand");
    assert!(seen.pages() > 20 && seen.saw("edition one"), "{seen:?}");
    shop.shows("edition one").expect("the application again");
    assert_eq!(shop.pages(), "");
    assert_eq!(shop.spec(), spec);
    // The other page, the operator's own, and a way in for this machine.
    let own = shop.config.with_file_name("own.html");
    std::fs::write(&own, "<p>Fermé, $HOME, 100 %</p>").expect("written");
    let own = own.to_string_lossy().into_owned();
    shop.run(&["page", "shop", "suspended", "--html", &own, "--yes"]);
    let answer = shop.ask("/", "fr").expect("an answer");
    assert!(
        answer.starts_with("HTTP/2 403") && answer.contains("<p>Fermé, $HOME, 100 %</p>"),
        "{answer}"
    );
    assert!(
        !answer.to_ascii_lowercase().contains("retry-after"),
        "{answer}"
    );
    let gateway = shop.fleet.address("n1");
    let gateway = format!("{}.1", gateway.rsplit_once('.').expect("IPv4").0);
    // From one page to the other nobody sees what is behind.
    let allowed = ["page", "shop", "suspended", "--allow", &gateway, "--yes"];
    shop.run(&allowed);
    until(Duration::from_secs(30), || shop.shows("edition one"));
    let node = "curl -sk -o /dev/null -w '%{http_code}' --resolve shop.lab.test:443:$(hostname -i | cut -d' ' -f1) https://shop.lab.test/";
    assert_eq!(
        shop.fleet
            .run(
                "n2",
                &node.replace("$(hostname -i | cut -d' ' -f1)", &shop.fleet.address("n1"))
            )
            .trim(),
        "403"
    );
    shop.run(&["page", "shop", "off", "--yes"]);
    let nothing = shop.run(&["page", "shop", "off", "--yes"]);
    assert!(nothing.contains("nothing to do"), "{nothing}");
}

/// Nobody sees half of the old and half of the new, or an error.
fn around_a_restore(shop: &Shop) {
    shop.write("edition two");
    let visitors = shop.visitors();
    let text = shop.run(&["restore", "shop", "--yes"]);
    assert!(
        text.contains("+ page maintenance (503) instead of shop meanwhile")
            && text.contains("the page of shop is taken away"),
        "{text}"
    );
    shop.shows("edition one").expect("what was backed up");
    let seen = visitors.leave();
    seen.only_good("around a restore");
    assert!(seen.pages() > 20, "{seen:?}");
    let at = |text: &str| {
        let found = seen.order.iter().find(|(_, sort)| sort.contains(text));
        found.unwrap_or_else(|| panic!("{text}: {seen:?}")).0
    };
    assert!(
        at("edition two") < at("page") && at("page") < at("edition one"),
        "{seen:?}"
    );
    assert_eq!(shop.pages(), "");
    shop.run(&["restore", "forget", "shop", "--yes"]);
}

/// The new image spoils the data and ends, the engine goes back to the old one on what is spoilt, and matou puts the
/// data back: visitors see the page all the while.
fn around_an_update_that_fails(shop: &Shop) {
    let stack = shop.config.with_file_name("stacks").join("shop.yml");
    std::fs::write(&stack, SHOP.replace("UPDATE", UPDATE)).expect("written");
    shop.fleet.run("n1", "touch /mnt/data/shop_html/fails");
    let visitors = shop.visitors();
    let out = matou(
        &shop.config,
        &["update", "shop", "--service", "web", "--to", "1.1", "--yes"],
    );
    let text = said(&out);
    assert!(
        !out.status.success() && text.contains("its data is as it was before the update"),
        "{text}"
    );
    for line in [
        "+ page maintenance (503) instead of shop meanwhile",
        "the page of shop is taken away",
    ] {
        assert_eq!(text.matches(line).count(), 1, "{line}: {text}");
    }
    let seen = visitors.leave();
    seen.only_good("around an update that fails");
    assert!(
        seen.pages() > 20 && seen.saw("edition one") && !seen.saw("half") && !seen.saw("hello 1.1"),
        "{seen:?}"
    );
    shop.shows("edition one").expect("the application again");
    assert_eq!(shop.pages(), "");
    support::fault(
        "page",
        "an update spoils the data of an application and ends, under fifty requests a second",
        "visitors saw the page until images and data of before were back, and nobody an error",
    );
    shop.run(&["restore", "forget", "shop", "--yes"]);
    shop.fleet.run("n1", "rm /mnt/data/shop_html/fails");
    std::fs::write(&stack, SHOP.replace("UPDATE", "")).expect("written");
    // The newest snapshot is the one with that file.
    shop.run(&["backup", "shop", "--yes"]);
}

/// The old task stops, and the new one starts.
fn around_an_update(shop: &Shop) {
    let visitors = shop.visitors();
    let text = shop.run(&["update", "shop", "--service", "web", "--to", "1.1", "--yes"]);
    assert!(
        text.contains("+ page maintenance (503) instead of shop meanwhile"),
        "{text}"
    );
    let seen = visitors.leave();
    seen.only_good("around an update");
    assert!(
        seen.pages() > 20 && seen.saw("hello 1.0") && seen.saw("hello 1.1"),
        "{seen:?}"
    );
    assert_eq!(shop.pages(), "");
}

/// Killed while visitors see the page: it stays, is told, and goes with the next job.
fn left_by_one_that_was_killed(shop: &Shop) {
    let visitors = shop.visitors();
    let mut job = Command::new(env!("CARGO_BIN_EXE_matou"))
        .arg("--config")
        .arg(&shop.config)
        .args(["restore", "shop", "--yes"])
        .stdin(Stdio::null())
        .stdout(Stdio::null())
        .stderr(Stdio::null())
        .spawn()
        .expect("matou starts");
    until(Duration::from_secs(120), || {
        let answer = shop.ask("/", "fr")?;
        match answer.starts_with("HTTP/2 503") {
            true => Ok(()),
            false => Err(answer),
        }
    });
    // When its task is gone there is no router but the page's. Looked for there: the new one is not long in coming.
    shop.fleet.run(
        "n1",
        "timeout 120 sh -c 'until t=$(docker service ps -f desired-state=running -q shop_web) && [ -z \"$t\" ]; do sleep 0.05; done'",
    );
    job.kill().expect("killed");
    job.wait().expect("it ended");
    let status = shop.run(&["status"]);
    assert!(
        status.contains(
            "shop: visitors see the page maintenance for the job \"restore shop\" since "
        ),
        "{status}"
    );
    let answer = shop.ask("/", "fr").expect("an answer");
    assert!(answer.starts_with("HTTP/2 503"), "{answer}");
    let text = shop.run(&["restore", "shop", "--yes"]);
    assert!(text.contains("the page of shop is taken away"), "{text}");
    assert_eq!(shop.pages(), "");
    shop.shows("edition one").expect("the application again");
    let seen = visitors.leave();
    seen.only_good("around one that was killed");
    support::fault(
        "page",
        "matou is killed while visitors see the page of its restore",
        "the page stays, `matou status` tells of it; the next restore ends with taking it away",
    );
    // Left after all was done: any job of the application takes it away.
    shop.run(&["page", "shop", "maintenance", "--yes"]);
    shop.fleet.run(
        "n1",
        "docker service update -q --detach --label-add 'org.matou.page.job=restore shop' matou-page-shop_page",
    );
    let text = shop.run(&["scale", "shop_web", "1", "--yes"]);
    assert!(
        text.contains("left by a matou that was ended before it took it away"),
        "{text}"
    );
    assert_eq!(shop.pages(), "");
    shop.shows("edition one").expect("the application again");
}

/// Its task stops on one server and starts on the other.
fn around_a_move_to_another_node(shop: &Shop) {
    let place = || {
        let line = "docker service ps -f desired-state=running --format '{{.Node}}' shop_web";
        shop.fleet.run("n1", line).trim().to_owned()
    };
    let from = place();
    let to = match shop.fleet.run("n1", "hostname").trim() == from {
        true => "n2",
        false => "n1",
    };
    let visitors = shop.visitors();
    let text = shop.run(&["place", "shop", to, "--yes"]);
    assert!(
        text.contains("+ page maintenance (503) instead of shop meanwhile")
            && text.contains("the page of shop is taken away"),
        "{text}"
    );
    assert_ne!(place(), from);
    let seen = visitors.leave();
    seen.only_good("around a move to another node");
    assert!(seen.pages() > 20 && seen.saw("edition one"), "{seen:?}");
    shop.shows("edition one").expect("the application again");
    assert_eq!(shop.pages(), "");
    let again = shop.run(&["place", "shop", to, "--yes"]);
    assert!(again.contains("nothing to do"), "{again}");
    shop.run(&["place", "shop", "anywhere", "--yes"]);
    assert_eq!(shop.pages(), "");
}

/// Removed while visitors see its page: by matou, which takes the page away, and by docker.
fn of_an_application_that_is_removed(shop: &Shop) {
    shop.run(&["page", "shop", "maintenance", "--yes"]);
    let text = shop.run(&["remove", "shop", "--yes"]);
    assert!(text.contains("- page of shop: maintenance"), "{text}");
    assert_eq!(shop.pages(), "");
    until(Duration::from_secs(30), || {
        let answer = shop.ask("/", "en")?;
        match answer.starts_with("HTTP/2 404") {
            true => Ok(()),
            false => Err(answer),
        }
    });
    shop.run(&["redeploy", "shop", "--yes"]);
    until(Duration::from_secs(60), || shop.shows("edition one"));
    shop.run(&["page", "shop", "maintenance", "--yes"]);
    shop.fleet.run("n1", "docker stack rm shop");
    until(Duration::from_secs(60), || {
        let left = shop.fleet.run("n1", "docker ps -q -f name=shop_web");
        match left.trim() {
            "" => Ok(()),
            some => Err(some.to_owned()),
        }
    });
    let answer = shop.ask("/", "en").expect("an answer");
    assert!(answer.starts_with("HTTP/2 503"), "{answer}");
    let status = shop.run(&["status"]);
    assert!(
        status.contains("shop: visitors see the page maintenance since "),
        "{status}"
    );
    // Nothing is behind it that could be waited for.
    let text = shop.run(&["page", "shop", "off", "--yes"]);
    assert!(text.contains("the page of shop is taken away"), "{text}");
    assert_eq!(shop.pages(), "");
    shop.run(&["redeploy", "shop", "--yes"]);
    until(Duration::from_secs(60), || shop.shows("edition one"));
}

/// Stopped on the old servers, started on the new ones. Visitors' name servers still lead to the old ones.
fn around_a_move_to_other_servers(shop: &Shop) {
    let to = Fleet::with_shared_data("pageto", 1);
    support::edge::images(&to, "n1");
    let config = to.config("pageto.toml", &settings(&shop.s3));
    for name in ["root.pem", "restic-password", "restic.env"] {
        let beside = config.with_file_name(name);
        std::fs::copy(shop.config.with_file_name(name), beside).expect("copied");
    }
    let stacks = config.with_file_name("stacks");
    std::fs::create_dir_all(&stacks).expect("made");
    std::fs::write(stacks.join("shop.yml"), SHOP.replace("UPDATE", "")).expect("written");
    // As when the edge moves first: its certificates come along.
    let acme = shop.fleet.run("n1", "cat /mnt/data/edge_data/acme.json");
    to.run(
        "n1",
        &format!(
            "umask 077; mkdir -p /mnt/data/edge_data; cat >/mnt/data/edge_data/acme.json <<'END'\n{acme}\nEND"
        ),
    );
    deploy_traefik(&to, &config, &shop.authority);
    // Of the restores before.
    shop.run(&["restore", "forget", "shop", "--yes"]);
    let visitors = shop.visitors();
    let target = config.display().to_string();
    let text = shop.run(&["move", "shop", "--to", &target, "--yes"]);
    assert!(
        text.contains("+ page maintenance (503) instead of shop meanwhile")
            && text.contains("shop: runs on the new fleet")
            && text.contains("who is still led to the old servers"),
        "{text}"
    );
    // A moment longer than Traefik needs to see that the application is gone.
    std::thread::sleep(Duration::from_secs(10));
    let seen = visitors.leave();
    seen.only_good("around a move to other servers");
    assert!(seen.pages() > 20 && seen.saw("edition one"), "{seen:?}");
    let there = Command::new("curl")
        .args(["-sk", "--max-time", "20", "--resolve"])
        .arg(format!("{HOST}:443:{}", to.address("n1")))
        .arg(format!("https://{HOST}/data/index.html"))
        .output()
        .expect("curl");
    assert!(said(&there).contains("edition one"), "{}", said(&there));
    // As one that somebody asked for: no job is waited for.
    let status = shop.run(&["status"]);
    assert!(
        status.contains("shop: visitors see the page maintenance since "),
        "{status}"
    );
    shop.run(&["page", "shop", "off", "--yes"]);
    assert_eq!(shop.pages(), "");
}
