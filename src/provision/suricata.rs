//! Suricata: sees who scans, guesses passwords or tries known holes, by what comes in on the
//! interface of the default route, and what only a broken-into application sends. It only watches.
//! Nothing unless config.toml switches it on: it costs memory. Its own part of the configuration is
//! proven by Suricata before it is put in place.
//!
//! Undo: `apt-get purge suricata suricata-update`, remove /etc/suricata and
//! /etc/systemd/system/suricata.service.d, `systemctl disable --now matou-suricata-logs.timer
//! matou-suricata-rules.timer`.

use std::collections::BTreeSet;
use std::net::IpAddr;

use async_trait::async_trait;

use super::Concern;
use super::at::{At, check};
use super::desired::{Desired, HARDENED, LOOKING};
use super::facts::Needs;
use super::run::Run;
use crate::config::{Config, NodeConfig, SuricataRules};
use crate::job::{ChangeKind, Check, StepError};

const SETTINGS: &str = "/etc/suricata/matou.yaml";
const RULES: &str = "/etc/suricata/rules/matou.rules";
/// What `suricata-update` fetched.
const FETCHED: &str = "/var/lib/suricata/rules/suricata.rules";
const DROP_IN: &str = "/etc/systemd/system/suricata.service.d/matou.conf";
const UNIT: &str = "suricata.service";

const OWN_RULES: &str = include_str!("suricata.rules");

/// Debian 12 has Suricata in its backports only.
const SOURCE: &str = "# Kept by `matou provision`: Suricata is in the backports of Debian 12.\n\
    Types: deb\nURIs: http://deb.debian.org/debian\nSuites: bookworm-backports\nComponents: main\n\
    Signed-By: /usr/share/keyrings/debian-archive-keyring.gpg\n";
const PIN: &str = "# Kept by `matou provision`: nothing else comes from there by itself.\n\
    Package: suricata suricata-update libhtp2\nPin: release n=bookworm-backports\nPin-Priority: 500\n";

/// Instead of what the package does: no start before there is a configuration, in the foreground,
/// no more memory than it is worth, and sites come first.
fn drop_in(rules: SuricataRules) -> String {
    let (high, max) = match rules {
        SuricataRules::Update => ("768M", "1G"),
        _ => ("192M", "256M"),
    };
    format!(
        "# Kept by `matou provision`.\n[Unit]\nConditionPathExists={SETTINGS}\n\n[Service]\nType=simple\nPIDFile=\n\
         ExecStart=\nExecStart=/usr/bin/suricata -c {SETTINGS} --af-packet --pidfile /run/suricata.pid\n\
         # Reads the rules again, while the old ones go on.\nExecReload=\nExecReload=/bin/kill -USR2 $MAINPID\nExecStop=\n\
         Restart=on-failure\nRestartSec=10\n\
         # What it reads comes from strangers.\nNoNewPrivileges=yes\nCapabilityBoundingSet=CAP_NET_RAW CAP_NET_ADMIN CAP_SYS_NICE CAP_IPC_LOCK\n\
         CPUWeight=20\nMemoryHigh={high}\nMemoryMax={max}\n"
    )
}

/// Instead of the package's: an attack must not fill the disk.
const ROTATE: &str = "# Kept by `matou provision`.\n/var/log/suricata/*.log\n/var/log/suricata/*.json {\n    daily\n    maxsize 64M\n    rotate 7\n    compress\n    delaycompress\n    missingok\n    notifempty\n    sharedscripts\n    postrotate\n        /bin/kill -HUP $(cat /run/suricata.pid 2>/dev/null) 2>/dev/null || true\n    endscript\n}\n";
const LOGS: &str = "# Kept by `matou provision`.\n[Unit]\nDescription=matou: size of Suricata's logs\n\n\
    [Service]\nType=oneshot\nExecStart=/usr/sbin/logrotate /etc/logrotate.d/suricata\n";
const LOGS_TIMER: &str = "# Kept by `matou provision`.\n[Unit]\nDescription=matou: size of Suricata's logs\n\n\
    [Timer]\nOnCalendar=hourly\nRandomizedDelaySec=10min\nPersistent=true\n\n[Install]\nWantedBy=timers.target\n";

/// `suricata-update` proves the rules by Suricata itself, and keeps the old ones when they are wrong.
const UPDATE: &str = "# Kept by `matou provision`.\n[Unit]\nDescription=matou: newer rules for Suricata\n\
    After=network-online.target\nWants=network-online.target\n\n[Service]\nType=oneshot\n\
    ExecStart=/usr/bin/suricata-update update --suricata-conf /etc/suricata/matou.yaml --disable-conf /etc/suricata/matou-disable.conf --no-reload\n\
    ExecStart=/bin/systemctl reload --no-block suricata.service\nTimeoutStartSec=15min\n";
const UPDATE_TIMER: &str = "# Kept by `matou provision`.\n[Unit]\nDescription=matou: newer rules for Suricata\n\n\
    [Timer]\nOnCalendar=04:20\nRandomizedDelaySec=1h\nOnActiveSec=1min\nPersistent=true\n\n[Install]\nWantedBy=timers.target\n";
/// Rules that come with Suricata tell of odd packets, which are everyday.
const DISABLE: &str = "# Kept by `matou provision`.\nre:msg:\"SURICATA \n";

/// Proves the configuration and the rules in the files named.
const PROVE: &str = r#"set -e
t=$(mktemp -d); trap 'rm -rf "$t" "$1" "$2"' EXIT
suricata -T -c "$1" -S "$2" -l "$t""#;

/// See the module.
pub struct Suricata;

fn wanted(config: &Config) -> SuricataRules {
    config.provision.suricata
}

/// The network of an address; of IPv6 the node's own may change within it.
fn home(ip: IpAddr, prefix: u8) -> String {
    match ip {
        IpAddr::V4(ip) => ip.to_string(),
        IpAddr::V6(ip) => {
            let mask = u128::MAX
                .checked_shl(u32::from(128u8.saturating_sub(prefix)))
                .unwrap_or(0);
            let net = std::net::Ipv6Addr::from_bits(ip.to_bits() & mask);
            format!("{net}/{prefix}")
        }
    }
}

fn settings(at: &At<'_>) -> Result<String, String> {
    let interface = at.facts.default_interface().ok_or_else(|| {
        format!(
            "{} has no default route: there is nothing to watch",
            at.node.name
        )
    })?;
    let mut homes: BTreeSet<String> = at
        .fleet
        .addresses()?
        .into_iter()
        .map(|(_, ip)| ip.to_string())
        .collect();
    let own = at.facts.addresses().into_iter();
    homes.extend(
        own.filter(|a| a.interface == interface)
            .map(|a| home(a.ip, a.prefix)),
    );
    let ssh: Vec<String> = super::sshd::ports(at.facts)
        .iter()
        .map(u16::to_string)
        .collect();
    let open = at.config().provision.open_ports.iter();
    let mut served: Vec<String> = open
        .filter_map(|p| p.strip_suffix("/tcp").map(str::to_owned))
        .collect();
    served.splice(0..0, ssh.iter().cloned().chain(["80".into(), "443".into()]));
    let homes: Vec<String> = homes.into_iter().collect();
    let mut text = include_str!("suricata.yaml")
        .replace("@HOME@", &homes.join(","))
        .replace("@SSH@", &ssh.join(","))
        .replace("@SERVED@", &served.join(","))
        .replace("@INTERFACE@", &interface);
    if wanted(at.config()) == SuricataRules::Update {
        text += &format!("  - {FETCHED}\n");
    }
    Ok(text)
}

/// Where the package comes from, when the distribution itself does not have it.
fn source(at: &At<'_>) -> Desired {
    match at.facts.os() {
        os if os.id == "debian" && os.codename == "bookworm" => Desired::default()
            .file(
                "/etc/apt/sources.list.d/matou-backports.sources",
                0o644,
                SOURCE,
            )
            .file("/etc/apt/preferences.d/matou-backports", 0o644, PIN)
            .after("apt-get -q update -o DPkg::Lock::Timeout=300"),
        _ => Desired::default(),
    }
}

fn packages(config: &Config) -> Desired {
    let desired = Desired::default().packages(["suricata", "logrotate"]);
    match wanted(config) {
        SuricataRules::Update => desired.packages(["suricata-update"]),
        _ => desired,
    }
}

/// Its files and units; `settings` may be empty when only their names matter.
fn parts(config: &Config, settings: &str) -> Desired {
    let units = "/etc/systemd/system/";
    let desired = Desired::default()
        .file(DROP_IN, 0o644, drop_in(wanted(config)))
        .file(RULES, 0o644, OWN_RULES)
        .file(SETTINGS, 0o644, settings)
        .file("/etc/logrotate.d/suricata", 0o644, ROTATE)
        .file(
            &format!("{units}matou-suricata-logs.service"),
            0o644,
            format!("{LOGS}{HARDENED}{LOOKING}"),
        )
        .file(
            &format!("{units}matou-suricata-logs.timer"),
            0o644,
            LOGS_TIMER,
        )
        .after("systemctl daemon-reload")
        .unit(UNIT)
        .steady_unit("matou-suricata-logs.timer");
    match wanted(config) {
        SuricataRules::Update => desired
            .file("/etc/suricata/matou-disable.conf", 0o644, DISABLE)
            .file(
                &format!("{units}matou-suricata-rules.service"),
                0o644,
                format!("{UPDATE}{HARDENED}{LOOKING}ProtectHome=yes\n"),
            )
            .file(
                &format!("{units}matou-suricata-rules.timer"),
                0o644,
                UPDATE_TIMER,
            )
            .steady_unit("matou-suricata-rules.timer"),
        _ => desired,
    }
}

#[async_trait]
impl Concern for Suricata {
    fn name(&self) -> &'static str {
        "suricata"
    }

    fn applies(&self, _: &NodeConfig, config: &Config) -> bool {
        wanted(config) != SuricataRules::Off
    }

    fn needs(&self, _: &NodeConfig, config: &Config) -> Needs {
        parts(config, "").needs().and(super::sshd::needs()).files([
            "/etc/apt/sources.list.d/matou-backports.sources",
            "/etc/apt/preferences.d/matou-backports",
        ])
    }

    fn check(&self, at: &At<'_>) -> Result<Check, String> {
        let mut lines = source(at).compare(at.facts);
        lines.extend(packages(at.config()).compare(at.facts));
        lines.extend(parts(at.config(), &settings(at)?).compare(at.facts));
        Ok(check(lines))
    }

    async fn apply(&self, at: &At<'_>, run: &Run<'_>) -> Result<(), StepError> {
        let config = at.config();
        let settings = settings(at).map_err(StepError::Failed)?;
        source(at).apply(at, run).await?;
        // In time for the package, which starts it.
        let drop_in = Desired::default().file(DROP_IN, 0o644, drop_in(wanted(config)));
        drop_in
            .after("systemctl daemon-reload")
            .apply(at, run)
            .await?;
        packages(config).apply(at, run).await?;
        if wanted(config) == SuricataRules::Update {
            let empty = "set -e; mkdir -p \"${1%/*}\"; [ -e \"$1\" ] || : >\"$1\"";
            run.sh("a place for fetched rules", empty, [FETCHED])
                .await?;
        }
        let parts = parts(config, &settings);
        let changed = parts
            .compare(at.facts)
            .iter()
            .any(|l| l.kind != ChangeKind::Same);
        if changed {
            let new = |path: &str| format!("{path}.new");
            run.write(&new(SETTINGS), &settings, 0o644).await?;
            run.write(&new(RULES), OWN_RULES, 0o644).await?;
            run.sh(
                "prove Suricata's configuration",
                PROVE,
                [new(SETTINGS), new(RULES)],
            )
            .await?;
        }
        parts.apply(at, run).await
    }
}

#[cfg(test)]
mod tests {
    use super::super::facts::Facts;
    use super::super::testing::{check_of, config, lines};
    use super::*;

    const BOOKWORM: &str = "ID=debian\nVERSION_CODENAME=bookworm";
    const ADDRESSES: &str = r#"[{"ifname":"eth0","addr_info":[
        {"local":"203.0.113.5","prefixlen":24,"scope":"global"},
        {"local":"2001:db8:1:2:aaaa::5","prefixlen":64,"scope":"global"}]}]"#;

    fn facts(os: &str) -> Facts {
        let route = "Iface Destination Gateway Flags RefCnt Use Metric Mask\neth0 00000000 010071CB 0003 0 0 0 00000000 0 0 0";
        Facts::of(&[
            ("os", os),
            ("route", route),
            ("addresses", ADDRESSES),
            ("sshd", "port 2222"),
        ])
    }

    #[test]
    fn debian_12_gets_it_from_backports_others_from_their_own() {
        let on = config("[provision]\nsuricata = \"builtin\"");
        let plan = lines(&check_of(&Suricata, &on, facts(BOOKWORM)).unwrap());
        let first = [
            "+ /etc/apt/sources.list.d/matou-backports.sources (6 lines)",
            "+ /etc/apt/preferences.d/matou-backports (4 lines)",
            "+ package suricata",
        ];
        assert_eq!(plan[..3], first);
        let trixie = facts("ID=debian\nVERSION_CODENAME=trixie");
        let plan = lines(&check_of(&Suricata, &on, trixie).unwrap());
        assert!(plan[0] == "+ package suricata", "{plan:?}");
        let update = config("[provision]\nsuricata = \"update\"");
        let plan = lines(&check_of(&Suricata, &update, facts(BOOKWORM)).unwrap());
        assert!(
            plan.contains(&"+ package suricata-update".to_owned()),
            "{plan:?}"
        );
        assert!(
            plan.contains(&"+ matou-suricata-rules.timer runs".to_owned()),
            "{plan:?}"
        );
    }

    #[test]
    fn it_costs_nothing_until_it_is_switched_on() {
        let off = config("");
        assert!(!Suricata.applies(&off.nodes[0], &off));
    }

    #[test]
    fn what_is_home_comes_from_the_fleet_and_the_node() {
        let on =
            config("[provision]\nsuricata = \"builtin\"\nopen_ports = [\"8443/tcp\", \"53/udp\"]");
        let accepted = BTreeSet::new();
        let facts = facts(BOOKWORM);
        let fleet = super::super::survey::Picture::of(&on, &accepted, [("n1", facts.clone())]);
        let at = At {
            node: &on.nodes[0],
            facts: &facts,
            fleet: &fleet,
            packages: &[],
        };
        let text = settings(&at).unwrap();
        for line in [
            "HOME_NET: \"[10.0.0.1,10.0.0.2,10.0.0.3,2001:db8:1:2::/64,203.0.113.5]\"",
            "SSH_PORTS: \"[2222]\"",
            "SERVED_PORTS: \"[2222,80,443,8443]\"",
            "interface: \"eth0\"",
        ] {
            assert!(text.contains(line), "{line}\n{text}");
        }
        assert!(!text.contains('@'), "{text}");
    }
}
