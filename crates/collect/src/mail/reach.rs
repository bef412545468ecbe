//! Whether the nodes can reach the mail server: many providers block the ports of mail from their servers.

use matou_i18n::tr;
use std::time::Duration;

use serde::Serialize;

use super::reply::clean_reply;
use crate::CollectError;
use matou_config::MailConfig;
use matou_docker::Nodes;
use matou_host::{Command, Host, shell_script};
use matou_model::NodeProblem;

/// How long a node may take to connect, seconds.
const CONNECT_SECONDS: u64 = 5;

/// How long a node may take to answer with that.
const PATIENCE: Duration = Duration::from_secs(30);

/// Prints one line `key TAB value`.
const SCRIPT: &str = shell_script(include_str!("../../scripts/try_port.sh"));

/// Whether one node can reach the mail server.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct NodeMailReach {
    /// Name in config.toml.
    pub node: String,
    /// Server and port can be connected to from there.
    pub reached: bool,
    /// Why not, or why that is not known, with what to do.
    pub problem: Option<NodeProblem>,
}

/// Asks every node to connect to the mail server; in the order of config.toml.
pub async fn read_mail_reach(nodes: &Nodes, mail: &MailConfig) -> Vec<NodeMailReach> {
    let asking = nodes.iter().map(|node| async move {
        let problem = try_mail_port(&node.host, mail).await.err();
        NodeMailReach {
            node: node.config.name.clone(),
            reached: problem.is_none(),
            problem: problem.map(Into::into),
        }
    });
    futures_util::future::join_all(asking).await
}

async fn try_mail_port(host: &Host, mail: &MailConfig) -> Result<(), CollectError> {
    let command = Command::sh(SCRIPT)
        .arg(&mail.server)
        .arg(mail.port.to_string())
        .arg(CONNECT_SECONDS.to_string())
        .timeout(PATIENCE)
        .label(tr!("try the port of the mail server"));
    let output = host.run_ok(&command).await?;
    read_port_answer(&output.stdout_text(), mail)
}

fn read_port_answer(text: &str, mail: &MailConfig) -> Result<(), CollectError> {
    let (server, port) = (&mail.server, mail.port);
    let (key, value) = text.split_once('\t').unwrap_or((text, ""));
    match key {
        "open" => Ok(()),
        "late" => Err(CollectError::failed(tr!(
            "{server}:{port} does not answer within {CONNECT_SECONDS} s: providers often block ports of mail, ask yours to open it, or use another port of the server"
        ))),
        "closed" => Err(CollectError::failed(tr!(
            "{server}:{port} can't be connected to: {}",
            clean_reply(value)
        ))),
        "absent" => Err(CollectError::Absent(
            tr!("has no bash to try the port with").into(),
        )),
        other => Err(CollectError::failed(tr!(
            "answered {:?} when it was to try the port",
            clean_reply(other).as_str()
        ))),
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use matou_config::MailSecurity;

    #[test]
    fn what_the_script_prints_is_read() {
        let mail = MailConfig {
            server: "smtp.example.org".into(),
            port: 587,
            security: MailSecurity::Starttls,
            user: None,
            password_file: None,
            sender: "hello@example.org".into(),
        };
        let read = |text: &str| read_port_answer(text, &mail);
        assert!(read("open").is_ok());
        let closed = read("closed\tConnection refused\u{1b}[2J").unwrap_err();
        assert_eq!(
            closed.to_string(),
            "smtp.example.org:587 can't be connected to: Connection refused"
        );
        assert!(read("late").unwrap_err().to_string().contains("5 s"));
        assert!(matches!(read("absent"), Err(CollectError::Absent(_))));
        assert!(matches!(read(""), Err(CollectError::Failed(_))));
    }
}
