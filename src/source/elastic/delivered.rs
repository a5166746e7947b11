//! The records that a reading has delivered and that a new search context could return again, and the time from which the
//! new context has to read.

use std::collections::{HashSet, VecDeque};

use serde_json::{Value, json};

use super::page::ResultPage;
use super::window::TimeKind;

/// A delivered record: its time in the index and a hash of its id.
type DeliveredRecord = (i64, u128);

/// Delivered records that could come again. The slices of two contexts hold different records.
#[derive(Debug)]
pub(super) struct DeliveredRecords {
    /// The time that each slice has reached. `None` after its end.
    reached: Vec<Option<i64>>,
    /// The records that each slice has delivered, from the time of the slowest slice on.
    kept: Vec<VecDeque<DeliveredRecord>>,
    /// The records of earlier contexts. Without a time order, all records of all contexts, because each scroll is a context
    /// of its own and one that is opened after a loss has other slices.
    earlier: HashSet<u128>,
    earlier_times: Vec<DeliveredRecord>,
    /// The time from which the current context reads.
    from: Option<i64>,
    delivered: u64,
}

impl DeliveredRecords {
    pub(super) fn new(slices: usize) -> DeliveredRecords {
        DeliveredRecords {
            reached: vec![Some(i64::MIN); slices],
            kept: vec![VecDeque::new(); slices],
            earlier: HashSet::new(),
            earlier_times: Vec::new(),
            from: None,
            delivered: 0,
        }
    }

    /// Returns the lines of a page without records that were delivered before.
    pub(super) fn deliver(&mut self, slice: usize, page: &ResultPage<'_>, kind: Option<TimeKind>) -> Vec<u8> {
        let hits = &page.hits.hits;
        let mut bytes =
            Vec::with_capacity(hits.iter().map(|hit| hit.source.map_or(0, |raw| raw.get().len() + 1)).sum());
        for hit in hits {
            let id = hit.identity();
            let time = kind.map_or(i64::MIN, |kind| time_of(&hit.sort, kind));
            self.reached[slice] = Some(time);
            let new = match kind {
                Some(_) => !self.earlier.contains(&id),
                None => self.earlier.insert(id),
            };
            if !new {
                continue;
            }
            if kind.is_some() {
                self.kept[slice].push_back((time, id));
            }
            self.delivered += 1;
            let text = hit.source.map_or("null", serde_json::value::RawValue::get).as_bytes();
            let start = bytes.len();
            bytes.extend_from_slice(text);
            // A document may have line breaks between its values, but JSON escapes those in its texts.
            bytes[start..].iter_mut().filter(|byte| matches!(byte, b'\n' | b'\r')).for_each(|byte| *byte = b' ');
            bytes.push(b'\n');
        }
        self.drop_older();
        bytes
    }

    /// Marks a slice as read to its end.
    pub(super) fn finish_slice(&mut self, slice: usize) {
        self.reached[slice] = None;
        self.drop_older();
    }

    fn slowest(&self) -> Option<i64> {
        self.reached.iter().filter_map(|last| *last).min()
    }

    /// Drops records that cannot come again.
    fn drop_older(&mut self) {
        let Some(from) = self.slowest() else { return };
        for kept in &mut self.kept {
            while kept.front().is_some_and(|(time, _)| *time < from) {
                kept.pop_front();
            }
        }
    }

    /// Prepares for a new context, which reads from the time of the slowest slice. Returns the number of records delivered
    /// so far.
    pub(super) fn restart(&mut self) -> u64 {
        let from = self.slowest().unwrap_or(i64::MAX);
        if from == i64::MIN && self.kept.iter().all(VecDeque::is_empty) {
            return self.delivered;
        }
        let mut times = std::mem::take(&mut self.earlier_times);
        times.extend(self.kept.iter_mut().flat_map(std::mem::take));
        times.retain(|(time, _)| *time >= from);
        self.earlier = times.iter().map(|(_, id)| *id).collect();
        self.earlier_times = times;
        self.from = (from != i64::MIN).then_some(from);
        self.reached.iter_mut().for_each(|last| *last = Some(from));
        self.delivered
    }

    /// Returns the part of the query that leaves out records before the time to read from.
    pub(super) fn remaining_query(&self, kind: Option<TimeKind>, field: &str) -> Option<Value> {
        let (from, kind) = (self.from?, kind?);
        let without = json!({"bool": {"must_not": {"exists": {"field": field}}}});
        if from == i64::MAX {
            return Some(without);
        }
        let range = match kind {
            TimeKind::Number => json!({"gte": from}),
            TimeKind::Date | TimeKind::Nanos => json!({"gte": from, "format": "epoch_millis"}),
        };
        Some(json!({"bool": {"should": [{"range": {field: range}}, without], "minimum_should_match": 1}}))
    }
}

/// Returns the time by which a record is sorted, in milliseconds for dates. A record without a time has the greatest.
fn time_of(sort: &Value, kind: TimeKind) -> i64 {
    let value = &sort[0];
    let number = value.as_i64().or_else(|| value.as_f64().map(|real| real.floor() as i64)).unwrap_or(i64::MAX);
    match kind {
        TimeKind::Nanos if number != i64::MAX => number.div_euclid(1_000_000),
        _ => number,
    }
}
