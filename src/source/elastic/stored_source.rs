//! How an index stores its documents. A server with a synthetic `_source` throws documents away and puts them together
//! again from their fields. Lists of objects then come back as columns, each sorted, so messages lose their order. The
//! rules were observed on Elasticsearch 8.19 and 9.2 and OpenSearch 3.4 (`tests/elastic/sources.rs`).

use elasticsearch::http::Method;
use serde_json::{Map, Value};

use super::client::SearchClient;
use super::error::ElasticError;
use super::request::ServerRequest;
use crate::data::options::Fields;

/// The cause and the field of lists that lose their order.
#[derive(Clone, Debug, PartialEq, Eq)]
struct ScrambledField {
    /// The setting of the index, as `name: value`.
    setting: String,
    /// The path of the field.
    field: String,
}

/// Refuses indices that do not give requests and responses back as they were sent. `mappings` is the answer to
/// `GET /INDEX/_mapping`. Accepts what the credentials do not allow to look at.
pub(crate) async fn check(client: &SearchClient, mappings: &Value, fields: &Fields) -> Result<(), ElasticError> {
    let request = ServerRequest::new(Method::Get, client.index_path("/_settings"));
    let settings = match client.send_json(request.with("flat_settings", "true").with("include_defaults", "true")).await
    {
        Ok(settings) => settings,
        Err(error @ (ElasticError::Refused { .. } | ElasticError::Answer { .. })) => {
            tracing::debug!(%error, "cannot look at the settings of the index");
            Value::Null
        }
        Err(error) => return Err(error),
    };
    let refused =
        |ScrambledField { setting, field }| ElasticError::Scrambled { index: client.index.clone(), setting, field };
    scrambled(&settings, mappings, fields).map_or(Ok(()), |found| Err(refused(found)))
}

/// Returns the first of request and response whose lists lose their order in one of the indices. `settings` and
/// `mappings` are the answers to `GET /INDEX/_settings` (flat, with defaults) and `GET /INDEX/_mapping`.
fn scrambled(settings: &Value, mappings: &Value, fields: &Fields) -> Option<ScrambledField> {
    let mut indices = mappings.as_object().into_iter().flatten();
    indices.find_map(|(index, found)| of_index(&settings[index], &found["mappings"], fields))
}

fn of_index(settings: &Value, mappings: &Value, fields: &Fields) -> Option<ScrambledField> {
    let setting = |name: &str| {
        let value =
            [&settings["settings"][name], &settings["defaults"][name]].into_iter().find(|value| !value.is_null());
        value.and_then(Value::as_str).map(str::to_ascii_lowercase)
    };
    let mode = setting("index.mode").filter(|mode| mode != "standard");
    let keep = setting("index.mapping.synthetic_source_keep");
    let cause = if setting("index.derived_source.enabled").as_deref() == Some("true") {
        // OpenSearch, which has no setting to keep lists.
        "index.derived_source.enabled: true".to_owned()
    } else if mappings["_source"]["mode"] == "synthetic" {
        "_source.mode: synthetic".to_owned()
    } else if setting("index.mapping.source.mode").as_deref() != Some("synthetic") {
        return None;
    } else {
        mode.map_or_else(|| "index.mapping.source.mode: synthetic".to_owned(), |mode| format!("index.mode: {mode}"))
    };
    let paths = ["request", "response"].map(|name| fields.path(name));
    let lost = paths.into_iter().find(|path| match &keep {
        // Versions without this setting keep nothing.
        None => true,
        Some(keep) => !is_kept(mappings, path, false, keep == "arrays"),
    });
    lost.map(|field| ScrambledField { setting: cause, field: field.to_owned() })
}

/// Returns true if the value at a path below an object comes back as it was sent. `is_fixed` says that the mapping takes
/// no further fields, `keeps_lists` that the index keeps lists of objects.
fn is_kept(object: &Value, path: &str, is_fixed: bool, keeps_lists: bool) -> bool {
    if object["enabled"] == false || object["synthetic_source_keep"] == "all" {
        return true;
    }
    let is_fixed = match &object["dynamic"] {
        Value::Null => is_fixed,
        dynamic => dynamic == false || dynamic == "false",
    };
    let none = Map::new();
    let properties = object["properties"].as_object().unwrap_or(&none);
    if path.is_empty() {
        return match object["type"].as_str() {
            None | Some("object" | "nested") => {
                (is_fixed && properties.is_empty()) || (keeps_lists && !holds_flattened(object))
            }
            // Other types hold a text, whose order is its own.
            Some(kind) => !matches!(kind, "flattened" | "flat_object"),
        };
    }
    let below = properties.iter().find_map(|(key, field)| match path.strip_prefix(key.as_str())? {
        "" => Some((field, "")),
        rest => Some((field, rest.strip_prefix('.')?)),
    });
    // A field without a mapping is kept whole if it gets none.
    below.map_or(is_fixed || keeps_lists, |(field, rest)| is_kept(field, rest, is_fixed, keeps_lists))
}

fn holds_flattened(field: &Value) -> bool {
    let below = field["properties"].as_object().into_iter().flatten();
    matches!(field["type"].as_str(), Some("flattened")) || below.into_iter().any(|(_, field)| holds_flattened(field))
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;
    use crate::source::elastic::mapping::index_definition;

    fn lost(settings: &Value, mappings: &Value, fields: &Fields) -> Option<String> {
        let mut defaults = json!({"index.mode": "standard", "index.mapping.source.mode": "STORED",
            "index.mapping.synthetic_source_keep": "none"});
        if settings["index.mode"] == "logsdb" {
            defaults["index.mapping.source.mode"] = json!("SYNTHETIC");
            defaults["index.mapping.synthetic_source_keep"] = json!("arrays");
        }
        let settings = json!({"i": {"settings": settings, "defaults": defaults}});
        scrambled(&settings, &json!({"i": {"mappings": mappings}}), fields).map(|found| found.field)
    }

    #[test]
    fn lists_are_lost_in_fields_that_are_taken_apart() {
        let synthetic = json!({"index.mapping.source.mode": "synthetic"});
        let both = |field: Value| json!({"properties": {"request": field, "response": field}});
        let (none, own) = (Fields::default(), index_definition()["mappings"].clone());
        for (mappings, field) in [
            (json!({}), Some("request")),
            (own, None),
            (json!({"dynamic": "false"}), None),
            (both(json!({"type": "object", "dynamic": false})), None),
            (both(json!({"dynamic": false, "properties": {"messages": {"properties": {}}}})), Some("request")),
            (both(json!({"type": "object", "synthetic_source_keep": "all"})), None),
            (both(json!({"type": "object", "synthetic_source_keep": "arrays"})), Some("request")),
            (both(json!({"type": "flattened"})), Some("request")),
            (both(json!({"type": "text"})), None),
            (json!({"properties": {"request": {"enabled": false}}}), Some("response")),
        ] {
            assert_eq!(lost(&synthetic, &mappings, &none).as_deref(), field, "{mappings}");
            assert_eq!(lost(&json!({}), &mappings, &none), None, "{mappings}");
        }
        let kept = json!({"index.mapping.source.mode": "synthetic", "index.mapping.synthetic_source_keep": "arrays"});
        for settings in [kept, json!({"index.mode": "logsdb"})] {
            assert_eq!(lost(&settings, &json!({}), &none), None);
            assert_eq!(lost(&settings, &both(json!({"type": "flattened"})), &none).as_deref(), Some("request"));
        }
        let off = json!({"index.mode": "logsdb", "index.mapping.synthetic_source_keep": "none"});
        assert_eq!(lost(&off, &json!({}), &none).as_deref(), Some("request"));
        let path = |path: &str| Some(path.to_owned());
        let fields = Fields { request: path("call.in"), response: path("call.out"), ..none };
        let below = json!({"properties": {"call": {"properties": {"in": {"enabled": false}}}}});
        assert_eq!(lost(&synthetic, &below, &fields).as_deref(), Some("call.out"));
        assert_eq!(lost(&synthetic, &json!({"properties": {"call": {"enabled": false}}}), &fields), None);
    }

    #[test]
    fn older_versions_keep_nothing_and_other_servers_say_nothing() {
        let mappings = json!({"i": {"mappings": {"_source": {"mode": "synthetic"}, "dynamic": false}}});
        let found = scrambled(&json!({}), &mappings, &Fields::default()).unwrap();
        assert_eq!((found.setting.as_str(), found.field.as_str()), ("_source.mode: synthetic", "request"));
        let plain = json!({"i": {"mappings": {"dynamic": false}}});
        assert_eq!(scrambled(&json!({}), &plain, &Fields::default()), None);
        let derived = json!({"i": {"settings": {"index.derived_source.enabled": "true"}, "defaults": {}}});
        assert!(scrambled(&derived, &plain, &Fields::default()).is_some());
    }
}
