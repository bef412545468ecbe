//! A plan: what a job would change, shown like a diff and confirmed.

use crossterm::event::{Event, KeyCode, KeyEvent};
use jiff::Timestamp;
use ratatui::Frame;
use ratatui::layout::Rect;
use ratatui::style::Style;
use ratatui::text::{Line, Span};
use tui_input::Input;
use tui_input::backend::crossterm::EventHandler;

use super::{Reply, moved, scrolled, typed, window};
use crate::job::{Change, ChangeKind, Check, Confirm, Plan, StepPlan};
use crate::ops::Request;
use crate::text::clean;
use crate::ui::msg::{Effect, Ticket};
use crate::ui::panes::wrap;
use crate::ui::state::App;

/// Lines of a plan that are all shown; of a longer one only those that differ.
const SHORT: usize = 24;

pub(in crate::ui) struct PlanView {
    pub ticket: Ticket,
    request: Request,
    asked: Timestamp,
    /// `None` while it is being made.
    plan: Option<Result<Plan, String>>,
    /// It was made anew because the fleet had changed.
    again: bool,
    /// It was confirmed; the job starts.
    sent: bool,
    typed: Input,
    top: usize,
    lines: usize,
    height: usize,
}

impl PlanView {
    /// Opens the view and asks for the plan.
    pub(in crate::ui) fn ask(app: &mut App, request: Request) -> (Self, Effect) {
        let ticket = app.ticket();
        let view = Self {
            ticket,
            request: request.clone(),
            asked: app.now,
            plan: None,
            again: false,
            sent: false,
            typed: Input::default(),
            top: 0,
            lines: 0,
            height: 0,
        };
        (view, Effect::Plan { ticket, request })
    }

    pub(in crate::ui) fn take(&mut self, plan: Result<Plan, String>) {
        self.again = self.sent;
        self.sent = false;
        self.typed.reset();
        self.plan = Some(plan);
    }

    pub(in crate::ui) fn request(&self) -> &Request {
        &self.request
    }

    /// Why it can't be confirmed now, if it can't.
    fn hindrance(&self) -> Option<String> {
        match &self.plan {
            None => Some("the plan is being made".into()),
            Some(Err(reason)) => Some(reason.clone()),
            Some(Ok(plan)) => plan.blocked(),
        }
    }

    pub(super) fn key(&mut self, _: &mut App, key: KeyEvent) -> Reply {
        let plan = match &self.plan {
            Some(Ok(plan)) => plan,
            _ if matches!(key.code, KeyCode::Esc | KeyCode::Char('q' | 'n')) => {
                return Reply::close();
            }
            _ => return Reply::stay(),
        };
        let by_name = match &plan.confirm {
            Confirm::TypeName(name) if !plan.is_done() => Some(name.clone()),
            _ => None,
        };
        if by_name.is_none()
            && let Some(reply) = self.decide(plan_questions(plan), key)
        {
            return reply;
        }
        let Some(Ok(plan)) = &self.plan else {
            return Reply::stay();
        };
        let confirmed = match (key.code, &by_name) {
            (KeyCode::Esc, _) => return Reply::close(),
            (KeyCode::Enter, Some(name)) => self.typed.value() == name,
            (KeyCode::Enter | KeyCode::Char('y'), None) => true,
            (KeyCode::Char('n' | 'q'), None) => return Reply::close(),
            _ => false,
        };
        if confirmed && plan.is_done() {
            return Reply::close();
        }
        if confirmed && self.hindrance().is_none() && !self.sent {
            let effect = Effect::Run {
                ticket: self.ticket,
                request: self.request.clone(),
                plan_hash: plan.hash(),
            };
            self.sent = true;
            return Reply::stay().with(effect);
        }
        if by_name.is_some() && !matches!(key.code, KeyCode::Up | KeyCode::Down) {
            self.typed.handle_event(&Event::Key(key));
        } else {
            let lines = (self.lines + 1).saturating_sub(self.height);
            moved(key, &mut self.top, lines, self.height);
        }
        Reply::stay()
    }

    /// Takes a decision that is typed; `None` when the key is none of its business.
    fn decide(&mut self, questions: Vec<String>, key: KeyEvent) -> Option<Reply> {
        if questions.is_empty() {
            return None;
        }
        let typed = self.typed.value().to_owned();
        match key.code {
            KeyCode::Enter if questions.contains(&typed) => {
                let Request::Provision { options } = &mut self.request else {
                    return None;
                };
                options.accept.push(typed);
                let (ticket, request) = (self.ticket, self.request.clone());
                self.plan = None;
                self.typed.reset();
                Some(Reply::stay().with(Effect::Plan { ticket, request }))
            }
            // Without an answer it goes on with the rest.
            KeyCode::Enter if typed.is_empty() => None,
            KeyCode::Char(_) | KeyCode::Backspace | KeyCode::Enter => {
                self.typed.handle_event(&Event::Key(key));
                Some(Reply::stay())
            }
            _ => None,
        }
    }

    pub(super) fn draw(&mut self, app: &App, frame: &mut Frame, screen: Rect) {
        let theme = app.theme;
        let columns = usize::from(screen.width).saturating_sub(8).min(90);
        let mut lines: Vec<Line> = Vec::new();
        let mut hint = "Esc back";
        match &self.plan {
            None => {
                // A node or a repository that does not answer is waited for.
                let text = match app.now.as_second() - self.asked.as_second() {
                    ..3 => "reading what is there …".to_owned(),
                    seconds => format!("reading what is there, for {seconds} s …"),
                };
                lines.push(Line::raw(theme.text(&text)));
            }
            Some(Err(reason)) => push(&mut lines, reason, "", columns, theme.removed(), app),
            Some(Ok(plan)) => {
                if self.again {
                    let text = "The fleet changed meanwhile. This is the new plan:";
                    push(&mut lines, text, "", columns, theme.changed(), app);
                    lines.push(Line::default());
                }
                self.changes(app, plan, columns, &mut lines);
                lines.push(Line::default());
                hint = self.question(app, plan, columns, &mut lines);
            }
        }
        let size = (columns as u16, lines.len() as u16);
        let area = window(app, frame, screen, &self.request.title(), hint, size);
        self.lines = lines.len();
        self.height = area.height.into();
        // The question at the end is what matters when not everything fits.
        self.top = scrolled(frame, area, &lines, self.top);
        if self.lines > self.height
            && let Some(last) = lines.last()
        {
            let y = area.bottom() - 1;
            frame.buffer_mut().set_stringn(
                area.x,
                y,
                " ".repeat(area.width.into()),
                area.width.into(),
                Style::new(),
            );
            frame.buffer_mut().set_line(area.x, y, last, area.width);
        }
    }

    fn changes(&self, app: &App, plan: &Plan, columns: usize, lines: &mut Vec<Line<'static>>) {
        let theme = app.theme;
        let all = plan.changes().count();
        for (node, steps) in plan.by_node() {
            let mut title = vec![Span::styled(clean(node).into_owned(), theme.title())];
            // Of a long plan only what differs is of interest.
            let short = all > SHORT;
            if short {
                let same = steps.iter().flat_map(|s| lines_of(s));
                let same = same.filter(|c| c.kind == ChangeKind::Same).count();
                title.push(Span::styled(
                    format!("  {same} as they should be"),
                    theme.dim(),
                ));
            }
            lines.push(Line::from(title));
            let mut said = Vec::new();
            for step in steps {
                for change in lines_of(step) {
                    if !short || change.kind != ChangeKind::Same || change.warning.is_some() {
                        change_lines(app, change, columns, lines);
                    }
                }
                match &step.check {
                    Ok(Check::Unknown(why)) => {
                        let text = format!("  {}: {why}", step.step);
                        push(lines, &text, "    ", columns, theme.dim(), app);
                    }
                    // A node that does not answer fails every check in the same words.
                    Err(why) if !said.contains(&why) => {
                        let text = format!("! {}: {why}", step.step);
                        push(lines, &text, "  ", columns, theme.removed(), app);
                        said.push(why);
                    }
                    _ => {}
                }
            }
        }
    }

    /// The question, as last line; answers with the hint about keys.
    fn question(
        &self,
        app: &App,
        plan: &Plan,
        columns: usize,
        lines: &mut Vec<Line<'static>>,
    ) -> &'static str {
        let theme = app.theme;
        if self.sent {
            lines.push(Line::raw(theme.text("starting …")));
            return "Esc back";
        }
        let undecided = plan_questions(plan).is_empty();
        if let Some(reason) = plan.blocked().filter(|_| undecided) {
            let text = format!("This can't be done: {reason}");
            push(lines, &text, "", columns, theme.removed(), app);
            return "Esc back";
        }
        if plan.is_done() {
            lines.push(Line::raw("Nothing to do."));
            return "Esc back";
        }
        let questions = plan_questions(plan);
        if !questions.is_empty() && !matches!(plan.confirm, Confirm::TypeName(_)) {
            let mut spans = vec![Span::raw("Type a name from above to accept it: ")];
            spans.extend(typed(app, &self.typed, true));
            lines.push(Line::from(spans));
            return "Enter goes on with the rest · Esc back";
        }
        match &plan.confirm {
            Confirm::TypeName(name) => {
                let mut spans = vec![
                    Span::raw("Type "),
                    Span::styled(clean(name).into_owned(), theme.focus()),
                    Span::raw(" to go on: "),
                ];
                spans.extend(typed(app, &self.typed, true));
                lines.push(Line::from(spans));
                "Enter goes on · Esc back"
            }
            Confirm::Ask | Confirm::None => {
                lines.push(Line::styled("Go on? y / n", theme.focus()));
                "y goes on · n back"
            }
        }
    }
}

fn lines_of(step: &StepPlan) -> &[Change] {
    match &step.check {
        Ok(Check::Done(changes) | Check::Change(changes)) => changes,
        _ => &[],
    }
}

/// What can be typed to accept a decision.
fn plan_questions(plan: &Plan) -> Vec<String> {
    let accept = plan.questions().filter_map(|(_, c)| c.accept.clone());
    accept.collect()
}

fn change_lines(app: &App, change: &Change, columns: usize, lines: &mut Vec<Line<'static>>) {
    let theme = app.theme;
    let style = match change.kind {
        ChangeKind::Same => theme.dim(),
        ChangeKind::Add => theme.added(),
        ChangeKind::Modify => theme.changed(),
        ChangeKind::Remove | ChangeKind::Decide => theme.removed(),
    };
    let mut text = format!("{} {}", change.kind.sign(), change.what);
    match (&change.old, &change.new) {
        (Some(old), Some(new)) => text += &format!(": {old} {} {new}", theme.arrow()),
        (None, Some(only)) | (Some(only), None) => text += &format!(": {only}"),
        (None, None) => {}
    }
    push(lines, &text, "  ", columns, style, app);
    if let Some(warning) = &change.warning {
        push(
            lines,
            &format!("    {warning}"),
            "    ",
            columns,
            theme.changed(),
            app,
        );
    }
}

/// Adds a text, wrapped, with what follows its first line indented.
fn push(
    lines: &mut Vec<Line<'static>>,
    text: &str,
    indent: &str,
    columns: usize,
    style: Style,
    app: &App,
) {
    for paragraph in text.lines() {
        let paragraph = app.theme.text(&clean(paragraph));
        for (i, line) in wrap(&paragraph, columns.saturating_sub(indent.len()))
            .into_iter()
            .enumerate()
        {
            let lead = if i == 0 { "" } else { indent };
            lines.push(Line::styled(format!("{lead}{line}"), style));
        }
    }
}
