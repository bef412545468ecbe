//! Newer versions of an application's images: choose one, or deploy it again as it is.

use crossterm::event::{KeyCode, KeyEvent};
use jiff::Timestamp;
use matou_i18n::tr;
use ratatui::Frame;
use ratatui::layout::Rect;
use ratatui::text::{Line, Span};

use super::plan::reply_with_plan;
use super::{draw_choices, draw_window, move_by_key};
use crate::layout::ScrollLayout;
use crate::msg::{Effect, Ticket};
use crate::overlay::{Overlay, OverlayAnswer, OverlayReply};
use crate::state::App;
use matou_base::text::SafeText;
use matou_base::text::{clean_line, fit_to_width};
use matou_ops::{FoundVersions, Request};
use matou_registry::VersionStep;
use matou_stack::{AppName, find_release_line};

/// One line of the list.
enum VersionChoice {
    /// Deploy the application again as its file says.
    Again,
    /// Let the application update itself.
    Itself,
    /// The heading of a service with its image; can't be chosen.
    Image {
        service: usize,
    },
    /// Says why nothing is known of an image, or that it is the newest.
    Note {
        text: String,
    },
    Version {
        service: usize,
        version: usize,
    },
}

pub(crate) struct VersionsOverlay {
    pub ticket: Ticket,
    app: AppName,
    /// `None` while the registries are asked.
    found: Option<Result<FoundVersions, SafeText>>,
    at: usize,
    /// When it was opened.
    opened: Timestamp,
}

impl VersionsOverlay {
    /// Opens the list and asks the registries.
    pub(crate) fn open(app: &mut App, name: AppName) -> (Self, Effect) {
        let ticket = app.issue_ticket();
        let view = Self {
            ticket,
            app: name.clone(),
            found: None,
            at: 0,
            opened: app.now,
        };
        let app = name.into();
        (view, Effect::FindNewerVersions { ticket, app })
    }

    pub(crate) fn take_versions(&mut self, found: Result<FoundVersions, SafeText>) {
        self.found = Some(found);
    }

    fn list_choices(&self) -> Vec<VersionChoice> {
        let mut out = vec![VersionChoice::Again];
        let Some(Ok(all)) = &self.found else {
            return out;
        };
        match &all.own {
            Some(Ok(own)) => {
                if own.updates_itself {
                    out.push(VersionChoice::Itself);
                }
                out.push(VersionChoice::Note {
                    text: tr!("it says itself that it is {}", own.version),
                });
            }
            // Its sentence says that it can't be asked; a window of 80 columns has room for that alone.
            Some(Err(reason)) => out.push(VersionChoice::Note {
                text: reason.to_string(),
            }),
            None => {}
        }
        for (service, found) in all.images.iter().enumerate() {
            out.push(VersionChoice::Image { service });
            let line = find_release_line(&found.image, self.opened);
            if let Some(line) = line.filter(|line| line.is_over) {
                let text = line.describe();
                out.push(VersionChoice::Note { text });
            }
            match &found.newer {
                Err(reason) => out.push(VersionChoice::Note {
                    text: reason.to_string(),
                }),
                Ok(newer) if newer.is_empty() => out.push(VersionChoice::Note {
                    text: tr!("nothing newer of this kind").into(),
                }),
                Ok(newer) => {
                    let versions = 0..newer.len();
                    out.extend(versions.map(|version| VersionChoice::Version { service, version }));
                }
            }
        }
        out
    }

    fn build_request(&self, choice: &VersionChoice) -> Option<Request> {
        match (choice, &self.found) {
            (VersionChoice::Again, _) => Some(Request::redeploy(self.app.clone())),
            (VersionChoice::Itself, _) => Some(Request::SelfUpdate {
                app: self.app.clone(),
            }),
            (VersionChoice::Version { service, version }, Some(Ok(all))) => {
                let found = all.images.get(*service)?;
                let newer = found.newer.as_ref().ok()?.get(*version)?;
                let image = found.image_with_tag(&newer.tag)?;
                Some(Request::Update {
                    app: self.app.clone(),
                    images: [(found.service.clone(), image)].into(),
                })
            }
            _ => None,
        }
    }
}

impl Overlay for VersionsOverlay {
    fn handle_key(&mut self, app: &mut App, key: KeyEvent) -> OverlayReply {
        let all = self.list_choices();
        match key.code {
            KeyCode::Esc | KeyCode::Char('q') => return OverlayReply::close(),
            KeyCode::Enter => {
                if let Some(request) = all.get(self.at).and_then(|c| self.build_request(c)) {
                    return reply_with_plan(app, request);
                }
            }
            KeyCode::Char('r') => {
                let chosen = all.get(self.at).and_then(|c| self.build_request(c));
                if let Some(Request::Update { app: name, images }) = chosen {
                    return reply_with_plan(app, Request::Rehearse { app: name, images });
                }
            }
            _ => {
                move_by_key(key, &mut self.at, all.len(), 10);
            }
        }
        OverlayReply::stay()
    }

    fn draw(&self, app: &App, frame: &mut Frame, screen: Rect) -> ScrollLayout {
        let theme = app.theme;
        let all = self.list_choices();
        let found = match &self.found {
            Some(Ok(found)) => found.images.as_slice(),
            _ => &[],
        };
        let mut lines: Vec<Line> = all
            .iter()
            .map(|choice| match choice {
                VersionChoice::Again => Line::raw(tr!(
                    "deploy it again, as apps/{}.toml says",
                    theme.drawable_text(&clean_line(&self.app))
                )),
                VersionChoice::Itself => Line::raw(tr!(
                    "let it update itself: backed up before, put back when it fails"
                )),
                VersionChoice::Image { service } => {
                    let service = &found[*service];
                    let text = format!("{}  {}", service.service, service.image);
                    Line::styled(theme.drawable_text(&clean_line(&text)), theme.title())
                }
                VersionChoice::Note { text } => Line::styled(
                    format!("  {}", theme.drawable_text(&clean_line(text))),
                    theme.dim(),
                ),
                VersionChoice::Version { service, version } => {
                    let newer = found[*service].newer.as_deref().unwrap_or_default();
                    let newer = &newer[*version];
                    let tag = fit_to_width(
                        &theme.drawable_text(&clean_line(&newer.tag)),
                        28,
                        theme.ellipsis(),
                    );
                    let style = match newer.step {
                        VersionStep::Major => theme.changed(),
                        _ => theme.dim(),
                    };
                    let said = match newer.step {
                        VersionStep::Major => tr!("major: read its notes, back up first"),
                        other => other.label(),
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
                theme.drawable_text(tr!("asking the registries for newer versions …")),
                theme.dim(),
            )),
            Some(Err(reason)) => {
                lines.push(Line::styled(
                    theme.drawable_text(&clean_line(reason)),
                    theme.removed(),
                ));
            }
            Some(Ok(_)) => {}
        }
        let title = tr!("Update {}", self.app);
        let size = (74, lines.len() as u16);
        let hint = tr!("Enter shows the plan · r rehearses it on a copy · Esc back");
        let area = draw_window(app, frame, screen, &title, hint, size);
        draw_choices(app, frame, area, lines, self.at).into()
    }

    fn ticket(&self) -> Option<Ticket> {
        Some(self.ticket)
    }

    fn take_answer(&mut self, answer: OverlayAnswer) {
        if let OverlayAnswer::Versions(found) = answer {
            self.take_versions(found);
        }
    }
}
