//! Labels of a service, read as Traefik 2 and 3 read them: routers, services and middlewares with their
//! options. Option names have no case; names of objects do.
//!
//! Source: <https://github.com/traefik/paerser>, `parser/labels_decode.go`.

use std::collections::BTreeMap;

use super::traefik_keys::parse_switch;
use super::traefik1::Labels;

/// Protocols that labels have sections for.
const PROTOCOLS: [&str; 3] = ["http", "tcp", "udp"];

/// Sections that labels can fill.
pub(super) const SECTIONS: [&str; 3] = ["routers", "services", "middlewares"];

/// The label that lets Traefik read a service's labels.
pub(super) const ENABLE_LABEL: &str = "traefik.enable";

/// An option of an object.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct RouteOption {
    /// The label as it is written.
    pub label: String,
    pub value: String,
}

/// A router, a service or a middleware.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct RouteObject {
    pub protocol: &'static str,
    pub section: &'static str,
    /// As it is written first.
    pub name: String,
    /// By their names in lower case; the empty one is a label that ends with the object's name.
    pub options: BTreeMap<String, RouteOption>,
}

impl RouteObject {
    /// Returns the value of an option.
    pub(super) fn value(&self, option: &str) -> Option<&str> {
        self.options.get(option).map(|o| o.value.as_str())
    }

    /// Returns the parts of an option that is a list.
    pub(super) fn list(&self, option: &str) -> Vec<&str> {
        let parts = self.value(option).unwrap_or_default().split(',');
        parts
            .map(str::trim)
            .filter(|part| !part.is_empty())
            .collect()
    }

    /// Returns the label of an option, as it is or would be written.
    pub(super) fn label(&self, option: &str) -> String {
        match self.options.get(option) {
            Some(known) => known.label.clone(),
            None => format!(
                "traefik.{}.{}.{}.{option}",
                self.protocol, self.section, self.name
            ),
        }
    }

    /// Whether a router has TLS. `tls=false` switches off what stands below it.
    pub(super) fn has_tls(&self) -> bool {
        let off = |value: &str| !value.is_empty() && !value.eq_ignore_ascii_case("true");
        !self.value("tls").is_some_and(off)
            && self
                .options
                .keys()
                .any(|option| option == "tls" || option.starts_with("tls."))
    }
}

/// The labels of one service.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub(super) struct TraefikLabels {
    /// The label `traefik.enable` and its value.
    pub enable: Option<RouteOption>,
    /// By protocol, section and name in lower case.
    pub objects: BTreeMap<(&'static str, &'static str, String), RouteObject>,
    /// Labels below a protocol that are of no object, with the words after `traefik.`.
    pub strays: Vec<RouteOption>,
}

impl TraefikLabels {
    /// Reads labels; those of others, and of Traefik 1, are left out.
    pub(super) fn read(labels: &Labels) -> Self {
        let mut out = Self::default();
        for (label, value) in labels {
            let option = || RouteOption {
                label: label.clone(),
                value: value.clone(),
            };
            if label.eq_ignore_ascii_case(ENABLE_LABEL) {
                out.enable = Some(option());
                continue;
            }
            let mut words = label.splitn(5, '.');
            let root = words.next().unwrap_or_default();
            let protocol = words.next().unwrap_or_default();
            let Some(protocol) = find_word(&PROTOCOLS, protocol) else {
                continue;
            };
            if !root.eq_ignore_ascii_case("traefik") {
                continue;
            }
            let section = find_word(&SECTIONS, words.next().unwrap_or_default());
            let name = words.next().unwrap_or_default();
            let (Some(section), false) = (section, name.is_empty()) else {
                out.strays.push(option());
                continue;
            };
            out.objects
                .entry((protocol, section, name.to_ascii_lowercase()))
                .or_insert_with(|| RouteObject {
                    protocol,
                    section,
                    name: name.to_owned(),
                    options: BTreeMap::new(),
                })
                .options
                .insert(
                    words.next().unwrap_or_default().to_ascii_lowercase(),
                    option(),
                );
        }
        out
    }

    /// Whether Traefik reads them, where it reads none without being told; `None` where no label says it.
    pub(super) fn is_enabled(&self) -> Option<bool> {
        let enable = self.enable.as_ref()?;
        Some(parse_switch(&enable.value) == Some(true))
    }

    /// Iterates over the objects of a protocol's section.
    pub(super) fn list_objects(
        &self,
        protocol: &'static str,
        section: &'static str,
    ) -> impl Iterator<Item = &RouteObject> {
        let first = (protocol, section, String::new());
        self.objects
            .range(first..)
            .take_while(move |((p, s, _), _)| (*p, *s) == (protocol, section))
            .map(|(_, object)| object)
    }

    /// Iterates over the routers of all protocols.
    pub(super) fn list_routers(&self) -> impl Iterator<Item = &RouteObject> {
        self.objects.values().filter(|o| o.section == "routers")
    }
}

fn find_word(words: &[&'static str], text: &str) -> Option<&'static str> {
    words.iter().find(|w| w.eq_ignore_ascii_case(text)).copied()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn options_have_no_case_and_objects_are_put_together() {
        let labels: Labels = [
            ("traefik.Enable", "True"),
            ("traefik.http.routers.Web.Rule", "Host(`a.org`)"),
            ("traefik.HTTP.Routers.web.entryPoints", " web, ,websecure "),
            ("traefik.http.routers.off.tls", "false"),
            ("traefik.http.routers.off.tls.certresolver", "le"),
            ("traefik.http.router.x.rule", "stray"),
            ("traefik.frontend.rule", "of Traefik 1"),
            ("other", "x"),
        ]
        .map(|(k, v)| (k.to_owned(), v.to_owned()))
        .into();
        let read = TraefikLabels::read(&labels);
        assert_eq!(read.is_enabled(), Some(true));
        assert_eq!(read.strays.len(), 1);
        let [off, web] = &read.list_routers().collect::<Vec<_>>()[..] else {
            panic!("{read:?}");
        };
        assert!(!off.has_tls());
        assert_eq!(web.list("entrypoints"), ["web", "websecure"]);
        assert_eq!(web.label("rule"), "traefik.http.routers.Web.Rule");
        assert!(
            web.label("tls")
                .to_lowercase()
                .ends_with(".routers.web.tls")
        );
    }
}
