//! What a reading has handed out, as far as a context that is opened anew could bring it again, and from where that one
//! has to read. Sends nothing.

use std::collections::{HashSet, VecDeque};

use serde_json::{Value, json};

use super::context::Page;
use super::window::TimeKind;

/// A record that was handed out: its time in the index and a hash of its id.
type Delivered = (i64, u128);

/// What was handed out, as far as it could come again: slices of another context are other slices.
#[derive(Debug)]
pub(super) struct Progress {
    /// The time that each slice has come to; `None`: to its end.
    last: Vec<Option<i64>>,
    /// What each slice has handed out from the time on that the slowest has come to.
    kept: Vec<VecDeque<Delivered>>,
    /// The same of earlier contexts; without an order, everything that was handed out in any: each scroll is a context
    /// of its own, and one that is opened after a loss has other slices than those beside it.
    earlier: HashSet<u128>,
    earlier_times: Vec<Delivered>,
    /// From where on the present context reads.
    from: Option<i64>,
    delivered: u64,
}

impl Progress {
    /// Nothing, with this many slices.
    pub(super) fn new(slices: usize) -> Progress {
        Progress {
            last: vec![Some(i64::MIN); slices],
            kept: vec![VecDeque::new(); slices],
            earlier: HashSet::new(),
            earlier_times: Vec::new(),
            from: None,
            delivered: 0,
        }
    }

    /// The lines of a page without those that were handed out before.
    pub(super) fn take(&mut self, slice: usize, page: &Page<'_>, kind: Option<TimeKind>) -> Vec<u8> {
        let hits = &page.hits.hits;
        let mut bytes =
            Vec::with_capacity(hits.iter().map(|hit| hit.source.map_or(0, |raw| raw.get().len() + 1)).sum());
        for hit in hits {
            let id = hit.identity();
            let time = kind.map_or(i64::MIN, |kind| time_of(&hit.sort, kind));
            self.last[slice] = Some(time);
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
            // A document may have been sent with line breaks between its values; in its texts there are none.
            bytes[start..].iter_mut().filter(|byte| matches!(byte, b'\n' | b'\r')).for_each(|byte| *byte = b' ');
            bytes.push(b'\n');
        }
        self.forget();
        bytes
    }

    /// A slice has come to its end.
    pub(super) fn done(&mut self, slice: usize) {
        self.last[slice] = None;
        self.forget();
    }

    fn slowest(&self) -> Option<i64> {
        self.last.iter().filter_map(|last| *last).min()
    }

    /// Drops what cannot come again.
    fn forget(&mut self) {
        let Some(from) = self.slowest() else { return };
        for kept in &mut self.kept {
            while kept.front().is_some_and(|(time, _)| *time < from) {
                kept.pop_front();
            }
        }
    }

    /// A new context: what was handed out in the last one from where the slowest slice was. Says how many records were
    /// handed out so far.
    pub(super) fn begin_again(&mut self) -> u64 {
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
        self.last.iter_mut().for_each(|last| *last = Some(from));
        self.delivered
    }

    /// The part of the query that leaves out what lies behind.
    pub(super) fn rest(&self, kind: Option<TimeKind>, field: &str) -> Option<Value> {
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

/// The time by which a record is sorted: milliseconds for dates; the greatest for one without.
fn time_of(sort: &Value, kind: TimeKind) -> i64 {
    let value = &sort[0];
    let number = value.as_i64().or_else(|| value.as_f64().map(|real| real.floor() as i64)).unwrap_or(i64::MAX);
    match kind {
        TimeKind::Nanos if number != i64::MAX => number.div_euclid(1_000_000),
        _ => number,
    }
}
