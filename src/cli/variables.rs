//! Variables of stacks on the command line.

use matou_base::text::InvalidInput;
use matou_i18n::tr;

pub(super) fn parse_variable(text: &str) -> Result<(String, String), InvalidInput> {
    match text.split_once('=') {
        Some((name, value)) if !name.is_empty() => Ok((name.to_owned(), value.to_owned())),
        _ => Err(tr!("expected NAME=VALUE").into()),
    }
}
