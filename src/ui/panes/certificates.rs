//! Certificates, and what is missing for them to be shown.

use ratatui::style::Style;
use ratatui::text::Line;

use super::{Filter, Page, Row, RowKind, list_line};
use crate::model::Fleet;
use crate::ui::state::App;
use crate::ui::theme::Health;

/// Days that are left of a certificate.
fn days(app: &App, at: usize) -> i64 {
    let certificates = app.fleet.certificates.value();
    certificates.and_then(|c| c.get(at)).map_or(0, |c| {
        (c.not_after.as_second() - app.now.as_second()) / 86_400
    })
}

pub(super) fn rows(fleet: &Fleet, filter: &mut Filter) -> (Vec<Row>, usize) {
    let all = fleet.certificates.value().map_or(&[][..], Vec::as_slice);
    let rows = all
        .iter()
        .enumerate()
        .filter(|(_, c)| filter.keeps(&c.domain))
        .map(|(i, c)| Row {
            key: format!("certificate/{}", c.domain),
            name: c.domain.clone(),
            kind: RowKind::Certificate(i),
            depth: 0,
            open: None,
        })
        .collect();
    (rows, all.len())
}

pub(super) fn line(app: &App, at: usize, columns: usize) -> Line<'static> {
    let Some(c) = app.fleet.certificates.value().and_then(|c| c.get(at)) else {
        return Line::default();
    };
    let left = days(app, at);
    let health = match left {
        ..=0 => Health::Bad,
        d if d < i64::from(app.thresholds.certificate_days) => Health::Partly,
        _ => Health::Good,
    };
    let stale = app.fleet.certificates.is_stale();
    list_line(
        app,
        health,
        0,
        &c.domain,
        &format!("{left} d"),
        columns,
        stale,
    )
}

pub(super) fn detail(app: &App, at: usize) -> Page {
    let page = Page::new(app.theme);
    match app.fleet.certificates.value().and_then(|c| c.get(at)) {
        None => page,
        Some(c) => page
            .heading(&c.domain)
            .blank()
            .field("issuer", &c.issuer)
            .field("days left", &days(app, at).to_string())
            .field("ends", &c.not_after.to_string())
            .field("names", &c.names.join(" ")),
    }
}

/// The domains that applications claim, while nothing looks at their certificates yet.
pub(super) fn nothing(app: &App) -> Page {
    let domains: Vec<&String> = app
        .fleet
        .swarm
        .value()
        .into_iter()
        .flat_map(|s| &s.services)
        .flat_map(|s| &s.domains)
        .collect();
    let page = Page::new(app.theme).wrapped(
        "Certificates are not watched yet: this version reads the domains of the applications, and does not look at what is served for them.",
        60,
        Style::new(),
    );
    if domains.is_empty() {
        return page.blank().text("No application has a domain.");
    }
    let page = page.blank().heading("Domains of the applications");
    domains.iter().fold(page, |page, d| page.text(d))
}
