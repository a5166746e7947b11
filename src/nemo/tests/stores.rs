//! Namespaces, datasets, models, deployments: bodies sent, answers tolerated.

use std::collections::BTreeMap;

use serde_json::{Value, json};

use super::super::{JobStatus, NewDataset, NewDeployment, Removal, Service, StoredDataset};
use super::{Fake, missing, ok, reply};

#[tokio::test]
async fn a_namespace_is_made_in_both_stores() {
    let fake = Fake::replies(vec![ok(json!({ "id": "n" })), reply(201, "")]).await;
    fake.v1().ensure_namespace("n").await.unwrap();
    assert_eq!(fake.lines(), ["POST /nemo/v1/namespaces", "POST /ds/v1/datastore/namespaces"]);
    assert_eq!(fake.seen()[0].json(), json!({ "id": "n" }));
    assert_eq!(fake.seen()[1].header("content-type"), "application/x-www-form-urlencoded");
    assert_eq!(fake.seen()[1].body, "namespace=n");
}

#[tokio::test]
async fn an_existing_namespace_is_fine() {
    let fake = Fake::replies(vec![reply(409, r#"{"detail":"exists"}"#), reply(409, "")]).await;
    fake.v1().ensure_namespace("n").await.unwrap();
    assert_eq!(fake.seen().len(), 2);
}

#[tokio::test]
async fn a_422_for_a_namespace_counts_only_when_it_can_be_read() {
    let there = vec![reply(422, "{}"), ok(json!({ "id": "n" })), reply(422, ""), reply(201, "{}")];
    let fake = Fake::replies(there).await;
    fake.v1().ensure_namespace("n").await.unwrap();
    let lines = ["POST /nemo/v1/namespaces", "GET /nemo/v1/namespaces/n"];
    assert_eq!(fake.lines()[..2], lines);
    assert_eq!(fake.lines()[3], "GET /ds/v1/datastore/namespaces/n");

    let fake =
        Fake::replies(vec![reply(422, r#"{"detail":[{"loc":["body","id"],"msg":"bad name"}]}"#), missing()]).await;
    let error = fake.v1().ensure_namespace("n!").await.unwrap_err();
    assert_eq!(error.status(), Some(422));
    assert!(error.to_string().ends_with("body.id: bad name"), "{error}");
}

#[tokio::test]
async fn another_generation_of_the_api_is_told_apart() {
    let fake = Fake::replies(vec![missing()]).await;
    let error = fake.v1().check_api().await.unwrap_err();
    assert!(error.to_string().contains("not the v1 API"), "{error}");
    assert!(!error.is_transient() && error.is_unreachable());
    let fake = Fake::replies(vec![ok(json!({ "data": null }))]).await;
    fake.v1().check_api().await.unwrap();
    let fake = Fake::start(|_, _| reply(404, "<html>default backend</html>")).await;
    assert!(fake.v1().check_api().await.unwrap_err().is_unreachable());
}

#[tokio::test]
async fn every_service_can_be_probed() {
    let fake = Fake::start(|_, _| ok(json!({ "data": [] }))).await;
    let all = [
        Service::EntityStore,
        Service::DataStore,
        Service::Deployments,
        Service::Customizer,
        Service::Evaluator,
        Service::Nim,
    ];
    for service in all {
        fake.v1().probe(service).await.unwrap();
    }
    let expected = [
        "GET /nemo/v1/namespaces",
        "GET /ds/v1/datastore/namespaces",
        "GET /nemo/v1/deployment/model-deployments",
        "GET /nemo/v1/customization/targets",
        "GET /nemo/v1/evaluation/jobs",
        "GET /nim/v1/models",
    ];
    assert_eq!(fake.lines(), expected);
}

fn new_dataset() -> NewDataset {
    NewDataset {
        namespace: "n".into(),
        name: "d".into(),
        description: "d (me@here)".into(),
        project: "flywheel".into(),
    }
}

#[tokio::test]
async fn a_dataset_is_registered_read_and_deleted() {
    let entity = json!({
        "created_at": "2025-11-20T18:17:40.112233", "updated_at": null, "name": "d", "namespace": "n",
        "description": "d (me@here)", "format": null, "files_url": "hf://datasets/n/d", "hf_endpoint": null,
        "split": null, "limit": null, "id": "dataset-4nVg2ouYtMWyTAxqTzGT5d", "project": "flywheel",
        "custom_fields": {}, "brand_new": [1],
    });
    let deleted = json!({ "message": "Resource deleted successfully.", "id": "x", "deleted_at": null });
    let fake = Fake::replies(vec![ok(entity.clone()), ok(entity), missing(), ok(deleted), missing()]).await;
    let v1 = fake.v1();
    v1.create_dataset_entity(&new_dataset()).await.unwrap();
    let body = json!({
        "name": "d", "namespace": "n", "description": "d (me@here)", "files_url": "hf://datasets/n/d",
        "project": "flywheel",
    });
    assert_eq!(fake.seen()[0].json(), body);
    assert!(v1.dataset_entity("n", "d").await.unwrap().is_some());
    assert_eq!(v1.dataset_entity("n", "d").await.unwrap(), None);
    assert_eq!(v1.delete_dataset_entity("n", "d").await.unwrap(), Removal::Removed);
    assert_eq!(v1.delete_dataset_entity("n", "d").await.unwrap(), Removal::Absent);
}

#[tokio::test]
async fn a_dataset_is_there_with_its_files_or_it_is_not() {
    let entity = |url: &str, project: Value| ok(json!({ "name": "d", "files_url": url, "project": project }));
    let tree = json!([{ "type": "file", "path": "a", "size": 3 }]);
    let ours = "hf://datasets/n/d";
    let fake = Fake::replies(vec![
        entity("hf://datasets/n/e", Value::Null),
        entity(ours, json!("other")),
        entity(ours, Value::Null),
        missing(),
        entity(ours, json!("flywheel")),
        ok(tree),
        missing(),
    ])
    .await;
    let mut found = Vec::new();
    for _ in 0..5 {
        found.push(fake.v1().dataset(&new_dataset()).await.unwrap());
    }
    let different = |text: &str| StoredDataset::Different(text.to_owned());
    assert_eq!(found[0], different("files_url: ours is hf://datasets/n/d, the platform has hf://datasets/n/e"));
    assert_eq!(found[1], different("project: ours is flywheel, the platform has other"));
    assert_eq!(found[2], StoredDataset::Absent);
    assert!(matches!(&found[3], StoredDataset::Files(files) if files[0].path == "a" && files[0].size == 3));
    assert_eq!(found[4], StoredDataset::Absent);
    assert_eq!(fake.seen().len(), 7);
}

#[tokio::test]
async fn deleting_a_dataset_takes_its_files_along() {
    let fake = Fake::replies(vec![missing(), reply(204, "")]).await;
    assert_eq!(fake.v1().delete_dataset("n", "d").await.unwrap(), Removal::Removed);
    assert_eq!(fake.lines(), ["DELETE /nemo/v1/datasets/n/d", "DELETE /ds/v1/hf/api/repos/delete"]);
}

#[tokio::test]
async fn deleting_an_adapter_takes_every_revision_along() {
    let fake = Fake::replies(vec![ok(json!({})), missing(), reply(204, "")]).await;
    assert_eq!(fake.v1().delete_adapter("n", "a", &["cust-1", "cust-2"]).await.unwrap(), Removal::Removed);
    let lines =
        ["DELETE /nemo/v1/models/n/a@cust-1", "DELETE /nemo/v1/models/n/a@cust-2", "DELETE /ds/v1/hf/api/repos/delete"];
    assert_eq!(fake.lines(), lines);
}

#[tokio::test]
async fn nulls_everywhere_are_read() {
    let fake = Fake::start(|seen, _| match seen.path.contains("model-deployments") {
        true => ok(json!({ "name": "d", "config": null, "status_details": null, "created_at": null })),
        false => ok(json!({ "name": null, "namespace": null, "files_url": null, "base_model": null })),
    })
    .await;
    let client = fake.v1();
    assert_eq!(client.dataset_entity("n", "d").await.unwrap().unwrap().files_url, "");
    assert!(client.adapter_exists("n", "m", "cust-1").await.unwrap());
    let deployment = client.deployment("n", "d").await.unwrap().unwrap();
    assert_eq!(deployment.status, JobStatus::Unknown(String::new()));
    assert_eq!((deployment.model, deployment.gpu, deployment.created_at_ms), (None, None, None));
}

#[tokio::test]
async fn nonsense_is_not_taken_for_absence() {
    for body in ["null", "[]", "\"ok\"", "<html>sign in</html>", ""] {
        let fake = Fake::start(move |_, _| reply(200, body)).await;
        let client = fake.v1();
        assert!(client.dataset_entity("n", "d").await.is_err(), "{body}");
        assert!(client.deployment("n", "d").await.is_err(), "{body}");
    }
    let fake = Fake::start(|_, _| ok(json!({ "status": "running" }))).await;
    assert!(fake.v1().training_job("cust-1").await.is_err());
    assert!(fake.v1().evaluation_job("eval-1").await.is_err());
    assert!(fake.v1().deployment("n", "d").await.is_err());
}

fn new_deployment() -> NewDeployment {
    NewDeployment {
        namespace: "dfwfd".into(),
        name: "dfwfd-abcdefgh-llama".into(),
        model: "meta/llama-3.2-1b-instruct".into(),
        image_name: "nvcr.io/nim/meta/llama-3.2-1b-instruct".into(),
        image_tag: "1.8.3".into(),
        pvc_size: Some("25Gi".into()),
        gpu: 1,
        envs: BTreeMap::from([("NIM_GUIDED_DECODING_BACKEND".into(), "outlines".into())]),
        engine: None,
        context_length: None,
        lora_rank: 16,
        description: "dfwfd-abcdefgh-llama (me@here)".into(),
    }
}

fn deployed(config: Value, status: Value) -> Value {
    json!({
        "async_enabled": false, "config": config, "created_at": "2025-11-20T18:18:05.859512042Z", "deployed": false,
        "name": "dfwfd-abcdefgh-llama", "namespace": "dfwfd", "status_details": status, "url": "",
    })
}

fn config() -> Value {
    json!({
        "model": "meta/llama-3.2-1b-instruct",
        "nim_deployment": {
            "additional_envs": { "NIM_GUIDED_DECODING_BACKEND": "outlines", "SET_BY_SERVICE": "x" },
            "disable_lora_support": false, "gpu": 1, "image_name": "nvcr.io/nim/meta/llama-3.2-1b-instruct",
            "image_tag": "1.8.3", "pvc_size": "25Gi",
        },
    })
}

#[tokio::test]
async fn a_deployment_is_asked_for_and_followed() {
    let pending = json!({ "description": "Model deployment created", "status": "pending" });
    let ready = json!({ "description": "rolled out", "status": "ready" });
    let fake = Fake::replies(vec![ok(deployed(config(), pending)), ok(deployed(config(), ready)), missing()]).await;
    let client = fake.v1();
    let made = client.create_deployment(&new_deployment()).await.unwrap();
    assert_eq!(
        fake.seen()[0].json(),
        json!({
            "name": "dfwfd-abcdefgh-llama", "namespace": "dfwfd", "description": "dfwfd-abcdefgh-llama (me@here)",
            "config": {
                "model": "meta/llama-3.2-1b-instruct",
                "nim_deployment": {
                    "image_name": "nvcr.io/nim/meta/llama-3.2-1b-instruct", "image_tag": "1.8.3", "gpu": 1,
                    "pvc_size": "25Gi", "additional_envs": { "NIM_GUIDED_DECODING_BACKEND": "outlines" },
                },
            },
        })
    );
    assert_eq!((made.status, made.created_at_ms), (JobStatus::Waiting, Some(1_763_662_685_859)));
    let ready = client.deployment("dfwfd", "dfwfd-abcdefgh-llama").await.unwrap().unwrap();
    assert_eq!((ready.status, ready.gpu), (JobStatus::Done, Some(1)));
    assert_eq!(client.deployment("dfwfd", "gone").await.unwrap(), None);
}

#[tokio::test]
async fn an_existing_deployment_is_reported_as_such() {
    for (status, body) in [
        (500, r#"{"detail":"model deployment already exists"}"#),
        (500, r#"{"message":"Model deployment already exists: dfwfd/x"}"#),
        (400, "model deployment already exists"),
        (409, ""),
    ] {
        let fake = Fake::start(move |_, _| reply(status, body)).await;
        let error = fake.v1().create_deployment(&new_deployment()).await.unwrap_err();
        assert!(error.already_exists() && !error.may_have_been_accepted(), "{error}");
        assert_eq!(fake.seen().len(), 1);
    }
}

#[tokio::test]
async fn an_existing_deployment_is_compared() {
    let configs = vec![
        config(),
        json!("dfwfd/stored"),
        {
            let mut other = config();
            other["nim_deployment"]["image_tag"] = json!("1.7");
            other
        },
        {
            let mut masked = config();
            masked["nim_deployment"]["additional_envs"]["NIM_GUIDED_DECODING_BACKEND"] = json!("******");
            masked["nim_deployment"]["pvc_size"] = Value::Null;
            masked
        },
        {
            let mut other = config();
            other["nim_deployment"]["additional_envs"]["NIM_GUIDED_DECODING_BACKEND"] = json!("xgrammar");
            other
        },
    ];
    let fake = Fake::replies(configs.into_iter().map(|config| ok(deployed(config, json!({})))).collect()).await;
    let mut differences = Vec::new();
    for _ in 0..5 {
        let there = fake.v1().deployment("dfwfd", "dfwfd-abcdefgh-llama").await.unwrap().unwrap();
        differences.push(new_deployment().differs_from(&there).unwrap_or_default());
    }
    let expected = [
        "",
        "config: ours is meta/llama-3.2-1b-instruct inline, the platform has the stored dfwfd/stored",
        "image_tag: ours is 1.8.3, the platform has 1.7",
        "",
        "additional_envs.NIM_GUIDED_DECODING_BACKEND: ours is outlines, the platform has xgrammar",
    ];
    assert_eq!(differences, expected);
}

fn page(data: Value, pagination: Value) -> super::Reply {
    ok(json!({ "object": "list", "data": data, "pagination": pagination }))
}

#[tokio::test]
async fn a_list_ends_at_its_last_page_or_at_an_empty_one() {
    let item = |name: &str| json!([{ "name": name }]);
    // By the page count.
    let fake = Fake::start(move |_, before| match before {
        0 => page(item("a"), json!({ "total_pages": 2 })),
        1 => page(item("b"), json!({ "total_pages": 2 })),
        _ => reply(500, ""),
    })
    .await;
    let names: Vec<String> = fake.v1().deployments().await.unwrap().into_iter().map(|found| found.name).collect();
    assert_eq!(names, ["a", "b"]);
    assert_eq!(fake.lines()[1], "GET /nemo/v1/deployment/model-deployments?page=2&page_size=100");
    // By an empty page, without pagination.
    let fake = Fake::start(move |_, before| match before {
        0 => page(item("a"), Value::Null),
        1 => ok(json!({ "data": [{ "name": "b" }] })),
        2 => ok(json!({ "data": null })),
        _ => reply(500, ""),
    })
    .await;
    assert_eq!(fake.v1().deployments().await.unwrap().len(), 2);
    assert_eq!(fake.seen().len(), 3);
}

#[tokio::test]
async fn a_list_may_be_null_and_a_server_may_ignore_the_page() {
    let fake = Fake::replies(vec![page(Value::Null, json!({ "total_pages": 1, "total_results": 0 }))]).await;
    assert_eq!(fake.v1().deployments().await.unwrap(), []);
    let fake = Fake::start(|_, _| ok(json!({ "data": [{ "name": "a" }, { "name": "b" }] }))).await;
    assert_eq!(fake.v1().deployments().await.unwrap().len(), 2);
    assert_eq!(fake.seen().len(), 2);
    let fake = Fake::start(|_, _| ok(json!(["a"]))).await;
    assert!(fake.v1().deployments().await.is_err());
}

#[tokio::test]
async fn served_models_are_ids_and_a_starting_proxy_is_transient() {
    let list = json!({ "object": "list", "data": [{ "id": "meta/m" }, { "id": null }, { "id": "n/a@cust-1" }] });
    let fake = Fake::replies(vec![ok(list), ok(json!({ "data": null }))]).await;
    assert_eq!(fake.v1().served_models().await.unwrap(), ["meta/m", "n/a@cust-1"]);
    assert!(fake.v1().served_models().await.unwrap().is_empty());
    for (status, body) in
        [(404, "{}"), (404, "<html>"), (502, "<html>"), (503, ""), (200, "<html>starting"), (200, "[]")]
    {
        let fake = Fake::start(move |_, _| reply(status, body)).await;
        let error = fake.v1().served_models().await.unwrap_err();
        assert!(error.is_transient(), "{error}");
        assert_eq!(fake.seen().len(), 1, "{error}");
    }
    for status in [401, 403] {
        let fake = Fake::start(move |_, _| reply(status, "")).await;
        assert!(!fake.v1().served_models().await.unwrap_err().is_transient());
    }
}

#[tokio::test]
async fn a_model_entity_is_read_and_deleted_by_its_revision() {
    let entity = json!({
        "name": "a@cust-1", "namespace": "n", "base_model": { "namespace": "meta", "name": "m" },
        "artifact": { "status": "upload_completed" },
    });
    let fake = Fake::replies(vec![ok(entity), ok(json!({})), missing()]).await;
    let client = fake.v1();
    assert!(client.adapter_exists("n", "a", "cust-1").await.unwrap());
    assert_eq!(client.delete_model_entity("n", "a@cust-1").await.unwrap(), Removal::Removed);
    assert_eq!(client.delete_model_entity("n", "a@cust-1").await.unwrap(), Removal::Absent);
    assert_eq!(fake.lines()[1], "DELETE /nemo/v1/models/n/a@cust-1");
}

#[tokio::test]
async fn repositories_are_made_and_deleted() {
    let exists = r#"{"error":"already created","url":"datasets/n/d"}"#;
    let replies =
        vec![ok(json!({ "url": "datasets/n/d" })), reply(409, exists), ok(json!(null)), reply(204, ""), missing()];
    let fake = Fake::replies(replies).await;
    let client = fake.v1();
    client.create_repo("n", "d").await.unwrap();
    client.create_repo("n", "d").await.unwrap();
    assert_eq!(client.delete_repo("n", "d").await.unwrap(), Removal::Removed);
    assert_eq!(client.delete_model_repo("n", "m").await.unwrap(), Removal::Removed);
    assert_eq!(client.delete_repo("n", "d").await.unwrap(), Removal::Absent);
    let dataset = json!({ "name": "d", "organization": "n", "type": "dataset" });
    assert_eq!(
        (fake.seen()[0].line(), fake.seen()[0].json()),
        ("POST /ds/v1/hf/api/repos/create".into(), dataset.clone())
    );
    assert_eq!((fake.seen()[2].line(), fake.seen()[2].json()), ("DELETE /ds/v1/hf/api/repos/delete".into(), dataset));
    assert_eq!(fake.seen()[3].json(), json!({ "name": "m", "organization": "n" }));
}

#[tokio::test]
async fn a_repository_whose_making_was_not_answered_is_made_again() {
    let fake = Fake::replies(vec![reply(503, ""), reply(409, r#"{"error":"already created"}"#)]).await;
    fake.v1().create_repo("n", "d").await.unwrap();
    assert_eq!(fake.seen().len(), 2);
}

#[tokio::test]
async fn a_repository_is_listed_over_pages() {
    let fake = Fake::replies(vec![
        ok(json!([{ "type": "directory", "path": "training" }, { "type": "file", "path": "a", "size": 3, "oid": "x" }]))
            .with("link", r#"<http://data-store.test/other/tree/main?recursive=true&cursor=n%3D%3D>; rel="next""#),
        ok(json!([{ "type": "file", "path": "b", "size": 10, "lfs": { "size": 5000 } }])),
        missing(),
        reply(404, "{}").with("x-error-code", "RevisionNotFound"),
    ])
    .await;
    let client = fake.v1();
    let files = client.repo_files("n", "d").await.unwrap().unwrap();
    let files: Vec<(&str, u64)> = files.iter().map(|file| (file.path.as_str(), file.size)).collect();
    assert_eq!(files, [("a", 3), ("b", 5000)]);
    let tree = "GET /ds/v1/hf/api/datasets/n/d/tree/main?recursive=true";
    assert_eq!(fake.lines(), [tree.to_owned(), format!("{tree}&cursor=n%3D%3D")]);
    assert_eq!(client.repo_files("n", "d").await.unwrap(), None);
    assert_eq!(client.repo_files("n", "d").await.unwrap(), Some(Vec::new()));
}
