//! Servers that are busy, lose contexts, break off or are no search servers: no record is lost, none comes twice, and each
//! failure has its kind of error.

use std::io::{BufRead as _, BufReader, Read as _};
use std::time::Duration;

use elasticsearch::http::Method;
use proptest::prelude::*;
use serde_json::{Value, json};
use tokio_util::sync::CancellationToken;

use super::bulk::{BulkOutcome, BulkWriter};
use super::client::SearchClient;
use super::error::ElasticError;
use super::fake::{FakeFault, FakeServer};
use super::request::ServerRequest;
use super::runtime::BackgroundRuntime;
use super::slices::final_error;
use crate::data::options::{Filter, IndexAt};
use crate::source::credentials::Credentials;

fn say(status: u16, body: impl ToString) -> Option<FakeFault> {
    Some(FakeFault::Answer(status, body.to_string()))
}

fn write(fake: &FakeServer, records: usize) -> Result<BulkOutcome, ElasticError> {
    let mut bulk = BulkWriter::with_client(fake.client(&Credentials::None))?;
    let mut all = BulkOutcome::default();
    let mut done = Vec::new();
    for number in 0..records {
        done.extend(bulk.push(
            number as u128,
            format!("{{\"number\":{number}}}").as_bytes(),
            (0, number as u64 + 1),
        )?);
    }
    done.extend(bulk.finish()?);
    for BulkOutcome { added, present, refused } in done {
        all.added += added;
        all.present += present;
        all.refused.extend(refused);
    }
    Ok(all)
}

fn bodies(fake: &FakeServer, path: &str) -> Vec<String> {
    fake.state().requests.iter().filter(|(_, called, _)| called == path).map(|(_, _, body)| body.clone()).collect()
}

fn items(statuses: &[u16]) -> Value {
    let item = |status: &u16| match status {
        200..=299 => json!({"create": {"status": status}}),
        _ => json!({"create": {"status": status, "error": {"type": "kind_of_error", "reason": "its reason"}}}),
    };
    json!({"items": statuses.iter().map(item).collect::<Vec<_>>()})
}

#[test]
fn a_busy_server_is_asked_again() {
    let fake = FakeServer::new("9.2.0", None);
    fake.fail("_bulk", [say(429, "{}"), say(503, "<html>busy</html>"), Some(FakeFault::Cut), None]);
    assert_eq!(write(&fake, 5).unwrap(), BulkOutcome { added: 5, ..BulkOutcome::default() });
    let sent = bodies(&fake, "/i/_bulk");
    assert!(sent.len() == 4 && sent.iter().all(|body| *body == sent[0]));
    assert_eq!(bodies(&fake, "/i/_refresh").len(), 1);
}

#[test]
fn a_server_that_stays_busy_is_given_up() {
    let fake = FakeServer::new("9.2.0", None);
    fake.fail("_bulk", vec![say(429, "{}"); 9]);
    let error = write(&fake, 5).unwrap_err();
    assert!(matches!(&error, ElasticError::Answer { problem, .. } if problem.status == 429), "{error}");
    assert_eq!(bodies(&fake, "/i/_bulk").len(), 4);
}

#[test]
fn only_the_records_that_were_turned_away_are_sent_again() {
    let fake = FakeServer::new("9.2.0", None);
    fake.fail("_bulk", [say(200, items(&[201, 409, 429, 400, 503])), say(200, items(&[201, 409]))]);
    let written = write(&fake, 5).unwrap();
    assert_eq!((written.added, written.present, written.refused.len()), (2, 2, 1));
    let refused = &written.refused[0];
    assert_eq!((refused.origin, &refused.line[..]), ((0, 4), b"{\"number\":3}".as_slice()));
    assert!(refused.why.contains("its reason"), "{}", refused.why);
    let again = &bodies(&fake, "/i/_bulk")[1];
    let lines: Vec<&str> = again.lines().filter(|line| line.contains("number")).collect();
    assert_eq!(lines, ["{\"number\":2}", "{\"number\":4}"]);
}

#[test]
fn a_body_that_is_too_large_is_sent_in_parts() {
    let fake = FakeServer::new("9.2.0", None);
    fake.fail("_bulk", [say(413, "{}"), None, say(413, "{}"), say(413, "{}"), None]);
    let written = write(&fake, 4).unwrap();
    assert_eq!((written.added, written.refused.len()), (3, 1));
}

#[test]
fn answers_of_something_else_are_told_from_elasticsearch() {
    let page = "<!doctype html><title>Welcome</title>";
    for body in [page, "hello", "{}", ""] {
        let fake = FakeServer::new("9.2.0", None);
        fake.fail("/", vec![say(200, body); 3]);
        assert!(matches!(write(&fake, 1), Err(ElasticError::Foreign { .. })), "{body}");
    }
    let fake = FakeServer::new("9.2.0", None);
    fake.fail("_bulk", [say(200, items(&[201]))]);
    assert!(matches!(write(&fake, 2), Err(ElasticError::Foreign { .. })));
}

#[test]
fn a_refusal_is_not_repeated_and_the_key_is_sent() {
    let fake = FakeServer::new("9.2.0", None);
    fake.fail("/", vec![say(401, "{}"); 9]);
    let key = Credentials::ApiKey("a2V5".into());
    let error = BulkWriter::with_client(fake.client(&key)).unwrap_err();
    assert!(matches!(error, ElasticError::Refused { status: 401, .. }), "{error}");
    assert!(!format!("{error} {error:?}").contains("a2V5"));
    assert_eq!(fake.state().authorization.as_deref(), Some("ApiKey a2V5"));
    assert_eq!(fake.state().requests.len(), 2, "GET / and the other way to ask");
}

#[test]
fn a_server_without_its_front_page_is_asked_for_its_node() {
    let fake = FakeServer::new("9.2.0", None);
    let node = json!({"nodes": {"n": {"version": "2.19.1"}}});
    fake.fail("/", [say(405, "{}"), say(200, node)]);
    let bulk = BulkWriter::with_client(fake.client(&Credentials::None)).unwrap();
    assert_eq!(bulk.server.to_string(), "OpenSearch 2.19.1", "it lacks the header of Elasticsearch");
}

#[test]
fn nobody_there_is_unreachable() {
    let fake = FakeServer::new("9.2.0", None);
    let client = fake.client(&Credentials::None);
    drop(fake);
    assert!(matches!(BulkWriter::with_client(client), Err(ElasticError::Unreachable { .. })));
}

#[test]
fn a_call_whose_answer_does_not_come_is_given_up_and_says_what_gives_it_more_time() {
    let fake = FakeServer::new("9.2.0", None);
    fake.fail("/", vec![Some(FakeFault::Hang); 99]);
    let waits = |timeout_ms: u64| SearchClient::new(&IndexAt { timeout_ms, ..fake.at() }, &Credentials::None).unwrap();
    let run = |client: SearchClient, request: ServerRequest| {
        BackgroundRuntime::start().unwrap().block_on(async move { client.send(request).await })
    };
    let mapping = || ServerRequest::new(Method::Get, "/i/_mapping");
    let error = run(waits(3), mapping()).unwrap_err();
    let said = error.to_string();
    assert!(said.starts_with("GET http://127.0.0.1:"), "{said}");
    assert!(said.ends_with("/i/_mapping: no full response within 0.003 s in any of 3 tries"), "{said}");
    assert!(error.hint().starts_with("raise logs.elasticsearch.timeout"), "{}", error.hint());
    let error = run(waits(3), mapping().once()).unwrap_err();
    assert!(error.to_string().ends_with("no full response within 0.003 s"), "{error}");
    // The key does not raise the limit of a request that may take less time than others.
    let error = run(waits(120_000), mapping().once().within(Duration::from_millis(3))).unwrap_err();
    assert!(matches!(error, ElasticError::Late { raisable: false, times: 1, .. }), "{error:?}");
    assert!(error.hint().starts_with("check logs.elasticsearch.url"), "{}", error.hint());
    // A server that does not identify itself in time is not asked for its node.
    let error = BulkWriter::with_client(waits(3)).unwrap_err();
    assert!(matches!(&error, ElasticError::Late { request, times: 1, .. } if request.ends_with('/')), "{error:?}");
}

#[test]
fn a_scroll_that_is_late_again_and_again_is_given_up_before_one_that_is_lost() {
    let (request, after) = ("POST http://e/_search/scroll".to_owned(), Duration::from_secs(120));
    let late = ElasticError::Late { request, after, times: 1, raisable: true };
    let lost = ElasticError::Unreachable { request: String::new(), why: String::new() };
    let after = |error: &ElasticError| (1..9).find(|losses| final_error(error, *losses).is_some());
    assert_eq!((after(&late), after(&lost)), (Some(3), Some(6)));
    assert!(final_error(&late, 3).unwrap().to_string().contains("within 120 s in any of 3 tries"));
}

/// The servers and how they are read.
const SERVERS: [(&str, Option<&str>); 5] = [
    ("9.2.0", None),
    ("7.17.28", None),
    ("3.4.0", Some("opensearch")),
    ("2.19.1", Some("opensearch")),
    ("6.8.0", None),
];

fn documents(times: &[i64]) -> Vec<(String, i64)> {
    times.iter().enumerate().map(|(number, time)| (format!("d{number}"), *time)).collect()
}

fn check(fake: &FakeServer, times: &[i64], slices: usize, size: usize) {
    fake.state().documents = documents(times);
    let mut ids = fake.read(&Filter::default(), slices, size).unwrap();
    ids.sort();
    let mut wanted: Vec<String> = documents(times).into_iter().map(|(id, _)| id).collect();
    wanted.sort();
    assert_eq!(ids, wanted);
    assert!(fake.state().open.is_empty(), "contexts are closed");
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(24))]
    #[test]
    fn a_lost_context_loses_and_doubles_nothing(
        server in 0..SERVERS.len(),
        times in prop::collection::vec(0_i64..4, 1..60),
        slices in 1_usize..4,
        size in 1_usize..9,
        losses in prop::collection::vec(prop::option::weighted(0.3, Just(())), 0..20),
    ) {
        let (version, distribution) = SERVERS[server];
        let fake = FakeServer::new(version, distribution);
        // The first two searches look at the index.
        let looks = [None, None].into_iter().take(if is_scrolled(version) { 0 } else { 2 });
        // Not more losses than the reading bears when none of them lets it get on: after one, records of the time that
        // it had come to are read again, and a scroll begins from the front.
        let mut lost = 0;
        let losses = losses.into_iter().flat_map(|loss| {
            let loss = loss.filter(|()| lost < 5);
            lost += usize::from(loss.is_some());
            [loss.map(|()| FakeFault::Forget)].into_iter().chain(std::iter::repeat_n(None, 2 * slices))
        });
        fake.fail(next_page(version), looks.chain(losses).collect::<Vec<_>>());
        check(&fake, &times, slices, size);
    }
}

#[test]
fn contexts_may_be_lost_often_while_the_reading_gets_on() {
    let fake = FakeServer::new("9.2.0", None);
    let pages = [None, None].into_iter().chain([None, None, Some(FakeFault::Forget)].into_iter().cycle().take(60));
    fake.fail("/_search", pages.collect::<Vec<_>>());
    check(&fake, &(0..40).collect::<Vec<_>>(), 1, 2);

    let fake = FakeServer::new("9.2.0", None);
    fake.fail("/_search", [None, None].into_iter().chain(vec![Some(FakeFault::Forget); 9]).collect::<Vec<_>>());
    fake.state().documents = documents(&[1, 2, 3]);
    let error = fake.read(&Filter::default(), 1, 2).unwrap_err();
    assert!(matches!(error, ElasticError::Lost { times: 6 }), "{error}");
}

fn is_scrolled(version: &str) -> bool {
    matches!(version, "2.19.1" | "6.8.0")
}

/// The call that asks for a page behind the first.
fn next_page(version: &str) -> &'static str {
    if is_scrolled(version) { "/_search/scroll" } else { "/_search" }
}

#[test]
fn records_of_one_time_come_once_each_from_every_server() {
    for (version, distribution) in SERVERS {
        let fake = FakeServer::new(version, distribution);
        check(&fake, &[7; 25], 1, 10);
        check(&fake, &[7; 25], 3, 4);
        check(&fake, &[], 2, 4);
    }
}

#[test]
fn a_page_that_breaks_off_is_fetched_again() {
    for (version, distribution) in SERVERS {
        let fake = FakeServer::new(version, distribution);
        fake.fail(next_page(version), [None, None, None, Some(FakeFault::Cut), None, Some(FakeFault::Cut)]);
        check(&fake, &[1, 2, 2, 2, 2, 2, 2, 3, 4, 5, 6, 7, 8, 9], 2, 3);
    }
}

#[test]
fn a_search_in_a_context_that_closes_at_that_moment_is_repeated_in_another() {
    let closing =
        || say(500, json!({"error": {"type": "illegal_state_exception", "reason": "already closed, can't increment"}}));
    for (version, distribution) in SERVERS {
        let fake = FakeServer::new(version, distribution);
        fake.fail(next_page(version), [None, None, None, closing(), None, closing()]);
        check(&fake, &[1, 2, 2, 2, 2, 2, 2, 3, 4, 5, 6, 7, 8, 9], 2, 3);
    }
    // A server that answers nothing else is given up, and its last reason is told.
    let fake = FakeServer::new("9.2.0", None);
    fake.state().documents = documents(&[1, 2, 3]);
    fake.fail("/_search", [None, None].into_iter().chain((0..9).map(|_| closing())).collect::<Vec<_>>());
    let error = fake.read(&Filter::default(), 1, 2).unwrap_err();
    assert!(error.to_string().ends_with("already closed, can't increment"), "{error}");
    assert!(fake.state().open.is_empty());
}

#[test]
fn an_error_closes_what_is_open() {
    let fake = FakeServer::new("9.2.0", None);
    fake.state().documents = documents(&[1; 30]);
    let broken = say(400, json!({"error": {"type": "parsing_exception", "reason": "no"}}));
    fake.fail("/_search", [None, None, None, broken]);
    let error = fake.read(&Filter::default(), 2, 3).unwrap_err();
    assert!(matches!(error, ElasticError::Answer { .. }), "{error}");
    assert!(fake.state().open.is_empty());
}

#[test]
fn a_reading_that_is_stopped_closes_what_it_has_open() {
    for (version, distribution) in SERVERS {
        for slices in [1, 3] {
            let fake = FakeServer::new(version, distribution);
            fake.state().documents = documents(&(0..300).collect::<Vec<_>>());
            // Where slices share a context, it is closed though a page is on its way that never comes.
            if !is_scrolled(version) {
                // The index is looked at twice; OpenSearch's context is opened below the same path.
                let before = if distribution.is_some() { 4 } else { 3 };
                let pages = std::iter::repeat_n(None, before).chain(vec![Some(FakeFault::Hang); 9]);
                fake.fail("/_search", pages.collect::<Vec<_>>());
            }
            let cancel = CancellationToken::new();
            let mut pages = fake.open(slices, 4, &cancel).unwrap();
            BufReader::with_capacity(1, &mut pages).read_until(b'\n', &mut Vec::new()).unwrap();
            assert!(!fake.state().open.is_empty());
            cancel.cancel();
            assert!(pages.read_to_end(&mut Vec::new()).is_err());
            assert!(matches!(pages.take_error(), Some(ElasticError::Stopped)), "{version}");
            assert!(fake.state().open.is_empty(), "{version}: {:?}", fake.state().open);
            assert!(matches!(fake.open(slices, 4, &cancel), Err(ElasticError::Stopped)));
        }
    }
}

#[test]
fn a_reading_that_nobody_listens_to_closes_what_it_has_open() {
    for (version, distribution) in SERVERS {
        let fake = FakeServer::new(version, distribution);
        fake.state().documents = documents(&(0..300).collect::<Vec<_>>());
        let mut pages = fake.open(3, 4, &CancellationToken::new()).unwrap();
        assert_eq!(pages.read(&mut [0]).unwrap(), 1);
        drop(pages);
        assert!(fake.state().open.is_empty(), "{version}: {:?}", fake.state().open);
    }
}

#[test]
fn an_id_that_stands_in_two_indices_is_two_records() {
    for (version, distribution) in SERVERS {
        let fake = FakeServer::new(version, distribution);
        let twice = |number: u32| ["a", "b"].map(|index| (format!("d{number}@{index}"), 7));
        fake.state().documents = (0..20).flat_map(twice).collect();
        fake.fail(next_page(version), [None, None, None, None, Some(FakeFault::Forget)]);
        let mut ids = fake.read(&Filter::default(), 2, 3).unwrap();
        ids.sort();
        let mut wanted: Vec<String> = fake.state().documents.iter().map(|(id, _)| id.clone()).collect();
        wanted.sort();
        assert_eq!(ids, wanted, "{version}");
    }
}
