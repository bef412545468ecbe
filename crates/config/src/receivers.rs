//! Checks the table `[receivers]`: whom the monitoring stack tells of alerts.

use std::path::PathBuf;

use jiff::tz::TimeZone;
use matou_i18n::tr;
use toml::Spanned;

use super::ConfigError;
use super::digest::DigestSchedule;
use super::load::ConfigChecker;
use super::quiet::QuietHours;
use super::raw;
use super::types::{EmailConfig, ReceiversConfig};

impl ConfigChecker<'_> {
    pub(super) fn check_receivers(
        &self,
        raw: raw::RawReceiversConfig,
    ) -> Result<ReceiversConfig, ConfigError> {
        let file = |written: Option<String>| written.map(|p| self.resolve_path(&p));
        let email = match raw.email {
            None => None,
            Some(to) => {
                if !to.get_ref().contains('@') {
                    return Err(self.error_at(to.span(), tr!("an e-mail address has an @")));
                }
                let Some(smtp) = raw.smtp else {
                    return Err(self.error_at(
                        to.span(),
                        tr!("e-mail needs a server that sends it: add smtp = \"smtp.example.org:587\""),
                    ));
                };
                let port = smtp.get_ref().rsplit_once(':');
                if !port.is_some_and(|(host, port)| !host.is_empty() && port.parse::<u16>().is_ok())
                {
                    return Err(
                        self.error_at(smtp.span(), tr!("a server is written \"host:port\""))
                    );
                }
                Some(EmailConfig {
                    from: raw.smtp_from.unwrap_or_else(|| to.get_ref().clone()),
                    to: to.into_inner(),
                    smtp: smtp.into_inner(),
                    user: raw.smtp_user,
                    password_file: file(raw.smtp_password_file),
                })
            }
        };
        let telegram = match (raw.telegram_chat, raw.telegram_token_file) {
            (Some(chat), Some(token)) => Some((chat.into_inner(), self.resolve_path(&token))),
            (None, None) => None,
            (Some(chat), None) => {
                return Err(self.error_at(
                    chat.span(),
                    tr!(
                        "Telegram needs a bot: add telegram_token_file = \"a file with its token\""
                    ),
                ));
            }
            (None, Some(_)) => {
                return Err(self.error_at(
                    0..0,
                    tr!("Telegram needs a chat: add telegram_chat = its number to [receivers]"),
                ));
            }
        };
        if let Some(topic) = &raw.ntfy
            && !topic.get_ref().starts_with("http")
        {
            let message = tr!("a topic of ntfy is an address, as \"https://ntfy.sh/my-topic\"");
            return Err(self.error_at(topic.span(), message));
        }
        let gotify = self.check_gotify(raw.gotify, raw.gotify_token_file)?;
        let quiet = raw.quiet.map(|written| {
            let read = QuietHours::parse(written.get_ref());
            read.map_err(|e| self.error_at(written.span(), e))
        });
        let quiet = quiet.transpose()?;
        let zone = quiet.as_ref().map_or(TimeZone::UTC, |q| q.zone.clone());
        let digest = raw.digest.map(|written| {
            let read = DigestSchedule::parse(written.get_ref(), zone);
            read.map_err(|e| self.error_at(written.span(), e))
        });
        Ok(ReceiversConfig {
            gotify,
            quiet,
            digest: digest.transpose()?.flatten(),
            email,
            webhook_file: file(raw.webhook_file),
            telegram,
            matrix_file: file(raw.matrix_file),
            ntfy: raw.ntfy.map(Spanned::into_inner),
            ntfy_token_file: file(raw.ntfy_token_file),
            deadman_file: file(raw.deadman_file),
        })
    }

    fn check_gotify(
        &self,
        server: Option<Spanned<String>>,
        token: Option<String>,
    ) -> Result<Option<(String, PathBuf)>, ConfigError> {
        match (server, token) {
            (Some(server), Some(token)) if server.get_ref().starts_with("http") => {
                Ok(Some((server.into_inner(), self.resolve_path(&token))))
            }
            (None, None) => Ok(None),
            (Some(server), Some(_)) => {
                let message =
                    tr!("a Gotify server is an address, as \"https://gotify.example.org\"");
                Err(self.error_at(server.span(), message))
            }
            (Some(server), None) => Err(self.error_at(
                server.span(),
                tr!(
                    "Gotify needs an application: add gotify_token_file = \"a file with its token\""
                ),
            )),
            (None, Some(_)) => Err(self.error_at(
                0..0,
                tr!("Gotify needs a server: add gotify = its address to [receivers]"),
            )),
        }
    }
}
