//! Sends one mail (RFC 5321), step by step, so that it can be said where the server stopped it.

use matou_i18n::tr;
use std::error::Error;
use std::io;
use std::str::FromStr;
use std::time::Duration;

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use jiff::Timestamp;
use lettre::message::header::{HeaderName, HeaderValue};
use lettre::message::{Mailbox, SinglePart};
use lettre::transport::smtp::authentication::{Credentials, DEFAULT_MECHANISMS};
use lettre::transport::smtp::client::{AsyncSmtpConnection, TlsParameters};
use lettre::transport::smtp::commands::{Data, Mail, Rcpt};
use lettre::transport::smtp::extension::{ClientId, MailParameter};
use lettre::{Address, Message};
use matou_base::text::{InvalidInput, clean_line};
use matou_config::{MailConfig, MailSecurity};
use matou_job::Redactor;
use secrecy::{ExposeSecret, SecretString};
use serde::Serialize;
use tokio::net::TcpStream;

use super::reply::{SmtpReply, clean_reply};

/// lettre's own error.
type LettreError = lettre::transport::smtp::Error;

/// How long connecting, or the answer to one command, may take. Servers may take minutes (RFC 5321, section 4.5.3.2);
/// one that does is of no use to applications, whose users wait.
const PATIENCE: Duration = Duration::from_secs(30);

/// How long the server may take to say good-bye.
const LEAVING: Duration = Duration::from_secs(5);

/// Where a mail is on its way to the server, in this order.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize)]
#[serde(rename_all = "snake_case")]
pub enum SmtpStage {
    /// The mail is written.
    Message,
    /// The server is connected to.
    Connect,
    /// It says who it is and what it can do.
    Greeting,
    /// It is asked to encrypt the connection.
    Starttls,
    /// The connection is encrypted, and the server's certificate looked at.
    Certificate,
    /// User and password are given.
    Login,
    /// The sender is named.
    Sender,
    /// The recipient is named.
    Recipient,
    /// The mail itself is handed over.
    Data,
}

/// Why the mail was not taken.
#[expect(missing_docs, reason = "its sentences say it")]
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum SmtpError {
    #[error("{}", tr!("the mail can't be written: {_0}"))]
    Message(String),
    #[error("{}", tr!("the server can't be connected to: {_0}"))]
    Connect(SmtpReply),
    #[error("{}", tr!("the server does not greet: {_0}"))]
    Greeting(SmtpReply),
    #[error("{}", tr!("the server offers no STARTTLS: nothing was sent"))]
    StarttlsMissing,
    #[error("{}", tr!("the server refuses STARTTLS: {_0}"))]
    Starttls(SmtpReply),
    #[error("{}", tr!("the connection can't be encrypted: {_0}"))]
    Handshake(SmtpReply),
    #[error("{}", tr!("the server's certificate is not trusted: {_0}"))]
    Certificate(SmtpReply),
    #[error("{}", tr!("the server offers no log-in by a password (AUTH PLAIN or LOGIN)"))]
    LoginMissing,
    #[error("{}", tr!("the log-in is refused: {_0}"))]
    Login(SmtpReply),
    #[error("{}", tr!("the sender is refused: {_0}"))]
    Sender(SmtpReply),
    #[error("{}", tr!("the recipient is refused: {_0}"))]
    Recipient(SmtpReply),
    #[error("{}", tr!("the mail is refused: {_0}"))]
    Data(SmtpReply),
}

impl SmtpError {
    /// Returns where it was stopped.
    pub fn stopped_at(&self) -> SmtpStage {
        match self {
            Self::Message(_) => SmtpStage::Message,
            Self::Connect(_) => SmtpStage::Connect,
            Self::Greeting(_) => SmtpStage::Greeting,
            Self::StarttlsMissing | Self::Starttls(_) => SmtpStage::Starttls,
            Self::Handshake(_) | Self::Certificate(_) => SmtpStage::Certificate,
            Self::LoginMissing | Self::Login(_) => SmtpStage::Login,
            Self::Sender(_) => SmtpStage::Sender,
            Self::Recipient(_) => SmtpStage::Recipient,
            Self::Data(_) => SmtpStage::Data,
        }
    }

    /// Returns what the server answered, or why it did not.
    pub fn server_reply(&self) -> Option<&SmtpReply> {
        match self {
            Self::Message(_) | Self::StarttlsMissing | Self::LoginMissing => None,
            Self::Connect(reply)
            | Self::Greeting(reply)
            | Self::Starttls(reply)
            | Self::Handshake(reply)
            | Self::Certificate(reply)
            | Self::Login(reply)
            | Self::Sender(reply)
            | Self::Recipient(reply)
            | Self::Data(reply) => Some(reply),
        }
    }

    /// Says what to do, in a sentence.
    pub fn give_advice(&self) -> &'static str {
        if self.server_reply().is_some_and(SmtpReply::is_transient) {
            return tr!("the server may take it later: try again in some minutes");
        }
        match self {
            Self::Message(_) => tr!("correct sender of [mail], or --to"),
            Self::Connect(_) => {
                tr!(
                    "look at server and port of [mail]; a network or provider may block ports of mail"
                )
            }
            Self::Greeting(_) => {
                tr!(
                    "look at port and security of [mail]: 587 goes with \"starttls\", 465 with \"tls\"; the server may also refuse this machine's address"
                )
            }
            Self::StarttlsMissing | Self::Starttls(_) => {
                tr!("look at port and security of [mail]: port 465 wants security = \"tls\"")
            }
            Self::Handshake(_) => {
                tr!(
                    "look at port and security of [mail]: \"tls\" goes with port 465, \"starttls\" with 587"
                )
            }
            Self::Certificate(_) => {
                tr!(
                    "server of [mail] has to be a name that the certificate is for, from an authority that this machine trusts (ca-certificates; SSL_CERT_FILE names another file of them)"
                )
            }
            Self::LoginMissing => {
                tr!(
                    "look at port and security of [mail]: many servers take log-ins on encrypted connections alone; leave user out where it wants none"
                )
            }
            Self::Login(_) => {
                tr!(
                    "look at user and password_file of [mail]; some providers want a password of its own for programs"
                )
            }
            Self::Sender(_) => {
                tr!(
                    "sender of [mail] has to be an address that this user may send from; a server without user takes mail of hosts it knows alone"
                )
            }
            Self::Recipient(_) => {
                tr!(
                    "look at --to; a server that relays for nobody wants user and password_file in [mail]"
                )
            }
            Self::Data(_) => tr!("the server's own log says why; its provider can tell"),
        }
    }
}

/// An address that mail goes to.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct MailAddress(Address);

impl FromStr for MailAddress {
    type Err = InvalidInput;

    fn from_str(text: &str) -> Result<Self, InvalidInput> {
        let parsed = text.parse().map(Self);
        parsed.map_err(|_| InvalidInput::new(tr!("an address is written name@example.org")))
    }
}

impl std::fmt::Display for MailAddress {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        std::fmt::Display::fmt(&self.0, f)
    }
}

/// One mail that is to be sent.
pub struct OutgoingMail<'a> {
    /// The server, and the sender.
    pub config: &'a MailConfig,
    /// The password of its user.
    pub password: Option<&'a SecretString>,
    /// Who gets it.
    pub recipient: &'a MailAddress,
    /// Its subject: one line.
    pub subject: String,
    /// Its text.
    pub text: String,
}

impl<'a> OutgoingMail<'a> {
    /// The mail that tries whether mail arrives; it says the name of the fleet.
    pub fn of_test(
        config: &'a MailConfig,
        password: Option<&'a SecretString>,
        recipient: &'a MailAddress,
        fleet: &str,
        now: Timestamp,
    ) -> Self {
        let fleet = clean_line(fleet);
        let at = now.strftime("%Y-%m-%d %H:%M:%S UTC");
        let MailConfig {
            server,
            port,
            security,
            ..
        } = config;
        Self {
            config,
            password,
            recipient,
            subject: tr!("matou: test mail of the fleet {fleet}, {at}"),
            text: tr!(
                "This is a test of the fleet {fleet},\nsent on {at}\nthrough {server}, port {port}, security {}.\n\nWhere it arrives, mail of the fleet's applications can. Nobody waits for an answer.\n",
                security.as_str()
            ),
        }
    }
}

/// Sends a mail; answers with what the server says when it has taken it.
///
/// # Errors
/// Where it was stopped, and what the server said.
pub async fn send_mail(mail: &OutgoingMail<'_>) -> Result<SmtpReply, SmtpError> {
    let sender = mail
        .config
        .sender
        .parse::<Address>()
        .map_err(|e| SmtpError::Message(tr!("sender of [mail] is no address: {e}")))?;
    let message = write_message(mail, &sender, Timestamp::now())?;
    let replies = ReplyReader::new(mail);
    let mut connection = open_connection(mail.config, &replies).await?;
    let ended = hand_over(&mut connection, mail, sender, &message, &replies).await;
    // What counts was answered already.
    let _ = tokio::time::timeout(LEAVING, connection.quit()).await;
    ended
}

/// Writes the mail (RFC 5322).
fn write_message(
    mail: &OutgoingMail<'_>,
    sender: &Address,
    now: Timestamp,
) -> Result<Vec<u8>, SmtpError> {
    let id = format!(
        "<matou-{}-{}@{}>",
        now.as_nanosecond(),
        std::process::id(),
        sender.domain()
    );
    // Nobody's holiday is to be told of it (RFC 3834, section 5).
    let automatic = HeaderValue::new(
        HeaderName::new_from_ascii_str("Auto-Submitted"),
        "auto-generated".to_owned(),
    );
    let message = Message::builder()
        .from(Mailbox::new(None, sender.clone()))
        .to(Mailbox::new(None, mail.recipient.0.clone()))
        .subject(mail.subject.clone())
        .message_id(Some(id))
        .raw_header(automatic)
        .singlepart(SinglePart::plain(mail.text.clone()));
    let message = message.map_err(|e| SmtpError::Message(e.to_string()))?;
    Ok(message.formatted())
}

/// Why a step came to no good end.
enum StepFailure {
    Late,
    Refused(LettreError),
}

/// Waits for a step, no longer than is sensible.
async fn limit_step<T>(
    step: impl Future<Output = Result<T, LettreError>>,
) -> Result<T, StepFailure> {
    match tokio::time::timeout(PATIENCE, step).await {
        Ok(ended) => ended.map_err(StepFailure::Refused),
        Err(_) => Err(StepFailure::Late),
    }
}

/// Makes what servers say fit to be shown. A server may repeat what it was sent.
struct ReplyReader(Redactor);

impl ReplyReader {
    fn new(mail: &OutgoingMail<'_>) -> Self {
        let redactor = Redactor::default();
        if let (Some(user), Some(password)) = (&mail.config.user, mail.password) {
            // As AUTH PLAIN (RFC 4616) and LOGIN send them.
            let plain = format!("\0{user}\0{}", password.expose_secret());
            redactor.add_secret(STANDARD.encode(plain).into());
            redactor.add_secret(STANDARD.encode(password.expose_secret()).into());
            redactor.add_secret(password.clone());
        }
        Self(redactor)
    }

    fn read_text(&self, code: Option<u16>, text: &str) -> SmtpReply {
        SmtpReply {
            code,
            // Cleaned before: what hides between its letters must not hide a password.
            text: clean_reply(&self.0.redact(&clean_line(text))),
        }
    }

    fn read_failure(&self, failure: &StepFailure) -> SmtpReply {
        let error = match failure {
            StepFailure::Late => {
                let text = tr!("no answer within {} s", PATIENCE.as_secs());
                return self.read_text(None, &text);
            }
            StepFailure::Refused(error) => error,
        };
        match (error.status(), error.source()) {
            (Some(code), said) => {
                let said = said.map(ToString::to_string).unwrap_or_default();
                self.read_text(Some(code.into()), &format!("{code} {said}"))
            }
            (None, Some(_)) if find_tls_error(error).is_some() => {
                let said = find_tls_error(error).map(ToString::to_string);
                self.read_text(None, &said.unwrap_or_default())
            }
            // The innermost says what happened; those around it that it was the network.
            (None, Some(source)) => {
                let innermost = std::iter::successors(Some(source), |e| (**e).source()).last();
                self.read_text(None, &innermost.unwrap_or(source).to_string())
            }
            (None, None) => self.read_text(None, &error.to_string()),
        }
    }
}

/// Connects, and encrypts the connection as `[mail]` says: a connection that is not is no second best.
async fn open_connection(
    config: &MailConfig,
    replies: &ReplyReader,
) -> Result<AsyncSmtpConnection, SmtpError> {
    // An address literal: this machine may have no name that others know (RFC 5321, section 4.1.4).
    let name = ClientId::default();
    let place = (config.server.as_str(), config.port);
    if config.security == MailSecurity::Tls {
        let tls = build_tls_parameters(config, replies)?;
        let connecting =
            AsyncSmtpConnection::connect_tokio1(place, Some(PATIENCE), &name, Some(tls), None);
        return limit_step(connecting)
            .await
            .map_err(|failure| explain_tls_opening(&failure, replies));
    }
    let unreachable = |said: String| SmtpError::Connect(replies.read_text(None, &said));
    let connecting = tokio::time::timeout(PATIENCE, TcpStream::connect(place)).await;
    let stream = connecting
        .map_err(|_| unreachable(tr!("no answer within {} s", PATIENCE.as_secs())))?
        .map_err(|e| unreachable(e.to_string()))?;
    let greeting = AsyncSmtpConnection::connect_with_transport(Box::new(stream), &name);
    let mut connection = limit_step(greeting)
        .await
        .map_err(|failure| SmtpError::Greeting(replies.read_failure(&failure)))?;
    if config.security == MailSecurity::Starttls {
        begin_tls(&mut connection, config, &name, replies).await?;
    }
    Ok(connection)
}

/// Encrypts the connection (RFC 3207). After an error the connection is of no more use.
async fn begin_tls(
    connection: &mut AsyncSmtpConnection,
    config: &MailConfig,
    name: &ClientId,
    replies: &ReplyReader,
) -> Result<(), SmtpError> {
    if !connection.can_starttls() {
        return Err(SmtpError::StarttlsMissing);
    }
    let tls = build_tls_parameters(config, replies)?;
    let Err(failure) = limit_step(connection.starttls(tls, name)).await else {
        return Ok(());
    };
    let reply = replies.read_failure(&failure);
    Err(match &failure {
        StepFailure::Refused(e) if is_certificate_error(e) => SmtpError::Certificate(reply),
        StepFailure::Refused(e) if e.status().is_some() || e.is_response() => {
            SmtpError::Starttls(reply)
        }
        StepFailure::Refused(_) | StepFailure::Late => SmtpError::Handshake(reply),
    })
}

/// Trusts the authorities that this machine trusts: those of the system, or of `SSL_CERT_FILE`.
fn build_tls_parameters(
    config: &MailConfig,
    replies: &ReplyReader,
) -> Result<TlsParameters, SmtpError> {
    TlsParameters::builder(config.server.clone())
        .build()
        .map_err(|e| SmtpError::Handshake(replies.read_failure(&StepFailure::Refused(e))))
}

/// Says which of connecting, encrypting and greeting failed, where lettre does all three.
fn explain_tls_opening(failure: &StepFailure, replies: &ReplyReader) -> SmtpError {
    let reply = replies.read_failure(failure);
    let StepFailure::Refused(error) = failure else {
        return SmtpError::Connect(reply);
    };
    // What goes wrong in a handshake is an error of lettre in one of lettre.
    let within = error.source().is_some_and(|e| e.is::<LettreError>());
    if is_certificate_error(error) {
        SmtpError::Certificate(reply)
    } else if within || find_tls_error(error).is_some() {
        SmtpError::Handshake(reply)
    } else if error.status().is_some() || error.is_response() {
        SmtpError::Greeting(reply)
    } else {
        SmtpError::Connect(reply)
    }
}

fn is_certificate_error(error: &LettreError) -> bool {
    matches!(
        find_tls_error(error),
        Some(rustls::Error::InvalidCertificate(_))
    )
}

/// Returns what rustls says, however deep it is in an error.
fn find_tls_error(error: &LettreError) -> Option<&rustls::Error> {
    let mut next: Option<&(dyn Error + 'static)> = Some(error);
    while let Some(error) = next {
        if let Some(found) = error.downcast_ref::<rustls::Error>() {
            return Some(found);
        }
        // The source of an io::Error is that of what it holds, not what it holds.
        let held = error
            .downcast_ref::<io::Error>()
            .and_then(io::Error::get_ref);
        if let Some(found) = held.and_then(|held| held.downcast_ref::<rustls::Error>()) {
            return Some(found);
        }
        next = error.source();
    }
    None
}

/// Logs in, names both ends, and hands the mail over.
async fn hand_over(
    connection: &mut AsyncSmtpConnection,
    mail: &OutgoingMail<'_>,
    sender: Address,
    message: &[u8],
    replies: &ReplyReader,
) -> Result<SmtpReply, SmtpError> {
    if let (Some(user), Some(password)) = (&mail.config.user, mail.password) {
        log_in(connection, user, password, replies).await?;
    }
    let recipient = mail.recipient.0.clone();
    // RFC 6531: an address of other letters has to be announced.
    let parameters = match AsRef::<str>::as_ref(&sender).is_ascii()
        && AsRef::<str>::as_ref(&recipient).is_ascii()
    {
        true => Vec::new(),
        false => vec![MailParameter::SmtpUtfEight],
    };
    limit_step(connection.command(Mail::new(Some(sender), parameters)))
        .await
        .map_err(|failure| SmtpError::Sender(replies.read_failure(&failure)))?;
    limit_step(connection.command(Rcpt::new(recipient, Vec::new())))
        .await
        .map_err(|failure| SmtpError::Recipient(replies.read_failure(&failure)))?;
    let refused = |failure| SmtpError::Data(replies.read_failure(&failure));
    limit_step(connection.command(Data))
        .await
        .map_err(refused)?;
    let taken = limit_step(connection.message(message))
        .await
        .map_err(refused)?;
    let code = taken.code();
    let said: Vec<&str> = taken.message().collect();
    Ok(replies.read_text(Some(code.into()), &format!("{code} {}", said.join(" "))))
}

async fn log_in(
    connection: &mut AsyncSmtpConnection,
    user: &str,
    password: &SecretString,
    replies: &ReplyReader,
) -> Result<(), SmtpError> {
    let offered = connection.server_info();
    if offered.get_auth_mechanism(DEFAULT_MECHANISMS).is_none() {
        return Err(SmtpError::LoginMissing);
    }
    // lettre takes a String, which it does not wipe.
    let credentials = Credentials::new(user.to_owned(), password.expose_secret().to_owned());
    limit_step(connection.auth(DEFAULT_MECHANISMS, &credentials))
        .await
        .map(drop)
        .map_err(|failure| SmtpError::Login(replies.read_failure(&failure)))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn config() -> MailConfig {
        MailConfig {
            server: "smtp.example.org".into(),
            port: 587,
            security: MailSecurity::Starttls,
            user: Some("matou".into()),
            password_file: None,
            sender: "hello@example.org".into(),
        }
    }

    #[test]
    fn a_mail_says_who_sent_it_and_when() {
        let (config, recipient) = (config(), "ops@example.net".parse().unwrap());
        let now = "2026-11-28T14:35:42Z".parse().unwrap();
        let fleet = "one\nBcc: all@example.org";
        let mail = OutgoingMail::of_test(&config, None, &recipient, fleet, now);
        let sender = config.sender.parse().unwrap();
        let text = String::from_utf8(write_message(&mail, &sender, now).unwrap()).unwrap();
        assert!(text.contains("From: hello@example.org\r\n"), "{text}");
        assert!(text.contains("To: ops@example.net\r\n"), "{text}");
        assert!(text.contains("2026-11-28 14:35:42 UTC"), "{text}");
        assert!(text.contains("@example.org>\r\n"), "{text}");
        assert!(
            text.contains("Auto-Submitted: auto-generated\r\n"),
            "{text}"
        );
        assert!(!text.contains("\nBcc:"), "{text}");
    }

    #[test]
    fn a_password_that_a_server_repeats_is_not_shown() {
        let (config, recipient) = (config(), "ops@example.net".parse().unwrap());
        let password = SecretString::from("hunter22");
        let now = Timestamp::UNIX_EPOCH;
        let mail = OutgoingMail::of_test(&config, Some(&password), &recipient, "one", now);
        let replies = ReplyReader::new(&mail);
        let plain = STANDARD.encode("\0matou\0hunter22");
        let text = format!(
            "535 {plain} {} hunter22 \u{1b}[2J",
            STANDARD.encode("hunter22")
        );
        let shown = replies.read_text(Some(535), &text);
        assert_eq!(shown.to_string(), "535 ••• ••• •••");
    }

    #[test]
    fn an_address_is_one() {
        assert!("ops@example.org".parse::<MailAddress>().is_ok());
        for wrong in [
            "",
            "ops",
            "ops@",
            "a@example.org\r\nRCPT TO:<b@example.org>",
        ] {
            assert!(wrong.parse::<MailAddress>().is_err(), "{wrong:?}");
        }
    }
}
