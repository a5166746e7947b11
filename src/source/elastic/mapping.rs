//! The mapping of an index: creates the one of a new index, checks those of others, and translates a filter by names into
//! queries. `window` translates times.

use std::collections::BTreeSet;

use serde_json::{Map, Value, json};

use super::window::TimeKind;
use crate::data::options::{Fields, Filter};

/// The keys of a record.
const RECORD_KEYS: [&str; 5] = ["workload_id", "client_id", "timestamp", "request", "response"];

/// Returns the request body that creates an index for log records.
pub(crate) fn index_definition() -> Value {
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

/// The mapping of an index, or the common part of the mappings behind an alias.
#[derive(Clone, Debug, Default, PartialEq)]
pub(crate) struct Mapping {
    strict: bool,
    no_source: bool,
    part_of_source: bool,
    properties: Map<String, Value>,
    fields: Fields,
}

impl Mapping {
    /// Reads the response to `GET /INDEX/_mapping`.
    pub(crate) fn read(response: &Value) -> Mapping {
        let mut all = response.as_object().into_iter().flatten().map(|(_, index)| Mapping::of(&index["mappings"]));
        let Some(mut first) = all.next() else { return Mapping::default() };
        for other in all {
            first.strict |= other.strict;
            first.no_source |= other.no_source;
            first.part_of_source |= other.part_of_source;
            // Only a field that is the same in all indices can be relied on.
            first.properties.retain(|name, field| other.properties.get(name) == Some(field));
        }
        first
    }

    fn of(mappings: &Value) -> Mapping {
        Mapping {
            strict: mappings["dynamic"].as_str().is_some_and(|dynamic| dynamic.starts_with("strict")),
            no_source: mappings["_source"]["enabled"] == false,
            part_of_source: ["includes", "excludes"].iter().any(|key| !mappings["_source"][key].is_null()),
            properties: mappings["properties"].as_object().cloned().unwrap_or_default(),
            fields: Fields::default(),
        }
    }

    /// Sets the paths of the record fields in the documents.
    pub(crate) fn with_fields(self, fields: &Fields) -> Mapping {
        Mapping { fields: fields.clone(), ..self }
    }

    /// Returns true if documents may hold only mapped fields.
    pub(crate) fn is_strict(&self) -> bool {
        self.strict
    }

    /// Returns the reason why the index cannot be read, if so.
    pub(crate) fn unreadable(&self) -> Option<String> {
        self.no_source.then(|| "it does not store its documents (_source is disabled)".to_owned())
    }

    /// Returns the reason why the index cannot hold records, if so.
    pub(crate) fn unwritable(&self) -> Option<String> {
        if let Some(why) = self.unreadable() {
            return Some(why);
        }
        if self.part_of_source {
            return Some("it does not store whole documents (_source leaves parts out)".to_owned());
        }
        let kind = |name: &str| self.properties.get(name).map(|field| field["type"].as_str().unwrap_or("object"));
        for name in RECORD_KEYS {
            let fits = match (name, kind(name)) {
                (_, None) if self.strict => {
                    return Some(format!("its mapping is strict and has no field {name}"));
                }
                (_, None) => true,
                ("workload_id" | "client_id", Some(kind)) => {
                    matches!(kind, "keyword" | "text" | "wildcard" | "match_only_text" | "constant_keyword")
                }
                ("timestamp", Some("date" | "date_nanos")) => self.date_accepts_numbers(),
                ("timestamp", Some(kind)) => {
                    matches!(kind, "long" | "integer" | "unsigned_long" | "double" | "keyword" | "text")
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

    /// Returns true if the date of the timestamp accepts numbers.
    fn date_accepts_numbers(&self) -> bool {
        let format = self.properties.get("timestamp").and_then(|field| field["format"].as_str());
        format.is_none_or(|formats| formats.split("||").any(|one| matches!(one, "epoch_second" | "epoch_millis")))
    }

    /// Returns the definition of the field at a dotted path, if queries reach it.
    fn field(&self, path: &str) -> Option<&Value> {
        field_below(&self.properties, path, false)
    }

    /// Returns the path of a record field in a document.
    pub(crate) fn path<'a>(&'a self, name: &'a str) -> &'a str {
        self.fields.path(name)
    }

    /// Returns true if the mapping has a field at this path.
    pub(crate) fn has(&self, path: &str) -> bool {
        field_below(&self.properties, path, true).is_some()
    }

    /// Returns the field that allows an exact comparison with a text, if any.
    fn exact_field(&self, name: &str, text: &str) -> Option<String> {
        let usable = |field: &Value| {
            let longest = field["ignore_above"].as_u64().unwrap_or(u64::MAX);
            field["type"] == "keyword"
                && field["index"] != false
                && field["normalizer"].is_null()
                && field["null_value"].is_null()
                && text.chars().count() as u64 <= longest
        };
        let path = self.path(name);
        let field = self.field(path)?;
        if usable(field) {
            return Some(path.to_owned());
        }
        let (below, _) = field["fields"].as_object()?.iter().find(|(_, field)| usable(field))?;
        Some(format!("{path}.{below}"))
    }

    /// Returns the field that groups records by this key, if any, and true if the field holds every name.
    pub(crate) fn grouping_field(&self, name: &str) -> Option<(String, bool)> {
        let field = self.exact_field(name, "")?;
        let definition = self.field(&field).or_else(|| {
            let (parent, below) = field.rsplit_once('.')?;
            self.field(parent)?["fields"].get(below)
        })?;
        let holds_all = definition["ignore_above"].is_null();
        (definition["doc_values"] != false).then_some((field, holds_all))
    }

    /// Returns the kind of the time field, if the server can sort and filter by it without changing times.
    pub(crate) fn time_kind(&self) -> Option<TimeKind> {
        let field = self.field(self.path("timestamp"))?;
        if field["index"] == false || field["doc_values"] == false || !field["null_value"].is_null() {
            return None;
        }
        // Floats of 32 bits or less and scaled floats round times across the bounds of a window.
        match field["type"].as_str()? {
            "date" => Some(TimeKind::Date),
            "date_nanos" => Some(TimeKind::Nanos),
            "long" | "integer" | "double" | "unsigned_long" => Some(TimeKind::Number),
            _ => None,
        }
    }

    /// Translates the workload and clients of a filter. Returns the queries that the server can decide, and true if they
    /// cover the filter. The queries may select too many records but never too few, because the reader filters again.
    pub(crate) fn name_queries(&self, filter: &Filter) -> (Vec<Value>, bool) {
        let (mut parts, mut whole) = (Vec::new(), true);
        if let Some(workload) = &filter.workload {
            match self.exact_field("workload_id", workload) {
                Some(field) => parts.push(json!({"term": {field: {"value": workload}}})),
                None => whole = false,
            }
        }
        let fields: Option<BTreeSet<String>> = filter
            .clients
            .iter()
            .map(|client| self.exact_field("client_id", client).filter(|_| !client.is_empty()))
            .collect();
        match fields.as_ref().and_then(BTreeSet::first) {
            Some(field) if fields.as_ref().is_some_and(|fields| fields.len() == 1) => {
                parts.push(json!({"terms": {field.as_str(): filter.clients}}));
            }
            _ => whole &= filter.clients.is_empty(),
        }
        (parts, whole)
    }
}

/// Returns the definition at a dotted path. Keys may contain dots themselves. Enters `nested` fields only if asked to,
/// because ordinary queries do not reach them.
fn field_below<'a>(properties: &'a Map<String, Value>, path: &str, nested: bool) -> Option<&'a Value> {
    properties.iter().find_map(|(key, field)| match path.strip_prefix(key.as_str())? {
        "" => Some(field),
        _ if field["type"] == "nested" && !nested => None,
        rest => field_below(field["properties"].as_object()?, rest.strip_prefix('.')?, nested),
    })
}

/// Returns the value at a dotted path of a document. Keys may contain dots themselves.
pub(crate) fn value_at<'a>(document: &'a Value, path: &str) -> Option<&'a Value> {
    let found = document.as_object()?.iter().find_map(|(key, value)| match path.strip_prefix(key.as_str())? {
        "" => Some(value),
        rest => value_at(value, rest.strip_prefix('.')?),
    });
    found.filter(|value| !value.is_null())
}

/// Returns the dotted paths to fetch of each document, or none to fetch whole documents. Documents of another shape may
/// hold much more than a record.
pub(crate) fn source_fields(fields: &Fields) -> Vec<String> {
    let paths = fields.all().into_iter().map(|(name, path)| path.unwrap_or(name).to_owned());
    if fields.are_own() { Vec::new() } else { paths.chain(["feedback".to_owned()]).collect() }
}

/// Combines queries so that all must match. Without any, all documents match.
pub(crate) fn all_of(parts: Vec<Value>) -> Value {
    if parts.is_empty() { json!({"match_all": {}}) } else { json!({"bool": {"filter": parts}}) }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn mapping(properties: Value) -> Mapping {
        Mapping::read(&json!({"i": {"mappings": {"properties": properties}}}))
    }

    #[test]
    fn names_are_compared_where_they_are_kept_whole() {
        let filter = Filter { workload: Some("w".into()), clients: vec!["a".into(), "b".into()], ..Filter::default() };
        let own = mapping(index_definition()["mappings"]["properties"].clone());
        assert_eq!((own.name_queries(&filter).0.len(), own.name_queries(&filter).1), (2, true));
        let below = json!({"type": "text", "fields": {"keyword": {"type": "keyword", "ignore_above": 256}}});
        let dynamic = mapping(json!({"workload_id": below, "client_id": {"type": "text"}}));
        let part = json!({"term": {"workload_id.keyword": {"value": "w"}}});
        assert_eq!(dynamic.name_queries(&filter), (vec![part], false), "clients cannot be told");
        assert_eq!(dynamic.grouping_field("workload_id"), Some(("workload_id.keyword".to_owned(), false)));
        let long = Filter { workload: Some("w".repeat(257)), ..Filter::default() };
        assert_eq!(dynamic.name_queries(&long), (vec![], false));
        let unknown = Filter { clients: vec![String::new()], ..Filter::default() };
        assert_eq!(own.name_queries(&unknown), (vec![], false));
        assert_eq!(own.name_queries(&Filter::default()), (vec![], true));
        let lower = mapping(json!({"workload_id": {"type": "keyword", "normalizer": "lowercase"}}));
        assert_eq!(lower.name_queries(&filter), (vec![], false));
        assert_eq!(lower.grouping_field("workload_id"), None);
    }

    #[test]
    fn a_mapping_that_records_do_not_fit_is_told_from_one_that_they_do() {
        let own = index_definition()["mappings"]["properties"].clone();
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
        let parts = json!({"i": {"mappings": {"_source": {"excludes": ["response"]}}}});
        assert!(Mapping::read(&parts).unwritable().is_some());
        let reference = json!({"timestamp": {"type": "date"}, "request": {"type": "object", "dynamic": false}});
        assert_eq!(mapping(reference).unwritable(), None);
    }

    #[test]
    fn fields_that_stand_elsewhere_are_found_there() {
        let properties = json!({
            "app": {"type": "keyword"},
            "@timestamp": {"type": "date"},
            "who": {"properties": {"desk": {"type": "text", "fields": {"raw": {"type": "keyword"}}}}},
        });
        let text = |text: &str| Some(text.to_owned());
        let fields = Fields {
            workload_id: text("app"),
            client_id: text("who.desk"),
            timestamp: text("@timestamp"),
            ..Fields::default()
        };
        let there = mapping(properties).with_fields(&fields);
        let filter = Filter { workload: text("w"), clients: vec!["a".into()], ..Filter::default() };
        let (parts, whole) = there.name_queries(&filter);
        assert!(whole);
        assert_eq!(parts, [json!({"term": {"app": {"value": "w"}}}), json!({"terms": {"who.desk.raw": ["a"]}})]);
        assert_eq!(there.grouping_field("client_id"), Some(("who.desk.raw".to_owned(), true)));
        assert_eq!(there.time_kind(), Some(TimeKind::Date));
        assert!(there.has("who.desk") && !there.has("who.name") && !there.has("app.x"));
        let dotted = mapping(json!({"labels.app": {"type": "keyword"}, "who": {"type": "nested", "properties": {
            "desk": {"type": "keyword"}}}}));
        let fields = Fields { workload_id: text("labels.app"), client_id: text("who.desk"), ..Fields::default() };
        let (parts, whole) = dotted.with_fields(&fields).name_queries(&filter);
        assert_eq!(
            (parts, whole),
            (vec![json!({"term": {"labels.app": {"value": "w"}}})], false),
            "nested is not reached"
        );
        let document = json!({"a": {"b": {"c": 1}}, "a.b.d": 2, "a.b": {"e": 3}, "n": null});
        let at = |path: &str| value_at(&document, path).and_then(Value::as_i64);
        assert_eq!(
            (at("a.b.c"), at("a.b.d"), at("a.b.e"), at("a.x"), at("n")),
            (Some(1), Some(2), Some(3), None, None)
        );
    }

    #[test]
    fn a_time_that_its_index_moves_is_not_left_to_the_server() {
        let kind = |field: Value| mapping(json!({"timestamp": field})).time_kind();
        for exact in ["date", "date_nanos", "long", "double"] {
            assert!(kind(json!({"type": exact})).is_some(), "{exact}");
        }
        for moved in ["float", "half_float", "scaled_float", "keyword", "text"] {
            assert_eq!(kind(json!({"type": moved})), None, "{moved}");
        }
        assert_eq!(kind(json!({"type": "date", "null_value": 0})), None);
        assert_eq!(kind(json!({"type": "date", "index": false})), None);
    }
}
