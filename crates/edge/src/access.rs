//! Traefik's access log: where it is, and what its lines say.

use matou_i18n::tr;
use std::time::Duration;

use jiff::Timestamp;
use serde::Deserialize;

use super::options::{find_service_mount, list_static_options};
use crate::EdgeError;
use matou_base::text;
use matou_docker::ServiceSpec;
use matou_model::AccessRecord;

/// Longest text kept of each field, bytes.
const MAX_FIELD_BYTES: usize = 1024;

/// What is read of a line; unknown fields are passed over, and those that were switched off
/// (`accesslog.fields`) may be missing.
#[derive(Deserialize)]
#[serde(rename_all = "PascalCase")]
struct RawAccessLine<'a> {
    #[serde(rename = "StartUTC")]
    start: Option<Timestamp>,
    /// When the line was written.
    #[serde(rename = "time")]
    written: Option<Timestamp>,
    downstream_status: Option<u16>,
    origin_status: Option<u16>,
    /// Nanoseconds.
    duration: Option<u64>,
    #[serde(borrow, default)]
    request_method: BorrowedText<'a>,
    #[serde(borrow, default)]
    request_host: BorrowedText<'a>,
    #[serde(borrow, default)]
    request_path: BorrowedText<'a>,
    #[serde(borrow, default)]
    client_host: BorrowedText<'a>,
    #[serde(borrow, default)]
    client_username: BorrowedText<'a>,
    #[serde(borrow, default)]
    router_name: BorrowedText<'a>,
}

/// Text that is borrowed where it holds no escapes.
#[derive(Deserialize, Default)]
#[serde(transparent)]
struct BorrowedText<'a>(#[serde(borrow)] std::borrow::Cow<'a, str>);

impl BorrowedText<'_> {
    /// Returns the text made safe to show and cut to [`MAX_FIELD_BYTES`]. `-`, with which Traefik
    /// means nothing, becomes empty.
    fn clean_and_cut(&self) -> Box<str> {
        let cut = |text: &str| text.floor_char_boundary(MAX_FIELD_BYTES);
        match &*text::clean_line(&self.0[..cut(&self.0)]) {
            "-" => "".into(),
            // Cleaning can make a text longer.
            clean => clean[..cut(clean)].into(),
        }
    }
}

/// Reads a line of the access log as JSON; `None` for anything else, as Traefik's own messages.
///
/// Fields: <https://doc.traefik.io/traefik/reference/install-configuration/observability/logs-and-accesslogs/>
/// (`Duration` in nanoseconds, `ClientHost` without its port, `RouterName` with its provider); as
/// written by Traefik 3.7, also in the order of the alphabet and without spaces.
pub fn parse_access_record(line: &[u8]) -> Option<AccessRecord> {
    let start = line.iter().position(|b| !b.is_ascii_whitespace())?;
    if line[start] != b'{' {
        return None;
    }
    let owned = String::from_utf8_lossy(&line[start..]);
    let line: RawAccessLine<'_> = serde_json::from_str(&owned).ok()?;
    let method = line.request_method.clean_and_cut();
    if method.is_empty() {
        return None;
    }
    Some(AccessRecord {
        at: line.start.or(line.written)?,
        status: line.downstream_status.or(line.origin_status)?,
        method,
        host: line.request_host.clean_and_cut(),
        path: line.request_path.clean_and_cut(),
        duration: Duration::from_nanos(line.duration.unwrap_or(0)),
        client: line.client_host.clean_and_cut(),
        user: line.client_username.clean_and_cut(),
        router: line.router_name.clean_and_cut(),
    })
}

/// Where Traefik writes its access log.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum AccessLog {
    /// Standard output, among its own messages.
    Output,
    /// A file on the node: at `rest` in `source`, a folder or the name of a volume.
    File {
        /// A folder of the node, or a volume's name.
        source: String,
        /// `source` is a volume.
        volume: bool,
        /// The path below `source`.
        rest: String,
    },
}

/// Finds the access log by Traefik's options.
///
/// # Errors
/// A sentence that says what to change so that the log can be read.
pub fn find_access_log(spec: &ServiceSpec, service: &str) -> Result<AccessLog, EdgeError> {
    let options = list_static_options(spec);
    let option = |key: &str| {
        let mut found = options.iter().filter(|(k, _)| k == key);
        found.next_back().map(|(_, value)| value.as_str())
    };
    let on = options
        .iter()
        .any(|(k, _)| k == "accesslog" || k.starts_with("accesslog."));
    if !on || option("accesslog") == Some("false") {
        return Err(EdgeError::failed(tr!(
            "{service} writes no access log: give it --accesslog=true and --accesslog.format=json"
        )));
    }
    if !option("accesslog.format").is_some_and(|f| f.eq_ignore_ascii_case("json")) {
        return Err(EdgeError::failed(tr!(
            "the access log of {service} is not JSON: give it --accesslog.format=json"
        )));
    }
    let Some(path) = option("accesslog.filepath").filter(|p| !p.is_empty()) else {
        return Ok(AccessLog::Output);
    };
    let (source, volume, rest) = find_service_mount(spec, path).ok_or_else(|| {
        tr!("{path} of {service} is in no folder of its node: mount one there, or leave --accesslog.filepath out")
    })?;
    Ok(AccessLog::File {
        source,
        volume,
        rest,
    })
}

#[cfg(test)]
mod tests {
    use super::*;
    use serde_json::json;

    /// As Traefik 3.7 wrote them on a practice fleet.
    const FOUND: &str = r#"{"ClientAddr":"10.213.234.1:52560","ClientHost":"10.213.234.1","ClientPort":"52560","ClientUsername":"-","DownstreamContentSize":124,"DownstreamStatus":404,"Duration":6119341,"OriginContentSize":124,"OriginDuration":5847929,"OriginStatus":404,"Overhead":271412,"RequestAddr":"one.lab.test","RequestContentSize":0,"RequestCount":37,"RequestHost":"one.lab.test","RequestMethod":"GET","RequestPath":"/gone?token=secret\u0026x=%1b%5b2J","RequestPort":"-","RequestProtocol":"HTTP/2.0","RequestScheme":"https","RetryAttempts":0,"RouterName":"one@swarm","ServiceAddr":"10.0.1.6:8080","ServiceName":"one@swarm","ServiceURL":"http://10.0.1.6:8080","StartLocal":"2026-11-24T16:21:08.339777616Z","StartUTC":"2026-11-24T16:21:08.339777616Z","TLSCipher":"TLS_AES_128_GCM_SHA256","TLSVersion":"1.3","entryPointName":"websecure","level":"info","msg":"","time":"2026-11-24T16:21:08Z"}"#;
    const NOBODY: &str = r#"{"ClientAddr":"10.213.234.1:52590","ClientHost":"10.213.234.1","ClientPort":"52590","ClientUsername":"-","DownstreamContentSize":19,"DownstreamStatus":404,"Duration":190142,"GzipRatio":0,"OriginContentSize":0,"OriginDuration":0,"OriginStatus":0,"Overhead":190142,"RequestAddr":"nobody.lab.test","RequestContentSize":0,"RequestCount":39,"RequestHost":"nobody.lab.test","RequestMethod":"GET","RequestPath":"/","RequestPort":"-","RequestProtocol":"HTTP/2.0","RequestScheme":"https","RetryAttempts":0,"StartLocal":"2026-11-24T16:21:08.4016815Z","StartUTC":"2026-11-24T16:21:08.4016815Z","TLSCipher":"TLS_AES_128_GCM_SHA256","TLSVersion":"1.3","entryPointName":"websecure","level":"info","msg":"","time":"2026-11-24T16:21:08Z"}"#;

    #[test]
    fn real_lines_are_read() {
        let found = parse_access_record(FOUND.as_bytes()).unwrap();
        assert_eq!(found.at, "2026-11-24T16:21:08.339777616Z".parse().unwrap());
        assert_eq!((found.status, &*found.method), (404, "GET"));
        assert_eq!(
            (&*found.host, &*found.router),
            ("one.lab.test", "one@swarm")
        );
        assert_eq!(&*found.path, "/gone?token=secret&x=%1b%5b2J");
        assert_eq!(found.path_without_query(), "/gone");
        assert_eq!(found.duration, Duration::from_nanos(6_119_341));
        assert_eq!((&*found.client, &*found.user), ("10.213.234.1", ""));
        let nobody = parse_access_record(NOBODY.as_bytes()).unwrap();
        assert_eq!((nobody.status, &*nobody.router), (404, ""));
    }

    #[test]
    fn fields_may_be_missing_and_other_lines_are_none() {
        let least = br#" {"RequestMethod":"GET","DownstreamStatus":200,"time":"2026-11-24T16:21:08+01:00"}"#;
        let least = parse_access_record(least).unwrap();
        assert_eq!(least.at, "2026-11-24T15:21:08Z".parse().unwrap());
        assert_eq!((&*least.path, least.duration), ("", Duration::ZERO));
        for other in [
            &b""[..],
            b"2026-11-24T16:19:20Z INF Traefik version 3.7",
            br#"{"level":"info","message":"Starting","time":"2026-11-24T16:21:08Z"}"#,
            br#"{"RequestMethod":"GET","DownstreamStatus":"x","time":"2026-11-24T16:21:08Z"}"#,
            &FOUND.as_bytes()[..400],
        ] {
            assert_eq!(
                parse_access_record(other),
                None,
                "{}",
                String::from_utf8_lossy(other)
            );
        }
    }

    #[test]
    fn hostile_text_is_made_safe_and_cut() {
        let line = json!({
            "RequestMethod": "GET\u{1b}[2J", "DownstreamStatus": 200, "time": "2026-11-24T16:21:08Z",
            "RequestPath": format!("/\u{1b}]0;owned\u{7}a\u{202e}b\n{}", "x".repeat(100_000)),
            "ClientHost": "1.2.3.4\r5.6.7.8", "RequestHost": "\u{9b}31mé",
        });
        let read = parse_access_record(line.to_string().as_bytes()).unwrap();
        assert_eq!(&*read.method, "GET");
        assert!(read.path.starts_with("/ab xxx"), "{}", &read.path[..20]);
        assert!(read.path.len() <= MAX_FIELD_BYTES);
        for text in [&read.path, &read.host, &read.client] {
            assert!(!text.chars().any(char::is_control), "{text:?}");
        }
        let escapes = json!({"RequestMethod": "GET", "DownstreamStatus": 200,
            "time": "2026-11-24T16:21:08Z", "RequestPath": "a\r".repeat(2000)});
        let read = parse_access_record(escapes.to_string().as_bytes()).unwrap();
        assert_eq!(read.path.len(), MAX_FIELD_BYTES);
        // Bytes that are no UTF-8 cost no line.
        let mut odd = FOUND.as_bytes().to_vec();
        odd[20] = 0xff;
        assert!(parse_access_record(&odd).is_some());
    }

    proptest::proptest! {
        #[test]
        fn nothing_panics(bytes in proptest::collection::vec(proptest::num::u8::ANY, 0..200), cut in 0..FOUND.len()) {
            let _ = parse_access_record(&bytes);
            let mut line = FOUND.as_bytes()[..cut].to_vec();
            line.extend(bytes);
            let _ = parse_access_record(&line);
        }
    }

    #[test]
    fn the_log_is_where_the_options_say() {
        let of = |args: &[&str]| {
            let spec = serde_json::from_value(json!({"TaskTemplate": {"ContainerSpec": {
                "Args": args,
                "Mounts": [{"Type": "bind", "Source": "/srv/logs", "Target": "/var/log/traefik"}]}}}));
            find_access_log(&spec.unwrap(), "edge_traefik")
        };
        let json = "--accesslog.format=json";
        let path = "--accessLog.filePath=/var/log/traefik/access.log";
        assert_eq!(of(&["--accesslog", json]).unwrap(), AccessLog::Output);
        let file = AccessLog::File {
            source: "/srv/logs".into(),
            volume: false,
            rest: "/access.log".into(),
        };
        assert_eq!(of(&["--accesslog=true", json, path]).unwrap(), file);
        assert!(
            of(&["--ping=true"])
                .unwrap_err()
                .to_string()
                .contains("writes no access log")
        );
        assert!(
            of(&["--accesslog=false", json])
                .unwrap_err()
                .to_string()
                .contains("writes no access log")
        );
        assert!(
            of(&["--accesslog=true", path])
                .unwrap_err()
                .to_string()
                .contains("is not JSON")
        );
        let lost = of(&["--accesslog=true", json, "--accesslog.filepath=/tmp/a.log"]);
        assert!(lost.unwrap_err().to_string().contains("mount one there"));
    }
}
