//! A name server that takes updates (RFC 2136). All changes of a zone are one message: they are made together or
//! not at all, and only while the records are what they were when they were read.

use matou_i18n::tr;
use std::net::{Ipv4Addr, Ipv6Addr};

use async_trait::async_trait;
use hickory_proto::op::{Message, MessageType, OpCode, Query, ResponseCode};
use hickory_proto::rr::rdata::{A, AAAA, TXT};
use hickory_proto::rr::{DNSClass, Name, RData, Record, RecordType, TSigner};

use super::error::DnsError;
use super::owner::owner_name;
use super::provider::Provider;
use super::record::{RecordChange, RecordKind, RecordSet, Zone, ZoneRecords, plain_name};
use super::wire::{Connection, TransferKey};

/// Longest part of a text (RFC 1035, section 3.3.14), bytes.
const MAX_STRING: usize = 255;

/// Records of a zone that are read at most.
const MAX_RECORDS: usize = 200_000;

/// A name server that takes updates.
pub struct NameServer {
    /// `host:port`.
    server: String,
    key: String,
    signer: TSigner,
}

impl NameServer {
    /// Takes a server, `host:port`, and the key that it knows.
    ///
    /// # Errors
    /// The key is none.
    pub fn new(server: &str, key: &TransferKey) -> Result<Self, DnsError> {
        Ok(Self {
            server: server.to_owned(),
            key: key.name.clone(),
            signer: key.to_signer(server)?,
        })
    }

    async fn connect(&self) -> Result<Connection<'_>, DnsError> {
        Connection::open(&self.server, &self.key, &self.signer).await
    }

    /// Reads a whole zone (AXFR, RFC 5936); `None` where the server does not give it to this key.
    async fn transfer(&self, zone: &Zone) -> Result<Option<ZoneRecords>, DnsError> {
        let mut connection = self.connect().await?;
        let mut question = Message::query();
        question.add_query(Query::query(
            self.parse_name(zone.name())?,
            RecordType::AXFR,
        ));
        let mut verifier = connection.send(question).await?;
        let mut records = ZoneRecords {
            whole: true,
            ..ZoneRecords::default()
        };
        // It ends with the record that it begins with.
        let (mut ends, mut count) = (0, 0);
        while ends < 2 {
            let message = match connection.receive(&mut verifier).await {
                Ok(message) => message,
                // Knot says so to a key that it knows and that may not have the zone. Where it does not know the key,
                // the questions that are asked then tell.
                Err(DnsError::Login { .. }) => return Ok(None),
                Err(e) => return Err(e),
            };
            if message.metadata.response_code != ResponseCode::NoError || message.answers.is_empty()
            {
                return Ok(None);
            }
            count += message.answers.len();
            if count > MAX_RECORDS {
                return Ok(None);
            }
            for record in &message.answers {
                match record.data {
                    RData::SOA(_) => ends += 1,
                    _ => add_record(&mut records, record),
                }
            }
        }
        Ok(Some(records))
    }

    /// Asks for the records of names, and for CAA of those above them.
    async fn query_names(&self, zone: &Zone, names: &[String]) -> Result<ZoneRecords, DnsError> {
        let mut questions = Vec::new();
        for name in names {
            let own = [RecordKind::A, RecordKind::Aaaa, RecordKind::Cname];
            questions.extend(own.map(|kind| (name.clone(), kind)));
            questions.push((owner_name(name), RecordKind::Txt));
            let above = zone.list_names_above(name.trim_start_matches("*."));
            questions.extend(above.into_iter().map(|name| (name, RecordKind::Caa)));
        }
        questions.sort();
        questions.dedup();
        let mut records = ZoneRecords::default();
        let mut connection = self.connect().await?;
        for (name, kind) in questions {
            let mut message = Message::query();
            message.metadata.recursion_desired = false;
            message.add_query(Query::query(self.parse_name(&name)?, record_type(kind)));
            let mut verifier = connection.send(message).await?;
            let answer = connection.receive(&mut verifier).await?;
            match answer.metadata.response_code {
                ResponseCode::NoError | ResponseCode::NXDomain => {}
                code => return Err(self.describe_refusal(code, zone)),
            }
            // What an alias leads to is not of this name.
            let own = answer.answers.iter();
            let own = own.filter(|r| plain_name(&r.name.to_ascii()) == name);
            own.filter(|r| r.record_type() == record_type(kind))
                .for_each(|record| add_record(&mut records, record));
        }
        Ok(records)
    }

    fn describe_refusal(&self, code: ResponseCode, zone: &Zone) -> DnsError {
        let zone = zone.name().to_owned();
        match code {
            ResponseCode::NXRRSet
            | ResponseCode::YXRRSet
            | ResponseCode::YXDomain
            | ResponseCode::NXDomain => DnsError::Changed { zone },
            ResponseCode::NotAuth | ResponseCode::NotZone => DnsError::NoZone {
                server: self.server.clone(),
                zone,
                known: Vec::new(),
            },
            ResponseCode::Refused => DnsError::refused(
                &self.server,
                format_args!(
                    "{}",
                    tr!(
                        "the key {} may not do this in {zone}: let it update the zone (update-policy or allow-update in BIND, an acl with action update in Knot)",
                        self.key
                    )
                ),
            ),
            code => DnsError::refused(&self.server, format_args!("{}", tr!("{code} for {zone}"))),
        }
    }

    fn parse_name(&self, name: &str) -> Result<Name, DnsError> {
        let parsed = Name::from_ascii(name).map(|mut name| {
            name.set_fqdn(true);
            name
        });
        parsed.map_err(|e| DnsError::refused(&self.server, format_args!("{name}: {e}")))
    }

    /// Returns the message that makes changes.
    fn build_update(&self, zone: &Zone, changes: &[RecordChange]) -> Result<Message, DnsError> {
        let id = Message::query().metadata.id;
        let mut message = Message::new(id, MessageType::Query, OpCode::Update);
        message.add_query(Query::query(self.parse_name(zone.name())?, RecordType::SOA));
        let (mut conditions, mut updates) = (Vec::new(), Vec::new());
        for change in changes {
            let name = self.parse_name(&change.name)?;
            let kind = record_type(change.kind);
            let of_class = |class: DNSClass| {
                let mut record = Record::update0(name.clone(), 0, kind);
                record.dns_class = class;
                record
            };
            match &change.before {
                // "RRset exists (value dependent)", section 2.4.2.
                Some(before) => conditions.extend(self.list_records(&name, before, 0)?),
                // "RRset does not exist", section 2.4.3.
                None => conditions.push(of_class(DNSClass::NONE)),
            }
            if change.before.is_some() {
                // "Delete an RRset", section 2.5.2.
                updates.push(of_class(DNSClass::ANY));
            }
            if let Some(after) = &change.after {
                updates.extend(self.list_records(&name, after, after.ttl)?);
            }
        }
        // In an update these sections hold what must be so, and what is changed.
        message.answers = conditions;
        message.authorities = updates;
        Ok(message)
    }

    fn list_records(
        &self,
        name: &Name,
        set: &RecordSet,
        ttl: u32,
    ) -> Result<Vec<Record>, DnsError> {
        let records = set.values.iter().map(|value| {
            let data = parse_value(set.kind, value).ok_or_else(|| {
                let what = tr!("{value:?} is no value of {}", set.kind);
                DnsError::refused(&self.server, what)
            })?;
            Ok(Record::from_rdata(name.clone(), ttl, data))
        });
        records.collect()
    }
}

#[async_trait]
impl Provider for NameServer {
    fn name(&self) -> &str {
        &self.server
    }

    /// A name server does not list its zones.
    async fn zones(&self) -> Result<Option<Vec<Zone>>, DnsError> {
        Ok(None)
    }

    async fn records(&self, zone: &Zone, names: &[String]) -> Result<ZoneRecords, DnsError> {
        match self.transfer(zone).await? {
            Some(whole) => Ok(whole),
            None => self.query_names(zone, names).await,
        }
    }

    async fn apply(&self, zone: &Zone, changes: &[RecordChange]) -> Result<(), DnsError> {
        if changes.is_empty() {
            return Ok(());
        }
        let mut connection = self.connect().await?;
        let message = self.build_update(zone, changes)?;
        let mut verifier = connection.send(message).await?;
        let answer = connection.receive(&mut verifier).await?;
        match answer.metadata.response_code {
            ResponseCode::NoError => Ok(()),
            code => Err(self.describe_refusal(code, zone)),
        }
    }
}

fn record_type(kind: RecordKind) -> RecordType {
    match kind {
        RecordKind::A => RecordType::A,
        RecordKind::Aaaa => RecordType::AAAA,
        RecordKind::Caa => RecordType::CAA,
        RecordKind::Cname => RecordType::CNAME,
        RecordKind::Txt => RecordType::TXT,
    }
}

/// Returns a value as it is sent; `None` for one that is none, and for types that matou does not write.
fn parse_value(kind: RecordKind, value: &str) -> Option<RData> {
    Some(match kind {
        RecordKind::A => RData::A(A(value.parse::<Ipv4Addr>().ok()?)),
        RecordKind::Aaaa => RData::AAAA(AAAA(value.parse::<Ipv6Addr>().ok()?)),
        RecordKind::Txt => RData::TXT(TXT::from_bytes(
            value.as_bytes().chunks(MAX_STRING).collect(),
        )),
        RecordKind::Caa | RecordKind::Cname => return None,
    })
}

/// Adds a record of a type that matou reads.
fn add_record(records: &mut ZoneRecords, record: &Record) {
    let (kind, value) = match &record.data {
        RData::A(address) => (RecordKind::A, address.0.to_string()),
        RData::AAAA(address) => (RecordKind::Aaaa, address.0.to_string()),
        RData::CNAME(name) => (RecordKind::Cname, plain_name(&name.0.to_ascii())),
        RData::TXT(text) => {
            let bytes = text.txt_data.concat();
            (
                RecordKind::Txt,
                String::from_utf8_lossy(&bytes).into_owned(),
            )
        }
        RData::CAA(caa) => {
            let value = String::from_utf8_lossy(&caa.value);
            let text = format!("{} {} \"{value}\"", caa.flags(), caa.tag);
            (RecordKind::Caa, text)
        }
        _ => return,
    };
    records.add(&record.name.to_ascii(), kind, record.ttl, value);
}

#[cfg(test)]
mod tests {
    use super::*;

    proptest::proptest! {
        #[test]
        fn whatever_a_server_sends_is_read_or_refused(bytes in proptest::collection::vec(0u8.., 0..300)) {
            if let Ok(message) = Message::from_vec(&bytes) {
                let mut records = ZoneRecords::default();
                for record in &message.answers {
                    add_record(&mut records, record);
                }
            }
        }
    }

    #[test]
    fn values_are_sent_as_they_are_read() {
        let long = "x".repeat(300);
        for (kind, value) in [
            (RecordKind::A, "192.0.2.1"),
            (RecordKind::Aaaa, "2001:db8::1"),
            (RecordKind::Txt, long.as_str()),
        ] {
            let data = parse_value(kind, value).unwrap();
            let name = Name::from_ascii("Shop.Example.org.").unwrap();
            let mut records = ZoneRecords::default();
            add_record(&mut records, &Record::from_rdata(name, 60, data));
            let set = records.find("shop.example.org", kind).unwrap();
            assert_eq!(set.shown_values(), value);
            assert_eq!(set.ttl, 60);
        }
        assert!(parse_value(RecordKind::A, "2001:db8::1").is_none());
    }
}
