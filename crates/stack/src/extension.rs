//! `x-matou`: what matou adds to a compose file. Docker ignores keys that begin with `x-`.
//! assets/x-matou.schema.json describes the same keys for editors.

use std::collections::BTreeMap;

use matou_base::text::InvalidInput;
use matou_i18n::tr;
use matou_model::ExpectedAnswer;
use serde::Deserialize;

use super::scheduled_jobs::JobSpec;

/// A variable of a stack, as the form and the command line show it.
#[derive(Debug, Clone, PartialEq, Eq, Default, Deserialize, serde::Serialize)]
#[cfg_attr(test, derive(schemars::JsonSchema))]
#[serde(deny_unknown_fields)]
pub struct Variable {
    /// As it stands in the file: `${NAME}`.
    pub name: String,
    /// What it is for, in one sentence.
    #[serde(default)]
    pub help: String,
    /// The value where none is given.
    pub default: Option<String>,
    /// The stack can't be deployed without it.
    #[serde(default)]
    pub required: bool,
    /// What a value must be.
    #[serde(default, rename = "type")]
    pub kind: VariableKind,
}

/// What a variable's value must be.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default, Deserialize, serde::Serialize)]
#[cfg_attr(test, derive(schemars::JsonSchema))]
#[serde(rename_all = "lowercase")]
pub enum VariableKind {
    /// Anything in one line.
    #[default]
    Text,
    /// A host name.
    Domain,
    /// An address of mail.
    Email,
    /// Digits.
    Number,
    /// `true` or `false`.
    Boolean,
    /// Memory as Docker takes it: `512M`.
    Size,
}

impl Variable {
    /// Returns the type that a variable without one seems to have, by its default, as a stack names it.
    pub(super) fn likely_kind(&self) -> Option<&'static str> {
        let default = self.default.as_deref().filter(|d| !d.is_empty())?;
        match self.kind {
            VariableKind::Text if default.bytes().all(|b| b.is_ascii_digit()) => Some("number"),
            VariableKind::Text if is_memory_size(default) => Some("size"),
            _ => None,
        }
    }

    /// Checks that a value fits the variable's type. An empty value always does.
    ///
    /// # Errors
    /// One sentence that says what is wanted.
    pub fn check_value(&self, value: &str) -> Result<(), InvalidInput> {
        let wanted = match self.kind {
            _ if value.is_empty() => return Ok(()),
            VariableKind::Text => return Ok(()),
            VariableKind::Domain if is_domain(value) => return Ok(()),
            VariableKind::Domain => tr!("a domain, as blog.example.org"),
            VariableKind::Email if is_email(value) => return Ok(()),
            VariableKind::Email => tr!("an e-mail address"),
            VariableKind::Number if value.bytes().all(|b| b.is_ascii_digit()) => return Ok(()),
            VariableKind::Number => tr!("a whole number"),
            VariableKind::Boolean if matches!(value, "true" | "false") => return Ok(()),
            VariableKind::Boolean => tr!("true or false"),
            VariableKind::Size if is_memory_size(value) => return Ok(()),
            VariableKind::Size => tr!("an amount of memory, as 512M or 2G"),
        };
        Err(InvalidInput::new(tr!(
            "{} = {value:?} is wrong: it must be {wanted}",
            self.name
        )))
    }
}

/// Whether it is a host name of at least two labels (RFC 1123), or `localhost`, for practice.
pub(super) fn is_domain(text: &str) -> bool {
    let label = |l: &str| {
        !l.is_empty()
            && l.len() <= 63
            && !l.starts_with('-')
            && !l.ends_with('-')
            && l.bytes().all(|b| b.is_ascii_alphanumeric() || b == b'-')
    };
    text.len() <= 253 && text.split('.').all(label) && (text.contains('.') || text == "localhost")
}

fn is_email(text: &str) -> bool {
    let plain = |t: &str| !t.is_empty() && !t.contains(|c: char| c.is_whitespace() || c == '@');
    text.split_once('@')
        .is_some_and(|(name, domain)| plain(name) && is_domain(domain))
}

fn is_memory_size(text: &str) -> bool {
    let digits = text.trim_end_matches(|c: char| c.is_ascii_alphabetic());
    let unit = text[digits.len()..].to_ascii_lowercase();
    !digits.is_empty()
        && digits.bytes().all(|b| b.is_ascii_digit())
        && matches!(
            unit.as_str(),
            "" | "b" | "k" | "kb" | "m" | "mb" | "g" | "gb"
        )
}

/// A secret that is made at random when the application is deployed first.
#[derive(Debug, Clone, PartialEq, Eq, Deserialize)]
#[cfg_attr(test, derive(schemars::JsonSchema))]
#[serde(deny_unknown_fields)]
pub struct SecretSpec {
    /// As under `secrets:` of the file.
    pub name: String,
    /// What it is for, in one sentence.
    #[serde(default)]
    pub help: String,
    /// Characters, without the prefix.
    #[serde(default = "default_secret_length")]
    pub length: usize,
    /// The characters it is made of.
    #[serde(default)]
    pub alphabet: Alphabet,
    /// Stands before the random part, as `base64:`.
    #[serde(default)]
    pub prefix: String,
    /// The application's data can't be read without it: it is never rotated.
    #[serde(default)]
    pub keep: bool,
}

fn default_secret_length() -> usize {
    32
}

/// What a secret is made of.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default, Deserialize)]
#[cfg_attr(test, derive(schemars::JsonSchema))]
#[serde(rename_all = "lowercase")]
pub enum Alphabet {
    /// Letters and digits.
    #[default]
    Alphanumeric,
    /// 0-9 and a-f.
    Hex,
    /// `length` random bytes in base64.
    Base64,
}

/// How the data of one service is dumped before a backup.
#[derive(Debug, Clone, PartialEq, Eq, Deserialize)]
#[cfg_attr(test, derive(schemars::JsonSchema))]
#[serde(deny_unknown_fields)]
pub struct Dump {
    /// The service in whose container it runs.
    pub service: String,
    /// The database's kind; none with commands of its own.
    #[serde(default)]
    pub engine: Option<DumpEngine>,
    /// Database to dump; all when there is none.
    #[serde(default)]
    pub database: Option<String>,
    /// The database's user.
    #[serde(default)]
    pub user: Option<String>,
    /// The secret with its password.
    #[serde(default)]
    pub secret: Option<String>,
    /// Instead of an engine, or with `sqlite` where the image has no `sqlite3`: a shell line that writes
    /// the dump to its standard output.
    #[serde(default)]
    pub command: Option<String>,
    /// Instead of an engine: a shell line that reads the dump from its standard input.
    #[serde(default)]
    pub restore: Option<String>,
    /// Path of the dump in the container; within a volume of the service.
    pub file: String,
}

impl Dump {
    /// Whether the dump needs a running service. Files of SQLite are consistent when nothing has
    /// them open.
    pub fn needs_service(&self) -> bool {
        self.engine != Some(DumpEngine::Sqlite)
    }

    /// Returns the engine whose way the dump is loaded in. A line of the stack's own wins over its
    /// engine, as when the dump is made; but a file of SQLite takes its place whoever wrote it.
    pub fn loading_engine(&self) -> Option<DumpEngine> {
        let by_line = self.command.is_some();
        self.engine
            .filter(|engine| !by_line || *engine == DumpEngine::Sqlite)
    }
}

/// Databases whose dumps matou knows how to make and load.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Deserialize)]
#[cfg_attr(test, derive(schemars::JsonSchema))]
#[serde(rename_all = "lowercase")]
pub enum DumpEngine {
    /// MariaDB; dumped as MySQL is.
    Mariadb,
    /// MySQL, by `mariadb-dump` or `mysqldump`.
    Mysql,
    /// PostgreSQL, by `pg_dump`, or `pg_dumpall` for all databases.
    Postgresql,
    /// MongoDB, by `mongodump`.
    Mongodb,
    /// SQLite, by `sqlite3` where the service runs.
    Sqlite,
}

/// What belongs to a backup beside the volumes.
#[derive(Debug, Clone, PartialEq, Eq, Default, Deserialize)]
#[cfg_attr(test, derive(schemars::JsonSchema))]
#[serde(deny_unknown_fields)]
pub struct BackupSpec {
    /// Databases that are dumped before.
    #[serde(default)]
    pub dumps: Vec<Dump>,
    /// Patterns of restic that are left out, as `cache/*`.
    #[serde(default)]
    pub exclude: Vec<String>,
    /// Leave out other file systems that are mounted in a volume.
    #[serde(default)]
    pub one_file_system: bool,
}

/// What an application answers when it is well.
#[derive(Debug, Clone, PartialEq, Eq, Deserialize)]
#[cfg_attr(test, derive(schemars::JsonSchema))]
#[serde(deny_unknown_fields)]
pub struct HttpCheck {
    /// What is asked for.
    #[serde(default = "default_check_path")]
    pub path: String,
    /// The HTTP status codes of an application that is well.
    #[serde(default = "default_check_status")]
    pub status: Vec<u16>,
    /// Texts that the answer contains when the application is installed.
    #[serde(default)]
    pub contains: Vec<String>,
    /// Texts of the application's installer, in the answer or where it redirects to.
    #[serde(default)]
    pub lacks: Vec<String>,
    /// Seconds that the first answer may take after a deploy.
    #[serde(default = "default_check_limit")]
    pub within: u64,
}

impl HttpCheck {
    /// Returns the answer that it expects.
    pub fn expected_answer(&self) -> ExpectedAnswer {
        ExpectedAnswer {
            path: self.path.clone(),
            status: self.status.clone(),
            contains: self.contains.clone(),
            lacks: self.lacks.clone(),
            redirect_to: None,
            way_in: None,
        }
    }
}

fn default_check_path() -> String {
    "/".into()
}

fn default_check_status() -> Vec<u16> {
    vec![200]
}

fn default_check_limit() -> u64 {
    300
}

impl Default for HttpCheck {
    fn default() -> Self {
        Self {
            path: default_check_path(),
            status: default_check_status(),
            contains: Vec::new(),
            lacks: Vec::new(),
            within: default_check_limit(),
        }
    }
}

/// A kind of application.
#[derive(
    Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Default, Deserialize, serde::Serialize,
)]
#[cfg_attr(test, derive(schemars::JsonSchema))]
#[serde(rename_all = "lowercase")]
pub enum Category {
    /// What stands before all others.
    Edge,
    /// Sites, blogs and wikis.
    Site,
    /// Shops.
    Shop,
    /// Files, calendars and contacts.
    Files,
    /// Documents and pads.
    Office,
    /// Chat and calls.
    Chat,
    /// What is read: feeds and articles.
    Feeds,
    /// Repositories of code, and projects.
    Code,
    /// Video.
    Video,
    /// The Fediverse.
    Social,
    /// Books, bills and members.
    Books,
    /// Passwords and log-ins.
    Security,
    /// What watches the fleet.
    Monitoring,
    /// For practice.
    Practice,
    /// Anything else.
    #[default]
    Other,
}

impl Category {
    /// Returns the word that stands in stack files.
    pub fn as_str(self) -> &'static str {
        match self {
            Self::Edge => "edge",
            Self::Site => "site",
            Self::Shop => "shop",
            Self::Files => "files",
            Self::Office => "office",
            Self::Chat => "chat",
            Self::Feeds => "feeds",
            Self::Code => "code",
            Self::Video => "video",
            Self::Social => "social",
            Self::Books => "books",
            Self::Security => "security",
            Self::Monitoring => "monitoring",
            Self::Practice => "practice",
            Self::Other => "other",
        }
    }
}

/// How the operator logs in to an application. Variables are replaced in it.
#[derive(Debug, Clone, PartialEq, Eq, Default, Deserialize)]
#[cfg_attr(test, derive(schemars::JsonSchema))]
#[serde(deny_unknown_fields)]
pub struct LoginSpec {
    /// Path of the page.
    #[serde(default = "default_check_path")]
    pub path: String,
    /// Name to log in with.
    #[serde(default)]
    pub user: String,
    /// The generated secret with the first password.
    #[serde(default)]
    pub secret: Option<String>,
    /// What else has to be known, in one sentence.
    #[serde(default)]
    pub note: String,
    /// What the application takes only from who knows the password.
    #[serde(default)]
    pub request: Option<LoginRequest>,
}

/// A request that shows that a log-in works: it is answered so only when the password is right. A value
/// that is `PASSWORD` stands for it. `matou catalogue try` sends it.
#[derive(Debug, Clone, PartialEq, Eq, Default, Deserialize)]
#[cfg_attr(test, derive(schemars::JsonSchema))]
#[serde(deny_unknown_fields)]
pub struct LoginRequest {
    /// What is asked for.
    pub path: String,
    /// Fields of a form that is posted.
    #[serde(default)]
    pub form: BTreeMap<String, String>,
    /// Fields of an object that is posted as JSON.
    #[serde(default)]
    pub json: BTreeMap<String, String>,
    /// Name and password as HTTP has them (RFC 7617).
    #[serde(default)]
    pub basic: bool,
    /// More headers.
    #[serde(default)]
    pub headers: BTreeMap<String, String>,
    /// The HTTP status codes of a log-in that works; a wrong password has another.
    #[serde(default = "default_check_status")]
    pub status: Vec<u16>,
}

/// How an application is updated whose image copies it into a volume only once.
#[derive(Debug, Clone, PartialEq, Eq, Default, Deserialize)]
#[cfg_attr(test, derive(schemars::JsonSchema))]
#[serde(deny_unknown_fields)]
pub struct UpdateSpec {
    /// How, in one sentence.
    pub how: String,
    /// The service in whose container the commands run.
    #[serde(default)]
    pub service: String,
    /// A shell line that updates it.
    #[serde(default)]
    pub command: Option<String>,
    /// A shell line that prints the version that the application itself names.
    #[serde(default)]
    pub version: Option<String>,
}

/// What an application does itself when its main name changes.
#[derive(Debug, Clone, PartialEq, Eq, Default, Deserialize)]
#[cfg_attr(test, derive(schemars::JsonSchema))]
#[serde(deny_unknown_fields)]
pub struct RenameSpec {
    /// The service in whose container the command runs.
    #[serde(default)]
    pub service: String,
    /// A shell line that changes the name where the application keeps it, with OLD_NAME and NEW_NAME in its
    /// environment. It may run twice: what is changed already stays as it is.
    #[serde(default)]
    pub command: String,
    /// Why its main name can't be changed, where others know it by that: `matou rename` says it, and does nothing.
    #[serde(default)]
    pub never: Option<String>,
}

/// Something that is known to go wrong at a first start.
#[derive(Debug, Clone, PartialEq, Eq, Default, Deserialize)]
#[cfg_attr(test, derive(schemars::JsonSchema))]
#[serde(deny_unknown_fields)]
pub struct KnownTrouble {
    /// The service whose log tells it.
    pub service: String,
    /// A text in that log.
    pub log: String,
    /// What to do, in one sentence; `APP` stands for the application's name.
    pub cure: String,
}

/// What an adopted stack's labels of Traefik are deployed as.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default, Deserialize, serde::Serialize)]
#[cfg_attr(test, derive(schemars::JsonSchema))]
#[serde(rename_all = "lowercase")]
pub enum RouteLabels {
    /// As they are: another Traefik than matou's edge routes to it.
    #[default]
    Keep,
    /// As those that matou's edge takes, like those of any other stack.
    Migrate,
}

impl RouteLabels {
    /// Returns the word that stands in stack files.
    pub fn as_str(self) -> &'static str {
        match self {
            Self::Keep => "keep",
            Self::Migrate => "migrate",
        }
    }
}

/// What `matou adopt` found running. Volumes of such a stack keep the drivers that they have.
#[derive(Debug, Clone, Default, PartialEq, Eq, Deserialize)]
#[cfg_attr(test, derive(schemars::JsonSchema))]
#[serde(deny_unknown_fields)]
pub struct AdoptedStack {
    /// What becomes of its labels of Traefik, and of its networks.
    #[serde(default)]
    pub routes: RouteLabels,
    /// It is one service that was made without a stack, with the application's name.
    #[serde(default)]
    pub single: bool,
    /// Hash of each service as it was written down. One that still has it is what runs, although
    /// matou has not deployed it.
    #[serde(default)]
    pub services: BTreeMap<String, String>,
}

/// The whole of `x-matou`.
#[derive(Debug, Clone, Default, PartialEq, Eq, Deserialize)]
#[cfg_attr(test, derive(schemars::JsonSchema))]
#[serde(deny_unknown_fields)]
pub struct Extension {
    /// The product's own name.
    #[serde(default)]
    pub title: String,
    /// What it is, in one line.
    #[serde(default)]
    pub description: String,
    /// Where the application is documented.
    #[serde(default)]
    pub homepage: String,
    /// What the operator is asked for.
    #[serde(default)]
    pub variables: Vec<Variable>,
    /// Passwords and keys that are generated.
    #[serde(default)]
    pub secrets: Vec<SecretSpec>,
    /// What belongs to a backup beside the volumes.
    #[serde(default)]
    pub backup: BackupSpec,
    /// What the operator must know when restoring.
    #[serde(default)]
    pub restore: String,
    /// How its answer is judged; `GET /` with 200 where it is not said.
    #[serde(default)]
    pub check: Option<HttpCheck>,
    /// The kind of application, by which the catalogue is sorted.
    #[serde(default)]
    pub category: Category,
    /// How the operator logs in once it runs.
    #[serde(default)]
    pub login: Option<LoginSpec>,
    /// It can send mail, by the variables `MAIL_…` and the secret `mail_password`.
    #[serde(default)]
    pub mail: bool,
    /// How its code is really updated, where a new image does not do it.
    #[serde(default)]
    pub update: Option<UpdateSpec>,
    /// What it does itself when its main name changes; none where its variables are enough.
    #[serde(default)]
    pub rename: Option<RenameSpec>,
    /// The service that `matou run APP` runs commands in.
    #[serde(default)]
    pub run: Option<String>,
    /// Commands that run in its containers again and again.
    #[serde(default)]
    pub jobs: Vec<JobSpec>,
    /// Its installer is open to whoever comes first: its routers ask for a password until the
    /// operator takes that away.
    #[serde(default)]
    pub guard: bool,
    /// What is known to go wrong at a first start, by what is logged then, and its cure.
    #[serde(default)]
    pub troubles: Vec<KnownTrouble>,
    /// Files beside the stack file are written by matou from the fleet when it is deployed.
    #[serde(default)]
    pub generated: bool,
    /// It ran before matou knew it: what `matou adopt` found.
    #[serde(default)]
    pub adopted: Option<AdoptedStack>,
}

impl Extension {
    /// Returns values for the required variables, with which a stack can be rendered to be checked.
    pub fn sample_values(&self) -> BTreeMap<String, String> {
        let needed = |v: &&Variable| v.default.is_none() && v.required;
        self.variables
            .iter()
            .filter(needed)
            .map(|v| (v.name.clone(), v.kind.sample_value().to_owned()))
            .collect()
    }
}

impl VariableKind {
    fn sample_value(self) -> &'static str {
        match self {
            Self::Text => "example",
            Self::Domain => "app.example.org",
            Self::Email => "ops@example.org",
            Self::Number => "1",
            Self::Boolean => "true",
            Self::Size => "256M",
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// With MATOU_WRITE_SCHEMA=1 it is written instead of compared.
    #[test]
    fn the_schema_for_editors_is_the_one_of_these_types() {
        let mut schema = schemars::schema_for!(Extension);
        schema.insert("title".into(), "x-matou".into());
        let text = serde_json::to_string_pretty(&schema).unwrap() + "\n";
        let path = concat!(
            env!("CARGO_MANIFEST_DIR"),
            "/../../assets/x-matou.schema.json"
        );
        if std::env::var_os("MATOU_WRITE_SCHEMA").is_some() {
            std::fs::write(path, &text).unwrap();
        }
        assert_eq!(std::fs::read_to_string(path).unwrap(), text);
    }

    #[test]
    fn values_are_of_their_type() {
        let variable = |kind| Variable {
            name: "V".into(),
            kind,
            ..Variable::default()
        };
        for (kind, good, bad) in [
            (
                VariableKind::Domain,
                "blog.example.org",
                "https://blog.example.org",
            ),
            (VariableKind::Domain, "localhost", "-a.org"),
            (VariableKind::Email, "ops@example.org", "ops"),
            (VariableKind::Number, "12", "1.5"),
            (VariableKind::Boolean, "false", "no"),
            (VariableKind::Size, "512M", "big"),
        ] {
            assert_eq!(variable(kind).check_value(good), Ok(()));
            assert!(variable(kind).check_value(bad).is_err(), "{bad}");
        }
        assert_eq!(
            variable(VariableKind::Domain)
                .check_value("a b")
                .unwrap_err()
                .to_string(),
            "V = \"a b\" is wrong: it must be a domain, as blog.example.org"
        );
    }
}
