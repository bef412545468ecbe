//! docker-compose, as another host has it: Debian's, in a container beside a node's own engine.

use std::process::{Command, Stdio};

use super::cached::made_once;
use super::{Fleet, edge};

/// The image's name on a node.
const IMAGE: &str = "matou/compose:1";

/// Gives a node the image, made once of Debian's package.
pub(crate) fn image(fleet: &Fleet, node: &str) {
    let tar = made_once("compose/root-1.tar", |part| {
        let out = Command::new("mmdebstrap")
            .args(["--quiet", "--variant=minbase", "--format=tar"])
            .arg("--include=docker-compose")
            .arg("--customize-hook=rm -rf \"$1\"/usr/share/doc \"$1\"/usr/share/man \"$1\"/usr/share/locale \"$1\"/var/cache/apt \"$1\"/var/lib/apt/lists")
            .arg("bookworm")
            .arg(part)
            .stdin(Stdio::null())
            .output()
            .expect("mmdebstrap is installed");
        assert!(out.status.success(), "{}", super::said(&out));
    });
    edge::import(fleet, node, &tar, IMAGE, "CMD [\"sh\"]");
}

/// Runs a shell line in a folder of the node, where docker-compose speaks to the node's engine.
pub(crate) fn run(fleet: &Fleet, node: &str, folder: &str, line: &str) -> String {
    fleet.run(
        node,
        &format!(
            "docker run --rm -v /var/run/docker.sock:/var/run/docker.sock -v /usr/bin/docker:/usr/bin/docker:ro \
             -v {folder}:{folder} -w {folder} {IMAGE} sh -c '{line}'"
        ),
    )
}
