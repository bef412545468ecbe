//! Facts about images, `stacks/images.toml`, and what a stack file says against them.

use std::collections::BTreeMap;
use std::path::Path;
use std::sync::{Arc, LazyLock};

use matou_base::files::{MAX_CONFIG_BYTES, read_text};
use matou_i18n::tr;
use serde::{Deserialize, Serialize};
use serde_yaml::{Mapping, Value};

use super::StackError;
use super::amounts::parse_memory_amount;
use super::labels::{labels_from_value, scalar_text};

/// What one image is and does, read in its own sources.
#[derive(Debug, Clone, PartialEq, Deserialize, Serialize)]
#[serde(deny_unknown_fields)]
pub struct ImageFacts {
    /// As stack files name it, without the tag.
    pub name: String,
    /// The version that the facts are of.
    pub tag: String,
    /// Its ENTRYPOINT.
    pub entrypoint: Vec<String>,
    /// Its CMD.
    pub command: Vec<String>,
    /// Other lines that start it as well.
    #[serde(default)]
    pub endings: Vec<String>,
    /// Commands of it that do something else, beside it, as jobs do.
    #[serde(default)]
    pub other_commands: Vec<String>,
    /// Its USER; empty for root.
    #[serde(default)]
    pub user: String,
    /// Its WORKDIR.
    #[serde(default)]
    pub workdir: String,
    /// Ports that it listens on, with their protocols.
    #[serde(default)]
    pub ports: Vec<String>,
    /// Its VOLUMEs.
    #[serde(default)]
    pub volumes: Vec<String>,
    /// Folders whose data must survive a task.
    #[serde(default)]
    pub data: Vec<String>,
    /// Programs in it that health checks, dumps and jobs may call.
    #[serde(default)]
    pub programs: Vec<String>,
    /// Name of the running main process, as the kernel has it.
    #[serde(default)]
    pub process: String,
    /// Names of the variables that it reads; `*` at the end stands for any rest.
    #[serde(default)]
    pub variables: Vec<String>,
    /// Those that name a file with the value.
    #[serde(default)]
    pub file_variables: Vec<String>,
    /// What it does at its first start.
    #[serde(default)]
    pub first_start: String,
    /// What it does when its database does not answer.
    #[serde(default)]
    pub database_missing: String,
    /// Least memory that it runs with, as Docker writes it.
    #[serde(default)]
    pub memory: Option<String>,
    /// Architectures that it is built for, as Docker names them.
    #[serde(default)]
    pub architectures: Vec<String>,
    /// Where its code is when it runs.
    #[serde(default)]
    pub code: CodePlace,
    /// Repository and path of what was read.
    pub read_from: Vec<String>,
    /// When it was read.
    #[serde(serialize_with = "serialize_date")]
    pub read_on: toml::value::Datetime,
}

/// As it is written.
fn serialize_date<S: serde::Serializer>(
    date: &toml::value::Datetime,
    to: S,
) -> Result<S::Ok, S::Error> {
    to.collect_str(date)
}

/// Where an application's code is, and so whether a newer image brings newer code.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default, Deserialize, Serialize)]
#[serde(rename_all = "lowercase")]
pub enum CodePlace {
    /// In the image.
    #[default]
    Image,
    /// In a volume, into which the first start copies it.
    Volume,
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct FactsFile {
    #[serde(default)]
    image: Vec<ImageFacts>,
}

type FactsByName = BTreeMap<String, ImageFacts>;

static BUILT_IN_FACTS: LazyLock<FactsByName> = LazyLock::new(|| {
    let text = include_str!("../../../stacks/images.toml");
    // That it can be read, a test shows.
    parse_facts(text).unwrap_or_default()
});

fn parse_facts(text: &str) -> Result<FactsByName, toml::de::Error> {
    let file: FactsFile = toml::from_str(text)?;
    let images = file.image.into_iter();
    Ok(images.map(|i| (i.name.clone(), i)).collect())
}

/// The images of the catalogue, without their tags.
#[cfg(test)]
pub(super) fn list_built_in_images() -> Vec<&'static str> {
    BUILT_IN_FACTS.keys().map(String::as_str).collect()
}

/// The images of which facts are known: those of the catalogue, and the operator's own.
#[derive(Debug, Clone, Default)]
pub struct KnownImages {
    own: Arc<FactsByName>,
}

impl KnownImages {
    /// Reads the operator's own facts, which stand in `images.toml` beside his stacks; there need be no
    /// such file.
    pub(super) fn load(stacks: &Path) -> Result<Self, StackError> {
        let path = stacks.join("images.toml");
        let text = match read_text(&path, MAX_CONFIG_BYTES) {
            Ok(text) => text,
            Err(e) if e.kind() == std::io::ErrorKind::NotFound => return Ok(Self::default()),
            Err(e) => {
                let message = tr!("{} can't be read: {e}", path.display());
                return Err(StackError::Other(message));
            }
        };
        let own = parse_facts(&text).map_err(|e| StackError::At {
            file: path.display().to_string(),
            line: e.span().map_or(1, |span| {
                let before = text.get(..span.start).unwrap_or_default();
                1 + before.matches('\n').count()
            }),
            message: e.message().to_owned(),
        })?;
        Ok(Self { own: Arc::new(own) })
    }

    /// Returns the facts about an image, `name:tag`; `None` for one that nothing is known of, or of
    /// which another version is known. The operator's own come first.
    pub fn find_facts(&self, image: &str) -> Option<&ImageFacts> {
        let (name, tag) = image.rsplit_once(':')?;
        [&*self.own, &*BUILT_IN_FACTS]
            .into_iter()
            .find_map(|all| all.get(name).filter(|facts| facts.tag == tag))
    }
}

/// A place below a service, and what is wrong there.
pub(super) type FactFinding = (&'static str, String);

/// Compares a service with the facts about its image.
pub(super) fn compare_with_facts(
    known: &KnownImages,
    name: &str,
    service: &Mapping,
) -> Vec<FactFinding> {
    let image = service.get("image").map(scalar_text).unwrap_or_default();
    let Some(facts) = known.find_facts(&image) else {
        return Vec::new();
    };
    let mut found = Vec::new();
    let entrypoint = service
        .get("entrypoint")
        .map(|e| plain_line(&list_words(e).join(" ")));
    let does_other = |line: &String| {
        let mut others = facts.other_commands.iter();
        others.any(|c| line.contains(&plain_line(c)))
    };
    let is_other = entrypoint.as_ref().is_some_and(does_other);
    if let Some(line) = &entrypoint
        && !is_other
        && !facts.is_started_by(line)
    {
        let own = facts.own_command();
        found.push((
            "entrypoint",
            tr!("{name} replaces the entrypoint of {image}, and does not end in the image's own command: `exec {own}`"),
        ));
    }
    let test = service.get("healthcheck").and_then(|h| h.get("test"));
    for program in test.map(list_called_programs).unwrap_or_default() {
        if !facts.has_program(&program) {
            found.push((
                "healthcheck",
                tr!(
                    "the healthcheck of {name} calls {program}, which {image} is not known to have: it has {}",
                    facts.programs.join(", ")
                ),
            ));
        }
    }
    let mounted = list_mount_targets(service);
    for data in facts.data.iter().filter(|_| !is_other) {
        let holds = |target: &String| {
            let rest = data.strip_prefix(target.trim_end_matches('/'));
            rest.is_some_and(|r| r.is_empty() || r.starts_with('/'))
        };
        if !mounted.iter().any(holds) {
            found.push((
                "volumes",
                tr!("{name} has no volume at {data}, where {image} keeps its data: it is gone with the task"),
            ));
        }
    }
    let least = facts.memory.as_deref().and_then(parse_memory_amount);
    if let (Some(limit), Some(least)) = (find_memory_limit(service), least)
        && limit < least
    {
        found.push((
            "deploy",
            tr!(
                "{name} may take less memory than {image} needs: give it {} or more",
                facts.memory.as_deref().unwrap_or_default()
            ),
        ));
    }
    // What a wrapper or a script of the stack reads is not the image's.
    if service.get("entrypoint").is_none() && service.get("configs").is_none() {
        let environment = labels_from_value(service.get("environment"));
        for variable in environment.keys().filter(|v| !facts.reads_variable(v)) {
            found.push((
                "environment",
                tr!("{image} is not known to read the variable {variable}"),
            ));
        }
    }
    found
}

/// The most memory that a service may take, bytes.
fn find_memory_limit(service: &Mapping) -> Option<u64> {
    let limits = service.get("deploy")?.get("resources")?.get("limits")?;
    parse_memory_amount(&scalar_text(limits.get("memory")?))
}

impl ImageFacts {
    /// Its entrypoint and command, as one line.
    fn own_command(&self) -> String {
        let words: Vec<&str> = self
            .entrypoint
            .iter()
            .chain(&self.command)
            .map(String::as_str)
            .collect();
        words.join(" ")
    }

    /// Whether a line that replaces its entrypoint ends as the image begins, quotes aside.
    fn is_started_by(&self, line: &str) -> bool {
        // What a shell is given to do may be done by the shell that is there.
        let inner = match self.command.as_slice() {
            [shell, option, inner] if shell.ends_with("sh") && option == "-c" => inner.as_str(),
            _ => "",
        };
        let own = self.own_command();
        let mut all = [own.as_str(), inner]
            .into_iter()
            .chain(self.endings.iter().map(String::as_str));
        all.any(|end| !end.is_empty() && line.ends_with(&plain_line(end)))
    }

    fn has_program(&self, program: &str) -> bool {
        let own = program.rsplit('/').next().unwrap_or(program);
        let has_shell = self.programs.iter().any(|p| p == "sh");
        has_shell && BASIC_PROGRAMS.contains(&program)
            || self
                .programs
                .iter()
                .any(|p| p == program || p.rsplit('/').next() == Some(own))
    }

    fn reads_variable(&self, name: &str) -> bool {
        self.variables
            .iter()
            .chain(&self.file_variables)
            .any(|v| match v.strip_suffix('*') {
                Some(prefix) => name.starts_with(prefix),
                None => v == name,
            })
    }
}

/// Programs that are wherever a shell is: of coreutils, grep and sed, or of busybox.
const BASIC_PROGRAMS: [&str; 10] = [
    "cat", "cut", "grep", "head", "ls", "sed", "sh", "sleep", "tail", "test",
];

/// Returns a line without its quotes, and with one blank between words.
fn plain_line(text: &str) -> String {
    let text = text.replace(['"', '\''], "");
    text.split_whitespace().collect::<Vec<_>>().join(" ")
}

fn list_words(value: &Value) -> Vec<String> {
    match value {
        Value::Sequence(words) => words
            .iter()
            .map(|w| scalar_text(w).replace("$$", "$"))
            .collect(),
        other => vec![scalar_text(other).replace("$$", "$")],
    }
}

/// Words at the beginning of a shell's command that are the shell's own.
const SHELL_WORDS: [&str; 14] = [
    "[", "test", "exit", "echo", ":", "if", "then", "else", "fi", "!", "cd", "export", "true",
    "false",
];

/// Lists the programs that a health check calls.
fn list_called_programs(test: &Value) -> Vec<String> {
    let words = list_words(test);
    let line = match words.as_slice() {
        [first, program, ..] if first == "CMD" => return vec![program.clone()],
        [first, line] if first == "CMD-SHELL" => line,
        [line] => line,
        _ => return Vec::new(),
    };
    let mut called = Vec::new();
    let mut quote = None;
    let mut begins = true;
    let mut word = String::new();
    for c in line.chars().chain([';']) {
        match quote {
            Some(q) if c == q => quote = None,
            Some(_) => {}
            None if c == '"' || c == '\'' => quote = Some(c),
            None if c == ' ' || matches!(c, '|' | '&' | ';' | '(' | ')') => {
                let is_word = begins && !word.is_empty() && !word.contains('=');
                if is_word && !SHELL_WORDS.contains(&word.as_str()) {
                    called.push(word.clone());
                }
                // A variable before a command, or a word of the shell, leaves the command to come.
                let goes_on = word.contains('=') || SHELL_WORDS[5..].contains(&word.as_str());
                begins = matches!(c, '|' | '&' | ';' | '(' | ')')
                    || begins && (word.is_empty() || goes_on);
                word.clear();
            }
            None => word.push(c),
        }
    }
    called
}

/// Lists where a service mounts volumes, binds and configs.
fn list_mount_targets(service: &Mapping) -> Vec<String> {
    let volumes = service.get("volumes").and_then(Value::as_sequence);
    let target = |volume: &Value| match volume {
        Value::String(short) => short.split(':').nth(1).map(str::to_owned),
        long => Some(scalar_text(long.get("target")?)),
    };
    volumes.into_iter().flatten().filter_map(target).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    fn findings(yaml: &str) -> Vec<String> {
        let service: Mapping = serde_yaml::from_str(yaml).unwrap();
        let found = compare_with_facts(&KnownImages::default(), "web", &service);
        found.into_iter().map(|(_, message)| message).collect()
    }

    #[test]
    fn the_facts_can_be_read() {
        let text = include_str!("../../../stacks/images.toml");
        let file: FactsFile = toml::from_str(text).unwrap();
        assert_eq!(file.image.len(), BUILT_IN_FACTS.len());
        assert!(BUILT_IN_FACTS.len() > 30, "{}", BUILT_IN_FACTS.len());
    }

    #[test]
    fn a_replaced_entrypoint_ends_in_the_images_own_command() {
        let owncloud = |line: &str| {
            let mut found = findings(&format!(
                "image: owncloud/server:10.16.4\nentrypoint: [/bin/sh, -c, '{line}']\nvolumes: ['d:/mnt/data']"
            ));
            found.pop()
        };
        assert_eq!(
            owncloud("exec /usr/bin/entrypoint /usr/bin/owncloud server"),
            None
        );
        let said = owncloud("exec /usr/bin/entrypoint /usr/bin/server").unwrap();
        assert!(said.contains("/usr/bin/owncloud server"), "{said}");
    }

    #[test]
    fn a_check_calls_programs_that_are_there() {
        let called =
            |line: &str| list_called_programs(&serde_yaml::from_str(line).unwrap()).join(" ");
        assert_eq!(called("[CMD, redis-cli, -e, ping]"), "redis-cli");
        assert_eq!(
            called(
                "[CMD-SHELL, \"[ -e /x ] && A=1 B=2 curl -fsS 'http://a|b' | grep -q ok || exit 1\"]"
            ),
            "curl grep"
        );
        let said = findings(
            "image: vaultwarden/server:1.37.4\nvolumes: ['d:/data']\nhealthcheck: {test: [CMD, sqlite3, x]}",
        );
        assert!(said[0].contains("calls sqlite3"), "{said:?}");
    }

    #[test]
    fn data_lies_in_volumes_and_memory_is_enough() {
        let said = findings(
            "image: nextcloud:34.0.4-apache\ndeploy: {resources: {limits: {memory: 128M}}}",
        )
        .join("\n");
        assert!(said.contains("no volume at /var/www/html"), "{said}");
        assert!(said.contains("give it 512M or more"), "{said}");
        let said = findings(
            "image: redis:8.10.2-alpine\nvolumes: ['d:/data']\nenvironment: {REDIS_PASSWORD: x}",
        );
        assert_eq!(
            said,
            ["redis:8.10.2-alpine is not known to read the variable REDIS_PASSWORD"]
        );
    }

    #[test]
    fn facts_are_known_of_every_image_of_the_catalogue_and_nothing_is_said_against_it() {
        let node = "[[nodes]]\nname = \"m\"\naddress = \"10.0.0.1\"\nrole = \"manager\"\n";
        let config = matou_config::Config::parse(node, std::path::Path::new("/f/config.toml"));
        let config = config.unwrap();
        let target = crate::RenderTarget::for_fleet(&config);
        let catalogue = crate::Catalogue::load(None).unwrap();
        for entry in catalogue.list_entries() {
            let findings = catalogue.lint_stack(&entry.name, &target).unwrap();
            assert!(findings.is_empty(), "{findings:#?}");
            let images = catalogue.list_images(&entry.name, &target).unwrap();
            // That of practice fleets is made there.
            for image in images.iter().filter(|i| !i.starts_with("matou/")) {
                let known = catalogue.known_images().find_facts(image).is_some();
                assert!(known, "{}: {image}", entry.name);
            }
        }
    }

    #[test]
    fn the_operators_own_facts_stand_beside_his_stacks() {
        let folder = tempfile::tempdir().unwrap();
        assert!(KnownImages::load(folder.path()).is_ok());
        let write = |text: &str| std::fs::write(folder.path().join("images.toml"), text).unwrap();
        let one = |name: &str| {
            format!(
                "[[image]]\nname = \"{name}\"\ntag = \"1\"\nentrypoint = [\"/run\"]\ncommand = []\nread_from = [\"own\"]\nread_on = 2026-11-28\n"
            )
        };
        write(&format!(
            "{}{}",
            one("registry.example.org/shop"),
            one("redis")
        ));
        let known = KnownImages::load(folder.path()).unwrap();
        let entrypoint = |image: &str| known.find_facts(image).map(|f| f.entrypoint.join(" "));
        assert_eq!(entrypoint("registry.example.org/shop:1").unwrap(), "/run");
        assert_eq!(entrypoint("registry.example.org/shop:2"), None);
        assert_eq!(entrypoint("redis:1").unwrap(), "/run");
        assert_eq!(
            entrypoint("redis:8.10.2-alpine").unwrap(),
            "docker-entrypoint.sh"
        );
        write(&format!("{}entry = []\n", one("shop")));
        let said = KnownImages::load(folder.path()).unwrap_err().to_string();
        assert!(said.contains("images.toml:8"), "{said}");
    }
}
