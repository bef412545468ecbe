//! Ghost of npm and MySQL of Debian unstable in one image, started as the official images are: what
//! they are told by variables and files of secrets is the same.

use std::path::PathBuf;

use super::Fleet;
use super::cached::made_once;
use super::edge::{import, sh};

/// Changes whenever what is in the image does.
const VERSION: u32 = 1;

/// The version that is deployed, and the one that it is updated to.
pub(crate) const VERSIONS: [&str; 2] = ["6.64.0", "6.65.0"];

fn root() -> PathBuf {
    made_once(&format!("edge/ghost-{VERSION}.tar"), |part| {
        let files = concat!(env!("CARGO_MANIFEST_DIR"), "/tests/files/ghost");
        let [first, second] = VERSIONS;
        sh(
            "sh \"$2/make\" \"$2\" \"$3\" \"$4\" >\"$1\"",
            &[&part.to_string_lossy(), files, first, second],
        );
    })
}

/// Gives a node `matou/ghost` in both versions, and `mysql:8.4.11`, which the catalogue's stack names.
pub(crate) fn images(fleet: &Fleet, node: &str) {
    import(
        fleet,
        node,
        &root(),
        "mysql:8.4.11",
        "ENTRYPOINT [\"docker-entrypoint.sh\"]",
    );
    // The same files, started otherwise; what differs between Ghost's versions is where a link leads.
    let [first, second] = VERSIONS;
    fleet.run(
        node,
        &format!(
            "made() {{ name=$1 version=$2; shift 2
                 id=$(docker create --name made --entrypoint ln mysql:8.4.11 -sfn versions/$version /var/lib/ghost/current)
                 docker start -a made >/dev/null
                 docker commit -c 'ENTRYPOINT [\"docker-entrypoint.sh\"]' \"$@\" $id $name >/dev/null; docker rm $id >/dev/null; }}
             for v in {first} {second}; do
                 made matou/ghost:$v $v -c 'CMD [\"node\", \"current/index.js\"]' -c 'WORKDIR /var/lib/ghost' -c 'EXPOSE 2368' \
                     -c 'ENV NODE_ENV=production' -c 'ENV GHOST_INSTALL=/var/lib/ghost' -c 'ENV GHOST_CONTENT=/var/lib/ghost/content' \
                     -c \"ENV GHOST_VERSION=$v\" -c 'VOLUME /var/lib/ghost/content'
             done
             made mysql:8.4.11 {first} -c 'CMD [\"mysqld\"]' -c 'EXPOSE 3306' -c 'VOLUME /var/lib/mysql'"
        ),
    );
}
