//! The plans of several jobs, confirmed together; they run one after the other.

use matou_i18n::{tr, trn};
use std::collections::BTreeMap;

use crossterm::event::{Event, KeyCode, KeyEvent};
use ratatui::Frame;
use ratatui::layout::Rect;
use ratatui::text::{Line, Span};
use tui_input::Input;
use tui_input::backend::crossterm::EventHandler;

use super::plan::{open_plan, push_change_lines, push_wrapped_text, step_changes};
use super::{
    add_help_hint, draw_own_window, draw_scrolled, format_scroll_hint, move_by_key, prompt_lines,
};
use crate::jobs::QueuedRun;
use crate::keymap::is_yes;
use crate::layout::ScrollLayout;
use crate::msg::{Effect, Ticket};
use crate::overlay::{Overlay, OverlayAnswer, OverlayReply};
use crate::overlays::JobsOverlay;
use crate::state::App;
use matou_base::text::{SafeText, clean_line};
use matou_job::{Confirm, Plan};
use matou_ops::{FoundVersions, Request};
use matou_registry::VersionStep;
use matou_stack::AppName;

/// What is to be done, as far as it is known.
#[derive(Debug, Clone)]
pub(crate) enum BatchWish {
    Request(Request),
    /// Go to the newest version of the same major one, which the registries are asked for.
    Newest(AppName),
}

impl BatchWish {
    fn title(&self) -> String {
        match self {
            Self::Request(request) => request.title(),
            Self::Newest(app) => tr!("update {app}"),
        }
    }
}

enum BatchState {
    /// Its versions, or its plan, are to be read.
    Waits,
    Planned(Plan),
    /// It is not run, for this reason.
    LeftOut(String),
}

struct BatchItem {
    wish: BatchWish,
    /// Of the question that is open, or of the plan.
    ticket: Ticket,
    state: BatchState,
}

impl BatchItem {
    fn question(&self) -> Effect {
        let ticket = self.ticket;
        match self.wish.clone() {
            BatchWish::Request(request) => Effect::Plan { ticket, request },
            BatchWish::Newest(app) => Effect::FindNewerVersions {
                ticket,
                app: app.into(),
            },
        }
    }

    fn take_versions(&mut self, app: AppName, found: Result<FoundVersions, SafeText>) {
        match found.map(|found| newest_images(&found)) {
            Ok(images) if images.is_empty() => {
                let text = tr!("nothing newer of the same major version");
                self.state = BatchState::LeftOut(text.into());
            }
            Ok(images) => self.wish = BatchWish::Request(Request::Update { app, images }),
            Err(why) => self.state = BatchState::LeftOut(why.to_string()),
        }
    }

    fn take_plan(&mut self, plan: Result<Plan, SafeText>) {
        self.state = match plan {
            Err(why) => BatchState::LeftOut(why.to_string()),
            Ok(plan) if plan.is_done() => BatchState::LeftOut(tr!("nothing to do").into()),
            Ok(plan) => match plan.blocked_reason() {
                Some(why) => BatchState::LeftOut(why),
                None => BatchState::Planned(plan),
            },
        };
    }
}

/// The newest image of each service, short of another major version: that may change data for good, and is chosen
/// for one application at a time.
fn newest_images(found: &FoundVersions) -> BTreeMap<String, String> {
    let newest = found.images.iter().filter_map(|service| {
        let mut newer = service.newer.as_ref().ok()?.iter();
        let version = newer.find(|v| v.step != VersionStep::Major)?;
        Some((
            service.service.clone(),
            service.image_with_tag(&version.tag)?,
        ))
    });
    newest.collect()
}

pub(crate) struct BatchOverlay {
    /// What all of them do, as `remove`.
    verb: &'static str,
    items: Vec<BatchItem>,
    typed: Input,
    /// What was visible when it was drawn last.
    drawn: ScrollLayout,
}

impl BatchOverlay {
    /// Opens the view and asks for what the first needs; the others are asked for in turn.
    pub(crate) fn open(
        app: &mut App,
        verb: &'static str,
        wishes: Vec<BatchWish>,
    ) -> (Self, Option<Effect>) {
        let items = wishes.into_iter().map(|wish| BatchItem {
            wish,
            ticket: app.issue_ticket(),
            state: BatchState::Waits,
        });
        let mut view = Self {
            verb,
            items: items.collect(),
            typed: Input::default(),
            drawn: ScrollLayout::default(),
        };
        let first = view.next_question();
        (view, first)
    }

    fn waiting(&self) -> Option<&BatchItem> {
        let mut items = self.items.iter();
        items.find(|i| matches!(i.state, BatchState::Waits))
    }

    fn planned(&self) -> impl Iterator<Item = (&BatchItem, &Plan)> {
        self.items.iter().filter_map(|item| match &item.state {
            BatchState::Planned(plan) => Some((item, plan)),
            _ => None,
        })
    }

    /// What is to be typed where one of the plans asks for a name; of several the number stands for the names.
    fn word_to_type(&self) -> Option<String> {
        let mut names = self.planned().filter_map(|(_, plan)| match &plan.confirm {
            Confirm::TypeName(name) => Some(name),
            _ => None,
        });
        let first = names.next()?;
        Some(match self.planned().count() {
            1 => first.clone(),
            count => format_verb(self.verb, count),
        })
    }

    /// Hands the confirmed plans over, to be run one after the other.
    fn confirm(&self, app: &mut App) -> OverlayReply {
        let runs = self.planned().filter_map(|(item, plan)| {
            let BatchWish::Request(request) = &item.wish else {
                return None;
            };
            Some(QueuedRun {
                ticket: item.ticket,
                request: request.clone(),
                plan_hash: plan.hash(),
            })
        });
        app.jobs.queued.extend(runs);
        app.clear_marks();
        let mut reply = OverlayReply::replace(JobsOverlay::default());
        reply.effects.extend(app.jobs.start_next());
        reply
    }

    fn push_items(&self, app: &App, columns: usize, lines: &mut Vec<Line<'static>>) {
        let theme = app.theme;
        for item in &self.items {
            let title = item.wish.title();
            let (text, style) = match &item.state {
                BatchState::Waits => (tr!("  {title}: reading what is there …"), theme.dim()),
                BatchState::Planned(plan) => (
                    tr!("{} {title}: {}", theme.cursor_glyph(), plan.summary()),
                    theme.title(),
                ),
                BatchState::LeftOut(why) => (tr!("  {title} is left out: {why}"), theme.changed()),
            };
            push_wrapped_text(lines, &text, "    ", columns, style, app);
        }
        for (item, plan) in self.planned() {
            lines.push(Line::default());
            push_wrapped_text(lines, &item.wish.title(), "", columns, theme.title(), app);
            let steps = plan
                .steps_by_node()
                .into_iter()
                .flat_map(|(_, steps)| steps);
            for change in steps.flat_map(step_changes) {
                if !change.is_settled() {
                    push_change_lines(app, change, columns, lines);
                }
            }
        }
    }

    /// Returns the question, which is always in sight, and the hint about keys.
    fn question(&self, app: &App, columns: usize) -> (Vec<Line<'static>>, &'static str) {
        let count = self.planned().count();
        if self.waiting().is_some() {
            return (vec![Line::default()], tr!("Esc back"));
        }
        if count == 0 {
            return (vec![Line::raw(tr!("Nothing to do."))], tr!("Esc back"));
        }
        match self.word_to_type() {
            Some(word) => {
                let asked = vec![
                    Span::raw(tr!("Type ")),
                    Span::styled(word, app.theme.focus()),
                    Span::raw(tr!(" to go on: ")),
                ];
                let lines = prompt_lines(app, asked, &self.typed, columns);
                (lines, tr!("Enter goes on · Esc back"))
            }
            None => {
                let text = trn!(
                    count,
                    "Run {n} job, one after the other? y / n",
                    "Run {n} jobs, one after the other? y / n"
                );
                let mut lines = Vec::new();
                push_wrapped_text(&mut lines, &text, "", columns, app.theme.focus(), app);
                (lines, tr!("y goes on · n back"))
            }
        }
    }
}

/// Says of how many things an action is, as `remove 3`. The verbs of the menu of nodes are in the language spoken.
fn format_verb(verb: &str, count: usize) -> String {
    match verb {
        "restart" => tr!("restart {count}"),
        "rollback" => tr!("rollback {count}"),
        "remove" => tr!("remove {count}"),
        "redeploy" => tr!("redeploy {count}"),
        "export" => tr!("export {count}"),
        "update" => tr!("update {count}"),
        "renew" => tr!("renew {count}"),
        "promote" => tr!("promote {count}"),
        "demote" => tr!("demote {count}"),
        "reboot" => tr!("reboot {count}"),
        "upgrade" => tr!("upgrade {count}"),
        "drain" => tr!("drain {count}"),
        "activate" => tr!("activate {count}"),
        "pause" => tr!("pause {count}"),
        other => format!("{other} {count}"),
    }
}

/// Opens the plan of one job, or those of several.
pub(crate) fn open_wishes(
    app: &mut App,
    verb: &'static str,
    mut wishes: Vec<BatchWish>,
) -> Vec<Effect> {
    match wishes.as_slice() {
        [] => {
            app.show_notice(tr!("{verb} is not for what is marked here"), false);
            Vec::new()
        }
        [BatchWish::Request(_)] => match wishes.pop() {
            Some(BatchWish::Request(request)) => open_plan(app, request),
            _ => Vec::new(),
        },
        _ => {
            let (view, effect) = BatchOverlay::open(app, verb, wishes);
            app.open_overlay(view);
            effect.into_iter().collect()
        }
    }
}

impl Overlay for BatchOverlay {
    fn handle_key(&mut self, app: &mut App, key: KeyEvent) -> OverlayReply {
        let word = self.word_to_type();
        let ready = self.waiting().is_none();
        let nothing = ready && self.planned().next().is_none();
        match (key.code, &word) {
            (KeyCode::Esc, _) => return OverlayReply::close(),
            (KeyCode::Char('n' | 'q'), _) if word.is_none() || !ready => {
                return OverlayReply::close();
            }
            (KeyCode::Enter, _) if nothing => return OverlayReply::close(),
            (code, None) if (code == KeyCode::Enter || is_yes(code)) && ready && !nothing => {
                return self.confirm(app);
            }
            (KeyCode::Enter, Some(word)) if ready => {
                if self.typed.value() == word {
                    return self.confirm(app);
                }
                app.show_notice(tr!("type {word:?} to go on"), true);
                return OverlayReply::stay();
            }
            _ => {}
        }
        if self.takes_text() && !matches!(key.code, KeyCode::Up | KeyCode::Down) {
            self.typed.handle_event(&Event::Key(key));
        } else {
            let lines = (self.drawn.lines + 1).saturating_sub(self.drawn.height);
            move_by_key(key, &mut self.drawn.top, lines, self.drawn.height);
        }
        OverlayReply::stay()
    }

    fn asks(&self) -> bool {
        true
    }

    fn draw(&self, app: &App, frame: &mut Frame, screen: Rect) -> ScrollLayout {
        let columns = usize::from(screen.width).saturating_sub(8).min(90);
        let mut lines = Vec::new();
        self.push_items(app, columns, &mut lines);
        let (question, hint) = self.question(app, columns);
        let title = format_verb(self.verb, self.items.len());
        // The question and the line before it stay in sight.
        let below = question.len() + 1;
        let size = (columns as u16, (lines.len() + below) as u16);
        let page = usize::from(screen.height).saturating_sub(2 + below).max(1);
        let typing = self.takes_text();
        let hint = format_scroll_hint(lines.len(), (self.drawn.top, page), typing, hint);
        let hint = add_help_hint(app, &hint, typing);
        let area = draw_own_window(app, frame, screen, &title, &hint, size);
        let body = Rect {
            height: area.height.saturating_sub(below as u16),
            ..area
        };
        let place = Rect {
            y: (body.bottom() + 1).min(area.bottom()),
            height: area.height.saturating_sub(body.height + 1),
            ..area
        };
        draw_scrolled(app, frame, place, &question, 0);
        draw_scrolled(app, frame, body, &lines, self.drawn.top)
    }

    fn take_layout(&mut self, drawn: ScrollLayout) {
        self.drawn = drawn;
    }

    fn ticket(&self) -> Option<Ticket> {
        self.waiting().map(|item| item.ticket)
    }

    fn take_answer(&mut self, answer: OverlayAnswer) {
        let mut items = self.items.iter_mut();
        let Some(item) = items.find(|i| matches!(i.state, BatchState::Waits)) else {
            return;
        };
        match (answer, item.wish.clone()) {
            (OverlayAnswer::Versions(found), BatchWish::Newest(app)) => {
                item.take_versions(app, found);
            }
            (OverlayAnswer::Plan(plan), BatchWish::Request(_)) => item.take_plan(plan),
            _ => {}
        }
    }

    fn next_question(&mut self) -> Option<Effect> {
        self.waiting().map(BatchItem::question)
    }

    fn leads_to_plan(&self) -> bool {
        true
    }

    fn takes_text(&self) -> bool {
        self.waiting().is_none() && self.word_to_type().is_some()
    }

    fn paste(&mut self, _: &App, text: &str) {
        if self.takes_text() {
            crate::text_input::insert_text(&mut self.typed, &clean_line(text));
        }
    }
}
