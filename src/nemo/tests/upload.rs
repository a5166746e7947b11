//! Uploads: regular, LFS basic, LFS multipart, and what can go wrong on the way.

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD as BASE64;
use serde_json::{Value, json};
use sha2::{Digest, Sha256};
use tempfile::TempDir;

use super::super::{ErrorKind, UploadFile};
use super::{Fake, Reply, Seen, ok, reply};

/// Files on disk, ready to upload.
fn files(content: &[(&str, &[u8])]) -> (TempDir, Vec<UploadFile>) {
    let folder = tempfile::tempdir().unwrap();
    let uploads = content.iter().enumerate().map(|(number, (path, bytes))| {
        let local = folder.path().join(number.to_string());
        std::fs::write(&local, bytes).unwrap();
        UploadFile { path: (*path).to_owned(), local }
    });
    let uploads = uploads.collect();
    (folder, uploads)
}

fn hash(bytes: &[u8]) -> String {
    format!("{:x}", Sha256::digest(bytes))
}

fn preupload(seen: &Seen, mode: &str) -> Reply {
    let files: Vec<Value> = seen.json()["files"]
        .as_array()
        .unwrap()
        .iter()
        .map(|file| json!({ "path": file["path"], "uploadMode": mode, "shouldIgnore": false }))
        .collect();
    ok(json!({ "files": files }))
}

fn committed() -> Reply {
    ok(json!({ "success": true, "commitOid": "c0ffee", "commitUrl": "", "hookOutput": "" }))
}

/// The lines of the commit.
fn commit(fake: &Fake) -> Vec<Value> {
    let seen = fake.seen();
    let commit = seen.iter().find(|seen| seen.path.ends_with("/commit/main")).unwrap();
    assert_eq!(commit.header("content-type"), "application/x-ndjson");
    assert!(commit.body.ends_with(b"\n"));
    std::str::from_utf8(&commit.body).unwrap().lines().map(|line| serde_json::from_str(line).unwrap()).collect()
}

#[tokio::test]
async fn regular_files_travel_in_the_commit() {
    let fake = Fake::start(|seen, _| match seen.path.contains("preupload") {
        true => preupload(seen, "regular"),
        false => committed(),
    })
    .await;
    let long: Vec<u8> = (0..150_000u32).map(|i| (i % 253) as u8).collect();
    let (_folder, uploads) = files(&[("training/a \"b\".jsonl", &long), ("empty", b"")]);
    fake.v1().upload("n", "d", &uploads).await.unwrap();
    let base = "POST /ds/v1/hf/api/datasets/n/d";
    assert_eq!(fake.lines(), [format!("{base}/preupload/main"), format!("{base}/commit/main")]);
    let asked = fake.seen()[0].json();
    assert_eq!(asked["files"][0]["sample"], BASE64.encode(&long[..512]));
    assert_eq!(asked["files"][0]["size"], 150_000);
    assert_eq!(asked["files"][1], json!({ "path": "empty", "sample": "", "size": 0 }));
    let lines = commit(&fake);
    assert_eq!(lines[0]["key"], "header");
    assert!(lines[0]["value"]["summary"].as_str().unwrap().contains("empty"));
    assert_eq!(lines[1]["key"], "file");
    assert_eq!(lines[1]["value"]["path"], "training/a \"b\".jsonl");
    assert_eq!(lines[1]["value"]["encoding"], "base64");
    assert_eq!(BASE64.decode(lines[1]["value"]["content"].as_str().unwrap()).unwrap(), long);
    assert_eq!(lines[2]["value"]["content"], "");
    assert_eq!(lines.len(), 3);
    // Streamed, but with a length that servers without chunked bodies can use.
    assert_eq!(fake.seen()[1].header("content-length"), fake.seen()[1].body.len().to_string());
}

/// A Data Store that wants everything over LFS; `actions` says what it wants done about an object.
async fn lfs(actions: impl Fn(&str, &Value) -> Value + Send + Sync + 'static) -> Fake {
    Fake::start(move |seen, _| {
        let host = seen.header("host");
        if seen.path.contains("preupload") {
            preupload(seen, "lfs")
        } else if seen.path.ends_with("/objects/batch") {
            let objects: Vec<Value> = seen.json()["objects"]
                .as_array()
                .unwrap()
                .iter()
                .map(|object| {
                    let mut told = actions(&format!("http://{host}"), object);
                    told["oid"] = object["oid"].clone();
                    told["size"] = object["size"].clone();
                    told
                })
                .collect();
            ok(json!({ "transfer": "basic", "objects": objects }))
        } else if seen.path.contains("/part/") {
            reply(200, "").with("etag", format!("\"{}\"", &hash(&seen.body)[..8]))
        } else if seen.path.contains("/commit/") {
            committed()
        } else {
            ok(json!({}))
        }
    })
    .await
}

fn find(fake: &Fake, path: &str) -> Vec<Seen> {
    fake.seen().into_iter().filter(|seen| seen.path.starts_with(path)).collect()
}

#[tokio::test]
async fn lfs_basic_puts_to_the_link_without_a_token() {
    let fake = lfs(|base, object| {
        let oid = object["oid"].as_str().unwrap();
        json!({ "authenticated": true, "actions": {
            "upload": { "href": format!("{base}/put/{oid}?signature=s"), "header": { "Authorization": "ignored" } },
            "verify": { "href": format!("{base}/verify"), "header": {} },
        } })
    })
    .await;
    let long: Vec<u8> = (0..200_000u32).map(|i| (i % 241) as u8).collect();
    let content: [(&str, &[u8]); 4] = [("a", &long), ("b", b"bee"), ("empty", b""), ("a2", &long)];
    let (_folder, uploads) = files(&content);
    fake.v1().upload("n", "d", &uploads).await.unwrap();

    let batch = find(&fake, "/ds/v1/hf/datasets/n/d.git/info/lfs/objects/batch").remove(0);
    assert_eq!(batch.header("content-type"), "application/vnd.git-lfs+json");
    assert_eq!(batch.header("accept"), "application/vnd.git-lfs+json");
    assert_eq!(batch.json()["operation"], "upload");
    assert_eq!(batch.json()["hash_algo"], "sha256");
    // Equal contents are one object.
    assert_eq!(batch.json()["objects"].as_array().unwrap().len(), 2);

    let puts = find(&fake, "/put/");
    assert_eq!(puts.len(), 2);
    for put in &puts {
        assert_eq!((put.method.as_str(), put.header("authorization")), ("PUT", ""));
        assert_eq!(put.path, format!("/put/{}?signature=s", hash(&put.body)));
    }
    let verify = find(&fake, "/verify");
    assert_eq!(verify.len(), 2);
    assert!(verify.iter().all(|seen| seen.header("authorization") == "Bearer for-files"));
    let told: Vec<Value> = verify.iter().map(Seen::json).collect();
    assert!(told.contains(&json!({ "oid": hash(b"bee"), "size": 3 })));

    let lines = commit(&fake);
    let keys: Vec<&str> = lines.iter().map(|line| line["key"].as_str().unwrap()).collect();
    assert_eq!(keys, ["header", "lfsFile", "lfsFile", "lfsFile", "file"]);
    let pointer = json!({ "path": "a", "algo": "sha256", "oid": hash(&long), "size": 200_000 });
    assert_eq!(lines[1]["value"], pointer);
    assert_eq!((&lines[3]["value"]["path"], &lines[3]["value"]["oid"]), (&json!("a2"), &json!(hash(&long))));
    assert_eq!(lines[4]["value"]["path"], "empty");
}

#[tokio::test]
async fn lfs_multipart_is_chosen_by_its_header_and_completed_with_etags() {
    let fake = lfs(|base, _| {
        json!({ "actions": { "upload": { "href": format!("{base}/complete"), "header": {
            "chunk_size": "4096", "00001": format!("{base}/part/1"), "00003": format!("{base}/part/3"),
            "00002": format!("{base}/part/2"), "note": "x",
        } } } })
    })
    .await;
    let long: Vec<u8> = (0..10_000u32).map(|i| (i % 239) as u8).collect();
    let (_folder, uploads) = files(&[("a", &long)]);
    fake.v1().upload("n", "d", &uploads).await.unwrap();
    let parts = find(&fake, "/part/");
    let sent: Vec<(&str, usize)> = parts.iter().map(|part| (part.path.as_str(), part.body.len())).collect();
    assert_eq!(sent, [("/part/1", 4096), ("/part/2", 4096), ("/part/3", 1808)]);
    assert_eq!(parts.iter().flat_map(|part| part.body.to_vec()).collect::<Vec<u8>>(), long);
    let complete = find(&fake, "/complete").remove(0);
    assert_eq!((complete.method.as_str(), complete.header("authorization")), ("POST", ""));
    assert_eq!(complete.header("content-type"), "application/vnd.git-lfs+json");
    let etag = |part: &Seen| format!("\"{}\"", &hash(&part.body)[..8]);
    let expected: Vec<Value> =
        parts.iter().zip(1..).map(|(part, number)| json!({ "partNumber": number, "etag": etag(part) })).collect();
    assert_eq!(complete.json(), json!({ "oid": hash(&long), "parts": expected }));
}

#[tokio::test]
async fn an_object_that_the_server_has_is_only_committed() {
    let fake = lfs(|_, _| json!({})).await;
    let (_folder, uploads) = files(&[("a", b"content")]);
    fake.v1().upload("n", "d", &uploads).await.unwrap();
    assert_eq!(fake.seen().len(), 3);
    assert_eq!(commit(&fake)[1]["key"], "lfsFile");
}

#[tokio::test]
async fn a_refused_object_ends_the_upload_before_the_commit() {
    let fake = lfs(|_, _| json!({ "error": { "code": 422, "message": "quota" } })).await;
    let (_folder, uploads) = files(&[("a", b"content")]);
    let error = fake.v1().upload("n", "d", &uploads).await.unwrap_err();
    assert!(error.to_string().ends_with("422 Unprocessable Entity: a: quota"), "{error}");
    assert_eq!(fake.seen().len(), 2);
}

#[tokio::test]
async fn links_that_make_no_sense_are_told() {
    let wrong = [
        json!({ "upload": {} }),
        json!({ "upload": { "href": "not a link" } }),
        json!({ "upload": { "href": "http://127.0.0.1/x", "header": { "chunk_size": 3, "1": "http://127.0.0.1/1" } } }),
        json!({ "upload": { "href": "http://127.0.0.1/x", "header": { "chunk_size": "0" } } }),
    ];
    for actions in wrong {
        let fake = lfs(move |_, _| json!({ "actions": actions })).await;
        let (_folder, uploads) = files(&[("a", b"content")]);
        let error = fake.v1().upload("n", "d", &uploads).await.unwrap_err();
        assert!(matches!(error.kind, ErrorKind::Unreadable(_)), "{error}");
    }
}

#[tokio::test]
async fn a_transfer_is_tried_again_from_its_start() {
    let fake = Fake::start(|seen, before| {
        let host = seen.header("host");
        match seen.path.as_str() {
            path if path.contains("preupload") => preupload(seen, "lfs"),
            path if path.ends_with("/batch") => {
                let mut object = seen.json()["objects"][0].clone();
                object["actions"] = json!({ "upload": { "href": format!("http://{host}/put?signature=s") } });
                ok(json!({ "objects": [object] }))
            }
            path if path.starts_with("/put") && before < 4 => reply(503, ""),
            path if path.contains("/commit/") && before == 5 => reply(502, ""),
            path if path.contains("/commit/") => committed(),
            _ => reply(200, ""),
        }
    })
    .await;
    let (_folder, uploads) = files(&[("a", b"content")]);
    fake.v1().upload("n", "d", &uploads).await.unwrap();
    let puts = find(&fake, "/put");
    assert_eq!(puts.len(), 3);
    assert!(puts.iter().all(|put| put.body == "content"));
    let commits = find(&fake, "/ds/v1/hf/api/datasets/n/d/commit");
    assert_eq!(commits.len(), 2);
    assert_eq!(commits[0].body, commits[1].body);
}

#[tokio::test]
async fn an_error_at_a_link_does_not_show_its_signature() {
    let fake = Fake::start(|seen, _| {
        let host = seen.header("host");
        match seen.path.as_str() {
            path if path.contains("preupload") => preupload(seen, "lfs"),
            path if path.ends_with("/batch") => {
                let mut object = seen.json()["objects"][0].clone();
                object["actions"] = json!({ "upload": { "href": format!("http://me:pw@{host}/put?signature=hush") } });
                ok(json!({ "objects": [object] }))
            }
            _ => reply(403, ""),
        }
    })
    .await;
    let (_folder, uploads) = files(&[("a", b"content")]);
    let error = fake.v1().upload("n", "d", &uploads).await.unwrap_err();
    assert_eq!(error.to_string(), format!("PUT {}/put: 403 Forbidden", fake.base));
}

#[tokio::test]
async fn a_missing_local_file_is_named_and_nothing_is_sent() {
    let fake = Fake::start(|_, _| committed()).await;
    let uploads = [UploadFile { path: "a".into(), local: "/nowhere/a.jsonl".into() }];
    let error = fake.v1().upload("n", "d", &uploads).await.unwrap_err();
    assert_eq!(error.to_string(), "upload a: cannot read /nowhere/a.jsonl");
    assert!(std::error::Error::source(&error).is_some() && !error.is_unreachable());
    assert!(fake.seen().is_empty());
}
