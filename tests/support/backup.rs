//! What real backups need on a practice fleet: a PostgreSQL image, an S3 server, SFTP, rclone.

use std::io::{BufRead, BufReader, Read, Write};
use std::net::TcpListener;
use std::path::PathBuf;
use std::process::{Command, Stdio};
use std::sync::{Arc, Mutex};

use super::Fleet;

/// Starts a PostgreSQL whose data is in /data, with the password of a secret.
const START: &str = r#"#!/bin/sh
set -e
export PATH=/usr/lib/postgresql/15/bin:$PATH PGDATA=/data/pg
if [ ! -s "$PGDATA/PG_VERSION" ]; then
    install -d -m 700 -o postgres "$PGDATA"
    install -m 600 -o postgres /run/secrets/db_password /tmp/password
    su postgres -c "initdb --auth=scram-sha-256 --username=shop --pwfile=/tmp/password -E UTF8 --locale=C.UTF-8" >/dev/null
    rm -f /tmp/password
fi
install -d -o postgres /var/run/postgresql
exec su postgres -c "exec postgres -c listen_addresses='' -c max_connections=20 -c shared_buffers=16MB -c jit=off"
"#;

fn sh(script: &str, args: &[&str]) -> String {
    let out = Command::new("sh")
        .args(["-ec", script, "sh"])
        .args(args)
        .stdin(Stdio::null())
        .output()
        .expect("a shell");
    let text = super::said(&out);
    assert!(out.status.success(), "{script}\n{text}");
    text
}

/// Gives every node the restic of `MATOU_TEST_RESTIC`, where that is set, in the place of the
/// distribution's: the same tests prove both.
pub(crate) fn restic(fleet: &Fleet) {
    let Some(binary) = std::env::var_os("MATOU_TEST_RESTIC") else {
        return;
    };
    let folder = fleet.lab.config_path();
    let folder = folder
        .parent()
        .expect("a folder")
        .to_string_lossy()
        .into_owned();
    for node in fleet.wait(fleet.lab.list_nodes()) {
        sh(
            "ssh -i \"$1/id_ed25519\" -o UserKnownHostsFile=\"$1/known_hosts\" \"root@$2\" \
             'cat >/usr/local/bin/restic; chmod 755 /usr/local/bin/restic; restic version' <\"$3\" >&2",
            &[&folder, &node.address, &binary.to_string_lossy()],
        );
    }
}

/// Makes the repository /srv/restic of n1, with a key that costs less than restic's own: see
/// tests/files/cheap_key.py. Its password is in the file beside the configuration.
pub(crate) fn repository(fleet: &Fleet, config: &PathBuf) -> String {
    let told = super::ok(config, &["repo", "init", "--yes"]);
    let password = config.with_file_name("restic-password");
    let folder = fleet.lab.config_path();
    sh(
        "d=$(mktemp -d); trap 'rm -rf \"$d\"' EXIT\n\
         n1() { ssh -i \"$folder/id_ed25519\" -o UserKnownHostsFile=\"$folder/known_hosts\" \"root@$address\" \"$1\"; }\n\
         folder=$1 address=$2\n\
         n1 'tar -C /srv/restic -c keys' </dev/null | tar -C \"$d\" -x\n\
         printf '%s' \"$3\" | python3 - \"$d\" \"$4\"\n\
         tar -C \"$d\" -c keys | n1 'rm -r /srv/restic/keys; tar -C /srv/restic -x'",
        &[
            &folder.parent().expect("a folder").to_string_lossy(),
            &fleet.address("n1"),
            include_str!("../files/cheap_key.py"),
            &password.to_string_lossy(),
        ],
    );
    told
}

/// Gives a node `matou/postgres:15`, made once of Debian's packages.
pub(crate) fn postgres(fleet: &Fleet, node: &str) {
    let tar = super::cached::made_once("backup/root-2.tar", |part| {
        let folder = tempfile::tempdir().expect("a folder");
        sh(
            "cd \"$1\"; printf '%s' \"$2\" >start\n\
             mmdebstrap --quiet --variant=minbase --include=postgresql-15,sqlite3 --format=tar \
             --customize-hook='copy-in start /' \
             --customize-hook='chmod 755 \"$1\"/start; install -d -m 1777 \"$1\"/tmp; ln -sf ../lib/postgresql/15/bin/pg_dump \"$1\"/usr/bin/pg_dump; \
             cd \"$1\"; rm -rf usr/share/doc usr/share/locale usr/share/man usr/lib/x86_64-linux-gnu/libLLVM* \
             usr/lib/postgresql/15/lib/bitcode var/lib/postgresql var/cache/apt var/lib/apt/lists' \
             bookworm \"$3\"",
            &[
                &folder.path().to_string_lossy(),
                START,
                &part.to_string_lossy(),
            ],
        );
    });
    super::edge::import(fleet, node, &tar, "matou/postgres:15", "CMD [\"/start\"]");
}

/// Puts a file of this machine on a node.
pub(crate) fn send(fleet: &Fleet, node: &str, from: &str, to: &str) {
    let folder = fleet.lab.config_path();
    let folder = folder.parent().expect("a folder");
    sh(
        "ssh -i \"$1/id_ed25519\" -o UserKnownHostsFile=\"$1/known_hosts\" \"root@$2\" \"cat >'$4' && chmod 755 '$4'\" <\"$3\"",
        &[&folder.to_string_lossy(), &fleet.address(node), from, to],
    );
}

/// A web server that remembers what was asked of it.
pub(crate) struct Listener {
    pub address: String,
    asked: Arc<Mutex<Vec<String>>>,
}

impl Listener {
    pub(crate) fn start(gateway: &str) -> Self {
        let listener = TcpListener::bind((gateway, 0)).expect("a port");
        let address = listener.local_addr().expect("an address").to_string();
        let asked = Arc::new(Mutex::new(Vec::new()));
        let seen = asked.clone();
        std::thread::spawn(move || {
            for stream in listener.incoming().flatten() {
                let mut stream: std::net::TcpStream = stream;
                let mut line = String::new();
                let mut reader = BufReader::new(stream.try_clone().expect("a stream"));
                let _ = reader.by_ref().read_line(&mut line);
                seen.lock().expect("not poisoned").push(line);
                let _ = stream.write_all(
                    b"HTTP/1.1 200 OK\r\nContent-Length: 0\r\nConnection: close\r\n\r\n",
                );
            }
        });
        Self { address, asked }
    }

    pub(crate) fn asked(&self) -> Vec<String> {
        self.asked.lock().expect("not poisoned").clone()
    }
}
