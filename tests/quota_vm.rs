//! A budget of disk that is enforced, on a virtual machine, whose kernel has quotas of projects: an application
//! that writes until its quota gets an error, and the others go on.

mod support;

use matou::lab::VmOptions;
use support::{Fleet, alone, matou, ok, said};

const PACKAGES: &str = "gnupg systemd-timesyncd unattended-upgrades restic docker.io apparmor iptables \
    fail2ban python3-systemd nftables logrotate busybox-static quota";

const SETTINGS: &str = "[storage]\ndriver = \"shared\"\n\
    [provision]\ndocker = \"distribution\"\nswap = \"256 MiB\"\noff = [\"matou\"]\n";

const STACK: &str = r"
x-matou: {title: Box}
services:
  box:
    image: box:1
    command: [sleep, 1d]
    volumes: [data:/data]
    stop_grace_period: 1s
volumes:
  data: {}
";

/// An image of what the machine has itself.
const IMAGE: &str = "set -e; mkdir -p /root/box/bin; cd /root/box; cp /bin/busybox bin/; \
    for name in sh sleep dd cat; do ln -sf busybox bin/$name; done; tar c . | docker import - box:1";

/// The data's disk, without quotas of projects and with them, as the plan says it is done.
const PLAIN: &str = "set -e; disk=/dev/disk/by-id/virtio-n1-data1; mkfs.ext4 -q $disk; mkdir -p /mnt/data; \
    mount $disk /mnt/data";
const WITH_QUOTAS: &str = "set -e; disk=$(findmnt -no SOURCE /mnt/data); docker service ls -q | xargs -r docker service rm >/dev/null; \
    docker ps -aq | xargs -r docker rm -f >/dev/null; umount /mnt/data; e2fsck -fp $disk || [ $? = 1 ]; \
    tune2fs -O project,quota -Q prjquota $disk >/dev/null; mount -o prjquota $disk /mnt/data";

/// Writes 40 MB into the volume of an application.
fn write(fleet: &Fleet, app: &str) -> std::process::Output {
    let name = format!("$(docker ps -q -f name={app}_box)");
    let line =
        format!("docker exec {name} dd if=/dev/zero of=/data/x bs=1000000 count=40 conv=fsync");
    fleet.try_run("n1", &line)
}

#[test]
#[ignore = "takes ten minutes without hardware virtualisation: make test-vm"]
fn who_writes_to_the_end_of_its_budget_stops_nobody_else() {
    let _alone = alone();
    let fleet = Fleet::new("quotavm");
    let options = VmOptions {
        disks: 1,
        disk_size: "512M".into(),
        packages: PACKAGES.split_whitespace().map(str::to_owned).collect(),
        ..VmOptions::default()
    };
    let say = |phase: &str| eprintln!("lab: {phase}");
    fleet.wait(fleet.lab.up_vms(1, &options, &say));
    fleet.run("n1", PLAIN);
    let config = fleet.config("fleet.toml", SETTINGS);
    let folder = config.with_file_name("stacks");
    std::fs::create_dir_all(&folder).expect("a folder");
    std::fs::write(folder.join("box.yml"), STACK).expect("written");
    ok(&config, &["provision", "--yes"]);
    fleet.run("n1", IMAGE);
    for app in ["greedy", "calm"] {
        ok(&config, &["deploy", "box", app, "--yes"]);
    }

    // Without quotas the plan says what is missing, and it is told all the same.
    let limit = ["budget", "greedy", "20MB", "--enforce", "--yes"];
    let told = ok(&config, &limit);
    assert!(
        told.contains("tune2fs -O project,quota -Q prjquota"),
        "{told}"
    );
    assert!(write(&fleet, "greedy").status.success());

    fleet.run("n1", WITH_QUOTAS);
    for app in ["greedy", "calm"] {
        ok(&config, &["redeploy", app, "--yes"]);
    }
    // What is there already counts, and goes before there is a limit.
    fleet.run("n1", "rm -f /mnt/data/greedy_data/x; mkdir -p /mnt/data/greedy_data/deep; ln -s /etc /mnt/data/greedy_data/link");
    ok(&config, &limit);
    let again = ok(&config, &limit);
    assert!(again.ends_with("nothing to do\n"), "{again}");
    let out = write(&fleet, "greedy");
    let text = said(&out);
    assert!(!out.status.success(), "{text}");
    assert!(
        text.contains("quota exceeded") || text.contains("o space left"),
        "{text}"
    );
    assert!(
        write(&fleet, "calm").status.success(),
        "another application is stopped"
    );
    let checked = said(&matou(&config, &["room"]));
    assert!(checked.contains("greedy"), "{checked}");
    let checked = said(&matou(&config, &["check"]));
    assert!(checked.contains("of its budget of"), "{checked}");

    // Cut off while files were marked, or restored since: it is done again.
    let folder = "/mnt/data/greedy_data";
    for undone in [
        "setquota -P matou-greedy 0 0 0 0 /mnt/data".to_owned(),
        format!("chattr -p 0 -P {folder}"),
    ] {
        fleet.run("n1", &undone);
        let told = ok(&config, &["redeploy", "greedy", "--dry-run"]);
        assert!(told.contains("+ limit of"), "{undone}: {told}");
        ok(&config, &["redeploy", "greedy", "--yes"]);
        assert!(!write(&fleet, "greedy").status.success(), "{undone}");
    }

    ok(&config, &["budget", "greedy", "none", "--yes"]);
    assert!(write(&fleet, "greedy").status.success());

    // Taken out of the file by hand.
    fleet.run("n1", &format!("rm -f {folder}/x"));
    ok(&config, &limit);
    assert!(!write(&fleet, "greedy").status.success());
    let file = config.with_file_name("apps").join("greedy.toml");
    let text = std::fs::read_to_string(&file).expect("its file");
    let is_other = |line: &&str| !line.starts_with("budget") && !line.starts_with("enforce");
    let rest: Vec<&str> = text.lines().filter(is_other).collect();
    std::fs::write(&file, rest.join("\n") + "\n").expect("written");
    let told = ok(&config, &["redeploy", "greedy", "--yes"]);
    assert!(told.contains("- limit of the folders of greedy"), "{told}");
    assert!(write(&fleet, "greedy").status.success());
    let again = ok(&config, &["redeploy", "greedy", "--dry-run"]);
    assert!(!again.contains("limit of the folders"), "{again}");
}
