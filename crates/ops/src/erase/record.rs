//! The beginning and the end of an erasing: what is to go is written down, and what came of it.

use matou_i18n::{Text, both, tr};
use std::sync::Arc;
use std::time::Duration;

use async_trait::async_trait;

use super::context::{EraseContext, EraseLeftover};
use crate::{FleetContext, OpsError};
use matou_backup::matou_folder;
use matou_docker::NodeHandle;
use matou_host::Command;
use matou_job::{Change, Check, Step, StepContext, StepError};

/// What is left alone because it is not the application's data alone, with what ends it.
const NOT_LOOKED_INTO: [Text; 4] = [
    both!(
        "requests in the edge's access log, until that is rotated; lines in a log store (stack logs), until its retention"
    ),
    both!("the application's name in matou's journal and reports"),
    both!(
        "keys of its certificates in older snapshots of the edge and of the fleet's own files, until the retention; whoever worries revokes them"
    ),
    both!(
        "what was taken out of the fleet: exports, folders restored into, copies of apps/ on other machines"
    ),
];

/// Writes down what belongs to the application.
pub(super) struct WriteEraseInventory(pub Arc<EraseContext>);

impl WriteEraseInventory {
    async fn is_written(&self) -> Result<bool, StepError> {
        let read = Command::sh("cat -- \"$1\" 2>/dev/null || :")
            .arg(self.0.inventory_path().display().to_string())
            .sudo()
            .timeout(Duration::from_secs(30))
            .label(tr!("an interrupted erasing"));
        let text = self.0.storage_host().run_ok(&read).await?.stdout_text();
        Ok(text == self.inventory_json())
    }

    fn inventory_json(&self) -> String {
        serde_json::to_string(&self.0.inventory).unwrap_or_default()
    }
}

#[async_trait]
impl Step for WriteEraseInventory {
    fn name(&self) -> String {
        tr!("what belongs to it").into()
    }

    async fn check(&self, _: &StepContext) -> Result<Check, StepError> {
        let known = &self.0.inventory;
        let line = match known.resumed {
            true => tr!("an erasing that was interrupted goes on"),
            false => tr!("a list of what goes, on the storage node"),
        };
        let nothing = known.volumes_to_erase().next().is_none() && known.domains.is_empty();
        Ok(match self.is_written().await? || nothing {
            true => Check::Done(vec![Change::same(line)]),
            false => Check::Change(vec![Change::add(line)]),
        })
    }

    async fn apply(&self, _: &StepContext) -> Result<(), StepError> {
        let folder = self.0.record_folder();
        let make = Command::new("mkdir")
            .args(["-p", "-m", "700", "--"])
            .arg(folder.display().to_string())
            .sudo()
            .timeout(Duration::from_secs(30));
        self.0.storage_host().run_ok(&make).await?;
        let (path, text) = (
            self.0.inventory_path().display().to_string(),
            self.inventory_json(),
        );
        let storage = self.0.storage_host();
        storage.upload_file(&path, text.as_bytes(), 0o600).await?;
        Ok(())
    }
}

/// Writes the record, and ends the erasing.
pub(super) struct WriteEraseRecord(pub Arc<EraseContext>);

/// Renders the text of a record.
fn render_erase_record(
    app: &str,
    fleet: &str,
    domains: &[String],
    gone: &[String],
    left: &[EraseLeftover],
) -> String {
    let now = jiff::Timestamp::now().strftime("%F %R UTC");
    let version = env!("CARGO_PKG_VERSION");
    let mut text = tr!("Erased: {app} of the fleet {fleet}\nWhen: {now}, by matou {version}\n");
    if !domains.is_empty() {
        text += &tr!("Domains: {}\n", domains.join(", "));
    }
    text += tr!("\nDestroyed:\n");
    for line in gone {
        text += &format!("- {line}\n");
    }
    if gone.is_empty() {
        text += tr!("- nothing more was there\n");
    }
    text += match left.is_empty() {
        true => tr!("\nEverything that is known of it was destroyed.\n"),
        false => tr!("\nCould NOT be destroyed:\n"),
    };
    for left in left {
        text += &tr!("- {}\n  it stays {}\n", left.what, left.until);
    }
    text += tr!("\nNot looked into, because it is no data of the application alone:\n");
    for line in NOT_LOOKED_INTO {
        text += &format!("- {line}\n");
    }
    text
}

/// Whether the storage node has the record of an earlier erasing of the application, which is done then.
pub(super) async fn has_record(
    fleet: &FleetContext,
    app: &str,
    storage: &NodeHandle,
) -> Result<bool, OpsError> {
    let look = Command::sh(
        "for f in \"$1/$2\"-????-??-??.txt; do [ ! -s \"$f\" ] || exit 0; done; exit 1",
    )
    .arg(
        matou_folder(&fleet.config)
            .join("erased")
            .display()
            .to_string(),
    )
    .arg(app)
    .sudo()
    .timeout(Duration::from_secs(30))
    .label(tr!("records of what was erased"));
    Ok(storage.host.run(&look).await?.code == 0)
}

impl WriteEraseRecord {
    fn file_name(&self) -> String {
        let day = jiff::Timestamp::now().strftime("%F");
        format!("{}-{day}.txt", self.0.app)
    }

    /// Whether this run or an earlier one has written anything down.
    async fn has_begun(&self) -> Result<bool, StepError> {
        let test = Command::sh("[ -e \"$1\" ] || [ -e \"$2\" ]")
            .arg(self.0.inventory_path().display().to_string())
            .arg(self.0.destroyed_log_path().display().to_string())
            .sudo()
            .timeout(Duration::from_secs(30))
            .label(tr!("an erasing that was begun"));
        Ok(self.0.storage_host().run(&test).await?.code == 0)
    }
}

#[async_trait]
impl Step for WriteEraseRecord {
    fn name(&self) -> String {
        tr!("record").into()
    }

    async fn check(&self, _: &StepContext) -> Result<Check, StepError> {
        let known = &self.0.inventory;
        let any = known.volumes_to_erase().next().is_some() || !known.domains.is_empty();
        Ok(
            match any || self.has_begun().await? || !self.0.lock_leftovers().is_empty() {
                true => Check::Change(vec![Change::add(tr!(
                    "erased/{}, beside config.toml and on the storage node",
                    self.file_name()
                ))]),
                false => Check::Done(vec![Change::same(tr!("nothing to be recorded"))]),
            },
        )
    }

    async fn apply(&self, cx: &StepContext) -> Result<(), StepError> {
        let work = &self.0;
        let gone = work.read_destroyed_log().await?;
        let left = work.lock_leftovers().clone();
        let fleet = &work.fleet.config.fleet.name;
        let text = render_erase_record(&work.app, fleet, &work.inventory.domains, &gone, &left);
        let there = work
            .record_folder()
            .join(self.file_name())
            .display()
            .to_string();
        // A second one of the same day does not replace the first.
        let append = Command::sh(
            "set -e; umask 077; mkdir -p -m 700 -- \"$(dirname -- \"$1\")\"; [ ! -s \"$1\" ] || echo >>\"$1\"; cat >>\"$1\"; sync -- \"$1\"",
        )
        .arg(&there)
        .stdin(text.clone().into_bytes())
        .sudo()
        .timeout(Duration::from_secs(30))
        .label(tr!("write {there}"));
        work.storage_host().run_ok(&append).await?;
        if let Some(folder) = work.fleet.config.folder() {
            let path = folder.join("erased").join(self.file_name());
            append_local_record(&path, &text)
                .map_err(|e| StepError::failed(tr!("{} can't be written: {e}", path.display())))?;
            cx.out.note(tr!("the record is {}", path.display())).await;
        }
        let again = || left.iter().filter(|l| l.is_for_another_run);
        if again().next().is_some() {
            let all: Vec<String> = again().map(|l| l.what.clone()).collect();
            return Err(StepError::failed(tr!(
                "not everything could be destroyed: {}; run it again when that can be reached",
                all.join("; ")
            )));
        }
        let done = Command::new("rm")
            .args(["-f", "--"])
            .arg(work.inventory_path().display().to_string())
            .arg(work.destroyed_log_path().display().to_string())
            .sudo()
            .timeout(Duration::from_secs(30));
        work.storage_host().run_ok(&done).await?;
        Ok(())
    }

    /// Checks that the erasing has ended: the list of what goes is removed after the record is
    /// written.
    async fn verify(&self, _: &StepContext) -> Result<(), StepError> {
        match self.has_begun().await? {
            false => Ok(()),
            true => Err(StepError::failed(tr!(
                "the list of what goes is there still"
            ))),
        }
    }
}

fn append_local_record(path: &std::path::Path, text: &str) -> std::io::Result<()> {
    use std::io::Write;
    if let Some(folder) = path.parent() {
        matou_base::files::make_folder(folder)?;
    }
    let old = path.metadata().is_ok_and(|m| m.len() > 0);
    let mut file = matou_base::files::open_append(path)?;
    let text = if old {
        format!("\n{text}")
    } else {
        text.to_owned()
    };
    file.write_all(text.as_bytes())?;
    file.sync_all()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_record_says_what_was_destroyed_what_was_not_and_until_when() {
        let left = EraseLeftover {
            what: "snapshots of shop in offsite".into(),
            until: "until this is run again".into(),
            is_for_another_run: true,
        };
        let (gone, domains) = (
            ["volume shop_db of n1".to_owned()],
            ["a.example".to_owned()],
        );
        let text = render_erase_record("shop", "era", &domains, &gone, &[left]);
        for words in [
            "Erased: shop of the fleet era",
            "Domains: a.example",
            "- volume shop_db of n1",
            "Could NOT be destroyed:\n- snapshots of shop in offsite\n  it stays until this is run again",
        ] {
            assert!(text.contains(words), "{text}");
        }
        assert!(!text.contains("Everything that is known"));
        let whole = super::render_erase_record("shop", "era", &[], &[], &[]);
        assert!(whole.contains("Everything that is known of it was destroyed."));
    }
}
