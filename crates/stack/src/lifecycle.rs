//! Until when release lines of software get fixes, `stacks/lifecycle.toml`.

use std::collections::BTreeMap;
use std::sync::LazyLock;

use jiff::Timestamp;
use jiff::civil::Date;
use jiff::tz::TimeZone;
use matou_i18n::tr;
use serde::{Deserialize, Serialize};

/// The release line that an image is of, and when it ends.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct ReleaseLine {
    /// What the software is called.
    pub product: String,
    /// The line, as `10.11`.
    pub cycle: String,
    /// From this day on it gets no fixes.
    pub ends: Date,
    /// Whether that day had come when it was looked up.
    pub is_over: bool,
}

impl ReleaseLine {
    /// Says that the line is past its end, or when it ends.
    pub fn describe(&self) -> String {
        let (product, cycle, ends) = (&self.product, &self.cycle, self.ends);
        match self.is_over {
            true => tr!("{product} {cycle} gets no fixes since {ends}"),
            false => tr!("{product} {cycle} gets fixes until {ends}"),
        }
    }
}

/// A product with its release lines.
#[derive(Debug, Deserialize)]
#[serde(deny_unknown_fields)]
struct Product {
    name: String,
    /// As stack files name them, without the tag.
    images: Vec<String>,
    /// Repository and path of what was read.
    #[cfg_attr(not(test), expect(dead_code, reason = "who mends the file reads it"))]
    read_from: String,
    #[cfg_attr(not(test), expect(dead_code, reason = "who mends the file reads it"))]
    read_on: toml::value::Datetime,
    /// By line.
    ends: BTreeMap<String, toml::value::Datetime>,
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct LifecycleFile {
    product: Vec<Product>,
}

static PRODUCTS: LazyLock<Vec<Product>> = LazyLock::new(|| {
    let text = include_str!("../../../stacks/lifecycle.toml");
    // That it can be read, a test shows.
    parse_lifecycle(text).unwrap_or_default()
});

fn parse_lifecycle(text: &str) -> Result<Vec<Product>, toml::de::Error> {
    toml::from_str(text).map(|file: LifecycleFile| file.product)
}

fn read_date(date: &toml::value::Datetime) -> Option<Date> {
    date.to_string().parse().ok()
}

/// Returns the release line of an image, `name:tag`, and whether it is over now; `None` where its end is not
/// known.
pub fn find_release_line(image: &str, now: Timestamp) -> Option<ReleaseLine> {
    let today = TimeZone::UTC.to_datetime(now).date();
    let image = image.split('@').next()?;
    let (name, tag) = image.rsplit_once(':')?;
    let name = name.strip_prefix("docker.io/").unwrap_or(name);
    let name = name.strip_prefix("library/").unwrap_or(name);
    let product = PRODUCTS
        .iter()
        .find(|p| p.images.iter().any(|i| i == name))?;
    let mut cycle = version_of_tag(tag);
    loop {
        if let Some(ends) = product.ends.get(cycle).and_then(read_date) {
            return Some(ReleaseLine {
                product: product.name.clone(),
                cycle: cycle.to_owned(),
                ends,
                is_over: ends <= today,
            });
        }
        cycle = cycle.rsplit_once('.')?.0;
    }
}

/// Returns the numbers that a tag begins with, as `17.11` of `v17.11-alpine`.
fn version_of_tag(tag: &str) -> &str {
    let tag = tag.strip_prefix('v').unwrap_or(tag);
    let end = tag.find(|c: char| !c.is_ascii_digit() && c != '.');
    &tag[..end.unwrap_or(tag.len())]
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::image_facts::list_built_in_images;
    use jiff::civil::date;

    fn noon(day: &str) -> Timestamp {
        format!("{day}T12:00:00Z").parse().unwrap()
    }

    #[test]
    fn the_line_of_an_image_is_that_of_the_beginning_of_its_tag() {
        let line = |image: &str, today| find_release_line(image, today).map(|l| l.describe());
        let today = noon("2026-08-01");
        let said = line("mariadb:10.6.18-jammy", today);
        assert_eq!(
            said.as_deref(),
            Some("MariaDB 10.6 gets no fixes since 2026-07-06")
        );
        // The day itself, and the day before.
        let last = |d| find_release_line("docker.io/library/postgres:14.9-alpine", d).unwrap();
        assert!(!last(noon("2026-11-11")).is_over);
        assert!(last(noon("2026-11-12")).is_over);
        let newer = find_release_line("postgis/postgis:17-3.6-alpine@sha256:00", today).unwrap();
        assert_eq!((newer.cycle.as_str(), newer.is_over), ("17", false));
        // 10.1 is not 10.11.
        let of = |image| find_release_line(image, today).unwrap().cycle;
        assert_eq!(of("mariadb:10.11.4"), "10.11");
        assert_eq!(of("traefik:v2.11.3"), "2.11");
    }

    #[test]
    fn nothing_is_said_of_what_is_not_known() {
        for image in [
            "mariadb",
            "mariadb:latest",
            "mariadb:99.1",
            "mariadb:10",
            "registry.example.org/mariadb:10.6",
            "example/mariadb:10.6.1",
            "mariadb:lts-jammy",
        ] {
            assert_eq!(
                find_release_line(image, noon("2026-08-01")),
                None,
                "{image}"
            );
        }
    }

    /// Each product has lines with days, says where they were read, and is an image of the catalogue.
    #[test]
    fn the_file_is_right() {
        let text = include_str!("../../../stacks/lifecycle.toml");
        let products = parse_lifecycle(text).unwrap();
        let known = list_built_in_images();
        for product in &products {
            let name = &product.name;
            assert!(
                !product.read_from.is_empty() && !product.ends.is_empty(),
                "{name}"
            );
            let read_on = read_date(&product.read_on).expect(name);
            assert!(read_on > date(2026, 1, 1), "{name}");
            for image in &product.images {
                assert!(known.contains(&image.as_str()), "{image} is in images.toml");
                let holders = products.iter().filter(|p| p.images.contains(image));
                assert_eq!(holders.count(), 1, "{image}");
            }
            for (cycle, ends) in &product.ends {
                assert_eq!(version_of_tag(cycle), cycle, "{name}");
                let ends = read_date(ends).expect(cycle);
                assert!(ends > date(2010, 1, 1), "{name} {cycle}");
            }
        }
        // Those whose data can't go back.
        for image in ["postgres", "mariadb", "mysql", "mongo"] {
            let mut all = products.iter();
            assert!(all.any(|p| p.images.iter().any(|i| i == image)), "{image}");
        }
    }
}
