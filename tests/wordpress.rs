//! The life of a real application, WordPress with MariaDB, by the catalogue's stack: installed before anybody
//! sees it, logged in to as declared, with mail, backed up, destroyed, restored, moved to another node, updated.

mod support;

use std::path::{Path, PathBuf};
use std::process::Command;
use std::time::Duration;

use serde_json::Value;
use support::edge::{Authority, deploy_traefik};
use support::registry::free_port;
use support::stranger::Stranger;
use support::{Fleet, matou, ok, private, said, server, until};

const HOST: &str = "press.lab.test";
const MAIL_PASSWORD: &str = "mail-s3cret-of-the-fleet";

/// WordPress on a practice fleet of two nodes that share their data.
struct Site {
    fleet: Fleet,
    config: PathBuf,
}

impl Site {
    /// Asks as a browser would that trusts the authority; headers and body.
    fn ask(&self, path: &str, options: &[&str]) -> Result<String, String> {
        self.ask_name(HOST, path, options)
    }

    fn ask_name(&self, name: &str, path: &str, options: &[&str]) -> Result<String, String> {
        let root = self.config.with_file_name("root.pem");
        let out = Command::new("curl")
            .args(["-sS", "-i", "--max-time", "20", "--cacert"])
            .arg(root)
            .args(options)
            .args([
                "--resolve",
                &format!("{name}:443:{}", self.fleet.address("n1")),
            ])
            .arg(format!("https://{name}{path}"))
            .output()
            .expect("curl");
        match out.status.success() {
            true => Ok(String::from_utf8_lossy(&out.stdout).into_owned()),
            false => Err(said(&out)),
        }
    }

    fn run(&self, args: &[&str]) -> String {
        ok(&self.config, args)
    }

    fn password(&self) -> String {
        let shown = self.run(&["secrets", "press", "show", "admin_password"]);
        shown.trim().to_owned()
    }

    /// Asks WordPress's interface for programs.
    fn call(&self, method: &str, parameters: &str) -> String {
        let body = format!(
            "<?xml version=\"1.0\"?><methodCall><methodName>{method}</methodName><params><param><value><int>1</int></value></param><param><value>ops</value></param><param><value>{}</value></param>{parameters}</params></methodCall>",
            self.password()
        );
        let options = ["-H", "Content-Type: text/xml", "--data-binary", &body];
        let answer = self.ask("/xmlrpc.php", &options).expect("an answer");
        assert!(
            answer.starts_with("HTTP/2 200") && !answer.contains("<fault>"),
            "{answer}"
        );
        answer
    }

    /// The post is there for everybody.
    fn expect_post(&self, when: &str) {
        until(Duration::from_secs(90), || {
            let page = self.ask("/?s=survives", &[])?;
            match page.starts_with("HTTP/2 200") && page.contains("A post that survives") {
                true => Ok(()),
                false => Err(format!("{when}: {page}")),
            }
        });
    }
}

/// A mail server that the fleet reaches, and the folder in which it keeps what it gets.
fn serve_mail(gateway: &str, port: u16, folder: &Path) -> std::process::Child {
    let script = Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/support/smtp.py");
    server("/usr/bin/python3")
        .arg(script)
        .args([
            "--security",
            "none",
            "--password",
            MAIL_PASSWORD,
            "--host",
            gateway,
        ])
        .args(["--port", &port.to_string(), "--folder"])
        .arg(folder)
        .spawn()
        .expect("python3")
}

#[test]
#[ignore = "minutes: make test-long"]
fn wordpress_lives() {
    let fleet = Fleet::with_shared_data("press", 2);
    for node in ["n1", "n2"] {
        support::wordpress::images(&fleet, node);
    }
    support::edge::images(&fleet, "n1");
    let address = fleet.address("n1");
    let gateway = format!("{}.1", address.rsplit_once('.').expect("IPv4").0);
    let authority = Authority::start(&gateway, &address);
    let mails = tempfile::tempdir().expect("a folder");
    let port = free_port();
    let mut mail_server = serve_mail(&gateway, port, mails.path());
    let beside = |name: &str| fleet.lab.config_path().with_file_name(name);
    std::fs::write(beside("root.pem"), authority.root_pem()).expect("written");
    private(&beside("mail-password"), &format!("{MAIL_PASSWORD}\n"));
    private(&beside("restic-password"), "correct horse\n");
    let config = fleet.config(
        "press.toml",
        &format!(
            "[edge]\nemail = \"ops@example.org\"\nca_file = \"root.pem\"\n[mail]\nserver = \"{gateway}\"\nport = {port}\nsecurity = \"none\"\nuser = \"matou\"\npassword_file = \"mail-password\"\nsender = \"blog@lab.test\"\n[backup]\nrepository = \"/srv/restic\"\npassword_file = \"restic-password\"\n"
        ),
    );
    deploy_traefik(&fleet, &config, &authority);
    let site = Site { fleet, config };
    // From before there is anything until the end of all, through restore and move as well.
    let stranger = Stranger::comes(HOST, address, &["/", "/wp-admin/install.php"], is_installer);
    installs_itself(&site);
    the_installer_is_known(&site);
    logs_in(&site);
    sends_mail(&site, mails.path());
    let post = "<param><value><struct><member><name>post_title</name><value>A post that survives</value></member><member><name>post_status</name><value>publish</value></member></struct></value></param>";
    site.call("wp.newPost", post);
    site.expect_post("written");
    comes_back(&site);
    site.run(&["place", "press", "n2", "--yes"]);
    site.expect_post("on another node");
    site.fleet
        .run("n2", "[ -n \"$(docker ps -q -f name=press_web)\" ]");
    rises(&site);
    // Before the name that it asks for leads to another.
    stranger.finds_nothing();
    renames(&site);
    tried_as_a_release_is(&site);
    let _ = mail_server.kill();
    let _ = mail_server.wait();
}

/// By the README's line, with the images that the stack names; a stranger never sees an installer.
fn installs_itself(site: &Site) {
    let args = [
        "deploy",
        "wordpress",
        "press",
        "DOMAIN=press.lab.test",
        "TITLE=Chatons",
        "ADMIN_LOGIN=ops",
        "--yes",
    ];
    let text = said(&matou(&site.config, &args));
    assert!(
        text.contains("+ secret press_db_password_v1, made at random"),
        "{text}"
    );
    // It answers when its tasks run, or is waited for.
    let answers = ["https://press.lab.test answers 200 in", "n1: answer ok"];
    assert!(answers.iter().any(|a| text.contains(a)), "{text}");
    assert!(
        text.contains("log in at https://press.lab.test/wp-admin/ as ops\n")
            && text.contains(
                "the password that its stack made: `matou secrets press show admin_password`"
            ),
        "{text}"
    );
}

/// WordPress's installer, or an answer that leads to it.
fn is_installer(_: &str, answer: &str) -> bool {
    let is_open = answer.contains("id=\"setup\"") || answer.contains("language-chooser");
    let leads = answer.to_ascii_lowercase().contains("location: ")
        && answer.contains("/wp-admin/install.php");
    is_open || leads
}

/// The real installer, of the same files on tables that are not there, is one that the stranger would know.
fn the_installer_is_known(site: &Site) {
    let line = "c=$(docker ps -q -f name=press_web); docker exec $c sh -c '
        cp -r /var/www/html /tmp/open; cd /tmp/open; sed -i \"s/^.table_prefix = .*/\\$table_prefix = \\\"none_\\\";/\" wp-config.php
        php -S 127.0.0.1:8099 >/dev/null 2>&1 & sleep 3
        for p in / /wp-admin/install.php; do curl -sS -i http://127.0.0.1:8099$p; echo; echo =====; done; kill $!; rm -r /tmp/open'";
    let answers = ["n1", "n2"]
        .iter()
        .map(|node| site.fleet.try_run(node, line))
        .find(|out| out.status.success());
    let answers = said(&answers.expect("one of the nodes has it"));
    let pages: Vec<&str> = answers.split("=====").collect();
    assert!(
        is_installer("/", pages[0]) && is_installer("/wp-admin/install.php", pages[1]),
        "{answers}"
    );
}

/// As the operator was told.
fn logs_in(site: &Site) {
    let password = site.password();
    let form = [
        "log=ops".to_owned(),
        format!("pwd={password}"),
        "testcookie=1".to_owned(),
    ];
    let mut options = vec!["-b", "wordpress_test_cookie=WP%20Cookie%20check"];
    for field in &form {
        options.extend(["--data-urlencode", field]);
    }
    let answer = site.ask("/wp-login.php", &options).expect("a log-in");
    assert!(
        answer.starts_with("HTTP/2 302") && answer.contains("wordpress_logged_in_"),
        "{answer}"
    );
    let page = site.ask("/", &[]).expect("it answers");
    assert!(
        page.starts_with("HTTP/2 200") && page.contains("<title>Chatons</title>"),
        "{page}"
    );
    assert!(page.contains("https://press.lab.test/"), "{page}");
    assert!(
        site.run(&["redeploy", "press", "--yes"])
            .contains("nothing to do")
    );
}

/// A lost password is asked for: the mail arrives, by the fleet's own server.
fn sends_mail(site: &Site, mails: &Path) {
    let options = ["--data-urlencode", "user_login=ops"];
    let answer = site
        .ask("/wp-login.php?action=lostpassword", &options)
        .expect("an answer");
    assert!(answer.contains("checkemail=confirm"), "{answer}");
    until(Duration::from_secs(30), || {
        let found = mails.read_dir().expect("a folder").flatten().next();
        let mail = found.filter(|f| f.path().extension().is_some_and(|e| e == "eml"));
        let mail = mail.ok_or("no mail")?;
        let text = std::fs::read_to_string(mail.path()).map_err(|e| e.to_string())?;
        let fine = text.contains("Envelope-From: blog@lab.test")
            && text.contains("Password Reset")
            && text.contains("https://press.lab.test/wp-login.php");
        fine.then_some(()).ok_or(text)
    });
}

/// Backed up, destroyed with its data, restored.
fn comes_back(site: &Site) {
    site.run(&["repo", "init", "--yes"]);
    site.run(&["backup", "press", "--yes"]);
    let volumes = ["--volume", "press_db", "--volume", "press_html"];
    let mut args = vec!["remove", "press", "--yes"];
    args.extend(volumes);
    site.run(&args);
    assert!(
        !site
            .ask("/", &[])
            .is_ok_and(|a| a.starts_with("HTTP/2 200"))
    );
    site.run(&["restore", "press", "--yes"]);
    site.expect_post("restored");
    site.run(&["restore", "forget", "press", "--yes"]);
}

/// An image with newer code: the version that WordPress names itself rises, and its data stays.
fn rises(site: &Site) {
    site.fleet.run(
        "n2",
        "id=$(docker create wordpress:7.1.3-php8.4-apache); docker cp $id:/usr/src/wordpress/wp-includes/version.php /tmp/version.php
         sed -i \"s/^.wp_version = .*/\\$wp_version = '6.1.999';/\" /tmp/version.php
         docker cp /tmp/version.php $id:/usr/src/wordpress/wp-includes/version.php
         docker commit -c 'ENTRYPOINT [\"docker-entrypoint.sh\"]' -c 'CMD [\"apache2-foreground\"]' $id wordpress:7.1.4-php8.4-apache; docker rm $id",
    );
    let version = || {
        let listed = said(&matou(&site.config, &["update", "press"]));
        let line = listed
            .lines()
            .find(|l| l.starts_with("press says itself that it is "));
        line.map(|l| l.rsplit(' ').next().unwrap_or_default().to_owned())
            .ok_or(listed)
    };
    let before = version().expect("a version");
    assert!(before.starts_with("6.1") && before != "6.1.999", "{before}");
    site.run(&[
        "update",
        "press",
        "--service",
        "web",
        "--to",
        "7.1.4-php8.4-apache",
        "--yes",
    ]);
    assert_eq!(version().expect("a version"), "6.1.999");
    site.expect_post("updated");
}

/// Prints what is kept as [`renames`] has WordPress keep it, and the links of the post.
const KEPT: &str = "$_SERVER['HTTP_HOST'] = 'x'; require '/var/www/html/wp-load.php'; \
    $kept = get_option('kept'); $kept[3]->inner = unserialize($kept[3]->inner); $post = get_posts(['name' => 'links'])[0]; \
    echo 'KEPT ', json_encode([$kept, $post->post_content, $post->guid], JSON_UNESCAPED_SLASHES), PHP_EOL;";

/// Another name and the old one back: links lead to the new name, in what PHP serialized, too; the rest is as it was.
fn renames(site: &Site) {
    let new = "gazette.lab.test";
    let write = "$_SERVER['HTTP_HOST'] = 'x'; require '/var/www/html/wp-load.php'; \
        $deep = (object) ['json' => json_encode(['https://press.lab.test/\u{e9}']), 'inner' => serialize(['//press.lab.test'])]; \
        update_option('kept', ['https://press.lab.test/a', 7, null, $deep, 'me@press.lab.test', 'https://press.lab.test.example/']); \
        wp_insert_post(['post_name' => 'links', 'post_title' => 'Links', 'post_status' => 'publish', \
        'post_content' => 'https://press.lab.test/?a=https%3A%2F%2Fpress.lab.test%2Fb']);";
    let php = |code: &str| site.run(&["run", "press/web", "--", "php", "-r", code]);
    php(write);
    let kept = || {
        let text = php(KEPT);
        let line = text.lines().find_map(|l| l.split_once("KEPT "));
        line.expect(&text).1.to_owned()
    };
    let before = kept();
    assert_eq!(before.matches("press.lab.test").count(), 8, "{before}");
    site.run(&["rename", "press", new, "--yes"]);
    until(Duration::from_secs(90), || {
        let page = site.ask_name(new, "/?s=survives", &[])?;
        match page.starts_with("HTTP/2 200") && page.contains("A post that survives") {
            true => Ok(()),
            false => Err(page),
        }
    });
    let after = kept();
    // The mail address, the longer name and the post's identity are no links of the site.
    assert_eq!(after.matches("press.lab.test").count(), 3, "{after}");
    assert_eq!(after.replace(new, HOST), before);
    let old = site.ask("/?s=survives", &[]).expect("it answers");
    assert!(
        old.starts_with("HTTP/2 301") && old.contains(&format!("https://{new}/?s=survives")),
        "{old}"
    );
    site.run(&["rename", "press", HOST, "--forget", "--yes"]);
    site.expect_post("renamed back");
    assert_eq!(kept(), before);
}

/// What `matou catalogue try` finds of it. The images are the tests' own, so that no registry has them.
fn tried_as_a_release_is(site: &Site) {
    let reports = tempfile::tempdir().expect("a folder");
    let into = reports.path().display().to_string();
    let args = [
        "catalogue",
        "try",
        "wordpress",
        "--set",
        "IMAGE=matou/wordpress:6.1",
        "--into",
        &into,
    ];
    let text = said(&matou(&site.config, &args));
    let report = std::fs::read_to_string(reports.path().join("wordpress.json")).expect(&text);
    let report: Value = serde_json::from_str(&report).expect("JSON");
    for step in report["steps"].as_array().expect("steps") {
        let wanted: &[&str] = match step["name"].as_str().expect("a name") {
            // As registries are in reach or not.
            "facts" | "update" => &["failed", "skipped", "passed"],
            // The tests' image of MariaDB is not the published one.
            "programs" => &["failed", "passed"],
            _ => &["passed"],
        };
        assert!(
            wanted.contains(&step["outcome"].as_str().expect("a word")),
            "{step}\n{text}"
        );
    }
    assert!(
        text.contains("logs in at /wp-login.php: 302, with a wrong password 200"),
        "{text}"
    );
    assert!(
        text.contains("a file in try-wordpress_html, a row in the database of db"),
        "{text}"
    );
}
