//! scripts/install.sh, from a server on this machine: it installs what the checksums say, and nothing else.

use std::collections::BTreeMap;
use std::io::{BufRead as _, BufReader, Write as _};
use std::net::TcpListener;
use std::path::{Path, PathBuf};
use std::process::{Command, Output};
use std::sync::{Arc, Mutex};

use sha2::{Digest as _, Sha256};

/// What a release's server answers with, by path.
type Files = Arc<Mutex<BTreeMap<String, Vec<u8>>>>;

/// Serves files over HTTP on a port of loopback until the test ends, and says where.
fn serve(files: &Files) -> String {
    let listener = TcpListener::bind(("127.0.0.1", 0)).expect("a port");
    let place = listener.local_addr().expect("an address");
    let files = files.clone();
    std::thread::spawn(move || {
        for stream in listener.incoming() {
            let Ok(mut stream) = stream else { return };
            let mut request = String::new();
            let mut lines = BufReader::new(stream.try_clone().expect("the stream"));
            let _ = lines.read_line(&mut request);
            // To the empty line: a connection that is closed with unread bytes is reset.
            let mut line = String::new();
            while lines.read_line(&mut line).is_ok_and(|n| n > 2) {
                line.clear();
            }
            let path = request.split(' ').nth(1).unwrap_or_default();
            let found = files.lock().expect("the files").get(path).cloned();
            let status = match found {
                Some(_) => "200 OK",
                None => "404 Not Found",
            };
            let body = found.unwrap_or_default();
            let length = body.len();
            let head = format!(
                "HTTP/1.1 {status}\r\nContent-Length: {length}\r\nConnection: close\r\n\r\n"
            );
            let _ = stream.write_all(head.as_bytes());
            let _ = stream.write_all(&body);
        }
    });
    format!("http://{place}/v9.9.9")
}

/// An archive as a release has it, with a program that says a version.
fn archive(folder: &Path, arch: &str, version: &str) -> Vec<u8> {
    let name = format!("matou-9.9.9-{arch}-linux");
    let tree = folder.join(&name);
    std::fs::create_dir_all(&tree).expect("a folder");
    let program = format!("#!/bin/sh\necho matou {version} for {arch}\n");
    std::fs::write(tree.join("matou"), program).expect("written");
    let mode = std::os::unix::fs::PermissionsExt::from_mode(0o755);
    std::fs::set_permissions(tree.join("matou"), mode).expect("a mode");
    pack(folder, &name)
}

/// An archive of a folder below another.
fn pack(folder: &Path, name: &str) -> Vec<u8> {
    let out = Command::new("tar")
        .args(["-cz", "-C"])
        .arg(folder)
        .arg(name)
        .output()
        .expect("tar");
    assert!(out.status.success(), "{out:?}");
    out.stdout
}

fn sum_line(name: &str, bytes: &[u8]) -> String {
    let digest: String = Sha256::digest(bytes)
        .iter()
        .map(|b| format!("{b:02x}"))
        .collect();
    format!("{digest}  {name}\n")
}

struct Release {
    dir: tempfile::TempDir,
    files: Files,
    url: String,
}

impl Release {
    fn new() -> Self {
        let files = Files::default();
        let url = serve(&files);
        let dir = tempfile::tempdir().expect("a folder");
        let release = Self { dir, files, url };
        let mut sums = String::new();
        for arch in ["x86_64", "aarch64"] {
            let name = format!("matou-9.9.9-{arch}-linux.tar.gz");
            let bytes = archive(release.dir.path(), arch, "9.9.9");
            sums += &sum_line(&name, &bytes);
            release.set(&name, bytes);
        }
        release.set("SHA256SUMS", sums.into_bytes());
        release
    }

    fn set(&self, name: &str, bytes: Vec<u8>) {
        let path = format!("/v9.9.9/{name}");
        self.files.lock().expect("the files").insert(path, bytes);
    }

    fn remove(&self, name: &str) {
        let path = format!("/v9.9.9/{name}");
        self.files.lock().expect("the files").remove(&path);
    }

    fn bin(&self) -> PathBuf {
        self.dir.path().join("home/bin")
    }

    fn install(&self, url: &str, args: &[&str]) -> Output {
        Command::new("sh")
            .arg(Path::new(env!("CARGO_MANIFEST_DIR")).join("scripts/install.sh"))
            .args(args)
            .env("MATOU_URL", url)
            .env("MATOU_BIN", self.bin())
            .env_remove("http_proxy")
            .env("no_proxy", "127.0.0.1")
            .output()
            .expect("sh starts")
    }

    /// It refuses, says why, and leaves what there is.
    fn refuses(&self, url: &str, why: &str) {
        let files = |folder: &Path| {
            let names = folder.read_dir().map_or(vec![], |all| {
                all.map(|e| e.expect("an entry").path()).collect()
            });
            let mut all: Vec<(PathBuf, Vec<u8>)> = names
                .into_iter()
                .map(|p| (p.clone(), std::fs::read(p).expect("a file")))
                .collect();
            all.sort();
            all
        };
        let before = files(&self.bin());
        let out = self.install(url, &[]);
        let text = String::from_utf8_lossy(&out.stderr).into_owned();
        assert_eq!(out.status.code(), Some(1), "{text}");
        assert!(
            text.contains("matou is not installed: ") && text.contains(why),
            "{why}: {text}"
        );
        assert_eq!(files(&self.bin()), before);
    }
}

#[test]
fn what_the_checksums_say_is_installed() {
    let release = Release::new();
    let here = std::env::consts::ARCH;
    let out = release.install(&release.url, &[]);
    let text = String::from_utf8_lossy(&out.stdout).into_owned();
    assert!(out.status.success(), "{out:?}");
    let place = release.bin().join("matou");
    let first = format!("matou 9.9.9 for {here}\ninstalled as {}\n", place.display());
    assert!(text.starts_with(&first), "{text}");
    assert!(text.contains("is not in PATH"), "{text}");

    // Again, and programs for managers beside it.
    let out = release.install(&release.url, &["aarch64", "x86_64"]);
    assert!(out.status.success(), "{out:?}");
    for arch in ["aarch64", "x86_64"] {
        let out = Command::new(release.bin().join(format!("matou-{arch}"))).output();
        let text = out.expect("it starts").stdout;
        assert_eq!(text, format!("matou 9.9.9 for {arch}\n").as_bytes());
    }
    assert_eq!(release.bin().read_dir().expect("a folder").count(), 3);
    let out = release.install(&release.url, &["riscv64"]);
    assert_eq!(out.status.code(), Some(2), "{out:?}");
}

#[test]
fn what_the_checksums_do_not_say_is_refused() {
    let release = Release::new();
    let here = std::env::consts::ARCH;
    let name = format!("matou-9.9.9-{here}-linux.tar.gz");
    assert!(release.install(&release.url, &[]).status.success());

    let url = release.url.clone();
    let good = archive(release.dir.path(), here, "9.9.9");
    release.set(&name, archive(release.dir.path(), here, "6.6.6"));
    release.refuses(&url, &format!("{name} is not what SHA256SUMS says"));
    release.set(&name, Vec::new());
    release.refuses(&url, &format!("{name} is not what SHA256SUMS says"));
    release.remove(&name);
    release.refuses(&url, &format!("{url}/{name} can't be downloaded"));

    // The checksums say nothing of it, or two things, or are not there.
    release.set(&name, good.clone());
    let other = sum_line("matou-9.9.9-riscv64-linux.tar.gz", &good);
    release.set("SHA256SUMS", other.clone().into_bytes());
    release.refuses(&url, &format!("names no archive for {here}"));
    let two = sum_line(&name, &good) + &sum_line(&name, b"");
    release.set("SHA256SUMS", two.into_bytes());
    release.refuses(&url, "names more than one archive");
    // A name is no path.
    let climbing = sum_line(&format!("../matou-9-{here}-linux.tar.gz"), &good);
    release.set("SHA256SUMS", climbing.into_bytes());
    release.refuses(&url, &format!("names no archive for {here}"));
    release.remove("SHA256SUMS");
    release.refuses(&url, "SHA256SUMS can't be downloaded");
}

#[test]
fn what_does_not_start_or_comes_over_plain_http_is_refused() {
    let release = Release::new();
    let here = std::env::consts::ARCH;
    let name = format!("matou-9.9.9-{here}-linux.tar.gz");
    let url = release.url.clone();
    let tree = format!("matou-9.9.9-{here}-linux");
    let program = release.dir.path().join(&tree).join("matou");
    std::fs::write(program, "#!/nowhere/sh\n").expect("written");
    let bytes = pack(release.dir.path(), &tree);
    release.set("SHA256SUMS", sum_line(&name, &bytes).into_bytes());
    release.set(&name, bytes);
    release.refuses(&url, "it can't start here");
    release.refuses("http://example.org/matou", "is no https address");
    release.refuses("http://127.0.0.1.example.org/matou", "is no https address");
    release.refuses("http://localhost.example.org/", "is no https address");
    release.refuses("", "no release is known: set MATOU_URL");
}
