//! What an export is made of: volumes, dumps, secrets, and the files that tell how they belong
//! together.

use matou_i18n::tr;
use std::path::{Path, PathBuf};
use std::time::Duration;

use secrecy::ExposeSecret;

use super::archive::{ArchivePiece, read_small_archive};
use super::dump::ExportDump;
use super::readme::{LOAD_SCRIPT, ReadmeFacts, render_export_readme};
use super::source::{ExportSource, READ_PLAIN_FILE};
use crate::FleetContext;
use crate::OpsError;
use crate::deploy::secrets::SecretStore;
use crate::restore::{self, RestoreSource};
use matou_backup::AppStorage;
use matou_host::{Command, ConfinedFolders};
use matou_job::{Change, StepContext, StepError};
use matou_stack::{
    AppFile, Dump, DumpEngine, PlainComposeFile, RenderTarget, RenderedStack, render_plain_compose,
};

/// A volume that is exported.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct ExportVolume {
    pub name: String,
    /// On the storage node, or in the snapshot.
    pub folder: PathBuf,
    /// Its files stay out of the archive: a database server makes them anew out of a dump.
    pub left_out: bool,
}

/// What an application is made of.
pub(super) struct ExportContent {
    pub app: String,
    /// The snapshot that it is made from; `None` when it is made from what runs.
    pub snapshot: Option<RestoreSource>,
    file: Option<AppFile>,
    rendered: Option<RenderedStack>,
    plain: Option<PlainComposeFile>,
    /// The stack's own file.
    stack: Option<Vec<u8>>,
    pub volumes: Vec<ExportVolume>,
    pub dumps: Vec<Dump>,
    /// By service, the volumes that it mounts and where.
    mounts: std::collections::BTreeMap<String, Vec<(String, String)>>,
    notes: Vec<String>,
}

impl ExportContent {
    /// Loads what an application is made of: from `snapshot` (an id, or `newest`), else from what
    /// runs, else from the newest snapshot.
    ///
    /// # Errors
    /// One sentence.
    pub(crate) async fn load(
        fleet: &FleetContext,
        app: &str,
        snapshot: Option<&str>,
        database_files: bool,
    ) -> Result<Self, OpsError> {
        let manager = fleet.nodes.find_manager().await?;
        let swarm = manager.docker.query_swarm().await?;
        let mut services = swarm.services.iter();
        let runs = services.any(|s| s.stack.as_deref().unwrap_or(&s.name) == app);
        let mut notes = Vec::new();
        let snapshot = match snapshot {
            Some("newest") => Some(RestoreSource::load_whole(fleet, app, None).await?),
            Some(id) => Some(RestoreSource::load_whole(fleet, app, Some(id)).await?),
            None if runs => None,
            None => {
                notes.push(tr!("{app} does not run: this is its newest snapshot"));
                Some(RestoreSource::load_whole(fleet, app, None).await?)
            }
        };
        let (file, own) = match &snapshot {
            None => load_local_app_file(fleet, app)?,
            Some(source) => match source.read_app_file().await? {
                Some(file) => {
                    let own = source.read_file_beside_dumps("stack.yml").await?;
                    (Some(file), own)
                }
                None => load_local_app_file(fleet, app)?,
            },
        };
        let mut content = Self {
            app: app.to_owned(),
            rendered: None,
            plain: None,
            stack: own,
            volumes: Vec::new(),
            dumps: Vec::new(),
            mounts: std::collections::BTreeMap::new(),
            notes,
            snapshot,
            file,
        };
        content.render_stack(fleet).await?;
        let found = match &content.snapshot {
            Some(source) => source.volume_folders(),
            None => {
                let layout =
                    AppStorage::load(app, &fleet.config, &fleet.nodes, &fleet.catalogue).await;
                let layout = layout?;
                let volumes = layout.volumes.iter();
                volumes
                    .map(|v| (v.name.clone(), v.folder.display().to_string()))
                    .collect()
            }
        };
        for (name, folder) in found {
            let left_out = !database_files && content.is_database_volume(&name);
            content.volumes.push(ExportVolume {
                name,
                folder: folder.into(),
                left_out,
            });
        }
        Ok(content)
    }

    /// The stack as it is deployed, and as a plain compose file.
    async fn render_stack(&mut self, fleet: &FleetContext) -> Result<(), OpsError> {
        let Some(file) = &self.file else {
            return Ok(());
        };
        let told = |e: matou_stack::StackError| e.to_string();
        let mut catalogue = (*fleet.catalogue).clone();
        let mut name = file.stack.clone();
        // A stack of the snapshot's own, which this fleet may not have any more.
        if let (Some(_), Some(text)) = (&self.snapshot, &self.stack)
            && catalogue.find_extension(&name).is_err()
        {
            catalogue = catalogue
                .with_stack("of-the-snapshot", &String::from_utf8_lossy(text))
                .map_err(told)?;
            name = "of-the-snapshot".into();
        }
        let target = RenderTarget {
            secrets: match &self.snapshot {
                None => {
                    SecretStore::open(fleet, &self.app)?
                        .newest_versions()
                        .await?
                }
                Some(_) => std::collections::BTreeMap::new(),
            },
            ..RenderTarget::for_app(&fleet.config, file)
        };
        let rendered = catalogue
            .render_stack(&name, &self.app, &file.variables, &target)
            .map_err(told)?;
        self.dumps = catalogue.find_extension(&name).map_err(told)?.backup.dumps;
        self.mounts = restore::mounted(&self.app, &rendered.yaml);
        self.plain = Some(render_plain_compose(&self.app, &rendered).map_err(told)?);
        self.rendered = Some(rendered);
        Ok(())
    }

    /// Whether a volume holds the data folder of a database server that is dumped.
    fn is_database_volume(&self, volume: &str) -> bool {
        self.dumps.iter().any(|dump| {
            let engine = dump.loading_engine();
            let data = engine.and_then(restore::database_data_folder);
            let dumped = match &self.snapshot {
                None => true,
                Some(source) => source.manifest.as_ref().is_some_and(|m| {
                    let mut dumps = m.dumps.iter();
                    dumps.any(|d| d.service == dump.service && d.file == dump.file)
                }),
            };
            let mounts = self.mounts.get(&dump.service).into_iter().flatten();
            dumped
                && data.is_some_and(|data| {
                    let mut at = mounts.filter(|(v, _)| v == volume);
                    at.any(|(_, at)| Path::new(at).starts_with(data))
                })
        })
    }

    /// Whether dumps are made before.
    pub(crate) fn makes_dumps(&self) -> bool {
        self.snapshot.is_none() && !self.dumps.is_empty()
    }

    /// Says what the export is made from.
    pub(crate) fn describe_origin(&self) -> String {
        match &self.snapshot {
            Some(source) => tr!("from the snapshot {}", source.describe()),
            None => tr!("from what runs now").into(),
        }
    }

    /// Lines of the plan.
    pub(crate) fn plan_lines(&self) -> Vec<Change> {
        let mut lines = Vec::new();
        for volume in &self.volumes {
            lines.push(match volume.left_out {
                true => Change::same(tr!(
                    "files of the volume {} are left out: a dump has its data (--database-files takes them too)",
                    volume.name
                )),
                false => Change::add(tr!("files of the volume {}", volume.name)),
            });
        }
        if self.snapshot.is_some() {
            let dumps = self.dumps.iter();
            lines.extend(dumps.map(|d| Change::add(tr!("dump of {}", d.service))));
        }
        match &self.plain {
            Some(plain) => {
                lines.push(Change::add(tr!("compose.yml for `docker compose up`")));
                let secrets = plain.secrets.iter();
                lines.extend(secrets.map(|(name, _)| Change::add(tr!("secret {name}"))));
            }
            None => lines.push(Change::same(tr!(
                "no compose file: {0} has no apps/{0}.toml",
                self.app
            ))),
        }
        let notes = self.plain.iter().flat_map(|p| &p.notes).chain(&self.notes);
        lines.extend(notes.map(|n| Change::same(n.clone())));
        lines
    }

    /// Returns the path in the archive at which an SQLite dump takes the place of the database file
    /// in its volume; `None` for other dumps.
    pub(crate) fn path_in_volume(&self, dump: &ExportDump) -> Option<String> {
        let (volume, rest) = self.locate_database_file(&dump.spec)?;
        let kept = self.volumes.iter().find(|v| v.name == volume)?;
        Some(format!("volumes/{}/{rest}", kept.name))
    }

    fn locate_database_file(&self, dump: &Dump) -> Option<(String, String)> {
        if dump.loading_engine() != Some(DumpEngine::Sqlite) {
            return None;
        }
        let mounts = self.mounts.get(&dump.service)?;
        let (volume, rest) = restore::find_holding_volume(mounts, dump.database.as_deref()?)?;
        Some((volume.to_owned(), rest.display().to_string()))
    }

    /// Lists the files of a volume that are left out: those that a dump replaces, and dumps
    /// themselves.
    pub(crate) fn list_skipped_files(
        &self,
        dumps: &[ExportDump],
        volume: &ExportVolume,
    ) -> Vec<String> {
        let mut skip = Vec::new();
        for dump in dumps {
            if let Ok(rest) = dump.source_path.strip_prefix(&volume.folder) {
                skip.push(rest.display().to_string());
            }
            let Some((held, rest)) = self.locate_database_file(&dump.spec) else {
                continue;
            };
            if held == volume.name {
                for end in ["", "-wal", "-shm", "-journal"] {
                    skip.push(format!("{rest}{end}"));
                }
            }
        }
        skip
    }

    /// Returns the folders in which root follows no link while it reads.
    pub(crate) fn confined_folders(&self, work: &FleetContext) -> ConfinedFolders {
        matou_backup::confined_data_folder(&work.config)
            .with_folders(self.volumes.iter().map(|v| &v.folder))
    }

    /// Where the bytes of a dump come from.
    pub(crate) fn dump_source(
        &self,
        work: &FleetContext,
        dump: &ExportDump,
    ) -> Result<ExportSource, StepError> {
        let path = dump.source_path.display().to_string();
        if let Some(source) = &self.snapshot {
            let args = ["dump", "--no-lock", &source.id, &path];
            return Ok(ExportSource::Snapshot(args.map(str::to_owned).into()));
        }
        let mut volumes = self.volumes.iter();
        let held = volumes.find_map(|v| Some((v, dump.source_path.strip_prefix(&v.folder).ok()?)));
        let (volume, rest) =
            held.ok_or_else(|| StepError::failed(tr!("{path} is in no volume")))?;
        let send = self
            .confined_folders(work)
            .sh(READ_PLAIN_FILE)
            .arg(volume.folder.display().to_string())
            .arg(rest.display().to_string())
            .label(tr!("read {path}"));
        Ok(ExportSource::Node(send))
    }

    /// Owner and mode of a volume's folder.
    pub(crate) async fn read_folder_metadata(
        &self,
        cx: &StepContext,
        folder: &str,
    ) -> Result<((u64, u64), u32), StepError> {
        if let Some(source) = &self.snapshot {
            let args = ["ls", "--json", "--no-lock", &source.id, folder];
            let out = source.restic.run(&args).await;
            let out = out.map_err(|e| StepError::failed(e.to_string()))?;
            let mut lines = out.stdout.split(|b| *b == b'\n');
            let found = lines.find_map(|line| {
                let node: matou_backup::LsNode = serde_json::from_slice(line).ok()?;
                (node.path == folder).then_some(node)
            });
            return Ok(found.map_or(((0, 0), 0o755), |n| {
                // restic prints the mode as Go has it: the sticky, setuid and setgid bits are
                // others.
                ((n.uid.into(), n.gid.into()), n.mode & 0o777)
            }));
        }
        let stat = Command::new("stat")
            .args(["-c", "%u %g %a", "--", folder])
            .sudo()
            .timeout(Duration::from_secs(30));
        let text = cx.host.run_ok(&stat).await?.stdout_text();
        let mut parts = text.split_whitespace();
        let mut next = || parts.next().unwrap_or_default();
        let (uid, gid, mode) = (
            next().parse(),
            next().parse(),
            u32::from_str_radix(next(), 8),
        );
        match (uid, gid, mode) {
            (Ok(uid), Ok(gid), Ok(mode)) => Ok(((uid, gid), mode)),
            _ => Err(StepError::failed(tr!("stat printed {text:?}"))),
        }
    }

    /// Estimates how many bytes will come; 0 when that can't be found out.
    pub(crate) async fn estimate_bytes(&self, cx: &StepContext) -> u64 {
        let folders: Vec<String> = self
            .volumes
            .iter()
            .filter(|v| !v.left_out)
            .map(|v| v.folder.display().to_string())
            .collect();
        if let Some(source) = &self.snapshot {
            return source.count_at_paths(&folders).await.map_or(0, |s| s.bytes);
        }
        let count = Command::new("du")
            .args(["-sbc", "--"])
            .args(folders)
            .sudo()
            .timeout(Duration::from_secs(600))
            .label(tr!("size of the volumes"));
        let Ok(out) = cx.host.run(&count).await else {
            return 0;
        };
        let text = out.stdout_text();
        let total = text
            .lines()
            .last()
            .and_then(|l| l.split_whitespace().next());
        total.and_then(|t| t.parse().ok()).unwrap_or(0)
    }

    /// Everything but volumes and dumps.
    pub(crate) async fn build_small_pieces(
        &self,
        work: &FleetContext,
        cx: &StepContext,
        dumps: &[ExportDump],
    ) -> Result<Vec<ArchivePiece>, StepError> {
        let mut pieces = Vec::new();
        let mut notes = self.notes.clone();
        let mut add = |path: String, mode: u32, content: Vec<u8>| {
            pieces.push(ArchivePiece::File {
                path,
                mode,
                content,
            });
        };
        if let Some(plain) = &self.plain {
            add("compose.yml".into(), 0o644, plain.yaml.clone().into_bytes());
        } else {
            add(
                "services.json".into(),
                0o600,
                self.inspect_services(work).await?,
            );
        }
        if let Some(file) = &self.file {
            let path = format!("matou/apps/{}.toml", self.app);
            add(path, 0o600, file.to_toml().into_bytes());
        }
        let stack = match (&self.stack, &self.rendered) {
            (Some(own), _) => Some(own.clone()),
            (None, Some(rendered)) => Some(rendered.yaml.clone().into_bytes()),
            (None, None) => None,
        };
        if let Some(stack) = stack {
            add("matou/stack.yml".into(), 0o600, stack);
        }
        for (nth, dump) in dumps.iter().filter(|d| d.is_loaded_by_script()).enumerate() {
            let (kind, ready, load) = match dump
                .server_engine()
                .and_then(restore::portable_load_scripts)
            {
                Some((name, ready, load)) => (name.to_owned(), Some(ready), load),
                None => {
                    let line = dump.spec.restore.clone().unwrap_or_default();
                    (format!("line-{}", nth + 1), None, line)
                }
            };
            let text = |o: &Option<String>| o.clone().unwrap_or_default().replace('\n', " ");
            let spec = &dump.spec;
            let lines = [
                spec.service.clone(),
                kind.clone(),
                text(&spec.database),
                text(&spec.user),
                text(&spec.secret),
                dump.archive_path.clone(),
            ];
            let entry = lines.join("\n") + "\n";
            add(format!("load/{}.dump", nth + 1), 0o644, entry.into_bytes());
            if let Some(ready) = ready {
                add(format!("load/{kind}.ready"), 0o644, ready.into_bytes());
            }
            add(format!("load/{kind}.load"), 0o644, load.into_bytes());
        }
        if dumps.iter().any(ExportDump::is_loaded_by_script) {
            add("load.sh".into(), 0o755, LOAD_SCRIPT.as_bytes().to_vec());
        }
        if let Some(rendered) = &self.rendered {
            let wanted = self.plain.iter().flat_map(|p| &p.configs);
            for (name, swarm_name) in wanted {
                let found = rendered.configs.iter().find(|c| c.name == *swarm_name);
                match found {
                    Some(config) => add(format!("configs/{name}"), 0o644, config.content.clone()),
                    None => notes.push(tr!(
                        "the config {name} is not matou's: put it into configs/{name}"
                    )),
                }
            }
        }
        let secrets = self.read_secret_values(work, &mut notes).await?;
        for (name, value) in secrets {
            // Read by those who get it mounted, whatever their user; the folder is root's.
            add(format!("secrets/{name}"), 0o444, value);
        }
        let left_out: Vec<String> = self
            .volumes
            .iter()
            .filter(|v| v.left_out)
            .map(|v| v.name.clone())
            .collect();
        let now = jiff::Timestamp::now().strftime("%F %R UTC");
        let facts = ReadmeFacts {
            app: &self.app,
            of: match &self.snapshot {
                Some(source) => tr!("as it was saved in {}", source.describe()),
                None => tr!("as it ran on {now} on {}", cx.node),
            },
            plain: self.plain.as_ref(),
            dumps,
            left_out: &left_out,
            notes: &notes,
        };
        add(
            "README.md".into(),
            0o644,
            render_export_readme(&facts).into_bytes(),
        );
        let folder = |path: &str, mode| ArchivePiece::Folder {
            path: path.into(),
            mode,
            owner: (0, 0),
        };
        let folders = [
            folder("secrets", 0o700),
            folder("dumps", 0o700),
            folder("matou", 0o700),
            folder("volumes", 0o755),
        ];
        Ok(folders.into_iter().chain(pieces).collect())
    }

    /// Values of secrets, by their names in the archive.
    async fn read_secret_values(
        &self,
        work: &FleetContext,
        notes: &mut Vec<String>,
    ) -> Result<Vec<(String, Vec<u8>)>, StepError> {
        let (Some(plain), Some(rendered)) = (&self.plain, &self.rendered) else {
            return Ok(Vec::new());
        };
        let saved = match &self.snapshot {
            Some(source) => source.read_secrets().await?,
            None => Vec::new(),
        };
        let saved = match saved.is_empty() {
            true => Vec::new(),
            false => read_small_archive(&saved).map_err(|e| StepError::failed(e.to_string()))?,
        };
        let mut found = Vec::new();
        for (name, swarm_name) in &plain.secrets {
            let needed = rendered
                .secrets
                .iter()
                .find(|s| s.swarm_name == *swarm_name);
            let file = rendered.file_secrets.iter().find(|s| s.name == *swarm_name);
            let value = match (needed, file) {
                (_, Some(file)) => Some(file.value.expose_secret().as_bytes().to_vec()),
                (Some(needed), _) if self.snapshot.is_none() => {
                    let store = SecretStore::open(work, &self.app)?;
                    let value = store.read_value(&needed.spec.name, needed.version).await;
                    let value = value?;
                    Some(value.expose_secret().as_bytes().to_vec())
                }
                (Some(needed), _) => {
                    let version = |path: &str| -> Option<u32> {
                        let file = path.rsplit('/').next()?;
                        let (name, version) = file.rsplit_once(".v")?;
                        (name == needed.spec.name).then(|| version.parse().ok())?
                    };
                    let newest = saved.iter().max_by_key(|(path, _)| version(path));
                    newest
                        .filter(|(path, _)| version(path).is_some())
                        .map(|(_, value)| value.clone())
                }
                (None, None) => None,
            };
            match value {
                Some(value) => found.push((name.clone(), value)),
                None => notes.push(tr!(
                    "the value of the secret {name} is not kept by matou: put it into secrets/{name}"
                )),
            }
        }
        Ok(found)
    }

    /// Returns what `docker service inspect` says of the services, for an application without a
    /// file.
    async fn inspect_services(&self, work: &FleetContext) -> Result<Vec<u8>, StepError> {
        let failed = |e: matou_docker::DockerError| StepError::from(e);
        let manager = work.nodes.find_manager().await.map_err(failed)?;
        let swarm = manager.docker.query_swarm().await.map_err(failed)?;
        let ids = swarm
            .services
            .iter()
            .filter(|s| s.stack.as_deref().unwrap_or(&s.name) == self.app)
            .map(|s| s.id.clone());
        let inspect = Command::new("docker")
            .args(["service", "inspect", "--"])
            .args(ids)
            .sudo()
            .timeout(Duration::from_secs(60))
            .label("docker service inspect");
        // Without services it prints an empty list and complains.
        Ok(manager.host.run(&inspect).await?.stdout)
    }
}

/// The application's file of this fleet, and its stack file where that is its own.
fn load_local_app_file(
    fleet: &FleetContext,
    app: &str,
) -> Result<(Option<AppFile>, Option<Vec<u8>>), OpsError> {
    let Some(folder) = fleet.config.folder() else {
        return Ok((None, None));
    };
    let Some(file) = AppFile::load(&folder, app)? else {
        return Ok((None, None));
    };
    let own = crate::backup::read_own_stack(&file, Some(&folder))?;
    Ok((Some(file), own))
}
