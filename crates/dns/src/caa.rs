//! CAA records: who may issue certificates for a name (RFC 8659).

use super::record::{RecordKind, RecordSet, Zone, ZoneRecords};
use matou_i18n::tr;

/// The authority that applications get their certificates from.
const LETS_ENCRYPT: &str = "letsencrypt.org";

/// Returns why Let's Encrypt will issue no certificate for a name; `None` where it may.
pub(crate) fn find_caa_warning(zone: &Zone, name: &str, records: &ZoneRecords) -> Option<String> {
    // The nearest set counts alone.
    let names = zone.list_names_above(name.trim_start_matches("*."));
    let mut above = names.iter();
    let set = above.find_map(|name| records.find(name, RecordKind::Caa))?;
    let allowed = list_issuers(set, name.starts_with("*."))?;
    if allowed.iter().any(|issuer| issuer == LETS_ENCRYPT) {
        return None;
    }
    let who = match allowed.iter().filter(|i| !i.is_empty()).count() {
        0 => tr!("nobody").to_owned(),
        _ => allowed.join(", "),
    };
    Some(tr!(
        "CAA of {} lets {who} issue certificates: Let's Encrypt will refuse; add CAA 0 issue \"{LETS_ENCRYPT}\" there",
        set.name
    ))
}

/// Lists the authorities that may issue; `None` where the records say nothing of it.
fn list_issuers(set: &RecordSet, wildcard: bool) -> Option<Vec<String>> {
    let of = |wanted: &str| {
        let found = set.values.iter().filter_map(|value| {
            let mut parts = value.splitn(3, ' ');
            let (_, tag, rest) = (parts.next()?, parts.next()?, parts.next()?);
            let issuer = rest.trim_matches('"').split(';').next().unwrap_or_default();
            tag.eq_ignore_ascii_case(wanted)
                .then(|| issuer.trim().to_ascii_lowercase())
        });
        found.collect::<Vec<String>>()
    };
    let mut issuers = match wildcard {
        true => of("issuewild"),
        false => Vec::new(),
    };
    if issuers.is_empty() {
        issuers = of("issue");
    }
    (!issuers.is_empty()).then_some(issuers)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn warning(name: &str, sets: &[(&str, &[&str])]) -> Option<String> {
        let mut records = ZoneRecords::default();
        for (at, values) in sets {
            for value in *values {
                records.add(at, RecordKind::Caa, 300, (*value).to_owned());
            }
        }
        find_caa_warning(&Zone::new("example.org"), name, &records)
    }

    #[test]
    fn the_nearest_set_says_who_may_issue() {
        let other = ["0 issue \"ca.example\""];
        let ours = ["0 issue \"letsencrypt.org; validationmethods=http-01\""];
        assert_eq!(warning("a.example.org", &[]), None);
        let said = warning("a.example.org", &[("example.org", &other)]).unwrap();
        assert!(
            said.starts_with("CAA of example.org lets ca.example issue"),
            "{said}"
        );
        let both = [("example.org", &other[..]), ("a.example.org", &ours[..])];
        assert_eq!(warning("a.example.org", &both), None);
        assert_eq!(warning("www.a.example.org", &both), None);
        let nobody = warning("example.org", &[("example.org", &["0 issue \";\""])]).unwrap();
        assert!(nobody.contains("lets nobody issue"), "{nobody}");
        // Only mail is said of somebody.
        let mail = ["0 iodef \"mailto:a@example.org\""];
        assert_eq!(warning("example.org", &[("example.org", &mail)]), None);
        let wild = [
            "0 issue \"letsencrypt.org\"",
            "0 issuewild \"other.example\"",
        ];
        assert_eq!(warning("a.example.org", &[("example.org", &wild)]), None);
        assert!(warning("*.example.org", &[("example.org", &wild)]).is_some());
    }
}
