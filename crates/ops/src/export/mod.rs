//! An application as one archive that another host can use: compose file, files, plain dumps,
//! secrets, and a README; made from what runs, or from a snapshot.

mod archive;
mod content;
mod dump;
mod readme;
mod source;

use matou_i18n::{tr, trn};
use std::path::{Path, PathBuf};
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;

use async_trait::async_trait;
use tokio::sync::mpsc;

use super::{FleetContext, Request, backup};
use crate::OpsError;
use matou_backup::{AppStorage, ManifestDump};
use matou_base::text::human_bytes;
use matou_host::{HostError, OutputStream};
use matou_job::{Change, Check, Confirm, Job, Stage, Step, StepContext, StepError};
use matou_stack::Dump;

use archive::{ArchiveChunk, ArchivePiece};
use content::ExportContent;
use dump::ExportDump;
use source::ExportSource;

/// How long all of it may take, over a slow line.
const PATIENCE: Duration = Duration::from_secs(48 * 3600);

/// How often progress is told.
const PROGRESS_INTERVAL: Duration = Duration::from_millis(400);

/// Makes the job of [`Request::Export`].
///
/// # Errors
/// One sentence: there is no such application, its stack can't be rendered, it has no snapshot.
pub(super) async fn build_export_job(
    request: &Request,
    fleet: &FleetContext,
) -> Result<Job, OpsError> {
    let Request::Export {
        app,
        into,
        snapshot,
        database_files,
    } = request
    else {
        return Err(OpsError::failed(tr!("{} is no export", request.title())));
    };
    let content = ExportContent::load(fleet, app, snapshot.as_deref(), *database_files).await?;
    let into = match into {
        Some(path) => PathBuf::from(path),
        None => PathBuf::from(format!(
            "{app}-{}.tar",
            jiff::Timestamp::now().strftime("%F")
        )),
    };
    let work = Arc::new(ExportContext {
        fleet: fleet.clone(),
        into,
        made: Mutex::default(),
        content,
    });
    let storage = fleet.find_storage_node()?;
    let mut steps: Vec<Box<dyn Step>> = Vec::new();
    if work.content.makes_dumps() {
        steps.push(Box::new(MakeExportDumps(work.clone())));
    }
    steps.push(Box::new(WriteExportArchive(work)));
    let stage = Stage::on_node(request.title(), storage, steps);
    Ok(Job::new(request.title(), Confirm::Ask, vec![stage]))
}

/// What both steps share.
struct ExportContext {
    fleet: FleetContext,
    into: PathBuf,
    content: ExportContent,
    /// Dumps that the first step made.
    made: Mutex<Vec<ManifestDump>>,
}

impl ExportContext {
    fn match_dumps(&self) -> Vec<ExportDump> {
        let made = self.made.lock().unwrap_or_else(PoisonError::into_inner);
        let made = match &self.content.snapshot {
            Some(source) => source.manifest.as_ref().map(|m| m.dumps.as_slice()),
            None => Some(made.as_slice()),
        };
        let mut found = Vec::new();
        for spec in &self.content.dumps {
            let fits = |m: &&ManifestDump| m.service == spec.service && m.file == spec.file;
            if let Some(made) = made.unwrap_or_default().iter().find(fits) {
                found.push(ExportDump::new(spec, made, found.len() + 1));
            }
        }
        found
    }
}

/// Fresh dumps of what runs.
struct MakeExportDumps(Arc<ExportContext>);

#[async_trait]
impl Step for MakeExportDumps {
    fn name(&self) -> String {
        tr!("dumps").into()
    }

    fn timeout(&self) -> Duration {
        PATIENCE
    }

    async fn check(&self, _: &StepContext) -> Result<Check, StepError> {
        let dumps = self.0.content.dumps.iter();
        let line = |d: &Dump| Change::add(tr!("fresh dump of {}", d.service));
        Ok(Check::Change(dumps.map(line).collect()))
    }

    async fn apply(&self, cx: &StepContext) -> Result<(), StepError> {
        let work = &self.0.fleet;
        let app = &self.0.content.app;
        let layout = AppStorage::load(app, &work.config, &work.nodes, &work.catalogue).await;
        let layout = layout.map_err(OpsError::from)?;
        let failed = |e: matou_docker::DockerError| StepError::from(e);
        let manager = work.nodes.find_manager().await.map_err(failed)?;
        let swarm = manager.docker.query_swarm().await.map_err(failed)?;
        let mut made = Vec::new();
        for dump in &self.0.content.dumps {
            let one = backup::dump(dump, &layout, &swarm, &work.config, &work.nodes, cx).await;
            if cx.cancel.is_cancelled() {
                return Err(StepError::Cancelled);
            }
            made.push(one?);
        }
        *self.0.made.lock().unwrap_or_else(PoisonError::into_inner) = made;
        Ok(())
    }

    /// Has nothing to check: a dump gets its name only when it is whole.
    async fn verify(&self, _: &StepContext) -> Result<(), StepError> {
        Ok(())
    }
}

/// Writes the archive.
struct WriteExportArchive(Arc<ExportContext>);

type PieceSender = mpsc::Sender<Option<ArchivePiece>>;

/// Prints a folder as a tar archive. Files that change meanwhile are reported, and no failure.
const READ_TREE: &str = r#"cd -P -- "$1" || exit 2
tar -c -f - --format=gnu --numeric-owner --warning=no-file-ignored .; c=$?; [ $c -le 1 ] || exit $c"#;

/// Why not all pieces of an archive were sent.
enum SendFailure {
    /// The writer takes no more; it says why itself.
    WriterGone,
    Source(StepError),
}

impl<E: Into<StepError>> From<E> for SendFailure {
    fn from(error: E) -> Self {
        Self::Source(error.into())
    }
}

impl WriteExportArchive {
    /// Sends one piece whose bytes come from a command.
    async fn send_streamed_piece(
        &self,
        cx: &StepContext,
        pieces: &PieceSender,
        piece: impl FnOnce(mpsc::Receiver<ArchiveChunk>) -> ArchivePiece,
        from: &ExportSource,
    ) -> Result<(), SendFailure> {
        let (out, data) = mpsc::channel::<ArchiveChunk>(16);
        let gone = || SendFailure::WriterGone;
        let end = cx.cancel.child_token();
        let (chunks, mut arriving) = mpsc::channel::<(OutputStream, Vec<u8>)>(16);
        pieces.send(Some(piece(data))).await.map_err(|_| gone())?;
        let running = async {
            match from {
                ExportSource::Node(command) => cx.host.stream_bytes(command, chunks, &end).await,
                ExportSource::Snapshot(args) => {
                    let source = self.0.content.snapshot.as_ref();
                    let restic = source.map(|s| s.restic.clone());
                    let args: Vec<&str> = args.iter().map(String::as_str).collect();
                    match restic {
                        Some(restic) => match restic.stream_bytes(&args, chunks, &end).await {
                            Ok(code) => Ok(code),
                            Err(matou_backup::BackupError::Host(e)) => Err(e),
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
                    OutputStream::Stderr => {
                        said.extend_from_slice(&bytes);
                        let much = said.len().saturating_sub(4000);
                        said.drain(..much);
                    }
                    _ if heard && out.send(ArchiveChunk::Bytes(bytes)).await.is_err() => {
                        // The writer has failed, and says why.
                        heard = false;
                        end.cancel();
                    }
                    _ => {}
                }
            }
            matou_base::text::clean_bytes(&said)
        };
        let (code, said) = tokio::join!(running, reading);
        let code = match code {
            Err(HostError::Cancelled { .. }) if cx.cancel.is_cancelled() => {
                return Err(StepError::Cancelled.into());
            }
            Err(_) if end.is_cancelled() => return Err(gone()),
            code => code?,
        };
        let lines: Vec<&str> = said.lines().filter(|l| !l.trim().is_empty()).collect();
        let last = lines[lines.len().saturating_sub(3)..].join(" / ");
        if code != 0 {
            return Err(SendFailure::Source(StepError::failed(tr!(
                "reading for the archive ended with exit code {code}: {last}"
            ))));
        }
        if !last.is_empty() {
            cx.out.note(last).await;
        }
        out.send(ArchiveChunk::End).await.map_err(|_| gone())
    }

    /// Sends all pieces in their order, then the end.
    async fn send_all_pieces(
        &self,
        cx: &StepContext,
        pieces: &PieceSender,
    ) -> Result<(), SendFailure> {
        let content = &self.0.content;
        let dumps = self.0.match_dumps();
        let gone = |_| SendFailure::WriterGone;
        let small = content
            .build_small_pieces(&self.0.fleet, cx, &dumps)
            .await?;
        for piece in small {
            pieces.send(Some(piece)).await.map_err(gone)?;
        }
        for volume in &content.volumes {
            let path = format!("volumes/{}", volume.name);
            let folder = volume.folder.display().to_string();
            let (owner, mode) = content.read_folder_metadata(cx, &folder).await?;
            let piece = ArchivePiece::Folder {
                path: path.clone(),
                mode,
                owner,
            };
            pieces.send(Some(piece)).await.map_err(gone)?;
            if volume.left_out {
                continue;
            }
            cx.out.note(tr!("volume {}", volume.name)).await;
            let skip = content.list_skipped_files(&dumps, volume);
            let (strip, from) = match &content.snapshot {
                None => {
                    let tar = content
                        .confined_folders(&self.0.fleet)
                        .sh(READ_TREE)
                        .arg(&folder)
                        .label(tr!("files of {}", volume.name));
                    (String::new(), ExportSource::Node(tar))
                }
                Some(source) => {
                    let args = ["dump", "--no-lock", "--archive", "tar", &source.id, &folder];
                    let args = args.map(str::to_owned).into();
                    (folder.clone(), ExportSource::Snapshot(args))
                }
            };
            let piece = |data| ArchivePiece::Tree {
                path,
                strip,
                skip,
                data,
            };
            self.send_streamed_piece(cx, pieces, piece, &from).await?;
        }
        for dump in &dumps {
            let mut names = vec![dump.archive_path.clone()];
            names.extend(content.path_in_volume(dump));
            for path in names {
                let from = content.dump_source(&self.0.fleet, dump)?;
                let piece = |data| ArchivePiece::Large {
                    path,
                    size: dump.size,
                    data,
                };
                self.send_streamed_piece(cx, pieces, piece, &from).await?;
            }
        }
        pieces.send(None).await.map_err(gone)
    }
}

#[async_trait]
impl Step for WriteExportArchive {
    fn name(&self) -> String {
        tr!("archive").into()
    }

    fn timeout(&self) -> Duration {
        PATIENCE
    }

    async fn check(&self, _: &StepContext) -> Result<Check, StepError> {
        let into = &self.0.into;
        if into.symlink_metadata().is_ok() {
            return Err(StepError::failed(tr!(
                "{} is there already: name another file with --into",
                into.display()
            )));
        }
        let folder = into.parent().filter(|p| !p.as_os_str().is_empty());
        if !folder.unwrap_or(Path::new(".")).is_dir() {
            return Err(StepError::failed(tr!(
                "there is no folder for {}: make it first",
                into.display()
            )));
        }
        let content = &self.0.content;
        let mut lines = vec![
            Change::add(tr!(
                "{} on this machine, {}",
                into.display(),
                content.describe_origin()
            ))
            .with_warning(tr!(
                "it holds the application's passwords in plain text: keep it as you keep passwords"
            )),
        ];
        lines.extend(content.plan_lines());
        Ok(Check::Change(lines))
    }

    async fn apply(&self, cx: &StepContext) -> Result<(), StepError> {
        let (pieces, arriving) = mpsc::channel(4);
        let done = Arc::new(AtomicU64::new(0));
        let (into, app, counted) = (
            self.0.into.clone(),
            self.0.content.app.clone(),
            done.clone(),
        );
        let writing = tokio::task::spawn_blocking(move || {
            archive::write_archive(&into, &app, arriving, &counted)
        });
        let total = self.0.content.estimate_bytes(cx).await;
        let telling = async {
            loop {
                tokio::time::sleep(PROGRESS_INTERVAL).await;
                let n = done.load(Ordering::Relaxed);
                cx.out.send_progress(n, total.max(n), "bytes").await;
            }
        };
        let sent = async {
            let sent = self.send_all_pieces(cx, &pieces).await;
            drop(pieces);
            sent
        };
        let sent = tokio::select! {
            sent = sent => sent,
            () = telling => Ok(()),
        };
        let written = writing
            .await
            .map_err(|e| StepError::failed(tr!("a bug in matou: {e}")))?;
        let written = match (sent, written) {
            // When both fail, the source's error says why, unless it failed because of the writer.
            (Err(SendFailure::Source(e)), _) => return Err(e),
            (Err(SendFailure::WriterGone), Err(why)) => return Err(why.into()),
            (Err(SendFailure::WriterGone), Ok(_)) => {
                return Err(StepError::failed(tr!("the archive can't be written")));
            }
            (Ok(()), written) => written?,
        };
        cx.out
            .note(tr!(
                "{}: {}, {}; `sha256sum -c {}` in it proves them",
                self.0.into.display(),
                trn!(written.files, "{n} file", "{n} files"),
                human_bytes(done.load(Ordering::Relaxed)),
                archive::CHECKSUM_FILE
            ))
            .await;
        if written.left_out > 0 {
            cx.out
                .note(tr!("{} devices and sockets are left out", written.left_out))
                .await;
        }
        Ok(())
    }

    /// Checks that the file is there: it gets its name only when it is whole.
    async fn verify(&self, _: &StepContext) -> Result<(), StepError> {
        match self.0.into.is_file() {
            true => Ok(()),
            false => Err(StepError::failed(tr!(
                "{} is not there",
                self.0.into.display()
            ))),
        }
    }
}
