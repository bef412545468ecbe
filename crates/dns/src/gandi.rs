//! Gandi LiveDNS, version 5. API: <https://api.gandi.net/docs/livedns/>.

use matou_i18n::{Text, both};
use std::collections::BTreeSet;

use async_trait::async_trait;
use secrecy::{ExposeSecret, SecretString};
use serde::{Deserialize, Serialize};

use super::error::DnsError;
use super::http::{JsonClient, quote_text, run_blocking, unquote_text};
use super::provider::Provider;
use super::record::{RecordChange, RecordKind, RecordSet, Zone, ZoneRecords, plain_name};

/// Where the API is.
pub const GANDI_ENDPOINT: &str = "https://api.gandi.net/v5";

/// What its refusals are about.
const TOKEN: Text = both!("the token of token_file");

/// The interface of Gandi.
#[derive(Clone)]
pub struct GandiProvider {
    client: JsonClient,
    endpoint: String,
    token: SecretString,
}

#[derive(Deserialize)]
struct LiveDomain {
    fqdn: String,
}

#[derive(Deserialize)]
struct LiveRecords {
    rrset_name: String,
    rrset_type: String,
    rrset_ttl: u32,
    rrset_values: Vec<String>,
}

#[derive(Serialize)]
struct NewLiveRecords {
    rrset_values: Vec<String>,
    rrset_ttl: u32,
}

impl GandiProvider {
    /// Takes the API's address and a personal access token.
    pub fn new(endpoint: &str, token: SecretString) -> Self {
        Self {
            client: JsonClient::new("Gandi"),
            endpoint: endpoint.trim_end_matches('/').to_owned(),
            token,
        }
    }

    fn send(
        &self,
        method: &str,
        path: &str,
        body: Option<&str>,
        zone: &str,
    ) -> Result<String, DnsError> {
        let url = format!("{}/livedns/domains{path}", self.endpoint);
        let authorization = SecretString::from(format!("Bearer {}", self.token.expose_secret()));
        let headers = [("Authorization", authorization.expose_secret())];
        let answer = self.client.send(method, &url, &headers, body)?;
        match answer.status {
            // There is one already, which was not there when the zone was read.
            409 => Err(DnsError::Changed { zone: zone.into() }),
            _ => self.client.expect_success(answer, &TOKEN, zone),
        }
    }

    fn read_zone(&self, zone: &Zone) -> Result<ZoneRecords, DnsError> {
        let path = format!("/{zone}/records");
        let body = self.send("GET", &path, None, zone.name())?;
        let mut records = ZoneRecords {
            whole: true,
            ..ZoneRecords::default()
        };
        for set in self.client.parse::<Vec<LiveRecords>>(&body)? {
            let Some(kind) = RecordKind::from_name(&set.rrset_type) else {
                continue;
            };
            for value in set.rrset_values {
                let name = zone.full_name(&set.rrset_name);
                records.add(&name, kind, set.rrset_ttl, read_value(zone, kind, &value));
            }
        }
        Ok(records)
    }

    fn make_change(&self, zone: &Zone, change: &RecordChange) -> Result<(), DnsError> {
        let relative = match zone.relative_name(&change.name) {
            apex if apex.is_empty() => "@".to_owned(),
            relative => relative,
        };
        let path = format!("/{zone}/records/{relative}/{}", change.kind);
        let (method, body) = match (&change.before, &change.after) {
            (_, None) => ("DELETE", None),
            (None, Some(after)) => ("POST", Some(render_set(after))),
            (Some(_), Some(after)) => ("PUT", Some(render_set(after))),
        };
        let body = body.transpose();
        let body = body.map_err(|e| DnsError::answer(&self.client.provider, e))?;
        self.send(method, &path, body.as_deref(), zone.name())?;
        Ok(())
    }
}

fn render_set(set: &RecordSet) -> serde_json::Result<String> {
    let write = |value: &String| match set.kind {
        RecordKind::Txt => quote_text(value),
        _ => value.clone(),
    };
    serde_json::to_string(&NewLiveRecords {
        rrset_values: set.values.iter().map(write).collect(),
        rrset_ttl: set.ttl,
    })
}

/// Returns a value as [`RecordSet`] has it. A name without a dot at the end lies in the zone.
pub(crate) fn read_value(zone: &Zone, kind: RecordKind, value: &str) -> String {
    match kind {
        RecordKind::Txt => unquote_text(value),
        RecordKind::Cname if value.ends_with('.') => plain_name(value),
        RecordKind::Cname => zone.full_name(value),
        _ => value.trim().to_owned(),
    }
}

/// Fails where a record is not what it was when the changes were planned.
pub(crate) fn check_still_so(
    zone: &Zone,
    changes: &[RecordChange],
    now: &ZoneRecords,
) -> Result<(), DnsError> {
    match changes.iter().all(|change| change.is_still_so(now)) {
        true => Ok(()),
        false => Err(DnsError::Changed {
            zone: zone.name().to_owned(),
        }),
    }
}

#[async_trait]
impl Provider for GandiProvider {
    fn name(&self) -> &str {
        &self.client.provider
    }

    fn min_ttl(&self) -> u32 {
        300
    }

    async fn zones(&self) -> Result<Option<Vec<Zone>>, DnsError> {
        let this = self.clone();
        run_blocking(self.name(), move || {
            let body = this.send("GET", "", None, "")?;
            let found: Vec<LiveDomain> = this.client.parse(&body)?;
            let zones: BTreeSet<Zone> = found.iter().map(|d| Zone::new(&d.fqdn)).collect();
            Ok(Some(zones.into_iter().collect()))
        })
        .await
    }

    async fn records(&self, zone: &Zone, _: &[String]) -> Result<ZoneRecords, DnsError> {
        let (this, zone) = (self.clone(), zone.clone());
        run_blocking(self.name(), move || this.read_zone(&zone)).await
    }

    async fn apply(&self, zone: &Zone, changes: &[RecordChange]) -> Result<(), DnsError> {
        let (this, zone, changes) = (self.clone(), zone.clone(), changes.to_vec());
        run_blocking(self.name(), move || {
            check_still_so(&zone, &changes, &this.read_zone(&zone)?)?;
            changes.iter().try_for_each(|c| this.make_change(&zone, c))
        })
        .await
    }
}
