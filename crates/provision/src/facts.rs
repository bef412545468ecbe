//! What a node is like: gathered by one script in one round trip.

use matou_i18n::tr;
use std::collections::{BTreeMap, BTreeSet};
use std::hash::{BuildHasher, Hasher};
use std::net::IpAddr;

use base64::Engine as _;
use serde::de::DeserializeOwned;

use crate::ProvisionError;
use matou_host::{Command, quote_args, shell_script};

/// The facts that concerns ask a node for, beside those that every node is asked for.
#[derive(Debug, Default, Clone, PartialEq, Eq)]
pub struct FactQuery {
    files: BTreeSet<String>,
    units: BTreeSet<String>,
    /// Name → POSIX shell.
    commands: BTreeMap<String, String>,
}

impl FactQuery {
    /// The content, mode and owner of files; they need not be there.
    pub fn with_files<S: Into<String>>(mut self, paths: impl IntoIterator<Item = S>) -> Self {
        self.files.extend(paths.into_iter().map(Into::into));
        self
    }

    /// The state of systemd units, by full name; they need not be there.
    pub fn with_units<S: Into<String>>(mut self, names: impl IntoIterator<Item = S>) -> Self {
        self.units.extend(names.into_iter().map(Into::into));
        self
    }

    /// The output and exit code of a shell script that changes nothing.
    pub fn with_command(mut self, name: &str, script: impl Into<String>) -> Self {
        self.commands.insert(name.to_owned(), script.into());
        self
    }

    /// Returns the query for the facts of both.
    pub fn merge(mut self, other: Self) -> Self {
        self.files.extend(other.files);
        self.units.extend(other.units);
        self.commands.extend(other.commands);
        self
    }

    /// Returns the command that gathers the facts. `nonce` separates the parts of its output: it is
    /// random, so no file can hold it.
    pub(super) fn gather_command(&self, nonce: &str, docker_socket: &str) -> Command {
        use std::fmt::Write as _;
        let mut text = format!(
            "sock={} nonce={nonce}\n{PARTS}",
            quote_args([docker_socket])
        );
        let mut add = |name: &str, script: &str| {
            // A shell of its own costs time on a slow machine: only what leaves it gets one.
            let (open, close) = match script.contains("exit") || script.contains("cd ") {
                true => ('(', ')'),
                false => ('{', '}'),
            };
            let name = quote_args([name]);
            let _ = writeln!(text, "part 0 {name}\n{open}\n{script}\n{close}; part $? =");
        };
        for (name, script) in COMMON_COMMANDS {
            add(name, script);
        }
        for (name, script) in &self.commands {
            add(name, script);
        }
        if !self.units.is_empty() {
            let units = quote_args(self.units.iter().map(String::as_str));
            let folders = UNIT_FOLDERS.join(" ");
            // `systemctl` takes as long for a missing unit as for another: looking for it is
            // cheaper.
            let show = format!("set -- {units}\nfolders='{folders}'\n{SHOW_UNITS}");
            add("units", &show);
        }
        // All requests by one process, and all files: on a slow machine processes are what takes
        // time.
        let urls: Vec<String> = ENGINE_REQUESTS
            .iter()
            .map(|(_, path)| format!("http://docker{path}"))
            .collect();
        add(
            ENGINE_PART,
            &format!(
                "[ -S \"$sock\" ] && curl -sS --max-time 20 --unix-socket \"$sock\" --write-out '\\n{nonce}+%{{http_code}}\\n' {}",
                urls.join(" ")
            ),
        );
        let paths = quote_args(self.files.iter().map(String::as_str));
        if !self.files.is_empty() {
            add(
                FILES_PART,
                &format!(
                    "printf '%s\\0' {paths} | tar --create --absolute-names --dereference --no-recursion --null --files-from=- | base64 -w0"
                ),
            );
        }
        Command::sh_from_input(&text)
            .sudo()
            .timeout(std::time::Duration::from_secs(90))
            .label(tr!("gather facts"))
    }

    pub(super) fn parse_output(&self, nonce: &str, output: &str) -> NodeFacts {
        let mut parts = BTreeMap::new();
        let mut current: Option<(String, String)> = None;
        let marker = format!("{nonce} ");
        for line in output.split('\n') {
            let Some(rest) = line.strip_prefix(&marker) else {
                if let Some((_, text)) = &mut current {
                    text.push_str(line);
                    text.push('\n');
                }
                continue;
            };
            let (code, name) = rest.split_once(' ').unwrap_or((rest, "="));
            if let Some((name, mut text)) = current.take() {
                // The newline before the marker is the marker's.
                text.pop();
                let code = code.parse().unwrap_or(1);
                parts.insert(name, FactPart { text, code });
            }
            if name != "=" {
                current = Some((name.to_owned(), String::new()));
            }
        }
        if let Some(docker) = parts.remove(ENGINE_PART) {
            parts.extend(parse_engine_answers(nonce, &docker.text));
        }
        let files = parts
            .remove(FILES_PART)
            .map_or_else(BTreeMap::new, |p| unpack_fact_files(&p.text));
        let units = parts.get("units").map_or("", |p| p.text.as_str());
        let (there, shown) = units.split_once('\n').unwrap_or_default();
        let there = there.split_whitespace().map(str::to_owned);
        let units = there
            .zip(shown.split("\n\n").map(UnitFacts::parse))
            .collect();
        NodeFacts {
            parts,
            files,
            units,
        }
    }
}

/// Names of the parts that hold the engine's answers, and the archive of the files.
const ENGINE_PART: &str = "docker";
const FILES_PART: &str = "files";

/// Requests to the engine: the name of the part that holds the answer, and the path.
const ENGINE_REQUESTS: [(&str, &str); 3] = [
    ("docker-info", "/info"),
    // Only a manager answers these.
    ("docker-nodes", "/nodes"),
    ("swarm-spec", "/swarm"),
];

/// Returns the engine's answers as parts. They come one after the other, each followed by its HTTP
/// status.
fn parse_engine_answers(nonce: &str, text: &str) -> BTreeMap<String, FactPart> {
    let mut parts = BTreeMap::new();
    let mut names = ENGINE_REQUESTS.iter().map(|(name, _)| *name);
    let mut body = String::new();
    for line in text.lines() {
        match line.strip_prefix(nonce).and_then(|l| l.strip_prefix('+')) {
            None => body.push_str(line),
            Some(status) => {
                let (text, code) = match status {
                    "200" => (std::mem::take(&mut body), 0),
                    // The body of an error is not what was asked for.
                    _ => (String::new(), 22),
                };
                body.clear();
                parts.extend(
                    names
                        .next()
                        .map(|n| (n.to_owned(), FactPart { text, code })),
                );
            }
        }
    }
    parts
}

/// The files of an archive in base64.
fn unpack_fact_files(text: &str) -> BTreeMap<String, FileFacts> {
    let mut files = BTreeMap::new();
    let decoded = base64::engine::general_purpose::STANDARD.decode(text.trim());
    let bytes = decoded.unwrap_or_default();
    let mut archive = tar::Archive::new(bytes.as_slice());
    for mut entry in archive.entries().into_iter().flatten().flatten() {
        let header = entry.header();
        if !header.entry_type().is_file() {
            continue;
        }
        let name = |name: Result<Option<&str>, _>| name.ok().flatten().unwrap_or("?").to_owned();
        let owner = format!("{}:{}", name(header.username()), name(header.groupname()));
        let (Ok(mode), path) = (header.mode(), entry.path_bytes().into_owned()) else {
            continue;
        };
        let mut content = Vec::new();
        if std::io::Read::read_to_end(&mut entry, &mut content).is_ok() {
            let file = FileFacts {
                mode: mode & 0o7777,
                owner,
                content: String::from_utf8_lossy(&content).into_owned(),
            };
            files.insert(String::from_utf8_lossy(&path).into_owned(), file);
        }
    }
    files
}

/// Random, so that nothing a node prints can look like it.
pub(super) fn random_fact_nonce() -> String {
    let random = || {
        std::collections::hash_map::RandomState::new()
            .build_hasher()
            .finish()
    };
    format!("@@{:016x}{:016x}", random(), random())
}

/// What the script that gathers facts begins with; a line before it sets its variables.
const PARTS: &str = shell_script(include_str!("../scripts/lib_facts.sh"));

/// Says which units there are, and how they are.
const SHOW_UNITS: &str = shell_script(include_str!("../scripts/show_units.sh"));

/// Asked on every node.
const COMMON_COMMANDS: [(&str, &str); 6] = [
    ("os", "show /etc/os-release"),
    (
        "kernel",
        "cd /proc/sys/kernel; read -r type <ostype; read -r release <osrelease; read -r arch <arch && echo \"$type $release $arch\" || uname -srm",
    ),
    (
        "container",
        "[ -e /run/systemd/container ] || [ -e /.dockerenv ] || [ -e /run/.containerenv ]",
    ),
    ("addresses", "ip -json address show"),
    ("route", "show /proc/net/route"),
    (
        "packages",
        "dpkg-query --show --showformat='${Package} ${db:Status-Abbrev} ${Version}\\n'",
    ),
];

/// Folders of unit files (systemd.unit(5), "Unit File Load Path"), and the control groups of units
/// that run. A unit that is in none of them is `not-found`: it neither starts nor runs.
const UNIT_FOLDERS: [&str; 10] = [
    "/lib/systemd/system",
    "/usr/lib/systemd/system",
    "/etc/systemd/system",
    "/usr/local/lib/systemd/system",
    "/run/systemd/system",
    "/run/systemd/transient",
    "/run/systemd/generator",
    "/run/systemd/generator.early",
    "/run/systemd/generator.late",
    "/sys/fs/cgroup/system.slice",
];

#[derive(Debug, Clone, PartialEq, Eq)]
struct FactPart {
    text: String,
    code: i32,
}

/// What one node is like.
#[derive(Debug, Clone, Default)]
pub struct NodeFacts {
    parts: BTreeMap<String, FactPart>,
    files: BTreeMap<String, FileFacts>,
    units: BTreeMap<String, UnitFacts>,
}

/// A file of a node.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct FileFacts {
    pub mode: u32,
    /// `user:group`
    pub owner: String,
    /// Invalid UTF-8 replaced.
    pub content: String,
}

/// A systemd unit of a node.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct UnitFacts {
    /// `loaded`, `not-found`, `masked`
    pub load: String,
    /// `active`, `inactive`, `failed`, …
    pub active: String,
    /// `running`, `exited`, …
    pub sub: String,
    /// `enabled`, `disabled`, `static`, …
    pub enabled: String,
}

impl UnitFacts {
    fn parse(text: &str) -> Self {
        let mut unit = Self::default();
        for (key, value) in text.lines().filter_map(|l| l.split_once('=')) {
            match key {
                "LoadState" => unit.load = value.to_owned(),
                "ActiveState" => unit.active = value.to_owned(),
                "SubState" => unit.sub = value.to_owned(),
                "UnitFileState" => unit.enabled = value.to_owned(),
                _ => {}
            }
        }
        unit
    }

    /// Starts at boot: enabled, or started by something else.
    pub fn starts_at_boot(&self) -> bool {
        matches!(
            self.enabled.as_str(),
            "enabled" | "static" | "generated" | "alias" | "indirect"
        )
    }
}

/// The distribution of a node.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct OsRelease {
    /// `debian`, `ubuntu`
    pub id: String,
    /// `12`, `24.04`
    pub version: String,
    /// `bookworm`, `noble`
    pub codename: String,
    /// For people.
    pub name: String,
}

/// An address of a network interface.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct InterfaceAddress {
    pub interface: String,
    pub ip: IpAddr,
    /// Bits of the network.
    pub prefix: u8,
}

impl NodeFacts {
    /// Returns what a command of [`FactQuery::with_command`] printed, without white space around
    /// it; empty when it was not asked for.
    pub fn output(&self, name: &str) -> &str {
        self.parts.get(name).map_or("", |p| p.text.trim())
    }

    /// Returns the exit code of a command; -1 when it was not asked for.
    pub fn exit_code(&self, name: &str) -> i32 {
        self.parts.get(name).map_or(-1, |p| p.code)
    }

    /// Returns whether a command ended with exit code 0.
    pub fn succeeded(&self, name: &str) -> bool {
        self.exit_code(name) == 0
    }

    /// Parses what a command printed as JSON.
    ///
    /// # Errors
    /// Where the JSON is not as expected.
    pub fn parse_json<T: DeserializeOwned>(&self, name: &str) -> Result<T, ProvisionError> {
        serde_json::from_str(self.output(name))
            .map_err(|e| ProvisionError::failed(tr!("what `{name}` printed can't be read: {e}")))
    }

    /// A file that a concern asked for.
    pub fn file(&self, path: &str) -> Option<FileFacts> {
        self.files.get(path).cloned()
    }

    /// A unit that a concern asked for.
    pub fn unit(&self, name: &str) -> UnitFacts {
        self.units.get(name).cloned().unwrap_or_default()
    }

    /// The version of a package that is installed and set up.
    pub fn package_version(&self, name: &str) -> Option<&str> {
        self.list_packages()
            .find(|(n, status, _)| *n == name && *status == "ii")
            .map(|(_, _, version)| version)
    }

    /// Packages whose installation was interrupted.
    pub fn broken_packages(&self) -> Vec<&str> {
        // Unpacked, half-configured, triggers awaited or pending, half-installed, or to be
        // installed again.
        self.list_packages()
            .filter(|(_, status, _)| {
                status.len() > 2
                    || matches!(
                        status.as_bytes().get(1),
                        Some(b'U' | b'F' | b'H' | b'W' | b't')
                    )
            })
            .map(|(name, _, _)| name)
            .collect()
    }

    fn list_packages(&self) -> impl Iterator<Item = (&str, &str, &str)> {
        self.output("packages").lines().filter_map(|line| {
            let mut words = line.split_whitespace();
            Some((words.next()?, words.next()?, words.next().unwrap_or("")))
        })
    }

    /// Returns what the distribution says of itself (os-release(5)).
    pub fn os_release(&self) -> OsRelease {
        let value = |key: &str| {
            self.output("os")
                .lines()
                .find_map(|l| l.strip_prefix(key)?.strip_prefix('='))
                .map_or_else(String::new, |v| v.trim_matches('"').to_owned())
        };
        OsRelease {
            id: value("ID"),
            version: value("VERSION_ID"),
            codename: value("VERSION_CODENAME"),
            name: value("PRETTY_NAME"),
        }
    }

    /// `x86_64`, `aarch64`
    pub fn architecture(&self) -> &str {
        self.output("kernel").rsplit(' ').next().unwrap_or("")
    }

    /// Returns whether the node is a container, which shares its kernel with others: it has no
    /// kernel settings, swap or NFS server of its own.
    pub fn is_container(&self) -> bool {
        self.succeeded("container")
    }

    /// Its addresses that other machines can reach, those of Docker's bridges left out.
    pub fn addresses(&self) -> Vec<InterfaceAddress> {
        #[derive(serde::Deserialize)]
        struct RawLink {
            ifname: String,
            addr_info: Vec<RawLinkAddress>,
        }
        #[derive(serde::Deserialize)]
        struct RawLinkAddress {
            local: Option<IpAddr>,
            #[serde(default)]
            prefixlen: u8,
            #[serde(default)]
            scope: String,
        }
        let links: Vec<RawLink> = self.parse_json("addresses").unwrap_or_default();
        let outside = |name: &str| {
            !(name == "lo"
                || name.starts_with("docker")
                || name.starts_with("br-")
                || name.starts_with("veth"))
        };
        links
            .into_iter()
            .filter(|l| outside(&l.ifname))
            .flat_map(|l| {
                let interface = l.ifname;
                l.addr_info
                    .into_iter()
                    .filter(|i| i.scope == "global")
                    .filter_map(move |i| {
                        Some(InterfaceAddress {
                            interface: interface.clone(),
                            ip: i.local?,
                            prefix: i.prefixlen,
                        })
                    })
            })
            .collect()
    }

    /// The interface of the default route of IPv4, of several the one of the lowest metric.
    pub fn default_interface(&self) -> Option<String> {
        let routes = self.output("route").lines().filter_map(|line| {
            // Iface Destination Gateway Flags RefCnt Use Metric Mask, the addresses hexadecimal.
            let words: Vec<&str> = line.split_whitespace().collect();
            let all = words.get(1) == Some(&"00000000") && words.get(7) == Some(&"00000000");
            let metric: u32 = words.get(6)?.parse().ok()?;
            all.then(|| (metric, words[0].to_owned()))
        });
        routes.min_by_key(|(metric, _)| *metric).map(|(_, dev)| dev)
    }

    /// What is mounted at a path, by the part `mounts`; empty when nothing is.
    pub fn mounted_at(&self, path: &str) -> String {
        // Spaces and the like are octal in /proc/self/mounts.
        let escaped = path
            .replace('\\', "\\134")
            .replace(' ', "\\040")
            .replace('\t', "\\011");
        let mounts = self.output("mounts").lines().rev();
        let mut sources = mounts.filter_map(|l| {
            let mut words = l.split(' ');
            let (source, at) = (words.next()?, words.next()?);
            (at == escaped).then(|| source.to_owned())
        });
        sources.next().unwrap_or_default()
    }

    /// What a command printed, to the last byte.
    pub fn raw_output(&self, name: &str) -> &str {
        self.parts.get(name).map_or("", |p| p.text.as_str())
    }
}

#[cfg(test)]
impl NodeFacts {
    /// Facts for tests of checks: parts that exited with 0.
    pub(super) fn of(parts: &[(&str, &str)]) -> Self {
        let mut facts = Self::default();
        for (name, text) in parts {
            facts = facts.with(name, text, 0);
        }
        facts
    }

    pub(super) fn with(mut self, name: &str, text: &str, code: i32) -> Self {
        let text = text.to_owned();
        self.parts.insert(name.to_owned(), FactPart { text, code });
        self
    }

    pub(super) fn with_file(mut self, path: &str, mode: u32, content: &str) -> Self {
        let file = FileFacts {
            mode,
            owner: "root:root".into(),
            content: content.to_owned(),
        };
        self.files.insert(path.to_owned(), file);
        self
    }

    pub(super) fn with_unit(mut self, name: &str, active: &str, enabled: &str) -> Self {
        let unit = UnitFacts {
            load: "loaded".into(),
            active: active.into(),
            sub: String::new(),
            enabled: enabled.into(),
        };
        self.units.insert(name.to_owned(), unit);
        self
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// Runs the script in a real shell on this machine.
    fn gather(needs: &FactQuery) -> NodeFacts {
        let nonce = random_fact_nonce();
        let command = needs.gather_command(&nonce, "/nowhere.sock");
        let mut child = std::process::Command::new("sh")
            .arg("-s")
            .stdin(std::process::Stdio::piped())
            .stdout(std::process::Stdio::piped())
            .spawn()
            .unwrap();
        std::io::Write::write_all(&mut child.stdin.take().unwrap(), command.input()).unwrap();
        let out = child.wait_with_output().unwrap();
        needs.parse_output(&nonce, &String::from_utf8_lossy(&out.stdout))
    }

    #[test]
    fn one_script_tells_files_commands_and_the_system() {
        let dir = tempfile::tempdir().unwrap();
        let path = dir.path().join("it's here; rm -rf $HOME");
        let hostile = "\n@@0000 0 os\nfake\u{1b}[2J\n'\"$(id)\n\n";
        std::fs::write(&path, hostile).unwrap();
        std::os::unix::fs::PermissionsExt::set_mode(
            &mut std::fs::metadata(&path).unwrap().permissions(),
            0o640,
        );
        let path = path.to_string_lossy().into_owned();
        let needs = FactQuery::default()
            .with_files([path.clone(), "/nonexistent".to_owned()])
            .with_command("seven", "echo a; echo b; exit 7")
            .with_command("none", "true");
        let facts = gather(&needs);
        assert_eq!(facts.file(&path).unwrap().content, hostile);
        assert_eq!(facts.file("/nonexistent"), None);
        assert_eq!(
            (facts.output("seven"), facts.exit_code("seven")),
            ("a\nb", 7)
        );
        assert_eq!((facts.output("none"), facts.exit_code("none")), ("", 0));
        assert!(!facts.os_release().id.is_empty());
        assert!(!facts.architecture().is_empty());
        assert!(facts.engine().is_none());
    }

    /// Shells read their input in pieces, some of 8 KB, others of one byte.
    #[test]
    fn a_long_script_is_read_whole() {
        let dir = tempfile::tempdir().unwrap();
        let paths: Vec<String> = (0..300)
            .map(|n| dir.path().join(format!("{n:060}")).display().to_string())
            .collect();
        std::fs::write(&paths[299], "the last one").unwrap();
        let needs = FactQuery::default().with_files(paths.clone());
        let facts = gather(&needs);
        assert_eq!(facts.file(&paths[299]).unwrap().content, "the last one");
    }

    /// The kernel gives a number to the first read only: a shell that reads byte by byte sees one digit.
    #[test]
    fn kernel_parameters_are_read_whole() {
        use super::super::{Concern as _, kernel::KernelConcern, testing::config};
        let config = config("");
        let facts = gather(&KernelConcern.fact_query(&config.nodes[0], &config));
        let is = std::fs::read_to_string("/proc/sys/net/core/somaxconn").unwrap();
        let line = format!("net.core.somaxconn = {}", is.trim());
        assert!(is.trim().len() > 1, "{is}");
        assert!(
            facts.output("sysctl").lines().any(|l| l == line),
            "{line}: {}",
            facts.output("sysctl")
        );
        assert_eq!(facts.architecture(), std::env::consts::ARCH);
    }

    #[test]
    fn the_engine_answers_one_request_after_the_other() {
        let text = "{\"ID\":\n\"x\"}\n@@1+200\n{\"message\":\"no manager\"}\n@@1+503\n@@1+000\n";
        let parts = parse_engine_answers("@@1", text);
        let of = |name: &str| (parts[name].text.as_str(), parts[name].code);
        assert_eq!(of("docker-info"), ("{\"ID\":\"x\"}", 0));
        assert_eq!(of("docker-nodes"), ("", 22));
        assert_eq!(of("swarm-spec"), ("", 22));
    }

    #[test]
    fn interrupted_packages_are_seen() {
        let facts = NodeFacts::of(&[(
            "packages",
            "curl ii 7.88\nnginx iU 1.22\nold rc 1.0\nbad iFR 2\ngone un",
        )]);
        assert_eq!(facts.package_version("curl"), Some("7.88"));
        assert_eq!(facts.package_version("nginx"), None);
        assert_eq!(facts.broken_packages(), ["nginx", "bad"]);
    }
}
