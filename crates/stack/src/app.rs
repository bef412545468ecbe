//! `apps/NAME.toml` of the fleet folder: which stack an application is made from, and with what.
//! Never a secret.

use std::collections::BTreeMap;
use std::path::{Path, PathBuf};

use matou_base::units::parse_disk_size;
use matou_i18n::tr;
use matou_model::DiskBudget;
use serde::{Deserialize, Serialize};

use super::app_domains::is_default;
use super::{AppDomains, EdgeSettings, StackError, app_name::AppName, is_app_name};

/// Longest part of the parser's message that is shown, characters: it may quote the file.
const MAX_MESSAGE_CHARS: usize = 1000;

/// One application as the operator versions it.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct AppFile {
    /// Name in the catalogue, or path of a compose file.
    pub stack: String,
    /// Where it runs: the host name of a node, or `LABEL=VALUE` of node labels; anywhere without.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub place: Option<String>,
    /// The day on which it was removed (UTC): the file is kept for `matou redeploy`, and a recovery leaves
    /// the application out. A deploy takes this away.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub removed: Option<jiff::civil::Date>,
    /// How much room its volumes may take, as `5GB` or `20 GiB`.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub budget: Option<String>,
    /// Whether the storage refuses more than the budget, where it has project quotas.
    #[serde(default, skip_serializing_if = "is_default")]
    pub enforce: bool,
    /// Values of the stack's variables, by name.
    #[serde(default, skip_serializing_if = "BTreeMap::is_empty")]
    pub variables: BTreeMap<String, String>,
    /// Images that replace those of the stack, by service.
    #[serde(default, skip_serializing_if = "BTreeMap::is_empty")]
    pub images: BTreeMap<String, String>,
    /// What its requests must pass at the edge.
    #[serde(default, skip_serializing_if = "is_default")]
    pub edge: EdgeSettings,
    /// Names beside the main one.
    #[serde(default, skip_serializing_if = "is_default")]
    pub domains: AppDomains,
}

impl AppFile {
    /// Returns the name of an application's file, relative to the fleet folder.
    pub fn name(app: &str) -> String {
        format!("apps/{app}.toml")
    }

    /// Returns the path of an application's file.
    pub fn path(folder: &Path, app: &str) -> PathBuf {
        folder.join(Self::name(app))
    }

    /// Reads an application's file; `None` when there is none.
    ///
    /// # Errors
    /// File and line of what is wrong in it.
    pub fn load(folder: &Path, app: &str) -> Result<Option<Self>, StackError> {
        let path = Self::path(folder, app);
        let text = match matou_base::files::read_text(&path, matou_base::files::MAX_CONFIG_BYTES) {
            Ok(text) => text,
            Err(e) if e.kind() == std::io::ErrorKind::NotFound => return Ok(None),
            Err(e) => {
                let message = tr!("{} can't be read: {e}", path.display());
                return Err(StackError::Other(message));
            }
        };
        Self::parse(&path.display().to_string(), &text).map(Some)
    }

    /// Reads the text of a file of that name.
    ///
    /// # Errors
    /// File and line of what is wrong in it.
    pub fn parse(file: &str, text: &str) -> Result<Self, StackError> {
        toml::from_str(text).map_err(|e| StackError::At {
            file: file.to_owned(),
            line: e
                .span()
                .map_or(1, |s| text[..s.start].matches('\n').count() + 1),
            message: e.message().chars().take(MAX_MESSAGE_CHARS).collect(),
        })
    }

    /// Returns how much room its volumes may take; `None`: as much as there is.
    ///
    /// # Errors
    /// The budget is no size.
    pub fn disk_budget(&self) -> Result<Option<DiskBudget>, StackError> {
        let Some(text) = &self.budget else {
            return Ok(None);
        };
        let bytes = parse_disk_size(text)
            .map_err(|e| StackError::Other(tr!("the budget of the application: {e}")))?;
        let enforce = self.enforce;
        Ok(Some(DiskBudget { bytes, enforce }))
    }

    /// Lists the names of the applications that have files, sorted. Leaves out files whose names
    /// are no application's, which [`AppFile::list_strays`] returns. A folder that can't be read has none:
    /// before anything is removed for want of a file, it is [`AppFile::read_names`] that is asked.
    pub fn list_names(folder: &Path) -> Vec<AppName> {
        Self::read_names(folder).unwrap_or_default()
    }

    /// Lists the same names.
    ///
    /// # Errors
    /// apps/, which the error names, is there and can't be read, or leads to what is not there (a disk that is not
    /// mounted).
    pub fn read_names(folder: &Path) -> std::io::Result<Vec<AppName>> {
        let names = Self::read_stems(folder)?.into_iter();
        Ok(names.filter_map(|name| AppName::new(name).ok()).collect())
    }

    /// Lists the files in apps/ that end in `.toml` and whose names are no application's
    /// (`._shop.toml`), sorted, so that the operator is told of them.
    pub fn list_strays(folder: &Path) -> Vec<String> {
        let mut names = Self::read_stems(folder).unwrap_or_default();
        names.retain(|name| !is_app_name(name));
        names.iter().map(|n| format!("apps/{n}.toml")).collect()
    }

    fn read_stems(folder: &Path) -> std::io::Result<Vec<String>> {
        let apps = folder.join("apps");
        let unread = |e: std::io::Error| {
            std::io::Error::new(e.kind(), tr!("{} can't be read: {e}", apps.display()))
        };
        let entries = match std::fs::read_dir(&apps) {
            // There are none yet; a link that leads nowhere is another matter.
            Err(e) if e.kind() == std::io::ErrorKind::NotFound && !apps.is_symlink() => {
                return Ok(Vec::new());
            }
            read => read.map_err(unread)?,
        };
        let mut names = Vec::new();
        for entry in entries {
            let name = entry
                .map_err(unread)?
                .file_name()
                .to_string_lossy()
                .into_owned();
            names.extend(name.strip_suffix(".toml").map(str::to_owned));
        }
        names.sort();
        Ok(names)
    }

    /// Writes a file of the fleet folder atomically: after a crash it is the old one or the new
    /// one.
    ///
    /// # Errors
    /// The disk's.
    pub fn write_whole(path: &Path, content: &[u8]) -> std::io::Result<()> {
        matou_base::files::write_atomically(path, content, matou_base::files::READABLE_MODE)
    }

    /// Returns the file's text, as TOML.
    pub fn to_toml(&self) -> String {
        toml::to_string(self).unwrap_or_default()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_folder_that_leads_nowhere_is_not_one_without_files() {
        let dir = tempfile::tempdir().unwrap();
        assert!(AppFile::read_names(dir.path()).unwrap().is_empty());
        let apps = dir.path().join("apps");
        std::os::unix::fs::symlink("/nowhere/apps", &apps).unwrap();
        let error = AppFile::read_names(dir.path()).unwrap_err().to_string();
        assert!(error.contains("apps can't be read"), "{error}");
        std::fs::remove_file(&apps).unwrap();
        std::fs::create_dir(&apps).unwrap();
        std::fs::write(apps.join("shop.toml"), "").unwrap();
        let names = AppFile::read_names(dir.path()).unwrap();
        assert_eq!(names, [AppName::new("shop").unwrap()]);
    }

    #[test]
    fn a_file_comes_back_as_it_was_and_errors_name_the_line() {
        let dir = tempfile::tempdir().unwrap();
        assert_eq!(AppFile::load(dir.path(), "blog").unwrap(), None);
        let app = AppFile {
            stack: "ghost".into(),
            place: Some("worker-01".into()),
            removed: Some(jiff::civil::date(2026, 11, 29)),
            budget: Some("5GB".into()),
            enforce: true,
            variables: [("DOMAIN".to_owned(), "blog.example.org".to_owned())].into(),
            images: [("db".to_owned(), "mysql:8.4".to_owned())].into(),
            edge: EdgeSettings {
                rate_limit: Some(50),
                ..EdgeSettings::default()
            },
            domains: AppDomains {
                aliases: vec!["www.example.org".into()],
                ..AppDomains::default()
            },
        };
        std::fs::create_dir(dir.path().join("apps")).unwrap();
        std::fs::write(AppFile::path(dir.path(), "blog"), app.to_toml()).unwrap();
        let budget = app.disk_budget().unwrap().unwrap();
        assert_eq!((budget.bytes, budget.enforce), (5_000_000_000, true));
        assert_eq!(AppFile::load(dir.path(), "blog").unwrap(), Some(app));
        for stray in ["._blog.toml", "blog copy.toml", ".toml", "notes.txt"] {
            std::fs::write(dir.path().join("apps").join(stray), "Mac").unwrap();
        }
        assert_eq!(
            AppFile::list_names(dir.path()),
            [AppName::new("blog").unwrap()]
        );
        let strays = ["apps/.toml", "apps/._blog.toml", "apps/blog copy.toml"];
        assert_eq!(AppFile::list_strays(dir.path()), strays);
        std::fs::write(
            AppFile::path(dir.path(), "blog"),
            "stack = \"x\"\nstakc = 1\n",
        )
        .unwrap();
        let error = AppFile::load(dir.path(), "blog").unwrap_err().to_string();
        assert!(error.contains("blog.toml:2: unknown field"), "{error}");
    }
}
