//! How the files of a repository are reached without restic: HTTP, S3, rclone, SFTP or a folder.

use secrecy::{ExposeSecret, SecretBox};

use matou_backup::Restic;
use matou_host::{Command, shell_script};

const TRY: &str = shell_script(include_str!("../../../scripts/attack_repository.sh"));
const HTTP: &str = shell_script(include_str!("../../../scripts/lib_attack_http.sh"));
const FOLDER: &str = shell_script(include_str!("../../../scripts/lib_attack_folder.sh"));
const RCLONE: &str = shell_script(include_str!("../../../scripts/lib_attack_rclone.sh"));
const SFTP: &str = shell_script(include_str!("../../../scripts/lib_attack_sftp.sh"));

/// Makes a temporary folder that is removed at the end, also when the connection breaks.
const SCRIPT_HEAD: &str = shell_script(include_str!("../../../scripts/lib_attack_place.sh"));

/// Returns the command that tries to overwrite and delete the file `path` of the repository, and
/// files named `none`, which don't exist. `None` if only restic speaks the repository's protocol.
pub(super) fn attack_command(restic: &Restic, path: &str, none: &str) -> Option<Command> {
    let location = restic
        .environment_variable("RESTIC_REPOSITORY")?
        .expose_secret();
    let value = |name: &str| Some(restic.environment_variable(name)?.expose_secret());
    let script = |functions: &str| format!("{SCRIPT_HEAD}{functions}{TRY}");
    let plain = |functions: &str| {
        let command = Command::sh(script(functions));
        command.sudo().arg(path).arg(none)
    };
    let command = if let Some(url) = location.strip_prefix("rest:") {
        let mut settings = Vec::new();
        if let (Some(user), Some(password)) =
            (value("RESTIC_REST_USERNAME"), value("RESTIC_REST_PASSWORD"))
        {
            settings.push(format!(
                "user = \"{}\"",
                quote_curl_value(&format!("{user}:{password}"))
            ));
        }
        if let Some(file) = value("RESTIC_CACERT") {
            settings.push(format!("cacert = \"{}\"", quote_curl_value(file)));
        }
        let base = format!("{}/", url.trim_end_matches('/'));
        let input = format!("{}\n\n\n{}\n", quote_curl_value(&base), settings.join("\n"));
        plain(&format!("writes=POST\n{HTTP}")).secret_stdin(secret_input(input))
    } else if let Some(place) = location.strip_prefix("s3:") {
        let (id, key) = (value("AWS_ACCESS_KEY_ID")?, value("AWS_SECRET_ACCESS_KEY")?);
        let (base, bucket, prefix) = parse_s3_location(place)?;
        let region = value("AWS_DEFAULT_REGION").unwrap_or("us-east-1");
        let mut settings = vec![
            format!("aws-sigv4 = \"aws:amz:{}:s3\"", quote_curl_value(region)),
            format!("user = \"{}\"", quote_curl_value(&format!("{id}:{key}"))),
        ];
        if let Some(token) = value("AWS_SESSION_TOKEN") {
            settings.push(format!(
                "header = \"x-amz-security-token: {}\"",
                quote_curl_value(token)
            ));
        }
        let input = format!(
            "{}\n{}\n{prefix}\n{}\n",
            quote_curl_value(&base),
            quote_curl_value(&bucket),
            settings.join("\n")
        );
        plain(&format!("writes=PUT\n{HTTP}")).secret_stdin(secret_input(input))
    } else if let Some(remote) = location.strip_prefix("rclone:") {
        let base = match remote.ends_with([':', '/']) {
            true => remote.to_owned(),
            false => format!("{remote}/"),
        };
        let body = script(RCLONE);
        restic.script_command(&body).arg(path).arg(none).arg(base)
    } else if let Some(place) = location.strip_prefix("sftp:") {
        let (to, port, folder) = parse_sftp_location(place)?;
        plain(SFTP).arg(format!("{folder}/")).arg(to).arg(port)
    } else {
        let folder = location.strip_prefix("local:").unwrap_or(location);
        if !folder.starts_with('/') {
            return None;
        }
        plain(FOLDER).arg(format!("{}/", folder.trim_end_matches('/')))
    };
    Some(command)
}

fn secret_input(text: String) -> SecretBox<Vec<u8>> {
    SecretBox::new(Box::new(text.into_bytes()))
}

/// Between the quotes of curl's settings.
fn quote_curl_value(text: &str) -> String {
    let text = text.replace('\\', "\\\\").replace('"', "\\\"");
    text.replace(['\n', '\r'], "")
}

/// Parses the location of an S3 repository, `https://host/bucket/prefix` or `host/bucket/prefix`.
/// Returns the URL of the repository, the URL of the bucket, and the prefix.
fn parse_s3_location(place: &str) -> Option<(String, String, String)> {
    let (scheme, rest) = place.split_once("://").unwrap_or(("https", place));
    let (host, path) = rest.split_once('/')?;
    let path = path.trim_matches('/');
    let (bucket, prefix) = path.split_once('/').unwrap_or((path, ""));
    let prefix = match prefix {
        "" => String::new(),
        some => format!("{some}/"),
    };
    let of = format!("{scheme}://{host}/{bucket}");
    (!bucket.is_empty()).then(|| (format!("{of}/{prefix}"), of, prefix))
}

/// Parses the location of an SFTP repository, `user@host:/path` or `//user@host:port//path`.
/// Returns the SSH destination, the port (empty if none is named), and the folder.
fn parse_sftp_location(place: &str) -> Option<(String, String, String)> {
    let (to, port, folder) = match place.strip_prefix("//") {
        Some(rest) => {
            let (to, folder) = rest.split_once('/')?;
            match to.rsplit_once(':') {
                Some((to, port)) => (to, port, folder),
                None => (to, "", folder),
            }
        }
        None => {
            let (to, folder) = place.split_once(':')?;
            (to, "", folder)
        }
    };
    let folder = folder.trim_end_matches('/').to_owned();
    Some((to.to_owned(), port.to_owned(), folder))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn places_are_read_as_restic_reads_them() {
        let of = |base: &str, bucket: &str, prefix: &str| {
            Some((base.to_owned(), bucket.to_owned(), prefix.to_owned()))
        };
        assert_eq!(
            parse_s3_location("http://10.0.0.1:9000/b"),
            of("http://10.0.0.1:9000/b/", "http://10.0.0.1:9000/b", "")
        );
        assert_eq!(
            parse_s3_location("s3.example.org/b/x/y/"),
            of(
                "https://s3.example.org/b/x/y/",
                "https://s3.example.org/b",
                "x/y/"
            )
        );
        assert_eq!(parse_s3_location("https://s3.example.org/"), None);
        assert_eq!(
            parse_sftp_location("vault:/srv/r"),
            of("vault", "", "/srv/r")
        );
        assert_eq!(
            parse_sftp_location("//u@h:2222//srv/r/"),
            of("u@h", "2222", "/srv/r")
        );
        assert_eq!(quote_curl_value("a\"b\\\nurl"), "a\\\"b\\\\url");
    }
}
