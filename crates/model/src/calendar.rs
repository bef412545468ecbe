//! Times that come again, written as OnCalendar of systemd; always of UTC, as nodes may have different zones.

use matou_i18n::tr;
use std::fmt;
use std::str::FromStr;

use jiff::civil::{Date, DateTime};
use jiff::tz::TimeZone;
use jiff::{Timestamp, ToSpan as _};
use matou_base::text::InvalidInput;

/// Days that are looked through for the next time: a leap day comes within eight years.
const MOST_DAYS: usize = 9 * 366;

const WEEKDAYS: [&str; 7] = [
    "monday",
    "tuesday",
    "wednesday",
    "thursday",
    "friday",
    "saturday",
    "sunday",
];

/// Words that stand for whole expressions. Source: systemd.time(7).
const SHORTHANDS: [(&str, &str); 10] = [
    ("minutely", "*-*-* *:*:00"),
    ("hourly", "*-*-* *:00:00"),
    ("daily", "*-*-* 00:00:00"),
    ("weekly", "Mon *-*-* 00:00:00"),
    ("monthly", "*-*-01 00:00:00"),
    ("quarterly", "*-01,04,07,10-01 00:00:00"),
    ("semiannually", "*-01,07-01 00:00:00"),
    ("semi-annually", "*-01,07-01 00:00:00"),
    ("yearly", "*-01-01 00:00:00"),
    ("annually", "*-01-01 00:00:00"),
];

/// Times that come again.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Calendar {
    text: String,
    weekdays: Allowed,
    years: Allowed,
    months: Allowed,
    days: Allowed,
    hours: Allowed,
    minutes: Allowed,
    seconds: Allowed,
}

/// The values that one part of an expression allows.
#[derive(Debug, Clone, PartialEq, Eq)]
struct Allowed(Vec<i16>);

impl Allowed {
    fn all(from: i16, to: i16) -> Self {
        Self((from..=to).collect())
    }

    fn has(&self, value: i16) -> bool {
        self.0.binary_search(&value).is_ok()
    }

    /// Parses `*`, `5`, `1..5`, `*/15`, `0/15`, and lists of them.
    fn parse(text: &str, from: i16, to: i16) -> Option<Self> {
        let mut values = Vec::new();
        for part in text.split(',') {
            let (range, step) = match part.split_once('/') {
                Some((range, step)) => (range, Some(parse_number(step, 1, to)?)),
                None => (part, None),
            };
            let (low, high) = match (range, range.split_once("..")) {
                ("*", _) => (from, to),
                (_, Some((low, high))) => {
                    (parse_number(low, from, to)?, parse_number(high, from, to)?)
                }
                (one, None) => {
                    let low = parse_number(one, from, to)?;
                    (low, if step.is_some() { to } else { low })
                }
            };
            if low > high {
                return None;
            }
            let step = usize::try_from(step.unwrap_or(1)).ok()?;
            values.extend((low..=high).step_by(step));
        }
        values.sort_unstable();
        values.dedup();
        Some(Self(values))
    }

    fn parse_weekdays(text: &str) -> Option<Self> {
        let day = |name: &str| {
            let name = name.to_ascii_lowercase();
            let found = WEEKDAYS
                .iter()
                .position(|d| *d == name || (name.len() == 3 && d.starts_with(&name)));
            found.and_then(|n| i16::try_from(n + 1).ok())
        };
        let mut values = Vec::new();
        for part in text.split(',') {
            let (low, high) = match part.split_once("..") {
                Some((low, high)) => (day(low)?, day(high)?),
                None => (day(part)?, day(part)?),
            };
            if low > high {
                return None;
            }
            values.extend(low..=high);
        }
        values.sort_unstable();
        values.dedup();
        Some(Self(values))
    }
}

fn parse_number(text: &str, from: i16, to: i16) -> Option<i16> {
    let plain = !text.is_empty() && text.len() <= 4 && text.bytes().all(|b| b.is_ascii_digit());
    let number: i16 = text.parse().ok().filter(|_| plain)?;
    (from..=to).contains(&number).then_some(number)
}

impl Calendar {
    /// Returns the first time after `time`; `None` when none comes, as of a year that is over.
    pub fn next_after(&self, time: Timestamp) -> Option<Timestamp> {
        let begin = time.as_second().checked_add(1)?;
        let begin = Timestamp::from_second(begin).ok()?;
        let begin = TimeZone::UTC.to_datetime(begin);
        let mut date = begin.date();
        for n in 0..MOST_DAYS {
            if self.has_date(date) {
                let not_before = if n == 0 {
                    (begin.hour(), begin.minute(), begin.second())
                } else {
                    (0, 0, 0)
                };
                if let Some(at) = self.first_time(date, not_before) {
                    return TimeZone::UTC.to_timestamp(at).ok();
                }
            }
            date = date.tomorrow().ok()?;
        }
        None
    }

    /// Returns the last time that is not after `time`, when it is after `since`.
    pub fn last_between(&self, since: Timestamp, time: Timestamp) -> Option<Timestamp> {
        // From close by, so that a short period is not walked through for months.
        let near = [120, 7200, 100_000, 700_000].into_iter().find_map(|back| {
            let from = time.checked_sub(i64::from(back).seconds()).ok()?;
            let next = self.next_after(from.max(since))?;
            (next <= time).then_some(next)
        });
        let mut last = near.or_else(|| self.next_after(since).filter(|next| *next <= time))?;
        while let Some(next) = self.next_after(last).filter(|next| *next <= time) {
            last = next;
        }
        Some(last)
    }

    fn has_date(&self, date: Date) -> bool {
        self.years.has(date.year())
            && self.months.has(date.month().into())
            && self.days.has(date.day().into())
            && self
                .weekdays
                .has(date.weekday().to_monday_one_offset().into())
    }

    fn first_time(&self, date: Date, not_before: (i8, i8, i8)) -> Option<DateTime> {
        let (hour, minute, second) = not_before;
        for h in self.hours.0.iter().filter(|h| **h >= hour.into()) {
            let same_hour = *h == i16::from(hour);
            for m in &self.minutes.0 {
                if same_hour && *m < minute.into() {
                    continue;
                }
                let least = match same_hour && *m == i16::from(minute) {
                    true => second.into(),
                    false => 0,
                };
                if let Some(s) = self.seconds.0.iter().find(|s| **s >= least) {
                    let small = |n: i16| i8::try_from(n).unwrap_or_default();
                    return Some(date.at(small(*h), small(*m), small(*s), 0));
                }
            }
        }
        None
    }
}

impl FromStr for Calendar {
    type Err = InvalidInput;

    fn from_str(text: &str) -> Result<Self, InvalidInput> {
        parse_calendar(text).ok_or_else(|| {
            InvalidInput::new(tr!("{text:?} is no time as systemd has it, in UTC: \"hourly\", \"*:0/5\", \"Mon..Fri 04:00\", \"*-*-01 02:30\" (`systemd-analyze calendar` tries it; fractions and ~ are not taken)"
            ))
        })
    }
}

fn parse_calendar(text: &str) -> Option<Calendar> {
    let text = text.trim();
    let lower = text.to_ascii_lowercase();
    let known = SHORTHANDS.iter().find(|(word, _)| *word == lower);
    let mut words: Vec<&str> = match known {
        Some((_, meaning)) => meaning.split_whitespace().collect(),
        None => text.split_whitespace().collect(),
    };
    if words.len() > 1 && words.last().is_some_and(|w| w.eq_ignore_ascii_case("utc")) {
        words.pop();
    }
    let mut calendar = Calendar {
        text: text.to_owned(),
        weekdays: Allowed::all(1, 7),
        years: Allowed::all(1970, 2199),
        months: Allowed::all(1, 12),
        days: Allowed::all(1, 31),
        hours: Allowed(vec![0]),
        minutes: Allowed(vec![0]),
        seconds: Allowed(vec![0]),
    };
    let mut words = words.into_iter().peekable();
    words.peek()?;
    if let Some(word) = words.next_if(|w| w.starts_with(|c: char| c.is_ascii_alphabetic())) {
        calendar.weekdays = Allowed::parse_weekdays(word)?;
    }
    if let Some(word) = words.next_if(|w| w.contains('-')) {
        let parts: Vec<&str> = word.split('-').collect();
        let (year, month, day) = match parts.as_slice() {
            [month, day] => ("*", *month, *day),
            [year, month, day] => (*year, *month, *day),
            _ => return None,
        };
        calendar.years = Allowed::parse(year, 1970, 2199)?;
        calendar.months = Allowed::parse(month, 1, 12)?;
        calendar.days = Allowed::parse(day, 1, 31)?;
    }
    if let Some(word) = words.next() {
        let parts: Vec<&str> = word.split(':').collect();
        let (hour, minute, second) = match parts.as_slice() {
            [hour, minute] => (*hour, *minute, "00"),
            [hour, minute, second] => (*hour, *minute, *second),
            _ => return None,
        };
        calendar.hours = Allowed::parse(hour, 0, 23)?;
        calendar.minutes = Allowed::parse(minute, 0, 59)?;
        calendar.seconds = Allowed::parse(second, 0, 59)?;
    }
    words.next().is_none().then_some(calendar)
}

impl fmt::Display for Calendar {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.text)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn at(text: &str) -> Timestamp {
        text.parse().unwrap()
    }

    /// The times are those that `systemd-analyze calendar --base-time` prints.
    #[test]
    fn the_next_time_is_that_of_systemd() {
        for (calendar, base, next) in [
            ("minutely", "2026-02-28T23:59:00Z", "2026-03-01T00:00:00Z"),
            ("*:0/5", "2026-01-01T00:00:00Z", "2026-01-01T00:05:00Z"),
            ("*:0/5", "2026-01-01T23:56:01Z", "2026-01-02T00:00:00Z"),
            ("hourly", "2026-01-01T00:00:01Z", "2026-01-01T01:00:00Z"),
            ("daily", "2026-12-31T00:00:00Z", "2027-01-01T00:00:00Z"),
            (
                "Mon..Fri 04:00",
                "2026-11-27T04:00:00Z",
                "2026-11-30T04:00:00Z",
            ),
            (
                "Sat,Sun 10:30",
                "2026-11-27T04:00:00Z",
                "2026-11-28T10:30:00Z",
            ),
            (
                "*-*-01 02:30",
                "2026-11-01T02:30:00Z",
                "2026-12-01T02:30:00Z",
            ),
            ("02-29", "2026-01-01T00:00:00Z", "2028-02-29T00:00:00Z"),
            (
                "*-*-31 00:00 UTC",
                "2026-04-01T00:00:00Z",
                "2026-05-31T00:00:00Z",
            ),
            ("*:*:0/20", "2026-01-01T00:00:20Z", "2026-01-01T00:00:40Z"),
        ] {
            let parsed: Calendar = calendar.parse().unwrap();
            assert_eq!(parsed.next_after(at(base)), Some(at(next)), "{calendar}");
        }
        let over: Calendar = "2020-01-01".parse().unwrap();
        assert_eq!(over.next_after(at("2026-01-01T00:00:00Z")), None);
        let never: Calendar = "02-30".parse().unwrap();
        assert_eq!(never.next_after(at("2026-01-01T00:00:00Z")), None);
    }

    #[test]
    fn the_last_time_is_the_newest_that_was_not_taken() {
        let last = |text: &str, since: &str, now: &str| {
            let calendar: Calendar = text.parse().unwrap();
            calendar.last_between(at(since), at(now))
        };
        let now = "2026-06-10T12:34:56Z";
        let minute = at("2026-06-10T12:34:00Z");
        assert_eq!(last("minutely", "2025-01-01T00:00:00Z", now), Some(minute));
        assert_eq!(last("minutely", "2026-06-10T12:34:00Z", now), None);
        let month = Some(at("2026-06-01T00:00:00Z"));
        assert_eq!(last("monthly", "2025-12-31T00:00:00Z", now), month);
        assert_eq!(last("monthly", "2026-06-01T00:00:00Z", now), None);
    }

    #[test]
    fn what_is_no_calendar_is_refused() {
        for wrong in [
            "",
            "often",
            "25:00",
            "12:60",
            "Mon..",
            "Fri..Mon 1:00",
            "*-13-01",
            "1:2:3:4",
            "* * * * *",
            "*/5",
            "12:00 UTC more",
            "4:00\nExecStart=/bin/sh",
            "*:0/0",
            "-1:00",
            "5..1:00",
        ] {
            assert!(wrong.parse::<Calendar>().is_err(), "{wrong:?}");
        }
    }
}
