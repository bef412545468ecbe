//! Why Traefik has no certificate for a name, from its log, in plain words.

use matou_i18n::tr;

/// Finds the newest reason in Traefik's log why a domain has no certificate.
pub fn find_acme_failure(log: &str, domain: &str) -> Option<String> {
    let line = log
        .lines()
        .rev()
        .map(|line| matou_base::text::clean_bytes(line.as_bytes()))
        .find(|line| {
            let lower = line.to_ascii_lowercase();
            mentions_domain(&lower, domain)
                && (lower.contains("acme") || lower.contains("certificate resolver"))
                && (lower.contains("unable to obtain")
                    || lower.contains("error renewing")
                    || lower.contains("nonexistent certificate resolver"))
        })?;
    Some(explain_acme_failure(&line))
}

/// Whether a line is about the name, and not about one that only ends in it.
fn mentions_domain(line: &str, domain: &str) -> bool {
    let part = |c: char| c.is_ascii_alphanumeric() || c == '-' || c == '.';
    line.match_indices(domain).any(|(at, _)| {
        let before = line[..at].chars().next_back();
        let after = line[at + domain.len()..].chars().next();
        !before.is_some_and(part) && !after.is_some_and(|c| c.is_ascii_alphanumeric() || c == '-')
    })
}

/// Explains a line about a failed certificate. Types of problems: RFC 8555, section 6.7.
fn explain_acme_failure(line: &str) -> String {
    let lower = line.to_ascii_lowercase();
    let has = |words: &[&str]| words.iter().any(|w| lower.contains(w));
    if has(&["ratelimited", "too many"]) {
        let until = lower.split("retry after ").nth(1).map(|rest| {
            let end = rest.find([':', '"']).map(|i| {
                // A time holds colons of its own: up to the zone.
                rest.find("utc").map_or(i, |z| z + 3)
            });
            rest[..end.unwrap_or(rest.len())].trim().to_owned()
        });
        return match until {
            Some(until) => tr!("the authority's rate limit is reached, until {until}"),
            None => {
                tr!("the authority's rate limit is reached: wait before the next attempt").into()
            }
        };
    }
    if has(&["nonexistent certificate resolver"]) {
        return tr!("the router names a certificate resolver that Traefik does not have").into();
    }
    if has(&[
        "error:dns",
        "nxdomain",
        "servfail",
        "no valid ip addresses",
        "looking up a",
        "lookup",
    ]) {
        return tr!("DNS does not know the name, or leads nowhere: add an A record").into();
    }
    if has(&[
        "error:connection",
        "timeout during connect",
        "connection refused",
    ]) {
        return tr!("the authority can't reach port 80 of the address that DNS gives: is it open, and this fleet's?").into();
    }
    if has(&[
        "error:unauthorized",
        "invalid response",
        "incorrect validation",
    ]) {
        return tr!("another server answers under this name: DNS leads elsewhere").into();
    }
    if has(&["error:caa"]) {
        return tr!("a CAA record of the domain forbids this authority").into();
    }
    if has(&["permissions"]) {
        return tr!("acme.json can be read by others, so Traefik leaves it alone: chmod 600")
            .into();
    }
    let words: String = line.chars().take(200).collect();
    tr!("Traefik says: {words}")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn reasons_are_found_and_told_in_plain_words() {
        let log = "\x1b[31mERR\x1b[0m Unable to obtain ACME certificate for domains error=\"urn:ietf:params:acme:error:connection\" domains=[\"a.example.org\"]\n\
            ERR Unable to obtain ACME certificate for domains error=\"acme: error: 400 :: urn:ietf:params:acme:error:dns :: DNS problem: NXDOMAIN looking up A for b.example.org\" domains=[\"b.example.org\"]\n\
            ERR Unable to obtain ACME certificate for domains error=\"429 :: urn:ietf:params:acme:error:rateLimited :: too many certificates (5), retry after 2026-11-24 10:11:12 UTC: see\" domains=[\"c.example.org\"]\n\
            INF other d.example.org\n";
        assert!(
            find_acme_failure(log, "a.example.org")
                .unwrap()
                .contains("port 80")
        );
        assert!(
            find_acme_failure(log, "b.example.org")
                .unwrap()
                .starts_with("DNS does not know")
        );
        assert_eq!(
            find_acme_failure(log, "c.example.org").unwrap(),
            "the authority's rate limit is reached, until 2026-11-24 10:11:12 utc"
        );
        assert_eq!(find_acme_failure(log, "d.example.org"), None);
        // A name that another one ends in is not meant.
        assert_eq!(find_acme_failure(log, "example.org"), None);
    }

    proptest::proptest! {
        #[test]
        fn nothing_panics(log in "\\PC{0,200}", domain in "[a-z.]{1,10}") {
            let _ = find_acme_failure(&format!("unable to obtain acme {domain} ratelimited retry after {log}"), &domain);
        }
    }
}
