//! What is wrong in config.toml is told with its place and what is right.

use std::path::Path;

use matou::config::{Config, KnownHosts, NodeConnection, StorageDriver};
use matou::model::Role;

fn parse(text: &str) -> Result<Config, String> {
    Config::parse(text, Path::new("/fleet/config.toml")).map_err(|e| e.to_string())
}

const MANAGER: &str = "[[nodes]]\nname = \"m\"\naddress = \"10.0.0.1\"\nrole = \"manager\"\n";

#[test]
fn the_example_is_read() {
    let text = include_str!("../config.example.toml");
    let config = parse(text).unwrap();
    assert_eq!(config.fleet.name, "chaton");
    assert_eq!(config.nodes.len(), 2);
    assert_eq!(config.nodes[1].role, Role::Worker);
    assert_eq!(config.storage.driver, StorageDriver::Nfs);
    // Also with every commented key switched on, one section after another.
    let all: String = text
        .lines()
        .map(|line| match line.strip_prefix("# ") {
            Some(rest) if rest.starts_with('[') => rest,
            Some(rest) if is_key(rest) && !rest.starts_with("password_command") => rest,
            _ => line,
        })
        .flat_map(|line| [line, "\n"])
        .collect();
    let config = parse(&all).unwrap();
    assert_eq!(config.backup.keep.monthly, 12);
    assert_eq!(config.keys["refresh"], ["ctrl-r", "f5"]);
    assert_eq!(config.keyboard, matou::config::KeyboardLayout::Bepo);
    let NodeConnection::Ssh(ssh) = &config.nodes[1].reach else {
        panic!("a worker is reached by SSH");
    };
    assert_eq!(ssh.jump.as_deref(), Some("master.example.org"));
    assert_eq!(ssh.port, Some(2222));
    assert_eq!(ssh.known_hosts, KnownHosts::Strict);
}

/// `key = …` rather than a sentence.
fn is_key(text: &str) -> bool {
    text.split_once(" = ").is_some_and(|(key, _)| {
        !key.is_empty()
            && key
                .chars()
                .all(|c| c.is_ascii_lowercase() || c.is_ascii_digit() || c == '_')
    })
}

#[test]
fn the_example_names_every_key() {
    let example = include_str!("../config.example.toml");
    let raw = include_str!("../crates/config/src/raw.rs");
    let keys: Vec<&str> = raw
        .lines()
        .filter_map(|l| l.trim().strip_prefix("pub "))
        .filter_map(|l| l.split_once(": "))
        .map(|(key, _)| key)
        .collect();
    assert!(keys.len() > 40, "{keys:?}");
    for key in keys {
        let named = ["{} =", "[{}]", "[[{}]]", ".{}]]"].map(|n| n.replace("{}", key));
        assert!(
            named.iter().any(|n| example.contains(n.as_str())),
            "{key} is not in config.example.toml"
        );
    }
}

#[test]
fn what_is_wrong_is_told_with_place_and_remedy() {
    let with_manager = |text: &str| format!("{text}\n{MANAGER}");
    for (name, text) in [
        ("unknown key", with_manager("[fleet]\nnmae = \"x\"")),
        ("unknown section", with_manager("[alert]\ncpu = 90")),
        ("wrong type", with_manager("[ssh]\nport = \"22\"")),
        ("wrong word", with_manager("[ssh]\nknown_hosts = \"none\"")),
        ("syntax", with_manager("[fleet\nname = 1")),
        ("two of one name", format!("{MANAGER}{MANAGER}")),
        ("bad name", MANAGER.replace("\"m\"", "\"my_node\"")),
        (
            "bad address",
            MANAGER.replace("10.0.0.1", "-oProxyCommand=x"),
        ),
        ("no manager", MANAGER.replace("manager", "worker")),
        ("no node", "[fleet]\nname = \"x\"".into()),
        ("no address", format!("{MANAGER}[[nodes]]\nname = \"w\"\n")),
        (
            "bad duration",
            with_manager("[ssh]\nconnect_timeout = \"soon\""),
        ),
        ("bad size", with_manager("[logs]\nmemory = \"64\"")),
        ("small size", with_manager("[logs]\nmemory = \"1 KiB\"")),
        ("bad percent", with_manager("[alerts]\ncpu = 101")),
        (
            "short interval",
            with_manager("[alerts]\ninterval = \"1 s\""),
        ),
        (
            "mail without server",
            with_manager("[receivers]\nemail = \"ops@example.org\""),
        ),
        (
            "telegram without bot",
            with_manager("[receivers]\ntelegram_chat = 5"),
        ),
        (
            "no such storage node",
            with_manager("[storage]\nnode = \"n\""),
        ),
        (
            "long heartbeat",
            with_manager("[provision]\nheartbeat = \"60.5 s\""),
        ),
        (
            "short heartbeat",
            with_manager("[provision]\nheartbeat = \"500 ms\""),
        ),
        ("no password", with_manager("[backup]\nrepository = \"/r\"")),
        (
            "two passwords",
            with_manager("[backup]\npassword_file = \"p\"\npassword_command = [\"c\"]"),
        ),
        ("bad jump", with_manager("[ssh]\njump = \"a b\"")),
        ("bad mail", with_manager("[edge]\nemail = \"me\"")),
        ("no keys", with_manager("[keys]\ndeploy = []")),
        (
            "command without a program",
            with_manager("[[commands]]\ndescription = \"x\"\ncommand = []"),
        ),
        (
            "unknown placeholder",
            with_manager("[[commands]]\ndescription = \"x\"\ncommand = [\"dig\", \"{domainx}\"]"),
        ),
        (
            "placeholder in a script",
            with_manager(
                "[[commands]]\ndescription = \"x\"\ncommand = [\"sh\", \"-c\", \"echo {app}\"]",
            ),
        ),
        (
            "placeholder as program",
            with_manager("[[commands]]\ndescription = \"x\"\ncommand = [\"{app}\"]"),
        ),
        (
            "command in no pane",
            with_manager(
                "[[commands]]\ndescription = \"x\"\npanes = [\"jobs\"]\ncommand = [\"true\"]",
            ),
        ),
        ("keys of a wrong type", with_manager("[keys]\ndeploy = 3")),
        (
            "unknown keyboard",
            with_manager("[keys]\nlayout = \"dvorak\""),
        ),
    ] {
        let error = parse(&text).expect_err(name);
        insta::assert_snapshot!(name.replace(' ', "_"), error);
    }
}

#[test]
fn a_node_overrides_what_is_common_and_paths_begin_at_the_file() {
    let text = "[ssh]\nuser = \"root\"\nidentity = \"id\"\nknown_hosts = \"accept-new\"\nknown_hosts_file = \"/k\"\n\
        [[nodes]]\nname = \"m\"\nrole = \"manager\"\n\
        [[nodes]]\nname = \"w\"\naddress = \"w.example.org\"\nuser = \"ops\"\nport = 2222\n";
    let config = parse(text).unwrap();
    assert_eq!(config.nodes[0].reach, NodeConnection::Local);
    let NodeConnection::Ssh(ssh) = &config.nodes[1].reach else {
        panic!("by SSH");
    };
    assert_eq!(ssh.user.as_deref(), Some("ops"));
    assert_eq!(ssh.port, Some(2222));
    assert_eq!(ssh.identity.as_deref(), Some(Path::new("/fleet/id")));
    assert_eq!(ssh.known_hosts, KnownHosts::AcceptNew);
    assert_eq!(ssh.known_hosts_file.as_deref(), Some(Path::new("/k")));
    assert_eq!(config.storage.node, "m");
    assert_eq!(config.logs.memory, 64 << 20);
}

#[test]
fn a_secret_that_others_can_read_is_a_warning_with_the_remedy() {
    use std::os::unix::fs::PermissionsExt;
    let dir = tempfile::tempdir().unwrap();
    let password = dir.path().join("password");
    std::fs::write(&password, "x").unwrap();
    let config = dir.path().join("config.toml");
    let text = format!(
        "{MANAGER}[backup]\nrepository = \"rest:https://u:p@h/\"\npassword_file = \"password\"\n"
    );
    std::fs::write(&config, text).unwrap();
    let mode = |file: &Path, mode| {
        std::fs::set_permissions(file, std::fs::Permissions::from_mode(mode)).unwrap();
    };
    mode(&password, 0o644);
    mode(&config, 0o644);
    let warnings = Config::load(Some(&config)).unwrap().warnings;
    assert_eq!(warnings.len(), 2, "{warnings:?}");
    assert!(warnings[0].contains(&format!("chmod 600 {}", password.display())));
    assert!(warnings[1].contains("backup.repository"), "{warnings:?}");
    mode(&password, 0o600);
    mode(&config, 0o600);
    assert!(Config::load(Some(&config)).unwrap().warnings.is_empty());
}

#[test]
fn a_missing_file_and_an_unknown_action_are_named() {
    let missing = Config::load(Some(Path::new("/nowhere/config.toml"))).unwrap_err();
    assert!(
        missing
            .to_string()
            .starts_with("/nowhere/config.toml: can't be read")
    );

    let dir = tempfile::tempdir().unwrap();
    let file = dir.path().join("config.toml");
    std::fs::write(&file, format!("{MANAGER}[keys]\ndeplyo = \"n\"\n")).unwrap();
    let config = Config::load(Some(&file)).unwrap();
    let (action, why) =
        matou::ui::KeyMap::with_overrides(config.keyboard, &config.keys).unwrap_err();
    let error = config.key_error(&action, why).to_string();
    assert!(
        error.contains("config.toml:6:1: there is no action \"deplyo\"; did you mean \"deploy\"?"),
        "{error}"
    );
}

#[test]
fn without_any_file_this_machine_is_the_fleet() {
    let config = Config::this_machine();
    assert_eq!(config.nodes.len(), 1);
    assert_eq!(config.nodes[0].reach, NodeConnection::Local);
    assert_eq!(config.nodes[0].role, Role::Manager);
    assert_eq!(config.alerts.cpu, 95);
    assert_eq!(config.path, None);
}

/// Were it passed over, this machine alone would be the fleet, and jobs would go to it.
#[test]
fn a_config_that_is_there_and_can_not_be_read_is_an_error() {
    let dir = tempfile::tempdir().unwrap();
    let link = dir.path().join("config.toml");
    std::os::unix::fs::symlink("gone.toml", &link).unwrap();
    let run = || {
        std::process::Command::new(env!("CARGO_BIN_EXE_matou"))
            .arg("config")
            .current_dir(dir.path())
            .env_remove("MATOU_CONFIG")
            .env("HOME", dir.path())
            .env("XDG_STATE_HOME", dir.path())
            .output()
            .unwrap()
    };
    let told = |output: std::process::Output| {
        assert_eq!(output.status.code(), Some(2));
        String::from_utf8(output.stderr).unwrap()
    };
    assert!(told(run()).contains("config.toml"));
    std::fs::remove_file(&link).unwrap();
    std::fs::create_dir(&link).unwrap();
    assert!(told(run()).contains("config.toml"));
}

const NAMED: &str = "[fleet]\nname = \"f\"\n";

#[test]
fn what_is_wrong_with_names_is_told_with_its_place() {
    let fails = |table: &str, wanted: &str| {
        let error = parse(&format!("{NAMED}{MANAGER}[dns]\n{table}")).unwrap_err();
        assert!(error.contains(wanted), "{table}: {error}");
    };
    let whole = "provider = \"rfc2136\"\nzones = [\"Example.org.\"]\naddresses = [\"m\", \"2001:db8::5\"]\n\
        server = \"ns1.example.org\"\nkey_name = \"matou\"\nkey_file = \"k\"\n";
    let nameless = parse(&format!("{MANAGER}[dns]\n{whole}")).unwrap_err();
    assert!(nameless.contains("to [fleet]"), "{nameless}");
    let config = parse(&format!("{NAMED}{MANAGER}[dns]\n{whole}")).unwrap();
    let dns = config.dns.expect("it is there");
    assert_eq!(dns.zones, ["example.org"]);
    assert_eq!(dns.ttl, 300);
    assert_eq!(dns.provider.secret_files(), [Path::new("/fleet/k")]);
    let text = format!("{:?}", dns.provider);
    assert!(text.contains("ns1.example.org:53"), "{text}");
    fails("provider = \"gandi\"", "add zones = ");
    fails("zones = [\"example.org\"]", "add provider = ");
    fails(&whole.replace("Example.org.", "org"), "a zone is written");
    fails(&whole.replace("\"m\"", "\"n9\""), "or the name of a node");
    fails(
        &whole.replace("server = ", "endpoint = "),
        "write an address",
    );
    fails(&whole.replace("ns1.example.org", "ns1 -x"), "host:port");
    fails(&format!("{whole}ttl = 0\n"), "1 to 604800 seconds");
    fails(&whole.replace("key_file", "token_file"), "add key_file = ");
    fails(&whole.replace("rfc2136", "bind"), "unknown variant");
    let gandi = "provider = \"gandi\"\nzones = [\"example.org\"]\ntoken_file = \"t\"\n";
    let away = format!("{gandi}endpoint = \"http://api.example.org\"\n");
    fails(&away, "a token goes there");
    parse(&format!(
        "{NAMED}{MANAGER}[dns]\n{gandi}endpoint = \"http://127.0.0.1:8080/\"\n"
    ))
    .unwrap();
    fails(&gandi.replace("token_file", "key_file"), "add token_file");
    fails(&gandi.replace("gandi", "ovh"), "createToken");
}
