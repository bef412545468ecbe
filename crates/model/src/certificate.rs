//! Certificates as they are really served.

use jiff::Timestamp;
use matou_base::text::SafeText;
use matou_i18n::{tr, trn};
use serde::Serialize;

/// What the edge serves for one domain of an application.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct Certificate {
    /// The host name that was asked for.
    pub domain: String,
    /// The service that claims the domain.
    pub service: String,
    /// By node: the certificate it serves, or why it serves none. Nodes that do not listen for
    /// https are left out, unless none does.
    #[serde(serialize_with = "crate::reading::write_node_outcomes")]
    pub nodes: Vec<(String, Result<ServedCertificate, SafeText>)>,
    /// What Traefik's store holds for the domain; `None` when the store could not be read.
    pub stored: Option<Vec<StoredCertificate>>,
    /// It is stored, and no router asks for it: Traefik renews it for nothing.
    pub orphan: bool,
}

/// A certificate in Traefik's store, acme.json.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct StoredCertificate {
    /// Traefik's certificate resolver; empty in a store of Traefik 1.
    pub resolver: String,
    /// `None` when it can't be read.
    pub not_after: Option<Timestamp>,
}

/// One certificate of a chain.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct ChainLink {
    /// Whose it is, as `CN=…`.
    pub subject: String,
    /// Who signed it, as `CN=…`.
    pub issuer: String,
    /// Its last second.
    pub not_after: Timestamp,
    /// Hexadecimal, with colons.
    pub serial: String,
    /// Kind and bits of its key.
    pub key: String,
}

/// A certificate that a server showed.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct ServedCertificate {
    /// The authority that signed it, by its common name.
    pub issuer: String,
    /// DNS names it covers.
    pub names: Vec<String>,
    /// Its first second.
    pub not_before: Timestamp,
    /// Its last second.
    pub not_after: Timestamp,
    /// Why a browser would refuse it; `None` when it would not.
    pub problem: Option<String>,
    /// The chain as PEM, the leaf first.
    #[serde(skip)]
    pub pem: String,
    /// The leaf first.
    pub chain: Vec<ChainLink>,
}

impl ServedCertificate {
    /// Whole days until it ends; negative when it has.
    pub fn days_left(&self, now: Timestamp) -> i64 {
        (self.not_after.as_second() - now.as_second()).div_euclid(86_400)
    }

    /// Returns the state at `now`. Lifetimes get shorter (90, 64, 45 days), and Traefik renews when
    /// a third is left: less than a quarter is late, less than a tenth is ending. More than `most`
    /// days left are never late.
    pub fn state_at(&self, now: Timestamp, most: u32) -> CertificateState {
        let life = self.not_after.as_second() - self.not_before.as_second();
        let left = self.not_after.as_second() - now.as_second();
        let late = (life / 4).min(i64::from(most) * 86_400);
        match left {
            _ if self.problem.is_some() => CertificateState::Refused,
            ..=0 => CertificateState::Refused,
            left if left < life / 10 => CertificateState::Ending,
            left if left < late => CertificateState::Late,
            _ => CertificateState::Good,
        }
    }
}

/// How a certificate stands, worst last.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub enum CertificateState {
    /// There is nothing to do.
    Good,
    /// It should have been renewed by now.
    Late,
    /// It ends soon.
    Ending,
    /// Browsers refuse it.
    Refused,
}

impl Certificate {
    /// The worst of what the nodes serve; `None` when no node serves anything.
    pub fn worst_served(&self, now: Timestamp, most: u32) -> Option<&ServedCertificate> {
        let served = self.nodes.iter().filter_map(|(_, s)| s.as_ref().ok());
        served.max_by_key(|s| (s.state_at(now, most), -s.not_after.as_second()))
    }

    /// Returns the state of the domain at `now`.
    pub fn state_at(&self, now: Timestamp, most: u32) -> CertificateState {
        if self.orphan {
            return CertificateState::Good;
        }
        if self.nodes.iter().any(|(_, s)| s.is_err()) {
            return CertificateState::Refused;
        }
        self.worst_served(now, most)
            .map_or(CertificateState::Refused, |s| s.state_at(now, most))
    }

    /// What is wrong in one sentence, if something is.
    pub fn problem(&self, now: Timestamp, most: u32) -> Option<String> {
        if self.orphan {
            return None;
        }
        let failed = self.nodes.iter().find_map(|(node, served)| match served {
            Err(reason) => Some(format!("{node}: {reason}")),
            Ok(_) => None,
        });
        if failed.is_some() || self.nodes.is_empty() {
            return failed.or_else(|| Some(tr!("no node was asked").into()));
        }
        let worst = self.worst_served(now, most)?;
        let days = worst.days_left(now);
        match worst.state_at(now, most) {
            CertificateState::Good => None,
            CertificateState::Refused => Some(
                worst
                    .problem
                    .clone()
                    .unwrap_or_else(|| tr!("it has expired").into()),
            ),
            CertificateState::Late | CertificateState::Ending => Some(trn!(
                days,
                "it ends in {days} days and was not renewed: Traefik's log says why",
                "it ends in {days} days and was not renewed: Traefik's log says why"
            )),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn served(life: i64, left: i64) -> ServedCertificate {
        let day = 86_400;
        ServedCertificate {
            issuer: "R1".into(),
            names: vec!["a.org".into()],
            not_before: Timestamp::from_second((left - life) * day).unwrap(),
            not_after: Timestamp::from_second(left * day).unwrap(),
            problem: None,
            pem: String::new(),
            chain: Vec::new(),
        }
    }

    #[test]
    fn thresholds_go_with_the_lifetime() {
        let now = Timestamp::UNIX_EPOCH;
        for (life, left, wanted) in [
            (90, 60, CertificateState::Good),
            (90, 22, CertificateState::Good),
            (90, 20, CertificateState::Late),
            (90, 8, CertificateState::Ending),
            (45, 12, CertificateState::Good),
            (45, 10, CertificateState::Late),
            (6, 2, CertificateState::Good),
            (6, 1, CertificateState::Late),
            (90, 0, CertificateState::Refused),
        ] {
            assert_eq!(
                served(life, left).state_at(now, 21),
                wanted,
                "{left} of {life}"
            );
        }
    }

    #[test]
    fn one_bad_node_makes_the_domain_bad() {
        let now = Timestamp::UNIX_EPOCH;
        let mut certificate = Certificate {
            domain: "a.org".into(),
            service: "a_web".into(),
            nodes: vec![("n1".into(), Ok(served(90, 60)))],
            stored: None,
            orphan: false,
        };
        assert_eq!(certificate.problem(now, 21), None);
        certificate
            .nodes
            .push(("n2".into(), Err("nothing listens".into())));
        assert_eq!(certificate.state_at(now, 21), CertificateState::Refused);
        assert_eq!(
            certificate.problem(now, 21).as_deref(),
            Some("n2: nothing listens")
        );
    }
}
