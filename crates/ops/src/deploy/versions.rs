//! Versions that a deploy goes to from those that run: majors one at a time, and never unnoticed.

use matou_i18n::tr;
use std::time::Duration;

use matou_job::{Change, StepError};
use matou_model::Swarm;
use matou_registry as registry;
use matou_registry::{ImageReference, VersionStep, VersionTag};
use matou_stack::RenderedStack;

/// How long a registry may take to say which majors there are.
const PATIENCE: Duration = Duration::from_secs(10);

/// Returns a warning for each service that goes to a new major version, or to an older version.
///
/// # Errors
/// One sentence, when a major version that the registry has would be skipped.
pub(super) async fn check_version_changes(
    app: &str,
    rendered: &RenderedStack,
    swarm: &Swarm,
) -> Result<Vec<Change>, StepError> {
    let mut lines = Vec::new();
    for wanted in &rendered.services {
        let name = format!("{app}_{}", wanted.name);
        let Some(found) = swarm.services.iter().find(|s| s.name == name) else {
            continue;
        };
        let (Ok(from), Ok(to)) = (
            ImageReference::parse(&found.image),
            ImageReference::parse(&wanted.image),
        ) else {
            continue;
        };
        // Another image is another application: nothing is known of its versions.
        if (&from.host, &from.repository) != (&to.host, &to.repository) {
            continue;
        }
        let (Some(from), Some(to)) = (VersionTag::parse(&from.tag), VersionTag::parse(&to.tag))
        else {
            continue;
        };
        let line = Change::same(tr!("{name} goes from {} to {}", from.text, to.text));
        if to.compare_versions(&from).is_lt() {
            lines.push(line.with_warning(
                tr!("an older version may not read what the newer one has written: restore a backup of its time with it"),
            ));
            continue;
        }
        if VersionStep::between(&from, &to) != VersionStep::Major {
            continue;
        }
        if to.major() > from.major() + 1 {
            let asked =
                tokio::time::timeout(PATIENCE, registry::list_image_tags(&wanted.image)).await;
            if let Ok(Ok(tags)) = asked {
                let tags = tags.iter().map(String::as_str);
                let skipped = registry::list_majors_between(&from, &to, tags);
                if let Some(first) = skipped.first() {
                    return Err(StepError::failed(tr!(
                        "{name} would skip the major version {first} on its way from {} to {}: one major at a time, since each changes the data for the next; `matou update {app}` lists the step that comes first",
                        from.text,
                        to.text
                    )));
                }
            } else {
                lines.push(line.with_warning(
                    tr!("several major versions at once, and the registry can't be asked which lie between: most applications want one at a time; back it up first"),
                ));
                continue;
            }
        }
        lines.push(line.with_warning(
            tr!("a new major version: read its release notes, and back the application up first; what it changes in its data is not taken back by a rollback"),
        ));
    }
    Ok(lines)
}
