//! A security group of Scaleway, kept as the fleet needs it: the provider drops what the nodes'
//! own firewalls would drop. API: <https://www.scaleway.com/en/developers/api/instances/>.
//!
//! Undo: in Scaleway's console, or by its API; the plan shows every rule that goes.

use async_trait::async_trait;
use matou_i18n::tr;
use secrecy::{ExposeSecret, SecretString};
use serde::{Deserialize, Serialize};
use std::sync::Arc;

use super::fact_cache::FactCache;
use crate::ProvisionError;
use matou_config::{Config, ScalewayConfig};
use matou_job::{Change, Check, Step, StepContext, StepError};

/// How long the API may take for one answer.
const TIMEOUT: std::time::Duration = std::time::Duration::from_secs(20);

/// Most rules that are read: one page of the API.
const PAGE: usize = 100;

/// The step that compares and sets the group.
pub(super) struct SecurityGroupStep {
    pub config: Arc<Config>,
    pub scaleway: ScalewayConfig,
    pub survey: Arc<FactCache>,
}

/// A rule of the API, with the fields that are compared.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize)]
struct SecurityGroupRule {
    protocol: String,
    direction: String,
    action: String,
    ip_range: String,
    dest_port_from: Option<u16>,
    dest_port_to: Option<u16>,
    /// Rules of the provider itself can't be changed.
    #[serde(default = "yes", skip_serializing)]
    editable: bool,
}

fn yes() -> bool {
    true
}

impl SecurityGroupRule {
    fn accept_inbound(protocol: &str, ip_range: &str, port: Option<u16>) -> Self {
        Self {
            protocol: protocol.into(),
            direction: "inbound".into(),
            action: "accept".into(),
            ip_range: ip_range.into(),
            dest_port_from: port,
            dest_port_to: None,
            editable: true,
        }
    }

    /// Returns the rule as it is compared: of a single port, the API gives `to` as null or as equal
    /// to `from`.
    fn normalized(mut self) -> Self {
        if self.dest_port_to == self.dest_port_from {
            self.dest_port_to = None;
        }
        self
    }

    fn describe(&self) -> String {
        let ports = match (self.dest_port_from, self.dest_port_to) {
            (None, _) => tr!("all ports").to_owned(),
            (Some(from), None) => from.to_string(),
            (Some(from), Some(to)) => format!("{from}-{to}"),
        };
        matou_base::text::clean_line(&tr!(
            "{} {} {ports} from {}",
            self.action,
            self.protocol.to_ascii_lowercase(),
            self.ip_range
        ))
        .into_owned()
    }
}

#[derive(Deserialize)]
struct RawSecurityGroupRules {
    rules: Vec<SecurityGroupRule>,
}

#[derive(Deserialize)]
struct RawSecurityGroup {
    security_group: SecurityGroupPolicy,
}

#[derive(Deserialize)]
struct SecurityGroupPolicy {
    name: String,
    inbound_default_policy: String,
}

/// The group as it is.
struct FoundSecurityGroup {
    policy: SecurityGroupPolicy,
    rules: Vec<SecurityGroupRule>,
}

impl SecurityGroupStep {
    async fn wanted_rules(&self) -> Result<Vec<SecurityGroupRule>, StepError> {
        let picture = self.survey.gather_facts().await;
        let everywhere = ["0.0.0.0/0", "::/0"];
        let config = &self.config.provision;
        let mut rules = Vec::new();
        for range in everywhere {
            for port in [80, 443] {
                rules.push(SecurityGroupRule::accept_inbound("TCP", range, Some(port)));
            }
            rules.push(SecurityGroupRule::accept_inbound("UDP", range, Some(443)));
            for open in &config.open_ports {
                if let Some((port, kind)) = open.split_once('/') {
                    let kind = kind.to_ascii_uppercase();
                    rules.push(SecurityGroupRule::accept_inbound(
                        &kind,
                        range,
                        port.parse().ok(),
                    ));
                }
            }
        }
        rules.push(SecurityGroupRule::accept_inbound("ICMP", "0.0.0.0/0", None));
        let mut ssh: Vec<u16> = Vec::new();
        for node in &self.config.nodes {
            // Of a node that does not answer the usual port is assumed.
            let ports = picture
                .node_facts(&node.name)
                .map_or_else(|_| vec![22], super::sshd::sshd_ports);
            ssh.extend(ports);
        }
        ssh.sort_unstable();
        ssh.dedup();
        let whole = |address: &str| match address.contains('/') {
            true => address.to_owned(),
            false if address.contains(':') => format!("{address}/128"),
            false => format!("{address}/32"),
        };
        let from: Vec<String> = match config.ssh_from.as_slice() {
            [] => everywhere.map(str::to_owned).to_vec(),
            from => from.iter().map(|a| whole(a)).collect(),
        };
        for range in &from {
            for port in &ssh {
                rules.push(SecurityGroupRule::accept_inbound("TCP", range, Some(*port)));
            }
        }
        for (_, ip) in picture.node_addresses()? {
            rules.push(SecurityGroupRule::accept_inbound(
                "ANY",
                &whole(&ip.to_string()),
                None,
            ));
        }
        rules.sort();
        rules.dedup();
        Ok(rules)
    }

    fn read_token(&self) -> Result<SecretString, StepError> {
        let path = &self.scaleway.token_file;
        let text = std::fs::read_to_string(path).map_err(|e| {
            StepError::failed(tr!(
                "the token of Scaleway can't be read from {}: {e}",
                path.display()
            ))
        })?;
        Ok(SecretString::from(text.trim().to_owned()))
    }

    fn api_url(&self, more: &str) -> String {
        format!(
            "{}/instance/v1/zones/{}/security_groups/{}{more}",
            self.scaleway.url, self.scaleway.zone, self.scaleway.security_group
        )
    }

    async fn fetch_group(&self) -> Result<FoundSecurityGroup, StepError> {
        let token = self.read_token()?;
        let (group, rules) = (
            self.api_url(""),
            self.api_url(&format!("/rules?per_page={PAGE}")),
        );
        let get = {
            let token = token.clone();
            move |url: &str| call_scaleway_api("GET", url, &token, None)
        };
        let answers = tokio::task::spawn_blocking(move || {
            Ok::<_, ProvisionError>((get(&group)?, get(&rules)?))
        });
        let (group, rules) = answers
            .await
            .map_err(|e| StepError::failed(e.to_string()))??;
        let strange =
            |e: serde_json::Error| StepError::failed(tr!("Scaleway's API answers strangely: {e}"));
        let group: RawSecurityGroup = serde_json::from_str(&group).map_err(strange)?;
        let rules: RawSecurityGroupRules = serde_json::from_str(&rules).map_err(strange)?;
        if rules.rules.len() >= PAGE {
            return Err(StepError::failed(tr!(
                "the security group has {PAGE} rules or more: tidy it up in Scaleway's console first"
            )));
        }
        Ok(FoundSecurityGroup {
            policy: group.security_group,
            rules: rules
                .rules
                .into_iter()
                .map(SecurityGroupRule::normalized)
                .collect(),
        })
    }
}

/// Calls the API and returns the body of its answer; blocks.
fn call_scaleway_api(
    method: &str,
    url: &str,
    token: &SecretString,
    body: Option<String>,
) -> Result<String, ProvisionError> {
    let agent: ureq::Agent = ureq::Agent::config_builder()
        .timeout_global(Some(TIMEOUT))
        .http_status_as_error(false)
        .build()
        .into();
    let request = ureq::http::Request::builder()
        .method(method)
        .uri(url)
        .header("X-Auth-Token", token.expose_secret())
        .header("Content-Type", "application/json")
        .body(body.unwrap_or_default())
        .map_err(|e| format!("{method} {url}: {e}"))?;
    let mut answer = agent
        .run(request)
        .map_err(|e| format!("{method} {url}: {e}"))?;
    let text = answer
        .body_mut()
        .read_to_string()
        .map_err(|e| format!("{method} {url}: {e}"))?;
    match answer.status().as_u16() {
        200..300 => Ok(text),
        401 | 403 => Err(ProvisionError::failed(tr!(
            "Scaleway refuses the token ({}): it needs the permission set InstancesFullAccess",
            answer.status().as_u16()
        ))),
        404 => Err(tr!(
            "Scaleway knows no such security group in that zone: look at [scaleway] in config.toml"
        )
        .into()),
        code => Err(ProvisionError::failed(tr!(
            "{method} {url} answered {code}: {}",
            matou_base::text::clean_line(text.chars().take(200).collect::<String>().as_str())
        ))),
    }
}

#[async_trait]
impl Step for SecurityGroupStep {
    fn name(&self) -> String {
        "scaleway".into()
    }

    async fn check(&self, _: &StepContext) -> Result<Check, StepError> {
        let (wanted, found) = (self.wanted_rules().await?, self.fetch_group().await?);
        let name = matou_base::text::clean_line(&found.policy.name).into_owned();
        let mut lines = vec![match found.policy.inbound_default_policy.as_str() {
            "drop" => Change::same(tr!("security group {name} drops what no rule accepts")),
            other => Change::modify(tr!("default of security group {name}"), other, "drop"),
        }];
        let ours: Vec<&SecurityGroupRule> = found
            .rules
            .iter()
            .filter(|r| r.direction == "inbound" && r.editable)
            .collect();
        for rule in &wanted {
            lines.push(match ours.contains(&rule) {
                true => Change::same(rule.describe()),
                false => Change::add(rule.describe()),
            });
        }
        for rule in ours.into_iter().filter(|r| !wanted.contains(r)) {
            lines.push(
                Change::remove(rule.describe()).with_warning(tr!("config.toml does not name it")),
            );
        }
        Ok(Check::from_changes(lines))
    }

    async fn apply(&self, cx: &StepContext) -> Result<(), StepError> {
        let found = self.fetch_group().await?;
        let mut rules = self.wanted_rules().await?;
        // Rules for outgoing traffic are kept.
        rules.extend(
            found
                .rules
                .into_iter()
                .filter(|r| r.direction != "inbound" && r.editable),
        );
        let token = self.read_token()?;
        let (group, all) = (self.api_url(""), self.api_url("/rules"));
        let json = |value: serde_json::Value| Some(value.to_string());
        let put = json(serde_json::json!({ "rules": rules }));
        let patch = json(serde_json::json!({ "inbound_default_policy": "drop" }));
        // The rules first: with the new default alone everybody would be locked out.
        let done = tokio::task::spawn_blocking(move || {
            call_scaleway_api("PUT", &all, &token, put)?;
            call_scaleway_api("PATCH", &group, &token, patch)
        });
        done.await.map_err(|e| StepError::failed(e.to_string()))??;
        cx.out.note(tr!("the security group is set")).await;
        Ok(())
    }
}
