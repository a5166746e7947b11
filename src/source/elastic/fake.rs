//! A search server for tests: keeps documents, hands out pages as the real ones do, and misbehaves when told to.

use std::collections::VecDeque;
use std::io::Read as _;
use std::sync::{Arc, Mutex};
use std::time::Duration;

use axum::Router;
use axum::body::{Body, Bytes};
use axum::extract::State;
use axum::http::{HeaderMap, Method, Response, Uri};
use serde_json::{Value, json};

use super::client::{Backoff, Client};
use super::error::ElasticError;
use super::halt::Halt;
use super::mapping;
use super::page_size::PageSize;
use super::read::Pages;
use crate::data::options::{Filter, IndexAt};
use crate::source::credentials::Credentials;

/// What it answers instead of doing its work.
#[derive(Clone, Debug)]
pub(super) enum Mischief {
    /// A status with this body.
    Say(u16, String),
    /// The connection breaks off within the body.
    Cut,
    /// The body never comes.
    Hang,
    /// The search contexts are gone.
    Forget,
}

/// What it keeps and has seen.
#[derive(Debug, Default)]
pub(super) struct World {
    /// Name and version as in `GET /`.
    pub(super) version: Value,
    pub(super) mappings: Value,
    /// Id (and behind an @ the index, if it is another) and time of each document, in the order of the shard; the time is in the index's own milliseconds.
    pub(super) documents: Vec<(String, i64)>,
    /// What those find who look at a few documents: s0, s1 and so on, each with its time in seconds under `timestamp`.
    pub(super) sampled: Vec<Value>,
    /// Bytes of the largest answer.
    pub(super) largest: usize,
    /// Answers to calls whose path holds this text, before it does its work again.
    pub(super) mischief: Vec<(&'static str, VecDeque<Option<Mischief>>)>,
    /// Method, path and body of each call.
    pub(super) calls: Vec<(String, String, String)>,
    pub(super) authorization: Option<String>,
    /// Open contexts: id and, of a scroll, its slice and how far it is.
    pub(super) open: Vec<(String, Value, usize)>,
    opened: usize,
}

/// A running fake; ends with its runtime.
pub(super) struct Fake {
    pub(super) world: Arc<Mutex<World>>,
    url: String,
    _runtime: tokio::runtime::Runtime,
}

impl Fake {
    pub(super) fn new(version: &str, distribution: Option<&str>) -> Fake {
        let version = json!({"version": {"number": version, "distribution": distribution}});
        let mappings = mapping::creation()["mappings"].clone();
        let world = Arc::new(Mutex::new(World { version, mappings, ..World::default() }));
        let runtime = tokio::runtime::Builder::new_multi_thread().worker_threads(1).enable_all().build().unwrap();
        let listener = runtime.block_on(tokio::net::TcpListener::bind("127.0.0.1:0")).unwrap();
        let url = format!("http://{}", listener.local_addr().unwrap());
        let router = Router::new().fallback(answer).with_state(Arc::clone(&world));
        runtime.spawn(async move { axum::serve(listener, router).await });
        Fake { world, url, _runtime: runtime }
    }

    pub(super) fn world(&self) -> std::sync::MutexGuard<'_, World> {
        self.world.lock().unwrap()
    }

    pub(super) fn misbehave(&self, path: &'static str, answers: impl IntoIterator<Item = Option<Mischief>>) {
        self.world().mischief.push((path, answers.into_iter().collect()));
    }

    pub(super) fn at(&self) -> IndexAt {
        IndexAt { url: self.url.clone(), index: "i".into(), ..IndexAt::default() }
    }

    /// A client that does not wait long.
    pub(super) fn client(&self, credentials: &Credentials) -> Client {
        let mut client = Client::new(&self.at(), credentials).unwrap();
        client.backoff = Backoff { first: Duration::from_micros(10), most: Duration::from_millis(1), times: 3 };
        client
    }

    /// A reading of pages of this size.
    pub(super) fn open(&self, slices: usize, size: usize, halt: &Halt) -> Result<Pages, ElasticError> {
        let size = Some(PageSize::fixed(size));
        Pages::of(self.client(&Credentials::None), &Filter::default(), slices, size, halt)
    }

    /// The ids of everything that is read, or what ended it.
    pub(super) fn read(&self, filter: &Filter, slices: usize, size: usize) -> Result<Vec<String>, ElasticError> {
        let mut pages =
            Pages::of(self.client(&Credentials::None), filter, slices, Some(PageSize::fixed(size)), &Halt::default())?;
        let mut text = String::new();
        let read = pages.read_to_string(&mut text);
        if let Some(error) = pages.take_error() {
            return Err(error);
        }
        read.unwrap();
        let id = |line: &str| serde_json::from_str::<Value>(line).unwrap()["id"].as_str().unwrap().to_owned();
        Ok(text.lines().map(id).collect())
    }
}

async fn answer(
    State(world): State<Arc<Mutex<World>>>,
    method: Method,
    uri: Uri,
    headers: HeaderMap,
    body: Bytes,
) -> Response<Body> {
    let mut world = world.lock().unwrap();
    let (path, text) = (uri.path().to_owned(), String::from_utf8(body.to_vec()).unwrap());
    world.calls.push((method.to_string(), path.clone(), text.clone()));
    world.authorization = headers.get("authorization").map(|value| value.to_str().unwrap().to_owned());
    // Closing a context is not repeated, so it is left alone.
    let closes = method == Method::DELETE;
    let due = world.mischief.iter_mut().find(|(part, answers)| !closes && path.contains(part) && !answers.is_empty());
    let (status, body) = match due.and_then(|(_, answers)| answers.pop_front().flatten()) {
        Some(Mischief::Say(status, body)) => (status, body),
        Some(Mischief::Cut) => {
            let parts = [Ok(Bytes::from_static(b"{\"hits\"")), Err(std::io::Error::other("cut"))];
            return Response::new(Body::from_stream(futures_util::stream::iter(parts)));
        }
        Some(Mischief::Hang) => {
            return Response::new(Body::from_stream(futures_util::stream::pending::<Result<Bytes, std::io::Error>>()));
        }
        Some(Mischief::Forget) => {
            world.open.clear();
            // Another replica has its documents in another order.
            world.documents.reverse();
            let (status, body) = world.work(&method, &path, &text);
            (status, body.to_string())
        }
        None => {
            let (status, body) = world.work(&method, &path, &text);
            (status, body.to_string())
        }
    };
    world.largest = world.largest.max(body.len());
    Response::builder().status(status).header("content-type", "application/json").body(Body::from(body)).unwrap()
}

impl World {
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
            ("POST", "/i/_search") if body["slice"].is_null() && body["sort"][0] != "_doc" => {
                (200, self.looked_at(&body))
            }
            ("POST", "/i/_search") => {
                let id = self.open(body);
                self.scroll(&id)
            }
            ("POST", "/_search/scroll") => self.scroll(body["scroll_id"].as_str().unwrap()),
            ("POST", "/_search") => self.page(&body),
            _ => (404, json!({"error": {"type": "no_such_call", "reason": path}})),
        }
    }

    /// Documents with the keys that are asked for, all or the one with an id.
    fn looked_at(&self, search: &Value) -> Value {
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
        let Some((_, search, at)) = self.open.iter_mut().find(|(open, _, _)| open == id) else { return World::lost() };
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
            return World::lost();
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

/// By the place in the shard, as the real ones do: another context has other slices.
fn slice<'a>(documents: &'a [(String, i64)], search: &Value) -> Vec<(usize, &'a (String, i64))> {
    let max = search["slice"]["max"].as_u64().unwrap_or(1) as usize;
    let mine = search["slice"]["id"].as_u64().unwrap_or(0) as usize;
    documents.iter().enumerate().filter(|(shard, _)| shard * max / documents.len() == mine).collect()
}
