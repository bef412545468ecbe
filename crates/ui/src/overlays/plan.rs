//! A plan: what a job would change, shown like a diff and confirmed.

use crossterm::event::{Event, KeyCode, KeyEvent};
use jiff::Timestamp;
use matou_i18n::{tr, trn};
use ratatui::Frame;
use ratatui::layout::Rect;
use ratatui::style::Style;
use ratatui::text::{Line, Span};
use tui_input::Input;
use tui_input::backend::crossterm::EventHandler;

use super::{
    add_help_hint, draw_own_window, draw_scrolled, format_scroll_hint, move_by_key, prompt_lines,
};
use crate::cut::{draw_line, row_at};
use crate::keymap::is_yes;
use crate::layout::ScrollLayout;
use crate::msg::{Effect, Ticket};
use crate::overlay::{Overlay, OverlayAnswer, OverlayReply};
use crate::panes::wrap_text;
use crate::state::App;
use matou_base::text::{SafeText, clean_line, truncate_to_width};
use matou_job::{Change, ChangeKind, Check, Confirm, Plan, StepPlan};
use matou_ops::Request;

/// Of so many lines of the screen one may be a warning that is said once more above the question.
const SCREEN_LINES_PER_WARNING: usize = 5;

pub(crate) struct PlanOverlay {
    pub ticket: Ticket,
    request: Request,
    asked: Timestamp,
    /// `None` while it is being made.
    plan: Option<Result<Plan, SafeText>>,
    /// The plan was made anew because the fleet had changed.
    again: bool,
    /// The plan was confirmed; the job starts.
    sent: bool,
    typed: Input,
    /// What was visible when it was drawn last.
    pub(super) drawn: ScrollLayout,
}

impl PlanOverlay {
    /// Opens the view and asks for the plan.
    pub(crate) fn open(app: &mut App, request: Request) -> (Self, Effect) {
        let ticket = app.issue_ticket();
        let view = Self {
            ticket,
            request: request.clone(),
            asked: app.now,
            plan: None,
            again: false,
            sent: false,
            typed: Input::default(),
            drawn: ScrollLayout::default(),
        };
        (view, Effect::Plan { ticket, request })
    }

    /// Returns why the plan can't be confirmed now; `None` when it can.
    fn reason_not_to_confirm(&self) -> Option<String> {
        match &self.plan {
            None => Some(tr!("the plan is being made").into()),
            Some(Err(reason)) => Some(reason.to_string()),
            Some(Ok(plan)) => plan.blocked_reason(),
        }
    }

    /// Takes a key while the plan has decisions to accept. Returns `None` when the key is not about
    /// them.
    fn take_decision(&mut self, questions: Vec<String>, key: KeyEvent) -> Option<OverlayReply> {
        if questions.is_empty() {
            return None;
        }
        let typed = self.typed.value().to_owned();
        match key.code {
            KeyCode::Enter if questions.contains(&typed) => {
                match &mut self.request {
                    Request::Provision { options } => options.accept.push(typed),
                    Request::Repo { accept, .. } => accept.push(typed),
                    _ => return None,
                }
                let (ticket, request) = (self.ticket, self.request.clone());
                self.plan = None;
                self.typed.reset();
                Some(OverlayReply::stay().with_effect(Effect::Plan { ticket, request }))
            }
            // With nothing typed, the rest of the plan is confirmed.
            KeyCode::Enter if typed.is_empty() => None,
            KeyCode::Char(_) | KeyCode::Backspace | KeyCode::Enter => {
                self.typed.handle_event(&Event::Key(key));
                Some(OverlayReply::stay())
            }
            _ => None,
        }
    }

    fn push_changes(&self, app: &App, plan: &Plan, columns: usize, lines: &mut Vec<Line<'static>>) {
        let theme = app.theme;
        for (node, steps) in plan.steps_by_node() {
            let mut title = vec![Span::styled(clean_line(node).into_owned(), theme.title())];
            // Of a long plan only what differs is of interest.
            let short = plan.is_long();
            if short {
                let same = steps.iter().flat_map(|s| step_changes(s));
                let same = same.filter(|c| c.is_settled()).count();
                title.push(Span::styled(tr!("  {same} as they should be"), theme.dim()));
            }
            lines.push(Line::from(title));
            let mut said = Vec::new();
            for step in steps {
                for change in step_changes(step) {
                    if !short || !change.is_settled() {
                        push_change_lines(app, change, columns, lines);
                    }
                }
                match &step.check {
                    Ok(Check::Unknown(why)) => {
                        let text = tr!("  {}: {why}", step.step);
                        push_wrapped_text(lines, &text, "    ", columns, theme.dim(), app);
                    }
                    // A node that does not answer fails every check in the same words.
                    Err(why) if !said.contains(&why) => {
                        let text = tr!("! {}: {why}", step.step);
                        push_wrapped_text(lines, &text, "  ", columns, theme.removed(), app);
                        said.push(why);
                    }
                    _ => {}
                }
            }
        }
    }

    /// Adds what a plan that does not fit would hide: how much it does, and its warnings, as far as there
    /// is room for them.
    fn push_sums(
        &self,
        app: &App,
        plan: &Plan,
        size: (usize, usize),
        lines: &mut Vec<Line<'static>>,
    ) {
        if self.sent || plan.is_done() {
            return;
        }
        let (columns, height) = size;
        let theme = app.theme;
        let text = plan.summary().to_string();
        push_wrapped_text(lines, &text, "", columns, theme.title(), app);
        let warnings = plan.warnings();
        let room = (height / SCREEN_LINES_PER_WARNING).max(1);
        let shown = match warnings.len() > room {
            true => room.saturating_sub(1),
            false => warnings.len(),
        };
        for (node, warning) in &warnings[..shown] {
            let text = theme.drawable_text(&clean_line(&format!("! {node}: {warning}")));
            let text = truncate_to_width(&text, columns, theme.ellipsis()).into_owned();
            lines.push(Line::styled(text, theme.changed()));
        }
        if shown < warnings.len() {
            let text = trn!(
                warnings.len(),
                "{n} warning in all, see above",
                "{n} warnings in all, see above"
            );
            lines.push(Line::styled(text, theme.changed()));
        }
    }

    /// Adds the question as last line. Returns the hint about keys.
    fn push_question(
        &self,
        app: &App,
        plan: &Plan,
        columns: usize,
        lines: &mut Vec<Line<'static>>,
    ) -> &'static str {
        let theme = app.theme;
        if self.sent {
            lines.push(Line::raw(theme.drawable_text(tr!("starting …"))));
            return tr!("Esc back");
        }
        let undecided = acceptable_decisions(plan).is_empty();
        if let Some(reason) = plan.blocked_reason().filter(|_| undecided) {
            let text = tr!("This can't be done: {reason}");
            push_wrapped_text(lines, &text, "", columns, theme.removed(), app);
            return tr!("Esc back");
        }
        if plan.is_done() {
            lines.push(Line::raw(tr!("Nothing to do.")));
            return tr!("Esc back");
        }
        let questions = acceptable_decisions(plan);
        if !questions.is_empty() && !matches!(plan.confirm, Confirm::TypeName(_)) {
            let asked = vec![Span::raw(tr!("Type a name from above to accept it: "))];
            lines.extend(prompt_lines(app, asked, &self.typed, columns));
            return tr!("Enter goes on with the rest · Esc back");
        }
        match &plan.confirm {
            Confirm::TypeName(name) => {
                let asked = vec![
                    Span::raw(tr!("Type ")),
                    Span::styled(clean_line(name).into_owned(), theme.focus()),
                    Span::raw(tr!(" to go on: ")),
                ];
                lines.extend(prompt_lines(app, asked, &self.typed, columns));
                tr!("Enter goes on · Esc back")
            }
            Confirm::Ask | Confirm::None => {
                lines.push(Line::styled(tr!("Go on? y / n"), theme.focus()));
                tr!("y goes on · n back")
            }
        }
    }
}

impl Overlay for PlanOverlay {
    fn handle_key(&mut self, app: &mut App, key: KeyEvent) -> OverlayReply {
        let plan = match &self.plan {
            Some(Ok(plan)) => plan,
            // Letters may be those of a name that is typed before it is asked for: they must not reach what is
            // below.
            None if key.code != KeyCode::Esc => return OverlayReply::stay(),
            None => return OverlayReply::close(),
            Some(Err(_)) => match key.code {
                KeyCode::Esc | KeyCode::Enter | KeyCode::Char('q' | 'n') => {
                    return OverlayReply::close();
                }
                _ => return OverlayReply::stay(),
            },
        };
        let by_name = match &plan.confirm {
            Confirm::TypeName(name) if !plan.is_done() => Some(name.clone()),
            _ => None,
        };
        if by_name.is_none()
            && !self.sent
            && let Some(reply) = self.take_decision(acceptable_decisions(plan), key)
        {
            return reply;
        }
        let Some(Ok(plan)) = &self.plan else {
            return OverlayReply::stay();
        };
        let confirmed = match (key.code, &by_name) {
            (KeyCode::Esc, _) => return OverlayReply::close(),
            (KeyCode::Enter, Some(name)) => self.typed.value() == name,
            (code, None) if code == KeyCode::Enter || is_yes(code) => true,
            (KeyCode::Char('n' | 'q'), None) => return OverlayReply::close(),
            _ => false,
        };
        if confirmed && plan.is_done() {
            return OverlayReply::close();
        }
        if confirmed && self.reason_not_to_confirm().is_none() && !self.sent {
            let effect = Effect::Run {
                ticket: self.ticket,
                request: self.request.clone(),
                plan_hash: plan.hash(),
            };
            self.sent = true;
            app.jobs.sent.push((self.ticket, self.request.clone()));
            // What was marked for it is done.
            app.clear_marks();
            return OverlayReply::stay().with_effect(effect);
        }
        if let (KeyCode::Enter, Some(name), false) = (key.code, &by_name, confirmed) {
            let typed = clean_line(self.typed.value()).into_owned();
            let text = match typed.is_empty() {
                true => tr!("type {name} to go on"),
                false => tr!("{typed:?} is not {name:?}"),
            };
            app.show_notice(text, true);
            return OverlayReply::stay();
        }
        if by_name.is_some() && !matches!(key.code, KeyCode::Up | KeyCode::Down) {
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
        let theme = app.theme;
        let columns = usize::from(screen.width).saturating_sub(8).min(90);
        let height = usize::from(screen.height);
        let mut lines: Vec<Line> = Vec::new();
        let mut question = Vec::new();
        let mut hint = tr!("Esc back");
        match &self.plan {
            None => {
                // A node or a repository that does not answer takes until its timeout.
                let text = match app.now.as_second() - self.asked.as_second() {
                    ..3 => tr!("reading what is there …").to_owned(),
                    seconds => tr!("reading what is there, for {seconds} s …"),
                };
                lines.push(Line::raw(theme.drawable_text(&text)));
            }
            Some(Err(reason)) => {
                push_wrapped_text(&mut lines, reason, "", columns, theme.removed(), app);
            }
            Some(Ok(plan)) => {
                if self.again {
                    let text = tr!("The fleet changed meanwhile. This is the new plan:");
                    push_wrapped_text(&mut lines, text, "", columns, theme.changed(), app);
                    lines.push(Line::default());
                }
                self.push_changes(app, plan, columns, &mut lines);
                hint = self.push_question(app, plan, columns, &mut question);
                let fits = lines.len() + 1 + question.len() + 2 <= height;
                if fits || question.len() + 4 > height {
                    lines.push(Line::default());
                    lines.append(&mut question);
                } else {
                    let mut sums = Vec::new();
                    self.push_sums(app, plan, (columns, height), &mut sums);
                    question.splice(0..0, sums);
                }
            }
        }
        let below = question.len().min(height.saturating_sub(3));
        let page = height.saturating_sub(2 + below).max(1);
        let seen = (self.drawn.top, page);
        let hint = format_scroll_hint(lines.len(), seen, self.takes_text(), hint);
        let hint = add_help_hint(app, &hint, self.takes_text());
        let size = (columns as u16, (lines.len() + below) as u16);
        let area = draw_own_window(app, frame, screen, &self.request.title(), &hint, size);
        // The question stays in sight when not everything fits.
        let body = Rect {
            height: area.height.saturating_sub(below as u16),
            ..area
        };
        for (line, y) in question.iter().zip(body.bottom()..area.bottom()) {
            draw_line(frame.buffer_mut(), row_at(area, y), line, theme);
        }
        draw_scrolled(app, frame, body, &lines, self.drawn.top)
    }

    fn take_layout(&mut self, drawn: ScrollLayout) {
        self.drawn = drawn;
    }

    fn ticket(&self) -> Option<Ticket> {
        Some(self.ticket)
    }

    fn take_answer(&mut self, answer: OverlayAnswer) {
        let OverlayAnswer::Plan(plan) = answer else {
            return;
        };
        self.again = self.sent;
        self.sent = false;
        self.typed.reset();
        self.plan = Some(plan);
    }

    fn takes_text(&self) -> bool {
        let Some(Ok(plan)) = &self.plan else {
            return false;
        };
        let by_name = matches!(plan.confirm, Confirm::TypeName(_)) && !plan.is_done();
        by_name || !acceptable_decisions(plan).is_empty()
    }

    fn shows_plan_of(&self, request: &Request) -> bool {
        self.request == *request
    }
}

pub(super) fn step_changes(step: &StepPlan) -> &[Change] {
    match &step.check {
        Ok(Check::Done(changes) | Check::Change(changes)) => changes,
        _ => &[],
    }
}

/// Returns the names that can be typed to accept a decision.
fn acceptable_decisions(plan: &Plan) -> Vec<String> {
    let accept = plan.open_questions().filter_map(|(_, c)| c.accept.clone());
    accept.collect()
}

pub(super) fn push_change_lines(
    app: &App,
    change: &Change,
    columns: usize,
    lines: &mut Vec<Line<'static>>,
) {
    let theme = app.theme;
    let style = match change.kind {
        ChangeKind::Same if change.is_settled() => theme.dim(),
        ChangeKind::Add => theme.added(),
        ChangeKind::Modify | ChangeKind::Same => theme.changed(),
        ChangeKind::Remove | ChangeKind::Decide => theme.removed(),
    };
    let mut text = format!("{} {}", change.line_sign(), change.what);
    match (&change.old, &change.new) {
        (Some(old), Some(new)) => text += &format!(": {old} {} {new}", theme.arrow()),
        (None, Some(only)) | (Some(only), None) => text += &format!(": {only}"),
        (None, None) => {}
    }
    push_wrapped_text(lines, &text, "  ", columns, style, app);
    if let Some(warning) = &change.warning {
        push_wrapped_text(
            lines,
            &format!("    ! {warning}"),
            "      ",
            columns,
            theme.changed(),
            app,
        );
    }
}

/// Adds a text, wrapped; lines after the first of each paragraph are indented.
pub(super) fn push_wrapped_text(
    lines: &mut Vec<Line<'static>>,
    text: &str,
    indent: &str,
    columns: usize,
    style: Style,
    app: &App,
) {
    for paragraph in text.lines() {
        let paragraph = app.theme.drawable_text(&clean_line(paragraph));
        for (i, line) in wrap_text(&paragraph, columns.saturating_sub(indent.len()))
            .into_iter()
            .enumerate()
        {
            let lead = if i == 0 { "" } else { indent };
            lines.push(Line::styled(format!("{lead}{line}"), style));
        }
    }
}

/// Opens the plan of a request. Returns what is asked for it.
pub(crate) fn open_plan(app: &mut App, request: Request) -> Vec<Effect> {
    let (view, effect) = PlanOverlay::open(app, request);
    app.open_overlay(view);
    vec![effect]
}

/// Shows the plan of a request instead.
pub(super) fn reply_with_plan(app: &mut App, request: Request) -> OverlayReply {
    let (plan, effect) = PlanOverlay::open(app, request);
    OverlayReply::replace(plan).with_effect(effect)
}
