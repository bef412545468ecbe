//! WordPress and MariaDB of Debian in one image, started as the official images are: what they are
//! told by variables and files of secrets is the same.

use std::path::PathBuf;

use super::Fleet;
use super::cached::made_once;
use super::edge::{import, sh};

/// Changes whenever what is in the image does.
const VERSION: u32 = 5;

fn root() -> PathBuf {
    made_once(&format!("edge/wordpress-{VERSION}.tar"), |part| {
        let files = concat!(env!("CARGO_MANIFEST_DIR"), "/tests/files/wordpress");
        sh(
            "mmdebstrap --quiet --variant=minbase --format=tar \
             --include=wordpress,wordpress-theme-twentytwentythree,libapache2-mod-php,php-mysql,php-xml,mariadb-server,curl \
             --customize-hook='install -d -m 1777 \"$1\"/tmp' --customize-hook='rm -rf \"$1\"/var/lib/mysql/*' \
             --customize-hook=\"copy-in $2/docker-entrypoint.sh $2/apache2-foreground $2/start-db $2/healthcheck.sh /usr/local/bin\" \
             --customize-hook='mkdir -p \"$1\"/usr/src; chroot \"$1\" cp -rL /usr/share/wordpress /usr/src/wordpress' \
             bookworm \"$1\"",
            &[&part.to_string_lossy(), files],
        );
    })
}

/// The image of the catalogue's stack.
pub(crate) const PUBLISHED: &str = "wordpress:7.1.3-php8.4-apache";

/// Gives a node `matou/wordpress:6.1`, and the same by the published image's name; and `mariadb:11.4.13`, which the
/// catalogue's stack names.
pub(crate) fn images(fleet: &Fleet, node: &str) {
    import(
        fleet,
        node,
        &root(),
        "matou/wordpress:6.1",
        "CMD [\"apache2-foreground\"]",
    );
    // The same files, started otherwise.
    fleet.run(
        node,
        &format!(
            "id=$(docker create matou/wordpress:6.1)
             docker commit -c 'CMD [\"start-db\"]' $id mariadb:11.4.13
             docker commit -c 'ENTRYPOINT [\"docker-entrypoint.sh\"]' -c 'WORKDIR /var/www/html' $id matou/wordpress:6.1
             docker rm $id; docker tag matou/wordpress:6.1 {PUBLISHED}"
        ),
    );
}
