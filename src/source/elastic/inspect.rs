//! Inspects an index before its records are read or counted: its server, its health, its mapping and some of its
//! documents. Translates the filter into a query.

use elasticsearch::http::Method;
use serde_json::{Value, json};

use super::client::SearchClient;
use super::error::ElasticError;
use super::mapping::{self, Mapping};
use super::request::ServerRequest;
use super::runtime::BackgroundRuntime;
use super::sample::DocumentSample;
use super::server::Server;
use super::stored_source;
use super::window::{self, TimeUnits};
use crate::data::options::{Filter, IndexAt};
use crate::source::credentials::Credentials;
use crate::source::personal_sample::Sample;

/// The time that an index may take to recover.
const RECOVERY_TIMEOUT: &str = "8s";

/// The facts of an index that reading and counting need.
#[derive(Clone, Debug)]
pub(crate) struct IndexInfo {
    pub(crate) server: Server,
    pub(crate) mapping: Mapping,
    /// The units in which matching documents write their times.
    pub(crate) units: TimeUnits,
    /// The parts of the filter that the server can decide, as queries.
    pub(crate) parts: Vec<Value>,
    /// True if the query selects exactly the records that the filter selects.
    pub(crate) exact: bool,
    pub(crate) sample: DocumentSample,
}

/// Inspects the index and translates the filter.
pub(crate) async fn inspect(client: &SearchClient, filter: &Filter) -> Result<IndexInfo, ElasticError> {
    let server = Server::identify(client).await?;
    tracing::info!("the log store is {}", named(client, &server));
    let mapping = fetch_mapping(client, &server).await?.with_fields(&client.fields);
    if let Some(why) = mapping.unreadable() {
        return Err(ElasticError::Mapping { index: client.index.clone(), why });
    }
    check_health(client, &server).await?;
    let (mut parts, mut exact) = mapping.name_queries(filter);
    let kind = mapping.time_kind();
    let sample = DocumentSample::fetch(client, &mapping, kind, &parts).await?;
    let unclear = |why: String| ElasticError::Unclear { index: client.index.clone(), why };
    if let Some(why) = sample.missing_field(client, &mapping).await? {
        return Err(unclear(why));
    }
    let field = mapping.path("timestamp").to_owned();
    let mut units = TimeUnits::default();
    if let Some(kind) = kind {
        let why = |why: String| unclear(format!("in field {field}, {why}"));
        units = TimeUnits::measure(kind, sample.times.iter().map(|(stored, sorted)| (stored, sorted))).map_err(why)?;
    }
    if filter.since.is_some() || filter.until.is_some() {
        let malformed = kind.is_some() && matches_any(client, &window::ignored(&field)).await?;
        let window = kind.and_then(|kind| units.window(kind, &field, filter, malformed));
        exact &= window.is_some() && units.only().is_some() && !malformed;
        parts.extend(window);
    }
    Ok(IndexInfo { server, mapping, units, parts, exact, sample })
}

/// Fetches the mapping of the index. Refuses an index that changes records.
async fn fetch_mapping(client: &SearchClient, server: &Server) -> Result<Mapping, ElasticError> {
    let mappings = client.send_json(ServerRequest::new(Method::Get, client.index_path("/_mapping"))).await;
    let mappings = mappings.map_err(|error| match error.is_no_index() {
        true => ElasticError::NoIndex { index: client.index.clone(), server: named(client, server) },
        false => error,
    })?;
    stored_source::check(client, &mappings, &client.fields).await?;
    Ok(Mapping::read(&mappings))
}

/// Refuses an index that lacks a part. Accepts it without a check if the credentials do not allow one.
pub(crate) async fn check_health(client: &SearchClient, server: &Server) -> Result<(), ElasticError> {
    let request = || {
        let path = format!("/_cluster/health/{}", client.index);
        ServerRequest::new(Method::Get, path).with("filter_path", "status,*_shards").once()
    };
    let answer = match client.send_json(request()).await {
        Ok(answer) if answer["status"] == "red" => answer,
        Ok(_) => return Ok(()),
        Err(error @ (ElasticError::Refused { .. } | ElasticError::Answer { .. })) => {
            tracing::debug!(%error, "cannot check the health of the index");
            return Ok(());
        }
        Err(error) => return Err(error),
    };
    // The index may be recovering. A server that has waited in vain answers with an error.
    let later = client.send_json(request().with("wait_for_status", "yellow").with("timeout", RECOVERY_TIMEOUT)).await;
    if later.is_ok_and(|later| later["status"] != "red") {
        return Ok(());
    }
    let number = |key: &str| answer[key].as_u64().unwrap_or_default();
    let why =
        format!("{} of its shards are active and {} are missing", number("active_shards"), number("unassigned_shards"));
    Err(ElasticError::Unhealthy { index: client.index.clone(), server: named(client, server), why })
}

fn named(client: &SearchClient, server: &Server) -> String {
    format!("{server} at {}", client.base())
}

/// Returns true if a document matches.
pub(crate) async fn matches_any(client: &SearchClient, query: &Value) -> Result<bool, ElasticError> {
    let body = json!({"size": 0, "query": query, "track_total_hits": 1, "terminate_after": 1});
    let found = client.send_json(ServerRequest::new(Method::Post, client.index_path("/_search")).json(&body)).await?;
    Ok(found["hits"]["total"]["value"].as_u64().unwrap_or_default() > 0)
}

/// An index that can be read.
#[derive(Debug)]
pub(crate) struct LookedAt {
    /// The server and its address, and that there are records.
    pub(crate) words: String,
    /// Says what looks personal in some documents, if anything does.
    pub(crate) personal: Option<String>,
}

/// Looks at an index, if its records can be read with these credentials. Looks for personal data if asked to.
///
/// # Errors
/// As for reading.
pub(crate) fn describe(
    at: &IndexAt,
    credentials: &Credentials,
    filter: &Filter,
    for_personal: bool,
) -> anyhow::Result<LookedAt> {
    let client = SearchClient::new(at, credentials)?;
    let filter = filter.clone();
    let look = async move { looked_at(&client, &filter, for_personal).await };
    Ok(BackgroundRuntime::start()?.block_on(look)?)
}

pub(super) async fn looked_at(
    client: &SearchClient,
    filter: &Filter,
    for_personal: bool,
) -> Result<LookedAt, ElasticError> {
    let index = inspect(client, filter).await?;
    let any = matches_any(client, &mapping::all_of(index.parts.clone())).await?;
    let records = if any { "holds matching records" } else { "holds no matching record" };
    let words = format!("{}, index {}, {records}", named(client, &index.server), client.index);
    let documents = if for_personal { index.sample.documents(client).await? } else { Vec::new() };
    let mut sample = Sample::default();
    sample.add(documents.iter().map(String::as_bytes));
    Ok(LookedAt { words, personal: sample.finding(|documents| format!("{documents} of its documents")) })
}
