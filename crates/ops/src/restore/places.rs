//! Where what a snapshot holds of a volume is put back: on the node that has the volume now. Under one name
//! each node may have another one, so a part is known by volume and node.

use matou_i18n::tr;
use std::path::Path;

use super::parts::RestorePart;
use matou_backup::{Manifest, UnreachedVolume, VolumeFolder};

/// What a snapshot's manifest says of a path: the node that had it, `None` for the storage node.
pub(super) fn find_former_node<'a>(manifest: Option<&'a Manifest>, from: &str) -> Option<&'a str> {
    let mut volumes = manifest?.volumes.iter();
    let volume = volumes.find(|v| v.folder == Path::new(from))?;
    Some(volume.elsewhere.as_ref()?.node.as_str())
}

/// Puts each part where its volume is now. Returns the parts that have a place, and a note for each other.
/// `left_out` says what of the volumes can't be reached.
pub(super) fn place_parts(
    parts: Vec<RestorePart>,
    manifest: Option<&Manifest>,
    volumes: &[VolumeFolder],
    left_out: &[UnreachedVolume],
) -> (Vec<RestorePart>, Vec<String>) {
    let mut notes: Vec<String> = left_out
        .iter()
        .map(|left| tr!("{}: it stays as it is", left.why))
        .collect();
    let mut placed = Vec::new();
    for part in &parts {
        let had = find_former_node(manifest, &part.from);
        let is_same = |v: &&VolumeFolder| v.elsewhere.as_ref().map(|e| e.node.as_str()) == had;
        let now = || volumes.iter().filter(|v| v.name == part.volume);
        let only = parts.iter().filter(|p| p.volume == part.volume).count() == 1
            && now().count() == 1
            && !left_out.iter().any(|l| l.volume == part.volume);
        let here = now().find(is_same).or_else(|| now().find(|_| only));
        let Some(here) = here else {
            notes.push(tr!(
                "what {} had of the volume {} is left out: the volume is not there now, or it does not answer",
                had.unwrap_or(tr!("the storage node")),
                part.volume
            ));
            continue;
        };
        let mut part = part.clone();
        if let Some(at) = &here.elsewhere {
            if !at
                .folder
                .ends_with(format!("volumes/{}/_data", part.volume))
            {
                notes.push(tr!(
                    "the volume {} on {} is not Docker's own folder: it stays as it is, and its files come out with --path {} --into FOLDER",
                    part.volume, at.node, part.from
                ));
                continue;
            }
            part.node = Some(at.node.clone());
            part.live.clone_from(&at.folder);
        } else {
            part.live.clone_from(&here.folder);
        }
        part.folder.clone_from(&part.live);
        placed.push(part);
    }
    (placed, notes)
}

#[cfg(test)]
mod tests {
    use super::super::parts::PartKind;
    use super::*;
    use matou_backup::VolumeElsewhere;

    fn volume(name: &str, node: &str) -> VolumeFolder {
        let live = format!("/var/lib/docker/volumes/{name}/_data");
        match node {
            "n1" => VolumeFolder::here(name, live.into()),
            _ => VolumeFolder {
                elsewhere: Some(VolumeElsewhere {
                    node: node.to_owned(),
                    folder: live.into(),
                }),
                ..VolumeFolder::here(name, format!("/d/{node}/{name}/data").into())
            },
        }
    }

    /// `held` is what the snapshot has, `now` what the nodes have; the answer is `from>to`.
    fn place(held: &[&str], now: &[&str], left_out: &[&str]) -> String {
        let volumes = |nodes: &[&str]| nodes.iter().map(|n| volume("shop_files", n)).collect();
        let manifest = Manifest {
            app: "shop".into(),
            fleet: "f".into(),
            time: jiff::Timestamp::UNIX_EPOCH,
            volumes: volumes(held),
            left_out: Vec::new(),
            dumps: Vec::new(),
            images: Vec::new(),
            missed: Vec::new(),
            stack: String::new(),
        };
        let part = |v: &VolumeFolder| RestorePart {
            volume: v.name.clone(),
            node: None,
            from: v.folder.display().to_string(),
            live: "/nowhere".into(),
            folder: "/nowhere".into(),
            kind: PartKind::Files(Vec::new()),
        };
        let parts = manifest.volumes.iter().map(part).collect();
        let left = left_out.iter().map(|volume| UnreachedVolume {
            volume: (*volume).to_owned(),
            why: "it is down".into(),
        });
        let left: Vec<_> = left.collect();
        let (placed, _) = place_parts(parts, Some(&manifest), &volumes(now), &left);
        let placed = placed.iter().map(|p| {
            let from = find_former_node(Some(&manifest), &p.from).unwrap_or("n1");
            assert!(p.live.ends_with("volumes/shop_files/_data"));
            format!("{from}>{}", p.node.as_deref().unwrap_or("n1"))
        });
        placed.collect::<Vec<_>>().join(" ")
    }

    #[test]
    fn a_part_is_known_by_volume_and_node() {
        let down = ["shop_files"];
        for (held, now, left_out, expected) in [
            (&["n2"][..], &["n2"][..], &[][..], "n2>n2"),
            // It has moved.
            (&["n2"], &["n3"], &[], "n2>n3"),
            (&["n2"], &["n1"], &[], "n2>n1"),
            (&["n1", "n2"], &["n1", "n2"], &[], "n1>n1 n2>n2"),
            (&["n1", "n2", "n3"], &["n1", "n2"], &down, "n1>n1 n2>n2"),
            // The one that is there may be a leftover.
            (&["n3"], &["n1"], &down, ""),
            (&["n2"], &["n1", "n3"], &[], ""),
        ] {
            assert_eq!(place(held, now, left_out), expected, "{held:?} {now:?}");
        }
    }
}
