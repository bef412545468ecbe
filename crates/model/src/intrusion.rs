//! What an intrusion detection system of a node tells.

use std::collections::BTreeMap;
use std::net::IpAddr;

use jiff::Timestamp;
use serde::Serialize;

use crate::NodeProblem;

/// Addresses and ports that a group names at most.
const MAX_TARGETS: usize = 5;

/// An alert of one rule.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct Intrusion {
    /// When the packet came.
    pub at: Timestamp,
    /// The rule's message.
    pub signature: String,
    /// Id of the rule: `1:1866010`, generator and signature.
    pub rule: String,
    /// The rule's class.
    pub category: String,
    /// 1 is worst, 3 mildest.
    pub severity: u8,
    /// Who sent it.
    pub source: IpAddr,
    /// Address and port, as `203.0.113.7:80`.
    pub target: String,
    /// What was requested, as far as it is known.
    pub detail: Option<String>,
}

/// The alerts of one node.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct NodeIntrusions {
    /// Name in config.toml.
    pub node: String,
    /// In the order of the log: oldest first.
    pub intrusions: Vec<Intrusion>,
    /// Older ones are left out.
    pub cut: bool,
    /// Why the alerts can't be read, or why no new ones come, with what to do.
    pub problem: Option<NodeProblem>,
}

/// The alerts of one rule about one address.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct IntrusionGroup {
    /// The rule's message.
    pub signature: String,
    /// Id of the rule.
    pub rule: String,
    /// The rule's class.
    pub category: String,
    /// 1 is worst, 3 mildest.
    pub severity: u8,
    /// Who sent them.
    pub source: IpAddr,
    /// How many there are.
    pub count: usize,
    /// The oldest.
    pub first: Timestamp,
    /// The newest.
    pub last: Timestamp,
    /// Where it was seen, in the order of config.toml.
    pub nodes: Vec<String>,
    /// The first few that it went to.
    pub targets: Vec<String>,
    /// The detail of the newest alert that has one.
    pub detail: Option<String>,
}

/// Groups the alerts since a time by rule and address, the newest group first.
pub fn group_intrusions(nodes: &[NodeIntrusions], since: Option<Timestamp>) -> Vec<IntrusionGroup> {
    let mut groups: BTreeMap<(&str, IpAddr), (IntrusionGroup, Option<Timestamp>)> = BTreeMap::new();
    for node in nodes {
        let wanted = |i: &&Intrusion| since.is_none_or(|since| i.at >= since);
        for found in node.intrusions.iter().filter(wanted) {
            let new = || IntrusionGroup {
                signature: found.signature.clone(),
                rule: found.rule.clone(),
                category: found.category.clone(),
                severity: found.severity,
                source: found.source,
                count: 0,
                first: found.at,
                last: found.at,
                nodes: Vec::new(),
                targets: Vec::new(),
                detail: None,
            };
            let (group, told) = groups
                .entry((&found.rule, found.source))
                .or_insert_with(|| (new(), None));
            group.count += 1;
            group.first = group.first.min(found.at);
            group.last = group.last.max(found.at);
            if !group.nodes.contains(&node.node) {
                group.nodes.push(node.node.clone());
            }
            if group.targets.len() < MAX_TARGETS && !group.targets.contains(&found.target) {
                group.targets.push(found.target.clone());
            }
            if found.detail.is_some() && *told <= Some(found.at) {
                group.detail.clone_from(&found.detail);
                *told = Some(found.at);
            }
        }
    }
    let mut groups: Vec<_> = groups.into_values().map(|(group, _)| group).collect();
    groups.sort_by(|a, b| b.last.cmp(&a.last).then(a.severity.cmp(&b.severity)));
    groups
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn one_line_a_rule_and_address_the_newest_first() {
        let at = |minute: i64| Timestamp::from_second(minute * 60).unwrap();
        let found = |minute, rule: &str, source: &str, detail: Option<&str>| Intrusion {
            at: at(minute),
            signature: format!("signature of {rule}"),
            rule: rule.into(),
            category: String::new(),
            severity: 2,
            source: source.parse().unwrap(),
            target: format!("10.0.0.1:{minute}"),
            detail: detail.map(str::to_owned),
        };
        let node = |node: &str, intrusions| NodeIntrusions {
            node: node.into(),
            intrusions,
            cut: false,
            problem: None,
        };
        let nodes = [
            node(
                "n1",
                vec![
                    found(1, "1:1", "192.0.2.1", Some("old")),
                    found(9, "1:1", "192.0.2.1", Some("newest")),
                    found(10, "1:1", "192.0.2.1", None),
                ],
            ),
            node(
                "n2",
                vec![
                    found(5, "1:1", "192.0.2.1", Some("between")),
                    found(11, "1:1", "192.0.2.2", None),
                    found(3, "1:2", "192.0.2.1", None),
                ],
            ),
        ];
        let groups = group_intrusions(&nodes, None);
        let brief: Vec<_> = groups
            .iter()
            .map(|g| (&*g.rule, g.source.to_string(), g.count))
            .collect();
        let wanted = |rule, source: &str, count| (rule, source.to_owned(), count);
        assert_eq!(
            brief,
            [
                wanted("1:1", "192.0.2.2", 1),
                wanted("1:1", "192.0.2.1", 4),
                wanted("1:2", "192.0.2.1", 1)
            ]
        );
        let most = &groups[1];
        assert_eq!((most.first, most.last), (at(1), at(10)));
        assert_eq!(most.detail.as_deref(), Some("newest"));
        assert_eq!(most.nodes, ["n1", "n2"]);
        assert_eq!(group_intrusions(&nodes, Some(at(10))).len(), 2);
    }
}
