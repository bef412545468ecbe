//! Reads the bans of each node's fail2ban.

use matou_i18n::tr;
use std::time::Duration;

use jiff::Timestamp;
use jiff::civil::DateTime;

use crate::CollectError;
use matou_docker::Nodes;
use matou_host::{Command, Host, shell_script};
use matou_model::{Ban, NodeBans, normalize_network};

const PATIENCE: Duration = Duration::from_secs(30);

/// Bans that are read of each jail.
const MAX_BANS: usize = 5000;

/// Prints `key TAB value` lines. Times of fail2ban are those of the node's zone.
const SCRIPT: &str = shell_script(include_str!("../scripts/list_bans.sh"));

/// The bans of every node, in the order of config.toml.
pub async fn read_all_bans(nodes: &Nodes) -> Vec<NodeBans> {
    let reading = nodes.iter().map(|node| async move {
        let (bans, problem) = match read_bans(&node.host).await {
            Ok(bans) => (bans, None),
            Err(e) => (Vec::new(), Some(e.into())),
        };
        let node = node.config.name.clone();
        NodeBans {
            node,
            bans,
            problem,
        }
    });
    futures_util::future::join_all(reading).await
}

/// The bans of one node.
///
/// # Errors
/// One sentence: the node has no fail2ban, fail2ban does not answer, or the node does not answer.
pub async fn read_bans(host: &Host) -> Result<Vec<Ban>, CollectError> {
    let command = Command::sh(SCRIPT)
        .arg(MAX_BANS.to_string())
        .sudo()
        .timeout(PATIENCE)
        .label(tr!("list the bans"));
    let output = host.run_ok(&command).await?;
    parse_bans(&output.stdout_text())
}

fn parse_bans(text: &str) -> Result<Vec<Ban>, CollectError> {
    let mut zone = jiff::tz::TimeZone::UTC;
    let mut bans = Vec::new();
    for line in text.lines() {
        let (key, value) = line.split_once('\t').unwrap_or((line, ""));
        match key {
            "absent" => {
                return Err(CollectError::Absent(
                    tr!("has no fail2ban: `matou provision --only fail2ban` installs it").into(),
                ));
            }
            "down" => {
                // The time and process id before it are left out: they would change a plan's hash.
                let said = value.rsplit_once("ERROR").map_or(value, |(_, said)| said);
                let said = matou_base::text::clean_line(said.trim());
                return Err(CollectError::failed(tr!(
                    "fail2ban does not answer: {said}; `systemctl restart fail2ban` starts it"
                )));
            }
            "zone" => {
                if let Ok(parsed) = jiff::fmt::strtime::parse("%z", value)
                    && let Some(offset) = parsed.offset()
                {
                    zone = offset.to_time_zone();
                }
            }
            "ban" => bans.extend(
                value
                    .split_once('\t')
                    .and_then(|(j, b)| parse_ban(j, b, &zone)),
            ),
            _ => {}
        }
    }
    bans.sort_by(|a: &Ban, b| a.jail.cmp(&b.jail).then(b.since.cmp(&a.since)));
    Ok(bans)
}

/// `203.0.113.7 TAB 2026-11-24 16:43:47 + 3600 = 2026-11-24 17:43:47`, as fail2ban 1.0 prints it; a
/// ban for good lasts -1 seconds.
fn parse_ban(jail: &str, text: &str, zone: &jiff::tz::TimeZone) -> Option<Ban> {
    let text = matou_base::text::clean_line(text);
    let (address, times) = text.trim().split_once(' ').unwrap_or((text.trim(), ""));
    let time = |text: &str| -> Option<Timestamp> {
        let time: DateTime = text.trim().replacen(' ', "T", 1).parse().ok()?;
        zone.to_timestamp(time).ok()
    };
    let (start, rest) = times.split_once('+').unwrap_or((times, ""));
    let (length, end) = rest.split_once('=').unwrap_or((rest, ""));
    let for_good = length.trim().starts_with('-');
    Some(Ban {
        jail: matou_base::text::clean_line(jail).into_owned(),
        address: normalize_network(address).ok()?,
        since: time(start),
        until: time(end).filter(|_| !for_good),
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_fail2ban_prints_is_read() {
        // As fail2ban 1.0.2 of Debian 12 printed it.
        let text = "zone\t+0100\nban\tsshd\t203.0.113.7 \t2026-11-24 16:43:47 + 3600 = 2026-11-24 17:43:47\n\
            ban\tsshd\t2001:db8::7 \t2026-11-24 16:44:00 + -1 = 9999-12-31 23:59:59\n\
            ban\tsshd\t\u{1b}[2J \t2026-11-24 16:44:00 + -1 = 9999-12-31 23:59:59\n\
            ban\ta\t203.0.113.0/24\n";
        let bans = parse_bans(text).unwrap();
        let addresses: Vec<_> = bans.iter().map(|b| &*b.address).collect();
        assert_eq!(addresses, ["203.0.113.0/24", "2001:db8::7", "203.0.113.7"]);
        assert_eq!(bans[0].since, None);
        assert_eq!(bans[1].until, None);
        assert_eq!(bans[2].since, "2026-11-24T15:43:47Z".parse().ok());
        assert_eq!(bans[2].until, "2026-11-24T16:43:47Z".parse().ok());
        assert_eq!(parse_bans("zone\t+0000\n").unwrap(), Vec::new());
        assert!(
            parse_bans("absent\n")
                .unwrap_err()
                .to_string()
                .contains("--only fail2ban")
        );
        let down = "down\t2026-11-24 17:39:40,738 fail2ban                [23068]: ERROR   Failed to access socket path: /var/run/fail2ban/fail2ban.sock. Is fail2ban running?\n";
        assert_eq!(
            parse_bans(down).unwrap_err().to_string(),
            "fail2ban does not answer: Failed to access socket path: /var/run/fail2ban/fail2ban.sock. Is fail2ban running?; `systemctl restart fail2ban` starts it"
        );
    }
}
