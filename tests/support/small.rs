//! The images of [`super::hosting`] made small: an emulated machine reads two megabytes of an image a
//! second.

use std::path::PathBuf;

use super::cached::made_once;
use super::databases;
use super::edge::{import, root, sh};
use super::{Fleet, databases::IMAGE};

/// Traefik, haproxy and busybox, with nothing around them but the libraries that they load.
const EDGE: &str = r#"x=$1/all; r=$1/small; mkdir -p "$x" "$r"; tar -xf "$2" -C "$x"
put() { mkdir -p "$r$(dirname "$1")"; cp -L "$x$1" "$r$1"; }
put /usr/local/bin/traefik; put /usr/sbin/haproxy; put /usr/bin/busybox; put /proxy.cfg; put /etc/passwd
strip "$r/usr/local/bin/traefik"
for l in $(chroot "$x" ldd /usr/sbin/haproxy | grep -o '/[^ ]*'); do put "$l"; done
ln -s usr/bin "$r/bin"; for a in sh wget; do ln -s busybox "$r/usr/bin/$a"; done
install -d -m 1777 "$r/tmp"
tar -C "$r" -cf "$3" ."#;

/// What answers in the place of a site.
const HELLO: &str = r#"r=$1/hello; mkdir -p "$r/bin" "$r/www"; cp "$(command -v busybox)" "$r/bin/busybox"
for a in sh wget httpd; do ln -s busybox "$r/bin/$a"; done; echo ok >"$r/www/health"
tar -C "$r" -cf "$2" ."#;

fn made(name: &str, script: &str, args: &[&str]) -> PathBuf {
    made_once(&format!("edge/{name}"), |part| {
        let dir = tempfile::tempdir().expect("a folder");
        let (dir, to) = (dir.path().to_string_lossy(), part.to_string_lossy());
        sh(script, &[&[&*dir], args, &[&*to]].concat());
    })
}

/// Gives the first node all of them, the others the sites' alone.
pub(crate) fn images(fleet: &Fleet) {
    let hello = made("hello-small-1.tar", HELLO, &[]);
    for node in ["n1", "n2", "n3"] {
        let start = "CMD [\"httpd\", \"-f\", \"-p\", \"8080\", \"-h\", \"/www\"]";
        import(fleet, node, &hello, "matou/hello:1.0", start);
    }
    let all = root();
    let edge = made("edge-small-1.tar", EDGE, &[&all.to_string_lossy()]);
    let start = "ENTRYPOINT [\"/usr/local/bin/traefik\"]";
    import(fleet, "n1", &edge, "matou/traefik:3.7", start);
    // The same layer once more, with another program.
    fleet.run(
        "n1",
        "c=$(docker create matou/traefik:3.7) && docker commit -c 'ENTRYPOINT [\"haproxy\", \"-db\", \"-f\", \"/proxy.cfg\"]' $c matou/proxy:1 && docker rm $c",
    );
    import(
        fleet,
        "n1",
        &databases::postgresql(),
        IMAGE,
        "ENTRYPOINT [\"/begin\"]",
    );
}
