//! `matou updates`: the newer versions of all images that run, at a glance.

use matou_i18n::{tr, trn};
use std::process::ExitCode;

use color_eyre::eyre::Result;

use super::Exit;
use matou_base::outln;
use matou_base::text::clean_line;
use matou_ops::{FleetContext, OutdatedService};
use matou_registry::{NewerVersion, VersionStep};

/// Shown under `matou updates --help`.
pub(super) const HELP: &str = "Registries are asked by this machine, with what `docker login` stored here; each image once. A step is what changes: patch, minor or major. `matou update APP` goes there, `matou update APP --rehearse` tries it first. A release line that gets no fixes any more is told with the day; and what the last night's rehearsal of a patch release came to, with `[updates] rehearse = \"nightly\"`.
Exit code 1: of an image nothing could be found out.

Examples:
  matou updates
  matou updates --json | jq -r '.[] | select(.newer.value[]?.step == \"patch\") | .app' | sort -u
  matou updates --json | jq -r '.[] | select(.line.is_over) | \"\\(.app) \\(.line.product) \\(.line.cycle)\"'";

/// Carries out `matou updates`: prints what is outdated, or everything as JSON. Fails when nothing is known
/// of an image.
pub(super) async fn run_updates_command(fleet: &FleetContext, json: bool) -> Result<ExitCode> {
    let all = matou_ops::query_fleet_versions(fleet).await?;
    let unknown = all.iter().filter(|s| s.versions.newer.is_err()).count();
    match json {
        true => matou_base::out::print_json_line(&all)?,
        false => print_updates(&all)?,
    }
    Ok(match unknown {
        0 => Exit::Done.into(),
        _ => Exit::Failed.into(),
    })
}

fn print_updates(all: &[OutdatedService]) -> Result<()> {
    let mut current = 0;
    let (mut outdated, mut silent) = (Vec::new(), Vec::new());
    for service in all {
        match &service.versions.newer {
            Ok(newer) if newer.is_empty() => current += 1,
            Ok(newer) => outdated.push((service, newer)),
            Err(reason) => silent.push((service, reason)),
        }
    }
    for (service, newer) in &outdated {
        outln!(
            "{:<28} {:<44} {}",
            name_of(service),
            clean_line(&service.versions.image),
            format_steps(newer)
        )?;
    }
    print_ends_and_rehearsals(all)?;
    for (service, reason) in &silent {
        outln!(
            "{:<28} {:<44} ?",
            name_of(service),
            clean_line(&service.versions.image)
        )?;
        matou_base::out::print_hanging(format_args!("  ? {reason}"))?;
    }
    outln!(
        "{}",
        tr!(
            "{} outdated, {current} the newest of their kind, {} unknown",
            trn!(outdated.len(), "{n} service", "{n} services"),
            silent.len()
        )
    )?;
    Ok(())
}

/// Prints release lines that are past their end, and what nights found out.
fn print_ends_and_rehearsals(all: &[OutdatedService]) -> Result<()> {
    let now = jiff::Timestamp::now();
    for service in all {
        if let Some(line) = service.line.as_ref().filter(|line| line.is_over) {
            let name = name_of(service);
            matou_base::out::print_hanging(format_args!("{name:<28} {}", line.describe()))?;
        }
    }
    let mut nights: Vec<_> = all.iter().filter_map(|s| s.rehearsal.as_ref()).collect();
    nights.dedup_by(|a, b| a.app == b.app);
    for night in nights {
        let app = clean_line(&night.app);
        matou_base::out::print_hanging(format_args!("{app:<28} {}", night.describe(now)))?;
    }
    Ok(())
}

fn name_of(service: &OutdatedService) -> String {
    let name = format!("{}_{}", service.app, service.versions.service);
    clean_line(&name).into_owned()
}

/// The newest version of each step, the smallest step first: `patch 1.2.4, major 2.0`.
fn format_steps(newer: &[NewerVersion]) -> String {
    let steps = [VersionStep::Patch, VersionStep::Minor, VersionStep::Major];
    let newest = steps.into_iter().filter_map(|step| {
        // They come newest first.
        let version = newer.iter().find(|v| v.step == step)?;
        Some(format!("{} {}", step.label(), clean_line(&version.tag)))
    });
    newest.collect::<Vec<_>>().join(", ")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_newest_of_each_step_is_named_the_smallest_first() {
        let version = |tag: &str, step| NewerVersion {
            tag: tag.to_owned(),
            step,
        };
        let newer = [
            version("7.0.1", VersionStep::Major),
            version("6.2.0", VersionStep::Minor),
            version("6.1.3", VersionStep::Minor),
            version("6.0.9", VersionStep::Patch),
        ];
        assert_eq!(
            format_steps(&newer),
            "patch 6.0.9, minor 6.2.0, major 7.0.1"
        );
        assert_eq!(format_steps(&newer[..1]), "major 7.0.1");
    }
}
