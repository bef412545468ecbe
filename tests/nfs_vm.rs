//! What NFS gives to a node, on virtual machines, whose kernels export and mount: volumes, each by itself, and
//! nothing else of the disk, also to a node whose root is an intruder that makes its own handles up.

mod support;

use std::path::PathBuf;
use std::process::Output;
use std::time::Duration;

use matou::lab::VmOptions;
use support::{Fleet, alone, ok, said, until};

const PACKAGES: &str = "gnupg systemd-timesyncd unattended-upgrades restic docker.io apparmor iptables lvm2 \
    nfs-kernel-server nfs-common fail2ban python3-systemd nftables logrotate";

const SETTINGS: &str = "[storage]\ndriver = \"nfs\"\ndevices = [\"/dev/disk/by-id/virtio-n1-data1\"]\n\
    [provision]\ndocker = \"distribution\"\nswap = \"256 MiB\"\noff = [\"matou\"]\n";

/// What matou wrote until it exported volumes by themselves.
const AS_BEFORE: &str = "systemctl disable --quiet --now matou-exports.path; rm /etc/matou/export_volumes.sh; \
    for c in $(grep -o '[0-9./]*(' /etc/exports.d/matou.exports | sort -u | tr -d '('); do \
    echo \"/mnt/data $c(rw,sync,no_subtree_check,no_root_squash,mp)\"; done >/run/whole; \
    mv /run/whole /etc/exports.d/matou.exports; exportfs -ra";

struct Machines {
    fleet: Fleet,
    config: PathBuf,
}

impl Machines {
    /// What root on n2 gets from n1's server when it keeps to no client's rules.
    fn reach(&self, args: &str) -> Output {
        let server = self.fleet.address("n1");
        self.fleet
            .try_run("n2", &format!("python3 /root/nfs_reach.py {server} {args}"))
    }

    fn is_refused(&self, args: &str) {
        let out = self.reach(args);
        let text = said(&out);
        assert!(
            !out.status.success() && text.contains("NFS error"),
            "{args}: {text}"
        );
    }

    fn reaches(&self, args: &str, name: &str) {
        let text = said(&self.reach(args));
        assert!(text.lines().any(|l| l == name), "{args}: {text}");
    }

    /// n2 sees the export within the time in which a job goes on.
    fn wait_until_exported(&self, volume: &str) {
        until(Duration::from_secs(15), || {
            let out = self.reach(&format!("list /mnt/data/{volume}"));
            out.status.success().then_some(()).ok_or_else(|| said(&out))
        });
    }

    fn provision(&self, args: &[&str]) -> String {
        ok(
            &self.config,
            &[&["provision", "--only", "nfs-server"], args].concat(),
        )
    }
}

#[test]
#[ignore = "takes ten minutes without hardware virtualisation: make test-vm"]
fn a_node_reaches_volumes_and_nothing_else() {
    let _alone = alone();
    let fleet = Fleet::new("nfsvm");
    let options = VmOptions {
        disks: 1,
        disk_size: "256M".into(),
        packages: PACKAGES.split_whitespace().map(str::to_owned).collect(),
        ..VmOptions::default()
    };
    let say = |phase: &str| eprintln!("lab: {phase}");
    fleet.wait(fleet.lab.up_vms(2, &options, &say));
    let config = fleet.config("fleet.toml", SETTINGS);
    let done = ok(&config, &["provision", "--yes"]);
    assert!(
        done.contains("n1 saw what a container on n2 wrote"),
        "{done}"
    );
    let plan = ok(&config, &["provision", "--dry-run"]);
    assert!(plan.contains("nothing to do"), "{plan}");
    let program = include_str!("files/provision/nfs_reach.py");
    fleet.run(
        "n2",
        &format!("cat >/root/nfs_reach.py <<'EOF'\n{program}EOF\n"),
    );
    fleet.run(
        "n1",
        "cd /mnt/data; mkdir -p -m 700 .matou/secrets; echo s3cret >.matou/secrets/key; mkdir blog; echo text >blog/post",
    );
    let machines = Machines { fleet, config };
    machines.volumes_alone();
    machines.comes_and_goes();
    machines.goes_over();
}

impl Machines {
    fn volumes_alone(&self) {
        self.wait_until_exported("blog");
        self.reaches("list /mnt/data/blog", "post");
        self.is_refused("list /mnt/data/.matou");
        self.is_refused("list /mnt/data/.matou/secrets");
        self.is_refused("forge /mnt/data/blog");
        self.is_refused("forge /mnt/data/blog .matou");
        // The forged handle is a good one: without the look at where a file lies it opens everything.
        let laxly =
            "sed -i 's/subtree_check/no_subtree_check/g' /etc/exports.d/matou.exports; exportfs -r";
        self.fleet.run("n1", laxly);
        self.reaches("forge /mnt/data/blog", ".matou");
        self.reaches("forge /mnt/data/blog .matou", "secrets");
        self.fleet.run("n1", "sh /etc/matou/export_volumes.sh");
        self.is_refused("forge /mnt/data/blog");
    }

    fn comes_and_goes(&self) {
        // By whoever makes it, many at once.
        self.fleet.run(
            "n1",
            "cd /mnt/data; i=0; while [ $i -lt 20 ]; do mkdir -p \"vol_$i/in\"; i=$((i+1)); done; ln -s /etc link; mkdir 'odd (name)'",
        );
        self.wait_until_exported("vol_0");
        self.wait_until_exported("vol_19");
        self.is_refused("list /mnt/data/link");
        let plan = self.provision(&["--dry-run"]);
        assert!(plan.contains("nothing to do"), "{plan}");
        // As a restore exchanges it, while it is mounted nowhere.
        self.fleet.run(
            "n1",
            "cd /mnt/data; mkdir .matou/new; echo n >.matou/new/restored; mv blog .matou/aside; mv .matou/new blog; rm -rf vol_*",
        );
        self.wait_until_exported("blog");
        self.reaches("list /mnt/data/blog", "restored");
        let read =
            "mount -t nfs4 -o nfsvers=4.2 n1:/mnt/data/blog /mnt && cat /mnt/restored; umount /mnt";
        assert_eq!(self.fleet.run("n2", read).trim(), "n");
        until(Duration::from_secs(15), || {
            let text = self.fleet.run("n1", "cat /etc/exports.d/matou.exports");
            (!text.contains("vol_")).then_some(()).ok_or(text)
        });
        // Killed after the list was written and before it was exported: the next one exports it.
        let cut = "systemctl stop matou-exports.path; mkdir /mnt/data/cut; cp /etc/exports.d/matou.exports /run/kept; \
            sh /etc/matou/export_volumes.sh; exportfs -ua; cp /etc/exports.d/matou.exports /run/new; \
            mv /run/kept /etc/exports.d/matou.exports; exportfs -r; mv /run/new /etc/exports.d/matou.exports";
        self.fleet.run("n1", cut);
        self.is_refused("list /mnt/data/cut");
        self.fleet.run(
            "n1",
            "sh /etc/matou/export_volumes.sh; systemctl start matou-exports.path",
        );
        self.wait_until_exported("cut");
        // The disk that is away takes no export with it.
        let lines = "wc -l </etc/exports.d/matou.exports";
        let before = self.fleet.run("n1", lines);
        self.fleet.run(
            "n1",
            "exportfs -ua; umount /mnt/data; sh /etc/matou/export_volumes.sh; mount /mnt/data; exportfs -ra",
        );
        assert_eq!(self.fleet.run("n1", lines), before);
        self.reaches("list /mnt/data/blog", "restored");
    }

    /// A fleet whose data was exported as a whole, with a volume mounted, goes over to this without a fault.
    fn goes_over(&self) {
        self.fleet.run("n1", AS_BEFORE);
        self.fleet.run(
            "n2",
            "mkdir -p /srv/old; mount -t nfs4 -o nfsvers=4.2,hard n1:/mnt/data/blog /srv/old; \
             echo 1 >/srv/old/written; exec 9</srv/old/restored; sleep 1",
        );
        self.reaches("list /mnt/data/.matou/secrets", "key");
        let plan = self.provision(&["--yes"]);
        assert!(
            plan.contains("n2 has a volume mounted by it: `matou drain n2`"),
            "{plan}"
        );
        let works = "echo 2 >>/srv/old/written && cat /srv/old/written /srv/old/restored";
        assert_eq!(self.fleet.run("n2", works), "1\n2\nn\n");
        // Nothing is changed for as long as it is needed, however often it is asked for.
        let plan = self.provision(&["--yes"]);
        assert!(plan.contains("nothing to do"), "{plan}");
        assert_eq!(self.fleet.run("n2", works), "1\n2\n2\nn\n");
        // As draining the node does.
        self.fleet.run("n2", "umount /srv/old");
        let plan = self.provision(&["--yes"]);
        assert!(plan.contains("export of /mnt/data as a whole"), "{plan}");
        self.fleet.run(
            "n2",
            "mount -t nfs4 -o nfsvers=4.2,hard n1:/mnt/data/blog /srv/old",
        );
        assert_eq!(self.fleet.run("n2", works), "1\n2\n2\n2\nn\n");
        self.is_refused("list /mnt/data/.matou/secrets");
        self.is_refused("forge /mnt/data/blog");
        let plan = self.provision(&["--dry-run"]);
        assert!(plan.contains("nothing to do"), "{plan}");
        self.fleet.run("n2", "umount /srv/old");
    }
}
