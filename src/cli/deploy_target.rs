//! What `matou deploy` and `matou diff` are given first: a stack, or an application as it was.

use matou_i18n::tr;
use std::convert::Infallible;
use std::path::Path;
use std::str::FromStr;

use clap::error::ErrorKind;

use super::apps::NameOptions;
use matou_ops::Request;
use matou_stack::{AppName, NameChanges};

/// A stack, or an application at a revision of the fleet folder.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) enum DeployTarget {
    /// A name of the catalogue, or the path of a compose file.
    Stack(String),
    /// `APP@REVISION`.
    Revision { app: AppName, revision: String },
}

impl FromStr for DeployTarget {
    type Err = Infallible;

    /// A file of that name is a file.
    fn from_str(text: &str) -> Result<Self, Infallible> {
        let parts = text.split_once('@').filter(|_| !Path::new(text).exists());
        let revision = parts.and_then(|(app, revision)| {
            let app = AppName::new(app).ok().filter(|_| !revision.is_empty())?;
            let revision = revision.to_owned();
            Some(Self::Revision { app, revision })
        });
        Ok(revision.unwrap_or_else(|| Self::Stack(name_stack(text))))
    }
}

/// The application's file remembers the stack: a path of the folder one is in would be another file tomorrow.
fn name_stack(text: &str) -> String {
    let is_path = text.contains('/') || text.ends_with(".yml") || text.ends_with(".yaml");
    match std::path::absolute(text) {
        Ok(path) if is_path => path.display().to_string(),
        _ => text.to_owned(),
    }
}

impl DeployTarget {
    /// Returns the request that deploys it. An application alone is deployed as its file says.
    pub(super) fn to_request(
        &self,
        app: Option<&AppName>,
        variables: &[(String, String)],
        names: NameChanges,
    ) -> Request {
        match (self, app) {
            (Self::Revision { app, revision }, _) => Request::Revert {
                app: app.clone(),
                revision: revision.clone(),
            },
            (Self::Stack(stack), Some(app)) => Request::Deploy {
                stack: stack.clone(),
                app: app.clone(),
                variables: variables.iter().cloned().collect(),
                names: Box::new(names),
            },
            (Self::Stack(name), None) => match AppName::new(name) {
                Ok(app) => Request::redeploy(app),
                Err(_) => unreachable!("it was checked"),
            },
        }
    }

    /// Says why names can't be given with it.
    pub(super) fn find_names_fault(&self, names: &NameOptions) -> Option<(ErrorKind, String)> {
        match self {
            Self::Revision { app, .. } if !names.is_empty() => Some((
                ErrorKind::ArgumentConflict,
                tr!(
                    "the revision says under which names {app} answers: nothing else can be given with it"
                ),
            )),
            _ => None,
        }
    }

    /// Says what is wrong with what else was given.
    pub(super) fn find_fault(
        &self,
        app: Option<&AppName>,
        variables: &[(String, String)],
        takes_app_alone: bool,
    ) -> Option<(ErrorKind, String)> {
        match (self, app) {
            (Self::Revision { app, .. }, Some(_)) => Some((
                ErrorKind::ArgumentConflict,
                tr!("the revision says what {app} is made of: nothing else can be given with it"),
            )),
            (Self::Stack(name), None) if !takes_app_alone || !variables.is_empty() => Some((
                ErrorKind::MissingRequiredArgument,
                tr!("{name} is a stack: the name of the application is missing behind it"),
            )),
            (Self::Stack(name), None) => {
                let why = AppName::new(name).err()?;
                Some((ErrorKind::ValueValidation, why.to_string()))
            }
            _ => None,
        }
    }
}

#[cfg(test)]
mod tests {
    use std::path::Path;

    use super::DeployTarget;

    #[test]
    fn an_application_at_a_revision_is_told_from_a_stack() {
        let revision = |text: &str| match text.parse().unwrap() {
            DeployTarget::Revision { app, revision } => Some((app.to_string(), revision)),
            DeployTarget::Stack(stack) => {
                // A path is remembered for whatever folder one is in next.
                let is_path = text.contains('/');
                assert_eq!(Path::new(&stack).is_absolute(), is_path, "{stack}");
                assert!(
                    Path::new(&stack).ends_with(text.trim_start_matches("./")),
                    "{stack}"
                );
                None
            }
        };
        let found = |app: &str, revision: &str| Some((app.to_owned(), revision.to_owned()));
        assert_eq!(revision("shop@HEAD~2"), found("shop", "HEAD~2"));
        assert_eq!(
            revision("shop@main@{yesterday}"),
            found("shop", "main@{yesterday}")
        );
        for stack in [
            "ghost",
            "./files/a@b.yml",
            "/srv/ghost@6.yml",
            "shop@",
            "@x",
        ] {
            assert_eq!(revision(stack), None, "{stack}");
        }
    }
}
