//! Durations and sizes as people write them.

use std::time::Duration;

use crate::text::InvalidInput;

/// Parses a duration: `10 s`, `500ms`, `2 min`, `1 h`.
///
/// # Errors
/// A sentence that says what is allowed.
pub fn parse_human_duration(text: &str) -> Result<Duration, InvalidInput> {
    let allowed = || {
        InvalidInput::new(format_args!(
            "{text:?} is no duration: write \"500 ms\", \"10 s\", \"2 min\" or \"1 h\""
        ))
    };
    let (number, unit) = split_number_and_unit(text).ok_or_else(allowed)?;
    let unit = match unit {
        "ms" => 0.001,
        "s" | "sec" => 1.0,
        "min" | "m" => 60.0,
        "h" => 3600.0,
        _ => return Err(allowed()),
    };
    Duration::try_from_secs_f64(number * unit)
        .ok()
        .filter(|d| !d.is_zero())
        .ok_or_else(allowed)
}

/// Parses a size: `64 MiB`, `1.5GiB`, `512 KiB`. Returns bytes.
///
/// # Errors
/// A sentence that says what is allowed.
pub fn parse_human_size(text: &str) -> Result<usize, InvalidInput> {
    let allowed = || {
        InvalidInput::new(format_args!(
            "{text:?} is no size: write \"512 KiB\", \"64 MiB\" or \"1 GiB\""
        ))
    };
    let (number, unit) = split_number_and_unit(text).ok_or_else(allowed)?;
    let unit: u64 = match unit {
        "KiB" => 1 << 10,
        "MiB" => 1 << 20,
        "GiB" => 1 << 30,
        _ => return Err(allowed()),
    };
    Ok((number * unit as f64) as usize)
}

/// A duration in three digits or fewer: `0.8 ms`, `120 ms`, `3.4 s`, `75 s`.
pub fn format_short_duration(duration: Duration) -> String {
    match duration.as_secs_f64() {
        s if s < 0.001 => format!("{:.1} ms", s * 1000.0),
        s if s < 1.0 => format!("{:.0} ms", s * 1000.0),
        s if s < 10.0 => format!("{s:.1} s"),
        s => format!("{s:.0} s"),
    }
}

fn split_number_and_unit(text: &str) -> Option<(f64, &str)> {
    let text = text.trim();
    let end = text.find(|c: char| !c.is_ascii_digit() && c != '.')?;
    Some((text[..end].parse().ok()?, text[end..].trim()))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn units_are_read_with_and_without_a_space() {
        assert_eq!(parse_human_duration("10 s"), Ok(Duration::from_secs(10)));
        assert_eq!(parse_human_duration("1.5min"), Ok(Duration::from_secs(90)));
        assert_eq!(parse_human_size("64 MiB"), Ok(64 << 20));
        for wrong in ["", "10", "s", "0 s", "-1 s", "1 parsec", "1..2 s"] {
            assert!(parse_human_duration(wrong).is_err(), "{wrong}");
        }
        assert!(parse_human_size("64 MB").is_err());
    }
}
