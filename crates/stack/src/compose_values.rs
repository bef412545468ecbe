//! Texts in compose files that the engine's client parses: lengths of time, amounts of memory, command
//! lines, mounts, ports, processors.

use std::net::IpAddr;

use matou_i18n::tr;

/// Billionths of a second in each unit of [`parse_duration`].
/// Source: pkg.go.dev/time, ParseDuration.
const TIME_UNITS: [(&str, f64); 8] = [
    ("ns", 1.0),
    ("us", 1e3),
    ("µs", 1e3),
    ("μs", 1e3),
    ("ms", 1e6),
    ("s", 1e9),
    ("m", 60e9),
    ("h", 3_600e9),
];

/// Parses a length of time as Go does, into billionths of a second: `1m30s`, `-1.5h`, `0`.
pub(super) fn parse_duration(text: &str) -> Option<f64> {
    let (sign, mut rest) = match text.strip_prefix('-') {
        Some(rest) => (-1.0, rest),
        None => (1.0, text.strip_prefix('+').unwrap_or(text)),
    };
    if rest == "0" {
        return Some(0.0);
    }
    if rest.is_empty() {
        return None;
    }
    let mut total = 0.0;
    while !rest.is_empty() {
        let digits = rest
            .find(|c: char| !c.is_ascii_digit() && c != '.')
            .unwrap_or(rest.len());
        let (number, after) = rest.split_at(digits);
        let unit_end = after
            .find(|c: char| c.is_ascii_digit() || c == '.')
            .unwrap_or(after.len());
        let (unit, after) = after.split_at(unit_end);
        let (_, factor) = TIME_UNITS.iter().find(|(name, _)| *name == unit)?;
        total += number.parse::<f64>().ok()? * factor;
        rest = after;
    }
    // The engine keeps it in 63 bits.
    (total < 9.2e18).then_some(sign * total)
}

/// Parses an amount of memory, in bytes.
/// Source: docker/go-units, `RAMInBytes`.
pub(super) fn parse_size(text: &str) -> Option<f64> {
    let last = text.rfind(|c: char| c.is_ascii_digit() || c == '.' || c == ' ')?;
    let (number, suffix) = (&text[..=last], &text[last + 1..]);
    let number = number.strip_suffix(' ').unwrap_or(number);
    let number: f64 = number.parse().ok()?;
    let suffix = suffix.to_ascii_lowercase();
    let power = match suffix.as_str() {
        "" | "b" => 0,
        "k" | "kb" | "kib" => 1,
        "m" | "mb" | "mib" => 2,
        "g" | "gb" | "gib" => 3,
        "t" | "tb" | "tib" => 4,
        "p" | "pb" | "pib" => 5,
        _ => return None,
    };
    (number >= 0.0).then(|| number * 1024_f64.powi(power))
}

/// Parses a number of processors, in billionths of one.
/// Source: docker/cli, opts `ParseCPUs`.
pub(super) fn parse_processors(text: &str) -> Option<f64> {
    let digits = |c: char| c.is_ascii_digit() || matches!(c, '.' | '-' | '+' | 'e' | 'E');
    if !text.chars().all(digits) {
        return None;
    }
    let billionths = text.parse::<f64>().ok()? * 1e9;
    // Finer ones are refused.
    let rest = (billionths - billionths.round()).abs();
    (billionths.is_finite() && rest < 1e-3).then_some(billionths)
}

/// Says why a command line can't be split into words.
/// Source: google/shlex.
pub(super) fn find_command_fault(text: &str) -> Option<&'static str> {
    let mut chars = text.chars();
    let mut in_word = false;
    while let Some(c) = chars.next() {
        match c {
            ' ' | '\t' | '\r' | '\n' => in_word = false,
            '#' if !in_word => {
                if !chars.any(|c| c == '\n') {
                    return None;
                }
            }
            '\\' => {
                in_word = true;
                if chars.next().is_none() {
                    return Some(tr!("it ends in a backslash: take it out"));
                }
            }
            '\'' => {
                in_word = true;
                if !chars.any(|c| c == '\'') {
                    return Some(tr!("a quote ' is not closed: close it, or write a list"));
                }
            }
            '"' => {
                in_word = true;
                loop {
                    match chars.next() {
                        Some('"') => break,
                        Some('\\') if chars.next().is_some() => {}
                        Some('\\') | None => {
                            return Some(tr!(
                                "a quote \" is not closed: close it, or write a list"
                            ));
                        }
                        Some(_) => {}
                    }
                }
            }
            _ => in_word = true,
        }
    }
    None
}

/// A mount in its short form.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub(super) struct ShortMount<'a> {
    /// Empty for an anonymous volume.
    pub source: &'a str,
    pub target: &'a str,
}

/// Parses a mount in its short form.
/// Source: docker/cli, internal/volumespec.
///
/// # Errors
/// What is wrong with it.
pub(super) fn parse_short_mount(text: &str) -> Result<ShortMount<'_>, &'static str> {
    if text.is_empty() {
        return Err(tr!("it is empty"));
    }
    if text.len() < 3 {
        return Ok(ShortMount {
            source: "",
            target: text,
        });
    }
    let parts = split_mount(text);
    if parts.iter().any(|p| p.is_empty()) {
        return Err(tr!(
            "one side of a colon is empty (is a variable without a value?)"
        ));
    }
    match parts[..] {
        [target] => Ok(ShortMount { source: "", target }),
        [source, target] | [source, target, _] => Ok(ShortMount { source, target }),
        // Options after a third colon: the client lets them through, as long as nothing follows.
        _ => Err(tr!("it has too many colons")),
    }
}

/// Splits a mount at its colons, but for that of a Windows drive.
fn split_mount(text: &str) -> Vec<&str> {
    let mut parts = Vec::new();
    let mut begin = 0;
    for (at, _) in text.match_indices(':') {
        let part = &text[begin..at];
        let mut letters = part.chars();
        let drive = letters.next().is_some_and(char::is_alphabetic) && letters.next().is_none();
        if !drive {
            parts.push(part);
            begin = at + 1;
        }
    }
    parts.push(&text[begin..]);
    parts
}

/// Says why a port in its short form is none.
/// Source: docker/go-connections, nat `ParsePortSpec`.
pub(super) fn find_port_fault(text: &str) -> Option<&'static str> {
    let mut parts = text.rsplitn(3, ':');
    let target = parts.next().unwrap_or_default();
    let published = parts.next().unwrap_or_default();
    if let Some(address) = parts.next().filter(|a| !a.is_empty()) {
        let bare = address.strip_prefix('[').and_then(|a| a.strip_suffix(']'));
        if bare.unwrap_or(address).parse::<IpAddr>().is_err() {
            return Some(tr!("what stands before its ports is no IP address"));
        }
    }
    let mut target = target.split('/');
    let inside = target.next().unwrap_or_default();
    let protocol = target.next().filter(|p| !p.is_empty()).unwrap_or("tcp");
    if !["tcp", "udp", "sctp"].contains(&protocol.to_ascii_lowercase().as_str()) {
        return Some(tr!("its protocol is none of tcp, udp and sctp"));
    }
    if published.contains('/') {
        return Some(tr!("the protocol stands once, at its end"));
    }
    let Some((from, to)) = parse_ports(inside) else {
        return Some(tr!("the port of the container is no number up to 65535"));
    };
    if published.is_empty() {
        return None;
    }
    let Some((first, last)) = parse_ports(published) else {
        return Some(tr!("the published port is no number up to 65535"));
    };
    (to - from != last - first && to != from)
        .then_some(tr!("its two ranges are not of the same length"))
}

fn parse_ports(text: &str) -> Option<(u16, u16)> {
    let port = |text: &str| {
        let digits = text.chars().all(|c| c.is_ascii_digit());
        text.parse().ok().filter(|_| digits)
    };
    let mut parts = text.split('-');
    let from = port(parts.next()?)?;
    let to = match parts.next() {
        Some(to) => port(to)?,
        None => from,
    };
    (from <= to).then_some((from, to))
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    #[test]
    fn lengths_of_time_are_those_of_go() {
        for (text, wanted) in [
            ("1m30s", Some(90e9)),
            ("-1.5h", Some(-5_400e9)),
            ("0", Some(0.0)),
            (".5s", Some(5e8)),
            ("1µs", Some(1e3)),
            ("10", None),
            ("1d", None),
            ("", None),
            ("-", None),
            ("1 s", None),
            (".s", None),
            ("1.2.3s", None),
            ("99999999h", None),
        ] {
            assert_eq!(parse_duration(text), wanted, "{text:?}");
        }
    }

    #[test]
    fn amounts_of_memory_are_those_of_the_client() {
        for (text, wanted) in [
            ("64M", Some(67_108_864.0)),
            ("1.5 gib", Some(1_610_612_736.0)),
            ("512", Some(512.0)),
            ("12b", Some(12.0)),
            ("64x", None),
            ("", None),
            ("M", None),
            ("-1M", None),
            ("1Mi", None),
            ("1bb", None),
        ] {
            assert_eq!(parse_size(text), wanted, "{text:?}");
        }
    }

    #[test]
    fn command_lines_are_split_as_the_client_splits_them() {
        for fine in ["a 'b c' \"d \\\" e\"", "a # 'b", "a\\ b", "", "it#'s'"] {
            assert_eq!(find_command_fault(fine), None, "{fine}");
        }
        for wrong in ["it's", "a \"b", "a\\", "\"a\\", "a#'"] {
            assert!(find_command_fault(wrong).is_some(), "{wrong}");
        }
    }

    #[test]
    fn ports_and_mounts_are_those_of_the_client() {
        for fine in [
            "80",
            "8080:80",
            "80/udp",
            ":82",
            "127.0.0.1::81",
            "[::1]:80:80",
            "::1:80:80",
            "8000-8002:80-82",
            "8000-9000:80",
            "80/",
            "80:90/TCP",
        ] {
            assert_eq!(find_port_fault(fine), None, "{fine}");
        }
        for wrong in [
            "",
            "80:",
            "a:80",
            "80:90/foo",
            "64738/udp:64738/udp",
            "70000",
            "8000-8001:80-82",
            "host:80:80",
            "9-8",
            "+80",
        ] {
            assert!(find_port_fault(wrong).is_some(), "{wrong}");
        }
        assert_eq!(
            parse_short_mount("C:\\a:/b:ro"),
            Ok(ShortMount {
                source: "C:\\a",
                target: "/b"
            })
        );
        assert_eq!(
            parse_short_mount("/b"),
            Ok(ShortMount {
                source: "",
                target: "/b"
            })
        );
        for wrong in ["", "aa::/b", "aa:", ":/b"] {
            assert!(parse_short_mount(wrong).is_err(), "{wrong}");
        }
    }

    proptest! {
        #[test]
        fn nothing_panics(text in "[0-9a-zµ:/.\\-+\\[\\]'\"\\\\# ]{0,20}") {
            let _ = (parse_duration(&text), parse_size(&text), parse_processors(&text));
            let _ = (find_command_fault(&text), parse_short_mount(&text).is_ok(), find_port_fault(&text));
        }
    }
}
