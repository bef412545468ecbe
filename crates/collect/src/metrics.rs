//! A node's load: CPU, memory, root file system.
//!
//! The console's own machine is read with sysinfo. A remote node runs one small shell loop over
//! one long-lived channel: it needs a POSIX shell and /proc and leaves nothing behind when the
//! channel closes. Formats: proc_stat(5), proc_meminfo(5), proc_loadavg(5), df(1) -P, and the files of
//! /sys/class/net (sysfs-class-net-statistics).

use std::time::Duration;

use sysinfo::{Disks, System};

use matou_host::shell_script;
use matou_model::{Disk, Metrics};

/// Time between two samples.
pub(super) const INTERVAL: Duration = Duration::from_secs(3);

/// Prints a sample every three seconds, each introduced by a line `@`. Ends when its output is
/// closed, at the latest three seconds later.
///
/// The shell itself reads the files, because starting processes is what costs on a small server:
/// most samples start only `sleep`. File systems are read with every fifth sample.
pub(crate) const REMOTE_SAMPLER: &str = shell_script(include_str!("../scripts/sample_load.sh"));

/// Most lines that a sample has: nine, and one for each disk.
const LINES: usize = 32;

/// Turns the lines of [`REMOTE_SAMPLER`] into metrics.
#[derive(Debug, Default)]
pub(crate) struct RemoteSampler {
    lines: Vec<String>,
    cpu: Option<CpuTimes>,
    disks: Vec<Disk>,
    network: NetworkCounters,
}

/// Bytes over the node's own network interfaces since boot, and when they were counted.
#[derive(Debug, Clone, Copy, PartialEq, Default)]
struct NetworkCounters {
    /// Seconds since boot.
    at: f64,
    received: u64,
    sent: u64,
}

impl NetworkCounters {
    /// Returns bytes a second since `before`, received and sent; zero when that is not known.
    fn rates_since(self, before: Self) -> (f32, f32) {
        let seconds = self.at - before.at;
        if before.at == 0.0 || seconds <= 0.0 {
            return (0.0, 0.0);
        }
        let rate = |now: u64, then: u64| (now.saturating_sub(then) as f64 / seconds) as f32;
        (
            rate(self.received, before.received),
            rate(self.sent, before.sent),
        )
    }

    /// Adds the bytes that an interface received and sent.
    fn add_interface(&mut self, received: Option<&&str>, sent: Option<&&str>) {
        let counter = |word: Option<&&str>| word.and_then(|w| w.parse::<u64>().ok()).unwrap_or(0);
        self.received += counter(received);
        self.sent += counter(sent);
    }
}

/// Sums the counters of a sample's interfaces; `at` is the time of the sample.
fn sum_network_counters(lines: &[String]) -> NetworkCounters {
    let mut network = NetworkCounters::default();
    for line in lines {
        let words: Vec<&str> = line.split_ascii_whitespace().collect();
        match words.first() {
            Some(&"net") => network.add_interface(words.get(1), words.get(2)),
            Some(&"uptime") => {
                network.at = words.get(1).and_then(|w| w.parse().ok()).unwrap_or(0.0);
            }
            _ => {}
        }
    }
    network
}

/// Jiffies since boot. All zero before the first sample, which therefore gives the average since
/// boot, as vmstat's first line does.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub(crate) struct CpuTimes {
    idle: u64,
    total: u64,
}

impl RemoteSampler {
    /// Takes a line; returns metrics when it completes a sample.
    pub(crate) fn take_line(&mut self, line: &str) -> Option<Metrics> {
        match line.trim() {
            "@" => self.lines.clear(),
            "." => {
                let (mut metrics, cpu) = parse_sample(&self.lines)?;
                metrics.cpu = compute_cpu_percent(self.cpu.unwrap_or_default(), cpu);
                self.cpu = Some(cpu);
                let network = sum_network_counters(&self.lines);
                (metrics.received, metrics.sent) = network.rates_since(self.network);
                self.network = network;
                self.disks = self
                    .lines
                    .iter()
                    .filter_map(|l| parse_disk_sample(l))
                    .collect();
                return Some(metrics);
            }
            // No sample has more lines: the rest is dropped.
            other if self.lines.len() < LINES => self.lines.push(other.to_owned()),
            _ => {}
        }
        None
    }

    /// The local disks of the last sample; a file system that is mounted twice is there once.
    pub(crate) fn disks(&self) -> &[Disk] {
        &self.disks
    }
}

/// `disk`, then a line of `df -P -k`: file system, size, used, available, percent, mount point.
fn parse_disk_sample(line: &str) -> Option<Disk> {
    let words: Vec<&str> = line.split_ascii_whitespace().collect();
    let kib = |i: usize| words.get(i)?.parse::<u64>().ok()?.checked_mul(1024);
    if *words.first()? != "disk" || words.len() < 7 {
        return None;
    }
    let used = kib(3)?;
    Some(Disk {
        mount: words[6..].join(" "),
        used,
        total: used.checked_add(kib(4)?)?,
    })
}

fn compute_cpu_percent(before: CpuTimes, now: CpuTimes) -> f32 {
    let total = now.total.saturating_sub(before.total);
    let idle = now.idle.saturating_sub(before.idle).min(total);
    if total == 0 {
        0.0
    } else {
        ((total - idle) as f64 * 100.0 / total as f64) as f32
    }
}

/// Reads one sample; `None` when a part of it is missing. The CPU percentage is left at zero:
/// it needs two samples.
pub(crate) fn parse_sample(lines: &[String]) -> Option<(Metrics, CpuTimes)> {
    let mut metrics = Metrics::default();
    let mut cpu = None;
    let (mut available, mut swap_free) = (None, 0);
    for line in lines {
        let words: Vec<&str> = line.split_ascii_whitespace().collect();
        let kib = |i: usize| words.get(i)?.parse::<u64>().ok()?.checked_mul(1024);
        match *words.first()? {
            "cpu" => {
                let times: Vec<u64> = words[1..].iter().flat_map(|w| w.parse()).collect();
                // Guest time (9th, 10th) is part of user time already.
                let total = times.iter().take(8).sum();
                cpu = Some(CpuTimes {
                    idle: times.get(3)? + times.get(4)?,
                    total,
                });
            }
            "MemTotal:" => metrics.memory_total = kib(1)?,
            "MemAvailable:" => available = kib(1),
            "SwapTotal:" => metrics.swap_total = kib(1)?,
            "SwapFree:" => swap_free = kib(1)?,
            "load" => {
                for (load, word) in metrics.load.iter_mut().zip(&words[1..]) {
                    *load = word.parse().ok()?;
                }
            }
            "uptime" => metrics.uptime = words.get(1)?.parse::<f64>().ok()? as u64,
            "disk" | "net" => {}
            // `df`: file system, size, used, available, percent, mount point.
            _ if words.len() >= 6 => {
                metrics.disk_used = kib(2)?;
                metrics.disk_total = metrics.disk_used + kib(3)?;
            }
            _ => {}
        }
    }
    metrics.memory_used = metrics.memory_total.saturating_sub(available?);
    metrics.swap_used = metrics.swap_total.saturating_sub(swap_free);
    Some((metrics, cpu?))
}

/// Types of file systems that count as disks.
const LOCAL: [&str; 7] = ["ext2", "ext3", "ext4", "xfs", "btrfs", "f2fs", "zfs"];

/// Reads how full a file system is as df does: statvfs(3), where blocks that are reserved for root are
/// neither used nor available.
fn read_disk(mount: &std::path::Path) -> nix::Result<Disk> {
    let read = nix::sys::statvfs::statvfs(mount)?;
    let bytes = |blocks: u64| blocks.saturating_mul(read.fragment_size());
    let used = bytes(read.blocks().saturating_sub(read.blocks_free()));
    Ok(Disk {
        mount: mount.to_string_lossy().into_owned(),
        used,
        total: used.saturating_add(bytes(read.blocks_available())),
    })
}

/// Samples the machine the console runs on.
pub(super) struct LocalSampler {
    system: System,
    network: NetworkCounters,
}

impl LocalSampler {
    /// # Errors
    /// When /proc can't be read.
    pub(super) fn new() -> Result<Self, sysinfo::Error> {
        let mut system = System::new()?;
        system.refresh_cpu_usage();
        Ok(Self {
            system,
            network: NetworkCounters::default(),
        })
    }

    /// The local disks.
    ///
    /// # Errors
    /// When the list of mounts can't be read.
    pub(super) fn read_disks() -> Result<Vec<Disk>, sysinfo::Error> {
        let disks = Disks::new_with_refreshed_list()?;
        let mut seen = std::collections::BTreeSet::new();
        Ok(disks
            .iter()
            .filter(|d| LOCAL.contains(&&*d.file_system().to_string_lossy()))
            .filter(|d| seen.insert(d.name().to_owned()))
            .filter_map(|d| read_disk(d.mount_point()).ok())
            .collect())
    }

    /// # Errors
    /// When /proc can't be read.
    pub(super) fn take_sample(&mut self) -> Result<Metrics, sysinfo::Error> {
        self.system.refresh_cpu_usage();
        self.system.refresh_memory();
        let root = read_disk(std::path::Path::new("/")).ok();
        let load = System::load_average()?;
        let mut network = NetworkCounters {
            // Any clock does that is finer than seconds: times are only compared.
            at: std::time::UNIX_EPOCH
                .elapsed()
                .map_or(0.0, |t| t.as_secs_f64()),
            ..NetworkCounters::default()
        };
        let interfaces = std::fs::read_to_string("/proc/net/dev").unwrap_or_default();
        for line in interfaces.lines() {
            if let Some((name, counters)) = line.trim_start().split_once(':')
                && name.starts_with(['e', 'w'])
            {
                // proc_net_dev(5): the first is received, the ninth sent.
                let words: Vec<&str> = counters.split_ascii_whitespace().collect();
                network.add_interface(words.first(), words.get(8));
            }
        }
        let (received, sent) = network.rates_since(self.network);
        self.network = network;
        let system = &self.system;
        Ok(Metrics {
            cpu: system.global_cpu_usage(),
            memory_used: system
                .total_memory()
                .saturating_sub(system.available_memory()),
            memory_total: system.total_memory(),
            swap_used: system.used_swap(),
            swap_total: system.total_swap(),
            disk_used: root.as_ref().map_or(0, |d| d.used),
            disk_total: root.as_ref().map_or(0, |d| d.total),
            load: [load.one as f32, load.five as f32, load.fifteen as f32],
            uptime: System::uptime()?,
            received,
            sent,
        })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_remote_sampler_runs_in_a_real_shell_and_is_understood() {
        // Two samples, without the pause between them.
        let script = REMOTE_SAMPLER
            .replace("while :;", "for turn in 1 2;")
            .replace("sleep 3;", ":;");
        let out = std::process::Command::new("sh")
            .args(["-c", &script])
            .output()
            .unwrap();
        let mut sampler = RemoteSampler::default();
        let samples: Vec<Metrics> = String::from_utf8(out.stdout)
            .unwrap()
            .lines()
            .filter_map(|l| sampler.take_line(l))
            .collect();
        assert_eq!(samples.len(), 2, "{}", String::from_utf8_lossy(&out.stderr));
        let m = samples[1];
        let local = LocalSampler::new().unwrap().take_sample().unwrap();
        assert_eq!(m.memory_total, local.memory_total);
        assert!(m.memory_used > 0 && m.memory_used < m.memory_total);
        assert!(m.disk_used > 0 && m.disk_used <= m.disk_total);
        assert!(sampler.disks().iter().all(|d| d.mount.starts_with('/')));
        assert!(m.uptime > 0 && (0.0..=100.0).contains(&m.cpu));
        // The same counters in the kernel's other words.
        let mut counted = LocalSampler::new().unwrap();
        counted.take_sample().unwrap();
        let (read, counted) = (sampler.network, counted.network);
        assert!(read.received <= counted.received && read.sent <= counted.sent);
        assert_eq!(read.received == 0, counted.received == 0);
    }

    #[test]
    fn a_node_that_can_not_be_sampled_is_told() {
        for file in [
            "/proc/stat",
            "/proc/meminfo",
            "/proc/loadavg",
            "/proc/uptime",
        ] {
            let script = REMOTE_SAMPLER.replace(file, "/nowhere");
            let mut shell = std::process::Command::new("sh");
            let out = shell.args(["-c", &script]).output().unwrap();
            let said = String::from_utf8_lossy(&out.stderr);
            assert!(!out.status.success() && said.contains("/nowhere"), "{said}");
        }
    }

    #[test]
    fn the_network_is_the_difference_of_two_samples() {
        let lines = |uptime: &str, eth: &str, wlan: &str| {
            let lines = [format!("uptime {uptime} 0.0"), eth.into(), wlan.into()];
            sum_network_counters(&lines)
        };
        let before = lines("100.5", "net 1000 500", "net 0 0");
        let now = lines("103.5", "net 4000 2000", "net 300 0");
        assert_eq!(now.rates_since(before), (1100.0, 500.0));
        // The first sample, and counters that began anew.
        assert_eq!(now.rates_since(NetworkCounters::default()), (0.0, 0.0));
        assert_eq!(before.rates_since(now), (0.0, 0.0));
    }

    #[test]
    fn this_machine_is_as_full_as_df_says() {
        let out = std::process::Command::new("df")
            .args(["-P", "-k", "/"])
            .output()
            .unwrap();
        let text = String::from_utf8(out.stdout).unwrap();
        let said = text.lines().nth(1).unwrap().split_ascii_whitespace().nth(4);
        let said: f32 = said.unwrap().trim_end_matches('%').parse().unwrap();
        let local = LocalSampler::new().unwrap().take_sample().unwrap();
        let mut sampler = RemoteSampler::default();
        let script = REMOTE_SAMPLER
            .replace("while :;", "for turn in 1;")
            .replace("sleep 3;", ":;");
        let out = std::process::Command::new("sh")
            .args(["-c", &script])
            .output()
            .unwrap();
        let text = String::from_utf8(out.stdout).unwrap();
        let remote = text.lines().find_map(|l| sampler.take_line(l)).unwrap();
        // Something may be written meanwhile.
        for read in [local.disk_percent(), remote.disk_percent()] {
            assert!((read - said).abs() <= 1.0, "{read} instead of {said}");
        }
    }

    #[test]
    fn local_disks_are_read_from_df() {
        let line = "disk /dev/mapper/matou-data 102400 96256 4096 96% /mnt/my data";
        let read = parse_disk_sample(line).unwrap();
        assert_eq!(read.mount, "/mnt/my data");
        assert_eq!((read.used, read.total), (96_256 << 10, 100_352 << 10));
        // The number that df printed.
        assert!((read.used_percent() - 96.0).abs() < 0.01);
        for wrong in ["disk", "disk /dev/sda 1 x 1 1% /", "load 1 2 3"] {
            assert_eq!(parse_disk_sample(wrong), None, "{wrong}");
        }
    }

    #[test]
    #[expect(clippy::float_cmp, reason = "these are computed exactly")]
    fn cpu_is_the_share_of_the_time_between_two_samples() {
        let before = CpuTimes {
            idle: 100,
            total: 200,
        };
        let now = CpuTimes {
            idle: 130,
            total: 300,
        };
        assert_eq!(compute_cpu_percent(before, now), 70.0);
        assert_eq!(compute_cpu_percent(now, now), 0.0);
        assert_eq!(compute_cpu_percent(now, before), 0.0);
    }

    #[test]
    fn a_sample_that_lacks_a_part_or_never_ends_is_no_sample() {
        let mut sampler = RemoteSampler::default();
        assert_eq!(sampler.take_line("@"), None);
        assert_eq!(sampler.take_line("cpu 1 2"), None);
        assert_eq!(sampler.take_line("."), None);
        for _ in 0..100_000 {
            sampler.take_line("garbage");
        }
        assert!(sampler.lines.len() <= LINES);
    }
}
