//! Facts about images beside what their registries say.

use std::collections::BTreeSet;

use futures_util::StreamExt as _;
use matou_base::text::SafeText;
use matou_registry::{ImageDescription, describe_image};
use matou_stack::{ImageFacts, KnownImages};
use serde::Serialize;

/// Images that are asked for at a time: registries count questions.
const PARALLEL: usize = 4;

/// What a registry says of an image, beside what is known of it.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct ImageCheck {
    /// As stacks name it.
    pub image: String,
    /// How the two compare.
    #[serde(flatten)]
    pub outcome: ImageCheckOutcome,
}

/// How what is known of an image compares with what its registry says.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
#[serde(rename_all = "snake_case", tag = "outcome")]
pub enum ImageCheckOutcome {
    /// As known.
    Same,
    /// Not as known: each difference.
    Different {
        /// All of them.
        differences: Vec<FactDifference>,
    },
    /// Nothing is known of the image.
    Unknown,
    /// The registry says nothing of it.
    Unanswered {
        /// Why.
        reason: SafeText,
    },
}

/// What is known of an image, and what its registry says instead.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct FactDifference {
    /// The key in `images.toml`.
    pub key: &'static str,
    /// What stands there.
    pub known: SafeText,
    /// What the registry says.
    pub found: SafeText,
}

/// Asks the registries for the platforms and the configuration of images, and compares them with what
/// is known. They are in the order of the images.
pub async fn check_image_facts(known: &KnownImages, images: &[String]) -> Vec<ImageCheck> {
    let asked = images.iter().map(|image| async move {
        let outcome = match known.find_facts(image) {
            None => ImageCheckOutcome::Unknown,
            Some(facts) => match describe_image(image).await {
                Ok(found) => compare_image(facts, &found),
                Err(e) => ImageCheckOutcome::Unanswered {
                    reason: SafeText::of(e),
                },
            },
        };
        ImageCheck {
            image: image.clone(),
            outcome,
        }
    });
    futures_util::stream::iter(asked)
        .buffered(PARALLEL)
        .collect()
        .await
}

fn compare_image(facts: &ImageFacts, found: &ImageDescription) -> ImageCheckOutcome {
    let config = &found.config;
    let in_order = |known: &[String], found: &[String]| {
        (known != found).then(|| (format!("{known:?}"), format!("{found:?}")))
    };
    let as_set = |known: &[String], found: &[String]| {
        let (known, found): (BTreeSet<_>, BTreeSet<_>) =
            (known.iter().collect(), found.iter().collect());
        (known != found).then(|| (format!("{known:?}"), format!("{found:?}")))
    };
    let as_text = |known: &str, found: &str| {
        (known != found).then(|| (format!("{known:?}"), format!("{found:?}")))
    };
    // What is known need not name every architecture; those that it names are there.
    let missing = facts
        .architectures
        .iter()
        .any(|a| !found.architectures.contains(a));
    let all = [
        (
            "entrypoint",
            in_order(&facts.entrypoint, &config.entrypoint),
        ),
        ("command", in_order(&facts.command, &config.command)),
        (
            "user",
            as_text(name_root(&facts.user), name_root(&config.user)),
        ),
        (
            "workdir",
            as_text(name_workdir(&facts.workdir), name_workdir(&config.workdir)),
        ),
        ("ports", as_set(&facts.ports, &config.ports)),
        ("volumes", as_set(&facts.volumes, &config.volumes)),
        (
            "architectures",
            missing
                .then(|| as_set(&facts.architectures, &found.architectures))
                .flatten(),
        ),
    ];
    let differences: Vec<FactDifference> = all
        .into_iter()
        .filter_map(|(key, different)| {
            let (known, found) = different?;
            Some(FactDifference {
                key,
                known: SafeText::from_line(known),
                found: SafeText::from_line(found),
            })
        })
        .collect();
    match differences.is_empty() {
        true => ImageCheckOutcome::Same,
        false => ImageCheckOutcome::Different { differences },
    }
}

/// Returns a USER, with one name for root.
fn name_root(user: &str) -> &str {
    match user {
        "root" | "0" | "0:0" | "root:root" => "",
        other => other,
    }
}

/// Returns a WORKDIR, where none is `/`.
fn name_workdir(workdir: &str) -> &str {
    match workdir {
        "" => "/",
        other => other,
    }
}
