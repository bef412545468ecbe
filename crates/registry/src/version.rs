//! Versions in tags: which tags are newer versions of the same variant.
//!
//! A tag is numbers, joined by dots, with a prefix (`v`) and a variant (`-fpm-alpine3.20`). Only
//! tags of the same form are compared: `11.4` is a line of versions of its own beside `11.4.2`.

use std::cmp::Ordering;
use std::collections::BTreeMap;

use matou_i18n::tr;

/// A tag that holds a version.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct VersionTag {
    /// As the registry has it.
    pub text: String,
    prefix: String,
    numbers: Vec<u64>,
    /// The variant without its numbers, which are in `variant_numbers`.
    variant: String,
    variant_numbers: Vec<u64>,
}

/// Words that mark a pre-release.
const PRERELEASE_WORDS: [&str; 9] = [
    "alpha", "beta", "rc", "dev", "nightly", "preview", "pre", "snapshot", "canary",
];

/// A single number from here on counts builds.
const LEAST_BUILD_NUMBER: u64 = 1000;

/// Whether it names a line of versions, as `stable-` of `stable-9823`; what stands behind the names of
/// commits is no version.
fn is_line_name(prefix: &str) -> bool {
    let Some(word) = prefix.strip_suffix('-') else {
        return false;
    };
    let commits = ["sha", "git", "commit"];
    !word.is_empty()
        && word.bytes().all(|b| b.is_ascii_lowercase())
        && !commits.contains(&word)
        && !PRERELEASE_WORDS.contains(&word)
}

impl VersionTag {
    /// Reads a tag; `None` when it holds no version, as `latest`.
    pub fn parse(text: &str) -> Option<Self> {
        let digits = text.find(|c: char| c.is_ascii_digit())?;
        let prefix = &text[..digits];
        if !matches!(prefix, "" | "v" | "V") && !is_line_name(prefix) {
            return None;
        }
        let rest = &text[digits..];
        let end = rest
            .find(|c: char| !c.is_ascii_digit() && c != '.')
            .unwrap_or(rest.len());
        let (core, variant) = rest.split_at(end);
        let numbers: Option<Vec<u64>> = core.split('.').map(|n| n.parse().ok()).collect();
        let (mut words, mut variant_numbers) = (Vec::new(), Vec::new());
        for part in variant.split('-') {
            let word = part.trim_end_matches(|c: char| c.is_ascii_digit() || c == '.');
            // `alpine3.20` and `alpine3.21` are one variant, `php8.2` and `php8.3` are not.
            if word == "alpine" || PRERELEASE_WORDS.contains(&word) {
                let numbers = part[word.len()..].split('.').filter(|n| !n.is_empty());
                for number in numbers {
                    variant_numbers.push(number.parse().ok()?);
                }
                words.push(word);
            } else {
                words.push(part);
            }
        }
        Some(Self {
            text: text.to_owned(),
            prefix: prefix.to_owned(),
            numbers: numbers?,
            variant: words.join("-"),
            variant_numbers,
        })
    }

    /// The first number; 0 where the tag holds a build number or a date and nothing more, which says
    /// nothing of what changed.
    pub fn major(&self) -> u64 {
        match self.numbers[..] {
            [only] if only >= LEAST_BUILD_NUMBER => 0,
            [first, ..] => first,
            [] => 0,
        }
    }

    /// Whether both tags belong to one line of versions.
    pub fn is_comparable_to(&self, other: &Self) -> bool {
        self.prefix == other.prefix
            && self.variant == other.variant
            && self.numbers.len() == other.numbers.len()
    }

    /// Compares the versions; for equal ones the numbers of the variants.
    pub fn compare_versions(&self, other: &Self) -> Ordering {
        self.numbers
            .cmp(&other.numbers)
            .then_with(|| self.variant_numbers.cmp(&other.variant_numbers))
    }

    fn is_prerelease(&self) -> bool {
        let variant = self.variant.to_ascii_lowercase();
        variant
            .split(['-', '_'])
            .any(|word| PRERELEASE_WORDS.contains(&word))
    }
}

/// How far a newer version is away.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, serde::Serialize)]
#[serde(rename_all = "lowercase")]
pub enum VersionStep {
    /// The first two numbers are the same.
    Patch,
    /// The first number is the same.
    Minor,
    /// The application may change its data for good; the release notes say how.
    Major,
}

impl VersionStep {
    /// From one version to a newer one.
    pub fn between(from: &VersionTag, to: &VersionTag) -> Self {
        if from.major() != to.major() {
            return Self::Major;
        }
        match from.numbers.get(1) == to.numbers.get(1) {
            true => Self::Patch,
            false => Self::Minor,
        }
    }

    /// Returns the word of commands and reports.
    pub fn word(self) -> &'static str {
        match self {
            Self::Patch => "patch",
            Self::Minor => "minor",
            Self::Major => "major",
        }
    }

    /// Returns it in the language of whoever looks.
    pub fn label(self) -> &'static str {
        match self {
            Self::Patch => tr!("patch"),
            Self::Minor => tr!("minor"),
            Self::Major => tr!("major"),
        }
    }
}

/// A newer version that one update can lead to.
#[derive(Debug, Clone, PartialEq, Eq, serde::Serialize)]
pub struct NewerVersion {
    /// What an update writes behind the image's name.
    pub tag: String,
    /// How far it is from the version in use.
    pub step: VersionStep,
}

/// Lists the versions that one update can lead to, newest first: the newest of each minor version
/// of the same major and of the next major that exists. No major is skipped.
pub fn list_newer_versions<'a>(
    current: &VersionTag,
    tags: impl IntoIterator<Item = &'a str>,
) -> Vec<NewerVersion> {
    let mut all: Vec<VersionTag> = tags
        .into_iter()
        .filter_map(VersionTag::parse)
        .filter(|t| t.is_comparable_to(current) && t.compare_versions(current).is_gt())
        .filter(|t| current.is_prerelease() || !t.is_prerelease())
        .collect();
    all.sort_by(|a, b| b.compare_versions(a).then_with(|| b.text.cmp(&a.text)));
    let next = all
        .iter()
        .map(VersionTag::major)
        .filter(|m| *m > current.major())
        .min();
    let mut best: BTreeMap<(u64, Option<u64>), &VersionTag> = BTreeMap::new();
    for tag in &all {
        if tag.major() == current.major() || Some(tag.major()) == next {
            let minor = tag.numbers.get(1).copied();
            best.entry((tag.major(), minor)).or_insert(tag);
        }
    }
    best.into_values()
        .rev()
        .map(|tag| NewerVersion {
            tag: tag.text.clone(),
            step: VersionStep::between(current, tag),
        })
        .collect()
}

/// Lists the majors between two versions that have tags: an update must go through each of them.
pub fn list_majors_between<'a>(
    from: &VersionTag,
    to: &VersionTag,
    tags: impl IntoIterator<Item = &'a str>,
) -> Vec<u64> {
    let mut majors: Vec<u64> = tags
        .into_iter()
        .filter_map(VersionTag::parse)
        .filter(|t| t.is_comparable_to(from) && !t.is_prerelease())
        .map(|t| t.major())
        .filter(|m| *m > from.major() && *m < to.major())
        .collect();
    majors.sort_unstable();
    majors.dedup();
    majors
}

#[cfg(test)]
mod tests {
    use super::*;

    fn of(current: &str, tags: &[&str]) -> Vec<(String, VersionStep)> {
        let current = VersionTag::parse(current).unwrap();
        list_newer_versions(&current, tags.iter().copied())
            .into_iter()
            .map(|n| (n.tag, n.step))
            .collect()
    }

    fn wanted(list: &[(&str, VersionStep)]) -> Vec<(String, VersionStep)> {
        list.iter().map(|(t, s)| ((*t).to_owned(), *s)).collect()
    }

    #[test]
    fn a_line_of_builds_has_a_name_and_no_majors() {
        let tags = [
            "stable-9823",
            "stable-10184",
            "unstable-10200",
            "stable",
            "sha-12345",
        ];
        assert_eq!(
            of("stable-9823", &tags),
            wanted(&[("stable-10184", VersionStep::Patch)])
        );
        assert_eq!(of("20240101", &["20250101"]).len(), 1);
        for text in ["sha-12345", "git-4f", "beta-3", "php8.3-fpm"] {
            assert_eq!(VersionTag::parse(text), None, "{text}");
        }
    }

    #[test]
    fn only_the_same_variant_and_form_is_offered_and_majors_one_at_a_time() {
        let tags = [
            "latest",
            "6",
            "6.0",
            "6.0.4",
            "6.0.4-alpine",
            "6.0.10-alpine",
            "6.0.9-alpine",
            "6.1.0-alpine",
            "6.2.0-rc1-alpine",
            "7.0.1-alpine",
            "7.0.0-alpine",
            "8.0.0-alpine",
            "5.9.9-alpine",
            "6.0.11-alpine3.20",
            "sha-12345",
        ];
        assert_eq!(
            of("6.0.4-alpine", &tags),
            wanted(&[
                ("7.0.1-alpine", VersionStep::Major),
                ("6.1.0-alpine", VersionStep::Minor),
                // The alpine that stands behind is a newer one of the same variant.
                ("6.0.11-alpine3.20", VersionStep::Patch),
            ])
        );
        assert_eq!(
            of("v3.7.8", &["v3.7.9", "3.7.10", "v3.8.0"]),
            wanted(&[
                ("v3.8.0", VersionStep::Minor),
                ("v3.7.9", VersionStep::Patch),
            ])
        );
        assert_eq!(
            of("11.4", &["11.4.2", "11.8", "12", "12.1", "12.0", "10.11"]),
            wanted(&[
                ("12.1", VersionStep::Major),
                ("12.0", VersionStep::Major),
                ("11.8", VersionStep::Minor),
            ])
        );
        let php = ["6.9.5-php8.3-apache", "6.9.5-php8.2-apache"];
        assert_eq!(
            of("6.9.4-php8.2-apache", &php),
            wanted(&[("6.9.5-php8.2-apache", VersionStep::Patch)])
        );
        assert_eq!(
            of("8", &["9", "10", "8"]),
            wanted(&[("9", VersionStep::Major)])
        );
        assert_eq!(
            of("2.0.0-rc1", &["2.0.0-rc2"]),
            wanted(&[("2.0.0-rc2", VersionStep::Patch)])
        );
        assert!(VersionTag::parse("latest").is_none());
        assert!(VersionTag::parse("99999999999999999999").is_none());
    }

    #[test]
    fn majors_that_would_be_skipped_are_named() {
        let (from, to) = (
            VersionTag::parse("26.0").unwrap(),
            VersionTag::parse("29.1").unwrap(),
        );
        assert_eq!(
            list_majors_between(&from, &to, ["27.0", "28.1", "28.2", "29.0", "27"]),
            [27, 28]
        );
        // There is none between: PrestaShop went from 1.7 to 8.
        let (from, to) = (
            VersionTag::parse("1.7").unwrap(),
            VersionTag::parse("8.0").unwrap(),
        );
        assert_eq!(list_majors_between(&from, &to, ["1.6", "8.1"]), [0_u64; 0]);
    }

    proptest::proptest! {
        #[test]
        fn what_is_offered_is_newer_and_skips_no_major(
            current in "v?[0-9]{1,2}\\.[0-9]{1,2}(-alpine)?",
            tags in proptest::collection::vec("v?[0-9]{1,3}(\\.[0-9]{1,3}){0,2}(-(alpine|fpm|rc1))?", 0..20),
        ) {
            let at = VersionTag::parse(&current).unwrap();
            for offered in list_newer_versions(&at, tags.iter().map(String::as_str)) {
                let tag = VersionTag::parse(&offered.tag).unwrap();
                proptest::prop_assert!(tag.is_comparable_to(&at) && tag.compare_versions(&at).is_gt());
                let between = list_majors_between(&at, &tag, tags.iter().map(String::as_str));
                proptest::prop_assert_eq!(between, Vec::<u64>::new());
            }
        }
    }
}
