//! How large volumes were when they were measured last, read on the storage node. Measuring itself is rare: the
//! night does it, `matou room`, and a key of the console.

use jiff::Timestamp;
use matou_i18n::tr;
use std::path::PathBuf;
use std::sync::Arc;
use std::time::Duration;

use super::signals::{UpdateSender, log_reading};
use crate::CollectError;
use matou_base::text::SafeText;
use matou_config::Config;
use matou_docker::Nodes;
use matou_host::{Command, shell_script};
use matou_model::{Datum, VolumeSizes};

const READ: &str = shell_script(include_str!("../scripts/read_volume_sizes.sh"));

/// How often the storage node is asked.
const POLL: Duration = Duration::from_secs(300);

/// Returns the folder of the storage node that holds a file a node.
pub fn volume_sizes_folder(config: &Config) -> PathBuf {
    matou_backup::matou_folder(config).join("sizes")
}

/// Reports again and again what is kept.
pub(super) async fn watch_volume_sizes(config: Arc<Config>, nodes: Nodes, reports: UpdateSender) {
    loop {
        let reading = read_volume_sizes(&config, &nodes);
        let reading = log_reading("volume sizes", None, reading).await;
        let datum = Datum::VolumeSizes(reading.map_err(SafeText::of));
        if !reports.send(datum).await {
            return;
        }
        tokio::time::sleep(POLL).await;
    }
}

/// Reads what is kept of the sizes of volumes of all nodes of config.toml.
///
/// # Errors
/// The storage node can't be asked.
pub async fn read_volume_sizes(
    config: &Config,
    nodes: &Nodes,
) -> Result<VolumeSizes, CollectError> {
    let name = &config.storage.node;
    let Some(node) = nodes.get(name) else {
        return Err(CollectError::failed(tr!("{name} is not among the nodes")));
    };
    let read = Command::sh(READ)
        .arg(volume_sizes_folder(config).display().to_string())
        .sudo()
        .timeout(Duration::from_secs(30))
        .label(tr!("sizes of volumes"));
    let text = node.host.run_ok(&read).await?.stdout_text();
    let mut sizes = parse_volume_sizes(&text, name);
    // What is kept of a node that is gone counts for nothing.
    sizes.nodes.retain(|name, _| nodes.get(name).is_some());
    Ok(sizes)
}

/// A file that can't be understood is passed over: the next measuring writes it anew.
fn parse_volume_sizes(text: &str, storage: &str) -> VolumeSizes {
    let mut sizes = VolumeSizes {
        storage: storage.to_owned(),
        ..VolumeSizes::default()
    };
    let mut of = None;
    for line in text.lines() {
        if let Some(file) = line.strip_prefix("file ") {
            of = file.strip_suffix(".json");
        } else if let Some(seconds) = line.strip_prefix("now ") {
            let seconds = seconds.parse().ok();
            sizes.clock = seconds.and_then(|s| Timestamp::from_second(s).ok());
        } else if let (Some(node), Ok(read)) = (of, serde_json::from_str(line)) {
            sizes.nodes.insert(node.to_owned(), read);
        }
    }
    sizes
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn each_file_is_of_its_node_and_a_broken_one_of_none() {
        let sample = r#"{"samples":[{"at":"2026-11-30T03:00:00Z","volumes":{"v":{"bytes":5}},"file_systems":{}}]}"#;
        let text = format!(
            "now 1800000000\nfile n1.json\n{sample}\nfile n2.json\n{{\"samp\nfile n3.json\n\nfile x\n{sample}\n"
        );
        let read = parse_volume_sizes(&text, "n1");
        let nodes: Vec<&String> = read.nodes.keys().collect();
        assert_eq!(nodes, ["n1"]);
        assert_eq!(read.nodes["n1"].samples[0].volumes["v"].bytes, Some(5));
        assert_eq!(read.storage, "n1");
        assert_eq!(read.time(), Timestamp::from_second(1_800_000_000).unwrap());
    }
}
