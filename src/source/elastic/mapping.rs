//! What an index makes of the fields of a record: the mapping that `load` creates, whether another one will do, and how a
//! filter is said in its terms. Sends nothing.

use std::collections::BTreeSet;

use serde_json::{Map, Value, json};

use crate::data::options::Filter;
use crate::data::timestamp;

/// The keys of a record.
const FIVE: [&str; 5] = ["workload_id", "client_id", "timestamp", "request", "response"];

/// Whole numbers from here on are milliseconds, not seconds (product section 3).
const MILLISECONDS_FROM: f64 = 1e11;

/// The body that creates an index for log records.
pub(crate) fn creation() -> Value {
    json!({"mappings": {
        "dynamic": false,
        "properties": {
            "workload_id": {"type": "keyword"},
            "client_id": {"type": "keyword"},
            "timestamp": {"type": "date", "format": "epoch_second||strict_date_optional_time"},
            "request": {"type": "object", "enabled": false},
            "response": {"type": "object", "enabled": false},
        },
    }})
}

/// The mapping of an index, or of all indices behind an alias where they agree.
#[derive(Clone, Debug, Default, PartialEq)]
pub(crate) struct Mapping {
    strict: bool,
    no_source: bool,
    properties: Map<String, Value>,
}

/// How the field of the timestamp is sorted and compared.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum TimeKind {
    /// A date: milliseconds inside, bounds with a format of their own.
    Date,
    /// A date in nanoseconds.
    Nanos,
    /// A number.
    Number,
}

impl Mapping {
    /// Reads the answer to `GET /INDEX/_mapping`.
    pub(crate) fn read(answer: &Value) -> Mapping {
        let mut all = answer.as_object().into_iter().flatten().map(|(_, index)| Mapping::of(&index["mappings"]));
        let Some(mut first) = all.next() else { return Mapping::default() };
        for other in all {
            first.strict |= other.strict;
            first.no_source |= other.no_source;
            // A field that is not the same everywhere is not relied on.
            first.properties.retain(|name, field| other.properties.get(name) == Some(field));
        }
        first
    }

    fn of(mappings: &Value) -> Mapping {
        Mapping {
            strict: mappings["dynamic"] == "strict",
            no_source: mappings["_source"]["enabled"] == false,
            properties: mappings["properties"].as_object().cloned().unwrap_or_default(),
        }
    }

    /// Whether only the five fields of a record may be written.
    pub(crate) fn is_strict(&self) -> bool {
        self.strict
    }

    /// Why nothing can be read from the index, if so.
    pub(crate) fn unreadable(&self) -> Option<String> {
        self.no_source.then(|| "it does not keep its documents (_source is switched off)".to_owned())
    }

    /// Why records cannot be written to the index, if so.
    pub(crate) fn unwritable(&self) -> Option<String> {
        if let Some(why) = self.unreadable() {
            return Some(why);
        }
        let kind = |name: &str| self.properties.get(name).map(|field| field["type"].as_str().unwrap_or("object"));
        for name in FIVE {
            let fits = match (name, kind(name)) {
                (_, None) if self.strict => {
                    return Some(format!("its mapping is strict and has no field {name}"));
                }
                (_, None) => true,
                ("workload_id" | "client_id", Some(kind)) => {
                    matches!(kind, "keyword" | "text" | "wildcard" | "match_only_text" | "constant_keyword")
                }
                ("timestamp", Some(kind)) => {
                    let numeric = self.numeric_format().is_some() || !matches!(kind, "date" | "date_nanos");
                    numeric
                        && matches!(
                            kind,
                            "date" | "date_nanos" | "long" | "unsigned_long" | "double" | "keyword" | "text"
                        )
                }
                (_, Some(kind)) => matches!(kind, "object" | "nested" | "flattened" | "flat_object"),
            };
            if !fits {
                let field = &self.properties[name];
                return Some(format!("its field {name} is mapped as {}", json!(field)));
            }
        }
        None
    }

    /// The field to compare a text with exactly, where there is one.
    fn exact(&self, name: &str, text: &str) -> Option<String> {
        let usable = |field: &Value| {
            let longest = field["ignore_above"].as_u64().unwrap_or(u64::MAX);
            field["type"] == "keyword" && field["index"] != false && text.chars().count() as u64 <= longest
        };
        let field = self.properties.get(name)?;
        if usable(field) {
            return Some(name.to_owned());
        }
        let (below, _) = field["fields"].as_object()?.iter().find(|(_, field)| usable(field))?;
        Some(format!("{name}.{below}"))
    }

    /// The field that groups records by this key, where there is one.
    pub(crate) fn grouped(&self, name: &str) -> Option<String> {
        self.exact(name, "")
    }

    /// Which of the two numeric formats a date takes; `None`: no number.
    fn numeric_format(&self) -> Option<&'static str> {
        match self.properties.get("timestamp")?["format"].as_str() {
            None => Some("epoch_millis"),
            Some(formats) => formats.split("||").find_map(|format| match format {
                "epoch_second" => Some("epoch_second"),
                "epoch_millis" => Some("epoch_millis"),
                _ => None,
            }),
        }
    }

    /// How the timestamp is sorted, where it can be.
    pub(crate) fn time_kind(&self) -> Option<TimeKind> {
        let field = self.properties.get("timestamp")?;
        if field["index"] == false || field["doc_values"] == false {
            return None;
        }
        match field["type"].as_str()? {
            "date" => Some(TimeKind::Date),
            "date_nanos" => Some(TimeKind::Nanos),
            "long" | "integer" | "double" | "float" | "unsigned_long" | "scaled_float" => Some(TimeKind::Number),
            _ => None,
        }
    }

    /// What one second of a record's time is in units of the indexed timestamp, for each way in which `samples` (values
    /// as stored) are written.
    pub(crate) fn factors<'a>(&self, kind: TimeKind, samples: impl IntoIterator<Item = &'a Value>) -> BTreeSet<i64> {
        let of_number = |number: f64| {
            let milliseconds = number.abs() >= MILLISECONDS_FROM;
            match (kind, self.numeric_format()) {
                (TimeKind::Number, _) | (_, Some("epoch_millis")) => {
                    if milliseconds {
                        1000
                    } else {
                        1
                    }
                }
                _ if milliseconds => 1_000_000,
                _ => 1000,
            }
        };
        samples
            .into_iter()
            .filter_map(|sample| match sample {
                Value::Number(number) => number.as_f64().map(of_number),
                Value::String(text) => match text.trim().parse::<f64>() {
                    Ok(number) => Some(of_number(number)),
                    Err(_) => timestamp::from_text(text).map(|_| 1000),
                },
                _ => None,
            })
            .collect()
    }

    /// The part of a filter by workload and client that the server can decide. What it cannot is left to the reader, who
    /// looks at every record again: too much may come, never too little.
    pub(crate) fn by_name(&self, filter: &Filter) -> Vec<Value> {
        let mut parts = Vec::new();
        if let Some(workload) = &filter.workload
            && let Some(field) = self.exact("workload_id", workload)
        {
            parts.push(json!({"term": {field: {"value": workload}}}));
        }
        let fields: Option<BTreeSet<String>> = filter
            .clients
            .iter()
            .map(|client| self.exact("client_id", client).filter(|_| !client.is_empty()))
            .collect();
        if let Some(fields) = fields.filter(|fields| fields.len() == 1) {
            parts.extend(fields.into_iter().map(|field| json!({"terms": {field: filter.clients}})));
        }
        parts
    }

    /// The same by time, for an index whose timestamps are written in the ways that `factors` stands for.
    pub(crate) fn by_time(&self, filter: &Filter, factors: &BTreeSet<i64>) -> Option<Value> {
        let kind = self.time_kind()?;
        // Not every server takes a bound before 1970.
        let since = filter.since.filter(|since| *since > 0);
        let until = match filter.until {
            Some(until) if until <= 0 => return None,
            until => until,
        };
        if (since.is_none() && until.is_none()) || factors.is_empty() {
            return None;
        }
        let mut any: Vec<Value> = factors
            .iter()
            .map(|factor| {
                let mut bounds = Map::new();
                let mut bound = |name: &str, seconds: Option<i64>| {
                    if let Some(seconds) = seconds {
                        bounds.insert(name.to_owned(), json!(seconds.saturating_mul(*factor)));
                    }
                };
                bound("gte", since);
                bound("lt", until);
                if kind != TimeKind::Number {
                    bounds.insert("format".to_owned(), json!("epoch_millis"));
                }
                json!({"range": {"timestamp": bounds}})
            })
            .collect();
        // A record without a timestamp counts as one of 1970-01-01T00:00:00Z.
        if since.is_none() {
            any.push(json!({"bool": {"must_not": {"exists": {"field": "timestamp"}}}}));
        }
        Some(json!({"bool": {"should": any, "minimum_should_match": 1}}))
    }
}

/// A query of these parts; all documents without any.
pub(crate) fn all_of(parts: Vec<Value>) -> Value {
    if parts.is_empty() { json!({"match_all": {}}) } else { json!({"bool": {"filter": parts}}) }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn mapping(properties: Value) -> Mapping {
        Mapping::read(&json!({"i": {"mappings": {"properties": properties}}}))
    }

    fn window(mapping: &Mapping, samples: &[Value]) -> Option<Value> {
        let filter = Filter { since: Some(1_700_000_000), until: Some(1_700_000_060), ..Filter::default() };
        let factors = mapping.factors(mapping.time_kind()?, samples);
        mapping.by_time(&filter, &factors)
    }

    fn bounds(value: &Value) -> Vec<(i64, i64)> {
        let any = value["bool"]["should"].as_array().unwrap();
        let bound = |part: &Value, name: &str| part["range"]["timestamp"][name].as_i64().unwrap();
        any.iter().map(|part| (bound(part, "gte"), bound(part, "lt"))).collect()
    }

    #[test]
    fn a_window_is_said_in_the_unit_that_the_mapping_makes_of_stored_values() {
        let seconds = json!(1_700_000_010);
        let milliseconds = json!(1_700_000_010_000_i64);
        let text = json!("2023-11-14T22:13:30Z");
        let own = mapping(creation()["mappings"]["properties"].clone());
        assert_eq!(
            bounds(&window(&own, std::slice::from_ref(&seconds)).unwrap()),
            [(1_700_000_000_000, 1_700_000_060_000)]
        );
        let plain = mapping(json!({"timestamp": {"type": "date"}}));
        assert_eq!(bounds(&window(&plain, std::slice::from_ref(&seconds)).unwrap()), [(1_700_000_000, 1_700_000_060)]);
        assert_eq!(
            bounds(&window(&plain, std::slice::from_ref(&milliseconds)).unwrap()),
            [(1_700_000_000_000, 1_700_000_060_000)]
        );
        assert_eq!(
            bounds(&window(&plain, std::slice::from_ref(&text)).unwrap()),
            [(1_700_000_000_000, 1_700_000_060_000)]
        );
        assert_eq!(bounds(&window(&plain, &[seconds.clone(), text]).unwrap()).len(), 2);
        let number = mapping(json!({"timestamp": {"type": "long"}}));
        let said = window(&number, &[seconds]).unwrap();
        assert_eq!(bounds(&said), [(1_700_000_000, 1_700_000_060)]);
        assert!(!said.to_string().contains("format"));
        assert_eq!(window(&mapping(json!({"timestamp": {"type": "keyword"}})), &[milliseconds]), None);
        assert_eq!(window(&plain, &[]), None);
    }

    #[test]
    fn without_a_lower_bound_records_without_a_time_belong_to_1970() {
        let own = mapping(creation()["mappings"]["properties"].clone());
        let filter = Filter { until: Some(10), ..Filter::default() };
        assert!(own.by_time(&filter, &BTreeSet::from([1000])).unwrap().to_string().contains("must_not"));
        let filter = Filter { since: Some(10), ..Filter::default() };
        assert!(!own.by_time(&filter, &BTreeSet::from([1000])).unwrap().to_string().contains("must_not"));
    }

    #[test]
    fn names_are_compared_where_they_are_kept_whole() {
        let filter = Filter { workload: Some("w".into()), clients: vec!["a".into(), "b".into()], ..Filter::default() };
        let own = mapping(creation()["mappings"]["properties"].clone());
        assert_eq!(own.by_name(&filter).len(), 2);
        let below = json!({"type": "text", "fields": {"keyword": {"type": "keyword", "ignore_above": 256}}});
        let dynamic = mapping(json!({"workload_id": below, "client_id": {"type": "text"}}));
        assert_eq!(dynamic.by_name(&filter), [json!({"term": {"workload_id.keyword": {"value": "w"}}})]);
        let long = Filter { workload: Some("w".repeat(257)), ..Filter::default() };
        assert!(dynamic.by_name(&long).is_empty());
        let unknown = Filter { clients: vec![String::new()], ..Filter::default() };
        assert!(own.by_name(&unknown).is_empty());
    }

    #[test]
    fn a_mapping_that_records_do_not_fit_is_told_from_one_that_they_do() {
        let own = creation()["mappings"]["properties"].clone();
        assert_eq!(mapping(own.clone()).unwritable(), None);
        let strict = json!({"i": {"mappings": {"dynamic": "strict", "properties": own}}});
        assert_eq!(Mapping::read(&strict).unwritable(), None);
        assert!(Mapping::read(&strict).is_strict());
        let without =
            json!({"i": {"mappings": {"dynamic": "strict", "properties": {"workload_id": {"type": "keyword"}}}}});
        assert!(Mapping::read(&without).unwritable().unwrap().contains("client_id"));
        assert!(mapping(json!({"request": {"type": "keyword"}})).unwritable().is_some());
        assert!(mapping(json!({"timestamp": {"type": "date", "format": "yyyy-MM-dd"}})).unwritable().is_some());
        let off = json!({"i": {"mappings": {"_source": {"enabled": false}}}});
        assert!(Mapping::read(&off).unwritable().is_some());
        let reference = json!({"timestamp": {"type": "date"}, "request": {"type": "object", "dynamic": false}});
        assert_eq!(mapping(reference).unwritable(), None);
    }
}
