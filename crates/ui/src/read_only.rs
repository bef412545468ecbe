//! A read-only console: whatever would change something, or give a password out, is refused here, wherever it was
//! asked for.

use super::msg::Effect;
use super::state::App;
use matou_i18n::{Text, both, tr};

/// What is said of an effect that is refused. `None`: it only looks.
fn refusal(effect: &Effect) -> Option<&'static str> {
    match effect {
        Effect::Plan { .. } | Effect::Run { .. } | Effect::WatchJob { .. } => Some(NO_JOB.get()),
        Effect::CancelJob(_) => Some(tr!("no job is cancelled")),
        Effect::Shell(_) => Some(tr!("no shell is opened")),
        Effect::RunCommand(_) | Effect::Begin(_) => Some(tr!("no command is run")),
        Effect::Save { .. } => Some(tr!("no file is written")),
        Effect::SilenceInAlertmanager { .. } => Some(tr!("nothing is silenced in Alertmanager")),
        Effect::ReadPassword { .. } | Effect::CopyPassword(_) => {
            Some(tr!("no password is given out"))
        }
        Effect::Measure => Some(tr!("nothing is measured: it is kept on the servers")),
        Effect::SaveLedger(_) => Some(tr!("what is silenced is told again when it is closed")),
        Effect::Quit
        | Effect::Suspend
        | Effect::Redraw
        | Effect::Refresh
        | Effect::Compare
        | Effect::FindNewerVersions { .. }
        | Effect::Bans { .. }
        | Effect::Intrusions { .. }
        | Effect::SearchLogs { .. }
        | Effect::ReadPastJobs { .. }
        | Effect::FollowLogs { .. }
        | Effect::FollowAccess { .. }
        | Effect::StopFollowing(_)
        | Effect::ReadSnapshot { .. }
        | Effect::Alarm { .. }
        | Effect::Copy(_) => None,
    }
}

const NO_JOB: Text = both!("no job is planned or run");

/// Takes out what would change something, and closes what was opened for it. One sentence tells it when a
/// key `asked` for it; what the console does by itself is left undone in silence.
pub(super) fn refuse_changes(app: &mut App, effects: &mut Vec<Effect>, asked: bool) {
    let mut why = None;
    effects.retain(|effect| {
        let refused = refusal(effect);
        if refused.is_some() {
            why = why.or(refused);
        }
        if let Effect::Plan { ticket, .. } = effect {
            app.overlays.retain(|o| o.ticket() != Some(*ticket));
        }
        refused.is_none()
    });
    // A form that can't be sent is not to be filled in first.
    let open = app.overlays.len();
    app.overlays.retain(|o| !o.leads_to_plan());
    if app.overlays.len() < open {
        why = Some(NO_JOB.get());
    }
    if let (Some(why), true) = (why, asked) {
        app.show_notice(tr!("this console is read-only: {why}"), false);
    }
}
