//! Which names applications have, as their services and their files say.

use std::collections::BTreeMap;

use crate::{FleetContext, OpsError};
use matou_model::Swarm;
use matou_stack::{AppDomains, AppFile, WwwName};

/// Lists all names with their applications: of what runs, and of the files in apps/ but those of applications that
/// were removed. Those of `without` are left out.
///
/// # Errors
/// A file in apps/ can't be read: its names would be taken for nobody's.
pub(super) fn list_all_names(
    fleet: &FleetContext,
    swarm: &Swarm,
    without: Option<&str>,
) -> Result<BTreeMap<String, String>, OpsError> {
    let mut all = BTreeMap::new();
    let mut add = |name: &str, app: &str| {
        if without != Some(app) {
            let name = name.trim_end_matches('.').to_ascii_lowercase();
            all.entry(name).or_insert_with(|| app.to_owned());
        }
    };
    for service in &swarm.services {
        let app = service.stack.as_deref().unwrap_or(&service.name);
        for name in &service.domains {
            add(name, app);
        }
    }
    let Some(folder) = fleet.config.folder() else {
        return Ok(all);
    };
    for app in AppFile::list_names(&folder) {
        if without == Some(app.as_str()) {
            continue;
        }
        if let Some(file) = AppFile::load(&folder, &app)?
            && file.removed.is_none()
        {
            for name in list_file_names(&file) {
                add(&name, &app);
            }
        }
    }
    Ok(all)
}

/// Lists the names that an application runs under, in lower case.
pub(super) fn list_running_names(swarm: &Swarm, app: &str) -> Vec<String> {
    let own = swarm
        .services
        .iter()
        .filter(|s| s.stack.as_deref().unwrap_or(&s.name) == app);
    own.flat_map(|s| s.domains.iter().map(|d| d.to_ascii_lowercase()))
        .collect()
}

/// Lists the names that an application's file gives it, in lower case.
pub(crate) fn list_file_names(file: &AppFile) -> Vec<String> {
    let domains = &file.domains;
    let main = domains
        .main
        .as_ref()
        .or_else(|| file.variables.get("DOMAIN"));
    let mut names: Vec<String> = main.into_iter().cloned().collect();
    if let Some(main) = main
        && domains.www != WwwName::None
    {
        names.push(AppDomains::other_form(main));
    }
    names.extend(domains.aliases.iter().chain(&domains.redirects).cloned());
    for name in &mut names {
        name.make_ascii_lowercase();
    }
    names.retain(|name| !name.is_empty());
    names
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_file_names_all_of_them() {
        let text = "stack = 'x'\n[variables]\nDOMAIN = 'Shop.org'\n[domains]\nwww = 'redirect'\n\
            aliases = ['a.org']\nredirects = ['b.org']";
        let file = AppFile::parse("apps/shop.toml", text).unwrap();
        assert_eq!(
            list_file_names(&file),
            ["shop.org", "www.shop.org", "a.org", "b.org"]
        );
        let none = AppFile::parse("apps/db.toml", "stack = 'x'").unwrap();
        assert!(list_file_names(&none).is_empty());
    }
}
