//! What a node is made of, for reports: system, kernel, programs.

use matou_i18n::tr;
use std::time::Duration;

use serde::Serialize;

use crate::CollectError;
use matou_base::text::SafeText;
use matou_host::{Command, Host, shell_script};

const PATIENCE: Duration = Duration::from_secs(10);

/// Prints `key TAB value` lines.
const SCRIPT: &str = shell_script(include_str!("../scripts/print_platform.sh"));

/// System and programs of a node, each as it names itself; `None` where it is not there.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize)]
pub struct Platform {
    /// As `Debian GNU/Linux 12 (bookworm)`.
    pub os: Option<SafeText>,
    /// Its release, as `6.1.0-18-amd64`.
    pub kernel: Option<SafeText>,
    /// As `x86_64`.
    pub architecture: Option<SafeText>,
    /// As `restic 0.14.0 compiled with go1.19.8 on linux/amd64`.
    pub restic: Option<SafeText>,
    /// As `Sudo version 1.9.13p3`, or `sudo-rs 0.2.5`.
    pub sudo: Option<SafeText>,
    /// Of `ls`, as `ls (GNU coreutils) 9.1`, or `ls (uutils coreutils) 0.0.30`.
    pub coreutils: Option<SafeText>,
}

/// Reads what a node runs.
///
/// # Errors
/// The node does not answer.
pub async fn read_platform(host: &Host) -> Result<Platform, CollectError> {
    let command = Command::sh(SCRIPT)
        .timeout(PATIENCE)
        .label(tr!("read the versions of its programs"));
    let output = host.run_ok(&command).await?;
    Ok(parse_platform(&output.stdout_text()))
}

fn parse_platform(text: &str) -> Platform {
    let mut platform = Platform::default();
    for (key, value) in text.lines().filter_map(|line| line.split_once('\t')) {
        let place = match key {
            "os" => &mut platform.os,
            "kernel" => &mut platform.kernel,
            "architecture" => &mut platform.architecture,
            "restic" => &mut platform.restic,
            "sudo" => &mut platform.sudo,
            "coreutils" => &mut platform.coreutils,
            _ => continue,
        };
        *place = Some(SafeText::from_line(value));
    }
    platform
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_is_not_there_is_none_and_what_is_there_is_safe() {
        let text =
            "os\tDebian\u{1b}[2J 13\nkernel\t6.12\nrestic\trestic 0.18.0\nother\tx\nno line\n";
        let platform = parse_platform(text);
        assert_eq!(platform.os.unwrap().as_str(), "Debian\\x1b[2J 13");
        assert_eq!(platform.restic.unwrap().as_str(), "restic 0.18.0");
        assert_eq!((platform.sudo, platform.coreutils), (None, None));
    }

    /// The script on this machine, beside what it says of itself otherwise.
    #[test]
    fn the_script_says_what_uname_says() {
        let ran = std::process::Command::new("sh")
            .args(["-c", SCRIPT])
            .output();
        let ran = ran.unwrap();
        assert!(ran.status.success() && ran.stderr.is_empty(), "{ran:?}");
        let platform = parse_platform(&String::from_utf8(ran.stdout).unwrap());
        let release = std::fs::read_to_string("/proc/sys/kernel/osrelease").unwrap();
        assert_eq!(platform.kernel.unwrap().as_str(), release.trim());
        assert_eq!(
            platform.architecture.unwrap().as_str(),
            std::env::consts::ARCH
        );
        assert!(platform.os.is_some());
    }
}
