//! Schedules: five fields, or a word for a common one, in a time zone. Pure.
//!
//! Upstream: github.com/robfig/cron, whose rules these are.

use std::time::Duration;

use jiff::civil::{Date, DateTime, date};
use jiff::tz::TimeZone;
use jiff::{SignedDuration, Timestamp, ToSpan};

/// A schedule that does not come about within so many years never does: the 31st of February.
const YEARS: i16 = 5;
const MONTHS: [&str; 12] = [
    "jan", "feb", "mar", "apr", "may", "jun", "jul", "aug", "sep", "oct", "nov", "dec",
];
const DAYS: [&str; 7] = ["sun", "mon", "tue", "wed", "thu", "fri", "sat"];

#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum Error {
    #[error("expected exactly 5 fields, found {0}")]
    Fields(usize),
    #[error("failed to parse {0:?}")]
    Field(String),
    #[error("unrecognized descriptor: {0}")]
    Word(String),
}

/// When something is to happen, again and again.
#[derive(Clone, Debug)]
pub enum Schedule {
    Every(Duration),
    At(Box<Times>),
}

#[derive(Clone, Debug)]
pub struct Times {
    minutes: Field,
    hours: Field,
    days: Field,
    months: Field,
    weekdays: Field,
    zone: TimeZone,
}

/// The values of a field, as bits.
#[derive(Clone, Copy, Debug, Default)]
struct Field {
    bits: u64,
    /// It was written as any value.
    is_any: bool,
}

impl Field {
    fn has(self, value: i8) -> bool {
        u32::try_from(value).is_ok_and(|value| self.bits >> value & 1 == 1)
    }

    fn parse(text: &str, low: u32, high: u32, names: &[&str]) -> Result<Field, Error> {
        let mut field = Field::default();
        for part in text.split(',').filter(|part| !part.is_empty()) {
            let range = range(part, low, high, names).ok_or_else(|| Error::Field(part.to_owned()))?;
            field.bits |= range.bits;
            field.is_any |= range.is_any;
        }
        Ok(field)
    }
}

/// `*`, `5`, `1-5`, each with an optional `/step`.
fn range(text: &str, low: u32, high: u32, names: &[&str]) -> Option<Field> {
    let (ends, step) = match text.split_once('/') {
        Some((ends, step)) => (ends, Some(step.parse::<u32>().ok().filter(|step| *step > 0)?)),
        None => (text, None),
    };
    let number = |text: &str| {
        let named = names.iter().position(|name| name.eq_ignore_ascii_case(text));
        match named {
            Some(index) => u32::try_from(index).ok().map(|index| index + low),
            None => text.parse().ok(),
        }
    };
    let is_any = matches!(ends, "*" | "?");
    let (first, last) = match ends.split_once('-') {
        _ if is_any => (low, high),
        Some((first, last)) => (number(first)?, number(last)?),
        None if step.is_some() => (number(ends)?, high),
        None => (number(ends)?, number(ends)?),
    };
    if first < low || last > high || first > last {
        return None;
    }
    let values = (first..=last).step_by(step.unwrap_or(1) as usize);
    Some(Field {
        bits: values.fold(0, |bits, value| bits | 1 << value),
        // Every other day is not any day.
        is_any: is_any && step.is_none_or(|step| step == 1),
    })
}

impl Schedule {
    /// Reads a schedule without its zone.
    pub fn parse(text: &str, zone: TimeZone) -> Result<Schedule, Error> {
        let fields = match text.trim() {
            "@yearly" | "@annually" => "0 0 1 1 *",
            "@monthly" => "0 0 1 * *",
            "@weekly" => "0 0 * * 0",
            "@daily" | "@midnight" => "0 0 * * *",
            "@hourly" => "0 * * * *",
            word if word.starts_with('@') => return every(word),
            fields => fields,
        };
        let fields: Vec<&str> = fields.split_whitespace().collect();
        let [minutes, hours, days, months, weekdays] = fields.as_slice() else {
            return Err(Error::Fields(fields.len()));
        };
        Ok(Schedule::At(Box::new(Times {
            minutes: Field::parse(minutes, 0, 59, &[])?,
            hours: Field::parse(hours, 0, 23, &[])?,
            days: Field::parse(days, 1, 31, &[])?,
            months: Field::parse(months, 1, 12, &MONTHS)?,
            weekdays: Field::parse(weekdays, 0, 6, &DAYS)?,
            zone,
        })))
    }

    /// The next time after the given one; `None` if there never is one.
    pub fn next(&self, after: Timestamp) -> Option<Timestamp> {
        match self {
            Schedule::Every(period) => {
                let whole = Timestamp::from_second(after.as_second()).ok()?;
                whole.checked_add(SignedDuration::try_from(*period).ok()?).ok()
            }
            Schedule::At(times) => times.next(after),
        }
    }

    /// A time as it is there where the schedule is meant: RFC 3339.
    pub fn shown(&self, at: Timestamp) -> String {
        let zone = match self {
            Schedule::Every(_) => TimeZone::UTC,
            Schedule::At(times) => times.zone.clone(),
        };
        let there = at.to_zoned(zone);
        if there.offset().is_zero() {
            there.strftime("%Y-%m-%dT%H:%M:%SZ").to_string()
        } else {
            there.strftime("%Y-%m-%dT%H:%M:%S%:z").to_string()
        }
    }
}

fn every(word: &str) -> Result<Schedule, Error> {
    let unknown = || Error::Word(word.to_owned());
    let period = word.strip_prefix("@every ").ok_or_else(unknown)?;
    let period = apimachinery::duration::Duration::parse(period).map_err(|_| unknown())?;
    let seconds = period.to_std().as_secs().max(1);
    Ok(Schedule::Every(Duration::from_secs(seconds)))
}

impl Times {
    fn next(&self, after: Timestamp) -> Option<Timestamp> {
        let start = after.to_zoned(self.zone.clone()).datetime();
        let last_year = start.year() + YEARS;
        let mut at = DateTime::from_parts(start.date(), start.time())
            .with()
            .second(0)
            .subsec_nanosecond(0)
            .build()
            .ok()?;
        while at.year() <= last_year {
            at = match self.mismatch(at) {
                None => {
                    // A time that the clock skips comes as soon as it goes on; one that it repeats comes once.
                    let found = self.zone.to_timestamp(at).ok()?;
                    if found > after {
                        return Some(found);
                    }
                    at.checked_add(1.minute()).ok()?
                }
                Some(next) => next,
            };
        }
        None
    }

    /// Where to look next, if this minute is not one of the schedule's.
    fn mismatch(&self, at: DateTime) -> Option<DateTime> {
        let midnight = |date: Date| date.at(0, 0, 0, 0);
        let skipped = if !self.months.has(at.month()) {
            let first = date(at.year(), at.month(), 1);
            first.checked_add(1.month()).map(midnight)
        } else if !self.is_day(at.date()) {
            at.date().checked_add(1.day()).map(midnight)
        } else if !self.hours.has(at.hour()) {
            at.date().at(at.hour(), 0, 0, 0).checked_add(1.hour())
        } else if !self.minutes.has(at.minute()) {
            at.checked_add(1.minute())
        } else {
            return None;
        };
        Some(skipped.unwrap_or(DateTime::MAX))
    }

    /// If both days are restricted, either will do.
    fn is_day(&self, date: Date) -> bool {
        let by_month = self.days.has(date.day());
        let by_week = self.weekdays.has(date.weekday().to_sunday_zero_offset());
        if self.days.is_any || self.weekdays.is_any {
            by_month && by_week
        } else {
            by_month || by_week
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn check(schedule: &str, after: &str, expected: &str) {
        let schedule = Schedule::parse(schedule, TimeZone::UTC).expect("a schedule");
        let after: Timestamp = after.parse().expect("a time");
        let next = schedule.next(after).map(|next| next.to_string());
        assert_eq!(next.unwrap_or_default(), expected, "{schedule:?}");
    }

    #[test]
    fn the_next_time_is_found() {
        let now = "2026-03-14T15:09:26Z";
        check("* * * * *", now, "2026-03-14T15:10:00Z");
        check("*/15 * * * *", now, "2026-03-14T15:15:00Z");
        check("5/20 * * * *", now, "2026-03-14T15:25:00Z");
        check("0 9-17/4 * * *", now, "2026-03-14T17:00:00Z");
        check("30 6 * * MON-fri", now, "2026-03-16T06:30:00Z");
        check("0 0 29 2 *", now, "2028-02-29T00:00:00Z");
        check("0 0 31 2 *", now, "");
        check("0 0 1 * *", "2026-12-31T23:59:59Z", "2027-01-01T00:00:00Z");
        check("@hourly", "2026-03-14T15:00:00Z", "2026-03-14T16:00:00Z");
        check("@every 90m", now, "2026-03-14T16:39:26Z");
        // The 20th, or any Monday.
        check("0 0 20 * 1", now, "2026-03-16T00:00:00Z");
        check("0 0 20 * *", now, "2026-03-20T00:00:00Z");
    }

    #[test]
    fn zones_are_heeded() {
        let zone = TimeZone::fixed(jiff::tz::offset(-5));
        let schedule = Schedule::parse("0 2 * * *", zone).expect("a schedule");
        let next = schedule.next("2026-03-14T15:00:00Z".parse().expect("a time"));
        let next = next.expect("a time");
        assert_eq!(next.to_string(), "2026-03-15T07:00:00Z");
        assert_eq!(schedule.shown(next), "2026-03-15T02:00:00-05:00");
    }

    #[test]
    fn what_is_no_schedule_is_refused() {
        for text in [
            "",
            "* * * *",
            "60 * * * *",
            "* * * * 7",
            "5-1 * * * *",
            "*/0 * * * *",
            "@often",
        ] {
            assert!(Schedule::parse(text, TimeZone::UTC).is_err(), "{text}");
        }
    }
}
