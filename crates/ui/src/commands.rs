//! The operator's own commands: which fit what is selected, and what they are started with.

use super::call::CommandCall;
use super::msg::Effect;
use super::overlays::CommandOverlay;
use super::panes::{RowKind, row_app};
use super::state::App;
use matou_base::text::InvalidInput;
use matou_config::{ArgumentPart, CommandConfig, CommandPlace, Placeholder, split_argument};
use matou_i18n::tr;

/// What kind of thing is selected; `None`: nothing a command can be about.
fn selected_place(app: &App) -> Option<CommandPlace> {
    Some(match app.selected_row()?.kind {
        RowKind::Node(_) => CommandPlace::Nodes,
        RowKind::App { .. } => CommandPlace::Applications,
        RowKind::Service(_) | RowKind::Task { .. } => CommandPlace::Services,
        RowKind::Volume { .. } => CommandPlace::Volumes,
        RowKind::Certificate(_) => CommandPlace::Certificates,
        RowKind::SnapshotGroup { .. } | RowKind::Snapshot(_) => CommandPlace::Snapshots,
        RowKind::Repository(_) => return None,
    })
}

/// Whether a command is for what is selected.
fn fits(app: &App, command: &CommandConfig) -> bool {
    // What is behind the dashboard is not seen to be selected.
    let place = selected_place(app).filter(|_| !app.board.is_open());
    command.places.is_empty() || place.is_some_and(|place| command.places.contains(&place))
}

/// Runs the command of a key that fits what is selected; else says what it is for. `None`: the key has none.
pub(super) fn run_key(app: &mut App, key: crossterm::event::KeyEvent) -> Option<Vec<Effect>> {
    let found = app.keymap.find_commands(key);
    let fitting = found
        .iter()
        .copied()
        .find(|at| fits(app, &app.commands[*at]));
    Some(run_command(app, fitting.or(found.first().copied())?))
}

/// Runs a command by its place in the list, after asking where that is wanted.
pub(super) fn run_command(app: &mut App, at: usize) -> Vec<Effect> {
    let Some(command) = app.commands.get(at).cloned() else {
        return Vec::new();
    };
    if !fits(app, &command) {
        let places: Vec<&str> = command.places.iter().map(|p| p.as_str()).collect();
        let text = tr!(
            "{} is for {}: select one first",
            command.description,
            places.join(", ")
        );
        app.show_notice(text, false);
        return Vec::new();
    }
    match fill_in(app, &command) {
        Ok(call) if command.confirm && !app.read_only => {
            app.open_overlay(CommandOverlay::new(call));
            Vec::new()
        }
        Ok(call) => vec![Effect::RunCommand(call)],
        Err(why) => {
            app.show_notice(tr!("{} is not run: {why}", command.description), true);
            Vec::new()
        }
    }
}

/// Fills the placeholders in. Each stays within its argument.
fn fill_in(app: &App, command: &CommandConfig) -> Result<CommandCall, InvalidInput> {
    let mut argv = Vec::new();
    for argument in &command.argv {
        let mut filled = String::new();
        for part in split_argument(argument).unwrap_or_default() {
            match part {
                ArgumentPart::Text(text) => filled += text,
                ArgumentPart::Placeholder(placeholder) => {
                    let value = placeholder_value(app, placeholder);
                    let missing = || InvalidInput::new(tr!("nothing here has a {placeholder}"));
                    filled += &value.ok_or_else(missing)?;
                }
            }
        }
        argv.push(filled);
    }
    let bad = Placeholder::ALL
        .into_iter()
        .filter(|p| *p != Placeholder::Config);
    let uses = |p: &Placeholder| command.argv.iter().any(|a| a.contains(&p.to_string()));
    for placeholder in bad.filter(uses) {
        let value = placeholder_value(app, placeholder).unwrap_or_default();
        if !is_plain(&value) {
            return Err(InvalidInput::new(tr!(
                "{placeholder} is {value:?} here, which is no plain name and may be meant to harm"
            )));
        }
    }
    Ok(CommandCall {
        description: command.description.clone(),
        argv,
        run: command.run,
    })
}

/// Whether a value from outside is a name that no program takes for an option, and no shell that a program may
/// hand its arguments to (ssh, watch) for more than a word.
fn is_plain(value: &str) -> bool {
    let plain = |c: char| c.is_alphanumeric() || "-_.:/@".contains(c);
    value.starts_with(char::is_alphanumeric) && value.chars().all(plain)
}

fn placeholder_value(app: &App, placeholder: Placeholder) -> Option<String> {
    if placeholder == Placeholder::Config {
        return app.config_path.clone();
    }
    let row = app.selected_row().filter(|_| !app.board.is_open())?;
    let fleet = &app.fleet;
    let swarm = fleet.swarm.value();
    let service = |at: usize| swarm?.services.get(at);
    match (placeholder, &row.kind) {
        (Placeholder::App, _) => row_app(app, row),
        (Placeholder::Node, RowKind::Node(at) | RowKind::Volume { node: at, .. }) => {
            Some(fleet.nodes.get(*at)?.name.clone())
        }
        (Placeholder::Node, RowKind::Task { task, .. }) => {
            let task = swarm?.tasks.get(*task)?;
            Some(fleet.node_name(&task.node_id).to_owned())
        }
        (Placeholder::Service, RowKind::Service(at) | RowKind::Task { service: at, .. }) => {
            Some(service(*at)?.name.clone())
        }
        (Placeholder::Service, RowKind::App { services }) => match services.as_slice() {
            [only] => Some(service(*only)?.name.clone()),
            _ => None,
        },
        (Placeholder::Volume, RowKind::Volume { node, volume }) => {
            let volumes = fleet.nodes.get(*node)?.volumes.value()?;
            Some(volumes.get(*volume)?.name.clone())
        }
        (Placeholder::Snapshot, RowKind::Snapshot(at)) => {
            Some(fleet.snapshots.value()?.get(*at)?.id.clone())
        }
        (Placeholder::Snapshot, RowKind::SnapshotGroup { first, count }) if *count > 0 => {
            Some(fleet.snapshots.value()?.get(*first)?.id.clone())
        }
        (Placeholder::Domain, RowKind::Certificate(_)) => Some(row.name.clone()),
        (Placeholder::Domain, RowKind::Service(at) | RowKind::Task { service: at, .. }) => {
            service(*at)?.domains.first().cloned()
        }
        (Placeholder::Domain, RowKind::App { services }) => {
            let services = services.iter().filter_map(|at| service(*at));
            services.flat_map(|s| &s.domains).next().cloned()
        }
        _ => None,
    }
}
