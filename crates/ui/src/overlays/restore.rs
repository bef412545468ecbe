//! What is restored, and where to; the plan follows.

use crossterm::event::{KeyCode, KeyEvent};
use matou_i18n::tr;
use ratatui::Frame;
use ratatui::layout::Rect;
use ratatui::text::Line;

use super::plan::reply_with_plan;
use super::{FormOverlay, draw_choices, draw_window, move_by_key};
use crate::layout::ScrollLayout;
use crate::overlay::{Overlay, OverlayReply};
use crate::state::App;
use matou_base::text::{clean_line, format_ago};
use matou_model::Snapshot;
use matou_ops::{Request, RestoreDestination, RestoreScope};
use matou_stack::AppName;

pub(crate) struct RestoreOverlay {
    app: AppName,
    /// Full id.
    snapshot: String,
    title: String,
    what: Vec<(String, RestoreScope)>,
    chosen: Option<RestoreScope>,
    at: usize,
}

/// Where to restore.
#[derive(Clone, Copy)]
enum DestinationChoice {
    Place,
    Beside,
    Folder,
}

impl RestoreOverlay {
    /// Opens the choice for a snapshot. `path` is a file or folder in it that is chosen already;
    /// `name` is the application it is of.
    pub(crate) fn for_snapshot(
        app: &App,
        name: AppName,
        snapshot: &Snapshot,
        path: Option<String>,
    ) -> Self {
        let mut what = vec![(
            tr!("the application {name}: data, databases"),
            RestoreScope::App,
        )];
        let own = |p: &&String| !p.contains("/.matou/");
        what.extend(snapshot.paths.iter().filter(own).map(|path| {
            let text = tr!("only the folder {path}");
            (text, RestoreScope::Path { path: path.clone() })
        }));
        Self {
            title: tr!(
                "Restore {name} from {}{} ({})",
                snapshot.short_id(),
                snapshot
                    .other_fleet
                    .as_ref()
                    .map_or_else(String::new, |fleet| tr!(" of {fleet}")),
                format_ago(app.now, snapshot.at)
            ),
            app: name,
            snapshot: snapshot.id.clone(),
            what,
            chosen: path.map(|path| RestoreScope::Path { path }),
            at: 0,
        }
    }

    fn list_destinations(&self) -> Vec<(&'static str, DestinationChoice)> {
        let mut places = vec![(
            tr!("in place: what is there is set aside, and can be brought back"),
            DestinationChoice::Place,
        )];
        if self.chosen == Some(RestoreScope::App) {
            places.push((
                tr!("beside it: as a new application under another domain"),
                DestinationChoice::Beside,
            ));
        }
        places.push((
            tr!("into a folder of the storage node"),
            DestinationChoice::Folder,
        ));
        places
    }

    fn open_plan_or_form(&self, app: &mut App, what: RestoreScope) -> OverlayReply {
        let Some((_, place)) = self.list_destinations().get(self.at).copied() else {
            return OverlayReply::stay();
        };
        let request = |to| Request::Restore {
            app: self.app.clone(),
            snapshot: Some(self.snapshot.clone()),
            what: what.clone(),
            to,
        };
        match place {
            DestinationChoice::Place => reply_with_plan(app, request(RestoreDestination::Place)),
            DestinationChoice::Beside => {
                OverlayReply::replace(FormOverlay::for_restore_beside(&self.app, &self.snapshot))
            }
            DestinationChoice::Folder => {
                let request = request(RestoreDestination::Folder {
                    path: String::new(),
                });
                OverlayReply::replace(FormOverlay::for_restore_into_folder(request))
            }
        }
    }
}

impl Overlay for RestoreOverlay {
    fn handle_key(&mut self, app: &mut App, key: KeyEvent) -> OverlayReply {
        let count = match &self.chosen {
            None => self.what.len(),
            Some(_) => self.list_destinations().len(),
        };
        match key.code {
            KeyCode::Esc | KeyCode::Char('q') => OverlayReply::close(),
            KeyCode::Enter => match self.chosen.clone() {
                None => {
                    self.chosen = self.what.get(self.at).map(|(_, w)| w.clone());
                    self.at = 0;
                    OverlayReply::stay()
                }
                Some(what) => self.open_plan_or_form(app, what),
            },
            _ => {
                move_by_key(key, &mut self.at, count, 6);
                OverlayReply::stay()
            }
        }
    }

    fn draw(&self, app: &App, frame: &mut Frame, screen: Rect) -> ScrollLayout {
        let texts: Vec<String> = match &self.chosen {
            None => self.what.iter().map(|(t, _)| t.clone()).collect(),
            Some(_) => self
                .list_destinations()
                .iter()
                .map(|(t, _)| (*t).to_owned())
                .collect(),
        };
        let mut title = self.title.clone();
        if let Some(RestoreScope::Path { path }) = &self.chosen {
            title = format!("{title}: {path}");
        }
        let hint = match &self.chosen {
            None => tr!("what? Enter chooses · Esc back"),
            Some(_) => tr!("where to? Enter chooses · Esc back"),
        };
        let size = (72, texts.len().max(3) as u16);
        let area = draw_window(app, frame, screen, &title, hint, size);
        let lines = texts
            .iter()
            .map(|t| Line::raw(app.theme.drawable_text(&clean_line(t))))
            .collect();
        draw_choices(app, frame, area, lines, self.at).into()
    }

    fn leads_to_plan(&self) -> bool {
        true
    }
}
