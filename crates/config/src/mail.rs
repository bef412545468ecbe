//! Checks the table `[mail]`: the server that applications send through.

use matou_i18n::tr;
use toml::Spanned;

use super::ConfigError;
use super::load::ConfigChecker;
use super::raw::{RawMailConfig, RawMailSecurity};
use super::types::{MailConfig, MailSecurity};

impl ConfigChecker<'_> {
    pub(super) fn check_mail(
        &self,
        raw: Option<Spanned<RawMailConfig>>,
    ) -> Result<Option<MailConfig>, ConfigError> {
        let Some(raw) = raw else { return Ok(None) };
        let (place, raw) = (raw.span(), raw.into_inner());
        let Some(server) = raw.server else {
            let message =
                tr!("mail needs a server that sends it: add server = \"smtp.example.org\"");
            return Err(self.error_at(place, message));
        };
        // Applications take host and port as two values.
        if server.get_ref().is_empty() || server.get_ref().contains([':', '/', ' ', '@']) {
            let message =
                tr!("a mail server is a host name, as \"smtp.example.org\"; its port is `port`");
            return Err(self.error_at(server.span(), message));
        }
        let Some(sender) = raw.sender else {
            let message =
                tr!("mail needs an address that it comes from: add sender = \"hello@example.org\"");
            return Err(self.error_at(place, message));
        };
        let address = sender.get_ref().split_once('@');
        if !address.is_some_and(|(name, domain)| !name.is_empty() && domain.contains('.'))
            || sender.get_ref().contains([' ', '<', '>'])
        {
            let message = tr!("an address is written name@example.org, without a name before it");
            return Err(self.error_at(sender.span(), message));
        }
        if let Some(user) = &raw.user
            && raw.password_file.is_none()
        {
            let message = tr!(
                "a mail server asks for a password too: add password_file = \"a file with it\""
            );
            return Err(self.error_at(user.span(), message));
        }
        let security = match raw.security {
            RawMailSecurity::Starttls => MailSecurity::Starttls,
            RawMailSecurity::Tls => MailSecurity::Tls,
            RawMailSecurity::None => MailSecurity::None,
        };
        let usual = match security {
            MailSecurity::Starttls => 587,
            MailSecurity::Tls => 465,
            MailSecurity::None => 25,
        };
        Ok(Some(MailConfig {
            server: server.into_inner(),
            port: raw.port.unwrap_or(usual),
            security,
            user: raw.user.map(Spanned::into_inner),
            password_file: raw.password_file.map(|p| self.resolve_path(&p)),
            sender: sender.into_inner(),
        }))
    }
}
