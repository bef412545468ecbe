//! An application gets another main name: a snapshot before, the name in its file and on its routers, the change
//! that it makes itself where it keeps the name in its data, the old name led to the new one.
//!
//! What is left to do is known by `renamed_from` in its file: a job that was killed goes on there.

use matou_i18n::tr;
use matou_stack::translate_stack_text;
use std::time::Duration;

use async_trait::async_trait;

use crate::data_before_update::DataBeforeUpdate;
use crate::deploy::{self, DeployOptions, NO_NEW_IMAGES, PushFleetFiles, WriteAppFiles};
use crate::running_container::find_running_container;
use crate::{FleetContext, OpsError};
use matou_base::text::clean_line;
use matou_docker::NodeHandle;
use matou_history::FleetFolder;
use matou_host::Command;
use matou_job::{Change, Check, Report, Step, StepContext, StepError};
use matou_stack::{AppDomains, AppFile, AppName, NameChanges, RenameSpec, Variable, VariableKind};

/// How long the application may work on its own change.
const COMMAND_LIMIT: Duration = Duration::from_secs(3600);

/// How long its snapshot may take.
const BACKUP_LIMIT: Duration = Duration::from_secs(6 * 3600);

/// The variable that holds an application's main name.
const NAME_VARIABLE: &str = "DOMAIN";

/// Returns the steps that give an application another main name.
///
/// # Errors
/// One sentence: it has no file or no variable for its name, can't be renamed, the name is none, or another rename is
/// not done yet.
pub(super) async fn rename_steps(
    app: &AppName,
    new: &str,
    forget: bool,
    manager: &NodeHandle,
    fleet: &FleetContext,
) -> Result<Vec<Box<dyn Step>>, OpsError> {
    let no_file = || OpsError::failed(tr!("{app} has no file in apps/"));
    let folder = fleet.folder().ok_or_else(no_file)?;
    let file = AppFile::load(folder.path(), app)?.ok_or_else(no_file)?;
    let extension = fleet.catalogue.find_extension(&file.stack)?;
    if let Some(why) = extension.rename.as_ref().and_then(|r| r.never.as_ref()) {
        return Err(OpsError::failed(tr!(
            "`matou rename` can't do it: {}",
            clean_line(&translate_stack_text(why).replace("APP", app))
        )));
    }
    let new = new.to_ascii_lowercase();
    let variable = name_variable();
    variable.check_value(&new)?;
    let old = find_old_name(app, &file, &new)?;
    let variables = [(NAME_VARIABLE.to_owned(), new.clone())].into();
    let wanted = DeployOptions {
        kept_comes_back: false,
        stack: None,
        app,
        variables: &variables,
        switches: Default::default(),
        names: old.as_ref().map_or_else(NameChanges::default, |old| {
            change_names(&file.domains, old, &new, forget)
        }),
        rotate: &[],
        images: &NO_NEW_IMAGES,
        place: None,
        budget: None,
        revision: None,
        pins: &deploy::NO_PINS,
        why: tr!("rename {app} to {new}"),
    };
    let mut steps: Vec<Box<dyn Step>> = Vec::new();
    let Some(old) = old else {
        return deploy::deploy_steps(&wanted, manager, fleet).await;
    };
    variable.check_value(&old)?;
    let data = || DataBeforeUpdate {
        app: app.clone(),
        fleet: fleet.clone(),
    };
    let has_backup = fleet.config.backup.primary_repository().is_some();
    match has_backup {
        true => steps.push(Box::new(SnapshotBefore {
            data: data(),
            folder: folder.clone(),
            old: old.clone(),
        })),
        false => steps.push(Box::new(NoSnapshot(app.clone()))),
    }
    // Before it is asked whether it answers: it may know no other name than that in its data.
    let mut own: Vec<Box<dyn Step>> = vec![Box::new(OwnChange {
        data: data(),
        spec: extension.rename.filter(|r| !r.command.is_empty()),
        old,
        new,
        folder,
    })];
    if has_backup {
        own.push(Box::new(PushFleetFiles {
            app: app.to_string(),
            fleet: fleet.clone(),
        }));
    }
    steps.extend(deploy::deploy_steps_with(&wanted, manager, fleet, own).await?);
    Ok(steps)
}

/// The variable of a stack that has its main name.
fn name_variable() -> Variable {
    Variable {
        name: NAME_VARIABLE.into(),
        kind: VariableKind::Domain,
        ..Variable::default()
    }
}

/// Returns the main name of before; `None` where there is nothing left to rename.
fn find_old_name(app: &AppName, file: &AppFile, new: &str) -> Result<Option<String>, OpsError> {
    let Some(now) = file.variables.get(NAME_VARIABLE) else {
        return Err(OpsError::failed(tr!(
            "apps/{app}.toml has no variable {NAME_VARIABLE}: its stack names it otherwise; change it there, and `matou redeploy {app}`"
        )));
    };
    let is_new = now.eq_ignore_ascii_case(new);
    match &file.domains.renamed_from {
        // It was killed.
        Some(old) if is_new => Ok(Some(old.to_ascii_lowercase())),
        // Back again: what is changed already is changed once more.
        Some(old) if old.eq_ignore_ascii_case(new) => Ok(Some(now.to_ascii_lowercase())),
        Some(old) => Err(OpsError::failed(tr!(
            "{app} is on its way from {} to {}: `matou rename {app} {1}` ends that first, or with {0} takes it back",
            clean_line(old),
            clean_line(now)
        ))),
        None => Ok((!is_new).then(|| now.to_ascii_lowercase())),
    }
}

/// Returns what becomes of the names beside the main one. The switch for `www.` goes with the new name; what it did
/// for the old one is kept as a redirect.
fn change_names(domains: &AppDomains, old: &str, new: &str, forget: bool) -> NameChanges {
    let has_www = domains.www != Default::default();
    let other = AppDomains::other_form(new);
    let mut before = vec![old.to_owned()];
    if has_www {
        before.push(AppDomains::other_form(old));
    }
    before.retain(|name| name != new && !(has_www && *name == other));
    let mut dropped: Vec<String> = Vec::new();
    if forget {
        dropped.append(&mut before);
    }
    if has_www {
        dropped.push(other);
    }
    let mut all = domains.redirects.clone();
    all.extend(domains.aliases.iter().filter(|_| forget).cloned());
    dropped.retain(|name| all.iter().any(|n| n.eq_ignore_ascii_case(name)));
    NameChanges {
        redirects: before,
        dropped,
        rename: Some((old.to_owned(), new.to_owned())),
        ..NameChanges::default()
    }
}

/// Reads the application's file, which the steps before may have written.
fn read_app_file(folder: &FleetFolder, app: &str) -> Result<AppFile, StepError> {
    let file = AppFile::load(folder.path(), app);
    let file = file.map_err(|e| StepError::failed(e.to_string()))?;
    file.ok_or_else(|| StepError::failed(tr!("{} is gone", AppFile::name(app))))
}

/// Whether a name is the main one of an application's file.
fn has_name(file: &AppFile, name: &str) -> bool {
    let now = file.variables.get(NAME_VARIABLE);
    now.is_some_and(|n| n.eq_ignore_ascii_case(name))
}

/// Without a repository there is nothing to go back to: told in the plan.
struct NoSnapshot(AppName);

#[async_trait]
impl Report for NoSnapshot {
    fn name(&self) -> String {
        tr!("snapshot").into()
    }

    async fn report(&self, _: &StepContext) -> Result<Vec<Change>, StepError> {
        let line = Change::same(tr!("data of {}", self.0));
        Ok(vec![line.with_warning(
            tr!("config.toml has no [backup]: what the application changes in its data can't be put back"),
        )])
    }
}

/// A snapshot of the application as it is under its old name; not a second one by a job that goes on.
struct SnapshotBefore {
    data: DataBeforeUpdate,
    folder: FleetFolder,
    old: String,
}

#[async_trait]
impl Step for SnapshotBefore {
    fn name(&self) -> String {
        tr!("snapshot").into()
    }

    fn timeout(&self) -> Duration {
        BACKUP_LIMIT
    }

    async fn check(&self, _: &StepContext) -> Result<Check, StepError> {
        let app = &self.data.app;
        let file = read_app_file(&self.folder, app)?;
        let line = tr!("a snapshot of {app} as it is under {}", self.old);
        Ok(match has_name(&file, &self.old) {
            true => Check::Change(vec![Change::add(line)]),
            false => Check::Done(vec![Change::same(line)]),
        })
    }

    async fn apply(&self, cx: &StepContext) -> Result<(), StepError> {
        self.data.back_up(cx).await.map(drop)
    }

    /// A snapshot that was not made has failed.
    async fn verify(&self, _: &StepContext) -> Result<(), StepError> {
        Ok(())
    }
}

/// The application's own change; then its file says that it is done.
struct OwnChange {
    data: DataBeforeUpdate,
    spec: Option<RenameSpec>,
    old: String,
    new: String,
    folder: FleetFolder,
}

impl OwnChange {
    async fn run_command(&self, spec: &RenameSpec, cx: &StepContext) -> Result<(), StepError> {
        let app = &self.data.app;
        let swarm = cx.query_swarm().await?;
        let service = format!("{app}_{}", spec.service);
        let nodes = &self.data.fleet.nodes;
        let why = tr!("it can't change its name itself");
        let container = find_running_container(&service, &swarm, nodes, why).await?;
        let command = Command::new("docker")
            .args(["exec", "-e", &format!("OLD_NAME={}", self.old)])
            .args(["-e", &format!("NEW_NAME={}", self.new)])
            .args([&container.id, "sh", "-c", &spec.command])
            .sudo()
            .timeout(COMMAND_LIMIT)
            .label(tr!("the change of {app} itself"));
        cx.on_node(container.node).stream(&command).await?;
        Ok(())
    }

    /// Whether the application's file says that this is to be done, or does not say the new name yet.
    fn is_left(&self) -> Result<bool, StepError> {
        let file = read_app_file(&self.folder, &self.data.app)?;
        let is_new = has_name(&file, &self.new);
        Ok(!is_new || file.domains.renamed_from.is_some())
    }
}

#[async_trait]
impl Step for OwnChange {
    fn name(&self) -> String {
        tr!("own change").into()
    }

    fn timeout(&self) -> Duration {
        COMMAND_LIMIT + Duration::from_secs(60)
    }

    async fn check(&self, _: &StepContext) -> Result<Check, StepError> {
        let what = tr!("{} itself", self.data.app);
        if !self.is_left()? {
            return Ok(Check::Done(vec![Change::same(what)]));
        }
        let how = match &self.spec {
            Some(spec) => format!("{} (`{}`)", self.new, clean_line(&spec.command)),
            None => tr!(
                "{} by its variables alone: its stack has no command for it",
                self.new
            ),
        };
        Ok(Check::Change(vec![Change::modify(what, &self.old, how)]))
    }

    async fn apply(&self, cx: &StepContext) -> Result<(), StepError> {
        if let Some(spec) = &self.spec {
            self.run_command(spec, cx).await?;
        }
        // Before the file, after which nothing is left to do.
        self.data.end(cx).await;
        let app = &self.data.app;
        let mut file = read_app_file(&self.folder, app)?;
        file.domains.renamed_from = None;
        let write = WriteAppFiles {
            folder: self.folder.clone(),
            changes: vec![deploy::file_change(app, &file)],
            notes: Vec::new(),
            why: tr!("{app} is {} itself, too", self.new),
        };
        write.apply(cx).await
    }

    async fn verify(&self, _: &StepContext) -> Result<(), StepError> {
        match self.is_left()? {
            false => Ok(()),
            true => Err(StepError::failed(tr!(
                "somebody writes the application's file, too"
            ))),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn file(text: &str) -> AppFile {
        AppFile::parse("apps/shop.toml", &format!("stack = 'x'\n{text}")).unwrap()
    }

    #[test]
    fn what_is_left_is_known_by_the_file() {
        let app = AppName::new("shop").unwrap();
        let old = |text: &str| find_old_name(&app, &file(text), "new.org");
        let before = "[variables]\nDOMAIN = 'Old.org'";
        assert_eq!(old(before).unwrap().as_deref(), Some("old.org"));
        let midway = "[domains]\nrenamed_from = 'old.org'\n[variables]\nDOMAIN = 'new.org'";
        assert_eq!(old(midway).unwrap().as_deref(), Some("old.org"));
        assert_eq!(old("[variables]\nDOMAIN = 'new.org'").unwrap(), None);
        let other = old(&midway.replace("'new.org'", "'third.org'")).unwrap_err();
        assert!(
            other.to_string().contains("`matou rename shop third.org`"),
            "{other}"
        );
        let back = midway.replace("'new.org'", "'third.org'");
        let back = back.replace("'old.org'", "'new.org'");
        assert_eq!(old(&back).unwrap().as_deref(), Some("third.org"));
        assert!(
            old("")
                .unwrap_err()
                .to_string()
                .contains("no variable DOMAIN")
        );
    }

    #[test]
    fn the_old_name_leads_to_the_new_one_unless_it_is_forgotten() {
        let after = |text: &str, forget: bool| {
            let mut domains = file(text).domains;
            let changes = change_names(&domains, "old.org", "new.org", forget);
            changes.apply(&mut domains).unwrap();
            assert_eq!(domains.renamed_from.take().as_deref(), Some("old.org"));
            domains
        };
        let kept = file("[domains]\nredirects = ['old.org']").domains;
        assert_eq!(after("", false), kept);
        // Twice, as after a kill; and a name that is the main one now is no other.
        assert_eq!(
            after("[domains]\nredirects = ['old.org', 'new.org']", false),
            kept
        );
        assert_eq!(after("[domains]\naliases = ['new.org']", false), kept);
        assert!(after("[domains]\nredirects = ['old.org']", true).is_empty());
        let www = "[domains]\nwww = 'redirect'";
        let both = file(&format!("{www}\nredirects = ['old.org', 'www.old.org']")).domains;
        assert_eq!(after(www, false), both);
        assert_eq!(
            after(&format!("{www}\nredirects = ['www.new.org']"), false),
            both
        );
        let by_www = change_names(&file(www).domains, "new.org", "www.new.org", false);
        assert!(by_www.redirects.is_empty(), "{by_www:?}");
        assert!(after("", true).is_empty());
    }
}
