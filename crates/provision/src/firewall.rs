//! The firewall: nothing comes in but SSH, 80 and 443; the swarm's and NFS's ports are open between
//! the fleet's nodes only. A table of its own: nothing of Docker's or anybody's rules is touched.
//! Ports that containers publish are covered too: they bypass the input chain, so a forward chain
//! looks at what was redirected. A container leaves its node with the node's address, so what it
//! sends to other nodes is dropped there, but for what everybody may reach. Guarded: the node takes a
//! change back by itself unless a new connection works.
//!
//! Undo: `systemctl disable --now matou-firewall`.

use matou_i18n::tr;
use std::net::IpAddr;

use async_trait::async_trait;

use super::Concern;
use super::desired::{DesiredFile, DesiredState, compare_desired_file};
use super::executor::{GuardedChange, NodeExecutor};
use super::facts::FactQuery;
use super::node_view::NodeView;
use super::reached_ports::{
    AcceptedPorts, describe_other_rules, reached_ports_query, warn_of_dropped_ports,
};
use crate::ProvisionError;
use matou_config::{Config, NodeConfig, StorageDriver};
use matou_host::shell_script;
use matou_job::{Change, ChangeKind, Check, StepError};

const RULES: &str = "/etc/matou/firewall.nft";
/// Hash of the rules as the kernel lists them.
const LIVE_HASH: &str = "/var/lib/matou/firewall.sha256";
const UNIT: &str = "matou-firewall.service";

const UNIT_FILE: &str = include_str!("../files/matou-firewall.service");

/// `$1` is the file of rules, `$2` is [`LIVE_HASH`]: the hash of the rules that were confirmed, by
/// which is noticed when somebody changes them by hand.
const SCRIPTS: GuardedChange = GuardedChange {
    change: shell_script(include_str!("../scripts/change_firewall.sh")),
    // The file still is the one that was proven; rules changed by hand since give way to it.
    restore: shell_script(include_str!("../scripts/restore_firewall.sh")),
    // What can fail comes before the step from which nothing goes back. Whether the unit could be
    // started is looked at afterwards, as everything is.
    keep: shell_script(include_str!("../scripts/keep_firewall.sh")),
};

/// What the rules are made of; `@NAME@` stands for what the fleet has.
const TEMPLATE: &str = include_str!("../files/firewall.nft");

/// The concern `firewall`.
pub(crate) struct FirewallConcern;

fn desired_firewall_unit() -> DesiredState {
    DesiredState::default()
        .with_packages(["nftables"])
        .with_file(
            "/etc/systemd/system/matou-firewall.service",
            0o644,
            UNIT_FILE,
        )
}

/// Renders the line of a set's elements; empty for a set without any.
fn render_set_elements(all: &[String]) -> String {
    match all {
        [] => String::new(),
        all => format!("elements = {{ {} }}", all.join(", ")),
    }
}

fn split_ip_families(addresses: impl IntoIterator<Item = String>) -> (Vec<String>, Vec<String>) {
    addresses.into_iter().partition(|a| !a.contains(':'))
}

fn render_firewall_rules(at: &NodeView<'_>) -> Result<String, ProvisionError> {
    let config = at.config();
    let fleet = at.fleet.node_addresses()?;
    let (fleet4, fleet6) =
        split_ip_families(fleet.iter().map(|(_, ip): &(_, IpAddr)| ip.to_string()));
    let (ssh4, ssh6) = split_ip_families(config.provision.ssh_from.iter().cloned());
    let ports = |kind: &str| -> Vec<String> {
        config
            .provision
            .open_ports
            .iter()
            .filter_map(|p| p.strip_suffix(kind))
            .map(str::to_owned)
            .collect()
    };
    let tcp = [vec!["80".into(), "443".into()], ports("/tcp")]
        .concat()
        .join(", ");
    // HTTP/3 is QUIC, over UDP.
    let udp = [vec!["443".into()], ports("/udp")].concat().join(", ");
    let ssh: Vec<String> = super::sshd::sshd_ports(at.facts)
        .iter()
        .map(u16::to_string)
        .collect();
    let ssh = ssh.join(", ");
    let mut inside = vec![ssh.clone(), "2377".into(), "7946".into()];
    if matches!(
        config.storage.driver,
        StorageDriver::Nfs | StorageDriver::Netshare
    ) && at.is_storage_node()
    {
        inside.push("2049".into());
    }
    if config.storage.gluster.contains(&at.node.name) {
        inside.extend(["24007".into(), "24008".into(), "49152-60999".into()]);
    }
    let anywhere = match ssh4.is_empty() && ssh6.is_empty() {
        true => format!("tcp dport {{ {ssh} }} accept"),
        false => String::new(),
    };
    let mut text = TEMPLATE.to_owned();
    for (name, value) in [
        ("FLEET4", render_set_elements(&fleet4)),
        ("FLEET6", render_set_elements(&fleet6)),
        ("SSH4", render_set_elements(&ssh4)),
        ("SSH6", render_set_elements(&ssh6)),
        ("SSH_FROM_ANYWHERE", anywhere),
        ("TCP", tcp),
        ("UDP", udp),
        ("SSH", ssh),
        ("INSIDE", inside.join(", ")),
    ] {
        let place = format!("@{name}@");
        text = match value.is_empty() {
            true => text.replace(&format!("        {place}\n"), ""),
            false => text.replace(&place, &value),
        };
    }
    Ok(text)
}

fn desired_firewall_file(at: &NodeView<'_>) -> Result<DesiredFile, ProvisionError> {
    Ok(DesiredFile {
        path: RULES.into(),
        content: render_firewall_rules(at)?,
        mode: 0o600,
    })
}

#[async_trait]
impl Concern for FirewallConcern {
    fn name(&self) -> &'static str {
        "firewall"
    }

    fn fact_query(&self, _: &NodeConfig, _: &Config) -> FactQuery {
        desired_firewall_unit()
            .fact_query()
            .merge(super::sshd::sshd_config_query())
            .merge(reached_ports_query())
            .with_files([RULES, LIVE_HASH])
            .with_units([UNIT, "ufw.service", "firewalld.service"])
            .with_command("nft", "nft list table inet matou")
    }

    fn required_packages(&self, _: &NodeConfig, _: &Config) -> Vec<String> {
        desired_firewall_unit().package_names()
    }

    fn check(&self, at: &NodeView<'_>) -> Result<Check, ProvisionError> {
        for other in ["ufw.service", "firewalld.service"] {
            let name = other.trim_end_matches(".service");
            let found = at.facts.unit(other);
            if found.active == "active"
                && found.sub != "dead"
                && at.facts.package_version(name).is_some()
            {
                return Ok(Check::Change(vec![Change::decide(tr!(
                    "{name} runs on {}, and two firewalls get in each other's way: run `systemctl disable --now {name}` there, or put \"firewall\" into [provision] off",
                    at.node.name
                ))]));
            }
        }
        let mut lines = desired_firewall_unit().compare(at.facts);
        let file = desired_firewall_file(at)?;
        lines.push(compare_desired_file(at.facts, &file));
        let stored = at
            .facts
            .file(LIVE_HASH)
            .map(|f| f.content.trim().to_owned());
        let runs = at.facts.unit(UNIT);
        lines.push(
            match (stored, runs.active.as_str(), runs.starts_at_boot()) {
                (Some(hash), "active", true)
                    if matou_base::text::sha256_hex(at.facts.raw_output("nft")) == hash =>
                {
                    Change::same(tr!("the kernel has these rules, also after a reboot"))
                }
                (Some(_), "active", true) => Change::modify(
                    tr!("rules in the kernel"),
                    tr!("changed by hand"),
                    tr!("those of the file"),
                ),
                _ => Change::add(tr!("rules in the kernel, also after a reboot")),
            },
        );
        let changes = lines.iter().any(|l| l.kind != ChangeKind::Same);
        let from = &at.config().provision.ssh_from;
        if changes && !from.is_empty() {
            lines.push(Change::same(tr!(
                "SSH is open to {} and the fleet",
                from.join(", ")
            )));
        }
        if changes {
            let has = at.facts.succeeded("nft");
            let has = has.then(|| AcceptedPorts::parse(at.facts.raw_output("nft")));
            let rules = AcceptedPorts::parse(&file.content);
            lines.extend(warn_of_dropped_ports(at, has.as_ref(), &rules));
            lines.extend(describe_other_rules(at.facts));
        }
        Ok(Check::from_changes(lines))
    }

    async fn apply(&self, at: &NodeView<'_>, run: &NodeExecutor<'_>) -> Result<(), StepError> {
        desired_firewall_unit().apply(at, run).await?;
        let file = desired_firewall_file(at)?;
        run.run_script(
            tr!("make /etc/matou"),
            "install -d -m 700 /etc/matou",
            [""; 0],
        )
        .await?;
        run.write_file(&format!("{RULES}.new"), &file.content, file.mode)
            .await?;
        run.run_guarded(
            "firewall",
            &SCRIPTS,
            &[RULES.to_owned(), LIVE_HASH.to_owned()],
        )
        .await
    }
}

#[cfg(test)]
mod tests {
    use super::super::facts::NodeFacts;
    use super::super::testing::{config, lines};
    use super::*;
    use std::collections::BTreeSet;

    fn rules_of(more: &str) -> String {
        let config = config(more);
        let accepted = BTreeSet::new();
        let facts = NodeFacts::of(&[("sshd", "port 2222")]);
        let fleet =
            super::super::FleetFacts::from_facts(&config, &accepted, [("n1", facts.clone())]);
        render_firewall_rules(&NodeView {
            node: &config.nodes[0],
            facts: &facts,
            fleet: &fleet,
            packages: &[],
        })
        .unwrap()
    }

    #[test]
    fn the_rules_are_as_shown() {
        insta::assert_snapshot!(rules_of(
            "[storage]\ndriver = \"nfs\"\n[provision]\nopen_ports = [\"8443/tcp\", \"53/udp\"]\nssh_from = [\"203.0.113.0/24\", \"2001:db8::7\"]"
        ));
    }

    #[test]
    fn another_firewall_is_a_decision() {
        let facts = NodeFacts::of(&[("packages", "ufw ii 1")]).with_unit(
            "ufw.service",
            "active",
            "enabled",
        );
        let plan = super::super::testing::check_of(&FirewallConcern, &config(""), facts).unwrap();
        assert!(lines(&plan)[0].starts_with("! ufw runs on n1"));
    }
}
