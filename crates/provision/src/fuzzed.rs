//! What fuzzing asks of provisioning: nodes print what they like.

use std::collections::BTreeSet;
use std::sync::Arc;

use super::fact_cache::FleetFacts;
use super::facts::FactQuery;
use super::{Concern, NodeView, matou, provision_stages};
use crate::ProvisionError;
use matou_config::Config;
use matou_job::Check;

/// Stands before each part of what a node prints; random when it counts.
pub(crate) const MARK: &str = "@@";

/// Returns the checks of the wanted concerns on the first node, when it printed this as its facts.
pub fn check_printed_facts(
    config: &Config,
    printed: &str,
    wanted: impl Fn(&str) -> bool,
) -> Vec<Result<Check, ProvisionError>> {
    let Some(node) = config.nodes.first() else {
        return Vec::new();
    };
    let facts = FactQuery::default().parse_output(MARK, printed);
    let accepted = BTreeSet::from([format!("{}:/dev/vdb", node.name)]);
    let picture = FleetFacts::from_facts(config, &accepted, [(node.name.as_str(), facts.clone())]);
    let at = NodeView {
        node,
        facts: &facts,
        fleet: &picture,
        packages: &[],
    };
    let concerns: Vec<Arc<dyn Concern>> = provision_stages()
        .into_iter()
        .flat_map(|(_, _, c)| c)
        .collect();
    let asked = concerns.iter().filter(|c| wanted(c.name()));
    asked.map(|c| c.check(&at)).collect()
}

/// What one command printed, as a node's facts.
pub fn print_fact_part(name: &str, text: &str) -> String {
    format!("\n{MARK} 0 {name}\n{text}\n{MARK} 0 =\n")
}

/// The ports that matou finds in what `sshd -T` printed.
pub fn parse_printed_ports(printed: &str) -> Vec<u16> {
    super::sshd::sshd_ports(
        &FactQuery::default().parse_output(MARK, &print_fact_part("sshd", printed)),
    )
}

/// config.toml as its first manager has it.
///
/// # Errors
/// As provisioning would end.
pub fn render_first_manager_config(config: &Config, text: &str) -> Result<String, ProvisionError> {
    let mut nodes = config.nodes.iter();
    let node = nodes
        .find(|n| n.role == matou_model::Role::Manager)
        .ok_or("no managers")?;
    let accepted = BTreeSet::new();
    let fleet = FleetFacts::from_facts(config, &accepted, []);
    let at = NodeView {
        node,
        facts: &FactQuery::default().parse_output(MARK, ""),
        fleet: &fleet,
        packages: &[],
    };
    matou::render_manager_config(&at, text)
}
