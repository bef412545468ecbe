//! restic on one node, for one repository. Passwords and credentials come from the machine matou
//! runs on, travel on standard input, and are on the node only in restic's own environment.

use matou_i18n::tr;
use std::path::Path;
use std::sync::Arc;
use std::time::{Duration, Instant};

use secrecy::{ExposeSecret, SecretBox, SecretString};
use tokio::sync::mpsc;
use tokio_util::sync::CancellationToken;

use super::error::{BackupError, ResticCall};
use super::messages::ResticSnapshot;
use super::secrets::{read_environment_file, read_repository_password};
use matou_config::{BackupConfig, RepositoryConfig};
use matou_host::{
    Command, CommandOutput, DetachedUnit, Host, OutputStream, quote_args, shell_script,
};

/// How long one short call may take: a remote repository with a cold cache is slow.
const PATIENCE: Duration = Duration::from_secs(600);

/// How long a short call may fail and try again.
const RETRY_LIMIT: Duration = Duration::from_secs(20);

/// Output of a short call, bytes; more is an error. 10,000 snapshots are about ten megabytes.
const MAX_OUTPUT_BYTES: usize = 64 << 20;

/// The oldest restic whose words are known here.
const OLDEST: ResticVersion = ResticVersion(0, 14, 0);

/// Exit code of a unit that waited in vain for the repository's lock.
const BUSY: i32 = 75;

/// Exit code of a backup that left files out.
pub const INCOMPLETE: i32 = 3;

/// Reads [`Restic::shell_functions`] from standard input, for the script that comes after it.
///
/// The shell's own variables are in no process's environment before `exec`.
const RUN: &str = r#"umask 077; e=$(cat); mkdir -p -m 700 /run/matou; eval "$e"; "#;

/// Does what [`RUN`] does, on the operator's machine: without matou's folder in /run.
const HERE: &str = r#"umask 077; e=$(cat); eval "$e"; "#;

/// Waits for the lock of the repository; the units of [`Restic::detached_unit`] begin with it.
const LOCK: &str = shell_script(include_str!("../scripts/lib_lock_repository.sh"));

/// A version of restic.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub struct ResticVersion(pub u32, pub u32, pub u32);

impl std::fmt::Display for ResticVersion {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(f, "{}.{}.{}", self.0, self.1, self.2)
    }
}

/// The first version with `check --json`; older ones print lines whatever is asked for.
const CHECK_JSON: ResticVersion = ResticVersion(0, 18, 0);

impl ResticVersion {
    /// Whether `check --json` ends with a [`crate::CheckSummary`].
    pub fn has_check_summary(self) -> bool {
        self >= CHECK_JSON
    }

    /// From `restic 0.14.0 compiled with go1.19.8 on linux/amd64`.
    fn parse(text: &str) -> Option<Self> {
        let text = text.split_whitespace().nth(1)?;
        let mut parts = text.split(|c: char| !c.is_ascii_digit()).map(str::parse);
        let mut next = || parts.next().and_then(Result::ok);
        Some(Self(next()?, next()?, next().unwrap_or(0)))
    }
}

/// Who else may work on the repository while a unit does.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum RepositoryAccess {
    /// Other backups, restores, copies.
    Shared,
    /// Nobody: forget, prune, check.
    Exclusive,
}

/// Watches how long restic tries the same again. Since 0.17 it tries for a quarter of an hour
/// before it says why; nobody at a screen waits that long for a list.
#[derive(Default)]
pub struct RetryWatch {
    since: Option<Instant>,
}

impl RetryWatch {
    /// Returns whether it is of no use to wait any longer. `said` is restic's standard error so
    /// far.
    pub fn has_given_up(&mut self, said: &[u8]) -> bool {
        let last = String::from_utf8_lossy(&said[said.len().saturating_sub(2000)..]);
        if !last.contains("retrying after") {
            return false;
        }
        let since = *self.since.get_or_insert_with(Instant::now);
        // A bucket that is not there will not be there in a minute: `init` makes it.
        last.contains("bucket does not exist") || since.elapsed() > RETRY_LIMIT
    }
}

/// restic on one node for one repository. Cheap to clone.
#[derive(Clone)]
pub struct Restic {
    host: Host,
    name: String,
    shown: String,
    append_only: bool,
    /// It runs on the operator's machine, as the operator.
    here: bool,
    environment: Arc<Vec<(String, SecretString)>>,
    upload_limit: u32,
    cpu_limit: u32,
}

impl Restic {
    /// Reads the repository's secrets on this machine; nothing is connected yet.
    ///
    /// # Errors
    /// [`BackupError::Wrong`]: a file or command that gives no password.
    pub async fn for_repository(
        host: &Host,
        repository: &RepositoryConfig,
    ) -> Result<Self, BackupError> {
        let password = read_repository_password(repository).await?;
        let mut environment = vec![
            ("HOME".to_owned(), SecretString::from("/root")),
            ("RESTIC_CACHE_DIR".into(), "/var/cache/matou/restic".into()),
            ("RESTIC_PROGRESS_FPS".into(), "2".into()),
            ("RESTIC_PASSWORD".into(), password),
            (
                "RESTIC_REPOSITORY".into(),
                repository.location.clone().into(),
            ),
        ];
        if let Some(file) = &repository.environment_file {
            environment.extend(read_environment_file(file).await?);
        }
        Ok(Self {
            host: host.clone(),
            name: repository.name.clone(),
            shown: matou_base::text::clean_line(&repository.shown_location()).into_owned(),
            append_only: repository.append_only,
            here: false,
            environment: Arc::new(environment),
            upload_limit: 0,
            cpu_limit: 0,
        })
    }

    /// restic on this machine (`host`). The variables in the file `with` are added to the
    /// repository's own credentials, or replace them: a key that may delete is on no server.
    /// `RESTIC_REPOSITORY` in it is another way to the same repository.
    ///
    /// # Errors
    /// [`BackupError::Wrong`]: no password, no such file, or the repository is a folder of a server.
    pub async fn on_this_machine(
        host: &Host,
        repository: &RepositoryConfig,
        with: &Path,
    ) -> Result<Self, BackupError> {
        let mut all: Vec<(String, SecretString)> = Vec::new();
        let own = Self::for_repository(host, repository).await?;
        // The folders are the operator's own.
        let own = own.environment.iter().filter(|(n, _)| n != "HOME");
        let cache = directories::BaseDirs::new().map(|d| d.cache_dir().join("matou/restic"));
        let cache = cache.map(|dir| dir.display().to_string());
        let given = read_environment_file(with).await?;
        let elsewhere = given.iter().find(|(n, _)| n == "RESTIC_REPOSITORY");
        let elsewhere = elsewhere.map(|(_, v)| v.expose_secret().to_owned());
        if elsewhere.is_none() && repository.local_folder().is_some() {
            return Err(BackupError::Wrong(tr!(
                "{} is a folder of the storage node, and the key that may delete stays on this machine: add a line as RESTIC_REPOSITORY=sftp:USER@HOST:{} to {}",
                repository.name,
                repository.location.trim_start_matches("local:"),
                with.display()
            )));
        }
        for (name, value) in own.cloned().chain(given) {
            let value = match (name.as_str(), &cache) {
                ("RESTIC_CACHE_DIR", Some(dir)) => dir.clone().into(),
                _ => value,
            };
            match all.iter_mut().find(|(n, _)| *n == name) {
                Some(known) => known.1 = value,
                None => all.push((name, value)),
            }
        }
        let way = RepositoryConfig {
            location: elsewhere.unwrap_or_else(|| repository.location.clone()),
            ..RepositoryConfig::default()
        };
        Ok(Self {
            host: host.clone(),
            name: repository.name.clone(),
            shown: matou_base::text::clean_line(&way.shown_location()).into_owned(),
            append_only: false,
            here: true,
            environment: Arc::new(all),
            upload_limit: 0,
            cpu_limit: 0,
        })
    }

    /// Sets the limits of `[backup]`, for calls that run long.
    pub fn with_limits(mut self, config: &BackupConfig) -> Self {
        (self.upload_limit, self.cpu_limit) = (config.upload_limit, config.cpu_limit);
        self
    }

    /// Returns the same, with another repository to copy from: `restic copy`. A variable that both
    /// need (two S3 accounts) is this one's; rclone knows many accounts.
    pub fn copying_from(&self, other: &Self) -> Self {
        let mut environment = (*self.environment).clone();
        for (name, value) in other.environment.iter() {
            let name = match name.as_str() {
                "RESTIC_PASSWORD" => "RESTIC_FROM_PASSWORD",
                "RESTIC_REPOSITORY" => "RESTIC_FROM_REPOSITORY",
                other => other,
            };
            if !environment.iter().any(|(n, _)| n == name) {
                environment.push((name.to_owned(), value.clone()));
            }
        }
        Self {
            environment: Arc::new(environment),
            ..self.clone()
        }
    }

    /// The node it runs on.
    pub fn host(&self) -> &Host {
        &self.host
    }

    /// The repository's name in config.toml.
    pub fn name(&self) -> &str {
        &self.name
    }

    /// Whether snapshots can only be added with the credentials that the fleet has, and not
    /// deleted.
    pub fn is_append_only(&self) -> bool {
        self.append_only
    }

    /// Whether it runs on the operator's machine, which has no detached units.
    pub fn is_local(&self) -> bool {
        self.here
    }

    /// A variable of its environment.
    pub fn environment_variable(&self, name: &str) -> Option<&SecretString> {
        let found = self.environment.iter().find(|(n, _)| n == name);
        found.map(|(_, value)| value)
    }

    /// The repository's location without a password.
    pub fn shown_location(&self) -> &str {
        &self.shown
    }

    /// Secrets that must be nowhere in output: for a redactor.
    pub fn secrets(&self) -> impl Iterator<Item = &SecretString> {
        let secret = |name: &str| {
            name.contains("PASSWORD")
                || name.contains("KEY")
                || name.contains("SECRET")
                || name.contains("TOKEN")
        };
        self.environment
            .iter()
            .filter(move |(name, _)| secret(name))
            .map(|(_, value)| value)
    }

    /// Its version.
    ///
    /// # Errors
    /// [`BackupError::Missing`], [`BackupError::TooOld`], or the node can't be asked.
    pub async fn check_version(&self) -> Result<ResticVersion, BackupError> {
        let command = Command::new("restic")
            .arg("version")
            .timeout(Duration::from_secs(20));
        let out = self.host.run(&command).await?;
        let text = out.stdout_text();
        let missing = || BackupError::Missing {
            node: self.host.name().to_owned(),
        };
        let version = ResticVersion::parse(&text).ok_or_else(missing)?;
        if version < OLDEST {
            return Err(BackupError::TooOld {
                node: self.host.name().to_owned(),
                version: version.to_string(),
                need: OLDEST.to_string(),
            });
        }
        Ok(version)
    }

    /// Runs one short call to its end: `snapshots`, `ls` of a folder, `cat`, `stats`.
    ///
    /// # Errors
    /// Every exit code but 0; output of more than 64 MiB.
    pub async fn run(&self, args: &[&str]) -> Result<CommandOutput, BackupError> {
        let command = self.restic_command(args).timeout(PATIENCE);
        let mut trying = RetryWatch::default();
        let out = self
            .host
            .run_until(&command, MAX_OUTPUT_BYTES, |said| trying.has_given_up(said))
            .await?;
        if out.stdout.len() >= MAX_OUTPUT_BYTES {
            return Err(BackupError::Wrong(tr!(
                "`restic {}` printed more than {} MiB: ask for less",
                args.first().unwrap_or(&""),
                MAX_OUTPUT_BYTES >> 20
            )));
        }
        let said = String::from_utf8_lossy(&out.stderr);
        // 0.14 says so and ends with 0.
        let ignored = said.contains("no matching ID found");
        match out.code {
            0 if !ignored => Ok(out),
            0 => Err(self.error_of_exit(args, 1, &said)),
            code => {
                let both = format!("{}\n{said}", String::from_utf8_lossy(&out.stdout));
                Err(self.error_of_exit(args, code, &both))
            }
        }
    }

    /// Runs a call and sends its lines as they come (`ls` of a million files). Returns its exit
    /// code, of which [`Restic::error_of_exit`] makes an error. Dropping the receiver, or
    /// cancelling, ends it.
    ///
    /// # Errors
    /// When it could not be run, was cancelled, or the connection broke.
    pub async fn stream_lines(
        &self,
        args: &[&str],
        lines: mpsc::Sender<(OutputStream, Vec<u8>)>,
        cancel: &CancellationToken,
    ) -> Result<i32, BackupError> {
        Ok(self
            .host
            .stream_lines(&self.restic_command(args), lines, cancel)
            .await?)
    }

    /// Runs a call as [`Restic::stream_lines`] does, for output that is no text: `dump`.
    ///
    /// # Errors
    /// Those of [`Restic::stream_lines`].
    pub async fn stream_bytes(
        &self,
        args: &[&str],
        pieces: mpsc::Sender<(OutputStream, Vec<u8>)>,
        cancel: &CancellationToken,
    ) -> Result<i32, BackupError> {
        let command = self.restic_command(args);
        Ok(self.host.stream_bytes(&command, pieces, cancel).await?)
    }

    fn restic_command(&self, args: &[&str]) -> Command {
        let label = format!("restic {}", quote_args(args.iter().copied()));
        let command = self.script_command(r#"credentials; exec restic "$@" </dev/null"#);
        command.args(args.iter().copied()).label(label)
    }

    /// Makes a shell script in which restic, and anything else that speaks to the repository, finds
    /// the repository and its credentials.
    pub fn script_command(&self, body: &str) -> Command {
        let command = match self.here {
            true => Command::sh(format!("{HERE}{body}")),
            false => Command::sh(format!("{RUN}{body}")).sudo(),
        };
        command.secret_stdin(SecretBox::new(Box::new(
            self.shell_functions().into_bytes(),
        )))
    }

    /// Shell functions: `restic` runs restic with the credentials; `credentials` exports them for
    /// what comes after it. Nothing else that a script starts has a secret in its environment.
    fn shell_functions(&self) -> String {
        let exports: String = self
            .environment
            .iter()
            .map(|(name, value)| format!("export {name}={}\n", quote_args([value.expose_secret()])))
            .collect();
        format!("credentials() {{\n:\n{exports}}}\nrestic() ( credentials; exec restic \"$@\" )\n")
    }

    /// Makes a unit of the node that outlives this program (for [`Host::run_detached_unit`]).
    /// `body` is a shell script in which `restic` finds its repository; `args` are its `"$@"`, and
    /// `$limits` are restic's options of bandwidth. The unit waits for other jobs of this fleet
    /// that work on the repository. SIGINT stops it, so that restic gives its lock back.
    pub fn detached_unit(
        &self,
        unit: &str,
        guard: RepositoryAccess,
        body: &str,
        args: Vec<String>,
    ) -> DetachedUnit {
        let guard = match guard {
            RepositoryAccess::Shared => "-s",
            RepositoryAccess::Exclusive => "-x",
        };
        let limits = match self.upload_limit {
            0 => String::new(),
            kib => format!("--limit-upload {kib}"),
        };
        let script = format!(
            "limits={} repository={} guard={guard} busy={BUSY}\n{LOCK}{}{body}\n",
            quote_args([limits.as_str()]),
            quote_args([self.name.as_str()]),
            self.shell_functions(),
        );
        let mut properties: Vec<String> = ["KillSignal=SIGINT", "TimeoutStopSec=60", "Nice=10"]
            .map(str::to_owned)
            .into();
        if self.cpu_limit > 0 {
            properties.push(format!("CPUQuota={}%", self.cpu_limit));
        }
        DetachedUnit {
            unit: unit.to_owned(),
            script: script.into(),
            args,
            properties,
            begun: false,
        }
    }

    /// Makes an error of an exit code that is not 0; `said` is what the call printed on both
    /// streams.
    pub fn error_of_exit(&self, args: &[&str], code: i32, said: &str) -> BackupError {
        let said = self.without_secrets(said);
        if code == BUSY {
            return BackupError::Wrong(tr!(
                "another job has worked on the repository {} for two hours: wait until it is done",
                self.shown
            ));
        }
        let call = ResticCall {
            node: self.host.name(),
            repository: &self.shown,
            command: args.first().unwrap_or(&""),
        };
        BackupError::from_exit_code(&call, code, &said)
    }

    /// Returns a text without the password, the credentials and the secrets of the location.
    pub fn without_secrets(&self, text: &str) -> String {
        let mut text = text.to_owned();
        for (name, value) in self.environment.iter() {
            let value = value.expose_secret();
            if name == "RESTIC_REPOSITORY" || name == "RESTIC_FROM_REPOSITORY" {
                if *value != self.shown {
                    text = text.replace(value, &self.shown);
                }
            } else if value.len() >= 4 && self.secrets().any(|s| s.expose_secret() == value) {
                text = text.replace(value, "•••");
            }
        }
        text
    }

    /// The snapshots of the repository, of all tags or only those with every one of `tags`, oldest
    /// first.
    ///
    /// # Errors
    /// As [`Restic::run`]; output that is no list of snapshots.
    pub async fn list_snapshots(&self, tags: &[&str]) -> Result<Vec<ResticSnapshot>, BackupError> {
        let joined = tags.join(",");
        let mut args = vec!["snapshots", "--json", "--no-lock"];
        if !tags.is_empty() {
            args.extend(["--tag", &joined]);
        }
        let out = self.run(&args).await?;
        let read = serde_json::from_slice::<Option<Vec<ResticSnapshot>>>(&out.stdout);
        let mut snapshots = read
            .map_err(|e| BackupError::Wrong(tr!("what restic listed can't be understood: {e}")))?
            .unwrap_or_default();
        snapshots.sort_by_key(|s| s.time);
        Ok(snapshots)
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::{CheckSummary, ResticMessage, parse_restic_message};
    use matou_config::NodeConnection;
    use matou_host::HostOptions;

    fn here() -> Host {
        let options = HostOptions {
            docker_socket: "/nonexistent".into(),
            runtime_dir: std::env::temp_dir(),
            recorder: None,
        };
        Host::new("here", &NodeConnection::Local, options)
    }

    fn repository(dir: &Path, location: &str) -> RepositoryConfig {
        std::fs::write(dir.join("password"), "pass'word $(id)\n").unwrap();
        std::fs::write(
            dir.join("env"),
            "# credentials\nAWS_ACCESS_KEY_ID=AKIA1\nexport AWS_SECRET_ACCESS_KEY=\"s3cr et\"\n",
        )
        .unwrap();
        RepositoryConfig {
            name: "main".into(),
            location: location.into(),
            password_file: Some(dir.join("password")),
            password_command: Vec::new(),
            environment_file: Some(dir.join("env")),
            append_only: false,
        }
    }

    #[test]
    fn versions_are_read_and_compared() {
        let old = ResticVersion::parse("restic 0.14.0 compiled with go1.19.8 on linux/amd64");
        assert_eq!(old, Some(ResticVersion(0, 14, 0)));
        assert_eq!(
            ResticVersion::parse("restic 0.17.3-dev (x)"),
            Some(ResticVersion(0, 17, 3))
        );
        assert!(old.unwrap() < ResticVersion(0, 17, 0));
        assert_eq!(ResticVersion::parse(""), None);
    }

    /// Words of restic 0.18.
    #[test]
    fn what_is_tried_in_vain_is_ended() {
        let bucket = b"Stat(<config/>) returned error, retrying after 661.3512ms: Stat: The specified bucket does not exist\n";
        assert!(RetryWatch::default().has_given_up(bucket));
        let away = b"Stat(<config/>) returned error, retrying after 661.3512ms: Stat: dial tcp 10.0.0.1:9000: connect: connection refused\n";
        let mut trying = RetryWatch::default();
        assert!(!trying.has_given_up(b"repository abc opened\n"));
        assert!(!trying.has_given_up(away));
        trying.since = Instant::now().checked_sub(RETRY_LIMIT);
        assert!(trying.has_given_up(away));
    }

    #[tokio::test]
    async fn secrets_stand_in_the_input_and_nowhere_else() {
        let dir = tempfile::tempdir().unwrap();
        let location = "rest:https://u:hunter22@h.example.org/x";
        let restic = Restic::for_repository(&here(), &repository(dir.path(), location))
            .await
            .unwrap();
        let command = restic.restic_command(&["snapshots", "--json"]);
        let shown = format!("{command} {command:?}");
        for secret in ["word", "s3cr", "AKIA1", "hunter22"] {
            assert!(!shown.contains(secret), "{shown}");
        }
        assert!(String::from_utf8_lossy(command.input()).contains("s3cr et"));
        let error = restic.error_of_exit(
            &["init"],
            1,
            &format!("Fatal: {location} with s3cr et and pass'word $(id) failed"),
        );
        let error = error.to_string();
        assert!(
            !error.contains("hunter22") && !error.contains("s3cr et"),
            "{error}"
        );
        assert!(error.contains("u:***@h.example.org"), "{error}");
        let unit = restic.detached_unit("u", RepositoryAccess::Shared, "restic check", Vec::new());
        assert!(!format!("{:?}{:?}", unit.args, unit.properties).contains("s3cr"));
    }

    #[tokio::test]
    async fn a_password_that_can_not_be_had_is_told() {
        let dir = tempfile::tempdir().unwrap();
        let mut repository = repository(dir.path(), "/r");
        repository.password_file = None;
        repository.password_command =
            vec!["sh".into(), "-c".into(), "echo hunter2 >&2; exit 3".into()];
        let error = Restic::for_repository(&here(), &repository)
            .await
            .err()
            .unwrap()
            .to_string();
        assert!(
            error.contains("exit status: 3") && !error.contains("hunter2"),
            "{error}"
        );
        repository.password_command = vec!["printf".into(), "x\\n".into()];
        assert!(Restic::for_repository(&here(), &repository).await.is_ok());
        repository.password_command = vec!["true".into()];
        let error = Restic::for_repository(&here(), &repository)
            .await
            .err()
            .unwrap()
            .to_string();
        assert!(error.contains("is empty"), "{error}");
    }

    /// With the restic of this machine, when it has one: root's environment is not needed.
    #[tokio::test]
    #[cfg_attr(
        not(feature = "fleet-tests"),
        ignore = "as root, by --features fleet-tests"
    )]
    async fn a_real_repository_is_made_listed_and_found_wrong() {
        let host = here();
        let dir = tempfile::tempdir().unwrap();
        let location = dir.path().join("r").display().to_string();
        let restic = Restic::for_repository(&host, &repository(dir.path(), &location))
            .await
            .unwrap();
        let none = restic.list_snapshots(&[]).await.unwrap_err();
        assert!(matches!(none, BackupError::NoRepository { .. }), "{none:?}");
        restic.run(&["init"]).await.unwrap();
        assert!(restic.list_snapshots(&[]).await.unwrap().is_empty());
        let source = dir.path().join("password").display().to_string();
        restic
            .run(&["backup", "--tag", "app=a", "--host", "f", &source])
            .await
            .unwrap();
        let found = restic.list_snapshots(&["app=a"]).await.unwrap();
        assert_eq!(found.len(), 1);
        assert_eq!(found[0].app(), Some("a"));
        assert!(restic.list_snapshots(&["app=b"]).await.unwrap().is_empty());
        let gone = restic.run(&["ls", "deadbeef"]).await.unwrap_err();
        assert!(matches!(gone, BackupError::NothingThere(_)), "{gone:?}");
        a_snapshot_is_counted_by_path(&restic, dir.path()).await;
        a_check_tells_what_it_found(&restic, dir.path()).await;
        std::fs::write(dir.path().join("password"), "other").unwrap();
        let mut wrong = repository(dir.path(), &location);
        std::fs::write(dir.path().join("wrong"), "other").unwrap();
        wrong.password_file = Some(dir.path().join("wrong"));
        let wrong = Restic::for_repository(&host, &wrong).await.unwrap();
        let wrong = wrong.list_snapshots(&[]).await.unwrap_err();
        assert!(
            matches!(wrong, BackupError::WrongPassword { .. }),
            "{wrong:?}"
        );
    }

    /// Reads all data; returns what was counted, and what is wrong.
    async fn check_repository(restic: &Restic) -> (Option<CheckSummary>, Option<BackupError>) {
        let mut args = vec!["check", "--read-data"];
        if restic.check_version().await.unwrap().has_check_summary() {
            args.push("--json");
        }
        let (lines, mut arriving) = mpsc::channel::<(OutputStream, Vec<u8>)>(64);
        let never = CancellationToken::new();
        let reading = async {
            let (mut summary, mut errors, mut said) = (None, Vec::new(), String::new());
            while let Some((_, line)) = arriving.recv().await {
                match parse_restic_message(&line) {
                    Some(ResticMessage::Summary(found)) => summary = found.check,
                    Some(ResticMessage::Error(error)) => errors.push(error.to_sentence()),
                    _ => said += &format!("{}\n", String::from_utf8_lossy(&line)),
                }
            }
            (summary, errors, said)
        };
        let (code, (summary, errors, said)) =
            tokio::join!(restic.stream_lines(&args, lines, &never), reading);
        let error = match code.unwrap() {
            0 => None,
            code => {
                let error = restic.error_of_exit(&args, code, &said);
                Some(match &summary {
                    Some(check) => error.with_check(check, &errors),
                    None => error,
                })
            }
        };
        (summary, error)
    }

    async fn a_check_tells_what_it_found(restic: &Restic, dir: &Path) {
        let counts = restic.check_version().await.unwrap().has_check_summary();
        let (sound, error) = check_repository(restic).await;
        assert!(error.is_none(), "{error:?}");
        assert_eq!(sound.map(|s| s.num_errors), counts.then_some(0));
        let folders = std::fs::read_dir(dir.join("r/data")).unwrap();
        let packs = folders.flat_map(|d| std::fs::read_dir(d.unwrap().path()).unwrap());
        let pack = packs.map(|p| p.unwrap().path()).next().unwrap();
        let whole = std::fs::read(&pack).unwrap();
        let mut flipped = whole.clone();
        flipped[20] ^= 0xff;
        // restic makes its packs read-only.
        let write = |bytes: &[u8]| {
            std::fs::remove_file(&pack).unwrap();
            std::fs::write(&pack, bytes).unwrap();
        };
        write(&flipped);
        let (found, error) = check_repository(restic).await;
        write(&whole);
        let error = error.unwrap();
        assert!(matches!(error, BackupError::Damaged { .. }), "{error:?}");
        let name = pack.file_name().unwrap().to_string_lossy().into_owned();
        // Before 0.18 it names a part of the pack.
        let named = error.to_string().contains(&name[..10]);
        assert!(named || !counts, "{error}");
        assert_eq!(found.map(|s| s.broken_packs), counts.then(|| vec![name]));
    }

    async fn a_snapshot_is_counted_by_path(restic: &Restic, dir: &Path) {
        use crate::listing::{FileTotals, count_files_at, count_files_by_path};
        let never = tokio_util::sync::CancellationToken::new();
        let path = |name: &str| dir.join("d").join(name).display().to_string();
        for (name, text) in [("a/x/1", "12"), ("a/2", "345"), ("a2/1", "6"), ("b/1", "")] {
            let file = dir.join("d").join(name);
            std::fs::create_dir_all(file.parent().unwrap()).unwrap();
            std::fs::write(file, text).unwrap();
        }
        std::fs::create_dir(dir.join("d/empty")).unwrap();
        let paths: Vec<String> = ["a", "a2", "empty"].map(path).into();
        let mut args = vec!["backup", "--tag", "app=d", "--host", "f"];
        args.extend(paths.iter().map(String::as_str));
        restic.run(&args).await.unwrap();
        let id = restic
            .list_snapshots(&["app=d"])
            .await
            .unwrap()
            .remove(0)
            .id;
        let wanted = [paths.clone(), vec![path("gone")]].concat();
        let counted = count_files_by_path(restic, &id, &wanted, &never)
            .await
            .unwrap();
        let of = |files, bytes| FileTotals { files, bytes };
        let expected = [of(2, 5), of(1, 1), of(0, 0)];
        assert_eq!(counted, paths.iter().cloned().zip(expected).collect());
        let paths: Vec<&str> = paths.iter().map(String::as_str).collect();
        let all = count_files_at(restic, &id, &paths, &never).await.unwrap();
        assert_eq!(all, counted.values().copied().sum());
    }
}
