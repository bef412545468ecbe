//! The texts of stacks in French: their English stands in `x-matou` of each stack, the French of those of the
//! catalogue in `stacks/po/fr.po`. Those of an operator's own stacks are shown as they are.

use crate::extension::Extension;

/// The texts and their French, sorted.
const TEXTS: &[(&str, &str)] = matou_i18n::messages!("../../stacks/po/fr.po");

/// Returns a text of a stack in the language that is spoken.
pub fn translate_stack_text(english: &str) -> &str {
    let found = TEXTS.binary_search_by_key(&english, |(english, _)| english);
    match found {
        Ok(at) if matou_i18n::is_french() => TEXTS[at].1,
        _ => english,
    }
}

/// Lists what a stack says to people, each text once.
pub fn list_stack_texts(extension: &Extension) -> Vec<&str> {
    let mut texts = vec![
        extension.description.as_str(),
        extension.category.as_str(),
        extension.restore.as_str(),
    ];
    texts.extend(extension.variables.iter().map(|v| v.help.as_str()));
    texts.extend(extension.secrets.iter().map(|s| s.help.as_str()));
    texts.extend(extension.login.iter().map(|l| l.note.as_str()));
    texts.extend(extension.update.iter().map(|u| u.how.as_str()));
    texts.extend(extension.rename.iter().filter_map(|r| r.never.as_deref()));
    texts.extend(extension.troubles.iter().map(|t| t.cure.as_str()));
    texts.retain(|text| text.chars().any(char::is_alphabetic));
    texts.sort_unstable();
    texts.dedup();
    texts
}
