//! matou itself on the managers, with its configuration and a key of its own, so that jobs of the
//! night depend on no open console: /usr/local/bin/matou and /etc/matou.
//!
//! Undo: remove both, and the line `matou@…` of each node's authorized_keys.

use matou_i18n::tr;
use std::path::Path;

use async_trait::async_trait;

use super::Concern;
use super::desired::{DesiredFile, compare_desired_file};
use super::executor::NodeExecutor;
use super::facts::{FactQuery, NodeFacts};
use super::node_view::NodeView;
use super::program::{choose_program, read_bounded};
use crate::ProvisionError;
use matou_config::{Config, NodeConfig, NodeConnection, RepositoryConfig};
use matou_host::shell_script;
use matou_job::{Change, ChangeKind, Check, StepError};
use matou_model::Role;

/// What `--version` of a program of this build prints after its name.
const VERSION: &str = env!("CARGO_PKG_VERSION");
const PROGRAM: &str = "/usr/local/bin/matou";
const HASH: &str = "/var/lib/matou/matou.sha256";
const FOLDER: &str = "/etc/matou";
const KEY: &str = "/etc/matou/id_ed25519";
const PING_URL_FILE: &str = "/etc/matou/ping-url";

/// Takes the program from standard input.
pub(super) const INSTALL: &str = shell_script(include_str!("../scripts/install_matou.sh"));

/// Lets the managers' keys in: `$1` is the home's user, the lines come after it.
const AUTHORISE: &str = shell_script(include_str!("../scripts/authorise_managers.sh"));

/// The program and its configuration, on managers.
pub(crate) struct MatouConcern;

/// The managers' keys, on every node.
pub(crate) struct ManagerAccessConcern;

/// Returns the user as whom matou logs in to a node.
fn node_login_user(node: &NodeConfig) -> String {
    match &node.reach {
        NodeConnection::Ssh(ssh) => ssh.user.clone().unwrap_or_else(|| "root".into()),
        NodeConnection::Local => "root".into(),
    }
}

fn has_manager_role(node: &NodeConfig) -> bool {
    node.role == Role::Manager
}

/// The public keys of managers that have one, as lines of authorized_keys.
fn manager_key_lines(at: &NodeView<'_>) -> Vec<String> {
    let managers = at.config().nodes.iter().filter(|n| has_manager_role(n));
    managers
        .filter_map(|n| {
            let facts = at.fleet.node_facts(&n.name).ok()?;
            let key = facts.file(&format!("{KEY}.pub"))?.content;
            let mut words = key.split_whitespace();
            let (kind, key) = (words.next()?, words.next()?);
            let from = at.fleet.node_address(n).ok()?;
            // From the manager's address only, and for nothing but commands and sockets.
            Some(format!(
                "from=\"{from}\",no-agent-forwarding,no-X11-forwarding {kind} {key} matou@{}",
                n.name
            ))
        })
        .collect()
}

/// Reads the operator's config.toml and returns it as the manager needs it: the manager itself is
/// the local machine, the other nodes are reached by their address in the fleet with the manager's
/// key. `None` when the configuration comes from no file.
fn read_manager_config(at: &NodeView<'_>) -> Result<Option<String>, ProvisionError> {
    let Some(path) = &at.config().path else {
        return Ok(None);
    };
    let text = matou_base::files::read_text(path, matou_base::files::MAX_CONFIG_BYTES)
        .map_err(|e| tr!("{} can't be read: {e}", path.display()))?;
    render_manager_config(at, &text).map(Some)
}

/// Renders the manager's config.toml out of the text of the operator's.
pub(super) fn render_manager_config(
    at: &NodeView<'_>,
    text: &str,
) -> Result<String, ProvisionError> {
    let mut doc: toml_edit::DocumentMut = text.parse().map_err(|e| format!("{e}"))?;
    let ssh = doc["ssh"].or_insert(toml_edit::table());
    ssh["identity"] = toml_edit::value(KEY);
    ssh["known_hosts"] = toml_edit::value("strict");
    ssh["known_hosts_file"] = toml_edit::value("/etc/matou/known_hosts");
    if let Some(table) = ssh.as_table_like_mut() {
        for key in ["jump", "config_file", "port"] {
            table.remove(key);
        }
    }
    // The history is in the operator's folder.
    if let Some(table) = doc.get_mut("fleet").and_then(|f| f.as_table_like_mut()) {
        table.remove("git");
    }
    // Programs for managers lie on the operator's machine.
    if let Some(table) = doc.get_mut("provision").and_then(|p| p.as_table_like_mut()) {
        table.remove("programs");
    }
    // What changes records is done from the operator's machine, where the keys are. Managers ask when domains end.
    let rdap = doc.get("dns").and_then(|dns| dns.get("rdap")).cloned();
    doc.remove("dns");
    if let Some(rdap) = rdap {
        doc["dns"] = toml_edit::table();
        doc["dns"]["rdap"] = rdap;
    }
    let nodes = doc["nodes"]
        .as_array_of_tables_mut()
        .ok_or(tr!("[[nodes]] of config.toml are no tables"))?;
    for table in nodes.iter_mut() {
        let name = table["name"].as_str().unwrap_or_default().to_owned();
        for key in ["identity", "jump", "port"] {
            table.remove(key);
        }
        let Some(node) = at.fleet.node_config(&name) else {
            continue;
        };
        if name == at.node.name {
            table.remove("address");
            table.remove("user");
            continue;
        }
        table["address"] = toml_edit::value(at.fleet.node_address(node)?.to_string());
        let port = at.fleet.node_facts(&name).map_or(22, |f| {
            super::sshd::sshd_ports(f).first().copied().unwrap_or(22)
        });
        if port != 22 {
            table["port"] = toml_edit::value(i64::from(port));
        }
    }
    place_backup_secrets(at, &mut doc);
    for (_, key, place) in receiver_secret_files(at.config()) {
        doc["receivers"][key] = toml_edit::value(place);
    }
    // Only Alertmanager calls it, which is given it when it is deployed.
    if let Some(table) = doc.get_mut("receivers").and_then(|r| r.as_table_like_mut()) {
        table.remove("deadman_file");
    }
    Ok(format!(
        "# Made by `matou provision` of the operator's config.toml: change that one.\n\n{doc}"
    ))
}

/// Names the secrets of backups, which lie beside the manager's config.toml.
fn place_backup_secrets(at: &NodeView<'_>, doc: &mut toml_edit::DocumentMut) {
    let copies = &at.config().backup.repositories;
    for (i, repository) in copies.iter().enumerate() {
        let backup = &mut doc["backup"];
        let table = match i {
            0 => backup,
            i => &mut backup["copies"][i - 1],
        };
        for (file, key, name) in repository_secret_files(repository) {
            if file.is_some() {
                table[key] = toml_edit::value(name);
            }
        }
        // The command is on the operator's machine: the manager has the password that it printed.
        if !repository.password_command.is_empty() {
            if let Some(table) = table.as_table_like_mut() {
                table.remove("password_command");
            }
            table["password_file"] = toml_edit::value(manager_password_path(repository));
        }
    }
    if at.config().backup.ping_file.is_some() {
        doc["backup"]["ping_file"] = toml_edit::value(PING_URL_FILE);
    }
}

/// Renders known_hosts: the host keys of all nodes, read over connections that were verified.
fn render_manager_known_hosts(at: &NodeView<'_>) -> Result<String, ProvisionError> {
    let mut text = String::new();
    for (name, ip) in at.fleet.node_addresses()? {
        let facts = at.fleet.node_facts(name)?;
        for key in facts.output("host-keys").lines() {
            let mut words = key.split_whitespace();
            if let (Some(kind), Some(key)) = (words.next(), words.next()) {
                let port = super::sshd::sshd_ports(facts)
                    .first()
                    .copied()
                    .unwrap_or(22);
                let host = match port {
                    22 => ip.to_string(),
                    port => format!("[{ip}]:{port}"),
                };
                text += &format!("{host},{name} {kind} {key}\n");
            }
        }
    }
    Ok(text)
}

/// Where the manager has a repository's password.
fn manager_password_path(repository: &RepositoryConfig) -> String {
    repository_secret_files(repository)[0].2.clone()
}

/// Repositories whose password a command of the operator's machine prints.
fn repositories_with_command(config: &Config) -> Vec<&RepositoryConfig> {
    let all = config.backup.repositories.iter();
    all.filter(|r| !r.password_command.is_empty()).collect()
}

/// Returns a repository's files of secrets: the operator's path if one is set, the key in
/// config.toml, the path on the manager.
fn repository_secret_files(
    repository: &RepositoryConfig,
) -> [(Option<&Path>, &'static str, String); 2] {
    let of = |what: &str| match repository.name.as_str() {
        "main" => format!("{FOLDER}/{what}"),
        name => format!("{FOLDER}/{name}-{what}"),
    };
    [
        (
            repository.password_file.as_deref(),
            "password_file",
            of("restic-password"),
        ),
        (
            repository.environment_file.as_deref(),
            "environment_file",
            of("restic.env"),
        ),
    ]
}

/// Returns the files of secrets that telling those of `[receivers]` needs: the operator's path, the key in config.toml,
/// the path on the manager.
fn receiver_secret_files(config: &Config) -> Vec<(&Path, &'static str, String)> {
    let to = &config.receivers;
    let password = to.email.as_ref().and_then(|e| e.password_file.as_ref());
    let files = [
        (password, "smtp_password_file", "smtp-password"),
        (to.webhook_file.as_ref(), "webhook_file", "webhook"),
        (
            to.telegram.as_ref().map(|(_, file)| file),
            "telegram_token_file",
            "telegram-token",
        ),
        (to.matrix_file.as_ref(), "matrix_file", "matrix-webhook"),
        (to.ntfy_token_file.as_ref(), "ntfy_token_file", "ntfy-token"),
    ];
    files
        .into_iter()
        .filter_map(|(file, key, name)| Some((file?.as_path(), key, format!("{FOLDER}/{name}"))))
        .collect()
}

/// Returns the files of the operator's machine that go to the manager, and their paths there: the
/// repositories' passwords and credentials, the address that is called after a good nightly backup, what the
/// receivers of alerts want.
fn manager_secret_files(config: &Config) -> Vec<(&Path, String)> {
    let backup = &config.backup;
    let ping = backup
        .ping_file
        .as_deref()
        .map(|f| (f, PING_URL_FILE.to_owned()));
    let files = backup.repositories.iter().flat_map(repository_secret_files);
    files
        .filter_map(|(file, _, place)| Some((file?, place)))
        .chain(ping)
        .chain(
            receiver_secret_files(config)
                .into_iter()
                .map(|(file, _, place)| (file, place)),
        )
        .collect()
}

fn desired_manager_files(at: &NodeView<'_>) -> Result<Vec<DesiredFile>, ProvisionError> {
    let file = |name: &str, content| DesiredFile {
        path: format!("{FOLDER}/{name}"),
        content,
        mode: 0o600,
    };
    let mut files = vec![file("known_hosts", render_manager_known_hosts(at)?)];
    files.extend(read_manager_config(at)?.map(|text| file("config.toml", text)));
    Ok(files)
}

/// Returns whether the node has a program, and it starts there.
fn program_starts(facts: &NodeFacts) -> bool {
    facts.succeeded("matou")
}

/// Returns whether what `--version` printed is of this version.
fn is_own_version(printed: &str) -> bool {
    let mut words = printed.split_whitespace();
    (words.next(), words.next()) == (Some("matou"), Some(VERSION))
}

/// Compares the program that is there with the one that should be.
fn compare_program(at: &NodeView<'_>) -> Change {
    let starts = program_starts(at.facts);
    let printed = at.facts.output("matou");
    let printed = matou_base::text::clean_line(printed.lines().next().unwrap_or_default());
    let settings = &at.config().provision;
    let program = match choose_program(settings, at.facts) {
        Ok(program) => program,
        // Another one of the same version was put there, and nobody named one.
        Err(_) if settings.programs.is_none() && starts && is_own_version(&printed) => {
            return Change::same(format!("{PROGRAM} {VERSION}"));
        }
        Err(why) => {
            let what = match (starts, printed.is_empty()) {
                (true, _) => tr!("{PROGRAM} stays {printed}"),
                (false, true) => tr!("{PROGRAM} is not there"),
                (false, false) => tr!("{PROGRAM} can't start: {printed}"),
            };
            return Change::same(what).with_warning(tr!("no other can start there: {why}"));
        }
    };
    let stored = at.facts.file(HASH).map(|f| f.content.trim().to_owned());
    match stored {
        Some(hash) if hash == program.sha256 && starts => {
            Change::same(format!("{PROGRAM} {VERSION}"))
        }
        _ if starts => Change::modify(PROGRAM, tr!("another build"), program.to_string()),
        _ if !printed.is_empty() => {
            Change::modify(PROGRAM, tr!("can't start: {printed}"), program.to_string())
        }
        _ => Change::add(PROGRAM),
    }
}

/// Gives the node its program, unless it has it, or there is none for it. It is tried there before it
/// takes the place of the old one.
async fn install_program(at: &NodeView<'_>, run: &NodeExecutor<'_>) -> Result<(), StepError> {
    if compare_program(at).kind == ChangeKind::Same {
        return Ok(());
    }
    let program = choose_program(&at.config().provision, at.facts)?;
    // What is sent is what was hashed: the file may have changed since.
    let bytes = read_bounded(&program.path)?;
    let hash = matou_base::text::sha256_hex(&bytes);
    let command = matou_host::Command::sh(INSTALL)
        .args([PROGRAM, &hash, HASH, VERSION])
        .stdin(bytes)
        .sudo()
        .label(tr!("install {PROGRAM}"));
    run.cx.stream(&command).await
}

#[async_trait]
impl Concern for MatouConcern {
    fn name(&self) -> &'static str {
        "matou"
    }

    fn applies_to(&self, node: &NodeConfig, _: &Config) -> bool {
        has_manager_role(node)
    }

    fn fact_query(&self, node: &NodeConfig, config: &Config) -> FactQuery {
        let needs = manager_access_query(node);
        let paths: Vec<String> = manager_secret_files(config)
            .into_iter()
            .map(|(_, p)| p)
            .collect();
        let paths = matou_host::quote_args(paths.iter().map(String::as_str));
        needs
            .with_files([HASH, &format!("{KEY}.pub")])
            .with_files(["known_hosts", "config.toml"].map(|f| format!("{FOLDER}/{f}")))
            .with_command("libc", "getconf GNU_LIBC_VERSION 2>/dev/null")
            .with_command(
                "matou",
                format!("[ -x {PROGRAM} ] && timeout 20 {PROGRAM} --version 2>&1"),
            )
            .with_command("matou-asked", {
                let places: Vec<String> = repositories_with_command(config)
                    .into_iter()
                    .map(manager_password_path)
                    .collect();
                let places = matou_host::quote_args(places.iter().map(String::as_str));
                format!("for f in {places}; do [ ! -s \"$f\" ] || echo \"$f\"; done")
            })
            .with_command(
                "matou-secrets",
                format!("[ -z \"{paths}\" ] || sha256sum -- {paths}"),
            )
    }

    fn check(&self, at: &NodeView<'_>) -> Result<Check, ProvisionError> {
        let mut lines = Vec::new();
        lines.push(compare_program(at));
        lines.push(match at.facts.file(&format!("{KEY}.pub")) {
            Some(_) => Change::same(tr!("a key of its own")),
            None => Change::add(tr!(
                "a key of its own, with which it works on the other nodes"
            )),
        });
        for file in desired_manager_files(at)? {
            lines.push(compare_desired_file(at.facts, &file));
        }
        for repository in repositories_with_command(at.config()) {
            let place = manager_password_path(repository);
            lines.push(
                match at.facts.output("matou-asked").lines().any(|l| l == place) {
                    true => Change::same(place),
                    false => Change::add(tr!("{place}, as the password command prints it")),
                },
            );
        }
        for (file, path) in manager_secret_files(at.config()) {
            let bytes = std::fs::read(file)
                .map_err(|e| tr!("{} of [backup] can't be read: {e}", file.display()))?;
            let same = format!("{}  {path}", matou_base::text::sha256_hex(&bytes));
            lines.push(
                match at.facts.output("matou-secrets").lines().any(|l| l == same) {
                    true => Change::same(path),
                    false => Change::add(path),
                },
            );
        }
        Ok(Check::from_changes(lines))
    }

    async fn apply(&self, at: &NodeView<'_>, run: &NodeExecutor<'_>) -> Result<(), StepError> {
        run.run_script(
            tr!("make /etc/matou"),
            "install -d -m 700 /etc/matou",
            [""; 0],
        )
        .await?;
        install_program(at, run).await?;
        if at.facts.file(&format!("{KEY}.pub")).is_none() {
            let make = "[ -e \"$1\" ] || ssh-keygen -q -t ed25519 -N '' -C \"matou@$2\" -f \"$1\"";
            run.run_script(tr!("make a key"), make, [KEY, &at.node.name])
                .await?;
        }
        for file in desired_manager_files(at)? {
            if compare_desired_file(at.facts, &file).kind != ChangeKind::Same {
                run.write_file(&file.path, &file.content, file.mode).await?;
            }
        }
        for repository in repositories_with_command(at.config()) {
            let password = matou_backup::read_repository_password(repository).await;
            let password = password.map_err(|e| StepError::failed(e.to_string()))?;
            let place = manager_password_path(repository);
            let secret = secrecy::ExposeSecret::expose_secret(&password);
            run.cx
                .host
                .upload_file(&place, secret.as_bytes(), 0o600)
                .await?;
        }
        for (file, path) in manager_secret_files(at.config()) {
            let bytes = tokio::fs::read(file).await.map_err(|e| {
                StepError::failed(tr!("{} of [backup] can't be read: {e}", file.display()))
            })?;
            run.cx.host.upload_file(&path, &bytes, 0o600).await?;
        }
        Ok(())
    }
}

fn manager_access_query(node: &NodeConfig) -> FactQuery {
    // The shell expands `~USER` when the name has no special characters.
    let user = node_login_user(node);
    let home = match user
        .bytes()
        .all(|b| b.is_ascii_alphanumeric() || b"-_.".contains(&b))
    {
        true => format!("~{user}"),
        false => "/nonexistent".to_owned(),
    };
    FactQuery::default()
        .merge(super::sshd::sshd_config_query())
        .with_command(
            "host-keys",
            "for f in /etc/ssh/ssh_host_*_key.pub; do show \"$f\"; done",
        )
        .with_command(
            "authorised",
            format!(
                "while read -r line; do case $line in *' matou@'*) printf '%s\\n' \"$line\";; esac; done <{home}/.ssh/authorized_keys; :"
            ),
        )
}

/// Compares the lines of authorized_keys that end in `matou@NAME` with those that should be there.
fn compare_manager_keys(wanted: &[String], authorised: &str) -> Vec<Change> {
    let owner = |line: &str| line.rsplit(' ').next().unwrap_or_default().to_owned();
    let found: Vec<&str> = authorised.lines().collect();
    let mut lines: Vec<Change> = wanted
        .iter()
        .map(|key| {
            let what = tr!("log-in of {} with its own key", owner(key));
            match found.iter().find(|f| owner(f) == owner(key)) {
                Some(same) if same == key => Change::same(what),
                // The key's start tells them apart; the address it may come from may differ alone.
                Some(other) => {
                    Change::modify(what, abbreviate_key_line(other), abbreviate_key_line(key))
                }
                None => Change::add(what),
            }
        })
        .collect();
    let more = |line: &&&str| !wanted.iter().any(|key| owner(key) == owner(line));
    lines.extend(
        found
            .iter()
            .filter(more)
            .map(|line| Change::remove(tr!("log-in of {}, no manager any more", owner(line)))),
    );
    lines
}

/// Abbreviates a line of authorized_keys: `from="10.0.0.1" …STxQmatK`.
fn abbreviate_key_line(line: &str) -> String {
    let from = line.split(',').next().unwrap_or_default();
    let key = line.rsplit(' ').nth(1).unwrap_or_default();
    let end: String = key
        .chars()
        .skip(key.chars().count().saturating_sub(8))
        .collect();
    format!("{from} …{end}")
}

#[async_trait]
impl Concern for ManagerAccessConcern {
    fn name(&self) -> &'static str {
        "matou"
    }

    fn applies_to(&self, _: &NodeConfig, config: &Config) -> bool {
        config.nodes.len() > 1
    }

    fn fact_query(&self, node: &NodeConfig, _: &Config) -> FactQuery {
        manager_access_query(node)
    }

    fn check(&self, at: &NodeView<'_>) -> Result<Check, ProvisionError> {
        let keys = manager_key_lines(at);
        let managers = at
            .config()
            .nodes
            .iter()
            .filter(|n| has_manager_role(n))
            .count();
        if keys.len() < managers {
            return Ok(Check::Unknown(
                tr!("the managers have no keys yet: provision them first, or all nodes together (without --node)").into(),
            ));
        }
        Ok(Check::from_changes(compare_manager_keys(
            &keys,
            at.facts.output("authorised"),
        )))
    }

    async fn apply(&self, at: &NodeView<'_>, run: &NodeExecutor<'_>) -> Result<(), StepError> {
        let mut args = vec![node_login_user(at.node)];
        args.extend(manager_key_lines(at));
        run.run_script(tr!("let the managers in"), AUTHORISE, args)
            .await
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_managers_key_is_added_changed_and_struck_off() {
        let line = |from: &str, name: &str| {
            format!("from=\"{from}\",x ssh-ed25519 AAAAC3Nz{name}END matou@{name}")
        };
        let wanted = [line("10.0.0.1", "n1"), line("10.0.0.2", "n2")];
        let found = [line("10.0.0.9", "n1"), line("10.0.0.3", "n3")].join("\n");
        let lines: Vec<String> = compare_manager_keys(&wanted, &found)
            .iter()
            .map(ToString::to_string)
            .collect();
        assert_eq!(
            lines,
            [
                "~ log-in of matou@n1 with its own key: from=\"10.0.0.9\" …3Nzn1END → from=\"10.0.0.1\" …3Nzn1END",
                "+ log-in of matou@n2 with its own key",
                "- log-in of matou@n3, no manager any more",
            ]
        );
        assert_eq!(
            compare_manager_keys(&wanted, &wanted.join("\n"))
                .iter()
                .filter(|c| c.kind == ChangeKind::Same)
                .count(),
            2
        );
    }

    #[test]
    fn a_manager_gets_what_telling_needs_and_no_more() {
        let text = "[receivers]\nemail = \"ops@example.org\"\nsmtp = \"smtp.example.org:587\"\n\
            smtp_user = \"ops\"\nsmtp_password_file = \"secret\"\nntfy = \"https://ntfy.sh/x\"\n\
            ntfy_token_file = \"token\"\ndeadman_file = \"deadman\"\n\
            [dns]\nrdap = \"none\"\n";
        let config = super::super::testing::config(text);
        let (facts, accepted) = (NodeFacts::of(&[]), std::collections::BTreeSet::new());
        let fleet = super::super::fact_cache::FleetFacts::from_facts(
            &config,
            &accepted,
            [("n1", facts.clone())],
        );
        let at = NodeView {
            node: &config.nodes[0],
            facts: &facts,
            fleet: &fleet,
            packages: &[],
        };
        let nodes: String = config
            .nodes
            .iter()
            .map(|n| format!("[[nodes]]\nname = \"{}\"\n", n.name))
            .collect();
        let written = render_manager_config(&at, &format!("{text}{nodes}")).unwrap();
        for line in [
            "smtp_password_file = \"/etc/matou/smtp-password\"",
            "ntfy_token_file = \"/etc/matou/ntfy-token\"",
            "[dns]\nrdap = \"none\"",
        ] {
            assert!(written.contains(line), "{written}");
        }
        assert!(!written.contains("deadman"), "{written}");
        let sent: Vec<String> = manager_secret_files(&config)
            .into_iter()
            .map(|(_, place)| place)
            .collect();
        assert_eq!(sent, ["/etc/matou/smtp-password", "/etc/matou/ntfy-token"]);
    }

    /// What the plan says of the program when these are n1's facts.
    fn planned(facts: NodeFacts, programs: &str) -> Change {
        let config = super::super::testing::config(programs);
        let accepted = std::collections::BTreeSet::new();
        let fleet = super::super::fact_cache::FleetFacts::from_facts(
            &config,
            &accepted,
            [("n1", facts.clone())],
        );
        compare_program(&NodeView {
            node: &config.nodes[0],
            facts: &facts,
            fleet: &fleet,
            packages: &[],
        })
    }

    #[test]
    fn a_program_is_planned_where_it_can_start() {
        let arch = std::env::consts::ARCH;
        let kernel = format!("Linux 6.1.0 {arch}");
        let facts = || NodeFacts::of(&[("kernel", &kernel), ("libc", "glibc 2.99")]);
        let this = planned(facts().with("matou", "", 1), "");
        assert_eq!(this.to_string(), "+ /usr/local/bin/matou");
        let old = planned(facts().with("matou", "matou 0.0.1", 0), "");
        assert_eq!(
            old.to_string(),
            "~ /usr/local/bin/matou: another build → this one"
        );
        let broken = "/usr/local/bin/matou: version `GLIBC_2.99' not found\nmore";
        let broken = planned(facts().with("matou", broken, 1), "");
        assert_eq!(
            broken.to_string(),
            "~ /usr/local/bin/matou: can't start: /usr/local/bin/matou: version `GLIBC_2.99' not found → this one"
        );
    }

    #[test]
    fn without_one_that_can_start_the_old_one_stays() {
        let facts = || NodeFacts::of(&[("kernel", "Linux 6.1.0 riscv64")]);
        let programs = "[provision]\nprograms = \"/nowhere\"";
        let why = "no other can start there: there is no /nowhere/matou-riscv64; put the static program of \
            the release for riscv64 there as matou-riscv64, or name its folder in `programs` of [provision]";
        let old = planned(facts().with("matou", "matou 0.0.1", 0), programs);
        let said = format!("! /usr/local/bin/matou stays matou 0.0.1 ({why})");
        assert_eq!((old.kind, old.to_string()), (ChangeKind::Same, said));
        let none = planned(facts().with("matou", "", 1), programs);
        let said = format!("! /usr/local/bin/matou is not there ({why})");
        assert_eq!((none.kind, none.to_string()), (ChangeKind::Same, said));
        // One of this version that was put there by hand will do.
        let same = format!("matou {VERSION} (built by hand)");
        let same = planned(facts().with("matou", &same, 0), "");
        assert_eq!(same.warning, None);
        assert_eq!(
            same.to_string(),
            format!("= /usr/local/bin/matou {VERSION}")
        );
    }
}
