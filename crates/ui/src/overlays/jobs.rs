//! Running and past jobs with their output.

use crossterm::event::{KeyCode, KeyEvent};
use ratatui::Frame;
use ratatui::layout::Rect;
use ratatui::style::Style;
use ratatui::text::{Line, Span};

use super::plan::reply_with_plan;
use super::{CommandOverlay, FormOverlay, draw_choices, draw_scrolled, draw_window, move_by_key};
use crate::follow::{Following, NumberedLines};
use crate::jobs::{JobView, JobWork, StepState};
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
        JobOutcome::Done { changed: 0 } => (theme.added(), "nothing to do".to_owned()),
        JobOutcome::Done { .. } => {
            let seconds = job.elapsed_seconds(app.now);
            (theme.added(), format!("done in {seconds} s"))
        }
        JobOutcome::Failed { reason } => (theme.removed(), format!("failed: {reason}")),
        JobOutcome::Cancelled => (theme.changed(), "cancelled".to_owned()),
    }
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
        let size = (72, app.jobs.all.len().max(3) as u16);
        let hint = "Enter output · c cancel · R run again · E edit · Esc back";
        let title = match app.jobs.queued.len() {
            0 => "Jobs".to_owned(),
            n => format!("Jobs, {n} waiting"),
        };
        let area = draw_window(app, frame, screen, &title, hint, size);
        if app.jobs.all.is_empty() {
            let text = "No job was started from this console yet.";
            frame
                .buffer_mut()
                .set_line(area.x, area.y, &Line::raw(text), area.width);
            return selected;
        }
        let lines = app
            .jobs
            .all
            .iter()
            .map(|job| {
                let health = job_health(job);
                let title = theme.drawable_text(&clean_line(&job.title()));
                Line::from(vec![
                    Span::styled(theme.health_glyph(health), theme.health_style(health)),
                    Span::raw(format!(" {} ", fit_to_width(&title, 40, theme.ellipsis()))),
                    Span::styled(
                        fit_to_width(job.state_word(), 14, ""),
                        theme.health_style(health),
                    ),
                    Span::styled(format!("{} s", job.elapsed_seconds(app.now)), theme.dim()),
                ])
            })
            .collect();
        draw_choices(app, frame, area, lines, selected.top);
        selected
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
        let mut lines: Vec<Line> = Vec::new();
        for step in &job.steps {
            let (health, word) = match step.state {
                StepState::Running => (Health::Partly, "running"),
                StepState::Done { changed: true } => (Health::Good, "changed"),
                StepState::Done { changed: false } => (Health::Good, "as it should be"),
                StepState::Failed => (Health::Bad, "failed"),
            };
            lines.push(Line::from(vec![
                Span::styled(theme.health_glyph(health), theme.health_style(health)),
                Span::raw(format!(
                    " {} {} ",
                    fit_to_width(&clean_line(&step.node), 14, theme.ellipsis()),
                    fit_to_width(&clean_line(&step.step), 16, theme.ellipsis())
                )),
                Span::styled(word, theme.health_style(health)),
            ]));
        }
        if !lines.is_empty() {
            lines.push(Line::default());
        }
        if lines.is_empty() && job.lines.is_empty() && job.outcome.is_none() {
            let seconds = job.elapsed_seconds(app.now);
            let text = format!("running for {seconds} s; nothing is printed yet");
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
            (None, false) => "c cancel · Esc back, the job goes on",
            (None, true) => "paused, f follows · c cancel · Esc back, the job goes on",
            (Some(_), _) => "R run again · Esc back",
        };
        let size = (columns as u16, (lines.len() as u16).max(8));
        let area = draw_window(app, frame, screen, &job.title(), hint, size);
        // The end is followed.
        let top = self.following.top(&OutputLines(lines.len()), 0);
        draw_scrolled(frame, area, &lines, top)
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
                        app.show_notice("this job came from no form: R runs it again", false);
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
