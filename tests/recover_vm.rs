//! A fleet of three virtual machines that is lost and comes back out of its repository: with a real
//! volume group, NFS for all nodes, swap and a firewall, on blank servers that have their packages.

mod support;

use std::time::Instant;

use matou::lab::{DebianRelease, Lab, VmOptions};
use support::hosting::World;
use support::{Fleet, alone, ok, said, small};

/// Installing packages in emulated machines takes long, and is proven elsewhere.
const PACKAGES: &str = "gnupg systemd-timesyncd unattended-upgrades restic docker.io apparmor iptables lvm2 \
    nfs-kernel-server nfs-common fail2ban python3-systemd nftables logrotate";

/// Registries can't be reached: images are loaded into machines that have Docker already.
const SETTINGS: &str = r#"
[storage]
driver = "nfs"
devices = ["/dev/disk/by-id/virtio-n1-data1"]
[provision]
docker = "distribution"
swap = "256 MiB"
# Without hardware virtualisation a busy machine is silent for long.
heartbeat = "60 s"
off = ["matou"]
"#;

fn say(phase: &str) {
    eprintln!("lab: {phase}");
}

#[test]
#[ignore = "takes half an hour without hardware virtualisation: make test-vm"]
fn three_machines_come_back_out_of_their_repository() {
    let _alone = alone();
    let mut fleet = Fleet::new("recovm");
    fleet.lab = Lab::new("recovm").expect("a state folder");
    let options = VmOptions {
        release: DebianRelease::Bookworm,
        disks: 1,
        disk_size: "2G".into(),
        packages: PACKAGES.split_whitespace().map(str::to_owned).collect(),
        ..VmOptions::default()
    };
    fleet.wait(fleet.lab.up_vms(3, &options, &say));
    let config = fleet.config("blank.toml", SETTINGS);
    let begun = Instant::now();
    ok(&config, &["provision", "--yes"]);
    eprintln!("provisioning took {} s", begun.elapsed().as_secs());

    small::images(&fleet);
    let world = World::with_images(fleet, SETTINGS);
    let config = world.deploy();
    let before = world.picture(&config);
    let load = world.load();
    let least = world.rows();
    ok(&config, &["backup", "--all", "--yes"]);
    let most = world.rows();
    drop(load);

    let fleet = &world.fleet;
    for node in ["n1", "n2", "n3"] {
        fleet.wait(fleet.lab.delete_node(node));
    }
    fleet.wait(fleet.lab.up_vms(3, &options, &say));
    // In the place of a registry.
    small::images(fleet);
    let folder = world.keys.path().join("rebuilt");
    let out = world
        .recover_from_nothing(&folder)
        .output()
        .expect("matou starts");
    let text = said(&out);
    assert!(out.status.success(), "{text}");
    eprintln!("{}", &text[text.find("# Recovery").unwrap_or(0)..]);
    assert!(text.contains("- applications: 5 of 5 are back"), "{text}");
    let config = folder.join("config.toml");
    assert_eq!(world.picture(&config), before);
    let rows = world.rows();
    assert!(
        (least..=most).contains(&rows),
        "{rows} rows, not {least} to {most}"
    );
}
