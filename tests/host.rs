//! Hosts against a real sshd that each test starts on a loopback port, with keys of its own.

use std::fs;
use std::net::TcpListener;
use std::os::unix::fs::PermissionsExt;
use std::path::{Path, PathBuf};
use std::process::{Child, Command as Process, Stdio};
use std::sync::{Arc, Mutex};
use std::time::{Duration, Instant};

use matou::config::{KnownHosts, NodeConnection, SshOptions};
use matou::host::{
    Command, CommandRecorder, Host, HostError, HostOptions, LONGEST_LINE, OutputStream, ShellInput,
};
use matou::model::NodeLink;
use tempfile::TempDir;
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::sync::mpsc;
use tokio_util::sync::CancellationToken;

/// A real sshd in a temporary folder; ended when dropped.
struct Sshd {
    dir: TempDir,
    port: u16,
    user: String,
    daemon: Child,
}

fn keygen(file: &Path) {
    let made = Process::new("ssh-keygen")
        .args(["-q", "-t", "ed25519", "-N", "", "-f"])
        .arg(file)
        .status()
        .expect("ssh-keygen: apt-get install openssh-client");
    assert!(made.success());
}

impl Sshd {
    fn start() -> Self {
        let dir = tempfile::Builder::new()
            .prefix("mt")
            .tempdir_in("/tmp")
            .unwrap();
        let at = |name: &str| dir.path().join(name);
        for key in ["host", "user", "stranger"] {
            keygen(&at(key));
        }
        fs::copy(at("user.pub"), at("authorized_keys")).unwrap();
        // Where sshd's unprivileged half lives; Debian's unit makes it.
        if nix::unistd::geteuid().is_root() {
            fs::create_dir_all("/run/sshd").unwrap();
        }
        let port = TcpListener::bind("127.0.0.1:0")
            .unwrap()
            .local_addr()
            .unwrap()
            .port();
        let config = format!(
            "Port {port}\nListenAddress 127.0.0.1\nHostKey {host}\nPidFile none\n\
             AuthorizedKeysFile {keys}\nStrictModes no\nUsePAM no\nPasswordAuthentication no\n\
             KbdInteractiveAuthentication no\nPermitRootLogin prohibit-password\nLogLevel VERBOSE\n",
            host = at("host").display(),
            keys = at("authorized_keys").display(),
        );
        fs::write(at("sshd_config"), config).unwrap();
        let user = nix::unistd::User::from_uid(nix::unistd::geteuid())
            .unwrap()
            .unwrap()
            .name;
        let daemon = Self::daemon(dir.path());
        let sshd = Self {
            dir,
            port,
            user,
            daemon,
        };
        sshd.trust("host");
        sshd.wait();
        sshd
    }

    fn daemon(dir: &Path) -> Child {
        Process::new("/usr/sbin/sshd")
            .args(["-D", "-e", "-f"])
            .arg(dir.join("sshd_config"))
            .stderr(fs::File::create(dir.join("sshd.log")).unwrap())
            .spawn()
            .expect("sshd: apt-get install openssh-server")
    }

    /// Until it listens.
    fn wait(&self) {
        let begun = Instant::now();
        while std::net::TcpStream::connect(("127.0.0.1", self.port)).is_err() {
            assert!(begun.elapsed() < Duration::from_secs(10), "{}", self.log());
            std::thread::sleep(Duration::from_millis(20));
        }
    }

    fn log(&self) -> String {
        fs::read_to_string(self.path("sshd.log")).unwrap_or_default()
    }

    /// Writes that key of the folder into known_hosts as the server's.
    fn trust(&self, key: &str) {
        let public = fs::read_to_string(self.path(&format!("{key}.pub"))).unwrap();
        fs::write(
            self.path("known_hosts"),
            format!("[127.0.0.1]:{} {public}", self.port),
        )
        .unwrap();
    }

    fn path(&self, name: &str) -> PathBuf {
        self.dir.path().join(name)
    }

    fn text(&self, name: &str) -> String {
        self.path(name).display().to_string()
    }

    fn ssh(&self) -> SshOptions {
        SshOptions {
            address: "127.0.0.1".into(),
            port: Some(self.port),
            user: Some(self.user.clone()),
            identity: Some(self.path("user")),
            jump: None,
            known_hosts: KnownHosts::Strict,
            known_hosts_file: Some(self.path("known_hosts")),
            // Not the one of the person who runs the tests.
            config_file: Some("/dev/null".into()),
            connect_timeout: Duration::from_secs(5),
            keep_alive: Duration::from_secs(5),
        }
    }

    fn options(&self) -> HostOptions {
        let runtime_dir = self.path("run");
        fs::create_dir_all(&runtime_dir).unwrap();
        fs::set_permissions(&runtime_dir, fs::Permissions::from_mode(0o700)).unwrap();
        HostOptions {
            docker_socket: self.path("engine.sock"),
            runtime_dir,
            recorder: None,
        }
    }

    fn host_with(&self, change: impl FnOnce(&mut SshOptions)) -> Host {
        let mut ssh = self.ssh();
        change(&mut ssh);
        Host::new("node-1", &NodeConnection::Ssh(ssh), self.options())
    }

    fn host(&self) -> Host {
        self.host_with(|_| ())
    }

    /// Why nothing can be run.
    async fn refusal(&self, host: &Host) -> String {
        let begun = Instant::now();
        let error = host
            .run(&Command::new("true"))
            .await
            .expect_err("it should be refused");
        assert!(matches!(error, HostError::Unreachable { .. }), "{error:?}");
        assert!(begun.elapsed() < Duration::from_secs(12));
        host.close().await;
        let text = error.to_string();
        assert!(text.starts_with("node-1: "), "{text}");
        assert!(!text.contains(['\u{1b}', '\r', '\n']), "{text:?}");
        text
    }

    /// Ends the processes that serve connections, as a cut network would.
    fn cut(&self) {
        let own = self.daemon.id().to_string();
        let children = Process::new("pgrep").args(["-P", &own]).output().unwrap();
        let mut count = 0;
        for pid in String::from_utf8(children.stdout)
            .unwrap()
            .split_whitespace()
        {
            let pid = nix::unistd::Pid::from_raw(pid.parse().unwrap());
            nix::sys::signal::kill(pid, nix::sys::signal::Signal::SIGKILL).unwrap();
            count += 1;
        }
        assert!(count > 0, "no connection to cut");
    }
}

impl Drop for Sshd {
    fn drop(&mut self) {
        let own = self.daemon.id().to_string();
        let _ = Process::new("pkill").args(["-KILL", "-P", &own]).status();
        let _ = self.daemon.kill();
        let _ = self.daemon.wait();
    }
}

fn alive(pid: i32) -> bool {
    // A zombie has ended, whoever has to bury it.
    fs::read_to_string(format!("/proc/{pid}/stat")).is_ok_and(|s| {
        !s.rsplit(')')
            .next()
            .unwrap_or("")
            .trim_start()
            .starts_with('Z')
    })
}

async fn until(what: &str, limit: Duration, mut so: impl FnMut() -> bool) {
    let begun = Instant::now();
    while !so() {
        assert!(begun.elapsed() < limit, "not so after {limit:?}: {what}");
        tokio::time::sleep(Duration::from_millis(30)).await;
    }
}

async fn until_link(host: &Host, what: &str, so: impl FnMut(&NodeLink) -> bool) {
    let mut link = host.watch_link();
    let waited = tokio::time::timeout(Duration::from_secs(20), link.wait_for(so)).await;
    waited
        .unwrap_or_else(|_| panic!("the link is not {what}"))
        .unwrap();
}

#[tokio::test(flavor = "multi_thread")]
async fn commands_run_with_arguments_input_and_exit_codes_unchanged() {
    let sshd = Sshd::start();
    for host in [
        sshd.host(),
        Host::new("here", &NodeConnection::Local, sshd.options()),
    ] {
        let hostile = [
            "",
            "-n",
            "a b",
            "$(id)",
            "`id`",
            "'\"\\",
            "two\nlines",
            "é日本",
            "*",
            "${HOME}",
        ];
        let out = host
            .run(&Command::new("printf").arg("%s\\0").args(hostile))
            .await
            .unwrap();
        let expected: Vec<u8> = hostile
            .iter()
            .flat_map(|a| [a.as_bytes(), b"\0"].concat())
            .collect();
        assert_eq!(out.stdout, expected, "{}", host.describe());

        let input: Vec<u8> = (0..3_000_000u32).map(|i| (i % 251) as u8).collect();
        let out = host
            .run(&Command::new("cat").stdin(input.clone()))
            .await
            .unwrap();
        assert!(out.stdout == input, "3 MB of bytes came back changed");

        let out = host
            .run(&Command::sh("echo out; echo err >&2; exit 7"))
            .await
            .unwrap();
        assert_eq!(
            (out.code, &out.stdout[..], &out.stderr[..]),
            (7, &b"out\n"[..], &b"err\n"[..])
        );
        let out = host.run(&Command::sh("kill -9 $$")).await.unwrap();
        assert_eq!(
            out.code, 137,
            "a command that was killed is no lost connection"
        );
        let out = host
            .run(&Command::new("no-such-program-anywhere"))
            .await
            .unwrap();
        assert_eq!(out.code, 127);
        // Without input a command that reads must not hang.
        let out = host
            .run(&Command::new("cat").timeout(Duration::from_secs(10)))
            .await
            .unwrap();
        assert_eq!(out.code, 0);
        let bytes = host
            .run(&Command::sh("printf '\\377\\376x'"))
            .await
            .unwrap();
        assert_eq!(bytes.stdout, b"\xff\xfex");

        let failed = host
            .run_ok(&Command::sh(
                "printf 'bad \\033[2J\\377 news\\n' >&2; exit 3",
            ))
            .await;
        let text = failed.unwrap_err().to_string();
        assert!(
            text.contains("exit code 3") && text.contains("news"),
            "{text}"
        );
        assert!(!text.contains('\u{1b}'), "{text:?}");
        host.close().await;
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn many_commands_at_once_share_the_connection() {
    let sshd = Sshd::start();
    let host = sshd.host();
    // More than sshd's ten sessions: without a limit the rest would be refused.
    let running = (0..30).map(|i| {
        let host = host.clone();
        async move {
            host.run_ok(&Command::sh("sleep 0.05; echo $1").arg(i.to_string()))
                .await
                .unwrap()
                .stdout_text()
        }
    });
    let said = futures_util::future::join_all(running).await;
    assert_eq!(said, (0..30).map(|i| i.to_string()).collect::<Vec<_>>());
    assert_eq!(sshd.log().matches("Accepted publickey").count(), 1);
    host.close().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn lines_come_as_they_are_printed_and_long_ones_are_cut() {
    let sshd = Sshd::start();
    let host = sshd.host();
    let (lines, mut arriving) = mpsc::channel(4);
    let script = "echo first; read -r wait; head -c 10485760 /dev/zero | tr '\\0' x; echo; printf '\\377end'";
    let gate = sshd.path("gate");
    assert!(
        Process::new("mkfifo")
            .arg(&gate)
            .status()
            .unwrap()
            .success()
    );
    // Open for both, so that neither side waits for the other.
    let mut writer = fs::OpenOptions::new()
        .read(true)
        .write(true)
        .open(&gate)
        .unwrap();
    let command =
        Command::sh(format!("exec <{}; {script}", gate.display())).timeout(Duration::from_secs(60));
    let running = tokio::spawn({
        let host = host.clone();
        async move {
            host.stream_lines(&command, lines, &CancellationToken::new())
                .await
        }
    });
    assert_eq!(
        arriving.recv().await.unwrap(),
        (OutputStream::Stdout, b"first".to_vec())
    );
    // Only now the command may go on: the first line did not wait for its end.
    std::io::Write::write_all(&mut writer, b"go\n").unwrap();
    let (_, long) = arriving.recv().await.unwrap();
    assert!(long.len() < LONGEST_LINE + 64, "{}", long.len());
    assert!(long.ends_with(b" more bytes]"));
    let end = arriving.recv().await;
    assert!(arriving.recv().await.is_none());
    // How it ended first: it tells why a line may be missing.
    assert_eq!(running.await.unwrap().unwrap(), 0, "last line: {end:?}");
    assert_eq!(end, Some((OutputStream::Stdout, b"\xffend".to_vec())));
    host.close().await;
}

/// A shell that ignores TERM, with a child of its own; both write their process ids.
const STUBBORN: &str = "trap '' TERM; sh -c 'trap \"\" TERM; echo $$; while :; do sleep 0.2; done' & echo $$; \
    while :; do sleep 0.2; done";

async fn pids(arriving: &mut mpsc::Receiver<(OutputStream, Vec<u8>)>) -> Vec<i32> {
    let mut pids = Vec::new();
    while pids.len() < 2 {
        let line = tokio::time::timeout(Duration::from_secs(10), arriving.recv()).await;
        let (_, line) = line.expect("no pid").expect("ended");
        pids.push(String::from_utf8(line).unwrap().trim().parse().unwrap());
    }
    pids
}

#[tokio::test(flavor = "multi_thread")]
async fn cancelling_ends_the_whole_remote_process_tree() {
    let sshd = Sshd::start();
    for host in [
        sshd.host(),
        Host::new("here", &NodeConnection::Local, sshd.options()),
    ] {
        for how in ["cancel", "drop", "unheard", "timeout"] {
            let (lines, mut arriving) = mpsc::channel(16);
            let cancel = CancellationToken::new();
            // Long enough for a busy machine to start both shells.
            let limit = Duration::from_secs(if how == "timeout" { 8 } else { 60 });
            let command = Command::sh(format!(
                "{STUBBORN} & while :; do echo tick; sleep 0.2; done"
            ))
            .timeout(limit);
            // Nothing but the process ids is printed before somebody looks.
            let command = if how == "unheard" {
                command
            } else {
                Command::sh(STUBBORN).timeout(limit)
            };
            let running = tokio::spawn({
                let (host, cancel) = (host.clone(), cancel.clone());
                async move { host.stream_lines(&command, lines, &cancel).await }
            });
            let mut seen = Vec::new();
            if how == "unheard" {
                while seen.len() < 2 {
                    let (_, line) = arriving.recv().await.unwrap();
                    if let Ok(pid) = String::from_utf8(line).unwrap().trim().parse() {
                        seen.push(pid);
                    }
                }
            } else {
                seen = pids(&mut arriving).await;
            }
            assert!(seen.iter().all(|p| alive(*p)), "{how}: {seen:?}");
            match how {
                "cancel" => {
                    cancel.cancel();
                    let result = running.await.unwrap();
                    assert!(
                        matches!(result, Err(HostError::Cancelled { .. })),
                        "{result:?}"
                    );
                }
                "timeout" => {
                    let result = running.await.unwrap();
                    assert!(
                        matches!(result, Err(HostError::Timeout { .. })),
                        "{result:?}"
                    );
                }
                "drop" => running.abort(),
                _ => {
                    drop(arriving);
                    let result = running.await.unwrap();
                    assert!(
                        matches!(result, Err(HostError::Cancelled { .. })),
                        "{result:?}"
                    );
                }
            }
            let name = format!("{how} on {} ends {seen:?}", host.describe());
            until(&name, Duration::from_secs(10), || {
                !seen.iter().any(|p| alive(*p))
            })
            .await;
        }
        // What ended before is no burden for what comes.
        assert_eq!(
            host.run_ok(&Command::sh("echo fine"))
                .await
                .unwrap()
                .stdout_text(),
            "fine"
        );
        host.close().await;
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn a_connection_cut_in_the_middle_is_told_and_comes_back() {
    let sshd = Sshd::start();
    let host = sshd.host();
    let running = tokio::spawn({
        let host = host.clone();
        async move { host.run(&Command::sh("echo on; sleep 300")).await }
    });
    until_link(&host, "up", |l| *l == NodeLink::Up).await;
    tokio::time::sleep(Duration::from_millis(500)).await;
    sshd.cut();
    let error = tokio::time::timeout(Duration::from_secs(10), running)
        .await
        .unwrap()
        .unwrap()
        .unwrap_err();
    assert!(matches!(error, HostError::Lost { .. }), "{error:?}");
    assert!(
        error
            .to_string()
            .contains("connection was lost while `sh -c"),
        "{error}"
    );
    // Who asks next waits for the new connection.
    let command = Command::new("true");
    tokio::time::timeout(Duration::from_secs(15), host.run_ok(&command))
        .await
        .expect("it did not come back")
        .unwrap();
    assert_eq!(*host.watch_link().borrow(), NodeLink::Up);
    host.close().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_server_that_was_away_is_found_again() {
    let mut sshd = Sshd::start();
    let host = sshd.host();
    host.run_ok(&Command::new("true")).await.unwrap();
    sshd.daemon.kill().unwrap();
    sshd.daemon.wait().unwrap();
    host.close().await;
    let host = sshd.host();
    until_link(
        &host,
        "down",
        |l| matches!(l, NodeLink::Down { reason, .. } if reason.contains("refuses the connection")),
    )
    .await;
    // While it is down every call fails at once.
    let begun = Instant::now();
    assert!(host.run(&Command::new("true")).await.is_err());
    assert!(begun.elapsed() < Duration::from_millis(300));
    sshd.daemon = Sshd::daemon(sshd.dir.path());
    sshd.wait();
    host.reconnect();
    until_link(&host, "up again", |l| *l == NodeLink::Up).await;
    host.run_ok(&Command::new("true")).await.unwrap();
    host.close().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_file_is_replaced_in_one_step_with_its_mode() {
    let sshd = Sshd::start();
    let host = sshd.host();
    let file = sshd.path("with space 'and' quote");
    fs::write(&file, "old").unwrap();
    let content: Vec<u8> = (0..500_000u32).map(|i| (i % 256) as u8).collect();
    host.upload_file(&file.display().to_string(), &content, 0o640)
        .await
        .unwrap();
    assert!(fs::read(&file).unwrap() == content);
    assert_eq!(
        fs::metadata(&file).unwrap().permissions().mode() & 0o777,
        0o640
    );
    // No half-written file stays behind, neither now nor when it fails.
    let missing = sshd.text("no/such/folder/file");
    let error = host
        .upload_file(&missing, b"x", 0o600)
        .await
        .unwrap_err()
        .to_string();
    assert!(
        error.contains("write ") && error.contains("No such file"),
        "{error}"
    );
    let left: Vec<_> = fs::read_dir(sshd.dir.path())
        .unwrap()
        .map(|e| e.unwrap().file_name().into_string().unwrap())
        .filter(|n| n.starts_with("with space"))
        .collect();
    assert_eq!(left, ["with space 'and' quote"]);
    host.close().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn host_keys_unknown_changed_and_new() {
    let sshd = Sshd::start();
    fs::write(sshd.path("known_hosts"), "").unwrap();
    let text = sshd.refusal(&sshd.host()).await;
    assert!(
        text.contains("is not known") && text.contains("ssh-keyscan"),
        "{text}"
    );
    let shown = Process::new("ssh-keygen")
        .arg("-lf")
        .arg(sshd.path("host.pub"))
        .output()
        .unwrap();
    let shown = String::from_utf8(shown.stdout).unwrap();
    let print = shown.split_whitespace().nth(1).unwrap();
    assert!(text.contains(print), "{text} lacks {print}");

    let host = sshd.host_with(|s| s.known_hosts = KnownHosts::AcceptNew);
    host.run_ok(&Command::new("true")).await.unwrap();
    host.close().await;
    let stored = fs::read_to_string(sshd.path("known_hosts")).unwrap();
    assert!(stored.contains("ssh-ed25519"), "{stored}");

    for policy in [KnownHosts::Strict, KnownHosts::AcceptNew] {
        sshd.trust("stranger");
        let text = sshd
            .refusal(&sshd.host_with(|s| s.known_hosts = policy))
            .await;
        assert!(
            text.contains("HAS CHANGED") && text.contains("ssh-keygen -R"),
            "{text}"
        );
        assert!(text.contains(print), "{text} lacks {print}");
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn what_can_not_be_reached_is_explained() {
    let sshd = Sshd::start();
    let text = sshd
        .refusal(&sshd.host_with(|s| s.identity = Some(sshd.path("stranger"))))
        .await;
    assert!(
        text.contains("refuses the key") && text.contains("stranger"),
        "{text}"
    );
    assert!(text.contains(&sshd.user), "{text}");

    let text = sshd
        .refusal(&sshd.host_with(|s| s.identity = Some(sshd.path("nokey"))))
        .await;
    assert!(
        text.contains("nokey can't be read (No such file or directory")
            && !text.contains("refuses"),
        "{text}"
    );

    let closed = TcpListener::bind("127.0.0.1:0")
        .unwrap()
        .local_addr()
        .unwrap()
        .port();
    let text = sshd
        .refusal(&sshd.host_with(|s| s.port = Some(closed)))
        .await;
    assert!(
        text.contains(&format!("port {closed} refuses the connection")),
        "{text}"
    );

    let text = sshd
        .refusal(&sshd.host_with(|s| s.address = "no-such-host.invalid".into()))
        .await;
    assert!(text.contains("can't be resolved"), "{text}");

    let text = sshd
        .refusal(&sshd.host_with(|s| s.address = "-oProxyCommand=touch /tmp/x".into()))
        .await;
    assert!(text.contains("is no host name"), "{text}");

    // Takes connections and never says a word.
    let mute = TcpListener::bind("127.0.0.1:0").unwrap();
    let port = mute.local_addr().unwrap().port();
    let host = sshd.host_with(|s| {
        s.port = Some(port);
        s.connect_timeout = Duration::from_secs(2);
    });
    let begun = Instant::now();
    let text = sshd.refusal(&host).await;
    assert!(text.contains("not answer"), "{text}");
    assert!(
        begun.elapsed() < Duration::from_secs(5),
        "{:?}",
        begun.elapsed()
    );
}

#[tokio::test(flavor = "multi_thread")]
async fn a_dead_node_costs_the_others_no_wait() {
    let sshd = Sshd::start();
    let mute = TcpListener::bind("127.0.0.1:0").unwrap();
    let port = mute.local_addr().unwrap().port();
    let (dead, good) = (sshd.host_with(|s| s.port = Some(port)), sshd.host());
    let waiting = tokio::spawn({
        let dead = dead.clone();
        async move { dead.run(&Command::new("true")).await }
    });
    good.run_ok(&Command::new("true")).await.unwrap();
    assert!(!waiting.is_finished());
    assert!(waiting.await.unwrap().is_err());
    dead.close().await;
    good.close().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn the_engine_socket_is_forwarded_or_its_absence_told() {
    let sshd = Sshd::start();
    let host = sshd.host();
    let error = host.docker_socket().await.unwrap_err().to_string();
    assert!(
        error.contains("engine.sock") && error.contains("is it running"),
        "{error}"
    );

    let engine = tokio::net::UnixListener::bind(sshd.path("engine.sock")).unwrap();
    tokio::spawn(async move {
        while let Ok((mut client, _)) = engine.accept().await {
            tokio::spawn(async move {
                let mut asked = vec![0; 1000];
                let n = client.read(&mut asked).await.unwrap_or(0);
                let _ = client.write_all(b"HTTP/1.1 200 OK\r\n\r\n").await;
                let _ = client.write_all(&asked[..n]).await;
            });
        }
    });
    let ask = async |path: PathBuf| {
        let mut stream = tokio::net::UnixStream::connect(path).await.unwrap();
        stream.write_all(b"hello").await.unwrap();
        let mut said = String::new();
        stream.read_to_string(&mut said).await.unwrap();
        said
    };
    let first = host.docker_socket().await.unwrap();
    assert!(ask(first.clone()).await.ends_with("hello"));
    assert_eq!(host.docker_socket().await.unwrap(), first);
    sshd.cut();
    let begun = Instant::now();
    // Made anew with the connection, under another name.
    let second = loop {
        match host.docker_socket().await {
            Ok(path) if path != first => break path,
            _ => tokio::time::sleep(Duration::from_millis(100)).await,
        }
        assert!(begun.elapsed() < Duration::from_secs(15));
    };
    assert!(ask(second).await.ends_with("hello"));
    host.close().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_terminal_is_opened_over_the_same_connection() {
    let sshd = Sshd::start();
    let host = sshd.host();
    let command = Command::sh("test -t 0 && echo terminal $1").arg("it's");
    let argv = host
        .terminal_argv(Some(&command), ShellInput::Terminal)
        .await
        .unwrap();
    let out = Process::new(&argv[0])
        .args(&argv[1..])
        .stdin(Stdio::null())
        .output()
        .unwrap();
    assert_eq!(String::from_utf8_lossy(&out.stdout).trim(), "terminal it's");
    assert_eq!(sshd.log().matches("Accepted publickey").count(), 1);
    host.close().await;
    // Closing waits a second at most for the master; on a busy machine it takes longer.
    let begun = Instant::now();
    while fs::read_dir(sshd.path("run"))
        .unwrap()
        .flatten()
        .any(|e| e.path().is_dir())
    {
        assert!(
            begun.elapsed() < Duration::from_secs(15),
            "a master is left"
        );
        tokio::time::sleep(Duration::from_millis(50)).await;
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn a_shell_without_a_terminal_reads_its_input_and_ends_with_it() {
    let sshd = Sshd::start();
    let host = sshd.host();
    let argv = host.terminal_argv(None, ShellInput::Piped).await.unwrap();
    for (input, said) in [("", ""), ("test -t 0 || echo none; exit 7\n", "none\n")] {
        let mut shell = tokio::process::Command::new(&argv[0])
            .args(&argv[1..])
            .stdin(Stdio::piped())
            .stdout(Stdio::piped())
            .kill_on_drop(true)
            .spawn()
            .unwrap();
        let mut pipe = shell.stdin.take().unwrap();
        tokio::io::AsyncWriteExt::write_all(&mut pipe, input.as_bytes())
            .await
            .unwrap();
        drop(pipe);
        let ended = tokio::time::timeout(Duration::from_secs(20), shell.wait_with_output());
        let out = ended.await.expect("it ends with its input").unwrap();
        assert_eq!(String::from_utf8_lossy(&out.stdout), said);
        assert_eq!(
            out.status.code(),
            Some(if input.is_empty() { 0 } else { 7 })
        );
    }
    host.close().await;
}

#[derive(Default)]
struct Records(Mutex<Vec<(String, Result<i32, String>)>>);

impl CommandRecorder for Records {
    fn record(&self, node: &str, command: &str, _: Duration, result: Result<i32, &HostError>) {
        let result = result.map_err(ToString::to_string);
        self.0
            .lock()
            .unwrap()
            .push((format!("{node} {command}"), result));
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn every_command_is_recorded_without_its_input() {
    let sshd = Sshd::start();
    let records = Arc::new(Records::default());
    let mut options = sshd.options();
    options.recorder = Some(records.clone());
    let host = Host::new("node-1", &NodeConnection::Ssh(sshd.ssh()), options);
    let secret = secrecy::SecretBox::new(Box::new(b"hunter22".to_vec()));
    let out = host
        .run(&Command::new("wc").arg("-c").secret_stdin(secret))
        .await
        .unwrap();
    assert_eq!(out.stdout_text().trim(), "8");
    let late = Command::sh("sleep 60").timeout(Duration::from_millis(300));
    host.run(&late).await.unwrap_err();
    host.close().await;
    let records = records.0.lock().unwrap();
    assert_eq!(records[0], ("node-1 wc -c".into(), Ok(0)));
    assert!(
        records[1].1.as_ref().unwrap_err().contains("longer than"),
        "{records:?}"
    );
    assert!(!format!("{records:?}").contains("hunter22"));
}
