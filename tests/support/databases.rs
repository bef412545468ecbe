//! Real databases on a practice fleet: an image with Debian's PostgreSQL and MariaDB that begins as
//! their official images do.

use std::path::PathBuf;
use std::process::{Command, Stdio};

use super::cached::made_once;
use super::{Fleet, edge};

/// Changes whenever the content of the image does.
const VERSION: u32 = 3;

/// The image's name on a node; `ENGINE` is `postgresql` or `mariadb`.
pub(crate) const IMAGE: &str = "matou/databases:1";

/// The image's root file system.
fn root() -> PathBuf {
    let packages = "postgresql-15,mariadb-server,busybox-static";
    made("databases", packages, "bookworm")
}

/// The same of the next Debian: PostgreSQL 17 and MariaDB 11.8.
fn newer_root() -> PathBuf {
    let packages = "postgresql-17,mariadb-server,busybox-static";
    made("databases-new", packages, "trixie")
}

/// The same with PostgreSQL alone, and without what compiles queries.
pub(crate) fn postgresql() -> PathBuf {
    made("postgresql", "postgresql-15,busybox-static", "bookworm")
}

/// Made once and kept in the cache folder.
fn made(name: &str, packages: &str, suite: &str) -> PathBuf {
    made_once(&format!("{name}-{VERSION}.tar"), |part| {
        let begin = concat!(env!("CARGO_MANIFEST_DIR"), "/tests/support/databases.sh");
        let out = Command::new("mmdebstrap")
            .args(["--quiet", "--variant=minbase", "--format=tar"])
            .arg(format!("--include={packages}"))
            // No cluster of Debian's own.
            .arg("--essential-hook=mkdir -p \"$1\"/etc/postgresql-common; echo 'create_main_cluster = false' >\"$1\"/etc/postgresql-common/createcluster.conf")
            .arg(format!("--customize-hook=upload {begin} /begin"))
            .arg("--customize-hook=chmod 755 \"$1\"/begin; install -d -m 1777 \"$1\"/tmp; rm -rf \"$1\"/var/lib/mysql \"$1\"/var/lib/postgresql; install -d \"$1\"/var/lib/mysql \"$1\"/var/lib/postgresql/data")
            .arg("--customize-hook=rm -rf \"$1\"/usr/share/doc \"$1\"/usr/share/locale \"$1\"/usr/share/man \"$1\"/var/cache/apt")
            .arg(suite)
            .arg(part)
            .stdin(Stdio::null())
            .output()
            .expect("mmdebstrap is installed");
        assert!(out.status.success(), "{}", super::said(&out));
    })
}

/// Gives a node the image.
pub(crate) fn image(fleet: &Fleet, node: &str) {
    edge::import(fleet, node, &root(), IMAGE, "ENTRYPOINT [\"/begin\"]");
}

/// Gives a node the image of both Debians, under the names that [`VERSIONS`] has.
pub(crate) fn images_of_versions(fleet: &Fleet, node: &str) {
    for (tar, names) in [(root(), VERSIONS[0]), (newer_root(), VERSIONS[1])] {
        edge::import(fleet, node, &tar, names[0], "ENTRYPOINT [\"/begin\"]");
        let tag = format!("docker tag {} {}", names[0], names[1]);
        fleet.run(node, &tag);
    }
}

/// Of the older Debian and of the newer one: PostgreSQL and MariaDB with their versions.
pub(crate) const VERSIONS: [[&str; 2]; 2] = [
    ["matou/postgresql:15.0", "matou/mariadb:10.11"],
    ["matou/postgresql:17.0", "matou/mariadb:11.8"],
];
