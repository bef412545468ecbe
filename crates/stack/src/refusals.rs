//! All that the engine's client and Swarm refuse in a stack file, with its lines.

use std::collections::BTreeSet;

use matou_i18n::tr;
use serde_yaml::{Mapping, Value};

use super::compose_check::check_compose_form;
use super::compose_rules::{self, RuleFindings};
use super::line_index::LineIndex;
use super::lint::{LintFinding, LintSeverity, MAX_FINDINGS, MAX_MESSAGE_BYTES, section_entries};
use super::password_hashes::find_cut_hashes;
use super::stack_file::StackFile;
use super::swarm_rules;

/// Adds what is refused, for an application of the name `app`, to what was found already.
pub(super) fn add_refusals(
    stack: &StackFile,
    app: &str,
    places: &LineIndex,
    compose: &Mapping,
    found: &mut Vec<LintFinding>,
) {
    let mut rules = RuleFindings::default();
    compose_rules::check_declarations(compose, &stack.extension.secrets, &mut rules);
    swarm_rules::check_names(app, compose, &stack.extension.secrets, &mut rules);
    for (name, service) in section_entries(compose, "services") {
        if let Value::Mapping(service) = service {
            compose_rules::check_conversion(name, service, &mut rules);
            swarm_rules::check_swarm_service(name, service, &mut rules);
        }
    }
    let form = check_compose_form(compose)
        .into_iter()
        .map(|located| (LintSeverity::Error, located));
    let errors = found.iter().filter(|f| f.severity == LintSeverity::Error);
    let known: BTreeSet<usize> = errors.map(|f| f.line).collect();
    let mut said = [0; 2];
    for (severity, (place, mut message)) in form.chain(rules.0) {
        let place: Vec<&str> = place.iter().map(String::as_str).collect();
        let line = places.line_of(&place);
        said[severity as usize] += 1;
        // A port is looked at twice.
        if said[severity as usize] > MAX_FINDINGS
            || (known.contains(&line) && message.contains(tr!("is no port")))
        {
            continue;
        }
        if message.len() > MAX_MESSAGE_BYTES {
            message.truncate(message.floor_char_boundary(MAX_MESSAGE_BYTES));
            message.push('…');
        }
        found.push(LintFinding {
            severity,
            file: stack.file.clone(),
            line,
            message,
        });
    }
    found.extend(find_cut_hashes(&stack.file, &stack.text));
    found.sort_by_key(|f| (f.line, f.severity));
    found.dedup();
}
