//! Reads durations (`3h`, `1h30m`) and moments (`2025-06-01`, ISO 8601, `7d` ago) as users write them.

use jiff::civil;
use jiff::tz::TimeZone;
use jiff::{SignedDuration, Timestamp};

/// Longer durations, here more than a year, are refused.
const LONGEST_MS: u64 = 366 * 24 * 60 * 60 * 1000;

/// Returns the milliseconds of a duration such as `90s`, `1h30m`, `7d`, `250ms` or `0`.
pub(crate) fn duration_ms(text: &str) -> Option<u64> {
    let mut rest = text.trim();
    if rest == "0" {
        return Some(0);
    }
    let mut total: u64 = 0;
    let mut last_unit = u64::MAX;
    while !rest.is_empty() {
        let digits = rest.find(|letter: char| !letter.is_ascii_digit())?;
        let number: u64 = rest[..digits].parse().ok()?;
        rest = &rest[digits..];
        let letters = rest.find(|letter: char| letter.is_ascii_digit()).unwrap_or(rest.len());
        let unit = match &rest[..letters] {
            "ms" => 1,
            "s" => 1_000,
            "m" => 60_000,
            "h" => 3_600_000,
            "d" => 86_400_000,
            _ => return None,
        };
        if unit >= last_unit {
            return None;
        }
        last_unit = unit;
        rest = &rest[letters..];
        total = total.checked_add(number.checked_mul(unit)?)?;
    }
    (last_unit != u64::MAX && total <= LONGEST_MS).then_some(total)
}

/// Writes milliseconds as a user would: `1h30m`.
pub(crate) fn duration_text(ms: u64) -> String {
    let units = [("d", 86_400_000), ("h", 3_600_000), ("m", 60_000), ("s", 1_000), ("ms", 1)];
    let mut rest = ms;
    let mut text = String::new();
    for (name, unit) in units {
        if rest >= unit {
            text.push_str(&format!("{}{name}", rest / unit));
            rest %= unit;
        }
    }
    if text.is_empty() { "0s".to_owned() } else { text }
}

/// Describes the accepted forms of a moment.
pub(crate) const MOMENT: &str =
    "a date (2025-06-01, midnight UTC), a time (2025-06-01T12:30:00Z; UTC without an offset) or how long ago (7d, 12h)";

/// Describes the accepted forms of `--since` where earlier runs are known.
pub(crate) const MOMENT_OR_LAST_RUN: &str = "a date (2025-06-01, midnight UTC), a time (2025-06-01T12:30:00Z; UTC without an offset), \
     how long ago (7d, 12h) or last-run";

/// Returns the epoch seconds of a moment, rounded up. Records have whole seconds, so both `since` (inclusive) and `until`
/// (exclusive) select the same records as the exact moment would.
pub(crate) fn moment(text: &str, now: Timestamp) -> Option<i64> {
    let text = text.trim();
    if let Some(ms) = duration_ms(text).filter(|_| text != "0") {
        let back = SignedDuration::from_millis(i64::try_from(ms).ok()?);
        return Some(ceil_seconds(now.checked_sub(back).ok()?));
    }
    if let Ok(moment) = text.parse::<Timestamp>() {
        return Some(ceil_seconds(moment));
    }
    let civil = text.parse::<civil::DateTime>().ok()?;
    Some(ceil_seconds(civil.to_zoned(TimeZone::UTC).ok()?.timestamp()))
}

fn ceil_seconds(moment: Timestamp) -> i64 {
    let floor = moment.as_nanosecond().div_euclid(1_000_000_000);
    let up = i128::from(moment.as_nanosecond().rem_euclid(1_000_000_000) > 0);
    i64::try_from(floor + up).unwrap_or(i64::MAX)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn durations_are_read() {
        let cases = [
            ("3h", Some(10_800_000)),
            ("1h30m", Some(5_400_000)),
            ("60s", Some(60_000)),
            ("250ms", Some(250)),
            ("7d", Some(604_800_000)),
            ("0s", Some(0)),
            ("0", Some(0)),
            ("", None),
            ("5", None),
            ("h", None),
            ("3 h", None),
            ("30m1h", None),
            ("1h1h", None),
            ("-1h", None),
            ("1.5h", None),
            ("99999999999999999999h", None),
            ("500d", None),
            ("3ü", None),
        ];
        for (text, ms) in cases {
            assert_eq!(duration_ms(text), ms, "{text}");
        }
    }

    #[test]
    fn what_is_written_is_read_back() {
        for ms in [0, 1, 999, 1_000, 90_000, 5_400_000, 10_800_000, 604_800_001] {
            assert_eq!(duration_ms(&duration_text(ms)), Some(ms));
        }
        assert_eq!(duration_text(5_400_000), "1h30m");
    }

    #[test]
    fn moments_are_read() {
        let now: Timestamp = "2025-06-10T00:00:00Z".parse().unwrap();
        let cases = [
            ("2025-06-01", Some(1_748_736_000)),
            ("2025-06-01T02:00:00+02:00", Some(1_748_736_000)),
            ("2025-06-01T00:00:00", Some(1_748_736_000)),
            ("2025-06-01 00:00:00.25Z", Some(1_748_736_001)),
            ("9d", Some(1_748_736_000)),
            ("216h", Some(1_748_736_000)),
            ("1969-12-31T23:59:58.5Z", Some(-1)),
            ("yesterday", None),
            ("2025-13-01", None),
            ("", None),
            ("1748736000", None),
        ];
        for (text, seconds) in cases {
            assert_eq!(moment(text, now), seconds, "{text}");
        }
    }
}
