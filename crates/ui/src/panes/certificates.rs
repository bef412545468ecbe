//! Certificates: what each node of the edge serves for each domain, as read by a handshake.

use ratatui::style::Style;
use ratatui::text::Line;

use super::page::{DetailPage, format_list_line};
use super::row::{PaneRow, RowFilter, RowKind};
use crate::state::App;
use crate::theme::Health;
use matou_model::{Certificate, CertificateState, ChainLink, Fleet};

pub(crate) fn certificate_health(state: CertificateState) -> Health {
    match state {
        CertificateState::Good => Health::Good,
        CertificateState::Late => Health::Partly,
        CertificateState::Ending | CertificateState::Refused => Health::Bad,
    }
}

pub(super) fn certificate_rows(fleet: &Fleet, filter: &mut RowFilter) -> (Vec<PaneRow>, usize) {
    let all = fleet.certificates.value().map_or(&[][..], Vec::as_slice);
    let rows = all
        .iter()
        .enumerate()
        .filter(|(_, c)| filter.matches(&c.domain))
        .map(|(i, c)| PaneRow {
            key: format!("certificate/{}", c.domain),
            name: c.domain.clone(),
            kind: RowKind::Certificate(i),
            depth: 0,
            open: None,
        })
        .collect();
    (rows, all.len())
}

pub(super) fn row_health(app: &App, at: usize) -> Health {
    match app.fleet.certificates.value().and_then(|c| c.get(at)) {
        None => Health::Unknown,
        Some(c) if c.orphan => Health::Partly,
        Some(c) => certificate_health(c.state_at(app.now, app.thresholds.certificate_days)),
    }
}

pub(super) fn certificate_line(app: &App, at: usize, columns: usize) -> Line<'static> {
    let Some(c) = app.fleet.certificates.value().and_then(|c| c.get(at)) else {
        return Line::default();
    };
    let most = app.thresholds.certificate_days;
    let state = c.state_at(app.now, most);
    let right = match (state, c.worst_served(app.now, most)) {
        _ if c.orphan => "orphan".to_owned(),
        (_, None) => "not served".to_owned(),
        (CertificateState::Refused, Some(_)) => "refused".to_owned(),
        (_, Some(served)) => format!("{} d", served.days_left(app.now)),
    };
    let stale = app.fleet.certificates.is_stale();
    let health = row_health(app, at);
    format_list_line(app, health, 0, &c.domain, &right, columns, stale)
}

/// For how long the worst of what is served is valid; `None` where nothing is served.
pub(super) fn seconds_left(app: &App, at: usize) -> Option<i64> {
    let certificate = app.fleet.certificates.value()?.get(at)?;
    let most = app.thresholds.certificate_days;
    let served = certificate.worst_served(app.now, most)?;
    Some(served.not_after.as_second() - app.now.as_second())
}

pub(super) fn certificate_detail(app: &App, at: usize, columns: usize) -> DetailPage {
    let theme = app.theme;
    let page = DetailPage::new(theme);
    let Some(c) = app.fleet.certificates.value().and_then(|c| c.get(at)) else {
        return page;
    };
    let most = app.thresholds.certificate_days;
    let mut page = page
        .heading(&c.domain)
        .blank_line()
        .field("service", &c.service);
    if let Some(problem) = c.problem(app.now, most) {
        let style = theme.health_style(certificate_health(c.state_at(app.now, most)));
        page = page.blank_line().wrapped_text(&problem, columns, style);
    }
    if c.orphan {
        let text = "It is in Traefik's store, and no router asks for it: it is renewed for nothing. `renew` in the palette (:) forgets it.";
        page = page
            .blank_line()
            .wrapped_text(text, columns, theme.changed());
    }
    for (node, served) in &c.nodes {
        page = page.blank_line().heading(&format!("Served by {node}"));
        page = match served {
            Err(reason) => page.wrapped_text(reason, columns, theme.health_style(Health::Bad)),
            Ok(served) => {
                let state = served.state_at(app.now, most);
                let page = page
                    .styled_field(
                        "days left",
                        &served.days_left(app.now).to_string(),
                        theme.health_style(certificate_health(state)),
                    )
                    .field("ends", &served.not_after.to_string())
                    .field("issued", &served.not_before.to_string())
                    .field("issuer", &served.issuer)
                    .field("names", &served.names.join(" "));
                let page = match &served.problem {
                    Some(problem) => {
                        page.wrapped_text(problem, columns, theme.health_style(Health::Bad))
                    }
                    None => page.text("Browsers take it."),
                };
                add_certificate_chain(page, &served.chain)
            }
        };
    }
    add_stored_fields(page, c, app, columns)
}

/// Adds the chain that a node served: each certificate with its issuer.
fn add_certificate_chain(mut page: DetailPage, links: &[ChainLink]) -> DetailPage {
    if links.is_empty() {
        return page;
    }
    page = page.blank_line().text("Its chain");
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

/// Adds the certificates that are stored in acme.json.
fn add_stored_fields(page: DetailPage, c: &Certificate, app: &App, columns: usize) -> DetailPage {
    let page = page.blank_line().heading("Stored in acme.json");
    match &c.stored {
        None => page.text("It could not be read."),
        Some(all) if all.is_empty() => page.wrapped_text(
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

/// Says why the pane is empty.
pub(super) fn empty_certificates_detail(app: &App) -> DetailPage {
    let page = DetailPage::new(app.theme);
    match (
        app.fleet.certificates.value(),
        app.fleet.certificates.error(),
    ) {
        (Some(_), _) => page.wrapped_text(
            "No application has a domain yet: an application that is deployed with one is listed here with the certificate that is served for it.",
            60,
            Style::new(),
        ),
        (None, Some(reason)) => page.wrapped_text(reason, 60, Style::new()),
        (None, None) => page.text("Nothing was looked at yet."),
    }
}
