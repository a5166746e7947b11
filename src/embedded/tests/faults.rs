//! Scripted failures as clients see them, down to the bytes of a broken answer, and the endpoints that script them.

use std::io::{ErrorKind, Read, Write};
use std::net::TcpStream;

use super::*;

const NAMESPACES: &str = "/nemo/v1/namespaces";

fn platform(faults: &[&str]) -> Platform {
    let faults = faults.iter().map(|text| text.parse().unwrap()).collect();
    Platform::start(Options { clock: Clock::Polls, control: true, faults, ..Options::default() })
}

/// Returns all bytes of the answer to a request, and whether the connection was reset instead of closed.
fn exchange(p: &Platform, method: &str, path: &str, body: &str) -> (String, bool) {
    let mut stream = TcpStream::connect(("127.0.0.1", p.server.port())).unwrap();
    let head =
        format!("{method} {path} HTTP/1.1\r\nhost: x\r\nconnection: close\r\ncontent-length: {}\r\n\r\n", body.len());
    stream.write_all(format!("{head}{body}").as_bytes()).unwrap();
    read_to_end(&mut stream)
}

fn read_to_end(stream: &mut TcpStream) -> (String, bool) {
    let mut bytes = Vec::new();
    let aborted = match stream.read_to_end(&mut bytes) {
        Ok(_) => false,
        Err(error) if error.kind() == ErrorKind::ConnectionReset => true,
        Err(error) => panic!("{error}"),
    };
    (String::from_utf8(bytes).unwrap(), aborted)
}

async fn namespaces(p: &Platform) -> Vec<String> {
    let state = p.read("/control/state").await;
    state["namespaces"].as_array().unwrap().iter().map(|name| name.as_str().unwrap().to_owned()).collect()
}

/// Returns the matched and struck counts of each fault.
async fn counts(p: &Platform) -> Vec<(u64, u64)> {
    let listed = p.read("/control/faults").await;
    let faults = listed["faults"].as_array().unwrap().iter();
    faults.map(|fault| (fault["matched"].as_u64().unwrap(), fault["struck"].as_u64().unwrap())).collect()
}

const CREATE: &str = r#"{"id": "n"}"#;

#[tokio::test(flavor = "multi_thread")]
async fn refused_and_dropped_calls_get_no_byte() {
    for (fault, aborted, effect) in
        [("refuse", true, false), ("drop-before", false, false), ("drop-after", false, true)]
    {
        let p = platform(&[&format!("POST {NAMESPACES}: {fault} times=1")]);
        assert_eq!(exchange(&p, "POST", NAMESPACES, CREATE), (String::new(), aborted), "{fault}");
        assert_eq!(namespaces(&p).await.contains(&"n".to_owned()), effect, "{fault}");
        assert!(exchange(&p, "GET", NAMESPACES, "").0.starts_with("HTTP/1.1 200"), "{fault}: others are left alone");
        assert_eq!(counts(&p).await, [(1, 1)], "{fault}");
        assert_eq!(p.post(NAMESPACES, json!({"id": "m"})).await.0, 200, "{fault}: once is once");
    }
}

#[tokio::test]
async fn a_status_has_the_form_of_its_service() {
    let p = platform(&["status=503 retry-after=3 times=3", "status=502 page"]);
    let (status, body) = p.get(NAMESPACES).await;
    assert_eq!((status.as_u16(), &body), (503, &json!({"detail": "scripted fault: 503 Service Unavailable"})));
    let (_, body) = p.get("/datastore/v1/datastore/namespaces").await;
    assert_eq!(body, json!({"error": "scripted fault: 503 Service Unavailable"}));
    let answer = p.http.get(p.url("/nim/v1/models")).send().await.unwrap();
    assert_eq!(answer.headers()["retry-after"], "3");
    let body: Value = answer.json().await.unwrap();
    assert_eq!((&body["object"], &body["code"]), (&json!("error"), &json!(503)));
    let answer = p.http.post(p.url(NAMESPACES)).json(&json!({"id": "n"})).send().await.unwrap();
    assert_eq!(
        (answer.status().as_u16(), &answer.headers()["content-type"]),
        (502, &"text/html; charset=utf-8".parse().unwrap())
    );
    assert!(answer.text().await.unwrap().contains("<title>502 Bad Gateway</title>"));
    assert_eq!(namespaces(&p).await, Vec::<String>::new(), "a made-up answer has no effect");
    assert_eq!(counts(&p).await, [(4, 3), (4, 1)], "every fault counts every call that it matches");
}

#[tokio::test(flavor = "multi_thread")]
async fn a_truncated_answer_breaks_off_and_a_stalled_one_stays_open() {
    let p = platform(&["GET /nemo/**: truncate=5", "GET /datastore/**: truncate=1000000", "GET /nim/**: stall=4"]);
    let (text, aborted) = exchange(&p, "GET", NAMESPACES, "");
    let (head, body) = text.split_once("\r\n\r\n").unwrap();
    assert!(head.starts_with("HTTP/1.1 200") && !aborted, "{text}");
    assert_eq!(body, r#"{"obj"#.get(..5).unwrap());
    // A shorter answer loses at least its last byte.
    let (text, _) = exchange(&p, "GET", "/datastore/v1/datastore/namespaces", "");
    let (head, body) = text.split_once("\r\n\r\n").unwrap();
    let length: usize = head.lines().find_map(|line| line.strip_prefix("content-length: ")).unwrap().parse().unwrap();
    assert_eq!(body.len(), length - 1, "{text}");
    // Nothing follows the part. The test gives up after one more look.
    let mut stream = TcpStream::connect(("127.0.0.1", p.server.port())).unwrap();
    stream.write_all(b"GET /nim/v1/models HTTP/1.1\r\nhost: x\r\n\r\n").unwrap();
    let mut seen = Vec::new();
    while !seen.ends_with(b"\r\n\r\n{\"ob") {
        let mut byte = [0];
        stream.read_exact(&mut byte).unwrap();
        seen.push(byte[0]);
    }
    assert!(p.get("/control/faults").await.0.is_success());
    stream.set_nonblocking(true).unwrap();
    assert_eq!(stream.read(&mut [0]).unwrap_err().kind(), ErrorKind::WouldBlock, "neither a byte nor an end");
}

#[tokio::test]
async fn a_delayed_call_has_its_effect_when_it_is_released() {
    let p = platform(&[&format!("POST {NAMESPACES}: delay=release")]);
    let create = p.http.post(p.url(NAMESPACES)).json(&json!({"id": "n"})).send();
    let released = async {
        while p.read("/control/faults").await["held"] != json!(1) {
            tokio::task::yield_now().await;
        }
        assert_eq!(namespaces(&p).await, Vec::<String>::new());
        p.make("/control/release", json!({})).await;
    };
    let (answer, ()) = tokio::join!(create, released);
    assert!(answer.unwrap().status().is_success());
    assert_eq!(namespaces(&p).await, ["n"]);
}

#[tokio::test]
async fn a_delayed_call_goes_on_with_a_later_one() {
    let p = platform(&[&format!("POST {NAMESPACES}: delay=2calls")]);
    let create = p.http.post(p.url(NAMESPACES)).json(&json!({"id": "n"})).send();
    let later = async {
        while p.read("/control/faults").await["held"] != json!(1) {
            tokio::task::yield_now().await;
        }
        p.get("/nim/v1/models").await;
        assert_eq!(p.read("/control/faults").await["held"], json!(1));
        p.get("/nim/v1/models").await;
        assert_eq!(p.read("/control/faults").await["held"], json!(0));
    };
    assert!(tokio::join!(create, later).0.unwrap().status().is_success());
}

#[tokio::test(flavor = "multi_thread")]
async fn a_late_effect_follows_its_answer() {
    let p = platform(&[
        &format!("POST {NAMESPACES}: late-effect=2calls times=1"),
        &format!("POST {NAMESPACES}: late-effect=release answer=cut"),
    ]);
    let (status, body) = p.post(NAMESPACES, json!({"id": "n"})).await;
    assert_eq!((status.as_u16(), &body["detail"]), (503, &json!("scripted fault: 503 Service Unavailable")));
    assert_eq!(p.get("/nemo/v1/namespaces/n").await.0, 404);
    assert_eq!(p.get("/nemo/v1/namespaces/n").await.0, 200, "before the second call after it");
    assert_eq!(exchange(&p, "POST", NAMESPACES, r#"{"id": "m"}"#).0, "");
    for _ in 0..5 {
        assert_eq!(p.get("/nemo/v1/namespaces/m").await.0, 404);
    }
    p.make("/control/release", json!({})).await;
    assert_eq!(p.get("/nemo/v1/namespaces/m").await.0, 200);
}

#[tokio::test]
async fn an_expired_token_expires_for_all_calls_until_it_is_renewed() {
    let p = platform(&["POST /nemo/v1/projects: expire-auth times=3"]);
    assert_eq!(p.get(NAMESPACES).await.0, 200);
    let answer = p.http.post(p.url("/nemo/v1/projects")).json(&json!({"name": "p"})).send().await.unwrap();
    assert_eq!(
        (answer.status().as_u16(), answer.headers()["www-authenticate"].as_bytes()),
        (401, &b"Bearer error=\"invalid_token\""[..])
    );
    assert_eq!(
        p.get("/datastore/v1/datastore/namespaces").await,
        (StatusCode::UNAUTHORIZED, json!({"error": "the token has expired"}))
    );
    assert_eq!(p.get("/nim/v1/models").await.0, 401);
    assert_eq!(p.get(NAMESPACES).await.0, 200);
}

#[tokio::test]
async fn a_drawn_fault_strikes_the_same_calls_every_time() {
    let drawn = async || {
        let p = platform(&["status=500 probability=0.3 seed=5"]);
        let mut struck = Vec::new();
        for _ in 0..60 {
            struck.push(p.get("/nim/v1/health/ready").await.0 == 500);
        }
        struck
    };
    let struck = drawn().await;
    let count = struck.iter().filter(|struck| **struck).count();
    assert!((8..30).contains(&count), "{count} of 60");
    assert_eq!(drawn().await, struck);
}

#[tokio::test]
async fn faults_are_scripted_while_it_runs() {
    let p = platform(&[]);
    assert_eq!(p.read("/control/faults").await, json!({"faults": [], "held": 0}));
    let added = p.make("/control/faults", json!({"fault": "GET /nim/v1/models: status=500"})).await;
    assert_eq!(added, json!({"fault": "GET /nim/v1/models: status=500", "matched": 0, "struck": 0, "calls": []}));
    // Plain text works too, for shells.
    let answer = p.http.post(p.url("/control/faults")).body("nth=1 refuse").send().await.unwrap();
    assert_eq!(answer.status().as_u16(), 422);
    assert!(answer.text().await.unwrap().contains("there is no fault `nth`"));
    let text = p.http.post(p.url("/control/faults")).body("POST: status=418").send().await.unwrap();
    assert!(text.status().is_success());
    assert_eq!(
        (p.get("/nim/v1/models").await.0, p.post(NAMESPACES, json!({})).await.0),
        (StatusCode::INTERNAL_SERVER_ERROR, StatusCode::IM_A_TEAPOT)
    );
    assert_eq!(p.read("/control/faults").await["faults"][0]["calls"], json!(["GET /nim/v1/models"]));
    for wrong in [json!({}), json!({"fault": "delay=2s"}), json!({"fault": 3})] {
        assert_eq!(p.post("/control/faults", wrong).await.0, StatusCode::UNPROCESSABLE_ENTITY);
    }
    assert!(p.delete("/control/faults").await.is_success());
    assert_eq!(p.get("/nim/v1/models").await.0, 200);
    assert_eq!(p.server.unused_faults(), Vec::<String>::new());
}
