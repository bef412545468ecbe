//! fail2ban: who guesses passwords at sshd or at a site behind Traefik is shut out for a time.
//!
//! Undo: `apt-get purge fail2ban`, remove /etc/fail2ban/jail.d/matou.local.

use async_trait::async_trait;

use super::Concern;
use super::desired::DesiredState;
use super::executor::NodeExecutor;
use super::facts::FactQuery;
use super::node_view::NodeView;
use crate::ProvisionError;
use matou_config::{Config, NodeConfig};
use matou_job::{Check, StepError};

/// Traefik's access log as JSON, where the catalogue's stack writes it. Keys come in the order of
/// the alphabet. fail2ban finds a date only when its pattern ends where a word does: after the zone.
/// Source: <https://doc.traefik.io/traefik/observability/access-logs/>.
const FILTER: &str = include_str!("../files/fail2ban-filter.conf");

/// fail2ban does not start when a log is not there.
const LOG: &str = include_str!("../files/traefik-log.tmpfiles.conf");

const ROTATE: &str = include_str!("../files/traefik.logrotate");

fn render_jails(at: &NodeView<'_>) -> Result<String, ProvisionError> {
    let mut friends = vec!["127.0.0.0/8".to_owned(), "::1".to_owned()];
    friends.extend(
        at.fleet
            .node_addresses()?
            .iter()
            .map(|(_, ip)| ip.to_string()),
    );
    friends.extend(at.config().provision.ssh_from.iter().cloned());
    Ok(format!(
        "# Kept by `matou provision`.\n[DEFAULT]\n\
         # Never the fleet itself, nor those that SSH is open to by name.\n\
         ignoreip = {}\n\
         bantime = 1h\nbantime.increment = true\nbantime.maxtime = 1w\nfindtime = 10m\nmaxretry = 5\n\
         banaction = nftables-multiport\nbanaction_allports = nftables-allports\n\n\
         [sshd]\nenabled = true\nbackend = systemd\n\n\
         # What comes in for a container is routed before it meets the input chain.\n\
         [traefik-auth]\nenabled = true\nbackend = polling\nport = http,https\nfilter = matou-traefik\n\
         logpath = /var/log/traefik/access.log\n\
         action = nftables-multiport[name=traefik-auth, port=\"http,https\", chain_hook=prerouting, chain_priority=-150]\n",
        friends.join(" ")
    ))
}

/// The concern `fail2ban`.
pub(crate) struct Fail2banConcern;

fn desired_traefik_logs() -> DesiredState {
    DesiredState::default()
        .with_packages(["fail2ban", "python3-systemd", "nftables", "logrotate"])
        .with_file("/etc/tmpfiles.d/matou-traefik.conf", 0o644, LOG)
        .with_file("/etc/logrotate.d/matou-traefik", 0o644, ROTATE)
        .on_file_change("systemd-tmpfiles --create /etc/tmpfiles.d/matou-traefik.conf")
}

fn desired_jails(at: &NodeView<'_>) -> Result<DesiredState, ProvisionError> {
    Ok(DesiredState::default()
        .with_file("/etc/fail2ban/filter.d/matou-traefik.conf", 0o644, FILTER)
        .with_file("/etc/fail2ban/jail.d/matou.local", 0o644, render_jails(at)?)
        .with_unit("fail2ban.service"))
}

#[async_trait]
impl Concern for Fail2banConcern {
    fn name(&self) -> &'static str {
        "fail2ban"
    }

    fn fact_query(&self, _: &NodeConfig, _: &Config) -> FactQuery {
        desired_traefik_logs()
            .fact_query()
            .with_files([
                "/etc/fail2ban/filter.d/matou-traefik.conf",
                "/etc/fail2ban/jail.d/matou.local",
            ])
            .with_units(["fail2ban.service"])
    }

    fn required_packages(&self, _: &NodeConfig, _: &Config) -> Vec<String> {
        desired_traefik_logs().package_names()
    }

    fn check(&self, at: &NodeView<'_>) -> Result<Check, ProvisionError> {
        let mut lines = desired_traefik_logs().compare(at.facts);
        lines.extend(desired_jails(at)?.compare(at.facts));
        Ok(Check::from_changes(lines))
    }

    async fn apply(&self, at: &NodeView<'_>, run: &NodeExecutor<'_>) -> Result<(), StepError> {
        desired_traefik_logs().apply(at, run).await?;
        desired_jails(at)?.apply(at, run).await
    }
}
