//! Newer versions of an application's images: choose one, or deploy it again as it is.

use crossterm::event::{KeyCode, KeyEvent};
use ratatui::Frame;
use ratatui::layout::Rect;
use ratatui::text::{Line, Span};

use super::{Overlay, PlanView, Reply, choices, moved, window};
use crate::ops::{Request, ServiceVersions};
use crate::registry::Step;
use crate::text::{clean, fit};
use crate::ui::msg::{Effect, Ticket};
use crate::ui::state::App;

/// One line of the list.
enum Choice {
    /// As its file says.
    Again,
    /// A service's image, which is no choice.
    Image {
        service: usize,
    },
    /// Why nothing is known of it, or that it is the newest.
    Said {
        text: String,
    },
    Version {
        service: usize,
        version: usize,
    },
}

pub(in crate::ui) struct Versions {
    pub ticket: Ticket,
    app: String,
    /// `None` while the registries are asked.
    found: Option<Result<Vec<ServiceVersions>, String>>,
    at: usize,
}

impl Versions {
    /// Opens the list and asks the registries.
    pub(in crate::ui) fn ask(app: &mut App, name: String) -> (Self, Effect) {
        let ticket = app.ticket();
        let view = Self {
            ticket,
            app: name.clone(),
            found: None,
            at: 0,
        };
        (view, Effect::Newer { ticket, app: name })
    }

    pub(in crate::ui) fn take(&mut self, found: Result<Vec<ServiceVersions>, String>) {
        self.found = Some(found);
    }

    fn choices(&self) -> Vec<Choice> {
        let mut out = vec![Choice::Again];
        let Some(Ok(all)) = &self.found else {
            return out;
        };
        for (service, found) in all.iter().enumerate() {
            out.push(Choice::Image { service });
            match &found.newer {
                Err(reason) => out.push(Choice::Said {
                    text: reason.clone(),
                }),
                Ok(newer) if newer.is_empty() => out.push(Choice::Said {
                    text: "nothing newer of this kind".into(),
                }),
                Ok(newer) => {
                    let versions = 0..newer.len();
                    out.extend(versions.map(|version| Choice::Version { service, version }));
                }
            }
        }
        out
    }

    fn request(&self, choice: &Choice) -> Option<Request> {
        match (choice, &self.found) {
            (Choice::Again, _) => Some(Request::redeploy(self.app.clone())),
            (Choice::Version { service, version }, Some(Ok(all))) => {
                let found = all.get(*service)?;
                let newer = found.newer.as_ref().ok()?.get(*version)?;
                let image = found.with(&newer.tag)?;
                Some(Request::Update {
                    app: self.app.clone(),
                    images: [(found.service.clone(), image)].into(),
                })
            }
            _ => None,
        }
    }

    pub(super) fn key(&mut self, app: &mut App, key: KeyEvent) -> Reply {
        let all = self.choices();
        match key.code {
            KeyCode::Esc | KeyCode::Char('q') => return Reply::close(),
            KeyCode::Enter => {
                if let Some(request) = all.get(self.at).and_then(|c| self.request(c)) {
                    let (plan, effect) = PlanView::ask(app, request);
                    return Reply::replace(Overlay::Plan(plan)).with(effect);
                }
            }
            _ => {
                moved(key, &mut self.at, all.len(), 10);
            }
        }
        Reply::stay()
    }

    pub(super) fn draw(&mut self, app: &App, frame: &mut Frame, screen: Rect) {
        let theme = app.theme;
        let all = self.choices();
        let found = match &self.found {
            Some(Ok(found)) => found.as_slice(),
            _ => &[],
        };
        let mut lines: Vec<Line> = all
            .iter()
            .map(|choice| match choice {
                Choice::Again => Line::raw(format!(
                    "deploy it again, as apps/{}.toml says",
                    theme.text(&clean(&self.app))
                )),
                Choice::Image { service } => {
                    let service = &found[*service];
                    let text = format!("{}  {}", service.service, service.image);
                    Line::styled(theme.text(&clean(&text)), theme.title())
                }
                Choice::Said { text } => {
                    Line::styled(format!("  {}", theme.text(&clean(text))), theme.dim())
                }
                Choice::Version { service, version } => {
                    let newer = found[*service].newer.as_deref().unwrap_or_default();
                    let newer = &newer[*version];
                    let tag = fit(&theme.text(&clean(&newer.tag)), 28, theme.ellipsis());
                    let style = match newer.step {
                        Step::Major => theme.changed(),
                        _ => theme.dim(),
                    };
                    let said = match newer.step {
                        Step::Major => "major: read its notes, back up first",
                        other => other.word(),
                    };
                    Line::from(vec![
                        Span::raw(format!("  {tag} ")),
                        Span::styled(said, style),
                    ])
                }
            })
            .collect();
        match &self.found {
            None => lines.push(Line::styled(
                theme.text("asking the registries for newer versions …"),
                theme.dim(),
            )),
            Some(Err(reason)) => {
                lines.push(Line::styled(theme.text(&clean(reason)), theme.removed()));
            }
            Some(Ok(_)) => {}
        }
        let title = format!("Update {}", self.app);
        let size = (74, lines.len() as u16);
        let hint = "Enter shows the plan · Esc back";
        let area = window(app, frame, screen, &title, hint, size);
        choices(app, frame, area, lines, self.at);
    }
}
