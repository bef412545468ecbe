//! Certificates: what is served for each domain, by the handshake with each node of the edge.

use ratatui::style::Style;
use ratatui::text::Line;

use super::{Filter, Page, Row, RowKind, list_line};
use crate::model::{Certificate, CertificateState, ChainLink, Fleet};
use crate::ui::state::App;
use crate::ui::theme::Health;

pub(super) fn health(state: CertificateState) -> Health {
    match state {
        CertificateState::Good => Health::Good,
        CertificateState::Late => Health::Partly,
        CertificateState::Ending | CertificateState::Refused => Health::Bad,
    }
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
    let most = app.thresholds.certificate_days;
    let state = c.state(app.now, most);
    let right = match (state, c.worst(app.now, most)) {
        _ if c.orphan => "orphan".to_owned(),
        (_, None) => "not served".to_owned(),
        (CertificateState::Refused, Some(_)) => "refused".to_owned(),
        (_, Some(served)) => format!("{} d", served.days_left(app.now)),
    };
    let stale = app.fleet.certificates.is_stale();
    let health = match c.orphan {
        true => Health::Partly,
        false => health(state),
    };
    list_line(app, health, 0, &c.domain, &right, columns, stale)
}

pub(super) fn detail(app: &App, at: usize, columns: usize) -> Page {
    let theme = app.theme;
    let page = Page::new(theme);
    let Some(c) = app.fleet.certificates.value().and_then(|c| c.get(at)) else {
        return page;
    };
    let most = app.thresholds.certificate_days;
    let mut page = page.heading(&c.domain).blank().field("service", &c.service);
    if let Some(problem) = c.problem(app.now, most) {
        let style = theme.health(health(c.state(app.now, most)));
        page = page.blank().wrapped(&problem, columns, style);
    }
    if c.orphan {
        let text = "It is in Traefik's store, and no router asks for it: it is renewed for nothing. `renew` in the palette (:) forgets it.";
        page = page.blank().wrapped(text, columns, theme.changed());
    }
    for (node, served) in &c.nodes {
        page = page.blank().heading(&format!("Served by {node}"));
        page = match served {
            Err(reason) => page.wrapped(reason, columns, theme.health(Health::Bad)),
            Ok(served) => {
                let state = served.state(app.now, most);
                let page = page
                    .styled_field(
                        "days left",
                        &served.days_left(app.now).to_string(),
                        theme.health(health(state)),
                    )
                    .field("ends", &served.not_after.to_string())
                    .field("issued", &served.not_before.to_string())
                    .field("issuer", &served.issuer)
                    .field("names", &served.names.join(" "));
                let page = match &served.problem {
                    Some(problem) => page.wrapped(problem, columns, theme.health(Health::Bad)),
                    None => page.text("Browsers take it."),
                };
                chain(page, &served.chain)
            }
        };
    }
    stored(page, c, app, columns)
}

/// The certificates that a server showed, each with who vouches for it.
fn chain(mut page: Page, links: &[ChainLink]) -> Page {
    if links.is_empty() {
        return page;
    }
    page = page.blank().text("Its chain");
    for link in links {
        let end = link.not_after.strftime("%Y-%m-%d");
        page = page
            .text(&format!("  {} by {}", link.subject, link.issuer))
            .text(&format!(
                "    until {end}, {}, serial {}",
                link.key, link.serial
            ));
    }
    page
}

/// What Traefik's store holds, beside what is served.
fn stored(page: Page, c: &Certificate, app: &App, columns: usize) -> Page {
    let page = page.blank().heading("Stored in acme.json");
    match &c.stored {
        None => page.text("It could not be read."),
        Some(all) if all.is_empty() => page.wrapped(
            "nothing: Traefik has not got one yet, or it comes from elsewhere",
            columns,
            app.theme.changed(),
        ),
        Some(all) => all.iter().fold(page, |page, stored| {
            let end = stored
                .not_after
                .map_or("can't be read".to_owned(), |t| format!("ends {t}"));
            page.field("resolver", &stored.resolver).field("", &end)
        }),
    }
}

/// What the empty pane says.
pub(super) fn nothing(app: &App) -> Page {
    let page = Page::new(app.theme);
    match (
        app.fleet.certificates.value(),
        app.fleet.certificates.error(),
    ) {
        (Some(_), _) => page.wrapped(
            "No application has a domain yet: an application that is deployed with one is listed here with the certificate that is served for it.",
            60,
            Style::new(),
        ),
        (None, Some(reason)) => page.wrapped(reason, 60, Style::new()),
        (None, None) => page.text("Nothing was looked at yet."),
    }
}
