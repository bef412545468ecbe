//! OVHcloud, API version 1. Each request is signed: <https://help.ovhcloud.com/csm/en-api-getting-started-ovhcloud-api>.
//! Records are changed one by one; the zone is served anew at the end.

use matou_i18n::{Text, both};
use std::fmt::Write as _;
use std::time::{SystemTime, UNIX_EPOCH};

use async_trait::async_trait;
use secrecy::{ExposeSecret, SecretString};
use serde::Deserialize;
use serde_json::json;

use super::error::DnsError;
use super::gandi::{check_still_so, read_value};
use super::http::{JsonClient, quote_text, run_blocking};
use super::owner::owner_name;
use super::provider::Provider;
use super::record::{RecordChange, RecordKind, Zone, ZoneRecords};

/// Where the API for customers in Europe is.
pub const OVH_ENDPOINT: &str = "https://eu.api.ovh.com/1.0";

/// What its refusals are about.
const KEYS: Text = both!("the keys of application_secret_file and consumer_key_file");

/// What an application of OVH's API is known by.
#[derive(Clone)]
pub struct OvhKeys {
    /// Names the application.
    pub application: String,
    /// Its secret.
    pub secret: SecretString,
    /// What the customer let it do.
    pub consumer: SecretString,
}

/// The interface of OVHcloud.
#[derive(Clone)]
pub struct OvhProvider {
    client: JsonClient,
    endpoint: String,
    keys: OvhKeys,
}

/// A record; `id` is what it is changed by.
#[derive(Deserialize)]
struct OvhRecord {
    id: u64,
    #[serde(rename = "fieldType")]
    kind: String,
    #[serde(rename = "subDomain")]
    name: Option<String>,
    target: String,
    ttl: u32,
}

/// Requests of one errand, with the difference of the clocks.
struct Session<'a> {
    provider: &'a OvhProvider,
    zone: &'a Zone,
    /// Seconds that the provider's clock is ahead.
    delta: i64,
}

impl OvhProvider {
    /// Takes the API's address and what it is asked with.
    pub fn new(endpoint: &str, keys: OvhKeys) -> Self {
        Self {
            client: JsonClient::new("OVH"),
            endpoint: endpoint.trim_end_matches('/').to_owned(),
            keys,
        }
    }

    fn begin<'a>(&'a self, zone: &'a Zone) -> Result<Session<'a>, DnsError> {
        let url = format!("{}/auth/time", self.endpoint);
        let answer = self.client.send("GET", &url, &[], None)?;
        let body = self.client.expect_success(answer, &KEYS, zone.name())?;
        let time: i64 = self.client.parse(body.trim())?;
        Ok(Session {
            provider: self,
            zone,
            delta: time - seconds_since_epoch(),
        })
    }
}

fn seconds_since_epoch() -> i64 {
    let now = SystemTime::now().duration_since(UNIX_EPOCH);
    now.map_or(0, |since| i64::try_from(since.as_secs()).unwrap_or(0))
}

/// Returns the signature of a request.
fn sign_request(keys: &OvhKeys, method: &str, url: &str, body: &str, time: &str) -> String {
    let signed = SecretString::from(format!(
        "{}+{}+{method}+{url}+{body}+{time}",
        keys.secret.expose_secret(),
        keys.consumer.expose_secret(),
    ));
    let digest = ring::digest::digest(
        &ring::digest::SHA1_FOR_LEGACY_USE_ONLY,
        signed.expose_secret().as_bytes(),
    );
    let mut text = String::from("$1$");
    for byte in digest.as_ref() {
        let _ = write!(text, "{byte:02x}");
    }
    text
}

impl Session<'_> {
    fn send(&self, method: &str, path: &str, body: Option<&str>) -> Result<String, DnsError> {
        let OvhProvider {
            client,
            endpoint,
            keys,
        } = self.provider;
        let url = format!("{endpoint}/domain/zone{path}");
        let time = (seconds_since_epoch() + self.delta).to_string();
        let signature = sign_request(keys, method, &url, body.unwrap_or_default(), &time);
        let headers = [
            ("X-Ovh-Application", keys.application.as_str()),
            ("X-Ovh-Consumer", keys.consumer.expose_secret()),
            ("X-Ovh-Timestamp", &time),
            ("X-Ovh-Signature", &signature),
        ];
        let answer = client.send(method, &url, &headers, body)?;
        client.expect_success(answer, &KEYS, self.zone.name())
    }

    /// Lists the records of a name, of one type or of all.
    fn list_records(
        &self,
        name: &str,
        kind: Option<RecordKind>,
    ) -> Result<Vec<OvhRecord>, DnsError> {
        let relative = self.zone.relative_name(name).replace('*', "%2A");
        let zone = self.zone;
        let path = match kind {
            Some(kind) => format!("/{zone}/record?fieldType={kind}&subDomain={relative}"),
            None => format!("/{zone}/record?subDomain={relative}"),
        };
        let client = &self.provider.client;
        let ids: Vec<u64> = client.parse(&self.send("GET", &path, None)?)?;
        let mut records = Vec::new();
        for id in ids {
            let body = self.send("GET", &format!("/{zone}/record/{id}"), None)?;
            let record: OvhRecord = client.parse(&body)?;
            // With an empty name some endpoints list all of the zone.
            let relative = record.name.as_deref().unwrap_or_default();
            if zone.full_name(relative) == name {
                records.push(record);
            }
        }
        Ok(records)
    }

    fn read_names(&self, names: &[String]) -> Result<ZoneRecords, DnsError> {
        let mut questions: Vec<(String, Option<RecordKind>)> = Vec::new();
        for name in names {
            let own = [RecordKind::A, RecordKind::Aaaa, RecordKind::Cname];
            questions.extend(own.map(|kind| (name.clone(), Some(kind))));
            questions.push((owner_name(name), Some(RecordKind::Txt)));
            let above = self.zone.list_names_above(name.trim_start_matches("*."));
            questions.extend(above.into_iter().map(|name| (name, Some(RecordKind::Caa))));
        }
        questions.sort();
        questions.dedup();
        let mut records = ZoneRecords::default();
        for (name, kind) in questions {
            for record in self.list_records(&name, kind)? {
                self.add_record(&mut records, &record);
            }
        }
        Ok(records)
    }

    fn add_record(&self, records: &mut ZoneRecords, record: &OvhRecord) {
        if let Some(kind) = RecordKind::from_name(&record.kind) {
            let name = self
                .zone
                .full_name(record.name.as_deref().unwrap_or_default());
            let value = read_value(self.zone, kind, &record.target);
            records.add(&name, kind, record.ttl, value);
        }
    }

    fn make_changes(&self, changes: &[RecordChange]) -> Result<(), DnsError> {
        let mut planned = Vec::new();
        let mut now = ZoneRecords::default();
        for change in changes {
            let there = self.list_records(&change.name, Some(change.kind))?;
            for record in &there {
                self.add_record(&mut now, record);
            }
            planned.push((change, there));
        }
        check_still_so(self.zone, changes, &now)?;
        let made = planned
            .iter()
            .try_for_each(|(change, there)| self.make_change(change, there));
        // Also what was made before something failed is to be served.
        let served = self.send("POST", &format!("/{}/refresh", self.zone), None);
        made?;
        served.map(drop)
    }

    /// Gives the records that are there the new values, as far as there are both; makes or removes the rest.
    fn make_change(&self, change: &RecordChange, there: &[OvhRecord]) -> Result<(), DnsError> {
        let zone = self.zone;
        let sub_domain = zone.relative_name(&change.name);
        let set = change.after.as_ref();
        let values: Vec<&String> = set.into_iter().flat_map(|set| &set.values).collect();
        let ttl = set.map_or(0, |set| set.ttl);
        for (at, value) in values.iter().enumerate() {
            let target = match change.kind {
                RecordKind::Txt => quote_text(value),
                _ => (*value).clone(),
            };
            let mut body = json!({ "subDomain": sub_domain, "target": target, "ttl": ttl });
            match there.get(at) {
                Some(old) => {
                    let path = format!("/{zone}/record/{}", old.id);
                    self.send("PUT", &path, Some(&body.to_string()))?;
                }
                None => {
                    body["fieldType"] = json!(change.kind);
                    let path = format!("/{zone}/record");
                    self.send("POST", &path, Some(&body.to_string()))?;
                }
            }
        }
        for old in there.iter().skip(values.len()) {
            self.send("DELETE", &format!("/{zone}/record/{}", old.id), None)?;
        }
        Ok(())
    }
}

#[async_trait]
impl Provider for OvhProvider {
    fn name(&self) -> &str {
        &self.client.provider
    }

    fn min_ttl(&self) -> u32 {
        60
    }

    async fn zones(&self) -> Result<Option<Vec<Zone>>, DnsError> {
        let this = self.clone();
        run_blocking(self.name(), move || {
            let none = Zone::new("");
            let body = this.begin(&none)?.send("GET", "", None)?;
            let names: Vec<String> = this.client.parse(&body)?;
            Ok(Some(names.iter().map(|name| Zone::new(name)).collect()))
        })
        .await
    }

    async fn records(&self, zone: &Zone, names: &[String]) -> Result<ZoneRecords, DnsError> {
        let (this, zone, names) = (self.clone(), zone.clone(), names.to_vec());
        run_blocking(self.name(), move || this.begin(&zone)?.read_names(&names)).await
    }

    async fn apply(&self, zone: &Zone, changes: &[RecordChange]) -> Result<(), DnsError> {
        if changes.is_empty() {
            return Ok(());
        }
        let (this, zone, changes) = (self.clone(), zone.clone(), changes.to_vec());
        run_blocking(self.name(), move || {
            this.begin(&zone)?.make_changes(&changes)
        })
        .await
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// The example of OVH's own description of signatures.
    #[test]
    fn a_request_is_signed_as_the_documentation_signs_it() {
        let keys = OvhKeys {
            application: "7kbG7Bk7S9Nt7ZSV".into(),
            secret: "EXEgWIz07P0HYwtQDs7cNIqCiQaWSuHF".into(),
            consumer: "MtSwSrPpNjqfVSmJhLbPyr2i45lSwPU1".into(),
        };
        let url = "https://eu.api.ovh.com/1.0/domains/";
        assert_eq!(
            sign_request(&keys, "GET", url, "", "1366560945"),
            "$1$d3705e8afb27a0d2970a322b96550abfc67bb798"
        );
    }
}
