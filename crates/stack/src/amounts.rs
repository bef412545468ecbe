//! Amounts of memory and time, as Docker reads them.

use std::time::Duration;

/// An amount of memory as Docker reads it, `512M`, in bytes.
pub(super) fn parse_memory_amount(amount: &str) -> Option<u64> {
    let digits = amount.trim_end_matches(|c: char| c.is_ascii_alphabetic());
    let shift = match amount[digits.len()..].to_ascii_lowercase().as_str() {
        "" | "b" => 0,
        "k" | "kb" | "kib" => 10,
        "m" | "mb" | "mib" => 20,
        "g" | "gb" | "gib" => 30,
        "t" | "tb" | "tib" => 40,
        _ => return None,
    };
    let number: f64 = digits.trim().parse().ok()?;
    (number >= 0.0).then_some((number * (1_u64 << shift) as f64) as u64)
}

/// A length of time as Go reads it, `1m30s`; `None` when it is none, or more than a day.
/// Source: pkg.go.dev/time, ParseDuration.
pub(super) fn parse_go_duration(text: &str) -> Option<Duration> {
    let length: jiff::SignedDuration = text.trim().parse().ok()?;
    let length = Duration::try_from(length).ok()?;
    (length <= Duration::from_secs(86_400)).then_some(length)
}
