//! `matou bundle`: what whoever helps asks for, in one archive, without secrets.
//!
//! Everything that goes in is picked: keys of config.toml (`config_copy`), fields of states (`states`), kinds of
//! records. All of it goes through the [`scrub::Scrubber`] then, for what stands in free text.

mod config_copy;
mod contents;
mod learned;
mod scrub;
mod states;
mod tails;

use matou_i18n::tr;
use std::collections::BTreeSet;
use std::fs::OpenOptions;
use std::io::{self, Write};
use std::os::unix::fs::OpenOptionsExt;
use std::path::{Path, PathBuf};
use std::process::ExitCode;

use clap::Args;
use color_eyre::eyre::{Result, WrapErr, eyre};
use flate2::Compression;
use flate2::write::GzEncoder;
use jiff::Timestamp;

use super::french::load_config;
use super::{Exit, info, status};
use contents::{Bundle, Sources};
use matou_base::files::PRIVATE_MODE;
use matou_base::outln;
use matou_base::text::{clean_line, human_bytes};
use matou_config::{Config, state_path};
use matou_model::Fleet;
use matou_ops::FleetContext;

/// Shown under `matou bundle --help`.
pub(super) const HELP: &str = "Nothing is sent anywhere: look at the archive, and send it yourself. Values that are known to be secret are
left out, and so is what looks like one. MANIFEST.txt in it lists what is there, and what is not and why.";

/// What goes in, and where to.
#[derive(Debug, Args)]
pub(super) struct BundleArgs {
    /// The archive, which must not be there yet [default: matou-bundle-TIME.tar.gz in the current folder]
    #[arg(long, short, value_name = "FILE")]
    output: Option<PathBuf>,
    /// Replace names and addresses, of nodes, applications, domains, users: each by the same word everywhere
    #[arg(long)]
    anonymous: bool,
}

/// Carries out `matou bundle`. It works with a configuration that is wrong, and with nodes that are dead.
pub(super) async fn run_bundle_command(file: Option<&Path>, args: &BundleArgs) -> Result<ExitCode> {
    let now = Timestamp::now();
    let path = args.output.clone().unwrap_or_else(|| {
        let time = now.strftime("%Y%m%d-%H%M%S");
        format!("matou-bundle-{time}.tar.gz").into()
    });
    // Before anything is read, which takes seconds.
    if path.symlink_metadata().is_ok() {
        return Err(eyre!(
            "{}",
            tr!(
                "{} is there already: name another file with --output",
                path.display()
            )
        ));
    }
    let state = state_path()?;
    let log = std::env::var_os("MATOU_LOG_FILE").filter(|log| !log.is_empty());
    let log = log.map_or_else(|| state.join("log/matou.log"), PathBuf::from);
    let config = load_config(file);
    let info = info::read_info(file, config.as_ref()).await;
    let (fleet, fleet_error) = match &config {
        Ok(config) => read_fleet(config).await,
        Err(_) => (None, Some(tr!("config.toml can't be used").to_owned())),
    };
    let bundle = Bundle::gather(Sources {
        info: &info,
        config: config.as_ref().ok(),
        fleet: fleet.as_ref(),
        fleet_error: fleet_error.as_deref(),
        state: &state,
        log: &log,
        anonymous: args.anonymous,
        now,
    })?;
    let archive = pack(&bundle, now)?;
    write_new_file(&path, &archive).wrap_err_with(|| tr!("{} can't be written", path.display()))?;
    print_summary(&path, archive.len(), &bundle, args.anonymous)?;
    Ok(Exit::Done.into())
}

/// Reads the states once, as `matou status` does; why not, where that is not possible.
async fn read_fleet(config: &Config) -> (Option<Fleet>, Option<String>) {
    match FleetContext::open(config.clone()) {
        Ok(cx) => {
            let fleet = status::read_fleet_once(&cx).await;
            cx.nodes.close().await;
            (Some(fleet), None)
        }
        Err(error) => (None, Some(format!("{error:#}"))),
    }
}

/// Packs the files into a folder of the archive.
fn pack(bundle: &Bundle, now: Timestamp) -> io::Result<Vec<u8>> {
    let mut archive = tar::Builder::new(GzEncoder::new(Vec::new(), Compression::default()));
    for (name, content) in bundle.files() {
        let mut header = tar::Header::new_gnu();
        header.set_size(content.len() as u64);
        header.set_mode(PRIVATE_MODE);
        header.set_mtime(now.as_second().unsigned_abs());
        archive.append_data(
            &mut header,
            format!("matou-bundle/{name}"),
            content.as_bytes(),
        )?;
    }
    archive.into_inner()?.finish()
}

/// Writes a file that was not there, for its owner alone.
fn write_new_file(path: &Path, content: &[u8]) -> io::Result<()> {
    let opened = OpenOptions::new()
        .write(true)
        .create_new(true)
        .mode(PRIVATE_MODE)
        .open(path);
    let mut file = opened?;
    let written = file.write_all(content).and_then(|()| file.sync_all());
    if written.is_err() {
        let _ = std::fs::remove_file(path);
    }
    written
}

fn print_summary(path: &Path, size: usize, bundle: &Bundle, anonymous: bool) -> io::Result<()> {
    let path = path.to_string_lossy();
    outln!("{}: {}", clean_line(&path), human_bytes(size as u64))?;
    let names: BTreeSet<&str> = bundle.files().map(|(name, _)| name).collect();
    outln!("{}", tr!("It holds {}.", Vec::from_iter(names).join(", ")))?;
    for (what, why) in bundle.left_out() {
        matou_base::out::print_hanging(tr!("left out: {what}: {why}"))?;
    }
    if !anonymous {
        outln!(
            "{}",
            tr!("Names and addresses are in it: --anonymous replaces them.")
        )?;
    }
    outln!(
        "{}",
        tr!("Nothing was sent: look at it before you give it to anybody.")
    )
}
