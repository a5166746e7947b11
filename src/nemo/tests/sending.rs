//! `send`: retries, errors, tokens, time limits, identity of the platform.

use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::time::Duration;

use serde_json::json;
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::TcpListener;

use super::super::transport::ApiRequest;
use super::super::{ApiError, BaseUrls, Client, ErrorKind, NewDataset, Removal, Secret, Service};
use super::{Fake, missing, ok, reply, v1};

fn dataset() -> NewDataset {
    NewDataset {
        namespace: "n".into(),
        name: "d".into(),
        description: "d (me@here)".into(),
        project: "flywheel".into(),
    }
}

/// A server that reads a request and hangs up without an answer, and the number of requests it got.
async fn hangs_up() -> (BaseUrls, Arc<AtomicUsize>) {
    let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let base = format!("http://{}", listener.local_addr().unwrap());
    let requests = Arc::new(AtomicUsize::new(0));
    let count = Arc::clone(&requests);
    tokio::spawn(async move {
        while let Ok((mut stream, _)) = listener.accept().await {
            if stream.read(&mut [0; 4096]).await.is_ok_and(|read| read > 0) {
                count.fetch_add(1, Ordering::SeqCst);
            }
        }
    });
    (BaseUrls { nemo: base.clone(), nim: base.clone(), datastore: base }, requests)
}

#[tokio::test]
async fn a_read_is_tried_again_until_it_succeeds() {
    for status in [408, 429, 500, 502, 503, 504] {
        let fake = Fake::replies(vec![reply(status, "busy"), reply(status, ""), ok(json!({ "files_url": "d" }))]).await;
        assert_eq!(fake.v1().dataset_entity("n", "d").await.unwrap().unwrap().files_url, "d");
        assert_eq!(fake.seen().len(), 3, "{status}");
    }
}

#[tokio::test]
async fn a_read_is_given_up_after_four_tries() {
    let fake = Fake::start(|_, _| reply(503, r#"{"detail":"starting"}"#)).await;
    let error = fake.v1().dataset_entity("n", "d").await.unwrap_err();
    assert_eq!(fake.seen().len(), 4);
    assert!(error.is_unreachable() && error.is_transient());
    let url = format!("GET {}/nemo/v1/datasets/n/d", fake.base);
    assert_eq!(error.to_string(), format!("{url}: 503 Service Unavailable: starting"));
}

#[tokio::test]
async fn what_the_service_decided_is_not_asked_again() {
    for status in [400, 401, 403, 404, 409, 422] {
        let fake = Fake::start(move |_, _| reply(status, "{}")).await;
        let _ = fake.v1().delete_dataset_entity("n", "d").await;
        assert_eq!(fake.seen().len(), 1, "{status}");
    }
}

#[tokio::test]
async fn a_create_is_not_sent_again_once_it_may_have_been_accepted() {
    for status in [408, 500, 502, 503, 504] {
        let fake = Fake::start(move |_, _| reply(status, "")).await;
        let error = fake.v1().create_dataset_entity(&dataset()).await.unwrap_err();
        assert_eq!(fake.seen().len(), 1, "{status}");
        assert!(error.may_have_been_accepted(), "{status}");
    }
    let fake = Fake::start(|_, _| reply(200, "<html>welcome</html>")).await;
    assert!(fake.v1().create_dataset_entity(&dataset()).await.unwrap_err().may_have_been_accepted());
    assert_eq!(fake.seen().len(), 1);
}

#[tokio::test]
async fn a_refused_create_has_not_been_accepted() {
    for status in [400, 401, 403, 409, 422] {
        let fake = Fake::start(move |_, _| reply(status, "")).await;
        let error = fake.v1().create_dataset_entity(&dataset()).await.unwrap_err();
        assert_eq!((fake.seen().len(), error.may_have_been_accepted()), (1, false), "{status}");
    }
    let fake = Fake::replies(vec![reply(429, ""), ok(json!({ "files_url": "d" }))]).await;
    fake.v1().create_dataset_entity(&dataset()).await.unwrap();
}

#[tokio::test]
async fn a_broken_connection_repeats_a_read_but_no_create() {
    let (endpoints, requests) = hangs_up().await;
    let mut options = Fake::start(|_, _| missing()).await.options();
    options.base_urls = endpoints;
    let client = v1(&options);
    let error = client.create_dataset_entity(&dataset()).await.unwrap_err();
    assert_eq!(error.kind, ErrorKind::Interrupted);
    assert!(error.may_have_been_accepted() && error.is_unreachable());
    assert_eq!(requests.swap(0, Ordering::SeqCst), 1);
    assert!(client.delete_dataset_entity("n", "d").await.unwrap_err().is_unreachable());
    assert_eq!(requests.load(Ordering::SeqCst), 4);
}

#[tokio::test]
async fn no_connection_means_nothing_was_sent() {
    let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let base = format!("http://{}", listener.local_addr().unwrap());
    drop(listener);
    let mut options = Fake::start(|_, _| missing()).await.options();
    options.base_urls = BaseUrls { nemo: base.clone(), nim: base.clone(), datastore: base.clone() };
    let error = v1(&options).create_dataset_entity(&dataset()).await.unwrap_err();
    assert_eq!(error.kind, ErrorKind::Connect);
    assert!(error.is_unreachable() && !error.may_have_been_accepted());
    assert_eq!(error.to_string(), format!("POST {base}/v1/datasets: no connection"));
    let cause = std::error::Error::source(&error).unwrap();
    assert!(cause.to_string().contains("refused") && cause.source().is_none(), "{cause}");
}

#[tokio::test]
async fn an_earlier_try_that_may_have_acted_is_not_forgotten() {
    // The first request gets no answer, then the server is gone for good.
    let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let base = format!("http://{}", listener.local_addr().unwrap());
    tokio::spawn(async move {
        let (mut stream, _) = listener.accept().await.unwrap();
        drop(listener);
        let _ = stream.read(&mut [0; 4096]).await;
    });
    let mut options = Fake::start(|_, _| missing()).await.options();
    options.base_urls = BaseUrls { nemo: base.clone(), nim: base.clone(), datastore: base };
    let error = v1(&options).cancel_evaluation_job("eval-1").await.unwrap_err();
    assert_eq!(error.kind, ErrorKind::Connect);
    assert!(error.may_have_been_accepted());
}

#[tokio::test]
async fn silence_ends_at_the_time_limit() {
    let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let base = format!("http://{}", listener.local_addr().unwrap());
    let silent = tokio::spawn(async move {
        let mut open = Vec::new();
        while let Ok((stream, _)) = listener.accept().await {
            open.push(stream);
        }
    });
    let mut options = Fake::start(|_, _| missing()).await.options();
    options.base_urls = BaseUrls { nemo: base.clone(), nim: base.clone(), datastore: base };
    let mut call = ApiRequest::create(Service::EntityStore, &["v1", "datasets"], json!({}));
    call.timeout = Duration::from_millis(50);
    let error = v1(&options).transport.send(call).await.err().unwrap();
    assert_eq!(error.kind, ErrorKind::Timeout(Duration::from_millis(50)));
    assert!(error.is_unreachable() && error.may_have_been_accepted());
    silent.abort();
}

#[tokio::test]
async fn a_body_that_breaks_off_is_no_answer() {
    let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let base = format!("http://{}", listener.local_addr().unwrap());
    tokio::spawn(async move {
        while let Ok((mut stream, _)) = listener.accept().await {
            let _ = stream.read(&mut [0; 4096]).await;
            let _ = stream.write_all(b"HTTP/1.1 200 OK\r\ncontent-length: 50\r\n\r\n{\"na").await;
        }
    });
    let mut options = Fake::start(|_, _| missing()).await.options();
    options.base_urls = BaseUrls { nemo: base.clone(), nim: base.clone(), datastore: base };
    let error = v1(&options).dataset_entity("n", "d").await.unwrap_err();
    assert_eq!(error.kind, ErrorKind::Interrupted);
}

#[tokio::test]
async fn an_endless_answer_is_cut() {
    let fake = Fake::start(|_, _| reply(200, vec![b' '; 4096])).await;
    let mut call = ApiRequest::get(Service::EntityStore, &["v1", "datasets"]);
    call.limit = 1000;
    let error = fake.v1().transport.send(call).await.err().unwrap();
    assert_eq!(error.kind, ErrorKind::Unreadable("more than 1000 bytes".into()));
}

#[tokio::test]
async fn a_redirect_is_named_and_not_followed() {
    let fake = Fake::start(|_, _| reply(301, "").with("location", "https://nemo.example/v1")).await;
    let error = fake.v1().create_dataset_entity(&dataset()).await.unwrap_err();
    assert_eq!(fake.lines(), ["POST /nemo/v1/datasets"]);
    assert!(error.is_unreachable() && !error.may_have_been_accepted());
    assert!(error.to_string().contains("https://nemo.example/v1"), "{error}");
}

#[tokio::test]
async fn each_base_gets_its_token_and_nothing_shows_it() {
    let fake = Fake::start(|_, _| ok(json!([]))).await;
    let client = fake.v1();
    let _ = client.dataset_entity("n", "d").await;
    let _ = client.served_models().await;
    let _ = client.repo_files("n", "d").await;
    let tokens: Vec<String> = fake.seen().iter().map(|seen| seen.header("authorization").to_owned()).collect();
    assert_eq!(tokens, ["Bearer for-nemo", "Bearer for-nemo", "Bearer for-files"]);
    assert!(fake.seen().iter().all(|seen| seen.header("x-team") == "desk"));
    assert!(fake.seen().iter().all(|seen| seen.header("user-agent").starts_with("dfwfd/")));
    let shown = format!("{:?} {client:?} {:?}", fake.options(), Secret::new("hush"));
    for secret in ["for-nemo", "for-files", "desk", "hush"] {
        assert!(!shown.contains(secret), "{shown}");
    }
}

#[tokio::test]
async fn names_are_segments_whatever_they_hold() {
    let fake = Fake::start(|_, _| missing()).await;
    let client = fake.v1();
    assert_eq!(client.delete_training_config("meta", "x@v1.0.0+dfw").await.unwrap(), Removal::Absent);
    assert_eq!(client.delete_model_entity("n", "a b/c@cust-1").await.unwrap(), Removal::Absent);
    assert!(client.served_models().await.unwrap_err().is_transient());
    assert_eq!(
        fake.lines(),
        [
            "DELETE /nemo/v1/customization/configs/meta/x@v1.0.0+dfw",
            "DELETE /nemo/v1/models/n/a%20b%2Fc@cust-1",
            "GET /nim/v1/models",
        ]
    );
}

#[tokio::test]
async fn the_embedded_platform_is_known_by_its_latest_answer() {
    let fake = Fake::start(|_, before| match before {
        0 => ok(json!({})),
        _ => missing().with("x-dfwfd-embedded", format!("instance-{before}")),
    })
    .await;
    let client = fake.v1();
    client.dataset_entity("n", "d").await.unwrap();
    assert_eq!(client.transport.embedded_instance(), None);
    client.dataset_entity("n", "d").await.unwrap();
    client.clone().dataset_entity("n", "d").await.unwrap();
    assert_eq!(client.transport.embedded_instance().as_deref(), Some("instance-2"));
}

#[tokio::test]
async fn options_that_cannot_be_used_say_which() {
    let fake = Fake::start(|_, _| missing()).await;
    let told = |change: &dyn Fn(&mut super::ClientOptions)| -> ApiError {
        let mut options = fake.options();
        change(&mut options);
        Client::new(&options, None, "ns").unwrap_err()
    };
    assert!(told(&|options| options.base_urls.nim = "nim.test".into()).to_string().contains("nim_base_url"));
    assert!(told(&|options| options.base_urls.nemo = "ftp://x".into()).to_string().contains("nemo_base_url"));
    let error = told(&|options| options.headers.push(("x y".into(), Secret::new("hush"))));
    assert!(error.to_string().contains("header x y"));
    let error = told(&|options| options.bearer = Some(Secret::new("a\nb")));
    assert!(error.to_string().contains("bearer") && !format!("{error:?}").contains("a\nb"));
    let error = told(&|options| options.ca_cert = Some("/nowhere/ca.pem".into()));
    assert_eq!(error.kind, ErrorKind::File("/nowhere/ca.pem".into()));
    assert!(!error.is_unreachable() && !error.is_transient());
}

#[tokio::test]
async fn a_certificate_of_an_unknown_authority_is_told_from_a_lost_connection() {
    let listener = std::net::TcpListener::bind("127.0.0.1:0").unwrap();
    let base = format!("https://{}", listener.local_addr().unwrap());
    let key = rustls::pki_types::PrivatePkcs8KeyDer::from(include_bytes!("../../../testdata/tls/key.der").to_vec());
    let certificate = include_bytes!("../../../testdata/tls/cert.der").to_vec().into();
    let provider = Arc::new(rustls::crypto::ring::default_provider());
    let config = rustls::ServerConfig::builder_with_provider(provider).with_safe_default_protocol_versions().unwrap();
    let config = Arc::new(config.with_no_client_auth().with_single_cert(vec![certificate], key.into()).unwrap());
    let server = std::thread::spawn(move || {
        let mut stream = listener.accept().unwrap().0;
        let mut connection = rustls::ServerConnection::new(config).unwrap();
        // Ends with the alert of the client.
        while connection.complete_io(&mut stream).is_ok() {}
    });
    let mut options = Fake::replies(Vec::new()).await.options();
    options.base_urls = BaseUrls { nemo: base.clone(), nim: base.clone(), datastore: base };
    let error = v1(&options).dataset_entity("n", "d").await.unwrap_err();
    assert_eq!(error.kind, ErrorKind::Untrusted);
    assert!(error.is_unreachable() && !error.is_transient() && !error.may_have_been_accepted());
    server.join().unwrap();
}
