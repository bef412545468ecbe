//! What a page says, and the configuration of the server that says it.

use matou_model::{PAGE_HEADER, PageKind};
use matou_stack::PAGE_PORT;

const HTML: &str = include_str!("../../files/page.html");
const SERVER: &str = include_str!("../../files/page-haproxy.cfg");

/// Seconds after which visitors' programs ask again (RFC 9110, 10.2.3).
const RETRY_AFTER: u32 = 120;

/// The largest page, bytes: the server keeps it in one buffer, with the headers.
pub(super) const MAX_HTML_BYTES: u64 = 128 << 10;

/// The texts of a page: title and sentence, in French and in English.
fn texts(kind: PageKind) -> [(&'static str, &'static str, &'static str); 2] {
    match kind {
        PageKind::Maintenance => [
            (
                "fr",
                "De retour dans quelques minutes",
                "Ce site est en maintenance. Rien n'est perdu\u{202f}: réessayez dans quelques minutes.",
            ),
            (
                "en",
                "Back in a few minutes",
                "This site is being maintained. Nothing is lost: please try again in a few minutes.",
            ),
        ],
        PageKind::Suspended => [
            (
                "fr",
                "Ce site est fermé pour le moment",
                "Pour en savoir plus, adressez-vous à la personne qui le tient.",
            ),
            (
                "en",
                "This site is closed for now",
                "To know more, please ask whoever runs it.",
            ),
        ],
    }
}

/// The files of a page, by name: what the server says, and its configuration. `own` is the operator's
/// own page, the same for every language.
pub(super) fn page_files(kind: PageKind, own: Option<&str>) -> Vec<(&'static str, String)> {
    let mut files: Vec<(&'static str, String)> = texts(kind)
        .map(|(lang, title, text)| {
            let page = match own {
                Some(own) => own.to_owned(),
                None => HTML
                    .replace("{lang}", lang)
                    .replace("{title}", title)
                    .replace("{text}", text),
            };
            (if lang == "fr" { "fr.html" } else { "en.html" }, page)
        })
        .into();
    let mut headers = vec![
        format!("hdr {PAGE_HEADER} {}", kind.as_str()),
        "hdr Cache-Control no-store".to_owned(),
        "hdr Vary Accept-Language".to_owned(),
    ];
    if kind == PageKind::Maintenance {
        headers.push(format!("hdr Retry-After {RETRY_AFTER}"));
    }
    let server = SERVER
        .replace("{port}", &PAGE_PORT.to_string())
        .replace("{status}", &kind.status().to_string())
        .replace("{headers}", &headers.join(" "));
    files.push(("haproxy.cfg", server));
    files
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn each_kind_has_its_status_and_only_a_maintenance_says_when_to_come_back() {
        let server = |kind| page_files(kind, None).pop().unwrap().1;
        let maintenance = server(PageKind::Maintenance);
        assert_eq!(maintenance.matches("status 503").count(), 2);
        assert_eq!(maintenance.matches("hdr Retry-After 120").count(), 2);
        let suspended = server(PageKind::Suspended);
        assert!(suspended.contains("status 403") && !suspended.contains("Retry-After"));
        for text in [&maintenance, &suspended] {
            assert!(
                !text.contains("{port}") && !text.contains("{headers}"),
                "{text}"
            );
        }
        for (name, text) in page_files(PageKind::Suspended, None) {
            assert!(
                !text.contains("{title}") && !text.contains("{text}"),
                "{name}"
            );
        }
        let own = page_files(PageKind::Suspended, Some("<p>ours"));
        assert!(own[..2].iter().all(|(_, text)| text == "<p>ours"));
    }
}
