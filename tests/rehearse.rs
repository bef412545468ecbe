//! Rehearsed updates of real databases: PostgreSQL 15 → 17 on the same volume fails and says why, MariaDB
//! 10.11 → 11.8 passes. The application itself is not touched, no packet leaves, nothing stays, also
//! when matou is killed in the middle. And a night that rehearses patch releases, and only reports.

mod support;

use std::io::{BufRead, BufReader};
use std::path::PathBuf;
use std::process::{Command, Stdio};
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::{Duration, Instant};

use serde_json::Value;
use support::registry::{Registry, free_port};
use support::{Fleet, databases, matou, ok, private, said, until};

const FLEET: &str = "reh";

/// A page that reads a database, and a program that sends mail all the time.
const STACK: &str = r"x-matou:
  title: Shop
  description: a page on a database
  variables:
    - {name: DOMAIN, help: its name, required: true}
    - {name: RELAY, help: where mail goes, required: true}
  secrets:
    - {name: db_password, help: of the database, length: 24}
  check: {path: /cgi-bin/orders, contains: ['orders: 3'], within: 60}
  backup:
    dumps:
      - {service: db, engine: @ENGINE@, database: shop, user: shop, secret: db_password, file: @DATA@/matou-dump.sql}
services:
  db:
    image: '@IMAGE@'
    environment: &environment
      ENGINE: @ENGINE@
      DB_USER: shop
      DB_NAME: shop
      DB_PASSWORD_FILE: /run/secrets/db_password
    secrets: [db_password]
    volumes: ['rows:@DATA@']
    networks: [inner]
    stop_signal: @SIGNAL@
    stop_grace_period: 20s
    deploy:
      # This kernel may have no virtual addresses.
      endpoint_mode: dnsrr
      resources: {reservations: {memory: 64M}}
      update_config: {failure_action: rollback}
  web:
    image: '@IMAGE@'
    entrypoint: [busybox, httpd, -f, -p, '8080', -h, /www]
    environment: *environment
    secrets: [db_password]
    configs: [{source: orders, target: /www/cgi-bin/orders, mode: 0555}]
    volumes: ['files:/srv/files']
    networks: [inner, traefik-net]
    ports: [{target: 8080, published: @PORT@}]
    stop_grace_period: 1s
    deploy:
      labels:
        traefik.enable: 'true'
        traefik.http.routers.@NAME@.rule: Host(`${DOMAIN}`)
        traefik.http.routers.@NAME@.entrypoints: websecure
        traefik.http.services.@NAME@.loadbalancer.server.port: '8080'
  mail:
    image: '@IMAGE@'
    entrypoint: [busybox, sh, /send, '${RELAY}']
    environment: {WHO: '{{.Service.Name}}'}
    configs: [{source: send, target: /send}]
    networks: [inner]
    stop_grace_period: 1s
networks:
  inner:
  traefik-net: {external: true}
volumes:
  rows:
  files:
configs:
  orders: {file: ./orders}
  send: {file: ./send}
secrets:
  db_password: {external: true}
";

const ORDERS: &str = r#"#!/bin/sh
echo 'Content-Type: text/plain'; echo
word=$(cat /run/secrets/db_password)
case $ENGINE in
postgresql) n=$(PGPASSWORD=$word psql -X -h db -U shop -Atc 'select count(*) from orders' shop 2>&1) ;;
*) n=$(MYSQL_PWD=$word mariadb -h db -u shop --skip-ssl shop -Ne 'select count(*) from orders' 2>&1) ;;
esac
echo "orders: $n"
"#;

/// All that it tries has no answer: a mail, a question to a name server, an echo request, a packet by each IP. It
/// says so when it has tried all of it.
const SEND: &str = r#"port=2525
case $WHO in *rehearsal*) port=2526 ;; esac
while :; do
    timeout 1 busybox nslookup out.example 198.51.100.53 >/dev/null 2>&1 &
    busybox ping -c 1 -W 1 198.51.100.7 >/dev/null 2>&1 &
    for to in 198.51.100.9 2001:db8::9; do bash -c "echo out >/dev/udp/$to/9009" 2>/dev/null; done
    busybox nc -w 1 "$1" $port </dev/null >/dev/null 2>&1 && echo "sent a mail" || echo "no mail: tried port $port"
    sleep 1
    wait
done
"#;

/// Where it tries to send something, beside the mail: addresses of documentation, and how.
const TRIED: [[&str; 2]; 3] = [
    ["198.51.100.53", "udp"],
    ["198.51.100.7", "icmp"],
    ["198.51.100.9", "udp"],
];

/// The same where there is a way for IPv6.
const TRIED_BY_IPV6: [&str; 2] = ["2001:db8::9", "udp"];

/// Counts each packet that comes out of a container into its node, by source, destination and protocol, before any rule
/// can drop it or give it another source: what is sent from one container to another over their own network does not.
/// What stays on a link, as the search for neighbours, is not counted.
const COUNTER: &str = "table inet proof {
    set v4 { type ipv4_addr . ipv4_addr . inet_proto; flags dynamic; size 65535; }
    set v6 { type ipv6_addr . ipv6_addr . inet_proto; flags dynamic; size 65535; }
    chain come {
        type filter hook prerouting priority -300;
        iifname { \"lo\", \"UPLINK\" } return
        ip daddr 224.0.0.0/24 return
        ip6 daddr { fe80::/10, ff02::/16 } return
        meta nfproto ipv4 update @v4 { ip saddr . ip daddr . meta l4proto counter }
        meta nfproto ipv6 update @v6 { ip6 saddr . ip6 daddr . meta l4proto counter }
    }
}";

struct Practice {
    fleet: Fleet,
    config: PathBuf,
}

/// What is there of an application: services, containers, rows, files.
const WORLD: &str = r#"
for s in $(docker service ls -q -f "label=com.docker.stack.namespace=$A"); do
    docker service inspect -f '{{json .Spec}} {{.Version.Index}}' "$s"
done | sort
docker ps --no-trunc --format '{{.ID}} {{.Names}} {{.Image}}' -f "label=com.docker.stack.namespace=$A" | sort
for kind in secret config network volume; do docker $kind ls --format "$kind {{.Name}}" | grep "^$kind ${A}_"; done
find "/mnt/data/${A}_files" -type f -exec sha256sum {} +
find "/mnt/data/.matou/secrets/$A" -type f -exec sha256sum {} + | sort
c=$(docker ps -q -f "label=com.docker.swarm.service.name=${A}_db")
docker exec "$c" sh -c '
    word=$(cat /run/secrets/db_password); q="select id, what from orders order by id"
    case $ENGINE in
    postgresql) PGPASSWORD=$word psql -X -h 127.0.0.1 -U shop -Atc "$q" shop ;;
    *) MYSQL_PWD=$word mariadb -h 127.0.0.1 -u shop --skip-ssl shop -Ne "$q" ;;
    esac' | sha256sum
"#;

/// Everything that has the name of a rehearsal.
const LEFT: &str = r#"
for kind in service secret config network volume; do docker $kind ls --format "$kind {{.Name}}" | grep rehearsal; done
docker ps -a --format 'container {{.Names}}' | grep rehearsal
find /mnt/data -maxdepth 3 -name '*-rehearsal*'
systemctl list-units --plain --no-legend --all 'matou-restore-*-rehearsal*'
:"#;

impl Practice {
    fn begin() -> Self {
        let fleet = Fleet::with_shared_data(FLEET, 1);
        databases::images_of_versions(&fleet, "n1");
        let backup = "[backup]\nrepository = \"/srv/restic\"\npassword_file = \"restic-password\"\n[updates]\nrehearse = \"nightly\"\n";
        let config = fleet.config("rehearse.toml", backup);
        private(&config.with_file_name("restic-password"), "correct horse\n");
        let stacks = config.with_file_name("stacks");
        std::fs::create_dir_all(&stacks).expect("a folder");
        std::fs::write(stacks.join("orders"), ORDERS).expect("written");
        std::fs::write(stacks.join("send"), SEND).expect("written");
        let practice = Self { fleet, config };
        practice.write_stack("shop", "postgresql", "matou/postgresql:15.0", "8091");
        practice.write_stack("store", "mariadb", "matou/mariadb:10.11", "8092");
        support::backup::repository(&practice.fleet, &practice.config);
        practice
    }

    fn write_stack(&self, name: &str, engine: &str, image: &str, port: &str) {
        let (data, signal) = match engine {
            "postgresql" => ("/var/lib/postgresql/data", "SIGINT"),
            _ => ("/var/lib/mysql", "SIGTERM"),
        };
        let text = STACK
            .replace("@NAME@", name)
            .replace("@ENGINE@", engine)
            .replace("@IMAGE@", image)
            .replace("@DATA@", data)
            .replace("@SIGNAL@", signal)
            .replace("@PORT@", port);
        let stacks = self.config.with_file_name("stacks");
        std::fs::write(stacks.join(format!("{name}.yml")), text).expect("written");
    }

    fn ok(&self, args: &[&str]) -> String {
        let begun = Instant::now();
        let text = ok(&self.config, args);
        eprintln!("matou {}: {} s", args.join(" "), begun.elapsed().as_secs());
        text
    }

    fn n1(&self, line: &str) -> String {
        self.fleet.run("n1", line).trim().to_owned()
    }

    /// Deployed, with three rows and a file, and backed up.
    fn open(&self, app: &str) {
        let address = self.fleet.address("n1");
        let gateway = format!("{}.1", address.rsplit_once('.').expect("IPv4").0);
        let (domain, relay) = (format!("DOMAIN={app}.lab.test"), format!("RELAY={gateway}"));
        self.ok(&["deploy", app, app, &domain, &relay, "--yes"]);
        let rows = format!(
            "set -e; c=$(docker ps -q -f label=com.docker.swarm.service.name={app}_db); docker exec $c sh -c '
                word=$(cat /run/secrets/db_password)
                q=\"create table orders (id int primary key, what varchar(40)); insert into orders values (1, 12345), (2, 23456), (3, 34567)\"
                case $ENGINE in
                postgresql) PGPASSWORD=$word psql -qX -h 127.0.0.1 -U shop -c \"$q\" shop ;;
                *) MYSQL_PWD=$word mariadb -h 127.0.0.1 -u shop --skip-ssl shop -e \"$q\" ;;
                esac'; echo a file >/mnt/data/{app}_files/one; chmod 600 /mnt/data/{app}_files/one"
        );
        until(Duration::from_secs(60), || {
            let out = self.fleet.try_run("n1", &rows);
            out.status.success().then_some(()).ok_or(said(&out))
        });
        // At its first start the server ends once more.
        until(Duration::from_secs(60), || {
            let out = matou(&self.config, &["backup", app, "--yes"]);
            out.status.success().then_some(()).ok_or(said(&out))
        });
    }

    fn world(&self, app: &str) -> String {
        self.n1(&format!("A={app}; {WORLD}"))
    }

    fn expect_nothing_left(&self, when: &str) {
        assert_eq!(self.n1(LEFT), "", "{when}");
    }

    fn rehearse<'a>(app: &'a str, to: &'a str) -> [&'a str; 7] {
        ["update", app, "--rehearse", "--service", "db", "--to", to]
    }
}

#[test]
fn an_update_is_rehearsed_beside_the_application() {
    let practice = Practice::begin();
    practice.open("shop");
    practice.open("store");
    a_night_rehearses_patch_releases(&practice);
    stays_what_is_somebodys(&practice);
    let live = count_packets(&practice);
    fails_with_the_servers_own_words(&practice);
    passes_and_tells_how_long_it_takes(&practice);
    sends_nothing(&practice, &live);
    ends_well_after_it_was_killed(&practice);
    passes_for_real(&practice);
    goes_back_with_its_data_when_it_fails_for_real(&practice);
}

/// The night's command itself. Of one application a registry has a patch release: it is rehearsed after the
/// backup, once, and nothing is changed. One that would fail is an alert.
fn a_night_rehearses_patch_releases(practice: &Practice) {
    let folder = tempfile::tempdir().expect("a folder");
    let registry = Registry::start(folder.path(), free_port(), "");
    let image = format!("127.0.0.1:{}/matou/mariadb", registry.port);
    registry.push("matou/mariadb", &["10.11.0", "10.11.1", "11.8.0"]);
    for tag in ["10.11.0", "10.11.1"] {
        practice.n1(&format!("docker tag matou/mariadb:10.11 {image}:{tag}"));
    }
    practice.write_stack("daily", "mariadb", &format!("{image}:10.11.0"), "8093");
    practice.open("daily");
    let (daily, store) = (practice.world("daily"), practice.world("store"));
    let night = ["backup", "--all", "--scheduled"];
    let text = practice.ok(&night);
    let told = format!("daily: an update to {image}:10.11.1");
    let passed = format!("{image}:10.11.1 would succeed in ");
    assert!(text.contains(&told) && text.contains(&passed), "{text}");
    assert!(!text.contains("store: an update"), "{text}");
    let kept = practice.n1("cat /mnt/data/.matou/rehearsals/nights/daily.json");
    let kept: Value = serde_json::from_str(&kept).expect("JSON");
    assert!(kept["report"]["failure"].is_null(), "{kept}");
    assert_eq!(kept["images"][0]["from"], format!("{image}:10.11.0"));
    // The other images are of no registry that answers.
    let updates = said(&matou(&practice.config, &["updates"]));
    assert!(updates.contains(&passed), "{updates}");
    let again = practice.ok(&night);
    assert!(!again.contains("rehearsal: "), "{again}");
    // A newer one, whose server ends.
    registry.push("matou/mariadb", &["10.11.2"]);
    let file = "FROM matou/mariadb:10.11\\nENTRYPOINT [\"false\"]\\n";
    practice.n1(&format!(
        "printf '{file}' | docker build --quiet --tag {image}:10.11.2 -"
    ));
    let text = practice.ok(&night);
    assert!(text.contains(":10.11.2 would fail: "), "{text}");
    let checked = said(&matou(&practice.config, &["check"]));
    assert!(
        checked.contains("daily: an update to ") && checked.contains(" would fail: "),
        "{checked}"
    );
    assert_eq!(practice.world("daily"), daily);
    assert_eq!(practice.world("store"), store);
    practice.expect_nothing_left("after the nights");
    practice.ok(&["remove", "daily", "--yes"]);
    let checked = said(&matou(&practice.config, &["check"]));
    assert!(!checked.contains("would fail: "), "{checked}");
}

/// A folder, a volume, a service that has the name of a copy by chance: neither a rehearsal nor a proof touches it.
fn stays_what_is_somebodys(practice: &Practice) {
    let volume = "docker volume create --label com.docker.stack.namespace=NAME NAME_own";
    let service = "docker service create --detach --name NAME --replicas 0 matou/mariadb:10.11";
    for (copy, command) in [
        ("shop-rehearsal", &Practice::rehearse("shop", "17.0")[..]),
        ("shop-proof", &["verify", "shop"][..]),
    ] {
        for (make, look, remove) in [
            (
                "mkdir /mnt/data/NAME_rows && echo mine >/mnt/data/NAME_rows/file",
                "cat /mnt/data/NAME_rows/file",
                "rm -r /mnt/data/NAME_rows",
            ),
            (
                volume,
                "docker volume inspect NAME_own",
                "docker volume rm NAME_own",
            ),
            (
                service,
                "docker service inspect NAME",
                "docker service rm NAME",
            ),
        ] {
            practice.n1(&make.replace("NAME", copy));
            let text = said(&matou(&practice.config, command));
            assert!(text.contains("the name of the copy"), "{make}: {text}");
            // It fails when it is not there any more.
            practice.n1(&look.replace("NAME", copy));
            practice.n1(&remove.replace("NAME", copy));
        }
    }
    practice.expect_nothing_left("after it was refused");
}

fn passes_for_real(practice: &Practice) {
    let text = practice.ok(&[
        "update",
        "store",
        "--service",
        "db",
        "--to",
        "11.8",
        "--yes",
    ]);
    assert!(
        text.contains("the update of store: rehearsed ")
            && text.contains(": it succeeded, the update itself took "),
        "{text}"
    );
    let image = practice
        .n1("docker service inspect -f '{{.Spec.TaskTemplate.ContainerSpec.Image}}' store_db");
    assert!(image.starts_with("matou/mariadb:11.8"), "{image}");
}

/// PostgreSQL 17 does not take the files of 15.
fn fails_with_the_servers_own_words(practice: &Practice) {
    let before = practice.world("shop");
    let begun = Instant::now();
    let out = matou(&practice.config, &Practice::rehearse("shop", "17.0"));
    let text = said(&out);
    eprintln!(
        "{text}\nthe rehearsal that fails: {} s",
        begun.elapsed().as_secs()
    );
    assert_eq!(out.status.code(), Some(1), "{text}");
    assert!(
        text.contains("database files are incompatible with server")
            && text.contains("The data directory was initialized by PostgreSQL version 15"),
        "{text}"
    );
    assert!(
        text.contains("db: matou/postgresql:15.0 → matou/postgresql:17.0 (major)")
            && text.contains("the update of shop would fail: "),
        "{text}"
    );
    assert_eq!(practice.world("shop"), before);
    practice.expect_nothing_left("after a failure");
}

fn passes_and_tells_how_long_it_takes(practice: &Practice) {
    let before = practice.world("store");
    let mut args = Practice::rehearse("store", "11.8").to_vec();
    args.push("--json");
    let text = practice.ok(&args);
    let last = text
        .lines()
        .rfind(|l| l.starts_with("{\"rehearsal\""))
        .expect(&text);
    let report: Value = serde_json::from_str(last).expect("JSON");
    let report = &report["rehearsal"];
    eprintln!("{report:#}");
    assert!(report["failure"].is_null(), "{report}");
    assert_eq!(report["images"][0]["step"], "major");
    let parts = report["parts"].as_array().expect("parts");
    let names: Vec<&str> = parts.iter().filter_map(|p| p["name"].as_str()).collect();
    assert_eq!(
        names,
        [
            "restore the snapshot beside",
            "start databases, load their dumps",
            "start it as it is",
            "update",
            "ask it",
            "read its log"
        ]
    );
    // The page reads the three rows of the snapshot through the new server.
    let seen = parts[4]["seen"].as_str().expect("an answer");
    assert_eq!(seen, "/cgi-bin/orders answers 200");
    assert!(
        parts.iter().any(|p| p["seconds"].as_u64() > Some(0)),
        "{report}"
    );
    assert_eq!(practice.world("store"), before);
    practice.expect_nothing_left("after a success");
}

/// Counts what comes out of containers from now on. Returns the addresses of those that are there: what has another one
/// is of a copy.
fn count_packets(practice: &Practice) -> Vec<String> {
    let uplink = practice.n1("ip -4 route show default | sed -n 's/.* dev \\([^ ]*\\).*/\\1/p'");
    let table = COUNTER.replace("UPLINK", &uplink);
    practice.n1(&format!("nft -f - <<'E'\n{table}\nE"));
    list_addresses(practice)
}

/// The addresses by which containers reach their node.
fn list_addresses(practice: &Practice) -> Vec<String> {
    let format = "{{range .Containers}}{{.IPv4Address}} {{.IPv6Address}} {{end}}";
    let networks =
        format!("docker network inspect -f '{format}' $(docker network ls -q -f driver=bridge)");
    let listed = practice.n1(&networks);
    let mut found: Vec<String> = listed
        .split_whitespace()
        .filter_map(|address| address.split('/').next())
        .map(str::to_owned)
        .collect();
    found.sort();
    found
}

/// Packets that came out of a container.
#[derive(Debug)]
struct Sent {
    from: String,
    to: String,
    protocol: String,
    packets: u64,
}

fn list_sent(practice: &Practice) -> Vec<Sent> {
    let listed = practice.n1("nft -j list table inet proof");
    let listed: Value = serde_json::from_str(&listed).expect("JSON");
    let objects = listed["nftables"].as_array().expect("a list");
    let sets = objects.iter().filter_map(|o| o["set"]["elem"].as_array());
    let read = |element: &Value| {
        let element = &element["elem"];
        let key = &element["val"]["concat"];
        let part = |n: usize| match &key[n] {
            Value::String(word) => word.clone(),
            other => other.to_string(),
        };
        Sent {
            from: part(0),
            to: part(1),
            protocol: part(2),
            packets: element["counter"]["packets"].as_u64().expect("a number"),
        }
    };
    sets.flatten().map(read).collect()
}

/// What the live application tries to send is counted; the copy's tries are seen in its own log, and not one packet of
/// any rehearsal came out of its networks.
fn sends_nothing(practice: &Practice, live: &[String]) {
    let tried = AtomicBool::new(false);
    let ended = AtomicBool::new(false);
    let mut routes = String::new();
    std::thread::scope(|scope| {
        scope.spawn(|| {
            practice.ok(&Practice::rehearse("store", "11.8"));
            ended.store(true, Ordering::Relaxed);
        });
        let look = "c=$(docker ps -q -f label=com.docker.swarm.service.name=store-rehearsal_mail | head -n 1); [ -n \"$c\" ] || exit 0
            docker logs $c 2>&1 | grep -c 'no mail: tried port 2526'
            nsenter --target $(docker inspect -f '{{.State.Pid}}' $c) --net -- sh -c 'ip -4 route show default; ip -6 route show default'";
        while !ended.load(Ordering::Relaxed) && !tried.load(Ordering::Relaxed) {
            let out = practice.fleet.try_run("n1", look);
            let text = String::from_utf8_lossy(&out.stdout).into_owned();
            let count = text.lines().next().and_then(|l| l.parse::<u32>().ok());
            if count > Some(2) {
                routes = text.lines().skip(1).collect();
                tried.store(true, Ordering::Relaxed);
            }
            std::thread::sleep(Duration::from_millis(500));
        }
    });
    assert!(tried.load(Ordering::Relaxed), "its copy tried to send");
    assert_eq!(routes, "", "a way out of the copy");
    // Nobody else came in the place of one of them.
    until(Duration::from_secs(60), || {
        let now = list_addresses(practice);
        let same = now == live;
        same.then_some(())
            .ok_or_else(|| format!("{now:?}, not {live:?}"))
    });
    let (ours, copies): (Vec<Sent>, Vec<Sent>) = list_sent(practice)
        .into_iter()
        .partition(|sent| live.contains(&sent.from));
    let packets = |list: &[Sent]| list.iter().map(|sent| sent.packets).sum::<u64>();
    eprintln!(
        "packets of the live applications: {}, of rehearsals: {}",
        packets(&ours),
        packets(&copies)
    );
    let address = practice.fleet.address("n1");
    let relay = format!("{}.1", address.rsplit_once('.').expect("IPv4").0);
    let mut wanted = TRIED.to_vec();
    wanted.push([&relay, "tcp"]);
    let way = practice.n1(
        "c=$(docker ps -q -f label=com.docker.swarm.service.name=store_mail | head -n 1)
        nsenter --target $(docker inspect -f '{{.State.Pid}}' $c) --net -- ip -6 route show default",
    );
    match way.is_empty() {
        true => eprintln!("IPv6: the live application has no way out, and nothing is proven"),
        false => wanted.push(TRIED_BY_IPV6),
    }
    for [to, protocol] in wanted {
        let mut seen = ours.iter();
        assert!(
            seen.any(|s| s.to == to && s.protocol == protocol && s.packets > 0),
            "the counter counts what goes to {to}: {ours:#?}"
        );
    }
    assert!(copies.is_empty(), "{copies:#?}");
    practice.n1("nft delete table inet proof");
}

/// Killed (SIGKILL) in each part, with MATOU_TEST_ALL, else in three; what is left of it is removed by the next one, or by the night.
fn ends_well_after_it_was_killed(practice: &Practice) {
    let before = practice.world("store");
    let all = std::env::var_os("MATOU_TEST_ALL").is_some();
    for (part, always) in [
        ("restore the snapshot beside", false),
        ("start databases, load their dumps", true),
        ("start it as it is", false),
        ("update", true),
        ("ask it", false),
        ("remove it", true),
    ] {
        if !all && !always {
            continue;
        }
        let mut job = Command::new(env!("CARGO_BIN_EXE_matou"))
            .arg("--config")
            .arg(&practice.config)
            .args(Practice::rehearse("store", "11.8"))
            .stdout(Stdio::piped())
            .stderr(Stdio::inherit())
            .spawn()
            .expect("matou starts");
        let lines = BufReader::new(job.stdout.take().expect("its output")).lines();
        let wanted = format!("rehearsal: {part}");
        // What a removal takes is over soon.
        let into = if part == "remove it" { 200 } else { 1500 };
        let reached = lines
            .map_while(Result::ok)
            .any(|line| line.contains(&wanted));
        // In the middle of it.
        std::thread::sleep(Duration::from_millis(into));
        let _ = job.kill();
        let _ = job.wait();
        assert!(reached, "it comes to {part}");
        eprintln!("killed in: {part}");
        assert_eq!(practice.world("store"), before, "killed in: {part}");
    }
    let left = practice.n1(LEFT);
    eprintln!("left by the killed ones:\n{left}");
    assert_ne!(left, "");
    // A job that gave a sign of life a moment ago may be alive.
    until(Duration::from_secs(120), || {
        // What was removed before, and is no matter here, can't be backed up.
        let night = ["backup", "--all", "--scheduled"];
        let text = said(&matou(&practice.config, &night));
        let left = practice.n1(LEFT);
        left.is_empty().then_some(()).ok_or(format!("{left}{text}"))
    });
    assert_eq!(practice.world("store"), before);
    the_night_leaves_an_own_application(practice);
    let unlocked = [
        &Practice::rehearse("store", "11.8")[..],
        &["--without-lock"],
    ]
    .concat();
    let text = said(&matou(&practice.config, &unlocked));
    assert!(text.contains("a rehearsal holds its lock"), "{text}");
    let text = practice.ok(&Practice::rehearse("store", "11.8"));
    assert!(text.contains("the update would succeed"), "{text}");
    assert_eq!(practice.world("store"), before);
    practice.expect_nothing_left("after killed ones");
}

/// One that has the name of a copy, and the mark that a rehearsal of before has left.
fn the_night_leaves_an_own_application(practice: &Practice) {
    let own = practice.config.with_file_name("apps/store-rehearsal.toml");
    std::fs::copy(own.with_file_name("store.toml"), &own).expect("copied");
    practice.n1("touch /mnt/data/.matou/throw-away/store-rehearsal; mkdir /mnt/data/store-rehearsal_rows; echo mine >/mnt/data/store-rehearsal_rows/file");
    let night = ["backup", "--all", "--scheduled"];
    let text = said(&matou(&practice.config, &night));
    assert!(!text.contains("remove store-rehearsal"), "{text}");
    assert_eq!(
        practice.n1("cat /mnt/data/store-rehearsal_rows/file"),
        "mine"
    );
    practice.n1("rm -r /mnt/data/.matou/throw-away/store-rehearsal /mnt/data/store-rehearsal_rows");
    std::fs::remove_file(own).expect("removed");
}

/// What the rehearsal said. Rows that came in after the snapshot of the last night are there still.
fn goes_back_with_its_data_when_it_fails_for_real(practice: &Practice) {
    let row = "c=$(docker ps -q -f label=com.docker.swarm.service.name=shop_db); docker exec $c sh -c 'PGPASSWORD=$(cat /run/secrets/db_password) psql -qX -h 127.0.0.1 -U shop -c \"$1\" shop' sh";
    practice.n1(&format!("{row} 'insert into orders values (4, 45678)'"));
    let args = ["update", "shop", "--service", "db", "--to", "17.0", "--yes"];
    let out = matou(&practice.config, &args);
    let text = said(&out);
    eprintln!("{text}");
    assert_eq!(out.status.code(), Some(1), "{text}");
    assert!(
        text.contains("the update of shop: rehearsed ") && text.contains("it failed, db: "),
        "{text}"
    );
    assert!(
        text.contains("its data is as it was before the update. What came in since"),
        "{text}"
    );
    until(Duration::from_secs(120), || {
        let asked = practice.n1(&format!("{row} 'select count(*) from orders' | sed -n 3p"));
        (asked.trim() == "4").then_some(()).ok_or(asked)
    });
    let image = practice
        .n1("docker service inspect -f '{{.Spec.TaskTemplate.ContainerSpec.Image}}' shop_db");
    assert!(image.starts_with("matou/postgresql:15.0"), "{image}");
    let file = practice.config.with_file_name("apps/shop.toml");
    let file = std::fs::read_to_string(file).expect("its file");
    assert!(!file.contains("17.0"), "{file}");
}
