//! What is wrong with a stack file, with file and line.

use matou_base::text::InvalidInput;

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
    #[error("the variable {name} is required: {help} (add {name}=…)")]
    Required { name: String, help: String },
    /// A name or a value that is not allowed.
    #[error(transparent)]
    Input(#[from] InvalidInput),
    #[error("{0}")]
    Other(String),
}

impl StackError {
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
