//! The timestamp forms of the services (docs/nemo-api.md, Names, ids and times).

use jiff::Timestamp;
use jiff::civil::DateTime;
use jiff::tz::TimeZone;

/// Reads a timestamp into epoch milliseconds: ISO without a zone (UTC is meant), RFC 3339, or the `Time.String()` of Go.
pub(crate) fn millis(text: &str) -> Option<i64> {
    let text = text.trim();
    if let Ok(stamp) = text.parse::<Timestamp>() {
        return Some(stamp.as_millisecond());
    }
    let mut words = text.split_whitespace();
    match (words.next()?, words.next(), words.next()) {
        // Python: 2025-05-08T17:19:19.316626
        (civil, None, _) => in_utc(civil),
        // Go: 2025-11-20 18:30:24.552508282 +0000 UTC m=+9185.671292350
        (date, Some(time), Some(offset)) => Some(in_utc(&format!("{date}T{time}"))? - offset_millis(offset)?),
        (date, Some(time), None) => in_utc(&format!("{date}T{time}")),
    }
}

fn in_utc(civil: &str) -> Option<i64> {
    let civil: DateTime = civil.parse().ok()?;
    Some(civil.to_zoned(TimeZone::UTC).ok()?.timestamp().as_millisecond())
}

fn offset_millis(text: &str) -> Option<i64> {
    let (sign, digits) = match text.split_at_checked(1)? {
        ("+", digits) => (1, digits),
        ("-", digits) => (-1, digits),
        _ => return None,
    };
    let (hours, minutes) = digits.split_at_checked(2)?;
    let (hours, minutes): (i64, i64) = (hours.parse().ok()?, minutes.trim_start_matches(':').parse().ok()?);
    Some(sign * (hours * 60 + minutes) * 60_000)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_three_forms_and_go_are_the_same_instant() {
        // 2025-05-08T17:19:19Z is 1746724759 (date -u -d @1746724759).
        assert_eq!(millis("2025-05-08T17:19:19.316626"), Some(1_746_724_759_316));
        assert_eq!(millis("2025-05-08T17:19:19.316626012Z"), Some(1_746_724_759_316));
        assert_eq!(millis("2025-05-08T17:19:19Z"), Some(1_746_724_759_000));
        assert_eq!(millis("2025-05-08T19:19:19+02:00"), Some(1_746_724_759_000));
        assert_eq!(millis("2025-05-08 17:19:19.316626012 +0000 UTC m=+9185.671292350"), Some(1_746_724_759_316));
        assert_eq!(millis("2025-05-08 19:19:19 +0200 CEST"), Some(1_746_724_759_000));
        assert_eq!(millis("2025-05-08T17:19:19"), Some(1_746_724_759_000));
    }

    #[test]
    fn nonsense_has_no_time() {
        for text in
            ["", "soon", "2025-13-40T00:00:00", "2025-05-08 x y", "1746724759 1 1", "+", "2025-05-08 17:19:19 é"]
        {
            assert_eq!(millis(text), None, "{text}");
        }
    }
}
