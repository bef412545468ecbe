//! What a backup of everything is about, and what of it can't be backed up: that is one failed item
//! of the run each, and stops no other.

use std::time::Instant;

use async_trait::async_trait;

use super::app::{report, told};
use super::work::Work;
use crate::backup::{names, odd_names};
use crate::job::{Change, Check, Cx, Step, StepError};
use crate::model::Swarm;
use crate::stack::AppFile;

/// What is on the fleet.
#[derive(Default)]
pub(super) struct Found {
    /// Applications, sorted.
    pub apps: Vec<String>,
    /// Files in apps/ that are no application's.
    pub strays: Vec<String>,
    /// What can't be backed up, and why.
    pub failed: Vec<(String, String)>,
}

/// Everything that has something to back up. When no manager answers, that is what has a file in
/// apps/.
pub(super) async fn every(work: &Work) -> Found {
    let cx = &work.cx;
    let folder = cx.config.folder();
    let mut found = Found {
        strays: folder.map_or_else(Vec::new, |f| AppFile::strays(&f)),
        ..Found::default()
    };
    let swarm = async {
        let manager = cx.nodes.manager().await.map_err(|e| e.to_string())?;
        manager.docker.swarm().await.map_err(|e| e.to_string())
    };
    match swarm.await {
        Ok(swarm) => {
            found.apps = names(&cx.config, &swarm);
            let why = "no backup can be made under this name: deploy it as a stack that is called by letters, digits, - and _";
            let odd = odd_names(&swarm).into_iter();
            found.failed = odd.map(|name| (name, why.to_owned())).collect();
        }
        Err(why) => {
            found.apps = names(&cx.config, &Swarm::default());
            let why = format!("what runs without a file in apps/ can't be listed: {why}");
            found.failed.push(("whatever else runs".to_owned(), why));
        }
    }
    found
}

/// Files that were passed over are told.
pub(super) struct Strays(pub Vec<String>);

impl Strays {
    fn said(name: &str) -> String {
        format!("{name:?} is no application's file, by its name: passed over")
    }
}

#[async_trait]
impl Step for Strays {
    fn name(&self) -> String {
        "files in apps/".into()
    }

    fn is_independent(&self) -> bool {
        true
    }

    async fn check(&self, _: &Cx) -> Result<Check, StepError> {
        let lines = self.0.iter().map(|n| Change::same(Self::said(n)));
        Ok(Check::Change(lines.collect()))
    }

    async fn apply(&self, cx: &Cx) -> Result<(), StepError> {
        for name in &self.0 {
            cx.out.note(Self::said(name)).await;
        }
        Ok(())
    }

    async fn verify(&self, _: &Cx) -> Result<(), StepError> {
        Ok(())
    }
}

/// Something that can't be backed up: it fails, by its name.
pub(super) struct Failed {
    pub app: String,
    pub why: String,
    pub work: Work,
}

#[async_trait]
impl Step for Failed {
    fn name(&self) -> String {
        format!("backup {}", crate::text::clean(&self.app))
    }

    fn is_independent(&self) -> bool {
        true
    }

    async fn check(&self, _: &Cx) -> Result<Check, StepError> {
        let line = Change::add(format!("snapshot of {:?}", self.app));
        let line = line.warn(format!("it will FAIL: {}", self.why));
        Ok(Check::Change(vec![line]))
    }

    async fn apply(&self, _: &Cx) -> Result<(), StepError> {
        let report = report(&format!("{:?}", self.app));
        let result = Err(StepError::failed(self.why.clone()));
        told(&self.work, report, Instant::now(), result)
    }
}
