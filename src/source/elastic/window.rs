//! Translates a time window into queries. Measures on documents how the server has read the stored timestamps, instead of
//! guessing, and writes the window in the same units.

use std::collections::BTreeSet;

use serde_json::{Map, Value, json};

use crate::data::options::Filter;
use crate::data::timestamp;

/// The first second after all times: 10000-01-01T00:00:00Z.
const END_OF_TIME: i64 = 253_402_300_800;
/// The milliseconds of the last time that a date in nanoseconds can hold.
const LAST_NANOS: i64 = i64::MAX / 1_000_000;

/// The kinds of time field, by which the server sorts and compares.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum TimeKind {
    /// A date, in milliseconds. Bounds need a format.
    Date,
    /// A date in nanoseconds.
    Nanos,
    Number,
}

/// The length of a second in the indexed timestamps, for each unit that documents use. It is 1 for seconds in a number, or
/// in a date that takes them for milliseconds. It is 1000 for a correct date, or milliseconds in a number.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub(crate) struct TimeUnits(BTreeSet<i64>);

impl TimeUnits {
    /// Measures the units on pairs of a stored timestamp and the value by which the server sorts it. The error says why
    /// the units are unknown.
    pub(crate) fn measure<'a>(
        kind: TimeKind,
        samples: impl IntoIterator<Item = (&'a Value, &'a Value)>,
    ) -> Result<TimeUnits, String> {
        let (mut units, mut unread) = (BTreeSet::new(), None);
        for (stored, sorted) in samples {
            let Some(indexed) = indexed(kind, sorted).filter(|_| !stored.is_null()) else { continue };
            let Some(seconds) = timestamp::from_json(&stored.to_string()) else {
                unread = Some(format!("{stored} is not a time in seconds, milliseconds or ISO 8601"));
                continue;
            };
            let fits = |unit: &i64| indexed.div_euclid(*unit) == seconds;
            // A time of 0 fits all units.
            match [1, 1000, 1_000_000].into_iter().filter(fits).collect::<Vec<_>>()[..] {
                [unit] => _ = units.insert(unit),
                [] => return Err(contradiction(stored, seconds, kind, indexed)),
                _ => {}
            }
        }
        match unread.filter(|_| units.is_empty()) {
            Some(why) => Err(why),
            None => Ok(TimeUnits(units)),
        }
    }

    /// Returns the unit if there is only one. Assumes a correct date if no document tells.
    pub(crate) fn only(&self) -> Option<i64> {
        match self.0.len() {
            0 => Some(1000),
            1 => self.0.first().copied(),
            _ => None,
        }
    }

    /// Returns the query for the documents in a filter's window, or none for all documents. Selects a few more documents if
    /// there are several units, and with `malformed` those whose timestamp the server could not read.
    pub(crate) fn window(&self, kind: TimeKind, field: &str, filter: &Filter, malformed: bool) -> Option<Value> {
        // Not every server accepts a bound before 1970.
        let since = filter.since.filter(|since| *since > 0);
        let until = filter.until.filter(|until| *until < END_OF_TIME);
        if (since.is_none() && until.is_none()) || until.is_some_and(|until| until <= 0) {
            return None;
        }
        let mut any = Vec::new();
        for unit in &self.0 {
            let later = self.0.last() > Some(unit);
            let until = until.or(later.then_some(END_OF_TIME));
            any.push(range(
                kind,
                field,
                since.map(|since| in_unit(kind, since, *unit)),
                until.map(|until| in_unit(kind, until, *unit)),
            ));
        }
        if self.0.is_empty() {
            // No document has a time after 1970, whatever the unit.
            any.push(range(kind, field, Some(i64::from(since.is_some())), None));
        }
        // A record without a timestamp counts as one of 1970-01-01T00:00:00Z.
        if since.is_none() {
            any.push(json!({"bool": {"must_not": {"exists": {"field": field}}}}));
        }
        if malformed {
            any.push(ignored(field));
        }
        Some(json!({"bool": {"should": any, "minimum_should_match": 1}}))
    }
}

/// Returns the query for documents with a time after 1970, which tell the unit.
pub(crate) fn after_1970(kind: TimeKind, field: &str) -> Value {
    let mut query = range(kind, field, None, None);
    query["range"][field]["gt"] = json!(0);
    query
}

/// Returns the query for documents in which the server could not read this field.
pub(crate) fn ignored(field: &str) -> Value {
    json!({"term": {"_ignored": {"value": field}}})
}

fn range(kind: TimeKind, field: &str, from: Option<i64>, below: Option<i64>) -> Value {
    let mut bounds = Map::new();
    for (name, bound) in [("gte", from), ("lt", below)] {
        if let Some(bound) = bound {
            bounds.insert(name.to_owned(), json!(bound));
        }
    }
    if kind != TimeKind::Number {
        bounds.insert("format".to_owned(), json!("epoch_millis"));
    }
    json!({"range": {field: bounds}})
}

fn in_unit(kind: TimeKind, seconds: i64, unit: i64) -> i64 {
    let bound = seconds.saturating_mul(unit);
    if kind == TimeKind::Nanos { bound.min(LAST_NANOS) } else { bound }
}

/// Returns the number by which a document is sorted, in milliseconds for dates, or none without a timestamp.
fn indexed(kind: TimeKind, sorted: &Value) -> Option<i64> {
    let number = sorted.as_i64().or_else(|| sorted.as_f64().map(|real| real.floor() as i64));
    let number = number.or_else(|| sorted.as_str()?.parse().ok()).filter(|number| *number != i64::MAX)?;
    Some(if kind == TimeKind::Nanos { number.div_euclid(1_000_000) } else { number })
}

fn contradiction(stored: &Value, seconds: i64, kind: TimeKind, indexed: i64) -> String {
    let shown = |at: jiff::Timestamp| at.strftime("%Y-%m-%dT%H:%M:%SZ").to_string();
    let ours = jiff::Timestamp::from_second(seconds).map_or(format!("second {seconds}"), shown);
    let theirs = match kind {
        TimeKind::Number => indexed.to_string(),
        _ => jiff::Timestamp::from_millisecond(indexed).map_or(format!("millisecond {indexed}"), shown),
    };
    format!("the server reads {stored} as {theirs}, not as {ours}")
}

#[cfg(test)]
mod tests {
    use super::*;

    fn units(kind: TimeKind, samples: &[(Value, Value)]) -> Result<TimeUnits, String> {
        TimeUnits::measure(kind, samples.iter().map(|(stored, sorted)| (stored, sorted)))
    }

    fn of(list: &[i64]) -> TimeUnits {
        TimeUnits(list.iter().copied().collect())
    }

    fn filter(since: Option<i64>, until: Option<i64>) -> Filter {
        Filter { since, until, ..Filter::default() }
    }

    #[test]
    fn what_a_server_makes_of_stored_times_is_measured() {
        let second = json!(1_700_000_010);
        let millisecond = json!(1_700_000_010_123_i64);
        let text = json!("2023-11-14T22:13:30.123Z");
        for (kind, stored, sorted, unit) in [
            // A date without a format takes seconds for milliseconds.
            (TimeKind::Date, &second, json!(1_700_000_010), 1),
            (TimeKind::Date, &second, json!(1_700_000_010_000_i64), 1000),
            (TimeKind::Date, &millisecond, json!(1_700_000_010_123_i64), 1000),
            (TimeKind::Date, &text, json!(1_700_000_010_123_i64), 1000),
            // A date of seconds takes milliseconds for seconds.
            (TimeKind::Date, &millisecond, json!(1_700_000_010_123_000_i64), 1_000_000),
            (TimeKind::Nanos, &text, json!(1_700_000_010_123_456_789_i64), 1000),
            (TimeKind::Nanos, &second, json!(1_700_000_010_000_000_i64), 1),
            (TimeKind::Number, &second, json!(1_700_000_010), 1),
            (TimeKind::Number, &second, json!("1700000010"), 1),
            (TimeKind::Number, &millisecond, json!(1.700000010123e12), 1000),
        ] {
            assert_eq!(units(kind, &[(stored.clone(), sorted)]), Ok(of(&[unit])), "{kind:?} {stored}");
        }
        let both = [(second.clone(), json!(1_700_000_010)), (text, json!(1_700_000_010_123_i64))];
        assert_eq!(units(TimeKind::Date, &both), Ok(of(&[1, 1000])));
        let nothing = [(json!(0), json!(0)), (Value::Null, json!(i64::MAX)), (second, Value::Null)];
        assert_eq!(units(TimeKind::Date, &nothing), Ok(of(&[])));
    }

    #[test]
    fn what_contradicts_itself_is_said_and_not_guessed() {
        // A date of the format yyyyMMdd.
        let why = units(TimeKind::Date, &[(json!(20_231_114), json!(1_699_920_000_000_i64))]).unwrap_err();
        assert!(why.contains("20231114") && why.contains("1970-08-23") && why.contains("2023-11-14"), "{why}");
        let strange = (json!("14/11/2023"), json!(1_699_920_000_000_i64));
        let why = units(TimeKind::Date, std::slice::from_ref(&strange)).unwrap_err();
        assert!(why.contains("14/11/2023"), "{why}");
        // Among others that can be told, a record without a time that can be read is one that is rejected.
        let good = (json!(1_700_000_010), json!(1_700_000_010));
        assert_eq!(units(TimeKind::Date, &[strange, good]), Ok(of(&[1])));
    }

    fn bounds(value: &Value) -> Vec<(Option<i64>, Option<i64>)> {
        let any = value["bool"]["should"].as_array().unwrap();
        let bound = |part: &Value, name: &str| part["range"]["t.at"][name].as_i64();
        let ranges = any.iter().filter(|part| part.get("range").is_some());
        ranges.map(|part| (bound(part, "gte"), bound(part, "lt"))).collect()
    }

    #[test]
    fn a_window_is_said_in_each_unit_and_they_keep_out_of_each_other() {
        let window = |units: &[i64], since, until| {
            of(units).window(TimeKind::Date, "t.at", &filter(since, until), false).map(|value| bounds(&value))
        };
        let (since, until) = (Some(1_700_000_000), Some(1_700_000_060));
        assert_eq!(window(&[1], since, until).unwrap(), [(since, until)]);
        let thousands = (Some(1_700_000_000_000), Some(1_700_000_060_000));
        assert_eq!(window(&[1000], since, until).unwrap(), [thousands]);
        assert_eq!(window(&[1, 1000], since, until).unwrap(), [(since, until), thousands]);
        let open = window(&[1, 1000], since, None).unwrap();
        assert_eq!(open, [(since, Some(END_OF_TIME)), (Some(1_700_000_000_000), None)]);
        assert_eq!(window(&[1], None, None), None);
        assert_eq!(window(&[1], None, Some(0)), None);
        assert_eq!(window(&[], since, None).unwrap(), [(Some(1), None)]);
        let nanos = of(&[1000]).window(TimeKind::Nanos, "t.at", &filter(None, Some(END_OF_TIME - 1)), false).unwrap();
        assert_eq!(bounds(&nanos), [(None, Some(LAST_NANOS))]);
    }

    #[test]
    fn records_without_a_time_belong_to_1970_and_unread_ones_come_along() {
        let said = |since, until, malformed| {
            let filter = filter(since, until);
            of(&[1000]).window(TimeKind::Number, "timestamp", &filter, malformed).unwrap().to_string()
        };
        assert!(said(None, Some(10), false).contains("must_not"));
        assert!(!said(Some(10), None, false).contains("must_not"));
        assert!(said(Some(10), None, true).contains("_ignored"));
        assert!(!said(Some(10), None, true).contains("format"));
    }
}
