//! Turns times of logs into whole epoch seconds. Never asks for the present time.

use jiff::fmt::temporal::DateTimeParser;
use jiff::tz::{Disambiguation, OffsetConflict};

/// Numbers from this one on are milliseconds.
const MILLISECONDS_FROM: i64 = 100_000_000_000;
/// Takes no time whose offset is not that of its zone, and none that the zone skips or has twice.
const ZONED: DateTimeParser =
    DateTimeParser::new().offset_conflict(OffsetConflict::Reject).disambiguation(Disambiguation::Reject);
/// 0001-01-01T00:00:00Z.
const MIN: i64 = -62_135_596_800;
/// The last second that is no number of milliseconds when it is read again: 5138-11-16T09:46:39Z.
const MAX: i64 = MILLISECONDS_FROM - 1;

/// Reads a JSON value as whole epoch seconds, rounded down: a number of seconds (from 1e11 on milliseconds) or a quoted
/// ISO 8601 time. Returns `None` for anything else and for times outside the years 1 to 5138.
pub(crate) fn from_json(raw: &str) -> Option<i64> {
    if raw.starts_with('"') {
        return from_text(&serde_json::from_str::<String>(raw).ok()?);
    }
    from_number(raw)
}

/// Reads bare text as whole epoch seconds: an ISO 8601 time (UTC if it has no zone), one with a zone in brackets (RFC
/// 9557), a date (midnight UTC), or a number of at least nine digits before the point. Shorter numbers would be dates in
/// the basic form of ISO 8601.
pub(crate) fn from_text(text: &str) -> Option<i64> {
    let text = text.trim();
    let digits = text.trim_start_matches('-').bytes().take_while(u8::is_ascii_digit).count();
    if digits >= 9 && text.bytes().all(|b| matches!(b, b'0'..=b'9' | b'.' | b'-')) {
        return from_number(text);
    }
    let nanoseconds = if names_zone(text) {
        ZONED.parse_zoned(text).ok()?.timestamp().as_nanosecond()
    } else if let Ok(time) = text.parse::<jiff::Timestamp>() {
        time.as_nanosecond()
    } else {
        let civil = match text.parse::<jiff::civil::DateTime>() {
            Ok(time) => time,
            Err(_) => text.parse::<jiff::civil::Date>().ok()?.to_datetime(jiff::civil::Time::midnight()),
        };
        civil.to_zoned(jiff::tz::TimeZone::UTC).ok()?.timestamp().as_nanosecond()
    };
    in_range(i64::try_from(nanoseconds.div_euclid(1_000_000_000)).ok()?)
}

/// Returns true if a zone stands in brackets. Other annotations, such as a calendar, have a key.
fn names_zone(text: &str) -> bool {
    text.split_once('[').is_some_and(|(_, annotation)| !annotation.split(']').next().unwrap_or_default().contains('='))
}

fn from_number(raw: &str) -> Option<i64> {
    if let Ok(whole) = raw.parse::<i64>() {
        return in_range(if whole >= MILLISECONDS_FROM { whole.div_euclid(1000) } else { whole });
    }
    let number = raw.parse::<f64>().ok().filter(|number| number.is_finite())?;
    let seconds = if number >= MILLISECONDS_FROM as f64 { (number / 1000.0).floor() } else { number.floor() };
    // A float cast saturates, so a huge value stays out of range.
    in_range(seconds as i64)
}

fn in_range(seconds: i64) -> Option<i64> {
    (MIN..=MAX).contains(&seconds).then_some(seconds)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn numbers_are_seconds_or_from_1e11_on_milliseconds_rounded_down() {
        for (raw, seconds) in [
            ("0", 0),
            ("1700000000", 1_700_000_000),
            ("1700000000.999", 1_700_000_000),
            ("1.7e9", 1_700_000_000),
            ("-1.5", -2),
            ("99999999999", 99_999_999_999),
            ("100000000000", 100_000_000),
            ("1700000000123", 1_700_000_000),
            ("1700000000999.9", 1_700_000_000),
        ] {
            assert_eq!(from_json(raw), Some(seconds), "{raw}");
        }
    }

    #[test]
    fn iso_times_with_and_without_zone_and_dates() {
        for (text, seconds) in [
            ("2023-11-14T22:13:20Z", 1_700_000_000),
            ("2023-11-14T22:13:20", 1_700_000_000),
            ("2023-11-14 22:13:20", 1_700_000_000),
            ("2023-11-14T23:13:20.987+01:00", 1_700_000_000),
            ("2023-11-14T22:13:20.987654", 1_700_000_000),
            ("2023-11-14", 1_699_920_000),
            ("1969-12-31T23:59:59.5Z", -1),
            ("1700000000", 1_700_000_000),
            ("1700000000.5", 1_700_000_000),
            ("1700000000123", 1_700_000_000),
        ] {
            assert_eq!(from_text(text), Some(seconds), "{text}");
            assert_eq!(from_json(&format!("\"{text}\"")), Some(seconds), "{text}");
        }
    }

    #[test]
    fn a_zone_in_brackets_counts() {
        for (text, seconds) in [
            ("2024-05-01T10:00:00[Europe/Berlin]", 1_714_550_400),
            ("2024-05-01T10:00:00+02:00[Europe/Berlin]", 1_714_550_400),
            ("2024-05-01T08:00:00Z[Europe/Berlin]", 1_714_550_400),
            ("2024-05-01T08:00Z[UTC]", 1_714_550_400),
            ("2024-05-01 03:00:00.5-05:00[America/Chicago]", 1_714_550_400),
            ("2024-05-01T13:45:00+05:45[Asia/Kathmandu][u-ca=iso8601]", 1_714_550_400),
            ("2024-05-01T10:00:00+02:00[+02:00]", 1_714_550_400),
            ("2024-05-01T10:00:00+02:00[u-ca=iso8601]", 1_714_550_400),
            ("2024-01-15T10:00:00[Europe/Berlin]", 1_705_309_200),
            ("2024-10-27T02:30:00+01:00[Europe/Berlin]", 1_729_992_600),
        ] {
            assert_eq!(from_text(text), Some(seconds), "{text}");
        }
        for text in [
            "2024-05-01T10:00:00+01:00[Europe/Berlin]",
            "2024-05-01T10:00:00[Europe/Bonn]",
            "2024-05-01T10:00:00[CET/CEST]",
            "2024-05-01T10:00:00[]",
            "2024-05-01T10:00:00[Europe/Berlin",
            // The clocks show this time twice, or not at all.
            "2024-10-27T02:30:00[Europe/Berlin]",
            "2024-03-31T02:30:00[Europe/Berlin]",
        ] {
            assert_eq!(from_text(text), None, "{text}");
        }
    }

    #[test]
    fn every_time_is_the_same_when_it_is_read_again() {
        for raw in ["99999999999", "99999999999999", "\"5138-11-16T09:46:39Z\"", "\"0001-01-01\"", "-62135596800", "0"]
        {
            let seconds = from_json(raw).unwrap();
            assert_eq!(from_json(&seconds.to_string()), Some(seconds), "{raw}");
        }
        for raw in ["100000000000000", "199999999999999", "\"5138-11-16T09:46:40Z\"", "\"9999-12-31T23:59:59Z\""] {
            assert_eq!(from_json(raw), None, "{raw} would be a time of 1973 or later, as a number of milliseconds");
        }
    }

    #[test]
    fn what_is_no_time_is_none() {
        for raw in ["true", "[]", "{}", "\"\"", "\"yesterday\"", "1e30", "-1e30", "1700000000000000000", "\"12:00\""] {
            assert_eq!(from_json(raw), None, "{raw}");
        }
    }
}
