//! Tags and configurations from a real registry, open and behind tokens that it verifies. It knows no pages (those of
//! version 3 and of Docker Hub do), so pages come from a server that answers as the specification
//! says: <https://distribution.github.io/distribution/spec/api/#pagination>.

mod support;

use std::io::{BufRead, BufReader, Write};
use std::net::{SocketAddr, TcpListener, TcpStream};
use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};

use base64::Engine as _;
use base64::engine::general_purpose::{STANDARD, URL_SAFE_NO_PAD};
use matou::registry::{
    RegistryError, VersionStep, VersionTag, describe_image, list_image_tags, list_newer_versions,
};
use serde_json::json;
use support::registry::{Registry, free_port};

const LOGIN: &str = "ops:s3cret";

/// Signs tokens for who may have them: <https://distribution.github.io/distribution/spec/auth/jwt/>.
fn token(folder: &Path, repository: &str) -> String {
    let read = |name: &str| std::fs::read_to_string(folder.join(name)).expect("it is there");
    let certificate: String = read("token.pem")
        .lines()
        .filter(|l| !l.starts_with("-----"))
        .collect();
    let now = jiff::Timestamp::now().as_second();
    let head = json!({"typ": "JWT", "alg": "RS256", "x5c": [certificate]});
    let claims = json!({"iss": "practice", "sub": "", "aud": "registry", "jti": "1",
        "iat": now - 60, "nbf": now - 60, "exp": now + 300,
        "access": [{"type": "repository", "name": repository, "actions": ["pull"]}]});
    let part = |v: serde_json::Value| URL_SAFE_NO_PAD.encode(v.to_string());
    let signed = format!("{}.{}", part(head), part(claims));
    let mut sign = Command::new("openssl")
        .args(["dgst", "-sha256", "-sign"])
        .arg(folder.join("token.key"))
        .stdin(Stdio::piped())
        .stdout(Stdio::piped())
        .spawn()
        .expect("openssl");
    let mut stdin = sign.stdin.take().expect("a pipe");
    stdin.write_all(signed.as_bytes()).expect("written");
    drop(stdin);
    let signature = sign.wait_with_output().expect("it ends").stdout;
    format!("{signed}.{}", URL_SAFE_NO_PAD.encode(signature))
}

/// Answers with tokens, and with tags in pages of two.
fn serve(folder: PathBuf) -> SocketAddr {
    let listener = TcpListener::bind("127.0.0.1:0").expect("a port");
    let place = listener.local_addr().expect("an address");
    std::thread::spawn(move || {
        for stream in listener.incoming().flatten() {
            answer(stream, &folder);
        }
    });
    place
}

fn answer(mut stream: TcpStream, folder: &Path) {
    let mut reader = BufReader::new(stream.try_clone().expect("a socket"));
    let mut head = Vec::new();
    loop {
        let mut line = String::new();
        if reader.read_line(&mut line).unwrap_or(0) == 0 || line == "\r\n" {
            break;
        }
        head.push(line.trim().to_owned());
    }
    let path = head[0].split(' ').nth(1).unwrap_or_default().to_owned();
    let basic = format!("authorization: Basic {}", STANDARD.encode(LOGIN));
    let logged_in = head.iter().any(|l| l.eq_ignore_ascii_case(&basic));
    let (code, link, body) = if path.starts_with("/token?") {
        assert!(path.contains("service=registry"), "{path}");
        let scope = path.split("scope=").nth(1).unwrap_or_default();
        let scope = scope.split('&').next().unwrap_or_default();
        let scope = scope.replace("%3A", ":").replace("%2F", "/");
        let repository = scope.split(':').nth(1).unwrap_or_default();
        match repository.starts_with("open/") || logged_in {
            true => (
                200,
                String::new(),
                json!({"token": token(folder, repository)}),
            ),
            false => (401, String::new(), json!({"errors": []})),
        }
    } else {
        assert!(path.starts_with("/v2/paged/tags/list?n="), "{path}");
        let all = ["1.0.0", "1.0.1", "1.1.0", "2.0.0", "\u{1b}[31mevil"];
        let last = path.split("last=").nth(1).unwrap_or_default();
        let from = all.iter().position(|t| *t == last).map_or(0, |i| i + 1);
        let page = &all[from..(from + 2).min(all.len())];
        let link = match from + 2 < all.len() {
            true => format!(
                "Link: </v2/paged/tags/list?n=2&last={}>; rel=\"next\"\r\n",
                page[1]
            ),
            false => String::new(),
        };
        (200, link, json!({"name": "paged", "tags": page}))
    };
    let body = body.to_string();
    let text = format!(
        "HTTP/1.1 {code} X\r\nContent-Type: application/json\r\n{link}Content-Length: {}\r\nConnection: close\r\n\r\n{body}",
        body.len()
    );
    let _ = stream.write_all(text.as_bytes());
}

fn ask(image: &str) -> Result<Vec<String>, RegistryError> {
    let runtime = tokio::runtime::Runtime::new().expect("a runtime");
    runtime.block_on(list_image_tags(image)).map(|mut tags| {
        tags.sort();
        tags
    })
}

#[test]
fn tags_come_from_a_real_registry_with_and_without_a_login() {
    let dir = tempfile::tempdir().expect("a folder");
    let folder = dir.path();
    let logins = folder.join("docker");
    std::fs::create_dir(&logins).expect("made");
    // SAFETY: this is the only test of its program, and nothing else runs yet.
    #[expect(unsafe_code, reason = "a variable of this process")]
    unsafe {
        std::env::set_var("DOCKER_CONFIG", &logins);
    };
    let made = Command::new("openssl")
        .args([
            "req",
            "-x509",
            "-newkey",
            "rsa:2048",
            "-nodes",
            "-days",
            "2",
            "-subj",
            "/CN=practice",
            "-keyout",
        ])
        .arg(folder.join("token.key"))
        .arg("-out")
        .arg(folder.join("token.pem"))
        .output()
        .expect("openssl");
    assert!(made.status.success());

    // Open to everybody.
    let open = Registry::start(folder, free_port(), "");
    open.push(
        "open/hello",
        &["1.0.0", "1.0.2", "1.1.0", "2.0.0", "3.0.0", "latest"],
    );
    open.push("own/hello", &["5.0"]);
    let image = format!("127.0.0.1:{}/open/hello:1.0.0", open.port);
    let found = ask(&image).expect("tags");
    assert_eq!(
        found,
        ["1.0.0", "1.0.2", "1.1.0", "2.0.0", "3.0.0", "latest"]
    );
    let current = VersionTag::parse("1.0.0").expect("a version");
    let offered = list_newer_versions(&current, found.iter().map(String::as_str));
    let offered: Vec<(&str, VersionStep)> =
        offered.iter().map(|n| (n.tag.as_str(), n.step)).collect();
    let wanted = [
        ("2.0.0", VersionStep::Major),
        ("1.1.0", VersionStep::Minor),
        ("1.0.2", VersionStep::Patch),
    ];
    assert_eq!(offered, wanted);
    let lost = format!("127.0.0.1:{}/open/lost:1", open.port);
    assert!(matches!(ask(&lost), Err(RegistryError::Refused { .. })));
    drop(open);
    assert!(matches!(
        ask(&image),
        Err(RegistryError::Unreachable { .. })
    ));

    // Behind tokens, whose signature it verifies.
    let front = serve(folder.to_owned());
    let auth = format!(
        "auth:\n  token:\n    realm: http://{front}/token\n    service: registry\n    issuer: practice\n    rootcertbundle: {}\n",
        folder.join("token.pem").display()
    );
    let closed = Registry::start(folder, free_port(), &auth);
    let image = |repository: &str| format!("127.0.0.1:{}/{repository}/hello:1", closed.port);
    assert_eq!(ask(&image("open")).expect("tags").len(), 6);
    let refused = ask(&image("own")).unwrap_err().to_string();
    assert!(
        refused.contains(&format!("docker login 127.0.0.1:{}", closed.port)),
        "{refused}"
    );
    let host = format!("127.0.0.1:{}", closed.port);
    let stored = json!({"auths": {&host: {"auth": STANDARD.encode(LOGIN)}}});
    std::fs::write(logins.join("config.json"), stored.to_string()).expect("written");
    assert_eq!(ask(&image("own")).expect("tags"), ["5.0"]);
    let runtime = tokio::runtime::Runtime::new().expect("a runtime");
    let described = runtime.block_on(describe_image(&format!("{host}/own/hello:5.0")));
    assert_eq!(described.expect("an image").architectures, ["amd64"]);

    // In pages; what is no tag is left out.
    let paged = ask(&format!("{front}/paged:1.0.0")).expect("tags");
    assert_eq!(paged, ["1.0.0", "1.0.1", "1.1.0", "2.0.0"]);
}
