//! What is restored, and where to; the plan follows.

use crossterm::event::{KeyCode, KeyEvent};
use ratatui::Frame;
use ratatui::layout::Rect;
use ratatui::text::Line;

use super::{Form, Overlay, PlanView, Reply, choices, moved, window};
use crate::model::Snapshot;
use crate::ops::{Request, RestoreTo, RestoreWhat};
use crate::text::{ago, clean};
use crate::ui::state::App;

pub(in crate::ui) struct Restore {
    app: String,
    /// Full id.
    snapshot: String,
    title: String,
    what: Vec<(String, RestoreWhat)>,
    chosen: Option<RestoreWhat>,
    at: usize,
}

/// Where a choice leads.
#[derive(Clone, Copy)]
enum Where {
    Place,
    Beside,
    Folder,
}

impl Restore {
    /// Of a snapshot; `path` is a file or folder in it that was chosen already.
    pub(in crate::ui) fn of(app: &App, snapshot: &Snapshot, path: Option<String>) -> Self {
        let name = snapshot.group().to_owned();
        let mut what = vec![(
            format!("the application {name}: data, databases"),
            RestoreWhat::App,
        )];
        let own = |p: &&String| !p.contains("/.matou/");
        what.extend(snapshot.paths.iter().filter(own).map(|path| {
            let text = format!("only the folder {path}");
            (text, RestoreWhat::Path { path: path.clone() })
        }));
        Self {
            title: format!(
                "Restore {name} from {}{} ({})",
                snapshot.short(),
                snapshot
                    .other_fleet
                    .as_ref()
                    .map_or_else(String::new, |fleet| format!(" of {fleet}")),
                ago(app.now, snapshot.at)
            ),
            app: name,
            snapshot: snapshot.id.clone(),
            what,
            chosen: path.map(|path| RestoreWhat::Path { path }),
            at: 0,
        }
    }

    fn places(&self) -> Vec<(&'static str, Where)> {
        let mut places = vec![(
            "in place: what is there is set aside, and can be brought back",
            Where::Place,
        )];
        if self.chosen == Some(RestoreWhat::App) {
            places.push((
                "beside it: as a new application under another domain",
                Where::Beside,
            ));
        }
        places.push(("into a folder of the storage node", Where::Folder));
        places
    }

    pub(super) fn key(&mut self, app: &mut App, key: KeyEvent) -> Reply {
        let count = match &self.chosen {
            None => self.what.len(),
            Some(_) => self.places().len(),
        };
        match key.code {
            KeyCode::Esc | KeyCode::Char('q') => Reply::close(),
            KeyCode::Enter => match self.chosen.clone() {
                None => {
                    self.chosen = self.what.get(self.at).map(|(_, w)| w.clone());
                    self.at = 0;
                    Reply::stay()
                }
                Some(what) => self.go(app, what),
            },
            _ => {
                moved(key, &mut self.at, count, 6);
                Reply::stay()
            }
        }
    }

    fn go(&self, app: &mut App, what: RestoreWhat) -> Reply {
        let Some((_, place)) = self.places().get(self.at).copied() else {
            return Reply::stay();
        };
        let request = |to| Request::Restore {
            app: self.app.clone(),
            snapshot: Some(self.snapshot.clone()),
            what: what.clone(),
            to,
        };
        match place {
            Where::Place => {
                let (plan, effect) = PlanView::ask(app, request(RestoreTo::Place));
                Reply::replace(Overlay::Plan(plan)).with(effect)
            }
            Where::Beside => Reply::replace(Overlay::Form(Form::beside(&self.app, &self.snapshot))),
            Where::Folder => {
                let request = request(RestoreTo::Folder {
                    path: String::new(),
                });
                Reply::replace(Overlay::Form(Form::into_folder(request)))
            }
        }
    }

    pub(super) fn draw(&mut self, app: &App, frame: &mut Frame, screen: Rect) {
        let texts: Vec<String> = match &self.chosen {
            None => self.what.iter().map(|(t, _)| t.clone()).collect(),
            Some(_) => self.places().iter().map(|(t, _)| (*t).to_owned()).collect(),
        };
        let mut title = self.title.clone();
        if let Some(RestoreWhat::Path { path }) = &self.chosen {
            title = format!("{title}: {path}");
        }
        let hint = match &self.chosen {
            None => "what? Enter chooses · Esc back",
            Some(_) => "where to? Enter chooses · Esc back",
        };
        let size = (72, texts.len().max(3) as u16);
        let title = crate::text::truncate(&title, 66, app.theme.ellipsis()).into_owned();
        let area = window(app, frame, screen, &title, hint, size);
        let lines = texts
            .iter()
            .map(|t| Line::raw(app.theme.text(&clean(t))))
            .collect();
        choices(app, frame, area, lines, self.at);
    }
}
