//! `matou mail`: tries the mail server of config.toml.

use matou_i18n::tr;
use std::net::SocketAddr;
use std::process::ExitCode;

use clap::Args;
use color_eyre::eyre::Result;
use serde::Serialize;

use super::Exit;
use matou_base::text::{InvalidInput, clean_line};
use matou_collect::{
    DkimKeyState, DmarcFinding, DmarcPolicy, MailAddress, MxFinding, NodeMailReach, OutgoingMail,
    SenderDomain, SmtpError, SmtpReply, SmtpStage, SpfFinding, read_mail_reach, read_sender_domain,
    send_mail,
};
use matou_config::MailConfig;
use matou_ops::FleetContext;

/// Text at the end of its help.
pub(crate) const HELP: &str = "Fails where the server does not take the mail, or a node can't reach it. What DNS lacks is warned of, no more.\nThe mail is sent from this machine; docs/applications.md says more.";

#[derive(Debug, Args)]
pub(crate) struct MailOptions {
    /// Who gets the mail
    #[arg(long, value_name = "ADDRESS")]
    to: MailAddress,
    /// The server of DNS to ask about the sender's domain [default: that of this machine]
    #[arg(long, value_name = "ADDRESS:PORT")]
    dns: Option<SocketAddr>,
    /// A name of a key of DKIM; usual names are tried without
    #[arg(long = "selector", value_name = "NAME")]
    selectors: Vec<String>,
    /// Print JSON
    #[arg(long)]
    json: bool,
}

impl MailOptions {
    /// Whether everything is printed as JSON.
    pub(super) fn wants_json(&self) -> bool {
        self.json
    }
}

/// As `--json` prints it.
#[derive(Serialize)]
struct MailReport {
    mail: SentMail,
    dns: SenderDomain,
    warnings: Vec<String>,
    nodes: Vec<NodeMailReach>,
}

/// The mail, and what became of it.
#[derive(Serialize)]
struct SentMail {
    server: String,
    port: u16,
    security: &'static str,
    sender: String,
    recipient: String,
    #[serde(flatten)]
    outcome: MailOutcome,
}

#[derive(Serialize)]
#[serde(tag = "state", rename_all = "snake_case")]
enum MailOutcome {
    Taken {
        reply: SmtpReply,
    },
    Stopped {
        at: SmtpStage,
        error: String,
        reply: Option<SmtpReply>,
        advice: &'static str,
    },
}

impl From<Result<SmtpReply, SmtpError>> for MailOutcome {
    fn from(ended: Result<SmtpReply, SmtpError>) -> Self {
        match ended {
            Ok(reply) => Self::Taken { reply },
            Err(e) => Self::Stopped {
                at: e.stopped_at(),
                error: e.to_string(),
                reply: e.server_reply().cloned(),
                advice: e.give_advice(),
            },
        }
    }
}

/// Carries out `matou mail`: sends a mail, asks DNS and every node. Fails when the mail is not taken, or a node
/// can't reach the server.
///
/// # Errors
/// There is no `[mail]`, or its password can't be read.
pub(super) async fn run_mail_command(
    fleet: &FleetContext,
    options: &MailOptions,
) -> Result<ExitCode> {
    let Some(config) = &fleet.config.mail else {
        return Err(InvalidInput::new(
            tr!("there is no mail server to try: add a table [mail] with server and sender to config.toml, and user and password_file where the server wants a log-in; config.example.toml shows it"),
        )
        .into());
    };
    let password = matou_ops::read_mail_password(fleet)?;
    let mail = OutgoingMail::of_test(
        config,
        password.as_ref(),
        &options.to,
        &fleet.config.fleet.name,
        jiff::Timestamp::now(),
    );
    let domain = config.sender.rsplit('@').next().unwrap_or_default();
    let (sent, dns, nodes) = tokio::join!(
        send_mail(&mail),
        read_sender_domain(domain, &options.selectors, options.dns),
        read_mail_reach(&fleet.nodes, config),
    );
    let report = MailReport {
        mail: describe_sent_mail(config, &options.to, sent.into()),
        warnings: dns.list_warnings(),
        dns,
        nodes,
    };
    let written = match options.json {
        true => matou_base::out::print_json_pretty(&matou_base::out::WithFormat::new(&report)),
        false => format_mail_report(&report)
            .iter()
            .try_for_each(|line| matou_base::outln!("{line}")),
    };
    match written {
        Err(e) if e.kind() != std::io::ErrorKind::BrokenPipe => return Err(e.into()),
        _ => {}
    }
    Ok(choose_mail_exit(&report).into())
}

fn describe_sent_mail(config: &MailConfig, to: &MailAddress, outcome: MailOutcome) -> SentMail {
    SentMail {
        server: config.server.clone(),
        port: config.port,
        security: config.security.as_str(),
        sender: config.sender.clone(),
        recipient: to.to_string(),
        outcome,
    }
}

/// That no node answers comes first, as with every command.
fn choose_mail_exit(report: &MailReport) -> Exit {
    let nodes = Exit::of_nodes(report.nodes.iter().map(|n| n.problem.as_ref()));
    match (&report.mail.outcome, nodes) {
        (_, Exit::Unreachable) => Exit::Unreachable,
        (MailOutcome::Stopped { .. }, _) => Exit::Failed,
        (MailOutcome::Taken { .. }, nodes) => nodes,
    }
}

fn format_mail_report(report: &MailReport) -> Vec<String> {
    let mut lines = format_sent_mail(&report.mail);
    lines.extend(format_sender_domain(&report.dns));
    let warnings = report.warnings.iter();
    lines.extend(warnings.map(|w| format_row(tr!("warning"), w)));
    lines.extend(report.nodes.iter().map(|node| match &node.problem {
        None => format_row(
            &node.node,
            &tr!("reaches {}:{}", report.mail.server, report.mail.port),
        ),
        Some(problem) => format_row(&node.node, problem.as_str()),
    }));
    lines
}

fn format_row(name: &str, text: &str) -> String {
    format!("{:<12} {}", clean_line(name), clean_line(text))
}

fn format_sent_mail(mail: &SentMail) -> Vec<String> {
    let way = tr!(
        "{} to {} by {}:{}, security {}",
        mail.sender,
        mail.recipient,
        mail.server,
        mail.port,
        mail.security
    );
    let mut lines = vec![format_row(tr!("mail"), &way)];
    match &mail.outcome {
        MailOutcome::Taken { reply } => {
            lines.push(format_row("", &tr!("taken: {reply}")));
        }
        MailOutcome::Stopped { error, advice, .. } => {
            lines.push(format_row("", &tr!("not taken: {error}")));
            lines.push(format_row("", advice));
        }
    }
    lines
}

/// The records that there are; what is missing is among the warnings.
fn format_sender_domain(dns: &SenderDomain) -> Vec<String> {
    let mut lines = vec![format_row(tr!("domain"), &dns.domain)];
    match &dns.spf {
        SpfFinding::Found { record, .. } => lines.push(format_row("SPF", record.as_str())),
        SpfFinding::Several { records } => {
            lines.extend(records.iter().map(|r| format_row("SPF", r.as_str())));
        }
        SpfFinding::Missing | SpfFinding::Unknown { .. } => {}
    }
    match &dns.dmarc {
        DmarcFinding::Found {
            name,
            record,
            policy,
        } => {
            let note = match policy {
                DmarcPolicy::None => tr!("; asks receivers for reports alone"),
                _ => "",
            };
            lines.push(format_row("DMARC", &format!("{record} ({name}{note})")));
        }
        DmarcFinding::Several { records } => {
            lines.extend(records.iter().map(|r| format_row("DMARC", r.as_str())));
        }
        DmarcFinding::Missing | DmarcFinding::Unknown { .. } => {}
    }
    let keys = dns.dkim.iter();
    let keys = keys.filter(|key| key.state == DkimKeyState::Found);
    lines.extend(keys.map(|key| {
        let name = format!("{}._domainkey.{}", key.selector, dns.domain);
        format_row("DKIM", &tr!("there is a key at {name}"))
    }));
    if let MxFinding::Found { servers } = &dns.mx {
        let servers: Vec<&str> = servers.iter().map(|s| s.as_str()).collect();
        lines.push(format_row("MX", &servers.join(", ")));
    }
    lines
}

#[cfg(test)]
mod tests {
    use super::*;
    use matou_model::{NodeProblem, NodeProblemKind};

    fn report(outcome: MailOutcome, problems: &[Option<NodeProblemKind>]) -> MailReport {
        let nodes = problems.iter().map(|kind| NodeMailReach {
            node: "n1".into(),
            reached: kind.is_none(),
            problem: kind.map(|kind| NodeProblem::new(kind, "\u{1b}[2Jno")),
        });
        MailReport {
            mail: SentMail {
                server: "smtp.example.org".into(),
                port: 587,
                security: "starttls",
                sender: "hello@example.org".into(),
                recipient: "ops@example.net".into(),
                outcome,
            },
            dns: SenderDomain {
                domain: "example.org".into(),
                spf: SpfFinding::Missing,
                dmarc: DmarcFinding::Missing,
                dkim: Vec::new(),
                selectors_named: false,
                mx: MxFinding::Refuses,
            },
            warnings: vec!["no SPF".into()],
            nodes: nodes.collect(),
        }
    }

    fn taken() -> MailOutcome {
        MailOutcome::Taken {
            reply: SmtpReply {
                code: Some(250),
                text: "250 Ok".into(),
            },
        }
    }

    #[test]
    fn the_exit_code_goes_by_mail_and_nodes_and_not_by_dns() {
        let stopped = || MailOutcome::from(Err(SmtpError::LoginMissing));
        let (failed, lost) = (NodeProblemKind::Failed, NodeProblemKind::Unreachable);
        for (outcome, problems, exit) in [
            (taken(), vec![None, None], Exit::Done),
            (taken(), vec![None, Some(failed)], Exit::Failed),
            (taken(), vec![None, Some(lost)], Exit::Failed),
            (taken(), vec![Some(lost)], Exit::Unreachable),
            (stopped(), vec![None], Exit::Failed),
            (stopped(), vec![Some(lost)], Exit::Unreachable),
        ] {
            assert_eq!(choose_mail_exit(&report(outcome, &problems)), exit);
        }
    }

    #[test]
    fn what_is_printed_is_safe() {
        let lines = format_mail_report(&report(taken(), &[Some(NodeProblemKind::Failed)]));
        assert!(!lines.concat().contains('\u{1b}'), "{lines:?}");
        assert!(lines.iter().any(|l| l.contains("taken: 250 Ok")));
        assert!(lines.iter().any(|l| l.starts_with("warning")));
    }
}
