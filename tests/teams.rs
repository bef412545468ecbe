//! MediaWiki and Redmine of Debian live behind Traefik by the catalogue's stacks: nobody finds an installer or a known
//! password, the administrator logs in as declared, they send mail, and what was written and uploaded survives backup,
//! destruction and restore.

mod support;

use std::sync::atomic::{AtomicBool, Ordering};
use std::time::{Duration, Instant};

use serde_json::Value;
use support::site::{Host, Site, between, cookies};
use support::stranger::Stranger;

fn code(answer: &str) -> &str {
    answer.split_whitespace().nth(1).unwrap_or_default()
}

/// MediaWiki's installer, or its page that leads there.
fn is_installer(_: &str, answer: &str) -> bool {
    answer.contains("mw-config/index.php") || answer.contains("config-page-list")
}

/// MediaWiki asked over its own API, with the cookies of one who is logged in, or of a stranger.
struct Wiki<'a> {
    site: Site<'a>,
    jar: Option<String>,
}

impl Wiki<'_> {
    fn api(&self, parameters: &[(&str, &str)], options: &[&str]) -> Value {
        let fields: Vec<String> = parameters.iter().map(|(n, v)| format!("{n}={v}")).collect();
        let mut all = vec!["--form-string", "format=json"];
        for field in &fields {
            all.extend(["--form-string", field]);
        }
        if let Some(jar) = &self.jar {
            all.extend(["-b", jar, "-c", jar]);
        }
        all.extend(options);
        let answer = self.site.answer("/api.php?formatversion=2", &all);
        let body = answer.split_once("\n\n").map_or("", |(_, body)| body);
        serde_json::from_str(body).unwrap_or_else(|e| panic!("{e}: {answer}"))
    }

    fn token(&self, kind: &str) -> String {
        let asked = [("action", "query"), ("meta", "tokens"), ("type", kind)];
        let answer = self.api(&asked, &[]);
        let token = answer["query"]["tokens"][format!("{kind}token")].as_str();
        token.unwrap_or_else(|| panic!("{answer}")).to_owned()
    }

    fn log_in(&self, password: &str) -> String {
        let token = self.token("login");
        let answer = self.api(
            &[
                ("action", "clientlogin"),
                ("username", "Ops"),
                ("password", password),
                ("logintoken", &token),
                ("loginreturnurl", "https://pedia.lab.test/"),
            ],
            &[],
        );
        let status = answer["clientlogin"]["status"].as_str();
        status.unwrap_or_else(|| panic!("{answer}")).to_owned()
    }

    fn edit(&self, title: &str, text: &str) -> Value {
        let token = self.token("csrf");
        let fields = [
            ("action", "edit"),
            ("title", title),
            ("text", text),
            ("token", &token),
        ];
        self.api(&fields, &[])
    }
}

/// The image without matou's stack shows its installer to whoever comes, and the stranger would know it.
fn the_installer_is_known(host: &Host) {
    let out = host.fleet.try_run(
        "n1",
        "c=$(docker run -d --network none mediawiki:1.43.9); sleep 5
         for p in / /mw-config/index.php; do docker exec $c curl -sS -i http://127.0.0.1$p; echo; echo =====; done; docker rm -f $c",
    );
    let answers = support::said(&out);
    let pages: Vec<&str> = answers.split("=====").collect();
    assert!(
        is_installer("/", pages[0]) && is_installer("/mw-config/index.php", pages[1]),
        "{answers}"
    );
}

#[test]
#[ignore = "minutes, and a gigabyte and a half of images: make test-long"]
fn mediawiki_lives() {
    let (host, mails) = Host::with_edge("pedia");
    support::wordpress::images(&host.fleet, "n1");
    support::software::mediawiki(&host.fleet, "n1");
    the_installer_is_known(&host);
    let address = host.fleet.address("n1");
    let paths = &["/", "/mw-config/index.php"];
    let stranger = Stranger::comes("pedia.lab.test", address, paths, is_installer);
    let text = host.run(&[
        "deploy",
        "mediawiki",
        "pedia",
        "DOMAIN=pedia.lab.test",
        "TITLE=It's Chatons",
        "ADMIN_LOGIN=Ops",
        "ADMIN_EMAIL=ops@lab.test",
        "--yes",
    ]);
    assert!(
        text.contains(
            "log in at https://pedia.lab.test/index.php?title=Special:UserLogin as Ops\n"
        ),
        "{text}"
    );
    host.expect_healthy("pedia");
    let site = || Site {
        host: &host,
        app: "pedia",
        service: "web",
        port: 80,
    };
    let stranger_at = Wiki {
        site: site(),
        jar: None,
    };
    let jar = host.config.with_file_name("cookies").display().to_string();
    let wiki = Wiki {
        site: site(),
        jar: Some(jar),
    };
    let page = site().answer("/wiki/Main_Page", &[]);
    assert!(
        code(&page) == "200" && page.contains("It's Chatons"),
        "{page}"
    );
    // A stranger reads; he does not write, make himself an account, or see settings.
    let page = site().answer("/index.php?title=Special:CreateAccount", &[]);
    assert!(!page.contains("name=\"retype\""), "{page}");
    let refused = stranger_at.edit("Stranger", "was here");
    assert_eq!(refused["error"]["code"], "permissiondenied", "{refused}");
    assert!(!site().answer("/LocalSettings.php", &[]).contains("wgDB"));
    assert_eq!(wiki.log_in("another"), "FAIL");
    assert_eq!(wiki.log_in(&host.secret("pedia", "admin_password")), "PASS");
    let who = wiki.api(
        &[
            ("action", "query"),
            ("meta", "userinfo"),
            ("uiprop", "groups"),
        ],
        &[],
    );
    let groups = who["query"]["userinfo"]["groups"].to_string();
    assert!(
        groups.contains("bureaucrat") && groups.contains("sysop"),
        "{who}"
    );
    let written = wiki.edit("Survivor", "A page that survives.");
    assert_eq!(written["edit"]["result"], "Success", "{written}");
    let file = uploads(&host, &wiki);
    runs_nothing_of_what_is_uploaded(&host, &site());
    sends_mail(&stranger_at, &mails);
    host.goes_and_comes_back("pedia", &["images", "config", "db"]);
    host.expect_healthy("pedia");
    site().expect("/wiki/Survivor", &[], "A page that survives.");
    let picture = site().answer(&file, &[]);
    assert!(
        code(&picture) == "200" && picture.contains("PNG"),
        "{picture}"
    );
    // Another browser: what this one was given belongs to a session that is not in the snapshot.
    std::fs::remove_file(wiki.jar.as_deref().expect("cookies")).expect("removed");
    assert_eq!(wiki.log_in("another"), "FAIL");
    assert_eq!(wiki.log_in(&host.secret("pedia", "admin_password")), "PASS");
    let again = host.run(&["redeploy", "pedia", "--yes"]);
    assert!(again.contains("nothing to do"), "{again}");
    shuts_its_doors(&host, &wiki, &file);
    stranger.finds_nothing();
}

/// A picture; the path that it has.
fn uploads(host: &Host, wiki: &Wiki) -> String {
    // One white point.
    let png = [
        0x89, 0x50, 0x4e, 0x47, 0x0d, 0x0a, 0x1a, 0x0a, 0, 0, 0, 0x0d, 0x49, 0x48, 0x44, 0x52, 0,
        0, 0, 1, 0, 0, 0, 1, 8, 2, 0, 0, 0, 0x90, 0x77, 0x53, 0xde, 0, 0, 0, 0x0c, 0x49, 0x44,
        0x41, 0x54, 0x78, 0x9c, 0x63, 0xf8, 0xff, 0xff, 0x3f, 0, 0x05, 0xfe, 0x02, 0xfe, 0x0d,
        0xef, 0x46, 0xb8, 0, 0, 0, 0, 0x49, 0x45, 0x4e, 0x44, 0xae, 0x42, 0x60, 0x82,
    ];
    let path = host.config.with_file_name("survivor.png");
    std::fs::write(&path, png).expect("written");
    let token = wiki.token("csrf");
    let file = format!("file=@{};type=image/png", path.display());
    let fields = [
        ("action", "upload"),
        ("filename", "Survivor.png"),
        ("ignorewarnings", "1"),
        ("token", &token),
    ];
    let answer = wiki.api(&fields, &["-F", &file]);
    assert_eq!(answer["upload"]["result"], "Success", "{answer}");
    let url = answer["upload"]["imageinfo"]["url"].as_str();
    let url = url.unwrap_or_else(|| panic!("{answer}"));
    let path = url.strip_prefix("https://pedia.lab.test");
    path.unwrap_or_else(|| panic!("{url}")).to_owned()
}

/// A program among the files is handed out as it is, and a file that says what Apache does says nothing.
fn runs_nothing_of_what_is_uploaded(host: &Host, site: &Site) {
    host.fleet.run(
        "n1",
        "docker exec $(docker ps -q -f name=pedia_web) sh -c 'cd images; echo \"<?php echo 6 * 7;\" >x.php; mkdir -p deleted; echo gone >deleted/x.txt
            echo \"php_flag engine on\" >.htaccess'",
    );
    let answer = site.answer("/images/x.php", &[]);
    assert!(
        code(&answer) == "200" && answer.contains("6 * 7"),
        "{answer}"
    );
    assert_eq!(code(&site.answer("/images/deleted/x.txt", &[])), "403");
}

/// A lost password is asked for: the mail arrives, by the fleet's own server.
fn sends_mail(stranger: &Wiki, mails: &support::site::Mails) {
    let token = stranger.token("csrf");
    let fields = [
        ("action", "resetpassword"),
        ("user", "Ops"),
        ("token", &token),
    ];
    let answer = stranger.api(&fields, &[]);
    assert_eq!(answer["resetpassword"]["status"], "success", "{answer}");
    mails.wait_for(&[
        "Envelope-From: mail@lab.test",
        "Envelope-To: ops@lab.test",
        "https://pedia.lab.test/",
    ]);
}

/// Private from now on: pages and files are for who has an account.
fn shuts_its_doors(host: &Host, wiki: &Wiki, file: &str) {
    host.run(&["redeploy", "pedia", "PRIVATE=true", "--yes"]);
    host.expect_healthy("pedia");
    let page = wiki.site.answer("/wiki/Survivor", &[]);
    assert!(!page.contains("A page that survives."), "{page}");
    assert_eq!(code(&wiki.site.answer(file, &[])), "403");
    let through = file.replace("/images/", "/img_auth.php/");
    assert_eq!(code(&wiki.site.answer(&through, &[])), "403");
    let jar = wiki.jar.as_deref().expect("cookies");
    let page = wiki.site.answer("/wiki/Survivor", &["-b", jar]);
    assert!(page.contains("A page that survives."), "{page}");
    let answer = wiki.site.answer(&through, &["-b", jar]);
    assert!(code(&answer) == "200" && answer.contains("PNG"), "{answer}");
}

/// Redmine's forms: each carries a token of its page, and cookies.
struct Tracker<'a> {
    site: Site<'a>,
}

impl Tracker<'_> {
    /// Sends the form of a page with these fields; the answer.
    fn send(&self, cookie: &str, page: &str, to: &str, fields: &[(&str, &str)]) -> String {
        let shown = self.site.expect(page, &["-H", cookie], "csrf-token");
        let cookie = match cookies(&shown) {
            set if set.contains('=') => set,
            _ => cookie.to_owned(),
        };
        let token = between(&shown, "name=\"csrf-token\" content=\"", "\"");
        let mut all = vec![format!("authenticity_token={token}")];
        all.extend(fields.iter().map(|(name, value)| format!("{name}={value}")));
        let mut options = vec!["-H", cookie.as_str()];
        for field in &all {
            options.extend(["--data-urlencode", field]);
        }
        self.site.answer(to, &options)
    }

    /// Logs in as the administrator that Redmine's tables come with, five times a second from before there is anything;
    /// how often it was refused.
    fn tries_the_known_password(&self, ends: &AtomicBool) -> usize {
        let begun = Instant::now();
        let mut refused = 0;
        // The bound is for a deploy that fails.
        while !ends.load(Ordering::Relaxed) && begun.elapsed() < Duration::from_secs(1200) {
            std::thread::sleep(Duration::from_millis(200));
            // There is a time before there is a certificate.
            let Ok(page) = self.site.ask("/login", &["--insecure"]) else {
                continue;
            };
            if !page.contains("csrf-token") {
                continue;
            }
            let token = between(&page, "name=\"csrf-token\" content=\"", "\"");
            let token = format!("authenticity_token={token}");
            let cookie = cookies(&page);
            let fields = ["-d", "username=admin", "-d", "password=admin"];
            let mut options = vec!["--insecure", "-H", &cookie, "--data-urlencode", &token];
            options.extend(fields);
            if let Ok(answer) = self.site.ask("/login", &options) {
                assert!(code(&answer) != "302", "{answer}");
                refused += usize::from(answer.contains("login-form"));
            }
        }
        refused
    }

    /// The cookie of a session.
    fn log_in(&self, user: &str, password: &str) -> Result<String, String> {
        let fields = [("username", user), ("password", password)];
        let answer = self.send("Cookie: none=1", "/login", "/login", &fields);
        match code(&answer) {
            "302" => Ok(cookies(&answer)),
            _ => Err(answer),
        }
    }
}

fn deploys_redmine(host: &Host) {
    let text = host.run(&[
        "deploy",
        "redmine",
        "tracker",
        "DOMAIN=tracker.lab.test",
        "TITLE=Chatons",
        "ADMIN_LOGIN=ops",
        "ADMIN_EMAIL=ops@lab.test",
        "--yes",
    ]);
    assert!(
        text.contains("log in at https://tracker.lab.test/login as ops\n"),
        "{text}"
    );
    host.expect_healthy("tracker");
}

#[test]
#[ignore = "minutes, and a gigabyte of images: make test-long"]
fn redmine_lives() {
    let (host, mails) = Host::with_edge("tracker");
    support::software::postgres(&host.fleet, "n1");
    support::software::redmine(&host.fleet, "n1");
    let site = Site {
        host: &host,
        app: "tracker",
        service: "web",
        port: 3000,
    };
    let tracker = Tracker { site };
    let ends = AtomicBool::new(false);
    std::thread::scope(|scope| {
        let stranger = scope.spawn(|| tracker.tries_the_known_password(&ends));
        deploys_redmine(&host);
        std::thread::sleep(Duration::from_secs(5));
        ends.store(true, Ordering::Relaxed);
        let refused = stranger.join().expect("it tried");
        eprintln!("the known password was refused {refused} times");
        assert!(refused > 0, "nobody was asked");
    });
    // The password that everybody knows.
    for user in ["admin", "ops"] {
        let refused = tracker.log_in(user, "admin").unwrap_err();
        assert!(refused.contains("login-form"), "{refused}");
    }
    let answer = tracker.site.answer("/account/register", &[]);
    assert_eq!(code(&answer), "302", "{answer}");
    let password = host.secret("tracker", "admin_password");
    let cookie = tracker.log_in("ops", &password).expect("a session");
    let page = tracker.site.answer("/admin", &["-H", &cookie]);
    assert!(code(&page) == "200" && page.contains("Chatons"), "{page}");
    let project = [
        ("project[name]", "Survivors"),
        ("project[identifier]", "survivors"),
        ("project[is_public]", "1"),
        ("project[enabled_module_names][]", "issue_tracking"),
        ("project[tracker_ids][]", "1"),
    ];
    let answer = tracker.send(&cookie, "/projects/new", "/projects", &project);
    assert!(answer.contains("/projects/survivors/settings"), "{answer}");
    let token = uploads_a_note(&tracker, &cookie);
    let issue = [
        ("issue[tracker_id]", "1"),
        ("issue[subject]", "A ticket that survives"),
        ("attachments[1][filename]", "note.txt"),
        ("attachments[1][token]", token.as_str()),
    ];
    let page = "/projects/survivors/issues/new";
    let answer = tracker.send(&cookie, page, "/projects/survivors/issues", &issue);
    assert!(answer.contains("/issues/1"), "{answer}");
    let lost = [("mail", "ops@lab.test")];
    let page = "/account/lost_password";
    let answer = tracker.send("Cookie: none=1", page, page, &lost);
    assert_eq!(code(&answer), "302", "{answer}");
    mails.wait_for(&[
        "Envelope-From: mail@lab.test",
        "Envelope-To: ops@lab.test",
        "https://tracker.lab.test/account/lost_password",
    ]);
    host.goes_and_comes_back("tracker", &["files", "plugins", "db"]);
    host.expect_healthy("tracker");
    tracker
        .site
        .expect("/issues/1", &[], "A ticket that survives");
    let note = tracker.site.answer("/attachments/download/1/note.txt", &[]);
    assert!(note.contains("a note that survives"), "{note}");
    assert!(tracker.log_in("ops", "admin").is_err());
    tracker.log_in("ops", &password).expect("a session");
    let again = host.run(&["redeploy", "tracker", "--yes"]);
    assert!(again.contains("nothing to do"), "{again}");
}

/// A file, as the browser sends it before its ticket; what the ticket names it by.
fn uploads_a_note(tracker: &Tracker, cookie: &str) -> String {
    let page = tracker
        .site
        .answer("/projects/survivors/issues/new", &["-H", cookie]);
    // The session has its token since this page.
    let cookie = match cookies(&page) {
        set if set.contains('=') => set,
        _ => cookie.to_owned(),
    };
    let token = between(&page, "name=\"csrf-token\" content=\"", "\"");
    let header = format!("X-CSRF-Token: {token}");
    let options = [
        "-H",
        &cookie,
        "-H",
        &header,
        "-H",
        "Content-Type: application/octet-stream",
        "--data-binary",
        "a note that survives",
    ];
    let path = "/uploads.js?attachment_id=1&filename=note.txt";
    let answer = tracker.site.answer(path, &options);
    let token = regex::Regex::new(r"[0-9]+\.[0-9a-f]{64}").expect("a pattern");
    let found = token.find(&answer).unwrap_or_else(|| panic!("{answer}"));
    found.as_str().to_owned()
}
