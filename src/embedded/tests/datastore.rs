//! The Data Store as the Hugging Face client uses it.

use super::*;

const API: &str = "/datastore/v1/hf/api/datasets/ns/d";

#[tokio::test]
async fn namespaces_and_repositories_have_a_life() {
    let p = Platform::polled();
    let repo = json!({"name": "d", "organization": "ns", "type": "dataset"});
    assert_eq!(p.post("/datastore/v1/hf/api/repos/create", repo.clone()).await.0, StatusCode::NOT_FOUND);
    let form = p.http.post(p.url("/datastore/v1/datastore/namespaces")).form(&[("namespace", "ns")]);
    assert_eq!(form.send().await.unwrap().status(), StatusCode::CREATED);
    let again = p.post("/datastore/v1/datastore/namespaces", json!({"namespace": "ns"})).await.0;
    assert_eq!(again, StatusCode::CONFLICT);
    let (status, namespace) = p.get("/datastore/v1/datastore/namespaces/ns").await;
    assert_eq!((status, &namespace["namespace"]), (StatusCode::CREATED, &json!("ns")));
    let made = p.make("/datastore/v1/hf/api/repos/create", repo.clone()).await;
    assert_eq!(made["url"], "datasets/ns/d");
    assert_eq!(p.post("/datastore/v1/hf/api/repos/create", repo.clone()).await.0, StatusCode::CONFLICT);
    assert_eq!(p.delete("/datastore/v1/datastore/namespaces/ns").await, StatusCode::CONFLICT);
    let gone = p.send(Method::DELETE, "/datastore/v1/hf/api/repos/delete", Some(&repo)).await.0;
    assert_eq!(gone, StatusCode::OK);
    let missing = p.send(Method::DELETE, "/datastore/v1/hf/api/repos/delete", Some(&repo)).await.0;
    assert_eq!(missing, StatusCode::NOT_FOUND);
}

#[tokio::test]
async fn files_of_a_commit_are_listed_and_read() {
    let p = Platform::polled();
    p.upload("ns", "d", &[("eval_data.jsonl", "0123456789"), ("training/a.jsonl", "x"), ("training/b/c.jsonl", "y")])
        .await;
    let preupload = json!({"files": [{"path": "eval_data.jsonl", "sample": "", "size": 10}]});
    let modes = p.make(&format!("{API}/preupload/main"), preupload).await;
    assert_eq!(modes["files"][0]["uploadMode"], "regular");

    let tree = p.read(&format!("{API}/tree/main?recursive=True")).await;
    let paths: Vec<&str> = tree.as_array().unwrap().iter().map(|entry| entry["path"].as_str().unwrap()).collect();
    assert_eq!(paths, ["training", "training/b", "eval_data.jsonl", "training/a.jsonl", "training/b/c.jsonl"]);
    let below = p.read(&format!("{API}/tree/main/training")).await;
    assert_eq!(below.as_array().unwrap().len(), 2);
    let info = p.read(&format!("{API}/revision/main?expand=xetEnabled")).await;
    assert_eq!((&info["id"], info["siblings"].as_array().unwrap().len()), (&json!("ns/d"), 3));
    let sha = info["sha"].as_str().unwrap();

    let file = p.url(&format!("/datastore/v1/hf/datasets/ns/d/resolve/{sha}/eval_data.jsonl"));
    let head = p.http.head(&file).send().await.unwrap();
    assert_eq!(head.headers()["x-repo-commit"], sha);
    assert_eq!(head.headers()["content-length"], "10");
    assert!(head.headers()["etag"].to_str().unwrap().starts_with('"'));
    assert_eq!(p.http.get(&file).send().await.unwrap().text().await.unwrap(), "0123456789");
    let part = p.http.get(&file).header("range", "bytes=7-").send().await.unwrap();
    assert_eq!(part.status(), StatusCode::PARTIAL_CONTENT);
    assert_eq!(part.headers()["content-range"], "bytes 7-9/10");
    assert_eq!(part.text().await.unwrap(), "789");

    let errors = [
        ("/datastore/v1/hf/api/datasets/ns/none/revision/main", "RepoNotFound"),
        ("/datastore/v1/hf/api/datasets/ns/d/revision/none", "RevisionNotFound"),
        ("/datastore/v1/hf/datasets/ns/d/resolve/main/none", "EntryNotFound"),
    ];
    for (path, code) in errors {
        let answer = p.http.get(p.url(path)).send().await.unwrap();
        assert_eq!(
            (answer.status(), &answer.headers()["x-error-code"]),
            (StatusCode::NOT_FOUND, &code.parse().unwrap())
        );
    }
}

#[tokio::test]
async fn paths_are_told_of_in_a_form_and_in_json() {
    let p = Platform::polled();
    p.upload("ns", "d", &[("a/b", "1"), ("c", "22")]).await;
    let url = p.url(&format!("{API}/paths-info/main"));
    let form = p.http.post(&url).form(&[("paths", "a"), ("paths", "c"), ("paths", "d"), ("expand", "False")]);
    let found: Value = form.send().await.unwrap().json().await.unwrap();
    let kinds: Vec<_> =
        found.as_array().unwrap().iter().map(|one| (&one["path"], &one["type"], &one["size"])).collect();
    let (folder, file) = (json!("directory"), json!("file"));
    assert_eq!(kinds, [(&json!("a"), &folder, &json!(0)), (&json!("c"), &file, &json!(2))]);
    assert_eq!(p.make(&format!("{API}/paths-info/main"), json!({"paths": ["a", "c", "d"]})).await, found);
}

#[tokio::test]
async fn commits_are_refused_whole() {
    let p = Platform::polled();
    p.upload("ns", "d", &[("a", "1")]).await;
    let header = r#"{"key":"header","value":{"summary":"s"}}"#;
    let stale = r#"{"key":"header","value":{"summary":"s","parentCommit":"0000000000000000000000000000000000000000"}}"#;
    let good = r#"{"key":"file","value":{"path":"b","content":"MQ==","encoding":"base64"}}"#;
    let cases = [
        (good.to_owned(), 400),
        (format!("{header}\nnot json"), 400),
        (format!("{header}\n{good}\n{{\"key\":\"file\",\"value\":{{\"path\":\"../b\",\"content\":\"\"}}}}"), 400),
        (format!("{header}\n{good}\n{{\"key\":\"file\",\"value\":{{\"path\":\"c\",\"content\":\"*\"}}}}"), 400),
        (format!("{header}\n{good}\n{{\"key\":\"lfsFile\",\"value\":{{\"path\":\"c\",\"oid\":\"00\"}}}}"), 400),
        (format!("{stale}\n{good}"), 412),
    ];
    for (body, status) in cases {
        let answer = p.http.post(p.url(&format!("{API}/commit/main"))).body(body.clone()).send().await.unwrap();
        assert_eq!(answer.status().as_u16(), status, "{body}");
    }
    let tree = p.read(&format!("{API}/tree/main")).await;
    assert_eq!(tree.as_array().unwrap().len(), 1, "nothing of a refused commit stays");
    let deletion = format!("{header}\n{{\"key\":\"deletedFile\",\"value\":{{\"path\":\"a\"}}}}");
    assert!(
        p.http.post(p.url(&format!("{API}/commit/main"))).body(deletion).send().await.unwrap().status().is_success()
    );
    assert_eq!(p.read(&format!("{API}/tree/main")).await, json!([]));
}

#[tokio::test]
async fn large_files_go_over_lfs() {
    let p = Platform::start(Options { upload_mode: UploadMode::Lfs, ..Options::default() });
    p.upload("ns", "d", &[]).await;
    let preupload =
        json!({"files": [{"path": "a", "sample": "", "size": 5}, {"path": "empty", "sample": "", "size": 0}]});
    let modes = p.make(&format!("{API}/preupload/main"), preupload).await;
    assert_eq!(modes["files"][0]["uploadMode"], "lfs");
    assert_eq!(modes["files"][1]["uploadMode"], "regular");

    let oid = "2cf24dba5fb0a30e26e83b2ac5b9e29e1b161e5c1fa7425e73043362938b9824"; // SHA-256 of "hello"
    let batch = json!({"operation": "upload", "transfers": ["basic"], "objects": [{"oid": oid, "size": 5}, {"oid": "x", "size": 1}]});
    let path = "/datastore/v1/hf/datasets/ns/d.git/info/lfs/objects/batch";
    let answer = p.make(path, batch.clone()).await;
    assert_eq!(answer["objects"][1]["error"]["code"], 422);
    let actions = &answer["objects"][0]["actions"];
    let put = actions["upload"]["href"].as_str().unwrap();
    let wrong = p.http.put(put).body("hallo").send().await.unwrap().status();
    assert_eq!(wrong, StatusCode::UNPROCESSABLE_ENTITY);
    assert!(p.http.put(put).body("hello").send().await.unwrap().status().is_success());
    let verify = p.http.post(actions["verify"]["href"].as_str().unwrap()).json(&json!({"oid": oid, "size": 5}));
    assert!(verify.send().await.unwrap().status().is_success());
    let known = p.make(path, batch).await;
    assert_eq!(known["objects"][0].get("actions"), None, "an object that is here is not asked for again");

    let commit = format!(
        "{}\n{}\n",
        json!({"key": "header", "value": {"summary": "s"}}),
        json!({"key": "lfsFile", "value": {"path": "a", "algo": "sha256", "oid": oid, "size": 5}})
    );
    let answer = p.http.post(p.url(&format!("{API}/commit/main"))).body(commit).send().await.unwrap();
    assert!(answer.status().is_success());
    let tree = p.read(&format!("{API}/tree/main")).await;
    assert_eq!(tree[0]["lfs"]["oid"], oid);
    let text = p.http.get(p.url("/datastore/v1/hf/datasets/ns/d/resolve/main/a")).send().await.unwrap().text().await;
    assert_eq!(text.unwrap(), "hello");
}
