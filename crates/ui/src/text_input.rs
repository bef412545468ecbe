//! Text that is typed or pasted into a line.

/// Inserts pasted text into an input, without control characters.
pub(super) fn insert_text(input: &mut tui_input::Input, text: &str) {
    for c in matou_base::text::clean_line(text.trim()).chars() {
        input.handle(tui_input::InputRequest::InsertChar(c));
    }
}
