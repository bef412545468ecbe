//! Scaleway Domains and DNS. API: <https://www.scaleway.com/en/developers/api/domains-and-dns/>.
//! All changes of a zone are one request: they are made together or not at all.

use async_trait::async_trait;
use matou_i18n::{Text, both};
use secrecy::{ExposeSecret, SecretString};
use serde::Deserialize;
use serde_json::{Value, json};

use super::error::DnsError;
use super::gandi::{check_still_so, read_value};
use super::http::{JsonClient, quote_text, run_blocking};
use super::provider::Provider;
use super::record::{RecordChange, RecordKind, RecordSet, Zone, ZoneRecords};

/// Where the API is.
pub const SCALEWAY_ENDPOINT: &str = "https://api.scaleway.com";

/// What its refusals are about.
const TOKEN: Text = both!("the secret key of token_file");

/// Records, or zones, that are asked for at a time.
const PAGE: usize = 100;

/// Pages that are read at most.
const PAGES: usize = 1000;

/// The interface of Scaleway.
#[derive(Clone)]
pub struct ScalewayProvider {
    client: JsonClient,
    endpoint: String,
    token: SecretString,
}

#[derive(Deserialize)]
struct ZonesPage {
    dns_zones: Vec<FoundZone>,
    total_count: usize,
}

#[derive(Deserialize)]
struct FoundZone {
    domain: String,
    #[serde(default)]
    subdomain: String,
}

#[derive(Deserialize)]
struct RecordsPage {
    records: Vec<FoundRecord>,
    total_count: usize,
}

#[derive(Deserialize)]
struct FoundRecord {
    id: String,
    name: String,
    #[serde(rename = "type")]
    kind: String,
    ttl: u32,
    data: String,
}

impl ScalewayProvider {
    /// Takes the API's address and a secret key.
    pub fn new(endpoint: &str, token: SecretString) -> Self {
        Self {
            client: JsonClient::new("Scaleway"),
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
        let url = format!("{}/domain/v2beta1/dns-zones{path}", self.endpoint);
        let headers = [("X-Auth-Token", self.token.expose_secret())];
        let answer = self.client.send(method, &url, &headers, body)?;
        self.client.expect_success(answer, &TOKEN, zone)
    }

    fn list_records(&self, zone: &Zone) -> Result<Vec<FoundRecord>, DnsError> {
        let mut all = Vec::new();
        for page in 1..=PAGES {
            let path = format!("/{zone}/records?page={page}&page_size={PAGE}");
            let body = self.send("GET", &path, None, zone.name())?;
            let found: RecordsPage = self.client.parse(&body)?;
            let is_last = found.records.is_empty();
            all.extend(found.records);
            if is_last || all.len() >= found.total_count {
                break;
            }
        }
        Ok(all)
    }

    fn list_zones(&self) -> Result<Vec<Zone>, DnsError> {
        let mut all = Vec::new();
        for page in 1..=PAGES {
            let path = format!("?page={page}&page_size={PAGE}");
            let body = self.send("GET", &path, None, "")?;
            let found: ZonesPage = self.client.parse(&body)?;
            let is_last = found.dns_zones.is_empty();
            let zones = found.dns_zones.iter();
            all.extend(zones.map(|zone| match zone.subdomain.is_empty() {
                true => Zone::new(&zone.domain),
                false => Zone::new(&format!("{}.{}", zone.subdomain, zone.domain)),
            }));
            if is_last || all.len() >= found.total_count {
                break;
            }
        }
        Ok(all)
    }

    fn make_changes(&self, zone: &Zone, changes: &[RecordChange]) -> Result<(), DnsError> {
        let there = self.list_records(zone)?;
        check_still_so(zone, changes, &read_sets(zone, &there))?;
        let parts = changes.iter().flat_map(|change| {
            let relative = zone.relative_name(&change.name);
            let ids: Vec<&str> = there
                .iter()
                .filter(|r| {
                    zone.full_name(&r.name) == change.name && r.kind == change.kind.as_str()
                })
                .map(|r| r.id.as_str())
                .collect();
            render_change(&relative, &ids, change.after.as_ref())
        });
        let body = json!({ "changes": parts.collect::<Vec<Value>>() });
        let path = format!("/{zone}/records");
        self.send("PATCH", &path, Some(&body.to_string()), zone.name())?;
        Ok(())
    }
}

/// Returns what is sent so that the records of these ids become a set.
fn render_change(relative: &str, ids: &[&str], after: Option<&RecordSet>) -> Vec<Value> {
    let records: Vec<Value> = after
        .into_iter()
        .flat_map(|set| {
            set.values.iter().map(|value| {
                let data = match set.kind {
                    RecordKind::Txt => quote_text(value),
                    _ => value.clone(),
                };
                json!({ "name": relative, "data": data, "type": set.kind, "ttl": set.ttl })
            })
        })
        .collect();
    match (ids, records.as_slice()) {
        ([id], [_]) => vec![json!({ "set": { "id": id, "records": records } })],
        _ => {
            let gone = ids.iter().map(|id| json!({ "delete": { "id": id } }));
            let made = (!records.is_empty()).then(|| json!({ "add": { "records": records } }));
            gone.chain(made).collect()
        }
    }
}

fn read_sets(zone: &Zone, there: &[FoundRecord]) -> ZoneRecords {
    let mut records = ZoneRecords {
        whole: true,
        ..ZoneRecords::default()
    };
    for record in there {
        if let Some(kind) = RecordKind::from_name(&record.kind) {
            let name = zone.full_name(&record.name);
            let value = read_value(zone, kind, &record.data);
            records.add(&name, kind, record.ttl, value);
        }
    }
    records
}

#[async_trait]
impl Provider for ScalewayProvider {
    fn name(&self) -> &str {
        &self.client.provider
    }

    fn min_ttl(&self) -> u32 {
        60
    }

    async fn zones(&self) -> Result<Option<Vec<Zone>>, DnsError> {
        let this = self.clone();
        run_blocking(self.name(), move || this.list_zones().map(Some)).await
    }

    async fn records(&self, zone: &Zone, _: &[String]) -> Result<ZoneRecords, DnsError> {
        let (this, zone) = (self.clone(), zone.clone());
        run_blocking(self.name(), move || {
            Ok(read_sets(&zone, &this.list_records(&zone)?))
        })
        .await
    }

    async fn apply(&self, zone: &Zone, changes: &[RecordChange]) -> Result<(), DnsError> {
        if changes.is_empty() {
            return Ok(());
        }
        let (this, zone, changes) = (self.clone(), zone.clone(), changes.to_vec());
        run_blocking(self.name(), move || this.make_changes(&zone, &changes)).await
    }
}
