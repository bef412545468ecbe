//! A snapshot of an application and what it says of itself: volumes, dumps, the application's file.

use std::collections::BTreeMap;
use std::path::Path;

use jiff::Timestamp;
use tokio_util::sync::CancellationToken;

use crate::backup::listing::{self, Size};
use crate::backup::{BackupError, MANIFEST, Manifest, Restic};
use crate::ops::Context;
use crate::stack::AppFile;
use crate::text::coarse;

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
    /// What was counted already, by path.
    sizes: BTreeMap<String, Size>,
}

impl Source {
    /// The snapshot of an application whose id begins with `id`; its newest when there is none.
    ///
    /// # Errors
    /// One sentence: no repository, no such snapshot.
    pub async fn of(cx: &Context, app: &str, id: Option<&str>) -> Result<Self, String> {
        let mut source = Self::find(primary(cx).await?, app, id).await?;
        source.manifest = source.read_own().await.map_err(told)?;
        Ok(source)
    }

    /// The same, all of which is wanted: everything in it is counted while the manifest is read,
    /// because restic takes half a second of each call to derive its key.
    ///
    /// # Errors
    /// As [`Source::of`].
    pub async fn whole(cx: &Context, app: &str, id: Option<&str>) -> Result<Self, String> {
        Self::whole_in(primary(cx).await?, app, id).await
    }

    /// The same, of a repository of which nothing else is known.
    ///
    /// # Errors
    /// As [`Source::of`].
    pub async fn whole_in(restic: Restic, app: &str, id: Option<&str>) -> Result<Self, String> {
        let mut source = Self::find(restic, app, id).await?;
        let (manifest, sizes) =
            tokio::try_join!(source.read_own(), source.count()).map_err(told)?;
        source.manifest = manifest;
        source.sizes = sizes;
        Ok(source)
    }

    /// The snapshot, of which nothing is read yet.
    async fn find(restic: Restic, app: &str, id: Option<&str>) -> Result<Self, String> {
        let tag = format!("app={app}");
        let all = restic.snapshots(&[&tag]).await.map_err(told)?;
        let found = match id {
            None => all.into_iter().next_back(),
            Some(id) => {
                let mut fitting: Vec<_> =
                    all.into_iter().filter(|s| s.id.starts_with(id)).collect();
                if fitting.len() > 1 {
                    return Err(format!(
                        "several snapshots of {app} begin with {id}: give more of its digits"
                    ));
                }
                fitting.pop()
            }
        };
        let Some(found) = found else {
            return Err(match id {
                Some(id) => {
                    format!("{app} has no snapshot {id}: `matou snapshots {app}` lists them")
                }
                None => format!(
                    "{app} has no snapshot in {}: it can't be restored",
                    restic.shown()
                ),
            });
        };
        Ok(Self {
            app: app.to_owned(),
            id: found.id,
            at: found.time,
            paths: found.paths,
            manifest: None,
            sizes: BTreeMap::new(),
            restic,
        })
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

    /// A small file of its dumps' folder, when the snapshot holds it.
    ///
    /// # Errors
    /// One sentence: it can't be read.
    pub async fn small(&self, name: &str) -> Result<Option<Vec<u8>>, String> {
        let Some(dumps) = self.own("dumps") else {
            return Ok(None);
        };
        let path = format!("{dumps}/{name}");
        let read = listing::small_file(&self.restic, &self.id, &path).await;
        read.map_err(told)
    }

    /// Its secrets as an archive of files; nothing when the snapshot holds none.
    ///
    /// # Errors
    /// One sentence: they can't be read.
    pub async fn secrets(&self) -> Result<Vec<u8>, String> {
        let Some(secrets) = self.own("secrets") else {
            return Ok(Vec::new());
        };
        let args = ["dump", "--no-lock", "--archive", "tar", &self.id, &secrets];
        Ok(self.restic.run(&args).await.map_err(told)?.stdout)
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
        let seconds = Timestamp::now().as_second() - self.at.as_second();
        let age = match seconds {
            ..3600 => "less than an hour old".to_owned(),
            seconds => format!("{} old", coarse(seconds)),
        };
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

/// The repository that is restored from.
async fn primary(cx: &Context) -> Result<Restic, String> {
    let restic = crate::collect::primary_repository(&cx.config, &cx.nodes).await;
    restic.map_err(|e| e.to_string())
}

fn told(error: BackupError) -> String {
    error.to_string()
}
