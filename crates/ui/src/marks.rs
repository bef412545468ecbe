//! Marked rows: several things that an action is about.

use matou_i18n::tr;
use std::collections::HashSet;

use super::keymap::{Action, ActionGroup, KEY_TABLE};
use super::msg::Effect;
use super::overlays::{BatchWish, FormOverlay, NodeMenuOverlay, open_wishes};
use super::pane::Pane;
use super::panes::{PaneRow, RowKind, pane_rows, row_app};
use super::state::App;
use matou_model::{Availability, Role};
use matou_ops::Request;
use matou_provision::ProvisionOptions;
use matou_stack::AppName;

impl App {
    /// Marks the selected row, or takes its mark away.
    pub(super) fn toggle_mark(&mut self) {
        let Some(row) = self.selected_row() else {
            return;
        };
        // A task is made anew by its service; a repository is worked on by the command line.
        if matches!(row.kind, RowKind::Task { .. } | RowKind::Repository(_)) {
            self.show_notice(
                tr!("this line can't be marked: no job takes several of it"),
                false,
            );
            return;
        }
        let key = row.key.clone();
        let marked = &mut self.focused_list_mut().marked;
        if !marked.remove(&key) {
            marked.insert(key);
        }
    }

    /// Takes all marks away. Returns false when the focused pane has none.
    pub(super) fn clear_marks(&mut self) -> bool {
        let had = !self.focused_list().marked.is_empty();
        for list in &mut self.lists {
            list.marked.clear();
        }
        had
    }

    /// The marked rows of a pane in its order, those among them that a filter or a closed row hides.
    pub(super) fn marked_rows(&self, pane: Pane) -> Vec<PaneRow> {
        let marked = &self.lists[pane.index()].marked;
        if marked.is_empty() {
            return Vec::new();
        }
        let (closed, _) = pane_rows(pane, &self.fleet, &[], "");
        let all_open: Vec<String> = closed.into_iter().map(|row| row.key).collect();
        let (mut rows, _) = pane_rows(pane, &self.fleet, &all_open, "");
        rows.retain(|row| marked.contains(&row.key));
        rows
    }

    /// Forgets the marks of what is gone.
    pub(super) fn drop_vanished_marks(&mut self, pane: Pane) {
        if !self.lists[pane.index()].marked.is_empty() {
            let there = self.marked_rows(pane).into_iter().map(|row| row.key);
            self.lists[pane.index()].marked = there.collect();
        }
    }
}

/// Carries an action out on the marked rows of the focused pane. `None`: nothing is marked, or the action is not
/// about rows that can be marked.
pub(super) fn run_on_marked(app: &mut App, action: Action) -> Option<Vec<Effect>> {
    let rows = app.marked_rows(app.pane);
    if rows.is_empty() {
        return None;
    }
    if action == Action::Copy {
        let names: Vec<String> = rows.into_iter().map(|row| row.name).collect();
        return Some(vec![Effect::Copy(names.join("\n"))]);
    }
    let binding = KEY_TABLE.iter().find(|b| b.action == action)?;
    let of_all = matches!(
        action,
        Action::Jobs
            | Action::Deploy
            | Action::BackupAll
            | Action::ProvisionAll
            | Action::MoveAll
            | Action::Recover
    );
    if binding.group != ActionGroup::Jobs || of_all {
        return None;
    }
    let wishes = match wishes_of(app, action, &rows) {
        Marked::Wishes(wishes) => wishes,
        Marked::One => {
            let text = tr!(
                "{} is for one at a time: Esc takes the marks away",
                binding.name
            );
            app.show_notice(text, false);
            return Some(Vec::new());
        }
        Marked::Opened => return Some(Vec::new()),
    };
    Some(open_wishes(app, binding.name, wishes))
}

/// What an action means for several rows.
enum Marked {
    Wishes(Vec<BatchWish>),
    /// It is for one row alone.
    One,
    /// A menu or a form was opened for them.
    Opened,
}

fn wishes_of(app: &mut App, action: Action, rows: &[PaneRow]) -> Marked {
    let requests = match action {
        Action::Restart => each(services(app, rows), |service| Request::Restart { service }),
        Action::Rollback => each(services(app, rows), |service| Request::Rollback { service }),
        Action::Remove => each(apps(app, rows), Request::remove),
        Action::Redeploy => each(apps(app, rows), Request::redeploy),
        Action::Export => each(apps(app, rows), Request::export),
        Action::Update => {
            let wishes = apps(app, rows).into_iter().map(BatchWish::Newest);
            return Marked::Wishes(wishes.collect());
        }
        // These take several in one job.
        Action::Backup => one(apps(app, rows), |apps| Request::Backup { apps }),
        Action::Verify => one(apps(app, rows), |apps| Request::Verify { apps }),
        Action::Adopt => one(apps(app, rows), Request::adopt),
        Action::Provision => one(nodes(rows), |nodes| Request::Provision {
            options: ProvisionOptions {
                nodes,
                ..ProvisionOptions::default()
            },
        }),
        Action::Move => {
            let apps = apps(app, rows);
            if apps.is_empty() {
                return Marked::Wishes(Vec::new());
            }
            app.open_overlay(FormOverlay::for_move(apps));
            return Marked::Opened;
        }
        Action::NodeMenu => {
            let nodes = nodes(rows);
            if nodes.is_empty() {
                return Marked::Wishes(Vec::new());
            }
            app.open_overlay(NodeMenuOverlay::for_nodes(nodes));
            return Marked::Opened;
        }
        Action::RenewCertificate => each(names(rows, is_certificate), |domain| {
            Request::RenewCertificate { domain }
        }),
        Action::Promote | Action::Demote => each(nodes(rows), |node| Request::Role {
            node,
            to: match action {
                Action::Promote => Role::Manager,
                _ => Role::Worker,
            },
        }),
        Action::Reboot => each(nodes(rows), |node| Request::Reboot { node }),
        Action::Upgrade => each(nodes(rows), |node| Request::Upgrade { node }),
        Action::Drain | Action::Activate | Action::Pause => {
            each(nodes(rows), |node| Request::Availability {
                node,
                to: match action {
                    Action::Drain => Availability::Drain,
                    Action::Pause => Availability::Pause,
                    _ => Availability::Active,
                },
            })
        }
        _ => return Marked::One,
    };
    Marked::Wishes(requests.into_iter().map(BatchWish::Request).collect())
}

fn each<T>(of: Vec<T>, request: impl Fn(T) -> Request) -> Vec<Request> {
    of.into_iter().map(request).collect()
}

/// No request for none: that would mean all.
fn one<T>(of: Vec<T>, request: impl Fn(Vec<T>) -> Request) -> Vec<Request> {
    match of.is_empty() {
        true => Vec::new(),
        false => vec![request(of)],
    }
}

fn is_certificate(kind: &RowKind) -> bool {
    matches!(kind, RowKind::Certificate(_))
}

fn names(rows: &[PaneRow], wanted: impl Fn(&RowKind) -> bool) -> Vec<String> {
    let rows = rows.iter().filter(|row| wanted(&row.kind));
    rows.map(|row| row.name.clone()).collect()
}

fn nodes(rows: &[PaneRow]) -> Vec<String> {
    names(rows, |kind| matches!(kind, RowKind::Node(_)))
}

/// The applications that rows belong to, each once.
fn apps(app: &App, rows: &[PaneRow]) -> Vec<AppName> {
    let mut known = HashSet::new();
    let found = rows.iter().filter_map(|row| row_app(app, row));
    let found = found.filter(|name| known.insert(name.clone()));
    found.filter_map(|name| AppName::new(name).ok()).collect()
}

/// The services that rows stand for, each once; of an application all.
fn services(app: &App, rows: &[PaneRow]) -> Vec<String> {
    let all = app.fleet.swarm.value().map_or(&[][..], |s| &s.services);
    let places = rows.iter().flat_map(|row| match &row.kind {
        RowKind::App { services } => services.clone(),
        RowKind::Service(at) => vec![*at],
        _ => Vec::new(),
    });
    let mut known = HashSet::new();
    let places = places.filter(|at| known.insert(*at));
    let found = places.filter_map(|at| all.get(at));
    found.map(|service| service.name.clone()).collect()
}
