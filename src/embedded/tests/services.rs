//! Each service on its own: envelopes, statuses, refusals.

use super::*;

fn nim(name: &str, model: &str, gpus: u32) -> Value {
    json!({"name": name, "namespace": "ns", "description": "d (u@h)", "config": {"model": model, "nim_deployment": {
        "image_name": "nvcr.io/nim/x", "image_tag": "1.8.3", "pvc_size": "25Gi", "gpu": gpus}}})
}

const DEPLOYMENTS: &str = "/nemo/v1/deployment/model-deployments";

#[tokio::test]
async fn entities_are_created_read_changed_listed_and_deleted() {
    let p = Platform::polled();
    let (status, namespace) = p.post("/nemo/v1/namespaces", json!({"id": "ns"})).await;
    assert_eq!((status, &namespace["id"]), (StatusCode::OK, &json!("ns")));
    assert_eq!(p.post("/nemo/v1/namespaces", json!({"id": "ns"})).await.0, StatusCode::CONFLICT);
    assert_eq!(p.get("/nemo/v1/namespaces/other").await.0, StatusCode::NOT_FOUND);

    let dataset = json!({"name": "d1", "namespace": "ns", "files_url": "hf://datasets/ns/d1", "description": "x", "project": "p"});
    let made = p.make("/nemo/v1/datasets", dataset.clone()).await;
    assert!(made["id"].as_str().unwrap().starts_with("dataset-"));
    assert_eq!(made["custom_fields"], json!({}));
    assert_eq!(p.post("/nemo/v1/datasets", dataset).await.0, StatusCode::CONFLICT);
    let change = json!({"name": "d1", "namespace": "ns", "description": "y"});
    let changed = p.send(Method::PATCH, "/nemo/v1/datasets/ns/d1", Some(&change)).await.1;
    assert_eq!((&changed["description"], &changed["files_url"]), (&json!("y"), &made["files_url"]));
    assert_eq!(p.read("/nemo/v1/datasets/ns/d1").await["description"], "y");
    let listed = p.read("/nemo/v1/datasets?filter%5Bnamespace%5D=ns&sort=-created_at").await;
    assert_eq!((&listed["object"], &listed["pagination"]["total_results"]), (&json!("list"), &json!(1)));
    assert_eq!(p.read("/nemo/v1/datasets?page=7").await["data"], json!([]));
    assert_eq!(p.delete("/nemo/v1/datasets/ns/d1").await, StatusCode::OK);
    assert_eq!(p.delete("/nemo/v1/datasets/ns/d1").await, StatusCode::NOT_FOUND);
}

#[tokio::test]
async fn a_body_that_does_not_fit_names_every_problem() {
    let p = Platform::polled();
    let (status, answer) = p.post("/nemo/v1/datasets", json!({"name": 7, "limit": "x"})).await;
    assert_eq!(status, StatusCode::UNPROCESSABLE_ENTITY);
    let places: Vec<&Value> = answer["detail"].as_array().unwrap().iter().map(|one| &one["loc"][1]).collect();
    assert_eq!(places, [&json!("name"), &json!("files_url"), &json!("limit")]);
    for body in ["", "{", "[]", "7", "\u{fffd}"] {
        for path in [
            "/nemo/v1/namespaces",
            DEPLOYMENTS,
            "/nemo/v1/customization/jobs",
            "/nemo/v1/evaluation/jobs",
            "/nemo/v1/customization/configs",
            "/datastore/v1/hf/api/repos/create",
            "/nim/v1/chat/completions",
        ] {
            let status = p.http.post(p.url(path)).body(body).send().await.unwrap().status();
            assert!(status.is_client_error(), "{path} {body:?}: {status}");
        }
    }
    assert_eq!(p.get("/nemo/v1/nothing").await.0, StatusCode::NOT_FOUND);
    assert_eq!(p.send(Method::PUT, "/nemo/v1/datasets", None).await.0, StatusCode::METHOD_NOT_ALLOWED);
}

#[tokio::test]
async fn a_deployment_becomes_ready_and_serves_its_model() {
    let p = Platform::polled();
    assert_eq!(p.read(DEPLOYMENTS).await["data"], Value::Null, "null, not [], when there is none");
    let made = p.make(DEPLOYMENTS, nim("a", "dfwfd/ngram-small", 1)).await;
    assert_eq!((&made["status_details"]["status"], &made["deployed"]), (&json!("pending"), &json!(false)));
    let (status, again) = p.post(DEPLOYMENTS, nim("a", "dfwfd/ngram-small", 1)).await;
    assert_eq!(status, StatusCode::INTERNAL_SERVER_ERROR);
    assert!(again["detail"].as_str().unwrap().contains("model deployment already exists"));

    let path = format!("{DEPLOYMENTS}/ns/a");
    assert_eq!(p.read(&path).await["status_details"]["status"], "pending");
    let ready = p.read(&path).await;
    assert_eq!((&ready["status_details"]["status"], &ready["deployed"]), (&json!("ready"), &json!(true)));
    assert_eq!(ready["description"], "d (u@h)");
    assert_eq!(p.read("/nim/v1/models").await["data"], json!([]), "one reading late");
    assert_eq!(p.read("/nim/v1/models").await["data"][0]["id"], "dfwfd/ngram-small");

    let ask = json!({"model": "dfwfd/ngram-small", "messages": [
        {"role": "user", "content": "Classify:\n- Up: it rises\n- Down: it falls\nHeadline: shares fall and go down"}]});
    let answer = p.make("/nim/v1/chat/completions", ask).await;
    assert_eq!(answer["choices"][0]["message"]["role"], "assistant");
    assert!(answer["usage"]["prompt_tokens"].as_u64() > Some(0));
    let (status, unknown) =
        p.post("/nim/v1/chat/completions", json!({"model": "x", "messages": [{"role": "user"}]})).await;
    assert_eq!((status, &unknown["type"]), (StatusCode::NOT_FOUND, &json!("NotFoundError")));

    assert_eq!(p.delete(&path).await, StatusCode::OK);
    assert_eq!(p.get(&path).await.0, StatusCode::NOT_FOUND);
    assert_eq!(p.read("/nim/v1/models").await["data"], json!([]));
}

#[tokio::test]
async fn deployments_share_the_gpus_of_the_pool() {
    let p = Platform::start(Options { clock: Clock::Polls, gpus: 2, ..Options::default() });
    for (name, gpus) in [("a", 1), ("b", 2), ("c", 1), ("d", 3)] {
        p.make(DEPLOYMENTS, nim(name, "m/x-1b", gpus)).await;
    }
    let mut states = Vec::new();
    for name in ["a", "b", "c", "d"] {
        p.read(&format!("{DEPLOYMENTS}/ns/{name}")).await;
        p.read(&format!("{DEPLOYMENTS}/ns/{name}")).await;
        states.push(p.read(&format!("{DEPLOYMENTS}/ns/{name}")).await["status_details"]["status"].clone());
    }
    assert_eq!(states, ["ready", "pending", "ready", "pending"], "one that fits overtakes one that does not");
    p.delete(&format!("{DEPLOYMENTS}/ns/a")).await;
    p.delete(&format!("{DEPLOYMENTS}/ns/c")).await;
    p.read(&format!("{DEPLOYMENTS}/ns/b")).await;
    assert_eq!(p.read(&format!("{DEPLOYMENTS}/ns/b")).await["status_details"]["status"], "ready");
    assert_eq!(
        p.read(&format!("{DEPLOYMENTS}/ns/d")).await["status_details"]["status"],
        "pending",
        "larger than the pool"
    );
}

#[tokio::test]
async fn any_model_name_with_a_version_is_a_target() {
    let p = Platform::polled();
    let targets = p.read("/nemo/v1/customization/targets?page_size=100").await;
    let names: Vec<&str> =
        targets["data"].as_array().unwrap().iter().filter_map(|t| t["base_model"].as_str()).collect();
    assert!(names.contains(&"dfwfd/ngram-small") && names.contains(&"dfwfd/ngram-large"), "{names:?}");
    let any = p.read("/nemo/v1/customization/targets/acme/tiny-1b@v3").await;
    assert_eq!((&any["enabled"], &any["base_model"]), (&json!(true), &json!("acme/tiny-1b")));
    assert_eq!(p.get("/nemo/v1/customization/targets/acme/tiny-1b").await.0, StatusCode::NOT_FOUND);
}

#[tokio::test]
async fn training_jobs_are_checked_against_what_exists() {
    let p = Platform::polled();
    let option = json!({"training_type": "sft", "finetuning_type": "lora", "num_gpus": 1, "micro_batch_size": 1});
    let config = json!({"name": "c@v1", "namespace": "ns", "target": "acme/x-1b@v1", "max_seq_length": 100,
        "training_options": [option]});
    p.make("/nemo/v1/customization/configs", config.clone()).await;
    assert_eq!(p.post("/nemo/v1/customization/configs", config).await.0, StatusCode::CONFLICT);
    p.make("/nemo/v1/datasets", json!({"name": "d", "namespace": "ns", "files_url": "hf://datasets/ns/d"})).await;
    let off = json!({"name": "off@1", "namespace": "ns", "num_parameters": 1, "precision": "bf16", "enabled": false});
    p.make("/nemo/v1/customization/targets", off).await;
    let disabled = json!({"name": "off@v1", "namespace": "ns", "target": "ns/off@1", "max_seq_length": 100,
        "training_options": [{"training_type": "sft", "finetuning_type": "lora", "num_gpus": 1, "micro_batch_size": 1}]});
    p.make("/nemo/v1/customization/configs", disabled).await;
    let job = |config: &str, dataset: &str, finetuning: &str| json!({"config": config, "dataset": dataset, "hyperparameters": {"finetuning_type": finetuning}});
    let cases = [
        (job("ns/c", "ns/d", "lora"), 422, "Version is not specified in the config URN: ns/c"),
        (job("ns/none@v1", "ns/d", "lora"), 404, "Config ns/none@v1 not found"),
        (job("ns/c@v1", "ns/none", "lora"), 404, "Dataset ns/none not found"),
        (job("ns/off@v1", "ns/d", "lora"), 422, "Model off@1 is not enabled for customization"),
        (job("ns/c@v1", "ns/d", "all_weights"), 422, "no training option"),
    ];
    for (body, status, detail) in cases {
        let (got, answer) = p.post("/nemo/v1/customization/jobs", body).await;
        assert_eq!(got.as_u16(), status);
        assert!(answer["detail"].as_str().unwrap().contains(detail), "{answer}");
    }
    // A dataset without files fails the job, not its creation.
    let made = p.make("/nemo/v1/customization/jobs", job("ns/c@v1", "ns/d", "lora")).await;
    let path = format!("/nemo/v1/customization/jobs/{}/status", made["id"].as_str().unwrap());
    let mut seen = Vec::new();
    for _ in 0..3 {
        seen.push(p.read(&path).await["status"].clone());
    }
    assert_eq!(seen, ["pending", "running", "failed"]);
    let log = p.read(&path).await["status_logs"].clone();
    assert_eq!(log.as_array().unwrap().last().unwrap()["detail"], "hf://datasets/ns/d holds no files");
}

#[tokio::test]
async fn configs_are_found_by_their_targets() {
    const CONFIGS: &str = "/nemo/v1/customization/configs";
    let p = Platform::polled();
    let target = json!({"name": "t@1", "namespace": "ns", "num_parameters": 7, "precision": "bf16", "enabled": false,
        "base_model": "m/x"});
    p.make("/nemo/v1/customization/targets", target).await;
    for (name, target) in [("big@v1", "meta/llama-3.1-8b-instruct@2.0"), ("closed@v1", "ns/t@1")] {
        let options =
            json!([{"training_type": "sft", "finetuning_type": "lora", "num_gpus": 1, "micro_batch_size": 1}]);
        let body = json!({"name": name, "namespace": "ns", "target": target, "max_seq_length": 1, "training_options": options});
        p.make(CONFIGS, body).await;
    }
    let names = async |query: &str| {
        let answer = p.read(&format!("{CONFIGS}?{query}")).await;
        let rows = answer["data"].as_array().unwrap().clone();
        assert!(rows.iter().all(|row| row.get("target_enabled").is_none()), "told of in targets only");
        rows.iter().map(|row| row["name"].as_str().unwrap().to_owned()).collect::<Vec<_>>()
    };
    assert_eq!(names("filter[target_enabled]=true").await, ["big@v1"]);
    assert_eq!(names("filter[target_enabled]=false").await, ["closed@v1"]);
    assert_eq!(names("filter[target_base_model]=meta/llama-3.1-8b-instruct").await, ["big@v1"]);
    assert_eq!(names("sort=num_parameters").await, ["closed@v1", "big@v1"]);
    assert_eq!(names("sort=-num_parameters").await, ["big@v1", "closed@v1"]);
}

#[tokio::test]
async fn keys_are_stored_and_never_told() {
    let p = Platform::polled();
    let endpoint = json!({"url": "http://localhost:9/v1", "model_id": "x", "api_key": "very-secret"});
    p.make("/nemo/v1/models", json!({"name": "m", "namespace": "ns", "api_endpoint": endpoint})).await;
    let external = json!({"host_url": "http://localhost:9", "api_key": "very-secret"});
    p.make("/nemo/v1/deployment/configs", json!({"name": "c", "namespace": "ns", "external_endpoint": external})).await;
    let target = json!({"name": "t", "namespace": "ns", "type": "model", "model": {"api_endpoint": endpoint}});
    p.make("/nemo/v1/evaluation/targets", target).await;
    for path in ["/nemo/v1/models", "/nemo/v1/deployment/configs", "/nemo/v1/evaluation/targets"] {
        let list = p.read(path).await;
        let name = list["data"][0]["name"].as_str().unwrap();
        let one = p.read(&format!("{path}/ns/{name}")).await;
        // Sending the masked key back keeps the stored one.
        let patched = p.send(Method::PATCH, &format!("{path}/ns/{name}"), Some(&one)).await.1;
        for told in [&list["data"][0], &one, &patched] {
            let text = told.to_string();
            assert!(text.contains("\"api_key\":\"******\"") && !text.contains("very-secret"), "{text}");
        }
    }
    let state = p.server.backend.state();
    assert_eq!(state.models.find("ns", "m").unwrap()["api_endpoint"]["api_key"], "very-secret");
    assert_eq!(state.evaluation_targets.find("ns", "t").unwrap()["model"]["api_endpoint"]["api_key"], "very-secret");
}

#[tokio::test]
async fn models_are_found_by_what_they_are() {
    let p = Platform::polled();
    let lora = json!({"name": "l", "base_model": "a/b", "peft": {"finetuning_type": "lora"}});
    let prompted =
        json!({"name": "p", "base_model": {"namespace": "a", "name": "c"}, "prompt": {"system_prompt": "x"}});
    for model in [lora, prompted, json!({"name": "plain"})] {
        p.make("/nemo/v1/models", model).await;
    }
    for (query, expected) in [
        ("filter[peft]=true", &["l"][..]),
        ("filter[peft]=false", &["p", "plain"]),
        ("filter[peft][lora]=true", &["l"]),
        ("filter%5Bprompt%5D=true", &["p"]),
        ("filter[base_model]=a/b", &["l"]),
        ("filter[base_model][name]=a/b,c", &["l", "p"]),
        ("search[name]=l&sort=-name", &["plain", "l"]),
        ("search[prompt]=system", &["p"]),
        ("filter[created_at][gte]=2001-01-01&filter[created_at][lte]=2999-01-01T00:00:00Z", &["l", "p", "plain"]),
    ] {
        let list = p.read(&format!("/nemo/v1/models?{query}")).await;
        let names: Vec<&str> =
            list["data"].as_array().unwrap().iter().map(|row| row["name"].as_str().unwrap()).collect();
        assert_eq!(names, expected, "{query}");
    }
}

#[tokio::test]
async fn odd_requests_of_real_clients_are_taken() {
    let p = Platform::polled();
    assert_eq!(p.read("/nemo/v1/health").await["status"], "healthy");
    // Null for settings that the user left out, as the reference flywheel sends.
    let nim = json!({"image_name": "x", "image_tag": null, "pvc_size": null, "gpu": null});
    let deployment = json!({"name": "n", "namespace": "ns", "config": {"model": "meta/x", "nim_deployment": nim}});
    let made = p.make("/nemo/v1/deployment/model-deployments", deployment).await;
    let nim = &made["config"]["nim_deployment"];
    assert_eq!((&nim["image_tag"], &nim["pvc_size"], &nim["gpu"]), (&json!("latest"), &json!("25Gi"), &json!(1)));
    // The entity of the model outlives the deployment.
    assert_eq!(p.delete("/nemo/v1/deployment/model-deployments/ns/n").await, StatusCode::OK);
    assert_eq!(p.read("/nemo/v1/models/meta/x").await["name"], "x");
    for page in ["", "?page=2", "?filter[name]=absent"] {
        let list = p.read(&format!("/nemo/v1/deployment/model-deployments{page}")).await;
        assert_eq!((&list["data"], &list["pagination"]["total_results"]), (&Value::Null, &json!(0)), "{page}");
    }
    let (status, refused) = p.send(Method::POST, "/nemo/v1/datasets", None).await;
    assert_eq!((status, &refused["detail"][0]["type"]), (StatusCode::UNPROCESSABLE_ENTITY, &json!("missing")));
    let cancelled = p.send(Method::POST, "/nemo/v1/customizations/cust-x/cancel", None).await;
    assert_eq!(cancelled.1["detail"], "Customization job cust-x not found");
    let option = json!({"training_type": "sft", "finetuning_type": "lora", "num_gpus": 1, "micro_batch_size": 1});
    let target = json!({"namespace": "meta", "name": "llama-3.2-1b-instruct@2.0"});
    let config = json!({"target": target, "max_seq_length": 1, "training_options": [option]});
    let config = p.make("/nemo/v1/customization/configs", config).await;
    assert!(config["name"].as_str().unwrap().chars().all(char::is_alphanumeric), "{config}");
    for filter in ["target_name]=llama-3.2-1b-instruct@2.0", "target_base_model]=meta/llama-3.2-1b-instruct"] {
        let list = p.read(&format!("/nemo/v1/customization/configs?filter[{filter}")).await;
        assert_eq!(list["data"], json!([config]), "{filter}");
    }
}
