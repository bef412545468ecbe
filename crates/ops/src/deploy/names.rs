//! Names that another application has: one request can't go to two.

use matou_i18n::tr;
use std::path::Path;

use matou_base::text::clean_line;
use matou_model::{Service, extra_names_from_labels};
use matou_stack::{AppFile, RenderedStack};

use crate::OpsError;

/// Returns the names of a rendered stack beside its main one.
fn extra_names(rendered: &RenderedStack) -> Vec<&String> {
    let names = rendered.extra_names.iter();
    names.flat_map(|n| n.list()).collect()
}

/// Refuses names that the file of another application gives it, deployed or not.
///
/// # Errors
/// One sentence: the name, and whose it is.
pub(super) fn check_names_of_files(
    app: &str,
    rendered: &RenderedStack,
    folder: &Path,
) -> Result<(), OpsError> {
    let extra = extra_names(rendered);
    for other in AppFile::list_names(folder) {
        if other == *app {
            continue;
        }
        // One that can't be read is told where it is deployed.
        let Ok(Some(file)) = AppFile::load(folder, &other) else {
            continue;
        };
        let theirs = file.domains.aliases.iter().chain(&file.domains.redirects);
        let mut taken =
            theirs.filter(|t| rendered.domains.iter().any(|d| d.eq_ignore_ascii_case(t)));
        let main = file.variables.get("DOMAIN");
        let main = main.filter(|m| extra.iter().any(|d| d.eq_ignore_ascii_case(m)));
        if let Some(name) = taken.next().or(main) {
            return Err(OpsError::failed(tr!(
                "{} is a name of {other} already, as apps/{other}.toml says: a name leads to one application; choose another one, or take it away there first",
                clean_line(name)
            )));
        }
    }
    Ok(())
}

/// Returns why a running service of another application is in the way; `None` where it is not. `service` is no
/// service of the rendered application.
pub(super) fn describe_taken_name(rendered: &RenderedStack, service: &Service) -> Option<String> {
    let extra = extra_names(rendered);
    let theirs = extra_names_from_labels(&service.labels);
    let ours = service.domains.iter().find(|d| extra.contains(d));
    let taken = ours.or_else(|| theirs.iter().find(|d| rendered.domains.contains(d)))?;
    Some(tr!(
        "{} answers for {} already: a name leads to one application; choose another one, or take it away there first",
        clean_line(&service.name),
        clean_line(taken)
    ))
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::swarm_fixture::service;
    use matou_stack::ExtraNames;

    fn rendered() -> RenderedStack {
        RenderedStack {
            domains: vec!["a.org".into(), "b.org".into()],
            extra_names: Some(ExtraNames {
                main: "a.org".into(),
                aliases: ["b.org".to_owned()].into(),
                redirects: [].into(),
            }),
            ..RenderedStack::default()
        }
    }

    #[test]
    fn names_of_other_files_are_refused() {
        let dir = tempfile::tempdir().unwrap();
        std::fs::create_dir(dir.path().join("apps")).unwrap();
        let check = |text: &str| {
            std::fs::write(dir.path().join("apps/other.toml"), text).unwrap();
            check_names_of_files("shop", &rendered(), dir.path())
        };
        for text in [
            "stack = 'x'\n[domains]\nredirects = ['A.org']",
            "stack = 'x'\n[domains]\naliases = ['b.org']",
            "stack = 'x'\n[variables]\nDOMAIN = 'b.org'",
        ] {
            let error = check(text).unwrap_err().to_string();
            assert!(error.contains("is a name of other already"), "{error}");
        }
        check("stack = 'x'\n[domains]\naliases = ['c.org']").unwrap();
        // Two may share a host when their paths differ.
        check("stack = 'x'\n[variables]\nDOMAIN = 'a.org'").unwrap();
        assert!(check_names_of_files("other", &rendered(), dir.path()).is_ok());
    }

    #[test]
    fn names_of_running_services_are_refused() {
        let mut other = service("other_web", 1, 1);
        other.domains = vec!["b.org".into()];
        let why = describe_taken_name(&rendered(), &other).unwrap();
        assert!(
            why.starts_with("other_web answers for b.org already"),
            "{why}"
        );
        other.domains = vec!["a.org".into()];
        assert_eq!(describe_taken_name(&rendered(), &other), None);
        let label = matou_model::REDIRECTS_LABEL.to_owned();
        other.labels.insert(label, "x.org, a.org".into());
        assert!(describe_taken_name(&rendered(), &other).is_some());
    }
}
