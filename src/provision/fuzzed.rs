//! What fuzzing asks of provisioning: nodes print what they like.

use std::collections::BTreeSet;
use std::sync::Arc;

use super::facts::Needs;
use super::survey::Picture;
use super::{At, Concern, matou, stages};
use crate::config::Config;
use crate::job::Check;

/// Stands before each part of what a node prints; random when it counts.
pub(crate) const MARK: &str = "@@";

/// What concerns say of the first node when it printed this as its facts.
pub(crate) fn checks(
    config: &Config,
    printed: &str,
    wanted: impl Fn(&str) -> bool,
) -> Vec<Result<Check, String>> {
    let Some(node) = config.nodes.first() else {
        return Vec::new();
    };
    let facts = Needs::default().parse(MARK, printed);
    let accepted = BTreeSet::from([format!("{}:/dev/vdb", node.name)]);
    let picture = Picture::of(config, &accepted, [(node.name.as_str(), facts.clone())]);
    let at = At {
        node,
        facts: &facts,
        fleet: &picture,
        packages: &[],
    };
    let concerns: Vec<Arc<dyn Concern>> = stages().into_iter().flat_map(|(_, _, c)| c).collect();
    let asked = concerns.iter().filter(|c| wanted(c.name()));
    asked.map(|c| c.check(&at)).collect()
}

/// What one command printed, as a node's facts.
pub(crate) fn part(name: &str, text: &str) -> String {
    format!("\n{MARK} 0 {name}\n{text}\n{MARK} 0 =\n")
}

/// The ports that matou finds in what `sshd -T` printed.
pub(crate) fn ports(printed: &str) -> Vec<u16> {
    super::sshd::ports(&Needs::default().parse(MARK, &part("sshd", printed)))
}

/// config.toml as its first node has it, when that is a manager.
pub(crate) fn managers_copy(config: &Config, text: &str) -> Result<String, String> {
    let node = config.nodes.first().ok_or("no nodes")?;
    let accepted = BTreeSet::new();
    let fleet = Picture::of(config, &accepted, []);
    let at = At {
        node,
        facts: &Needs::default().parse(MARK, ""),
        fleet: &fleet,
        packages: &[],
    };
    matou::managers_copy(&at, text)
}
