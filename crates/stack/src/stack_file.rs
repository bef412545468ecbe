//! A stack file, with what `x-matou` in it says.

use matou_i18n::tr;
use serde::Deserialize;
use serde_yaml::Value;

use super::compose_yaml::read_loose_compose;
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

/// Reads `x-matou`.
///
/// # Errors
/// A line, and what is wrong there.
fn read_extension(text: &str) -> Result<Extension, (usize, String)> {
    let error = match serde_yaml::from_str::<RawStackFile>(text) {
        Ok(extended) => return Ok(extended.extension),
        Err(error) => error,
    };
    let said = (error.location().map_or(1, |l| l.line()), error.to_string());
    // What the engine's client reads, with several documents for instance, is read as it does.
    let document = read_loose_compose(text).map_err(|_| said.clone())?.0;
    match document.value {
        Value::Mapping(mut file) => match file.remove("x-matou") {
            Some(own) => serde_yaml::from_value(own).map_err(|_| said),
            None => Ok(Extension::default()),
        },
        _ => Err((1, tr!("a stack file begins with `services:`").into())),
    }
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
        let extension = read_extension(text).map_err(|(line, message)| StackError::At {
            file: file.to_owned(),
            line,
            message,
        })?;
        Ok(Self {
            name: name.to_owned(),
            file: file.to_owned(),
            text: text.to_owned(),
            folder,
            extension,
            known_images: KnownImages::default(),
        })
    }

    /// An error about a line of it.
    pub(super) fn error_at(&self, line: usize, message: String) -> StackError {
        let file = self.file.clone();
        StackError::At {
            file,
            line,
            message,
        }
    }

    /// Returns it as linted by these facts about images.
    pub(super) fn with_known_images(mut self, known: &KnownImages) -> Self {
        self.known_images = known.clone();
        self
    }
}
