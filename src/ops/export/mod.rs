//! An application as one archive that another host can use: compose file, files, plain dumps,
//! secrets, and a README; made from what runs, or from a snapshot.

mod archive;
mod content;
mod text;

use std::path::{Path, PathBuf};
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;

use async_trait::async_trait;
use tokio::sync::mpsc;

use super::{Context, Request, backup};
use crate::backup::{Layout, ManifestDump};
use crate::host::{Command, HostError, Stream};
use crate::job::{Change, Check, Confirm, Cx, Job, Stage, Step, StepError, Track};
use crate::stack::{Dump, DumpEngine};
use crate::text::{human_bytes, plural};

use archive::{Chunk, Piece};
use content::Content;

/// How long all of it may take, over a slow line.
const PATIENCE: Duration = Duration::from_secs(48 * 3600);

/// How often progress is told.
const OFTEN: Duration = Duration::from_millis(400);

/// A dump, as it lies in the archive.
#[derive(Debug, Clone, PartialEq, Eq)]
struct LoadedDump {
    spec: Dump,
    /// Path in the archive.
    file: String,
    /// On the storage node, or in the snapshot.
    path: PathBuf,
    size: u64,
}

impl LoadedDump {
    fn of(spec: &Dump, made: &ManifestDump, nth: usize) -> Self {
        let end = match spec.command.is_some() {
            true => "dump",
            false => match spec.engine {
                Some(DumpEngine::Mongodb) => "archive",
                Some(DumpEngine::Sqlite) => "sqlite",
                _ => "sql",
            },
        };
        Self {
            spec: spec.clone(),
            file: format!("dumps/{nth}-{}.{end}", spec.service),
            path: made.path.clone(),
            size: made.size,
        }
    }

    /// The engine that loads it, where a server does.
    fn server(&self) -> Option<DumpEngine> {
        let engine = self.spec.engine.filter(|_| self.spec.command.is_none());
        engine.filter(|e| *e != DumpEngine::Sqlite)
    }

    /// `load.sh` loads it.
    fn is_loaded(&self) -> bool {
        self.server().is_some() || self.spec.restore.is_some()
    }

    fn words(&self) -> String {
        let what = match &self.spec.database {
            Some(database) => format!("the database {database} of `{}`", self.spec.service),
            None => format!("the data of `{}`", self.spec.service),
        };
        match self.spec.engine.filter(|_| self.spec.command.is_none()) {
            Some(DumpEngine::Postgresql) => format!("{what}, plain SQL for PostgreSQL's `psql`"),
            Some(DumpEngine::Mariadb | DumpEngine::Mysql) => {
                format!("{what}, plain SQL for `mariadb` or `mysql`")
            }
            Some(DumpEngine::Mongodb) => format!("{what}, for `mongorestore --archive`"),
            Some(DumpEngine::Sqlite) => {
                format!("{what}; it lies in its volume already, in the place of the live file")
            }
            None => match &self.spec.restore {
                Some(_) => format!("{what}; `load.sh` knows the line that loads it"),
                None => format!("{what}, by a line of the stack's own"),
            },
        }
    }
}

/// Makes the job of [`Request::Export`].
///
/// # Errors
/// One sentence: there is no such application, its stack can't be rendered, it has no snapshot.
pub(super) async fn build(request: &Request, cx: &Context) -> Result<Job, String> {
    let Request::Export {
        app,
        into,
        snapshot,
        database_files,
    } = request
    else {
        return Err(format!("{} is no export", request.title()));
    };
    crate::stack::check_app_name(app)?;
    let content = Content::of(cx, app, snapshot.as_deref(), *database_files).await?;
    let into = match into {
        Some(path) => PathBuf::from(path),
        None => PathBuf::from(format!(
            "{app}-{}.tar",
            jiff::Timestamp::now().strftime("%F")
        )),
    };
    let work = Arc::new(Work {
        cx: cx.clone(),
        into,
        made: Mutex::default(),
        content,
    });
    let storage = cx.nodes.get(&cx.config.storage.node);
    let storage = storage.ok_or("the storage node is not among the nodes of config.toml")?;
    let mut steps: Vec<Box<dyn Step>> = Vec::new();
    if work.content.makes_dumps() {
        steps.push(Box::new(Dumps(work.clone())));
    }
    steps.push(Box::new(Export(work)));
    let stage = Stage {
        title: request.title(),
        tracks: vec![Track {
            node: storage.config.name.clone(),
            host: storage.host.clone(),
            docker: storage.docker.clone(),
            steps,
        }],
    };
    Ok(Job::new(request.title(), Confirm::Ask, vec![stage]))
}

/// What both steps share.
struct Work {
    cx: Context,
    into: PathBuf,
    content: Content,
    /// Dumps that the first step made.
    made: Mutex<Vec<ManifestDump>>,
}

impl Work {
    fn dumps(&self) -> Vec<LoadedDump> {
        let made = self.made.lock().unwrap_or_else(PoisonError::into_inner);
        let made = match &self.content.snapshot {
            Some(source) => source.manifest.as_ref().map(|m| m.dumps.as_slice()),
            None => Some(made.as_slice()),
        };
        let mut found = Vec::new();
        for spec in &self.content.dumps {
            let fits = |m: &&ManifestDump| m.service == spec.service && m.file == spec.file;
            if let Some(made) = made.unwrap_or_default().iter().find(fits) {
                found.push(LoadedDump::of(spec, made, found.len() + 1));
            }
        }
        found
    }
}

/// Fresh dumps of what runs.
struct Dumps(Arc<Work>);

#[async_trait]
impl Step for Dumps {
    fn name(&self) -> String {
        "dumps".into()
    }

    fn timeout(&self) -> Duration {
        PATIENCE
    }

    async fn check(&self, _: &Cx) -> Result<Check, StepError> {
        let dumps = self.0.content.dumps.iter();
        let line = |d: &Dump| Change::add(format!("fresh dump of {}", d.service));
        Ok(Check::Change(dumps.map(line).collect()))
    }

    async fn apply(&self, cx: &Cx) -> Result<(), StepError> {
        let work = &self.0.cx;
        let app = &self.0.content.app;
        let layout = Layout::of(app, &work.config, &work.nodes, &work.catalogue).await;
        let layout = layout.map_err(|e| StepError::failed(e.to_string()))?;
        let failed = |e: crate::docker::DockerError| StepError::failed(e.to_string());
        let manager = work.nodes.manager().await.map_err(failed)?;
        let swarm = manager.docker.swarm().await.map_err(failed)?;
        let mut made = Vec::new();
        for dump in &self.0.content.dumps {
            let one = backup::dump(dump, &layout, &swarm, &work.config, &work.nodes, cx).await;
            if cx.cancel.is_cancelled() {
                return Err(StepError::Cancelled);
            }
            made.push(one.map_err(StepError::Failed)?);
        }
        *self.0.made.lock().unwrap_or_else(PoisonError::into_inner) = made;
        Ok(())
    }

    /// A dump has its name only when it is whole.
    async fn verify(&self, _: &Cx) -> Result<(), StepError> {
        Ok(())
    }
}

/// The archive.
struct Export(Arc<Work>);

type Pieces = mpsc::Sender<Option<Piece>>;

/// How a file of a volume is sent: a regular one, reached through no link.
const SEND: &str = r#"set -e; cd -P -- "$1"; root=$(pwd -P); f=$root/$2
[ "$(realpath -e -- "$f")" = "$f" ] && [ -f "$f" ] || { echo "$2 is no plain file of its volume" >&2; exit 1; }
exec dd bs=1M iflag=nonblock,nofollow status=none if="$f""#;

/// How a folder is sent. Files that change meanwhile are told, and no failure.
const TREE: &str = r#"cd -P -- "$1" || exit 2
tar -c -f - --format=gnu --numeric-owner --warning=no-file-ignored .; c=$?; [ $c -le 1 ] || exit $c"#;

impl Export {
    /// Sends one piece whose bytes come from a command.
    async fn send(
        &self,
        cx: &Cx,
        pieces: &Pieces,
        piece: impl FnOnce(mpsc::Receiver<Chunk>) -> Piece,
        from: &Place,
    ) -> Result<(), StepError> {
        let (out, data) = mpsc::channel::<Chunk>(16);
        let gone = || StepError::failed("the archive can't be written");
        let end = cx.cancel.child_token();
        let (chunks, mut arriving) = mpsc::channel::<(Stream, Vec<u8>)>(16);
        pieces.send(Some(piece(data))).await.map_err(|_| gone())?;
        let running = async {
            match from {
                Place::Node(command) => cx.host.stream_bytes(command, chunks, &end).await,
                Place::Snapshot(args) => {
                    let source = self.0.content.snapshot.as_ref();
                    let restic = source.map(|s| s.restic.clone());
                    let args: Vec<&str> = args.iter().map(String::as_str).collect();
                    match restic {
                        Some(restic) => match restic.stream_bytes(&args, chunks, &end).await {
                            Ok(code) => Ok(code),
                            Err(crate::backup::BackupError::Host(e)) => Err(e),
                            Err(_) => Err(HostError::Cancelled {
                                node: cx.node.clone(),
                                command: "restic dump".into(),
                            }),
                        },
                        None => Ok(1),
                    }
                }
            }
        };
        let reading = async {
            let mut said = Vec::new();
            let mut heard = true;
            while let Some((stream, bytes)) = arriving.recv().await {
                match stream {
                    Stream::Stderr => {
                        said.extend_from_slice(&bytes);
                        let much = said.len().saturating_sub(4000);
                        said.drain(..much);
                    }
                    _ if heard && out.send(Chunk::Bytes(bytes)).await.is_err() => {
                        // The writer has failed, and says why.
                        heard = false;
                        end.cancel();
                    }
                    _ => {}
                }
            }
            crate::text::plain(&said)
        };
        let (code, said) = tokio::join!(running, reading);
        let code = match code {
            Err(HostError::Cancelled { .. }) if cx.cancel.is_cancelled() => {
                return Err(StepError::Cancelled);
            }
            Err(_) if end.is_cancelled() => return Err(gone()),
            code => code?,
        };
        let lines: Vec<&str> = said.lines().filter(|l| !l.trim().is_empty()).collect();
        let last = lines[lines.len().saturating_sub(3)..].join(" / ");
        if code != 0 {
            return Err(StepError::failed(format!(
                "reading for the archive ended with exit code {code}: {last}"
            )));
        }
        if !last.is_empty() {
            cx.out.note(last).await;
        }
        out.send(Chunk::End).await.map_err(|_| gone())
    }

    /// Everything, in its order.
    async fn everything(&self, cx: &Cx, pieces: &Pieces) -> Result<(), StepError> {
        let content = &self.0.content;
        let dumps = self.0.dumps();
        let gone = |_| StepError::failed("the archive can't be written");
        let small = content.small(&self.0.cx, cx, &dumps).await?;
        for piece in small {
            pieces.send(Some(piece)).await.map_err(gone)?;
        }
        for volume in &content.volumes {
            let path = format!("volumes/{}", volume.name);
            let folder = volume.folder.display().to_string();
            let (owner, mode) = content.root_of(cx, &folder).await?;
            let piece = Piece::Folder {
                path: path.clone(),
                mode,
                owner,
            };
            pieces.send(Some(piece)).await.map_err(gone)?;
            if volume.left_out {
                continue;
            }
            cx.out.note(format!("volume {}", volume.name)).await;
            let skip = content.replaced(&dumps, volume);
            let (strip, from) = match &content.snapshot {
                None => {
                    let tar = content
                        .confined(&self.0.cx)
                        .sh(TREE)
                        .arg(&folder)
                        .label(format!("files of {}", volume.name));
                    (String::new(), Place::Node(tar))
                }
                Some(source) => {
                    let args = ["dump", "--no-lock", "--archive", "tar", &source.id, &folder];
                    let args = args.map(str::to_owned).into();
                    (folder.clone(), Place::Snapshot(args))
                }
            };
            let piece = |data| Piece::Tree {
                path,
                strip,
                skip,
                data,
            };
            self.send(cx, pieces, piece, &from).await?;
        }
        for dump in &dumps {
            let mut names = vec![dump.file.clone()];
            names.extend(content.in_volume(dump));
            for path in names {
                let from = content.dump_from(&self.0.cx, dump)?;
                let piece = |data| Piece::Large {
                    path,
                    size: dump.size,
                    data,
                };
                self.send(cx, pieces, piece, &from).await?;
            }
        }
        pieces.send(None).await.map_err(gone)
    }
}

/// Where bytes come from.
enum Place {
    /// A command on the storage node.
    Node(Command),
    /// Arguments of restic.
    Snapshot(Vec<String>),
}

#[async_trait]
impl Step for Export {
    fn name(&self) -> String {
        "archive".into()
    }

    fn timeout(&self) -> Duration {
        PATIENCE
    }

    async fn check(&self, _: &Cx) -> Result<Check, StepError> {
        let into = &self.0.into;
        if into.symlink_metadata().is_ok() {
            return Err(StepError::failed(format!(
                "{} is there already: name another file with --into",
                into.display()
            )));
        }
        let folder = into.parent().filter(|p| !p.as_os_str().is_empty());
        if !folder.unwrap_or(Path::new(".")).is_dir() {
            return Err(StepError::failed(format!(
                "there is no folder for {}: make it first",
                into.display()
            )));
        }
        let content = &self.0.content;
        let mut lines =
            vec![
            Change::add(format!("{} on this machine, {}", into.display(), content.shown())).warn(
                "it holds the application's passwords in plain text: keep it as you keep passwords",
            ),
        ];
        lines.extend(content.lines());
        Ok(Check::Change(lines))
    }

    async fn apply(&self, cx: &Cx) -> Result<(), StepError> {
        let (pieces, arriving) = mpsc::channel(4);
        let done = Arc::new(AtomicU64::new(0));
        let (into, app, counted) = (
            self.0.into.clone(),
            self.0.content.app.clone(),
            done.clone(),
        );
        let writing =
            tokio::task::spawn_blocking(move || archive::write(&into, &app, arriving, &counted));
        let total = self.0.content.bytes(cx).await;
        let telling = async {
            loop {
                tokio::time::sleep(OFTEN).await;
                let n = done.load(Ordering::Relaxed);
                cx.out.progress(n, total.max(n), "bytes").await;
            }
        };
        let sent = async {
            let sent = self.everything(cx, &pieces).await;
            drop(pieces);
            sent
        };
        let sent = tokio::select! {
            sent = sent => sent,
            () = telling => Ok(()),
        };
        let written = writing
            .await
            .map_err(|e| StepError::failed(format!("a bug in matou: {e}")))?;
        let written = match (sent, written) {
            (Err(StepError::Cancelled), _) => return Err(StepError::Cancelled),
            // What the writer says of a source that ended is that source's failure.
            (Err(e), Ok(_)) => return Err(e),
            (Err(e), Err(why)) => {
                return Err(match e.to_string().contains("can't be written") {
                    true => StepError::failed(why),
                    false => e,
                });
            }
            (Ok(()), written) => written.map_err(StepError::Failed)?,
        };
        cx.out
            .note(format!(
                "{}: {}, {}; `sha256sum -c {}` in it proves them",
                self.0.into.display(),
                plural(usize::try_from(written.files).unwrap_or(usize::MAX), "file"),
                human_bytes(done.load(Ordering::Relaxed)),
                archive::SUMS
            ))
            .await;
        if written.left_out > 0 {
            cx.out
                .note(format!(
                    "{} devices and sockets are left out",
                    written.left_out
                ))
                .await;
        }
        Ok(())
    }

    /// It has its name only when it is whole.
    async fn verify(&self, _: &Cx) -> Result<(), StepError> {
        match self.0.into.is_file() {
            true => Ok(()),
            false => Err(StepError::failed(format!(
                "{} is not there",
                self.0.into.display()
            ))),
        }
    }
}
