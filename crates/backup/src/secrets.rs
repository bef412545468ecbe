//! A repository's password and credentials, read on the machine matou runs on.

use matou_i18n::tr;
use std::path::Path;
use std::time::Duration;

use secrecy::SecretString;

use super::error::BackupError;
use matou_config::RepositoryConfig;

/// The repository's password, read on this machine.
///
/// # Errors
/// [`BackupError::Wrong`]: its file or command gives none.
pub async fn read_repository_password(
    repository: &RepositoryConfig,
) -> Result<SecretString, BackupError> {
    let name = &repository.name;
    let text = match &repository.password_file {
        Some(file) => tokio::fs::read_to_string(file).await.map_err(|e| {
            BackupError::Wrong(tr!(
                "the password of the repository {name} can't be read from {}: {e}",
                file.display()
            ))
        })?,
        None => run_password_command(name, &repository.password_command).await?,
    };
    let password = text.trim_end_matches(['\n', '\r']);
    if password.is_empty() {
        return Err(BackupError::Wrong(tr!(
            "the password of the repository {name} is empty: correct password_file or password_command under [backup]"
        )));
    }
    Ok(password.to_owned().into())
}

/// What the password command prints.
async fn run_password_command(name: &str, command: &[String]) -> Result<String, BackupError> {
    let (program, args) = command.split_first().ok_or(BackupError::NotConfigured)?;
    let failed = |why: String| {
        BackupError::Wrong(tr!(
            "the password command of the repository {name}, `{program}`, {why}"
        ))
    };
    let run = tokio::process::Command::new(program)
        .args(args)
        .stdin(std::process::Stdio::null())
        .kill_on_drop(true)
        .output();
    let out = tokio::time::timeout(Duration::from_secs(60), run)
        .await
        .map_err(|_| failed(tr!("did not answer within 60 s").into()))?
        .map_err(|e| failed(tr!("can't be started: {e}")))?;
    if !out.status.success() {
        // What it says is not shown: nobody knows what a password program prints.
        return Err(failed(tr!("ended with {}", out.status)));
    }
    String::from_utf8(out.stdout).map_err(|_| failed(tr!("printed no text").into()))
}

/// `NAME=VALUE` lines, as systemd's EnvironmentFile has them: comments, quotes around a value.
pub(super) async fn read_environment_file(
    file: &Path,
) -> Result<Vec<(String, SecretString)>, BackupError> {
    let text = tokio::fs::read_to_string(file).await.map_err(|e| {
        BackupError::Wrong(tr!(
            "the repository's environment_file {} can't be read: {e}",
            file.display()
        ))
    })?;
    parse_environment_lines(&text).map_err(|line| {
        BackupError::Wrong(tr!(
            "{}:{line}: a line is NAME=VALUE, as AWS_ACCESS_KEY_ID=…",
            file.display()
        ))
    })
}

fn parse_environment_lines(text: &str) -> Result<Vec<(String, SecretString)>, usize> {
    let mut all = Vec::new();
    for (i, line) in text.lines().enumerate() {
        let line = line.trim();
        let line = line.strip_prefix("export ").unwrap_or(line).trim();
        if line.is_empty() || line.starts_with('#') {
            continue;
        }
        let (name, value) = line.split_once('=').ok_or(i + 1)?;
        let (name, value) = (name.trim(), value.trim());
        let plain = !name.is_empty()
            && !name.starts_with(|c: char| c.is_ascii_digit())
            && name.bytes().all(|b| b.is_ascii_alphanumeric() || b == b'_');
        if !plain {
            return Err(i + 1);
        }
        let bare = ['"', '\'']
            .iter()
            .find_map(|q| value.strip_prefix(*q)?.strip_suffix(*q))
            .unwrap_or(value);
        all.push((name.to_owned(), SecretString::from(bare)));
    }
    Ok(all)
}

#[cfg(test)]
mod tests {
    use secrecy::ExposeSecret;

    use super::*;

    #[test]
    fn variables_are_lines_of_name_and_value() {
        let read = parse_environment_lines("A=1\n\n# c\n B = 'x y' \n").unwrap();
        assert_eq!(read[1].0, "B");
        assert_eq!(read[1].1.expose_secret(), "x y");
        assert_eq!(parse_environment_lines("A=1\nrm -rf /\n").unwrap_err(), 2);
        assert_eq!(parse_environment_lines("A;id=1\n").unwrap_err(), 1);
    }
}
