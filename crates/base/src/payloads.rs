//! Hostile text, for the tests of every layer.

/// What is tried on every way out.
pub const PAYLOADS: &[&str] = &[
    "a\x1b]52;c;UFdO\x07z",
    "a\x1b]8;;https://evil.org\x1b\\z",
    "a\x1b]0;title\x07z",
    "a\x1bPq#0\x1b\\z",
    "a\x1b_x\x1b\\z\x1b^y\x1b\\z\x1bXz\x1b\\z",
    "a\u{9b}2Jz",
    "a\u{9d}52;c;UFdO\u{9c}z",
    "a\u{90}q\u{9c}z",
    "a\x1b[2J\x1b[1;1H\x1b[3Az",
    "a\x1b[?1049h\x1bcz",
    "a\x1b[8mhidden\x1b[0mz",
    "a\rz",
    "a\nmatou: z",
    "a\r\nz",
    "a\x08\x08\x07\x00\x7fz",
    "a\u{202e}b\u{2066}c\u{2069}d\u{61c}z",
    "a\u{200b}\u{200e}\u{200d}\u{ad}\u{115f}\u{1160}\u{3164}\u{ffa0}\u{feff}z",
    "a\u{e0041}\u{e007f}\u{e0100}\u{fe0f}z",
    "a\u{2028}\u{2029}z",
    "a\u{300}\u{300}\u{300}\u{300}\u{300}\u{300}\u{300}\u{300}\u{300}\u{300}\u{300}z",
    "a\x1b]0;never ends z",
    "a\x1bPnever ends z",
    "a\x1b[31 never ends z",
    "a z\x1b",
];

/// Whether a terminal would obey or hide a part of it; newlines and tabs are for the caller to judge.
pub fn is_safe(text: &str) -> bool {
    let mut marks = 0;
    text.chars().all(|c| {
        marks = match c {
            '\u{300}'..='\u{36f}' => marks + 1,
            _ => 0,
        };
        let hides = matches!(c,
            '\u{ad}' | '\u{61c}' | '\u{115f}' | '\u{1160}' | '\u{3164}' | '\u{ffa0}' | '\u{feff}'
            | '\u{200b}'..='\u{200f}' | '\u{2028}'..='\u{202e}' | '\u{2066}'..='\u{2069}'
            | '\u{e0000}'..='\u{e0fff}');
        marks <= 6 && !hides && (!c.is_control() || matches!(c, '\n' | '\t'))
    })
}
