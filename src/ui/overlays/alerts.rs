//! What is not as it should be: since when, why, and the key that leads to the cure.

use crossterm::event::{KeyCode, KeyEvent};
use jiff::{SignedDuration, Timestamp};
use ratatui::Frame;
use ratatui::layout::Rect;
use ratatui::style::Style;
use ratatui::text::{Line, Span};

use super::{Reply, choices, moved, window};
use crate::monitor::{Alert, Silence, TOLD};
use crate::text::{age, clean, coarse, fit};
use crate::ui::keymap::{Action, named};
use crate::ui::msg::Effect;
use crate::ui::panes::wrap;
use crate::ui::state::App;
use crate::ui::theme::Health;

/// For how long an alert can be silenced: key, hours, word.
const TIMES: [(char, i64, &str); 4] = [
    ('1', 1, "1 hour"),
    ('8', 8, "8 hours"),
    ('d', 24, "a day"),
    ('w', 168, "a week"),
];

#[derive(Default)]
pub(in crate::ui) struct Alerts {
    at: usize,
    /// For how long the selected one is to be silenced is being asked.
    asking: bool,
}

impl Alerts {
    pub(super) fn key(&mut self, app: &mut App, key: KeyEvent) -> Reply {
        if std::mem::take(&mut self.asking) {
            return match self.silence(app, key) {
                Some(effect) => Reply::stay().with(effect),
                None => Reply::stay(),
            };
        }
        let selected = app.alerts.get(self.at).cloned();
        // The cure's own key goes there and does it.
        if let Some(alert) = &selected
            && let Some(action) = cure(alert)
            && app.keymap.action(key) == Some(action)
        {
            app.go_to(&alert.row);
            return Reply {
                action: Some(action),
                ..Reply::close()
            };
        }
        match key.code {
            KeyCode::Esc | KeyCode::Char('q' | 'a') => Reply::close(),
            KeyCode::Enter => {
                if let Some(alert) = selected {
                    app.go_to(&alert.row);
                }
                Reply::close()
            }
            KeyCode::Char('i') => {
                self.asking = selected.is_some();
                Reply::stay()
            }
            _ => {
                moved(key, &mut self.at, app.alerts.len(), 10);
                Reply::stay()
            }
        }
    }

    /// Takes the answer; any other key leaves things as they are.
    fn silence(&self, app: &mut App, key: KeyEvent) -> Option<Effect> {
        let alert = app.alerts.get(self.at)?;
        let KeyCode::Char(c) = key.code else {
            return None;
        };
        let hours = TIMES.iter().find(|(key, ..)| *key == c);
        let silence = match (c, hours) {
            ('a', _) => Some(Silence { until: None }),
            ('u', _) => None,
            (_, Some((_, hours, _))) => Some(Silence {
                until: Some(app.now + SignedDuration::from_hours(*hours)),
            }),
            _ => return None,
        };
        let alert = alert.key.clone();
        app.engine.silence(&alert, silence);
        app.alerts = app.engine.alerts(app.now);
        // Alertmanager is to tell nobody else either.
        let fingerprint = alert.strip_prefix(TOLD)?;
        let told = app.fleet.told.value()?;
        let told = told.iter().find(|t| t.fingerprint == fingerprint)?;
        let week = app.now + SignedDuration::from_hours(168);
        Some(Effect::SilenceThere {
            labels: told.labels.clone(),
            until: silence?.until.unwrap_or(week),
        })
    }

    pub(super) fn draw(&mut self, app: &App, frame: &mut Frame, screen: Rect) {
        self.at = self.at.min(app.alerts.len().saturating_sub(1));
        let columns = usize::from(screen.width).saturating_sub(8).min(100);
        let selected = app.alerts.get(self.at);
        let below = selected.map_or_else(Vec::new, |a| self.below(app, a, columns));
        let height = app.alerts.len().max(1) + below.len() + 1;
        let size = (columns as u16, height as u16);
        let hint = match (self.asking, app.alerts.is_empty()) {
            (true, _) => "ignored for how long? any other key: not at all",
            (false, true) => "Esc back",
            (false, false) => "Enter goes there · i ignore · Esc back",
        };
        let area = window(app, frame, screen, "Alerts", hint, size);
        if app.alerts.is_empty() {
            let text = "All is as it should be.";
            frame
                .buffer_mut()
                .set_line(area.x, area.y, &Line::raw(text), area.width);
            return;
        }
        let lines = app.alerts.iter().map(|a| line(app, a)).collect();
        // The selected one is told in full below.
        let room = area.height.saturating_sub(below.len() as u16 + 1);
        let list = Rect {
            height: room,
            ..area
        };
        choices(app, frame, list, lines, self.at);
        let place = Rect {
            y: (area.y + room + 1).min(area.bottom()),
            height: area.height.saturating_sub(room + 1),
            ..area
        };
        super::scrolled(frame, place, &below, 0);
    }

    /// The selected alert in full, and what can be done about it.
    fn below(&self, app: &App, alert: &Alert, columns: usize) -> Vec<Line<'static>> {
        let theme = app.theme;
        let mut lines: Vec<Line> = wrap(&theme.text(&clean(&alert.why)), columns)
            .into_iter()
            .map(Line::raw)
            .collect();
        let pair = |key: &str, text: &str| {
            [
                Span::styled(key.to_owned(), theme.key()),
                Span::raw(format!(" {text}  ")),
            ]
        };
        if self.asking {
            let times = TIMES
                .iter()
                .flat_map(|(key, _, word)| pair(&key.to_string(), word));
            let spans = pair("a", "until it is over")
                .into_iter()
                .chain(times)
                .chain(pair("u", "not"));
            lines.push(Line::from(spans.collect::<Vec<_>>()));
            return lines;
        }
        let mut spans = Vec::new();
        if let Some(action) = cure(alert)
            && let Some(key) = app.keymap.key(action)
        {
            spans.extend(pair(&key, action_word(action)));
        }
        if let Some(silence) = alert.silence {
            spans.push(Span::styled(told(silence, app.now), theme.dim()));
        }
        if !spans.is_empty() {
            lines.push(Line::from(spans));
        }
        lines
    }
}

fn cure(alert: &Alert) -> Option<Action> {
    named(alert.cure)
}

/// What an action is for, where it is a cure.
fn action_word(action: Action) -> &'static str {
    match action {
        Action::Logs => "its log",
        Action::Shell => "a shell there",
        Action::NodeMenu => "drain it, reboot it, strike it off",
        Action::Provision | Action::ProvisionAll => "make the servers what config.toml says",
        Action::Deploy => "deploy the edge",
        Action::Pane4 => "the certificates",
        Action::Pane5 => "the backups",
        _ => "the cure",
    }
}

fn told(silence: Silence, now: Timestamp) -> String {
    match silence.until {
        None => "ignored until it is over".into(),
        Some(until) => match coarse(until.as_second() - now.as_second()).as_str() {
            "now" => "ignored for a minute".into(),
            time => format!("ignored for {time}"),
        },
    }
}

fn line(app: &App, alert: &Alert) -> Line<'static> {
    let theme = app.theme;
    let since = alert.since.map_or_else(String::new, |t| age(app.now, t));
    let health: Health = alert.severity.into();
    let silenced = alert.silence.is_some();
    let (glyph, name, text) = match silenced {
        true => (theme.dim(), theme.dim(), theme.dim()),
        false => (theme.health(health), theme.title(), Style::new()),
    };
    let what = fit(&theme.text(&clean(&alert.what)), 16, theme.ellipsis());
    let why = match silenced {
        true => format!("(ignored) {}", clean(&alert.why)),
        false => clean(&alert.why).into_owned(),
    };
    Line::from(vec![
        Span::styled(theme.glyph(health), glyph),
        Span::styled(format!(" {what} "), name),
        Span::styled(format!("{} ", fit(&since, 7, "")), theme.dim()),
        Span::styled(theme.text(&why), text),
    ])
}
