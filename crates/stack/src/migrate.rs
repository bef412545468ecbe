//! Rewrites a stack file with labels of Traefik 1 for Traefik 3; everything else in it stays as it
//! is, comments too.

use super::StackError;
use super::labels;
use super::line_index::LineIndex;
use super::safety;
use super::traefik1::{self, Labels, is_traefik1_label};
use serde_yaml::{Mapping, Value};

/// Returns the new text of a file, and notes for the operator. The text is unchanged when it has no
/// labels of Traefik 1. Variables stay variables.
///
/// # Errors
/// File and line of what is wrong.
pub fn migrate_file(
    file: &str,
    text: &str,
    app: &str,
    resolver: &str,
) -> Result<(String, Vec<String>), StackError> {
    safety::check_yaml_limits(text).map_err(|e| StackError::At {
        file: file.to_owned(),
        line: 1,
        message: e.to_string(),
    })?;
    let value: Value = serde_yaml::from_str(text).map_err(|e| StackError::At {
        file: file.to_owned(),
        line: e.location().map_or(1, |l| l.line()),
        message: e.to_string(),
    })?;
    let places = LineIndex::parse(text);
    let mut notes = Vec::new();
    let services = value.get("services").and_then(Value::as_mapping);
    let mut blocks = Vec::new();
    for (name, service) in services.into_iter().flatten() {
        let (Some(name), Some(service)) = (name.as_str(), service.as_mapping()) else {
            continue;
        };
        let old = labels::deploy_labels(service);
        if !old.keys().any(|l| is_traefik1_label(l)) {
            continue;
        }
        let line = places.line_of(&["services", name, "deploy", "labels"]);
        let id = format!("{app}-{name}");
        let migrated = traefik1::migrate_labels(&old, traefik1::RouterTarget { id: &id, resolver })
            .map_err(|e| StackError::At {
                file: file.to_owned(),
                line,
                message: e.to_string(),
            })?;
        notes.extend(
            migrated
                .notes
                .iter()
                .map(|note| format!("{file}:{line}: {note}")),
        );
        let list = service
            .get("deploy")
            .and_then(|d| d.get("labels"))
            .is_some_and(Value::is_sequence);
        blocks.push(LabelBlock {
            service: name.to_owned(),
            line,
            labels: migrated.labels,
            list,
        });
    }
    // From the end of the file, so that the line numbers of the other blocks stay right.
    blocks.sort_by_key(|block| std::cmp::Reverse(block.line));
    let mut lines = split_yaml_lines(text);
    for block in &blocks {
        block.replace_labels(&mut lines, file)?;
    }
    let new = lines.concat();
    if let Some(last) = blocks.last()
        && !differs_only_in_labels(value, &new, &blocks)
    {
        return Err(StackError::At {
            file: file.to_owned(),
            line: last.line,
            message: format!(
                "the labels of {} can't be rewritten where they are: write them below `deploy:` and `labels:`, on lines of their own",
                last.service
            ),
        });
    }
    Ok((new, notes))
}

/// New labels of a service, and the line of the old ones' key.
struct LabelBlock {
    service: String,
    line: usize,
    labels: Labels,
    list: bool,
}

impl LabelBlock {
    /// Puts the new labels in the place of the old ones.
    fn replace_labels(&self, lines: &mut Vec<String>, file: &str) -> Result<(), StackError> {
        let start = self.line.saturating_sub(1);
        let Some(first) = lines.get(start) else {
            return Ok(());
        };
        let end = find_block_end(lines, start);
        let usual = match line_ending(first) {
            "" => "\n",
            ending => ending,
        };
        let new = render_label_block(&self.labels, self.list, line_indentation(first), file)?;
        let mut new: Vec<String> = new.into_iter().map(|line| line + usual).collect();
        // A file without a newline at its end stays one.
        let last = &lines[end - 1];
        if let (Some(new), "") = (new.last_mut(), line_ending(last)) {
            new.truncate(new.len() - usual.len());
        }
        lines.splice(start..end, new);
        Ok(())
    }
}

/// Whether the new text differs from the old one only in the labels that were replaced.
fn differs_only_in_labels(mut old: Value, new: &str, blocks: &[LabelBlock]) -> bool {
    let Ok(mut new) = serde_yaml::from_str::<Value>(new) else {
        return false;
    };
    let taken = |file: &mut Value, service: &str| {
        let service = file.get_mut("services")?.get_mut(service)?;
        let labels = labels::deploy_labels(service.as_mapping()?);
        let deploy = service.get_mut("deploy")?.as_mapping_mut()?;
        deploy.remove("labels").map(|_| labels)
    };
    let put = |block: &LabelBlock| {
        taken(&mut old, &block.service);
        taken(&mut new, &block.service).as_ref() == Some(&block.labels)
    };
    blocks.iter().all(put) && old == new
}

/// Splits a text into lines as YAML does, with their endings: a lone carriage return ends a line
/// too.
fn split_yaml_lines(text: &str) -> Vec<String> {
    let mut lines = Vec::new();
    let mut rest = text;
    while let Some(at) = rest.find(['\r', '\n']) {
        let length = if rest[at..].starts_with("\r\n") { 2 } else { 1 };
        let (line, after) = rest.split_at(at + length);
        lines.push(line.to_owned());
        rest = after;
    }
    if !rest.is_empty() {
        lines.push(rest.to_owned());
    }
    lines
}

/// Returns the characters that end a line.
fn line_ending(line: &str) -> &str {
    &line[line.trim_end_matches(['\r', '\n']).len()..]
}

fn line_indentation(line: &str) -> usize {
    line.len() - line.trim_start_matches(' ').len()
}

/// The line behind the block whose key stands in `start`; both counted from 0.
fn find_block_end(lines: &[String], start: usize) -> usize {
    let indent = line_indentation(&lines[start]);
    let mut end = start + 1;
    for (i, line) in lines.iter().enumerate().skip(start + 1) {
        let text = line.trim();
        if text.is_empty() || text.starts_with('#') {
            continue;
        }
        // Items of a list may be indented no further than its key.
        let inside = line_indentation(line) > indent
            || (line_indentation(line) == indent && (text.starts_with("- ") || text == "-"));
        if !inside {
            break;
        }
        end = i + 1;
    }
    end
}

fn render_label_block(
    labels: &Labels,
    list: bool,
    indent: usize,
    file: &str,
) -> Result<Vec<String>, StackError> {
    let value: Value = if list {
        let items = labels.iter().map(|(k, v)| Value::from(format!("{k}={v}")));
        items.collect::<Vec<_>>().into()
    } else {
        let map: Mapping = labels
            .iter()
            .map(|(k, v)| (k.as_str().into(), v.as_str().into()))
            .collect();
        map.into()
    };
    let yaml =
        serde_yaml::to_string(&value).map_err(|e| StackError::Other(format!("{file}: {e}")))?;
    let margin = " ".repeat(indent);
    let mut out = vec![format!("{margin}labels:")];
    out.extend(yaml.lines().map(|l| format!("{margin}  {l}")));
    Ok(out)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_file_keeps_everything_but_its_labels() {
        let old = "# blog\nservices:\n  web:\n    image: ghost:2.4.0 # old\n    deploy:\n      labels:\n        traefik.port: 2368\n        traefik.frontend.rule: Host:${DOMAIN:?err}\n\n      # two\n      replicas: 1\nnetworks: {}\n";
        let (new, notes) = migrate_file("ghost.yml", old, "ghost", "le").unwrap();
        assert_eq!(
            new,
            "# blog\nservices:\n  web:\n    image: ghost:2.4.0 # old\n    deploy:\n      labels:\n        \
             traefik.http.routers.ghost-web.entrypoints: websecure\n        \
             traefik.http.routers.ghost-web.rule: Host(`${DOMAIN:?err}`)\n        \
             traefik.http.routers.ghost-web.service: ghost-web\n        \
             traefik.http.routers.ghost-web.tls.certresolver: le\n        \
             traefik.http.services.ghost-web.loadbalancer.server.port: '2368'\n\n      # two\n      replicas: 1\nnetworks: {}\n"
        );
        assert_eq!(notes, [""; 0]);
        assert_eq!(
            migrate_file("ghost.yml", &new, "ghost", "le").unwrap().0,
            new
        );
    }

    #[test]
    fn endings_of_lines_stay_and_a_file_without_old_labels_does() {
        for same in ["services:\r\n  a: {}\r\n", "a: 1\r\r\n", "", "\n\n", "a: 1"] {
            assert_eq!(migrate_file("a.yml", same, "a", "le").unwrap().0, same);
        }
        let old = "services:\n  web:\n    deploy:\n      labels:\n        traefik.port: 80\n        traefik.frontend.rule: Host:a.org";
        let new = migrate_file("a.yml", old, "a", "le").unwrap().0;
        assert!(new.ends_with(".loadbalancer.server.port: '80'"), "{new}");
        for ending in ["\r\n", "\r"] {
            let old = old.replace('\n', ending);
            let wanted = new.replace('\n', ending);
            assert_eq!(migrate_file("a.yml", &old, "a", "le").unwrap().0, wanted);
        }
    }

    #[test]
    fn labels_that_do_not_stand_in_a_block_of_their_own_are_refused() {
        let labels = "{traefik.port: 80, traefik.frontend.rule: 'Host:a.org'}";
        for old in [
            format!("services:\n  web:\n    deploy: {{labels: {labels}}}\n"),
            format!("x-d: &d {{labels: {labels}}}\nservices:\n  web:\n    deploy: *d\n"),
            format!("services: {{web: {{deploy: {{labels: {labels}}}}}}}\n"),
        ] {
            let error = migrate_file("a.yml", &old, "a", "le").unwrap_err();
            assert!(
                error
                    .to_string()
                    .contains("the labels of web can't be rewritten"),
                "{error}"
            );
        }
        // One line of a block is fine.
        let old = format!("services:\n  web:\n    deploy:\n      labels: {labels}\n");
        assert!(migrate_file("a.yml", &old, "a", "le").is_ok());
    }

    #[test]
    fn lists_stay_lists_and_errors_name_the_line() {
        let old = "services:\n  web:\n    image: a:1\n    deploy:\n      labels:\n      - traefik.port=80\n      - traefik.frontend.rule=Host:a.org\n      replicas: 2\n";
        let (new, _) = migrate_file("a.yml", old, "a", "le").unwrap();
        assert!(
            new.contains("\n        - traefik.http.routers.a-web.rule=Host(`a.org`)\n"),
            "{new}"
        );
        assert!(new.ends_with("      replicas: 2\n"), "{new}");
        let wrong = old.replace("Host:a.org", "Hots:a.org");
        let error = migrate_file("a.yml", &wrong, "a", "le").unwrap_err();
        assert!(error.to_string().starts_with("a.yml:5: "), "{error}");
    }
}
