//! The fleet's data: the configured devices as one LVM volume that grows when a device is added,
//! with a file system that is mounted at boot by its UUID. A device that holds anything is not
//! touched before its name was typed.
//!
//! Undo: `umount`, remove the line in /etc/fstab, `vgremove matou`; the data goes with it.

use async_trait::async_trait;
use matou_i18n::tr;
use serde::Deserialize;

use super::Concern;
use super::executor::{NodeExecutor, TENTATIVE_FILE_FUNCTIONS};
use super::facts::FactQuery;
use super::node_view::NodeView;
use crate::ProvisionError;
use matou_base::text::human_bytes;
use matou_config::{Config, Filesystem, NodeConfig};
use matou_host::shell_script;
use matou_job::{Change, ChangeKind, Check, StepError};

/// Volume group and logical volume.
const GROUP: &str = "matou";
const VOLUME: &str = "data";
const DEVICE: &str = "/dev/matou/data";

/// Bytes of a disk that LVM may leave unused, as for metadata, before the disk counts as grown.
const SLACK: u64 = 64 << 20;

/// The option that the first matou wrote to /etc/fstab. It is too short: a disk that appears later
/// after the start is not mounted at all (`nofail`), so a slow start lost the volume.
const SHORT_DEVICE_TIMEOUT: &str = "x-systemd.device-timeout=30s";

/// Carries out what is missing; every part may be done already. `$1` mount point, `$2` file system,
/// then `wipe DEVICE` or `add DEVICE` for each new device.
const APPLY: &str = shell_script(include_str!("../scripts/grow_storage.sh"));

/// Groups, devices and volumes by one process: each of LVM's programs reads all devices. A report
/// without fields is refused.
const LVM_REPORT_COMMAND: &str = "lvm fullreport --reportformat=json --units=b \
    --configreport vg --options=vg_name,vg_size,vg_free --configreport pv --options=pv_name,vg_name,pv_size \
    --configreport lv --options=lv_name,vg_name --configreport pvseg --options=pvseg_start --configreport seg --options=seg_start";

/// The concern `storage`: the devices, volume and mount of the fleet's data.
pub(crate) struct StorageConcern;

#[derive(Debug, Deserialize)]
struct RawLsblk {
    blockdevices: Vec<BlockDevice>,
}

/// A block device as lsblk tells it.
#[derive(Debug, Clone, Deserialize)]
struct BlockDevice {
    path: String,
    #[serde(default)]
    size: u64,
    #[serde(rename = "type", default)]
    kind: String,
    fstype: Option<String>,
    label: Option<String>,
    pttype: Option<String>,
    mountpoint: Option<String>,
    #[serde(default)]
    children: Vec<BlockDevice>,
}

impl BlockDevice {
    fn all_devices(&self) -> Vec<&Self> {
        let mut all = vec![self];
        all.extend(self.children.iter().flat_map(Self::all_devices));
        all
    }

    /// Where it or a part of it is mounted.
    fn find_mount_point(&self) -> Option<&str> {
        self.all_devices()
            .into_iter()
            .find_map(|b| b.mountpoint.as_deref().filter(|m| !m.is_empty()))
    }

    /// Describes what the device holds, for people; `None` when it is empty.
    fn describe_content(&self) -> Option<String> {
        let of = |b: &Self| {
            let label = b
                .label
                .as_ref()
                .map_or_else(String::new, |l| format!(" {l:?}"));
            b.fstype
                .as_ref()
                .map(|t| format!("{t}{label}"))
                .or_else(|| b.pttype.as_ref().map(|t| tr!("a partition table ({t})")))
        };
        let parts: Vec<String> = self.all_devices().into_iter().filter_map(of).collect();
        match parts.is_empty() {
            false => Some(parts.join(", ")),
            true if !self.children.is_empty() => Some(tr!("partitions").into()),
            true => None,
        }
    }
}

/// `lvm fullreport --reportformat json`: an entry for each group, and one for devices of none.
#[derive(Debug, Deserialize)]
struct RawLvmFullReport {
    report: Vec<RawLvmReport>,
}

#[derive(Debug, Default, Deserialize)]
#[serde(default)]
struct RawLvmReport {
    pv: Vec<RawPhysicalVolume>,
    vg: Vec<RawVolumeGroup>,
    lv: Vec<RawLogicalVolume>,
}

#[derive(Debug, Clone, Deserialize)]
struct RawPhysicalVolume {
    pv_name: String,
    vg_name: String,
    pv_size: String,
}

#[derive(Debug, Deserialize)]
struct RawVolumeGroup {
    vg_name: String,
    vg_size: String,
    vg_free: String,
}

#[derive(Debug, Deserialize)]
struct RawLogicalVolume {
    lv_name: String,
    vg_name: String,
}

/// What to do with a configured device.
#[derive(Debug, PartialEq, Eq)]
enum DeviceVerdict {
    Ours,
    Empty,
    /// It holds something, and its name was typed.
    Wipe,
}

/// The plan's lines, and the devices that are to be added.
struct StorageFindings {
    lines: Vec<Change>,
    /// `wipe` or `add`, and the device.
    devices: Vec<(&'static str, String)>,
}

fn parse_lvm_report(at: &NodeView<'_>) -> RawLvmReport {
    let mut all = RawLvmReport::default();
    for one in at
        .facts
        .parse_json::<RawLvmFullReport>("lvm")
        .map_or(vec![], |r| r.report)
    {
        all.pv.extend(one.pv);
        all.vg.extend(one.vg);
        all.lv.extend(one.lv);
    }
    all
}

fn inspect_storage(at: &NodeView<'_>) -> Result<StorageFindings, ProvisionError> {
    let storage = &at.config().storage;
    let node = &at.node.name;
    let mount = storage.path.to_string_lossy();
    let blocks = at
        .facts
        .parse_json::<RawLsblk>("lsblk")
        .map_err(|e| format!("{node}: {e}"))?;
    let all: Vec<&BlockDevice> = blocks
        .blockdevices
        .iter()
        .flat_map(BlockDevice::all_devices)
        .collect();
    let RawLvmReport {
        pv: physical,
        vg: groups,
        lv: logical,
    } = parse_lvm_report(at);
    let mut lines = Vec::new();
    let mut devices = Vec::new();
    let real: Vec<&str> = at.facts.output("devices").lines().collect();
    for (i, device) in storage.devices.iter().enumerate() {
        let written = device.to_string_lossy();
        // By-id links are resolved on the node.
        let path = real
            .get(i)
            .copied()
            .filter(|p| !p.is_empty())
            .unwrap_or(&written);
        let Some(block) = all.iter().find(|b| b.path == path) else {
            let found: Vec<String> = blocks
                .blockdevices
                .iter()
                .filter(|b| b.kind == "disk")
                .map(|b| {
                    let holds = b.describe_content().unwrap_or_else(|| tr!("empty").into());
                    format!("{} {} {holds}", b.path, human_bytes(b.size))
                })
                .collect();
            return Err(ProvisionError::failed(tr!(
                "{node} has no device {written}; its disks are: {}",
                found.join("; ")
            )));
        };
        let name = match path == written {
            true => written.to_string(),
            false => format!("{written} ({path})"),
        };
        let size = human_bytes(block.size);
        let verdict = match physical.iter().find(|p| p.pv_name == path) {
            Some(pv) if pv.vg_name == GROUP => {
                let used: u64 = pv
                    .pv_size
                    .trim_end_matches('B')
                    .parse()
                    .unwrap_or(block.size);
                lines.push(if block.size > used.saturating_add(SLACK) {
                    Change::modify(tr!("device {name}"), human_bytes(used), size.clone())
                } else {
                    Change::same(tr!("device {name}, {size}"))
                });
                DeviceVerdict::Ours
            }
            Some(pv) if !pv.vg_name.is_empty() => {
                return Err(ProvisionError::failed(tr!(
                    "{name} of {node} belongs to the volume group {:?} of somebody else: take it out of config.toml, or run `vgreduce` on {node} first",
                    pv.vg_name
                )));
            }
            // A physical volume without a group: an earlier run was interrupted.
            Some(_) => DeviceVerdict::Empty,
            None => {
                if let Some(place) = block.find_mount_point() {
                    return Err(ProvisionError::failed(tr!(
                        "{name} of {node} is in use: mounted at {place}; name an unused device in [storage] devices"
                    )));
                }
                match block.describe_content() {
                    None => DeviceVerdict::Empty,
                    Some(_) if at.is_accepted(&written) => DeviceVerdict::Wipe,
                    Some(holds) => {
                        let question = at.accept_phrase(&written);
                        lines.push(
                            Change::ask_to_accept(
                                tr!("device {name}, {size}, holds {holds}: type {question} to wipe it"),
                                question,
                            )
                            .with_warning(tr!("everything on it is lost")),
                        );
                        continue;
                    }
                }
            }
        };
        match verdict {
            DeviceVerdict::Ours => {}
            DeviceVerdict::Empty => {
                lines.push(Change::add(tr!("device {name}, {size}")));
                devices.push(("add", path.to_owned()));
            }
            DeviceVerdict::Wipe => {
                let holds = block.describe_content().unwrap_or_default();
                lines.push(
                    Change::remove(tr!("everything on {name}: {holds}"))
                        .with_warning(tr!("its name was typed")),
                );
                lines.push(Change::add(tr!("device {name}, {size}")));
                devices.push(("wipe", path.to_owned()));
            }
        }
    }
    let group = groups.into_iter().find(|g| g.vg_name == GROUP);
    let has_volume = logical
        .iter()
        .any(|l| l.vg_name == GROUP && l.lv_name == VOLUME);
    let volume = tr!("volume {GROUP}/{VOLUME}");
    let bytes = |text: &str| text.trim_end_matches('B').parse::<u64>().unwrap_or(0);
    lines.push(match (&group, has_volume) {
        (Some(g), true) if bytes(&g.vg_free) > 0 => Change::modify(
            volume,
            human_bytes(bytes(&g.vg_size).saturating_sub(bytes(&g.vg_free))),
            human_bytes(bytes(&g.vg_size)),
        ),
        (Some(g), true) if devices.is_empty() => {
            Change::same(format!("{volume}, {}", human_bytes(bytes(&g.vg_size))))
        }
        (Some(_), true) => Change::modify(volume, tr!("as it is"), tr!("grown by the new devices")),
        _ => Change::add(volume),
    });
    let fs = at.facts.output("fstype");
    let wanted = storage.filesystem.as_str();
    lines.push(match fs {
        "" => Change::add(tr!("file system {wanted}")),
        fs if fs == wanted => Change::same(tr!("file system {fs}")),
        fs => Change::same(tr!("file system {fs}"))
            .with_warning(tr!("{wanted} is configured; it is kept as it was made")),
    });
    let fstab = at
        .facts
        .file("/etc/fstab")
        .map_or_else(String::new, |f| f.content);
    let in_fstab = fstab.lines().find(|l| {
        !l.trim_start().starts_with('#') && l.split_whitespace().nth(1) == Some(mount.as_ref())
    });
    let source = at.facts.mounted_at(&mount);
    let source = source.as_str();
    let mounted = source.starts_with("/dev/mapper/matou-data") || source.starts_with(DEVICE);
    if !source.is_empty() && !mounted {
        return Err(ProvisionError::failed(tr!(
            "{source} of {node} is mounted at {mount} already: unmount it, or choose another [storage] path"
        )));
    }
    if !mounted && at.facts.output("hidden") == "yes" {
        return Err(ProvisionError::failed(tr!(
            "{mount} of {node} holds files, which the mount would hide: move them away first"
        )));
    }
    lines.push(match (mounted, in_fstab) {
        (true, Some(line)) if line.contains(SHORT_DEVICE_TIMEOUT) => {
            Change::modify(tr!("wait for {mount} at a start"), "30 s", "15 min")
        }
        (true, Some(_)) => Change::same(tr!("mounted at {mount}, also after a reboot")),
        (true, None) => Change::add(tr!("{mount} in /etc/fstab")),
        (false, Some(_)) => Change::modify(mount, tr!("not mounted"), tr!("mounted")),
        (false, None) => Change::add(tr!("mount at {mount}, also after a reboot")),
    });
    Ok(StorageFindings { lines, devices })
}

fn storage_packages(config: &Config) -> Vec<&'static str> {
    match config.storage.filesystem {
        Filesystem::Ext4 => vec!["lvm2", "e2fsprogs"],
        Filesystem::Xfs => vec!["lvm2", "xfsprogs"],
    }
}

#[async_trait]
impl Concern for StorageConcern {
    fn name(&self) -> &'static str {
        "storage"
    }

    fn applies_to(&self, node: &NodeConfig, config: &Config) -> bool {
        config.storage.node == node.name && config.storage.gluster.is_empty()
    }

    fn fact_query(&self, _: &NodeConfig, config: &Config) -> FactQuery {
        let mount = config.storage.path.to_string_lossy().into_owned();
        let mount = matou_host::quote_args([mount.as_str()]);
        let devices = &config.storage.devices;
        let needs = FactQuery::default().with_command("folder", format!("[ -d {mount} ]"));
        if devices.is_empty() {
            return needs;
        }
        let devices: Vec<_> = devices.iter().map(|d| d.to_string_lossy()).collect();
        let devices = matou_host::quote_args(devices.iter().map(AsRef::as_ref));
        needs
            .with_files(["/etc/fstab"])
            .with_command("mounts", "show /proc/self/mounts")
            .with_command(
                "hidden",
                format!(
                    "for f in {mount}/* {mount}/.[!.]*; do [ ! -e \"$f\" ] || {{ echo yes; break; }}; done"
                ),
            )
            .with_command(
                "lsblk",
                "lsblk --json --bytes --output=PATH,SIZE,TYPE,FSTYPE,LABEL,PTTYPE,MOUNTPOINT,SERIAL",
            )
            .with_command("devices", format!("readlink --canonicalize-missing -- {devices}"))
            .with_command("lvm", LVM_REPORT_COMMAND)
            .with_command(
                "fstype",
                format!("blkid --probe --match-tag TYPE --output value {DEVICE} || :"),
            )
    }

    fn required_packages(&self, _: &NodeConfig, config: &Config) -> Vec<String> {
        match config.storage.devices.is_empty() {
            true => Vec::new(),
            false => storage_packages(config)
                .into_iter()
                .map(str::to_owned)
                .collect(),
        }
    }

    fn check(&self, at: &NodeView<'_>) -> Result<Check, ProvisionError> {
        let storage = &at.config().storage;
        let mount = storage.path.to_string_lossy();
        if storage.devices.is_empty() {
            return Ok(Check::from_changes(vec![
                match at.facts.succeeded("folder") {
                    true => Change::same(tr!("folder {mount}")),
                    false => Change::add(tr!("folder {mount}")),
                },
            ]));
        }
        if at.facts.is_container() {
            return Err(ProvisionError::failed(tr!(
                "{} is a container: it has no disks of its own; leave [storage] devices empty",
                at.node.name
            )));
        }
        let mut lines: Vec<Change> = storage_packages(at.config())
            .iter()
            .map(|p| match at.facts.package_version(p) {
                Some(version) => Change::same(tr!("package {p} {version}")),
                None => Change::add(tr!("package {p}")),
            })
            .collect();
        lines.extend(inspect_storage(at)?.lines);
        Ok(Check::from_changes(lines))
    }

    async fn apply(&self, at: &NodeView<'_>, run: &NodeExecutor<'_>) -> Result<(), StepError> {
        let storage = &at.config().storage;
        let mount = storage.path.to_string_lossy();
        if storage.devices.is_empty() {
            return run
                .run_script(&tr!("make {mount}"), "mkdir -p -- \"$1\"", [mount])
                .await;
        }
        let found = inspect_storage(at)?;
        let missing: Vec<&str> = storage_packages(at.config())
            .into_iter()
            .filter(|p| at.facts.package_version(p).is_none())
            .collect();
        if !missing.is_empty() {
            run.install_packages(missing).await?;
        }
        if found.lines.iter().all(|l| l.kind == ChangeKind::Same) {
            return Ok(());
        }
        let mut args = vec![mount.into_owned(), storage.filesystem.as_str().to_owned()];
        for (verb, device) in found.devices {
            args.extend([verb.to_owned(), device]);
        }
        let script = format!("{TENTATIVE_FILE_FUNCTIONS}{APPLY}");
        run.run_detached("storage", &script, &args).await
    }
}

#[cfg(test)]
mod tests {
    use super::super::facts::NodeFacts;
    use super::super::testing::{check_accepting, check_of, config, lines};
    use super::*;

    const TWO: &str = "[storage]\ndevices = [\"/dev/vdb\", \"/dev/vdc\"]";

    fn disks(more: &str) -> String {
        format!(
            r#"{{"blockdevices":[{{"path":"/dev/vda","size":8589934592,"type":"disk","fstype":"ext4","label":null,"pttype":null,"mountpoint":"/"}},{more}]}}"#
        )
    }

    fn disk(path: &str, fstype: &str) -> String {
        let fstype = match fstype {
            "" => "null".to_owned(),
            fs => format!("{fs:?}"),
        };
        format!(
            r#"{{"path":"{path}","size":1073741824,"type":"disk","fstype":{fstype},"label":"old","pttype":null,"mountpoint":null}}"#
        )
    }

    fn facts(blocks: &str) -> NodeFacts {
        NodeFacts::of(&[
            ("lsblk", &disks(blocks)),
            ("devices", "/dev/vdb\n/dev/vdc"),
            ("packages", "lvm2 ii 2\ne2fsprogs ii 1"),
        ])
        .with("container", "", 1)
    }

    #[test]
    fn empty_devices_become_a_mounted_volume() {
        let blocks = [disk("/dev/vdb", ""), disk("/dev/vdc", "")].join(",");
        let plan = check_of(&StorageConcern, &config(TWO), facts(&blocks)).unwrap();
        insta::assert_snapshot!(lines(&plan).join("\n"), @r"
        = package lvm2 2
        = package e2fsprogs 1
        + device /dev/vdb, 1.0 GiB
        + device /dev/vdc, 1.0 GiB
        + volume matou/data
        + file system ext4
        + mount at /mnt/data, also after a reboot
        ");
    }

    #[test]
    fn a_device_that_holds_something_is_wiped_only_after_its_name_was_typed() {
        let blocks = [disk("/dev/vdb", "xfs"), disk("/dev/vdc", "")].join(",");
        let plan = check_of(&StorageConcern, &config(TWO), facts(&blocks)).unwrap();
        assert_eq!(
            lines(&plan)[2],
            "! device /dev/vdb, 1.0 GiB, holds xfs \"old\": type n1:/dev/vdb to wipe it (everything on it is lost)"
        );
        let plan = check_accepting(
            &StorageConcern,
            &config(TWO),
            facts(&blocks),
            &["n1:/dev/vdb"],
        )
        .unwrap();
        assert_eq!(
            lines(&plan)[2],
            "- everything on /dev/vdb: xfs \"old\" (its name was typed)"
        );
        // Another device's name is no answer.
        let plan = check_accepting(
            &StorageConcern,
            &config(TWO),
            facts(&blocks),
            &["n1:/dev/vdc"],
        )
        .unwrap();
        assert!(lines(&plan)[2].starts_with('!'));
    }

    #[test]
    fn devices_in_use_and_missing_ones_are_never_touched() {
        let root = config("[storage]\ndevices = [\"/dev/vda\"]");
        let found = facts(&disk("/dev/vdb", "")).with("devices", "/dev/vda", 0);
        let e = check_accepting(&StorageConcern, &root, found, &["n1:/dev/vda"]).unwrap_err();
        assert!(
            e.to_string()
                .contains("/dev/vda of n1 is in use: mounted at /"),
            "{e}"
        );
        let e = check_of(&StorageConcern, &config(TWO), facts(&disk("/dev/vdb", ""))).unwrap_err();
        assert!(
            e.to_string()
                .contains("n1 has no device /dev/vdc; its disks are: /dev/vda 8.0 GiB ext4"),
            "{e}"
        );
    }

    #[test]
    fn an_added_device_grows_the_volume() {
        let blocks = [disk("/dev/vdb", "LVM2_member"), disk("/dev/vdc", "")].join(",");
        let found = facts(&blocks)
            .with("lvm", r#"{"report":[{"vg":[{"vg_name":"matou","vg_size":"1069547520B","vg_free":"0B"}],"pv":[{"pv_name":"/dev/vdb","vg_name":"matou","pv_size":"1069547520B"}],"lv":[{"lv_name":"data","vg_name":"matou"}]}]}"#, 0)
            .with("fstype", "ext4", 0)
            .with("mounts", "/dev/mapper/matou-data /mnt/data ext4 rw 0 0", 0)
            .with_file("/etc/fstab", 0o644, "UUID=1 /mnt/data ext4 defaults 0 2\n");
        let hasty =
            "UUID=1 /mnt/data ext4 defaults,noatime,nofail,x-systemd.device-timeout=30s 0 2\n";
        let old = found.clone().with_file("/etc/fstab", 0o644, hasty);
        let plan = check_of(&StorageConcern, &config(TWO), old).unwrap();
        let last = lines(&plan).pop().unwrap();
        assert_eq!(last, "~ wait for /mnt/data at a start: 30 s → 15 min");
        let plan = check_of(&StorageConcern, &config(TWO), found).unwrap();
        insta::assert_snapshot!(lines(&plan)[2..].join("\n"), @r"
        = device /dev/vdb, 1.0 GiB
        + device /dev/vdc, 1.0 GiB
        ~ volume matou/data: as it is → grown by the new devices
        = file system ext4
        = mounted at /mnt/data, also after a reboot
        ");
    }

    #[test]
    fn numbers_of_a_report_may_be_anything() {
        let blocks = [disk("/dev/vdb", "LVM2_member"), disk("/dev/vdc", "")].join(",");
        let found = facts(&blocks).with("lvm", r#"{"report":[{"vg":[{"vg_name":"matou","vg_size":"1B","vg_free":"2B"}],"pv":[{"pv_name":"/dev/vdb","vg_name":"matou","pv_size":"18446744073709551615B"}],"lv":[{"lv_name":"data","vg_name":"matou"}]}]}"#, 0);
        let plan = check_of(&StorageConcern, &config(TWO), found).unwrap();
        assert!(lines(&plan).contains(&"~ volume matou/data: 0 B → 1 B".to_owned()));
    }

    #[test]
    fn files_below_the_mount_point_are_not_hidden() {
        let blocks = [disk("/dev/vdb", ""), disk("/dev/vdc", "")].join(",");
        let e = check_of(
            &StorageConcern,
            &config(TWO),
            facts(&blocks).with("hidden", "yes", 0),
        )
        .unwrap_err();
        assert!(e.to_string().contains("/mnt/data of n1 holds files"), "{e}");
    }
}
