//! Durations and sizes as people write them.

use matou_i18n::tr;
use std::time::Duration;

use crate::text::InvalidInput;

/// Parses a duration: `10 s`, `500ms`, `2 min`, `1 h`.
///
/// # Errors
/// A sentence that says what is allowed.
pub fn parse_human_duration(text: &str) -> Result<Duration, InvalidInput> {
    let allowed = || {
        InvalidInput::new(tr!(
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
        InvalidInput::new(tr!(
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

/// Parses a size of disks: `5GB`, `20 GiB`, `500 MB`; a thousand or 1024, as it is written. Returns bytes.
///
/// # Errors
/// A sentence that says what is allowed.
pub fn parse_disk_size(text: &str) -> Result<u64, InvalidInput> {
    let allowed = || {
        InvalidInput::new(tr!(
            "{text:?} is no size: write \"500 MB\", \"5GB\" or \"2 TiB\""
        ))
    };
    let (number, unit) = split_number_and_unit(text).ok_or_else(allowed)?;
    let unit: f64 = match unit {
        "MB" => 1e6,
        "GB" => 1e9,
        "TB" => 1e12,
        "MiB" => f64::from(1 << 20),
        "GiB" => f64::from(1 << 30),
        "TiB" => f64::from(1 << 30) * 1024.0,
        _ => return Err(allowed()),
    };
    let bytes = number * unit;
    match (1.0..1e18).contains(&bytes) {
        true => Ok(bytes as u64),
        false => Err(allowed()),
    }
}

/// A duration in three digits or fewer: `0.8 ms`, `120 ms`, `3.4 s`, `75 s`.
pub fn format_short_duration(duration: Duration) -> String {
    let text = plain_short_duration(duration);
    match matou_i18n::is_french() {
        true => text.replace('.', ","),
        false => text,
    }
}

/// The same for programs, in any language.
pub fn plain_short_duration(duration: Duration) -> String {
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
        for (text, bytes) in [
            ("5GB", 5_000_000_000),
            ("1.5 GiB", 3 << 29),
            ("500 MB", 500_000_000),
        ] {
            assert_eq!(parse_disk_size(text), Ok(bytes), "{text}");
        }
        for wrong in ["", "5", "5 G", "0 GB", "-1 GB", "99999999 TB", "5 %"] {
            assert!(parse_disk_size(wrong).is_err(), "{wrong}");
        }
    }
}
