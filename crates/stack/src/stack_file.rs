//! A stack file, with what `x-matou` in it says.

use serde::Deserialize;

use super::extension::Extension;
use super::files::StackFolder;
use super::image_facts::KnownImages;
use super::{StackError, safety};

#[derive(Debug, Deserialize)]
#[serde(expecting = "struct Extended")]
struct RawStackFile {
    #[serde(rename = "x-matou", default)]
    extension: Extension,
}

/// A stack file.
#[derive(Debug, Clone)]
pub(super) struct StackFile {
    pub name: String,
    /// As named in errors.
    pub file: String,
    pub text: String,
    /// Where the files lie that the stack file names.
    pub folder: StackFolder,
    pub extension: Extension,
    /// Of the images that it names, and others.
    pub known_images: KnownImages,
}

impl StackFile {
    pub(super) fn parse(
        name: &str,
        file: &str,
        folder: StackFolder,
        text: &str,
    ) -> Result<Self, StackError> {
        safety::check_yaml_limits(text).map_err(|e| StackError::At {
            file: file.to_owned(),
            line: 1,
            message: e.to_string(),
        })?;
        let extended: RawStackFile = serde_yaml::from_str(text).map_err(|e| StackError::At {
            file: file.to_owned(),
            line: e.location().map_or(1, |l| l.line()),
            message: e.to_string(),
        })?;
        Ok(Self {
            name: name.to_owned(),
            file: file.to_owned(),
            text: text.to_owned(),
            folder,
            extension: extended.extension,
            known_images: KnownImages::default(),
        })
    }

    /// Returns it as linted by these facts about images.
    pub(super) fn with_known_images(mut self, known: &KnownImages) -> Self {
        self.known_images = known.clone();
        self
    }
}
