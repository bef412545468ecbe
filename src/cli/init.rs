//! `matou init`: a first config.toml, of servers that were logged in to.

use matou_i18n::tr;
use std::io::{IsTerminal as _, Write as _};
use std::path::{Path, PathBuf};
use std::process::ExitCode;

use clap::Args;
use color_eyre::eyre::{Result, WrapErr as _, bail, ensure, eyre};

use super::exit::Exit;
use matou_base::text::SafeText;
use matou_base::{errln, outln};
use matou_ops::{FirstSettings, NamedServer, ServerLook, look_at_servers, render_first_config};

/// Shown under `matou init --help`.
pub(super) const HELP: &str = "Examples:\n  matou init root@shop.example.org\n  matou init n1=debian@203.0.113.7 n2=debian@203.0.113.8 --identity ~/.ssh/servers\nEach server is logged in to and looked at; nothing is changed there. Servers that are in a swarm already keep their roles; of new ones the first three are managers, of less than three the first alone.\nA file that is there is never written over. Then: `matou provision --dry-run` shows what would become of blank servers, `matou adopt --all --dry-run` takes over what runs, `matou` opens the console.";

/// Options of `matou init`.
#[derive(Debug, Args)]
pub(crate) struct InitArgs {
    /// The servers; asked for at a terminal without any
    #[arg(value_name = "[NAME=][USER@]ADDRESS[:PORT]")]
    servers: Vec<NamedServer>,
    /// The fleet's name
    #[arg(long, value_name = "NAME", default_value = "fleet")]
    fleet: String,
    /// The SSH key for all servers; without, the agent's and ssh's own
    #[arg(long, value_name = "FILE")]
    identity: Option<String>,
    /// Where host keys of servers are known, in place of ssh's own file
    #[arg(long, value_name = "FILE")]
    known_hosts: Option<String>,
    /// Store host keys that are not known yet, in place of refusing them
    #[arg(long)]
    accept_new: bool,
    /// Write the file though a server can't be logged in to
    #[arg(long)]
    unchecked: bool,
}

/// Carries out `matou init`. `config` is where the file is written; the user's own place without.
pub(super) async fn run_init_command(config: Option<&Path>, args: &InitArgs) -> Result<ExitCode> {
    let path = match config {
        Some(path) => std::path::absolute(path)?,
        None => matou_config::user_config_path().ok_or_else(|| {
            eyre!(
                "{}",
                tr!("there is no home folder: name the file with --config FILE")
            )
        })?,
    };
    ensure!(
        path.symlink_metadata().is_err(),
        "{}",
        tr!(
            "{} is there already, and is not written over: edit it, or name another with --config FILE",
            path.display()
        )
    );
    let (servers, accept_new) = match args.servers.is_empty() {
        true => {
            let servers = ask_for_servers()?;
            (servers, args.accept_new || ask_for_host_keys()?)
        }
        false => (args.servers.clone(), args.accept_new),
    };
    let settings = FirstSettings {
        fleet: args.fleet.clone(),
        identity: args.identity.clone().map(absolute_path).transpose()?,
        known_hosts: args.known_hosts.clone().map(absolute_path).transpose()?,
        accept_new,
    };
    let draft = render_first_config(&servers, &[], &settings);
    let found = look_at_servers(&draft, &path).await?;
    let mut looks = Vec::new();
    for (name, look) in &found {
        match look {
            Ok(look) => outln!("{name}: {}", look.summary())?,
            Err(why) => {
                let why = explain_failure(why, accept_new);
                matou_base::out::note_hanging(format_args!("{why}"));
            }
        }
        looks.push(look.as_ref().ok().cloned());
    }
    if looks.contains(&None) && !args.unchecked {
        bail!(
            "{}",
            tr!(
                "nothing is written: mend what is wrong above, or write it as it is with --unchecked"
            )
        );
    }
    write_new_file(&path, &render_first_config(&servers, &looks, &settings))?;
    outln!("{}", tr!("written: {}", path.display()))?;
    tell_what_is_next(&looks)?;
    Ok(Exit::Done.into())
}

fn ask_for_servers() -> Result<Vec<NamedServer>> {
    ensure!(
        std::io::stdin().is_terminal(),
        "{}",
        tr!("name the servers, as in `matou init root@203.0.113.7`")
    );
    matou_base::out::print_hanging(tr!(
        "Your servers, as ssh names them, separated by spaces: root@203.0.113.7 n2=debian@shop.example.org"
    ))?;
    loop {
        matou_base::out::print_prompt(tr!("Servers: "))?;
        let mut typed = String::new();
        if std::io::stdin().read_line(&mut typed)? == 0 {
            bail!("{}", tr!("no server was named: nothing is written"));
        }
        let parsed: Result<Vec<NamedServer>, _> =
            typed.split_whitespace().map(str::parse).collect();
        match parsed {
            Ok(servers) if !servers.is_empty() => return Ok(servers),
            Ok(_) => {}
            Err(e) => errln!("{e}"),
        }
    }
}

/// Whether host keys that are not known are stored. Nothing but a yes is one.
fn ask_for_host_keys() -> Result<bool> {
    matou_base::out::print_prompt(tr!(
        "Store the host keys of servers that are new to this machine? [y/N] "
    ))?;
    let mut typed = String::new();
    std::io::stdin().read_line(&mut typed)?;
    Ok(matou_i18n::is_yes(typed.trim()))
}

/// A path from the shell is of the folder one is in; in the file it would be of the file's own.
fn absolute_path(path: String) -> Result<String> {
    match path.starts_with('~') {
        true => Ok(path),
        false => Ok(std::path::absolute(&path)?.display().to_string()),
    }
}

/// The error says what to do in config.toml, which is not there yet.
fn explain_failure(why: &SafeText, accept_new: bool) -> String {
    match why.contains("ssh-keyscan") && !accept_new {
        true => tr!("{why}: `matou init --accept-new` writes that"),
        false => why.to_string(),
    }
}

/// Writes a file that must not be there.
fn write_new_file(path: &PathBuf, text: &str) -> Result<()> {
    use std::os::unix::fs::OpenOptionsExt as _;
    if let Some(folder) = path.parent() {
        matou_base::files::make_folder(folder)
            .wrap_err_with(|| tr!("{} can't be made", folder.display()))?;
    }
    let mut file = std::fs::OpenOptions::new()
        .write(true)
        .create_new(true)
        .mode(matou_base::files::PRIVATE_MODE)
        .open(path)
        .wrap_err_with(|| tr!("{} can't be made", path.display()))?;
    file.write_all(text.as_bytes())
        .and_then(|()| file.sync_all())
        .wrap_err_with(|| tr!("{} can't be written", path.display()))
}

fn tell_what_is_next(looks: &[Option<ServerLook>]) -> Result<()> {
    let looks: Vec<&ServerLook> = looks.iter().flatten().collect();
    let peers = looks.iter().flat_map(|look| &look.peers);
    let missing: std::collections::BTreeSet<&str> = peers
        .filter(|peer| !looks.iter().any(|look| look.host == **peer))
        .map(String::as_str)
        .collect();
    if !missing.is_empty() {
        let missing: Vec<&str> = missing.into_iter().collect();
        outln!(
            "{}",
            tr!(
                "the swarm has more nodes, which are not in the file: {}",
                missing.join(", ")
            )
        )?;
    }
    match looks.iter().any(|look| look.swarm.is_some()) {
        true => outln!(
            "{}",
            tr!(
                "next: `matou` opens the console; `matou adopt --all --dry-run` shows what would be taken over"
            )
        )?,
        false => {
            outln!(
                "{}",
                tr!("next: `matou provision --dry-run` shows what would become of the servers")
            )?;
        }
    }
    Ok(())
}
