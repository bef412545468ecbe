//! `matou catalogue`: what can be deployed, and what is known of its images.

use matou_i18n::tr;
use std::collections::BTreeSet;
use std::process::ExitCode;

use clap::Subcommand;
use color_eyre::eyre::Result;

use super::complete::{Names, complete};
use super::{Exit, tryout};
use matou_base::outln;
use matou_base::text::human_bytes;
use matou_ops::{FleetContext, ImageCheck, ImageCheckOutcome, check_image_facts};
use matou_stack::{
    AppLogin, Catalogue, Extension, ImageFacts, RenderTarget, RenderedStack, Variable, interpolate,
    translate_stack_text,
};

/// The name of an application for which a stack is rendered to be shown.
const SAMPLE_APP: &str = "app";

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
    stack: Option<&str>,
    what: Option<&CatalogueCommand>,
) -> Result<ExitCode> {
    if let Some(stack) = stack {
        return print_stack(fleet, stack, json);
    }
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
        print_variables(&entry.variables, 17)?;
    }
    Ok(Exit::Done.into())
}

/// Prints variables with what they are for, behind so many blanks.
fn print_variables(variables: &[Variable], indent: usize) -> Result<()> {
    for v in variables {
        let default = match (&v.default, v.required) {
            (Some(default), _) => format!(" [{default}]"),
            (None, true) => tr!(" (required)").into(),
            (None, false) => String::new(),
        };
        let help = translate_stack_text(&v.help);
        outln!("{:indent$}{}{default}  {help}", "", v.name)?;
    }
    Ok(())
}

/// Prints one stack: what it is, what it needs, how one logs in to it, and its variables. As JSON it is
/// what the whole catalogue says of it.
fn print_stack(fleet: &FleetContext, stack: &str, json: bool) -> Result<ExitCode> {
    let extension = fleet.catalogue.find_extension(stack)?;
    if json {
        let mut entries = fleet.catalogue.list_entries();
        entries.retain(|entry| entry.name == stack);
        matou_base::out::print_json_pretty(&entries)?;
        return Ok(Exit::Done.into());
    }
    let target = RenderTarget::for_fleet(&fleet.config);
    let lines = describe_stack(&fleet.catalogue, stack, &extension, &target)?;
    let title = match extension.title.as_str() {
        "" => stack,
        title => title,
    };
    outln!("{title} ({stack})")?;
    print_fields(&lines)?;
    print_variables(&extension.variables, 2)?;
    Ok(Exit::Done.into())
}

/// Says what a stack is, what it needs, and how one logs in to it: each with its name. A variable that has no
/// value by default stands there by its name.
fn describe_stack(
    catalogue: &Catalogue,
    stack: &str,
    extension: &Extension,
    target: &RenderTarget<'_>,
) -> Result<Vec<(&'static str, String)>> {
    let rendered = catalogue.render_stack(stack, SAMPLE_APP, &extension.sample_values(), target)?;
    let mail = match extension.mail {
        true => tr!("by the server of [mail] in config.toml"),
        false => tr!("is not given the server of [mail]"),
    };
    let update = match &extension.update {
        Some(update) => translate_stack_text(&update.how),
        None => tr!("a new image: `matou update APP`"),
    };
    Ok(vec![
        (
            tr!("is"),
            translate_stack_text(&extension.description).to_owned(),
        ),
        (tr!("described"), extension.homepage.clone()),
        (tr!("memory"), describe_stack_memory(&rendered)),
        (tr!("volumes"), describe_stack_volumes(extension, &rendered)),
        (tr!("mail"), mail.to_owned()),
        (tr!("log-in"), describe_stack_login(extension)?),
        (tr!("updated by"), update.to_owned()),
    ])
}

/// Returns the most memory that all tasks may take, and that of those on every node.
fn describe_stack_memory(rendered: &RenderedStack) -> String {
    let (mut fixed, mut on_each) = (0, 0);
    for service in &rendered.services {
        let limit = service.requirements.memory_limit;
        match service.replicas {
            Some(tasks) => fixed += limit * tasks,
            None => on_each += limit,
        }
    }
    match (fixed, on_each) {
        (fixed, 0) => human_bytes(fixed),
        (fixed, on_each) => tr!(
            "{}, and {} on each node",
            human_bytes(fixed),
            human_bytes(on_each)
        ),
    }
}

/// Returns the volumes by their names in the file, and what is dumped before a backup.
fn describe_stack_volumes(extension: &Extension, rendered: &RenderedStack) -> String {
    let prefix = format!("{SAMPLE_APP}_");
    let named = rendered.volumes.named.iter();
    let names: Vec<&str> = named
        .map(|(name, _)| name.strip_prefix(&prefix).unwrap_or(name))
        .collect();
    let dumps: Vec<&str> = extension
        .backup
        .dumps
        .iter()
        .map(|d| d.service.as_str())
        .collect();
    match (names.as_slice(), dumps.as_slice()) {
        ([], _) => tr!("none: it keeps no data").to_owned(),
        (names, []) => names.join(", "),
        (names, dumps) => tr!(
            "{}; dumped before a backup: {}",
            names.join(", "),
            dumps.join(", ")
        ),
    }
}

/// Returns how the operator logs in, as it is said after a deploy; empty where the stack says nothing of it.
fn describe_stack_login(extension: &Extension) -> Result<String> {
    let declared = |name: &str| extension.variables.iter().find(|v| v.name == name);
    let value_or_name = |name: &str| match declared(name) {
        Some(v) if v.default.is_some() || !v.required => v.default.clone(),
        _ => Some(name.to_owned()),
    };
    let fill = |text: &str| interpolate(text, &value_or_name);
    let spec = extension.login.clone().unwrap_or_default();
    let login = AppLogin {
        url: match (&extension.login, declared("DOMAIN")) {
            (Some(_), Some(_)) => format!("https://DOMAIN{}", fill(&spec.path)?),
            _ => String::new(),
        },
        user: fill(&spec.user)?,
        secret: spec.secret,
        note: fill(translate_stack_text(&spec.note))?,
        is_guarded: extension.guard,
        request: None,
    };
    Ok(login.describe_lines("APP").join("; "))
}

/// Prints what is known of something, each with its name; what is empty is left out.
fn print_fields(fields: &[(&str, String)]) -> Result<()> {
    for (name, value) in fields.iter().filter(|(_, value)| !value.is_empty()) {
        matou_base::out::print_hanging(format_args!("  {name:<12} {value}"))?;
    }
    Ok(())
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
    print_fields(&lines)
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

#[cfg(test)]
mod tests {
    use super::*;
    use matou_config::Config;
    use std::path::Path;

    #[test]
    fn one_stack_says_what_it_needs_and_how_one_logs_in() {
        let text = "[[nodes]]\nname = \"m\"\naddress = \"10.0.0.1\"\nrole = \"manager\"\n";
        let config = Config::parse(text, Path::new("/fleet/config.toml")).unwrap();
        let (target, catalogue) = (
            RenderTarget::for_fleet(&config),
            Catalogue::load(None).unwrap(),
        );
        let describe = |stack: &str| {
            let extension = catalogue.find_extension(stack).unwrap();
            describe_stack(&catalogue, stack, &extension, &target).unwrap()
        };
        let lines = describe("wordpress");
        let said = |name: &str| {
            let found = lines.iter().find(|(n, _)| *n == name);
            found.map(|(_, value)| value.as_str()).unwrap_or_default()
        };
        assert_eq!(said("is"), "Sites and blogs");
        assert_eq!(said("memory"), "1.5 GiB");
        assert_eq!(said("volumes"), "html, db; dumped before a backup: db");
        assert_eq!(said("mail"), "by the server of [mail] in config.toml");
        let login = said("log-in");
        assert!(
            login.starts_with("log in at https://DOMAIN/wp-admin/ as admin; "),
            "{login}"
        );
        assert!(
            login.contains("`matou secrets APP show admin_password`"),
            "{login}"
        );
        // Each of the catalogue can be shown.
        for stack in Catalogue::list_names(None) {
            assert_eq!(describe(&stack).len(), 7, "{stack}");
        }
    }
}
