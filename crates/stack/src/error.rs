//! What is wrong with a stack file, with file and line.

use matou_base::text::InvalidInput;
use matou_i18n::tr;

use super::interpolate::describe_required;

/// What is wrong with a stack, a variable or an application's name.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[expect(missing_docs, reason = "its sentences say it")]
pub enum StackError {
    #[error("{file}:{line}: {message}")]
    At {
        file: String,
        line: usize,
        message: String,
    },
    /// A variable without which the stack can't be deployed.
    #[error("{}", tr!("the variable {name} is required: {help} (add {name}=…)"))]
    Required { name: String, help: String },
    /// Several of them, each with what it is for, and how they are given.
    #[error("{}", tr!("the variables {described} are required (add {example})"))]
    AllRequired { described: String, example: String },
    /// A name or a value that is not allowed.
    #[error(transparent)]
    Input(#[from] InvalidInput),
    #[error("{0}")]
    Other(String),
}

/// A variable without which a stack can't be deployed, and that has no value.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct MissingVariable {
    pub name: String,
    /// What it is for; empty where nothing says it.
    pub message: String,
    /// Where a `${NAME:?}` of the file asks for it, counted from 1; `None` for a declared one.
    pub line: Option<usize>,
}

impl StackError {
    /// Returns whether what was asked for is wrong on every fleet: a name, a value, or a variable that is not given.
    pub fn is_usage(&self) -> bool {
        matches!(
            self,
            Self::Input(_) | Self::Required { .. } | Self::AllRequired { .. }
        )
    }

    /// Tells all that is missing at once; `None` where nothing is.
    pub(super) fn from_missing(file: &str, missing: &[MissingVariable]) -> Option<Self> {
        let (first, more) = missing.split_first()?;
        if more.is_empty() {
            let (name, help) = (first.name.clone(), first.message.clone());
            return Some(match first.line {
                None => Self::Required { name, help },
                Some(line) => Self::At {
                    file: file.to_owned(),
                    line,
                    message: first.to_string(),
                },
            });
        }
        let describe = |v: &MissingVariable| {
            let line = v.line.map(|line| format!("{file}:{line}"));
            let message = Some(v.message.clone()).filter(|m| !m.is_empty());
            let said: Vec<String> = line.into_iter().chain(message).collect();
            match said.is_empty() {
                true => v.name.clone(),
                false => format!("{} ({})", v.name, said.join(": ")),
            }
        };
        let described: Vec<String> = missing.iter().map(describe).collect();
        let example: Vec<String> = missing.iter().map(|v| format!("{}=…", v.name)).collect();
        Some(Self::AllRequired {
            described: described.join(", "),
            example: example.join(" "),
        })
    }

    /// An error about what stands at the first occurrence of `needle` in the file.
    pub(super) fn at_first_occurrence(
        file: &str,
        text: &str,
        needle: &str,
        message: String,
    ) -> Self {
        let at = text.find(needle).unwrap_or(0);
        Self::At {
            file: file.to_owned(),
            line: text[..at].matches('\n').count() + 1,
            message,
        }
    }
}

impl std::fmt::Display for MissingVariable {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str(&describe_required(&self.name, &self.message))
    }
}
