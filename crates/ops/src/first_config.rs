//! A first config.toml: servers by their addresses, each logged in to and looked at.

use matou_i18n::tr;
use std::collections::BTreeSet;
use std::fmt::Write as _;
use std::path::Path;
use std::str::FromStr;
use std::time::Duration;

use futures_util::future::join_all;

use crate::FleetContext;
use matou_base::text::{InvalidInput, SafeText};
use matou_config::{Config, ConfigError};
use matou_docker::NodeHandle;
use matou_host::{Command, shell_script};
use matou_model::Role;

const DESCRIBE: &str = shell_script(include_str!("../scripts/describe_server.sh"));

/// How long a server is waited for.
const LOOK_LIMIT: Duration = Duration::from_secs(30);

/// Managers that a new swarm gets, where there are so many servers: it survives the loss of one.
const MANAGERS: usize = 3;

/// A server as the operator names it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct NamedServer {
    /// The node's name; `None`: made from the address.
    pub name: Option<String>,
    /// `None`: ssh's own.
    pub user: Option<String>,
    /// Host name or address.
    pub address: String,
    /// `None`: ssh's own.
    pub port: Option<u16>,
}

impl FromStr for NamedServer {
    type Err = InvalidInput;

    /// `[NAME=][USER@]ADDRESS[:PORT]`; an IPv6 address with a port is in brackets.
    fn from_str(text: &str) -> Result<Self, InvalidInput> {
        let (name, rest) = match text.split_once('=') {
            Some((name, rest)) => (Some(name.to_owned()), rest),
            None => (None, text),
        };
        let (user, place) = match rest.rsplit_once('@') {
            Some((user, place)) => (Some(user.to_owned()), place),
            None => (None, rest),
        };
        let (address, port) = match place.strip_prefix('[').and_then(|p| p.split_once(']')) {
            Some((address, "")) => (address, None),
            Some((address, port)) => (address, Some(port.strip_prefix(':').unwrap_or(port))),
            // More than one colon is an address of IPv6.
            None => match place.split_once(':') {
                Some((address, port)) if !port.contains(':') => (address, Some(port)),
                _ => (place, None),
            },
        };
        let port = port.map(str::parse::<u16>).transpose();
        let empty = |text: &Option<String>| text.as_deref() == Some("");
        let is_odd = |c: char| c.is_whitespace() || matches!(c, '[' | ']');
        let is_word = |text: &str| !text.is_empty() && !text.contains(is_odd);
        match port {
            Ok(port) if is_word(address) && !empty(&name) && !empty(&user) => Ok(Self {
                name,
                user,
                address: address.to_owned(),
                port,
            }),
            _ => Err(tr!("expected [NAME=][USER@]ADDRESS[:PORT], as shop=root@203.0.113.7").into()),
        }
    }
}

/// What the file says beside the servers.
#[derive(Debug, Clone, Default)]
pub struct FirstSettings {
    /// The fleet's name.
    pub fleet: String,
    /// The key for all servers; `None`: the agent's and ssh's own.
    pub identity: Option<String>,
    /// Where host keys are known; `None`: ssh's own file.
    pub known_hosts: Option<String>,
    /// Unknown host keys are stored, and not refused.
    pub accept_new: bool,
}

/// What a server said of itself. Texts are its own, and safe to show.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct ServerLook {
    /// The release, as `Debian GNU/Linux 12 (bookworm)`.
    pub system: String,
    /// Its host name.
    pub host: String,
    /// Root by this log-in, or by sudo without a password.
    pub root: bool,
    /// Docker's version; empty without an engine that answers.
    pub engine: String,
    /// What it is in a swarm; `None`: it is in none.
    pub swarm: Option<Role>,
    /// The names of all nodes of its swarm, where it is a manager.
    pub peers: Vec<String>,
}

impl ServerLook {
    fn parse(said: &str) -> Self {
        let mut look = Self::default();
        for (name, value) in said.lines().filter_map(|line| line.split_once('=')) {
            let text = || SafeText::from_line(value.trim()).to_string();
            match name {
                "system" => look.system = text(),
                "host" => look.host = text(),
                "root" => look.root = matches!(value, "yes" | "sudo"),
                "engine" => look.engine = text(),
                "swarm" if value == "manager" => look.swarm = Some(Role::Manager),
                "swarm" if value == "worker" => look.swarm = Some(Role::Worker),
                "peers" => look.peers = text().split(' ').map(str::to_owned).collect(),
                _ => {}
            }
        }
        look.peers.retain(|peer| !peer.is_empty());
        look
    }

    /// Says what it is, in a sentence.
    pub fn summary(&self) -> String {
        let engine = match (&*self.engine, self.swarm) {
            ("", _) => tr!("no Docker yet").to_owned(),
            (version, None) => tr!("Docker {version}, in no swarm"),
            (version, Some(Role::Manager)) => tr!("Docker {version}, manager of a swarm"),
            (version, Some(Role::Worker)) => tr!("Docker {version}, worker of a swarm"),
        };
        let rights = match self.root {
            true => "",
            false => tr!("; its user is neither root nor has sudo without a password"),
        };
        format!("{}, {engine}{rights}", self.system)
    }
}

/// Gives every server a name: the one that was said, else what its swarm calls it, else the first part of the
/// address, else node-N.
fn name_servers(servers: &[NamedServer], looks: &[Option<ServerLook>]) -> Vec<String> {
    let mut taken: BTreeSet<String> = servers.iter().filter_map(|s| s.name.clone()).collect();
    let named = servers.iter().enumerate().map(|(at, server)| {
        if let Some(name) = &server.name {
            return name.clone();
        }
        let swarm_name = looks.get(at).and_then(Option::as_ref);
        let swarm_name = swarm_name.filter(|look| look.swarm.is_some());
        let address = match server.address.parse::<std::net::IpAddr>() {
            Ok(_) => "",
            Err(_) => &server.address,
        };
        let known = swarm_name.map_or(address, |look| &look.host);
        let label = known.split('.').next().unwrap_or_default();
        let is_name = label.starts_with(|c: char| c.is_ascii_alphabetic())
            && label.chars().all(|c| c.is_ascii_alphanumeric() || c == '-');
        let mut name = match is_name {
            true => label.to_ascii_lowercase(),
            false => format!("node-{}", at + 1),
        };
        while !taken.insert(name.clone()) {
            name = format!("{name}-{}", at + 1);
        }
        name
    });
    named.collect()
}

/// Writes the text of a config.toml. A server that was looked at is what it is in its swarm; of a new swarm the
/// first three servers are managers, of less than three the first alone.
pub fn render_first_config(
    servers: &[NamedServer],
    looks: &[Option<ServerLook>],
    settings: &FirstSettings,
) -> String {
    let quoted = |text: &str| toml::Value::String(text.to_owned()).to_string();
    let mut text = format!(
        "# matou's configuration, begun by `matou init`. Every key and what it is for: config.example.toml.\n\
         # Paths: ~ is the home folder, relative ones begin at this file's folder.\n\n\
         [fleet]\nname = {}\n\
         # domain = \"example.org\"              # applications are offered under it\n\
         # git = true                          # each change of apps/ and stacks/ by matou is a commit\n\n\
         [ssh]\n",
        quoted(&settings.fleet)
    );
    if let Some(identity) = &settings.identity {
        let _ = writeln!(text, "identity = {}", quoted(identity));
    }
    let known = match settings.accept_new {
        true => "accept-new",
        false => "strict",
    };
    let _ = writeln!(
        text,
        "known_hosts = \"{known}\"              # \"strict\": an unknown host key is an error; \"accept-new\": it is stored"
    );
    if let Some(file) = &settings.known_hosts {
        let _ = writeln!(text, "known_hosts_file = {}", quoted(file));
    }
    let is_in_swarm = looks.iter().flatten().any(|look| look.swarm.is_some());
    let managers = if servers.len() < MANAGERS {
        1
    } else {
        MANAGERS
    };
    for (at, (server, name)) in servers.iter().zip(name_servers(servers, looks)).enumerate() {
        let look = looks.get(at).and_then(Option::as_ref);
        let role = match look.and_then(|look| look.swarm) {
            Some(role) => role,
            None if is_in_swarm || at >= managers => Role::Worker,
            None => Role::Manager,
        };
        let role = match role {
            Role::Manager => "manager",
            Role::Worker => "worker",
        };
        text += "\n[[nodes]]";
        if let Some(look) = look {
            let _ = write!(text, "                             # {}", look.summary());
        }
        let _ = write!(
            text,
            "\nname = {}\naddress = {}\nrole = \"{role}\"\n",
            quoted(&name),
            quoted(&server.address)
        );
        if let Some(user) = &server.user {
            let _ = writeln!(text, "user = {}", quoted(user));
        }
        if let Some(port) = server.port {
            let _ = writeln!(text, "port = {port}");
        }
    }
    text += "\n# Volumes reach every node by one of these; docs/provisioning.md says which to choose.\n\
         # [storage]\n# driver = \"nfs\"                      # \"nfs\", \"netshare\", \"shared\" or \"local\" (default)\n\n\
         # Nightly backups; docs/backups.md.\n\
         # [backup]\n# repository = \"s3:https://s3.example.org/backups\"\n\
         # password_file = \"restic-password\"   # mode 0600\n\n\
         # [edge]\n# email = \"ops@example.org\"           # Let's Encrypt writes here\n\n\
         # Who is told when something is wrong: config.example.toml, [alerts].\n";
    text
}

/// Logs in to every server of the text of a config.toml, and looks what it is; in their order. What is wrong with
/// one is a sentence. `path` is where the file will be.
///
/// # Errors
/// What is wrong with the file, or why there is no folder for connections.
pub async fn look_at_servers(
    text: &str,
    path: &Path,
) -> Result<Vec<(String, Result<ServerLook, SafeText>)>, FirstConfigError> {
    let fleet =
        FleetContext::open(Config::parse(text, path)?).map_err(FirstConfigError::Opening)?;
    let looks = fleet.nodes.iter().map(|node| async {
        let name = node.config.name.clone();
        (name, look_at_server(node).await)
    });
    let looks = join_all(looks).await;
    fleet.nodes.close().await;
    Ok(looks)
}

async fn look_at_server(node: &NodeHandle) -> Result<ServerLook, SafeText> {
    let command = Command::sh(DESCRIBE)
        .timeout(LOOK_LIMIT)
        .label(tr!("describe the server"));
    let output = node.host.run_ok(&command).await.map_err(SafeText::of)?;
    Ok(ServerLook::parse(&output.stdout_text()))
}

/// Why no first config.toml can be made.
#[derive(Debug, thiserror::Error)]
pub enum FirstConfigError {
    /// What was named is no configuration.
    #[error(transparent)]
    Config(#[from] ConfigError),
    /// No folder for connections.
    #[error("{0:#}")]
    Opening(color_eyre::eyre::Report),
}

#[cfg(test)]
mod tests {
    use super::*;

    fn servers(all: &str) -> Vec<NamedServer> {
        all.split(' ').map(|one| one.parse().unwrap()).collect()
    }

    #[test]
    fn servers_are_named_as_ssh_names_them() {
        let one = |name: Option<&str>, user: Option<&str>, address: &str, port| NamedServer {
            name: name.map(str::to_owned),
            user: user.map(str::to_owned),
            address: address.into(),
            port,
        };
        for (text, server) in [
            (
                "shop.example.org",
                one(None, None, "shop.example.org", None),
            ),
            (
                "a=root@10.0.0.1:2222",
                one(Some("a"), Some("root"), "10.0.0.1", Some(2222)),
            ),
            ("2001:db8::7", one(None, None, "2001:db8::7", None)),
            (
                "me@[2001:db8::7]:22",
                one(None, Some("me"), "2001:db8::7", Some(22)),
            ),
        ] {
            assert_eq!(text.parse(), Ok(server), "{text}");
        }
        for wrong in [
            "", "=a", "a=", "@a", "a:", "a:b", "a:70000", "[::1", "[::1]x",
        ] {
            assert!(wrong.parse::<NamedServer>().is_err(), "{wrong}");
        }
        let names = |all: &str| name_servers(&servers(all), &[]);
        assert_eq!(
            names("shop.example.org 10.0.0.2 ::1"),
            ["shop", "node-2", "node-3"]
        );
        assert_eq!(names("n.a.org n.b.org n=c"), ["n-1", "n-2", "n"]);
    }

    #[test]
    fn the_file_is_one_that_matou_reads() {
        let path = Path::new("/etc/matou/config.toml");
        let read =
            |servers: &[NamedServer], looks: &[Option<ServerLook>], settings: &FirstSettings| {
                let text = render_first_config(servers, looks, settings);
                (
                    Config::parse(&text, path).unwrap_or_else(|e| panic!("{e}\n{text}")),
                    text,
                )
            };
        let settings = FirstSettings {
            fleet: "cha\"ton".into(),
            identity: Some("~/.ssh/k".into()),
            known_hosts: Some("/k".into()),
            accept_new: true,
        };
        let (config, _) = read(&servers("root@a b:2222 c d"), &[], &settings);
        let roles: Vec<Role> = config.nodes.iter().map(|n| n.role).collect();
        assert_eq!(
            roles,
            [Role::Manager, Role::Manager, Role::Manager, Role::Worker]
        );
        assert_eq!(config.fleet.name, "cha\"ton");
        // As they are in the swarm that runs; what a server says of itself stays in its comment.
        let said = "system=Debian 12\nname = 1\nhost=h\nroot=sudo\nengine=28.5.2\nswarm=manager\npeers=h i \n";
        let look = ServerLook::parse(said);
        assert_eq!(look.peers, ["h", "i"]);
        let hostile = ServerLook::parse(
            "system=x\u{1b}]0;y\u{7}\r[fleet]\nengine=1\nswarm=worker\nroot=no\n",
        );
        let looks = [Some(hostile), Some(look), None];
        let (config, text) = read(&servers("a b c"), &looks, &FirstSettings::default());
        let roles: Vec<Role> = config.nodes.iter().map(|n| n.role).collect();
        assert_eq!(roles, [Role::Worker, Role::Manager, Role::Worker]);
        assert!(
            text.contains("# Debian 12, Docker 28.5.2, manager of a swarm\n"),
            "{text}"
        );
        assert!(
            matou_base::payloads::is_safe(&text.replace('\n', " ")),
            "{text}"
        );
    }
}
