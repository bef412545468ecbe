//! `matou history`: how the files of the fleet folder came to be what they are.

use matou_i18n::tr;
use std::process::ExitCode;

use color_eyre::eyre::Result;

use super::Exit;
use matou_base::outln;
use matou_ops::FleetContext;
use matou_stack::AppName;

/// Characters of a commit's id that are shown.
const SHORT_ID: usize = 10;

/// Shown under `matou history --help`.
pub(super) const HISTORY_HELP: &str = "With `git = true` under [fleet] of config.toml each change of apps/ and stacks/ by matou is a commit.\n`matou diff APP@REVISION` shows what going back would change, `matou deploy APP@REVISION` goes back.\nREVISION is what git takes: the beginning of an id, HEAD~2, a tag.";

/// Lists the revisions of an application's files, or of the whole folder, the newest first.
pub(super) async fn run_history_command(
    fleet: &FleetContext,
    app: Option<&AppName>,
    most: usize,
    json: bool,
) -> Result<ExitCode> {
    let history = matou_ops::load_history(app, most, fleet).await?;
    if json {
        matou_base::out::print_json_pretty(&history)?;
        return Ok(Exit::Done.into());
    }
    for name in &history.edited {
        outln!("{}", tr!("{name} has edits that are in no commit"))?;
    }
    let zone = jiff::tz::TimeZone::system();
    for revision in &history.revisions {
        let at = zone.to_datetime(revision.at).strftime("%F %H:%M");
        let id = &revision.id[..SHORT_ID.min(revision.id.len())];
        outln!("{id}  {at}  {}  ({})", revision.title, revision.author)?;
    }
    if history.revisions.is_empty() && history.edited.is_empty() {
        outln!("{}", tr!("nothing was changed by matou yet"))?;
    }
    Ok(Exit::Done.into())
}
