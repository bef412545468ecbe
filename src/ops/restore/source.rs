//! A snapshot of an application and what it says of itself: volumes, dumps, the application's file.

use std::collections::BTreeMap;
use std::path::Path;

use jiff::Timestamp;
use tokio_util::sync::CancellationToken;

use crate::backup::identity::Here;
use crate::backup::listing::{self, Size};
use crate::backup::{BackupError, MANIFEST, Manifest, Restic, Snapshot, View, contradicts};
use crate::ops::Context;
use crate::stack::AppFile;

/// Snapshots of an application that are looked at, when the newest contradict themselves.
const LOOKED_AT: usize = 5;

/// Where something is restored from.
#[derive(Clone)]
pub(crate) struct Source {
    /// The application that was backed up.
    pub app: String,
    pub restic: Restic,
    /// Full id.
    pub id: String,
    pub at: Timestamp,
    /// What was backed up, absolute.
    pub paths: Vec<String>,
    pub manifest: Option<Manifest>,
    /// What the operator must know before it is restored: that it is another fleet's, that a clock was
    /// wrong.
    pub warnings: Vec<String>,
    /// Somebody chose it by its id.
    named: bool,
    /// What was counted already, by path.
    sizes: BTreeMap<String, Size>,
}

impl Source {
    /// The snapshot of an application whose id begins with `id`, whosever it is; this fleet's newest when
    /// there is none.
    ///
    /// # Errors
    /// One sentence: no repository, no such snapshot, none that may be taken unnamed.
    pub async fn of(cx: &Context, app: &str, id: Option<&str>) -> Result<Self, String> {
        Self::first(cx, primary(cx).await?, app, id, false).await
    }

    /// The same, all of which is wanted: everything in it is counted while the manifest is read,
    /// because restic takes half a second of each call to derive its key.
    ///
    /// # Errors
    /// As [`Source::of`].
    pub async fn whole(cx: &Context, app: &str, id: Option<&str>) -> Result<Self, String> {
        Self::whole_in(cx, primary(cx).await?, app, id).await
    }

    /// The same, read by a restic elsewhere; `cx` is of the fleet that made it.
    ///
    /// # Errors
    /// As [`Source::of`].
    pub async fn whole_in(
        cx: &Context,
        restic: Restic,
        app: &str,
        id: Option<&str>,
    ) -> Result<Self, String> {
        Self::first(cx, restic, app, id, true).await
    }

    /// The first of those that may be taken whose manifest does not contradict its date.
    async fn first(
        cx: &Context,
        restic: Restic,
        app: &str,
        id: Option<&str>,
        whole: bool,
    ) -> Result<Self, String> {
        let mut refused = Vec::new();
        for mut source in Self::find(cx, restic, app, id).await? {
            source.manifest = match whole {
                true => {
                    let read = tokio::try_join!(source.read_own(), source.count());
                    let (manifest, sizes) = read.map_err(told)?;
                    source.sizes = sizes;
                    manifest
                }
                false => source.read_own().await.map_err(told)?,
            };
            let Some(why) = source.contradiction() else {
                source.warnings.append(&mut refused);
                return Ok(source);
            };
            if source.named {
                source.warnings.push(why);
                return Ok(source);
            }
            refused.push(format!("a newer one is left out: {why}"));
        }
        Err(format!(
            "a clock was wrong when the newest snapshots of {app} were made, so which is the newest can't be told: name one with --snapshot; `matou snapshots {app}` lists them"
        ))
    }

    /// Why its date is not to be believed.
    fn contradiction(&self) -> Option<String> {
        let manifest = self.manifest.as_ref()?.time;
        contradicts(self.at, manifest).then(|| {
            format!(
                "the snapshot {} is dated {} and says that it was made {}: a clock was wrong",
                self.short(),
                self.at.strftime("%F %R UTC"),
                manifest.strftime("%F %R UTC"),
            )
        })
    }

    /// The snapshots that may be taken, of which nothing is read yet: the named one, or the newest.
    async fn find(
        cx: &Context,
        restic: Restic,
        app: &str,
        id: Option<&str>,
    ) -> Result<Vec<Self>, String> {
        let (all, here) = tokio::join!(restic.snapshots(&[]), Here::read(&cx.config, &cx.nodes));
        let (all, here) = (all.map_err(told)?, here.map_err(told)?);
        let view = here.view(&cx.config, &cx.nodes, &restic, &all).await;
        let view = view.map_err(told)?;
        let found = match id {
            None => view
                .candidates(app, &all)
                .map_err(|refused| refused.sentence(app, restic.shown()))?,
            Some(id) => {
                let fitting = |s: &&Snapshot| s.app() == Some(app) && s.id.starts_with(id);
                let fitting: Vec<&Snapshot> = all.iter().filter(fitting).collect();
                match fitting.len() {
                    0 => {
                        return Err(format!(
                            "{app} has no snapshot {id}: `matou snapshots {app}` lists them"
                        ));
                    }
                    1 => fitting,
                    _ => {
                        return Err(format!(
                            "several snapshots of {app} begin with {id}: give more of its digits"
                        ));
                    }
                }
            }
        };
        let source = |s: &Snapshot| Self {
            app: app.to_owned(),
            restic: restic.clone(),
            id: s.id.clone(),
            at: s.time,
            paths: s.paths.clone(),
            manifest: None,
            warnings: warnings(&view, s),
            named: id.is_some(),
            sizes: BTreeMap::new(),
        };
        Ok(found.into_iter().take(LOOKED_AT).map(source).collect())
    }

    /// The manifest, when it has one.
    async fn read_own(&self) -> Result<Option<Manifest>, BackupError> {
        let Some(dumps) = self.own("dumps") else {
            return Ok(None);
        };
        let path = format!("{dumps}/{MANIFEST}");
        let Some(text) = listing::small_file(&self.restic, &self.id, &path).await? else {
            return Ok(None);
        };
        serde_json::from_slice(&text).map(Some).map_err(|e| {
            BackupError::Wrong(format!(
                "the manifest of the snapshot {} can't be understood: {e}",
                self.short()
            ))
        })
    }

    /// How much lies at each of its paths; nothing when they lie in one another.
    async fn count(&self) -> Result<BTreeMap<String, Size>, BackupError> {
        let within = |a: &String| {
            let mut others = self.paths.iter().filter(|b| *b != a);
            others.any(|b| Path::new(a).starts_with(b))
        };
        if self.paths.iter().any(within) {
            return Ok(BTreeMap::new());
        }
        let never = CancellationToken::new();
        listing::sizes(&self.restic, &self.id, &self.paths, &never).await
    }

    /// The application's file as it was, when the snapshot holds one.
    ///
    /// # Errors
    /// One sentence: it can't be read.
    pub async fn file(&self) -> Result<Option<AppFile>, String> {
        let Some(dumps) = self.own("dumps") else {
            return Ok(None);
        };
        let path = format!("{dumps}/{}.toml", self.app);
        let read = listing::small_file(&self.restic, &self.id, &path).await;
        let Some(text) = read.map_err(|e| e.to_string())? else {
            return Ok(None);
        };
        toml::from_str(&String::from_utf8_lossy(&text))
            .map(Some)
            .map_err(|e| format!("{path} of the snapshot can't be understood: {e}"))
    }

    /// matou's folder `dumps` or `secrets` of the application in the snapshot.
    pub fn own(&self, kind: &str) -> Option<String> {
        let end = format!("/.matou/{kind}/{}", self.app);
        self.paths.iter().find(|p| p.ends_with(&end)).cloned()
    }

    /// Volumes and their folders in the snapshot.
    pub fn volumes(&self) -> Vec<(String, String)> {
        if let Some(manifest) = &self.manifest {
            let volumes = manifest.volumes.iter();
            return volumes
                .map(|v| (v.name.clone(), v.folder.display().to_string()))
                .filter(|(_, folder)| self.paths.contains(folder))
                .collect();
        }
        let named = |path: &String| {
            let plain = path.strip_suffix("/_data").unwrap_or(path);
            let name = plain.rsplit('/').next().unwrap_or(plain);
            (name.to_owned(), path.clone())
        };
        let own = |p: &&String| !p.contains("/.matou/");
        self.paths.iter().filter(own).map(named).collect()
    }

    /// The first eight digits of its id.
    pub fn short(&self) -> &str {
        self.id.get(..8).unwrap_or(&self.id)
    }

    /// `abcd1234 of 2026-11-23 03:00 (33 h old)`; coarse, so that it is the same when it is asked
    /// again a moment later.
    pub fn shown(&self) -> String {
        let age = crate::text::old(Timestamp::now(), self.at);
        format!(
            "{} of {} ({age})",
            self.short(),
            self.at.strftime("%Y-%m-%d %H:%M UTC")
        )
    }

    /// How much lies at these paths.
    ///
    /// # Errors
    /// One sentence; also when one of them is not in the snapshot.
    pub async fn size(&self, paths: &[String]) -> Result<Size, String> {
        let counted: Option<Vec<Size>> = paths.iter().map(|p| self.sizes.get(p).copied()).collect();
        if let Some(counted) = counted {
            return Ok(counted.into_iter().sum());
        }
        let paths: Vec<&str> = paths.iter().map(String::as_str).collect();
        let never = CancellationToken::new();
        listing::size(&self.restic, &self.id, &paths, &never)
            .await
            .map_err(told)
    }
}

/// What is said of a snapshot that was named.
fn warnings(view: &View, snapshot: &Snapshot) -> Vec<String> {
    let mut warnings = Vec::new();
    if let Some(other) = view.owner(snapshot).other() {
        let other = crate::text::clean(other);
        warnings.push(format!("it is another fleet's: of {other}"));
    }
    if view.is_ahead(snapshot) {
        warnings.push("it is dated in the future: a clock was wrong when it was made".to_owned());
    }
    warnings
}

/// The repository that is restored from.
async fn primary(cx: &Context) -> Result<Restic, String> {
    let restic = crate::collect::primary_repository(&cx.config, &cx.nodes).await;
    restic.map_err(|e| e.to_string())
}

fn told(error: BackupError) -> String {
    error.to_string()
}
