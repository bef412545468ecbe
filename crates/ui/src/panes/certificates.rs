//! Certificates: what each node of the edge serves for each domain, as read by a handshake.

use matou_i18n::tr;
use ratatui::style::Style;
use ratatui::text::Line;

use super::page::{DetailPage, format_list_line, format_since};
use super::row::{PaneRow, RowFilter, RowKind};
use crate::state::App;
use crate::theme::Health;
use matou_model::{Certificate, CertificateState, ChainLink, Fleet, RegisteredDomain};
use matou_monitor::rate_domain_expiry;

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
        _ if c.orphan => tr!("orphan").to_owned(),
        (_, None) => tr!("not served").to_owned(),
        (CertificateState::Refused, Some(_)) => tr!("refused").to_owned(),
        (_, Some(served)) => tr!("{days} d", days = served.days_left(app.now)),
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
        .field(tr!("service"), &c.service);
    page = add_registration(page, c, app, columns);
    if let Some(problem) = c.problem(app.now, most) {
        let style = theme.health_style(certificate_health(c.state_at(app.now, most)));
        page = page.blank_line().wrapped_text(&problem, columns, style);
    }
    if c.orphan {
        let text = tr!(
            "It is in Traefik's store, and no router asks for it: it is renewed for nothing. `renew` in the palette (:) forgets it."
        );
        page = page
            .blank_line()
            .wrapped_text(text, columns, theme.changed());
    }
    for (node, served) in &c.nodes {
        page = page.blank_line().heading(&tr!("Served by {node}"));
        page = match served {
            Err(reason) => page.wrapped_text(reason, columns, theme.health_style(Health::Bad)),
            Ok(served) => {
                let state = served.state_at(app.now, most);
                let page = page
                    .styled_field(
                        tr!("days left"),
                        &served.days_left(app.now).to_string(),
                        theme.health_style(certificate_health(state)),
                    )
                    .field(tr!("ends"), &served.not_after.to_string())
                    .field(tr!("issued"), &served.not_before.to_string())
                    .field(tr!("issuer"), &served.issuer)
                    .field(tr!("names"), &served.names.join(" "));
                let page = match &served.problem {
                    Some(problem) => {
                        page.wrapped_text(problem, columns, theme.health_style(Health::Bad))
                    }
                    None => page.text(tr!("Browsers take it.")),
                };
                add_certificate_chain(page, &served.chain)
            }
        };
    }
    add_stored_fields(page, c, app, columns)
}

/// Adds until when the domain is registered that a name belongs to, as its registry says.
fn add_registration(page: DetailPage, c: &Certificate, app: &App, columns: usize) -> DetailPage {
    let all = app.fleet.domains.value().map_or(&[][..], Vec::as_slice);
    let Some(domain) = RegisteredDomain::find_of_name(all, &c.domain) else {
        return page;
    };
    let page = page.field(tr!("domain"), &domain.name);
    match &domain.expiry {
        Ok(expiry) => {
            let style = match rate_domain_expiry(expiry, app.now) {
                None => Style::new(),
                Some(severity) => app.theme.health_style(severity.into()),
            };
            let until = expiry.at.strftime("%F");
            let left = expiry.days_left(app.now);
            let text = match expiry.gone {
                true => tr!("not known to its registry any more").to_owned(),
                false => tr!("until {until}, {left} d left"),
            };
            page.styled_field(tr!("registered"), &text, style)
                .field("", &tr!("read {}", format_since(app, expiry.read)))
        }
        Err(why) => page.wrapped_text(
            &tr!("until when it is registered: {why}"),
            columns,
            app.theme.dim(),
        ),
    }
}

/// Adds the chain that a node served: each certificate with its issuer.
fn add_certificate_chain(mut page: DetailPage, links: &[ChainLink]) -> DetailPage {
    if links.is_empty() {
        return page;
    }
    page = page.blank_line().text(tr!("Its chain"));
    for link in links {
        let end = link.not_after.strftime("%Y-%m-%d");
        page = page
            .text(&tr!("  {} by {}", link.subject, link.issuer))
            .text(&tr!(
                "    until {end}, {}, serial {}",
                link.key,
                link.serial
            ));
    }
    page
}

/// Adds the certificates that are stored in acme.json.
fn add_stored_fields(page: DetailPage, c: &Certificate, app: &App, columns: usize) -> DetailPage {
    let page = page.blank_line().heading(tr!("Stored in acme.json"));
    match &c.stored {
        None => page.text(tr!("It could not be read.")),
        Some(all) if all.is_empty() => page.wrapped_text(
            tr!("nothing: Traefik has not got one yet, or it comes from elsewhere"),
            columns,
            app.theme.changed(),
        ),
        Some(all) => all.iter().fold(page, |page, stored| {
            let end = stored
                .not_after
                .map_or(tr!("can't be read").to_owned(), |t| tr!("ends {t}"));
            page.field(tr!("resolver"), &stored.resolver)
                .field("", &end)
        }),
    }
}

/// Says why the pane is empty.
pub(super) fn empty_certificates_detail(app: &App, columns: usize) -> DetailPage {
    let page = DetailPage::new(app.theme);
    match (
        app.fleet.certificates.value(),
        app.fleet.certificates.error(),
    ) {
        (Some(_), _) => page.wrapped_text(
            tr!("No application has a domain yet: an application that is deployed with one is listed here with the certificate that is served for it."),
            columns,
            Style::new(),
        ),
        (None, Some(reason)) => page.wrapped_text(reason, columns, Style::new()),
        (None, None) => page.text(tr!("Nothing was looked at yet.")),
    }
}
