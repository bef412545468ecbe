//! `matou mail` with a real mail server (aiosmtpd) and a real server of DNS (dnsmasq), both on loopback. The fleet is
//! this machine.

mod support;

use std::path::{Path, PathBuf};
use std::process::{Command, Output};

use serde_json::Value;
use support::registry::free_port;
use support::{Running, private, said, server, start};

const PASSWORD: &str = "corr3ct-h0rse";

/// The texts that DNS knows.
const RECORDS: [(&str, &str); 11] = [
    ("good.example.org", "v=spf1 mx -all"),
    ("_dmarc.good.example.org", "v=DMARC1; p=reject"),
    (
        "default._domainkey.good.example.org",
        "v=DKIM1; k=rsa; p=MIIBIjANBg",
    ),
    ("own._domainkey.good.example.org", "v=DKIM1; p="),
    ("twice.example.org", "v=spf1 mx -all"),
    ("twice.example.org", "v=spf1 a -all"),
    ("_dmarc.twice.example.org", "v=DMARC1; p=none"),
    ("_dmarc.twice.example.org", "v=DMARC1; p=reject"),
    (
        "evil.example.org",
        "v=spf1 \x1b]0;title\x07\x1b[2Jx\u{202e} +all",
    ),
    ("_dmarc.example.net", "v=DMARC1; p=reject; sp=none"),
    ("sub.example.net", "v=spf1 redirect=_spf.example.net"),
];

/// A folder of the operator, certificates, and the servers.
struct Practice {
    folder: tempfile::TempDir,
    dns: u16,
    _dns: Running,
}

impl Practice {
    fn new() -> Self {
        let folder = tempfile::tempdir().expect("a folder");
        make_certificates(folder.path());
        std::fs::create_dir(folder.path().join("mails")).expect("made");
        let dns = free_port();
        let mut command = server("/usr/sbin/dnsmasq");
        command.args([
            "--keep-in-foreground",
            "--conf-file=/dev/null",
            "--pid-file",
            "--user=root",
            "--no-resolv",
            "--no-hosts",
            "--bind-interfaces",
            "--listen-address=127.0.0.1",
            "--local=/example.org/",
            "--local=/example.net/",
            "--mx-host=good.example.org,mx.good.example.org,10",
        ]);
        command.arg(format!("--port={dns}"));
        for (name, text) in RECORDS {
            command.arg(format!("--txt-record={name},{text}"));
        }
        let running = start(&mut command, dns);
        Self {
            folder,
            dns,
            _dns: running,
        }
    }

    fn path(&self, name: &str) -> PathBuf {
        self.folder.path().join(name)
    }

    /// Starts a mail server, and writes the configuration with it.
    fn serve(&self, security: &str) -> (Running, u16) {
        let port = free_port();
        let script = Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/support/smtp.py");
        let mut command = server("/usr/bin/python3");
        command.arg(script);
        command.args(["--security", security, "--password", PASSWORD]);
        command.args(["--port", &port.to_string()]);
        command.arg("--folder").arg(self.path("mails"));
        command.arg("--certificate").arg(self.path("leaf.pem"));
        command.arg("--key").arg(self.path("leaf.key"));
        let running = start(&mut command, port);
        self.write_config(port, security, PASSWORD, "good.example.org");
        (running, port)
    }

    fn write_config(&self, port: u16, security: &str, password: &str, domain: &str) {
        private(&self.path("password"), &format!("{password}\n"));
        let text = format!(
            r#"
[fleet]
name = "practice"
[[nodes]]
name = "n1"
role = "manager"
[mail]
server = "localhost"
port = {port}
security = "{security}"
user = "matou"
password_file = "password"
sender = "hello@{domain}"
"#
        );
        private(&self.path("config.toml"), &text);
    }

    fn run_with(&self, authorities: &str, args: &[&str]) -> Output {
        Command::new(env!("CARGO_BIN_EXE_matou"))
            .arg("mail")
            .args(["--dns", &format!("127.0.0.1:{}", self.dns)])
            .args(args)
            .current_dir(self.folder.path())
            .env("HOME", self.folder.path())
            .env("XDG_STATE_HOME", self.path("state"))
            .env("XDG_RUNTIME_DIR", self.folder.path())
            .env("SSL_CERT_FILE", self.path(authorities))
            .env_remove("SSL_CERT_DIR")
            .env_remove("MATOU_CONFIG")
            .output()
            .expect("matou starts")
    }

    fn run(&self, args: &[&str]) -> Output {
        self.run_with("ca.pem", args)
    }

    fn list_mails(&self) -> Vec<String> {
        let mails = self.path("mails").read_dir().expect("a folder");
        let paths = mails.map(|entry| entry.expect("an entry").path());
        paths
            .map(|path| std::fs::read_to_string(path).expect("a mail"))
            .collect()
    }
}

fn run_openssl(folder: &Path, line: &str) {
    let out = Command::new("openssl")
        .args(line.split(' '))
        .current_dir(folder)
        .output()
        .expect("openssl");
    assert!(out.status.success(), "{line}: {}", said(&out));
}

/// An authority with a certificate for localhost, and another authority.
fn make_certificates(folder: &Path) {
    for name in ["ca", "other"] {
        run_openssl(
            folder,
            &format!(
                "req -x509 -newkey rsa:2048 -nodes -days 2 -subj /CN={name} -keyout {name}.key -out {name}.pem"
            ),
        );
    }
    std::fs::write(
        folder.join("leaf.ext"),
        "subjectAltName=DNS:localhost\nbasicConstraints=CA:FALSE\n",
    )
    .expect("written");
    run_openssl(
        folder,
        "req -newkey rsa:2048 -nodes -subj /CN=localhost -keyout leaf.key -out leaf.csr",
    );
    run_openssl(
        folder,
        "x509 -req -in leaf.csr -CA ca.pem -CAkey ca.key -CAcreateserial -days 2 -extfile leaf.ext -out leaf.pem",
    );
}

#[test]
fn a_mail_is_sent_and_what_the_server_says_is_told() {
    let practice = Practice::new();
    let (_server, port) = practice.serve("starttls");
    let out = practice.run(&["--to", "ops@example.net"]);
    let text = said(&out);
    assert!(out.status.success(), "{text}");
    assert!(text.contains("taken: 250 2.0.0 Ok: queued as 1"), "{text}");
    assert!(
        text.contains(&format!("reaches localhost:{port}")),
        "{text}"
    );
    assert!(text.contains("v=spf1 mx -all"), "{text}");
    assert!(text.contains("v=DMARC1; p=reject"), "{text}");
    assert!(
        text.contains("default._domainkey.good.example.org"),
        "{text}"
    );
    assert!(text.contains("mx.good.example.org"), "{text}");
    assert!(!text.contains("warning"), "{text}");
    let mails = practice.list_mails();
    assert_eq!(mails.len(), 1);
    for wanted in [
        "Envelope-From: hello@good.example.org",
        "Envelope-To: ops@example.net",
        "From: hello@good.example.org",
        "To: ops@example.net",
        "Subject: matou: test mail of the fleet practice",
        "@good.example.org>",
        "Auto-Submitted: auto-generated",
    ] {
        assert!(mails[0].contains(wanted), "{wanted}: {}", mails[0]);
    }

    // A recipient that is refused, in words that a terminal would obey.
    let out = practice.run(&["--to", "refused@example.net"]);
    let text = said(&out);
    assert_eq!(out.status.code(), Some(1), "{text}");
    assert!(
        text.contains("the recipient is refused: 550 5.1.1 nobody of that name"),
        "{text}"
    );
    assert!(!text.contains('\u{1b}'), "{text}");

    // A certificate of an authority that is not trusted.
    let out = practice.run_with("other.pem", &["--to", "ops@example.net"]);
    let text = said(&out);
    assert_eq!(out.status.code(), Some(1), "{text}");
    assert!(text.contains("certificate is not trusted"), "{text}");

    // A wrong password, which is shown nowhere.
    practice.write_config(port, "starttls", "wr0ng-p4ssword", "good.example.org");
    let out = practice.run(&["--to", "ops@example.net", "--json"]);
    let text = said(&out);
    assert_eq!(out.status.code(), Some(1), "{text}");
    let told: Value = serde_json::from_slice(&out.stdout).expect("JSON");
    assert_eq!(told["mail"]["state"], "stopped");
    assert_eq!(told["mail"]["at"], "login");
    assert_eq!(told["mail"]["reply"]["code"], 535);
    assert!(!text.contains("wr0ng-p4ssword"), "{text}");
    assert_eq!(practice.list_mails().len(), 1);
}

#[test]
fn a_connection_is_encrypted_as_the_configuration_says_or_not_used() {
    let practice = Practice::new();
    let (_tls, port) = practice.serve("tls");
    let out = practice.run(&["--to", "ops@example.net"]);
    assert!(out.status.success(), "{}", said(&out));
    let out = practice.run_with("other.pem", &["--to", "ops@example.net"]);
    let text = said(&out);
    assert_eq!(out.status.code(), Some(1), "{text}");
    assert!(text.contains("certificate is not trusted"), "{text}");
    assert_eq!(practice.list_mails().len(), 1);

    let (_plain, plain) = practice.serve("none");
    practice.write_config(plain, "starttls", PASSWORD, "good.example.org");
    let out = practice.run(&["--to", "ops@example.net"]);
    let text = said(&out);
    assert_eq!(out.status.code(), Some(1), "{text}");
    assert!(text.contains("offers no STARTTLS"), "{text}");
    practice.write_config(plain, "tls", PASSWORD, "good.example.org");
    let out = practice.run(&["--to", "ops@example.net"]);
    let text = said(&out);
    assert_eq!(out.status.code(), Some(1), "{text}");
    assert!(text.contains("can't be encrypted"), "{text}");
    assert_eq!(practice.list_mails().len(), 1);

    // Nothing listens.
    let closed = free_port();
    assert_ne!(closed, port);
    practice.write_config(closed, "starttls", PASSWORD, "good.example.org");
    let out = practice.run(&["--to", "ops@example.net", "--json"]);
    assert_eq!(out.status.code(), Some(1), "{}", said(&out));
    let told: Value = serde_json::from_slice(&out.stdout).expect("JSON");
    assert_eq!(told["mail"]["at"], "connect");
    assert_eq!(told["nodes"][0]["reached"], false);
    let problem = told["nodes"][0]["problem"].as_str().expect("a sentence");
    assert!(problem.contains("Connection refused"), "{problem}");
}

#[test]
fn what_dns_says_of_the_sender_is_told_and_changes_no_exit_code() {
    let practice = Practice::new();
    let (_server, port) = practice.serve("starttls");
    let ask = |domain: &str, more: &[&str]| {
        practice.write_config(port, "starttls", PASSWORD, domain);
        let mut args = vec!["--to", "ops@example.net", "--json"];
        args.extend(more);
        let out = practice.run(&args);
        assert!(out.status.success(), "{domain}: {}", said(&out));
        let told: Value = serde_json::from_slice(&out.stdout).expect("JSON");
        assert_eq!(told["mail"]["reply"]["code"], 250, "{domain}");
        told
    };
    let count = |told: &Value| told["warnings"].as_array().expect("a list").len();

    let good = ask("good.example.org", &[]);
    assert_eq!(good["dns"]["spf"]["end"], "fail");
    assert_eq!(good["dns"]["dmarc"]["policy"], "reject");
    assert_eq!(good["dns"]["dkim"][0]["selector"], "default");
    assert_eq!(good["dns"]["mx"]["servers"][0], "mx.good.example.org");
    assert_eq!(count(&good), 0, "{good}");

    let named = ask(
        "good.example.org",
        &["--selector", "own", "--selector", "none"],
    );
    assert_eq!(named["dns"]["dkim"][0]["state"], "revoked");
    assert_eq!(named["dns"]["dkim"][1]["state"], "missing");
    assert_eq!(count(&named), 2, "{named}");

    let missing = ask("nothing.example.org", &[]);
    for record in ["spf", "dmarc", "mx"] {
        assert_eq!(missing["dns"][record]["state"], "missing", "{missing}");
    }
    assert_eq!(count(&missing), 4, "{missing}");

    let twice = ask("twice.example.org", &[]);
    assert_eq!(twice["dns"]["spf"]["state"], "several");
    assert_eq!(twice["dns"]["dmarc"]["state"], "several");

    // Of the domain above it, what is said of those below.
    let below = ask("sub.example.net", &[]);
    assert_eq!(below["dns"]["dmarc"]["policy"], "none");
    assert_eq!(below["dns"]["spf"]["end"], "redirect");

    let evil = ask("evil.example.org", &[]);
    assert_eq!(evil["dns"]["spf"]["end"], "pass");
    let out = practice.run(&["--to", "ops@example.net"]);
    let text = said(&out);
    assert!(text.contains("v=spf1 "), "{text}");
    for hidden in ['\u{1b}', '\u{7}', '\u{202e}'] {
        assert!(!text.contains(hidden), "{text:?}");
    }
}

#[test]
fn without_a_mail_server_it_says_what_to_add() {
    let practice = Practice::new();
    let text = "[[nodes]]\nname = \"n1\"\nrole = \"manager\"\n";
    std::fs::write(practice.path("config.toml"), text).expect("written");
    let out = practice.run(&["--to", "ops@example.net"]);
    let text = said(&out);
    assert_eq!(out.status.code(), Some(2), "{text}");
    assert!(text.contains("[mail]"), "{text}");
}
