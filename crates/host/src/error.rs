//! Why a command could not be run, or failed, in sentences that say what to do.

use matou_i18n::tr;
use std::time::Duration;

use matou_base::text;
use matou_config::SshOptions;

/// Why a command could not be run, or failed.
#[derive(Debug, Clone, thiserror::Error)]
#[expect(missing_docs, reason = "its sentences say it")]
pub enum HostError {
    /// There is no connection; the reason is a whole sentence.
    #[error("{node}: {reason}")]
    Unreachable { node: String, reason: String },
    /// The connection broke while the command ran: whether it ended is not known.
    #[error("{}", tr!("{node}: the connection was lost while `{command}` ran; whether it ended is not known"))]
    Lost { node: String, command: String },
    #[error("{}", tr!("{node}: `{command}` took longer than {} s and was ended", limit.as_secs()))]
    Timeout {
        node: String,
        command: String,
        limit: Duration,
    },
    #[error("{}", tr!("{node}: `{command}` was cancelled"))]
    Cancelled { node: String, command: String },
    #[error("{}", tr!("{node}: `{command}` ended with exit code {code}{}", format_output_tail(last_lines)))]
    Failed {
        node: String,
        command: String,
        code: i32,
        /// The last lines of its output.
        last_lines: Vec<String>,
    },
    /// Something on this machine: no ssh, no room, too many files.
    #[error("{node}: {reason}")]
    Local { node: String, reason: String },
}

impl HostError {
    /// Returns whether there is no connection, or none any more.
    pub fn is_unreachable(&self) -> bool {
        matches!(self, Self::Unreachable { .. } | Self::Lost { .. })
    }

    /// One word that says nothing of the command, for the program's own log.
    pub(super) fn kind(&self) -> &'static str {
        match self {
            Self::Unreachable { .. } => "unreachable",
            Self::Lost { .. } => "lost",
            Self::Timeout { .. } => "timeout",
            Self::Cancelled { .. } => "cancelled",
            Self::Failed { .. } => "failed",
            Self::Local { .. } => "local",
        }
    }
}

fn format_output_tail(lines: &[String]) -> String {
    match lines {
        [] => String::new(),
        [one] => format!(": {one}"),
        many => format!(":\n  {}", many.join("\n  ")),
    }
}

/// Returns whether ssh wrote that the server's host key is none it knows; one that has changed is another
/// matter. Messages: OpenSSH's sshconnect.c.
pub(super) fn is_unknown_host_key(said: &str) -> bool {
    let changed = said.contains("REMOTE HOST IDENTIFICATION HAS CHANGED")
        || said.contains("Host key for") && said.contains("has changed");
    !changed
        && (said.contains("Host key verification failed") || said.contains("host key is known for"))
}

/// Says why the key of config.toml can't be used. ssh goes on without it, and is refused then.
fn explain_unusable_identity(said: &str, options: &SshOptions) -> Option<String> {
    let unusable = ["are too open", "error in libcrypto", "invalid format"];
    let identity = options.identity.as_ref()?;
    // Of a file that it can't read, ssh says a word only where nobody hears it.
    if said.contains("Permission denied")
        && let Err(why) = std::fs::File::open(identity)
    {
        return Some(tr!(
            "the identity {} can't be read ({why}): correct identity under [ssh], or put the key there",
            identity.display()
        ));
    }
    let why = said
        .lines()
        .find(|l| unusable.iter().any(|u| l.contains(u)))?;
    Some(tr!(
        "the identity {} can't be used: {}: correct identity under [ssh], or the file (mode 600)",
        identity.display(),
        text::clean_line(why.trim().trim_end_matches('.'))
    ))
}

/// Says why no connection came about.
fn explain_connection(said: &str, options: &SshOptions) -> Option<String> {
    let port = options.port.unwrap_or(22);
    let refused = |why: &str, hint: &str| tr!("{} port {port} {why}: {hint}", options.address);
    if said.contains("Connection refused") {
        return Some(refused(
            tr!("refuses the connection"),
            tr!("does sshd run there, on that port?"),
        ));
    }
    if said.contains("timed out") || said.contains("Timeout") {
        return Some(refused(
            &tr!(
                "did not answer within {} s",
                options.connect_timeout.as_secs()
            ),
            tr!("is the server up, and does its firewall let this address in?"),
        ));
    }
    if said.contains("No route to host") || said.contains("Network is unreachable") {
        return Some(refused(
            tr!("can't be reached"),
            tr!("is the server up, and this machine online?"),
        ));
    }
    None
}

/// Turns what ssh wrote into a sentence. Messages: OpenSSH's sshconnect.c, sshconnect2.c, readconf.c.
pub(super) fn explain_ssh(said: &str, options: &SshOptions) -> String {
    let who = match &options.user {
        Some(user) => format!("{user}@{}", options.address),
        None => options.address.clone(),
    };
    let known_hosts = options
        .known_hosts_file
        .as_ref()
        .map_or_else(|| "~/.ssh/known_hosts".into(), |f| f.display().to_string());
    let port = options.port.unwrap_or(22);
    let last = text::clean_line(
        said.lines()
            .rev()
            .find(|l| !l.trim().is_empty())
            .unwrap_or(""),
    )
    .into_owned();
    if said.contains("REMOTE HOST IDENTIFICATION HAS CHANGED")
        || said.contains("Host key for") && said.contains("has changed")
    {
        let print = find_fingerprint(said).map_or_else(String::new, |f| tr!(" (it now shows {f})"));
        return tr!(
            "the host key of {} HAS CHANGED{print}: somebody may be listening. Only if you reinstalled the server, remove the old key with `ssh-keygen -R {} -f {known_hosts}`",
            options.address,
            known_hosts_name(&options.address, port),
        );
    }
    if is_unknown_host_key(said) {
        return tr!(
            "the host key of {} is not known. Compare its fingerprint with the provider's, then add it with `ssh-keyscan -p {port} {} >> {known_hosts}`, or set known_hosts = \"accept-new\" under [ssh]",
            options.address,
            options.address
        );
    }
    if let Some(why) = explain_unusable_identity(said, options) {
        return why;
    }
    if said.contains("Permission denied") {
        let key = match &options.identity {
            Some(file) => tr!("the key {}", file.display()),
            None => tr!("the keys of the SSH agent and ~/.ssh").into(),
        };
        return tr!(
            "{who} refuses {key}: add the public key to ~/.ssh/authorized_keys of that user there, or set user and identity under [ssh]"
        );
    }
    if said.contains("Could not resolve hostname") {
        return tr!(
            "the name {} can't be resolved: correct its address in config.toml, or the DNS",
            options.address
        );
    }
    if let Some(why) = explain_connection(said, options) {
        return why;
    }
    match last.as_str() {
        "" => tr!("ssh to {who} ended without a word"),
        other => tr!("ssh to {who}: {other}"),
    }
}

/// The host's name in known_hosts, where a port other than 22 is part of it.
fn known_hosts_name(address: &str, port: u16) -> String {
    match port {
        22 => address.to_owned(),
        port => format!("'[{address}]:{port}'"),
    }
}

fn find_fingerprint(said: &str) -> Option<String> {
    let at = said.find("SHA256:")?;
    let print: String = said[at..]
        .chars()
        .take_while(|c| c.is_ascii_alphanumeric() || "+/:=".contains(*c))
        .collect();
    Some(print)
}
