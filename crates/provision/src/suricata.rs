//! Suricata: sees who scans, guesses passwords or tries known holes, by what comes in on the
//! interface of the default route, and what only a broken-into application sends. It only watches.
//! Nothing unless config.toml switches it on: it costs memory. Its own part of the configuration is
//! proven by Suricata before it is put in place.
//!
//! Undo: `apt-get purge suricata suricata-update`, remove /etc/suricata and
//! /etc/systemd/system/suricata.service.d, `systemctl disable --now matou-suricata-logs.timer
//! matou-suricata-rules.timer`.

use matou_i18n::tr;
use std::collections::BTreeSet;
use std::net::IpAddr;

use async_trait::async_trait;

use super::Concern;
use super::desired::{DesiredState, HARDENED, READ_ONLY_SYSTEM};
use super::executor::NodeExecutor;
use super::facts::FactQuery;
use super::node_view::NodeView;
use crate::ProvisionError;
use matou_config::{Config, NodeConfig, SuricataRules};
use matou_host::shell_script;
use matou_job::{ChangeKind, Check, StepError};

const SETTINGS: &str = "/etc/suricata/matou.yaml";
const RULES: &str = "/etc/suricata/rules/matou.rules";
/// What `suricata-update` fetched.
const FETCHED: &str = "/var/lib/suricata/rules/suricata.rules";
const DROP_IN: &str = "/etc/systemd/system/suricata.service.d/matou.conf";
const UNIT: &str = "suricata.service";

const OWN_RULES: &str = include_str!("../files/suricata.rules");

/// Debian 12 has Suricata in its backports only.
const SOURCE: &str = include_str!("../files/backports.sources");
const PIN: &str = include_str!("../files/suricata.preferences");

/// Renders what replaces settings of the package's unit: it starts when there is a configuration,
/// runs in the foreground, with a limit of memory, and has less weight than applications.
fn render_suricata_drop_in(rules: SuricataRules) -> String {
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
const ROTATE: &str = include_str!("../files/suricata.logrotate");
const LOGS: &str = include_str!("../files/matou-suricata-logs.service");
const LOGS_TIMER: &str = include_str!("../files/matou-suricata-logs.timer");

/// `suricata-update` proves the rules by Suricata itself, and keeps the old ones when they are wrong.
const UPDATE: &str = include_str!("../files/matou-suricata-rules.service");
const UPDATE_TIMER: &str = include_str!("../files/matou-suricata-rules.timer");
/// Disables rules that come with Suricata and report odd packets, which are everyday.
const DISABLE: &str = "# Kept by `matou provision`.\nre:msg:\"SURICATA \n";

/// Proves the configuration and the rules in the files named.
const PROVE: &str = shell_script(include_str!("../scripts/prove_suricata.sh"));

/// The concern `suricata`.
pub(crate) struct SuricataConcern;

fn configured_suricata_rules(config: &Config) -> SuricataRules {
    config.provision.suricata
}

/// Returns an address as Suricata's HOME_NET has it: of IPv6 the whole network, since the node's
/// address may change within it.
fn home_network(ip: IpAddr, prefix: u8) -> String {
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

fn render_suricata_settings(at: &NodeView<'_>) -> Result<String, ProvisionError> {
    let interface = at.facts.default_interface().ok_or_else(|| {
        tr!(
            "{} has no default route: there is nothing to watch",
            at.node.name
        )
    })?;
    let mut homes: BTreeSet<String> = at
        .fleet
        .node_addresses()?
        .into_iter()
        .map(|(_, ip)| ip.to_string())
        .collect();
    let own = at.facts.addresses().into_iter();
    homes.extend(
        own.filter(|a| a.interface == interface)
            .map(|a| home_network(a.ip, a.prefix)),
    );
    let ssh: Vec<String> = super::sshd::sshd_ports(at.facts)
        .iter()
        .map(u16::to_string)
        .collect();
    let open = at.config().provision.open_ports.iter();
    let mut served: Vec<String> = open
        .filter_map(|p| p.strip_suffix("/tcp").map(str::to_owned))
        .collect();
    served.splice(0..0, ssh.iter().cloned().chain(["80".into(), "443".into()]));
    let homes: Vec<String> = homes.into_iter().collect();
    let mut text = include_str!("../files/suricata.yaml")
        .replace("@HOME@", &homes.join(","))
        .replace("@SSH@", &ssh.join(","))
        .replace("@SERVED@", &served.join(","))
        .replace("@INTERFACE@", &interface);
    if configured_suricata_rules(at.config()) == SuricataRules::Update {
        text += &format!("  - {FETCHED}\n");
    }
    Ok(text)
}

/// Where the package comes from, when the distribution itself does not have it.
fn desired_suricata_source(at: &NodeView<'_>) -> DesiredState {
    match at.facts.os_release() {
        os if os.id == "debian" && os.codename == "bookworm" => DesiredState::default()
            .with_file(
                "/etc/apt/sources.list.d/matou-backports.sources",
                0o644,
                SOURCE,
            )
            .with_file("/etc/apt/preferences.d/matou-backports", 0o644, PIN)
            .on_file_change("apt-get -q update -o DPkg::Lock::Timeout=300"),
        _ => DesiredState::default(),
    }
}

fn desired_suricata_packages(config: &Config) -> DesiredState {
    let desired = DesiredState::default().with_packages(["suricata", "logrotate"]);
    match configured_suricata_rules(config) {
        SuricataRules::Update => desired.with_packages(["suricata-update"]),
        _ => desired,
    }
}

/// Its files and units; `settings` may be empty when only their names matter.
fn desired_suricata_files(config: &Config, settings: &str) -> DesiredState {
    let units = "/etc/systemd/system/";
    let desired = DesiredState::default()
        .with_file(
            DROP_IN,
            0o644,
            render_suricata_drop_in(configured_suricata_rules(config)),
        )
        .with_file(RULES, 0o644, OWN_RULES)
        .with_file(SETTINGS, 0o644, settings)
        .with_file("/etc/logrotate.d/suricata", 0o644, ROTATE)
        .with_file(
            &format!("{units}matou-suricata-logs.service"),
            0o644,
            format!("{LOGS}{HARDENED}{READ_ONLY_SYSTEM}"),
        )
        .with_file(
            &format!("{units}matou-suricata-logs.timer"),
            0o644,
            LOGS_TIMER,
        )
        .on_file_change("systemctl daemon-reload")
        .with_unit(UNIT)
        .with_steady_unit("matou-suricata-logs.timer");
    match configured_suricata_rules(config) {
        SuricataRules::Update => desired
            .with_file("/etc/suricata/matou-disable.conf", 0o644, DISABLE)
            .with_file(
                &format!("{units}matou-suricata-rules.service"),
                0o644,
                format!("{UPDATE}{HARDENED}{READ_ONLY_SYSTEM}ProtectHome=yes\n"),
            )
            .with_file(
                &format!("{units}matou-suricata-rules.timer"),
                0o644,
                UPDATE_TIMER,
            )
            .with_steady_unit("matou-suricata-rules.timer"),
        _ => desired,
    }
}

#[async_trait]
impl Concern for SuricataConcern {
    fn name(&self) -> &'static str {
        "suricata"
    }

    fn applies_to(&self, _: &NodeConfig, config: &Config) -> bool {
        configured_suricata_rules(config) != SuricataRules::Off
    }

    fn fact_query(&self, _: &NodeConfig, config: &Config) -> FactQuery {
        desired_suricata_files(config, "")
            .fact_query()
            .merge(super::sshd::sshd_config_query())
            .with_files([
                "/etc/apt/sources.list.d/matou-backports.sources",
                "/etc/apt/preferences.d/matou-backports",
            ])
    }

    fn check(&self, at: &NodeView<'_>) -> Result<Check, ProvisionError> {
        let mut lines = desired_suricata_source(at).compare(at.facts);
        lines.extend(desired_suricata_packages(at.config()).compare(at.facts));
        lines.extend(
            desired_suricata_files(at.config(), &render_suricata_settings(at)?).compare(at.facts),
        );
        Ok(Check::from_changes(lines))
    }

    async fn apply(&self, at: &NodeView<'_>, run: &NodeExecutor<'_>) -> Result<(), StepError> {
        let config = at.config();
        let settings = render_suricata_settings(at)?;
        desired_suricata_source(at).apply(at, run).await?;
        // Before the package is installed, which starts Suricata.
        let drop_in = DesiredState::default().with_file(
            DROP_IN,
            0o644,
            render_suricata_drop_in(configured_suricata_rules(config)),
        );
        drop_in
            .on_file_change("systemctl daemon-reload")
            .apply(at, run)
            .await?;
        desired_suricata_packages(config).apply(at, run).await?;
        if configured_suricata_rules(config) == SuricataRules::Update {
            let empty = "set -e; mkdir -p \"${1%/*}\"; [ -e \"$1\" ] || : >\"$1\"";
            run.run_script(tr!("a place for fetched rules"), empty, [FETCHED])
                .await?;
        }
        let parts = desired_suricata_files(config, &settings);
        let changed = parts
            .compare(at.facts)
            .iter()
            .any(|l| l.kind != ChangeKind::Same);
        if changed {
            let new = |path: &str| format!("{path}.new");
            run.write_file(&new(SETTINGS), &settings, 0o644).await?;
            run.write_file(&new(RULES), OWN_RULES, 0o644).await?;
            run.run_script(
                tr!("prove Suricata's configuration"),
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
    use super::super::facts::NodeFacts;
    use super::super::testing::{check_of, config, lines};
    use super::*;

    const BOOKWORM: &str = "ID=debian\nVERSION_CODENAME=bookworm";
    const ADDRESSES: &str = r#"[{"ifname":"eth0","addr_info":[
        {"local":"203.0.113.5","prefixlen":24,"scope":"global"},
        {"local":"2001:db8:1:2:aaaa::5","prefixlen":64,"scope":"global"}]}]"#;

    fn facts(os: &str) -> NodeFacts {
        let route = "Iface Destination Gateway Flags RefCnt Use Metric Mask\neth0 00000000 010071CB 0003 0 0 0 00000000 0 0 0";
        NodeFacts::of(&[
            ("os", os),
            ("route", route),
            ("addresses", ADDRESSES),
            ("sshd", "port 2222"),
        ])
    }

    #[test]
    fn debian_12_gets_it_from_backports_others_from_their_own() {
        let on = config("[provision]\nsuricata = \"builtin\"");
        let plan = lines(&check_of(&SuricataConcern, &on, facts(BOOKWORM)).unwrap());
        let first = [
            "+ /etc/apt/sources.list.d/matou-backports.sources (6 lines)",
            "+ /etc/apt/preferences.d/matou-backports (4 lines)",
            "+ package suricata",
        ];
        assert_eq!(plan[..3], first);
        let trixie = facts("ID=debian\nVERSION_CODENAME=trixie");
        let plan = lines(&check_of(&SuricataConcern, &on, trixie).unwrap());
        assert!(plan[0] == "+ package suricata", "{plan:?}");
        let update = config("[provision]\nsuricata = \"update\"");
        let plan = lines(&check_of(&SuricataConcern, &update, facts(BOOKWORM)).unwrap());
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
        assert!(!SuricataConcern.applies_to(&off.nodes[0], &off));
    }

    #[test]
    fn what_is_home_comes_from_the_fleet_and_the_node() {
        let on =
            config("[provision]\nsuricata = \"builtin\"\nopen_ports = [\"8443/tcp\", \"53/udp\"]");
        let accepted = BTreeSet::new();
        let facts = facts(BOOKWORM);
        let fleet = super::super::fact_cache::FleetFacts::from_facts(
            &on,
            &accepted,
            [("n1", facts.clone())],
        );
        let at = NodeView {
            node: &on.nodes[0],
            facts: &facts,
            fleet: &fleet,
            packages: &[],
        };
        let text = render_suricata_settings(&at).unwrap();
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
