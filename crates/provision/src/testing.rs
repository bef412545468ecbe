//! What tests of concerns share.

use std::collections::BTreeSet;
use std::path::Path;

use super::fact_cache::FleetFacts;
use super::facts::NodeFacts;
use super::{Concern, NodeView};
use crate::ProvisionError;
use matou_config::Config;
use matou_job::Check;

/// A fleet of three with one more table.
pub(crate) fn config(more: &str) -> Config {
    let nodes = "[[nodes]]\nname = \"n1\"\naddress = \"n1.example.org\"\nadvertise = \"10.0.0.1\"\nrole = \"manager\"\n\
        [[nodes]]\nname = \"n2\"\naddress = \"n2.example.org\"\nadvertise = \"10.0.0.2\"\n\
        [[nodes]]\nname = \"n3\"\naddress = \"n3.example.org\"\nadvertise = \"10.0.0.3\"\n";
    Config::parse(&format!("{more}\n{nodes}"), Path::new("/fleet/config.toml")).unwrap()
}

/// What a concern says of n1 when these are its facts.
pub(crate) fn check_of(
    concern: &dyn Concern,
    config: &Config,
    facts: NodeFacts,
) -> Result<Check, ProvisionError> {
    check_accepting(concern, config, facts, &[])
}

/// The same, with decisions taken.
pub(crate) fn check_accepting(
    concern: &dyn Concern,
    config: &Config,
    facts: NodeFacts,
    accepted: &[&str],
) -> Result<Check, ProvisionError> {
    let accepted: BTreeSet<String> = accepted.iter().map(|a| (*a).to_owned()).collect();
    let picture = FleetFacts::from_facts(config, &accepted, [("n1", facts.clone())]);
    concern.check(&NodeView {
        node: &config.nodes[0],
        facts: &facts,
        fleet: &picture,
        packages: &[],
    })
}

/// The lines of a plan, as they are shown.
pub(crate) fn lines(check: &Check) -> Vec<String> {
    match check {
        Check::Done(lines) | Check::Change(lines) => {
            lines.iter().map(ToString::to_string).collect()
        }
        Check::Unknown(why) => vec![format!("… {why}")],
    }
}
