//! Tests the keys of `logs`: the address, credentials and time limit of an index, and the paths of fields.

use super::*;

#[test]
fn an_index_is_found_by_the_usual_variables_and_every_variable_it_names_has_to_be_set() {
    let index = |text: &str, variables: &'static [(&str, &str)]| {
        load_text(text, |invocation, around| {
            invocation.need = Need::Data;
            around.process = Environment::of(variables.iter().copied());
        })
    };
    let at = |result: Result<Plan, Problems>| match result.unwrap().data.input {
        LogSource::Elasticsearch(at) => at,
        other => panic!("{other:?}"),
    };
    let found = at(index(SMALL, &[("ELASTICSEARCH_URL", "http://e:9200/"), ("ES_COLLECTION_NAME", "logs")]));
    assert_eq!((found.url.as_str(), found.index.as_str()), ("http://e:9200", "logs"));
    let stated = format!("{SMALL}logs: {{source: elasticsearch}}\n");
    let found = at(index(&stated, &[]));
    assert_eq!((found.url.as_str(), found.index.as_str()), ("http://localhost:9200", "flywheel"));
    let stronger = &[("ELASTICSEARCH_URL", "http://e"), ("DFWFD__LOGS__ELASTICSEARCH__URL", "http://f")];
    assert_eq!(at(index(SMALL, stronger)).url, "http://f");
    let local = index(&format!("{SMALL}logs: {{source: local}}\n"), &[("ELASTICSEARCH_URL", "http://e")]);
    assert!(matches!(local.unwrap().data.input, LogSource::Local(_)));
    let stated =
        format!("{SMALL}logs: {{source: elasticsearch, elasticsearch: {{api_key_env: KEY, username_env: KEY}}}}\n");
    let lines = said(index(&stated, &[]));
    assert_eq!(lines.len(), 3, "{lines:#?}");
    assert!(lines.iter().any(|line| line.contains("password_env")), "{lines:#?}");
    let plan = index(SMALL, &[("ELASTICSEARCH_URL", "http://user:hunter2@e")]).unwrap();
    assert!(!format!("{plan:?}").contains("hunter2"), "a plan is stored and shown");
    assert_eq!(at(Ok(plan)).url, "http://e");
    for name in ["ELASTICSEARCH_URL", "DFWFD__LOGS__ELASTICSEARCH__URL"] {
        let variables: &[(&str, &str)] = match name {
            "ELASTICSEARCH_URL" => &[("ELASTICSEARCH_URL", "ftp://user:hunter2@e")],
            _ => &[("ELASTICSEARCH_URL", "http://e"), ("DFWFD__LOGS__ELASTICSEARCH__URL", "http://user:hunter2@e")],
        };
        let lines = said(load_text(SMALL, |invocation, around| {
            invocation.need = Need::Data;
            around.process = Environment::of(variables.iter().copied());
        }));
        assert!(lines[0].contains(name) && !lines[0].contains("hunter2"), "{lines:?}");
    }
}

#[test]
fn a_call_to_an_index_has_a_time_limit_above_zero() {
    let plan = |timeout: &str| {
        load_text(&format!("{SMALL}logs: {{source: elasticsearch, elasticsearch: {{{timeout}}}}}\n"), |_, _| {})
    };
    let of = |plan: &Plan| match &plan.data.input {
        LogSource::Elasticsearch(at) => at.timeout_ms,
        other => panic!("{other:?}"),
    };
    assert_eq!(of(&plan("").unwrap()), 120_000);
    assert_eq!(of(&plan("timeout: 1m30s").unwrap()), 90_000);
    for wrong in ["0s", "0", "-5s", "120", "soon", "null"] {
        let lines = said(plan(&format!("timeout: {wrong}")));
        assert_eq!(lines.len(), 1, "{wrong}: {lines:#?}");
        assert!(lines[0].contains("logs.elasticsearch.timeout") && lines[0].contains("above zero"), "{lines:#?}");
    }
    // A stored plan may be older than this key.
    let mut stored = serde_json::to_value(plan("timeout: 5s").unwrap()).unwrap();
    let at = &mut stored["data"]["input"]["elasticsearch"];
    assert_eq!(at.as_object_mut().unwrap().remove("timeout_ms"), Some(5000.into()));
    assert_eq!(of(&serde_json::from_value(stored).unwrap()), 120_000);
}

#[test]
fn fields_stand_at_places_of_their_own_and_are_not_written_to() {
    let plan =
        |text: &str, need: Need| load_text(&format!("{SMALL}logs: {text}\n"), |invocation, _| invocation.need = need);
    let mapped = "{source: elasticsearch, fields: {request: payload.request, timestamp: '@timestamp'}}";
    let read = plan(mapped, Need::Data).unwrap();
    assert_eq!(read.data.fields.request.as_deref(), Some("payload.request"));
    let LogSource::Elasticsearch(at) = &read.data.input else { panic!("{:?}", read.data.input) };
    assert_eq!(at.fields, read.data.fields);
    let lines = said(plan(mapped, Need::Store));
    assert!(lines[0].contains("logs.fields") && lines[0].contains("logs.source=local"), "{lines:?}");
    assert!(plan(&mapped.replace("elasticsearch", "local"), Need::Store).is_ok());
    let lines = said(plan("{source: local, fields: {request: a.b, response: a.b, client_id: a..b}}", Need::Data));
    assert_eq!(lines.len(), 2, "{lines:#?}");
    let lines = said(plan("{source: local, fields: {request: response}}", Need::Data));
    assert!(lines[0].contains("logs.fields.response"), "{lines:?}");
}
