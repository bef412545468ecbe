//! What is enormous: the real program reads it in bounded time and memory, or says that it is too large.

use std::fmt::Write as _;
use std::io::{BufRead, BufReader, Read, Write};
use std::os::unix::net::{UnixListener, UnixStream};
use std::path::Path;
use std::process::{Command, Stdio};
use std::sync::Arc;
use std::time::{Duration, Instant};

use matou::edge::AcmeStore;
use matou::stack::AppFile;

const MIB: usize = 1 << 20;

/// What a process may take: the machine of the tests may be busy.
const MOST_TIME: Duration = Duration::from_secs(90);

/// Memory that is reserved, which the kernel refuses to exceed; what is used is less by far.
const MOST_RESERVED_KIB: usize = 2 << 20;

/// What a run of the program printed, and took.
struct Ran {
    printed: usize,
    /// The first of it.
    begun: String,
    said: String,
    /// Highest use of memory, MiB.
    memory: usize,
}

/// Runs the program on a folder with a config.toml.
fn matou(folder: &Path, args: &[&str]) -> Ran {
    let mut command = Command::new("sh");
    command
        .args(["-c", "ulimit -v \"$1\"; shift; exec \"$@\"", "sh"])
        .arg(MOST_RESERVED_KIB.to_string())
        .arg(env!("CARGO_BIN_EXE_matou"))
        .args(args)
        .current_dir(folder)
        .env("HOME", folder)
        .env("XDG_STATE_HOME", folder.join("state"))
        .env("XDG_CONFIG_HOME", folder.join("config"))
        .env_remove("DOCKER_HOST")
        .env_remove("MATOU_CONFIG")
        .stdin(Stdio::null())
        .stdout(Stdio::piped())
        .stderr(Stdio::piped());
    let begun = Instant::now();
    let mut child = command.spawn().unwrap();
    let mut out = child.stdout.take().unwrap();
    let mut err = child.stderr.take().unwrap();
    let printing = std::thread::spawn(move || {
        let mut begun = Vec::new();
        out.by_ref().take(1 << 16).read_to_end(&mut begun).unwrap();
        let rest = std::io::copy(&mut out, &mut std::io::sink()).unwrap();
        let printed = begun.len() + usize::try_from(rest).unwrap();
        (printed, String::from_utf8_lossy(&begun).into_owned())
    });
    let saying = std::thread::spawn(move || {
        let mut said = Vec::new();
        err.read_to_end(&mut said).unwrap();
        String::from_utf8_lossy(&said).into_owned()
    });
    let mut memory = 0;
    while child.try_wait().unwrap().is_none() {
        let status = std::fs::read_to_string(format!("/proc/{}/status", child.id()));
        let peak = status.unwrap_or_default();
        let peak = peak.lines().find_map(|l| l.strip_prefix("VmHWM:"));
        let kib = peak.and_then(|p| p.trim().strip_suffix(" kB")?.trim().parse::<usize>().ok());
        memory = memory.max(kib.unwrap_or(0) >> 10);
        if begun.elapsed() > MOST_TIME {
            child.kill().unwrap();
            panic!("{args:?} takes longer than {MOST_TIME:?}, with {memory} MiB");
        }
        std::thread::sleep(Duration::from_millis(5));
    }
    let (printed, begun_with) = printing.join().unwrap();
    let ran = Ran {
        printed,
        begun: begun_with,
        said: saying.join().unwrap(),
        memory,
    };
    println!("{args:?}: {:.1?}, {memory} MiB", begun.elapsed());
    ran
}

/// A folder with a configuration of this machine alone.
fn fleet() -> tempfile::TempDir {
    let folder = tempfile::tempdir().unwrap();
    let socket = folder.path().join("engine");
    let socket = socket.display();
    let text =
        format!("[[nodes]]\nname = \"n1\"\nrole = \"manager\"\ndocker_socket = \"{socket}\"\n");
    std::fs::write(folder.path().join("config.toml"), text).unwrap();
    folder
}

/// A file of 100 MB that takes no room on the disk.
fn hundred_megabytes(path: &Path, begins: &str) {
    let mut file = std::fs::File::create(path).unwrap();
    file.write_all(begins.as_bytes()).unwrap();
    file.set_len(100_000_000).unwrap();
}

#[test]
fn a_configuration_of_100_megabytes_is_refused() {
    let folder = fleet();
    hundred_megabytes(&folder.path().join("config.toml"), "[fleet]\n");
    let ran = matou(folder.path(), &["status"]);
    assert!(
        ran.said
            .contains("config.toml: can't be read: it is larger than 1.0 MiB"),
        "{}",
        ran.said
    );
    assert!(ran.memory < 100, "{} MiB", ran.memory);
    // As large as it may be, and as deep or broad.
    for text in [
        "a.".repeat(MIB / 2),
        format!("a = {}", "[".repeat(MIB - 5)),
        format!("a = [{}]", "1,".repeat(MIB / 2 - 5)),
        "[[nodes]]\n".repeat(MIB / 10),
    ] {
        std::fs::write(folder.path().join("config.toml"), text).unwrap();
        let ran = matou(folder.path(), &["status"]);
        assert!(
            !ran.said.is_empty() && ran.said.len() < 10_000,
            "{} bytes",
            ran.said.len()
        );
        assert!(ran.memory < 500, "{} MiB", ran.memory);
    }
}

#[test]
fn an_applications_file_of_100_megabytes_is_refused() {
    let folder = fleet();
    std::fs::create_dir(folder.path().join("apps")).unwrap();
    hundred_megabytes(&AppFile::path(folder.path(), "a"), "stack = \"x\"\n");
    let error = AppFile::load(folder.path(), "a").unwrap_err().to_string();
    assert!(
        error.ends_with("apps/a.toml can't be read: it is larger than 1.0 MiB"),
        "{error}"
    );
}

/// A stack file with one thing in it that there is too much of.
fn stacks() -> Vec<(&'static str, String)> {
    let service = "services:\n  web:\n    image: x:1\n";
    let many =
        |count: usize, line: &dyn Fn(usize) -> String| -> String { (0..count).map(line).collect() };
    let deep = |open: &str, close: &str, count: usize| {
        format!(
            "x-a: {}{}\n{service}",
            open.repeat(count),
            close.repeat(count)
        )
    };
    let nested = |count: usize| -> String {
        let mut text = format!("{service}x-a:\n");
        for depth in 1..count {
            let _ = writeln!(text, "{}a:", " ".repeat(depth));
        }
        text
    };
    vec![
        ("brackets", deep("[", "]", 500_000)),
        ("braces", deep("{a: ", "}", 150_000)),
        ("unclosed", format!("x-a: {}", "[".repeat(900_000))),
        (
            "quoted brackets",
            format!("x-a: {}", "[\"]\",\n".repeat(140_000)),
        ),
        ("few levels", deep("[", "]", 127)),
        (
            "list in list",
            format!("x-a: \n {}\n{service}", "- ".repeat(500_000)),
        ),
        ("blocks", nested(1_400)),
        (
            "keys",
            format!("x-a:\n  {}\n{service}", "? ".repeat(500_000)),
        ),
        (
            "laughs",
            format!(
                "x-0: &a0 [lol]\n{}{service}",
                many(30, &|i| format!(
                    "x-{}: &a{} [{}]\n",
                    i + 1,
                    i + 1,
                    format!("*a{i},").repeat(10)
                ))
            ),
        ),
        (
            "square",
            format!(
                "x-a: &a [{}]\nx-b: [{}]\n{service}",
                "1,".repeat(200_000),
                "*a,".repeat(100_000)
            ),
        ),
        (
            "square of text",
            format!(
                "x-a: &a \"{}\"\nx-b: [{}]\n{service}",
                "x".repeat(500_000),
                "*a,".repeat(100_000)
            ),
        ),
        (
            "merges",
            format!(
                "x-a: &a {{{}}}\n{service}{}",
                many(20_000, &|i| format!("k{i}: 1, ")),
                many(20_000, &|i| format!("  s{i}: {{<<: *a}}\n"))
            ),
        ),
        ("itself", format!("x-a: &a [*a]\n{service}")),
        (
            "long keys",
            format!(
                "? {}\n: [{}]\n{service}",
                "k".repeat(400_000),
                "1,".repeat(200_000)
            ),
        ),
        ("long paths", {
            let mut text = format!("{service}x-a:\n");
            for depth in 1..60 {
                let _ = writeln!(text, "{}{}:", " ".repeat(depth), "k".repeat(1_000));
            }
            text + &format!("{}[{}]\n", " ".repeat(61), "1,".repeat(400_000))
        }),
        (
            "services",
            format!(
                "services:\n{}",
                many(20_000, &|i| format!("  s{i}: {{image: \"x:1\"}}\n"))
            ),
        ),
        (
            "labels",
            format!(
                "{service}    deploy:\n      labels:\n{}",
                many(10_000, &|i| format!(
                    "        traefik.http.routers.r{i}.rule: Host(`h{i}.org`)\n"
                ))
            ),
        ),
        (
            "old labels",
            format!(
                "{service}    deploy:\n      labels:\n{}",
                many(10_000, &|i| format!(
                    "        traefik.r{i}.frontend.rule: Host:h{i}.org\n"
                ))
            ),
        ),
        (
            "hosts that do not close",
            format!(
                "{service}    deploy:\n      labels:\n        traefik.http.routers.a.rule: {}\n",
                "Host(`a".repeat(120_000)
            ),
        ),
        (
            "volumes",
            format!(
                "{service}    volumes:\n{}volumes:\n{}",
                many(10_000, &|i| format!("      - v{i}:/v{i}\n")),
                many(10_000, &|i| format!("  v{i}: {{}}\n"))
            ),
        ),
        (
            "networks",
            format!(
                "{service}    networks: [{}]\nnetworks:\n{}",
                many(20_000, &|i| format!("n{i},")),
                many(20_000, &|i| format!("  n{i}:\n"))
            ),
        ),
        (
            "secrets",
            format!(
                "{service}    secrets: [{}]\nsecrets:\n{}x-matou:\n  secrets:\n{}",
                many(8_000, &|i| format!("n{i},")),
                many(8_000, &|i| format!("  n{i}: {{external: true}}\n")),
                many(8_000, &|i| format!("    - {{name: n{i}}}\n"))
            ),
        ),
        (
            "ports",
            format!(
                "{service}    ports:\n{}",
                "      - \"1-60000:1-60000\"\n".repeat(30_000)
            ),
        ),
        (
            "a long protocol",
            format!(
                "{service}    ports: [\"1-60000:1-60000/{}\"]\n",
                "x".repeat(500_000)
            ),
        ),
        (
            "services and networks",
            format!(
                "services:\n{}networks:\n{}",
                many(12_000, &|i| format!(
                    "  s{i}: {{image: x, networks: [n]}}\n"
                )),
                many(40_000, &|i| format!("  n{i}:\n"))
            ),
        ),
        (
            "a long network",
            format!(
                "services:\n{}networks:\n  n: {{labels: {{a: {}}}}}\n",
                many(12_000, &|i| format!(
                    "  s{i}: {{image: x, networks: [n]}}\n"
                )),
                "x".repeat(400_000)
            ),
        ),
        (
            "environment",
            format!(
                "{service}    environment:\n{}",
                many(30_000, &|i| format!("      E{i}: $E{i}\n"))
            ),
        ),
        (
            "required",
            format!(
                "{service}    environment:\n{}",
                many(30_000, &|i| format!("      E{i}: ${{E{i}:?no}}\n"))
            ),
        ),
        (
            "declared",
            format!(
                "{service}    command: \"{}\"\nx-matou:\n  variables:\n{}",
                many(15_000, &|i| format!("${{E{i}:?}}")),
                many(15_000, &|i| format!("    - {{name: E{i}}}\n"))
            ),
        ),
        (
            "a long default",
            format!(
                "{service}    command: {}\nx-matou:\n  variables: [{{name: D, default: {}}}]\n",
                "$D".repeat(100_000),
                "x".repeat(500_000)
            ),
        ),
        (
            "many long defaults",
            format!(
                "{service}    command: [{}]\nx-matou:\n  variables: [{{name: D, default: {}}}]\n",
                "$D,".repeat(100_000),
                "x".repeat(500_000)
            ),
        ),
        (
            "nested variables",
            format!(
                "{service}    command: \"{}{}\"\n",
                "${D:-]".repeat(120_000),
                "}".repeat(120_000)
            ),
        ),
        (
            "a secret's length",
            format!(
                "{service}secrets: {{s: {{external: true}}}}\nx-matou:\n  secrets: [{{name: s, length: 99999999999}}]\n"
            ),
        ),
        (
            "a line",
            format!("{service}    command: {}\n", "x".repeat(MIB - 100)),
        ),
        (
            "more than it may have",
            format!("{service}    command: {}\n", "x".repeat(MIB)),
        ),
    ]
}

/// What is said of those that are refused.
const SENTENCES: [(&str, &str); 12] = [
    ("brackets", "nested more than 128 deep"),
    ("quoted brackets", "nested more than 128 deep"),
    ("square", "its aliases make more of it than can be kept"),
    ("laughs", "its aliases make more of it than can be kept"),
    (
        "a long default",
        "its variables make it longer than 1024 KiB",
    ),
    ("many long defaults", "its variables make it longer"),
    (
        "nested variables",
        "its variables are nested more than 32 deep",
    ),
    ("required", "the variable E0 is required: no"),
    ("ports", "more ports are published than there are"),
    ("a long network", "its services refer to more than 64 MiB"),
    ("a secret's length", "a secret has 65536 characters at most"),
    ("more than it may have", "larger than 1024 KiB"),
];

#[test]
fn stack_files_of_any_depth_and_breadth_are_read_or_refused() {
    let folder = fleet();
    for (what, text) in stacks() {
        let large = what.starts_with("more");
        assert!(large || text.len() <= MIB, "{what}: {} bytes", text.len());
        std::fs::write(folder.path().join("own.yml"), &text).unwrap();
        println!("{what}:");
        let mut told = String::new();
        let commands = match what {
            "brackets" | "square" | "laughs" | "long paths" | "old labels" => {
                &["lint", "migrate"][..]
            }
            _ => &["lint"],
        };
        for command in commands {
            let ran = matou(folder.path(), &[command, "./own.yml"]);
            told = ran.begun + &ran.said;
            let broken = ["panicked", "overflow", "memory allocation"];
            assert!(!broken.iter().any(|b| told.contains(b)), "{what}: {told}");
            assert!(ran.memory < 700, "{what}: {} MiB", ran.memory);
        }
        if let Some((_, sentence)) = SENTENCES.iter().find(|(name, _)| *name == what) {
            assert!(told.contains(sentence), "{what}: {told}");
        }
    }
}

#[test]
fn a_store_of_certificates_of_100_megabytes_is_refused() {
    let begun = Instant::now();
    let large = format!(
        "{{\"le\":{{\"Certificates\":[{}0]}}}}",
        "0,".repeat(50_000_000)
    );
    let error = AcmeStore::parse(&large).unwrap_err().to_string();
    assert_eq!(
        error,
        "acme.json is larger than 16 MiB, which no store of certificates is"
    );
    assert!(begun.elapsed() < Duration::from_secs(60));
    let deep = format!("{{\"le\":{}", "[".repeat(10_000_000));
    assert!(AcmeStore::parse(&deep).is_err());
}

/// What an engine answers.
#[derive(Clone)]
struct Engine {
    services: Arc<String>,
    /// Sends a container's output.
    logs: fn(&mut UnixStream) -> std::io::Result<()>,
}

/// An engine that says what it is told to, at the socket of a folder's configuration.
fn engine(folder: &Path, engine: Engine) {
    let listener = UnixListener::bind(folder.join("engine")).unwrap();
    std::thread::spawn(move || {
        for stream in listener.incoming().map_while(Result::ok) {
            let engine = engine.clone();
            std::thread::spawn(move || serve(stream, &engine));
        }
    });
}

const NODES: &str = r#"[{"ID":"abc","Spec":{"Role":"manager","Availability":"active"},"Description":{"Hostname":"n1"},"Status":{"State":"ready"},"ManagerStatus":{"Leader":true,"Reachability":"reachable"}}]"#;

const TASKS: &str = r#"[{"ID":"t1","ServiceID":"s1","Slot":1,"NodeID":"abc","Spec":{},"DesiredState":"running","Status":{"State":"running","ContainerStatus":{"ContainerID":"c1"}}}]"#;

fn serve(stream: UnixStream, engine: &Engine) -> Option<()> {
    let mut reader = BufReader::new(stream.try_clone().ok()?);
    let mut stream = stream;
    loop {
        let mut asked = String::new();
        reader.read_line(&mut asked).ok().filter(|n| *n > 0)?;
        loop {
            let mut header = String::new();
            reader.read_line(&mut header).ok().filter(|n| *n > 0)?;
            if header.trim().is_empty() {
                break;
            }
        }
        let path = asked.split(' ').nth(1)?;
        let path = path.split('?').next()?;
        let path = match path
            .split_once("/v1.")
            .and_then(|(_, rest)| rest.split_once('/'))
        {
            Some((_, rest)) => rest.to_owned(),
            None => path.trim_start_matches('/').to_owned(),
        };
        let (status, body) = match path.as_str() {
            "version" => (200, r#"{"Version":"28.0.0","ApiVersion":"1.48"}"#),
            "swarm" => (200, r#"{"ID":"x","Version":{"Index":1},"Spec":{}}"#),
            "info" => (
                200,
                r#"{"Swarm":{"NodeID":"abc","LocalNodeState":"active"}}"#,
            ),
            "nodes" => (200, NODES),
            "services" => (200, engine.services.as_str()),
            "tasks" => (200, TASKS),
            "containers/c1/logs" => {
                let head = "HTTP/1.1 200 OK\r\nConnection: close\r\n\r\n";
                stream.write_all(head.as_bytes()).ok()?;
                return (engine.logs)(&mut stream).ok();
            }
            _ => (404, r#"{"message":"no such thing"}"#),
        };
        let head = format!(
            "HTTP/1.1 {status} X\r\nContent-Type: application/json\r\nContent-Length: {}\r\n\r\n",
            body.len()
        );
        stream.write_all(head.as_bytes()).ok()?;
        stream.write_all(body.as_bytes()).ok()?;
    }
}

const SERVICE: &str = r#"[{"ID":"s1","Version":{"Index":1},"Spec":{"Name":"web","Labels":{},"Mode":{"Replicated":{"Replicas":1}}}}]"#;

const STAMP: &str = "2026-11-23T14:00:33.123456789Z ";

/// A frame of a container without a terminal.
fn frame(body: &[u8]) -> Vec<u8> {
    let length = u32::try_from(body.len()).unwrap().to_be_bytes();
    [&[1, 0, 0, 0], &length[..], body].concat()
}

#[test]
fn logs_of_100_megabytes_pass_in_bounded_memory() {
    /// Its name, who writes it, and how many lines it is.
    type Kind = (
        &'static str,
        fn(&mut UnixStream) -> std::io::Result<()>,
        usize,
    );
    let kinds: [Kind; 5] = [
        (
            "one line of a terminal",
            |to| {
                to.write_all(STAMP.as_bytes())?;
                (0..1600).try_for_each(|_| to.write_all(&[b'x'; 1 << 16]))
            },
            1,
        ),
        (
            "one line in frames",
            |to| {
                let piece = frame(&[STAMP.as_bytes(), &[b'x'; 1 << 14]].concat());
                (0..6400).try_for_each(|_| to.write_all(&piece))
            },
            1,
        ),
        (
            "one frame of gigabytes",
            |to| {
                to.write_all(b"\x01\0\0\0\xff\xff\xff\xff")?;
                (0..1600).try_for_each(|_| to.write_all(&[b'x'; 1 << 16]))
            },
            1,
        ),
        (
            "long lines",
            |to| {
                let piece = frame(&[STAMP.as_bytes(), &[b'x'; 60_000], b"\n"].concat());
                (0..1700).try_for_each(|_| to.write_all(&piece))
            },
            1700,
        ),
        (
            "empty lines",
            |to| {
                let piece = frame(&[STAMP.as_bytes(), b"\n"].concat()).repeat(1000);
                (0..200).try_for_each(|_| to.write_all(&piece))
            },
            200_000,
        ),
    ];
    for (what, logs, lines) in kinds {
        let folder = fleet();
        let services = Arc::new(SERVICE.to_owned());
        engine(folder.path(), Engine { services, logs });
        println!("{what}:");
        let ran = matou(folder.path(), &["logs", "web", "--tail", "1000000"]);
        assert_eq!(ran.said, "", "{what}");
        // Each begins with the name of its task.
        assert!(
            ran.printed >= lines * "web.1@n1 | \n".len(),
            "{what}: {} bytes",
            ran.printed
        );
        assert!(ran.memory < 200, "{what}: {} MiB", ran.memory);
    }
}

#[test]
fn a_service_of_10_000_labels_is_shown() {
    let mut labels = String::new();
    for i in 0..10_000 {
        let _ = write!(
            labels,
            r#""traefik.http.routers.r{i}.rule":"Host(`h{i}.example.org`)","#
        );
    }
    let hosts = "Host(`a".repeat(100_000);
    let labels = format!(r#"{{{labels}"traefik.http.routers.x.rule":"{hosts}","a":"b"}}"#);
    let services = Arc::new(SERVICE.replace(r#""Labels":{}"#, &format!(r#""Labels":{labels}"#)));
    let folder = fleet();
    engine(
        folder.path(),
        Engine {
            services,
            logs: |_| Ok(()),
        },
    );
    for args in [&["status"][..], &["status", "--json"]] {
        let ran = matou(folder.path(), args);
        assert!(!ran.said.contains("panicked"), "{}", ran.said);
        assert!(ran.memory < 300, "{} MiB", ran.memory);
        assert!(ran.printed > 100);
    }
}

#[test]
fn an_engine_that_answers_without_an_end_is_not_listened_to() {
    let folder = fleet();
    let services = Arc::new(format!("[{}", " ".repeat(257 * MIB)));
    engine(
        folder.path(),
        Engine {
            services,
            logs: |_| Ok(()),
        },
    );
    let ran = matou(folder.path(), &["logs", "web"]);
    let wanted = "an answer larger than 256 MiB, which is not taken";
    assert!(ran.said.contains(wanted), "{}", ran.said);
    assert!(ran.memory < 700, "{} MiB", ran.memory);
}
