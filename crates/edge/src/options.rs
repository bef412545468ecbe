//! What a Traefik was started with: its static options and its mounts.

use matou_docker::ServiceSpec;

/// Lists the static options of a Traefik of any version, from its arguments and variables. Keys are
/// in lower case, without leading dashes and without `TRAEFIK_`; an option without a value is
/// `true`.
pub(super) fn list_static_options(spec: &ServiceSpec) -> Vec<(String, String)> {
    let Some(container) = spec
        .task_template
        .as_ref()
        .and_then(|t| t.container_spec.as_ref())
    else {
        return Vec::new();
    };
    let arguments = container.args.iter().chain(&container.command).flatten();
    let variables = container.env.iter().flatten();
    let mut found: Vec<(String, String)> = Vec::new();
    let mut open = false;
    for text in arguments.chain(variables) {
        match text.split_once('=') {
            Some((key, value)) => found.push((normalize_option_name(key), value.to_owned())),
            // `--option value`
            None if open && !text.starts_with('-') => {
                if let Some((_, value)) = found.last_mut() {
                    value.clone_from(text);
                }
            }
            None => found.push((normalize_option_name(text), "true".to_owned())),
        }
        open = text.starts_with('-') && !text.contains('=');
    }
    found
}

fn normalize_option_name(key: &str) -> String {
    let key = key.trim_start_matches('-').to_ascii_lowercase();
    let key = key.replace('_', ".");
    key.strip_prefix("traefik.").unwrap_or(&key).to_owned()
}

/// Finds the mount that holds a path. Returns its source, whether that is a volume, and the rest of
/// the path.
pub(super) fn find_service_mount(spec: &ServiceSpec, path: &str) -> Option<(String, bool, String)> {
    use bollard::models::MountType;
    let container = spec.task_template.as_ref()?.container_spec.as_ref()?;
    let mounts = container.mounts.iter().flatten().filter_map(|m| {
        let target = m.target.as_deref()?.trim_end_matches('/');
        let rest = path.strip_prefix(target)?;
        let fits = rest.is_empty() || rest.starts_with('/');
        let volume = m.typ == Some(MountType::VOLUME);
        fits.then(|| (target.len(), m.source.clone(), volume, rest.to_owned()))
    });
    let (_, source, volume, rest) = mounts.max_by_key(|(length, ..)| *length)?;
    Some((source?, volume, rest))
}
