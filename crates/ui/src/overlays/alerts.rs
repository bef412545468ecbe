//! Lists the alerts: since when, why, and the key of the remedy.

use crossterm::event::{KeyCode, KeyEvent};
use jiff::{SignedDuration, Timestamp};
use matou_i18n::{Text, both, tr};
use ratatui::Frame;
use ratatui::layout::Rect;
use ratatui::style::Style;
use ratatui::text::{Line, Span};

use super::{draw_choices, draw_cut_lines, draw_window, move_by_key};
use crate::call::Choice;
use crate::cut::draw_text;
use crate::keymap::Action;
use crate::layout::ScrollLayout;
use crate::msg::Effect;
use crate::overlay::{Overlay, OverlayReply};
use crate::panes::wrap_text;
use crate::state::App;
use crate::theme::Health;
use matou_base::text::{clean_line, fit_to_width, format_age, format_seconds};
use matou_monitor::{ALERTMANAGER_KEY_PREFIX, Alert, AlertKind, Remedy, Silence};

/// For how long an alert can be silenced: key, hours, text.
const SILENCE_TIMES: [(char, i64, Text); 4] = [
    ('1', 1, both!("for an hour")),
    ('8', 8, both!("for 8 hours")),
    ('d', 24, both!("for a day")),
    ('w', 168, both!("for a week")),
];

#[derive(Default)]
pub(crate) struct AlertsOverlay {
    pub(super) at: usize,
    /// The key of the alert that the operator is being asked for how long to silence.
    asking: Option<String>,
}

impl AlertsOverlay {
    /// The selected alert in full, and what can be done about it.
    fn selected_lines(&self, app: &App, alert: &Alert, columns: usize) -> Vec<Line<'static>> {
        let theme = app.theme;
        let mut lines: Vec<Line> =
            wrap_text(&theme.drawable_text(&clean_line(&alert.why)), columns)
                .into_iter()
                .map(Line::raw)
                .collect();
        let pair = |key: &str, text: &str| {
            [
                Span::styled(key.to_owned(), theme.key()),
                Span::raw(format!(" {text}  ")),
            ]
        };
        if self.asking.is_some() {
            let times = SILENCE_TIMES
                .iter()
                .flat_map(|(key, _, word)| pair(&key.to_string(), word));
            let spans = pair("a", tr!("until it is over"))
                .into_iter()
                .chain(times)
                .chain(pair("u", tr!("no more")));
            lines.extend(lay_out_pairs(&spans.collect::<Vec<_>>(), columns));
            return lines;
        }
        let mut spans = Vec::new();
        let action = remedy_action(alert.remedy);
        if let Some(key) = app.keymap.first_key(action) {
            spans.extend(pair(&key, remedy_word(action)));
        }
        if let Some(silence) = alert.silence {
            spans.push(Span::styled(format_silence(silence, app.now), theme.dim()));
        }
        if !spans.is_empty() {
            lines.extend(lay_out_pairs(&spans, columns));
        }
        lines
    }
}

impl Overlay for AlertsOverlay {
    fn handle_key(&mut self, app: &mut App, key: KeyEvent) -> OverlayReply {
        if let Some(alert) = self.asking.take() {
            return match silence_alert(app, alert, key) {
                Some(effect) => OverlayReply::stay().with_effect(effect),
                None => OverlayReply::stay(),
            };
        }
        let selected = app.alerts.get(self.at).cloned();
        // The key of the remedy selects the row of the alert and runs the remedy.
        if let Some(alert) = &selected
            && let action = remedy_action(alert.remedy)
            && app.keymap.find_action(key) == Some(action)
        {
            if action == Action::Deploy && alert.kind == AlertKind::Edge {
                return show_edge(app, alert);
            }
            // Not on whatever is selected.
            if !app.go_to_target(&alert.target) && acts_on_row(action) {
                app.show_notice(tr!("{} is in none of the panes", alert.what), true);
                return OverlayReply::close();
            }
            return OverlayReply {
                choice: Some(Choice::Action(action)),
                ..OverlayReply::close()
            };
        }
        match key.code {
            KeyCode::Esc | KeyCode::Char('q' | 'a') => OverlayReply::close(),
            KeyCode::Enter => {
                let Some(alert) = selected else {
                    return OverlayReply::close();
                };
                if alert.kind == AlertKind::Edge {
                    return show_edge(app, &alert);
                }
                if !app.show_cause(&alert) {
                    let text = tr!("{} is in none of the panes: {}", alert.what, alert.why);
                    app.show_notice(text, true);
                }
                OverlayReply::close()
            }
            KeyCode::Char('i') => {
                self.asking = selected.map(|a| a.key);
                OverlayReply::stay()
            }
            _ => {
                move_by_key(key, &mut self.at, app.alerts.len(), 10);
                OverlayReply::stay()
            }
        }
    }

    fn draw(&self, app: &App, frame: &mut Frame, screen: Rect) -> ScrollLayout {
        let at = self.at.min(app.alerts.len().saturating_sub(1));
        let drawn = ScrollLayout {
            top: at,
            ..ScrollLayout::default()
        };
        let columns = usize::from(screen.width).saturating_sub(8).min(100);
        let selected = app.alerts.get(at);
        let below = selected.map_or_else(Vec::new, |a| self.selected_lines(app, a, columns));
        let height = app.alerts.len().max(1) + below.len() + 1;
        let size = (columns as u16, height as u16);
        let hint = match (self.asking.is_some(), app.alerts.is_empty()) {
            (true, _) => tr!("ignored for how long? · Esc not at all"),
            (false, true) => tr!("Esc back"),
            (false, false) => tr!("Enter goes there · i ignore · Esc back"),
        };
        let area = draw_window(app, frame, screen, tr!("Alerts"), hint, size);
        if app.alerts.is_empty() {
            let text = tr!("All is as it should be.");
            draw_text(frame.buffer_mut(), area, text, Style::new(), app.theme);
            return drawn;
        }
        let lines = app.alerts.iter().map(|a| alert_line(app, a)).collect();
        // The selected one is told in full below.
        let room = area.height.saturating_sub(below.len() as u16 + 1);
        let list = Rect {
            height: room,
            ..area
        };
        let choices = draw_choices(app, frame, list, lines, at);
        let place = Rect {
            y: (area.y + room + 1).min(area.bottom()),
            height: area.height.saturating_sub(room + 1),
            ..area
        };
        draw_cut_lines(app, frame, place, &below);
        ScrollLayout {
            choices: Some(choices),
            ..drawn
        }
    }

    fn take_layout(&mut self, drawn: ScrollLayout) {
        self.at = drawn.top;
    }
}

/// Silences the alert of this key, or ends its silence, by the key that was pressed; any other key
/// changes nothing. Returns the effect that silences it in Alertmanager, when it is from there.
fn silence_alert(app: &mut App, alert: String, key: KeyEvent) -> Option<Effect> {
    let KeyCode::Char(c) = key.code else {
        return None;
    };
    let hours = SILENCE_TIMES.iter().find(|(key, ..)| *key == c);
    let silence = match (c, hours) {
        ('a', _) => Some(Silence { until: None }),
        ('u', _) => None,
        (_, Some((_, hours, _))) => Some(Silence {
            until: Some(app.now + SignedDuration::from_hours(*hours)),
        }),
        _ => return None,
    };
    app.alert_engine.set_silence(&alert, silence);
    app.alerts = app.alert_engine.alerts(app.now);
    // Alertmanager is to notify nobody else either.
    let fingerprint = alert.strip_prefix(ALERTMANAGER_KEY_PREFIX)?;
    let told = app.fleet.told.value()?;
    let told = told.iter().find(|t| t.fingerprint == fingerprint)?;
    let week = app.now + SignedDuration::from_hours(168);
    Some(Effect::SilenceInAlertmanager {
        labels: told.labels.clone(),
        until: silence?.until.unwrap_or(week),
    })
}

/// Leads to the edge's service, or to the form that deploys it.
fn show_edge(app: &mut App, alert: &Alert) -> OverlayReply {
    match app.missing_edge_form() {
        Some(form) => OverlayReply::replace(form),
        None if app.show_cause(alert) => OverlayReply::close(),
        None => OverlayReply {
            choice: Some(Choice::Action(Action::Deploy)),
            ..OverlayReply::close()
        },
    }
}

/// Whether an action of a remedy is about the selected row.
fn acts_on_row(action: Action) -> bool {
    matches!(
        action,
        Action::Shell | Action::Logs | Action::NodeMenu | Action::RestoreUndo | Action::Verify
    )
}

fn remedy_action(remedy: Remedy) -> Action {
    match remedy {
        Remedy::Shell => Action::Shell,
        Remedy::Logs => Action::Logs,
        Remedy::NodeMenu => Action::NodeMenu,
        Remedy::Deploy => Action::Deploy,
        Remedy::ProvisionAll => Action::ProvisionAll,
        Remedy::Services => Action::Pane2,
        Remedy::Certificates => Action::Pane4,
        Remedy::Backups => Action::Pane5,
        Remedy::BackupAll => Action::BackupAll,
        Remedy::RestoreUndo => Action::RestoreUndo,
        Remedy::Verify => Action::Verify,
    }
}

/// Says what an action does as the remedy of an alert.
fn remedy_word(action: Action) -> &'static str {
    match action {
        Action::Logs => tr!("its log"),
        Action::Shell => tr!("a shell there"),
        Action::NodeMenu => tr!("drain it, reboot it, remove it for good"),
        Action::Provision | Action::ProvisionAll => tr!("make the servers what config.toml says"),
        Action::Deploy => tr!("deploy the edge"),
        Action::Pane4 => tr!("the certificates"),
        Action::Pane5 => tr!("the backups"),
        _ => tr!("the cure"),
    }
}

fn format_silence(silence: Silence, now: Timestamp) -> String {
    match silence.until {
        None => tr!("ignored until it is over").into(),
        Some(until) => match until.as_second() - now.as_second() {
            ..60 => tr!("ignored for a minute").into(),
            seconds => tr!("ignored for {time}", time = format_seconds(seconds)),
        },
    }
}

/// Lays out keys, each with its word behind it, in lines of so many columns.
fn lay_out_pairs(spans: &[Span<'static>], columns: usize) -> Vec<Line<'static>> {
    let mut lines: Vec<Vec<Span<'static>>> = vec![Vec::new()];
    let mut used = 0;
    for pair in spans.chunks(2) {
        let width: usize = pair.iter().map(Span::width).sum();
        // The blanks behind it need no room.
        if used > 0 && used + width.saturating_sub(2) > columns {
            lines.push(Vec::new());
            used = 0;
        }
        used += width;
        if let Some(line) = lines.last_mut() {
            line.extend_from_slice(pair);
        }
    }
    lines.into_iter().map(Line::from).collect()
}

fn alert_line(app: &App, alert: &Alert) -> Line<'static> {
    let theme = app.theme;
    let since = alert
        .since
        .map_or_else(String::new, |t| format_age(app.now, t));
    let health: Health = alert.severity.into();
    let silenced = alert.silence.is_some();
    let (glyph, name, text) = match silenced {
        true => (theme.dim(), theme.dim(), theme.dim()),
        false => (theme.health_style(health), theme.title(), Style::new()),
    };
    let what = fit_to_width(
        &theme.drawable_text(&clean_line(&alert.what)),
        16,
        theme.ellipsis(),
    );
    let why = match silenced {
        true => tr!("(ignored) {}", clean_line(&alert.why)),
        false => clean_line(&alert.why).into_owned(),
    };
    Line::from(vec![
        Span::styled(theme.health_glyph(health), glyph),
        Span::styled(format!(" {what} "), name),
        Span::styled(format!("{} ", fit_to_width(&since, 7, "")), theme.dim()),
        Span::styled(theme.drawable_text(&why), text),
    ])
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::keymap::KEY_TABLE;

    #[test]
    fn a_remedy_is_written_as_its_action_is_named() {
        let all = [
            Remedy::Shell,
            Remedy::Logs,
            Remedy::NodeMenu,
            Remedy::Deploy,
            Remedy::ProvisionAll,
            Remedy::Services,
            Remedy::Certificates,
            Remedy::Backups,
            Remedy::BackupAll,
            Remedy::RestoreUndo,
            Remedy::Verify,
        ];
        for remedy in all {
            let action = remedy_action(remedy);
            let bound = KEY_TABLE.iter().find(|b| b.action == action).unwrap();
            let written = serde_json::to_value(remedy).unwrap();
            assert_eq!(written, bound.name, "{remedy:?}");
        }
    }
}
