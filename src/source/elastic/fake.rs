//! A search server for tests. Keeps documents, returns pages as real servers do, and produces faults.

use std::collections::VecDeque;
use std::io::Read as _;
use std::sync::{Arc, Mutex};
use std::time::Duration;

use axum::Router;
use axum::body::{Body, Bytes};
use axum::extract::State;
use axum::http::{HeaderMap, Method, Response, Uri};
use serde_json::{Value, json};
use tokio_util::sync::CancellationToken;

use super::client::SearchClient;
use super::error::ElasticError;
use super::mapping;
use super::page_size::PageSize;
use super::reader::IndexReader;
use crate::data::options::{Filter, IndexAt};
use crate::retry::Backoff;
use crate::source::credentials::Credentials;

/// A response in place of the right one.
#[derive(Clone, Debug)]
pub(super) enum FakeFault {
    /// Answers with a status and body.
    Answer(u16, String),
    /// Breaks the connection within the body.
    Cut,
    /// Never sends the body.
    Hang,
    /// Loses all search contexts.
    Forget,
}

/// The documents of the server, its faults and the requests it has received.
#[derive(Debug, Default)]
pub(super) struct FakeState {
    /// The response to `GET /`.
    pub(super) version: Value,
    pub(super) mappings: Value,
    /// The id (with the index after an @, if it is another) and the time of each document, in the order of the shard.
    pub(super) documents: Vec<(String, i64)>,
    /// The documents that a sample finds: s0, s1 and so on, with a time in seconds in `timestamp`.
    pub(super) sampled: Vec<Value>,
    /// The bytes of the largest response.
    pub(super) largest: usize,
    /// Faults for requests whose path contains a text, in order. None stands for the right response.
    pub(super) faults: Vec<(&'static str, VecDeque<Option<FakeFault>>)>,
    /// The method, path and body of each request.
    pub(super) requests: Vec<(String, String, String)>,
    pub(super) authorization: Option<String>,
    /// Open contexts: the id and, for a scroll, its search and position.
    pub(super) open: Vec<(String, Value, usize)>,
    opened: usize,
}

/// A running server. Ends with its runtime.
pub(super) struct FakeServer {
    pub(super) state: Arc<Mutex<FakeState>>,
    url: String,
    _runtime: tokio::runtime::Runtime,
}

impl FakeServer {
    pub(super) fn new(version: &str, distribution: Option<&str>) -> FakeServer {
        let version = json!({"version": {"number": version, "distribution": distribution}});
        let mappings = mapping::index_definition()["mappings"].clone();
        let state = Arc::new(Mutex::new(FakeState { version, mappings, ..FakeState::default() }));
        let runtime = tokio::runtime::Builder::new_multi_thread().worker_threads(1).enable_all().build().unwrap();
        let listener = runtime.block_on(tokio::net::TcpListener::bind("127.0.0.1:0")).unwrap();
        let url = format!("http://{}", listener.local_addr().unwrap());
        let router = Router::new().fallback(answer).with_state(Arc::clone(&state));
        runtime.spawn(async move { axum::serve(listener, router).await });
        FakeServer { state, url, _runtime: runtime }
    }

    pub(super) fn state(&self) -> std::sync::MutexGuard<'_, FakeState> {
        self.state.lock().unwrap()
    }

    pub(super) fn fail(&self, path: &'static str, answers: impl IntoIterator<Item = Option<FakeFault>>) {
        self.state().faults.push((path, answers.into_iter().collect()));
    }

    pub(super) fn at(&self) -> IndexAt {
        IndexAt { url: self.url.clone(), index: "i".into(), ..IndexAt::default() }
    }

    /// Creates a client that does not wait long.
    pub(super) fn client(&self, credentials: &Credentials) -> SearchClient {
        let mut client = SearchClient::new(&self.at(), credentials).unwrap();
        let longest = Duration::from_millis(1);
        client.backoff = Backoff { tries: 4, first: Duration::from_micros(10), longest, longest_asked: longest };
        client
    }

    /// Opens a reader with pages of this size.
    pub(super) fn open(
        &self,
        slices: usize,
        size: usize,
        cancel: &CancellationToken,
    ) -> Result<IndexReader, ElasticError> {
        let size = Some(PageSize::fixed(size));
        IndexReader::with_client(self.client(&Credentials::None), &Filter::default(), slices, size, cancel)
    }

    /// Returns the ids of all records that are read, or the error that ended the reading.
    pub(super) fn read(&self, filter: &Filter, slices: usize, size: usize) -> Result<Vec<String>, ElasticError> {
        let mut reader = IndexReader::with_client(
            self.client(&Credentials::None),
            filter,
            slices,
            Some(PageSize::fixed(size)),
            &CancellationToken::new(),
        )?;
        let mut text = String::new();
        let read = reader.read_to_string(&mut text);
        if let Some(error) = reader.take_error() {
            return Err(error);
        }
        read.unwrap();
        let id = |line: &str| serde_json::from_str::<Value>(line).unwrap()["id"].as_str().unwrap().to_owned();
        Ok(text.lines().map(id).collect())
    }
}

async fn answer(
    State(state): State<Arc<Mutex<FakeState>>>,
    method: Method,
    uri: Uri,
    headers: HeaderMap,
    body: Bytes,
) -> Response<Body> {
    let mut state = state.lock().unwrap();
    let (path, text) = (uri.path().to_owned(), String::from_utf8(body.to_vec()).unwrap());
    state.requests.push((method.to_string(), path.clone(), text.clone()));
    state.authorization = headers.get("authorization").map(|value| value.to_str().unwrap().to_owned());
    // A client does not repeat closing a context, so faults do not hit it.
    let closes = method == Method::DELETE;
    let due = state.faults.iter_mut().find(|(part, answers)| !closes && path.contains(part) && !answers.is_empty());
    let (status, body) = match due.and_then(|(_, answers)| answers.pop_front().flatten()) {
        Some(FakeFault::Answer(status, body)) => (status, body),
        Some(FakeFault::Cut) => {
            let parts = [Ok(Bytes::from_static(b"{\"hits\"")), Err(std::io::Error::other("cut"))];
            return Response::new(Body::from_stream(futures_util::stream::iter(parts)));
        }
        Some(FakeFault::Hang) => {
            return Response::new(Body::from_stream(futures_util::stream::pending::<Result<Bytes, std::io::Error>>()));
        }
        Some(FakeFault::Forget) => {
            state.open.clear();
            // Another replica holds the documents in another order.
            state.documents.reverse();
            let (status, body) = state.work(&method, &path, &text);
            (status, body.to_string())
        }
        None => {
            let (status, body) = state.work(&method, &path, &text);
            (status, body.to_string())
        }
    };
    state.largest = state.largest.max(body.len());
    Response::builder().status(status).header("content-type", "application/json").body(Body::from(body)).unwrap()
}

impl FakeState {
    fn work(&mut self, method: &Method, path: &str, text: &str) -> (u16, Value) {
        let body: Value = serde_json::from_str(text).unwrap_or_default();
        match (method.as_str(), path) {
            ("GET", "/") => (200, self.version.clone()),
            ("GET", "/i/_mapping") => (200, json!({"i": {"mappings": self.mappings}})),
            ("POST", "/i/_pit" | "/i/_search/point_in_time") => {
                let id = self.open(Value::Null);
                (200, json!({"id": id, "pit_id": id}))
            }
            ("DELETE", "/_pit" | "/_search/point_in_time" | "/_search/scroll") => {
                let ids = [&body["id"], &body["pit_id"][0], &body["scroll_id"][0]];
                self.open.retain(|(open, _, _)| !ids.iter().any(|id| *id == open));
                (200, json!({}))
            }
            ("POST", "/i/_bulk") => {
                let records = text.lines().count() / 2;
                (200, json!({"items": vec![json!({"create": {"status": 201}}); records]}))
            }
            ("POST", "/i/_refresh") => (200, json!({})),
            ("POST", "/i/_search") if body["slice"].is_null() && body["sort"][0] != "_doc" => (200, self.sample(&body)),
            ("POST", "/i/_search") => {
                let id = self.open(body);
                self.scroll(&id)
            }
            ("POST", "/_search/scroll") => self.scroll(body["scroll_id"].as_str().unwrap()),
            ("POST", "/_search") => self.page(&body),
            _ => (404, json!({"error": {"type": "no_such_call", "reason": path}})),
        }
    }

    /// Returns the requested keys of the sampled documents, or of the one with the requested id.
    fn sample(&self, search: &Value) -> Value {
        let id = search["query"]["ids"]["values"][0].as_str();
        let wanted = search["_source"].as_array();
        let named = self.sampled.iter().enumerate().map(|(number, document)| (format!("s{number}"), document));
        let found = named.filter(|(name, _)| id.is_none_or(|id| id == name));
        let hits = found.take(search["size"].as_u64().unwrap() as usize).map(|(name, document)| {
            let mut source = document.clone();
            source
                .as_object_mut()
                .unwrap()
                .retain(|key, _| wanted.is_none_or(|keys| keys.iter().any(|one| one == key)));
            let time = document["timestamp"].as_i64().unwrap_or_default() * 1000;
            json!({"_index": "i", "_id": name, "_source": source, "sort": [time]})
        });
        json!({"hits": {"hits": hits.collect::<Vec<_>>()}})
    }

    fn open(&mut self, search: Value) -> String {
        self.opened += 1;
        let id = format!("context-{}", self.opened);
        self.open.push((id.clone(), search, 0));
        id
    }

    fn lost() -> (u16, Value) {
        (404, json!({"error": {"type": "search_context_missing_exception", "reason": "no context"}}))
    }

    fn scroll(&mut self, id: &str) -> (u16, Value) {
        let documents = self.documents.clone();
        let Some((_, search, at)) = self.open.iter_mut().find(|(open, _, _)| open == id) else {
            return FakeState::lost();
        };
        let mine = slice(&documents, search);
        let size = search["size"].as_u64().unwrap() as usize;
        let hits: Vec<Value> =
            mine.into_iter().skip(*at).take(size).map(|(_, document)| hit(document, json!([0]))).collect();
        *at += hits.len();
        (200, json!({"_scroll_id": id, "hits": {"hits": hits}}))
    }

    fn page(&self, body: &Value) -> (u16, Value) {
        let id = &body["pit"]["id"];
        if !self.open.iter().any(|(open, _, _)| id == open) {
            return FakeState::lost();
        }
        let said = body["query"].to_string();
        let from = said.split("\"gte\":").nth(1).and_then(|rest| rest.split([',', '}']).next()?.parse().ok());
        let mut mine = slice(&self.documents, body);
        mine.retain(|(_, (_, time))| *time >= from.unwrap_or(i64::MIN));
        mine.sort_by_key(|(shard, (_, time))| (*time, *shard));
        let after = &body["search_after"];
        let behind = |shard: usize, time: i64| match after.is_null() {
            true => true,
            false => (time, shard as i64) > (after[0].as_i64().unwrap(), after[1].as_i64().unwrap()),
        };
        let size = body["size"].as_u64().unwrap() as usize;
        let hits: Vec<Value> = mine
            .into_iter()
            .filter(|(shard, (_, time))| behind(*shard, *time))
            .take(size)
            .map(|(shard, document)| hit(document, json!([document.1, shard])))
            .collect();
        (200, json!({"pit_id": id, "_shards": {"failed": 0}, "hits": {"hits": hits}}))
    }
}

fn hit(document: &(String, i64), sort: Value) -> Value {
    let (id, index) = document.0.split_once('@').unwrap_or((&document.0, "i"));
    json!({"_index": index, "_id": id, "_source": {"id": document.0}, "sort": sort})
}

/// Slices by the position in the shard, as real servers do: another context has other slices.
fn slice<'a>(documents: &'a [(String, i64)], search: &Value) -> Vec<(usize, &'a (String, i64))> {
    let max = search["slice"]["max"].as_u64().unwrap_or(1) as usize;
    let mine = search["slice"]["id"].as_u64().unwrap_or(0) as usize;
    documents.iter().enumerate().filter(|(shard, _)| shard * max / documents.len() == mine).collect()
}
