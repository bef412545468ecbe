//! DokuWiki and Radicale, out of package registries, live behind Traefik by the catalogue's stacks: nobody finds them
//! open, the administrator logs in as declared, they send mail, and what was written survives backup, destruction and
//! restore.

mod support;

use support::site::{Host, Site, between, cookies};
use support::stranger::Stranger;

/// The code of an answer.
fn code(answer: &str) -> &str {
    answer.split_whitespace().nth(1).unwrap_or_default()
}

/// DokuWiki's installer.
fn is_installer(_: &str, answer: &str) -> bool {
    answer.contains("<title>DokuWiki Installer</title>")
}

#[test]
#[ignore = "minutes: make test-long"]
fn radicale_lives() {
    let (host, mails) = Host::with_edge("dates");
    support::software::radicale(&host.fleet, "n1");
    let text = host.run(&[
        "deploy",
        "radicale",
        "dates",
        "DOMAIN=dates.lab.test",
        "ADMIN_LOGIN=lea",
        "--yes",
    ]);
    assert!(
        text.contains("log in at https://dates.lab.test/.web/ as lea\n"),
        "{text}"
    );
    host.expect_healthy("dates");
    let site = Site {
        host: &host,
        app: "dates",
        service: "web",
        port: 5232,
    };
    site.expect("/.web/", &[], "Radicale");
    // The image's own settings let everybody write.
    for user in [":", "lea:another", "stranger:of-nobody"] {
        let answer = site.answer("/lea/dates/", &["-u", user, "-X", "MKCALENDAR"]);
        assert_eq!(code(&answer), "401", "{user}: {answer}");
    }
    let lea = format!("lea:{}", host.secret("dates", "admin_password"));
    let answer = site.answer("/lea/", &["-u", &lea]);
    assert_eq!(code(&answer), "403", "{answer}");
    let answer = site.answer("/lea/dates/", &["-u", &lea, "-X", "MKCALENDAR"]);
    assert_eq!(code(&answer), "201", "{answer}");
    let event = "BEGIN:VCALENDAR\nVERSION:2.0\nPRODID:-//matou//test//EN\nBEGIN:VEVENT\nUID:survivor@lab.test\nDTSTAMP:20300101T100000Z\nDTSTART:20300102T100000Z\nDTEND:20300102T110000Z\nSUMMARY:A date that survives\nORGANIZER:mailto:lea@lab.test\nATTENDEE;CN=Grace:mailto:grace@example.org\nEND:VEVENT\nEND:VCALENDAR\n";
    let options = [
        "-u",
        &lea,
        "-X",
        "PUT",
        "-H",
        "Content-Type: text/calendar",
        "--data-binary",
        event,
    ];
    let answer = site.answer("/lea/dates/survivor.ics", &options);
    assert_eq!(code(&answer), "201", "{answer}");
    // Who is invited is told so, by the fleet's own server.
    mails.wait_for(&[
        "Envelope-From: mail@lab.test",
        "Envelope-To: grace@example.org",
        "A date that survives",
    ]);
    // A second account, as the stack's note says; it does not see the first one's.
    host.fleet.run(
        "n1",
        "echo of-max-5 | docker exec -i $(docker ps -q -f name=dates_web) radicale-user max",
    );
    let max = ["-u", "max:of-max-5"];
    assert_eq!(code(&site.answer("/max/", &max)), "403");
    let answer = site.answer("/lea/dates/survivor.ics", &max);
    assert!(code(&answer) != "200", "{answer}");
    host.goes_and_comes_back("dates", &["data"]);
    host.expect_healthy("dates");
    site.expect(
        "/lea/dates/survivor.ics",
        &["-u", &lea],
        "A date that survives",
    );
    // The second account lives too.
    assert_eq!(code(&site.answer("/max/", &max)), "403");
    let answer = site.answer("/lea/dates/survivor.ics", &["-u", "lea:another"]);
    assert_eq!(code(&answer), "401", "{answer}");
    let again = host.run(&["redeploy", "dates", "--yes"]);
    assert!(again.contains("nothing to do"), "{again}");
}

#[test]
#[ignore = "minutes: make test-long"]
fn dokuwiki_lives() {
    let (host, mails) = Host::with_edge("wiki");
    support::software::dokuwiki(&host.fleet, "n1");
    let address = host.fleet.address("n1");
    // Its first page only leads to the second one.
    let paths = &["/", "/doku.php", "/install.php"];
    let stranger = Stranger::comes("wiki.lab.test", address, paths, is_installer);
    let text = host.run(&[
        "deploy",
        "dokuwiki",
        "wiki",
        "DOMAIN=wiki.lab.test",
        "TITLE=It's Chatons",
        "ADMIN_LOGIN=ops",
        "ADMIN_EMAIL=ops@lab.test",
        "--yes",
    ]);
    assert!(
        text.contains("log in at https://wiki.lab.test/doku.php?do=login as ops\n"),
        "{text}"
    );
    host.expect_healthy("wiki");
    let site = Site {
        host: &host,
        app: "wiki",
        service: "web",
        port: 8080,
    };
    site.expect("/doku.php?do=login", &[], "dw__login");
    let page = site.answer("/doku.php", &[]);
    assert!(code(&page) == "200" && page.contains("Chatons"), "{page}");
    // Nobody finds the installer, the files behind it, or registers himself.
    assert_eq!(code(&site.answer("/install.php", &[])), "404");
    for path in ["/conf/users.auth.php", "/conf/local.php"] {
        let answer = site.answer(path, &[]);
        assert!(
            !answer.contains("$2y$") && !answer.contains("Chatons"),
            "{answer}"
        );
    }
    let page = site.answer("/doku.php?do=register", &[]);
    assert!(!page.contains("dw__register"), "{page}");
    let enter = |password: &str| {
        let password = format!("p={password}");
        let options = [
            "-d",
            "do=login",
            "-d",
            "id=start",
            "-d",
            "u=ops",
            "--data-urlencode",
            &password,
        ];
        site.answer("/doku.php", &options)
    };
    let refused = enter("another");
    assert!(
        code(&refused) == "403" && refused.contains("dw__login"),
        "{refused}"
    );
    let answer = enter(&host.secret("wiki", "admin_password"));
    assert_eq!(code(&answer), "302", "{answer}");
    let cookie = cookies(&answer);
    let page = site.answer("/doku.php?do=admin", &["-H", &cookie]);
    assert!(page.contains("usermanager"), "{page}");
    // A page, as the editor writes it. A stranger may read it, and not write.
    let edit = |options: &[&str]| {
        let page = site.answer("/doku.php?id=survivor&do=edit", options);
        page.contains("name=\"sectok\"")
            .then(|| between(&page, "name=\"sectok\" value=\"", "\"").to_owned())
    };
    let token = format!("sectok={}", edit(&["-H", &cookie]).expect("an editor"));
    let options = [
        "-H",
        &cookie,
        "-d",
        "id=survivor",
        "-d",
        "do[save]=1",
        "-d",
        "prefix=.",
        "-d",
        "suffix=",
        "-d",
        "date=",
        "-d",
        "wikitext=A page that survives.",
        "-d",
        &token,
    ];
    let answer = site.answer("/doku.php", &options);
    assert_eq!(code(&answer), "302", "{answer}");
    site.expect("/doku.php?id=survivor", &[], "A page that survives.");
    let page = site.answer("/doku.php?id=survivor&do=edit", &[]);
    assert!(!page.contains("do[save]"), "{page}");
    // A lost password is asked for: the mail arrives, by the fleet's own server.
    let page = site.answer("/doku.php?do=resendpwd", &[]);
    let visitor = cookies(&page);
    let token = format!(
        "sectok={}",
        between(&page, "name=\"sectok\" value=\"", "\"")
    );
    let options = [
        "-H",
        &visitor,
        "-d",
        "do=resendpwd",
        "-d",
        "save=1",
        "-d",
        "login=ops",
        "-d",
        &token,
    ];
    site.answer("/doku.php", &options);
    mails.wait_for(&[
        "Envelope-From: mail@lab.test",
        "Envelope-To: ops@lab.test",
        "Subject: [It's Chatons] Your DokuWiki password",
    ]);
    host.goes_and_comes_back("wiki", &["data"]);
    host.expect_healthy("wiki");
    site.expect("/doku.php?id=survivor", &[], "A page that survives.");
    assert_eq!(code(&site.answer("/install.php", &[])), "404");
    let answer = enter(&host.secret("wiki", "admin_password"));
    assert_eq!(code(&answer), "302", "{answer}");
    stranger.finds_nothing();
    let again = host.run(&["redeploy", "wiki", "--yes"]);
    assert!(again.contains("nothing to do"), "{again}");
}
