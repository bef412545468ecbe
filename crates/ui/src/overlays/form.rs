//! A few values to type: a new application, a number of tasks.

use matou_i18n::tr;
use std::collections::BTreeMap;

use crossterm::event::{Event, KeyCode, KeyEvent};
use ratatui::Frame;
use ratatui::layout::Rect;
use ratatui::text::{Line, Span};
use tui_input::Input;
use tui_input::backend::crossterm::EventHandler;

use super::{PlanOverlay, draw_own_window, input_spans};
use crate::layout::ScrollLayout;
use crate::overlay::{Overlay, OverlayReply};
use crate::panes::wrap_text;
use crate::state::App;
use matou_base::text::{clean_line, fit_to_width};
use matou_model::{PageKind, Service};
use matou_ops::{Request, RestoreDestination, RestoreScope};
use matou_stack::{
    AppDomains, AppName, CatalogueEntry, EdgeSettings, NameChanges, Variable, VariableKind, WwwName,
};

/// Columns before a value: marks, and a field's name.
const BEFORE_VALUE: usize = 18;

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
    Names {
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

/// What the value of a field must be, as far as it alone tells.
enum FieldCheck {
    Nothing,
    /// It is for this variable of the stack, which has a type.
    Variable(Variable),
    /// Host names, with commas or blanks between them.
    HostNames,
    /// A word of [`WWW_WORDS`].
    Www,
}

/// What can become of `www.`; nothing leaves it as it is.
const WWW_WORDS: [&str; 4] = ["", "redirect", "answer", "none"];

struct FormField {
    name: String,
    help: String,
    default: String,
    required: bool,
    input: Input,
    check: FieldCheck,
}

impl FormField {
    /// The values between which the space bar goes on; empty where it is a character like others.
    fn words(&self) -> &'static [&'static str] {
        match &self.check {
            FieldCheck::Variable(v) if v.kind == VariableKind::Boolean => &["true", "false"],
            FieldCheck::Www => &WWW_WORDS,
            _ => &[],
        }
    }

    /// Goes on to the next of its words.
    fn turn_word(&mut self) {
        let words = self.words();
        let value = self.input.value().trim();
        let next = words
            .iter()
            .position(|w| *w == value)
            .map_or(0, |at| at + 1);
        if let Some(word) = words.get(next).or(words.first()) {
            self.input = Input::new((*word).to_owned());
        }
    }

    /// Says what is wrong with the value, as far as the field alone tells.
    fn problem(&self) -> Option<String> {
        let value = self.input.value().trim();
        let checked = match &self.check {
            FieldCheck::Nothing => Ok(()),
            FieldCheck::Variable(variable) => variable.check_value(value),
            FieldCheck::HostNames => {
                let changes = NameChanges {
                    aliases: split_names(value),
                    ..NameChanges::default()
                };
                changes.apply(&mut AppDomains::default())
            }
            FieldCheck::Www if value.is_empty() => Ok(()),
            FieldCheck::Www => value.parse::<WwwName>().map(|_| ()),
        };
        checked.err().map(|e| e.to_string())
    }
}

fn split_names(text: &str) -> Vec<String> {
    let names = text.split([',', ' ']).filter(|name| !name.is_empty());
    names.map(str::to_owned).collect()
}

/// The fields of names beside the main one: as `--alias`, `--redirect` and `--www` of the command line.
fn name_fields() -> [FormField; 3] {
    let field = |name: &str, help: &str, check| FormField {
        name: name.into(),
        help: help.into(),
        default: String::new(),
        required: false,
        input: Input::default(),
        check,
    };
    [
        field(
            tr!("aliases"),
            tr!("names under which it answers, too, with commas between them, or nothing"),
            FieldCheck::HostNames,
        ),
        field(
            tr!("redirects"),
            tr!("names that lead to its main one, with commas between them, or nothing"),
            FieldCheck::HostNames,
        ),
        field(
            "www",
            tr!(
                "www. before its main name (or that without it): redirect, answer, none, or nothing to leave it"
            ),
            FieldCheck::Www,
        ),
    ]
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
            name: tr!("name").into(),
            help: tr!("name of the application: lower-case letters, digits, dashes").into(),
            default: String::new(),
            required: true,
            input: Input::new(entry.name.clone()),
            check: FieldCheck::Nothing,
        };
        let variables = entry.variables.iter().map(|v| FormField {
            name: v.name.clone(),
            help: v.help.clone(),
            default: v.default.clone().unwrap_or_default(),
            required: v.required && v.default.is_none(),
            input: Input::new(v.default.clone().unwrap_or_default()),
            check: FieldCheck::Variable(v.clone()),
        });
        let has_name = |v: &Variable| v.kind == VariableKind::Domain;
        let names = entry.variables.iter().any(has_name).then(name_fields);
        Self {
            title: tr!("Deploy {}", entry.title),
            purpose: FormPurpose::Deploy {
                stack: entry.name.clone(),
            },
            fields: std::iter::once(name)
                .chain(variables)
                .chain(names.into_iter().flatten())
                .collect(),
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
                names,
            } => {
                let entry = app.catalogue.iter().find(|e| e.name == *stack)?;
                let mut form = fill(Self::for_deploy(entry), &[(0, name.to_string())]);
                for field in &mut form.fields {
                    if let FieldCheck::Variable(variable) = &field.check
                        && let Some(value) = variables.get(&variable.name)
                    {
                        field.input = Input::new(value.clone());
                    }
                }
                form.fill_names(names);
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
            Request::Redeploy {
                app: name, names, ..
            } if **names != NameChanges::default() => {
                let mut form = Self::for_names(app, name.clone());
                form.fill_names(names);
                Some(form)
            }
            Request::Rename {
                app: name,
                name: main,
                ..
            } => {
                let form = Self::for_names(app, name.clone());
                Some(fill(form, &[(0, main.clone())]))
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
            Some(_) => tr!("how many tasks of it are to end well"),
            None => tr!("how many tasks run"),
        };
        Self {
            title: tr!("Scale {}", service.name),
            purpose: FormPurpose::Scale {
                service: service.name.clone(),
            },
            fields: vec![FormField {
                name: tr!("tasks").into(),
                help: help.into(),
                default: String::new(),
                required: true,
                input: Input::new(now.to_string()),
                check: FieldCheck::Nothing,
            }],
            at: 0,
            error: None,
        }
    }

    pub(crate) fn for_placement(app: AppName) -> Self {
        Self {
            title: tr!("Place {app}"),
            purpose: FormPurpose::Place { app },
            fields: vec![FormField {
                name: tr!("where").into(),
                help: tr!("name of a node, LABEL=VALUE of node labels, or anywhere").into(),
                default: String::new(),
                required: true,
                input: Input::default(),
                check: FieldCheck::Nothing,
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
            check: FieldCheck::Nothing,
        };
        Self {
            title: tr!("Switch {app}"),
            purpose: FormPurpose::EdgeSettings { app },
            fields: vec![
                field(
                    tr!("headers"),
                    tr!("security headers: on, off, or nothing to leave them"),
                ),
                field(
                    tr!("rate limit"),
                    tr!("requests a second and address, 0 for none, or nothing"),
                ),
                field(
                    tr!("password"),
                    tr!("lines of htpasswd, NAME:HASH, or off, or nothing"),
                ),
            ],
            at: 0,
            error: None,
        }
    }

    /// A form for the page that visitors see instead of an application.
    pub(crate) fn for_page(app: AppName) -> Self {
        Self {
            title: tr!("Page instead of {app}"),
            purpose: FormPurpose::Page { app },
            fields: vec![FormField {
                name: tr!("page").into(),
                help: tr!("maintenance (503, back soon), suspended (403, closed), or off").into(),
                default: String::new(),
                required: true,
                input: Input::default(),
                check: FieldCheck::Nothing,
            }],
            at: 0,
            error: None,
        }
    }

    /// A form for the names of an application that runs: another main one, more or fewer beside it.
    pub(crate) fn for_names(app: &App, name: AppName) -> Self {
        let field = |name: &str, help: String, check| FormField {
            name: name.into(),
            help,
            default: String::new(),
            required: false,
            input: Input::default(),
            check,
        };
        let now = match list_names(app, &name).as_slice() {
            [] => tr!("another main name, or nothing to leave it").to_owned(),
            names => tr!(
                "another main name, or nothing to leave it; it has {}",
                names.join(", ")
            ),
        };
        let main = field(tr!("main name"), now, FieldCheck::HostNames);
        let lost = field(
            tr!("to lose"),
            tr!("aliases and redirects that it loses, with commas between them, or nothing").into(),
            FieldCheck::HostNames,
        );
        Self {
            title: tr!("Names of {name}"),
            purpose: FormPurpose::Names { app: name },
            fields: std::iter::once(main)
                .chain(name_fields())
                .chain([lost])
                .collect(),
            at: 0,
            error: None,
        }
    }

    /// Where the fields of names beside the main one begin.
    fn names_at(&self) -> Option<usize> {
        let www = self.fields.iter();
        let www = www
            .enumerate()
            .find(|(_, f)| matches!(f.check, FieldCheck::Www));
        www.map(|(at, _)| at - 2)
    }

    /// What the fields of names ask for.
    fn name_changes(&self) -> NameChanges {
        let Some(at) = self.names_at() else {
            return NameChanges::default();
        };
        let lost = self.fields.get(at + 3);
        NameChanges {
            aliases: split_names(&self.value(at)),
            redirects: split_names(&self.value(at + 1)),
            dropped: lost.map_or_else(Vec::new, |f| split_names(f.input.value())),
            www: self.value(at + 2).parse().ok(),
            rename: None,
        }
    }

    fn fill_names(&mut self, names: &NameChanges) {
        let Some(at) = self.names_at() else { return };
        let www = match names.www {
            None => "",
            Some(WwwName::None) => "none",
            Some(WwwName::Answer) => "answer",
            Some(WwwName::Redirect) => "redirect",
        };
        let texts = [
            names.aliases.join(", "),
            names.redirects.join(", "),
            www.to_owned(),
            names.dropped.join(", "),
        ];
        for (field, text) in self.fields[at..].iter_mut().zip(texts) {
            field.input = Input::new(text);
        }
    }

    /// A rename is a job of its own; fails with the field that is wrong, and why.
    fn names_request(&self, app: &AppName) -> Result<Request, (usize, String)> {
        let (names, main) = (self.name_changes(), self.value(0));
        match (main.is_empty(), names == NameChanges::default()) {
            (true, true) => Err((0, tr!("nothing is to change").into())),
            (true, false) => Ok(Request::Redeploy {
                app: app.clone(),
                variables: BTreeMap::new(),
                switches: EdgeSettings::default(),
                names: Box::new(names),
                rotate: Vec::new(),
            }),
            (false, true) if split_names(&main).len() == 1 => Ok(Request::Rename {
                app: app.clone(),
                name: main,
                forget: false,
            }),
            (false, true) => Err((0, tr!("there is one main name").into())),
            (false, false) => Err((
                0,
                tr!("another main name is a job of its own: empty this field, or the others")
                    .into(),
            )),
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
            check: FieldCheck::Nothing,
        };
        Self {
            title: tr!("Restore {app} beside itself"),
            purpose: FormPurpose::RestoreBeside {
                app: app.clone(),
                snapshot: snapshot.to_owned(),
            },
            fields: vec![
                field(
                    tr!("name"),
                    tr!("name of the new application: lower-case letters, digits, dashes"),
                    format!("{app}-restored"),
                ),
                field(
                    tr!("domain"),
                    tr!("domain of the new application"),
                    String::new(),
                ),
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
                name: tr!("folder").into(),
                help: tr!("a folder of the storage node that is not there yet, or empty").into(),
                default: String::new(),
                required: true,
                input: Input::new(String::new()),
                check: FieldCheck::Nothing,
            }],
            at: 0,
            error: None,
        }
    }

    /// A form for the move of applications, or of all when `apps` is empty, to the fleet of another
    /// config.toml.
    pub(crate) fn for_move(apps: Vec<AppName>) -> Self {
        let what = match apps.as_slice() {
            [] => tr!("the fleet").to_owned(),
            some => some.join(", "),
        };
        Self {
            title: tr!("Move {what}"),
            purpose: FormPurpose::Move { apps },
            fields: vec![FormField {
                name: tr!("to").into(),
                help: tr!("path of the config.toml of the other servers").into(),
                default: String::new(),
                required: true,
                input: Input::default(),
                check: FieldCheck::Nothing,
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
            .filter(|f| matches!(f.check, FieldCheck::Variable(_)))
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
            _ => return Err((0, tr!("headers are on or off").into())),
        };
        let rate_limit = match self.value(1).as_str() {
            "" => None,
            number => match number.parse() {
                Ok(number) => Some(number),
                Err(_) => return Err((1, tr!("the limit is a whole number").into())),
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
                return Err((i, tr!("{} is required", field.name)));
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
                names: Box::new(self.name_changes()),
            }),
            FormPurpose::Names { app } => self.names_request(app),
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
                    return Err((0, tr!("page is maintenance, suspended or off").into()));
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
                _ => Err((0, tr!("folder is a whole path that begins with /").into())),
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
                Err(_) => Err((0, tr!("tasks is a whole number, 0 or more").into())),
            },
        }
    }
}

/// The names for which the services of an application have routers.
fn list_names(app: &App, name: &AppName) -> Vec<String> {
    let services = app.fleet.swarm.value().map_or(&[][..], |s| &s.services);
    let own = services
        .iter()
        .filter(|s| s.stack.as_deref().unwrap_or(&s.name) == name.as_str());
    let mut names: Vec<String> = own.flat_map(|s| s.domains.clone()).collect();
    names.sort();
    names.dedup();
    names
}

impl Overlay for FormOverlay {
    fn handle_key(&mut self, app: &mut App, key: KeyEvent) -> OverlayReply {
        let last = self.fields.len() - 1;
        match key.code {
            KeyCode::Esc => return OverlayReply::close(),
            KeyCode::Tab | KeyCode::Down => self.leave_field((self.at + 1).min(last)),
            KeyCode::BackTab | KeyCode::Up => self.leave_field(self.at.saturating_sub(1)),
            KeyCode::Enter if self.at < last => self.leave_field(self.at + 1),
            KeyCode::Char(' ') if !self.fields[self.at].words().is_empty() => {
                self.error = None;
                self.fields[self.at].turn_word();
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
        let hint = match self.fields[self.at].words() {
            [] => tr!("Tab next field · Enter on the last shows the plan · Esc back"),
            ["true", ..] => tr!("Space true or false · Tab next field · Enter on · Esc back"),
            _ => tr!("Space goes on to the next · Tab next field · Enter on · Esc back"),
        };
        let area = draw_own_window(app, frame, screen, &self.title, hint, size);
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
            let room = usize::from(area.width).saturating_sub(BEFORE_VALUE);
            spans.extend(input_spans(app, &field.input, focused, room));
            lines.push(Line::from(spans));
        }
        // While it is typed it is not wrong yet, but what it will be measured by is told.
        let typed = self.fields[self.at].problem();
        let (text, style) = match (&self.error, typed) {
            (Some(error), _) => (theme.drawable_text(error), theme.removed()),
            (None, Some(problem)) => (theme.drawable_text(&problem), theme.changed()),
            (None, None) => {
                let help = clean_line(&self.fields[self.at].help);
                (theme.drawable_text(&help), theme.dim())
            }
        };
        let below: Vec<Line> = wrap_text(&text, area.width.into())
            .into_iter()
            .map(|line| Line::styled(line, style))
            .collect();
        // What is said of the field stays in sight where the screen is low.
        let room = area.height.saturating_sub(below.len() as u16 + 1);
        let top = (self.at + 1).saturating_sub(room.into());
        let list = Rect {
            height: room.min(lines.len() as u16),
            ..area
        };
        super::draw_scrolled(app, frame, list, &lines, top);
        let y = (list.bottom() + 1).min(area.bottom());
        let place = Rect {
            y,
            height: area.bottom() - y,
            ..area
        };
        super::draw_cut_lines(app, frame, place, &below);
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
