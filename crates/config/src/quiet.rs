//! Quiet hours: a span of the day in a time zone.

use jiff::Timestamp;
use jiff::civil::Time;
use jiff::tz::TimeZone;
use matou_i18n::tr;

/// A span of every day, over midnight when it ends before it begins.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct QuietHours {
    /// When it begins, on the wall's clock.
    pub from: Time,
    /// When it ends.
    pub until: Time,
    /// Time zone, by its name of the IANA database.
    pub zone: TimeZone,
}

impl QuietHours {
    /// Reads `22:00-07:00 Europe/Paris`.
    ///
    /// # Errors
    /// What is wrong, in a sentence.
    pub fn parse(text: &str) -> Result<Self, &'static str> {
        let form = tr!("quiet hours are written \"22:00-07:00 Europe/Paris\"");
        let (span, zone) = text.trim().split_once(' ').ok_or(form)?;
        let (from, until) = span.split_once('-').ok_or(form)?;
        let time = |written: &str| Time::strptime("%H:%M", written.trim()).map_err(|_| form);
        let (from, until) = (time(from)?, time(until)?);
        if from == until {
            return Err(tr!(
                "quiet hours end when they begin: leave quiet out to be told always"
            ));
        }
        let zone = TimeZone::get(zone.trim()).map_err(
            |_| tr!("nobody knows the time zone: it is one like \"Europe/Paris\" (`timedatectl list-timezones`)"),
        )?;
        Ok(Self { from, until, zone })
    }

    /// Whether it is quiet then.
    pub fn covers(&self, at: Timestamp) -> bool {
        let time = self.zone.to_datetime(at).time();
        match self.from < self.until {
            true => (self.from..self.until).contains(&time),
            false => time >= self.from || time < self.until,
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn quiet_hours_go_over_midnight_and_follow_the_summer() {
        let quiet = QuietHours::parse("22:00-07:00 Europe/Paris").unwrap();
        for (at, expected) in [
            // One hour before UTC's in winter, two in summer.
            ("2026-01-10T20:59:59Z", false),
            ("2026-01-10T21:00:00Z", true),
            ("2026-01-11T05:59:59Z", true),
            ("2026-01-11T06:00:00Z", false),
            ("2026-07-10T20:00:00Z", true),
            ("2026-07-11T04:59:59Z", true),
            ("2026-07-11T05:00:00Z", false),
        ] {
            assert_eq!(quiet.covers(at.parse().unwrap()), expected, "{at}");
        }
        let noon = QuietHours::parse("12:00-14:00 UTC").unwrap();
        assert!(noon.covers("2026-01-10T13:59:00Z".parse().unwrap()));
        assert!(!noon.covers("2026-01-10T14:00:00Z".parse().unwrap()));
    }

    #[test]
    fn what_is_no_span_is_told() {
        for (text, word) in [
            ("22:00-07:00", "are written"),
            ("22-7 Europe/Paris", "are written"),
            ("22:00-25:00 Europe/Paris", "are written"),
            ("22:00-22:00 Europe/Paris", "end when they begin"),
            ("22:00-07:00 Europe/Pariss", "time zone"),
            ("22:00-07:00 ../../etc/passwd", "time zone"),
        ] {
            let error = QuietHours::parse(text).unwrap_err();
            assert!(error.contains(word), "{text}: {error}");
        }
    }
}
