//! Programs of the catalogue, out of package registries, live by the catalogue's stacks: deployed by its line, closed
//! to strangers, logged in to as declared, written to, backed up, destroyed, restored with what was written.
//!
//! `make test` runs Mumble, which needs no edge. The sites, behind Traefik, take minutes and a gigabyte of images:
//! `make test-long` runs them.

mod support;

use std::io::Write;
use std::process::{Command, Stdio};

use support::site::{Host, Site, between, cookies};
use support::{matou, said};

/// What a client of Mumble sees, or why it is turned away. The server shuts an address out that connects more than
/// ten times in two minutes.
fn mumble(
    host: &Host,
    user: &str,
    password: &str,
    channel: Option<&str>,
) -> Result<String, String> {
    let script = concat!(env!("CARGO_MANIFEST_DIR"), "/tests/support/mumble.py");
    let mut client = Command::new("python3")
        .args([script, &host.fleet.address("n1"), "64738", user])
        .args(channel)
        .stdin(Stdio::piped())
        .stdout(Stdio::piped())
        .stderr(Stdio::piped())
        .spawn()
        .expect("python3");
    let mut stdin = client.stdin.take().expect("an input");
    stdin.write_all(password.as_bytes()).expect("written");
    drop(stdin);
    let out = client.wait_with_output().expect("it ends");
    match out.status.success() {
        true => Ok(said(&out)),
        false => Err(said(&out)),
    }
}

#[test]
fn mumble_lives() {
    let host = Host::new("soft", "");
    support::software::mumble(&host.fleet, "n1");
    let text = host.run(&[
        "deploy",
        "mumble",
        "talk",
        "NAME=Chatons, and more",
        "--yes",
    ]);
    assert!(
        text.contains("log in as SuperUser\n")
            && text.contains("`matou secrets talk show superuser_password`"),
        "{text}"
    );
    host.expect_healthy("talk");
    // Nobody comes in without a password, or as the administrator with another.
    let password = host.secret("talk", "superuser_password");
    let refused = mumble(&host, "lea", "", None).unwrap_err();
    assert!(refused.contains("rejected 4"), "{refused}");
    let refused = mumble(&host, "SuperUser", "another", None).unwrap_err();
    assert!(refused.contains("rejected 3"), "{refused}");
    let before = mumble(&host, "lea", &host.secret("talk", "server_password"), None);
    let before = before.expect("it lets people in");
    assert!(before.contains("channel Chatons, and more\n"), "{before}");
    let written = mumble(&host, "SuperUser", &password, Some("Survivors"));
    assert!(written.expect("a channel").contains("channel Survivors\n"));
    host.goes_and_comes_back("talk", &["data"]);
    host.expect_healthy("talk");
    let after = mumble(&host, "SuperUser", &password, None).expect("it lets people in");
    assert!(after.contains("channel Survivors\n"), "{after}");
    // Clients warn of a server with another certificate.
    assert_eq!(after.lines().next(), before.lines().next());
    // By the same file again nothing changes.
    let again = said(&matou(&host.config, &["redeploy", "talk", "--yes"]));
    assert!(again.contains("nothing to do"), "{again}");
}

/// The mail server and the visitor, one image.
const VISITOR: &str = "docker service create -d --quiet --container-label visitor=1 --endpoint-mode dnsrr --network traefik-net --name imap matou/imap:1";
const MAILBOX: &str = "mailbox-s3cret";

#[test]
#[ignore = "some six minutes, and a gigabyte and a half of images: make test-long"]
fn sites_live() {
    let host = Host::new("sites", "");
    support::software::roundcube(&host.fleet, "n1");
    host.fleet.run(
        "n1",
        "docker network create -d overlay --attachable traefik-net",
    );
    host.fleet.run("n1", VISITOR);
    support::software::kanboard(&host.fleet, "n1");
    kanboard_lives(&host);
    support::software::postgres(&host.fleet, "n1");
    roundcube_lives(&host);
    support::software::synapse(&host.fleet, "n1");
    matrix_lives(&host);
}

fn kanboard_lives(host: &Host) {
    let text = host.run(&[
        "deploy",
        "kanboard",
        "board",
        "DOMAIN=board.lab.test",
        "--yes",
    ]);
    assert!(
        text.contains("log in at https://board.lab.test/login as admin\n"),
        "{text}"
    );
    host.expect_healthy("board");
    let site = Site {
        host,
        app: "board",
        service: "web",
        port: 80,
    };
    let password = host.secret("board", "admin_password");
    let call = |password: &str, body: &str| {
        let user = format!("admin:{password}");
        site.answer("/jsonrpc.php", &["-u", &user, "-d", body])
    };
    let me = r#"{"jsonrpc":"2.0","id":1,"method":"getMe"}"#;
    // The password that everybody knows.
    assert!(call("admin", me).contains("Unauthorized"));
    // In the browser, as the operator was told.
    let page = site.expect("/login", &[], "form-username");
    let token = between(&page, "name=\"csrf_token\" value=\"", "\"");
    let form = [
        format!("csrf_token={token}"),
        "username=admin".to_owned(),
        format!("password={password}"),
    ];
    let cookie = cookies(&page);
    let mut options = vec!["-H", &cookie];
    for field in &form {
        options.extend(["--data-urlencode", field]);
    }
    let answer = site.answer("/?controller=AuthController&action=check", &options);
    assert!(answer.starts_with("HTTP/1.1 302"), "{answer}");
    let cookie = cookies(&answer);
    let page = site.answer("/dashboard", &["-H", &cookie]);
    assert!(
        page.starts_with("HTTP/1.1 200") && !page.contains("form-username"),
        "{page}"
    );
    // What it keeps is not served.
    assert!(
        site.answer("/data/db.sqlite", &[])
            .starts_with("HTTP/1.1 404")
    );
    let project =
        r#"{"jsonrpc":"2.0","id":1,"method":"createProject","params":{"name":"Survives"}}"#;
    assert!(call(&password, project).contains("\"result\":1"));
    host.goes_and_comes_back("board", &["data", "plugins", "certificate"]);
    host.expect_healthy("board");
    let all = r#"{"jsonrpc":"2.0","id":1,"method":"getAllProjects"}"#;
    assert!(call(&password, all).contains("\"name\":\"Survives\""));
    assert!(call("admin", me).contains("Unauthorized"));
}

/// Logs in with an address of the mail server; the session's cookies, and what requests have to carry.
fn enter_roundcube(site: &Site, password: &str) -> Result<(String, String), String> {
    let page = site.expect("/", &[], "rcmloginuser");
    let token = between(&page, "name=\"_token\" value=\"", "\"");
    let form = [format!("_token={token}"), format!("_pass={password}")];
    let cookie = cookies(&page);
    let options = [
        "-H",
        &cookie,
        "-d",
        "_task=login",
        "-d",
        "_action=login",
        "-d",
        "_user=lea@lab.test",
        "--data-urlencode",
        &form[0],
        "--data-urlencode",
        &form[1],
    ];
    let answer = site.answer("/?_task=login", &options);
    if !answer.starts_with("HTTP/1.1 302") || !answer.contains("\nLocation: /?_task=mail") {
        return Err(answer);
    }
    let cookie = cookies(&answer);
    let page = site.answer("/?_task=addressbook", &["-H", &cookie]);
    let token = between(&page, "\"request_token\":\"", "\"").to_owned();
    Ok((cookie, token))
}

fn roundcube_lives(host: &Host) {
    let args = [
        "deploy",
        "roundcube",
        "post",
        "DOMAIN=post.lab.test",
        "IMAP_HOST=imap",
        "SMTP_HOST=imap",
        "--yes",
    ];
    let text = host.run(&args);
    assert!(
        text.contains("log in at https://post.lab.test/\n"),
        "{text}"
    );
    host.expect_healthy("post");
    let site = Site {
        host,
        app: "post",
        service: "web",
        port: 80,
    };
    assert!(!site.answer("/installer/", &[]).starts_with("HTTP/1.1 200"));
    let refused = enter_roundcube(&site, "another").unwrap_err();
    assert!(refused.contains(" 401 "), "{refused}");
    let (cookie, token) = enter_roundcube(&site, MAILBOX).expect("a session");
    let field = format!("_token={token}");
    let options = [
        "-H",
        &cookie,
        "--data-urlencode",
        &field,
        "-d",
        "_source=0",
        "-d",
        "_name=Grace Hopper",
    ];
    site.answer("/?_task=addressbook&_action=save", &options);
    let list = |cookie: &str, token: &str| {
        let header = format!("X-Roundcube-Request: {token}");
        site.answer(
            "/?_task=addressbook&_action=list&_source=0&_remote=1",
            &["-H", cookie, "-H", &header],
        )
    };
    let listed = list(&cookie, &token);
    assert!(listed.contains("Grace Hopper"), "{listed}");
    host.goes_and_comes_back("post", &["db"]);
    host.expect_healthy("post");
    let (cookie, token) = enter_roundcube(&site, MAILBOX).expect("a session");
    let listed = list(&cookie, &token);
    assert!(listed.contains("Grace Hopper"), "{listed}");
    tells_of_missing_tables(host, &site);
}

/// Its page of an error is answered with 200: the check of the stack sees it all the same.
fn tells_of_missing_tables(host: &Host, site: &Site) {
    let sql = |text: &str| {
        let line = format!(
            "docker exec $(docker ps -q -f name=post_db) psql -qU roundcube -d roundcube -c '{text}'"
        );
        host.fleet.run("n1", &line);
    };
    let check = "docker exec $(docker ps -q -f name=post_web) sh -c \"$(docker inspect -f '{{index .Config.Healthcheck.Test 1}}' $(docker ps -q -f name=post_web))\"";
    host.fleet.run("n1", check);
    sql("ALTER TABLE session RENAME TO lost");
    assert!(site.answer("/", &[]).starts_with("HTTP/1.1 200"));
    assert!(!host.fleet.try_run("n1", check).status.success());
    sql("ALTER TABLE lost RENAME TO session");
    host.fleet.run("n1", check);
}

fn matrix_lives(host: &Host) {
    let args = [
        "deploy",
        "matrix",
        "chat",
        "DOMAIN=chat.lab.test",
        "ELEMENT_DOMAIN=element.lab.test",
        "ADMIN_LOGIN=ops",
        "--yes",
    ];
    let text = host.run(&args);
    assert!(
        text.contains("log in at https://chat.lab.test/ as ops\n"),
        "{text}"
    );
    host.expect_healthy("chat");
    let site = Site {
        host,
        app: "chat",
        service: "web",
        port: 8008,
    };
    let known = site.answer("/.well-known/matrix/server", &[]);
    assert!(
        known.contains("\"m.server\":\"chat.lab.test:443\""),
        "{known}"
    );
    let element = Site {
        service: "element",
        port: 8080,
        ..site
    };
    let settings = element.answer("/config.json", &[]);
    assert!(
        settings.contains("\"base_url\": \"https://chat.lab.test\""),
        "{settings}"
    );
    // Nobody makes himself an account.
    let register =
        r#"{"username":"stranger","password":"of-nobody-5","auth":{"type":"m.login.dummy"}}"#;
    let answer = site.answer("/_matrix/client/v3/register", &["-d", register]);
    assert!(answer.starts_with("HTTP/1.1 403"), "{answer}");
    let log_in = |password: &str| {
        let body = format!(
            "{{\"type\":\"m.login.password\",\"user\":\"ops\",\"password\":\"{password}\"}}"
        );
        site.answer("/_matrix/client/v3/login", &["-d", &body])
    };
    assert!(log_in("another").starts_with("HTTP/1.1 403"));
    let answer = log_in(&host.secret("chat", "admin_password"));
    assert!(answer.starts_with("HTTP/1.1 200"), "{answer}");
    let bearer = format!(
        "Authorization: Bearer {}",
        between(&answer, "\"access_token\":\"", "\"")
    );
    let who = site.answer(
        "/_synapse/admin/v1/users/@ops:chat.lab.test/admin",
        &["-H", &bearer],
    );
    assert!(who.contains("\"admin\":true"), "{who}");
    let made = site.answer(
        "/_matrix/client/v3/createRoom",
        &["-H", &bearer, "-d", "{\"name\":\"Chatons\"}"],
    );
    let room = between(&made, "\"room_id\":\"", "\"")
        .replace('!', "%21")
        .replace(':', "%3A");
    let path = format!("/_matrix/client/v3/rooms/{room}/send/m.room.message/1");
    let message = r#"{"msgtype":"m.text","body":"a message that survives"}"#;
    let sent = site.answer(&path, &["-X", "PUT", "-H", &bearer, "-d", message]);
    assert!(sent.starts_with("HTTP/1.1 200"), "{sent}");
    let key = site.answer("/_matrix/key/v2/server", &[]);
    host.goes_and_comes_back("chat", &["data", "db"]);
    host.expect_healthy("chat");
    // The log-in lives too: it is in the database.
    let path = format!("/_matrix/client/v3/rooms/{room}/messages?dir=b&limit=5");
    site.expect(&path, &["-H", &bearer], "a message that survives");
    // Other servers know it by this key.
    let verify = |answer: &str| between(answer, "\"verify_keys\":", "}}").to_owned();
    assert_eq!(
        verify(&site.answer("/_matrix/key/v2/server", &[])),
        verify(&key)
    );
}
