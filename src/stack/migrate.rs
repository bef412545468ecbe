//! Rewrites a stack file with labels of Traefik 1 for Traefik 3; everything else in it stays as it
//! is, comments too.

use super::StackError;
use super::labels;
use super::places::Places;
use super::reach;
use super::traefik1::{self, Labels, is_old};
use serde_yaml::{Mapping, Value};

/// The new text of a file and what is to be said of it; the text is the same when there was nothing
/// to do. Variables stay variables.
///
/// # Errors
/// File and line of what is wrong.
pub fn migrate_file(
    file: &str,
    text: &str,
    app: &str,
    resolver: &str,
) -> Result<(String, Vec<String>), StackError> {
    reach::bounded(text).map_err(|message| StackError::At {
        file: file.to_owned(),
        line: 1,
        message,
    })?;
    let value: Value = serde_yaml::from_str(text).map_err(|e| StackError::At {
        file: file.to_owned(),
        line: e.location().map_or(1, |l| l.line()),
        message: e.to_string(),
    })?;
    let places = Places::of(text);
    let mut lines: Vec<String> = text.lines().map(str::to_owned).collect();
    let mut notes = Vec::new();
    let services = value.get("services").and_then(Value::as_mapping);
    let mut blocks = Vec::new();
    for (name, service) in services.into_iter().flatten() {
        let (Some(name), Some(service)) = (name.as_str(), service.as_mapping()) else {
            continue;
        };
        let old = labels::of(service);
        if !old.keys().any(|l| is_old(l)) {
            continue;
        }
        let line = places.line(&["services", name, "deploy", "labels"]);
        let id = format!("{app}-{name}");
        let migrated =
            traefik1::migrate(&old, traefik1::Target { id: &id, resolver }).map_err(|message| {
                StackError::At {
                    file: file.to_owned(),
                    line,
                    message,
                }
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
        blocks.push((line, migrated.labels, list));
    }
    // From the end, so that the lines of the others stay what they are.
    blocks.sort_by_key(|(line, ..)| std::cmp::Reverse(*line));
    for (line, labels, list) in blocks {
        let end = block_end(&lines, line - 1);
        let indent = indentation(&lines[line - 1]);
        let new = block(&labels, list, indent, file)?;
        lines.splice(line - 1..end, new);
    }
    let mut new = lines.join("\n");
    if text.ends_with('\n') {
        new.push('\n');
    }
    Ok((new, notes))
}

fn indentation(line: &str) -> usize {
    line.len() - line.trim_start_matches(' ').len()
}

/// The line behind the block whose key stands in `start`; both counted from 0.
fn block_end(lines: &[String], start: usize) -> usize {
    let indent = indentation(&lines[start]);
    let mut end = start + 1;
    for (i, line) in lines.iter().enumerate().skip(start + 1) {
        let text = line.trim();
        if text.is_empty() || text.starts_with('#') {
            continue;
        }
        // Items of a list may stand as far left as its key.
        let inside = indentation(line) > indent
            || (indentation(line) == indent && (text.starts_with("- ") || text == "-"));
        if !inside {
            break;
        }
        end = i + 1;
    }
    end
}

fn block(
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
