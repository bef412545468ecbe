//! Tells the receivers of `[receivers]` what began and what is over, without any monitoring stack: by mail, and by
//! the interfaces of ntfy, Gotify, Telegram, matrix-hookshot, and whatever takes a POST of JSON.

use matou_i18n::tr;
use std::time::Duration;

use matou_base::text::clean_line;
use matou_collect::{OutgoingMail, send_mail};
use matou_config::{Config, MailConfig, MailSecurity};
use matou_monitor::{Digest, EmailReceiver, TellMessage, TellReason};
use secrecy::{ExposeSecret, SecretString};
use serde_json::json;

use super::OpsError;
use super::deploy::read_alert_receivers;

/// How long a receiver may take to answer.
const PATIENCE: Duration = Duration::from_secs(30);

/// Telegram's interface for bots (core.telegram.org/bots/api).
const TELEGRAM: &str = "https://api.telegram.org";

/// Somebody who is told of alerts.
pub struct TellReceiver {
    name: &'static str,
    way: TellWay,
}

enum TellWay {
    Mail(EmailReceiver),
    /// A POST of the message as JSON.
    Webhook(SecretString),
    /// A generic webhook of matrix-hookshot, which shows `text`.
    Matrix(SecretString),
    /// Topic's address, and an access token.
    Ntfy(String, Option<SecretString>),
    /// Server's address, and an application's token.
    Gotify(String, SecretString),
    /// Chat, and the bot's token.
    Telegram(i64, SecretString),
}

/// Lists those whom `[receivers]` names.
///
/// # Errors
/// A file of `[receivers]` can't be read.
pub fn list_tell_receivers(config: &Config) -> Result<Vec<TellReceiver>, OpsError> {
    let all = read_alert_receivers(&config.receivers)?;
    let ways = [
        all.email.map(|mail| ("e-mail", TellWay::Mail(mail))),
        all.webhook.map(|url| ("webhook", TellWay::Webhook(url))),
        all.matrix.map(|url| ("matrix", TellWay::Matrix(url))),
        all.ntfy
            .map(|(topic, token)| ("ntfy", TellWay::Ntfy(topic, token))),
        all.gotify
            .map(|(server, token)| ("gotify", TellWay::Gotify(server, token))),
        all.telegram
            .map(|(chat, token)| ("telegram", TellWay::Telegram(chat, token))),
    ];
    let named = ways.into_iter().flatten();
    Ok(named
        .map(|(name, way)| TellReceiver { name, way })
        .collect())
}

impl TellReceiver {
    /// What it is called in messages and in the state folder: `e-mail`, `ntfy`, …
    pub fn name(&self) -> &'static str {
        self.name
    }

    /// Whether the stack monitoring tells it too, when that runs.
    pub fn is_known_to_alertmanager(&self) -> bool {
        !matches!(self.way, TellWay::Gotify(..))
    }

    /// Hands a message over.
    ///
    /// # Errors
    /// Why it was not taken, in one sentence without addresses, which may hold a token.
    pub async fn tell(&self, message: &TellMessage) -> Result<(), OpsError> {
        let is_good = |reason| matches!(reason, TellReason::Over | TellReason::Trial);
        let (title, text) = (message.title(), message.text());
        self.deliver(Delivery {
            urgency: match message.is_critical() {
                true => Urgency::Critical,
                false if message.alerts.iter().all(|l| is_good(l.state)) => Urgency::Good,
                false => Urgency::Warning,
            },
            json: json!({
                "format": 1, "fleet": message.fleet, "at": message.at,
                "title": title, "text": text, "alerts": message.alerts,
            }),
            title,
            text,
        })
        .await
    }

    /// Hands a digest over.
    ///
    /// # Errors
    /// As [`Self::tell`].
    pub async fn tell_digest(&self, digest: &Digest) -> Result<(), OpsError> {
        let text = digest.text();
        self.deliver(Delivery {
            urgency: Urgency::Digest,
            json: json!({
                "format": 1, "fleet": digest.fleet, "at": digest.at,
                "title": digest.title, "text": text, "alerts": [],
                "digest": {"days": digest.days, "lines": digest.lines},
            }),
            title: digest.title.clone(),
            text,
        })
        .await
    }

    async fn deliver(&self, delivery: Delivery) -> Result<(), OpsError> {
        let Delivery {
            title,
            text,
            json,
            urgency,
        } = delivery;
        match &self.way {
            TellWay::Mail(mail) => send_alert_mail(mail, title, text).await,
            TellWay::Webhook(url) => post(url.clone(), Vec::new(), json.to_string()).await,
            TellWay::Matrix(url) => {
                let body = json!({"username": "matou", "text": format!("{title}\n\n{text}")});
                post(url.clone(), Vec::new(), body.to_string()).await
            }
            TellWay::Telegram(chat, token) => {
                let token = token.expose_secret().trim();
                let url = format!("{TELEGRAM}/bot{token}/sendMessage");
                // Longer ones are refused; the first lines are the worst.
                let text: String = format!("{title}\n\n{text}").chars().take(4000).collect();
                let body = json!({"chat_id": chat, "text": text});
                post(url.into(), Vec::new(), body.to_string()).await
            }
            TellWay::Gotify(server, token) => {
                let url = format!("{}/message", server.trim_end_matches('/'));
                let priority = urgency.gotify_priority();
                let body = json!({"title": title, "message": text, "priority": priority});
                let key = token.expose_secret().trim().to_owned();
                let headers = vec![("X-Gotify-Key", key.into())];
                post(url.into(), headers, body.to_string()).await
            }
            TellWay::Ntfy(topic, token) => {
                // A header has no other letters.
                let title = title.replace(|c: char| !c.is_ascii(), "?");
                let (priority, tag) = urgency.ntfy_words();
                let mut headers = vec![
                    ("Title", title.into()),
                    ("Priority", priority.to_owned().into()),
                    ("Tags", tag.to_owned().into()),
                ];
                if let Some(token) = token {
                    let value = format!("Bearer {}", token.expose_secret().trim());
                    headers.push(("Authorization", value.into()));
                }
                post(topic.clone().into(), headers, text).await
            }
        }
    }
}

/// What is handed over, in the forms that receivers take.
struct Delivery {
    title: String,
    text: String,
    /// For webhooks.
    json: serde_json::Value,
    urgency: Urgency,
}

/// How loud it is.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Urgency {
    Critical,
    Warning,
    Good,
    Digest,
}

impl Urgency {
    /// Source: gotify.net/docs/pushmsg; from 8 on an Android telephone rings, below 4 it makes no sound.
    fn gotify_priority(self) -> u8 {
        match self {
            Self::Critical => 8,
            Self::Warning | Self::Good => 5,
            Self::Digest => 2,
        }
    }

    /// Priority and tag; of a low one ntfy makes no sound.
    fn ntfy_words(self) -> (&'static str, &'static str) {
        match self {
            Self::Critical => ("urgent", "rotating_light"),
            Self::Warning => ("default", "warning"),
            Self::Good => ("default", "white_check_mark"),
            Self::Digest => ("low", "newspaper"),
        }
    }
}

/// Sends a message as a mail.
async fn send_alert_mail(
    receiver: &EmailReceiver,
    subject: String,
    mut text: String,
) -> Result<(), OpsError> {
    let (server, port) = receiver
        .smtp
        .rsplit_once(':')
        .and_then(|(server, port)| Some((server, port.parse::<u16>().ok()?)))
        .ok_or_else(|| OpsError::failed(tr!("smtp of [receivers] is written \"host:port\"")))?;
    let config = MailConfig {
        server: server.trim_matches(['[', ']']).to_owned(),
        port,
        security: match port {
            465 => MailSecurity::Tls,
            _ => MailSecurity::Starttls,
        },
        user: receiver.user.clone(),
        password_file: None,
        sender: receiver.from.clone(),
    };
    let recipient = receiver
        .to
        .parse()
        .map_err(|e| OpsError::failed(tr!("email of [receivers]: {e}")))?;
    let password = receiver
        .password
        .as_ref()
        .map(|p| SecretString::from(p.expose_secret().trim().to_owned()));
    text.push_str(tr!("\nMore: `matou check`, or the console.\n"));
    let mail = OutgoingMail {
        config: &config,
        password: password.as_ref(),
        recipient: &recipient,
        subject,
        text,
    };
    send_mail(&mail).await.map(drop).map_err(OpsError::failed)
}

/// Posts a body to an address, which is a secret and is in no error.
async fn post(
    url: SecretString,
    headers: Vec<(&'static str, SecretString)>,
    body: String,
) -> Result<(), OpsError> {
    let asked = tokio::task::spawn_blocking(move || {
        let agent: ureq::Agent = ureq::Agent::config_builder()
            .timeout_global(Some(PATIENCE))
            .http_status_as_error(false)
            // What is posted to a page that leads elsewhere arrives nowhere, and its headers at a stranger's.
            .max_redirects(0)
            .max_redirects_will_error(false)
            .build()
            .into();
        let kind = match body.starts_with('{') {
            true => "application/json",
            false => "text/plain; charset=utf-8",
        };
        let mut request = ureq::http::Request::builder()
            .method("POST")
            .uri(url.expose_secret().trim())
            .header("Content-Type", kind);
        for (name, value) in headers {
            request = request.header(name, value.expose_secret());
        }
        let request = request
            .body(body)
            .map_err(|_| OpsError::failed(tr!("its address or token in [receivers] is none")))?;
        let answer = agent
            .run(request)
            .map_err(|e| OpsError::failed(describe_failure(&e)))?;
        match answer.status().as_u16() {
            200..300 => Ok(()),
            code @ 300..=399 => Err(OpsError::failed(tr!(
                "it leads elsewhere (HTTP {code}): write the address that it leads to"
            ))),
            code @ (401 | 403) => Err(OpsError::failed(tr!("it refuses the token (HTTP {code})"))),
            code @ 404 => Err(OpsError::failed(tr!(
                "nothing is at its address (HTTP {code})"
            ))),
            code => Err(OpsError::failed(tr!("it answered HTTP {code}"))),
        }
    });
    asked.await.unwrap_or_else(|e| Err(OpsError::failed(e)))
}

/// Why nothing was answered, without the address.
fn describe_failure(error: &ureq::Error) -> String {
    match error {
        ureq::Error::Timeout(_) => tr!("no answer within {} s", PATIENCE.as_secs()),
        ureq::Error::HostNotFound => tr!("DNS does not know its host").to_owned(),
        ureq::Error::Io(e) => tr!("it can't be reached: {}", clean_line(&e.to_string())),
        ureq::Error::Tls(_) | ureq::Error::Rustls(_) => {
            tr!("its certificate is not trusted, or it does not speak TLS").to_owned()
        }
        _ => tr!("it can't be reached").to_owned(),
    }
}
