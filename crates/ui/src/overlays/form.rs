//! A few values to type: a new application, a number of tasks.

use std::collections::BTreeMap;

use crossterm::event::{Event, KeyCode, KeyEvent};
use ratatui::Frame;
use ratatui::layout::Rect;
use ratatui::text::{Line, Span};
use tui_input::Input;
use tui_input::backend::crossterm::EventHandler;

use super::{PlanOverlay, draw_window, input_spans};
use crate::layout::ScrollLayout;
use crate::overlay::{Overlay, OverlayReply};
use crate::panes::wrap_text;
use crate::state::App;
use matou_base::text::{clean_line, fit_to_width};
use matou_model::{PageKind, Service};
use matou_ops::{Request, RestoreDestination, RestoreScope};
use matou_stack::{AppName, CatalogueEntry, EdgeSettings, Variable, VariableKind};

/// What the values are for.
enum FormPurpose {
    Deploy {
        stack: String,
    },
    Scale {
        service: String,
    },
    Place {
        app: AppName,
    },
    EdgeSettings {
        app: AppName,
    },
    Page {
        app: AppName,
    },
    RestoreBeside {
        app: AppName,
        snapshot: String,
    },
    /// A restore into a folder that is typed.
    RestoreIntoFolder(Request),
    Move {
        apps: Vec<AppName>,
    },
}

struct FormField {
    name: String,
    help: String,
    default: String,
    required: bool,
    input: Input,
    /// The variable of the stack that it is for: its type is checked.
    variable: Option<Variable>,
}

impl FormField {
    fn is_boolean(&self) -> bool {
        let variable = self.variable.as_ref();
        variable.is_some_and(|v| v.kind == VariableKind::Boolean)
    }

    /// Says what is wrong with the value, as far as the field alone tells.
    fn problem(&self) -> Option<String> {
        let value = self.input.value().trim();
        let variable = self.variable.as_ref()?;
        variable.check_value(value).err().map(|e| e.to_string())
    }
}

pub(crate) struct FormOverlay {
    title: String,
    purpose: FormPurpose,
    fields: Vec<FormField>,
    at: usize,
    /// What is wrong with what was typed.
    error: Option<String>,
}

impl FormOverlay {
    /// A form for a new application: its name, then the variables of the stack.
    pub(crate) fn for_deploy(entry: &CatalogueEntry) -> Self {
        let name = FormField {
            name: "name".into(),
            help: "name of the application: lower-case letters, digits, dashes".into(),
            default: String::new(),
            required: true,
            input: Input::new(entry.name.clone()),
            variable: None,
        };
        let variables = entry.variables.iter().map(|v| FormField {
            name: v.name.clone(),
            help: v.help.clone(),
            default: v.default.clone().unwrap_or_default(),
            required: v.required && v.default.is_none(),
            input: Input::new(v.default.clone().unwrap_or_default()),
            variable: Some(v.clone()),
        });
        Self {
            title: format!("Deploy {}", entry.title),
            purpose: FormPurpose::Deploy {
                stack: entry.name.clone(),
            },
            fields: std::iter::once(name).chain(variables).collect(),
            at: 0,
            error: None,
        }
    }

    /// The form that a request came from, with its values: to run it otherwise. `None` when it came from none
    /// that can be filled again.
    pub(crate) fn for_request(app: &App, request: &Request) -> Option<Self> {
        let fill = |mut form: Self, values: &[(usize, String)]| {
            for (at, value) in values {
                form.fields[*at].input = Input::new(value.clone());
            }
            form
        };
        match request {
            Request::Deploy {
                stack,
                app: name,
                variables,
                ..
            } => {
                let entry = app.catalogue.iter().find(|e| e.name == *stack)?;
                let mut form = fill(Self::for_deploy(entry), &[(0, name.to_string())]);
                for field in form.fields.iter_mut().skip(1) {
                    if let Some(value) = variables.get(&field.name) {
                        field.input = Input::new(value.clone());
                    }
                }
                Some(form)
            }
            Request::Scale { service, replicas } => {
                let services = &app.fleet.swarm.value()?.services;
                let service = services.iter().find(|s| s.name == *service)?;
                Some(Self::for_scale(service, *replicas))
            }
            Request::Place { app, to } => {
                let place = to.clone().unwrap_or_else(|| "anywhere".into());
                Some(fill(Self::for_placement(app.clone()), &[(0, place)]))
            }
            Request::Move { apps, to } => {
                Some(fill(Self::for_move(apps.clone()), &[(0, to.clone())]))
            }
            _ => None,
        }
    }

    /// Checks the field that is left.
    fn leave_field(&mut self, to: usize) {
        self.error = self.fields[self.at].problem();
        if self.error.is_none() {
            self.at = to;
        }
    }

    /// A form for the number of a service's tasks; of a job: of its tasks that are to end well.
    pub(crate) fn for_scale(service: &Service, now: u64) -> Self {
        let help = match service.job {
            Some(_) => "how many tasks of it are to end well",
            None => "how many tasks run",
        };
        Self {
            title: format!("Scale {}", service.name),
            purpose: FormPurpose::Scale {
                service: service.name.clone(),
            },
            fields: vec![FormField {
                name: "tasks".into(),
                help: help.into(),
                default: String::new(),
                required: true,
                input: Input::new(now.to_string()),
                variable: None,
            }],
            at: 0,
            error: None,
        }
    }

    pub(crate) fn for_placement(app: AppName) -> Self {
        Self {
            title: format!("Place {app}"),
            purpose: FormPurpose::Place { app },
            fields: vec![FormField {
                name: "where".into(),
                help: "name of a node, LABEL=VALUE of node labels, or anywhere".into(),
                default: String::new(),
                required: true,
                input: Input::default(),
                variable: None,
            }],
            at: 0,
            error: None,
        }
    }

    pub(crate) fn for_edge_settings(app: AppName) -> Self {
        let field = |name: &str, help: &str| FormField {
            name: name.into(),
            help: help.into(),
            default: String::new(),
            required: false,
            input: Input::default(),
            variable: None,
        };
        Self {
            title: format!("Switch {app}"),
            purpose: FormPurpose::EdgeSettings { app },
            fields: vec![
                field(
                    "headers",
                    "security headers: on, off, or nothing to leave them",
                ),
                field(
                    "rate limit",
                    "requests a second and address, 0 for none, or nothing",
                ),
                field(
                    "password",
                    "lines of htpasswd, NAME:HASH, or off, or nothing",
                ),
            ],
            at: 0,
            error: None,
        }
    }

    /// A form for the page that visitors see instead of an application.
    pub(crate) fn for_page(app: AppName) -> Self {
        Self {
            title: format!("Page instead of {app}"),
            purpose: FormPurpose::Page { app },
            fields: vec![FormField {
                name: "page".into(),
                help: "maintenance (503, back soon), suspended (403, closed), or off".into(),
                default: String::new(),
                required: true,
                input: Input::default(),
                variable: None,
            }],
            at: 0,
            error: None,
        }
    }

    /// A form for a restore beside the application, under another name and domain.
    pub(crate) fn for_restore_beside(app: &AppName, snapshot: &str) -> Self {
        let field = |name: &str, help: &str, value: String| FormField {
            name: name.into(),
            help: help.into(),
            default: String::new(),
            required: true,
            input: Input::new(value),
            variable: None,
        };
        Self {
            title: format!("Restore {app} beside itself"),
            purpose: FormPurpose::RestoreBeside {
                app: app.clone(),
                snapshot: snapshot.to_owned(),
            },
            fields: vec![
                field(
                    "name",
                    "name of the new application: lower-case letters, digits, dashes",
                    format!("{app}-restored"),
                ),
                field("domain", "domain of the new application", String::new()),
            ],
            at: 0,
            error: None,
        }
    }

    /// A form for a restore into a folder of the storage node.
    pub(crate) fn for_restore_into_folder(request: Request) -> Self {
        Self {
            title: request.title(),
            purpose: FormPurpose::RestoreIntoFolder(request),
            fields: vec![FormField {
                name: "folder".into(),
                help: "a folder of the storage node that is not there yet, or empty".into(),
                default: String::new(),
                required: true,
                input: Input::new(String::new()),
                variable: None,
            }],
            at: 0,
            error: None,
        }
    }

    /// A form for the move of applications, or of all when `apps` is empty, to the fleet of another
    /// config.toml.
    pub(crate) fn for_move(apps: Vec<AppName>) -> Self {
        let what = match apps.as_slice() {
            [] => "the fleet".to_owned(),
            some => some.join(", "),
        };
        Self {
            title: format!("Move {what}"),
            purpose: FormPurpose::Move { apps },
            fields: vec![FormField {
                name: "to".into(),
                help: "path of the config.toml of the other servers".into(),
                default: String::new(),
                required: true,
                input: Input::default(),
                variable: None,
            }],
            at: 0,
            error: None,
        }
    }

    /// What stands in a field, without blanks around it.
    fn value(&self, field: usize) -> String {
        self.fields[field].input.value().trim().to_owned()
    }

    /// What stands in a field, as the name of an application; fails with the field, and why.
    fn app_name(&self, field: usize) -> Result<AppName, (usize, String)> {
        AppName::new(self.value(field)).map_err(|e| (field, e.to_string()))
    }

    /// The variables of a stack. A default that was not changed is left to the stack file.
    fn changed_variables(&self) -> BTreeMap<String, String> {
        self.fields
            .iter()
            .skip(1)
            .filter(|f| f.input.value() != f.default)
            .map(|f| (f.name.clone(), f.input.value().trim().to_owned()))
            .collect()
    }

    /// Reads the fields of settings at the edge; fails with the field that is wrong, and why.
    fn edge_settings(&self) -> Result<EdgeSettings, (usize, String)> {
        let headers = match self.value(0).as_str() {
            "" => None,
            "on" => Some(true),
            "off" => Some(false),
            _ => return Err((0, "headers are on or off".into())),
        };
        let rate_limit = match self.value(1).as_str() {
            "" => None,
            number => match number.parse() {
                Ok(number) => Some(number),
                Err(_) => return Err((1, "the limit is a whole number".into())),
            },
        };
        let basic_auth = match self.value(2).as_str() {
            "" => None,
            "off" => Some(Vec::new()),
            users => Some(users.split(',').map(|u| u.trim().to_owned()).collect()),
        };
        Ok(EdgeSettings {
            headers,
            basic_auth,
            rate_limit,
        })
    }

    /// Fails with the field that is wrong, and why.
    fn build_request(&self) -> Result<Request, (usize, String)> {
        for (i, field) in self.fields.iter().enumerate() {
            if field.required && field.input.value().trim().is_empty() {
                return Err((i, format!("{} is required", field.name)));
            }
            if let Some(why) = field.problem() {
                return Err((i, why));
            }
        }
        match &self.purpose {
            FormPurpose::Deploy { stack } => Ok(Request::Deploy {
                stack: stack.clone(),
                app: self.app_name(0)?,
                variables: self.changed_variables(),
                names: Default::default(),
            }),
            FormPurpose::Place { app } => {
                let place = self.value(0);
                Ok(Request::Place {
                    app: app.clone(),
                    to: (place != "anywhere").then_some(place),
                })
            }
            FormPurpose::Page { app } => {
                let word = self.value(0);
                let kind = PageKind::from_word(&word);
                if kind.is_none() && word != "off" {
                    return Err((0, "page is maintenance, suspended or off".into()));
                }
                Ok(Request::Page {
                    app: app.clone(),
                    kind,
                    html: None,
                    allow: Vec::new(),
                })
            }
            FormPurpose::EdgeSettings { app } => Ok(Request::Switch {
                app: app.clone(),
                switches: self.edge_settings()?,
            }),
            FormPurpose::RestoreBeside { app, snapshot } => Ok(Request::Restore {
                app: app.clone(),
                snapshot: Some(snapshot.clone()),
                what: RestoreScope::App,
                to: RestoreDestination::Beside {
                    app: self.app_name(0)?,
                    variables: [("DOMAIN".to_owned(), self.value(1))].into(),
                },
            }),
            FormPurpose::RestoreIntoFolder(Request::Restore {
                app,
                snapshot,
                what,
                ..
            }) => match self.value(0) {
                path if path.starts_with('/') => Ok(Request::Restore {
                    app: app.clone(),
                    snapshot: snapshot.clone(),
                    what: what.clone(),
                    to: RestoreDestination::Folder { path },
                }),
                _ => Err((0, "folder is a whole path that begins with /".into())),
            },
            FormPurpose::RestoreIntoFolder(other) => Ok(other.clone()),
            FormPurpose::Move { apps } => Ok(Request::Move {
                apps: apps.clone(),
                to: self.value(0),
            }),
            FormPurpose::Scale { service } => match self.value(0).parse() {
                Ok(replicas) => Ok(Request::Scale {
                    service: service.clone(),
                    replicas,
                }),
                Err(_) => Err((0, "tasks is a whole number, 0 or more".into())),
            },
        }
    }
}

impl Overlay for FormOverlay {
    fn handle_key(&mut self, app: &mut App, key: KeyEvent) -> OverlayReply {
        let last = self.fields.len() - 1;
        match key.code {
            KeyCode::Esc => return OverlayReply::close(),
            KeyCode::Tab | KeyCode::Down => self.leave_field((self.at + 1).min(last)),
            KeyCode::BackTab | KeyCode::Up => self.leave_field(self.at.saturating_sub(1)),
            KeyCode::Enter if self.at < last => self.leave_field(self.at + 1),
            KeyCode::Char(' ') if self.fields[self.at].is_boolean() => {
                self.error = None;
                let field = &mut self.fields[self.at];
                let other = match field.input.value().trim() {
                    "true" => "false",
                    _ => "true",
                };
                field.input = Input::new(other.into());
            }
            KeyCode::Enter => match self.build_request() {
                Ok(request) => {
                    let (plan, effect) = PlanOverlay::open(app, request);
                    let mut reply = OverlayReply::stay().with_effect(effect);
                    reply.open = Some(Box::new(plan));
                    return reply;
                }
                Err((field, message)) => {
                    self.at = field;
                    self.error = Some(message);
                }
            },
            _ => {
                self.error = None;
                self.fields[self.at].input.handle_event(&Event::Key(key));
            }
        }
        OverlayReply::stay()
    }

    fn draw(&self, app: &App, frame: &mut Frame, screen: Rect) -> ScrollLayout {
        let theme = app.theme;
        let size = (70, self.fields.len() as u16 + 4);
        let hint = match self.fields[self.at].is_boolean() {
            true => "Space true or false · Tab next field · Enter on · Esc back",
            false => "Tab next field · Enter on the last shows the plan · Esc back",
        };
        let area = draw_window(app, frame, screen, &self.title, hint, size);
        let mut lines: Vec<Line> = Vec::new();
        for (i, field) in self.fields.iter().enumerate() {
            let focused = i == self.at;
            let marker = if focused { theme.cursor_glyph() } else { " " };
            let mark = if field.required { "*" } else { " " };
            let name = fit_to_width(
                &theme.drawable_text(&clean_line(&field.name)),
                14,
                theme.ellipsis(),
            );
            let style = if focused {
                theme.focus()
            } else {
                theme.title()
            };
            let mut spans = vec![Span::styled(format!("{marker} {name}{mark} "), style)];
            spans.extend(input_spans(app, &field.input, focused));
            lines.push(Line::from(spans));
        }
        lines.push(Line::default());
        let (text, style) = match &self.error {
            Some(error) => (theme.drawable_text(error), theme.removed()),
            None => {
                let help = clean_line(&self.fields[self.at].help);
                (theme.drawable_text(&help), theme.dim())
            }
        };
        let wrapped = wrap_text(&text, area.width.into());
        lines.extend(wrapped.into_iter().map(|line| Line::styled(line, style)));
        super::draw_scrolled(
            frame,
            area,
            &lines,
            self.at.saturating_sub(area.height.into()),
        );
        ScrollLayout::default()
    }

    fn takes_text(&self) -> bool {
        true
    }

    fn paste(&mut self, _: &App, text: &str) {
        crate::text_input::insert_text(&mut self.fields[self.at].input, text);
    }

    fn leads_to_plan(&self) -> bool {
        true
    }
}
