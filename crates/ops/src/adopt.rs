//! Files for applications that run without one: stacks deployed by hand, single services. Nothing of
//! what runs is changed.

use matou_i18n::tr;
use std::path::PathBuf;

use async_trait::async_trait;

use crate::{FleetContext, OpsError};
use matou_base::files::{PRIVATE_MODE, READABLE_MODE};
use matou_history::{FileChange, FleetFolder, Reason};
use matou_job::{Change, Check, Step, StepContext, StepError};
use matou_stack::{
    Adoption, AppFile, AppName, FoundApp, HASH_LABEL, RenderTarget, RouteLabels, is_app_name,
};

/// Returns the steps that write the files of applications; of all that have none, where none is named.
///
/// # Errors
/// Without config.toml there is no place for files.
pub(super) fn adoption_steps(
    apps: &[AppName],
    routes: RouteLabels,
    fleet: &FleetContext,
) -> Result<Vec<Box<dyn Step>>, OpsError> {
    let folder = fleet.folder();
    let folder = folder.ok_or(tr!(
        "without config.toml there is no fleet folder for the files"
    ))?;
    Ok(vec![Box::new(AdoptApps {
        apps: apps.to_vec(),
        routes,
        folder,
        fleet: fleet.clone(),
    })])
}

struct AdoptApps {
    apps: Vec<AppName>,
    routes: RouteLabels,
    folder: FleetFolder,
    fleet: FleetContext,
}

/// What was found of the applications.
#[derive(Default)]
struct FoundApps {
    adoptions: Vec<Adoption>,
    /// Those for which nothing is done.
    same: Vec<Change>,
}

impl AdoptApps {
    async fn find_apps(&self, cx: &StepContext) -> Result<FoundApps, StepError> {
        let raw = cx.docker.list_raw_services().await?;
        let mut running = FoundApp::sort(&raw.services);
        let named = |app: &FoundApp| self.apps.iter().any(|a| a.as_str() == app.name);
        for app in &self.apps {
            if !running.iter().any(|r| r.name == app.as_str()) {
                return Err(StepError::failed(tr!(
                    "there is no application {app}; `matou status` lists them"
                )));
            }
        }
        running.retain(|app| self.apps.is_empty() || named(app));
        let mut found = FoundApps::default();
        for app in running {
            match self.adopt_app(&app, &raw.networks) {
                Ok(Some(adoption)) => found.adoptions.push(adoption),
                Ok(None) => found
                    .same
                    .push(Change::same(tr!("{} has a file", app.name))),
                Err(why) if self.apps.is_empty() => found.same.push(
                    Change::same(tr!("{} stays without a file", app.name))
                        .with_warning(why.to_string()),
                ),
                Err(why) => {
                    let message = tr!("{} can't be adopted: {why}", app.name);
                    return Err(StepError::failed(message));
                }
            }
        }
        Ok(found)
    }

    /// Returns the files of an application; `None` for one that has a file.
    fn adopt_app(
        &self,
        app: &FoundApp,
        networks: &[serde_json::Value],
    ) -> Result<Option<Adoption>, OpsError> {
        if !is_app_name(&app.name) {
            return Err(tr!("its name is none that a file can have").into());
        }
        if AppFile::path(self.folder.path(), &app.name).exists() {
            return Ok(None);
        }
        let is_ours = |s: &serde_json::Value| {
            let labels = s.pointer("/Spec/Labels");
            labels.is_some_and(|l| l.get(HASH_LABEL).is_some())
        };
        if app.services.iter().any(is_ours) {
            return Err(OpsError::failed(tr!(
                "matou deployed it from a file that is not here: `matou files --take {}` brings it",
                app.name
            )));
        }
        let target = RenderTarget::for_fleet(&self.fleet.config);
        let catalogue = &self.fleet.catalogue;
        let mut adoption = catalogue.adopt(app, networks, self.routes, &target)?;
        if let Some(stack) = self.find_left_stack(&adoption) {
            adoption.stack = stack;
            return Ok(Some(adoption));
        }
        let path = self.stack_path(&adoption);
        match path.exists() {
            true => Err(OpsError::failed(tr!(
                "{} is there already, and is not overwritten: move it away",
                path.display()
            ))),
            false => Ok(Some(adoption)),
        }
    }

    /// Returns the name of the stack that an interrupted adoption has written: its application's file is missing.
    fn find_left_stack(&self, adoption: &Adoption) -> Option<String> {
        let names = [adoption.app.clone(), adoption.stack.clone()];
        names.into_iter().find(|name| {
            let path = self.folder.path().join(format!("stacks/{name}.yml"));
            std::fs::read_to_string(path).is_ok_and(|text| text == adoption.text)
        })
    }

    fn stack_path(&self, adoption: &Adoption) -> PathBuf {
        self.folder.path().join(stack_name(adoption))
    }

    /// Writes the files of an application. Returns what is to be told.
    async fn write_files(&self, adoption: &Adoption) -> Result<Vec<String>, OpsError> {
        let (stack, app) = (stack_name(adoption), AppFile::name(&adoption.app));
        for (name, text) in [(&stack, adoption.text.as_str()), (&app, "")] {
            let path = self.folder.path().join(name);
            if path.exists() && std::fs::read_to_string(path).ok().as_deref() != Some(text) {
                return Err(OpsError::failed(tr!("{name} is there already")));
            }
        }
        let file = AppFile {
            stack: adoption.stack.clone(),
            ..AppFile::default()
        };
        let changes = [
            FileChange::Write {
                name: stack,
                content: adoption.text.clone().into_bytes(),
                // Variables of services may be passwords.
                mode: PRIVATE_MODE,
            },
            FileChange::Write {
                name: app,
                content: file.to_toml().into_bytes(),
                mode: READABLE_MODE,
            },
        ];
        let reason = Reason {
            title: tr!("adopt {}", adoption.app),
            lines: Vec::new(),
        };
        Ok(self.folder.change(&changes, &reason).await?)
    }
}

/// Returns the name of the stack's file, relative to the fleet folder.
fn stack_name(adoption: &Adoption) -> String {
    format!("stacks/{}.yml", adoption.stack)
}

#[async_trait]
impl Step for AdoptApps {
    fn name(&self) -> String {
        tr!("files").into()
    }

    async fn check(&self, cx: &StepContext) -> Result<Check, StepError> {
        let found = self.find_apps(cx).await?;
        let mut lines = found.same;
        if found.adoptions.is_empty() {
            return Ok(Check::Done(lines));
        }
        for adoption in &found.adoptions {
            let stack = tr!("stacks/{}.yml, as it runs", adoption.stack);
            lines.push(Change::add(stack));
            lines.push(Change::add(format!("apps/{}.toml", adoption.app)));
            let notes = adoption.notes.iter();
            lines.extend(notes.map(|n| Change::same(format!("{}: {n}", adoption.app))));
            for domain in &adoption.domains {
                let line = tr!("{}: https://{domain} is checked", adoption.app);
                lines.push(Change::same(line));
            }
        }
        Ok(Check::Change(lines))
    }

    async fn apply(&self, cx: &StepContext) -> Result<(), StepError> {
        let has_repository = self.fleet.config.backup.primary_repository().is_some();
        for adoption in self.find_apps(cx).await?.adoptions {
            let notes = self.write_files(&adoption).await;
            let notes =
                notes.map_err(|e| StepError::failed(tr!("the files of {}: {e}", adoption.app)))?;
            for note in notes {
                cx.out.note(note).await;
            }
            if has_repository {
                crate::push_app_files(&self.fleet, &adoption.app).await?;
            }
            let (app, stack) = (&adoption.app, &adoption.stack);
            cx.out
                .note(tr!("{app} has a file: `matou diff {stack} {app}`"))
                .await;
        }
        Ok(())
    }
}
