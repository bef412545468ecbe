//! The application's file in the fleet folder.

use crate::backup::keeps_fleet_files;
use matou_i18n::tr;
use matou_stack::translate_stack_text;
use std::collections::{BTreeMap, BTreeSet};
use std::time::Duration;

use async_trait::async_trait;

use super::stack::mask_secret_entry;
use crate::FleetContext;
use crate::tasks::{WaitFailure, WaitForTasks, wait_for_tasks};
use matou_base::files::READABLE_MODE;
use matou_history::{FileChange, FleetFolder, HistoryError, Reason};
use matou_host::Command;
use matou_job::{Change, Check, Step, StepContext, StepError};
use matou_stack::{AppFile, KnownTrouble};

/// How often files are pushed again when somebody changed them meanwhile.
const MAX_PUSHES: u32 = 5;

/// Writes `apps/NAME.toml`, and with a revision the files of its stack.
pub(crate) struct WriteAppFiles {
    pub folder: FleetFolder,
    pub changes: Vec<FileChange>,
    /// For the plan.
    pub notes: Vec<Change>,
    /// For the history.
    pub why: String,
}

/// Reads a file of the fleet folder; nothing where there is none that can be read.
fn read_folder_file(folder: &FleetFolder, name: &str) -> Option<Vec<u8>> {
    let limit = matou_base::files::MAX_CONFIG_BYTES;
    let text = matou_base::files::read_text(&folder.path().join(name), limit).ok()?;
    Some(text.into_bytes())
}

/// Returns what makes the application's file hold this.
pub(crate) fn file_change(app: &str, file: &AppFile) -> FileChange {
    FileChange::Write {
        name: AppFile::name(app),
        content: file.to_toml().into_bytes(),
        mode: READABLE_MODE,
    }
}

impl WriteAppFiles {
    fn names(&self) -> Vec<&str> {
        self.changes.iter().map(FileChange::name).collect()
    }

    /// Says of each file whether it changes, and of an application's what; whether one does.
    fn compare(&self) -> (Vec<Change>, bool) {
        let mut lines = Vec::new();
        let mut differs = false;
        for change in &self.changes {
            let name = change.name();
            let path = self.folder.path().join(name).display().to_string();
            let held = read_folder_file(&self.folder, name);
            differs |= held.as_deref() != change.content();
            match (held.as_deref(), change.content()) {
                (held, wanted) if held == wanted => lines.push(Change::same(path)),
                (None, _) => lines.push(Change::add(path)),
                (Some(_), None) => lines.push(Change::remove(path)),
                (Some(old), Some(new)) => {
                    let values = compare_toml(old, new);
                    if values.is_empty() {
                        lines.push(Change::modify(
                            path,
                            tr!("as it is"),
                            tr!("with another text"),
                        ));
                    }
                    lines.extend(values.into_iter().map(|v| v.to_change(name)));
                }
            }
        }
        (lines, differs)
    }

    /// What the history adds to the plan, and whether something of it is left to do.
    async fn plan_history(&self) -> Result<(Vec<Change>, bool), HistoryError> {
        let (mut lines, mut is_left) = (Vec::new(), false);
        for name in self.names() {
            if self.folder.is_interrupted(name).await? {
                is_left = true;
                lines.push(Change::add(tr!("{name} into the history")));
            } else if !self.folder.list_edited(&[name]).await?.is_empty() {
                let edits = tr!("edits of {name} that are in no commit get one of their own");
                lines.push(Change::same(edits));
            }
        }
        Ok((lines, is_left))
    }

    fn reason(&self) -> Reason {
        let lines = self.changes.iter().flat_map(|change| {
            let held = read_folder_file(&self.folder, change.name()).unwrap_or_default();
            compare_toml(&held, change.content().unwrap_or_default())
        });
        Reason {
            title: self.why.clone(),
            lines: lines.map(|value| value.to_string()).collect(),
        }
    }
}

/// A value that differs in two files of TOML; secrets are masked.
struct DifferingValue {
    /// With the names of the tables that it is in, as `variables.DOMAIN`.
    key: String,
    old: Option<String>,
    new: Option<String>,
}

impl DifferingValue {
    fn to_change(&self, file: &str) -> Change {
        let key = format!("{file}, {}", self.key);
        match (&self.old, &self.new) {
            (Some(old), Some(new)) => Change::modify(key, old, new),
            (None, Some(new)) => Change::add(format!("{key}: {new}")),
            (old, _) => Change::remove(format!("{key}: {}", old.as_deref().unwrap_or_default())),
        }
    }
}

impl std::fmt::Display for DifferingValue {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        let key = &self.key;
        match (&self.old, &self.new) {
            (Some(old), Some(new)) => write!(f, "~ {key}: {old} -> {new}"),
            (None, Some(new)) => write!(f, "+ {key}: {new}"),
            (old, _) => write!(f, "- {key}: {}", old.as_deref().unwrap_or_default()),
        }
    }
}

/// Returns the values that differ, by key; none of what is no TOML.
fn compare_toml(old: &[u8], new: &[u8]) -> Vec<DifferingValue> {
    let read = |bytes: &[u8]| {
        let table = toml::from_str::<toml::Table>(&String::from_utf8_lossy(bytes));
        let table = toml::Value::Table(table.unwrap_or_default());
        let mut found = BTreeMap::new();
        flatten_toml("", &table, &mut found);
        found
    };
    let (old, new) = (read(old), read(new));
    let keys: BTreeSet<&String> = old.keys().chain(new.keys()).collect();
    let differing = keys.into_iter().filter(|k| old.get(*k) != new.get(*k));
    let values = differing.map(|key| {
        let shown = |value: &String| mask_secret_entry(key, value);
        DifferingValue {
            key: key.clone(),
            old: old.get(key).map(shown),
            new: new.get(key).map(shown),
        }
    });
    values.collect()
}

fn flatten_toml(key: &str, value: &toml::Value, into: &mut BTreeMap<String, String>) {
    let Some(table) = value.as_table() else {
        into.insert(key.to_owned(), value.to_string());
        return;
    };
    for (name, value) in table {
        let key = match key {
            "" => name.clone(),
            key => format!("{key}.{name}"),
        };
        flatten_toml(&key, value, into);
    }
}

#[async_trait]
impl Step for WriteAppFiles {
    fn name(&self) -> String {
        tr!("application file").into()
    }

    async fn check(&self, _: &StepContext) -> Result<Check, StepError> {
        let (mut lines, mut differs) = self.compare();
        match self.plan_history().await {
            Ok((more, is_left)) => {
                differs |= is_left;
                lines.extend(more);
            }
            Err(why) => lines.push(
                Change::same(tr!("the history of the fleet folder")).with_warning(why.to_string()),
            ),
        }
        lines.extend(self.notes.clone());
        Ok(match differs {
            true => Check::Change(lines),
            false => Check::Done(lines),
        })
    }

    async fn apply(&self, cx: &StepContext) -> Result<(), StepError> {
        let notes = self.folder.change(&self.changes, &self.reason()).await;
        for note in notes.map_err(|e| StepError::failed(e.to_string()))? {
            cx.out.note(note).await;
        }
        Ok(())
    }

    /// That git does not do its part is told, and fails nothing.
    async fn verify(&self, _: &StepContext) -> Result<(), StepError> {
        match self.compare() {
            (_, false) => Ok(()),
            (_, true) => Err(StepError::failed(tr!(
                "somebody writes the application's files, too"
            ))),
        }
    }
}

/// The application's files as they were before the deploy.
pub(crate) struct EarlierFiles {
    changes: Vec<FileChange>,
    app: String,
    fleet: FleetContext,
}

impl EarlierFiles {
    /// Reads those that will change; `None` when the application has no file that can be read.
    pub(super) fn read(app: &str, changes: &[FileChange], fleet: &FleetContext) -> Option<Self> {
        let folder = fleet.folder()?;
        read_folder_file(&folder, &AppFile::name(app))?;
        let changes = changes.iter().map(|change| {
            let name = change.name().to_owned();
            match read_folder_file(&folder, &name) {
                Some(content) => FileChange::Write {
                    mode: change.mode(),
                    name,
                    content,
                },
                None => FileChange::Remove { name },
            }
        });
        Some(Self {
            changes: changes.collect(),
            app: app.to_owned(),
            fleet: fleet.clone(),
        })
    }

    /// Reads the file of an application; `None` when there is none that can be read.
    pub(crate) fn load(app: &str, fleet: &FleetContext) -> Option<Self> {
        let name = AppFile::name(app);
        Self::read(app, &[FileChange::Remove { name }], fleet)
    }

    /// Puts them back, here and on the storage node.
    pub(crate) async fn put_back(&self) -> Result<(), StepError> {
        let folder = self.fleet.folder();
        let folder = folder.ok_or_else(|| StepError::failed(tr!("there is no fleet folder")))?;
        let reason = Reason {
            title: tr!("{} as it was before: the deploy failed", self.app),
            lines: Vec::new(),
        };
        let written = folder.change(&self.changes, &reason).await;
        written.map_err(|e| StepError::failed(e.to_string()))?;
        if keeps_fleet_files(&self.fleet.config) {
            crate::push_app_files(&self.fleet, &self.app).await?;
        }
        Ok(())
    }
}

/// Waits for the tasks of an application whose file is written already. When the engine takes an
/// update back, the file is what it was too.
pub(super) struct WaitForStack {
    pub app: String,
    pub tasks: WaitForTasks,
    pub troubles: Vec<KnownTrouble>,
    pub earlier: Option<EarlierFiles>,
}

/// Lines of a service's log that are looked through for a known trouble.
const LOG_LINES: u32 = 200;

impl WaitForStack {
    /// Says what is left of a deploy that failed, and how to go back; `None` for a first one.
    fn describe_way_back(&self) -> Option<String> {
        self.earlier.as_ref()?;
        Some(tr!(
            "What was updated stays so, and apps/{app}.toml says the new: `matou rollback {app}_SERVICE` takes a service back to what it was, `matou redeploy {app}` tries again",
            app = self.app
        ))
    }

    /// Looks for known troubles in the logs of services. Returns the cure of the first that is there.
    async fn find_cure(&self, cx: &StepContext) -> Option<String> {
        for trouble in &self.troubles {
            let logs = Command::new("docker")
                .args(["service", "logs", "--raw", "--tail"])
                .arg(LOG_LINES.to_string())
                .arg("--")
                .arg(format!("{}_{}", self.app, trouble.service))
                .sudo()
                .timeout(Duration::from_secs(20))
                .label(tr!("what its log says"));
            let Ok(out) = cx.host.run(&logs).await else {
                continue;
            };
            let said = |bytes: &[u8]| String::from_utf8_lossy(bytes).contains(&trouble.log);
            if said(&out.stdout) || said(&out.stderr) {
                return Some(translate_stack_text(&trouble.cure).replace("APP", &self.app));
            }
        }
        None
    }
}

#[async_trait]
impl Step for WaitForStack {
    fn name(&self) -> String {
        self.tasks.name()
    }

    fn timeout(&self) -> Duration {
        self.tasks.timeout()
    }

    async fn check(&self, cx: &StepContext) -> Result<Check, StepError> {
        self.tasks.check(cx).await
    }

    async fn apply(&self, cx: &StepContext) -> Result<(), StepError> {
        let failure = match wait_for_tasks(&self.tasks, cx).await {
            Ok(()) => return Ok(()),
            Err(failure) => failure,
        };
        let (WaitFailure::RolledBack(why), Some(earlier)) = (&failure, &self.earlier) else {
            let failure = StepError::from(failure);
            if failure.is_cancelled() {
                return Err(failure);
            }
            let cure = self.find_cure(cx).await;
            let more = cure.or_else(|| self.describe_way_back());
            return Err(match more {
                Some(more) => StepError::failed(format!("{failure}. {more}")),
                None => failure,
            });
        };
        let name = AppFile::name(&earlier.app);
        Err(StepError::failed(match earlier.put_back().await {
            Ok(()) => tr!("{why}; {name} is what it was before, too"),
            Err(e) => tr!("{why}; {name} could not be made what it was before: {e}"),
        }))
    }

    async fn verify(&self, cx: &StepContext) -> Result<(), StepError> {
        self.tasks.verify(cx).await
    }
}

/// Pushes the application's files to the storage node, where the nightly backup reads them. Files
/// that others changed there stay as they are, and the plan names them.
pub(crate) struct PushFleetFiles {
    pub app: String,
    pub fleet: FleetContext,
}

#[async_trait]
impl Step for PushFleetFiles {
    fn name(&self) -> String {
        tr!("files for the nightly backup").into()
    }

    async fn check(&self, _: &StepContext) -> Result<Check, StepError> {
        let line = tr!(
            "apps/{}.toml and its stack for the nightly backup",
            self.app
        );
        let planned = crate::plan_app_files_push(&self.fleet, &self.app).await;
        let Some(planned) = planned? else {
            return Ok(Check::Done(vec![Change::same(line)]));
        };
        let mut lines = vec![match planned.is_done {
            true => Change::same(line),
            false => Change::add(line),
        }];
        lines.extend(planned.untouched.iter().map(|c| Change::same(c.describe())));
        Ok(match planned.is_done {
            true => Check::Done(lines),
            false => Check::Change(lines),
        })
    }

    async fn apply(&self, _: &StepContext) -> Result<(), StepError> {
        let pushed = crate::push_app_files(&self.fleet, &self.app).await;
        pushed.map_err(StepError::from)
    }

    /// Pushes again when another operator has pushed a config.toml meanwhile.
    async fn verify(&self, cx: &StepContext) -> Result<(), StepError> {
        for _ in 0..MAX_PUSHES {
            if let Check::Done(_) = self.check(cx).await? {
                return Ok(());
            }
            self.apply(cx).await?;
        }
        match self.check(cx).await? {
            Check::Done(_) => Ok(()),
            _ => Err(StepError::failed(tr!(
                "the fleet's files change all the time: deploy again when nobody else does"
            ))),
        }
    }
}
