//! Provisioning of virtual machines: what containers can't show. Storage that grows, NFS for all
//! nodes, swap, kernel parameters, a real reboot, a node more and a node less.
//!
//! The machines come with the packages already, because installing them in emulated machines takes
//! long; MATOU_TEST_BLANK=1 starts from blank ones. Installing is proven in `provision.rs`.

mod support;

use std::path::{Path, PathBuf};
use std::time::{Duration, Instant};

use matou::lab::{DebianRelease, VmOptions};
use support::pty::Pty;
use support::{Fleet, alone, matou, ok, said};

const PACKAGES: &str = "gnupg systemd-timesyncd unattended-upgrades restic docker.io apparmor iptables lvm2 \
    nfs-kernel-server nfs-common fail2ban python3-systemd nftables logrotate";

fn options(release: DebianRelease, disks: usize) -> VmOptions {
    let blank = std::env::var_os("MATOU_TEST_BLANK").is_some();
    let more = if release == DebianRelease::Trixie {
        " docker-cli"
    } else {
        ""
    };
    VmOptions {
        release,
        disks,
        disk_size: "256M".into(),
        packages: match blank {
            true => Vec::new(),
            false => format!("{PACKAGES}{more}")
                .split_whitespace()
                .map(str::to_owned)
                .collect(),
        },
        ..VmOptions::default()
    }
}

fn say(phase: &str) {
    eprintln!("lab: {phase}");
}

fn settings(disks: usize) -> String {
    let devices: Vec<String> = (1..=disks)
        .map(|i| format!("\"/dev/disk/by-id/virtio-n1-data{i}\""))
        .collect();
    format!(
        "[storage]\ndriver = \"nfs\"\ndevices = [{}]\n[provision]\ndocker = \"distribution\"\nswap = \"256 MiB\"\noff = [\"matou\"]\n",
        devices.join(", ")
    )
}

/// A second run finds every line as it should be.
fn is_done(config: &PathBuf) {
    let plan = ok(config, &["provision", "--dry-run"]);
    assert!(plan.contains("nothing to do"), "{plan}");
}

/// The storage node mounts by its own name, which Debian has lead to 127.0.1.1.
fn is_its_own_client(fleet: &Fleet) {
    fleet.run("n1", "mkdir -p /mnt/data/own && sleep 3 && mount -t nfs4 n1:/mnt/data/own /mnt && umount /mnt && rmdir /mnt/data/own");
}

/// How long a plan takes that finds nothing to do.
fn timed_plan(config: &PathBuf, machines: &str) {
    let mut took: Vec<Duration> = Vec::new();
    for _ in 0..5 {
        let begun = Instant::now();
        is_done(config);
        took.push(begun.elapsed());
    }
    took.sort();
    eprintln!("the plan of {machines} provisioned machines took {took:.1?}");
    assert!(took[2] < Duration::from_secs(5), "{took:?}");
}

/// How long the same takes in the console, from the key until the plan is on the screen: its
/// connections stand already.
fn timed_plan_in_the_console(config: &Path) {
    const LIMIT: Duration = Duration::from_secs(120);
    let config = config.to_string_lossy();
    let program = env!("CARGO_BIN_EXE_matou");
    let mut pty = Pty::start(program, &["--config", &config], &[], 120, 40);
    pty.wait_for("3/3 nodes", LIMIT);
    let mut took: Vec<Duration> = Vec::new();
    for _ in 0..5 {
        // As long as a person looks before the next key; the first readings are done then.
        std::thread::sleep(Duration::from_secs(15));
        let begun = Instant::now();
        pty.send("P");
        pty.wait_for("Nothing to do", LIMIT);
        took.push(begun.elapsed());
        pty.escape("Nothing to do", LIMIT);
    }
    pty.send("q");
    assert_eq!(pty.end(LIMIT), 0);
    took.sort();
    eprintln!("the same in the console took {took:.1?}");
    assert!(took[2] < Duration::from_secs(5), "{took:?}");
}

#[test]
#[ignore = "takes half an hour without hardware virtualisation: make test-vm"]
fn machines_become_a_fleet_with_growing_shared_storage() {
    let _alone = alone();
    let fleet = Fleet::new("provvm");
    let options = options(DebianRelease::Bookworm, 2);
    fleet.wait(fleet.lab.up_vms(2, &options, &say));
    let config = fleet.config("fleet.toml", &settings(2));

    let begun = Instant::now();
    let done = ok(&config, &["provision", "--yes"]);
    eprintln!(
        "provisioning two machines took {} s",
        begun.elapsed().as_secs()
    );
    for line in done.lines().filter(|l| l.contains(" changed (")) {
        eprintln!("{line}");
    }
    assert!(
        done.contains("n1 saw what a container on n2 wrote"),
        "{done}"
    );
    is_done(&config);
    is_its_own_client(&fleet);
    timed_plan(&config, "two");
    assert!(fleet.run("n2", "swapon --noheadings").contains("/swapfile"));
    assert_eq!(fleet.run("n2", "sysctl -n vm.swappiness").trim(), "10");

    grow(&fleet, &options);
    one_more(&fleet, &options);
    reboot(&fleet);
}

fn grow(fleet: &Fleet, options: &VmOptions) {
    let size = || -> u64 {
        let text = fleet.run(
            "n1",
            "df --block-size=1 --output=size /mnt/data | tail -n 1",
        );
        text.trim().parse().expect("a size")
    };
    fleet.run(
        "n1",
        "mkdir /mnt/data/vol; echo kept >/mnt/data/vol/precious",
    );
    let before = size();
    let serial = fleet.wait(fleet.lab.add_disk("n1", &options.disk_size));
    assert_eq!(serial, "n1-data3");
    // A disk that holds something is not touched by a mere --yes.
    fleet.run(
        "n1",
        "sleep 2; mkfs.ext4 -q -L old /dev/disk/by-id/virtio-n1-data3",
    );
    let config = fleet.config("three.toml", &settings(3));
    let args = ["provision", "--only", "storage", "--yes"];
    let out = matou(&config, &args);
    let text = said(&out);
    assert!(
        text.contains("holds ext4 \"old\": type n1:/dev/disk/by-id/virtio-n1-data3 to wipe it"),
        "{text}"
    );
    assert_eq!(out.status.code(), Some(1), "{text}");
    assert_eq!(size(), before);
    let accept = ["--accept", "n1:/dev/disk/by-id/virtio-n1-data3"];
    let text = ok(&config, &[&args[..], &accept].concat());
    assert!(
        text.contains("+ device /dev/disk/by-id/virtio-n1-data3"),
        "{text}"
    );
    assert!(size() > before + (200 << 20), "{} after {before}", size());
    assert_eq!(fleet.run("n1", "cat /mnt/data/precious").trim(), "kept");
    assert!(ok(&config, &args).contains("nothing to do"));
}

fn one_more(fleet: &Fleet, options: &VmOptions) {
    fleet.wait(fleet.lab.up_vms(3, options, &say));
    let config = fleet.config("fleet.toml", &settings(3));
    // All nodes: the others let the new one in.
    let done = ok(&config, &["provision", "--yes"]);
    assert!(
        done.contains("n1 saw what a container on n3 wrote"),
        "{done}"
    );
    is_done(&config);
    timed_plan(&config, "three");
    timed_plan_in_the_console(&config);
    let nodes = || {
        fleet.run(
            "n1",
            "docker node ls --format '{{.Hostname}} {{.Status}} {{.Availability}}'",
        )
    };
    assert!(nodes().contains("n3 Ready Active"), "{}", nodes());
    ok(&config, &["drain", "n3", "--yes"]);
    assert!(nodes().contains("n3 Ready Drain"), "{}", nodes());
    ok(&config, &["leave", "n3", "--yes"]);
    assert!(!nodes().contains("n3"), "{}", nodes());
    // The node with the data stays.
    let text = said(&matou(&config, &["leave", "n1", "--yes"]));
    assert!(
        text.contains("n1 holds the fleet's data at /mnt/data"),
        "{text}"
    );
}

fn reboot(fleet: &Fleet) {
    let config = fleet.config("two.toml", &settings(3));
    let text = ok(&config, &["reboot", "n2", "--yes"]);
    assert!(text.contains("it is back"), "{text}");
    // Swap, parameters, firewall and engine came back by themselves.
    let as_before = |node: &str| {
        let plan = ok(&config, &["provision", "--node", node, "--dry-run"]);
        assert!(plan.contains("nothing to do"), "{plan}");
    };
    as_before("n2");
    let mounts = "mount -t nfs4 n1:/mnt/data/vol /mnt && cat /mnt/precious && umount /mnt";
    assert_eq!(fleet.run("n2", mounts).trim(), "kept");
    // The storage node: its disks come late in a slow start, and the NFS server starts more than it needs.
    let text = ok(&config, &["reboot", "n1", "--yes"]);
    assert!(text.contains("it is back"), "{text}");
    fleet.run("n1", "systemctl is-system-running --wait || :");
    as_before("n1");
    assert_eq!(fleet.run("n2", mounts).trim(), "kept");
    let failed = "systemctl list-units --failed --plain --no-legend";
    assert_eq!(fleet.run("n1", failed), "");
}

#[test]
#[ignore = "takes half an hour without hardware virtualisation: make test-vm"]
fn one_machine_of_debian_13() {
    let _alone = alone();
    let fleet = Fleet::new("provvmx");
    fleet.wait(
        fleet
            .lab
            .up_vms(1, &options(DebianRelease::Trixie, 1), &say),
    );
    let config = fleet.config("fleet.toml", &settings(1));
    let done = ok(&config, &["provision", "--yes"]);
    assert!(done.contains("n1: volumes changed"), "{done}");
    is_done(&config);
    is_its_own_client(&fleet);
}

/// The power goes while a firewall that locks out is tried, and in the moment in which something was
/// changed for good: a kernel of its own had not written everything to the disk.
#[test]
#[ignore = "takes half an hour without hardware virtualisation: make test-vm"]
fn a_power_cut_leaves_what_was_or_what_was_proven() {
    let _alone = alone();
    let fleet = Fleet::new("provvmp");
    fleet.wait(
        fleet
            .lab
            .up_vms(1, &options(DebianRelease::Bookworm, 1), &say),
    );
    let config = fleet.config("fleet.toml", &settings(1));
    ok(&config, &["provision", "--yes"]);
    let rules = fleet.run("n1", "nft list table inet matou");
    let cut = || {
        fleet.kill("n1");
        fleet.wait(fleet.lab.start_node("n1"));
        support::until(Duration::from_secs(300), || {
            let out = fleet.try_run("n1", "systemctl is-system-running --wait || :");
            match out.status.success() {
                true => Ok(()),
                false => Err(said(&out)),
            }
        });
    };
    let with = |name: &str, line: &str| {
        let text = settings(1).replace("[provision]\n", &format!("[provision]\n{line}\n"));
        fleet.config(name, &text)
    };

    let bad = with("lockout.toml", "ssh_from = [\"192.0.2.1\"]");
    let mut child = std::process::Command::new(env!("CARGO_BIN_EXE_matou"))
        .args(["--config", &bad.to_string_lossy()])
        .args(["provision", "--only", "firewall", "--yes"])
        .stdout(std::process::Stdio::null())
        .stderr(std::process::Stdio::null())
        .spawn()
        .expect("matou starts");
    let address = format!("{}:22", fleet.address("n1"));
    let address: std::net::SocketAddr = address.parse().expect("an address");
    support::until(
        Duration::from_secs(60),
        || match std::net::TcpStream::connect_timeout(&address, Duration::from_secs(2)) {
            Ok(_) => Err("n1 answers".into()),
            Err(_) => Ok(()),
        },
    );
    child.kill().expect("killed");
    child.wait().expect("ended");
    cut();
    assert_eq!(fleet.run("n1", "nft list table inet matou"), rules);
    is_done(&config);

    let other = with("other.toml", "open_ports = [\"8443/tcp\"]");
    fleet.run(
        "n1",
        "rm /etc/ssh/sshd_config.d/00-matou.conf; echo '{}' >/etc/docker/daemon.json; \
         swapoff /swapfile; umount /mnt/data; sed -i '\\,/swapfile,d; \\,/mnt/data,d' /etc/fstab; sync",
    );
    for concern in ["firewall", "sshd", "engine", "storage", "swap"] {
        ok(&other, &["provision", "--only", concern, "--yes"]);
        cut();
        let plan = ok(&other, &["provision", "--only", concern, "--dry-run"]);
        assert!(plan.contains("nothing to do"), "{concern}: {plan}");
    }
    assert!(
        fleet
            .run(
                "n1",
                "nft list table inet matou; cat /etc/matou/firewall.nft"
            )
            .matches("8443")
            .count()
            > 2
    );
    is_done(&other);
}
