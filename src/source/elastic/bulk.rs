//! Writes records in bulk requests of bounded size, a few of them at once. The id of a record is the id of its document, so
//! that a record exists once however often it is sent.

use std::collections::VecDeque;
use std::sync::Arc;
use std::sync::mpsc;

use bytes::Bytes;
use elasticsearch::http::Method;
use serde::Deserialize;
use serde_json::Value;

use super::client::SearchClient;
use super::error::ElasticError;
use super::inspect::check_health;
use super::mapping::{self, Mapping};
use super::request::ServerRequest;
use super::runtime::{BackgroundRuntime, runtime_ended};
use super::server::Server;
use super::stored_source;
use crate::data::options::{Fields, IndexAt};
use crate::data::record::id;
use crate::source::credentials::Credentials;

/// The bytes of a bulk request. Of sizes from 0.5 to 5 MB, Elasticsearch 9.2 needed least processor time with this one.
const BULK_BYTES: usize = 1 << 20;
/// The requests under way at once: more than a small server works on, so that none of its threads waits.
const IN_FLIGHT: usize = 4;

/// The number of the input that a record comes from, and its line.
pub(crate) type InputLine = (usize, u64);

/// A record that the server has refused.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct RefusedRecord {
    pub(crate) origin: InputLine,
    /// The record as it was sent.
    pub(crate) line: Bytes,
    /// The reason in the words of the server.
    pub(crate) why: String,
}

/// The outcome of writing some records.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub(crate) struct BulkOutcome {
    pub(crate) added: u64,
    /// The records that the index held already.
    pub(crate) present: u64,
    pub(crate) refused: Vec<RefusedRecord>,
}

/// One record of a bulk request: an action line and the record's line.
#[derive(Clone, Copy, Debug)]
struct BulkRecord {
    origin: InputLine,
    /// The start of the action line.
    start: usize,
    /// The start of the record's line.
    line: usize,
    end: usize,
}

/// The body of a bulk request.
#[derive(Clone, Debug, Default)]
struct BulkBody {
    bytes: Bytes,
    records: Vec<BulkRecord>,
}

/// Writes records to an index.
#[derive(Debug)]
pub(crate) struct BulkWriter {
    pub(crate) server: Server,
    client: Arc<SearchClient>,
    runtime: BackgroundRuntime,
    strict: bool,
    bytes: Vec<u8>,
    records: Vec<BulkRecord>,
    waiting: VecDeque<mpsc::Receiver<Result<BulkOutcome, ElasticError>>>,
}

impl BulkWriter {
    /// Connects, creates the index if it does not exist, and checks that it can hold records.
    pub(crate) fn open(at: &IndexAt, credentials: &Credentials) -> Result<BulkWriter, ElasticError> {
        BulkWriter::with_client(SearchClient::new(at, credentials)?)
    }

    pub(super) fn with_client(client: SearchClient) -> Result<BulkWriter, ElasticError> {
        let runtime = BackgroundRuntime::start()?;
        let client = Arc::new(client);
        let preparing = Arc::clone(&client);
        let (server, mapping) = runtime.block_on(async move {
            let server = Server::identify(&preparing).await?;
            let mapping = prepare_index(&preparing).await?;
            check_health(&preparing, &server).await?;
            Ok((server, mapping))
        })?;
        if let Some(why) = mapping.unwritable() {
            return Err(ElasticError::Mapping { index: client.index.clone(), why });
        }
        Ok(BulkWriter {
            server,
            client,
            runtime,
            strict: mapping.is_strict(),
            bytes: Vec::new(),
            records: Vec::new(),
            waiting: VecDeque::new(),
        })
    }

    /// Returns true if the index accepts only the five fields of a record.
    pub(crate) fn is_strict(&self) -> bool {
        self.strict
    }

    /// Adds a record. Waits while too many requests are under way. Returns the outcome of earlier records.
    pub(crate) fn push(&mut self, id: u128, line: &[u8], origin: InputLine) -> Result<Vec<BulkOutcome>, ElasticError> {
        let mut done = Vec::new();
        if !self.records.is_empty() && self.bytes.len() + line.len() > BULK_BYTES {
            done.extend(self.send()?);
        }
        let start = self.bytes.len();
        self.bytes.extend_from_slice(b"{\"create\":{\"_id\":\"");
        self.bytes.extend_from_slice(&id::hex_digits(id));
        self.bytes.extend_from_slice(b"\"}}\n");
        let at = self.bytes.len();
        self.bytes.extend_from_slice(line);
        self.bytes.push(b'\n');
        self.records.push(BulkRecord { origin, start, line: at, end: self.bytes.len() });
        Ok(done)
    }

    /// Sends the rest, waits for all responses and makes the records visible to searches.
    pub(crate) fn finish(mut self) -> Result<Vec<BulkOutcome>, ElasticError> {
        let mut done = Vec::from_iter(self.send()?);
        while let Some(waiting) = self.waiting.pop_front() {
            done.push(waiting.recv().unwrap_or_else(|_| Err(runtime_ended()))?);
        }
        let client = Arc::clone(&self.client);
        let refresh = ServerRequest::new(Method::Post, client.index_path("/_refresh"));
        self.runtime.block_on(async move { client.send(refresh).await.map(drop) })?;
        Ok(done)
    }

    fn send(&mut self) -> Result<Option<BulkOutcome>, ElasticError> {
        if self.records.is_empty() {
            return Ok(None);
        }
        let mut done = None;
        if self.waiting.len() >= IN_FLIGHT
            && let Some(oldest) = self.waiting.pop_front()
        {
            done = Some(oldest.recv().unwrap_or_else(|_| Err(runtime_ended()))?);
        }
        let room = self.bytes.capacity();
        let bytes = std::mem::replace(&mut self.bytes, Vec::with_capacity(room.min(2 * BULK_BYTES))).into();
        let body = BulkBody { bytes, records: std::mem::take(&mut self.records) };
        let client = Arc::clone(&self.client);
        self.waiting.push_back(self.runtime.spawn(async move { write(&client, body).await }));
        Ok(done)
    }
}

/// Creates the index if it does not exist. Returns its mapping. A template of the server may change what is created.
async fn prepare_index(client: &SearchClient) -> Result<Mapping, ElasticError> {
    let refusal = |why: String| ElasticError::Mapping { index: client.index.clone(), why };
    let look = || client.send_json(ServerRequest::new(Method::Get, client.index_path("/_mapping")));
    let read = async |mappings: Value| {
        stored_source::check(client, &mappings, &Fields::default()).await?;
        Ok(Mapping::read(&mappings))
    };
    match look().await {
        Ok(mappings) => {
            return match not_a_single_index(&mappings) {
                Some(why) => Err(refusal(why)),
                None => read(mappings).await,
            };
        }
        Err(error) if error.is_no_index() => {}
        Err(error) => return Err(error),
    }
    let create = ServerRequest::new(Method::Put, client.index_path("")).json(&mapping::index_definition());
    match client.send(create).await {
        // Another load may have created the index at the same time.
        Err(error) if !error.is_existing_index() => return Err(error),
        _ => {}
    }
    read(look().await?).await
}

/// Returns the reason why the name is not that of one index, if so. Ids are unique only within one index.
fn not_a_single_index(mappings: &Value) -> Option<String> {
    let names: Vec<&String> = mappings.as_object().into_iter().flatten().map(|(name, _)| name).collect();
    match names.as_slice() {
        [name] if name.starts_with(".ds-") => {
            Some("it is a data stream, whose documents need a field @timestamp".to_owned())
        }
        [] | [_] => None,
        [first, .., last] => {
            Some(format!("it is an alias of {} indices ({first} to {last}), but records must go into one", names.len()))
        }
    }
}

/// Sends a body until each of its records is added, present or refused.
async fn write(client: &SearchClient, body: BulkBody) -> Result<BulkOutcome, ElasticError> {
    let mut outcome = BulkOutcome::default();
    let mut bodies = vec![body];
    let mut rounds = 0;
    while let Some(body) = bodies.pop() {
        let response = match client.send(bulk_request(client, &body)).await {
            Err(error) if error.is_too_large() => {
                match halves(&body) {
                    Some(two) => bodies.extend(two),
                    None => {
                        outcome.refused.extend(body.records.iter().map(|one| refused(&body, one, "it is too large")))
                    }
                }
                continue;
            }
            other => other?,
        };
        let busy = take_results(client, &body, &response.body, &mut outcome)?;
        if busy.is_empty() {
            rounds = 0;
            continue;
        }
        let Some(pause) = client.backoff.pause(rounds + 1, None) else {
            let why = "the server is too busy to take it";
            outcome.refused.extend(busy.iter().map(|record| refused(&body, record, why)));
            continue;
        };
        tokio::time::sleep(pause).await;
        rounds += 1;
        bodies.push(only(&body, &busy));
    }
    Ok(outcome)
}

fn bulk_request(client: &SearchClient, body: &BulkBody) -> ServerRequest {
    ServerRequest::new(Method::Post, client.index_path("/_bulk"))
        .with("filter_path", "items.create.status,items.create.error.type,items.create.error.reason")
        .bytes(body.bytes.clone())
}

#[derive(Deserialize)]
struct BulkResponse {
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

/// Adds the results of a body to the outcome. Returns the records that the server is too busy to take.
fn take_results(
    client: &SearchClient,
    body: &BulkBody,
    response: &[u8],
    outcome: &mut BulkOutcome,
) -> Result<Vec<BulkRecord>, ElasticError> {
    let request = client.describe(&bulk_request(client, &BulkBody::default()));
    let foreign = |what| ElasticError::Foreign { request: request.clone(), what };
    let response: BulkResponse =
        serde_json::from_slice(response).map_err(|_| foreign("no response to a bulk request"))?;
    if response.items.len() != body.records.len() {
        return Err(foreign("a response for another number of records"));
    }
    let mut busy = Vec::new();
    for (record, BulkItem { create }) in body.records.iter().zip(response.items) {
        match create.status {
            200..=299 => outcome.added += 1,
            409 => outcome.present += 1,
            429 | 503 => busy.push(*record),
            status => {
                let error = create.error.unwrap_or_default();
                let text = |key: &str| error[key].as_str().unwrap_or_default().to_owned();
                let why = format!("{} {}: {}", status, text("type"), text("reason"));
                outcome.refused.push(refused(body, record, &why));
            }
        }
    }
    Ok(busy)
}

fn refused(body: &BulkBody, record: &BulkRecord, why: &str) -> RefusedRecord {
    let line = body.bytes.slice(record.line..record.end - 1);
    // A copy, because a slice would keep the whole body in memory.
    RefusedRecord { origin: record.origin, line: Bytes::copy_from_slice(&line), why: why.to_owned() }
}

/// Returns a body with some of the records.
fn only(body: &BulkBody, records: &[BulkRecord]) -> BulkBody {
    let mut bytes = Vec::new();
    let mut kept = Vec::with_capacity(records.len());
    for record in records {
        let start = bytes.len();
        bytes.extend_from_slice(&body.bytes[record.start..record.end]);
        let (line, end) = (start + record.line - record.start, bytes.len());
        kept.push(BulkRecord { origin: record.origin, start, line, end });
    }
    BulkBody { bytes: bytes.into(), records: kept }
}

/// Splits a body in two, unless it holds one record.
fn halves(body: &BulkBody) -> Option<[BulkBody; 2]> {
    let (first, second) = body.records.split_at(body.records.len() / 2);
    (!first.is_empty()).then(|| [only(body, second), only(body, first)])
}
