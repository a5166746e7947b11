//! Writing: records into bulk requests of a bounded size, a few of them on their way at once, each record under its id so
//! that it is there once however often it is sent. Knows neither files nor what a record holds.

use std::collections::VecDeque;
use std::sync::Arc;
use std::sync::mpsc;

use bytes::Bytes;
use elasticsearch::http::Method;
use serde::Deserialize;
use serde_json::Value;

use super::client::{Call, Client, Server};
use super::error::ElasticError;
use super::index::health;
use super::mapping::{self, Mapping};
use super::thread::{Thread, ended};
use crate::data::options::IndexAt;
use crate::data::record::id;
use crate::source::credentials::Credentials;

/// Bytes of one bulk request: of 0.5 to 5 MB the size that cost Elasticsearch 9.2 least processor time for each record.
const BODY: usize = 1 << 20;
/// Requests on their way at once: more than a small server works at, so that none of its threads waits for us.
const IN_FLIGHT: usize = 4;

/// Where a record came from: the file's number and the line.
pub(crate) type Place = (usize, u64);

/// A record that the server has refused.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct RefusedRecord {
    /// Where it came from.
    pub(crate) place: Place,
    /// As it was sent.
    pub(crate) line: Bytes,
    /// What the server says.
    pub(crate) why: String,
}

/// What became of some records.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub(crate) struct Written {
    /// New ones.
    pub(crate) added: u64,
    /// Those that were there already.
    pub(crate) present: u64,
    /// Those that the server does not take.
    pub(crate) refused: Vec<RefusedRecord>,
}

/// One record of a body.
#[derive(Clone, Copy, Debug)]
struct Item {
    place: Place,
    /// Where its two lines begin, where the second does, and where it ends.
    start: usize,
    line: usize,
    end: usize,
}

/// Records that are sent together.
#[derive(Clone, Debug, Default)]
struct Body {
    bytes: Bytes,
    items: Vec<Item>,
}

/// Writes to an index.
#[derive(Debug)]
pub(crate) struct Bulk {
    /// Which server it is.
    pub(crate) server: Server,
    client: Arc<Client>,
    thread: Thread,
    strict: bool,
    bytes: Vec<u8>,
    items: Vec<Item>,
    waiting: VecDeque<mpsc::Receiver<Result<Written, ElasticError>>>,
    body: usize,
}

impl Bulk {
    /// Connects, makes the index when it is not there, and looks whether it can hold records.
    pub(crate) fn open(at: &IndexAt, credentials: &Credentials) -> Result<Bulk, ElasticError> {
        Bulk::of(Client::new(at, credentials)?)
    }

    pub(super) fn of(client: Client) -> Result<Bulk, ElasticError> {
        let thread = Thread::start()?;
        let client = Arc::new(client);
        let preparing = Arc::clone(&client);
        let (server, mapping) = thread.run(async move {
            let server = preparing.server().await?;
            let mapping = prepare(&preparing).await?;
            health(&preparing, &server).await?;
            Ok((server, mapping))
        })?;
        if let Some(why) = mapping.unwritable() {
            return Err(ElasticError::Mapping { index: client.index.clone(), why });
        }
        Ok(Bulk {
            server,
            client,
            thread,
            strict: mapping.is_strict(),
            bytes: Vec::new(),
            items: Vec::new(),
            waiting: VecDeque::new(),
            body: BODY,
        })
    }

    /// Whether the index takes nothing but the five fields of a record.
    pub(crate) fn is_strict(&self) -> bool {
        self.strict
    }

    /// Takes a record; waits while too many requests are on their way. What became of earlier ones is given back.
    pub(crate) fn push(&mut self, id: u128, line: &[u8], place: Place) -> Result<Vec<Written>, ElasticError> {
        let mut done = Vec::new();
        if !self.items.is_empty() && self.bytes.len() + line.len() > self.body {
            done.extend(self.send()?);
        }
        let start = self.bytes.len();
        self.bytes.extend_from_slice(b"{\"create\":{\"_id\":\"");
        self.bytes.extend_from_slice(&id::hex_digits(id));
        self.bytes.extend_from_slice(b"\"}}\n");
        let at = self.bytes.len();
        self.bytes.extend_from_slice(line);
        self.bytes.push(b'\n');
        self.items.push(Item { place, start, line: at, end: self.bytes.len() });
        Ok(done)
    }

    /// Sends the rest, waits for all answers and makes what was written visible to searches.
    pub(crate) fn finish(mut self) -> Result<Vec<Written>, ElasticError> {
        let mut done = Vec::from_iter(self.send()?);
        while let Some(waiting) = self.waiting.pop_front() {
            done.push(waiting.recv().unwrap_or_else(|_| Err(ended()))?);
        }
        let client = Arc::clone(&self.client);
        self.thread
            .run(async move { client.send(Call::new(Method::Post, client.index_path("/_refresh"))).await.map(drop) })?;
        Ok(done)
    }

    fn send(&mut self) -> Result<Option<Written>, ElasticError> {
        if self.items.is_empty() {
            return Ok(None);
        }
        let mut done = None;
        if self.waiting.len() >= IN_FLIGHT
            && let Some(oldest) = self.waiting.pop_front()
        {
            done = Some(oldest.recv().unwrap_or_else(|_| Err(ended()))?);
        }
        let room = self.bytes.capacity();
        let bytes = std::mem::replace(&mut self.bytes, Vec::with_capacity(room.min(2 * BODY))).into();
        let body = Body { bytes, items: std::mem::take(&mut self.items) };
        let client = Arc::clone(&self.client);
        self.waiting.push_back(self.thread.begin(async move { write(&client, body).await }));
        Ok(done)
    }
}

/// The mapping of the index, which is made when it is not there.
async fn prepare(client: &Client) -> Result<Mapping, ElasticError> {
    let refusal = |why: String| ElasticError::Mapping { index: client.index.clone(), why };
    let look = || client.ask(Call::new(Method::Get, client.index_path("/_mapping")));
    match look().await {
        Ok(answer) => {
            return match no_single_index(&answer) {
                Some(why) => Err(refusal(why)),
                None => Ok(Mapping::read(&answer)),
            };
        }
        Err(error) if error.is_no_index() => {}
        Err(error) => return Err(error),
    }
    let create = Call::new(Method::Put, client.index_path("")).json(&mapping::creation());
    match client.send(create).await {
        // Another load may have been faster.
        Err(error) if !error.is_existing_index() => return Err(error),
        _ => {}
    }
    Ok(Mapping::read(&look().await?))
}

/// Why records under their ids would not be there once each, if so: ids count within one index.
fn no_single_index(mappings: &Value) -> Option<String> {
    let names: Vec<&String> = mappings.as_object().into_iter().flatten().map(|(name, _)| name).collect();
    match names.as_slice() {
        [name] if name.starts_with(".ds-") => {
            Some("it is a data stream, whose documents need a field @timestamp".to_owned())
        }
        [] | [_] => None,
        [first, .., last] => {
            Some(format!("it is an alias of {} indices ({first} to {last}), and records belong into one", names.len()))
        }
    }
}

/// Sends a body until each of its records is written, present or refused.
async fn write(client: &Client, body: Body) -> Result<Written, ElasticError> {
    let mut written = Written::default();
    let mut bodies = vec![body];
    let mut rounds = 0;
    while let Some(body) = bodies.pop() {
        let sent = client.send(bulk(client, &body)).await;
        let answer = match sent {
            Err(error) if error.is_too_large() => {
                match halves(&body) {
                    Some(two) => bodies.extend(two),
                    None => {
                        written.refused.extend(body.items.iter().map(|item| refused(&body, item, "it is too large")))
                    }
                }
                continue;
            }
            other => other?,
        };
        let busy = tally(client, &body, &answer.body, &mut written)?;
        if busy.is_empty() {
            rounds = 0;
            continue;
        }
        if rounds >= client.backoff.times {
            let why = "the server is too busy to take it";
            written.refused.extend(busy.iter().map(|item| refused(&body, item, why)));
            continue;
        }
        tokio::time::sleep(client.backoff.wait(rounds, None)).await;
        rounds += 1;
        bodies.push(only(&body, &busy));
    }
    Ok(written)
}

fn bulk(client: &Client, body: &Body) -> Call {
    Call::new(Method::Post, client.index_path("/_bulk"))
        .with("filter_path", "items.create.status,items.create.error.type,items.create.error.reason")
        .bytes(body.bytes.clone())
}

#[derive(Deserialize)]
struct BulkAnswer {
    #[serde(default)]
    items: Vec<BulkItem>,
}

#[derive(Deserialize)]
struct BulkItem {
    create: BulkResult,
}

#[derive(Deserialize)]
struct BulkResult {
    status: u16,
    error: Option<Value>,
}

/// Counts the answers to a body and gives back the records that were turned away for now.
fn tally(client: &Client, body: &Body, answer: &[u8], written: &mut Written) -> Result<Vec<Item>, ElasticError> {
    let call = client.name(&bulk(client, &Body::default()));
    let foreign = |what| ElasticError::Foreign { call: call.clone(), what };
    let answer: BulkAnswer = serde_json::from_slice(answer).map_err(|_| foreign("no answer to a bulk request"))?;
    if answer.items.len() != body.items.len() {
        return Err(foreign("an answer to fewer records than were sent"));
    }
    let mut busy = Vec::new();
    for (item, BulkItem { create }) in body.items.iter().zip(answer.items) {
        match create.status {
            200..=299 => written.added += 1,
            409 => written.present += 1,
            429 | 503 => busy.push(*item),
            status => {
                let error = create.error.unwrap_or_default();
                let text = |key: &str| error[key].as_str().unwrap_or_default().to_owned();
                let why = format!("{} {}: {}", status, text("type"), text("reason"));
                written.refused.push(refused(body, item, &why));
            }
        }
    }
    Ok(busy)
}

fn refused(body: &Body, item: &Item, why: &str) -> RefusedRecord {
    let line = body.bytes.slice(item.line..item.end - 1);
    // A copy, so that one record does not keep a whole body.
    RefusedRecord { place: item.place, line: Bytes::copy_from_slice(&line), why: why.to_owned() }
}

/// A body of some of its records.
fn only(body: &Body, items: &[Item]) -> Body {
    let mut bytes = Vec::new();
    let mut kept = Vec::with_capacity(items.len());
    for item in items {
        let start = bytes.len();
        bytes.extend_from_slice(&body.bytes[item.start..item.end]);
        let (line, end) = (start + item.line - item.start, bytes.len());
        kept.push(Item { place: item.place, start, line, end });
    }
    Body { bytes: bytes.into(), items: kept }
}

/// A body in two, unless it holds one record.
fn halves(body: &Body) -> Option<[Body; 2]> {
    let (first, second) = body.items.split_at(body.items.len() / 2);
    (!first.is_empty()).then(|| [only(body, second), only(body, first)])
}
