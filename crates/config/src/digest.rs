//! When digests are sent: every day or every week, at a time of a time zone.

use jiff::civil::{Date, Time, Weekday};
use jiff::tz::TimeZone;
use jiff::{Timestamp, ToSpan};
use matou_i18n::tr;

/// How often a digest is sent.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum DigestInterval {
    /// Every day.
    Daily,
    /// On Mondays.
    Weekly,
}

impl DigestInterval {
    /// The days that a digest tells of.
    pub fn days(self) -> u32 {
        match self {
            Self::Daily => 1,
            Self::Weekly => 7,
        }
    }
}

/// When digests are sent.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct DigestSchedule {
    /// How often.
    pub interval: DigestInterval,
    /// On the wall's clock.
    pub time: Time,
    /// Time zone, by its name of the IANA database.
    pub zone: TimeZone,
}

impl DigestSchedule {
    /// Reads `daily`, `weekly 08:00 Europe/Paris` or `none`. Where the time is left out it is eight o'clock, where the
    /// zone is left out, `zone`.
    ///
    /// # Errors
    /// What is wrong, in a sentence.
    pub fn parse(text: &str, zone: TimeZone) -> Result<Option<Self>, &'static str> {
        let form =
            tr!("a digest is written \"weekly 08:00 Europe/Paris\", \"daily …\" or \"none\"");
        let mut words = text.split_whitespace();
        let interval = match words.next() {
            Some("daily") => DigestInterval::Daily,
            Some("weekly") => DigestInterval::Weekly,
            Some("none") if words.next().is_none() => return Ok(None),
            _ => return Err(form),
        };
        let time = match words.next() {
            None => Time::constant(8, 0, 0, 0),
            Some(time) => Time::strptime("%H:%M", time).map_err(|_| form)?,
        };
        let zone = match words.next() {
            None => zone,
            Some(name) => TimeZone::get(name).map_err(
                |_| tr!("nobody knows the time zone: it is one like \"Europe/Paris\" (`timedatectl list-timezones`)"),
            )?,
        };
        match words.next() {
            None => Ok(Some(Self {
                interval,
                time,
                zone,
            })),
            Some(_) => Err(form),
        }
    }

    /// When the newest digest was due; `None` outside of what calendars know.
    pub fn last_due(&self, now: Timestamp) -> Option<Timestamp> {
        let today = self.zone.to_datetime(now).date();
        let at = |day: Date| {
            let time = self.zone.to_ambiguous_timestamp(day.to_datetime(self.time));
            time.compatible().ok()
        };
        let days = i64::from(self.interval.days());
        let back = match self.interval {
            DigestInterval::Daily => 0,
            DigestInterval::Weekly => i64::from(today.weekday().since(Weekday::Monday)),
        };
        let newest = today.checked_sub(back.days()).ok()?;
        match at(newest)? {
            due if due <= now => Some(due),
            _ => at(newest.checked_sub(days.days()).ok()?),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn due(written: &str, now: &str) -> String {
        let schedule = DigestSchedule::parse(written, TimeZone::UTC)
            .unwrap()
            .unwrap();
        let due = schedule.last_due(now.parse().unwrap()).unwrap();
        due.to_string()
    }

    #[test]
    fn a_digest_is_due_at_its_time_of_its_zone() {
        for (written, now, expected) in [
            ("daily", "2026-11-30T07:59:59Z", "2026-11-29T08:00:00Z"),
            ("daily", "2026-11-30T08:00:00Z", "2026-11-30T08:00:00Z"),
            // Two hours before UTC's in summer, one in winter.
            (
                "daily 08:00 Europe/Paris",
                "2026-07-10T06:00:00Z",
                "2026-07-10T06:00:00Z",
            ),
            (
                "daily 08:00 Europe/Paris",
                "2026-01-10T06:00:00Z",
                "2026-01-09T07:00:00Z",
            ),
            // The 30th is a Monday.
            (
                "weekly 09:30",
                "2026-11-30T09:29:00Z",
                "2026-11-23T09:30:00Z",
            ),
            (
                "weekly 09:30",
                "2026-11-30T09:30:00Z",
                "2026-11-30T09:30:00Z",
            ),
            (
                "weekly 09:30",
                "2026-12-06T23:00:00Z",
                "2026-11-30T09:30:00Z",
            ),
            // An hour that is left out in that night.
            (
                "daily 02:30 Europe/Paris",
                "2026-03-29T12:00:00Z",
                "2026-03-29T01:30:00Z",
            ),
        ] {
            assert_eq!(due(written, now), expected, "{written} at {now}");
        }
    }

    #[test]
    fn what_is_no_schedule_is_told() {
        let parse = |text: &str| DigestSchedule::parse(text, TimeZone::UTC);
        assert_eq!(parse("none"), Ok(None));
        for (text, word) in [
            ("", "is written"),
            ("monthly", "is written"),
            ("none 08:00", "is written"),
            ("daily 8 o'clock", "is written"),
            ("daily 25:00", "is written"),
            ("daily 08:00 UTC more", "is written"),
            ("daily 08:00 Europe/Pariss", "time zone"),
        ] {
            let error = parse(text).unwrap_err();
            assert!(error.contains(word), "{text}: {error}");
        }
    }
}
