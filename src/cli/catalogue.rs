//! `matou catalogue`: what can be deployed, and what is known of its images.

use matou_i18n::tr;
use std::collections::BTreeSet;
use std::process::ExitCode;

use clap::Subcommand;
use color_eyre::eyre::Result;

use super::complete::{Names, complete};
use super::{Exit, tryout};
use matou_base::outln;
use matou_ops::{FleetContext, ImageCheck, ImageCheckOutcome, check_image_facts};
use matou_stack::{ImageFacts, RenderTarget};

#[derive(Debug, Subcommand)]
pub(crate) enum CatalogueCommand {
    /// Print what is known of the images of stacks; of all stacks without names
    #[command(after_help = FACTS_HELP)]
    Facts {
        /// Stacks of the catalogue, or paths of compose files
        #[arg(add = complete(Names::Stacks))]
        stacks: Vec<String>,
        /// Ask the registries for the images' platforms and configuration, and name each difference
        #[arg(long)]
        check: bool,
        /// Print JSON
        #[arg(long)]
        json: bool,
    },
    /// Try stacks with their images on a practice fleet: deploy, log-in, backup, restore, update
    #[command(after_help = tryout::TRY_HELP)]
    Try(tryout::TryArgs),
}

/// Shown under `matou catalogue facts --help`.
const FACTS_HELP: &str = "Facts about images of your own stand in stacks/images.toml beside config.toml, as those of the catalogue do.\nWith --check no layers are fetched; registries are asked by this machine, with what `docker login` stored here.\nDocker Hub counts each image as a pull.";

/// Carries out `matou catalogue`.
pub(super) async fn run_catalogue_command(
    fleet: &FleetContext,
    json: bool,
    what: Option<&CatalogueCommand>,
) -> Result<ExitCode> {
    match what {
        None if json => {
            matou_base::out::print_json_pretty(&fleet.list_offered_stacks())?;
            Ok(Exit::Done.into())
        }
        None => print_catalogue(fleet),
        Some(CatalogueCommand::Try(args)) => tryout::run_try_command(fleet, args).await,
        Some(CatalogueCommand::Facts {
            stacks,
            check,
            json,
        }) => {
            let images = list_images(fleet, stacks)?;
            match check {
                true => print_image_checks(fleet, &images, *json).await,
                false => print_image_facts(fleet, &images, *json),
            }
        }
    }
}

fn print_catalogue(fleet: &FleetContext) -> Result<ExitCode> {
    for entry in fleet.list_offered_stacks() {
        outln!("{:<14} {}", entry.name, entry.description)?;
        for v in &entry.variables {
            let default = match (&v.default, v.required) {
                (Some(default), _) => format!(" [{default}]"),
                (None, true) => tr!(" (required)").into(),
                (None, false) => String::new(),
            };
            outln!("{:<14}   {}{default}  {}", "", v.name, v.help)?;
        }
    }
    Ok(Exit::Done.into())
}

/// Lists the images of stacks, each once; of the whole catalogue where none is named.
fn list_images(fleet: &FleetContext, stacks: &[String]) -> Result<Vec<String>> {
    let target = RenderTarget::for_fleet(&fleet.config);
    let entries = fleet.catalogue.list_entries();
    let all: Vec<&String> = match stacks {
        [] => entries.iter().map(|e| &e.name).collect(),
        some => some.iter().collect(),
    };
    let mut images = BTreeSet::new();
    for stack in all {
        images.extend(fleet.catalogue.list_images(stack, &target)?);
    }
    // Those of practice are made where they are used: no registry has them.
    images.retain(|image| !stacks.is_empty() || !image.starts_with("matou/"));
    Ok(images.into_iter().collect())
}

fn print_image_facts(fleet: &FleetContext, images: &[String], json: bool) -> Result<ExitCode> {
    let known = fleet.catalogue.known_images();
    if json {
        let all: Vec<&ImageFacts> = images.iter().filter_map(|i| known.find_facts(i)).collect();
        matou_base::out::print_json_pretty(&all)?;
        return Ok(Exit::Done.into());
    }
    for image in images {
        match known.find_facts(image) {
            Some(facts) => {
                outln!("{image}")?;
                print_facts(facts)?;
            }
            None => {
                outln!("{image}")?;
                outln!("{}", tr!("  nothing is known of it"))?;
            }
        }
    }
    Ok(Exit::Done.into())
}

fn print_facts(facts: &ImageFacts) -> Result<()> {
    let or = |text: &str, otherwise: &str| match text {
        "" => otherwise.to_owned(),
        text => text.to_owned(),
    };
    let read = format!("{}, {}", facts.read_on, facts.read_from.join("; "));
    let lines = [
        ("entrypoint", facts.entrypoint.join(" ")),
        (tr!("command"), facts.command.join(" ")),
        (tr!("user"), or(&facts.user, "root")),
        (tr!("listens on"), facts.ports.join(", ")),
        (tr!("data"), facts.data.join(", ")),
        (tr!("programs"), facts.programs.join(", ")),
        (tr!("memory"), facts.memory.clone().unwrap_or_default()),
        (tr!("for"), facts.architectures.join(", ")),
        (tr!("first start"), facts.first_start.clone()),
        (tr!("no database"), facts.database_missing.clone()),
        (tr!("read"), read),
    ];
    for (name, value) in lines.iter().filter(|(_, value)| !value.is_empty()) {
        matou_base::out::print_hanging(format_args!("  {name:<12} {value}"))?;
    }
    Ok(())
}

/// Prints how what is known of images compares with their registries. A difference makes it fail, and
/// so does a registry that does not answer.
async fn print_image_checks(
    fleet: &FleetContext,
    images: &[String],
    json: bool,
) -> Result<ExitCode> {
    let checks = check_image_facts(fleet.catalogue.known_images(), images).await;
    if json {
        matou_base::out::print_json_pretty(&checks)?;
    } else {
        for check in &checks {
            print_image_check(check)?;
        }
    }
    let fine = |c: &ImageCheck| {
        matches!(
            c.outcome,
            ImageCheckOutcome::Same | ImageCheckOutcome::Unknown
        )
    };
    Ok(match checks.iter().all(fine) {
        true => Exit::Done.into(),
        false => Exit::Failed.into(),
    })
}

fn print_image_check(check: &ImageCheck) -> Result<()> {
    let image = &check.image;
    match &check.outcome {
        ImageCheckOutcome::Same => outln!("{}", tr!("{image}: as known"))?,
        ImageCheckOutcome::Unknown => outln!("{}", tr!("{image}: nothing is known of it"))?,
        ImageCheckOutcome::Unanswered { reason } => {
            matou_base::out::print_hanging(format_args!("{image}: {reason}"))?;
        }
        ImageCheckOutcome::Different { differences } => {
            for d in differences {
                matou_base::out::print_hanging(tr!(
                    "{image}: {} is {} in its registry, not {}",
                    d.key,
                    d.found,
                    d.known
                ))?;
            }
        }
    }
    Ok(())
}
