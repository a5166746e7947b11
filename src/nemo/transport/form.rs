//! The forms of answers. Whatever stands in front of a service can answer 200 with JSON too, so an answer counts as the
//! service's only in the form that the service gives it.

use serde_json::Value;

use super::read_json;

/// The form of an answer that counts as the service's.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Form {
    /// Bytes of any kind.
    Anything,
    Json,
    /// An object with one of these keys.
    With(&'static [&'static str]),
    /// An object with `data`, which may be null.
    List,
    /// A list, or a bare array.
    ListOrArray,
    /// A list of served models. That of the Entity Store, at the same path, has pages.
    ServedModels,
    /// An object that says that it is the thing at the path of the request.
    Thing,
}

impl Form {
    /// Returns what is wrong with an answer. `named` are the segments of the path that name the thing: its id, or its
    /// namespace and its name.
    pub(super) fn misfit(self, answer: &Value, named: &[String]) -> Option<&'static str> {
        let fits = match self {
            Form::Anything | Form::Json => true,
            Form::With(keys) => keys.iter().any(|key| answer.get(key).is_some()),
            Form::List => answer.get("data").is_some(),
            Form::ServedModels => answer.get("data").is_some() && !is_of_entity_store(answer),
            Form::ListOrArray => answer.get("data").is_some() || answer.is_array(),
            Form::Thing => answer.is_object() && is_named(answer, named),
        };
        (!fits).then_some(match self {
            Form::ServedModels if is_of_entity_store(answer) => {
                "the list of the Entity Store, so this is not the NIM proxy: correct nmp_config.nim_base_url"
            }
            Form::List | Form::ListOrArray | Form::ServedModels => "not a list",
            _ => "not a thing of the kind that was asked for",
        })
    }
}

fn is_of_entity_store(list: &Value) -> bool {
    let is_entity = |item: &Value| item.get("namespace").is_some();
    list.get("pagination").is_some() || read_json::list(list, &["data"]).iter().any(is_entity)
}

/// Reports whether a thing has this id, or this namespace and name. A name with a version may lack it.
fn is_named(thing: &Value, named: &[String]) -> bool {
    let is = |key: &str, wanted: &str| {
        read_json::text(thing, &[key]).is_some_and(|text| text == wanted || wanted.starts_with(&format!("{text}@")))
    };
    let is_or_absent = |key: &str, wanted: &str| thing.get(key).is_none_or(Value::is_null) || is(key, wanted);
    match named {
        [namespace, name] => is("name", name) && is_or_absent("namespace", namespace),
        [id] => is("id", id) || is("name", id),
        _ => true,
    }
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    #[test]
    fn an_answer_counts_only_in_the_form_of_the_service() {
        let named = |named: &[&str]| named.iter().map(|one| (*one).to_owned()).collect::<Vec<_>>();
        let foreign = json!({"status": "error", "message": "upstream_timeout"});
        for form in [Form::List, Form::ListOrArray, Form::Thing, Form::With(&["tasks", "groups"])] {
            assert!(form.misfit(&foreign, &named(&["cust-1"])).is_some(), "{form:?}");
        }
        assert!(Form::List.misfit(&json!({"data": null}), &[]).is_none());
        assert!(Form::ServedModels.misfit(&json!({"data": [{"id": "a/b"}]}), &[]).is_none());
        let entities = json!({"data": [], "pagination": {"page": 1}});
        assert!(Form::ServedModels.misfit(&entities, &[]).unwrap().contains("nim_base_url"));
        assert!(Form::ListOrArray.misfit(&json!([]), &[]).is_none());
        assert!(Form::With(&["tasks", "groups"]).misfit(&json!({"groups": {}}), &[]).is_none());
    }

    #[test]
    fn a_thing_says_that_it_is_the_one_that_was_asked_for() {
        let is = |thing: Value, named: &[&str]| {
            let named: Vec<String> = named.iter().map(|one| (*one).to_owned()).collect();
            Form::Thing.misfit(&thing, &named).is_none()
        };
        assert!(is(json!({"id": "cust-1"}), &["cust-1"]) && is(json!({"name": "job"}), &["job"]));
        assert!(!is(json!({"id": "cust-2"}), &["cust-1"]));
        assert!(is(json!({"namespace": "n", "name": "d"}), &["n", "d"]) && is(json!({"name": "d"}), &["n", "d"]));
        assert!(!is(json!({"namespace": "m", "name": "d"}), &["n", "d"]) && !is(json!({"name": "e"}), &["n", "d"]));
        assert!(is(json!({"name": "c"}), &["n", "c@v1"]) && is(json!({"name": "c@v1"}), &["n", "c@v1"]));
        assert!(!is(json!({"name": "c@v1"}), &["n", "c"]));
    }
}
