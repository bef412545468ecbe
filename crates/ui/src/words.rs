//! Words of an update as people read them, and names of days.

use jiff::ZonedDateTime;
use jiff::civil::Weekday;
use matou_i18n::tr;
use matou_model::UpdateState;

/// The words for how far an update has come.
pub(crate) fn update_state(state: &UpdateState) -> String {
    state.word().replace('_', " ")
}

/// A day of the week, short: `Sat`.
pub(crate) fn weekday(at: &ZonedDateTime) -> &'static str {
    match at.weekday() {
        Weekday::Monday => tr!("Mon"),
        Weekday::Tuesday => tr!("Tue"),
        Weekday::Wednesday => tr!("Wed"),
        Weekday::Thursday => tr!("Thu"),
        Weekday::Friday => tr!("Fri"),
        Weekday::Saturday => tr!("Sat"),
        Weekday::Sunday => tr!("Sun"),
    }
}
