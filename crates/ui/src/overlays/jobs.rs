//! Running and past jobs with their output.

use crossterm::event::{KeyCode, KeyEvent};
use matou_i18n::tr;
use ratatui::Frame;
use ratatui::layout::Rect;
use ratatui::style::Style;
use ratatui::text::{Line, Span};

use super::plan::reply_with_plan;
use super::{
    CommandOverlay, FormOverlay, draw_choices, draw_scrolled, draw_window, move_by_key, widest,
};
use crate::follow::{Following, NumberedLines};
use crate::jobs::{JobView, JobWork, StepState, StepView};
use crate::layout::ScrollLayout;
use crate::msg::Effect;
use crate::overlay::{Overlay, OverlayReply};
use crate::panes::wrap_text;
use crate::state::App;
use crate::theme::Health;
use matou_base::text::{clean_line, fit_to_width};
use matou_job::{JobId, JobOutcome, OutputStream};

#[derive(Default)]
pub(crate) struct JobsOverlay {
    /// The selected job; `None`: the newest.
    selected: Option<JobId>,
    /// The job whose output is shown.
    output: Option<JobId>,
    /// It was opened on a job's output: going back closes the overlay.
    direct: bool,
    following: Following,
    /// What was visible of the output when it was drawn last.
    drawn: ScrollLayout,
}

/// Columns of a job's line beside its title: marks, state and seconds.
const BESIDE_TITLE: usize = 30;

/// How many lines the output has, as they were drawn. Of a very long one the oldest go.
struct OutputLines(usize);

impl NumberedLines for OutputLines {
    fn count(&self) -> usize {
        self.0
    }

    fn number_at(&self, place: usize) -> u64 {
        place as u64
    }

    fn place_of(&self, number: u64) -> usize {
        usize::try_from(number).map_or(self.0, |n| n.min(self.0))
    }
}

/// How a job ended, and in which style that is said.
fn describe_outcome(app: &App, job: &JobView, outcome: &JobOutcome) -> (Style, String) {
    let theme = app.theme;
    match outcome {
        JobOutcome::Done { changed: 0 } => (theme.added(), tr!("nothing to do").to_owned()),
        JobOutcome::Done { .. } => {
            let seconds = job.elapsed_seconds(app.now);
            (theme.added(), tr!("done in {seconds} s"))
        }
        JobOutcome::Failed { reason } => (theme.removed(), tr!("failed: {reason}")),
        JobOutcome::Cancelled => (theme.changed(), tr!("cancelled").to_owned()),
    }
}

/// What a step came to, in few words.
fn describe_step(state: StepState) -> (Health, &'static str) {
    match state {
        StepState::Running => (Health::Partly, tr!("running")),
        StepState::Done { changed: true } => (Health::Good, tr!("changed")),
        StepState::Done { changed: false } => (Health::Good, tr!("as it should be")),
        StepState::Failed => (Health::Bad, tr!("failed")),
    }
}

/// A line a step. Node and step have the columns that they need, as far as there are so many.
fn step_lines(app: &App, steps: &[StepView], columns: usize) -> Vec<Line<'static>> {
    let theme = app.theme;
    let shown = |text: &str| theme.drawable_text(&clean_line(text));
    let clean: Vec<(String, String)> = steps
        .iter()
        .map(|s| (shown(&s.node), shown(&s.step)))
        .collect();
    let word = widest(steps.iter().map(|s| describe_step(s.state).1));
    let node = widest(clean.iter().map(|(node, _)| node.as_str())).clamp(14, 24);
    let room = columns.saturating_sub(node + word + 4);
    let name = widest(clean.iter().map(|(_, step)| step.as_str())).clamp(16, room.max(16));
    let lines = steps.iter().zip(&clean).map(|(step, (on, what))| {
        let (health, word) = describe_step(step.state);
        Line::from(vec![
            Span::styled(theme.health_glyph(health), theme.health_style(health)),
            Span::raw(format!(
                " {} {} ",
                fit_to_width(on, node, theme.ellipsis()),
                fit_to_width(what, name, theme.ellipsis())
            )),
            Span::styled(word, theme.health_style(health)),
        ])
    });
    lines.collect()
}

impl JobsOverlay {
    /// The output of one job.
    pub(crate) fn for_job(job: JobId) -> Self {
        Self {
            output: Some(job),
            direct: true,
            ..Self::default()
        }
    }

    fn chosen_job(&self, app: &App) -> Option<JobId> {
        self.output
            .or_else(|| app.jobs.all.get(self.place(app)).map(|j| j.id))
    }

    /// Returns where the selected job is in the list.
    fn place(&self, app: &App) -> usize {
        let at = app
            .jobs
            .all
            .iter()
            .position(|j| Some(j.id) == self.selected);
        at.unwrap_or(0)
    }

    fn draw_list(&self, app: &App, frame: &mut Frame, screen: Rect) -> ScrollLayout {
        let theme = app.theme;
        let selected = ScrollLayout {
            top: self.place(app),
            ..ScrollLayout::default()
        };
        let titles: Vec<String> = (app.jobs.all.iter())
            .map(|job| theme.drawable_text(&clean_line(&job.title())))
            .collect();
        let columns = widest(titles.iter().map(String::as_str)) + BESIDE_TITLE;
        let columns = u16::try_from(columns).unwrap_or(u16::MAX).clamp(72, 120);
        let size = (columns, app.jobs.all.len().max(3) as u16);
        let hint = tr!("Enter output · c cancel · R run again · E edit · Esc back");
        let title = match app.jobs.queued.len() {
            0 => tr!("Jobs").to_owned(),
            n => tr!("Jobs, {n} waiting"),
        };
        let area = draw_window(app, frame, screen, &title, hint, size);
        if app.jobs.all.is_empty() {
            let text = tr!("No job was started from this console yet.");
            let wrapped = wrap_text(text, area.width.into()).into_iter();
            let lines: Vec<Line> = wrapped.map(Line::raw).collect();
            draw_scrolled(app, frame, area, &lines, 0);
            return selected;
        }
        let room = usize::from(area.width).saturating_sub(BESIDE_TITLE).max(10);
        let lines = app
            .jobs
            .all
            .iter()
            .zip(&titles)
            .map(|(job, title)| {
                let health = job_health(job);
                let title = fit_to_width(title, room, theme.ellipsis());
                Line::from(vec![
                    Span::styled(theme.health_glyph(health), theme.health_style(health)),
                    Span::raw(format!(" {title} ")),
                    Span::styled(
                        fit_to_width(job.state_word(), 14, ""),
                        theme.health_style(health),
                    ),
                    Span::styled(format!("{} s", job.elapsed_seconds(app.now)), theme.dim()),
                ])
            })
            .collect();
        let choices = draw_choices(app, frame, area, lines, selected.top);
        ScrollLayout {
            choices: Some(choices),
            ..selected
        }
    }

    fn draw_output(
        &self,
        app: &App,
        job: &JobView,
        frame: &mut Frame,
        screen: Rect,
    ) -> ScrollLayout {
        let theme = app.theme;
        let columns = usize::from(screen.width).saturating_sub(8).min(120);
        let mut lines = step_lines(app, &job.steps, columns);
        if !lines.is_empty() {
            lines.push(Line::default());
        }
        if lines.is_empty() && job.lines.is_empty() && job.outcome.is_none() {
            let seconds = job.elapsed_seconds(app.now);
            let text = tr!("running for {seconds} s; nothing is printed yet");
            lines.push(Line::styled(text, theme.dim()));
        }
        for (stream, text) in &job.lines {
            let style = match stream {
                OutputStream::Stderr => theme.changed(),
                OutputStream::Note => theme.dim(),
                OutputStream::Stdout => Style::new(),
            };
            let text = theme.drawable_text(&clean_line(text));
            lines.extend(
                wrap_text(&text, columns)
                    .into_iter()
                    .map(|l| Line::styled(l, style)),
            );
        }
        if let Some(outcome) = &job.outcome {
            if !lines.is_empty() {
                lines.push(Line::default());
            }
            let (style, text) = describe_outcome(app, job, outcome);
            for line in text.lines() {
                let line = theme.drawable_text(&clean_line(line));
                lines.extend(
                    wrap_text(&line, columns)
                        .into_iter()
                        .map(|l| Line::styled(l, style)),
                );
            }
        }
        let hint = match (&job.outcome, self.following.is_paused()) {
            (None, false) => tr!("c cancel · Esc back, the job goes on"),
            (None, true) => tr!("paused, f follows · c cancel · Esc back, the job goes on"),
            (Some(_), _) => tr!("R run again · Esc back"),
        };
        // As high as there is room above the job's line, from the beginning: a box that grows is hard to read.
        let size = (columns as u16, screen.height.saturating_sub(5));
        let title = match job.step_text() {
            Some(step) => format!("{}, {step}", job.title()),
            None => job.title(),
        };
        let area = draw_window(app, frame, screen, &title, hint, size);
        // The end is followed.
        let top = self.following.top(&OutputLines(lines.len()), 0);
        draw_scrolled(app, frame, area, &lines, top)
    }
}

impl Overlay for JobsOverlay {
    fn handle_key(&mut self, app: &mut App, key: KeyEvent) -> OverlayReply {
        let chosen = self.chosen_job(app).and_then(|id| app.jobs.get(id));
        match key.code {
            KeyCode::Esc | KeyCode::Char('q') | KeyCode::Left => {
                if self.output.take().is_none() || self.direct {
                    return OverlayReply::close();
                }
            }
            KeyCode::Char('J') => return OverlayReply::close(),
            KeyCode::Enter | KeyCode::Right if self.output.is_none() => {
                self.output = chosen.map(|j| j.id);
                self.following.follow();
            }
            KeyCode::Char('c') => {
                if let Some(job) = chosen.filter(|j| j.outcome.is_none()) {
                    return OverlayReply::stay().with_effect(Effect::CancelJob(job.id));
                }
            }
            KeyCode::Char('E') => {
                let ended = chosen.filter(|j| j.outcome.is_some());
                let request = ended.and_then(|j| j.request().cloned());
                match request.map(|r| FormOverlay::for_request(app, &r)) {
                    Some(Some(form)) => {
                        let mut reply = OverlayReply::stay();
                        reply.open = Some(Box::new(form));
                        return reply;
                    }
                    Some(None) => {
                        app.show_notice(tr!("this job came from no form: R runs it again"), false);
                    }
                    None => {}
                }
            }
            KeyCode::Char('R') => {
                let ended = chosen.filter(|j| j.outcome.is_some());
                match ended.map(|j| j.work.clone()) {
                    Some(JobWork::Request(request)) => return reply_with_plan(app, request),
                    Some(JobWork::Command(call)) => {
                        return OverlayReply::replace(CommandOverlay::new(call));
                    }
                    None => {}
                }
            }
            _ if self.output.is_some() => {
                let (lines, height) = (OutputLines(self.drawn.lines), self.drawn.height);
                let last = lines.0.saturating_sub(height);
                let top = self.following.top(&lines, height).min(last);
                self.following.handle_key(&lines, top, height, key);
            }
            _ => {
                let mut at = self.place(app);
                move_by_key(key, &mut at, app.jobs.all.len(), 10);
                self.selected = app.jobs.all.get(at).map(|j| j.id);
            }
        }
        OverlayReply::stay()
    }

    fn draw(&self, app: &App, frame: &mut Frame, screen: Rect) -> ScrollLayout {
        match self.output.and_then(|id| app.jobs.get(id)) {
            Some(job) => self.draw_output(app, job, frame, screen),
            None => self.draw_list(app, frame, screen),
        }
    }

    /// Takes what was visible: of the output, or the selected job.
    fn take_layout(&mut self, drawn: ScrollLayout) {
        self.drawn = drawn;
    }
}

/// Returns the health that shows a job's state.
pub(crate) fn job_health(job: &JobView) -> Health {
    match &job.outcome {
        None => Health::Partly,
        Some(JobOutcome::Done { .. }) => Health::Good,
        Some(JobOutcome::Failed { .. }) => Health::Bad,
        Some(JobOutcome::Cancelled) => Health::Unknown,
    }
}
