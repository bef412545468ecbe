//! Provisioning of blank servers, on a practice fleet of containers: from nothing to a swarm behind
//! a firewall, twice; faults, and jobs on nodes. What needs a kernel of its own is in
//! `provision_vm.rs`.

mod support;

use std::io::{Read, Write};
use std::net::{SocketAddr, TcpListener, TcpStream};
use std::path::PathBuf;
use std::time::{Duration, Instant};

use matou::lab::LabKind;
use sha2::{Digest, Sha256};
use support::{Fleet, exposure, matou, ok, said, until};

const SETTINGS: &str = "[provision]\ndocker = \"distribution\"\napt_wait = \"3 s\"\n";

/// TCP ports of an address that take a connection, of those up to `last`.
fn open_ports(address: &str, last: u16) -> Vec<u16> {
    let runtime = tokio::runtime::Runtime::new().expect("a runtime");
    runtime.block_on(async {
        let mut open = Vec::new();
        let ports: Vec<u16> = (1..=last).collect();
        for some in ports.chunks(1000) {
            let trying = some.iter().map(|port| async move {
                let connect = tokio::net::TcpStream::connect((address, *port));
                let tried = tokio::time::timeout(Duration::from_millis(1500), connect).await;
                matches!(tried, Ok(Ok(_))).then_some(*port)
            });
            open.extend(
                futures_util::future::join_all(trying)
                    .await
                    .into_iter()
                    .flatten(),
            );
        }
        open
    })
}

/// Serves one content to whoever asks, until the test ends.
fn serve(address: &str, content: &'static [u8]) -> SocketAddr {
    let listener = TcpListener::bind((address, 0)).expect("a port of the bridge");
    let place = listener.local_addr().expect("an address");
    std::thread::spawn(move || {
        for stream in listener.incoming() {
            let Ok(mut stream) = stream else { return };
            let mut request = [0; 4096];
            let _ = stream.read(&mut request);
            let head = format!(
                "HTTP/1.1 200 OK\r\nContent-Length: {}\r\nConnection: close\r\n\r\n",
                content.len()
            );
            let _ = stream.write_all(head.as_bytes());
            let _ = stream.write_all(content);
        }
    });
    place
}

#[test]
fn blank_servers_become_a_fleet() {
    let fleet = Fleet::new("prov");
    fleet.wait(
        fleet
            .lab
            .up(3, LabKind::Blank, &|phase| eprintln!("lab: {phase}")),
    );
    let config = fleet.config("fleet.toml", SETTINGS);

    from_nothing(&fleet, &config);
    programs(&fleet, &config);
    bans(&fleet, &config);
    nothing_is_open(&fleet, &config);
    containers_are_no_nodes(&fleet);
    lock_out(&fleet, &config);
    reset_while_locked_out(&fleet, &config);
    resets(&fleet, &config);
    another_swarm(&fleet, &config);
    apt_in_use(&fleet);
    full_disk(&fleet);
    wrong_download(&fleet);
    lost_connection(&fleet);
    slow_node(&fleet, &config);
    roles(&fleet, &config);
    reboot(&fleet, &config);
    leave(&fleet, &config);
}

fn from_nothing(fleet: &Fleet, config: &PathBuf) {
    let plan = ok(config, &["provision", "--dry-run"]);
    assert!(plan.contains("n1: + package docker.io"), "{plan}");
    assert!(
        plan.contains("n1: … swarm: no engine answers yet"),
        "{plan}"
    );
    assert!(
        !fleet
            .run("n1", "command -v dockerd || echo none")
            .contains("dockerd")
    );

    let watch = exposure::Watch::begin(&["SWMTKN-1-", "OPENSSH PRIVATE KEY"]);
    let done = ok(config, &["provision", "--yes"]);
    assert!(done.contains("n2: swarm changed"), "{done}");
    assert!(done.contains("a new connection works: confirmed"), "{done}");
    until(Duration::from_secs(30), || {
        let status = ok(config, &["status"]);
        let ready = status.matches(" ready ").count();
        if ready == 3 { Ok(()) } else { Err(status) }
    });

    // The second time every line is `=`, or a warning, and one command a node is all that runs.
    let state = tempfile::tempdir().expect("a folder");
    let again = std::process::Command::new(env!("CARGO_BIN_EXE_matou"))
        .args(["--config", &config.to_string_lossy(), "provision", "--yes"])
        .env("XDG_STATE_HOME", state.path())
        .output()
        .expect("matou starts");
    let text = said(&again);
    assert!(
        again.status.success() && text.contains("nothing to do"),
        "{text}"
    );
    for line in text.lines().filter(|l| l.starts_with("  n")) {
        assert!(
            line[4..].trim_start_matches(": ").starts_with(['=', '!']),
            "{line}"
        );
    }
    let journal = std::fs::read_to_string(state.path().join("matou/journal.jsonl"));
    let journal = journal.expect("a journal");
    let commands: Vec<&str> = journal
        .lines()
        .filter(|l| l.contains("\"command\":"))
        .collect();
    assert_eq!(commands.len(), 3, "{journal}");
    assert!(
        commands.iter().all(|c| c.contains("gather facts")),
        "{journal}"
    );

    // Tokens and keys were nobody else's to see, nor is what was written.
    watch.end(fleet, &["n1", "n2", "n3"]);
    exposure::modes(fleet, &["n1", "n2", "n3"]);
    exposure::own_modes();
    hardened_units(fleet);

    // The manager works on its own: its binary, its configuration, its key.
    let there = fleet.run(
        "n1",
        "matou --config /etc/matou/config.toml status; stat -c %a /etc/matou",
    );
    assert_eq!(there.matches(" ready ").count(), 3, "{there}");
    assert!(there.trim_end().ends_with("700"), "{there}");
}

/// A manager is given no program that it can't start: what was there stays, and it is said why.
fn programs(fleet: &Fleet, config: &PathBuf) {
    let is = || fleet.run("n1", "sha256sum /usr/local/bin/matou; ls /usr/local/bin");
    let before = is();
    let dir = tempfile::tempdir().expect("a folder");
    let settings = format!("{SETTINGS}programs = \"{}\"\n", dir.path().display());
    let other = fleet.config("programs.toml", &settings);
    let own = std::fs::read(env!("CARGO_BIN_EXE_matou")).expect("matou");
    let place = dir.path().join(format!("matou-{}", std::env::consts::ARCH));

    // There is none, or one for another processor (`e_machine` of elf(5)), or one that asks for another
    // loader: the plan says it.
    let args = ["provision", "--only", "matou", "--yes"];
    let refused = |why: &str| {
        let text = ok(&other, &args);
        let told = text.contains("nothing to do") && text.contains("no other can start there");
        assert!(told && text.contains(why), "{why}: {text}");
    };
    refused("there is no ");
    let mut foreign = own.clone();
    foreign[18..20].copy_from_slice(&243_u16.to_le_bytes());
    std::fs::write(&place, &foreign).expect("written");
    refused("(ELF machine 243)");
    let loader = b"/ld-linux-";
    let at = own.windows(loader.len()).position(|w| w == loader);
    let at = at.expect("a program that asks for a loader");
    let mut broken = own.clone();
    broken[at + 1] = b'L';
    std::fs::write(&place, &broken).expect("written");
    refused("/Ld-linux-");

    // One that looks as if it could start is tried on the node, whose kernel does not find the loader.
    let mut broken = own.clone();
    broken[at - 1] = b'X';
    std::fs::write(&place, &broken).expect("written");
    let out = matou(&other, &args);
    let text = said(&out);
    assert_eq!(out.status.code(), Some(1), "{text}");
    assert!(
        text.contains("it can't start here, what was there stays: "),
        "{text}"
    );
    assert_eq!(is(), before);

    // The same program of another place is no change.
    std::fs::write(&place, &own).expect("written");
    assert!(ok(&other, &args).contains("nothing to do"));
    assert!(ok(config, &args).contains("nothing to do"));
}

/// Whom fail2ban shuts out is listed, and let in again: by a plan, once.
fn bans(fleet: &Fleet, config: &PathBuf) {
    let listed = ok(config, &["bans"]);
    assert_eq!(listed.matches("nobody is banned").count(), 3, "{listed}");
    let ban = |node: &str, jail: &str, address: &str| {
        fleet.run(node, &format!("fail2ban-client set {jail} banip {address}"));
    };
    // The node's clock gives whole seconds.
    let begun = jiff::Timestamp::now() - jiff::SignedDuration::from_secs(2);
    ban("n1", "sshd", "203.0.113.7");
    ban("n1", "traefik-auth", "203.0.113.7");
    ban("n1", "sshd", "2001:db8::7");
    ban("n2", "sshd", "203.0.113.7");
    let shut_out = |node: &str| {
        let rules = "timeout 60 sh -c 'until [ $(nft list ruleset 2>/dev/null | grep -c 203.0.113.7) = $(fail2ban-client banned 203.0.113.7 | tr , \"\\n\" | grep -c [a-z]) ]; do sleep 0.2; done'; nft list ruleset 2>/dev/null | grep -c 203.0.113.7 || true";
        fleet.run(node, rules).trim().to_owned()
    };
    assert_eq!(shut_out("n1"), "2");

    let listed = ok(config, &["bans"]);
    let of = |node: &str, address: &str, jail: &str| {
        let mut lines = listed
            .lines()
            .map(|l| l.split_whitespace().collect::<Vec<_>>());
        lines.any(|l| l.len() > 3 && l[..3] == [node, address, jail] && l.contains(&"until"))
    };
    assert!(of("n1", "203.0.113.7", "sshd"), "{listed}");
    assert!(of("n1", "203.0.113.7", "traefik-auth"), "{listed}");
    assert!(of("n1", "2001:db8::7", "sshd"), "{listed}");
    assert!(of("n2", "203.0.113.7", "sshd"), "{listed}");
    let json: serde_json::Value =
        serde_json::from_str(&ok(config, &["bans", "--json"])).expect("JSON");
    let bans = json[1]["bans"].as_array().expect("bans");
    let time = |what: &str| {
        bans[0][what]
            .as_str()
            .and_then(|t| t.parse::<jiff::Timestamp>().ok())
    };
    let lasts = time("until")
        .zip(time("since"))
        .map(|(u, s)| u.duration_since(s).as_hours());
    assert_eq!(lasts, Some(1), "{json}");
    let since = time("since").expect("a time");
    assert!((begun..=jiff::Timestamp::now()).contains(&since), "{json}");

    // On one node alone, from all of its jails.
    let plan = ok(
        config,
        &["unban", "203.0.113.7", "--node", "n1", "--dry-run"],
    );
    assert!(
        plan.contains("- ban of 203.0.113.7 by sshd (until "),
        "{plan}"
    );
    assert_eq!(shut_out("n1"), "2");
    let asked = matou(config, &["unban", "203.0.113.7"]);
    assert_eq!(asked.status.code(), Some(3), "{}", said(&asked));
    ok(config, &["unban", "203.0.113.7", "--node", "n1", "--yes"]);
    assert_eq!((&*shut_out("n1"), &*shut_out("n2")), ("0", "1"));
    // On all; an address of IPv6 in whatever way it is written.
    let done = ok(config, &["unban", "203.0.113.7", "--yes"]);
    assert!(done.contains("n1: = 203.0.113.7 is not banned"), "{done}");
    assert_eq!(shut_out("n2"), "0");
    ok(config, &["unban", "2001:DB8:0::7", "--yes"]);
    for address in ["203.0.113.7", "2001:db8::7"] {
        let again = ok(config, &["unban", address, "--yes"]);
        assert!(again.contains("nothing to do"), "{again}");
    }
    assert_eq!(
        ok(config, &["bans"]),
        "n1           nobody is banned\nn2           nobody is banned\nn3           nobody is banned\n"
    );

    let refused = matou(config, &["unban", "203.0.113", "--yes"]);
    assert!(!refused.status.success() && said(&refused).contains("is no address"));
    // One that is not there, and one that does not run.
    let away = "mv /usr/bin/fail2ban-client /usr/bin/fail2ban-client.away";
    fleet.run("n3", away);
    fleet.run("n2", "systemctl stop fail2ban");
    let out = matou(config, &["bans"]);
    let text = said(&out);
    assert_eq!(out.status.code(), Some(1), "{text}");
    assert!(
        text.contains("n3           has no fail2ban: `matou provision"),
        "{text}"
    );
    assert!(
        text.contains("n2           fail2ban does not answer"),
        "{text}"
    );
    ban("n1", "sshd", "203.0.113.7");
    // What is wrong with the others keeps none from it, but is told.
    let out = matou(config, &["unban", "203.0.113.7", "--yes"]);
    assert_eq!(out.status.code(), Some(1), "{}", said(&out));
    assert_eq!(shut_out("n1"), "0");
    fleet.run(
        "n3",
        "mv /usr/bin/fail2ban-client.away /usr/bin/fail2ban-client",
    );
    fleet.run("n2", "systemctl start fail2ban");
}

fn nothing_is_open(fleet: &Fleet, config: &PathBuf) {
    let address = fleet.address("n2");
    let open = open_ports(&address, 10_000);
    assert!(open.contains(&22), "{open:?}");
    assert!(open.iter().all(|p| [22, 80, 443].contains(p)), "{open:?}");

    // A port that a container publishes bypasses the input chain, and is closed all the same.
    fleet.practice_images();
    for port in ["443", "8888"] {
        let create = format!(
            "docker service create --detach --name web{port} --mode global \
             --publish mode=host,published={port},target=8080 matou/hello:1.0"
        );
        fleet.run("n1", &create);
    }
    let reach = |port: u16| {
        let to: SocketAddr = format!("{address}:{port}").parse().expect("an address");
        TcpStream::connect_timeout(&to, Duration::from_secs(2)).is_ok()
    };
    until(Duration::from_secs(60), || match reach(443) {
        true => Ok(()),
        false => Err("443 of n2 is not answered".into()),
    });
    // The fleet itself gets in; only then is it told that others don't.
    until(Duration::from_secs(30), || {
        let ask = format!("curl -s --max-time 5 http://{address}:8888/health");
        let said = said(&fleet.try_run("n1", &ask));
        if said.trim() == "ok" {
            Ok(())
        } else {
            Err(said)
        }
    });
    assert!(!reach(8888), "8888 of n2 is open to everybody");
    // Where it was open, the plan tells that it will not be.
    fleet.run("n2", "systemctl stop matou-firewall");
    let words = "provision --only firewall --node n2 --dry-run";
    let words: Vec<&str> = words.split(' ').collect();
    let plan = ok(config, &words);
    until(Duration::from_secs(30), || {
        reach(8888).then_some(()).ok_or("it is closed".into())
    });
    fleet.run("n2", "systemctl start matou-firewall");
    assert!(plan.contains("port 8888/tcp, service web8888"), "{plan}");
    assert!(plan.contains("add \"8888/tcp\" to open_ports"), "{plan}");
    assert!(!plan.contains("port 443/tcp"), "{plan}");
    assert!(!plan.contains("port 22/tcp"), "{plan}");
    assert!(!plan.contains("port 7946/"), "{plan}");
    fleet.run("n1", "docker service rm web443 web8888");

    // A plan says so before.
    let file = config.with_file_name("ports.yml");
    let text = "services:\n  web:\n    image: matou/hello:1.0\n    ports: ['443:8080', '8888:8080', '8889:8080/udp']\n";
    std::fs::write(&file, text).expect("written");
    let plan = ok(
        config,
        &["deploy", &file.to_string_lossy(), "ports", "--dry-run"],
    );
    for port in ["8888/tcp", "8889/udp"] {
        let cure = format!("add \"{port}\" to open_ports");
        assert!(plan.contains(&cure), "{plan}");
    }
    assert!(!plan.contains("443/tcp"), "{plan}");
}

/// What a container sends goes by its node's address, which the other nodes trust: nothing of it
/// reaches what they offer to each other, from whatever network.
fn containers_are_no_nodes(fleet: &Fleet) {
    const SCAN: &str = include_str!("files/provision/scan.py");
    const DATAGRAMS: &str = include_str!("files/provision/datagrams.py");
    let put = |name: &str, text: &str| {
        fleet.run("n3", &format!("cat >/run/{name} <<'END'\n{text}END\n"));
    };
    put("scan.py", SCAN);
    put("datagrams.py", DATAGRAMS);
    // Something that listens where NFS would, and open there to the fleet.
    let nfs = "systemd-run --quiet --unit=nfs python3 -m http.server 2049\n\
        nft insert rule inet matou fleet tcp dport 2049 accept\n\
        nft add table inet probe\n\
        nft 'add chain inet probe in { type filter hook input priority 0; }'\n\
        nft add rule inet probe in udp dport '{ 4789, 7946 }' udp length 1242 counter";
    for node in ["n1", "n2", "n3"] {
        fleet.run(node, nfs);
    }
    fleet.run(
        "n3",
        "docker network create plain >/dev/null\n\
         docker network create -o com.docker.network.bridge.name=odd0 odd >/dev/null\n\
         docker network create --ipv6 --subnet fd00:7::/64 six >/dev/null",
    );
    fleet.run(
        "n1",
        "docker network create --driver overlay --attachable over >/dev/null",
    );
    let networks = ["bridge", "plain", "odd", "six", "over"];
    for network in networks {
        let run = format!(
            "docker run --detach --rm --name in-{network} --network {network} matou/hello:1.0 >/dev/null"
        );
        fleet.run("n3", &run);
    }
    // Inside of a container's network, or, without one, as the node itself.
    let inside = |network: Option<&str>, line: &str| {
        let enter = network.map_or_else(String::new, |network| {
            format!(
                "nsenter --net --target $(docker inspect --format '{{{{.State.Pid}}}}' in-{network}) "
            )
        });
        fleet.run("n3", &format!("{enter}python3 /run/{line}"))
    };
    for node in ["n1", "n2", "n3"] {
        let address = fleet.address(node);
        let listening = fleet.run(
            node,
            "ss --listening --tcp --numeric --no-header | awk '{ n = split($4, a, \":\"); print a[n] }' | sort -un",
        );
        let listening: Vec<&str> = listening.split_whitespace().collect();
        for port in ["22", "2049", "7946"] {
            assert!(listening.contains(&port), "{node}: {listening:?}");
        }
        let scan = format!("scan.py {address} {}", listening.join(" "));
        let counted = || -> u64 {
            let rules = fleet.run(node, "nft list chain inet probe in");
            let count = rules.split("packets ").nth(1).expect("a counter");
            count
                .split(' ')
                .next()
                .expect("a number")
                .parse()
                .expect("a number")
        };
        // As the node: this is how it looks when something gets through.
        let open = inside(None, &scan);
        for port in ["22", "2049", "7946"] {
            assert!(open.lines().any(|l| l == port), "{node}: {open}");
        }
        if node != "n3" {
            inside(None, &format!("datagrams.py {address}"));
            assert_eq!(counted(), 2, "on {node}");
        }
        let before = counted();
        for network in networks {
            let open = inside(Some(network), &scan);
            let inner: Vec<&str> = open
                .lines()
                .filter(|port| !["80", "443"].contains(port))
                // A bridge of another name is told from the world outside by nothing: SSH is open to it.
                .filter(|port| !(network == "odd" && node == "n3" && *port == "22"))
                .collect();
            assert!(inner.is_empty(), "from {network} to {node}: {inner:?}");
            inside(Some(network), &format!("datagrams.py {address}"));
            let other = fleet.address(if node == "n1" { "n2" } else { "n1" });
            inside(Some(network), &format!("datagrams.py {address} {other}"));
            assert_eq!(counted(), before, "from {network} to {node}");
        }
    }
    // What is none of the fleet's is as reachable as ever, and so is what is open to everybody.
    let beyond = fleet.address("n1");
    let beyond = beyond.rsplit_once('.').expect("IPv4").0.to_owned() + ".1";
    let place = serve(&beyond, b"hello");
    for network in networks {
        let open = inside(Some(network), &format!("scan.py {beyond} {}", place.port()));
        assert_eq!(open.trim(), place.port().to_string(), "from {network}");
    }
    for network in networks {
        fleet.run("n3", &format!("docker rm --force in-{network}"));
    }
    fleet.run("n3", "docker network rm plain odd six");
    fleet.run("n1", "docker network rm over");
    for node in ["n1", "n2", "n3"] {
        fleet.run(
            node,
            "systemctl stop nfs; nft delete table inet probe; systemctl restart matou-firewall",
        );
    }
}

fn lock_out(fleet: &Fleet, config: &PathBuf) {
    let rules = fleet.run("n3", "nft list table inet matou");
    let bad = fleet.config(
        "lockout.toml",
        &SETTINGS.replace("[provision]\n", "[provision]\nssh_from = [\"192.0.2.1\"]\n"),
    );
    let out = matou(
        &bad,
        &["provision", "--only", "firewall", "--node", "n3", "--yes"],
    );
    let text = said(&out);
    assert_eq!(out.status.code(), Some(1), "{text}");
    assert!(text.contains("would have locked you out"), "{text}");
    assert!(text.contains("n3 has taken it back by itself"), "{text}");
    assert_eq!(fleet.run("n3", "nft list table inet matou"), rules);
    let plan = ok(config, &["provision", "--only", "firewall", "--dry-run"]);
    assert!(plan.contains("nothing to do"), "{plan}");
    support::fault(
        "provision",
        "a firewall and an sshd that lock the operator out",
        "they are taken back within half a minute",
    );
}

/// Who is locked out may reset the server: it comes up as it was, and not only after half a minute.
fn reset_while_locked_out(fleet: &Fleet, config: &PathBuf) {
    let state = "nft list table inet matou; cat /etc/matou/firewall.nft";
    let before = fleet.run("n3", state);
    let bad = fleet.config(
        "lockout.toml",
        &SETTINGS.replace("[provision]\n", "[provision]\nssh_from = [\"192.0.2.1\"]\n"),
    );
    let address: SocketAddr = format!("{}:22", fleet.address("n3")).parse().expect("one");
    let open = || TcpStream::connect_timeout(&address, Duration::from_secs(1)).is_ok();
    let shut_out = || {
        let mut child = std::process::Command::new(env!("CARGO_BIN_EXE_matou"))
            .args(["--config", &bad.to_string_lossy()])
            .args(["provision", "--only", "firewall", "--node", "n3", "--yes"])
            .stdout(std::process::Stdio::null())
            .stderr(std::process::Stdio::null())
            .spawn()
            .expect("matou starts");
        until(Duration::from_secs(30), || match open() {
            true => Err("n3 answers".into()),
            false => Ok(()),
        });
        child.kill().expect("killed");
        child.wait().expect("ended");
        assert!(!open());
    };
    let answers = || {
        until(Duration::from_secs(45), || match fleet.lets_in("n3") {
            true => Ok(()),
            false => Err("n3 does not let us in".into()),
        });
    };
    shut_out();
    fleet.kill("n3");
    fleet.wait(fleet.lab.start_node("n3"));
    // What the boot has loaded, which nothing takes back later.
    until(Duration::from_secs(25), || {
        let loaded = "systemctl is-active --quiet matou-firewall";
        match fleet.try_run("n3", loaded).status.success() {
            true => Ok(()),
            false => Err("n3 has no firewall yet".into()),
        }
    });
    assert_eq!(fleet.run("n3", state), before);
    answers();
    // Without a reset it is over by itself, also when nobody is there to see it.
    shut_out();
    answers();
    assert_eq!(fleet.run("n3", state), before);
    until(Duration::from_secs(60), || {
        let plan = said(&matou(
            config,
            &["provision", "--only", "firewall", "--dry-run"],
        ));
        match plan.contains("nothing to do") {
            true => Ok(()),
            false => Err(plan),
        }
    });
    support::fault(
        "provision",
        "a server is reset while a firewall that locks out is tried",
        "it comes up with the rules it had",
    );
}

/// Power cuts while something is tried that a boot depends on: what comes up is what was, or what was
/// proven, and the next run ends it.
fn resets(fleet: &Fleet, config: &PathBuf) {
    const SSHD: &str = "/etc/ssh/sshd_config.d/00-matou.conf";
    const RULES: &str = "/etc/matou/firewall.nft";
    const ENGINE: &str = "/etc/docker/daemon.json";
    let other = fleet.config(
        "other.toml",
        &SETTINGS.replace(
            "[provision]\n",
            "[provision]\nopen_ports = [\"8443/tcp\"]\n",
        ),
    );
    let sshd = fleet.run("n3", &format!("cat {SSHD}"));
    let engine = fleet.run("n3", &format!("cat {ENGINE}"));
    let answers = || {
        until(Duration::from_secs(60), || {
            match fleet.try_run("n3", "docker version").status.success() {
                true => Ok(()),
                false => Err("n3 or its engine does not answer".into()),
            }
        });
    };
    // What is to be seen on the node when its power goes, and whether a boot may know of it.
    let cuts = [
        (
            "sshd",
            "grep -q ' /etc/ssh/sshd_config.d/00-matou.conf ' /proc/self/mountinfo",
            false,
        ),
        (
            "sshd",
            // Twice, for it may go away while the file is read.
            "! grep -q 00-matou /proc/self/mountinfo && grep -q PasswordAuthentication /etc/ssh/sshd_config.d/00-matou.conf && ! grep -q 00-matou /proc/self/mountinfo",
            true,
        ),
        (
            "firewall",
            "nft list table inet matou | grep -q 8443 && ! grep -q 8443 /etc/matou/firewall.nft",
            false,
        ),
        ("firewall", "grep -q 8443 /etc/matou/firewall.nft", true),
        (
            "engine",
            "grep -q ' /etc/docker/daemon.json ' /proc/self/mountinfo",
            false,
        ),
    ];
    // What the node has when it comes up again: whether it is the new state, and all of it.
    let cut = |concern: &str, seen: &str| -> (bool, String) {
        fleet.run("n3", &format!("rm -f {SSHD}; echo '{{}}' >{ENGINE}"));
        ok(config, &["provision", "--only", "firewall", "--yes"]);
        // Everything stands still from that moment on, and matou with it.
        let watch = format!(
            "systemd-run --quiet --unit=watch sh -c \"until {}; do :; done; kill -STOP -1\"",
            seen.replace('"', "\\\"")
        );
        fleet.run("n3", &watch);
        let mut child = std::process::Command::new(env!("CARGO_BIN_EXE_matou"))
            .args(["--config", &other.to_string_lossy()])
            .args(["provision", "--only", concern, "--node", "n3", "--yes"])
            .stdout(std::process::Stdio::null())
            .stderr(std::process::Stdio::null())
            .spawn()
            .expect("matou starts");
        let address: SocketAddr = format!("{}:22", fleet.address("n3")).parse().expect("one");
        until(Duration::from_secs(60), || {
            // One that is busy is silent for a while too, but not twice.
            for _ in 0..2 {
                let mut stream = TcpStream::connect(address).map_err(|e| e.to_string())?;
                let patience = Some(Duration::from_millis(2500));
                stream.set_read_timeout(patience).expect("set");
                if let Ok(n) = stream.read(&mut [0; 16]) {
                    return Err(format!("{concern}: {n} bytes; it did not come to {seen}"));
                }
            }
            Ok(())
        });
        fleet.kill("n3");
        child.kill().expect("killed");
        child.wait().expect("ended");
        fleet.wait(fleet.lab.start_node("n3"));
        answers();
        let there = fleet.run(
            "n3",
            &format!(
                "cat {SSHD} 2>/dev/null; cat {ENGINE} {RULES}; nft list table inet matou >/run/live; \
                 nft -f {RULES}; nft list table inet matou | cmp - /run/live"
            ),
        );
        let is_new = match concern {
            "sshd" => there.contains(sshd.trim()),
            "engine" => there.contains("log-opts"),
            _ => there.contains("8443"),
        };
        until(Duration::from_secs(60), || {
            let out = matou(config, &["provision", "--node", "n3", "--yes"]);
            match out.status.success() {
                true => Ok(()),
                false => Err(said(&out)),
            }
        });
        assert_eq!(fleet.run("n3", &format!("cat {ENGINE}")), engine);
        assert_eq!(fleet.run("n3", &format!("cat {SSHD}")), sshd);
        is_done(config);
        (is_new, there)
    };
    for (concern, seen, is_proven) in cuts {
        // Who looks may come too late: what was tried is proven by then.
        let mut found = cut(concern, seen);
        for _ in 0..4 {
            if found.0 == is_proven {
                break;
            }
            found = cut(concern, seen);
        }
        assert_eq!(found.0, is_proven, "{concern}, {seen}:\n{}", found.1);
    }
    support::fault(
        "provision",
        "the power is cut while sshd, the firewall or the engine is changed",
        "what comes up is what was, or what was proven; the next run ends it",
    );
}

fn another_swarm(fleet: &Fleet, config: &PathBuf) {
    fleet.run(
        "n3",
        "docker swarm leave --force; docker swarm init --advertise-addr eth0",
    );
    let args = ["provision", "--only", "swarm", "--node", "n3", "--yes"];
    let out = matou(config, &args);
    let text = said(&out);
    assert!(text.contains("! n3 belongs to another swarm"), "{text}");
    assert_eq!(out.status.code(), Some(1), "{text}");
    let accept = [&args[..], &["--accept", "n3:leave-swarm"]].concat();
    let text = ok(config, &accept);
    assert!(text.contains("- n3 from the other swarm"), "{text}");
    is_done(config);
}

/// A second run finds every line as it should be.
fn is_done(config: &PathBuf) {
    let plan = ok(config, &["provision", "--dry-run"]);
    let open: Vec<&str> = plan.lines().filter(|l| !l.contains(": = ")).collect();
    assert!(plan.contains("nothing to do"), "{open:#?}");
}

fn apt_in_use(fleet: &Fleet) {
    let hold = "import fcntl, time; f = open('/var/lib/dpkg/lock-frontend', 'w'); fcntl.lockf(f, fcntl.LOCK_EX); open('/run/held', 'w'); time.sleep(300)";
    fleet.run(
        "n2",
        &format!("systemd-run --quiet --unit=holder python3 -c \"{hold}\"; timeout 60 sh -c 'until [ -e /run/held ]; do sleep 0.1; done'"),
    );
    let config = fleet.config("tree.toml", &format!("{SETTINGS}packages = [\"tree\"]\n"));
    let args = ["provision", "--only", "base", "--node", "n2", "--yes"];
    let text = said(&matou(&config, &args));
    assert!(
        text.contains("the package manager is in use by process"),
        "{text}"
    );
    assert!(text.contains("python3"), "{text}");
    fleet.run("n2", "systemctl stop holder");
    ok(&config, &args);
    assert!(ok(&config, &args).contains("nothing to do"));
    support::fault("provision", "apt is in use", "waited for, and told");
}

fn full_disk(fleet: &Fleet) {
    fleet.run(
        "n2",
        "mount -t tmpfs -o size=64k none /var/cache/apt/archives",
    );
    let config = fleet.config("full.toml", &format!("{SETTINGS}packages = [\"nano\"]\n"));
    let args = ["provision", "--only", "base", "--node", "n2", "--yes"];
    let text = said(&matou(&config, &args));
    assert!(text.contains("enough free space"), "{text}");
    fleet.run("n2", "umount /var/cache/apt/archives");
    ok(&config, &args);
    support::fault(
        "provision",
        "a disk is full in a provisioning",
        "told; the next run ends it",
    );
}

fn wrong_download(fleet: &Fleet) {
    const PROGRAM: &[u8] = b"#!/bin/sh\necho restic 99.0 by the test\n";
    let gateway = fleet
        .address("n1")
        .rsplit_once('.')
        .expect("IPv4")
        .0
        .to_owned()
        + ".1";
    let place = serve(&gateway, PROGRAM);
    let right: String = Sha256::digest(PROGRAM)
        .iter()
        .map(|b| format!("{b:02x}"))
        .collect();
    let with = |hash: &str| {
        format!("{SETTINGS}restic_url = \"http://{place}/restic\"\nrestic_sha256 = \"{hash}\"\n")
    };
    let args = ["provision", "--only", "restic", "--node", "n2", "--yes"];
    let config = fleet.config("restic.toml", &with(&"0".repeat(64)));
    let text = said(&matou(&config, &args));
    assert!(
        text.contains(&format!("has the SHA-256 {right} instead of 0000")),
        "{text}"
    );
    assert!(!fleet.run("n2", "ls /usr/local/bin").contains("restic"));
    let config = fleet.config("restic.toml", &with(&right));
    ok(&config, &args);
    assert!(ok(&config, &args).contains("= restic 99.0"));
}

fn lost_connection(fleet: &Fleet) {
    let config = fleet.config("cmake.toml", &format!("{SETTINGS}packages = [\"cmake\"]\n"));
    let args = ["provision", "--only", "base", "--node", "n3", "--yes"];
    let cutting = std::thread::spawn({
        let config = config.clone();
        move || said(&matou(&config, &args))
    });
    until(Duration::from_secs(60), || {
        match fleet.run("n3", "systemctl is-active matou-apt || :").trim() {
            "active" => Ok(()),
            other => Err(other.to_owned()),
        }
    });
    // Every connection, this one included.
    fleet.try_run("n3", "pkill -f '^sshd: root'");
    let text = cutting.join().expect("matou ends");
    assert!(text.contains("n3: base FAILED"), "{text}");
    // The unit went on by itself; running it again finds it, or what it did, as soon as the node has
    // noticed that whom it was locked for is gone.
    until(Duration::from_secs(120), || {
        let out = matou(&config, &args);
        match said(&out) {
            text if text.contains("another matou works on n3") => Err(text),
            text => {
                assert!(out.status.success(), "{text}");
                Ok(())
            }
        }
    });
    assert!(fleet.run("n3", "cmake --version").contains("cmake version"));
    assert!(ok(&config, &args).contains("nothing to do"));
    support::fault(
        "provision",
        "the connection is lost in a provisioning",
        "the next run ends it",
    );
}

/// A node whose sshd takes connections and says nothing stops nobody but itself.
fn slow_node(fleet: &Fleet, config: &PathBuf) {
    fleet.run("n2", "pkill -STOP -x sshd");
    fleet.run("n3", "chmod 644 /etc/shadow");
    let begun = Instant::now();
    let out = matou(config, &["provision", "--only", "files", "--yes"]);
    let text = said(&out);
    assert!(
        begun.elapsed() < Duration::from_secs(40) * support::patience(),
        "{:?}",
        begun.elapsed()
    );
    assert!(text.contains("n2: ! files: "), "{text}");
    assert!(text.contains("did not answer within"), "{text}");
    assert_eq!(out.status.code(), Some(1), "{text}");
    assert_eq!(fleet.run("n3", "stat -c %a /etc/shadow").trim(), "640");
    fleet.run("n2", "pkill -CONT -x sshd");
    // It answers again, and nothing is left to do that was not done on the others.
    until(Duration::from_secs(60), || {
        let text = said(&matou(config, &["provision", "--only", "files", "--yes"]));
        match text.contains("nothing to do") || text.contains("done in") {
            true => Ok(()),
            false => Err(text),
        }
    });
}

fn roles(fleet: &Fleet, config: &PathBuf) {
    let text = said(&matou(config, &["demote", "n1", "--yes"]));
    assert!(
        text.contains("n1 is the only manager: promote another node first"),
        "{text}"
    );
    let text = ok(config, &["promote", "n2", "--yes"]);
    assert!(text.contains("2 managers then"), "{text}");
    assert!(fleet.run("n2", "docker node ls").contains("Reachable"));
    // With it the swarm takes changes, through either.
    takes_changes(fleet, &["n1", "n2"]);
    // Of two managers none can be lost.
    let text = ok(config, &["demote", "n2", "--yes"]);
    assert!(text.contains("role of n2: manager → worker"), "{text}");
    // It starts as what its certificate says, whatever the managers think.
    let own = "openssl x509 -noout -subject -in /var/lib/docker/swarm/certificates/swarm-node.crt";
    let own = fleet.run("n2", own);
    assert!(own.contains("OU = swarm-worker"), "{own}");
    takes_changes(fleet, &["n1"]);
    assert!(ok(config, &["demote", "n2", "--yes"]).contains("nothing to do"));
}

/// Each of the managers carries a change out within five seconds.
fn takes_changes(fleet: &Fleet, managers: &[&str]) {
    for node in managers {
        let begun = Instant::now();
        let most = 5 * support::patience();
        fleet.run(
            node,
            &format!("timeout {most} docker node update --label-add probe=1 n1 && timeout {most} docker node update --label-rm probe n1"),
        );
        eprintln!(
            "{node} takes changes: {:.1} s",
            begun.elapsed().as_secs_f32()
        );
    }
}

fn reboot(fleet: &Fleet, config: &PathBuf) {
    let text = ok(config, &["reboot", "n2", "--yes"]);
    assert!(
        text.contains("availability of n2, for the time being: active → drain"),
        "{text}"
    );
    assert!(text.contains("it is back"), "{text}");
    let nodes = fleet.run(
        "n1",
        "docker node ls --format '{{.Hostname}} {{.Status}} {{.Availability}}'",
    );
    assert!(nodes.contains("n2 Ready Active"), "{nodes}");
}

fn leave(fleet: &Fleet, config: &PathBuf) {
    let text = ok(config, &["leave", "n3", "--yes"]);
    assert!(text.contains("- n3 from the swarm"), "{text}");
    let nodes = || fleet.run("n1", "docker node ls --format '{{.Hostname}} {{.Status}}'");
    assert!(!nodes().contains("n3 Ready"), "{}", nodes());
    // A node that is lost can't leave by itself.
    let text = said(&matou(config, &["remove-node", "n2", "--yes"]));
    assert!(
        text.contains("n2 is up: `matou leave n2` takes it out in order"),
        "{text}"
    );
    fleet.kill("n2");
    until(Duration::from_secs(60), || {
        match nodes().contains("n2 Down") {
            true => Ok(()),
            false => Err(nodes()),
        }
    });
    ok(config, &["remove-node", "n2", "--yes"]);
    assert!(!nodes().contains("n2"), "{}", nodes());
}

/// What systemd itself says of matou's units: how much of the server each could reach, of 10.
fn hardened_units(fleet: &Fleet) {
    const MOST: [(&str, f32); 5] = [
        ("matou-firewall.service", 3.9),
        ("matou-jobs.service", 6.0),
        ("matou-metrics.service", 6.0),
        ("matou-backup.service", 6.5),
        ("matou-room.service", 6.0),
    ];
    let units = fleet.run(
        "n1",
        "systemctl list-unit-files --no-legend 'matou-*.service' | cut -d ' ' -f 1",
    );
    let mut judged = 0;
    for unit in units.split_whitespace() {
        let said = fleet.run(
            "n1",
            &format!("systemd-analyze security --no-pager {unit} | tail -n 1"),
        );
        let level = said.rsplit(": ").next().and_then(|s| s.split(' ').next());
        let level: f32 = level.and_then(|l| l.parse().ok()).expect("a level");
        let (_, most) = MOST
            .iter()
            .find(|(name, _)| *name == unit)
            .unwrap_or_else(|| panic!("{unit} has no bound here: {said}"));
        assert!(level <= *most, "{said}");
        judged += 1;
    }
    assert!(judged >= 2, "{units}");
}
