//! Limits of this machine's kernel that many containers with a systemd reach.

use matou_i18n::tr;
use std::path::Path;

/// How many inotify instances the processes of one user may have (inotify(7)). All containers' root is this
/// machine's.
const LIMIT: &str = "/proc/sys/fs/inotify/max_user_instances";

/// What a container's systemd and Docker hold of them at most, while they start.
const PER_NODE: usize = 18;

/// What the limit is raised to, where it does not do.
const ENOUGH: usize = 1024;

/// Raises the number of inotify instances where these nodes would go over it, or says how it is raised:
/// without them systemd does not come up, and does not say why.
pub(super) fn make_room_for_watches(nodes: usize, say: &dyn Fn(&str)) {
    let Some(limit) = read_watch_limit() else {
        return;
    };
    let needed = count_watches() + nodes * PER_NODE;
    if needed <= limit {
        return;
    }
    let wanted = ENOUGH.max(needed.next_power_of_two());
    match std::fs::write(LIMIT, wanted.to_string()) {
        Ok(()) => say(&tr!(
            "fs.inotify.max_user_instances was {limit}, too few for {nodes} more nodes: it is {wanted} now, until this machine starts anew"
        )),
        Err(e) => say(&tr!(
            "{}, and it can't be raised from here ({e})",
            describe_low_limit(limit, wanted)
        )),
    }
}

/// Says that a node may not have come up for want of inotify instances; `None` while there are some left.
pub(super) fn describe_used_up_watches() -> Option<String> {
    let limit = read_watch_limit()?;
    let is_used_up = count_watches() + PER_NODE / 2 > limit;
    is_used_up.then(|| describe_low_limit(limit, ENOUGH.max(limit * 2)))
}

fn describe_low_limit(limit: usize, wanted: usize) -> String {
    tr!(
        "fs.inotify.max_user_instances is {limit}, which is too few for the systemd of so many nodes: run `sysctl fs.inotify.max_user_instances={wanted}`"
    )
}

fn read_watch_limit() -> Option<usize> {
    std::fs::read_to_string(LIMIT).ok()?.trim().parse().ok()
}

/// Counts the inotify instances of this machine's root, in containers too. Processes come and go: it is
/// near enough.
fn count_watches() -> usize {
    let Ok(processes) = std::fs::read_dir("/proc") else {
        return 0;
    };
    processes
        .flatten()
        .filter(|p| {
            p.file_name()
                .as_encoded_bytes()
                .iter()
                .all(u8::is_ascii_digit)
        })
        .map(|process| count_watches_of(&process.path()))
        .sum()
}

fn count_watches_of(process: &Path) -> usize {
    let Ok(files) = std::fs::read_dir(process.join("fd")) else {
        return 0;
    };
    files
        .flatten()
        .filter_map(|file| std::fs::read_link(file.path()).ok())
        .filter(|target| target.as_os_str() == "anon_inode:inotify")
        .count()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_inotify_instance_is_counted() {
        // Which holds one while it waits for more.
        let mut tail = std::process::Command::new("tail")
            .args(["-f", concat!(env!("CARGO_MANIFEST_DIR"), "/Cargo.toml")])
            .stdout(std::process::Stdio::null())
            .spawn()
            .expect("tail is there");
        let files = std::path::PathBuf::from(format!("/proc/{}", tail.id()));
        let has_one = (0..100).any(|_| {
            std::thread::sleep(std::time::Duration::from_millis(50));
            count_watches_of(&files) == 1
        });
        tail.kill().expect("it runs");
        tail.wait().expect("it ends");
        assert!(has_one);
        let said = describe_low_limit(128, 1024);
        assert!(said.contains("`sysctl fs.inotify.max_user_instances=1024`"));
    }
}
