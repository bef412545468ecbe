//! `[backup]`: repositories, what is kept, when the night begins.

use std::time::Duration;

use matou_i18n::tr;
use toml::Spanned;

use super::ConfigError;
use super::load::ConfigChecker;
use super::raw;
use super::types::*;
use matou_base::units;

/// What a location begins with, of those restic knows. Source: restic, "Preparing a new repository".
const REPOSITORY_SCHEMES: [&str; 9] = [
    "local:", "sftp:", "rest:", "s3:", "b2:", "azure:", "gs:", "swift:", "rclone:",
];

/// The first repository's name.
const MAIN_REPOSITORY: &str = "main";

impl ConfigChecker<'_> {
    pub(super) fn check_backup(
        &self,
        raw: raw::RawBackupConfig,
    ) -> Result<BackupConfig, ConfigError> {
        let mut repositories = Vec::new();
        if let Some(location) = raw.repository {
            let secrets = (raw.password_file, raw.password_command);
            let env = raw.environment_file;
            let first = self.check_repository(MAIN_REPOSITORY, location, secrets, env)?;
            repositories.push(RepositoryConfig {
                append_only: raw.append_only,
                ..first
            });
        } else if let Some(copy) = raw.copies.first() {
            return Err(self.error_at(
                copy.name.span(),
                tr!(
                    "a copy needs a repository to copy from: add repository = \"…\" under [backup]"
                ),
            ));
        } else if let (Some(file), Some(_)) = (&raw.password_file, &raw.password_command) {
            return Err(self.two_passwords_error(file));
        }
        self.add_copies(raw.copies, &mut repositories)?;
        let kept = [
            raw.keep_within_days,
            raw.keep_daily,
            raw.keep_weekly,
            raw.keep_monthly,
            raw.keep_yearly,
        ];
        if kept.iter().all(|k| *k == Some(0)) {
            return Err(self.error_at(
                0..0,
                tr!("keep_daily and the like under [backup] are all 0: no snapshot would be kept"),
            ));
        }
        if let Some(parts) = raw.check_parts.as_ref().filter(|p| *p.get_ref() == 0) {
            return Err(self.error_at(
                parts.span(),
                tr!("the data is checked in at least one part"),
            ));
        }
        if let Some(when) = &raw.schedule
            && !is_calendar(when.get_ref())
        {
            return Err(self.error_at(
                when.span(),
                tr!("a time as systemd has it: \"03:30\", \"*-*-* 02:00\" or \"Mon..Fri 04:00\" (`systemd-analyze calendar` tries it)"),
            ));
        }
        let time = |written: &Option<Spanned<String>>, default| match written {
            Some(text) => self.parse_unit(text, units::parse_human_duration),
            None => Ok(Duration::from_secs(default)),
        };
        Ok(BackupConfig {
            repositories,
            keep: Retention {
                daily: raw.keep_daily.unwrap_or(7),
                weekly: raw.keep_weekly.unwrap_or(5),
                monthly: raw.keep_monthly.unwrap_or(12),
                yearly: raw.keep_yearly.unwrap_or(3),
                within_days: raw.keep_within_days.unwrap_or(2),
            },
            schedule: raw
                .schedule
                .map_or_else(|| "03:00".into(), Spanned::into_inner),
            random_delay: time(&raw.random_delay, 1800)?,
            upload_limit: self.read_upload_limit(raw.upload_limit.as_ref())?,
            cpu_limit: raw.cpu_limit.unwrap_or(0),
            check_parts: raw.check_parts.map_or(12, Spanned::into_inner),
            ping_file: raw.ping_file.map(|p| self.resolve_path(&p)),
        })
    }

    /// Adds the repositories that snapshots are copied to.
    fn add_copies(
        &self,
        copies: Vec<raw::RawRepositoryCopy>,
        repositories: &mut Vec<RepositoryConfig>,
    ) -> Result<(), ConfigError> {
        for copy in copies {
            let name = copy.name.get_ref();
            let plain = !name.is_empty()
                && name.len() <= 30
                && name.chars().all(|c| c.is_ascii_alphanumeric() || c == '-')
                && !name.starts_with('-');
            if !plain || repositories.iter().any(|r| r.name == *name) {
                return Err(self.error_at(
                    copy.name.span(),
                    tr!("a copy has a name of its own, of letters, digits and dashes; \"main\" is the repository itself"),
                ));
            }
            let secrets = (copy.password_file, copy.password_command);
            let env = copy.environment_file;
            let one = self.check_repository(name, copy.repository, secrets, env)?;
            repositories.push(RepositoryConfig {
                append_only: copy.append_only,
                ..one
            });
        }
        Ok(())
    }

    /// Returns KiB a second; 0 without a limit.
    fn read_upload_limit(&self, written: Option<&Spanned<String>>) -> Result<u32, ConfigError> {
        match written {
            None => Ok(0),
            Some(text) => {
                let bytes = self.parse_unit(text, units::parse_human_size)?;
                u32::try_from(bytes.div_ceil(1024)).map_err(|_| {
                    self.error_at(text.span(), tr!("no line is so fast: leave it away"))
                })
            }
        }
    }

    fn two_passwords_error(&self, file: &Spanned<String>) -> ConfigError {
        self.error_at(
            file.span(),
            tr!("give the repository's password by password_file or by password_command, not by both"),
        )
    }

    fn check_repository(
        &self,
        name: &str,
        location: Spanned<String>,
        (file, command): (Option<Spanned<String>>, Option<Spanned<Vec<String>>>),
        environment: Option<String>,
    ) -> Result<RepositoryConfig, ConfigError> {
        let text = location.get_ref();
        let path = text.strip_prefix("local:").unwrap_or(text);
        if !path.starts_with('/') && !REPOSITORY_SCHEMES[1..].iter().any(|s| text.starts_with(s)) {
            return Err(self.error_at(
                location.span(),
                tr!("a repository is an absolute path on the storage node, or begins with sftp:, s3:, rest:, rclone:, b2:, azure:, gs: or swift:"),
            ));
        }
        match (&file, &command) {
            (Some(file), Some(_)) => return Err(self.two_passwords_error(file)),
            (None, None) => {
                return Err(self.error_at(
                    location.span(),
                    tr!("the repository has no password: add password_file = \"…\" or password_command = [\"…\"]"),
                ));
            }
            _ => {}
        }
        if let Some(command) = command.as_ref().filter(|c| c.get_ref().is_empty()) {
            return Err(self.error_at(command.span(), tr!("a program that prints the password")));
        }
        Ok(RepositoryConfig {
            name: name.to_owned(),
            location: location.into_inner(),
            password_file: file.map(|f| self.resolve_path(f.get_ref())),
            password_command: command.map_or_else(Vec::new, Spanned::into_inner),
            environment_file: environment.map(|f| self.resolve_path(&f)),
            append_only: false,
        })
    }
}

/// Whether it can be an OnCalendar of systemd: no character that could begin another line of the
/// unit. systemd checks the rest.
fn is_calendar(text: &str) -> bool {
    !text.is_empty()
        && text.len() < 100
        && text
            .chars()
            .all(|c| c.is_ascii_alphanumeric() || " *-:.,/~".contains(c))
}

#[cfg(test)]
mod tests {
    use std::path::Path;

    use crate::Config;

    fn read(backup: &str) -> Result<Config, String> {
        let text = format!("[[nodes]]\nname = \"n1\"\nrole = \"manager\"\n[backup]\n{backup}");
        Config::parse(&text, Path::new("/f/config.toml")).map_err(|e| e.message)
    }

    #[test]
    fn repositories_are_the_main_one_and_its_copies() {
        let config = read(
            "repository = \"/srv/restic\"\npassword_file = \"p\"\nupload_limit = \"2 MiB\"\n\
             [[backup.copies]]\nname = \"away\"\nrepository = \"s3:https://u:pw@s3.example.org/b\"\n\
             password_command = [\"pass\", \"x\"]\nenvironment_file = \"e\"\nappend_only = true\n",
        )
        .unwrap();
        let backup = &config.backup;
        let names: Vec<&str> = backup
            .repositories
            .iter()
            .map(|r| r.name.as_str())
            .collect();
        assert_eq!(names, ["main", "away"]);
        assert!(!backup.repositories[0].append_only && backup.repositories[1].append_only);
        assert_eq!(
            backup.primary_repository().unwrap().local_folder(),
            Some(Path::new("/srv/restic"))
        );
        assert_eq!(backup.repositories[1].local_folder(), None);
        assert_eq!(
            backup.repositories[1].shown_location(),
            "s3:https://u:***@s3.example.org/b"
        );
        assert_eq!(backup.upload_limit, 2048);
        assert_eq!(backup.keep.within_days, 2);
        assert!(read("").unwrap().backup.primary_repository().is_none());
    }

    #[test]
    fn what_can_not_be_is_refused() {
        let copy = "[[backup.copies]]\nname = \"main\"\nrepository = \"/x\"\npassword_file = \"p\"";
        let main = "repository = \"/srv/r\"\npassword_file = \"p\"\n";
        for (text, part) in [
            (
                "repository = \"restic\"\npassword_file = \"p\"",
                "absolute path",
            ),
            ("repository = \"/r\"", "no password"),
            (copy, "a copy needs a repository"),
            (&format!("{main}{copy}"), "a name of its own"),
            (&format!("{main}schedule = \"a\\nb\""), "systemd"),
            (&format!("{main}check_parts = 0"), "at least one part"),
        ] {
            let error = read(text).unwrap_err();
            assert!(error.contains(part), "{text}: {error}");
        }
    }
}
